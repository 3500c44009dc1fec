/* SPDX-License-Identifier: MIT */
/* Pools and the choice of the buffer to draw into; see canvas.h. */
#include "canvas.h"
#include "pool.h"
#include "video.h"

#include <gst/video/gstvideometa.h>

void kerb_canvas_init(KerbCanvas *canvas)
{
    canvas->allocator = kerb_allocator_new();
    canvas->cuda = NULL;
    canvas->any_layout = FALSE;
}

void kerb_canvas_clear(KerbCanvas *canvas)
{
    gst_clear_object(&canvas->allocator);
}

gboolean kerb_canvas_propose(KerbCanvas *canvas, GstQuery *query, guint min)
{
    GstCaps *caps = NULL;
    gboolean need_pool = FALSE;
    GstVideoInfo info;
    gst_query_parse_allocation(query, &caps, &need_pool);
    if (!caps || !gst_video_info_from_caps(&info, caps)) return FALSE;
    if (kerb_cuda_has_feature(caps)) return canvas->cuda && kerb_cuda_propose(canvas->cuda, query, caps, min);
    GstAllocationParams params;
    gst_allocation_params_init(&params);
    params.align = KERB_PAGE_BYTES - 1;
    gst_query_add_allocation_param(query, canvas->allocator, &params);
    GstBufferPool *pool = need_pool ? kerb_buffer_pool_new(canvas->allocator, caps, &info, min) : NULL;
    gst_query_add_allocation_pool(query, pool, (guint)GST_VIDEO_INFO_SIZE(&info), min, 0);
    if (pool) gst_object_unref(pool);
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    return TRUE;
}

/* A pool of downstream's that takes its memory from whomever it is told to takes it from us: the picture then comes down straight into it. The base
 * class configures the pool with the query's first allocator; one that downstream names is left alone. */
static void kerb_canvas_offer_allocator(KerbCanvas *canvas, GstQuery *query)
{
    GstAllocator *allocator = NULL;
    GstAllocationParams params;
    gst_allocation_params_init(&params);
    gboolean has_params = gst_query_get_n_allocation_params(query) > 0;
    if (has_params) gst_query_parse_nth_allocation_param(query, 0, &allocator, &params);
    if (!allocator) {
        params.align |= KERB_PAGE_BYTES - 1;
        if (has_params)
            gst_query_set_nth_allocation_param(query, 0, canvas->allocator, &params);
        else
            gst_query_add_allocation_param(query, canvas->allocator, &params);
    }
    gst_clear_object(&allocator);
}

gboolean kerb_canvas_decide(KerbCanvas *canvas, GstQuery *query, guint min)
{
    canvas->any_layout = gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    GstCaps *caps = NULL;
    GstVideoInfo info;
    gst_query_parse_allocation(query, &caps, NULL);
    if (!caps || !gst_video_info_from_caps(&info, caps)) return FALSE;
    if (kerb_cuda_has_feature(caps)) {
        canvas->any_layout = TRUE; /* device memory has a pitch of its own: who takes it reads GstVideoMeta */
        return canvas->cuda && kerb_cuda_decide(canvas->cuda, query, caps, min);
    }
    GstBufferPool *pool = NULL;
    guint size = (guint)GST_VIDEO_INFO_SIZE(&info), at_least = 0, at_most = 0;
    gboolean has_pool = gst_query_get_n_allocation_pools(query) > 0;
    if (has_pool) gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, &at_least, &at_most);
    /* Frames in flight hold buffers beside those that downstream needs: a pool too small for both would come to a standstill. */
    if (pool && at_most && at_most < at_least + min) gst_clear_object(&pool);
    if (!pool) {
        pool = kerb_buffer_pool_new(canvas->allocator, caps, &info, at_least + min);
        size = (guint)GST_VIDEO_INFO_SIZE(&info);
        at_most = 0;
    } else if (canvas->any_layout && gst_buffer_pool_has_option(pool, GST_BUFFER_POOL_OPTION_VIDEO_META)) {
        GstStructure *config = gst_buffer_pool_get_config(pool);
        gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
        gst_buffer_pool_set_config(pool, config);
    }
    kerb_canvas_offer_allocator(canvas, query);
    if (has_pool)
        gst_query_set_nth_allocation_pool(query, 0, pool, size, at_least + min, at_most);
    else
        gst_query_add_allocation_pool(query, pool, size, at_least + min, at_most);
    if (pool) gst_object_unref(pool);
    return TRUE;
}

GstFlowReturn kerb_canvas_choose(KerbCanvas *canvas, GstBaseTransform *transform, const GstVideoInfo *info, KerbVisualize visualize,
                                 GstBuffer *in, GstFlowReturn (*chain_up)(GstBaseTransform *, GstBuffer *, GstBuffer **), GstBuffer **out)
{
    gboolean fits = canvas->any_layout || kerb_video_layout_is_default(in, info);
    gboolean usable = visualize == KERB_VISUALIZE_NONE ||
                      (visualize != KERB_VISUALIZE_SIDE_BY_SIDE && gst_buffer_is_writable(in) && gst_buffer_is_all_memory_writable(in));
    if (fits && usable) {
        *out = in;
        return GST_FLOW_OK;
    }
    return chain_up(transform, in, out);
}

gboolean kerb_canvas_keeps_meta(const GstMeta *meta, KerbVisualize visualize)
{
    const gchar *const *tags = gst_meta_api_type_get_tags(meta->info->api);
    if (meta->info->api == GST_VIDEO_META_API_TYPE || gst_meta_api_type_has_tag(meta->info->api, GST_META_TAG_MEMORY)) return FALSE;
    return visualize != KERB_VISUALIZE_SIDE_BY_SIDE || !tags || !tags[0];
}
