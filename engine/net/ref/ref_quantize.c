/* SPDX-License-Identifier: MIT */
/* QuantizeLinear, DequantizeLinear (per tensor, per axis, blocked), QLinearConv, QLinearMatMul. Divisions and products by scales are done
 * in float, as the operators' own type says, so that ties round as they do elsewhere; sums of integers are exact. */
#include "net/ref/ref_ops.h"

#include <math.h>

/* A scale or zero point as one element, one for each index of an axis, or one for each block along it. */
typedef struct Scaled {
    int axis;           /* -1: one for all */
    int64_t block_size; /* 1: per axis */
} Scaled;

static KerbStatus find_scaling(const KerbRefCall *c, const KerbTensor *x, const KerbTensor *scale, Scaled *out)
{
    int64_t n = kerb_tensor_elements(scale), block = c->n->attrs.quantize.block_size;
    *out = (Scaled){ .axis = -1, .block_size = 1 };
    if (scale->rank == 0 || (n == 1 && block == 0)) return KERB_OK;
    if (!kerb_ref_axis(c, c->n->attrs.quantize.axis, x->rank, &out->axis)) return KERB_ERROR_ASSET;
    if (block > 0) {
        out->block_size = block;
        bool fits = scale->rank == x->rank;
        for (int i = 0; i < x->rank && fits; i++)
            fits = scale->dims[i] == (i == out->axis ? (x->dims[i] + block - 1) / block : x->dims[i]);
        return fits ? KERB_OK
                    : kerb_ref_fail(c, KERB_ERROR_ASSET, "scales do not fit blocks of %lld along axis %d", (long long)block, out->axis);
    }
    if (scale->rank != 1 || n != x->dims[out->axis])
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "%lld scales for an axis of %lld", (long long)n, (long long)x->dims[out->axis]);
    return KERB_OK;
}

/* The scales for index i of the axis, as a view that broadcasts to x without that axis. */
static KerbTensor scale_view(const KerbTensor *scale, const Scaled *s, int64_t i)
{
    KerbTensor along, rest;
    if (s->axis < 0) {
        rest = *scale;
        rest.rank = 0;
        return rest;
    }
    kerb_ref_split_axes(scale, scale->rank == 1 ? 1u : 1u << s->axis, &along, &rest);
    return kerb_ref_shift(&rest, i / s->block_size * along.strides[0]);
}

static void type_range(KerbDtype dtype, double *lo, double *hi)
{
    int bits = (int)kerb_dtype_bytes(dtype) * 8;
    bool is_signed = dtype == KERB_I8 || dtype == KERB_I16 || dtype == KERB_I32;
    *lo = is_signed ? -ldexp(1, bits - 1) : 0;
    *hi = ldexp(1, is_signed ? bits - 1 : bits) - 1;
}

/* Rounds half to even, adds the zero point, saturates. NaN becomes the zero point. */
static double quantized(float v, double zero, double lo, double hi)
{
    double r = isnan(v) ? zero : (double)rintf(v) + zero;
    return r < lo ? lo : r > hi ? hi : r;
}

static void convert(const KerbTensor *y, const KerbTensor *x, const KerbTensor *scale, const KerbTensor *zero, bool to_integers)
{
    double lo, hi, no_zero = 0;
    type_range(y->dtype, &lo, &hi);
    KerbTensor none = { .data = &no_zero, .dtype = KERB_F64 };
    if (!zero) zero = &none;
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 4, (const KerbTensor *const[]){ y, x, scale, zero }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            double v[KERB_REF_BLOCK], s[KERB_REF_BLOCK], z[KERB_REF_BLOCK];
            kerb_ref_read(x, w.offset[1] + i * w.step[1], w.step[1], n, v);
            kerb_ref_read(scale, w.offset[2] + i * w.step[2], w.step[2], n, s);
            kerb_ref_read(zero, w.offset[3] + i * w.step[3], w.step[3], n, z);
            for (int k = 0; k < n; k++) v[k] = to_integers ? quantized((float)v[k] / (float)s[k], z[k], lo, hi) : (v[k] - z[k]) * s[k];
            kerb_ref_write(y, w.offset[0] + i * w.step[0], w.step[0], n, v);
        }
    }
}

static KerbStatus convert_all(const KerbRefCall *c, bool to_integers)
{
    const KerbTensor *x = &c->in[0], *scale = &c->in[1], *zero = kerb_ref_input(c, 2), *y = &c->out[0];
    Scaled s;
    KerbStatus status = find_scaling(c, x, scale, &s);
    if (status != KERB_OK) return status;
    if (zero && !kerb_tensor_same_shape(zero, scale) && (s.axis >= 0 || kerb_tensor_elements(zero) != 1))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the zero point has another shape than the scale");
    if (s.axis < 0) {
        KerbTensor one = scale_view(scale, &s, 0), one_zero = zero ? scale_view(zero, &s, 0) : (KerbTensor){ 0 };
        convert(y, x, &one, zero ? &one_zero : NULL, to_integers);
        return KERB_OK;
    }
    KerbTensor along, from, to;
    for (int64_t i = 0; i < x->dims[s.axis]; i++) {
        kerb_ref_split_axes(x, 1u << s.axis, &along, &from);
        from = kerb_ref_shift(&from, i * along.strides[0]);
        kerb_ref_split_axes(y, 1u << s.axis, &along, &to);
        to = kerb_ref_shift(&to, i * along.strides[0]);
        KerbTensor view = scale_view(scale, &s, i), zero_view = zero ? scale_view(zero, &s, i) : (KerbTensor){ 0 };
        convert(&to, &from, &view, zero ? &zero_view : NULL, to_integers);
    }
    return KERB_OK;
}

KerbStatus kerb_ref_quantize(const KerbRefCall *c) { return convert_all(c, true); }
KerbStatus kerb_ref_dequantize(const KerbRefCall *c) { return convert_all(c, false); }

/* ---- operators on quantised tensors */

/* Element i of a scale or zero point that has one element or one for each of n. */
static double per_channel(const KerbTensor *t, int64_t i) { return kerb_ref_load(t, t->rank && t->dims[0] > 1 ? i * t->strides[0] : 0); }

static bool check_per_channel(const KerbRefCall *c, int input, int64_t n)
{
    const KerbTensor *t = &c->in[input];
    int64_t elements = kerb_tensor_elements(t);
    if (t->rank <= 1 && (elements == 1 || elements == n)) return true;
    kerb_ref_fail(c, KERB_ERROR_ASSET, "input %d does not have one element, or one for each of %lld channels", input, (long long)n);
    return false;
}

KerbStatus kerb_ref_qlinear_conv(const KerbRefCall *c)
{
    const KerbTensor *in = c->in, *bias = kerb_ref_input(c, 8), *y = &c->out[0];
    KerbRefConv conv = { .x_zero = kerb_ref_load(&in[2], 0) };
    if (!kerb_ref_conv_init(c, &conv, &in[0], &in[3], y)) return KERB_ERROR_ASSET;
    if (!check_per_channel(c, 4, y->dims[1]) || !check_per_channel(c, 5, y->dims[1])) return KERB_ERROR_ASSET;
    if (bias && (bias->rank != 1 || bias->dims[0] != y->dims[1]))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the bias does not have %lld elements", (long long)y->dims[1]);
    KerbTensor to = kerb_ref_5d(y);
    double lo, hi, zero = kerb_ref_load(&in[7], 0);
    type_range(y->dtype, &lo, &hi);
    int64_t rows = to.dims[0] * to.dims[1] * to.dims[2] * to.dims[3];
    for (int64_t r = 0; r < rows && to.dims[4]; r++) {
        int64_t row = r % to.dims[3], z = r / to.dims[3] % to.dims[2], oc = r / (to.dims[3] * to.dims[2]) % to.dims[1],
                batch = r / (to.dims[3] * to.dims[2] * to.dims[1]);
        float scale = (float)kerb_ref_load(&in[1], 0) * (float)per_channel(&in[4], oc) / (float)kerb_ref_load(&in[6], 0);
        for (int64_t column = 0; column < to.dims[4]; column += KERB_REF_BLOCK) {
            int n = (int)(to.dims[4] - column < KERB_REF_BLOCK ? to.dims[4] - column : KERB_REF_BLOCK);
            double sums[KERB_REF_BLOCK];
            for (int i = 0; i < n; i++) sums[i] = bias ? kerb_ref_load(bias, oc * bias->strides[0]) : 0;
            kerb_ref_conv_row(&conv, batch, oc, (const int64_t[3]){ z, row, column }, n, per_channel(&in[5], oc), sums);
            for (int i = 0; i < n; i++) sums[i] = quantized((float)sums[i] * scale, zero, lo, hi);
            kerb_ref_write(&to,
                           batch * to.strides[0] + oc * to.strides[1] + z * to.strides[2] + row * to.strides[3] + column * to.strides[4],
                           to.strides[4], n, sums);
        }
    }
    return KERB_OK;
}

/* A scale or zero point of a (per row) or b (per column) as a view that broadcasts to y. A vector is per row for a, where it needs an
 * axis after it, and per column for b. */
static bool matrix_scale(const KerbRefCall *c, int input, bool per_row, KerbTensor *view)
{
    const KerbTensor *y = &c->out[0];
    *view = c->in[input];
    if (kerb_tensor_elements(view) == 1) {
        view->rank = 0;
        return true;
    }
    if (per_row && view->rank == 1) {
        view->rank = 2;
        view->dims[1] = 1;
    }
    bool fits = view->rank <= y->rank;
    for (int i = 0; i < view->rank && fits; i++) fits = view->dims[i] == 1 || view->dims[i] == y->dims[y->rank - view->rank + i];
    if (!fits) kerb_ref_fail(c, KERB_ERROR_ASSET, "input %d does not fit the %s of the result", input, per_row ? "rows" : "columns");
    return fits;
}

KerbStatus kerb_ref_qlinear_matmul(const KerbRefCall *c)
{
    const KerbTensor *a = &c->in[0], *b = &c->in[3], *y = &c->out[0];
    int rank = y->rank;
    if (a->rank < 2 || b->rank < 2 || rank < 2 || rank != (a->rank > b->rank ? a->rank : b->rank) ||
        a->dims[a->rank - 1] != b->dims[b->rank - 2])
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the shapes do not fit");
    KerbTensor a_scale, a_zero, b_scale, b_zero;
    if (!matrix_scale(c, 1, true, &a_scale) || !matrix_scale(c, 2, true, &a_zero) || !matrix_scale(c, 4, false, &b_scale) ||
        !matrix_scale(c, 5, false, &b_zero))
        return KERB_ERROR_ASSET;
    /* Every element of y by itself: the walk stands still along the depth, which is the inner loop's. */
    KerbTensor a_rows = *a, b_columns = *b;
    a_rows.dims[a->rank - 1] = b_columns.dims[b->rank - 2] = 1;
    int64_t depth = a->dims[a->rank - 1], a_step = a->strides[a->rank - 1], b_step = b->strides[b->rank - 2];
    float y_scale = (float)kerb_ref_load(&c->in[6], 0);
    double lo, hi, zero = kerb_ref_load(&c->in[7], 0);
    type_range(y->dtype, &lo, &hi);
    const KerbTensor *const walked[] = { y, &a_rows, &b_columns, &a_scale, &a_zero, &b_scale, &b_zero };
    KerbRefWalk w;
    for (kerb_ref_walk(&w, rank, y->dims, 7, walked); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            int64_t at[7], sum = 0;
            for (int k = 0; k < 7; k++) at[k] = w.offset[k] + i * w.step[k];
            int64_t za = kerb_ref_load_i64(&a_zero, at[4]), zb = kerb_ref_load_i64(&b_zero, at[6]);
            for (int64_t k = 0; k < depth; k++)
                sum += (kerb_ref_load_i64(a, at[1] + k * a_step) - za) * (kerb_ref_load_i64(b, at[2] + k * b_step) - zb);
            float scale = (float)kerb_ref_load(&a_scale, at[3]) * (float)kerb_ref_load(&b_scale, at[5]) / y_scale;
            kerb_ref_store(y, at[0], quantized((float)sum * scale, zero, lo, hi));
        }
    }
    return KERB_OK;
}
