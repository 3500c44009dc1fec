/* SPDX-License-Identifier: MIT */
/* Time: a monotonic clock, and per-stage times cheap enough to stay on (two clock reads a stage). */
#ifndef KERB_BASE_TRACE_H
#define KERB_BASE_TRACE_H

#include "kerb.h"

int64_t kerb_now_ns(void); /* CLOCK_MONOTONIC */

/* Times of steps of one run (layers of a network, say). The owner allocates `spans` before the run; NULL spans: off. */
typedef struct KerbSpan {
    const char *name;
    int64_t total_ns, count;
    double flops; /* of one run; 0: not known, or the step moves data */
} KerbSpan;
typedef struct KerbTrace {
    KerbSpan *spans;
    int n;
    double peak_flops_s; /* what all of the owner's threads could do; 0: not known */
} KerbTrace;
static inline void kerb_trace_add(KerbTrace *trace, int span, int64_t ns)
{
    if (trace && trace->spans && span < trace->n) {
        trace->spans[span].total_ns += ns;
        trace->spans[span].count++;
    }
}

#endif
