/* SPDX-License-Identifier: MIT */
/* Concatenation. Inputs along the channels of pictures are, where possible, written by their producers straight into the slice of the result's
 * memory, so that nothing is left to do. */
#include <stddef.h>
#include <string.h>

#include "cuda/net/compile.h"

static bool kerb_concat_by_channels(const KerbCompiler *c, const KerbNode *n)
{
    if (n->op != KERB_OP_CONCAT || !kerb_cuda_lies_as_picture(c->g, n->outputs[0])) return false;
    return n->attrs.axis == 1 || n->attrs.axis == -3;
}

/* Slices begin at multiples of the pitch unit, and only the last one may end between two: what follows would not be aligned, and its channels would
 * be another's padding. Every value gets at most one slot. A slot's own concatenation may have a slot (DenseNet): kerb_cuda_place() follows. */
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
            const bool output = c->readers[x] >= INT_MAX / 4;
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
static KerbStatus kerb_concat_zero(KerbCompiler *c, const KerbNode *n, const KerbOperand *out)
{
    const int32_t padding = kerb_cuda_padding(out);
    if (!padding) return KERB_OK;
    KerbOperand rest = *out;
    rest.offset += (size_t)out->t.dims[1] * kerb_dtype_bytes(out->t.dtype);
    rest.t.dims[1] = padding;
    rest.loose = true;
    KerbCopyArgs args = {.value = 0};
    const KerbStrided y = kerb_cuda_as_strided(&rest), *const walked[1] = {&y};
    const KerbPatch patch = {offsetof(KerbCopyArgs, walk.of[0].data), 0};
    if (!kerb_walk(1, walked, 0, &args.walk)) return KERB_OK;
    return kerb_cuda_kernel(c, n, KERB_KERNEL_copy, &args, &rest, 1, &patch, 1) ? KERB_OK : KERB_ERROR_MEMORY;
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
    const bool by_channels = kerb_concat_by_channels(c, n);
    bool whole = false; /* the last slice's producer has written the padding */
    int64_t at = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        KerbOperand x, slice = out;
        if ((status = kerb_cuda_value(c, n->inputs[i], &x))) return status;
        slice.t.dims[axis] = x.t.dims[axis];
        slice.offset += (size_t)(at * out.t.strides[axis]) * kerb_dtype_bytes(out.t.dtype);
        slice.loose = true; /* exactly its channels are written: others may be there already */
        const bool there = by_channels && c->slot[n->inputs[i]] == y && c->slot_channel[n->inputs[i]] == at;
        if (!there && (status = kerb_cuda_copy(c, n, &x, &slice))) return status;
        whole = there;
        at += x.t.dims[axis];
    }
    return whole ? KERB_OK : kerb_concat_zero(c, n, &out);
}
