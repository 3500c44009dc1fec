/* SPDX-License-Identifier: MIT */
/* Nodes that only move numbers about (Reshape, Transpose, Slice, pixel shuffles, Pad with one number) between integers and a QuantizeLinear. Rounding
 * before such a node is rounding behind it, so they move the integers that the QuantizeLinear asks for. What makes those is int8_plan.c's. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/int8.h"
#include "net/views.h"

/* ---- which nodes ---- */

/* The pads of a Pad with one number, none negative, of pictures. */
static bool kerb_int8_pads(const KerbGraph *g, const KerbNode *n, int64_t pads[8], float *number)
{
    const KerbValue *value = kerb_node_input(g, n, 2);
    *number = 0;
    if (n->attrs.pad.mode != KERB_PADDING_CONSTANT || kerb_node_input(g, n, 0)->rank != 4 || kerb_node_input(g, n, 3)) return false;
    if (kerb_value_integers(kerb_node_input(g, n, 1), pads, 8) != 8 || (value && kerb_value_floats(value, number, 1) != 1)) return false;
    for (int i = 0; i < 8; i++) {
        if (pads[i] < 0) return false;
    }
    return true;
}

bool kerb_int8_moves(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *x = n->n_inputs > 0 ? kerb_node_input(g, n, 0) : NULL, *y = &g->values[n->outputs[0]];
    KerbTensor t, view;
    int64_t offset, pads[8];
    float number;
    if (!x || n->n_outputs != 1 || !kerb_int8_is_tensor(x) || !kerb_int8_is_tensor(y)) return false;
    switch (n->op) {
    case KERB_OP_RESHAPE:
    case KERB_OP_FLATTEN:
    case KERB_OP_SQUEEZE:
    case KERB_OP_UNSQUEEZE: return true;
    case KERB_OP_TRANSPOSE:
    case KERB_OP_SLICE: t = kerb_tensor(NULL, KERB_U8, x->rank, x->dims); return kerb_node_view(g, n, 0, &t, &view, &offset);
    case KERB_OP_DEPTH_TO_SPACE:
    case KERB_OP_SPACE_TO_DEPTH: return x->rank == 4;
    case KERB_OP_PAD: return kerb_int8_pads(g, n, pads, &number);
    default: return false;
    }
}

/* ---- steps ---- */

static KerbStatus kerb_int8_fill_run(KerbNet *net, KerbStep *step)
{
    const KerbTensor *t = &step->operands[0].t;
    const uint8_t number = *(const uint8_t *)step->state;
    const int64_t pixels = t->dims[0] * t->dims[2] * t->dims[3];
    if (t->strides[3] == t->dims[1]) {
        memset(t->data, number, (size_t)(pixels * t->dims[1]));
        return KERB_OK;
    }
    for (int64_t i = 0; i < pixels; i++) memset((char *)t->data + i * t->strides[3], number, (size_t)t->dims[1]);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_fill_step = {"int8 fill", NULL, kerb_int8_fill_run, NULL};

static KerbStatus kerb_int8_pad(KerbCompiler *c, const KerbNode *n, const KerbQuant *to, const KerbOperand *x, const KerbOperand *y)
{
    int64_t pads[8];
    float number;
    kerb_int8_pads(c->g, n, pads, &number);
    KerbStep *step = kerb_cpu_step(c, &kerb_int8_fill_step, n, y, 1, 0);
    uint8_t *filled = kerb_cpu_object(c, 1);
    if (!step || !filled) return KERB_ERROR_MEMORY;
    *filled = kerb_int8_quantised(number, to);
    step->state = filled;
    KerbOperand middle = *y;
    for (int i = 0; i < 4; i++) middle.offset += (size_t)(pads[i] * y->t.strides[i]);
    memcpy(middle.t.dims, x->t.dims, 4 * sizeof x->t.dims[0]);
    return kerb_cpu_copy(c, n, x, &middle);
}

KerbStatus kerb_int8_dense(KerbCompiler *c, const KerbNode *n, KerbOperand *x)
{
    const KerbOperand from = *x;
    const KerbTensor t = kerb_tensor(NULL, from.t.dtype, from.t.rank, from.t.dims);
    KerbStatus status = kerb_cpu_temporary(c, &t, x);
    return status ? status : kerb_cpu_copy(c, n, &from, x);
}

/* Moves *x, which is then what node n gives; where that copies, into the memory of value `place` (*placed), unless this is KERB_NO_VALUE. */
static KerbStatus kerb_int8_move(KerbCompiler *c, const KerbNode *n, const KerbQuant *to, uint32_t place, KerbOperand *x, bool *placed)
{
    const KerbValue *v = &c->g->values[n->outputs[0]];
    const KerbOperand from = *x;
    KerbStatus status;
    int64_t offset;
    switch (n->op) {
    case KERB_OP_TRANSPOSE:
    case KERB_OP_SLICE:
        kerb_node_view(c->g, n, 0, &from.t, &x->t, &offset);
        x->offset += (size_t)offset;
        if (x->root == KERB_NO_ROOT) x->t.data = (char *)from.t.data + offset;
        return KERB_OK;
    case KERB_OP_DEPTH_TO_SPACE:
    case KERB_OP_SPACE_TO_DEPTH:
    case KERB_OP_PAD: {
        const KerbTensor t = kerb_tensor_channels_last(NULL, from.t.dtype, 4, v->dims, v->dims[1]);
        *placed = place != KERB_NO_VALUE;
        status = *placed ? kerb_cpu_place(c, place, x) : kerb_cpu_temporary(c, &t, x);
        if (status) return status;
        return n->op == KERB_OP_PAD ? kerb_int8_pad(c, n, to, &from, x) : kerb_cpu_emit_shuffle(c, n, &from, x);
    }
    default:
        if (kerb_tensor_reshaped(&from.t, v->rank, v->dims, &x->t)) return KERB_OK;
        *x = from;
        if ((status = kerb_int8_dense(c, n, x))) return status;
        x->t = kerb_tensor(NULL, x->t.dtype, v->rank, v->dims);
        return KERB_OK;
    }
}

KerbStatus kerb_int8_compile_moves(KerbCompiler *c, const KerbInt8Chain *chain, const KerbOperand *x, const KerbQuant *to)
{
    const KerbNode *last = NULL;
    KerbOperand at = *x, y;
    bool placed = false;
    int moves = 0;
    for (int i = 0; i < chain->n; i++) moves += c->int8[chain->nodes[i]] == KERB_INT8_MOVE;
    for (int i = chain->n - 1; i >= 0; i--) {
        if (c->int8[chain->nodes[i]] != KERB_INT8_MOVE) continue;
        last = &c->g->nodes[chain->nodes[i]];
        KerbStatus status = kerb_int8_move(c, last, to, --moves ? KERB_NO_VALUE : to->value, &at, &placed);
        if (status) return status;
    }
    if (placed) return KERB_OK;
    if (c->slot[to->value] == KERB_NO_VALUE && (at.t.rank == 4 ? kerb_cpu_is_channels_last(&at.t) : kerb_tensor_is_dense(&at.t))) {
        const KerbTensor view = at.t;
        kerb_cpu_alias(c, to->value, &at, &view, at.offset);
        return KERB_OK;
    }
    KerbStatus status = kerb_cpu_place(c, to->value, &y);
    return status ? status : kerb_cpu_copy(c, last, &at, &y);
}

KerbStatus kerb_int8_place(KerbCompiler *c, const KerbQuant *to, KerbOperand *out)
{
    const KerbValue *v = &c->g->values[to->value];
    if (v->dtype == to->dtype) return kerb_cpu_place(c, to->value, out);
    const KerbTensor t = v->rank == 4 ? kerb_tensor_channels_last(NULL, to->dtype, 4, v->dims, v->dims[1]) : kerb_tensor(NULL, to->dtype, v->rank, v->dims);
    KerbStatus status = kerb_cpu_temporary(c, &t, out);
    if (!status) kerb_cpu_alias(c, to->value, out, &t, 0);
    return status;
}
