/* SPDX-License-Identifier: MIT */
/* Frames inside: checks, colorimetry as matrices, and the geometry between a frame and the network's input.
 * The public types (KerbVideoFormat, KerbFrame, KerbMap) are in kerb.h. */
#ifndef KERB_BASE_FRAME_H
#define KERB_BASE_FRAME_H

#include "kerb.h"

/* ARGUMENT with a message for a format that cannot be worked on. */
KerbStatus kerb_video_format_check(const KerbVideoFormat *format, KerbError *error);
/* ARGUMENT where a plane is missing or a stride is shorter than its row. `what` names the frame in the message. */
KerbStatus kerb_frame_check(const KerbVideoFormat *format, const KerbFrame *frame, const char *what, KerbError *error);
bool kerb_format_is_yuv(KerbPixelFormat format);
bool kerb_format_is_420(KerbPixelFormat format);

/* Rows of r = m[0][0]*y + m[0][1]*u + m[0][2]*v + m[0][3] over stored bytes 0..255, giving full-range R'G'B' 0..255 (not clamped).
 * For RGB formats the identity; for GRAY8 y alone. Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance);
 * limited range: Y' 16..235, C 16..240. */
void kerb_yuv_to_rgb_matrix(const KerbVideoFormat *format, float m[3][4]);
/* The way back, from full-range R'G'B' 0..255 to stored Y, U, V bytes (not rounded). For RGB formats the identity; for GRAY8 row 0 is BT.601 luma, full range. */
void kerb_rgb_to_yuv_matrix(const KerbVideoFormat *format, float m[3][4]);

/* Where the network sees the frame. Pixel centres lie at +0.5 in both systems (the half-pixel convention):
 * a point (x, y) of the network input lies at frame (x * scale_x + offset_x, y * scale_y + offset_y).
 * [net_x0, net_x1) x [net_y0, net_y1): the part of the input that shows the frame (all of it, but for letterbox).
 * [frame_x0, frame_x1) x ...: the part of the frame that the network sees (all of it, but for crop). Half-open, in pixels. */
typedef struct KerbGeometry {
    int frame_width_px, frame_height_px;
    int net_width_px, net_height_px;
    double scale_x, scale_y, offset_x, offset_y;
    int net_x0, net_y0, net_x1, net_y1;
    int frame_x0, frame_y0, frame_x1, frame_y1;
} KerbGeometry;

/* fit must not be AUTO. Letterbox: the picture's size in the input is rounded to whole pixels (at least 1) and centred (the odd pixel goes
 * right and below); the scale is that of the rounded size, so that edges meet edges. Crop: likewise in the frame. Sizes >= 1. */
void kerb_geometry_init(KerbGeometry *g, int frame_width_px, int frame_height_px, int net_width_px, int net_height_px, KerbFit fit);

#endif
