/* SPDX-License-Identifier: MIT */
/* Values put together from places of another: Gather and GatherElements, Expand, Tile. */
#include <string.h>

#include "cuda/net/compile.h"

/* The value in the type in which the result lies, since these kernels move bytes: itself, or a copy. */
static KerbStatus kerb_gather_source(KerbCompiler *c, const KerbNode *n, KerbDtype dtype, KerbOperand *out)
{
    KerbOperand x;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &x);
    *out = x;
    if (status || x.t.dtype == dtype) return status;
    const KerbTensor t = kerb_tensor(NULL, dtype, x.t.rank, x.t.dims);
    status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, out);
    return status ? status : kerb_cuda_copy(c, n, &x, out);
}

static KerbStatus kerb_compile_gather(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const bool elements = n->op == KERB_OP_GATHER_ELEMENTS;
    const KerbValue *xv = kerb_node_input(c->g, n, 0), *iv = kerb_node_input(c->g, n, 1), *yv = &c->g->values[n->outputs[0]];
    const int axis = (int)(n->attrs.axis < 0 ? n->attrs.axis + xv->rank : n->attrs.axis);
    if ((iv->dtype != KERB_I64 && iv->dtype != KERB_I32) || axis < 0 || axis >= xv->rank || xv->dims[axis] < 1 || xv->dims[axis] > INT_MAX)
        return KERB_OK;
    KerbOperand o[3];
    KerbStatus status = kerb_gather_source(c, n, kerb_cuda_type(c, n->outputs[0]), &o[1]);
    if (!status) status = kerb_cuda_value(c, n->inputs[1], &o[2]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[0]);
    if (status) return status;
    KerbGatherArgs args;
    memset(&args, 0, sizeof args);
    args.axis_stride = o[1].t.strides[axis];
    args.axis_dim = (int32_t)xv->dims[axis];
    /* x and the indices seen with the result's axes: stride 0 where they do not go along. */
    KerbTensor x = {.data = o[1].t.data, .dtype = o[1].t.dtype, .rank = yv->rank},
               i = {.data = o[2].t.data, .dtype = o[2].t.dtype, .rank = yv->rank};
    for (int k = 0; k < yv->rank; k++) {
        const int along = elements ? 1 : iv->rank, from = k < axis ? k : k - along + 1; /* x's axis */
        const bool index = elements || (k >= axis && k < axis + along);
        x.dims[k] = i.dims[k] = yv->dims[k];
        x.strides[k] = elements ? (k == axis ? 0 : o[1].t.strides[k]) : index ? 0 : o[1].t.strides[from];
        i.strides[k] = elements ? o[2].t.strides[k] : index ? o[2].t.strides[k - axis] : 0;
    }
    o[1].t = x;
    o[2].t = i;
    return kerb_cuda_walk_kernel(c, n, KERB_KERNEL_gather, &args, o, 3, done);
}

/* The result seen as (r0, d0, r1, d1, ...), the input with stride 0 along the repeats. */
static KerbStatus kerb_compile_tile(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand x, y;
    const KerbValue *yv = &c->g->values[n->outputs[0]];
    if (yv->rank * 2 > KERB_MAX_RANK) return KERB_OK;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &x);
    if (status || kerb_tensor_elements(&x.t) < 1) return status;
    if ((status = kerb_cuda_place(c, n->outputs[0], &y))) return status;
    KerbTensor to = y.t, from = x.t;
    to.rank = from.rank = 2 * yv->rank;
    for (int i = 0; i < yv->rank; i++) {
        const int64_t length = x.t.dims[i];
        to.dims[2 * i] = from.dims[2 * i] = yv->dims[i] / length;
        to.dims[2 * i + 1] = from.dims[2 * i + 1] = length;
        to.strides[2 * i] = y.t.strides[i] * length;
        to.strides[2 * i + 1] = y.t.strides[i];
        from.strides[2 * i] = 0;
        from.strides[2 * i + 1] = x.t.strides[i];
    }
    *done = true;
    const bool padded = kerb_cuda_padding(&y) > 0;
    if (padded) { /* seen with eight axes nobody knows the padding: 0 everywhere first */
        KerbCopyArgs zero = {.value = 0};
        bool fits;
        if ((status = kerb_cuda_walk_kernel(c, n, KERB_KERNEL_copy, &zero, &y, 1, &fits))) return status;
    }
    y.t = to;
    x.t = from;
    return kerb_cuda_copy(c, n, &x, &y);
}

static KerbStatus kerb_compile_expand(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[2];
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[1]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[0]);
    if (status) return status;
    KerbCopyArgs args = {.value = 0};
    return kerb_cuda_walk_kernel(c, n, KERB_KERNEL_copy, &args, o, 2, done);
}

KerbStatus kerb_cuda_compile_gather(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const KerbTensor y =
        n->n_outputs ? kerb_tensor(NULL, KERB_U8, c->g->values[n->outputs[0]].rank, c->g->values[n->outputs[0]].dims) : (KerbTensor){0};
    switch (n->op) {
    case KERB_OP_GATHER:
    case KERB_OP_GATHER_ELEMENTS: return kerb_tensor_elements(&y) ? kerb_compile_gather(c, n, done) : KERB_OK;
    case KERB_OP_TILE: return kerb_compile_tile(c, n, done);
    case KERB_OP_EXPAND: return kerb_tensor_elements(&y) ? kerb_compile_expand(c, n, done) : KERB_OK;
    default: return KERB_OK;
    }
}
