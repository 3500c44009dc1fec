/* SPDX-License-Identifier: MIT */
/* The memory plan: one arena for all computed values of a run. Values that share memory (in place, alias) form a group with one lifetime; groups
 * are placed largest first, each into the smallest gap between those placed groups that live at the same time (greedy best fit by size). */
#include <stdlib.h>

#include "net/passes.h"

#define ALIGN(n) (((n) + (KERB_ALIGNMENT - 1)) & ~(size_t)(KERB_ALIGNMENT - 1))

typedef struct KerbLife {
    uint32_t group; /* the value that stands for the group; itself at first */
    int first, last; /* node that writes it, last node that reads it; -1 and n_nodes for inputs and outputs. Of the group, at its stand-in */
    size_t bytes;   /* 0: not in the arena */
} KerbLife;

typedef struct KerbPlanner {
    const KerbGraph *g;
    const KerbPlanOptions *options;
    KerbLife *lives;
    uint32_t *order;  /* groups, largest first */
    uint32_t *placed; /* groups, by offset */
    int n_order, n_placed;
    KerbPlan *plan;
} KerbPlanner;

static uint32_t find_group(KerbLife *lives, uint32_t v)
{
    while (lives[v].group != v) {
        lives[v].group = lives[lives[v].group].group;
        v = lives[v].group;
    }
    return v;
}

static bool value_bytes(const KerbPlanner *p, uint32_t id, size_t *bytes)
{
    const KerbValue *v = &p->g->values[id];
    int64_t n;
    *bytes = 0;
    if (p->options->bytes) *bytes = p->options->bytes(p->options->user, p->g, id);
    else if (!v->data && (v->rank < 0 || !kerb_dims_elements(v->rank, v->dims, INT64_MAX / 8, &n) || !kerb_mul_size((size_t)n, kerb_dtype_bytes(v->dtype), bytes)))
        return false;
    return *bytes <= SIZE_MAX - KERB_ALIGNMENT;
}

static void note_read(KerbPlanner *p, uint32_t value, int node)
{
    if (value != KERB_NO_VALUE && p->lives[value].last < node) p->lives[value].last = node;
}

/* Sizes and lifetimes of single values. */
static bool find_lives(KerbPlanner *p)
{
    const KerbGraph *g = p->g;
    const int never = -2;
    for (int i = 0; i < g->n_values; i++) p->lives[i] = (KerbLife){ .group = (uint32_t)i, .first = never, .last = never };
    for (int i = 0; i < g->n_inputs; i++) p->lives[g->inputs[i]] = (KerbLife){ .group = g->inputs[i], .first = -1, .last = g->n_nodes };
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead) continue;
        for (int k = 0; k < n->n_inputs; k++) note_read(p, n->inputs[k], i);
        for (int k = 0; k < n->n_outputs; k++) {
            if (n->outputs[k] == KERB_NO_VALUE) continue;
            p->lives[n->outputs[k]].first = i;
            note_read(p, n->outputs[k], i); /* also where nobody reads it */
        }
    }
    for (int i = 0; i < g->n_outputs; i++) note_read(p, g->outputs[i], g->n_nodes);
    for (int i = 0; i < g->n_values; i++)
        if (p->lives[i].first != never && !value_bytes(p, (uint32_t)i, &p->lives[i].bytes)) return false;
    return true;
}

/* How many inputs of the node lie in the group: with more than one, overwriting would change what the node still reads. */
static int reads_of_group(KerbPlanner *p, const KerbNode *n, uint32_t group)
{
    int reads = 0;
    for (int i = 0; i < n->n_inputs; i++)
        reads += n->inputs[i] != KERB_NO_VALUE && p->lives[n->inputs[i]].bytes && find_group(p->lives, n->inputs[i]) == group;
    return reads;
}

static bool writes_to_group(KerbPlanner *p, const KerbNode *n, uint32_t group)
{
    for (int i = 0; i < n->n_outputs; i++)
        if (n->outputs[i] != KERB_NO_VALUE && p->lives[n->outputs[i]].bytes && find_group(p->lives, n->outputs[i]) == group) return true;
    return false;
}

static void share_memory(KerbPlanner *p, uint32_t value, int node)
{
    bool alias = false;
    uint32_t from = p->options->share(p->options->user, p->g, value, &alias);
    if (from == KERB_NO_VALUE || !p->lives[value].bytes || !p->lives[from].bytes) return;
    uint32_t a = find_group(p->lives, from), b = find_group(p->lives, value);
    KerbLife *into = &p->lives[a], *life = &p->lives[b];
    if (a == b || writes_to_group(p, &p->g->nodes[node], a)) return;
    if (!alias && (into->last > node || reads_of_group(p, &p->g->nodes[node], a) != 1)) return;
    if (life->last > into->last) into->last = life->last;
    if (life->first < into->first) into->first = life->first;
    if (life->bytes > into->bytes) into->bytes = life->bytes;
    life->group = a;
}

static void find_groups(KerbPlanner *p)
{
    for (int i = 0; i < p->g->n_nodes && p->options->share; i++) {
        const KerbNode *n = &p->g->nodes[i];
        for (int k = 0; k < n->n_outputs && !n->dead; k++)
            if (n->outputs[k] != KERB_NO_VALUE) share_memory(p, n->outputs[k], i);
    }
}

static int compare_sizes(const void *a, const void *b, void *user)
{
    const KerbLife *lives = user, *x = &lives[*(const uint32_t *)a], *y = &lives[*(const uint32_t *)b];
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

/* Offset of the smallest gap that is large enough among the placed groups that live at the same time; else behind them all. */
static size_t best_fit(const KerbPlanner *p, const KerbLife *life)
{
    size_t end = 0, best = SIZE_MAX, best_gap = SIZE_MAX, need = ALIGN(life->bytes);
    for (int i = 0; i < p->n_placed; i++) {
        const KerbLife *other = &p->lives[p->placed[i]];
        size_t offset = p->plan->offsets[p->placed[i]], after = offset + ALIGN(other->bytes);
        if (other->last < life->first || other->first > life->last) continue;
        if (offset > end && offset - end >= need && offset - end < best_gap) {
            best = end;
            best_gap = offset - end;
        }
        if (after > end) end = after;
    }
    return best != SIZE_MAX ? best : end;
}

static bool place(KerbPlanner *p)
{
    qsort_r(p->order, (size_t)p->n_order, sizeof *p->order, compare_sizes, p->lives);
    for (int i = 0; i < p->n_order; i++) {
        uint32_t id = p->order[i];
        size_t offset = best_fit(p, &p->lives[id]), end;
        if (!kerb_add_size(offset, ALIGN(p->lives[id].bytes), &end)) return false;
        p->plan->offsets[id] = offset;
        if (end > p->plan->arena_bytes) p->plan->arena_bytes = end;
        int at = p->n_placed++;
        for (; at > 0 && p->plan->offsets[p->placed[at - 1]] > offset; at--) p->placed[at] = p->placed[at - 1];
        p->placed[at] = id;
    }
    return true;
}

static bool fill_plan(KerbPlanner *p)
{
    for (int i = 0; i < p->g->n_values; i++) {
        p->plan->offsets[i] = SIZE_MAX;
        if (!p->lives[i].bytes) continue;
        p->plan->sizes[i] = p->lives[i].bytes; /* before groups grow */
        if (!kerb_add_size(p->plan->sum_bytes, ALIGN(p->lives[i].bytes), &p->plan->sum_bytes)) return false;
    }
    find_groups(p);
    for (int i = 0; i < p->g->n_values; i++)
        if (p->lives[i].bytes && find_group(p->lives, (uint32_t)i) == (uint32_t)i) p->order[p->n_order++] = (uint32_t)i;
    if (!place(p)) return false;
    for (int i = 0; i < p->g->n_values; i++)
        if (p->lives[i].bytes) p->plan->offsets[i] = p->plan->offsets[find_group(p->lives, (uint32_t)i)];
    return true;
}

KerbStatus kerb_plan_new(KerbPlan **out, const KerbGraph *g, const KerbPlanOptions *options, KerbError *error)
{
    static const KerbPlanOptions defaults;
    size_t n = (size_t)g->n_values;
    KerbPlanner p = { .g = g, .options = options ? options : &defaults };
    KerbStatus status = KERB_OK;
    *out = NULL;
    p.plan = kerb_alloc(sizeof *p.plan);
    p.lives = kerb_alloc(n * sizeof *p.lives + 1);
    p.order = kerb_alloc(n * sizeof *p.order + 1);
    p.placed = kerb_alloc(n * sizeof *p.placed + 1);
    if (p.plan) {
        p.plan->n = g->n_values;
        p.plan->offsets = kerb_alloc(n * sizeof *p.plan->offsets + 1);
        p.plan->sizes = kerb_alloc(n * sizeof *p.plan->sizes + 1);
    }
    if (!p.plan || !p.lives || !p.order || !p.placed || !p.plan->offsets || !p.plan->sizes)
        status = kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for the memory plan of %zu values", n);
    else if (!find_lives(&p) || !fill_plan(&p))
        status = kerb_fail(error, KERB_ERROR_MEMORY, "the tensors of this network do not fit into memory; choose a smaller network size");
    if (status == KERB_OK) *out = p.plan;
    else kerb_plan_free(&p.plan);
    kerb_free(&p.lives);
    kerb_free(&p.order);
    kerb_free(&p.placed);
    return status;
}

void kerb_plan_free(KerbPlan **plan)
{
    if (!plan || !*plan) return;
    kerb_free(&(*plan)->offsets);
    kerb_free(&(*plan)->sizes);
    kerb_free(plan);
}
