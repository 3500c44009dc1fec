/* SPDX-License-Identifier: MIT */
/* Byte maps of frame size, moved along a flow of the small pictures. */
#ifndef KERB_TIME_WARP_H
#define KERB_TIME_WARP_H

#include "base/error.h"
#include "time/motion.h"

/* How the columns of a frame lie between those of the small picture, with KERB_WARP_LANES more than the frame has (the last one's, repeated). */
enum { KERB_WARP_LANES = 8 };
typedef struct KerbWarpRow {
    const int32_t *left; /* the small pixel to the left of each frame pixel's centre; 0..width - 1 of the flow */
    const float *weight; /* of the one to its right; 0 in the last */
    const float *u, *v;  /* displacements of this row in frame pixels, at the small pixels; KERB_WARP_LANES more than there are */
    int width, height;   /* of the map */
    int y;
    const uint8_t *in;
    int stride;
    uint8_t *out; /* this row */
} KerbWarpRow;

/* out[x] = in at round(x + u, y + v), coordinates clamped to the map; halves go to even. */
typedef void (*KerbWarpRowFn)(const KerbWarpRow *row);
void kerb_warp_row_c(const KerbWarpRow *row);
/* The flow's columns are at least two frame pixels apart; the map has at least 4 bytes and less than 2 GiB. */
void kerb_warp_row_avx2(const KerbWarpRow *row);

/* Tables for one format. One thread. */
typedef struct KerbWarp {
    int width, height, factor, flow_width;
    KerbWarpRowFn row_fn;
    int32_t *left;
    float *weight, *u, *v;
    void *memory;
} KerbWarp;
KerbStatus kerb_warp_init(KerbWarp *warp, const KerbVideoFormat *format, int factor, int flow_width, unsigned cpu_flags, KerbError *error);
void kerb_warp_clear(KerbWarp *warp);
/* Nearest neighbour. `keeps_none`: KERB_LABEL_NONE stays where it is, and where it would come to the map keeps what it has. Allocates nothing. */
void kerb_warp_map(KerbWarp *warp, const KerbFlow *flow, KerbMap in, KerbMap out, bool keeps_none);

#endif
