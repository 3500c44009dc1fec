/* SPDX-License-Identifier: MIT */
/* Checks of the kernels over pictures: finish, resize, shuffle, local response and instance normalisation. */
#include "kernel_case.h"

#include <math.h>
#include <stdlib.h>

/* ---- finish: the reference is a depthwise 1x1 convolution with scale as weights */

static KerbNode finish_node(const KerbActivation *act, int channels)
{
    KerbNode node = { .op = KERB_OP_CONV };
    node.attrs.conv = (KerbConvAttrs){ .group = channels, .act = *act };
    node.attrs.conv.window.n = 2;
    for (int i = 0; i < 2; i++)
        node.attrs.conv.window.kernel[i] = node.attrs.conv.window.stride[i] = node.attrs.conv.window.dilation[i] = 1;
    return node;
}

static void check_finish(Case *c, KerbDtype from, KerbDtype to, int channels, CaseLayout layout, int index)
{
    int h = case_pick(c, 1, 7), w = case_pick(c, 1, 9);
    case_begin(c, "finish %s -> %s, %d channels, layout %d, activation %d", kerb_dtype_name(from), kerb_dtype_name(to), channels,
               (int)layout, index);
    KerbActivation act = case_activation(c, index, channels);
    CaseTensor *x = case_picture(c, from, channels, h, w, layout),
               *z = index % 3 ? case_picture(c, to, channels, h, w, (CaseLayout)((layout + 1) % CASE_LAYOUTS)) : NULL;
    CaseTensor *y = case_picture(c, to, channels, h, w, (CaseLayout)(index % CASE_LAYOUTS));
    CaseTensor *scale = case_dense(c, KERB_F32, 4, (const int64_t[]){channels, 1, 1, 1}),
               *bias = index % 2 ? NULL : case_vector(c, KERB_F32, channels);
    case_fill(c, x, -2, 2);
    if (index == 3) case_salt(c, x);
    if (z) case_fill(c, z, -1, 1);
    case_fill(c, scale, -1, 1);
    if (bias) case_fill(c, bias, -1, 1);
    KerbFinishArgs args = {.x = case_as_picture(c, x),
                           .z = case_as_picture(c, z),
                           .y = case_as_picture(c, y),
                           .scale = case_data(c, scale),
                           .bias = bias ? case_data(c, bias) : NULL,
                           .act = case_fused(c, &act),
                           .z_scale = 1,
                           .y_scale = 1};
    case_launch_finish(c, &args);
    KerbNode node = finish_node(&act, channels);
    CaseTensor *const inputs[] = { x, scale, bias, z };
    case_expect(c, &node, 4, inputs, y, CASE_SUMMED);
}

/* i8 -> i8 with a residual of i8: what int8 chains do. */
static void check_finish_i8(Case *c, int channels, CaseLayout layout, int index)
{
    const float z_scale = 0.037f, y_scale = 21.0f;
    case_begin(c, "finish i8, %d channels, layout %d", channels, (int)layout);
    KerbActivation act = case_activation(c, index, channels);
    CaseTensor *x = case_picture(c, KERB_I8, channels, 3, 5, layout), *z = case_picture(c, KERB_I8, channels, 3, 5, layout);
    CaseTensor *y = case_picture(c, KERB_I8, channels, 3, 5, CASE_WHOLE),
               *scale = case_dense(c, KERB_F32, 4, (const int64_t[]){channels, 1, 1, 1});
    case_fill(c, x, -128, 127);
    case_fill(c, z, -128, 127);
    case_fill(c, scale, 0.01, 0.1);
    KerbFinishArgs args = {.x = case_as_picture(c, x),
                           .z = case_as_picture(c, z),
                           .y = case_as_picture(c, y),
                           .scale = case_data(c, scale),
                           .act = case_fused(c, &act),
                           .z_scale = z_scale,
                           .y_scale = y_scale};
    case_launch_finish(c, &args);
    CaseTensor *zf = case_dense(c, KERB_F32, 4, y->view.dims);
    for (int64_t i = 0; i < kerb_tensor_elements(&z->view); i++)
        kerb_tensor_set(&zf->view, i, kerb_tensor_get(&z->view, i) * (double)z_scale);
    memcpy(zf->before, zf->image, zf->bytes);
    KerbNode node = finish_node(&act, channels);
    CaseTensor *const inputs[] = { x, scale, NULL, zf };
    KerbTensor expected = case_reference(c, &node, 4, inputs, KERB_F32, 4, y->view.dims);
    for (int64_t i = 0; i < kerb_tensor_elements(&expected); i++)
        kerb_tensor_set(&expected, i, fmin(fmax(rint(kerb_tensor_get(&expected, i) * (double)y_scale), -128), 127));
    case_expect_tensor(c, y, &expected, CASE_ROUNDED);
    free(expected.data);
}

/* ---- resize */

typedef struct ResizeCase {
    KerbResizeMode mode;
    KerbCoordinates coordinates;
    KerbNearest nearest;
    double scale_h, scale_w; /* 0: out / in */
    bool antialias, exclude_outside, zero_border, roi;
} ResizeCase;

static CaseTensor *resize_table(Case *c, const KerbResizeAttrs *attrs, int axis, int in, int out, const double roi[2], int32_t *taps)
{
    *taps = kerb_resize_taps(attrs, axis, in, out, roi[0], roi[1]);
    if (*taps < 1) {
        case_fail(c, "no taps");
        return NULL;
    }
    CaseTensor *table = case_vector(c, KERB_U8, out * *taps * (int)sizeof(KerbResizeTap));
    kerb_resize_table(attrs, axis, in, out, roi[0], roi[1], table->view.data);
    return table;
}

static void check_resize(Case *c, const ResizeCase *r, KerbDtype type, int channels, CaseLayout layout)
{
    int h = case_pick(c, 1, 9), w = case_pick(c, 1, 9);
    double scale[2] = { r->scale_h, r->scale_w };
    int oh = scale[0] > 0 ? (int)(h * scale[0]) : case_pick(c, 1, 20), ow = scale[1] > 0 ? (int)(w * scale[1]) : case_pick(c, 1, 20);
    case_begin(c, "resize mode %d, coordinates %d, nearest %d, %dx%d -> %dx%d, %d channels %s", (int)r->mode, (int)r->coordinates,
               (int)r->nearest, w, h, ow, oh, channels, kerb_dtype_name(type));
    if (oh < 1 || ow < 1) return;
    KerbNode node = { .op = KERB_OP_RESIZE };
    KerbResizeAttrs *attrs = &node.attrs.resize;
    *attrs = (KerbResizeAttrs){.mode = r->mode,
                               .coordinates = r->coordinates,
                               .nearest = r->nearest,
                               .antialias = r->antialias,
                               .exclude_outside = r->exclude_outside,
                               .zero_border = r->zero_border,
                               .cubic_a = -0.75f,
                               .extrapolation = 3.5f,
                               .scale = {1, 1, scale[0] > 0 ? scale[0] : (double)oh / h, scale[1] > 0 ? scale[1] : (double)ow / w}};
    double ends[2][2] = { { 0, 1 }, { 0, 1 } };
    CaseTensor *roi = NULL;
    if (r->roi) {
        roi = case_vector(c, KERB_F32, 8);
        const float values[8] = { 0, 0, 0.125f, -0.25f, 1, 1, 0.75f, 1.25f };
        memcpy(roi->view.data, values, sizeof values);
        ends[0][0] = 0.125, ends[0][1] = 0.75, ends[1][0] = -0.25, ends[1][1] = 1.25;
    }
    CaseTensor *x = case_picture(c, type, channels, h, w, layout),
               *y = case_picture(c, type, channels, oh, ow, (CaseLayout)((layout + 1) % CASE_LAYOUTS));
    case_fill(c, x, -1, 1);
    KerbResizeArgs args = { .x = case_as_picture(c, x), .y = case_as_picture(c, y), .extrapolation = attrs->extrapolation };
    CaseTensor *rows = resize_table(c, attrs, 2, h, oh, ends[0], &args.row_taps),
               *columns = resize_table(c, attrs, 3, w, ow, ends[1], &args.column_taps);
    if (!rows || !columns) return;
    args.rows = case_data(c, rows);
    args.columns = case_data(c, columns);
    case_launch_resize(c, &args);
    CaseTensor *const inputs[] = { x, roi };
    case_expect(c, &node, 2, inputs, y, r->mode == KERB_RESIZE_NEAREST ? CASE_EXACT : CASE_SUMMED);
}

static void check_resizes(Case *c)
{
    int i = 0;
    for (int mode = KERB_RESIZE_NEAREST; mode <= KERB_RESIZE_CUBIC; mode++) {
        for (int coordinates = KERB_COORD_HALF_PIXEL; coordinates <= KERB_COORD_TF_CROP_AND_RESIZE; coordinates++) {
            for (int repeat = 0; repeat < 8; repeat++, i++) {
                ResizeCase r = {.mode = (KerbResizeMode)mode,
                                .coordinates = (KerbCoordinates)coordinates,
                                .nearest = (KerbNearest)(repeat % 4),
                                .roi = coordinates == KERB_COORD_TF_CROP_AND_RESIZE,
                                .exclude_outside = repeat == 5,
                                .antialias = repeat == 6 && mode != KERB_RESIZE_NEAREST,
                                .zero_border = repeat == 7 && mode == KERB_RESIZE_LINEAR,
                                .scale_h = repeat == 1   ? 2
                                           : repeat == 2 ? 1.7
                                           : repeat == 6 ? 0.4
                                                         : 0,
                                .scale_w = repeat == 1   ? 2
                                           : repeat == 3 ? 0.6
                                                         : 0};
                check_resize(c, &r, case_floats[i % 3], case_channels[i % 5], (CaseLayout)(i % CASE_LAYOUTS));
            }
        }
    }
}

/* ---- shuffle */

static void check_shuffle(Case *c, KerbShuffleKind kind, int block, KerbDtype type, int channels, CaseLayout layout)
{
    int h = case_pick(c, 1, 5), w = case_pick(c, 1, 5);
    bool deep = kind == KERB_SHUFFLE_TO_DEPTH;
    case_begin(c, "shuffle kind %d, block %d, %d channels %s", (int)kind, block, channels, kerb_dtype_name(type));
    CaseTensor *x = deep ? case_picture(c, type, channels, h * block, w * block, layout)
                         : case_picture(c, type, channels * block * block, h, w, layout);
    CaseLayout to = (CaseLayout)((layout + 1) % CASE_LAYOUTS);
    CaseTensor *y =
        deep ? case_picture(c, type, channels * block * block, h, w, to) : case_picture(c, type, channels, h * block, w * block, to);
    case_fill(c, x, -1, 1);
    KerbShuffleArgs args = { .x = case_as_picture(c, x), .y = case_as_picture(c, y), .kind = (int32_t)kind, .block = block };
    case_launch_shuffle(c, &args);
    KerbNode node = { .op = deep ? KERB_OP_SPACE_TO_DEPTH : KERB_OP_DEPTH_TO_SPACE };
    node.attrs.block.size = block;
    node.attrs.block.crd = kind == KERB_SHUFFLE_CRD;
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_EXACT);
}

/* Cropped as lower_conv_transpose does: against the whole shuffle's reference. */
static void check_shuffle_crop(Case *c, KerbShuffleKind kind, int block, int channels)
{
    int h = 4, w = 5, top = case_pick(c, 0, block - 1), left = case_pick(c, 0, block - 1), oh = h * block - top - 1, ow = w * block - left;
    case_begin(c, "shuffle kind %d, block %d, crop %d,%d", (int)kind, block, top, left);
    CaseTensor *x = case_picture(c, KERB_F16, channels * block * block, h, w, CASE_WHOLE),
               *y = case_picture(c, KERB_F16, channels, oh, ow, CASE_WHOLE);
    case_fill(c, x, -1, 1);
    KerbShuffleArgs args = {
        .x = case_as_picture(c, x), .y = case_as_picture(c, y), .kind = (int32_t)kind, .block = block, .crop = {top, left}};
    case_launch_shuffle(c, &args);
    KerbNode node = { .op = KERB_OP_DEPTH_TO_SPACE };
    node.attrs.block.size = block;
    node.attrs.block.crd = kind == KERB_SHUFFLE_CRD;
    CaseTensor *const inputs[] = { x };
    KerbTensor whole = case_reference(c, &node, 1, inputs, KERB_F16, 4, (const int64_t[]){1, channels, h * block, w * block}), part = whole;
    part.data = (uint16_t *)whole.data + top * whole.strides[2] + left * whole.strides[3];
    part.dims[2] = oh;
    part.dims[3] = ow;
    case_expect_tensor(c, y, &part, CASE_EXACT);
    free(whole.data);
}

/* ---- normalisation */

static void check_lrn(Case *c, KerbDtype type, int channels, int size)
{
    case_begin(c, "lrn %d of %d channels %s", size, channels, kerb_dtype_name(type));
    CaseTensor *x = case_picture(c, type, channels, 3, 5, CASE_SLICE), *y = case_picture(c, type, channels, 3, 5, CASE_WHOLE);
    case_fill(c, x, -3, 3);
    KerbLrnArgs args = { .x = case_as_picture(c, x), .y = case_as_picture(c, y), .size = size, .alpha = 0.5f, .beta = 0.75f, .bias = 1 };
    case_launch_lrn(c, &args);
    KerbNode node = { .op = KERB_OP_LRN };
    node.attrs.lrn.alpha = 0.5f, node.attrs.lrn.beta = 0.75f, node.attrs.lrn.bias = 1, node.attrs.lrn.size = size;
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_SUMMED);
}

static void check_instance_norm(Case *c, KerbDtype type, int channels, int h, int w)
{
    if (!c->device) return; /* several launches: the runtime's only */
    CaseRecord *record = c->record;
    case_begin(c, "instance norm of %d channels %dx%d %s", channels, w, h, kerb_dtype_name(type));
    CaseTensor *x = case_picture(c, type, channels, h, w, CASE_SLICE), *y = case_picture(c, type, channels, h, w, CASE_WHOLE);
    CaseTensor *gamma = case_vector(c, KERB_F32, channels), *beta = case_vector(c, KERB_F32, channels);
    KerbInstanceNormArgs args = {
        .x = case_as_picture(c, x), .y = case_as_picture(c, y), .gamma = case_data(c, gamma), .beta = case_data(c, beta), .epsilon = 1e-5f};
    size_t bytes = kerb_instance_norm_scratch(&args.x);
    void *scratch;
    case_fill(c, x, 1, 3);
    case_fill(c, gamma, -1, 1);
    case_fill(c, beta, -1, 1);
    if (cudaMalloc(&scratch, bytes) != cudaSuccess) exit(1);
    args.scratch = scratch;
    case_up(c);
    case_down(c, kerb_launch_instance_norm(&args, c->stream));
    if (cudaFree(scratch) != cudaSuccess) exit(1);
    KerbNode node = { .op = KERB_OP_INSTANCE_NORM };
    node.attrs.norm.epsilon = 1e-5f;
    CaseTensor *const inputs[] = { x, gamma, beta };
    c->record = NULL;
    case_expect(c, &node, 3, inputs, y, CASE_SUMMED);
    c->record = record;
}

void kernel_cases_picture(Case *c)
{
    for (int i = 0; i < 120; i++)
        check_finish(c, case_floats[i % 3], case_floats[i / 3 % 3], case_channels[i % 5], (CaseLayout)(i / 5 % CASE_LAYOUTS),
                     i % CASE_ACTIVATIONS);
    for (int i = 0; i < 15; i++) check_finish_i8(c, case_channels[i % 5], (CaseLayout)(i / 5), i % 3);
    check_resizes(c);
    for (int i = 0; i < 60; i++)
        check_shuffle(c, (KerbShuffleKind)(i % 3), case_pick(c, 1, 4), case_floats[i / 3 % 3], case_channels[i % 5],
                      (CaseLayout)(i / 5 % CASE_LAYOUTS));
    for (int i = 0; i < 10; i++) check_shuffle_crop(c, (KerbShuffleKind)(i % 2), 2 + i % 3, case_channels[i % 5]);
    for (int i = 0; i < 15; i++) check_lrn(c, case_floats[i % 3], case_channels[i % 5], 1 + i % 6);
    for (int i = 0; i < 9; i++) check_instance_norm(c, case_floats[i % 3], case_channels[i % 5], i % 2 ? 1 : 17, i == 4 ? 200 : 23);
}
