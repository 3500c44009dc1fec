/* SPDX-License-Identifier: MIT */
/* What kerbseg says about itself: the property `stats`, the answer to LATENCY, warnings about single frames. See kerbseg.h. */
#include "kerbseg.h"
#include "pool.h"
#include "post.h"

#define KERB_SEG_WARNING_US (5 * G_USEC_PER_SEC)
#define KERB_SEG_WINDOW_US (2 * G_USEC_PER_SEC)

static gdouble kerb_seg_ms(int64_t ns)
{
    return (gdouble)ns / 1e6;
}

static const char *kerb_seg_mode_name(KerbLiveMode mode)
{
    static const char *const names[] = {"every-frame", "latest", "hold"};
    return names[mode];
}

static void kerb_seg_stats_times(GstStructure *stats, const char *prefix, const KerbTimes *times)
{
    const struct {
        const char *name;
        int64_t ns;
    } stages[] = {{"queue", times->queue_ns}, {"up", times->up_ns},         {"in", times->in_ns},    {"net", times->net_ns},
                  {"out", times->out_ns},     {"smooth", times->smooth_ns}, {"down", times->down_ns}};
    for (gsize i = 0; i < G_N_ELEMENTS(stages); i++) {
        gchar *field = g_strdup_printf("%s%s-ms", prefix, stages[i].name);
        gst_structure_set(stats, field, G_TYPE_DOUBLE, kerb_seg_ms(stages[i].ns), NULL);
        g_free(field);
    }
}

/* pinned-bytes: the engine's, and those of the buffers of our own pools, wherever they are now. */
static void kerb_seg_stats_memory(KerbSeg *self, GstStructure *stats, const KerbStats *engine)
{
    guint64 pinned = engine->pinned_bytes + kerb_allocator_pinned_bytes(self->canvas.allocator);
    gst_structure_set(stats, "up-bytes", G_TYPE_UINT64, engine->up_bytes, "down-bytes", G_TYPE_UINT64, engine->down_bytes,
                      "host-copy-bytes", G_TYPE_UINT64, engine->host_copy_bytes, "device-bytes", G_TYPE_UINT64,
                      (guint64)engine->device_bytes, "pinned-bytes", G_TYPE_UINT64, pinned, "replays", G_TYPE_BOOLEAN, engine->replays,
                      NULL);
}

GstStructure *kerb_seg_stats(KerbSeg *self)
{
    KerbStats engine = {0};
    g_mutex_lock(&self->lock);
    if (self->pipeline) kerb_get_stats(self->pipeline, &engine);
    KerbSegCounters n = self->counters;
    gdouble fps = self->rate.fps, inference_fps = self->inference_rate.fps;
    GstClockTimeDiff age = self->age;
    GstClockTime latency = self->latency;
    guint in_flight = self->in_flight + self->live.n_held;
    guint64 skipped = n.in - n.given - n.unfit - (self->live.wanted != NULL);
    KerbLiveMode mode = self->mode;
    g_mutex_unlock(&self->lock);
    gint64 mean_age = n.aged ? (gint64)(n.age_sum_ns / n.aged) : 0;
    GstStructure *stats = gst_structure_new(
        "kerb-stats", "frames-in", G_TYPE_UINT64, n.in, "frames-out", G_TYPE_UINT64, n.out, "frames-flushed", G_TYPE_UINT64, n.flushed,
        "frames-errored", G_TYPE_UINT64, n.errored, "in-flight", G_TYPE_UINT, in_flight, "fps", G_TYPE_DOUBLE, fps, "compile-ms",
        G_TYPE_DOUBLE, kerb_seg_ms(engine.compile_ns), "age", G_TYPE_INT64, (gint64)age, "latency", G_TYPE_UINT64, latency, "backend",
        G_TYPE_STRING, engine.backend, "slots", G_TYPE_INT, engine.slots, "network-width", G_TYPE_INT, engine.network_width_px,
        "network-height", G_TYPE_INT, engine.network_height_px, NULL);
    kerb_seg_stats_times(stats, "", &engine.mean);
    kerb_seg_stats_times(stats, "last-", &engine.last);
    kerb_seg_stats_memory(self, stats, &engine);
    gst_structure_set(stats, "live-mode", G_TYPE_STRING, kerb_seg_mode_name(mode), "inferred", G_TYPE_UINT64, n.inferred, "reused",
                      G_TYPE_UINT64, n.reused, "unlabelled", G_TYPE_UINT64, n.unlabelled, "inference-skipped", G_TYPE_UINT64, skipped,
                      "inference-fps", G_TYPE_DOUBLE, inference_fps, "age-mean", G_TYPE_INT64, mean_age, "age-max", G_TYPE_INT64,
                      (gint64)n.age_max_ns, "age-unknown", G_TYPE_UINT64, n.out + n.errored - n.unlabelled - n.aged, NULL);
    return stats;
}

/* Frames come every so many ns; 40 ms where the caps do not say. */
static GstClockTime kerb_seg_frame_duration(const KerbSeg *self)
{
    if (self->info.fps_n <= 0 || self->info.fps_d <= 0) return 40 * GST_MSECOND;
    return gst_util_uint64_scale_int(GST_SECOND, self->info.fps_d, self->info.fps_n);
}

void kerb_seg_report_format(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    self->frame_duration = kerb_seg_frame_duration(self);
    GstClockTime latency = 0;
    if (self->mode == KERB_LIVE_HOLD) latency = self->max_wait;
    /* Nothing is measured yet: the network is taken to keep up, so a frame waits at most one frame time for each slot. */
    if (self->mode == KERB_LIVE_EVERY_FRAME) latency = self->frame_duration * (self->n_items - 1);
    gboolean changed = latency != self->latency;
    self->latency = latency;
    self->slowest_ns = 0;
    self->slowest_since_us = g_get_monotonic_time();
    self->rate = self->inference_rate = (KerbSegRate){.since_us = self->slowest_since_us};
    g_mutex_unlock(&self->lock);
    if (changed) gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
}

/* The answer follows what is measured, upwards at once and downwards after a calm window, with a quarter to spare on top: an application
 * that redistributes latency on every message is not kept busy by noise. Lock held. TRUE: it has changed. */
static gboolean kerb_seg_follow_latency(KerbSeg *self, gint64 frame_ns, gint64 now_us)
{
    self->slowest_ns = MAX(self->slowest_ns, frame_ns);
    guint slots = self->n_items - 1;
    GstClockTime needed = (GstClockTime)self->slowest_ns * slots;
    gboolean change = needed > self->latency;
    if (now_us - self->slowest_since_us > KERB_SEG_WINDOW_US) {
        change |= needed < self->latency / 2;
        self->slowest_since_us = now_us;
        self->slowest_ns = 0;
    }
    if (change) self->latency = needed + needed / 4;
    return change;
}

static void kerb_seg_rate_count(KerbSegRate *rate, gint64 now_us)
{
    rate->frames++;
    gint64 elapsed_us = now_us - rate->since_us;
    if (elapsed_us >= G_USEC_PER_SEC || (rate->fps <= 0 && elapsed_us > 0)) {
        rate->fps = rate->frames * (gdouble)G_USEC_PER_SEC / (gdouble)elapsed_us;
        if (elapsed_us >= G_USEC_PER_SEC) *rate = (KerbSegRate){.since_us = now_us, .fps = rate->fps};
    }
}

void kerb_seg_report_inference(KerbSeg *self, const KerbTimes *times)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&self->lock);
    kerb_seg_rate_count(&self->inference_rate, now_us);
    /* In the live modes video does not wait for the network. */
    gint64 frame_ns = times->up_ns + times->in_ns + times->net_ns + times->out_ns + times->down_ns;
    gboolean changed = self->mode == KERB_LIVE_EVERY_FRAME && kerb_seg_follow_latency(self, frame_ns, now_us);
    g_mutex_unlock(&self->lock);
    if (changed) gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
}

void kerb_seg_report_frame(KerbSeg *self, const KerbSegParcel *parcel, gboolean taken)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&self->lock);
    KerbSegCounters *n = &self->counters;
    if (!taken) {
        n->flushed++;
        g_mutex_unlock(&self->lock);
        return;
    }
    gboolean fails = parcel->fails || parcel->number == self->live.failing;
    n->out += !fails;
    n->errored += fails;
    self->live.reported = parcel->number;
    n->reused += parcel->source_number && parcel->source_number != parcel->number;
    n->unlabelled += !parcel->source_number;
    if (parcel->source_number && GST_CLOCK_STIME_IS_VALID(parcel->age)) {
        guint64 age = (guint64)ABS(parcel->age);
        self->age = parcel->age;
        n->aged++;
        n->age_sum_ns += age;
        n->age_max_ns = MAX(n->age_max_ns, age);
    }
    kerb_seg_rate_count(&self->rate, now_us);
    g_mutex_unlock(&self->lock);
}

void kerb_seg_answer_latency(KerbSeg *self, GstQuery *query)
{
    gboolean live;
    GstClockTime least, most;
    gst_query_parse_latency(query, &live, &least, &most);
    g_mutex_lock(&self->lock);
    GstClockTime own = self->latency, holds = own;
    /* The ring takes as many frames as it has slots before it makes a live source wait. */
    if (self->mode == KERB_LIVE_EVERY_FRAME) holds = MAX(own, self->frame_duration * (self->n_items ? self->n_items - 1 : 1));
    g_mutex_unlock(&self->lock);
    least += own;
    if (GST_CLOCK_TIME_IS_VALID(most)) most += holds;
    gst_query_set_latency(query, live, least, most);
}

void kerb_seg_report_error(KerbSeg *self, const KerbError *error)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&self->lock);
    gboolean fatal = error->status == KERB_ERROR_BACKEND && !self->failed;
    gboolean say = !self->failed && (!self->warned_us || now_us - self->warned_us >= KERB_SEG_WARNING_US);
    if (say) self->warned_us = now_us;
    self->failed |= fatal;
    g_mutex_unlock(&self->lock);
    if (fatal)
        kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, error, NULL);
    else if (say)
        kerb_post(GST_ELEMENT(self), GST_MESSAGE_WARNING, error, NULL);
    else
        GST_DEBUG_OBJECT(self, "a frame without labels: %s", error->message);
}
