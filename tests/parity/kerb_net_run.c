/* SPDX-License-Identifier: MIT */
/* kerb-net-run: a network alone. Enters: input tensors on standard input, one after another. Leaves: the model's own outputs (nothing is stripped
 * from its end) for each, on standard output. All are raw float32, dense, in the model's axis order; sizes are not in the stream. For comparing
 * with other engines on the same tensors (scripts/check-parity); nothing is measured. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "net/onnx/onnx.h"
#include "net/passes.h"
#include "run/backends.h"

enum { EXIT_USAGE = 2 };

static const char help[] =
    "Usage: kerb-net-run [OPTION...] MODEL.onnx < INPUTS > OUTPUTS\n"
    "Runs a model with one picture input on raw float32 tensors, one after another until the end of standard input, and writes\n"
    "all outputs of each run, in the model's order, as raw float32.\n"
    "\n"
    "  --backend NAME    ref (default), cpu or cuda\n"
    "  --precision NAME  f32 (default), bf16, tf32, f16, int8, as far as the backend has them\n"
    "  --device N        which GPU (default 0)\n"
    "  --threads N       threads of the backend (default: one a core)\n"
    "  --size WxH        where the model leaves its input's size open\n"
    "\n"
    "Exit code: 0, 2 wrong usage, 3 the model, 5 input that ends inside a tensor or output that cannot be written, 6 the backend.\n";

typedef struct Options {
    const char *model, *backend;
    KerbPrecision precision;
    int threads, device, width_px, height_px;
} Options;

static KerbStatus load(const Options *o, const KerbOnnx *onnx, KerbGraph **out, KerbError *error)
{
    KerbStatus status = kerb_onnx_import(onnx, out, error);
    if (status != KERB_OK) return status;
    KerbGraph *g = *out;
    if (g->n_inputs != 1 || kerb_graph_value(g, g->inputs[0])->rank != 4)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s: one picture input of rank 4 is expected; it has %d inputs", o->model, g->n_inputs);
    const KerbValue *v = kerb_graph_value(g, g->inputs[0]);
    const int64_t wanted[4] = { 1, 3, o->height_px, o->width_px };
    int64_t dims[4];
    for (int i = 0; i < 4; i++) {
        dims[i] = v->dims[i] > 0 ? v->dims[i] : wanted[i];
        if (dims[i] <= 0) return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s leaves its input's size open: give --size WxH", o->model);
    }
    status = kerb_graph_bind_input(g, g->inputs[0], 4, dims, error);
    if (status == KERB_OK) status = kerb_graph_infer(g, error);
    if (status == KERB_OK) status = kerb_graph_optimize(g, &(KerbOptimizeOptions){ .keep_head = true }, error);
    return status;
}

/* Room for a dense float32 tensor of t's shape; *elements of them. The caller frees. */
static float *new_floats(const KerbTensor *t, size_t *elements)
{
    *elements = (size_t)kerb_tensor_elements(t);
    return malloc(*elements * sizeof(float) + 1);
}

/* Reads one input. KERB_AGAIN: the stream has ended between two. */
static KerbStatus read_input(const KerbTensor *input, KerbError *error)
{
    size_t n;
    float *values = new_floats(input, &n);
    if (!values) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu input values", n);
    size_t got = fread(values, 1, n * sizeof *values, stdin);
    KerbStatus status = KERB_OK;
    if (ferror(stdin)) {
        status = kerb_fail(error, KERB_ERROR_STORAGE, "standard input: %s", strerror(errno));
    } else if (got == 0) {
        status = KERB_AGAIN;
    } else if (got < n * sizeof *values) {
        status = kerb_fail(error, KERB_ERROR_STORAGE, "the input ends inside a tensor: %zu of %zu bytes", got, n * sizeof *values);
    } else {
        KerbTensor dense = kerb_tensor(values, KERB_F32, input->rank, input->dims);
        kerb_tensor_copy(input, &dense);
    }
    free(values);
    return status;
}

static KerbStatus write_output(const KerbTensor *output, KerbError *error)
{
    size_t n;
    float *values = new_floats(output, &n);
    if (!values) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for %zu output values", n);
    KerbTensor dense = kerb_tensor(values, KERB_F32, output->rank, output->dims);
    kerb_tensor_copy(&dense, output);
    KerbStatus status = KERB_OK;
    if (fwrite(values, sizeof *values, n, stdout) != n) status = kerb_fail(error, KERB_ERROR_STORAGE, "standard output: %s", strerror(errno));
    free(values);
    return status;
}

static KerbStatus run(const Options *o, const KerbBackend *backend, const KerbGraph *g, KerbError *error)
{
    KerbNet *net = NULL;
    KerbCompileOptions options = { .threads = o->threads, .device_id = o->device, .precision = o->precision };
    KerbStatus status = backend->compile(&net, g, &options, error);
    while (status == KERB_OK) {
        status = read_input(backend->input(net, 0), error);
        if (status == KERB_OK) status = backend->run(net, error);
        for (int i = 0; i < g->n_outputs && status == KERB_OK; i++) status = write_output(backend->output(net, i), error);
        if (status == KERB_OK && fflush(stdout)) status = kerb_fail(error, KERB_ERROR_STORAGE, "standard output: %s", strerror(errno));
    }
    backend->free(&net);
    return status == KERB_AGAIN ? KERB_OK : status;
}

static KerbStatus open_and_run(const Options *o, KerbError *error)
{
    KerbBackendChoice choices[KERB_MAX_BACKENDS] = { 0 };
    KerbOnnx *onnx = NULL;
    KerbGraph *g = NULL;
    int n = 0;
    KerbPrecision precision;
    KerbStatus status = kerb_backends_choose(o->backend, 0, choices, &n, error);
    if (status == KERB_OK) status = kerb_onnx_open(&onnx, o->model, error);
    if (status == KERB_OK) status = load(o, onnx, &g, error);
    if (status == KERB_OK) status = kerb_backend_precision(&choices[0], g, o->precision, &precision, error);
    if (status == KERB_OK) status = run(o, choices[0].backend, g, error);
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    kerb_backends_release(choices, n);
    return status;
}

static bool read_size(const char *text, Options *o)
{
    char end;
    return sscanf(text, "%dx%d%c", &o->width_px, &o->height_px, &end) == 2 && o->width_px > 0 && o->height_px > 0;
}

static bool read_threads(const char *text, Options *o)
{
    char end;
    return sscanf(text, "%d%c", &o->threads, &end) == 1 && o->threads >= 1 && o->threads <= 256;
}

static bool read_precision(const char *text, Options *o)
{
    static const struct {
        const char *name;
        KerbPrecision precision;
    } known[] = { { "f32", KERB_PRECISION_F32 }, { "bf16", KERB_PRECISION_BF16 }, { "tf32", KERB_PRECISION_TF32 }, { "f16", KERB_PRECISION_F16 }, { "int8", KERB_PRECISION_INT8 } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(text, known[i].name)) {
            o->precision = known[i].precision;
            return true;
        }
    return false;
}

static bool read_device(const char *text, Options *o)
{
    char end;
    return sscanf(text, "%d%c", &o->device, &end) == 1 && o->device >= 0 && o->device < 64;
}

/* Goes on with -1; otherwise the exit code. */
static int read_options(int argc, char **argv, Options *o)
{
    static const struct option options[] = {
        { "backend", required_argument, NULL, 'b' }, { "precision", required_argument, NULL, 'p' }, { "threads", required_argument, NULL, 't' },
        { "size", required_argument, NULL, 's' },    { "device", required_argument, NULL, 'd' },    { "help", no_argument, NULL, 'h' },            { 0 },
    };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        bool ok = true;
        switch (option) {
        case 'b': o->backend = optarg; break;
        case 'p': ok = read_precision(optarg, o); break;
        case 't': ok = read_threads(optarg, o); break;
        case 's': ok = read_size(optarg, o); break;
        case 'd': ok = read_device(optarg, o); break;
        case 'h': fputs(help, stdout); return 0;
        default: ok = false;
        }
        if (!ok) {
            fprintf(stderr, "Try: kerb-net-run --help\n");
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "kerb-net-run: one MODEL.onnx is expected\nTry: kerb-net-run --help\n");
        return EXIT_USAGE;
    }
    o->model = argv[optind];
    return -1;
}

int main(int argc, char **argv)
{
    Options o = { .backend = "ref", .precision = KERB_PRECISION_F32, .threads = kerb_cpu_count() };
    int code = read_options(argc, argv, &o);
    if (code >= 0) return code;
    KerbError error = { 0 };
    KerbStatus status = open_and_run(&o, &error);
    if (status != KERB_OK) fprintf(stderr, "kerb-net-run: %s\n", error.message);
    return kerb_exit_code(status);
}
