/* SPDX-License-Identifier: MIT */
/* Finding cuDNN: each place, and what is said where there is none, an old one, a broken one. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda/base/dnn.h"

/* Folders of libraries that fake_cudnn.c makes: FAKES/<kind>/libcudnn.so.9 */
static char folder[64];

static int make_folder(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/kerb-cudnn-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state)
{
    char command[PATH_MAX + 32];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void put(const char *what, const char *where)
{
    char from[PATH_MAX], to[2 * PATH_MAX];
    snprintf(to, sizeof to, "%s/%s", folder, where);
    for (char *at = strchr(to + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(to, 0700);
        *at = '/';
    }
    unlink(to);
    snprintf(from, sizeof from, FAKES "/%s/libcudnn.so.9", what);
    assert_int_equal(symlink(from, to), 0);
}

static KerbStatus try_open(const char *named, int driver, KerbCudnn *dnn, KerbError *error)
{
    if (named) setenv("KERB_CUDNN", named, 1);
    else unsetenv("KERB_CUDNN");
    KerbStatus status = kerb_cudnn_open(dnn, driver, error);
    unsetenv("KERB_CUDNN");
    return status;
}

static void expect_refused(const char *named, int driver, const char *words)
{
    KerbCudnn dnn;
    KerbError error = { 0 };
    assert_int_equal(try_open(named, driver, &dnn, &error), KERB_ERROR_BACKEND);
    if (!strstr(error.message, words)) fail_msg("not about '%s': %s", words, error.message);
    assert_non_null(strstr(error.message, "KERB_CUDNN"));
    assert_null(dnn.library);
    kerb_cudnn_close(&dnn);
}

static void test_named(void **state)
{
    KerbCudnn dnn;
    KerbError error = { 0 };
    char text[32];
    assert_int_equal(try_open(FAKES "/good/libcudnn.so.9", 0, &dnn, &error), KERB_OK);
    assert_int_equal(dnn.version, 90300);
    assert_int_equal(dnn.cuda, 12060);
    assert_string_equal(kerb_cudnn_version_text(&dnn, text, sizeof text), "9.3.0");
    kerb_cudnn_close(&dnn);
    assert_int_equal(try_open(FAKES "/good", 12060, &dnn, &error), KERB_OK); /* its folder */
    assert_string_equal(dnn.path, FAKES "/good/libcudnn.so.9");
    kerb_cudnn_close(&dnn);
    kerb_cudnn_close(&dnn); /* again: fine */
}

static void test_refused(void **state)
{
    char text[PATH_MAX + 16];
    expect_refused("/nowhere/libcudnn.so.9", 0, "does not load");
    expect_refused(folder, 0, "there is no libcudnn.so.9");
    expect_refused(FAKES "/old", 0, "is version 8.9.7, too old");
    expect_refused(FAKES "/future", 0, "is version 10.1: Kerb knows cuDNN 9 only");
    expect_refused(FAKES "/part", 0, "is damaged (it has no cudnnGetErrorString)");
    expect_refused(FAKES "/good", 11040, "is built with CUDA 12.6, the driver runs CUDA 11.4");
    snprintf(text, sizeof text, "%s/text", folder);
    FILE *f = fopen(text, "w");
    assert_non_null(f);
    fputs("not a library\n", f);
    fclose(f);
    expect_refused(text, 0, "does not load");
}

/* A driver of CUDA 1.0 runs no real cuDNN, so whatever else this machine has is passed over: only a library that does not say what it was built
 * with is taken. */
#define ANCIENT 1000

static void expect_found(const char *where)
{
    KerbCudnn dnn;
    KerbError error = { 0 };
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, where);
    if (try_open(NULL, ANCIENT, &dnn, &error) != KERB_OK) fail_msg("%s: %s", where, error.message);
    assert_string_equal(dnn.path, path);
    kerb_cudnn_close(&dnn);
    unlink(path);
}

static void test_places(void **state)
{
    char path[PATH_MAX], text[2 * PATH_MAX];
    KerbCudnn dnn;
    KerbError error = { 0 };
    static const char pip[] = "venv/lib/python3.12/site-packages/nvidia/cudnn/lib/libcudnn.so.9";
    static const char user[] = "home/.local/lib/python3.11/site-packages/nvidia/cudnn/lib/libcudnn.so.9";
    static const char toolkit[] = "toolkit/lib64/libcudnn.so.9";
    put("quiet", toolkit);
    snprintf(path, sizeof path, "%s/toolkit", folder);
    setenv("CUDA_HOME", path, 1);
    expect_found(toolkit);
    if (try_open(NULL, ANCIENT, &dnn, &error) == KERB_OK) fail_msg("%s fits a driver of CUDA 1.0?", dnn.path);
    assert_non_null(strstr(error.message, "no usable cuDNN 9 found"));
    snprintf(text, sizeof text, "%s/toolkit/lib64", folder); /* it says where it looked */
    if (!strstr(error.message, text)) fail_msg("%s is not in: %s", text, error.message);
    assert_non_null(strstr(error.message, "pip install nvidia-cudnn-cu1"));
    unsetenv("CUDA_HOME");

    put("quiet", pip);
    snprintf(path, sizeof path, "%s/venv", folder);
    setenv("VIRTUAL_ENV", path, 1);
    expect_found(pip);
    unsetenv("VIRTUAL_ENV");

    put("quiet", pip); /* the same environment, found by its python3 in PATH, which is a link to another */
    snprintf(path, sizeof path, "%s/venv/bin", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/venv/bin/python3", folder);
    assert_int_equal(symlink("/bin/sh", path), 0);
    snprintf(text, sizeof text, "relative:%s/venv/bin::%s", folder, getenv("PATH"));
    setenv("PATH", text, 1);
    expect_found(pip);

    put("quiet", user);
    snprintf(path, sizeof path, "%s/home", folder);
    setenv("HOME", path, 1);
    expect_found(user);
}

/* The first one is no good, a later one is: it is taken. */
static void test_goes_on(void **state)
{
    char path[PATH_MAX];
    static const char user[] = "home/.local/lib/python3.11/site-packages/nvidia/cudnn/lib/libcudnn.so.9";
    put("old", "toolkit/lib64/libcudnn.so.9");
    put("quiet", user);
    snprintf(path, sizeof path, "%s/toolkit", folder);
    setenv("CUDA_PATH", path, 1);
    snprintf(path, sizeof path, "%s/home", folder);
    setenv("HOME", path, 1);
    expect_found(user);
    unsetenv("CUDA_PATH");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_named, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_places, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_goes_on, make_folder, remove_folder),
    };
    unsetenv("VIRTUAL_ENV");
    unsetenv("CONDA_PREFIX");
    unsetenv("CUDA_HOME");
    unsetenv("CUDA_PATH");
    return cmocka_run_group_tests_name("cudnn", tests, NULL, NULL);
}
