/* SPDX-License-Identifier: MIT */
/* Tables of a stage. See tables.h. */
#include "cuda/base/tables.h"

#include <string.h>

KerbStatus kerb_cuda_tables_init(KerbCudaTables *t, size_t bytes, KerbCudaMemory *memory, const char *what, KerbError *error)
{
    memset(t, 0, sizeof *t);
    t->memory = memory;
    t->bytes = bytes;
    t->what = what;
    t->host = kerb_alloc(bytes);
    if (!t->host) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
    return kerb_cuda_alloc(memory, &t->device, bytes, what, error);
}

void *kerb_cuda_tables_take(KerbCudaTables *t, size_t bytes, const void **device)
{
    void *host = t->host + t->used;
    *device = (const uint8_t *)t->device + t->used;
    t->used += (bytes + KERB_CUDA_TABLE_SLACK - 1) / KERB_CUDA_TABLE_SLACK * KERB_CUDA_TABLE_SLACK;
    return host;
}

KerbStatus kerb_cuda_tables_upload(KerbCudaTables *t, KerbError *error)
{
    cudaError_t code = cudaMemcpyAsync(t->device, t->host, t->used, cudaMemcpyHostToDevice, NULL);
    if (code == cudaSuccess) code = cudaStreamSynchronize(NULL);
    kerb_free(&t->host);
    return kerb_cuda_check(code, t->what, error);
}

void kerb_cuda_tables_free(KerbCudaTables *t)
{
    kerb_free(&t->host);
    if (t->device) kerb_cuda_free(t->memory, &t->device, t->bytes);
}
