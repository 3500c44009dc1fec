/* SPDX-License-Identifier: MIT */
/* The contract of a backend that does in, net and out on its own memory (CUDA): one table beside KerbBackend. The ring calls begin() and finish()
 * on two threads of its own, so that the frames of neighbouring slots overlap: while one is computed, the next goes up and the one before comes
 * down.
 *
 * A slot's life: begin() puts a frame's whole work (up, in, net, out, down) onto the device's queues and returns without waiting; finish() waits
 * for it. begin() is called in the order of submission, finish() in the same order, at most `slots` begins ahead, once for each begin() that
 * returned OK. Both run at the same time, for different slots; neither allocates. */
#ifndef KERB_RUN_STAGES_H
#define KERB_RUN_STAGES_H

#include "in/in.h"
#include "net/backend.h"
#include "out/out.h"

typedef struct KerbStagesParams {
    int slots;          /* 1..KERB_MAX_SLOTS */
    KerbInParams in;    /* `input`: shape and logical order alone (1 x C x H x W); type, strides and memory are the backend's */
    bool nhwc;          /* the graph's picture input is (1, H, W, C) */
    KerbOutParams out;  /* heads as in kerb_out_new(); scores come from the net's outputs, i-th head i-th output */
    int channel_axis[KERB_MAX_HEADS]; /* of the i-th output: KerbHead.channel_axis */
} KerbStagesParams;

typedef struct KerbStaged KerbStaged; /* the backend's own: stages for one format around one net */

typedef struct KerbStages {
    /* Allocates everything that frames of this format need, warms up, records graphs. The net outlives it and is run by nobody else meanwhile.
     * Opener's thread, nothing in flight. MEMORY: says what is needed, what is there, and what would fit. */
    KerbStatus (*open)(KerbStaged **out, KerbNet *net, const KerbStagesParams *params, KerbError *error);
    /* slot 0..slots-1. `job` and what it points to stay as they are until finish(); job->labels.data is set (and job->confidence.data where
     * wanted): the run room chose where they go. Not OK: this frame is lost (FRAME) or the device is (BACKEND); finish() is not called for it. */
    KerbStatus (*begin)(KerbStaged *staged, int slot, const KerbJob *job, const KerbDisplay *display, KerbError *error);
    /* Waits until labels, confidence and picture are in the job's memory; fills *times but queue and smooth. FRAME or BACKEND as above. */
    KerbStatus (*finish)(KerbStaged *staged, int slot, const KerbJob *job, KerbTimes *times, KerbError *error);
    /* Fills up_bytes, down_bytes, host_copy_bytes, device_bytes, pinned_bytes, replays; leaves the rest. Any thread. */
    void (*stats)(KerbStaged *staged, KerbStats *stats);
    /* Waits for the device; what was begun and not finished is discarded. */
    void (*close)(KerbStaged **staged);
    /* kerb_host_alloc(): page-locked; any thread, at any time. The module stays loaded, so blocks may outlive everything. */
    KerbStatus (*host_alloc)(int device_id, size_t bytes, KerbHostBlock *out, KerbError *error);
} KerbStages;

#endif
