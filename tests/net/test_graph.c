/* SPDX-License-Identifier: MIT */
/* The graph's housekeeping: names, constants, order, cycles, binding, cloning. */
#include "net/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static KerbGraph *new_graph(void)
{
    KerbGraph *g;
    KerbError error = { 0 };
    assert_int_equal(kerb_graph_new(&g, &error), KERB_OK);
    return g;
}

static uint32_t value(KerbGraph *g, const char *name) { return kerb_graph_add_value(g, name, KERB_F32, -1, NULL); }

static uint32_t unary(KerbGraph *g, const char *name, uint32_t x, uint32_t y)
{
    uint32_t id = kerb_graph_add_node(g, KERB_OP_UNARY, name, 1, &x, 1, &y);
    g->nodes[id].attrs.unary.kind = KERB_UNARY_RELU;
    return id;
}

static void test_names(void **state)
{
    KerbGraph *g = new_graph();
    char name[32];
    for (int i = 0; i < 2000; i++) { /* the table grows several times */
        snprintf(name, sizeof name, "v%d", i);
        assert_int_equal(value(g, name), i);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "v%d", i);
        assert_int_equal(kerb_graph_find(g, name), i);
    }
    assert_int_equal(kerb_graph_find(g, "v2000"), KERB_NO_VALUE);
    unary(g, "n", 0, 1);
    assert_int_equal(kerb_graph_find(g, "n"), KERB_NO_VALUE); /* a node's name is no value's */
    assert_string_equal(kerb_graph_name(g, "n", "bias"), "n.bias");
    uint32_t id = value(g, "n.bias");
    const char *other = kerb_graph_name(g, "n", "bias");
    assert_string_not_equal(other, "n.bias");
    assert_int_equal(kerb_graph_find(g, other), KERB_NO_VALUE);
    unary(g, other, 0, 2);
    assert_string_not_equal(kerb_graph_name(g, "n", "bias"), other); /* not a node's either */
    uint32_t n = value(g, "n");                                      /* a value may be called like a node */
    assert_int_equal(kerb_graph_find(g, "n"), n);
    assert_int_equal(kerb_graph_find(g, "n.bias"), id);
    char longest[1000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_true(strlen(kerb_graph_name(g, longest, longest)) < 300);
    kerb_graph_free(&g);
    assert_null(g);
    kerb_graph_free(&g);
    kerb_graph_free(NULL);
}

static void test_constants(void **state)
{
    KerbGraph *g = new_graph();
    int64_t dims[] = { 3 }, zero[] = { 0 }, one[] = { 1 }, huge[] = { INT64_MAX, 4 }, negative[] = { -1 }, out[4];
    int64_t i64[] = { 4, -5, INT64_MAX };
    int32_t i32[] = { 1, 2, 3 };
    unsigned char unaligned[13];
    float f32[] = { 2.0f, 2.5f, 3e30f }, floats[4];
    memcpy(unaligned + 1, f32, 12);
    uint32_t a = kerb_graph_add_constant(g, "a", KERB_I64, 1, dims, i64, true);
    i64[0] = 99; /* it was copied */
    assert_int_equal(kerb_value_integers(&g->values[a], out, 4), 3);
    assert_int_equal(out[0], 4);
    assert_int_equal(out[1], -5);
    assert_true(out[2] == INT64_MAX);
    assert_int_equal(kerb_value_integers(&g->values[a], out, 2), -1);
    uint32_t b = kerb_graph_add_constant(g, "b", KERB_I32, 1, dims, i32, false);
    assert_ptr_equal(g->values[b].data, i32);
    assert_true(g->values[b].borrowed);
    assert_int_equal(kerb_value_floats(&g->values[b], floats, 4), 3);
    assert_true(floats[2] == 3.0f);
    uint32_t c = kerb_graph_add_constant(g, "c", KERB_F32, 1, dims, unaligned + 1, false);
    assert_int_equal(kerb_value_floats(&g->values[c], floats, 3), 3);
    assert_memory_equal(floats, f32, 12);
    assert_int_equal(kerb_value_integers(&g->values[c], out, 4), -1); /* more than one float */
    uint32_t d = kerb_graph_add_constant(g, "d", KERB_F32, 1, one, f32, true),
             e = kerb_graph_add_constant(g, "e", KERB_F32, 0, NULL, f32 + 1, true);
    uint32_t h = kerb_graph_add_constant(g, "h", KERB_F32, 0, NULL, f32 + 2, true);
    assert_int_equal(kerb_value_integers(&g->values[d], out, 4), 1);
    assert_int_equal(out[0], 2);
    assert_int_equal(kerb_value_integers(&g->values[e], out, 4), -1); /* 2.5 */
    assert_int_equal(kerb_value_integers(&g->values[h], out, 4), -1); /* beyond exact integers */
    uint32_t empty = kerb_graph_add_constant(g, "empty", KERB_F32, 1, zero, NULL, false);
    assert_true(kerb_value_is_constant(&g->values[empty]));
    assert_int_equal(kerb_value_integers(&g->values[empty], out, 4), 0);
    uint32_t computed = value(g, "computed");
    assert_int_equal(kerb_value_integers(&g->values[computed], out, 4), -1);
    assert_int_equal(kerb_value_integers(NULL, out, 4), -1);
    int before = g->n_values;
    assert_int_equal(kerb_graph_add_constant(g, "x", KERB_F32, 2, huge, f32, false), KERB_NO_VALUE);
    assert_int_equal(kerb_graph_add_constant(g, "x", KERB_F32, 1, negative, f32, false), KERB_NO_VALUE);
    assert_int_equal(kerb_graph_add_constant(g, "x", KERB_F32, 9, dims, f32, false), KERB_NO_VALUE);
    assert_int_equal(kerb_graph_add_constant(g, "x", KERB_F32, 1, dims, NULL, false), KERB_NO_VALUE);
    assert_int_equal(g->n_values, before);
    kerb_graph_free(&g);
}

static void test_uses_and_replace(void **state)
{
    KerbGraph *g = new_graph();
    uint32_t x = value(g, "x"), y = value(g, "y"), z = value(g, "z"), slope = value(g, "slope");
    uint32_t xx[] = { x, x };
    unary(g, "r", x, y);
    uint32_t add = kerb_graph_add_node(g, KERB_OP_BINARY, "add", 2, xx, 1, &z);
    g->nodes[add].attrs.binary.act = (KerbActivation){ .kind = KERB_ACT_PRELU, .slope = slope };
    uint32_t outputs[] = { x, z };
    g->outputs = outputs;
    g->n_outputs = 2;
    assert_int_equal(kerb_graph_uses(g, x), 4); /* relu, add twice, output */
    assert_int_equal(kerb_graph_uses(g, slope), 1);
    assert_int_equal(kerb_graph_uses(g, KERB_NO_VALUE), 0);
    g->nodes[0].dead = true;
    assert_int_equal(kerb_graph_uses(g, x), 3);
    kerb_graph_replace(g, x, y);
    kerb_graph_replace(g, slope, x);
    assert_int_equal(kerb_graph_uses(g, y), 3);
    assert_int_equal(kerb_graph_uses(g, x), 1);
    assert_int_equal(g->nodes[add].attrs.binary.act.slope, x);
    assert_int_equal(g->outputs[0], y);
    assert_ptr_equal(kerb_node_input(g, &g->nodes[add], 1), &g->values[y]);
    assert_null(kerb_node_input(g, &g->nodes[add], 2));
    assert_null(kerb_node_input(g, &g->nodes[add], -1));
    kerb_graph_free(&g);
}

/* Deep enough that a recursive sort would end in a stack overflow. */
static void test_sort(void **state)
{
    enum { N = 200000 };
    KerbGraph *g = new_graph();
    KerbError error = { 0 };
    char name[32];
    for (int i = 0; i <= N; i++) {
        snprintf(name, sizeof name, "v%d", i);
        value(g, name);
    }
    for (int i = N - 1; i >= 0; i--) unary(g, "n", (uint32_t)i, (uint32_t)i + 1);
    g->nodes[0].dead = true; /* the last of the chain */
    assert_int_equal(kerb_graph_sort(g, &error), KERB_OK);
    assert_int_equal(g->n_nodes, N - 1);
    for (int i = 0; i < g->n_nodes; i++) {
        assert_int_equal(g->nodes[i].inputs[0], i);
        assert_int_equal(g->values[i + 1].producer, i);
    }
    assert_int_equal(g->values[0].producer, KERB_NO_NODE);
    assert_int_equal(g->values[N].producer, KERB_NO_NODE); /* its producer was dead */
    kerb_graph_free(&g);
}

/* What is in order stays as it is, though other orders would be right too. */
static void test_sort_is_stable(void **state)
{
    KerbGraph *g = new_graph();
    KerbError error = { 0 };
    uint32_t x = value(g, "x"), a = value(g, "a"), b = value(g, "b"), c = value(g, "c"), d = value(g, "d"), bc[] = { c, a };
    unary(g, "first", x, a);
    unary(g, "second", x, b);
    unary(g, "third", b, c);
    kerb_graph_add_node(g, KERB_OP_BINARY, "fourth", 2, bc, 1, &d);
    assert_int_equal(kerb_graph_sort(g, &error), KERB_OK);
    const char *names[] = { "first", "second", "third", "fourth" };
    for (int i = 0; i < 4; i++) assert_string_equal(g->nodes[i].name, names[i]);
    kerb_graph_free(&g);
}

static void test_cycle(void **state)
{
    KerbGraph *g = new_graph();
    KerbError error = { 0 };
    uint32_t x = value(g, "x"), a = value(g, "a"), b = value(g, "b"), xb[] = { x, b };
    kerb_graph_add_node(g, KERB_OP_BINARY, "in", 2, xb, 1, &a);
    unary(g, "back", a, b);
    assert_int_equal(kerb_graph_sort(g, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "cycle"));
    assert_true(strstr(error.message, "'in'") || strstr(error.message, "'back'"));
    kerb_graph_free(&g);
}

static void test_binding(void **state)
{
    KerbGraph *g = new_graph();
    KerbError error = { 0 };
    int64_t dims[] = { 1, 3, KERB_DIM_UNKNOWN, KERB_DIM_UNKNOWN }, good[] = { 1, 3, 360, 640 }, bad[] = { 1, 4, 360, 640 },
            unknown[] = { 1, 3, -1, 640 };
    int64_t two[] = { 2 };
    g->inputs = kerb_arena_alloc(g->arena, 2 * sizeof *g->inputs);
    g->inputs[0] = kerb_graph_add_value(g, "image", KERB_F32, 4, dims);
    g->inputs[1] = kerb_graph_add_value(g, "sizes", KERB_I64, -1, NULL);
    g->n_inputs = 2;
    uint32_t image = g->inputs[0], sizes = g->inputs[1], other = value(g, "other");
    assert_int_equal(kerb_graph_bind_input(g, image, 4, bad, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "1x3x?x?"));
    assert_non_null(strstr(error.message, "1x4x360x640"));
    assert_int_equal(kerb_graph_bind_input(g, image, 3, good, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_graph_bind_input(g, image, 4, unknown, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_graph_bind_input(g, image, 9, good, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_graph_bind_input(g, other, 4, good, &error), KERB_ERROR_INTERNAL);
    assert_int_equal(kerb_graph_bind_input(g, 77, 4, good, &error), KERB_ERROR_INTERNAL);
    assert_int_equal(kerb_graph_bind_input(g, image, 4, good, &error), KERB_OK);
    assert_int_equal(g->values[image].dims[3], 640);
    int64_t numbers[] = { 7, 8 }, out[2];
    float wrong[] = { 1, 2 };
    KerbTensor t = kerb_tensor(wrong, KERB_F32, 1, two);
    assert_int_equal(kerb_graph_bind_constant(g, sizes, &t, &error), KERB_ERROR_ARGUMENT);
    t = kerb_tensor(numbers, KERB_I64, 1, two);
    assert_int_equal(kerb_graph_bind_constant(g, sizes, &t, &error), KERB_OK);
    numbers[0] = 0; /* it was copied */
    assert_int_equal(kerb_value_integers(&g->values[sizes], out, 2), 2);
    assert_int_equal(out[0], 7);
    assert_int_equal(g->n_inputs, 1);
    assert_int_equal(g->inputs[0], image);
    kerb_graph_free(&g);
}

/* The clone must live on its own: the original is freed before the clone is looked at (ASan sees what was only borrowed by mistake). */
static void test_clone(void **state)
{
    KerbGraph *g = new_graph(), *c;
    KerbError error = { 0 };
    static const float mapped[] = { 1, 2 };
    float own[] = { 3, 4 };
    int64_t two[] = { 2 };
    uint32_t x = value(g, "x"), y = value(g, "y"), a = kerb_graph_add_constant(g, "a", KERB_F32, 1, two, mapped, false);
    uint32_t b = kerb_graph_add_constant(g, "b", KERB_F32, 1, two, own, true), xa[] = { x, a };
    g->values[x].rank = 1;
    g->values[x].symbols[0] = kerb_arena_strdup(g->arena, "width");
    kerb_graph_add_node(g, KERB_OP_BINARY, "mul", 2, xa, 1, &y);
    g->nodes[0].attrs.binary.kind = KERB_BINARY_MUL;
    g->inputs = kerb_arena_alloc(g->arena, sizeof *g->inputs);
    g->outputs = kerb_arena_alloc(g->arena, sizeof *g->outputs);
    g->inputs[0] = x, g->n_inputs = 1;
    g->outputs[0] = y, g->n_outputs = 1;
    g->opset = 17;
    g->producer = kerb_arena_strdup(g->arena, "torch");
    g->metadata_keys = kerb_arena_alloc(g->arena, sizeof *g->metadata_keys);
    g->metadata_values = kerb_arena_alloc(g->arena, sizeof *g->metadata_values);
    g->metadata_keys[0] = kerb_arena_strdup(g->arena, "k");
    g->metadata_values[0] = kerb_arena_strdup(g->arena, "v");
    g->n_metadata = 1;
    g->heads = kerb_arena_alloc(g->arena, sizeof *g->heads);
    g->heads[0] = (KerbHead){ .name = kerb_arena_strdup(g->arena, "head"), .value = y };
    g->n_heads = 1;
    assert_int_equal(kerb_graph_clone(g, &c, &error), KERB_OK);
    kerb_graph_free(&g);
    assert_string_equal(c->values[x].name, "x");
    assert_string_equal(c->values[x].symbols[0], "width");
    assert_ptr_equal(c->values[a].data, mapped);
    assert_memory_equal(c->values[b].data, own, sizeof own);
    assert_string_equal(kerb_node_kind(&c->nodes[0]), "Mul");
    assert_int_equal(c->values[y].producer, 0);
    assert_int_equal(c->nodes[0].inputs[1], a);
    assert_int_equal(c->inputs[0], x);
    assert_int_equal(c->outputs[0], y);
    assert_string_equal(c->producer, "torch");
    assert_string_equal(c->metadata_values[0], "v");
    assert_string_equal(c->heads[0].name, "head");
    assert_int_equal(kerb_graph_find(c, "b"), b);
    assert_int_equal(c->opset, 17);
    kerb_graph_free(&c);
}

static void test_kinds(void **state)
{
    KerbNode n = { .op = KERB_OP_CONV };
    assert_string_equal(kerb_node_kind(&n), "Conv");
    n = (KerbNode){ .op = KERB_OP_UNARY, .attrs.unary.kind = KERB_UNARY_HARD_SWISH };
    assert_string_equal(kerb_node_kind(&n), "HardSwish");
    n = (KerbNode){ .op = KERB_OP_REDUCE, .attrs.reduce.kind = KERB_REDUCE_LOG_SUM_EXP };
    assert_string_equal(kerb_node_kind(&n), "ReduceLogSumExp");
    n = (KerbNode){ .op = KERB_OP_SOFTMAX, .attrs.softmax.log = true };
    assert_string_equal(kerb_node_kind(&n), "LogSoftmax");
    for (int op = 0; op < KERB_OP_COUNT; op++) assert_non_null(kerb_op_name((KerbOp)op));
    assert_string_equal(kerb_op_name(KERB_OP_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_constants), cmocka_unit_test(test_uses_and_replace),
        cmocka_unit_test(test_sort),        cmocka_unit_test(test_sort_is_stable), cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_binding),     cmocka_unit_test(test_clone),     cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
