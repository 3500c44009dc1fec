/* SPDX-License-Identifier: MIT */
/* Arguments of the kernels of out, and their launchers: out.cu's on a GPU, out_host.c's in tests. All pointers are the device's. */
#ifndef KERB_CUDA_OUT_OUT_ARGS_H
#define KERB_CUDA_OUT_OUT_ARGS_H

#include "cuda/base/cuda.h"
#include "cuda/base/job.h"

enum { KERB_CUDA_OUT_HEADS = 8, KERB_CUDA_OUT_HALVES = 4 };

typedef enum KerbCudaOutHow {
    KERB_CUDA_OUT_NOTHING, /* a tensor that has not the head's shape */
    KERB_CUDA_OUT_CLASSES, /* argmax */
    KERB_CUDA_OUT_BINARY,  /* one margin decides */
    KERB_CUDA_OUT_LABELS,  /* the scores are labels */
} KerbCudaOutHow;

/* Where a frame column or row lies among the cells: between `cell` and the next one, with `weight` on that; nearest: on `cell`. */
typedef struct __attribute__((aligned(8))) KerbCudaOutTap {
    int32_t cell;
    float weight;
} KerbCudaOutTap;

typedef struct KerbCudaOutHead {
    const void *scores;
    int64_t row, cell, channel; /* strides in elements */
    int32_t type;               /* KerbDtype */
    int32_t whole;              /* elements in an aligned 16-byte load of neighbouring channels: 8, 4, or 1 where there is no such thing */
    int32_t how, nearest;
    int32_t softmax;            /* CLASSES: scores are logits, not probabilities */
    int32_t probability;        /* BINARY: the score is the probability */
    int32_t channels, width, height;
    float bias;                 /* BINARY with one channel: the margin is score - bias */
    const KerbCudaOutTap *across, *down; /* for each column and row of the frame that the network sees */
    const uint8_t *index;       /* class -> label; NULL: the same */
    /* Scratch of the launch `cells`, [height][width]. */
    uint8_t *labels;            /* CLASSES: of the greatest score */
    float *greatest;            /* CLASSES: that score; BINARY: the margin */
    float *top;                 /* its probability; BINARY: that of label 1 */
    /* Scratch of the launch `quads`; NULL where cells are too small for it to pay. A quad is what lies between a cell, its right and its lower neighbour. */
    uint16_t *quads;            /* the class of all four corners, or KERB_CUDA_OUT_MIXED */
    uint32_t *rivals;           /* MIXED: the classes that may win in it, a bit each, `words` words */
    int32_t words;
    int32_t confidence;         /* wanted from this network at all */
} KerbCudaOutHead;

#define KERB_CUDA_OUT_MIXED 256

typedef enum KerbCudaOutFamily {
    KERB_CUDA_OUT_LUMA,    /* plane 0 has one byte a pixel, and chroma lies in planes, in pairs, or nowhere */
    KERB_CUDA_OUT_PACKED,  /* YUY2, UYVY */
    KERB_CUDA_OUT_THREE,   /* bytes a pixel */
    KERB_CUDA_OUT_FOUR,
} KerbCudaOutFamily;

typedef struct KerbCudaOutLayout {
    int32_t family;
    int32_t n_planes;
    int32_t plane[2]; /* LUMA: of components 1 and 2 */
    int32_t byte[2];  /* and the byte of a group that they are; `group` bytes */
    int32_t group;
    int32_t luma;     /* PACKED: the byte of a pair of bytes that is luma */
} KerbCudaOutLayout;

typedef struct KerbCudaOutArgs {
    const KerbCudaJob *job;
    int32_t width, height;  /* of the frame */
    int32_t x0, y0, x1, y1; /* the part that the network sees */
    int32_t n_heads;
    int32_t confidence;     /* 0: never */
    KerbCudaOutLayout layout;
    KerbCudaOutHead heads[KERB_CUDA_OUT_HEADS];
} KerbCudaOutArgs;

#ifdef __cplusplus
extern "C" {
#endif
cudaError_t kerb_launch_out_cells(const KerbCudaOutHead *args, cudaStream_t stream);
cudaError_t kerb_launch_out_quads(const KerbCudaOutHead *args, cudaStream_t stream);
cudaError_t kerb_launch_out_pixels(const KerbCudaOutArgs *args, cudaStream_t stream);
cudaError_t kerb_launch_out_halves(const KerbCudaOutArgs *args, cudaStream_t stream);
#ifdef __cplusplus
}
#endif

#endif
