/* SPDX-License-Identifier: MIT */
/* What families of quantised graphs are made of: families_int8.c (single nodes), chains_int8.c (what passes make of several). */
#ifndef KERB_TESTS_CPU_FAMILIES_INT8_H
#define KERB_TESTS_CPU_FAMILIES_INT8_H

#include "families.h"

typedef struct KerbQuantCase {
    KerbDtype dtype;
    float scale;
    int zero;
} KerbQuantCase;
KerbQuantCase kerb_random_quant(KerbRandom *r, float range);

/* x through QuantizeLinear and DequantizeLinear. */
uint32_t kerb_pair(KerbGraph *g, uint32_t x, const KerbQuantCase *q);
/* The quantised input behind a 1x1 convolution whose weights are 1. */
uint32_t kerb_quantised_input(KerbGraph *g, const int64_t dims[4], const KerbQuantCase *q);

typedef struct KerbInt8Case {
    KerbGraph *g;
    double step; /* of the result */
    bool exact;
    bool passes; /* the backend gets what the passes make of it, and takes no step between floats and integers but at inputs and outputs */
} KerbInt8Case;

/* `count` cases against what they mean; returns how many failed. */
int kerb_check_int8(const char *family, int count, KerbInt8Case (*make)(KerbRandom *));

#endif
