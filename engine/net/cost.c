/* SPDX-License-Identifier: MIT */
/* What a graph costs: operations of a node, bytes of weights. */
#include "net/passes.h"

static double elements(const KerbValue *v)
{
    double n = 1;
    for (int i = 0; v && i < v->rank; i++) n *= (double)v->dims[i];
    return v ? n : 0;
}

static double window_elements(const KerbWindow *w)
{
    double n = 1;
    for (int i = 0; i < w->n; i++) n *= (double)w->kernel[i];
    return n;
}

static double activation_flops(const KerbActivation *act, double n) { return act->kind == KERB_ACT_NONE ? 0 : n; }

static double conv_flops(const KerbGraph *g, const KerbNode *n, const KerbValue *x, const KerbValue *y)
{
    const KerbValue *w = kerb_node_input(g, n, n->op == KERB_OP_QLINEAR_CONV ? 3 : 1);
    double each = w->rank > 0 && w->dims[0] > 0 ? elements(w) / (double)w->dims[0] : 0; /* multiplications an output (Conv) or input (ConvTranspose) element */
    double out = elements(y), sum = 2 * each * (n->op == KERB_OP_CONV_TRANSPOSE ? elements(x) : out);
    if (kerb_node_input(g, n, n->op == KERB_OP_QLINEAR_CONV ? 8 : 2)) sum += out;
    if (n->op == KERB_OP_CONV && kerb_node_input(g, n, 3)) sum += out;
    return sum + activation_flops(&n->attrs.conv.act, out);
}

static double resize_flops(const KerbNode *n, const KerbValue *x, double out)
{
    double taps = 1;
    for (int i = 0; i < x->rank; i++)
        if (n->attrs.resize.scale[i] != 1) taps *= n->attrs.resize.mode == KERB_RESIZE_CUBIC ? 4 : 2;
    return n->attrs.resize.mode == KERB_RESIZE_NEAREST ? 0 : 2 * taps * out;
}

double kerb_node_flops(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(g, n, 0), *y = kerb_graph_value(g, n->outputs[0]);
    double in = elements(x), out = elements(y);
    switch (n->op) {
    case KERB_OP_CONV:
    case KERB_OP_CONV_TRANSPOSE:
    case KERB_OP_QLINEAR_CONV: return conv_flops(g, n, x, y);
    case KERB_OP_MATMUL:
    case KERB_OP_QLINEAR_MATMUL: return 2 * out * (x->rank ? (double)x->dims[x->rank - 1] : 0);
    case KERB_OP_GEMM:
        return 2 * out * (double)x->dims[!n->attrs.gemm.trans_a] + (kerb_node_input(g, n, 2) ? out : 0) + activation_flops(&n->attrs.gemm.act, out);
    case KERB_OP_BATCH_NORM: return 2 * out;
    case KERB_OP_INSTANCE_NORM: return 6 * out;
    case KERB_OP_LRN: return out * (3 + 2 * (double)n->attrs.lrn.size);
    case KERB_OP_BINARY: return out + activation_flops(&n->attrs.binary.act, out);
    case KERB_OP_UNARY:
    case KERB_OP_CLIP: return out;
    case KERB_OP_MAX_POOL:
    case KERB_OP_AVERAGE_POOL: return out * window_elements(&n->attrs.pool.window);
    case KERB_OP_REDUCE:
    case KERB_OP_ARG:
    case KERB_OP_CUMSUM: return in;
    case KERB_OP_SOFTMAX: return 4 * out; /* largest, difference, sum, quotient; exp counts as nothing more */
    case KERB_OP_RESIZE: return resize_flops(n, x, out);
    case KERB_OP_GRID_SAMPLE: return out * 8;
    case KERB_OP_QUANTIZE:
    case KERB_OP_DEQUANTIZE: return 2 * out;
    default: return 0; /* they move data */
    }
}

size_t kerb_graph_weight_bytes(const KerbGraph *g)
{
    size_t bytes = 0;
    for (int i = 0; i < g->n_values; i++) {
        const KerbValue *v = &g->values[i];
        if (!kerb_value_is_constant(v) || kerb_graph_uses(g, (uint32_t)i) == 0) continue;
        KerbTensor t = kerb_value_tensor(v);
        bytes += kerb_tensor_bytes(&t);
    }
    return bytes;
}
