/* SPDX-License-Identifier: MIT */
#include "kernels_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/tensor.h"
#include "base/trace.h"

#define GUARD 256
#define GUARD_BYTE 0xa5

static const char *kerb_fixture_variant(const KerbFixture *f)
{
    return f->tested ? f->tested->name : f->tested8->name;
}

static uint32_t kerb_fixture_next(KerbFixture *f)
{
    uint64_t z = f->random.state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}
int kerb_fixture_int(KerbFixture *f, int lo, int hi)
{
    return lo + (int)(kerb_fixture_next(f) % (uint32_t)(hi - lo + 1));
}
float kerb_fixture_float(KerbFixture *f)
{
    return (float)((double)kerb_fixture_next(f) / 2147483648.0 - 1.0);
}

void *kerb_guarded(size_t bytes)
{
    /* 64-byte aligned like the backend's own; the guard behind starts at the very next byte. */
    unsigned char *p = kerb_alloc(bytes + 2 * GUARD);
    if (!p) abort();
    memset(p, GUARD_BYTE, bytes + 2 * GUARD);
    return p + GUARD;
}
void kerb_guarded_free(KerbFixture *f, void *p, size_t bytes)
{
    unsigned char *start = (unsigned char *)p - GUARD;
    int damaged = 0;
    for (size_t i = 0; i < GUARD; i++) damaged += (start[i] != GUARD_BYTE) + (start[GUARD + bytes + i] != GUARD_BYTE);
    if (damaged) {
        printf("FAILED %s %s: %d guard bytes overwritten\n", f->name, kerb_fixture_variant(f), damaged);
        f->failures++;
    }
    kerb_free(&start);
}
float *kerb_guarded_floats(KerbFixture *f, size_t n)
{
    float *p = kerb_guarded(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = kerb_fixture_float(f);
    return p;
}
uint16_t *kerb_guarded_bf16(KerbFixture *f, size_t n)
{
    uint16_t *p = kerb_guarded(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = kerb_f32_to_bf16(kerb_fixture_float(f));
    return p;
}

void kerb_fixture_compare(KerbFixture *f, const float *expected, const float *got, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        double a = (double)expected[i], b = (double)got[i];
        if (a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * (1 + fabs(a))) continue;
        printf("FAILED %s %s %s: element %zu of %zu is %.9g, not %.9g\n", f->name, kerb_fixture_variant(f), what, i, n, b, a);
        f->failures++;
        return;
    }
}
void kerb_fixture_compare_bf16(KerbFixture *f, const uint16_t *expected, const uint16_t *got, size_t n, int steps, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        double a = (double)kerb_bf16_to_f32(expected[i]), b = (double)kerb_bf16_to_f32(got[i]);
        if (a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= steps * fmax(fabs(a) / 128, 1e-6)) continue;
        printf("FAILED %s %s %s bf16: element %zu of %zu is %.9g, not %.9g\n", f->name, kerb_fixture_variant(f), what, i, n, b, a);
        f->failures++;
        return;
    }
}

void kerb_fixture_time(KerbFixture *f, const char *what, double work, void (*call)(void *arg), void *arg)
{
    if (!f->bench) return;
    int calls = 1;
    double best = 1e18;
    for (int batch = 0; batch < 12; batch++) {
        int64_t start = kerb_now_ns();
        for (int i = 0; i < calls; i++) call(arg);
        double ns = (double)(kerb_now_ns() - start);
        if (ns < 200000 && calls < 1 << 20) {
            calls *= 2;
            batch--;
            continue;
        }
        best = fmin(best, ns / calls);
    }
    printf("%-16s %-7s %-32s %10.1f ns  %8.2f per ns\n", f->name, kerb_fixture_variant(f), what, best, work / best);
}
