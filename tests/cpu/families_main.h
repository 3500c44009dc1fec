/* SPDX-License-Identifier: MIT */
/* The program of both tiers. N_CONVOLUTIONS and N_OTHERS (cases of each other family) are defined before this is included; LARGE_ELSEWHERE where the
 * large convolutions are another tier's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "families.h"

static void check_convolutions(void **state)
{
    assert_int_equal(kerb_check_convolutions(N_CONVOLUTIONS), 0);
}
static void check_convolutions_bf16(void **state)
{
    assert_int_equal(kerb_check_convolutions_bf16(N_OTHERS), 0);
}
#ifndef LARGE_ELSEWHERE
static void check_large_convolutions(void **state)
{
    assert_int_equal(kerb_check_large_convolutions(), 0);
}
#endif
static void check_pools(void **state)
{
    assert_int_equal(kerb_check_pools(N_OTHERS), 0);
}
static void check_unpools(void **state)
{
    assert_int_equal(kerb_check_unpools(N_OTHERS), 0);
}
static void check_attentions(void **state)
{
    assert_int_equal(kerb_check_attentions(N_OTHERS), 0);
}
static void check_elementwise(void **state)
{
    assert_int_equal(kerb_check_elementwise(N_OTHERS), 0);
}
static void check_concats(void **state)
{
    assert_int_equal(kerb_check_concats(N_OTHERS), 0);
}
static void check_resizes(void **state)
{
    assert_int_equal(kerb_check_resizes(N_OTHERS), 0);
}
static void check_products(void **state)
{
    assert_int_equal(kerb_check_products(N_OTHERS), 0);
}
static void check_moves(void **state)
{
    assert_int_equal(kerb_check_moves(N_OTHERS), 0);
}
static void check_softmax_and_means(void **state)
{
    assert_int_equal(kerb_check_softmax_and_means(N_OTHERS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_convolutions),
        cmocka_unit_test(check_convolutions_bf16),
#ifndef LARGE_ELSEWHERE
        cmocka_unit_test(check_large_convolutions),
#endif
        cmocka_unit_test(check_pools),
        cmocka_unit_test(check_elementwise),
        cmocka_unit_test(check_concats),
        cmocka_unit_test(check_resizes),
        cmocka_unit_test(check_products),
        cmocka_unit_test(check_moves),
        cmocka_unit_test(check_softmax_and_means),
        cmocka_unit_test(check_unpools),
        cmocka_unit_test(check_attentions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
