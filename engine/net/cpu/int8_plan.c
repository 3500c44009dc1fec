/* SPDX-License-Identifier: MIT */
/* Which nodes of a quantised graph work on integers, and which DequantizeLinear nobody needs then. Makes no steps but for the dispatch. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/int8.h"

/* ---- kinds of nodes ---- */

bool kerb_int8_is_tensor(const KerbValue *v)
{
    for (int i = 0; i < v->rank; i++) {
        if (v->dims[i] < 1 || v->dims[i] > INT_MAX / 2) return false;
    }
    return v->rank > 0;
}

static bool kerb_int8_is_picture_value(const KerbValue *v)
{
    return v->rank == 4 && kerb_int8_is_tensor(v);
}

bool kerb_int8_picture_source(const KerbGraph *g, uint32_t value, KerbQuant *out)
{
    return value != KERB_NO_VALUE && kerb_int8_is_picture_value(&g->values[value]) && kerb_quant_source(g, value, out);
}

static bool kerb_int8_takes_conv(const KerbCompiler *c, const KerbNode *n)
{
    KerbConvQuant q;
    if (!kerb_conv_regular(c, n) || !kerb_conv_quant(c->g, n, &q)) return false;
    const KerbValue *w = kerb_node_input(c->g, n, 1), *b = kerb_node_input(c->g, n, 2);
    if (!kerb_int8_is_picture_value(&c->g->values[q.x.value]) || !kerb_int8_is_picture_value(&c->g->values[n->outputs[0]])) return false;
    /* Sums of so many products of 8 bits each stay in 32, with as much left for the bias. */
    if (w->dims[1] * w->dims[2] * w->dims[3] > (1 << 30) / (255 * 128)) return false;
    return (!b || b->dtype == KERB_F32) && kerb_cpu_act_known(c, &n->attrs.conv.act, (int)w->dims[0]);
}

static bool kerb_int8_takes_binary(const KerbCompiler *c, const KerbNode *n)
{
    KerbQuant a, b;
    const KerbBinary kind = n->attrs.binary.kind;
    if (kind != KERB_BINARY_ADD && kind != KERB_BINARY_SUB && kind != KERB_BINARY_MUL && kind != KERB_BINARY_MIN && kind != KERB_BINARY_MAX)
        return false;
    if (!kerb_int8_picture_source(c->g, n->inputs[0], &a) || !kerb_int8_picture_source(c->g, n->inputs[1], &b)) return false;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *z = kerb_node_input(c->g, n, 1), *y = &c->g->values[n->outputs[0]];
    const bool same = !memcmp(z->dims, y->dims, 4 * sizeof z->dims[0]);
    const bool by_channel = y->dims[0] == 1 && z->dims[0] == 1 && z->dims[1] == y->dims[1] && z->dims[2] == 1 && z->dims[3] == 1;
    return !memcmp(x->dims, y->dims, 4 * sizeof x->dims[0]) && (same || by_channel) &&
           kerb_cpu_act_known(c, &n->attrs.binary.act, (int)y->dims[1]);
}

static bool kerb_int8_takes_resize(const KerbCompiler *c, const KerbNode *n)
{
    KerbQuant x;
    return kerb_int8_picture_source(c->g, n->inputs[0], &x) && kerb_cpu_resizes(c, n);
}

static bool kerb_int8_takes_concat(const KerbCompiler *c, const KerbNode *n)
{
    KerbQuant x;
    if (n->attrs.axis != 1 && n->attrs.axis != -3) return false;
    for (int i = 0; i < n->n_inputs; i++) {
        if (!kerb_int8_picture_source(c->g, n->inputs[i], &x)) return false;
    }
    return true;
}

/* Kinds that are taken only between integers. */
static KerbInt8Kind kerb_int8_kind_between(KerbCompiler *c, const KerbNode *n)
{
    KerbQuant x;
    if (!kerb_int8_is_picture_value(&c->g->values[n->outputs[0]])) return KERB_INT8_NONE;
    switch (n->op) {
    case KERB_OP_MAX_POOL:
        return kerb_int8_picture_source(c->g, n->inputs[0], &x) && kerb_cpu_pools(c, n) ? KERB_INT8_POOL : KERB_INT8_NONE;
    case KERB_OP_RESIZE: return kerb_int8_takes_resize(c, n) ? KERB_INT8_RESIZE : KERB_INT8_NONE;
    case KERB_OP_AVERAGE_POOL: return kerb_int8_takes_average(c->g, n) ? KERB_INT8_AVERAGE : KERB_INT8_NONE;
    case KERB_OP_CONCAT: return kerb_int8_takes_concat(c, n) ? KERB_INT8_CONCAT : KERB_INT8_NONE;
    case KERB_OP_BINARY: return kerb_int8_takes_binary(c, n) ? KERB_INT8_BINARY : KERB_INT8_NONE;
    default: return KERB_INT8_NONE;
    }
}

/* ---- tables ---- */

/* The one input of the node that is no constant, where it computes y[i] from x[i] and numbers only; -1: no such node. */
static int kerb_int8_variable(const KerbGraph *g, const KerbNode *n)
{
    const KerbActivation *act = n->op == KERB_OP_BINARY ? &n->attrs.binary.act : NULL;
    int variable = -1;
    if (n->n_outputs != 1 || (n->op != KERB_OP_UNARY && n->op != KERB_OP_CLIP && n->op != KERB_OP_BINARY)) return -1;
    if ((act && act->kind == KERB_ACT_PRELU) || g->values[n->outputs[0]].dtype != KERB_F32) return -1;
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(g, n, i);
        if (!v) continue;
        int64_t elements;
        if (!kerb_value_is_constant(v)) {
            if (variable >= 0 || v->dtype != KERB_F32) return -1;
            variable = i;
        } else if (!kerb_dims_elements(v->rank, v->dims, 0, &elements) || elements != 1) {
            return -1;
        }
    }
    return variable >= 0 && g->values[n->inputs[variable]].rank == g->values[n->outputs[0]].rank ? variable : -1;
}

/* Nodes from a DequantizeLinear to QuantizeLinear `q` that a table and moves do; only that requantises has none. */
static bool kerb_int8_table_chain(const KerbCompiler *c, int q, KerbInt8Chain *chain)
{
    uint32_t at = c->g->nodes[q].inputs[0];
    bool functions = false;
    chain->n = 0;
    while (!kerb_quant_source(c->g, at, &chain->from)) {
        const uint32_t producer = c->g->values[at].producer;
        if (producer == KERB_NO_NODE || chain->n == KERB_INT8_CHAIN || c->readers[at] != 1) return false;
        if (c->fused_into[producer] != KERB_NO_NODE && c->fused_into[producer] != (uint32_t)q) return false;
        const KerbNode *n = &c->g->nodes[producer];
        const bool moves = kerb_int8_moves(c->g, n);
        const int variable = moves ? 0 : kerb_int8_variable(c->g, n);
        if (variable < 0 || (n->op == KERB_OP_PAD && functions)) return false; /* the table comes first: it would not see the padding */
        functions = functions || !moves;
        chain->nodes[chain->n++] = producer;
        at = n->inputs[variable];
    }
    return kerb_int8_is_tensor(&c->g->values[chain->from.value]);
}

static void kerb_int8_plan_table(KerbCompiler *c, int q)
{
    KerbQuant to;
    KerbInt8Chain chain;
    if (!kerb_quant_of(c->g, &c->g->nodes[q], &to) || !kerb_int8_is_tensor(&c->g->values[to.value]) || !kerb_int8_table_chain(c, q, &chain)) return;
    c->int8[q] = KERB_INT8_TABLE;
    for (int i = 0; i < chain.n; i++) {
        c->int8[chain.nodes[i]] = kerb_int8_moves(c->g, &c->g->nodes[chain.nodes[i]]) ? KERB_INT8_MOVE : KERB_INT8_TABLE;
        c->fused_into[chain.nodes[i]] = (uint32_t)q;
    }
}

/* ---- moves ---- */

/* The QuantizeLinear that follows the node, perhaps after nodes that move its result (`moves`, the last first), and nobody else reads any of it. */
static uint32_t kerb_int8_target(const KerbCompiler *c, const KerbNode *n, KerbQuant *to, KerbInt8Chain *moves)
{
    uint32_t target;
    moves->n = 0;
    moves->from.value = KERB_NO_VALUE;
    while ((target = kerb_quant_target(c->g, n, c->readers, c->reader, to)) == KERB_NO_NODE) {
        const uint32_t y = n->outputs[0];
        if (n->n_outputs != 1 || c->readers[y] != 1 || moves->n == KERB_INT8_CHAIN) return KERB_NO_NODE;
        n = &c->g->nodes[c->reader[y]];
        if (!kerb_int8_moves(c->g, n) || n->inputs[0] != y) return KERB_NO_NODE;
        memmove(moves->nodes + 1, moves->nodes, (size_t)moves->n++ * sizeof *moves->nodes);
        moves->nodes[0] = c->reader[y];
    }
    return target;
}

/* ---- all nodes ---- */

/* A DequantizeLinear whose every reader takes the integers has nothing to do: the last of them retires it. */
static void kerb_int8_skip_dequantizers(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        KerbQuant q;
        if (n->dead || n->op != KERB_OP_DEQUANTIZE || !kerb_quant_of(c->g, n, &q)) continue;
        bool needed = c->readers[n->outputs[0]] >= KERB_READERS_KEPT || c->readers[n->outputs[0]] < 1;
        uint32_t last = 0;
        for (int j = 0; j < c->g->n_nodes && !needed; j++) {
            const KerbNode *r = &c->g->nodes[j];
            for (int k = 0; k < r->n_inputs && !r->dead; k++) {
                if (r->inputs[k] != n->outputs[0]) continue;
                const uint32_t done_at = c->fused_into[j] == KERB_NO_NODE ? (uint32_t)j : c->fused_into[j];
                needed = needed || c->int8[j] == KERB_INT8_NONE;
                if (done_at > last) last = done_at;
            }
        }
        if (!needed) c->fused_into[i] = last;
    }
}

/* A concatenation's inputs are written into slices of its integers where they mean the same there. */
static void kerb_int8_plan_slots(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    int64_t channel = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        KerbQuant x;
        kerb_quant_source(c->g, n->inputs[i], &x);
        const KerbValue *v = &c->g->values[x.value];
        if (kerb_quant_same(&x, to) && v->producer != KERB_NO_NODE && c->slot[x.value] == KERB_NO_VALUE &&
            c->readers[x.value] < KERB_READERS_KEPT) {
            c->slot[x.value] = to->value;
            c->slot_channel[x.value] = channel;
        }
        channel += v->dims[1];
    }
}

KerbStatus kerb_int8_plan(KerbCompiler *c)
{
    int convolutions = 0;
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        KerbQuant to;
        KerbInt8Chain moves;
        if (n->dead || n->n_outputs < 1) continue;
        const uint32_t target = kerb_int8_target(c, n, &to, &moves);
        KerbInt8Kind kind = KERB_INT8_NONE;
        if (n->op == KERB_OP_CONV && kerb_int8_takes_conv(c, n))
            kind = KERB_INT8_CONV;
        else if (kerb_int8_takes_mean(c->g, n))
            kind = KERB_INT8_MEAN;
        else if (target != KERB_NO_NODE)
            kind = kerb_int8_kind_between(c, n);
        convolutions += kind == KERB_INT8_CONV;
        if (kind == KERB_INT8_NONE) continue;
        c->int8[i] = (uint8_t)kind;
        if (target == KERB_NO_NODE) continue;
        c->fused_into[i] = target;
        for (int k = 0; k < moves.n; k++) {
            c->int8[moves.nodes[k]] = KERB_INT8_MOVE;
            c->fused_into[moves.nodes[k]] = target;
        }
        if (kind == KERB_INT8_CONCAT && !moves.n) kerb_int8_plan_slots(c, n, &to);
    }
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        const uint32_t from = n->dead || n->op != KERB_OP_QUANTIZE ? KERB_NO_NODE : c->g->values[n->inputs[0]].producer;
        if (from != KERB_NO_NODE && c->fused_into[from] != (uint32_t)i) kerb_int8_plan_table(c, i);
    }
    kerb_int8_skip_dequantizers(c);
    if (convolutions) return KERB_OK;
    return kerb_fail(c->error, KERB_ERROR_ARGUMENT,
                     "precision int8 needs a quantised model, and no convolution of this one is: " KERB_QUANT_ADVICE
                     "; or choose precision auto");
}

/* ---- dispatch ---- */

static KerbStatus kerb_int8_compile_moved(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    KerbQuant from;
    KerbOperand o[2];
    kerb_quant_source(c->g, n->inputs[0], &from);
    KerbStatus status = kerb_int8_picture(c, from.value, &o[0]);
    if (!status) status = kerb_int8_place(c, to, &o[1]);
    if (status) return status;
    if (n->op == KERB_OP_RESIZE) return kerb_cpu_emit_resize(c, n, o, &from, to);
    if ((status = kerb_cpu_emit_max_pool(c, n, o)) || kerb_quant_same(&from, to)) return status;
    uint8_t table[256];
    kerb_int8_requantise(&from, to, table); /* rising, so the largest stays it */
    return kerb_int8_look_up(c, n, NULL, &o[1], table);
}

/* QuantizeLinear and DequantizeLinear as steps of their own. */
static KerbStatus kerb_int8_compile_conversion(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbQuant q;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *y = &c->g->values[n->outputs[0]];
    const bool back = n->op == KERB_OP_DEQUANTIZE;
    if (!kerb_quant_of(c->g, n, &q) || (back ? y->dtype : x->dtype) != KERB_F32 || !x->rank) return KERB_OK;
    KerbOperand o[2];
    KerbStatus status = KERB_OK;
    o[0] = kerb_cpu_value(c, n->inputs[0]);
    if (x->rank == 4)
        status = back ? kerb_int8_picture(c, n->inputs[0], &o[0]) : kerb_cpu_picture(c, n->inputs[0], KERB_F32, &o[0]);
    else if (!kerb_tensor_is_dense(&o[0].t) || (!back && o[0].t.dtype != KERB_F32))
        return KERB_OK;
    if (!status) status = kerb_cpu_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    *done = true;
    if (!kerb_cpu_is_channels_last(&o[1].t) != !kerb_cpu_is_channels_last(&o[0].t) || o[1].t.dtype == KERB_BF16) {
        KerbOperand own = o[0]; /* the picture's layout, converted; then copied */
        own.t = kerb_tensor_channels_last(NULL, back ? KERB_F32 : q.dtype, x->rank, x->dims, x->rank == 4 ? x->dims[1] : 1);
        if ((status = kerb_cpu_temporary(c, &own.t, &own)) || (status = kerb_int8_convert(c, n, &o[0], &own, &q, back))) return status;
        return kerb_cpu_copy(c, n, &own, &o[1]);
    }
    return kerb_int8_convert(c, n, &o[0], &o[1], &q, back);
}

/* The node's integers as `to` says. */
static KerbStatus kerb_int8_compile_made(KerbCompiler *c, const KerbNode *n, KerbInt8Kind kind, const KerbQuant *to)
{
    switch (kind) {
    case KERB_INT8_CONV: return kerb_int8_compile_conv(c, n, to);
    case KERB_INT8_MEAN: return kerb_int8_compile_mean(c, n, to);
    case KERB_INT8_AVERAGE: return kerb_int8_compile_average(c, n, to);
    case KERB_INT8_BINARY: return kerb_int8_compile_binary(c, n, to);
    case KERB_INT8_CONCAT: return kerb_int8_compile_concat(c, n, to);
    default: return kerb_int8_compile_moved(c, n, to);
    }
}

/* A QuantizeLinear with the node `from` before it, and what moves between. */
static KerbStatus kerb_int8_compile_target(KerbCompiler *c, uint32_t from, const KerbQuant *to)
{
    KerbInt8Chain moves = {.n = 0};
    while (c->int8[from] == KERB_INT8_MOVE) {
        moves.nodes[moves.n++] = from;
        from = c->g->values[c->g->nodes[from].inputs[0]].producer;
    }
    const KerbNode *n = &c->g->nodes[from];
    KerbQuant made = *to;
    if (moves.n) made.value = n->outputs[0];
    KerbStatus status = kerb_int8_compile_made(c, n, (KerbInt8Kind)c->int8[from], &made);
    if (status || !moves.n) return status;
    const KerbOperand x = kerb_cpu_value(c, made.value);
    return kerb_int8_compile_moves(c, &moves, &x, to);
}

KerbStatus kerb_cpu_compile_int8(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const KerbInt8Kind own = (KerbInt8Kind)c->int8[c->node];
    if (own == KERB_INT8_CONV || own == KERB_INT8_MEAN) {
        *done = true;
        return own == KERB_INT8_CONV ? kerb_int8_compile_conv(c, n, NULL) : kerb_int8_compile_mean(c, n, NULL);
    }
    if (n->op != KERB_OP_QUANTIZE && n->op != KERB_OP_DEQUANTIZE) return KERB_OK;
    const uint32_t from = c->g->values[n->inputs[0]].producer;
    const bool fused = n->op == KERB_OP_QUANTIZE && from != KERB_NO_NODE && c->fused_into[from] == (uint32_t)c->node;
    if (own != KERB_INT8_TABLE && !fused) return kerb_int8_compile_conversion(c, n, done);
    KerbQuant to;
    KerbInt8Chain chain;
    *done = true;
    kerb_quant_of(c->g, n, &to);
    if (own != KERB_INT8_TABLE) return kerb_int8_compile_target(c, from, &to);
    kerb_int8_table_chain(c, c->node, &chain); /* as the plan found it */
    return kerb_int8_compile_table(c, n, &chain, &to);
}
