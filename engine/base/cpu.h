/* SPDX-License-Identifier: MIT */
/* The processor: which instruction sets may be used, how many cores this process has. */
#ifndef KERB_BASE_CPU_H
#define KERB_BASE_CPU_H

#include "kerb.h"

#include <sched.h>

typedef enum KerbCpuFlags {
    KERB_CPU_AVX2 = 1 << 0,       /* with FMA and F16C */
    KERB_CPU_AVX512 = 1 << 1,     /* F, DQ, BW, VL, CD */
    KERB_CPU_AVX512_VNNI = 1 << 2,
    KERB_CPU_AVX512_BF16 = 1 << 3,
    KERB_CPU_AMX = 1 << 4,        /* tile, int8 and bf16 */
    KERB_CPU_NEON = 1 << 5,
    KERB_CPU_AVX_VNNI = 1 << 6,   /* vpdpbusd on 256 bits without AVX-512 */
} KerbCpuFlags;

/* What the processor and the operating system allow, less what kerb_cpu_mask() took away (or the environment's KERB_CPU:
 * "c", "avx2", "avx512": the best that may be used). Any thread. */
unsigned kerb_cpu_flags(void);
/* For tests: only these flags are seen from now on. ~0u: all. */
void kerb_cpu_mask(unsigned mask);
/* Cores that the calling thread may use (sched_getaffinity), >= 1. */
int kerb_cpu_count(void);
/* "0-3,6", as `taskset --cpu-list` takes it. Errors: ARGUMENT (no such list, or a core in it that the calling thread may not use). */
KerbStatus kerb_cpu_list(cpu_set_t *set, const char *text, KerbError *error);
/* The calling thread, and those that it starts, keep to these cores until it gives them back; *before has what it could use. `cores` is the same both times;
 * NULL: nothing happens. */
void kerb_cpu_keep_to(const cpu_set_t *cores, cpu_set_t *before);
void kerb_cpu_give_back(const cpu_set_t *cores, const cpu_set_t *before);
/* "Intel(R) Xeon(R) ..." as the system says it. Never NULL. */
const char *kerb_cpu_name(char *buffer, size_t bytes);
/* "AVX-512 VNNI" style text of the flags. */
const char *kerb_cpu_flags_text(unsigned flags, char *buffer, size_t bytes);

#endif
