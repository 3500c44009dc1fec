/* SPDX-License-Identifier: MIT */
/* Frames that lie in a GPU's memory (caps feature memory:CUDAMemory), by way of GStreamer's CUDA library.
 *
 * The library is looked for when it is wanted and is needed neither for building nor for running anything else. Device pointers mean something
 * in the CUDA context only that they were made in: the engine runs in the device's primary context (as every program that uses CUDA's runtime), GStreamer's
 * elements each make one of their own unless a neighbour has one to share. So ours, a GstCudaContext around the primary one, is offered to the neighbours
 * when they ask, whatever state the element is in, and to the pipeline when the element becomes READY. */
#ifndef KERB_PLUGIN_CUDA_H
#define KERB_PLUGIN_CUDA_H

#include "kerb.h"
#include <gst/video/video.h>

#define KERB_CUDA_FEATURE "memory:CUDAMemory"

typedef struct KerbCuda {
    GMutex lock;
    GstObject *context; /* GstCudaContext around a primary context; NULL: not asked for yet */
    gint device_id;     /* of `context` */
} KerbCuda;

void kerb_cuda_init(KerbCuda *cuda);
void kerb_cuda_clear(KerbCuda *cuda);

/* Whether GStreamer's CUDA library and a driver can be loaded. The first call may be slow. Any thread. */
gboolean kerb_cuda_is_there(void);

/* TRUE: these caps are of frames in a GPU's memory. */
gboolean kerb_cuda_has_feature(const GstCaps *caps);

/* Makes the context for a device, and tells the pipeline. FALSE: it cannot be had. Any thread. */
gboolean kerb_cuda_open(KerbCuda *cuda, GstElement *element, guint device_id);
/* Answers a neighbour's query for a CUDA context. FALSE: it is another query, or there is none. */
gboolean kerb_cuda_answer(KerbCuda *cuda, GstElement *element, guint device_id, GstQuery *query);

/* For propose_allocation and decide_allocation: a pool of device memory in our context. decide: downstream's, where that is one. */
gboolean kerb_cuda_propose(KerbCuda *cuda, GstQuery *query, GstCaps *caps, guint min);
gboolean kerb_cuda_decide(KerbCuda *cuda, GstQuery *query, GstCaps *caps, guint min);

/* Whether the buffer's memory is a GPU's, in our context: what kerb_cuda_map() can map. */
gboolean kerb_cuda_is_ours(KerbCuda *cuda, GstBuffer *buffer);
/* Maps it with device pointers, which a later gst_video_frame_unmap() gives back; what was queued to write it has been waited for. */
gboolean kerb_cuda_map(GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer, GstMapFlags flags);

#endif
