/* SPDX-License-Identifier: MIT */
/* Scores of this frame and of those before -> calmer scores, at the network's resolution, before they become labels. */
#ifndef KERB_TIME_SMOOTH_H
#define KERB_TIME_SMOOTH_H

#include "base/error.h"
#include "base/pool.h"
#include "base/tensor.h"

#define KERB_SMOOTH_MAX_HEADS 8

/* One head of the network: what its scores look like, and where its cells lie in the frame: the centre of cell i is at
 * (i + 0.5) * cell + origin, in frame pixels with centres at +0.5. */
typedef struct KerbSmoothHead {
    KerbTensor scores; /* 1 x C x h x w, any strides, f32 or bf16; the data does not matter */
    bool labels;       /* labels in place of scores: they pass as they are */
    double cell_w_px, cell_h_px, origin_x_px, origin_y_px;
} KerbSmoothHead;

typedef struct KerbSmoothParams {
    KerbSmoothing smoothing; /* not off */
    KerbVideoFormat format;
    int n_heads;
    KerbSmoothHead heads[KERB_SMOOTH_MAX_HEADS];
    unsigned cpu_flags;
    int threads;
} KerbSmoothParams;

/* One run at a time. */
typedef struct KerbSmooth KerbSmooth;
KerbStatus kerb_smooth_new(KerbSmooth **out, const KerbSmoothParams *params, KerbError *error);
/* One tensor a head, 1 x C x h x w in f32, valid until the next run or free. Allocates nothing. */
const KerbTensor *kerb_smooth_run(KerbSmooth *smooth, const KerbTensor scores[], const KerbFrame *frame, KerbPool *pool);
/* The next run has no past. */
void kerb_smooth_reset(KerbSmooth *smooth);
void kerb_smooth_free(KerbSmooth **smooth);

#endif
