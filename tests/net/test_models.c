/* SPDX-License-Identifier: MIT */
/* Every ONNX backend case of KERB_DATA that imports: inferred shapes and types equal those of the expected outputs, and optimising keeps them.
 * Inputs that are parameters (not float pictures) are bound as constants, as kerb-conformance does. */
#include "net_fixture.h"

#include <glob.h>

#include "net/onnx/onnx.h"

static int n_models, n_lacking, n_wrong;

static bool data_file(const char *folder, const char *kind, int i, KerbArena *arena, KerbTensor *t)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", folder, kind, i);
    return kerb_onnx_read_tensor(path, arena, t, NULL) == KERB_OK;
}

static bool bind_inputs(KerbGraph *g, const char *folder, KerbArena *arena, KerbError *error)
{
    uint32_t ids[32];
    int n = g->n_inputs;
    if (n > 32) return false;
    memcpy(ids, g->inputs, (size_t)n * sizeof *ids);
    for (int i = 0; i < n; i++) {
        KerbTensor t;
        if (!data_file(folder, "input", i, arena, &t)) continue; /* an optional input that the case leaves out */
        if (g->values[ids[i]].dtype == KERB_BF16 && t.dtype == KERB_U16) t.dtype = KERB_BF16; /* older cases store bf16 as its bits */
        bool parameter = !kerb_dtype_is_float(t.dtype) || t.rank < 2;
        KerbStatus status = parameter ? kerb_graph_bind_constant(g, ids[i], &t, error) : kerb_graph_bind_input(g, ids[i], t.rank, t.dims, error);
        if (status != KERB_OK) return false;
    }
    return true;
}

static bool expect_outputs(const KerbGraph *g, const char *folder, KerbArena *arena, const char *when)
{
    bool right = true;
    for (int i = 0; i < g->n_outputs; i++) {
        const KerbValue *v = &g->values[g->outputs[i]];
        char got[160], want[160];
        KerbTensor t, shape = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
        if (!data_file(folder, "output", i, arena, &t)) continue;
        bool same_type = t.dtype == v->dtype || (v->dtype == KERB_BF16 && t.dtype == KERB_U16);
        if (kerb_tensor_same_shape(&t, &shape) && same_type) continue;
        print_error("%s, output %d %s: %s %s, expected %s %s\n", folder, i, when, kerb_dtype_name(v->dtype), kerb_dims_text(v->rank, v->dims, got, sizeof got),
                    kerb_dtype_name(t.dtype), kerb_dims_text(t.rank, t.dims, want, sizeof want));
        right = false;
    }
    return right;
}

static void try_case(const char *folder)
{
    char path[1024];
    KerbOnnx *onnx = NULL;
    KerbGraph *g = NULL;
    KerbError error = { 0 };
    KerbArena *arena = kerb_arena_new(0);
    KerbOptimizeOptions options = { .keep_head = true };
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (kerb_onnx_open(&onnx, path, &error) != KERB_OK || kerb_onnx_import(onnx, &g, &error) != KERB_OK) {
        n_lacking++;
    } else {
        bool right = bind_inputs(g, folder, arena, &error) && kerb_graph_infer(g, &error) == KERB_OK;
        if (!right && error.status == KERB_ERROR_UNSUPPORTED) {
            n_lacking++;
            print_message("%s: %s\n", folder, error.message);
        } else {
            n_models++;
            right = right && expect_outputs(g, folder, arena, "inferred") && kerb_graph_optimize(g, &options, &error) == KERB_OK;
            if (!right) print_error("%s: %s\n", folder, error.message);
            right = right && expect_outputs(g, folder, arena, "optimised");
            n_wrong += !right;
        }
    }
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    kerb_arena_free(&arena);
}

static void test_cases(void **state)
{
    static const char *const kinds[] = { "node", "pytorch-converted", "pytorch-operator", "simple" };
    for (int k = 0; k < 4; k++) {
        char pattern[1024];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s/onnx_backend_*/%s/test_*", (const char *)*state, kinds[k]);
        if (glob(pattern, 0, NULL, &found) != 0) continue;
        for (size_t i = 0; i < found.gl_pathc; i++) try_case(found.gl_pathv[i]);
        globfree(&found);
    }
    print_message("%d models, %d beyond Kerb, %d wrong\n", n_models, n_lacking, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_models >= 600); /* what this test is worth; 686 at the time of writing */
}

int main(void)
{
    const char *data = getenv("KERB_DATA");
    glob_t found;
    char pattern[1024];
    snprintf(pattern, sizeof pattern, "%s/onnx_backend_*", data ? data : "");
    if (!data || glob(pattern, 0, NULL, &found) != 0) {
        print_message("skipped: KERB_DATA names no folder with onnx_backend_*\n");
        return 77;
    }
    globfree(&found);
    const struct CMUnitTest tests[] = { cmocka_unit_test_prestate(test_cases, (void *)(uintptr_t)data) };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
