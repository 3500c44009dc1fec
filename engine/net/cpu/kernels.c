/* SPDX-License-Identifier: MIT */
/* Which table of kernels this processor gets. */
#include "base/cpu.h"
#include "net/cpu/kernels.h"

int kerb_cpu_kernels_all(const KerbCpuKernels *tables[3])
{
    int n = 0;
    tables[n++] = &kerb_cpu_kernels_c;
#if defined(__x86_64__)
    unsigned flags = kerb_cpu_flags();
    if (flags & KERB_CPU_AVX2) tables[n++] = &kerb_cpu_kernels_avx2;
    if ((flags & KERB_CPU_AVX2) && (flags & KERB_CPU_AVX512)) tables[n++] = &kerb_cpu_kernels_avx512;
#endif
    return n;
}

const KerbCpuKernels *kerb_cpu_kernels(void)
{
    const KerbCpuKernels *tables[3];
    int n = kerb_cpu_kernels_all(tables);
    return tables[n - 1];
}
