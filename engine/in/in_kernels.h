/* SPDX-License-Identifier: MIT */
/* The row kernels of `in`: a table that is filled with plain C and overridden by what the processor has.
 *
 * The way of an output row, in tiles of at most KERB_IN_TILE pixels, so that all scratch fits a stack and the L1 cache:
 *   pick    one component of a source row -> consecutive bytes
 *   linear / box   horizontal filter -> floats at the network's columns; kept for as long as output rows need them
 *   add     (areas only) weighted sum of such rows
 *   convert vertical interpolation, colour matrix, mean and std -> three planes of floats
 *   luma    (GRAY networks only) three planes -> one
 *   pack    -> the network's layout and type
 *
 * Every variant gives the same bits as plain C: same operations in the same order, no fused multiply-add. */
#ifndef KERB_IN_KERNELS_H
#define KERB_IN_KERNELS_H

#include "in/in_pixel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERB_IN_TILE 512  /* output pixels; a multiple of KERB_IN_GROUP */
#define KERB_IN_GROUP 16  /* outputs that the tables are padded to */
#define KERB_IN_SLACK 64  /* bytes that may be read (not used) past a picked row */

/* Horizontal taps of KERB_IN_GROUP outputs. Samples are counted from the tile's first one. */
typedef struct KerbInLinearGroup {
    int32_t base[2];         /* first sample of each half (8 outputs) */
    uint8_t pairs[2][16];    /* output x's samples are base + pairs[2x] and base + pairs[2x + 1]: a byte shuffle's control */
    float weight[KERB_IN_GROUP];
} KerbInLinearGroup;

typedef struct KerbInBoxGroup {
    int32_t start[KERB_IN_GROUP], n[KERB_IN_GROUP];
    int32_t n_max;
    float middle;
    /* Shrinking by up to 3: four outputs read 16 samples, up to 4 each. A byte shuffle's control that puts output x's samples from base on
     * into bytes 4x..4x+3, the first into the first, the last of two or more into the last; 0x80 (nought) where there is none. */
    bool quads;
    int32_t base[4];
    uint8_t samples[4][16];
    /* value = middle * sum of all n - less_first * first - less_last * last: the sum is exact in integers */
    float less_first[KERB_IN_GROUP], less_last[KERB_IN_GROUP];
} KerbInBoxGroup;

/* Three rows and what to mix them with: value = a + weight * (b - a). */
typedef struct KerbInRows {
    const float *a[3], *b[3];
    float weight[3];
} KerbInRows;

/* Where pixels go, in elements. */
typedef struct KerbInLayout {
    int channels;
    int64_t channel_stride, x_stride;
    bool padded; /* channel_stride 1 and x_stride > channels: elements channels..x_stride-1 of a pixel are set to 0 */
} KerbInLayout;

typedef void (*KerbInPackFn)(void *dst, const float *planes, int n, const KerbInLayout *layout);

typedef enum KerbInLayoutKind {
    KERB_IN_STRIDED,      /* anything */
    KERB_IN_PLANAR,       /* x stride 1 (NCHW) */
    KERB_IN_INTERLEAVED3, /* 3 channels, channel stride 1, x stride 3 (NHWC) */
    KERB_IN_PADDED,       /* 3 channels, channel stride 1, x stride >= 4 */
    KERB_IN_LAYOUT_COUNT
} KerbInLayoutKind;

/* n: any, unless said otherwise. "padded n": the kernel may work on up to KERB_IN_GROUP - 1 more. `planes`: three rows of floats,
 * KERB_IN_TILE apart, 64-byte aligned as all float rows are. */
typedef struct KerbInKernels {
    const char *name;
    void (*pick[5])(uint8_t *dst, const uint8_t *src, int n); /* [step]: dst[i] = src[i * step]; reads nothing past src[(n - 1) * step] */
    void (*widen)(float *dst, const uint8_t *src, int n);     /* padded n */
    void (*linear)(float *dst, const uint8_t *src, const KerbInLinearGroup *groups, int n_groups);
    void (*box)(float *dst, const uint8_t *src, const KerbInBoxGroup *groups, int n_groups);
    void (*scale)(float *sum, const float *row, float weight, int n); /* sum = weight * row; padded n */
    void (*add)(float *sum, const float *row, float weight, int n);   /* sum = sum + weight * row; padded n */
    void (*convert)(float *planes, const KerbInRows *rows, const KerbInFold *fold, int n); /* padded n */
    void (*luma)(float *planes, float scale, float bias, int n); /* planes[0] = gray; padded n */
    KerbInPackFn pack[2][KERB_IN_LAYOUT_COUNT]; /* [0] f32, [1] bf16 (round to nearest even) */
} KerbInKernels;

void kerb_in_kernels(KerbInKernels *kernels, unsigned cpu_flags);
void kerb_in_kernels_avx2(KerbInKernels *kernels);
void kerb_in_kernels_avx512(KerbInKernels *kernels);

#endif
