/* SPDX-License-Identifier: MIT */
/* Concatenation. Inputs along the channels of pictures are, where possible, written by their producers straight into the slice of the
 * result's memory, so that nothing is left to do. */
#include "base/error.h"
#include "net/cpu/cpu.h"

static bool kerb_concat_by_channels(const KerbCompiler *c, const KerbNode *n)
{
    const KerbValue *y = &c->g->values[n->outputs[0]];
    int64_t axis = n->attrs.axis < 0 ? n->attrs.axis + y->rank : n->attrs.axis;
    return n->op == KERB_OP_CONCAT && y->rank == 4 && y->dtype == KERB_F32 && axis == 1;
}

/* Every value gets at most one slot. A slot's own concatenation may have a slot (DenseNet): kerb_cpu_place() follows. */
KerbStatus kerb_cpu_plan_slots(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        if (n->dead || c->int8[i] || !kerb_concat_by_channels(c, n)) continue;
        int64_t channel = 0;
        for (int j = 0; j < n->n_inputs; j++) {
            uint32_t x = n->inputs[j];
            const KerbValue *v = &c->g->values[x];
            bool output = c->readers[x] >= KERB_READERS_KEPT;
            if (v->producer != KERB_NO_NODE && !kerb_value_is_constant(v) && c->slot[x] == KERB_NO_VALUE && !output) {
                c->slot[x] = n->outputs[0];
                c->slot_channel[x] = channel;
            }
            channel += v->dims[1];
        }
    }
    return KERB_OK;
}

KerbStatus kerb_cpu_compile_concat(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_CONCAT) return KERB_OK;
    *done = true;
    uint32_t y = n->outputs[0];
    KerbOperand out;
    KerbStatus status = KERB_OK;
    if (c->values[y].t.dtype == KERB_DTYPE_NONE) status = kerb_cpu_place(c, y, &out);
    if (status) return status;
    out = c->values[y];
    int64_t axis = n->attrs.axis < 0 ? n->attrs.axis + out.t.rank : n->attrs.axis, at = 0;
    bool slots = kerb_concat_by_channels(c, n);
    for (int i = 0; i < n->n_inputs; i++) {
        KerbOperand x = kerb_cpu_value(c, n->inputs[i]), slice = out;
        slice.t.dims[axis] = x.t.dims[axis];
        slice.offset += (size_t)(at * out.t.strides[axis]) * kerb_dtype_bytes(out.t.dtype);
        bool there = slots && c->slot[n->inputs[i]] == y && c->slot_channel[n->inputs[i]] == at;
        if (!there && kerb_tensor_elements(&x.t) && (status = kerb_cpu_copy(c, n, &x, &slice))) return status;
        at += x.t.dims[axis];
    }
    return KERB_OK;
}
