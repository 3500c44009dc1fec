/* SPDX-License-Identifier: MIT */
/**
 * @file gst/kerb/kerbmeta.h
 * KerbSegMeta: what kerbseg found in a frame, on the frame's GstBuffer. For programs that read it.
 *
 * Everything here is in the header: there is nothing to link but GStreamer, and a program that includes it runs
 * (and finds no metadata) where the plugin is not installed. The type is registered when the plugin is loaded, which is
 * before the first such buffer can exist.
 *
 *     KerbSegMeta *meta = kerb_seg_meta_get(buffer);
 *     GstMapInfo map;
 *     if (meta && gst_buffer_map(meta->labels, &map, GST_MAP_READ)) {
 *         guint8 label = map.data[y * meta->stride + x];
 *         int n;
 *         const KerbClass *classes = kerb_seg_meta_classes(meta, &n);
 *         if (label < n) puts(classes[label].name);
 *         gst_buffer_unmap(meta->labels, &map);
 *     }
 *
 * The maps are shared with the buffers of the pads `labels` and `confidence`, and read-only: nobody may write to them.
 * They cover the whole frame. They keep the size that the frame had in kerbseg: when the frame is scaled downstream, the
 * metadata is carried over as it is, and a reader maps a point of the frame to (x * width / frame width, y * height / frame
 * height). Elements that crop, flip or rotate do not carry it over.
 * A frame that went through more than one kerbseg has one meta of each, in that order.
 */
#ifndef KERB_META_PUBLIC_H
#define KERB_META_PUBLIC_H

#include <gst/gst.h>
#include <kerb.h>

G_BEGIN_DECLS

#define KERB_SEG_META_API_NAME "KerbSegMetaAPI"

/** Since: 0.1 */
typedef struct KerbSegMeta {
    GstMeta meta;
    gint width; /**< of the maps, pixels */
    gint height;
    gint stride;             /**< of the maps, bytes a row, >= width */
    GstBuffer *labels;       /**< 1 byte a pixel: label index, or KERB_LABEL_NONE (255). Owned by the meta; never NULL */
    GstBuffer *confidence;   /**< 1 byte a pixel: round(255 * probability of the label). NULL where confidence is off */
    GBytes *classes;         /**< KerbClass[]; use kerb_seg_meta_classes(). Shared by all frames of a stream */
    GstClockTime pts;        /**< of the frame when it passed kerbseg, or GST_CLOCK_TIME_NONE */
    GstClockTime source_pts; /**< of the frame that the labels were computed from */
    GstClockTimeDiff age;    /**< pts - source_pts; 0 where either is not known. Not 0: labels of another frame, see live-mode */
    KerbTimes times;         /**< durations of the stages */
    gpointer reserved[4];
} KerbSegMeta;

/** The API type, or 0 (G_TYPE_INVALID) while the plugin is not loaded. Any thread. */
static inline GType kerb_seg_meta_api_type(void)
{
    return g_type_from_name(KERB_SEG_META_API_NAME);
}

/** The last (newest) KerbSegMeta of a buffer, or NULL. Lives as long as the buffer. */
static inline KerbSegMeta *kerb_seg_meta_get(GstBuffer *buffer)
{
    GType api = kerb_seg_meta_api_type();
    gpointer state = NULL;
    GstMeta *meta, *last = NULL;
    while (api && (meta = gst_buffer_iterate_meta_filtered(buffer, &state, api))) last = meta;
    return (KerbSegMeta *)last;
}

/** The classes by label index; their number in *n. Lives as long as the meta. */
static inline const KerbClass *kerb_seg_meta_classes(const KerbSegMeta *meta, int *n)
{
    gsize bytes = 0;
    const KerbClass *classes = (const KerbClass *)(meta->classes ? g_bytes_get_data(meta->classes, &bytes) : NULL);
    *n = (int)(bytes / sizeof(KerbClass));
    return classes;
}

G_END_DECLS

#endif
