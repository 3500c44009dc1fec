/* SPDX-License-Identifier: MIT */
/* Frame -> network input in one pass: crop or letterbox, scale, colour matrix, mean and std, layout.
 *
 * The rules, which every backend keeps:
 * - Y, U and V (or R, G and B) are interpolated as they are stored, each plane from its own resolution and siting straight to the
 *   network's grid; then the colour matrix; then R'G'B' is clamped to 0..255, not rounded; then mean and std.
 * - Half-pixel centres. An axis of a plane that shrinks by 2 or less (or grows): bilinear, clamped at the frame's edge. One that shrinks by
 *   more than 2: the exact average over the pixel's footprint. Each axis of each plane by itself: a 1920 x 1080 I420 frame for 640 x 360
 *   has its luma averaged (3) and its chroma interpolated (1.5).
 * - A crop reads across its own edge, as far as the frame goes. GRAY8 is full range.
 *
 * Against "convert the frame to RGB, then resize": the matrix is linear, so interpolating before or after it is the same. What differs:
 * (1) that way clamps and rounds each of the frame's pixels to 8 bits before mixing, this way clamps once after it and never rounds;
 * (2) chroma is filtered once, by a kernel of its own size, not twice (up to the frame's grid, then down): this keeps a little more
 * of it where it has sharp edges. On natural pictures the mean difference is about 0.4 of 255, 99 % are below 7, and the largest, at the
 * edges of saturated objects, below 20; tests/in/test_convert_first.c measures it against these bounds. */
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
    KerbTensor input;      /* 1 x C x H x W, f32 or bf16, any strides above 0; the memory that run writes to is given then */
    unsigned cpu_flags;    /* kerb_cpu_flags(), or fewer in tests: the result is the same to the bit */
} KerbInParams;

/* Tables for one format and input. Immutable after creation: one may run in many threads, on different destinations. */
typedef struct KerbIn KerbIn;
/* ARGUMENT: parameters that contradict each other, std not above 0. MEMORY. */
KerbStatus kerb_in_new(KerbIn **out, const KerbInParams *params, KerbError *error);
/* Writes every element of `input` (its memory; shape, strides and type are params->input's). Letterbox borders: the value that the mean
 * colour gives, that is 0. Padding channels (channel stride 1, x-stride above C) are set to 0. Gaps between rows are left alone. `frame`
 * has passed kerb_frame_check(). NULL pool: on the caller alone, with the same bits. Takes about 45 KiB of each thread's stack; allocates
 * nothing. */
void kerb_in_run(const KerbIn *in, const KerbFrame *frame, const KerbTensor *input, KerbPool *pool);
void kerb_in_free(KerbIn **in);

#endif
