/* SPDX-License-Identifier: MIT */
/* Places for buffers in one arena, from the spans of steps that touch them. For backends that make steps of a graph (cpu, cuda); net/passes.h has
 * the plan over a graph's values. */
#ifndef KERB_NET_PLACES_H
#define KERB_NET_PLACES_H

#include "base/error.h"

#define KERB_NO_ROOT UINT32_MAX

/* Memory that one or several operands lie in. */
typedef struct KerbRoot {
    size_t bytes, place;
    int first, last; /* steps that touch it */
    int readers;     /* while compiling: uses by nodes that are still to come; INT_MAX/2: a graph input or output */
} KerbRoot;

/* Gives every root its place; *arena_bytes: what all together take. Places are as aligned as the sizes are. */
KerbStatus kerb_places_arrange(KerbRoot *roots, int n, size_t *arena_bytes, KerbError *error);

#endif
