/* SPDX-License-Identifier: MIT */
/* kerb_graph_drop_rounding(): a quantised graph against the float graph, with the clips written out, that it must become. */
#include "net_fixture.h"

#include "net/quantize.h"

#define SCALE 0.0078125f /* so that ranges are floats: u8 0..1.9921875, i8 -1..0.9921875 */

static uint32_t number(KerbGraph *g, KerbDtype dtype, int v)
{
    const int8_t byte = (int8_t)v;
    return kerb_graph_add_constant(g, kerb_graph_name(g, "zero", "z"), dtype, 0, NULL, &byte, true);
}

static uint32_t quantise(KerbGraph *g, uint32_t x, KerbDtype dtype, int zero)
{
    return NODE(g, KERB_OP_QUANTIZE, IN(x, net_constant(g, (float[]){SCALE}, 0, NULL), number(g, dtype, zero)), .quantize = {.axis = 1});
}

static uint32_t dequantise(KerbGraph *g, uint32_t x, KerbDtype dtype, int zero)
{
    return NODE(g, KERB_OP_DEQUANTIZE, IN(x, net_constant(g, (float[]){SCALE}, 0, NULL), number(g, dtype, zero)), .quantize = {.axis = 1});
}

static uint32_t rounded(KerbGraph *g, uint32_t x, KerbDtype dtype, int zero)
{
    return dequantise(g, quantise(g, x, dtype, zero), dtype, zero);
}

static uint32_t clipped(KerbGraph *g, uint32_t x, float lo, float hi)
{
    return NODE(g, KERB_OP_CLIP, IN(x, net_constant(g, &lo, 0, NULL), net_constant(g, &hi, 0, NULL)), .axis = 0);
}

/* Convolutions of a graph have the weights of the other's, as both are written in the same order. */
static uint32_t conv(KerbGraph *g, uint32_t x, int channels_in, int channels_out, unsigned seed)
{
    net_seed = seed;
    uint32_t w = net_constant(g, NULL, 4, (int64_t[]){channels_out, channels_in, 3, 3});
    return NODE(g, KERB_OP_CONV, IN(x, w), CONV(3, 1, 1, 1, 1, 1));
}

/* `g`, optimised and rid of its rounding, is `wanted`, and has no integers left but for `kept` nodes. Takes both; returns g. */
static KerbGraph *becomes(KerbGraph *g, NetInputs outputs, KerbGraph *wanted, NetInputs wanted_outputs, int kept)
{
    KerbError error = {0};
    net_set_outputs(g, outputs);
    net_set_outputs(wanted, wanted_outputs);
    net_infer(g);
    net_infer(wanted);
    assert_int_equal(kerb_graph_optimize(g, &(KerbOptimizeOptions){.keep_head = true}, &error), KERB_OK);
    if (kerb_graph_drop_rounding(g, &error) != KERB_OK) fail_msg("%s", error.message);
    assert_int_equal(net_count(g, KERB_OP_QUANTIZE) + net_count(g, KERB_OP_DEQUANTIZE), kept);
    net_expect_same(wanted, g, NET_TOLERANCE);
    kerb_graph_free(&wanted);
    return g;
}

/* The range is the activation of a convolution that has none, and narrows the one of a convolution that has: two convolutions are left, and nothing else. */
static void test_clips_are_activations(void **state)
{
    KerbGraph *g = net_new(), *wanted = net_new();
    uint32_t x = rounded(g, conv(g, net_value(g, "1x3x7x5"), 3, 4, 1), KERB_U8, 0);
    x = rounded(g, UNARY(g, conv(g, x, 4, 4, 2), RELU), KERB_I8, -128);
    uint32_t y = clipped(wanted, conv(wanted, net_value(wanted, "1x3x7x5"), 3, 4, 1), 0, 255 * SCALE);
    y = clipped(wanted, conv(wanted, y, 4, 4, 2), 0, 255 * SCALE);
    g = becomes(g, IN(x), wanted, IN(y), 0);
    assert_int_equal(g->n_nodes, 2);
    assert_int_equal(g->nodes[1].attrs.conv.act.kind, KERB_ACT_CLIP);
    kerb_graph_free(&g);
}

/* One clip for all readers of the integers; both sides of a sum, whose ranges are on both sides of 0, are not clipped, so it is one convolution. */
static void test_residual(void **state)
{
    KerbGraph *g = net_new(), *wanted = net_new();
    uint32_t a = quantise(g, conv(g, net_value(g, "1x4x7x5"), 4, 4, 1), KERB_U8, 0);
    uint32_t sum = BINARY(g, rounded(g, conv(g, dequantise(g, a, KERB_U8, 0), 4, 4, 2), KERB_I8, 5), dequantise(g, a, KERB_U8, 0), ADD);
    uint32_t b = clipped(wanted, conv(wanted, net_value(wanted, "1x4x7x5"), 4, 4, 1), 0, 255 * SCALE);
    uint32_t same = clipped(wanted, BINARY(wanted, conv(wanted, b, 4, 4, 2), b, ADD), 0, 255 * SCALE);
    g = becomes(g, IN(rounded(g, sum, KERB_U8, 0)), wanted, IN(same), 0);
    assert_int_equal(g->n_nodes, 2);
    kerb_graph_free(&g);
}

/* What only moves numbers of a range is not clipped to it again; nor are the graph's inputs. What can leave it is. */
static void test_ranges(void **state)
{
    KerbGraph *g = net_new(), *wanted = net_new();
    uint32_t x = rounded(g, net_value(g, "1x3x8x6"), KERB_U8, 0), in = net_value(wanted, "1x3x8x6");
    x = rounded(g, conv(g, x, 3, 4, 1), KERB_U8, 0);
    uint32_t y = clipped(wanted, conv(wanted, in, 3, 4, 1), 0, 255 * SCALE);
    const KerbAttrs pool = {POOL(2, 2, 0, 0, 0)}, average = {POOL(3, 1, 1, 1, .count_include_pad = true)};
    x = rounded(g, net_node(g, KERB_OP_MAX_POOL, IN(x), pool), KERB_U8, 0);
    y = net_node(wanted, KERB_OP_MAX_POOL, IN(y), pool);
    x = rounded(g, NODE(g, KERB_OP_CONCAT, IN(x, x), .axis = 1), KERB_U8, 0);
    y = NODE(wanted, KERB_OP_CONCAT, IN(y, y), .axis = 1);
    x = rounded(g, NODE(g, KERB_OP_PAD, IN(x, net_value(g, "[0,0,1,0,0,0,0,2]"), NONE), .axis = 0), KERB_U8, 0);
    y = NODE(wanted, KERB_OP_PAD, IN(y, net_value(wanted, "[0,0,1,0,0,0,0,2]"), NONE), .axis = 0);
    x = rounded(g, net_node(g, KERB_OP_AVERAGE_POOL, IN(x), average), KERB_U8, 0);
    y = net_node(wanted, KERB_OP_AVERAGE_POOL, IN(y), average);
    x = rounded(g, UNARY(g, x, EXP), KERB_U8, 0); /* up to 7.3 */
    y = clipped(wanted, UNARY(wanted, y, EXP), 0, 255 * SCALE);
    g = becomes(g, IN(x), wanted, IN(y), 0);
    assert_int_equal(net_count(g, KERB_OP_CLIP), 1); /* the last */
    kerb_graph_free(&g);
}

/* Integers that somebody reads as integers, and scales that are not each other's, stay: that is no rounding. */
static void test_integers_stay(void **state)
{
    KerbGraph *g = net_new(), *wanted = net_new();
    uint32_t q = quantise(g, UNARY(g, net_value(g, "1x3x8x6"), SIGMOID), KERB_U8, 0);
    uint32_t s = quantise(wanted, UNARY(wanted, net_value(wanted, "1x3x8x6"), SIGMOID), KERB_U8, 0);
    g = becomes(g, IN(dequantise(g, q, KERB_U8, 0), NODE(g, KERB_OP_CAST, IN(q), .cast = {KERB_F32}), dequantise(g, q, KERB_U8, 9)), wanted,
                IN(dequantise(wanted, s, KERB_U8, 0), NODE(wanted, KERB_OP_CAST, IN(s), .cast = {KERB_F32}), dequantise(wanted, s, KERB_U8, 9)), 3);
    kerb_graph_free(&g);
}

/* Outputs keep their names, also where two of them are one tensor. */
static void test_outputs(void **state)
{
    KerbGraph *g = net_new(), *wanted = net_new();
    uint32_t q = quantise(g, UNARY(g, net_value(g, "1x3x8x6"), RELU), KERB_U8, 0);
    uint32_t a = dequantise(g, q, KERB_U8, 0), b = UNARY(g, dequantise(g, q, KERB_U8, 0), EXP);
    uint32_t y = clipped(wanted, net_value(wanted, "1x3x8x6"), 0, 255 * SCALE);
    const char *name = g->values[a].name;
    g = becomes(g, IN(a, b), wanted, IN(y, UNARY(wanted, y, EXP)), 0);
    assert_string_equal(g->values[g->outputs[0]].name, name);
    kerb_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clips_are_activations), cmocka_unit_test(test_residual), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_integers_stay),         cmocka_unit_test(test_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
