/* SPDX-License-Identifier: MIT */
/* The network's own kernels: where cuDNN has none, or is slow. Plain-data arguments and a launcher each; the items are in net/kernel_*.h
 * (base/cuda.h says how a kernel is written), the GPU's launchers in net/kernels.cu, the host twins' in net/kernels_host.c.
 *
 * Float types are f32, f16 and bf16; arithmetic is f32. Pictures lie channels-last; channels between c and the pixel pitch are padding: every kernel
 * that writes a whole picture sets those up to the next multiple of 8 (within the pitch) to 0, because convolutions read them. */
#ifndef KERB_CUDA_NET_KERNELS_H
#define KERB_CUDA_NET_KERNELS_H

#include "cuda/base/cuda.h"
#include "net/graph.h"

/* One picture (N = 1) or a slice of a wider one's channels. Strides in elements. */
typedef struct KerbPicture {
    void *data;
    int32_t type; /* KerbDtype */
    int32_t c, h, w;
    int64_t row, pixel;
} KerbPicture;

/* Any tensor, any strides >= 0 (0 broadcasts). */
typedef struct KerbStrided {
    void *data;
    int32_t type, rank;
    int32_t dims[KERB_MAX_RANK];
    int64_t strides[KERB_MAX_RANK];
} KerbStrided;

#endif
