/* SPDX-License-Identifier: MIT */
/* Frame -> network input. Enters: a frame in the camera's format. Leaves: a tensor in the network's size, colour, layout and type.
 * Everything that does not change from frame to frame (taps, matrix, kernels) is made in kerb_in_new(); kerb_in_run() keeps its rows on the
 * stack of the task (about 45 KiB), so one KerbIn serves any number of threads. */
#include "in/in.h"

#include "base/memory.h"
#include "in/in_axis.h"
#include "in/in_plan.h"

#include <string.h>

struct KerbIn {
    KerbInParams params;
    KerbInPlan plan;
    KerbInColumns columns[2];
    KerbInRowTaps *rows[2];
    bool rows_by_area[2];
    KerbInLayout layout;
    size_t element_bytes;
    KerbInPackFn pack;
    KerbInKernels kernels;
};

typedef struct KerbInJob {
    const KerbIn *in;
    const KerbFrame *frame;
    uint8_t *data;
} KerbInJob;

/* What a task keeps while it walks down a tile. Source row r of a component lives in slot r % 2: a footprint reads rows in order, and the
 * only row that the next footprint reads again is the last (bilinear: two), so nothing is filtered twice. */
typedef struct KerbInScratch {
    _Alignas(64) float row[3][2][KERB_IN_TILE];
    _Alignas(64) float sum[3][KERB_IN_TILE];
    _Alignas(64) float planes[3 * KERB_IN_TILE];
    _Alignas(64) uint8_t samples[KERB_MAX_SIDE_PX + KERB_IN_SLACK];
    int held[3][2]; /* which source row is in the slot; -1: none */
} KerbInScratch;

/* ------------------------------------------------------------------------------------------------------------------- making */

static void kerb_in_describe_layout(KerbIn *in)
{
    const KerbTensor *t = &in->params.input;
    KerbInLayout *l = &in->layout;
    *l = (KerbInLayout){ .channels = (int)t->dims[1], .channel_stride = t->strides[1], .x_stride = t->strides[3] };
    l->padded = l->channel_stride == 1 && l->x_stride > l->channels;
    KerbInLayoutKind kind = KERB_IN_STRIDED;
    if (l->x_stride == 1)
        kind = KERB_IN_PLANAR;
    else if (l->channels == 3 && l->channel_stride == 1 && l->x_stride == 3)
        kind = KERB_IN_INTERLEAVED3;
    else if (l->channels == 3 && l->padded)
        kind = KERB_IN_PADDED;
    in->pack = in->kernels.pack[t->dtype == KERB_BF16][kind];
    in->element_bytes = kerb_dtype_bytes(t->dtype);
}

/* Tiles of equal width: 640 columns are two of 320 rather than 512 and 128. */
static int kerb_in_tile_width(int n)
{
    int tiles = (n + KERB_IN_TILE - 1) / KERB_IN_TILE, width = (n + tiles - 1) / tiles;
    return (width + KERB_IN_GROUP - 1) / KERB_IN_GROUP * KERB_IN_GROUP;
}

KerbStatus kerb_in_new(KerbIn **out, const KerbInParams *params, KerbError *error)
{
    *out = NULL;
    KerbInPlan plan;
    KerbStatus status = kerb_in_plan(&plan, params, error);
    if (status != KERB_OK) return status;
    if (params->input.dtype != KERB_F32 && params->input.dtype != KERB_BF16)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "network input of type %s: frames are written as f32 or bf16",
                         kerb_dtype_name(params->input.dtype));
    KerbIn *in = kerb_alloc(sizeof *in);
    if (!in) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the input stage (%zu bytes)", sizeof *in);
    in->params = *params;
    in->plan = plan;
    kerb_in_kernels(&in->kernels, params->cpu_flags);
    kerb_in_describe_layout(in);
    const KerbGeometry *g = &in->params.geometry;
    int n_x = g->net_x1 - g->net_x0, n_y = g->net_y1 - g->net_y0;
    for (int i = 0; i < plan.n_axes; i++) {
        in->rows_by_area[i] = kerb_in_shrinks_by_area(plan.down[i]);
        in->rows[i] = kerb_in_row_taps_new(plan.down[i], g->net_y0, n_y);
        if (!kerb_in_columns_init(&in->columns[i], plan.across[i], g->net_x0, n_x, kerb_in_tile_width(n_x)) || !in->rows[i]) {
            kerb_in_free(&in);
            return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the tables of a %d x %d network input", n_x, n_y);
        }
    }
    *out = in;
    return KERB_OK;
}

void kerb_in_free(KerbIn **pointer)
{
    if (!pointer || !*pointer) return;
    KerbIn *in = *pointer;
    for (int i = 0; i < 2; i++) {
        kerb_in_columns_free(&in->columns[i]);
        kerb_free(&in->rows[i]);
    }
    kerb_free(pointer);
}

/* ------------------------------------------------------------------------------------------------------------------ running */

/* Row `row` of component c, filtered to the tile's columns. */
static const float *kerb_in_source_row(const KerbInJob *job, int tile_index, int c, int row, KerbInScratch *s)
{
    const KerbIn *in = job->in;
    const KerbInKernels *k = &in->kernels;
    float *filtered = s->row[c][row & 1];
    if (s->held[c][row & 1] == row) return filtered;
    s->held[c][row & 1] = row;
    const KerbInComponent *component = &in->plan.components[c];
    const KerbInColumns *columns = &in->columns[component->axis];
    const KerbInTile *tile = &columns->tiles[tile_index];
    const uint8_t *src = job->frame->planes[component->plane] + (size_t)row * (size_t)job->frame->strides[component->plane] +
                         (size_t)component->byte + (size_t)tile->sample * (size_t)component->step;
    k->pick[component->step](s->samples, src, tile->n_samples);
    memset(s->samples + tile->n_samples, 0, KERB_IN_SLACK);
    int n_groups = (tile->n + KERB_IN_GROUP - 1) / KERB_IN_GROUP;
    if (tile->copies)
        k->widen(filtered, s->samples, tile->n);
    else if (columns->area)
        k->box(filtered, s->samples, columns->box + tile->group, n_groups);
    else
        k->linear(filtered, s->samples, columns->linear + tile->group, n_groups);
    return filtered;
}

/* What convert needs of component c for output row y. */
static void kerb_in_mix_rows(const KerbInJob *job, int tile_index, int c, int y, KerbInScratch *s, KerbInRows *rows)
{
    const KerbIn *in = job->in;
    int axis = in->plan.components[c].axis, n = in->columns[axis].tiles[tile_index].n;
    const KerbInRowTaps *taps = &in->rows[axis][y];
    if (!in->rows_by_area[axis]) {
        rows->a[c] = kerb_in_source_row(job, tile_index, c, taps->linear.start, s);
        rows->b[c] = taps->linear.weight > 0 ? kerb_in_source_row(job, tile_index, c, taps->linear.start + 1, s) : rows->a[c];
        rows->weight[c] = taps->linear.weight;
        return;
    }
    const KerbInBox *box = &taps->box;
    in->kernels.scale(s->sum[c], kerb_in_source_row(job, tile_index, c, box->start, s), box->first, n);
    for (int i = 1; i < box->n; i++)
        in->kernels.add(s->sum[c], kerb_in_source_row(job, tile_index, c, box->start + i, s), i == box->n - 1 ? box->last : box->middle, n);
    rows->a[c] = rows->b[c] = s->sum[c];
    rows->weight[c] = 0;
}

static uint8_t *kerb_in_pixel(const KerbInJob *job, int x, int y)
{
    const int64_t *strides = job->in->params.input.strides;
    return job->data + (y * strides[2] + x * strides[3]) * (int64_t)job->in->element_bytes;
}

/* Letterbox: columns [x0, x1) of row y. Zero bits are 0 in both types. */
static void kerb_in_clear(const KerbInJob *job, int y, int x0, int x1)
{
    const KerbInLayout *l = &job->in->layout;
    if (x1 <= x0) return;
    size_t bytes = job->in->element_bytes, n = (size_t)(x1 - x0);
    uint8_t *dst = kerb_in_pixel(job, x0, y);
    if (l->channel_stride == 1 && (l->padded || l->x_stride == l->channels)) {
        memset(dst, 0, n * (size_t)l->x_stride * bytes);
        return;
    }
    for (int c = 0; c < l->channels; c++) {
        uint8_t *plane = dst + (size_t)(c * l->channel_stride) * bytes;
        size_t step = (size_t)l->x_stride * bytes;
        if (l->x_stride == 1)
            memset(plane, 0, n * bytes);
        else
            for (size_t i = 0; i < n; i++) memset(plane + i * step, 0, bytes);
    }
}

static void kerb_in_run_tile(const KerbInJob *job, int tile_index, int y0, int y1)
{
    const KerbIn *in = job->in;
    const KerbGeometry *g = &in->params.geometry;
    const KerbInTile *tile = &in->columns[0].tiles[tile_index];
    KerbInScratch s;
    memset(s.held, 0xff, sizeof s.held);
    for (int y = y0; y < y1; y++) {
        KerbInRows rows = { 0 };
        for (int c = 0; c < in->plan.n_components; c++) kerb_in_mix_rows(job, tile_index, c, y - g->net_y0, &s, &rows);
        for (int c = in->plan.n_components; c < 3; c++) {
            rows.a[c] = rows.a[0], rows.b[c] = rows.b[0], rows.weight[c] = rows.weight[0];
        }
        in->kernels.convert(s.planes, &rows, &in->plan.fold, tile->n);
        if (in->plan.to_gray) in->kernels.luma(s.planes, in->plan.gray_scale, in->plan.gray_bias, tile->n);
        in->pack(kerb_in_pixel(job, g->net_x0 + tile->x, y), s.planes, tile->n, &in->layout);
    }
}

static void kerb_in_run_band(void *arg, int index, int count, int thread)
{
    const KerbInJob *job = arg;
    const KerbGeometry *g = &job->in->params.geometry;
    int y0, y1;
    kerb_share(g->net_height_px, 1, index, count, &y0, &y1);
    for (int y = y0; y < y1; y++) {
        bool shows = y >= g->net_y0 && y < g->net_y1;
        kerb_in_clear(job, y, 0, shows ? g->net_x0 : g->net_width_px);
        if (shows) kerb_in_clear(job, y, g->net_x1, g->net_width_px);
    }
    if (y0 < g->net_y0) y0 = g->net_y0;
    if (y1 > g->net_y1) y1 = g->net_y1;
    for (int t = 0; y0 < y1 && t < job->in->columns[0].n_tiles; t++) kerb_in_run_tile(job, t, y0, y1);
}

void kerb_in_run(const KerbIn *in, const KerbFrame *frame, const KerbTensor *input, KerbPool *pool)
{
    KerbInJob job = { in, frame, input->data };
    /* A few bands a thread even out what the others do to the processor; each costs one row that is filtered twice. */
    int threads = kerb_pool_threads(pool), bands = threads > 1 ? 4 * threads : 1, height = in->params.geometry.net_height_px;
    kerb_pool_run(pool, kerb_in_run_band, &job, bands < height ? bands : height);
}
