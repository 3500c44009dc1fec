/* SPDX-License-Identifier: MIT */
/* Shared options; see options.h. */
#include "options.h"
#include "camera.h"
#include "models.h"
#include "options_live.h"
#include "progress.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- parsing */

static void kerb_options_add_network(GOptionContext *context, KerbOptions *o)
{
    const GOptionEntry entries[] = {
        { "model", 'm', 0, G_OPTION_ARG_FILENAME, &o->model, "ONNX model (default: $KERB_MODEL, else the one that came with Kerb)", "NET.onnx" },
        { "card", 0, 0, G_OPTION_ARG_FILENAME, &o->card, "Model card (default: NET.json beside NET.onnx)", "FILE.json" },
        { "labels", 0, 0, G_OPTION_ARG_FILENAME, &o->labels, "Class names and colours: `name r g b` a line, or JSON", "FILE" },
        { "palette", 0, 0, G_OPTION_ARG_STRING, &o->palette, "camvid, cityscapes, voc, road, lane, or a labels file", "NAME" },
        { "backend", 0, 0, G_OPTION_ARG_STRING, &o->backend, "auto, cuda, cpu, ref (see `kerb devices`)", "NAME" },
        { "precision", 0, 0, G_OPTION_ARG_STRING, &o->precision_name, "auto, f32, bf16, int8; on GPUs also tf32, f16", "NAME" },
        { "device", 0, 0, G_OPTION_ARG_INT, &o->device, "Which GPU, as `kerb devices` numbers them (default 0)", "N" },
        { "threads", 0, 0, G_OPTION_ARG_INT, &o->threads, "CPU threads of the network (default: one a core)", "N" },
        { "cpu-list", 0, 0, G_OPTION_ARG_STRING, &o->cpu_list, "Cores that they keep to: 0-3,6 (default: all that this process may use)", "LIST" },
        { "no-tune", 0, 0, G_OPTION_ARG_NONE, &o->no_tune, "Guess which way computes a layer fastest, and time none: opens faster", NULL },
        { "network-size", 0, 0, G_OPTION_ARG_STRING, &o->network_size, "Size of the network's input, where the model leaves it open", "WxH" },
        { "fit", 0, 0, G_OPTION_ARG_STRING, &o->fit_name, "auto, stretch, letterbox, crop", "NAME" },
        { 0 },
    };
    GOptionGroup *group = g_option_group_new("network", "Network options:", "Options of the network", NULL, NULL);
    g_option_group_add_entries(group, entries);
    g_option_context_add_group(context, group);
}

static void kerb_options_add_display(GOptionContext *context, KerbOptions *o)
{
    const GOptionEntry entries[] = {
        { "visualize", 0, 0, G_OPTION_ARG_STRING, &o->visualize_name, "overlay (default), mask, side-by-side, none", "NAME" },
        { "alpha", 0, 0, G_OPTION_ARG_DOUBLE, &o->alpha, "Opacity of the overlay, 0 to 1 (default 0.5)", "A" },
        { "classes", 0, 0, G_OPTION_ARG_STRING, &o->classes, "Classes to paint: names or indices between commas, all, none", "LIST" },
        { 0 },
    };
    GOptionGroup *group = g_option_group_new("display", "Display options:", "Options of the picture", NULL, NULL);
    g_option_group_add_entries(group, entries);
    g_option_context_add_group(context, group);
}

static void kerb_options_add_main(GOptionContext *context, KerbOptions *o, unsigned sets, const GOptionEntry *own)
{
    GOptionGroup *group = g_option_group_new("main", "Options:", "Options", NULL, NULL);
    const GOptionEntry source[] = {
        { "rate", 0, 0, G_OPTION_ARG_DOUBLE, &o->rate, "Frames a second of a folder of images (default 25)", "FPS" },
        { "camera-format", 0, 0, G_OPTION_ARG_STRING, &o->camera_format, "Mode of a camera: auto, raw, MJPEG, YUYV, ... (see `kerb devices`)", "FORMAT[@WxH[@FPS]]" },
        { "reconnect", 0, 0, G_OPTION_ARG_DOUBLE, &o->supervision.reconnect_s, "Await a camera or stream that is away for so long, also at the start (default: for ever once it ran)", "SECONDS" },
        { "timeout", 0, 0, G_OPTION_ARG_DOUBLE, &o->supervision.timeout_s, "A camera or stream that is silent for so long is opened anew (default: 2; networks 5)", "SECONDS" },
        { 0 },
    };
    const GOptionEntry json[] = { { "json", 0, 0, G_OPTION_ARG_NONE, &o->json, "One JSON object on standard output", NULL }, { 0 } };
    const GOptionEntry quiet[] = { { "quiet", 'q', 0, G_OPTION_ARG_NONE, &o->quiet, "Warnings and errors only", NULL }, { 0 } };
    const GOptionEntry rest[] = {
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "Also say what the engine chose and assumed", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->arguments, NULL, NULL },
        { 0 },
    };
    if (own) g_option_group_add_entries(group, own);
    if (sets & KERB_OPTIONS_SOURCE) g_option_group_add_entries(group, source);
    if (sets & KERB_OPTIONS_JSON) g_option_group_add_entries(group, json);
    if (sets & KERB_OPTIONS_QUIET) g_option_group_add_entries(group, quiet);
    g_option_group_add_entries(group, rest);
    g_option_context_set_main_group(context, group);
}

/* "Unknown option --foo", and which one may be meant. */
static void kerb_options_complain(const KerbCommand *command, const GError *error, const GOptionEntry *own)
{
    static const char *const shared[] = { "model", "card", "labels", "palette", "backend", "precision", "device", "threads", "cpu-list", "no-tune", "network-size", "fit", "visualize", "alpha",
                                          "live-mode", "max-age", "max-wait", "inference-interval", "carry", "smoothing", "classes", "rate", "camera-format", "reconnect", "timeout", "json", "quiet", "verbose",
                                          "help" };
    const char *dashes = strstr(error->message, "--"), *near = NULL;
    if (g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION) && dashes) {
        GPtrArray *names = g_ptr_array_new();
        for (; own && own->long_name; own++) g_ptr_array_add(names, (gpointer)own->long_name);
        for (gsize i = 0; i < G_N_ELEMENTS(shared); i++) g_ptr_array_add(names, (gpointer)shared[i]);
        g_ptr_array_add(names, NULL);
        near = kerb_nearest(dashes + 2, (const char *const *)names->pdata);
        g_ptr_array_free(names, TRUE);
    }
    if (near)
        kerb_say("%s. Did you mean --%s? `kerb %s --help` lists the options.", error->message, near, command->name);
    else
        kerb_say("%s. `kerb %s --help` lists the options.", error->message, command->name);
}

/* The index of `text` among the names, or -1, having said what is valid. NULL: 0. */
static int kerb_options_word(const char *option, const char *text, const char *const *names)
{
    if (!text) return 0;
    for (int i = 0; names[i]; i++)
        if (!g_ascii_strcasecmp(text, names[i])) return i;
    gchar *valid = g_strjoinv(", ", (gchar **)names);
    kerb_say("%s=%s is not known. Valid are: %s.", option, text, valid);
    g_free(valid);
    return -1;
}

gboolean kerb_options_size(const char *option, const char *text, gint *width, gint *height)
{
    gchar *end = NULL, *rest = NULL;
    gint64 w = g_ascii_strtoll(text, &end, 10), h = end != text && *end == 'x' ? g_ascii_strtoll(end + 1, &rest, 10) : 0;
    if (!rest || *rest || w < 1 || h < 1 || w > KERB_MAX_SIDE_PX || h > KERB_MAX_SIDE_PX) {
        kerb_say("%s=%s is not a size. Give width x height in pixels, such as 1280x720 (each 1 to %d).", option, text, KERB_MAX_SIDE_PX);
        return FALSE;
    }
    *width = (gint)w;
    *height = (gint)h;
    return TRUE;
}

/* The element would only warn. */
static gboolean kerb_options_check_palette(const char *palette, int *exit_code)
{
    KerbClass *classes = g_new(KerbClass, KERB_MAX_CLASSES);
    KerbError error = { 0 };
    int n;
    KerbStatus status = kerb_classes_load(palette, classes, &n, &error);
    if (status != KERB_OK) {
        kerb_say("--palette: %s", error.message);
        *exit_code = kerb_exit_code(status);
    }
    g_free(classes);
    return status == KERB_OK;
}

static gboolean kerb_options_check_supervision(KerbOptions *o)
{
    KerbCameraWish wish;
    if (o->camera_format && !kerb_camera_wish_parse(&wish, o->camera_format)) return FALSE;
    if (!(o->supervision.reconnect_s >= 0 || o->supervision.reconnect_s == -1)) {
        kerb_say("--reconnect=%g is not a number of seconds. Give 0 to end with the first loss, or leave it out to wait for ever.", o->supervision.reconnect_s);
        return FALSE;
    }
    if (!(o->supervision.timeout_s == 0 || (o->supervision.timeout_s >= 0.1 && o->supervision.timeout_s <= 3600))) {
        kerb_say("--timeout=%g is outside 0.1 to 3600 seconds.", o->supervision.timeout_s);
        return FALSE;
    }
    o->supervision.camera_format = o->camera_format;
    o->supervision.quiet = o->quiet;
    return TRUE;
}

/* *exit_code is KERB_EXIT_USAGE before. */
static gboolean kerb_options_check(KerbOptions *o, int *exit_code)
{
    static const char *const precisions[] = { "auto", "f32", "bf16", "tf32", "f16", "int8", NULL }; /* by KerbPrecision */
    static const char *const fits[] = { "auto", "stretch", "letterbox", "crop", NULL };
    static const char *const views[] = { "overlay", "none", "mask", "side-by-side", NULL };
    static const KerbVisualize visualize[] = { KERB_VISUALIZE_OVERLAY, KERB_VISUALIZE_NONE, KERB_VISUALIZE_MASK, KERB_VISUALIZE_SIDE_BY_SIDE };
    int precision = kerb_options_word("--precision", o->precision_name, precisions);
    int fit = kerb_options_word("--fit", o->fit_name, fits);
    int view = kerb_options_word("--visualize", o->visualize_name, views);
    if (precision < 0 || fit < 0 || view < 0) return FALSE;
    o->precision = (KerbPrecision)precision;
    o->fit = (KerbFit)fit;
    o->visualize = visualize[view];
    if (o->network_size && !kerb_options_size("--network-size", o->network_size, &o->network_width, &o->network_height)) return FALSE;
    if (!(o->alpha >= 0 && o->alpha <= 1)) {
        kerb_say("--alpha=%g is outside 0 (frame only) to 1 (class colours only).", o->alpha);
        return FALSE;
    }
    if (o->threads < 0 || o->threads > 256) {
        kerb_say("--threads=%d is outside 0 (one a core) to 256.", o->threads);
        return FALSE;
    }
    if (o->device < 0 || o->device > 63) {
        kerb_say("--device=%d is outside 0 to 63. `kerb devices` lists the GPUs that are here.", o->device);
        return FALSE;
    }
    if (!kerb_options_check_live(o)) return FALSE;
    if (o->palette && !kerb_options_check_palette(o->palette, exit_code)) return FALSE;
    if (!(o->rate >= 0.001 && o->rate <= 1000)) {
        kerb_say("--rate=%g is outside 0.001 to 1000 frames a second.", o->rate);
        return FALSE;
    }
    return kerb_options_check_supervision(o);
}

gboolean kerb_options_parse(const KerbCommand *command, KerbOptions *o, unsigned sets, const GOptionEntry *own, int argc, char **argv, int *exit_code)
{
    *o = (KerbOptions){ .alpha = 0.5, .rate = 25, .max_wait_ms = 50, .inference_interval = 1, .supervision = { .reconnect_s = -1 } };
    GOptionContext *context = g_option_context_new(command->arguments);
    gchar *name = g_strdup_printf("kerb %s", command->name);
    g_set_prgname(name);
    g_option_context_set_summary(context, command->summary);
    g_option_context_set_description(context, command->description);
    g_option_context_set_help_enabled(context, FALSE); /* GLib's would exit by itself, and leave shared groups out of --help */
    gboolean help = FALSE;
    const GOptionEntry help_entry[] = { { "help", 'h', 0, G_OPTION_ARG_NONE, &help, "Show this help", NULL }, { 0 } };
    kerb_options_add_main(context, o, sets, own);
    g_option_context_add_main_entries(context, help_entry, NULL);
    if (sets & KERB_OPTIONS_NETWORK) kerb_options_add_network(context, o);
    if (sets & KERB_OPTIONS_DISPLAY) kerb_options_add_display(context, o);
    if (sets & KERB_OPTIONS_LIVE) kerb_options_add_live(context, o);
    gchar **args = g_new0(gchar *, (gsize)argc + 1);
    for (int i = 0; i < argc; i++) args[i] = g_strdup(i ? argv[i] : name);
    GError *error = NULL;
    gboolean ok = g_option_context_parse_strv(context, &args, &error);
    *exit_code = KERB_EXIT_USAGE;
    if (!ok) {
        kerb_options_complain(command, error, own);
        g_clear_error(&error);
    } else if (help) {
        gchar *text = g_option_context_get_help(context, FALSE, NULL);
        g_print("%s", text);
        g_free(text);
        *exit_code = KERB_EXIT_OK;
        ok = FALSE;
    } else {
        ok = kerb_options_check(o, exit_code);
    }
    if (!o->arguments) o->arguments = g_new0(gchar *, 1);
    g_strfreev(args);
    g_free(name);
    g_option_context_free(context);
    if (ok) kerb_say_log(o->verbose);
    if (ok && (sets & KERB_OPTIONS_NETWORK) && !o->model && command != &kerb_command_inspect) {
        o->model = kerb_model_find(o->quiet, exit_code);
        ok = o->model != NULL;
    }
    return ok;
}

void kerb_options_clear(KerbOptions *o)
{
    gchar **strings[] = { &o->model,        &o->card,    &o->labels,         &o->backend, &o->precision_name, &o->fit_name,
                          &o->network_size, &o->palette, &o->visualize_name, &o->classes, &o->live_mode, &o->smoothing, &o->camera_format, &o->cpu_list };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_clear_pointer(strings[i], g_free);
    g_clear_pointer(&o->arguments, g_strfreev);
}

const gchar *kerb_options_single(const KerbCommand *command, const KerbOptions *o, const char *what)
{
    guint n = g_strv_length(o->arguments);
    if (n == 1) return o->arguments[0];
    if (n == 0)
        kerb_say("kerb %s needs %s: kerb %s %s. `kerb %s --help` has examples.", command->name, what, command->name, command->arguments, command->name);
    else
        kerb_say("kerb %s takes one %s, not %u (\"%s\" is too many; put a pattern in quotes).", command->name, what, n, o->arguments[1]);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------ to users */

void kerb_options_config(const KerbOptions *o, KerbConfig *config)
{
    kerb_config_init(config);
    config->model_file = o->model;
    config->card_file = o->card;
    config->labels_file = o->labels;
    config->palette = o->palette;
    if (o->backend) config->backend = o->backend;
    config->device_id = o->device;
    config->precision = o->precision;
    config->threads = o->threads;
    config->cpu_list = o->cpu_list;
    config->tune = !o->no_tune;
    config->network_width_px = o->network_width;
    config->network_height_px = o->network_height;
    config->fit = o->fit;
    config->smoothing = kerb_options_smoothing(o);
    if (!o->quiet) config->progress = kerb_progress_compiling;
}

void kerb_options_apply(const KerbOptions *o, GstElement *kerbseg)
{
    g_object_set(kerbseg, "model-file", o->model, "card-file", o->card, "labels-file", o->labels, "threads", (guint)o->threads, "cuda-device-id",
                 (guint)o->device, "precision", (gint)o->precision, "network-width", (guint)o->network_width, "network-height", (guint)o->network_height, "fit", (gint)o->fit, "visualize",
                 (gint)o->visualize, "tune", !o->no_tune, "alpha", o->alpha, "palette", o->palette, NULL);
    if (o->backend) g_object_set(kerbseg, "backend", o->backend, NULL);
    if (o->cpu_list) g_object_set(kerbseg, "cpu-list", o->cpu_list, NULL);
    if (o->classes) g_object_set(kerbseg, "selected-classes", o->classes, NULL);
}

static int kerb_options_class(const KerbClass *classes, int n, const gchar *word)
{
    for (int i = 0; i < n; i++)
        if (!g_ascii_strcasecmp(classes[i].name, word)) return i;
    guint64 index = 0;
    return n > 0 && g_ascii_string_to_unsigned(word, 10, 0, (guint64)n - 1, &index, NULL) ? (int)index : -1;
}

gboolean kerb_options_display(const KerbOptions *o, const KerbClass *classes, int n, KerbDisplay *display)
{
    kerb_display_init(display, classes, n);
    display->alpha = (float)o->alpha;
    display->visualize = o->visualize;
    if (!o->classes || !g_ascii_strcasecmp(o->classes, "all")) return TRUE;
    memset(display->enabled, 0, sizeof display->enabled);
    if (!g_ascii_strcasecmp(o->classes, "none")) return TRUE;
    gchar **words = g_strsplit(o->classes, ",", -1);
    int found = 0;
    for (gchar **word = words; *word && found >= 0; word++) {
        found = kerb_options_class(classes, n, g_strstrip(*word));
        if (found >= 0)
            display->enabled[found] = true;
        else
            kerb_say("--classes: there is no class \"%s\". `kerb inspect` lists the classes of a model.", *word);
    }
    g_strfreev(words);
    return found >= 0;
}
