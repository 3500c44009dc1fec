/* SPDX-License-Identifier: MIT */
/* The module's face: devices, probe, compile, run, free (contract: net/backend.h); stages of its own come from cuda/run. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cuda/base/dnn.h"
#include "cuda/net/compile.h"
#include "net/ref/ref.h"

extern const struct KerbStages kerb_cuda_stages; /* cuda/run */

static int kerb_cuda_devices(void)
{
    const int n = kerb_cuda_device_count();
    return n < 1 ? 1 : n;
}

static void kerb_cuda_remedy(KerbDevice *device, const KerbError *error)
{
    device->usable = false;
    snprintf(device->remedy, sizeof device->remedy, "%.*s", (int)sizeof device->remedy - 1, error->message);
}

static void kerb_cuda_probe(KerbDevice *device)
{
    KerbCudaDevice d;
    KerbCudnn dnn;
    KerbError error = {0};
    char version[32];
    snprintf(device->name, sizeof device->name, "cuda");
    snprintf(device->description, sizeof device->description, "NVIDIA GPU");
    device->precisions[0] = device->remedy[0] = 0;
    if (kerb_cuda_device(device->id, &d, &error)) {
        kerb_cuda_remedy(device, &error);
        return;
    }
    device->integrated = d.integrated;
    device->memory_bytes = d.memory_bytes;
    snprintf(device->precisions, sizeof device->precisions, "%s", d.major >= 8 ? "f16 bf16 tf32 f32 int8" : "f16 f32 int8");
    const int used =
        snprintf(device->description, sizeof device->description, "%s, sm_%d%d, %d SMs, CUDA %d.%d, driver for %d.%d", d.name, d.major,
                 d.minor, d.multiprocessors, d.runtime / 1000, d.runtime % 1000 / 10, d.driver / 1000, d.driver % 1000 / 10);
    if (kerb_cudnn_open(&dnn, d.driver, &error)) {
        kerb_cuda_remedy(device, &error);
        return;
    }
    if (used > 0 && (size_t)used < sizeof device->description)
        snprintf(device->description + used, sizeof device->description - (size_t)used, ", cuDNN %s",
                 kerb_cudnn_version_text(&dnn, version, sizeof version));
    kerb_cudnn_close(&dnn);
    device->usable = true;
}

/* What has no kernel the reference does on the host. */
static bool kerb_cuda_supports(const KerbGraph *g, const KerbNode *n, char *why, size_t why_bytes)
{
    return !kerb_backend_ref.supports || kerb_backend_ref.supports(g, n, why, why_bytes);
}

static const KerbTensor *kerb_cuda_input(KerbNet *net, int i)
{
    return i >= 0 && i < net->g->n_inputs ? &net->host_inputs[i].t : NULL;
}
static const KerbTensor *kerb_cuda_output(KerbNet *net, int i)
{
    return i >= 0 && i < net->g->n_outputs ? &net->host_outputs[i].t : NULL;
}
static void kerb_cuda_memory(KerbNet *net, size_t *arena_bytes, size_t *weight_bytes)
{
    *arena_bytes = net->arena_bytes[KERB_SPACE_DEVICE];
    *weight_bytes = net->weight_bytes;
}

static const KerbBackend kerb_backend_cuda = {
    .abi = KERB_BACKEND_ABI,
    .name = "cuda",
    .devices = kerb_cuda_devices,
    .probe = kerb_cuda_probe,
    .supports = kerb_cuda_supports,
    .compile = kerb_cuda_compile,
    .input = kerb_cuda_input,
    .output = kerb_cuda_output,
    .run = kerb_cuda_run,
    .trace = kerb_cuda_trace,
    .memory = kerb_cuda_memory,
    .free = kerb_cuda_net_free,
    .stages = &kerb_cuda_stages,
};

KERB_API const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);
const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink)
{
    if (abi != KERB_BACKEND_ABI) return NULL;
    if (sink) kerb_set_log(sink->fn, sink->user, sink->level);
    return &kerb_backend_cuda;
}
