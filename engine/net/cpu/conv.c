/* SPDX-License-Identifier: MIT */
/* Convolution nodes: which of the ways (direct, Winograd, depthwise, oneDNN) computes each, by timing every new shape once at compile.
 *
 * In f32 dense and depthwise convolutions are our own's: they are as fast as oneDNN's within a few per cent (docs/performance.md), and
 * dnnl_primitive_execute() allocates at every call, which the streaming path must not. oneDNN computes what is in bf16, and grouped f32
 * convolutions where it is clearly faster. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/conv.h"

static const KerbConvKind *const kerb_conv_kinds[] = {&kerb_conv_depthwise, &kerb_conv_winograd, &kerb_conv_winograd_shared,
                                                      &kerb_conv_direct, &kerb_conv_dnn};
#define N_KINDS (int)(sizeof kerb_conv_kinds / sizeof kerb_conv_kinds[0])

/* ---- the step ---- */

static KerbStatus kerb_conv_step_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    KerbConv *c = step->state;
    c->source = step->operands[0].t.data;
    c->target = step->operands[1].t.data;
    c->residual = step->n_operands > 2 ? step->operands[2].t.data : NULL;
    c->scratch = step->scratch;
    return c->kind->bind ? c->kind->bind(c, error) : KERB_OK;
}
static KerbStatus kerb_conv_step_run(KerbNet *net, KerbStep *step)
{
    KerbConv *c = step->state;
    return c->kind->run(c);
}
static void kerb_conv_step_free(KerbStep *step)
{
    KerbConv *c = step->state;
    if (c) c->kind->free(c);
}
static const KerbStepKind kerb_conv_step = {"conv", kerb_conv_step_bind, kerb_conv_step_run, kerb_conv_step_free};

/* ---- choosing ---- */

/* Does an own way serve, so that oneDNN need not be asked? */
static bool kerb_conv_own(const KerbConv *c)
{
    return kerb_conv_depthwise.applies(c) ? !c->s.source_bf16 : c->s.groups == 1 && kerb_conv_direct.applies(c);
}

/* Without timing: what has been best most often. */
static const KerbConvKind *kerb_conv_guess(const KerbConv *c)
{
    const KerbConvSpec *s = &c->s;
    if (kerb_conv_depthwise.applies(c)) return &kerb_conv_depthwise;
    if (kerb_conv_winograd.applies(c) && s->ic >= 32 && s->oc >= 32 && !s->source_bf16)
        return s->ic * s->oc < 180 * 180 ? &kerb_conv_winograd : &kerb_conv_winograd_shared;
    if (kerb_conv_own(c) || s->block > 1 || !kerb_conv_dnn.applies(c)) return &kerb_conv_direct;
    return &kerb_conv_dnn;
}

/* Is it worth timing? Winograd does a quarter of the multiplications, so on many channels the others cannot win; and its two schedules part
 * early. */
static bool kerb_conv_promising(const KerbConv *c, const KerbConvKind *kind)
{
    const KerbConvSpec *s = &c->s;
    const int64_t pairs = (int64_t)s->ic * s->oc;
    if (kind == &kerb_conv_dnn && kerb_conv_own(c)) return false;
    if (kerb_conv_depthwise.applies(c)) return kind == &kerb_conv_depthwise || kind == &kerb_conv_dnn;
    if (kind == &kerb_conv_winograd) return pairs <= 320 * 320;
    if (kind == &kerb_conv_winograd_shared) return pairs >= 100 * 100;
    return !(kerb_conv_winograd.applies(c) && s->ic >= 48 && s->oc >= 48) || s->source_bf16;
}

#define TIMED_FLOPS 1.5e9 /* larger problems are timed on a part of their rows */

/* Best of a few runs on made-up data, in ns; INT64_MAX: cannot. */
static int64_t kerb_conv_time(const KerbConv *like, const KerbConvKind *kind, int64_t best)
{
    KerbConv c = *like;
    c.kind = kind;
    double flops = 2.0 * c.s.n * c.s.oh * c.s.ow * c.s.oc * (c.s.ic / c.s.groups) * c.s.kh * c.s.kw;
    if (flops > TIMED_FLOPS) {
        int oh = (int)(c.s.oh * TIMED_FLOPS / flops), least = 16 * c.s.dh;
        if (oh < least) oh = least;
        if (oh < c.s.oh) {
            c.s.ih -= (c.s.oh - oh) * c.s.sh;
            c.s.oh = oh;
        }
    }
    if (c.s.ih < 1 || kind->prepare(&c, NULL)) return INT64_MAX;
    const size_t source = (size_t)c.s.n * (size_t)c.s.ih * (size_t)c.s.iw * (size_t)c.s.source_step * 4;
    const size_t target = (size_t)c.s.n * (size_t)(c.s.oh * c.s.ow * c.s.block * c.s.block) * (size_t)c.s.target_step * 4;
    float *from = kerb_alloc(source + 64), *to = kerb_alloc(target + 64), *residual = kerb_alloc(target + 64);
    void *scratch = kerb_alloc(c.scratch_bytes + 64);
    c.source = from;
    c.target = to;
    c.residual = !c.s.residual_step ? NULL : c.s.residual_in_place ? to : residual;
    if (c.s.residual_step > c.s.target_step) c.s.residual_step = c.s.target_step;
    c.scratch = scratch;
    int64_t least = INT64_MAX;
    if (from && to && residual && scratch && (!kind->bind || !kind->bind(&c, NULL))) {
        int64_t spent = 0;
        for (int i = 0; i < 4 && spent < 20000000; i++) {
            int64_t start = kerb_now_ns();
            if (kind->run(&c)) break;
            int64_t ns = kerb_now_ns() - start;
            spent += ns;
            if (ns < least) least = ns;
            if (i == 1 && least / 2 > best) break; /* hopeless */
        }
    }
    kind->free(&c);
    kerb_free(&from);
    kerb_free(&to);
    kerb_free(&residual);
    kerb_free(&scratch);
    return least;
}

static const KerbConvKind *kerb_conv_choose(KerbCompiler *c, const KerbConv *conv)
{
    const KerbConvKind *can[N_KINDS];
    int n = 0;
    for (int i = 0; i < N_KINDS; i++) {
        if (kerb_conv_kinds[i]->applies(conv)) can[n++] = kerb_conv_kinds[i];
    }
    if (n <= 1) return n ? can[0] : NULL;
    const char *forced = getenv("KERB_CPU_CONV"); /* for tests: this way wherever it applies */
    for (int i = 0; forced && i < n; i++) {
        if (!strcmp(forced, can[i]->name)) return can[i];
    }
    const KerbConvKind *kind = kerb_conv_guess(conv);
    if (!c->tune) return kind;
    int promising = 0;
    for (int i = 0; i < n; i++) {
        if (kerb_conv_promising(conv, can[i])) can[promising++] = can[i];
    }
    if (promising <= 1) return promising ? can[0] : kind;
    const KerbConvKind *known = kerb_tuning_find(c, &conv->s, can, promising);
    if (known) return known;
    if (c->tune_ns_left <= 0) return kind;
    int64_t start = kerb_now_ns(), best = INT64_MAX;
    for (int i = 0; i < promising; i++) {
        int64_t ns = kerb_conv_time(conv, can[i], best);
        kerb_log(KERB_LOG_DEBUG, "cpu: conv %dx%d %d->%d %dx%d stride %d dilation %d: %s %.3f ms", conv->s.kw, conv->s.kh, conv->s.ic,
                 conv->s.oc, conv->s.ow, conv->s.oh, conv->s.sw, conv->s.dw, can[i]->name, ns == INT64_MAX ? -1.0 : (double)ns * 1e-6);
        if (can[i] == &kerb_conv_dnn && !conv->s.source_bf16 && ns != INT64_MAX) ns += ns / 8; /* what it allocates must be worth it */
        if (ns < best) {
            best = ns;
            kind = can[i];
        }
    }
    c->tune_ns_left -= kerb_now_ns() - start;
    kerb_tuning_add(c, &conv->s, kind);
    return kind;
}

/* ---- from the node ---- */

bool kerb_conv_understood(const KerbCompiler *c, const KerbNode *n)
{
    return kerb_conv_regular(c, n) && !c->int8[n - c->g->nodes];
}

bool kerb_conv_regular(const KerbCompiler *c, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(c->g, n, 0), *w = kerb_node_input(c->g, n, 1), *b = kerb_node_input(c->g, n, 2),
                    *r = kerb_node_input(c->g, n, 3);
    const KerbWindow *win = &n->attrs.conv.window;
    if (n->op != KERB_OP_CONV || x->rank != 4 || x->dtype != KERB_F32 || !kerb_value_is_constant(w) || w->dtype != KERB_F32) return false;
    if ((b && !kerb_value_is_constant(b)) || (r && r->rank != 4)) return false;
    for (int i = 0; i < 4; i++) {
        if (x->dims[i] < 1 || w->dims[i] < 1 || x->dims[i] > INT_MAX / 2) return false;
    }
    return win->n == 2 && win->auto_pad == KERB_PAD_EXPLICIT && win->pad_begin[0] >= 0 && win->pad_begin[1] >= 0;
}

bool kerb_conv_spec(KerbCompiler *c, const KerbNode *n, uint32_t output, KerbConvSpec *s)
{
    const KerbValue *x = kerb_node_input(c->g, n, 0), *w = kerb_node_input(c->g, n, 1), *y = &c->g->values[n->outputs[0]];
    const KerbConvAttrs *a = &n->attrs.conv;
    memset(s, 0, sizeof *s);
    s->n = (int)x->dims[0];
    s->ic = (int)x->dims[1];
    s->ih = (int)x->dims[2];
    s->iw = (int)x->dims[3];
    s->oc = (int)y->dims[1];
    s->oh = (int)y->dims[2];
    s->ow = (int)y->dims[3];
    s->kh = (int)w->dims[2];
    s->kw = (int)w->dims[3];
    s->sh = (int)a->window.stride[0];
    s->sw = (int)a->window.stride[1];
    s->dh = (int)a->window.dilation[0];
    s->dw = (int)a->window.dilation[1];
    s->pad_top = (int)a->window.pad_begin[0];
    s->pad_left = (int)a->window.pad_begin[1];
    s->groups = (int)a->group;
    s->block = 1;
    if (output != n->outputs[0]) {
        const KerbNode *shuffle = &c->g->nodes[c->g->values[output].producer];
        s->block = (int)shuffle->attrs.block.size;
        s->block_crd = shuffle->attrs.block.crd;
    }
    return s->n > 0 && s->oh > 0 && s->ow > 0 && s->sh > 0 && s->sw > 0 && s->dh > 0 && s->dw > 0 && s->groups > 0;
}

/* Dense OIHW f32 weights of the graph, aligned to floats. */
static const float *kerb_conv_weights(KerbCompiler *c, uint32_t id)
{
    return kerb_cpu_value(c, id).t.data;
}

KerbStatus kerb_conv_new(KerbCompiler *c, const KerbNode *n, uint32_t output, KerbConv **out)
{
    *out = NULL;
    if (n->op != KERB_OP_CONV || !kerb_conv_understood(c, n)) return KERB_OK;
    KerbConv *conv = kerb_cpu_object(c, sizeof *conv);
    if (!conv) return KERB_ERROR_MEMORY;
    KerbConvSpec *s = &conv->s;
    conv->net = c->net;
    if (!kerb_conv_spec(c, n, output, s) || !kerb_cpu_act(c, &n->attrs.conv.act, s->oc, &conv->act)) return KERB_OK;
    s->slope = conv->act.finish.slope != NULL;
    s->clip = conv->act.finish.clip;
    s->unary = !kerb_cpu_act_is_plain(&conv->act);
    conv->weights = kerb_conv_weights(c, n->inputs[1]);
    if (kerb_node_input(c->g, n, 2)) conv->bias = kerb_cpu_floats(c, n->inputs[2], (size_t)s->oc + 2 * KERB_LANES_MAX);
    if (!conv->weights || (kerb_node_input(c->g, n, 2) && !conv->bias)) return KERB_ERROR_MEMORY;
    *out = conv;
    return KERB_OK;
}

/* *done false: no way applies (windows wholly outside the picture, in bf16), so the reference takes the node. */
static KerbStatus kerb_conv_finish(KerbCompiler *c, const KerbNode *n, KerbConv *conv, const KerbOperand *operands, int count, bool *done)
{
    KerbStatus status = KERB_OK;
    conv->kind = kerb_conv_choose(c, conv);
    *done = conv->kind != NULL;
    if (!*done) return KERB_OK;
    status = conv->kind->prepare(conv, c->error);
    for (int i = 0; status == KERB_ERROR_UNSUPPORTED && i < N_KINDS; i++) { /* oneDNN says only now that it cannot */
        if (kerb_conv_kinds[i] == conv->kind || !kerb_conv_kinds[i]->applies(conv)) continue;
        conv->kind = kerb_conv_kinds[i];
        status = conv->kind->prepare(conv, c->error);
    }
    if (conv->kind == &kerb_conv_dnn) c->net->on_omp = true;
    *done = status != KERB_ERROR_UNSUPPORTED;
    if (status) return *done ? status : KERB_OK;
    c->net->weight_bytes += conv->packed_bytes;
    KerbStep *step = kerb_cpu_step(c, &kerb_conv_step, n, operands, count, conv->scratch_bytes);
    if (!step) {
        conv->kind->free(conv);
        return KERB_ERROR_MEMORY;
    }
    step->state = conv;
    const KerbConvSpec *s = &conv->s;
    kerb_cpu_label(c, step, "conv %s %dx%d%s%s %d->%d %dx%d", conv->kind->name, s->kw, s->kh, s->sw > 1 ? " stride" : "",
                   s->dw > 1 ? " dilated" : "", s->ic, s->oc, s->ow, s->oh);
    return KERB_OK;
}

KerbStatus kerb_cpu_compile_conv(KerbCompiler *c, const KerbNode *n, bool *done)
{
    uint32_t output = n->outputs[0];
    if (n->op == KERB_OP_DEPTH_TO_SPACE) { /* a convolution that was fused into its shuffle */
        uint32_t producer = c->g->values[n->inputs[0]].producer;
        if (producer == KERB_NO_NODE || c->fused_into[producer] != (uint32_t)c->node) return KERB_OK;
        n = &c->g->nodes[producer];
    }
    KerbConv *conv;
    KerbStatus status = kerb_conv_new(c, n, output, &conv);
    if (status || !conv) return status;
    KerbConvSpec *s = &conv->s;
    *done = true;
    KerbOperand o[3];
    status = kerb_cpu_picture(c, n->inputs[0], c->net->bf16 ? KERB_BF16 : KERB_F32, &o[0]);
    if (status) return status;
    bool has_residual = kerb_node_input(c->g, n, 3) != NULL;
    if (has_residual && (status = kerb_cpu_picture(c, n->inputs[3], KERB_DTYPE_NONE, &o[2]))) return status;
    status =
        has_residual && n->inputs[3] != n->inputs[0] ? kerb_cpu_place_over(c, output, &o[2], 1, &o[1]) : kerb_cpu_place(c, output, &o[1]);
    if (status) return status;
    if (has_residual && o[2].t.dtype != o[1].t.dtype && (status = kerb_cpu_picture(c, n->inputs[3], o[1].t.dtype, &o[2]))) return status;
    s->source_step = o[0].t.strides[3];
    s->target_step = o[1].t.strides[3];
    s->residual_step = has_residual ? o[2].t.strides[3] : 0;
    s->residual_in_place = has_residual && o[2].root == o[1].root && o[2].offset == o[1].offset;
    s->source_bf16 = o[0].t.dtype == KERB_BF16;
    s->target_bf16 = o[1].t.dtype == KERB_BF16;
    return kerb_conv_finish(c, n, conv, o, has_residual ? 3 : 2, done);
}

/* A convolution whose only reader is a DepthToSpace writes its sums shuffled. */
void kerb_cpu_plan_shuffles(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        if (n->dead || n->op != KERB_OP_DEPTH_TO_SPACE || c->net->bf16 || c->net->k->lanes == 1) continue;
        uint32_t x = n->inputs[0], producer = c->g->values[x].producer;
        if (producer == KERB_NO_NODE || c->readers[x] != 1 || n->attrs.block.size < 1 || n->attrs.block.size > 8) continue;
        const KerbNode *conv = &c->g->nodes[producer];
        if (conv->op != KERB_OP_CONV || !kerb_conv_understood(c, conv) || kerb_node_input(c->g, conv, 3) || conv->attrs.conv.group != 1)
            continue;
        const KerbValue *w = kerb_node_input(c->g, conv, 1);
        if (w->dims[2] * w->dims[3] > 64 || w->dims[0] * w->dims[1] * w->dims[2] * w->dims[3] > 4 << 20)
            continue; /* kerb_conv_direct's taps; larger ones were not tried */
        c->fused_into[producer] = (uint32_t)i;
    }
}
