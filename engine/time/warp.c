/* SPDX-License-Identifier: MIT */
/* The flow is interpolated bilinearly between the centres of small pixels, first down, once a row, then across, at every pixel. */
#include "time/warp.h"

#include "base/cpu.h"
#include "base/memory.h"

#include <string.h>

/* 1.5 * 2^23: adding and taking it away rounds to an integer, halves to even, as the vector instructions do. */
#define KERB_WARP_ROUND 12582912.0f

/* The small pixel at or before a frame pixel's centre, and the next one's weight. */
static int kerb_warp_between(int pixel, int factor, int small, float *weight)
{
    double at = (pixel + 0.5) / factor - 0.5;
    *weight = 0;
    if (at <= 0) return 0;
    if (at >= small - 1) return small - 1;
    *weight = (float)(at - (int)at);
    return (int)at;
}

KerbStatus kerb_warp_init(KerbWarp *w, const KerbVideoFormat *format, int factor, int flow_width, unsigned cpu_flags, KerbError *error)
{
    *w = (KerbWarp){ .width = format->width_px, .height = format->height_px, .factor = factor, .flow_width = flow_width, .row_fn = kerb_warp_row_c };
#if defined(__x86_64__)
    if ((cpu_flags & KERB_CPU_AVX2) && factor > 1) w->row_fn = kerb_warp_row_avx2;
#endif
    size_t columns = (size_t)w->width + KERB_WARP_LANES, small = (size_t)flow_width + KERB_WARP_LANES;
    w->memory = kerb_alloc((2 * columns + 2 * small) * sizeof(float));
    if (!w->memory) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the columns of %d pixels", w->width);
    w->left = w->memory;
    w->weight = (float *)w->memory + columns;
    w->u = w->weight + columns;
    w->v = w->u + small;
    for (int x = 0; x < (int)columns; x++) w->left[x] = kerb_warp_between(x < w->width ? x : w->width - 1, factor, flow_width, &w->weight[x]);
    return KERB_OK;
}

void kerb_warp_clear(KerbWarp *warp) { kerb_free(&warp->memory); }

void kerb_warp_row_c(const KerbWarpRow *row)
{
    float most_x = (float)(row->width - 1), most_y = (float)(row->height - 1);
    for (int x = 0; x < row->width; x++) {
        const float *u = row->u + row->left[x], *v = row->v + row->left[x];
        float weight = row->weight[x];
        float at_x = (u[0] + weight * (u[1] - u[0])) + (float)x, at_y = (v[0] + weight * (v[1] - v[0])) + (float)row->y;
        at_x = at_x > 0 ? at_x : 0;
        at_y = at_y > 0 ? at_y : 0;
        at_x = at_x < most_x ? at_x : most_x;
        at_y = at_y < most_y ? at_y : most_y;
        int ix = (int)((at_x + KERB_WARP_ROUND) - KERB_WARP_ROUND), iy = (int)((at_y + KERB_WARP_ROUND) - KERB_WARP_ROUND);
        row->out[x] = row->in[(size_t)iy * (size_t)row->stride + (size_t)ix];
    }
}

/* Row y of a flow's plane, in frame pixels, and beyond its end. */
static void kerb_warp_down(const KerbWarp *w, const KerbFlow *flow, const float *plane, int y, float *to)
{
    float weight, scale = (float)w->factor;
    int upper = kerb_warp_between(y, w->factor, flow->height, &weight), lower = upper + 1 < flow->height ? upper + 1 : upper;
    const float *a = plane + upper * flow->width, *b = plane + lower * flow->width;
    for (int x = 0; x < flow->width; x++) to[x] = scale * (a[x] + weight * (b[x] - a[x]));
    for (int i = 0; i < KERB_WARP_LANES; i++) to[flow->width + i] = to[flow->width - 1];
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
    size_t bytes = (size_t)in.stride * (size_t)(w->height - 1) + (size_t)w->width;
    KerbWarpRowFn row_fn = bytes < 4 || bytes > INT32_MAX ? kerb_warp_row_c : w->row_fn;
    KerbWarpRow row = { .left = w->left, .weight = w->weight, .u = w->u, .v = w->v, .width = w->width, .height = w->height, .in = in.data, .stride = in.stride };
    for (row.y = 0; row.y < w->height; row.y++) {
        kerb_warp_down(w, flow, flow->u, row.y, w->u);
        kerb_warp_down(w, flow, flow->v, row.y, w->v);
        row.out = out.data + (size_t)row.y * (size_t)out.stride;
        row_fn(&row);
        if (keeps_none) kerb_warp_keep_none(in.data + (size_t)row.y * (size_t)in.stride, row.out, w->width);
    }
}
