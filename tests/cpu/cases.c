/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/ref/ref.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

uint32_t kerb_random(KerbRandom *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}
int kerb_random_in(KerbRandom *r, int lo, int hi)
{
    return lo + (int)(kerb_random(r) % (uint32_t)(hi - lo + 1));
}
float kerb_random_float(KerbRandom *r)
{
    return (float)((double)kerb_random(r) / 2147483648.0 - 1.0);
}
KerbRandom kerb_random_seeded(const char *test, uint64_t seed)
{
    const char *given = getenv("KERB_SEED");
    if (given) seed = strtoull(given, NULL, 0);
    printf("%s: seed %llu\n", test, (unsigned long long)seed);
    return (KerbRandom){seed};
}

uint32_t kerb_case_value(KerbGraph *g, int rank, const int64_t dims[])
{
    return kerb_graph_add_value(g, kerb_graph_name(g, "v", ""), KERB_F32, rank, dims);
}
uint32_t kerb_case_input(KerbGraph *g, int rank, const int64_t dims[])
{
    uint32_t id = kerb_case_value(g, rank, dims);
    uint32_t *inputs = kerb_arena_alloc(g->arena, (size_t)(g->n_inputs + 1) * sizeof *inputs);
    if (g->n_inputs) memcpy(inputs, g->inputs, (size_t)g->n_inputs * sizeof *inputs);
    inputs[g->n_inputs++] = id;
    g->inputs = inputs;
    return id;
}
uint32_t kerb_case_constant(KerbGraph *g, KerbRandom *r, int rank, const int64_t dims[], float scale)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= dims[i];
    float *data = kerb_arena_alloc(g->arena, (size_t)(n ? n : 1) * sizeof *data);
    for (int64_t i = 0; i < n; i++) data[i] = kerb_random_float(r) * scale;
    return kerb_graph_add_constant(g, kerb_graph_name(g, "c", ""), KERB_F32, rank, dims, data, false);
}
uint32_t kerb_case_integers(KerbGraph *g, int n, const int64_t values[])
{
    int64_t dims[1] = {n};
    return kerb_graph_add_constant(g, kerb_graph_name(g, "i", ""), KERB_I64, 1, dims, values, true);
}
KerbNode *kerb_case_node(KerbGraph *g, KerbOp op, int n_inputs, const uint32_t inputs[], uint32_t output)
{
    uint32_t id = kerb_graph_add_node(g, op, kerb_graph_name(g, kerb_op_name(op), ""), n_inputs, inputs, 1, &output);
    return &g->nodes[id];
}
void kerb_case_output(KerbGraph *g, uint32_t value)
{
    uint32_t *outputs = kerb_arena_alloc(g->arena, (size_t)(g->n_outputs + 1) * sizeof *outputs);
    if (g->n_outputs) memcpy(outputs, g->outputs, (size_t)g->n_outputs * sizeof *outputs);
    outputs[g->n_outputs++] = value;
    g->outputs = outputs;
}

static void kerb_case_compare(const KerbTensor *a, const KerbTensor *b, KerbCaseResult *result, double *squares, double *reference)
{
    int64_t n = kerb_tensor_elements(a);
    for (int64_t i = 0; i < n; i++) {
        double x = kerb_tensor_get(a, i), y = kerb_tensor_get(b, i), d = fabs(x - y);
        if (isnan(x) && isnan(y)) continue;
        if (x == y) d = 0;
        if (!(d / (1 + fabs(y)) <= result->worst)) result->worst = isnan(d) ? INFINITY : d / (1 + fabs(y));
        *squares += d * d;
        *reference += y * y;
    }
}

/* Every value of the graph with memory of its own. */
static KerbTensor *kerb_case_reference(const KerbGraph *g, KerbArena *arena)
{
    KerbTensor *t = kerb_arena_alloc(arena, (size_t)g->n_values * sizeof *t);
    for (int i = 0; i < g->n_values; i++) {
        const KerbValue *v = &g->values[i];
        t[i] = kerb_value_is_constant(v) ? kerb_value_tensor(v) : kerb_tensor(NULL, v->dtype, v->rank, v->dims);
        if (!t[i].data) t[i].data = kerb_arena_alloc(arena, kerb_tensor_bytes(&t[i]) + 1);
    }
    return t;
}
static KerbStatus kerb_case_evaluate(const KerbGraph *g, KerbTensor *t, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        KerbTensor in[16] = {{0}}, out[4] = {{0}};
        for (int j = 0; j < n->n_inputs; j++) {
            if (n->inputs[j] != KERB_NO_VALUE) in[j] = t[n->inputs[j]];
        }
        for (int j = 0; j < n->n_outputs; j++) out[j] = t[n->outputs[j]];
        KerbStatus status = kerb_ref_eval(g, n, in, out, error);
        if (status) return status;
    }
    return KERB_OK;
}

KerbPrecision kerb_case_precision(KerbPrecision asked)
{
    const char *name = getenv("KERB_CASE_PRECISION");
    return asked == KERB_PRECISION_F32 && name && !strcmp(name, "f16") ? KERB_PRECISION_F16 : asked;
}

KerbCaseResult kerb_case_run(const KerbGraph *g, KerbRandom *r, int threads, KerbPrecision precision)
{
    return kerb_case_run_as(g, g, r, threads, precision);
}

KerbCaseResult kerb_case_run_as(const KerbGraph *meaning, const KerbGraph *g, KerbRandom *r, int threads, KerbPrecision precision)
{
    KerbCaseResult result = {0};
    KerbError error = {0};
    precision = kerb_case_precision(precision);
    KerbNet *cpu = NULL;
    KerbArena *arena = kerb_arena_new(0);
    KerbTensor *expected = kerb_case_reference(meaning, arena);
    const KerbBackend *backend = kerb_backend(KERB_BACKEND_ABI, NULL);
    KerbCompileOptions options = {.threads = threads, .precision = precision};
    KerbStatus status = backend->compile(&cpu, g, &options, &error);
    for (int i = 0; i < g->n_inputs && !status; i++) {
        const KerbTensor *a = &expected[meaning->inputs[i]], *b = backend->input(cpu, i);
        for (int64_t j = 0, n = kerb_tensor_elements(a); j < n; j++) {
            double v = kerb_random_float(r);
            if (precision == KERB_PRECISION_BF16) v = kerb_bf16_to_f32(kerb_f32_to_bf16((float)v)); /* both see the same numbers */
            if (precision == KERB_PRECISION_F16) v = (double)kerb_f16_to_f32(kerb_f32_to_f16((float)v));
            kerb_tensor_set(a, j, v);
            kerb_tensor_set(b, j, v);
        }
    }
    double squares = 0, reference = 0;
    if (!status) status = kerb_case_evaluate(meaning, expected, &error);
    for (int pass = 0; pass < 2 && !status; pass++) {
        if ((status = backend->run(cpu, &error))) break;
        for (int i = 0; i < g->n_outputs; i++)
            kerb_case_compare(backend->output(cpu, i), &expected[meaning->outputs[i]], &result, &squares, &reference);
    }
    if (status) {
        printf("status %d: %s\n", (int)status, error.message);
        result.failed = 1;
        result.worst = INFINITY;
    }
    result.rms = reference > 0 ? sqrt(squares / reference) : sqrt(squares);
    backend->free(&cpu);
    kerb_arena_free(&arena);
    return result;
}

int kerb_case_left_to_ref(const KerbGraph *g)
{
    const KerbBackend *backend = kerb_backend(KERB_BACKEND_ABI, NULL);
    const KerbCompileOptions options = {.threads = 1, .precision = KERB_PRECISION_F32, .no_tune = true, .trace = true};
    KerbNet *net = NULL;
    int left = 0;
    if (strcmp(backend->name, "cpu") != 0 || backend->compile(&net, g, &options, NULL)) return 0;
    const KerbTrace trace = backend->trace(net);
    for (int i = 0; i < trace.n; i++) left |= strncmp(trace.spans[i].name, "ref ", 4) == 0;
    if (left) printf("a step is left to the reference\n");
    backend->free(&net);
    return left;
}
