/* SPDX-License-Identifier: MIT */
/* The CPU backend's own kernels, as a table that is chosen once by CPU flags. Each has a plain C twin; all variants agree to rounding.
 *
 * Pictures lie channels-last: a pixel's channels are adjacent, `step` is the distance in elements from one pixel to the next, so that a
 * picture may be a slice of the channels of a wider one. No kernel reads or writes outside the channels and pixels that it is given. No
 * kernel allocates or locks. */
#ifndef KERB_NET_CPU_KERNELS_H
#define KERB_NET_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERB_TILE_ROWS_MAX 14 /* of any variant */
#define KERB_LANES_MAX 16
#define KERB_WINOGRAD_POINTS 36 /* F(4x4, 3x3): tiles of 6x6 */

/* What follows a sum: + bias, + residual, then x < 0 ? slope*x : x, then clipped. All arrays by channel; NULL: left out. */
typedef struct KerbEpilogue {
    const float *bias;
    const float *slope;
    bool clip;
    float lo, hi;
} KerbEpilogue;

typedef struct KerbTap {
    ptrdiff_t source, weight; /* elements */
} KerbTap;

/* rows x columns sums: target[r][c] = sum over taps t, depth k of source[r*source_step + taps[t].source + k] * weights[taps[t].weight +
 * k*width + c], width = lanes if columns <= lanes, else 2*lanes. `rows` 1..tile_rows, columns 1..2*lanes. weights are 64-byte aligned,
 * padded to width. A convolution (tap: a place in its window), a matrix product (one tap of offset 0) and a Winograd product are all this.
 */
typedef struct KerbTile {
    const float *source;
    ptrdiff_t source_step;
    const KerbTap *taps;
    int n_taps, depth;
    const float *weights;
    float *target;
    ptrdiff_t target_step;
    int columns;
    const float *residual; /* NULL: none; may be `target` */
    ptrdiff_t residual_step;
    const KerbEpilogue *epilogue; /* NULL: none. Its arrays start at this tile's first column */
} KerbTile;

/* One row of a depthwise convolution: pixels x0..x1 of the target row. */
typedef struct KerbDepthwise {
    const void *const *rows; /* the kernel's rows of the source, pixel 0; NULL: outside the picture */
    ptrdiff_t source_step;
    int source_width;
    void *target; /* pixel 0 */
    ptrdiff_t target_step;
    int x0, x1, channels;
    int kernel_h, kernel_w, stride, dilation, pad_left;
    const float *weights;  /* [kernel_h*kernel_w][weight_step]: `channels` of each */
    ptrdiff_t weight_step;
    KerbEpilogue epilogue; /* no residual */
} KerbDepthwise;

/* One row of a pooling: like KerbDepthwise. */
typedef struct KerbPool {
    const void *const *rows; /* kernel_h entries; NULL: outside */
    ptrdiff_t source_step;
    int source_width;
    void *target;
    ptrdiff_t target_step;
    int x0, x1, channels;
    int kernel_h, kernel_w, stride, dilation, pad_left;
    int rows_counted; /* average: rows that count (those inside, or with padding where it is included) */
    int pad_width;    /* average with padding counted: columns -pad_left .. pad_width-1 count; 0: only those inside the picture */
    uint8_t *indices; /* maximum: where in the window (ky*kernel_w + kx) it was, channels a pixel dense; NULL: not wanted */
    ptrdiff_t indices_step;
} KerbPool;

/* A unary function of the elementwise kernels. The table's `unary` takes these. */
typedef enum KerbCpuUnary {
    KERB_CPU_SIGMOID,
    KERB_CPU_TANH,
    KERB_CPU_SWISH,
    KERB_CPU_HARD_SIGMOID,
    KERB_CPU_HARD_SWISH,
    KERB_CPU_ELU,
    KERB_CPU_EXP,
    KERB_CPU_ABS,
    KERB_CPU_NEG,
    KERB_CPU_GELU_TANH,
    KERB_CPU_SQUARE,
    KERB_CPU_UNARY_COUNT
} KerbCpuUnary;
typedef enum KerbCpuBinary {
    KERB_CPU_ADD,
    KERB_CPU_SUB,
    KERB_CPU_MUL,
    KERB_CPU_DIV,
    KERB_CPU_MIN,
    KERB_CPU_MAX,
    KERB_CPU_RSUB,
    KERB_CPU_RDIV,
    KERB_CPU_BINARY_COUNT
} KerbCpuBinary;
/* How the second operand of a binary lies against the pixels x channels of the first. */
typedef enum KerbSpread { KERB_SPREAD_FULL, KERB_SPREAD_CHANNEL, KERB_SPREAD_PIXEL, KERB_SPREAD_SCALAR } KerbSpread;

typedef struct KerbCpuKernels {
    const char *name; /* "avx512" */
    int lanes, tile_rows;

    void (*tile)(const KerbTile *tile, int rows);

    /* Winograd F(4x4, 3x3). Input: the 36 pixels of a tile (NULL: zeros outside the picture) -> 36 transformed, `plane` elements apart. */
    void (*winograd_input)(const void *const pixels[36], bool bf16, int channels, float *out, ptrdiff_t plane);
    /* 36 sums, `plane` elements apart -> up to 16 target pixels (NULL: outside), with epilogue; residuals: the same pixels of the residual
     * or NULL. */
    void (*winograd_output)(const float *sums, ptrdiff_t plane, int channels, void *const targets[16], const void *const residuals[16],
                            bool bf16, const KerbEpilogue *epilogue);

    void (*depthwise[2])(const KerbDepthwise *d); /* [0] f32, [1] bf16 pictures (f32 weights and sums) */
    void (*max_pool[2])(const KerbPool *p);
    void (*average_pool[2])(const KerbPool *p);

    /* Elementwise, f32 blocks of pixels x channels, dense. */
    void (*unary[KERB_CPU_UNARY_COUNT])(float *x, size_t n, float alpha, float beta);
    void (*binary[KERB_CPU_BINARY_COUNT])(float *x, const float *operand, KerbSpread spread, int pixels, int channels);
    void (*scale_shift)(float *x, const float *scale, const float *shift, int pixels, int channels);
    /* Slope and clip of an epilogue (bias too), in place. */
    void (*finish)(float *x, int pixels, int channels, const KerbEpilogue *epilogue);

    void (*to_f32)(float *out, const uint16_t *in, size_t n);  /* bf16 -> f32 */
    void (*to_bf16)(uint16_t *out, const float *in, size_t n); /* f32 -> bf16, nearest even */
    /* out[i] += in[i]: sums over pixels. */
    void (*accumulate)(float *sum, const float *in, size_t n);
    /* x[i] = e^(x[i] - max) and their sum; for softmax. */
    float (*exponentials)(float *x, size_t n);
    float (*largest)(const float *x, size_t n);
    void (*scale)(float *x, size_t n, float factor);
    /* out[i] = sum of 4 corners: w[0]*a + w[1]*b + w[2]*c + w[3]*d (linear resize of one pixel). */
    void (*blend4[2])(void *out, const void *const corners[4], const float w[4], int channels);
} KerbCpuKernels;

extern const KerbCpuKernels kerb_cpu_kernels_c, kerb_cpu_kernels_avx2, kerb_cpu_kernels_avx512;

/* The best table that kerb_cpu_flags() allows. */
const KerbCpuKernels *kerb_cpu_kernels(void);
/* Every table that kerb_cpu_flags() allows, C first; returns how many. */
int kerb_cpu_kernels_all(const KerbCpuKernels *tables[3]);

#endif
