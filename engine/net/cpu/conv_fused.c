/* SPDX-License-Identifier: MIT */
/* Convolutions that follow each other, row by row: [1x1 ->] depthwise [-> 1x1], as inverted bottlenecks and separable convolutions are, in
 * one step. What lies between them is the widest of the network and is never whole in memory: each thread goes down a band of the target's
 * rows with a ring of the rows that the depthwise window sees, and a row or a few of its sums, which stay in the second-level cache. Rows
 * at the border of two bands are expanded twice.
 *
 * f32. The kernels and the order of sums are those of the ways by themselves (conv_direct.c, conv_depthwise.c): results are the same to the
 * bit. Fused where all that is read again and again fits the cache, and where memory does not grow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/conv.h"

#define CACHE_BYTES (704 << 10) /* of a second-level cache of 1 MB: what a row leaves and the next one reads, and all weights */
#define WORTH_BYTES (1 << 20)   /* of what is not written: less than that lies in the caches anyway */
#define LINE_PIXELS 56          /* that a 1x1 convolution gets at a time: enough tiles for each time that weights are read */

typedef struct KerbFusedNodes { /* expand or project may be NULL */
    const KerbNode *expand, *depthwise, *project;
} KerbFusedNodes;

/* How the work is cut. */
typedef struct KerbFusedCut {
    int lines, slots, bands;           /* target rows at a time; source rows that the ring holds; parts of a picture, a task each */
    size_t ring_floats, thread_floats; /* expanded rows, by group of channels; and with the depthwise sums */
} KerbFusedCut;

typedef struct KerbFused {
    KerbConv *expand, *depthwise, *project;
    KerbFusedCut cut;
    const float *source, *residual;
    float *target, *scratch;
    ptrdiff_t source_step, target_step, residual_step;
} KerbFused;

/* ---- run ---- */

/* Rows from..past of the picture, for the channels that begin with `first`, into the ring. */
static void kerb_fused_expand(const KerbFused *f, int image, int first, int channels, int from, int past, float *ring)
{
    const KerbConv *e = f->expand;
    const ptrdiff_t width = e->s.ow;
    for (int row = from; row < past; row++) {
        const KerbDirectLine line = {.source = f->source + ((ptrdiff_t)image * e->s.ih + row) * width * f->source_step,
                                     .target = ring + row % f->cut.slots * width * channels,
                                     .source_step = f->source_step,
                                     .target_step = channels,
                                     .pixels = e->s.ow};
        kerb_direct_line(e, first, first + channels, &line);
        if (e->s.unary) kerb_cpu_act_run(e->net->k, &e->act, line.target, (size_t)(width * channels));
    }
}

/* Depthwise sums of `lines` target rows from y on to `sums`; *done: the row up to which the ring has been filled. */
static void kerb_fused_sums(const KerbFused *f, int image, int y, int lines, int *done, float *ring, float *sums, ptrdiff_t step)
{
    const KerbConv *d = f->depthwise;
    const KerbConvSpec *s = &d->s;
    const int width = kerb_depthwise_width(d), top = y * s->sh - s->pad_top;
    const int end = top + (lines - 1) * s->sh + (s->kh - 1) * s->dh + 1, past = end < s->ih ? end : s->ih, from = top > *done ? top : *done;
    for (int first = 0; first < s->oc && f->expand; first += width) {
        const int channels = s->oc - first < width ? s->oc - first : width;
        float *group = ring + (ptrdiff_t)first * f->cut.slots * s->iw;
        kerb_fused_expand(f, image, first, channels, from, past, group);
        for (int i = 0; i < lines; i++) {
            const void *rows[KERB_DEPTHWISE_ROWS];
            for (int ky = 0; ky < s->kh; ky++) {
                const int row = top + i * s->sh + ky * s->dh;
                rows[ky] = row >= 0 && row < s->ih ? group + (ptrdiff_t)(row % f->cut.slots) * s->iw * channels : NULL;
            }
            kerb_depthwise_group(d, first, rows, channels, 0, s->ow, sums + (ptrdiff_t)i * s->ow * step + first, step);
        }
    }
    if (past > *done) *done = past;
    for (int i = 0; i < lines && !f->expand; i++) kerb_depthwise_line(d, image * s->oh + y + i, sums + (ptrdiff_t)i * s->ow * step, step);
}

static void kerb_fused_unary(const KerbConv *c, float *target, int pixels, ptrdiff_t step)
{
    if (!c->s.unary) return;
    for (int p = 0; p < pixels; p++) kerb_cpu_act_run(c->net->k, &c->act, target + p * step, (size_t)c->s.oc);
}

static void kerb_fused_task(void *arg, int index, int thread)
{
    const KerbFused *f = arg;
    const KerbConvSpec *s = &f->depthwise->s;
    const int image = index / f->cut.bands, band = index % f->cut.bands;
    const int begin = (int)((int64_t)s->oh * band / f->cut.bands), end = (int)((int64_t)s->oh * (band + 1) / f->cut.bands);
    float *ring = f->scratch + (size_t)thread * f->cut.thread_floats, *sums = ring + f->cut.ring_floats;
    int done = 0;
    for (int y = begin; y < end; y += f->cut.lines) {
        const int lines = end - y < f->cut.lines ? end - y : f->cut.lines, pixels = lines * s->ow;
        const ptrdiff_t at = ((ptrdiff_t)image * s->oh + y) * s->ow;
        float *target = f->target + at * f->target_step;
        if (!f->project) {
            kerb_fused_sums(f, image, y, lines, &done, ring, target, f->target_step);
            kerb_fused_unary(f->depthwise, target, pixels, f->target_step);
            continue;
        }
        kerb_fused_sums(f, image, y, lines, &done, ring, sums, s->oc);
        kerb_fused_unary(f->depthwise, sums, pixels, s->oc);
        const KerbDirectLine line = {.source = sums,
                                     .residual = f->residual ? f->residual + at * f->residual_step : NULL,
                                     .target = target,
                                     .source_step = s->oc,
                                     .target_step = f->target_step,
                                     .residual_step = f->residual_step,
                                     .pixels = pixels};
        kerb_direct_line(f->project, 0, f->project->s.oc, &line);
        kerb_fused_unary(f->project, target, pixels, f->target_step);
    }
}

static KerbStatus kerb_fused_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    KerbFused *f = step->state;
    f->source = step->operands[0].t.data;
    f->target = step->operands[1].t.data;
    f->residual = step->n_operands > 2 ? step->operands[2].t.data : NULL;
    f->depthwise->source = f->source; /* read where nothing is expanded */
    f->scratch = step->scratch;
    return KERB_OK;
}

static KerbStatus kerb_fused_run(KerbNet *net, KerbStep *step)
{
    KerbFused *f = step->state;
    const KerbConvSpec *s = &f->depthwise->s;
    const double cost = kerb_conv_cost_ns(s) + (f->expand ? kerb_conv_cost_ns(&f->expand->s) : kerb_conv_cost_ns(&f->project->s));
    kerb_cpu_parallel(net, s->n * f->cut.bands, cost, kerb_fused_task, f);
    return KERB_OK;
}

static void kerb_fused_free(KerbStep *step)
{
    KerbFused *f = step->state;
    KerbConv *parts[3] = {f ? f->expand : NULL, f ? f->depthwise : NULL, f ? f->project : NULL};
    for (int i = 0; i < 3; i++) {
        if (parts[i] && parts[i]->kind) parts[i]->kind->free(parts[i]);
    }
}

static const KerbStepKind kerb_fused_step = {"fused convolutions", kerb_fused_bind, kerb_fused_run, kerb_fused_free};

/* ---- what is fused ---- */

static bool kerb_fused_plain(const KerbCompiler *c, const KerbNode *n)
{
    return n->op == KERB_OP_CONV && !n->dead && c->fused_into[n - c->g->nodes] == KERB_NO_NODE && kerb_conv_understood(c, n) &&
           kerb_cpu_act_known(c, &n->attrs.conv.act, (int)c->g->values[n->outputs[0]].dims[1]);
}
static bool kerb_fused_is_pointwise(const KerbCompiler *c, const KerbNode *n)
{
    if (!kerb_fused_plain(c, n)) return false;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *w = kerb_node_input(c->g, n, 1), *y = &c->g->values[n->outputs[0]];
    const KerbWindow *window = &n->attrs.conv.window;
    return n->attrs.conv.group == 1 && w->dims[2] == 1 && w->dims[3] == 1 && window->stride[0] == 1 && window->stride[1] == 1 &&
           !window->pad_begin[0] && !window->pad_begin[1] && y->dims[2] == x->dims[2] && y->dims[3] == x->dims[3] &&
           w->dims[1] <= KERB_DIRECT_LINE_DEPTH;
}
static bool kerb_fused_is_depthwise(const KerbCompiler *c, const KerbNode *n)
{
    if (!kerb_fused_plain(c, n) || kerb_node_input(c->g, n, 3)) return false;
    const KerbValue *w = kerb_node_input(c->g, n, 1);
    return n->attrs.conv.group == w->dims[0] && w->dims[1] == 1 && w->dims[0] > 1 && w->dims[2] <= KERB_DEPTHWISE_ROWS &&
           kerb_node_input(c->g, n, 0)->dims[1] == w->dims[0];
}

/* Somebody's project already: what it does the work of must not be lost. */
static bool kerb_fused_ends_one(const KerbCompiler *c, uint32_t node)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        if (c->fused_into[i] == node) return true;
    }
    return false;
}

static double kerb_fused_bytes(const KerbCompiler *c, uint32_t id)
{
    const int64_t *d = c->g->values[id].dims;
    return 4.0 * (double)d[0] * (double)d[1] * (double)d[2] * (double)d[3];
}

/* False: a size that cannot be. */
static bool kerb_fused_cut(const KerbCompiler *c, const KerbFusedNodes *n, KerbFusedCut *cut)
{
    const KerbValue *x = kerb_node_input(c->g, n->depthwise, 0), *w = kerb_node_input(c->g, n->depthwise, 1),
                    *y = &c->g->values[n->depthwise->outputs[0]];
    const KerbWindow *window = &n->depthwise->attrs.conv.window;
    const int64_t images = y->dims[0], oh = y->dims[2], ow = y->dims[3], threads = c->net->threads;
    const int64_t reach = (w->dims[2] - 1) * window->dilation[0] + 1, halo = reach > window->stride[0] ? reach - window->stride[0] : 0;
    int64_t lines = (LINE_PIXELS + ow - 1) / ow, tasks = threads > 1 ? 4 * threads : 1;
    if (images < 1 || oh < 1 || ow < 1) return false;
    if (lines > 4) lines = 4;
    /* A few tasks a thread, but not where what is expanded twice would be more than an eighth. */
    int64_t least = (threads + images - 1) / images, bands = (tasks + images - 1) / images;
    while (bands > least && n->expand && halo * (bands - 1) * 8 > oh * window->stride[0]) bands--;
    if (bands > oh) bands = oh;
    if (lines > (oh + bands - 1) / bands) lines = (oh + bands - 1) / bands;
    const int64_t slots = reach + (lines - 1) * window->stride[0];
    const double ring = n->expand ? (double)slots * (double)x->dims[3] * (double)x->dims[1] : 0,
                 sums = n->project ? (double)lines * (double)ow * (double)y->dims[1] : 0;
    if ((ring + sums) * (double)threads > 1e8 || slots > INT_MAX / 2) return false;
    *cut = (KerbFusedCut){.lines = (int)lines, .slots = (int)slots, .bands = (int)bands, .ring_floats = ((size_t)ring + 15) / 16 * 16};
    cut->thread_floats = cut->ring_floats + ((size_t)sums + 31) / 16 * 16; /* and a line between threads */
    return true;
}

/* Does it pay, and does memory not grow? */
static bool kerb_fused_pays(const KerbCompiler *c, const KerbFusedNodes *n, const KerbFusedCut *cut)
{
    const KerbNode *first = n->expand ? n->expand : n->depthwise, *last = n->project ? n->project : n->depthwise, *dw = n->depthwise;
    const KerbValue *w = kerb_node_input(c->g, dw, 1);
    const double source = kerb_fused_bytes(c, first->inputs[0]), expanded = n->expand ? kerb_fused_bytes(c, dw->inputs[0]) : 0,
                 sums = kerb_fused_bytes(c, dw->outputs[0]), target = kerb_fused_bytes(c, last->outputs[0]);
    const double weights = 4.0 * (double)w->dims[0] *
                           (double)(w->dims[2] * w->dims[3] + (n->expand ? kerb_node_input(c->g, n->expand, 1)->dims[1] : 0) +
                                    (n->project ? kerb_node_input(c->g, n->project, 1)->dims[0] : 0));
    const double thread = 4.0 * (double)cut->thread_floats, scratch = thread * c->net->threads;
    if (thread + weights > CACHE_BYTES || (n->expand ? expanded : sums) < WORTH_BYTES) return false;
    if (!n->expand) return target <= sums && scratch * 8 <= sums;
    const KerbWindow *window = &dw->attrs.conv.window;
    const double halo = (double)((w->dims[2] - 1) * window->dilation[0] + 1 - window->stride[0]),
                 rows = (double)(c->g->values[dw->outputs[0]].dims[2] * window->stride[0]);
    const double apart = sums + expanded > source + expanded ? sums + expanded : source + expanded;
    return source + target + scratch <= apart && halo * (cut->bands - 1) * 4 <= rows;
}

static bool kerb_fused_try(KerbCompiler *c, KerbFusedNodes n, bool always)
{
    KerbFusedCut cut;
    if (!n.expand && !n.project) return false;
    if (!kerb_fused_cut(c, &n, &cut) || (!always && !kerb_fused_pays(c, &n, &cut))) return false;
    const uint32_t last = (uint32_t)((n.project ? n.project : n.depthwise) - c->g->nodes);
    if (n.expand) c->fused_into[n.expand - c->g->nodes] = last;
    if (n.project) c->fused_into[n.depthwise - c->g->nodes] = last;
    return true;
}

void kerb_cpu_plan_fused(KerbCompiler *c)
{
    const char *forced = getenv("KERB_CPU_CONV"); /* for tests: "fused" wherever it can be, anything else nowhere */
    const bool always = forced && !strcmp(forced, "fused");
    if (c->net->bf16 || c->net->k->lanes == 1 || (forced && !always)) return;
    for (int i = 0; i < c->g->n_nodes; i++) {
        KerbFusedNodes n = {.depthwise = &c->g->nodes[i]};
        if (n.depthwise->dead || !kerb_fused_is_depthwise(c, n.depthwise)) continue;
        const uint32_t x = n.depthwise->inputs[0], y = n.depthwise->outputs[0], before = c->g->values[x].producer, after = c->reader[y];
        if (before != KERB_NO_NODE && c->readers[x] == 1 && kerb_fused_is_pointwise(c, &c->g->nodes[before]) &&
            !kerb_node_input(c->g, &c->g->nodes[before], 3) && !kerb_fused_ends_one(c, before))
            n.expand = &c->g->nodes[before];
        if (after != KERB_NO_NODE && c->readers[y] == 1 && kerb_fused_is_pointwise(c, &c->g->nodes[after]) &&
            c->g->nodes[after].inputs[0] == y)
            n.project = &c->g->nodes[after];
        if (kerb_fused_try(c, n, always)) continue;
        if (n.expand && kerb_fused_try(c, (KerbFusedNodes){.expand = n.expand, .depthwise = n.depthwise}, always)) continue;
        if (n.project) kerb_fused_try(c, (KerbFusedNodes){.depthwise = n.depthwise, .project = n.project}, always);
    }
}

/* ---- compile ---- */

/* The node that makes input 0 of `n`, where the node being compiled does its work. */
static const KerbNode *kerb_fused_before(const KerbCompiler *c, const KerbNode *n)
{
    const uint32_t producer = n->op == KERB_OP_CONV && n->n_inputs ? c->g->values[n->inputs[0]].producer : KERB_NO_NODE;
    const bool fused = producer != KERB_NO_NODE && c->fused_into[producer] == (uint32_t)c->node;
    return fused && c->g->nodes[producer].op == KERB_OP_CONV ? &c->g->nodes[producer] : NULL;
}

static KerbStatus kerb_fused_part(KerbCompiler *c, const KerbNode *n, const KerbConvKind *kind, KerbConv **out)
{
    if (!n) return KERB_OK;
    KerbStatus status = kerb_conv_new(c, n, n->outputs[0], out);
    if (!status && !*out) status = kerb_fail(c->error, KERB_ERROR_INTERNAL, "a convolution that cannot be fused was: please report this");
    if (status) return status;
    KerbConv *conv = *out;
    conv->s.source_step = conv->s.ic;
    conv->s.target_step = conv->s.oc;
    if ((status = kind->prepare(conv, c->error))) return status;
    conv->kind = kind; /* from here on there is something to free */
    c->net->weight_bytes += conv->packed_bytes;
    return KERB_OK;
}

static void kerb_fused_label(KerbCompiler *c, KerbStep *step, const KerbFused *f)
{
    char expand[32] = "", project[32] = "";
    const KerbConvSpec *s = &f->depthwise->s;
    if (f->expand) snprintf(expand, sizeof expand, "1x1 %d-> ", f->expand->s.ic);
    if (f->project) snprintf(project, sizeof project, " 1x1 ->%d", f->project->s.oc);
    kerb_cpu_label(c, step, "conv fused %sdepthwise %dx%d%s%s %d%s %dx%d", expand, s->kw, s->kh, s->sw > 1 ? " stride" : "",
                   s->dw > 1 ? " dilated" : "", s->oc, project, s->ow, s->oh);
}

static KerbStatus kerb_fused_operands(KerbCompiler *c, const KerbNode *first, const KerbNode *last, KerbFused *f, KerbOperand o[3],
                                      int *count)
{
    const bool has_residual = f->project && kerb_node_input(c->g, last, 3);
    KerbStatus status = kerb_cpu_picture(c, first->inputs[0], KERB_F32, &o[0]);
    if (!status && has_residual) status = kerb_cpu_picture(c, last->inputs[3], KERB_F32, &o[2]);
    if (status) return status;
    /* Never over the source: bands read rows of their neighbours. Its readers here are not retired, so kerb_cpu_place_over() refuses that.
     */
    status = has_residual ? kerb_cpu_place_over(c, last->outputs[0], &o[2], 1, &o[1]) : kerb_cpu_place(c, last->outputs[0], &o[1]);
    *count = has_residual ? 3 : 2;
    f->source_step = o[0].t.strides[3];
    f->target_step = o[1].t.strides[3];
    f->residual_step = has_residual ? o[2].t.strides[3] : 0;
    f->depthwise->s.source_step = f->source_step;
    return status;
}

KerbStatus kerb_cpu_compile_fused(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbFusedNodes nodes = {.depthwise = kerb_fused_before(c, n)};
    if (!nodes.depthwise) return KERB_OK;
    nodes.project = n;
    if (nodes.depthwise->attrs.conv.group == 1) nodes = (KerbFusedNodes){.expand = nodes.depthwise, .depthwise = n};
    if (nodes.project) nodes.expand = kerb_fused_before(c, nodes.depthwise);
    *done = true;
    KerbFused *f = kerb_cpu_object(c, sizeof *f);
    if (!f) return KERB_ERROR_MEMORY;
    KerbOperand o[3];
    int count = 0;
    KerbStep guard = {.state = f}, *step = NULL;
    KerbStatus status = kerb_fused_part(c, nodes.expand, &kerb_conv_direct, &f->expand);
    if (!status) status = kerb_fused_part(c, nodes.depthwise, &kerb_conv_depthwise, &f->depthwise);
    if (!status) status = kerb_fused_part(c, nodes.project, &kerb_conv_direct, &f->project);
    if (!status) status = kerb_fused_operands(c, nodes.expand ? nodes.expand : nodes.depthwise, n, f, o, &count);
    if (!status && !kerb_fused_cut(c, &nodes, &f->cut)) status = KERB_ERROR_INTERNAL;
    if (!status &&
        !(step = kerb_cpu_step(c, &kerb_fused_step, n, o, count, f->cut.thread_floats * sizeof(float) * (size_t)c->net->threads)))
        status = KERB_ERROR_MEMORY;
    if (status) {
        kerb_fused_free(&guard);
        return status;
    }
    step->state = f;
    kerb_fused_label(c, step, f);
    return KERB_OK;
}
