/* SPDX-License-Identifier: MIT */
/* Shape and type rules of element-wise operators, norms, reductions, products and quantisation. */
#include "net/infer.h"

static KerbStatus same_types(KerbInfer *c, int a, int b)
{
    KerbDtype ta = kerb_infer_in(c, a)->dtype, tb = kerb_infer_in(c, b)->dtype;
    return ta == tb ? KERB_OK : kerb_infer_fail(c, "its inputs are %s and %s; they must agree", kerb_dtype_name(ta), kerb_dtype_name(tb));
}

KerbStatus kerb_infer_norm(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t channels = x->rank >= 2 ? x->dims[1] : 1; /* a vector is one channel */
    for (int i = 1; i < c->n->n_inputs && i < (c->n->op == KERB_OP_BATCH_NORM ? 5 : 3); i++) {
        const KerbValue *v = kerb_infer_in(c, i);
        if (v->rank != 1 || v->dims[0] != channels)
            return kerb_infer_fail(c, "its input %d must have one element for each of the %lld channels", i, (long long)channels);
    }
    if (c->n->op == KERB_OP_INSTANCE_NORM && x->rank < 3) return kerb_infer_fail(c, "it needs a batch, a channel and spatial axes");
    return kerb_infer_same(c, x->dtype, x);
}

KerbStatus kerb_infer_lrn(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    if (x->rank < 2 || c->n->attrs.lrn.size < 1) return kerb_infer_fail(c, "it needs channels, and a size of 1 or more");
    return kerb_infer_same(c, x->dtype, x);
}

KerbStatus kerb_infer_unary(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    bool boolean = c->n->attrs.unary.kind == KERB_UNARY_NOT || c->n->attrs.unary.kind == KERB_UNARY_ISNAN;
    return kerb_infer_same(c, boolean ? KERB_BOOL : x->dtype, x);
}

KerbStatus kerb_infer_binary(KerbInfer *c)
{
    const KerbValue *a = kerb_infer_in(c, 0), *b = kerb_infer_in(c, 1);
    KerbBinary kind = c->n->attrs.binary.kind;
    int64_t dims[KERB_MAX_RANK];
    int rank = a->rank;
    KerbStatus status = kind == KERB_BINARY_POW ? KERB_OK : same_types(c, 0, 1); /* Pow's exponent may have its own type */
    for (int i = 0; i < rank; i++) dims[i] = a->dims[i];
    if (status == KERB_OK) status = kerb_infer_broadcast(c, &rank, dims, b->rank, b->dims);
    if (status != KERB_OK) return status;
    for (int i = 0; i < rank && kind == KERB_BINARY_PRELU; i++)
        if (rank != a->rank || dims[i] != a->dims[i]) return kerb_infer_fail(c, "its slope does not broadcast to its input");
    bool boolean = (kind >= KERB_BINARY_EQUAL && kind <= KERB_BINARY_GREATER_EQUAL) || kind == KERB_BINARY_AND || kind == KERB_BINARY_OR ||
                   kind == KERB_BINARY_XOR;
    return kerb_infer_set(c, 0, boolean ? KERB_BOOL : a->dtype, rank, dims);
}

KerbStatus kerb_infer_clip(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    for (int i = 1; i < c->n->n_inputs && i < 3; i++) {
        const KerbValue *v = kerb_infer_in(c, i);
        int64_t elements;
        if (v && (!kerb_dims_elements(v->rank, v->dims, 1, &elements) || elements != 1)) return kerb_infer_fail(c, "its input %d is not one number", i);
    }
    return kerb_infer_same(c, x->dtype, x);
}

KerbStatus kerb_infer_where(KerbInfer *c)
{
    const KerbValue *condition = kerb_infer_in(c, 0), *a = kerb_infer_in(c, 1), *b = kerb_infer_in(c, 2);
    int64_t dims[KERB_MAX_RANK];
    int rank = condition->rank;
    KerbStatus status = same_types(c, 1, 2);
    for (int i = 0; i < rank; i++) dims[i] = condition->dims[i];
    if (status == KERB_OK) status = kerb_infer_broadcast(c, &rank, dims, a->rank, a->dims);
    if (status == KERB_OK) status = kerb_infer_broadcast(c, &rank, dims, b->rank, b->dims);
    return status == KERB_OK ? kerb_infer_set(c, 0, a->dtype, rank, dims) : status;
}

KerbStatus kerb_infer_reduce(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t dims[KERB_MAX_RANK];
    unsigned mask = 0;
    int rank = 0;
    bool any = false;
    if (c->n->attrs.reduce.spatial) {
        if (x->rank < 3) return kerb_infer_fail(c, "it needs a batch, a channel and spatial axes");
        mask = ~3u;
    } else {
        KerbStatus status = kerb_infer_axes(c, 1, x->rank, &mask, &any);
        if (status != KERB_OK) return status;
        if (!any) mask = c->n->attrs.reduce.noop_with_empty_axes ? 0 : ~0u;
    }
    for (int i = 0; i < x->rank; i++) {
        if (!(mask & 1u << i)) dims[rank++] = x->dims[i];
        else if (c->n->attrs.reduce.keepdims) dims[rank++] = 1;
    }
    return kerb_infer_set(c, 0, x->dtype, rank, dims);
}

KerbStatus kerb_infer_arg(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int64_t dims[KERB_MAX_RANK];
    int rank = 0, axis = 0;
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.arg.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    if (x->dims[axis] < 1) return kerb_infer_fail(c, "axis %d is empty", axis);
    for (int i = 0; i < x->rank; i++) {
        if (i != axis) dims[rank++] = x->dims[i];
        else if (c->n->attrs.arg.keepdims) dims[rank++] = 1;
    }
    return kerb_infer_set(c, 0, KERB_I64, rank, dims);
}

KerbStatus kerb_infer_softmax(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    int axis;
    if (c->n->attrs.softmax.flatten && c->n->attrs.softmax.axis == x->rank) return kerb_infer_same(c, x->dtype, x);
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.softmax.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    if (axis == x->rank - 1) c->n->attrs.softmax.flatten = false; /* there is nothing behind it */
    return kerb_infer_same(c, x->dtype, x);
}

KerbStatus kerb_infer_cast(KerbInfer *c) { return kerb_infer_same(c, c->n->attrs.cast.to, kerb_infer_in(c, 0)); }

KerbStatus kerb_infer_cumsum(KerbInfer *c) { return kerb_infer_same(c, kerb_infer_in(c, 0)->dtype, kerb_infer_in(c, 0)); }

/* numpy.matmul: a vector on the left is a row, on the right a column, and that axis is dropped again. */
static KerbStatus matmul_shape(KerbInfer *c, const KerbValue *a, const KerbValue *b, KerbDtype dtype)
{
    int64_t dims[KERB_MAX_RANK];
    if (a->rank < 1 || b->rank < 1) return kerb_infer_fail(c, "a scalar cannot be multiplied as a matrix");
    int64_t inner_a = a->dims[a->rank - 1], inner_b = b->dims[b->rank == 1 ? 0 : b->rank - 2];
    if (inner_a != inner_b) return kerb_infer_fail(c, "the inner sizes %lld and %lld differ", (long long)inner_a, (long long)inner_b);
    int batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0, rank = batch_a;
    for (int i = 0; i < rank; i++) dims[i] = a->dims[i];
    KerbStatus status = kerb_infer_broadcast(c, &rank, dims, batch_b, b->dims);
    if (status != KERB_OK) return status;
    if (a->rank > 1) dims[rank++] = a->dims[a->rank - 2];
    if (b->rank > 1) dims[rank++] = b->dims[b->rank - 1];
    return kerb_infer_set(c, 0, dtype, rank, dims);
}

KerbStatus kerb_infer_matmul(KerbInfer *c)
{
    KerbStatus status = same_types(c, 0, 1);
    return status == KERB_OK ? matmul_shape(c, kerb_infer_in(c, 0), kerb_infer_in(c, 1), kerb_infer_in(c, 0)->dtype) : status;
}

KerbStatus kerb_infer_qlinear_matmul(KerbInfer *c)
{
    return matmul_shape(c, kerb_infer_in(c, 0), kerb_infer_in(c, 3), kerb_infer_in(c, 7)->dtype);
}

KerbStatus kerb_infer_gemm(KerbInfer *c)
{
    const KerbValue *a = kerb_infer_in(c, 0), *b = kerb_infer_in(c, 1), *bias = kerb_infer_in(c, 2);
    bool ta = c->n->attrs.gemm.trans_a, tb = c->n->attrs.gemm.trans_b;
    if (a->rank != 2 || b->rank != 2) return kerb_infer_fail(c, "it multiplies matrices of two axes");
    int64_t dims[2] = { a->dims[ta], b->dims[!tb] }, inner_a = a->dims[!ta], inner_b = b->dims[tb];
    if (inner_a != inner_b) return kerb_infer_fail(c, "the inner sizes %lld and %lld differ", (long long)inner_a, (long long)inner_b);
    for (int i = 0; bias && i < bias->rank; i++) {
        int64_t d = bias->dims[bias->rank - 1 - i];
        if (bias->rank > 2 || (d != 1 && d != dims[1 - i])) return kerb_infer_fail(c, "its third input does not broadcast to %lldx%lld", (long long)dims[0], (long long)dims[1]);
    }
    return kerb_infer_set(c, 0, a->dtype, 2, dims);
}

/* Scale and zero point: one number, one for each element of the axis, or (blocks) one for each block along it. */
static KerbStatus check_scale(KerbInfer *c, const KerbValue *x)
{
    const KerbValue *scale = kerb_infer_in(c, 1), *zero = kerb_infer_in(c, 2);
    int64_t block = c->n->attrs.quantize.block_size, n, scales, zeros;
    int axis;
    /* One and one: ONNX Runtime's quantiser writes a scalar beside a vector of one. */
    const bool single = zero && kerb_dims_elements(scale->rank, scale->dims, 0, &scales) && kerb_dims_elements(zero->rank, zero->dims, 0, &zeros) &&
                        scales == 1 && zeros == 1;
    for (int i = 0; zero && !single && i < scale->rank; i++)
        if (zero->rank != scale->rank || zero->dims[i] != scale->dims[i]) return kerb_infer_fail(c, "its scale and zero point differ in shape");
    if (kerb_dims_elements(scale->rank, scale->dims, 0, &n) && n == 1 && scale->rank <= 1) return KERB_OK;
    KerbStatus status = kerb_infer_axis(c, c->n->attrs.quantize.axis, x->rank, &axis);
    if (status != KERB_OK) return status;
    if (block == 0 && (scale->rank != 1 || scale->dims[0] != x->dims[axis]))
        return kerb_infer_fail(c, "its scale has neither one element nor one for each of the %lld along axis %d", (long long)x->dims[axis], axis);
    for (int i = 0; block > 0 && i < x->rank; i++)
        if (scale->rank != x->rank || scale->dims[i] != (i == axis ? (x->dims[i] + block - 1) / block : x->dims[i]))
            return kerb_infer_fail(c, "its scale does not fit blocks of %lld along axis %d", (long long)block, axis);
    return block < 0 ? kerb_infer_fail(c, "its block_size is %lld", (long long)block) : KERB_OK;
}

KerbStatus kerb_infer_quantize(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *zero = kerb_infer_in(c, 2);
    KerbDtype out = zero ? zero->dtype : c->n->attrs.quantize.out ? c->n->attrs.quantize.out : KERB_U8;
    KerbStatus status = check_scale(c, x);
    return status == KERB_OK ? kerb_infer_same(c, out, x) : status;
}

KerbStatus kerb_infer_dequantize(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0);
    KerbStatus status = check_scale(c, x);
    return status == KERB_OK ? kerb_infer_same(c, kerb_infer_in(c, 1)->dtype, x) : status;
}
