/* SPDX-License-Identifier: MIT */
/* 3x3 convolution with stride 1 by Winograd's F(4x4, 3x3) on channels-last pictures: a quarter of the multiplications, no change of layout.
 *
 * A tile is 6x6 source pixels -> 4x4 target pixels; a dilation d splits the picture into d*d phases of every d-th pixel, each dense. Tiles
 * are taken in blocks: transformed to 36 matrices (tiles x input channels), multiplied with 36 weight matrices by the tile kernel,
 * transformed back. Two schedules, timed against each other like different ways: winograd         each thread takes blocks of its own, so
 * small that their matrices stay in its second-level cache; sums exist for 2*lanes output channels at a time. Weights are read anew for
 * every block: for few channels. winograd-shared  all threads transform one large block, then share its 36 products, then transform back:
 * each byte of weights, input and sums is moved once a block. For many channels.
 *
 * Error against direct convolution: about 1e-6 relative RMS in f32 (the transforms' constants cost about two bits). */
#include <stdlib.h>

#include "base/error.h"
#include "net/cpu/conv.h"

#define POINTS KERB_WINOGRAD_POINTS

typedef struct KerbWinogradTile {
    int image, sy, sx, ty, tx; /* first pixel of the 6x6 (may lie outside) and of the 4x4 */
} KerbWinogradTile;
typedef struct KerbWinograd {
    KerbWinogradTile *tiles;
    int n_tiles, block; /* tiles a block */
    bool shared;
    int depth, columns_padded, n_column_blocks;
    size_t input_floats, sums_floats; /* of one block; sums: of 2*lanes columns, or (shared) of all */
    int begin, count;                 /* shared: the current block */
} KerbWinograd;

static bool kerb_winograd_applies(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    return s->kh == 3 && s->kw == 3 && s->sh == 1 && s->sw == 1 && s->groups == 1 && s->block == 1 && s->ic >= 8 && s->oc >= 8 &&
           c->net->k->lanes > 1 && s->source_bf16 == s->target_bf16 && !(s->unary && s->source_bf16) && s->oh / s->dh >= 4 &&
           s->ow / s->dw >= 4;
}

/* U = G g G^T for one 3x3 filter (Lavin and Gray). */
static void kerb_winograd_filter(const float *g, float u[POINTS])
{
    static const double G[6][3] = {{1.0 / 4, 0, 0},
                                   {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                   {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                   {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                   {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                   {0, 0, 1}};
    double rows[6][3];
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 3; j++) rows[i][j] = G[i][0] * g[j] + G[i][1] * g[3 + j] + G[i][2] * g[6 + j];
    }
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < 6; j++) u[i * 6 + j] = (float)(rows[i][0] * G[j][0] + rows[i][1] * G[j][1] + rows[i][2] * G[j][2]);
    }
}

/* Packed: [column block][point][depth][width]. */
static void kerb_winograd_pack_channel(void *arg, int oc, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    const int lanes = c->net->k->lanes, begin = oc / (2 * lanes) * 2 * lanes, width = s->oc - begin > lanes ? 2 * lanes : lanes;
    float *out = (float *)c->packed + (size_t)begin * POINTS * (size_t)s->ic + (oc - begin);
    for (int k = 0; k < s->ic; k++) {
        float u[POINTS];
        kerb_winograd_filter(c->weights + ((size_t)oc * (size_t)s->ic + (size_t)k) * 9, u);
        for (int p = 0; p < POINTS; p++) out[((size_t)p * (size_t)s->ic + (size_t)k) * (size_t)width] = u[p];
    }
}

static int kerb_winograd_tiles(const KerbConvSpec *s, KerbWinogradTile *tiles)
{
    int n = 0;
    for (int image = 0; image < s->n; image++) {
        for (int phase = 0; phase < s->dh * s->dw; phase++) {
            int py = phase / s->dw, px = phase % s->dw;
            for (int y = py; y < s->oh; y += 4 * s->dh) {
                for (int x = px; x < s->ow; x += 4 * s->dw, n++) {
                    if (tiles) tiles[n] = (KerbWinogradTile){image, y - s->pad_top, x - s->pad_left, y, x};
                }
            }
        }
    }
    return n;
}

static void kerb_winograd_free(KerbConv *c)
{
    KerbWinograd *w = c->own;
    if (w) free(w->tiles);
    free(w);
    c->own = NULL;
    kerb_free(&c->packed);
}

#define ALONE_BYTES (384u << 10) /* of a second-level cache of 1 MiB; measured: 256 to 768 are alike */
#define SHARED_BYTES (24u << 20) /* about what a third-level cache has for two cores */

/* How many tiles a block has. Each byte of weights is used 2*block times a pass, so blocks must not be small. */
static void kerb_winograd_schedule(KerbConv *c, KerbWinograd *w)
{
    const int rows = c->net->k->tile_rows, threads = c->net->threads;
    w->shared = c->kind == &kerb_conv_winograd_shared;
    int fit, share = w->n_tiles;
    if (w->shared) {
        fit = (int)(SHARED_BYTES / (sizeof(float) * POINTS * (size_t)(w->depth + w->columns_padded)));
        if (fit < 8 * rows) fit = 8 * rows;
    } else {
        fit = (int)(ALONE_BYTES / (sizeof(float) * POINTS * (size_t)w->depth)) / rows * rows;
        fit = fit < 2 * rows ? 2 * rows : fit > 8 * rows ? 8 * rows : fit;
        share = (w->n_tiles + threads - 1) / threads;
    }
    int n = (share + fit - 1) / fit;
    w->block = (share + n - 1) / n; /* equal blocks */
}

static KerbStatus kerb_winograd_prepare(KerbConv *c, KerbError *error)
{
    const KerbConvSpec *s = &c->s;
    const int lanes = c->net->k->lanes;
    KerbWinograd *w = c->own = calloc(1, sizeof *w);
    if (w) {
        w->n_tiles = kerb_winograd_tiles(s, NULL);
        w->tiles = malloc((size_t)w->n_tiles * sizeof *w->tiles);
    }
    int padded = (s->oc + lanes - 1) / lanes * lanes;
    c->packed_bytes = (size_t)padded * (size_t)s->ic * POINTS * sizeof(float);
    c->packed = kerb_alloc(c->packed_bytes);
    if (!w || !w->tiles || !c->packed) {
        kerb_winograd_free(c);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu bytes of Winograd weights", c->packed_bytes);
    }
    kerb_winograd_tiles(s, w->tiles);
    w->depth = (s->ic + lanes - 1) / lanes * lanes;
    w->columns_padded = padded;
    w->n_column_blocks = (padded + 2 * lanes - 1) / (2 * lanes);
    kerb_winograd_schedule(c, w);
    w->input_floats = (size_t)POINTS * (size_t)w->block * (size_t)w->depth;
    w->sums_floats = (size_t)POINTS * (size_t)w->block * (size_t)(w->shared ? padded : 2 * lanes);
    size_t threads = (size_t)c->net->threads;
    c->scratch_bytes = (w->shared ? 1 : threads) * (w->input_floats + w->sums_floats) * sizeof(float);
    kerb_cpu_parallel(c->net, s->oc, (double)s->oc * s->ic * 100, kerb_winograd_pack_channel, c);
    return KERB_OK;
}

/* Tile `tile` of a block of `count` -> its row in each of the 36 matrices. */
static void kerb_winograd_in(const KerbConv *c, const KerbWinogradTile *t, float *out, int count)
{
    const KerbConvSpec *s = &c->s;
    const KerbWinograd *w = c->own;
    const size_t unit = s->source_bf16 ? 2 : 4;
    const void *pixels[POINTS];
    for (int y = 0; y < 6; y++) {
        int sy = t->sy + y * s->dh;
        const char *row = (const char *)c->source + ((ptrdiff_t)t->image * s->ih + sy) * s->iw * s->source_step * (ptrdiff_t)unit;
        for (int x = 0; x < 6; x++) {
            int sx = t->sx + x * s->dw;
            bool inside = sy >= 0 && sy < s->ih && sx >= 0 && sx < s->iw;
            pixels[y * 6 + x] = inside ? row + sx * s->source_step * (ptrdiff_t)unit : NULL;
        }
    }
    c->net->k->winograd_input(pixels, s->source_bf16, s->ic, out, (ptrdiff_t)count * w->depth);
}

/* Sums of one tile and one column block -> target pixels. */
static void kerb_winograd_out(const KerbConv *c, const KerbWinogradTile *t, const float *sums, ptrdiff_t plane, int begin, int columns)
{
    const KerbConvSpec *s = &c->s;
    const ptrdiff_t unit = s->target_bf16 ? 2 : 4;
    void *targets[16];
    const void *residuals[16];
    for (int i = 0; i < 16; i++) {
        int y = t->ty + i / 4 * s->dh, x = t->tx + i % 4 * s->dw;
        bool inside = y < s->oh && x < s->ow;
        ptrdiff_t pixel = ((ptrdiff_t)t->image * s->oh + y) * s->ow + x;
        targets[i] = inside ? (char *)c->target + (pixel * s->target_step + begin) * unit : NULL;
        residuals[i] = inside && c->residual ? (const char *)c->residual + (pixel * s->residual_step + begin) * unit : NULL;
    }
    KerbEpilogue e = c->act.finish;
    e.bias = c->bias ? c->bias + begin : NULL;
    e.slope = e.slope ? e.slope + begin : NULL;
    c->net->k->winograd_output(sums, plane, columns, targets, c->residual ? residuals : NULL, s->target_bf16, &e);
    for (int i = 0; s->unary && i < 16; i++) {
        if (targets[i]) kerb_cpu_act_run(c->net->k, &c->act, targets[i], (size_t)columns);
    }
}

/* One of the 36 products: `count` tiles, the columns of one weight block. `sums_step`: floats between the sums of two tiles. */
static void kerb_winograd_product(const KerbConv *c, int point, int block, int count, const float *input, float *sums, ptrdiff_t sums_step)
{
    const KerbWinograd *w = c->own;
    const KerbCpuKernels *k = c->net->k;
    const int begin = block * 2 * k->lanes, left_columns = w->columns_padded - begin,
              width = left_columns > k->lanes ? 2 * k->lanes : k->lanes;
    const KerbTap tap = {0, 0};
    KerbTile tile = {.source = input + (ptrdiff_t)point * count * w->depth,
                     .source_step = w->depth,
                     .taps = &tap,
                     .n_taps = 1,
                     .depth = c->s.ic,
                     .weights = (const float *)c->packed + ((size_t)begin * POINTS + (size_t)point * (size_t)width) * (size_t)c->s.ic,
                     .target = sums,
                     .target_step = sums_step,
                     .columns = width};
    const int steps = (count + k->tile_rows - 1) / k->tile_rows;
    for (int i = 0, left = count; i < steps; i++) {
        int rows = left / (steps - i);
        k->tile(&tile, rows);
        tile.source += rows * tile.source_step;
        tile.target += rows * tile.target_step;
        left -= rows;
    }
}

static void kerb_winograd_alone(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbWinograd *w = c->own;
    const int lanes = c->net->k->lanes, begin = index * w->block, count = w->n_tiles - begin < w->block ? w->n_tiles - begin : w->block;
    float *input = (float *)c->scratch + (size_t)thread * (w->input_floats + w->sums_floats), *sums = input + w->input_floats;
    for (int i = 0; i < count; i++) kerb_winograd_in(c, &w->tiles[begin + i], input + (size_t)i * (size_t)w->depth, count);
    for (int b = 0; b < w->n_column_blocks; b++) {
        const int first = b * 2 * lanes, columns = c->s.oc - first < 2 * lanes ? c->s.oc - first : 2 * lanes,
                  width = columns > lanes ? 2 * lanes : lanes;
        const ptrdiff_t plane = (ptrdiff_t)count * width;
        for (int p = 0; p < POINTS; p++) kerb_winograd_product(c, p, b, count, input, sums + p * plane, width);
        for (int i = 0; i < count; i++) kerb_winograd_out(c, &w->tiles[begin + i], sums + (ptrdiff_t)i * width, plane, first, columns);
    }
}

#define SHARE 8 /* tiles a task of the shared transforms */
static int kerb_winograd_parts(const KerbConv *c)
{
    const KerbWinograd *w = c->own;
    int parts = (3 * c->net->threads + POINTS - 1) / POINTS;
    return parts > w->n_column_blocks ? w->n_column_blocks : parts;
}
static void kerb_winograd_shared_in(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbWinograd *w = c->own;
    for (int i = index * SHARE; i < w->count && i < (index + 1) * SHARE; i++) {
        kerb_winograd_in(c, &w->tiles[w->begin + i], (float *)c->scratch + (size_t)i * (size_t)w->depth, w->count);
    }
}
/* A task is one point and a few blocks of columns, so that more threads than points have work. */
static void kerb_winograd_shared_product(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbWinograd *w = c->own;
    const int point = index % POINTS, part = index / POINTS, parts = kerb_winograd_parts(c);
    float *sums = (float *)c->scratch + w->input_floats + (ptrdiff_t)point * w->count * w->columns_padded;
    for (int b = w->n_column_blocks * part / parts; b < w->n_column_blocks * (part + 1) / parts; b++) {
        kerb_winograd_product(c, point, b, w->count, c->scratch, sums + b * 2 * c->net->k->lanes, w->columns_padded);
    }
}
static void kerb_winograd_shared_out(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbWinograd *w = c->own;
    const float *sums = (const float *)c->scratch + w->input_floats;
    for (int i = index * SHARE; i < w->count && i < (index + 1) * SHARE; i++) {
        kerb_winograd_out(c, &w->tiles[w->begin + i], sums + (ptrdiff_t)i * w->columns_padded, (ptrdiff_t)w->count * w->columns_padded, 0,
                          c->s.oc);
    }
}

static KerbStatus kerb_winograd_run(KerbConv *c)
{
    KerbWinograd *w = c->own;
    const double cost = kerb_conv_cost_ns(&c->s);
    if (!w->shared) {
        kerb_cpu_parallel(c->net, (w->n_tiles + w->block - 1) / w->block, cost, kerb_winograd_alone, c);
        return KERB_OK;
    }
    for (w->begin = 0; w->begin < w->n_tiles; w->begin += w->block) {
        w->count = w->n_tiles - w->begin < w->block ? w->n_tiles - w->begin : w->block;
        kerb_cpu_parallel(c->net, (w->count + SHARE - 1) / SHARE, cost / 8, kerb_winograd_shared_in, c);
        kerb_cpu_parallel(c->net, POINTS * kerb_winograd_parts(c), cost, kerb_winograd_shared_product, c);
        kerb_cpu_parallel(c->net, (w->count + SHARE - 1) / SHARE, cost / 8, kerb_winograd_shared_out, c);
    }
    return KERB_OK;
}

const KerbConvKind kerb_conv_winograd = {"winograd", kerb_winograd_applies, kerb_winograd_prepare,
                                         NULL,       kerb_winograd_run,     kerb_winograd_free};
const KerbConvKind kerb_conv_winograd_shared = {"winograd-shared", kerb_winograd_applies, kerb_winograd_prepare, NULL,
                                                kerb_winograd_run, kerb_winograd_free};
