/* SPDX-License-Identifier: MIT */
/* A compiled network on one CUDA device: a list of steps over one device arena. What others use of it (cuda/run: stages around it; tests)
 * comes first; below is what compile.c and the step files share (compile.h has the compiler's own state).
 *
 * One lane: a net has one arena and one set of inputs and outputs, and its runs follow each other on one stream. Slots of a ring share it:
 * upload and download of neighbouring frames go beside it on their own streams, from and into the slots' own buffers. What comes before the
 * network (the pre-kernel) and after it (the tail) reads and writes the net's inputs and outputs, so it belongs to that same stream;
 * together they take a few per cent of the network's time, which a second set of inputs would hardly win back, and one CUDA graph a slot
 * holds all three. */
#ifndef KERB_CUDA_NET_NET_H
#define KERB_CUDA_NET_NET_H

#include "base/trace.h"
#include "cuda/base/cuda.h"
#include "cuda/net/conv.h"
#include "net/backend.h"
#include "net/places.h"

/* ---- what others use ---- */

/* The i-th graph input and output where the device keeps them: `data` is device memory, valid until free; logical dims as in the graph,
 * strides and type the backend's. A picture input is f32, f16 or bf16 with channels adjacent, whether the graph's own order is (1, C, H, W)
 * or (1, H, W, C), and with a pixel pitch of a multiple of 8 elements (4 in f32). Who writes an input writes 0 into channels up to the
 * pitch. Outputs of pictures (scores) have the same type and may be slices of wider pixels: go by the strides. NULL: no such input. */
const KerbTensor *kerb_cuda_net_input(const KerbNet *net, int i);
const KerbTensor *kerb_cuda_net_output(const KerbNet *net, int i);

/* Puts one run onto the stream and returns without waiting. Allocates nothing; may be captured into a CUDA graph, and that graph replayed
 * as long as the net lives. One thread at a time; never two runs at once on two streams. */
KerbStatus kerb_cuda_net_enqueue(KerbNet *net, cudaStream_t stream, KerbError *error);

/* Steps that the host does within the stream (operators without a kernel) cannot say there that they failed. Called after the stream was
 * waited for: says what went wrong since the last call. */
KerbStatus kerb_cuda_net_host_fault(KerbNet *net, KerbError *error);

typedef struct KerbCudaNetFacts {
    const KerbCudaDevice *device;
    KerbPrecision precision;
    KerbDtype type;                       /* of pictures */
    KerbCudaMemory memory;                /* all that the net holds: arena and weights; page-locked memory of host tensors and host steps */
    size_t arena_bytes;                   /* activations and workspaces */
    size_t sum_bytes;                     /* what they would take if no two shared memory */
    size_t weight_bytes, workspace_bytes; /* workspace: the largest one of a convolution, within the arena */
    int steps, host_steps;                /* host_steps: operators that the reference does on the host, each with a copy down and up */
    int convolutions, plans;              /* plans: convolutions that cuDNN does */
} KerbCudaNetFacts;
void kerb_cuda_net_facts(const KerbNet *net, KerbCudaNetFacts *out);

/* The stream that run() uses. Whoever owns stages may use it too, or any other. */
cudaStream_t kerb_cuda_net_stream(const KerbNet *net);

/* ---- inside the room ---- */

/* A tensor that a step reads or writes. */
typedef enum KerbSpace { KERB_SPACE_DEVICE, KERB_SPACE_HOST } KerbSpace; /* HOST: page-locked */
typedef struct KerbOperand {
    KerbTensor t;    /* data: set for constants at once, for others by bind */
    uint32_t root;   /* KERB_NO_ROOT: constant, or absent */
    size_t offset;   /* bytes from the root's start */
    KerbSpace space; /* of the root */
    bool loose;      /* a picture whose channels up to the next multiple of the pitch unit are somebody else's */
} KerbOperand;

typedef struct KerbStep KerbStep;
typedef struct KerbStepKind {
    const char *name;
    KerbStatus (*bind)(KerbNet *net, KerbStep *step, KerbError *error); /* once; operands have data. NULL: nothing to do */
    KerbStatus (*enqueue)(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error);
} KerbStepKind;

struct KerbStep {
    const KerbStepKind *kind;
    const KerbNode *node;
    const char *label;     /* for the trace: "conv 3x3 64->64 256x128  [name]" */
    KerbOperand *operands; /* what they are is the kind's business */
    int n_operands;
    void *state; /* the kind's, from the net's arena of objects */
};

typedef struct KerbBlock { /* device memory of weights and tables, by content */
    void *data;
    size_t bytes;
    uint64_t hash[2];
    int uses;
} KerbBlock;

struct KerbNet {
    const KerbGraph *g;
    KerbArena *objects;
    KerbCudaDevice device;
    KerbPrecision precision;
    KerbDtype type; /* of pictures: f32, f16, bf16 */
    KerbPlans *plans;
    cudaStream_t stream;
    KerbCudaMemory memory;
    KerbRoot *roots[2]; /* by KerbSpace */
    int n_roots[2], cap_roots[2];
    void *arena[2];
    size_t arena_bytes[2], sum_bytes;
    KerbStep **steps;
    int n_steps, cap_steps;
    KerbBlock *blocks;
    int n_blocks, cap_blocks;
    size_t weight_bytes;
    size_t workspace_bytes;                            /* the largest of a convolution; it lies in the arena */
    KerbOperand *inputs, *outputs;                     /* on the device */
    struct KerbHostTensor *host_inputs, *host_outputs; /* run()'s */
    int host_steps, convolutions, planned;
    int fault; /* KerbStatus of a host step; atomic */
    KerbError fault_error;
    cudaEvent_t *events; /* n_steps + 1 where times by layer are kept */
    KerbTrace trace;
};

#endif
