/* SPDX-License-Identifier: MIT */
/* kerbseg's live modes: video goes on at its own pace, the network takes the newest frame whenever it is free. See kerbseg.h.
 *
 * A frame is offered to the inference thread, which keeps the newest one only, and passes with the labels that are there: at once (latest),
 * or when its own have come, cannot come any more, or have taken max-wait (hold). The offer is a reference to the frame's buffer, which is
 * what keeps everybody from writing to it while the network reads: not even its metadata may be written then, so in latest a frame that is
 * not drawn elsewhere gets its metadata first and is offered after. (A second header over the same memory would do, too, but then
 * buffer pools throw the memory away: they take back only what nobody else holds.) */
#include "kerbseg.h"

/* Told by QoS that frames come too late downstream, inference steps back, but never for more than so many frames in a row. */
#define KERB_SEG_MOST_SPARED 3

gboolean kerb_seg_is_turn(const KerbSeg *self, guint64 number)
{
    return !self->live.last_number || number - self->live.last_number >= self->settings.interval;
}

void kerb_seg_live_qos(KerbSeg *self, GstEvent *event)
{
    GstClockTimeDiff late;
    GstClockTime time;
    gst_event_parse_qos(event, NULL, NULL, &late, &time);
    g_mutex_lock(&self->lock);
    self->live.late_until = late > 0 && GST_CLOCK_TIME_IS_VALID(time) ? time + 2 * (GstClockTime)late : GST_CLOCK_TIME_NONE;
    g_mutex_unlock(&self->lock);
}

/* ------------------------------------------------------------------------------------------------------------- offering */

static gboolean kerb_seg_is_late(KerbSeg *self, GstBuffer *frame)
{
    if (!GST_CLOCK_TIME_IS_VALID(self->live.late_until)) return FALSE;
    guint64 time = gst_segment_to_running_time(&GST_BASE_TRANSFORM(self)->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(frame));
    return GST_CLOCK_TIME_IS_VALID(time) && time < self->live.late_until;
}

/* Whether the network may have this frame. `lock` is held. */
static gboolean kerb_seg_live_chooses(KerbSeg *self, GstBuffer *frame, guint64 number)
{
    if (self->failed || !kerb_seg_is_turn(self, number)) return FALSE;
    gboolean spared = kerb_seg_is_late(self, frame) && self->live.spared < KERB_SEG_MOST_SPARED;
    self->live.spared = spared ? self->live.spared + 1 : 0;
    return !spared;
}

/* A frame whose buffer is too short for its size would fail on both ways. Mapping costs nothing: it is memory. */
static gboolean kerb_seg_live_can_read(KerbSeg *self, GstBuffer *frame)
{
    KerbSegMapped in = {.buffer = frame};
    gboolean ok = kerb_seg_map_for_engine(self, &in, GST_MAP_READ);
    kerb_seg_unmap(&in);
    return ok;
}

/* Takes a reference; the frame offered before is given up. `lock` is held. */
static void kerb_seg_live_offer(KerbSeg *self, GstBuffer *frame, guint64 number)
{
    gst_buffer_replace(&self->live.wanted, frame);
    self->live.wanted_number = number;
    g_cond_broadcast(&self->cond);
}

static GstFlowReturn kerb_seg_latest_enter(KerbSeg *self, GstBuffer *in, gboolean fits)
{
    guint64 number = self->number;
    KerbSegParcel parcel;
    g_mutex_lock(&self->lock);
    if (self->flushing) {
        g_mutex_unlock(&self->lock);
        gst_buffer_unref(in);
        return GST_FLOW_FLUSHING;
    }
    self->counters.in++;
    self->counters.unfit += !fits;
    self->shown = self->display;
    KerbSegMask mask = kerb_seg_mask_ref(&self->newest);
    gboolean chosen = fits && kerb_seg_live_chooses(self, in, number), drawn = self->shown.visualize != KERB_VISUALIZE_NONE;
    if (chosen && drawn) kerb_seg_live_offer(self, in, number);
    g_mutex_unlock(&self->lock);
    GstFlowReturn flow = kerb_seg_dress(self, in, number, &mask, &parcel);
    kerb_seg_mask_clear(&mask);
    if (flow != GST_FLOW_OK) return flow;
    if (chosen && !drawn && !parcel.fails) {
        g_mutex_lock(&self->lock);
        kerb_seg_live_offer(self, parcel.picture, number);
        g_mutex_unlock(&self->lock);
    }
    return kerb_seg_send(self, &parcel);
}

/* ---------------------------------------------------------------------------------------------------------------- holding */

static KerbSegHeld *kerb_seg_held(KerbSeg *self, guint i)
{
    return &self->live.held[(self->live.first_held + i) % KERB_SEG_MAX_HELD];
}

/* The frame with this number, or NULL where it does not wait any more. */
static KerbSegHeld *kerb_seg_held_find(KerbSeg *self, guint64 number)
{
    for (guint i = 0; i < self->live.n_held; i++) {
        KerbSegHeld *held = kerb_seg_held(self, i);
        if (held->number == number && !held->leaving) return held;
    }
    return NULL;
}

static void kerb_seg_held_release(KerbSegHeld *held, const KerbSegMask *mask)
{
    if (held->released || held->leaving) return;
    held->released = TRUE;
    held->mask = kerb_seg_mask_ref(mask);
}

static GstFlowReturn kerb_seg_hold_enter(KerbSeg *self, GstBuffer *in, gboolean fits)
{
    g_mutex_lock(&self->lock);
    while (self->live.n_held >= KERB_SEG_MAX_HELD && !self->flushing && self->flow == GST_FLOW_OK) g_cond_wait(&self->cond, &self->lock);
    GstFlowReturn flow = self->flushing ? GST_FLOW_FLUSHING : self->flow;
    if (flow == GST_FLOW_OK) {
        self->counters.in++;
        self->counters.unfit += !fits;
        gboolean chosen = fits && kerb_seg_live_chooses(self, in, self->number);
        /* A frame that will not be inferred has nothing to wait for but those before it. */
        gint64 until_us = chosen ? g_get_monotonic_time() + (gint64)GST_TIME_AS_USECONDS(self->max_wait) : 0;
        *kerb_seg_held(self, self->live.n_held++) = (KerbSegHeld){.frame = in, .number = self->number, .until_us = until_us};
        if (chosen) kerb_seg_live_offer(self, in, self->number);
        g_cond_broadcast(&self->cond);
    }
    g_mutex_unlock(&self->lock);
    if (flow != GST_FLOW_OK) gst_buffer_unref(in);
    return flow;
}

void kerb_seg_live_leave(KerbSeg *self)
{
    KerbSegHeld *held = kerb_seg_held(self, 0);
    GstFlowReturn flow = self->flushing ? GST_FLOW_FLUSHING : self->flow;
    gboolean full = self->live.n_held >= KERB_SEG_MAX_HELD;
    if (flow == GST_FLOW_OK && !held->released && !full && g_get_monotonic_time() < held->until_us) {
        g_cond_wait_until(&self->cond, &self->lock, held->until_us);
        return;
    }
    held->leaving = TRUE;
    KerbSegMask mask = held->released ? held->mask : kerb_seg_mask_ref(&self->newest);
    held->mask = (KerbSegMask){0};
    GstBuffer *frame = g_steal_pointer(&held->frame);
    self->shown = self->display;
    if (flow != GST_FLOW_OK) self->counters.flushed++;
    g_mutex_unlock(&self->lock);
    if (flow == GST_FLOW_OK)
        flow = kerb_seg_pass(self, frame, held->number, &mask, held->fails);
    else
        gst_buffer_unref(frame);
    kerb_seg_mask_clear(&mask);
    g_mutex_lock(&self->lock);
    self->live.first_held = (self->live.first_held + 1) % KERB_SEG_MAX_HELD;
    self->live.n_held--;
    if (self->flow == GST_FLOW_OK && !(flow == GST_FLOW_FLUSHING && self->flushing)) self->flow = flow;
    g_cond_broadcast(&self->cond);
}

GstFlowReturn kerb_seg_live_enter(KerbSeg *self, GstBuffer *in)
{
    gboolean fits = kerb_seg_live_can_read(self, in);
    return self->mode == KERB_LIVE_HOLD ? kerb_seg_hold_enter(self, in, fits) : kerb_seg_latest_enter(self, in, fits);
}

/* -------------------------------------------------------------------------------------------------------------- inference */

/* What became of a frame's inference: `mask` (taken), or an error. `lock` is held. */
static void kerb_seg_live_settle(KerbSeg *self, guint64 number, guint era, KerbSegMask *mask, gboolean failed)
{
    KerbSegHeld *held = kerb_seg_held_find(self, number);
    if (mask->labels) {
        self->counters.inferred++;
        if (held) kerb_seg_held_release(held, mask); /* its own, whatever came after it */
        if (era == self->era) {
            kerb_seg_mask_clear(&self->newest);
            self->newest = *mask;
        } else {
            kerb_seg_mask_clear(mask);
        }
        return;
    }
    if (self->failed) kerb_seg_mask_clear(&self->newest); /* there will be no newer one */
    if (held) {
        held->fails |= failed;
        kerb_seg_held_release(held, &self->newest);
    } else if (failed && number <= self->live.reported && era == self->era) {
        self->counters.out--; /* it has left already */
        self->counters.errored++;
    } else if (failed) {
        self->live.failing = number;
    }
}

/* One frame through the engine: from `wanted` to `newest`. `lock` is held, and given up meanwhile. */
static void kerb_seg_live_infer(KerbSeg *self)
{
    KerbSegItem item = {.number = self->live.wanted_number};
    GstBuffer *frame = g_steal_pointer(&self->live.wanted);
    guint era = self->era;
    self->live.last_number = item.number;
    self->live.busy = TRUE;
    self->counters.given++;
    for (guint i = 0; i < self->live.n_held; i++) { /* these will have none of their own */
        KerbSegHeld *held = kerb_seg_held(self, i);
        if (held->number < item.number) kerb_seg_held_release(held, &self->newest);
    }
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);

    KerbError error = {.status = KERB_OK};
    KerbResult result = {.status = KERB_FLUSHED};
    KerbSegMask mask = {0};
    kerb_seg_prepare_to_read(self, &item, frame, &error);
    if (error.status == KERB_OK) {
        KerbJob job = kerb_seg_job(&item, KERB_VISUALIZE_NONE);
        KerbStatus status = kerb_submit(self->pipeline, &job, &error);
        if (status == KERB_OK) status = kerb_collect(self->pipeline, &result, -1, &error);
        if (status < 0) result.status = status;
    } else {
        result.status = error.status;
    }
    if (result.status == KERB_OK) {
        mask = kerb_seg_mask_take(&item, &result);
        kerb_seg_report_inference(self, &mask.times);
    } else if (result.status < 0) {
        if (error.status == KERB_OK) error.status = result.status;
        kerb_seg_report_error(self, &error);
    }
    kerb_seg_item_clear(&item);

    g_mutex_lock(&self->lock);
    self->live.busy = FALSE;
    kerb_seg_live_settle(self, item.number, era, &mask, result.status < 0);
    g_cond_broadcast(&self->cond);
}

gpointer kerb_seg_live_thread(gpointer data)
{
    KerbSeg *self = data;
    g_mutex_lock(&self->lock);
    while (self->running) {
        if (self->live.wanted && !self->flushing)
            kerb_seg_live_infer(self);
        else
            g_cond_wait(&self->cond, &self->lock);
    }
    g_mutex_unlock(&self->lock);
    return NULL;
}
