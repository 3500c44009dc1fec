/* SPDX-License-Identifier: MIT */
/* Linear and nearest resizing of pictures over height and width. Positions and weights are worked out at compile, in double, as ONNX's
 * Resize says. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"

typedef struct KerbResizeAxis {
    int *i0, *i1;   /* the two neighbours */
    float *w0, *w1; /* their weights; nearest: w0 is 1 */
    int n;
} KerbResizeAxis;
typedef struct KerbResizing {
    KerbResizeAxis y, x;
    bool nearest;
    int n, c, ih, iw;
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

static void kerb_resize_row(void *arg, int index, int thread)
{
    const KerbResizeRun *r = arg;
    const KerbResizing *s = r->step->state;
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[1].t;
    const int bf16 = x->dtype == KERB_BF16, oy = index % s->y.n, image = index / s->y.n;
    const size_t unit = bf16 ? 2 : 4, step = (size_t)x->strides[3] * unit, row = (size_t)s->iw * step;
    const char *top = (const char *)x->data + ((size_t)image * (size_t)s->ih + (size_t)s->y.i0[oy]) * row;
    const char *bottom = (const char *)x->data + ((size_t)image * (size_t)s->ih + (size_t)s->y.i1[oy]) * row;
    char *out = (char *)y->data + (size_t)index * (size_t)s->x.n * (size_t)y->strides[3] * unit;
    for (int ox = 0; ox < s->x.n; ox++, out += (size_t)y->strides[3] * unit) {
        if (s->nearest) {
            memcpy(out, top + (size_t)s->x.i0[ox] * step, (size_t)s->c * unit);
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

KerbStatus kerb_cpu_compile_resize(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_RESIZE) return KERB_OK;
    const KerbResizeAttrs *a = &n->attrs.resize;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *y = &c->g->values[n->outputs[0]];
    if (x->rank != 4 || x->dtype != KERB_F32 || a->mode == KERB_RESIZE_CUBIC || a->antialias ||
        a->coordinates == KERB_COORD_TF_CROP_AND_RESIZE || x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1]) {
        return KERB_OK;
    }
    for (int i = 0; i < 4; i++) {
        if (x->dims[i] < 1 || y->dims[i] < 1) return KERB_OK;
    }
    *done = true;
    KerbOperand o[2];
    KerbStatus status = kerb_cpu_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cpu_place(c, n->outputs[0], &o[1]);
    if (!status && o[0].t.dtype != o[1].t.dtype) status = kerb_cpu_picture(c, n->inputs[0], o[1].t.dtype, &o[0]);
    if (status) return status;
    KerbStep *step = kerb_cpu_step(c, &kerb_resize_step, n, o, 2, 0);
    KerbResizing *s = kerb_cpu_object(c, sizeof *s);
    if (!step || !s) return KERB_ERROR_MEMORY;
    step->state = s;
    *s = (KerbResizing){.nearest = a->mode == KERB_RESIZE_NEAREST,
                        .n = (int)x->dims[0],
                        .c = (int)x->dims[1],
                        .ih = (int)x->dims[2],
                        .iw = (int)x->dims[3]};
    status = kerb_resize_axis(c, a, a->scale[2], (int)x->dims[2], (int)y->dims[2], &s->y);
    if (!status) status = kerb_resize_axis(c, a, a->scale[3], (int)x->dims[3], (int)y->dims[3], &s->x);
    kerb_cpu_label(c, step, "resize %s %d %dx%d -> %dx%d", s->nearest ? "nearest" : "linear", s->c, s->iw, s->ih, s->x.n, s->y.n);
    return status;
}
