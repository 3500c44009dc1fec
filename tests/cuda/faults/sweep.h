/* SPDX-License-Identifier: MIT */
/* One pipeline's life with one call failing, and all of them one after the other, each in a process of its own. */
#ifndef KERB_TESTS_CUDA_FAULTS_SWEEP_H
#define KERB_TESTS_CUDA_FAULTS_SWEEP_H

#include "frames.h"

typedef struct SweepPlan {
    const char *words; /* for the stand-in, beside what fails */
    const char *fail;  /* "fail" (calls) or "failop" (work of the device) */
    const int *codes;
    int n_codes, step; /* every step-th call */
    bool all_codes;    /* each with every code; else with the next one in turn */
    bool warm;         /* the plan cache on disk is filled */
} SweepPlan;

typedef struct SweepSums {
    uint64_t calls;                     /* of one life without failures; of them by cuDNN's plans; operators done on the host */
    uint64_t executions, host_functions;
    int lives, opens_failed, formats_failed, lives_with_lost_frames, lives_untouched;
    int frames_out, frames_errored, broken; /* broken: lives that leaked, hung, crashed, reordered, miscounted */
} SweepSums;

/* Prints what is broken to stderr as it goes. */
void sweep_run(const FramesTable *table, const SweepPlan *plan, SweepSums *sums);

#endif
