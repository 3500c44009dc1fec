/* SPDX-License-Identifier: MIT */
/* Page-aligned memory, page-locked where the backend has such, and the pool that insists on it; see pool.h. */
#include "pool.h"

#include <stdlib.h>

/* What is kept of page-locked blocks that came back: enough for the buffers of a pool that is made anew (other caps, a seek), not for a pile of frames
 * of a size that nobody asks for any more. */
#define KERB_KEPT_BLOCKS 24
#define KERB_KEPT_BYTES ((gsize)128 << 20)

typedef struct KerbHostMemory {
    GstMemory memory;
    gpointer data;       /* of the whole block, also in shares of it */
    KerbHostBlock block; /* data NULL: a share, or plain pages */
} KerbHostMemory;

typedef struct KerbAllocator {
    GstAllocator parent;
    GMutex lock; /* of all that follows */
    KerbPipeline *pipeline;
    KerbHostBlock kept[KERB_KEPT_BLOCKS]; /* oldest first */
    guint n_kept;
    gsize kept_bytes, pinned_bytes;
} KerbAllocator;
typedef GstAllocatorClass KerbAllocatorClass;
G_DEFINE_TYPE(KerbAllocator, kerb_allocator, GST_TYPE_ALLOCATOR)
#define KERB_ALLOCATOR(obj) ((KerbAllocator *)(obj))

/* ---------------------------------------------------------------------------------------------------------------- blocks */

/* Takes the i-th kept block out. `lock` is held. */
static KerbHostBlock kerb_allocator_unkeep(KerbAllocator *self, guint i)
{
    KerbHostBlock block = self->kept[i];
    self->n_kept--;
    self->kept_bytes -= block.bytes;
    memmove(&self->kept[i], &self->kept[i + 1], (self->n_kept - i) * sizeof block);
    return block;
}

/* `lock` is held. */
static void kerb_allocator_drop(KerbAllocator *self, KerbHostBlock *block)
{
    self->pinned_bytes -= block->bytes;
    kerb_host_free(block);
}

/* A page-locked block of so many bytes (whole pages), or FALSE: there is no pipeline that has such, or none left. */
static gboolean kerb_allocator_take(KerbAllocator *self, gsize bytes, KerbHostBlock *out)
{
    *out = (KerbHostBlock){0};
    g_mutex_lock(&self->lock);
    for (guint i = self->n_kept; i-- > 0 && !out->data;)
        if (self->kept[i].bytes == bytes) *out = kerb_allocator_unkeep(self, i);
    if (!out->data && self->pipeline && kerb_host_alloc(self->pipeline, bytes, out, NULL) == KERB_OK && out->pinned) self->pinned_bytes += out->bytes;
    g_mutex_unlock(&self->lock);
    return out->data != NULL;
}

static void kerb_allocator_give(KerbAllocator *self, KerbHostBlock *block)
{
    g_mutex_lock(&self->lock);
    if (!block->pinned) {
        kerb_host_free(block);
    } else if (!self->pipeline || block->bytes > KERB_KEPT_BYTES) {
        kerb_allocator_drop(self, block);
    } else {
        while (self->n_kept == KERB_KEPT_BLOCKS || self->kept_bytes + block->bytes > KERB_KEPT_BYTES) {
            KerbHostBlock oldest = kerb_allocator_unkeep(self, 0);
            kerb_allocator_drop(self, &oldest);
        }
        self->kept[self->n_kept++] = *block;
        self->kept_bytes += block->bytes;
    }
    g_mutex_unlock(&self->lock);
}

void kerb_allocator_set_pipeline(GstAllocator *allocator, KerbPipeline *pipeline)
{
    KerbAllocator *self = KERB_ALLOCATOR(allocator);
    g_mutex_lock(&self->lock);
    self->pipeline = pipeline;
    while (self->n_kept) { /* another pipeline may run on another device */
        KerbHostBlock block = kerb_allocator_unkeep(self, self->n_kept - 1);
        kerb_allocator_drop(self, &block);
    }
    g_mutex_unlock(&self->lock);
}

gsize kerb_allocator_pinned_bytes(GstAllocator *allocator)
{
    KerbAllocator *self = KERB_ALLOCATOR(allocator);
    g_mutex_lock(&self->lock);
    gsize bytes = self->pinned_bytes;
    g_mutex_unlock(&self->lock);
    return bytes;
}

/* ------------------------------------------------------------------------------------------------------------- allocator */

static GstMemory *kerb_allocator_alloc(GstAllocator *allocator, gsize size, GstAllocationParams *params)
{
    if (size > G_MAXSIZE - params->prefix || size + params->prefix > G_MAXSIZE - params->padding - KERB_PAGE_BYTES) return NULL;
    /* Whole pages: what is page-locked or mapped shares its pages with nothing else. */
    gsize bytes = MAX((size + params->prefix + params->padding + KERB_PAGE_BYTES - 1) & ~(gsize)(KERB_PAGE_BYTES - 1), KERB_PAGE_BYTES);
    gsize align = MAX(params->align | (KERB_PAGE_BYTES - 1), KERB_PAGE_BYTES - 1);
    KerbHostBlock block = {0};
    void *data = NULL;
    if (align == KERB_PAGE_BYTES - 1 && kerb_allocator_take(KERB_ALLOCATOR(allocator), bytes, &block))
        data = block.data;
    else if (posix_memalign(&data, align + 1, bytes))
        return NULL;
    if (params->prefix && (params->flags & GST_MEMORY_FLAG_ZERO_PREFIXED)) memset(data, 0, params->prefix);
    if (params->flags & GST_MEMORY_FLAG_ZERO_PADDED) memset((guint8 *)data + params->prefix + size, 0, bytes - params->prefix - size);
    KerbHostMemory *memory = g_new0(KerbHostMemory, 1);
    gst_memory_init(GST_MEMORY_CAST(memory), params->flags, allocator, NULL, bytes, align, params->prefix, size);
    memory->data = data;
    memory->block = block;
    return GST_MEMORY_CAST(memory);
}

static void kerb_allocator_free(GstAllocator *allocator, GstMemory *memory)
{
    KerbHostMemory *own = (KerbHostMemory *)memory;
    if (own->block.data)
        kerb_allocator_give(KERB_ALLOCATOR(allocator), &own->block);
    else if (!memory->parent)
        free(own->data);
    g_free(memory);
}

static gpointer kerb_memory_map(GstMemory *memory, gsize bytes, GstMapFlags flags)
{
    return ((KerbHostMemory *)memory)->data;
}

static void kerb_memory_unmap(GstMemory *memory) {}

static GstMemory *kerb_memory_share(GstMemory *memory, gssize offset, gssize size)
{
    GstMemory *parent = memory->parent ? memory->parent : memory;
    gsize bytes = size == -1 ? memory->size - (gsize)offset : (gsize)size;
    KerbHostMemory *share = g_new0(KerbHostMemory, 1);
    gst_memory_init(GST_MEMORY_CAST(share), GST_MINI_OBJECT_FLAGS(parent) | GST_MINI_OBJECT_FLAG_LOCK_READONLY, memory->allocator, parent,
                    memory->maxsize, memory->align, memory->offset + (gsize)offset, bytes);
    share->data = ((KerbHostMemory *)memory)->data;
    return GST_MEMORY_CAST(share);
}

static void kerb_allocator_finalize(GObject *object)
{
    kerb_allocator_set_pipeline(GST_ALLOCATOR_CAST(object), NULL);
    g_mutex_clear(&KERB_ALLOCATOR(object)->lock);
    G_OBJECT_CLASS(kerb_allocator_parent_class)->finalize(object);
}

static void kerb_allocator_class_init(KerbAllocatorClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = kerb_allocator_finalize;
    klass->alloc = kerb_allocator_alloc;
    klass->free = kerb_allocator_free;
}

/* No GST_ALLOCATOR_FLAG_CUSTOM_ALLOC: v4l2src and the video pools call gst_allocator_alloc() on what they are given. */
static void kerb_allocator_init(KerbAllocator *self)
{
    GstAllocator *allocator = GST_ALLOCATOR_CAST(self);
    g_mutex_init(&self->lock);
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
