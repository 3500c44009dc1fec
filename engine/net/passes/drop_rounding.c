/* SPDX-License-Identifier: MIT */
/* A quantised model (QDQ) as the float model that it stands for, for devices that are faster in floats than in 8-bit integers. What QuantizeLinear and
 * DequantizeLinear do to a tensor is to round it and to clip it to the range of the integers; the rounding goes.
 *
 * The clip stays where the range begins or ends at 0, as tools leave out a ReLU whose work such a range does; convolutions take it for nothing. It goes
 * where nothing can be outside, for the graph's inputs, which nobody activates, and from ranges on both sides of 0: there it only cuts off what is rare. */
#include <math.h>

#include "net/passes/pass.h"
#include "net/quantize.h"

#define MAX_MOVES 16 /* operators between a tensor and what bounds it */

typedef struct Range {
    double lo, hi;
} Range;

static const Range anything = {-INFINITY, INFINITY};

static Range hull(Range a, Range b) { return (Range){fmin(a.lo, b.lo), fmax(a.hi, b.hi)}; }

static Range range_of_unary(KerbUnary kind)
{
    switch (kind) {
    case KERB_UNARY_RELU: return (Range){0, INFINITY};
    case KERB_UNARY_SIGMOID:
    case KERB_UNARY_HARD_SIGMOID: return (Range){0, 1};
    case KERB_UNARY_TANH: return (Range){-1, 1};
    default: return anything;
    }
}

static Range range_of(const KerbGraph *g, uint32_t value, int moves);

/* Of operators that move numbers, or average them. */
static Range range_moved(const KerbGraph *g, const KerbNode *n, int moves)
{
    Range r = range_of(g, n->inputs[0], moves);
    double padding = 0;
    switch (n->op) {
    case KERB_OP_PAD:
        if (n->attrs.pad.mode != KERB_PADDING_CONSTANT) return r;
        return kerb_node_input(g, n, 2) && !kerb_pass_scalar(g, n->inputs[2], &padding) ? anything : hull(r, (Range){padding, padding});
    case KERB_OP_AVERAGE_POOL: return hull(r, (Range){0, 0});
    case KERB_OP_CONCAT:
        for (int i = 1; i < n->n_inputs; i++) r = hull(r, range_of(g, n->inputs[i], moves));
        return r;
    case KERB_OP_RESIZE:
        /* The last has a number of its own outside. */
        if (n->attrs.resize.mode == KERB_RESIZE_CUBIC || n->attrs.resize.coordinates == KERB_COORD_TF_CROP_AND_RESIZE) return anything;
        return n->attrs.resize.zero_border ? hull(r, (Range){0, 0}) : r;
    case KERB_OP_REDUCE: return n->attrs.reduce.kind == KERB_REDUCE_MEAN || n->attrs.reduce.kind == KERB_REDUCE_MAX ? r : anything;
    default: return r;
    }
}

/* What every number of the value lies in, as far as that can be told without looking at weights. */
static Range range_of(const KerbGraph *g, uint32_t value, int moves)
{
    Range r = anything;
    KerbNode *n = kerb_pass_producer(g, value);
    if (!n || !moves) return r;
    const KerbActivation *act = kerb_pass_activation(n);
    if (act && act->kind == KERB_ACT_CLIP) return (Range){act->lo, act->hi};
    if (act && act->kind == KERB_ACT_UNARY) return range_of_unary(act->unary);
    switch (n->op) {
    case KERB_OP_UNARY: return range_of_unary(n->attrs.unary.kind);
    case KERB_OP_CLIP:
        if (kerb_node_input(g, n, 1)) kerb_pass_scalar(g, n->inputs[1], &r.lo);
        if (kerb_node_input(g, n, 2)) kerb_pass_scalar(g, n->inputs[2], &r.hi);
        return r;
    case KERB_OP_AVERAGE_POOL:
    case KERB_OP_CONCAT:
    case KERB_OP_DEPTH_TO_SPACE:
    case KERB_OP_MAX_POOL:
    case KERB_OP_PAD:
    case KERB_OP_REDUCE:
    case KERB_OP_RESHAPE:
    case KERB_OP_RESIZE:
    case KERB_OP_SLICE:
    case KERB_OP_SPACE_TO_DEPTH:
    case KERB_OP_TRANSPOSE: return range_moved(g, n, moves - 1);
    default: return r;
    }
}

/* Do all readers of these integers make the floats of them that they were? */
static bool only_rounds(const KerbGraph *g, const KerbQuant *q)
{
    int readers = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        KerbQuant back;
        if (n->dead || n->op != KERB_OP_DEQUANTIZE || n->inputs[0] != q->value || g->values[n->outputs[0]].dtype != KERB_F32) continue;
        readers += kerb_quant_of(g, n, &back) && kerb_quant_same(&back, q);
    }
    return readers && readers == kerb_graph_uses(g, q->value);
}

static uint32_t bound(KerbGraph *g, uint32_t named_after, const char *suffix, double v)
{
    void *data;
    uint32_t id = kerb_pass_constant(g, named_after, suffix, KERB_F32, 0, NULL, &data);
    if (id != KERB_NO_VALUE) *(float *)data = (float)v;
    return id;
}

/* Node q and what reads it -> Clip, or nothing. */
static KerbStatus loosen(KerbGraph *g, uint32_t node, const KerbQuant *q, KerbError *error)
{
    uint32_t x = g->nodes[node].inputs[0], y = x;
    const int least = kerb_quant_lowest(q);
    const double scale = (double)q->scale;
    const Range to = {scale * (least - q->zero), scale * (least + 255 - q->zero)}, from = range_of(g, x, MAX_MOVES);
    const bool inside = from.lo >= to.lo - scale / 2 && from.hi <= to.hi + scale / 2, activates = to.lo >= 0 || to.hi <= 0;
    if (activates && !inside && kerb_pass_producer(g, x)) {
        const uint32_t lo = bound(g, x, "lo", to.lo), hi = bound(g, x, "hi", to.hi);
        y = kerb_pass_value(g, x, "clipped", KERB_F32);
        if (lo == KERB_NO_VALUE || hi == KERB_NO_VALUE || y == KERB_NO_VALUE ||
            kerb_pass_node(g, KERB_OP_CLIP, g->nodes[node].name, "clip", 3, (uint32_t[]){x, lo, hi}, y) == KERB_NO_NODE)
            return kerb_pass_out_of_memory(error);
    }
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead || n->op != KERB_OP_DEQUANTIZE || n->inputs[0] != q->value) continue;
        const uint32_t out = n->outputs[0];
        if (kerb_pass_bypass(g, n, y) && g->values[out].producer != KERB_NO_NODE) y = out; /* an output of the graph keeps its name */
    }
    return KERB_OK;
}

KerbStatus kerb_graph_drop_rounding(KerbGraph *g, KerbError *error)
{
    int changes = 0;
    KerbStatus status = KERB_OK;
    for (int i = 0; i < g->n_nodes && status == KERB_OK; i++) {
        const KerbNode *n = &g->nodes[i];
        KerbQuant q;
        if (n->dead || n->op != KERB_OP_QUANTIZE || kerb_node_input(g, n, 0)->dtype != KERB_F32) continue;
        if (!kerb_quant_of(g, n, &q) || !only_rounds(g, &q)) continue;
        status = loosen(g, (uint32_t)i, &q, error);
        changes++;
    }
    if (status == KERB_OK) status = kerb_pass_finish(g, changes, error);
    return status == KERB_OK ? kerb_graph_optimize(g, &(KerbOptimizeOptions){.keep_head = true}, error) : status;
}
