/* SPDX-License-Identifier: MIT */
/* Items of convolutions: depthwise (eight channels of four neighbouring pixels), direct (eight outputs of two neighbouring pixels). What
 * follows the sum is kerb_epilogue8()'s. */
#ifndef KERB_CUDA_NET_KERNEL_CONV_H
#define KERB_CUDA_NET_KERNEL_CONV_H

#include "cuda/net/kernel_picture.h"

/* ---- depthwise */

#define KERB_DEPTHWISE_PIXELS 4

KERB_ITEM int64_t kerb_items_depthwise(const KerbDepthwiseArgs *a)
{
    if (a->multiplier < 1 || a->y.c > (int64_t)a->x.c * a->multiplier || a->stride[0] < 1 || a->stride[1] < 1) return -1;
    if (a->y.c <= 0 || a->y.h <= 0 || a->y.w <= 0) return 0;
    return (int64_t)kerb_groups(&a->y) * a->y.h * ((a->y.w + KERB_DEPTHWISE_PIXELS - 1) / KERB_DEPTHWISE_PIXELS);
}

typedef struct KerbDepthwiseSums {
    KerbEight at[KERB_DEPTHWISE_PIXELS];
} KerbDepthwiseSums;

KERB_ITEM KerbEight kerb_depthwise_pixel(const KerbDepthwiseArgs *a, int y, int x, int c0)
{
    KerbEight v;
    if (x < 0 || x >= a->x.w) {
        KERB_LANES v.v[l] = 0.0f;
    } else if (a->multiplier == 1) {
        v = kerb_picture_load(&a->x, y, x, c0);
    } else {
        int n = kerb_lanes_real(&a->y, c0);
        int64_t at = y * a->x.row + x * a->x.pixel;
        KERB_LANES v.v[l] = 0.0f;
        KERB_ROLLED for (int l = n - 1; l >= 0; l--) { /* lanes move along */
            KERB_UNROLL for (int k = 7; k > 0; k--) v.v[k] = v.v[k - 1];
            v.v[0] = kerb_load(a->x.data, a->x.type, at + (c0 + l) / a->multiplier);
        }
    }
    return v;
}

KERB_ITEM KerbEight kerb_depthwise_weights(const KerbDepthwiseArgs *a, int tap, int c0)
{
    return kerb_load8(a->w, KERB_F32, (int64_t)tap * a->w_pitch + c0, kerb_min(8, a->w_pitch - c0));
}

KERB_ITEM void kerb_multiply_add8(KerbEight *sum, const KerbEight *x, const KerbEight *w)
{
    KERB_LANES sum->v[l] = sum->v[l] + x->v[l] * w->v[l];
}

/* One row of a kernel of `width` columns (known to the compiler) over input row y, stride and dilation 1: every input pixel is read once.
 */
KERB_ITEM void kerb_depthwise_slide(const KerbDepthwiseArgs *a, const int width, int y, int x0, int tap, int c0, KerbDepthwiseSums *sums)
{
    KerbEight w[5];
    KERB_UNROLL for (int k = 0; k < 5; k++)
        if (k < width) w[k] = kerb_depthwise_weights(a, tap + k, c0);
    KERB_UNROLL for (int j = 0; j < KERB_DEPTHWISE_PIXELS + 4; j++) {
        if (j >= KERB_DEPTHWISE_PIXELS + width - 1) continue;
        KerbEight x = kerb_depthwise_pixel(a, y, x0 + j, c0);
        KERB_UNROLL for (int p = 0; p < KERB_DEPTHWISE_PIXELS; p++)
            if (j - p >= 0 && j - p < width) kerb_multiply_add8(&sums->at[p], &x, &w[j - p < 0 ? 0 : j - p > 4 ? 4 : j - p]);
    }
}

KERB_ITEM void kerb_depthwise_row(const KerbDepthwiseArgs *a, int y, int x0, int tap, int c0, KerbDepthwiseSums *sums)
{
    KERB_ROLLED for (int k = 0; k < a->kernel[1]; k++) {
        KerbEight w = kerb_depthwise_weights(a, tap + k, c0);
        KERB_UNROLL for (int p = 0; p < KERB_DEPTHWISE_PIXELS; p++) {
            KerbEight x = kerb_depthwise_pixel(a, y, x0 + p * a->stride[1] + k * a->dilation[1], c0);
            kerb_multiply_add8(&sums->at[p], &x, &w);
        }
    }
}

KERB_ITEM void kerb_item_depthwise(const KerbDepthwiseArgs *a, int i)
{
    int groups = kerb_groups(&a->y), runs = (a->y.w + KERB_DEPTHWISE_PIXELS - 1) / KERB_DEPTHWISE_PIXELS;
    int run = i / groups, c0 = (i - run * groups) * 8, oy = run / runs, ox = (run - oy * runs) * KERB_DEPTHWISE_PIXELS;
    int x0 = ox * a->stride[1] - a->pad[1];
    bool slides = a->stride[1] == 1 && a->dilation[1] == 1 && a->multiplier == 1;
    KerbDepthwiseSums sums;
    KERB_UNROLL for (int p = 0; p < KERB_DEPTHWISE_PIXELS; p++) KERB_LANES sums.at[p].v[l] = 0.0f;
    KERB_ROLLED for (int k = 0; k < a->kernel[0]; k++) {
        int y = oy * a->stride[0] - a->pad[0] + k * a->dilation[0];
        if (y < 0 || y >= a->x.h) continue;
        if (slides && a->kernel[1] == 3) kerb_depthwise_slide(a, 3, y, x0, k * 3, c0, &sums);
        else if (slides && a->kernel[1] == 5) kerb_depthwise_slide(a, 5, y, x0, k * 5, c0, &sums);
        else kerb_depthwise_row(a, y, x0, k * a->kernel[1], c0, &sums);
    }
    KerbEpilogue8 end = { &a->y, &a->z, a->scale, a->bias, &a->act, a->z_scale, a->y_scale };
    KERB_ROLLED for (int p = 0; p < KERB_DEPTHWISE_PIXELS && ox + p < a->y.w; p++)
    { /* sums move along: one epilogue in the code, not four */
        kerb_epilogue8(&end, oy, ox + p, c0, sums.at[0]);
        KERB_UNROLL for (int k = 0; k < KERB_DEPTHWISE_PIXELS - 1; k++) sums.at[k] = sums.at[k + 1];
    }
}

/* ---- direct */

#define KERB_CONV_PIXELS 2

/* Output channels in runs of eight that do not cross groups. */
KERB_ITEM int kerb_conv_runs(const KerbConvArgs *a) { return (a->y.c / a->group + 7) / 8; }

KERB_ITEM int64_t kerb_items_conv(const KerbConvArgs *a)
{
    if (a->group < 1 || a->x.c % a->group || a->y.c % a->group || a->stride[0] < 1 || a->stride[1] < 1 || a->x.type != a->w_type) return -1;
    if (a->y.c <= 0 || a->y.h <= 0 || a->y.w <= 0) return 0;
    return (int64_t)kerb_conv_runs(a) * a->group * a->y.h * ((a->y.w + KERB_CONV_PIXELS - 1) / KERB_CONV_PIXELS);
}

/* Which input coordinate kernel element k shows to output o along an axis; -1: none. */
KERB_ITEM int kerb_conv_source(const KerbConvArgs *a, int axis, int o, int k, int size)
{
    int t = a->transposed ? o + a->pad[axis] - k * a->dilation[axis] : o * a->stride[axis] - a->pad[axis] + k * a->dilation[axis];
    if (a->transposed) {
        if (t < 0 || t % a->stride[axis]) return -1;
        t /= a->stride[axis];
    }
    return t < 0 || t >= size ? -1 : t;
}

typedef struct KerbConvPlace {
    int oy, ox, group, k0, n; /* k0: the first output within the group; n: outputs */
} KerbConvPlace;

/* Pixels first: a warp's weights are the same, and are read once. */
KERB_ITEM KerbConvPlace kerb_conv_place(const KerbConvArgs *a, int i)
{
    int spans = (a->y.w + KERB_CONV_PIXELS - 1) / KERB_CONV_PIXELS, rows = i / spans, outputs = rows / a->y.h, runs = kerb_conv_runs(a);
    KerbConvPlace p;
    p.ox = (i - rows * spans) * KERB_CONV_PIXELS;
    p.oy = rows - outputs * a->y.h;
    p.group = outputs / runs;
    p.k0 = (outputs - p.group * runs) * 8;
    p.n = kerb_min(8, a->y.c / a->group - p.k0);
    return p;
}

typedef struct KerbConvSums {
    KerbEight at[KERB_CONV_PIXELS];
} KerbConvSums;

/* Adds one kernel element of one pixel row: `columns` are the pixels of x (or -1), `w` the element's weights of input 0 and output k0. */
KERB_ITEM void kerb_conv_tap(const KerbConvArgs *a, const KerbConvPlace *p, int y, const int columns[KERB_CONV_PIXELS], int64_t w,
                             KerbConvSums *sums)
{
    int inputs = a->x.c / a->group, type = a->w_type;
    int64_t from = y * a->x.row + p->group * inputs;
    KERB_ROLLED for (int c = 0; c < inputs; c += 8) {
        int n = kerb_min(8, inputs - c);
        KerbEight x[KERB_CONV_PIXELS];
        KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++)
            x[q] = kerb_load8(a->x.data, type, from + (columns[q] < 0 ? 0 : columns[q]) * a->x.pixel + c, columns[q] < 0 ? 0 : n);
        if (a->w_in == 1) { /* eight inputs of each output */
            KERB_UNROLL for (int k = 0; k < 8; k++) {
                KerbEight v = kerb_load8(a->w, type, w + k * a->w_out + c, k < p->n ? n : 0);
                KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++) KERB_LANES sums->at[q].v[k] = sums->at[q].v[k] + x[q].v[l] * v.v[l];
            }
        } else { /* eight outputs of each input */
            KERB_LANES {
                if (l >= n) continue;
                int64_t at = w + (c + l) * a->w_in;
                KerbEight v = a->w_out == 1 ? kerb_load8(a->w, type, at, p->n) : kerb_load8_slow(a->w, type, at, a->w_out, p->n);
                KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++)
                    KERB_UNROLL for (int k = 0; k < 8; k++) sums->at[q].v[k] = sums->at[q].v[k] + x[q].v[l] * v.v[k];
            }
        }
    }
}

/* The same for i8, one input at a time. Sums are exact: integers, kept as bits in the same registers. */
KERB_ITEM void kerb_conv_tap_i8(const KerbConvArgs *a, const KerbConvPlace *p, int y, const int columns[KERB_CONV_PIXELS], int64_t w,
                                KerbConvSums *sums)
{
    int inputs = a->x.c / a->group;
    int64_t from = y * a->x.row + p->group * inputs;
    KERB_ROLLED for (int c = 0; c < inputs; c++) {
        int x[KERB_CONV_PIXELS];
        KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++)
            x[q] = columns[q] < 0 ? 0 : ((const int8_t *)a->x.data)[from + columns[q] * a->x.pixel + c];
        KERB_UNROLL for (int k = 0; k < 8; k++) {
            int v = k < p->n ? ((const int8_t *)a->w)[w + k * a->w_out + c * a->w_in] : 0;
            KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++)
                sums->at[q].v[k] = kerb_item_bits_f32(kerb_item_f32_bits(sums->at[q].v[k]) + (uint32_t)(x[q] * v));
        }
    }
}

/* Where the weights of kernel element (r, s) begin for the place's group and outputs. */
KERB_ITEM int64_t kerb_conv_weights(const KerbConvArgs *a, const KerbConvPlace *p, int r, int s)
{
    int outputs = a->y.c / a->group, inputs = a->x.c / a->group;
    int64_t first = a->transposed ? p->group * inputs * a->w_in + p->k0 * a->w_out : (int64_t)(p->group * outputs + p->k0) * a->w_out;
    return first + r * a->w_row + s * a->w_column;
}

KERB_ITEM void kerb_conv_sum(const KerbConvArgs *a, const KerbConvPlace *p, KerbConvSums *sums)
{
    KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++) KERB_LANES sums->at[q].v[l] = 0.0f;
    KERB_ROLLED for (int r = 0; r < a->kernel[0]; r++) {
        int y = kerb_conv_source(a, 0, p->oy, r, a->x.h);
        if (y < 0) continue;
        KERB_ROLLED for (int s = 0; s < a->kernel[1]; s++) {
            int columns[KERB_CONV_PIXELS];
            bool any = false;
            KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++) {
                columns[q] = kerb_conv_source(a, 1, p->ox + q, s, a->x.w);
                any = any || columns[q] >= 0;
            }
            if (!any) continue;
            int64_t w = kerb_conv_weights(a, p, r, s);
            if (a->w_type == KERB_I8) kerb_conv_tap_i8(a, p, y, columns, w, sums);
            else kerb_conv_tap(a, p, y, columns, w, sums);
        }
    }
    if (a->w_type == KERB_I8) {
        KERB_UNROLL for (int q = 0; q < KERB_CONV_PIXELS; q++) {
            KERB_LANES sums->at[q].v[l] = (float)(int32_t)kerb_item_f32_bits(sums->at[q].v[l]);
        }
    }
}

/* Outputs of a group that do not fill eight, or begin between eights: the epilogue's channels are the place's alone. */
KERB_ITEM void kerb_item_conv(const KerbConvArgs *a, int i)
{
    KerbConvPlace p = kerb_conv_place(a, i);
    KerbConvSums sums;
    kerb_conv_sum(a, &p, &sums);
    int c0 = p.group * (a->y.c / a->group) + p.k0;
    KerbPicture y = a->y, z = a->z; /* as if the picture ended with this place's channels, but for the last ones, which have the padding */
    if (c0 + p.n < a->y.c) {
        y.c = z.c = c0 + p.n;
        y.padding = z.padding = 0;
    }
    KerbEpilogue8 end = { &y, &z, a->scale, a->bias, &a->act, a->z_scale, a->y_scale };
    KERB_ROLLED for (int q = 0; q < KERB_CONV_PIXELS && p.ox + q < a->y.w; q++) { /* sums move along */
        kerb_epilogue8(&end, p.oy, p.ox + q, c0, sums.at[0]);
        KERB_UNROLL for (int k = 0; k < KERB_CONV_PIXELS - 1; k++) sums.at[k] = sums.at[k + 1];
    }
}

#endif
