/* SPDX-License-Identifier: MIT */
/* Convolution by oneDNN: f32 and bf16, pictures channels-last, weights in whatever order the primitive wants. Residuals are added by a sum
 * post-op, activations by an eltwise post-op; what oneDNN has no post-op for (PReLU) follows in a pass of our own. Slices of a
 * concatenation go through a dense copy: oneDNN would take them, but by its reference kernel, a thousand times slower. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/conv.h"
#include "net/cpu/dnn.h"
#include "net/cpu/dnn_shim.h"

typedef struct KerbDnnConv {
    dnnl_primitive_t primitive;
    dnnl_memory_t source, weights, bias, target, scratchpad;
    KerbDnnDesc source_desc, target_desc, scratch_desc;
    dnnl_exec_arg_t args[6];
    int n_args;
    bool finish;                           /* the activation is not in the primitive */
    size_t scratchpad_bytes, source_bytes; /* parts of the scratch: oneDNN's, the dense source's, the dense target's */
    bool dense_source, dense_target;       /* copies are worked on */
} KerbDnnConv;

/* Does every window along an axis see a pixel? oneDNN 2.6.3's brgconv kernel crashes where one lies wholly in the padding. */
static bool kerb_dnn_windows_see(int out, int in, int kernel, int stride, int dilation, int pad)
{
    for (int o = 0; o < out; o++) {
        int seen = 0;
        for (int k = 0; k < kernel; k++) {
            int at = o * stride - pad + k * dilation;
            seen += at >= 0 && at < in;
        }
        if (!seen) return false;
    }
    return true;
}
static bool kerb_dnn_conv_applies(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    return s->block == 1 && kerb_dnn_windows_see(s->oh, s->ih, s->kh, s->sh, s->dh, s->pad_top) &&
           kerb_dnn_windows_see(s->ow, s->iw, s->kw, s->sw, s->dw, s->pad_left);
}

/* oneDNN's name for an activation; false: it has none. */
static bool kerb_dnn_activation(const KerbActivation *a, dnnl_alg_kind_t *kind, float *alpha, float *beta)
{
    *alpha = *beta = 0;
    if (a->kind == KERB_ACT_CLIP) {
        *kind = dnnl_eltwise_clip;
        *alpha = a->lo;
        *beta = a->hi;
        return true;
    }
    if (a->kind != KERB_ACT_UNARY) return false;
    switch (a->unary) {
    case KERB_UNARY_RELU: *kind = dnnl_eltwise_relu; return true;
    case KERB_UNARY_LEAKY_RELU:
        *kind = dnnl_eltwise_relu;
        *alpha = a->alpha;
        return true;
    case KERB_UNARY_SIGMOID: *kind = dnnl_eltwise_logistic; return true;
    case KERB_UNARY_TANH: *kind = dnnl_eltwise_tanh; return true;
    case KERB_UNARY_ELU:
        *kind = dnnl_eltwise_elu;
        *alpha = a->alpha;
        return true;
    case KERB_UNARY_SWISH:
        *kind = dnnl_eltwise_swish;
        *alpha = 1;
        return true;
    case KERB_UNARY_GELU: *kind = dnnl_eltwise_gelu_erf; return true;
    case KERB_UNARY_GELU_TANH: *kind = dnnl_eltwise_gelu_tanh; return true;
    case KERB_UNARY_MISH: *kind = dnnl_eltwise_mish; return true;
    case KERB_UNARY_HARD_SWISH:
        *kind = dnnl_eltwise_hardswish;
        *alpha = 1.0f / 6; /* version 3 reads them, version 2 has them fixed */
        *beta = 0.5f;
        return true;
    default: return false;
    }
}

static void kerb_dnn_conv_free(KerbConv *c)
{
    KerbDnnConv *d = c->own;
    if (d) {
        dnnl_memory_t *memories[] = {&d->source, &d->weights, &d->bias, &d->target, &d->scratchpad};
        for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++) {
            if (*memories[i]) dnnl_memory_destroy(*memories[i]);
        }
        if (d->primitive) dnnl_primitive_destroy(d->primitive);
        kerb_dnn_desc_free(&d->source_desc);
        kerb_dnn_desc_free(&d->target_desc);
        kerb_dnn_desc_free(&d->scratch_desc);
        free(d);
    }
    c->own = NULL;
    kerb_free(&c->packed);
}

static dnnl_status_t kerb_dnn_picture(KerbDnnDesc *out, int n, int channels, int h, int w, int bf16)
{
    dnnl_dims_t dims = {n, channels, h, w};
    return kerb_dnn_desc_tag(out, 4, dims, bf16 ? dnnl_bf16 : dnnl_f32, dnnl_nhwc);
}

static dnnl_status_t kerb_dnn_conv_attr(const KerbConv *c, KerbDnnConv *d, dnnl_primitive_attr_t *attr)
{
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    if (status) return status;
    dnnl_post_ops_t ops;
    if ((status = dnnl_post_ops_create(&ops))) return status;
    if (c->s.residual_step) status = kerb_dnn_post_sum(ops);
    dnnl_alg_kind_t kind;
    float alpha, beta;
    bool active = c->act.from && c->act.from->kind != KERB_ACT_NONE;
    if (active && kerb_dnn_activation(c->act.from, &kind, &alpha, &beta)) {
        if (!status) status = kerb_dnn_post_eltwise(ops, kind, alpha, beta);
    } else {
        d->finish = active;
    }
    if (!status) status = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    dnnl_post_ops_destroy(ops);
    return status;
}

/* Weights OIHW f32 -> what the primitive wants. */
static dnnl_status_t kerb_dnn_conv_weights(KerbConv *c, KerbDnnConv *d, const_dnnl_primitive_desc_t pd)
{
    const KerbConvSpec *s = &c->s;
    const int64_t icg = s->ic / s->groups, ocg = s->oc / s->groups, kh = s->kh, kw = s->kw;
    dnnl_dims_t dense = {s->oc, icg, kh, kw}, dense_strides = {icg * kh * kw, kh * kw, kw, 1};
    dnnl_dims_t grouped = {s->groups, ocg, icg, kh, kw}, grouped_strides = {ocg * icg * kh * kw, icg * kh * kw, kh * kw, kw, 1};
    KerbDnnConstDesc wanted = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    KerbDnnDesc plain = NULL;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t reorder_desc = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_status_t status = s->groups > 1 ? kerb_dnn_desc_strides(&plain, 5, grouped, dnnl_f32, grouped_strides)
                                         : kerb_dnn_desc_strides(&plain, 4, dense, dnnl_f32, dense_strides);
    c->packed_bytes = dnnl_memory_desc_get_size(wanted);
    c->packed = kerb_alloc(c->packed_bytes);
    if (!c->packed) status = dnnl_out_of_memory;
    if (!status) status = dnnl_memory_create(&d->weights, wanted, c->net->dnn->engine, c->packed);
    if (!status) status = dnnl_memory_create(&from, plain, c->net->dnn->engine, (void *)(uintptr_t)c->weights);
    if (!status) status = dnnl_reorder_primitive_desc_create(&reorder_desc, plain, c->net->dnn->engine, wanted, c->net->dnn->engine, NULL);
    if (!status) status = dnnl_primitive_create(&reorder, reorder_desc);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, d->weights}};
    if (!status) status = dnnl_primitive_execute(reorder, c->net->dnn->stream, 2, args);
    if (!status) status = dnnl_stream_wait(c->net->dnn->stream);
    if (reorder) dnnl_primitive_destroy(reorder);
    if (reorder_desc) dnnl_primitive_desc_destroy(reorder_desc);
    if (from) dnnl_memory_destroy(from);
    kerb_dnn_desc_free(&plain);
    return status;
}

static dnnl_status_t kerb_dnn_conv_descs(const KerbConv *c, KerbDnnConvDescs *o)
{
    const KerbConvSpec *s = &c->s;
    dnnl_dims_t dense = {s->oc, s->ic, s->kh, s->kw}, grouped = {s->groups, s->oc / s->groups, s->ic / s->groups, s->kh, s->kw},
                bias = {s->oc};
    dnnl_data_type_t type = s->source_bf16 ? dnnl_bf16 : dnnl_f32;
    dnnl_status_t status = kerb_dnn_picture(&o->source, s->n, s->ic, s->ih, s->iw, s->source_bf16);
    if (!status) status = kerb_dnn_picture(&o->target, s->n, s->oc, s->oh, s->ow, s->target_bf16);
    if (!status)
        status = s->groups > 1 ? kerb_dnn_desc_tag(&o->weights, 5, grouped, type, dnnl_format_tag_any)
                               : kerb_dnn_desc_tag(&o->weights, 4, dense, type, dnnl_format_tag_any);
    if (!status && c->bias) status = kerb_dnn_desc_tag(&o->bias, 1, bias, dnnl_f32, dnnl_x);
    const int64_t stride[2] = {s->sh, s->sw}, dilation[2] = {s->dh, s->dw}, begin[2] = {s->pad_top, s->pad_left}, in[2] = {s->ih, s->iw},
                  out[2] = {s->oh, s->ow}, kernel[2] = {s->kh, s->kw};
    for (int i = 0; i < 2; i++) {
        o->stride[i] = stride[i];
        o->dilation[i] = dilation[i] - 1;
        o->pad_begin[i] = begin[i];
        /* What is needed to reach the last window: negative where the last source pixels are never looked at. */
        o->pad_end[i] = (out[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - in[i] - begin[i];
    }
    return status;
}

static KerbStatus kerb_dnn_conv_prepare(KerbConv *c, KerbError *error)
{
    KerbDnnConv *d = c->own = calloc(1, sizeof *d);
    if (!d) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a convolution");
    KerbDnnConvDescs descs = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_dims_t bias_dims = {c->s.oc};
    KerbDnnDesc bias = NULL;
    dnnl_status_t status = kerb_dnn_conv_descs(c, &descs);
    if (!status) status = kerb_dnn_conv_attr(c, d, &attr);
    if (!status) status = kerb_dnn_conv_desc(&pd, c->net->dnn->engine, &descs, attr);
    const char *implementation = "";
    if (!status) status = dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &implementation);
    if (!status && !strncmp(implementation, "ref", 3)) status = dnnl_unimplemented; /* ours is no slower */
    if (!status) status = dnnl_primitive_create(&d->primitive, pd);
    if (!status) status = kerb_dnn_conv_weights(c, d, pd);
    if (!status && c->bias) status = kerb_dnn_desc_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_x);
    if (!status && c->bias) status = dnnl_memory_create(&d->bias, bias, c->net->dnn->engine, (void *)(uintptr_t)c->bias);
    if (!status) {
        const KerbConvSpec *s = &c->s;
        d->scratchpad_bytes = (dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0)) + 63) / 64 * 64;
        d->dense_source = s->source_step != s->ic;
        d->dense_target = s->target_step != s->oc;
        if (d->dense_source)
            d->source_bytes = ((size_t)s->n * (size_t)s->ih * (size_t)s->iw * (size_t)s->ic * (s->source_bf16 ? 2 : 4) + 63) / 64 * 64;
        c->scratch_bytes = d->scratchpad_bytes + d->source_bytes;
        if (d->dense_target) c->scratch_bytes += (size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->oc * (s->target_bf16 ? 2 : 4);
        status = dnnl_memory_create(&d->source, descs.source, c->net->dnn->engine, DNNL_MEMORY_NONE);
    }
    if (!status) status = dnnl_memory_create(&d->target, descs.target, c->net->dnn->engine, DNNL_MEMORY_NONE);
    if (!status && d->scratchpad_bytes) {
        status = dnnl_memory_create(&d->scratchpad, dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0), c->net->dnn->engine,
                                    DNNL_MEMORY_NONE);
    }
    kerb_dnn_desc_free(&bias);
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    kerb_dnn_desc_free(&descs.source);
    kerb_dnn_desc_free(&descs.weights);
    kerb_dnn_desc_free(&descs.bias);
    kerb_dnn_desc_free(&descs.target);
    if (!status) return KERB_OK;
    kerb_dnn_conv_free(c);
    if (status == dnnl_out_of_memory)
        return kerb_fail(error, KERB_ERROR_MEMORY, "oneDNN has no memory for a convolution: use a smaller size");
    return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "oneDNN has no such convolution (status %d)", (int)status);
}

static void *kerb_dnn_dense_source(const KerbConv *c)
{
    return (char *)c->scratch + ((const KerbDnnConv *)c->own)->scratchpad_bytes;
}
static void *kerb_dnn_dense_target(const KerbConv *c)
{
    return (char *)kerb_dnn_dense_source(c) + ((const KerbDnnConv *)c->own)->source_bytes;
}

static KerbStatus kerb_dnn_conv_bind(KerbConv *c, KerbError *error)
{
    KerbDnnConv *d = c->own;
    dnnl_status_t status =
        dnnl_memory_set_data_handle(d->source, d->dense_source ? kerb_dnn_dense_source(c) : (void *)(uintptr_t)c->source);
    if (!status) status = dnnl_memory_set_data_handle(d->target, d->dense_target ? kerb_dnn_dense_target(c) : c->target);
    if (!status && d->scratchpad) status = dnnl_memory_set_data_handle(d->scratchpad, c->scratch);
    if (status) return kerb_fail(error, KERB_ERROR_INTERNAL, "oneDNN refuses a buffer (status %d): please report this", (int)status);
    d->n_args = 0;
    d->args[d->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, d->source};
    d->args[d->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, d->weights};
    d->args[d->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_DST, d->target};
    if (d->bias) d->args[d->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, d->bias};
    if (d->scratchpad) d->args[d->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, d->scratchpad};
    return KERB_OK;
}

/* Pixels between pictures of different steps. */
typedef struct KerbDnnRows {
    char *to;
    const char *from;
    size_t to_step, from_step, bytes; /* of a pixel */
    size_t width;
} KerbDnnRows;
static void kerb_dnn_row(void *arg, int index, int thread)
{
    const KerbDnnRows *r = arg;
    char *to = r->to + (size_t)index * r->width * r->to_step;
    const char *from = r->from + (size_t)index * r->width * r->from_step;
    for (size_t x = 0; x < r->width; x++) memcpy(to + x * r->to_step, from + x * r->from_step, r->bytes);
}
static void kerb_dnn_rows(const KerbConv *c, void *to, int64_t to_step, const void *from, int64_t from_step, int rows, int width,
                          int channels, int bf16)
{
    const size_t unit = bf16 ? 2 : 4;
    KerbDnnRows r = {to, from, (size_t)to_step * unit, (size_t)from_step * unit, (size_t)channels * unit, (size_t)width};
    kerb_cpu_parallel(c->net, rows, (double)rows * width * channels / 4, kerb_dnn_row, &r);
}
#define FINISH_CHANNELS 256
static void kerb_dnn_conv_finish_row(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbCpuKernels *k = c->net->k;
    const ptrdiff_t row = (ptrdiff_t)index * c->s.ow * c->s.target_step;
    for (int x = 0; x < c->s.ow; x++) {
        for (int begin = 0; begin < c->s.oc; begin += FINISH_CHANNELS) {
            const int n = c->s.oc - begin < FINISH_CHANNELS ? c->s.oc - begin : FINISH_CHANNELS;
            const ptrdiff_t at = row + x * c->s.target_step + begin;
            float buffer[FINISH_CHANNELS], *v = c->s.target_bf16 ? buffer : (float *)c->target + at;
            KerbEpilogue e = c->act.finish;
            if (e.slope) e.slope += begin;
            if (c->s.target_bf16) k->to_f32(buffer, (const uint16_t *)c->target + at, (size_t)n);
            if (c->s.slope || c->s.clip) k->finish(v, 1, n, &e);
            if (c->s.unary) kerb_cpu_act_run(k, &c->act, v, (size_t)n);
            if (c->s.target_bf16) k->to_bf16((uint16_t *)c->target + at, buffer, (size_t)n);
        }
    }
}

static KerbStatus kerb_dnn_conv_run(KerbConv *c)
{
    KerbDnnConv *d = c->own;
    const KerbConvSpec *s = &c->s;
    void *target = d->dense_target ? kerb_dnn_dense_target(c) : c->target;
    const int64_t target_step = d->dense_target ? s->oc : s->target_step;
    if (d->dense_source)
        kerb_dnn_rows(c, kerb_dnn_dense_source(c), s->ic, c->source, s->source_step, s->n * s->ih, s->iw, s->ic, s->source_bf16);
    if (s->residual_step && c->residual != target) { /* the sum post-op adds what is there */
        kerb_dnn_rows(c, target, target_step, c->residual, s->residual_step, s->n * s->oh, s->ow, s->oc, s->target_bf16);
    }
    if (dnnl_primitive_execute(d->primitive, c->net->dnn->stream, d->n_args, d->args)) return KERB_ERROR_INTERNAL;
    if (dnnl_stream_wait(c->net->dnn->stream)) return KERB_ERROR_INTERNAL;
    if (d->dense_target) kerb_dnn_rows(c, c->target, s->target_step, target, s->oc, s->n * s->oh, s->ow, s->oc, s->target_bf16);
    if (d->finish) kerb_cpu_parallel(c->net, s->n * s->oh, (double)s->n * s->oh * s->ow * s->oc / 4, kerb_dnn_conv_finish_row, c);
    return KERB_OK;
}

const KerbConvKind kerb_conv_dnn = {"onednn",           kerb_dnn_conv_applies, kerb_dnn_conv_prepare,
                                    kerb_dnn_conv_bind, kerb_dnn_conv_run,     kerb_dnn_conv_free};
