/* SPDX-License-Identifier: MIT */
/* Element by element, any strides and broadcasting: unary functions, binary operators, Clip, Where, quantising as the graph says it. In
 * place where nobody reads the input later. What is fused behind convolutions is step_conv.c's. */
#include <math.h>
#include <string.h>

#include "cuda/net/compile.h"

/* Arithmetic of the kernels is f32: what is f64 stays with the reference. */
static bool kerb_elementwise_types(const KerbCompiler *c, const KerbNode *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(c->g, n, i);
        if (v && v->dtype == KERB_F64) return false;
    }
    return c->g->values[n->outputs[0]].dtype != KERB_F64;
}

/* The result, in place of an operand where that can be. */
static KerbStatus kerb_elementwise_place(KerbCompiler *c, const KerbNode *n, int n_inputs, KerbOperand *o)
{
    const uint32_t y = n->outputs[0];
    for (int i = 0; i < n_inputs; i++) {
        const KerbOperand *x = &o[1 + i];
        int uses = 0;
        for (int j = 0; j < n->n_inputs; j++) uses += n->inputs[j] == n->inputs[i];
        const bool free_after = x->root != KERB_NO_ROOT && c->net->roots[KERB_SPACE_DEVICE][x->root].readers == uses;
        if (free_after && x->t.dtype == kerb_cuda_type(c, y) && !x->loose) return kerb_cuda_place_over(c, y, x, uses, &o[0]);
    }
    return kerb_cuda_place(c, y, &o[0]);
}

/* ---- one input ---- */

static KerbStatus kerb_compile_act(KerbCompiler *c, const KerbNode *n, const KerbActivation *act, const int64_t bounds[2], bool *done)
{
    KerbOperand o[2];
    KerbUnaryArgs args = {.act = kerb_fused(act), .lo_i = bounds[0], .hi_i = bounds[1]};
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[1]);
    if (!status) status = kerb_elementwise_place(c, n, 1, o);
    if (!status) status = kerb_cuda_walk_kernel(c, n, KERB_KERNEL_unary, &args, o, 2, done);
    if (!status && *done) kerb_cuda_label(c, c->net->steps[c->net->n_steps - 1], "%s", kerb_node_kind(n));
    return status;
}

/* A bound that is a constant, as float and as integer; absent: as it was. */
static bool kerb_clip_bound(const KerbCompiler *c, const KerbNode *n, int input, float *f, int64_t *i)
{
    const KerbValue *v = kerb_node_input(c->g, n, input);
    if (!v) return true;
    if (!kerb_value_is_constant(v)) return false;
    const KerbTensor t = kerb_value_tensor(v);
    if (kerb_tensor_elements(&t) != 1) return false;
    *f = (float)kerb_tensor_get(&t, 0);
    if (!kerb_dtype_is_float(v->dtype)) *i = kerb_tensor_get_i64(&t, 0);
    return true;
}

static KerbStatus kerb_compile_clip(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbActivation act = {.kind = KERB_ACT_CLIP, .lo = -INFINITY, .hi = INFINITY};
    int64_t bounds[2] = {INT64_MIN, INT64_MAX};
    if (!kerb_clip_bound(c, n, 1, &act.lo, &bounds[0]) || !kerb_clip_bound(c, n, 2, &act.hi, &bounds[1])) return KERB_OK;
    return kerb_compile_act(c, n, &act, bounds, done);
}

static KerbStatus kerb_compile_unary(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const KerbActivation act = {
        .kind = KERB_ACT_UNARY, .unary = n->attrs.unary.kind, .alpha = n->attrs.unary.alpha, .beta = n->attrs.unary.beta};
    static const int64_t unbounded[2] = {INT64_MIN, INT64_MAX};
    return kerb_compile_act(c, n, &act, unbounded, done);
}

/* ---- two inputs ---- */

/* A fused PRelu's slope, one or one a channel, seen with the result's rank. */
static KerbStatus kerb_elementwise_slope(KerbCompiler *c, const KerbActivation *act, const KerbTensor *y, KerbOperand *out, bool *fits)
{
    KerbStatus status = kerb_cuda_value(c, act->slope, out);
    if (status) return status;
    const int64_t count = kerb_tensor_elements(&out->t);
    *fits = count == 1 || (y->rank > 1 && count == y->dims[1]);
    KerbTensor t = {.data = out->t.data, .dtype = out->t.dtype, .rank = y->rank};
    for (int i = 0; i < y->rank; i++) t.dims[i] = 1;
    if (*fits && count > 1) {
        t.dims[1] = count;
        t.strides[1] = 1;
    }
    out->t = t;
    return KERB_OK;
}

static KerbStatus kerb_compile_binary(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const KerbActivation *act = &n->attrs.binary.act;
    KerbOperand o[4];
    KerbBinaryArgs args = {.kind = (int32_t)n->attrs.binary.kind, .fmod = n->attrs.binary.fmod, .act = kerb_fused(act)};
    int count = 3;
    bool fits = true;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[1]);
    if (!status) status = kerb_cuda_value(c, n->inputs[1], &o[2]);
    if (!status && act->kind == KERB_ACT_PRELU) {
        const KerbTensor y = kerb_tensor(NULL, KERB_F32, c->g->values[n->outputs[0]].rank, c->g->values[n->outputs[0]].dims);
        status = kerb_elementwise_slope(c, act, &y, &o[count++], &fits);
    }
    if (status || !fits) return status;
    if ((status = kerb_elementwise_place(c, n, 2, o))) return status;
    status = kerb_cuda_walk_kernel(c, n, KERB_KERNEL_binary, &args, o, count, done);
    if (!status && *done) kerb_cuda_label(c, c->net->steps[c->net->n_steps - 1], "%s", kerb_node_kind(n));
    return status;
}

/* ---- three inputs ---- */

/* The operand in that type: itself, or a copy. */
static KerbStatus kerb_elementwise_convert(KerbCompiler *c, const KerbNode *n, KerbDtype dtype, KerbOperand *o)
{
    if (o->t.dtype == dtype) return KERB_OK;
    KerbOperand from = *o;
    KerbTensor t = kerb_tensor(NULL, dtype, o->t.rank, o->t.dims);
    if (kerb_cuda_is_picture(o)) t = kerb_cuda_picture_tensor(dtype, o->t.rank, o->t.dims);
    KerbStatus status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, o);
    return status ? status : kerb_cuda_copy(c, n, &from, o);
}

static KerbStatus kerb_compile_where(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[4];
    KerbWhereArgs args;
    memset(&args, 0, sizeof args);
    KerbStatus status = KERB_OK;
    for (int i = 0; i < 3 && !status; i++) {
        status = kerb_cuda_value(c, n->inputs[i], &o[1 + i]);
        if (!status && i) status = kerb_elementwise_convert(c, n, kerb_cuda_type(c, n->outputs[0]), &o[1 + i]);
    }
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[0]);
    return status ? status : kerb_cuda_walk_kernel(c, n, KERB_KERNEL_where, &args, o, 4, done);
}

KerbStatus kerb_cuda_compile_elementwise(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->n_outputs < 1 || !kerb_elementwise_types(c, n)) return KERB_OK;
    switch (n->op) {
    case KERB_OP_UNARY: return kerb_compile_unary(c, n, done);
    case KERB_OP_CLIP: return kerb_compile_clip(c, n, done);
    case KERB_OP_BINARY: return kerb_compile_binary(c, n, done);
    case KERB_OP_WHERE: return kerb_compile_where(c, n, done);
    default: return KERB_OK;
    }
}

/* ---- QuantizeLinear, DequantizeLinear ---- */

/* A scale or zero point by tensor or by axis, seen with x's rank. False: by blocks, or of another shape. */
static bool kerb_quantize_spread(const KerbNode *n, const KerbTensor *x, KerbOperand *o)
{
    const int64_t count = kerb_tensor_elements(&o->t);
    int64_t axis = n->attrs.quantize.axis;
    if (axis < 0) axis += x->rank;
    if (n->attrs.quantize.block_size || (count != 1 && (axis < 0 || axis >= x->rank || o->t.rank != 1 || count != x->dims[axis])))
        return false;
    KerbTensor t = {.data = o->t.data, .dtype = o->t.dtype, .rank = x->rank};
    for (int i = 0; i < x->rank; i++) t.dims[i] = 1;
    if (count != 1) {
        t.dims[axis] = count;
        t.strides[axis] = o->t.strides[0];
    }
    o->t = t;
    return true;
}

KerbStatus kerb_cuda_compile_quantize(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_QUANTIZE && n->op != KERB_OP_DEQUANTIZE) return KERB_OK;
    if (!kerb_elementwise_types(c, n)) return KERB_OK;
    const bool zero = kerb_node_input(c->g, n, 2) != NULL;
    KerbOperand o[4];
    KerbQuantizeArgs args;
    memset(&args, 0, sizeof args);
    KerbStatus status = KERB_OK;
    for (int i = 0; i < 2 + zero && !status; i++) {
        status = kerb_cuda_value(c, n->inputs[i], &o[1 + i]);
        if (!status && i && !kerb_quantize_spread(n, &o[1].t, &o[1 + i])) return KERB_OK;
    }
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[0]);
    return status ? status
                  : kerb_cuda_walk_kernel(c, n, n->op == KERB_OP_QUANTIZE ? KERB_KERNEL_quantize : KERB_KERNEL_dequantize, &args, o,
                                          3 + zero, done);
}
