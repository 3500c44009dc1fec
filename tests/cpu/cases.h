/* SPDX-License-Identifier: MIT */
/* Small graphs made of random numbers, run on the reference and on the backend that the test is linked with (cpu, cuda), and compared. */
#ifndef KERB_TESTS_CPU_CASES_H
#define KERB_TESTS_CPU_CASES_H

#include "net/backend.h"
#include "net/graph.h"

typedef struct KerbRandom {
    uint64_t state;
} KerbRandom;
uint32_t kerb_random(KerbRandom *r);
int kerb_random_in(KerbRandom *r, int lo, int hi); /* lo..hi inclusive */
float kerb_random_float(KerbRandom *r);            /* -1..1 */

/* KERB_SEED of the environment, else `seed`; printed. */
KerbRandom kerb_random_seeded(const char *test, uint64_t seed);

uint32_t kerb_case_input(KerbGraph *g, int rank, const int64_t dims[]);
uint32_t kerb_case_value(KerbGraph *g, int rank, const int64_t dims[]);
uint32_t kerb_case_constant(KerbGraph *g, KerbRandom *r, int rank, const int64_t dims[], float scale);
uint32_t kerb_case_integers(KerbGraph *g, int n, const int64_t values[]);
/* A node with one output of the given shape; returns the node (attributes are the caller's to set). */
KerbNode *kerb_case_node(KerbGraph *g, KerbOp op, int n_inputs, const uint32_t inputs[], uint32_t output);
void kerb_case_output(KerbGraph *g, uint32_t value);

typedef struct KerbCaseResult {
    double worst; /* largest |result - ref| / (1 + |ref|) */
    double rms;   /* of the difference over RMS of the reference */
    int failed;   /* 1: could not be run; the message was printed */
} KerbCaseResult;
/* What cases run in: the precision that a family asks for, or KERB_CASE_PRECISION (f16) of the environment where it asks for f32. */
KerbPrecision kerb_case_precision(KerbPrecision asked);
/* Random inputs; compares every output; runs twice, so that a run that spoils memory for the next one shows. */
KerbCaseResult kerb_case_run(const KerbGraph *g, KerbRandom *r, int threads, KerbPrecision precision);
/* The same of a graph that passes have changed, against what it was before (`meaning`). */
KerbCaseResult kerb_case_run_as(const KerbGraph *meaning, const KerbGraph *g, KerbRandom *r, int threads, KerbPrecision precision);
/* 1 and a line if the backend cpu has the reference compute a step of the graph, which is slow; else 0, as of other backends. */
int kerb_case_left_to_ref(const KerbGraph *g);

#endif
