/* SPDX-License-Identifier: MIT */
/* Running models side by side. Frames go in by the engine's own input path; labels come from the model's own outputs, as any other engine gives them. */
#include "calib/measure.h"

#include "base/cpu.h"
#include "net/passes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static KerbStatus kerb_rig_no_memory(KerbError *error) { return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to run the model"); }

/* ---- the graph */

static KerbStatus kerb_rig_bind(KerbRig *r, const KerbModel *m, KerbError *error)
{
    KerbGraph *g = r->graph;
    uint32_t chosen[KERB_MAX_HEADS];
    int64_t w = r->bench->width_px, h = r->bench->height_px, c = m->input.channels;
    const int64_t nchw[4] = { 1, c, h, w }, nhwc[4] = { 1, h, w, c };
    r->n_outputs = m->n_outputs;
    for (int i = 0; i < m->n_outputs; i++) chosen[i] = g->outputs[m->outputs[i].graph_output];
    memcpy(g->outputs, chosen, (size_t)m->n_outputs * sizeof chosen[0]);
    g->n_outputs = m->n_outputs;
    KerbStatus status = kerb_graph_sort(g, error);
    if (status == KERB_OK) status = kerb_graph_bind_input(g, g->inputs[0], 4, m->input.nhwc ? nhwc : nchw, error);
    if (status == KERB_OK) status = kerb_graph_infer(g, error);
    if (status == KERB_OK) status = kerb_graph_find_heads(g, error);
    for (int i = 0; status == KERB_OK && i < g->n_heads; i++) {
        r->heads[i].kind = g->heads[i].kind;
        r->heads[i].axis = g->heads[i].channel_axis;
        r->heads[i].threshold = g->heads[i].threshold;
    }
    return status;
}

static KerbStatus kerb_rig_add_marks(KerbRig *r, const char *const marks[], int n, KerbError *error)
{
    KerbGraph *g = r->graph;
    uint32_t *outputs = kerb_arena_alloc(g->arena, (size_t)(g->n_outputs + n) * sizeof *outputs);
    if (!outputs) return kerb_rig_no_memory(error);
    memcpy(outputs, g->outputs, (size_t)g->n_outputs * sizeof *outputs);
    g->outputs = outputs;
    for (int i = 0; i < n; i++) {
        uint32_t id = kerb_graph_find(g, marks[i]);
        if (id == KERB_NO_VALUE) return kerb_fail(error, KERB_ERROR_INTERNAL, "the tensor \"%s\" is not in the graph", marks[i]);
        g->outputs[g->n_outputs++] = id;
    }
    r->n_marks = n;
    return KERB_OK;
}

/* ---- integers as the floats that they stand for */

static uint32_t kerb_rig_scalar(KerbGraph *g, const char *base, float value)
{
    const char *name = kerb_graph_name(g, base, "bound");
    return name ? kerb_graph_add_constant(g, name, KERB_F32, 0, NULL, &value, true) : KERB_NO_VALUE;
}

/* A node over x (and a constant) whose result has x's shape. */
static uint32_t kerb_rig_node(KerbGraph *g, KerbOp op, const char *base, uint32_t x, int n_constants, const uint32_t constants[], uint32_t *node)
{
    const KerbValue shape = g->values[x];
    uint32_t inputs[3] = { x, n_constants > 0 ? constants[0] : 0, n_constants > 1 ? constants[1] : 0 };
    uint32_t y = kerb_graph_add_value(g, kerb_graph_name(g, base, "grid"), KERB_F32, shape.rank, shape.dims);
    *node = y == KERB_NO_VALUE ? KERB_NO_NODE : kerb_graph_add_node(g, op, kerb_graph_name(g, base, "grid"), 1 + n_constants, inputs, 1, &y);
    return *node == KERB_NO_NODE ? KERB_NO_VALUE : y;
}

/* The zero point of a QuantizeLinear. */
static float kerb_rig_zero(const KerbGraph *g, const KerbNode *q)
{
    const KerbValue *v = kerb_node_input(g, q, 2);
    if (!kerb_value_is_constant(v)) return 0;
    const KerbTensor t = kerb_value_tensor(v);
    return (float)kerb_tensor_get_i64(&t, 0);
}

/* y = clip(round(x / s), lo - zero, hi - zero) * s, halves to even: QuantizeLinear and DequantizeLinear as ONNX defines them. */
static bool kerb_rig_make_grid(KerbGraph *g, uint32_t quantize, uint32_t dequantize)
{
    const KerbNode *q = &g->nodes[quantize];
    uint32_t x = q->inputs[0], scale = q->inputs[1], y = g->nodes[dequantize].outputs[0], node;
    const char *base = g->values[x].name;
    const float low = (g->values[q->outputs[0]].dtype == KERB_I8 ? -128.0f : 0.0f) - kerb_rig_zero(g, q);
    uint32_t bounds[2];
    bounds[0] = kerb_rig_scalar(g, base, low);
    bounds[1] = kerb_rig_scalar(g, base, low + 255);
    if (bounds[0] == KERB_NO_VALUE || bounds[1] == KERB_NO_VALUE) return false;
    uint32_t v = kerb_rig_node(g, KERB_OP_BINARY, base, x, 1, &scale, &node);
    if (v == KERB_NO_VALUE) return false;
    g->nodes[node].attrs.binary.kind = KERB_BINARY_DIV;
    v = kerb_rig_node(g, KERB_OP_UNARY, base, v, 0, NULL, &node);
    if (v == KERB_NO_VALUE) return false;
    g->nodes[node].attrs.unary.kind = KERB_UNARY_ROUND;
    v = kerb_rig_node(g, KERB_OP_CLIP, base, v, 2, bounds, &node);
    if (v == KERB_NO_VALUE) return false;
    v = kerb_rig_node(g, KERB_OP_BINARY, base, v, 1, &scale, &node);
    if (v == KERB_NO_VALUE) return false;
    g->nodes[node].attrs.binary.kind = KERB_BINARY_MUL;
    kerb_graph_replace(g, y, v);
    g->nodes[dequantize].dead = true;
    return true;
}

static KerbStatus kerb_rig_make_grids(KerbGraph *g, KerbError *error)
{
    int n = g->n_nodes;
    bool changed = false;
    for (int i = 0; i < n; i++) {
        if (g->nodes[i].dead || g->nodes[i].op != KERB_OP_DEQUANTIZE) continue;
        uint32_t producer = g->values[g->nodes[i].inputs[0]].producer;
        if (producer == KERB_NO_NODE || g->nodes[producer].op != KERB_OP_QUANTIZE) continue;
        if (!kerb_rig_make_grid(g, producer, (uint32_t)i)) return kerb_rig_no_memory(error);
        changed = true;
    }
    return changed ? kerb_graph_sort(g, error) : KERB_OK;
}

/* ---- making it run */

static KerbStatus kerb_rig_compile(KerbRig *r, const KerbModel *m, KerbError *error)
{
    const KerbBench *b = r->bench;
    const KerbOptimizeOptions keep = { .keep_head = true };
    const KerbCompileOptions options = { .threads = b->threads, .device_id = b->choice.device.id, .precision = KERB_PRECISION_F32,
        .no_tune = true }; /* else the clock would choose kernels, and roundings with them: the same input gives the same file */
    KerbStatus status = kerb_graph_optimize(r->graph, &keep, error);
    for (int i = 0; status == KERB_OK && i < r->n_outputs; i++) {
        KerbDtype type = r->graph->values[r->graph->outputs[i]].dtype;
        if (r->heads[i].kind != KERB_HEAD_LABELS && type != KERB_F32)
            status = kerb_fail(error, KERB_ERROR_UNSUPPORTED, "the scores are %s; calibration compares f32 ones: export the model with these", kerb_dtype_name(type));
    }
    if (status == KERB_OK) status = b->choice.backend->compile(&r->net, r->graph, &options, error);
    if (status != KERB_OK) return status;
    r->input = kerb_tensor_view_nchw(b->choice.backend->input(r->net, 0), m->input.nhwc ? 3 : 1);
    KerbInParams in = { .format = b->format, .color = m->input.color, .input = r->input, .cpu_flags = kerb_cpu_flags() };
    kerb_geometry_init(&in.geometry, b->format.width_px, b->format.height_px, b->width_px, b->height_px, m->input.fit);
    memcpy(in.mean, m->input.mean, sizeof in.mean);
    memcpy(in.std, m->input.std, sizeof in.std);
    return kerb_in_new(&r->in, &in, error);
}

KerbStatus kerb_rig_new(KerbRig **out, const KerbBench *bench, const KerbModel *model, const char *const marks[], int n, bool integers_as_floats, KerbError *error)
{
    KerbRig *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) return kerb_rig_no_memory(error);
    r->bench = bench;
    KerbStatus status = kerb_graph_clone(model->graph, &r->graph, error);
    if (status == KERB_OK) status = kerb_rig_bind(r, model, error);
    if (status == KERB_OK) status = kerb_rig_add_marks(r, marks, n, error);
    if (status == KERB_OK && integers_as_floats) status = kerb_rig_make_grids(r->graph, error);
    if (status == KERB_OK) status = kerb_rig_compile(r, model, error);
    if (status != KERB_OK) {
        kerb_model_blame(model->path, error);
        kerb_rig_free(&r);
    }
    *out = r;
    return status;
}

void kerb_rig_free(KerbRig **rig)
{
    if (!rig || !*rig) return;
    kerb_in_free(&(*rig)->in);
    if ((*rig)->net) (*rig)->bench->choice.backend->free(&(*rig)->net);
    kerb_graph_free(&(*rig)->graph);
    free(*rig);
    *rig = NULL;
}

KerbStatus kerb_rig_run(KerbRig *r, const KerbFrame *frame, KerbError *error)
{
    kerb_in_run(r->in, frame, &r->input, r->bench->pool);
    return r->bench->choice.backend->run(r->net, error);
}

const KerbTensor *kerb_rig_mark(const KerbRig *r, int i) { return r->bench->choice.backend->output(r->net, r->n_outputs + i); }

/* ---- comparing */

static float kerb_float_at(const KerbTensor *t, int64_t offset) { return ((const float *)t->data)[offset]; }

/* The label of one pixel, whose channels begin at `offset`. */
static int kerb_rig_label(const KerbRig *r, int head, const KerbTensor *t, int64_t offset)
{
    int axis = r->heads[head].axis, best = 0;
    if (r->heads[head].kind == KERB_HEAD_BINARY) return kerb_float_at(t, offset) > r->heads[head].threshold;
    float most = kerb_float_at(t, offset);
    for (int64_t c = 1; c < t->dims[axis]; c++) {
        float v = kerb_float_at(t, offset + c * t->strides[axis]);
        if (v > most) most = v, best = (int)c;
    }
    return best;
}

typedef struct KerbComparison {
    const KerbRig *a, *b;
    const KerbTensor *x, *y;
    int head; /* -1: no labels are compared */
    KerbDifference *rows; /* by index of the first long axis */
    int axis;
} KerbComparison;

/* All elements with the given place on `axis`. */
static void kerb_compare_slice(const KerbComparison *c, int64_t place, KerbDifference *d)
{
    const KerbTensor *x = c->x, *y = c->y;
    int64_t at[KERB_MAX_RANK] = { 0 }, ox = place * x->strides[c->axis], oy = place * y->strides[c->axis];
    int channels = c->head >= 0 ? c->a->heads[c->head].axis : -1;
    for (;;) {
        double v = (double)kerb_float_at(x, ox), e = v - (double)kerb_float_at(y, oy);
        d->signal += v * v;
        d->noise += e * e;
        if (c->head >= 0 && (channels < 0 || at[channels] == 0)) {
            d->pixels++;
            d->same += kerb_rig_label(c->a, c->head, x, ox) == kerb_rig_label(c->b, c->head, y, oy);
        }
        int i = x->rank - 1;
        for (; i >= 0; i--) {
            if (i == c->axis) continue;
            ox += x->strides[i];
            oy += y->strides[i];
            if (++at[i] < x->dims[i]) break;
            ox -= x->dims[i] * x->strides[i];
            oy -= x->dims[i] * y->strides[i];
            at[i] = 0;
        }
        if (i < 0) return;
    }
}

static void kerb_compare_task(void *arg, int index, int count, int thread)
{
    const KerbComparison *c = arg;
    kerb_compare_slice(c, index, &c->rows[index]);
}

/* Labels, as whole numbers of any type. */
static void kerb_compare_labels(const KerbTensor *x, const KerbTensor *y, KerbDifference *d)
{
    int64_t n = kerb_tensor_elements(x);
    for (int64_t i = 0; i < n; i++) d->same += kerb_tensor_get(x, i) == kerb_tensor_get(y, i);
    d->pixels += (double)n;
}

/* Rows are summed one by one and then together in their order: however many threads, the sums are the same. */
static void kerb_compare_tensors(KerbComparison *c, KerbDifference *d)
{
    const KerbTensor *x = c->x, *y = c->y;
    if (x->dtype != KERB_F32 || y->dtype != KERB_F32 || !kerb_tensor_same_shape(x, y) || kerb_tensor_elements(x) == 0 || x->rank < 1) return;
    int channels = c->head >= 0 ? c->a->heads[c->head].axis : -1;
    c->axis = -1;
    for (int i = 0; i < x->rank; i++)
        if (i != channels && (c->axis < 0 || (x->dims[c->axis] < 8 && x->dims[i] > x->dims[c->axis]))) c->axis = i;
    c->rows = calloc((size_t)x->dims[c->axis], sizeof *c->rows);
    if (!c->rows) return;
    kerb_pool_run(c->a->bench->pool, kerb_compare_task, c, (int)x->dims[c->axis]);
    for (int64_t i = 0; i < x->dims[c->axis]; i++) {
        d->signal += c->rows[i].signal;
        d->noise += c->rows[i].noise;
        d->pixels += c->rows[i].pixels;
        d->same += c->rows[i].same;
    }
    free(c->rows);
}

void kerb_rigs_compare(const KerbRig *a, const KerbRig *b, KerbDifference *outputs, KerbDifference marks[])
{
    const KerbBackend *backend = a->bench->choice.backend;
    for (int i = 0; i < a->n_outputs; i++) {
        KerbComparison c = { .a = a, .b = b, .x = backend->output(a->net, i), .y = backend->output(b->net, i), .head = i };
        if (a->heads[i].kind == KERB_HEAD_LABELS) kerb_compare_labels(c.x, c.y, outputs);
        else kerb_compare_tensors(&c, outputs);
    }
    for (int i = 0; marks && i < a->n_marks && i < b->n_marks; i++) {
        KerbComparison c = { .a = a, .b = b, .x = kerb_rig_mark(a, i), .y = kerb_rig_mark(b, i), .head = -1 };
        kerb_compare_tensors(&c, &marks[i]);
    }
}

double kerb_difference_db(const KerbDifference *d)
{
    if (!(d->signal > 0)) return NAN;
    return d->noise > 0 ? 10 * log10(d->signal / d->noise) : INFINITY;
}

double kerb_difference_agreement(const KerbDifference *d) { return d->pixels > 0 ? d->same / d->pixels : 0; }
