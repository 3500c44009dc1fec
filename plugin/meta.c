/* SPDX-License-Identifier: MIT */
/* KerbSegMeta: label and confidence buffers, classes and times on a frame's buffer. See kerbmeta.h for what readers may rely on. */
#include "meta.h"

#include <gst/video/gstvideometa.h>
#include <gst/video/video.h>
#ifdef KERB_HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

static const GstMetaInfo *kerb_seg_meta_info(void);

static gboolean kerb_seg_meta_init(GstMeta *meta, gpointer params, GstBuffer *buffer)
{
    KerbSegMeta *self = (KerbSegMeta *)meta;
    memset((guint8 *)self + sizeof(GstMeta), 0, sizeof(KerbSegMeta) - sizeof(GstMeta));
    self->pts = self->source_pts = GST_CLOCK_TIME_NONE;
    return TRUE;
}

static void kerb_seg_meta_free(GstMeta *meta, GstBuffer *buffer)
{
    KerbSegMeta *self = (KerbSegMeta *)meta;
    gst_clear_buffer(&self->labels);
    gst_clear_buffer(&self->confidence);
    g_clear_pointer(&self->classes, g_bytes_unref);
}

/* Copies share the maps. Copying a part of a buffer's bytes makes no picture that the maps would fit. Scaling keeps them (see kerbmeta.h).
 */
static gboolean kerb_seg_meta_transform(GstBuffer *target, GstMeta *meta, GstBuffer *buffer, GQuark type, gpointer data)
{
    if (GST_META_TRANSFORM_IS_COPY(type)) {
        const GstMetaTransformCopy *copy = data;
        if (copy && copy->region) return FALSE;
    } else if (!GST_VIDEO_META_TRANSFORM_IS_SCALE(type)) {
        return FALSE;
    }
    KerbSegMeta *to = (KerbSegMeta *)gst_buffer_add_meta(target, kerb_seg_meta_info(), NULL);
    if (!to) return FALSE;
    const KerbSegMeta *from = (const KerbSegMeta *)meta;
    GstMeta head = to->meta;
    *to = *from;
    to->meta = head;
    gst_buffer_ref(to->labels);
    if (to->confidence) gst_buffer_ref(to->confidence);
    if (to->classes) g_bytes_ref(to->classes);
    return TRUE;
}

static const GstMetaInfo *kerb_seg_meta_info(void)
{
    static gsize info;
    if (g_once_init_enter(&info)) {
        /* "size": scalers ask the transform function; "orientation": flips and crops leave it behind. */
        static const gchar *tags[] = {GST_META_TAG_VIDEO_STR, GST_META_TAG_VIDEO_SIZE_STR, GST_META_TAG_VIDEO_ORIENTATION_STR, NULL};
        GType api = gst_meta_api_type_register(KERB_SEG_META_API_NAME, tags);
        const GstMetaInfo *made =
            gst_meta_register(api, "KerbSegMeta", sizeof(KerbSegMeta), kerb_seg_meta_init, kerb_seg_meta_free, kerb_seg_meta_transform);
        g_once_init_leave(&info, (gsize)made);
    }
    return (const GstMetaInfo *)info;
}

void kerb_seg_meta_register(void)
{
    kerb_seg_meta_info();
}

static GstClockTime kerb_clock_time(int64_t ns)
{
    return ns < 0 ? GST_CLOCK_TIME_NONE : (GstClockTime)ns;
}

KerbSegMeta *kerb_seg_meta_add(GstBuffer *buffer, GstBuffer *labels, GstBuffer *confidence, GBytes *classes, gint width, gint height,
                               gint stride, const KerbResult *result)
{
    KerbSegMeta *meta = (KerbSegMeta *)gst_buffer_add_meta(buffer, kerb_seg_meta_info(), NULL);
    if (!meta) return NULL;
    meta->width = width;
    meta->height = height;
    meta->stride = stride;
    meta->labels = gst_buffer_ref(labels);
    meta->confidence = confidence ? gst_buffer_ref(confidence) : NULL;
    meta->classes = g_bytes_ref(classes);
    meta->pts = kerb_clock_time(result->pts_ns);
    meta->source_pts = kerb_clock_time(result->source_pts_ns);
    meta->age = result->age_ns;
    meta->times = result->times;
    return meta;
}

void kerb_seg_analytics_add(GstBuffer *buffer, GstBuffer *labels, GBytes *classes, gint width, gint height)
{
#ifdef KERB_HAVE_GST_ANALYTICS
    guint32 ids[KERB_MAX_CLASSES];
    gsize n = MIN(g_bytes_get_size(classes) / sizeof(KerbClass), KERB_MAX_CLASSES);
    for (gsize i = 0; i < n; i++) ids[i] = (guint32)i;
    GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta(buffer);
    if (!relations) relations = gst_buffer_add_analytics_relation_meta(buffer);
    GstAnalyticsSegmentationMtd mtd;
    if (relations)
        gst_analytics_relation_meta_add_segmentation_mtd(relations, gst_buffer_ref(labels), GST_SEGMENTATION_TYPE_SEMANTIC, n, ids, 0, 0,
                                                         (guint)width, (guint)height, &mtd);
#endif
}
