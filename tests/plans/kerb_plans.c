/* SPDX-License-Identifier: MIT */
/* kerb-plans: asks cuDNN for a plan of every convolution of a model, for a GPU that need not be here. See --help. */
#include "devices.h"
#include "patterns.h"

#include "cuda/base/dnn.h"
#include "run/config.h"
#include "run/model.h"

#include <dlfcn.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_ALL_PASSED = 0, EXIT_SOME_FAILED = 1, EXIT_USAGE = 2, EXIT_SKIPPED = 77 };

static const char help[] =
    "Usage: kerb-plans [OPTION...] MODEL.onnx...\n"
    "Which convolutions of these models can cuDNN 9 (9.8 or newer) do as the CUDA backend asks for them? Needs no GPU and no driver:\n"
    "plans are made, kernels compiled, but nothing runs. Convolutions that are alike, in all the models, count once.\n"
    "\n"
    "  --sm SM           compute capability of the GPU, without the dot (default 90)\n"
    "  --precision P     fp32, tf32, fp16 (default), bf16, int8 (for quantised models)\n"
    "  --size WxH        for models that take any size: in place of what their card says\n"
    "  --part K/N        only every N-th pattern from the K-th (0..N-1) on; the others are skipped\n"
    "  --threads N       compile on N threads (default: one a core)\n"
    "  --verbose         a line for every pattern, with the engine that was taken\n"
    "  --json            one JSON object on standard output; the summary goes to standard error\n"
    "\n"
    "A pattern passes where cuDNN has a plan that does all of it, activation and residual included. It fails where it has not; the line says what\n"
    "is done instead: the epilogue apart (the convolution by cuDNN, the rest by an own kernel), or an own kernel for all of it. Depthwise\n"
    "convolutions are skipped: own kernels do them. The last line is `N passed, N failed, N skipped`.\n"
    "Exit code: 0 none failed, 1 some failed, 2 wrong usage or a model that cannot be read, 77 no cuDNN.\n"
    "\n"
    "Example: kerb-plans --sm 87 --precision fp16 deeplabv3.onnx\n";

typedef struct Options {
    int sm, width_px, height_px, part, parts, threads;
    KerbPrecision precision;
    bool verbose, json;
} Options;

typedef struct Totals {
    int passed, failed, skipped;
    json_t *list; /* NULL: not wanted */
} Totals;

static int usage_error(const char *format, const char *value)
{
    fprintf(stderr, "kerb-plans: ");
    fprintf(stderr, format, value);
    fprintf(stderr, "\nTry: kerb-plans --help\n");
    return EXIT_USAGE;
}

static bool read_precision(const char *text, KerbPrecision *out)
{
    static const struct { const char *name; KerbPrecision precision; } names[] = {
        { "fp32", KERB_PRECISION_F32 }, { "f32", KERB_PRECISION_F32 }, { "tf32", KERB_PRECISION_TF32 }, { "fp16", KERB_PRECISION_F16 },
        { "f16", KERB_PRECISION_F16 }, { "bf16", KERB_PRECISION_BF16 }, { "int8", KERB_PRECISION_INT8 },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) != 0) continue;
        *out = names[i].precision;
        return true;
    }
    return false;
}

/* cuDNN hands compiled kernels to libcuda.so.1. The stand-in bears that name, so once it is loaded it is what cuDNN finds. */
static bool load_driver(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    for (int i = 0; i < 2 && n > 0; i++) { /* BUILD/bin/kerb-plans -> BUILD */
        while (n > 0 && path[n - 1] != '/') n--;
        if (n > 0) n--;
    }
    if (n <= 0) return false;
    snprintf(path + n, sizeof path - (size_t)n, "/plans/libcuda.so.1");
    return dlopen(path, RTLD_NOW | RTLD_GLOBAL) != NULL;
}

/* ---- models */

typedef struct Loaded {
    KerbModel *model;
    KerbGraph *graph;
} Loaded;

static KerbStatus load(const Options *o, const char *path, Loaded *out, Patterns *patterns, KerbError *error)
{
    KerbConfig config;
    int width = 0, height = 0;
    static const KerbVideoFormat example = { .pixel_format = KERB_FORMAT_I420, .width_px = 1280, .height_px = 720 };
    kerb_config_init(&config);
    config.model_file = path;
    config.network_width_px = o->width_px;
    config.network_height_px = o->height_px;
    KerbStatus status = kerb_config_check(&config, error);
    if (status == KERB_OK) status = kerb_model_open(&out->model, &config, error);
    if (status != KERB_OK) return status;
    if (!kerb_model_size(out->model, NULL, &width, &height)) kerb_model_size(out->model, &example, &width, &height);
    status = kerb_model_build(out->model, width, height, NULL, &out->graph, error);
    return status == KERB_OK ? patterns_add(patterns, out->graph, o->precision, error) : status;
}

/* ---- plans */

static void say(const Options *o, Totals *t, const Pattern *p, const char *result, const char *detail)
{
    char text[320];
    pattern_text(&p->problem, text, sizeof text);
    bool passed = strcmp(result, "passed") == 0, failed = strcmp(result, "failed") == 0;
    if (passed) t->passed++;
    else if (failed) t->failed++;
    else t->skipped++;
    if (t->list)
        json_array_append_new(t->list, json_pack("{s:s, s:s, s:s, s:s, s:i}", "pattern", text, "result", result, "detail", detail, "node", p->name, "nodes", p->count));
    else if (failed || o->verbose)
        printf("%-7s %s (%s%s): %s\n", result, text, p->name, p->count > 1 ? ", ..." : "", detail);
    fflush(stdout);
}

static KerbStatus try_pattern(const Options *o, KerbPlans *plans, const Pattern *p, Totals *t, KerbError *error)
{
    char why[200] = "", detail[512];
    KerbConvPlan *plan = NULL;
    KerbStatus status = kerb_plans_get(plans, &p->problem, &plan, why, sizeof why, error);
    if (status != KERB_OK) return status;
    if (!plan) snprintf(detail, sizeof detail, "an own kernel does it, slower; cuDNN: %s", why);
    else if (kerb_plan_left(plan)) snprintf(detail, sizeof detail, "%s; cuDNN on all of it: %s", kerb_plan_text(plan), why);
    else snprintf(detail, sizeof detail, "%s", kerb_plan_text(plan));
    say(o, t, p, plan && !kerb_plan_left(plan) ? "passed" : "failed", detail);
    return KERB_OK;
}

#define CHUNK 32 /* patterns that are compiled together: lines come now and then, not only at the end */

static KerbStatus try_chunk(const Options *o, KerbPlans *plans, const Pattern *const chosen[], int n, Totals *t, KerbError *error)
{
    KerbConvProblem problems[CHUNK] = { 0 };
    for (int i = 0; i < n; i++) problems[i] = chosen[i]->problem;
    KerbStatus status = kerb_plans_prepare(plans, problems, n, o->threads, NULL, NULL, error);
    for (int i = 0; i < n && status == KERB_OK; i++) status = try_pattern(o, plans, chosen[i], t, error);
    return status;
}

static KerbStatus try_all(const Options *o, KerbPlans *plans, const Patterns *patterns, Totals *t, KerbError *error)
{
    const Pattern *chosen[CHUNK];
    int seen = 0, n = 0;
    KerbStatus status = KERB_OK;
    for (int i = 0; i < patterns->n && status == KERB_OK; i++) {
        const Pattern *p = &patterns->list[i];
        if (p->depthwise) say(o, t, p, "skipped", "depthwise: an own kernel does it");
        else if (seen++ % o->parts == o->part) chosen[n++] = p;
        else t->skipped++;
        if (n == CHUNK) status = try_chunk(o, plans, chosen, n, t, error);
        if (n == CHUNK) n = 0;
    }
    return status == KERB_OK ? try_chunk(o, plans, chosen, n, t, error) : status;
}

static int fail(const KerbError *error)
{
    fprintf(stderr, "kerb-plans: %s\n", error->message);
    return EXIT_USAGE;
}

static int run(const Options *o, char *const files[], int n_files)
{
    char json[1024], version[32];
    KerbError error = { 0 };
    KerbPlans *plans = NULL;
    Patterns patterns = { 0 };
    Totals t = { .list = o->json ? json_array() : NULL };
    KerbPlansOptions options = { .device_json = json };
    int code = EXIT_ALL_PASSED;
    if (!device_describe(o->sm, &options.device, json, sizeof json)) return usage_error("--sm %s is not known", "that was given");
    KerbCudnn dnn;
    if (kerb_cudnn_open(&dnn, 0, &error) != KERB_OK) {
        fprintf(stderr, "kerb-plans: skipped: %s\n", error.message);
        return EXIT_SKIPPED;
    }
    kerb_cudnn_version_text(&dnn, version, sizeof version);
    if (!load_driver()) fprintf(stderr, "kerb-plans: there is no stand-in for the driver (built where the CUDA toolkit's stub is): fused patterns will fail\n");
    if (kerb_plans_new(&plans, &options, &error) != KERB_OK) return fail(&error);
    Loaded *loaded = calloc((size_t)n_files, sizeof *loaded);
    for (int i = 0; loaded && i < n_files && code != EXIT_USAGE; i++) {
        int before = patterns.n;
        if (load(o, files[i], &loaded[i], &patterns, &error) != KERB_OK) code = fail(&error);
        else if (!o->json) printf("%s: %d patterns%s\n", files[i], patterns.n - before, i ? " that the others do not have" : "");
    }
    if (code == EXIT_ALL_PASSED && try_all(o, plans, &patterns, &t, &error) != KERB_OK) code = fail(&error);
    t.skipped += patterns.other;
    if (patterns.other && !o->json) printf("skipped %d convolutions that are none for cuDNN: %s\n", patterns.other, patterns.other_why);
    if (code == EXIT_ALL_PASSED && t.failed) code = EXIT_SOME_FAILED;
    if (o->json) {
        json_t *root = json_pack("{s:s, s:s, s:i, s:o, s:i, s:i, s:i}", "cudnn", version, "device", options.device.name, "sm", o->sm, "patterns", t.list, "passed",
                                 t.passed, "failed", t.failed, "skipped", t.skipped);
        if (root) json_dumpf(root, stdout, JSON_INDENT(2));
        json_decref(root);
        printf("\n");
    }
    if (code != EXIT_USAGE) fprintf(o->json ? stderr : stdout, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped);
    patterns_free(&patterns);
    for (int i = 0; loaded && i < n_files; i++) {
        kerb_graph_free(&loaded[i].graph);
        kerb_model_free(&loaded[i].model);
    }
    free(loaded);
    kerb_plans_free(&plans);
    kerb_cudnn_close(&dnn);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "sm", required_argument, NULL, 's' },    { "precision", required_argument, NULL, 'p' }, { "size", required_argument, NULL, 'z' },
        { "part", required_argument, NULL, 'k' },  { "threads", required_argument, NULL, 't' },   { "verbose", no_argument, NULL, 'v' },
        { "json", no_argument, NULL, 'j' },        { "help", no_argument, NULL, 'h' },            { NULL, 0, NULL, 0 },
    };
    Options o = { .sm = 90, .parts = 1, .precision = KERB_PRECISION_F16 };
    KerbCudaDevice device;
    char json[1024];
    for (int c; (c = getopt_long(argc, argv, "vh", long_options, NULL)) != -1;) {
        switch (c) {
        case 's':
            o.sm = atoi(optarg);
            if (!device_describe(o.sm, &device, json, sizeof json)) {
                fprintf(stderr, "kerb-plans: --sm %s: known are %s\n", optarg, device_list());
                return EXIT_USAGE;
            }
            break;
        case 'p':
            if (!read_precision(optarg, &o.precision)) return usage_error("--precision %s: one of fp32, tf32, fp16, bf16, int8", optarg);
            break;
        case 'z':
            if (sscanf(optarg, "%dx%d", &o.width_px, &o.height_px) != 2 || o.width_px < 1 || o.height_px < 1)
                return usage_error("--size %s: WIDTHxHEIGHT", optarg);
            break;
        case 'k':
            if (sscanf(optarg, "%d/%d", &o.part, &o.parts) != 2 || o.parts < 1 || o.part < 0 || o.part >= o.parts)
                return usage_error("--part %s: K/N, where 0 <= K < N", optarg);
            break;
        case 't': o.threads = atoi(optarg); break;
        case 'v': o.verbose = true; break;
        case 'j': o.json = true; break;
        case 'h': fputs(help, stdout); return EXIT_ALL_PASSED;
        default: return usage_error("%s", "wrong usage");
        }
    }
    if (optind == argc) return usage_error("%s", "no model given");
    return run(&o, argv + optind, argc - optind);
}
