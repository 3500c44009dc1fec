/* SPDX-License-Identifier: MIT */
/* The different convolution problems of models, as the CUDA backend would ask plans for them. */
#ifndef KERB_TESTS_PLANS_PATTERNS_H
#define KERB_TESTS_PLANS_PATTERNS_H

#include "cuda/net/forecast.h"

typedef struct Pattern {
    KerbConvProblem problem;
    const char *name; /* of the first node that has it */
    int count;        /* nodes that have it */
    bool depthwise;   /* an own kernel does it: cuDNN is not asked */
} Pattern;

typedef struct Patterns {
    Pattern *list;
    int n, capacity;
    int other; /* convolutions that are no problem at all (dynamic weights, other ranks) */
    char other_why[128];
} Patterns;

/* Adds the graph's. `g` must outlive the patterns (names). */
KerbStatus patterns_add(Patterns *patterns, const KerbGraph *g, KerbPrecision precision, KerbError *error);
void patterns_free(Patterns *patterns);

/* "f16 conv 3x3 stride 2 pads 1,1,1,1 64->128 256x128 +bias +residual Relu" */
const char *pattern_text(const KerbConvProblem *p, char *text, size_t bytes);

#endif
