/* SPDX-License-Identifier: MIT */
/* The flow is interpolated bilinearly between the centres of small pixels: down, once a row of blocks, then across, at every block. */
#include "time/warp.h"

#include "base/memory.h"

#include <string.h>

/* 1.5 * 2^23: adding and taking it away rounds to an integer. */
#define KERB_WARP_ROUND 12582912.0f

/* The small pixel at or before a place in the frame, and the next one's weight. */
static int kerb_warp_between(double px, int factor, int small, float *weight)
{
    double at = px / factor - 0.5;
    *weight = 0;
    if (at <= 0) return 0;
    if (at >= small - 1) return small - 1;
    *weight = (float)(at - (int)at);
    return (int)at;
}

KerbStatus kerb_warp_init(KerbWarp *w, const KerbVideoFormat *format, int factor, int flow_width, KerbError *error)
{
    *w = (KerbWarp){ .width = format->width_px, .height = format->height_px, .factor = factor, .flow_width = flow_width };
    w->blocks = (w->width + KERB_WARP_BLOCK_W - 1) / KERB_WARP_BLOCK_W;
    size_t blocks = (size_t)w->blocks, small = (size_t)flow_width + 1;
    int32_t *memory = w->memory = kerb_alloc((4 * blocks + 2 * small) * sizeof(float));
    if (!memory) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the columns of %d pixels", w->width);
    w->left = memory;
    w->dx = memory + blocks;
    w->dy = memory + 2 * blocks;
    w->weight = (float *)memory + 3 * blocks;
    w->u = w->weight + blocks;
    w->v = w->u + small;
    for (int b = 0; b < w->blocks; b++) w->left[b] = kerb_warp_between((b + 0.5) * KERB_WARP_BLOCK_W, factor, flow_width, &w->weight[b]);
    return KERB_OK;
}

void kerb_warp_clear(KerbWarp *warp) { kerb_free(&warp->memory); }

/* A row of the flow's plane at frame row `px`, in frame pixels. */
static void kerb_warp_down(const KerbWarp *w, const KerbFlow *flow, const float *plane, double px, float *to)
{
    float weight, scale = (float)w->factor;
    int upper = kerb_warp_between(px, w->factor, flow->height, &weight), lower = upper + 1 < flow->height ? upper + 1 : upper;
    const float *a = plane + upper * flow->width, *b = plane + lower * flow->width;
    for (int x = 0; x < flow->width; x++) to[x] = scale * (a[x] + weight * (b[x] - a[x]));
    to[flow->width] = to[flow->width - 1];
}

static void kerb_warp_across(const KerbWarp *w, const float *row, int32_t *to)
{
    for (int b = 0; b < w->blocks; b++) {
        const float *at = row + w->left[b];
        float px = at[0] + w->weight[b] * (at[1] - at[0]);
        to[b] = (int32_t)((px + KERB_WARP_ROUND) - KERB_WARP_ROUND);
    }
}

static inline int kerb_warp_clamp(int v, int n) { return v < 0 ? 0 : v < n ? v : n - 1; }

static void kerb_warp_row(const KerbWarp *w, KerbMap in, int y, uint8_t *out)
{
    for (int b = 0, x = 0; b < w->blocks; b++, x += KERB_WARP_BLOCK_W) {
        const uint8_t *from = in.data + (size_t)kerb_warp_clamp(y + w->dy[b], w->height) * (size_t)in.stride;
        int at = x + w->dx[b], n = w->width - x;
        if (at >= 0 && at + KERB_WARP_BLOCK_W <= w->width && n >= KERB_WARP_BLOCK_W) {
            memcpy(out + x, from + at, KERB_WARP_BLOCK_W);
            continue;
        }
        for (int i = 0; i < KERB_WARP_BLOCK_W && i < n; i++) out[x + i] = from[kerb_warp_clamp(at + i, w->width)];
    }
}

static void kerb_warp_keep_none(const uint8_t *in, uint8_t *out, int n)
{
    for (int x = 0; x < n; x++) {
        uint8_t moved = out[x] == KERB_LABEL_NONE ? in[x] : out[x];
        out[x] = in[x] == KERB_LABEL_NONE ? KERB_LABEL_NONE : moved;
    }
}

void kerb_warp_map(KerbWarp *w, const KerbFlow *flow, KerbMap in, KerbMap out, bool keeps_none)
{
    for (int y = 0; y < w->height; y++) {
        if (y % KERB_WARP_BLOCK_H == 0) {
            double centre = y + KERB_WARP_BLOCK_H / 2.0;
            kerb_warp_down(w, flow, flow->u, centre, w->u);
            kerb_warp_down(w, flow, flow->v, centre, w->v);
            kerb_warp_across(w, w->u, w->dx);
            kerb_warp_across(w, w->v, w->dy);
        }
        uint8_t *row = out.data + (size_t)y * (size_t)out.stride;
        kerb_warp_row(w, in, y, row);
        if (keeps_none) kerb_warp_keep_none(in.data + (size_t)y * (size_t)in.stride, row, w->width);
    }
}
