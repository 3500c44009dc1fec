/* SPDX-License-Identifier: MIT */
/* One pixel of the network's input: its samples from all planes, filtered, through the colour matrix, stored with its padding. The steps and their order
 * are engine/in's (in_kernels.h), the arithmetic is its in_pixel.h: columns first, then rows, then the matrix.
 *
 * Bytes a frame, 1280 x 720 I420 to 640 x 360 in f16: 1.4 MB read (each sample by up to four pixels, which the first-level cache serves), 3.7 MB written in
 * 16-byte stores of whole lines; 5.1 MB against about 15 million operations: memory-bound everywhere. */
#ifndef KERB_CUDA_IN_IN_ITEM_H
#define KERB_CUDA_IN_IN_ITEM_H

#include "cuda/base/half.h"
#include "cuda/base/job.h"
#include "in/in_pixel.h"

typedef enum KerbCudaInStore {
    KERB_CUDA_IN_EIGHT_HALVES, /* a pixel is 16 aligned bytes: eight f16 or bf16 */
    KERB_CUDA_IN_FOUR_FLOATS,  /* the same: four f32 */
    KERB_CUDA_IN_STRIDED,      /* anything else */
} KerbCudaInStore;

typedef struct KerbCudaInComponent {
    int32_t plane, byte, step; /* sample i of a row: planes[plane][row * stride + byte + i * step] */
} KerbCudaInComponent;

/* The taps of one axis of planes, one entry for each network pixel that shows the frame. Where the axis is averaged linear_* is NULL, else box_*. */
typedef struct KerbCudaInTaps {
    const KerbInLinear *linear_x, *linear_y;
    const KerbInBoxAcross *box_x;
    const KerbInBox *box_y;
} KerbCudaInTaps;

typedef struct KerbCudaInArgs {
    const KerbCudaJob *job;
    void *input;
    int32_t width, height;  /* of the input */
    int32_t x0, y0, x1, y1; /* the part that shows the frame */
    int32_t n_components;   /* 3, or 1 that stands for all */
    KerbCudaInComponent components[3];
    int32_t chroma_taps; /* the taps of components 1 and 2 */
    KerbCudaInTaps taps[2];
    KerbInFold fold;
    int32_t to_gray;
    float gray_scale, gray_bias;
    int32_t store, type;           /* KerbCudaInStore, KerbDtype */
    int32_t channels, pitch;       /* channels up to pitch are padding, set to 0 */
    int64_t row, pixel, channel;   /* strides in elements */
} KerbCudaInArgs;

#ifdef __cplusplus
extern "C" {
#endif
cudaError_t kerb_launch_in(const KerbCudaInArgs *args, cudaStream_t stream);
#ifdef __cplusplus
}
#endif

/* A row of samples at output column x. */
KERB_ITEM float kerb_item_in_across(const KerbCudaInTaps *taps, const uint8_t *row, int step, int x)
{
    if (taps->linear_x) {
        KerbInLinear tap = taps->linear_x[x];
        const uint8_t *at = row + (int64_t)tap.start * step;
        return kerb_in_mix((float)at[0], (float)at[tap.weight > 0 ? step : 0], tap.weight);
    }
    KerbInBoxAcross box = taps->box_x[x];
    const uint8_t *at = row + (int64_t)box.start * step;
    int first = at[0], last = first, sum = first;
    for (int i = 1; i < box.n; i++) {
        at += step;
        last = at[0];
        sum += last;
    }
    return kerb_in_box_value(box.middle, sum, box.less_first, first, box.less_last, last);
}

/* Component c at output (x, y), counted from the first pixel that shows the frame. */
KERB_ITEM float kerb_item_in_sample(const KerbCudaInArgs *a, const KerbCudaInTaps *taps, int c, int x, int y)
{
    int step = a->components[c].step, plane = a->components[c].plane;
    int64_t stride = a->job->frame.strides[plane];
    const uint8_t *data = a->job->frame.planes[plane] + a->components[c].byte;
    if (taps->linear_y) {
        KerbInLinear tap = taps->linear_y[y];
        const uint8_t *row = data + tap.start * stride;
        float upper = kerb_item_in_across(taps, row, step, x);
        if (!(tap.weight > 0)) return upper;
        return kerb_in_mix(upper, kerb_item_in_across(taps, row + stride, step, x), tap.weight);
    }
    KerbInBox box = taps->box_y[y];
    const uint8_t *row = data + box.start * stride;
    float sum = box.first * kerb_item_in_across(taps, row, step, x);
    for (int i = 1; i < box.n; i++) {
        row += stride;
        sum = sum + (i == box.n - 1 ? box.last : box.middle) * kerb_item_in_across(taps, row, step, x);
    }
    return sum;
}

KERB_ITEM uint32_t kerb_item_in_half(const KerbCudaInArgs *a, float v)
{
    return a->type == KERB_F16 ? kerb_item_f32_f16(v) : kerb_item_f32_bf16(v);
}

KERB_ITEM void kerb_item_in_element(const KerbCudaInArgs *a, int64_t at, float v)
{
    if (a->type == KERB_F32) ((float *)a->input)[at] = v;
    else ((uint16_t *)a->input)[at] = (uint16_t)kerb_item_in_half(a, v);
}

KERB_ITEM void kerb_item_in_store(const KerbCudaInArgs *a, int x, int y, const float v[3])
{
    int64_t at = y * a->row + x * a->pixel;
    uint4 whole; /* padding: 0 in all types */
    if (a->store == KERB_CUDA_IN_EIGHT_HALVES) {
        whole.x = kerb_item_in_half(a, v[0]) | kerb_item_in_half(a, v[1]) << 16;
        whole.y = kerb_item_in_half(a, v[2]);
        whole.z = whole.w = 0;
        *(uint4 *)((uint16_t *)a->input + at) = whole;
    } else if (a->store == KERB_CUDA_IN_FOUR_FLOATS) {
        whole.x = kerb_item_f32_bits(v[0]);
        whole.y = kerb_item_f32_bits(v[1]);
        whole.z = kerb_item_f32_bits(v[2]);
        whole.w = 0;
        *(uint4 *)((float *)a->input + at) = whole;
    } else {
        kerb_item_in_element(a, at, v[0]);
        if (a->channels == 3) {
            kerb_item_in_element(a, at + a->channel, v[1]);
            kerb_item_in_element(a, at + 2 * a->channel, v[2]);
        }
        for (int c = a->channels; c < a->pitch; c++) kerb_item_in_element(a, at + c, 0.0f);
    }
}

/* Input pixel (x, y). */
KERB_ITEM void kerb_item_in(const KerbCudaInArgs *a, int x, int y)
{
    float v[3] = { 0.0f, 0.0f, 0.0f };
    if (x >= a->x0 && x < a->x1 && y >= a->y0 && y < a->y1) {
        float s0 = kerb_item_in_sample(a, &a->taps[0], 0, x - a->x0, y - a->y0), s1 = s0, s2 = s0;
        if (a->n_components == 3) {
            const KerbCudaInTaps *taps = &a->taps[a->chroma_taps];
            s1 = kerb_item_in_sample(a, taps, 1, x - a->x0, y - a->y0);
            s2 = kerb_item_in_sample(a, taps, 2, x - a->x0, y - a->y0);
        }
        v[0] = kerb_in_channel(&a->fold, 0, s0, s1, s2);
        v[1] = kerb_in_channel(&a->fold, 1, s0, s1, s2);
        v[2] = kerb_in_channel(&a->fold, 2, s0, s1, s2);
        if (a->to_gray) {
            v[0] = kerb_in_gray(v[0], v[1], v[2], a->gray_scale, a->gray_bias);
            v[1] = v[2] = 0.0f;
        }
    }
    kerb_item_in_store(a, x, y, v);
}

#endif
