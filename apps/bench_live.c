/* SPDX-License-Identifier: MIT */
/* `kerb bench --live`: a camera that is simulated, kerbseg in a live mode, and what became of every frame. Frames lie in memory and are sent at their
 * time by a thread of their own, whatever the element does, as a camera would; forwards and backwards in turn, so that motion goes on where the
 * clip ends. Their time stamps are the nominal ones. The first frame goes alone and is waited for: compiling is not part of a live stream. */
#include "bench.h"
#include "fault.h"
#include "progress.h"
#include "options_live.h"
#include "say.h"

#include <gst/app/app.h>
#include <kerbmeta.h>
#include <jansson.h>
#include <stdio.h>

/* A wait for the first frame's labels, and for the last frames. */
#define PATIENCE_US (60 * G_USEC_PER_SEC)
#define NO_AGE G_MININT64

/* What is known of one frame. */
typedef struct KerbBenchLiveFrame {
    gint64 sent_us, came_us; /* monotonic; came_us 0: lost */
    gint64 age_ns;           /* of its labels; NO_AGE: it had none */
} KerbBenchLiveFrame;

typedef struct KerbBenchLive {
    const KerbOptions *options;
    const KerbBenchFrames *frames;
    gdouble fps;
    GstElement *pipeline, *appsrc, *kerbseg;
    guint64 n;
    KerbBenchLiveFrame *log; /* of n frames; sent_us is the sender's, the rest the receiver's, until all is over */
    gint arrived;            /* atomic */
} KerbBenchLive;

/* -------------------------------------------------------------------------------------------------------------- running */

static void kerb_bench_live_send(KerbBenchLive *b, guint64 i)
{
    guint n = b->frames->n, turn = n > 1 ? (guint)(i % (2 * n - 2)) : 0;
    GstBuffer *buffer = gst_buffer_copy(b->frames->buffers[turn < n ? turn : 2 * n - 2 - turn]);
    GST_BUFFER_PTS(buffer) = (GstClockTime)((gdouble)i * 1e9 / b->fps);
    GST_BUFFER_DURATION(buffer) = (GstClockTime)(1e9 / b->fps);
    GST_BUFFER_OFFSET(buffer) = i;
    b->log[i].sent_us = g_get_monotonic_time();
    gst_app_src_push_buffer(GST_APP_SRC(b->appsrc), buffer);
}

static GstPadProbeReturn kerb_bench_live_arrival(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbBenchLive *b = user;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    guint64 i = GST_BUFFER_OFFSET(buffer);
    if (i >= b->n) return GST_PAD_PROBE_OK;
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    b->log[i].came_us = g_get_monotonic_time();
    b->log[i].age_ns = meta ? ABS(meta->age) : NO_AGE;
    g_atomic_int_inc(&b->arrived);
    return GST_PAD_PROBE_OK;
}

static guint64 kerb_bench_live_stat(KerbBenchLive *b, const char *name)
{
    GstStructure *stats = NULL;
    guint64 value = 0;
    g_object_get(b->kerbseg, "stats", &stats, NULL);
    gst_structure_get_uint64(stats, name, &value);
    gst_structure_free(stats);
    return value;
}

/* The error on the bus, said; KERB_EXIT_OK where there is none. */
static int kerb_bench_live_fault(KerbBenchLive *b)
{
    GstBus *bus = gst_element_get_bus(b->pipeline);
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    int exit_code = message ? KERB_EXIT_INTERNAL : KERB_EXIT_OK;
    if (message) {
        GError *error = NULL;
        const GstStructure *details = NULL;
        gst_message_parse_error(message, &error, NULL);
        gst_message_parse_error_details(message, &details);
        if (details) gst_structure_get_int(details, "exit-code", &exit_code);
        kerb_say("%s", error->message);
        g_clear_error(&error);
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return exit_code;
}

/* Frames at their time. */
static int kerb_bench_live_run(KerbBenchLive *b)
{
    int exit_code = KERB_EXIT_OK;
    gint64 began_us = g_get_monotonic_time();
    kerb_bench_live_send(b, 0);
    while (!exit_code && !kerb_bench_live_stat(b, "inferred") && g_get_monotonic_time() - began_us < PATIENCE_US) {
        g_usleep(5000);
        exit_code = kerb_bench_live_fault(b);
    }
    gint64 start_us = g_get_monotonic_time();
    for (guint64 i = 1; i < b->n && !exit_code; i++) {
        gint64 due_us = start_us + (gint64)((gdouble)i * 1e6 / b->fps), now_us = g_get_monotonic_time();
        if (due_us > now_us) g_usleep((gulong)(due_us - now_us));
        kerb_bench_live_send(b, i);
        if (i % 32 == 0) exit_code = kerb_bench_live_fault(b);
    }
    for (began_us = g_get_monotonic_time(); !exit_code && g_get_monotonic_time() - began_us < G_USEC_PER_SEC * 2;) {
        if ((guint64)g_atomic_int_get(&b->arrived) >= b->n) break;
        g_usleep(5000);
    }
    return exit_code ? exit_code : kerb_bench_live_fault(b);
}

/* --------------------------------------------------------------------------------------------------------------- report */

typedef struct KerbBenchLiveReport {
    guint64 sent, lost, unlabelled;
    gdouble seconds, fps;
    GArray *ages, *latencies; /* of gint64, ns */
} KerbBenchLiveReport;

static void kerb_bench_live_evaluate(const KerbBenchLive *b, KerbBenchLiveReport *r)
{
    gint64 first_us = 0, last_us = 0;
    for (guint64 i = 1; i < b->n; i++) { /* the first frame was not part of the stream */
        const KerbBenchLiveFrame *f = &b->log[i];
        r->sent++;
        if (!f->came_us) {
            r->lost++;
            continue;
        }
        gint64 latency_ns = (f->came_us - f->sent_us) * 1000;
        if (!first_us) first_us = f->came_us;
        last_us = f->came_us;
        g_array_append_val(r->latencies, latency_ns);
        if (f->age_ns == NO_AGE)
            r->unlabelled++;
        else
            g_array_append_val(r->ages, f->age_ns);
    }
    r->seconds = (gdouble)(last_us - first_us) / 1e6;
    if (r->seconds > 0) r->fps = (gdouble)(r->latencies->len - 1) / r->seconds;
}

static json_t *kerb_bench_live_quantiles(GArray *ns)
{
    return json_pack("{s:f, s:f, s:f}", "median", kerb_bench_quantile(ns, 0.5), "p99", kerb_bench_quantile(ns, 0.99), "max", kerb_bench_quantile(ns, 1));
}

static void kerb_bench_live_print(KerbBenchLive *b, const KerbBenchLiveReport *r, const char *machine)
{
    GstStructure *stats = NULL;
    gint width = 0, height = 0;
    g_object_get(b->kerbseg, "stats", &stats, NULL);
    gst_structure_get_int(stats, "network-width", &width);
    gst_structure_get_int(stats, "network-height", &height);
    const gchar *backend = gst_structure_get_string(stats, "backend"), *mode = gst_structure_get_string(stats, "live-mode");
    guint64 inferred = kerb_bench_live_stat(b, "inferred");
    gdouble inference_fps = r->seconds > 0 ? (gdouble)inferred / r->seconds : 0;
    if (b->options->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:I, s:I, s:I, s:f, s:o, s:o}", "model", b->options->model, "machine", machine,
                                 "backend", backend, "live_mode", mode, "width", b->frames->info.width, "height", b->frames->info.height, "network_width", width,
                                 "network_height", height, "seconds", r->seconds, "fps", r->fps, "frames", (json_int_t)r->sent, "lost", (json_int_t)r->lost,
                                 "without_labels", (json_int_t)r->unlabelled, "inference_fps", inference_fps, "age_ms", kerb_bench_live_quantiles(r->ages),
                                 "latency_ms", kerb_bench_live_quantiles(r->latencies));
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(root);
    } else {
        printf("%s\n%s (%s): frames %d x %d I420 at %g fps, live-mode=%s, network %d x %d\n\n", machine, b->options->model, backend, b->frames->info.width,
               b->frames->info.height, b->fps, mode, width, height);
        printf("  %.1f s: %.2f fps out, %" G_GUINT64_FORMAT " frames sent, %" G_GUINT64_FORMAT " lost, %" G_GUINT64_FORMAT " without labels; %.1f inferred a second\n",
               r->seconds, r->fps, r->sent, r->lost, r->unlabelled, inference_fps);
        printf("  %-14s %10s %10s %10s  ms\n", "", "median", "p99", "max");
        printf("  %-14s %10.3f %10.3f %10.3f\n", "age of labels", kerb_bench_quantile(r->ages, 0.5), kerb_bench_quantile(r->ages, 0.99), kerb_bench_quantile(r->ages, 1));
        printf("  %-14s %10.3f %10.3f %10.3f\n", "latency added", kerb_bench_quantile(r->latencies, 0.5), kerb_bench_quantile(r->latencies, 0.99),
               kerb_bench_quantile(r->latencies, 1));
    }
    gst_structure_free(stats);
}

static gboolean kerb_bench_live_build(KerbBenchLive *b)
{
    GstElement *sink = kerb_element("fakesink");
    b->pipeline = gst_pipeline_new("live");
    if (!b->options->quiet) kerb_progress_watch(b->pipeline);
    b->appsrc = kerb_element("appsrc");
    b->kerbseg = kerb_element("kerbseg");
    if (!b->appsrc || !b->kerbseg || !sink) return FALSE;
    gst_bin_add_many(GST_BIN(b->pipeline), b->appsrc, b->kerbseg, sink, NULL);
    GstVideoInfo info = b->frames->info;
    gst_util_double_to_fraction(b->fps, &info.fps_n, &info.fps_d);
    GstCaps *caps = gst_video_info_to_caps(&info);
    /* Nothing is thrown away here, however late the element is: that would be lost frames of the bench's own making. */
    g_object_set(b->appsrc, "caps", caps, "format", GST_FORMAT_TIME, "is-live", TRUE, "max-bytes", (guint64)0, NULL);
    gst_caps_unref(caps);
    g_object_set(sink, "sync", FALSE, NULL);
    kerb_options_apply(b->options, b->kerbseg);
    kerb_options_apply_live(b->options, TRUE, b->kerbseg);
    gst_element_link_many(b->appsrc, b->kerbseg, sink, NULL);
    GstPad *pad = gst_element_get_static_pad(sink, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_bench_live_arrival, b, NULL);
    gst_object_unref(pad);
    return TRUE;
}

int kerb_bench_live(const KerbOptions *options, const KerbBenchFrames *frames, gdouble fps, gdouble seconds, const char *machine)
{
    KerbBenchLive b = { .options = options, .frames = frames, .fps = fps, .n = (guint64)(seconds * fps) + 2 };
    KerbBenchLiveReport r = { .ages = g_array_new(FALSE, FALSE, sizeof(gint64)), .latencies = g_array_new(FALSE, FALSE, sizeof(gint64)) };
    int exit_code = KERB_EXIT_INTERNAL;
    b.log = g_new0(KerbBenchLiveFrame, b.n);
    if (kerb_bench_live_build(&b)) {
        GstStateChangeReturn change = gst_element_set_state(b.pipeline, GST_STATE_PLAYING);
        exit_code = change == GST_STATE_CHANGE_FAILURE ? kerb_bench_live_fault(&b) : kerb_bench_live_run(&b);
        if (!exit_code) {
            kerb_bench_live_evaluate(&b, &r);
            kerb_bench_live_print(&b, &r, machine);
        }
        gst_element_set_state(b.pipeline, GST_STATE_NULL);
    }
    gst_object_unref(b.pipeline);
    g_array_free(r.ages, TRUE);
    g_array_free(r.latencies, TRUE);
    g_free(b.log);
    return exit_code;
}
