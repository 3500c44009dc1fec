/* SPDX-License-Identifier: MIT */
/* The making of KerbSegMeta (kerbmeta.h is its public face), and of GstAnalytics' segmentation metadata where GStreamer has it. */
#ifndef KERB_PLUGIN_META_H
#define KERB_PLUGIN_META_H

#include "kerbmeta.h"

/* Registers the types; any number of times, any thread. */
void kerb_seg_meta_register(void);

/* Adds a meta with references to the maps (confidence may be NULL) and the classes. `buffer` must be writable. Times and PTS come from
 * `result`. */
KerbSegMeta *kerb_seg_meta_add(GstBuffer *buffer, GstBuffer *labels, GstBuffer *confidence, GBytes *classes, gint width, gint height,
                               gint stride, const KerbResult *result);

/* GstAnalyticsSegmentationMtd over the same label buffer: region n of it is class n. Does nothing before GStreamer 1.26. */
void kerb_seg_analytics_add(GstBuffer *buffer, GstBuffer *labels, GBytes *classes, gint width, gint height);

#endif
