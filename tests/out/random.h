/* SPDX-License-Identifier: MIT */
/* Random numbers for cases: the same everywhere for a seed, which messages name. */
#ifndef KERB_TESTS_OUT_RANDOM_H
#define KERB_TESTS_OUT_RANDOM_H

#include <stdint.h>

#define KERB_UNUSED __attribute__((unused))

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

#endif
