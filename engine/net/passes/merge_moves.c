/* SPDX-License-Identifier: MIT */
/* Chains of operators that only move elements: two of a kind become one (dropping no-ops then removes what cancels out), and Flatten, Squeeze
 * and Unsqueeze become Reshape, so that later passes and backends know one way of saying it. The first of a chain stays for its other
 * readers, if it has any. */
#include "net/passes/pass.h"

static bool is_reshape(const KerbNode *n)
{
    return n && (n->op == KERB_OP_RESHAPE || n->op == KERB_OP_FLATTEN || n->op == KERB_OP_SQUEEZE || n->op == KERB_OP_UNSQUEEZE);
}

/* -> Reshape with the dims spelled out. Empty tensors keep their own operators: a 0 in a Reshape means "copy". */
static KerbStatus plain_reshape(KerbGraph *g, uint32_t node, uint32_t x, int *changes, KerbError *error)
{
    KerbNode *n = &g->nodes[node];
    const KerbValue *y = kerb_graph_value(g, n->outputs[0]);
    for (int i = 0; i < y->rank; i++)
        if (y->dims[i] == 0) return KERB_OK;
    uint32_t shape = kerb_pass_integers(g, n->outputs[0], "shape", y->rank, y->dims);
    if (shape == KERB_NO_VALUE || !kerb_pass_set_input(g, node, 1, shape)) return kerb_pass_out_of_memory(error);
    n->op = KERB_OP_RESHAPE;
    n->n_inputs = 2;
    n->inputs[0] = x;
    n->attrs.reshape.allow_zero = false;
    ++*changes;
    return KERB_OK;
}

static KerbStatus merge_reshape(KerbGraph *g, uint32_t node, int *changes, KerbError *error)
{
    const KerbNode *n = &g->nodes[node], *before = kerb_pass_producer(g, n->inputs[0]);
    if (is_reshape(before)) return plain_reshape(g, node, before->inputs[0], changes, error);
    return n->op == KERB_OP_RESHAPE ? KERB_OK : plain_reshape(g, node, n->inputs[0], changes, error);
}

static void merge_transpose(KerbGraph *g, KerbNode *n, int *changes)
{
    const KerbNode *before = kerb_pass_producer(g, n->inputs[0]);
    if (!before || before->op != KERB_OP_TRANSPOSE) return;
    for (int i = 0; i < n->attrs.transpose.n; i++) n->attrs.transpose.perm[i] = before->attrs.transpose.perm[n->attrs.transpose.perm[i]];
    n->inputs[0] = before->inputs[0];
    ++*changes;
}

static KerbStatus merge_slice(KerbGraph *g, uint32_t node, int *changes, KerbError *error)
{
    int64_t begin[KERB_MAX_RANK], before_begin[KERB_MAX_RANK], end[KERB_MAX_RANK];
    KerbNode *n = &g->nodes[node], *before = kerb_pass_producer(g, n->inputs[0]);
    if (!before || before->op != KERB_OP_SLICE || !kerb_pass_slice_begin(g, n, begin) || !kerb_pass_slice_begin(g, before, before_begin)) return KERB_OK;
    const KerbValue *y = kerb_graph_value(g, n->outputs[0]);
    int rank = y->rank;
    uint32_t x = before->inputs[0];
    for (int i = 0; i < rank; i++) {
        begin[i] += before_begin[i];
        end[i] = begin[i] + y->dims[i];
    }
    uint32_t starts = kerb_pass_integers(g, g->nodes[node].outputs[0], "starts", rank, begin);
    uint32_t ends = kerb_pass_integers(g, g->nodes[node].outputs[0], "ends", rank, end);
    if (starts == KERB_NO_VALUE || ends == KERB_NO_VALUE) return kerb_pass_out_of_memory(error);
    n->inputs[0] = x;
    n->inputs[1] = starts;
    n->inputs[2] = ends;
    n->n_inputs = 3;
    ++*changes;
    return KERB_OK;
}

KerbStatus kerb_pass_merge_moves(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbStatus status = KERB_OK;
        KerbNode *n = &g->nodes[i];
        if (n->dead) continue;
        if (is_reshape(n)) status = merge_reshape(g, (uint32_t)i, changes, error);
        else if (n->op == KERB_OP_TRANSPOSE) merge_transpose(g, n, changes);
        else if (n->op == KERB_OP_SLICE) status = merge_slice(g, (uint32_t)i, changes, error);
        if (status != KERB_OK) return status;
    }
    return kerb_pass_finish(g, *changes, error);
}
