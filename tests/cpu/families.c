/* SPDX-License-Identifier: MIT */
#include "families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

/* A sum of K products of numbers in -1..1 has an RMS of sqrt(K)/3. Winograd's F(4x4, 3x3), the least exact way, was measured at 2e-6 of
 * that on average and twice that at the corners of its tiles (its constants cost five bits of the 24); six sigma bound the worst of the 1e5
 * elements of a case: 6 * 4e-6 * sqrt(K)/3. The RMS of the whole is held to 4e-6. */
static double kerb_tolerance(double k)
{
    return 8e-6 * sqrt(k);
}
#define RMS_LIMIT 4e-6
/* Of anything that is kept in f16 (11 bits) between two or three nodes, on numbers of the order of 1. */
#define F16_LIMIT 0.02

static const char *kerb_shape(const KerbGraph *g, uint32_t v, char *buffer, size_t bytes)
{
    return kerb_dims_text(g->values[v].rank, g->values[v].dims, buffer, bytes);
}

static int kerb_report(const char *family, int index, const KerbGraph *g, KerbCaseResult result, double limit)
{
    if (kerb_case_precision(KERB_PRECISION_F32) == KERB_PRECISION_F16 && limit > 0) limit = fmax(limit, F16_LIMIT);
    if (!result.failed && result.worst <= limit) return 0;
    KerbText text = {0};
    char x[64], y[64];
    const KerbNode *n = &g->nodes[g->n_nodes - 1];
    kerb_text_append(&text, "%s %s -> %s", kerb_node_kind(n), kerb_shape(g, g->inputs[0], x, sizeof x),
                     kerb_shape(g, g->outputs[0], y, sizeof y));
    printf("FAILED %s case %d: %s: worst %.3g rms %.3g, limit %.3g\n", family, index, text.text ? text.text : "", result.worst, result.rms,
           limit);
    kerb_text_free(&text);
    return 1;
}

/* ---- convolutions ---- */

KerbActivation kerb_random_activation(KerbGraph *g, KerbRandom *r, int channels)
{
    static const KerbUnary unaries[] = {KERB_UNARY_RELU,  KERB_UNARY_LEAKY_RELU,   KERB_UNARY_SIGMOID, KERB_UNARY_TANH,
                                        KERB_UNARY_SWISH, KERB_UNARY_HARD_SWISH,   KERB_UNARY_ELU,     KERB_UNARY_GELU,
                                        KERB_UNARY_MISH,  KERB_UNARY_HARD_SIGMOID, KERB_UNARY_RELU,    KERB_UNARY_RELU};
    KerbActivation a = {.kind = KERB_ACT_NONE, .slope = KERB_NO_VALUE};
    switch (kerb_random_in(r, 0, 4)) {
    case 0: break;
    case 1:
        a.kind = KERB_ACT_CLIP;
        a.lo = 0;
        a.hi = 6;
        break;
    case 2: {
        int64_t dims[1] = {kerb_random_in(r, 0, 3) ? channels : 1};
        a.kind = KERB_ACT_PRELU;
        a.slope = kerb_case_constant(g, r, 1, dims, 0.5f);
        break;
    }
    default:
        a.kind = KERB_ACT_UNARY;
        a.unary = unaries[kerb_random_in(r, 0, (int)(sizeof unaries / sizeof unaries[0]) - 1)];
        a.alpha = a.unary == KERB_UNARY_LEAKY_RELU ? 0.1f : a.unary == KERB_UNARY_HARD_SIGMOID ? 0.2f : 1.0f;
        a.beta = 0.5f;
    }
    return a;
}

/* Two nodes, so that the residual is somebody's output; K in *depth. */
static KerbGraph *kerb_random_convolution(KerbRandom *r, double *depth)
{
    KerbGraph *g = NULL;
    kerb_graph_new(&g, NULL);
    int kind = kerb_random_in(r, 0, 9); /* 0..1 depthwise, 2 grouped, 3..5 3x3 stride 1, others anything */
    int64_t kh = kerb_random_in(r, 1, 5), kw = kerb_random_in(r, 0, 2) ? kh : kerb_random_in(r, 1, 7), group = 1,
            ic = kerb_random_in(r, 1, 70), oc = kerb_random_in(r, 1, 70);
    int64_t stride = kerb_random_in(r, 1, 3), dilation = kerb_random_in(r, 0, 2) ? 1 : kerb_random_in(r, 2, 5);
    if (kind <= 1) group = oc = ic;
    if (kind == 2) {
        group = kerb_random_in(r, 2, 5);
        ic = group * kerb_random_in(r, 1, 9);
        oc = group * kerb_random_in(r, 1, 20);
    }
    if (kind >= 3 && kind <= 5) {
        kh = kw = 3;
        stride = 1;
        ic += 8;
        oc += 8;
    }
    int64_t pads[4], in[2], out[2];
    const int64_t kernel[2] = {kh, kw};
    for (int i = 0; i < 2; i++) {
        int64_t reach = (kernel[i] - 1) * dilation + 1;
        pads[i] = kerb_random_in(r, 0, (int)reach - 1);
        pads[i + 2] = kerb_random_in(r, 0, (int)reach - 1);
        in[i] = kerb_random_in(r, 1, 40);
        if (in[i] + pads[i] + pads[i + 2] < reach) in[i] = reach;
        out[i] = (in[i] + pads[i] + pads[i + 2] - reach) / stride + 1;
    }
    int64_t batch = kerb_random_in(r, 0, 5) ? 1 : 2;
    int64_t xd[4] = {batch, ic, in[0], in[1]}, wd[4] = {oc, ic / group, kh, kw}, bd[1] = {oc}, yd[4] = {batch, oc, out[0], out[1]};
    *depth = (double)(ic / group * kh * kw);
    uint32_t x = kerb_case_input(g, 4, xd), inputs[4] = {x, kerb_case_constant(g, r, 4, wd, 1), KERB_NO_VALUE, KERB_NO_VALUE};
    if (kerb_random_in(r, 0, 3)) inputs[2] = kerb_case_constant(g, r, 1, bd, 1);
    int n_inputs = 3;
    if (kerb_random_in(r, 0, 2) == 0) { /* a residual: an input, or something computed that may be overwritten */
        uint32_t z = kerb_case_input(g, 4, yd);
        if (kerb_random_in(r, 0, 1)) {
            uint32_t relu = kerb_case_value(g, 4, yd);
            kerb_case_node(g, KERB_OP_UNARY, 1, &z, relu)->attrs.unary.kind = KERB_UNARY_RELU;
            z = relu;
        }
        inputs[3] = z;
        n_inputs = 4;
    }
    uint32_t y = kerb_case_value(g, 4, yd);
    KerbActivation act = kerb_random_activation(g, r, (int)oc);
    KerbNode *n = kerb_case_node(g, KERB_OP_CONV, n_inputs, inputs, y);
    KerbConvAttrs *a = &n->attrs.conv;
    a->window = (KerbWindow){.n = 2,
                             .kernel = {kh, kw},
                             .stride = {stride, stride},
                             .dilation = {dilation, dilation},
                             .pad_begin = {pads[0], pads[1]},
                             .pad_end = {pads[2], pads[3]}};
    a->group = group;
    a->act = act;
    kerb_case_output(g, y);
    return g;
}

static int kerb_check_conv(int count, KerbPrecision precision, const char *name)
{
    KerbRandom r = kerb_random_seeded(name, 20240611);
    int failed = 0;
    double worst = 0;
    for (int i = 0; i < count; i++) {
        static const char *const ways[] = {"depthwise", "winograd", "direct", "onednn", "winograd-shared"};
        double depth;
        setenv("KERB_CPU_CONV", ways[i % 5], 1); /* each way gets its share, whatever is fastest here */
        KerbGraph *g = kerb_random_convolution(&r, &depth);
        KerbCaseResult result = kerb_case_run(g, &r, 1 + i % 3, precision);
        /* bf16 keeps 8 bits: the weights' rounding alone is 2^-9 of each product, so sqrt(K) * 2^-9 of the sum, and 2^-8 of the result
         * where it is kept. */
        double limit = precision == KERB_PRECISION_BF16 ? 0.004 * (4 + 4 * sqrt(depth)) : kerb_tolerance(depth);
        if (kerb_case_precision(precision) == KERB_PRECISION_F16) limit = 0.0005 * (4 + 4 * sqrt(depth)); /* 11 bits in place of 8 */
        if (kerb_case_precision(precision) == KERB_PRECISION_F32 && result.rms > RMS_LIMIT) limit = 0;
        failed += kerb_report(name, i, g, result, limit);
        if (limit > 0) worst = fmax(worst, result.worst / limit);
        kerb_graph_free(&g);
    }
    unsetenv("KERB_CPU_CONV");
    printf("%s: %d cases, %d failed, worst %.2f of the tolerance\n", name, count, failed, worst);
    return failed;
}
int kerb_check_convolutions(int count)
{
    return kerb_check_conv(count, KERB_PRECISION_F32, "convolutions");
}
int kerb_check_convolutions_bf16(int count)
{
    KerbDevice device = {0};
    kerb_backend(KERB_BACKEND_ABI, NULL)->probe(&device);
    if (!strstr(device.precisions, "bf16")) {
        puts("convolutions bf16: skipped, this processor has no AVX-512");
        return 0;
    }
    return kerb_check_conv(count, KERB_PRECISION_BF16, "convolutions bf16");
}

/* What random ones are too small for: sums over several passes (of taps, of a tap's depth), columns shared between tasks, small pictures
 * under large windows (tap by tap), borders that go downwards, neighbouring taps as one. */
int kerb_check_large_convolutions(void)
{
    static const struct {
        int n, ic, ih, iw, oc, k, stride, dilation, pad, group, residual;
        KerbUnary unary;
    } cases[] = {
        {1, 512, 5, 9, 96, 7, 1, 1, 3, 1, 0, KERB_UNARY_RELU},      /* FCN's fc6 */
        {2, 130, 6, 5, 70, 5, 1, 2, 4, 1, 1, KERB_UNARY_SIGMOID},   /* tap by tap, of two pictures, dilated */
        {1, 64, 9, 7, 40, 5, 2, 1, 2, 1, 2, KERB_UNARY_LEAKY_RELU}, /* tap by tap, stride, over its residual */
        {1, 3500, 1, 30, 33, 1, 1, 1, 0, 1, 1, KERB_UNARY_HARD_SWISH},
        {1, 200, 20, 30, 300, 3, 2, 1, 1, 1, 2, KERB_UNARY_RELU}, /* several passes, over its residual */
        {2, 256, 13, 12, 160, 3, 2, 1, 1, 1, 0, KERB_UNARY_TANH},
        {1, 1024, 4, 4, 600, 1, 2, 1, 0, 1, 1, KERB_UNARY_RELU},
        {1, 300, 9, 33, 200, 1, 1, 1, 0, 1, 2, KERB_UNARY_ELU},
        {1, 3, 60, 90, 64, 7, 2, 1, 3, 1, 0, KERB_UNARY_RELU},  /* a stem */
        {1, 320, 6, 6, 80, 3, 1, 6, 6, 1, 0, KERB_UNARY_RELU},  /* only the middle tap is inside */
        {1, 512, 7, 9, 128, 3, 2, 1, 1, 4, 0, KERB_UNARY_RELU}, /* groups, tap by tap */
    };
    KerbRandom r = kerb_random_seeded("large convolutions", 77);
    int failed = 0;
    setenv("KERB_CPU_CONV", "direct", 1);
    for (int i = 0; i < (int)(sizeof cases / sizeof cases[0]); i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        const int64_t k = cases[i].k, reach = (k - 1) * cases[i].dilation + 1,
                      oh = (cases[i].ih + 2 * cases[i].pad - reach) / cases[i].stride + 1,
                      ow = (cases[i].iw + 2 * cases[i].pad - reach) / cases[i].stride + 1;
        const int64_t xd[4] = {cases[i].n, cases[i].ic, cases[i].ih, cases[i].iw},
                      wd[4] = {cases[i].oc, cases[i].ic / cases[i].group, k, k}, bd[1] = {cases[i].oc},
                      yd[4] = {cases[i].n, cases[i].oc, oh, ow};
        uint32_t inputs[4] = {kerb_case_input(g, 4, xd), kerb_case_constant(g, &r, 4, wd, 1), kerb_case_constant(g, &r, 1, bd, 1)};
        if (cases[i].residual) inputs[3] = kerb_case_input(g, 4, yd);
        if (cases[i].residual == 2) { /* computed, read by nobody else: the sums may take its place */
            uint32_t relu = kerb_case_value(g, 4, yd);
            kerb_case_node(g, KERB_OP_UNARY, 1, &inputs[3], relu)->attrs.unary.kind = KERB_UNARY_RELU;
            inputs[3] = relu;
        }
        uint32_t y = kerb_case_value(g, 4, yd);
        KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, cases[i].residual ? 4 : 3, inputs, y)->attrs.conv;
        a->window = (KerbWindow){.n = 2,
                                 .kernel = {k, k},
                                 .stride = {cases[i].stride, cases[i].stride},
                                 .dilation = {cases[i].dilation, cases[i].dilation},
                                 .pad_begin = {cases[i].pad, cases[i].pad},
                                 .pad_end = {cases[i].pad, cases[i].pad}};
        a->group = cases[i].group;
        a->act = (KerbActivation){.kind = KERB_ACT_UNARY, .unary = cases[i].unary, .alpha = 0.1f, .beta = 0.5f, .slope = KERB_NO_VALUE};
        kerb_case_output(g, y);
        KerbCaseResult result = kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32);
        failed += kerb_report("large convolutions", i, g, result, kerb_tolerance((double)(wd[1] * k * k)));
        kerb_graph_free(&g);
    }
    unsetenv("KERB_CPU_CONV");
    return failed;
}

/* ---- pools ---- */

static uint32_t kerb_random_link(KerbGraph *g, KerbRandom *r, uint32_t x, const int64_t dims[4]);

int kerb_check_pools(int count)
{
    KerbRandom r = kerb_random_seeded("pools", 31);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        bool maximum = kerb_random_in(&r, 0, 1);
        KerbPoolAttrs a = {.count_include_pad = kerb_random_in(&r, 0, 1)};
        int64_t xd[4] = {1, kerb_random_in(&r, 1, 40), 0, 0}, yd[4] = {1, xd[1], 0, 0};
        a.window.n = 2;
        for (int j = 0; j < 2; j++) {
            int64_t k = kerb_random_in(&r, 1, 5), d = maximum && !kerb_random_in(&r, 0, 3) ? 2 : 1, reach = (k - 1) * d + 1;
            a.window.kernel[j] = k;
            a.window.dilation[j] = d;
            a.window.stride[j] = kerb_random_in(&r, 1, 3);
            a.window.pad_begin[j] = kerb_random_in(&r, 0, (int)k / 2);
            a.window.pad_end[j] = kerb_random_in(&r, 0, (int)k / 2);
            xd[2 + j] = reach + kerb_random_in(&r, 0, 30);
            yd[2 + j] = (xd[2 + j] + a.window.pad_begin[j] + a.window.pad_end[j] - reach) / a.window.stride[j] + 1;
        }
        uint32_t x = kerb_case_input(g, 4, xd), y = kerb_case_value(g, 4, yd);
        kerb_case_node(g, maximum ? KERB_OP_MAX_POOL : KERB_OP_AVERAGE_POOL, 1, &x, y)->attrs.pool = a;
        kerb_case_output(g, y);
        failed += kerb_report("pools", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), maximum ? 0 : 2e-6);
        kerb_graph_free(&g);
    }
    printf("pools: %d cases, %d failed\n", count, failed);
    return failed;
}

/* Pool with indices -> something -> unpool over the same windows. */
int kerb_check_unpools(int count)
{
    KerbRandom r = kerb_random_seeded("unpools", 33);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t xd[4] = {1, kerb_random_in(&r, 1, 30), 0, 0}, yd[4] = {1, xd[1], 0, 0};
        KerbPoolAttrs a = {.window = {.n = 2, .dilation = {1, 1}}};
        for (int j = 0; j < 2; j++) {
            a.window.kernel[j] = kerb_random_in(&r, 1, 3);
            a.window.stride[j] = a.window.kernel[j] + (kerb_random_in(&r, 0, 3) ? 0 : kerb_random_in(&r, -1, 1));
            if (a.window.stride[j] < 1) a.window.stride[j] = 1;
            yd[2 + j] = kerb_random_in(&r, 1, 12);
            xd[2 + j] = (yd[2 + j] - 1) * a.window.stride[j] + a.window.kernel[j];
        }
        bool overlaps = a.window.stride[0] < a.window.kernel[0] || a.window.stride[1] < a.window.kernel[1];
        uint32_t x = kerb_case_input(g, 4, xd), pooled[2] = {kerb_case_value(g, 4, yd), 0};
        pooled[1] = kerb_graph_add_value(g, "indices", KERB_I64, 4, yd);
        uint32_t pool = kerb_graph_add_node(g, KERB_OP_MAX_POOL, "pool", 1, &x, 2, pooled);
        g->nodes[pool].attrs.pool = a;
        /* Where windows overlap, two may share their largest: what is written twice must be the same number, so nothing comes between. */
        uint32_t y = kerb_case_value(g, 4, xd),
                 in[3] = {overlaps ? pooled[0] : kerb_random_link(g, &r, pooled[0], yd), pooled[1], kerb_case_integers(g, 4, xd)};
        kerb_case_node(g, KERB_OP_MAX_UNPOOL, 3, in, y)->attrs.pool = a;
        kerb_case_output(g, y);
        failed += kerb_report("unpools", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), 1e-5);
        kerb_graph_free(&g);
    }
    printf("unpools: %d cases, %d failed\n", count, failed);
    return failed;
}

/* ---- elementwise: chains of one to five nodes with every way of broadcasting ---- */

static uint32_t kerb_random_link(KerbGraph *g, KerbRandom *r, uint32_t x, const int64_t dims[4])
{
    static const KerbUnary unaries[] = {KERB_UNARY_RELU,       KERB_UNARY_SIGMOID,      KERB_UNARY_TANH, KERB_UNARY_SWISH,
                                        KERB_UNARY_HARD_SWISH, KERB_UNARY_HARD_SIGMOID, KERB_UNARY_ELU,  KERB_UNARY_ABS,
                                        KERB_UNARY_NEG,        KERB_UNARY_GELU_TANH,    KERB_UNARY_SELU, KERB_UNARY_SOFTPLUS,
                                        KERB_UNARY_LEAKY_RELU, KERB_UNARY_GELU,         KERB_UNARY_EXP};
    static const KerbBinary binaries[] = {KERB_BINARY_ADD, KERB_BINARY_SUB, KERB_BINARY_MUL,
                                          KERB_BINARY_MIN, KERB_BINARY_MAX, KERB_BINARY_PRELU};
    uint32_t y = kerb_case_value(g, 4, dims);
    int kind = kerb_random_in(r, 0, 3);
    if (kind == 0) {
        KerbNode *n = kerb_case_node(g, KERB_OP_UNARY, 1, &x, y);
        n->attrs.unary.kind = unaries[kerb_random_in(r, 0, (int)(sizeof unaries / sizeof unaries[0]) - 1)];
        n->attrs.unary.alpha = n->attrs.unary.kind == KERB_UNARY_HARD_SIGMOID ? 0.2f : 0.7f;
        n->attrs.unary.beta = 0.5f;
        return y;
    }
    if (kind == 1) {
        int64_t c[1] = {dims[1]};
        uint32_t in[5] = {x};
        for (int i = 1; i < 5; i++) in[i] = kerb_case_constant(g, r, 1, c, 1);
        float *variance = (float *)(uintptr_t)g->values[in[4]].data;
        for (int64_t i = 0; i < dims[1]; i++) variance[i] = 0.5f + fabsf(variance[i]);
        kerb_case_node(g, KERB_OP_BATCH_NORM, 5, in, y)->attrs.norm.epsilon = 1e-5f;
        return y;
    }
    KerbBinary binary = binaries[kerb_random_in(r, 0, (int)(sizeof binaries / sizeof binaries[0]) - 1)];
    int spread = kerb_random_in(r, 0, 3);
    bool constant = kerb_random_in(r, 0, 1);
    if (binary == KERB_BINARY_PRELU) {
        constant = true;
        spread = 1 + 2 * (spread & 1);
    }
    int64_t od[4] = {1, spread == 2 || spread == 3 ? 1 : dims[1], spread == 1 || spread == 3 ? 1 : dims[2],
                     spread == 1 || spread == 3 ? 1 : dims[3]};
    if (spread == 0) memcpy(od, dims, sizeof od);
    uint32_t other = constant ? kerb_case_constant(g, r, 4, od, 1) : kerb_case_input(g, 4, od), in[2] = {x, other};
    if (binary != KERB_BINARY_PRELU && kerb_random_in(r, 0, 1)) {
        in[0] = other;
        in[1] = x;
    }
    kerb_case_node(g, KERB_OP_BINARY, 2, in, y)->attrs.binary.kind = binary;
    return y;
}

int kerb_check_elementwise(int count)
{
    KerbRandom r = kerb_random_seeded("elementwise", 41);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t dims[4] = {1, kerb_random_in(&r, 1, 50), kerb_random_in(&r, 1, 20), kerb_random_in(&r, 1, 20)};
        uint32_t x = kerb_case_input(g, 4, dims);
        for (int links = kerb_random_in(&r, 1, 5); links > 0; links--) x = kerb_random_link(g, &r, x, dims);
        kerb_case_output(g, x);
        /* A chain of five: each link a few units of 2^-24; exponentials about 2; products and normalisations carry earlier errors on. */
        failed += kerb_report("elementwise", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), 2e-5);
        kerb_graph_free(&g);
    }
    printf("elementwise: %d cases, %d failed\n", count, failed);
    return failed;
}

/* ---- concatenations of things that are computed, read twice, nested ---- */

int kerb_check_concats(int count)
{
    KerbRandom r = kerb_random_seeded("concats", 51);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t dims[4] = {1, 0, kerb_random_in(&r, 1, 12), kerb_random_in(&r, 1, 12)}, total = 0;
        uint32_t parts[4];
        int n = kerb_random_in(&r, 2, 4);
        for (int j = 0; j < n; j++) {
            dims[1] = kerb_random_in(&r, 1, 20);
            total += dims[1];
            parts[j] = kerb_case_input(g, 4, dims);
            if (kerb_random_in(&r, 0, 2))
                parts[j] = kerb_random_link(g, &r, parts[j], dims);
            else if (kerb_random_in(&r, 0, 1)) {
                int64_t wd[4] = {dims[1], dims[1], 1, 1};
                uint32_t in[2] = {parts[j], kerb_case_constant(g, &r, 4, wd, 0.3f)};
                parts[j] = kerb_case_value(g, 4, dims);
                KerbNode *conv = kerb_case_node(g, KERB_OP_CONV, 2, in, parts[j]);
                conv->attrs.conv.window = (KerbWindow){.n = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
                conv->attrs.conv.group = 1;
                conv->attrs.conv.act.slope = KERB_NO_VALUE;
            }
            if (!kerb_random_in(&r, 0, 3)) { /* somebody else reads the slice too */
                uint32_t more = kerb_random_link(g, &r, parts[j], dims);
                kerb_case_output(g, more);
            }
        }
        dims[1] = total;
        uint32_t y = kerb_case_value(g, 4, dims);
        kerb_case_node(g, KERB_OP_CONCAT, n, parts, y)->attrs.axis = kerb_random_in(&r, 0, 1) ? 1 : -3;
        if (kerb_random_in(&r, 0, 1)) y = kerb_random_link(g, &r, y, dims);
        if (!kerb_random_in(&r, 0, 2)) {
            int64_t twice[4] = {1, 2 * total, dims[2], dims[3]};
            uint32_t z = kerb_case_value(g, 4, twice), in[2] = {y, y};
            kerb_case_node(g, KERB_OP_CONCAT, 2, in, z)->attrs.axis = 1;
            y = z;
        }
        kerb_case_output(g, y);
        failed += kerb_report("concats", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), 2e-5);
        kerb_graph_free(&g);
    }
    printf("concats: %d cases, %d failed\n", count, failed);
    return failed;
}

/* ---- resizes ---- */

int kerb_check_resizes(int count)
{
    KerbRandom r = kerb_random_seeded("resizes", 61);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t xd[4] = {1, kerb_random_in(&r, 1, 40), kerb_random_in(&r, 1, 20), kerb_random_in(&r, 1, 20)};
        int64_t yd[4] = {1, xd[1], kerb_random_in(&r, 1, 60), kerb_random_in(&r, 1, 60)};
        uint32_t x = kerb_case_input(g, 4, xd), y = kerb_case_value(g, 4, yd);
        uint32_t in[4] = {x, KERB_NO_VALUE, KERB_NO_VALUE, kerb_case_integers(g, 4, yd)};
        KerbResizeAttrs *a = &kerb_case_node(g, KERB_OP_RESIZE, 4, in, y)->attrs.resize;
        a->mode = kerb_random_in(&r, 0, 2) ? KERB_RESIZE_LINEAR : KERB_RESIZE_NEAREST;
        a->coordinates = (KerbCoordinates)kerb_random_in(&r, KERB_COORD_HALF_PIXEL, KERB_COORD_ASYMMETRIC);
        a->nearest = (KerbNearest)kerb_random_in(&r, 0, 3);
        for (int j = 0; j < 4; j++) a->scale[j] = (double)yd[j] / (double)xd[j];
        kerb_case_output(g, y);
        failed +=
            kerb_report("resizes", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), a->mode == KERB_RESIZE_NEAREST ? 0 : 5e-6);
        kerb_graph_free(&g);
    }
    printf("resizes: %d cases, %d failed\n", count, failed);
    return failed;
}

/* ---- matrix products ---- */

int kerb_check_products(int count)
{
    KerbRandom r = kerb_random_seeded("products", 71);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t batch = kerb_random_in(&r, 1, 3), m = kerb_random_in(&r, 1, 50), n = kerb_random_in(&r, 1, 70),
                k = kerb_random_in(&r, 1, 80);
        bool flat = kerb_random_in(&r, 0, 1), constant = kerb_random_in(&r, 0, 1);
        int64_t ad[3] = {batch, m, k}, bd[3] = {flat ? 1 : batch, k, n}, yd[3] = {batch, m, n};
        uint32_t in[2] = {kerb_case_input(g, 3, ad), 0};
        const int64_t *b_dims = flat && kerb_random_in(&r, 0, 1) ? bd + 1 : bd;
        int b_rank = b_dims == bd ? 3 : 2;
        in[1] = constant ? kerb_case_constant(g, &r, b_rank, b_dims, 1) : kerb_case_input(g, b_rank, b_dims);
        uint32_t y = kerb_case_value(g, 3, yd);
        kerb_case_node(g, KERB_OP_MATMUL, 2, in, y);
        kerb_case_output(g, y);
        failed += kerb_report("products", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), kerb_tolerance((double)k));
        kerb_graph_free(&g);
    }
    printf("products: %d cases, %d failed\n", count, failed);
    return failed;
}

/* ---- reshape, transpose, slice, depth to space, pad: all exact ---- */

static void kerb_random_move(KerbGraph *g, KerbRandom *r, uint32_t x, const int64_t d[4])
{
    const int b = kerb_random_in(r, 1, 3);
    uint32_t y;
    switch (kerb_random_in(r, 0, 4)) {
    case 0: {
        int64_t yd[3] = {d[0], d[1], d[2] * d[3]}, flipped[3] = {d[0], d[2] * d[3], d[1]};
        uint32_t in[2] = {x, kerb_case_integers(g, 3, yd)}, mid = kerb_case_value(g, 3, yd);
        kerb_case_node(g, KERB_OP_RESHAPE, 2, in, mid);
        y = kerb_case_value(g, 3, flipped);
        KerbNode *n = kerb_case_node(g, KERB_OP_TRANSPOSE, 1, &mid, y);
        n->attrs.transpose.n = 3;
        n->attrs.transpose.perm[1] = 2;
        n->attrs.transpose.perm[2] = 1;
        break;
    }
    case 1: {
        int64_t yd[2] = {d[0] * d[1] * d[2], d[3]};
        uint32_t in[2] = {x, kerb_case_integers(g, 2, yd)};
        y = kerb_case_value(g, 2, yd);
        kerb_case_node(g, KERB_OP_RESHAPE, 2, in, y);
        break;
    }
    case 2: {
        int64_t start = kerb_random_in(r, 0, (int)d[1] - 1), axis = 1, end = INT64_MAX, yd[4] = {d[0], d[1] - start, d[2], d[3]};
        uint32_t in[4] = {x, kerb_case_integers(g, 1, &start), kerb_case_integers(g, 1, &end), kerb_case_integers(g, 1, &axis)};
        y = kerb_case_value(g, 4, yd);
        kerb_case_node(g, KERB_OP_SLICE, 4, in, y);
        break;
    }
    case 3: {
        int64_t yd[4] = {d[0], d[1] * b * b, d[2], d[3]}, zd[4] = {d[0], d[1], d[2] * b, d[3] * b}, wd[4] = {yd[1], d[1], 1, 1};
        uint32_t in[2] = {x, kerb_case_constant(g, r, 4, wd, 1)}, mid = kerb_case_value(g, 4, yd);
        KerbNode *conv = kerb_case_node(g, KERB_OP_CONV, 2, in, mid);
        conv->attrs.conv.window = (KerbWindow){.n = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
        conv->attrs.conv.group = 1;
        conv->attrs.conv.act = (KerbActivation){.kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU, .slope = KERB_NO_VALUE};
        y = kerb_case_value(g, 4, zd);
        KerbNode *n = kerb_case_node(g, KERB_OP_DEPTH_TO_SPACE, 1, &mid, y);
        n->attrs.block.size = b;
        n->attrs.block.crd = kerb_random_in(r, 0, 1);
        break;
    }
    default: {
        int64_t pads[8] = {0}, yd[4] = {d[0], d[1], d[2], d[3]};
        for (int i = 2; i < 4; i++) {
            pads[i] = kerb_random_in(r, 0, 3);
            pads[i + 4] = kerb_random_in(r, 0, 3);
            yd[i] += pads[i] + pads[i + 4];
        }
        uint32_t in[2] = {x, kerb_case_integers(g, 8, pads)};
        y = kerb_case_value(g, 4, yd);
        kerb_case_node(g, KERB_OP_PAD, 2, in, y)->attrs.pad.mode = KERB_PADDING_CONSTANT;
    }
    }
    kerb_case_output(g, y);
}

int kerb_check_moves(int count)
{
    KerbRandom r = kerb_random_seeded("moves", 81);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t dims[4] = {kerb_random_in(&r, 1, 2), kerb_random_in(&r, 1, 40), kerb_random_in(&r, 1, 12), kerb_random_in(&r, 1, 12)};
        kerb_random_move(g, &r, kerb_case_input(g, 4, dims), dims);
        failed += kerb_report("moves", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), kerb_tolerance(40));
        kerb_graph_free(&g);
    }
    printf("moves: %d cases, %d failed\n", count, failed);
    return failed;
}

int kerb_check_softmax_and_means(int count)
{
    KerbRandom r = kerb_random_seeded("softmax and means", 91);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        int64_t dims[4] = {1, kerb_random_in(&r, 1, 60), kerb_random_in(&r, 1, 20), kerb_random_in(&r, 1, 20)};
        bool softmax = kerb_random_in(&r, 0, 1);
        int rank = softmax && kerb_random_in(&r, 0, 1) ? 3 : 4;
        uint32_t x = kerb_case_input(g, rank, dims), y;
        if (softmax) {
            y = kerb_case_value(g, rank, dims);
            kerb_case_node(g, KERB_OP_SOFTMAX, 1, &x, y)->attrs.softmax.axis = rank == 4 ? 1 : -1;
        } else {
            int64_t yd[4] = {1, dims[1], 1, 1}, axes[2] = {2, 3};
            uint32_t in[2] = {x, kerb_case_integers(g, 2, axes)};
            y = kerb_case_value(g, 4, yd);
            const bool spatial = kerb_random_in(&r, 0, 1); /* GlobalAveragePool; else ReduceMean */
            KerbNode *n = kerb_case_node(g, KERB_OP_REDUCE, spatial ? 1 : 2, in, y);
            n->attrs.reduce.spatial = spatial;
            n->attrs.reduce.kind = kerb_random_in(&r, 0, 1) ? KERB_REDUCE_MEAN : KERB_REDUCE_SUM;
            n->attrs.reduce.keepdims = true;
        }
        kerb_case_output(g, y);
        failed += kerb_report("softmax and means", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), 1e-5);
        failed += kerb_case_left_to_ref(g);
        kerb_graph_free(&g);
    }
    printf("softmax and means: %d cases, %d failed\n", count, failed);
    return failed;
}

/* ---- attention: both sides of the second product, scaled or not, on pictures seen as matrices ---- */

static uint32_t kerb_case_product(KerbGraph *g, uint32_t a, uint32_t b, int64_t m, int64_t n)
{
    int64_t dims[3] = {1, m, n};
    uint32_t in[2] = {a, b}, y = kerb_case_value(g, 3, dims);
    kerb_case_node(g, KERB_OP_MATMUL, 2, in, y);
    return y;
}
static uint32_t kerb_case_flipped(KerbGraph *g, uint32_t x, int64_t m, int64_t n)
{
    int64_t dims[3] = {1, m, n};
    uint32_t y = kerb_case_value(g, 3, dims);
    KerbNode *t = kerb_case_node(g, KERB_OP_TRANSPOSE, 1, &x, y);
    t->attrs.transpose.n = 3;
    t->attrs.transpose.perm[1] = 2;
    t->attrs.transpose.perm[2] = 1;
    return y;
}
static uint32_t kerb_case_matrix(KerbGraph *g, int64_t channels, int64_t h, int64_t w) /* (1, c, h, w) -> (1, c, h*w) */
{
    int64_t picture[4] = {1, channels, h, w}, dims[3] = {1, channels, h * w};
    uint32_t in[2] = {kerb_case_input(g, 4, picture), kerb_case_integers(g, 3, dims)}, y = kerb_case_value(g, 3, dims);
    kerb_case_node(g, KERB_OP_RESHAPE, 2, in, y);
    return y;
}

int kerb_check_attentions(int count)
{
    KerbRandom r = kerb_random_seeded("attentions", 101);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        KerbGraph *g = NULL;
        kerb_graph_new(&g, NULL);
        const int64_t h = kerb_random_in(&r, 4, 12), w = kerb_random_in(&r, 16, 20), n = h * w, depth = kerb_random_in(&r, 1, 20),
                      values = kerb_random_in(&r, 1, 70);
        uint32_t q = kerb_case_flipped(g, kerb_case_matrix(g, depth, h, w), n, depth), k = kerb_case_matrix(g, depth, h, w),
                 v = kerb_case_matrix(g, values, h, w);
        uint32_t s = kerb_case_product(g, q, k, n, n);
        const int64_t square[3] = {1, n, n}, scalar[1] = {1};
        if (kerb_random_in(&r, 0, 1)) {
            uint32_t in[2] = {s, kerb_case_constant(g, &r, 1, scalar, 1)};
            s = kerb_case_value(g, 3, square);
            kerb_case_node(g, KERB_OP_BINARY, 2, in, s)->attrs.binary.kind = KERB_BINARY_MUL;
        }
        uint32_t p = kerb_case_value(g, 3, square);
        kerb_case_node(g, KERB_OP_SOFTMAX, 1, &s, p)->attrs.softmax.axis = kerb_random_in(&r, 0, 1) ? 2 : -1;
        if (kerb_random_in(&r, 0, 1)) { /* V P^T, and back to a picture */
            uint32_t y = kerb_case_product(g, v, kerb_case_flipped(g, p, n, n), values, n);
            const int64_t picture[4] = {1, values, h, w};
            uint32_t in[2] = {y, kerb_case_integers(g, 4, picture)}, z = kerb_case_value(g, 4, picture);
            kerb_case_node(g, KERB_OP_RESHAPE, 2, in, z);
            kerb_case_output(g, z);
        } else {
            kerb_case_output(g, kerb_case_product(g, p, kerb_case_flipped(g, v, n, values), n, values));
        }
        /* Scores reach sqrt(depth); their rounding, and the exponential's, weigh in each probability; a sum of weights that is 1. */
        failed += kerb_report("attentions", i, g, kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32), 1e-5);
        kerb_graph_free(&g);
    }
    printf("attentions: %d cases, %d failed\n", count, failed);
    return failed;
}
