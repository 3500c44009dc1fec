/* SPDX-License-Identifier: MIT */
/* The row kernels of draw_rows.h: included by draw_rows_{c,avx2,avx512}.c with KERB_DRAW(name) defined and kerb_expand() given. The loops are
 * written so that the compiler vectorises them: sums in 16 bits where they fit (one blend: at most 255 * 256 + 128), `ivdep` since a runtime
 * check would take drawing in place (dst == src) for overlap and fall back to single bytes. */
#include "out/draw_rows.h"
#include "out/out_pixel.h"

#define KERB_IVDEP _Pragma("GCC ivdep")

static inline uint8_t kerb_draw_blend(uint8_t src, uint8_t colour, uint8_t painted, uint16_t alpha)
{
    uint16_t keep = (uint16_t)(KERB_PX_ALPHA_ONE - (uint16_t)(painted * alpha));
    uint16_t v = (uint16_t)((uint16_t)(src * keep) + (uint16_t)(colour * alpha) + 128);
    return (uint8_t)(v >> 8);
}

static void KERB_DRAW(luma)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int alpha, int n)
{
    const uint8_t *painted = chunk->painted, *colour = chunk->colour[0];
    uint16_t a = (uint16_t)alpha;
    KERB_IVDEP
    for (int i = 0; i < n; i++) dst[i] = kerb_draw_blend(src[i], colour[i], painted[i], a);
}

/* Sums over the 2x2 pixels above chroma sample i. */
static inline int kerb_draw_sum(const uint8_t *upper, const uint8_t *lower, int i)
{
    return upper[2 * i] + upper[2 * i + 1] + lower[2 * i] + lower[2 * i + 1];
}

static void KERB_DRAW(chroma)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *upper, const KerbDrawChunk *lower, int c, int alpha, int n)
{
    const uint8_t *up = upper->colour[c], *down = lower->colour[c];
    KERB_IVDEP
    for (int i = 0; i < n; i++)
        dst[i] = kerb_px_blend_chroma(src[i], kerb_draw_sum(up, down, i), kerb_draw_sum(upper->painted, lower->painted, i), alpha, 2);
}

static void KERB_DRAW(chroma_pairs)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *upper, const KerbDrawChunk *lower, int first, int alpha, int n)
{
    const uint8_t *up0 = upper->colour[first], *down0 = lower->colour[first];
    const uint8_t *up1 = upper->colour[3 - first], *down1 = lower->colour[3 - first];
    KERB_IVDEP
    for (int i = 0; i < n; i++) {
        int painted = kerb_draw_sum(upper->painted, lower->painted, i);
        dst[2 * i] = kerb_px_blend_chroma(src[2 * i], kerb_draw_sum(up0, down0, i), painted, alpha, 2);
        dst[2 * i + 1] = kerb_px_blend_chroma(src[2 * i + 1], kerb_draw_sum(up1, down1, i), painted, alpha, 2);
    }
}

static inline __attribute__((always_inline)) void kerb_draw_422(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int y, int alpha, int n)
{
    const uint8_t *painted = chunk->painted, *luma = chunk->colour[0], *u = chunk->colour[1], *v = chunk->colour[2];
    int c = 1 - y;
    uint16_t a = (uint16_t)alpha;
    KERB_IVDEP
    for (int i = 0; i < n; i++) {
        int both = painted[2 * i] + painted[2 * i + 1];
        dst[4 * i + y] = kerb_draw_blend(src[4 * i + y], luma[2 * i], painted[2 * i], a);
        dst[4 * i + c] = kerb_px_blend_chroma(src[4 * i + c], u[2 * i] + u[2 * i + 1], both, alpha, 1);
        dst[4 * i + 2 + y] = kerb_draw_blend(src[4 * i + 2 + y], luma[2 * i + 1], painted[2 * i + 1], a);
        dst[4 * i + 2 + c] = kerb_px_blend_chroma(src[4 * i + 2 + c], v[2 * i] + v[2 * i + 1], both, alpha, 1);
    }
}

static void KERB_DRAW(packed422)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, bool chroma_first, int alpha, int n)
{
    if (chroma_first) kerb_draw_422(dst, src, chunk, 1, alpha, n);
    else kerb_draw_422(dst, src, chunk, 0, alpha, n);
}

static void KERB_DRAW(rgb3)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int alpha, int n)
{
    const uint8_t *painted = chunk->painted, *c0 = chunk->colour[0], *c1 = chunk->colour[1], *c2 = chunk->colour[2];
    uint16_t a = (uint16_t)alpha;
    KERB_IVDEP
    for (int i = 0; i < n; i++) {
        dst[3 * i] = kerb_draw_blend(src[3 * i], c0[i], painted[i], a);
        dst[3 * i + 1] = kerb_draw_blend(src[3 * i + 1], c1[i], painted[i], a);
        dst[3 * i + 2] = kerb_draw_blend(src[3 * i + 2], c2[i], painted[i], a);
    }
}

static void KERB_DRAW(rgb4)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int alpha, int n)
{
    const uint8_t *painted = chunk->painted, *c0 = chunk->colour[0], *c1 = chunk->colour[1], *c2 = chunk->colour[2];
    uint16_t a = (uint16_t)alpha;
    KERB_IVDEP
    for (int i = 0; i < n; i++) {
        dst[4 * i] = kerb_draw_blend(src[4 * i], c0[i], painted[i], a);
        dst[4 * i + 1] = kerb_draw_blend(src[4 * i + 1], c1[i], painted[i], a);
        dst[4 * i + 2] = kerb_draw_blend(src[4 * i + 2], c2[i], painted[i], a);
        dst[4 * i + 3] = src[4 * i + 3];
    }
}

static inline __attribute__((always_inline)) void kerb_draw_halve(uint8_t *dst, const uint8_t *upper, const uint8_t *lower, int step, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < step; k++) {
            int at = 2 * i * step + k;
            dst[i * step + k] = kerb_px_mean4(upper[at], upper[at + step], lower[at], lower[at + step]);
        }
}

static void KERB_DRAW(halve)(uint8_t *dst, const uint8_t *upper, const uint8_t *lower, int step, int n)
{
    switch (step) {
    case 1: kerb_draw_halve(dst, upper, lower, 1, n); break;
    case 2: kerb_draw_halve(dst, upper, lower, 2, n); break;
    case 3: kerb_draw_halve(dst, upper, lower, 3, n); break;
    default: kerb_draw_halve(dst, upper, lower, 4, n); break;
    }
}

/* One label at a time. */
static inline void kerb_expand_from(const KerbDrawTable *table, const uint8_t *labels, int from, int n, KerbDrawChunk *chunk)
{
    for (int i = from; i < n; i++) {
        uint8_t label = labels[i];
        chunk->painted[i] = table->painted[label];
        chunk->colour[0][i] = table->colour[0][label];
        chunk->colour[1][i] = table->colour[1][label];
        chunk->colour[2][i] = table->colour[2][label];
    }
}

static void KERB_DRAW(expand)(const KerbDrawTable *table, const uint8_t *labels, int n, KerbDrawChunk *chunk)
{
    kerb_expand_from(table, labels, KERB_DRAW_EXPAND(table, labels, n, chunk), n, chunk);
}

void KERB_DRAW(kerb_draw_kernels)(KerbDrawKernels *out)
{
    *out = (KerbDrawKernels){
        .name = KERB_DRAW_NAME, .expand = KERB_DRAW(expand), .luma = KERB_DRAW(luma), .chroma = KERB_DRAW(chroma),
        .chroma_pairs = KERB_DRAW(chroma_pairs), .packed422 = KERB_DRAW(packed422), .rgb3 = KERB_DRAW(rgb3), .rgb4 = KERB_DRAW(rgb4),
        .halve = KERB_DRAW(halve),
    };
}
