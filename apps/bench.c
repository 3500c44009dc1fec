/* SPDX-License-Identifier: MIT */
/* `kerb bench`: how long a frame takes, stage by stage, for the library and for the element. Frames are made beforehand: neither decoding nor drawing the
 * synthetic drive is in the figures. This file: the command line, the frames, the report. */
#include "bench.h"
#include "fault.h"
#include "models.h"
#include "say.h"
#include "source.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* -------------------------------------------------------------------------------------------------------------- frames */

/* Some frames before an error are enough. */
static int kerb_bench_pull(KerbBenchFrames *frames, KerbSource *source, GstElement *pipeline, GstElement *sink)
{
    KerbFault fault = { 0 };
    GstSample *sample;
    int exit_code = KERB_EXIT_OK;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (frames->n < frames->most && (sample = kerb_fault_pull(&fault, source, pipeline, sink))) {
        gst_video_info_from_caps(&frames->info, gst_sample_get_caps(sample));
        frames->buffers[frames->n++] = gst_buffer_copy_deep(gst_sample_get_buffer(sample));
        gst_sample_unref(sample);
    }
    if (!frames->n && fault.text) {
        kerb_say("%s", fault.text);
        exit_code = fault.exit_code;
    } else if (!frames->n) {
        kerb_say("%s has no frame that can be decoded.", source->text);
        exit_code = KERB_EXIT_ASSET;
    }
    kerb_fault_clear(&fault);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    return exit_code;
}

int kerb_bench_frames_read(KerbBenchFrames *frames, const char *text, gint width, gint height, gdouble rate)
{
    int exit_code = KERB_EXIT_INTERNAL;
    gchar *drive = text ? g_strdup(text) : g_strdup_printf("test:?size=%dx%d", width, height);
    KerbSource *source = kerb_source_new(drive, rate, 0, &exit_code);
    g_free(drive);
    if (!source) return exit_code;
    GstElement *pipeline = gst_pipeline_new("frames"), *convert = kerb_element("videoconvert"), *scale = kerb_element("videoscale"), *sink = kerb_element("appsink");
    if (convert && scale && sink) {
        GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", NULL);
        if (width) gst_caps_set_simple(caps, "width", G_TYPE_INT, width, "height", G_TYPE_INT, height, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
        g_object_set(scale, "add-borders", FALSE, NULL);
        g_object_set(sink, "caps", caps, "sync", FALSE, "max-buffers", 2u, NULL);
        gst_caps_unref(caps);
        gst_bin_add_many(GST_BIN(pipeline), source->bin, convert, scale, sink, NULL);
        gst_element_link_many(source->bin, convert, scale, sink, NULL);
        exit_code = kerb_bench_pull(frames, source, pipeline, sink);
    }
    gst_object_unref(pipeline);
    kerb_source_free(&source);
    return exit_code;
}

void kerb_bench_frames_clear(KerbBenchFrames *frames)
{
    while (frames->n) gst_buffer_unref(frames->buffers[--frames->n]);
}

/* The size that the model asks for; 640 x 360 where it leaves that open. Returns an exit code. */
static int kerb_bench_default_size(const KerbOptions *o, gint *width, gint *height)
{
    KerbConfig config;
    KerbError error = { 0 };
    KerbPipeline *pipeline;
    KerbStats stats;
    kerb_options_config(o, &config);
    KerbStatus status = kerb_open(&pipeline, &config, &error);
    if (status != KERB_OK) {
        kerb_say("%s", error.message);
        return kerb_exit_code(status);
    }
    kerb_get_stats(pipeline, &stats);
    *width = stats.network_width_px ? stats.network_width_px : 640;
    *height = stats.network_height_px ? stats.network_height_px : 360;
    kerb_close(&pipeline);
    return KERB_EXIT_OK;
}

/* -------------------------------------------------------------------------------------------------------------- report */

static int kerb_bench_order(const void *a, const void *b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return (x > y) - (x < y);
}

gdouble kerb_bench_quantile(GArray *ns, gdouble q)
{
    if (!ns->len) return 0;
    qsort(ns->data, ns->len, sizeof(gint64), kerb_bench_order);
    guint rank = (guint)(q * ns->len + 0.999999);
    return (gdouble)g_array_index(ns, gint64, CLAMP(rank, 1, ns->len) - 1) / 1e6;
}

static gdouble kerb_bench_fps(const KerbBench *b)
{
    return b->elapsed_s > 0 ? b->ns[0]->len / b->elapsed_s : 0;
}

static const char *const kerb_bench_names[KERB_BENCH_SERIES] = { "frame", "up", "in", "net", "out", "down", "total", "smooth" };

static json_t *kerb_bench_quantiles_json(GArray *ns)
{
    return json_pack("{s:f, s:f, s:f}", "median", kerb_bench_quantile(ns, 0.5), "p99", kerb_bench_quantile(ns, 0.99), "min", kerb_bench_quantile(ns, 0));
}

static json_t *kerb_bench_json(const KerbBench *b)
{
    json_t *stages = json_object();
    for (int i = KERB_BENCH_UP; i < KERB_BENCH_SERIES; i++) json_object_set_new(stages, kerb_bench_names[i], kerb_bench_quantiles_json(b->ns[i]));
    const KerbStats *s = &b->stats;
    return json_pack("{s:i, s:o, s:o, s:f, s:s, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:b}", "n", (int)b->ns[0]->len, "frame_ms",
                     kerb_bench_quantiles_json(b->ns[KERB_BENCH_FRAME]), "stages_ms", stages, "fps", kerb_bench_fps(b), "backend", s->backend, "open_s", b->open_s,
                     "compile_s", (double)s->compile_ns / 1e9, "up_bytes", (json_int_t)s->up_bytes, "down_bytes", (json_int_t)s->down_bytes, "host_copy_bytes",
                     (json_int_t)s->host_copy_bytes, "device_bytes", (json_int_t)s->device_bytes, "pinned_bytes", (json_int_t)s->pinned_bytes, "replays",
                     (int)s->replays);
}

static void kerb_bench_print(const KerbBench *b, const char *path)
{
    const KerbStats *s = &b->stats;
    gboolean moves = s->up_bytes || s->down_bytes || s->device_bytes, smooths = kerb_bench_quantile(b->ns[KERB_BENCH_SMOOTH], 1) > 0;
    printf("\n%s: %u frames, %.1f fps (%s), opened in %.2f s\n", path, b->ns[0]->len, kerb_bench_fps(b), s->backend, b->open_s);
    printf("  %-8s %10s %10s %10s  ms\n", "", "median", "p99", "min");
    for (int i = 0; i < KERB_BENCH_SERIES; i++) {
        gboolean is_there = i == KERB_BENCH_UP || i == KERB_BENCH_DOWN ? moves : i != KERB_BENCH_SMOOTH || smooths;
        if (is_there) printf("  %-8s %10.3f %10.3f %10.3f%s\n", kerb_bench_names[i], kerb_bench_quantile(b->ns[i], 0.5), kerb_bench_quantile(b->ns[i], 0.99),
                             kerb_bench_quantile(b->ns[i], 0), i == KERB_BENCH_SMOOTH ? "  (a part of out)" : "");
    }
    if (moves)
        printf("  a frame moves %.2f MB up and %.2f MB down, %.2f MB on the host; device memory %.1f MB, page-locked %.1f MB; %s\n", (double)s->up_bytes / 1e6,
               (double)s->down_bytes / 1e6, (double)s->host_copy_bytes / 1e6, (double)s->device_bytes / 1e6, (double)s->pinned_bytes / 1e6,
               s->replays ? "one graph a frame" : "single launches");
}

/* "AMD EPYC 9R14 (2 of 2 cores)" is said by the device list: of the backend that is wished, else of the first that works. */
static void kerb_bench_machine(const KerbOptions *o, char *text, gsize bytes)
{
    KerbDevice devices[32];
    int n = MIN(kerb_devices(devices, 32), 32);
    const char *backend = o->backend && g_strcmp0(o->backend, "auto") ? o->backend : NULL;
    *text = 0;
    for (int i = 0; i < n && !*text; i++)
        if (devices[i].usable && (backend ? !g_strcmp0(devices[i].name, backend) && (!devices[i].memory_bytes || devices[i].id == o->device) : TRUE))
            g_strlcpy(text, devices[i].description, bytes);
}

typedef struct KerbBenchWish {
    gboolean library, element, live;
    gdouble live_fps;
    gchar *size, *source;
    gint64 frames;
    gdouble seconds;
} KerbBenchWish;

static int kerb_bench_measure(const KerbOptions *o, const KerbBenchWish *wish, const KerbBenchFrames *frames, const char *machine)
{
    static const struct {
        const char *name;
        int (*run)(KerbBench *bench);
    } paths[] = { { "library", kerb_bench_library }, { "element", kerb_bench_element } };
    const gboolean wanted[] = { wish->library, wish->element };
    int exit_code = KERB_EXIT_OK;
    json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:s, s:i}", "model", o->model, "machine", machine, "width", frames->info.width, "height", frames->info.height,
                             "format", "I420", "threads", o->threads);
    for (int i = 0; i < 2 && !exit_code; i++) {
        KerbBench b;
        if (!wanted[i]) continue;
        kerb_bench_init(&b, o, frames, wish->frames, wish->seconds);
        exit_code = paths[i].run(&b);
        if (!exit_code && !json_object_get(root, "network_width")) {
            json_object_set_new(root, "network_width", json_integer(b.stats.network_width_px));
            json_object_set_new(root, "network_height", json_integer(b.stats.network_height_px));
            if (!o->json) printf("%s\n%s: frames %d x %d I420, network %d x %d, overlay drawn\n", machine, o->model, frames->info.width, frames->info.height,
                                 b.stats.network_width_px, b.stats.network_height_px);
        }
        if (!exit_code && o->json) json_object_set_new(root, paths[i].name, kerb_bench_json(&b));
        if (!exit_code && !o->json) kerb_bench_print(&b, paths[i].name);
        kerb_bench_clear(&b);
    }
    if (o->json && !exit_code) {
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
    json_decref(root);
    return exit_code;
}

static int kerb_bench_all(const KerbOptions *o, KerbBenchWish *wish)
{
    gint width = 0, height = 0;
    KerbBenchFrames frames = { .most = wish->live ? KERB_BENCH_LIVE_FRAMES : KERB_BENCH_FRAMES };
    char machine[sizeof((KerbDevice *)0)->description];
    if (o->arguments[0]) {
        kerb_say("kerb bench takes no argument (\"%s\"): frames come from --source SOURCE.", o->arguments[0]);
        return KERB_EXIT_USAGE;
    }
    if (wish->frames < 0 || !(wish->seconds > 0)) {
        kerb_say("--frames and --seconds are numbers above 0.");
        return KERB_EXIT_USAGE;
    }
    if (wish->live && (wish->library || wish->element || wish->frames)) {
        kerb_say("--live measures a stream of --seconds at --live-fps; it goes without --library, --element and --frames.");
        return KERB_EXIT_USAGE;
    }
    if (!(wish->live_fps >= 1 && wish->live_fps <= 1000)) {
        kerb_say("--live-fps=%g is outside 1 to 1000 frames a second.", wish->live_fps);
        return KERB_EXIT_USAGE;
    }
    if (wish->size && !kerb_options_size("--size", wish->size, &width, &height)) return KERB_EXIT_USAGE;
    if (!wish->library && !wish->element) wish->library = wish->element = TRUE;
    if (!kerb_plugin_load()) return KERB_EXIT_INTERNAL;
    kerb_say_log(o->verbose);
    int exit_code = wish->size || wish->source ? KERB_EXIT_OK : kerb_bench_default_size(o, &width, &height);
    if (!exit_code) exit_code = kerb_bench_frames_read(&frames, wish->source, width, height, o->rate);
    kerb_bench_machine(o, machine, sizeof machine);
    if (!exit_code && wish->live) exit_code = kerb_bench_live(o, &frames, wish->live_fps, wish->seconds, machine);
    else if (!exit_code) exit_code = kerb_bench_measure(o, wish, &frames, machine);
    kerb_bench_frames_clear(&frames);
    return exit_code;
}

static int kerb_bench_run(const KerbCommand *command, int argc, char **argv)
{
    KerbBenchWish wish = { .seconds = 5, .live_fps = 30 };
    const GOptionEntry own[] = {
        { "library", 0, 0, G_OPTION_ARG_NONE, &wish.library, "Measure the library (default: both)", NULL },
        { "element", 0, 0, G_OPTION_ARG_NONE, &wish.element, "Measure the element kerbseg", NULL },
        { "live", 0, 0, G_OPTION_ARG_NONE, &wish.live, "Measure a live stream: rate, lost frames, age of labels, latency", NULL },
        { "live-fps", 0, 0, G_OPTION_ARG_DOUBLE, &wish.live_fps, "Frames a second of the live stream (default 30)", "FPS" },
        { "size", 0, 0, G_OPTION_ARG_STRING, &wish.size, "Size of the frames (default: the network's input, or the source's)", "WxH" },
        { "source", 0, 0, G_OPTION_ARG_FILENAME, &wish.source, "Take the first 16 (--live: 64) frames of this (default: the synthetic drive)", "SOURCE" },
        { "frames", 0, 0, G_OPTION_ARG_INT64, &wish.frames, "Measure so many frames, each", "N" },
        { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &wish.seconds, "Measure so long, each (default 5)", "S" },
        { 0 },
    };
    KerbOptions o;
    int exit_code;
    if (kerb_options_parse(command, &o, KERB_OPTIONS_NETWORK | KERB_OPTIONS_DISPLAY | KERB_OPTIONS_SOURCE | KERB_OPTIONS_JSON | KERB_OPTIONS_QUIET | KERB_OPTIONS_LIVE, own,
                           argc, argv, &exit_code))
        exit_code = kerb_bench_all(&o, &wish);
    kerb_options_clear(&o);
    g_free(wish.size);
    g_free(wish.source);
    return exit_code;
}

const KerbCommand kerb_command_bench = {
    .name = "bench",
    .arguments = "",
    .summary = "Measure how long a frame takes, stage by stage",
    .description = "Examples:\n"
                   "  kerb bench --threads 2\n"
                   "  kerb bench --model net.onnx\n"
                   "  kerb bench --element --size 1280x720 --seconds 10 --json\n"
                   "  kerb bench --source drive.mp4 --precision bf16 --frames 300\n"
                   "  kerb bench --live --source drive.mp4 --size 1280x720 --seconds 600\n\n"
                   "frame: from one finished frame to the next, with the ring full; up, in, net, out, down: the stages of one frame; total: their sum (on a GPU\n"
                   "neighbouring frames overlap: frame is less). smooth: the part of out that --smoothing takes.\n"
                   "Frames are made beforehand, the first half second is not counted, p99 is by nearest rank.\n"
                   "--live: frames are sent at their time, whatever the element does. age: how much older the frame is that the labels come from; latency: from\n"
                   "sending to arriving behind the element.\n",
    .run = kerb_bench_run,
};
