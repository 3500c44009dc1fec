/* SPDX-License-Identifier: MIT */
/* Items that go along axes of strided tensors: reductions (in two stages where they are large), softmax, argmax, cumulative sums. An item
 * is one element of what is kept; neighbours among those are neighbours in memory. */
#ifndef KERB_CUDA_NET_KERNEL_AXES_H
#define KERB_CUDA_NET_KERNEL_AXES_H

#include "cuda/net/kernel_item.h"

/* Where a kept element lies, and whether padding follows what it writes. */
typedef struct KerbAxesPlace {
    int64_t x, y;
    bool ends_channels; /* every element that is written is its pixel's last channel */
} KerbAxesPlace;

KERB_ITEM KerbAxesPlace kerb_axes_place(const KerbAxes *a, int i)
{
    KerbAxesPlace p = { 0, 0, false };
    for (int axis = a->kept_rank - 1; axis >= 0; axis--) {
        int rest = i / a->kept_dims[axis], at = i - rest * a->kept_dims[axis];
        p.x += at * a->x_kept[axis];
        p.y += at * a->y_kept[axis];
        p.ends_channels = p.ends_channels || (axis == a->channel && at == a->kept_dims[axis] - 1);
        i = rest;
    }
    return p;
}

/* Offset of element i of the axes that are gone along. */
KERB_ITEM int64_t kerb_axes_over(const KerbAxes *a, const int64_t strides[KERB_MAX_RANK], int i)
{
    if (a->over_rank == 1) return i * strides[0];
    int64_t offset = 0;
    for (int axis = a->over_rank - 1; axis >= 0; axis--) {
        int rest = i / a->over_dims[axis];
        offset += (i - rest * a->over_dims[axis]) * strides[axis];
        i = rest;
    }
    return offset;
}

/* ---- reductions */

KERB_ITEM bool kerb_reduces_integers(const KerbReduceArgs *a)
{
    return !kerb_type_is_float(a->x_type) && a->kind != KERB_REDUCE_L2 && a->kind != KERB_REDUCE_LOG_SUM &&
           a->kind != KERB_REDUCE_LOG_SUM_EXP;
}

KERB_ITEM float kerb_reduce_start(int kind)
{
    return kind == KERB_REDUCE_PROD ? 1.0f : kind == KERB_REDUCE_MAX ? -INFINITY : kind == KERB_REDUCE_MIN ? INFINITY : 0.0f;
}

KERB_ITEM float kerb_reduce_join(int kind, float sum, float v)
{
    switch (kind) {
    case KERB_REDUCE_MAX: return v > sum || v != v ? v : sum;
    case KERB_REDUCE_MIN: return v < sum || v != v ? v : sum;
    case KERB_REDUCE_PROD: return sum * v;
    default: return sum + v;
    }
}

KERB_ITEM float kerb_reduce_term(int kind, float v, float centre)
{
    v = v - centre;
    switch (kind) {
    case KERB_REDUCE_L1: return fabsf(v);
    case KERB_REDUCE_L2: case KERB_REDUCE_SUM_SQUARE: return v * v;
    case KERB_REDUCE_LOG_SUM_EXP: return expf(v);
    default: return v;
    }
}

/* Elements first..end-1 of the axes. Four sums side by side: loads need not wait for additions, and rounding errors stay small. */
KERB_ITEM float kerb_reduce_span(const KerbReduceArgs *a, int kind, int64_t x, float centre, int first, int end)
{
    float sums[4];
    KERB_UNROLL for (int k = 0; k < 4; k++) sums[k] = kerb_reduce_start(kind);
    int inner = a->axes.over_rank ? a->axes.over_dims[a->axes.over_rank - 1] : 1;
    int64_t step = a->axes.over_rank ? a->axes.x_over[a->axes.over_rank - 1] : 0;
    while (first < end) { /* a row of the innermost axis at a time */
        int64_t at = x + kerb_axes_over(&a->axes, a->axes.x_over, first);
        int n = kerb_min(inner - first % inner, end - first), e = 0;
        for (; e + 4 <= n; e += 4) {
            KERB_UNROLL for (int k = 0; k < 4; k++)
                sums[k] = kerb_reduce_join(kind, sums[k], kerb_reduce_term(kind, kerb_load(a->x, a->x_type, at + (e + k) * step), centre));
        }
        KERB_ROLLED for (; e < n; e++) {
            float v = kerb_load(a->x, a->x_type, at + e * step);
            sums[0] = kerb_reduce_join(kind, sums[0], kerb_reduce_term(kind, v, centre));
        }
        first += n;
    }
    return kerb_reduce_join(kind, kerb_reduce_join(kind, sums[0], sums[1]), kerb_reduce_join(kind, sums[2], sums[3]));
}

KERB_ITEM int64_t kerb_items_reduce_part(const KerbReduceArgs *a) { return a->parts > 1 ? (int64_t)a->axes.kept * a->parts : 0; }

KERB_ITEM void kerb_item_reduce_part(const KerbReduceArgs *a, int i)
{
    int part = i / a->axes.kept, kept = i - part * a->axes.kept;
    int first = (int)((int64_t)a->axes.over * part / a->parts), end = (int)((int64_t)a->axes.over * (part + 1) / a->parts);
    a->partial[i] = kerb_reduce_span(a, a->kind, kerb_axes_place(&a->axes, kept).x, a->centre ? a->centre[kept] : 0.0f, first, end);
}

KERB_ITEM float kerb_reduce_finish(const KerbReduceArgs *a, float sum)
{
    switch (a->kind) {
    case KERB_REDUCE_MEAN: return sum / (float)a->axes.over;
    case KERB_REDUCE_L2: return sqrtf(sum);
    case KERB_REDUCE_LOG_SUM: case KERB_REDUCE_LOG_SUM_EXP: return logf(sum);
    default: return sum;
    }
}

KERB_ITEM float kerb_reduce_floats(const KerbReduceArgs *a, int i, int64_t x)
{
    float centre = a->centre ? a->centre[i] : 0.0f;
    if (a->parts > 1) {
        float sum = kerb_reduce_start(a->kind);
        for (int part = 0; part < a->parts; part++) sum = kerb_reduce_join(a->kind, sum, a->partial[(int64_t)part * a->axes.kept + i]);
        return kerb_reduce_finish(a, sum);
    }
    if (a->kind == KERB_REDUCE_LOG_SUM_EXP) {
        float max = kerb_reduce_span(a, KERB_REDUCE_MAX, x, centre, 0, a->axes.over);
        if (isinf(max)) max = 0.0f; /* -inf: log(0); inf: exp gives inf by itself */
        return kerb_reduce_finish(a, kerb_reduce_span(a, a->kind, x, centre + max, 0, a->axes.over)) + max;
    }
    return kerb_reduce_finish(a, kerb_reduce_span(a, a->kind, x, centre, 0, a->axes.over));
}

/* The least (greatest) value of the type for MAX (MIN), so that nothing gives it. */
KERB_ITEM int64_t kerb_reduce_start_integer(const KerbReduceArgs *a)
{
    int bits = kerb_type_bytes(a->x_type) * 8;
    bool is_unsigned = a->x_type == KERB_U8 || a->x_type == KERB_U16 || a->x_type == KERB_U32;
    int64_t half = bits == 64 ? INT64_MAX : ((int64_t)1 << (bits - 1)) - 1;
    if (a->kind == KERB_REDUCE_PROD) return 1;
    if (a->kind != KERB_REDUCE_MAX && a->kind != KERB_REDUCE_MIN) return 0;
    if (a->x_type == KERB_BOOL) return a->kind == KERB_REDUCE_MIN;
    if (a->kind == KERB_REDUCE_MAX) return is_unsigned ? 0 : -half - 1;
    return is_unsigned ? 2 * half + 1 : half;
}

KERB_ITEM int64_t kerb_reduce_integers(const KerbReduceArgs *a, int64_t x)
{
    int64_t sum = kerb_reduce_start_integer(a);
    for (int e = 0; e < a->axes.over; e++) {
        int64_t v = kerb_load_integer(a->x, a->x_type, x + kerb_axes_over(&a->axes, a->axes.x_over, e));
        uint64_t s = (uint64_t)sum, u = (uint64_t)v; /* wraps without being undefined */
        switch (a->kind) {
        case KERB_REDUCE_MAX: sum = v > sum ? v : sum; break;
        case KERB_REDUCE_MIN: sum = v < sum ? v : sum; break;
        case KERB_REDUCE_PROD: sum = (int64_t)(s * u); break;
        case KERB_REDUCE_L1: sum = (int64_t)(s + (v < 0 ? 0 - u : u)); break;
        case KERB_REDUCE_SUM_SQUARE: sum = (int64_t)(s + u * u); break;
        default: sum = (int64_t)(s + u); break;
        }
    }
    if (a->kind == KERB_REDUCE_MEAN) sum = a->axes.over ? sum / a->axes.over : 0;
    return sum;
}

KERB_ITEM int64_t kerb_items_reduce_end(const KerbReduceArgs *a)
{
    bool whole = a->kind == KERB_REDUCE_LOG_SUM_EXP || kerb_reduces_integers(a);
    if (a->parts < 1 || (a->parts > 1 && (whole || !a->partial))) return -1;
    return a->axes.kept;
}

KERB_ITEM void kerb_item_reduce_end(const KerbReduceArgs *a, int i)
{
    KerbAxesPlace p = kerb_axes_place(&a->axes, i);
    if (!kerb_reduces_integers(a)) kerb_store(a->y, a->y_type, p.y, kerb_reduce_floats(a, i, p.x));
    else kerb_store_integer(a->y, a->y_type, p.y, kerb_reduce_integers(a, p.x));
    if (a->axes.padding && (a->axes.channel < 0 || p.ends_channels)) kerb_store_zeros(a->y, a->y_type, p.y + 1, a->axes.padding);
}

/* ---- instance normalisation's coefficients: an item is a channel */

KERB_ITEM int64_t kerb_items_coefficients(const KerbCoefficientsArgs *a) { return a->c; }

KERB_ITEM void kerb_item_coefficients(const KerbCoefficientsArgs *a, int i)
{
    a->scale[i] = a->gamma[i] / sqrtf(a->squares[i] / a->count + a->epsilon);
    a->bias[i] = a->beta[i] - a->mean[i] * a->scale[i];
}

/* ---- softmax */

KERB_ITEM int64_t kerb_items_softmax(const KerbSoftmaxArgs *a) { return a->axes.over ? a->axes.kept : 0; }

KERB_ITEM void kerb_item_softmax(const KerbSoftmaxArgs *a, int i)
{
    const KerbAxes *axes = &a->axes;
    KerbAxesPlace p = kerb_axes_place(axes, i);
    float max = -INFINITY, sum = 0.0f;
    int64_t to = p.y;
    for (int e = 0; e < axes->over; e++) {
        float v = kerb_load(a->x, a->x_type, p.x + kerb_axes_over(axes, axes->x_over, e));
        max = v > max || v != v ? v : max;
    }
    for (int e = 0; e < axes->over; e++) sum = sum + expf(kerb_load(a->x, a->x_type, p.x + kerb_axes_over(axes, axes->x_over, e)) - max);
    float log_sum = a->log ? logf(sum) : 0.0f;
    for (int e = 0; e < axes->over; e++) {
        float v = kerb_load(a->x, a->x_type, p.x + kerb_axes_over(axes, axes->x_over, e)) - max;
        to = p.y + kerb_axes_over(axes, axes->y_over, e);
        kerb_store(a->y, a->y_type, to, a->log ? v - log_sum : expf(v) / sum);
        if (axes->padding && p.ends_channels) kerb_store_zeros(a->y, a->y_type, to + 1, axes->padding);
    }
    if (axes->padding && axes->channel < 0) kerb_store_zeros(a->y, a->y_type, to + 1, axes->padding);
}

/* ---- argmax */

KERB_ITEM int64_t kerb_items_argmax(const KerbArgmaxArgs *a) { return a->axes.kept && !a->axes.over ? -1 : a->axes.kept; }

KERB_ITEM void kerb_item_argmax(const KerbArgmaxArgs *a, int i)
{
    KerbAxesPlace p = kerb_axes_place(&a->axes, i);
    bool integers = !kerb_type_is_float(a->x_type);
    int best = 0;
    float best_v = 0.0f;
    int64_t best_i = 0;
    for (int e = 0; e < a->axes.over; e++) {
        int64_t at = p.x + kerb_axes_over(&a->axes, a->axes.x_over, e);
        float v = integers ? 0.0f : kerb_load(a->x, a->x_type, at);
        int64_t v_i = integers ? kerb_load_integer(a->x, a->x_type, at) : 0;
        bool less = integers ? v_i < best_i : v < best_v, more = integers ? v_i > best_i : v > best_v,
             same = integers ? v_i == best_i : v == best_v;
        if (e == 0 || (a->is_min ? less : more) || (a->select_last && same)) best = e, best_v = v, best_i = v_i;
    }
    a->y[p.y] = best;
}

/* ---- cumulative sums */

KERB_ITEM int64_t kerb_items_cumsum(const KerbCumsumArgs *a) { return a->axes.over ? a->axes.kept : 0; }

KERB_ITEM void kerb_item_cumsum(const KerbCumsumArgs *a, int i)
{
    KerbAxesPlace p = kerb_axes_place(&a->axes, i);
    bool integers = !kerb_type_is_float(a->x_type);
    float sum = 0.0f;
    uint64_t sum_i = 0;
    for (int k = 0; k < a->axes.over; k++) {
        int e = a->reverse ? a->axes.over - 1 - k : k;
        int64_t from = p.x + kerb_axes_over(&a->axes, a->axes.x_over, e), to = p.y + kerb_axes_over(&a->axes, a->axes.y_over, e);
        float before = sum;
        uint64_t before_i = sum_i;
        if (integers) sum_i += (uint64_t)kerb_load_integer(a->x, a->x_type, from);
        else sum = sum + kerb_load(a->x, a->x_type, from);
        if (integers) kerb_store_integer(a->y, a->y_type, to, (int64_t)(a->exclusive ? before_i : sum_i));
        else kerb_store(a->y, a->y_type, to, a->exclusive ? before : sum);
        bool last_channel = a->axes.channel < 0 ? e == a->axes.over - 1 : p.ends_channels;
        if (a->axes.padding && last_channel) kerb_store_zeros(a->y, a->y_type, to + 1, a->axes.padding);
    }
}

#endif
