/* SPDX-License-Identifier: MIT */
/* The kernel of in_item.h. Blocks of 32 x 8 pixels: a warp is a row of 32 neighbours, whose samples and stores lie together. */
#include "cuda/in/in_item.h"

static __global__ void __launch_bounds__(256) kerb_kernel_in(const __grid_constant__ KerbCudaInArgs a)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < a.width && y < a.height) kerb_item_in(&a, x, y);
}

extern "C" cudaError_t kerb_launch_in(const KerbCudaInArgs *args, cudaStream_t stream)
{
    dim3 block(32, 8), grid((args->width + 31) / 32, (args->height + 7) / 8);
    kerb_kernel_in<<<grid, block, 0, stream>>>(*args);
    return cudaGetLastError();
}
