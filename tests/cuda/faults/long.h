/* SPDX-License-Identifier: MIT */
/* Many frames with random waits, and everything that may change on the way: displays, formats, flushes. */
#ifndef KERB_TESTS_CUDA_FAULTS_LONG_H
#define KERB_TESTS_CUDA_FAULTS_LONG_H

#include "frames.h"

typedef struct LongPlan {
    const char *words; /* for the stand-in */
    int frames, slots, device_id;
    bool pinned;       /* frames, pictures and maps in kerb_host_alloc()'s memory */
    bool smoothing;
    uint64_t seed;
} LongPlan;

typedef struct LongSums {
    int in, out, flushed, errored, formats, wrong;
    bool replays;
    uint64_t host_copy_bytes;
} LongSums;

/* Prints what is wrong to stderr. False where anything is: order, results, counts, leaks, misuses. */
bool long_run(const FramesTable *table, const LongPlan *plan, LongSums *sums);

#endif
