/* SPDX-License-Identifier: MIT */
/* kerbseg's events and caps: what comes between frames. Every serialised event waits until the frames before it have been pushed, so it
 * comes after all of them. See kerbseg.h. */
#include "kerbseg.h"
#include "pool.h"
#include "post.h"
#include "video.h"

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
        kerb_seg_forget(self);
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
    if (!kerb_seg_rest(self)) return FALSE;
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
    if (!same) {
        kerb_seg_forget(self);
        kerb_carrier_free(&self->carrier);
        kerb_drawer_free(&self->drawer);
        if (kerb_drawer_new(&self->drawer, &format, &error) != KERB_OK) {
            self->has_format = FALSE;
            kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, &error, NULL);
            return FALSE;
        }
    }
    KerbStats stats;
    kerb_get_stats(self->pipeline, &stats);
    self->on_gpu = g_str_has_prefix(stats.backend, "cuda");
    self->format = format;
    self->has_format = kerb_seg_make_map_pool(self);
    if (self->has_format) kerb_seg_report_format(self);
    return self->has_format;
}
