/* SPDX-License-Identifier: MIT */
/* Labels of one frame on another: what a frame gets that passes without waiting for its own. Whether the newest labels are fresh enough,
 * carrying them along by motion, drawing, metadata, maps for the pads. See kerbseg.h.
 *
 * Copies: the picture is drawn from the frame into another buffer in one pass (in place where the network does not need the frame and
 * nobody else has it); with visualize=none the frame itself goes on. The pixels of a frame are never copied beside that. Labels are copied
 * (1 byte a pixel) only for a request pad, and only where they are another frame's: that buffer has to have time stamps of its own. */
#include "kerbseg.h"
#include "video.h"
#include "post.h"

void kerb_seg_mask_clear(KerbSegMask *mask)
{
    gst_clear_buffer(&mask->labels);
    gst_clear_buffer(&mask->confidence);
    *mask = (KerbSegMask){0};
}

KerbSegMask kerb_seg_mask_ref(const KerbSegMask *mask)
{
    if (mask->labels) gst_buffer_ref(mask->labels);
    if (mask->confidence) gst_buffer_ref(mask->confidence);
    return *mask;
}

KerbSegMask kerb_seg_mask_take(KerbSegItem *item, const KerbResult *result)
{
    KerbSegMask mask = {.stride = kerb_seg_map_of(&item->labels).stride,
                        .times = result->times,
                        .source_pts = GST_BUFFER_PTS(item->in.buffer),
                        .number = item->number};
    kerb_seg_unmap(&item->labels);
    kerb_seg_unmap(&item->confidence);
    kerb_seg_stamp_map(item->labels.buffer, item->in.buffer);
    kerb_seg_stamp_map(item->confidence.buffer, item->in.buffer);
    mask.labels = g_steal_pointer(&item->labels.buffer);
    mask.confidence = g_steal_pointer(&item->confidence.buffer);
    return mask;
}

/* NONE where a time stamp is missing. */
static GstClockTimeDiff kerb_seg_age(GstClockTime pts, GstClockTime source_pts)
{
    if (!GST_CLOCK_TIME_IS_VALID(pts) || !GST_CLOCK_TIME_IS_VALID(source_pts)) return GST_CLOCK_STIME_NONE;
    return GST_CLOCK_DIFF(source_pts, pts);
}

/* With a limit set, labels of unknown age are taken as too old. Played backwards, ages are negative: what counts is how far away they are.
 */
static gboolean kerb_seg_is_fresh(const KerbSegMask *mask, guint64 number, GstClockTimeDiff age, GstClockTime max_age)
{
    if (!mask->labels) return FALSE;
    if (mask->number == number || !GST_CLOCK_TIME_IS_VALID(max_age)) return TRUE;
    return GST_CLOCK_STIME_IS_VALID(age) && (GstClockTime)ABS(age) <= max_age;
}

/* ----------------------------------------------------------------------------------------------------------- carrying */

/* Carrying is done on the way of the video: where it takes more than half of a frame's time, twice in a row, the video comes first for so
 * long. In every-frame mode nobody waits for it. */
#define KERB_SEG_CARRY_PAUSE_US G_USEC_PER_SEC

static gboolean kerb_seg_carries(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    gboolean wanted = self->settings.carry;
    g_mutex_unlock(&self->lock);
    if (!wanted) self->carried = FALSE;
    return wanted;
}

/* The carrier, made when it is first needed; NULL where it is not wanted. It sees every frame, or starts anew. */
static KerbCarrier *kerb_seg_carrier(KerbSeg *self)
{
    KerbError error;
    g_mutex_lock(&self->lock);
    gboolean wanted = self->settings.carry;
    g_mutex_unlock(&self->lock);
    if (wanted && !self->carrier && kerb_carrier_new(&self->carrier, &self->format, KERB_MAX_HISTORY_FRAMES, &error) != KERB_OK) {
        kerb_post(GST_ELEMENT(self), GST_MESSAGE_WARNING, &error, NULL);
        g_mutex_lock(&self->lock);
        self->settings.carry = wanted = FALSE;
        g_mutex_unlock(&self->lock);
    }
    wanted = wanted && g_get_monotonic_time() >= self->carry_from_us;
    if (wanted && !self->carried) kerb_carrier_reset(self->carrier);
    self->carried = wanted;
    return wanted ? self->carrier : NULL;
}

/* Watches what carrying takes of a live stream's time. */
static void kerb_seg_time_carrying(KerbSeg *self, gint64 began_us)
{
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&self->lock);
    gboolean slow = self->mode != KERB_LIVE_EVERY_FRAME && (GstClockTime)(now_us - began_us) * 2 * GST_USECOND > self->frame_duration;
    g_mutex_unlock(&self->lock);
    self->carry_slow = slow ? self->carry_slow + 1 : 0;
    if (self->carry_slow < 2) return;
    GST_INFO_OBJECT(self, "carrying took %" G_GINT64_FORMAT " us: no more of it for a while", now_us - began_us);
    self->carry_slow = 0;
    self->carry_from_us = now_us + KERB_SEG_CARRY_PAUSE_US;
}

typedef bool (*KerbSegCarryFn)(KerbCarrier *carrier, int64_t source_pts_ns, KerbMap in, KerbMap out);

/* Replaces a map by where its things are now. FALSE: the way is not known, the map stays as it is. */
static gboolean kerb_seg_carry_map(KerbSeg *self, KerbSegCarryFn carry, GstClockTime source_pts, GstBuffer *frame, GstBuffer **map)
{
    KerbSegMapped from = {.buffer = *map}, to = {.buffer = NULL};
    gboolean ok = kerb_seg_map(&from, &self->map_info, GST_MAP_READ) && kerb_seg_acquire_map(self, &to) &&
                  carry(self->carrier, kerb_seg_time(source_pts), kerb_seg_map_of(&from), kerb_seg_map_of(&to));
    kerb_seg_unmap(&from);
    kerb_seg_unmap(&to);
    if (!ok) {
        gst_clear_buffer(&to.buffer);
        return FALSE;
    }
    kerb_seg_stamp_map(to.buffer, frame);
    gst_buffer_unref(*map);
    *map = to.buffer;
    return TRUE;
}

/* Moves the labels of an older frame onto the one that the carrier has seen last. TRUE: the maps are the frame's own now. */
static gboolean kerb_seg_carry_mask(KerbSeg *self, const KerbSegMapped *in, guint64 number, KerbSegMask *mask)
{
    if (!mask->labels || mask->number == number || !GST_CLOCK_TIME_IS_VALID(mask->source_pts)) return FALSE;
    if (!kerb_seg_carry_map(self, kerb_carrier_carry, mask->source_pts, in->buffer, &mask->labels)) return FALSE;
    if (mask->confidence) kerb_seg_carry_map(self, kerb_carrier_carry_confidence, mask->source_pts, in->buffer, &mask->confidence);
    return TRUE;
}

/* Shows the frame to the carrier, where there is one, and carries the mask. */
static gboolean kerb_seg_carry(KerbSeg *self, const KerbSegMapped *in, guint64 number, KerbSegMask *mask)
{
    KerbCarrier *carrier = kerb_seg_carrier(self);
    if (!carrier) return FALSE;
    gint64 began_us = g_get_monotonic_time();
    KerbFrame frame;
    kerb_video_planes(&in->frame, &frame);
    frame.pts_ns = kerb_seg_time(GST_BUFFER_PTS(in->buffer));
    kerb_carrier_add(carrier, &frame);
    gboolean own = kerb_seg_carry_mask(self, in, number, mask);
    kerb_seg_time_carrying(self, began_us);
    return own;
}

/* ------------------------------------------------------------------------------------------------------- maps for the pads */

/* A map with one value everywhere; NULL: no memory. */
static GstBuffer *kerb_seg_plain_map(KerbSeg *self, guint8 value, GstBuffer *frame)
{
    KerbSegMapped map = {.buffer = NULL};
    if (kerb_seg_acquire_map(self, &map))
        memset(GST_VIDEO_FRAME_PLANE_DATA(&map.frame, 0), value,
               (gsize)GST_VIDEO_FRAME_PLANE_STRIDE(&map.frame, 0) * (gsize)GST_VIDEO_FRAME_HEIGHT(&map.frame));
    kerb_seg_unmap(&map);
    kerb_seg_stamp_map(map.buffer, frame);
    return map.buffer;
}

static GstBuffer *kerb_seg_copy_map(KerbSeg *self, GstBuffer *from, GstBuffer *frame)
{
    KerbSegMapped source = {.buffer = from}, map = {.buffer = NULL};
    if (kerb_seg_map(&source, &self->map_info, GST_MAP_READ) && kerb_seg_acquire_map(self, &map))
        gst_video_frame_copy(&map.frame, &source.frame);
    kerb_seg_unmap(&source);
    kerb_seg_unmap(&map);
    kerb_seg_stamp_map(map.buffer, frame);
    return map.buffer;
}

/* What goes to the request pads: maps that are the frame's own as they are, others as copies with its time stamps; where there are no
 * labels, KERB_LABEL_NONE and a confidence of 0 everywhere, so that the streams stay in step. */
static void kerb_seg_pack_maps(KerbSeg *self, const KerbSegMask *mask, gboolean own, KerbSegParcel *parcel)
{
    GstBuffer *const maps[KERB_SEG_MAPS] = {mask->labels, mask->confidence};
    static const guint8 none[KERB_SEG_MAPS] = {KERB_LABEL_NONE, 0};
    for (int i = 0; i < KERB_SEG_MAPS; i++) {
        if (!kerb_seg_wants(self, (KerbSegMap)i)) continue;
        if (!maps[i])
            parcel->maps[i] = kerb_seg_plain_map(self, none[i], parcel->picture);
        else
            parcel->maps[i] = own ? gst_buffer_ref(maps[i]) : kerb_seg_copy_map(self, maps[i], parcel->picture);
    }
}

/* -------------------------------------------------------------------------------------------------------------- dressing */

/* Draws `labels` (NULL: none anywhere) over `in` into `out`, or into `in` itself where out has no buffer. */
static void kerb_seg_draw(KerbSeg *self, const KerbSegMapped *in, const KerbSegMapped *out, GstBuffer *labels)
{
    KerbFrame source, picture;
    kerb_video_planes(&in->frame, &source);
    kerb_video_planes(out->buffer ? &out->frame : &in->frame, &picture);
    KerbSegMapped map = {.buffer = labels ? labels : kerb_seg_plain_map(self, KERB_LABEL_NONE, in->buffer)};
    if (map.buffer && kerb_seg_map(&map, &self->map_info, GST_MAP_READ))
        kerb_drawer_draw(self->drawer, &source, kerb_seg_map_of(&map), &self->shown, &picture);
    kerb_seg_unmap(&map);
    if (!labels) gst_clear_buffer(&map.buffer);
}

static void kerb_seg_attach(KerbSeg *self, GstBuffer *picture, const KerbSegMask *mask, GstClockTimeDiff age)
{
    KerbResult result = {.pts_ns = kerb_seg_time(GST_BUFFER_PTS(picture)),
                         .source_pts_ns = kerb_seg_time(mask->source_pts),
                         .age_ns = GST_CLOCK_STIME_IS_VALID(age) ? age : 0,
                         .times = mask->times};
    kerb_seg_meta_add(picture, mask->labels, mask->confidence, self->classes, self->info.width, self->info.height, mask->stride, &result);
    kerb_seg_analytics_add(picture, mask->labels, self->classes, self->info.width, self->info.height);
}

/* A frame that cannot be read goes as it is, and without maps. */
static void kerb_seg_give_up(KerbSeg *self, GstBuffer *frame, KerbSegParcel *parcel)
{
    KerbError error;
    kerb_seg_fail_to_map(self, frame, &error);
    kerb_seg_report_error(self, &error);
    parcel->picture = frame;
    parcel->fails = TRUE;
}

GstFlowReturn kerb_seg_dress(KerbSeg *self, GstBuffer *frame, guint64 number, const KerbSegMask *newest, KerbSegParcel *parcel)
{
    GstClockTimeDiff age = newest->number == number ? 0 : kerb_seg_age(GST_BUFFER_PTS(frame), newest->source_pts);
    KerbSegMapped in = {.buffer = frame}, out = {.buffer = NULL};
    KerbSegMask mask = {0};
    g_mutex_lock(&self->lock);
    if (kerb_seg_is_fresh(newest, number, age, self->settings.max_age)) mask = kerb_seg_mask_ref(newest);
    g_mutex_unlock(&self->lock);
    *parcel = (KerbSegParcel){.number = number, .source_number = mask.labels ? mask.number : 0};
    /* Without labels an overlay is the frame; a mask is black, as what takes it for a mask expects. */
    KerbVisualize visualize = !mask.labels && self->shown.visualize == KERB_VISUALIZE_OVERLAY ? KERB_VISUALIZE_NONE : self->shown.visualize;
    GstFlowReturn flow = kerb_canvas_choose(&self->canvas, GST_BASE_TRANSFORM(self), &self->info, visualize, frame,
                                            kerb_seg_parent()->prepare_output_buffer, &out.buffer);
    gboolean draws = visualize != KERB_VISUALIZE_NONE;
    if (out.buffer == frame) { /* metadata is written in any case; the memory stays shared where only that was not ours */
        in.buffer = gst_buffer_make_writable(frame);
        out.buffer = NULL;
    }
    /* A frame that is neither drawn nor carried is only looked at: one in a GPU's memory stays there. */
    gboolean in_place = !out.buffer, touched = draws || !in_place || kerb_seg_carries(self), ok = flow == GST_FLOW_OK;
    if (ok && touched)
        ok = kerb_seg_map(&in, &self->info, in_place && draws ? GST_MAP_READWRITE : GST_MAP_READ) &&
             (in_place || kerb_seg_map(&out, &self->info, GST_MAP_WRITE));
    else if (ok)
        ok = kerb_seg_map_for_engine(self, &in, GST_MAP_READ);
    gboolean own = ok && touched && kerb_seg_carry(self, &in, number, &mask);
    if (ok && draws) kerb_seg_draw(self, &in, &out, mask.labels);
    if (ok && !draws && !in_place) gst_video_frame_copy(&out.frame, &in.frame);
    kerb_seg_unmap(&in);
    kerb_seg_unmap(&out);
    if (ok) {
        parcel->picture = in_place ? in.buffer : g_steal_pointer(&out.buffer);
        parcel->age = age;
        if (mask.labels) kerb_seg_attach(self, parcel->picture, &mask, age);
        kerb_seg_pack_maps(self, &mask, own || mask.number == number, parcel);
        if (!in_place) gst_buffer_unref(in.buffer);
    } else if (flow == GST_FLOW_OK) {
        parcel->source_number = 0;
        kerb_seg_give_up(self, in.buffer, parcel);
    } else { /* no buffer to draw into: the pads are flushing */
        gst_buffer_unref(in.buffer);
        g_mutex_lock(&self->lock);
        self->counters.flushed++;
        g_mutex_unlock(&self->lock);
    }
    gst_clear_buffer(&out.buffer);
    kerb_seg_mask_clear(&mask);
    return flow;
}

GstFlowReturn kerb_seg_pass(KerbSeg *self, GstBuffer *frame, guint64 number, const KerbSegMask *mask, gboolean fails)
{
    KerbSegParcel parcel;
    GstFlowReturn flow = kerb_seg_dress(self, frame, number, mask, &parcel);
    parcel.fails |= fails;
    return flow == GST_FLOW_OK ? kerb_seg_send(self, &parcel) : flow;
}
