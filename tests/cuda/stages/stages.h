/* SPDX-License-Identifier: MIT */
/* Generated cases for cuda/in and cuda/out against engine/in and engine/out, to the bit. Linked with the stand-in they hold the kernels' host twins; linked
 * with nvcc's objects and the real runtime they hold the GPU (kerb-cuda-stages). No test framework: GPU machines have none. */
#ifndef KERB_TESTS_CUDA_STAGES_H
#define KERB_TESTS_CUDA_STAGES_H

#include "cuda/in/in.h"
#include "cuda/out/out.h"
#include "out/random.h"

typedef struct Stages {
    cudaStream_t stream;
    KerbCudaMemory memory;
    KerbCudaJob *job; /* in device memory */
} Stages;

void stages_init(Stages *s);
/* Device bytes that were not given back. */
size_t stages_finish(Stages *s);
/* Ends the program where a call failed: what comes after it says nothing. */
void stages_must(cudaError_t code, const char *what);
void stages_set_job(Stages *s, const KerbCudaJob *job);
/* Launches for this job and waits. recorded: as a graph that was captured while the job block was empty, as the ring's graphs outlive their frames. */
typedef cudaError_t (*StagesLaunchFn)(Stages *s, void *what);
void stages_run(Stages *s, const KerbCudaJob *job, bool recorded, StagesLaunchFn launch, void *what);

/* Bytes in host memory, which hold what is expected in the end, and as many on the device. */
typedef struct StagesBlock {
    uint8_t *host;
    void *device;
    size_t bytes;
} StagesBlock;

StagesBlock stages_block_new(size_t bytes); /* host bytes are to be set, then sent */
void stages_block_send(const StagesBlock *b);
/* The first byte that differs between host and device; -1: none. Waits for the stream. */
int64_t stages_block_compare(const Stages *s, const StagesBlock *b);
void stages_block_free(StagesBlock *b);

/* Planes with random beginnings, gaps and bytes: what lies between the rows is compared too. */
typedef struct StagesPicture {
    int n_planes;
    int strides[3], lead[3];
    StagesBlock planes[3];
} StagesPicture;

StagesPicture stages_picture_new(const KerbVideoFormat *format, bool aligned, KerbRandom *r);
void stages_picture_free(StagesPicture *p);
KerbFrame stages_picture_host(const StagesPicture *p);
KerbCudaPlanes stages_picture_device(const StagesPicture *p);

/* False: `message` says which case differs, and where. */
bool stages_in_case(Stages *s, uint64_t seed, char *message, size_t bytes);
bool stages_out_case(Stages *s, uint64_t seed, char *message, size_t bytes);

#endif
