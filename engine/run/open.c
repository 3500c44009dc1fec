/* SPDX-License-Identifier: MIT */
/* Open and close: configuration, model, backend, threads. Everything that can be known before the first frame is checked here. */
#include "run/config.h"
#include "run/pipeline.h"

#include "base/cpu.h"
#include "base/trace.h"

#include <stdlib.h>

static void settle(KerbPipeline *p, const KerbConfig *config)
{
    p->precision = config->precision;
    p->cores = kerb_config_cores(config, &p->named_cores);
    p->threads = kerb_config_threads(config, p->cores);
    p->slots = config->slots;
    p->device_id = config->device_id;
    p->tune = config->tune;
    p->confidence = config->confidence;
    p->smoothing = config->smoothing;
    p->progress = config->progress;
    p->progress_user = config->progress_user;
}

static KerbStatus start(KerbPipeline *p, const KerbConfig *config, const KerbBackend *own, KerbError *error)
{
    int64_t begin = kerb_now_ns();
    KerbStatus status = KERB_OK;
    if (own) {
        p->choices[0].backend = own;
        p->choices[0].device.id = config->device_id;
        own->probe(&p->choices[0].device);
        p->n_choices = 1;
    } else {
        status = kerb_backends_choose(config->backend, config->device_id, p->choices, &p->n_choices, error);
    }
    if (status == KERB_OK) status = kerb_model_open(&p->model, config, error);
    if (status != KERB_OK) return status;
    p->compile_ns = kerb_now_ns() - begin;
    kerb_display_init(&p->display, p->model->classes.classes, p->model->classes.n);
    int width, height;
    if (kerb_model_size(p->model, NULL, &width, &height)) status = kerb_pipeline_compile(p, width, height, error);
    if (status == KERB_OK) status = kerb_pool_new(&p->pool, p->threads, error);
    bool staged = false;
    for (int i = 0; i < p->n_choices; i++) staged = staged || kerb_pipeline_stages(p, p->choices[i].backend);
    if (status == KERB_OK) status = kerb_ring_new(&p->ring, p->slots, kerb_pipeline_begin, staged ? kerb_pipeline_finish : NULL, p, error);
    return status;
}

KerbStatus kerb_open_with_backend(KerbPipeline **out, const KerbConfig *config, const KerbBackend *backend, KerbError *error)
{
    kerb_error_clear(error);
    if (!out) return kerb_fail(error, KERB_ERROR_ARGUMENT, "kerb_open: no place for the pipeline was given");
    *out = NULL;
    char model[KERB_PATH_BYTES];
    KerbConfig complete;
    KerbStatus status = kerb_config_complete(&complete, config, model, error);
    if (status != KERB_OK) return status;
    KerbPipeline *p = calloc(1, sizeof *p);
    if (!p) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a pipeline (%zu bytes)", sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    settle(p, &complete);
    cpu_set_t before; /* threads inherit the cores of the one that starts them */
    kerb_cpu_keep_to(p->cores, &before);
    status = start(p, &complete, backend, error);
    kerb_cpu_give_back(p->cores, &before);
    if (status != KERB_OK) kerb_close(&p);
    *out = p;
    return status;
}

KERB_API KerbStatus kerb_open(KerbPipeline **out, const KerbConfig *config, KerbError *error)
{
    return kerb_open_with_backend(out, config, NULL, error);
}

KERB_API void kerb_close(KerbPipeline **pipeline)
{
    if (!pipeline || !*pipeline) return;
    KerbPipeline *p = *pipeline;
    kerb_ring_free(&p->ring); /* first: ends the threads that use everything else */
    kerb_pipeline_drop_format(p);
    kerb_pipeline_free_net(p);
    kerb_model_free(&p->model);
    kerb_pool_free(&p->pool);
    kerb_backends_release(p->choices, p->n_choices);
    pthread_mutex_destroy(&p->mutex);
    free(p);
    *pipeline = NULL;
}
