/* SPDX-License-Identifier: MIT */
/* A real model, damaged in thousands of ways: flipped bits (half of them in the first part, where the structure is) and cuts. Nothing may
 * crash (under ASan: read beyond); what cannot be read is refused with a message. */
#include "net/onnx/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static KerbMapping model;

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static KerbStatus try_bytes(const uint8_t *data, size_t n)
{
    KerbOnnx *onnx;
    KerbGraph *g = NULL;
    KerbError error = { 0 };
    KerbStatus status = kerb_onnx_open_memory(&onnx, data, n, &error);
    if (status == KERB_OK) status = kerb_onnx_import(onnx, &g, &error);
    assert_true(status == KERB_OK || status == KERB_ERROR_ASSET || status == KERB_ERROR_UNSUPPORTED);
    assert_true((status == KERB_OK) == (error.message[0] == '\0'));
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    return status;
}

static void test_flips(void **state)
{
    uint64_t seed = 20240607;
    int refused = 0, n = 6000;
    uint8_t *copy = malloc(model.bytes);
    assert_non_null(copy);
    memcpy(copy, model.data, model.bytes);
    for (int i = 0; i < n; i++) {
        size_t limit = i % 2 ? model.bytes : model.bytes / 50;
        uint32_t random = next_random(&seed);
        size_t at = random % limit;
        uint8_t bit = (uint8_t)(1u << (random >> 24 & 7));
        copy[at] ^= bit;
        refused += try_bytes(copy, model.bytes) != KERB_OK;
        copy[at] ^= bit;
    }
    printf("%d of %d flips were refused (seed 20240607)\n", refused, n);
    assert_true(refused > n / 10);
    assert_int_equal(try_bytes(copy, model.bytes), KERB_OK);
    free(copy);
}

static void test_cuts(void **state)
{
    uint64_t seed = 7;
    int sound = 0;
    for (int i = 0; i < 3000; i++) {
        size_t n = next_random(&seed) % model.bytes;
        uint8_t *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, model.data, n);
        sound += try_bytes(exact, n) == KERB_OK;
        free(exact);
    }
    assert_int_equal(sound, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_flips), cmocka_unit_test(test_cuts) };
    char path[1024];
    KerbError error = { 0 };
    snprintf(path, sizeof path, "%s/models/twinlitenet_360x640.onnx", getenv("KERB_DATA") ? getenv("KERB_DATA") : "");
    if (access(path, R_OK) != 0 || kerb_map_file(path, &model, &error) != KERB_OK) {
        puts("skipped: KERB_DATA does not hold models/twinlitenet_360x640.onnx");
        return 77;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    kerb_unmap(&model);
    return failed;
}
