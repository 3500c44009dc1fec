/* SPDX-License-Identifier: MIT */
/* The ref backend: the graph's nodes in order, each by kerb_ref_eval(), over dense row-major tensors in one arena. Weights stay where
 * they are. Slow by design: one thread, no reordering, sums in double. */
#include "net/passes.h"
#include "net/ref/ref.h"

#include <stdio.h>
#include <string.h>

typedef struct Step {
    const KerbNode *node;
    KerbTensor *inputs, *outputs; /* into KerbNet.operands */
} Step;

struct KerbNet {
    const KerbGraph *g;
    unsigned char *arena;
    size_t arena_bytes;
    unsigned char *constants; /* copies of constants that are graph outputs: those must be aligned */
    KerbTensor *values;       /* by value id */
    KerbTensor *operands;     /* of all steps */
    Step *steps;
    int n_steps;
    KerbSpan *spans; /* by step; NULL: not traced */
};

static void ref_probe(KerbDevice *device)
{
    *device = (KerbDevice){ .usable = true };
    snprintf(device->name, sizeof device->name, "ref");
    snprintf(device->description, sizeof device->description, "plain C, one thread: slow, for comparison");
    snprintf(device->precisions, sizeof device->precisions, "f32");
}

/* ---- memory: what may lie where something else lay */

static bool same_type_and_shape(const KerbValue *a, const KerbValue *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

/* Operators that read an element of an input before they write the same element of the output, and nothing else of it after that. */
static uint32_t shared_input(void *user, const KerbGraph *g, uint32_t value, bool *alias)
{
    *alias = false;
    uint32_t producer = g->values[value].producer;
    if (producer == KERB_NO_NODE) return KERB_NO_VALUE;
    const KerbNode *n = &g->nodes[producer];
    if (n->n_inputs < 1 || n->outputs[0] != value) return KERB_NO_VALUE;
    switch (n->op) {
    case KERB_OP_IDENTITY:
    case KERB_OP_RESHAPE:
    case KERB_OP_FLATTEN:
    case KERB_OP_SQUEEZE:
    case KERB_OP_UNSQUEEZE: *alias = true; return n->inputs[0];
    case KERB_OP_UNARY:
    case KERB_OP_CLIP:
    case KERB_OP_BATCH_NORM:
    case KERB_OP_SOFTMAX: break;
    case KERB_OP_BINARY:
        if (n->inputs[0] == n->inputs[1]) return KERB_NO_VALUE;
        break;
    default: return KERB_NO_VALUE;
    }
    const KerbValue *x = kerb_graph_value(g, n->inputs[0]);
    return x && same_type_and_shape(x, &g->values[value]) ? n->inputs[0] : KERB_NO_VALUE;
}

static KerbStatus place_values(KerbNet *net, KerbError *error)
{
    const KerbGraph *g = net->g;
    KerbPlan *plan = NULL;
    KerbStatus status = kerb_plan_new(&plan, g, &(KerbPlanOptions){ .share = shared_input }, error);
    if (status != KERB_OK) return status;
    net->arena_bytes = plan->arena_bytes;
    net->arena = kerb_alloc(net->arena_bytes);
    if (!net->arena)
        status = kerb_fail(error, KERB_ERROR_MEMORY,
                           "not enough memory for the network's %zu bytes of tensors; choose a smaller network size", net->arena_bytes);
    for (int i = 0; i < g->n_values && status == KERB_OK; i++) {
        const KerbValue *v = &g->values[i];
        if (kerb_value_is_constant(v)) net->values[i] = kerb_value_tensor(v);
        else if (plan->offsets[i] != SIZE_MAX) net->values[i] = kerb_tensor(net->arena + plan->offsets[i], v->dtype, v->rank, v->dims);
        else if (v->rank >= 0 && v->dtype != KERB_DTYPE_NONE)
            net->values[i] = kerb_tensor(NULL, v->dtype, v->rank, v->dims); /* empty, or dead */
    }
    kerb_plan_free(&plan);
    return status;
}

/* ---- compile */

static KerbStatus check_shapes(const KerbGraph *g, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        for (int k = 0; k < n->n_outputs && !n->dead; k++) {
            const KerbValue *v = kerb_graph_value(g, n->outputs[k]);
            int64_t elements;
            if (v && (v->rank < 0 || v->dtype == KERB_DTYPE_NONE || !kerb_dims_elements(v->rank, v->dims, 0, &elements)))
                return kerb_fail(error, KERB_ERROR_INTERNAL, "%s \"%s\": output \"%s\" has no shape; the graph was not inferred",
                                 kerb_node_kind(n), n->name, v->name);
        }
    }
    return KERB_OK;
}

static void make_steps(KerbNet *net)
{
    const KerbGraph *g = net->g;
    KerbTensor *operand = net->operands;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead) continue;
        Step *step = &net->steps[net->n_steps++];
        *step = (Step){ n, operand, operand + n->n_inputs };
        for (int k = 0; k < n->n_inputs; k++, operand++)
            if (n->inputs[k] != KERB_NO_VALUE) *operand = net->values[n->inputs[k]];
        for (int k = 0; k < n->n_outputs; k++, operand++)
            if (n->outputs[k] != KERB_NO_VALUE) *operand = net->values[n->outputs[k]];
    }
}

/* Graph outputs that are constants get memory of their own: what a model's mapping holds need not be aligned. */
static KerbStatus copy_constant_outputs(KerbNet *net, KerbError *error)
{
    const KerbGraph *g = net->g;
    size_t bytes = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < g->n_outputs; i++) {
            KerbTensor *t = &net->values[g->outputs[i]];
            if (!kerb_value_is_constant(&g->values[g->outputs[i]])) continue;
            size_t need = (kerb_tensor_bytes(t) + KERB_ALIGNMENT - 1) / KERB_ALIGNMENT * KERB_ALIGNMENT;
            if (pass) {
                memcpy(net->constants + bytes - need, t->data, kerb_tensor_bytes(t));
                t->data = net->constants + bytes - need;
                bytes -= need;
            } else {
                bytes += need;
            }
        }
        if (pass == 0 && bytes == 0) return KERB_OK;
        if (pass == 0 && !(net->constants = kerb_alloc(bytes)))
            return kerb_fail(error, KERB_ERROR_MEMORY, "not enough memory for %zu bytes of outputs", bytes);
    }
    return KERB_OK;
}

static void ref_free(KerbNet **net)
{
    if (!*net) return;
    kerb_free(&(*net)->arena);
    kerb_free(&(*net)->constants);
    kerb_free(&(*net)->values);
    kerb_free(&(*net)->operands);
    kerb_free(&(*net)->steps);
    kerb_free(&(*net)->spans);
    kerb_free(net);
}

static KerbStatus ref_compile(KerbNet **out, const KerbGraph *g, const KerbCompileOptions *options, KerbError *error)
{
    *out = NULL;
    if (options->precision != KERB_PRECISION_F32)
        return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "the ref backend computes in f32 only: choose precision f32, or another backend");
    KerbStatus status = check_shapes(g, error);
    if (status != KERB_OK) return status;
    size_t operands = 0;
    for (int i = 0; i < g->n_nodes; i++) operands += (size_t)g->nodes[i].n_inputs + (size_t)g->nodes[i].n_outputs;
    KerbNet *net = kerb_alloc(sizeof *net);
    if (!net) return kerb_fail(error, KERB_ERROR_MEMORY, "not enough memory");
    net->g = g;
    net->values = kerb_alloc((size_t)g->n_values * sizeof *net->values);
    net->operands = kerb_alloc(operands * sizeof *net->operands);
    net->steps = kerb_alloc((size_t)g->n_nodes * sizeof *net->steps);
    net->spans = options->trace ? kerb_alloc((size_t)g->n_nodes * sizeof *net->spans) : NULL;
    if (!net->values || !net->operands || !net->steps || (options->trace && !net->spans)) {
        status = kerb_fail(error, KERB_ERROR_MEMORY, "not enough memory for a network of %d nodes", g->n_nodes);
        goto fail;
    }
    if ((status = place_values(net, error)) != KERB_OK || (status = copy_constant_outputs(net, error)) != KERB_OK) goto fail;
    make_steps(net);
    for (int i = 0; i < net->n_steps && net->spans; i++) net->spans[i].name = net->steps[i].node->name;
    if (options->progress) options->progress(options->progress_user, "compiling", net->n_steps, net->n_steps);
    *out = net;
    return KERB_OK;
fail:
    ref_free(&net);
    return status;
}

/* ---- run */

static const KerbTensor *ref_input(KerbNet *net, int i) { return &net->values[net->g->inputs[i]]; }
static const KerbTensor *ref_output(KerbNet *net, int i) { return &net->values[net->g->outputs[i]]; }

static KerbStatus ref_run(KerbNet *net, KerbError *error)
{
    KerbTrace trace = { .spans = net->spans, .n = net->n_steps };
    for (int i = 0; i < net->n_steps; i++) {
        const Step *step = &net->steps[i];
        int64_t start = net->spans ? kerb_now_ns() : 0;
        KerbStatus status = kerb_ref_eval(net->g, step->node, step->inputs, step->outputs, error);
        if (status != KERB_OK) return status;
        if (net->spans) kerb_trace_add(&trace, i, kerb_now_ns() - start);
    }
    return KERB_OK;
}

static KerbTrace ref_trace(KerbNet *net) { return (KerbTrace){ .spans = net->spans, .n = net->spans ? net->n_steps : 0 }; }

static void ref_memory(KerbNet *net, size_t *arena_bytes, size_t *weight_bytes)
{
    *arena_bytes = net->arena_bytes;
    *weight_bytes = 0; /* borrowed from the graph */
}

const KerbBackend kerb_backend_ref = {
    .abi = KERB_BACKEND_ABI,
    .name = "ref",
    .probe = ref_probe,
    .compile = ref_compile,
    .input = ref_input,
    .output = ref_output,
    .run = ref_run,
    .trace = ref_trace,
    .memory = ref_memory,
    .free = ref_free,
};
