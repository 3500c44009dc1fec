/* SPDX-License-Identifier: MIT */
/* Integer chains of QDQ models against the reference's own QuantizeLinear and DequantizeLinear. With scales that are powers of two every
 * sum and product is exact on both sides, so rounding is defined and results are equal to the bit; with any scales they may differ by one
 * step, rarely. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net_case.h"

static uint32_t floats(KerbGraph *g, int n, const float values[])
{
    const int64_t dims[1] = {n};
    return kerb_graph_add_constant(g, kerb_graph_name(g, "s", ""), KERB_F32, n > 1, dims, values, true);
}
static uint32_t bytes(KerbGraph *g, KerbDtype dtype, int rank, const int64_t dims[], const void *values)
{
    return kerb_graph_add_constant(g, kerb_graph_name(g, "q", ""), dtype, rank, dims, values, true);
}

/* ---- QuantizeLinear -> DequantizeLinear around values */

typedef struct Qdq {
    KerbGraph *g;
    KerbRandom *r;
    bool exact; /* scales are powers of two */
    KerbDtype type;
    int zero;
} Qdq;

static float some_scale(Qdq *q, float around)
{
    return q->exact ? around : around * (0.7f + 0.5f * fabsf(kerb_random_float(q->r)));
}

static uint32_t quantised(Qdq *q, uint32_t x, float scale)
{
    const uint8_t zero = (uint8_t)q->zero;
    const uint32_t s = floats(q->g, 1, &scale), z = bytes(q->g, q->type, 0, NULL, &zero), i = kerb_net_case_result(q->g, q->type),
                   y = kerb_net_case_result(q->g, KERB_F32);
    kerb_case_node(q->g, KERB_OP_QUANTIZE, 3, (uint32_t[]){x, s, z}, i)->attrs.quantize.axis = 1;
    kerb_case_node(q->g, KERB_OP_DEQUANTIZE, 3, (uint32_t[]){i, s, z}, y)->attrs.quantize.axis = 1;
    return y;
}

/* A convolution with weights of i8, a scale for each output channel, and an activation. */
static uint32_t conv(Qdq *q, uint32_t x, int in, int out, int kernel, int stride, bool relu)
{
    enum { MOST = 64 * 64 * 9 };
    static int8_t w[MOST];
    static const int8_t zeros[64];
    float scales[64], bias[64];
    const int64_t wd[4] = {out, in, kernel, kernel}, one[1] = {out};
    for (int i = 0; i < out * in * kernel * kernel; i++) w[i] = (int8_t)kerb_random_in(q->r, -127, 127);
    for (int i = 0; i < out; i++) {
        scales[i] = some_scale(q, ldexpf(1, -9 - (i & 1)));
        bias[i] = ldexpf((float)kerb_random_in(q->r, -64, 64), -7);
    }
    const uint32_t s = kerb_graph_add_constant(q->g, kerb_graph_name(q->g, "s", ""), KERB_F32, 1, one, scales, true),
                   b = kerb_graph_add_constant(q->g, kerb_graph_name(q->g, "b", ""), KERB_F32, 1, one, bias, true),
                   weights = kerb_net_case_result(q->g, KERB_F32), y = kerb_net_case_result(q->g, KERB_F32);
    kerb_case_node(q->g, KERB_OP_DEQUANTIZE, 3, (uint32_t[]){bytes(q->g, KERB_I8, 4, wd, w), s, bytes(q->g, KERB_I8, 1, one, zeros)},
                   weights)
        ->attrs.quantize.axis = 0;
    KerbConvAttrs *a = &kerb_case_node(q->g, KERB_OP_CONV, 3, (uint32_t[]){x, weights, b}, y)->attrs.conv;
    const int pad = kernel / 2;
    a->window = (KerbWindow){
        .n = 2, .kernel = {kernel, kernel}, .stride = {stride, stride}, .dilation = {1, 1}, .pad_begin = {pad, pad}, .pad_end = {pad, pad}};
    a->group = 1;
    if (relu) a->act = (KerbActivation){.kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU, .slope = KERB_NO_VALUE};
    return y;
}

/* Encoder and decoder of a small net: every kind of integer step that there is. The output is quantised too, so that it can be compared
 * exactly. */
static void build(Qdq *q, int channels)
{
    KerbGraph *g = q->g;
    const int64_t xd[4] = {1, 3, 14, 18};
    const float s = ldexpf(1, -5), s2 = ldexpf(1, -6);
    uint32_t x = quantised(q, kerb_case_input(g, 4, xd), some_scale(q, ldexpf(1, -7)));
    const float scale = some_scale(q, s);
    uint32_t a = quantised(q, conv(q, x, 3, channels, 3, 1, true), scale);
    uint32_t pooled = kerb_net_case_result(g, KERB_F32), sum = kerb_net_case_result(g, KERB_F32), up = kerb_net_case_result(g, KERB_F32);
    kerb_case_node(g, KERB_OP_MAX_POOL, 1, &a, pooled)->attrs.pool.window =
        (KerbWindow){.n = 2, .kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}};
    pooled = quantised(q, pooled, scale);
    uint32_t b = quantised(q, conv(q, pooled, channels, channels, 3, 1, false), some_scale(q, s2));
    KerbNode *add = kerb_case_node(g, KERB_OP_BINARY, 2, (uint32_t[]){b, pooled}, sum);
    add->attrs.binary.kind = KERB_BINARY_ADD;
    add->attrs.binary.act = (KerbActivation){.kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU, .slope = KERB_NO_VALUE};
    sum = quantised(q, sum, scale);
    const float twice[4] = {1, 1, 2, 2};
    KerbNode *resize = kerb_case_node(g, KERB_OP_RESIZE, 3, (uint32_t[]){sum, KERB_NO_VALUE, floats(g, 4, twice)}, up);
    resize->attrs.resize.mode = KERB_RESIZE_NEAREST;
    resize->attrs.resize.coordinates = KERB_COORD_ASYMMETRIC;
    resize->attrs.resize.nearest = KERB_NEAREST_FLOOR;
    up = quantised(q, up, scale);
    const uint32_t both = quantised(q, kerb_net_case_concat(g, 2, (uint32_t[]){a, up}), scale);
    kerb_case_output(g, quantised(q, conv(q, both, 2 * channels, 5, 1, 1, false), some_scale(q, s)));
}

static void run_chain(int channels, bool exact, int index)
{
    KerbRandom r = kerb_random_seeded("int8", 4711 + (uint64_t)index);
    KerbNetCase c = kerb_net_case();
    Qdq q = {.g = c.g, .r = &r, .exact = exact, .type = KERB_I8};
    build(&q, channels);
    if (kerb_net_case_compile(&c, KERB_PRECISION_INT8)) fail_msg("%s", c.error.message);
    assert_int_equal(kerb_net_case_steps(&c, "conv int8"), 3);
    assert_int_equal(kerb_net_case_steps(&c, "Add int8"), 1);
    assert_int_equal(kerb_net_case_steps(&c, "quantize"), 1);   /* the picture */
    assert_int_equal(kerb_net_case_steps(&c, "dequantize"), 1); /* the scores */
    assert_int_equal(kerb_net_case_steps(&c, "ref"), 0);
    assert_int_equal(kerb_cuda_net_input(c.net, 0)->dtype, KERB_F32); /* f16 would move numbers from one step to the next */
    double worst;
    /* The scores are kept in f16, a quarter of a step exactly. */
    const int differences = kerb_net_case_differences(&c, &r, exact ? 0 : 0.005, &worst);
    if (exact) {
        assert_int_equal(differences, 0);
    } else { /* sums that lie halfway between two steps */
        const KerbTensor *y = c.backend->output(c.net, 0);
        printf("int8: %d of %lld elements differ, by at most %g\n", differences, (long long)kerb_tensor_elements(y), worst);
        assert_true(differences <= kerb_tensor_elements(y) / 50);
        assert_true(worst <= (double)ldexpf(1.2f, -5) * 1.01);
    }
    kerb_net_case_free(&c);
}

static void chains_are_exact_where_rounding_is_defined(void **state)
{
    static const int channels[] = {16, 32, 8, 5};
    for (int i = 0; i < 4; i++) run_chain(channels[i], true, i);
}
static void chains_with_any_scales_differ_by_single_steps(void **state)
{
    for (int i = 0; i < 3; i++) run_chain(i == 1 ? 24 : 16, false, 10 + i);
}

/* Zero points that are not 0, or u8: seen as floats, as the graph says. */
static void asymmetric_values_are_dequantised(void **state)
{
    KerbRandom r = kerb_random_seeded("int8 asymmetric", 99);
    KerbNetCase c = kerb_net_case();
    Qdq q = {.g = c.g, .r = &r, .exact = true, .type = KERB_I8};
    const int64_t xd[4] = {1, 3, 9, 8};
    uint32_t x = quantised(&q, kerb_case_input(c.g, 4, xd), ldexpf(1, -7));
    x = conv(&q, x, 3, 16, 3, 1, true); /* this one on integers */
    q.type = KERB_U8;
    q.zero = 3;
    kerb_case_output(c.g, conv(&q, quantised(&q, x, ldexpf(1, -5)), 16, 4, 3, 2, false));
    if (kerb_net_case_compile(&c, KERB_PRECISION_INT8)) fail_msg("%s", c.error.message);
    assert_int_equal(kerb_net_case_steps(&c, "conv int8"), 1);
    assert_int_equal(kerb_net_case_steps(&c, "conv "), 2);
    double worst;
    assert_int_equal(kerb_net_case_differences(&c, &r, 0.05, &worst), 0);
    kerb_net_case_free(&c);
}

/* In the float precisions the graph's quantising is computed as it stands. */
static void float_precisions_quantise_as_the_graph_says(void **state)
{
    static const KerbPrecision precisions[] = {KERB_PRECISION_F32, KERB_PRECISION_TF32, KERB_PRECISION_F16};
    for (int i = 0; i < 3; i++) {
        KerbRandom r = kerb_random_seeded("QDQ in floats", 7);
        KerbNetCase c = kerb_net_case();
        Qdq q = {.g = c.g, .r = &r, .exact = true, .type = KERB_I8};
        build(&q, 16);
        if (kerb_net_case_compile(&c, precisions[i])) fail_msg("%s", c.error.message);
        assert_int_equal(kerb_net_case_steps(&c, "conv int8"), 0);
        double worst; /* f16 keeps 11 bits of sums, so steps of 8 bits may fall to the next one */
        const int differences = kerb_net_case_differences(&c, &r, 1e-6, &worst);
        if (i == 0) assert_int_equal(differences, 0);
        assert_true(worst <= 4 * ldexp(1, -5));
        kerb_net_case_free(&c);
    }
}

static void a_model_that_is_not_quantised_is_refused(void **state)
{
    KerbRandom r = kerb_random_seeded("not quantised", 7);
    KerbNetCase c = kerb_net_case();
    const int64_t xd[4] = {1, 3, 8, 8};
    kerb_case_output(c.g, kerb_net_case_conv(c.g, &r, kerb_case_input(c.g, 4, xd), 3, 8, 3, 1));
    assert_int_equal(kerb_net_case_compile(&c, KERB_PRECISION_INT8), KERB_ERROR_ARGUMENT);
    assert_null(c.net);
    assert_non_null(strstr(c.error.message, "kerb calibrate"));
    kerb_net_case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_exact_where_rounding_is_defined), cmocka_unit_test(chains_with_any_scales_differ_by_single_steps),
        cmocka_unit_test(asymmetric_values_are_dequantised),          cmocka_unit_test(float_precisions_quantise_as_the_graph_says),
        cmocka_unit_test(a_model_that_is_not_quantised_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
