/* SPDX-License-Identifier: MIT */
/* Stages of one format around one network: made, counted, taken apart. Everything that frames need is allocated here. */
#include "cuda/run/staged.h"

#include "cuda/run/pinned.h"

#include <stdlib.h>
#include <string.h>

static void staged_close(KerbStaged **staged);

/* ---- what the stages can take */

static KerbStatus check_input(const KerbTensor *t, KerbError *error)
{
    if (t->rank == 4 && (t->dtype == KERB_F32 || t->dtype == KERB_F16 || t->dtype == KERB_BF16)) return KERB_OK;
    return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "the network's picture input has the type %s and %d axes", kerb_dtype_name(t->dtype), t->rank);
}

static KerbStatus check_scores(int i, const KerbTensor *t, KerbScoreKind kind, KerbError *error)
{
    static const KerbDtype scores[] = { KERB_F32, KERB_F16, KERB_BF16 }, labels[] = { KERB_I32, KERB_I64, KERB_U8, KERB_F32, KERB_F16, KERB_BF16 };
    int n = kind == KERB_SCORES_LABELS ? 6 : 3;
    for (int k = 0; k < n; k++)
        if (t->rank == 4 && t->dtype == (kind == KERB_SCORES_LABELS ? labels : scores)[k]) return KERB_OK;
    return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "output %d of the network has the type %s and %d axes", i, kerb_dtype_name(t->dtype), t->rank);
}

static KerbStatus make_in_and_out(KerbStaged *s, const KerbStagesParams *params, KerbError *error)
{
    const KerbTensor *input = kerb_cuda_net_input(s->net, 0);
    KerbTensor scores[KERB_MAX_HEADS];
    if (!input) return kerb_fail(error, KERB_ERROR_INTERNAL, "the network has no input: please report this");
    s->input = kerb_tensor_view_nchw(input, params->nhwc ? 3 : 1);
    KerbStatus status = check_input(&s->input, error);
    for (int i = 0; i < params->out.n_heads && status == KERB_OK; i++) {
        const KerbTensor *output = kerb_cuda_net_output(s->net, i);
        if (!output) return kerb_fail(error, KERB_ERROR_INTERNAL, "the network has no output %d: please report this", i);
        scores[i] = kerb_tensor_view_nchw(output, params->channel_axis[i]);
        s->scores[i] = scores[i].data;
        status = check_scores(i, &scores[i], params->out.heads[i].kind, error);
    }
    if (status == KERB_OK) status = kerb_cuda_in_new(&s->in, &params->in, &s->input, &s->memory, error);
    if (status == KERB_OK) status = kerb_cuda_out_new(&s->out, &params->out, scores, &s->memory, error);
    return status;
}

/* ---- streams and slots */

static KerbStatus make_streams(KerbStaged *s, KerbError *error)
{
    cudaStream_t *streams[3] = { &s->up, &s->compute, &s->down };
    for (int i = 0; i < 3; i++) {
        KerbStatus status = kerb_cuda_check(cudaStreamCreateWithFlags(streams[i], cudaStreamNonBlocking), "making the GPU's queues", error);
        if (status != KERB_OK) {
            *streams[i] = NULL;
            return status;
        }
    }
    return KERB_OK;
}

/* Waiting sleeps: a thread that spins for every frame is one core less for the decoder. */
static KerbStatus make_marks(KerbCudaSlot *slot, KerbError *error)
{
    for (int i = 0; i < KERB_MARKS; i++) {
        KerbStatus status = kerb_cuda_check(cudaEventCreateWithFlags(&slot->marks[i], cudaEventBlockingSync), "making a frame's marks", error);
        if (status != KERB_OK) {
            slot->marks[i] = NULL;
            return status;
        }
    }
    return KERB_OK;
}

static KerbStatus make_slot(KerbStaged *s, KerbCudaSlot *slot, KerbError *error)
{
    void *host, *seen, *device;
    KerbStatus status = kerb_cuda_alloc_pinned(&s->memory, &host, &seen, s->layout.bytes, error);
    if (status != KERB_OK) return status;
    slot->host = host;
    if (s->shared) {
        slot->device = seen;
    } else {
        status = kerb_cuda_alloc(&s->memory, &device, s->layout.bytes, "a slot for frames", error);
        if (status != KERB_OK) return status;
        slot->device = device;
    }
    return make_marks(slot, error);
}

static KerbStatus make_slots(KerbStaged *s, KerbError *error)
{
    KerbStatus status = make_streams(s, error);
    for (int i = 0; i < s->n_slots && status == KERB_OK; i++) status = make_slot(s, &s->slots[i], error);
    return status;
}

static KerbStatus staged_open(KerbStaged **out, KerbNet *net, const KerbStagesParams *params, KerbError *error)
{
    *out = NULL;
    KerbStaged *s = calloc(1, sizeof *s);
    if (!s) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the GPU's stages (%zu bytes)", sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    KerbCudaNetFacts facts;
    kerb_cuda_net_facts(net, &facts);
    s->net = net;
    s->device_id = facts.device->id;
    s->shared = facts.device->integrated;
    s->host_steps = facts.host_steps > 0;
    s->net_device_bytes = facts.memory.device_bytes;
    s->net_pinned_bytes = facts.memory.pinned_bytes;
    s->n_slots = params->slots;
    kerb_cuda_layout_init(&s->layout, &params->in.format);
    KerbStatus status = kerb_cuda_check(cudaSetDevice(s->device_id), "choosing the GPU", error);
    if (status == KERB_OK) status = make_in_and_out(s, params, error);
    if (status == KERB_OK) status = make_slots(s, error);
    if (status == KERB_OK) status = kerb_cuda_slots_prepare(s, error);
    if (status == KERB_ERROR_FRAME) { /* no frame was lost yet: the GPU just cannot do it */
        status = KERB_ERROR_BACKEND;
        if (error) error->status = status;
    }
    if (status == KERB_OK) kerb_cuda_timeline_open(s);
    if (status != KERB_OK) staged_close(&s);
    *out = s;
    return status;
}

/* ---- the end. On a device that is lost every call fails at once; what it held goes with the process. */

static void ignore(cudaError_t code)
{
    if (code != cudaSuccess) (void)cudaGetLastError();
}

static void free_slot(KerbStaged *s, KerbCudaSlot *slot)
{
    if (slot->graph) ignore(cudaGraphExecDestroy(slot->graph));
    for (int i = 0; i < KERB_MARKS; i++)
        if (slot->marks[i]) ignore(cudaEventDestroy(slot->marks[i]));
    void *host = slot->host, *device = s->shared ? NULL : slot->device;
    kerb_cuda_free(&s->memory, &device, s->layout.bytes);
    kerb_cuda_free_pinned(&s->memory, &host, s->layout.bytes);
}

static void staged_close(KerbStaged **staged)
{
    if (!staged || !*staged) return;
    KerbStaged *s = *staged;
    ignore(cudaSetDevice(s->device_id));
    cudaStream_t streams[3] = { s->up, s->compute, s->down };
    for (int i = 0; i < 3; i++)
        if (streams[i]) ignore(cudaStreamSynchronize(streams[i]));
    kerb_cuda_timeline_close(s);
    for (int i = 0; i < s->n_slots; i++) free_slot(s, &s->slots[i]);
    kerb_cuda_in_free(&s->in);
    kerb_cuda_out_free(&s->out);
    for (int i = 0; i < 3; i++)
        if (streams[i]) ignore(cudaStreamDestroy(streams[i]));
    pthread_mutex_destroy(&s->mutex);
    free(s);
    *staged = NULL;
}

static void staged_stats(KerbStaged *s, KerbStats *stats)
{
    pthread_mutex_lock(&s->mutex);
    stats->up_bytes = s->up_bytes;
    stats->down_bytes = s->down_bytes;
    stats->host_copy_bytes = s->host_copy_bytes;
    pthread_mutex_unlock(&s->mutex);
    stats->device_bytes = s->memory.device_bytes + s->net_device_bytes;
    stats->pinned_bytes = s->memory.pinned_bytes + s->net_pinned_bytes;
    stats->replays = s->slots[0].graph != NULL;
}

const KerbStages kerb_cuda_stages = {
    .open = staged_open,
    .begin = kerb_cuda_slot_begin,
    .finish = kerb_cuda_slot_finish,
    .stats = staged_stats,
    .close = staged_close,
    .host_alloc = kerb_cuda_pinned_alloc,
};
