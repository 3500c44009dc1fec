/* SPDX-License-Identifier: MIT */
/* Passes on quantised (QDQ) graphs: a Pad between quantisers goes into the window behind them, ConvTranspose keeps its integers when it is lowered. */
#include "net/quantize.h"
#include "net_fixture.h"

#define DONE(g, after) (kerb_graph_free(&(after)), kerb_graph_free(&(g)))

/* The integers -128... (i8) or 0... (u8) with zero point `zero`. */
static uint32_t pair(KerbGraph *g, uint32_t x, KerbDtype dtype, const char *scale, int zero, int zero_back)
{
    const int8_t zeros[2] = { (int8_t)zero, (int8_t)zero_back };
    const uint32_t s = net_value(g, scale), a = kerb_graph_add_constant(g, kerb_graph_name(g, "zero", "a"), dtype, 0, NULL, &zeros[0], true),
                   b = kerb_graph_add_constant(g, kerb_graph_name(g, "zero", "b"), dtype, 0, NULL, &zeros[1], true);
    return NODE(g, KERB_OP_DEQUANTIZE, IN(NODE(g, KERB_OP_QUANTIZE, IN(x, s, a), .axis = 0), s, b), .axis = 0);
}
static uint32_t conv(KerbGraph *g, uint32_t x, const char *w)
{
    return NODE(g, KERB_OP_CONV, IN(x, net_value(g, w)), CONV(3, 2, 1, 0, 1, 1));
}
static uint32_t pad(KerbGraph *g, uint32_t x, const char *pads, const char *value)
{
    return NODE(g, KERB_OP_PAD, IN(x, net_value(g, pads), net_value(g, value)), .axis = 0);
}

/* ---- Pad */

static void test_pad_of_one_scale(void **state)
{
    static const struct {
        KerbDtype dtype;
        int zero;
    } kinds[] = { { KERB_U8, 0 }, { KERB_U8, 117 }, { KERB_I8, 0 }, { KERB_I8, -9 } };
    for (int i = 0; i < 4; i++) {
        KerbGraph *g = net_new(), *after;
        uint32_t x = pair(g, net_value(g, "1x3x6x5"), kinds[i].dtype, "~0.013", kinds[i].zero, kinds[i].zero);
        uint32_t y = pair(g, pad(g, x, "[0,0,0,2,0,0,1,0]", "-"), kinds[i].dtype, "~0.013", kinds[i].zero, kinds[i].zero);
        after = net_apply(g, IN(conv(g, y, "=4x3x3x3"), conv(g, y, "=2x3x3x3")), "fuse-pad", 2);
        assert_int_equal(net_count(after, KERB_OP_PAD), 0);
        assert_int_equal(net_count(after, KERB_OP_QUANTIZE), 1); /* what is rounded already is not rounded again */
        const KerbWindow *w = &net_find(after, KERB_OP_CONV)->attrs.conv.window;
        assert_int_equal(w->pad_begin[0], 0);
        assert_int_equal(w->pad_begin[1], 2);
        assert_int_equal(w->pad_end[0], 2); /* the convolution's own, too */
        assert_int_equal(w->pad_end[1], 1);
        DONE(g, after);
    }
}

static void test_pad_of_other_scales(void **state)
{
    KerbGraph *g = net_new(), *after; /* both convolutions share the new quantisers; the third's Pad has another reader */
    uint32_t x = pair(g, net_value(g, "1x3x6x5"), KERB_U8, "~0.013", 117, 117);
    uint32_t padded = pad(g, x, "[0,0,0,2,0,0,1,0]", "~0"), y = pair(g, padded, KERB_I8, "~0.021", 5, 5);
    after = net_apply(g, IN(conv(g, y, "=4x3x3x3"), conv(g, y, "=2x3x3x3"), UNARY(g, padded, EXP)), "fuse-pad", 2);
    assert_int_equal(net_count(after, KERB_OP_PAD), 1);
    assert_int_equal(net_count(after, KERB_OP_QUANTIZE), 2);
    DONE(g, after);
    g = net_new(); /* floats before the Pad */
    y = pair(g, pad(g, net_value(g, "1x3x6x5"), "[0,0,0,2,0,0,1,0]", "-"), KERB_I8, "~0.021", 5, 5);
    after = net_apply(g, IN(conv(g, y, "=4x3x3x3")), "fuse-pad", 1);
    assert_int_equal(net_count(after, KERB_OP_PAD), 0);
    assert_int_equal(net_count(after, KERB_OP_QUANTIZE), 1);
    DONE(g, after);
}

static void test_pad_stays(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = pair(g, net_value(g, "1x3x6x5"), KERB_U8, "~0.013", 117, 117);
    uint32_t other_zero = pair(g, pad(g, x, "[0,0,0,2,0,0,1,0]", "-"), KERB_U8, "~0.013", 117, 118);
    uint32_t other_value = pair(g, pad(g, x, "[0,0,0,2,0,0,1,0]", "~0.005"), KERB_U8, "~0.013", 117, 117); /* becomes 0, but that is not asked */
    after = net_apply(g, IN(conv(g, other_zero, "=4x3x3x3"), conv(g, other_value, "=4x3x3x3")), "fuse-pad", 0);
    DONE(g, after);
}

static void test_pad_into_max_pool(void **state)
{
    static const struct {
        KerbDtype dtype;
        int zero, changes;
    } kinds[] = { { KERB_U8, 0, 1 }, { KERB_I8, -128, 1 }, { KERB_U8, 3, 0 }, { KERB_I8, 0, 0 } }; /* without and with negative numbers */
    for (int i = 0; i < 4; i++) {
        KerbGraph *g = net_new(), *after;
        uint32_t x = pair(g, net_value(g, "1x3x6x5"), kinds[i].dtype, "~0.013", kinds[i].zero, kinds[i].zero);
        uint32_t y = pair(g, pad(g, x, "[0,0,1,0,0,0,0,1]", "-"), kinds[i].dtype, "~0.013", kinds[i].zero, kinds[i].zero);
        after = net_apply(g, IN(NODE(g, KERB_OP_MAX_POOL, IN(y), POOL(2, 1, 0, 0, 0))), "fuse-pad", kinds[i].changes);
        DONE(g, after);
    }
}

/* ---- ConvTranspose */

/* DequantizeLinear of random integers. `scales` along `axis`; 0: one. */
static uint32_t quantised_constant(KerbGraph *g, KerbDtype dtype, const char *shape, int scales, int axis, int zero)
{
    int64_t dims[KERB_MAX_RANK], n, scale_dims[1] = { scales };
    const int rank = net_dims(shape, dims);
    kerb_dims_elements(rank, dims, 0, &n);
    KerbTensor t = kerb_tensor(calloc((size_t)n, 4), dtype, rank, dims);
    float scale[64];
    int8_t zeros[64];
    for (int64_t i = 0; i < n; i++) kerb_tensor_set(&t, i, rint((double)net_random() * (dtype == KERB_I8 ? 127 : 5000)));
    for (int i = 0; i < (scales ? scales : 1); i++) {
        scale[i] = 0.01f + 0.005f * net_random();
        zeros[i] = (int8_t)zero;
    }
    const uint32_t integers = kerb_graph_add_constant(g, kerb_graph_name(g, "integers", "w"), dtype, rank, dims, t.data, true), s = net_constant(g, scale, scales ? 1 : 0, scale_dims),
                   z = dtype == KERB_I8 ? kerb_graph_add_constant(g, kerb_graph_name(g, "zero", "w"), KERB_I8, scales ? 1 : 0, scale_dims, zeros, true) : KERB_NO_VALUE;
    free(t.data);
    return NODE(g, KERB_OP_DEQUANTIZE, IN(integers, s, z), .quantize = { .axis = axis });
}

/* Every element is its integer times its scale. */
static void expect_integers(const KerbGraph *g, const KerbValue *v, KerbDtype dtype)
{
    assert_true(v->dequantized);
    assert_int_equal(v->integers_axis, 0);
    assert_int_equal(v->integers_zero, KERB_NO_VALUE);
    const KerbTensor f = kerb_value_tensor(v), q = kerb_value_tensor(&g->values[v->integers]), s = kerb_value_tensor(&g->values[v->integers_scale]);
    assert_int_equal(q.dtype, dtype);
    assert_true(kerb_tensor_same_shape(&f, &q));
    const int64_t n = kerb_tensor_elements(&f), scales = kerb_tensor_elements(&s);
    assert_true(scales == 1 || scales == v->dims[0]);
    for (int64_t i = 0; i < n; i++) {
        const double scale = kerb_tensor_get(&s, scales == 1 ? 0 : i / (n / v->dims[0]));
        assert_true(kerb_tensor_get(&f, i) == (double)(float)(kerb_tensor_get(&q, i) * scale));
    }
}

/* `kept`: does the lowered convolution still say its integers? */
static void lower(const char *weights, int oc, int group, int scales, int axis, int zero, KerbWindow window, bool kept)
{
    KerbGraph *g = net_new(), *folded = NULL, *after;
    char bias[16], x[32];
    int64_t dims[4];
    net_dims(weights, dims);
    sprintf(bias, "%d", oc);
    sprintf(x, "1x%dx4x5", (int)dims[0]);
    uint32_t in = pair(g, net_value(g, x), KERB_U8, "~0.013", 117, 117);
    uint32_t y = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(in, quantised_constant(g, KERB_I8, weights, scales, axis, zero), quantised_constant(g, KERB_I32, bias, oc, 0, 0)),
                      .conv = { .window = window, .group = group });
    int changes = 0;
    net_set_outputs(g, IN(y));
    net_infer(g);
    assert_int_equal(kerb_graph_clone(g, &folded, NULL), KERB_OK);
    assert_int_equal(net_pass("fold-constants")->run(folded, &changes, NULL), KERB_OK);
    after = net_apply(folded, IN(folded->outputs[0]), "lower-conv-transpose", 1);
    const KerbNode *conv = net_find(after, KERB_OP_CONV);
    KerbConvQuant q;
    assert_int_equal(kerb_conv_quant(after, conv, &q), kept);
    assert_int_equal(kerb_graph_is_quantised(after), kept);
    if (kept) expect_integers(after, kerb_node_input(after, conv, 1), KERB_I8);
    expect_integers(after, kerb_node_input(after, conv, 2), KERB_I32);
    kerb_graph_free(&folded);
    DONE(g, after);
}

static void test_conv_transpose(void **state)
{
    lower("3x5x2x2", 5, 1, 0, 0, 0, net_window(2, 2, 1, 0, 0), true); /* one scale */
    lower("3x5x3x3", 5, 1, 5, 1, 0, net_window(3, 2, 1, 1, 0), true); /* by channel */
    lower("3x5x4x4", 5, 1, 5, -3, 0, net_window(4, 2, 1, 1, 1), true);
    lower("3x5x3x3", 5, 1, 5, 1, 0, net_window(3, 1, 2, 1, 1), true);
    lower("16x8x4x4", 16, 2, 8, 1, 0, net_window(4, 2, 1, 1, 1), true); /* groups share the channels' scales */
}

static void test_conv_transpose_without_integers(void **state)
{
    lower("3x5x3x3", 5, 1, 3, 0, 0, net_window(3, 2, 1, 1, 0), false); /* scales of what comes in, not of what goes out */
    lower("3x5x3x3", 5, 1, 5, 1, 4, net_window(3, 2, 1, 1, 0), false); /* zero points */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pad_of_one_scale),  cmocka_unit_test(test_pad_of_other_scales), cmocka_unit_test(test_pad_stays),
        cmocka_unit_test(test_pad_into_max_pool), cmocka_unit_test(test_conv_transpose),      cmocka_unit_test(test_conv_transpose_without_integers),
    };
    return cmocka_run_group_tests_name("quantised", tests, NULL, NULL);
}
