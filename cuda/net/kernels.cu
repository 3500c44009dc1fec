/* SPDX-License-Identifier: MIT */
/* The kernels of kernel_*.h: a grid over each one's items. Arguments stay in the constant bank (__grid_constant__): items take their address. */
#include "cuda/net/kernel_axes.h"
#include "cuda/net/kernel_conv.h"
#include "cuda/net/kernel_matmul.h"
#include "cuda/net/kernel_picture.h"
#include "cuda/net/kernel_pool.h"
#include "cuda/net/kernel_walk.h"

#define KERB_BLOCK_THREADS 128 /* small: pictures at 1/32 are to spread over all multiprocessors */

#define KERB_DEFINE_KERNEL(name, type)                                                                                         \
    static __global__ void __launch_bounds__(KERB_BLOCK_THREADS) kerb_kernel_##name(const __grid_constant__ type a, int items) \
    {                                                                                                                          \
        unsigned i = blockIdx.x * (unsigned)KERB_BLOCK_THREADS + threadIdx.x;                                                  \
        if (i < (unsigned)items) kerb_item_##name(&a, (int)i);                                                                 \
    }                                                                                                                          \
    extern "C" cudaError_t kerb_launch_##name(const type *args, cudaStream_t stream)                                           \
    {                                                                                                                          \
        int64_t items = kerb_items_##name(args);                                                                               \
        if (items < 0 || items > INT32_MAX) return cudaErrorInvalidValue;                                                      \
        if (items == 0) return cudaSuccess;                                                                                    \
        unsigned blocks = (unsigned)((items + KERB_BLOCK_THREADS - 1) / KERB_BLOCK_THREADS);                                   \
        kerb_kernel_##name<<<blocks, KERB_BLOCK_THREADS, 0, stream>>>(*args, (int)items);                                      \
        return cudaGetLastError();                                                                                             \
    }
KERB_KERNELS(KERB_DEFINE_KERNEL)
