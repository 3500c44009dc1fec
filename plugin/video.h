/* SPDX-License-Identifier: MIT */
/* GStreamer's words for video in Kerb's: caps, colorimetry, mapped frames. */
#ifndef KERB_PLUGIN_VIDEO_H
#define KERB_PLUGIN_VIDEO_H

#include "kerb.h"
#include <gst/video/video.h>

#define KERB_VIDEO_FORMATS "{ I420, YV12, NV12, NV21, YUY2, UYVY, RGB, BGR, RGBx, BGRx, RGBA, BGRA, GRAY8 }"
#define KERB_VIDEO_RANGES "width = (int) [ 1, 16384 ], height = (int) [ 1, 16384 ], framerate = (fraction) [ 0, max ]"
#define KERB_VIDEO_CAPS "video/x-raw, format = (string) " KERB_VIDEO_FORMATS ", " KERB_VIDEO_RANGES
/* The same in a GPU's memory, which comes first where it can be had. */
#define KERB_VIDEO_CUDA_CAPS "video/x-raw(memory:CUDAMemory), format = (string) " KERB_VIDEO_FORMATS ", " KERB_VIDEO_RANGES
#define KERB_MAP_CAPS "video/x-raw, format = (string) GRAY8, " KERB_VIDEO_RANGES

/* Reads caps. FALSE for what Kerb does not take, with one sentence in *why (g_free() it) that names the remedy. Outputs may be NULL. */
gboolean kerb_video_from_caps(GstCaps *caps, GstVideoInfo *info, KerbVideoFormat *format, gchar **why);

/* The same picture as one byte a pixel: size, frame rate and pixel aspect ratio of `info`, format GRAY8. */
GstCaps *kerb_video_map_caps(const GstVideoInfo *info);

/* The planes of a mapped frame; pts_ns is left alone. */
void kerb_video_planes(const GstVideoFrame *mapped, KerbFrame *frame);

/* Whether the planes lie as GStreamer lays them by default, so that an element without knowledge of GstVideoMeta reads them right. */
gboolean kerb_video_layout_is_default(GstBuffer *buffer, const GstVideoInfo *info);

/* Base transform's accept_caps, for the sink pad: any video of whatever size is accepted for the moment, so that the CAPS event reaches the
 * element, which refuses it with a message; GStreamer itself would only say "not negotiated". cuda: frames in CUDA memory too. */
gboolean kerb_video_accept_caps(GstCaps *caps, gboolean cuda);

#endif
