/* SPDX-License-Identifier: MIT */
/* GStreamer's CUDA library and the driver, opened at run time; see cuda.h. */
#include "cuda.h"

#include <gmodule.h>
#include <gst/video/gstvideometa.h>

GST_DEBUG_CATEGORY_STATIC(kerb_cuda_debug);
#define GST_CAT_DEFAULT kerb_cuda_debug

#define CONTEXT_TYPE "gst.cuda.context"
/* GST_MAP_CUDA of gstcudamemory.h: the device's pointers instead of a copy on the host. */
#define MAP_CUDA ((GstMapFlags)(GST_MAP_FLAG_LAST << 1))

/* The public beginnings of the library's structures, the same from 1.22 on. */
typedef struct GstCudaMemoryHead {
    GstMemory memory;
    GstObject *context;
} GstCudaMemoryHead;
typedef struct GstCudaPoolHead {
    GstBufferPool pool;
    GstObject *context;
} GstCudaPoolHead;

#ifdef KERB_HAVE_GST_CUDA
/* Where its headers are, they say whether that is still so. */
#define GST_USE_UNSTABLE_API
#include <gst/cuda/gstcudabufferpool.h>
#include <gst/cuda/gstcudamemory.h>
G_STATIC_ASSERT(G_STRUCT_OFFSET(GstCudaMemory, context) == G_STRUCT_OFFSET(GstCudaMemoryHead, context));
G_STATIC_ASSERT(G_STRUCT_OFFSET(GstCudaBufferPool, context) == G_STRUCT_OFFSET(GstCudaPoolHead, context));
G_STATIC_ASSERT((int)GST_MAP_CUDA == (int)MAP_CUDA);
#endif

/* What is used of the library and of the driver. */
typedef struct KerbCudaCalls {
    gboolean (*load_library)(void);
    void (*memory_init_once)(void); /* pools want it */
    GType (*pool_type)(void);
    GstObject *(*context_new_wrapped)(gpointer context, int device);
    gboolean (*handle_context_query)(GstElement *element, GstQuery *query, gpointer context);
    GstContext *(*context_new_context)(gpointer context);
    gboolean (*is_cuda_memory)(GstMemory *memory);
    GstBufferPool *(*pool_new)(gpointer context);
    void (*memory_sync)(gpointer memory); /* from 1.24 on; before, elements wait for the GPU themselves */
    int (*init)(unsigned flags);
    int (*device_get)(int *device, int ordinal);
    int (*primary_retain)(gpointer *context, int device);
} KerbCudaCalls;
static KerbCudaCalls kerb_cuda_calls;

static gboolean kerb_cuda_symbols(GModule *module, gboolean needed, ...)
{
    va_list args;
    va_start(args, needed);
    gboolean all = TRUE;
    for (const gchar *name; (name = va_arg(args, const gchar *));) all &= g_module_symbol(module, name, va_arg(args, gpointer *)) || !needed;
    va_end(args);
    return all;
}

static gboolean kerb_cuda_load(void)
{
    KerbCudaCalls *c = &kerb_cuda_calls;
    GST_DEBUG_CATEGORY_INIT(kerb_cuda_debug, "kerbcuda", 0, "Kerb's frames in CUDA memory");
    GModule *library = g_module_open("libgstcuda-1.0.so.0", G_MODULE_BIND_LAZY), *driver = g_module_open("libcuda.so.1", G_MODULE_BIND_LAZY);
    gboolean ok = library && driver &&
                  kerb_cuda_symbols(library, TRUE, "gst_cuda_load_library", (gpointer *)&c->load_library, "gst_cuda_memory_init_once",
                                    (gpointer *)&c->memory_init_once, "gst_cuda_buffer_pool_get_type", (gpointer *)&c->pool_type, "gst_cuda_context_new_wrapped", (gpointer *)&c->context_new_wrapped,
                                    "gst_cuda_handle_context_query", (gpointer *)&c->handle_context_query, "gst_context_new_cuda_context",
                                    (gpointer *)&c->context_new_context, "gst_is_cuda_memory", (gpointer *)&c->is_cuda_memory,
                                    "gst_cuda_buffer_pool_new", (gpointer *)&c->pool_new, NULL) &&
                  kerb_cuda_symbols(library, FALSE, "gst_cuda_memory_sync", (gpointer *)&c->memory_sync, NULL) &&
                  kerb_cuda_symbols(driver, TRUE, "cuInit", (gpointer *)&c->init, "cuDeviceGet", (gpointer *)&c->device_get,
                                    "cuDevicePrimaryCtxRetain", (gpointer *)&c->primary_retain, NULL);
    if (ok) { /* for the life of the process: types and memory of theirs may outlive everything of ours */
        g_module_make_resident(library);
        g_module_make_resident(driver);
        ok = c->load_library() && c->init(0) == 0;
        if (ok) c->memory_init_once();
    }
    if (library) g_module_close(library);
    if (driver) g_module_close(driver);
    GST_INFO("frames in CUDA memory: %s", ok ? "yes" : "no");
    return ok;
}

gboolean kerb_cuda_is_there(void)
{
    static gsize loaded; /* 1: no, 2: yes */
    if (g_once_init_enter(&loaded)) g_once_init_leave(&loaded, kerb_cuda_load() ? 2 : 1);
    return loaded == 2;
}

gboolean kerb_cuda_has_feature(const GstCaps *caps)
{
    return caps && gst_caps_get_size(caps) && !gst_caps_is_any(caps) && gst_caps_features_contains(gst_caps_get_features(caps, 0), KERB_CUDA_FEATURE);
}

/* --------------------------------------------------------------------------------------------------------------- context */

void kerb_cuda_init(KerbCuda *cuda)
{
    g_mutex_init(&cuda->lock);
    cuda->context = NULL;
    cuda->device_id = -1;
}

void kerb_cuda_clear(KerbCuda *cuda)
{
    gst_clear_object(&cuda->context);
    g_mutex_clear(&cuda->lock);
}

/* The primary context is retained and never given back, as CUDA's runtime does: buffers may outlive the element. */
static GstObject *kerb_cuda_new_context(guint device_id)
{
    int device;
    gpointer primary = NULL;
    if (!kerb_cuda_is_there() || kerb_cuda_calls.device_get(&device, (int)device_id) || kerb_cuda_calls.primary_retain(&primary, device)) return NULL;
    return kerb_cuda_calls.context_new_wrapped(primary, device);
}

gboolean kerb_cuda_open(KerbCuda *cuda, GstElement *element, guint device_id)
{
    g_mutex_lock(&cuda->lock);
    if (cuda->context && cuda->device_id != (gint)device_id) gst_clear_object(&cuda->context);
    gboolean made = !cuda->context && (cuda->context = kerb_cuda_new_context(device_id));
    cuda->device_id = (gint)device_id;
    GstContext *context = made ? kerb_cuda_calls.context_new_context(cuda->context) : NULL;
    gboolean there = cuda->context != NULL;
    g_mutex_unlock(&cuda->lock);
    if (context) gst_element_post_message(element, gst_message_new_have_context(GST_OBJECT(element), context));
    return there;
}

gboolean kerb_cuda_answer(KerbCuda *cuda, GstElement *element, guint device_id, GstQuery *query)
{
    const gchar *type = NULL;
    if (GST_QUERY_TYPE(query) != GST_QUERY_CONTEXT || !gst_query_parse_context_type(query, &type) || g_strcmp0(type, CONTEXT_TYPE)) return FALSE;
    return kerb_cuda_open(cuda, element, device_id) && kerb_cuda_calls.handle_context_query(element, query, cuda->context);
}

/* ----------------------------------------------------------------------------------------------------------------- pools */

/* *size: of a buffer, which the pool decides. */
static GstBufferPool *kerb_cuda_new_pool(KerbCuda *cuda, GstCaps *caps, guint min, guint *size)
{
    GstVideoInfo info;
    if (!cuda->context || !gst_video_info_from_caps(&info, caps)) return NULL;
    GstBufferPool *pool = kerb_cuda_calls.pool_new(cuda->context);
    GstStructure *config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    gst_buffer_pool_config_set_params(config, caps, (guint)GST_VIDEO_INFO_SIZE(&info), min, 0);
    if (!gst_buffer_pool_set_config(pool, config)) {
        gst_object_unref(pool);
        return NULL;
    }
    config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_get_params(config, NULL, size, NULL, NULL);
    gst_structure_free(config);
    return pool;
}

gboolean kerb_cuda_propose(KerbCuda *cuda, GstQuery *query, GstCaps *caps, guint min)
{
    guint size = 0;
    GstBufferPool *pool = kerb_cuda_new_pool(cuda, caps, min, &size);
    if (!pool) return FALSE;
    gst_query_add_allocation_pool(query, pool, size, min, 0);
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    gst_object_unref(pool);
    return TRUE;
}

gboolean kerb_cuda_decide(KerbCuda *cuda, GstQuery *query, GstCaps *caps, guint min)
{
    GstBufferPool *pool = NULL;
    guint size = 0, least = 0, most = 0;
    gboolean has_pool = gst_query_get_n_allocation_pools(query) > 0;
    if (has_pool) gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, &least, &most);
    gboolean fits = pool && g_type_is_a(G_OBJECT_TYPE(pool), kerb_cuda_calls.pool_type()) && ((GstCudaPoolHead *)pool)->context == cuda->context;
    if (pool && (!fits || (most && most < least + min))) gst_clear_object(&pool);
    if (!pool) {
        pool = kerb_cuda_new_pool(cuda, caps, least + min, &size);
        most = 0;
    }
    if (!pool) return FALSE;
    if (has_pool)
        gst_query_set_nth_allocation_pool(query, 0, pool, size, least + min, most);
    else
        gst_query_add_allocation_pool(query, pool, size, least + min, most);
    gst_object_unref(pool);
    return TRUE;
}

/* --------------------------------------------------------------------------------------------------------------- mapping */

gboolean kerb_cuda_is_ours(KerbCuda *cuda, GstBuffer *buffer)
{
    if (!cuda->context || gst_buffer_n_memory(buffer) != 1) return FALSE;
    GstMemory *memory = gst_buffer_peek_memory(buffer, 0);
    return kerb_cuda_calls.is_cuda_memory(memory) && ((GstCudaMemoryHead *)memory)->context == cuda->context;
}

gboolean kerb_cuda_map(GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer, GstMapFlags flags)
{
    if (!gst_video_frame_map(frame, info, buffer, flags | MAP_CUDA)) return FALSE;
    if (kerb_cuda_calls.memory_sync) kerb_cuda_calls.memory_sync(gst_buffer_peek_memory(buffer, 0));
    return TRUE;
}
