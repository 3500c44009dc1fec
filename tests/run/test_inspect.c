/* SPDX-License-Identifier: MIT */
/* kerb_inspect(): what the text and the JSON say of models whose figures are known, and of models that cannot be run. */
#include "base/memory.h"
#include "kerb.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

static bool collect(void *user, const char *text, size_t bytes)
{
    kerb_text_append(user, "%.*s", (int)bytes, text);
    return true;
}

static bool stop(void *user, const char *text, size_t bytes)
{
    ++*(int *)user;
    return false;
}

static KerbConfig plain(void)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = "ref";
    return config;
}

static void test_json(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 5 });
    write_text("net.json", "{\"name\": \"five\", \"accuracy\": {\"mIoU\": 0.5}, \"speed\": {\"whole path, ms\": 12.5}, \"licence\": \"MIT\"}");
    KerbConfig config = plain();
    KerbText text = { 0 };
    KerbError error;
    unsigned flags = KERB_INSPECT_JSON | KERB_INSPECT_LAYERS | KERB_INSPECT_PASSES;
    if (kerb_inspect(&config, flags, collect, &text, &error) != KERB_OK) fail_msg("%s", error.message);
    json_error_t where;
    json_t *root = json_loads(text.text, 0, &where);
    if (!root) fail_msg("%s", where.text);
    const char *name, *layout, *kind;
    int opset, channels, width, classes, convs;
    double gflop, miou, ms;
    json_int_t arena, sum;
    assert_int_equal(json_unpack(root, "{s:s, s:i, s:{s:s, s:i}, s:[{s:s, s:i}], s:{s:i}, s:F, s:I, s:I, s:{s:F}, s:{s:F}}", "name", &name, "opset",
                                 &opset, "input", "layout", &layout, "width", &width, "outputs", "kind", &kind, "channels", &channels,
                                 "operators", "Conv", &convs, "gflop", &gflop, "arena_bytes", &arena, "sum_bytes", &sum, "accuracy", "mIoU",
                                 &miou, "speed", "whole path, ms", &ms),
                     0);
    assert_string_equal(name, "five");
    assert_string_equal(layout, "NCHW");
    assert_string_equal(kind, "scores");
    assert_int_equal(opset, 13);
    assert_int_equal(width, 64);
    assert_int_equal(channels, 5);
    assert_int_equal(convs, 1);
    assert_true(miou == 0.5 && ms == 12.5);
    /* a 1x1 convolution 3 -> 5: two operations a weight and pixel; a bias is an addition that may be counted */
    double multiply_adds = 2.0 * 64 * 32 * 3 * 5 / 1e9, bias = 64 * 32 * 5 / 1e9;
    assert_true(gflop >= multiply_adds - 1e-9 && gflop <= multiply_adds + bias + 1e-9);
    assert_true(arena >= 64 * 32 * 8 * 4 && arena <= sum + 128);
    classes = (int)json_array_size(json_object_get(root, "classes"));
    assert_int_equal(classes, 5);
    assert_int_equal(json_array_size(json_object_get(root, "layers")), 1);
    assert_true(json_is_array(json_object_get(root, "passes")));
    json_decref(root);
    kerb_text_free(&text);
    unlink("net.json");
}

static void test_text(void **state)
{
    write_model("net.onnx", &(TestModel){ .nhwc = true, .type = ONNX_U8 });
    KerbConfig config = plain();
    KerbText text = { 0 };
    KerbError error;
    if (kerb_inspect(&config, KERB_INSPECT_LAYERS, collect, &text, &error) != KERB_OK) fail_msg("%s", error.message);
    static const char *const words[] = {"net.onnx",       "opset 13",
                                        "by kerb-tests",  "card         none",
                                        "assumed",        "NHWC, u8, RGB",
                                        "1x?x?x3",        "scores",
                                        "background",     "free: as for frames of 1280 x 720",
                                        "1024 x 576",     "ref",
                                        "runs all of it", "Conv"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strstr(text.text, words[i])) fail_msg("\"%s\" is not in\n%s", words[i], text.text);
    kerb_text_free(&text);
    int calls = 0;
    assert_int_equal(kerb_inspect(&config, 0, stop, &calls, &error), KERB_OK);
    assert_int_equal(calls, 1);
}

/* --plan: what each step takes; all operations are some step's; the whole takes no less than its steps. */
static void test_plan(void **state)
{
    static const char *const backends[] = { "ref", "cpu" };
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 5 });
    for (int i = 0; i < 2; i++) {
        KerbConfig config = plain();
        config.backend = backends[i];
        config.threads = 1;
        KerbText text = { 0 };
        KerbError error;
        if (kerb_inspect(&config, KERB_INSPECT_JSON | KERB_INSPECT_PLAN, collect, &text, &error) != KERB_OK) fail_msg("%s", error.message);
        json_t *root = json_loads(text.text, 0, NULL), *steps, *step;
        const char *backend;
        int threads, runs;
        double ms, peak, gflop, all = 0, sum = 0;
        size_t at;
        assert_int_equal(json_unpack(root, "{s:F, s:{s:s, s:i, s:i, s:F, s:F, s:o}}", "gflop", &gflop, "plan", "backend", &backend, "threads", &threads, "runs", &runs, "ms", &ms,
                                     "peak_gflop_s", &peak, "steps", &steps),
                         0);
        json_array_foreach(steps, at, step) {
            sum += json_real_value(json_object_get(step, "ms"));
            all += json_real_value(json_object_get(step, "gflop"));
            assert_true(json_string_length(json_object_get(step, "step")) > 0);
        }
        assert_true(at >= 1 && sum <= ms * 1.001 && ms > 0 && threads == 1 && runs >= 5);
        assert_non_null(strstr(backend, backends[i]));
        if (i) assert_true(peak > 0 && all <= gflop * 1.001 && all >= gflop * 0.999);
        json_decref(root);
        kerb_text_free(&text);
        if (kerb_inspect(&config, KERB_INSPECT_PLAN, collect, &text, &error) != KERB_OK) fail_msg("%s", error.message);
        assert_non_null(strstr(text.text, "the least of"));
        kerb_text_free(&text);
    }
}

static void test_unsupported(void **state)
{
    OnnxWriter w = { 0 };
    onnx_input(&w, "picture", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    onnx_node(&w, "NonMaxSuppression", "boxes", "picture picture", "b");
    onnx_node(&w, "Frobnicate", "strange", "b", "scores");
    onnx_output(&w, "scores", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    assert_true(onnx_save(&w, 13, "net.onnx"));
    KerbConfig config = plain();
    for (int json = 0; json < 2; json++) {
        KerbText text = { 0 };
        KerbError error;
        assert_int_equal(kerb_inspect(&config, json ? KERB_INSPECT_JSON : 0, collect, &text, &error), KERB_ERROR_UNSUPPORTED);
        static const char *const operators[] = { "NonMaxSuppression", "Frobnicate" };
        for (int i = 0; i < 2; i++) {
            assert_non_null(strstr(error.message, operators[i])); /* both, not the first only */
            assert_non_null(text.text);
            assert_non_null(strstr(text.text, operators[i]));
        }
        assert_non_null(strstr(error.message, "strange"));
        kerb_text_free(&text);
    }
    KerbPipeline *k;
    KerbError error;
    assert_int_equal(kerb_open(&k, &config, &error), KERB_ERROR_UNSUPPORTED);
    assert_null(k);
}

static void test_errors(void **state)
{
    KerbConfig config = plain();
    KerbError error;
    config.model_file = "nothing.onnx";
    assert_int_equal(kerb_inspect(&config, 0, stop, NULL, &error), KERB_ERROR_ASSET);
    assert_int_equal(kerb_inspect(&config, 0, NULL, NULL, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_inspect(NULL, 0, stop, NULL, &error), KERB_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_plan), cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
