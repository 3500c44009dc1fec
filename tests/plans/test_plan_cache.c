/* SPDX-License-Identifier: MIT */
/* Plans on disk: they come back; files that are damaged, cut, foreign, or not to be trusted are as good as none; a folder that cannot be written is no error. */
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda/net/plans.h"
#include "cuda/standin/clean.h"

static char folder[64], path[128];

static int make_folder(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/kerb-plans-XXXXXX");
    setenv("KERB_CUDNN", STANDIN, 1);
    kerb_standin_configure("");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/cache", folder);
    return setenv("KERB_PLAN_CACHE", path, 1);
}
static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) || kerb_standin_is_clean(state);
}

static KerbConvProblem problem(int k)
{
    KerbConvProblem p;
    memset(&p, 0, sizeof p);
    p.x_type = p.w_type = p.y_type = KERB_F16;
    p.c = 8;
    p.h = p.out_h = 4;
    p.w = p.out_w = 4;
    p.k = k;
    p.kernel[0] = p.kernel[1] = p.stride[0] = p.stride[1] = p.dilation[0] = p.dilation[1] = p.group = 1;
    p.x_row = 32;
    p.x_pixel = 8;
    p.y_row = 4 * k;
    p.y_pixel = k;
    p.has_bias = 1;
    p.y_scale = p.z_scale = 1;
    return p;
}

static KerbPlans *open_plans(uint64_t graph)
{
    KerbPlans *plans = NULL;
    KerbError error = { 0 };
    KerbPlansOptions options = { .graph_hash = graph, .cache = true };
    if (kerb_cuda_device(0, &options.device, &error) != KERB_OK || kerb_plans_new(&plans, &options, &error) != KERB_OK) fail_msg("%s", error.message);
    return plans;
}

/* Plans for k = 8, 16, ... 8 * n: how many come from the cache. */
static int ask(uint64_t graph, int n, bool save)
{
    KerbPlans *plans = open_plans(graph);
    int cached = 0;
    for (int i = 1; i <= n; i++) {
        KerbConvProblem p = problem(8 * i);
        KerbConvPlan *plan = NULL;
        KerbError error = { 0 };
        if (kerb_plans_get(plans, &p, &plan, NULL, 0, &error) != KERB_OK) fail_msg("%s", error.message);
        assert_non_null(plan);
        cached += strstr(kerb_plan_text(plan), "from cache") != NULL;
    }
    if (save) kerb_plans_save(plans);
    kerb_plans_free(&plans);
    return cached;
}
static int use(uint64_t graph, int n) { return ask(graph, n, true); }

static int files(char *first, size_t bytes)
{
    char pattern[160];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*", path);
    if (glob(pattern, 0, NULL, &found)) return 0;
    int n = (int)found.gl_pathc;
    if (first) snprintf(first, bytes, "%s", found.gl_pathv[0]);
    globfree(&found);
    return n;
}

static uint8_t *read_file(const char *name, size_t *bytes)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*bytes);
    assert_int_equal(fread(data, 1, *bytes, f), *bytes);
    fclose(f);
    return data;
}
static void write_file(const char *name, const void *data, size_t bytes)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
    chmod(name, 0600);
}

static void test_comes_back(void **state)
{
    assert_int_equal(use(1, 3), 0);
    assert_int_equal(files(NULL, 0), 1); /* and no temporary one */
    assert_int_equal(use(1, 3), 3);
    assert_int_equal(use(1, 5), 3); /* two more are added */
    assert_int_equal(use(1, 5), 5);
    assert_int_equal(use(2, 2), 0); /* another graph: another file */
    assert_int_equal(files(NULL, 0), 2);
    kerb_standin_configure("sm=87"); /* another device */
    assert_int_equal(use(1, 2), 0);
    kerb_standin_configure("dnn=91000"); /* another cuDNN */
    assert_int_equal(use(1, 2), 0);
    kerb_standin_configure("driver=13010");
    assert_int_equal(use(1, 2), 0);
    kerb_standin_configure("");
    assert_int_equal(use(1, 5), 5);
}

/* What comes back runs: same plan, same workspace. */
static void test_same_plan(void **state)
{
    for (int i = 0; i < 2; i++) {
        KerbPlans *plans = open_plans(1);
        KerbConvProblem p = problem(16);
        KerbConvPlan *plan = NULL;
        static int64_t engine;
        static size_t workspace;
        assert_int_equal(kerb_plans_get(plans, &p, &plan, NULL, 0, NULL), KERB_OK);
        assert_int_equal(plan->from_cache, i);
        if (i) assert_true(plan->engine == engine && kerb_plan_workspace(plan) == workspace && !kerb_plan_left(plan));
        engine = plan->engine;
        workspace = kerb_plan_workspace(plan);
        kerb_plans_save(plans);
        kerb_plans_free(&plans);
    }
}

/* k = 16 as the stand-in's `words` let it be; `also`: a plan that is fused is there too. */
static KerbConvPlan *under(KerbPlans **plans, uint64_t graph, const char *words, bool also)
{
    KerbConvPlan *plan = NULL;
    kerb_standin_configure("");
    *plans = open_plans(graph);
    KerbConvProblem p = problem(8);
    if (also) assert_int_equal(kerb_plans_get(*plans, &p, &plan, NULL, 0, NULL), KERB_OK);
    kerb_standin_configure(words);
    p = problem(16);
    assert_int_equal(kerb_plans_get(*plans, &p, &plan, NULL, 0, NULL), KERB_OK);
    kerb_plans_save(*plans);
    return plan;
}

/* Also that there is none, and that the epilogue is left, are remembered: unless nothing was to be had, which may be better next time. */
static void test_what_cannot_be(void **state)
{
    KerbPlans *plans;
    for (int i = 0; i < 2; i++) {
        KerbConvPlan *plan = under(&plans, 1, i ? "" : "nofuse", true);
        assert_non_null(plan);
        assert_non_null(kerb_plan_left(plan));
        kerb_plans_free(&plans);
        assert_null(under(&plans, 2, i ? "" : "nodnn", true));
        kerb_plans_free(&plans);
        plan = under(&plans, 3, i ? "" : "nofuse", false);
        assert_non_null(plan);
        assert_int_equal(kerb_plan_left(plan) == NULL, i);
        kerb_plans_free(&plans);
        assert_int_equal(under(&plans, 4, i ? "" : "nodnn", false) != NULL, i);
        kerb_plans_free(&plans);
    }
}

/* Cut anywhere: what is whole is used, nothing else; and the next start has all again. */
static void test_cut(void **state)
{
    char name[256];
    size_t bytes;
    use(1, 2);
    assert_int_equal(files(name, sizeof name), 1);
    uint8_t *data = read_file(name, &bytes);
    int by_count[3] = { 0 };
    for (size_t n = 0; n < bytes; n += n < 400 ? 1 : 37) {
        write_file(name, data, n);
        int cached = ask(1, 2, false);
        assert_in_range(cached, 0, 1);
        by_count[cached]++;
    }
    assert_true(by_count[0] > 0 && by_count[1] > 0);
    assert_int_equal(use(1, 2), 1);
    assert_int_equal(use(1, 2), 2);
    free(data);
}

/* Any byte wrong: never a crash, never a plan from a damaged entry. */
static void test_damaged(void **state)
{
    char name[256];
    size_t bytes;
    use(1, 2);
    assert_int_equal(files(name, sizeof name), 1);
    uint8_t *data = read_file(name, &bytes);
    for (size_t at = 0; at < bytes; at += at < 500 ? 1 : 41) {
        data[at] ^= (uint8_t)(1u << at % 8);
        write_file(name, data, bytes);
        data[at] ^= (uint8_t)(1u << at % 8);
        assert_in_range(ask(1, 2, false), 0, 1);
    }
    memset(data + bytes / 2, 0xff, bytes - bytes / 2);
    write_file(name, data, bytes);
    assert_in_range(ask(1, 2, false), 0, 1);
    memset(data, 0xff, bytes);
    write_file(name, data, bytes);
    assert_int_equal(ask(1, 2, false), 0);
    free(data);
}

/* Sound by its check sum, but cuDNN refuses it: it is made anew, and replaced. */
static void test_refused_by_cudnn(void **state)
{
    KerbPlans *plans = open_plans(1);
    KerbConvProblem p = problem(8);
    kerb_plan_cache_add(plans->cache, &(KerbPlanEntry){ .problem = p, .json = "{\"no\": \"plan\"}", .json_bytes = 14 });
    assert_true(kerb_cache_save(plans->cache));
    kerb_plans_free(&plans);
    assert_int_equal(use(1, 1), 0);
    assert_int_equal(use(1, 1), 1);
}

/* Links, pipes, folders, files that others can write to. */
static void test_not_to_be_trusted(void **state)
{
    char name[256], other[300];
    use(1, 2);
    assert_int_equal(files(name, sizeof name), 1);
    chmod(name, 0620);
    assert_int_equal(use(1, 2), 0);
    assert_int_equal(use(1, 2), 2); /* it has been replaced by one of our own */
    snprintf(other, sizeof other, "%s/elsewhere", folder);
    assert_int_equal(rename(name, other), 0);
    assert_int_equal(symlink(other, name), 0);
    assert_int_equal(use(1, 2), 0);
    unlink(name);
    assert_int_equal(mkfifo(name, 0600), 0);
    assert_int_equal(use(1, 2), 0); /* does not wait for a writer */
    unlink(name);
    assert_int_equal(mkdir(name, 0700), 0);
    assert_int_equal(use(1, 2), 0);
    assert_int_equal(use(1, 2), 0); /* cannot be replaced: no error */
    assert_int_equal(files(NULL, 0), 1);
}

static void test_nowhere(void **state)
{
    setenv("KERB_PLAN_CACHE", "/dev/null/kerb", 1);
    assert_int_equal(use(1, 1), 0);
    assert_int_equal(use(1, 1), 0);
    setenv("KERB_PLAN_CACHE", "off", 1);
    assert_int_equal(use(1, 1), 0);
    setenv("KERB_PLAN_CACHE", "", 1);
    assert_int_equal(use(1, 1), 0);
    unsetenv("KERB_PLAN_CACHE");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(use(1, 1), 0);
    assert_int_equal(use(1, 1), 0);
    setenv("HOME", folder, 1);
    assert_int_equal(use(1, 1), 0);
    assert_int_equal(use(1, 1), 1);
    snprintf(path, sizeof path, "%s/.cache/kerb", folder);
    assert_int_equal(files(NULL, 0), 1);
    char xdg[80];
    snprintf(xdg, sizeof xdg, "%s/xdg/deep", folder);
    setenv("XDG_CACHE_HOME", xdg, 1);
    assert_int_equal(use(1, 1), 0);
    assert_int_equal(use(1, 1), 1);
}

/* The folder is bounded: the files that were used least lately go. (Sparse ones: no disk is filled.) */
static void test_bounded(void **state)
{
    char name[200];
    use(1, 1);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "%s/%016x.plans", path, i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        assert_int_equal(ftruncate(fd, (off_t)120 << 20), 0);
        struct timespec old[2] = { { 1000 + i, 0 }, { 1000 + i, 0 } };
        assert_int_equal(futimens(fd, old), 0);
        close(fd);
    }
    snprintf(name, sizeof name, "%s/notes.txt", path); /* not ours */
    write_file(name, "x", 1);
    use(2, 1);
    assert_int_equal(files(NULL, 0), 2 + 4 + 1); /* two of the six had to go */
    snprintf(name, sizeof name, "%s/%016x.plans", path, 0);
    assert_int_not_equal(access(name, F_OK), 0);
    snprintf(name, sizeof name, "%s/%016x.plans", path, 2);
    assert_int_equal(access(name, F_OK), 0);
    assert_int_equal(use(1, 1), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_comes_back),       TEST(test_same_plan),         TEST(test_what_cannot_be), TEST(test_cut),     TEST(test_damaged),
        TEST(test_refused_by_cudnn), TEST(test_not_to_be_trusted), TEST(test_nowhere),        TEST(test_bounded),
    };
    return cmocka_run_group_tests_name("plan cache", tests, NULL, NULL);
}
