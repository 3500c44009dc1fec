/* SPDX-License-Identifier: MIT */
/* Items of pooling, eight channels of an output pixel each: maximum (with indices), average, unpooling as a gather; and the scatter from
 * ONNX's own indices, an element each. */
#ifndef KERB_CUDA_NET_KERNEL_POOL_H
#define KERB_CUDA_NET_KERNEL_POOL_H

#include "cuda/net/kernel_picture.h"

#define KERB_WINDOW_INDICES 256 /* a byte says where in the window */

KERB_ITEM int64_t kerb_items_max_pool(const KerbPoolArgs *a)
{
    if (a->kernel[0] < 1 || a->kernel[1] < 1 || (a->window_index && (int64_t)a->kernel[0] * a->kernel[1] > KERB_WINDOW_INDICES)) return -1;
    return kerb_picture_items(&a->y);
}

KERB_ITEM int64_t kerb_items_average_pool(const KerbPoolArgs *a)
{
    return a->kernel[0] < 1 || a->kernel[1] < 1 ? -1 : kerb_picture_items(&a->y);
}

typedef struct KerbMaxima {
    KerbEight best;
    int at[8]; /* window element, -1: the window shows nothing */
} KerbMaxima;

KERB_ITEM KerbMaxima kerb_window_maxima(const KerbPoolArgs *a, KerbPlace p)
{
    KerbMaxima m;
    KERB_LANES m.best.v[l] = -INFINITY;
    KERB_LANES m.at[l] = -1;
    for (int r = 0; r < a->kernel[0]; r++) {
        int y = p.y * a->stride[0] - a->pad[0] + r * a->dilation[0];
        if (y < 0 || y >= a->x.h) continue;
        for (int s = 0; s < a->kernel[1]; s++) {
            int x = p.x * a->stride[1] - a->pad[1] + s * a->dilation[1], element = r * a->kernel[1] + s;
            if (x < 0 || x >= a->x.w) continue;
            KerbEight v = kerb_picture_load(&a->x, y, x, p.c0);
            KERB_LANES {
                bool wins = m.at[l] < 0 || v.v[l] > m.best.v[l] || v.v[l] != v.v[l]; /* the first of equals, but NaN always */
                m.best.v[l] = wins ? v.v[l] : m.best.v[l];
                m.at[l] = wins ? element : m.at[l];
            }
        }
    }
    return m;
}

/* ONNX's flat index of window element `at` (-1: 0). */
KERB_ITEM int64_t kerb_flat_index(const KerbPoolArgs *a, KerbPlace p, int c, int at)
{
    if (at < 0) return 0;
    int r = at / a->kernel[1], s = at - r * a->kernel[1];
    int64_t y = p.y * a->stride[0] - a->pad[0] + r * a->dilation[0], x = p.x * a->stride[1] - a->pad[1] + s * a->dilation[1];
    return a->flat_base + (int64_t)c * a->x.h * a->x.w + (a->column_major ? y + a->x.h * x : y * a->x.w + x);
}

KERB_ITEM void kerb_item_max_pool(const KerbPoolArgs *a, int i)
{
    KerbPlace p = kerb_picture_place(&a->y, i);
    int n = kerb_lanes_real(&a->y, p.c0);
    KerbMaxima m = kerb_window_maxima(a, p);
    kerb_picture_store(&a->y, p.y, p.x, p.c0, m.best);
    if (a->window_index) {
        uint8_t *to = a->window_index + p.y * a->index_row + p.x * a->index_pixel + p.c0;
        uint64_t bytes = 0;
        KERB_LANES bytes |= (uint64_t)(uint8_t)(m.at[l] < 0 ? 0 : m.at[l]) << (8 * l);
        if (n == 8 && kerb_is_aligned(to, 8)) {
            kerb_store_bytes8(to, bytes);
        } else {
            KERB_LANES if (l < n) to[l] = (uint8_t)(bytes >> (8 * l));
        }
    }
    if (a->flat) {
        int64_t *to = a->flat + p.c0 * a->flat_strides[0] + p.y * a->flat_strides[1] + p.x * a->flat_strides[2];
        KERB_LANES if (l < n) to[l * a->flat_strides[0]] = kerb_flat_index(a, p, p.c0 + l, m.at[l]);
    }
}

/* Kernel elements along an axis, of a window that begins at `start`, that lie before `end`. */
KERB_ITEM int kerb_window_before(int start, int end, int kernel, int dilation)
{
    int n = start >= end ? 0 : (end - start + dilation - 1) / dilation;
    return kerb_min(n, kernel);
}

KERB_ITEM void kerb_item_average_pool(const KerbPoolArgs *a, int i)
{
    KerbPlace p = kerb_picture_place(&a->y, i);
    int y0 = p.y * a->stride[0] - a->pad[0], x0 = p.x * a->stride[1] - a->pad[1], seen = 0;
    KerbEight sum;
    KERB_LANES sum.v[l] = 0.0f;
    for (int r = 0; r < a->kernel[0]; r++) {
        int y = y0 + r * a->dilation[0];
        if (y < 0 || y >= a->x.h) continue;
        for (int s = 0; s < a->kernel[1]; s++) {
            int x = x0 + s * a->dilation[1];
            if (x < 0 || x >= a->x.w) continue;
            KerbEight v = kerb_picture_load(&a->x, y, x, p.c0);
            KERB_LANES sum.v[l] = sum.v[l] + v.v[l];
            seen++;
        }
    }
    /* With padding counted: window elements that lie in the padded picture (those past it, where ceil_mode rounds up, never count). */
    int padded = kerb_window_before(y0, a->x.h + a->pad_end[0], a->kernel[0], a->dilation[0]) *
                 kerb_window_before(x0, a->x.w + a->pad_end[1], a->kernel[1], a->dilation[1]);
    int count = a->count_include_pad ? padded : seen;
    KERB_LANES sum.v[l] = count ? sum.v[l] / (float)count : 0.0f;
    kerb_picture_store(&a->y, p.y, p.x, p.c0, sum);
}

/* ---- unpooling */

KERB_ITEM int64_t kerb_items_unpool(const KerbUnpoolArgs *a)
{
    bool fits = a->kernel[0] > 0 && a->kernel[1] > 0 && (int64_t)a->kernel[0] * a->kernel[1] <= KERB_WINDOW_INDICES && a->stride[0] > 0 &&
                a->stride[1] > 0;
    return fits ? kerb_picture_items(&a->y) : -1;
}

/* The first window along an axis that may reach coordinate o. */
KERB_ITEM int kerb_first_window(const KerbUnpoolArgs *a, int axis, int o)
{
    int t = o + a->pad[axis] - (a->kernel[axis] - 1) * a->dilation[axis];
    return t <= 0 ? 0 : (t + a->stride[axis] - 1) / a->stride[axis];
}

/* Which element of window `at` coordinate o is; -1: none. */
KERB_ITEM int kerb_window_element(const KerbUnpoolArgs *a, int axis, int o, int at)
{
    int t = o + a->pad[axis] - at * a->stride[axis];
    return t < 0 || t % a->dilation[axis] || t / a->dilation[axis] >= a->kernel[axis] ? -1 : t / a->dilation[axis];
}

KERB_ITEM void kerb_item_unpool(const KerbUnpoolArgs *a, int i)
{
    KerbPlace p = kerb_picture_place(&a->y, i);
    int n = kerb_lanes_real(&a->y, p.c0);
    KerbEight e;
    KERB_LANES e.v[l] = 0.0f;
    for (int wy = kerb_first_window(a, 0, p.y); wy < a->x.h && wy * a->stride[0] <= p.y + a->pad[0]; wy++) {
        int r = kerb_window_element(a, 0, p.y, wy);
        if (r < 0) continue;
        for (int wx = kerb_first_window(a, 1, p.x); wx < a->x.w && wx * a->stride[1] <= p.x + a->pad[1]; wx++) {
            int s = kerb_window_element(a, 1, p.x, wx);
            if (s < 0) continue;
            const uint8_t *from = a->window_index + wy * a->index_row + wx * a->index_pixel + p.c0;
            KerbEight v = kerb_picture_load(&a->x, wy, wx, p.c0);
            uint64_t bytes = 0;
            if (n == 8 && kerb_is_aligned(from, 8)) {
                bytes = kerb_load_bytes8(from);
            } else {
                KERB_LANES bytes |= l < n ? (uint64_t)from[l] << (8 * l) : 0;
            }
            KERB_LANES if ((int)(bytes >> (8 * l) & 255) == r * a->kernel[1] + s) e.v[l] = v.v[l];
        }
    }
    kerb_picture_store(&a->y, p.y, p.x, p.c0, e);
}

/* ---- unpooling from flat indices */

KERB_ITEM int64_t kerb_items_unpool_flat(const KerbUnpoolFlatArgs *a)
{
    if (a->x.rank != 4 || a->y.rank != 4 || a->implied[0] < 1 || a->implied[1] < 1) return -1;
    int64_t n = 1;
    for (int axis = 0; axis < 4; axis++) {
        n *= a->x.dims[axis];
        if (n <= 0 || n > INT32_MAX) break;
    }
    return n;
}

KERB_ITEM void kerb_item_unpool_flat(const KerbUnpoolFlatArgs *a, int i)
{
    int64_t from = 0, index_at = 0;
    int rest = i;
    KERB_UNROLL for (int axis = 3; axis >= 0; axis--) {
        int at = rest % a->x.dims[axis];
        rest /= a->x.dims[axis];
        from += at * a->x.strides[axis];
        index_at += at * a->index_strides[axis];
    }
    int64_t index = a->indices[index_at];
    if (index < 0) return;
    int64_t x = index % a->implied[1], rows = index / a->implied[1], y = rows % a->implied[0], planes = rows / a->implied[0];
    int64_t c = planes % a->y.dims[1], batch = planes / a->y.dims[1];
    if (x >= a->y.dims[3] || y >= a->y.dims[2] || batch >= a->y.dims[0]) return;
    kerb_store(a->y.data, a->y.type, batch * a->y.strides[0] + c * a->y.strides[1] + y * a->y.strides[2] + x * a->y.strides[3],
               kerb_load(a->x.data, a->x.type, from));
}

#endif
