/* SPDX-License-Identifier: MIT */
/* Along axes: reductions and global pools, softmax, ArgMax, CumSum. */
#include <stddef.h>
#include <string.h>

#include "cuda/net/compile.h"

/* The constant axes of a reduction as bits. False: not known, or none to be gone along. */
static bool kerb_reduce_mask(const KerbCompiler *c, const KerbNode *n, int rank, unsigned *mask)
{
    const KerbValue *axes = kerb_node_input(c->g, n, 1);
    int64_t values[KERB_MAX_RANK];
    *mask = 0;
    int count = axes && !n->attrs.reduce.spatial ? kerb_value_integers(axes, values, KERB_MAX_RANK) : 0;
    if (count < 0) return false;
    for (int i = 0; i < count; i++) {
        const int64_t axis = values[i] < 0 ? values[i] + rank : values[i];
        if (axis < 0 || axis >= rank) return false;
        *mask |= 1u << axis;
    }
    if (n->attrs.reduce.spatial)
        *mask = ((1u << rank) - 1) & ~3u;
    else if (!count && !n->attrs.reduce.noop_with_empty_axes)
        *mask = (1u << rank) - 1;
    return *mask != 0;
}

static KerbStatus kerb_compile_reduce(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[3];
    unsigned mask;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (status || !kerb_reduce_mask(c, n, o[0].t.rank, &mask)) return status;
    if ((status = kerb_cuda_place(c, n->outputs[0], &o[1]))) return status;
    KerbReduceArgs args;
    memset(&args, 0, sizeof args);
    args.x_type = (int32_t)o[0].t.dtype;
    args.y_type = (int32_t)o[1].t.dtype;
    args.kind = (int32_t)n->attrs.reduce.kind;
    const KerbStrided x = kerb_cuda_as_strided(&o[0]), y = kerb_cuda_as_strided(&o[1]);
    *done = kerb_axes(&x, &y, mask, kerb_cuda_padding(&o[1]), &args.axes);
    if (!*done) return KERB_OK;
    args.parts = kerb_reduce_parts(&args);
    int count = 2;
    const KerbPatch patches[3] = {
        {offsetof(KerbReduceArgs, x), 0}, {offsetof(KerbReduceArgs, y), 1}, {offsetof(KerbReduceArgs, partial), 2}};
    if (args.parts > 1) {
        const int64_t floats = (int64_t)args.parts * args.axes.kept;
        const KerbTensor t = kerb_tensor(NULL, KERB_F32, 1, &floats);
        if ((status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, &o[count++]))) return status;
    }
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_reduce, &args, o, count, patches, count);
    if (step) kerb_cuda_label(c, step, "%s", kerb_node_kind(n));
    return step ? KERB_OK : KERB_ERROR_MEMORY;
}

static KerbStatus kerb_compile_softmax(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[2];
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (status || o[0].t.rank < 1) return status;
    const int rank = o[0].t.rank, axis = (int)(n->attrs.softmax.axis < 0 ? n->attrs.softmax.axis + rank : n->attrs.softmax.axis);
    const unsigned mask = n->attrs.softmax.flatten ? ((1u << rank) - 1) & ~((1u << axis) - 1) : 1u << axis;
    if ((status = kerb_cuda_place_over(c, n->outputs[0], &o[0], 1, &o[1]))) return status;
    KerbSoftmaxArgs args;
    memset(&args, 0, sizeof args);
    args.x_type = (int32_t)o[0].t.dtype;
    args.y_type = (int32_t)o[1].t.dtype;
    args.log = n->attrs.softmax.log;
    const KerbStrided x = kerb_cuda_as_strided(&o[0]), y = kerb_cuda_as_strided(&o[1]);
    *done = kerb_axes(&x, &y, mask, kerb_cuda_padding(&o[1]), &args.axes);
    const KerbPatch patches[2] = {{offsetof(KerbSoftmaxArgs, x), 0}, {offsetof(KerbSoftmaxArgs, y), 1}};
    if (!*done) return KERB_OK;
    return kerb_cuda_kernel(c, n, KERB_KERNEL_softmax, &args, o, 2, patches, 2) ? KERB_OK : KERB_ERROR_MEMORY;
}

static KerbStatus kerb_compile_argmax(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[2];
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (status || o[0].t.rank < 1) return status;
    const int64_t axis = n->attrs.arg.axis < 0 ? n->attrs.arg.axis + o[0].t.rank : n->attrs.arg.axis;
    if ((status = kerb_cuda_place(c, n->outputs[0], &o[1]))) return status;
    KerbArgmaxArgs args;
    memset(&args, 0, sizeof args);
    args.x_type = (int32_t)o[0].t.dtype;
    args.is_min = n->attrs.arg.is_min;
    args.select_last = n->attrs.arg.select_last;
    const KerbStrided x = kerb_cuda_as_strided(&o[0]), y = kerb_cuda_as_strided(&o[1]);
    *done = kerb_axes(&x, &y, 1u << axis, 0, &args.axes);
    const KerbPatch patches[2] = {{offsetof(KerbArgmaxArgs, x), 0}, {offsetof(KerbArgmaxArgs, y), 1}};
    if (!*done) return KERB_OK;
    return kerb_cuda_kernel(c, n, KERB_KERNEL_argmax, &args, o, 2, patches, 2) ? KERB_OK : KERB_ERROR_MEMORY;
}

static KerbStatus kerb_compile_cumsum(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[2];
    int64_t axis;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (status || kerb_value_integers(kerb_node_input(c->g, n, 1), &axis, 1) != 1) return status;
    if (axis < 0) axis += o[0].t.rank;
    if (axis < 0 || axis >= o[0].t.rank) return KERB_OK;
    if ((status = kerb_cuda_place(c, n->outputs[0], &o[1]))) return status;
    KerbCumsumArgs args;
    memset(&args, 0, sizeof args);
    args.x_type = (int32_t)o[0].t.dtype;
    args.y_type = (int32_t)o[1].t.dtype;
    args.exclusive = n->attrs.cumsum.exclusive;
    args.reverse = n->attrs.cumsum.reverse;
    const KerbStrided x = kerb_cuda_as_strided(&o[0]), y = kerb_cuda_as_strided(&o[1]);
    *done = kerb_axes(&x, &y, 1u << axis, kerb_cuda_padding(&o[1]), &args.axes);
    const KerbPatch patches[2] = {{offsetof(KerbCumsumArgs, x), 0}, {offsetof(KerbCumsumArgs, y), 1}};
    if (!*done) return KERB_OK;
    return kerb_cuda_kernel(c, n, KERB_KERNEL_cumsum, &args, o, 2, patches, 2) ? KERB_OK : KERB_ERROR_MEMORY;
}

KerbStatus kerb_cuda_compile_axes(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const KerbValue *x = kerb_node_input(c->g, n, 0);
    if (!x || x->dtype == KERB_F64) return KERB_OK;
    switch (n->op) {
    case KERB_OP_REDUCE: return kerb_compile_reduce(c, n, done);
    case KERB_OP_SOFTMAX: return kerb_compile_softmax(c, n, done);
    case KERB_OP_ARG: return kerb_compile_argmax(c, n, done);
    case KERB_OP_CUMSUM: return kerb_compile_cumsum(c, n, done);
    default: return KERB_OK;
    }
}
