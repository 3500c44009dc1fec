/* SPDX-License-Identifier: MIT */
/* Convolutions, with bias, residual and activation: by a plan of cuDNN's where it has one; depthwise ones and what is left by own kernels.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"
#include "cuda/net/problem.h"

/* ---- the step of a plan ---- */

typedef struct KerbPlanStep {
    const KerbConvPlan *plan;
    KerbConvPointers pointers;
    bool has_finish; /* cuDNN could not fuse everything: `finish` does the rest from the workspace */
    size_t finish_offset;
    KerbFinishArgs finish;
} KerbPlanStep;
enum { PLAN_X, PLAN_Y, PLAN_WORKSPACE, PLAN_Z, PLAN_OPERANDS };

static KerbStatus kerb_plan_step_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    KerbPlanStep *s = step->state;
    const KerbOperand *o = step->operands;
    s->pointers.x = o[PLAN_X].t.data;
    s->pointers.y = o[PLAN_Y].t.data;
    s->pointers.workspace = o[PLAN_WORKSPACE].t.data;
    s->pointers.z = o[PLAN_Z].t.data;
    s->finish.x.data = s->has_finish ? (char *)o[PLAN_WORKSPACE].t.data + s->finish_offset : NULL;
    s->finish.y.data = o[PLAN_Y].t.data;
    s->finish.z.data = o[PLAN_Z].t.data;
    return KERB_OK;
}
static KerbStatus kerb_plan_step_enqueue(KerbNet *net, KerbStep *step, cudaStream_t stream, KerbError *error)
{
    const KerbPlanStep *s = step->state;
    KerbStatus status = kerb_plan_run(net->plans, s->plan, &s->pointers, stream, error);
    if (status) return kerb_error_prefix(error, "%s: ", step->label);
    return s->has_finish ? kerb_cuda_launched(step, kerb_launch_finish(&s->finish, stream), error) : KERB_OK;
}
static const KerbStepKind kerb_plan_step = {"conv", kerb_plan_step_bind, kerb_plan_step_enqueue};

/* ---- weights and vectors on the device ---- */

typedef struct KerbConvConstants {
    void *weights;
    float *bias, *scale, *slope; /* NULL: none */
} KerbConvConstants;

static KerbStatus kerb_conv_vector(KerbCompiler *c, const KerbConvProblem *p, const float *values, int real_k, float **out)
{
    *out = NULL;
    if (!values) return KERB_OK;
    float *packed = kerb_cuda_bytes(c, (size_t)p->k * sizeof *packed);
    if (!packed) return KERB_ERROR_MEMORY;
    kerb_conv_pack_vector(p, values, real_k, packed);
    *out = kerb_cuda_block(c, packed, (size_t)p->k * sizeof *packed);
    kerb_free(&packed);
    return *out ? KERB_OK : kerb_cuda_failed(c);
}

static KerbStatus kerb_conv_constants(KerbCompiler *c, const KerbConvProblem *p, const KerbConvParts *parts, KerbConvConstants *out)
{
    const int real_c = (int)parts->x.t.dims[1], real_k = (int)parts->y.t.dims[1];
    const size_t bytes = kerb_conv_weight_bytes(p);
    void *packed = kerb_cuda_bytes(c, bytes);
    if (!packed) return KERB_ERROR_MEMORY;
    kerb_conv_pack_weights(p, parts->weights, real_c, real_k, packed);
    out->weights = kerb_cuda_block(c, packed, bytes);
    kerb_free(&packed);
    KerbStatus status = out->weights ? KERB_OK : kerb_cuda_failed(c);
    if (!status) status = kerb_conv_vector(c, p, parts->bias, real_k, &out->bias);
    if (!status) status = kerb_conv_vector(c, p, parts->scale, real_k, &out->scale);
    if (!status) status = kerb_conv_vector(c, p, parts->slope, real_k, &out->slope);
    return status;
}

static KerbFused kerb_conv_fused(const KerbNode *n, const float *slope)
{
    KerbFused f = kerb_fused(&n->attrs.conv.act);
    f.slope = slope;
    f.slope_step = 1;
    return f;
}

/* No residual: a picture without memory. */
static KerbPicture kerb_conv_residual(const KerbConvParts *parts)
{
    return parts->z.t.dtype == KERB_DTYPE_NONE ? (KerbPicture){.data = NULL} : kerb_cuda_as_picture(&parts->z);
}

/* ---- by a plan ---- */

static void kerb_plan_finish(KerbPlanStep *s, const KerbNode *n, const KerbConvProblem *p, const KerbConvParts *parts,
                             const KerbConvConstants *k)
{
    const KerbConvLeft *left = kerb_plan_left(s->plan);
    s->has_finish = left != NULL;
    if (!left) return;
    s->finish_offset = left->offset;
    s->finish = (KerbFinishArgs){.x = {.type = left->type, .c = p->k, .h = p->out_h, .w = p->out_w, .row = left->row, .pixel = left->pixel},
                                 .z = kerb_conv_residual(parts),
                                 .y = kerb_cuda_as_picture(&parts->y),
                                 .scale = k->scale,
                                 .bias = k->bias,
                                 .act = kerb_conv_fused(n, k->slope),
                                 .z_scale = p->z_scale,
                                 .y_scale = p->y_scale};
}

static KerbStatus kerb_conv_by_plan(KerbCompiler *c, const KerbNode *n, const KerbConvProblem *p, const KerbConvPlan *plan,
                                    const KerbConvParts *parts)
{
    KerbConvConstants k;
    KerbStatus status = kerb_conv_constants(c, p, parts, &k);
    KerbOperand o[PLAN_OPERANDS] = {
        [PLAN_X] = parts->x, [PLAN_Y] = parts->y, [PLAN_WORKSPACE] = {.root = KERB_NO_ROOT}, [PLAN_Z] = parts->z};
    const size_t workspace = kerb_plan_workspace(plan);
    const int64_t bytes = (int64_t)workspace;
    const KerbTensor t = kerb_tensor(NULL, KERB_U8, 1, &bytes);
    if (!status && workspace) status = kerb_cuda_temporary(c, KERB_SPACE_DEVICE, &t, &o[PLAN_WORKSPACE]);
    if (status) return status;
    if (workspace > c->net->workspace_bytes) c->net->workspace_bytes = workspace;
    KerbStep *step = kerb_cuda_step(c, &kerb_plan_step, n, o, PLAN_OPERANDS, sizeof(KerbPlanStep));
    if (!step) return KERB_ERROR_MEMORY;
    KerbPlanStep *s = step->state;
    s->plan = plan;
    s->pointers = (KerbConvPointers){.w = k.weights, .scale = k.scale, .bias = k.bias, .slope = k.slope};
    kerb_plan_finish(s, n, p, parts, &k);
    c->net->planned++;
    kerb_cuda_label(c, step, "%s%s %dx%d%s %d->%d %dx%d", p->transposed ? "transposed conv" : "conv", p->x_type == KERB_I8 ? " int8" : "",
                    p->kernel[1], p->kernel[0],
                    p->dilation[1] > 1 ? " dilated"
                    : p->stride[1] > 1 ? " stride"
                                       : "",
                    (int)parts->x.t.dims[1], (int)parts->y.t.dims[1], p->out_w, p->out_h);
    kerb_log(KERB_LOG_DEBUG, "cuda: %s: %s", step->label, kerb_plan_text(plan));
    return KERB_OK;
}

/* ---- by own kernels ---- */

enum { OWN_X, OWN_Y, OWN_Z };

static KerbStatus kerb_conv_depthwise(KerbCompiler *c, const KerbNode *n, const KerbConvProblem *p, const KerbConvParts *parts)
{
    const int k = p->k, taps = p->kernel[0] * p->kernel[1], pitch = (k + 7) / 8 * 8;
    float *w = kerb_cuda_bytes(c, (size_t)taps * (size_t)pitch * sizeof *w);
    if (!w) return KERB_ERROR_MEMORY;
    for (int i = 0; i < k; i++) {
        for (int tap = 0; tap < taps; tap++) w[tap * pitch + i] = parts->weights[i * taps + tap];
    }
    float *vectors[3], *device_w = kerb_cuda_block(c, w, (size_t)taps * (size_t)pitch * sizeof *w);
    kerb_free(&w);
    KerbConvProblem padded = *p; /* eight at a time are read */
    padded.k = pitch;
    KerbStatus status = device_w ? KERB_OK : kerb_cuda_failed(c);
    if (!status) status = kerb_conv_vector(c, &padded, parts->bias, k, &vectors[0]);
    if (!status) status = kerb_conv_vector(c, &padded, parts->scale, k, &vectors[1]);
    if (!status) status = kerb_conv_vector(c, &padded, parts->slope, k, &vectors[2]);
    if (status) return status;
    KerbDepthwiseArgs args = {.x = kerb_cuda_as_picture(&parts->x),
                              .z = kerb_conv_residual(parts),
                              .y = kerb_cuda_as_picture(&parts->y),
                              .w = device_w,
                              .w_pitch = pitch,
                              .multiplier = k / p->c,
                              .scale = vectors[1],
                              .bias = vectors[0],
                              .act = kerb_conv_fused(n, vectors[2]),
                              .z_scale = p->z_scale,
                              .y_scale = p->y_scale};
    memcpy(args.kernel, p->kernel, sizeof args.kernel);
    memcpy(args.stride, p->stride, sizeof args.stride);
    memcpy(args.dilation, p->dilation, sizeof args.dilation);
    memcpy(args.pad, p->pad_begin, sizeof args.pad);
    const KerbOperand o[3] = {parts->x, parts->y, parts->z};
    const KerbPatch patches[3] = {{offsetof(KerbDepthwiseArgs, x.data), OWN_X},
                                  {offsetof(KerbDepthwiseArgs, y.data), OWN_Y},
                                  {offsetof(KerbDepthwiseArgs, z.data), OWN_Z}};
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_depthwise, &args, o, 3, patches, 3);
    if (!step) return KERB_ERROR_MEMORY;
    kerb_cuda_label(c, step, "conv depthwise %dx%d %d %dx%d", p->kernel[1], p->kernel[0], k, p->out_w, p->out_h);
    return KERB_OK;
}

static KerbStatus kerb_conv_direct(KerbCompiler *c, const KerbNode *n, const KerbConvProblem *p, const KerbConvParts *parts)
{
    KerbConvConstants k;
    KerbStatus status = kerb_conv_constants(c, p, parts, &k);
    if (status) return status;
    KerbConvArgs args = {.x = kerb_cuda_as_picture(&parts->x),
                         .z = kerb_conv_residual(parts),
                         .y = kerb_cuda_as_picture(&parts->y),
                         .w = k.weights,
                         .w_type = p->w_type,
                         .scale = k.scale,
                         .bias = k.bias,
                         .act = kerb_conv_fused(n, k.slope),
                         .z_scale = p->z_scale,
                         .y_scale = p->y_scale,
                         .group = p->group,
                         .transposed = p->transposed};
    const int64_t inner = (p->transposed ? p->k : p->c) / p->group, outer = inner * p->kernel[0] * p->kernel[1];
    args.w_row = inner * p->kernel[1];
    args.w_column = inner;
    args.w_out = p->transposed ? 1 : outer;
    args.w_in = p->transposed ? outer : 1;
    memcpy(args.kernel, p->kernel, sizeof args.kernel);
    memcpy(args.stride, p->stride, sizeof args.stride);
    memcpy(args.dilation, p->dilation, sizeof args.dilation);
    memcpy(args.pad, p->pad_begin, sizeof args.pad);
    const KerbOperand o[3] = {parts->x, parts->y, parts->z};
    const KerbPatch patches[3] = {
        {offsetof(KerbConvArgs, x.data), OWN_X}, {offsetof(KerbConvArgs, y.data), OWN_Y}, {offsetof(KerbConvArgs, z.data), OWN_Z}};
    KerbStep *step = kerb_cuda_kernel(c, n, KERB_KERNEL_conv, &args, o, 3, patches, 3);
    if (!step) return KERB_ERROR_MEMORY;
    kerb_cuda_label(c, step, "%s direct %dx%d %d->%d %dx%d", p->transposed ? "transposed conv" : "conv", p->kernel[1], p->kernel[0],
                    (int)parts->x.t.dims[1], (int)parts->y.t.dims[1], p->out_w, p->out_h);
    return KERB_OK;
}

KerbStatus kerb_cuda_emit_conv(KerbCompiler *c, const KerbNode *n, const KerbConvParts *parts, bool *done)
{
    char why[128] = "";
    const bool z = parts->z.t.dtype != KERB_DTYPE_NONE;
    const KerbConvSite site = {.x = &parts->x.t,
                               .y = &parts->y.t,
                               .z = z ? &parts->z.t : NULL,
                               .x_channels = (int)parts->x.t.dims[1] + kerb_cuda_padding(&parts->x),
                               .y_channels = (int)parts->y.t.dims[1] + kerb_cuda_padding(&parts->y),
                               .tf32 = c->net->precision == KERB_PRECISION_TF32,
                               .y_scale = parts->y_scale,
                               .z_scale = parts->z_scale};
    KerbConvProblem p;
    *done = kerb_conv_problem(c->g, n, &site, &p, why, sizeof why);
    if (!*done) {
        kerb_log(KERB_LOG_DEBUG, "cuda: %s: %s", n->name, why);
        return KERB_OK;
    }
    if (!p.transposed && p.group > 1 && p.group == p.c) return kerb_conv_depthwise(c, n, &p, parts);
    KerbConvPlan *plan = NULL;
    KerbStatus status = kerb_plans_get(c->net->plans, &p, &plan, why, sizeof why, c->error);
    if (status) return status;
    if (plan) return kerb_conv_by_plan(c, n, &p, plan, parts);
    kerb_log(KERB_LOG_DEBUG, "cuda: %s: the direct kernel, since cuDNN has no plan: %s", n->name, why);
    return kerb_conv_direct(c, n, &p, parts);
}

/* ---- from the node ---- */

/* The slope of a fused PRelu, one a channel. */
static KerbStatus kerb_conv_slope(KerbCompiler *c, const KerbNode *n, int channels, float **out)
{
    KerbStatus status;
    *out = NULL;
    if (n->attrs.conv.act.kind != KERB_ACT_PRELU) return KERB_OK;
    if ((status = kerb_cuda_floats(c, n->attrs.conv.act.slope, (size_t)channels, out)) || !*out) return status;
    const KerbTensor t = kerb_value_tensor(&c->g->values[n->attrs.conv.act.slope]);
    for (int i = 1; i < channels && kerb_tensor_elements(&t) == 1; i++) (*out)[i] = (*out)[0];
    return KERB_OK;
}

/* Where the result goes: in place of the residual where nobody reads that later. */
static KerbStatus kerb_conv_operands(KerbCompiler *c, const KerbNode *n, KerbConvParts *parts)
{
    const uint32_t y = n->outputs[0];
    KerbStatus status = kerb_cuda_picture(c, n->inputs[0], kerb_cuda_type(c, y), &parts->x);
    if (status) return status;
    if (!kerb_node_input(c->g, n, 3)) return kerb_cuda_place(c, y, &parts->y);
    if ((status = kerb_cuda_picture(c, n->inputs[3], kerb_cuda_type(c, y), &parts->z))) return status;
    return n->inputs[3] != n->inputs[0] ? kerb_cuda_place_over(c, y, &parts->z, 1, &parts->y) : kerb_cuda_place(c, y, &parts->y);
}

KerbStatus kerb_cuda_compile_conv(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_CONV && n->op != KERB_OP_CONV_TRANSPOSE) return KERB_OK;
    const KerbValue *w = kerb_node_input(c->g, n, 1), *b = kerb_node_input(c->g, n, 2);
    c->convolutions++;
    if (c->options->progress) c->options->progress(c->options->progress_user, "compiling", c->convolutions, c->all_convolutions);
    if (!kerb_cuda_lies_as_picture(c->g, n->inputs[0]) || !kerb_cuda_lies_as_picture(c->g, n->outputs[0])) return KERB_OK;
    if (c->int8[c->node] == KERB_INT8_CONV) return kerb_cuda_compile_int8_conv(c, n, done);
    if (!kerb_value_is_constant(w) || w->dtype != KERB_F32 || (b && (!kerb_value_is_constant(b) || b->dtype != KERB_F32))) return KERB_OK;
    KerbConvParts parts = {.z = {.root = KERB_NO_ROOT}, .y_scale = 1, .z_scale = 1};
    float *weights = NULL, *bias = NULL, *slope = NULL;
    KerbStatus status = kerb_conv_operands(c, n, &parts);
    if (!status) status = kerb_cuda_floats(c, n->inputs[1], 0, &weights);
    if (!status && b) status = kerb_cuda_floats(c, n->inputs[2], 0, &bias);
    if (!status) status = kerb_conv_slope(c, n, (int)parts.y.t.dims[1], &slope);
    parts.weights = weights;
    parts.bias = bias;
    parts.slope = slope;
    if (!status && (slope || n->attrs.conv.act.kind != KERB_ACT_PRELU)) status = kerb_cuda_emit_conv(c, n, &parts, done);
    kerb_free(&weights);
    kerb_free(&bias);
    kerb_free(&slope);
    if (!status && *done) c->net->convolutions++;
    return status;
}
