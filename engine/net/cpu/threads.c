/* SPDX-License-Identifier: MIT */
/* Loops over OpenMP's threads: the same pool that oneDNN uses, so that the two never compete. */
#include <omp.h>

#include "net/cpu/cpu.h"

/* Below this a loop costs less than waking a sleeping thread. */
#define ALONE_NS 8000.0

void kerb_cpu_parallel(int threads, int count, double cost_ns, void (*fn)(void *arg, int index, int thread), void *arg)
{
    if (threads > count) threads = count;
    if (threads <= 1 || cost_ns < ALONE_NS) {
        for (int i = 0; i < count; i++) fn(arg, i, 0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < count; i++) fn(arg, i, omp_get_thread_num());
}
