/* SPDX-License-Identifier: MIT */
/* What every kernel's check shares: random numbers, buffers with guards, comparison, timing. */
#ifndef KERB_TESTS_KERNELS_FIXTURE_H
#define KERB_TESTS_KERNELS_FIXTURE_H

#include "net/cpu/int8_kernels.h"
#include "net/cpu/kernels.h"

typedef struct KerbKernelRandom {
    uint64_t state;
} KerbKernelRandom;

typedef struct KerbFixture {
    const KerbCpuKernels *reference, *tested;
    const KerbInt8Kernels *reference8, *tested8; /* of the checks on 8-bit integers; tested is NULL then */
    const char *name;
    bool bench;
    KerbKernelRandom random;
    int failures;
} KerbFixture;
typedef void (*KerbKernelCheck)(KerbFixture *f);

int kerb_fixture_int(KerbFixture *f, int lo, int hi);
float kerb_fixture_float(KerbFixture *f); /* -1..1 */

/* `bytes` with 256 guard bytes before and after; freed by kerb_guarded_free(), which reports bytes that were overwritten. */
void *kerb_guarded(size_t bytes);
void kerb_guarded_free(KerbFixture *f, void *p, size_t bytes);
float *kerb_guarded_floats(KerbFixture *f, size_t n); /* random */
uint16_t *kerb_guarded_bf16(KerbFixture *f, size_t n);

/* Counts one failure and prints it unless |a - b| <= tolerance * (1 + |a|) everywhere (or both are NaN). */
void kerb_fixture_compare(KerbFixture *f, const float *expected, const float *got, size_t n, double tolerance, const char *what);
void kerb_fixture_compare_bf16(KerbFixture *f, const uint16_t *expected, const uint16_t *got, size_t n, int steps, const char *what);
/* Prints the time of one call, best of several batches, and `work` per ns. */
void kerb_fixture_time(KerbFixture *f, const char *what, double work, void (*call)(void *arg), void *arg);

void kerb_check_tile(KerbFixture *f);
void kerb_check_winograd_input(KerbFixture *f);
void kerb_check_winograd_output(KerbFixture *f);
void kerb_check_depthwise(KerbFixture *f);
void kerb_check_max_pool(KerbFixture *f);
void kerb_check_average_pool(KerbFixture *f);
void kerb_check_blend4(KerbFixture *f);
void kerb_check_unary(KerbFixture *f);
void kerb_check_binary(KerbFixture *f);
void kerb_check_scale_shift(KerbFixture *f);
void kerb_check_finish(KerbFixture *f);
void kerb_check_convert(KerbFixture *f);
void kerb_check_reductions(KerbFixture *f);

/* -- check_int8.c: on reference8 and tested8. All variants agree to the bit. */
void kerb_check_int8_tile(KerbFixture *f);
void kerb_check_int8_widen(KerbFixture *f);
void kerb_check_int8_finish(KerbFixture *f);
void kerb_check_int8_convert(KerbFixture *f);
void kerb_check_int8_max_pool(KerbFixture *f);

#endif
