/* SPDX-License-Identifier: MIT */
/* Quantised graphs (QDQ) in integers against the reference, which computes them in floats: x -> quantised -> 1x1 convolution that changes nothing ->
 * the node that is asked -> quantised. What only moves or looks up numbers must agree exactly; a convolution's sums are exact here and
 * rounded there, so that a value that lies between two integers may fall on either side: one step, and seldom. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families_int8.h"
#include "net/cpu/cpu.h"
#include "net/infer.h"
#include "net/passes.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

KerbQuantCase kerb_random_quant(KerbRandom *r, float range)
{
    KerbQuantCase q = {kerb_random_in(r, 0, 1) ? KERB_U8 : KERB_I8, range * (0.7f + 0.6f * fabsf(kerb_random_float(r))) / 128, 0};
    if (kerb_random_in(r, 0, 2)) q.zero = kerb_random_in(r, -20, 20);
    if (q.dtype == KERB_U8) q.zero = kerb_random_in(r, 0, 3) ? q.zero + 128 : 0;
    return q;
}

static uint32_t kerb_scalar(KerbGraph *g, KerbDtype dtype, double value)
{
    void *data = kerb_arena_alloc(g->arena, 8);
    KerbTensor t = kerb_tensor(data, dtype, 0, NULL);
    kerb_tensor_set(&t, 0, value);
    return kerb_graph_add_constant(g, kerb_graph_name(g, "q", ""), dtype, 0, NULL, data, false);
}

static uint32_t kerb_quantise(KerbGraph *g, uint32_t x, const KerbQuantCase *q)
{
    const KerbValue v = g->values[x];
    uint32_t inputs[3] = {x, kerb_scalar(g, KERB_F32, (double)q->scale), kerb_scalar(g, q->dtype, q->zero)};
    uint32_t y = kerb_graph_add_value(g, kerb_graph_name(g, "q", ""), q->dtype, v.rank, v.dims);
    kerb_case_node(g, KERB_OP_QUANTIZE, 3, inputs, y);
    return y;
}
static uint32_t kerb_dequantise(KerbGraph *g, uint32_t x, const KerbQuantCase *q)
{
    const KerbValue v = g->values[x];
    uint32_t inputs[3] = {x, kerb_scalar(g, KERB_F32, (double)q->scale), kerb_scalar(g, q->dtype, q->zero)};
    uint32_t y = kerb_case_value(g, v.rank, v.dims);
    kerb_case_node(g, KERB_OP_DEQUANTIZE, 3, inputs, y);
    return y;
}
uint32_t kerb_pair(KerbGraph *g, uint32_t x, const KerbQuantCase *q)
{
    return kerb_dequantise(g, kerb_quantise(g, x, q), q);
}

/* A constant as a folded DequantizeLinear leaves it: floats, and the integers that they were. `scale` by index of axis 0, or one. */
static uint32_t kerb_folded(KerbGraph *g, KerbDtype dtype, int rank, const int64_t dims[], const void *integers, int scales, const float *scale)
{
    const int64_t n[1] = {scales};
    const uint32_t q = kerb_graph_add_constant(g, kerb_graph_name(g, "w", ""), dtype, rank, dims, integers, true),
                   s = kerb_graph_add_constant(g, kerb_graph_name(g, "w", ""), KERB_F32, 1, n, scale, true);
    const KerbTensor from = kerb_value_tensor(&g->values[q]);
    const int64_t all = kerb_tensor_elements(&from);
    float *floats = kerb_arena_alloc(g->arena, (size_t)all * sizeof *floats);
    for (int64_t i = 0; i < all; i++) floats[i] = (float)kerb_tensor_get_i64(&from, i) * scale[scales == 1 ? 0 : i / (all / dims[0])];
    const uint32_t w = kerb_graph_add_constant(g, kerb_graph_name(g, "w", ""), KERB_F32, rank, dims, floats, false);
    g->values[w].dequantized = true;
    g->values[w].integers = q;
    g->values[w].integers_scale = s;
    g->values[w].integers_zero = KERB_NO_VALUE;
    return w;
}

uint32_t kerb_quantised_input(KerbGraph *g, const int64_t dims[4], const KerbQuantCase *q)
{
    const int64_t c = dims[1], wd[4] = {c, c, 1, 1};
    const float scale = 1.0f / 64;
    int8_t *w = calloc((size_t)(c * c), 1);
    for (int64_t i = 0; i < c; i++) w[i * c + i] = 64;
    uint32_t inputs[2] = {kerb_pair(g, kerb_case_input(g, 4, dims), q), kerb_folded(g, KERB_I8, 4, wd, w, 1, &scale)};
    free(w);
    const uint32_t y = kerb_case_value(g, 4, dims);
    KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, 2, inputs, y)->attrs.conv;
    a->window = (KerbWindow){.n = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    a->group = 1;
    return kerb_pair(g, y, q);
}

/* ---- convolutions ---- */

static uint32_t kerb_int8_weights(KerbGraph *g, KerbRandom *r, const int64_t dims[4], float scales[], int *n_scales)
{
    const int64_t all = dims[0] * dims[1] * dims[2] * dims[3];
    int8_t *w = malloc((size_t)all);
    for (int64_t i = 0; i < all; i++) w[i] = (int8_t)kerb_random_in(r, -128, 127);
    *n_scales = kerb_random_in(r, 0, 3) ? (int)dims[0] : 1;
    for (int i = 0; i < *n_scales; i++) scales[i] = (0.5f + fabsf(kerb_random_float(r))) / 128;
    const uint32_t id = kerb_folded(g, KERB_I8, 4, dims, w, *n_scales, scales);
    free(w);
    return id;
}

static uint32_t kerb_int8_bias(KerbGraph *g, KerbRandom *r, int channels, float x_scale, const float scales[], int n_scales)
{
    const int64_t dims[1] = {channels};
    float sums[256];
    int32_t b[256];
    if (kerb_random_in(r, 0, 2) == 0) return kerb_case_constant(g, r, 1, dims, 1);
    for (int i = 0; i < channels; i++) {
        sums[i] = x_scale * scales[n_scales == 1 ? 0 : i];
        b[i] = (int32_t)(kerb_random_float(r) / sums[i]);
    }
    return kerb_folded(g, KERB_I32, 1, dims, b, channels, sums);
}

static KerbInt8Case kerb_int8_convolution(KerbRandom *r)
{
    KerbInt8Case test = {.exact = false};
    kerb_graph_new(&test.g, NULL);
    KerbGraph *g = test.g;
    const int kind = kerb_random_in(r, 0, 9); /* 0, 1: depthwise; 2: grouped; 3: 1x1 */
    const bool depthwise = kind < 2;
    const int group = kind == 2 ? kerb_random_in(r, 2, 4) : 1;
    const int64_t ic = depthwise ? kerb_random_in(r, 2, 70) : (int64_t)group * kerb_random_in(r, 1, 40),
                  oc = depthwise ? ic : (int64_t)group * kerb_random_in(r, 1, 45), kernel = kind == 3 ? 1 : kerb_random_in(r, 1, 5),
                  xd[4] = {kerb_random_in(r, 0, 5) ? 1 : 2, ic, kerb_random_in(r, 1, 20), kerb_random_in(r, 1, 40)},
                  wd[4] = {oc, depthwise ? 1 : ic / group, kernel, kind == 4 ? kerb_random_in(r, 1, 6) : kernel};
    KerbWindow window = {.n = 2,
                         .kernel = {wd[2], wd[3]},
                         .stride = {kerb_random_in(r, 1, 2), kerb_random_in(r, 1, 2)},
                         .dilation = {kerb_random_in(r, 0, 3) ? 1 : 3, kerb_random_in(r, 0, 3) ? 1 : 2}};
    int64_t yd[4] = {xd[0], oc, 0, 0};
    for (int i = 0; i < 2; i++) {
        const int reach = (int)((wd[2 + i] - 1) * window.dilation[i]);
        window.pad_begin[i] = kerb_random_in(r, 0, reach);
        window.pad_end[i] = kerb_random_in(r, 0, reach);
        if (xd[2 + i] + window.pad_begin[i] + window.pad_end[i] <= reach) window.pad_end[i] = reach;
        yd[2 + i] = (xd[2 + i] + window.pad_begin[i] + window.pad_end[i] - reach - 1) / window.stride[i] + 1;
    }
    const KerbQuantCase x = kerb_random_quant(r, 1);
    const double depth = (double)(wd[1] * wd[2] * wd[3]);
    KerbQuantCase y = kerb_random_quant(r, (float)(1.5 * sqrt(depth) / 3 + 0.5));
    float scales[256];
    int n_scales;
    uint32_t inputs[4] = {kerb_pair(g, kerb_case_input(g, 4, xd), &x), kerb_int8_weights(g, r, wd, scales, &n_scales), KERB_NO_VALUE, KERB_NO_VALUE};
    if (kerb_random_in(r, 0, 3)) inputs[2] = kerb_int8_bias(g, r, (int)oc, x.scale, scales, n_scales);
    if (kerb_random_in(r, 0, 2) == 0) {
        const KerbQuantCase z = kerb_random_quant(r, 1);
        inputs[3] = kerb_case_input(g, 4, yd);
        if (kerb_random_in(r, 0, 2)) inputs[3] = kerb_pair(g, inputs[3], &z);
    }
    const KerbActivation act = kerb_random_activation(g, r, (int)oc);
    uint32_t out = kerb_case_value(g, 4, yd);
    KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, inputs[3] == KERB_NO_VALUE ? 3 : 4, inputs, out)->attrs.conv;
    a->window = window;
    a->group = depthwise ? oc : group;
    a->act = act;
    test.step = 1e-4 * (1 + sqrt(depth));
    if (kerb_random_in(r, 0, 4)) {
        out = kerb_pair(g, out, &y);
        test.step = (double)y.scale * 1.001;
    }
    kerb_case_output(g, out);
    return test;
}

/* ---- the others ---- */

static uint32_t kerb_int8_pooled(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    const int64_t *d = g->values[x].dims;
    const int k = kerb_random_in(r, 1, 3), s = kerb_random_in(r, 1, 2), p = kerb_random_in(r, 0, k / 2);
    const int64_t yd[4] = {d[0], d[1], (d[2] + 2 * p - k) / s + 1, (d[3] + 2 * p - k) / s + 1};
    const uint32_t y = kerb_case_value(g, 4, yd);
    KerbPoolAttrs *a = &kerb_case_node(g, KERB_OP_MAX_POOL, 1, &x, y)->attrs.pool;
    a->window = (KerbWindow){.n = 2, .kernel = {k, k}, .stride = {s, s}, .dilation = {1, 1}, .pad_begin = {p, p}, .pad_end = {p, p}};
    return y;
}

static uint32_t kerb_int8_resized(KerbGraph *g, KerbRandom *r, uint32_t x, bool nearest)
{
    const int64_t *d = g->values[x].dims;
    const int64_t yd[4] = {d[0], d[1], d[2] * kerb_random_in(r, 1, 3), d[3] * 2};
    uint32_t inputs[4] = {x, KERB_NO_VALUE, KERB_NO_VALUE, kerb_case_integers(g, 4, yd)};
    const uint32_t y = kerb_case_value(g, 4, yd);
    KerbResizeAttrs *a = &kerb_case_node(g, KERB_OP_RESIZE, 4, inputs, y)->attrs.resize;
    a->mode = nearest ? KERB_RESIZE_NEAREST : KERB_RESIZE_LINEAR;
    a->coordinates = kerb_random_in(r, 0, 1) ? KERB_COORD_HALF_PIXEL : KERB_COORD_ASYMMETRIC;
    a->nearest = KERB_NEAREST_FLOOR;
    for (int i = 0; i < 4; i++) a->scale[i] = (double)yd[i] / (double)g->values[x].dims[i];
    return y;
}

static uint32_t kerb_int8_added(KerbGraph *g, KerbRandom *r, uint32_t x, bool by_channel)
{
    static const KerbBinary kinds[] = {KERB_BINARY_ADD, KERB_BINARY_ADD, KERB_BINARY_MUL, KERB_BINARY_SUB, KERB_BINARY_MAX};
    const int64_t *d = g->values[x].dims, zd[4] = {d[0], d[1], by_channel ? 1 : d[2], by_channel ? 1 : d[3]};
    const KerbQuantCase z = kerb_random_quant(r, 1);
    uint32_t inputs[2] = {x, kerb_pair(g, kerb_case_input(g, 4, zd), &z)};
    const uint32_t y = kerb_case_value(g, 4, g->values[x].dims);
    KerbNode *n = kerb_case_node(g, KERB_OP_BINARY, 2, inputs, y);
    n->attrs.binary.kind = kinds[kerb_random_in(r, 0, 4)];
    n->attrs.binary.act = (KerbActivation){.slope = KERB_NO_VALUE};
    if (kerb_random_in(r, 0, 1)) n->attrs.binary.act = (KerbActivation){.kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU, .slope = KERB_NO_VALUE};
    return y;
}

static uint32_t kerb_int8_functions(KerbGraph *g, KerbRandom *r, uint32_t x)
{
    static const KerbUnary kinds[] = {KERB_UNARY_SIGMOID, KERB_UNARY_HARD_SWISH, KERB_UNARY_TANH, KERB_UNARY_RELU, KERB_UNARY_ABS};
    for (int i = 0, n = kerb_random_in(r, 0, 3); i < n; i++) {
        uint32_t y = kerb_case_value(g, 4, g->values[x].dims), inputs[2] = {x, KERB_NO_VALUE};
        if (kerb_random_in(r, 0, 1)) {
            kerb_case_node(g, KERB_OP_UNARY, 1, inputs, y)->attrs.unary.kind = kinds[kerb_random_in(r, 0, 4)];
        } else {
            const int64_t one[4] = {1, 1, 1, 1};
            inputs[1] = kerb_case_constant(g, r, 4, one, 1);
            KerbNode *node = kerb_case_node(g, KERB_OP_BINARY, 2, inputs, y);
            node->attrs.binary.kind = kerb_random_in(r, 0, 1) ? KERB_BINARY_MUL : KERB_BINARY_ADD;
            node->attrs.binary.act = (KerbActivation){.slope = KERB_NO_VALUE};
        }
        x = y;
    }
    return x;
}

static uint32_t kerb_int8_joined(KerbGraph *g, KerbRandom *r, uint32_t x, const KerbQuantCase *q)
{
    const int64_t *d = g->values[x].dims, zd[4] = {d[0], kerb_random_in(r, 1, 40), d[2], d[3]};
    const KerbQuantCase z = kerb_random_in(r, 0, 1) ? *q : kerb_random_quant(r, 1);
    const int64_t yd[4] = {zd[0], g->values[x].dims[1] + zd[1], zd[2], zd[3]};
    const uint32_t other = kerb_pair(g, kerb_case_input(g, 4, zd), &z), y = kerb_case_value(g, 4, yd);
    const bool first = kerb_random_in(r, 0, 1);
    uint32_t inputs[2] = {first ? x : other, first ? other : x};
    kerb_case_node(g, KERB_OP_CONCAT, 2, inputs, y)->attrs.axis = 1;
    return y;
}

static uint32_t kerb_int8_averaged(KerbGraph *g, uint32_t x)
{
    const int64_t *d = g->values[x].dims, yd[4] = {d[0], d[1], 1, 1};
    const uint32_t y = kerb_case_value(g, 4, yd);
    KerbNode *n = kerb_case_node(g, KERB_OP_REDUCE, 1, &x, y);
    n->attrs.reduce.kind = KERB_REDUCE_MEAN;
    n->attrs.reduce.spatial = n->attrs.reduce.keepdims = true;
    return y;
}

static KerbInt8Case kerb_int8_other(KerbRandom *r)
{
    KerbInt8Case test = {.exact = true};
    kerb_graph_new(&test.g, NULL);
    KerbGraph *g = test.g;
    const KerbQuantCase q = kerb_random_quant(r, 1), own = kerb_random_quant(r, 1.5f), y = kerb_random_in(r, 0, 1) ? q : own;
    const int kind = kerb_random_in(r, 0, 7);
    const bool by_channel = kerb_random_in(r, 0, 3) == 0;
    const int64_t dims[4] = {by_channel || kerb_random_in(r, 0, 3) ? 1 : 2, kerb_random_in(r, 1, 75), kerb_random_in(r, 2, 14), kerb_random_in(r, 2, 20)};
    uint32_t x = kerb_quantised_input(g, dims, &q);
    switch (kind) {
    case 0:
    case 1: x = kerb_int8_pooled(g, r, x); break;
    case 2: x = kerb_int8_resized(g, r, x, true); break;
    case 3: /* weights are float products here, double sums there */
        x = kerb_int8_resized(g, r, x, false);
        test.exact = false;
        break;
    case 4: x = kerb_int8_added(g, r, x, by_channel); break;
    case 5: x = kerb_int8_functions(g, r, x); break;
    case 6: x = kerb_int8_joined(g, r, x, &y); break;
    default:
        x = kerb_int8_averaged(g, x);
        test.exact = false;
    }
    test.step = (double)y.scale * 1.001;
    kerb_case_output(g, kerb_pair(g, x, &y));
    return test;
}

/* ---- all ---- */

static KerbGraph *kerb_int8_optimised(const KerbGraph *from)
{
    KerbGraph *g = NULL;
    KerbError error = {0};
    const KerbOptimizeOptions options = {.keep_head = true};
    if (kerb_graph_clone(from, &g, &error) || kerb_graph_infer(g, &error) || kerb_graph_optimize(g, &options, &error)) {
        printf("FAILED: %s\n", error.message);
        kerb_graph_free(&g);
    }
    return g;
}

/* Steps between floats and integers that the backend takes. */
static int kerb_int8_conversions(const KerbGraph *g)
{
    KerbError error = {0};
    KerbNet *net = NULL;
    const KerbBackend *backend = kerb_backend(KERB_BACKEND_ABI, NULL);
    const KerbCompileOptions options = {.threads = 1, .precision = KERB_PRECISION_INT8};
    int n = 0;
    if (backend->compile(&net, g, &options, &error)) return -1;
    for (int i = 0; i < net->n_steps; i++) {
        const char *kind = net->steps[i]->kind->name;
        n += !strcmp(kind, "quantise") || !strcmp(kind, "dequantise");
    }
    backend->free(&net);
    return n;
}

/* On the kernels that the processor gets, and on the plain ones that work on units of four as those with VNNI do. */
static int kerb_check_int8_on(const char *kernels, const char *family, int count, KerbInt8Case (*make)(KerbRandom *))
{
    if (kernels)
        setenv("KERB_CPU_INT8", kernels, 1);
    else
        unsetenv("KERB_CPU_INT8");
    KerbRandom r = kerb_random_seeded(family, 7);
    int failed = 0, apart = 0;
    double rms = 0;
    for (int i = 0; i < count; i++) {
        const KerbInt8Case test = make(&r);
        KerbGraph *g = NULL, *meaning = test.g;
        if (test.passes && !(g = kerb_int8_optimised(test.g))) return count;
        const KerbCaseResult result = kerb_case_run_as(test.g, g ? g : test.g, &r, kerb_random_in(&r, 1, 3), KERB_PRECISION_INT8);
        const double limit = test.exact ? 0 : test.step;
        const int floats = g ? kerb_int8_conversions(g) - g->n_inputs - g->n_outputs : 0;
        apart += result.worst > 0;
        rms = fmax(rms, result.rms);
        if (result.failed || result.worst > limit || floats) {
            KerbText text = {0};
            kerb_graph_dump(g ? g : test.g, &text);
            printf("FAILED %s case %d: worst %.3g, limit %.3g, %d conversions too many\n%s\n", family, i, result.worst, limit, floats, text.text ? text.text : "");
            kerb_text_free(&text);
            failed++;
        }
        kerb_graph_free(&g);
        kerb_graph_free(&meaning);
    }
    unsetenv("KERB_CPU_INT8");
    printf("%s: %d cases, %d not equal to the bit, RMS of the difference at most %.2g of the result's\n", family, count, apart, rms);
    return failed;
}

int kerb_check_int8(const char *family, int count, KerbInt8Case (*make)(KerbRandom *))
{
    return kerb_check_int8_on(NULL, family, count, make) + kerb_check_int8_on("c4", family, count / 2, make);
}

int kerb_check_int8_convolutions(int count)
{
    return kerb_check_int8("int8 convolutions", count, kerb_int8_convolution);
}
int kerb_check_int8_others(int count)
{
    return kerb_check_int8("int8 others", count, kerb_int8_other);
}
