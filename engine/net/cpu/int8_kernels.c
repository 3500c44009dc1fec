/* SPDX-License-Identifier: MIT */
/* Which table of kernels on 8-bit integers this processor gets. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "net/cpu/int8_kernels.h"

int kerb_int8_kernels_all(const KerbInt8Kernels *tables[KERB_INT8_KERNELS])
{
    int n = 0;
    tables[n++] = &kerb_int8_kernels_c;
    tables[n++] = &kerb_int8_kernels_c4;
#if defined(__x86_64__)
    const unsigned flags = kerb_cpu_flags();
    if (flags & KERB_CPU_AVX2) {
        tables[n++] = &kerb_int8_kernels_avx2;
        if (flags & KERB_CPU_AVX512) tables[n++] = &kerb_int8_kernels_avx512;
        if (flags & KERB_CPU_AVX_VNNI) tables[n++] = &kerb_int8_kernels_avxvnni;
        if (flags & KERB_CPU_AVX512 && flags & KERB_CPU_AVX512_VNNI) tables[n++] = &kerb_int8_kernels_avx512vnni;
    }
#endif
    return n;
}

const KerbInt8Kernels *kerb_int8_kernels(void)
{
    const KerbInt8Kernels *tables[KERB_INT8_KERNELS];
    const int n = kerb_int8_kernels_all(tables);
    const char *named = getenv("KERB_CPU_INT8");
    for (int i = 0; named && i < n; i++) {
        if (!strcmp(tables[i]->name, named)) return tables[i];
    }
    return n > 2 ? tables[n - 1] : tables[0]; /* units of four gain nothing in C */
}
