/* SPDX-License-Identifier: MIT */
/* The CUDA backend's stages (run/stages.h): a frame goes up, through the pre-kernel, the network and the tail, and down, on three streams, so that the
 * copies of neighbouring frames run beside one frame's computing. There is one compute lane: the network has one arena.
 *
 *     up       [copy 1][copy 2][copy 3]
 *     compute          [in net out 1][in net out 2][in net out 3]
 *     down                           [copy 1]      [copy 2]      ...
 *
 * A slot has one block of page-locked memory and (but for GPUs that share the host's memory) one of device memory, laid out alike: the job, a frame, a
 * picture, labels, confidence. Frames, pictures and maps that the caller keeps in page-locked memory are not copied into it on the host; where the GPU
 * shares the host's memory, they are not copied at all. */
#ifndef KERB_CUDA_RUN_STAGED_H
#define KERB_CUDA_RUN_STAGED_H

#include "cuda/base/cuda.h"
#include "cuda/in/in.h"
#include "cuda/net/net.h"
#include "cuda/out/out.h"
#include "run/stages.h"

#include <pthread.h>
#include <stdatomic.h>

extern const KerbStages kerb_cuda_stages;

/* A rectangle of bytes: a plane or a map. In a slot's block rows lie `stride` apart from `offset` on. */
typedef struct KerbCudaRect {
    size_t offset;
    int stride, row_bytes, rows;
} KerbCudaRect;

/* Offsets in a slot's block. */
typedef struct KerbCudaLayout {
    int planes;
    KerbCudaRect frame[3], picture[3], labels, confidence;
    size_t job, frame_bytes, map_bytes, bytes;
} KerbCudaLayout;

/* Recorded once a frame. IN_END and NET_END lie inside the recorded graph. Where memory is shared, those of up and down are not used. */
typedef enum KerbCudaMark {
    KERB_MARK_UP_BEGIN,
    KERB_MARK_UP_END,
    KERB_MARK_BEGIN,
    KERB_MARK_IN_END,
    KERB_MARK_NET_END,
    KERB_MARK_END,
    KERB_MARK_DOWN_BEGIN,
    KERB_MARK_DOWN_END,
    KERB_MARKS
} KerbCudaMark;

/* A result on its way from the slot's block to where the caller wants it: straight into page-locked memory, or by way of the block's host side and a
 * copy that finish() makes. */
typedef struct KerbCudaResult {
    KerbCudaRect rect;
    uint8_t *to;
    int to_stride;
    bool direct;
} KerbCudaResult;

typedef struct KerbCudaSlot {
    uint8_t *host, *device; /* the block, as the host and as kernels see it; with shared memory they are the same bytes */
    cudaEvent_t marks[KERB_MARKS];
    cudaGraphExec_t graph; /* NULL: single launches */
    /* Of the frame that is on its way. */
    KerbCudaResult results[5];
    int n_results;
    size_t up_bytes, down_bytes, host_copy_bytes;
    uint64_t number;
} KerbCudaSlot;

typedef struct KerbCudaTimeline KerbCudaTimeline;

struct KerbStaged {
    KerbNet *net;
    int device_id;
    bool shared; /* the GPU shares the host's memory: nothing goes up or down */
    KerbCudaMemory memory;
    size_t net_device_bytes, net_pinned_bytes;
    KerbCudaLayout layout;
    KerbCudaIn *in;
    KerbCudaOut *out;
    KerbTensor input; /* 1 x C x H x W, on the device */
    void *scores[KERB_MAX_HEADS];
    cudaStream_t up, compute, down;
    bool inner_marks; /* IN and NET are recorded; otherwise all three stages count as the network */
    bool host_steps;
    int n_slots;
    KerbCudaSlot slots[KERB_MAX_SLOTS];

    KerbCudaTimeline *timeline; /* NULL: not wanted; finish()'s alone */
    atomic_uint_fast64_t begun; /* frames put onto the queues */
    uint64_t suspect;           /* frames up to this number may have met a host step's fault; finish()'s alone */
    atomic_bool lost;
    pthread_mutex_t mutex; /* of what follows */
    KerbError loss;
    size_t up_bytes, down_bytes, host_copy_bytes; /* of the frame that was finished last */
};

/* slot.c */
KerbStatus kerb_cuda_slot_begin(KerbStaged *staged, int slot, const KerbJob *job, const KerbDisplay *display, KerbError *error);
KerbStatus kerb_cuda_slot_finish(KerbStaged *staged, int slot, const KerbJob *job, KerbTimes *times, KerbError *error);

/* record.c: what a slot's frame computes, between BEGIN and END of its marks. */
KerbStatus kerb_cuda_slot_compute(KerbStaged *staged, KerbCudaSlot *slot, KerbError *error);
/* Runs every slot once and records it. Where recording fails: single launches. An error: even these fail. */
KerbStatus kerb_cuda_slots_prepare(KerbStaged *staged, KerbError *error);

/* transfer.c: bytes between the caller's memory, the slot's block and the device. */
void kerb_cuda_layout_init(KerbCudaLayout *layout, const KerbVideoFormat *format);
/* The slot's job, for a frame and results that all lie in its block. */
void kerb_cuda_job_of_block(KerbStaged *staged, KerbCudaSlot *slot);
/* Fills the slot's job and results, copies on the host what is not page-locked, queues what goes up. */
KerbStatus kerb_cuda_send(KerbStaged *staged, KerbCudaSlot *slot, const KerbJob *job, const KerbDisplay *display, KerbError *error);
/* Queues what comes down. */
KerbStatus kerb_cuda_receive(KerbStaged *staged, KerbCudaSlot *slot, KerbError *error);
/* After that has arrived: the rest of the way. */
void kerb_cuda_deliver(KerbCudaSlot *slot);

/* timeline.c: does nothing unless the environment's KERB_CUDA_TIMELINE names a file. */
void kerb_cuda_timeline_open(KerbStaged *staged);
void kerb_cuda_timeline_note(KerbStaged *staged, int slot);
void kerb_cuda_timeline_close(KerbStaged *staged);

#endif
