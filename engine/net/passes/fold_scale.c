/* SPDX-License-Identifier: MIT */
/* conv * c, conv / c, conv + c, conv - c and c - conv, for constants of one number or one a channel: into weights and bias. So exporters'
 * written-out batch norms (Mul, Add) disappear as real ones do. */
#include <math.h>

#include "net/passes/pass.h"

/* y = a x + b of one element of the constant, where the convolution is operand `side`. */
static bool affine(KerbBinary kind, int side, double c, double *a, double *b)
{
    *a = 1;
    *b = 0;
    switch (kind) {
    case KERB_BINARY_MUL: *a = c; break;
    case KERB_BINARY_DIV: *a = 1 / c; break;
    case KERB_BINARY_ADD: *b = c; break;
    case KERB_BINARY_SUB:
        *a = side ? -1 : 1;
        *b = side ? c : -c;
        break;
    default: return false;
    }
    return isfinite(*a) && isfinite(*b) && !(kind == KERB_BINARY_DIV && side);
}

static KerbStatus fold_one(KerbGraph *g, uint32_t id, int side, int *changes, KerbError *error)
{
    const KerbNode *n = &g->nodes[id];
    KerbNode *conv = kerb_pass_plain_conv(g, n->inputs[side], true);
    if (!conv) return KERB_OK;
    const KerbValue *y = kerb_graph_value(g, conv->outputs[0]), *constant = kerb_graph_value(g, n->inputs[1 - side]);
    int64_t count = kerb_pass_channel_constant(g, n->inputs[1 - side], y->rank, kerb_pass_conv_outputs(g, conv));
    if (!count) return KERB_OK;
    double *a = kerb_alloc((size_t)count * 2 * sizeof *a), *b = a ? a + count : NULL;
    if (!a) return kerb_pass_out_of_memory(error);
    bool exact = true, memory = true;
    for (int64_t i = 0; i < count && exact; i++) exact = affine(n->attrs.binary.kind, side, kerb_pass_float(constant, i), &a[i], &b[i]);
    if (exact) {
        uint32_t conv_id = (uint32_t)(conv - g->nodes);
        memory = kerb_pass_scale_outputs(g, conv_id, count, a, b);
        g->nodes[conv_id].attrs.conv.act = g->nodes[id].attrs.binary.act;
        kerb_pass_take_over(g, &g->nodes[conv_id], &g->nodes[id]);
        ++*changes;
    }
    kerb_free(&a);
    return memory ? KERB_OK : kerb_pass_out_of_memory(error);
}

KerbStatus kerb_pass_fold_scale(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        for (int side = 0; side < 2; side++) {
            const KerbNode *n = &g->nodes[i];
            if (n->dead || n->op != KERB_OP_BINARY || kerb_graph_value(g, n->outputs[0])->dtype != KERB_F32) continue;
            KerbStatus status = fold_one(g, (uint32_t)i, side, changes, error);
            if (status != KERB_OK) return status;
        }
    }
    return kerb_pass_finish(g, *changes, error);
}
