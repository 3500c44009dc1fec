/* SPDX-License-Identifier: MIT */
/* Memory of the device, and page-locked memory of the host, with the bytes counted. All of the current device (cudaSetDevice). Never on the
 * streaming path. */
#include "cuda/base/cuda.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAGE ((size_t)4096)
#define MIB (1024.0 * 1024.0)

/* What would fit: activations grow with the network's area. */
static KerbStatus fail_full(const char *what, size_t bytes, KerbError *error)
{
    size_t available = 0, total = 0;
    (void)cudaGetLastError();
    if (cudaMemGetInfo(&available, &total) != cudaSuccess) (void)cudaGetLastError();
    int percent = (int)(100 * sqrt(0.9 * (double)available / (double)bytes));
    char smaller[64] = "a smaller network";
    if (percent > 0 && percent < 100) snprintf(smaller, sizeof smaller, "a network of %d %% of this width and height", percent);
    return kerb_fail(error, KERB_ERROR_MEMORY, "%s needs %.1f MiB of the GPU's memory; %.1f MiB of %.1f are free. What would fit: %s, or precision "
                     "f16 in place of f32; or end other programs that use the GPU (nvidia-smi lists them)", what, (double)bytes / MIB,
                     (double)available / MIB, (double)total / MIB, smaller);
}

KerbStatus kerb_cuda_alloc(KerbCudaMemory *count, void **out, size_t bytes, const char *what, KerbError *error)
{
    *out = NULL;
    if (!bytes) bytes = 1;
    void *memory = NULL;
    cudaError_t code = cudaMalloc(&memory, bytes);
    if (code == cudaErrorMemoryAllocation) return fail_full(what, bytes, error);
    if (code == cudaSuccess) {
        /* On the default stream, which streams of our own (non-blocking) do not wait for: so we do. */
        code = cudaMemsetAsync(memory, 0, bytes, NULL);
        if (code == cudaSuccess) code = cudaStreamSynchronize(NULL);
        if (code != cudaSuccess) (void)cudaFree(memory);
    }
    if (code != cudaSuccess) return kerb_cuda_check(code, what, error);
    *out = memory;
    count->device_bytes += bytes;
    return KERB_OK;
}

void kerb_cuda_free(KerbCudaMemory *count, void **pointer, size_t bytes)
{
    if (!*pointer) return;
    if (cudaFree(*pointer) != cudaSuccess) (void)cudaGetLastError(); /* the device is lost: there is nothing to give back */
    *pointer = NULL;
    count->device_bytes -= bytes ? bytes : 1;
}

static size_t whole_pages(size_t bytes)
{
    size_t whole;
    return kerb_add_size(bytes ? bytes : 1, PAGE - 1, &whole) ? whole / PAGE * PAGE : 0;
}

KerbStatus kerb_cuda_alloc_pinned(KerbCudaMemory *count, void **out, void **device_pointer, size_t bytes, KerbError *error)
{
    *out = NULL;
    if (device_pointer) *device_pointer = NULL;
    size_t whole = whole_pages(bytes);
    void *memory = NULL;
    cudaError_t code = whole ? cudaHostAlloc(&memory, whole, cudaHostAllocMapped | cudaHostAllocPortable) : cudaErrorMemoryAllocation;
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return kerb_fail(error, KERB_ERROR_MEMORY, "no page-locked memory for %.1f MiB: use fewer slots or smaller frames, or end other programs",
                         (double)bytes / MIB);
    }
    if (code != cudaSuccess) return kerb_cuda_check(code, "taking page-locked memory", error);
    if (device_pointer) code = cudaHostGetDevicePointer(device_pointer, memory, 0);
    if (code == cudaSuccess && (uintptr_t)memory % PAGE == 0) {
        memset(memory, 0, whole);
        *out = memory;
        count->pinned_bytes += whole;
        return KERB_OK;
    }
    (void)cudaFreeHost(memory);
    if (code == cudaSuccess) return kerb_fail(error, KERB_ERROR_INTERNAL, "page-locked memory at %p is not whole pages: please report this", memory);
    return kerb_cuda_check(code, "mapping page-locked memory", error);
}

void kerb_cuda_free_pinned(KerbCudaMemory *count, void **pointer, size_t bytes)
{
    if (!*pointer) return;
    if (cudaFreeHost(*pointer) != cudaSuccess) (void)cudaGetLastError();
    *pointer = NULL;
    count->pinned_bytes -= whole_pages(bytes);
}
