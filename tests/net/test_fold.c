/* SPDX-License-Identifier: MIT */
/* Passes that fold and remove: where they fire, where they must not, and that the network still means the same. */
#include "net_fixture.h"

#define DONE(g, after) (kerb_graph_free(&(after)), kerb_graph_free(&(g)))

static uint32_t conv(KerbGraph *g, uint32_t x, const char *w, const char *bias)
{
    return NODE(g, KERB_OP_CONV, IN(x, net_value(g, w), net_value(g, bias)), CONV(3, 1, 1, 1, 1, 1));
}

/* scale, bias, mean and a variance above 0 */
static uint32_t norm(KerbGraph *g, uint32_t x, int64_t channels)
{
    uint32_t in[5] = { x };
    for (int i = 1; i < 5; i++) in[i] = net_constant(g, NULL, 1, &channels);
    float *var = (float *)(uintptr_t)g->values[in[4]].data;
    for (int64_t c = 0; c < channels; c++) var[c] = fabsf(var[c]) + 0.5f;
    return NODE(g, KERB_OP_BATCH_NORM, IN(in[0], in[1], in[2], in[3], in[4]), .norm = { 1e-5f });
}

static void test_norm_behind_conv(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t y = norm(g, conv(g, net_value(g, "1x3x6x5"), "=4x3x3x3", "-"), 4);
    after = net_apply(g, IN(y), "fold-batch-norm", 1);
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->outputs[0], y); /* the output keeps its name */
    DONE(g, after);
}

static void test_norm_behind_transposed_groups(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x3x3");
    uint32_t y = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, net_value(g, "=4x3x2x2"), net_value(g, "=6")), CONV(2, 2, 1, 0, 0, 2));
    after = net_apply(g, IN(norm(g, y, 6)), "fold-batch-norm", 1);
    assert_int_equal(after->n_nodes, 1);
    DONE(g, after);
}

/* Two convolutions share their weights: each gets its own. */
static void test_norm_shared_weights(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x3x6x5"), w = net_value(g, "=3x3x3x3");
    uint32_t a = NODE(g, KERB_OP_CONV, IN(x, w), CONV(3, 1, 1, 1, 1, 1)), b = NODE(g, KERB_OP_CONV, IN(x, w), CONV(3, 1, 1, 1, 1, 1));
    after = net_apply(g, IN(norm(g, a, 3), b), "fold-batch-norm", 1);
    DONE(g, after);
}

static void test_norm_stays(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t y = conv(g, net_value(g, "1x3x6x5"), "=4x3x3x3", "=4"); /* read twice */
    after = net_apply(g, IN(norm(g, y, 4), UNARY(g, y, EXP)), "fold-batch-norm", 0);
    DONE(g, after);
    g = net_new(); /* an activation between */
    after = net_apply(g, IN(norm(g, UNARY(g, conv(g, net_value(g, "1x3x6x5"), "=4x3x3x3", "-"), RELU), 4)), "fold-batch-norm", 0);
    DONE(g, after);
    g = net_new(); /* the convolution is an output itself */
    y = conv(g, net_value(g, "1x3x6x5"), "=4x3x3x3", "=4");
    after = net_apply(g, IN(y, norm(g, y, 4)), "fold-batch-norm", 0);
    DONE(g, after);
    g = net_new(); /* weights that are computed */
    y = NODE(g, KERB_OP_CONV, IN(net_value(g, "1x3x6x5"), net_value(g, "4x3x3x3")), CONV(3, 1, 1, 1, 1, 1));
    after = net_apply(g, IN(norm(g, y, 4)), "fold-batch-norm", 0);
    DONE(g, after);
}

static void test_norm_before_conv(void **state)
{
    KerbGraph *g = net_new(), *after; /* without padding: also for groups */
    uint32_t y = NODE(g, KERB_OP_CONV, IN(norm(g, net_value(g, "1x4x6x5"), 4), net_value(g, "=6x2x3x3"), net_value(g, "=6")), CONV(3, 1, 1, 0, 0, 2));
    after = net_apply(g, IN(y), "fold-batch-norm", 1);
    assert_int_equal(after->n_nodes, 1);
    DONE(g, after);
    g = net_new(); /* with padding the shift cannot move */
    after = net_apply(g, IN(conv(g, norm(g, net_value(g, "1x3x6x5"), 3), "=4x3x3x3", "-")), "fold-batch-norm", 0);
    DONE(g, after);
    g = net_new(); /* but a mere scale can */
    uint32_t x = net_value(g, "1x2x6x5"), one = net_value(g, "{1.5,2}"), zero = net_value(g, "{0,0}"), var = net_value(g, "{1,3}");
    y = NODE(g, KERB_OP_BATCH_NORM, IN(x, one, zero, zero, var), .norm = { 0 });
    after = net_apply(g, IN(conv(g, y, "=4x2x3x3", "-")), "fold-batch-norm", 1);
    DONE(g, after);
    g = net_new(); /* a variance of 0 without epsilon: nothing finite to fold */
    x = net_value(g, "1x2x6x5");
    y = NODE(g, KERB_OP_BATCH_NORM, IN(x, net_value(g, "{1,1}"), net_value(g, "{0,0}"), net_value(g, "{0,0}"), net_value(g, "{1,-1}")), .norm = { 0 });
    net_set_outputs(g, IN(conv(g, y, "=4x2x3x3", "-")));
    net_infer(g);
    int changes = 0;
    assert_int_equal(net_pass("fold-batch-norm")->run(g, &changes, NULL), KERB_OK);
    assert_int_equal(changes, 0);
    kerb_graph_free(&g);
}

static void test_scales(void **state)
{
    KerbGraph *g = net_new(), *after; /* a written-out norm: (conv - mean) / deviation * scale + bias */
    uint32_t y = conv(g, net_value(g, "1x3x6x5"), "=4x3x3x3", "=4");
    y = BINARY(g, y, net_value(g, "=4x1x1"), SUB);
    y = BINARY(g, y, net_value(g, "~0.7"), DIV);
    y = BINARY(g, net_value(g, "=1x4x1x1"), y, MUL);
    y = BINARY(g, net_value(g, "=4x1x1"), y, ADD);
    y = BINARY(g, net_value(g, "~2"), y, SUB);
    after = net_apply(g, IN(y), "fold-scale", 5);
    assert_int_equal(after->n_nodes, 1);
    DONE(g, after);
    g = net_new(); /* along the width it is no scale of channels */
    y = BINARY(g, conv(g, net_value(g, "1x3x6x4"), "=4x3x3x3", "-"), net_value(g, "=4"), MUL);
    after = net_apply(g, IN(y), "fold-scale", 0);
    DONE(g, after);
    g = net_new(); /* number / conv; maximum; division by 0 */
    uint32_t x = net_value(g, "1x3x6x4");
    uint32_t a = BINARY(g, net_value(g, "~2"), conv(g, x, "=4x3x3x3", "-"), DIV), b = BINARY(g, conv(g, x, "=4x3x3x3", "-"), net_value(g, "~2"), MAX);
    after = net_apply(g, IN(a, b), "fold-scale", 0);
    DONE(g, after);
}

static void test_constants(void **state)
{
    KerbGraph *g = net_new(), *after; /* weights stored as 8 bits, per channel: larger than what inference folds */
    int64_t dims[4] = { 64, 64, 3, 3 };
    int8_t *data = malloc(64 * 64 * 9);
    for (int i = 0; i < 64 * 64 * 9; i++) data[i] = (int8_t)(net_random() * 127);
    uint32_t q = kerb_graph_add_constant(g, "q", KERB_I8, 4, dims, data, true);
    uint32_t w = NODE(g, KERB_OP_DEQUANTIZE, IN(q, net_value(g, "=64")), .quantize = { .axis = 0 });
    uint32_t x = net_value(g, "1x64x4x4"), y = NODE(g, KERB_OP_CONV, IN(x, w), CONV(3, 1, 1, 1, 1, 1));
    after = net_apply(g, IN(y), "fold-constants", 1);
    assert_int_equal(after->n_nodes, 1);
    KerbGraph *copy = NULL; /* the integers are found again, through a copy too */
    assert_int_equal(kerb_graph_clone(after, &copy, NULL), KERB_OK);
    const KerbValue *folded = kerb_node_input(copy, &copy->nodes[0], 1);
    assert_true(folded->dequantized);
    assert_int_equal(folded->integers_axis, 0);
    assert_int_equal(folded->integers_zero, KERB_NO_VALUE);
    assert_memory_equal(copy->values[folded->integers].data, data, 64 * 64 * 9);
    assert_int_equal(copy->values[folded->integers_scale].dims[0], 64);
    kerb_graph_free(&copy);
    DONE(g, after);
    free(data);
    g = net_new(); /* QuantizeLinear -> DequantizeLinear around an activation rounds: it stays */
    x = net_value(g, "1x3x4x4");
    uint32_t scale = net_value(g, "~0.1"), u8 = NODE(g, KERB_OP_QUANTIZE, IN(x, scale), .quantize = { .axis = 1 });
    y = NODE(g, KERB_OP_DEQUANTIZE, IN(u8, scale), .quantize = { .axis = 1 });
    after = net_apply(g, IN(y), "fold-constants", 0);
    DONE(g, after);
    g = net_new(); /* a picture of one number is better not kept */
    y = NODE(g, KERB_OP_EXPAND, IN(net_value(g, "~1"), net_value(g, "[1,64,1024,512]")), .axis = 0);
    net_set_outputs(g, IN(y));
    net_infer(g);
    int changes = 0;
    assert_int_equal(net_pass("fold-constants")->run(g, &changes, NULL), KERB_OK);
    assert_int_equal(changes, 0);
    kerb_graph_free(&g);
}

static void test_no_ops(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x6x5"), y = UNARY(g, x, RELU);
    y = NODE(g, KERB_OP_IDENTITY, IN(y), .axis = 0);
    y = NODE(g, KERB_OP_CAST, IN(y), .cast = { KERB_F32 });
    y = NODE(g, KERB_OP_TRANSPOSE, IN(y), .transpose = { 4, { 0, 1, 2, 3 } });
    y = NODE(g, KERB_OP_RESHAPE, IN(y, net_value(g, "[1,4,-1,5]")), .axis = 0);
    y = NODE(g, KERB_OP_SLICE, IN(y, net_value(g, "[0]"), net_value(g, "[9223372036854775807]"), net_value(g, "[2]")), .axis = 0);
    y = NODE(g, KERB_OP_PAD, IN(y, net_value(g, "[0,0,0,0,0,0,0,0]")), .axis = 0);
    y = NODE(g, KERB_OP_EXPAND, IN(y, net_value(g, "[1]")), .axis = 0);
    y = NODE(g, KERB_OP_TILE, IN(y, net_value(g, "[1,1,1,1]")), .axis = 0);
    y = NODE(g, KERB_OP_CONCAT, IN(y), .axis = 1);
    y = NODE(g, KERB_OP_RESIZE, IN(y, NONE, net_value(g, "{1,1,1,1}")), .resize = { .mode = KERB_RESIZE_LINEAR });
    y = NODE(g, KERB_OP_CLIP, IN(y, net_value(g, "~-inf")), .axis = 0);
    y = NODE(g, KERB_OP_MAX_POOL, IN(y), POOL(1, 1, 0, 0, 0));
    y = BINARY(g, y, net_value(g, "~0"), ADD);
    y = BINARY(g, net_value(g, "~1"), y, MUL);
    after = net_apply(g, IN(y), "drop-no-ops", 14);
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->outputs[0], y);
    DONE(g, after);
}

static void test_ops_that_stay(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x4x4"), out[8];
    out[0] = NODE(g, KERB_OP_IDENTITY, IN(x), .axis = 0); /* input straight to output: a backend copies */
    out[1] = NODE(g, KERB_OP_TRANSPOSE, IN(x), .transpose = { 4, { 0, 1, 3, 2 } });
    out[2] = NODE(g, KERB_OP_SLICE, IN(x, net_value(g, "[-1]"), net_value(g, "[-9]"), net_value(g, "[2]"), net_value(g, "[-1]")), .axis = 0);
    out[3] = NODE(g, KERB_OP_PAD, IN(x, net_value(g, "[0,0,1,0,0,0,-1,0]")), .axis = 0); /* a shift */
    out[4] = BINARY(g, net_value(g, "~0"), x, SUB);
    out[5] = BINARY(g, net_value(g, "~1"), x, DIV);
    out[6] = NODE(g, KERB_OP_CAST, IN(x), .cast = { KERB_F64 });
    out[7] = BINARY(g, x, net_value(g, "~1"), POW); /* left alone */
    after = net_apply(g, IN(out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7]), "drop-no-ops", 0);
    DONE(g, after);
    g = net_new(); /* two outputs that are the same value: one Identity has to stay */
    uint32_t y = UNARY(g, net_value(g, "2x3"), RELU);
    after = net_apply(g, IN(y, NODE(g, KERB_OP_IDENTITY, IN(y), .axis = 0)), "drop-no-ops", 0);
    DONE(g, after);
}

static void test_moves(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x4x6x5"), t = NODE(g, KERB_OP_TRANSPOSE, IN(x), .transpose = { 4, { 0, 2, 3, 1 } });
    uint32_t back = NODE(g, KERB_OP_TRANSPOSE, IN(t), .transpose = { 4, { 0, 3, 1, 2 } });
    after = net_apply(g, IN(UNARY(g, back, RELU)), "merge-moves", 1);
    assert_int_equal(net_count(after, KERB_OP_TRANSPOSE), 1); /* of nothing: the next pass drops it */
    DONE(g, after);
    g = net_new(); /* the first has another reader */
    x = net_value(g, "1x4x6x5");
    t = NODE(g, KERB_OP_TRANSPOSE, IN(x), .transpose = { 4, { 0, 2, 3, 1 } });
    back = NODE(g, KERB_OP_TRANSPOSE, IN(t), .transpose = { 4, { 0, 2, 1, 3 } });
    after = net_apply(g, IN(back, UNARY(g, t, RELU)), "merge-moves", 1);
    assert_int_equal(net_count(after, KERB_OP_TRANSPOSE), 2);
    DONE(g, after);
    g = net_new(); /* Unsqueeze, Flatten, Squeeze: one Reshape */
    x = NODE(g, KERB_OP_UNSQUEEZE, IN(net_value(g, "4x6x5"), net_value(g, "[0]")), .axis = 0);
    x = NODE(g, KERB_OP_FLATTEN, IN(x), .axis = 2);
    x = NODE(g, KERB_OP_UNSQUEEZE, IN(x, net_value(g, "[0]")), .axis = 0);
    x = NODE(g, KERB_OP_SQUEEZE, IN(x, net_value(g, "[0]")), .axis = 0);
    after = net_apply(g, IN(x), "merge-moves", 4);
    assert_int_equal(after->n_nodes, 1);
    DONE(g, after);
    g = net_new(); /* a crop of a crop, with negative and missing axes */
    x = NODE(g, KERB_OP_SLICE, IN(net_value(g, "1x2x9x8"), net_value(g, "[2,-7]"), net_value(g, "[9,100]"), net_value(g, "[-2,3]")), .axis = 0);
    x = NODE(g, KERB_OP_SLICE, IN(x, net_value(g, "[0,1,1]"), net_value(g, "[1,2,-1]")), .axis = 0);
    after = net_apply(g, IN(x), "merge-moves", 1);
    assert_int_equal(after->n_nodes, 1);
    DONE(g, after);
    g = net_new(); /* steps: left alone */
    x = NODE(g, KERB_OP_SLICE, IN(net_value(g, "9"), net_value(g, "[0]"), net_value(g, "[9]"), net_value(g, "[0]"), net_value(g, "[2]")), .axis = 0);
    x = NODE(g, KERB_OP_SLICE, IN(x, net_value(g, "[1]"), net_value(g, "[3]")), .axis = 0);
    after = net_apply(g, IN(x), "merge-moves", 0);
    DONE(g, after);
}

static void test_dead(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "2x3"), y = UNARY(g, x, RELU), unread = UNARY(g, UNARY(g, y, EXP), LOG);
    (void)unread;
    after = net_apply(g, IN(y), "drop-dead", 2);
    assert_int_equal(after->n_nodes, 1);
    DONE(g, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm_behind_conv), cmocka_unit_test(test_norm_behind_transposed_groups), cmocka_unit_test(test_norm_shared_weights),
        cmocka_unit_test(test_norm_stays),       cmocka_unit_test(test_norm_before_conv),              cmocka_unit_test(test_scales),
        cmocka_unit_test(test_constants),        cmocka_unit_test(test_no_ops),                        cmocka_unit_test(test_ops_that_stay),
        cmocka_unit_test(test_moves),            cmocka_unit_test(test_dead),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
