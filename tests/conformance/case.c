/* SPDX-License-Identifier: MIT */
/* Running one case: import, bind, infer, optimise, compile, run each data set, compare. Nothing here knows an operator, but for one table:
 * which inputs are parameters. A real model has constants there (shapes, axes, weights); the cases give everything as graph inputs. */
#include "case.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "net/onnx/onnx.h"
#include "net/passes.h"

#define MAX_TENSORS 64 /* inputs or outputs of a case */

/* Bit i: input i is a parameter, and is bound as a constant before shapes are inferred. */
static const unsigned parameters[KERB_OP_COUNT] = {
    [KERB_OP_CONV] = 0x6,            /* weights, bias */
    [KERB_OP_CONV_TRANSPOSE] = 0x6,
    [KERB_OP_BATCH_NORM] = 0x1E,     /* scale, bias, mean, variance */
    [KERB_OP_INSTANCE_NORM] = 0x6,   /* scale, bias */
    [KERB_OP_CLIP] = 0x6,            /* min, max */
    [KERB_OP_MAX_UNPOOL] = 0x4,      /* output shape */
    [KERB_OP_REDUCE] = 0x2,          /* axes */
    [KERB_OP_RESIZE] = 0xE,          /* roi, scales, sizes */
    [KERB_OP_RESHAPE] = 0x2,         /* shape */
    [KERB_OP_PAD] = 0xE,             /* pads, value, axes */
    [KERB_OP_SPLIT] = 0x2,           /* sizes */
    [KERB_OP_SLICE] = 0x1E,          /* starts, ends, axes, steps */
    [KERB_OP_UNSQUEEZE] = 0x2,       /* axes */
    [KERB_OP_SQUEEZE] = 0x2,         /* axes */
    [KERB_OP_CONSTANT_OF_SHAPE] = 0x1,
    [KERB_OP_EXPAND] = 0x2,          /* shape */
    [KERB_OP_TILE] = 0x2,            /* repeats */
    [KERB_OP_RANGE] = 0x7,           /* start, limit, delta */
    [KERB_OP_QUANTIZE] = 0x6,        /* scale, zero point */
    [KERB_OP_DEQUANTIZE] = 0x6,
    [KERB_OP_QLINEAR_CONV] = 0x1FE,  /* all but x */
    [KERB_OP_QLINEAR_MATMUL] = 0xF6, /* all but a, b */
    [KERB_OP_CUMSUM] = 0x2,          /* axis */
};

/* Cases of ONNX 1.16 whose expected values contradict the operator's own definition. ONNX's later reference implementation (1.23) and ONNX
 * Runtime (1.31) both give other values, the ones that Kerb gives. */
static const struct {
    const char *name, *why;
} errata[] = {
    { "test_qlinearmatmul_2D_int8_float16", "expects int8 results to wrap; QLinearMatMul saturates" },
    { "test_qlinearmatmul_2D_int8_float32", "expects int8 results to wrap; QLinearMatMul saturates" },
    { "test_qlinearmatmul_3D_int8_float16", "expects int8 results to wrap; QLinearMatMul saturates" },
    { "test_qlinearmatmul_3D_int8_float32", "expects int8 results to wrap; QLinearMatMul saturates" },
    { "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True", "counts window elements that lie past the padding" },
};

typedef struct Set {
    KerbTensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
    int n_inputs, n_outputs;
} Set;

/* What one case holds while it runs. */
typedef struct Case {
    const char *folder;
    const CaseOptions *options;
    CaseResult *result;
    KerbOnnx *onnx;
    KerbGraph *model;
    KerbError error;
} Case;

static void fail(Case *c, const char *what)
{
    c->result->outcome = CASE_FAILED;
    snprintf(c->result->detail, sizeof c->result->detail, "%s: %s", what, c->error.message);
}

/* A status on the way: UNSUPPORTED skips the case, others fail it. */
static bool passed(Case *c, KerbStatus status, const char *what)
{
    if (status == KERB_OK) return true;
    fail(c, what);
    if (status == KERB_ERROR_UNSUPPORTED) c->result->outcome = CASE_SKIPPED;
    return false;
}

static bool is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* The cases store bfloat16 as uint16 with the same bits. */
static void restore_bf16(KerbTensor *t, KerbDtype declared)
{
    if (t->dtype == KERB_U16 && declared == KERB_BF16) t->dtype = KERB_BF16;
}

/* Reads KIND_0.pb, KIND_1.pb, ... of a data set; the number, or -1. */
static int read_tensors(Case *c, KerbArena *arena, int set, const char *kind, KerbTensor tensors[])
{
    char path[4200];
    for (int i = 0; i < MAX_TENSORS; i++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%d.pb", c->folder, set, kind, i);
        if (!is_file(path)) return i;
        if (!passed(c, kerb_onnx_read_tensor(path, arena, &tensors[i], &c->error), "reading the data")) return -1;
    }
    snprintf(c->error.message, sizeof c->error.message, "more than %d", MAX_TENSORS);
    fail(c, kind);
    return -1;
}

static bool is_parameter(const KerbGraph *g, uint32_t value)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        for (int k = 0; k < n->n_inputs && k < 32 && !n->dead; k++)
            if (n->inputs[k] == value && parameters[n->op] >> k & 1u) return true;
    }
    return false;
}

/* Gives every graph input its shape or, where it is a parameter, its value. Inputs leave g->inputs when they are bound: by name, then. */
static bool bind_inputs(Case *c, KerbGraph *g, Set *set)
{
    uint32_t ids[MAX_TENSORS];
    int n = g->n_inputs;
    if (n != set->n_inputs) {
        snprintf(c->error.message, sizeof c->error.message, "%d in the model, %d in the data", n, set->n_inputs);
        fail(c, "inputs");
        return false;
    }
    memcpy(ids, g->inputs, (size_t)n * sizeof ids[0]);
    for (int i = 0; i < n; i++) {
        KerbTensor *t = &set->inputs[i];
        restore_bf16(t, kerb_graph_value(g, ids[i])->dtype);
        KerbStatus status = is_parameter(g, ids[i]) ? kerb_graph_bind_constant(g, ids[i], t, &c->error)
                                                    : kerb_graph_bind_input(g, ids[i], t->rank, t->dims, &c->error);
        if (!passed(c, status, "binding")) return false;
    }
    return true;
}

static bool backend_supports(Case *c, const KerbGraph *g)
{
    const KerbBackend *backend = c->options->backend;
    for (int i = 0; i < g->n_nodes && backend->supports; i++) {
        char why[256] = "";
        const KerbNode *n = &g->nodes[i];
        if (n->dead || backend->supports(g, n, why, sizeof why)) continue;
        c->result->outcome = CASE_SKIPPED;
        snprintf(c->result->detail, sizeof c->result->detail, "%s: %s", kerb_node_kind(n), why);
        snprintf(c->result->operators, sizeof c->result->operators, "%s", kerb_node_kind(n));
        return false;
    }
    return true;
}

static bool write_inputs(Case *c, const KerbGraph *g, KerbNet *net, const Set *set)
{
    for (int i = 0; i < g->n_inputs; i++) {
        const char *name = kerb_graph_value(g, g->inputs[i])->name;
        int k = 0;
        while (k < c->model->n_inputs && strcmp(kerb_graph_value(c->model, c->model->inputs[k])->name, name)) k++;
        const KerbTensor *to = c->options->backend->input(net, i);
        if (k == c->model->n_inputs || !kerb_tensor_same_shape(to, &set->inputs[k])) {
            snprintf(c->error.message, sizeof c->error.message, "\"%s\" is not the model's, or has another shape", name);
            fail(c, "input");
            return false;
        }
        kerb_tensor_copy(to, &set->inputs[k]);
    }
    return true;
}

static bool compare_outputs(Case *c, KerbNet *net, Set *set)
{
    for (int i = 0; i < set->n_outputs; i++) {
        char text[512];
        const KerbTensor *got = c->options->backend->output(net, i);
        restore_bf16(&set->outputs[i], got->dtype);
        if (case_compare(got, &set->outputs[i], text, sizeof text)) continue;
        c->result->outcome = CASE_FAILED;
        snprintf(c->result->detail, sizeof c->result->detail, "output %d %s", i, text);
        return false;
    }
    return true;
}

static bool run_graph(Case *c, KerbGraph *g, Set *set)
{
    const KerbBackend *backend = c->options->backend;
    KerbNet *net = NULL;
    if (!bind_inputs(c, g, set) || !passed(c, kerb_graph_infer(g, &c->error), "inferring shapes")) return false;
    if (c->options->passes && !passed(c, kerb_graph_optimize(g, &(KerbOptimizeOptions){ .keep_head = true }, &c->error), "optimising"))
        return false;
    if (g->n_outputs != set->n_outputs) {
        snprintf(c->error.message, sizeof c->error.message, "%d in the model, %d in the data", g->n_outputs, set->n_outputs);
        fail(c, "outputs");
        return false;
    }
    if (!backend_supports(c, g)) return false;
    KerbCompileOptions compile = { .threads = c->options->threads, .precision = KERB_PRECISION_F32 };
    bool ok = passed(c, backend->compile(&net, g, &compile, &c->error), "compiling") && write_inputs(c, g, net, set) &&
              passed(c, backend->run(net, &c->error), "running") && compare_outputs(c, net, set);
    backend->free(&net);
    return ok;
}

/* False where the set fails, is skipped, or is not there (*found). */
static bool run_set(Case *c, int index, bool *found)
{
    Set set = { 0 };
    KerbGraph *g = NULL;
    KerbArena *arena = kerb_arena_new(0);
    bool ok = arena && (set.n_inputs = read_tensors(c, arena, index, "input", set.inputs)) >= 0 &&
              (set.n_outputs = read_tensors(c, arena, index, "output", set.outputs)) >= 0;
    *found = !ok || set.n_outputs > 0;
    ok = ok && *found && passed(c, kerb_graph_clone(c->model, &g, &c->error), "cloning") && run_graph(c, g, &set);
    kerb_graph_free(&g);
    kerb_arena_free(&arena);
    return ok;
}

/* Does the model have a node of the type? Types that Kerb lacks are in `unsupported`. */
static bool has_operator(const KerbGraph *g, const char *type)
{
    for (int i = 0; g && i < g->n_nodes; i++)
        if (!strcmp(kerb_node_kind(&g->nodes[i]), type) || !strcmp(kerb_op_name(g->nodes[i].op), type)) return true;
    return false;
}

static bool lists_operator(const char *list, const char *type)
{
    size_t n = strlen(type);
    for (const char *p = strstr(list, type); p; p = strstr(p + 1, type))
        if ((p == list || p[-1] == ' ' || p[-1] == ',') && (p[n] == '\0' || p[n] == ',')) return true;
    return false;
}

static void run_sets(Case *c)
{
    bool found = true;
    int n = 0;
    while (run_set(c, n, &found)) n++;
    if (found) return; /* the outcome is set */
    c->result->outcome = n ? CASE_PASSED : CASE_FAILED;
    if (n == 0) snprintf(c->result->detail, sizeof c->result->detail, "no test_data_set_0/output_0.pb");
}

/* True (and the result is set) where the case's expectation is known to be wrong. */
static bool is_erratum(const char *folder, const CaseOptions *options, CaseResult *result)
{
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    for (size_t i = 0; i < sizeof errata / sizeof errata[0] && !options->errata; i++) {
        if (strcmp(name, errata[i].name)) continue;
        result->outcome = CASE_SKIPPED;
        snprintf(result->detail, sizeof result->detail, "the case is wrong: it %s", errata[i].why);
        return true;
    }
    return false;
}

void case_run(const char *folder, const CaseOptions *options, CaseResult *result)
{
    char path[4200];
    Case c = { .folder = folder, .options = options, .result = result };
    *result = (CaseResult){ .outcome = CASE_FAILED };
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (!passed(&c, kerb_onnx_open(&c.onnx, path, &c.error), "opening")) goto done;
    int lacking = kerb_onnx_unsupported(c.onnx, result->operators, sizeof result->operators);
    KerbStatus status = kerb_onnx_import(c.onnx, &c.model, &c.error);
    if (options->only && !has_operator(c.model, options->only) && !lists_operator(result->operators, options->only)) {
        result->outcome = CASE_NOT_CHOSEN;
    } else if (lacking) {
        result->outcome = CASE_SKIPPED;
        snprintf(result->detail, sizeof result->detail, "operators that Kerb lacks: %s", result->operators);
    } else if (passed(&c, status, "importing") && !is_erratum(folder, options, result)) {
        run_sets(&c);
    }
done:
    kerb_graph_free(&c.model);
    kerb_onnx_close(&c.onnx);
}
