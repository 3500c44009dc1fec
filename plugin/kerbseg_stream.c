/* SPDX-License-Identifier: MIT */
/* kerbseg's stream: frames are submitted to the engine's ring by upstream's thread, collected and pushed by the output thread. See
 * kerbseg.h.
 *
 * Order is kept by a ring of items of the element's own: a frame that the engine refused stands in it too, and passes as it came. Every
 * serialised event waits until the ring is empty, so it comes after all frames before it. */
#include "kerbseg.h"
#include "pool.h"
#include "post.h"
#include "video.h"

/* ------------------------------------------------------------------------------------------------------------- mapping */

static gboolean kerb_seg_map(KerbSegMapped *m, const GstVideoInfo *info, GstMapFlags flags)
{
    m->mapped = gst_video_frame_map(&m->frame, info, m->buffer, flags);
    return m->mapped;
}

static void kerb_seg_unmap(KerbSegMapped *m)
{
    if (m->mapped) gst_video_frame_unmap(&m->frame);
    m->mapped = FALSE;
}

static void kerb_seg_item_unmap(KerbSegItem *item)
{
    kerb_seg_unmap(&item->in);
    kerb_seg_unmap(&item->out);
    kerb_seg_unmap(&item->labels);
    kerb_seg_unmap(&item->confidence);
}

static void kerb_seg_item_clear(KerbSegItem *item)
{
    kerb_seg_item_unmap(item);
    gst_clear_buffer(&item->in.buffer);
    gst_clear_buffer(&item->out.buffer);
    gst_clear_buffer(&item->labels.buffer);
    gst_clear_buffer(&item->confidence.buffer);
    item->submitted = FALSE;
}

static KerbMap kerb_seg_map_of(const KerbSegMapped *m)
{
    if (!m->mapped) return (KerbMap){NULL, 0};
    return (KerbMap){GST_VIDEO_FRAME_PLANE_DATA(&m->frame, 0), GST_VIDEO_FRAME_PLANE_STRIDE(&m->frame, 0)};
}

static gboolean kerb_seg_acquire_map(KerbSeg *self, KerbSegMapped *m)
{
    return gst_buffer_pool_acquire_buffer(self->map_pool, &m->buffer, NULL) == GST_FLOW_OK &&
           kerb_seg_map(m, &self->map_info, GST_MAP_WRITE);
}

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

/* Buffers and mappings for one frame. Takes `in`. `error` says why a frame cannot be mapped; it then passes as it is. */
static GstFlowReturn kerb_seg_prepare(KerbSeg *self, KerbSegItem *item, GstBuffer *in, KerbVisualize visualize, KerbError *error)
{
    GstBuffer *out = NULL;
    GstFlowReturn flow = kerb_canvas_choose(&self->canvas, GST_BASE_TRANSFORM(self), &self->info, visualize, in,
                                            kerb_seg_parent()->prepare_output_buffer, &out);
    if (flow != GST_FLOW_OK) {
        gst_buffer_unref(in);
        return flow;
    }
    gboolean in_place = out == in;
    if (in_place) /* metadata is written in any case; the memory stays shared where only that was not ours */
        in = gst_buffer_make_writable(in);
    else
        item->out.buffer = out;
    item->in.buffer = in;
    gboolean draws_here = in_place && visualize != KERB_VISUALIZE_NONE;
    gboolean ok = kerb_seg_map(&item->in, &self->info, draws_here ? GST_MAP_READWRITE : GST_MAP_READ) &&
                  (in_place || kerb_seg_map(&item->out, &self->info, GST_MAP_WRITE)) && kerb_seg_acquire_map(self, &item->labels) &&
                  (!self->with_confidence || kerb_seg_acquire_map(self, &item->confidence));
    if (ok && item->out.buffer && visualize == KERB_VISUALIZE_NONE) gst_video_frame_copy(&item->out.frame, &item->in.frame);
    if (ok) return GST_FLOW_OK;
    error->status = KERB_ERROR_ARGUMENT;
    g_snprintf(error->message, sizeof error->message,
               "The buffer of the frame at %" GST_TIME_FORMAT " (%" G_GSIZE_FORMAT
               " bytes) does not hold a %d x %d picture of format %s: it passes "
               "without labels. Look at the element before this one.",
               GST_TIME_ARGS(GST_BUFFER_PTS(in)), gst_buffer_get_size(in), self->info.width, self->info.height,
               kerb_pixel_format_name(self->format.pixel_format));
    return GST_FLOW_OK;
}

static KerbJob kerb_seg_job(KerbSegItem *item, KerbVisualize visualize)
{
    KerbJob job = {.labels = kerb_seg_map_of(&item->labels), .confidence = kerb_seg_map_of(&item->confidence), .user = item};
    GstClockTime pts = GST_BUFFER_PTS(item->in.buffer);
    kerb_video_planes(&item->in.frame, &job.frame);
    job.frame.pts_ns = GST_CLOCK_TIME_IS_VALID(pts) ? (int64_t)pts : KERB_TIME_NONE;
    if (visualize == KERB_VISUALIZE_NONE) return job;
    job.picture = job.frame;
    if (item->out.buffer) kerb_video_planes(&item->out.frame, &job.picture);
    return job;
}

/* Gives the frame to the engine and the item to the output thread. Takes `in`. */
static GstFlowReturn kerb_seg_enter(KerbSeg *self, KerbSegItem *item, GstBuffer *in)
{
    KerbError error = {.status = KERB_OK};
    KerbVisualize visualize = kerb_seg_apply_display(self);
    GstFlowReturn flow = kerb_seg_prepare(self, item, in, visualize, &error);
    if (flow != GST_FLOW_OK) return flow;
    g_mutex_lock(&self->lock);
    self->counters.in++;
    g_mutex_unlock(&self->lock);
    if (error.status == KERB_OK) {
        KerbJob job = kerb_seg_job(item, visualize);
        KerbStatus status = kerb_submit(self->pipeline, &job, &error);
        if (status == KERB_FLUSHED) {
            kerb_seg_item_clear(item);
            g_mutex_lock(&self->lock);
            self->counters.flushed++;
            g_mutex_unlock(&self->lock);
            return GST_FLOW_FLUSHING;
        }
        item->submitted = status == KERB_OK;
    }
    if (!item->submitted) kerb_seg_report_error(self, &error);
    g_mutex_lock(&self->lock);
    self->in_flight++;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
    return GST_FLOW_OK;
}

GstFlowReturn kerb_seg_submit_input_buffer(GstBaseTransform *transform, gboolean is_discont, GstBuffer *input)
{
    KerbSeg *self = KERB_SEG(transform);
    /* Chaining up renegotiates where downstream asks for it, which changes the pools under frames in flight. */
    if (gst_pad_needs_reconfigure(GST_BASE_TRANSFORM_SRC_PAD(transform))) kerb_seg_drain(self);
    GstFlowReturn flow = kerb_seg_parent()->submit_input_buffer(transform, is_discont, input);
    if (flow != GST_FLOW_OK) return flow;
    GstBuffer *in = transform->queued_buf;
    transform->queued_buf = NULL;
    if (!in) return GST_FLOW_OK;
    if (!self->has_format) {
        gst_buffer_unref(in);
        return GST_FLOW_NOT_NEGOTIATED;
    }
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

/* A referenced side pad, or NULL. */
static KerbSidePad *kerb_seg_side(KerbSeg *self, KerbSegMap which)
{
    g_mutex_lock(&self->lock);
    KerbSidePad *pad = self->side[which] ? gst_object_ref(self->side[which]) : NULL;
    g_mutex_unlock(&self->lock);
    return pad;
}

/* The flow of all pads together: one branch that ends or is not linked does not end the others. A pad released meanwhile does not count. */
static GstFlowReturn kerb_seg_combine(KerbSeg *self, GstPad *pad, GstFlowReturn flow)
{
    g_mutex_lock(&self->lock);
    gboolean counts = pad == GST_BASE_TRANSFORM_SRC_PAD(self);
    for (int i = 0; i < KERB_SEG_MAPS; i++) counts |= pad == GST_PAD_CAST(self->side[i]);
    if (counts) flow = gst_flow_combiner_update_pad_flow(self->flows, pad, flow);
    g_mutex_unlock(&self->lock);
    return counts ? flow : GST_FLOW_OK;
}

/* The map takes the frame's time stamps and goes to the pad; a missing one leaves a gap there. */
static void kerb_seg_push_map(KerbSeg *self, KerbSegMap which, GstBuffer *map, const GstBuffer *frame)
{
    KerbSidePad *pad = kerb_seg_side(self, which);
    if (!pad) return;
    GstPad *sink = GST_BASE_TRANSFORM_SINK_PAD(self);
    if (map)
        kerb_seg_combine(self, GST_PAD_CAST(pad), kerb_side_pad_push(pad, sink, gst_buffer_ref(map)));
    else
        kerb_side_pad_gap(pad, sink, GST_BUFFER_PTS(frame), GST_BUFFER_DURATION(frame));
    gst_object_unref(pad);
}

static void kerb_seg_stamp_map(GstBuffer *map, GstBuffer *frame)
{
    if (map) gst_buffer_copy_into(map, frame, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, (gsize)-1);
}

/* Pushes a picture (taken). A branch that has said EOS wants no more of this segment, while those of the maps may. */
static GstFlowReturn kerb_seg_push(KerbSeg *self, GstBuffer *picture)
{
    GstPad *src = GST_BASE_TRANSFORM_SRC_PAD(self);
    g_mutex_lock(&self->lock);
    gboolean ended = self->picture_ended;
    g_mutex_unlock(&self->lock);
    if (ended) {
        gst_buffer_unref(picture);
        return kerb_seg_combine(self, src, GST_FLOW_EOS);
    }
    GstFlowReturn flow = gst_pad_push(src, picture);
    g_mutex_lock(&self->lock);
    self->picture_ended = flow == GST_FLOW_EOS;
    g_mutex_unlock(&self->lock);
    return kerb_seg_combine(self, src, flow);
}

/* Pushes one collected frame and its maps. */
static GstFlowReturn kerb_seg_deliver(KerbSeg *self, KerbSegItem *item, const KerbResult *result)
{
    gboolean labelled = result->status == KERB_OK;
    /* What was to be drawn into was not: the frame goes into it as it came. */
    if (!labelled && item->out.mapped) gst_video_frame_copy(&item->out.frame, &item->in.frame);
    gboolean drawn_elsewhere = item->out.mapped;
    KerbMap layout = kerb_seg_map_of(&item->labels);
    kerb_seg_item_unmap(item);
    GstBuffer **from = drawn_elsewhere ? &item->out.buffer : &item->in.buffer;
    GstBuffer *frame = g_steal_pointer(from);
    GstBuffer *labels = labelled ? item->labels.buffer : NULL, *confidence = labelled ? item->confidence.buffer : NULL;
    kerb_seg_stamp_map(labels, frame);
    kerb_seg_stamp_map(confidence, frame);
    if (labelled) {
        kerb_seg_meta_add(frame, labels, confidence, self->classes, self->info.width, self->info.height, layout.stride, result);
        kerb_seg_analytics_add(frame, labels, self->classes, self->info.width, self->info.height);
    }
    kerb_seg_push_map(self, KERB_SEG_LABELS, labels, frame);
    if (self->with_confidence) kerb_seg_push_map(self, KERB_SEG_CONFIDENCE, confidence, frame);
    /* Nothing is held while downstream takes its time: upstream may have few buffers. */
    kerb_seg_item_clear(item);
    GstFlowReturn flow = kerb_seg_push(self, frame);
    g_mutex_lock(&self->lock);
    self->counters.out += labelled;
    g_mutex_unlock(&self->lock);
    if (labelled) kerb_seg_report_frame(self, result);
    return flow;
}

/* Collects what the oldest item became and sends it on its way. Returns the flow. */
static GstFlowReturn kerb_seg_leave(KerbSeg *self, KerbSegItem *item)
{
    KerbResult result = {.status = KERB_ERROR_ARGUMENT}; /* of a frame that the engine refused, and that was reported */
    KerbError error = {.status = KERB_OK};
    if (item->submitted) {
        KerbStatus status = kerb_collect(self->pipeline, &result, -1, &error);
        if (status != KERB_OK) { /* not for a frame that was submitted, as kerb.h has it */
            if (error.status == KERB_OK) error.status = status;
            result = (KerbResult){.status = status};
        }
        if (result.status < 0) kerb_seg_report_error(self, &error);
    }
    g_mutex_lock(&self->lock);
    GstFlowReturn flow = self->flushing || result.status == KERB_FLUSHED ? GST_FLOW_FLUSHING : self->flow;
    if (flow != GST_FLOW_OK && result.status >= 0) self->counters.flushed++;
    g_mutex_unlock(&self->lock);
    if (flow == GST_FLOW_OK) flow = kerb_seg_deliver(self, item, &result);
    kerb_seg_item_clear(item);
    return flow;
}

static gpointer kerb_seg_output(gpointer data)
{
    KerbSeg *self = data;
    g_mutex_lock(&self->lock);
    while (self->running) {
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

void kerb_seg_drain(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    while (self->in_flight && !self->flushing) g_cond_wait(&self->cond, &self->lock);
    g_mutex_unlock(&self->lock);
}

void kerb_seg_set_flushing(KerbSeg *self, gboolean flushing)
{
    g_mutex_lock(&self->lock);
    /* Off only when all that was flushed has gone, or it would be taken for frames of the new stream. */
    while (!flushing && self->in_flight) g_cond_wait(&self->cond, &self->lock);
    self->flushing = flushing;
    if (!flushing) {
        self->flow = GST_FLOW_OK;
        self->picture_ended = FALSE;
        gst_flow_combiner_reset(self->flows);
    }
    if (self->pipeline) kerb_set_flushing(self->pipeline, flushing);
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

void kerb_seg_start_output(KerbSeg *self)
{
    self->first = self->in_flight = 0;
    self->flushing = FALSE;
    self->running = TRUE;
    self->flow = GST_FLOW_OK;
    self->picture_ended = FALSE;
    gst_flow_combiner_reset(self->flows);
    self->thread = g_thread_new("kerbseg", kerb_seg_output, self);
}

void kerb_seg_stop_output(KerbSeg *self)
{
    kerb_seg_set_flushing(self, TRUE);
    g_mutex_lock(&self->lock);
    while (self->in_flight) g_cond_wait(&self->cond, &self->lock);
    self->running = FALSE;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
    g_clear_pointer(&self->thread, g_thread_join);
}

/* --------------------------------------------------------------------------------------------------------- events and caps */

static void kerb_seg_side_event(KerbSeg *self, GstEvent *event)
{
    for (int i = 0; i < KERB_SEG_MAPS; i++) {
        KerbSidePad *pad = kerb_seg_side(self, (KerbSegMap)i);
        if (!pad) continue;
        kerb_side_pad_event(pad, GST_BASE_TRANSFORM_SINK_PAD(self), event);
        gst_object_unref(pad);
    }
}

static gboolean kerb_seg_caps_event(KerbSeg *self, GstEvent *event)
{
    GstCaps *caps;
    gchar *why = NULL;
    gst_event_parse_caps(event, &caps);
    if (!kerb_video_from_caps(caps, NULL, NULL, &why)) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", why), ("caps %" GST_PTR_FORMAT, caps));
        g_free(why);
        gst_event_unref(event);
        return FALSE;
    }
    GstEvent *for_maps = gst_event_ref(event);
    gboolean ok = kerb_seg_parent()->sink_event(GST_BASE_TRANSFORM(self), event);
    if (ok) kerb_seg_side_event(self, for_maps);
    gst_event_unref(for_maps);
    return ok;
}

gboolean kerb_seg_sink_event(GstBaseTransform *transform, GstEvent *event)
{
    KerbSeg *self = KERB_SEG(transform);
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_FLUSH_START: kerb_seg_set_flushing(self, TRUE); break;
    case GST_EVENT_FLUSH_STOP: kerb_seg_set_flushing(self, FALSE); break;
    default:
        if (GST_EVENT_IS_SERIALIZED(event)) kerb_seg_drain(self);
        break;
    }
    if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) return kerb_seg_caps_event(self, event);
    if (GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START || GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT) {
        /* The end of the last stream or segment, or a branch that was not linked, is no verdict on the next. */
        g_mutex_lock(&self->lock);
        self->picture_ended = FALSE;
        if (self->flow == GST_FLOW_EOS || self->flow == GST_FLOW_NOT_LINKED) {
            self->flow = GST_FLOW_OK;
            gst_flow_combiner_reset(self->flows);
        }
        g_mutex_unlock(&self->lock);
    }
    /* Before the picture's branch: an EOS may wait there for the maps' branches to get theirs. */
    kerb_seg_side_event(self, event);
    return kerb_seg_parent()->sink_event(transform, event);
}

static gboolean kerb_seg_make_map_pool(KerbSeg *self)
{
    GstCaps *caps = kerb_video_map_caps(&self->info);
    gst_video_info_from_caps(&self->map_info, caps);
    /* Both maps of every frame in flight, and a few more that downstream holds; the pool grows to what the pipeline needs and stays there.
     */
    GstBufferPool *pool = kerb_buffer_pool_new(self->canvas.allocator, caps, &self->map_info, 2 * self->n_items + 2);
    gst_caps_unref(caps);
    if (self->map_pool) gst_buffer_pool_set_active(self->map_pool, FALSE);
    gst_clear_object(&self->map_pool);
    self->map_pool = pool;
    if (pool && gst_buffer_pool_set_active(pool, TRUE)) return TRUE;
    GST_ELEMENT_ERROR(self, RESOURCE, FAILED,
                      ("There is not enough memory for label maps of %d x %d pixels.", self->info.width, self->info.height), (NULL));
    return FALSE;
}

static gboolean kerb_seg_same_format(const KerbVideoFormat *a, const KerbVideoFormat *b)
{
    return a->pixel_format == b->pixel_format && a->width_px == b->width_px && a->height_px == b->height_px && a->matrix == b->matrix &&
           a->range == b->range && a->chroma_site == b->chroma_site;
}

gboolean kerb_seg_set_caps(GstBaseTransform *transform, GstCaps *in, GstCaps *out)
{
    KerbSeg *self = KERB_SEG(transform);
    KerbVideoFormat format;
    KerbError error;
    gchar *why = NULL;
    kerb_seg_drain(self);
    if (!kerb_video_from_caps(in, &self->info, &format, &why)) {
        g_free(why);
        return FALSE;
    }
    gboolean same = self->has_format && kerb_seg_same_format(&format, &self->format); /* another frame rate, say */
    if (!same && kerb_set_format(self->pipeline, &format, &error) != KERB_OK) {
        self->has_format = FALSE;
        kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, &error, NULL);
        return FALSE;
    }
    self->format = format;
    self->has_format = kerb_seg_make_map_pool(self);
    if (self->has_format) kerb_seg_report_format(self);
    return self->has_format;
}
