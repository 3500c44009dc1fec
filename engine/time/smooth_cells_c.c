/* SPDX-License-Identifier: MIT */
/* The smoothing kernel in plain C, and the choice. */
#define KERB_CELLS_FN kerb_smooth_cells_c
#include "time/smooth_cells_template.h"

#include "base/cpu.h"

KerbCellsFn kerb_smooth_cells(unsigned cpu_flags)
{
#if defined(__x86_64__)
    if (cpu_flags & KERB_CPU_AVX2) return kerb_smooth_cells_avx2;
#endif
    return kerb_smooth_cells_c;
}
