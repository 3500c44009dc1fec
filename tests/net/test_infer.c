/* SPDX-License-Identifier: MIT */
/* Shapes and types of every operator, and what is refused. Expected shapes are worked out from the ONNX specification's formulas. */
#include "net_fixture.h"

/* inputs: values as net_fixture.h writes them, separated by ';'. expect: the outputs likewise ("i64 2x3"; "[1,2]": folded to these numbers;
 * "-": absent), or "!ASSET text", "!UNSUPPORTED text": the status and a part of the message. */
typedef struct Case {
    KerbOp op;
    const char *inputs, *expect;
    KerbAttrs attrs;
} Case;

#define WINDOW2(kh, kw, sh, sw, dh, dw, t, l, b, r)                                                                                            \
    { .n = 2, .kernel = { kh, kw }, .stride = { sh, sw }, .dilation = { dh, dw }, .pad_begin = { t, l }, .pad_end = { b, r } }
#define SAME(which, k, s, d)                                                                                                                   \
    { .n = 2, .kernel = { k, k }, .stride = { s, s }, .dilation = { d, d }, .auto_pad = KERB_PAD_##which }

static int split(char *text, char *parts[])
{
    int n = 0;
    for (char *p = text ? strtok(text, ";") : NULL; p; p = strtok(NULL, ";")) {
        while (*p == ' ') p++;
        parts[n++] = p;
    }
    return n;
}

static void want_value(const Case *c, const KerbValue *v, const char *want)
{
    char text[200], dims[160], *at = text;
    const char *shape = want;
    if (*want == '[' || *want == '{') {
        if (!kerb_value_is_constant(v)) fail_msg("%s(%s): was not folded", kerb_op_name(c->op), c->inputs);
        KerbTensor t = kerb_value_tensor(v);
        *at++ = *want;
        for (int64_t i = 0; i < kerb_tensor_elements(&t); i++) at += sprintf(at, "%s%g", i ? "," : "", kerb_tensor_get(&t, i));
        sprintf(at, "%c", *want == '[' ? ']' : '}');
    } else {
        KerbDtype dtype = net_dtype(&shape);
        sprintf(text, "%s%s%s", shape == want ? "" : kerb_dtype_name(v->dtype), shape == want ? "" : " ", kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
        if (v->dtype != dtype) fail_msg("%s(%s): type %s, expected %s", kerb_op_name(c->op), c->inputs, kerb_dtype_name(v->dtype), want);
    }
    if (strcmp(text, want) != 0) fail_msg("%s(%s): got %s, expected %s", kerb_op_name(c->op), c->inputs, text, want);
}

static void want_refusal(const Case *c, KerbStatus status, const KerbError *error)
{
    bool unsupported = strncmp(c->expect, "!UNSUPPORTED ", 13) == 0;
    const char *text = strchr(c->expect, ' ') + 1;
    if (status != (unsupported ? KERB_ERROR_UNSUPPORTED : KERB_ERROR_ASSET) || !strstr(error->message, text))
        fail_msg("%s(%s): status %d \"%s\", expected %s", kerb_op_name(c->op), c->inputs, status, error->message, c->expect);
    if (!strstr(error->message, kerb_op_name(c->op)) && c->op != KERB_OP_BINARY) fail_msg("the message does not name the operator: %s", error->message);
}

static void run_case(const Case *c)
{
    char inputs[400], expect[400], *in_text[16], *want[8];
    uint32_t in[16], out[8];
    KerbGraph *g = net_new();
    KerbError error = { 0 };
    int n_in = split(strcpy(inputs, c->inputs), in_text);
    for (int i = 0; i < n_in; i++) in[i] = net_value(g, in_text[i]);
    int n_want = c->expect[0] == '!' ? 0 : split(strcpy(expect, c->expect), want);
    net_outputs(g, c->op, c->attrs, n_in, in, n_want ? n_want : 1, out);
    for (int i = 0; i < n_want; i++)
        if (want[i][0] == '-') g->nodes[0].outputs[i] = KERB_NO_VALUE;
    NetInputs outputs = { 1, { out[0] } };
    net_set_outputs(g, outputs);
    KerbStatus status = kerb_graph_infer(g, &error);
    if (!n_want) want_refusal(c, status, &error);
    else if (status != KERB_OK) fail_msg("%s(%s): %s", kerb_op_name(c->op), c->inputs, error.message);
    for (int i = 0; i < n_want; i++)
        if (want[i][0] != '-') want_value(c, kerb_graph_value(g, out[i]), want[i]);
    if (status == KERB_OK) net_infer(g); /* once more changes nothing: what was resolved stays so */
    for (int i = 0; i < n_want; i++)
        if (want[i][0] != '-') want_value(c, kerb_graph_value(g, out[i]), want[i]);
    kerb_graph_free(&g);
}

#define RUN(cases) for (size_t case_i = 0; case_i < sizeof(cases) / sizeof(cases)[0]; case_i++) run_case(&(cases)[case_i])

static void test_windows(void **state)
{
    static const Case cases[] = {
        { KERB_OP_CONV, "1x3x9x10;=8x3x3x3", "1x8x7x8", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "2x4x9x10;=6x2x3x5;=6", "2x6x5x2", { .conv = { WINDOW2(3, 5, 2, 3, 1, 1, 1, 0, 1, 0), 2 } } }, /* (9+2-3)/2+1, (10-5)/3+1 */
        { KERB_OP_CONV, "1x1x9x9;=1x1x3x3", "1x1x5x5", { .conv = { WINDOW2(3, 3, 1, 1, 2, 2, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x1x9x10;=1x1x3x3", "1x1x5x5", { .conv = { SAME(SAME_UPPER, 3, 2, 1), 1 } } },
        { KERB_OP_CONV, "1x1x9x10;=1x1x3x3", "1x1x4x4", { .conv = { SAME(VALID, 3, 2, 1), 1 } } },
        { KERB_OP_CONV, "1x2x16;=4x2x3", "1x4x14", { .conv = { { .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } }, 1 } } }, /* kernel from the weights */
        { KERB_OP_CONV, "1x1x4x5x6;=1x1x2x2x2", "1x1x3x4x5", { .conv = { { .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } }, 1 } } },
        { KERB_OP_CONV, "1x3x9x9;=8x4x3x3", "!ASSET 4 channels", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x3x2x2;=8x3x3x3", "!ASSET does not fit", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x3x9x9;=8x3x3x3;=7", "!ASSET bias", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x3x9x9;=8x3x3x3", "!ASSET makes no sense", { .conv = { WINDOW2(3, 3, 0, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x3x9x9;=8x3x3x3", "!ASSET groups", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 0 } } },
        { KERB_OP_CONV, "1x3x9x9;=8x3x3x3", "!ASSET kernel_shape", { .conv = { WINDOW2(5, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x3x9x9;=8x3x3", "!ASSET axes", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV, "1x3x9x9", "!ASSET lacks its input 1", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV_TRANSPOSE, "1x4x5x6;=4x3x2x2", "1x3x10x12", { .conv = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV_TRANSPOSE, "1x4x5x6;=4x3x3x3", "1x3x10x12", { .conv = { WINDOW2(3, 3, 2, 2, 1, 1, 1, 1, 1, 1), 1, .output_padding = { 1, 1 } } } },
        { KERB_OP_CONV_TRANSPOSE, "1x4x5x6;=4x3x3x3", "1x6x11x13", { .conv = { WINDOW2(3, 3, 2, 2, 1, 1, 0, 0, 0, 0), 2 } } },
        { KERB_OP_CONV_TRANSPOSE, "1x1x3x3;=1x2x3x3", "1x2x10x8", { .conv = { WINDOW2(3, 3, 3, 2, 1, 1, 0, 0, 0, 0), 1, .output_shape = { 10, 8 } } } },
        { KERB_OP_CONV_TRANSPOSE, "1x1x3x3;=1x2x3x3", "1x2x6x6", { .conv = { SAME(SAME_UPPER, 3, 2, 1), 1 } } },
        { KERB_OP_CONV_TRANSPOSE, "1x1x3x3;=1x1x2x2", "1x1x5x5", { .conv = { WINDOW2(2, 2, 1, 1, 2, 2, 0, 0, 0, 0), 1 } } }, /* (3-1)*1 + 2 + 1 */
        { KERB_OP_CONV_TRANSPOSE, "1x4x5x6;=3x3x2x2", "!ASSET channels", { .conv = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_CONV_TRANSPOSE, "1x4x1x1;=4x3x2x2", "!ASSET leave nothing", { .conv = { WINDOW2(2, 2, 2, 2, 1, 1, 1, 1, 1, 1), 1 } } },
        { KERB_OP_MAX_POOL, "1x3x9x9", "1x3x4x4", { .pool = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0) } } },
        { KERB_OP_MAX_POOL, "1x3x9x9", "1x3x5x5;i64 1x3x5x5", { .pool = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0), .ceil_mode = true } } },
        { KERB_OP_MAX_POOL, "1x1x5x5", "1x1x2x2", { .pool = { WINDOW2(3, 3, 3, 3, 1, 1, 1, 1, 1, 1), .ceil_mode = true } } }, /* (5+2-3)/3 = 1.33: a third window would start at 6 = 5 + 1: in the pad */
        { KERB_OP_MAX_POOL, "1x1x2x2", "1x1x1x1", { .pool = { WINDOW2(1, 1, 2, 2, 1, 1, 0, 0, 0, 0), .ceil_mode = true } } }, /* the last window would start in the padding */
        { KERB_OP_MAX_POOL, "1x1x5x5", "1x1x3x3", { .pool = { SAME(SAME_LOWER, 3, 2, 1) } } },
        { KERB_OP_MAX_POOL, "u8 1x1x5x5", "u8 1x1x4x4", { .pool = { WINDOW2(2, 2, 1, 1, 1, 1, 0, 0, 0, 0) } } },
        { KERB_OP_MAX_POOL, "1x5", "!ASSET spatial axis", { .pool = { WINDOW2(2, 2, 1, 1, 1, 1, 0, 0, 0, 0) } } },
        { KERB_OP_MAX_POOL, "1x5x2x2x2x2", "!UNSUPPORTED spatial axes", { .pool = { { .n = 0 } } } },
        { KERB_OP_AVERAGE_POOL, "1x3x7x7", "1x3x4x4", { .pool = { WINDOW2(3, 3, 2, 2, 1, 1, 1, 1, 1, 1) } } },
        { KERB_OP_MAX_UNPOOL, "1x3x4x4;i64 1x3x4x4", "1x3x8x8", { .pool = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0) } } },
        { KERB_OP_MAX_UNPOOL, "1x3x4x4;i64 1x3x4x4;[1,3,9,9]", "1x3x9x9", { .pool = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0) } } },
        { KERB_OP_MAX_UNPOOL, "1x3x4x4;i64 1x3x4x3", "!ASSET indices", { .pool = { WINDOW2(2, 2, 2, 2, 1, 1, 0, 0, 0, 0) } } },
        { KERB_OP_QLINEAR_CONV, "u8 1x3x5x5;~1;-;u8 2x3x3x3;~1;-;~1;u8 scalar", "!ASSET lacks its input 2", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
        { KERB_OP_QLINEAR_CONV, "u8 1x3x5x5;~1;u8 scalar;u8 2x3x3x3;~1;u8 scalar;~1;i8 scalar", "i8 1x2x3x3", { .conv = { WINDOW2(3, 3, 1, 1, 1, 1, 0, 0, 0, 0), 1 } } },
    };
    RUN(cases);
}

/* What auto_pad and output_shape become. */
static void test_resolved_pads(void **state)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x1x10x10"), w = net_value(g, "=1x1x3x3"), wt = net_value(g, "=1x1x4x4");
    KerbWindow lower = net_window(3, 2, 1, 0, 0), upper = lower;
    lower.auto_pad = KERB_PAD_SAME_LOWER;
    upper.auto_pad = KERB_PAD_SAME_UPPER;
    uint32_t a = NODE(g, KERB_OP_CONV, IN(x, w), .conv = { .window = upper, .group = 1 });
    uint32_t b = NODE(g, KERB_OP_CONV, IN(x, w), .conv = { .window = lower, .group = 1 });
    uint32_t c = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, wt), .conv = { .window = net_window(4, 2, 1, 0, 0), .group = 1, .output_shape = { 19, 24 } });
    net_set_outputs(g, IN(a, b, c));
    net_infer(g);
    const KerbWindow *got = &g->nodes[0].attrs.conv.window; /* 10 -> 5 needs 11: one pad */
    assert_int_equal(got->pad_begin[0], 0);
    assert_int_equal(got->pad_end[0], 1);
    got = &g->nodes[1].attrs.conv.window;
    assert_int_equal(got->pad_begin[1], 1);
    assert_int_equal(got->pad_end[1], 0);
    assert_int_equal(got->auto_pad, KERB_PAD_EXPLICIT);
    const KerbConvAttrs *conv = &g->nodes[2].attrs.conv; /* without pads it is 22: 3 too many in height, 2 too few in width */
    assert_int_equal(conv->window.pad_begin[0], 2);
    assert_int_equal(conv->window.pad_end[0], 1);
    assert_int_equal(conv->window.pad_begin[1], 0);
    assert_int_equal(conv->output_padding[1], 2);
    assert_int_equal(conv->output_shape[0], 0);
    kerb_graph_free(&g);
}

static void test_resize(void **state)
{
    static const Case cases[] = {
        { KERB_OP_RESIZE, "1x3x4x5;-;{1,1,2,2.5}", "1x3x8x12", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;-;[1,3,7,9]", "1x3x7x9", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;{};[1,3,7,9]", "1x3x7x9", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;{2,3}", "1x3x8x15", { .resize = { .n_axes = 2, .axes = { 2, 3 } } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;{3,2}", "1x3x8x15", { .resize = { .n_axes = 2, .axes = { -1, 2 } } } },
        { KERB_OP_RESIZE, "1x3x10x4;-;{1,1,0.7,1}", "1x3x7x4", { .resize = { .mode = KERB_RESIZE_NEAREST } } }, /* 0.7f * 10 in float */
        { KERB_OP_RESIZE, "1x1x4x8;-;-;[8,8]", "1x1x4x8", { .resize = { .n_axes = 2, .axes = { 2, 3 }, .aspect = KERB_ASPECT_NOT_LARGER } } },
        { KERB_OP_RESIZE, "1x1x4x8;-;-;[8,8]", "1x1x8x16", { .resize = { .n_axes = 2, .axes = { 2, 3 }, .aspect = KERB_ASPECT_NOT_SMALLER } } },
        { KERB_OP_RESIZE, "1x1x4x8;{0,0,0.25,0.25,1,1,0.75,0.75};-;[1,1,3,3]", "1x1x3x3", { .resize = { .coordinates = KERB_COORD_TF_CROP_AND_RESIZE } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;-;[7,9]", "!ASSET sizes for 4 axes", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;{1,1,0,1}", "!ASSET above 0", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5", "!ASSET neither scales nor sizes", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;-;i64 4", "!UNSUPPORTED computed from the picture", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;{1,1,1e9,1}", "!ASSET elements", { .resize = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_RESIZE, "1x3x4x5;-;{2,3}", "!ASSET named twice", { .resize = { .n_axes = 2, .axes = { 2, -2 } } } },
    };
    RUN(cases);
}

static void test_elementwise(void **state)
{
    static const Case cases[] = {
        { KERB_OP_UNARY, "2x3", "2x3", { .unary = { .kind = KERB_UNARY_RELU } } },
        { KERB_OP_UNARY, "2x3", "bool 2x3", { .unary = { .kind = KERB_UNARY_ISNAN } } },
        { KERB_OP_UNARY, "~-2", "{2}", { .unary = { .kind = KERB_UNARY_ABS } } },
        { KERB_OP_BINARY, "2x1x4;3x1", "2x3x4", { .binary = { .kind = KERB_BINARY_ADD } } },
        { KERB_OP_BINARY, "2x3;0x1x1", "0x2x3", { .binary = { .kind = KERB_BINARY_MUL } } },
        { KERB_OP_BINARY, "2x3;3", "bool 2x3", { .binary = { .kind = KERB_BINARY_LESS } } },
        { KERB_OP_BINARY, "2x3;i64 3", "2x3", { .binary = { .kind = KERB_BINARY_POW } } },
        { KERB_OP_BINARY, "[7,9];#2", "[3,4]", { .binary = { .kind = KERB_BINARY_DIV } } }, /* integers truncate */
        { KERB_OP_BINARY, "2x3;2", "!ASSET do not broadcast", { .binary = { .kind = KERB_BINARY_ADD } } },
        { KERB_OP_BINARY, "2x3;i64 3", "!ASSET f32 and i64", { .binary = { .kind = KERB_BINARY_ADD } } },
        { KERB_OP_BINARY, "1x3x4x4;=3x1x1", "1x3x4x4", { .binary = { .kind = KERB_BINARY_PRELU } } },
        { KERB_OP_BINARY, "1x1x4x4;=3x1x1", "!ASSET slope", { .binary = { .kind = KERB_BINARY_PRELU } } },
        { KERB_OP_CLIP, "2x3;~0;~6", "2x3", { .axis = 0 } },
        { KERB_OP_CLIP, "2x3;-;{6,7}", "!ASSET one number", { .axis = 0 } },
        { KERB_OP_WHERE, "bool 4x1;3;1x3", "4x3", { .axis = 0 } },
        { KERB_OP_WHERE, "bool 4x1;3;i64 3", "!ASSET agree", { .axis = 0 } },
        { KERB_OP_CAST, "2x3", "i32 2x3", { .cast = { KERB_I32 } } },
        { KERB_OP_IDENTITY, "i8 2x3", "i8 2x3", { .axis = 0 } },
        { KERB_OP_SOFTMAX, "1x4x2x2", "1x4x2x2", { .softmax = { .axis = 1 } } },
        { KERB_OP_SOFTMAX, "1x4x2x2", "!ASSET axis 4", { .softmax = { .axis = 4 } } },
        { KERB_OP_BATCH_NORM, "1x4x2x2;=4;=4;=4;=4", "1x4x2x2", { .norm = { 1e-5f } } },
        { KERB_OP_BATCH_NORM, "1x4x2x2;=4;=4;=3;=4", "!ASSET input 3", { .norm = { 1e-5f } } },
        { KERB_OP_INSTANCE_NORM, "1x4x2x2;=4;=4", "1x4x2x2", { .norm = { 1e-5f } } },
        { KERB_OP_LRN, "1x4x2x2", "1x4x2x2", { .lrn = { .size = 3 } } },
        { KERB_OP_LRN, "1x4x2x2", "!ASSET size", { .lrn = { .size = 0 } } },
        { KERB_OP_CUMSUM, "3x4;#1", "3x4", { .cumsum = { false, false } } },
        { KERB_OP_GRID_SAMPLE, "1x3x4x4;1x5x6x2", "1x3x5x6", { .grid = { .mode = KERB_RESIZE_LINEAR } } },
        { KERB_OP_GRID_SAMPLE, "1x3x4x4;1x5x6x3", "!ASSET grid", { .grid = { .mode = KERB_RESIZE_LINEAR } } },
    };
    RUN(cases);
}

static void test_reductions_and_products(void **state)
{
    static const Case cases[] = {
        { KERB_OP_REDUCE, "2x3x4;[1]", "2x1x4", { .reduce = { .kind = KERB_REDUCE_MEAN, .keepdims = true } } },
        { KERB_OP_REDUCE, "2x3x4;[-1,0]", "3", { .reduce = { .kind = KERB_REDUCE_MEAN } } },
        { KERB_OP_REDUCE, "2x3x4", "scalar", { .reduce = { .kind = KERB_REDUCE_SUM } } },
        { KERB_OP_REDUCE, "2x3x4", "2x3x4", { .reduce = { .kind = KERB_REDUCE_SUM, .noop_with_empty_axes = true } } },
        { KERB_OP_REDUCE, "2x3x4x5", "2x3x1x1", { .reduce = { .kind = KERB_REDUCE_MEAN, .spatial = true, .keepdims = true } } },
        { KERB_OP_REDUCE, "2x3", "!ASSET spatial", { .reduce = { .kind = KERB_REDUCE_MEAN, .spatial = true } } },
        { KERB_OP_REDUCE, "2x3;[2]", "!ASSET axis 2", { .reduce = { .kind = KERB_REDUCE_MEAN } } },
        { KERB_OP_REDUCE, "2x3;[1,-1]", "!ASSET twice", { .reduce = { .kind = KERB_REDUCE_MEAN } } },
        { KERB_OP_ARG, "2x3x4", "i64 2x4", { .arg = { .axis = -2 } } },
        { KERB_OP_ARG, "2x3x4", "i64 2x1x4", { .arg = { .axis = 1, .keepdims = true } } },
        { KERB_OP_ARG, "2x0", "!ASSET empty", { .arg = { .axis = 1 } } },
        { KERB_OP_MATMUL, "2x3;3x4", "2x4", { .axis = 0 } },
        { KERB_OP_MATMUL, "5x1x2x3;6x3x4", "5x6x2x4", { .axis = 0 } },
        { KERB_OP_MATMUL, "3;3", "scalar", { .axis = 0 } },
        { KERB_OP_MATMUL, "3;2x3x4", "2x4", { .axis = 0 } },
        { KERB_OP_MATMUL, "2x4x3;3", "2x4", { .axis = 0 } },
        { KERB_OP_MATMUL, "2x3;4x3", "!ASSET inner sizes 3 and 4", { .axis = 0 } },
        { KERB_OP_GEMM, "3x2;3x4;=4", "2x4", { .gemm = { .trans_a = true } } },
        { KERB_OP_GEMM, "2x3;4x3;=2x1", "2x4", { .gemm = { .trans_b = true } } },
        { KERB_OP_GEMM, "2x3;3x4;=2", "!ASSET broadcast", { .gemm = { 1, 1, false, false } } },
        { KERB_OP_GEMM, "2x3x1;3x4", "!ASSET two axes", { .gemm = { 1, 1, false, false } } },
        { KERB_OP_QUANTIZE, "2x3;~0.5", "u8 2x3", { .quantize = { .axis = 1 } } },
        { KERB_OP_QUANTIZE, "2x3;{1,2,3};i8 3", "i8 2x3", { .quantize = { .axis = 1 } } },
        { KERB_OP_QUANTIZE, "2x3;{1,2}", "!ASSET axis 1", { .quantize = { .axis = 1 } } },
        { KERB_OP_QUANTIZE, "2x3;~1", "i16 2x3", { .quantize = { .axis = 1, .out = KERB_I16 } } },
        { KERB_OP_DEQUANTIZE, "u8 2x6;=2x2;u8 2x2", "2x6", { .quantize = { .axis = 1, .block_size = 3 } } },
        { KERB_OP_DEQUANTIZE, "u8 2x6;=2x2;u8 2x3", "!ASSET differ in shape", { .quantize = { .axis = 1, .block_size = 3 } } },
        { KERB_OP_QLINEAR_MATMUL, "u8 2x3;~1;u8 scalar;u8 3x4;~1;u8 scalar;~1;i8 scalar", "i8 2x4", { .axis = 0 } },
    };
    RUN(cases);
}

static void test_reshapes(void **state)
{
    static const Case cases[] = {
        { KERB_OP_TRANSPOSE, "2x3x4", "4x3x2", { .transpose = { .n = 0 } } },
        { KERB_OP_TRANSPOSE, "1x3x4x5", "1x4x5x3", { .transpose = { 4, { 0, 2, 3, 1 } } } },
        { KERB_OP_TRANSPOSE, "2x3", "!ASSET every axis", { .transpose = { 2, { 0, 0 } } } },
        { KERB_OP_RESHAPE, "2x3x4;[0,-1]", "2x12", { .axis = 0 } },
        { KERB_OP_RESHAPE, "2x3x4;[-1]", "24", { .axis = 0 } },
        { KERB_OP_RESHAPE, "0x3;[0,7]", "0x7", { .reshape = { .allow_zero = true } } },
        { KERB_OP_RESHAPE, "0x3;[3,0]", "!ASSET do not fit", { .axis = 0 } }, /* 0 copies axis 1 */
        { KERB_OP_RESHAPE, "2x3;[]", "!ASSET do not fit", { .axis = 0 } },
        { KERB_OP_RESHAPE, "1x1;[]", "scalar", { .axis = 0 } },
        { KERB_OP_RESHAPE, "2x3;[-1,-1]", "!ASSET no shape", { .axis = 0 } },
        { KERB_OP_RESHAPE, "2x3;[4,-1]", "!ASSET do not fit", { .axis = 0 } },
        { KERB_OP_RESHAPE, "2x3;[3,2,0]", "!ASSET only 2 axes", { .axis = 0 } },
        { KERB_OP_RESHAPE, "2x3;[4611686018427387904,4]", "!ASSET no shape", { .axis = 0 } }, /* 2^64: the product wraps to 0 */
        { KERB_OP_RESHAPE, "2x3;i64 2", "!UNSUPPORTED computed from the picture", { .axis = 0 } },
        { KERB_OP_FLATTEN, "2x3x4", "2x12", { .axis = 1 } },
        { KERB_OP_FLATTEN, "2x3x4", "6x4", { .axis = -1 } },
        { KERB_OP_FLATTEN, "2x3x4", "1x24", { .axis = 0 } },
        { KERB_OP_FLATTEN, "2x3x4", "24x1", { .axis = 3 } },
        { KERB_OP_FLATTEN, "2x3x4", "!ASSET axis 4", { .axis = 4 } },
        { KERB_OP_UNSQUEEZE, "2x3;[0,-1]", "1x2x3x1", { .axis = 0 } },
        { KERB_OP_UNSQUEEZE, "2x3;[0,0]", "!ASSET twice", { .axis = 0 } },
        { KERB_OP_UNSQUEEZE, "1x1x1x1x1x1x1;[0,1]", "!UNSUPPORTED axes", { .axis = 0 } },
        { KERB_OP_SQUEEZE, "1x3x1;[0]", "3x1", { .axis = 0 } },
        { KERB_OP_SQUEEZE, "1x3x1", "3", { .axis = 0 } },
        { KERB_OP_SQUEEZE, "1x3x1;[1]", "!ASSET not 1", { .axis = 0 } },
        { KERB_OP_DEPTH_TO_SPACE, "1x8x2x3", "1x2x4x6", { .block = { 2 } } },
        { KERB_OP_DEPTH_TO_SPACE, "1x6x2x3", "!ASSET multiple", { .block = { 2 } } },
        { KERB_OP_SPACE_TO_DEPTH, "1x2x4x6", "1x8x2x3", { .block = { 2 } } },
        { KERB_OP_SPACE_TO_DEPTH, "1x2x5x6", "!ASSET multiples", { .block = { 2 } } },
        { KERB_OP_SHAPE, "2x3x4", "[2,3,4]", { .axis = 0 } },
        { KERB_OP_SHAPE, "2x3x4", "[3]", { .shape = { 1, -1, true } } },
        { KERB_OP_SHAPE, "2x3x4", "[]", { .shape = { 2, 1, true } } },
        { KERB_OP_SIZE, "2x3x4", "[24]", { .axis = 0 } },
    };
    RUN(cases);
}

static void test_choosing(void **state)
{
    static const Case cases[] = {
        { KERB_OP_CONCAT, "2x3;2x4", "2x7", { .axis = -1 } },
        { KERB_OP_CONCAT, "[1];[2,3]", "[1,2,3]", { .axis = 0 } },
        { KERB_OP_CONCAT, "2x3;3x4", "!ASSET differ beside axis 1", { .axis = 1 } },
        { KERB_OP_CONCAT, "2x3;i64 2x3", "!ASSET joins", { .axis = 1 } },
        { KERB_OP_SPLIT, "7x2", "3x2;3x2;1x2", { .split = { 0 } } },
        { KERB_OP_SPLIT, "6x2;[1,5]", "1x2;5x2", { .split = { 0 } } },
        { KERB_OP_SPLIT, "6x2;[1,4]", "!ASSET other sizes", { .split = { 0 } } }, /* one output */
        { KERB_OP_SPLIT, "6x2;[5]", "!ASSET does not split", { .split = { 0 } } },
        { KERB_OP_SLICE, "10x10;[2,1];[8,9223372036854775807];[0,1];[2,3]", "3x3", { .axis = 0 } },
        { KERB_OP_SLICE, "10;[-1];[-9223372036854775808];[0];[-1]", "10", { .axis = 0 } },
        { KERB_OP_SLICE, "10;[8];[2];[0];[-3]", "2", { .axis = 0 } },
        { KERB_OP_SLICE, "10;[20];[30]", "0", { .axis = 0 } },
        { KERB_OP_SLICE, "0;[-1];[-5];[0];[-1]", "0", { .axis = 0 } },
        { KERB_OP_SLICE, "[5,6,7,8];[3];[0];[0];[-2]", "[8,6]", { .axis = 0 } },
        { KERB_OP_SLICE, "10;[0];[5];[0];[0]", "!ASSET step", { .axis = 0 } },
        { KERB_OP_SLICE, "10;[0,1];[5]", "!ASSET 2 starts, 1 ends", { .axis = 0 } },
        { KERB_OP_SLICE, "10;[0];[5];[1]", "!ASSET axis 1", { .axis = 0 } },
        { KERB_OP_PAD, "2x3;[0,1,2,3]", "4x7", { .axis = 0 } },
        { KERB_OP_PAD, "2x3;[0,-1,0,-1]", "2x1", { .axis = 0 } },
        { KERB_OP_PAD, "2x3;[1,2];-;[-1]", "2x6", { .axis = 0 } },
        { KERB_OP_PAD, "2x3;[0,-2,0,-2]", "!ASSET dims of 0 or more", { .axis = 0 } },
        { KERB_OP_PAD, "2x3;[1,2]", "!ASSET each needs two", { .axis = 0 } },
        { KERB_OP_PAD, "0x3;[1,0,0,0]", "!ASSET nothing to pad with", { .pad = { KERB_PADDING_EDGE } } },
        { KERB_OP_GATHER, "5x6;i64 2x3", "2x3x6", { .axis = 0 } },
        { KERB_OP_GATHER, "[5,6,7];#-1", "[7]", { .axis = 0 } },
        { KERB_OP_GATHER, "[5,6,7];#3", "!ASSET index 3 is outside axis 0", { .axis = 0 } },
        { KERB_OP_GATHER, "5x6;[2,-7]", "!ASSET index -7 is outside axis 1, which has 6", { .axis = 1 } },
        { KERB_OP_GATHER, "5x6;[5,-6]", "5x2", { .axis = 1 } },
        { KERB_OP_GATHER, "1x1x1x1x1;i64 1x1x1x1x1", "!UNSUPPORTED 9 axes", { .axis = 0 } },
        { KERB_OP_GATHER_ELEMENTS, "5x6;i64 2x6", "2x6", { .axis = 0 } },
        { KERB_OP_GATHER_ELEMENTS, "5x6;i64 2x7", "!ASSET indices", { .axis = 0 } },
        { KERB_OP_CONSTANT_OF_SHAPE, "[2]", "{3,3}", { .fill = { KERB_F32, 3, 3 } } },
        { KERB_OP_CONSTANT_OF_SHAPE, "[100,100]", "i64 100x100", { .fill = { KERB_I64, 0, 0 } } },
        { KERB_OP_CONSTANT_OF_SHAPE, "[-1]", "!ASSET dims of 0 or more", { .fill = { KERB_I64, 0, 0 } } },
        { KERB_OP_CONSTANT_OF_SHAPE, "[65536,65536]", "!ASSET 2^31", { .fill = { KERB_I64, 0, 0 } } },
        { KERB_OP_EXPAND, "3x1;[2,1,4]", "2x3x4", { .axis = 0 } },
        { KERB_OP_EXPAND, "3x4;[1]", "3x4", { .axis = 0 } },
        { KERB_OP_EXPAND, "3x4;[2,4]", "!ASSET broadcast", { .axis = 0 } },
        { KERB_OP_TILE, "2x3;[2,0]", "4x0", { .axis = 0 } },
        { KERB_OP_TILE, "2x3;[2]", "!ASSET repeats", { .axis = 0 } },
        { KERB_OP_RANGE, "#10;#4;#-2", "[10,8,6]", { .axis = 0 } },
        { KERB_OP_RANGE, "~0;~1;~0.3", "4", { .axis = 0 } },
        { KERB_OP_RANGE, "#3;#3;#1", "[]", { .axis = 0 } },
        { KERB_OP_RANGE, "#0;#3;#0", "!ASSET too many", { .axis = 0 } },
    };
    RUN(cases);
}

/* The arithmetic that exporters write for x.view(n, -1, h / 2): everything but the Reshape is folded. */
static void test_shape_arithmetic(void **state)
{
    KerbGraph *g = net_new();
    uint32_t x = net_value(g, "1x6x8x10"), two = net_value(g, "#2");
    uint32_t shape = NODE(g, KERB_OP_SHAPE, IN(x), .axis = 0);
    uint32_t h = NODE(g, KERB_OP_GATHER, IN(shape, net_value(g, "#2")), .axis = 0);
    uint32_t half = BINARY(g, h, two, DIV);
    uint32_t n = NODE(g, KERB_OP_UNSQUEEZE, IN(NODE(g, KERB_OP_GATHER, IN(shape, net_value(g, "#0")), .axis = 0), net_value(g, "[0]")), .axis = 0);
    uint32_t dims = NODE(g, KERB_OP_CONCAT, IN(n, net_value(g, "[-1]"), NODE(g, KERB_OP_UNSQUEEZE, IN(half, net_value(g, "[0]")), .axis = 0)), .axis = 0);
    uint32_t y = NODE(g, KERB_OP_RESHAPE, IN(x, dims), .axis = 0);
    net_set_outputs(g, IN(y));
    net_infer(g);
    assert_int_equal(g->n_nodes, 1);
    char text[64];
    assert_string_equal(kerb_dims_text(g->values[y].rank, g->values[y].dims, text, sizeof text), "1x120x4");
    kerb_graph_free(&g);
}

/* An input of an open size that was chosen badly is the chooser's fault, and the message says what to do. */
static void test_sized_models(void **state)
{
    KerbGraph *g = net_new();
    KerbError error = { 0 };
    uint32_t x = net_value(g, "1x2x5x4");
    g->values[x].symbols[2] = "height";
    uint32_t small = NODE(g, KERB_OP_MAX_POOL, IN(x), POOL(2, 2, 0, 0, 0));
    uint32_t large = NODE(g, KERB_OP_RESIZE, IN(small, NONE, net_value(g, "{1,1,2,2}")), .resize = { .mode = KERB_RESIZE_NEAREST });
    net_set_outputs(g, IN(BINARY(g, x, large, ADD)));
    assert_int_equal(kerb_graph_infer(g, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "choose another network size"));
    assert_non_null(strstr(error.message, "1x2x5x4, 1x2x4x4"));
    g->values[x].dims[2] = KERB_DIM_UNKNOWN;
    assert_int_equal(kerb_graph_infer(g, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "choose the network's size"));
    g->values[x].dims[2] = 6;
    net_infer(g);
    kerb_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),     cmocka_unit_test(test_resolved_pads),    cmocka_unit_test(test_resize),
        cmocka_unit_test(test_elementwise), cmocka_unit_test(test_reductions_and_products), cmocka_unit_test(test_reshapes),
        cmocka_unit_test(test_choosing),    cmocka_unit_test(test_shape_arithmetic), cmocka_unit_test(test_sized_models),
    };
    return cmocka_run_group_tests_name("infer", tests, NULL, NULL);
}
