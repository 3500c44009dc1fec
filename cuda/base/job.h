/* SPDX-License-Identifier: MIT */
/* What changes from frame to frame, as the kernels of in and out read it: one small block of memory that the device sees. The kernels' own
 * arguments stay the same, so a recorded graph serves every frame, wherever it lies and however it is to be drawn.
 *
 * Written by the ring before the frame's work is put onto the queue; stays as it is until that is done (one block a slot). Every thread of both kernels
 * reads it: on a GPU with memory of its own let it go up with the frame (sizeof is 1.1 KiB) rather than be read from the host's. */
#ifndef KERB_CUDA_BASE_JOB_H
#define KERB_CUDA_BASE_JOB_H

#include <stdint.h>

/* Addresses as the device sees them, any alignment; strides in bytes, at least the row. */
typedef struct KerbCudaPlanes {
    uint8_t *planes[3]; /* as many as the format has */
    int32_t strides[3];
} KerbCudaPlanes;

typedef struct KerbCudaMap {
    uint8_t *data;
    int32_t stride;
} KerbCudaMap;

/* A KerbDisplay in the frame's own components: kerb_cuda_out_display(). */
typedef struct KerbCudaDisplay {
    int32_t visualize;    /* KerbVisualize */
    int32_t alpha;        /* 0..256 */
    uint32_t labels[256]; /* bytes 0 to 2, from the lowest: colour, in the frame's components; byte 3: painted, 1 or 0 */
} KerbCudaDisplay;

typedef struct KerbCudaJob {
    KerbCudaPlanes frame;
    KerbCudaPlanes picture; /* planes[0] NULL: nothing is drawn; may be the frame itself, except for side-by-side */
    KerbCudaMap labels;     /* width x height of the frame; required */
    KerbCudaMap confidence; /* data NULL: not wanted */
    KerbCudaDisplay display;
} KerbCudaJob;

#endif
