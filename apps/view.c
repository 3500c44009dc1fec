/* SPDX-License-Identifier: MIT */
/* `kerb view`: SOURCE -> kerbseg -> a window. kerbseg draws nothing here: the viewer paints the labels itself, so that opacity, classes and the way of
 * showing change at once, also while the video stands still. This file: the command line, opening, the pace, the loop. */
#include "view.h"
#include "models.h"
#include "recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Behind by more than this, the pace starts anew: a slow network makes the video slow, not jerky. */
#define LATE_US (G_USEC_PER_SEC / 10)
#define SILENCE_S 10.0
#define STALE_MS 200.0
/* A live view is drawn at least so often, for its age grows. */
#define LIVE_REDRAW_US (G_USEC_PER_SEC / 10)
/* At the end, for a recording to be finished. */
#define FINISH_US (10 * G_USEC_PER_SEC)

/* -------------------------------------------------------------------------------------------------------------- opening */

static void kerb_view_tap(gpointer user, GstBuffer *buffer, GstPad *pad)
{
    KerbView *v = user;
    g_mutex_lock(&v->record_lock);
    if (v->record) kerb_view_record_frame(v->record, buffer, pad);
    g_mutex_unlock(&v->record_lock);
}

static void kerb_view_choice_clear(KerbViewChoice *c)
{
    g_free(c->source);
    g_free(c->model);
    g_free(c->card);
    g_free(c->labels);
    *c = (KerbViewChoice){ 0 };
}

static KerbViewChoice kerb_view_choice_take(KerbView *v)
{
    KerbOptions *o = &v->options;
    return (KerbViewChoice){ .source = g_strdup(v->stream->source->text), .model = g_strdup(o->model), .card = g_strdup(o->card), .labels = g_strdup(o->labels),
                             .network_width = o->network_width, .network_height = o->network_height, .time_ns = v->frame.time_ns };
}

/* A model's card, labels and size are its own: another model has others. */
static void kerb_view_choose_model(KerbOptions *o, const gchar *model, const gchar *card, const gchar *labels, gint network_width, gint network_height)
{
    gchar *old[] = { o->model, o->card, o->labels }; /* may be what is given */
    o->model = g_strdup(model);
    o->card = g_strdup(card);
    o->labels = g_strdup(labels);
    o->network_width = network_width;
    o->network_height = network_height;
    for (gsize i = 0; i < G_N_ELEMENTS(old); i++) g_free(old[i]);
}

static void kerb_view_finish_recording(KerbView *v)
{
    gint64 until = g_get_monotonic_time() + FINISH_US;
    kerb_view_record_end(v);
    while (v->record && g_get_monotonic_time() < until) {
        kerb_view_record_look(v);
        if (v->record) g_usleep(5000);
    }
    if (!v->record) return;
    kerb_warn("%s could not be finished in time: it can be played, and has no index.", kerb_view_record_path(v->record));
    KerbViewRecord *record = v->record;
    g_mutex_lock(&v->record_lock);
    v->record = NULL;
    g_mutex_unlock(&v->record_lock);
    kerb_view_record_free(&record);
}

/* `stream` takes the place of the one that runs. */
static void kerb_view_replace(KerbView *v, KerbViewStream *stream)
{
    kerb_view_finish_recording(v); /* its frames would be of another kind */
    kerb_view_stream_free(&v->stream);
    v->stream = stream;
    v->opened = v->ended = FALSE;
    v->one = TRUE;
    v->seek_to_ns = -1;
    v->pace_us = v->facts_us = 0;
    kerb_fault_clear(&v->fault);
    kerb_view_stream_start(stream);
}

void kerb_view_open(KerbView *v, const gchar *source, const gchar *model)
{
    int exit_code;
    gboolean other_model = strcmp(model, v->options.model) != 0;
    if (v->before.source) return; /* one after the other */
    gchar *text = g_strdup(source);
    KerbViewChoice before = kerb_view_choice_take(v);
    if (other_model) kerb_view_choose_model(&v->options, model, NULL, NULL, 0, 0);
    KerbViewStream *stream = kerb_view_stream_new(text, &v->options, kerb_view_tap, v, &exit_code);
    if (stream) {
        v->before = before;
        gint64 time_ns = other_model ? before.time_ns : -1;
        kerb_view_replace(v, stream);
        v->seek_to_ns = time_ns;
        kerb_view_notice(v, FALSE, "opening %s ...", other_model ? v->options.model : text);
    } else {
        kerb_view_choose_model(&v->options, before.model, before.card, before.labels, before.network_width, before.network_height);
        kerb_view_choice_clear(&before);
        kerb_view_notice(v, TRUE, "%s cannot be opened", text);
    }
    g_free(text);
}

/* What was dropped cannot be used: back to what was there. */
static void kerb_view_go_back(KerbView *v)
{
    int exit_code;
    KerbViewChoice before = v->before;
    v->before = (KerbViewChoice){ 0 };
    kerb_say("%s", v->fault.text);
    kerb_view_notice(v, TRUE, "%s", v->fault.text);
    kerb_view_choose_model(&v->options, before.model, before.card, before.labels, before.network_width, before.network_height);
    KerbViewStream *stream = kerb_view_stream_new(before.source, &v->options, kerb_view_tap, v, &exit_code);
    if (stream) {
        kerb_view_replace(v, stream);
        v->seek_to_ns = before.time_ns;
    } /* else what was there is gone, and the fault ends the view */
    kerb_view_choice_clear(&before);
}

/* --------------------------------------------------------------------------------------------------------- a frame comes */

/* The stream's classes. The display starts anew where they are others; a live stream's first frames have none yet. */
static gboolean kerb_view_take_classes(KerbView *v)
{
    int n = 0;
    const KerbClass *classes = v->frame.meta ? kerb_seg_meta_classes(v->frame.meta, &n) : NULL;
    if (!classes || (n == v->n_classes && !memcmp(classes, v->classes, (gsize)n * sizeof *classes))) return TRUE;
    float alpha = v->display.alpha;
    gboolean first = !v->classes;
    g_free(v->classes);
    v->classes = g_memdup2(classes, (gsize)n * sizeof *classes);
    v->n_classes = n;
    if (first && !kerb_options_display(&v->options, v->classes, n, &v->display)) return FALSE;
    if (!first) kerb_display_init(&v->display, v->classes, n);
    v->display.alpha = alpha;
    if (v->record) kerb_view_record_display(v->record, &v->display, v->classes, n);
    return TRUE;
}

/* How much of the picture each class has. */
static void kerb_view_count(KerbView *v)
{
    guint32 counts[256] = { 0 };
    const KerbSegMeta *meta = v->frame.meta;
    for (int y = 0; meta && y < meta->height; y++) {
        const guint8 *row = v->frame.labels.data + (gsize)y * (gsize)meta->stride;
        for (int x = 0; x < meta->width; x++) counts[row[x]]++;
    }
    for (int i = 0; i < KERB_MAX_CLASSES; i++) v->shares[i] = meta ? (float)counts[i] / ((float)meta->width * (float)meta->height) : 0;
}

static void kerb_view_set_title(KerbView *v)
{
    gchar *name = g_filename_display_basename(v->stream->source->text), *title = g_strdup_printf("%s – Kerb", name);
    kerb_view_window_title(v->window, title);
    g_free(title);
    g_free(name);
}

static gboolean kerb_view_open_window(KerbView *v)
{
    const GstVideoInfo *info = &v->frame.mapped.info;
    double par = info->par_n > 0 && info->par_d > 0 ? (double)info->par_n / info->par_d : 1;
    v->window = kerb_view_window_new("Kerb", MAX((int)(info->width * par + 0.5), 1), info->height, !v->frames_wanted && !v->script);
    if (!v->window) return FALSE;
    if (v->options.verbose) kerb_say("shown by SDL's %s.", kerb_view_window_words(v->window));
    if (v->start_full) kerb_view_window_toggle_fullscreen(v->window);
    v->display.alpha = (float)v->options.alpha;
    v->show_legend = TRUE;
    switch (v->options.visualize) {
    case KERB_VISUALIZE_MASK: v->mode = KERB_VIEW_MODE_MASK; break;
    case KERB_VISUALIZE_SIDE_BY_SIDE: v->mode = KERB_VIEW_MODE_SIDE_BY_SIDE; break;
    case KERB_VISUALIZE_NONE: v->mode = KERB_VIEW_MODE_FRAME; break;
    default: break;
    }
    return TRUE;
}

/* The first frame of a stream: what could not be known before. */
static void kerb_view_opened(KerbView *v)
{
    v->opened = TRUE;
    kerb_view_choice_clear(&v->before);
    v->length_ns = kerb_view_stream_length_ns(v->stream);
    kerb_view_set_title(v);
    if (v->record_file) {
        kerb_view_record_begin(v, v->record_file);
        g_clear_pointer(&v->record_file, g_free);
    }
}

static gboolean kerb_view_accept(KerbView *v)
{
    gboolean first = !v->window;
    if (first && !kerb_view_open_window(v)) return FALSE;
    if (!kerb_view_take_classes(v)) return FALSE;
    if (first && v->start_paused) v->paused = TRUE;
    if (!v->picture || !kerb_view_picture_fits(v->picture, &v->frame.mapped.info)) {
        kerb_view_picture_free(&v->picture);
        v->picture = kerb_view_picture_new(kerb_view_window_renderer(v->window), &v->frame.mapped.info);
        if (!v->picture) return FALSE;
    }
    if (!v->opened) kerb_view_opened(v);
    return TRUE;
}

/* ---------------------------------------------------------------------------------------------------------------- pace */

/* Whether the next frame's time has come. Live ones are shown as they come. */
static gboolean kerb_view_is_due(KerbView *v, GstSample *next)
{
    if (v->stream->source->live || v->one || v->frames_wanted) return TRUE;
    gint64 now = g_get_monotonic_time(), time = kerb_view_sample_time_ns(next), due = v->pace_us + (time - v->pace_ns) / 1000;
    if (!v->pace_us || now - due > LATE_US) {
        v->pace_us = now;
        v->pace_ns = time;
        due = now;
    }
    return now >= due;
}

static void kerb_view_end(KerbView *v)
{
    v->one = v->stream->seeking = FALSE; /* a seek may find nothing where the sound is longer than the picture */
    if (v->ended) return;
    v->ended = v->paused = v->redraw = TRUE;
    if (v->frames_wanted || !v->stats.shown) v->quit = TRUE;
}

static void kerb_view_advance(KerbView *v)
{
    GstSample *next = kerb_view_stream_peek(v->stream, 2 * GST_MSECOND);
    if (!next) {
        if (kerb_view_stream_is_over(v->stream)) kerb_view_end(v);
        return;
    }
    if (!kerb_view_is_due(v, next)) return;
    if (!kerb_view_frame_take(&v->frame, kerb_view_stream_take(v->stream))) return;
    if (!kerb_view_accept(v)) {
        kerb_fault_clear(&v->fault);
        v->fault = (KerbFault){ KERB_FAULT_OUTPUT, KERB_EXIT_USAGE, NULL };
        v->quit = TRUE;
        return;
    }
    v->one = FALSE;
    kerb_view_stats_add(&v->stats, v->frame.meta ? &v->frame.meta->times : NULL, kerb_view_age_ms(v), g_get_monotonic_time());
    kerb_view_count(v);
    v->is_new = v->dirty = TRUE;
    if (v->seek_to_ns >= 0 && kerb_view_stream_can_seek(v->stream)) kerb_view_seek_to(v, v->seek_to_ns);
    v->seek_to_ns = -1;
}

/* ------------------------------------------------------------------------------------------------------------- main loop */

static void kerb_view_messages(KerbView *v)
{
    GstBus *bus = gst_element_get_bus(v->stream->pipeline);
    GstMessage *message;
    while ((message = gst_bus_pop(bus))) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) kerb_fault_read(&v->fault, message, v->stream->source, NULL);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ELEMENT) kerb_fault_note_missing(message, v->stream->source);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY) gst_bin_recalculate_latency(GST_BIN(v->stream->pipeline));
        gst_message_unref(message);
    }
    gst_object_unref(bus);
}

static void kerb_view_bus(KerbView *v)
{
    KerbSource *source = v->stream->source;
    kerb_view_messages(v);
    if (v->fault.side == KERB_FAULT_NONE && source->live && !v->paused && kerb_source_silence_s(source, v->stream->began_us) > SILENCE_S)
        v->fault = (KerbFault){ KERB_FAULT_SOURCE, KERB_EXIT_CAMERA, g_strdup_printf("%s has sent nothing for %.0f seconds.", source->text, SILENCE_S) };
    if (v->fault.side == KERB_FAULT_NONE) return;
    if (v->before.source && !v->opened) {
        kerb_view_go_back(v);
    } else if (v->fault.side == KERB_FAULT_SOURCE && v->opened && v->fault.exit_code == KERB_EXIT_ASSET) {
        kerb_warn("%s", v->fault.text); /* a damaged file: what came before its end can still be looked at */
        kerb_fault_clear(&v->fault);
        kerb_source_stop(source);
    }
    if (v->fault.side != KERB_FAULT_NONE) v->quit = TRUE;
}

static void kerb_view_draw(KerbView *v)
{
    gint64 now = g_get_monotonic_time();
    if (v->dirty) kerb_view_picture_set(v->picture, &v->frame, &v->display, v->mode, v->is_new);
    KerbViewScene scene = kerb_view_scene(v);
    kerb_view_window_show(v->window, &scene);
    v->dirty = v->is_new = v->redraw = FALSE;
    v->drawn_us = now;
}

/* Whether all that was asked for is on the screen. */
static gboolean kerb_view_is_settled(KerbView *v)
{
    return v->opened && v->picture && !v->dirty && !v->redraw && !v->one && !v->stream->seeking && v->seek_to_ns < 0 && !v->before.source;
}

static void kerb_view_play_script(KerbView *v)
{
    if (!v->script || v->quit || !kerb_view_is_settled(v)) return;
    KerbViewScriptWish wish = kerb_view_script_next(v->script, v->stats.shown);
    if (wish.what == KERB_SCRIPT_RESIZE) kerb_view_window_resize(v->window, wish.width, wish.height);
    if (wish.what == KERB_SCRIPT_SHOT) kerb_view_save(v, wish.path);
    if (wish.what == KERB_SCRIPT_STATE) kerb_view_print_state(v);
}

static void kerb_view_turn(KerbView *v)
{
    SDL_Event event;
    gboolean runs = !v->ended && (!v->paused || v->one);
    /* Asleep where nothing moves; a video's frames are waited for in advance(). */
    if (!runs && SDL_WaitEventTimeout(&event, v->script ? 1 : 20)) kerb_view_event(v, &event);
    while (SDL_PollEvent(&event)) kerb_view_event(v, &event);
    gint64 before = v->stats.shown;
    if (!v->ended && (!v->paused || v->one) && !v->quit) kerb_view_advance(v);
    kerb_view_record_look(v);
    gint64 now = g_get_monotonic_time();
    gboolean ages = v->stream->source->live || v->record, notice_over = v->notice && now > v->notice_until_us;
    if (notice_over) g_clear_pointer(&v->notice, g_free);
    if ((ages && now - v->drawn_us > LIVE_REDRAW_US) || notice_over) v->redraw = TRUE;
    if ((v->dirty || v->redraw) && v->window && v->picture && v->frame.sample)
        kerb_view_draw(v);
    else if (runs && v->stats.shown == before)
        SDL_Delay(1);
    if (v->frames_wanted && v->stats.shown >= v->frames_wanted) v->quit = TRUE;
    kerb_view_play_script(v);
}

static int kerb_view_loop(KerbView *v)
{
    kerb_view_stream_start(v->stream);
    while (!v->quit) {
        kerb_view_turn(v);
        kerb_view_bus(v);
    }
    if (v->fault.side != KERB_FAULT_NONE) {
        if (v->fault.text) kerb_say("%s", v->fault.text);
        return v->fault.exit_code;
    }
    if (!v->stats.shown && v->ended) {
        kerb_say("%s has no frame that can be decoded.", v->stream->source->text);
        return KERB_EXIT_ASSET;
    }
    if (v->screenshot && !kerb_view_save(v, v->screenshot)) return KERB_EXIT_STORAGE;
    return KERB_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------------------- command line */

/* Xlib ends the program where the X server goes away. What is being recorded is finished first. */
static KerbView *kerb_view_on_display;

static void kerb_view_display_lost(void)
{
    KerbView *v = kerb_view_on_display;
    if (!v) return;
    kerb_view_on_display = NULL;
    kerb_view_finish_recording(v);
    kerb_say("the display is gone, and the view with it.");
    fflush(NULL);
    _exit(KERB_EXIT_INTERNAL);
}

static int kerb_view_build(KerbView *v, const gchar *text)
{
    int exit_code = KERB_EXIT_INTERNAL;
    if (v->script_file && !(v->script = kerb_view_script_new(v->script_file))) return KERB_EXIT_USAGE;
    if (v->headless && !v->frames_wanted && !v->script) {
        kerb_say("--headless shows nothing to anybody, and nobody could end it: give --frames N or --script FILE as well.");
        return KERB_EXIT_USAGE;
    }
    if (v->record_file && (exit_code = kerb_recording_check(&(KerbRecordingSettings){ .path = v->record_file }, NULL))) return exit_code;
    if (!kerb_plugin_load()) return KERB_EXIT_INTERNAL;
    kerb_say_log(v->options.verbose);
    v->stream = kerb_view_stream_new(text, &v->options, kerb_view_tap, v, &exit_code);
    if (!v->stream) return exit_code;
    if (v->options.max_age_ms > 0) v->stale_ms = MIN(v->stale_ms, v->options.max_age_ms);
    return kerb_view_display_open(v->headless) ? KERB_EXIT_OK : KERB_EXIT_USAGE;
}

static void kerb_view_clear(KerbView *v)
{
    if (v->stream) kerb_view_finish_recording(v);
    kerb_view_frame_clear(&v->frame);
    kerb_view_stream_free(&v->stream);
    kerb_view_picture_free(&v->picture);
    kerb_view_window_free(&v->window);
    kerb_view_script_free(&v->script);
    kerb_view_scene_clear(v);
    kerb_view_choice_clear(&v->before);
    kerb_fault_clear(&v->fault);
    kerb_options_clear(&v->options);
    g_mutex_clear(&v->record_lock);
    gchar *texts[] = { v->notice, v->screenshot, v->script_file, v->folder, v->record_file };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) g_free(texts[i]);
    g_free(v->classes);
    SDL_Quit();
}

static int kerb_view_run(const KerbCommand *command, int argc, char **argv)
{
    KerbView v = { .show_corner = TRUE, .divider = 0.5, .mouse_x = -1, .mouse_y = -1, .seek_to_ns = -1, .stale_ms = STALE_MS };
    g_mutex_init(&v.record_lock);
    const GOptionEntry own[] = {
        { "pause", 0, 0, G_OPTION_ARG_NONE, &v.start_paused, "Stand still on the first frame", NULL },
        { "fullscreen", 0, 0, G_OPTION_ARG_NONE, &v.start_full, "Fill the screen", NULL },
        { "folder", 0, 0, G_OPTION_ARG_FILENAME, &v.folder, "Where screenshots (s) and recordings (r) go (default: here)", "FOLDER" },
        { "record", 0, 0, G_OPTION_ARG_FILENAME, &v.record_file, "Record from the first frame on", "FILE.mkv" },
        { "frames", 0, 0, G_OPTION_ARG_INT64, &v.frames_wanted, "Show so many frames, as fast as they come, and quit", "N" },
        { "screenshot", 0, 0, G_OPTION_ARG_FILENAME, &v.screenshot, "Write what the window shows at the end", "FILE.png" },
        { "headless", 0, 0, G_OPTION_ARG_NONE, &v.headless, "No display: draw into memory (with --frames or --script)", NULL },
        { "script", 0, 0, G_OPTION_ARG_FILENAME, &v.script_file, "Keys and mouse from a file, for tests and demonstrations (docs/live.md)", "FILE" },
        { 0 },
    };
    KerbCommand with_keys = *command;
    gchar *keys = kerb_view_keys_text(), *description = g_strdup_printf("%s\n%s", keys, command->description);
    with_keys.description = description;
    int exit_code;
    if (kerb_options_parse(&with_keys, &v.options, KERB_OPTIONS_NETWORK | KERB_OPTIONS_DISPLAY | KERB_OPTIONS_SOURCE | KERB_OPTIONS_QUIET | KERB_OPTIONS_LIVE, own, argc, argv, &exit_code)) {
        const gchar *source = kerb_options_single(command, &v.options, "SOURCE");
        exit_code = source ? kerb_view_build(&v, source) : KERB_EXIT_USAGE;
        if (!exit_code) {
            kerb_view_on_display = &v;
            atexit(kerb_view_display_lost);
            exit_code = kerb_view_loop(&v);
            kerb_view_on_display = NULL;
        }
    }
    kerb_view_clear(&v);
    g_free(description);
    g_free(keys);
    return exit_code ? exit_code : v.recording_failed ? KERB_EXIT_STORAGE : KERB_EXIT_OK;
}

const KerbCommand kerb_command_view = {
    .name = "view",
    .arguments = "SOURCE",
    .summary = "Show a video or camera with its segmentation in a window",
    .description = "Examples:\n"
                   "  kerb view drive.mp4\n"
                   "  kerb view drive.mp4 --model net.onnx\n"
                   "  kerb view /dev/video0 --alpha 0.7 --classes road,lane\n"
                   "  kerb view test:rain\n"
                   "  kerb view test: --headless --frames 30 --screenshot shot.png      no display needed\n",
    .run = kerb_view_run,
};
