/* SPDX-License-Identifier: MIT */
/* Add(conv, other) with other of conv's shape: Conv(x, w, bias, other). The convolution must have no other reader (then `other` cannot depend on
 * it, so no cycle arises) and no activation of its own (it would have to come before the sum). Where both are convolutions, the later one takes
 * the earlier one's output. An activation that was fused into the Add moves along. */
#include "net/passes/pass.h"

static KerbNode *fusable_conv(const KerbGraph *g, uint32_t value, uint32_t other)
{
    KerbNode *n = kerb_pass_sole_producer(g, value, KERB_OP_CONV);
    const KerbValue *v = kerb_graph_value(g, value), *o = kerb_graph_value(g, other);
    if (!n || kerb_node_input(g, n, 3) || n->attrs.conv.act.kind != KERB_ACT_NONE) return NULL;
    return kerb_dtype_is_float(v->dtype) && !kerb_value_is_constant(o) && kerb_pass_same_shape(v, o) ? n : NULL;
}

KerbStatus kerb_pass_fuse_residual(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead || !kerb_pass_is_binary(n, KERB_BINARY_ADD)) continue;
        KerbNode *a = fusable_conv(g, n->inputs[0], n->inputs[1]), *b = fusable_conv(g, n->inputs[1], n->inputs[0]);
        KerbNode *conv = !a ? b : !b ? a : a > b ? a : b;
        if (!conv) continue;
        uint32_t residual = n->inputs[conv == a ? 1 : 0];
        if (!kerb_pass_set_input(g, (uint32_t)(conv - g->nodes), 3, residual)) return kerb_pass_out_of_memory(error);
        conv->attrs.conv.act = n->attrs.binary.act;
        kerb_pass_take_over(g, conv, n);
        ++*changes;
    }
    return kerb_pass_finish(g, *changes, error);
}
