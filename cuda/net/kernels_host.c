/* SPDX-License-Identifier: MIT */
/* The host twins of kernels.cu: the same items in loops that the stand-in runtime runs in stream order. Not part of real builds. */
#include "cuda/net/kernel_axes.h"
#include "cuda/net/kernel_conv.h"
#include "cuda/net/kernel_matmul.h"
#include "cuda/net/kernel_picture.h"
#include "cuda/net/kernel_pool.h"
#include "cuda/net/kernel_walk.h"

#include "tests/cuda/standin/standin.h"

#define KERB_DEFINE_TWIN(name, type)                                                                                           \
    static void kerb_twin_##name(const void *args)                                                                             \
    {                                                                                                                          \
        const type *a = args;                                                                                                  \
        for (int64_t i = 0, items = kerb_items_##name(a); i < items; i++) kerb_item_##name(a, (int)i);                         \
    }                                                                                                                          \
    cudaError_t kerb_launch_##name(const type *args, cudaStream_t stream)                                                      \
    {                                                                                                                          \
        int64_t items = kerb_items_##name(args);                                                                               \
        if (items < 0 || items > INT32_MAX) return cudaErrorInvalidValue;                                                      \
        return items ? kerb_standin_enqueue(stream, kerb_twin_##name, args, sizeof *args) : cudaSuccess;                       \
    }
KERB_KERNELS(KERB_DEFINE_TWIN)
