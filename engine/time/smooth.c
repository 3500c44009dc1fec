/* SPDX-License-Identifier: MIT */
/* Smoothing over time: an exponential average of each cell's scores, taken along the path of what the cell shows.
 *
 *     state = past + w * (scores - past),  w = 1 - exp(-dt / tau)
 *
 * The weight is that of the continuous first-order low-pass at any distance dt of two frames (Mueller: "Algorithms for Unevenly Spaced Time
 * Series: Moving Averages and Other Rolling Operators", 2014), so that thinned inference smooths as much a second as every frame does. `past` is the last state moved
 * by optical flow, as in Bonneel et al., "Blind Video Temporal Consistency", SIGGRAPH Asia 2015, and as there the past counts for less
 * where the moved picture differs from what is seen. Logits are averaged as they are: the geometric mean of the probabilities.
 *
 * The past is forgotten by kerb_smooth_reset(), at scene cuts (motion.c), where time stamps do not ascend, and little by little in gaps. */
#include "time/smooth.h"

#include "base/frame.h"
#include "base/memory.h"
#include "time/motion.h"
#include "time/smooth_cells.h"

#include <math.h>
#include <string.h>

/* Cells of heads of the same size and place share one of these. */
typedef struct KerbCellMap {
    int width, height;
    double cell_w_px, cell_h_px, origin_x_px, origin_y_px;
    float *dx, *dy, *weight; /* width * height */
} KerbCellMap;

typedef struct KerbSmoothState {
    KerbCellMap *map;
    int channels;
    KerbTensor shown, hidden; /* the last run's state, and where the next one goes */
    float *memory;
} KerbSmoothState;

struct KerbSmooth {
    KerbSmoothParams params;
    KerbMotion *motion;
    KerbFlow flow;
    float *sure;     /* of each small pixel: 0..1, how like the moved picture is to what is seen; after kerb_smooth_trust() relative to the whole picture */
    int factor;
    KerbCellsFn cells;
    int n_maps;
    KerbCellMap maps[KERB_SMOOTH_MAX_HEADS];
    KerbSmoothState states[KERB_SMOOTH_MAX_HEADS];
    KerbTensor shown[KERB_SMOOTH_MAX_HEADS];
    int n_tasks;
    float *rows;     /* a row of new scores a task */
    size_t row_elements;
    bool has_past;
    int64_t pts_ns;
    float *memory;
};

/* What one run's tasks need to know. */
typedef struct KerbSmoothJob {
    KerbSmooth *smooth;
    const KerbTensor *scores;
    float weight;
} KerbSmoothJob;

/* Without time stamps frames are taken to come at 30 a second. */
static const double KERB_SMOOTH_UNKNOWN_STEP_S = 1.0 / 30.0;
/* A strength: the time constant, and how unlike the moved picture may be before the past counts for less, as a share of its mean likeness.
 * Chosen by measurement (docs/live.md). */
typedef struct KerbStrength {
    double tau_s;
    float doubt;
} KerbStrength;
static const KerbStrength kerb_strengths[] = { [KERB_SMOOTHING_LIGHT] = { 0.1, 1.0f }, [KERB_SMOOTHING_STRONG] = { 0.3, 0.4f } };

/* ------------------------------------------------------------------------------------------------------------ life */

static KerbStatus kerb_smooth_no_memory(KerbError *error, const char *what, size_t bytes)
{
    return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to smooth over time: %s (%zu bytes)", what, bytes);
}

static KerbCellMap *kerb_smooth_map(KerbSmooth *s, const KerbSmoothHead *head)
{
    KerbCellMap map = { .width = (int)head->scores.dims[3], .height = (int)head->scores.dims[2], .cell_w_px = head->cell_w_px,
                        .cell_h_px = head->cell_h_px, .origin_x_px = head->origin_x_px, .origin_y_px = head->origin_y_px };
    for (int i = 0; i < s->n_maps; i++) {
        const KerbCellMap *m = &s->maps[i];
        if (m->width == map.width && m->height == map.height && m->cell_w_px == map.cell_w_px && m->cell_h_px == map.cell_h_px &&
            m->origin_x_px == map.origin_x_px && m->origin_y_px == map.origin_y_px)
            return &s->maps[i];
    }
    size_t cells = (size_t)map.width * (size_t)map.height;
    map.dx = kerb_alloc(3 * cells * sizeof(float));
    if (!map.dx) return NULL;
    map.dy = map.dx + cells;
    map.weight = map.dy + cells;
    s->maps[s->n_maps] = map;
    return &s->maps[s->n_maps++];
}

static KerbStatus kerb_smooth_state_init(KerbSmooth *s, int index, KerbError *error)
{
    const KerbSmoothHead *head = &s->params.heads[index];
    KerbSmoothState *state = &s->states[index];
    if (head->labels) return KERB_OK;
    const int64_t *dims = head->scores.dims;
    state->channels = (int)dims[1];
    size_t elements = (size_t)dims[1] * (size_t)dims[2] * (size_t)dims[3];
    state->map = kerb_smooth_map(s, head);
    state->memory = kerb_alloc(2 * elements * sizeof(float));
    if (!state->map || !state->memory) return kerb_smooth_no_memory(error, "scores", 2 * elements * sizeof(float));
    state->shown = kerb_tensor_channels_last(state->memory, KERB_F32, 4, dims, dims[1]);
    state->hidden = kerb_tensor_channels_last(state->memory + elements, KERB_F32, 4, dims, dims[1]);
    size_t row = (size_t)dims[1] * (size_t)dims[3];
    if (row > s->row_elements) s->row_elements = row;
    return KERB_OK;
}

static KerbStatus kerb_smooth_init(KerbSmooth *s, KerbError *error)
{
    const KerbSmoothParams *p = &s->params;
    KerbStatus status = kerb_motion_new(&s->motion, &p->format, p->cpu_flags, error);
    if (status != KERB_OK) return status;
    int width, height;
    kerb_motion_size(s->motion, &width, &height, &s->factor);
    size_t plane = (size_t)width * (size_t)height;
    s->memory = kerb_alloc(3 * plane * sizeof(float));
    if (!s->memory) return kerb_smooth_no_memory(error, "motion", 3 * plane * sizeof(float));
    s->flow = (KerbFlow){ width, height, s->memory, s->memory + plane };
    s->sure = s->memory + 2 * plane;
    s->cells = kerb_smooth_cells(p->cpu_flags);
    for (int i = 0; i < p->n_heads; i++) {
        status = kerb_smooth_state_init(s, i, error);
        if (status != KERB_OK) return status;
    }
    s->n_tasks = p->threads;
    s->rows = kerb_alloc((size_t)s->n_tasks * s->row_elements * sizeof(float));
    return s->rows ? KERB_OK : kerb_smooth_no_memory(error, "rows of scores", (size_t)s->n_tasks * s->row_elements * sizeof(float));
}

KerbStatus kerb_smooth_new(KerbSmooth **out, const KerbSmoothParams *params, KerbError *error)
{
    *out = NULL;
    if (params->smoothing != KERB_SMOOTHING_LIGHT && params->smoothing != KERB_SMOOTHING_STRONG)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "smoothing over time of strength %d", (int)params->smoothing);
    if (params->n_heads < 1 || params->n_heads > KERB_SMOOTH_MAX_HEADS || params->threads < 1)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "smoothing over time of %d outputs on %d threads", params->n_heads, params->threads);
    KerbSmooth *s = kerb_alloc(sizeof *s);
    if (!s) return kerb_smooth_no_memory(error, "itself", sizeof *s);
    s->params = *params;
    KerbStatus status = kerb_smooth_init(s, error);
    if (status != KERB_OK) kerb_smooth_free(&s);
    *out = s;
    return status;
}

void kerb_smooth_free(KerbSmooth **smooth)
{
    if (!smooth || !*smooth) return;
    KerbSmooth *s = *smooth;
    for (int i = 0; i < s->n_maps; i++) kerb_free(&s->maps[i].dx);
    for (int i = 0; i < KERB_SMOOTH_MAX_HEADS; i++) kerb_free(&s->states[i].memory);
    kerb_motion_free(&s->motion);
    kerb_free(&s->rows);
    kerb_free(&s->memory);
    kerb_free(smooth);
}

void kerb_smooth_reset(KerbSmooth *s)
{
    s->has_past = false;
    kerb_motion_reset(s->motion);
}

/* ------------------------------------------------------------------------------------------------------------- run */

/* How much of the past stands at each small pixel: less where the moved picture is less like what is seen than the whole picture on average is. (Noise
 * makes all of a camera's picture less like itself, and that is no reason to forget.) */
static void kerb_smooth_trust(KerbSmooth *s)
{
    int n = s->flow.width * s->flow.height;
    float sum = 0;
    for (int i = 0; i < n; i++) sum += s->sure[i];
    float scale = sum > 0 ? (float)n / sum / kerb_strengths[s->params.smoothing].doubt : 1;
    for (int i = 0; i < n; i++) s->sure[i] = s->sure[i] * scale < 1 ? s->sure[i] * scale : 1;
}

/* The share of the new scores; 1: there is no past. */
static float kerb_smooth_weight(KerbSmooth *s, const KerbFrame *frame)
{
    double step_s = KERB_SMOOTH_UNKNOWN_STEP_S;
    if (frame->pts_ns != KERB_TIME_NONE && s->pts_ns != KERB_TIME_NONE) step_s = (double)frame->pts_ns / 1e9 - (double)s->pts_ns / 1e9;
    if (s->has_past && !(step_s > 0)) kerb_smooth_reset(s);
    KerbMotionKind kind = kerb_motion_add(s->motion, frame, &s->flow, s->sure);
    bool past = s->has_past && kind == KERB_MOTION_KNOWN;
    if (past) kerb_smooth_trust(s);
    s->pts_ns = frame->pts_ns;
    s->has_past = true;
    return past ? (float)-expm1(-step_s / kerb_strengths[s->params.smoothing].tau_s) : 1.0f;
}

/* One row of a head's new scores, as floats with the channels together. */
static void kerb_smooth_load(const KerbTensor *t, int y, float *to)
{
    const int64_t channels = t->dims[1], width = t->dims[3], sc = t->strides[1], sx = t->strides[3], first = y * t->strides[2];
    if (t->dtype == KERB_F32) {
        const float *from = (const float *)t->data + first;
        for (int64_t x = 0; x < width; x++)
            for (int64_t c = 0; c < channels; c++) to[x * channels + c] = from[x * sx + c * sc];
    } else if (t->dtype == KERB_BF16) {
        const uint16_t *from = (const uint16_t *)t->data + first;
        for (int64_t x = 0; x < width; x++)
            for (int64_t c = 0; c < channels; c++) to[x * channels + c] = kerb_bf16_to_f32(from[x * sx + c * sc]);
    } else {
        for (int64_t x = 0; x < width; x++)
            for (int64_t c = 0; c < channels; c++) to[x * channels + c] = (float)kerb_tensor_get(t, (c * t->dims[2] + y) * width + x);
    }
}

/* The same where it lies, or in `space` where it lies otherwise. */
static const float *kerb_smooth_row(const KerbTensor *t, int y, float *space)
{
    if (t->dtype == KERB_F32 && t->strides[1] == 1 && t->strides[3] == t->dims[1]) return (const float *)t->data + y * t->strides[2];
    kerb_smooth_load(t, y, space);
    return space;
}

/* Where the cells of row y were, in cells, and how much of the new scores they take. */
static void kerb_smooth_trace(const KerbSmooth *s, KerbCellMap *m, float weight, int y)
{
    double small_y = ((y + 0.5) * m->cell_h_px + m->origin_y_px) / s->factor - 0.5;
    float to_x = (float)(s->factor / m->cell_w_px), to_y = (float)(s->factor / m->cell_h_px);
    int64_t at = (int64_t)y * m->width;
    for (int x = 0; x < m->width; x++, at++) {
        double small_x = ((x + 0.5) * m->cell_w_px + m->origin_x_px) / s->factor - 0.5;
        float u, v, sure;
        kerb_flow_at(&s->flow, s->sure, (float)small_x, (float)small_y, &u, &v, &sure);
        m->dx[at] = u * to_x;
        m->dy[at] = v * to_y;
        m->weight[at] = 1 - (1 - weight) * sure;
    }
}

static void kerb_smooth_trace_task(void *arg, int index, int count, int thread)
{
    const KerbSmoothJob *job = arg;
    for (int i = 0; i < job->smooth->n_maps; i++) {
        KerbCellMap *map = &job->smooth->maps[i];
        int begin, end;
        kerb_share(map->height, 1, index, count, &begin, &end);
        for (int y = begin; y < end; y++) kerb_smooth_trace(job->smooth, map, job->weight, y);
    }
}

static void kerb_smooth_head_task(void *arg, int index, int count, int thread)
{
    const KerbSmoothJob *job = arg;
    KerbSmooth *s = job->smooth;
    for (int i = 0; i < s->params.n_heads; i++) {
        KerbSmoothState *state = &s->states[i];
        KerbCellMap *map = state->map;
        if (!map) continue;
        int begin, end;
        kerb_share(map->height, 1, index, count, &begin, &end);
        for (int y = begin; y < end; y++) {
            int64_t at = (int64_t)y * map->width;
            float *out = (float *)state->hidden.data + at * state->channels;
            if (job->weight >= 1) {
                kerb_smooth_load(&job->scores[i], y, out);
                continue;
            }
            const float *now = kerb_smooth_row(&job->scores[i], y, s->rows + (size_t)index * s->row_elements);
            s->cells(&(KerbCellsRow){ .width = map->width, .height = map->height, .channels = state->channels, .y = y, .dx = map->dx + at,
                                      .dy = map->dy + at, .weight = map->weight + at, .past = state->shown.data, .now = now, .out = out });
        }
    }
}

const KerbTensor *kerb_smooth_run(KerbSmooth *s, const KerbTensor scores[], const KerbFrame *frame, KerbPool *pool)
{
    KerbSmoothJob job = { s, scores, kerb_smooth_weight(s, frame) };
    if (job.weight < 1) kerb_pool_run(pool, kerb_smooth_trace_task, &job, s->n_tasks);
    kerb_pool_run(pool, kerb_smooth_head_task, &job, s->n_tasks);
    for (int i = 0; i < s->params.n_heads; i++) {
        KerbSmoothState *state = &s->states[i];
        KerbTensor shown = state->hidden;
        state->hidden = state->shown;
        state->shown = shown;
        s->shown[i] = state->map ? shown : scores[i];
    }
    return s->shown;
}
