/* SPDX-License-Identifier: MIT */
/* The streaming path of the CUDA backend allocates nothing: this program's own malloc family counts calls while frames go through, those of the program
 * with the engine in it and those of the module. The stand-in, which is no part of Kerb, allocates for every call: its calls, and the C library's for
 * its threads, are left out by where they come from. */
#include "kerb.h"
#include "standin.h"

#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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

static atomic_int counting, calls;

/* Code of the module and of this program. */
static struct {
    uintptr_t begin, end;
} own[16];
static int n_own;

static int find_own(struct dl_phdr_info *info, size_t bytes, void *data)
{
    if (info->dlpi_name[0] && !strstr(info->dlpi_name, "kerb-cuda.so")) return 0;
    for (int i = 0; i < info->dlpi_phnum && n_own < 16; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
        own[n_own].begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        own[n_own].end = own[n_own].begin + info->dlpi_phdr[i].p_memsz;
        n_own++;
    }
    return 0;
}

static void count(const void *caller)
{
    if (!atomic_load(&counting)) return;
    for (int i = 0; i < n_own; i++)
        if ((uintptr_t)caller >= own[i].begin && (uintptr_t)caller < own[i].end) atomic_fetch_add(&calls, 1);
}
#define COUNT() count(__builtin_return_address(0))

#pragma GCC visibility push(default)
void *malloc(size_t bytes) { return COUNT(), __libc_malloc(bytes); }
void *calloc(size_t n, size_t bytes) { return COUNT(), __libc_calloc(n, bytes); }
void *realloc(void *p, size_t bytes) { return COUNT(), __libc_realloc(p, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return COUNT(), __libc_memalign(alignment, bytes); }
void free(void *p)
{
    if (p) COUNT();
    __libc_free(p);
}
int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    COUNT();
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : 12;
}
#pragma GCC visibility pop

/* Opening allocates in both places that are watched: without that, silence would mean nothing. Then 40 frames, pinned and not, in all displays. */
static void check(const char *words)
{
    kerb_standin_configure(words);
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = "cuda";
    config.threads = 1;
    KerbPipeline *k;
    KerbError error;
    if (kerb_open(&k, &config, &error) != KERB_OK) fail_msg("%s", error.message); /* loads the module */
    n_own = 0;
    dl_iterate_phdr(find_own, NULL);
    assert_in_range(n_own, 2, 16);
    atomic_store(&calls, 0);
    atomic_store(&counting, 1);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_RGB, .width_px = 66, .height_px = 40 };
    KerbStatus status = kerb_set_format(k, &f, &error);
    atomic_store(&counting, 0);
    if (status != KERB_OK) fail_msg("%s", error.message);
    assert_in_range(atomic_load(&calls), 2, 1 << 20);
    static uint8_t plain[66 * 40 * 3];
    KerbHostBlock block;
    assert_int_equal(kerb_host_alloc(k, sizeof plain, &block, &error), KERB_OK);
    KerbDisplay display;
    kerb_get_display(k, &display);
    bool ok = true;
    atomic_store(&calls, 0);
    atomic_store(&counting, 1);
    for (int i = 0; i < 40; i++) {
        KerbJob job = { .frame = { .planes = { i % 2 ? plain : block.data }, .strides = { 66 * 3 } } };
        display.visualize = (KerbVisualize)(i % 3);
        kerb_set_display(k, &display);
        if (i % 5) job.picture = job.frame;
        KerbResult r;
        KerbStats s;
        ok = ok && kerb_submit(k, &job, &error) == KERB_OK && kerb_collect(k, &r, -1, &error) == KERB_OK && r.status == KERB_OK;
        kerb_get_stats(k, &s);
    }
    atomic_store(&counting, 0);
    assert_true(ok);
    assert_int_equal(atomic_load(&calls), 0);
    kerb_host_free(&block);
    kerb_close(&k);
}

static void test_graphs(void **state) { check(""); }
static void test_launches(void **state) { check("nocapture"); }
static void test_integrated(void **state) { check("integrated sm=87"); }

static int prepare(void **state)
{
    if (run_setup(state) != 0) return -1;
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 5 });
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_launches),
        cmocka_unit_test(test_integrated),
    };
    return cmocka_run_group_tests(tests, prepare, run_teardown);
}

#endif
