/* SPDX-License-Identifier: MIT */
/* The ends of networks: what is taken off, what has to stay, and how the rest is understood. Where something is taken off, the labels that the
 * model would have given are compared with those that follow from what is left. */
#include "net_fixture.h"

static KerbResizeAttrs resize_attrs(KerbResizeMode mode, KerbCoordinates coordinates, KerbNearest nearest)
{
    return (KerbResizeAttrs){ .mode = mode, .coordinates = coordinates, .nearest = nearest };
}
static uint32_t upsample(KerbGraph *g, uint32_t x, KerbResizeMode mode)
{
    return NODE(g, KERB_OP_RESIZE, IN(x, NONE, net_value(g, "{1,1,4,4}")), .resize = resize_attrs(mode, KERB_COORD_HALF_PIXEL, KERB_NEAREST_ROUND_PREFER_FLOOR));
}
static uint32_t argmax(KerbGraph *g, uint32_t x, int64_t axis, bool keepdims) { return NODE(g, KERB_OP_ARG, IN(x), .arg = { .axis = axis, .keepdims = keepdims }); }
static uint32_t softmax(KerbGraph *g, uint32_t x, int64_t axis) { return NODE(g, KERB_OP_SOFTMAX, IN(x), .softmax = { .axis = axis }); }
/* Five classes at a quarter of 24 x 32: the last convolution. */
static uint32_t scores(KerbGraph *g, const char *weights)
{
    return NODE(g, KERB_OP_CONV, IN(net_value(g, "1x3x24x32"), net_value(g, weights)), CONV(3, 4, 1, 1, 1, 1));
}

/* Optimises a copy; the original, inferred, stays in *g. */
static KerbGraph *strip(KerbGraph *g, uint32_t output)
{
    KerbGraph *after = NULL;
    KerbError error = { 0 };
    net_set_outputs(g, IN(output));
    net_infer(g);
    assert_int_equal(kerb_graph_clone(g, &after, &error), KERB_OK);
    if (kerb_graph_optimize(after, NULL, &error) != KERB_OK) fail_msg("%s", error.message);
    assert_int_equal(after->n_heads, 1);
    assert_int_equal(after->heads[0].value, after->outputs[0]);
    assert_string_equal(after->heads[0].name, g->values[output].name);
    return after;
}

/* The tail's part, by the reference operators: Resize as the head says, then argmax or the threshold -> labels. */
static KerbGraph *tail(KerbGraph *stripped)
{
    KerbGraph *g = NULL;
    assert_int_equal(kerb_graph_clone(stripped, &g, NULL), KERB_OK);
    KerbHead h = g->heads[0];
    uint32_t v = h.value;
    if (h.stripped_resize) {
        int64_t sizes[4], shape = 4;
        int y = h.channel_axis == 1 ? 2 : 1, x = h.channel_axis == 3 ? 2 : 3;
        for (int i = 0; i < 4; i++) sizes[i] = g->values[v].dims[i];
        bool crops = h.crop_y || h.crop_x; /* out_height x out_width is then a part of the resized picture */
        sizes[y] = crops ? (int64_t)llround(h.scale_y * (double)sizes[y]) : h.out_height;
        sizes[x] = crops ? (int64_t)llround(h.scale_x * (double)sizes[x]) : h.out_width;
        KerbNearest nearest = h.coordinates == KERB_COORD_ASYMMETRIC ? KERB_NEAREST_FLOOR : KERB_NEAREST_ROUND_PREFER_FLOOR;
        uint32_t to = kerb_graph_add_constant(g, kerb_graph_name(g, "sizes", "t"), KERB_I64, 1, &shape, sizes, true);
        v = NODE(g, KERB_OP_RESIZE, IN(v, NONE, NONE, to), .resize = resize_attrs(h.resize_mode, h.coordinates, nearest));
        if (crops) {
            int64_t begin[4] = { 0 }, end[4], four = 4;
            begin[y] = h.crop_y;
            begin[x] = h.crop_x;
            for (int i = 0; i < 4; i++) end[i] = i == y ? h.crop_y + h.out_height : i == x ? h.crop_x + h.out_width : 1 << 30;
            uint32_t from = kerb_graph_add_constant(g, kerb_graph_name(g, "begin", "t"), KERB_I64, 1, &four, begin, true);
            uint32_t until = kerb_graph_add_constant(g, kerb_graph_name(g, "end", "t"), KERB_I64, 1, &four, end, true);
            v = NODE(g, KERB_OP_SLICE, IN(v, from, until), .axis = 0);
        }
    }
    if (h.kind == KERB_HEAD_SCORES) v = argmax(g, v, h.channel_axis, true);
    char threshold[64];
    sprintf(threshold, "~%.9g", (double)h.threshold);
    if (h.kind == KERB_HEAD_BINARY) v = NODE(g, KERB_OP_CAST, IN(BINARY(g, v, net_value(g, threshold), GREATER_EQUAL)), .cast = { KERB_I64 });
    g->outputs[0] = v;
    net_infer(g);
    return g;
}

/* The model's labels (any shape, any type) equal the tail's, element by element. */
static void expect_labels(const KerbGraph *model, KerbGraph *stripped)
{
    KerbGraph *with_tail = tail(stripped);
    NetRun a = net_run(model, 3), b = net_run(with_tail, 3);
    const KerbTensor *x = &a.t[model->outputs[0]], *y = &b.t[with_tail->outputs[0]];
    int64_t n = kerb_tensor_elements(x), seen[8] = { 0 };
    assert_int_equal(n, kerb_tensor_elements(y));
    for (int64_t i = 0; i < n; i++) {
        int64_t label = (int64_t)kerb_tensor_get(x, i);
        if (label != (int64_t)kerb_tensor_get(y, i)) fail_msg("pixel %lld: %lld, stripped %lld", (long long)i, (long long)label, (long long)kerb_tensor_get(y, i));
        seen[label & 7]++;
    }
    for (int i = 0; i < 2; i++) assert_true(seen[i] > 0); /* the test sees more than one label */
    net_run_free(&a);
    net_run_free(&b);
    kerb_graph_free(&with_tail);
}

static void finish(KerbGraph *g, KerbGraph *after)
{
    kerb_graph_free(&after);
    kerb_graph_free(&g);
}

static void test_resize_softmax_argmax(void **state)
{
    KerbGraph *g = net_new();
    uint32_t y = upsample(g, scores(g, "=5x3x3x3"), KERB_RESIZE_LINEAR);
    KerbGraph *after = strip(g, NODE(g, KERB_OP_CAST, IN(argmax(g, softmax(g, y, 1), 1, false)), .cast = { KERB_I32 }));
    const KerbHead *h = &after->heads[0];
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(h->kind, KERB_HEAD_SCORES);
    assert_int_equal(h->channel_axis, 1);
    assert_false(h->probabilities);
    assert_true(h->stripped_resize);
    assert_int_equal(h->out_height, 24);
    assert_int_equal(h->out_width, 32);
    assert_true(h->scale_y == 4 && h->scale_x == 4);
    expect_labels(g, after);
    finish(g, after);
}

/* Softmax below the Resize: the mean of probabilities is meant. */
static void test_softmax_below_resize_stays(void **state)
{
    KerbGraph *g = net_new();
    KerbGraph *after = strip(g, argmax(g, upsample(g, softmax(g, scores(g, "=5x3x3x3"), 1), KERB_RESIZE_LINEAR), 1, true));
    assert_int_equal(after->n_nodes, 2);
    assert_true(after->heads[0].probabilities);
    expect_labels(g, after);
    finish(g, after);
    g = net_new(); /* below a nearest one it commutes */
    after = strip(g, argmax(g, upsample(g, softmax(g, scores(g, "=5x3x3x3"), 1), KERB_RESIZE_NEAREST), 1, true));
    assert_int_equal(after->n_nodes, 1);
    assert_false(after->heads[0].probabilities);
    expect_labels(g, after);
    finish(g, after);
}

static void test_channels_last(void **state)
{
    KerbGraph *g = net_new();
    uint32_t y = NODE(g, KERB_OP_TRANSPOSE, IN(scores(g, "=5x3x3x3")), .transpose = { 4, { 0, 2, 3, 1 } });
    KerbGraph *after = strip(g, argmax(g, softmax(g, y, -1), -1, false));
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->heads[0].channel_axis, 1);
    expect_labels(g, after);
    finish(g, after);
    g = net_new(); /* scores themselves, without a word where the classes are */
    y = NODE(g, KERB_OP_TRANSPOSE, IN(scores(g, "=5x3x3x3")), .transpose = { 4, { 0, 2, 3, 1 } });
    after = strip(g, y);
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->heads[0].channel_axis, 1);
    finish(g, after);
    g = net_new(); /* a network that computes channels-last: no Transpose tells */
    y = NODE(g, KERB_OP_MATMUL, IN(net_value(g, "1x24x32x3"), net_value(g, "=3x5")), .axis = 0);
    after = strip(g, y);
    assert_int_equal(after->heads[0].channel_axis, 3);
    assert_int_equal(after->heads[0].kind, KERB_HEAD_SCORES);
    finish(g, after);
    g = net_new(); /* width before height is not what anybody means */
    y = NODE(g, KERB_OP_TRANSPOSE, IN(scores(g, "=5x3x3x3")), .transpose = { 4, { 0, 1, 3, 2 } });
    after = strip(g, argmax(g, y, 1, true));
    assert_int_equal(after->n_nodes, 2);
    expect_labels(g, after);
    finish(g, after);
}

static void test_flattened_pixels(void **state)
{
    KerbGraph *g = net_new();
    uint32_t y = NODE(g, KERB_OP_RESHAPE, IN(scores(g, "=5x3x3x3"), net_value(g, "[1,5,-1]")), .axis = 0);
    KerbGraph *after = strip(g, softmax(g, y, 1));
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->heads[0].kind, KERB_HEAD_SCORES);
    finish(g, after);
    g = net_new(); /* (1, h*w, C) and back: rows of pixels */
    y = NODE(g, KERB_OP_TRANSPOSE, IN(scores(g, "=5x3x3x3")), .transpose = { 4, { 0, 2, 3, 1 } });
    y = NODE(g, KERB_OP_RESHAPE, IN(y, net_value(g, "[1,-1,5]")), .axis = 0);
    after = strip(g, argmax(g, y, 2, false));
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->heads[0].channel_axis, 1);
    expect_labels(g, after);
    finish(g, after);
}

static void test_binary(void **state)
{
    KerbGraph *g = net_new();
    uint32_t y = UNARY(g, upsample(g, scores(g, "=1x3x3x3"), KERB_RESIZE_LINEAR), SIGMOID);
    KerbGraph *after = strip(g, NODE(g, KERB_OP_CAST, IN(BINARY(g, y, net_value(g, "~0.7"), GREATER)), .cast = { KERB_U8 }));
    assert_int_equal(after->n_nodes, 1);
    assert_int_equal(after->heads[0].kind, KERB_HEAD_BINARY);
    assert_true(fabs((double)after->heads[0].threshold - log(0.7 / 0.3)) < 1e-6);
    expect_labels(g, after);
    finish(g, after);
    g = net_new();
    after = strip(g, UNARY(g, scores(g, "=1x3x3x3"), SIGMOID));
    assert_true(after->heads[0].threshold == 0 && !after->heads[0].probabilities);
    finish(g, after);
    g = net_new(); /* sigmoid below a linear Resize stays: 0.5 of the mean of probabilities */
    after = strip(g, upsample(g, UNARY(g, scores(g, "=1x3x3x3"), SIGMOID), KERB_RESIZE_LINEAR));
    assert_true(after->heads[0].threshold == 0.5f && after->heads[0].probabilities);
    finish(g, after);
    g = net_new(); /* (h, w) without batch and channel */
    after = strip(g, NODE(g, KERB_OP_SQUEEZE, IN(UNARY(g, scores(g, "=1x3x3x3"), EXP)), .axis = 0));
    assert_int_equal(after->heads[0].kind, KERB_HEAD_BINARY);
    assert_int_equal(after->values[after->outputs[0]].rank, 4);
    finish(g, after);
}

static void test_labels(void **state)
{
    KerbGraph *g = net_new(); /* an ArgMin, or ties that go to the last: they stay, and give labels */
    uint32_t y = NODE(g, KERB_OP_ARG, IN(scores(g, "=5x3x3x3")), .arg = { .axis = 1, .is_min = true });
    KerbGraph *after = strip(g, y);
    assert_int_equal(after->heads[0].kind, KERB_HEAD_LABELS);
    assert_int_equal(after->heads[0].channel_axis, -1);
    expect_labels(g, after);
    finish(g, after);
    g = net_new(); /* (h, w) */
    y = NODE(g, KERB_OP_ARG, IN(scores(g, "=5x3x3x3")), .arg = { .axis = 1, .select_last = true });
    after = strip(g, NODE(g, KERB_OP_SQUEEZE, IN(y, net_value(g, "[0]")), .axis = 0));
    assert_int_equal(after->heads[0].kind, KERB_HEAD_LABELS);
    assert_int_equal(after->values[after->outputs[0]].rank, 3);
    finish(g, after);
    g = net_new(); /* labels that were resized linearly: that stays */
    y = NODE(g, KERB_OP_CAST, IN(argmax(g, scores(g, "=5x3x3x3"), 1, true)), .cast = { KERB_F32 });
    after = strip(g, upsample(g, y, KERB_RESIZE_LINEAR));
    assert_int_equal(net_count(after, KERB_OP_ARG), 1);
    finish(g, after);
    g = net_new(); /* ... and nearest: both go */
    y = NODE(g, KERB_OP_CAST, IN(argmax(g, scores(g, "=5x3x3x3"), 1, true)), .cast = { KERB_F32 });
    after = strip(g, upsample(g, y, KERB_RESIZE_NEAREST));
    assert_int_equal(after->n_nodes, 1);
    expect_labels(g, after);
    finish(g, after);
}

static void test_resizes_that_stay(void **state)
{
    static const struct {
        KerbResizeAttrs attrs;
        const char *scales;
        int nodes;
    } cases[] = {
        { { .mode = KERB_RESIZE_CUBIC, .coordinates = KERB_COORD_HALF_PIXEL, .cubic_a = -0.75f }, "{1,1,2,2}", 2 }, /* weights below 0 */
        { { .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_HALF_PIXEL }, "{1,1,0.5,0.5}", 2 },               /* downsampling */
        { { .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_HALF_PIXEL }, "{1,2,2,2}", 2 },                   /* mixes classes */
        { { .mode = KERB_RESIZE_NEAREST, .coordinates = KERB_COORD_HALF_PIXEL, .nearest = KERB_NEAREST_FLOOR }, "{1,1,2,2}", 2 }, /* shifted */
        { { .mode = KERB_RESIZE_NEAREST, .coordinates = KERB_COORD_ASYMMETRIC, .nearest = KERB_NEAREST_FLOOR }, "{1,1,2,2}", 1 },
        { { .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_ALIGN_CORNERS }, "{1,1,2,3}", 1 },
        { { .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_PYTORCH_HALF_PIXEL }, "{1,1,2,3}", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        KerbGraph *g = net_new();
        uint32_t y = NODE(g, KERB_OP_RESIZE, IN(scores(g, "=5x3x3x3"), NONE, net_value(g, cases[i].scales)), .resize = cases[i].attrs);
        KerbGraph *after = strip(g, argmax(g, y, 1, true));
        assert_int_equal(after->n_nodes, cases[i].nodes);
        expect_labels(g, after);
        finish(g, after);
    }
}

/* FCN: a bilinear ConvTranspose at the end. Its zero border fades the scores of all classes alike. */
static void test_bilinear_deconvolution(void **state)
{
    KerbGraph *g = net_new();
    int64_t dims[4] = { 5, 1, 8, 8 };
    float w[5 * 64];
    for (int i = 0; i < 5 * 64; i++) w[i] = (float)((1 - fabs((double)(i / 8 % 8) - 3.5) / 4) * (1 - fabs((double)(i % 8) - 3.5) / 4));
    uint32_t y = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(scores(g, "=5x3x3x3"), net_constant(g, w, 4, dims)), CONV(8, 4, 1, 2, 2, 5));
    KerbGraph *after = strip(g, argmax(g, y, 1, true));
    assert_int_equal(after->n_nodes, 1);
    assert_true(after->heads[0].stripped_resize && after->heads[0].scale_x == 4);
    expect_labels(g, after);
    finish(g, after);
}

/* FCN as published: no pads, so the upsampling is cropped. */
static void test_cropped_upsampling(void **state)
{
    for (int pads = 0; pads <= 1; pads++) {
        KerbGraph *g = net_new();
        int64_t dims[4] = { 5, 1, 8, 8 };
        float w[5 * 64];
        for (int i = 0; i < 5 * 64; i++) w[i] = (float)((1 - fabs((double)(i / 8 % 8) - 3.5) / 4) * (1 - fabs((double)(i % 8) - 3.5) / 4));
        uint32_t y = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(scores(g, "=5x3x3x3"), net_constant(g, w, 4, dims)), CONV(8, 4, 1, pads * 2, pads * 2, 5));
        y = NODE(g, KERB_OP_SLICE, IN(y, net_value(g, "[3,5]"), net_value(g, "[21,23]"), net_value(g, "[2,3]")), .axis = 0);
        KerbGraph *after = strip(g, argmax(g, y, 1, true));
        assert_int_equal(net_count(after, KERB_OP_RESIZE) + net_count(after, KERB_OP_SLICE), 0);
        assert_int_equal(after->heads[0].crop_y, pads ? 3 : 5); /* without pads: x is padded by 1, o' = 3 + 0 - 2 + 4 */
        assert_int_equal(after->heads[0].out_width, 18);
        expect_labels(g, after);
        finish(g, after);
    }
    KerbGraph *g = net_new(); /* a Slice of classes is no crop */
    uint32_t y = NODE(g, KERB_OP_SLICE, IN(upsample(g, scores(g, "=5x3x3x3"), KERB_RESIZE_LINEAR), net_value(g, "[1]"), net_value(g, "[4]"), net_value(g, "[1]")), .axis = 0);
    KerbGraph *after = strip(g, argmax(g, y, 1, true));
    assert_int_equal(net_count(after, KERB_OP_SLICE), 1);
    expect_labels(g, after);
    finish(g, after);
}

/* A quantised model's upsampling is rounded again behind it; not so what is no upsampling. */
static void test_requantised_upsampling(void **state)
{
    for (int resized = 0; resized <= 1; resized++) {
        KerbGraph *g = net_new();
        uint32_t y = scores(g, "=5x3x3x3"), step = net_value(g, "{0.001}");
        if (resized) y = upsample(g, y, KERB_RESIZE_LINEAR);
        y = NODE(g, KERB_OP_QUANTIZE, IN(y, step), .quantize = { .out = KERB_I16 });
        y = NODE(g, KERB_OP_DEQUANTIZE, IN(y, step), .quantize = { 0 });
        KerbGraph *after = strip(g, argmax(g, y, 1, true));
        assert_int_equal(after->n_nodes, resized ? 1 : 3);
        assert_int_equal(after->heads[0].stripped_resize, resized);
        expect_labels(g, after);
        finish(g, after);
    }
}

static void test_two_heads(void **state)
{
    KerbGraph *g = net_new(), *after = NULL;
    KerbError error = { 0 };
    uint32_t y = scores(g, "=5x3x3x3"), labels = argmax(g, y, 1, false), p = softmax(g, y, 1);
    net_set_outputs(g, IN(labels, p));
    net_infer(g);
    assert_int_equal(kerb_graph_clone(g, &after, &error), KERB_OK);
    assert_int_equal(kerb_graph_optimize(after, NULL, &error), KERB_OK);
    assert_int_equal(after->n_heads, 2);
    assert_int_equal(after->heads[0].value, after->heads[1].value); /* both come down to the same scores */
    finish(g, after);
}

static void test_kept_heads(void **state)
{
    KerbGraph *g = net_new();
    KerbOptimizeOptions options = { .keep_head = true };
    net_set_outputs(g, IN(softmax(g, upsample(g, scores(g, "=5x3x3x3"), KERB_RESIZE_LINEAR), 1)));
    net_infer(g);
    assert_int_equal(kerb_graph_optimize(g, &options, NULL), KERB_OK);
    assert_int_equal(g->n_nodes, 3);
    assert_int_equal(g->n_heads, 0);
    assert_int_equal(kerb_graph_find_heads(g, NULL), KERB_OK);
    assert_int_equal(g->heads[0].kind, KERB_HEAD_SCORES);
    assert_true(g->heads[0].probabilities);
    kerb_graph_free(&g);
}

static void test_not_understood(void **state)
{
    static const char *const shapes[] = { "1x1000", "2x5x8x8", "1x5x8x8x8", "1000", "scalar" };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        KerbGraph *g = net_new();
        KerbError error = { 0 };
        uint32_t x = net_value(g, "1x3x24x32"), y = net_value(g, shapes[i]);
        (void)x;
        net_set_outputs(g, IN(UNARY(g, y, RELU)));
        net_infer(g);
        assert_int_equal(kerb_graph_find_heads(g, &error), KERB_ERROR_ASSET);
        assert_non_null(strstr(error.message, shapes[i]));
        assert_non_null(strstr(error.message, "no segmentation network"));
        kerb_graph_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize_softmax_argmax), cmocka_unit_test(test_softmax_below_resize_stays), cmocka_unit_test(test_channels_last),
        cmocka_unit_test(test_flattened_pixels),      cmocka_unit_test(test_binary),                     cmocka_unit_test(test_labels),
        cmocka_unit_test(test_resizes_that_stay),     cmocka_unit_test(test_bilinear_deconvolution),     cmocka_unit_test(test_two_heads),
        cmocka_unit_test(test_cropped_upsampling),
        cmocka_unit_test(test_requantised_upsampling),
        cmocka_unit_test(test_kept_heads),            cmocka_unit_test(test_not_understood),
    };
    return cmocka_run_group_tests_name("heads", tests, NULL, NULL);
}
