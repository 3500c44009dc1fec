/* SPDX-License-Identifier: MIT */
/* Blocks of host memory for frames: plain pages where the network runs in host memory, the backend's own where it has stages. */
#include "run/pipeline.h"
#include "run/stages.h"

#include "net/ref/ref.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

/* Too much memory is asked for on purpose. */
KERB_API const char *__asan_default_options(void);
KERB_API const char *__tsan_default_options(void);
KERB_API const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }
KERB_API const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static KerbPipeline *opened(const KerbBackend *backend, int device_id)
{
    write_model("net.onnx", &(TestModel){ 0 });
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = "ref";
    config.device_id = device_id;
    KerbPipeline *k;
    KerbError error;
    KerbStatus status = backend ? kerb_open_with_backend(&k, &config, backend, &error) : kerb_open(&k, &config, &error);
    if (status != KERB_OK) fail_msg("%s", error.message);
    return k;
}

static void test_plain(void **state)
{
    static const size_t asked[] = { 1, 4095, 4096, 4097, 1 << 20 };
    KerbPipeline *k = opened(NULL, 0);
    KerbHostBlock blocks[5];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kerb_host_alloc(k, asked[i], &blocks[i], NULL), KERB_OK);
        assert_int_equal((uintptr_t)blocks[i].data % 4096, 0);
        assert_int_equal(blocks[i].bytes, (asked[i] + 4095) / 4096 * 4096);
        assert_false(blocks[i].pinned);
        memset(blocks[i].data, i, blocks[i].bytes);
    }
    kerb_close(&k); /* blocks outlive the pipeline */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(((uint8_t *)blocks[i].data)[blocks[i].bytes - 1], i);
        kerb_host_free(&blocks[i]);
        assert_null(blocks[i].data);
        kerb_host_free(&blocks[i]);
    }
    kerb_host_free(NULL);
}

static void test_refused(void **state)
{
    KerbPipeline *k = opened(NULL, 0);
    KerbHostBlock block = { .data = (void *)1 };
    KerbError error;
    assert_int_equal(kerb_host_alloc(k, 0, &block, &error), KERB_ERROR_ARGUMENT);
    assert_null(block.data);
    assert_int_equal(kerb_host_alloc(NULL, 1, &block, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_host_alloc(k, 1, NULL, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_host_alloc(k, SIZE_MAX, &block, &error), KERB_ERROR_MEMORY);
    assert_int_equal(kerb_host_alloc(k, SIZE_MAX / 2, &block, &error), KERB_ERROR_MEMORY);
    assert_null(block.data);
    kerb_close(&k);
}

/* A backend with stages: what it is asked for, and that its block is handed on as it is. */
static int asked_device, released;
static size_t asked_bytes;
static void own_release(void *data)
{
    released++;
    free(data);
}
static KerbStatus own_alloc(int device_id, size_t bytes, KerbHostBlock *out, KerbError *error)
{
    asked_device = device_id;
    asked_bytes = bytes;
    *out = (KerbHostBlock){ .data = malloc(bytes), .bytes = bytes, .pinned = true, .release = own_release };
    return KERB_OK;
}

static void test_own(void **state)
{
    static const KerbStages stages = { .host_alloc = own_alloc };
    KerbBackend backend = kerb_backend_ref;
    KerbPipeline *k = opened(&backend, 3);
    backend.stages = &stages; /* after opening: this one can only allocate */
    KerbHostBlock block;
    assert_int_equal(kerb_host_alloc(k, 5000, &block, NULL), KERB_OK);
    assert_int_equal(asked_device, 3);
    assert_int_equal(asked_bytes, 8192);
    assert_true(block.pinned);
    backend.stages = NULL;
    kerb_close(&k);
    kerb_host_free(&block);
    assert_int_equal(released, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
