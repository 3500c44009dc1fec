/* SPDX-License-Identifier: MIT */
/* Real models: ONNX's own conformance cases and TwinLiteNet, where KERB_DATA has them. Prints what is unsupported, by operator. */
#include "net/onnx/onnx.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *data_folder;

static bool glob_models(const char *pattern, glob_t *found)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", data_folder, pattern);
    return glob(path, 0, NULL, found) == 0;
}

/* Lists, with counts, sorted by first appearance. */
static struct {
    char text[200];
    int n;
} lacks[200];
static int n_lacks;

static void count_lack(const char *text)
{
    int i = 0;
    while (i < n_lacks && strcmp(lacks[i].text, text) != 0) i++;
    if (i == 200) return;
    if (i == n_lacks) snprintf(lacks[n_lacks++].text, sizeof lacks[0].text, "%s", text);
    lacks[i].n++;
}

/* Every model of the conformance suite imports, or says what it lacks, and the file indeed says that word. */
static void test_conformance_models(void **state)
{
    glob_t models;
    int imported = 0, unsupported = 0;
    if (!glob_models("onnx_backend_v1.16.0/*/*/model.onnx", &models)) skip();
    for (size_t i = 0; i < models.gl_pathc; i++) {
        KerbOnnx *onnx;
        KerbGraph *g;
        KerbError error = { 0 };
        const char *path = models.gl_pathv[i];
        if (kerb_onnx_open(&onnx, path, &error) != KERB_OK) fail_msg("%s: %s", path, error.message);
        KerbStatus status = kerb_onnx_import(onnx, &g, &error);
        char text[200];
        int n = kerb_onnx_unsupported(onnx, text, sizeof text);
        assert_int_equal(n > 0, status == KERB_ERROR_UNSUPPORTED);
        if (status == KERB_OK) {
            imported++;
            assert_true(g->n_outputs > 0);
        } else if (status == KERB_ERROR_UNSUPPORTED) {
            unsupported++;
            count_lack(text);
        } else {
            fail_msg("%s: %s", path, error.message);
        }
        kerb_graph_free(&g);
        kerb_onnx_close(&onnx);
    }
    printf("%d models import, %d do not:\n", imported, unsupported);
    for (int i = 0; i < n_lacks; i++) printf("  %3d %s\n", lacks[i].n, lacks[i].text);
    assert_int_equal(imported + unsupported, (int)models.gl_pathc);
    assert_true(imported >= 450); /* what Kerb promises to run: 350 node cases, 75 converted, 25 operator ones */
    globfree(&models);
}

/* Where the model is one Constant, the case's expected output must be what was imported: written by somebody else, read by two ways of
 * ours. */
static void test_constants_against_their_outputs(void **state)
{
    char path[1024];
    KerbOnnx *onnx;
    KerbGraph *g;
    KerbTensor expect;
    KerbError error = { 0 };
    KerbArena *arena = kerb_arena_new(0);
    snprintf(path, sizeof path, "%s/onnx_backend_v1.16.0/node/test_constant/model.onnx", data_folder);
    if (access(path, R_OK) != 0) skip();
    assert_int_equal(kerb_onnx_open(&onnx, path, &error), KERB_OK);
    assert_int_equal(kerb_onnx_import(onnx, &g, &error), KERB_OK);
    snprintf(path, sizeof path, "%s/onnx_backend_v1.16.0/node/test_constant/test_data_set_0/output_0.pb", data_folder);
    assert_int_equal(kerb_onnx_read_tensor(path, arena, &expect, &error), KERB_OK);
    assert_int_equal(g->n_nodes, 0);
    KerbTensor got = kerb_value_tensor(&g->values[g->outputs[0]]);
    assert_true(kerb_tensor_same_shape(&got, &expect));
    assert_int_equal(got.dtype, expect.dtype);
    assert_true(kerb_tensor_elements(&got) > 1);
    for (int64_t i = 0; i < kerb_tensor_elements(&got); i++) assert_true(kerb_tensor_get(&got, i) == kerb_tensor_get(&expect, i));
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    kerb_arena_free(&arena);
}

/* Every tensor file of the suite is read, or is of a kind that Kerb lacks. */
static void test_tensor_files(void **state)
{
    glob_t files;
    int read = 0, lacking = 0;
    if (!glob_models("onnx_backend_v1.16.0/*/*/*/*.pb", &files)) skip();
    for (size_t i = 0; i < files.gl_pathc; i++) {
        KerbArena *arena = kerb_arena_new(0);
        KerbTensor t;
        KerbError error = { 0 };
        KerbStatus status = kerb_onnx_read_tensor(files.gl_pathv[i], arena, &t, &error);
        read += status == KERB_OK;
        lacking += status == KERB_ERROR_UNSUPPORTED;
        /* Sequences and optionals are other messages: they may also look like a damaged tensor. */
        bool other = strstr(files.gl_pathv[i], "sequence") || strstr(files.gl_pathv[i], "_opt") || strstr(files.gl_pathv[i], "loop");
        if (status != KERB_OK && status != KERB_ERROR_UNSUPPORTED && !other) fail_msg("%s: %s", files.gl_pathv[i], error.message);
        kerb_arena_free(&arena);
    }
    printf("%d tensor files read, %d of kinds that Kerb lacks, %zu in all\n", read, lacking, files.gl_pathc);
    assert_true(read > (int)files.gl_pathc * 9 / 10);
    globfree(&files);
}

static void test_twinlitenet(void **state)
{
    char path[1024];
    KerbOnnx *onnx;
    KerbGraph *g;
    KerbError error = { 0 };
    snprintf(path, sizeof path, "%s/models/twinlitenet_360x640.onnx", data_folder);
    if (access(path, R_OK) != 0) skip();
    assert_int_equal(kerb_onnx_open(&onnx, path, &error), KERB_OK);
    assert_int_equal(kerb_onnx_import(onnx, &g, &error), KERB_OK);
    const int64_t size[] = { 1, 3, 360, 640 };
    assert_int_equal(g->n_inputs, 1);
    assert_int_equal(g->n_outputs, 2); /* drivable area, lanes */
    assert_int_equal(g->opset, 12);
    const KerbValue *x = &g->values[g->inputs[0]];
    assert_int_equal(x->rank, 4);
    assert_memory_equal(x->dims, size, sizeof size);
    /* Every node after what it reads. */
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_inputs; k++) {
            const KerbValue *v = kerb_node_input(g, &g->nodes[i], k);
            assert_true(!v || v->producer == KERB_NO_NODE || v->producer < (uint32_t)i);
        }
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conformance_models),
        cmocka_unit_test(test_constants_against_their_outputs),
        cmocka_unit_test(test_tensor_files),
        cmocka_unit_test(test_twinlitenet),
    };
    data_folder = getenv("KERB_DATA");
    if (!data_folder || access(data_folder, R_OK) != 0) {
        puts("skipped: KERB_DATA does not name a folder with test data");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
