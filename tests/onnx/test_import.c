/* SPDX-License-Identifier: MIT */
/* Import: older opsets become the newest form; graphs that contradict themselves, and what is unsupported, are named. */
#include "net/onnx/onnx.h"
#include "onnx/small_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The import of the test at hand; free_import() ends it. */
static struct {
    OnnxBytes model;
    KerbOnnx *onnx;
    KerbGraph *g;
    KerbError error;
} it;

static void free_import(void)
{
    kerb_graph_free(&it.g);
    kerb_onnx_close(&it.onnx);
    onnx_free(&it.model);
}

static KerbStatus import_graph(int64_t opset, OnnxBytes *graph)
{
    it.model = onnx_model(opset, graph);
    it.error = (KerbError){ 0 };
    KerbStatus status = kerb_onnx_open_memory(&it.onnx, it.model.data, it.model.size, &it.error);
    return status != KERB_OK ? status : kerb_onnx_import(it.onnx, &it.g, &it.error);
}

static const int64_t image[] = { 1, 4, 6, 8 };

/* A graph around one node: inputs "x" (f32, 1x4x6x8) and, where the node reads them, "x2".."x4"; outputs as the node's. */
static OnnxBytes around(OnnxBytes node, const char *inputs, const char *outputs)
{
    OnnxBytes g = { 0 };
    char name[16];
    onnx_add_node(&g, node);
    for (const char *end; *inputs; inputs = end + (*end == ',')) {
        end = inputs + strcspn(inputs, ",");
        snprintf(name, sizeof name, "%.*s", (int)(end - inputs), inputs);
        if (name[0]) onnx_add_input(&g, onnx_part_value(name, ONNX_F32, 4, image));
    }
    for (const char *end; *outputs; outputs = end + (*end == ',')) {
        end = outputs + strcspn(outputs, ",");
        snprintf(name, sizeof name, "%.*s", (int)(end - outputs), outputs);
        onnx_add_output(&g, name);
    }
    return g;
}

static KerbStatus import_node(int64_t opset, OnnxBytes node, const char *inputs, const char *outputs)
{
    OnnxBytes g = around(node, inputs, outputs);
    return import_graph(opset, &g);
}

static const KerbNode *node_of(KerbOp op)
{
    if (!it.g) fail_msg("%s", it.error.message);
    for (int i = 0; i < it.g->n_nodes; i++)
        if (it.g->nodes[i].op == op) return &it.g->nodes[i];
    fail_msg("there is no %s", kerb_op_name(op));
    return NULL;
}

/* Input i of the node must be a constant of these integers (n < 0: absent). */
static void check_ints(const KerbNode *n, int i, int count, const int64_t expect[])
{
    int64_t got[16];
    KerbValue *v = kerb_node_input(it.g, n, i);
    if (count < 0) {
        assert_null(v);
        return;
    }
    assert_non_null(v);
    assert_int_equal(v->dtype, KERB_I64);
    assert_int_equal(v->rank, 1);
    assert_int_equal(kerb_value_integers(v, got, 16), count);
    for (int k = 0; k < count; k++) assert_int_equal(got[k], expect[k]);
}

static void check_message(KerbStatus status, KerbStatus want, const char *const texts[])
{
    if (status != want) fail_msg("status %d, message: %s", status, it.error.message);
    assert_null(it.g);
    for (int i = 0; texts[i]; i++)
        if (!strstr(it.error.message, texts[i])) fail_msg("'%s' is not in: %s", texts[i], it.error.message);
}
#define CHECK_MESSAGE(status, want, ...) check_message(status, want, (const char *const[]){ __VA_ARGS__, NULL })

/* ---- older forms */

static void test_clip(void **state)
{
    OnnxBytes n = onnx_part_node("Clip", "c", "x", "y");
    onnx_attribute_float(&n, "max", 6);
    assert_int_equal(import_node(6, n, "x", "y"), KERB_OK);
    const KerbNode *clip = node_of(KERB_OP_CLIP);
    float max;
    assert_null(kerb_node_input(it.g, clip, 1));
    assert_int_equal(kerb_value_floats(kerb_node_input(it.g, clip, 2), &max, 1), 1);
    assert_true(max == 6);
    free_import();
    assert_int_equal(import_node(13, onnx_part_node("Clip", "c", "x,,x2", "y"), "x,x2", "y"), KERB_OK);
    clip = node_of(KERB_OP_CLIP);
    assert_int_equal(clip->n_inputs, 3);
    assert_int_equal(clip->inputs[1], KERB_NO_VALUE);
    free_import();
}

static void test_attributes_that_became_inputs(void **state)
{
    const int64_t a[] = { 1, 2 }, b[] = { 3, 100 }, axes[] = { 2, -1 }, pads[] = { 0, 0, 1, 2, 0, 0, 3, 4 };
    OnnxBytes n = onnx_part_node("Slice", "s", "x", "y");
    onnx_attribute_ints(&n, "starts", 2, a);
    onnx_attribute_ints(&n, "ends", 2, b);
    onnx_attribute_ints(&n, "axes", 2, axes);
    assert_int_equal(import_node(9, n, "x", "y"), KERB_OK);
    check_ints(node_of(KERB_OP_SLICE), 1, 2, a);
    check_ints(node_of(KERB_OP_SLICE), 2, 2, b);
    check_ints(node_of(KERB_OP_SLICE), 3, 2, axes);
    free_import();

    n = onnx_part_node("Pad", "p", "x", "y");
    onnx_attribute_ints(&n, "pads", 8, pads);
    onnx_attribute_float(&n, "value", 0.5f);
    onnx_attribute_text(&n, "mode", "reflect");
    assert_int_equal(import_node(9, n, "x", "y"), KERB_OK);
    check_ints(node_of(KERB_OP_PAD), 1, 8, pads);
    float value = 0;
    kerb_value_floats(kerb_node_input(it.g, node_of(KERB_OP_PAD), 2), &value, 1);
    assert_true(value == 0.5f);
    assert_int_equal(node_of(KERB_OP_PAD)->attrs.pad.mode, KERB_PADDING_REFLECT);
    free_import();

    n = onnx_part_node("Unsqueeze", "u", "x", "y");
    onnx_attribute_ints(&n, "axes", 2, axes);
    assert_int_equal(import_node(11, n, "x", "y"), KERB_OK);
    check_ints(node_of(KERB_OP_UNSQUEEZE), 1, 2, axes);
    free_import();

    assert_int_equal(import_node(11, onnx_part_node("Squeeze", "u", "x", "y"), "x", "y"), KERB_OK);
    check_ints(node_of(KERB_OP_SQUEEZE), 1, -1, NULL);
    free_import();

    n = onnx_part_node("Split", "s", "x", "y,z");
    onnx_attribute_ints(&n, "split", 2, b);
    onnx_attribute_int(&n, "axis", 3);
    assert_int_equal(import_node(11, n, "x", "y,z"), KERB_OK);
    check_ints(node_of(KERB_OP_SPLIT), 1, 2, b);
    assert_int_equal(node_of(KERB_OP_SPLIT)->attrs.split.axis, 3);
    free_import();

    n = onnx_part_node("Split", "s", "x", "y,,z"); /* the middle one is not named, but its size counts */
    onnx_attribute_int(&n, "num_outputs", 3);
    assert_int_equal(import_node(18, n, "x", "y,z"), KERB_OK);
    check_ints(node_of(KERB_OP_SPLIT), 1, -1, NULL);
    assert_int_equal(node_of(KERB_OP_SPLIT)->n_outputs, 3);
    assert_int_not_equal(node_of(KERB_OP_SPLIT)->outputs[1], KERB_NO_VALUE);
    free_import();
}

static void test_reductions(void **state)
{
    const int64_t axes[] = { 2, 3 };
    for (int opset = 11; opset <= 18; opset += 7) {
        OnnxBytes n = onnx_part_node("ReduceMean", "r", opset < 18 ? "x" : "x,axes", "y");
        if (opset < 18) onnx_attribute_ints(&n, "axes", 2, axes);
        onnx_attribute_int(&n, "keepdims", 0);
        OnnxBytes g = around(n, "x", "y");
        if (opset >= 18) onnx_add_weight(&g, onnx_part_tensor_ints("axes", 2, axes));
        assert_int_equal(import_graph(opset, &g), KERB_OK);
        const KerbNode *r = node_of(KERB_OP_REDUCE);
        check_ints(r, 1, 2, axes);
        assert_int_equal(r->attrs.reduce.kind, KERB_REDUCE_MEAN);
        assert_false(r->attrs.reduce.keepdims);
        assert_false(r->attrs.reduce.spatial);
        free_import();
    }
    assert_int_equal(import_node(13, onnx_part_node("GlobalAveragePool", "g", "x", "y"), "x", "y"), KERB_OK);
    assert_true(node_of(KERB_OP_REDUCE)->attrs.reduce.spatial);
    assert_true(node_of(KERB_OP_REDUCE)->attrs.reduce.keepdims);
    assert_int_equal(node_of(KERB_OP_REDUCE)->n_inputs, 1);
    free_import();
}

static void test_upsample_and_resize(void **state)
{
    const float grow[] = { 1, 1, 2, 2 }, shrink[] = { 1, 1, 0.5f, 0.5f }, mixed[] = { 1, 1, 2, 0.5f };
    const int64_t four[] = { 4 };
    const struct {
        const char *type, *mode;
        int opset;
        const float *scales;
        KerbResizeMode expect;
        KerbNearest nearest;
    } cases[] = {
        { "Upsample", "nearest", 7, grow, KERB_RESIZE_NEAREST, KERB_NEAREST_FLOOR },
        { "Upsample", "linear", 9, grow, KERB_RESIZE_LINEAR, KERB_NEAREST_FLOOR },
        { "Resize", "nearest", 10, shrink, KERB_RESIZE_NEAREST, KERB_NEAREST_CEIL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OnnxBytes n = onnx_part_node(cases[i].type, "up", cases[i].opset < 9 ? "x" : "x,scales", "y");
        onnx_attribute_text(&n, "mode", cases[i].mode);
        if (cases[i].opset < 9) onnx_attribute_floats(&n, "scales", 4, cases[i].scales);
        OnnxBytes g = around(n, "x", "y");
        if (cases[i].opset >= 9) onnx_add_weight(&g, onnx_part_tensor("scales", ONNX_F32, 1, four, cases[i].scales, 16));
        assert_int_equal(import_graph(cases[i].opset, &g), KERB_OK);
        const KerbNode *r = node_of(KERB_OP_RESIZE);
        assert_int_equal(r->n_inputs, 3);
        assert_int_equal(r->inputs[1], KERB_NO_VALUE);
        float got[4];
        assert_int_equal(kerb_value_floats(kerb_node_input(it.g, r, 2), got, 4), 4);
        assert_memory_equal(got, cases[i].scales, 16);
        assert_int_equal(r->attrs.resize.mode, cases[i].expect);
        assert_int_equal(r->attrs.resize.coordinates, KERB_COORD_ASYMMETRIC);
        assert_int_equal(r->attrs.resize.nearest, cases[i].nearest);
        free_import();
    }
    OnnxBytes n = onnx_part_node("Upsample", "up", "x", "y");
    onnx_attribute_floats(&n, "scales", 4, mixed);
    CHECK_MESSAGE(import_node(7, n, "x", "y"), KERB_ERROR_UNSUPPORTED, "Upsample", "'up'", "shrinking");
    free_import();

    /* Opset 11: roi and scales stand there as empty tensors, sizes count. */
    const int64_t none[] = { 0 }, sizes[] = { 1, 4, 12, 16 };
    n = onnx_part_node("Resize", "r", "x,roi,scales,sizes", "y");
    onnx_attribute_text(&n, "coordinate_transformation_mode", "align_corners");
    onnx_attribute_text(&n, "mode", "cubic");
    onnx_attribute_float(&n, "cubic_coeff_a", -0.5f);
    OnnxBytes g = around(n, "x", "y");
    onnx_add_weight(&g, onnx_part_tensor("roi", ONNX_F32, 1, none, NULL, 0));
    onnx_add_node(&g, onnx_part_node("Constant", "", "", "scales"));
    onnx_add_weight(&g, onnx_part_tensor_ints("sizes", 4, sizes));
    CHECK_MESSAGE(import_graph(11, &g), KERB_ERROR_ASSET, "Constant_1", "no value");
    free_import();
    n = onnx_part_node("Resize", "r", "x,roi,scales,sizes", "y");
    onnx_attribute_text(&n, "coordinate_transformation_mode", "align_corners");
    onnx_attribute_text(&n, "mode", "cubic");
    onnx_attribute_float(&n, "cubic_coeff_a", -0.5f);
    g = around(n, "x", "y");
    onnx_add_weight(&g, onnx_part_tensor("roi", ONNX_F32, 1, none, NULL, 0));
    n = onnx_part_node("Constant", "", "", "scales"); /* after its reader */
    OnnxBytes t = onnx_part_tensor("", ONNX_F32, 1, none, NULL, 0);
    onnx_attribute_tensor(&n, "value", &t);
    onnx_add_node(&g, n);
    onnx_add_weight(&g, onnx_part_tensor_ints("sizes", 4, sizes));
    assert_int_equal(import_graph(11, &g), KERB_OK);
    const KerbNode *r = node_of(KERB_OP_RESIZE);
    assert_int_equal(r->inputs[1], KERB_NO_VALUE);
    assert_int_equal(r->inputs[2], KERB_NO_VALUE);
    check_ints(r, 3, 4, sizes);
    assert_int_equal(r->attrs.resize.coordinates, KERB_COORD_ALIGN_CORNERS);
    assert_true(r->attrs.resize.cubic_a == -0.5f);
    free_import();

    n = onnx_part_node("Resize", "r", "x", "y");
    CHECK_MESSAGE(import_node(13, n, "x", "y"), KERB_ERROR_ASSET, "Resize (node 'r')", "neither scales nor sizes");
    free_import();
}

static void test_softmax(void **state)
{
    const struct {
        int opset;
        int64_t axis; /* -99: not given */
        int64_t expect;
        bool flatten;
    } cases[] = {
        { 11, -99, 1, true }, { 11, 3, 3, false } /* the last axis of four */, { 11, -1, -1, false }, { 13, -99, -1, false }, { 13, 1, 1, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OnnxBytes n = onnx_part_node("LogSoftmax", "s", "x", "y");
        if (cases[i].axis != -99) onnx_attribute_int(&n, "axis", cases[i].axis);
        assert_int_equal(import_node(cases[i].opset, n, "x", "y"), KERB_OK);
        const KerbNode *s = node_of(KERB_OP_SOFTMAX);
        assert_int_equal(s->attrs.softmax.axis, cases[i].expect);
        assert_int_equal(s->attrs.softmax.flatten, cases[i].flatten);
        assert_true(s->attrs.softmax.log);
        free_import();
    }
}

static void test_variadic(void **state)
{
    assert_int_equal(import_node(13, onnx_part_node("Mean", "m", "x,x2,x3", "y"), "x,x2,x3", "y"), KERB_OK);
    assert_int_equal(it.g->n_nodes, 3);
    const KerbBinary expect[] = { KERB_BINARY_ADD, KERB_BINARY_ADD, KERB_BINARY_DIV };
    for (int i = 0; i < 3; i++) assert_int_equal(it.g->nodes[i].attrs.binary.kind, expect[i]);
    float three;
    assert_int_equal(kerb_value_floats(kerb_node_input(it.g, &it.g->nodes[2], 1), &three, 1), 1);
    assert_true(three == 3);
    assert_int_equal(it.g->nodes[2].outputs[0], kerb_graph_find(it.g, "y"));
    assert_int_equal(it.g->nodes[1].inputs[1], kerb_graph_find(it.g, "x3"));
    free_import();
    assert_int_equal(import_node(13, onnx_part_node("Max", "m", "x,x2", "y"), "x,x2", "y"), KERB_OK);
    assert_int_equal(it.g->n_nodes, 1);
    assert_int_equal(it.g->nodes[0].attrs.binary.kind, KERB_BINARY_MAX);
    free_import();
    for (int k = 0; k < 2; k++) {
        assert_int_equal(import_node(13, onnx_part_node(k ? "Mean" : "Sum", "m", "x", "y"), "x", "y"), KERB_OK);
        assert_int_equal(it.g->n_nodes, 1);
        assert_int_equal(it.g->nodes[0].op, KERB_OP_IDENTITY);
        free_import();
    }
}

/* Before opset 7: Add(broadcast=1, axis=1) laid b (4) against the channels. */
static void test_old_broadcast(void **state)
{
    const int64_t four[] = { 4 }, expect[] = { 1, 2 };
    const float b[] = { 1, 2, 3, 4 };
    for (int k = 0; k < 2; k++) { /* PRelu's slope did that by itself */
        OnnxBytes n = onnx_part_node(k ? "PRelu" : "Add", "a", "x,b", "y");
        if (!k) onnx_attribute_int(&n, "broadcast", 1), onnx_attribute_int(&n, "axis", 1);
        OnnxBytes g = around(n, "x", "y");
        onnx_add_weight(&g, onnx_part_tensor("b", ONNX_F32, 1, four, b, sizeof b));
        assert_int_equal(import_graph(6, &g), KERB_OK);
        check_ints(node_of(KERB_OP_UNSQUEEZE), 1, 2, expect);
        assert_int_equal(node_of(KERB_OP_BINARY)->inputs[1], node_of(KERB_OP_UNSQUEEZE)->outputs[0]);
        free_import();
    }
    OnnxBytes n = onnx_part_node("Add", "a", "x,b", "y");
    OnnxBytes g = around(n, "x", "y");
    onnx_add_weight(&g, onnx_part_tensor("b", ONNX_F32, 1, four, b, sizeof b));
    assert_int_equal(import_graph(7, &g), KERB_OK);
    assert_int_equal(it.g->n_nodes, 1);
    free_import();
}

static void test_dropout_and_batch_norm(void **state)
{
    OnnxBytes n = onnx_part_node("Dropout", "d", "x", "y,mask");
    assert_int_equal(import_node(11, n, "x", "y"), KERB_OK); /* the mask is named, and nobody reads it */
    assert_int_equal(it.g->n_nodes, 1);
    assert_int_equal(it.g->nodes[0].op, KERB_OP_IDENTITY);
    free_import();
    assert_int_equal(import_node(12, onnx_part_node("Dropout", "d", "x", "y,mask"), "x", "y,mask"), KERB_OK);
    assert_int_equal(node_of(KERB_OP_CONSTANT_OF_SHAPE)->attrs.fill.dtype, KERB_BOOL);
    assert_int_equal(node_of(KERB_OP_CONSTANT_OF_SHAPE)->attrs.fill.value_i64, 1);
    free_import();
    const uint8_t yes = 1;
    OnnxBytes g = around(onnx_part_node("Dropout", "d", "x,,training", "y"), "x", "y");
    onnx_add_weight(&g, onnx_part_tensor("training", ONNX_BOOL, 0, NULL, &yes, 1));
    CHECK_MESSAGE(import_graph(12, &g), KERB_ERROR_UNSUPPORTED, "Dropout with training_mode (node 'd')");
    free_import();
    n = onnx_part_node("BatchNormalization", "bn", "x,x2,x3,x4,x5", "y");
    onnx_attribute_int(&n, "training_mode", 1);
    CHECK_MESSAGE(import_node(15, n, "x,x2,x3,x4,x5", "y"), KERB_ERROR_UNSUPPORTED, "BatchNormalization with training_mode (node 'bn')",
                  "opset 15");
    free_import();
    n = onnx_part_node("BatchNormalization", "bn", "x,x2,x3,x4,x5", "y");
    onnx_attribute_float(&n, "epsilon", 0.25f);
    assert_int_equal(import_node(9, n, "x,x2,x3,x4,x5", "y"), KERB_OK);
    assert_true(node_of(KERB_OP_BATCH_NORM)->attrs.norm.epsilon == 0.25f);
    free_import();
}

static void test_constants(void **state)
{
    const int64_t ints[] = { 5, -6, 7 }, one[] = { 1 };
    const float floats[] = { 0.5f, 2 };
    OnnxBytes nodes[5], g = { 0 };
    const char *names[] = { "a", "b", "c", "d", "e" };
    for (int i = 0; i < 5; i++) nodes[i] = onnx_part_node("Constant", "", "", names[i]);
    onnx_attribute_int(&nodes[0], "value_int", -3);
    onnx_attribute_float(&nodes[1], "value_float", 1.5f);
    onnx_attribute_ints(&nodes[2], "value_ints", 3, ints);
    onnx_attribute_floats(&nodes[3], "value_floats", 2, floats);
    OnnxBytes t = onnx_part_tensor("", ONNX_I64, 1, one, ints, 8);
    onnx_attribute_tensor(&nodes[4], "value", &t);
    for (int i = 0; i < 5; i++) {
        onnx_add_node(&g, nodes[i]);
        onnx_add_output(&g, names[i]);
    }
    assert_int_equal(import_graph(13, &g), KERB_OK);
    assert_int_equal(it.g->n_nodes, 0);
    int64_t got[4];
    float gotf[4];
    assert_int_equal(kerb_value_integers(&it.g->values[it.g->outputs[0]], got, 4), 1);
    assert_int_equal(got[0], -3);
    assert_int_equal(it.g->values[it.g->outputs[0]].rank, 0);
    assert_int_equal(kerb_value_floats(&it.g->values[it.g->outputs[1]], gotf, 4), 1);
    assert_true(gotf[0] == 1.5f);
    assert_int_equal(kerb_value_integers(&it.g->values[it.g->outputs[2]], got, 4), 3);
    assert_memory_equal(got, ints, sizeof ints);
    assert_int_equal(kerb_value_floats(&it.g->values[it.g->outputs[3]], gotf, 4), 2);
    assert_memory_equal(gotf, floats, sizeof floats);
    assert_int_equal(kerb_value_integers(&it.g->values[it.g->outputs[4]], got, 4), 1);
    assert_int_equal(got[0], 5);
    free_import();
    OnnxBytes n = onnx_part_node("Constant", "words", "", "y");
    onnx_attribute_text(&n, "value_string", "hello");
    CHECK_MESSAGE(import_node(13, n, "", "y"), KERB_ERROR_UNSUPPORTED, "Constant with value_string (node 'words')");
    free_import();
}

static void test_windows(void **state)
{
    const int64_t kernel[] = { 3, 1 }, pads[] = { 1, 2, 3, 4 }, strides[] = { 2, 1 }, weights[] = { 8, 4, 3, 5 };
    const float zero[8 * 4 * 3 * 5] = { 0 };
    OnnxBytes n = onnx_part_node("AveragePool", "p", "x", "y");
    onnx_attribute_ints(&n, "kernel_shape", 2, kernel);
    onnx_attribute_ints(&n, "pads", 4, pads);
    onnx_attribute_ints(&n, "strides", 2, strides);
    onnx_attribute_int(&n, "count_include_pad", 1);
    assert_int_equal(import_node(11, n, "x", "y"), KERB_OK);
    const KerbPoolAttrs *p = &node_of(KERB_OP_AVERAGE_POOL)->attrs.pool;
    assert_int_equal(p->window.n, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p->window.kernel[i], kernel[i]);
        assert_int_equal(p->window.stride[i], strides[i]);
        assert_int_equal(p->window.dilation[i], 1);
        assert_int_equal(p->window.pad_begin[i], pads[i]);
        assert_int_equal(p->window.pad_end[i], pads[2 + i]);
    }
    assert_true(p->count_include_pad);
    free_import();

    n = onnx_part_node("Conv", "c", "x,w", "y"); /* the kernel's shape comes from the weights */
    onnx_attribute_text(&n, "auto_pad", "SAME_LOWER");
    OnnxBytes g = around(n, "x", "y");
    onnx_add_weight(&g, onnx_part_tensor("w", ONNX_F32, 4, weights, zero, sizeof zero));
    assert_int_equal(import_graph(13, &g), KERB_OK);
    const KerbConvAttrs *c = &node_of(KERB_OP_CONV)->attrs.conv;
    assert_int_equal(c->window.n, 2);
    assert_int_equal(c->window.kernel[0], 3);
    assert_int_equal(c->window.kernel[1], 5);
    assert_int_equal(c->window.stride[1], 1);
    assert_int_equal(c->window.auto_pad, KERB_PAD_SAME_LOWER);
    assert_int_equal(c->group, 1);
    free_import();

    const struct {
        const char *attribute;
        int n;
        int64_t values[6];
        KerbStatus status;
        const char *expect;
    } bad[] = {
        { "strides", 2, { 0, 1 }, KERB_ERROR_ASSET, "strides" },        { "strides", 2, { 1, -1 }, KERB_ERROR_ASSET, "strides" },
        { "strides", 1, { 2 }, KERB_ERROR_ASSET, "1 entries" },          { "pads", 3, { 1, 1, 1 }, KERB_ERROR_ASSET, "3 entries" },
        { "dilations", 2, { INT64_MAX, 1 }, KERB_ERROR_ASSET, "dilations" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        n = onnx_part_node("MaxPool", "pool7", "x", "y");
        onnx_attribute_ints(&n, "kernel_shape", 2, kernel);
        onnx_attribute_ints(&n, bad[i].attribute, bad[i].n, bad[i].values);
        CHECK_MESSAGE(import_node(13, n, "x", "y"), bad[i].status, "MaxPool (node 'pool7')", bad[i].expect);
        free_import();
    }
    n = onnx_part_node("MaxPool", "p4", "x", "y");
    const int64_t four[] = { 2, 2, 2, 2 };
    onnx_attribute_ints(&n, "kernel_shape", 4, four);
    CHECK_MESSAGE(import_node(13, n, "x", "y"), KERB_ERROR_UNSUPPORTED, "MaxPool with 4 spatial axes (node 'p4')");
    free_import();
}

static void test_cast_like(void **state)
{
    OnnxBytes g = around(onnx_part_node("CastLike", "c", "x,like", "y"), "x", "y");
    onnx_add_input(&g, onnx_part_value("like", ONNX_F16, -1, NULL));
    assert_int_equal(import_graph(15, &g), KERB_OK);
    assert_int_equal(node_of(KERB_OP_CAST)->attrs.cast.to, KERB_F16);
    assert_int_equal(node_of(KERB_OP_CAST)->n_inputs, 1);
    free_import();
}

/* ---- the model's own facts */

static void test_model_facts(void **state)
{
    it.model = onnx_small_model();
    assert_int_equal(kerb_onnx_open_memory(&it.onnx, it.model.data, it.model.size, &it.error), KERB_OK);
    assert_int_equal(kerb_onnx_import(it.onnx, &it.g, &it.error), KERB_OK);
    const KerbGraph *g = it.g;
    assert_int_equal(g->opset, 13);
    assert_string_equal(g->producer, "kerb-tests");
    assert_int_equal(g->n_metadata, 1);
    assert_string_equal(g->metadata_keys[0], "classes");
    assert_string_equal(g->metadata_values[0], "[\"road\"]");
    assert_int_equal(g->n_inputs, 1);
    const KerbValue *x = &g->values[g->inputs[0]];
    assert_string_equal(x->name, "image");
    assert_int_equal(x->dtype, KERB_F32);
    assert_int_equal(x->rank, 4);
    assert_int_equal(x->dims[1], 2);
    assert_int_equal(x->dims[2], KERB_DIM_UNKNOWN);
    assert_string_equal(x->symbols[2], "d2");
    assert_string_equal(x->symbols[3], "d3");
    assert_null(x->symbols[0]);
    assert_string_equal(g->nodes[2].name, "up");
    /* The weights are the model's own bytes. */
    const KerbValue *w = kerb_graph_value(g, kerb_graph_find(g, "w"));
    assert_true((const uint8_t *)w->data > it.model.data && (const uint8_t *)w->data < it.model.data + it.model.size);
    assert_true(w->borrowed);
    char text[8];
    assert_int_equal(kerb_onnx_unsupported(it.onnx, text, sizeof text), 0);
    assert_string_equal(text, "");
    free_import();
}

/* IR version 3 listed the weights as inputs as well. */
static void test_weights_among_the_inputs(void **state)
{
    const int64_t dims[] = { 1 };
    const float one = 1;
    OnnxBytes g = around(onnx_part_node("Add", "a", "x,w", "y"), "x,w", "y");
    onnx_add_weight(&g, onnx_part_tensor("w", ONNX_F32, 1, dims, &one, 4));
    assert_int_equal(import_graph(9, &g), KERB_OK);
    assert_int_equal(it.g->n_inputs, 1);
    assert_string_equal(it.g->values[it.g->inputs[0]].name, "x");
    assert_true(kerb_value_is_constant(kerb_graph_value(it.g, kerb_graph_find(it.g, "w"))));
    free_import();
}

static void test_any_order(void **state)
{
    OnnxBytes g = { 0 };
    onnx_add_node(&g, onnx_part_node("Relu", "last", "b", "y"));
    onnx_add_node(&g, onnx_part_node("Sigmoid", "middle", "a", "b"));
    onnx_add_node(&g, onnx_part_node("Tanh", "first", "x", "a"));
    onnx_add_input(&g, onnx_part_value("x", ONNX_F32, 4, image));
    onnx_add_output(&g, "y");
    assert_int_equal(import_graph(13, &g), KERB_OK);
    const char *order[] = { "first", "middle", "last" };
    for (int i = 0; i < 3; i++) assert_string_equal(it.g->nodes[i].name, order[i]);
    free_import();
}

/* ---- graphs that contradict themselves */

static void test_unsound_graphs(void **state)
{
    OnnxBytes g = { 0 };
    onnx_add_node(&g, onnx_part_node("Add", "in", "x,b", "a"));
    onnx_add_node(&g, onnx_part_node("Relu", "back", "a", "b"));
    onnx_add_input(&g, onnx_part_value("x", ONNX_F32, 4, image));
    onnx_add_output(&g, "a");
    CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "cycle", "node '");
    free_import();

    g = around(onnx_part_node("Relu", "r1", "x", "y"), "x", "y");
    onnx_add_node(&g, onnx_part_node("Tanh", "r2", "x", "y"));
    CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "'r2'", "'y'");
    free_import();

    CHECK_MESSAGE(import_node(13, onnx_part_node("Relu", "r", "x", "x"), "x", "x"), KERB_ERROR_ASSET, "'r'", "'x'");
    free_import();

    g = around(onnx_part_node("Relu", "r", "x", "y"), "x,x", "y");
    CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "two inputs", "'x'");
    free_import();

    g = around(onnx_part_node("Relu", "r", "x", "y"), "x", "y");
    for (int i = 0; i < 2; i++) onnx_add_weight(&g, onnx_part_tensor("w", ONNX_F32, 0, NULL, "\0\0\0\0", 4));
    CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "two weights", "'w'");
    free_import();

    CHECK_MESSAGE(import_node(13, onnx_part_node("Relu", "reader", "ghost", "y"), "x", "y"), KERB_ERROR_ASSET, "Relu", "'reader'", "'ghost'");
    free_import();
    CHECK_MESSAGE(import_node(13, onnx_part_node("Relu", "r", "x", "y"), "x", "z"), KERB_ERROR_ASSET, "output 'z'");
    free_import();
    CHECK_MESSAGE(import_node(13, onnx_part_node("Relu", "r", "x", "y"), "x", ""), KERB_ERROR_ASSET, "no outputs");
    free_import();
    CHECK_MESSAGE(import_node(13, onnx_part_node("Conv", "c", "x", "y"), "x", "y"), KERB_ERROR_ASSET, "Conv (node 'c')",
                  "needs 2 to 3 inputs and has 1");
    free_import();
    CHECK_MESSAGE(import_node(13, onnx_part_node("Conv", "c", "x,,x2", "y"), "x,x2", "y"), KERB_ERROR_ASSET, "Conv (node 'c')");
    free_import();
    CHECK_MESSAGE(import_node(13, onnx_part_node("Relu", "r", "x", "y,z"), "x", "y,z"), KERB_ERROR_ASSET, "Relu (node 'r')",
                  "at most 1 outputs");
    free_import();
    CHECK_MESSAGE(import_node(13, onnx_part_node("Concat", "k", "x,x", "y"), "x", "y"), KERB_ERROR_ASSET, "Concat (node 'k')", "'axis'");
    free_import();
}

static void test_unsound_attributes(void **state)
{
    OnnxBytes n = onnx_part_node("Resize", "up", "x,,x2", "y");
    onnx_attribute_text(&n, "mode", "lanczos");
    CHECK_MESSAGE(import_node(13, n, "x,x2", "y"), KERB_ERROR_ASSET, "Resize (node 'up')",
                  "mode 'lanczos' is none of nearest, linear, cubic");
    free_import();
    n = onnx_part_node("Transpose", "t", "x", "y");
    const int64_t perm[] = { 0, 1, 1, 3 };
    onnx_attribute_ints(&n, "perm", 4, perm);
    CHECK_MESSAGE(import_node(13, n, "x", "y"), KERB_ERROR_ASSET, "Transpose (node 't')", "permutation");
    free_import();
    n = onnx_part_node("Flatten", "f", "x", "y");
    onnx_attribute_text(&n, "axis", "one");
    CHECK_MESSAGE(import_node(13, n, "x", "y"), KERB_ERROR_ASSET, "Flatten (node 'f')", "'axis' has type 3");
    free_import();
    n = onnx_part_node("Squeeze", "s", "x", "y");
    int64_t many[100] = { 0 };
    onnx_attribute_ints(&n, "axes", 100, many);
    CHECK_MESSAGE(import_node(11, n, "x", "y"), KERB_ERROR_ASSET, "Squeeze (node 's')", "more than 8");
    free_import();
}

/* ---- what is unsupported */

static void test_all_of_it_at_once(void **state)
{
    OnnxBytes g = { 0 };
    onnx_add_node(&g, onnx_part_node("MadeUpOperator", "gs_1", "x,x", "a"));
    onnx_add_node(&g, onnx_part_node("NonMaxSuppression", "nms_1", "a,x", "b"));
    onnx_add_node(&g, onnx_part_node("NonMaxSuppression", "nms_2", "b,x", "c"));
    OnnxBytes fused = onnx_part_node("FusedConv", "f", "c", "d");
    onnx_field_text(&fused, 7, "com.microsoft");
    onnx_add_node(&g, fused);
    OnnxBytes cast = onnx_part_node("Cast", "q", "d", "y");
    onnx_attribute_int(&cast, "to", ONNX_F8);
    onnx_add_node(&g, cast);
    onnx_add_node(&g, onnx_part_node("Relu", "fine", "y", "z"));
    onnx_add_input(&g, onnx_part_value("x", ONNX_F32, 4, image));
    onnx_add_input(&g, onnx_part_value("words", ONNX_STRING, 1, image));
    onnx_add_output(&g, "z");
    CHECK_MESSAGE(import_graph(17, &g), KERB_ERROR_UNSUPPORTED, "MadeUpOperator (node 'gs_1')",
                  "NonMaxSuppression (2 nodes: 'nms_1', 'nms_2')", "com.microsoft.FusedConv (node 'f')",
                  "Cast with type float8e4m3fn (node 'q')", "an input with type string (node 'words')", "opset 17");
    assert_null(strstr(it.error.message, "Relu"));
    char text[200], tiny[4];
    assert_int_equal(kerb_onnx_unsupported(it.onnx, text, sizeof text), 5);
    assert_string_equal(text,
                        "an input with type string, MadeUpOperator, NonMaxSuppression, com.microsoft.FusedConv, Cast with type float8e4m3fn");
    assert_int_equal(kerb_onnx_unsupported(it.onnx, tiny, sizeof tiny), 5);
    assert_string_equal(tiny, "an ");
    free_import();
}

/* More than a message can hold: it stays whole, and says how many more there are. */
static void test_very_many(void **state)
{
    OnnxBytes g = { 0 };
    for (int i = 0; i < 500; i++) {
        char type[200], out[16];
        snprintf(type, sizeof type, "Operator_with_quite_a_long_name_%d\x1b[31m\xff", i);
        snprintf(out, sizeof out, "v%d", i);
        onnx_add_node(&g, onnx_part_node(type, "", "x", out));
    }
    onnx_add_input(&g, onnx_part_value("x", ONNX_F32, 4, image));
    onnx_add_output(&g, "v499");
    CHECK_MESSAGE(import_graph(17, &g), KERB_ERROR_UNSUPPORTED, "Operator_with_quite_a_long_name_0?[31m?", " more; opset 17",
                  "another opset");
    free_import();
}

static void test_opsets(void **state)
{
    const int64_t bad[] = { 23, 1000, -1, 0, INT64_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char number[32];
        snprintf(number, sizeof number, "opset %lld", (long long)bad[i]);
        CHECK_MESSAGE(import_node(bad[i], onnx_part_node("Relu", "r", "x", "y"), "x", "y"), KERB_ERROR_UNSUPPORTED, number, "7 to 22",
                      "opset_version");
        free_import();
    }
    for (int opset = 7; opset <= 22; opset++) {
        assert_int_equal(import_node(opset, onnx_part_node("Relu", "r", "x", "y"), "x", "y"), KERB_OK);
        free_import();
    }
    CHECK_MESSAGE(import_node(9, onnx_part_node("Resize", "r", "x,x2", "y"), "x,x2", "y"), KERB_ERROR_UNSUPPORTED, "Resize",
                  "older than opset 10", "'r'");
    free_import();
}

/* ---- hostile */

static void test_deep_nesting(void **state)
{
    for (int depth = 4; depth <= 4000; depth *= 10) {
        OnnxBytes g = { 0 };
        for (int i = 0; i < depth; i++) {
            OnnxBytes a = { 0 }, n = onnx_part_node("If", "", "x", "y"), outer = { 0 };
            onnx_field_text(&a, 1, "then_branch");
            onnx_field_message(&a, 6, &g);
            onnx_field_int(&a, 20, 5);
            onnx_field_message(&n, 5, &a);
            onnx_field_message(&outer, 1, &n);
            g = outer;
        }
        onnx_add_input(&g, onnx_part_value("x", ONNX_F32, 4, image));
        onnx_add_output(&g, "y");
        if (depth == 4) CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_UNSUPPORTED, "If (node 'If_0')");
        else CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "8 deep"); /* and no stack overflow */
        free_import();
    }
}

static void test_budgets(void **state)
{
    OnnxBytes g = { 0 }, nodes = { 0 };
    for (int i = 0; i < 100001; i++) onnx_field_bytes(&nodes, 1, "", 0); /* two bytes each, for more than a hundred in memory */
    onnx_raw(&g, nodes.data, nodes.size);
    CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "more than 100000");
    free_import();
    g = onnx_part_node("Add", "a", "x,x", "y");
    for (int i = 0; i < 65; i++) onnx_attribute_int(&g, "k", i);
    OnnxBytes one = around(g, "x", "y");
    CHECK_MESSAGE(import_graph(13, &one), KERB_ERROR_ASSET, "more than 64");
    free_import();
    onnx_free(&nodes);
    /* 1,000,001 names in 1,000 nodes. */
    OnnxBytes node = { 0 };
    for (int i = 0; i < 1001; i++) onnx_field_bytes(&node, 1, "", 0);
    for (int i = 0; i < 1000; i++) onnx_field_bytes(&nodes, 1, node.data, node.size);
    g = (OnnxBytes){ 0 };
    onnx_raw(&g, nodes.data, nodes.size);
    CHECK_MESSAGE(import_graph(13, &g), KERB_ERROR_ASSET, "more than 1000000");
    free_import();
    onnx_free(&nodes);
    onnx_free(&node);
}

/* The most that the budgets let through must still be read in reasonable time: 100,000 nodes of one name each. */
static void test_many_alike(void **state)
{
    OnnxBytes nodes = { 0 };
    char out[16], in[16];
    for (int i = 0; i < 50000; i++) {
        snprintf(in, sizeof in, "v%d", i);
        snprintf(out, sizeof out, "v%d", i + 1);
        OnnxBytes n = onnx_part_node("Clip", "same", in, out);
        onnx_attribute_float(&n, "min", 0);
        onnx_attribute_float(&n, "max", 6);
        OnnxBytes whole = { 0 };
        onnx_field_message(&whole, 1, &n);
        onnx_raw(&nodes, whole.data, whole.size);
        onnx_free(&whole);
    }
    onnx_add_input(&nodes, onnx_part_value("v0", ONNX_F32, 4, image));
    onnx_add_output(&nodes, "v50000");
    assert_int_equal(import_graph(6, &nodes), KERB_OK);
    assert_int_equal(it.g->n_nodes, 50000);
    free_import();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_attributes_that_became_inputs),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_upsample_and_resize),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_variadic),
        cmocka_unit_test(test_old_broadcast),
        cmocka_unit_test(test_dropout_and_batch_norm),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_cast_like),
        cmocka_unit_test(test_model_facts),
        cmocka_unit_test(test_weights_among_the_inputs),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_unsound_graphs),
        cmocka_unit_test(test_unsound_attributes),
        cmocka_unit_test(test_all_of_it_at_once),
        cmocka_unit_test(test_very_many),
        cmocka_unit_test(test_opsets),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_many_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
