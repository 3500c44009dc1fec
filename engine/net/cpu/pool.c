/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling of pictures; maximum pooling with indices and its inverse. Where indices are only read by MaxUnpool they are
 * kept as one byte each: the place in the window. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"
#include "net/views.h"

#define MAX_ROWS 64

typedef struct KerbPooling {
    bool maximum, count_padding;
    int n, c, ih, iw, oh, ow, kh, kw, sh, sw, dh, dw, pad_top, pad_left, pad_bottom, pad_right;
} KerbPooling;
typedef struct KerbPoolRun {
    KerbNet *net;
    const KerbStep *step;
} KerbPoolRun;

static void kerb_pool_row(void *arg, int index, int thread)
{
    const KerbPoolRun *r = arg;
    const KerbPooling *s = r->step->state;
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[1].t;
    const int bf16 = x->dtype == KERB_BF16;
    const size_t unit = kerb_dtype_bytes(x->dtype);
    int image = index / s->oh, oy = index % s->oh;
    const void *rows[MAX_ROWS];
    KerbPool p = {.rows = rows,
                  .source_step = x->strides[3],
                  .source_width = s->iw,
                  .target_step = y->strides[3],
                  .x1 = s->ow,
                  .channels = s->c,
                  .kernel_h = s->kh,
                  .kernel_w = s->kw,
                  .stride = s->sw,
                  .dilation = s->dw,
                  .pad_left = s->pad_left,
                  .pad_width = s->count_padding ? s->iw + s->pad_right : 0};
    for (int ky = 0; ky < s->kh; ky++) {
        int sy = oy * s->sh - s->pad_top + ky * s->dh;
        bool inside = sy >= 0 && sy < s->ih;
        rows[ky] = inside
                       ? (const char *)x->data + ((size_t)image * (size_t)s->ih + (size_t)sy) * (size_t)s->iw * (size_t)x->strides[3] * unit
                       : NULL;
        p.rows_counted += inside || (s->count_padding && sy < s->ih + s->pad_bottom);
    }
    p.target = (char *)y->data + (size_t)index * (size_t)s->ow * (size_t)y->strides[3] * unit;
    if (r->step->n_operands > 2) {
        p.indices = (uint8_t *)r->step->operands[2].t.data + (size_t)index * (size_t)s->ow * (size_t)s->c;
        p.indices_step = s->c;
    }
    if (unit == 1) {
        r->net->k8->max_pool[x->dtype == KERB_I8](&p);
        return;
    }
    (s->maximum ? r->net->k->max_pool : r->net->k->average_pool)[bf16](&p);
}

static KerbStatus kerb_pool_run_step(KerbNet *net, KerbStep *step)
{
    const KerbPooling *s = step->state;
    KerbPoolRun run = {net, step};
    kerb_cpu_parallel(net, s->n * s->oh, (double)s->n * s->oh * s->ow * s->c * s->kh * s->kw / 16, kerb_pool_row, &run);
    return KERB_OK;
}
static const KerbStepKind kerb_pool_step = {"pool", NULL, kerb_pool_run_step, NULL};

static bool kerb_pool_spec(KerbCompiler *c, const KerbNode *n, KerbPooling *s)
{
    const KerbValue *x = kerb_node_input(c->g, n, 0), *y = &c->g->values[n->outputs[0]];
    const KerbPoolAttrs *a = &n->attrs.pool;
    const KerbWindow *w = &a->window;
    if (x->rank != 4 || x->dtype != KERB_F32 || w->n != 2 || w->auto_pad != KERB_PAD_EXPLICIT || w->pad_begin[0] < 0 || w->pad_begin[1] < 0)
        return false;
    for (int i = 0; i < 4; i++) {
        if (x->dims[i] < 1 || y->dims[i] < 1) return false;
    }
    *s = (KerbPooling){.maximum = n->op == KERB_OP_MAX_POOL,
                       .count_padding = n->op == KERB_OP_AVERAGE_POOL && a->count_include_pad,
                       .n = (int)x->dims[0],
                       .c = (int)x->dims[1],
                       .ih = (int)x->dims[2],
                       .iw = (int)x->dims[3],
                       .oh = (int)y->dims[2],
                       .ow = (int)y->dims[3],
                       .kh = (int)w->kernel[0],
                       .kw = (int)w->kernel[1],
                       .sh = (int)w->stride[0],
                       .sw = (int)w->stride[1],
                       .dh = (int)w->dilation[0],
                       .dw = (int)w->dilation[1],
                       .pad_top = (int)w->pad_begin[0],
                       .pad_left = (int)w->pad_begin[1],
                       .pad_bottom = (int)w->pad_end[0],
                       .pad_right = (int)w->pad_end[1]};
    return w->kernel[0] >= 1 && w->kernel[0] <= MAX_ROWS && w->kernel[1] >= 1 && w->kernel[1] < 1 << 15 && s->sh > 0 && s->sw > 0 &&
           s->dh > 0 && s->dw > 0;
}

/* The byte indices of one pool are dense channels-last. */
static KerbStatus kerb_pool_place_indices(KerbCompiler *c, const KerbNode *n, KerbOperand *out)
{
    const KerbValue *y = &c->g->values[n->outputs[1]];
    KerbTensor t = kerb_tensor_channels_last(NULL, KERB_U8, 4, y->dims, y->dims[1]);
    KerbStatus status = kerb_cpu_temporary(c, &t, out);
    if (!status) kerb_cpu_alias(c, n->outputs[1], out, &t, 0);
    return status;
}

static KerbStatus kerb_pool_emit(KerbCompiler *c, const KerbNode *n, const KerbOperand *o, int count, const KerbPooling *s)
{
    KerbStep *step = kerb_cpu_step(c, &kerb_pool_step, n, o, count, 0);
    KerbPooling *state = kerb_cpu_object(c, sizeof *state);
    if (!step || !state) return KERB_ERROR_MEMORY;
    *state = *s;
    step->state = state;
    kerb_cpu_label(c, step, "%s pool%s %dx%d stride %d %d %dx%d", s->maximum ? "max" : "average", kerb_dtype_bytes(o[0].t.dtype) == 1 ? " int8" : "",
                   s->kw, s->kh, s->sw, s->c, s->ow, s->oh);
    return KERB_OK;
}

KerbStatus kerb_cpu_compile_pool(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbPooling s;
    bool indices = n->n_outputs > 1 && n->outputs[1] != KERB_NO_VALUE;
    if ((n->op != KERB_OP_MAX_POOL && n->op != KERB_OP_AVERAGE_POOL) || !kerb_pool_spec(c, n, &s) ||
        (indices && !kerb_pool_indices_stay(c->g, n)))
        return KERB_OK;
    *done = true;
    KerbOperand o[3];
    KerbStatus status = kerb_cpu_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cpu_place(c, n->outputs[0], &o[1]);
    if (!status && indices) status = kerb_pool_place_indices(c, n, &o[2]);
    if (!status && o[0].t.dtype != o[1].t.dtype) status = kerb_cpu_picture(c, n->inputs[0], o[1].t.dtype, &o[0]);
    if (status) return status;
    return kerb_pool_emit(c, n, o, indices ? 3 : 2, &s);
}

bool kerb_cpu_pools(KerbCompiler *c, const KerbNode *n)
{
    KerbPooling s;
    return n->op == KERB_OP_MAX_POOL && (n->n_outputs < 2 || n->outputs[1] == KERB_NO_VALUE) && kerb_pool_spec(c, n, &s);
}

KerbStatus kerb_cpu_emit_max_pool(KerbCompiler *c, const KerbNode *n, const KerbOperand o[2])
{
    KerbPooling s;
    kerb_pool_spec(c, n, &s);
    return kerb_pool_emit(c, n, o, 2, &s);
}

/* ---- unpooling: every target pixel looks whether it was its window's largest ---- */

static void kerb_unpool_row(void *arg, int index, int thread)
{
    const KerbPoolRun *r = arg;
    const KerbPooling *s = r->step->state; /* of the pool: its source is this target */
    const KerbTensor *x = &r->step->operands[0].t, *y = &r->step->operands[2].t;
    const int image = index / s->ih, at = index % s->ih + s->pad_top, wy = at / s->sh, ky = at % s->sh;
    float *out = (float *)y->data + (ptrdiff_t)index * s->iw * y->strides[3];
    for (int px = 0; px < s->iw; px++, out += y->strides[3]) {
        const int wx = (px + s->pad_left) / s->sw, kx = (px + s->pad_left) % s->sw;
        if (wy >= s->oh || wx >= s->ow || ky >= s->kh || kx >= s->kw) { /* between windows */
            memset(out, 0, (size_t)s->c * sizeof *out);
            continue;
        }
        const ptrdiff_t window = ((ptrdiff_t)image * s->oh + wy) * s->ow + wx;
        const float *in = (const float *)x->data + window * x->strides[3];
        const uint8_t *place = (const uint8_t *)r->step->operands[1].t.data + window * s->c, mine = (uint8_t)(ky * s->kw + kx);
        for (int i = 0; i < s->c; i++) out[i] = place[i] == mine ? in[i] : 0;
    }
}
static KerbStatus kerb_unpool_run(KerbNet *net, KerbStep *step)
{
    const KerbPooling *s = step->state;
    KerbPoolRun run = {net, step};
    kerb_cpu_parallel(net, s->n * s->ih, (double)s->n * s->ih * s->iw * s->c / 2, kerb_unpool_row, &run);
    return KERB_OK;
}
static const KerbStepKind kerb_unpool_step = {"unpool", NULL, kerb_unpool_run, NULL};

KerbStatus kerb_cpu_compile_unpool(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_MAX_UNPOOL) return KERB_OK;
    KerbOperand o[3] = {{.root = KERB_NO_ROOT}, kerb_cpu_value(c, n->inputs[1])};
    if (o[1].t.dtype != KERB_U8) return KERB_OK; /* ONNX's own indices: the reference's case */
    *done = true;
    KerbPooling *s = kerb_cpu_object(c, sizeof *s);
    if (!s) return KERB_ERROR_MEMORY;
    kerb_pool_spec(c, &c->g->nodes[c->g->values[n->inputs[1]].producer], s);
    KerbStatus status = kerb_cpu_picture(c, n->inputs[0], KERB_F32, &o[0]);
    KerbOperand target;
    if (!status) status = kerb_cpu_place(c, n->outputs[0], &target);
    if (status) return status;
    o[2] = target;
    if (target.t.dtype != KERB_F32) {
        KerbTensor t = kerb_tensor_channels_last(NULL, KERB_F32, 4, target.t.dims, target.t.dims[1]);
        if ((status = kerb_cpu_temporary(c, &t, &o[2]))) return status;
    }
    KerbStep *step = kerb_cpu_step(c, &kerb_unpool_step, n, o, 3, 0);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = s;
    kerb_cpu_label(c, step, "unpool %dx%d %d %dx%d", s->kw, s->kh, s->c, s->iw, s->ih);
    return target.t.dtype == KERB_F32 ? KERB_OK : kerb_cpu_copy(c, n, &o[2], &target);
}
