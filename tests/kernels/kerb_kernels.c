/* SPDX-License-Identifier: MIT */
/* kerb-kernels [--bench] [NAME]: every own kernel of the CPU backend in every variant that this processor runs, against the plain C one, on
 * odd sizes, with guards round every buffer; --bench times them in the same fixture. In the spirit of dav1d's checkasm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/trace.h"
#include "kernels_fixture.h"

static const struct {
    const char *name;
    KerbKernelCheck check;
} kernels[] = {
    {"tile", kerb_check_tile},
    {"winograd_input", kerb_check_winograd_input},
    {"winograd_output", kerb_check_winograd_output},
    {"depthwise", kerb_check_depthwise},
    {"max_pool", kerb_check_max_pool},
    {"average_pool", kerb_check_average_pool},
    {"blend4", kerb_check_blend4},
    {"unary", kerb_check_unary},
    {"binary", kerb_check_binary},
    {"scale_shift", kerb_check_scale_shift},
    {"finish", kerb_check_finish},
    {"convert", kerb_check_convert},
    {"reductions", kerb_check_reductions},
};

static const struct {
    const char *name;
    KerbKernelCheck check;
} int8_kernels[] = {
    {"int8_tile", kerb_check_int8_tile},       {"int8_widen", kerb_check_int8_widen},       {"int8_finish", kerb_check_int8_finish},
    {"int8_convert", kerb_check_int8_convert}, {"int8_max_pool", kerb_check_int8_max_pool},
};
#define N_INT8 (int)(sizeof int8_kernels / sizeof int8_kernels[0])

static const char *const int8_variants[KERB_INT8_KERNELS] = {"c", "c4", "avx2", "avx512", "avx vnni", "avx512 vnni"};

/* Adds to what passed and failed; returns how many were left out, and says which variants this processor does not run. */
static int kerb_check_all_int8(const char *only, bool bench, uint64_t seed, int *passed, int *failed)
{
    const KerbInt8Kernels *tables[KERB_INT8_KERNELS];
    const int n = kerb_int8_kernels_all(tables);
    for (int i = 0; i < N_INT8; i++) {
        if (only && strcmp(only, int8_kernels[i].name)) continue;
        for (int t = bench ? 0 : 1; t < n; t++) {
            KerbFixture f = {.reference8 = tables[0], .tested8 = tables[t], .name = int8_kernels[i].name, .bench = bench, .random = {seed}};
            int8_kernels[i].check(&f);
            *(f.failures ? failed : passed) += 1;
        }
    }
    for (int v = 0; v < KERB_INT8_KERNELS; v++) {
        bool there = false;
        for (int t = 0; t < n; t++) there = there || !strcmp(tables[t]->name, int8_variants[v]);
        if (!there) printf("skipped: this processor does not run the int8 kernels for %s\n", int8_variants[v]);
    }
    return (KERB_INT8_KERNELS - n) * N_INT8;
}

int main(int argc, char **argv)
{
    bool bench = false;
    const char *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bench"))
            bench = true;
        else if (argv[i][0] != '-' && !only)
            only = argv[i];
        else {
            fprintf(stderr, "usage: kerb-kernels [--bench] [NAME]\n");
            return 2;
        }
    }
    const char *given = getenv("KERB_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
    printf("seed %llu\n", (unsigned long long)seed);
    const KerbCpuKernels *tables[3];
    int n_tables = kerb_cpu_kernels_all(tables), passed = 0, failed = 0;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        if (only && strcmp(only, kernels[i].name)) continue;
        for (int t = bench ? 0 : 1; t < n_tables; t++) { /* C against itself only to be timed */
            KerbFixture f = {.reference = tables[0], .tested = tables[t], .name = kernels[i].name, .bench = bench, .random = {seed}};
            kernels[i].check(&f);
            if (f.failures)
                failed++;
            else
                passed++;
        }
    }
    int skipped = (3 - n_tables) * (int)(sizeof kernels / sizeof kernels[0]);
    skipped += kerb_check_all_int8(only, bench, seed, &passed, &failed);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}
