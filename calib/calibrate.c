/* SPDX-License-Identifier: MIT */
/* Calibration from beginning to end: opening, keeping frames, the steps in order, the files. */
#include "calib/calibrator.h"

#include "base/cpu.h"
#include "base/hash.h"
#include "run/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

KERB_API const char *const kerb_range_methods[] = { "min-max", "percentile", "kl", "mse", NULL };

KERB_API void kerb_calibrate_options_init(KerbCalibrateOptions *o)
{
    *o = (KerbCalibrateOptions){ .method = KERB_RANGE_MSE, .percentile = 99.99, .agreement = 0.995, .bias_correction = true, .max_frames = 96 };
}

KerbStatus kerb_calib_no_memory(KerbError *error) { return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the calibration"); }

void kerb_calib_progress(const KerbCalibrator *c, const char *what, int done, int total)
{
    if (c->config.progress) c->config.progress(c->config.progress_user, what, done, total);
}

/* ---- opening */

static KerbStatus kerb_calib_check_options(const KerbCalibrateOptions *o, KerbError *error)
{
    if (o->method < 0 || o->method >= KERB_RANGE_METHODS) return kerb_fail(error, KERB_ERROR_ARGUMENT, "%d is no method of ranges", (int)o->method);
    if (!(o->percentile > 50 && o->percentile <= 100)) return kerb_fail(error, KERB_ERROR_ARGUMENT, "a percentile of %g is outside 50 to 100", o->percentile);
    if (!(o->agreement >= 0 && o->agreement <= 1)) return kerb_fail(error, KERB_ERROR_ARGUMENT, "an agreement of %g is outside 0 to 1", o->agreement);
    if (o->max_frames < 2 || o->max_frames > 100000) return kerb_fail(error, KERB_ERROR_ARGUMENT, "%d frames: 2 to 100000 can be kept", o->max_frames);
    return KERB_OK;
}

/* The calling thread, and so those that it makes. */
static void kerb_calib_pin(KerbCalibrator *c, const KerbConfig *config)
{
    c->cores = kerb_config_cores(config, &c->named_cores);
    c->bench.threads = kerb_config_threads(config, c->cores);
    kerb_cpu_keep_to(c->cores, &c->cores_before);
}

static KerbStatus kerb_calib_choose_backend(KerbCalibrator *c, const KerbConfig *config, KerbError *error)
{
    KerbBackendChoice choices[KERB_MAX_BACKENDS];
    int n;
    bool automatic = !config->backend || !config->backend[0] || strcmp(config->backend, "auto") == 0;
    KerbError reason = { 0 };
    KerbStatus status = kerb_backends_choose(automatic ? "cpu" : config->backend, config->device_id, choices, &n, &reason);
    if (status != KERB_OK && automatic) {
        kerb_log(KERB_LOG_WARNING, "calibration runs on the reference backend, which is slow: %s", reason.message);
        status = kerb_backends_choose("ref", 0, choices, &n, &reason);
    }
    if (status != KERB_OK) {
        if (error) *error = reason;
        return status;
    }
    c->bench.choice = choices[0];
    kerb_calib_pin(c, config);
    kerb_backend_text(&choices[0], KERB_PRECISION_F32, c->result.backend, sizeof c->result.backend);
    return kerb_pool_new(&c->bench.pool, c->bench.threads, error);
}

static KerbStatus kerb_calib_nothing(const KerbCalibrator *c, KerbError *error)
{
    return kerb_fail(error, KERB_ERROR_ASSET, "%s: there is nothing to quantise: no convolution, Gemm or MatMul with weights that are constants", c->model_file);
}

static KerbStatus kerb_calib_open_model(KerbCalibrator *c, KerbError *error)
{
    KerbStatus status = kerb_model_open(&c->model, &c->config, error);
    if (status == KERB_OK) status = kerb_qdq_check(c->model->onnx, error);
    kerb_model_blame(c->model_file, error);
    if (status != KERB_OK) return status;
    bool any = false;
    for (int i = 0; i < c->model->graph->n_nodes; i++) {
        KerbOp op = c->model->graph->nodes[i].op;
        any = any || op == KERB_OP_CONV || op == KERB_OP_CONV_TRANSPOSE || op == KERB_OP_GEMM || op == KERB_OP_MATMUL;
    }
    c->result.bytes_before = kerb_onnx_bytes(c->model->onnx);
    return any ? KERB_OK : kerb_calib_nothing(c, error);
}

KERB_API KerbStatus kerb_calibrator_open(KerbCalibrator **out, const KerbConfig *given, const KerbCalibrateOptions *options, KerbError *error)
{
    char path[KERB_PATH_BYTES];
    KerbConfig config;
    KerbError own = { 0 };
    if (!error) error = &own;
    kerb_error_clear(error);
    *out = NULL;
    KerbStatus status = kerb_config_complete(&config, given, path, error);
    if (status == KERB_OK) status = kerb_calib_check_options(options, error);
    if (status != KERB_OK) return status;
    KerbCalibrator *c = calloc(1, sizeof *c);
    if (!c) return kerb_calib_no_memory(error);
    c->arena = kerb_arena_new(0);
    c->options = options[0];
    c->config = config;
    c->model_file = strdup(config.model_file);
    c->card_file = config.card_file && config.card_file[0] ? strdup(config.card_file) : NULL;
    c->config.model_file = c->model_file;
    c->config.card_file = c->card_file;
    c->config.labels_file = c->config.palette = c->config.backend = c->config.cpu_list = NULL; /* the caller's; of no use here */
    c->stride = 1;
    status = c->arena && c->model_file && (c->card_file || !config.card_file || !config.card_file[0]) ? kerb_calib_choose_backend(c, &config, error)
                                                                                                        : kerb_calib_no_memory(error);
    if (status == KERB_OK) status = kerb_calib_open_model(c, error);
    if (status == KERB_OK && !c->card_file) { /* candidates lie elsewhere, and are read with the same card */
        char *beside = kerb_card_path(c->model_file);
        if (!beside) status = kerb_calib_no_memory(error);
        else if (!access(beside, F_OK)) c->card_file = beside;
        else free(beside);
    }
    if (status != KERB_OK) kerb_calibrator_close(&c);
    *out = c;
    return status;
}

KERB_API void kerb_calibrator_close(KerbCalibrator **calibrator)
{
    if (!calibrator || !*calibrator) return;
    KerbCalibrator *c = *calibrator;
    for (int i = 0; i < c->n_frames; i++) free(c->frames[i]);
    free(c->frames);
    kerb_network_free(&c->network);
    kerb_model_free(&c->model);
    kerb_pool_free(&c->bench.pool);
    if (c->bench.choice.backend) kerb_backends_release(&c->bench.choice, 1);
    kerb_arena_free(&c->arena);
    kerb_cpu_give_back(c->cores, &c->cores_before);
    free(c->model_file);
    free(c->card_file);
    free(c);
    *calibrator = NULL;
}

KERB_API const KerbCalibration *kerb_calibrator_result(const KerbCalibrator *c) { return &c->result; }

/* ---- frames */

/* Every second one goes. */
static void kerb_calib_thin(KerbCalibrator *c)
{
    int kept = 0;
    for (int i = 0; i < c->n_frames; i++) {
        if (i % 2) free(c->frames[i]);
        else c->frames[kept++] = c->frames[i];
    }
    c->n_frames = kept;
    c->stride *= 2;
}

static KerbStatus kerb_calib_check_format(KerbCalibrator *c, const KerbVideoFormat *format, KerbError *error)
{
    if (c->frame_bytes) {
        if (memcmp(&c->bench.format, format, sizeof *format) == 0) return KERB_OK;
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "the frames change from %d x %d to %d x %d pixels (or in their format); calibration takes frames of one kind",
                         c->bench.format.width_px, c->bench.format.height_px, format->width_px, format->height_px);
    }
    KerbStatus status = kerb_video_format_check(format, error);
    if (status != KERB_OK) return status;
    c->bench.format = *format;
    for (int p = 0; p < kerb_pixel_format_planes(format->pixel_format); p++)
        c->frame_bytes += (size_t)kerb_plane_row_bytes(format->pixel_format, p, format->width_px) * (size_t)kerb_plane_rows(format->pixel_format, p, format->height_px);
    c->frames = calloc((size_t)c->options.max_frames * 2, sizeof *c->frames);
    return c->frames ? KERB_OK : kerb_calib_no_memory(error);
}

KERB_API KerbStatus kerb_calibrator_add(KerbCalibrator *c, const KerbVideoFormat *format, const KerbFrame *frame, KerbError *error)
{
    kerb_error_clear(error);
    KerbStatus status = kerb_calib_check_format(c, format, error);
    if (status == KERB_OK) status = kerb_frame_check(format, frame, "frame", error);
    if (status != KERB_OK || c->n_added++ % (uint64_t)c->stride) return status;
    uint8_t *copy = malloc(c->frame_bytes), *at = copy;
    if (!copy) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for frame %d of %zu bytes; keep fewer of them", c->n_frames + 1, c->frame_bytes);
    for (int p = 0; p < kerb_pixel_format_planes(format->pixel_format); p++) {
        size_t row = (size_t)kerb_plane_row_bytes(format->pixel_format, p, format->width_px);
        for (int y = 0; y < kerb_plane_rows(format->pixel_format, p, format->height_px); y++, at += row)
            memcpy(at, frame->planes[p] + (size_t)y * (size_t)frame->strides[p], row);
    }
    c->frames[c->n_frames++] = copy;
    if (c->n_frames == c->options.max_frames * 2) kerb_calib_thin(c);
    return KERB_OK;
}

KerbFrame kerb_calib_frame(const KerbCalibrator *c, int frame)
{
    KerbFrame f = { .pts_ns = KERB_TIME_NONE };
    const KerbVideoFormat *v = &c->bench.format;
    uint8_t *at = c->frames[frame];
    for (int p = 0; p < kerb_pixel_format_planes(v->pixel_format); p++) {
        f.planes[p] = at;
        f.strides[p] = kerb_plane_row_bytes(v->pixel_format, p, v->width_px);
        at += (size_t)f.strides[p] * (size_t)kerb_plane_rows(v->pixel_format, p, v->height_px);
    }
    return f;
}

/* Every fourth frame is held out; of two or three the last. */
static KerbStatus kerb_calib_split(KerbCalibrator *c, KerbError *error)
{
    int n = c->n_frames < c->options.max_frames ? c->n_frames : c->options.max_frames;
    if (c->n_frames < 2)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "calibration needs 2 frames or more (better 50), and got %d; give a longer video, or more images", c->n_frames);
    c->for_ranges = kerb_arena_alloc(c->arena, (size_t)n * sizeof *c->for_ranges);
    c->held_out = kerb_arena_alloc(c->arena, (size_t)n * sizeof *c->held_out);
    if (!c->for_ranges || !c->held_out) return kerb_calib_no_memory(error);
    for (int i = 0; i < n; i++) {
        int frame = (int)((int64_t)i * c->n_frames / n);
        bool held = i % 4 == 3 || (n < 4 && i == n - 1);
        if (held) c->held_out[c->result.held_out++] = frame;
        else c->for_ranges[c->result.frames++] = frame;
    }
    return KERB_OK;
}

/* ---- running */

static void kerb_calib_make_key(KerbCalibrator *c)
{
    const KerbModelInput *in = &c->model->input;
    const int64_t facts[] = { c->bench.width_px, c->bench.height_px, c->bench.format.pixel_format, c->bench.format.width_px, c->bench.format.height_px, c->bench.format.matrix,
                              c->bench.format.range, c->bench.format.chroma_site, in->color, in->fit, in->nhwc, c->n_frames, c->result.frames };
    uint64_t key = kerb_hash(KERB_HASH_START, kerb_version(), strlen(kerb_version()));
    key = kerb_hash(key, c->model->onnx->bytes.data, c->model->onnx->bytes.size);
    for (int i = 0; i < c->model->onnx->n_files; i++) key = kerb_hash(key, c->model->onnx->files[i].mapping.data, c->model->onnx->files[i].mapping.bytes);
    key = kerb_hash(key, facts, sizeof facts);
    key = kerb_hash(key, in->mean, sizeof in->mean);
    key = kerb_hash(key, in->std, sizeof in->std);
    for (int i = 0; i < c->n_frames; i++) key = kerb_hash(key, c->frames[i], c->frame_bytes);
    c->key = key;
}

/* The network taken apart, at the size that these frames ask for, and what of it is to be quantised. */
static KerbStatus kerb_calib_prepare(KerbCalibrator *c, KerbError *error)
{
    kerb_model_size(c->model, &c->bench.format, &c->bench.width_px, &c->bench.height_px);
    c->result.network_width_px = c->bench.width_px;
    c->result.network_height_px = c->bench.height_px;
    KerbGraph *g = NULL;
    const int64_t w = c->bench.width_px, h = c->bench.height_px, ch = c->model->input.channels;
    const int64_t nchw[4] = { 1, ch, h, w }, nhwc[4] = { 1, h, w, ch };
    KerbStatus status = kerb_graph_clone(c->model->graph, &g, error);
    if (status == KERB_OK) status = kerb_graph_bind_input(g, g->inputs[0], 4, c->model->input.nhwc ? nhwc : nchw, error);
    if (status == KERB_OK) status = kerb_network_new(&c->network, c->model->onnx, g, error);
    kerb_graph_free(&g);
    if (status != KERB_OK) {
        kerb_model_blame(c->model_file, error);
        return status;
    }
    if (!c->network->n_layers) return kerb_calib_nothing(c, error);
    c->in_float = kerb_arena_alloc(c->arena, (size_t)c->network->n_layers);
    c->alone = kerb_arena_alloc(c->arena, (size_t)c->network->n_layers * sizeof *c->alone);
    if (!c->in_float || !c->alone) return kerb_calib_no_memory(error);
    kerb_plan_tensors(c->network, c->in_float);
    c->n_groups = kerb_plan_groups(c->network);
    return c->n_groups < 0 ? kerb_calib_no_memory(error) : KERB_OK;
}

/* The card first: a model is never there without it. */
static KerbStatus kerb_calib_finish(KerbCalibrator *c, const char *path, const char *trying, KerbError *error)
{
    char *text = NULL, *card = kerb_card_path(path);
    KerbStatus status = card ? kerb_calib_card(c, &text, error) : kerb_calib_no_memory(error);
    if (status == KERB_OK) status = kerb_calib_place(card, text, strlen(text), error);
    if (status == KERB_OK && rename(trying, path)) status = kerb_fail(error, KERB_ERROR_STORAGE, "%s cannot be written", path);
    free(text);
    free(card);
    return status;
}

KERB_API KerbStatus kerb_calibrator_run(KerbCalibrator *c, const char *path, KerbError *error)
{
    KerbError own = { 0 };
    if (!error) error = &own;
    kerb_error_clear(error);
    if (c->network) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_calibrator_run: it has run already");
    char *trying = kerb_arena_printf(c->arena, "%s.trying", path);
    KerbStatus status = trying ? kerb_calib_split(c, error) : kerb_calib_no_memory(error);
    if (status == KERB_OK) status = kerb_calib_prepare(c, error);
    if (status == KERB_OK) {
        kerb_calib_make_key(c);
        status = kerb_calib_observe(c, path, error);
    }
    if (status == KERB_OK) status = kerb_calib_scales(c, error);
    if (status == KERB_OK) status = kerb_calib_search(c, path, trying, error);
    c->result.options = c->options;
    if (status == KERB_OK) status = kerb_calib_finish(c, path, trying, error);
    if (trying) unlink(trying);
    if (status == KERB_OK) kerb_calib_state_remove(path);
    return status;
}
