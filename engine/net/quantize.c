/* SPDX-License-Identifier: MIT */
#include "net/quantize.h"

#include <math.h>

/* ---- tensors */

bool kerb_quant_of(const KerbGraph *g, const KerbNode *n, KerbQuant *out)
{
    if (n->op != KERB_OP_QUANTIZE && n->op != KERB_OP_DEQUANTIZE) return false;
    const uint32_t integers = n->op == KERB_OP_QUANTIZE ? n->outputs[0] : n->inputs[0];
    const KerbValue *v = kerb_graph_value(g, integers), *scale = kerb_node_input(g, n, 1), *zero = kerb_node_input(g, n, 2);
    int64_t zeros = 1;
    KerbQuant q = {.value = integers, .dtype = v->dtype};
    if ((v->dtype != KERB_U8 && v->dtype != KERB_I8) || n->attrs.quantize.block_size) return false;
    if (kerb_value_floats(scale, &q.scale, 1) != 1 || !(q.scale > 0) || !isfinite(q.scale)) return false;
    if (zero) {
        if (!kerb_value_is_constant(zero) || !kerb_dims_elements(zero->rank, zero->dims, 0, &zeros) || zeros != 1) return false;
        const KerbTensor t = kerb_value_tensor(zero);
        q.zero = (int)kerb_tensor_get_i64(&t, 0);
    }
    *out = q;
    return true;
}

bool kerb_quant_same(const KerbQuant *a, const KerbQuant *b)
{
    return a->dtype == b->dtype && a->scale == b->scale && a->zero == b->zero;
}

int kerb_quant_lowest(const KerbQuant *q)
{
    return q->dtype == KERB_I8 ? -128 : 0;
}

bool kerb_quant_source(const KerbGraph *g, uint32_t value, KerbQuant *out)
{
    const KerbValue *v = kerb_graph_value(g, value);
    if (!v || v->producer == KERB_NO_NODE) return false;
    const KerbNode *n = &g->nodes[v->producer];
    return n->op == KERB_OP_DEQUANTIZE && kerb_quant_of(g, n, out);
}

uint32_t kerb_quant_target(const KerbGraph *g, const KerbNode *n, const int readers[], const uint32_t reader[], KerbQuant *out)
{
    const uint32_t y = n->outputs[0], by = reader[y];
    if (n->n_outputs != 1 || readers[y] != 1 || by == KERB_NO_NODE) return KERB_NO_NODE;
    const KerbNode *q = &g->nodes[by];
    return q->op == KERB_OP_QUANTIZE && q->inputs[0] == y && kerb_quant_of(g, q, out) ? by : KERB_NO_NODE;
}

bool kerb_quant_symmetric(const KerbGraph *g, uint32_t zero)
{
    const KerbValue *v = kerb_graph_value(g, zero);
    if (!v) return true;
    KerbTensor t = kerb_value_tensor(v);
    for (int64_t i = 0; i < kerb_tensor_elements(&t); i++) {
        if (kerb_tensor_get_i64(&t, i) != 0) return false;
    }
    return true;
}

/* ---- convolutions */

static int64_t kerb_conv_count(const KerbGraph *g, uint32_t value)
{
    int64_t elements = 0;
    const KerbValue *v = kerb_graph_value(g, value);
    return kerb_value_is_constant(v) && kerb_dims_elements(v->rank, v->dims, 0, &elements) ? elements : -1;
}

/* Weights whose DequantizeLinear has been folded: i8, symmetric, one scale or one by output channel. */
static bool kerb_conv_weights_fit(const KerbGraph *g, const KerbValue *w)
{
    if (!w || !w->dequantized) return false;
    const KerbValue *integers = kerb_graph_value(g, w->integers);
    const int64_t channels = w->dims[0], scales = kerb_conv_count(g, w->integers_scale),
                  zeros = w->integers_zero == KERB_NO_VALUE ? 1 : kerb_conv_count(g, w->integers_zero);
    if (scales != 1 && (!channels || scales != channels || w->integers_axis != 0)) return false;
    if (zeros != 1 && (scales == 1 || zeros != channels)) return false;
    return kerb_value_is_constant(integers) && integers->dtype == KERB_I8 && kerb_quant_symmetric(g, w->integers_zero);
}

/* The only reader of a value, or NULL. */
static const KerbNode *kerb_conv_reader(const KerbGraph *g, uint32_t value)
{
    if (kerb_graph_uses(g, value) != 1) return NULL;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        for (int j = 0; j < n->n_inputs && !n->dead; j++) {
            if (n->inputs[j] == value) return n;
        }
    }
    return NULL;
}

bool kerb_conv_quant(const KerbGraph *g, const KerbNode *n, KerbConvQuant *out)
{
    const KerbQuant none = {.value = KERB_NO_VALUE};
    *out = (KerbConvQuant){.x = none, .w = KERB_NO_VALUE, .w_scale = KERB_NO_VALUE, .z = none, .y = none};
    if (n->op != KERB_OP_CONV) return false;
    const KerbValue *w = kerb_node_input(g, n, 1);
    if (!kerb_conv_weights_fit(g, w) || !kerb_quant_source(g, n->inputs[0], &out->x)) return false;
    out->w = w->integers;
    out->w_scale = w->integers_scale;
    if (n->n_inputs > 3) kerb_quant_source(g, n->inputs[3], &out->z);
    const KerbNode *reader = kerb_conv_reader(g, n->outputs[0]);
    if (reader && reader->op == KERB_OP_QUANTIZE) kerb_quant_of(g, reader, &out->y);
    return true;
}

bool kerb_graph_is_quantised(const KerbGraph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbConvQuant q;
        if (!g->nodes[i].dead && kerb_conv_quant(g, &g->nodes[i], &q)) return true;
    }
    return false;
}
