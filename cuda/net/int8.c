/* SPDX-License-Identifier: MIT */
/* Integer chains of quantised models (QDQ): which nodes work on i8 directly. DequantizeLinear -> node -> QuantizeLinear becomes one step
 * over integers where the quantisation is symmetric (i8, zero point 0, one scale a tensor; weights one or one a channel):
 *
 *   Conv [+ bias, activation]          scales by channel; read as floats or quantised
 *   MaxPool, Resize (nearest), Concat  where all scales agree: integers are moved as they are
 *   Add, activations, BatchNormalization's leftovers   the finish kernel: y = act(x * sx + z * sz) / sy
 *
 * Everything else sees what DequantizeLinear makes of the integers, in the precision's float type. */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"
#include "cuda/net/problem.h"

/* ---- what the graph says ---- */

/* Symmetric quantisation by tensor: i8, zero point 0. */
static bool kerb_int8_symmetric(const KerbGraph *g, const KerbQuant *q)
{
    return q->dtype == KERB_I8 && q->zero == 0 && kerb_cuda_lies_as_picture(g, q->value);
}

static uint32_t kerb_int8_input(const KerbNode *n, int i)
{
    return i < n->n_inputs ? n->inputs[i] : KERB_NO_VALUE;
}

/* The integers that the value is made of by a DequantizeLinear, or KERB_NO_VALUE. */
static uint32_t kerb_int8_source(const KerbGraph *g, uint32_t value, float *scale)
{
    KerbQuant q;
    *scale = 1; /* of what is no integer */
    if (!kerb_quant_source(g, value, &q) || !kerb_int8_symmetric(g, &q)) return KERB_NO_VALUE;
    *scale = q.scale;
    return q.value;
}

/* The QuantizeLinear that is the only reader of the node's only result, or KERB_NO_NODE. */
static uint32_t kerb_int8_target(const KerbCompiler *c, const KerbNode *n, float *scale)
{
    KerbQuant q;
    *scale = 1;
    const uint32_t target = kerb_quant_target(c->g, n, c->readers, c->reader, &q);
    if (target == KERB_NO_NODE || !kerb_int8_symmetric(c->g, &q)) return KERB_NO_NODE;
    *scale = q.scale;
    return target;
}

/* ---- which nodes ---- */

static KerbInt8Kind kerb_int8_kind_of_conv(const KerbCompiler *c, const KerbNode *n)
{
    KerbConvQuant q;
    const KerbValue *b = kerb_node_input(c->g, n, 2);
    if (!kerb_conv_quant(c->g, n, &q) || !kerb_int8_symmetric(c->g, &q.x)) return KERB_INT8_NONE;
    return b && (!kerb_value_is_constant(b) || b->dtype != KERB_F32) ? KERB_INT8_NONE : KERB_INT8_CONV;
}

/* Nodes that move numbers: all scales are one. */
static bool kerb_int8_scales_agree(const KerbCompiler *c, const KerbNode *n, int n_inputs, float target)
{
    for (int i = 0; i < n_inputs; i++) {
        float scale;
        if (kerb_int8_source(c->g, n->inputs[i], &scale) == KERB_NO_VALUE || scale != target) return false;
    }
    return true;
}

static KerbInt8Kind kerb_int8_kind_of_quantised(const KerbCompiler *c, const KerbNode *n, float target)
{
    float scale;
    const KerbResizeAttrs *r = &n->attrs.resize;
    const int64_t axis = n->attrs.axis;
    switch (n->op) {
    case KERB_OP_MAX_POOL: return kerb_int8_scales_agree(c, n, 1, target) ? KERB_INT8_POOL : KERB_INT8_NONE;
    case KERB_OP_RESIZE:
        if (r->mode != KERB_RESIZE_NEAREST || r->coordinates == KERB_COORD_TF_CROP_AND_RESIZE) return KERB_INT8_NONE;
        if (c->g->values[n->outputs[0]].dims[1] != kerb_node_input(c->g, n, 0)->dims[1]) return KERB_INT8_NONE;
        return kerb_int8_scales_agree(c, n, 1, target) ? KERB_INT8_RESIZE : KERB_INT8_NONE;
    case KERB_OP_CONCAT:
        return (axis == 1 || axis == -3) && kerb_int8_scales_agree(c, n, n->n_inputs, target) ? KERB_INT8_CONCAT : KERB_INT8_NONE;
    case KERB_OP_BINARY: {
        const KerbValue *a = kerb_node_input(c->g, n, 0), *b = kerb_node_input(c->g, n, 1);
        bool same = n->attrs.binary.kind == KERB_BINARY_ADD && n->attrs.binary.act.kind != KERB_ACT_PRELU && a->rank == 4 && b->rank == 4;
        same = same && !memcmp(a->dims, b->dims, 4 * sizeof a->dims[0]);
        same = same && kerb_int8_source(c->g, n->inputs[0], &scale) != KERB_NO_VALUE &&
               kerb_int8_source(c->g, n->inputs[1], &scale) != KERB_NO_VALUE;
        return same ? KERB_INT8_FINISH : KERB_INT8_NONE;
    }
    case KERB_OP_UNARY: return kerb_int8_source(c->g, n->inputs[0], &scale) != KERB_NO_VALUE ? KERB_INT8_FINISH : KERB_INT8_NONE;
    default: return KERB_INT8_NONE;
    }
}

/* Nodes whose every reader takes the integers. */
static void kerb_int8_skip_dequantizers(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        float scale;
        if (n->dead || n->op != KERB_OP_DEQUANTIZE || kerb_int8_source(c->g, n->outputs[0], &scale) == KERB_NO_VALUE) continue;
        bool needed = c->readers[n->outputs[0]] >= KERB_READERS_KEPT;
        for (int j = 0; j < c->g->n_nodes && !needed; j++) {
            const KerbNode *r = &c->g->nodes[j];
            for (int k = 0; k < r->n_inputs && !r->dead; k++) {
                if (r->inputs[k] != n->outputs[0]) continue;
                /* A convolution's residual is taken as integers only where its result is. */
                needed = needed || c->int8[j] == KERB_INT8_NONE || (k == 3 && c->fused_into[j] == KERB_NO_NODE);
            }
        }
        c->skipped[i] = !needed;
    }
}

/* A concatenation's inputs are written into slices of its integers, under the same rules as floats. */
static void kerb_int8_plan_slots(KerbCompiler *c, const KerbNode *n, uint32_t target)
{
    const int64_t unit = kerb_cuda_pitch_unit(KERB_I8);
    int64_t channel = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        float scale;
        const uint32_t x = kerb_int8_source(c->g, n->inputs[i], &scale);
        const int64_t channels = c->g->values[x].dims[1];
        const bool fits = channel % unit == 0 && (channels % unit == 0 || i == n->n_inputs - 1);
        if (fits && c->g->values[x].producer != KERB_NO_NODE && c->slot[x] == KERB_NO_VALUE && c->readers[x] < KERB_READERS_KEPT) {
            c->slot[x] = target;
            c->slot_channel[x] = channel;
        }
        channel += channels;
    }
}

KerbStatus kerb_cuda_plan_int8(KerbCompiler *c)
{
    int convolutions = 0;
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        float scale;
        if (n->dead || n->n_outputs < 1) continue;
        const uint32_t target = kerb_int8_target(c, n, &scale);
        if (n->op == KERB_OP_CONV && kerb_cuda_lies_as_picture(c->g, n->outputs[0])) c->int8[i] = (uint8_t)kerb_int8_kind_of_conv(c, n);
        if (n->op != KERB_OP_CONV && target != KERB_NO_NODE) c->int8[i] = (uint8_t)kerb_int8_kind_of_quantised(c, n, scale);
        if (c->int8[i] == KERB_INT8_NONE) continue;
        convolutions += c->int8[i] == KERB_INT8_CONV;
        if (target == KERB_NO_NODE) continue;
        c->fused_into[i] = target;
        if (c->int8[i] == KERB_INT8_CONCAT) kerb_int8_plan_slots(c, n, c->g->nodes[target].outputs[0]);
    }
    kerb_int8_skip_dequantizers(c);
    if (convolutions) return KERB_OK;
    return kerb_fail(
        c->error, KERB_ERROR_ARGUMENT,
        "precision int8 needs a quantised model, and no convolution of this one is: " KERB_QUANT_ADVICE " (with --signed: "
        "GPUs take i8, symmetric, weights one scale a channel), or choose precision f16");
}

/* ---- steps ---- */

/* Integers of constant weights as floats, which is what packing takes; and the scales of the sums. */
static KerbStatus kerb_int8_weights(KerbCompiler *c, const KerbConvQuant *q, int channels, float **weights, float **scale)
{
    const KerbTensor src = kerb_value_tensor(&c->g->values[q->w]), from = kerb_value_tensor(&c->g->values[q->w_scale]);
    KerbTensor dst = kerb_tensor(NULL, KERB_F32, src.rank, src.dims);
    *weights = dst.data = kerb_cuda_bytes(c, kerb_tensor_bytes(&dst));
    *scale = kerb_cuda_bytes(c, (size_t)channels * sizeof **scale);
    if (!*weights || !*scale) return KERB_ERROR_MEMORY;
    kerb_tensor_copy(&dst, &src);
    const bool one = kerb_tensor_elements(&from) == 1;
    for (int i = 0; i < channels; i++) (*scale)[i] = q->x.scale * (float)kerb_tensor_get(&from, one ? 0 : i);
    return KERB_OK;
}

static KerbStatus kerb_int8_conv_operands(KerbCompiler *c, const KerbNode *n, const KerbConvQuant *q, KerbConvParts *parts)
{
    const bool quantised = c->fused_into[c->g->values[n->outputs[0]].producer] != KERB_NO_NODE;
    const uint32_t y = quantised ? q->y.value : n->outputs[0], residual = kerb_int8_input(n, 3);
    KerbStatus status = kerb_cuda_picture(c, q->x.value, KERB_I8, &parts->x);
    if (quantised) parts->y_scale = 1 / q->y.scale;
    if (!status && quantised && kerb_int8_symmetric(c->g, &q->z)) {
        parts->z_scale = q->z.scale;
        status = kerb_cuda_picture(c, q->z.value, KERB_I8, &parts->z);
    } else if (!status && residual != KERB_NO_VALUE) {
        status = kerb_cuda_picture(c, residual, kerb_cuda_type(c, n->outputs[0]), &parts->z);
    }
    return status ? status : kerb_cuda_place(c, y, &parts->y);
}

KerbStatus kerb_cuda_compile_int8_conv(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbConvQuant q;
    KerbConvParts parts = {.z = {.root = KERB_NO_ROOT}, .y_scale = 1, .z_scale = 1};
    float *weights = NULL, *scale = NULL, *bias = NULL;
    kerb_conv_quant(c->g, n, &q);
    KerbStatus status = kerb_int8_conv_operands(c, n, &q, &parts);
    if (!status) status = kerb_int8_weights(c, &q, (int)parts.y.t.dims[1], &weights, &scale);
    if (!status && kerb_node_input(c->g, n, 2)) status = kerb_cuda_floats(c, n->inputs[2], 0, &bias);
    parts.weights = weights;
    parts.scale = scale;
    parts.bias = bias;
    if (!status) status = kerb_cuda_emit_conv(c, n, &parts, done);
    kerb_free(&weights);
    kerb_free(&scale);
    kerb_free(&bias);
    if (!status && *done) c->net->convolutions++;
    if (!status && !*done)
        status = kerb_fail(c->error, KERB_ERROR_INTERNAL, "an integer convolution that no kernel takes: please report this");
    return status;
}

/* y = act(x * sx + z * sz) / sy, on integers. */
static KerbStatus kerb_int8_finish(KerbCompiler *c, const KerbNode *n, const KerbOperand *y, float y_scale)
{
    KerbOperand o[3] = {{.root = KERB_NO_ROOT}, *y, {.root = KERB_NO_ROOT}};
    KerbFinishArgs args = {.z_scale = 1, .y_scale = y_scale};
    const bool two = n->op == KERB_OP_BINARY;
    KerbActivation unary = {
        .kind = KERB_ACT_UNARY, .unary = n->attrs.unary.kind, .alpha = n->attrs.unary.alpha, .beta = n->attrs.unary.beta};
    float x_scale;
    KerbStatus status = kerb_cuda_picture(c, kerb_int8_source(c->g, n->inputs[0], &x_scale), KERB_I8, &o[0]);
    if (!status && two) status = kerb_cuda_picture(c, kerb_int8_source(c->g, n->inputs[1], &args.z_scale), KERB_I8, &o[2]);
    if (status) return status;
    const size_t channels = ((size_t)y->t.dims[1] + 15) / 16 * 16;
    float *scale = kerb_cuda_bytes(c, channels * sizeof *scale);
    if (!scale) return KERB_ERROR_MEMORY;
    for (size_t i = 0; i < channels; i++) scale[i] = x_scale;
    args.scale = kerb_cuda_block(c, scale, channels * sizeof *scale);
    kerb_free(&scale);
    if (!args.scale) return kerb_cuda_failed(c);
    args.x = kerb_cuda_as_picture(&o[0]);
    args.y = kerb_cuda_as_picture(&o[1]);
    if (two) args.z = kerb_cuda_as_picture(&o[2]);
    args.act = kerb_fused(two ? &n->attrs.binary.act : &unary);
    const KerbPatch patches[3] = {
        {offsetof(KerbFinishArgs, x.data), 0}, {offsetof(KerbFinishArgs, y.data), 1}, {offsetof(KerbFinishArgs, z.data), 2}};
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_finish, &args, o, 3, patches, 3);
    if (step) kerb_cuda_label(c, step, "%s int8", kerb_node_kind(n));
    return step ? KERB_OK : KERB_ERROR_MEMORY;
}

/* What has not been written into its slice goes there now; then the channels after the last one. */
static KerbStatus kerb_int8_concat(KerbCompiler *c, const KerbNode *n, uint32_t target, const KerbOperand *y)
{
    int64_t at = 0;
    bool whole = false;
    for (int i = 0; i < n->n_inputs; i++) {
        float scale;
        const uint32_t id = kerb_int8_source(c->g, n->inputs[i], &scale);
        KerbStatus status = kerb_cuda_concat_slice(c, n, id, target, y, 1, at, &whole);
        if (status) return status;
        at += c->g->values[id].dims[1];
    }
    return whole ? KERB_OK : kerb_cuda_zero_padding(c, n, y);
}

KerbStatus kerb_cuda_compile_int8(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_QUANTIZE) return KERB_OK;
    const uint32_t from = c->g->values[n->inputs[0]].producer, target = n->outputs[0];
    if (from == KERB_NO_NODE || c->fused_into[from] != (uint32_t)c->node) return KERB_OK;
    const KerbNode *f = &c->g->nodes[from];
    const KerbInt8Kind kind = (KerbInt8Kind)c->int8[from];
    *done = true;
    if (kind == KERB_INT8_CONV) {
        c->convolutions++;
        if (c->options->progress) c->options->progress(c->options->progress_user, "compiling", c->convolutions, c->all_convolutions);
        return kerb_cuda_compile_int8_conv(c, f, done);
    }
    KerbOperand x, y = c->values[target];
    float x_scale, y_scale;
    KerbStatus status = y.t.dtype == KERB_DTYPE_NONE ? kerb_cuda_place(c, target, &y) : KERB_OK;
    if (status) return status;
    kerb_int8_target(c, f, &y_scale);
    if (kind == KERB_INT8_FINISH) return kerb_int8_finish(c, f, &y, 1 / y_scale);
    if (kind == KERB_INT8_CONCAT) return kerb_int8_concat(c, f, target, &y);
    if ((status = kerb_cuda_picture(c, kerb_int8_source(c->g, f->inputs[0], &x_scale), KERB_I8, &x))) return status;
    status = kind == KERB_INT8_POOL ? kerb_cuda_emit_pool(c, f, &x, &y, done) : kerb_cuda_emit_resize(c, f, &x, &y, done);
    if (!status && !*done) status = kerb_fail(c->error, KERB_ERROR_INTERNAL, "integers that no kernel takes: please report this");
    return status;
}
