/* SPDX-License-Identifier: MIT */
/* DepthToSpace and SpaceToDepth as copies between two views of six axes; padding as a fill and a copy into the middle. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"

/* The wide picture (n, c, h*b, w*b) seen as (n, c, h, b, w, b); the deep one (n, c*b*b, h, w) seen likewise. */
static void kerb_shuffle_views(const KerbTensor *wide, const KerbTensor *deep, int64_t b, bool crd, KerbTensor *from_wide,
                               KerbTensor *from_deep)
{
    const int64_t channels = wide->dims[1], h = deep->dims[2], w = deep->dims[3];
    const int64_t dims[6] = {wide->dims[0], channels, h, b, w, b};
    *from_wide = *wide;
    *from_deep = *deep;
    from_wide->rank = from_deep->rank = 6;
    memcpy(from_wide->dims, dims, sizeof dims);
    memcpy(from_deep->dims, dims, sizeof dims);
    const int64_t sw[6] = {wide->strides[0], wide->strides[1],     wide->strides[2] * b,
                           wide->strides[2], wide->strides[3] * b, wide->strides[3]};
    const int64_t unit = deep->strides[1], channel = crd ? b * b : 1, phase = crd ? 1 : channels;
    const int64_t sd[6] = {deep->strides[0], channel * unit, deep->strides[2], phase * b * unit, deep->strides[3], phase * unit};
    memcpy(from_wide->strides, sw, sizeof sw);
    memcpy(from_deep->strides, sd, sizeof sd);
}

KerbStatus kerb_cpu_emit_shuffle(KerbCompiler *c, const KerbNode *n, const KerbOperand *from, const KerbOperand *to)
{
    const bool to_space = n->op == KERB_OP_DEPTH_TO_SPACE;
    KerbOperand x = *from, y = *to;
    KerbTensor wide, deep;
    kerb_shuffle_views(to_space ? &y.t : &x.t, to_space ? &x.t : &y.t, n->attrs.block.size, n->attrs.block.crd, &wide, &deep);
    x.t = to_space ? deep : wide;
    y.t = to_space ? wide : deep;
    return kerb_cpu_copy(c, n, &x, &y);
}

KerbStatus kerb_cpu_compile_shuffle(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_DEPTH_TO_SPACE && n->op != KERB_OP_SPACE_TO_DEPTH) return KERB_OK;
    KerbOperand x = kerb_cpu_value(c, n->inputs[0]), y;
    if (x.t.rank != 4 || kerb_tensor_elements(&x.t) < 1) return KERB_OK;
    *done = true;
    KerbStatus status = kerb_cpu_place(c, n->outputs[0], &y);
    return status ? status : kerb_cpu_emit_shuffle(c, n, &x, &y);
}

/* ---- padding with a constant ---- */

typedef struct KerbFill {
    float value;
} KerbFill;
static KerbStatus kerb_fill_run(KerbNet *net, KerbStep *step)
{
    const KerbFill *f = step->state;
    KerbTensor *t = &step->operands[0].t;
    const int64_t pixels = t->dims[0] * t->dims[2] * t->dims[3];
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t i = 0; i < t->dims[1]; i++) {
            if (t->dtype == KERB_BF16)
                ((uint16_t *)t->data)[p * t->strides[3] + i] = kerb_f32_to_bf16(f->value);
            else
                ((float *)t->data)[p * t->strides[3] + i] = f->value;
        }
    }
    return KERB_OK;
}
static const KerbStepKind kerb_fill_step = {"fill", NULL, kerb_fill_run, NULL};

KerbStatus kerb_cpu_compile_pad(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_PAD || n->attrs.pad.mode != KERB_PADDING_CONSTANT) return KERB_OK;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *pads_value = kerb_node_input(c->g, n, 1), *value = kerb_node_input(c->g, n, 2);
    int64_t pads[8];
    float fill = 0;
    if (x->rank != 4 || x->dtype != KERB_F32 || kerb_node_input(c->g, n, 3) || !pads_value || kerb_value_integers(pads_value, pads, 8) != 8)
        return KERB_OK;
    if (value && kerb_value_floats(value, &fill, 1) != 1) return KERB_OK;
    for (int i = 0; i < 8; i++) {
        if (pads[i] < 0) return KERB_OK;
    }
    KerbOperand from = kerb_cpu_value(c, n->inputs[0]), y;
    if (kerb_tensor_elements(&from.t) < 1) return KERB_OK;
    *done = true;
    KerbStatus status = kerb_cpu_place(c, n->outputs[0], &y);
    if (status) return status;
    KerbStep *step = kerb_cpu_step(c, &kerb_fill_step, n, &y, 1, 0);
    KerbFill *f = kerb_cpu_object(c, sizeof *f);
    if (!step || !f) return KERB_ERROR_MEMORY;
    f->value = fill;
    step->state = f;
    size_t offset = 0;
    for (int i = 0; i < 4; i++) offset += (size_t)(pads[i] * y.t.strides[i]);
    KerbOperand middle = y;
    middle.offset += offset * kerb_dtype_bytes(y.t.dtype);
    memcpy(middle.t.dims, from.t.dims, sizeof from.t.dims[0] * 4);
    return kerb_cpu_copy(c, n, &from, &middle);
}
