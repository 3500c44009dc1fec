/* SPDX-License-Identifier: MIT */
/* What timing found is kept for the next start: for the same convolutions, threads and processor, unless it is switched off; a damaged file is as good as none. */
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/log.h"
#include "cases.h"

extern const KerbBackend *kerb_backend(uint32_t abi, const KerbLogSink *sink);

static char folder[64];
static bool no_tune;
static int timed; /* ways that the last compile tried */

static void count(void *user, KerbLogLevel level, const char *line)
{
    if (strstr(line, "cpu: conv ")) timed++;
}

static int make_folder(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/kerb-tuning-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    unsetenv("KERB_CPU_CONV");
    kerb_set_log(count, NULL, KERB_LOG_DEBUG);
    return setenv("KERB_PLAN_CACHE", folder, 1);
}
static int remove_folder(void **state)
{
    char command[96];
    kerb_set_log(NULL, NULL, KERB_LOG_WARNING);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Compiles convolutions of `side` x `side`, the i-th with 96 + 32 * i channels out, the first one twice: how many ways were timed. */
static int compile_side(int side, int n, int threads)
{
    KerbRandom r = { 7 };
    KerbGraph *g;
    assert_int_equal(kerb_graph_new(&g, NULL), KERB_OK);
    uint32_t x = kerb_case_input(g, 4, (const int64_t[]){ 1, 128, 24, 24 });
    for (int i = 0; i < n + 1; i++) {
        int64_t channels = 96 + 32 * (i % n);
        uint32_t w = kerb_case_constant(g, &r, 4, (const int64_t[]){ channels, 128, side, side }, 0.1f), y = kerb_case_value(g, 4, (const int64_t[]){ 1, channels, 24, 24 });
        KerbConvAttrs *a = &kerb_case_node(g, KERB_OP_CONV, 2, (const uint32_t[]){ x, w }, y)->attrs.conv;
        a->group = 1;
        a->act.slope = KERB_NO_VALUE;
        a->window = (KerbWindow){ .n = 2, .kernel = { side, side }, .stride = { 1, 1 }, .dilation = { 1, 1 }, .pad_begin = { side / 2, side / 2 },
                                  .pad_end = { side / 2, side / 2 } };
        kerb_case_output(g, y);
    }
    KerbNet *net;
    KerbError error;
    timed = 0;
    if (kerb_backend(KERB_BACKEND_ABI, NULL)->compile(&net, g, &(KerbCompileOptions){ .threads = threads, .precision = KERB_PRECISION_F32, .no_tune = no_tune }, &error) != KERB_OK)
        fail_msg("%s", error.message);
    kerb_backend(KERB_BACKEND_ABI, NULL)->free(&net);
    kerb_graph_free(&g);
    return timed;
}
static int compile(int n, int threads) { return compile_side(3, n, threads); }

static int files(char *first, size_t bytes)
{
    char pattern[80];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*", folder);
    if (glob(pattern, 0, NULL, &found)) return 0;
    int n = (int)found.gl_pathc;
    if (first) snprintf(first, bytes, "%s", found.gl_pathv[0]);
    globfree(&found);
    return n;
}

static void test_comes_back(void **state)
{
    int once = compile(1, 1);
    assert_true(once >= 2); /* several ways, but one convolution, although it is there twice */
    assert_int_equal(files(NULL, 0), 1);
    assert_int_equal(compile(1, 1), 0);
    assert_int_equal(compile(2, 1), once); /* the new one alone */
    assert_int_equal(compile(2, 1), 0);
    assert_true(compile(2, 2) >= once); /* with two threads another way may be best */
    assert_int_equal(files(NULL, 0), 2);
    assert_int_equal(compile(2, 2), 0);
}

/* The file as it is: opening it for reading sets its time, writing it anew makes another one. */
static struct stat file_state(void)
{
    char name[128];
    struct stat s;
    assert_int_equal(files(name, sizeof name), 1);
    assert_int_equal(stat(name, &s), 0);
    return s;
}

/* Read only where several ways are worth timing, written only where one was timed. */
static void test_left_alone(void **state)
{
    char name[128];
    assert_int_equal(compile_side(1, 1, 1), 0); /* a single way */
    assert_int_equal(files(NULL, 0), 0);
    compile(1, 1);
    assert_int_equal(files(name, sizeof name), 1);
    assert_int_equal(utimensat(AT_FDCWD, name, (const struct timespec[]){ { 1000, 0 }, { 1000, 0 } }, 0), 0);
    const struct stat written = file_state();
    assert_int_equal(compile_side(1, 1, 1), 0);
    no_tune = true;
    assert_int_equal(compile(3, 1), 0);
    no_tune = false;
    assert_int_equal(file_state().st_mtime, 1000);
    assert_int_equal(compile(1, 1), 0);
    assert_true(file_state().st_mtime > 1000);
    assert_int_equal(file_state().st_ino, written.st_ino);
    assert_true(compile(2, 1) > 0);
    assert_int_not_equal(file_state().st_ino, written.st_ino);
}

static void test_damaged(void **state)
{
    char name[128];
    int once = compile(1, 1);
    assert_int_equal(files(name, sizeof name), 1);
    FILE *f = fopen(name, "r+b");
    assert_non_null(f);
    fseek(f, -3, SEEK_END);
    fputc(0x5a, f);
    fclose(f);
    assert_int_equal(compile(1, 1), once);
    assert_int_equal(compile(1, 1), 0);
}

static void test_off(void **state)
{
    no_tune = true;
    assert_int_equal(compile(1, 1), 0);
    assert_int_equal(files(NULL, 0), 0);
    no_tune = false;
    setenv("KERB_PLAN_CACHE", "off", 1);
    int once = compile(1, 1);
    assert_true(once >= 2);
    assert_int_equal(compile(1, 1), once); /* nothing was kept */
    assert_int_equal(files(NULL, 0), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = { TEST(test_comes_back), TEST(test_left_alone), TEST(test_damaged), TEST(test_off) };
    return cmocka_run_group_tests_name("tuning", tests, NULL, NULL);
}
