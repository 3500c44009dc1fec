/* SPDX-License-Identifier: MIT */
/* Convolutions over one, two or three spatial axes, any strides. A row of output pixels is summed at a time, in double; the inner
 * loop runs along the row, so that the common case (f32, unit stride) is one plain loop that the compiler vectorises. */
#include "net/ref/ref_ops.h"

KerbTensor kerb_ref_5d(const KerbTensor *t)
{
    KerbTensor five = *t;
    int missing = 5 - t->rank;
    five.rank = 5;
    for (int i = 4; i >= 2; i--) {
        bool own = i - missing >= 2;
        five.dims[i] = own ? t->dims[i - missing] : 1;
        five.strides[i] = own ? t->strides[i - missing] : 0;
    }
    return five;
}

bool kerb_ref_window(const KerbRefCall *c, const KerbWindow *window, int spatial, const KerbTensor *weights, KerbRefWindow *out)
{
    int n = window->n ? window->n : weights ? spatial : 0;
    if (spatial < 1 || spatial > KERB_MAX_SPATIAL || n != spatial) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "a window of %d axes over %d spatial ones (1 to %d can be)", n, spatial, KERB_MAX_SPATIAL);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        int own = i - (3 - spatial);
        bool given = own >= 0 && window->n;
        int64_t kernel = given ? window->kernel[own] : 0;
        out->kernel[i] = own < 0 ? 1 : weights ? weights->dims[2 + own] : kernel;
        out->stride[i] = given && window->stride[own] ? window->stride[own] : 1;
        out->dilation[i] = given && window->dilation[own] ? window->dilation[own] : 1;
        out->pad_begin[i] = given ? window->pad_begin[own] : 0;
        out->pad_end[i] = given ? window->pad_end[own] : 0;
        if (out->kernel[i] < 0 || out->stride[i] < 1 || out->dilation[i] < 1 || (kernel && kernel != out->kernel[i])) {
            kerb_ref_fail(c, KERB_ERROR_ASSET, "kernel %lld (weights %lld), stride %lld, dilation %lld", (long long)kernel,
                          (long long)out->kernel[i], (long long)out->stride[i], (long long)out->dilation[i]);
            return false;
        }
    }
    return true;
}

bool kerb_ref_conv_init(const KerbRefCall *c, KerbRefConv *conv, const KerbTensor *x, const KerbTensor *w, const KerbTensor *y)
{
    const KerbConvAttrs *attrs = &c->n->attrs.conv;
    conv->group = attrs->group ? attrs->group : 1;
    if (w->rank != x->rank || y->rank != x->rank || x->rank < 3 || x->rank > 5) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "%d axes, weights %d: 3 to 5 can be, and as many", x->rank, w->rank);
        return false;
    }
    if (conv->group < 1 || w->dims[1] * conv->group != x->dims[1] || y->dims[1] != w->dims[0] || w->dims[0] % conv->group) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "%lld channels, %lld groups, weights %lldx%lld", (long long)x->dims[1], (long long)conv->group,
                      (long long)w->dims[0], (long long)w->dims[1]);
        return false;
    }
    conv->x = kerb_ref_5d(x);
    conv->w = kerb_ref_5d(w);
    return kerb_ref_window(c, &attrs->window, x->rank - 2, w, &conv->window);
}

/* sums[i] += weight * (x[offset + i * step] - zero); for f32, which is never quantised, zero is 0. */
static void add_scaled(const KerbTensor *x, int64_t offset, int64_t step, int n, double weight, double zero, double sums[])
{
    if (x->dtype == KERB_F32 && (uintptr_t)x->data % sizeof(float) == 0) {
        const float *v = (const float *)x->data + offset;
        if (step == 1) {
            for (int i = 0; i < n; i++) sums[i] += weight * (double)v[i];
        } else {
            for (int i = 0; i < n; i++) sums[i] += weight * (double)v[i * step];
        }
        return;
    }
    double v[KERB_REF_BLOCK];
    kerb_ref_read(x, offset, step, n, v);
    for (int i = 0; i < n; i++) sums[i] += weight * (v[i] - zero);
}

static int64_t divide_up(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; } /* at least 0 */

/* One row of the kernel over one row of the input. x_at, w_at: offsets of those rows. */
static void conv_kernel_row(const KerbRefConv *conv, int64_t x_at, int64_t w_at, int64_t column, int n, double w_zero, double sums[])
{
    const KerbRefWindow *k = &conv->window;
    int64_t width = conv->x.dims[4], step = k->stride[2];
    for (int64_t kx = 0; kx < k->kernel[2]; kx++) {
        int64_t left = column * step + kx * k->dilation[2] - k->pad_begin[2]; /* input column of sums[0] */
        int64_t first = divide_up(-left, step), end = divide_up(width - left, step);
        if (end > n) end = n;
        if (first >= end) continue;
        double weight = kerb_ref_load(&conv->w, w_at + kx * conv->w.strides[4]) - w_zero;
        add_scaled(&conv->x, x_at + (left + first * step) * conv->x.strides[4], step * conv->x.strides[4], (int)(end - first), weight,
                   conv->x_zero, sums + first);
    }
}

void kerb_ref_conv_row(const KerbRefConv *conv, int64_t batch, int64_t oc, const int64_t at[3], int n, double w_zero, double sums[])
{
    const KerbRefWindow *k = &conv->window;
    const int64_t *xs = conv->x.strides, *ws = conv->w.strides, *dims = conv->x.dims;
    int64_t channels = conv->w.dims[1], first = oc / (conv->w.dims[0] / conv->group) * channels;
    for (int64_t ic = 0; ic < channels; ic++) {
        for (int64_t kz = 0; kz < k->kernel[0]; kz++) {
            int64_t z = at[0] * k->stride[0] + kz * k->dilation[0] - k->pad_begin[0];
            if (z < 0 || z >= dims[2]) continue;
            for (int64_t ky = 0; ky < k->kernel[1]; ky++) {
                int64_t y = at[1] * k->stride[1] + ky * k->dilation[1] - k->pad_begin[1];
                if (y < 0 || y >= dims[3]) continue;
                conv_kernel_row(conv, batch * xs[0] + (first + ic) * xs[1] + z * xs[2] + y * xs[3],
                                oc * ws[0] + ic * ws[1] + kz * ws[2] + ky * ws[3], at[2], n, w_zero, sums);
            }
        }
    }
}

/* ---- ConvTranspose: every output pixel gathers the input pixels that spread to it. w is (IC, OC/group, kd, kh, kw). */

/* The input coordinate that spreads to `out` through kernel element k, or -1. */
static int64_t transposed_source(const KerbRefWindow *w, int axis, int64_t out, int64_t k, int64_t dim)
{
    int64_t t = out + w->pad_begin[axis] - k * w->dilation[axis];
    return t < 0 || t % w->stride[axis] || t / w->stride[axis] >= dim ? -1 : t / w->stride[axis];
}

static void transposed_kernel_row(const KerbRefConv *conv, int64_t x_at, int64_t w_at, int64_t column, int n, double sums[])
{
    const KerbRefWindow *k = &conv->window;
    for (int64_t kx = 0; kx < k->kernel[2]; kx++) {
        double weight = kerb_ref_load(&conv->w, w_at + kx * conv->w.strides[4]);
        int64_t shift = kx * k->dilation[2] - k->pad_begin[2] - column; /* sums index = input column * stride + shift */
        int64_t first = divide_up(-shift, k->stride[2]), end = divide_up(n - shift, k->stride[2]);
        if (end > conv->x.dims[4]) end = conv->x.dims[4];
        for (int64_t i = first; i < end; i += KERB_REF_BLOCK) {
            double v[KERB_REF_BLOCK];
            int block = (int)(end - i < KERB_REF_BLOCK ? end - i : KERB_REF_BLOCK);
            kerb_ref_read(&conv->x, x_at + i * conv->x.strides[4], conv->x.strides[4], block, v);
            for (int j = 0; j < block; j++) sums[(i + j) * k->stride[2] + shift] += weight * v[j];
        }
    }
}

static void transposed_row(const KerbRefConv *conv, int64_t batch, int64_t oc, const int64_t at[3], int n, double sums[])
{
    const KerbRefWindow *k = &conv->window;
    const int64_t *xs = conv->x.strides, *ws = conv->w.strides, *dims = conv->x.dims;
    int64_t channels = dims[1] / conv->group, outputs = conv->w.dims[1], group = oc / outputs;
    for (int64_t ic = group * channels; ic < (group + 1) * channels; ic++) {
        for (int64_t kz = 0; kz < k->kernel[0]; kz++) {
            int64_t z = transposed_source(k, 0, at[0], kz, dims[2]);
            if (z < 0) continue;
            for (int64_t ky = 0; ky < k->kernel[1]; ky++) {
                int64_t y = transposed_source(k, 1, at[1], ky, dims[3]);
                if (y < 0) continue;
                transposed_kernel_row(conv, batch * xs[0] + ic * xs[1] + z * xs[2] + y * xs[3],
                                      ic * ws[0] + oc % outputs * ws[1] + kz * ws[2] + ky * ws[3], at[2], n, sums);
            }
        }
    }
}

static bool transposed_init(const KerbRefCall *c, KerbRefConv *conv)
{
    const KerbTensor *x = &c->in[0], *w = &c->in[1], *y = &c->out[0];
    conv->group = c->n->attrs.conv.group ? c->n->attrs.conv.group : 1;
    if (w->rank != x->rank || y->rank != x->rank || x->rank > 5 || conv->group < 1 || x->dims[1] % conv->group ||
        w->dims[0] != x->dims[1] || y->dims[1] != w->dims[1] * conv->group) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "weights do not fit %lld channels in %lld groups", (long long)x->dims[1],
                      (long long)conv->group);
        return false;
    }
    conv->x = kerb_ref_5d(x);
    conv->w = kerb_ref_5d(w);
    return kerb_ref_window(c, &c->n->attrs.conv.window, x->rank - 2, w, &conv->window);
}

/* ---- what both share: bias, residual, activation, rows */

typedef struct Finish {
    const KerbTensor *bias; /* NULL: none */
    KerbTensor y, residual; /* five axes; residual.dtype NONE: none */
    KerbTensor slope;
    const KerbActivation *act;
} Finish;

static void finish_row(const Finish *f, int64_t to, int64_t residual_at, int64_t oc, int n, double sums[])
{
    if (f->residual.dtype != KERB_DTYPE_NONE) {
        double v[KERB_REF_BLOCK];
        kerb_ref_read(&f->residual, residual_at, f->residual.strides[4], n, v);
        for (int i = 0; i < n; i++) sums[i] += v[i];
    }
    double slope[KERB_REF_BLOCK];
    if (f->act->kind == KERB_ACT_PRELU) kerb_ref_read(&f->slope, f->slope.dims[1] > 1 ? oc * f->slope.strides[1] : 0, 0, n, slope);
    kerb_ref_activate(f->act, slope, n, sums);
    kerb_ref_write(&f->y, to, f->y.strides[4], n, sums);
}

static void conv_channel(const KerbRefConv *conv, const Finish *f, bool transposed, int64_t batch, int64_t oc)
{
    const int64_t *dims = f->y.dims, *ys = f->y.strides, *rs = f->residual.strides;
    double bias = f->bias ? kerb_ref_load(f->bias, oc * f->bias->strides[0]) : 0;
    for (int64_t z = 0; z < dims[2]; z++) {
        for (int64_t row = 0; row < dims[3]; row++) {
            for (int64_t column = 0; column < dims[4]; column += KERB_REF_BLOCK) {
                int n = (int)(dims[4] - column < KERB_REF_BLOCK ? dims[4] - column : KERB_REF_BLOCK);
                const int64_t at[3] = { z, row, column };
                double sums[KERB_REF_BLOCK];
                for (int i = 0; i < n; i++) sums[i] = bias;
                if (transposed) transposed_row(conv, batch, oc, at, n, sums);
                else kerb_ref_conv_row(conv, batch, oc, at, n, 0, sums);
                finish_row(f, batch * ys[0] + oc * ys[1] + z * ys[2] + row * ys[3] + column * ys[4],
                           batch * rs[0] + oc * rs[1] + z * rs[2] + row * rs[3] + column * rs[4], oc, n, sums);
            }
        }
    }
}

static KerbStatus convolve(const KerbRefCall *c, bool transposed)
{
    const KerbTensor *y = &c->out[0], *residual = kerb_ref_input(c, 3);
    KerbRefConv conv = { 0 };
    if (!(transposed ? transposed_init(c, &conv) : kerb_ref_conv_init(c, &conv, &c->in[0], &c->in[1], y))) return KERB_ERROR_ASSET;
    Finish f = { .bias = kerb_ref_input(c, 2), .y = kerb_ref_5d(y), .act = &c->n->attrs.conv.act };
    if (f.bias && (f.bias->rank != 1 || f.bias->dims[0] != y->dims[1]))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the bias does not have %lld elements", (long long)y->dims[1]);
    if (residual) {
        if (!kerb_tensor_same_shape(residual, y))
            return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the residual has another shape than the output");
        f.residual = kerb_ref_5d(residual);
    }
    f.slope = kerb_ref_slope(c->g, f.act, y);
    if (f.act->kind == KERB_ACT_PRELU && !f.slope.data) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the fused PRelu has no slope");
    for (int64_t batch = 0; batch < y->dims[0]; batch++)
        for (int64_t oc = 0; oc < y->dims[1]; oc++) conv_channel(&conv, &f, transposed, batch, oc);
    return KERB_OK;
}

KerbStatus kerb_ref_conv(const KerbRefCall *c) { return convolve(c, false); }
KerbStatus kerb_ref_conv_transpose(const KerbRefCall *c) { return convolve(c, true); }
