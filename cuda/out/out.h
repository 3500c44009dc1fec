/* SPDX-License-Identifier: MIT */
/* Scores -> labels, confidence and picture on the GPU: engine/out/out.h to the byte. The launches, whatever the job asks for:
 *   cells    a head, at the scores' resolution: each cell's class, greatest score and probability
 *   quads    a head, where cells are large: which classes may win between a cell and its neighbours
 *   pixels   a block of 2x2 frame pixels: upsampled class and confidence of all heads, layered; the overlay or mask into the picture
 *   halves   side-by-side, which takes labels from elsewhere in the frame; ends at once for other displays */
#ifndef KERB_CUDA_OUT_OUT_H
#define KERB_CUDA_OUT_OUT_H

#include "cuda/base/cuda.h"
#include "cuda/base/job.h"
#include "out/out.h"

/* Tables and scratch in device memory, for one format and network. */
typedef struct KerbCudaOut KerbCudaOut;

/* As kerb_out_new() (cpu_flags and threads say nothing here). scores[i]: shape, type and strides of head i's tensor on the device; its data is given at each
 * launch. `memory` counts, and outlives this. Opener's thread. ARGUMENT, MEMORY, BACKEND. */
KerbStatus kerb_cuda_out_new(KerbCudaOut **out, const KerbOutParams *params, const KerbTensor scores[], KerbCudaMemory *memory, KerbError *error);
/* Fills a job's display, in host memory. One thread at a time. */
void kerb_cuda_out_display(KerbCudaOut *out, const KerbDisplay *display, KerbCudaDisplay *to);
/* `job` and scores[i] as the device sees them (scores fast where channels-last, in f16, bf16 or f32, with pixels that begin on 16 bytes). Launches of
 * one KerbCudaOut must follow one another on the device: they share its scratch. Can be recorded into a graph, which then serves other jobs: with or
 * without a picture, confidence, side-by-side. */
cudaError_t kerb_cuda_out_launch(const KerbCudaOut *out, const KerbCudaJob *job, void *const scores[], cudaStream_t stream);
/* Nothing that was launched may still run. NULL is fine. */
void kerb_cuda_out_free(KerbCudaOut **out);

#endif
