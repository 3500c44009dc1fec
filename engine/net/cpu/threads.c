/* SPDX-License-Identifier: MIT */
/* Loops over the net's threads, and what processors do with denormals. Kerb's own loops run on the net's pool; oneDNN's on OpenMP's threads, which sleep meanwhile. */
#include <omp.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "base/pool.h"
#include "net/cpu/cpu.h"

#if defined(__SSE2__)
#define FLUSH_AND_ZERO 0x8040u /* MXCSR: denormal results are 0, denormal operands are 0 */
unsigned kerb_cpu_flush_denormals(int omp_threads)
{
    unsigned before = _mm_getcsr();
    if (omp_threads > 1) {
#pragma omp parallel num_threads(omp_threads)
        _mm_setcsr(_mm_getcsr() | FLUSH_AND_ZERO);
    }
    _mm_setcsr(before | FLUSH_AND_ZERO);
    return before;
}
void kerb_cpu_restore_denormals(unsigned before)
{
    _mm_setcsr(before);
}
#else
unsigned kerb_cpu_flush_denormals(int omp_threads)
{
    return 0;
}
void kerb_cpu_restore_denormals(unsigned before) {}
#endif

/* Below this a loop costs less than waking a sleeping thread. */
#define ALONE_NS 8000.0

typedef struct KerbLoop {
    void (*fn)(void *arg, int index, int thread);
    void *arg;
} KerbLoop;

static void kerb_loop_task(void *arg, int index, int count, int thread)
{
    KerbLoop *loop = arg;
    loop->fn(loop->arg, index, thread);
}

void kerb_cpu_parallel(KerbNet *net, int count, double cost_ns, void (*fn)(void *arg, int index, int thread), void *arg)
{
    KerbLoop loop = {fn, arg};
    kerb_pool_run(cost_ns < ALONE_NS ? NULL : net->pool, kerb_loop_task, &loop, count);
}
