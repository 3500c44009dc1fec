/* SPDX-License-Identifier: MIT */
/* Kernels on 8-bit integers, as a table that is chosen once by CPU flags. Sums are exact in 32 bits, and what follows them is the same
 * float operations in the same order, so that all variants agree to the bit.
 *
 * What is multiplied lies in units of 32 bits: four bytes (u8 numbers, i8 weights) where the processor has VNNI, else two i16 numbers less
 * their zero point, and two i16 weights (vpmaddwd; vpmaddubsw would saturate). Pictures lie channels-last, as in kernels.h. No kernel reads
 * or writes outside what it is given, allocates or locks. */
#ifndef KERB_NET_CPU_INT8_KERNELS_H
#define KERB_NET_CPU_INT8_KERNELS_H

#include "base/tensor.h"
#include "net/cpu/kernels.h"

/* What follows a sum s of column c, in steps of the target's scale: y = s * scale[c] + bias[c] + (residual - residual_zero) *
 * residual_scale; y < 0 ? slope[c] * y : y; clipped to lo..hi (which keep an integer target from saturating); then for an integer target
 * rounded half to even, + zero. Arrays by column; NULL: left out. */
typedef struct KerbInt8Finish {
    const float *scale, *bias, *slope;
    float lo, hi;
    KerbDtype target; /* f32, u8, i8 */
    int zero;
    KerbDtype residual; /* NONE: none; f32 (its zero: 0), u8, i8 */
    float residual_scale;
    int residual_zero;
} KerbInt8Finish;

/* rows x columns sums, as KerbTile, over units: start[c] + sum over taps and depth of source . weights. Steps of the source and offsets of
 * taps in bytes; of target and residual in elements. Weights: width units (lanes, or 2*lanes where there are more columns) by step of the
 * depth, 64-byte aligned. Units of the source may lie unaligned. */
typedef struct KerbInt8Tile {
    const uint8_t *source;
    ptrdiff_t source_step;
    const KerbTap *taps; /* source: bytes; weight: units */
    int n_taps, depth;   /* units */
    const int32_t *weights;
    const int32_t *start; /* by column: bias, less zero points' share */
    int columns;
    void *target;
    ptrdiff_t target_step;
    const void *residual;
    ptrdiff_t residual_step;
    const KerbInt8Finish *finish; /* its arrays start at this tile's first column */
} KerbInt8Tile;

typedef struct KerbInt8Kernels {
    const char *name; /* "avx512 vnni" */
    int lanes, tile_rows;
    int unit; /* numbers in one: 4 or 2 */

    void (*tile)(const KerbInt8Tile *tile, int rows);
    /* n numbers into units (the last filled with what weights of 0 make nothing of): i16 less `zero`, or u8 (i8: + 128). */
    void (*widen)(void *units, const uint8_t *in, int n, bool is_signed, int zero);
    /* The end of one pixel whose sums are there (depthwise: whole numbers in f32; columns of them): start is added, then `finish`. */
    void (*finish)(void *target, const float *sums, const int32_t *start, int columns, const KerbInt8Finish *finish);
    /* out = (in - zero) * scale; in is u8 or i8. */
    void (*to_floats)(float *out, const uint8_t *in, size_t n, bool is_signed, int zero, float scale);
    /* QuantizeLinear: in / scale, rounded half to even, + zero, saturated; NaN gives the zero point. */
    void (*to_integers)(uint8_t *out, const float *in, size_t n, bool is_signed, int zero, float scale);
    /* KerbPool without indices; of u8 and of i8. */
    void (*max_pool[2])(const KerbPool *p);
} KerbInt8Kernels;

extern const KerbInt8Kernels kerb_int8_kernels_c, kerb_int8_kernels_c4, kerb_int8_kernels_avx2, kerb_int8_kernels_avxvnni, kerb_int8_kernels_avx512,
    kerb_int8_kernels_avx512vnni;

#define KERB_INT8_KERNELS 6
/* The best table that kerb_cpu_flags() allows, or the one that KERB_CPU_INT8 names (for tests). */
const KerbInt8Kernels *kerb_int8_kernels(void);
/* Every table that kerb_cpu_flags() allows, C first, then better ones; returns how many. */
int kerb_int8_kernels_all(const KerbInt8Kernels *tables[KERB_INT8_KERNELS]);

#endif
