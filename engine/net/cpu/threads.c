/* SPDX-License-Identifier: MIT */
/* Loops over OpenMP's threads: the same pool that oneDNN uses, so that the two never compete. */
#include <omp.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "net/cpu/cpu.h"

#if defined(__SSE2__)
#define FLUSH_AND_ZERO 0x8040u /* MXCSR: denormal results are 0, denormal operands are 0 */
unsigned kerb_cpu_flush_denormals(int threads)
{
    unsigned before = _mm_getcsr();
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
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
unsigned kerb_cpu_flush_denormals(int threads)
{
    return 0;
}
void kerb_cpu_restore_denormals(unsigned before) {}
#endif

/* Below this a loop costs less than waking a sleeping thread. */
#define ALONE_NS 8000.0

void kerb_cpu_parallel(int threads, int count, double cost_ns, void (*fn)(void *arg, int index, int thread), void *arg)
{
    if (threads <= 1 || count <= 1 || cost_ns < ALONE_NS) {
        for (int i = 0; i < count; i++) fn(arg, i, 0);
        return;
    }
/* Always the whole team, however few the tasks: libgomp ends threads that a smaller team leaves over, and starts them again for the next.
 */
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int i = 0; i < count; i++) fn(arg, i, omp_get_thread_num());
}
