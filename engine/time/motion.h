/* SPDX-License-Identifier: MIT */
/* Frames in order -> where each point of the newest one was in the frame before, and whether that question has an answer. */
#ifndef KERB_TIME_MOTION_H
#define KERB_TIME_MOTION_H

#include "base/error.h"
#include "time/luma.h"

/* Displacements in small pixels (KerbLuma's; `factor` frame pixels each), at their centres: the point (x, y) of the newest frame was at
 * (x + u, y + v) in the older one. */
typedef struct KerbFlow {
    int width, height;
    float *u, *v; /* width * height, row after row */
} KerbFlow;

typedef enum KerbMotionKind {
    KERB_MOTION_FIRST, /* there is no frame before */
    KERB_MOTION_CUT,   /* the frame before shows another scene */
    KERB_MOTION_KNOWN,
} KerbMotionKind;

/* Holds the newest frame's small picture. One thread. */
typedef struct KerbMotion KerbMotion;
KerbStatus kerb_motion_new(KerbMotion **out, const KerbVideoFormat *format, unsigned cpu_flags, KerbError *error);
void kerb_motion_free(KerbMotion **motion);
/* The size of the flows, and the frame pixels in a small pixel. */
void kerb_motion_size(const KerbMotion *motion, int *width, int *height, int *factor);
/* Fills `flow` (of that size; the planes are the caller's) where KNOWN, zeroes otherwise. Allocates nothing; the same numbers on any processor.
 * `sure` (NULL: not wanted), a plane of the same size: 0..1, how like the moved picture is to the newest one at each small pixel, its patches' differences
 * in brightness apart: 1 for within a grey level. */
KerbMotionKind kerb_motion_add(KerbMotion *motion, const KerbFrame *frame, const KerbFlow *flow, float *sure);
/* The share of textured patches, 0..1, that the last add did not find in the frame before. A cut is where it passes KERB_MOTION_CUT_SHARE. */
#define KERB_MOTION_CUT_SHARE 0.65f
float kerb_motion_lost(const KerbMotion *motion);
void kerb_motion_reset(KerbMotion *motion);

/* A displacement, and the value of a plane of the same size (NULL: not wanted), between pixel centres, bilinear; outside: the border's. */
void kerb_flow_at(const KerbFlow *flow, const float *plane, float x, float y, float *u, float *v, float *value);
/* newest -> middle, then middle -> oldest: newest -> oldest, into `out` (which is neither). */
void kerb_flow_compose(const KerbFlow *newest, const KerbFlow *older, const KerbFlow *out);

#endif
