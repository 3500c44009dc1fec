/* SPDX-License-Identifier: MIT */
/* What the tests of the out room share: cmocka, random numbers whose seed is printed, byte maps with guards around them, the instruction sets
 * of this processor. Everything is static: each test is one program. */
#ifndef KERB_TESTS_OUT_CASES_H
#define KERB_TESTS_OUT_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "out/out.h"

#define KERB_UNUSED __attribute__((unused))
#define KERB_GUARD 0xa5

/* xorshift64*: the same numbers everywhere. */
typedef struct KerbRandom {
    uint64_t state;
} KerbRandom;

KERB_UNUSED static uint32_t kerb_random(KerbRandom *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * 0x2545f4914f6cdd1du) >> 32);
}

KERB_UNUSED static KerbRandom kerb_random_seed(uint64_t seed)
{
    KerbRandom r = { seed * 0x9e3779b97f4a7c15u + 1 };
    for (int i = 0; i < 4; i++) kerb_random(&r);
    return r;
}

/* low..high, both included. */
KERB_UNUSED static int kerb_random_int(KerbRandom *r, int low, int high)
{
    return low + (int)(kerb_random(r) % (uint32_t)(high - low + 1));
}

KERB_UNUSED static double kerb_random_unit(KerbRandom *r)
{
    return kerb_random(r) / 4294967296.0;
}

/* The flags of each instruction set that is here, plain C (0) first. */
KERB_UNUSED static int kerb_variants(unsigned flags[3])
{
    unsigned have = kerb_cpu_flags();
    int n = 0;
    flags[n++] = 0;
    if (have & KERB_CPU_AVX2) flags[n++] = KERB_CPU_AVX2;
    if (have & KERB_CPU_AVX512) flags[n++] = KERB_CPU_AVX2 | KERB_CPU_AVX512;
    return n;
}

/* Bytes with guards before, between the rows and after. */
typedef struct KerbPlane {
    uint8_t *memory, *data;
    int row_bytes, rows, stride;
    size_t bytes;
} KerbPlane;

KERB_UNUSED static KerbPlane kerb_plane_new(int row_bytes, int rows, int gap)
{
    KerbPlane p = { .row_bytes = row_bytes, .rows = rows, .stride = row_bytes + gap };
    p.bytes = (size_t)p.stride * (size_t)rows - (size_t)gap + 2;
    p.memory = malloc(p.bytes);
    assert_non_null(p.memory);
    memset(p.memory, KERB_GUARD, p.bytes);
    p.data = p.memory + 1;
    return p;
}

KERB_UNUSED static void kerb_plane_check_guards(const KerbPlane *p)
{
    size_t used = 0;
    for (size_t i = 0; i < p->bytes; i++) {
        size_t at = i - 1;
        bool inside = i >= 1 && at / (size_t)p->stride < (size_t)p->rows && at % (size_t)p->stride < (size_t)p->row_bytes;
        used += inside;
        if (!inside && p->memory[i] != KERB_GUARD) fail_msg("byte %zu outside the rows was written", i);
    }
    assert_int_equal(used, (size_t)p->row_bytes * (size_t)p->rows);
}

#endif
