/* SPDX-License-Identifier: MIT */
/* Concatenation. Inputs along the channels of pictures are, where possible, written by their producers straight into the slice of the
 * result's memory, so that nothing is left to do. */
#include "cuda/net/compile.h"

static bool kerb_concat_by_channels(const KerbCompiler *c, const KerbNode *n)
{
    if (n->op != KERB_OP_CONCAT || !kerb_cuda_lies_as_picture(c->g, n->outputs[0])) return false;
    return n->attrs.axis == 1 || n->attrs.axis == -3;
}

/* Slices begin at multiples of the pitch unit, and only the last one may end between two: what follows would not be aligned, and its
 * channels would be another's padding. Every value gets at most one slot. A slot's own concatenation may have a slot (DenseNet):
 * kerb_cuda_place() follows. */
void kerb_cuda_plan_slots(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        if (n->dead || c->fused_into[i] != KERB_NO_NODE || !kerb_concat_by_channels(c, n)) continue;
        const int64_t unit = kerb_cuda_pitch_unit(kerb_cuda_type(c, n->outputs[0]));
        int64_t channel = 0;
        for (int j = 0; j < n->n_inputs; j++) {
            const uint32_t x = n->inputs[j];
            const KerbValue *v = &c->g->values[x];
            const bool output = c->readers[x] >= KERB_READERS_KEPT;
            const bool aligned = channel % unit == 0 && (v->dims[1] % unit == 0 || j == n->n_inputs - 1);
            if (aligned && v->producer != KERB_NO_NODE && !kerb_value_is_constant(v) && c->slot[x] == KERB_NO_VALUE && !output &&
                kerb_cuda_lies_as_picture(c->g, x)) {
                c->slot[x] = n->outputs[0];
                c->slot_channel[x] = channel;
            }
            channel += v->dims[1];
        }
    }
}

/* The channels after the last one, where no producer wrote them. */
KerbStatus kerb_cuda_zero_padding(KerbCompiler *c, const KerbNode *n, const KerbOperand *picture)
{
    const int32_t padding = kerb_cuda_padding(picture);
    if (!padding) return KERB_OK;
    KerbOperand rest = *picture;
    rest.offset += (size_t)picture->t.dims[1] * kerb_dtype_bytes(picture->t.dtype);
    rest.t.dims[1] = padding;
    rest.loose = true;
    KerbCopyArgs args = {.value = 0};
    bool fits;
    return kerb_cuda_walk_kernel(c, n, KERB_KERNEL_copy, &args, &rest, 1, &fits);
}

KerbStatus kerb_cuda_concat_slice(KerbCompiler *c, const KerbNode *n, uint32_t x, uint32_t y, const KerbOperand *out, int axis, int64_t at,
                                  bool *there)
{
    KerbOperand from, slice = *out;
    KerbStatus status = kerb_cuda_value(c, x, &from); /* what the host made goes to its place now */
    *there = c->slot[x] == y && c->slot_channel[x] == at;
    if (*there || status) return status;
    slice.t.dims[axis] = c->g->values[x].dims[axis];
    slice.offset += (size_t)(at * out->t.strides[axis]) * kerb_dtype_bytes(out->t.dtype);
    slice.loose = true; /* exactly its channels are written: others may be there already */
    return kerb_cuda_copy(c, n, &from, &slice);
}

KerbStatus kerb_cuda_compile_concat(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_CONCAT) return KERB_OK;
    *done = true;
    const uint32_t y = n->outputs[0];
    KerbOperand out;
    KerbStatus status = KERB_OK;
    if (c->values[y].t.dtype == KERB_DTYPE_NONE && (status = kerb_cuda_place(c, y, &out))) return status;
    out = c->values[y];
    const int64_t axis = n->attrs.axis < 0 ? n->attrs.axis + out.t.rank : n->attrs.axis;
    bool whole = false; /* the last slice's producer has written the padding */
    int64_t at = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        if ((status = kerb_cuda_concat_slice(c, n, n->inputs[i], y, &out, (int)axis, at, &whole))) return status;
        at += c->g->values[n->inputs[i]].dims[axis];
    }
    return whole ? KERB_OK : kerb_cuda_zero_padding(c, n, &out);
}
