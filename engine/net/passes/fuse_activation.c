/* SPDX-License-Identifier: MIT */
/* An activation into the operator before it: Conv, ConvTranspose, arithmetic of two tensors, Gemm. That operator must have no other reader and no
 * activation yet, but for a Clip behind a ReLU or Clip, which are one Clip. Float only. Order inside a convolution: act(conv + bias + residual), so an activation behind a fused residual is right too. */
#include <math.h>

#include "net/passes/pass.h"

static bool is_activation(KerbUnary kind)
{
    switch (kind) {
    case KERB_UNARY_TANH:
    case KERB_UNARY_SIGMOID:
    case KERB_UNARY_HARD_SIGMOID:
    case KERB_UNARY_HARD_SWISH:
    case KERB_UNARY_RELU:
    case KERB_UNARY_LEAKY_RELU:
    case KERB_UNARY_ELU:
    case KERB_UNARY_SELU:
    case KERB_UNARY_CELU:
    case KERB_UNARY_THRESHOLDED_RELU:
    case KERB_UNARY_SOFTPLUS:
    case KERB_UNARY_SOFTSIGN:
    case KERB_UNARY_MISH:
    case KERB_UNARY_GELU:
    case KERB_UNARY_GELU_TANH:
    case KERB_UNARY_SWISH: return true;
    default: return false;
    }
}

static bool clip_bound(const KerbGraph *g, const KerbNode *n, int i, double otherwise, float *out)
{
    double v = otherwise;
    bool known = !kerb_node_input(g, n, i) || kerb_pass_scalar(g, n->inputs[i], &v);
    *out = (float)v;
    return known;
}

/* What the node does to its input 0, as an activation of a tensor of `channels`. */
static bool read_activation(const KerbGraph *g, const KerbNode *n, KerbActivation *act)
{
    *act = (KerbActivation){ .slope = KERB_NO_VALUE };
    if (n->op == KERB_OP_UNARY) {
        act->kind = KERB_ACT_UNARY;
        act->unary = n->attrs.unary.kind;
        act->alpha = n->attrs.unary.alpha;
        act->beta = n->attrs.unary.beta;
        return is_activation(act->unary);
    }
    if (n->op == KERB_OP_CLIP) {
        act->kind = KERB_ACT_CLIP;
        return clip_bound(g, n, 1, -INFINITY, &act->lo) && clip_bound(g, n, 2, INFINITY, &act->hi) && act->lo <= act->hi;
    }
    if (!kerb_pass_is_binary(n, KERB_BINARY_PRELU) || n->attrs.binary.act.kind != KERB_ACT_NONE) return false;
    const KerbValue *x = kerb_node_input(g, n, 0);
    act->kind = KERB_ACT_PRELU;
    act->slope = n->inputs[1];
    return x->rank >= 2 && kerb_pass_channel_constant(g, n->inputs[1], x->rank, x->dims[1]) > 0;
}

/* Clip behind `own` -> one Clip in *act. */
static bool narrow_clip(const KerbActivation *own, KerbActivation *act)
{
    const bool relu = own->kind == KERB_ACT_UNARY && own->unary == KERB_UNARY_RELU;
    if (act->kind != KERB_ACT_CLIP || (!relu && own->kind != KERB_ACT_CLIP)) return false;
    act->lo = fmaxf(act->lo, relu ? 0 : own->lo);
    act->hi = fminf(act->hi, relu ? INFINITY : own->hi);
    return act->lo <= act->hi;
}

static bool takes_activation(const KerbGraph *g, KerbNode *n, KerbActivation *act)
{
    const KerbActivation *own = n ? kerb_pass_activation(n) : NULL;
    if (!own || kerb_graph_uses(g, n->outputs[0]) != 1) return false;
    if (own->kind != KERB_ACT_NONE && !narrow_clip(own, act)) return false;
    if (n->op == KERB_OP_GEMM) return act->kind != KERB_ACT_PRELU;
    return n->op != KERB_OP_BINARY || n->attrs.binary.kind <= KERB_BINARY_MAX;
}

KerbStatus kerb_pass_fuse_activation(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        KerbActivation act;
        if (n->dead || n->n_inputs < 1 || n->inputs[0] == KERB_NO_VALUE || kerb_node_input(g, n, 0)->dtype != KERB_F32) continue;
        KerbNode *before = kerb_pass_producer(g, n->inputs[0]);
        if (!read_activation(g, n, &act) || !takes_activation(g, before, &act)) continue;
        *kerb_pass_activation(before) = act;
        kerb_pass_take_over(g, before, n);
        ++*changes;
    }
    return kerb_pass_finish(g, *changes, error);
}
