/* SPDX-License-Identifier: MIT */
/* One graph on the CUDA backend: compiled, run, and looked into. */
#ifndef KERB_TESTS_CUDA_NET_CASE_H
#define KERB_TESTS_CUDA_NET_CASE_H

#include "cases.h"
#include "cuda/net/net.h"

typedef struct KerbNetCase {
    const KerbBackend *backend;
    KerbGraph *g;
    KerbNet *net;
    KerbError error;
} KerbNetCase;

/* A graph without inputs or nodes; kerb_net_case_free() ends it. */
KerbNetCase kerb_net_case(void);
void kerb_net_case_free(KerbNetCase *c);
/* Infers shapes, runs the passes (no head is taken off) and compiles, with times by layer, so that labels can be looked at. */
KerbStatus kerb_net_case_compile(KerbNetCase *c, KerbPrecision precision);
/* How many steps have a label that begins with `kind` ("conv int8", "copy", "ref"). */
int kerb_net_case_steps(const KerbNetCase *c, const char *kind);
/* Random inputs in -1..1; runs, and compares the i-th output with the reference's: how many elements differ by more than `limit`, and the
 * largest difference. Fails the test where anything cannot be run. */
int kerb_net_case_differences(KerbNetCase *c, KerbRandom *r, double limit, double *worst);

/* Nodes by what they do; the result's shape is left to inference. */
uint32_t kerb_net_case_result(KerbGraph *g, KerbDtype dtype);
uint32_t kerb_net_case_conv(KerbGraph *g, KerbRandom *r, uint32_t x, int in, int out, int kernel, int stride);
uint32_t kerb_net_case_relu(KerbGraph *g, uint32_t x);
uint32_t kerb_net_case_concat(KerbGraph *g, int n, const uint32_t x[]);

#endif
