/* SPDX-License-Identifier: MIT */
/* A compiled net at work: one run on a stream, a whole run from host memory to host memory, times by layer, and its end. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

/* ---- tensors on the host ---- */

/* run() reads and writes page-locked memory that kernels see: the copy kernel converts type and layout on the way, so nothing else is
 * needed on either side. In the graph's own types; pictures channels-last without padding. */
static KerbStatus kerb_cuda_host_tensor(KerbCompiler *c, uint32_t id, const KerbOperand *device, KerbHostTensor *out)
{
    const KerbValue *v = &c->g->values[id];
    out->t = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
    if (v->rank == 4 && device->t.strides[1] == 1) out->t = kerb_tensor_channels_last(NULL, v->dtype, v->rank, v->dims, v->dims[1]);
    out->bytes = kerb_tensor_bytes(&out->t);
    out->is_empty = kerb_tensor_elements(&out->t) == 0;
    return kerb_cuda_alloc_pinned(&c->net->memory, &out->t.data, &out->seen, out->bytes, c->error);
}

/* One launch between the two. */
static KerbStatus kerb_cuda_host_copy_args(KerbCompiler *c, const KerbOperand *device, KerbHostTensor *host, bool up)
{
    KerbOperand seen = {.t = host->t, .root = KERB_NO_ROOT, .loose = true};
    seen.t.data = host->seen;
    const KerbStrided d = kerb_cuda_as_strided(device), h = kerb_cuda_as_strided(&seen), *const walked[2] = {up ? &d : &h, up ? &h : &d};
    memset(&host->copy, 0, sizeof host->copy);
    if (host->is_empty || kerb_walk(2, walked, up ? kerb_cuda_padding(device) : 0, &host->copy.walk)) return KERB_OK;
    return kerb_fail(c->error, KERB_ERROR_INTERNAL, "an input or output that cannot be copied: please report this");
}

KerbStatus kerb_cuda_host_tensors(KerbCompiler *c)
{
    KerbNet *net = c->net;
    const KerbGraph *g = c->g;
    KerbStatus status = KERB_OK;
    net->host_inputs = kerb_cuda_object(c, (size_t)g->n_inputs * sizeof *net->host_inputs);
    net->host_outputs = kerb_cuda_object(c, (size_t)g->n_outputs * sizeof *net->host_outputs);
    if (!net->host_inputs || !net->host_outputs) return KERB_ERROR_MEMORY;
    for (int i = 0; i < g->n_inputs && !status; i++) {
        status = kerb_cuda_host_tensor(c, g->inputs[i], &net->inputs[i], &net->host_inputs[i]);
        if (!status) status = kerb_cuda_host_copy_args(c, &net->inputs[i], &net->host_inputs[i], true);
    }
    for (int i = 0; i < g->n_outputs && !status; i++) {
        status = kerb_cuda_host_tensor(c, g->outputs[i], &net->outputs[i], &net->host_outputs[i]);
        if (!status) status = kerb_cuda_host_copy_args(c, &net->outputs[i], &net->host_outputs[i], false);
    }
    if (status || !c->options->trace || !net->n_steps) return status;
    net->trace.spans = kerb_cuda_object(c, (size_t)net->n_steps * sizeof *net->trace.spans);
    net->events = kerb_cuda_object(c, ((size_t)net->n_steps + 1) * sizeof *net->events);
    if (!net->trace.spans || !net->events) return KERB_ERROR_MEMORY;
    net->trace.n = net->n_steps;
    for (int i = 0; i < net->n_steps; i++) net->trace.spans[i].name = net->steps[i]->label;
    for (int i = 0; i <= net->n_steps && !status; i++)
        status = kerb_cuda_check(cudaEventCreate(&net->events[i]), "making an event", c->error);
    return status;
}

/* ---- running ---- */

static KerbStatus kerb_cuda_enqueue_steps(KerbNet *net, cudaStream_t stream, bool timed, KerbError *error)
{
    KerbStatus status = KERB_OK;
    if (timed) status = kerb_cuda_check(cudaEventRecord(net->events[0], stream), "marking time", error);
    for (int i = 0; i < net->n_steps && !status; i++) {
        status = net->steps[i]->kind->enqueue(net, net->steps[i], stream, error);
        if (timed && !status) status = kerb_cuda_check(cudaEventRecord(net->events[i + 1], stream), "marking time", error);
    }
    return status;
}

KerbStatus kerb_cuda_net_enqueue(KerbNet *net, cudaStream_t stream, KerbError *error)
{
    return kerb_cuda_enqueue_steps(net, stream, false, error);
}

static KerbStatus kerb_cuda_copy_all(const KerbNet *net, const KerbHostTensor *tensors, int n, KerbError *error)
{
    for (int i = 0; i < n; i++) {
        if (tensors[i].is_empty) continue;
        KerbStatus status = kerb_cuda_check(kerb_launch_copy(&tensors[i].copy, net->stream), "copying between host and device", error);
        if (status) return status;
    }
    return KERB_OK;
}

static void kerb_cuda_add_times(KerbNet *net)
{
    for (int i = 0; i < net->n_steps; i++) {
        float ms = 0;
        if (cudaEventElapsedTime(&ms, net->events[i], net->events[i + 1]) == cudaSuccess)
            kerb_trace_add(&net->trace, i, (int64_t)((double)ms * 1e6));
    }
}

KerbStatus kerb_cuda_run(KerbNet *net, KerbError *error)
{
    const bool timed = net->events != NULL;
    KerbStatus status = kerb_cuda_check(cudaSetDevice(net->device.id), "choosing the device", error);
    if (!status) status = kerb_cuda_copy_all(net, net->host_inputs, net->g->n_inputs, error);
    if (!status) status = kerb_cuda_enqueue_steps(net, net->stream, timed, error);
    if (!status) status = kerb_cuda_copy_all(net, net->host_outputs, net->g->n_outputs, error);
    /* Wait for what was queued before a failure too: its memory is the net's. */
    KerbError waited = {0};
    KerbStatus end = kerb_cuda_check(cudaStreamSynchronize(net->stream), "running the network", &waited);
    if (!status && end) status = kerb_fail(error, end, "%s", waited.message);
    KerbStatus host = kerb_cuda_net_host_fault(net, status ? NULL : error);
    if (!status) status = host;
    if (!status && timed) kerb_cuda_add_times(net);
    return status;
}

/* ---- facts ---- */

const KerbTensor *kerb_cuda_net_input(const KerbNet *net, int i)
{
    return i >= 0 && i < net->g->n_inputs ? &net->inputs[i].t : NULL;
}
const KerbTensor *kerb_cuda_net_output(const KerbNet *net, int i)
{
    return i >= 0 && i < net->g->n_outputs ? &net->outputs[i].t : NULL;
}
cudaStream_t kerb_cuda_net_stream(const KerbNet *net)
{
    return net->stream;
}
KerbTrace kerb_cuda_trace(KerbNet *net)
{
    return net->trace;
}

void kerb_cuda_net_facts(const KerbNet *net, KerbCudaNetFacts *out)
{
    *out = (KerbCudaNetFacts){.device = &net->device,
                              .precision = net->precision,
                              .type = net->type,
                              .memory = net->memory,
                              .arena_bytes = net->arena_bytes[KERB_SPACE_DEVICE],
                              .sum_bytes = net->sum_bytes,
                              .weight_bytes = net->weight_bytes,
                              .workspace_bytes = net->workspace_bytes,
                              .steps = net->n_steps,
                              .host_steps = net->host_steps,
                              .convolutions = net->convolutions,
                              .plans = net->planned};
}

/* ---- the end ---- */

static void kerb_cuda_free_host_tensors(KerbNet *net, KerbHostTensor *tensors, int n)
{
    for (int i = 0; i < n && tensors; i++) kerb_cuda_free_pinned(&net->memory, &tensors[i].t.data, tensors[i].bytes);
}

void kerb_cuda_net_free(KerbNet **net_)
{
    KerbNet *net = net_ ? *net_ : NULL;
    if (!net) return;
    if (net->stream) {
        (void)cudaSetDevice(net->device.id);
        (void)cudaStreamSynchronize(net->stream);
    }
    for (int i = 0; i <= net->n_steps && net->events; i++) {
        if (net->events[i]) (void)cudaEventDestroy(net->events[i]);
    }
    kerb_cuda_free_host_tensors(net, net->host_inputs, net->g->n_inputs);
    kerb_cuda_free_host_tensors(net, net->host_outputs, net->g->n_outputs);
    kerb_plans_free(&net->plans);
    kerb_cuda_free(&net->memory, &net->arena[KERB_SPACE_DEVICE], net->arena_bytes[KERB_SPACE_DEVICE]);
    kerb_cuda_free_pinned(&net->memory, &net->arena[KERB_SPACE_HOST], net->arena_bytes[KERB_SPACE_HOST]);
    for (int i = 0; i < net->n_blocks; i++) kerb_cuda_free(&net->memory, &net->blocks[i].data, net->blocks[i].bytes);
    if (net->stream) (void)cudaStreamDestroy(net->stream);
    if (net->memory.device_bytes || net->memory.pinned_bytes)
        kerb_log(KERB_LOG_WARNING, "cuda: %zu bytes of the device and %zu of page-locked memory were not given back: please report this",
                 net->memory.device_bytes, net->memory.pinned_bytes);
    kerb_arena_free(&net->objects);
    free(net->blocks);
    free(net->steps);
    free(net->roots[KERB_SPACE_DEVICE]);
    free(net->roots[KERB_SPACE_HOST]);
    free(net);
    *net_ = NULL;
}
