/* SPDX-License-Identifier: MIT */
/* Products of matrices: MatMul with batches and broadcasting, Gemm. */
#include <stddef.h>
#include <string.h>

#include "cuda/net/compile.h"

static bool kerb_matmul_types(const KerbCompiler *c, const KerbNode *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(c->g, n, i);
        if (v && v->dtype != KERB_F32) return false;
    }
    return true;
}

/* The last two axes, and strides of batch axes as the result counts them. */
static KerbFactor kerb_matmul_factor(const KerbTensor *t, const KerbTensor *y, bool transposed)
{
    KerbFactor f = {.type = (int32_t)t->dtype, .row = t->strides[t->rank - 2], .column = t->strides[t->rank - 1]};
    if (transposed) {
        f.row = t->strides[t->rank - 1];
        f.column = t->strides[t->rank - 2];
    }
    for (int i = 0; i < y->rank - 2; i++) {
        const int at = i - (y->rank - t->rank);
        f.batch[i] = at >= 0 && t->dims[at] != 1 ? t->strides[at] : 0;
    }
    return f;
}

static const KerbPatch kerb_matmul_patches[4] = {{offsetof(KerbMatmulArgs, a.data), 0},
                                                 {offsetof(KerbMatmulArgs, b.data), 1},
                                                 {offsetof(KerbMatmulArgs, y.data), 2},
                                                 {offsetof(KerbMatmulArgs, c.data), 3}};

static KerbStatus kerb_matmul_finish(KerbCompiler *c, const KerbNode *n, KerbMatmulArgs *args, const KerbOperand *o, int count)
{
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_matmul, args, o, count, kerb_matmul_patches, count);
    if (step) kerb_cuda_label(c, step, "product %dx%dx%d", args->m, args->n, args->k);
    /* A product knows no padding: what it leaves out of a picture's pixels is set to 0 behind it. */
    return step ? kerb_cuda_zero_padding(c, n, &o[2]) : KERB_ERROR_MEMORY;
}

static KerbStatus kerb_compile_matmul(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[3];
    const KerbValue *y = &c->g->values[n->outputs[0]], *a = kerb_node_input(c->g, n, 0), *b = kerb_node_input(c->g, n, 1);
    if (y->rank < 2 || a->rank < 2 || b->rank < 2) return KERB_OK;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (!status) status = kerb_cuda_value(c, n->inputs[1], &o[1]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[2]);
    if (status) return status;
    *done = true;
    KerbMatmulArgs args;
    memset(&args, 0, sizeof args);
    args.a = kerb_matmul_factor(&o[0].t, &o[2].t, false);
    args.b = kerb_matmul_factor(&o[1].t, &o[2].t, false);
    args.y = kerb_matmul_factor(&o[2].t, &o[2].t, false);
    args.m = (int32_t)y->dims[y->rank - 2];
    args.n = (int32_t)y->dims[y->rank - 1];
    args.k = (int32_t)a->dims[a->rank - 1];
    args.batch_rank = y->rank - 2;
    for (int i = 0; i < y->rank - 2; i++) args.batch_dims[i] = (int32_t)y->dims[i];
    args.alpha = 1;
    return kerb_matmul_finish(c, n, &args, o, 3);
}

static KerbStatus kerb_compile_gemm(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbOperand o[4];
    const KerbValue *y = &c->g->values[n->outputs[0]], *third = kerb_node_input(c->g, n, 2);
    if (y->rank != 2 || n->attrs.gemm.act.kind == KERB_ACT_PRELU) return KERB_OK;
    KerbStatus status = kerb_cuda_value(c, n->inputs[0], &o[0]);
    if (!status) status = kerb_cuda_value(c, n->inputs[1], &o[1]);
    if (!status && third) status = kerb_cuda_value(c, n->inputs[2], &o[3]);
    if (!status) status = kerb_cuda_place(c, n->outputs[0], &o[2]);
    if (status) return status;
    *done = true;
    KerbMatmulArgs args;
    memset(&args, 0, sizeof args);
    args.a = kerb_matmul_factor(&o[0].t, &o[2].t, n->attrs.gemm.trans_a);
    args.b = kerb_matmul_factor(&o[1].t, &o[2].t, n->attrs.gemm.trans_b);
    args.y = kerb_matmul_factor(&o[2].t, &o[2].t, false);
    if (third) {
        const KerbTensor *t = &o[3].t; /* (m, n), or what broadcasts to it */
        args.c.type = (int32_t)t->dtype;
        args.c.column = t->rank > 0 && t->dims[t->rank - 1] != 1 ? t->strides[t->rank - 1] : 0;
        args.c.row = t->rank > 1 && t->dims[t->rank - 2] != 1 ? t->strides[t->rank - 2] : 0;
    }
    args.m = (int32_t)y->dims[0];
    args.n = (int32_t)y->dims[1];
    args.k = (int32_t)o[0].t.dims[n->attrs.gemm.trans_a ? 0 : 1];
    args.alpha = n->attrs.gemm.alpha;
    args.beta = n->attrs.gemm.beta;
    args.act = kerb_fused(&n->attrs.gemm.act);
    return kerb_matmul_finish(c, n, &args, o, third ? 4 : 3);
}

KerbStatus kerb_cuda_compile_matmul(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if ((n->op != KERB_OP_MATMUL && n->op != KERB_OP_GEMM) || !kerb_matmul_types(c, n)) return KERB_OK;
    return n->op == KERB_OP_MATMUL ? kerb_compile_matmul(c, n, done) : kerb_compile_gemm(c, n, done);
}
