/* SPDX-License-Identifier: MIT */
/* Tables of a stage: filled on the host, copied up once, one block of device memory for all of them. Opener's thread. */
#ifndef KERB_CUDA_BASE_TABLES_H
#define KERB_CUDA_BASE_TABLES_H

#include "cuda/base/cuda.h"

typedef struct KerbCudaTables {
    uint8_t *host; /* until the upload */
    void *device;
    size_t bytes, used;
    KerbCudaMemory *memory;
    const char *what;
} KerbCudaTables;

/* Room for `bytes` of tables; each takes up to KERB_CUDA_TABLE_SLACK more. `what` names them in messages. MEMORY, BACKEND: free it all the same. */
#define KERB_CUDA_TABLE_SLACK 16
KerbStatus kerb_cuda_tables_init(KerbCudaTables *tables, size_t bytes, KerbCudaMemory *memory, const char *what, KerbError *error);
/* The next table, zeroed, to be filled on the host; *device is where it will lie (aligned to 16). There is room for what was asked for at init. */
void *kerb_cuda_tables_take(KerbCudaTables *tables, size_t bytes, const void **device);
/* Copies everything and waits: kernels run on streams that do not wait for the default one. No more tables then. */
KerbStatus kerb_cuda_tables_upload(KerbCudaTables *tables, KerbError *error);
void kerb_cuda_tables_free(KerbCudaTables *tables); /* a zeroed one is fine */

#endif
