/* SPDX-License-Identifier: MIT */
/* A request pad with a queue and a thread of its own; see sidepad.h. */
#include "sidepad.h"
#include "video.h"

G_DEFINE_TYPE(KerbSidePad, kerb_side_pad, GST_TYPE_PAD)

static void kerb_side_pad_clear(KerbSidePad *self)
{
    while (!gst_queue_array_is_empty(self->queue)) {
        GstMiniObject *item = gst_queue_array_pop_head(self->queue);
        if (GST_IS_BUFFER(item)) self->n_buffers--;
        gst_mini_object_unref(item);
    }
}

/* The pad's thread: takes the oldest item and pushes it. */
static void kerb_side_pad_loop(gpointer data)
{
    KerbSidePad *self = data;
    g_mutex_lock(&self->lock);
    while (!self->flushing && gst_queue_array_is_empty(self->queue)) g_cond_wait(&self->cond, &self->lock);
    if (self->flushing) {
        g_mutex_unlock(&self->lock);
        gst_pad_pause_task(GST_PAD(self));
        return;
    }
    GstMiniObject *item = gst_queue_array_pop_head(self->queue);
    g_mutex_unlock(&self->lock);
    if (!GST_IS_BUFFER(item)) {
        gst_pad_push_event(GST_PAD(self), GST_EVENT_CAST(item));
        return;
    }
    GstFlowReturn flow = gst_pad_push(GST_PAD(self), GST_BUFFER_CAST(item));
    g_mutex_lock(&self->lock);
    self->n_buffers--;
    if (!self->flushing) self->flow = flow;
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

static void kerb_side_pad_set_flushing(KerbSidePad *self, gboolean flushing)
{
    g_mutex_lock(&self->lock);
    self->flushing = flushing;
    self->flow = flushing ? GST_FLOW_FLUSHING : GST_FLOW_OK;
    kerb_side_pad_clear(self);
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

static gboolean kerb_side_pad_activate_mode(GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
    KerbSidePad *self = KERB_SIDE_PAD(pad);
    if (mode != GST_PAD_MODE_PUSH) return FALSE;
    kerb_side_pad_set_flushing(self, !active);
    if (active) return gst_pad_start_task(pad, kerb_side_pad_loop, pad, NULL);
    g_mutex_lock(&self->lock);
    self->primed = FALSE;
    g_mutex_unlock(&self->lock);
    return gst_pad_stop_task(pad);
}

/* Latency is the element's, not that of the pad's peer upstream. */
static gboolean kerb_side_pad_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) == GST_QUERY_LATENCY && parent)
        return GST_BASE_TRANSFORM_GET_CLASS(parent)->query(GST_BASE_TRANSFORM(parent), GST_PAD_SRC, query);
    return gst_pad_query_default(pad, parent, query);
}

/* Maps always have the frame's size: a wish for other caps ends here, or it would renegotiate the video. */
static gboolean kerb_side_pad_src_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) != GST_EVENT_RECONFIGURE) return gst_pad_event_default(pad, parent, event);
    gst_event_unref(event);
    return TRUE;
}

/* Not gst_pad_create_stream_id(): the sink pad stores the event it would read only after the element has seen it. */
static GstEvent *kerb_side_pad_stream_start(KerbSidePad *self, GstEvent *event)
{
    const gchar *upstream;
    guint group;
    GstStreamFlags flags;
    gst_event_parse_stream_start(event, &upstream);
    gst_event_parse_stream_flags(event, &flags);
    gchar *name = gst_pad_get_name(GST_PAD(self));
    gchar *id = g_strdup_printf("%s/%s", upstream, name);
    GstEvent *own = gst_event_new_stream_start(id);
    g_free(id);
    g_free(name);
    if (gst_event_parse_group_id(event, &group)) gst_event_set_group_id(own, group);
    gst_event_set_stream_flags(own, flags & ~GST_STREAM_FLAG_SELECT);
    gst_event_set_seqnum(own, gst_event_get_seqnum(event));
    return own;
}

static GstEvent *kerb_side_pad_caps(GstEvent *event)
{
    GstCaps *caps;
    GstVideoInfo info;
    gst_event_parse_caps(event, &caps);
    if (!gst_video_info_from_caps(&info, caps)) return NULL;
    GstCaps *own_caps = kerb_video_map_caps(&info);
    GstEvent *own = gst_event_new_caps(own_caps);
    gst_caps_unref(own_caps);
    gst_event_set_seqnum(own, gst_event_get_seqnum(event));
    return own;
}

/* The event as it goes out here, or NULL where it does not. */
static GstEvent *kerb_side_pad_translate(KerbSidePad *self, GstEvent *event)
{
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START: return kerb_side_pad_stream_start(self, event);
    case GST_EVENT_CAPS: return kerb_side_pad_caps(event);
    case GST_EVENT_SEGMENT:
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_STREAM_GROUP_DONE:
    case GST_EVENT_GAP:
    case GST_EVENT_EOS:
    case GST_EVENT_CUSTOM_DOWNSTREAM: return gst_event_ref(event);
    default: return NULL;
    }
}

static void kerb_side_pad_enqueue(KerbSidePad *self, GstMiniObject *item)
{
    if (!item) return;
    g_mutex_lock(&self->lock);
    if (self->flushing) {
        gst_mini_object_unref(item);
    } else {
        gst_queue_array_push_tail(self->queue, item);
        if (GST_IS_BUFFER(item)) self->n_buffers++;
    }
    g_cond_broadcast(&self->cond);
    g_mutex_unlock(&self->lock);
}

static gboolean kerb_side_pad_replay(GstPad *sink, GstEvent **event, gpointer data)
{
    kerb_side_pad_enqueue(data, (GstMiniObject *)kerb_side_pad_translate(data, *event));
    return TRUE;
}

/* A pad that was requested while the stream runs first gets what the sink pad remembers: stream-start, caps, segment. */
static void kerb_side_pad_prime(KerbSidePad *self, GstPad *sink)
{
    g_mutex_lock(&self->lock);
    gboolean primed = self->primed;
    self->primed = !self->flushing;
    g_mutex_unlock(&self->lock);
    if (!primed) gst_pad_sticky_events_foreach(sink, kerb_side_pad_replay, self);
}

void kerb_side_pad_event(KerbSidePad *self, GstPad *sink, GstEvent *event)
{
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_FLUSH_START:
        kerb_side_pad_set_flushing(self, TRUE);
        gst_pad_push_event(GST_PAD(self), gst_event_ref(event));
        gst_pad_pause_task(GST_PAD(self));
        return;
    case GST_EVENT_FLUSH_STOP:
        gst_pad_push_event(GST_PAD(self), gst_event_ref(event));
        /* The loop holds this lock while it pushes: the last flushed push is over when we have it. */
        GST_PAD_STREAM_LOCK(GST_PAD(self));
        kerb_side_pad_set_flushing(self, FALSE);
        gst_pad_start_task(GST_PAD(self), kerb_side_pad_loop, self, NULL);
        GST_PAD_STREAM_UNLOCK(GST_PAD(self));
        return;
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT:
        /* What ended the old stream or segment says nothing about the new one. */
        g_mutex_lock(&self->lock);
        if (self->flow == GST_FLOW_EOS || self->flow == GST_FLOW_NOT_LINKED) self->flow = GST_FLOW_OK;
        if (GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START) self->primed = TRUE;
        g_mutex_unlock(&self->lock);
        break;
    case GST_EVENT_EOS: kerb_side_pad_prime(self, sink); break;
    default: break;
    }
    g_mutex_lock(&self->lock);
    gboolean primed = self->primed;
    g_mutex_unlock(&self->lock);
    if (primed && GST_EVENT_IS_SERIALIZED(event)) kerb_side_pad_enqueue(self, (GstMiniObject *)kerb_side_pad_translate(self, event));
    if (!GST_EVENT_IS_SERIALIZED(event) && GST_EVENT_IS_DOWNSTREAM(event)) gst_pad_push_event(GST_PAD(self), gst_event_ref(event));
}

GstFlowReturn kerb_side_pad_push(KerbSidePad *self, GstPad *sink, GstBuffer *map)
{
    kerb_side_pad_prime(self, sink);
    g_mutex_lock(&self->lock);
    while (self->n_buffers >= KERB_SIDE_PAD_QUEUE_BUFFERS && !self->flushing) g_cond_wait(&self->cond, &self->lock);
    GstFlowReturn flow = self->flow;
    g_mutex_unlock(&self->lock);
    if (flow == GST_FLOW_OK || flow == GST_FLOW_NOT_LINKED)
        kerb_side_pad_enqueue(self, GST_MINI_OBJECT_CAST(map));
    else
        gst_buffer_unref(map);
    return flow;
}

void kerb_side_pad_gap(KerbSidePad *self, GstPad *sink, GstClockTime pts, GstClockTime duration)
{
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return;
    kerb_side_pad_prime(self, sink);
    kerb_side_pad_enqueue(self, GST_MINI_OBJECT_CAST(gst_event_new_gap(pts, duration)));
}

static void kerb_side_pad_finalize(GObject *object)
{
    KerbSidePad *self = KERB_SIDE_PAD(object);
    kerb_side_pad_clear(self);
    gst_queue_array_free(self->queue);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->cond);
    G_OBJECT_CLASS(kerb_side_pad_parent_class)->finalize(object);
}

static void kerb_side_pad_class_init(KerbSidePadClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = kerb_side_pad_finalize;
}

static void kerb_side_pad_init(KerbSidePad *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->cond);
    self->queue = gst_queue_array_new(16);
    self->flushing = TRUE;
    self->flow = GST_FLOW_FLUSHING;
    GstPad *pad = GST_PAD(self);
    gst_pad_set_activatemode_function(pad, kerb_side_pad_activate_mode);
    gst_pad_set_query_function(pad, kerb_side_pad_query);
    gst_pad_set_event_function(pad, kerb_side_pad_src_event);
}

KerbSidePad *kerb_side_pad_new(GstPadTemplate *templ)
{
    return g_object_new(KERB_TYPE_SIDE_PAD, "name", GST_PAD_TEMPLATE_NAME_TEMPLATE(templ), "direction", GST_PAD_SRC, "template", templ,
                        NULL);
}
