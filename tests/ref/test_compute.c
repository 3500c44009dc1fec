/* SPDX-License-Identifier: MIT */
/* What the conformance cases do not cover: fused attributes, strided layouts, half types, zero borders, odd and empty shapes. Where a
 * number is not worked out by hand, a property decides: adjointness, an equivalent network, a round trip. */
#include "ref_fixture.h"

/* A small deterministic sequence in [-1, 1), on a grid of 1/64 so that sums are exact. */
static unsigned noise_state;
static float noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (float)((int)(noise_state >> 25) - 64) / 64.0f;
}
static void fill(const KerbTensor *t)
{
    int64_t n = kerb_tensor_elements(t);
    for (int64_t i = 0; i < n; i++) kerb_tensor_set(t, i, (double)noise());
}

static double dot(const KerbTensor *a, const KerbTensor *b)
{
    double sum = 0;
    int64_t n = kerb_tensor_elements(a);
    assert_true(kerb_tensor_same_shape(a, b));
    for (int64_t i = 0; i < n; i++) sum += kerb_tensor_get(a, i) * kerb_tensor_get(b, i);
    return sum;
}

#define SQUARE(k, s, d, p)                                                                                       \
    {                                                                                                            \
        .n = 2, .kernel = { k, k }, .stride = { s, s }, .dilation = { d, d }, .pad_begin = { p, p }, .pad_end = { p, p } \
    }

static void conv_by_hand_with_bias_residual_and_relu(void **state)
{
    float x[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, w[4] = { 1, 0, 0, -1 }, bias = 1, residual[4] = { 0, 10, 0, 5 }, y[4];
    KerbTensor out = TENSOR(y, KERB_F32, 4, 1, 1, 2, 2);
    EVAL(KERB_OP_CONV, out, INPUTS(TENSOR(x, KERB_F32, 4, 1, 1, 3, 3), TENSOR(w, KERB_F32, 4, 1, 1, 2, 2), TENSOR(&bias, KERB_F32, 1, 1),
                                   TENSOR(residual, KERB_F32, 4, 1, 1, 2, 2)),
         .conv = { .window = SQUARE(2, 1, 1, 0), .group = 1, .act = { .kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU } });
    expect_f32(y, (float[]){ 0, 7, 0, 2 }, 4, 0); /* each difference is -4 */
}

/* <conv(x), g> == <x, conv_transpose(g)> for any window: one checks the other. Channels-last on one side, gaps on the other. */
static void conv_and_its_transpose_are_adjoint(void **state)
{
    static const struct { int64_t h, w, k, s, d, p, group; } cases[] = {
        { 7, 5, 3, 1, 1, 1, 1 }, { 9, 8, 3, 2, 2, 2, 2 }, { 11, 6, 4, 3, 1, 2, 4 }, { 5, 13, 1, 2, 1, 0, 2 }, { 8, 300, 5, 1, 3, 6, 1 },
    };
    static float x[4 * 2500], g[8 * 2500], w[8 * 4 * 25], y[8 * 2500], back[4 * 2500];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t k = cases[i].k, s = cases[i].s, d = cases[i].d, p = cases[i].p, group = cases[i].group;
        int64_t oh = (cases[i].h + 2 * p - d * (k - 1) - 1) / s + 1, ow = (cases[i].w + 2 * p - d * (k - 1) - 1) / s + 1;
        KerbTensor xt = kerb_tensor_channels_last(x, KERB_F32, 4, DIMS(1, 4, cases[i].h, cases[i].w), 4);
        KerbTensor yt = TENSOR(y, KERB_F32, 4, 1, 8, oh, ow), gt = kerb_tensor_channels_last(g, KERB_F32, 4, yt.dims, 8);
        KerbTensor wt = TENSOR(w, KERB_F32, 4, 8, 4 / group, k, k), bt = TENSOR(back, KERB_F32, 4, 1, 4, cases[i].h, cases[i].w);
        noise_state = (unsigned)i;
        fill(&xt), fill(&gt), fill(&wt);
        EVAL(KERB_OP_CONV, yt, INPUTS(xt, wt), .conv = { .window = SQUARE(k, s, d, p), .group = group });
        EVAL(KERB_OP_CONV_TRANSPOSE, bt, INPUTS(gt, wt), .conv = { .window = SQUARE(k, s, d, p), .group = group });
        double forward = dot(&yt, &gt), backward = dot(&xt, &bt);
        if (fabs(forward - backward) > 1e-4 * (1 + fabs(forward))) fail_msg("case %zu: %g against %g", i, forward, backward);
    }
}

static void conv_in_one_and_three_axes_is_the_two_axis_one(void **state)
{
    float x[15], w[3], y2[15], y1[15], y3[15];
    KerbTensor xt = TENSOR(x, KERB_F32, 4, 1, 1, 1, 15), wt = TENSOR(w, KERB_F32, 4, 1, 1, 1, 3),
               out = TENSOR(y2, KERB_F32, 4, 1, 1, 1, 15);
    fill(&xt), fill(&wt);
    EVAL(KERB_OP_CONV, out, INPUTS(xt, wt),
         .conv.window = { .n = 2, .kernel = { 1, 3 }, .stride = { 1, 1 }, .dilation = { 1, 2 }, .pad_begin = { 0, 2 },
                          .pad_end = { 0, 2 } });
    out = TENSOR(y1, KERB_F32, 3, 1, 1, 15);
    EVAL(KERB_OP_CONV, out, INPUTS(TENSOR(x, KERB_F32, 3, 1, 1, 15), TENSOR(w, KERB_F32, 3, 1, 1, 3)),
         .conv = { .window = { .n = 1, .kernel = { 3 }, .stride = { 1 }, .dilation = { 2 }, .pad_begin = { 2 }, .pad_end = { 2 } } });
    out = TENSOR(y3, KERB_F32, 5, 1, 1, 15, 1, 1); /* along the first of three */
    EVAL(KERB_OP_CONV, out, INPUTS(TENSOR(x, KERB_F32, 5, 1, 1, 15, 1, 1), TENSOR(w, KERB_F32, 5, 1, 1, 3, 1, 1)),
         .conv.window = { .n = 3, .kernel = { 3, 1, 1 }, .stride = { 1, 1, 1 }, .dilation = { 2, 1, 1 }, .pad_begin = { 2 },
                          .pad_end = { 2 } });
    expect_f32(y1, y2, 15, 0);
    expect_f32(y3, y2, 15, 1e-6f);
}

static void conv_in_half_types(void **state)
{
    static const KerbDtype types[] = { KERB_F16, KERB_BF16, KERB_F64 };
    static const float ulp[] = { 0x1p-10f, 0x1p-7f, 0 };
    float x[2 * 25], w[18], y[25];
    double xs[2 * 25], ws[18], ys[25]; /* room for the widest */
    KerbTensor xt = TENSOR(x, KERB_F32, 4, 1, 2, 5, 5), wt = TENSOR(w, KERB_F32, 4, 1, 2, 3, 3), yt = TENSOR(y, KERB_F32, 4, 1, 1, 5, 5);
    fill(&xt), fill(&wt);
    EVAL(KERB_OP_CONV, yt, INPUTS(xt, wt), .conv = { .window = SQUARE(3, 1, 1, 1), .group = 1 });
    for (int i = 0; i < 3; i++) { /* the inputs are exact in all types: only the result is rounded, once */
        KerbTensor xh = TENSOR(xs, types[i], 4, 1, 2, 5, 5), wh = TENSOR(ws, types[i], 4, 1, 2, 3, 3),
                   yh = TENSOR(ys, types[i], 4, 1, 1, 5, 5);
        kerb_tensor_copy(&xh, &xt), kerb_tensor_copy(&wh, &wt);
        EVAL(KERB_OP_CONV, yh, INPUTS(xh, wh), .conv = { .window = SQUARE(3, 1, 1, 1), .group = 1 });
        for (int k = 0; k < 25; k++) {
            float expected = y[k];
            if (types[i] == KERB_F16) expected = kerb_f16_to_f32(kerb_f32_to_f16(expected));
            if (types[i] == KERB_BF16) expected = kerb_bf16_to_f32(kerb_f32_to_bf16(expected));
            float got = (float)kerb_tensor_get(&yh, k);
            if (fabsf(got - expected) > ulp[i] * 0.01f)
                fail_msg("%s, element %d: got %g, expected %g", kerb_dtype_name(types[i]), k, (double)got, (double)expected);
        }
    }
}

static void fused_prelu_takes_its_slope_by_channel(void **state)
{
    KerbGraph *g = NULL;
    assert_int_equal(kerb_graph_new(&g, NULL), KERB_OK);
    float slopes[2] = { 0.5f, 2 }, a[4] = { -1, 1, -1, 1 }, b[1] = { -1 }, y[4], eye[4] = { 1, 0, 0, 1 };
    KerbActivation act = { .kind = KERB_ACT_PRELU, .slope = kerb_graph_add_constant(g, "slope", KERB_F32, 1, DIMS(2), slopes, true) };
    KerbTensor out = TENSOR(y, KERB_F32, 4, 1, 2, 1, 2), x = TENSOR(a, KERB_F32, 4, 1, 2, 1, 2);
    KerbAttrs binary = { .binary = { .kind = KERB_BINARY_ADD, .act = act } };
    assert_int_equal(eval_in(g, KERB_OP_BINARY, binary, INPUTS(x, TENSOR(b, KERB_F32, 1, 1)), 1, &out, NULL), KERB_OK);
    expect_f32(y, (float[]){ -1, 0, -4, 0 }, 4, 0);
    KerbAttrs conv = { .conv = { .window = SQUARE(1, 1, 1, 0), .group = 1, .act = act } };
    assert_int_equal(eval_in(g, KERB_OP_CONV, conv, INPUTS(x, TENSOR(eye, KERB_F32, 4, 2, 2, 1, 1)), 1, &out, NULL), KERB_OK);
    expect_f32(y, (float[]){ -0.5f, 1, -2, 1 }, 4, 0);
    KerbAttrs gemm = { .gemm = { .alpha = 2, .beta = 1, .act = act } };
    out = TENSOR(y, KERB_F32, 2, 2, 2);
    assert_int_equal(eval_in(g, KERB_OP_GEMM, gemm,
                             INPUTS(TENSOR(a, KERB_F32, 2, 2, 2), TENSOR(eye, KERB_F32, 2, 2, 2), TENSOR(b, KERB_F32, 1, 1)), 1, &out,
                             NULL),
                     KERB_OK);
    expect_f32(y, (float[]){ -1.5f, 1, -1.5f, 1 }, 4, 0); /* 2a - 1 = -3, 1 */
    KerbAttrs lost = { .binary = { .kind = KERB_BINARY_ADD, .act = { .kind = KERB_ACT_PRELU, .slope = KERB_NO_VALUE } } };
    assert_int_equal(eval_in(g, KERB_OP_BINARY, lost, INPUTS(x, x), 1, &out, NULL), KERB_ERROR_INTERNAL);
    kerb_graph_free(&g);
}

static void clip_activation_behind_an_addition(void **state)
{
    float a[3] = { -4, 1, 9 }, b = 1, y[3];
    KerbTensor out = TENSOR(y, KERB_F32, 1, 3);
    EVAL(KERB_OP_BINARY, out, INPUTS(TENSOR(a, KERB_F32, 1, 3), SCALAR(&b, KERB_F32)),
         .binary = { .kind = KERB_BINARY_ADD, .act = { .kind = KERB_ACT_CLIP, .lo = 0, .hi = 6 } });
    expect_f32(y, (float[]){ 0, 2, 6 }, 3, 0);
}

/* FCN's upsampling: a depthwise ConvTranspose of kernel 2s, stride s, padding s/2 with bilinear weights is Resize with a zero border. */
static void zero_border_is_the_bilinear_transposed_convolution(void **state)
{
    for (int s = 2; s <= 8; s += 2) {
        static float x[2 * 3 * 5], w[2 * 16 * 16], expected[2 * 24 * 40], y[2 * 24 * 40];
        KerbTensor xt = TENSOR(x, KERB_F32, 4, 1, 2, 3, 5), wt = TENSOR(w, KERB_F32, 4, 2, 1, 2 * s, 2 * s);
        fill(&xt);
        for (int i = 0; i < 2 * 4 * s * s; i++) {
            double dy = 1 - fabs((i / (2 * s) % (2 * s) + 0.5) / s - 1), dx = 1 - fabs((i % (2 * s) + 0.5) / s - 1);
            w[i] = (float)(dy * dx);
        }
        KerbTensor want = TENSOR(expected, KERB_F32, 4, 1, 2, 3 * s, 5 * s), got = TENSOR(y, KERB_F32, 4, 1, 2, 3 * s, 5 * s);
        EVAL(KERB_OP_CONV_TRANSPOSE, want, INPUTS(xt, wt), .conv = { .window = SQUARE(2 * s, s, 1, s / 2), .group = 2 });
        EVAL(KERB_OP_RESIZE, got, INPUTS(xt), .resize = { .mode = KERB_RESIZE_LINEAR, .zero_border = true, .scale = { 1, 1, s, s } });
        expect_f32(y, expected, 2 * 15 * s * s, 1e-6f);
        EVAL(KERB_OP_RESIZE, got, INPUTS(xt), .resize = { .mode = KERB_RESIZE_LINEAR, .scale = { 1, 1, s, s } });
        assert_true(fabsf(y[0] - x[0]) < 1e-6f && fabsf(expected[0] - x[0]) > 0.1f * fabsf(x[0])); /* without it the edge is repeated */
    }
}

static void resize_by_hand(void **state)
{
    float x[4] = { 1, 2, 3, 4 }, y[8];
    KerbTensor in = TENSOR(x, KERB_F32, 3, 1, 1, 4), out = TENSOR(y, KERB_F32, 3, 1, 1, 8), half = TENSOR(y, KERB_F32, 3, 1, 1, 2);
    EVAL(KERB_OP_RESIZE, out, INPUTS(in), .resize = { .mode = KERB_RESIZE_LINEAR, .scale = { 1, 1, 2 } });
    expect_f32(y, (float[]){ 1, 1.25f, 1.75f, 2.25f, 2.75f, 3.25f, 3.75f, 4 }, 8, 1e-6f);
    EVAL(KERB_OP_RESIZE, out, INPUTS(in),
         .resize = { .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_ALIGN_CORNERS, .scale = { 1, 1, 2 } });
    for (int i = 0; i < 8; i++) expect_f32(&y[i], (float[]){ 1 + 3.0f / 7 * (float)i }, 1, 1e-6f);
    EVAL(KERB_OP_RESIZE, half, INPUTS(in), .resize = { .mode = KERB_RESIZE_LINEAR, .antialias = true, .scale = { 1, 1, 0.5 } });
    /* centre 0.5, triangle of half width 2: weights 1 3 3 1 at -1..2, the first seen on the edge */
    expect_f32(y, (float[]){ (1 + 3 * 1 + 3 * 2 + 3) / 8.0f, (2 + 3 * 3 + 3 * 4 + 4) / 8.0f }, 2, 1e-6f);
    EVAL(KERB_OP_RESIZE, half, INPUTS(in),
         .resize = { .mode = KERB_RESIZE_LINEAR, .antialias = true, .exclude_outside = true, .scale = { 1, 1, 0.5 } });
    expect_f32(y, (float[]){ (3 * 1 + 3 * 2 + 3) / 7.0f, (2 + 3 * 3 + 3 * 4) / 7.0f }, 2, 1e-6f);
}

static void grid_sample_where_nothing_is(void **state)
{
    float x[4] = { 1, 2, 3, 4 }, y[3], grid[6] = { NAN, NAN, 1e30f, -1e30f, 0, 0 };
    KerbTensor in = TENSOR(x, KERB_F32, 4, 1, 1, 2, 2), where = TENSOR(grid, KERB_F32, 4, 1, 1, 3, 2), out = TENSOR(y, KERB_F32, 4, 1, 1, 1, 3);
    EVAL(KERB_OP_GRID_SAMPLE, out, INPUTS(in, where), .grid = { .mode = KERB_RESIZE_LINEAR });
    expect_f32(y, (float[]){ 0, 0, 2.5f }, 3, 0);
    EVAL(KERB_OP_GRID_SAMPLE, out, INPUTS(in, where), .grid = { .mode = KERB_RESIZE_LINEAR, .padding = KERB_GRID_BORDER });
    expect_f32(y, (float[]){ 1, 2, 2.5f }, 3, 0); /* NaN counts as far left and above */
    EVAL(KERB_OP_GRID_SAMPLE, out, INPUTS(in, where), .grid = { .mode = KERB_RESIZE_CUBIC, .padding = KERB_GRID_REFLECTION });
    for (int i = 0; i < 3; i++) assert_true(isfinite(y[i])); /* read from somewhere inside */
}

static void pools_over_odd_sizes(void **state)
{
    float x[15], y[6], back[15], expected[15] = { 0 };
    int64_t indices[6];
    for (int i = 0; i < 15; i++) x[i] = (float)(i + 1);
    KerbTensor in = TENSOR(x, KERB_F32, 4, 1, 1, 3, 5),
               outs[2] = {TENSOR(y, KERB_F32, 4, 1, 1, 2, 3), TENSOR(indices, KERB_I64, 4, 1, 1, 2, 3)};
    KerbAttrs attrs = { .pool = { .window = SQUARE(2, 2, 1, 0), .ceil_mode = true } };
    assert_int_equal(eval_in(NULL, KERB_OP_MAX_POOL, attrs, INPUTS(in), 2, outs, NULL), KERB_OK);
    expect_f32(y, (float[]){ 7, 9, 10, 12, 14, 15 }, 6, 0);
    expect_i64(indices, (int64_t[]){ 6, 8, 9, 11, 13, 14 }, 6);
    KerbTensor restored = TENSOR(back, KERB_F32, 4, 1, 1, 3, 5);
    attrs.pool.window.pad_end[0] = attrs.pool.window.pad_end[1] = 1; /* the implied shape is 3x5 */
    assert_int_equal(eval_in(NULL, KERB_OP_MAX_UNPOOL, attrs, INPUTS(outs[0], outs[1]), 1, &restored, NULL), KERB_OK);
    for (int i = 0; i < 6; i++) expected[indices[i]] = y[i];
    expect_f32(back, expected, 15, 0);
    indices[0] = 15;
    assert_int_equal(eval_in(NULL, KERB_OP_MAX_UNPOOL, attrs, INPUTS(outs[0], outs[1]), 1, &restored, NULL), KERB_ERROR_ASSET);
    EVAL(KERB_OP_AVERAGE_POOL, outs[0], INPUTS(in), .pool = { .window = SQUARE(2, 2, 1, 0), .ceil_mode = true, .count_include_pad = true });
    expect_f32(y, (float[]){ 4, 6, 7.5f, 11.5f, 13.5f, 15 }, 6, 0); /* what hangs over the end does not count */
    attrs = (KerbAttrs){ .pool = { .window = SQUARE(2, 2, 1, 0), .ceil_mode = true, .column_major = true } };
    assert_int_equal(eval_in(NULL, KERB_OP_MAX_POOL, attrs, INPUTS(in), 2, outs, NULL), KERB_OK);
    expect_i64(indices, (int64_t[]){ 4, 10, 13, 5, 11, 14 }, 6); /* row + 3 * column */
}

static void quantize_rounds_to_even_and_saturates(void **state)
{
    float x[6] = { 0.5f, 1.5f, -0.5f, 300, -300, NAN }, scale = 1, blocks[2] = { 1, 10 }, back[4];
    uint8_t zero = 10, y[6];
    int8_t q[4] = { 1, 2, 3, 4 };
    KerbTensor out = TENSOR(y, KERB_U8, 1, 6);
    EVAL(KERB_OP_QUANTIZE, out, INPUTS(TENSOR(x, KERB_F32, 1, 6), SCALAR(&scale, KERB_F32), SCALAR(&zero, KERB_U8)),
         .quantize = { .axis = 1 });
    for (int i = 0; i < 6; i++) assert_int_equal(y[i], ((uint8_t[]){ 10, 12, 10, 255, 0, 10 })[i]);
    KerbTensor floats = TENSOR(back, KERB_F32, 1, 4);
    EVAL(KERB_OP_DEQUANTIZE, floats, INPUTS(TENSOR(q, KERB_I8, 1, 4), TENSOR(blocks, KERB_F32, 1, 2)),
         .quantize = { .axis = 0, .block_size = 3 });
    expect_f32(back, (float[]){ 1, 2, 3, 40 }, 4, 0);
    assert_int_equal(
        EVAL_STATUS(KERB_OP_DEQUANTIZE, floats, INPUTS(TENSOR(q, KERB_I8, 1, 4), TENSOR(blocks, KERB_F32, 1, 2)), .quantize.axis = 0),
        KERB_ERROR_ASSET);
}

static void softmax_by_axis_and_flattened(void **state)
{
    float x[4] = { 0, 1000, -1000, 1000 }, y[4];
    KerbTensor in = TENSOR(x, KERB_F32, 3, 1, 2, 2), out = TENSOR(y, KERB_F32, 3, 1, 2, 2);
    EVAL(KERB_OP_SOFTMAX, out, INPUTS(in), .softmax = { .axis = 1 });
    expect_f32(y, (float[]){ 1, 0.5f, 0, 0.5f }, 4, 1e-7f);
    EVAL(KERB_OP_SOFTMAX, out, INPUTS(in), .softmax = { .axis = 1, .flatten = true });
    expect_f32(y, (float[]){ 0, 0.5f, 0, 0.5f }, 4, 1e-7f);
    EVAL(KERB_OP_SOFTMAX, out, INPUTS(in), .softmax = { .axis = -1, .log = true });
    expect_f32(y, (float[]){ -1000, 0, -2000, 0 }, 4, 1e-4f);
}

/* 1/2 + 2^-30 and friends survive sums of many terms: they are kept in double. */
static void sums_are_kept_in_double(void **state)
{
    static float x[1 << 16];
    float y = 0;
    x[0] = 16777216.0f;
    for (int i = 1; i < 1 << 16; i++) x[i] = 0.5f;
    KerbTensor out = SCALAR(&y, KERB_F32);
    EVAL(KERB_OP_REDUCE, out, INPUTS(TENSOR(x, KERB_F32, 1, 1 << 16)), .reduce = { .kind = KERB_REDUCE_SUM });
    assert_true(y == 16777216.0f + 32768.0f); /* 32767.5 rounded to even; in float the sum would not have moved */
}

static void empty_batches_and_bad_shapes(void **state)
{
    float w[4] = { 1, 2, 3, 4 }, y[4];
    KerbTensor none = TENSOR(NULL, KERB_F32, 4, 0, 1, 3, 3), out = TENSOR(NULL, KERB_F32, 4, 0, 1, 2, 2),
               wt = TENSOR(w, KERB_F32, 4, 1, 1, 2, 2);
    EVAL(KERB_OP_CONV, out, INPUTS(none, wt), .conv = { .window = SQUARE(2, 1, 1, 0), .group = 1 });
    EVAL(KERB_OP_MAX_POOL, out, INPUTS(none), .pool = { .window = SQUARE(2, 1, 1, 0) });
    EVAL(KERB_OP_RESIZE, out, INPUTS(none), .resize = { .mode = KERB_RESIZE_CUBIC, .scale = { 1, 1, 0.67, 0.67 } });
    KerbTensor one = TENSOR(y, KERB_F32, 4, 1, 1, 2, 2);
    assert_int_equal(EVAL_STATUS(KERB_OP_CONV, one, INPUTS(wt, wt), .conv = { .window = SQUARE(2, 1, 1, 0), .group = 3 }),
                     KERB_ERROR_ASSET);
    assert_int_equal(EVAL_STATUS(KERB_OP_CONV, one, INPUTS(ABSENT, wt), .conv = { .group = 1 }), KERB_ERROR_ASSET);
    assert_int_equal(EVAL_STATUS(KERB_OP_RESIZE, one, INPUTS(wt), .resize = { .scale = { 1, 1, 1e-300, 1 } }), KERB_ERROR_ASSET);
    assert_int_equal(EVAL_STATUS(KERB_OP_MATMUL, one, INPUTS(TENSOR(w, KERB_F32, 1, 4), TENSOR(w, KERB_F32, 1, 3)), 0), KERB_ERROR_ASSET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_by_hand_with_bias_residual_and_relu),
        cmocka_unit_test(conv_and_its_transpose_are_adjoint),
        cmocka_unit_test(conv_in_one_and_three_axes_is_the_two_axis_one),
        cmocka_unit_test(conv_in_half_types),
        cmocka_unit_test(fused_prelu_takes_its_slope_by_channel),
        cmocka_unit_test(clip_activation_behind_an_addition),
        cmocka_unit_test(zero_border_is_the_bilinear_transposed_convolution),
        cmocka_unit_test(resize_by_hand),
        cmocka_unit_test(grid_sample_where_nothing_is),
        cmocka_unit_test(pools_over_odd_sizes),
        cmocka_unit_test(quantize_rounds_to_even_and_saturates),
        cmocka_unit_test(softmax_by_axis_and_flattened),
        cmocka_unit_test(sums_are_kept_in_double),
        cmocka_unit_test(empty_batches_and_bad_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
