/* SPDX-License-Identifier: MIT */
/* What passes do to a graph: new constants, values and nodes, taking nodes out. */
#include <string.h>

#include "net/passes/pass.h"

uint32_t kerb_pass_constant(KerbGraph *g, uint32_t named_after, const char *suffix, KerbDtype dtype, int rank, const int64_t dims[], void **data)
{
    KerbTensor t = kerb_tensor(NULL, dtype, rank, dims);
    const char *name = kerb_graph_name(g, g->values[named_after].name, suffix);
    *data = name ? kerb_arena_alloc(g->arena, kerb_tensor_bytes(&t)) : NULL;
    uint32_t id = *data ? kerb_graph_add_constant(g, name, dtype, rank, dims, *data, false) : KERB_NO_VALUE;
    if (id != KERB_NO_VALUE) g->values[id].borrowed = false; /* it lies in the graph's own arena */
    return id;
}

uint32_t kerb_pass_integers(KerbGraph *g, uint32_t named_after, const char *suffix, int n, const int64_t v[])
{
    void *data;
    uint32_t id = kerb_pass_constant(g, named_after, suffix, KERB_I64, 1, (const int64_t[]){ n }, &data);
    if (id != KERB_NO_VALUE) memcpy(data, v, (size_t)n * sizeof *v);
    return id;
}

uint32_t kerb_pass_value(KerbGraph *g, uint32_t named_after, const char *suffix, KerbDtype dtype)
{
    const char *name = kerb_graph_name(g, g->values[named_after].name, suffix);
    return name ? kerb_graph_add_value(g, name, dtype, -1, NULL) : KERB_NO_VALUE;
}

uint32_t kerb_pass_node(KerbGraph *g, KerbOp op, const char *name, const char *suffix, int n_inputs, const uint32_t inputs[], uint32_t output)
{
    const char *fresh = kerb_graph_name(g, name, suffix);
    return fresh ? kerb_graph_add_node(g, op, fresh, n_inputs, inputs, 1, &output) : KERB_NO_NODE;
}

bool kerb_pass_crop(KerbGraph *g, const char *name, uint32_t from, const int64_t starts[2], const int64_t lengths[2], uint32_t to)
{
    const int64_t ends[2] = { starts[0] + lengths[0], starts[1] + lengths[1] }, axes[2] = { 2, 3 };
    uint32_t in[4] = { from, kerb_pass_integers(g, to, "starts", 2, starts), kerb_pass_integers(g, to, "ends", 2, ends),
                       kerb_pass_integers(g, to, "axes", 2, axes) };
    for (int i = 1; i < 4; i++)
        if (in[i] == KERB_NO_VALUE) return false;
    return kerb_pass_node(g, KERB_OP_SLICE, name, "crop", 4, in, to) != KERB_NO_NODE;
}

bool kerb_pass_set_input(KerbGraph *g, uint32_t node, int i, uint32_t value)
{
    KerbNode *n = &g->nodes[node];
    if (i >= n->n_inputs) {
        uint32_t *inputs = kerb_arena_alloc(g->arena, (size_t)(i + 1) * sizeof *inputs);
        if (!inputs) return false;
        for (int k = 0; k <= i; k++) inputs[k] = k < n->n_inputs ? n->inputs[k] : KERB_NO_VALUE;
        n->inputs = inputs;
        n->n_inputs = i + 1;
    }
    n->inputs[i] = value;
    return true;
}

bool kerb_pass_bypass(KerbGraph *g, KerbNode *n, uint32_t x)
{
    uint32_t y = n->outputs[0];
    KerbNode *before = kerb_pass_producer(g, x);
    if (!kerb_pass_is_output(g, y)) {
        kerb_graph_replace(g, y, x);
    } else if (before && !kerb_pass_is_output(g, x)) {
        for (int i = 0; i < before->n_outputs; i++)
            if (before->outputs[i] == x) before->outputs[i] = y;
        kerb_graph_replace(g, x, y);
        g->values[y].producer = g->values[x].producer;
        g->values[x].producer = KERB_NO_NODE;
        n->dead = true;
        return true;
    } else {
        return false;
    }
    n->dead = true;
    g->values[y].producer = KERB_NO_NODE;
    return true;
}

void kerb_pass_take_over(KerbGraph *g, KerbNode *n, KerbNode *last)
{
    uint32_t from = n->outputs[0], to = last->outputs[0];
    last->dead = true;
    n->outputs[0] = to;
    g->values[to].producer = (uint32_t)(n - g->nodes);
    g->values[from].producer = KERB_NO_NODE;
}
