/* SPDX-License-Identifier: MIT */
/* kerbseg's frames as the engine sees them: buffers, mappings, jobs. See kerbseg.h. */
#include "kerbseg.h"
#include "video.h"

gboolean kerb_seg_map(KerbSegMapped *m, const GstVideoInfo *info, GstMapFlags flags)
{
    m->mapped = gst_video_frame_map(&m->frame, info, m->buffer, flags);
    m->on_device = FALSE;
    return m->mapped;
}

gboolean kerb_seg_map_for_engine(KerbSeg *self, KerbSegMapped *m, GstMapFlags flags)
{
    if (!self->on_gpu || !kerb_cuda_is_ours(&self->cuda, m->buffer)) return kerb_seg_map(m, &self->info, flags);
    m->mapped = m->on_device = kerb_cuda_map(&m->frame, &self->info, m->buffer, flags);
    return m->mapped;
}

void kerb_seg_unmap(KerbSegMapped *m)
{
    if (m->mapped) gst_video_frame_unmap(&m->frame);
    m->mapped = FALSE;
}

void kerb_seg_item_unmap(KerbSegItem *item)
{
    kerb_seg_unmap(&item->in);
    kerb_seg_unmap(&item->out);
    kerb_seg_unmap(&item->labels);
    kerb_seg_unmap(&item->confidence);
}

void kerb_seg_item_clear(KerbSegItem *item)
{
    kerb_seg_item_unmap(item);
    gst_clear_buffer(&item->in.buffer);
    gst_clear_buffer(&item->out.buffer);
    gst_clear_buffer(&item->labels.buffer);
    gst_clear_buffer(&item->confidence.buffer);
    item->submitted = item->fails = item->thinned = FALSE;
}

KerbMap kerb_seg_map_of(const KerbSegMapped *m)
{
    if (!m->mapped) return (KerbMap){NULL, 0};
    return (KerbMap){GST_VIDEO_FRAME_PLANE_DATA(&m->frame, 0), GST_VIDEO_FRAME_PLANE_STRIDE(&m->frame, 0)};
}

gboolean kerb_seg_acquire_map(KerbSeg *self, KerbSegMapped *m)
{
    return gst_buffer_pool_acquire_buffer(self->map_pool, &m->buffer, NULL) == GST_FLOW_OK &&
           kerb_seg_map(m, &self->map_info, GST_MAP_WRITE);
}

void kerb_seg_fail_to_map(const KerbSeg *self, GstBuffer *in, KerbError *error)
{
    error->status = KERB_ERROR_ARGUMENT;
    g_snprintf(error->message, sizeof error->message,
               "The buffer of the frame at %" GST_TIME_FORMAT " (%" G_GSIZE_FORMAT
               " bytes) does not hold a %d x %d picture of format %s: it passes "
               "without labels. Look at the element before this one.",
               GST_TIME_ARGS(GST_BUFFER_PTS(in)), gst_buffer_get_size(in), self->info.width, self->info.height,
               kerb_pixel_format_name(self->format.pixel_format));
}

int64_t kerb_seg_time(GstClockTime pts)
{
    return GST_CLOCK_TIME_IS_VALID(pts) && pts <= G_MAXINT64 ? (int64_t)pts : KERB_TIME_NONE;
}

GstFlowReturn kerb_seg_prepare(KerbSeg *self, KerbSegItem *item, GstBuffer *in, KerbVisualize visualize, KerbError *error)
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
    gboolean ok = kerb_seg_map_for_engine(self, &item->in, draws_here ? GST_MAP_READWRITE : GST_MAP_READ) &&
                  (in_place || kerb_seg_map_for_engine(self, &item->out, GST_MAP_WRITE)) && kerb_seg_acquire_map(self, &item->labels) &&
                  (!self->with_confidence || kerb_seg_acquire_map(self, &item->confidence));
    if (ok && item->out.buffer && visualize == KERB_VISUALIZE_NONE) gst_video_frame_copy(&item->out.frame, &item->in.frame);
    if (ok) return GST_FLOW_OK;
    kerb_seg_fail_to_map(self, in, error);
    return GST_FLOW_OK;
}

void kerb_seg_prepare_to_read(KerbSeg *self, KerbSegItem *item, GstBuffer *in, KerbError *error)
{
    item->in.buffer = in;
    if (!kerb_seg_map_for_engine(self, &item->in, GST_MAP_READ) || !kerb_seg_acquire_map(self, &item->labels) ||
        (self->with_confidence && !kerb_seg_acquire_map(self, &item->confidence)))
        kerb_seg_fail_to_map(self, in, error);
}

KerbJob kerb_seg_job(KerbSegItem *item, KerbVisualize visualize)
{
    KerbJob job = {.labels = kerb_seg_map_of(&item->labels), .confidence = kerb_seg_map_of(&item->confidence), .user = item};
    kerb_video_planes(&item->in.frame, &job.frame);
    job.frame.memory = item->in.on_device ? KERB_MEMORY_CUDA : KERB_MEMORY_HOST;
    job.frame.pts_ns = kerb_seg_time(GST_BUFFER_PTS(item->in.buffer));
    if (visualize == KERB_VISUALIZE_NONE) return job;
    job.picture = job.frame;
    if (item->out.buffer) {
        kerb_video_planes(&item->out.frame, &job.picture);
        job.picture.memory = item->out.on_device ? KERB_MEMORY_CUDA : KERB_MEMORY_HOST;
    }
    return job;
}
