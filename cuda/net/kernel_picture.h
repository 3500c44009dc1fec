/* SPDX-License-Identifier: MIT */
/* Items over pictures, eight channels of a pixel each: finish, resize, pixel shuffle, local response normalisation. */
#ifndef KERB_CUDA_NET_KERNEL_PICTURE_H
#define KERB_CUDA_NET_KERNEL_PICTURE_H

#include "cuda/net/kernel_item.h"

/* Items of a kernel that has one for eight channels of each pixel. */
KERB_ITEM int64_t kerb_picture_items(const KerbPicture *y)
{
    return y->c > 0 && y->h > 0 && y->w > 0 ? (int64_t)kerb_groups(y) * y->h * y->w : 0;
}

typedef struct KerbPlace {
    int c0, y, x;
} KerbPlace;

/* Channels first: neighbouring items touch neighbouring bytes. */
KERB_ITEM KerbPlace kerb_picture_place(const KerbPicture *y, int i)
{
    int groups = kerb_groups(y), pixel = i / groups, row = pixel / y->w;
    KerbPlace p = { (i - pixel * groups) * 8, row, pixel - row * y->w };
    return p;
}

/* ---- finish */

KERB_ITEM int64_t kerb_items_finish(const KerbFinishArgs *a) { return kerb_picture_items(&a->y); }

KERB_ITEM void kerb_item_finish(const KerbFinishArgs *a, int i)
{
    KerbPlace p = kerb_picture_place(&a->y, i);
    KerbEpilogue8 end = { &a->y, &a->z, a->scale, a->bias, &a->act, a->z_scale, a->y_scale };
    kerb_epilogue8(&end, p.y, p.x, p.c0, kerb_picture_load(&a->x, p.y, p.x, p.c0));
}

/* ---- resize */

KERB_ITEM int64_t kerb_items_resize(const KerbResizeArgs *a)
{
    if (a->row_taps < 1 || a->column_taps < 1) return -1;
    return kerb_picture_items(&a->y);
}

/* The sum over the taps of one column, of row `y` of x. */
KERB_ITEM KerbEight kerb_resize_row(const KerbResizeArgs *a, const KerbResizeTap *columns, int y, int c0)
{
    KerbEight sum;
    KERB_LANES sum.v[l] = 0.0f;
    for (int k = 0; k < a->column_taps; k++) {
        KerbResizeTap tap = columns[k];
        if (tap.weight == 0.0f) continue; /* NaN there is not seen */
        KerbEight v = kerb_picture_load(&a->x, y, tap.index, c0);
        KERB_LANES sum.v[l] = sum.v[l] + tap.weight * v.v[l];
    }
    return sum;
}

KERB_ITEM void kerb_item_resize(const KerbResizeArgs *a, int i)
{
    KerbPlace p = kerb_picture_place(&a->y, i);
    const KerbResizeTap *rows = a->rows + (int64_t)p.y * a->row_taps, *columns = a->columns + (int64_t)p.x * a->column_taps;
    KerbEight sum;
    bool outside = rows->index < 0 || columns->index < 0;
    KERB_LANES sum.v[l] = outside ? a->extrapolation : 0.0f;
    for (int k = 0; k < a->row_taps && !outside; k++) {
        KerbResizeTap tap = rows[k];
        if (tap.weight == 0.0f) continue;
        KerbEight v = kerb_resize_row(a, columns, tap.index, p.c0);
        KERB_LANES sum.v[l] = sum.v[l] + tap.weight * v.v[l];
    }
    kerb_picture_store(&a->y, p.y, p.x, p.c0, kerb_act8(&a->act, sum, p.c0, kerb_lanes_real(&a->y, p.c0)));
}

/* ---- pixel shuffle */

KERB_ITEM int64_t kerb_items_shuffle(const KerbShuffleArgs *a)
{
    int64_t block = a->block, bb = block * block;
    if (block < 1 || block > 1 << 15) return -1;
    if (a->kind == KERB_SHUFFLE_TO_DEPTH) {
        if (a->y.c != a->x.c * bb || a->y.h * block > a->x.h || a->y.w * block > a->x.w) return -1;
    } else if (a->x.c < a->y.c * bb || a->crop[0] < 0 || a->crop[1] < 0 || a->y.h + a->crop[0] > a->x.h * block ||
               a->y.w + a->crop[1] > a->x.w * block) {
        return -1;
    }
    return kerb_picture_items(&a->y);
}

/* Where channel c of y's pixel lies in x. */
KERB_ITEM int64_t kerb_shuffle_source(const KerbShuffleArgs *a, int y, int x, int c)
{
    int b = a->block;
    if (a->kind == KERB_SHUFFLE_TO_DEPTH) {
        int phase = c / a->x.c;
        return (y * b + phase / b) * a->x.row + (x * b + phase % b) * a->x.pixel + (c - phase * a->x.c);
    }
    y += a->crop[0];
    x += a->crop[1];
    int phase = y % b * b + x % b, channel = a->kind == KERB_SHUFFLE_DCR ? phase * a->y.c + c : c * b * b + phase;
    return y / b * a->x.row + x / b * a->x.pixel + channel;
}

KERB_ITEM void kerb_item_shuffle(const KerbShuffleArgs *a, int i)
{
    KerbPlace p = kerb_picture_place(&a->y, i);
    int n = kerb_lanes_real(&a->y, p.c0);
    int64_t at = kerb_shuffle_source(a, p.y, p.x, p.c0);
    KerbEight v;
    /* Eight channels lie together, but for CRD and where a group of them spans two phases. */
    if (a->kind == KERB_SHUFFLE_DCR || (a->kind == KERB_SHUFFLE_TO_DEPTH && p.c0 / a->x.c == (p.c0 + n - 1) / a->x.c)) {
        v = kerb_load8(a->x.data, a->x.type, at, n);
    } else {
        KERB_LANES v.v[l] = 0.0f;
        KERB_ROLLED for (int l = n - 1; l >= 0; l--) { /* lanes move along */
            KERB_UNROLL for (int k = 7; k > 0; k--) v.v[k] = v.v[k - 1];
            v.v[0] = kerb_load(a->x.data, a->x.type, kerb_shuffle_source(a, p.y, p.x, p.c0 + l));
        }
    }
    kerb_picture_store(&a->y, p.y, p.x, p.c0, v);
}

/* ---- local response normalisation: an item is one channel of a pixel */

KERB_ITEM int64_t kerb_items_lrn(const KerbLrnArgs *a)
{
    if (a->size < 1) return -1;
    return a->y.c > 0 && a->y.h > 0 && a->y.w > 0 ? (int64_t)(a->y.c + a->y.padding) * a->y.h * a->y.w : 0;
}

KERB_ITEM void kerb_item_lrn(const KerbLrnArgs *a, int i)
{
    int channels = a->y.c + a->y.padding, pixel = i / channels, c = i - pixel * channels, y = pixel / a->y.w, x = pixel - y * a->y.w;
    int64_t from = y * a->x.row + x * a->x.pixel;
    int first = c - (a->size - 1) / 2, last = kerb_min(first + a->size, a->x.c); /* last is not in it */
    float sum = 0.0f;
    for (int k = first < 0 ? 0 : first; k < last; k++) {
        float v = kerb_load(a->x.data, a->x.type, from + k);
        sum = sum + v * v;
    }
    float v = c < a->y.c ? kerb_load(a->x.data, a->x.type, from + c) / powf(a->bias + a->alpha / (float)a->size * sum, a->beta) : 0.0f;
    kerb_store(a->y.data, a->y.type, y * a->y.row + x * a->y.pixel + c, v);
}

#endif
