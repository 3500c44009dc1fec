/* SPDX-License-Identifier: MIT */
/* The host twins of the network's kernels, through their launchers on the stand-in runtime (device memory that the host may not touch),
 * against the reference operators; and what launchers refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernel_case.h"

/* The items alone, in the test's own loops and on host memory; then through the launchers: the same bits. */
static void run_family(void (*family)(Case *))
{
    CaseRecord record = { 0 };
    Case items = { .record = &record, .seed = 20240607 }, c = { .device = true, .record = &record, .seed = items.seed };
    family(&items);
    case_end(&items);
    assert_int_equal(items.failures, 0);
    assert_int_equal(cudaStreamCreate(&c.stream), cudaSuccess);
    family(&c);
    case_end(&c);
    assert_int_equal(cudaStreamDestroy(c.stream), cudaSuccess);
    case_record_free(&record);
    print_message("%d checks\n", c.checks);
    assert_int_equal(c.failures, 0);
    assert_int_equal(c.bit_differences, 0);
    assert_true(c.checks > 0);
}

static void test_picture(void **state) { run_family(kernel_cases_picture); }
static void test_conv(void **state) { run_family(kernel_cases_conv); }
static void test_pool(void **state) { run_family(kernel_cases_pool); }
static void test_axes(void **state) { run_family(kernel_cases_axes); }
static void test_walk(void **state) { run_family(kernel_cases_walk); }
static void test_move(void **state) { run_family(kernel_cases_move); }
static void test_matmul(void **state) { run_family(kernel_cases_matmul); }

/* Nothing to do is done; what cannot be is refused, not begun. */
static void test_limits(void **state)
{
    KerbFinishArgs finish = {
        .x = {.type = KERB_F16, .c = 8, .h = 0, .w = 5}, .y = {.type = KERB_F16, .c = 8, .h = 0, .w = 5}, .z_scale = 1, .y_scale = 1};
    assert_int_equal(kerb_launch_finish(&finish, NULL), cudaSuccess);
    finish.y.c = 64, finish.y.h = 1 << 16, finish.y.w = 1 << 16;
    assert_int_equal(kerb_launch_finish(&finish, NULL), cudaErrorInvalidValue);
    KerbPoolArgs pool = {.y = {.type = KERB_F32, .c = 1, .h = 1, .w = 1},
                         .kernel = {17, 16},
                         .stride = {1, 1},
                         .dilation = {1, 1},
                         .window_index = (uint8_t *)&pool};
    assert_int_equal(kerb_launch_max_pool(&pool, NULL), cudaErrorInvalidValue); /* 272 places do not fit a byte */
    KerbConvArgs conv = {.x = {.type = KERB_F32, .c = 3, .h = 1, .w = 1},
                         .y = {.type = KERB_F32, .c = 4, .h = 1, .w = 1},
                         .w_type = KERB_F32,
                         .stride = {1, 1},
                         .group = 2};
    assert_int_equal(kerb_launch_conv(&conv, NULL), cudaErrorInvalidValue);
    KerbMatmulArgs matmul = { .m = 0, .n = 5, .k = 5 };
    assert_int_equal(kerb_launch_matmul(&matmul, NULL), cudaSuccess);
    matmul.m = INT32_MAX, matmul.n = INT32_MAX;
    assert_int_equal(kerb_launch_matmul(&matmul, NULL), cudaErrorInvalidValue);
    KerbStrided wide = { .type = KERB_F32, .rank = 3, .dims = { 1 << 20, 1 << 20, 4 }, .strides = { 1 << 23, 8, 1 } };
    const KerbStrided *const one[] = { &wide };
    KerbCopyArgs copy = { .value = 0 };
    assert_true(kerb_walk(1, one, 0, &copy.walk));
    assert_int_equal(kerb_launch_copy(&copy, NULL), cudaErrorInvalidValue);
}

/* Walks: channels come last, neighbours are merged, what does not fit is refused. */
static void test_walks(void **state)
{
    KerbStrided y = { .type = KERB_F16, .rank = 4, .dims = { 1, 19, 4, 6 }, .strides = { 576, 1, 144, 24 } };
    KerbStrided gate = { .type = KERB_F16, .rank = 4, .dims = { 1, 19, 1, 1 }, .strides = { 24, 1, 24, 24 } };
    KerbStrided other = { .type = KERB_F16, .rank = 4, .dims = { 1, 18, 1, 1 } };
    const KerbStrided *const fits[] = { &y, &y, &gate }, *const refused[] = { &y, &other };
    KerbWalk walk;
    assert_true(kerb_walk(3, fits, 5, &walk));
    assert_int_equal(walk.rank, 2);
    assert_int_equal(walk.dims[0], 24);
    assert_int_equal(walk.dims[1], 19);
    assert_int_equal(walk.of[2].strides[0], 0);
    assert_int_equal(walk.of[2].strides[1], 1);
    assert_false(kerb_walk(2, refused, 0, &walk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picture), cmocka_unit_test(test_conv),   cmocka_unit_test(test_pool),   cmocka_unit_test(test_axes),
        cmocka_unit_test(test_walk),    cmocka_unit_test(test_move),   cmocka_unit_test(test_matmul), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
