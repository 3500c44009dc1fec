/* SPDX-License-Identifier: MIT */
/* Matrix products through the tile kernel, for matmul.c and attention.c. */
#ifndef KERB_NET_CPU_MATMUL_H
#define KERB_NET_CPU_MATMUL_H

#include "net/cpu/cpu.h"

/* Floats that a packed right side of depth x columns takes. */
size_t kerb_product_packed_floats(const KerbCpuKernels *k, int64_t depth, int64_t columns);
/* Packs columns begin .. begin+columns-1 (one block: at most 2*lanes; begin a multiple of that) of b[d*row_stride + i*column_stride] to
 * `out`, which is packed + begin*depth. */
void kerb_product_pack(const KerbCpuKernels *k, const float *b, int64_t row_stride, int64_t column_stride, int64_t depth, int64_t begin,
                       int64_t columns, float *out);
/* y[r*y_step + c] = sum over d of a[r*a_step + d] * b[d][c]; epilogue NULL: none. */
void kerb_product_rows(const KerbCpuKernels *k, const float *a, int64_t a_step, int64_t rows, const float *packed, int64_t depth,
                       int64_t columns, float *y, int64_t y_step, const KerbEpilogue *epilogue);

#endif
