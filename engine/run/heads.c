/* SPDX-License-Identifier: MIT */
/* KerbHead (what the graph says) -> KerbOutHead (what the tail does). */
#include "run/heads.h"

#include <math.h>
#include <string.h>

/* One axis: the centre of cell i lies at (i + 0.5) * cell + origin, in network pixels. */
typedef struct CellAxis {
    double cell, origin;
} CellAxis;

/* Resize takes output pixel p to the input coordinate x (ONNX, Resize, coordinate_transformation_mode):
 *   half_pixel, pytorch_half_pixel  x = (p + 0.5) / scale - 0.5      asymmetric  x = p / scale
 *   align_corners                   x = p * (in - 1) / (out - 1)     symmetric   x = offset + (p + 0.5) / scale - 0.5
 * (p counts from the beginning of the resized picture; the model's output begins `crop` pixels behind it.)
 * Solved for P = p + 0.5 with the cell's centre at X = x + 0.5, P = X * step + shift; output pixels are net / out network pixels wide. */
static bool resize_axis(const KerbHead *head, int64_t in, int64_t out, double scale, int64_t crop, int net_px, CellAxis *axis)
{
    double step = scale, shift = 0, pixel = (double)net_px / (double)out;
    bool nearest = head->resize_mode == KERB_RESIZE_NEAREST;
    switch (head->coordinates) {
    case KERB_COORD_HALF_PIXEL: break;
    case KERB_COORD_PYTORCH_HALF_PIXEL:
        if (out == 1) shift = 0.5 - 0.5 * step; /* x = 0 by definition */
        break;
    case KERB_COORD_ASYMMETRIC:
        if (!nearest) shift = 0.5 - 0.5 * step; /* nearest goes with floor: pixels [i * scale, (i + 1) * scale) are cell i */
        break;
    case KERB_COORD_ALIGN_CORNERS:
        step = in > 1 && out > 1 ? (double)(out - 1) / (double)(in - 1) : (double)out;
        shift = 0.5 - 0.5 * step;
        break;
    case KERB_COORD_HALF_PIXEL_SYMMETRIC: {
        double exact = scale * (double)in, offset = (double)in / 2 * (1 - (double)out / exact);
        shift = -offset * step;
        break;
    }
    default: return false;
    }
    axis->cell = step * pixel;
    axis->origin = (shift - (double)crop) * pixel;
    return axis->cell > 0 && isfinite(axis->cell) && isfinite(axis->origin);
}

static KerbStatus map_cells(const KerbHead *head, int net_width_px, int net_height_px, KerbOutHead *out, KerbError *error)
{
    CellAxis x = { (double)net_width_px / out->width, 0 }, y = { (double)net_height_px / out->height, 0 };
    if (head->stripped_resize && (!resize_axis(head, out->width, head->out_width, head->scale_x, head->crop_x, net_width_px, &x) ||
                                  !resize_axis(head, out->height, head->out_height, head->scale_y, head->crop_y, net_height_px, &y)))
        return kerb_fail(error, KERB_ERROR_UNSUPPORTED,
                         "the upsampling at the output \"%s\" (%d x %d -> %lld x %lld) cannot be done by the tail", head->name, out->width,
                         out->height, (long long)head->out_width, (long long)head->out_height);
    out->cell_w_px = x.cell;
    out->origin_x_px = x.origin;
    out->cell_h_px = y.cell;
    out->origin_y_px = y.origin;
    return KERB_OK;
}

static KerbStatus choose_probabilities(const KerbModel *model, const KerbModelOutput *chosen, const KerbHead *head, bool *probabilities,
                                       KerbError *error)
{
    *probabilities = head->probabilities;
    int said = chosen->card ? chosen->card->probabilities : -1;
    if (said < 0 || head->kind == KERB_HEAD_LABELS) return KERB_OK;
    bool seen = head->probabilities || head->stripped_activation;
    if (!said && seen)
        return kerb_fail(error, KERB_ERROR_ASSET,
                         "%s: \"probabilities\" of the output \"%s\" is false, but %s ends it in a softmax or sigmoid", model->card->where,
                         head->name, model->path);
    if (said && !seen) *probabilities = true; /* otherwise the graph's own view holds: a softmax that was stripped leaves logits */
    return KERB_OK;
}

static KerbStatus map_head(const KerbModel *model, const KerbModelOutput *chosen, const KerbHead *head, const KerbValue *v,
                           KerbOutHead *out, KerbError *error)
{
    KerbTensor shape = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
    shape = kerb_tensor_view_nchw(&shape, head->channel_axis);
    if (shape.rank != 4 || shape.dims[0] != 1)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: the output \"%s\" has rank %d; scores of 1 x classes x height x width are expected",
                         model->path, head->name, v->rank);
    bool probabilities;
    KerbStatus status = choose_probabilities(model, chosen, head, &probabilities, error);
    if (status != KERB_OK) return status;
    *out = (KerbOutHead){ .channels = (int)shape.dims[1], .height = (int)shape.dims[2], .width = (int)shape.dims[3] };
    memcpy(out->index, chosen->index, sizeof out->index);
    out->nearest = head->stripped_resize && head->resize_mode == KERB_RESIZE_NEAREST;
    switch (head->kind) {
    case KERB_HEAD_SCORES: out->kind = probabilities ? KERB_SCORES_PROBABILITIES : KERB_SCORES_LOGITS; break;
    case KERB_HEAD_BINARY: out->kind = probabilities ? KERB_SCORES_BINARY_PROBABILITY : KERB_SCORES_BINARY_LOGIT; break;
    case KERB_HEAD_LABELS: out->kind = KERB_SCORES_LABELS; break;
    }
    out->threshold = probabilities == head->probabilities ? head->threshold : 0.5f;
    if (chosen->card && chosen->card->has_threshold) {
        float p = chosen->card->threshold;
        out->threshold = probabilities ? p : logf(p / (1 - p));
    }
    return KERB_OK;
}

KerbStatus kerb_heads_map(const KerbModel *model, const KerbGraph *built, int net_width_px, int net_height_px, KerbOutHead heads[],
                          KerbError *error)
{
    for (int i = 0; i < model->n_outputs; i++) {
        const KerbHead *head = &built->heads[i];
        KerbStatus status = map_head(model, &model->outputs[i], head, kerb_graph_value(built, head->value), &heads[i], error);
        if (status == KERB_OK) status = map_cells(head, net_width_px, net_height_px, &heads[i], error);
        if (status != KERB_OK) return status;
    }
    return KERB_OK;
}
