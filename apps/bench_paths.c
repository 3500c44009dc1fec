/* SPDX-License-Identifier: MIT */
/* The two ways of a frame that `kerb bench` times: kerb.h called directly, and kerbseg in a pipeline. Both draw the overlay into another buffer than the
 * frame's, keep the ring full, and are timed from one finished frame to the next. */
#include "bench.h"
#include "fault.h"
#include "options_live.h"
#include "progress.h"
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
    gint64 values[KERB_BENCH_SERIES] = { now - b->last_ns, times->up_ns, times->in_ns, times->net_ns, times->out_ns, times->down_ns };
    for (int i = KERB_BENCH_UP; i < KERB_BENCH_TOTAL; i++) values[KERB_BENCH_TOTAL] += values[i];
    values[KERB_BENCH_SMOOTH] = times->smooth_ns;
    for (int i = 0; i < KERB_BENCH_SERIES; i++) g_array_append_val(b->ns[i], values[i]);
    b->last_ns = now;
    b->elapsed_s = (gdouble)(now - b->began_ns) / 1e9;
    guint n = b->ns[0]->len;
    return b->frames_wanted ? n < b->frames_wanted : n < LEAST_FRAMES || b->elapsed_s < b->seconds;
}

/* ------------------------------------------------------------------------------------------------------------- library */

/* A frame in memory that the device reads and writes by itself, as whoever calls the library for speed has it. */
typedef struct KerbBenchFrame {
    KerbHostBlock block;
    KerbFrame frame;
} KerbBenchFrame;

static KerbStatus kerb_bench_frame_new(KerbPipeline *pipeline, GstBuffer *buffer, const GstVideoInfo *info, KerbBenchFrame *out, KerbError *error)
{
    GstVideoFrame mapped;
    gsize offset = 0;
    KerbStatus status = kerb_host_alloc(pipeline, GST_VIDEO_INFO_SIZE(info), &out->block, error);
    if (status != KERB_OK) return status;
    gst_video_frame_map(&mapped, (GstVideoInfo *)info, buffer, GST_MAP_READ);
    for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES(&mapped); p++) {
        gint stride = GST_VIDEO_FRAME_COMP_STRIDE(&mapped, p), rows = GST_VIDEO_FRAME_COMP_HEIGHT(&mapped, p);
        out->frame.planes[p] = (uint8_t *)out->block.data + offset;
        out->frame.strides[p] = stride;
        memcpy(out->frame.planes[p], GST_VIDEO_FRAME_PLANE_DATA(&mapped, p), (gsize)stride * (gsize)rows);
        offset += (gsize)stride * (gsize)rows;
    }
    gst_video_frame_unmap(&mapped);
    return KERB_OK;
}

static KerbVideoFormat kerb_bench_format(const GstVideoInfo *info)
{
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_I420, .width_px = info->width, .height_px = info->height };
    format.matrix = info->colorimetry.matrix == GST_VIDEO_COLOR_MATRIX_BT709 ? KERB_MATRIX_BT709 : KERB_MATRIX_BT601;
    return format;
}

/* Keeps `slots` frames in flight. */
static KerbStatus kerb_bench_turn(KerbBench *b, KerbPipeline *pipeline, const KerbBenchFrame *frames, const KerbBenchFrame *pictures, guint slots,
                                  KerbError *error)
{
    KerbStatus status = KERB_OK;
    gboolean more = TRUE;
    for (guint64 sent = 0, got = 0; status == KERB_OK && (more || got < sent);) {
        if (more && sent - got < slots) {
            KerbJob job = { .frame = frames[sent % b->frames->n].frame, .picture = pictures[sent % slots].frame };
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

static KerbStatus kerb_bench_opened(KerbBench *b, KerbPipeline *pipeline, guint slots, KerbError *error)
{
    KerbBenchFrame frames[KERB_BENCH_FRAMES] = { 0 }, pictures[KERB_MAX_SLOTS] = { 0 };
    KerbStatus status = KERB_OK;
    for (guint i = 0; i < b->frames->n && status == KERB_OK; i++)
        status = kerb_bench_frame_new(pipeline, b->frames->buffers[i], &b->frames->info, &frames[i], error);
    for (guint i = 0; i < slots && status == KERB_OK; i++)
        status = kerb_bench_frame_new(pipeline, b->frames->buffers[0], &b->frames->info, &pictures[i], error);
    if (status == KERB_OK) status = kerb_bench_turn(b, pipeline, frames, pictures, slots, error);
    kerb_get_stats(pipeline, &b->stats);
    kerb_drain(pipeline);
    for (guint i = 0; i < KERB_BENCH_FRAMES; i++) kerb_host_free(&frames[i].block);
    for (guint i = 0; i < KERB_MAX_SLOTS; i++) kerb_host_free(&pictures[i].block);
    return status;
}

int kerb_bench_library(KerbBench *b)
{
    KerbConfig config;
    KerbError error = { 0 };
    KerbPipeline *pipeline;
    KerbVideoFormat format = kerb_bench_format(&b->frames->info);
    kerb_options_config(b->options, &config);
    gint64 began_ns = kerb_now_ns();
    KerbStatus status = kerb_open(&pipeline, &config, &error);
    if (status == KERB_OK) status = kerb_set_format(pipeline, &format, &error);
    b->open_s = (gdouble)(kerb_now_ns() - began_ns) / 1e9;
    if (status == KERB_OK) {
        KerbDisplay display;
        int n_classes;
        const KerbClass *classes = kerb_classes(pipeline, &n_classes);
        if (!kerb_options_display(b->options, classes, n_classes, &display)) {
            kerb_close(&pipeline);
            return KERB_EXIT_USAGE;
        }
        kerb_set_display(pipeline, &display);
        status = kerb_bench_opened(b, pipeline, (guint)config.slots, &error);
    }
    kerb_close(&pipeline);
    if (status != KERB_OK) kerb_say("%s", error.message);
    return kerb_exit_code(status);
}

/* ------------------------------------------------------------------------------------------------------------- element */

typedef struct KerbBenchElement {
    KerbBench *bench;
    GstElement *appsrc;
    GstBufferPool *pool; /* kerbseg's own; NULL: not asked for yet */
    GstBuffer *buffers[KERB_BENCH_FRAMES];
    guint64 sent;
    gint done; /* atomic */
} KerbBenchElement;

/* The frames in buffers of the pool that kerbseg offers, as a decoder would write them. Once the first frame has brought the caps. */
static void kerb_bench_adopt_pool(KerbBenchElement *e)
{
    const KerbBenchFrames *frames = e->bench->frames;
    GstVideoInfo *info = (GstVideoInfo *)&frames->info;
    GstCaps *caps = gst_video_info_to_caps(info);
    GstQuery *query = gst_query_new_allocation(caps, TRUE);
    GstPad *pad = gst_element_get_static_pad(e->appsrc, "src");
    guint bytes = 0, min = 0, max = 0;
    if (gst_pad_peer_query(pad, query) && gst_query_get_n_allocation_pools(query)) gst_query_parse_nth_allocation_pool(query, 0, &e->pool, &bytes, &min, &max);
    GstStructure *config = e->pool ? gst_buffer_pool_get_config(e->pool) : NULL;
    if (config) gst_buffer_pool_config_set_params(config, caps, bytes, frames->n, 0);
    gboolean ok = config && gst_buffer_pool_set_config(e->pool, config) && gst_buffer_pool_set_active(e->pool, TRUE);
    for (guint i = 0; i < frames->n && ok; i++) {
        GstVideoFrame from, to;
        GstBuffer *buffer;
        ok = gst_buffer_pool_acquire_buffer(e->pool, &buffer, NULL) == GST_FLOW_OK;
        if (!ok) break;
        gst_video_frame_map(&from, info, frames->buffers[i], GST_MAP_READ);
        gst_video_frame_map(&to, info, buffer, GST_MAP_WRITE);
        gst_video_frame_copy(&to, &from);
        gst_video_frame_unmap(&to);
        gst_video_frame_unmap(&from);
        gst_buffer_unref(e->buffers[i]);
        e->buffers[i] = buffer;
    }
    gst_object_unref(pad);
    gst_query_unref(query);
    gst_caps_unref(caps);
}

/* appsrc's thread. The memory of the frames is shared with those to come, so that nobody may write to it, as with a decoder's reference frames. */
static void kerb_bench_need_data(GstAppSrc *appsrc, guint bytes, gpointer user)
{
    KerbBenchElement *e = user;
    if (g_atomic_int_get(&e->done)) {
        gst_app_src_end_of_stream(appsrc);
        return;
    }
    if (e->sent == 1) kerb_bench_adopt_pool(e);
    GstBuffer *buffer = gst_buffer_copy(e->buffers[e->sent % e->bench->frames->n]);
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

static void kerb_bench_element_stats(KerbBench *b, GstElement *kerbseg)
{
    GstStructure *stats = NULL;
    KerbStats *to = &b->stats;
    gboolean replays = FALSE;
    guint64 device = 0, pinned = 0;
    g_object_get(kerbseg, "stats", &stats, NULL);
    gst_structure_get(stats, "network-width", G_TYPE_INT, &to->network_width_px, "network-height", G_TYPE_INT, &to->network_height_px, "up-bytes", G_TYPE_UINT64,
                      &to->up_bytes, "down-bytes", G_TYPE_UINT64, &to->down_bytes, "host-copy-bytes", G_TYPE_UINT64, &to->host_copy_bytes, "device-bytes",
                      G_TYPE_UINT64, &device, "pinned-bytes", G_TYPE_UINT64, &pinned, "replays", G_TYPE_BOOLEAN, &replays, NULL);
    gdouble compile_ms = 0;
    gst_structure_get_double(stats, "compile-ms", &compile_ms);
    to->compile_ns = (gint64)(compile_ms * 1e6);
    to->device_bytes = device;
    to->pinned_bytes = pinned;
    to->replays = replays;
    const gchar *backend = gst_structure_get_string(stats, "backend");
    g_strlcpy(to->backend, backend ? backend : "", sizeof to->backend);
    gst_structure_free(stats);
}

int kerb_bench_element(KerbBench *b)
{
    KerbBenchElement e = { .bench = b, .appsrc = kerb_element("appsrc") };
    GstElement *pipeline = gst_pipeline_new("bench"), *kerbseg = kerb_element("kerbseg"), *sink = kerb_element("fakesink");
    int exit_code = KERB_EXIT_INTERNAL;
    for (guint i = 0; i < b->frames->n && i < KERB_BENCH_FRAMES; i++) e.buffers[i] = gst_buffer_ref(b->frames->buffers[i]);
    if (e.appsrc && kerbseg && sink) {
        gst_bin_add_many(GST_BIN(pipeline), e.appsrc, kerbseg, sink, NULL);
        GstCaps *caps = gst_video_info_to_caps((GstVideoInfo *)&b->frames->info);
        g_object_set(e.appsrc, "caps", caps, "format", GST_FORMAT_TIME, "max-bytes", (guint64)1, NULL);
        gst_caps_unref(caps);
        g_object_set(sink, "sync", FALSE, NULL);
        kerb_options_apply(b->options, kerbseg);
        g_object_set(kerbseg, "smoothing", (gint)kerb_options_smoothing(b->options), NULL);
        if (!b->options->quiet) kerb_progress_watch(pipeline);
        gst_element_link_many(e.appsrc, kerbseg, sink, NULL);
        g_signal_connect(e.appsrc, "need-data", G_CALLBACK(kerb_bench_need_data), &e);
        GstPad *pad = gst_element_get_static_pad(sink, "sink");
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_bench_arrival, &e, NULL);
        gst_object_unref(pad);
        gint64 began_ns = kerb_now_ns();
        gst_element_set_state(pipeline, GST_STATE_PLAYING); /* opens the model */
        b->open_s = (gdouble)(kerb_now_ns() - began_ns) / 1e9;
        exit_code = kerb_bench_wait(pipeline);
        kerb_bench_element_stats(b, kerbseg);
        gst_element_set_state(pipeline, GST_STATE_NULL);
    }
    for (guint i = 0; i < KERB_BENCH_FRAMES; i++) gst_clear_buffer(&e.buffers[i]);
    if (e.pool) gst_buffer_pool_set_active(e.pool, FALSE);
    gst_clear_object(&e.pool);
    gst_object_unref(pipeline);
    return exit_code;
}
