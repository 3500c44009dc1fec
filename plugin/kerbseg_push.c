/* SPDX-License-Identifier: MIT */
/* kerbseg's way out: a picture to the source pad, its maps to the request pads, and the flow of all of them together. Whoever sends frames
 * (the streaming thread or the output thread, never both) calls this. See kerbseg.h. */
#include "kerbseg.h"

KerbSidePad *kerb_seg_side(KerbSeg *self, KerbSegMap which)
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

void kerb_seg_stamp_map(GstBuffer *map, GstBuffer *frame)
{
    if (map) gst_buffer_copy_into(map, frame, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, (gsize)-1);
}

/* Pushes a picture (taken). A branch that has said EOS wants no more of this segment, while those of the maps may. *taken: whether
 * downstream had it, rather than was flushing. */
static GstFlowReturn kerb_seg_push(KerbSeg *self, GstBuffer *picture, gboolean *taken)
{
    GstPad *src = GST_BASE_TRANSFORM_SRC_PAD(self);
    g_mutex_lock(&self->lock);
    gboolean ended = self->picture_ended;
    g_mutex_unlock(&self->lock);
    *taken = TRUE;
    if (ended) {
        gst_buffer_unref(picture);
        return kerb_seg_combine(self, src, GST_FLOW_EOS);
    }
    GstFlowReturn flow = gst_pad_push(src, picture);
    *taken = flow != GST_FLOW_FLUSHING;
    g_mutex_lock(&self->lock);
    self->picture_ended = flow == GST_FLOW_EOS;
    g_mutex_unlock(&self->lock);
    return kerb_seg_combine(self, src, flow);
}

gboolean kerb_seg_wants(KerbSeg *self, KerbSegMap which)
{
    g_mutex_lock(&self->lock);
    gboolean wants = self->side[which] != NULL;
    g_mutex_unlock(&self->lock);
    return wants;
}

GstFlowReturn kerb_seg_send(KerbSeg *self, KerbSegParcel *parcel)
{
    for (int i = 0; i < KERB_SEG_MAPS; i++) {
        if (i == KERB_SEG_LABELS || self->with_confidence) kerb_seg_push_map(self, (KerbSegMap)i, parcel->maps[i], parcel->picture);
        gst_clear_buffer(&parcel->maps[i]);
    }
    /* Nothing is held while downstream takes its time: upstream may have few buffers. */
    gboolean taken;
    GstFlowReturn flow = kerb_seg_push(self, g_steal_pointer(&parcel->picture), &taken);
    kerb_seg_report_frame(self, parcel, taken);
    return flow;
}
