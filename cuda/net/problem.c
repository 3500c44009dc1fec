/* SPDX-License-Identifier: MIT */
#include "cuda/net/problem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MAX_SIDE (1 << 24) /* of a picture, kernel, pad or stride: products with a few of them stay far inside int64 */

static bool kerb_conv_no(char *why, size_t bytes, const char *text)
{
    if (why && bytes) snprintf(why, bytes, "%s", text);
    return false;
}

static bool kerb_conv_type_is_known(KerbDtype type) { return type == KERB_F32 || type == KERB_F16 || type == KERB_BF16 || type == KERB_I8; }

/* 1 x C x H x W, channels adjacent, pixels and rows in order. */
static bool kerb_conv_is_picture(const KerbTensor *t)
{
    if (!t || t->rank != 4 || t->dims[0] != 1 || !kerb_conv_type_is_known(t->dtype)) return false;
    for (int i = 1; i < 4; i++) {
        if (t->dims[i] < 1 || t->dims[i] > MAX_SIDE) return false;
    }
    if (t->dims[1] > 1 && t->strides[1] != 1) return false;
    return (t->dims[3] == 1 || t->strides[3] >= t->dims[1]) && (t->dims[2] == 1 || t->strides[2] >= t->dims[3] * t->strides[3]);
}

/* A stride along an axis of one element is anything: make it what the next axis would give, so that equal problems have equal bytes. */
static void kerb_conv_strides(const KerbTensor *t, int64_t *row, int64_t *pixel)
{
    *pixel = t->dims[3] > 1 || t->strides[3] >= t->dims[1] ? t->strides[3] : t->dims[1];
    *row = t->dims[2] > 1 || t->strides[2] >= *pixel * t->dims[3] ? t->strides[2] : *pixel * t->dims[3];
}

static bool kerb_conv_window(const KerbNode *n, const KerbValue *w, KerbConvProblem *p)
{
    const KerbWindow *win = &n->attrs.conv.window;
    if (win->n != 2 || win->auto_pad != KERB_PAD_EXPLICIT) return false;
    for (int i = 0; i < 2; i++) {
        const int64_t values[] = { w->dims[i + 2], win->stride[i], win->dilation[i], win->pad_begin[i] + 1, win->pad_end[i] + 1 };
        for (int j = 0; j < 5; j++) {
            if (values[j] < 1 || values[j] > MAX_SIDE) return false;
        }
        p->kernel[i] = (int32_t)w->dims[i + 2];
        p->stride[i] = (int32_t)win->stride[i];
        p->dilation[i] = (int32_t)win->dilation[i];
        p->pad_begin[i] = (int32_t)win->pad_begin[i];
        p->pad_end[i] = (int32_t)win->pad_end[i];
    }
    return true;
}

static void kerb_conv_activation(const KerbActivation *act, KerbConvProblem *p)
{
    p->act = act->kind;
    if (act->kind == KERB_ACT_UNARY) {
        p->unary = act->unary;
        p->alpha = act->alpha;
        p->beta = act->beta;
    } else if (act->kind == KERB_ACT_CLIP) {
        p->lo = act->lo;
        p->hi = act->hi;
    }
}

/* Channels that 16 bytes' worth of them round up to, where so many are there. */
static int32_t kerb_conv_round(int64_t channels, int there, KerbDtype type)
{
    int64_t unit = 16 / (int64_t)kerb_dtype_bytes(type), up = (channels + unit - 1) / unit * unit;
    return (int32_t)(up <= there ? up : channels);
}

bool kerb_conv_problem(const KerbGraph *g, const KerbNode *n, const KerbConvSite *site, KerbConvProblem *out, char *why, size_t why_bytes)
{
    const KerbValue *w = kerb_node_input(g, n, 1);
    const KerbTensor *x = site->x, *y = site->y, *z = site->z;
    const int64_t group = n->attrs.conv.group;
    memset(out, 0, sizeof *out);
    if (n->op != KERB_OP_CONV && n->op != KERB_OP_CONV_TRANSPOSE) return kerb_conv_no(why, why_bytes, "no convolution");
    if (!kerb_conv_is_picture(x) || !kerb_conv_is_picture(y)) return kerb_conv_no(why, why_bytes, "not one picture in and one out");
    if (z && (!kerb_conv_is_picture(z) || z->dtype != y->dtype || !kerb_tensor_same_shape(y, z)))
        return kerb_conv_no(why, why_bytes, "a residual of another shape or type");
    if (!w || w->rank != 4 || w->dims[0] < 1 || w->dims[0] > MAX_SIDE || w->dims[1] < 1 || w->dims[1] > MAX_SIDE)
        return kerb_conv_no(why, why_bytes, "weights that are not of rank 4");
    out->transposed = n->op == KERB_OP_CONV_TRANSPOSE;
    if (group < 1 || x->dims[1] % group || y->dims[1] % group) return kerb_conv_no(why, why_bytes, "groups that do not divide the channels");
    if (out->transposed ? w->dims[0] != x->dims[1] || w->dims[1] * group != y->dims[1] : w->dims[0] != y->dims[1] || w->dims[1] * group != x->dims[1])
        return kerb_conv_no(why, why_bytes, "weights that do not fit the channels");
    if (!kerb_conv_window(n, w, out)) return kerb_conv_no(why, why_bytes, "a window that is not two-dimensional, or negative pads");
    out->x_type = out->w_type = (int32_t)x->dtype;
    out->y_type = (int32_t)y->dtype;
    out->tf32 = site->tf32 && x->dtype == KERB_F32;
    out->c = (int32_t)(group > 1 ? x->dims[1] : kerb_conv_round(x->dims[1], site->x_channels, x->dtype));
    out->k = (int32_t)(group > 1 ? y->dims[1] : kerb_conv_round(y->dims[1], site->y_channels, y->dtype));
    out->h = (int32_t)x->dims[2];
    out->w = (int32_t)x->dims[3];
    out->out_h = (int32_t)y->dims[2];
    out->out_w = (int32_t)y->dims[3];
    out->group = (int32_t)group;
    kerb_conv_strides(x, &out->x_row, &out->x_pixel);
    kerb_conv_strides(y, &out->y_row, &out->y_pixel);
    if (z) kerb_conv_strides(z, &out->z_row, &out->z_pixel);
    if (z && out->k > out->z_pixel) out->k = (int32_t)y->dims[1];
    out->has_scale = x->dtype == KERB_I8;
    out->has_bias = kerb_node_input(g, n, 2) != NULL;
    out->has_z = z != NULL;
    kerb_conv_activation(&n->attrs.conv.act, out);
    out->y_scale = y->dtype == KERB_I8 ? site->y_scale : 1;
    out->z_scale = z && z->dtype == KERB_I8 ? site->z_scale : 1;
    return true;
}
