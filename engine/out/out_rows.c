/* SPDX-License-Identifier: MIT */
/* Which row kernels this processor gets. */
#include "out/out_rows.h"

#include "base/cpu.h"

void kerb_out_kernels(KerbOutKernels *out, unsigned cpu_flags)
{
    kerb_out_kernels_c(out);
#if defined(__x86_64__)
    if (cpu_flags & KERB_CPU_AVX2) kerb_out_kernels_avx2(out);
    if (cpu_flags & KERB_CPU_AVX512) kerb_out_kernels_avx512(out);
#endif
}

int kerb_columns_reach(const int32_t *x0, int n, int lanes)
{
    int reach = 0;
    for (int p = 0; p < n; p++) {
        int here = x0[p + lanes - 1] + 1 - x0[p];
        if (here > reach) reach = here;
    }
    return reach;
}
