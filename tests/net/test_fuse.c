/* SPDX-License-Identifier: MIT */
/* Passes that join operators: where they fire, where they must not, and that the network still means the same. */
#include "net_fixture.h"

#define DONE(g, after) (kerb_graph_free(&(after)), kerb_graph_free(&(g)))

static uint32_t conv(KerbGraph *g, uint32_t x, const char *w, const char *bias)
{
    return NODE(g, KERB_OP_CONV, IN(x, net_value(g, w), net_value(g, bias)), CONV(3, 1, 1, 1, 1, 1));
}
static uint32_t pad(KerbGraph *g, uint32_t x, const char *pads, const char *value)
{
    return NODE(g, KERB_OP_PAD, IN(x, net_value(g, pads), net_value(g, value)), .axis = 0);
}

static void test_pad_into_conv(void **state)
{
    KerbGraph *g = net_new(), *after; /* onto pads that are there; both readers take it */
    uint32_t x = pad(g, net_value(g, "1x3x6x5"), "[0,0,1,2,0,0,3,4]", "-");
    after = net_apply(g, IN(conv(g, x, "=4x3x3x3", "-"), conv(g, x, "=2x3x3x3", "=2")), "fuse-pad", 2);
    assert_int_equal(net_count(after, KERB_OP_PAD), 0);
    DONE(g, after);
    g = net_new(); /* a reader that cannot take it keeps the Pad alive */
    x = NODE(g, KERB_OP_PAD, IN(net_value(g, "1x3x6x5"), net_value(g, "[1,1]"), net_value(g, "~0"), net_value(g, "[-1]")), .axis = 0);
    after = net_apply(g, IN(conv(g, x, "=4x3x3x3", "-"), UNARY(g, x, EXP)), "fuse-pad", 1);
    assert_int_equal(net_count(after, KERB_OP_PAD), 1);
    DONE(g, after);
}

static void test_pad_stays(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x3x6x5");
    uint32_t edge = NODE(g, KERB_OP_PAD, IN(x, net_value(g, "[0,0,1,1,0,0,1,1]")), .pad = { KERB_PADDING_EDGE });
    uint32_t out[5] = {
        conv(g, pad(g, x, "[0,0,1,1,0,0,1,1]", "~1"), "=4x3x3x3", "-"),   /* another value */
        conv(g, pad(g, x, "[0,0,-1,1,0,0,1,1]", "-"), "=4x3x3x3", "-"),   /* a crop */
        conv(g, pad(g, x, "[0,1,0,0,0,0,0,0]", "-"), "=4x4x3x3", "-"),    /* channels */
        conv(g, edge, "=4x3x3x3", "-"),
        NODE(g, KERB_OP_CONV_TRANSPOSE, IN(pad(g, x, "[0,0,1,1,0,0,1,1]", "-"), net_value(g, "=3x2x2x2")), CONV(2, 2, 1, 0, 0, 1)),
    };
    after = net_apply(g, IN(out[0], out[1], out[2], out[3], out[4]), "fuse-pad", 0);
    DONE(g, after);
}

static void test_pad_into_pool(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x3x6x5"), zero = pad(g, x, "[0,0,1,1,0,0,1,1]", "-"), low = pad(g, x, "[0,0,1,1,0,0,1,1]", "~-inf");
    uint32_t relu = pad(g, UNARY(g, x, RELU), "[0,0,1,1,0,0,1,1]", "-");
    uint32_t a = NODE(g, KERB_OP_AVERAGE_POOL, IN(zero), POOL(3, 2, 0, 0, 0));
    uint32_t b = NODE(g, KERB_OP_AVERAGE_POOL, IN(zero), POOL(3, 2, 1, 1, .count_include_pad = true));
    uint32_t c = NODE(g, KERB_OP_MAX_POOL, IN(low), POOL(3, 2, 0, 0, 0)), d = NODE(g, KERB_OP_MAX_POOL, IN(relu), POOL(3, 2, 0, 1, 0));
    after = net_apply(g, IN(a, b, c, d), "fuse-pad", 4);
    assert_int_equal(net_count(after, KERB_OP_PAD), 0);
    DONE(g, after);
}

static void test_pad_stays_before_pool(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x3x6x5"), zero = pad(g, x, "[0,0,1,1,0,0,1,1]", "-"), low = pad(g, x, "[0,0,1,1,0,0,1,1]", "~-inf"), out[6], two[2];
    out[0] = NODE(g, KERB_OP_AVERAGE_POOL, IN(zero), POOL(3, 2, 1, 1, 0));                  /* its own pads do not count, these do */
    out[1] = NODE(g, KERB_OP_AVERAGE_POOL, IN(zero), POOL(3, 2, 0, 0, .ceil_mode = true));
    out[2] = NODE(g, KERB_OP_MAX_POOL, IN(zero), POOL(3, 2, 0, 0, 0));                      /* 0 is above what may be there */
    out[3] = NODE(g, KERB_OP_MAX_POOL, IN(low), POOL(3, 2, 0, 0, .ceil_mode = true));
    out[4] = NODE(g, KERB_OP_MAX_POOL, IN(pad(g, UNARY(g, x, RELU), "[0,0,3,1,0,0,1,1]", "-")), POOL(3, 2, 0, 0, 0)); /* a window in the pad alone */
    net_outputs(g, KERB_OP_MAX_POOL, (KerbAttrs){ POOL(3, 2, 0, 0, 0) }, 1, &low, 2, two);  /* indices count in the padded picture */
    after = net_apply(g, IN(out[0], out[1], out[2], out[3], out[4], two[0], two[1]), "fuse-pad", 0);
    DONE(g, after);
}

static void test_residual(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x6x5"), a = conv(g, x, "=4x4x3x3", "-"), b = conv(g, UNARY(g, a, RELU), "=4x4x3x3", "=4");
    after = net_apply(g, IN(UNARY(g, BINARY(g, x, b, ADD), RELU)), "fuse-residual", 1);
    assert_int_equal(net_count(after, KERB_OP_BINARY), 0);
    DONE(g, after);
    g = net_new(); /* both are convolutions: the later one takes the sum, wherever the Add names it */
    x = net_value(g, "1x4x6x5");
    a = conv(g, x, "=4x4x3x3", "-");
    b = conv(g, x, "=4x4x3x3", "-");
    after = net_apply(g, IN(BINARY(g, b, a, ADD)), "fuse-residual", 1);
    assert_int_equal(after->n_nodes, 2);
    assert_int_equal(after->nodes[1].n_inputs, 4);
    DONE(g, after);
    g = net_new(); /* the other operand is computed after the convolution in the model's order: sorted again */
    x = net_value(g, "1x4x6x5");
    a = conv(g, x, "=4x4x3x3", "-");
    after = net_apply(g, IN(BINARY(g, a, UNARY(g, UNARY(g, x, EXP), RELU), ADD)), "fuse-residual", 1);
    assert_int_equal(after->nodes[2].op, KERB_OP_CONV);
    DONE(g, after);
}

static void test_residual_stays(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x6x5"), a = conv(g, x, "=4x4x3x3", "-");
    uint32_t twice = BINARY(g, a, a, ADD), scaled = BINARY(g, conv(g, x, "=4x4x3x3", "-"), net_value(g, "1x4x1x1"), ADD);
    uint32_t acted = BINARY(g, UNARY(g, conv(g, x, "=4x4x3x3", "-"), RELU), x, ADD), product = BINARY(g, conv(g, x, "=4x4x3x3", "-"), x, MUL);
    uint32_t read = conv(g, x, "=4x4x3x3", "-"), sum = BINARY(g, read, x, ADD);
    uint32_t constant = BINARY(g, conv(g, x, "=4x4x3x3", "-"), net_value(g, "=1x4x6x5"), ADD);
    uint32_t fused = conv(g, x, "=4x4x3x3", "-"), behind = BINARY(g, fused, x, ADD); /* its activation would come after the sum */
    g->nodes[g->values[fused].producer].attrs.conv.act = (KerbActivation){ .kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU, .slope = KERB_NO_VALUE };
    after = net_apply(g, IN(twice, scaled, acted, product, read, sum, constant, behind), "fuse-residual", 0);
    DONE(g, after);
}

static void test_activations(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x6x5"), out[8];
    out[0] = UNARY(g, conv(g, x, "=4x4x3x3", "=4"), RELU);
    out[1] = NODE(g, KERB_OP_UNARY, IN(conv(g, x, "=4x4x3x3", "-")), .unary = { KERB_UNARY_LEAKY_RELU, 0.1f, 0 });
    out[2] = NODE(g, KERB_OP_CLIP, IN(conv(g, x, "=4x4x3x3", "-"), net_value(g, "~0"), net_value(g, "~0.6")), .axis = 0);
    out[3] = NODE(g, KERB_OP_CLIP, IN(BINARY(g, x, conv(g, x, "=4x4x3x3", "-"), MUL), NONE, net_value(g, "~0.6")), .axis = 0);
    out[4] = BINARY(g, conv(g, x, "=4x4x3x3", "-"), net_value(g, "=4x1x1"), PRELU);
    out[5] = BINARY(g, BINARY(g, x, x, ADD), net_value(g, "~0.3"), PRELU);
    out[6] = NODE(g, KERB_OP_UNARY, IN(NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, net_value(g, "=4x2x2x2")), CONV(2, 2, 1, 0, 0, 1))),
                  .unary = { KERB_UNARY_HARD_SIGMOID, 0.2f, 0.4f });
    uint32_t gemm = NODE(g, KERB_OP_GEMM, IN(NODE(g, KERB_OP_FLATTEN, IN(x), .axis = 2), net_value(g, "=30x7")), .gemm = { 1, 1, false, false });
    out[7] = UNARY(g, gemm, TANH);
    after = net_apply(g, IN(out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7]), "fuse-activation", 8);
    assert_int_equal(net_count(after, KERB_OP_UNARY) + net_count(after, KERB_OP_CLIP), 0);
    DONE(g, after);
}

static void test_activations_that_stay(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x6x4"), out[7], read = conv(g, x, "=4x4x3x3", "=4");
    out[0] = UNARY(g, read, RELU);
    out[1] = read;
    out[2] = UNARY(g, conv(g, x, "=4x4x3x3", "-"), EXP);                                  /* no activation */
    out[3] = BINARY(g, conv(g, x, "=4x4x3x3", "-"), net_value(g, "=4"), PRELU);           /* slopes along the width */
    out[4] = UNARY(g, NODE(g, KERB_OP_MAX_POOL, IN(x), POOL(2, 2, 0, 0, 0)), RELU);
    out[5] = UNARY(g, BINARY(g, net_value(g, "i32 3"), net_value(g, "i32 3"), ADD), RELU); /* integers */
    out[6] = NODE(g, KERB_OP_CLIP, IN(conv(g, x, "=4x4x3x3", "-"), net_value(g, "~1"), net_value(g, "~0")), .axis = 0); /* upside down */
    after = net_apply(g, IN(out[0], out[1], out[2], out[3], out[4], out[5], out[6]), "fuse-activation", 0);
    DONE(g, after);
    g = net_new(); /* one activation each */
    x = UNARY(g, UNARY(g, conv(g, net_value(g, "1x4x6x4"), "=4x4x3x3", "=4"), RELU), TANH);
    after = net_apply(g, IN(x), "fuse-activation", 1);
    DONE(g, after);
}

static uint32_t relu6_of_3(KerbGraph *g, uint32_t x)
{
    return NODE(g, KERB_OP_CLIP, IN(BINARY(g, x, net_value(g, "~3"), ADD), net_value(g, "~0"), net_value(g, "~6")), .axis = 0);
}
static uint32_t erf_gate(KerbGraph *g, uint32_t x)
{
    return BINARY(g, UNARY(g, BINARY(g, x, net_value(g, "~1.41421356"), DIV), ERF), net_value(g, "~1"), ADD);
}

static void test_found_activations(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "2x3x4"), out[8], six = net_value(g, "~6"), half = net_value(g, "~0.5");
    static const KerbUnary want[] = { KERB_UNARY_SWISH, KERB_UNARY_HARD_SWISH, KERB_UNARY_HARD_SWISH, KERB_UNARY_HARD_SWISH,
                                      KERB_UNARY_MISH,  KERB_UNARY_GELU,       KERB_UNARY_GELU,       KERB_UNARY_RELU };
    out[0] = BINARY(g, UNARY(g, x, SIGMOID), x, MUL);
    out[1] = BINARY(g, x, NODE(g, KERB_OP_UNARY, IN(x), .unary = { KERB_UNARY_HARD_SIGMOID, 1.0f / 6, 0.5f }), MUL);
    out[2] = BINARY(g, BINARY(g, x, relu6_of_3(g, x), MUL), six, DIV);
    out[3] = BINARY(g, x, BINARY(g, relu6_of_3(g, x), net_value(g, "~0.16666667"), MUL), MUL);
    out[4] = BINARY(g, x, UNARY(g, UNARY(g, x, SOFTPLUS), TANH), MUL);
    out[5] = BINARY(g, BINARY(g, x, erf_gate(g, x), MUL), half, MUL);
    uint32_t y = UNARY(g, x, NEG); /* halved first: the pattern wants to be the only reader of that half */
    uint32_t scaled = BINARY(g, half, y, MUL);
    out[6] = BINARY(g, scaled, erf_gate(g, y), MUL);
    out[7] = BINARY(g, net_value(g, "~0"), x, MAX);
    /* out[3] takes two rounds by its two products: the inner one is found as HardSigmoid first, then the outer as HardSwish. */
    net_set_outputs(g, IN(out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7]));
    KerbGraph *before = NULL;
    KerbError error = { 0 };
    net_infer(g);
    assert_int_equal(kerb_graph_clone(g, &before, &error), KERB_OK);
    KerbOptimizeOptions options = { .keep_head = true };
    after = g;
    if (kerb_graph_optimize(after, &options, &error) != KERB_OK) fail_msg("%s", error.message);
    net_expect_same(before, after, 1e-5); /* the constants in the patterns have 8 digits */
    for (int i = 0; i < 8; i++) {
        const KerbNode *n = &after->nodes[after->values[after->outputs[i]].producer];
        if (n->op != KERB_OP_UNARY || n->attrs.unary.kind != want[i]) fail_msg("output %d is computed by %s", i, kerb_node_kind(n));
    }
    kerb_graph_free(&before);
    kerb_graph_free(&g);
}

static void test_activations_not_found(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "2x3x4"), z = net_value(g, "2x3x4"), gate = UNARY(g, x, SIGMOID), out[6];
    out[0] = BINARY(g, gate, x, MUL);
    out[1] = gate; /* read by others */
    out[2] = BINARY(g, UNARY(g, z, SIGMOID), x, MUL);
    out[3] = BINARY(g, x, NODE(g, KERB_OP_UNARY, IN(x), .unary = { KERB_UNARY_HARD_SIGMOID, 0.2f, 0.5f }), MUL);
    out[4] = BINARY(g, BINARY(g, x, erf_gate(g, x), MUL), net_value(g, "~0.25"), MUL);
    out[5] = NODE(g, KERB_OP_CLIP, IN(x, net_value(g, "~0.5")), .axis = 0);
    after = net_apply(g, IN(out[0], out[1], out[2], out[3], out[4], out[5]), "find-activations", 0);
    DONE(g, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pad_into_conv),  cmocka_unit_test(test_pad_stays),      cmocka_unit_test(test_pad_into_pool),
        cmocka_unit_test(test_pad_stays_before_pool), cmocka_unit_test(test_residual), cmocka_unit_test(test_residual_stays),
        cmocka_unit_test(test_activations),    cmocka_unit_test(test_activations_that_stay),
        cmocka_unit_test(test_found_activations), cmocka_unit_test(test_activations_not_found),
    };
    return cmocka_run_group_tests_name("fuse", tests, NULL, NULL);
}
