/* SPDX-License-Identifier: MIT */
/* Where frames lie: an allocator of page-aligned host memory and a video buffer pool that insists on it.
 *
 * Upstream elements that are offered the pool write straight into memory that a backend can use as it is (page-aligned now, pinned where a
 * GPU wants that). Video metadata says the layout, so any stride goes. */
#ifndef KERB_PLUGIN_POOL_H
#define KERB_PLUGIN_POOL_H

#include <gst/video/gstvideopool.h>
#include <gst/video/video.h>

#define KERB_MEMORY_TYPE "KerbHostMemory"
#define KERB_PAGE_BYTES 4096

GType kerb_allocator_get_type(void);
GType kerb_buffer_pool_get_type(void);

/* A new allocator; transfer full. */
GstAllocator *kerb_allocator_new(void);

/* A pool for `caps` with `min` buffers to begin with and no upper limit, not yet active; transfer full. NULL where the configuration is
 * refused. */
GstBufferPool *kerb_buffer_pool_new(GstAllocator *allocator, GstCaps *caps, const GstVideoInfo *info, guint min);

#endif
