/* SPDX-License-Identifier: MIT */
/* Scores -> labels and confidence at the frame's resolution, and the picture, in one pass. */
#ifndef KERB_OUT_H
#define KERB_OUT_H

#include "base/error.h"
#include "base/frame.h"
#include "base/pool.h"
#include "base/tensor.h"

#define KERB_MAX_HEADS 8

typedef enum KerbScoreKind {
    KERB_SCORES_LOGITS,        /* C >= 2 channels: argmax */
    KERB_SCORES_PROBABILITIES, /* the same, already softmax */
    KERB_SCORES_BINARY_LOGIT,  /* 1 channel: label 1 where >= threshold */
    KERB_SCORES_BINARY_PROBABILITY,
    KERB_SCORES_LABELS,        /* 1 channel of labels: nearest neighbour, confidence 255 */
} KerbScoreKind;

/* One head of the network: a score tensor 1 x C x h x w (any strides; f32, bf16; LABELS also i32, i64, u8) and where its cells lie in the
 * network's input: input coordinate = cell * cell_w + origin, for half-pixel centres (cell centre at +0.5); that is how an upsampling taken off
 * the model's end is expressed (align_corners and asymmetric are affine too). */
typedef struct KerbOutHead {
    KerbScoreKind kind;
    int channels, height, width;
    double cell_h_px, cell_w_px, origin_x_px, origin_y_px;
    bool nearest;                 /* nearest neighbour instead of bilinear */
    float threshold;
    /* Label index for class c of this head; 0 stands for "this head says background": then what earlier heads said stands.
     * For a single head: the index, 0 is as good as any. */
    uint8_t index[KERB_MAX_CLASSES];
} KerbOutHead;

typedef struct KerbOutParams {
    KerbVideoFormat format;
    KerbGeometry geometry;
    int n_heads;
    KerbOutHead heads[KERB_MAX_HEADS]; /* later heads lie over earlier ones */
    bool confidence;
    unsigned cpu_flags;
    int threads; /* scratch for this many tasks at a time */
} KerbOutParams;

/* What kerb_out_new() asks of everything but the heads, for other backends. ARGUMENT. */
KerbStatus kerb_out_check(const KerbOutParams *params, KerbError *error);

/* Tables and scratch for one format and network. One run at a time. */
typedef struct KerbOut KerbOut;
KerbStatus kerb_out_new(KerbOut **out, const KerbOutParams *params, KerbError *error);
/* scores[i] is heads[i]'s tensor. Writes labels (required) and confidence (data NULL: not), width x height of the frame; then draws
 * `display` into picture (planes[0] NULL: not). Label: argmax of the bilinearly upsampled scores at the frame's pixel centres (ties: lowest class),
 * exactly (the shortcut over cells whose four corners agree is exact). Confidence: the class's softmax (or sigmoid) probability at the four
 * cells, interpolated with the same weights, round(255 p); p is within 1e-4 of exact arithmetic (out_pixel.h). Where heads are layered: the confidence of the
 * head whose label stands. Outside the geometry's frame rectangle: KERB_LABEL_NONE, confidence 0. Allocates nothing; the same bytes for any pool and processor.
 * Damaged scores: NaN counts as the lowest score (all NaN: class 0), infinities as 1e30; LABELS outside 0..255 give KERB_LABEL_NONE, confidence 0. A tensor
 * that has not its head's shape gives no labels (KERB_LABEL_NONE; background where it lies over others). */
void kerb_out_run(KerbOut *out, const KerbTensor scores[], const KerbFrame *frame, KerbMap labels, KerbMap confidence,
                  const KerbDisplay *display, const KerbFrame *picture, KerbPool *pool);
void kerb_out_free(KerbOut **out);

/* Drawing alone: labels over a frame (kerb_drawer in kerb.h is this). picture may be frame except for side-by-side.
 * Blend: stored = round(source + alpha * (colour - source)) in the frame's own bytes, colours through kerb_rgb_to_yuv_matrix; a chroma sample takes the
 * mean of the blends of the luma pixels that it covers (at odd edges of those that there are). alpha is taken as the nearest 1/256, the colour is rounded to the
 * frame's bytes first, and the blend is rounded once, halves up. Mask: the fourth byte of RGBA stays as the frame has it. Side-by-side: views of
 * (w/4*2) x (h/4*2) pixels, means of 2x2 of the frame and the upper left label of each 2x2; the fourth byte is 255. */
typedef struct KerbDraw KerbDraw;
KerbStatus kerb_draw_new(KerbDraw **out, const KerbVideoFormat *format, unsigned cpu_flags, KerbError *error);
/* What the last kerb_draw_prepare() made of its display (draw_rows.h), for drawing on other devices. */
typedef struct KerbDrawTable KerbDrawTable;
const KerbDrawTable *kerb_draw_table(const KerbDraw *draw);
/* Rows [y0, y1), y0 even, of the picture. Any number of threads on different rows after one kerb_draw_prepare() for the display. */
void kerb_draw_prepare(KerbDraw *draw, const KerbDisplay *display);
void kerb_draw_rows(const KerbDraw *draw, const KerbFrame *frame, KerbMap labels, const KerbFrame *picture, int y0, int y1);
void kerb_draw_free(KerbDraw **draw);

#endif
