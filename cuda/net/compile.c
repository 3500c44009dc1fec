/* SPDX-License-Identifier: MIT */
/* Graph -> net: plans over the whole graph, node by node into steps, places in the arena, addresses. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/net/compile.h"

/* ---- nodes ---- */

/* Small things that only the host has touched (shapes, bounds): a kernel and two copies would cost more than they do. */
static bool kerb_cuda_stays_on_host(const KerbCompiler *c, const KerbNode *n)
{
    enum { MOST = 4096 };
    bool any = false;
    for (int i = 0; i < n->n_inputs; i++) {
        const uint32_t id = n->inputs[i];
        if (id == KERB_NO_VALUE || kerb_value_is_constant(&c->g->values[id])) continue;
        if (c->values[id].t.dtype != KERB_DTYPE_NONE) return false;
        any = any || c->host_values[id].t.dtype != KERB_DTYPE_NONE;
    }
    for (int i = 0; i < n->n_outputs; i++) {
        const KerbValue *v = kerb_graph_value(c->g, n->outputs[i]);
        int64_t elements;
        if (v && (!kerb_dims_elements(v->rank, v->dims, MOST, &elements) || c->slot[n->outputs[i]] != KERB_NO_VALUE)) return false;
    }
    return any;
}

/* Results without elements need no steps, whatever makes them. */
static bool kerb_cuda_is_empty(const KerbCompiler *c, const KerbNode *n)
{
    for (int i = 0; i < n->n_outputs; i++) {
        const KerbValue *v = kerb_graph_value(c->g, n->outputs[i]);
        int64_t elements;
        if (v && (!kerb_dims_elements(v->rank, v->dims, 0, &elements) || elements)) return false;
    }
    return true;
}

static KerbStatus kerb_cuda_compile_node(KerbCompiler *c, const KerbNode *n)
{
    static const KerbCompileFn kinds[] = {kerb_cuda_compile_int8,   kerb_cuda_compile_conv,   kerb_cuda_compile_pool,
                                          kerb_cuda_compile_unpool, kerb_cuda_compile_norm,   kerb_cuda_compile_elementwise,
                                          kerb_cuda_compile_concat, kerb_cuda_compile_view,   kerb_cuda_compile_shuffle,
                                          kerb_cuda_compile_resize, kerb_cuda_compile_axes,   kerb_cuda_compile_matmul,
                                          kerb_cuda_compile_pad,    kerb_cuda_compile_gather, kerb_cuda_compile_quantize};
    const bool host = kerb_cuda_stays_on_host(c, n) || kerb_cuda_is_empty(c, n);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !host; i++) {
        bool done = false;
        KerbStatus status = kinds[i](c, n, &done);
        if (status || done) return status;
    }
    kerb_log(KERB_LOG_DEBUG, "cuda: %s %s is left to the reference, on the host", kerb_node_kind(n), n->name);
    return kerb_cuda_compile_ref(c, n);
}

/* After a node has been compiled its inputs have fewer readers to come. */
static void kerb_cuda_retire(KerbCompiler *c, const KerbNode *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] == KERB_NO_VALUE) continue;
        const KerbOperand *o = &c->values[n->inputs[i]];
        if (o->t.dtype != KERB_DTYPE_NONE && o->root != KERB_NO_ROOT) c->net->roots[o->space][o->root].readers--;
    }
}

static KerbStatus kerb_cuda_compile_nodes(KerbCompiler *c)
{
    const KerbGraph *g = c->g;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead || c->skipped[i] || c->fused_into[i] != KERB_NO_NODE) continue;
        c->node = i;
        KerbStatus status = kerb_cuda_compile_node(c, n);
        if (status) return kerb_error_prefix(c->error, "%s: ", n->name);
        kerb_cuda_retire(c, n);
    }
    return KERB_OK;
}

/* ---- inputs and outputs ---- */

/* Graph inputs have memory before, outputs after everything; both keep it through the whole run. */
static KerbStatus kerb_cuda_compile_inputs(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_inputs; i++) {
        KerbOperand o;
        KerbStatus status = kerb_cuda_place(c, c->g->inputs[i], &o);
        if (status) return status;
        KerbRoot *r = &c->net->roots[o.space][o.root];
        r->first = -1;
        r->last = INT_MAX;
        r->readers += KERB_READERS_KEPT;
    }
    return KERB_OK;
}

static KerbStatus kerb_cuda_compile_outputs(KerbCompiler *c)
{
    KerbNet *net = c->net;
    KerbStatus status;
    net->inputs = kerb_cuda_object(c, (size_t)c->g->n_inputs * sizeof *net->inputs);
    net->outputs = kerb_cuda_object(c, (size_t)c->g->n_outputs * sizeof *net->outputs);
    if (!net->inputs || !net->outputs) return KERB_ERROR_MEMORY;
    for (int i = 0; i < c->g->n_inputs; i++) {
        if ((status = kerb_cuda_value(c, c->g->inputs[i], &net->inputs[i]))) return status;
    }
    for (int i = 0; i < c->g->n_outputs; i++) {
        if ((status = kerb_cuda_value(c, c->g->outputs[i], &net->outputs[i]))) return status;
        const KerbOperand *o = &net->outputs[i];
        if (o->root != KERB_NO_ROOT) net->roots[o->space][o->root].last = INT_MAX;
    }
    return KERB_OK;
}

/* ---- addresses ---- */

static void kerb_cuda_set_address(const KerbNet *net, KerbOperand *o)
{
    if (o->root == KERB_NO_ROOT || o->t.dtype == KERB_DTYPE_NONE) return;
    o->t.data = (char *)net->arena[o->space] + net->roots[o->space][o->root].place + o->offset;
}

static KerbStatus kerb_cuda_bind(KerbNet *net, KerbError *error)
{
    KerbStatus status = KERB_OK;
    for (int space = 0; space < 2 && !status; space++)
        status = kerb_places_arrange(net->roots[space], net->n_roots[space], &net->arena_bytes[space], error);
    if (!status)
        status = kerb_cuda_alloc(&net->memory, &net->arena[KERB_SPACE_DEVICE], net->arena_bytes[KERB_SPACE_DEVICE],
                                 "the network's activations", error);
    if (!status && net->arena_bytes[KERB_SPACE_HOST])
        status = kerb_cuda_alloc_pinned(&net->memory, &net->arena[KERB_SPACE_HOST], NULL, net->arena_bytes[KERB_SPACE_HOST], error);
    if (status) return status;
    for (int i = 0; i < net->n_steps; i++) {
        KerbStep *s = net->steps[i];
        for (int j = 0; j < s->n_operands; j++) kerb_cuda_set_address(net, &s->operands[j]);
        if (s->kind->bind && (status = s->kind->bind(net, s, error))) return kerb_error_prefix(error, "%s: ", s->label);
    }
    for (int i = 0; i < net->g->n_inputs; i++) kerb_cuda_set_address(net, &net->inputs[i]);
    for (int i = 0; i < net->g->n_outputs; i++) kerb_cuda_set_address(net, &net->outputs[i]);
    return KERB_OK;
}

/* ---- the whole ---- */

/* The kernels count elements in 32 bits. */
static KerbStatus kerb_cuda_check_sizes(const KerbGraph *g, KerbError *error)
{
    for (int i = 0; i < g->n_values; i++) {
        const KerbValue *v = &g->values[i];
        for (int k = 0; k < v->rank; k++) {
            if (v->dims[k] > INT_MAX / 2)
                return kerb_fail(error, KERB_ERROR_ARGUMENT,
                                 "value %s is %lld long along an axis, which is more than the CUDA backend takes: use a "
                                 "smaller network size",
                                 v->name, (long long)v->dims[k]);
        }
    }
    return KERB_OK;
}

static KerbStatus kerb_cuda_compiler_arrays(KerbCompiler *c)
{
    const size_t nv = (size_t)c->g->n_values + 1, nn = (size_t)c->g->n_nodes + 1;
    c->values = calloc(nv, sizeof *c->values);
    c->host_values = calloc(nv, sizeof *c->host_values);
    c->slot = malloc(nv * sizeof *c->slot);
    c->slot_channel = calloc(nv, sizeof *c->slot_channel);
    c->readers = calloc(nv, sizeof *c->readers);
    c->reader = malloc(nv * sizeof *c->reader);
    c->fused_into = malloc(nn * sizeof *c->fused_into);
    c->int8 = calloc(nn, sizeof *c->int8);
    c->skipped = calloc(nn, sizeof *c->skipped);
    if (!c->values || !c->host_values || !c->slot || !c->slot_channel || !c->readers || !c->reader || !c->fused_into || !c->int8 ||
        !c->skipped)
        return kerb_cuda_no_memory(c, nv * sizeof *c->values);
    for (size_t i = 0; i < nv; i++) c->slot[i] = KERB_NO_VALUE;
    for (size_t i = 0; i < nn; i++) c->fused_into[i] = KERB_NO_NODE;
    kerb_readers_count(c->g, c->readers, c->reader);
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        c->all_convolutions += !n->dead && (n->op == KERB_OP_CONV || n->op == KERB_OP_CONV_TRANSPOSE);
    }
    return KERB_OK;
}

static void kerb_cuda_compiler_free(KerbCompiler *c)
{
    free(c->values);
    free(c->host_values);
    free(c->slot);
    free(c->slot_channel);
    free(c->readers);
    free(c->reader);
    free(c->fused_into);
    free(c->int8);
    free(c->skipped);
}

static KerbStatus kerb_cuda_compile_all(KerbCompiler *c)
{
    KerbNet *net = c->net;
    KerbStatus status = kerb_cuda_check_sizes(c->g, c->error);
    if (!status) status = kerb_cuda_compiler_arrays(c);
    if (!status && net->precision == KERB_PRECISION_INT8) status = kerb_cuda_plan_int8(c);
    if (status) return status;
    kerb_cuda_plan_slots(c);
    if ((status = kerb_plans_prepare_graph(net->plans, c->g, net->precision, 0, c->options->progress, c->options->progress_user, c->error)))
        return status;
    if ((status = kerb_cuda_compile_inputs(c))) return status;
    if ((status = kerb_cuda_compile_nodes(c))) return status;
    if ((status = kerb_cuda_compile_outputs(c))) return status;
    kerb_plans_save(net->plans);
    if ((status = kerb_cuda_bind(net, c->error))) return status;
    if ((status = kerb_cuda_host_tensors(c))) return status;
    if (c->options->progress) c->options->progress(c->options->progress_user, "compiling", c->all_convolutions, c->all_convolutions);
    kerb_log(KERB_LOG_INFO,
             "cuda: %d steps, %d of %d convolutions by cuDNN, %d operators on the host; %.1f MiB of activations (%.1f without reuse), "
             "%.1f MiB of weights",
             net->n_steps, net->planned, net->convolutions, net->host_steps, (double)net->arena_bytes[KERB_SPACE_DEVICE] / (1 << 20),
             (double)net->sum_bytes / (1 << 20), (double)net->weight_bytes / (1 << 20));
    return KERB_OK;
}

/* Type of pictures; UNSUPPORTED where the device has none of that precision. */
static KerbStatus kerb_cuda_precision(KerbNet *net, KerbPrecision precision, KerbError *error)
{
    const int capability = net->device.major * 10 + net->device.minor;
    net->precision = precision;
    switch (precision) {
    case KERB_PRECISION_F16:
    case KERB_PRECISION_INT8: net->type = KERB_F16; return KERB_OK;
    case KERB_PRECISION_BF16: net->type = KERB_BF16; break;
    case KERB_PRECISION_TF32: net->type = KERB_F32; break;
    default: net->type = KERB_F32; return KERB_OK;
    }
    if (capability >= 80) return KERB_OK;
    return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s needs compute capability 8.0, and %s has %d.%d: use f16",
                     precision == KERB_PRECISION_BF16 ? "bf16" : "tf32", net->device.name, net->device.major, net->device.minor);
}

static KerbStatus kerb_cuda_open(KerbNet *net, const KerbCompileOptions *options, KerbError *error)
{
    KerbStatus status = kerb_cuda_device(options->device_id, &net->device, error);
    if (!status) status = kerb_cuda_check(cudaSetDevice(options->device_id), "choosing the device", error);
    if (!status) status = kerb_cuda_precision(net, options->precision, error);
    if (!status) status = kerb_cuda_check(cudaStreamCreateWithFlags(&net->stream, cudaStreamNonBlocking), "making a stream", error);
    if (status) return status;
    const KerbPlansOptions plans = {
        .device = net->device, .time_candidates = !options->no_tune, .graph_hash = kerb_cuda_graph_hash(net->g), .cache = true};
    return kerb_plans_new(&net->plans, &plans, error);
}

KerbStatus kerb_cuda_compile(KerbNet **out, const KerbGraph *g, const KerbCompileOptions *options, KerbError *error)
{
    KerbError own = {0};
    if (!error) error = &own;
    *out = NULL;
    KerbNet *net = calloc(1, sizeof *net);
    if (net) net->objects = kerb_arena_new(0);
    if (!net || !net->objects) {
        free(net);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the CUDA backend");
    }
    net->g = g;
    KerbCompiler c = {.net = net, .g = g, .options = options, .error = error};
    KerbStatus status = kerb_cuda_open(net, options, error);
    if (!status) status = kerb_cuda_compile_all(&c);
    kerb_cuda_compiler_free(&c);
    if (status) kerb_cuda_net_free(&net);
    *out = net;
    return status;
}
