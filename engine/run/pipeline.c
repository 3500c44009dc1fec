/* SPDX-License-Identifier: MIT */
/* The pipeline between open and close: formats, the door for frames, and kerb.h's other functions. A frame's way through the stages is frame.c's.
 * Nothing here but kerb_set_format() and kerb_host_alloc() allocates. */
#include "run/pipeline.h"

#include "base/cpu.h"

#include <string.h>

/* ---- formats */

void kerb_pipeline_drop_format(KerbPipeline *p)
{
    p->has_format = false;
    pthread_mutex_lock(&p->mutex); /* kerb_get_stats() may be looking */
    KerbStaged *staged = p->staged;
    p->staged = NULL;
    pthread_mutex_unlock(&p->mutex);
    if (staged) p->backend->stages->close(&staged);
    kerb_in_free(&p->in);
    kerb_out_free(&p->out);
    kerb_smooth_free(&p->smooth);
    kerb_host_free(&p->maps);
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

static void fill_params(const KerbPipeline *p, const KerbVideoFormat *format, KerbInParams *in, KerbOutParams *out)
{
    const KerbModelInput *input = &p->model->input;
    KerbGeometry geometry;
    kerb_geometry_init(&geometry, format->width_px, format->height_px, p->net_width_px, p->net_height_px, input->fit);
    *in = (KerbInParams){ .format = *format, .geometry = geometry, .color = input->color, .input = p->input, .cpu_flags = kerb_cpu_flags() };
    memcpy(in->mean, input->mean, sizeof in->mean);
    memcpy(in->std, input->std, sizeof in->std);
    *out = (KerbOutParams){ .format = *format, .geometry = geometry, .n_heads = p->graph->n_heads, .confidence = p->confidence,
                            .cpu_flags = kerb_cpu_flags(), .threads = p->threads };
    memcpy(out->heads, p->heads, sizeof out->heads);
}

static KerbStatus make_host_stages(KerbPipeline *p, const KerbVideoFormat *format, KerbError *error)
{
    KerbInParams in;
    KerbOutParams out;
    fill_params(p, format, &in, &out);
    KerbStatus status = kerb_in_new(&p->in, &in, error);
    if (status == KERB_OK) status = kerb_out_new(&p->out, &out, error);
    return status == KERB_OK && p->smoothing != KERB_SMOOTHING_OFF ? make_smooth(p, format, &in.geometry, error) : status;
}

/* What the backend's own stages cannot take (UNSUPPORTED) goes the host's way: right, but slower. */
static KerbStatus make_stages(KerbPipeline *p, const KerbVideoFormat *format, KerbError *error)
{
    const KerbStages *stages = kerb_pipeline_stages(p, p->backend);
    if (!stages && p->backend->stages)
        kerb_log(KERB_LOG_INFO, "frames are read and labels are made by the processor, not by %s: smoothing over time works on scores there",
                 p->backend->name);
    if (!stages) return make_host_stages(p, format, error);
    KerbStagesParams params = { .slots = p->slots, .nhwc = p->model->input.nhwc };
    fill_params(p, format, &params.in, &params.out);
    for (int i = 0; i < params.out.n_heads; i++) params.channel_axis[i] = p->graph->heads[i].channel_axis;
    KerbStaged *staged = NULL;
    KerbError reason = { 0 };
    KerbStatus status = stages->open(&staged, p->net, &params, &reason);
    if (status == KERB_ERROR_UNSUPPORTED) {
        kerb_log(KERB_LOG_INFO, "frames are read and labels are made by the processor, not by %s: %s", p->backend->name, reason.message);
        return make_host_stages(p, format, error);
    }
    if (status != KERB_OK) {
        if (error) *error = reason;
        return status;
    }
    pthread_mutex_lock(&p->mutex);
    p->staged = staged;
    pthread_mutex_unlock(&p->mutex);
    return KERB_OK;
}

static KerbStatus make_maps(KerbPipeline *p, const KerbVideoFormat *format, KerbError *error)
{
    p->map_stride = (format->width_px + KERB_ALIGNMENT - 1) / KERB_ALIGNMENT * KERB_ALIGNMENT;
    p->map_bytes = (size_t)p->map_stride * (size_t)format->height_px;
    size_t total = p->map_bytes * (size_t)(p->slots + 1) * (p->confidence ? 2 : 1);
    KerbStatus status = kerb_host_alloc(p, total, &p->maps, error);
    if (status != KERB_OK)
        kerb_error_prefix(error, "the label maps of %d slots at %d x %d pixels: ", p->slots, format->width_px, format->height_px);
    return status;
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
    if (kerb_pipeline_is_lost(p, error)) return KERB_ERROR_BACKEND;
    if (p->has_format && memcmp(&p->format, format, sizeof *format) == 0) return KERB_OK;
    kerb_pipeline_drop_format(p);
    int width, height;
    kerb_model_size(p->model, format, &width, &height);
    cpu_set_t before;
    kerb_cpu_keep_to(p->cores, &before);
    status = kerb_pipeline_compile(p, width, height, error);
    kerb_cpu_give_back(p->cores, &before);
    if (status == KERB_OK) status = make_stages(p, format, error);
    if (status == KERB_OK) status = make_maps(p, format, error);
    if (status != KERB_OK) {
        kerb_pipeline_drop_format(p);
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

static KerbStatus check_memory(const KerbPipeline *p, const KerbFrame *frame, const char *what, KerbError *error)
{
    if (frame->memory == KERB_MEMORY_HOST || (frame->memory == KERB_MEMORY_CUDA && p->staged)) return KERB_OK;
    if (frame->memory != KERB_MEMORY_CUDA)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: the memory kind %d of the %s is not a value of KerbMemory", (int)frame->memory, what);
    return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: the %s lies in a GPU's memory, but the backend %s%s reads and writes host memory: "
                     "bring it down first, or use the backend cuda without smoothing", what, p->backend->name,
                     p->smoothing != KERB_SMOOTHING_OFF ? " (with smoothing over time)" : "");
}

static KerbStatus check_job(const KerbPipeline *p, const KerbJob *job, const KerbDisplay *display, KerbError *error)
{
    if (!p->has_format) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_submit: no format is set; call kerb_set_format() first");
    KerbStatus status = kerb_frame_check(&p->format, &job->frame, "frame", error);
    if (status == KERB_OK) status = check_memory(p, &job->frame, "frame", error);
    if (status == KERB_OK && job->picture.planes[0]) status = kerb_frame_check(&p->format, &job->picture, "picture", error);
    if (status == KERB_OK && job->picture.planes[0]) status = check_memory(p, &job->picture, "picture", error);
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
    if (p->staged) p->backend->stages->stats(p->staged, stats);
    pthread_mutex_unlock(&p->mutex);
}
