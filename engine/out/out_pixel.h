/* SPDX-License-Identifier: MIT */
/* The arithmetic of one pixel of the out stage: what plain C, its vector twins and CUDA share, and what the tests hold against doubles.
 * Compilable by gcc, clang and nvcc. No table, no memory: numbers in, numbers out. */
#ifndef KERB_OUT_PIXEL_H
#define KERB_OUT_PIXEL_H

#include <stdint.h>

#ifdef __CUDACC__
#define KERB_PX static __host__ __device__ __forceinline__
#else
#define KERB_PX static inline
#endif

/* --------------------------------------------------------------------------------------------------------- where */

/* The continuous cell coordinate of frame pixel `pixel` on one axis, in cells whose centres lie at integers: frame -> network input (the
 * inverse of KerbGeometry's scale and offset) -> cell (KerbOutHead's size and origin). Not clamped. */
KERB_PX double kerb_px_cell(int pixel, double scale, double offset, double cell_px, double origin_px)
{
    return ((pixel + 0.5 - offset) / scale - origin_px) / cell_px - 0.5;
}

/* Bilinear: the lower of the two cells and the upper one's weight, 0..1. Coordinates outside [0, cells - 1] take the edge cell (and NaN, which
 * no valid geometry gives, the first). The upper cell is `cell + 1`, or `cell` itself at the end, where its weight is 0. */
KERB_PX int kerb_px_linear(double at, int cells, float *weight)
{
    double limit = cells - 1;
    double inside = at > 0.0 ? at : 0.0;
    if (inside > limit) inside = limit;
    int cell = (int)inside;
    *weight = (float)(inside - cell);
    return cell;
}

/* Nearest: the cell that holds the point; a point on the border between two belongs to the upper one. */
KERB_PX int kerb_px_nearest(double at, int cells)
{
    double inside = at + 0.5;
    if (!(inside > 0.0)) return 0;
    if (inside >= cells) return cells - 1;
    return (int)inside;
}

/* a at w = 0. Every class of a pixel goes through the same three roundings, so equal scores stay equal. Vertical first, then horizontal. */
KERB_PX float kerb_px_lerp(float a, float b, float w)
{
    return a + w * (b - a);
}

/* -------------------------------------------------------------------------------------------------------- scores */

/* Scores are clamped to this before anything else, so that differences stay finite. NaN counts as the lowest: it never wins
 * against a number, and where all are NaN class 0 stands. */
#define KERB_PX_SCORE_LIMIT 1e30f

KERB_PX float kerb_px_score(float s)
{
    s = s > -KERB_PX_SCORE_LIMIT ? s : -KERB_PX_SCORE_LIMIT;
    return s < KERB_PX_SCORE_LIMIT ? s : KERB_PX_SCORE_LIMIT;
}

/* A class may be left out of a quad (the four cells around a point) where its greatest corner is below the best of the classes' least corners by more than
 * this times the greatest magnitude among all corners. An interpolation is off by at most 10.1 * 2^-24 of the magnitude of what it mixes, two of them
 * by less than 2^-19: a class that is left out cannot win by rounding. */
#define KERB_PX_RIVAL_MARGIN 1.9073486328125e-6f

/* A score that is a label: its index 0..255, or -1 for what is none. */
KERB_PX int kerb_px_label(float s)
{
    return s > -0.5f && s < 255.5f ? (int)(s + 0.5f) : -1;
}

/* exp(x) for x <= 0. 2^n * p(f), |f| <= 1/2, p of degree 4 with p(0) = 1 (minimax in relative error, 2.9e-6; 1e-5 with the
 * rounding of x * log2(e)). Below -80: exp(-80), which is
 * nothing beside the 1 that the greatest score adds to every softmax. */
#define KERB_PX_EXP_LOW -80.0f
#define KERB_PX_LOG2E 1.44269504f
#define KERB_PX_ROUND 12582912.0f /* 1.5 * 2^23: adding and taking it away rounds to an integer, in every instruction set alike */
#define KERB_PX_EXP_C1 0.693124193f
#define KERB_PX_EXP_C2 0.240240986f
#define KERB_PX_EXP_C3 0.0559064252f
#define KERB_PX_EXP_C4 0.0095828532f

KERB_PX float kerb_px_exp(float x)
{
    x = x > KERB_PX_EXP_LOW ? x : KERB_PX_EXP_LOW;
    float t = x * KERB_PX_LOG2E;
    float n = (t + KERB_PX_ROUND) - KERB_PX_ROUND;
    float f = t - n;
    float p = 1.0f + f * (KERB_PX_EXP_C1 + f * (KERB_PX_EXP_C2 + f * (KERB_PX_EXP_C3 + f * KERB_PX_EXP_C4)));
    union { int32_t i; float f; } scale;
    scale.i = ((int32_t)n + 127) << 23;
    return p * scale.f;
}

/* Probabilities as they are computed here differ from exact ones by less than this (the contract: 1/512; kerb_px_exp() gives far less). */
#define KERB_PX_PROBABILITY_ERROR 1e-4f

KERB_PX float kerb_px_clamp01(float p)
{
    p = p > 0.0f ? p : 0.0f;
    return p < 1.0f ? p : 1.0f;
}

/* exp(s) / (1 + exp(s)) */
KERB_PX float kerb_px_sigmoid(float s)
{
    float e = kerb_px_exp(s < 0.0f ? s : -s);
    float q = 1.0f / (1.0f + e);
    return s < 0.0f ? e * q : q;
}

/* round(255 p), halves up; p in 0..1. */
KERB_PX uint8_t kerb_px_confidence(float p)
{
    return (uint8_t)(int32_t)(p * 255.0f + 0.5f);
}

/* ------------------------------------------------------------------------------------------------------- drawing */

#define KERB_PX_ALPHA_ONE 256

/* Opacity in 1/256, halves up. NaN and below 0: 0; above 1: 256. */
KERB_PX int kerb_px_alpha(float alpha)
{
    if (!(alpha > 0.0f)) return 0;
    if (alpha >= 1.0f) return KERB_PX_ALPHA_ONE;
    return (int)(alpha * 256.0f + 0.5f);
}

/* round(source + alpha / 256 * (colour - source)), halves up. `painted` 0: the source stays, and colour must be 0. Fits 16 bits. */
KERB_PX uint8_t kerb_px_blend(int source, int colour, int painted, int alpha)
{
    return (uint8_t)((source * (KERB_PX_ALPHA_ONE - painted * alpha) + colour * alpha + 128) >> 8);
}

/* The mean of the blends of `1 << log2_n` luma pixels over one chroma sample, rounded once, halves up: `painted` of them are painted, and
 * `colours` is the sum of those ones' chroma. */
KERB_PX uint8_t kerb_px_blend_chroma(int source, int colours, int painted, int alpha, int log2_n)
{
    return (uint8_t)((source * ((KERB_PX_ALPHA_ONE << log2_n) - painted * alpha) + colours * alpha + (128 << log2_n)) >> (8 + log2_n));
}

/* Side-by-side: a view's width or height, even, so that chroma samples belong to one view only (below 4 pixels: 0), and its first row. */
KERB_PX int kerb_px_half_side(int side_px)
{
    return side_px / 2 & ~1;
}
KERB_PX int kerb_px_half_top(int height_px)
{
    return (height_px - kerb_px_half_side(height_px)) / 2 & ~1;
}

/* Half size: the mean of 2x2 bytes, halves up. */
KERB_PX uint8_t kerb_px_mean4(int a, int b, int c, int d)
{
    return (uint8_t)((a + b + c + d + 2) >> 2);
}

#endif
