/* SPDX-License-Identifier: MIT */
/* Checks of the convolutions: depthwise and direct, all kinds, against the reference's. */
#include "kernel_case.h"

#include <math.h>
#include <stdlib.h>

typedef struct ConvCase {
    KerbDtype type, to;
    int c, k, group, h, w;
    int kernel[2], stride[2], dilation[2], pad[2], pad_end[2];
    bool transposed, bias, residual;
    int act;
    CaseLayout layout;
} ConvCase;

static int conv_output(const ConvCase *p, int axis)
{
    int in = axis ? p->w : p->h, reach = (p->kernel[axis] - 1) * p->dilation[axis] + 1, pads = p->pad[axis] + p->pad_end[axis];
    if (p->transposed) return (in - 1) * p->stride[axis] + reach - pads;
    return in + pads < reach ? 0 : (in + pads - reach) / p->stride[axis] + 1;
}

static KerbNode conv_node(const ConvCase *p, const KerbActivation *act)
{
    KerbNode node = { .op = p->transposed ? KERB_OP_CONV_TRANSPOSE : KERB_OP_CONV };
    node.attrs.conv = (KerbConvAttrs){ .group = p->group, .act = *act, .window.n = 2 };
    for (int i = 0; i < 2; i++) {
        node.attrs.conv.window.kernel[i] = p->kernel[i];
        node.attrs.conv.window.stride[i] = p->stride[i];
        node.attrs.conv.window.dilation[i] = p->dilation[i];
        node.attrs.conv.window.pad_begin[i] = p->pad[i];
        node.attrs.conv.window.pad_end[i] = p->pad_end[i];
    }
    return node;
}

static ConvCase random_case(Case *c, int i, bool transposed)
{
    ConvCase p = {.type = case_floats[i % 3],
                  .to = case_floats[i % 3],
                  .h = case_pick(c, 1, 9),
                  .w = case_pick(c, 1, 11),
                  .transposed = transposed,
                  .bias = i % 2,
                  .residual = i % 3 == 0,
                  .act = i % CASE_ACTIVATIONS,
                  .layout = (CaseLayout)(i / 3 % CASE_LAYOUTS)};
    for (int axis = 0; axis < 2; axis++) {
        p.kernel[axis] = case_pick(c, 1, 5);
        p.stride[axis] = case_pick(c, 1, 3);
        p.dilation[axis] = case_pick(c, 1, 3);
        p.pad[axis] = case_pick(c, 0, 3);
        p.pad_end[axis] = case_pick(c, 0, 3);
    }
    return p;
}

/* What both kernels' checks share. */
typedef struct ConvTensors {
    CaseTensor *x, *w, *bias, *z, *y;
    KerbActivation act;
    KerbFused fused;
} ConvTensors;

static ConvTensors conv_tensors(Case *c, const ConvCase *p, double reach)
{
    int oh = conv_output(p, 0), ow = conv_output(p, 1);
    const int64_t dims[4] = { p->transposed ? p->c : p->k, (p->transposed ? p->k : p->c) / p->group, p->kernel[0], p->kernel[1] };
    ConvTensors t = { .act = case_activation(c, p->act, p->k) };
    t.x = case_picture(c, p->type, p->c, p->h, p->w, p->layout);
    t.y = case_picture(c, p->to, p->k, oh, ow, (CaseLayout)((p->layout + 1) % CASE_LAYOUTS));
    t.w = case_dense(c, p->type, 4, dims);
    t.bias = p->bias ? case_vector(c, KERB_F32, p->k) : NULL;
    t.z = p->residual ? case_picture(c, p->to, p->k, oh, ow, p->layout) : NULL;
    t.fused = case_fused(c, &t.act);
    case_fill(c, t.x, -reach, reach);
    case_fill(c, t.w, -reach, reach);
    if (t.bias) case_fill(c, t.bias, -reach, reach);
    if (t.z) case_fill(c, t.z, -1, 1);
    return t;
}

/* ---- depthwise */

static CaseTensor *depthwise_weights(Case *c, const ConvCase *p, const ConvTensors *t, int *pitch)
{
    int taps = p->kernel[0] * p->kernel[1];
    *pitch = (p->k + 7) / 8 * 8;
    CaseTensor *w = case_vector(c, KERB_F32, taps * *pitch);
    memset(w->view.data, 0, (size_t)(taps * *pitch) * sizeof(float));
    for (int tap = 0; tap < taps; tap++)
        for (int k = 0; k < p->k; k++) ((float *)w->view.data)[tap * *pitch + k] = (float)kerb_tensor_get(&t->w->view, k * taps + tap);
    return w;
}

static KerbDepthwiseArgs depthwise_args(Case *c, const ConvCase *p, const ConvTensors *t)
{
    KerbDepthwiseArgs args = {.x = case_as_picture(c, t->x),
                              .z = case_as_picture(c, t->z),
                              .y = case_as_picture(c, t->y),
                              .multiplier = p->k / p->c,
                              .bias = t->bias ? case_data(c, t->bias) : NULL,
                              .act = t->fused,
                              .z_scale = 1,
                              .y_scale = 1};
    for (int i = 0; i < 2; i++)
        args.kernel[i] = p->kernel[i], args.stride[i] = p->stride[i], args.dilation[i] = p->dilation[i], args.pad[i] = p->pad[i];
    args.w = case_data(c, depthwise_weights(c, p, t, &args.w_pitch));
    return args;
}

static void check_depthwise(Case *c, int i)
{
    ConvCase p = random_case(c, i, false);
    p.c = p.group = case_channels[i % 5];
    p.k = p.c * (i % 7 == 3 ? 2 : i % 7 == 5 ? 3 : 1);
    if (i % 2) p.stride[1] = p.dilation[1] = 1, p.kernel[1] = i % 4 == 1 ? 3 : 5;
    if (i % 5 == 0) p.to = KERB_F32;
    if (p.residual && p.k > 64) p.act = 1;
    case_begin(c, "depthwise %d x %d, kernel %dx%d, stride %d,%d, dilation %d,%d, %dx%d %s", p.c, p.k / p.c, p.kernel[0], p.kernel[1],
               p.stride[0], p.stride[1], p.dilation[0], p.dilation[1], p.w, p.h, kerb_dtype_name(p.type));
    if (conv_output(&p, 0) < 1 || conv_output(&p, 1) < 1) return;
    ConvTensors t = conv_tensors(c, &p, 1);
    KerbDepthwiseArgs args = depthwise_args(c, &p, &t);
    case_launch_depthwise(c, &args);
    KerbNode node = conv_node(&p, &t.act);
    CaseTensor *const inputs[] = { t.x, t.w, t.bias, t.z };
    case_expect(c, &node, 4, inputs, t.y, CASE_SUMMED);
}

/* i8 in and out: the sum is exact, scale and rounding are checked to one step. */
static KerbTensor quantised(Case *c, KerbNode *node, const ConvTensors *t, const float *scale, float y_scale)
{
    KerbActivation act = node->attrs.conv.act;
    CaseTensor *const inputs[] = { t->x, t->w };
    node->attrs.conv.act.kind = KERB_ACT_NONE;
    KerbTensor sums = case_reference(c, node, 2, inputs, KERB_F32, 4, t->y->view.dims);
    int64_t plane = sums.dims[2] * sums.dims[3];
    for (int64_t i = 0; i < kerb_tensor_elements(&sums); i++) {
        double v = kerb_tensor_get(&sums, i) * (double)scale[i / plane] + (t->bias ? kerb_tensor_get(&t->bias->view, i / plane) : 0);
        if (act.kind == KERB_ACT_CLIP) v = fmin(fmax(v, (double)act.lo), (double)act.hi);
        kerb_tensor_set(&sums, i, fmin(fmax(rint(v * (double)y_scale), -128), 127));
    }
    return sums;
}

static void check_i8(Case *c, int i, bool depthwise)
{
    ConvCase p = random_case(c, i, false);
    const float y_scale = 60;
    p.type = p.to = KERB_I8;
    p.c = case_channels[i % 5];
    p.group = depthwise ? p.c : 1;
    p.k = depthwise ? p.c : case_channels[i / 5 % 5];
    p.residual = false;
    p.act = i % 2;
    case_begin(c, "%s i8 %d -> %d, kernel %dx%d", depthwise ? "depthwise" : "conv", p.c, p.k, p.kernel[0], p.kernel[1]);
    if (conv_output(&p, 0) < 1 || conv_output(&p, 1) < 1) return;
    ConvTensors t = conv_tensors(c, &p, 127);
    CaseTensor *scale = case_vector(c, KERB_F32, p.k);
    case_fill(c, scale, 1e-5, 1e-4);
    if (t.bias) case_fill(c, t.bias, -0.5, 0.5);
    KerbNode node = conv_node(&p, &t.act);
    if (depthwise) {
        KerbDepthwiseArgs args = depthwise_args(c, &p, &t);
        args.scale = case_data(c, scale);
        args.y_scale = y_scale;
        case_launch_depthwise(c, &args);
    } else {
        KerbConvArgs args = {.x = case_as_picture(c, t.x),
                             .y = case_as_picture(c, t.y),
                             .w = case_data(c, t.w),
                             .w_type = KERB_I8,
                             .w_out = t.w->view.strides[0],
                             .w_in = t.w->view.strides[1],
                             .w_row = t.w->view.strides[2],
                             .w_column = t.w->view.strides[3],
                             .scale = case_data(c, scale),
                             .bias = t.bias ? case_data(c, t.bias) : NULL,
                             .act = t.fused,
                             .z_scale = 1,
                             .y_scale = y_scale,
                             .group = 1};
        for (int axis = 0; axis < 2; axis++)
            args.kernel[axis] = p.kernel[axis], args.stride[axis] = p.stride[axis], args.dilation[axis] = p.dilation[axis],
            args.pad[axis] = p.pad[axis];
        case_launch_conv(c, &args);
    }
    KerbTensor expected = quantised(c, &node, &t, scale->view.data, y_scale);
    case_expect_tensor(c, t.y, &expected, CASE_ROUNDED);
    free(expected.data);
}

/* ---- direct */

/* The weights with their axes in another order in memory: 0 as ONNX has them, 1 channels innermost (KRSC), 2 outputs innermost. */
static CaseTensor *conv_weights(Case *c, const ConvCase *p, const ConvTensors *t, int order, int64_t strides[4])
{
    static const int orders[3][4] = { { 0, 1, 2, 3 }, { 0, 2, 3, 1 }, { 1, 2, 3, 0 } };
    int64_t stride = 1;
    for (int i = 3; i >= 0; i--) {
        strides[orders[order][i]] = stride;
        stride *= t->w->view.dims[orders[order][i]];
    }
    CaseTensor *w = case_vector(c, p->type, (int)stride);
    KerbTensor view = t->w->view;
    view.data = w->view.data;
    memcpy(view.strides, strides, sizeof(int64_t) * 4);
    kerb_tensor_copy(&view, &t->w->view);
    return w;
}

static void check_conv(Case *c, int i, bool transposed)
{
    static const int groups[] = { 1, 1, 1, 2, 3, 1, 4 };
    ConvCase p = random_case(c, i, transposed);
    p.group = groups[i % 7];
    p.c = p.group * case_channels[i % 5] % 80;
    p.k = p.group * case_channels[(i / 2 + 1) % 5];
    if (p.c < p.group) p.c = p.group;
    p.c = p.c / p.group * p.group;
    p.residual = p.residual && !transposed;
    if (p.k > 64 && p.act == 2) p.act = 1;
    case_begin(c, "conv%s %d -> %d by %d, kernel %dx%d, stride %d,%d, dilation %d,%d, %dx%d %s", transposed ? " transposed" : "", p.c, p.k,
               p.group, p.kernel[0], p.kernel[1], p.stride[0], p.stride[1], p.dilation[0], p.dilation[1], p.w, p.h,
               kerb_dtype_name(p.type));
    if (conv_output(&p, 0) < 1 || conv_output(&p, 1) < 1) return;
    ConvTensors t = conv_tensors(c, &p, 1);
    int64_t strides[4];
    CaseTensor *w = conv_weights(c, &p, &t, i % 3, strides);
    KerbConvArgs args = {.x = case_as_picture(c, t.x),
                         .z = case_as_picture(c, t.z),
                         .y = case_as_picture(c, t.y),
                         .w = case_data(c, w),
                         .w_type = (int32_t)p.type,
                         .w_out = strides[transposed],
                         .w_in = strides[!transposed],
                         .w_row = strides[2],
                         .w_column = strides[3],
                         .bias = t.bias ? case_data(c, t.bias) : NULL,
                         .act = t.fused,
                         .z_scale = 1,
                         .y_scale = 1,
                         .group = p.group,
                         .transposed = transposed};
    for (int axis = 0; axis < 2; axis++)
        args.kernel[axis] = p.kernel[axis], args.stride[axis] = p.stride[axis], args.dilation[axis] = p.dilation[axis],
        args.pad[axis] = p.pad[axis];
    case_launch_conv(c, &args);
    KerbNode node = conv_node(&p, &t.act);
    CaseTensor *const inputs[] = { t.x, t.w, t.bias, t.z };
    case_expect(c, &node, transposed ? 3 : 4, inputs, t.y, CASE_SUMMED);
}

void kernel_cases_conv(Case *c)
{
    for (int i = 0; i < 140; i++) check_depthwise(c, i);
    for (int i = 0; i < 140; i++) check_conv(c, i, false);
    for (int i = 0; i < 80; i++) check_conv(c, i, true);
    for (int i = 0; i < 40; i++) check_i8(c, i, i % 2);
}
