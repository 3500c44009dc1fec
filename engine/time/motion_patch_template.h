/* SPDX-License-Identifier: MIT */
/* The kernels of motion_patch.h, a row of 8 pixels in one vector. Included with KERB_PATCH_NAME(name) defined; the compiler's own vectors make SSE2,
 * NEON or AVX2 of the same lines, so the variants agree to the bit. */
#include "time/motion_patch.h"

#include <stdint.h>
#include <string.h>

typedef float KerbF8 __attribute__((vector_size(32)));
typedef int32_t KerbI8 __attribute__((vector_size(32)));

/* Macros: vectors wider than the machine's do not go through calls. */
#define KERB_F8_LOAD(to, from) memcpy(&(to), (from), sizeof(KerbF8))
#define KERB_F8_STORE(to, from) memcpy((to), &(from), sizeof(KerbF8))
#define KERB_F8_SET(v) (KerbF8){ (v), (v), (v), (v), (v), (v), (v), (v) }

static inline float KERB_PATCH_NAME(sum)(const KerbF8 *v)
{
    float f[8];
    memcpy(f, v, sizeof f);
    return ((f[0] + f[4]) + (f[2] + f[6])) + ((f[1] + f[5]) + (f[3] + f[7]));
}

static void KERB_PATCH_NAME(own)(const KerbPatch *patch, KerbPatchOwn *sums)
{
    KerbF8 zero = KERB_F8_SET(0.0f), x = zero, y = zero, xx = zero, xy = zero, yy = zero, p = zero, pp = zero, xp = zero, yp = zero;
    for (int at = 0; at < KERB_PATCH * patch->pitch; at += patch->pitch) {
        KerbF8 pixels, slope_x, slope_y;
        KERB_F8_LOAD(pixels, patch->pixels + at);
        KERB_F8_LOAD(slope_x, patch->slope_x + at);
        KERB_F8_LOAD(slope_y, patch->slope_y + at);
        x += slope_x;
        y += slope_y;
        xx += slope_x * slope_x;
        xy += slope_x * slope_y;
        yy += slope_y * slope_y;
        p += pixels;
        pp += pixels * pixels;
        xp += slope_x * pixels;
        yp += slope_y * pixels;
    }
    sums->x = KERB_PATCH_NAME(sum)(&x);
    sums->y = KERB_PATCH_NAME(sum)(&y);
    sums->xx = KERB_PATCH_NAME(sum)(&xx);
    sums->xy = KERB_PATCH_NAME(sum)(&xy);
    sums->yy = KERB_PATCH_NAME(sum)(&yy);
    sums->p = KERB_PATCH_NAME(sum)(&p);
    sums->pp = KERB_PATCH_NAME(sum)(&pp);
    sums->xp = KERB_PATCH_NAME(sum)(&xp);
    sums->yp = KERB_PATCH_NAME(sum)(&yp);
}

static void KERB_PATCH_NAME(compare)(const KerbPatch *patch, const float *older, float fx, float fy, KerbPatchSums *sums)
{
    KerbF8 wx = KERB_F8_SET(fx), wy = KERB_F8_SET(fy), zero = KERB_F8_SET(0.0f), left, right;
    KerbF8 d_sum = zero, dd_sum = zero, xd_sum = zero, yd_sum = zero, p_sum = zero, pp_sum = zero;
    KERB_F8_LOAD(left, older);
    KERB_F8_LOAD(right, older + 1);
    KerbF8 upper = left + wx * (right - left);
    for (int row = 0; row < KERB_PATCH; row++) {
        const float *next = older + (row + 1) * patch->pitch;
        int at = row * patch->pitch;
        KerbF8 pixels, slope_x, slope_y;
        KERB_F8_LOAD(left, next);
        KERB_F8_LOAD(right, next + 1);
        KERB_F8_LOAD(pixels, patch->pixels + at);
        KERB_F8_LOAD(slope_x, patch->slope_x + at);
        KERB_F8_LOAD(slope_y, patch->slope_y + at);
        KerbF8 lower = left + wx * (right - left);
        KerbF8 p = upper + wy * (lower - upper), d = p - pixels;
        upper = lower;
        d_sum += d;
        dd_sum += d * d;
        xd_sum += slope_x * d;
        yd_sum += slope_y * d;
        p_sum += p;
        pp_sum += p * p;
    }
    sums->d = KERB_PATCH_NAME(sum)(&d_sum);
    sums->dd = KERB_PATCH_NAME(sum)(&dd_sum);
    sums->xd = KERB_PATCH_NAME(sum)(&xd_sum);
    sums->yd = KERB_PATCH_NAME(sum)(&yd_sum);
    sums->p = KERB_PATCH_NAME(sum)(&p_sum);
    sums->pp = KERB_PATCH_NAME(sum)(&pp_sum);
}

static void KERB_PATCH_NAME(vote)(const KerbPatch *patch, const float *older, float fx, float fy, float mean, float u, float v, float *weight,
                                  float *sum_u, float *sum_v)
{
    KerbF8 wx = KERB_F8_SET(fx), wy = KERB_F8_SET(fy), one = KERB_F8_SET(1.0f), left, right;
    KERB_F8_LOAD(left, older);
    KERB_F8_LOAD(right, older + 1);
    KerbF8 upper = left + wx * (right - left);
    for (int row = 0; row < KERB_PATCH; row++) {
        const float *next = older + (row + 1) * patch->pitch;
        int at = row * patch->pitch;
        KerbF8 pixels, sum;
        KERB_F8_LOAD(left, next);
        KERB_F8_LOAD(right, next + 1);
        KERB_F8_LOAD(pixels, patch->pixels + at);
        KerbF8 lower = left + wx * (right - left);
        KerbF8 d = upper + wy * (lower - upper) - pixels - KERB_F8_SET(mean);
        upper = lower;
        KerbI8 bits = (KerbI8)d & INT32_MAX; /* |d| */
        KerbF8 size = (KerbF8)bits;
        KerbI8 small = size < one;
        size = (KerbF8)(((KerbI8)one & small) | ((KerbI8)size & ~small));
        KerbF8 w = one / size;
        KERB_F8_LOAD(sum, weight + at);
        sum += w;
        KERB_F8_STORE(weight + at, sum);
        KERB_F8_LOAD(sum, sum_u + at);
        sum += w * KERB_F8_SET(u);
        KERB_F8_STORE(sum_u + at, sum);
        KERB_F8_LOAD(sum, sum_v + at);
        sum += w * KERB_F8_SET(v);
        KERB_F8_STORE(sum_v + at, sum);
    }
}

void KERB_PATCH_NAME(kerb_patch_kernels)(KerbPatchKernels *out)
{
    out->own = KERB_PATCH_NAME(own);
    out->compare = KERB_PATCH_NAME(compare);
    out->vote = KERB_PATCH_NAME(vote);
}
