/* SPDX-License-Identifier: MIT */
/* What is done to one patch of 8 x 8 pixels: the inner loops of motion.c, in plain C and in AVX2. */
#ifndef KERB_TIME_MOTION_PATCH_H
#define KERB_TIME_MOTION_PATCH_H

enum { KERB_PATCH = 8 };

/* A patch of the newest picture: its pixels and their slopes, at the patch's upper left pixel; all with the same pitch. */
typedef struct KerbPatch {
    const float *pixels, *slope_x, *slope_y;
    int pitch;
} KerbPatch;

/* Sums over the 64 pixels of a patch; d = older - newest. */
typedef struct KerbPatchSums {
    float d, dd, xd, yd, p, pp; /* d, d*d, slope*d; p: the older pixel */
} KerbPatchSums;

/* Sums over the newest patch alone: of its slopes, their products, its pixels, slope * pixel. */
typedef struct KerbPatchOwn {
    float x, y, xx, xy, yy, p, pp, xp, yp;
} KerbPatchOwn;

typedef struct KerbPatchKernels {
    void (*own)(const KerbPatch *patch, KerbPatchOwn *sums);
    /* The older picture's patch at (upper left pixel `older`, plus 0 <= fx, fy < 1), interpolated bilinearly, against the newest's. Reads 9 x 9 pixels. */
    void (*compare)(const KerbPatch *patch, const float *older, float fx, float fy, KerbPatchSums *sums);
    /* Adds this patch's vote for (u, v) at each of its pixels: weight 1 / max(1, |d - mean|). The three planes have the patch's pitch. */
    void (*vote)(const KerbPatch *patch, const float *older, float fx, float fy, float mean, float u, float v, float *weight, float *sum_u, float *sum_v);
} KerbPatchKernels;

void kerb_patch_kernels(KerbPatchKernels *out, unsigned cpu_flags);
void kerb_patch_kernels_c(KerbPatchKernels *out);
void kerb_patch_kernels_avx2(KerbPatchKernels *out);

#endif
