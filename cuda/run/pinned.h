/* SPDX-License-Identifier: MIT */
/* Page-locked blocks that were handed out (kerb_host_alloc), and the question of every frame: does this memory lie in one of them? */
#ifndef KERB_CUDA_RUN_PINNED_H
#define KERB_CUDA_RUN_PINNED_H

#include "cuda/base/cuda.h"

/* KerbStages.host_alloc. Any thread. */
KerbStatus kerb_cuda_pinned_alloc(int device_id, size_t bytes, KerbHostBlock *out, KerbError *error);

/* The address at which the device sees `data`, where all of its `bytes` lie in one block that is alive; otherwise NULL. Any thread; allocates nothing. */
void *kerb_cuda_pinned_find(const void *data, size_t bytes);

#endif
