/* SPDX-License-Identifier: MIT */
/* Pictures of another size: resizing, pixel shuffle and its inverse, padding (of any tensor). */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

/* ---- Resize ---- */

/* The taps of one axis on the device; *taps 0: cannot be. */
static KerbStatus kerb_resize_upload(KerbCompiler *c, const KerbResizeAttrs *a, int axis, int64_t in, int64_t out, int32_t *taps,
                                     const KerbResizeTap **table)
{
    *taps = kerb_resize_taps(a, axis, in, out, 0, 1);
    if (*taps < 1) return KERB_OK;
    const size_t bytes = (size_t)out * (size_t)*taps * sizeof **table;
    KerbResizeTap *host = kerb_cuda_bytes(c, bytes);
    if (!host) return KERB_ERROR_MEMORY;
    kerb_resize_table(a, axis, in, out, 0, 1, host);
    *table = kerb_cuda_block(c, host, bytes);
    kerb_free(&host);
    return *table ? KERB_OK : kerb_cuda_failed(c);
}

KerbStatus kerb_cuda_emit_resize(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, const KerbOperand *y, bool *fits)
{
    const KerbResizeAttrs *a = &n->attrs.resize;
    const KerbOperand o[2] = {*x, *y};
    KerbResizeArgs args;
    memset(&args, 0, sizeof args);
    args.extrapolation = a->extrapolation;
    KerbStatus status = kerb_resize_upload(c, a, 2, x->t.dims[2], y->t.dims[2], &args.row_taps, &args.rows);
    if (!status && args.row_taps > 0) status = kerb_resize_upload(c, a, 3, x->t.dims[3], y->t.dims[3], &args.column_taps, &args.columns);
    *fits = args.row_taps > 0 && args.column_taps > 0;
    if (status || !*fits) return status;
    args.x = kerb_cuda_as_picture(x);
    args.y = kerb_cuda_as_picture(y);
    const KerbPatch patches[2] = {{offsetof(KerbResizeArgs, x.data), 0}, {offsetof(KerbResizeArgs, y.data), 1}};
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_resize, &args, o, 2, patches, 2);
    if (!step) return KERB_ERROR_MEMORY;
    kerb_cuda_label(c, step, "resize %s %d %dx%d -> %dx%d",
                    a->mode == KERB_RESIZE_NEAREST  ? "nearest"
                    : a->mode == KERB_RESIZE_LINEAR ? "linear"
                                                    : "cubic",
                    args.x.c, args.x.w, args.x.h, args.y.w, args.y.h);
    return KERB_OK;
}

KerbStatus kerb_cuda_compile_resize(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_RESIZE) return KERB_OK;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *y = &c->g->values[n->outputs[0]];
    if (x->dtype != KERB_F32 || !kerb_cuda_lies_as_picture(c->g, n->inputs[0]) || !kerb_cuda_lies_as_picture(c->g, n->outputs[0]) ||
        x->dims[1] != y->dims[1] || n->attrs.resize.coordinates == KERB_COORD_TF_CROP_AND_RESIZE)
        return KERB_OK;
    KerbOperand o[2];
    KerbStatus status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[1]);
    return status ? status : kerb_cuda_emit_resize(c, n, &o[0], &o[1], done);
}

/* ---- DepthToSpace, SpaceToDepth ---- */

KerbStatus kerb_cuda_compile_shuffle(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_DEPTH_TO_SPACE && n->op != KERB_OP_SPACE_TO_DEPTH) return KERB_OK;
    if (c->g->values[n->outputs[0]].dtype != KERB_F32 || !kerb_cuda_lies_as_picture(c->g, n->inputs[0]) ||
        !kerb_cuda_lies_as_picture(c->g, n->outputs[0]) || n->attrs.block.size < 1 || n->attrs.block.size > 1 << 15)
        return KERB_OK;
    *done = true;
    KerbOperand o[2];
    KerbStatus status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    const KerbShuffleArgs args = {.x = kerb_cuda_as_picture(&o[0]),
                                  .y = kerb_cuda_as_picture(&o[1]),
                                  .kind = n->op == KERB_OP_SPACE_TO_DEPTH ? KERB_SHUFFLE_TO_DEPTH
                                          : n->attrs.block.crd            ? KERB_SHUFFLE_CRD
                                                                          : KERB_SHUFFLE_DCR,
                                  .block = (int32_t)n->attrs.block.size};
    const KerbPatch patches[2] = {{offsetof(KerbShuffleArgs, x.data), 0}, {offsetof(KerbShuffleArgs, y.data), 1}};
    return kerb_cuda_kernel(c, n, KERB_KERNEL_shuffle, &args, o, 2, patches, 2) ? KERB_OK : KERB_ERROR_MEMORY;
}

/* ---- Pad ---- */

KerbStatus kerb_cuda_compile_pad(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_PAD) return KERB_OK;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *value = kerb_node_input(c->g, n, 2), *axes_value = kerb_node_input(c->g, n, 3);
    int64_t pads[2 * KERB_MAX_RANK], axes[KERB_MAX_RANK];
    KerbPadArgs args;
    memset(&args, 0, sizeof args);
    for (int i = 0; i < KERB_MAX_RANK; i++) axes[i] = i;
    const int count = axes_value ? kerb_value_integers(axes_value, axes, KERB_MAX_RANK) : x->rank;
    if (count < 0 || x->dtype == KERB_F64 || kerb_value_integers(kerb_node_input(c->g, n, 1), pads, 2 * KERB_MAX_RANK) != 2 * count)
        return KERB_OK;
    if (value) {
        if (!kerb_value_is_constant(value)) return KERB_OK;
        const KerbTensor t = kerb_value_tensor(value);
        if (kerb_tensor_elements(&t) != 1) return KERB_OK;
        args.value = kerb_tensor_get(&t, 0);
    }
    for (int i = 0; i < count; i++) {
        const int64_t axis = axes[i] < 0 ? axes[i] + x->rank : axes[i];
        if (axis < 0 || axis >= x->rank || pads[i] < -INT_MAX / 4 || pads[i] > INT_MAX / 4) return KERB_OK;
        args.begin[axis] = (int32_t)pads[i];
    }
    KerbOperand o[2];
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (status || kerb_tensor_elements(&o[0].t) < 1) return status;
    *done = true;
    if ((status = kerb_cuda_place(c, n->outputs[0], &o[1]))) return status;
    if (o[0].t.dtype != o[1].t.dtype) { /* a constant */
        const KerbOperand from = o[0];
        KerbTensor t = kerb_tensor(NULL, o[1].t.dtype, from.t.rank, from.t.dims);
        if ((status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, &o[0]))) return status;
        if ((status = kerb_cuda_copy(c, n, &from, &o[0]))) return status;
    }
    args.x = kerb_cuda_as_strided(&o[0]);
    args.y = kerb_cuda_as_strided(&o[1]);
    args.mode = (int32_t)n->attrs.pad.mode;
    args.padding = kerb_cuda_padding(&o[1]);
    kerb_pad_order(&args);
    const KerbPatch patches[2] = {{offsetof(KerbPadArgs, x.data), 0}, {offsetof(KerbPadArgs, y.data), 1}};
    return kerb_cuda_kernel(c, n, KERB_KERNEL_pad, &args, o, 2, patches, 2) ? KERB_OK : KERB_ERROR_MEMORY;
}
