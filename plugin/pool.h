/* SPDX-License-Identifier: MIT */
/* Where frames lie: an allocator of page-aligned host memory and a video buffer pool that insists on it.
 *
 * Upstream elements that are offered the pool write straight into memory that the backend uses as it is: page-locked where a GPU wants that, plain
 * pages otherwise. Page-locking is slow (a millisecond and more a frame), so blocks that come back are kept for the next one that asks. Video
 * metadata says the layout, so any stride goes. */
#ifndef KERB_PLUGIN_POOL_H
#define KERB_PLUGIN_POOL_H

#include "kerb.h"
#include <gst/video/gstvideopool.h>
#include <gst/video/video.h>

#define KERB_MEMORY_TYPE "KerbHostMemory"
#define KERB_PAGE_BYTES 4096

GType kerb_allocator_get_type(void);
GType kerb_buffer_pool_get_type(void);

/* A new allocator of plain pages; transfer full. Any thread. */
GstAllocator *kerb_allocator_new(void);

/* From now on blocks come from kerb_host_alloc() of this pipeline (borrowed; NULL: plain pages again, which must come before kerb_close()). Memory that
 * is out stays as it is: it may outlive the pipeline. Waits for an allocation that is under way. */
void kerb_allocator_set_pipeline(GstAllocator *allocator, KerbPipeline *pipeline);

/* Page-locked bytes, in use or kept. Any thread. */
gsize kerb_allocator_pinned_bytes(GstAllocator *allocator);

/* A pool for `caps` with `min` buffers to begin with and no upper limit, not yet active; transfer full. NULL where the configuration is
 * refused. */
GstBufferPool *kerb_buffer_pool_new(GstAllocator *allocator, GstCaps *caps, const GstVideoInfo *info, guint min);

#endif
