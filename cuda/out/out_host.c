/* SPDX-License-Identifier: MIT */
/* The host twins of out.cu. */
#include "cuda/out/out_item.h"

#include "tests/cuda/standin/standin.h"

#define KERB_TWIN(name, item, Args, width, height)                                                                                                   \
    static void kerb_twin_out_##name(const void *arguments)                                                                                          \
    {                                                                                                                                                \
        const Args *a = arguments;                                                                                                                   \
        for (int y = 0; y < (height); y++)                                                                                                           \
            for (int x = 0; x < (width); x++) item(a, x, y);                                                                                         \
    }                                                                                                                                                \
    cudaError_t kerb_launch_out_##name(const Args *args, cudaStream_t stream)                                                                        \
    {                                                                                                                                                \
        return kerb_standin_enqueue(stream, kerb_twin_out_##name, args, sizeof *args);                                                               \
    }

KERB_TWIN(cells, kerb_item_out_cell, KerbCudaOutHead, a->width, a->height)
KERB_TWIN(quads, kerb_item_out_quad, KerbCudaOutHead, a->width, a->height)
KERB_TWIN(pixels, kerb_item_out_block, KerbCudaOutArgs, (a->width + 1) / 2, (a->height + 1) / 2)
KERB_TWIN(halves, kerb_item_out_halves, KerbCudaOutArgs, (a->width + 1) / 2, (a->height + 2 * KERB_CUDA_OUT_HALVES - 1) / (2 * KERB_CUDA_OUT_HALVES))
