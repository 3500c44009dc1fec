/* SPDX-License-Identifier: MIT */
/* Places for buffers in one arena, from the spans of steps that touch them. For backends that make steps of a graph (cpu, cuda); net/passes.h has
 * the plan over a graph's values. */
#ifndef KERB_NET_PLACES_H
#define KERB_NET_PLACES_H

#include "net/graph.h"

#define KERB_NO_ROOT UINT32_MAX

#define KERB_READERS_KEPT (1 << 16) /* more than nodes read anything: what has so many is never taken over */

/* By value id: how many inputs of nodes read it (a graph output counts KERB_READERS_KEPT on top), and a node that does (the only one where there is one;
 * KERB_NO_NODE: only an output, or nobody). Arrays of g->n_values. */
void kerb_readers_count(const KerbGraph *g, int readers[], uint32_t reader[]);

/* Memory that one or several operands lie in. */
typedef struct KerbRoot {
    size_t bytes, place;
    int first, last; /* steps that touch it */
    int readers;     /* while compiling: uses by nodes that are still to come, and KERB_READERS_KEPT for each graph input or output */
} KerbRoot;

/* Gives every root its place; *arena_bytes: what all together take. Places are as aligned as the sizes are. */
KerbStatus kerb_places_arrange(KerbRoot *roots, int n, size_t *arena_bytes, KerbError *error);

#endif
