/* SPDX-License-Identifier: MIT */
/* Normalisations that the passes left: by channel with constants, by channel of this picture, over neighbouring channels. Pictures only. */
#include <math.h>
#include <stddef.h>

#include "cuda/net/compile.h"

static const KerbPatch kerb_norm_patches[2] = {{offsetof(KerbFinishArgs, x.data), 0}, {offsetof(KerbFinishArgs, y.data), 1}};

/* Scale and bias of inference: s = scale / sqrt(var + epsilon), b = bias - mean * s. */
static KerbStatus kerb_batch_norm_constants(KerbCompiler *c, const KerbNode *n, int64_t channels, KerbFinishArgs *args, bool *constant)
{
    float *f[4] = {NULL};
    KerbStatus status = KERB_OK;
    *constant = true;
    for (int i = 0; i < 4 && !status; i++) {
        status = kerb_cuda_floats(c, n->inputs[1 + i], (size_t)channels + 8, &f[i]);
        const KerbValue *v = kerb_node_input(c->g, n, 1 + i);
        *constant = *constant && f[i] && v->rank == 1 && v->dims[0] == channels;
    }
    if (!status && *constant) {
        for (int64_t i = 0; i < channels; i++) {
            const double s = (double)f[0][i] / sqrt((double)f[3][i] + (double)n->attrs.norm.epsilon);
            f[1][i] = (float)((double)f[1][i] - s * (double)f[2][i]);
            f[0][i] = (float)s;
        }
        args->scale = kerb_cuda_block(c, f[0], ((size_t)channels + 8) * sizeof(float));
        args->bias = kerb_cuda_block(c, f[1], ((size_t)channels + 8) * sizeof(float));
        if (!args->scale || !args->bias) status = kerb_cuda_failed(c);
    }
    for (int i = 0; i < 4; i++) kerb_free(&f[i]);
    return status;
}

static KerbStatus kerb_compile_batch_norm(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbFinishArgs args = {.z_scale = 1, .y_scale = 1};
    KerbOperand o[2];
    KerbStatus status = kerb_batch_norm_constants(c, n, c->g->values[n->outputs[0]].dims[1], &args, done);
    if (status || !*done) return status;
    if ((status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]))) return status;
    if ((status = kerb_cuda_place_over(c, n->outputs[0], &o[0], 1, &o[1]))) return status;
    args.x = kerb_cuda_as_picture(&o[0]);
    args.y = kerb_cuda_as_picture(&o[1]);
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_finish, &args, o, 2, kerb_norm_patches, 2);
    if (step) kerb_cuda_label(c, step, "batch norm");
    return step ? KERB_OK : KERB_ERROR_MEMORY;
}

static KerbStatus kerb_compile_instance_norm(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const int64_t channels = c->g->values[n->outputs[0]].dims[1];
    float *gamma = NULL, *beta = NULL;
    KerbInstanceNormArgs args = {.epsilon = n->attrs.norm.epsilon};
    KerbOperand o[3];
    KerbStatus status = kerb_cuda_floats(c, n->inputs[1], (size_t)channels + 8, &gamma);
    if (!status) status = kerb_cuda_floats(c, n->inputs[2], (size_t)channels + 8, &beta);
    if (!status && gamma && beta) {
        args.gamma = kerb_cuda_block(c, gamma, ((size_t)channels + 8) * sizeof(float));
        args.beta = kerb_cuda_block(c, beta, ((size_t)channels + 8) * sizeof(float));
        if (!args.gamma || !args.beta) status = kerb_cuda_failed(c);
        *done = true;
    }
    kerb_free(&gamma);
    kerb_free(&beta);
    if (status || !*done) return status;
    if ((status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]))) return status;
    if ((status = kerb_cuda_place(c, n->outputs[0], &o[1]))) return status;
    args.x = kerb_cuda_as_picture(&o[0]);
    args.y = kerb_cuda_as_picture(&o[1]);
    const int64_t bytes = (int64_t)kerb_instance_norm_scratch(&args.x);
    const KerbTensor scratch = kerb_tensor(NULL, KERB_U8, 1, &bytes);
    if ((status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &scratch, &o[2]))) return status;
    const KerbPatch patches[3] = {{offsetof(KerbInstanceNormArgs, x.data), 0},
                                  {offsetof(KerbInstanceNormArgs, y.data), 1},
                                  {offsetof(KerbInstanceNormArgs, scratch), 2}};
    return kerb_cuda_kernel(c, n, KERB_KERNEL_instance_norm, &args, o, 3, patches, 3) ? KERB_OK : KERB_ERROR_MEMORY;
}

static KerbStatus kerb_compile_lrn(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[2];
    if (n->attrs.lrn.size < 1 || n->attrs.lrn.size > INT_MAX) return KERB_OK;
    *done = true;
    KerbStatus status = kerb_cuda_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    const KerbLrnArgs args = {.x = kerb_cuda_as_picture(&o[0]),
                              .y = kerb_cuda_as_picture(&o[1]),
                              .size = (int32_t)n->attrs.lrn.size,
                              .alpha = n->attrs.lrn.alpha,
                              .beta = n->attrs.lrn.beta,
                              .bias = n->attrs.lrn.bias};
    const KerbPatch patches[2] = {{offsetof(KerbLrnArgs, x.data), 0}, {offsetof(KerbLrnArgs, y.data), 1}};
    return kerb_cuda_kernel(c, n, KERB_KERNEL_lrn, &args, o, 2, patches, 2) ? KERB_OK : KERB_ERROR_MEMORY;
}

KerbStatus kerb_cuda_compile_norm(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_BATCH_NORM && n->op != KERB_OP_INSTANCE_NORM && n->op != KERB_OP_LRN) return KERB_OK;
    if (c->g->values[n->outputs[0]].dtype != KERB_F32 || !kerb_cuda_lies_as_picture(c->g, n->outputs[0])) return KERB_OK;
    switch (n->op) {
    case KERB_OP_BATCH_NORM: return kerb_compile_batch_norm(c, n, done);
    case KERB_OP_INSTANCE_NORM: return kerb_compile_instance_norm(c, n, done);
    default: return kerb_compile_lrn(c, n, done);
    }
}
