/* SPDX-License-Identifier: MIT */
/* Direct convolution in channels-last pictures, f32: for every row of the target, runs of pixels that see the same part of the window go
 * through the tile kernel. Taps outside the picture are left out rather than multiplied by zero, so nothing is padded or copied. Best where
 * channels are few or the dilation is large; also writes its sums pixel-shuffled (a lowered transposed convolution) without a pass of its
 * own. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/conv.h"

#define MAX_TAPS 64

typedef struct KerbDirectRun { /* pixels x0..x1 of a row see columns kx0..kx1 of the window */
    int x0, x1, kx0, kx1;
} KerbDirectRun;
typedef struct KerbDirectPart { /* a group, or a phase of the shuffle: its own columns of the weights */
    ptrdiff_t source_offset, target_offset;
    size_t weights;     /* floats from packed's start */
    int columns, first; /* of bias and slope */
} KerbDirectPart;
typedef struct KerbDirect {
    KerbDirectPart *parts;
    int n_parts;
    KerbDirectRun *runs;
    int n_runs;
    float *bias, *slope;            /* in the order of the parts' columns; NULL where there is none */
    ptrdiff_t pixel_step, row_step; /* of the target, in the grid of sums */
    bool flat;                      /* 1x1, stride 1: all pixels are one row */
    int chunk, n_chunks;            /* pixels a task, tasks: flat only */
} KerbDirect;

static bool kerb_direct_applies(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    size_t weights = (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)(s->kh * s->kw);
    return !s->source_bf16 && !s->target_bf16 && s->kh * s->kw <= MAX_TAPS && c->net->k->lanes > 1 &&
           (s->block == 1 || (!s->residual_step && s->groups == 1)) && s->groups <= 64 && weights <= 4u << 20;
}

/* Runs of equal window columns along a row. */
static int kerb_direct_find_runs(const KerbConvSpec *s, KerbDirectRun *runs)
{
    int n = 0;
    for (int x = 0; x < s->ow; x++) {
        int left = x * s->sw - s->pad_left, kx0 = 0, kx1 = s->kw;
        while (kx0 < kx1 && left + kx0 * s->dw < 0) kx0++;
        while (kx1 > kx0 && left + (kx1 - 1) * s->dw >= s->iw) kx1--;
        if (n && runs[n - 1].kx0 == kx0 && runs[n - 1].kx1 == kx1)
            runs[n - 1].x1 = x + 1;
        else
            runs[n++] = (KerbDirectRun){x, x + 1, kx0, kx1};
    }
    return n;
}

/* Which output channel column `i` of the packed order is. */
static int kerb_direct_channel(const KerbConvSpec *s, int i)
{
    if (s->block == 1 || !s->block_crd) return i; /* DCR order is the packed one: phase by phase */
    int phases = s->block * s->block, channels = s->oc / phases;
    return i % channels * phases + i / channels;
}

static void kerb_direct_pack(const KerbConv *c, const KerbDirectPart *part, float *out)
{
    const KerbConvSpec *s = &c->s;
    const int lanes = c->net->k->lanes, taps = s->kh * s->kw, icg = s->ic / s->groups;
    for (int begin = 0; begin < part->columns; begin += 2 * lanes) {
        int columns = part->columns - begin < 2 * lanes ? part->columns - begin : 2 * lanes, width = columns > lanes ? 2 * lanes : lanes;
        for (int t = 0; t < taps; t++) {
            for (int k = 0; k < icg; k++, out += width) {
                for (int i = 0; i < columns; i++) {
                    int oc = kerb_direct_channel(s, part->first + begin + i);
                    out[i] = c->weights[((size_t)oc * (size_t)icg + (size_t)k) * (size_t)taps + (size_t)t];
                }
            }
        }
    }
}

static void kerb_direct_parts(const KerbConvSpec *s, KerbDirect *d, int lanes)
{
    int icg = s->ic / s->groups, taps = s->kh * s->kw;
    size_t at = 0;
    d->pixel_step = s->target_step * s->block;
    d->row_step = d->pixel_step * s->ow * s->block;
    int channels = s->oc / (s->block * s->block);
    bool rows_only = s->block > 1 && s->target_step == channels; /* the phases of one row are neighbours: one part */
    d->n_parts = s->block == 1 ? s->groups : rows_only ? s->block : s->block * s->block;
    for (int i = 0; i < d->n_parts; i++) {
        KerbDirectPart *p = &d->parts[i];
        p->columns = s->oc / d->n_parts;
        p->first = i * p->columns;
        if (s->block == 1) {
            p->source_offset = (ptrdiff_t)i * icg;
            p->target_offset = p->first;
        } else {
            int by = rows_only ? i : i / s->block, bx = rows_only ? 0 : i % s->block;
            p->target_offset = ((ptrdiff_t)by * s->ow * s->block + bx) * s->target_step;
        }
        p->weights = at;
        for (int begin = 0; begin < p->columns; begin += 2 * lanes) {
            at += (size_t)(p->columns - begin > lanes ? 2 * lanes : lanes) * (size_t)(taps * icg);
        }
    }
}

static float *kerb_direct_permuted(const KerbConv *c, const float *values)
{
    float *out = values ? kerb_alloc((size_t)(c->s.oc + 2 * KERB_LANES_MAX) * sizeof *out) : NULL;
    for (int i = 0; out && i < c->s.oc; i++) out[i] = values[kerb_direct_channel(&c->s, i)];
    return out;
}

static void kerb_direct_free(KerbConv *c)
{
    KerbDirect *d = c->own;
    if (d) {
        kerb_free(&d->bias);
        kerb_free(&d->slope);
        free(d->parts);
        free(d->runs);
        free(d);
    }
    c->own = NULL;
    kerb_free(&c->packed);
}

static KerbStatus kerb_direct_prepare(KerbConv *c, KerbError *error)
{
    const KerbConvSpec *s = &c->s;
    const int lanes = c->net->k->lanes;
    KerbDirect *d = c->own = calloc(1, sizeof *d);
    if (d) {
        d->parts = calloc((size_t)(s->groups + s->block * s->block), sizeof *d->parts);
        d->runs = malloc((size_t)s->ow * sizeof *d->runs);
        d->bias = kerb_direct_permuted(c, c->bias);
        d->slope = kerb_direct_permuted(c, c->act.finish.slope);
    }
    c->packed_bytes =
        (size_t)(s->oc + 2 * lanes * (s->groups + s->block * s->block)) * (size_t)(s->ic / s->groups * s->kh * s->kw) * sizeof(float);
    c->packed = kerb_alloc(c->packed_bytes);
    if (!d || !d->parts || !d->runs || !c->packed || (c->bias && !d->bias) || (c->act.finish.slope && !d->slope)) {
        kerb_direct_free(c);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu bytes of packed weights", c->packed_bytes);
    }
    kerb_direct_parts(s, d, lanes);
    for (int i = 0; i < d->n_parts; i++) kerb_direct_pack(c, &d->parts[i], (float *)c->packed + d->parts[i].weights);
    d->n_runs = kerb_direct_find_runs(s, d->runs);
    d->flat = s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && !s->pad_top && !s->pad_left && s->oh == s->ih && s->ow == s->iw &&
              s->block == 1;
    int64_t pixels = (int64_t)s->n * s->oh * s->ow;
    /* A chunk's source stays in the second-level cache (half a megabyte) while all columns pass over it. */
    int rows = c->net->k->tile_rows, fit = (int)((512 << 10) / (4 * s->source_step)) / rows * rows;
    d->chunk = fit < rows ? rows : fit > 16 * rows ? 16 * rows : fit;
    d->n_chunks = (int)((pixels + d->chunk - 1) / d->chunk);
    return KERB_OK;
}

/* `pixels` neighbours and the columns of one weight block. */
static void kerb_direct_pixels(const KerbConv *c, KerbTile *tile, int pixels)
{
    const KerbDirect *d = c->own;
    const KerbCpuKernels *k = c->net->k;
    const int blocks = (pixels + k->tile_rows - 1) / k->tile_rows;
    for (int b = 0; b < blocks; b++) {
        int rows = pixels / (blocks - b); /* as equal as may be: a tile of one row costs as much as one of four */
        k->tile(tile, rows);
        pixels -= rows;
        tile->source += rows * tile->source_step;
        tile->target += rows * d->pixel_step;
        if (tile->residual) tile->residual += rows * c->s.residual_step;
    }
}

/* All columns of a part for `pixels` neighbours that see columns kx0..kx1 and rows ky0..ky1 of the window; `source` is where the window
 * begins. */
static void kerb_direct_part(const KerbConv *c, const KerbDirectPart *part, const float *source, float *target, const float *residual,
                             int pixels, int ky0, int ky1, int kx0, int kx1)
{
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    const int lanes = c->net->k->lanes, icg = s->ic / s->groups;
    const float *weights = (const float *)c->packed + part->weights;
    for (int begin = 0; begin < part->columns; begin += 2 * lanes) {
        int columns = part->columns - begin < 2 * lanes ? part->columns - begin : 2 * lanes, width = columns > lanes ? 2 * lanes : lanes,
            n = 0;
        KerbTap taps[MAX_TAPS];
        for (int ky = ky0; ky < ky1; ky++) {
            for (int kx = kx0; kx < kx1; kx++) {
                taps[n++] =
                    (KerbTap){((ptrdiff_t)ky * s->dh * s->iw + kx * s->dw) * s->source_step, (ptrdiff_t)(ky * s->kw + kx) * icg * width};
            }
        }
        KerbEpilogue e = c->act.finish;
        e.bias = d->bias ? d->bias + part->first + begin : NULL;
        e.slope = d->slope ? d->slope + part->first + begin : NULL;
        KerbTile tile = {.source = source + part->source_offset,
                         .source_step = s->sw * s->source_step,
                         .taps = taps,
                         .n_taps = n,
                         .depth = icg,
                         .weights = weights,
                         .target = target + part->target_offset + begin,
                         .target_step = d->pixel_step,
                         .columns = columns,
                         .epilogue = &e,
                         .residual = residual ? residual + part->target_offset + begin : NULL,
                         .residual_step = s->residual_step};
        kerb_direct_pixels(c, &tile, pixels);
        weights += (size_t)s->kh * (size_t)s->kw * (size_t)icg * (size_t)width;
    }
}

static void kerb_direct_unary(const KerbConv *c, float *target, int64_t pixels, ptrdiff_t step, int channels)
{
    if (!c->s.unary) return;
    if (step == channels) {
        kerb_cpu_act_run(c->net->k, &c->act, target, (size_t)pixels * (size_t)channels);
        return;
    }
    for (int64_t p = 0; p < pixels; p++) kerb_cpu_act_run(c->net->k, &c->act, target + p * step, (size_t)channels);
}

/* One row of sums: index counts rows over all pictures. */
static void kerb_direct_row(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    int image = index / s->oh, y = index % s->oh, top = y * s->sh - s->pad_top, ky0 = 0, ky1 = s->kh;
    while (ky0 < ky1 && top + ky0 * s->dh < 0) ky0++;
    while (ky1 > ky0 && top + (ky1 - 1) * s->dh >= s->ih) ky1--;
    const float *row = (const float *)c->source + (((ptrdiff_t)image * s->ih + top) * s->iw - s->pad_left) * s->source_step;
    float *target = (float *)c->target + index * d->row_step;
    const float *residual = c->residual ? (const float *)c->residual + (ptrdiff_t)index * s->ow * s->residual_step : NULL;
    for (int p = 0; p < d->n_parts; p++) {
        for (const KerbDirectRun *r = d->runs; r < d->runs + d->n_runs; r++) {
            kerb_direct_part(c, &d->parts[p], row + (ptrdiff_t)r->x0 * s->sw * s->source_step, target + r->x0 * d->pixel_step,
                             residual ? residual + r->x0 * s->residual_step : NULL, r->x1 - r->x0, ky0, ky1, r->kx0, r->kx1);
        }
    }
    kerb_direct_unary(c, target, (int64_t)s->ow * s->block * s->block, s->target_step, s->oc / (s->block * s->block));
}

static void kerb_direct_chunk(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    int64_t begin = (int64_t)index * d->chunk, pixels = (int64_t)s->n * s->oh * s->ow - begin;
    if (pixels > d->chunk) pixels = d->chunk;
    for (int p = 0; p < d->n_parts; p++) {
        kerb_direct_part(c, &d->parts[p], (const float *)c->source + begin * s->source_step, (float *)c->target + begin * s->target_step,
                         c->residual ? (const float *)c->residual + begin * s->residual_step : NULL, (int)pixels, 0, 1, 0, 1);
    }
    kerb_direct_unary(c, (float *)c->target + begin * s->target_step, pixels, s->target_step, s->oc);
}

static KerbStatus kerb_direct_run(KerbConv *c)
{
    const KerbDirect *d = c->own;
    double cost = kerb_conv_cost_ns(&c->s);
    if (d->flat)
        kerb_cpu_parallel(c->net->threads, d->n_chunks, cost, kerb_direct_chunk, c);
    else
        kerb_cpu_parallel(c->net->threads, c->s.n * c->s.oh, cost, kerb_direct_row, c);
    return KERB_OK;
}

const KerbConvKind kerb_conv_direct = {"direct", kerb_direct_applies, kerb_direct_prepare, NULL, kerb_direct_run, kerb_direct_free};
