/* SPDX-License-Identifier: MIT */
/* Caps, colorimetry and frames; see video.h. */
#include "video.h"

#include <gst/video/gstvideometa.h>

static const struct {
    GstVideoFormat gst;
    KerbPixelFormat kerb;
} kerb_video_formats[] = {
    {GST_VIDEO_FORMAT_I420, KERB_FORMAT_I420},   {GST_VIDEO_FORMAT_YV12, KERB_FORMAT_YV12}, {GST_VIDEO_FORMAT_NV12, KERB_FORMAT_NV12},
    {GST_VIDEO_FORMAT_NV21, KERB_FORMAT_NV21},   {GST_VIDEO_FORMAT_YUY2, KERB_FORMAT_YUY2}, {GST_VIDEO_FORMAT_UYVY, KERB_FORMAT_UYVY},
    {GST_VIDEO_FORMAT_RGB, KERB_FORMAT_RGB},     {GST_VIDEO_FORMAT_BGR, KERB_FORMAT_BGR},   {GST_VIDEO_FORMAT_RGBx, KERB_FORMAT_RGBX},
    {GST_VIDEO_FORMAT_BGRx, KERB_FORMAT_BGRX},   {GST_VIDEO_FORMAT_RGBA, KERB_FORMAT_RGBA}, {GST_VIDEO_FORMAT_BGRA, KERB_FORMAT_BGRA},
    {GST_VIDEO_FORMAT_GRAY8, KERB_FORMAT_GRAY8},
};

static KerbPixelFormat kerb_video_pixel_format(GstVideoFormat format)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_video_formats); i++)
        if (kerb_video_formats[i].gst == format) return kerb_video_formats[i].kerb;
    return KERB_FORMAT_UNKNOWN;
}

/* SMPTE 240M and FCC have no matrix of their own in Kerb: their coefficients are within 0.003 of BT.709's and 0.004 of BT.601's. */
static KerbMatrix kerb_video_matrix(const GstVideoInfo *info)
{
    switch (info->colorimetry.matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT709:
    case GST_VIDEO_COLOR_MATRIX_SMPTE240M: return KERB_MATRIX_BT709;
    case GST_VIDEO_COLOR_MATRIX_BT2020: return KERB_MATRIX_BT2020;
    case GST_VIDEO_COLOR_MATRIX_BT601:
    case GST_VIDEO_COLOR_MATRIX_FCC: return KERB_MATRIX_BT601;
    default: return info->height > 576 ? KERB_MATRIX_BT709 : KERB_MATRIX_BT601; /* as GStreamer takes what is not said */
    }
}

/* Not said: as MPEG-2, H.264 and H.265 have it. */
static KerbChromaSite kerb_video_chroma_site(const GstVideoInfo *info)
{
    if (info->chroma_site == GST_VIDEO_CHROMA_SITE_UNKNOWN) return KERB_CHROMA_LEFT;
    return info->chroma_site & GST_VIDEO_CHROMA_SITE_H_COSITED ? KERB_CHROMA_LEFT : KERB_CHROMA_CENTRE;
}

gboolean kerb_video_from_caps(GstCaps *caps, GstVideoInfo *info, KerbVideoFormat *format, gchar **why)
{
    const GstStructure *s = gst_caps_get_structure(caps, 0);
    gint width = 0, height = 0;
    gst_structure_get_int(s, "width", &width);
    gst_structure_get_int(s, "height", &height);
    if (width < 1 || height < 1 || width > KERB_MAX_SIDE_PX || height > KERB_MAX_SIDE_PX) {
        *why = g_strdup_printf("The video is %d x %d pixels; 1 x 1 to %d x %d can be processed. Scale it before this element (videoscale).",
                               width, height, KERB_MAX_SIDE_PX, KERB_MAX_SIDE_PX);
        return FALSE;
    }
    GstVideoInfo read;
    KerbPixelFormat pixel =
        gst_video_info_from_caps(&read, caps) ? kerb_video_pixel_format(GST_VIDEO_INFO_FORMAT(&read)) : KERB_FORMAT_UNKNOWN;
    if (pixel == KERB_FORMAT_UNKNOWN) {
        const gchar *name = gst_structure_get_string(s, "format");
        *why =
            g_strdup_printf("Video of format %s cannot be processed; " KERB_VIDEO_FORMATS " can. Put a videoconvert before this element.",
                            name ? name : "\"none\"");
        return FALSE;
    }
    if (GST_VIDEO_INFO_IS_INTERLACED(&read)) {
        *why = g_strdup_printf("The video is interlaced (%s): its frames hold two moments. Put a deinterlace before this element.",
                               gst_video_interlace_mode_to_string(GST_VIDEO_INFO_INTERLACE_MODE(&read)));
        return FALSE;
    }
    if (info) *info = read;
    if (format)
        *format = (KerbVideoFormat){
            .pixel_format = pixel,
            .width_px = width,
            .height_px = height,
            .matrix = kerb_video_matrix(&read),
            .range = read.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255 ? KERB_RANGE_FULL : KERB_RANGE_LIMITED,
            .chroma_site = kerb_video_chroma_site(&read),
        };
    return TRUE;
}

GstCaps *kerb_video_map_caps(const GstVideoInfo *info)
{
    GstVideoInfo map;
    gst_video_info_set_format(&map, GST_VIDEO_FORMAT_GRAY8, (guint)info->width, (guint)info->height);
    map.fps_n = info->fps_n;
    map.fps_d = info->fps_d;
    map.par_n = info->par_n;
    map.par_d = info->par_d;
    return gst_video_info_to_caps(&map);
}

void kerb_video_planes(const GstVideoFrame *mapped, KerbFrame *frame)
{
    for (guint i = 0; i < KERB_MAX_PLANES; i++) {
        gboolean there = i < GST_VIDEO_FRAME_N_PLANES(mapped);
        frame->planes[i] = there ? GST_VIDEO_FRAME_PLANE_DATA(mapped, i) : NULL;
        frame->strides[i] = there ? GST_VIDEO_FRAME_PLANE_STRIDE(mapped, i) : 0;
    }
}

gboolean kerb_video_layout_is_default(GstBuffer *buffer, const GstVideoInfo *info)
{
    const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
    if (!meta) return TRUE;
    for (guint i = 0; i < meta->n_planes; i++)
        if (meta->stride[i] != info->stride[i] || meta->offset[i] != info->offset[i]) return FALSE;
    return TRUE;
}

gboolean kerb_video_accept_caps(GstCaps *caps, gboolean cuda)
{
    const GstStructure *s = gst_caps_is_fixed(caps) ? gst_caps_get_structure(caps, 0) : NULL;
    const GstCapsFeatures *features = s ? gst_caps_get_features(caps, 0) : NULL;
    return s && gst_structure_has_name(s, "video/x-raw") &&
           (!features || gst_caps_features_is_equal(features, GST_CAPS_FEATURES_MEMORY_SYSTEM_MEMORY) ||
            (cuda && gst_caps_features_contains(features, "memory:CUDAMemory")));
}
