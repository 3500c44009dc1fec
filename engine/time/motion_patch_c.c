/* SPDX-License-Identifier: MIT */
/* The patch kernels in plain C, and the choice. */
#define KERB_PATCH_NAME(name) name##_c
#include "time/motion_patch_template.h"

#include "base/cpu.h"

void kerb_patch_kernels(KerbPatchKernels *out, unsigned cpu_flags)
{
    kerb_patch_kernels_c(out);
#if defined(__x86_64__)
    if (cpu_flags & KERB_CPU_AVX2) kerb_patch_kernels_avx2(out);
#endif
}
