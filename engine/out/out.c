/* SPDX-License-Identifier: MIT */
/* Scores of all heads -> labels, confidence and the picture, two frame rows at a time while they are in the cache, in bands of rows over the pool.
 * Each row depends on nothing but the scores and the frame, so the result is the same for any number of threads. */
#include "out/out.h"

#include "base/memory.h"
#include "out/out_head.h"

#include <math.h>
#include <string.h>

/* More tasks than threads, so that a thread that the system holds up does not hold up the frame; each costs two more rows of cells. */
enum { KERB_OUT_TASKS_PER_THREAD = 4, KERB_OUT_TASK_ROWS = 32 };

typedef struct KerbOutTask {
    KerbHeadScratch heads[KERB_MAX_HEADS];
    uint8_t *upper_labels, *upper_confidence; /* a row of a head that lies over others */
    void *memory;
} KerbOutTask;

struct KerbOut {
    KerbOutParams params;
    KerbOutKernels kernels;
    KerbHead heads[KERB_MAX_HEADS];
    KerbDraw *draw;
    int n_tasks;
    KerbOutTask *tasks;
};

/* What one run's tasks need to know. */
typedef struct KerbOutJob {
    KerbOut *out;
    const KerbTensor *scores;
    bool valid[KERB_MAX_HEADS];
    const KerbFrame *frame, *picture; /* picture NULL: not drawn */
    KerbMap labels, confidence;
    bool draw_rows; /* row pairs are drawn as they are labelled */
} KerbOutJob;

KerbStatus kerb_out_check(const KerbOutParams *params, KerbError *error)
{
    KerbStatus status = kerb_video_format_check(&params->format, error);
    if (status != KERB_OK) return status;
    const KerbGeometry *g = &params->geometry;
    const KerbVideoFormat *f = &params->format;
    if (params->n_heads < 1 || params->n_heads > KERB_MAX_HEADS)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "%d output heads; need 1 to %d", params->n_heads, KERB_MAX_HEADS);
    if (params->threads < 1) return kerb_fail(error, KERB_ERROR_ARGUMENT, "%d threads for the output stage; need at least 1", params->threads);
    if (g->frame_width_px != f->width_px || g->frame_height_px != f->height_px)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "the geometry is for %d x %d, the frame has %d x %d", g->frame_width_px, g->frame_height_px,
                         f->width_px, f->height_px);
    if (g->frame_x0 < 0 || g->frame_y0 < 0 || g->frame_x1 > f->width_px || g->frame_y1 > f->height_px || g->frame_x0 >= g->frame_x1 ||
        g->frame_y0 >= g->frame_y1)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "the network sees columns %d..%d and rows %d..%d of a frame of %d x %d", g->frame_x0, g->frame_x1,
                         g->frame_y0, g->frame_y1, f->width_px, f->height_px);
    if (!(g->scale_x > 0.0) || !(g->scale_y > 0.0) || !isfinite(g->scale_x) || !isfinite(g->scale_y) || !isfinite(g->offset_x) || !isfinite(g->offset_y))
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "the geometry's scale (%g, %g) and offset (%g, %g) must be finite, the scale above 0", g->scale_x,
                         g->scale_y, g->offset_x, g->offset_y);
    return KERB_OK;
}

static KerbStatus kerb_out_task_init(const KerbOut *out, KerbOutTask *task, KerbError *error)
{
    size_t columns = (size_t)out->params.format.width_px;
    task->memory = kerb_alloc(2 * columns);
    if (!task->memory) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for two rows of %zu labels", columns);
    task->upper_labels = task->memory;
    task->upper_confidence = task->upper_labels + columns;
    for (int i = 0; i < out->params.n_heads; i++) {
        KerbStatus status = kerb_head_scratch_init(&out->heads[i], &task->heads[i], error);
        if (status != KERB_OK) return status;
    }
    return KERB_OK;
}

KerbStatus kerb_out_new(KerbOut **result, const KerbOutParams *params, KerbError *error)
{
    *result = NULL;
    KerbStatus status = kerb_out_check(params, error);
    if (status != KERB_OK) return status;
    KerbOut *out = kerb_alloc(sizeof(*out));
    if (!out) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the output stage (%zu bytes)", sizeof(*out));
    out->params = *params;
    kerb_out_kernels(&out->kernels, params->cpu_flags);
    for (int i = 0; i < params->n_heads; i++) {
        status = kerb_head_init(&out->heads[i], params, i, &out->kernels, error);
        if (status != KERB_OK) goto fail;
    }
    status = kerb_draw_new(&out->draw, &params->format, params->cpu_flags, error);
    if (status != KERB_OK) goto fail;
    int most = (params->format.height_px + KERB_OUT_TASK_ROWS - 1) / KERB_OUT_TASK_ROWS;
    int n_tasks = params->threads == 1 || params->threads > most ? params->threads : params->threads * KERB_OUT_TASKS_PER_THREAD;
    n_tasks = n_tasks < most ? n_tasks : most;
    out->tasks = kerb_alloc((size_t)n_tasks * sizeof(*out->tasks));
    if (!out->tasks) {
        status = kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %d tasks of the output stage", n_tasks);
        goto fail;
    }
    out->n_tasks = n_tasks;
    for (int i = 0; i < n_tasks; i++) {
        status = kerb_out_task_init(out, &out->tasks[i], error);
        if (status != KERB_OK) goto fail;
    }
    *result = out;
    return KERB_OK;
fail:
    kerb_out_free(&out);
    return status;
}

void kerb_out_free(KerbOut **result)
{
    KerbOut *out = result ? *result : NULL;
    if (!out) return;
    for (int i = 0; i < out->n_tasks; i++) {
        for (int h = 0; h < KERB_MAX_HEADS; h++) kerb_head_scratch_clear(&out->tasks[i].heads[h]);
        kerb_free(&out->tasks[i].memory);
    }
    kerb_free(&out->tasks);
    kerb_draw_free(&out->draw);
    for (int h = 0; h < KERB_MAX_HEADS; h++) kerb_head_clear(&out->heads[h]);
    kerb_free(result);
}

/* One frame row; confidence NULL: not wanted. */
static void kerb_out_row(const KerbOutJob *job, KerbOutTask *task, int y, uint8_t *labels, uint8_t *confidence)
{
    const KerbOut *out = job->out;
    const KerbGeometry *g = &out->params.geometry;
    bool inside = y >= g->frame_y0 && y < g->frame_y1;
    size_t width = (size_t)g->frame_width_px, left = inside ? (size_t)g->frame_x0 : width, right = inside ? width - (size_t)g->frame_x1 : 0;
    memset(labels, KERB_LABEL_NONE, left);
    memset(labels + width - right, KERB_LABEL_NONE, right);
    if (confidence) {
        memset(confidence, 0, left);
        memset(confidence + width - right, 0, right);
    }
    if (!inside) return;
    int n = g->frame_x1 - g->frame_x0;
    labels += left;
    if (confidence) confidence += left;
    for (int h = 0; h < out->params.n_heads; h++) {
        uint8_t *to = h ? task->upper_labels : labels;
        uint8_t *sure = !confidence ? NULL : h ? task->upper_confidence : confidence;
        if (job->valid[h]) {
            kerb_head_row(&out->heads[h], &task->heads[h], &job->scores[h], y, to, sure);
        } else {
            memset(to, h ? 0 : KERB_LABEL_NONE, (size_t)n);
            if (sure) memset(sure, 0, (size_t)n);
        }
        if (h) out->kernels.layer(labels, confidence, to, sure, n);
    }
}

static void kerb_out_task(void *arg, int index, int count, int thread)
{
    const KerbOutJob *job = arg;
    KerbOut *out = job->out;
    KerbOutTask *task = &out->tasks[index];
    int height = out->params.format.height_px, begin, end;
    kerb_share(height, 2, index, count, &begin, &end);
    for (int h = 0; h < out->params.n_heads; h++) kerb_head_begin(&task->heads[h]);
    for (int y = begin; y < end; y++) {
        uint8_t *confidence = job->confidence.data ? job->confidence.data + (size_t)y * (size_t)job->confidence.stride : NULL;
        kerb_out_row(job, task, y, job->labels.data + (size_t)y * (size_t)job->labels.stride, confidence);
        bool pair = (y & 1) || y + 1 == end;
        if (job->draw_rows && pair) kerb_draw_rows(out->draw, job->frame, job->labels, job->picture, y & ~1, y + 1);
    }
}

/* Side-by-side takes its labels from rows that other tasks wrote: a pass of its own. */
static void kerb_out_draw_task(void *arg, int index, int count, int thread)
{
    const KerbOutJob *job = arg;
    int begin, end;
    kerb_share(job->out->params.format.height_px, 2, index, count, &begin, &end);
    kerb_draw_rows(job->out->draw, job->frame, job->labels, job->picture, begin, end);
}

void kerb_out_run(KerbOut *out, const KerbTensor scores[], const KerbFrame *frame, KerbMap labels, KerbMap confidence, const KerbDisplay *display,
                  const KerbFrame *picture, KerbPool *pool)
{
    bool draw = picture && picture->planes[0] && display && frame;
    KerbOutJob job = { .out = out, .scores = scores, .frame = frame, .picture = picture, .labels = labels, .confidence = confidence };
    if (!out->params.confidence) job.confidence.data = NULL;
    for (int h = 0; h < out->params.n_heads; h++) job.valid[h] = kerb_head_takes(&out->heads[h], &scores[h]);
    if (draw) kerb_draw_prepare(out->draw, display);
    job.draw_rows = draw && display->visualize != KERB_VISUALIZE_SIDE_BY_SIDE;
    kerb_pool_run(pool, kerb_out_task, &job, out->n_tasks);
    if (draw && !job.draw_rows) kerb_pool_run(pool, kerb_out_draw_task, &job, out->n_tasks);
}
