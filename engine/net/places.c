/* SPDX-License-Identifier: MIT */
/* Places for roots in one arena: largest first, each at the lowest place that is free for as long as it lives ("greedy by size", Pisarchyk
 * and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). Roots that are never alive together share bytes. */
#include <stdlib.h>

#include "net/places.h"

void kerb_readers_count(const KerbGraph *g, int readers[], uint32_t reader[])
{
    for (int i = 0; i < g->n_values; i++) {
        readers[i] = 0;
        reader[i] = KERB_NO_NODE;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        for (int j = 0; j < n->n_inputs && !n->dead; j++) {
            if (n->inputs[j] == KERB_NO_VALUE) continue;
            readers[n->inputs[j]]++;
            reader[n->inputs[j]] = (uint32_t)i;
        }
    }
    for (int i = 0; i < g->n_outputs; i++) readers[g->outputs[i]] += KERB_READERS_KEPT;
}

static int compare_sizes(const void *a, const void *b)
{
    const KerbRoot *x = *(const KerbRoot *const *)a, *y = *(const KerbRoot *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : 1;
}
static int compare_places(const void *a, const void *b)
{
    const KerbRoot *x = *(const KerbRoot *const *)a, *y = *(const KerbRoot *const *)b;
    return x->place < y->place ? -1 : x->place > y->place;
}

KerbStatus kerb_places_arrange(KerbRoot *roots, int n_roots, size_t *arena_bytes, KerbError *error)
{
    size_t n = (size_t)n_roots;
    KerbRoot **order = malloc((n + 1) * sizeof *order), **alive = malloc((n + 1) * sizeof *alive);
    if (!order || !alive) {
        free(order);
        free(alive);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to plan %zu buffers", n);
    }
    for (size_t i = 0; i < n; i++) order[i] = &roots[i];
    qsort(order, n, sizeof *order, compare_sizes);
    *arena_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        KerbRoot *r = order[i];
        size_t n_alive = 0;
        for (size_t j = 0; j < i; j++) {
            if (order[j]->bytes && order[j]->first <= r->last && r->first <= order[j]->last) alive[n_alive++] = order[j];
        }
        qsort(alive, n_alive, sizeof *alive, compare_places);
        size_t place = 0;
        for (size_t j = 0; j < n_alive; j++) {
            if (alive[j]->place >= place + r->bytes) break;
            size_t past = alive[j]->place + alive[j]->bytes;
            if (past > place) place = past;
        }
        r->place = place;
        if (place + r->bytes > *arena_bytes) *arena_bytes = place + r->bytes;
    }
    free(order);
    free(alive);
    return KERB_OK;
}
