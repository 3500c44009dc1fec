/* SPDX-License-Identifier: MIT */
/* Operators that give back their input as it is. Shapes are known, so "the same shape" settles most of them. Adding 0 and multiplying by 1
 * count as nothing although -0 + 0 is +0. */
#include <math.h>

#include "net/passes/pass.h"

/* An axis that is longer than 1 and as long as before has been walked with step 1 or -1. */
static bool slice_keeps_order(const KerbGraph *g, const KerbNode *n)
{
    int64_t steps[KERB_MAX_RANK];
    int k = kerb_node_input(g, n, 4) ? kerb_value_integers(kerb_node_input(g, n, 4), steps, KERB_MAX_RANK) : 0;
    for (int i = 0; i < k; i++)
        if (steps[i] < 0) return false;
    return k >= 0;
}

static bool pads_nothing(const KerbGraph *g, const KerbNode *n)
{
    int64_t pads[2 * KERB_MAX_RANK]; /* one shape may hide a shift: 1 at the beginning, -1 at the end */
    int k = kerb_value_integers(kerb_node_input(g, n, 1), pads, 2 * KERB_MAX_RANK);
    for (int i = 0; i < k; i++)
        if (pads[i]) return false;
    return k >= 0;
}

static bool transposes_nothing(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(g, n, 0); /* moving axes of length 1 changes no order, but then the shape tells */
    int64_t last = -1;
    for (int i = 0; i < x->rank; i++) {
        int64_t from = n->attrs.transpose.perm[i];
        if (x->dims[from] == 1) continue;
        if (from < last) return false;
        last = from;
    }
    return true;
}

static bool window_is_a_point(const KerbWindow *w)
{
    for (int i = 0; i < w->n; i++)
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->pad_begin[i] || w->pad_end[i]) return false;
    return true;
}

static bool resizes_nothing(const KerbGraph *g, const KerbNode *n)
{
    const KerbResizeAttrs *r = &n->attrs.resize;
    if (r->coordinates == KERB_COORD_TF_CROP_AND_RESIZE) return false;
    for (int i = 0; i < kerb_node_input(g, n, 0)->rank; i++)
        if (r->scale[i] != 1) return false;
    return true;
}

static bool clips_nothing(const KerbGraph *g, const KerbNode *n)
{
    double lo = -INFINITY, hi = INFINITY;
    if (kerb_node_input(g, n, 1) && !kerb_pass_scalar(g, n->inputs[1], &lo)) return false;
    if (kerb_node_input(g, n, 2) && !kerb_pass_scalar(g, n->inputs[2], &hi)) return false;
    return kerb_dtype_is_float(kerb_node_input(g, n, 0)->dtype) && lo == -INFINITY && hi == INFINITY;
}

/* x + 0, 0 + x, x - 0, x * 1, 1 * x, x / 1: the operand that is left, or KERB_NO_VALUE. */
static uint32_t binary_operand(const KerbGraph *g, const KerbNode *n)
{
    double number;
    uint32_t other;
    KerbBinary kind = n->attrs.binary.kind;
    if (n->attrs.binary.act.kind != KERB_ACT_NONE) return KERB_NO_VALUE;
    bool sum = kind == KERB_BINARY_ADD || kind == KERB_BINARY_SUB, product = kind == KERB_BINARY_MUL || kind == KERB_BINARY_DIV;
    if ((!sum && !product) || !kerb_pass_scalar_operand(g, n, &number, &other)) return KERB_NO_VALUE;
    bool commutes = kind == KERB_BINARY_ADD || kind == KERB_BINARY_MUL;
    return number == (product ? 1 : 0) && (commutes || other == n->inputs[0]) ? other : KERB_NO_VALUE;
}

/* The input that the node gives back, or KERB_NO_VALUE. The shapes of the two are compared by the caller. */
static uint32_t gives_back(const KerbGraph *g, const KerbNode *n)
{
    bool same = false;
    switch (n->op) {
    case KERB_OP_IDENTITY:
    case KERB_OP_CAST: /* the type is compared with the shape */
    case KERB_OP_RESHAPE:
    case KERB_OP_FLATTEN:
    case KERB_OP_SQUEEZE:
    case KERB_OP_UNSQUEEZE:
    case KERB_OP_EXPAND:
    case KERB_OP_TILE: same = true; break;
    case KERB_OP_CONCAT:
        same = n->n_inputs == 1;
        break;
    case KERB_OP_SPLIT: same = n->n_outputs == 1; break;
    case KERB_OP_SLICE: same = slice_keeps_order(g, n); break;
    case KERB_OP_PAD: same = pads_nothing(g, n); break;
    case KERB_OP_TRANSPOSE: same = transposes_nothing(g, n); break;
    case KERB_OP_MAX_POOL: same = window_is_a_point(&n->attrs.pool.window) && (n->n_outputs == 1 || kerb_graph_uses(g, n->outputs[1]) == 0); break;
    case KERB_OP_AVERAGE_POOL: same = window_is_a_point(&n->attrs.pool.window); break;
    case KERB_OP_RESIZE: same = resizes_nothing(g, n); break;
    case KERB_OP_CLIP: same = clips_nothing(g, n); break;
    case KERB_OP_DEPTH_TO_SPACE:
    case KERB_OP_SPACE_TO_DEPTH: same = n->attrs.block.size == 1; break;
    case KERB_OP_BINARY: return binary_operand(g, n);
    default: break;
    }
    return same ? n->inputs[0] : KERB_NO_VALUE;
}

KerbStatus kerb_pass_drop_no_ops(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        uint32_t x = n->dead || n->outputs[0] == KERB_NO_VALUE ? KERB_NO_VALUE : gives_back(g, n);
        if (x == KERB_NO_VALUE || !kerb_pass_same_shape(kerb_graph_value(g, x), kerb_graph_value(g, n->outputs[0]))) continue;
        *changes += kerb_pass_bypass(g, n, x);
    }
    return kerb_pass_finish(g, *changes, error);
}
