/* SPDX-License-Identifier: MIT */
/* One frame's way through the stages, on the ring's threads. Two ways: the host's (in -> net -> out, one after the other, in begin()), and the
 * backend's own, which begin() queues and finish() waits for. Allocates nothing. */
#include "run/pipeline.h"

#include "base/trace.h"

static KerbMap slot_map(const KerbPipeline *p, uint64_t number, int which)
{
    size_t set = (size_t)(number % (uint64_t)(p->slots + 1)), maps = p->confidence ? 2 : 1;
    return (KerbMap){ (uint8_t *)p->maps.data + (set * maps + (size_t)which) * p->map_bytes, p->map_stride };
}

static int slot_index(const KerbPipeline *p, const KerbSlot *slot) { return (int)(slot->number % (uint64_t)p->slots); }

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

static void run_on_host(KerbPipeline *p, KerbSlot *slot)
{
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
    result->labels = job->labels;
    result->confidence = job->confidence;
    const KerbTensor *scores = smooth_scores(p, slot);
    kerb_out_run(p->out, scores, &job->frame, result->labels, result->confidence, &slot->display, &job->picture, p->pool);
    result->times.out_ns = kerb_now_ns() - t2;
}

/* ---- failing for good */

bool kerb_pipeline_is_lost(KerbPipeline *p, KerbError *error)
{
    if (!atomic_load(&p->lost)) return false;
    pthread_mutex_lock(&p->mutex);
    if (error) *error = p->loss;
    pthread_mutex_unlock(&p->mutex);
    return true;
}

/* The first failure is the one that says why. */
static void note_loss(KerbPipeline *p, const KerbSlot *slot)
{
    if (slot->result.status != KERB_ERROR_BACKEND) return;
    pthread_mutex_lock(&p->mutex);
    if (!atomic_load(&p->lost)) p->loss = slot->error;
    atomic_store(&p->lost, true);
    pthread_mutex_unlock(&p->mutex);
}

/* ---- the ring's */

const KerbStages *kerb_pipeline_stages(const KerbPipeline *p, const KerbBackend *backend)
{
    return p->smoothing == KERB_SMOOTHING_OFF ? backend->stages : NULL;
}

bool kerb_pipeline_begin(void *user, KerbSlot *slot)
{
    KerbPipeline *p = user;
    if (kerb_pipeline_is_lost(p, &slot->error)) {
        slot->result.status = KERB_ERROR_BACKEND;
        return false;
    }
    KerbJob *job = &slot->job;
    if (!job->labels.data) job->labels = slot_map(p, slot->number, 0);
    if (!p->confidence) job->confidence = (KerbMap){ 0 };
    else if (!job->confidence.data) job->confidence = slot_map(p, slot->number, 1);
    if (p->staged) slot->result.status = p->backend->stages->begin(p->staged, slot_index(p, slot), job, &slot->display, &slot->error);
    else run_on_host(p, slot);
    note_loss(p, slot);
    return p->staged && slot->result.status == KERB_OK;
}

void kerb_pipeline_finish(void *user, KerbSlot *slot)
{
    KerbPipeline *p = user;
    KerbResult *result = &slot->result;
    result->status = p->backend->stages->finish(p->staged, slot_index(p, slot), &slot->job, &result->times, &slot->error);
    note_loss(p, slot);
    if (result->status != KERB_OK) return;
    result->labels = slot->job.labels;
    result->confidence = slot->job.confidence;
}
