/* SPDX-License-Identifier: MIT */
/* Families of generated cases: `count` of each against the reference. Called by test_*.c (a tenth) and slow_*.c (all). Return how many
 * failed. */
#ifndef KERB_TESTS_CPU_FAMILIES_H
#define KERB_TESTS_CPU_FAMILIES_H

#include "cases.h"

KerbActivation kerb_random_activation(KerbGraph *g, KerbRandom *r, int channels);

int kerb_check_convolutions(int count);
int kerb_check_convolutions_bf16(int count);
int kerb_check_large_convolutions(void);
int kerb_check_pools(int count);
int kerb_check_unpools(int count);
int kerb_check_attentions(int count);
int kerb_check_elementwise(int count);
int kerb_check_concats(int count);
int kerb_check_resizes(int count);
int kerb_check_products(int count);
int kerb_check_moves(int count);
int kerb_check_softmax_and_means(int count);

/* -- families_fused.c: the CPU backend's own
 * ------------------------------------------------------------------------------------------------------- */
int kerb_check_fused(int count);
int kerb_check_fused_choice(void);

/* -- families_int8.c: the CPU backend's own, too
 * ------------------------------------------------------------------------------------------------------ */
int kerb_check_int8_convolutions(int count);
int kerb_check_int8_others(int count);
int kerb_check_int8_pads(int count);
int kerb_check_int8_transposes(int count);
int kerb_check_int8_moves(int count);
int kerb_check_int8_means(int count);

#endif
