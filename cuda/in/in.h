/* SPDX-License-Identifier: MIT */
/* Frame -> network input on the GPU, in one kernel: engine/in/in.h's rules to the bit (for f16 and bf16: those bits, rounded once to nearest even).
 * Reads the frame where the job says; writes every element of the input, padding channels and letterbox borders (0) included. */
#ifndef KERB_CUDA_IN_IN_H
#define KERB_CUDA_IN_IN_H

#include "cuda/base/cuda.h"
#include "cuda/base/job.h"
#include "in/in.h"

/* Tables for one format and input, in device memory. Immutable after creation. */
typedef struct KerbCudaIn KerbCudaIn;

/* params->input: the logical shape (1 x C x H x W) alone. `input`: the same shape with the device's type (f32, f16, bf16) and strides (any above 0; fastest
 * where a pixel takes 16 bytes: 4 elements of f32, 8 of f16 or bf16); its data is given at each launch. Channels up to the pixel's pitch are padding where the
 * channel stride is 1. `memory` counts, and outlives this. Opener's thread. ARGUMENT as kerb_in_new(), MEMORY, BACKEND. */
KerbStatus kerb_cuda_in_new(KerbCudaIn **out, const KerbInParams *params, const KerbTensor *input, KerbCudaMemory *memory, KerbError *error);
/* `job` and `input` as the device sees them (input aligned to its elements; fast where to 16 bytes). Can be recorded into a graph. Any thread. */
cudaError_t kerb_cuda_in_launch(const KerbCudaIn *in, const KerbCudaJob *job, void *input, cudaStream_t stream);
/* Nothing that was launched may still run. NULL is fine. */
void kerb_cuda_in_free(KerbCudaIn **in);

#endif
