/* SPDX-License-Identifier: MIT */
/* The ref backend as a KerbBackend: steps in order, memory that is taken over and shared, odd graphs, traces. */
#include "ref_fixture.h"

#include "net/passes.h"

static KerbGraph *new_graph(void)
{
    KerbGraph *g = NULL;
    assert_int_equal(kerb_graph_new(&g, NULL), KERB_OK);
    return g;
}

static uint32_t value(KerbGraph *g, const char *name) { return kerb_graph_add_value(g, name, KERB_DTYPE_NONE, -1, NULL); }

static uint32_t input(KerbGraph *g, const char *name, int rank, const int64_t dims[])
{
    uint32_t id = kerb_graph_add_value(g, name, KERB_F32, rank, dims);
    g->inputs = kerb_arena_alloc(g->arena, sizeof id);
    g->inputs[0] = id;
    g->n_inputs = 1;
    return id;
}

static void outputs(KerbGraph *g, int n, const uint32_t ids[])
{
    g->outputs = kerb_arena_alloc(g->arena, (size_t)n * sizeof *ids);
    memcpy(g->outputs, ids, (size_t)n * sizeof *ids);
    g->n_outputs = n;
}

static KerbAttrs *node(KerbGraph *g, KerbOp op, uint32_t a, uint32_t b, uint32_t y)
{
    uint32_t id =
        kerb_graph_add_node(g, op, kerb_graph_name(g, kerb_op_name(op), ""), b == KERB_NO_VALUE ? 1 : 2, (uint32_t[]){ a, b }, 1, &y);
    assert_true(id != KERB_NO_NODE);
    return &g->nodes[id].attrs;
}

static KerbNet *compile(KerbGraph *g, bool trace)
{
    KerbNet *net = NULL;
    KerbError error = { 0 };
    if (kerb_graph_infer(g, &error) != KERB_OK) fail_msg("%s", error.message);
    KerbCompileOptions options = { .threads = 1, .precision = KERB_PRECISION_F32, .trace = trace };
    if (kerb_backend_ref.compile(&net, g, &options, &error) != KERB_OK) fail_msg("%s", error.message);
    return net;
}

static void run(KerbNet *net)
{
    KerbError error = { 0 };
    if (kerb_backend_ref.run(net, &error) != KERB_OK) fail_msg("%s", error.message);
}

/* y = relu(x) reshaped; z = x - y. x is read again after relu: its memory must not be taken over. */
static void memory_is_shared_only_where_it_may_be(void **state)
{
    KerbGraph *g = new_graph();
    uint32_t x = input(g, "x", 2, DIMS(2, 3)), minus = value(g, "minus"), y = value(g, "y"), flat = value(g, "flat"), z = value(g, "z"),
             w = value(g, "w");
    uint32_t shape = kerb_graph_add_constant(g, "shape", KERB_I64, 1, DIMS(2), DIMS(3, 2), true);
    node(g, KERB_OP_UNARY, x, KERB_NO_VALUE, minus)->unary.kind = KERB_UNARY_NEG;
    node(g, KERB_OP_UNARY, minus, KERB_NO_VALUE, y)->unary.kind = KERB_UNARY_RELU;
    node(g, KERB_OP_RESHAPE, y, shape, flat);
    node(g, KERB_OP_BINARY, x, minus, z)->binary.kind = KERB_BINARY_MUL;
    node(g, KERB_OP_UNARY, flat, KERB_NO_VALUE, w)->unary.kind = KERB_UNARY_SQRT;
    outputs(g, 4, (uint32_t[]){ y, z, w, x });
    KerbNet *net = compile(g, true);
    for (int round = 0; round < 2; round++) { /* a second run finds nothing of the first */
        float *in = kerb_backend_ref.input(net, 0)->data;
        for (int i = 0; i < 6; i++) in[i] = (float)((i - 3) * (round + 1));
        run(net);
        for (int i = 0; i < 6; i++) {
            float v = (float)((i - 3) * (round + 1)), positive = v < 0 ? -v : 0;
            assert_true(kerb_tensor_get(kerb_backend_ref.output(net, 0), i) == (double)positive);
            assert_true(kerb_tensor_get(kerb_backend_ref.output(net, 1), i) == (double)(-v * v));
            assert_true(fabs(kerb_tensor_get(kerb_backend_ref.output(net, 2), i) - sqrt((double)positive)) < 1e-6);
            assert_true(kerb_tensor_get(kerb_backend_ref.output(net, 3), i) == (double)v);
        }
    }
    assert_int_equal(kerb_backend_ref.output(net, 2)->dims[0], 3);
    KerbTrace trace = kerb_backend_ref.trace(net);
    assert_int_equal(trace.n, 5);
    for (int i = 0; i < trace.n; i++) assert_true(trace.spans[i].count == 2 && trace.spans[i].name);
    size_t arena = 0, weights = 1;
    kerb_backend_ref.memory(net, &arena, &weights);
    assert_true(arena >= 3 * 6 * sizeof(float) && weights == 0);
    kerb_backend_ref.free(&net);
    assert_null(net);
    kerb_backend_ref.free(&net);
    kerb_graph_free(&g);
}

/* Outputs that no node computes: a constant (from unaligned memory), and an input. */
static void constants_and_inputs_as_outputs(void **state)
{
    static char bytes[4 * sizeof(float) + 1];
    float numbers[4] = { 1, 2, 3, 4 };
    memcpy(bytes + 1, numbers, sizeof numbers);
    KerbGraph *g = new_graph();
    uint32_t x = input(g, "x", 1, DIMS(2)), constant = kerb_graph_add_constant(g, "c", KERB_F32, 1, DIMS(4), bytes + 1, false);
    outputs(g, 3, (uint32_t[]){ constant, x, constant });
    KerbNet *net = compile(g, false);
    float *in = kerb_backend_ref.input(net, 0)->data;
    in[0] = 7;
    run(net);
    for (int i = 0; i < 3; i += 2) {
        const KerbTensor *y = kerb_backend_ref.output(net, i);
        assert_int_equal((uintptr_t)y->data % KERB_ALIGNMENT, 0);
        expect_f32(y->data, numbers, 4, 0);
    }
    assert_true(*(float *)kerb_backend_ref.output(net, 1)->data == 7);
    assert_int_equal(kerb_backend_ref.trace(net).n, 0);
    kerb_backend_ref.free(&net);
    kerb_graph_free(&g);
}

static void empty_tensors_flow_through(void **state)
{
    KerbGraph *g = new_graph();
    uint32_t x = input(g, "x", 2, DIMS(0, 3)), y = value(g, "y"), z = value(g, "z");
    node(g, KERB_OP_UNARY, x, KERB_NO_VALUE, y)->unary.kind = KERB_UNARY_EXP;
    KerbAttrs *reduce = node(g, KERB_OP_REDUCE, y, KERB_NO_VALUE, z);
    reduce->reduce.kind = KERB_REDUCE_SUM;
    outputs(g, 2, (uint32_t[]){ y, z });
    KerbNet *net = compile(g, false);
    run(net);
    assert_int_equal(kerb_tensor_elements(kerb_backend_ref.output(net, 0)), 0);
    assert_true(kerb_tensor_get(kerb_backend_ref.output(net, 1), 0) == 0);
    kerb_backend_ref.free(&net);
    kerb_graph_free(&g);
}

static void refuses_what_it_cannot_run(void **state)
{
    KerbNet *net = (KerbNet *)state;
    KerbError error = { 0 };
    KerbGraph *g = new_graph();
    uint32_t x = input(g, "x", 1, DIMS(2)), y = value(g, "y");
    node(g, KERB_OP_UNARY, x, KERB_NO_VALUE, y)->unary.kind = KERB_UNARY_EXP;
    outputs(g, 1, &y);
    KerbCompileOptions options = { .threads = 1, .precision = KERB_PRECISION_F32 };
    assert_int_equal(kerb_backend_ref.compile(&net, g, &options, &error), KERB_ERROR_INTERNAL); /* not inferred */
    assert_null(net);
    options.precision = KERB_PRECISION_BF16;
    assert_int_equal(kerb_backend_ref.compile(&net, g, &options, &error), KERB_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "f32"));
    kerb_graph_free(&g);
    KerbDevice device;
    kerb_backend_ref.probe(&device);
    assert_true(device.usable && !strcmp(device.name, "ref") && !strcmp(device.precisions, "f32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_shared_only_where_it_may_be),
        cmocka_unit_test(constants_and_inputs_as_outputs),
        cmocka_unit_test(empty_tensors_flow_through),
        cmocka_unit_test(refuses_what_it_cannot_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
