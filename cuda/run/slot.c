/* SPDX-License-Identifier: MIT */
/* One frame in its slot: begin() puts its whole work onto the three streams, finish() waits for it. A fault that is over loses frames in flight and
 * leaves the slot as good as before; one that loses the device is kept, and nothing touches the device after it. Allocates nothing. */
#include "cuda/run/staged.h"

/* ---- faults */

static bool is_lost(KerbStaged *s, KerbError *error)
{
    if (!atomic_load(&s->lost)) return false;
    pthread_mutex_lock(&s->mutex);
    if (error) *error = s->loss;
    pthread_mutex_unlock(&s->mutex);
    return true;
}

/* Both threads may find it at the same time: one of them tells the story. */
static KerbStatus lose(KerbStaged *s, const KerbError *why, KerbError *error)
{
    pthread_mutex_lock(&s->mutex);
    if (!atomic_load(&s->lost)) s->loss = *why;
    atomic_store(&s->lost, true);
    if (error) *error = s->loss;
    pthread_mutex_unlock(&s->mutex);
    return KERB_ERROR_BACKEND;
}

/* Until the device has let go of the slot and of the caller's memory. The first fault says why, unless a later one is for good. */
static KerbStatus give_up_frame(KerbStaged *s, KerbError *why, KerbError *error)
{
    cudaStream_t streams[3] = { s->up, s->compute, s->down };
    for (int i = 0; i < 3; i++) {
        KerbError reason;
        if (kerb_cuda_check(cudaStreamSynchronize(streams[i]), "waiting for the GPU after a fault", &reason) == KERB_ERROR_BACKEND &&
            why->status != KERB_ERROR_BACKEND)
            *why = reason;
    }
    if (why->status == KERB_ERROR_BACKEND) return lose(s, why, error);
    why->status = KERB_ERROR_FRAME; /* too little memory for one launch too: the next may succeed */
    if (error) *error = *why;
    return KERB_ERROR_FRAME;
}

/* ---- begin */

static KerbStatus queue_frame(KerbStaged *s, KerbCudaSlot *slot, const KerbJob *job, const KerbDisplay *display, KerbError *error)
{
    KerbStatus status = kerb_cuda_check(cudaSetDevice(s->device_id), "choosing the GPU", error);
    if (status == KERB_OK) status = kerb_cuda_send(s, slot, job, display, error);
    if (status == KERB_OK && !s->shared)
        status = kerb_cuda_check(cudaStreamWaitEvent(s->compute, slot->marks[KERB_MARK_UP_END], 0), "ordering a frame's work", error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventRecord(slot->marks[KERB_MARK_BEGIN], s->compute), "timing a frame", error);
    if (status == KERB_OK) status = kerb_cuda_slot_compute(s, slot, error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventRecord(slot->marks[KERB_MARK_END], s->compute), "timing a frame", error);
    if (status == KERB_OK && !s->shared)
        status = kerb_cuda_check(cudaStreamWaitEvent(s->down, slot->marks[KERB_MARK_END], 0), "ordering a frame's work", error);
    return status == KERB_OK ? kerb_cuda_receive(s, slot, error) : status;
}

KerbStatus kerb_cuda_slot_begin(KerbStaged *s, int index, const KerbJob *job, const KerbDisplay *display, KerbError *error)
{
    KerbCudaSlot *slot = &s->slots[index];
    if (is_lost(s, error)) return KERB_ERROR_BACKEND;
    slot->number = atomic_fetch_add(&s->begun, 1) + 1;
    KerbError why = { 0 };
    return queue_frame(s, slot, job, display, &why) == KERB_OK ? KERB_OK : give_up_frame(s, &why, error);
}

/* ---- finish */

static KerbStatus elapsed(const KerbCudaSlot *slot, KerbCudaMark from, KerbCudaMark to, int64_t *ns, KerbError *error)
{
    float ms = 0;
    cudaError_t code = cudaEventElapsedTime(&ms, slot->marks[from], slot->marks[to]);
    *ns = code == cudaSuccess && ms > 0 ? (int64_t)((double)ms * 1e6) : 0;
    KerbStatus status = kerb_cuda_check(code, "timing a frame", error);
    return status == KERB_ERROR_BACKEND ? status : KERB_OK; /* a time that is not known loses no frame */
}

static KerbStatus read_times(const KerbStaged *s, const KerbCudaSlot *slot, KerbTimes *t, KerbError *error)
{
    KerbStatus status = KERB_OK;
    if (!s->shared) {
        status = elapsed(slot, KERB_MARK_UP_BEGIN, KERB_MARK_UP_END, &t->up_ns, error);
        if (status == KERB_OK) status = elapsed(slot, KERB_MARK_DOWN_BEGIN, KERB_MARK_DOWN_END, &t->down_ns, error);
    }
    if (!s->inner_marks) return status == KERB_OK ? elapsed(slot, KERB_MARK_BEGIN, KERB_MARK_END, &t->net_ns, error) : status;
    if (status == KERB_OK) status = elapsed(slot, KERB_MARK_BEGIN, KERB_MARK_IN_END, &t->in_ns, error);
    if (status == KERB_OK) status = elapsed(slot, KERB_MARK_IN_END, KERB_MARK_NET_END, &t->net_ns, error);
    if (status == KERB_OK) status = elapsed(slot, KERB_MARK_NET_END, KERB_MARK_END, &t->out_ns, error);
    return status;
}

/* A step that the host does within the stream may have failed for this frame, or already for one behind it: all that were begun are suspect. */
static KerbStatus check_host_steps(KerbStaged *s, const KerbCudaSlot *slot, KerbError *error)
{
    if (!s->host_steps) return KERB_OK;
    KerbStatus status = kerb_cuda_net_host_fault(s->net, error);
    if (status != KERB_OK) s->suspect = atomic_load(&s->begun);
    if (status == KERB_OK && slot->number <= s->suspect)
        return kerb_fail(error, KERB_ERROR_FRAME, "a step of the network failed while this frame was in flight: it may have been this frame's");
    return status;
}

static KerbStatus await_frame(KerbStaged *s, KerbCudaSlot *slot, KerbTimes *times, KerbError *error)
{
    KerbStatus status = kerb_cuda_check(cudaSetDevice(s->device_id), "choosing the GPU", error);
    cudaEvent_t last = slot->marks[s->shared ? KERB_MARK_END : KERB_MARK_DOWN_END];
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventSynchronize(last), "waiting for a frame", error);
    if (status == KERB_OK) status = check_host_steps(s, slot, error);
    return status == KERB_OK ? read_times(s, slot, times, error) : status;
}

KerbStatus kerb_cuda_slot_finish(KerbStaged *s, int index, const KerbJob *job, KerbTimes *times, KerbError *error)
{
    KerbCudaSlot *slot = &s->slots[index];
    if (is_lost(s, error)) return KERB_ERROR_BACKEND;
    KerbError why = { 0 };
    if (await_frame(s, slot, times, &why) != KERB_OK) return give_up_frame(s, &why, error);
    kerb_cuda_deliver(slot);
    kerb_cuda_timeline_note(s, index);
    pthread_mutex_lock(&s->mutex);
    s->up_bytes = slot->up_bytes;
    s->down_bytes = slot->down_bytes;
    s->host_copy_bytes = slot->host_copy_bytes;
    pthread_mutex_unlock(&s->mutex);
    return KERB_OK;
}
