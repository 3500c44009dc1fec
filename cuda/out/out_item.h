/* SPDX-License-Identifier: MIT */
/* A block of 2x2 frame pixels: what the heads say, layered, and the picture over it.
 *
 * Bytes a frame of 1280 x 720 I420 with confidence, one head of 19 classes at 128 x 64 in f16: 0.4 MB of scores in `cells`, 1.4 MB of frame
 * read, 1.4 MB of picture, 0.9 MB of labels and 0.9 MB of confidence written; cells, tables and the scores of quads that disagree come from the
 * caches. 5 MB take no less than 2 us at an H100's 3.3 TB/s and 25 us at an Orin's 200 GB/s (reckoned, not measured). Where four corners agree a
 * pixel costs about 30 operations, so that memory is what it waits for; only pixels between classes look at scores, those of their rivals. */
#ifndef KERB_CUDA_OUT_OUT_ITEM_H
#define KERB_CUDA_OUT_OUT_ITEM_H

#include "cuda/out/draw_item.h"
#include "cuda/out/score_item.h"

/* Label in bits 0..7, confidence in bits 8..15. */
KERB_ITEM uint32_t kerb_item_out_pixel(const KerbCudaOutArgs *a, int x, int y, bool want)
{
    if (x < a->x0 || x >= a->x1 || y < a->y0 || y >= a->y1) return KERB_LABEL_NONE;
    uint32_t pixel = 0;
    for (int i = 0; i < a->n_heads; i++) {
        const KerbCudaOutHead *h = &a->heads[i];
        KerbCudaOutSaid said = { i ? 0 : KERB_LABEL_NONE, 0.0f };
        if (h->how != KERB_CUDA_OUT_NOTHING) said = kerb_item_out_said(h, h->across[x - a->x0], h->down[y - a->y0], want);
        if (i && !said.label) continue;
        pixel = (uint32_t)said.label | (want ? (uint32_t)kerb_px_confidence(said.p) << 8 : 0);
    }
    return pixel;
}

KERB_ITEM KerbCudaOutBlock kerb_item_out_block_at(const KerbCudaOutArgs *a, int bx, int by)
{
    KerbCudaOutBlock b;
    b.x = 2 * bx, b.y = 2 * by;
    b.width = a->width - b.x < 2 ? 1 : 2;
    b.height = a->height - b.y < 2 ? 1 : 2;
    b.paint[0] = b.paint[1] = b.paint[2] = b.paint[3] = 0;
    return b;
}

KERB_ITEM void kerb_item_out_write(const KerbCudaMap *map, const KerbCudaOutBlock *b, uint32_t bytes)
{
    uint8_t *at = map->data + (int64_t)b->y * map->stride + b->x;
    kerb_item_write(at, bytes, b->width);
    if (b->height > 1) kerb_item_write(at + map->stride, bytes >> 16, b->width);
}

/* Block (bx, by). */
KERB_ITEM void kerb_item_out_block(const KerbCudaOutArgs *a, int bx, int by)
{
    const KerbCudaJob *job = a->job;
    KerbCudaOutBlock b = kerb_item_out_block_at(a, bx, by);
    bool want = a->confidence && job->confidence.data;
    uint32_t labels = 0, sure = 0; /* a byte a pixel */
    KERB_ITEM_ROLLED
    for (int k = 0; k < 4; k++) {
        int i = k & 1, r = k >> 1;
        /* Past the frame's edge: the pixel beside it, computed once more; its bytes are not written, its paint is for the chroma. */
        uint32_t pixel = kerb_item_out_pixel(a, b.x + (i < b.width ? i : 0), b.y + (r < b.height ? r : 0), want);
        labels |= (pixel & 255u) << (8 * k);
        sure |= (pixel >> 8) << (8 * k);
    }
    kerb_item_out_write(&job->labels, &b, labels);
    if (want) kerb_item_out_write(&job->confidence, &b, sure);
    const KerbCudaDisplay *display = &job->display;
    if (!job->picture.planes[0] || display->visualize == KERB_VISUALIZE_SIDE_BY_SIDE) return;
    if (display->visualize == KERB_VISUALIZE_NONE) {
        kerb_item_copy_block(&a->layout, &job->picture, &job->frame, &b);
        return;
    }
    for (int k = 0; k < 4; k++) b.paint[k] = display->labels[labels >> (8 * k) & 255u];
    kerb_item_draw_block(&a->layout, &job->picture, &job->frame, &b, display->alpha);
}

/* Block (bx, by) of the picture is of the frame at half size, of the mask at half size, or black. */
KERB_ITEM void kerb_item_out_half_block(const KerbCudaOutArgs *a, int bx, int by)
{
    const KerbCudaJob *job = a->job;
    const KerbCudaDisplay *display = &job->display;
    KerbCudaOutBlock b = kerb_item_out_block_at(a, bx, by);
    int width = kerb_px_half_side(a->width), height = kerb_px_half_side(a->height), top = kerb_px_half_top(a->height);
    bool inside = b.y >= top && b.y < top + height && b.x < 2 * width;
    if (inside && b.x < width) {
        kerb_item_halve_block(&a->layout, &job->picture, &job->frame, &b, b.x, b.y - top);
        return;
    }
    for (int k = 0; k < 4; k++) b.paint[k] = display->labels[KERB_LABEL_NONE]; /* which is black */
    for (int k = 0; inside && k < 4; k++) {
        int x = 2 * (b.x - width + (k & 1)), y = 2 * (b.y - top + (k >> 1));
        b.paint[k] = display->labels[job->labels.data[(int64_t)y * job->labels.stride + x]];
    }
    kerb_item_fill_block(&a->layout, &job->picture, &b);
}

/* Side-by-side: KERB_CUDA_OUT_HALVES blocks under one another, so that the launch costs little for other displays. */
KERB_ITEM void kerb_item_out_halves(const KerbCudaOutArgs *a, int bx, int group)
{
    const KerbCudaJob *job = a->job;
    if (!job->picture.planes[0] || job->display.visualize != KERB_VISUALIZE_SIDE_BY_SIDE) return;
    KERB_ITEM_ROLLED
    for (int by = group * KERB_CUDA_OUT_HALVES; by < (group + 1) * KERB_CUDA_OUT_HALVES && 2 * by < a->height; by++) kerb_item_out_half_block(a, bx, by);
}

#endif
