/* SPDX-License-Identifier: MIT */
/* Operators that take parts of tensors or put parts together: Concat, Split, Slice, Gather, GatherElements, Tile, Pad. */
#include "net/ref/ref_ops.h"

/* The part of `t` with dims[axis] = n from `start` on, `step` apart. */
static KerbTensor part(const KerbTensor *t, int axis, int64_t start, int64_t step, int64_t n)
{
    KerbTensor view = n > 0 ? kerb_ref_shift(t, start * t->strides[axis]) : *t;
    view.dims[axis] = n;
    view.strides[axis] *= step;
    return view;
}

KerbStatus kerb_ref_concat(const KerbRefCall *c)
{
    const KerbTensor *y = &c->out[0];
    int axis;
    if (!kerb_ref_axis(c, c->n->attrs.axis, y->rank, &axis)) return KERB_ERROR_ASSET;
    int64_t start = 0;
    for (int i = 0; i < c->n_in; i++) {
        const KerbTensor *x = kerb_ref_input(c, i);
        if (!x) continue;
        if (x->rank != y->rank || x->dims[axis] > y->dims[axis] - start)
            return kerb_ref_fail(c, KERB_ERROR_ASSET, "input %d does not fit", i);
        KerbTensor view = part(y, axis, start, 1, x->dims[axis]);
        kerb_ref_copy(&view, x);
        start += x->dims[axis];
    }
    return KERB_OK;
}

KerbStatus kerb_ref_split(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0];
    int axis;
    if (!kerb_ref_axis(c, c->n->attrs.split.axis, x->rank, &axis)) return KERB_ERROR_ASSET;
    int64_t start = 0;
    for (int i = 0; i < c->n_out; i++) { /* the outputs' shapes are the sizes */
        const KerbTensor *y = &c->out[i];
        if (y->rank != x->rank || y->dims[axis] > x->dims[axis] - start)
            return kerb_ref_fail(c, KERB_ERROR_ASSET, "output %d does not fit", i);
        KerbTensor view = part(x, axis, start, 1, y->dims[axis]);
        if (y->data) kerb_ref_copy(y, &view);
        start += y->dims[axis];
    }
    return KERB_OK;
}

/* First index that Slice takes (ONNX: negative ones count from the end, then clamped to what the step's direction can reach). */
static int64_t slice_start(int64_t start, int64_t dim, bool backwards)
{
    if (start < 0) start = start < -dim ? (backwards ? -1 : 0) : start + dim;
    int64_t last = backwards ? dim - 1 : dim;
    return start > last ? last : start;
}

KerbStatus kerb_ref_slice(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t starts[KERB_MAX_RANK], axes[KERB_MAX_RANK], steps[KERB_MAX_RANK];
    int n = kerb_ref_integers(c, 1, starts, KERB_MAX_RANK), n_axes = kerb_ref_integers(c, 3, axes, KERB_MAX_RANK);
    int n_steps = kerb_ref_integers(c, 4, steps, KERB_MAX_RANK);
    if (n < 0 || n_axes < 0 || n_steps < 0) return KERB_ERROR_ASSET;
    if (n > x->rank || (n_axes && n_axes != n) || (n_steps && n_steps != n) || y->rank != x->rank)
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "%d starts, %d axes, %d steps for a tensor of %d axes", n, n_axes, n_steps, x->rank);
    KerbTensor view = *x;
    for (int i = 0; i < n; i++) {
        int axis;
        if (!kerb_ref_axis(c, n_axes ? axes[i] : i, x->rank, &axis)) return KERB_ERROR_ASSET;
        int64_t step = n_steps ? steps[i] : 1, dim = x->dims[axis], start = slice_start(starts[i], dim, step < 0), taken = y->dims[axis];
        int64_t reach = start; /* the last index; shape inference counted, but a step may be hostile */
        if (step == 0 || (taken > 1 && (__builtin_mul_overflow(taken - 1, step, &reach) || __builtin_add_overflow(reach, start, &reach))) ||
            (taken > 0 && (start < 0 || start >= dim || reach < 0 || reach >= dim)))
            return kerb_ref_fail(c, KERB_ERROR_ASSET, "start %lld, step %lld leave axis %d of %lld", (long long)starts[i], (long long)step,
                                 axis, (long long)dim);
        view = part(&view, axis, start, taken > 1 ? step : 1, taken);
    }
    kerb_ref_copy(y, &view);
    return KERB_OK;
}

/* -dim <= index < dim -> 0..dim-1 */
static bool resolve_index(const KerbRefCall *c, int64_t index, int64_t dim, int64_t *out)
{
    if (index < -dim || index >= dim) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "index %lld is outside an axis of %lld", (long long)index, (long long)dim);
        return false;
    }
    *out = index < 0 ? index + dim : index;
    return true;
}

KerbStatus kerb_ref_gather(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *indices = &c->in[1], *y = &c->out[0];
    int axis;
    if (!kerb_ref_axis(c, c->n->attrs.axis, x->rank, &axis)) return KERB_ERROR_ASSET;
    if (x->rank - 1 + indices->rank != y->rank) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the output has %d axes", y->rank);
    /* The axes of y that come from the indices, and those that are copied. */
    KerbTensor picked, copied, source, rest;
    kerb_ref_split_axes(y, ((1u << indices->rank) - 1) << axis, &picked, &copied);
    kerb_ref_split_axes(x, 1u << axis, &source, &rest);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, indices->rank, indices->dims, 2, (const KerbTensor *const[]){ &picked, indices }); !w.done;
         kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            int64_t index;
            if (!resolve_index(c, kerb_ref_load_i64(indices, w.offset[1] + i * w.step[1]), x->dims[axis], &index)) return KERB_ERROR_ASSET;
            KerbTensor to = kerb_ref_shift(&copied, w.offset[0] + i * w.step[0]), from = kerb_ref_shift(&rest, index * x->strides[axis]);
            kerb_ref_copy(&to, &from);
        }
    }
    return KERB_OK;
}

KerbStatus kerb_ref_gather_elements(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *indices = &c->in[1], *y = &c->out[0];
    int axis;
    if (!kerb_ref_axis(c, c->n->attrs.axis, x->rank, &axis)) return KERB_ERROR_ASSET;
    if (indices->rank != x->rank) return kerb_ref_fail(c, KERB_ERROR_ASSET, "indices have %d axes, the data %d", indices->rank, x->rank);
    KerbTensor base = *x; /* x's strides in the shape of the indices, standing still along the axis */
    for (int i = 0; i < x->rank; i++) {
        if (i != axis && indices->dims[i] > x->dims[i])
            return kerb_ref_fail(c, KERB_ERROR_ASSET, "axis %d of the indices is longer than the data's", i);
        base.dims[i] = indices->dims[i];
    }
    base.strides[axis] = 0;
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y->rank, y->dims, 3, (const KerbTensor *const[]){ y, indices, &base }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            int64_t index;
            if (!resolve_index(c, kerb_ref_load_i64(indices, w.offset[1] + i * w.step[1]), x->dims[axis], &index)) return KERB_ERROR_ASSET;
            KerbTensor to = kerb_ref_shift(y, w.offset[0] + i * w.step[0]);
            KerbTensor from = kerb_ref_shift(x, w.offset[2] + i * w.step[2] + index * x->strides[axis]);
            to.rank = from.rank = 0;
            kerb_ref_copy(&to, &from);
        }
    }
    return KERB_OK;
}

KerbStatus kerb_ref_tile(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    if (x->rank != y->rank) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the output has %d axes", y->rank);
    KerbTensor tiles = *y; /* one element a tile */
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] ? y->dims[i] % x->dims[i] : y->dims[i])
            return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "axis %d of %lld is not tiled by %lld", i, (long long)y->dims[i],
                                 (long long)x->dims[i]);
        tiles.dims[i] = x->dims[i] ? y->dims[i] / x->dims[i] : 0;
        tiles.strides[i] = y->strides[i] * x->dims[i];
    }
    KerbTensor tile = *y;
    for (int i = 0; i < x->rank; i++) tile.dims[i] = x->dims[i];
    const KerbTensor *walked = &tiles;
    KerbRefWalk w;
    for (kerb_ref_walk(&w, tiles.rank, tiles.dims, 1, &walked); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            KerbTensor to = kerb_ref_shift(&tile, w.offset[0] + i * w.step[0]);
            kerb_ref_copy(&to, x);
        }
    }
    return KERB_OK;
}

/* ---- Pad */

/* Which input coordinate an output coordinate shows; x = output - pads before it. */
static int64_t padded_index(int mode, int64_t x, int64_t dim)
{
    switch (mode) {
    case KERB_PADDING_REFLECT: {
        if (dim == 1) return 0;
        int64_t period = 2 * (dim - 1), r = x % period;
        if (r < 0) r += period;
        return r < dim ? r : period - r;
    }
    case KERB_PADDING_WRAP: return x % dim < 0 ? x % dim + dim : x % dim;
    default: return x < 0 ? 0 : x >= dim ? dim - 1 : x; /* edge */
    }
}

static KerbStatus pad_mapped(const KerbRefCall *c, const int64_t before[])
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t n = kerb_tensor_elements(y), index[KERB_MAX_RANK] = { 0 };
    if (n && !kerb_tensor_elements(x)) return kerb_ref_fail(c, KERB_ERROR_ASSET, "an empty tensor has no edge to pad with");
    for (int64_t k = 0; k < n; k++) {
        int64_t from = 0, to = 0;
        for (int i = 0; i < x->rank; i++) {
            from += padded_index(c->n->attrs.pad.mode, index[i] - before[i], x->dims[i]) * x->strides[i];
            to += index[i] * y->strides[i];
        }
        KerbTensor target = kerb_ref_shift(y, to), source = kerb_ref_shift(x, from);
        target.rank = source.rank = 0;
        kerb_ref_copy(&target, &source);
        for (int i = x->rank - 1; i >= 0 && ++index[i] == y->dims[i]; i--) index[i] = 0;
    }
    return KERB_OK;
}

static KerbStatus pad_constant(const KerbRefCall *c, const int64_t before[])
{
    const KerbTensor *y = &c->out[0], *value = kerb_ref_input(c, 2);
    int64_t zero = 0;
    KerbTensor with = value ? *value : (KerbTensor){ .data = &zero, .dtype = y->dtype }; /* all types have 0 as zero bits */
    with.rank = 0;
    kerb_ref_copy(y, &with);
    KerbTensor from = c->in[0], to = *y;
    for (int i = 0; i < y->rank; i++) { /* what is left of x on each axis; negative pads crop */
        int64_t first = before[i] < 0 ? -before[i] : 0, at = before[i] > 0 ? before[i] : 0;
        int64_t kept = from.dims[i] - first < y->dims[i] - at ? from.dims[i] - first : y->dims[i] - at;
        if (kept < 0) kept = 0;
        from = part(&from, i, first, 1, kept);
        to = part(&to, i, at, 1, kept);
    }
    kerb_ref_copy(&to, &from);
    return KERB_OK;
}

KerbStatus kerb_ref_pad(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t pads[2 * KERB_MAX_RANK], axes[KERB_MAX_RANK], before[KERB_MAX_RANK] = { 0 };
    int n = kerb_ref_integers(c, 1, pads, 2 * KERB_MAX_RANK), n_axes = kerb_ref_integers(c, 3, axes, KERB_MAX_RANK);
    if (n < 0 || n_axes < 0) return KERB_ERROR_ASSET;
    if (!kerb_ref_input(c, 3)) n_axes = x->rank;
    if (n != 2 * n_axes || y->rank != x->rank)
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "%d pads for %d axes; two for each were expected", n, n_axes);
    for (int i = 0; i < n_axes; i++) {
        int axis;
        if (!kerb_ref_axis(c, kerb_ref_input(c, 3) ? axes[i] : i, x->rank, &axis)) return KERB_ERROR_ASSET;
        if (y->dims[axis] != x->dims[axis] + pads[i] + pads[n_axes + i])
            return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "axis %d of the output does not fit its pads", axis);
        before[axis] = pads[i];
    }
    return c->n->attrs.pad.mode == KERB_PADDING_CONSTANT ? pad_constant(c, before) : pad_mapped(c, before);
}
