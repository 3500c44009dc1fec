/* SPDX-License-Identifier: MIT */
/* Convolutions that run row by row in one step (engine/net/cpu/conv_fused.c): against the same layers one by one, to the bit, and against
 * the reference. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

typedef struct KerbFusedCase {
    int batch, ic, middle, oc, height, width, kernel_h, kernel_w, stride, dilation;
    bool any_padding;              /* else the padding that keeps sizes */
    bool expand, project, prelude; /* prelude: the source is computed, so that its memory may be taken */
    int residual;                  /* 0 none, 1 the source where shapes agree, 2 another input */
} KerbFusedCase;

static uint32_t kerb_fused_conv(KerbGraph *g, KerbRandom *r, uint32_t x, uint32_t residual, const KerbWindow *window, bool depthwise,
                                int oc)
{
    const int64_t *xd = g->values[x].dims;
    const int64_t ic = xd[1], k[2] = {window->kernel[0], window->kernel[1]}, wd[4] = {oc, depthwise ? 1 : ic, k[0], k[1]}, bd[1] = {oc};
    int64_t yd[4] = {xd[0], oc, 0, 0};
    for (int i = 0; i < 2; i++)
        yd[2 + i] = (xd[2 + i] + window->pad_begin[i] + window->pad_end[i] - (k[i] - 1) * window->dilation[i] - 1) / window->stride[i] + 1;
    /* Sums stay of the order of 1 through three layers. */
    uint32_t inputs[4] = {x, kerb_case_constant(g, r, 4, wd, 1.7f / sqrtf((float)(wd[1] * k[0] * k[1]))), KERB_NO_VALUE, residual};
    if (kerb_random_in(r, 0, 3)) inputs[2] = kerb_case_constant(g, r, 1, bd, 1);
    uint32_t y = kerb_case_value(g, 4, yd);
    KerbActivation act = kerb_random_activation(g, r, oc);
    KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, residual == KERB_NO_VALUE ? 3 : 4, inputs, y)->attrs.conv;
    a->window = *window;
    a->group = depthwise ? oc : 1;
    a->act = act;
    return y;
}

static KerbGraph *kerb_fused_graph(KerbRandom *r, const KerbFusedCase *f)
{
    KerbGraph *g = NULL;
    kerb_graph_new(&g, NULL);
    const KerbWindow one = {.n = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    KerbWindow window = {
        .n = 2, .kernel = {f->kernel_h, f->kernel_w}, .stride = {f->stride, f->stride}, .dilation = {f->dilation, f->dilation}};
    for (int i = 0; i < 2; i++) { /* mostly the size-keeping padding of real networks */
        const int reach = (int)(window.kernel[i] - 1) * f->dilation, size = i ? f->width : f->height;
        const bool usual = !f->any_padding || kerb_random_in(r, 0, 2);
        window.pad_begin[i] = usual ? reach / 2 : kerb_random_in(r, 0, reach);
        window.pad_end[i] = usual ? reach / 2 : kerb_random_in(r, 0, reach);
        if (size + window.pad_begin[i] + window.pad_end[i] <= reach) window.pad_end[i] = reach;
    }
    const int64_t xd[4] = {f->batch, f->expand ? f->ic : f->middle, f->height, f->width};
    uint32_t source = kerb_case_input(g, 4, xd);
    if (f->prelude) {
        uint32_t made = kerb_case_value(g, 4, xd);
        kerb_case_node(g, KERB_OP_UNARY, 1, &source, made)->attrs.unary.kind = KERB_UNARY_TANH;
        source = made;
    }
    uint32_t y = f->expand ? kerb_fused_conv(g, r, source, KERB_NO_VALUE, &one, false, f->middle) : source;
    y = kerb_fused_conv(g, r, y, KERB_NO_VALUE, &window, true, f->middle);
    if (f->project) {
        int64_t yd[4];
        memcpy(yd, g->values[y].dims, sizeof yd);
        const bool same = yd[2] == xd[2] && yd[3] == xd[3];
        uint32_t residual = KERB_NO_VALUE;
        int oc = f->oc;
        if (f->residual == 1 && same) {
            residual = source;
            oc = (int)xd[1];
        } else if (f->residual) {
            yd[1] = oc;
            uint32_t z = kerb_case_input(g, 4, yd);
            residual = kerb_case_value(g, 4, yd);
            kerb_case_node(g, KERB_OP_UNARY, 1, &z, residual)->attrs.unary.kind = KERB_UNARY_RELU;
        }
        y = kerb_fused_conv(g, r, y, residual, &one, false, oc);
    }
    kerb_case_output(g, y);
    return g;
}

typedef struct KerbFusedRun {
    int steps; /* that are fused ones */
    size_t arena;
    float *output;
    int64_t n;
} KerbFusedRun;

/* The net as `way` of KERB_CPU_CONV has it (NULL: as users get it); twice on inputs that `seed` makes. False: failed, message printed. */
static bool kerb_fused_run(const KerbGraph *g, const char *way, int threads, uint64_t seed, KerbFusedRun *run)
{
    const KerbBackend *backend = kerb_backend(KERB_BACKEND_ABI, NULL);
    KerbCompileOptions options = {.threads = threads, .precision = KERB_PRECISION_F32, .trace = true};
    KerbError error = {0};
    KerbNet *net = NULL;
    KerbRandom r = {seed};
    size_t weights;
    *run = (KerbFusedRun){0};
    if (way) setenv("KERB_CPU_CONV", way, 1);
    KerbStatus status = backend->compile(&net, g, &options, &error);
    unsetenv("KERB_CPU_CONV");
    for (int i = 0; i < g->n_inputs && !status; i++) {
        const KerbTensor *t = backend->input(net, i);
        for (int64_t j = 0, n = kerb_tensor_elements(t); j < n; j++) kerb_tensor_set(t, j, kerb_random_float(&r));
    }
    for (int i = 0; i < 2 && !status; i++) status = backend->run(net, &error);
    if (!status) {
        const KerbTrace trace = backend->trace(net);
        for (int i = 0; i < trace.n; i++) run->steps += strstr(trace.spans[i].name, "conv fused") != NULL;
        backend->memory(net, &run->arena, &weights);
        const KerbTensor *t = backend->output(net, 0);
        run->n = kerb_tensor_elements(t);
        run->output = malloc((size_t)run->n * sizeof *run->output);
        for (int64_t i = 0; run->output && i < run->n; i++) run->output[i] = (float)kerb_tensor_get(t, i);
    } else {
        printf("status %d: %s\n", (int)status, error.message);
    }
    backend->free(&net);
    return run->output != NULL;
}

/* Fused and apart; 0 or 1 failed. */
static int kerb_fused_compare(const KerbGraph *g, const char *way, int threads, uint64_t seed, int steps, bool no_more_memory)
{
    KerbFusedRun fused, apart;
    bool ok = kerb_fused_run(g, way, threads, seed, &fused) & kerb_fused_run(g, "depthwise", threads, seed, &apart);
    int64_t differ = 0;
    for (int64_t i = 0; ok && i < apart.n; i++) differ += memcmp(&fused.output[i], &apart.output[i], sizeof(float)) != 0;
    if (ok && (differ || fused.steps != steps || apart.steps)) {
        printf("%lld of %lld differ; fused steps %d, want %d; apart %d, want 0\n", (long long)differ, (long long)apart.n, fused.steps,
               steps, apart.steps);
        ok = false;
    }
    if (ok && no_more_memory && fused.arena > apart.arena) {
        printf("arena of %zu bytes, %zu apart\n", fused.arena, apart.arena);
        ok = false;
    }
    free(fused.output);
    free(apart.output);
    return !ok;
}

static KerbFusedCase kerb_fused_random(KerbRandom *r)
{
    KerbFusedCase f = {.batch = kerb_random_in(r, 0, 5) ? 1 : 2,
                       .ic = kerb_random_in(r, 1, 40),
                       .middle = kerb_random_in(r, 2, 100),
                       .oc = kerb_random_in(r, 1, 70),
                       .height = kerb_random_in(r, 1, 30),
                       .width = kerb_random_in(r, 1, 50),
                       .kernel_h = kerb_random_in(r, 0, 2) ? kerb_random_in(r, 1, 2) * 2 + 1 : kerb_random_in(r, 1, 7),
                       .stride = kerb_random_in(r, 0, 5) ? kerb_random_in(r, 1, 2) : 3,
                       .dilation = kerb_random_in(r, 0, 3) ? 1 : kerb_random_in(r, 2, 4),
                       .any_padding = true,
                       .prelude = kerb_random_in(r, 0, 1),
                       .residual = kerb_random_in(r, 0, 2)};
    f.kernel_w = kerb_random_in(r, 0, 3) ? f.kernel_h : kerb_random_in(r, 1, 7);
    const int parts = kerb_random_in(r, 1, 5);
    f.expand = parts != 1;
    f.project = parts != 2;
    return f;
}

int kerb_check_fused(int count)
{
    KerbDevice device = {0};
    kerb_backend(KERB_BACKEND_ABI, NULL)->probe(&device);
    KerbRandom r = kerb_random_seeded("fused", 20240701);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        const KerbFusedCase f = kerb_fused_random(&r);
        KerbGraph *g = kerb_fused_graph(&r, &f);
        int bad = kerb_fused_compare(g, "fused", 1 + i % 3, r.state, 1, false);
        setenv("KERB_CPU_CONV", "fused", 1);
        const KerbCaseResult result = kerb_case_run(g, &r, 1 + i % 3, KERB_PRECISION_F32);
        unsetenv("KERB_CPU_CONV");
        bad |= result.failed || !(result.worst <= 3e-5);
        if (bad) {
            printf(
                "FAILED fused case %d: batch %d, %d->%d->%d, %dx%d, window %dx%d stride %d dilation %d, expand %d project %d residual %d, "
                "worst %.3g\n",
                i, f.batch, f.ic, f.middle, f.oc, f.width, f.height, f.kernel_w, f.kernel_h, f.stride, f.dilation, f.expand, f.project,
                f.residual, result.worst);
        }
        failed += bad;
        kerb_graph_free(&g);
    }
    printf("fused: %d cases, %d failed\n", count, failed);
    return failed;
}

/* What is fused without being asked to: layers whose middle is too wide for the caches. Memory must not grow. And two depthwise layers with
 * one 1x1 between them, which only one of them may take. */
int kerb_check_fused_choice(void)
{
    static const struct {
        KerbFusedCase f;
        int steps;
    } cases[] = {
        {{1, 16, 96, 24, 90, 160, 3, 3, 2, 1, false, true, true, true, 0}, 1},
        {{1, 24, 144, 24, 60, 100, 3, 3, 1, 1, false, true, true, true, 1}, 1},
        {{1, 24, 144, 40, 44, 80, 5, 5, 2, 1, false, true, true, false, 0}, 1},
        {{1, 24, 144, 0, 44, 80, 5, 5, 1, 1, false, true, false, false, 0}, 1},
        {{1, 0, 64, 32, 80, 120, 3, 3, 1, 1, false, false, true, true, 0}, 1},
        {{1, 16, 96, 24, 12, 20, 3, 3, 1, 1, false, true, true, true, 1}, 0},
        {{1, 24, 1152, 96, 40, 80, 5, 5, 1, 1, false, true, true, true, 0}, 0},
    };
    KerbRandom r = kerb_random_seeded("fused choice", 9);
    int failed = 0;
    for (int i = 0; i < (int)(sizeof cases / sizeof cases[0]); i++) {
        KerbGraph *g = kerb_fused_graph(&r, &cases[i].f);
        const int bad = kerb_fused_compare(g, NULL, 1 + i % 2, r.state, cases[i].steps, true);
        if (bad) printf("FAILED fused choice %d\n", i);
        failed += bad;
        kerb_graph_free(&g);
    }
    KerbGraph *g = NULL;
    kerb_graph_new(&g, NULL);
    const int64_t xd[4] = {1, 20, 17, 19};
    const KerbWindow one = {.n = 2, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
                     three = {.n = 2, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .pad_begin = {1, 1}, .pad_end = {1, 1}};
    uint32_t y = kerb_case_input(g, 4, xd);
    for (int i = 0; i < 3; i++) {
        y = kerb_fused_conv(g, &r, y, KERB_NO_VALUE, &three, true, i ? 37 : 20);
        y = kerb_fused_conv(g, &r, y, KERB_NO_VALUE, &one, false, 37);
    }
    kerb_case_output(g, y);
    const int bad = kerb_fused_compare(g, "fused", 2, r.state, 3, false);
    if (bad) puts("FAILED fused chain");
    kerb_graph_free(&g);
    return failed + bad;
}
