/* SPDX-License-Identifier: MIT */
/* The pipeline's streaming life: formats, one frame's way through in -> net -> out, and kerb.h's functions between open and close. Nothing
 * here but kerb_set_format() allocates. */
#include "run/pipeline.h"

#include "base/cpu.h"
#include "base/memory.h"
#include "base/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one frame, on the ring's thread */

static KerbMap slot_map(const KerbPipeline *p, uint64_t number, int which)
{
    size_t set = (size_t)(number % (uint64_t)(p->slots + 1)), maps = p->confidence ? 2 : 1;
    return (KerbMap){ p->maps + (set * maps + (size_t)which) * p->map_bytes, p->map_stride };
}

/* The scores to show: the network's own, or averaged with the past. */
static const KerbTensor *smooth_scores(KerbPipeline *p, KerbSlot *slot)
{
    if (!p->smooth) return p->scores;
    int64_t begin = kerb_now_ns();
    if (slot->era != p->era) kerb_smooth_reset(p->smooth);
    p->era = slot->era;
    const KerbTensor *scores = kerb_smooth_run(p->smooth, p->scores, &slot->job.frame, p->pool);
    slot->result.times.smooth_ns = kerb_now_ns() - begin;
    return scores;
}

void kerb_pipeline_run(void *user, KerbSlot *slot)
{
    KerbPipeline *p = user;
    KerbResult *result = &slot->result;
    const KerbJob *job = &slot->job;
    int64_t t0 = kerb_now_ns();
    kerb_in_run(p->in, &job->frame, &p->input, p->pool);
    int64_t t1 = kerb_now_ns();
    result->times.in_ns = t1 - t0;
    result->status = p->backend->run(p->net, &slot->error);
    int64_t t2 = kerb_now_ns();
    result->times.net_ns = t2 - t1;
    if (result->status != KERB_OK) return;
    result->labels = job->labels.data ? job->labels : slot_map(p, slot->number, 0);
    if (p->confidence) result->confidence = job->confidence.data ? job->confidence : slot_map(p, slot->number, 1);
    const KerbTensor *scores = smooth_scores(p, slot);
    kerb_out_run(p->out, scores, &job->frame, result->labels, result->confidence, &slot->display, &job->picture, p->pool);
    result->times.out_ns = kerb_now_ns() - t2;
}

/* ---- formats */

static void drop_format(KerbPipeline *p)
{
    p->has_format = false;
    kerb_in_free(&p->in);
    kerb_out_free(&p->out);
    kerb_smooth_free(&p->smooth);
    kerb_free(&p->maps);
}

static KerbStatus make_smooth(KerbPipeline *p, const KerbVideoFormat *format, const KerbGeometry *g, KerbError *error)
{
    KerbSmoothParams params = { .smoothing = p->smoothing, .format = *format, .n_heads = p->graph->n_heads, .cpu_flags = kerb_cpu_flags(),
                                .threads = p->threads };
    for (int i = 0; i < params.n_heads; i++) {
        const KerbOutHead *head = &p->heads[i];
        params.heads[i] = (KerbSmoothHead){
            .scores = p->scores[i],
            .labels = head->kind == KERB_SCORES_LABELS,
            .cell_w_px = head->cell_w_px * g->scale_x,
            .cell_h_px = head->cell_h_px * g->scale_y,
            .origin_x_px = head->origin_x_px * g->scale_x + g->offset_x,
            .origin_y_px = head->origin_y_px * g->scale_y + g->offset_y,
        };
    }
    return kerb_smooth_new(&p->smooth, &params, error);
}

static KerbStatus make_stages(KerbPipeline *p, const KerbVideoFormat *format, KerbError *error)
{
    const KerbModelInput *input = &p->model->input;
    KerbGeometry geometry;
    kerb_geometry_init(&geometry, format->width_px, format->height_px, p->net_width_px, p->net_height_px, input->fit);
    KerbInParams in = { .format = *format, .geometry = geometry, .color = input->color, .input = p->input, .cpu_flags = kerb_cpu_flags() };
    memcpy(in.mean, input->mean, sizeof in.mean);
    memcpy(in.std, input->std, sizeof in.std);
    KerbStatus status = kerb_in_new(&p->in, &in, error);
    if (status != KERB_OK) return status;
    KerbOutParams out = { .format = *format, .geometry = geometry, .n_heads = p->graph->n_heads, .confidence = p->confidence,
                          .cpu_flags = kerb_cpu_flags(), .threads = p->threads };
    memcpy(out.heads, p->heads, sizeof out.heads);
    status = kerb_out_new(&p->out, &out, error);
    return status == KERB_OK && p->smoothing != KERB_SMOOTHING_OFF ? make_smooth(p, format, &geometry, error) : status;
}

static KerbStatus make_maps(KerbPipeline *p, const KerbVideoFormat *format, KerbError *error)
{
    p->map_stride = (format->width_px + KERB_ALIGNMENT - 1) / KERB_ALIGNMENT * KERB_ALIGNMENT;
    p->map_bytes = (size_t)p->map_stride * (size_t)format->height_px;
    size_t total = p->map_bytes * (size_t)(p->slots + 1) * (p->confidence ? 2 : 1);
    p->maps = kerb_alloc(total);
    if (p->maps) return KERB_OK;
    return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the label maps of %d slots at %d x %d pixels (%zu bytes)", p->slots,
                     format->width_px, format->height_px, total);
}

KERB_API KerbStatus kerb_set_format(KerbPipeline *p, const KerbVideoFormat *format, KerbError *error)
{
    kerb_error_clear(error);
    if (!p || !format) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_set_format: no %s was given", p ? "format" : "pipeline");
    KerbStatus status = kerb_video_format_check(format, error);
    if (status != KERB_OK) return status;
    int in_flight = kerb_ring_in_flight(p->ring);
    if (in_flight)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_set_format: %d frame%s in flight; collect these first (kerb_drain, kerb_flush)",
                         in_flight, in_flight == 1 ? " is" : "s are");
    if (p->has_format && memcmp(&p->format, format, sizeof *format) == 0) return KERB_OK;
    drop_format(p);
    int width, height;
    kerb_model_size(p->model, format, &width, &height);
    status = kerb_pipeline_compile(p, width, height, error);
    if (status == KERB_OK) status = make_stages(p, format, error);
    if (status == KERB_OK) status = make_maps(p, format, error);
    if (status != KERB_OK) {
        drop_format(p);
        return status;
    }
    p->format = *format;
    p->has_format = true;
    return KERB_OK;
}

/* ---- frames */

static KerbStatus check_map(const KerbPipeline *p, const KerbMap *map, const char *what, KerbError *error)
{
    if (!map->data || map->stride >= p->format.width_px) return KERB_OK;
    return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: the stride %d of the %s is shorter than the width of %d", map->stride, what,
                     p->format.width_px);
}

static KerbStatus check_job(const KerbPipeline *p, const KerbJob *job, const KerbDisplay *display, KerbError *error)
{
    if (!p->has_format) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: no format is set; call kerb_set_format() first");
    KerbStatus status = kerb_frame_check(&p->format, &job->frame, "frame", error);
    if (status == KERB_OK && job->picture.planes[0]) status = kerb_frame_check(&p->format, &job->picture, "picture", error);
    if (status == KERB_OK) status = check_map(p, &job->labels, "labels", error);
    if (status == KERB_OK) status = check_map(p, &job->confidence, "confidence", error);
    if (status == KERB_OK && display->visualize == KERB_VISUALIZE_SIDE_BY_SIDE && job->picture.planes[0] == job->frame.planes[0])
        status = kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: side-by-side cannot be drawn in place; give a picture of its own");
    return status;
}

KERB_API KerbStatus kerb_submit(KerbPipeline *p, const KerbJob *job, KerbError *error)
{
    kerb_error_clear(error);
    if (!p || !job) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: no %s was given", p ? "job" : "pipeline");
    KerbDisplay display;
    kerb_get_display(p, &display);
    KerbStatus status = check_job(p, job, &display, error);
    return status == KERB_OK ? kerb_ring_submit(p->ring, job, &display) : status;
}

KERB_API KerbStatus kerb_collect(KerbPipeline *p, KerbResult *result, int64_t timeout_ns, KerbError *error)
{
    kerb_error_clear(error);
    if (!p || !result)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_collect: no %s was given", p ? "place for the result" : "pipeline");
    KerbStatus status = kerb_ring_collect(p->ring, result, timeout_ns, error);
    if (status == KERB_OK && result->pts_ns != KERB_TIME_NONE && result->source_pts_ns != KERB_TIME_NONE)
        result->age_ns = result->pts_ns - result->source_pts_ns;
    return status;
}

KERB_API void kerb_flush(KerbPipeline *p) { kerb_ring_flush(p->ring); }
KERB_API void kerb_set_flushing(KerbPipeline *p, bool flushing) { kerb_ring_set_flushing(p->ring, flushing); }
KERB_API void kerb_reset_time(KerbPipeline *p) { kerb_ring_mark(p->ring); }
KERB_API void kerb_drain(KerbPipeline *p) { kerb_ring_drain(p->ring); }

/* ---- display, classes, counters */

KERB_API void kerb_set_display(KerbPipeline *p, const KerbDisplay *display)
{
    pthread_mutex_lock(&p->mutex);
    p->display = *display;
    if (!(p->display.alpha >= 0)) p->display.alpha = 0; /* NaN too */
    if (p->display.alpha > 1) p->display.alpha = 1;
    if (p->display.visualize < KERB_VISUALIZE_NONE || p->display.visualize > KERB_VISUALIZE_SIDE_BY_SIDE)
        p->display.visualize = KERB_VISUALIZE_OVERLAY;
    pthread_mutex_unlock(&p->mutex);
}

KERB_API void kerb_get_display(KerbPipeline *p, KerbDisplay *display)
{
    pthread_mutex_lock(&p->mutex);
    *display = p->display;
    pthread_mutex_unlock(&p->mutex);
}

KERB_API const KerbClass *kerb_classes(const KerbPipeline *p, int *n)
{
    *n = p->model->classes.n;
    return p->model->classes.classes;
}

KERB_API void kerb_get_stats(KerbPipeline *p, KerbStats *stats)
{
    *stats = (KerbStats){ 0 };
    kerb_ring_stats(p->ring, stats);
    pthread_mutex_lock(&p->mutex);
    stats->compile_ns = p->compile_ns;
    memcpy(stats->backend, p->backend_text, sizeof stats->backend);
    stats->network_width_px = p->stats_width_px;
    stats->network_height_px = p->stats_height_px;
    pthread_mutex_unlock(&p->mutex);
}
