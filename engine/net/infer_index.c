/* SPDX-License-Identifier: MIT */
/* Shape rules of operators that choose, repeat and join elements. */
#include <math.h>

#include "net/infer.h"

KerbStatus kerb_infer_concat(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t dims[KERB_MAX_RANK], sum = 0;
    int axis;
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    for (int i = 0; i < c->n->n_inputs; i++) {
        const KerbValue *v = kerb_infer_in(c, i);
        if (!v) continue;
        if (v->dtype != x->dtype)
            return kerb_infer_fail(c, "it joins %s and %s", kerb_dtype_name(x->dtype), kerb_dtype_name(v->dtype));
        for (int k = 0; k < x->rank; k++)
            if (v->rank != x->rank || (k != axis && v->dims[k] != x->dims[k])) return kerb_infer_fail(c, "its inputs differ beside axis %d", axis);
        sum += v->dims[axis]; /* each is at most 2^31, and a file cannot hold enough inputs to overflow */
    }
    for (int k = 0; k < x->rank; k++) dims[k] = k == axis ? sum : x->dims[k];
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}

KerbStatus kerb_infer_split(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *sizes = kerb_infer_in(c, 1);
    int64_t dims[KERB_MAX_RANK], left, n = c->n->n_outputs;
    int axis;
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.split.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    if (sizes && (!kerb_value_is_constant(sizes) || kerb_dtype_is_float(sizes->dtype)))
        return kerb_infer_unsupported(c, "its sizes ('%s') are computed from the picture; export the model with fixed shapes", sizes->name);
    if (sizes && (sizes->rank != 1 || sizes->dims[0] != n)) return kerb_infer_fail(c, "it has %lld outputs, but other sizes", (long long)n);
    left = x->dims[axis];
    for (int k = 0; k < x->rank; k++) dims[k] = x->dims[k];
    for (int i = 0; i < n && status == KERB_OK; i++) {
        int64_t even = (x->dims[axis] + n - 1) / n; /* equal parts; the last is smaller where they do not divide */
        dims[axis] = i + 1 < n || even * n == x->dims[axis] ? even : left;
        if (sizes) {
            KerbTensor t = kerb_value_tensor(sizes);
            dims[axis] = kerb_tensor_get_i64(&t, i);
        }
        if (dims[axis] < 0 || dims[axis] > left || (i + 1 == n && dims[axis] != left))
            return kerb_infer_fail(c, "axis %d of %lld elements does not split into %lld such parts", axis, (long long)x->dims[axis], (long long)n);
        left -= dims[axis];
        status = kerb_infer_set(c, i, x->dtype, x->rank, dims);
    }
    return status;
}

/* Number of elements that start:end:step takes of `dim`, with ONNX's clamping (INT64_MAX and INT64_MIN mean "to the end"). */
static int64_t slice_length(int64_t start, int64_t end, int64_t step, int64_t dim)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    if (dim == 0) return 0;
    if (start < 0) start += dim;
    if (end < 0) end += dim;
    start = start < low + (step < 0) ? low + (step < 0) : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    if (step > 0) return end > start ? (end - start - 1) / step + 1 : 0;
    if (step == INT64_MIN) return start > end;
    return start > end ? (start - end - 1) / -step + 1 : 0;
}

KerbStatus kerb_infer_slice(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t starts[KERB_MAX_RANK], ends[KERB_MAX_RANK], axes[KERB_MAX_RANK], steps[KERB_MAX_RANK], dims[KERB_MAX_RANK];
    int n, n_ends, n_axes, n_steps, axis = 0;
    unsigned seen = 0;
    KerbStatus status = kerb_infer_integers(c, 1, "starts", starts, KERB_MAX_RANK, &n);
    if (status == KERB_OK) status = kerb_infer_integers(c, 2, "ends", ends, KERB_MAX_RANK, &n_ends);
    if (status == KERB_OK) status = kerb_infer_integers(c, 3, "axes", axes, KERB_MAX_RANK, &n_axes);
    if (status == KERB_OK) status = kerb_infer_integers(c, 4, "steps", steps, KERB_MAX_RANK, &n_steps);
    if (status != KERB_OK) return status;
    if (n_ends != n || (kerb_infer_in(c, 3) && n_axes != n) || (kerb_infer_in(c, 4) && n_steps != n))
        return kerb_infer_fail(c, "it has %d starts, %d ends, %d axes and %d steps", n, n_ends, n_axes, n_steps);
    for (int i = 0; i < x->rank; i++) dims[i] = x->dims[i];
    for (int i = 0; i < n; i++) {
        status = kerb_infer_axis(c, n_axes ? axes[i] : i, x->rank, &axis);
        if (status != KERB_OK) return status;
        if (seen & 1u << axis) return kerb_infer_fail(c, "axis %d is named twice", axis);
        seen |= 1u << axis;
        if (n_steps && steps[i] == 0) return kerb_infer_fail(c, "the step of axis %d is 0", axis);
        dims[axis] = slice_length(starts[i], ends[i], n_steps ? steps[i] : 1, x->dims[axis]);
    }
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}

KerbStatus kerb_infer_pad(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *value = kerb_infer_in(c, 2);
    int64_t pads[2 * KERB_MAX_RANK], axes[KERB_MAX_RANK], dims[KERB_MAX_RANK];
    int n, n_axes, axis = 0;
    unsigned mask;
    bool any;
    KerbStatus status = kerb_infer_integers(c, 1, "pads", pads, 2 * KERB_MAX_RANK, &n);
    if (status == KERB_OK) status = kerb_infer_axes(c, 3, x->rank, &mask, &any);
    if (status == KERB_OK) status = kerb_infer_integers(c, 3, "axes", axes, KERB_MAX_RANK, &n_axes);
    if (status != KERB_OK) return status;
    if (n != 2 * (kerb_infer_in(c, 3) ? n_axes : x->rank))
        return kerb_infer_fail(c, "it has %d pads for %d axes; each needs two", n, kerb_infer_in(c, 3) ? n_axes : x->rank);
    if (value && value->dtype != x->dtype)
        return kerb_infer_fail(c, "it pads %s with %s", kerb_dtype_name(x->dtype), kerb_dtype_name(value->dtype));
    for (int i = 0; i < x->rank; i++) dims[i] = x->dims[i];
    for (int i = 0; i < n / 2; i++) {
        int64_t begin = pads[i], end = pads[n / 2 + i];
        status = kerb_infer_axis(c, n_axes ? axes[i] : i, x->rank, &axis);
        if (status != KERB_OK) return status;
        if (begin > KERB_INFER_MAX_ELEMENTS || begin < -KERB_INFER_MAX_ELEMENTS || end > KERB_INFER_MAX_ELEMENTS || end < -KERB_INFER_MAX_ELEMENTS)
            return kerb_infer_fail(c, "pads %lld and %lld are too large", (long long)begin, (long long)end);
        if (c->n->attrs.pad.mode != KERB_PADDING_CONSTANT && (begin > 0 || end > 0) && dims[axis] == 0)
            return kerb_infer_fail(c, "axis %d is empty: there is nothing to pad with", axis);
        dims[axis] += begin + end;
    }
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}

KerbStatus kerb_infer_gather(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *indices = kerb_infer_in(c, 1);
    int64_t dims[2 * KERB_MAX_RANK];
    int axis, rank = 0;
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    if (kerb_value_is_constant(indices) && x->dims[axis] >= 0) { /* rather than in the first frame */
        const KerbTensor t = kerb_value_tensor(indices);
        for (int64_t i = 0, n = kerb_tensor_elements(&t); i < n; i++) {
            const int64_t index = kerb_tensor_get_i64(&t, i);
            if (index < -x->dims[axis] || index >= x->dims[axis])
                return kerb_infer_fail(c, "index %lld is outside axis %d, which has %lld elements", (long long)index, axis, (long long)x->dims[axis]);
        }
    }
    for (int i = 0; i < axis; i++) dims[rank++] = x->dims[i];
    for (int i = 0; i < indices->rank; i++) dims[rank++] = indices->dims[i];
    for (int i = axis + 1; i < x->rank; i++) dims[rank++] = x->dims[i];
    return kerb_infer_set(c, 0, x->dtype, rank, dims);
}

KerbStatus kerb_infer_gather_elements(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *indices = kerb_infer_in(c, 1);
    int axis;
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    for (int i = 0; i < x->rank; i++)
        if (indices->rank != x->rank || (i != axis && indices->dims[i] > x->dims[i])) return kerb_infer_fail(c, "its indices do not fit its input");
    return kerb_infer_same(c, x->dtype, indices);
}

KerbStatus kerb_infer_constant_of_shape(KerbInfer *c)
{
    int64_t dims[KERB_MAX_RANK];
    int n;
    KerbStatus status = kerb_infer_integers(c, 0, "dims", dims, KERB_MAX_RANK, &n);
    return status == KERB_OK ? kerb_infer_set(c, 0, c->n->attrs.fill.dtype ? c->n->attrs.fill.dtype : KERB_F32, n, dims) : status;
}

KerbStatus kerb_infer_expand(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t shape[KERB_MAX_RANK], dims[KERB_MAX_RANK];
    int n, rank = x->rank;
    KerbStatus status = kerb_infer_integers(c, 1, "dims", shape, KERB_MAX_RANK, &n);
    for (int i = 0; i < rank; i++) dims[i] = x->dims[i];
    if (status == KERB_OK) status = kerb_infer_broadcast(c, &rank, dims, n, shape);
    return status == KERB_OK ? kerb_infer_set(c, 0, x->dtype, rank, dims) : status;
}

KerbStatus kerb_infer_tile(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t repeats[KERB_MAX_RANK], dims[KERB_MAX_RANK];
    int n;
    KerbStatus status = kerb_infer_integers(c, 1, "repeats", repeats, KERB_MAX_RANK, &n);
    if (status != KERB_OK) return status;
    if (n != x->rank) return kerb_infer_fail(c, "it has %d repeats for %d axes", n, x->rank);
    for (int i = 0; i < n; i++) {
        if (repeats[i] < 0 || repeats[i] > KERB_INFER_MAX_ELEMENTS) return kerb_infer_fail(c, "it repeats axis %d %lld times", i, (long long)repeats[i]);
        dims[i] = x->dims[i] * repeats[i];
    }
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}

KerbStatus kerb_infer_range(KerbInfer *c)
{
    static const char *const names[] = { "start", "limit", "delta" };
    double v[3], count;
    const KerbValue *in[3];
    for (int i = 0; i < 3; i++) {
        in[i] = kerb_infer_in(c, i);
        if (!kerb_value_is_constant(in[i]))
            return kerb_infer_unsupported(c, "its %s ('%s') is computed from the picture; export the model with fixed shapes", names[i], in[i]->name);
        KerbTensor t = kerb_value_tensor(in[i]);
        if (kerb_tensor_elements(&t) != 1) return kerb_infer_fail(c, "its %s is not one number", names[i]);
        v[i] = kerb_tensor_get(&t, 0);
    }
    count = ceil((v[1] - v[0]) / v[2]);
    if (v[2] == 0 || !(count <= (double)KERB_INFER_MAX_ELEMENTS))
        return kerb_infer_fail(c, "from %g to %g in steps of %g are too many numbers", v[0], v[1], v[2]);
    return kerb_infer_set(c, 0, in[0]->dtype, 1, (const int64_t[]){ count > 0 ? (int64_t)count : 0 });
}
