/* SPDX-License-Identifier: MIT */
/* What passes ask about a graph. Nothing here changes it. */
#include <string.h>

#include "net/passes/pass.h"

KerbNode *kerb_pass_producer(const KerbGraph *g, uint32_t value)
{
    const KerbValue *v = kerb_graph_value(g, value);
    return v && !v->data && v->producer != KERB_NO_NODE && !g->nodes[v->producer].dead ? &g->nodes[v->producer] : NULL;
}

KerbNode *kerb_pass_sole_producer(const KerbGraph *g, uint32_t value, KerbOp op)
{
    KerbNode *n = kerb_pass_producer(g, value);
    return n && n->op == op && n->outputs[0] == value && kerb_graph_uses(g, value) == 1 ? n : NULL;
}

bool kerb_pass_is_unary(const KerbNode *n, KerbUnary kind) { return n && n->op == KERB_OP_UNARY && n->attrs.unary.kind == kind; }

bool kerb_pass_is_binary(const KerbNode *n, KerbBinary kind) { return n && n->op == KERB_OP_BINARY && n->attrs.binary.kind == kind; }

bool kerb_pass_same_shape(const KerbValue *a, const KerbValue *b)
{
    if (a->rank != b->rank || a->dtype != b->dtype) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

bool kerb_pass_is_output(const KerbGraph *g, uint32_t value)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == value) return true;
    return false;
}

bool kerb_pass_scalar(const KerbGraph *g, uint32_t value, double *out)
{
    const KerbValue *v = kerb_graph_value(g, value);
    if (!kerb_value_is_constant(v) || v->rank < 0) return false;
    KerbTensor t = kerb_value_tensor(v);
    if (kerb_tensor_elements(&t) != 1) return false;
    *out = kerb_tensor_get(&t, 0);
    return true;
}

bool kerb_pass_scalar_operand(const KerbGraph *g, const KerbNode *n, double *number, uint32_t *other)
{
    for (int i = 0; i < 2; i++) {
        if (!kerb_pass_scalar(g, n->inputs[i], number)) continue;
        *other = n->inputs[1 - i];
        return kerb_graph_value(g, *other)->rank >= kerb_graph_value(g, n->inputs[i])->rank; /* a 1x1x1 constant may add axes */
    }
    return false;
}

int64_t kerb_pass_channel_constant(const KerbGraph *g, uint32_t value, int rank, int64_t channels)
{
    const KerbValue *v = kerb_graph_value(g, value);
    if (!kerb_pass_f32_constant(g, value) || v->rank > rank || rank < 2) return 0;
    for (int i = 0; i < v->rank; i++) {
        int axis = rank - v->rank + i;
        if (v->dims[i] != 1 && !(axis == 1 && v->dims[i] == channels)) return 0;
    }
    int at = 1 - (rank - v->rank); /* where axis 1 is in v */
    return at >= 0 && v->rank > 0 ? v->dims[at] : 1;
}

KerbActivation *kerb_pass_activation(KerbNode *n)
{
    switch (n->op) {
    case KERB_OP_CONV:
    case KERB_OP_CONV_TRANSPOSE: return &n->attrs.conv.act;
    case KERB_OP_BINARY: return &n->attrs.binary.act;
    case KERB_OP_GEMM: return &n->attrs.gemm.act;
    default: return NULL;
    }
}

bool kerb_pass_f32_constant(const KerbGraph *g, uint32_t value)
{
    const KerbValue *v = kerb_graph_value(g, value);
    return kerb_value_is_constant(v) && v->dtype == KERB_F32 && v->rank >= 0;
}

double kerb_pass_float(const KerbValue *v, int64_t i)
{
    float f;
    memcpy(&f, (const char *)v->data + (size_t)i * sizeof f, sizeof f);
    return (double)f;
}

bool kerb_pass_slice_begin(const KerbGraph *g, const KerbNode *n, int64_t begin[])
{
    int64_t starts[KERB_MAX_RANK], axes[KERB_MAX_RANK], steps[KERB_MAX_RANK];
    const KerbValue *x = kerb_node_input(g, n, 0);
    int k = kerb_value_integers(kerb_node_input(g, n, 1), starts, KERB_MAX_RANK);
    if (k < 0 || (kerb_node_input(g, n, 3) && kerb_value_integers(kerb_node_input(g, n, 3), axes, KERB_MAX_RANK) != k)) return false;
    if (kerb_node_input(g, n, 4) && kerb_value_integers(kerb_node_input(g, n, 4), steps, KERB_MAX_RANK) != k) return false;
    for (int i = 0; i < x->rank; i++) begin[i] = 0;
    for (int i = 0; i < k; i++) {
        int64_t axis = kerb_node_input(g, n, 3) ? axes[i] : i;
        if (kerb_node_input(g, n, 4) && steps[i] != 1) return false;
        if (axis < 0) axis += x->rank;
        int64_t start = starts[i] < 0 ? starts[i] + x->dims[axis] : starts[i];
        begin[axis] = start < 0 ? 0 : start > x->dims[axis] ? x->dims[axis] : start;
    }
    return true;
}
