/* SPDX-License-Identifier: MIT */
/* The model that is taken where none is named: KERB_MODEL's, the installation's, the build tree's, none. Copies of libkerb.so are put into trees of
 * their own, and asked. */
#include "kerb.h"

#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

/* A tree with a copy of libkerb in NAME/a/b/c: deep enough for the way to its models to stay inside. */
typedef struct Tree {
    char library[PATH_MAX], installed[PATH_MAX], built[PATH_MAX]; /* the copy; its two folders of models */
    void *handle;
    KerbStatus (*model_default)(char path[KERB_PATH_BYTES], KerbError *error);
} Tree;

static void run(const char *format, ...)
{
    char command[4 * PATH_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(command, sizeof command, format, args);
    va_end(args);
    assert_in_range(n, 1, sizeof command - 1);
    assert_int_equal(system(command), 0);
}

static Tree tree_new(const char *name)
{
    Tree t;
    const char *library = getenv("KERB_LIBRARY");
    assert_non_null(library);
    run("mkdir -p %s/a/b/c && cd %s/a/b/c && mkdir -p %s ../models && cp %s libkerb.so", name, name, KERB_MODELS_FROM_LIBRARY, library);
    char folder[128], at[256];
    snprintf(folder, sizeof folder, "%s/%s/a/b/c", run_folder, name);
    snprintf(t.library, sizeof t.library, "%s/libkerb.so", folder);
    snprintf(at, sizeof at, "%s/%s", folder, KERB_MODELS_FROM_LIBRARY);
    assert_non_null(realpath(at, t.installed));
    snprintf(at, sizeof at, "%s/../models", folder);
    assert_non_null(realpath(at, t.built));
    assert_string_not_equal(t.installed, t.built);
    t.handle = dlopen(t.library, RTLD_NOW | RTLD_LOCAL);
    if (!t.handle) fail_msg("%s", dlerror());
    *(void **)&t.model_default = dlsym(t.handle, "kerb_model_default");
    assert_non_null(t.model_default);
    return t;
}

static void put(const char *folder, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3900s/%s", folder, name);
    write_text(path, "a file is enough: it is not opened");
}

static void expect_found(const Tree *t, const char *folder, const char *name)
{
    char path[KERB_PATH_BYTES], expected[KERB_PATH_BYTES];
    KerbError error;
    snprintf(expected, sizeof expected, "%.3900s/%s", folder, name);
    if (t->model_default(path, &error) != KERB_OK) fail_msg("%s", error.message);
    assert_string_equal(path, expected);
    assert_int_equal(error.status, KERB_OK);
    assert_int_equal(t->model_default(path, NULL), KERB_OK);
}

/* Words are separated by '|'; all must be in the message. */
static void expect_refused(const Tree *t, const char *words)
{
    char path[KERB_PATH_BYTES] = "x", list[8192];
    KerbError error;
    assert_int_equal(t->model_default(path, &error), KERB_ERROR_ASSET);
    assert_string_equal(path, "");
    snprintf(list, sizeof list, "%s", words);
    for (char *save, *word = strtok_r(list, "|", &save); word; word = strtok_r(NULL, "|", &save))
        if (!strstr(error.message, word)) fail_msg("\"%s\" does not say \"%s\"", error.message, word);
    assert_int_equal(t->model_default(path, NULL), KERB_ERROR_ASSET);
}

static void test_installed(void **state)
{
    Tree t = tree_new("installed");
    put(t.built, "drive.onnx");
    put(t.installed, "other.onnx");
    put(t.installed, "drive-free.onnx");
    expect_found(&t, t.installed, "drive-free.onnx");
    put(t.installed, "drive.onnx");
    expect_found(&t, t.installed, "drive.onnx");
    run("rm %s/drive.onnx && mkdir %s/drive.onnx", t.installed, t.installed); /* a folder is no model */
    expect_found(&t, t.installed, "drive-free.onnx");
    /* A link is followed, but called by its own name: the card lies beside it. */
    run("rmdir %s/drive.onnx && echo model >elsewhere.onnx && ln -s %s/elsewhere.onnx %s/drive.onnx", t.installed, run_folder, t.installed);
    expect_found(&t, t.installed, "drive.onnx");
    run("rm elsewhere.onnx");
    expect_found(&t, t.installed, "drive-free.onnx");
    dlclose(t.handle);
}

static void test_built(void **state)
{
    Tree t = tree_new("built");
    put(t.built, "drive-free.onnx");
    expect_found(&t, t.built, "drive-free.onnx");
    put(t.built, "drive.onnx");
    expect_found(&t, t.built, "drive.onnx");
    run("rmdir %s", t.installed); /* as in a real build tree */
    expect_found(&t, t.built, "drive.onnx");
    /* The folder as a link, as CMake makes it: named by where it leads. */
    run("mv %s sources && ln -s %s/sources %s", t.built, run_folder, t.built);
    char sources[PATH_MAX];
    assert_non_null(realpath("sources", sources));
    expect_found(&t, sources, "drive.onnx");
    dlclose(t.handle);
}

static void test_none(void **state)
{
    Tree t = tree_new("none");
    put(t.installed, "other.onnx");
    char words[1024];
    snprintf(words, sizeof words, "%s/none/a/b/c|drive.onnx|drive-free.onnx|%s|../models|--model|model-file|KERB_MODEL", run_folder, KERB_MODELS_FROM_LIBRARY);
    expect_refused(&t, words);
    run("rm -r %s %s", t.installed, t.built);
    expect_refused(&t, words);
    KerbError error;
    assert_int_equal(t.model_default(NULL, &error), KERB_ERROR_ARGUMENT);
    dlclose(t.handle);
}

static void test_environment(void **state)
{
    Tree t = tree_new("environment");
    put(t.installed, "drive.onnx");
    put(".", "mine.onnx");
    setenv("KERB_MODEL", "mine.onnx", 1);
    char path[KERB_PATH_BYTES];
    assert_int_equal(t.model_default(path, NULL), KERB_OK);
    assert_string_equal(path, "mine.onnx");
    /* What it names wrongly is said; nothing else is taken in its place. */
    setenv("KERB_MODEL", "/nowhere/mine.onnx", 1);
    expect_refused(&t, "KERB_MODEL|/nowhere/mine.onnx|No such file");
    char *longest = calloc(1, 3 * KERB_PATH_BYTES);
    memset(longest, 'x', 3 * KERB_PATH_BYTES - 1);
    setenv("KERB_MODEL", longest, 1);
    expect_refused(&t, "KERB_MODEL");
    free(longest);
    setenv("KERB_MODEL", "", 1);
    expect_found(&t, t.installed, "drive.onnx");
    unsetenv("KERB_MODEL");
    expect_found(&t, t.installed, "drive.onnx");
    dlclose(t.handle);
}

/* The build that this test belongs to: what a user of a build tree gets. */
static void test_own_tree(void **state)
{
    char path[KERB_PATH_BYTES], source[PATH_MAX];
    KerbError error;
    if (kerb_model_default(path, &error) != KERB_OK) fail_msg("%s", error.message);
    const char *given = getenv("KERB_SOURCE");
    assert_non_null(given);
    assert_non_null(realpath(given, source));
    assert_memory_equal(path, source, strlen(source));
    assert_non_null(strstr(path + strlen(source), "/models/drive"));
    assert_int_equal(access(path, R_OK), 0);
}

typedef struct Written {
    char text[65536];
    size_t bytes;
} Written;

static bool keep(void *user, const char *text, size_t bytes)
{
    Written *w = user;
    if (w->bytes + bytes >= sizeof w->text) return false;
    memcpy(w->text + w->bytes, text, bytes);
    w->bytes += bytes;
    return true;
}

static char said[4096];

static void keep_log(void *user, KerbLogLevel level, const char *line)
{
    size_t n = strlen(said);
    if (level == KERB_LOG_INFO) snprintf(said + n, sizeof said - n, "%s\n", line);
}

/* NULL and "" are the same: open and inspect take the default model, with the card beside it, and say in the log which it is. */
static void test_open_and_inspect(void **state)
{
    write_model("wished.onnx", &(TestModel){ .width = 32, .height = 16 });
    write_text("wished.json", "{\"classes\": [{\"name\": \"meadow\"}, {\"name\": \"brook\"}]}");
    setenv("KERB_MODEL", "wished.onnx", 1);
    kerb_set_log(keep_log, NULL, KERB_LOG_INFO);
    for (int i = 0; i < 2; i++) {
        KerbConfig config;
        kerb_config_init(&config);
        config.backend = "ref";
        assert_null(config.model_file);
        if (i) config.model_file = "";
        said[0] = '\0';
        KerbPipeline *k;
        KerbError error;
        if (kerb_open(&k, &config, &error) != KERB_OK) fail_msg("%s", error.message);
        int n;
        assert_string_equal(kerb_classes(k, &n)[1].name, "brook");
        kerb_close(&k);
        assert_non_null(strstr(said, "wished.onnx"));
        Written w = { 0 };
        if (kerb_inspect(&config, KERB_INSPECT_JSON, keep, &w, &error) != KERB_OK) fail_msg("%s", error.message);
        assert_non_null(strstr(w.text, "\"wished.onnx\""));
        assert_non_null(strstr(w.text, "\"meadow\""));
    }
    kerb_set_log(NULL, NULL, KERB_LOG_WARNING);
    setenv("KERB_MODEL", "missing.onnx", 1);
    KerbConfig config;
    kerb_config_init(&config);
    KerbPipeline *k = (void *)1;
    KerbError error;
    assert_int_equal(kerb_open(&k, &config, &error), KERB_ERROR_ASSET);
    assert_null(k);
    assert_non_null(strstr(error.message, "missing.onnx"));
    Written w = { 0 };
    assert_int_equal(kerb_inspect(&config, 0, keep, &w, &error), KERB_ERROR_ASSET);
    assert_int_equal(w.bytes, 0);
    config.model_file = "wished.onnx"; /* a named model is taken whatever the environment says */
    assert_int_equal(kerb_open(&k, &config, &error), KERB_OK);
    kerb_close(&k);
}

static int without_wish(void **state)
{
    return unsetenv("KERB_MODEL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_installed, without_wish),   cmocka_unit_test_setup(test_built, without_wish),
        cmocka_unit_test_setup(test_none, without_wish),        cmocka_unit_test_setup(test_environment, without_wish),
        cmocka_unit_test_setup(test_own_tree, without_wish),    cmocka_unit_test_setup(test_open_and_inspect, without_wish),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
