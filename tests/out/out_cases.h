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
#include "out/random.h"

#define KERB_GUARD 0xa5

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
