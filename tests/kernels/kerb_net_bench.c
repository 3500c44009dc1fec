/* SPDX-License-Identifier: MIT */
/* kerb-net-bench MODEL [--size WxH] [--threads N] [--layers] [--backend ref] [--bf16|--int8] [-n RUNS]: a network alone, with times by layer. A
 * developer's tool; users have `kerb bench`. The CPU backend is linked in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "net/backend.h"
#include "net/onnx/onnx.h"
#include "net/passes.h"
#include "net/ref/ref.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

typedef struct Options {
    const char *model, *backend, *save;
    int width_px, height_px, threads, runs;
    bool layers, keep_head;
    KerbPrecision precision;
} Options;

static void log_line(void *user, KerbLogLevel level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

static int fail(const KerbError *error)
{
    fprintf(stderr, "%s\n", error->message);
    return kerb_exit_code(error->status);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static KerbStatus load(const Options *o, KerbOnnx **onnx, KerbGraph **g, KerbError *error)
{
    KerbStatus status = kerb_onnx_open(onnx, o->model, error);
    if (!status) status = kerb_onnx_import(*onnx, g, error);
    for (int i = 0; !status && i < (*g)->n_inputs; i++) {
        KerbValue *v = &(*g)->values[(*g)->inputs[i]];
        if (v->rank != 4) continue;
        int64_t dims[4] = {v->dims[0] > 0 ? v->dims[0] : 1, v->dims[1] > 0 ? v->dims[1] : 3, o->height_px ? o->height_px : v->dims[2],
                           o->width_px ? o->width_px : v->dims[3]};
        status = kerb_graph_bind_input(*g, (*g)->inputs[i], 4, dims, error);
    }
    if (!status) status = kerb_graph_infer(*g, error);
    KerbOptimizeOptions options = {.keep_head = o->keep_head};
    if (!status) status = kerb_graph_optimize(*g, &options, error);
    return status;
}

/* The least time of each layer over the runs: on a shared machine the mean says more about the neighbours. */
typedef struct Layers {
    int64_t *before, *least;
} Layers;
static void layers_note(Layers *l, KerbTrace trace, bool first)
{
    for (int i = 0; i < trace.n && l->before && l->least; i++) {
        int64_t ns = trace.spans[i].total_ns - l->before[i];
        if (first || ns < l->least[i]) l->least[i] = ns;
        l->before[i] = trace.spans[i].total_ns;
    }
}
static void layers_print(const Layers *l, KerbTrace trace)
{
    int64_t sum = 0;
    if (!trace.n) return;
    for (int i = 0; i < trace.n && l->least; i++) {
        printf("%9.3f ms  %s\n", (double)l->least[i] * 1e-6, trace.spans[i].name);
        sum += l->least[i];
    }
    printf("%9.3f ms  sum of the least\n", (double)sum * 1e-6);
}

/* Outputs as raw f32, row-major, one after the other: for comparing with another engine. */
static void save_outputs(const KerbBackend *b, KerbNet *net, const KerbGraph *g, const char *path)
{
    FILE *f = fopen(path, "wb");
    for (int i = 0; f && i < g->n_outputs; i++) {
        const KerbTensor *t = b->output(net, i);
        for (int64_t j = 0, n = kerb_tensor_elements(t); j < n; j++) {
            float v = (float)kerb_tensor_get(t, j);
            fwrite(&v, sizeof v, 1, f);
        }
    }
    if (f) fclose(f);
}

static int run(const Options *o, const KerbBackend *b, const KerbGraph *g, KerbError *error)
{
    KerbNet *net = NULL;
    KerbCompileOptions options = {.threads = o->threads, .precision = o->precision, .trace = o->layers};
    int64_t start = kerb_now_ns();
    if (b->compile(&net, g, &options, error)) return fail(error);
    printf("compiled in %.0f ms\n", (double)(kerb_now_ns() - start) * 1e-6);
    for (int i = 0; i < g->n_inputs; i++) {
        const KerbTensor *t = b->input(net, i);
        for (int64_t j = 0, n = kerb_tensor_elements(t); j < n; j++) kerb_tensor_set(t, j, (double)((j * 7919) % 1009) / 1009);
    }
    double *ms = calloc((size_t)o->runs, sizeof *ms);
    KerbTrace trace = o->layers && b->trace ? b->trace(net) : (KerbTrace){0};
    Layers layers = {calloc((size_t)trace.n + 1, sizeof(int64_t)), calloc((size_t)trace.n + 1, sizeof(int64_t))};
    int status = 0;
    double cpu_ms = 0; /* least processor time of a run: what to compare on a machine that others use too */
    for (int i = -1; ms && i < o->runs && !status; i++) {
        start = kerb_now_ns();
        clock_t cpu = clock();
        if (b->run(net, error)) status = fail(error);
        double used = (double)(clock() - cpu) * 1e3 / CLOCKS_PER_SEC;
        if (i < 1 || used < cpu_ms) cpu_ms = used;
        if (i >= 0) ms[i] = (double)(kerb_now_ns() - start) * 1e-6;
        layers_note(&layers, trace, i < 0);
    }
    if (ms && !status) {
        qsort(ms, (size_t)o->runs, sizeof *ms, compare);
        layers_print(&layers, trace);
        size_t arena = 0, weights = 0;
        if (b->memory) b->memory(net, &arena, &weights);
        printf("n %d  min %.2f  median %.2f  p99 %.2f ms  processor %.2f ms  arena %.1f MB  weights %.1f MB\n", o->runs, ms[0],
               ms[o->runs / 2], ms[o->runs * 99 / 100], cpu_ms, (double)arena * 1e-6, (double)weights * 1e-6);
        if (o->save) save_outputs(b, net, g, o->save);
    }
    free(layers.before);
    free(layers.least);
    free(ms);
    b->free(&net);
    return status;
}

static bool parse(int argc, char **argv, Options *o)
{
    *o = (Options){.backend = "cpu", .precision = KERB_PRECISION_F32, .threads = kerb_cpu_count(), .runs = 20};
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--layers"))
            o->layers = true;
        else if (!strcmp(argv[i], "--bf16"))
            o->precision = KERB_PRECISION_BF16;
        else if (!strcmp(argv[i], "--int8"))
            o->precision = KERB_PRECISION_INT8;
        else if (!strcmp(argv[i], "--keep-head"))
            o->keep_head = true;
        else if (!strcmp(argv[i], "--size")) {
            if (sscanf(next, "%dx%d", &o->width_px, &o->height_px) != 2) return false;
            i++;
        } else if (!strcmp(argv[i], "--threads")) {
            o->threads = atoi(next);
            i++;
        } else if (!strcmp(argv[i], "--backend")) {
            o->backend = next;
            i++;
        } else if (!strcmp(argv[i], "--save")) {
            o->save = next;
            i++;
        } else if (!strcmp(argv[i], "-n")) {
            o->runs = atoi(next);
            i++;
        } else if (argv[i][0] == '-' || o->model)
            return false;
        else
            o->model = argv[i];
    }
    return o->model && o->runs > 0 && o->threads > 0;
}

int main(int argc, char **argv)
{
    Options o;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: kerb-net-bench MODEL.onnx [--size WxH] [--threads N] [--layers] [--backend cpu|ref] [--bf16|--int8] [--keep-head] "
                        "[--save FILE] [-n RUNS]\n");
        return 2;
    }
    if (getenv("KERB_LOG")) kerb_set_log(log_line, NULL, KERB_LOG_DEBUG);
    KerbError error = {0};
    KerbOnnx *onnx = NULL;
    KerbGraph *g = NULL;
    int status = load(&o, &onnx, &g, &error)
                     ? fail(&error)
                     : run(&o, !strcmp(o.backend, "ref") ? &kerb_backend_ref : kerb_backend(KERB_BACKEND_ABI, NULL), g, &error);
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    return status;
}
