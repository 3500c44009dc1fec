/* SPDX-License-Identifier: MIT */
/* Linear and nearest resizing of pictures over height and width. Positions and weights are worked out at compile, in double, as ONNX's
 * Resize says. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/int8.h"

typedef struct KerbResizeAxis {
    int *i0, *i1;   /* the two neighbours */
    float *w0, *w1; /* their weights; nearest: w0 is 1 */
    int n;
} KerbResizeAxis;
typedef struct KerbResizing {
    KerbResizeAxis y, x;
    bool nearest;
    int n, c, ih, iw;
    KerbQuant from, to;    /* of 8-bit pictures */
    bool rescale;          /* nearest: by `table` */
    uint8_t table[256];
    size_t bytes_a_thread; /* linear on 8-bit pictures: two rows of the source and one of the target, in floats */
} KerbResizing;

/* ONNX: the place in the input of output index `o`. The resized length need not be whole where the model gives scales. */
static double kerb_resize_place(const KerbResizeAttrs *a, double o, double scale, double in, double out)
{
    const double length = scale * in;
    switch (a->coordinates) {
    case KERB_COORD_ALIGN_CORNERS: return out == 1 || length == 1 ? 0 : o * (in - 1) / (length - 1);
    case KERB_COORD_ASYMMETRIC: return o / scale;
    case KERB_COORD_PYTORCH_HALF_PIXEL: return out > 1 ? (o + 0.5) / scale - 0.5 : 0;
    case KERB_COORD_HALF_PIXEL_SYMMETRIC: {
        double adjustment = out / length, centre = in / 2;
        return centre * (1 - adjustment) + (o + 0.5) / scale - 0.5;
    }
    default: return (o + 0.5) / scale - 0.5;
    }
}
static double kerb_resize_round(KerbNearest nearest, double x)
{
    switch (nearest) {
    case KERB_NEAREST_ROUND_PREFER_FLOOR: return ceil(x - 0.5);
    case KERB_NEAREST_ROUND_PREFER_CEIL: return floor(x + 0.5);
    case KERB_NEAREST_FLOOR: return floor(x);
    default: return ceil(x);
    }
}

static KerbStatus kerb_resize_axis(KerbCompiler *c, const KerbResizeAttrs *a, double scale, int in, int out, KerbResizeAxis *axis)
{
    axis->n = out;
    axis->i0 = kerb_cpu_object(c, (size_t)out * sizeof(int));
    axis->i1 = kerb_cpu_object(c, (size_t)out * sizeof(int));
    axis->w0 = kerb_cpu_object(c, (size_t)out * sizeof(float));
    axis->w1 = kerb_cpu_object(c, (size_t)out * sizeof(float));
    if (!axis->i0 || !axis->i1 || !axis->w0 || !axis->w1) return KERB_ERROR_MEMORY;
    for (int o = 0; o < out; o++) {
        double x = kerb_resize_place(a, o, scale, in, out), low = floor(x);
        double w1 = x - low;
        if (a->mode == KERB_RESIZE_NEAREST) {
            low = kerb_resize_round(a->nearest, x);
            w1 = 0;
        }
        bool in0 = low >= 0 && low < in, in1 = low + 1 >= 0 && low + 1 < in;
        axis->i0[o] = (int)(low < 0 ? 0 : low >= in ? in - 1 : low);
        axis->i1[o] = (int)(low + 1 < 0 ? 0 : low + 1 >= in ? in - 1 : low + 1);
        axis->w0[o] = a->zero_border && !in0 ? 0 : (float)(1 - w1);
        axis->w1[o] = a->zero_border && !in1 ? 0 : (float)w1;
    }
    return KERB_OK;
}

typedef struct KerbResizeRun {
    KerbNet *net;
    const KerbStep *step;
} KerbResizeRun;

/* 8-bit pictures: rows become floats in the cache, and one of 8 bits again. */
static void kerb_resize_row_int8(const KerbResizeRun *r, int index, int thread)
{
    const KerbResizing *s = r->step->state;
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[1].t;
    const int oy = index % s->y.n, image = index / s->y.n;
    const size_t width = (size_t)s->iw * (size_t)s->c;
    float *rows[2] = {(float *)((char *)r->step->scratch + (size_t)thread * s->bytes_a_thread)}, *out;
    rows[1] = rows[0] + width;
    out = rows[1] + width;
    for (int i = 0; i < 2; i++)
        kerb_int8_load(r->net, x, &s->from, ((int64_t)image * s->ih + (i ? s->y.i1[oy] : s->y.i0[oy])) * s->iw, s->iw, rows[i]);
    for (int ox = 0; ox < s->x.n; ox++) {
        const ptrdiff_t left = (ptrdiff_t)s->x.i0[ox] * s->c, right = (ptrdiff_t)s->x.i1[ox] * s->c;
        const void *corners[4] = {rows[0] + left, rows[0] + right, rows[1] + left, rows[1] + right};
        const float w[4] = {s->y.w0[oy] * s->x.w0[ox], s->y.w0[oy] * s->x.w1[ox], s->y.w1[oy] * s->x.w0[ox], s->y.w1[oy] * s->x.w1[ox]};
        r->net->k->blend4[0](out + (ptrdiff_t)ox * s->c, corners, w, s->c);
    }
    kerb_int8_store(r->net, y, &s->to, (int64_t)index * s->x.n, s->x.n, out);
}

static void kerb_resize_row(void *arg, int index, int thread)
{
    const KerbResizeRun *r = arg;
    const KerbResizing *s = r->step->state;
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[1].t;
    if (s->bytes_a_thread) {
        kerb_resize_row_int8(r, index, thread);
        return;
    }
    const int bf16 = x->dtype == KERB_BF16, oy = index % s->y.n, image = index / s->y.n;
    const size_t unit = kerb_dtype_bytes(x->dtype), step = (size_t)x->strides[3] * unit, row = (size_t)s->iw * step;
    const char *top = (const char *)x->data + ((size_t)image * (size_t)s->ih + (size_t)s->y.i0[oy]) * row;
    const char *bottom = (const char *)x->data + ((size_t)image * (size_t)s->ih + (size_t)s->y.i1[oy]) * row;
    char *out = (char *)y->data + (size_t)index * (size_t)s->x.n * (size_t)y->strides[3] * unit;
    for (int ox = 0; ox < s->x.n; ox++, out += (size_t)y->strides[3] * unit) {
        if (s->nearest) {
            const uint8_t *in = (const uint8_t *)top + (size_t)s->x.i0[ox] * step;
            if (s->rescale)
                for (int i = 0; i < s->c; i++) out[i] = (char)s->table[in[i]];
            else
                memcpy(out, in, (size_t)s->c * unit);
            continue;
        }
        const void *corners[4] = {top + (size_t)s->x.i0[ox] * step, top + (size_t)s->x.i1[ox] * step, bottom + (size_t)s->x.i0[ox] * step,
                                  bottom + (size_t)s->x.i1[ox] * step};
        const float w[4] = {s->y.w0[oy] * s->x.w0[ox], s->y.w0[oy] * s->x.w1[ox], s->y.w1[oy] * s->x.w0[ox], s->y.w1[oy] * s->x.w1[ox]};
        r->net->k->blend4[bf16](out, corners, w, s->c);
    }
}
static KerbStatus kerb_resize_run(KerbNet *net, KerbStep *step)
{
    const KerbResizing *s = step->state;
    KerbResizeRun run = {net, step};
    kerb_cpu_parallel(net, s->n * s->y.n, (double)s->n * s->y.n * s->x.n * (s->c + 16) / 4, kerb_resize_row, &run);
    return KERB_OK;
}
static const KerbStepKind kerb_resize_step = {"resize", NULL, kerb_resize_run, NULL};

bool kerb_cpu_resizes(const KerbCompiler *c, const KerbNode *n)
{
    const KerbResizeAttrs *a = &n->attrs.resize;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *y = &c->g->values[n->outputs[0]];
    if (x->rank != 4 || x->dtype != KERB_F32 || a->mode == KERB_RESIZE_CUBIC || a->antialias ||
        a->coordinates == KERB_COORD_TF_CROP_AND_RESIZE || x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1]) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if (x->dims[i] < 1 || y->dims[i] < 1) return false;
    }
    return true;
}

KerbStatus kerb_cpu_emit_resize(KerbCompiler *c, const KerbNode *n, const KerbOperand o[2], const KerbQuant *from, const KerbQuant *to)
{
    const KerbResizeAttrs *a = &n->attrs.resize;
    const KerbTensor *x = &o[0].t, *y = &o[1].t;
    KerbResizing *s = kerb_cpu_object(c, sizeof *s);
    if (!s) return KERB_ERROR_MEMORY;
    *s = (KerbResizing){.nearest = a->mode == KERB_RESIZE_NEAREST,
                        .n = (int)x->dims[0],
                        .c = (int)x->dims[1],
                        .ih = (int)x->dims[2],
                        .iw = (int)x->dims[3]};
    if (from) {
        s->from = *from;
        s->to = *to;
        s->rescale = s->nearest && !kerb_quant_same(from, to);
        if (s->rescale) kerb_int8_requantise(from, to, s->table);
        if (!s->nearest) s->bytes_a_thread = ((size_t)(2 * s->iw + y->dims[3]) * (size_t)s->c * sizeof(float) + 63) / 64 * 64;
    }
    KerbStep *step = kerb_cpu_step(c, &kerb_resize_step, n, o, 2, s->bytes_a_thread * (size_t)c->net->threads);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = s;
    KerbStatus status = kerb_resize_axis(c, a, a->scale[2], (int)x->dims[2], (int)y->dims[2], &s->y);
    if (!status) status = kerb_resize_axis(c, a, a->scale[3], (int)x->dims[3], (int)y->dims[3], &s->x);
    kerb_cpu_label(c, step, "resize %s%s %d %dx%d -> %dx%d", s->nearest ? "nearest" : "linear", from ? " int8" : "", s->c, s->iw, s->ih, s->x.n,
                   s->y.n);
    return status;
}

KerbStatus kerb_cpu_compile_resize(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_RESIZE || !kerb_cpu_resizes(c, n)) return KERB_OK;
    *done = true;
    KerbOperand o[2];
    KerbStatus status = kerb_cpu_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cpu_place(c, n->outputs[0], &o[1]);
    if (!status && o[0].t.dtype != o[1].t.dtype) status = kerb_cpu_picture(c, n->inputs[0], o[1].t.dtype, &o[0]);
    return status ? status : kerb_cpu_emit_resize(c, n, o, NULL, NULL);
}
