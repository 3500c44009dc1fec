/* SPDX-License-Identifier: MIT */
/* Pad(constant) into the window of what reads it: Conv, AveragePool, MaxPool. Only pads of spatial axes, none negative. Legal where the window's
 * own padding means the same:
 *   Conv         pads with 0: the Pad must.
 *   AveragePool  pads with 0 if count_include_pad; a pool without pads of its own becomes such a one. ceil_mode: no (its last window may
 *                hang over the end, and what it divides by depends on where the end is).
 *   MaxPool      pads with -inf: a Pad with -inf (or the lowest float), or with 0 where the input is known to be >= 0 and every window touches
 *                it. Without indices (they count in the padded picture) and ceil_mode.
 * Other readers of the Pad keep it.
 *
 * Quantised models round what they padded: Pad -> QuantizeLinear -> DequantizeLinear -> Conv. Numbers are rounded one by one, and 0 is always a number
 * that is kept (the zero point's), so rounding and then padding is the same, bit by bit: the quantisers move in front of the Pad, where mostly some with the
 * same scale stand already, and the window takes it. */
#include <float.h>
#include <math.h>

#include "net/passes/pass.h"
#include "net/quantize.h"

typedef struct KerbPadding {
    double value;
    int64_t begin[KERB_MAX_SPATIAL], end[KERB_MAX_SPATIAL];
    uint32_t x;
} KerbPadding;

static bool read_padding(const KerbGraph *g, const KerbNode *n, KerbPadding *p)
{
    int64_t pads[2 * KERB_MAX_RANK], axes[KERB_MAX_RANK];
    int rank = kerb_node_input(g, n, 0)->rank, k = kerb_value_integers(kerb_node_input(g, n, 1), pads, 2 * KERB_MAX_RANK) / 2;
    const KerbValue *given = kerb_node_input(g, n, 3);
    *p = (KerbPadding){ .x = n->inputs[0] };
    if (n->attrs.pad.mode != KERB_PADDING_CONSTANT || rank < 3 || rank - 2 > KERB_MAX_SPATIAL) return false;
    if (kerb_node_input(g, n, 2) && !kerb_pass_scalar(g, n->inputs[2], &p->value)) return false;
    if (given && kerb_value_integers(given, axes, KERB_MAX_RANK) != k) return false;
    for (int i = 0; i < k; i++) {
        int64_t axis = given ? axes[i] : i, begin = pads[i], end = pads[k + i];
        if (axis < 0) axis += rank;
        if (begin < 0 || end < 0 || (axis < 2 && (begin || end))) return false;
        if (axis < 2) continue;
        p->begin[axis - 2] = begin;
        p->end[axis - 2] = end;
    }
    return true;
}

/* Every element of the value is >= 0, as far as its producer tells. */
static bool not_negative(const KerbGraph *g, uint32_t value)
{
    KerbNode *n = kerb_pass_producer(g, value);
    KerbQuant q;
    double lo;
    if (!n) return false;
    if (kerb_quant_source(g, value, &q)) return q.zero == kerb_quant_lowest(&q);
    if (n->op == KERB_OP_CLIP) return kerb_node_input(g, n, 1) && kerb_pass_scalar(g, n->inputs[1], &lo) && lo >= 0;
    if (n->op == KERB_OP_UNARY) return n->attrs.unary.kind == KERB_UNARY_RELU || n->attrs.unary.kind == KERB_UNARY_SIGMOID;
    const KerbActivation *act = kerb_pass_activation(n);
    if (!act) return false;
    if (act->kind == KERB_ACT_CLIP) return act->lo >= 0;
    return act->kind == KERB_ACT_UNARY && (act->unary == KERB_UNARY_RELU || act->unary == KERB_UNARY_SIGMOID);
}

static bool has_pads(const KerbWindow *w)
{
    for (int i = 0; i < w->n; i++)
        if (w->pad_begin[i] || w->pad_end[i]) return true;
    return false;
}

static bool fits_max_pool(const KerbGraph *g, const KerbNode *n, const KerbPadding *p)
{
    const KerbPoolAttrs *pool = &n->attrs.pool;
    if (pool->ceil_mode || (n->n_outputs > 1 && n->outputs[1] != KERB_NO_VALUE && kerb_graph_uses(g, n->outputs[1]))) return false;
    for (int i = 0; i < pool->window.n; i++) /* ONNX Runtime, too, wants pads that are smaller than the kernel */
        if (pool->window.dilation[i] != 1 || p->begin[i] + pool->window.pad_begin[i] >= pool->window.kernel[i] ||
            p->end[i] + pool->window.pad_end[i] >= pool->window.kernel[i])
            return false;
    return p->value <= -(double)FLT_MAX || (p->value == 0 && not_negative(g, p->x));
}

static bool fits_average_pool(const KerbNode *n, const KerbPadding *p)
{
    const KerbPoolAttrs *pool = &n->attrs.pool;
    return p->value == 0 && !pool->ceil_mode && (pool->count_include_pad || !has_pads(&pool->window));
}

static KerbWindow *window_that_pads(const KerbGraph *g, KerbNode *n, const KerbPadding *p)
{
    switch (n->op) {
    case KERB_OP_CONV: return p->value == 0 ? &n->attrs.conv.window : NULL;
    case KERB_OP_MAX_POOL: return fits_max_pool(g, n, p) ? &n->attrs.pool.window : NULL;
    case KERB_OP_AVERAGE_POOL: return fits_average_pool(n, p) ? &n->attrs.pool.window : NULL;
    default: return NULL;
    }
}

/* ---- quantisers between the Pad and its reader */

/* QuantizeLinear and DequantizeLinear that keep 0. */
typedef struct KerbRounding {
    uint32_t quantise, dequantise; /* nodes; KERB_NO_NODE: there are none */
    KerbQuant to, from;
} KerbRounding;

/* The Pad that `value` comes from, with what lies between; NULL: none. */
static const KerbNode *find_pad(const KerbGraph *g, uint32_t value, KerbRounding *r)
{
    const KerbNode *n = kerb_pass_producer(g, value);
    r->quantise = r->dequantise = KERB_NO_NODE;
    if (n && kerb_quant_source(g, value, &r->from)) {
        const KerbNode *q = kerb_pass_producer(g, n->inputs[0]);
        if (!q || q->op != KERB_OP_QUANTIZE || !kerb_quant_of(g, q, &r->to) || r->to.zero != r->from.zero) return NULL;
        r->quantise = (uint32_t)(q - g->nodes);
        r->dequantise = (uint32_t)(n - g->nodes);
        n = kerb_pass_producer(g, q->inputs[0]);
    }
    return n && n->op == KERB_OP_PAD ? n : NULL;
}

/* What a node like `node`, whose integers are `q`, makes of x: there is one, or one is made. KERB_NO_VALUE: out of memory. */
static uint32_t quantiser_of(KerbGraph *g, uint32_t node, const KerbQuant *q, uint32_t x)
{
    const KerbNode *n = &g->nodes[node];
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *m = &g->nodes[i];
        KerbQuant other;
        if (!m->dead && m->op == n->op && m->inputs[0] == x && kerb_quant_of(g, m, &other) && kerb_quant_same(&other, q)) return m->outputs[0];
    }
    const int n_inputs = n->n_inputs;
    const uint32_t inputs[3] = { x, n->inputs[1], n_inputs > 2 ? n->inputs[2] : KERB_NO_VALUE };
    const KerbAttrs attrs = n->attrs;
    const uint32_t y = kerb_pass_value(g, n->outputs[0], "unpadded", g->values[n->outputs[0]].dtype);
    const uint32_t twin = y == KERB_NO_VALUE ? KERB_NO_NODE : kerb_pass_node(g, n->op, n->name, "unpadded", n_inputs, inputs, y);
    if (twin == KERB_NO_NODE) return KERB_NO_VALUE;
    g->nodes[twin].attrs = attrs;
    return y;
}

/* x, rounded as behind the Pad. */
static uint32_t rounded(KerbGraph *g, uint32_t x, const KerbRounding *r)
{
    KerbQuant before;
    if (r->quantise == KERB_NO_NODE) return x;
    if (kerb_quant_source(g, x, &before) && kerb_quant_same(&before, &r->to) && kerb_quant_same(&before, &r->from)) return x; /* it is already */
    x = quantiser_of(g, r->quantise, &r->to, x);
    return x == KERB_NO_VALUE ? x : quantiser_of(g, r->dequantise, &r->from, x);
}

KerbStatus kerb_pass_fuse_pad(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0, n_nodes = g->n_nodes; i < n_nodes; i++) { /* not those that are added */
        KerbNode *n = &g->nodes[i];
        if (n->dead || (n->op != KERB_OP_CONV && n->op != KERB_OP_MAX_POOL && n->op != KERB_OP_AVERAGE_POOL)) continue;
        KerbPadding p;
        KerbRounding r;
        const KerbNode *pad = find_pad(g, n->inputs[0], &r);
        if (!pad || !read_padding(g, pad, &p) || (r.quantise != KERB_NO_NODE && p.value != 0)) continue;
        KerbWindow *w = window_that_pads(g, n, &p);
        if (!w) continue;
        for (int k = 0; k < w->n; k++) {
            w->pad_begin[k] += p.begin[k];
            w->pad_end[k] += p.end[k];
        }
        if (n->op == KERB_OP_AVERAGE_POOL) n->attrs.pool.count_include_pad = true;
        uint32_t x = rounded(g, p.x, &r);
        if (x == KERB_NO_VALUE) return kerb_pass_out_of_memory(error);
        g->nodes[i].inputs[0] = x; /* nodes may lie elsewhere now */
        ++*changes;
    }
    return kerb_pass_finish(g, *changes, error);
}
