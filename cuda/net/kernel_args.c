/* SPDX-License-Identifier: MIT */
/* What prepares kernels' arguments on the host: views, walks over tensors, axes; and what is several launches. Plain arithmetic; no CUDA
 * calls but launches. Tables for Resize are in kernel_resize.c. */
#include "cuda/net/kernels.h"

#include <limits.h>

KerbStrided kerb_strided_picture(const KerbPicture *p)
{
    return (KerbStrided){
        .data = p->data, .type = p->type, .rank = 4, .dims = {1, p->c, p->h, p->w}, .strides = {p->row * p->h, 1, p->row, p->pixel}};
}

bool kerb_strided_tensor(const KerbTensor *t, void *data, KerbStrided *out)
{
    *out = (KerbStrided){ .data = data, .type = (int32_t)t->dtype, .rank = t->rank };
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0 || t->dims[i] > INT32_MAX) return false;
        out->dims[i] = (int32_t)t->dims[i];
        out->strides[i] = t->strides[i];
    }
    return true;
}

KerbFused kerb_fused(const KerbActivation *act)
{
    return (KerbFused){
        .kind = (int32_t)act->kind, .unary = (int32_t)act->unary, .alpha = act->alpha, .beta = act->beta, .lo = act->lo, .hi = act->hi};
}

/* ---- axes of several tensors, to be ordered and merged */

typedef struct KerbAxis {
    int32_t dim;
    bool fixed; /* a picture's channels, which padding follows: stays innermost, is not merged */
    int64_t strides[KERB_WALKED];
} KerbAxis;

/* By descending strides of tensor 0; equal ones stay as they are. */
static void kerb_axes_order(KerbAxis axes[], int n)
{
    for (int i = 1; i < n; i++) {
        KerbAxis axis = axes[i];
        int at = i;
        for (; at > 0 && !axes[at - 1].fixed && axes[at - 1].strides[0] < axis.strides[0]; at--) axes[at] = axes[at - 1];
        for (; at > 0 && axes[at - 1].fixed; at--) axes[at] = axes[at - 1];
        for (; at > 0 && !axis.fixed && axes[at - 1].strides[0] < axis.strides[0]; at--) axes[at] = axes[at - 1];
        axes[at] = axis;
    }
}

/* Neighbours that all tensors lay out as one axis become one; returns how many are left. */
static int kerb_axes_merge(KerbAxis axes[], int n, int tensors)
{
    int left = 0;
    for (int i = 0; i < n; i++) {
        KerbAxis *outer = left ? &axes[left - 1] : NULL;
        bool merges = outer && !axes[i].fixed && !outer->fixed && (int64_t)outer->dim * axes[i].dim <= INT32_MAX;
        for (int k = 0; k < tensors && merges; k++) merges = outer->strides[k] == axes[i].strides[k] * axes[i].dim;
        if (merges) {
            outer->dim *= axes[i].dim;
            for (int k = 0; k < tensors; k++) outer->strides[k] = axes[i].strides[k];
        } else {
            axes[left++] = axes[i];
        }
    }
    return left;
}

/* ---- walks */

bool kerb_walk(int n, const KerbStrided *const operands[], int32_t padding, KerbWalk *out)
{
    const KerbStrided *y = operands[0];
    KerbAxis axes[KERB_MAX_RANK];
    int count = 0;
    *out = (KerbWalk){ .rank = 0 };
    if (n < 1 || n > KERB_WALKED || (padding && (y->rank != 4 || y->strides[1] != 1))) return false;
    for (int k = 0; k < n; k++) {
        if (!operands[k]) continue;
        if (operands[k]->rank > y->rank || operands[k]->rank < 0) return false;
        out->of[k].data = operands[k]->data;
        out->of[k].type = operands[k]->type;
    }
    for (int i = 0; i < y->rank; i++) {
        KerbAxis axis = { .dim = y->dims[i], .fixed = padding && i == 1 };
        for (int k = 0; k < n; k++) {
            int own = operands[k] ? i - (y->rank - operands[k]->rank) : -1;
            if (own < 0) continue;
            if (operands[k]->dims[own] != 1 && operands[k]->dims[own] != y->dims[i]) return false;
            if (operands[k]->dims[own] != 1 || k == 0) axis.strides[k] = operands[k]->strides[own];
        }
        if (axis.dim != 1 || axis.fixed) axes[count++] = axis;
    }
    if (count == 0) axes[count++] = (KerbAxis){ .dim = 1, .strides = { 1 } };
    kerb_axes_order(axes, count);
    out->rank = kerb_axes_merge(axes, count, n);
    out->padding = padding;
    for (int i = 0; i < out->rank; i++) {
        out->dims[i] = axes[i].dim;
        for (int k = 0; k < n; k++) out->of[k].strides[i] = axes[i].strides[k];
    }
    return true;
}

void kerb_pad_order(KerbPadArgs *args)
{
    const KerbPadArgs from = *args;
    KerbAxis axes[KERB_MAX_RANK];
    for (int i = 0; i < from.y.rank; i++) /* dim: which axis it was */
        axes[i] = (KerbAxis){.dim = i,
                             .fixed = args->padding && i == 1,
                             .strides = {from.y.dims[i] == 1 && !(args->padding && i == 1) ? INT64_MAX : from.y.strides[i]}};
    kerb_axes_order(axes, from.y.rank);
    for (int i = 0; i < from.y.rank; i++) {
        int was = axes[i].dim;
        args->x.dims[i] = from.x.dims[was], args->x.strides[i] = from.x.strides[was];
        args->y.dims[i] = from.y.dims[was], args->y.strides[i] = from.y.strides[was];
        args->begin[i] = from.begin[was];
    }
}

/* ---- axes to go along */

static bool kerb_axes_count(const KerbAxis axes[], int n, int32_t *out)
{
    int64_t count = 1;
    for (int i = 0; i < n; i++) {
        count *= axes[i].dim;
        if (count > INT32_MAX) return false;
    }
    *out = (int32_t)count;
    return true;
}

bool kerb_axes(const KerbStrided *x, const KerbStrided *y, unsigned mask, int32_t padding, KerbAxes *out)
{
    KerbAxis kept[KERB_MAX_RANK], over[KERB_MAX_RANK];
    int n_kept = 0, n_over = 0, own = 0; /* own: y's axis */
    *out = (KerbAxes){ .padding = padding, .channel = -1 };
    if (padding && (y->rank != 4 || x->rank != 4)) return false;
    for (int i = 0; i < x->rank; i++) {
        bool goes = mask >> i & 1u, has_own = !goes || y->rank == x->rank;
        if (has_own && own >= y->rank) return false;
        KerbAxis axis = {.dim = x->dims[i], .fixed = padding && i == 1 && !goes, .strides = {x->strides[i], has_own ? y->strides[own] : 0}};
        if (has_own && y->dims[own] != x->dims[i] && !(goes && y->dims[own] == 1)) return false;
        if (goes && has_own && y->dims[own] == 1) axis.strides[1] = 0;
        own += has_own;
        if (axis.dim == 1 && !axis.fixed) continue;
        if (goes) over[n_over++] = axis;
        else kept[n_kept++] = axis;
    }
    if (own != y->rank) return false;
    kerb_axes_order(kept, n_kept);
    kerb_axes_order(over, n_over);
    out->kept_rank = kerb_axes_merge(kept, n_kept, 2);
    out->over_rank = kerb_axes_merge(over, n_over, 2);
    for (int i = 0; i < out->kept_rank; i++) {
        out->kept_dims[i] = kept[i].dim, out->x_kept[i] = kept[i].strides[0], out->y_kept[i] = kept[i].strides[1];
        if (kept[i].fixed) out->channel = i;
    }
    for (int i = 0; i < out->over_rank; i++)
        out->over_dims[i] = over[i].dim, out->x_over[i] = over[i].strides[0], out->y_over[i] = over[i].strides[1];
    return kerb_axes_count(kept, out->kept_rank, &out->kept) && kerb_axes_count(over, out->over_rank, &out->over);
}

/* ---- reductions in two stages */

#define KERB_ENOUGH_ITEMS 65536 /* that many fill any GPU */
#define KERB_LEAST_SPAN 32      /* elements a part */
#define KERB_MOST_PARTS 512     /* the second stage goes through them one after the other */

int32_t kerb_reduce_parts(const KerbReduceArgs *a)
{
    bool whole = !kerb_dtype_is_float((KerbDtype)a->x_type) || a->kind == KERB_REDUCE_LOG_SUM_EXP;
    if (whole || a->axes.kept < 1) return 1;
    int32_t parts = a->axes.over / KERB_LEAST_SPAN, useful = KERB_ENOUGH_ITEMS / a->axes.kept;
    if (parts > useful) parts = useful;
    if (parts > KERB_MOST_PARTS) parts = KERB_MOST_PARTS;
    return parts < 1 ? 1 : parts;
}

cudaError_t kerb_launch_reduce(const KerbReduceArgs *args, cudaStream_t stream)
{
    cudaError_t error = args->parts > 1 ? kerb_launch_reduce_part(args, stream) : cudaSuccess;
    return error == cudaSuccess ? kerb_launch_reduce_end(args, stream) : error;
}

/* ---- instance normalisation */

/* The sum (of squares about `centre`) of each channel, into c floats at `out`. */
static bool kerb_channel_sums(const KerbPicture *x, KerbReduction kind, const float *centre, float *partial, float *out,
                              KerbReduceArgs *args)
{
    KerbStrided from = kerb_strided_picture(x),
                to = {.data = out, .type = KERB_F32, .rank = 4, .dims = {1, x->c, 1, 1}, .strides = {0, 1, 0, 0}};
    *args = (KerbReduceArgs){
        .x = x->data, .y = out, .x_type = x->type, .y_type = KERB_F32, .kind = (int32_t)kind, .partial = partial, .centre = centre};
    if (!kerb_axes(&from, &to, 1u << 2 | 1u << 3, 0, &args->axes)) return false;
    args->parts = kerb_reduce_parts(args);
    return true;
}

size_t kerb_instance_norm_scratch(const KerbPicture *x)
{
    KerbReduceArgs sums;
    size_t parts = kerb_channel_sums(x, KERB_REDUCE_MEAN, NULL, NULL, NULL, &sums) ? (size_t)sums.parts : 1;
    return (4 + parts) * (size_t)x->c * sizeof(float);
}

cudaError_t kerb_launch_instance_norm(const KerbInstanceNormArgs *a, cudaStream_t stream)
{
    int32_t c = a->x.c;
    float *mean = a->scratch, *squares = mean + c, *scale = squares + c, *bias = scale + c, *partial = bias + c;
    KerbReduceArgs sums;
    if (c < 1 || a->x.h < 1 || a->x.w < 1) return cudaSuccess;
    if (!kerb_channel_sums(&a->x, KERB_REDUCE_MEAN, NULL, partial, mean, &sums)) return cudaErrorInvalidValue;
    cudaError_t error = kerb_launch_reduce(&sums, stream);
    if (error != cudaSuccess) return error;
    if (!kerb_channel_sums(&a->x, KERB_REDUCE_SUM_SQUARE, mean, partial, squares, &sums)) return cudaErrorInvalidValue;
    error = kerb_launch_reduce(&sums, stream);
    if (error != cudaSuccess) return error;
    KerbCoefficientsArgs coefficients = {.mean = mean,
                                         .squares = squares,
                                         .gamma = a->gamma,
                                         .beta = a->beta,
                                         .scale = scale,
                                         .bias = bias,
                                         .epsilon = a->epsilon,
                                         .count = (float)a->x.h * (float)a->x.w,
                                         .c = c};
    error = kerb_launch_coefficients(&coefficients, stream);
    if (error != cudaSuccess) return error;
    KerbFinishArgs finish = { .x = a->x, .y = a->y, .scale = scale, .bias = bias, .act = a->act, .z_scale = 1, .y_scale = 1 };
    return kerb_launch_finish(&finish, stream);
}
