/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling of pictures; maximum pooling with indices and its inverse. Where indices are only read by MaxUnpool over the
 * same windows they are kept as one byte each: the place in the window. */
#include <stddef.h>
#include <string.h>

#include "cuda/net/compile.h"
#include "net/views.h"

static bool kerb_pool_window(const KerbCompiler *c, const KerbNode *n, uint32_t small, uint32_t large, KerbPoolArgs *a)
{
    const KerbWindow *w = &n->attrs.pool.window;
    memset(a, 0, sizeof *a);
    if (w->n != 2 || w->auto_pad != KERB_PAD_EXPLICIT || !kerb_cuda_lies_as_picture(c->g, small) || !kerb_cuda_lies_as_picture(c->g, large))
        return false;
    for (int i = 0; i < 2; i++) {
        if (w->kernel[i] < 1 || w->kernel[i] > 1 << 15 || w->stride[i] < 1 || w->stride[i] > INT_MAX || w->dilation[i] < 1 ||
            w->dilation[i] > INT_MAX / (1 << 15) || w->pad_begin[i] < 0 || w->pad_begin[i] > INT_MAX / 2 || w->pad_end[i] < 0 ||
            w->pad_end[i] > INT_MAX / 2)
            return false;
        a->kernel[i] = (int32_t)w->kernel[i];
        a->stride[i] = (int32_t)w->stride[i];
        a->dilation[i] = (int32_t)w->dilation[i];
        a->pad[i] = (int32_t)w->pad_begin[i];
        a->pad_end[i] = (int32_t)w->pad_end[i];
    }
    return true;
}

/* Bytes channels-last, or flat indices as ONNX has them. */
static KerbStatus kerb_pool_place_indices(KerbCompiler *c, const KerbNode *n, KerbPoolArgs *a, KerbOperand *out, KerbPatch *patch)
{
    const uint32_t id = n->outputs[1];
    KerbStatus status;
    if (kerb_pool_indices_stay(c->g, n)) {
        const KerbTensor t = kerb_cuda_picture_tensor(KERB_U8, 4, c->g->values[id].dims);
        if ((status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, out))) return status;
        kerb_cuda_alias(c, id, out, &t, 0);
        a->index_row = t.strides[2];
        a->index_pixel = t.strides[3];
        *patch = (KerbPatch){offsetof(KerbPoolArgs, window_index), 2};
        return KERB_OK;
    }
    if ((status = kerb_cuda_place(c, id, out))) return status;
    for (int i = 0; i < 3; i++) a->flat_strides[i] = out->t.strides[1 + i];
    a->column_major = n->attrs.pool.column_major;
    *patch = (KerbPatch){offsetof(KerbPoolArgs, flat), 2};
    return KERB_OK;
}

static KerbStatus kerb_pool_step(KerbCompiler *c, const KerbNode *n, KerbPoolArgs *args, const KerbOperand *o, const KerbPatch *patches,
                                 int count)
{
    const bool maximum = n->op == KERB_OP_MAX_POOL;
    args->x = kerb_cuda_as_picture(&o[0]);
    args->y = kerb_cuda_as_picture(&o[1]);
    args->count_include_pad = !maximum && n->attrs.pool.count_include_pad;
    KerbStep *step = kerb_cuda_kernel(c, n, maximum ? KERB_KERNEL_max_pool : KERB_KERNEL_average_pool, args, o, count, patches, count);
    if (!step) return KERB_ERROR_MEMORY;
    kerb_cuda_label(c, step, "%s pool %dx%d stride %d %d %dx%d", maximum ? "max" : "average", args->kernel[1], args->kernel[0],
                    args->stride[1], args->y.c, args->y.w, args->y.h);
    return KERB_OK;
}

static const KerbPatch kerb_pool_patches[2] = {{offsetof(KerbPoolArgs, x.data), 0}, {offsetof(KerbPoolArgs, y.data), 1}};

KerbStatus kerb_cuda_emit_pool(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, const KerbOperand *y, bool *fits)
{
    KerbPoolArgs args;
    *fits = kerb_pool_window(c, n, n->outputs[0], n->inputs[0], &args);
    const KerbOperand o[2] = {*x, *y};
    return *fits ? kerb_pool_step(c, n, &args, o, kerb_pool_patches, 2) : KERB_OK;
}

KerbStatus kerb_cuda_compile_pool(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_MAX_POOL && n->op != KERB_OP_AVERAGE_POOL) return KERB_OK;
    const bool indices = n->n_outputs > 1 && n->outputs[1] != KERB_NO_VALUE;
    KerbPoolArgs args;
    if (c->g->values[n->outputs[0]].dtype != KERB_F32 || !kerb_pool_window(c, n, n->outputs[0], n->inputs[0], &args)) return KERB_OK;
    *done = true;
    KerbOperand o[3];
    KerbPatch patches[3] = {kerb_pool_patches[0], kerb_pool_patches[1]};
    KerbStatus status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[1]);
    if (!status && indices) status = kerb_pool_place_indices(c, n, &args, &o[2], &patches[2]);
    return status ? status : kerb_pool_step(c, n, &args, o, patches, 2 + indices);
}

/* ---- the inverse ---- */

/* From a pool's bytes: every pixel looks whether it was its window's largest. */
static KerbStatus kerb_compile_unpool_bytes(KerbCompiler *c, const KerbNode *n, const KerbOperand *indices)
{
    const KerbNode *pool = &c->g->nodes[c->g->values[n->inputs[1]].producer];
    KerbPoolArgs window;
    kerb_pool_window(c, pool, pool->outputs[0], pool->inputs[0], &window);
    KerbOperand o[3] = {{.root = KERB_NO_ROOT}, {.root = KERB_NO_ROOT}, *indices};
    KerbStatus status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    KerbUnpoolArgs args = {.x = kerb_cuda_as_picture(&o[0]),
                           .y = kerb_cuda_as_picture(&o[1]),
                           .index_row = indices->t.strides[2],
                           .index_pixel = indices->t.strides[3]};
    for (int i = 0; i < 2; i++) {
        args.kernel[i] = window.kernel[i];
        args.stride[i] = window.stride[i];
        args.dilation[i] = window.dilation[i];
        args.pad[i] = window.pad[i];
    }
    const KerbPatch patches[3] = {
        {offsetof(KerbUnpoolArgs, x.data), 0}, {offsetof(KerbUnpoolArgs, y.data), 1}, {offsetof(KerbUnpoolArgs, window_index), 2}};
    return kerb_cuda_kernel(c, n, KERB_KERNEL_unpool, &args, o, 3, patches, 3) ? KERB_OK : KERB_ERROR_MEMORY;
}

/* From ONNX's flat indices: a fill with 0 and a scatter. */
static KerbStatus kerb_compile_unpool_flat(KerbCompiler *c, const KerbNode *n, const KerbOperand *indices, bool *done)
{
    KerbOperand o[3] = {{.root = KERB_NO_ROOT}, {.root = KERB_NO_ROOT}, *indices};
    const KerbWindow *w = &n->attrs.pool.window;
    if (indices->t.dtype != KERB_I64 || indices->t.rank != 4 || w->n != 2) return KERB_OK;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    *done = true;
    KerbUnpoolFlatArgs args = {.x = kerb_cuda_as_strided(&o[0]), .y = kerb_cuda_as_strided(&o[1])};
    memcpy(args.index_strides, indices->t.strides, sizeof args.index_strides);
    for (int i = 0; i < 2; i++)
        args.implied[i] = (int32_t)((o[0].t.dims[2 + i] - 1) * w->stride[i] + w->kernel[i] - w->pad_begin[i] - w->pad_end[i]);
    const KerbPatch patches[3] = {
        {offsetof(KerbUnpoolFlatArgs, x.data), 0}, {offsetof(KerbUnpoolFlatArgs, y.data), 1}, {offsetof(KerbUnpoolFlatArgs, indices), 2}};
    KerbCopyArgs zero = {.value = 0};
    bool fits;
    if ((status = kerb_cuda_walk_kernel(c, n, KERB_KERNEL_copy, &zero, &o[1], 1, &fits))) return status;
    return kerb_cuda_kernel(c, n, KERB_KERNEL_unpool_flat, &args, o, 3, patches, 3) ? KERB_OK : KERB_ERROR_MEMORY;
}

KerbStatus kerb_cuda_compile_unpool(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_MAX_UNPOOL) return KERB_OK;
    KerbOperand indices;
    KerbStatus status = kerb_cuda_value(c, n->inputs[1], &indices);
    if (status) return status;
    *done = indices.t.dtype == KERB_U8;
    return *done ? kerb_compile_unpool_bytes(c, n, &indices) : kerb_compile_unpool_flat(c, n, &indices, done);
}
