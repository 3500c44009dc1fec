/* SPDX-License-Identifier: MIT */
/* Labels over a frame, in the frame's own format: blocks of 2x2 pixels, so that a chroma sample of 4:2:0 and a macropixel of 4:2:2 belong to one block. The
 * rules are engine/out/draw.c's, the arithmetic is out_pixel.h's. A block reads its own bytes before it writes them, so the picture may be the frame. */
#ifndef KERB_CUDA_OUT_DRAW_ITEM_H
#define KERB_CUDA_OUT_DRAW_ITEM_H

#include "cuda/out/out_args.h"
#include "out/out_pixel.h"

/* A block of the picture, and what is painted there: entries of KerbCudaDisplay.labels. At odd ends the last column (row) is repeated. */
typedef struct KerbCudaOutBlock {
    int x, y;          /* its first pixel */
    int width, height; /* 1 or 2 */
    uint32_t paint[4]; /* upper left, upper right, lower left, lower right */
} KerbCudaOutBlock;

KERB_ITEM int kerb_item_paint_colour(uint32_t paint, int component) { return (int)(paint >> (8 * component) & 255u); }
KERB_ITEM int kerb_item_paint_painted(uint32_t paint) { return (int)(paint >> 24); }
KERB_ITEM uint32_t kerb_item_paint_blend(uint32_t source, uint32_t paint, int component, int alpha)
{
    return kerb_px_blend((int)(source & 255u), kerb_item_paint_colour(paint, component), kerb_item_paint_painted(paint), alpha);
}

/* n bytes (1 to 4), the first one lowest; in one access where they are 2 or 4 and aligned. */
KERB_ITEM uint32_t kerb_item_read(const uint8_t *p, int n)
{
#ifdef __CUDA_ARCH__
    if (n == 4 && ((uintptr_t)p & 3) == 0) return *(const uint32_t *)p;
    if (n == 2 && ((uintptr_t)p & 1) == 0) return *(const uint16_t *)p;
#endif
    uint32_t v = p[0];
    if (n > 1) v |= (uint32_t)p[1] << 8;
    if (n > 2) v |= (uint32_t)p[2] << 16;
    if (n > 3) v |= (uint32_t)p[3] << 24;
    return v;
}
KERB_ITEM void kerb_item_write(uint8_t *p, uint32_t v, int n)
{
#ifdef __CUDA_ARCH__
    if (n == 4 && ((uintptr_t)p & 3) == 0) {
        *(uint32_t *)p = v;
        return;
    }
    if (n == 2 && ((uintptr_t)p & 1) == 0) {
        *(uint16_t *)p = (uint16_t)v;
        return;
    }
#endif
    p[0] = (uint8_t)v;
    if (n > 1) p[1] = (uint8_t)(v >> 8);
    if (n > 2) p[2] = (uint8_t)(v >> 16);
    if (n > 3) p[3] = (uint8_t)(v >> 24);
}

KERB_ITEM uint8_t *kerb_item_at(const KerbCudaPlanes *planes, int plane, int y, int byte)
{
    return planes->planes[plane] + (int64_t)y * planes->strides[plane] + byte;
}

/* --------------------------------------------------------------------------------------------------------- overlay */

/* One row of the block in plane 0: paint[0] and paint[1]. */
KERB_ITEM void kerb_item_draw_row(const KerbCudaOutLayout *l, uint8_t *dst, const uint8_t *src, const uint32_t *paint, int n, int alpha)
{
    if (l->family == KERB_CUDA_OUT_LUMA) {
        uint32_t s = kerb_item_read(src, n);
        kerb_item_write(dst, kerb_item_paint_blend(s, paint[0], 0, alpha) | kerb_item_paint_blend(s >> 8, paint[1], 0, alpha) << 8, n);
    } else if (l->family == KERB_CUDA_OUT_PACKED) {
        uint32_t s = kerb_item_read(src, 4), y = 8u * (uint32_t)l->luma, c = 8u - y; /* shifts of the first luma and of U; V lies 16 above U */
        int both = kerb_item_paint_painted(paint[0]) + kerb_item_paint_painted(paint[1]);
        int u = kerb_item_paint_colour(paint[0], 1) + kerb_item_paint_colour(paint[1], 1);
        int v = kerb_item_paint_colour(paint[0], 2) + kerb_item_paint_colour(paint[1], 2);
        uint32_t out = kerb_item_paint_blend(s >> y, paint[0], 0, alpha) << y | kerb_item_paint_blend(s >> (16 + y), paint[1], 0, alpha) << (16 + y);
        out |= (uint32_t)kerb_px_blend_chroma((int)(s >> c & 255u), u, both, alpha, 1) << c;
        out |= (uint32_t)kerb_px_blend_chroma((int)(s >> (16 + c) & 255u), v, both, alpha, 1) << (16 + c);
        kerb_item_write(dst, out, 4);
    } else {
        int bytes = l->family == KERB_CUDA_OUT_THREE ? 3 : 4;
        for (int i = 0; i < 2; i++) {
            if (i >= n) continue;
            uint32_t s = kerb_item_read(src + i * bytes, bytes);
            uint32_t out = kerb_item_paint_blend(s, paint[i], 0, alpha) | kerb_item_paint_blend(s >> 8, paint[i], 1, alpha) << 8 |
                           kerb_item_paint_blend(s >> 16, paint[i], 2, alpha) << 16 | (s & 0xff000000u);
            kerb_item_write(dst + i * bytes, out, bytes);
        }
    }
}

/* Chroma component k (1 or 2) under the block. */
KERB_ITEM uint32_t kerb_item_draw_chroma(uint32_t source, const uint32_t paint[4], int k, int alpha)
{
    int painted = kerb_item_paint_painted(paint[0]) + kerb_item_paint_painted(paint[1]) + kerb_item_paint_painted(paint[2]) +
                  kerb_item_paint_painted(paint[3]);
    int colours = kerb_item_paint_colour(paint[0], k) + kerb_item_paint_colour(paint[1], k) + kerb_item_paint_colour(paint[2], k) +
                  kerb_item_paint_colour(paint[3], k);
    return kerb_px_blend_chroma((int)(source & 255u), colours, painted, alpha, 2);
}

KERB_ITEM int kerb_item_draw_step(const KerbCudaOutLayout *l)
{
    return l->family == KERB_CUDA_OUT_LUMA ? 1 : l->family == KERB_CUDA_OUT_PACKED ? 2 : l->family == KERB_CUDA_OUT_THREE ? 3 : 4;
}

/* The block, blended over `from` into `to`. */
KERB_ITEM void kerb_item_draw_block(const KerbCudaOutLayout *l, const KerbCudaPlanes *to, const KerbCudaPlanes *from, const KerbCudaOutBlock *b, int alpha)
{
    int at = b->x * kerb_item_draw_step(l);
    kerb_item_draw_row(l, kerb_item_at(to, 0, b->y, at), kerb_item_at(from, 0, b->y, at), b->paint, b->width, alpha);
    if (b->height > 1)
        kerb_item_draw_row(l, kerb_item_at(to, 0, b->y + 1, at), kerb_item_at(from, 0, b->y + 1, at), b->paint + 2, b->width, alpha);
    if (l->n_planes == 1) return;
    int row = b->y / 2, column = b->x / 2 * l->group;
    if (l->n_planes == 2) {
        uint32_t s = kerb_item_read(kerb_item_at(from, 1, row, column), 2), u = 8u * (uint32_t)l->byte[0], v = 8u - u;
        uint32_t out = kerb_item_draw_chroma(s >> u, b->paint, 1, alpha) << u | kerb_item_draw_chroma(s >> v, b->paint, 2, alpha) << v;
        kerb_item_write(kerb_item_at(to, 1, row, column), out, 2);
        return;
    }
    *kerb_item_at(to, l->plane[0], row, column) = (uint8_t)kerb_item_draw_chroma(*kerb_item_at(from, l->plane[0], row, column), b->paint, 1, alpha);
    *kerb_item_at(to, l->plane[1], row, column) = (uint8_t)kerb_item_draw_chroma(*kerb_item_at(from, l->plane[1], row, column), b->paint, 2, alpha);
}

/* The block as it is. Planes that are the frame's own stay untouched. */
KERB_ITEM void kerb_item_copy_block(const KerbCudaOutLayout *l, const KerbCudaPlanes *to, const KerbCudaPlanes *from, const KerbCudaOutBlock *b)
{
    int step = kerb_item_draw_step(l), pixels = l->family == KERB_CUDA_OUT_PACKED ? 2 : b->width;
    for (int r = 0; to->planes[0] != from->planes[0] && r < b->height; r++)
        for (int i = 0; i < pixels; i++)
            kerb_item_write(kerb_item_at(to, 0, b->y + r, (b->x + i) * step), kerb_item_read(kerb_item_at(from, 0, b->y + r, (b->x + i) * step), step), step);
    for (int p = 1; p < l->n_planes; p++) {
        if (to->planes[p] == from->planes[p]) continue;
        uint32_t s = kerb_item_read(kerb_item_at(from, p, b->y / 2, b->x / 2 * l->group), l->group);
        kerb_item_write(kerb_item_at(to, p, b->y / 2, b->x / 2 * l->group), s, l->group);
    }
}

/* ---------------------------------------------------------------------------------------------------- side by side */

/* Byte `at` of plane p at (2 rows, `step` bytes apart) of the frame: the mean of four. */
KERB_ITEM uint32_t kerb_item_halve(const KerbCudaPlanes *from, int p, int y, int at, int step)
{
    const uint8_t *upper = kerb_item_at(from, p, y, at), *lower = kerb_item_at(from, p, y + 1, at);
    return kerb_px_mean4(upper[0], upper[step], lower[0], lower[step]);
}

/* Pixels (x, y), (x + 1, y) of the half-size view, in plane 0. */
KERB_ITEM void kerb_item_halve_row(const KerbCudaOutLayout *l, uint8_t *dst, const KerbCudaPlanes *from, int x, int y)
{
    if (l->family == KERB_CUDA_OUT_PACKED) {
        int c = 1 - l->luma;
        dst[l->luma] = (uint8_t)kerb_item_halve(from, 0, 2 * y, 4 * x + l->luma, 2);
        dst[2 + l->luma] = (uint8_t)kerb_item_halve(from, 0, 2 * y, 4 * x + 4 + l->luma, 2);
        dst[c] = (uint8_t)kerb_item_halve(from, 0, 2 * y, 4 * x + c, 4);
        dst[2 + c] = (uint8_t)kerb_item_halve(from, 0, 2 * y, 4 * x + 2 + c, 4);
        return;
    }
    int step = kerb_item_draw_step(l);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < step; k++)
            dst[i * step + k] = step == 4 && k == 3 ? 255 : (uint8_t)kerb_item_halve(from, 0, 2 * y, 2 * (x + i) * step + k, step);
}

/* The frame at half size: view pixels (x, y) to (x + 1, y + 1) into the picture's block. */
KERB_ITEM void kerb_item_halve_block(const KerbCudaOutLayout *l, const KerbCudaPlanes *to, const KerbCudaPlanes *from, const KerbCudaOutBlock *b, int x, int y)
{
    int at = b->x * kerb_item_draw_step(l);
    for (int r = 0; r < b->height; r++) kerb_item_halve_row(l, kerb_item_at(to, 0, b->y + r, at), from, x, y + r);
    for (int p = 1; p < l->n_planes; p++)
        for (int k = 0; k < l->group; k++)
            *kerb_item_at(to, p, b->y / 2, b->x / 2 * l->group + k) = (uint8_t)kerb_item_halve(from, p, y, x * l->group + k, l->group);
}

/* Every byte that the block has, in the colour of `paint`; a fourth byte is 255. */
KERB_ITEM void kerb_item_fill_row(const KerbCudaOutLayout *l, uint8_t *dst, const uint32_t *paint, int n)
{
    if (l->family == KERB_CUDA_OUT_FOUR) {
        kerb_item_write(dst, paint[0] | 0xff000000u, 4);
        if (n > 1) kerb_item_write(dst + 4, paint[1] | 0xff000000u, 4);
        return;
    }
    kerb_item_draw_row(l, dst, dst, paint, n, KERB_PX_ALPHA_ONE); /* painted in full: what was there has no weight */
}

KERB_ITEM void kerb_item_fill_block(const KerbCudaOutLayout *l, const KerbCudaPlanes *to, const KerbCudaOutBlock *b)
{
    int at = b->x * kerb_item_draw_step(l);
    kerb_item_fill_row(l, kerb_item_at(to, 0, b->y, at), b->paint, b->width);
    if (b->height > 1) kerb_item_fill_row(l, kerb_item_at(to, 0, b->y + 1, at), b->paint + 2, b->width);
    int row = b->y / 2, column = b->x / 2 * l->group;
    for (int k = 0; l->n_planes > 1 && k < 2; k++)
        *kerb_item_at(to, l->plane[k], row, column + l->byte[k]) = (uint8_t)kerb_item_draw_chroma(0, b->paint, k + 1, KERB_PX_ALPHA_ONE);
}

#endif
