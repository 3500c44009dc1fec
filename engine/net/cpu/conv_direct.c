/* SPDX-License-Identifier: MIT */
/* Direct convolution in channels-last pictures, f32: for every row of the target, runs of pixels that see the same part of the window go
 * through the tile kernel. Taps outside the picture are left out rather than multiplied by zero, so nothing is padded or copied. 1x1
 * convolutions are one long row. Also writes its sums pixel-shuffled (a lowered transposed convolution) without a pass of its own.
 *
 * A task is a few blocks of columns (32 output channels with AVX-512) for a range of rows: small weights stay in the second-level cache
 * while rows pass, and large ones are split by columns so that their share does. Sums over more weights than that are taken in passes that
 * add to the target. */
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
    int columns, first; /* of bias and slope */
} KerbDirectPart;
typedef struct KerbDirectBlock { /* of columns: what one tile makes */
    const KerbDirectPart *part;
    int begin, columns; /* within the part */
    size_t weights;     /* floats from packed's start */
} KerbDirectBlock;
typedef struct KerbDirectSpan { /* a part of the window that some pixels see */
    int ky0, ky1, kx0, kx1;
} KerbDirectSpan;
typedef struct KerbDirect {
    KerbDirectPart *parts;
    int n_parts;
    KerbDirectBlock *blocks;
    int n_blocks;
    KerbDirectRun *runs;
    int n_runs;
    float *bias, *slope;            /* in the order of the parts' columns; NULL where there is none */
    ptrdiff_t pixel_step, row_step; /* of the target, in the grid of sums */
    int merged;                     /* taps of a window's row that are neighbours in memory count as one: kw, else 1 */
    bool flat;                      /* 1x1, stride 1: all pixels are one row */
    bool by_taps;                   /* kerb_direct_by_taps() */
    int units, chunks, groups;      /* rows (flat: tiles' worth of pixels), parts of them, parts of the blocks; a task is one of each */
} KerbDirect;

static bool kerb_direct_applies(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    return !s->source_bf16 && !s->target_bf16 && s->kh * s->kw <= MAX_TAPS && c->net->k->lanes > 1 &&
           (s->block == 1 || (!s->residual_step && s->groups == 1)) && s->groups <= 64;
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

static void kerb_direct_pack(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    const KerbDirectBlock *b = &((const KerbDirect *)c->own)->blocks[index];
    const int lanes = c->net->k->lanes, taps = s->kh * s->kw, icg = s->ic / s->groups, width = b->columns > lanes ? 2 * lanes : lanes;
    float *out = (float *)c->packed + b->weights;
    for (int i = 0; i < b->columns; i++) {
        const int oc = kerb_direct_channel(s, b->part->first + b->begin + i);
        const float *from = c->weights + (size_t)oc * (size_t)icg * (size_t)taps;
        for (int k = 0; k < icg; k++) {
            for (int t = 0; t < taps; t++) out[((size_t)t * (size_t)icg + (size_t)k) * (size_t)width + (size_t)i] = *from++;
        }
    }
}

static void kerb_direct_blocks(const KerbConvSpec *s, KerbDirect *d, int lanes)
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
        for (int begin = 0; begin < p->columns; begin += 2 * lanes) {
            int left = p->columns - begin;
            d->blocks[d->n_blocks++] = (KerbDirectBlock){p, begin, left < 2 * lanes ? left : 2 * lanes, at};
            at += (size_t)(left > lanes ? 2 * lanes : lanes) * (size_t)(taps * icg);
        }
    }
}

#define CACHE_BYTES (512 << 10) /* half of a second-level cache, for what is read again and again: weights or source */

/* How the work is cut into tasks. */
static void kerb_direct_schedule(const KerbConv *c, KerbDirect *d)
{
    const KerbConvSpec *s = &c->s;
    const int threads = c->net->threads, rows = c->net->k->tile_rows;
    const double weights = 4.0 * s->oc * (s->ic / s->groups) * s->kh * s->kw;
    d->flat = s->kh == 1 && s->kw == 1 && s->sh == 1 && s->sw == 1 && !s->pad_top && !s->pad_left && s->oh == s->ih && s->ow == s->iw &&
              s->block == 1;
    d->merged = s->dw == 1 && s->groups == 1 && s->source_step == s->ic ? s->kw : 1;
    d->by_taps = !d->flat && s->block == 1 && s->ic / s->groups >= 64 && d->n_runs > 1 &&
                 (int64_t)s->oh * s->ow < (int64_t)d->n_runs * d->n_runs * 2 * rows;
    d->units = d->flat ? (int)(((int64_t)s->n * s->oh * s->ow + rows - 1) / rows) : s->n * s->oh;
    const double unit_bytes = 4.0 * (d->flat ? rows * (double)(s->source_step + s->target_step)
                                             : (double)s->sh * s->iw * (double)s->source_step + (double)d->row_step);
    if (weights <= CACHE_BYTES) { /* all columns at once, and as many rows as also fit */
        d->groups = 1;
        double fit = CACHE_BYTES / unit_bytes;
        d->chunks = fit < 1 ? d->units : (int)(d->units / fit) + 1;
    } else { /* a share of the columns, and all rows */
        d->groups = (d->n_blocks + 7) / 8;
        d->chunks = 1;
    }
    /* A few tasks a thread, as many for each: who is late has less left. */
    if (d->groups > d->n_blocks) d->groups = d->n_blocks;
    if (d->chunks * d->groups < 4 * threads) d->chunks = (4 * threads + d->groups - 1) / d->groups;
    if (d->groups == 1) d->chunks = (d->chunks + threads - 1) / threads * threads;
    if (d->chunks > d->units) d->chunks = d->units;
    if (s->unary && s->block > 1) { /* the pass over a row's activations wants all of its columns */
        d->groups = 1;
    } else if (d->chunks * d->groups < 2 * threads) { /* few pixels */
        d->groups = (2 * threads + d->chunks - 1) / d->chunks;
        if (d->groups > d->n_blocks) d->groups = d->n_blocks;
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
        free(d->blocks);
        free(d->runs);
        free(d);
    }
    c->own = NULL;
    kerb_free(&c->packed);
}

static KerbStatus kerb_direct_prepare(KerbConv *c, KerbError *error)
{
    const KerbConvSpec *s = &c->s;
    const int lanes = c->net->k->lanes, parts = s->groups + s->block * s->block;
    KerbDirect *d = c->own = calloc(1, sizeof *d);
    if (d) {
        d->parts = calloc((size_t)parts, sizeof *d->parts);
        d->blocks = calloc((size_t)(s->oc / lanes + parts), sizeof *d->blocks);
        d->runs = malloc((size_t)s->ow * sizeof *d->runs);
        d->bias = kerb_direct_permuted(c, c->bias);
        d->slope = kerb_direct_permuted(c, c->act.finish.slope);
    }
    c->packed_bytes = (size_t)(s->oc + 2 * lanes * parts) * (size_t)(s->ic / s->groups * s->kh * s->kw) * sizeof(float);
    c->packed = kerb_alloc(c->packed_bytes);
    if (!d || !d->parts || !d->blocks || !d->runs || !c->packed || (c->bias && !d->bias) || (c->act.finish.slope && !d->slope)) {
        kerb_direct_free(c);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu bytes of packed weights", c->packed_bytes);
    }
    kerb_direct_blocks(s, d, lanes);
    kerb_cpu_parallel(c->net, d->n_blocks, (double)c->packed_bytes, kerb_direct_pack, c);
    d->n_runs = kerb_direct_find_runs(s, d->runs);
    kerb_direct_schedule(c, d);
    return KERB_OK;
}

/* Lines of target pixels, `source` being where the first one's window begins: rows or, at the borders, columns of the picture. */
typedef struct KerbDirectPatch {
    const float *source;
    float *target;
    const float *residual;
    ptrdiff_t source_step, target_step, residual_step;                /* from pixel to pixel of a line */
    ptrdiff_t source_line_step, target_line_step, residual_line_step; /* from line to line */
    int pixels, lines;
} KerbDirectPatch;

static void kerb_direct_tiles(const KerbConv *c, const KerbDirectPatch *patch, const KerbTile *first)
{
    const KerbCpuKernels *k = c->net->k;
    const int tiles = (patch->pixels + k->tile_rows - 1) / k->tile_rows;
    for (int line = 0; line < patch->lines; line++) {
        KerbTile tile = *first;
        tile.source += line * patch->source_line_step;
        tile.target += line * patch->target_line_step;
        /* Where a sum goes on, its residual is the target. */
        if (tile.residual) tile.residual += line * (tile.residual == first->target ? patch->target_line_step : patch->residual_line_step);
        for (int i = 0, left = patch->pixels; i < tiles; i++) {
            int rows = left / (tiles - i); /* as equal as may be: a tile of one row costs as much as one of four */
            k->tile(&tile, rows);
            left -= rows;
            tile.source += rows * tile.source_step;
            tile.target += rows * tile.target_step;
            if (tile.residual) tile.residual += rows * tile.residual_step;
        }
    }
}

#define PASS_BYTES (192 << 10) /* of a block's weights: every tile of a patch reads them again */

/* A pass over a patch takes a few taps of the window, or a part of the depth of one. */
typedef struct KerbDirectPass {
    int tap, taps, step, steps;
    bool begins, ends;
} KerbDirectPass;

static void kerb_direct_pass(const KerbConv *c, const KerbDirectBlock *block, const KerbDirectPatch *patch, const KerbTap *taps,
                             const KerbDirectPass *pass)
{
    const KerbDirect *d = c->own;
    const int width = block->columns > c->net->k->lanes ? 2 * c->net->k->lanes : c->net->k->lanes,
              first = block->part->first + block->begin;
    const ptrdiff_t column = block->part->target_offset + block->begin;
    KerbTap weighted[MAX_TAPS];
    for (int i = 0; i < pass->taps; i++) weighted[i] = (KerbTap){taps[pass->tap + i].source, taps[pass->tap + i].weight * width};
    KerbEpilogue e = pass->ends ? c->act.finish : (KerbEpilogue){0};
    e.bias = pass->begins && d->bias ? d->bias + first : NULL;
    e.slope = pass->ends && d->slope ? d->slope + first : NULL;
    KerbTile tile = {.source = patch->source + block->part->source_offset + pass->step,
                     .source_step = patch->source_step,
                     .taps = weighted,
                     .n_taps = pass->taps,
                     .depth = pass->steps,
                     .weights = (const float *)c->packed + block->weights + (ptrdiff_t)pass->step * width,
                     .target = patch->target + column,
                     .target_step = patch->target_step,
                     .columns = block->columns,
                     .residual = !pass->begins     ? patch->target + column
                                 : patch->residual ? patch->residual + column
                                                   : NULL,
                     .residual_step = pass->begins ? patch->residual_step : patch->target_step,
                     .epilogue = &e};
    kerb_direct_tiles(c, patch, &tile);
}

/* The columns of some blocks for pixels that see `span` of the window. What one pass reads of the source stays in the cache for all blocks,
 * and what it reads of the weights for all tiles. */
static void kerb_direct_patch(const KerbConv *c, const KerbDirectBlock *block0, const KerbDirectBlock *block1, const KerbDirectPatch *patch,
                              KerbDirectSpan span)
{
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    const int icg = s->ic / s->groups, merged = d->merged > 1 ? span.kx1 - span.kx0 : 1, depth = merged * icg;
    KerbTap taps[MAX_TAPS]; /* weight: in rows of a block's columns */
    int n = 0;
    for (int ky = span.ky0; ky < span.ky1; ky++) {
        for (int kx = span.kx0; kx < span.kx1; kx += merged)
            taps[n++] = (KerbTap){((ptrdiff_t)ky * s->dh * s->iw + kx * s->dw) * s->source_step, (ptrdiff_t)(ky * s->kw + kx) * icg};
    }
    /* All in one pass where that is little, or where pixels are so few that nothing is read again. */
    const int most = PASS_BYTES / (8 * c->net->k->lanes);
    const bool whole = n * depth <= 2 * most || patch->pixels * patch->lines <= c->net->k->tile_rows;
    const int parts = whole ? 1 : (depth + most - 1) / most, steps = (depth + parts - 1) / parts,
              taps_a_pass = whole       ? n
                            : parts > 1 ? 1
                                        : most / depth;
    KerbDirectPass pass = {.begins = true};
    do { /* once where there are no taps: the window is wholly outside, and the sum is the bias */
        pass.taps = pass.tap + taps_a_pass < n ? taps_a_pass : n - pass.tap;
        pass.steps = pass.step + steps < depth ? steps : depth - pass.step;
        pass.ends = pass.tap + pass.taps >= n && pass.step + pass.steps >= depth;
        for (const KerbDirectBlock *b = block0; b < block1; b++) kerb_direct_pass(c, b, patch, taps, &pass);
        pass.begins = false;
        pass.step += pass.steps;
        if (pass.step >= depth) {
            pass.step = 0;
            pass.tap += pass.taps;
        }
    } while (pass.tap < n);
}

static void kerb_direct_unary(const KerbConv *c, float *target, int64_t pixels, ptrdiff_t step, int channels)
{
    if (step == channels) {
        kerb_cpu_act_run(c->net->k, &c->act, target, (size_t)pixels * (size_t)channels);
        return;
    }
    for (int64_t p = 0; p < pixels; p++) kerb_cpu_act_run(c->net->k, &c->act, target + p * step, (size_t)channels);
}

/* What window rows the target's row sees. */
static KerbDirectSpan kerb_direct_span(const KerbConvSpec *s, int row)
{
    int top = row % s->oh * s->sh - s->pad_top;
    KerbDirectSpan span = {.ky0 = 0, .ky1 = s->kh};
    while (span.ky0 < span.ky1 && top + span.ky0 * s->dh < 0) span.ky0++;
    while (span.ky1 > span.ky0 && top + (span.ky1 - 1) * s->dh >= s->ih) span.ky1--;
    return span;
}

/* Pixels x0..x1 of rows row0..row1 (counted over all pictures; of one of them). */
static KerbDirectPatch kerb_direct_rectangle(const KerbConv *c, int row0, int row1, int x0, int x1)
{
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    const ptrdiff_t top = (ptrdiff_t)(row0 / s->oh) * s->ih + row0 % s->oh * s->sh - s->pad_top, left = (ptrdiff_t)x0 * s->sw - s->pad_left,
                    pixel = (ptrdiff_t)row0 * s->ow + x0;
    const int width = x1 - x0, height = row1 - row0;
    KerbDirectPatch patch = {.source = (const float *)c->source + (top * s->iw + left) * s->source_step,
                             .target = (float *)c->target + row0 * d->row_step + x0 * d->pixel_step,
                             .residual = c->residual ? (const float *)c->residual + pixel * s->residual_step : NULL,
                             .source_step = s->sw * s->source_step,
                             .target_step = d->pixel_step,
                             .residual_step = s->residual_step,
                             .source_line_step = (ptrdiff_t)s->sh * s->iw * s->source_step,
                             .target_line_step = d->row_step,
                             .residual_line_step = s->ow * s->residual_step,
                             .pixels = width,
                             .lines = height};
    if (width < height && width < c->net->k->tile_rows / 2) { /* a narrow border: tiles go downwards */
        patch.source_step = patch.source_line_step;
        patch.target_step = patch.target_line_step;
        patch.residual_step = patch.residual_line_step;
        patch.source_line_step = s->sw * s->source_step;
        patch.target_line_step = d->pixel_step;
        patch.residual_line_step = s->residual_step;
        patch.pixels = height;
        patch.lines = width;
    }
    return patch;
}

/* Targets 0..count of an axis that see window element `k`: begin and end. */
static void kerb_direct_seeing(int count, int size, int stride, int offset, int *begin, int *end)
{
    *begin = 0;
    *end = count;
    while (*begin < *end && *begin * stride + offset < 0) ++*begin;
    while (*end > *begin && (*end - 1) * stride + offset >= size) --*end;
}

/* Tap by tap, each for all pixels of rows row0..row1 of a picture that see it: where a picture is so small that most pixels see different
 * parts of the window, and channels are so many that a tap is work enough. The first pass sets the bias, the last one finishes. */
static void kerb_direct_by_taps(const KerbConv *c, const KerbDirectBlock *block0, const KerbDirectBlock *block1, int row0, int row1)
{
    const KerbConvSpec *s = &c->s;
    const int icg = s->ic / s->groups, image = row0 / s->oh * s->oh;
    const KerbDirectPatch all = kerb_direct_rectangle(c, row0, row1, 0, s->ow);
    for (const KerbDirectBlock *b = block0; b < block1; b++) kerb_direct_pass(c, b, &all, NULL, &(KerbDirectPass){.begins = true});
    for (int ky = 0; ky < s->kh; ky++) {
        int y0, y1, x0, x1;
        kerb_direct_seeing(s->oh, s->ih, s->sh, ky * s->dh - s->pad_top, &y0, &y1);
        if (y0 < row0 - image) y0 = row0 - image;
        if (y1 > row1 - image) y1 = row1 - image;
        for (int kx = 0; kx < s->kw; kx++) {
            kerb_direct_seeing(s->ow, s->iw, s->sw, kx * s->dw - s->pad_left, &x0, &x1);
            if (y0 >= y1 || x0 >= x1) continue;
            const KerbTap tap = {((ptrdiff_t)ky * s->dh * s->iw + kx * s->dw) * s->source_step, (ptrdiff_t)(ky * s->kw + kx) * icg};
            const KerbDirectPatch patch = kerb_direct_rectangle(c, image + y0, image + y1, x0, x1);
            for (const KerbDirectBlock *b = block0; b < block1; b++)
                kerb_direct_pass(c, b, &patch, &tap, &(KerbDirectPass){.taps = 1, .steps = icg});
        }
    }
    for (const KerbDirectBlock *b = block0; b < block1; b++) kerb_direct_pass(c, b, &all, NULL, &(KerbDirectPass){.ends = true});
}

static void kerb_direct_picture(const KerbConv *c, const KerbDirectBlock *block0, const KerbDirectBlock *block1, int begin, int end)
{
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    for (int row = begin, next; row < end; row = next) {
        KerbDirectSpan span = kerb_direct_span(s, row);
        for (next = row + 1; next < end && next % s->oh; next++) {
            KerbDirectSpan other = kerb_direct_span(s, next);
            if (!d->by_taps && (other.ky0 != span.ky0 || other.ky1 != span.ky1)) break;
        }
        if (d->by_taps) {
            kerb_direct_by_taps(c, block0, block1, row, next);
            continue;
        }
        for (const KerbDirectRun *r = d->runs; r < d->runs + d->n_runs; r++) {
            const KerbDirectPatch patch = kerb_direct_rectangle(c, row, next, r->x0, r->x1);
            span.kx0 = r->kx0;
            span.kx1 = r->kx1;
            kerb_direct_patch(c, block0, block1, &patch, span);
        }
    }
}

static void kerb_direct_flat(const KerbConv *c, const KerbDirectBlock *block0, const KerbDirectBlock *block1, int64_t begin, int64_t end)
{
    const KerbConvSpec *s = &c->s;
    const KerbDirectPatch patch = {.source = (const float *)c->source + begin * s->source_step,
                                   .target = (float *)c->target + begin * s->target_step,
                                   .residual = c->residual ? (const float *)c->residual + begin * s->residual_step : NULL,
                                   .source_step = s->source_step,
                                   .target_step = s->target_step,
                                   .residual_step = s->residual_step,
                                   .pixels = (int)(end - begin),
                                   .lines = 1};
    kerb_direct_patch(c, block0, block1, &patch, (KerbDirectSpan){0, 1, 0, 1});
}

void kerb_direct_line(const KerbConv *c, int first, int past, const KerbDirectLine *line)
{
    const KerbDirect *d = c->own;
    const int width = 2 * c->net->k->lanes; /* of a block: see kerb_direct_blocks() */
    const KerbDirectPatch patch = {.source = line->source,
                                   .target = line->target - first,
                                   .residual = line->residual,
                                   .source_step = line->source_step,
                                   .target_step = line->target_step,
                                   .residual_step = line->residual_step,
                                   .pixels = line->pixels,
                                   .lines = 1};
    kerb_direct_patch(c, d->blocks + first / width, d->blocks + (past + width - 1) / width, &patch, (KerbDirectSpan){0, 1, 0, 1});
}

static void kerb_direct_task(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    const KerbDirect *d = c->own;
    /* The chunks of one group of columns follow each other: they share the weights. */
    const int group = index / d->chunks, chunk = index % d->chunks;
    const KerbDirectBlock *block0 = d->blocks + (ptrdiff_t)d->n_blocks * group / d->groups,
                          *block1 = d->blocks + (ptrdiff_t)d->n_blocks * (group + 1) / d->groups, *last = block1 - 1;
    int64_t begin = (int64_t)d->units * chunk / d->chunks, end = (int64_t)d->units * (chunk + 1) / d->chunks;
    if (!d->flat) {
        kerb_direct_picture(c, block0, block1, (int)begin, (int)end);
        begin *= (int64_t)s->ow * s->block * s->block;
        end *= (int64_t)s->ow * s->block * s->block;
    } else {
        begin *= c->net->k->tile_rows;
        end *= c->net->k->tile_rows;
        if (end > (int64_t)s->n * s->oh * s->ow) end = (int64_t)s->n * s->oh * s->ow;
        kerb_direct_flat(c, block0, block1, begin, end);
    }
    if (!s->unary) return;
    const int left = s->block > 1 ? 0 : block0->part->first + block0->begin,
              right = s->block > 1 ? s->oc / (s->block * s->block) : last->part->first + last->begin + last->columns;
    kerb_direct_unary(c, (float *)c->target + begin * s->target_step + left, end - begin, s->target_step, right - left);
}

static KerbStatus kerb_direct_run(KerbConv *c)
{
    const KerbDirect *d = c->own;
    kerb_cpu_parallel(c->net, d->chunks * d->groups, kerb_conv_cost_ns(&c->s), kerb_direct_task, c);
    return KERB_OK;
}

const KerbConvKind kerb_conv_direct = {"direct", kerb_direct_applies, kerb_direct_prepare, NULL, kerb_direct_run, kerb_direct_free};
