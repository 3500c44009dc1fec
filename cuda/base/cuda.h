/* SPDX-License-Identifier: MIT */
/* What every room of cuda/ stands on: one device, checked calls, memory that is counted, and how a kernel is written.
 *
 * The CUDA runtime is linked statically into the module; cuDNN is opened at run time (base/dnn.h). Host logic is C; .cu files hold kernels
 * and their launchers only, and are built by cuda/kernels.cu (one translation unit a room) with nvcc, --fmad=false.
 *
 * A kernel is a function of one item. `KERB_ITEM void kerb_item_pool(const KerbPoolArgs *a, int i)` computes item i (one output pixel, eight
 * channels of one, ...) and nothing else; arguments are plain data by value. nvcc makes a grid of it, a C compiler makes a loop of it (the host
 * twin): the same function is what runs on the GPU and what tests hold against ref, with no GPU. No shared memory, no barriers: reductions are two
 * kernels. */
#ifndef KERB_CUDA_BASE_CUDA_H
#define KERB_CUDA_BASE_CUDA_H

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <cuda_runtime_api.h>

#ifdef __CUDACC__
#define KERB_ITEM static __host__ __device__ __forceinline__
#define KERB_ITEM_ROLLED _Pragma("unroll 1") /* before a loop whose body is long: nvcc leaves it one */
#else
#define KERB_ITEM static inline
#define KERB_ITEM_ROLLED
#endif

/* What is known of a device; filled once. */
typedef struct KerbCudaDevice {
    int id;
    char name[96];
    int major, minor;           /* compute capability */
    int multiprocessors;
    size_t memory_bytes;
    bool integrated;
    int driver, runtime;        /* 13000: 13.0 */
} KerbCudaDevice;

/* BACKEND with reason and remedy: no driver, driver too old for this build, no such device, compute capability below 7.5. */
KerbStatus kerb_cuda_device(int id, KerbCudaDevice *out, KerbError *error);
int kerb_cuda_device_count(void); /* 0: none, or no driver */

/* OK for cudaSuccess; otherwise the message names `what`, the error and what to do. Sticky errors (the context is lost: illegal address 700, launch
 * timeout 702, launch failure 719, ECC 214, ...) give BACKEND; out of memory gives MEMORY; all others FRAME. */
KerbStatus kerb_cuda_check(cudaError_t code, const char *what, KerbError *error);
bool kerb_cuda_is_sticky(cudaError_t code);

/* Memory, counted. Device memory is zeroed. MEMORY: what was asked for, what is free, in all. */
typedef struct KerbCudaMemory {
    size_t device_bytes, pinned_bytes;
} KerbCudaMemory;
KerbStatus kerb_cuda_alloc(KerbCudaMemory *count, void **out, size_t bytes, const char *what, KerbError *error);
void kerb_cuda_free(KerbCudaMemory *count, void **pointer, size_t bytes); /* NULL pointers are fine */
/* Cacheable, mapped, page-aligned. *device_pointer (may be NULL) is the same memory as kernels see it. */
KerbStatus kerb_cuda_alloc_pinned(KerbCudaMemory *count, void **out, void **device_pointer, size_t bytes, KerbError *error);
void kerb_cuda_free_pinned(KerbCudaMemory *count, void **pointer, size_t bytes);

#endif
