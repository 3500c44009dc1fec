/* SPDX-License-Identifier: MIT */
/* ConvTranspose: lowered to a convolution and a shuffle, or found to be bilinear upsampling. Both against ref's plain ConvTranspose. */
#include "net_fixture.h"

typedef struct Deconv {
    int64_t in_h, in_w, ic, oc, group, kernel, stride, dilation, begin, end, extra; /* extra: output_padding */
} Deconv;

static KerbGraph *deconv_graph(const Deconv *d, bool prelu)
{
    KerbGraph *g = net_new();
    char x[64], w[64], b[32];
    sprintf(x, "2x%dx%dx%d", (int)d->ic, (int)d->in_h, (int)d->in_w);
    sprintf(w, "=%dx%dx%dx%d", (int)d->ic, (int)(d->oc / d->group), (int)d->kernel, (int)d->kernel);
    sprintf(b, "=%d", (int)d->oc);
    KerbConvAttrs conv = { .window = net_window(d->kernel, d->stride, d->dilation, d->begin, d->end), .group = d->group,
                           .output_padding = { d->extra, d->extra } };
    uint32_t input = net_value(g, x), weights = net_value(g, w), bias = net_value(g, b);
    if (prelu) conv.act = (KerbActivation){ .kind = KERB_ACT_PRELU, .slope = net_value(g, b) };
    net_set_outputs(g, IN(net_node(g, KERB_OP_CONV_TRANSPOSE, IN(input, weights, bias), (KerbAttrs){ .conv = conv })));
    return g;
}

static void lower_and_compare(const Deconv *d, int changes, bool prelu)
{
    KerbGraph *g = deconv_graph(d, prelu), *after = net_apply(g, IN(g->outputs[0]), "lower-conv-transpose", changes);
    kerb_graph_free(&after);
    kerb_graph_free(&g);
}

static void test_every_geometry(void **state)
{
    for (int64_t kernel = 1; kernel <= 5; kernel++)
        for (int64_t stride = 1; stride <= 3; stride++)
            for (int64_t dilation = 1; dilation <= 2; dilation++)
                for (int64_t begin = 0; begin <= kernel; begin++)
                    for (int64_t extra = 0; extra < stride; extra++) {
                        Deconv d = { 4, 5, 3, 2, 1, kernel, stride, dilation, begin, (begin + extra) % 3, extra };
                        KerbGraph *g = deconv_graph(&d, false), *after = NULL;
                        int changes = 0;
                        if (begin >= (kernel - 1) * dilation + 1) { /* no tap is left at the beginning: may stay */
                            kerb_graph_free(&g);
                            continue;
                        }
                        net_infer(g);
                        assert_int_equal(kerb_graph_clone(g, &after, NULL), KERB_OK);
                        assert_int_equal(net_pass("lower-conv-transpose")->run(after, &changes, NULL), KERB_OK);
                        net_expect_same(g, after, NET_TOLERANCE);
                        if (kernel >= stride && dilation == 1) assert_int_equal(changes, 1); /* the usual ones never stay */
                        kerb_graph_free(&after);
                        kerb_graph_free(&g);
                    }
}

static void test_shapes_of_the_usual(void **state)
{
    static const struct {
        Deconv d;
        int64_t taps;
        bool crops;
    } cases[] = {
        { { 5, 4, 6, 3, 1, 2, 2, 1, 0, 0, 0 }, 1, false }, /* U-Net: a 1x1 convolution */
        { { 5, 4, 6, 3, 1, 3, 2, 1, 1, 1, 1 }, 2, false }, /* ERFNet */
        { { 5, 4, 6, 3, 1, 4, 2, 1, 1, 1, 0 }, 2, true },  /* 2x2 taps and a crop, not 3x3 without */
        { { 5, 4, 6, 3, 1, 3, 1, 1, 1, 1, 0 }, 3, false }, /* stride 1: a convolution alone */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        KerbGraph *g = deconv_graph(&cases[i].d, false), *after = net_apply(g, IN(g->outputs[0]), "lower-conv-transpose", 1);
        assert_int_equal(net_find(after, KERB_OP_CONV)->attrs.conv.window.kernel[0], cases[i].taps);
        assert_int_equal(net_count(after, KERB_OP_SLICE), cases[i].crops);
        assert_int_equal(net_count(after, KERB_OP_DEPTH_TO_SPACE), cases[i].d.stride > 1);
        if (cases[i].d.stride > 1) assert_int_equal(after->nodes[1].op, KERB_OP_DEPTH_TO_SPACE); /* right behind the convolution */
        kerb_graph_free(&after);
        kerb_graph_free(&g);
    }
}

static void test_groups_and_slopes(void **state)
{
    lower_and_compare(&(Deconv){ 3, 4, 16, 24, 2, 3, 2, 1, 1, 1, 1 }, 1, true);
    lower_and_compare(&(Deconv){ 3, 4, 5, 4, 1, 2, 2, 1, 0, 0, 0 }, 1, true);
    lower_and_compare(&(Deconv){ 3, 4, 8, 8, 8, 4, 2, 1, 1, 1, 0 }, 0, false); /* depthwise stays */
    lower_and_compare(&(Deconv){ 3, 4, 2, 2, 1, 1, 4, 1, 0, 0, 0 }, 0, false); /* 15 of 16 weights would be 0 */
}

static void test_unlike_axes(void **state)
{
    KerbGraph *g = net_new(), *after;
    KerbWindow w = net_window(3, 2, 1, 1, 0);
    w.kernel[1] = 5;
    w.pad_begin[1] = 0;
    w.pad_end[1] = 2;
    uint32_t x = net_value(g, "1x3x4x5");
    after = net_apply(g, IN(NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, net_value(g, "=3x2x3x5")), .conv = { .window = w, .group = 1 })), "lower-conv-transpose", 1);
    kerb_graph_free(&after);
    kerb_graph_free(&g);
    g = net_new();
    w = net_window(2, 2, 1, 0, 0);
    w.stride[1] = 1;
    x = net_value(g, "1x3x4x5");
    after = net_apply(g, IN(NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, net_value(g, "=3x2x2x2")), .conv = { .window = w, .group = 1 })), "lower-conv-transpose", 0);
    kerb_graph_free(&after);
    kerb_graph_free(&g);
}

/* FCN's upsampling weights as its authors' code makes them (surgery.py, upsample_filt). */
static uint32_t bilinear_weights(KerbGraph *g, int64_t channels, int64_t k, bool depthwise, float spoil)
{
    int64_t per = depthwise ? 1 : channels, dims[4] = { channels, per, k, k };
    float *w = calloc((size_t)(channels * per * k * k), sizeof *w);
    double factor = (double)((k + 1) / 2), center = k % 2 ? factor - 1 : factor - 0.5;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t y = 0; y < k; y++)
            for (int64_t x = 0; x < k; x++)
                w[((c * per + (depthwise ? 0 : c)) * k + y) * k + x] =
                    (float)((1 - fabs((double)y - center) / factor) * (1 - fabs((double)x - center) / factor));
    w[0] += spoil;
    uint32_t id = net_constant(g, w, 4, dims);
    free(w);
    return id;
}

static void find_bilinear(int64_t k, int64_t s, int64_t begin, int64_t end, bool depthwise, float spoil, int changes, int resizes, int others)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x3x5x4"), w = bilinear_weights(g, 3, k, depthwise, spoil);
    uint32_t y = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, w), CONV(k, s, 1, begin, end, depthwise ? 3 : 1));
    after = net_apply(g, IN(y), "find-bilinear", changes);
    assert_int_equal(net_count(after, KERB_OP_RESIZE), resizes);
    if (changes) assert_int_equal(after->n_nodes, resizes + others);
    kerb_graph_free(&after);
    kerb_graph_free(&g);
}

static void test_bilinear(void **state)
{
    find_bilinear(4, 2, 1, 1, false, 0, 1, 1, 0); /* the usual: a Resize alone */
    find_bilinear(4, 2, 1, 1, true, 0, 1, 1, 0);
    find_bilinear(16, 8, 4, 4, false, 0, 1, 1, 0);
    find_bilinear(5, 3, 1, 1, false, 0, 1, 1, 0); /* odd: k = 2s - 1 */
    find_bilinear(4, 2, 0, 0, false, 0, 1, 1, 2); /* FCN as published: no pads. Pad, Resize, Slice */
    find_bilinear(4, 2, 0, 2, false, 0, 1, 1, 2);
    find_bilinear(8, 4, 5, 3, true, 0, 1, 1, 1);  /* a crop: Resize, Slice */
    find_bilinear(4, 2, 1, 1, false, 1e-3f, 0, 0, 0); /* trained away from it */
    find_bilinear(6, 3, 1, 1, false, 0, 0, 0, 0);     /* k = 2s of an odd s lies between Resize's samples */
}

static void test_not_bilinear(void **state)
{
    KerbGraph *g = net_new(), *after;
    uint32_t x = net_value(g, "1x3x5x4"), w = bilinear_weights(g, 3, 4, false, 0);
    uint32_t biased = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, w, net_value(g, "{0,0.5,0}")), CONV(4, 2, 1, 1, 1, 1));
    uint32_t mixed = NODE(g, KERB_OP_CONV_TRANSPOSE, IN(x, net_value(g, "=3x3x4x4")), CONV(4, 2, 1, 1, 1, 1));
    after = net_apply(g, IN(biased, mixed), "find-bilinear", 0);
    kerb_graph_free(&after);
    kerb_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_geometry), cmocka_unit_test(test_shapes_of_the_usual), cmocka_unit_test(test_groups_and_slopes),
        cmocka_unit_test(test_unlike_axes),    cmocka_unit_test(test_bilinear),            cmocka_unit_test(test_not_bilinear),
    };
    return cmocka_run_group_tests_name("lower", tests, NULL, NULL);
}
