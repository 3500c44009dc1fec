/* SPDX-License-Identifier: MIT */
/* Moving values: the copy step (any strides, any types), and the nodes that only say how memory is to be seen: they become views where
 * strides can express them, copies where not. */
#include "base/error.h"
#include "cuda/net/compile.h"
#include "net/views.h"

KerbStatus kerb_cuda_copy(KerbCompiler *c, const KerbNode *node, const KerbOperand *src, const KerbOperand *dst)
{
    if (kerb_tensor_elements(&dst->t) == 0) return KERB_OK;
    KerbCopyArgs args = {.value = 0};
    const KerbOperand o[2] = {*dst, *src};
    bool fits;
    KerbStatus status = kerb_cuda_walk_kernel(c, node, KERB_KERNEL_copy, &args, o, 2, &fits);
    if (status || fits) return status;
    return kerb_fail(c->error, KERB_ERROR_INTERNAL, "a copy of unlike shapes at %s: please report this", node->name);
}

/* ---- views ---- */

static KerbStatus kerb_compile_reshape(KerbCompiler *c, const KerbNode *n, const KerbOperand *x)
{
    const uint32_t id = n->outputs[0];
    const KerbValue *y = &c->g->values[id];
    KerbTensor view;
    if (kerb_tensor_reshaped(&x->t, y->rank, y->dims, &view) && c->slot[id] == KERB_NO_VALUE) {
        kerb_cuda_alias(c, id, x, &view, x->offset);
        return KERB_OK;
    }
    /* Row-major memory, seen with the input's shape by the copy and with the output's by everyone else. */
    KerbOperand dense;
    KerbTensor t = kerb_tensor(NULL, x->t.dtype, x->t.rank, x->t.dims);
    KerbStatus status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, &dense);
    dense.loose = true;
    if (!status) status = kerb_cuda_copy(c, n, x, &dense);
    if (status) return status;
    view = kerb_tensor(NULL, x->t.dtype, y->rank, y->dims);
    if (c->slot[id] == KERB_NO_VALUE) {
        kerb_cuda_alias(c, id, &dense, &view, 0);
        return KERB_OK;
    }
    KerbOperand out, seen = dense;
    seen.t = view;
    if ((status = kerb_cuda_place(c, id, &out))) return status;
    return kerb_cuda_copy(c, n, &seen, &out);
}

static KerbStatus kerb_compile_view_of(KerbCompiler *c, const KerbNode *n, int output, const KerbOperand *x, const KerbTensor *view,
                                       int64_t offset)
{
    const uint32_t id = n->outputs[output];
    const size_t bytes = x->offset + (size_t)offset * kerb_dtype_bytes(x->t.dtype);
    if (c->slot[id] == KERB_NO_VALUE) {
        kerb_cuda_alias(c, id, x, view, bytes);
        return KERB_OK;
    }
    KerbOperand from = *x, out;
    from.t = *view;
    from.offset = bytes;
    if (x->root == KERB_NO_ROOT) from.t.data = (char *)x->t.data + (size_t)offset * kerb_dtype_bytes(x->t.dtype);
    KerbStatus status = kerb_cuda_place(c, id, &out);
    return status ? status : kerb_cuda_copy(c, n, &from, &out);
}

/* Transposes, splits, slices: *done false where it is none (nothing has been compiled then). */
static KerbStatus kerb_compile_views(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, bool *done)
{
    KerbTensor view;
    int64_t offset;
    for (int i = 0; i < n->n_outputs; i++) *done = *done && kerb_node_view(c->g, n, i, &x->t, &view, &offset);
    for (int i = 0; i < n->n_outputs && *done; i++) {
        kerb_node_view(c->g, n, i, &x->t, &view, &offset);
        KerbStatus status = kerb_compile_view_of(c, n, i, x, &view, offset);
        if (status) return status;
    }
    return KERB_OK;
}

/* A cast to the same type is a view; others convert. */
static KerbStatus kerb_compile_cast(KerbCompiler *c, const KerbNode *n, const KerbOperand *x)
{
    const uint32_t id = n->outputs[0];
    if (c->g->values[id].dtype == c->g->values[n->inputs[0]].dtype) return kerb_compile_view_of(c, n, 0, x, &x->t, 0);
    KerbOperand y;
    KerbStatus status = kerb_cuda_place(c, id, &y);
    return status ? status : kerb_cuda_copy(c, n, x, &y);
}

KerbStatus kerb_cuda_compile_view(KerbCompiler *c, const KerbNode *n, bool *done)
{
    switch (n->op) {
    case KERB_OP_RESHAPE:
    case KERB_OP_FLATTEN:
    case KERB_OP_SQUEEZE:
    case KERB_OP_UNSQUEEZE:
    case KERB_OP_IDENTITY:
    case KERB_OP_TRANSPOSE:
    case KERB_OP_SLICE:
    case KERB_OP_SPLIT:
    case KERB_OP_CAST: break;
    default: return KERB_OK;
    }
    for (int i = 0; i < n->n_outputs; i++) {
        if (n->outputs[i] == KERB_NO_VALUE) return KERB_OK;
    }
    KerbOperand x;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &x);
    if (status || kerb_tensor_elements(&x.t) == 0) return status;
    *done = true;
    switch (n->op) {
    case KERB_OP_IDENTITY: return kerb_compile_view_of(c, n, 0, &x, &x.t, 0);
    case KERB_OP_TRANSPOSE:
    case KERB_OP_SLICE:
    case KERB_OP_SPLIT: return kerb_compile_views(c, n, &x, done);
    case KERB_OP_CAST: return kerb_compile_cast(c, n, &x);
    default: return kerb_compile_reshape(c, n, &x);
    }
}
