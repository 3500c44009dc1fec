/* SPDX-License-Identifier: MIT */
/* Depthwise convolution (as many groups as channels, one output a channel), f32 and bf16 pictures: a task is a row of the target. */
#include <stdlib.h>

#include "base/error.h"
#include "net/cpu/conv.h"

#define MAX_ROWS 32

static bool kerb_depthwise_applies(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    return s->groups == s->ic && s->oc == s->ic && s->ic > 1 && s->block == 1 && !s->residual_step && s->kh <= MAX_ROWS &&
           s->source_bf16 == s->target_bf16 && !(s->unary && s->source_bf16);
}

static void kerb_depthwise_free(KerbConv *c)
{
    kerb_free(&c->packed);
}

static KerbStatus kerb_depthwise_prepare(KerbConv *c, KerbError *error)
{
    size_t taps = (size_t)(c->s.kh * c->s.kw), channels = (size_t)c->s.oc;
    c->packed_bytes = taps * channels * sizeof(float);
    float *w = c->packed = kerb_alloc(c->packed_bytes);
    if (!w) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu bytes of packed weights", c->packed_bytes);
    for (size_t t = 0; t < taps; t++) {
        for (size_t i = 0; i < channels; i++) w[t * channels + i] = c->weights[i * taps + t];
    }
    return KERB_OK;
}

static void kerb_depthwise_row(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    const size_t unit = s->source_bf16 ? 2 : 4;
    int image = index / s->oh, y = index % s->oh;
    const void *rows[MAX_ROWS];
    for (int ky = 0; ky < s->kh; ky++) {
        int sy = y * s->sh - s->pad_top + ky * s->dh;
        bool inside = sy >= 0 && sy < s->ih;
        rows[ky] =
            inside ? (const char *)c->source + ((size_t)image * (size_t)s->ih + (size_t)sy) * (size_t)s->iw * (size_t)s->source_step * unit
                   : NULL;
    }
    KerbDepthwise d = {.rows = rows,
                       .source_step = s->source_step,
                       .source_width = s->iw,
                       .target_step = s->target_step,
                       .x1 = s->ow,
                       .channels = s->oc,
                       .kernel_h = s->kh,
                       .kernel_w = s->kw,
                       .stride = s->sw,
                       .dilation = s->dw,
                       .pad_left = s->pad_left,
                       .weights = c->packed,
                       .epilogue = c->act.finish};
    d.epilogue.bias = c->bias;
    d.target = (char *)c->target + (size_t)index * (size_t)s->ow * (size_t)s->target_step * unit;
    c->net->k->depthwise[s->source_bf16](&d);
    for (int x = 0; s->unary && x < s->ow; x++) kerb_cpu_act_run(c->net->k, &c->act, (float *)d.target + x * s->target_step, (size_t)s->oc);
}

static KerbStatus kerb_depthwise_run(KerbConv *c)
{
    double cost = (double)c->s.n * c->s.oh * c->s.ow * c->s.oc * c->s.kh * c->s.kw / 16;
    kerb_cpu_parallel(c->net, c->s.n * c->s.oh, cost, kerb_depthwise_row, c);
    return KERB_OK;
}

const KerbConvKind kerb_conv_depthwise = {"depthwise", kerb_depthwise_applies, kerb_depthwise_prepare,
                                          NULL,        kerb_depthwise_run,     kerb_depthwise_free};
