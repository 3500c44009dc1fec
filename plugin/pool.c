/* SPDX-License-Identifier: MIT */
/* Page-aligned memory and the pool that insists on it; see pool.h. */
#include "pool.h"

#include <stdlib.h>

typedef struct KerbMemory {
    GstMemory memory;
    gpointer data; /* of the whole block, also in shares of it */
} KerbMemory;

typedef struct KerbAllocator {
    GstAllocator parent;
} KerbAllocator;
typedef GstAllocatorClass KerbAllocatorClass;
G_DEFINE_TYPE(KerbAllocator, kerb_allocator, GST_TYPE_ALLOCATOR)

static GstMemory *kerb_allocator_alloc(GstAllocator *allocator, gsize size, GstAllocationParams *params)
{
    if (size > G_MAXSIZE - params->prefix || size + params->prefix > G_MAXSIZE - params->padding - KERB_PAGE_BYTES) return NULL;
    /* Whole pages: what is pinned or mapped shares its pages with nothing else. */
    gsize bytes = (size + params->prefix + params->padding + KERB_PAGE_BYTES - 1) & ~(gsize)(KERB_PAGE_BYTES - 1);
    gsize align = MAX(params->align | (KERB_PAGE_BYTES - 1), KERB_PAGE_BYTES - 1);
    void *data = NULL;
    if (posix_memalign(&data, align + 1, MAX(bytes, KERB_PAGE_BYTES))) return NULL;
    if (params->prefix && (params->flags & GST_MEMORY_FLAG_ZERO_PREFIXED)) memset(data, 0, params->prefix);
    if (params->flags & GST_MEMORY_FLAG_ZERO_PADDED) memset((guint8 *)data + params->prefix + size, 0, bytes - params->prefix - size);
    KerbMemory *memory = g_new0(KerbMemory, 1);
    gst_memory_init(GST_MEMORY_CAST(memory), params->flags, allocator, NULL, bytes, align, params->prefix, size);
    memory->data = data;
    return GST_MEMORY_CAST(memory);
}

static void kerb_allocator_free(GstAllocator *allocator, GstMemory *memory)
{
    if (!memory->parent) free(((KerbMemory *)memory)->data);
    g_free(memory);
}

static gpointer kerb_memory_map(GstMemory *memory, gsize bytes, GstMapFlags flags)
{
    return ((KerbMemory *)memory)->data;
}

static void kerb_memory_unmap(GstMemory *memory) {}

static GstMemory *kerb_memory_share(GstMemory *memory, gssize offset, gssize size)
{
    GstMemory *parent = memory->parent ? memory->parent : memory;
    gsize bytes = size == -1 ? memory->size - (gsize)offset : (gsize)size;
    KerbMemory *share = g_new0(KerbMemory, 1);
    gst_memory_init(GST_MEMORY_CAST(share), GST_MINI_OBJECT_FLAGS(parent) | GST_MINI_OBJECT_FLAG_LOCK_READONLY, memory->allocator, parent,
                    memory->maxsize, memory->align, memory->offset + (gsize)offset, bytes);
    share->data = ((KerbMemory *)memory)->data;
    return GST_MEMORY_CAST(share);
}

static void kerb_allocator_class_init(KerbAllocatorClass *klass)
{
    klass->alloc = kerb_allocator_alloc;
    klass->free = kerb_allocator_free;
}

/* No GST_ALLOCATOR_FLAG_CUSTOM_ALLOC: v4l2src and the video pools call gst_allocator_alloc() on what they are given. */
static void kerb_allocator_init(KerbAllocator *self)
{
    GstAllocator *allocator = GST_ALLOCATOR_CAST(self);
    allocator->mem_type = KERB_MEMORY_TYPE;
    allocator->mem_map = kerb_memory_map;
    allocator->mem_unmap = kerb_memory_unmap;
    allocator->mem_share = kerb_memory_share;
}

GstAllocator *kerb_allocator_new(void)
{
    return gst_object_ref_sink(g_object_new(kerb_allocator_get_type(), NULL));
}

typedef struct KerbBufferPool {
    GstVideoBufferPool parent;
    GstAllocator *allocator;
} KerbBufferPool;
typedef GstVideoBufferPoolClass KerbBufferPoolClass;
G_DEFINE_TYPE(KerbBufferPool, kerb_buffer_pool, GST_TYPE_VIDEO_BUFFER_POOL)

/* v4l2src (and others) configure a proposed pool anew, with an allocator of their own: ours goes back in, at our alignment or theirs if
 * greater. */
static gboolean kerb_buffer_pool_set_config(GstBufferPool *pool, GstStructure *config)
{
    GstAllocationParams params;
    if (!gst_buffer_pool_config_get_allocator(config, NULL, &params)) gst_allocation_params_init(&params);
    params.align |= KERB_PAGE_BYTES - 1;
    gst_buffer_pool_config_set_allocator(config, ((KerbBufferPool *)pool)->allocator, &params);
    return GST_BUFFER_POOL_CLASS(kerb_buffer_pool_parent_class)->set_config(pool, config);
}

static void kerb_buffer_pool_finalize(GObject *object)
{
    gst_clear_object(&((KerbBufferPool *)object)->allocator);
    G_OBJECT_CLASS(kerb_buffer_pool_parent_class)->finalize(object);
}

static void kerb_buffer_pool_class_init(KerbBufferPoolClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = kerb_buffer_pool_finalize;
    GST_BUFFER_POOL_CLASS(klass)->set_config = kerb_buffer_pool_set_config;
}

static void kerb_buffer_pool_init(KerbBufferPool *self) {}

GstBufferPool *kerb_buffer_pool_new(GstAllocator *allocator, GstCaps *caps, const GstVideoInfo *info, guint min)
{
    KerbBufferPool *self = gst_object_ref_sink(g_object_new(kerb_buffer_pool_get_type(), NULL));
    self->allocator = gst_object_ref(allocator);
    GstBufferPool *pool = GST_BUFFER_POOL(self);
    GstStructure *config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, (guint)GST_VIDEO_INFO_SIZE(info), min, 0);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    if (!gst_buffer_pool_set_config(pool, config)) gst_clear_object(&pool);
    return pool;
}
