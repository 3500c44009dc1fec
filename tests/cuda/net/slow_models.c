/* SPDX-License-Identifier: MIT */
/* Trained networks on a photograph-like picture: the CUDA backend on its stand-in gives the labels that the reference gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/onnx/onnx.h"
#include "net/passes.h"
#include "net/ref/ref.h"
#include "net_case.h"

const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

/* The optimised graph at that size, head taken off as kerb_open() does. */
static KerbGraph *load(const char *path, KerbOnnx **onnx, int width, int height)
{
    KerbError error = {0};
    KerbGraph *g = NULL;
    const int64_t dims[4] = {1, 3, height, width};
    KerbStatus status = kerb_onnx_open(onnx, path, &error);
    if (!status) status = kerb_onnx_import(*onnx, &g, &error);
    if (!status) status = kerb_graph_bind_input(g, g->inputs[0], 4, dims, &error);
    if (!status) status = kerb_graph_infer(g, &error);
    if (!status) status = kerb_graph_optimize(g, &(KerbOptimizeOptions){.keep_head = false}, &error);
    if (status) fail_msg("%s: %s", path, error.message);
    return g;
}

/* Sky over a road with lanes, some noise: enough for a trained net to have opinions. */
static float scene(int channel, int x, int y, int width, int height, KerbRandom *r)
{
    const double v = (double)y / height, centre = fabs((double)x / width - 0.5);
    double level = v < 0.4 ? 0.75 - 0.1 * channel * v : centre < 0.5 * (v - 0.3) ? 0.35 : 0.3 + 0.15 * (channel == 1);
    if (v > 0.45 && fabs(centre - 0.35 * (v - 0.3)) < 0.01) level = 0.95; /* lane lines */
    return (float)level + 0.05f * kerb_random_float(r);
}

static void fill(const KerbTensor *t, KerbRandom *r)
{
    const int height = (int)t->dims[2], width = (int)t->dims[3];
    for (int c = 0; c < 3; c++) {
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++)
                kerb_tensor_set(t, ((int64_t)c * height + y) * width + x, (double)scene(c, x, y, width, height, r));
        }
    }
}

/* The share of pixels with the same largest class in both. */
static double agreement(const KerbTensor *a, const KerbTensor *b)
{
    const int64_t pixels = a->dims[2] * a->dims[3];
    int64_t same = 0;
    for (int64_t p = 0; p < pixels; p++) {
        int64_t best[2] = {0, 0};
        for (int64_t c = 1; c < a->dims[1]; c++) {
            if (kerb_tensor_get(a, c * pixels + p) > kerb_tensor_get(a, best[0] * pixels + p)) best[0] = c;
            if (kerb_tensor_get(b, c * pixels + p) > kerb_tensor_get(b, best[1] * pixels + p)) best[1] = c;
        }
        same += best[0] == best[1];
    }
    return (double)same / (double)pixels;
}

typedef struct Wanted {
    KerbPrecision precision;
    const char *name;
    double least;
} Wanted;

static void check_model(const char *path, int width, int height, int n, const Wanted wanted[])
{
    KerbError error = {0};
    KerbOnnx *onnx = NULL;
    KerbNet *ref = NULL, *net = NULL;
    KerbGraph *g = load(path, &onnx, width, height);
    KerbCompileOptions options = {.threads = 1, .precision = KERB_PRECISION_F32};
    const KerbBackend *cuda = kerb_backend(KERB_BACKEND_ABI, NULL);
    KerbRandom r = {1};
    if (kerb_backend_ref.compile(&ref, g, &options, &error)) fail_msg("%s", error.message);
    fill(kerb_backend_ref.input(ref, 0), &r);
    if (kerb_backend_ref.run(ref, &error)) fail_msg("%s", error.message);
    for (int i = 0; i < n; i++) {
        KerbCudaNetFacts facts;
        r = (KerbRandom){1};
        options.precision = wanted[i].precision;
        if (cuda->compile(&net, g, &options, &error)) fail_msg("%s", error.message);
        fill(cuda->input(net, 0), &r);
        if (cuda->run(net, &error)) fail_msg("%s", error.message);
        kerb_cuda_net_facts(net, &facts);
        printf("%s %s: %d of %d convolutions are plans, %d operators on the host, arena %.1f MiB of %.1f\n", strrchr(path, '/') + 1,
               wanted[i].name, facts.plans, facts.convolutions, facts.host_steps, (double)facts.arena_bytes / (1 << 20),
               (double)facts.sum_bytes / (1 << 20));
        assert_int_equal(facts.host_steps, 0);
        for (int k = 0; k < g->n_outputs; k++) {
            const double same = agreement(kerb_backend_ref.output(ref, k), cuda->output(net, k));
            printf("    output %d: %.4f %% of the labels agree\n", k, 100 * same);
            assert_true(same >= wanted[i].least);
        }
        cuda->free(&net);
    }
    kerb_backend_ref.free(&ref);
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
}

static void the_demonstration_model(void **state)
{
    static const Wanted wanted[] = {
        {KERB_PRECISION_F32, "f32", 0.9999}, {KERB_PRECISION_F16, "f16", 0.999}, {KERB_PRECISION_BF16, "bf16", 0.99}};
    char path[4096];
    const char *source = getenv("KERB_SOURCE");
    snprintf(path, sizeof path, "%s/models/drive-free.onnx", source ? source : ".");
    check_model(path, 320, 176, 3, wanted);
}

static void twinlitenet(void **state)
{
    static const Wanted wanted[] = {{KERB_PRECISION_F16, "f16", 0.999}};
    char path[4096];
    const char *data = getenv("KERB_DATA");
    snprintf(path, sizeof path, "%s/models/twinlitenet_360x640.onnx", data ? data : "");
    if (access(path, R_OK)) {
        printf("skipped: no %s\n", path);
        skip();
    }
    check_model(path, 640, 360, 1, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_demonstration_model), cmocka_unit_test(twinlitenet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
