/* SPDX-License-Identifier: MIT */
/* Quantised graphs of several nodes, as exporters write them, optimised and run in integers, against what they meant before on the reference: Pad
 * between quantisers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "families_int8.h"

/* ---- parts ---- */

/* Integers with a DequantizeLinear, not folded yet. `scales`: 1, or one for each index of `axis`. */
static uint32_t kerb_dequantised(KerbGraph *g, KerbDtype dtype, int rank, const int64_t dims[], const void *integers, int scales, const float scale[], int axis)
{
    const int64_t n[1] = {scales};
    uint32_t inputs[2] = {kerb_graph_add_constant(g, kerb_graph_name(g, "w", ""), dtype, rank, dims, integers, true),
                          kerb_graph_add_constant(g, kerb_graph_name(g, "w", ""), KERB_F32, scales > 1 ? 1 : 0, n, scale, true)};
    const uint32_t y = kerb_case_value(g, rank, dims);
    kerb_case_node(g, KERB_OP_DEQUANTIZE, 2, inputs, y)->attrs.quantize.axis = axis;
    return y;
}

/* Random weights and, by chance, a bias in the unit of the products; `axis`: of `channels`. */
static void kerb_chain_weights(KerbGraph *g, KerbRandom *r, const int64_t dims[4], int axis, int channels, int groups, float x_scale, uint32_t inputs[2])
{
    const int64_t all = dims[0] * dims[1] * dims[2] * dims[3], bias_dims[1] = {channels};
    const int per_group = channels / groups, scales = kerb_random_in(r, 0, 2) ? per_group : 1;
    int8_t *w = malloc((size_t)all);
    float scale[256], sums[256];
    int32_t bias[256];
    for (int64_t i = 0; i < all; i++) w[i] = (int8_t)kerb_random_in(r, -127, 127);
    for (int i = 0; i < scales; i++) scale[i] = (0.5f + fabsf(kerb_random_float(r))) / 128;
    for (int i = 0; i < channels; i++) {
        sums[i] = x_scale * scale[scales == 1 ? 0 : i % per_group];
        bias[i] = (int32_t)(kerb_random_float(r) / sums[i]);
    }
    inputs[0] = kerb_dequantised(g, KERB_I8, 4, dims, w, scales, scale, axis);
    inputs[1] = KERB_NO_VALUE;
    if (kerb_random_in(r, 0, 3)) inputs[1] = kerb_dequantised(g, KERB_I32, 1, bias_dims, bias, channels, sums, 0);
    free(w);
}

static uint32_t kerb_chain_pad(KerbGraph *g, uint32_t x, const int64_t pads[8], uint32_t number)
{
    const int64_t *d = g->values[x].dims;
    const int64_t yd[4] = {d[0] + pads[0] + pads[4], d[1] + pads[1] + pads[5], d[2] + pads[2] + pads[6], d[3] + pads[3] + pads[7]};
    uint32_t inputs[3] = {x, kerb_case_integers(g, 8, pads), number};
    const uint32_t y = kerb_case_value(g, 4, yd);
    kerb_case_node(g, KERB_OP_PAD, number == KERB_NO_VALUE ? 2 : 3, inputs, y);
    return y;
}

static uint32_t kerb_chain_relu(KerbGraph *g, uint32_t x)
{
    const KerbValue v = g->values[x];
    const uint32_t y = kerb_case_value(g, v.rank, v.dims);
    kerb_case_node(g, KERB_OP_UNARY, 1, &x, y)->attrs.unary.kind = KERB_UNARY_RELU;
    return y;
}

/* ---- Pad between quantisers, read by one convolution or two ---- */

static uint32_t kerb_padded_convolution(KerbGraph *g, KerbRandom *r, uint32_t x, float x_scale)
{
    const int64_t *d = g->values[x].dims;
    const bool depthwise = kerb_random_in(r, 0, 2) == 0;
    const int k = kerb_random_in(r, 1, 3), s = kerb_random_in(r, 1, 2);
    const int64_t oc = depthwise ? d[1] : kerb_random_in(r, 1, 40), wd[4] = {oc, depthwise ? 1 : d[1], k, k};
    const int64_t yd[4] = {d[0], oc, (d[2] - k) / s + 1, (d[3] - k) / s + 1}, groups = depthwise ? oc : 1;
    uint32_t inputs[3] = {x};
    kerb_chain_weights(g, r, wd, 0, (int)oc, 1, x_scale, inputs + 1);
    const uint32_t y = kerb_case_value(g, 4, yd);
    KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, 3, inputs, y)->attrs.conv;
    a->window = (KerbWindow){.n = 2, .kernel = {k, k}, .stride = {s, s}, .dilation = {1, 1}};
    a->group = groups;
    return kerb_random_in(r, 0, 1) ? kerb_chain_relu(g, y) : y;
}

static KerbInt8Case kerb_int8_padded(KerbRandom *r)
{
    KerbInt8Case test = {.passes = true};
    kerb_graph_new(&test.g, NULL);
    KerbGraph *g = test.g;
    const KerbQuantCase q = kerb_random_quant(r, 1), other = kerb_random_quant(r, 1.2f);
    const KerbQuantCase *p = kerb_random_in(r, 0, 2) ? &q : &other;
    const int64_t dims[4] = {kerb_random_in(r, 0, 3) ? 1 : 2, kerb_random_in(r, 1, 40), kerb_random_in(r, 3, 14), kerb_random_in(r, 3, 20)};
    int64_t pads[8] = {0};
    pads[2 + kerb_random_in(r, 0, 1) + 4 * kerb_random_in(r, 0, 1)] = kerb_random_in(r, 1, 2); /* one side, */
    for (int i = 0; i < 4; i++) pads[2 + i % 2 + i / 2 * 4] += kerb_random_in(r, 0, 1);        /* and by chance more */
    const uint32_t x = kerb_quantised_input(g, dims, &q), padded = kerb_pair(g, kerb_chain_pad(g, x, pads, KERB_NO_VALUE), p);
    for (int i = 0, readers = kerb_random_in(r, 1, 2); i < readers; i++) {
        const KerbQuantCase y = kerb_random_quant(r, 4);
        kerb_case_output(g, kerb_pair(g, kerb_padded_convolution(g, r, padded, p->scale), &y));
        test.step = fmax(test.step, (double)y.scale * 1.001);
    }
    return test;
}

int kerb_check_int8_pads(int count)
{
    return kerb_check_int8("int8 pads", count, kerb_int8_padded);
}
