/* SPDX-License-Identifier: MIT */
/* A frame -> a small grey picture of it: what motion is measured on. */
#ifndef KERB_TIME_LUMA_H
#define KERB_TIME_LUMA_H

#include "kerb.h"

/* Small pictures have about this many pixels: more of them cost time and gain little (docs/live.md has the figures). */
#define KERB_LUMA_PIXELS (200 * 112)

/* How a format is shrunk. */
typedef struct KerbLuma {
    KerbVideoFormat format;
    int factor;        /* frame pixels a side of a small pixel; frame columns and rows past the last whole one are left out */
    int width, height; /* of the small picture; >= 1 */
    uint32_t *sums;    /* of one row; borrowed from the owner: kerb_luma_scratch_elements() */
} KerbLuma;

KerbLuma kerb_luma(const KerbVideoFormat *format);
/* Elements that `sums` must have. */
size_t kerb_luma_scratch_elements(const KerbLuma *luma);
/* Means of factor x factor pixels, 0..255, to dst (pitch in elements). Luma is Y' where there is one, else the mean of the three colours. */
void kerb_luma_shrink(const KerbLuma *luma, const KerbFrame *frame, float *dst, int pitch);

#endif
