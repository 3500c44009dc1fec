/* SPDX-License-Identifier: MIT */
/* A block of 2x2 frame pixels: what the heads say, layered, and the picture over it.
 *
 * Bytes a frame of 1280 x 720 I420 with confidence, one head of 19 classes at 128 x 64 in f16: 0.4 MB of scores in `cells`, 1.4 MB of frame read, 1.4 MB of
 * picture, 0.9 MB of labels and 0.9 MB of confidence written; cells, tables and the scores of quads that disagree come from the caches. 5 MB: 2 us at an H100's
 * 3.3 TB/s, 25 us at an Orin's 200 GB/s. Where four corners agree a pixel costs about 30 operations, so that memory is what it waits for; only pixels between
 * classes look at scores, those of their quad's rivals. */
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

/* Block (bx, by). */
KERB_ITEM void kerb_item_out_block(const KerbCudaOutArgs *a, int bx, int by)
{
    const KerbCudaJob *job = a->job;
    KerbCudaOutBlock b;
    b.x = 2 * bx, b.y = 2 * by;
    b.width = a->width - b.x < 2 ? 1 : 2;
    b.height = a->height - b.y < 2 ? 1 : 2;
    bool want = a->confidence && job->confidence.data;
    uint32_t labels[2], sure[2];
    for (int r = 0; r < b.height; r++) {
        uint32_t left = kerb_item_out_pixel(a, b.x, b.y + r, want), right = b.width > 1 ? kerb_item_out_pixel(a, b.x + 1, b.y + r, want) : left;
        labels[r] = (left & 255u) | (right & 255u) << 8;
        sure[r] = left >> 8 | (right & 0xff00u);
        kerb_item_write(job->labels.data + (int64_t)(b.y + r) * job->labels.stride + b.x, labels[r], b.width);
        if (want) kerb_item_write(job->confidence.data + (int64_t)(b.y + r) * job->confidence.stride + b.x, sure[r], b.width);
    }
    const KerbCudaDisplay *display = &job->display;
    if (!job->picture.planes[0] || display->visualize == KERB_VISUALIZE_SIDE_BY_SIDE) return;
    if (display->visualize == KERB_VISUALIZE_NONE) {
        kerb_item_copy_block(&a->layout, &job->picture, &job->frame, &b);
        return;
    }
    if (b.height == 1) labels[1] = labels[0];
    for (int k = 0; k < 4; k++) b.paint[k] = display->labels[labels[k >> 1] >> (8 * (k & 1)) & 255u];
    kerb_item_draw_block(&a->layout, &job->picture, &job->frame, &b, display->alpha);
}

/* Side-by-side: block (bx, by) of the picture is of the frame at half size, of the mask at half size, or black. */
KERB_ITEM void kerb_item_out_half(const KerbCudaOutArgs *a, int bx, int by)
{
    const KerbCudaJob *job = a->job;
    const KerbCudaDisplay *display = &job->display;
    if (!job->picture.planes[0] || display->visualize != KERB_VISUALIZE_SIDE_BY_SIDE) return;
    KerbCudaOutBlock b;
    b.x = 2 * bx, b.y = 2 * by;
    b.width = a->width - b.x < 2 ? 1 : 2;
    b.height = a->height - b.y < 2 ? 1 : 2;
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

#endif
