/* SPDX-License-Identifier: MIT */
/* What the processor and the operating system let us use. */
#include "base/cpu.h"

#include "base/error.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t extended_control_register(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 2A, CPUID; vol. 1, 13.3 (XCR0 bits). */
static unsigned detect(void)
{
    unsigned flags = 0, a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    bool osxsave = c & (1u << 27), fma = c & (1u << 12), f16c = c & (1u << 29);
    if (!osxsave || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    uint64_t xcr0 = extended_control_register();
    bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xE6) == 0xE6, tile = (xcr0 & 0x60000) == 0x60000;
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* F DQ CD BW VL */
    if (ymm && fma && f16c && (b & (1u << 5))) flags |= KERB_CPU_AVX2;
    unsigned more, unused;
    if (flags & KERB_CPU_AVX2 && __get_cpuid_count(7, 1, &more, &unused, &unused, &unused) && more & 1u << 4) flags |= KERB_CPU_AVX_VNNI;
    if (!(flags & KERB_CPU_AVX2) || !zmm || (b & avx512) != avx512) return flags;
    flags |= KERB_CPU_AVX512;
    if (c & (1u << 11)) flags |= KERB_CPU_AVX512_VNNI;
    const unsigned amx = 1u << 22 | 1u << 24 | 1u << 25; /* bf16, tile, int8 */
    if (tile && (d & amx) == amx) flags |= KERB_CPU_AMX;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5))) flags |= KERB_CPU_AVX512_BF16;
    return flags;
}
#elif defined(__aarch64__)
static unsigned detect(void) { return KERB_CPU_NEON; }
#else
static unsigned detect(void) { return 0; }
#endif

static unsigned allowed_by_environment(void)
{
    const char *best = getenv("KERB_CPU");
    if (!best) return ~0u;
    if (strcmp(best, "c") == 0) return 0;
    if (strcmp(best, "avx2") == 0) return KERB_CPU_AVX2;
    return ~0u;
}

static atomic_uint mask = ~0u;

unsigned kerb_cpu_flags(void)
{
    static atomic_uint cached; /* bit 31: filled */
    unsigned flags = atomic_load(&cached);
    if (!flags) {
        flags = (detect() & allowed_by_environment()) | 1u << 31;
        atomic_store(&cached, flags);
    }
    return flags & ~(1u << 31) & atomic_load(&mask);
}

void kerb_cpu_mask(unsigned wanted) { atomic_store(&mask, wanted); }

int kerb_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

/* The cores of `set` as kerb_cpu_list() reads them. */
static const char *list_text(const cpu_set_t *set, char *buffer, size_t bytes)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (int first = 0; first < CPU_SETSIZE && used < bytes; first++) {
        if (!CPU_ISSET((size_t)first, set)) continue;
        int last = first;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET((size_t)last + 1, set)) last++;
        used += (size_t)snprintf(buffer + used, bytes - used, last > first ? "%s%d-%d" : "%s%d", used ? "," : "", first, last);
        first = last;
    }
    return buffer;
}

/* A number of a core; -1: there is none at *text. Leaves *text behind it. */
static long core_at(const char **text)
{
    if (**text < '0' || **text > '9') return -1;
    char *end;
    long core = strtol(*text, &end, 10);
    *text = end;
    return core < CPU_SETSIZE ? core : -1;
}

KerbStatus kerb_cpu_list(cpu_set_t *set, const char *text, KerbError *error)
{
    CPU_ZERO(set);
    const char *p = text;
    do {
        long first = core_at(&p), last = first;
        if (first >= 0 && *p == '-') p++, last = core_at(&p);
        if (first < 0 || last < first || (*p && *p != ','))
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "cpu-list \"%s\" is no list of cores; write their numbers, such as 0-3,6", text);
        for (; first <= last; first++) CPU_SET((size_t)first, set);
    } while (*p++);
    cpu_set_t may, both;
    if (sched_getaffinity(0, sizeof may, &may) != 0) return KERB_OK; /* then what is started will tell */
    CPU_AND(&both, set, &may);
    char have[256];
    if (!CPU_EQUAL(&both, set))
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "cpu-list \"%s\" names cores that this process may not use; it may use %s", text, list_text(&may, have, sizeof have));
    return KERB_OK;
}

void kerb_cpu_keep_to(const cpu_set_t *cores, cpu_set_t *before)
{
    if (!cores) return;
    sched_getaffinity(0, sizeof *before, before);
    sched_setaffinity(0, sizeof *cores, cores);
}

void kerb_cpu_give_back(const cpu_set_t *cores, const cpu_set_t *before)
{
    if (cores) sched_setaffinity(0, sizeof *before, before);
}

const char *kerb_cpu_name(char *buffer, size_t bytes)
{
    snprintf(buffer, bytes, "unknown processor");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return buffer;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(buffer, bytes, "%s", colon);
        break;
    }
    fclose(f);
    return buffer;
}

const char *kerb_cpu_flags_text(unsigned flags, char *buffer, size_t bytes)
{
    static const char *const names[] = { "AVX2", "AVX-512", "VNNI", "BF16", "AMX", "NEON", "AVX-VNNI" };
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(flags & 1u << i) || used >= bytes) continue;
        int n = snprintf(buffer + used, bytes - used, "%s%s", used ? " " : "", names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (!used) snprintf(buffer, bytes, "plain C");
    return buffer;
}
