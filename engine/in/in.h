/* SPDX-License-Identifier: MIT */
/* Frame -> network input in one pass: crop or letterbox, scale, colour matrix, mean and std, layout. */
#ifndef KERB_IN_H
#define KERB_IN_H

#include "base/error.h"
#include "base/frame.h"
#include "base/pool.h"
#include "base/tensor.h"

typedef struct KerbInParams {
    KerbVideoFormat format;
    KerbGeometry geometry; /* frame size == format's, network size == input's dims */
    KerbColor color;       /* RGB, BGR or GRAY (BT.601 luma of R'G'B'); never AUTO. 3 channels, GRAY 1 */
    float mean[3], std[3]; /* input = (value - mean) / std, value 0..255, in the order of the network's channels */
    KerbTensor input;      /* 1 x C x H x W, f32 or bf16, any strides with x-stride and channel-stride; memory that run writes to is given then */
    unsigned cpu_flags;    /* kerb_cpu_flags(), or fewer in tests */
} KerbInParams;

/* Tables for one format and input. Immutable after creation: one may run in many threads, on different destinations. */
typedef struct KerbIn KerbIn;
KerbStatus kerb_in_new(KerbIn **out, const KerbInParams *params, KerbError *error);
/* Writes every element of `input` (letterbox borders: the value that the mean colour gives, that is 0). Padding channels (strides) are set to 0.
 * Interpolation: bilinear at half-pixel centres, clamped at the frame's edge; where an axis shrinks by more than 2, the exact area under
 * the pixel's footprint. R'G'B' is clamped to 0..255 after the colour matrix, not rounded. Allocates nothing. */
void kerb_in_run(const KerbIn *in, const KerbFrame *frame, const KerbTensor *input, KerbPool *pool);
void kerb_in_free(KerbIn **in);

#endif
