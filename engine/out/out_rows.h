/* SPDX-License-Identifier: MIT */
/* Row kernels of the out stage: score cells in, bytes of labels and confidence out. The table is filled with plain C and then
 * overridden by what the processor can do; all variants give the same bits (they are one template over lanes, out_rows_template.h, and no
 * multiply-add is fused). They know nothing of heads, frames or threads.
 *
 * Score rows are planar: class c of cell x is row[c * pitch + x], clamped by kerb_px_score(). Every planar row (and `max`, `top`, `margin`, `p1`)
 * repeats its last cell up to the next multiple of KERB_ROW_LANES past the width, and may be read KERB_ROW_SLACK elements beyond that. */
#ifndef KERB_OUT_ROWS_H
#define KERB_OUT_ROWS_H

#include "base/tensor.h"

#define KERB_ROW_LANES 16 /* the widest variant */
#define KERB_ROW_SLACK 32
/* Elements to allocate for a row of `cells`. */
#define KERB_ROW_PITCH(cells) (((cells) / KERB_ROW_LANES + 1) * KERB_ROW_LANES + KERB_ROW_SLACK)

/* One row of a score tensor: channels x cells, strides in elements. */
typedef struct KerbScoreRow {
    const void *data;
    KerbDtype dtype;
    int channels, cells;
    int64_t channel_stride, cell_stride;
} KerbScoreRow;

/* Horizontal places of pixels in a row of cells: pixel p lies between cells x0[p] and x0[p] + 1, with weight w[p] on the latter (0 at the last cell).
 * x0 never falls; both arrays go on for KERB_ROW_LANES pixels beyond the last, repeating it. */
typedef struct KerbColumns {
    const int32_t *x0;
    const float *w;
    int reach; /* the most cells that KERB_ROW_LANES neighbouring pixels of this variant touch, less 1 (kerb_columns_reach()) */
} KerbColumns;

/* Two rows of cells and the weight of the lower one: where a row of pixels lies. */
typedef struct KerbBinaryRows {
    const float *margin[2]; /* > 0: class 1 */
    const float *p1[2];     /* probability of class 1; NULL: no confidence */
    float weight;
    uint8_t index[2];       /* what to write for class 0 and 1 */
} KerbBinaryRows;

typedef struct KerbClassRows {
    const float *scores[2];
    const float *max[2]; /* the greatest score of each cell; used for `softmax` only */
    const float *top[2]; /* its probability */
    int64_t pitch;
    float weight;
    bool softmax;          /* scores are logits; false: they are probabilities */
    const uint8_t *rivals; /* the classes that may win here, ascending */
    int n_rivals;          /* >= 1 */
} KerbClassRows;

typedef struct KerbOutKernels {
    const char *name; /* "c", "avx2", "avx512" */
    int lanes;
    /* Any layout and type -> planar f32 rows, clamped. */
    void (*load)(float *dst, int64_t pitch, const KerbScoreRow *row);
    /* The greatest score's class (lowest on ties) and value, a cell each. */
    void (*argmax)(const float *scores, int64_t pitch, int classes, int cells, uint8_t *labels, float *max);
    /* top = softmax probability of the greatest score. */
    void (*softmax_top)(const float *scores, int64_t pitch, int classes, int cells, const float *max, float *top);
    /* Two classes: margin = s1 - s0, p1 = sigmoid(margin). s0 NULL: one channel: margin = s1 - bias, p1 = sigmoid(s1), or s1 clamped
     * where `probability`. p1 NULL: not wanted. */
    void (*binary_cells)(const float *s0, const float *s1, float bias, bool probability, int cells, float *margin, float *p1);
    /* n pixels from `first` on: label where the interpolated margin is > 0, and the label's interpolated probability. confidence NULL: not wanted. */
    void (*binary_pixels)(const KerbBinaryRows *rows, const KerbColumns *columns, int first, int n, uint8_t *labels, uint8_t *confidence);
    /* n pixels of cells whose corners agree: the interpolated `top`. */
    void (*top_pixels)(const float *const top[2], float weight, const KerbColumns *columns, int first, int n, uint8_t *confidence);
    /* For each class c and cell x < cells: flags[c * pitch + x] = 1 where the class may win somewhere between the corners x and x + 1 of both rows, 0 where
     * its greatest corner is so far below some other class's least one that it can't, not by rounding either (KERB_PX_RIVAL_MARGIN). */
    void (*rivals)(const float *const scores[2], int64_t pitch, int classes, int cells, uint8_t *flags);
    /* n pixels of cells whose corners differ: every rival interpolated; the greatest wins, the lowest class on ties. classes[i] is pixel first + i. */
    void (*mixed_pixels)(const KerbClassRows *rows, const KerbColumns *columns, int first, int n, uint8_t *classes, uint8_t *confidence);
    /* Where labels[i] is not 0 it (and its confidence, where there is any) replaces what is below. */
    void (*layer)(uint8_t *labels, uint8_t *confidence, const uint8_t *upper, const uint8_t *upper_confidence, int n);
} KerbOutKernels;

/* The best table for these flags. */
void kerb_out_kernels(KerbOutKernels *out, unsigned cpu_flags);
void kerb_out_kernels_c(KerbOutKernels *out);
void kerb_out_kernels_avx2(KerbOutKernels *out);
void kerb_out_kernels_avx512(KerbOutKernels *out);

/* x0 has `n` entries and KERB_ROW_LANES more. */
int kerb_columns_reach(const int32_t *x0, int n, int lanes);

#endif
