/* SPDX-License-Identifier: MIT */
/* Means of 8-bit integers: over whole pictures, to integers or floats, and over windows (AveragePool), to integers. Sums are exact in 32 bits. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/int8.h"

#define CHANNELS 64 /* at a time */

typedef struct KerbInt8Average {
    KerbQuant x, to; /* to.dtype f32: floats */
    int images, channels;
    int64_t pixels;    /* of a picture */
    KerbWindow window; /* AveragePool's */
    bool count_include_pad;
} KerbInt8Average;

typedef struct KerbInt8AverageRun {
    KerbNet *net;
    KerbStep *step;
} KerbInt8AverageRun;

/* sums[k] += in[k], i8 as if it were more by 128 (`flip` 0x80). */
static void kerb_int8_accumulate(int32_t sums[CHANNELS], const uint8_t *in, int n, uint8_t flip)
{
    int k = 0;
    for (; k + 16 <= n; k += 16) { /* a loop of known length, which compilers make vectors of */
        for (int i = 0; i < 16; i++) sums[k + i] += in[k + i] ^ flip;
    }
    for (; k < n; k++) sums[k] += in[k] ^ flip;
}

/* means[k]: of `count` numbers, `seen` of which were summed. */
static void kerb_int8_divide(float means[CHANNELS], const int32_t sums[CHANNELS], int n, int64_t seen, int64_t count, const KerbQuant *x)
{
    const int32_t zero = (int32_t)(seen * (x->zero + (x->dtype == KERB_I8 ? 128 : 0)));
    const double unit = (double)x->scale / (double)count;
    for (int k = 0; k < n; k++) means[k] = (float)((sums[k] - zero) * unit);
}

/* ---- whole pictures ---- */

bool kerb_int8_takes_mean(const KerbGraph *g, const KerbNode *n)
{
    KerbQuant x;
    if (n->op != KERB_OP_REDUCE || n->attrs.reduce.kind != KERB_REDUCE_MEAN || !kerb_int8_picture_source(g, n->inputs[0], &x)) return false;
    const KerbValue *v = &g->values[x.value], *y = &g->values[n->outputs[0]];
    return kerb_cpu_reduces_picture(g, n) && (y->rank == 2 || y->rank == 4) && kerb_int8_is_tensor(y) && v->dims[2] * v->dims[3] < 1 << 23; /* sums in 32 bits */
}

static void kerb_int8_mean_task(void *arg, int index, int thread)
{
    const KerbInt8AverageRun *r = arg;
    const KerbInt8Average *s = r->step->state;
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[1].t;
    const int groups = (s->channels + CHANNELS - 1) / CHANNELS, image = index / groups, first = index % groups * CHANNELS,
              n = s->channels - first < CHANNELS ? s->channels - first : CHANNELS;
    int32_t sums[CHANNELS] = {0};
    float means[CHANNELS];
    const uint8_t *in = (const uint8_t *)x->data + image * s->pixels * x->strides[3] + first;
    for (int64_t i = 0; i < s->pixels; i++, in += x->strides[3]) kerb_int8_accumulate(sums, in, n, s->x.dtype == KERB_I8 ? 0x80 : 0);
    kerb_int8_divide(means, sums, n, s->pixels, s->pixels, &s->x);
    for (int k = 0; k < n; k++) {
        const ptrdiff_t at = image * y->strides[0] + (first + k) * y->strides[1];
        if (s->to.dtype == KERB_F32)
            ((float *)y->data)[at] = means[k];
        else
            ((uint8_t *)y->data)[at] = kerb_int8_quantised(means[k], &s->to);
    }
}
static KerbStatus kerb_int8_mean_run(KerbNet *net, KerbStep *step)
{
    const KerbInt8Average *s = step->state;
    KerbInt8AverageRun r = {net, step};
    const int groups = (s->channels + CHANNELS - 1) / CHANNELS;
    kerb_cpu_parallel(net, s->images * groups, (double)s->images * (double)s->pixels * s->channels / 4, kerb_int8_mean_task, &r);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_mean_step = {"int8 mean", NULL, kerb_int8_mean_run, NULL};

/* ---- windows ---- */

bool kerb_int8_takes_average(const KerbGraph *g, const KerbNode *n)
{
    KerbQuant x;
    const KerbWindow *w = &n->attrs.pool.window;
    if (n->op != KERB_OP_AVERAGE_POOL || !kerb_int8_picture_source(g, n->inputs[0], &x) || w->n != 2 || w->auto_pad != KERB_PAD_EXPLICIT) return false;
    for (int i = 0; i < 2; i++) {
        if (w->pad_begin[i] < 0 || w->stride[i] < 1 || w->dilation[i] < 1 || w->kernel[i] < 1 || w->kernel[i] > 2048) return false; /* sums in 32 bits */
    }
    return true;
}

/* Elements of the window from `start` on that lie in 0 to `length`; *first of them, and how many are counted (with padding up to `end`). */
static int64_t kerb_int8_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t length, int64_t end, int64_t *first, int64_t *counted)
{
    int64_t k0 = 0, k1 = 0;
    while (k0 < kernel && start + k0 * dilation < 0) k0++;
    for (k1 = k0; k1 < kernel && start + k1 * dilation < length;) k1++;
    for (*counted = k1; *counted < kernel && start + *counted * dilation < end;) ++*counted;
    *first = k0;
    return k1 - k0;
}

/* A row of the target. */
static void kerb_int8_average_row(void *arg, int index, int thread)
{
    const KerbInt8AverageRun *r = arg;
    const KerbInt8Average *s = r->step->state;
    const KerbWindow *w = &s->window;
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[1].t;
    const int64_t oh = y->dims[2], ow = y->dims[3], ih = x->dims[2], iw = x->dims[3], image = index / oh, y0 = index % oh * w->stride[0] - w->pad_begin[0];
    int64_t ky, kx, rows_counted, columns_counted;
    const int64_t rows = kerb_int8_inside(y0, w->kernel[0], w->dilation[0], ih, ih + w->pad_end[0], &ky, &rows_counted);
    for (int64_t ox = 0; ox < ow; ox++) {
        const int64_t x0 = ox * w->stride[1] - w->pad_begin[1],
                      columns = kerb_int8_inside(x0, w->kernel[1], w->dilation[1], iw, iw + w->pad_end[1], &kx, &columns_counted);
        const int64_t seen = rows * columns, count = s->count_include_pad ? rows_counted * columns_counted : seen;
        uint8_t *out = (uint8_t *)y->data + (index * ow + ox) * y->strides[3];
        for (int first = 0; first < s->channels; first += CHANNELS) {
            const int n = s->channels - first < CHANNELS ? s->channels - first : CHANNELS;
            int32_t sums[CHANNELS] = {0};
            float means[CHANNELS];
            for (int64_t i = 0; i < rows; i++) {
                const int64_t line = image * ih + y0 + (ky + i) * w->dilation[0];
                for (int64_t j = 0; j < columns; j++) {
                    const int64_t pixel = line * iw + x0 + (kx + j) * w->dilation[1];
                    kerb_int8_accumulate(sums, (const uint8_t *)x->data + pixel * x->strides[3] + first, n, s->x.dtype == KERB_I8 ? 0x80 : 0);
                }
            }
            kerb_int8_divide(means, sums, n, seen, count ? count : 1, &s->x);
            r->net->k8->to_integers(out + first, means, (size_t)n, s->to.dtype == KERB_I8, s->to.zero, s->to.scale);
        }
    }
}
static KerbStatus kerb_int8_average_run(KerbNet *net, KerbStep *step)
{
    const KerbInt8Average *s = step->state;
    const KerbTensor *y = &step->operands[1].t;
    KerbInt8AverageRun r = {net, step};
    const double work = (double)kerb_tensor_elements(y) * (double)(s->window.kernel[0] * s->window.kernel[1]);
    kerb_cpu_parallel(net, (int)(y->dims[0] * y->dims[2]), work / 4, kerb_int8_average_row, &r);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_average_step = {"int8 average", NULL, kerb_int8_average_run, NULL};

/* ---- both ---- */

static KerbStatus kerb_int8_emit_average(KerbCompiler *c, const KerbNode *n, const KerbStepKind *kind, const KerbQuant *to)
{
    KerbOperand o[2];
    KerbInt8Average *s = kerb_cpu_object(c, sizeof *s);
    if (!s) return KERB_ERROR_MEMORY;
    kerb_quant_source(c->g, n->inputs[0], &s->x);
    s->to.dtype = KERB_F32;
    if (to) s->to = *to;
    KerbStatus status = kerb_int8_picture(c, s->x.value, &o[0]);
    if (!status) status = to ? kerb_int8_place(c, to, &o[1]) : kerb_cpu_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    s->images = (int)o[0].t.dims[0];
    s->channels = (int)o[0].t.dims[1];
    s->pixels = o[0].t.dims[2] * o[0].t.dims[3];
    if (n->op == KERB_OP_AVERAGE_POOL) {
        s->window = n->attrs.pool.window;
        s->count_include_pad = n->attrs.pool.count_include_pad;
    }
    KerbStep *step = kerb_cpu_step(c, kind, n, o, 2, 0);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = s;
    kerb_cpu_label(c, step, "%s %dx%d %d", kind->name, (int)o[0].t.dims[3], (int)o[0].t.dims[2], s->channels);
    return KERB_OK;
}

KerbStatus kerb_int8_compile_mean(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    return kerb_int8_emit_average(c, n, &kerb_int8_mean_step, to);
}

KerbStatus kerb_int8_compile_average(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    return kerb_int8_emit_average(c, n, &kerb_int8_average_step, to);
}
