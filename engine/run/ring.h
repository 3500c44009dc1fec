/* SPDX-License-Identifier: MIT */
/* The ring of slots: the only queue of the pipeline. Frames are worked on in the order of submission by threads of the ring's own; results are
 * collected in the same order. What the work is, the ring does not know.
 *
 * The work has one phase (begin does it all, on one thread) or two: begin() starts it, finish(), on a second thread, waits for its end, while begin()
 * is already busy with the next frame. Both are called in the order of submission; which frames need a finish(), begin() says.
 *
 * A frame's number counts submissions from 0; its slot is number % slots. Counters say everything: collected <= begun <= submitted, and
 * submitted - collected (in flight) <= slots. */
#ifndef KERB_RUN_RING_H
#define KERB_RUN_RING_H

#include "base/error.h"

/* BEGUN: begin() has returned, finish() is to come or runs. */
typedef enum KerbSlotState { KERB_SLOT_FREE, KERB_SLOT_QUEUED, KERB_SLOT_RUNNING, KERB_SLOT_BEGUN, KERB_SLOT_DONE } KerbSlotState;

/* One frame on its way. While RUNNING or BEGUN it belongs to the work functions alone. */
typedef struct KerbSlot {
    uint64_t number;
    KerbSlotState state;
    int64_t submitted_ns;
    KerbJob job;
    KerbDisplay display; /* as it was when the frame was submitted */
    uint64_t era;        /* changes where kerb_ring_mark() was called between this frame and the one before */
    KerbResult result;   /* the work functions fill status, labels, confidence and the stages' times */
    KerbError error;
} KerbSlot;

/* Runs on the ring's first thread, once a frame that is not discarded, in order. True: finish() is to be called; false: the frame is done, well or
 * not (slot->result.status). */
typedef bool (*KerbBeginFn)(void *user, KerbSlot *slot);
/* Runs on the ring's second thread, once for each begin() that returned true, in order. The frame is done after it. */
typedef void (*KerbFinishFn)(void *user, KerbSlot *slot);

typedef struct KerbRing KerbRing;

/* slots 1..KERB_MAX_SLOTS. Starts the threads. finish NULL: there is one phase and one thread; begin() always returns false. */
KerbStatus kerb_ring_new(KerbRing **out, int slots, KerbBeginFn begin, KerbFinishFn finish, void *user, KerbError *error);
/* Waits for the frames that were begun, discards the others, ends the threads. Nobody may be inside another function of this ring. */
void kerb_ring_free(KerbRing **ring);

/* As kerb_submit() and kerb_collect() of kerb.h, with the job checked and the display chosen. Allocate nothing. */
KerbStatus kerb_ring_submit(KerbRing *ring, const KerbJob *job, const KerbDisplay *display);
KerbStatus kerb_ring_collect(KerbRing *ring, KerbResult *result, int64_t timeout_ns, KerbError *error);
void kerb_ring_flush(KerbRing *ring);
void kerb_ring_set_flushing(KerbRing *ring, bool flushing);
void kerb_ring_drain(KerbRing *ring);
void kerb_ring_mark(KerbRing *ring);
int kerb_ring_in_flight(KerbRing *ring);
/* Fills the counters, in_flight, slots and times; leaves the rest. */
void kerb_ring_stats(KerbRing *ring, KerbStats *stats);

#endif
