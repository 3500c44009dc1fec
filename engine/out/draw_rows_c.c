/* SPDX-License-Identifier: MIT */
/* Drawing's row kernels in plain C, and which ones a processor gets. */
#include "base/cpu.h"

#define KERB_DRAW_NAME "c"
#define KERB_DRAW(name) name##_c
#define KERB_DRAW_EXPAND(table, labels, n, chunk) 0
#include "out/draw_rows_template.h"

void kerb_draw_kernels(KerbDrawKernels *out, unsigned cpu_flags)
{
    kerb_draw_kernels_c(out);
#if defined(__x86_64__)
    if (cpu_flags & KERB_CPU_AVX2) kerb_draw_kernels_avx2(out);
    if (cpu_flags & KERB_CPU_AVX512) kerb_draw_kernels_avx512(out);
#endif
}
