/* SPDX-License-Identifier: MIT */
/* The two ways of a frame that `kerb bench` times: kerb.h called directly, and kerbseg in a pipeline. Both draw the overlay into another buffer than the
 * frame's, keep the ring full, and are timed from one finished frame to the next. */
#include "bench.h"
#include "fault.h"
#include "say.h"

#include <gst/app/app.h>
#include <kerbmeta.h>
#include <string.h>
#include <time.h>

/* Caches, clocks and pools settle: at least so many frames and so long are not counted. */
#define WARM_FRAMES 3
#define WARM_US (G_USEC_PER_SEC / 2)
#define LEAST_FRAMES 3

static gint64 kerb_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (gint64)t.tv_sec * 1000000000 + t.tv_nsec;
}

void kerb_bench_init(KerbBench *b, const KerbOptions *options, const KerbBenchFrames *frames, gint64 frames_wanted, gdouble seconds)
{
    *b = (KerbBench){ .options = options, .frames = frames, .frames_wanted = frames_wanted, .seconds = seconds };
    for (int i = 0; i < KERB_BENCH_SERIES; i++) b->ns[i] = g_array_sized_new(FALSE, FALSE, sizeof(gint64), 4096);
}

void kerb_bench_clear(KerbBench *b)
{
    for (int i = 0; i < KERB_BENCH_SERIES; i++)
        if (b->ns[i]) g_array_free(g_steal_pointer(&b->ns[i]), TRUE);
}

gboolean kerb_bench_add(KerbBench *b, const KerbTimes *times)
{
    gint64 now = kerb_now_ns();
    if (!b->seen++) b->warm_us = g_get_monotonic_time();
    gboolean warm = b->began_ns || (b->seen > WARM_FRAMES && g_get_monotonic_time() - b->warm_us >= WARM_US);
    if (!warm) return TRUE;
    if (!b->began_ns) { /* the frame from whose end on time counts */
        b->began_ns = b->last_ns = now;
        return TRUE;
    }
    gint64 values[KERB_BENCH_SERIES] = { now - b->last_ns, times->in_ns, times->net_ns, times->out_ns, times->in_ns + times->net_ns + times->out_ns };
    for (int i = 0; i < KERB_BENCH_SERIES; i++) g_array_append_val(b->ns[i], values[i]);
    b->last_ns = now;
    b->elapsed_s = (gdouble)(now - b->began_ns) / 1e9;
    guint n = b->ns[0]->len;
    return b->frames_wanted ? n < b->frames_wanted : n < LEAST_FRAMES || b->elapsed_s < b->seconds;
}

static void kerb_bench_note(KerbBench *b, const char *backend, gint width, gint height)
{
    g_strlcpy(b->backend, backend ? backend : "", sizeof b->backend);
    b->network_width = width;
    b->network_height = height;
}

/* ------------------------------------------------------------------------------------------------------------- library */

static KerbFrame kerb_bench_planes(const GstVideoFrame *mapped)
{
    KerbFrame frame = { .pts_ns = 0 };
    for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES(mapped); p++) {
        frame.planes[p] = GST_VIDEO_FRAME_PLANE_DATA(mapped, p);
        frame.strides[p] = GST_VIDEO_FRAME_PLANE_STRIDE(mapped, p);
    }
    return frame;
}

static KerbVideoFormat kerb_bench_format(const GstVideoInfo *info)
{
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_I420, .width_px = info->width, .height_px = info->height };
    format.matrix = info->colorimetry.matrix == GST_VIDEO_COLOR_MATRIX_BT709 ? KERB_MATRIX_BT709 : KERB_MATRIX_BT601;
    return format;
}

/* Keeps `slots` frames in flight. */
static KerbStatus kerb_bench_turn(KerbBench *b, KerbPipeline *pipeline, const GstVideoFrame *frames, const GstVideoFrame *pictures, guint slots,
                                  KerbError *error)
{
    KerbStatus status = KERB_OK;
    gboolean more = TRUE;
    for (guint64 sent = 0, got = 0; status == KERB_OK && (more || got < sent);) {
        if (more && sent - got < slots) {
            KerbJob job = { .frame = kerb_bench_planes(&frames[sent % b->frames->n]), .picture = kerb_bench_planes(&pictures[sent % slots]) };
            job.frame.pts_ns = (int64_t)sent * 40000000;
            status = kerb_submit(pipeline, &job, error);
            sent++;
            continue;
        }
        KerbResult result;
        status = kerb_collect(pipeline, &result, -1, error);
        if (status == KERB_OK) status = result.status;
        got++;
        if (more && status == KERB_OK) more = kerb_bench_add(b, &result.times);
    }
    return status;
}

int kerb_bench_library(KerbBench *b)
{
    KerbConfig config;
    KerbError error = { 0 };
    KerbPipeline *pipeline;
    KerbStats stats = { 0 };
    GstVideoFrame frames[KERB_BENCH_FRAMES], pictures[KERB_MAX_SLOTS];
    GstBuffer *canvases[KERB_MAX_SLOTS] = { NULL };
    KerbVideoFormat format = kerb_bench_format(&b->frames->info);
    kerb_options_config(b->options, &config);
    guint slots = (guint)config.slots, n = b->frames->n;
    KerbStatus status = kerb_open(&pipeline, &config, &error);
    if (status == KERB_OK) status = kerb_set_format(pipeline, &format, &error);
    if (status == KERB_OK) {
        KerbDisplay display;
        int n_classes;
        const KerbClass *classes = kerb_classes(pipeline, &n_classes);
        if (!kerb_options_display(b->options, classes, n_classes, &display)) {
            kerb_close(&pipeline);
            return KERB_EXIT_USAGE;
        }
        kerb_set_display(pipeline, &display);
        for (guint i = 0; i < n; i++) gst_video_frame_map(&frames[i], (GstVideoInfo *)&b->frames->info, b->frames->buffers[i], GST_MAP_READ);
        for (guint i = 0; i < slots; i++) {
            canvases[i] = gst_buffer_copy_deep(b->frames->buffers[0]);
            gst_video_frame_map(&pictures[i], (GstVideoInfo *)&b->frames->info, canvases[i], GST_MAP_WRITE);
        }
        status = kerb_bench_turn(b, pipeline, frames, pictures, slots, &error);
        kerb_get_stats(pipeline, &stats);
        kerb_bench_note(b, stats.backend, stats.network_width_px, stats.network_height_px);
    }
    kerb_close(&pipeline);
    for (guint i = 0; canvases[0] && i < n; i++) gst_video_frame_unmap(&frames[i]);
    for (guint i = 0; canvases[0] && i < slots; i++) {
        gst_video_frame_unmap(&pictures[i]);
        gst_buffer_unref(canvases[i]);
    }
    if (status != KERB_OK) kerb_say("%s", error.message);
    return kerb_exit_code(status);
}

/* ------------------------------------------------------------------------------------------------------------- element */

typedef struct KerbBenchElement {
    KerbBench *bench;
    GstElement *appsrc;
    guint64 sent;
    gint done; /* atomic */
} KerbBenchElement;

/* appsrc's thread. The memory of the frames is shared with those to come, so that nobody may write to it, as with a decoder's reference frames. */
static void kerb_bench_need_data(GstAppSrc *appsrc, guint bytes, gpointer user)
{
    KerbBenchElement *e = user;
    if (g_atomic_int_get(&e->done)) {
        gst_app_src_end_of_stream(appsrc);
        return;
    }
    GstBuffer *buffer = gst_buffer_copy(e->bench->frames->buffers[e->sent % e->bench->frames->n]);
    GST_BUFFER_PTS(buffer) = e->sent * 40 * GST_MSECOND;
    GST_BUFFER_DURATION(buffer) = 40 * GST_MSECOND;
    e->sent++;
    gst_app_src_push_buffer(appsrc, buffer);
}

static GstPadProbeReturn kerb_bench_arrival(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbBenchElement *e = user;
    KerbSegMeta *meta = kerb_seg_meta_get(GST_PAD_PROBE_INFO_BUFFER(info));
    if (meta && !g_atomic_int_get(&e->done) && !kerb_bench_add(e->bench, &meta->times)) g_atomic_int_set(&e->done, 1);
    return GST_PAD_PROBE_OK;
}

static int kerb_bench_wait(GstElement *pipeline)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    int exit_code = KERB_EXIT_OK;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError *error = NULL;
        const GstStructure *details = NULL;
        gst_message_parse_error(message, &error, NULL);
        gst_message_parse_error_details(message, &details);
        if (!details || !gst_structure_get_int(details, "exit-code", &exit_code)) exit_code = KERB_EXIT_INTERNAL;
        kerb_say("%s", error->message);
        g_clear_error(&error);
    }
    gst_message_unref(message);
    gst_object_unref(bus);
    return exit_code;
}

int kerb_bench_element(KerbBench *b)
{
    KerbBenchElement e = { .bench = b, .appsrc = kerb_element("appsrc") };
    GstElement *pipeline = gst_pipeline_new("bench"), *kerbseg = kerb_element("kerbseg"), *sink = kerb_element("fakesink");
    int exit_code = KERB_EXIT_INTERNAL;
    if (e.appsrc && kerbseg && sink) {
        gst_bin_add_many(GST_BIN(pipeline), e.appsrc, kerbseg, sink, NULL);
        GstCaps *caps = gst_video_info_to_caps((GstVideoInfo *)&b->frames->info);
        g_object_set(e.appsrc, "caps", caps, "format", GST_FORMAT_TIME, "max-bytes", (guint64)1, NULL);
        gst_caps_unref(caps);
        g_object_set(sink, "sync", FALSE, NULL);
        kerb_options_apply(b->options, kerbseg);
        gst_element_link_many(e.appsrc, kerbseg, sink, NULL);
        g_signal_connect(e.appsrc, "need-data", G_CALLBACK(kerb_bench_need_data), &e);
        GstPad *pad = gst_element_get_static_pad(sink, "sink");
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_bench_arrival, &e, NULL);
        gst_object_unref(pad);
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        exit_code = kerb_bench_wait(pipeline);
        GstStructure *stats = NULL;
        gint width = 0, height = 0;
        g_object_get(kerbseg, "stats", &stats, NULL);
        gst_structure_get_int(stats, "network-width", &width);
        gst_structure_get_int(stats, "network-height", &height);
        kerb_bench_note(b, gst_structure_get_string(stats, "backend"), width, height);
        gst_structure_free(stats);
        gst_element_set_state(pipeline, GST_STATE_NULL);
    }
    gst_object_unref(pipeline);
    return exit_code;
}
