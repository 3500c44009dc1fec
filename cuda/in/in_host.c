/* SPDX-License-Identifier: MIT */
/* The host twin of in.cu. */
#include "cuda/in/in_item.h"

#include "tests/cuda/standin/standin.h"

static void kerb_twin_in(const void *arguments)
{
    const KerbCudaInArgs *a = arguments;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++) kerb_item_in(a, x, y);
}

cudaError_t kerb_launch_in(const KerbCudaInArgs *args, cudaStream_t stream)
{
    return kerb_standin_enqueue(stream, kerb_twin_in, args, sizeof *args);
}
