/* SPDX-License-Identifier: MIT */
/* Dead code: nodes that no graph output needs. Constants go with their last reader, since nobody asks for them any more. */
#include "net/passes/pass.h"

/* Marks them; -1: out of memory. Every reader must stand behind what it reads, but for what the running pass has just made: that may stand
 * anywhere, so it goes on until nothing changes (one more walk, as a rule). */
static int mark_dead(KerbGraph *g)
{
    int marked = 0;
    bool *needed = kerb_alloc((size_t)g->n_values * sizeof *needed + 1), more = true;
    if (!needed) return -1;
    for (int i = 0; i < g->n_outputs; i++) needed[g->outputs[i]] = true;
    while (more) {
        more = false;
        for (int i = g->n_nodes - 1; i >= 0; i--) {
            const KerbNode *n = &g->nodes[i];
            bool alive = false;
            for (int k = 0; k < n->n_outputs && !n->dead; k++) alive = alive || (n->outputs[k] != KERB_NO_VALUE && needed[n->outputs[k]]);
            for (int k = 0; k < n->n_inputs && alive; k++) {
                if (n->inputs[k] == KERB_NO_VALUE || needed[n->inputs[k]]) continue;
                const KerbValue *v = &g->values[n->inputs[k]];
                more = more || (v->producer != KERB_NO_NODE && v->producer > (uint32_t)i);
                needed[n->inputs[k]] = true;
            }
        }
    }
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        bool alive = n->dead;
        for (int k = 0; k < n->n_outputs; k++) alive = alive || (n->outputs[k] != KERB_NO_VALUE && needed[n->outputs[k]]);
        if (alive) continue;
        n->dead = true;
        marked++;
    }
    kerb_free(&needed);
    return marked;
}

KerbStatus kerb_pass_finish(KerbGraph *g, int changes, KerbError *error)
{
    if (!changes) return KERB_OK;
    return mark_dead(g) < 0 ? kerb_pass_out_of_memory(error) : kerb_graph_infer(g, error);
}

KerbStatus kerb_pass_drop_dead(KerbGraph *g, int *changes, KerbError *error)
{
    *changes = mark_dead(g);
    if (*changes < 0) return kerb_pass_out_of_memory(error);
    return *changes ? kerb_graph_sort(g, error) : KERB_OK;
}
