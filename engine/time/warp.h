/* SPDX-License-Identifier: MIT */
/* Byte maps of frame size, moved along a flow of the small pictures. */
#ifndef KERB_TIME_WARP_H
#define KERB_TIME_WARP_H

#include "base/error.h"
#include "time/motion.h"

/* Pixels move in blocks of this size, whole pixels far: smaller than what the flow can tell apart, and a copy of four bytes a row. */
enum { KERB_WARP_BLOCK_W = 4, KERB_WARP_BLOCK_H = 2 };

/* Tables for one format. One thread. */
typedef struct KerbWarp {
    int width, height, factor, flow_width, blocks; /* blocks across */
    int32_t *left;  /* of each block: the small pixel at or before its centre */
    float *weight;  /* of the next small pixel */
    float *u, *v;   /* a row of the flow, in frame pixels; the last one twice */
    int32_t *dx, *dy;
    void *memory;
} KerbWarp;
KerbStatus kerb_warp_init(KerbWarp *warp, const KerbVideoFormat *format, int factor, int flow_width, KerbError *error);
void kerb_warp_clear(KerbWarp *warp);
/* A block's displacement is the flow's at its centre, bilinear, rounded (halves to even). Coordinates outside the map take its border.
 * `keeps_none`: KERB_LABEL_NONE stays where it is, and where it would come to the map keeps what it has. Allocates nothing. */
void kerb_warp_map(KerbWarp *warp, const KerbFlow *flow, KerbMap in, KerbMap out, bool keeps_none);

#endif
