/* SPDX-License-Identifier: MIT */
/* Graph -> the convolution problems that the CUDA backend would ask plans for: values are given the places that its compiler gives them. */
#ifndef KERB_TESTS_PLANS_SITES_H
#define KERB_TESTS_PLANS_SITES_H

#include "cuda/net/problem.h"

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
    const char *other_why;
} Patterns;

/* Adds the graph's. `g` must outlive the patterns (names). */
KerbStatus patterns_add(Patterns *patterns, const KerbGraph *g, KerbPrecision precision, KerbError *error);
void patterns_free(Patterns *patterns);

/* "3x3 s2 d1 p1 64->128 256x128 + bias + residual, relu  f16" */
const char *pattern_text(const KerbConvProblem *p, char *text, size_t bytes);

#endif
