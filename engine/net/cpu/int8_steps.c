/* SPDX-License-Identifier: MIT */
/* Steps on 8-bit pictures that are no convolutions: conversions, tables, arithmetic of two pictures, concatenation. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/int8.h"
#include "net/ref/ref.h"

uint8_t kerb_int8_quantised(float v, const KerbQuant *q)
{
    const float r = isnan(v) ? 0 : rintf(v / q->scale), lo = (float)(kerb_quant_lowest(q) - q->zero), hi = lo + 255;
    return (uint8_t)((int)(r < lo ? lo : r > hi ? hi : r) + q->zero);
}

static float kerb_int8_number(int byte, const KerbQuant *q)
{
    return (float)((q->dtype == KERB_I8 ? (int8_t)byte : byte) - q->zero) * q->scale;
}

void kerb_int8_requantise(const KerbQuant *from, const KerbQuant *to, uint8_t table[256])
{
    for (int i = 0; i < 256; i++) table[i] = kerb_int8_quantised(kerb_int8_number(i, from), to);
}

KerbStatus kerb_int8_picture(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    *out = kerb_cpu_value(c, id);
    if (kerb_cpu_is_channels_last(&out->t)) return KERB_OK;
    const KerbOperand from = *out;
    KerbTensor t = kerb_tensor_channels_last(NULL, from.t.dtype, from.t.rank, from.t.dims, from.t.dims[1]);
    KerbStatus status = kerb_cpu_temporary(c, &t, out);
    return status ? status : kerb_cpu_copy(c, &c->g->nodes[c->node], &from, out);
}

/* The integers as a picture, or without gaps where they are none. */
static KerbStatus kerb_int8_lain_out(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    *out = kerb_cpu_value(c, id);
    if (out->t.rank == 4) return kerb_int8_picture(c, id, out);
    return kerb_tensor_is_dense(&out->t) ? KERB_OK : kerb_int8_dense(c, &c->g->nodes[c->node], out);
}

/* ---- runs of numbers ---- */

/* A tensor as rows of `run` neighbours: all of it where it is dense, else a picture's pixels. */
typedef struct KerbInt8Runs {
    int64_t rows, run;
    ptrdiff_t from_step, to_step;
} KerbInt8Runs;

#define ROWS_BYTES 8192 /* dense tensors, by task */

static KerbInt8Runs kerb_int8_runs(const KerbTensor *from, const KerbTensor *to)
{
    const int64_t all = kerb_tensor_elements(from);
    const bool whole = from->rank != 4 || (from->strides[3] == from->dims[1] && to->strides[3] == to->dims[1]);
    if (whole) return (KerbInt8Runs){(all + ROWS_BYTES - 1) / ROWS_BYTES, ROWS_BYTES, ROWS_BYTES, ROWS_BYTES};
    return (KerbInt8Runs){all / from->dims[1], from->dims[1], from->strides[3], to->strides[3]};
}

typedef struct KerbInt8Pass {
    const KerbTensor *from, *to;
    KerbNet *net;
    const void *state;
    KerbInt8Runs runs;
    int rows_a_task;
} KerbInt8Pass;

static void kerb_int8_pass(KerbNet *net, const KerbStep *step, void (*fn)(void *, int, int))
{
    const KerbTensor *from = &step->operands[0].t, *to = &step->operands[step->n_operands - 1].t;
    KerbInt8Pass p = {from, to, net, step->state, kerb_int8_runs(from, to), 1};
    const int64_t all = kerb_tensor_elements(from);
    p.rows_a_task = p.runs.run >= ROWS_BYTES ? 1 : (int)(ROWS_BYTES / p.runs.run);
    kerb_cpu_parallel(net, (int)((p.runs.rows + p.rows_a_task - 1) / p.rows_a_task), (double)all / 4, fn, &p);
}

/* Calls `row` for the rows of a task; `n` is shorter at the end of a dense tensor. */
#define FOR_ROWS(p, index, row, n)                                                                             \
    for (int64_t row = (int64_t)(index) * (p)->rows_a_task, n = 0, end_ = row + (p)->rows_a_task;              \
         row < end_ && row < (p)->runs.rows &&                                                                 \
         (n = kerb_tensor_elements((p)->from) - row * (p)->runs.run, n = n < (p)->runs.run ? n : (p)->runs.run); \
         row++)

/* ---- tables ---- */

static void kerb_int8_look_up_task(void *arg, int index, int thread)
{
    const KerbInt8Pass *p = arg;
    const uint8_t *table = p->state;
    FOR_ROWS(p, index, row, n)
    {
        const uint8_t *in = (const uint8_t *)p->from->data + row * p->runs.from_step;
        uint8_t *out = (uint8_t *)p->to->data + row * p->runs.to_step;
        for (int64_t i = 0; i < n; i++) out[i] = table[in[i]];
    }
}
static KerbStatus kerb_int8_look_up_run(KerbNet *net, KerbStep *step)
{
    kerb_int8_pass(net, step, kerb_int8_look_up_task);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_look_up_step = {"int8 table", NULL, kerb_int8_look_up_run, NULL};

KerbStatus kerb_int8_look_up(KerbCompiler *c, const KerbNode *node, const KerbOperand *from, const KerbOperand *to, const uint8_t table[256])
{
    const KerbOperand o[2] = {from ? *from : *to, *to};
    KerbStep *step = kerb_cpu_step(c, &kerb_int8_look_up_step, node, o, 2, 0);
    uint8_t *own = kerb_cpu_object(c, 256);
    if (!step || !own) return KERB_ERROR_MEMORY;
    memcpy(own, table, 256);
    step->state = own;
    return KERB_OK;
}

/* The chain's node `n` on 256 numbers, in place. */
static KerbStatus kerb_int8_apply(KerbCompiler *c, const KerbNode *n, float numbers[256])
{
    KerbTensor in[3], out;
    float result[256];
    int64_t dims[KERB_MAX_RANK];
    const int rank = c->g->values[n->outputs[0]].rank;
    for (int i = 0; i < rank; i++) dims[i] = i == rank - 1 ? 256 : 1;
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(c->g, n, i);
        in[i] = !v ? (KerbTensor){0} : kerb_value_is_constant(v) ? kerb_value_tensor(v) : kerb_tensor(numbers, KERB_F32, rank, dims);
    }
    out = kerb_tensor(result, KERB_F32, rank, dims);
    KerbStatus status = kerb_ref_eval(c->g, n, in, &out, c->error);
    memcpy(numbers, result, sizeof result);
    return status;
}

KerbStatus kerb_int8_compile_table(KerbCompiler *c, const KerbNode *last, const KerbInt8Chain *chain, const KerbQuant *to)
{
    const KerbQuant *from = &chain->from;
    float numbers[256];
    uint8_t table[256];
    KerbStatus status = KERB_OK;
    int moves = 0;
    KerbOperand o[2] = {kerb_cpu_value(c, from->value)};
    for (int i = 0; i < 256; i++) numbers[i] = kerb_int8_number(i, from);
    for (int i = chain->n - 1; i >= 0 && !status; i--) {
        if (c->int8[chain->nodes[i]] == KERB_INT8_MOVE)
            moves++;
        else
            status = kerb_int8_apply(c, &c->g->nodes[chain->nodes[i]], numbers);
    }
    if (status) return status;
    if (moves == chain->n && moves && kerb_quant_same(from, to)) return kerb_int8_compile_moves(c, chain, &o[0], to);
    for (int i = 0; i < 256; i++) table[i] = kerb_int8_quantised(numbers[i], to);
    if ((status = kerb_int8_lain_out(c, from->value, &o[0]))) return status;
    KerbTensor t = o[0].t;
    t.dtype = to->dtype;
    status = moves ? kerb_cpu_temporary(c, &t, &o[1]) : kerb_cpu_place(c, to->value, &o[1]);
    if (!status) status = kerb_int8_look_up(c, last, &o[0], &o[1], table);
    return status || !moves ? status : kerb_int8_compile_moves(c, chain, &o[1], to);
}

/* ---- conversions ---- */

static void kerb_int8_from_floats_task(void *arg, int index, int thread)
{
    const KerbInt8Pass *p = arg;
    const KerbQuant *q = p->state;
    FOR_ROWS(p, index, row, n)
    {
        p->net->k8->to_integers((uint8_t *)p->to->data + row * p->runs.to_step, (const float *)p->from->data + row * p->runs.from_step, (size_t)n,
                                q->dtype == KERB_I8, q->zero, q->scale);
    }
}
static void kerb_int8_to_floats_task(void *arg, int index, int thread)
{
    const KerbInt8Pass *p = arg;
    const KerbQuant *q = p->state;
    FOR_ROWS(p, index, row, n)
    {
        p->net->k8->to_floats((float *)p->to->data + row * p->runs.to_step, (const uint8_t *)p->from->data + row * p->runs.from_step, (size_t)n,
                              q->dtype == KERB_I8, q->zero, q->scale);
    }
}
static KerbStatus kerb_int8_quantise_run(KerbNet *net, KerbStep *step)
{
    kerb_int8_pass(net, step, kerb_int8_from_floats_task);
    return KERB_OK;
}
static KerbStatus kerb_int8_dequantise_run(KerbNet *net, KerbStep *step)
{
    kerb_int8_pass(net, step, kerb_int8_to_floats_task);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_quantise_step = {"quantise", NULL, kerb_int8_quantise_run, NULL};
static const KerbStepKind kerb_int8_dequantise_step = {"dequantise", NULL, kerb_int8_dequantise_run, NULL};

KerbStatus kerb_int8_convert(KerbCompiler *c, const KerbNode *node, const KerbOperand *from, const KerbOperand *to, const KerbQuant *q, bool back)
{
    const KerbOperand o[2] = {*from, *to};
    KerbStep *step = kerb_cpu_step(c, back ? &kerb_int8_dequantise_step : &kerb_int8_quantise_step, node, o, 2, 0);
    KerbQuant *own = kerb_cpu_object(c, sizeof *own);
    if (!step || !own) return KERB_ERROR_MEMORY;
    *own = *q;
    step->state = own;
    return KERB_OK;
}

void kerb_int8_load(const KerbNet *net, const KerbTensor *t, const KerbQuant *q, int64_t pixel, int pixels, float *out)
{
    const ptrdiff_t step = t->strides[3], channels = t->dims[1];
    const uint8_t *in = (const uint8_t *)t->data + pixel * step;
    const bool whole = step == channels;
    for (int i = 0; i < (whole ? 1 : pixels); i++)
        net->k8->to_floats(out + i * channels, in + i * step, (size_t)(whole ? pixels * channels : channels), q->dtype == KERB_I8, q->zero, q->scale);
}

void kerb_int8_store(const KerbNet *net, const KerbTensor *t, const KerbQuant *q, int64_t pixel, int pixels, const float *in)
{
    const ptrdiff_t step = t->strides[3], channels = t->dims[1];
    uint8_t *out = (uint8_t *)t->data + pixel * step;
    const bool whole = step == channels;
    for (int i = 0; i < (whole ? 1 : pixels); i++)
        net->k8->to_integers(out + i * step, in + i * channels, (size_t)(whole ? pixels * channels : channels), q->dtype == KERB_I8, q->zero, q->scale);
}

/* What the tasks of two pictures see. */
typedef struct KerbInt8Run {
    KerbNet *net;
    KerbStep *step;
} KerbInt8Run;

/* ---- two pictures ---- */

#define BLOCK_FLOATS 2048 /* two of them: half of a first-level cache */

typedef struct KerbInt8Binary {
    KerbQuant a, b, to;
    KerbCpuBinary op;
    KerbCpuAct act;
    bool by_channel; /* b: one pixel for all */
    int64_t pixels;
    int channels, block; /* pixels */
} KerbInt8Binary;

static void kerb_int8_binary_task(void *arg, int index, int thread)
{
    const KerbInt8Run *r = arg;
    const KerbInt8Binary *s = r->step->state;
    const int64_t first = (int64_t)index * s->block;
    const int pixels = s->pixels - first < s->block ? (int)(s->pixels - first) : s->block;
    float *a = (float *)r->step->scratch + (ptrdiff_t)thread * 2 * s->block * s->channels, *b = a + (ptrdiff_t)s->block * s->channels;
    kerb_int8_load(r->net, &r->step->operands[0].t, &s->a, first, pixels, a);
    kerb_int8_load(r->net, &r->step->operands[1].t, &s->b, s->by_channel ? 0 : first, s->by_channel ? 1 : pixels, b);
    r->net->k->binary[s->op](a, b, s->by_channel ? KERB_SPREAD_CHANNEL : KERB_SPREAD_FULL, pixels, s->channels);
    if (s->act.from->kind != KERB_ACT_NONE) {
        r->net->k->finish(a, pixels, s->channels, &s->act.finish);
        kerb_cpu_act_run(r->net->k, &s->act, a, (size_t)pixels * (size_t)s->channels);
    }
    kerb_int8_store(r->net, &r->step->operands[2].t, &s->to, first, pixels, a);
}
static KerbStatus kerb_int8_binary_run(KerbNet *net, KerbStep *step)
{
    const KerbInt8Binary *s = step->state;
    KerbInt8Run r = {net, step};
    kerb_cpu_parallel(net, (int)((s->pixels + s->block - 1) / s->block), (double)s->pixels * s->channels / 2, kerb_int8_binary_task, &r);
    return KERB_OK;
}
static const KerbStepKind kerb_int8_binary_step = {"int8 arithmetic", NULL, kerb_int8_binary_run, NULL};

KerbStatus kerb_int8_compile_binary(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    KerbOperand o[3];
    KerbInt8Binary *s = kerb_cpu_object(c, sizeof *s);
    if (!s) return KERB_ERROR_MEMORY;
    kerb_quant_source(c->g, n->inputs[0], &s->a);
    kerb_quant_source(c->g, n->inputs[1], &s->b);
    s->to = *to;
    switch (n->attrs.binary.kind) {
    case KERB_BINARY_SUB: s->op = KERB_CPU_SUB; break;
    case KERB_BINARY_MUL: s->op = KERB_CPU_MUL; break;
    case KERB_BINARY_MIN: s->op = KERB_CPU_MIN; break;
    case KERB_BINARY_MAX: s->op = KERB_CPU_MAX; break;
    default: s->op = KERB_CPU_ADD;
    }
    KerbStatus status = kerb_int8_picture(c, s->a.value, &o[0]);
    if (!status) status = kerb_int8_picture(c, s->b.value, &o[1]);
    if (!status) status = kerb_int8_place(c, to, &o[2]);
    if (status) return status;
    const KerbTensor *y = &o[2].t;
    s->channels = (int)y->dims[1];
    s->pixels = y->dims[0] * y->dims[2] * y->dims[3];
    s->by_channel = o[1].t.dims[2] * o[1].t.dims[3] == 1 && y->dims[2] * y->dims[3] > 1;
    s->block = BLOCK_FLOATS / s->channels > 0 ? BLOCK_FLOATS / s->channels : 1;
    if (!kerb_cpu_act(c, &n->attrs.binary.act, s->channels, &s->act)) return KERB_ERROR_MEMORY;
    KerbStep *step = kerb_cpu_step(c, &kerb_int8_binary_step, n, o, 3,
                                   (size_t)c->net->threads * 2 * (size_t)s->block * (size_t)s->channels * sizeof(float));
    if (!step) return KERB_ERROR_MEMORY;
    step->state = s;
    kerb_cpu_label(c, step, "%s int8 %dx%d", kerb_node_kind(n), (int)s->pixels, s->channels);
    return KERB_OK;
}

/* ---- concatenation ---- */

KerbStatus kerb_int8_compile_concat(KerbCompiler *c, const KerbNode *n, const KerbQuant *to)
{
    KerbOperand y = c->values[to->value];
    KerbStatus status = y.t.dtype == KERB_DTYPE_NONE ? kerb_int8_place(c, to, &y) : KERB_OK;
    int64_t at = 0;
    for (int i = 0; i < n->n_inputs && !status; i++) {
        KerbQuant from;
        kerb_quant_source(c->g, n->inputs[i], &from);
        KerbOperand slice = y, x;
        slice.t.dims[1] = c->g->values[from.value].dims[1];
        slice.offset += (size_t)at;
        const bool there = c->slot[from.value] == to->value && c->slot_channel[from.value] == at;
        at += slice.t.dims[1];
        if (there) continue;
        uint8_t table[256];
        kerb_int8_requantise(&from, to, table);
        if (!(status = kerb_int8_picture(c, from.value, &x))) status = kerb_int8_look_up(c, n, &x, &slice, table);
    }
    return status;
}
