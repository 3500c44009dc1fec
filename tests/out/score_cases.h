/* SPDX-License-Identifier: MIT */
/* Heads and score tensors as networks give them, and as none does: random ones in every layout and type, blobs of classes with noise. */
#ifndef KERB_TESTS_OUT_SCORE_CASES_H
#define KERB_TESTS_OUT_SCORE_CASES_H

#include "out/out.h"
#include "out/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct KerbCase {
    KerbOutParams params;
    KerbTensor scores[KERB_MAX_HEADS];
} KerbCase;

/* KERB_LAYOUT_NHWC_EIGHTS: as devices keep them, a pixel on a multiple of 8 elements, all of them there. */
enum { KERB_LAYOUT_NCHW, KERB_LAYOUT_NHWC, KERB_LAYOUT_NHWC_PADDED, KERB_LAYOUT_GAPS, KERB_LAYOUT_NHWC_EIGHTS, KERB_LAYOUTS };

KERB_UNUSED static KerbTensor kerb_tensor_new(KerbDtype dtype, int channels, int height, int width, int layout)
{
    KerbTensor t = { .dtype = dtype, .rank = 4, .dims = { 1, channels, height, width } };
    int64_t c = channels, h = height, w = width, row = w + 3;
    int64_t padded = layout == KERB_LAYOUT_NHWC_PADDED ? c + 5 : layout == KERB_LAYOUT_NHWC_EIGHTS ? (c + 7) / 8 * 8 : c;
    if (layout == KERB_LAYOUT_NCHW) memcpy(t.strides, (int64_t[]){ c * h * w, h * w, w, 1 }, 32);
    else if (layout == KERB_LAYOUT_GAPS) memcpy(t.strides, (int64_t[]){ c * h * row, h * row, row, 1 }, 32);
    else memcpy(t.strides, (int64_t[]){ h * w * padded, 1, w * padded, padded }, 32);
    /* No byte more than the elements need, so that the address sanitizer sees a read past the end. */
    int64_t elements = (c - 1) * t.strides[1] + (h - 1) * t.strides[2] + (w - 1) * t.strides[3] + 1;
    if (layout == KERB_LAYOUT_NHWC_EIGHTS) elements = h * w * padded;
    t.data = calloc((size_t)elements, kerb_dtype_bytes(dtype));
    if (!t.data) abort();
    return t;
}

/* Blobs, so that many cells agree with their neighbours, and noise, so that not all do. */
KERB_UNUSED static void kerb_fill_scores(const KerbTensor *t, const KerbOutHead *h, KerbRandom *r)
{
    double noise = kerb_random_unit(r) * 2.0, gain = 1.0 + 8.0 * kerb_random_unit(r);
    bool probability = h->kind == KERB_SCORES_PROBABILITIES || h->kind == KERB_SCORES_BINARY_PROBABILITY;
    for (int c = 0; c < t->dims[1]; c++) {
        double cx = kerb_random_unit(r) * (double)t->dims[3], cy = kerb_random_unit(r) * (double)t->dims[2], size = 1.0 + kerb_random_unit(r) * 12.0;
        for (int y = 0; y < t->dims[2]; y++)
            for (int x = 0; x < t->dims[3]; x++) {
                double d = hypot(x - cx, y - cy) / size, s = gain * (1.0 - d) + noise * (kerb_random_unit(r) - 0.5);
                if (h->kind == KERB_SCORES_LABELS) s = kerb_random_int(r, 0, 40) ? (int)(fabs(d) * 3.0) % 7 : 255;
                else if (probability) s = 1.0 / (1.0 + exp(-s));
                kerb_tensor_set(t, ((int64_t)c * t->dims[2] + y) * t->dims[3] + x, s);
            }
    }
}

KERB_UNUSED static KerbOutHead kerb_random_head(KerbRandom *r, int index, const KerbGeometry *g)
{
    static const int channels[] = { 2, 2, 2, 3, 5, 8, 16, 19, 21, 33 };
    KerbOutHead h = { .kind = (KerbScoreKind)kerb_random_int(r, 0, KERB_SCORES_LABELS) };
    bool many = h.kind == KERB_SCORES_LOGITS || h.kind == KERB_SCORES_PROBABILITIES;
    h.channels = many ? channels[kerb_random_int(r, 0, 9)] : 1;
    int step = 1 << kerb_random_int(r, 0, 4);
    h.width = (g->net_width_px + step - 1) / step;
    h.height = (g->net_height_px + step - 1) / step;
    h.cell_w_px = h.cell_h_px = step;
    int place = kerb_random_int(r, 0, 3);
    if (place == 1) { /* align_corners: outer centres on outer centres */
        h.cell_w_px = h.width > 1 ? (g->net_width_px - 1.0) / (h.width - 1.0) : 1.0;
        h.cell_h_px = h.height > 1 ? (g->net_height_px - 1.0) / (h.height - 1.0) : 1.0;
        if (h.cell_w_px <= 0.0) h.cell_w_px = 1.0;
        if (h.cell_h_px <= 0.0) h.cell_h_px = 1.0;
        h.origin_x_px = 0.5 - 0.5 * h.cell_w_px;
        h.origin_y_px = 0.5 - 0.5 * h.cell_h_px;
    } else if (place == 2) { /* asymmetric: cell 0's centre on pixel 0's */
        h.origin_x_px = 0.5 - 0.5 * step;
        h.origin_y_px = 0.5 - 0.5 * step;
    } else if (place == 3) { /* anything */
        h.origin_x_px = 7.3 * (kerb_random_unit(r) - 0.5);
        h.cell_h_px *= 0.5 + kerb_random_unit(r);
    }
    h.nearest = !kerb_random_int(r, 0, 4);
    h.threshold = h.kind == KERB_SCORES_BINARY_PROBABILITY ? 0.4f : 0.25f;
    bool identity = kerb_random_int(r, 0, 1);
    for (int c = 0; c < KERB_MAX_CLASSES; c++) h.index[c] = (uint8_t)(identity ? c : c ? kerb_random_int(r, 0, 30) : index ? 0 : kerb_random_int(r, 0, 3));
    return h;
}

KERB_UNUSED static KerbCase kerb_random_case(KerbRandom *r)
{
    static const int sides[] = { 1, 2, 3, 5, 16, 17, 31, 48, 64, 97 };
    static const KerbDtype dtypes[] = { KERB_F32, KERB_F32, KERB_F32, KERB_BF16, KERB_F16, KERB_F64 };
    static const KerbDtype label_dtypes[] = { KERB_F32, KERB_I32, KERB_I64, KERB_U8 };
    KerbCase c = { 0 };
    KerbOutParams *p = &c.params;
    int width = kerb_random_int(r, 0, 3) ? kerb_random_int(r, 20, 150) : sides[kerb_random_int(r, 0, 9)];
    int height = kerb_random_int(r, 0, 3) ? kerb_random_int(r, 20, 90) : sides[kerb_random_int(r, 0, 9)];
    int net_width = kerb_random_int(r, 0, 3) ? kerb_random_int(r, 8, 200) : sides[kerb_random_int(r, 0, 9)];
    int net_height = kerb_random_int(r, 0, 3) ? kerb_random_int(r, 8, 90) : sides[kerb_random_int(r, 0, 9)];
    static const KerbFit fits[] = { KERB_FIT_STRETCH, KERB_FIT_LETTERBOX, KERB_FIT_CROP };
    kerb_geometry_init(&p->geometry, width, height, net_width, net_height, fits[kerb_random_int(r, 0, 2)]);
    p->format = (KerbVideoFormat){ .pixel_format = KERB_FORMAT_GRAY8, .width_px = width, .height_px = height };
    p->n_heads = kerb_random_int(r, 0, 2) ? 1 : kerb_random_int(r, 2, 3);
    p->confidence = true;
    p->threads = 1;
    for (int i = 0; i < p->n_heads; i++) {
        p->heads[i] = kerb_random_head(r, i, &p->geometry);
        KerbOutHead *h = &p->heads[i];
        KerbDtype dtype = h->kind == KERB_SCORES_LABELS ? label_dtypes[kerb_random_int(r, 0, 3)] : dtypes[kerb_random_int(r, 0, 5)];
        c.scores[i] = kerb_tensor_new(dtype, h->channels, h->height, h->width, kerb_random_int(r, 0, KERB_LAYOUTS - 1));
        kerb_fill_scores(&c.scores[i], h, r);
    }
    return c;
}

KERB_UNUSED static void kerb_case_free(KerbCase *c)
{
    for (int i = 0; i < c->params.n_heads; i++) free(c->scores[i].data);
}

/* One head over a frame, stretched. Scores are left at 0. */
KERB_UNUSED static KerbCase kerb_one_head(KerbScoreKind kind, int channels, int cells_w, int cells_h, int step, int width, int height, KerbDtype dtype, int layout)
{
    KerbCase c = { 0 };
    kerb_geometry_init(&c.params.geometry, width, height, cells_w * step, cells_h * step, KERB_FIT_STRETCH);
    c.params.format = (KerbVideoFormat){ .pixel_format = KERB_FORMAT_GRAY8, .width_px = width, .height_px = height };
    c.params.n_heads = 1;
    c.params.confidence = true;
    c.params.threads = 1;
    KerbOutHead *h = &c.params.heads[0];
    *h = (KerbOutHead){ .kind = kind, .channels = channels, .width = cells_w, .height = cells_h, .cell_w_px = step, .cell_h_px = step };
    for (int i = 0; i < KERB_MAX_CLASSES; i++) h->index[i] = (uint8_t)i;
    c.scores[0] = kerb_tensor_new(dtype, channels, cells_h, cells_w, layout);
    return c;
}

#endif
