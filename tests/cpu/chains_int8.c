/* SPDX-License-Identifier: MIT */
/* Quantised graphs of several nodes, as exporters write them, optimised and run in integers, against what they meant before on the reference: Pad
 * between quantisers, ConvTranspose, nodes that only move numbers, means over windows and pictures. */
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

/* ---- ConvTranspose ---- */

static KerbInt8Case kerb_int8_transposed(KerbRandom *r)
{
    KerbInt8Case test = {.passes = true};
    kerb_graph_new(&test.g, NULL);
    KerbGraph *g = test.g;
    const KerbQuantCase q = kerb_random_quant(r, 1), y = kerb_random_quant(r, 4);
    const int group = kerb_random_in(r, 0, 3) ? 1 : 2, s = kerb_random_in(r, 1, 3), k = s + kerb_random_in(r, 0, 2);
    const int64_t ic = group > 1 ? 8 * group : kerb_random_in(r, 1, 30), oc = group > 1 ? 8 * group : kerb_random_in(r, 1, 30);
    const int64_t dims[4] = {kerb_random_in(r, 0, 3) ? 1 : 2, ic, kerb_random_in(r, 7, 13), kerb_random_in(r, 7, 15)}, wd[4] = {ic, oc / group, k, k};
    KerbWindow w = {.n = 2, .kernel = {k, k}, .stride = {s, s}, .dilation = {1, 1}};
    int64_t yd[4] = {dims[0], oc}, extra = s > 1 ? kerb_random_in(r, 0, 1) : 0;
    for (int i = 0; i < 2; i++) {
        w.pad_begin[i] = kerb_random_in(r, 0, (k - 1) / 2);
        w.pad_end[i] = kerb_random_in(r, 0, (k - 1) / 2);
        yd[2 + i] = (dims[2 + i] - 1) * s + k - w.pad_begin[i] - w.pad_end[i] + extra;
    }
    uint32_t inputs[3] = {kerb_quantised_input(g, dims, &q)};
    kerb_chain_weights(g, r, wd, 1, (int)oc, group, q.scale, inputs + 1);
    uint32_t out = kerb_case_value(g, 4, yd);
    KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV_TRANSPOSE, 3, inputs, out)->attrs.conv;
    a->window = w;
    a->group = group;
    a->output_padding[0] = a->output_padding[1] = extra;
    if (kerb_random_in(r, 0, 1)) out = kerb_chain_relu(g, out);
    kerb_case_output(g, kerb_pair(g, out, &y));
    test.step = (double)y.scale * 1.001;
    return test;
}

int kerb_check_int8_transposes(int count)
{
    return kerb_check_int8("int8 ConvTranspose", count, kerb_int8_transposed);
}

/* ---- nodes that move numbers ---- */

static uint32_t kerb_chain_reshape(KerbGraph *g, uint32_t x, int rank, const int64_t dims[])
{
    uint32_t inputs[2] = {x, kerb_case_integers(g, rank, dims)};
    const uint32_t y = kerb_case_value(g, rank, dims);
    kerb_case_node(g, KERB_OP_RESHAPE, 2, inputs, y);
    return y;
}

static uint32_t kerb_chain_transpose(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const KerbValue v = g->values[x];
    int64_t perm[KERB_MAX_RANK] = {0}, dims[KERB_MAX_RANK];
    for (int i = 0; i < v.rank; i++) {
        const int at = kerb_random_in(r, 0, i);
        perm[i] = perm[at];
        perm[at] = i;
    }
    for (int i = 0; i < v.rank; i++) dims[i] = v.dims[perm[i]];
    const uint32_t y = kerb_case_value(g, v.rank, dims);
    KerbNode *n = kerb_case_node(g, KERB_OP_TRANSPOSE, 1, &x, y);
    n->attrs.transpose.n = v.rank;
    memcpy(n->attrs.transpose.perm, perm, sizeof perm[0] * (size_t)v.rank);
    return y;
}

static uint32_t kerb_chain_slice(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const KerbValue v = g->values[x];
    int64_t starts[KERB_MAX_RANK], ends[KERB_MAX_RANK], dims[KERB_MAX_RANK], axes[KERB_MAX_RANK], steps[KERB_MAX_RANK];
    for (int i = 0; i < v.rank; i++) {
        starts[i] = kerb_random_in(r, 0, (int)(v.dims[i] - 1) / 2);
        ends[i] = v.dims[i] - kerb_random_in(r, 0, (int)(v.dims[i] - 1 - starts[i]) / 2);
        axes[i] = i;
        steps[i] = kerb_random_in(r, 0, 3) ? 1 : 2;
        dims[i] = (ends[i] - starts[i] + steps[i] - 1) / steps[i];
    }
    uint32_t inputs[5] = {x, kerb_case_integers(g, v.rank, starts), kerb_case_integers(g, v.rank, ends), kerb_case_integers(g, v.rank, axes),
                          kerb_case_integers(g, v.rank, steps)};
    const uint32_t y = kerb_case_value(g, v.rank, dims);
    kerb_case_node(g, KERB_OP_SLICE, 5, inputs, y);
    return y;
}

static uint32_t kerb_chain_shuffle(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const int64_t *d = g->values[x].dims, deep[4] = {d[0], d[1] / 4, d[2] * 2, d[3] * 2}, wide[4] = {d[0], d[1] * 4, d[2] / 2, d[3] / 2};
    const bool to_space = d[1] % 4 == 0;
    if (!to_space && (d[2] % 2 || d[3] % 2)) return x;
    const uint32_t y = kerb_case_value(g, 4, to_space ? deep : wide);
    KerbNode *n = kerb_case_node(g, to_space ? KERB_OP_DEPTH_TO_SPACE : KERB_OP_SPACE_TO_DEPTH, 1, &x, y);
    n->attrs.block.size = 2;
    n->attrs.block.crd = to_space && kerb_random_in(r, 0, 1);
    return y;
}

static uint32_t kerb_chain_move(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const KerbValue v = g->values[x];
    const int64_t flat[2] = {v.dims[0], v.dims[1] * (v.rank > 2 ? v.dims[2] : 1) * (v.rank > 3 ? v.dims[3] : 1)},
                  turned[4] = {v.dims[0], v.rank > 3 ? v.dims[2] : 1, v.rank > 3 ? v.dims[3] : v.dims[1], v.rank > 3 ? v.dims[1] : 1};
    int64_t pads[8] = {0};
    switch (kerb_random_in(r, 0, v.rank == 4 ? 6 : 3)) {
    case 0: return kerb_chain_reshape(g, x, 4, turned);
    case 1: return kerb_chain_transpose(g, r, x);
    case 2: return kerb_chain_slice(g, r, x);
    case 3: return kerb_chain_reshape(g, x, 2, flat);
    case 4: /* a number that need not be an integer of the quantisers */
        for (int i = 0; i < 8; i++) pads[i] = i % 4 < 1 ? 0 : kerb_random_in(r, 0, 2);
        return kerb_chain_pad(g, x, pads, kerb_case_constant(g, r, 0, NULL, 1));
    default: return kerb_chain_shuffle(g, r, x);
    }
}

/* Behind integers, or behind what computes on them: a pool. Functions of one number between. */
static KerbInt8Case kerb_int8_moved(KerbRandom *r)
{
    KerbInt8Case test = {.exact = true, .passes = true};
    kerb_graph_new(&test.g, NULL);
    KerbGraph *g = test.g;
    const KerbQuantCase q = kerb_random_quant(r, 1), other = kerb_random_quant(r, 1.2f), *to = kerb_random_in(r, 0, 1) ? &q : &other;
    const int64_t dims[4] = {kerb_random_in(r, 0, 3) ? 1 : 2, kerb_random_in(r, 0, 1) ? 4 * kerb_random_in(r, 1, 9) : kerb_random_in(r, 1, 20), kerb_random_in(r, 2, 12),
                             kerb_random_in(r, 2, 12)};
    uint32_t x = kerb_quantised_input(g, dims, &q);
    const bool pooled = kerb_random_in(r, 0, 2) == 0, functions = !pooled && kerb_random_in(r, 0, 1);
    if (pooled) {
        const int64_t yd[4] = {dims[0], dims[1], dims[2] - 1, dims[3] - 1};
        const uint32_t y = kerb_case_value(g, 4, yd);
        kerb_case_node(g, KERB_OP_MAX_POOL, 1, &x, y)->attrs.pool.window = (KerbWindow){.n = 2, .kernel = {2, 2}, .stride = {1, 1}, .dilation = {1, 1}};
        x = y;
    }
    if (functions) x = kerb_chain_relu(g, x);
    for (int i = 0, n = kerb_random_in(r, 1, 4); i < n; i++) x = kerb_chain_move(g, r, x);
    x = kerb_pair(g, x, to);
    if (kerb_random_in(r, 0, 1)) x = kerb_pair(g, kerb_chain_move(g, r, x), to); /* integers that lie otherwise */
    kerb_case_output(g, x);
    test.step = 0;
    return test;
}

int kerb_check_int8_moves(int count)
{
    return kerb_check_int8("int8 moves", count, kerb_int8_moved);
}

/* ---- means ---- */

static uint32_t kerb_chain_average(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const KerbValue v = g->values[x];
    KerbWindow w = {.n = 2};
    int64_t yd[4] = {v.dims[0], v.dims[1]};
    for (int i = 0; i < 2; i++) {
        w.kernel[i] = kerb_random_in(r, 1, 4);
        w.stride[i] = kerb_random_in(r, 1, 3);
        w.dilation[i] = 1;
        w.pad_begin[i] = kerb_random_in(r, 0, (int)w.kernel[i] - 1);
        w.pad_end[i] = kerb_random_in(r, 0, (int)w.kernel[i] - 1);
        yd[2 + i] = (v.dims[2 + i] + w.pad_begin[i] + w.pad_end[i] - w.kernel[i]) / w.stride[i] + 1;
    }
    const uint32_t y = kerb_case_value(g, 4, yd);
    KerbPoolAttrs *a = &kerb_case_node(g, KERB_OP_AVERAGE_POOL, 1, &x, y)->attrs.pool;
    a->window = w;
    a->count_include_pad = kerb_random_in(r, 0, 1);
    return y;
}

/* ReduceMean as exporters write it, with axes, and without keeping them. */
static uint32_t kerb_chain_mean(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const KerbValue v = g->values[x];
    const bool keep = kerb_random_in(r, 0, 1);
    const int64_t axes[2] = {kerb_random_in(r, 0, 1) ? 2 : -2, kerb_random_in(r, 0, 1) ? 3 : -1}, yd[4] = {v.dims[0], v.dims[1], 1, 1};
    uint32_t inputs[2] = {x, kerb_case_integers(g, 2, axes)};
    const uint32_t y = kerb_case_value(g, keep ? 4 : 2, yd);
    KerbNode *n = kerb_case_node(g, KERB_OP_REDUCE, 2, inputs, y);
    n->attrs.reduce.kind = KERB_REDUCE_MEAN;
    n->attrs.reduce.keepdims = keep;
    return keep || kerb_random_in(r, 0, 1) ? y : kerb_chain_reshape(g, y, 4, yd); /* a move behind it */
}

static KerbInt8Case kerb_int8_means(KerbRandom *r)
{
    KerbInt8Case test = {.passes = true};
    kerb_graph_new(&test.g, NULL);
    KerbGraph *g = test.g;
    const KerbQuantCase q = kerb_random_quant(r, 1), y = kerb_random_quant(r, 0.8f);
    const int64_t dims[4] = {kerb_random_in(r, 0, 3) ? 1 : 2, kerb_random_in(r, 1, 150), kerb_random_in(r, 4, 14), kerb_random_in(r, 4, 20)};
    uint32_t x = kerb_quantised_input(g, dims, &q);
    x = kerb_random_in(r, 0, 3) ? kerb_chain_average(g, r, x) : kerb_chain_mean(g, r, x);
    kerb_case_output(g, kerb_pair(g, x, &y));
    test.step = (double)y.scale * 1.001;
    return test;
}

int kerb_check_int8_means(int count)
{
    return kerb_check_int8("int8 means", count, kerb_int8_means);
}
