/* SPDX-License-Identifier: MIT */
/* kerbseg's stream: what comes in and in which mode it is treated; every-frame mode, in which frames are submitted to the engine's ring by
 * upstream's thread, collected and pushed by the output thread; flushing and draining for all modes. See kerbseg.h.
 *
 * Order is kept by a ring of items of the element's own: a frame that the engine refused stands in it too, and passes as it came; one that
 * is not inferred (inference-interval) passes with the labels of the frame before it that was. */
#include "kerbseg.h"
#include "pool.h"

/* ------------------------------------------------------------------------------------------------------- frames coming in */

/* The next free item, or NULL with the reason why there is none. Waits for one. */
static KerbSegItem *kerb_seg_take_item(KerbSeg *self, GstFlowReturn *flow)
{
    KerbSegItem *item = NULL;
    g_mutex_lock(&self->lock);
    while (self->in_flight >= self->n_items && !self->flushing && self->flow == GST_FLOW_OK) g_cond_wait(&self->cond, &self->lock);
    *flow = self->flushing ? GST_FLOW_FLUSHING : self->flow;
    if (*flow == GST_FLOW_OK) item = &self->items[(self->first + self->in_flight) % self->n_items];
    g_mutex_unlock(&self->lock);
    return item;
}

/* The display as the properties have it now: what this frame is drawn with, so the buffers chosen for it fit. */
static KerbVisualize kerb_seg_apply_display(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    KerbVisualize visualize = self->display.visualize;
    if (self->display_changed) kerb_set_display(self->pipeline, &self->display);
    self->display_changed = FALSE;
    g_mutex_unlock(&self->lock);
    return visualize;
}

/* Counts a frame that a flush met before it was in the ring. */
static GstFlowReturn kerb_seg_count_flushed(KerbSeg *self, KerbSegItem *item)
{
    kerb_seg_item_clear(item);
    g_mutex_lock(&self->lock);
    self->counters.flushed++;
    g_mutex_unlock(&self->lock);
    return GST_FLOW_FLUSHING;
}

/* Whether the frame is inferred, and whether all frames take the way of those that are not (which keeps the carrier's frames undrawn). */
static gboolean kerb_seg_choose(KerbSeg *self, KerbSegItem *item)
{
    g_mutex_lock(&self->lock);
    self->counters.in++;
    item->number = self->number;
    item->thinned = self->settings.interval > 1;
    gboolean turn = kerb_seg_is_turn(self, self->number);
    if (turn) self->live.last_number = self->number;
    g_mutex_unlock(&self->lock);
    return turn;
}

/* Gives the frame to the engine and the item to the output thread. Takes `in`. */
static GstFlowReturn kerb_seg_enter(KerbSeg *self, KerbSegItem *item, GstBuffer *in)
{
    KerbError error = {.status = KERB_OK};
    KerbVisualize visualize = kerb_seg_apply_display(self);
    gboolean inferred = kerb_seg_choose(self, item);
    GstFlowReturn flow = GST_FLOW_OK;
    if (!inferred)
        item->in.buffer = in;
    else if (item->thinned)
        kerb_seg_prepare_to_read(self, item, in, &error);
    else
        flow = kerb_seg_prepare(self, item, in, visualize, &error);
    if (flow != GST_FLOW_OK) return kerb_seg_count_flushed(self, item), flow;
    if (inferred && error.status == KERB_OK) {
        KerbJob job = kerb_seg_job(item, item->thinned ? KERB_VISUALIZE_NONE : visualize);
        KerbStatus status = kerb_submit(self->pipeline, &job, &error);
        if (status == KERB_FLUSHED) return kerb_seg_count_flushed(self, item);
        item->submitted = status == KERB_OK;
    }
    item->fails = inferred && !item->submitted;
    if (item->fails) kerb_seg_report_error(self, &error);
    g_mutex_lock(&self->lock);
    self->counters.given += item->submitted;
    self->counters.unfit += item->fails;
    self->in_flight++;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
    return GST_FLOW_OK;
}

/* ----------------------------------------------------------------------------------------------------- what comes in */

/* Takes over what the properties say about modes. FALSE: flushing is on. */
static gboolean kerb_seg_adopt_mode(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    KerbLiveMode mode = self->settings.live_mode;
    gboolean changes = mode != self->mode, tells = changes || (mode == KERB_LIVE_HOLD && self->max_wait != self->settings.max_wait);
    g_mutex_unlock(&self->lock);
    if (changes && !kerb_seg_rest(self)) return FALSE;
    if (!tells) return TRUE;
    g_mutex_lock(&self->lock);
    self->mode = mode;
    self->max_wait = self->settings.max_wait;
    self->carried = FALSE;
    g_mutex_unlock(&self->lock);
    kerb_seg_report_format(self);
    return TRUE;
}

/* Time stamps that jump (by more than a second, or back where the frame says that something is missing) begin something new. */
static void kerb_seg_watch_time(KerbSeg *self, GstBuffer *in)
{
    GstClockTime pts = GST_BUFFER_PTS(in), last = self->last_pts;
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return;
    self->last_pts = pts;
    if (!GST_CLOCK_TIME_IS_VALID(last)) return;
    gboolean reverse = GST_BASE_TRANSFORM(self)->segment.rate < 0, discont = GST_BUFFER_IS_DISCONT(in);
    GstClockTimeDiff step = reverse ? GST_CLOCK_DIFF(pts, last) : GST_CLOCK_DIFF(last, pts);
    if (step < -(GstClockTimeDiff)GST_SECOND || (discont && (step < 0 || step > (GstClockTimeDiff)GST_SECOND))) kerb_seg_forget(self);
}

GstFlowReturn kerb_seg_submit_input_buffer(GstBaseTransform *transform, gboolean is_discont, GstBuffer *input)
{
    KerbSeg *self = KERB_SEG(transform);
    /* Chaining up renegotiates where downstream asks for it, which changes the pools under frames in flight. */
    if (gst_pad_needs_reconfigure(GST_BASE_TRANSFORM_SRC_PAD(transform)) && !kerb_seg_rest(self)) {
        gst_buffer_unref(input);
        return GST_FLOW_FLUSHING;
    }
    GstFlowReturn flow = kerb_seg_parent()->submit_input_buffer(transform, is_discont, input);
    if (flow != GST_FLOW_OK) return flow;
    GstBuffer *in = transform->queued_buf;
    transform->queued_buf = NULL;
    if (!in) return GST_FLOW_OK;
    if (!self->has_format || !kerb_seg_adopt_mode(self)) {
        gst_buffer_unref(in);
        return self->has_format ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
    }
    kerb_seg_watch_time(self, in);
    self->number++;
    if (self->mode != KERB_LIVE_EVERY_FRAME) return kerb_seg_live_enter(self, in);
    KerbSegItem *item = kerb_seg_take_item(self, &flow);
    if (!item) {
        gst_buffer_unref(in);
        return flow;
    }
    return kerb_seg_enter(self, item, in);
}

/* The output thread pushes; the base class never has anything to push. */
GstFlowReturn kerb_seg_generate_output(GstBaseTransform *transform, GstBuffer **out)
{
    *out = NULL;
    return GST_FLOW_OK;
}

/* ------------------------------------------------------------------------------------------------------ frames going out */

/* What was found last, for frames that are not inferred. Takes the mask. */
static void kerb_seg_set_newest(KerbSeg *self, KerbSegMask *mask)
{
    g_mutex_lock(&self->lock);
    self->counters.inferred++;
    KerbSegMask old = self->newest;
    self->newest = *mask;
    g_mutex_unlock(&self->lock);
    kerb_seg_mask_clear(&old);
}

/* Pushes one collected frame, which the engine has drawn, and its maps. */
static GstFlowReturn kerb_seg_deliver(KerbSeg *self, KerbSegItem *item, const KerbResult *result)
{
    gboolean labelled = result->status == KERB_OK;
    /* What was to be drawn into was not: the frame goes on as it came, in its own buffer or, where downstream wants another layout, copied. */
    gboolean drawn_elsewhere = item->out.mapped && (labelled || !self->canvas.any_layout);
    if (!labelled && drawn_elsewhere) gst_video_frame_copy(&item->out.frame, &item->in.frame);
    KerbSegMask mask = {0};
    if (labelled) mask = kerb_seg_mask_take(item, result);
    kerb_seg_item_unmap(item);
    GstBuffer **from = drawn_elsewhere ? &item->out.buffer : &item->in.buffer;
    KerbSegParcel parcel = {.picture = g_steal_pointer(from), .number = item->number, .fails = !labelled};
    if (labelled) {
        kerb_seg_meta_add(parcel.picture, mask.labels, mask.confidence, self->classes, self->info.width, self->info.height, mask.stride,
                          result);
        kerb_seg_analytics_add(parcel.picture, mask.labels, self->classes, self->info.width, self->info.height);
        parcel.source_number = item->number;
        parcel.maps[KERB_SEG_LABELS] = gst_buffer_ref(mask.labels);
        parcel.maps[KERB_SEG_CONFIDENCE] = mask.confidence ? gst_buffer_ref(mask.confidence) : NULL;
        kerb_seg_set_newest(self, &mask);
    }
    kerb_seg_item_clear(item);
    return kerb_seg_send(self, &parcel);
}

/* Pushes a frame of a stream with inference-interval, inferred (and collected) or not. */
static GstFlowReturn kerb_seg_deliver_thinned(KerbSeg *self, KerbSegItem *item, const KerbResult *result)
{
    gboolean fails = item->fails || (item->submitted && result->status != KERB_OK);
    if (item->submitted && !fails) {
        KerbSegMask mask = kerb_seg_mask_take(item, result);
        kerb_seg_set_newest(self, &mask);
    }
    kerb_seg_item_unmap(item);
    GstBuffer *frame = g_steal_pointer(&item->in.buffer);
    guint64 number = item->number;
    kerb_seg_item_clear(item);
    g_mutex_lock(&self->lock);
    KerbSegMask mask = kerb_seg_mask_ref(&self->newest);
    self->shown = self->display;
    g_mutex_unlock(&self->lock);
    GstFlowReturn flow = kerb_seg_pass(self, frame, number, &mask, fails);
    kerb_seg_mask_clear(&mask);
    return flow;
}

/* Collects what the oldest item became and sends it on its way. Returns the flow. */
static GstFlowReturn kerb_seg_leave(KerbSeg *self, KerbSegItem *item)
{
    KerbResult result = {.status = item->fails ? KERB_ERROR_ARGUMENT : KERB_OK}; /* of a frame that the engine refused, or did not get */
    KerbError error = {.status = KERB_OK};
    if (item->submitted) {
        KerbStatus status = kerb_collect(self->pipeline, &result, -1, &error);
        if (status != KERB_OK) { /* not for a frame that was submitted, as kerb.h has it */
            if (error.status == KERB_OK) error.status = status;
            result = (KerbResult){.status = status};
        }
        if (result.status < 0) kerb_seg_report_error(self, &error);
        if (result.status == KERB_OK) kerb_seg_report_inference(self, &result.times);
    }
    g_mutex_lock(&self->lock);
    GstFlowReturn flow = self->flushing || result.status == KERB_FLUSHED ? GST_FLOW_FLUSHING : self->flow;
    if (flow != GST_FLOW_OK) self->counters.flushed++;
    g_mutex_unlock(&self->lock);
    if (flow == GST_FLOW_OK) flow = item->thinned ? kerb_seg_deliver_thinned(self, item, &result) : kerb_seg_deliver(self, item, &result);
    kerb_seg_item_clear(item);
    return flow;
}

static gpointer kerb_seg_output(gpointer data)
{
    KerbSeg *self = data;
    g_mutex_lock(&self->lock);
    while (self->running) {
        if (self->live.n_held) {
            kerb_seg_live_leave(self);
            continue;
        }
        if (!self->in_flight) {
            g_cond_wait(&self->cond, &self->lock);
            continue;
        }
        KerbSegItem *item = &self->items[self->first];
        g_mutex_unlock(&self->lock);
        GstFlowReturn flow = kerb_seg_leave(self, item);
        g_mutex_lock(&self->lock);
        self->first = (self->first + 1) % self->n_items;
        self->in_flight--;
        if (self->flow == GST_FLOW_OK && !(flow == GST_FLOW_FLUSHING && self->flushing)) self->flow = flow;
        g_cond_broadcast(&self->cond);
    }
    g_mutex_unlock(&self->lock);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------- draining and flushing */

/* `lock` is held. */
static gboolean kerb_seg_holds_frames(const KerbSeg *self)
{
    return self->in_flight || self->live.n_held;
}

void kerb_seg_drain(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    while (kerb_seg_holds_frames(self) && !self->flushing) g_cond_wait(&self->cond, &self->lock);
    g_mutex_unlock(&self->lock);
}

gboolean kerb_seg_rest(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    while (kerb_seg_holds_frames(self) && !self->flushing) g_cond_wait(&self->cond, &self->lock);
    gst_clear_buffer(&self->live.wanted);
    while (self->live.busy) g_cond_wait(&self->cond, &self->lock);
    gboolean rests = !kerb_seg_holds_frames(self) && !self->live.busy;
    g_mutex_unlock(&self->lock);
    return rests;
}

/* `lock` is held. */
static void kerb_seg_forget_masks(KerbSeg *self)
{
    self->era++;
    kerb_seg_mask_clear(&self->newest);
    gst_clear_buffer(&self->live.wanted);
    self->live.last_number = 0; /* the next frame is inferred */
    self->live.late_until = GST_CLOCK_TIME_NONE;
}

void kerb_seg_forget(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    kerb_seg_forget_masks(self);
    /* With frames on their way the carrier is at work elsewhere; it notices by itself when time stamps go back. */
    if (!kerb_seg_holds_frames(self)) self->carried = FALSE;
    g_mutex_unlock(&self->lock);
    if (self->pipeline) kerb_reset_time(self->pipeline);
}

void kerb_seg_set_flushing(KerbSeg *self, gboolean flushing)
{
    g_mutex_lock(&self->lock);
    /* Off only when all that was flushed has gone, or it would be taken for frames of the new stream. */
    while (!flushing && kerb_seg_holds_frames(self)) g_cond_wait(&self->cond, &self->lock);
    self->flushing = flushing;
    kerb_seg_forget_masks(self);
    if (!flushing) {
        self->flow = GST_FLOW_OK;
        self->picture_ended = FALSE;
        self->carried = FALSE;
        self->last_pts = GST_CLOCK_TIME_NONE;
        gst_flow_combiner_reset(self->flows);
    }
    if (self->pipeline) kerb_set_flushing(self->pipeline, flushing);
    if (self->pipeline && !flushing) kerb_reset_time(self->pipeline);
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

void kerb_seg_start_output(KerbSeg *self)
{
    self->first = self->in_flight = 0;
    self->live = (KerbSegLive){.late_until = GST_CLOCK_TIME_NONE};
    self->flushing = self->carried = FALSE;
    self->carry_slow = 0;
    self->carry_from_us = 0;
    self->running = TRUE;
    self->flow = GST_FLOW_OK;
    self->picture_ended = FALSE;
    self->number = 0;
    self->last_pts = GST_CLOCK_TIME_NONE;
    gst_flow_combiner_reset(self->flows);
    self->thread = g_thread_new("kerbseg", kerb_seg_output, self);
    self->live.thread = g_thread_new("kerbseg-infer", kerb_seg_live_thread, self);
}

void kerb_seg_stop_output(KerbSeg *self)
{
    kerb_seg_set_flushing(self, TRUE);
    g_mutex_lock(&self->lock);
    while (kerb_seg_holds_frames(self)) g_cond_wait(&self->cond, &self->lock);
    self->running = FALSE;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
    g_clear_pointer(&self->thread, g_thread_join);
    g_clear_pointer(&self->live.thread, g_thread_join);
}
