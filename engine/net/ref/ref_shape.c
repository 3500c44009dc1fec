/* SPDX-License-Identifier: MIT */
/* Operators that ask for shapes, make tensors of a given shape, or rearrange axes: most are one copy between two views. */
#include "net/ref/ref_ops.h"

/* Shape and Size need an input, but not its data. */
static bool has_shape(const KerbRefCall *c)
{
    if (c->n_in == 1 && c->in[0].dtype != KERB_DTYPE_NONE) return true;
    kerb_ref_fail(c, KERB_ERROR_ASSET, "input 0 is missing");
    return false;
}

KerbStatus kerb_ref_shape(const KerbRefCall *c)
{
    if (!has_shape(c)) return KERB_ERROR_ASSET;
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t rank = x->rank, start = c->n->attrs.shape.start, end = c->n->attrs.shape.has_end ? c->n->attrs.shape.end : rank;
    if (start < 0) start += rank;
    if (end < 0) end += rank;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end > rank ? rank : end;
    int64_t n = end > start ? end - start : 0;
    if (y->rank != 1 || y->dims[0] != n) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the output does not hold %lld dims", (long long)n);
    for (int64_t i = 0; i < n; i++) kerb_ref_store_i64(y, i * y->strides[0], x->dims[start + i]);
    return KERB_OK;
}

KerbStatus kerb_ref_size(const KerbRefCall *c)
{
    if (!has_shape(c)) return KERB_ERROR_ASSET;
    kerb_ref_store_i64(&c->out[0], 0, kerb_tensor_elements(&c->in[0]));
    return KERB_OK;
}

/* Fills y with one element. */
static void fill(const KerbTensor *y, const KerbTensor *value)
{
    KerbTensor scalar = *value;
    scalar.rank = 0;
    kerb_ref_copy(y, &scalar);
}

KerbStatus kerb_ref_constant_of_shape(const KerbRefCall *c)
{
    KerbTensor *y = &c->out[0];
    if (kerb_ref_is_integer(y)) {
        int64_t v = c->n->attrs.fill.value_i64;
        KerbTensor value = { .data = &v, .dtype = KERB_I64 };
        fill(y, &value);
    } else {
        double v = c->n->attrs.fill.value;
        KerbTensor value = { .data = &v, .dtype = KERB_F64 };
        fill(y, &value);
    }
    return KERB_OK;
}

KerbStatus kerb_ref_expand(const KerbRefCall *c)
{
    kerb_ref_copy(&c->out[0], &c->in[0]);
    return KERB_OK;
}

KerbStatus kerb_ref_range(const KerbRefCall *c)
{
    const KerbTensor *y = &c->out[0];
    if (y->rank != 1) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the output has %d axes", y->rank);
    int64_t start_i = kerb_ref_load_i64(&c->in[0], 0), delta_i = kerb_ref_load_i64(&c->in[2], 0);
    double start = kerb_ref_load(&c->in[0], 0), delta = kerb_ref_load(&c->in[2], 0);
    for (int64_t i = 0; i < y->dims[0]; i++) {
        if (kerb_ref_is_integer(y))
            kerb_ref_store_i64(y, i * y->strides[0], (int64_t)((uint64_t)start_i + (uint64_t)i * (uint64_t)delta_i));
        else kerb_ref_store(y, i * y->strides[0], start + (double)i * delta);
    }
    return KERB_OK;
}

KerbStatus kerb_ref_transpose(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0];
    int n = c->n->attrs.transpose.n;
    KerbTensor view = *x;
    unsigned seen = 0;
    for (int i = 0; i < x->rank; i++) {
        int64_t axis = n ? (i < n ? c->n->attrs.transpose.perm[i] : -1) : x->rank - 1 - i;
        if (axis < 0 || axis >= x->rank || seen >> axis & 1u)
            return kerb_ref_fail(c, KERB_ERROR_ASSET, "perm is not a permutation of %d axes", x->rank);
        seen |= 1u << axis;
        view.dims[i] = x->dims[axis];
        view.strides[i] = x->strides[axis];
    }
    kerb_ref_copy(&c->out[0], &view);
    return KERB_OK;
}

/* ---- DepthToSpace, SpaceToDepth: a copy between views of six axes */

/* Views `deep` (N, b*b*C, H, W) as (N, C, H, b, W, b), its channels being (b, b, C) or, for CRD, (C, b, b). */
static KerbTensor view_deep(const KerbTensor *deep, int64_t b, bool crd)
{
    const int64_t *s = deep->strides, channels = deep->dims[1] / (b * b);
    int64_t c_step = s[1] * (crd ? b * b : 1), row_step = s[1] * (crd ? b : b * channels), column_step = s[1] * (crd ? 1 : channels);
    return (KerbTensor){ .data = deep->data, .dtype = deep->dtype, .rank = 6,
                         .dims = { deep->dims[0], channels, deep->dims[2], b, deep->dims[3], b },
                         .strides = { s[0], c_step, s[2], row_step, s[3], column_step } };
}

/* Views `wide` (N, C, H*b, W*b) the same way. */
static KerbTensor view_wide(const KerbTensor *wide, int64_t b)
{
    const int64_t *s = wide->strides;
    return (KerbTensor){ .data = wide->data, .dtype = wide->dtype, .rank = 6,
                         .dims = { wide->dims[0], wide->dims[1], wide->dims[2] / b, b, wide->dims[3] / b, b },
                         .strides = { s[0], s[1], s[2] * b, s[2], s[3] * b, s[3] } };
}

static KerbStatus rearrange(const KerbRefCall *c, bool to_space)
{
    int64_t b = c->n->attrs.block.size;
    const KerbTensor *deep = to_space ? &c->in[0] : &c->out[0], *wide = to_space ? &c->out[0] : &c->in[0];
    if (b < 1 || b > 1 << 15 || deep->rank != 4 || wide->rank != 4 || deep->dims[1] % (b * b) || wide->dims[2] % b || wide->dims[3] % b)
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "blocks of %lld do not fit the shapes", (long long)b);
    KerbTensor deep_view = view_deep(deep, b, to_space && c->n->attrs.block.crd), wide_view = view_wide(wide, b);
    kerb_ref_copy(to_space ? &wide_view : &deep_view, to_space ? &deep_view : &wide_view);
    return KERB_OK;
}

KerbStatus kerb_ref_depth_to_space(const KerbRefCall *c) { return rearrange(c, true); }
KerbStatus kerb_ref_space_to_depth(const KerbRefCall *c) { return rearrange(c, false); }
