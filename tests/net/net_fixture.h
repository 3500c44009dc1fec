/* SPDX-License-Identifier: MIT */
/* Graphs written down shortly, and run node by node on the reference operators.
 *
 * Text for a value: "2x3x4" or "i64 2x3" a graph input; "scalar" one without axes; "[1,2]" constant i64 vector; "#5" constant i64 scalar;
 * "{0.5,1}" constant f32 vector; "~0.5" constant f32 scalar; "=16x3x3x3" constant f32 of that shape with random values; "-" absent. */
#ifndef KERB_TESTS_NET_FIXTURE_H
#define KERB_TESTS_NET_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/passes.h"
#include "net/ref/ref.h"

#define NONE KERB_NO_VALUE

/* ---- random numbers: the same in every run */

static unsigned net_seed = 1;
static inline float net_random(void) /* -1..1 */
{
    net_seed = net_seed * 1664525u + 1013904223u;
    return (float)(net_seed >> 8) / 8388608.0f - 1.0f;
}

/* ---- building */

static inline KerbGraph *net_new(void)
{
    KerbGraph *g = NULL;
    KerbError error = { 0 };
    if (kerb_graph_new(&g, &error) != KERB_OK) fail_msg("%s", error.message);
    return g;
}

static inline int net_dims(const char *text, int64_t dims[])
{
    int rank = 0;
    if (strncmp(text, "scalar", 6) == 0) return 0;
    for (char *end; *text && *text != ' '; text = *end == 'x' ? end + 1 : end) {
        dims[rank++] = strtoll(text, &end, 10);
        if (end == text) fail_msg("not a shape: %s", text);
    }
    return rank;
}

static inline KerbDtype net_dtype(const char **text)
{
    for (int d = 1; d < KERB_DTYPE_COUNT; d++) {
        size_t n = strlen(kerb_dtype_name((KerbDtype)d));
        if (strncmp(*text, kerb_dtype_name((KerbDtype)d), n) == 0 && (*text)[n] == ' ') {
            *text += n + 1;
            return (KerbDtype)d;
        }
    }
    return KERB_F32;
}

static inline uint32_t net_constant(KerbGraph *g, const float *v, int rank, const int64_t dims[])
{
    int64_t n;
    kerb_dims_elements(rank, dims, 0, &n);
    float *data = calloc((size_t)n + 1, sizeof *data);
    for (int64_t i = 0; i < n; i++) data[i] = v ? v[i] : net_random();
    uint32_t id = kerb_graph_add_constant(g, kerb_graph_name(g, "constant", "f"), KERB_F32, rank, dims, data, true);
    free(data);
    return id;
}

static inline uint32_t net_list(KerbGraph *g, const char *text, bool floats, bool scalar)
{
    int64_t i64[64], n = 0;
    float f32[64];
    for (char *end; *text && !strchr("]} ", *text); text = *end == ',' ? end + 1 : end) {
        f32[n] = strtof(text, &end);
        i64[n++] = floats ? 0 : strtoll(text, NULL, 10);
    }
    if (floats) return net_constant(g, f32, scalar ? 0 : 1, &n);
    return kerb_graph_add_constant(g, kerb_graph_name(g, "constant", "i"), KERB_I64, scalar ? 0 : 1, &n, i64, true);
}

/* A value from its text, as above. */
static inline uint32_t net_value(KerbGraph *g, const char *text)
{
    int64_t dims[KERB_MAX_RANK];
    switch (*text) {
    case '-': return KERB_NO_VALUE;
    case '[': return net_list(g, text + 1, false, false);
    case '#': return net_list(g, text + 1, false, true);
    case '{': return net_list(g, text + 1, true, false);
    case '~': return net_list(g, text + 1, true, true);
    case '=': {
        int rank = net_dims(text + 1, dims);
        return net_constant(g, NULL, rank, dims);
    }
    default: break;
    }
    KerbDtype dtype = net_dtype(&text);
    int rank = net_dims(text, dims);
    uint32_t id = kerb_graph_add_value(g, kerb_graph_name(g, "input", "x"), dtype, rank, dims);
    uint32_t *inputs = kerb_arena_alloc(g->arena, (size_t)(g->n_inputs + 1) * sizeof *inputs);
    if (g->n_inputs) memcpy(inputs, g->inputs, (size_t)g->n_inputs * sizeof *inputs);
    inputs[g->n_inputs++] = id;
    g->inputs = inputs;
    return id;
}

static inline uint32_t net_outputs(KerbGraph *g, KerbOp op, KerbAttrs attrs, int n_in, const uint32_t in[], int n_out, uint32_t out[])
{
    for (int i = 0; i < n_out; i++) out[i] = kerb_graph_add_value(g, kerb_graph_name(g, "value", "v"), KERB_DTYPE_NONE, -1, NULL);
    uint32_t node = kerb_graph_add_node(g, op, kerb_graph_name(g, kerb_op_name(op), "n"), n_in, in, n_out, out);
    g->nodes[node].attrs = attrs;
    return node;
}

typedef struct NetInputs {
    int n;
    uint32_t v[8];
} NetInputs;
#define IN(...) ((const NetInputs){ (int)(sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)), { __VA_ARGS__ } })
/* A node of one output, which it returns: NODE(g, op, IN(x, w), .conv = {...}); .axis = 0 where there are no attributes. */
#define NODE(g, op, in, ...) net_node(g, op, in, (KerbAttrs){ __VA_ARGS__ })
static inline uint32_t net_node(KerbGraph *g, KerbOp op, NetInputs in, KerbAttrs attrs)
{
    uint32_t out;
    net_outputs(g, op, attrs, in.n, in.v, 1, &out);
    return out;
}
#define UNARY(g, x, which) NODE(g, KERB_OP_UNARY, IN(x), .unary = { .kind = KERB_UNARY_##which })
#define BINARY(g, a, b, which) NODE(g, KERB_OP_BINARY, IN(a, b), .binary = { .kind = KERB_BINARY_##which })

static inline void net_set_outputs(KerbGraph *g, NetInputs out)
{
    g->outputs = kerb_arena_alloc(g->arena, (size_t)out.n * sizeof *g->outputs);
    memcpy(g->outputs, out.v, (size_t)out.n * sizeof *g->outputs);
    g->n_outputs = out.n;
}

/* A square window. */
static inline KerbWindow net_window(int64_t kernel, int64_t stride, int64_t dilation, int64_t begin, int64_t end)
{
    KerbWindow w = { .n = 2 };
    for (int i = 0; i < KERB_MAX_SPATIAL; i++) {
        w.kernel[i] = kernel;
        w.stride[i] = stride;
        w.dilation[i] = dilation;
        w.pad_begin[i] = begin;
        w.pad_end[i] = end;
    }
    return w;
}
#define CONV(k, s, d, begin, end, groups) .conv = { .window = net_window(k, s, d, begin, end), .group = groups }
#define POOL(k, s, begin, end, ...) .pool = { .window = net_window(k, s, 1, begin, end), __VA_ARGS__ }

/* ---- running: every value has its own memory; inputs are random, the same for graphs of the same inputs */

typedef struct NetRun {
    int n;
    KerbTensor *t; /* by value id */
    bool *owned;
} NetRun;

static inline void net_run_free(NetRun *run)
{
    for (int i = 0; i < run->n; i++)
        if (run->owned[i]) kerb_free(&run->t[i].data);
    free(run->t);
    free(run->owned);
}

static inline KerbTensor net_allocate(const KerbValue *v)
{
    KerbTensor t = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
    t.data = kerb_alloc(kerb_tensor_bytes(&t) + 1);
    return t;
}

/* `positive`: inputs in 0..1 */
static inline NetRun net_run(const KerbGraph *g, unsigned seed)
{
    NetRun run = { g->n_values, calloc((size_t)g->n_values, sizeof *run.t), calloc((size_t)g->n_values, sizeof *run.owned) };
    KerbError error = { 0 };
    net_seed = seed;
    for (int i = 0; i < g->n_inputs; i++) {
        uint32_t id = g->inputs[i];
        run.t[id] = net_allocate(&g->values[id]);
        run.owned[id] = true;
        for (int64_t k = 0; k < kerb_tensor_elements(&run.t[id]); k++) kerb_tensor_set(&run.t[id], k, (double)net_random() * 2);
    }
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i].data) run.t[i] = kerb_value_tensor(&g->values[i]);
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        KerbTensor in[8] = { 0 }, out[4] = { 0 };
        assert_true(n->n_inputs <= 8 && n->n_outputs <= 4);
        for (int k = 0; k < n->n_inputs; k++)
            if (n->inputs[k] != KERB_NO_VALUE) in[k] = run.t[n->inputs[k]];
        for (int k = 0; k < n->n_outputs; k++) {
            if (n->outputs[k] == KERB_NO_VALUE) continue;
            out[k] = run.t[n->outputs[k]] = net_allocate(&g->values[n->outputs[k]]);
            run.owned[n->outputs[k]] = true;
        }
        if (kerb_ref_eval(g, n, in, out, &error) != KERB_OK) fail_msg("%s", error.message);
    }
    return run;
}

static inline void net_infer(KerbGraph *g)
{
    KerbError error = { 0 };
    if (kerb_graph_infer(g, &error) != KERB_OK) fail_msg("%s", error.message);
}

/* Outputs of both graphs on the same inputs: the same within `tolerance`, relative to the largest element. */
static inline void net_expect_same(const KerbGraph *a, const KerbGraph *b, double tolerance)
{
    NetRun x = net_run(a, 7), y = net_run(b, 7);
    assert_int_equal(a->n_outputs, b->n_outputs);
    for (int i = 0; i < a->n_outputs; i++) {
        const KerbTensor *p = &x.t[a->outputs[i]], *q = &y.t[b->outputs[i]];
        double largest = 0, worst = 0;
        assert_true(kerb_tensor_same_shape(p, q));
        assert_int_equal(p->dtype, q->dtype);
        for (int64_t k = 0; k < kerb_tensor_elements(p); k++) {
            double u = kerb_tensor_get(p, k), v = kerb_tensor_get(q, k);
            if (fabs(u) > largest) largest = fabs(u);
            if (u != v && !(fabs(u - v) <= worst)) worst = fabs(u - v);
        }
        if (!(worst <= tolerance * (largest > 1 ? largest : 1)))
            fail_msg("output %d differs by %g; the largest element is %g, the tolerance %g", i, worst, largest, tolerance);
    }
    net_run_free(&x);
    net_run_free(&y);
}

static inline int net_count(const KerbGraph *g, KerbOp op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) n += !g->nodes[i].dead && g->nodes[i].op == op;
    return n;
}

static inline KerbNode *net_find(const KerbGraph *g, KerbOp op)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i].dead && g->nodes[i].op == op) return &g->nodes[i];
    fail_msg("there is no %s", kerb_op_name(op));
    return NULL;
}

static inline const KerbPass *net_pass(const char *name)
{
    for (int i = 0; i < kerb_n_passes; i++)
        if (strcmp(kerb_passes[i].name, name) == 0) return &kerb_passes[i];
    fail_msg("there is no pass %s", name);
    return NULL;
}

/* Runs one pass on an inferred copy of `g` with these outputs: it must change `changes` places, leave a sound graph, and the meaning. Takes
 * nothing; the copy that comes back is the caller's. Sums in another order and weights that are rounded once more: a few units of 2^-24. */
#define NET_TOLERANCE 2e-6
static inline KerbGraph *net_apply(KerbGraph *g, NetInputs outputs, const char *pass, int changes)
{
    KerbGraph *before = NULL, *after = NULL;
    KerbError error = { 0 };
    int n = 0;
    net_set_outputs(g, outputs);
    assert_int_equal(kerb_graph_clone(g, &before, &error), KERB_OK);
    net_infer(before);
    assert_int_equal(kerb_graph_clone(before, &after, &error), KERB_OK);
    if (net_pass(pass)->run(after, &n, &error) != KERB_OK) fail_msg("%s: %s", pass, error.message);
    if (n != changes) fail_msg("%s changed %d places, not %d", pass, n, changes);
    for (int i = 0; i < after->n_nodes; i++) assert_false(after->nodes[i].dead);
    net_expect_same(before, after, NET_TOLERANCE);
    kerb_graph_free(&before);
    return after;
}

#endif
