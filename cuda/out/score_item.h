/* SPDX-License-Identifier: MIT */
/* Scores -> classes and probabilities, at the cells and between them. The rules are engine/out/out_head.c's, the arithmetic is out_pixel.h's, in its order.
 * Knows no frame and no picture. */
#ifndef KERB_CUDA_OUT_SCORE_ITEM_H
#define KERB_CUDA_OUT_SCORE_ITEM_H

#include "cuda/base/half.h"
#include "cuda/out/out_args.h"
#include "out/out_pixel.h"

/* ------------------------------------------------------------------------------------------------------- loading */

KERB_ITEM float kerb_item_out_score(const KerbCudaOutHead *h, int64_t at)
{
    float s = 0.0f;
    switch (h->type) {
    case KERB_F32: s = ((const float *)h->scores)[at]; break;
    case KERB_BF16: s = kerb_item_bf16_f32(((const uint16_t *)h->scores)[at]); break;
    case KERB_F16: s = kerb_item_f16_f32(((const uint16_t *)h->scores)[at]); break;
    case KERB_F64: s = (float)((const double *)h->scores)[at]; break;
    case KERB_U8: s = ((const uint8_t *)h->scores)[at]; break;
    case KERB_I8: s = ((const int8_t *)h->scores)[at]; break;
    case KERB_I32: s = (float)((const int32_t *)h->scores)[at]; break;
    case KERB_I64: s = (float)((const int64_t *)h->scores)[at]; break;
    default: break;
    }
    return kerb_px_score(s);
}

KERB_ITEM void kerb_item_out_two(const KerbCudaOutHead *h, uint32_t bits, float *low, float *high)
{
    uint16_t a = (uint16_t)bits, b = (uint16_t)(bits >> 16);
    *low = kerb_px_score(h->type == KERB_F16 ? kerb_item_f16_f32(a) : kerb_item_bf16_f32(a));
    *high = kerb_px_score(h->type == KERB_F16 ? kerb_item_f16_f32(b) : kerb_item_bf16_f32(b));
}

/* Scores of h->whole classes from `c` on of the cell at element `at`. Those past the last class are padding. */
KERB_ITEM void kerb_item_out_whole(const KerbCudaOutHead *h, int64_t at, int c, float s[8])
{
    for (int k = 0; k < 8; k++) s[k] = -KERB_PX_SCORE_LIMIT;
    if (h->whole == 8) {
        uint4 v = *(const uint4 *)((const uint16_t *)h->scores + at + c);
        kerb_item_out_two(h, v.x, &s[0], &s[1]);
        kerb_item_out_two(h, v.y, &s[2], &s[3]);
        kerb_item_out_two(h, v.z, &s[4], &s[5]);
        kerb_item_out_two(h, v.w, &s[6], &s[7]);
    } else if (h->whole == 4) {
        uint4 v = *(const uint4 *)((const float *)h->scores + at + c);
        s[0] = kerb_px_score(kerb_item_bits_f32(v.x));
        s[1] = kerb_px_score(kerb_item_bits_f32(v.y));
        s[2] = kerb_px_score(kerb_item_bits_f32(v.z));
        s[3] = kerb_px_score(kerb_item_bits_f32(v.w));
    } else {
        s[0] = kerb_item_out_score(h, at + c * h->channel);
    }
}

/* --------------------------------------------------------------------------------------------------------- cells */

KERB_ITEM void kerb_item_out_class_cell(const KerbCudaOutHead *h, int64_t at, int place)
{
    float s[8], best = kerb_item_out_score(h, at);
    int label = 0;
    for (int c = 0; c < h->channels; c += h->whole) {
        kerb_item_out_whole(h, at, c, s);
        for (int k = 0; k < 8; k++) {
            if (k >= h->whole || c + k >= h->channels || !(s[k] > best)) continue;
            best = s[k];
            label = c + k;
        }
    }
    h->labels[place] = (uint8_t)label;
    h->greatest[place] = best;
    if (!h->confidence) return;
    float sum = 0.0f;
    for (int c = 0; h->softmax && c < h->channels; c += h->whole) {
        kerb_item_out_whole(h, at, c, s);
        for (int k = 0; k < 8; k++)
            if (k < h->whole && c + k < h->channels) sum = sum + kerb_px_exp(s[k] - best);
    }
    h->top[place] = h->softmax ? 1.0f / sum : best;
}

/* Cell (x, y) of a head that is CLASSES or BINARY. */
KERB_ITEM void kerb_item_out_cell(const KerbCudaOutHead *h, int x, int y)
{
    int64_t at = y * h->row + x * h->cell;
    int place = y * h->width + x;
    if (h->how == KERB_CUDA_OUT_CLASSES) {
        kerb_item_out_class_cell(h, at, place);
        return;
    }
    bool two = h->channels == 2;
    float s = kerb_item_out_score(h, two ? at + h->channel : at);
    float margin = s - (two ? kerb_item_out_score(h, at) : h->bias);
    h->greatest[place] = margin;
    if (h->confidence) h->top[place] = h->probability ? kerb_px_clamp01(s) : kerb_px_sigmoid(two ? margin : s);
}

/* --------------------------------------------------------------------------------------------------------- quads */

typedef struct KerbCudaOutCorners {
    int32_t place[4];  /* upper left, upper right, lower left, lower right: in the scratch */
    int64_t scores[4]; /* elements of their first class */
} KerbCudaOutCorners;

/* The last row's and column's quads have no neighbours below and to the right: themselves. */
KERB_ITEM KerbCudaOutCorners kerb_item_out_corners(const KerbCudaOutHead *h, int x, int y)
{
    KerbCudaOutCorners c;
    int right = x + 1 < h->width, below = y + 1 < h->height;
    c.place[0] = y * h->width + x;
    c.place[1] = c.place[0] + right;
    c.place[2] = c.place[0] + (below ? h->width : 0);
    c.place[3] = c.place[2] + right;
    c.scores[0] = y * h->row + x * h->cell;
    c.scores[1] = c.scores[0] + (right ? h->cell : 0);
    c.scores[2] = c.scores[0] + (below ? h->row : 0);
    c.scores[3] = c.scores[2] + (right ? h->cell : 0);
    return c;
}

/* The class that all four have, or KERB_CUDA_OUT_MIXED. */
KERB_ITEM int kerb_item_out_agree(const KerbCudaOutHead *h, const KerbCudaOutCorners *c)
{
    int label = h->labels[c->place[0]];
    bool same = h->labels[c->place[1]] == label && h->labels[c->place[2]] == label && h->labels[c->place[3]] == label;
    return same ? label : KERB_CUDA_OUT_MIXED;
}

KERB_ITEM float kerb_item_out_min(float a, float b) { return a < b ? a : b; }
KERB_ITEM float kerb_item_out_max(float a, float b) { return a > b ? a : b; }

/* The quad to the right of and below cell (x, y). */
KERB_ITEM void kerb_item_out_quad(const KerbCudaOutHead *h, int x, int y)
{
    KerbCudaOutCorners corners = kerb_item_out_corners(h, x, y);
    int label = kerb_item_out_agree(h, &corners);
    h->quads[corners.place[0]] = (uint16_t)label;
    if (label != KERB_CUDA_OUT_MIXED) return;
    float bar = -KERB_PX_SCORE_LIMIT, magnitude = 0.0f;
    for (int c = 0; c < h->channels; c++) {
        float a = kerb_item_out_score(h, corners.scores[0] + c * h->channel), b = kerb_item_out_score(h, corners.scores[1] + c * h->channel);
        float d = kerb_item_out_score(h, corners.scores[2] + c * h->channel), e = kerb_item_out_score(h, corners.scores[3] + c * h->channel);
        float least = kerb_item_out_min(kerb_item_out_min(a, b), kerb_item_out_min(d, e));
        float most = kerb_item_out_max(kerb_item_out_max(a, b), kerb_item_out_max(d, e));
        bar = kerb_item_out_max(bar, least);
        magnitude = kerb_item_out_max(magnitude, kerb_item_out_max(most, -least));
    }
    bar = bar - magnitude * KERB_PX_RIVAL_MARGIN;
    uint32_t word = 0;
    for (int c = 0; c < h->channels; c++) {
        float a = kerb_item_out_score(h, corners.scores[0] + c * h->channel), b = kerb_item_out_score(h, corners.scores[1] + c * h->channel);
        float d = kerb_item_out_score(h, corners.scores[2] + c * h->channel), e = kerb_item_out_score(h, corners.scores[3] + c * h->channel);
        float most = kerb_item_out_max(kerb_item_out_max(a, b), kerb_item_out_max(d, e));
        if (!(bar > most)) word |= 1u << (c & 31);
        if ((c & 31) != 31 && c + 1 < h->channels) continue;
        h->rivals[(int64_t)corners.place[0] * h->words + (c >> 5)] = word;
        word = 0;
    }
}

/* -------------------------------------------------------------------------------------------------------- pixels */

/* Four corners at a point: down first, then across. */
KERB_ITEM float kerb_item_out_lerp(float a, float b, float c, float d, float across, float down)
{
    return kerb_px_lerp(kerb_px_lerp(a, c, down), kerb_px_lerp(b, d, down), across);
}

KERB_ITEM float kerb_item_out_lerp_at(const float *values, const KerbCudaOutCorners *c, float across, float down)
{
    return kerb_item_out_lerp(values[c->place[0]], values[c->place[1]], values[c->place[2]], values[c->place[3]], across, down);
}

typedef struct KerbCudaOutWinner {
    int label;
    float score;
} KerbCudaOutWinner;

KERB_ITEM void kerb_item_out_challenge(KerbCudaOutWinner *winner, int c, float score)
{
    if (!(score > winner->score)) return;
    winner->score = score;
    winner->label = c;
}

KERB_ITEM int kerb_item_out_lowest_bit(uint32_t bits)
{
#ifdef __CUDA_ARCH__
    return __ffs((int)bits) - 1;
#else
    return __builtin_ctz(bits);
#endif
}

/* The greatest interpolated score of the classes that may win. */
KERB_ITEM KerbCudaOutWinner kerb_item_out_rivals(const KerbCudaOutHead *h, const KerbCudaOutCorners *at, float across, float down)
{
    KerbCudaOutWinner winner = { 0, -3.0f * KERB_PX_SCORE_LIMIT };
    for (int w = 0; w < h->words; w++) {
        for (uint32_t bits = h->rivals[(int64_t)at->place[0] * h->words + w]; bits; bits &= bits - 1) {
            int c = 32 * w + kerb_item_out_lowest_bit(bits);
            int64_t channel = c * h->channel;
            float s = kerb_item_out_lerp(kerb_item_out_score(h, at->scores[0] + channel), kerb_item_out_score(h, at->scores[1] + channel),
                                         kerb_item_out_score(h, at->scores[2] + channel), kerb_item_out_score(h, at->scores[3] + channel), across, down);
            kerb_item_out_challenge(&winner, c, s);
        }
    }
    return winner;
}

/* The same of all classes. Down first: two corners at a time, which keeps registers for more warps. */
KERB_ITEM KerbCudaOutWinner kerb_item_out_all(const KerbCudaOutHead *h, const KerbCudaOutCorners *at, float across, float down)
{
    KerbCudaOutWinner winner = { 0, -3.0f * KERB_PX_SCORE_LIMIT };
    float left[8], right[8], lower[8];
    for (int c = 0; c < h->channels; c += h->whole) {
        kerb_item_out_whole(h, at->scores[0], c, left);
        kerb_item_out_whole(h, at->scores[2], c, lower);
        for (int k = 0; k < 8; k++) left[k] = kerb_px_lerp(left[k], lower[k], down);
        kerb_item_out_whole(h, at->scores[1], c, right);
        kerb_item_out_whole(h, at->scores[3], c, lower);
        for (int k = 0; k < 8; k++) {
            if (k >= h->whole || c + k >= h->channels) continue;
            kerb_item_out_challenge(&winner, c + k, kerb_px_lerp(left[k], kerb_px_lerp(right[k], lower[k], down), across));
        }
    }
    return winner;
}

/* The softmax probability of a class at a corner. */
KERB_ITEM float kerb_item_out_softmax(const KerbCudaOutHead *h, const KerbCudaOutCorners *at, int k, int c)
{
    float s = kerb_item_out_score(h, at->scores[k] + c * h->channel);
    return kerb_px_exp(s - h->greatest[at->place[k]]) * h->top[at->place[k]];
}

/* What a head says of a pixel: a label index, and p. */
typedef struct KerbCudaOutSaid {
    int label;
    float p;
} KerbCudaOutSaid;

KERB_ITEM KerbCudaOutSaid kerb_item_out_class_at(const KerbCudaOutHead *h, int x, int y, float across, float down, bool want)
{
    KerbCudaOutSaid said = { 0, 0.0f };
    KerbCudaOutCorners at = kerb_item_out_corners(h, x, y);
    said.label = h->quads ? h->quads[at.place[0]] : kerb_item_out_agree(h, &at);
    if (said.label != KERB_CUDA_OUT_MIXED) {
        if (want) said.p = kerb_item_out_lerp_at(h->top, &at, across, down);
        return said;
    }
    KerbCudaOutWinner winner = h->quads ? kerb_item_out_rivals(h, &at, across, down) : kerb_item_out_all(h, &at, across, down);
    said.label = winner.label;
    said.p = winner.score;
    if (want && h->softmax)
        said.p = kerb_item_out_lerp(kerb_item_out_softmax(h, &at, 0, said.label), kerb_item_out_softmax(h, &at, 1, said.label),
                                    kerb_item_out_softmax(h, &at, 2, said.label), kerb_item_out_softmax(h, &at, 3, said.label), across, down);
    return said;
}

KERB_ITEM KerbCudaOutSaid kerb_item_out_binary_at(const KerbCudaOutHead *h, int x, int y, float across, float down, bool want)
{
    KerbCudaOutSaid said = { 0, 0.0f };
    KerbCudaOutCorners at = kerb_item_out_corners(h, x, y);
    said.label = kerb_item_out_lerp_at(h->greatest, &at, across, down) > 0.0f;
    if (!want) return said;
    said.p = kerb_item_out_lerp_at(h->top, &at, across, down);
    if (!said.label) said.p = 1.0f - said.p;
    return said;
}

KERB_ITEM KerbCudaOutSaid kerb_item_out_nearest_at(const KerbCudaOutHead *h, int x, int y, bool want)
{
    KerbCudaOutSaid said = { 0, 0.0f };
    int place = y * h->width + x;
    said.label = h->how == KERB_CUDA_OUT_BINARY ? h->greatest[place] > 0.0f : h->labels[place];
    if (!want) return said;
    said.p = h->top[place];
    if (h->how == KERB_CUDA_OUT_BINARY && !said.label) said.p = 1.0f - said.p;
    return said;
}

/* A head at the frame's column and row of these taps. */
KERB_ITEM KerbCudaOutSaid kerb_item_out_said(const KerbCudaOutHead *h, KerbCudaOutTap across, KerbCudaOutTap down, bool want)
{
    KerbCudaOutSaid said;
    if (h->how == KERB_CUDA_OUT_LABELS) {
        int label = kerb_px_label(kerb_item_out_score(h, down.cell * h->row + across.cell * h->cell));
        said.label = label < 0 ? KERB_LABEL_NONE : h->index ? h->index[label] : label;
        said.p = label < 0 ? 0.0f : 1.0f;
        return said;
    }
    if (h->nearest) said = kerb_item_out_nearest_at(h, across.cell, down.cell, want);
    else if (h->how == KERB_CUDA_OUT_BINARY) said = kerb_item_out_binary_at(h, across.cell, down.cell, across.weight, down.weight, want);
    else said = kerb_item_out_class_at(h, across.cell, down.cell, across.weight, down.weight, want);
    if (h->index) said.label = h->index[said.label];
    if (h->how == KERB_CUDA_OUT_CLASSES) said.p = kerb_px_clamp01(said.p);
    return said;
}

#endif
