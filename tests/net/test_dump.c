/* SPDX-License-Identifier: MIT */
/* The text dump, what operators cost, and the dumps that optimising gives. */
#include "net_fixture.h"

static void test_lines(void **state)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x3x8x8"), y = NODE(g, KERB_OP_CONV, IN(x, net_value(g, "=4x3x3x3"), net_value(g, "=4")), CONV(3, 2, 1, 1, 1, 1));
    y = UNARY(g, y, RELU);
    y = NODE(g, KERB_OP_RESHAPE, IN(y, net_value(g, "[1,-1]")), .axis = 0);
    net_set_outputs(g, IN(y));
    net_infer(g);
    KerbText text = { 0 };
    kerb_graph_dump(g, &text);
    assert_non_null(strstr(text.text, "%0 f32 1x3x8x8 = input   # input.x\n"));
    assert_non_null(strstr(text.text, "f32 1x4x4x4 = Conv(%0, w:4x3x3x3, b:4) stride 2 pad 1,1,1,1   # Conv.n\n"));
    assert_non_null(strstr(text.text, "f32 1x64 = Reshape(%4, [1,-1])"));
    kerb_text_free(&text);
    assert_int_equal(net_pass("fuse-activation")->run(g, &(int){ 0 }, NULL), KERB_OK);
    kerb_graph_dump(g, &text);
    assert_non_null(strstr(text.text, "pad 1,1,1,1 act Relu"));
    assert_null(strstr(text.text, "= Relu"));
    kerb_text_free(&text);
    kerb_graph_free(&g);
}

static void test_cost(void **state)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x4x8x8"), w = net_value(g, "=6x2x3x3");
    uint32_t y = NODE(g, KERB_OP_CONV, IN(x, w, net_value(g, "=6")), CONV(3, 1, 1, 1, 1, 2));
    uint32_t t = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, net_value(g, "=4x5x2x2")), CONV(2, 2, 1, 0, 0, 1));
    uint32_t again = NODE(g, KERB_OP_CONV, IN(x, w), CONV(3, 1, 1, 1, 1, 2));
    net_set_outputs(g, IN(y, t, again, NODE(g, KERB_OP_FLATTEN, IN(x), .axis = 1)));
    net_infer(g);
    assert_true(kerb_node_flops(g, &g->nodes[0]) == 2.0 * 6 * 64 * 2 * 9 + 6 * 64);
    assert_true(kerb_node_flops(g, &g->nodes[1]) == 2.0 * 4 * 64 * 5 * 4);
    assert_true(kerb_node_flops(g, net_find(g, KERB_OP_FLATTEN)) == 0);
    assert_int_equal(kerb_graph_weight_bytes(g), 4 * (6 * 2 * 9 + 6 + 4 * 5 * 4)); /* shared weights once */
    kerb_graph_free(&g);
}

typedef struct Dumps {
    int n, changes;
    bool differ;
} Dumps;
static void note_dump(void *user, const KerbPass *pass, int changes, const char *before, const char *after)
{
    Dumps *d = user;
    assert_non_null(pass->name);
    d->n++;
    d->changes += changes;
    d->differ = d->differ && strcmp(before, after) != 0;
}

static void test_dumps_of_passes(void **state)
{
    KerbGraph *g = net_new();
    Dumps dumps = { .differ = true };
    KerbOptimizeOptions options = { .keep_head = true, .dump = note_dump, .user = &dumps };
    uint32_t x = net_value(g, "1x4x8x8"), y = NODE(g, KERB_OP_IDENTITY, IN(NODE(g, KERB_OP_CONV, IN(x, net_value(g, "=6x4x3x3")), CONV(3, 1, 1, 1, 1, 1))), .axis = 0);
    net_set_outputs(g, IN(UNARY(g, y, RELU)));
    net_infer(g);
    assert_int_equal(kerb_graph_optimize(g, &options, NULL), KERB_OK);
    assert_int_equal(dumps.n, 2); /* drop-no-ops, fuse-activation */
    assert_int_equal(dumps.changes, 2);
    assert_true(dumps.differ);
    kerb_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_cost), cmocka_unit_test(test_dumps_of_passes) };
    return cmocka_run_group_tests_name("dump", tests, NULL, NULL);
}
