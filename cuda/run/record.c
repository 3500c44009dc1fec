/* SPDX-License-Identifier: MIT */
/* What a slot's frame computes: pre-kernel, network, tail, on the compute stream. All addresses are fixed but those in the slot's job, so one recorded
 * CUDA graph a slot does every frame; where recording fails, the same is launched piece by piece. */
#include "cuda/run/staged.h"

#include <stdlib.h>
#include <string.h>

static KerbStatus mark(KerbStaged *s, KerbCudaSlot *slot, KerbCudaMark which, bool recording, KerbError *error)
{
    if (!s->inner_marks) return KERB_OK;
    /* While recording, only an external record becomes a node; an ordinary one would just join streams. */
    cudaError_t code = recording ? cudaEventRecordWithFlags(slot->marks[which], s->compute, cudaEventRecordExternal)
                                 : cudaEventRecord(slot->marks[which], s->compute);
    return kerb_cuda_check(code, "timing a frame", error);
}

static KerbStatus launch_all(KerbStaged *s, KerbCudaSlot *slot, bool recording, KerbError *error)
{
    const KerbCudaJob *job = (const KerbCudaJob *)(const void *)(slot->device + s->layout.job);
    KerbStatus status = kerb_cuda_check(kerb_cuda_in_launch(s->in, job, s->input.data, s->compute), "starting the input stage", error);
    if (status == KERB_OK) status = mark(s, slot, KERB_MARK_IN_END, recording, error);
    if (status == KERB_OK) status = kerb_cuda_net_enqueue(s->net, s->compute, error);
    if (status == KERB_OK) status = mark(s, slot, KERB_MARK_NET_END, recording, error);
    if (status == KERB_OK) status = kerb_cuda_check(kerb_cuda_out_launch(s->out, job, s->scores, s->compute), "starting the output stage", error);
    return status;
}

KerbStatus kerb_cuda_slot_compute(KerbStaged *s, KerbCudaSlot *slot, KerbError *error)
{
    if (!slot->graph) return launch_all(s, slot, false, error);
    return kerb_cuda_check(cudaGraphLaunch(slot->graph, s->compute), "starting a frame's recorded work", error);
}

/* ---- recording */

/* Thread-local: other threads may allocate meanwhile. */
static KerbStatus record_slot(KerbStaged *s, KerbCudaSlot *slot, KerbError *error)
{
    cudaGraph_t graph = NULL;
    KerbStatus status = kerb_cuda_check(cudaStreamBeginCapture(s->compute, cudaStreamCaptureModeThreadLocal), "recording a frame's work", error);
    if (status != KERB_OK) return status;
    status = launch_all(s, slot, true, error);
    cudaError_t code = cudaStreamEndCapture(s->compute, &graph); /* whatever happened: the stream must be itself again */
    if (status == KERB_OK) status = kerb_cuda_check(code, "recording a frame's work", error);
    else (void)cudaGetLastError();
    if (status == KERB_OK) status = kerb_cuda_check(cudaGraphInstantiate(&slot->graph, graph, 0), "preparing a frame's recorded work", error);
    if (status != KERB_OK) slot->graph = NULL;
    if (graph && cudaGraphDestroy(graph) != cudaSuccess) (void)cudaGetLastError();
    return status;
}

static void forget_graphs(KerbStaged *s)
{
    for (int i = 0; i < s->n_slots; i++) {
        if (s->slots[i].graph && cudaGraphExecDestroy(s->slots[i].graph) != cudaSuccess) (void)cudaGetLastError();
        s->slots[i].graph = NULL;
    }
}

/* All slots or none: what is measured of one holds for the others. */
static KerbStatus record_all(KerbStaged *s, KerbError *error)
{
    KerbStatus status = KERB_OK;
    for (int i = 0; i < s->n_slots && status == KERB_OK; i++) status = record_slot(s, &s->slots[i], error);
    if (status != KERB_OK) forget_graphs(s);
    return status;
}

/* ---- once, before the first frame */

/* On what lies in the slot's own block, with everything that can be asked for. */
static KerbStatus run_once(KerbStaged *s, KerbCudaSlot *slot, KerbError *error)
{
    kerb_cuda_job_of_block(s, slot);
    KerbStatus status = KERB_OK;
    if (!s->shared)
        status = kerb_cuda_check(cudaMemcpyAsync(slot->device + s->layout.job, slot->host + s->layout.job, sizeof(KerbCudaJob), cudaMemcpyHostToDevice,
                                                 s->compute), "copying a frame's job to the GPU", error);
    if (status == KERB_OK) status = kerb_cuda_slot_compute(s, slot, error);
    cudaError_t code = cudaStreamSynchronize(s->compute); /* whatever happened: nothing may be under way afterwards */
    if (status == KERB_OK) status = kerb_cuda_check(code, "running the network for the first time", error);
    return status == KERB_OK ? kerb_cuda_net_host_fault(s->net, error) : status;
}

static KerbStatus run_all_once(KerbStaged *s, KerbError *error)
{
    KerbStatus status = KERB_OK;
    for (int i = 0; i < s->n_slots && status == KERB_OK; i++) status = run_once(s, &s->slots[i], error);
    return status;
}

KerbStatus kerb_cuda_slots_prepare(KerbStaged *s, KerbError *error)
{
    s->inner_marks = true;
    KerbStatus status = run_all_once(s, error); /* what is loaded or chosen at a first launch is not to be recorded */
    const char *wanted = getenv("KERB_CUDA_GRAPHS");
    if (status != KERB_OK || (wanted && strcmp(wanted, "0") == 0)) return status;
    KerbError reason = { 0 };
    status = record_all(s, &reason);
    if (status == KERB_ERROR_FRAME) { /* perhaps only the marks cannot be recorded */
        s->inner_marks = false;
        KerbError again = { 0 };
        status = record_all(s, &again);
        s->inner_marks = status != KERB_OK;
        if (status == KERB_OK) kerb_log(KERB_LOG_INFO, "the GPU's stages are not timed one by one: %s", reason.message);
        else if (status == KERB_ERROR_BACKEND) reason = again;
    }
    if (status == KERB_OK) status = run_all_once(s, &reason);
    if (status == KERB_OK || status == KERB_ERROR_BACKEND) {
        if (status != KERB_OK && error) *error = reason;
        return status;
    }
    forget_graphs(s);
    s->inner_marks = true;
    kerb_log(KERB_LOG_INFO, "frames run as single launches on the GPU, not as one recorded graph each: %s", reason.message);
    return run_all_once(s, error);
}
