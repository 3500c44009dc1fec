/* SPDX-License-Identifier: MIT */
/* The affine maps of heads against ONNX's own definition of Resize, pixel by pixel; views of outputs with axes in any order. */
#include "run/heads.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ONNX operators, Resize: the input coordinate of output pixel p. */
static double onnx_coordinate(KerbCoordinates mode, double p, double in, double out, double scale)
{
    switch (mode) {
    case KERB_COORD_HALF_PIXEL: return (p + 0.5) / scale - 0.5;
    case KERB_COORD_HALF_PIXEL_SYMMETRIC: return in / 2 * (1 - out / (scale * in)) + (p + 0.5) / scale - 0.5;
    case KERB_COORD_PYTORCH_HALF_PIXEL: return out > 1 ? (p + 0.5) / scale - 0.5 : 0;
    case KERB_COORD_ALIGN_CORNERS: return out > 1 ? p * (in - 1) / (out - 1) : 0;
    default: return p / scale;
    }
}

static void check(KerbCoordinates mode, int in, int out, double scale, int net)
{
    KerbModel model = { .n_outputs = 1 };
    for (int i = 0; i < 2; i++) model.outputs[0].index[i] = (uint8_t)i;
    KerbHead head = {.name = "scores",
                     .kind = KERB_HEAD_SCORES,
                     .channel_axis = 1,
                     .stripped_resize = true,
                     .resize_mode = KERB_RESIZE_LINEAR,
                     .coordinates = mode,
                     .out_width = out,
                     .out_height = out,
                     .scale_x = scale,
                     .scale_y = scale};
    KerbValue value = { .name = "scores", .dtype = KERB_F32, .rank = 4, .dims = { 1, 2, in, in } };
    KerbGraph g = { .values = &value, .n_values = 1, .heads = &head, .n_heads = 1 };
    KerbOutHead mapped;
    KerbError error;
    if (kerb_heads_map(&model, &g, net, net, &mapped, &error) != KERB_OK) fail_msg("%s", error.message);
    for (int p = 0; p < out; p++) {
        double at = (p + 0.5) * net / out; /* the output pixel's centre in network pixels */
        double x = (at - mapped.origin_x_px) / mapped.cell_w_px - 0.5, expected = onnx_coordinate(mode, p, in, out, scale);
        if (in == 1) x = expected = 0; /* one cell: every coordinate is clamped to it */
        if (fabs(x - expected) > 1e-9)
            fail_msg("mode %d, %d -> %d at %d: pixel %d is cell %g, expected %g", (int)mode, in, out, net, p, x, expected);
        assert_true(mapped.cell_h_px == mapped.cell_w_px && mapped.origin_y_px == mapped.origin_x_px);
    }
}

static void test_resize(void **state)
{
    static const KerbCoordinates modes[] = {KERB_COORD_HALF_PIXEL, KERB_COORD_HALF_PIXEL_SYMMETRIC, KERB_COORD_PYTORCH_HALF_PIXEL,
                                            KERB_COORD_ALIGN_CORNERS, KERB_COORD_ASYMMETRIC};
    static const struct { int in, out; double scale; } sizes[] = {
        { 16, 128, 8 }, { 90, 360, 4 }, { 17, 129, 129.0 / 17 }, { 5, 13, 2.7 }, { 1, 8, 8 }, { 7, 7, 1 }, { 12, 6, 0.5 }, { 4, 1, 0.25 },
    };
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (int r = 1; r <= 2; r++) check(modes[m], sizes[s].in, sizes[s].out, sizes[s].scale, sizes[s].out * r);
}

static void test_views(void **state)
{
    KerbHead channels_last = {.channel_axis = 3}, labels = {.channel_axis = -1, .kind = KERB_HEAD_LABELS}, plain = {.channel_axis = 1};
    KerbTensor t = kerb_tensor(NULL, KERB_F32, 4, (int64_t[]){ 1, 5, 7, 3 }), v = kerb_tensor_view_nchw(&t, channels_last.channel_axis);
    assert_memory_equal(v.dims, ((int64_t[]){ 1, 3, 5, 7 }), 4 * sizeof(int64_t));
    assert_memory_equal(v.strides, ((int64_t[]){ 105, 1, 21, 3 }), 4 * sizeof(int64_t));
    v = kerb_tensor_view_nchw(&t, plain.channel_axis);
    assert_memory_equal(v.dims, t.dims, 4 * sizeof(int64_t));
    t = kerb_tensor(NULL, KERB_I64, 3, (int64_t[]){ 1, 5, 7 });
    v = kerb_tensor_view_nchw(&t, labels.channel_axis);
    assert_int_equal(v.rank, 4);
    assert_memory_equal(v.dims, ((int64_t[]){ 1, 1, 5, 7 }), 4 * sizeof(int64_t));
    assert_memory_equal(v.strides + 2, ((int64_t[]){ 7, 1 }), 2 * sizeof(int64_t));
}

/* A card's threshold is a probability; what it is compared with may be a logit. */
static void test_threshold(void **state)
{
    KerbCardOutput card = { .has_threshold = true, .threshold = 0.8f, .probabilities = -1 };
    KerbModel model = { .n_outputs = 1, .outputs = { { .card = &card } } };
    KerbHead head = { .name = "mask", .kind = KERB_HEAD_BINARY, .channel_axis = 1 };
    KerbValue value = { .name = "mask", .dtype = KERB_F32, .rank = 4, .dims = { 1, 1, 4, 4 } };
    KerbGraph g = { .values = &value, .n_values = 1, .heads = &head, .n_heads = 1 };
    KerbOutHead mapped;
    assert_int_equal(kerb_heads_map(&model, &g, 8, 8, &mapped, NULL), KERB_OK);
    assert_int_equal(mapped.kind, KERB_SCORES_BINARY_LOGIT);
    assert_true(fabs(1 / (1 + exp(-(double)mapped.threshold)) - 0.8) < 1e-6);
    assert_true(mapped.cell_w_px == 2);
    head.probabilities = true;
    head.threshold = 0.5f;
    assert_int_equal(kerb_heads_map(&model, &g, 8, 8, &mapped, NULL), KERB_OK);
    assert_int_equal(mapped.kind, KERB_SCORES_BINARY_PROBABILITY);
    assert_true(mapped.threshold == 0.8f);
}

/* What a card says of probabilities against what the graph showed. */
static void test_probabilities(void **state)
{
    static const struct { int said; bool kept, stripped; int kind;
    } cases[] = {
        {-1, false, false, KERB_SCORES_LOGITS},
        {-1, true, false, KERB_SCORES_PROBABILITIES},
        {-1, false, true, KERB_SCORES_LOGITS},
        {1, false, false, KERB_SCORES_PROBABILITIES},
        {1, true, false, KERB_SCORES_PROBABILITIES},
        {1, false, true, KERB_SCORES_LOGITS},
        {0, false, false, KERB_SCORES_LOGITS},
        {0, true, false, -1},
        {0, false, true, -1},
    };
    KerbCard whole = { .where = "net.json" };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        KerbCardOutput card = { .probabilities = cases[i].said };
        KerbModel model = { .path = (char[]){ "net.onnx" }, .card = &whole, .n_outputs = 1, .outputs = { { .card = &card } } };
        KerbHead head = {.name = "mask",
                         .kind = KERB_HEAD_SCORES,
                         .channel_axis = 1,
                         .probabilities = cases[i].kept,
                         .stripped_activation = cases[i].stripped};
        KerbValue value = { .name = "mask", .dtype = KERB_F32, .rank = 4, .dims = { 1, 2, 4, 4 } };
        KerbGraph g = { .values = &value, .n_values = 1, .heads = &head, .n_heads = 1 };
        KerbOutHead mapped;
        KerbError error;
        KerbStatus status = kerb_heads_map(&model, &g, 8, 8, &mapped, &error);
        assert_int_equal(status, cases[i].kind < 0 ? KERB_ERROR_ASSET : KERB_OK);
        if (status == KERB_OK) assert_int_equal(mapped.kind, cases[i].kind);
        else assert_non_null(strstr(error.message, "softmax"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_resize), cmocka_unit_test(test_views), cmocka_unit_test(test_threshold),
                                        cmocka_unit_test(test_probabilities) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
