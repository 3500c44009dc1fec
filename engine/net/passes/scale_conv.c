/* SPDX-License-Identifier: MIT */
/* Scaling and shifting what a convolution gives, by changing its weights and bias. Computed in double, rounded once to f32. */
#include "net/passes/pass.h"

KerbNode *kerb_pass_plain_conv(const KerbGraph *g, uint32_t value, bool sole)
{
    KerbNode *n = kerb_pass_producer(g, value);
    if (!n || (n->op != KERB_OP_CONV && n->op != KERB_OP_CONV_TRANSPOSE) || n->attrs.conv.act.kind != KERB_ACT_NONE) return NULL;
    if (kerb_node_input(g, n, 3) || !kerb_pass_f32_constant(g, n->inputs[1])) return NULL;
    if (kerb_node_input(g, n, 2) && !kerb_pass_f32_constant(g, n->inputs[2])) return NULL;
    return !sole || kerb_graph_uses(g, value) == 1 ? n : NULL;
}

int64_t kerb_pass_conv_outputs(const KerbGraph *g, const KerbNode *conv)
{
    const KerbValue *w = kerb_node_input(g, conv, 1);
    return conv->op == KERB_OP_CONV ? w->dims[0] : w->dims[1] * conv->attrs.conv.group;
}

/* The output channel that a weight belongs to. Conv: (OC, IC/g, k...). ConvTranspose: (IC, OC/g, k...), input channels in g groups. */
static int64_t weight_output(const KerbNode *conv, const KerbValue *w, int64_t i, int64_t kernel)
{
    if (conv->op == KERB_OP_CONV) return i / (w->dims[1] * kernel);
    int64_t in = i / (w->dims[1] * kernel), out = i / kernel % w->dims[1];
    return in / (w->dims[0] / conv->attrs.conv.group) * w->dims[1] + out;
}

bool kerb_pass_scale_outputs(KerbGraph *g, uint32_t id, int64_t n, const double a[], const double b[])
{
    uint32_t w_id = g->nodes[id].inputs[1], y_id = g->nodes[id].outputs[0];
    int64_t channels = kerb_pass_conv_outputs(g, &g->nodes[id]), kernel = 1, elements;
    void *new_w, *new_b;
    uint32_t scaled = kerb_pass_constant(g, w_id, "scaled", KERB_F32, g->values[w_id].rank, g->values[w_id].dims, &new_w);
    uint32_t shifted = kerb_pass_constant(g, y_id, "bias", KERB_F32, 1, &channels, &new_b);
    if (scaled == KERB_NO_VALUE || shifted == KERB_NO_VALUE) return false;
    const KerbNode *conv = &g->nodes[id];
    const KerbValue *w = kerb_node_input(g, conv, 1), *bias = kerb_node_input(g, conv, 2);
    for (int i = 2; i < w->rank; i++) kernel *= w->dims[i];
    kerb_dims_elements(w->rank, w->dims, 0, &elements);
    for (int64_t i = 0; i < elements; i++) ((float *)new_w)[i] = (float)(kerb_pass_float(w, i) * a[n == 1 ? 0 : weight_output(conv, w, i, kernel)]);
    for (int64_t c = 0; c < channels; c++)
        ((float *)new_b)[c] = (float)((bias ? kerb_pass_float(bias, c) : 0) * a[n == 1 ? 0 : c] + b[n == 1 ? 0 : c]);
    return kerb_pass_set_input(g, id, 1, scaled) && kerb_pass_set_input(g, id, 2, shifted);
}
