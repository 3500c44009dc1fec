/* SPDX-License-Identifier: MIT */
/* One head of the network: its score cells -> one row of labels and confidence at the frame's resolution.
 *
 * Rows of cells are taken up as the frame's rows need them and kept, two at a time, in each task's scratch: scores are read once a task, and
 * nothing of network size is written. Where the four corners of a cell have the same class, so has every point of it (the weights are convex;
 * ties go to the lowest class, at the corners as between them), and the pixels of whole runs of such cells are filled without a look at the
 * scores. In the other cells a class whose greatest corner is below some other class's least one cannot win anywhere, and is left out where cells are
 * large enough to pay for finding out; the rest is interpolated at each pixel. Does not layer heads and knows no picture. */
#ifndef KERB_OUT_HEAD_H
#define KERB_OUT_HEAD_H

#include "out/out.h"
#include "out/out_rows.h"

/* Tables of a head for one format. Immutable after init. */
typedef struct KerbHead {
    KerbOutHead params;
    const KerbOutKernels *kernels;
    KerbGeometry geometry;
    bool confidence;
    bool binary;          /* one margin decides: 1 channel, or 2 logits */
    bool identity;        /* index[c] == c for every class */
    bool prunes;          /* cells are large: look for the classes that may win in each */
    uint8_t classes[KERB_MAX_CLASSES]; /* 0, 1, 2...: every class may win */
    float bias;           /* a binary margin is score - bias > 0 */
    int first_px, end_px; /* frame columns that the network sees */
    int pitch;            /* of a planar row */
    int32_t *x0;          /* a pixel of [first_px, end_px), and KERB_ROW_LANES more: its left cell; `nearest`: its cell */
    float *w;             /* the right cell's weight */
    int32_t *cell_px;     /* cells + 1: the first pixel (less first_px) at or past each cell */
    KerbColumns columns;
    void *memory;
} KerbHead;

/* One task's rows. */
typedef struct KerbCellRow {
    int row; /* -1: nothing yet */
    float *scores, *max, *top; /* binary: margin and p1 are in max and top */
    uint8_t *labels;
} KerbCellRow;

typedef struct KerbRun {
    int begin, end; /* pixels, less first_px */
    int label;      /* class of the head; -1: interpolate */
    const uint8_t *rivals; /* what is interpolated then */
    int n_rivals;
} KerbRun;

typedef struct KerbHeadScratch {
    KerbCellRow cells[2];
    KerbRun *runs; /* of the cells between rows runs_row[0] and runs_row[1] */
    int n_runs, runs_row[2];
    uint8_t *flags;  /* `prunes`: KerbOutKernels.rivals' */
    uint8_t *rivals; /* `prunes`: the runs' lists, one after the other */
    int n_rivals;
    uint8_t *near_labels, *near_confidence; /* `nearest`: row near_row at the frame's width */
    int near_row;
    void *memory;
} KerbHeadScratch;

/* ARGUMENT for what cannot be (which head: `index`), MEMORY. On failure nothing is left. `kernels` is borrowed. */
KerbStatus kerb_head_init(KerbHead *head, const KerbOutParams *params, int index, const KerbOutKernels *kernels, KerbError *error);
void kerb_head_clear(KerbHead *head);
KerbStatus kerb_head_scratch_init(const KerbHead *head, KerbHeadScratch *scratch, KerbError *error);
void kerb_head_scratch_clear(KerbHeadScratch *scratch);

/* New scores: forgets the rows of the last ones. */
void kerb_head_begin(KerbHeadScratch *scratch);
/* Whether a tensor has this head's shape: [1 x] channels x height x width; 1 x height x width and height x width do for one channel. */
bool kerb_head_takes(const KerbHead *head, const KerbTensor *scores);
/* Frame row y (inside the geometry's frame rectangle): end_px - first_px labels, and confidence unless NULL. */
void kerb_head_row(const KerbHead *head, KerbHeadScratch *scratch, const KerbTensor *scores, int y, uint8_t *labels, uint8_t *confidence);

#endif
