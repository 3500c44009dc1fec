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
    *out = (KerbQuant){.value = integers, .dtype = v->dtype};
    if ((v->dtype != KERB_U8 && v->dtype != KERB_I8) || n->attrs.quantize.block_size) return false;
    if (kerb_value_floats(scale, &out->scale, 1) != 1 || !(out->scale > 0) || !isfinite(out->scale)) return false;
    if (!zero) return true;
    if (!kerb_value_is_constant(zero) || !kerb_dims_elements(zero->rank, zero->dims, 0, &zeros) || zeros != 1) return false;
    const KerbTensor t = kerb_value_tensor(zero);
    out->zero = (int)kerb_tensor_get_i64(&t, 0);
    return true;
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

static const KerbNode *kerb_conv_producer(const KerbGraph *g, uint32_t value)
{
    uint32_t id = value == KERB_NO_VALUE ? KERB_NO_NODE : g->values[value].producer;
    return id == KERB_NO_NODE ? NULL : &g->nodes[id];
}

static uint32_t kerb_conv_input_id(const KerbNode *n, int i) { return i < n->n_inputs ? n->inputs[i] : KERB_NO_VALUE; }

static int64_t kerb_conv_count(const KerbGraph *g, uint32_t value)
{
    int64_t elements = 0;
    const KerbValue *v = kerb_graph_value(g, value);
    return kerb_value_is_constant(v) && kerb_dims_elements(v->rank, v->dims, 0, &elements) ? elements : -1;
}

/* One constant scale and zero point, or `channels` of them along `axis`. */
static bool kerb_conv_quant_fits(const KerbGraph *g, uint32_t scale, uint32_t zero, int64_t at, int64_t channels, int64_t axis)
{
    int64_t scales = kerb_conv_count(g, scale), zeros = zero == KERB_NO_VALUE ? 1 : kerb_conv_count(g, zero);
    if (scales == 1) return zeros == 1;
    return channels && scales == channels && (zeros == 1 || zeros == channels) && at == axis;
}

/* The DequantizeLinear or QuantizeLinear node's scale and zero point, where these are one constant. */
static bool kerb_conv_quant_of(const KerbGraph *g, const KerbNode *n, uint32_t *scale, uint32_t *zero)
{
    *scale = kerb_conv_input_id(n, 1);
    *zero = kerb_conv_input_id(n, 2);
    return n->attrs.quantize.block_size == 0 && kerb_conv_quant_fits(g, *scale, *zero, 0, 0, 0);
}

static bool kerb_conv_is_8bit(const KerbGraph *g, uint32_t value)
{
    const KerbValue *v = kerb_graph_value(g, value);
    return v && (v->dtype == KERB_I8 || v->dtype == KERB_U8);
}

/* The only reader of a value, or KERB_NO_NODE. */
static uint32_t kerb_conv_reader(const KerbGraph *g, uint32_t value)
{
    uint32_t reader = KERB_NO_NODE;
    if (kerb_graph_uses(g, value) != 1) return reader;
    for (int i = 0; i < g->n_nodes && reader == KERB_NO_NODE; i++) {
        if (g->nodes[i].dead) continue;
        for (int j = 0; j < g->nodes[i].n_inputs; j++) {
            if (g->nodes[i].inputs[j] == value) reader = (uint32_t)i;
        }
    }
    return reader;
}

bool kerb_conv_quant(const KerbGraph *g, const KerbNode *n, KerbConvQuant *out)
{
    KerbConvQuant q = { KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE,
                        KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_NODE };
    *out = q;
    if (n->op != KERB_OP_CONV) return false;
    const KerbNode *x = kerb_conv_producer(g, kerb_conv_input_id(n, 0)), *z = kerb_conv_producer(g, kerb_conv_input_id(n, 3));
    const KerbValue *w = kerb_node_input(g, n, 1); /* its DequantizeLinear has been folded */
    if (!x || x->op != KERB_OP_DEQUANTIZE || !kerb_conv_quant_of(g, x, &q.x_scale, &q.x_zero)) return false;
    if (!w || !w->dequantized || !kerb_conv_quant_fits(g, w->integers_scale, w->integers_zero, w->integers_axis, w->dims[0], 0)) return false;
    q.x = x->inputs[0];
    q.w = w->integers;
    q.w_scale = w->integers_scale;
    q.w_zero = w->integers_zero;
    if (!kerb_conv_is_8bit(g, q.x) || !kerb_value_is_constant(kerb_graph_value(g, q.w)) || g->values[q.w].dtype != KERB_I8) return false;
    if (!kerb_quant_symmetric(g, q.w_zero)) return false;
    if (z && z->op == KERB_OP_DEQUANTIZE && kerb_conv_quant_of(g, z, &q.z_scale, &q.z_zero) && kerb_conv_is_8bit(g, z->inputs[0])) q.z = z->inputs[0];
    uint32_t reader = kerb_conv_reader(g, n->outputs[0]);
    if (reader != KERB_NO_NODE && g->nodes[reader].op == KERB_OP_QUANTIZE && kerb_conv_quant_of(g, &g->nodes[reader], &q.y_scale, &q.y_zero)) {
        q.y = g->nodes[reader].outputs[0];
        q.quantize = reader;
    }
    *out = q;
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
