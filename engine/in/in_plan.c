/* SPDX-License-Identifier: MIT */
/* The in stage's parameters, checked and worked out. See in_plan.h. */
#include "in/in_plan.h"

#include <math.h>
#include <string.h>

static void kerb_in_describe_components(KerbInPlan *plan, const KerbInParams *p)
{
    static const KerbInComponent table[KERB_FORMAT_COUNT][3] = {
        [KERB_FORMAT_I420] = { { 0, 0, 1, 0 }, { 1, 0, 1, 1 }, { 2, 0, 1, 1 } },
        [KERB_FORMAT_YV12] = { { 0, 0, 1, 0 }, { 2, 0, 1, 1 }, { 1, 0, 1, 1 } },
        [KERB_FORMAT_NV12] = { { 0, 0, 1, 0 }, { 1, 0, 2, 1 }, { 1, 1, 2, 1 } },
        [KERB_FORMAT_NV21] = { { 0, 0, 1, 0 }, { 1, 1, 2, 1 }, { 1, 0, 2, 1 } },
        [KERB_FORMAT_YUY2] = { { 0, 0, 2, 0 }, { 0, 1, 4, 1 }, { 0, 3, 4, 1 } },
        [KERB_FORMAT_UYVY] = { { 0, 1, 2, 0 }, { 0, 0, 4, 1 }, { 0, 2, 4, 1 } },
        [KERB_FORMAT_RGB] = { { 0, 0, 3, 0 }, { 0, 1, 3, 0 }, { 0, 2, 3, 0 } },
        [KERB_FORMAT_BGR] = { { 0, 2, 3, 0 }, { 0, 1, 3, 0 }, { 0, 0, 3, 0 } },
        [KERB_FORMAT_RGBX] = { { 0, 0, 4, 0 }, { 0, 1, 4, 0 }, { 0, 2, 4, 0 } },
        [KERB_FORMAT_BGRX] = { { 0, 2, 4, 0 }, { 0, 1, 4, 0 }, { 0, 0, 4, 0 } },
        [KERB_FORMAT_RGBA] = { { 0, 0, 4, 0 }, { 0, 1, 4, 0 }, { 0, 2, 4, 0 } },
        [KERB_FORMAT_BGRA] = { { 0, 2, 4, 0 }, { 0, 1, 4, 0 }, { 0, 0, 4, 0 } },
        [KERB_FORMAT_GRAY8] = { { 0, 0, 1, 0 } },
    };
    KerbPixelFormat format = p->format.pixel_format;
    memcpy(plan->components, table[format], sizeof plan->components);
    plan->n_components = format == KERB_FORMAT_GRAY8 ? 1 : 3;
    plan->n_axes = kerb_format_is_yuv(format) ? 2 : 1;
}

static void kerb_in_fold_colour(KerbInPlan *plan, const KerbInParams *p)
{
    static const int rgb_order[3] = { 0, 1, 2 }, bgr_order[3] = { 2, 1, 0 };
    static const float no_mean[3] = { 0, 0, 0 }, no_std[3] = { 1, 1, 1 };
    float matrix[3][4];
    kerb_yuv_to_rgb_matrix(&p->format, matrix);
    plan->to_gray = p->color == KERB_COLOR_GRAY;
    if (plan->to_gray)
        plan->fold = kerb_in_fold(matrix, rgb_order, no_mean, no_std);
    else
        plan->fold = kerb_in_fold(matrix, p->color == KERB_COLOR_BGR ? bgr_order : rgb_order, p->mean, p->std);
    plan->gray_scale = 1 / p->std[0];
    plan->gray_bias = -p->mean[0] / p->std[0];
}

static KerbStatus kerb_in_check(const KerbInParams *p, KerbError *error)
{
    KerbStatus status = kerb_video_format_check(&p->format, error);
    if (status != KERB_OK) return status;
    const KerbTensor *t = &p->input;
    const KerbGeometry *g = &p->geometry;
    char dims[128];
    if (p->color != KERB_COLOR_RGB && p->color != KERB_COLOR_BGR && p->color != KERB_COLOR_GRAY)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "network colour %d is not RGB, BGR or GRAY", (int)p->color);
    int channels = p->color == KERB_COLOR_GRAY ? 1 : 3;
    if (t->rank != 4 || t->dims[0] != 1 || t->dims[1] != channels || t->dims[2] < 1 || t->dims[3] < 1)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "network input %s cannot take a picture: 1x%dxHxW is needed",
                         kerb_dims_text(t->rank, t->dims, dims, sizeof dims), channels);
    for (int i = 1; i < 4; i++)
        if (t->dims[i] > 1 && t->strides[i] < 1)
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "network input has stride %lld on axis %d", (long long)t->strides[i], i);
    if (g->frame_width_px != p->format.width_px || g->frame_height_px != p->format.height_px || g->net_width_px != t->dims[3] ||
        g->net_height_px != t->dims[2] || g->net_x0 < 0 || g->net_x1 <= g->net_x0 || g->net_x1 > g->net_width_px || g->net_y0 < 0 ||
        g->net_y1 <= g->net_y0 || g->net_y1 > g->net_height_px || !(g->scale_x > 0) || !(g->scale_y > 0) ||
        !(g->scale_x <= KERB_MAX_SIDE_PX) || !(g->scale_y <= KERB_MAX_SIDE_PX) || !(fabs(g->offset_x) < 1e9) || !(fabs(g->offset_y) < 1e9))
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "geometry of %d x %d to %d x %d does not belong to frames of %d x %d and input %s",
                         g->frame_width_px, g->frame_height_px, g->net_width_px, g->net_height_px, p->format.width_px, p->format.height_px,
                         kerb_dims_text(t->rank, t->dims, dims, sizeof dims));
    for (int c = 0; c < channels; c++)
        if (!(p->std[c] > 0) || !isfinite(p->mean[c]) || !isfinite(p->std[c]) || !isfinite((fabsf(p->mean[c]) + 512) / p->std[c]))
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "mean %g and std %g of channel %d: std must be above 0, and both finite",
                             p->mean[c], p->std[c], c);
    return KERB_OK;
}

KerbStatus kerb_in_plan(KerbInPlan *plan, const KerbInParams *p, KerbError *error)
{
    memset(plan, 0, sizeof *plan);
    KerbStatus status = kerb_in_check(p, error);
    if (status != KERB_OK) return status;
    kerb_in_describe_components(plan, p);
    kerb_in_fold_colour(plan, p);
    const KerbGeometry *g = &p->geometry;
    int is_420 = kerb_format_is_420(p->format.pixel_format);
    for (int i = 0; i < plan->n_axes; i++) {
        plan->across[i] = kerb_in_axis_map(g->scale_x, g->offset_x, g->frame_width_px, i, p->format.chroma_site == KERB_CHROMA_LEFT);
        plan->down[i] = kerb_in_axis_map(g->scale_y, g->offset_y, g->frame_height_px, i && is_420, 0);
    }
    return KERB_OK;
}
