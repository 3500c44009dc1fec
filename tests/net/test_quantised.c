/* SPDX-License-Identifier: MIT */
/* Passes on quantised (QDQ) graphs: a Pad between quantisers goes into the window behind them. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pad_of_one_scale),  cmocka_unit_test(test_pad_of_other_scales), cmocka_unit_test(test_pad_stays),
        cmocka_unit_test(test_pad_into_max_pool),
    };
    return cmocka_run_group_tests_name("quantised", tests, NULL, NULL);
}
