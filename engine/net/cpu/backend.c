/* SPDX-License-Identifier: MIT */
/* The module's face: probe, compile, run, free (contract: net/backend.h). */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/pool.h"
#include "net/cpu/cpu.h"
#include "net/cpu/dnn.h"
#include "net/cpu/int8.h"
#include "net/ref/ref.h"

static void kerb_cpu_free(KerbNet **net_);

static void kerb_cpu_probe(KerbDevice *device)
{
    char name[80], flags[64], version[32];
    unsigned f = kerb_cpu_flags();
    snprintf(device->name, sizeof device->name, "cpu");
    snprintf(device->description, sizeof device->description, "%s, %s, oneDNN %s", kerb_cpu_name(name, sizeof name),
             kerb_cpu_flags_text(f, flags, sizeof flags), kerb_dnn_version(version, sizeof version));
    device->usable = true;
    device->remedy[0] = 0;
    snprintf(device->precisions, sizeof device->precisions, "%s", f & KERB_CPU_AVX512 ? "f32 bf16 int8" : "f32 int8");
    device->fast_int8 = f & (KERB_CPU_AVX512_VNNI | KERB_CPU_AVX_VNNI);
}

static bool kerb_cpu_supports(const KerbGraph *g, const KerbNode *n, char *why, size_t why_bytes)
{
    return !kerb_backend_ref.supports || kerb_backend_ref.supports(g, n, why, why_bytes);
}

/* ---- compile ---- */

static KerbStatus kerb_cpu_compile_node(KerbCompiler *c, const KerbNode *n)
{
    static const KerbCompileFn kinds[] = {kerb_cpu_compile_int8,      kerb_cpu_compile_fused,       kerb_cpu_compile_conv,        kerb_cpu_compile_pool,
                                          kerb_cpu_compile_unpool,    kerb_cpu_compile_elementwise, kerb_cpu_compile_concat,
                                          kerb_cpu_compile_view,      kerb_cpu_compile_shuffle,     kerb_cpu_compile_resize,
                                          kerb_cpu_compile_reduce,    kerb_cpu_compile_softmax,     kerb_cpu_compile_attention,
                                          kerb_cpu_compile_matmul,    kerb_cpu_compile_pad};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        bool done = false;
        KerbStatus status = kinds[i](c, n, &done);
        if (status || done) return status;
    }
    kerb_log(KERB_LOG_DEBUG, "cpu: %s %s is left to the reference", kerb_node_kind(n), n->name);
    return kerb_cpu_compile_ref(c, n);
}

/* After a node has been compiled its inputs have fewer readers to come. */
static void kerb_cpu_retire(KerbCompiler *c, const KerbNode *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        if (n->inputs[i] == KERB_NO_VALUE) continue;
        const KerbOperand *o = &c->values[n->inputs[i]];
        if (o->t.dtype != KERB_DTYPE_NONE && o->root != KERB_NO_ROOT) c->net->roots[o->root].readers--;
    }
}

static KerbStatus kerb_cpu_compile_nodes(KerbCompiler *c)
{
    const KerbGraph *g = c->g;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead || c->fused_into[i] != KERB_NO_NODE) continue;
        c->node = i;
        if (c->options->progress) c->options->progress(c->options->progress_user, "compiling", i, g->n_nodes);
        KerbStatus status = kerb_cpu_compile_node(c, n);
        if (status) return kerb_error_prefix(c->error, "%s: ", n->name);
        kerb_cpu_retire(c, n);
        for (int j = 0; j < i; j++) { /* what it did the work of reads no more either */
            if (c->fused_into[j] == (uint32_t)i) kerb_cpu_retire(c, &g->nodes[j]);
        }
    }
    return KERB_OK;
}

/* Graph inputs have memory before, outputs after everything; both keep it through the whole run. */
static KerbStatus kerb_cpu_compile_inputs(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_inputs; i++) {
        KerbOperand o;
        KerbStatus status = kerb_cpu_place(c, c->g->inputs[i], &o);
        if (status) return status;
        KerbRoot *r = &c->net->roots[o.root];
        r->first = -1;
        r->last = INT_MAX;
        r->readers += KERB_READERS_KEPT;
    }
    return KERB_OK;
}

static KerbStatus kerb_cpu_compile_outputs(KerbCompiler *c)
{
    KerbNet *net = c->net;
    net->inputs = kerb_cpu_object(c, (size_t)c->g->n_inputs * sizeof *net->inputs);
    net->outputs = kerb_cpu_object(c, (size_t)c->g->n_outputs * sizeof *net->outputs);
    if (!net->inputs || !net->outputs) return KERB_ERROR_MEMORY;
    for (int i = 0; i < c->g->n_inputs; i++) net->inputs[i] = kerb_cpu_value(c, c->g->inputs[i]);
    for (int i = 0; i < c->g->n_outputs; i++) {
        KerbOperand o = kerb_cpu_value(c, c->g->outputs[i]);
        if (o.t.dtype == KERB_DTYPE_NONE || (o.root == KERB_NO_ROOT && !o.t.data)) {
            return kerb_fail(c->error, KERB_ERROR_INTERNAL, "output %s is never computed: please report this",
                             c->g->values[c->g->outputs[i]].name);
        }
        if (o.root != KERB_NO_ROOT) net->roots[o.root].last = INT_MAX;
        net->outputs[i] = o;
    }
    return KERB_OK;
}

static KerbStatus kerb_cpu_bind(KerbNet *net, KerbError *error)
{
    KerbStatus status = kerb_places_arrange(net->roots, net->n_roots, &net->arena_bytes, error);
    if (status) return status;
    net->arena = kerb_alloc(net->arena_bytes + KERB_ALIGNMENT);
    if (!net->arena)
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the network's %zu bytes of activations: use a smaller size",
                         net->arena_bytes);
#define PLACE(o) \
    if ((o)->root != KERB_NO_ROOT) (o)->t.data = (char *)net->arena + net->roots[(o)->root].place + (o)->offset
    for (int i = 0; i < net->n_steps; i++) {
        KerbStep *s = net->steps[i];
        for (int j = 0; j < s->n_operands; j++) PLACE(&s->operands[j]);
        if (s->scratch_root != KERB_NO_ROOT) s->scratch = (char *)net->arena + net->roots[s->scratch_root].place;
        if (s->kind->bind && (status = s->kind->bind(net, s, error))) return kerb_error_prefix(error, "%s: ", s->label);
    }
    for (int i = 0; i < net->g->n_inputs; i++) PLACE(&net->inputs[i]);
    for (int i = 0; i < net->g->n_outputs; i++) PLACE(&net->outputs[i]);
#undef PLACE
    return KERB_OK;
}

static bool kerb_cpu_compiler_arrays(KerbCompiler *c)
{
    size_t nv = (size_t)c->g->n_values + 1, nn = (size_t)c->g->n_nodes + 1;
    c->values = calloc(nv, sizeof *c->values);
    c->slot = malloc(nv * sizeof *c->slot);
    c->slot_channel = calloc(nv, sizeof *c->slot_channel);
    c->readers = calloc(nv, sizeof *c->readers);
    c->reader = malloc(nv * sizeof *c->reader);
    c->fused_into = malloc(nn * sizeof *c->fused_into);
    c->int8 = calloc(nn, sizeof *c->int8);
    if (!c->values || !c->slot || !c->slot_channel || !c->readers || !c->reader || !c->fused_into || !c->int8) return false;
    for (size_t i = 0; i < nv; i++) c->slot[i] = KERB_NO_VALUE;
    for (size_t i = 0; i < nn; i++) c->fused_into[i] = KERB_NO_NODE;
    kerb_readers_count(c->g, c->readers, c->reader);
    return true;
}

static KerbStatus kerb_cpu_compile_all(KerbCompiler *c)
{
    KerbNet *net = c->net;
    KerbStatus status;
    if (!kerb_cpu_compiler_arrays(c)) return kerb_cpu_no_memory(c, (size_t)c->g->n_values * sizeof *c->values);
    if ((status = kerb_dnn_new(&net->dnn, c->error))) return status;
    if (net->int8 && (status = kerb_int8_plan(c))) return status;
    kerb_cpu_plan_attention(c);
    kerb_cpu_plan_shuffles(c);
    kerb_cpu_plan_fused(c);
    kerb_cpu_plan_chains(c);
    if ((status = kerb_cpu_plan_slots(c))) return status;
    if ((status = kerb_cpu_compile_inputs(c))) return status;
    if ((status = kerb_cpu_compile_nodes(c))) return status;
    if ((status = kerb_cpu_compile_outputs(c))) return status;
    if ((status = kerb_cpu_bind(net, c->error))) return status;
    return kerb_cpu_open_trace(c);
}

static KerbStatus kerb_cpu_compile(KerbNet **out, const KerbGraph *g, const KerbCompileOptions *options, KerbError *error)
{
    *out = NULL;
    KerbNet *net = calloc(1, sizeof *net);
    if (net) net->objects = kerb_arena_new(0);
    if (!net || !net->objects) {
        free(net);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the CPU backend");
    }
    net->g = g;
    net->k = kerb_cpu_kernels();
    net->k8 = kerb_int8_kernels();
    net->threads = options->threads < 1 ? 1 : options->threads;
    net->bf16 = options->precision == KERB_PRECISION_BF16;
    net->int8 = options->precision == KERB_PRECISION_INT8;
    KerbCompiler c = {
        .net = net, .g = g, .options = options, .error = error, .tune = !options->no_tune, .tune_ns_left = 600000000};
    KerbStatus status;
    int before = omp_get_max_threads();
    omp_set_num_threads(net->threads);
    unsigned denormals = kerb_cpu_flush_denormals(net->threads); /* for timing convolutions */
    if ((status = kerb_pool_new(&net->pool, net->threads, error))) {
        /* said */
    } else if (net->bf16 && !(kerb_cpu_flags() & KERB_CPU_AVX512)) {
        status = kerb_fail(error, KERB_ERROR_ARGUMENT, "bf16 needs AVX-512, which this processor lacks: use f32");
    } else {
        status = kerb_cpu_compile_all(&c);
    }
    kerb_cpu_restore_denormals(denormals);
    omp_set_num_threads(before);
    free(c.values);
    free(c.slot);
    free(c.slot_channel);
    free(c.readers);
    free(c.reader);
    free(c.fused_into);
    free(c.int8);
    kerb_tuning_close(&c);
    if (status) kerb_cpu_free(&net);
    *out = net;
    return status;
}

/* ---- run ---- */

/* For the trace: processor time where there is one thread (waiting for a core is not the layer's), else wall time. */
static int64_t kerb_cpu_clock_ns(const KerbNet *net)
{
    struct timespec t;
    if (net->threads > 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)) return kerb_now_ns();
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static KerbStatus kerb_cpu_run(KerbNet *net, KerbError *error)
{
    /* OpenMP keeps the number of threads for each host thread: the one that runs need not be the one that compiled. */
    int before = net->on_omp ? omp_get_max_threads() : net->threads;
    if (before != net->threads) omp_set_num_threads(net->threads);
    unsigned denormals = kerb_cpu_flush_denormals(net->on_omp ? net->threads : 1);
    KerbStatus status = KERB_OK;
    for (int i = 0; i < net->n_steps && !status; i++) {
        KerbStep *s = net->steps[i];
        if (net->trace.spans) {
            int64_t start = kerb_cpu_clock_ns(net);
            status = s->kind->run(net, s);
            kerb_trace_add(&net->trace, i, kerb_cpu_clock_ns(net) - start);
        } else {
            status = s->kind->run(net, s);
        }
        if (status) kerb_fail(error, status, "the CPU backend failed in %s: please report this", s->label);
    }
    kerb_cpu_restore_denormals(denormals);
    if (before != net->threads) omp_set_num_threads(before);
    return status;
}

static const KerbTensor *kerb_cpu_input(KerbNet *net, int i)
{
    return i >= 0 && i < net->g->n_inputs ? &net->inputs[i].t : NULL;
}
static const KerbTensor *kerb_cpu_output(KerbNet *net, int i)
{
    return i >= 0 && i < net->g->n_outputs ? &net->outputs[i].t : NULL;
}
static KerbTrace kerb_cpu_trace(KerbNet *net)
{
    return net->trace;
}
static void kerb_cpu_memory(KerbNet *net, size_t *arena_bytes, size_t *weight_bytes)
{
    *arena_bytes = net->arena_bytes;
    *weight_bytes = net->weight_bytes;
}

static void kerb_cpu_free(KerbNet **net_)
{
    KerbNet *net = net_ ? *net_ : NULL;
    if (!net) return;
    for (int i = 0; i < net->n_steps; i++) {
        if (net->steps[i]->kind->free) net->steps[i]->kind->free(net->steps[i]);
    }
    kerb_pool_free(&net->pool);
    for (int i = 0; i < net->n_blocks; i++) kerb_free(&net->blocks[i]);
    kerb_dnn_free(&net->dnn);
    kerb_free(&net->arena);
    kerb_arena_free(&net->objects);
    free(net->blocks);
    free(net->steps);
    free(net->roots);
    free(net);
    *net_ = NULL;
}

static const KerbBackend kerb_backend_cpu = {
    .abi = KERB_BACKEND_ABI,
    .name = "cpu",
    .probe = kerb_cpu_probe,
    .supports = kerb_cpu_supports,
    .compile = kerb_cpu_compile,
    .input = kerb_cpu_input,
    .output = kerb_cpu_output,
    .run = kerb_cpu_run,
    .trace = kerb_cpu_trace,
    .memory = kerb_cpu_memory,
    .free = kerb_cpu_free,
};

KERB_API const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);
const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink)
{
    if (abi != KERB_BACKEND_ABI) return NULL;
    if (sink) kerb_set_log(sink->fn, sink->user, sink->level);
    return &kerb_backend_cpu;
}
