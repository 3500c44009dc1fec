/* SPDX-License-Identifier: MIT */
/* What kerbseg says about itself: the property `stats`, the answer to LATENCY, warnings about single frames. See kerbseg.h. */
#include "kerbseg.h"
#include "post.h"

#define KERB_SEG_WARNING_US (5 * G_USEC_PER_SEC)
#define KERB_SEG_WINDOW_US (2 * G_USEC_PER_SEC)

static gdouble kerb_seg_ms(int64_t ns)
{
    return (gdouble)ns / 1e6;
}

GstStructure *kerb_seg_stats(KerbSeg *self)
{
    KerbStats engine = {0};
    g_mutex_lock(&self->lock);
    if (self->pipeline) kerb_get_stats(self->pipeline, &engine);
    KerbSegCounters n = self->counters;
    gdouble fps = self->rate.fps;
    GstClockTimeDiff age = self->age;
    GstClockTime latency = self->latency;
    guint in_flight = self->in_flight;
    g_mutex_unlock(&self->lock);
    return gst_structure_new(
        "kerb-stats", "frames-in", G_TYPE_UINT64, n.in, "frames-out", G_TYPE_UINT64, n.out, "frames-flushed", G_TYPE_UINT64, n.flushed,
        "frames-errored", G_TYPE_UINT64, n.errored, "in-flight", G_TYPE_UINT, in_flight, "fps", G_TYPE_DOUBLE, fps, "queue-ms",
        G_TYPE_DOUBLE, kerb_seg_ms(engine.mean.queue_ns), "in-ms", G_TYPE_DOUBLE, kerb_seg_ms(engine.mean.in_ns), "net-ms", G_TYPE_DOUBLE,
        kerb_seg_ms(engine.mean.net_ns), "out-ms", G_TYPE_DOUBLE, kerb_seg_ms(engine.mean.out_ns), "last-queue-ms", G_TYPE_DOUBLE,
        kerb_seg_ms(engine.last.queue_ns), "last-in-ms", G_TYPE_DOUBLE, kerb_seg_ms(engine.last.in_ns), "last-net-ms", G_TYPE_DOUBLE,
        kerb_seg_ms(engine.last.net_ns), "last-out-ms", G_TYPE_DOUBLE, kerb_seg_ms(engine.last.out_ns), "compile-ms", G_TYPE_DOUBLE,
        kerb_seg_ms(engine.compile_ns), "age", G_TYPE_INT64, (gint64)age, "latency", G_TYPE_UINT64, latency, "backend", G_TYPE_STRING,
        engine.backend, "slots", G_TYPE_INT, engine.slots, "network-width", G_TYPE_INT, engine.network_width_px, "network-height",
        G_TYPE_INT, engine.network_height_px, NULL);
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
    /* Nothing is measured yet: the network is taken to keep up, so a frame waits at most one frame time for each slot. */
    GstClockTime latency = self->frame_duration * (self->n_items - 1);
    gboolean changed = latency != self->latency;
    self->latency = latency;
    self->slowest_ns = 0;
    self->slowest_since_us = g_get_monotonic_time();
    self->rate = (KerbSegRate){.since_us = self->slowest_since_us};
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

void kerb_seg_report_frame(KerbSeg *self, const KerbResult *result)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&self->lock);
    self->age = result->age_ns;
    self->rate.frames++;
    gint64 elapsed_us = now_us - self->rate.since_us;
    if (elapsed_us >= G_USEC_PER_SEC || (self->rate.fps <= 0 && elapsed_us > 0)) {
        self->rate.fps = self->rate.frames * (gdouble)G_USEC_PER_SEC / (gdouble)elapsed_us;
        if (elapsed_us >= G_USEC_PER_SEC) self->rate = (KerbSegRate){.since_us = now_us, .fps = self->rate.fps};
    }
    gboolean changed = kerb_seg_follow_latency(self, result->times.in_ns + result->times.net_ns + result->times.out_ns, now_us);
    g_mutex_unlock(&self->lock);
    if (changed) gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
}

void kerb_seg_answer_latency(KerbSeg *self, GstQuery *query)
{
    gboolean live;
    GstClockTime least, most;
    gst_query_parse_latency(query, &live, &least, &most);
    g_mutex_lock(&self->lock);
    GstClockTime own = self->latency;
    /* The ring takes as many frames as it has slots before it makes a live source wait. */
    GstClockTime holds = MAX(own, self->frame_duration * (self->n_items ? self->n_items - 1 : 1));
    g_mutex_unlock(&self->lock);
    least += own;
    if (GST_CLOCK_TIME_IS_VALID(most)) most += holds;
    gst_query_set_latency(query, live, least, most);
}

void kerb_seg_report_error(KerbSeg *self, const KerbError *error)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&self->lock);
    self->counters.errored++;
    guint64 n = self->counters.errored;
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
        GST_DEBUG_OBJECT(self, "frame %" G_GUINT64_FORMAT " without labels: %s", n, error->message);
}
