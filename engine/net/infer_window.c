/* SPDX-License-Identifier: MIT */
/* Shape rules of everything with a spatial window: convolutions, pools, unpooling. They turn auto_pad and ConvTranspose's output_shape
 * into explicit pads and output_padding, so that nobody behind them has to know those. */
#include "net/infer.h"

#define WINDOW_LIMIT ((int64_t)1 << 31) /* of kernel, stride, dilation, pads: keeps every sum below inside int64 */

static int64_t window_extent(const KerbWindow *w, int i) { return (w->kernel[i] - 1) * w->dilation[i] + 1; }

static bool window_bounded(int64_t v, int64_t low) { return v >= low && v < WINDOW_LIMIT; }

/* Completes the window: axes and kernel from the weights (`w` NULL: none), then checks it. `x` has the batch and channel axes in front. */
static KerbStatus window_check(KerbInfer *c, KerbWindow *window, const KerbValue *x, const KerbValue *w)
{
    int spatial = x->rank - 2;
    if (spatial < 1) return kerb_infer_fail(c, "its input needs a batch, a channel and at least one spatial axis");
    if (spatial > KERB_MAX_SPATIAL) return kerb_infer_unsupported(c, "%d spatial axes; Kerb handles up to %d", spatial, KERB_MAX_SPATIAL);
    if (w && w->rank != x->rank) return kerb_infer_fail(c, "its weights have %d axes, its input %d", w->rank, x->rank);
    if (window->n && window->n != spatial) return kerb_infer_fail(c, "its window has %d axes, its input %d spatial ones", window->n, spatial);
    window->n = spatial;
    for (int i = 0; i < spatial; i++) {
        if (w && !window->kernel[i]) window->kernel[i] = w->dims[i + 2];
        if (w && window->kernel[i] != w->dims[i + 2])
            return kerb_infer_fail(c, "its kernel_shape says %lld, its weights %lld", (long long)window->kernel[i], (long long)w->dims[i + 2]);
        if (!window_bounded(window->kernel[i], 1) || !window_bounded(window->stride[i], 1) || !window_bounded(window->dilation[i], 1) ||
            !window_bounded(window->pad_begin[i], 0) || !window_bounded(window->pad_end[i], 0) || window_extent(window, i) >= WINDOW_LIMIT)
            return kerb_infer_fail(c, "its window makes no sense: kernel %lld, stride %lld, dilation %lld, pads %lld and %lld",
                                   (long long)window->kernel[i], (long long)window->stride[i], (long long)window->dilation[i],
                                   (long long)window->pad_begin[i], (long long)window->pad_end[i]);
    }
    return KERB_OK;
}

/* Pads that make out = ceil(in / stride) (SAME) or 0 (VALID). */
static void window_resolve_pads(KerbWindow *w, int i, int64_t in)
{
    int64_t out = (in + w->stride[i] - 1) / w->stride[i], total = (out - 1) * w->stride[i] + window_extent(w, i) - in;
    if (w->auto_pad == KERB_PAD_VALID || total < 0) total = 0;
    w->pad_begin[i] = w->auto_pad == KERB_PAD_SAME_LOWER ? total - total / 2 : total / 2;
    w->pad_end[i] = total - w->pad_begin[i];
}

/* Output size of a sliding window; ceil_mode as PyTorch and opset 22 have it: a last window that would start behind the input and
 * its begin pad, so in the end pad, does not exist. */
static KerbStatus window_output(KerbInfer *c, const KerbWindow *w, int i, int64_t in, bool ceil_mode, int64_t *out)
{
    int64_t room = in + w->pad_begin[i] + w->pad_end[i] - window_extent(w, i);
    if (in < 1 || room < 0)
        return kerb_infer_fail(c, "its window of %lld does not fit into %lld with pads %lld and %lld (spatial axis %d)",
                               (long long)window_extent(w, i), (long long)in, (long long)w->pad_begin[i], (long long)w->pad_end[i], i);
    *out = room / w->stride[i] + 1;
    if (ceil_mode && room % w->stride[i] != 0 && *out * w->stride[i] < in + w->pad_begin[i]) ++*out;
    return KERB_OK;
}

static KerbStatus window_outputs(KerbInfer *c, KerbWindow *w, const KerbValue *x, bool ceil_mode, int64_t dims[])
{
    for (int i = 0; i < w->n; i++) {
        if (w->auto_pad != KERB_PAD_EXPLICIT) window_resolve_pads(w, i, x->dims[i + 2]);
        KerbStatus status = window_output(c, w, i, x->dims[i + 2], ceil_mode && w->auto_pad == KERB_PAD_EXPLICIT, &dims[i + 2]);
        if (status != KERB_OK) return status;
    }
    return KERB_OK;
}

/* Bias (one element an output channel) and what passes fuse in: the slope of a PRelu. */
static KerbStatus check_channel_vector(KerbInfer *c, const KerbValue *v, const char *what, int64_t channels, bool one_is_fine)
{
    int64_t n = 1;
    if (!v) return KERB_OK;
    for (int i = 0; i < v->rank; i++) n *= v->dims[i]; /* below the limit: checked when it was set */
    if (n == channels || (n == 1 && one_is_fine)) return KERB_OK;
    return kerb_infer_fail(c, "its %s has %lld elements; %lld channels need as many", what, (long long)n, (long long)channels);
}

static KerbStatus conv_shape(KerbInfer *c, const KerbValue *x, const KerbValue *w, const KerbValue *bias, KerbDtype dtype)
{
    KerbConvAttrs *conv = &c->n->attrs.conv;
    int64_t dims[KERB_MAX_RANK] = { 0 };
    KerbStatus status = window_check(c, &conv->window, x, w);
    if (status != KERB_OK) return status;
    if (conv->group < 1 || w->dims[0] % conv->group != 0)
        return kerb_infer_fail(c, "%lld output channels do not divide into %lld groups", (long long)w->dims[0], (long long)conv->group);
    if (x->dims[1] / conv->group != w->dims[1] || x->dims[1] % conv->group != 0)
        return kerb_infer_fail(c, "%lld groups of its weights take %lld channels, its input has %lld", (long long)conv->group,
                               (long long)w->dims[1], (long long)x->dims[1]);
    dims[0] = x->dims[0];
    dims[1] = w->dims[0];
    status = window_outputs(c, &conv->window, x, false, dims);
    conv->window.auto_pad = KERB_PAD_EXPLICIT;
    if (status == KERB_OK) status = check_channel_vector(c, bias, "bias", dims[1], false);
    if (status == KERB_OK && conv->act.kind == KERB_ACT_PRELU)
        status = check_channel_vector(c, kerb_graph_value(c->g, conv->act.slope), "slope", dims[1], true);
    return status == KERB_OK ? kerb_infer_set(c, 0, dtype, x->rank, dims) : status;
}

KerbStatus kerb_infer_conv(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *residual = kerb_infer_in(c, 3);
    KerbStatus status = conv_shape(c, x, kerb_infer_in(c, 1), kerb_infer_in(c, 2), x->dtype);
    if (status != KERB_OK || !residual) return status;
    const KerbValue *y = kerb_graph_value(c->g, c->n->outputs[0]);
    for (int i = 0; i < y->rank; i++)
        if (residual->rank != y->rank || residual->dims[i] != y->dims[i]) return kerb_infer_fail(c, "its residual has another shape than its output");
    return KERB_OK;
}

KerbStatus kerb_infer_qlinear_conv(KerbInfer *c)
{
    return conv_shape(c, kerb_infer_in(c, 0), kerb_infer_in(c, 3), kerb_infer_in(c, 8), kerb_infer_in(c, 7)->dtype);
}

/* Pads and output_padding of one axis so that the output has `want` elements. Where even no pad makes it that large, the rest is
 * output_padding (zeros at the end), as ONNX Runtime does. */
static void transpose_resolve(KerbConvAttrs *conv, int i, int64_t natural, int64_t want)
{
    KerbWindow *w = &conv->window;
    int64_t total = natural - want;
    if (total < 0) {
        conv->output_padding[i] -= total;
        total = 0;
    }
    w->pad_begin[i] = w->auto_pad == KERB_PAD_SAME_UPPER ? total / 2 : total - total / 2;
    w->pad_end[i] = total - w->pad_begin[i];
}

static KerbStatus transpose_axis(KerbInfer *c, KerbConvAttrs *conv, int i, int64_t in, int64_t *out)
{
    KerbWindow *w = &conv->window;
    if (!window_bounded(conv->output_padding[i], 0) || !window_bounded(conv->output_shape[i], 0))
        return kerb_infer_fail(c, "its output_padding is %lld, its output_shape %lld", (long long)conv->output_padding[i], (long long)conv->output_shape[i]);
    if (in < 1 || in >= WINDOW_LIMIT) return kerb_infer_fail(c, "spatial axis %d has %lld elements", i, (long long)in);
    int64_t natural = w->stride[i] * (in - 1) + conv->output_padding[i] + window_extent(w, i);
    if (conv->output_shape[i] > 0) transpose_resolve(conv, i, natural, conv->output_shape[i]);
    else if (w->auto_pad == KERB_PAD_SAME_UPPER || w->auto_pad == KERB_PAD_SAME_LOWER) transpose_resolve(conv, i, natural, in * w->stride[i]);
    else if (w->auto_pad == KERB_PAD_VALID) w->pad_begin[i] = w->pad_end[i] = 0;
    *out = w->stride[i] * (in - 1) + conv->output_padding[i] + window_extent(w, i) - w->pad_begin[i] - w->pad_end[i];
    if (*out < 1) return kerb_infer_fail(c, "its pads %lld and %lld leave nothing of its output", (long long)w->pad_begin[i], (long long)w->pad_end[i]);
    return KERB_OK;
}

KerbStatus kerb_infer_conv_transpose(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *w = kerb_infer_in(c, 1);
    KerbConvAttrs *conv = &c->n->attrs.conv;
    int64_t dims[KERB_MAX_RANK] = { 0 };
    KerbStatus status = window_check(c, &conv->window, x, w);
    if (status != KERB_OK) return status;
    if (conv->group < 1 || x->dims[1] != w->dims[0] || x->dims[1] % conv->group != 0)
        return kerb_infer_fail(c, "its weights take %lld channels in %lld groups, its input has %lld", (long long)w->dims[0],
                               (long long)conv->group, (long long)x->dims[1]);
    dims[0] = x->dims[0];
    if (conv->group > KERB_INFER_MAX_ELEMENTS || w->dims[1] * conv->group > KERB_INFER_MAX_ELEMENTS)
        return kerb_infer_fail(c, "%lld groups of %lld channels are too many", (long long)conv->group, (long long)w->dims[1]);
    dims[1] = w->dims[1] * conv->group;
    for (int i = 0; i < conv->window.n && status == KERB_OK; i++) status = transpose_axis(c, conv, i, x->dims[i + 2], &dims[i + 2]);
    if (status != KERB_OK) return status;
    conv->window.auto_pad = KERB_PAD_EXPLICIT;
    for (int i = 0; i < KERB_MAX_SPATIAL; i++) conv->output_shape[i] = 0;
    status = check_channel_vector(c, kerb_infer_in(c, 2), "bias", dims[1], false);
    if (status == KERB_OK && conv->act.kind == KERB_ACT_PRELU)
        status = check_channel_vector(c, kerb_graph_value(c->g, conv->act.slope), "slope", dims[1], true);
    return status == KERB_OK ? kerb_infer_set(c, 0, x->dtype, x->rank, dims) : status;
}

KerbStatus kerb_infer_pool(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    KerbPoolAttrs *pool = &c->n->attrs.pool;
    int64_t dims[KERB_MAX_RANK] = { 0 };
    KerbStatus status = window_check(c, &pool->window, x, NULL);
    if (status != KERB_OK) return status;
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    status = window_outputs(c, &pool->window, x, pool->ceil_mode, dims);
    if (status != KERB_OK) return status;
    if (pool->window.auto_pad != KERB_PAD_EXPLICIT) pool->ceil_mode = false; /* the pads found give the same size without */
    pool->window.auto_pad = KERB_PAD_EXPLICIT;
    status = kerb_infer_set(c, 0, x->dtype, x->rank, dims);
    return status == KERB_OK ? kerb_infer_set(c, 1, KERB_I64, x->rank, dims) : status;
}

KerbStatus kerb_infer_max_unpool(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *indices = kerb_infer_in(c, 1);
    KerbPoolAttrs *pool = &c->n->attrs.pool;
    int64_t dims[KERB_MAX_RANK] = { 0 };
    int n;
    KerbStatus status = window_check(c, &pool->window, x, NULL);
    if (status == KERB_OK) status = kerb_infer_integers(c, 2, "output shape", dims, KERB_MAX_RANK, &n);
    if (status != KERB_OK) return status;
    for (int i = 0; i < x->rank; i++)
        if (indices->rank != x->rank || indices->dims[i] != x->dims[i]) return kerb_infer_fail(c, "its indices have another shape than its input");
    if (n && (n != x->rank || dims[0] != x->dims[0] || dims[1] != x->dims[1]))
        return kerb_infer_fail(c, "its output shape has other axes, batch or channels than its input");
    for (int i = 0; i < pool->window.n && !n; i++) {
        const KerbWindow *w = &pool->window;
        if (x->dims[i + 2] >= WINDOW_LIMIT) return kerb_infer_fail(c, "spatial axis %d is too long", i);
        dims[i + 2] = (x->dims[i + 2] - 1) * w->stride[i] + w->kernel[i] - w->pad_begin[i] - w->pad_end[i];
    }
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}
