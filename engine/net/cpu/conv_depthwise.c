/* SPDX-License-Identifier: MIT */
/* Depthwise convolution (as many groups as channels, one output a channel), f32 and bf16 pictures: a task is a row of the target. */
#include <stdlib.h>

#include "base/error.h"
#include "net/cpu/conv.h"

#define MAX_ROWS KERB_DEPTHWISE_ROWS

static bool kerb_depthwise_applies(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    return s->groups == s->ic && s->oc == s->ic && s->ic > 1 && s->block == 1 && !s->residual_step && s->kh <= MAX_ROWS &&
           s->source_bf16 == s->target_bf16 && !(s->unary && s->source_bf16);
}

/* Weights lie by group of channels, then by tap: what a group needs is close together. */
typedef struct KerbDepthwiseWay {
    int width; /* channels of a group */
    int runs;  /* of pixels, in a row */
} KerbDepthwiseWay;

static void kerb_depthwise_free(KerbConv *c)
{
    kerb_free(&c->packed);
    free(c->own);
    c->own = NULL;
}

#define RUN_PIXELS 32 /* at least: long enough for the kernel, and so short that a run of few channels does not leave the caches */

static KerbStatus kerb_depthwise_prepare(KerbConv *c, KerbError *error)
{
    const KerbConvSpec *s = &c->s;
    KerbDepthwiseWay *way = c->own = calloc(1, sizeof *way);
    const bool common = s->dw == 1 && s->sw <= 2 && (s->kw == 3 || s->kw == 5); /* others gain nothing, and lose by more calls */
    const size_t taps = (size_t)(s->kh * s->kw), lanes = (size_t)c->net->k->lanes, channels = (size_t)s->oc,
                 width = common ? 2 * lanes : (channels + lanes - 1) / lanes * lanes, groups = (channels + width - 1) / width;
    c->packed_bytes = taps * groups * width * sizeof(float);
    float *w = c->packed = kerb_alloc(c->packed_bytes);
    if (!w || !way) {
        kerb_depthwise_free(c);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu bytes of packed weights", c->packed_bytes);
    }
    for (size_t i = 0; i < channels; i++) {
        for (size_t t = 0; t < taps; t++) w[i / width * width * taps + t * width + i % width] = c->weights[i * taps + t];
    }
    way->width = (int)width;
    way->runs = common && s->ow > RUN_PIXELS ? s->ow / RUN_PIXELS : 1;
    return KERB_OK;
}

/* The rows of the source that row `index` of the target (counted over all pictures) sees, from channel `first` on. */
static void kerb_depthwise_rows(const KerbConv *c, int index, int first, const void *rows[MAX_ROWS])
{
    const KerbConvSpec *s = &c->s;
    const size_t unit = s->source_bf16 ? 2 : 4, row_bytes = (size_t)s->iw * (size_t)s->source_step * unit;
    const int image = index / s->oh, y = index % s->oh;
    const char *source = (const char *)c->source + (size_t)image * (size_t)s->ih * row_bytes + (size_t)first * unit;
    for (int ky = 0; ky < s->kh; ky++) {
        const int sy = y * s->sh - s->pad_top + ky * s->dh;
        rows[ky] = sy >= 0 && sy < s->ih ? source + (size_t)sy * row_bytes : NULL;
    }
}

int kerb_depthwise_width(const KerbConv *c)
{
    return ((const KerbDepthwiseWay *)c->own)->width;
}

void kerb_depthwise_group(const KerbConv *c, int first, const void *const *rows, ptrdiff_t source_step, int x0, int x1, void *target,
                          ptrdiff_t target_step)
{
    const KerbConvSpec *s = &c->s;
    const int width = kerb_depthwise_width(c);
    KerbDepthwise d = {.rows = rows,
                       .source_step = source_step,
                       .source_width = s->iw,
                       .target = target,
                       .target_step = target_step,
                       .x0 = x0,
                       .x1 = x1,
                       .channels = s->oc - first < width ? s->oc - first : width,
                       .kernel_h = s->kh,
                       .kernel_w = s->kw,
                       .stride = s->sw,
                       .dilation = s->dw,
                       .pad_left = s->pad_left,
                       .weights = (const float *)c->packed + (ptrdiff_t)first * s->kh * s->kw,
                       .weight_step = width,
                       .epilogue = c->act.finish};
    d.epilogue.bias = c->bias ? c->bias + first : NULL;
    d.epilogue.slope = c->act.finish.slope ? c->act.finish.slope + first : NULL;
    c->net->k->depthwise[s->source_bf16](&d);
}

/* Two vectors of channels at a time along a run: what the kernel reads again, row after row of the window, is then in the first-level
 * cache. Several rows of the target at a time, and longer runs, were slower: memory wants to be read in order. */
void kerb_depthwise_line(const KerbConv *c, int index, void *target, ptrdiff_t target_step)
{
    const KerbConvSpec *s = &c->s;
    const KerbDepthwiseWay *way = c->own;
    const size_t unit = s->source_bf16 ? 2 : 4;
    const void *rows[MAX_ROWS];
    for (int run = 0; run < way->runs; run++) {
        const int x0 = (int)((int64_t)s->ow * run / way->runs), x1 = (int)((int64_t)s->ow * (run + 1) / way->runs);
        for (int first = 0; first < s->oc; first += way->width) {
            kerb_depthwise_rows(c, index, first, rows);
            kerb_depthwise_group(c, first, rows, s->source_step, x0, x1, (char *)target + (size_t)first * unit, target_step);
        }
    }
}

static void kerb_depthwise_row(void *arg, int index, int thread)
{
    const KerbConv *c = arg;
    const KerbConvSpec *s = &c->s;
    char *target = (char *)c->target + (size_t)index * (size_t)s->ow * (size_t)s->target_step * (s->source_bf16 ? 2 : 4);
    kerb_depthwise_line(c, index, target, s->target_step);
    for (int x = 0; s->unary && x < s->ow; x++) kerb_cpu_act_run(c->net->k, &c->act, (float *)target + x * s->target_step, (size_t)s->oc);
}

static KerbStatus kerb_depthwise_run(KerbConv *c)
{
    double cost = (double)c->s.n * c->s.oh * c->s.ow * c->s.oc * c->s.kh * c->s.kw / 16;
    kerb_cpu_parallel(c->net, c->s.n * c->s.oh, cost, kerb_depthwise_row, c);
    return KERB_OK;
}

const KerbConvKind kerb_conv_depthwise = {"depthwise", kerb_depthwise_applies, kerb_depthwise_prepare,
                                          NULL,        kerb_depthwise_run,     kerb_depthwise_free};
