/* SPDX-License-Identifier: MIT */
/* The kernels of score_item.h and out_item.h. Blocks of 32 x 8 items: a warp is 32 neighbours of a row, whose loads and stores lie together. */
#include "cuda/out/out_item.h"

static const int block_width = 32, block_height = 8;

template <typename Args, void (*item)(const Args *, int, int)>
static __global__ void __launch_bounds__(256) kerb_kernel_out(const __grid_constant__ Args a, int width, int height)
{
    int x = blockIdx.x * block_width + threadIdx.x, y = blockIdx.y * block_height + threadIdx.y;
    if (x < width && y < height) item(&a, x, y);
}

template <typename Args, void (*item)(const Args *, int, int)>
static cudaError_t kerb_launch_items(const Args *args, int width, int height, cudaStream_t stream)
{
    dim3 block(block_width, block_height), grid((width + block_width - 1) / block_width, (height + block_height - 1) / block_height);
    kerb_kernel_out<Args, item><<<grid, block, 0, stream>>>(*args, width, height);
    return cudaGetLastError();
}

extern "C" cudaError_t kerb_launch_out_cells(const KerbCudaOutHead *args, cudaStream_t stream)
{
    return kerb_launch_items<KerbCudaOutHead, kerb_item_out_cell>(args, args->width, args->height, stream);
}

extern "C" cudaError_t kerb_launch_out_quads(const KerbCudaOutHead *args, cudaStream_t stream)
{
    return kerb_launch_items<KerbCudaOutHead, kerb_item_out_quad>(args, args->width, args->height, stream);
}

extern "C" cudaError_t kerb_launch_out_pixels(const KerbCudaOutArgs *args, cudaStream_t stream)
{
    return kerb_launch_items<KerbCudaOutArgs, kerb_item_out_block>(args, (args->width + 1) / 2, (args->height + 1) / 2, stream);
}

extern "C" cudaError_t kerb_launch_out_halves(const KerbCudaOutArgs *args, cudaStream_t stream)
{
    int rows = 2 * KERB_CUDA_OUT_HALVES; /* an item */
    return kerb_launch_items<KerbCudaOutArgs, kerb_item_out_halves>(args, (args->width + 1) / 2, (args->height + rows - 1) / rows, stream);
}
