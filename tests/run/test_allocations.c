/* SPDX-License-Identifier: MIT */
/* The streaming path allocates nothing: this program's own malloc family counts every call of the process, those of libraries and modules
 * too, while frames go through. With the ref backend no call at all is allowed; with cpu, libgomp may set up the ring thread's team with
 * the first frame, and after it there is none. In bf16, which oneDNN computes, one caller cannot be silenced: dnnl_primitive_execute()
 * builds a C++ map of its arguments each time (seen in 2.6.3). So calls that come from oneDNN are counted apart: f32 allows none, bf16
 * small ones only, so that a buffer taken every frame fails the test. */
#include "kerb.h"

#include <errno.h>
#include <jansson.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

int main(void)
{
    puts("skipped: a sanitizer has its own malloc");
    return 77;
}

#else

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *p);
void *memalign(size_t alignment, size_t bytes);

static atomic_int counting, calls, foreign_calls;
static atomic_size_t foreign_greatest;

/* Code of oneDNN, and of the C++ library through which it allocates; nothing of Kerb is C++. */
typedef struct CodeRange {
    uintptr_t begin, end;
} CodeRange;
static CodeRange foreign[16];
static int n_foreign;

static int find_foreign(struct dl_phdr_info *info, size_t bytes, void *data)
{
    if (!strstr(info->dlpi_name, "libdnnl") && !strstr(info->dlpi_name, "libstdc++")) return 0;
    for (int i = 0; i < info->dlpi_phnum && n_foreign < 16; i++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X))
            foreign[n_foreign++] = (CodeRange){ begin, begin + info->dlpi_phdr[i].p_memsz };
    }
    return 0;
}

static void count(const void *caller, size_t bytes)
{
    if (!atomic_load(&counting)) return;
    for (int i = 0; i < n_foreign; i++) {
        if ((uintptr_t)caller < foreign[i].begin || (uintptr_t)caller >= foreign[i].end) continue;
        atomic_fetch_add(&foreign_calls, 1);
        size_t before = atomic_load(&foreign_greatest);
        while (bytes > before && !atomic_compare_exchange_weak(&foreign_greatest, &before, bytes)) {}
        return;
    }
    atomic_fetch_add(&calls, 1);
}
#define COUNT(bytes) count(__builtin_return_address(0), bytes)

/* Exported, so that libraries and modules, also those that are loaded later, bind to these and not to libc's (the build hides symbols). */
#pragma GCC visibility push(default)
void *malloc(size_t bytes) { return COUNT(bytes), __libc_malloc(bytes); }
void *calloc(size_t n, size_t bytes) { return COUNT(n * bytes), __libc_calloc(n, bytes); }
void *realloc(void *p, size_t bytes) { return COUNT(bytes), __libc_realloc(p, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return COUNT(bytes), __libc_memalign(alignment, bytes); }
void free(void *p)
{
    if (p) COUNT(0);
    __libc_free(p);
}
int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    COUNT(bytes);
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}

void *memalign(size_t alignment, size_t bytes) { return COUNT(bytes), __libc_memalign(alignment, bytes); }
#pragma GCC visibility pop

enum { FRAMES = 40 };

static uint8_t *planes(const KerbVideoFormat *f, KerbFrame *frame)
{
    size_t total = 0, offsets[KERB_MAX_PLANES] = { 0 };
    int n = kerb_pixel_format_planes(f->pixel_format);
    for (int p = 0; p < n; p++) {
        frame->strides[p] = kerb_plane_row_bytes(f->pixel_format, p, f->width_px);
        offsets[p] = total;
        total += (size_t)frame->strides[p] * (size_t)kerb_plane_rows(f->pixel_format, p, f->height_px);
    }
    uint8_t *bytes = malloc(total);
    for (size_t i = 0; i < total; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int p = 0; p < n; p++) frame->planes[p] = bytes + offsets[p];
    return bytes;
}

/* Calls by the first frame, and by all the others. */
static void count_calls(const char *model, const char *card, const char *backend, KerbPrecision precision, const KerbVideoFormat *format,
                        int frames, int *first, int *rest)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = model;
    config.card_file = card;
    config.backend = backend;
    config.precision = precision;
    config.threads = 2;
    config.smoothing = KERB_SMOOTHING_LIGHT;
    KerbPipeline *k;
    KerbError error;
    if (kerb_open(&k, &config, &error) != KERB_OK || kerb_set_format(k, format, &error) != KERB_OK) fail_msg("%s", error.message);
    KerbJob job = { .user = NULL };
    uint8_t *bytes = planes(format, &job.frame), *carried = malloc((size_t)format->width_px * (size_t)format->height_px);
    KerbCarrier *carrier;
    if (!carried || kerb_carrier_new(&carrier, format, 3, &error) != KERB_OK) fail_msg("no carrier");
    job.picture = job.frame;
    KerbDisplay display;
    kerb_get_display(k, &display);
    int at_first = 0;
    bool ok = true;
    n_foreign = 0;
    dl_iterate_phdr(find_foreign, NULL); /* the module is loaded by now */
    atomic_store(&calls, 0);
    atomic_store(&foreign_calls, 0);
    atomic_store(&foreign_greatest, 0);
    atomic_store(&counting, 1);
    for (int i = 0; i < frames; i++) {
        KerbResult result;
        KerbStats stats;
        display.alpha = (float)i / (float)frames;
        kerb_set_display(k, &display);
        ok = ok && kerb_submit(k, &job, &error) == KERB_OK && kerb_collect(k, &result, -1, &error) == KERB_OK && result.status == KERB_OK;
        kerb_get_stats(k, &stats);
        kerb_carrier_add(carrier, &job.frame);
        kerb_carrier_carry(carrier, job.frame.pts_ns - 2, result.labels, (KerbMap){ carried, format->width_px });
        kerb_carrier_carry_confidence(carrier, job.frame.pts_ns - 2, result.confidence, (KerbMap){ carried, format->width_px });
        job.frame.pts_ns++;
        if (i == frames / 2) kerb_reset_time(k);
        if (i == 0) at_first = atomic_load(&calls);
    }
    kerb_flush(k);
    kerb_drain(k);
    atomic_store(&counting, 0);
    *first = at_first;
    *rest = atomic_load(&calls) - at_first;
    assert_true(ok);
    free(bytes);
    free(carried);
    kerb_carrier_free(&carrier);
    kerb_close(&k);
}

static void expect_none(const char *model, const char *card, const char *backend, KerbPrecision precision, int frames, size_t n_formats)
{
    static const KerbPixelFormat formats[] = {KERB_FORMAT_I420, KERB_FORMAT_NV12, KERB_FORMAT_YUY2,
                                              KERB_FORMAT_RGB,  KERB_FORMAT_BGRX, KERB_FORMAT_GRAY8};
    for (size_t i = 0; i < n_formats; i++) {
        KerbVideoFormat format = { .pixel_format = formats[i], .width_px = 321, .height_px = 181 };
        int first, rest;
        count_calls(model, card, backend, precision, &format, frames, &first, &rest);
        if (rest) fail_msg("%s, %s: %d calls in %d frames", backend, kerb_pixel_format_name(formats[i]), rest, frames - 1);
        if (first && strcmp(backend, "ref") == 0)
            fail_msg("ref, %s: %d calls in the first frame", kerb_pixel_format_name(formats[i]), first);
        int dnn = atomic_load(&foreign_calls);
        size_t greatest = atomic_load(&foreign_greatest);
        if (precision != KERB_PRECISION_BF16 && dnn) fail_msg("%s: %d calls from oneDNN", backend, dnn);
        if (greatest > 4096) fail_msg("%s: oneDNN takes %zu bytes while frames run", backend, greatest);
        print_message("%s, %s: %d calls in the first frame, none after; oneDNN's own %.1f a frame, at most %zu bytes each\n", backend,
                      kerb_pixel_format_name(formats[i]), first, (double)dnn / frames, greatest);
    }
}

static void test_the_counter_counts(void **state)
{
    atomic_store(&calls, 0);
    atomic_store(&counting, 1);
    void *volatile p = malloc(10);
    p = realloc(p, 20);
    free(p);
    atomic_store(&counting, 0);
    assert_int_equal(atomic_load(&calls), 3);
}

/* A library's own calls too: otherwise silence of the cpu module would mean nothing. */
static void test_the_counter_sees_libraries(void **state)
{
    atomic_store(&calls, 0);
    atomic_store(&counting, 1);
    json_decref(json_integer(1));
    atomic_store(&counting, 0);
    assert_int_equal(atomic_load(&calls), 2);
}

/* And those of the module and what it brings: with the engine's share, which ref alone has too, taken off. */
static int calls_of_open(const char *backend)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = backend;
    config.threads = 2;
    KerbPipeline *k;
    n_foreign = 0; /* everybody's */
    atomic_store(&calls, 0);
    atomic_store(&counting, 1);
    KerbStatus status = kerb_open(&k, &config, NULL);
    atomic_store(&counting, 0);
    int n = atomic_load(&calls);
    assert_int_equal(status, KERB_OK);
    kerb_close(&k);
    return n;
}

static void test_ref(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 5 });
    expect_none("net.onnx", NULL, "ref", KERB_PRECISION_F32, FRAMES, 6);
}

static bool find_cpu(KerbDevice *out)
{
    KerbDevice devices[16];
    int n = kerb_devices(devices, 16);
    for (int i = 0; i < n && i < 16; i++)
        if (strcmp(devices[i].name, "cpu") == 0) *out = devices[i];
    return strcmp(out->name, "cpu") == 0 && out->usable;
}

static bool cpu_is_usable(void)
{
    KerbDevice cpu = { 0 };
    return find_cpu(&cpu);
}

static void test_cpu(void **state)
{
    if (!cpu_is_usable()) skip();
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 5 });
    calls_of_open("cpu"); /* what loading alone costs is paid once */
    int cpu = calls_of_open("cpu"), ref = calls_of_open("ref");
    print_message("opening: %d calls with cpu, %d with ref\n", cpu, ref);
    assert_true(cpu > ref + 5); /* steps, packed weights, oneDNN's engine: the module is seen */
    expect_none("net.onnx", NULL, "cpu", KERB_PRECISION_F32, FRAMES, 6);
}

/* All kinds of convolution that the backend knows: a stem, Winograd, depthwise, 1x1 with many channels, a residual, a large window. */
static void write_many_kinds(const char *path)
{
    static float weights[64 * 64 * 9], bias[64];
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) weights[i] = (float)((i * 7919) % 1009) / 5000 - 0.1f;
    static const struct {
        const char *name, *inputs, *output;
        int in, out, kernel, stride, group;
    } convolutions[] = {
        {"stem", "picture w0 b", "c0", 3, 64, 7, 2, 1}, {"winograd", "c0 w1 b", "c1", 64, 64, 3, 1, 1}, {"depthwise", "c1 w2 b", "c2", 64, 64, 3, 1, 64},
        {"point", "c2 w3 b", "c3", 64, 64, 1, 1, 1},    {"shrink", "s w4 b", "c4", 64, 64, 3, 2, 1},    {"head", "c4 w5 b", "scores", 64, 5, 1, 1, 1},
    };
    OnnxWriter w = { 0 };
    onnx_input(&w, "picture", ONNX_F32, 4, (int64_t[]){ 1, 3, 64, 128 });
    onnx_constant(&w, "b", ONNX_F32, 1, (int64_t[]){ 64 }, bias);
    onnx_constant(&w, "b5", ONNX_F32, 1, (int64_t[]){ 5 }, bias);
    for (size_t i = 0; i < sizeof convolutions / sizeof convolutions[0]; i++) {
        const int64_t k = convolutions[i].kernel, pad = k / 2, stride = convolutions[i].stride;
        char constant[8], inputs[32];
        snprintf(constant, sizeof constant, "w%zu", i);
        snprintf(inputs, sizeof inputs, "%s%s", convolutions[i].inputs, i == 5 ? "5" : "");
        onnx_constant(&w, constant, ONNX_F32, 4, (int64_t[]){ convolutions[i].out, convolutions[i].in / convolutions[i].group, k, k }, weights);
        if (i == 4) onnx_node(&w, "Add", "residual", "c0 c3", "s");
        onnx_node(&w, "Conv", convolutions[i].name, inputs, convolutions[i].output);
        onnx_ints(&w, "kernel_shape", 2, (int64_t[]){ k, k });
        onnx_ints(&w, "strides", 2, (int64_t[]){ stride, stride });
        onnx_ints(&w, "pads", 4, (int64_t[]){ pad, pad, pad, pad });
        onnx_int(&w, "group", convolutions[i].group);
    }
    onnx_output(&w, "scores", ONNX_F32, 4, (int64_t[]){ 1, 5, 16, 32 });
    assert_true(onnx_save(&w, 13, path));
}

static void test_cpu_on_many_kinds(void **state)
{
    if (!cpu_is_usable()) skip();
    write_many_kinds("kinds.onnx");
    expect_none("kinds.onnx", NULL, "cpu", KERB_PRECISION_F32, FRAMES, 1);
    KerbDevice cpu = { 0 };
    if (find_cpu(&cpu) && strstr(cpu.precisions, "bf16")) expect_none("kinds.onnx", NULL, "cpu", KERB_PRECISION_BF16, FRAMES, 1);
}

static void test_cpu_on_integers(void **state)
{
    if (!cpu_is_usable()) skip();
    write_quantised_model("quantised.onnx", 64, 32);
    expect_none("quantised.onnx", NULL, "cpu", KERB_PRECISION_INT8, FRAMES, 1);
}

static void test_cpu_on_a_real_network(void **state)
{
    const char *data = getenv("KERB_DATA"), *source = getenv("KERB_SOURCE");
    char model[512], card[512];
    snprintf(model, sizeof model, "%s/models/twinlitenet_360x640.onnx", data ? data : "");
    snprintf(card, sizeof card, "%s/tests/run/twinlitenet.json", source ? source : "");
    if (!cpu_is_usable() || access(model, R_OK) != 0) skip();
    expect_none(model, card, "cpu", KERB_PRECISION_F32, 3, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_counter_counts),
        cmocka_unit_test(test_the_counter_sees_libraries),
        cmocka_unit_test(test_ref),
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_cpu_on_many_kinds),
        cmocka_unit_test(test_cpu_on_integers),
        cmocka_unit_test(test_cpu_on_a_real_network),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}

#endif
