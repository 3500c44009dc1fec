/* SPDX-License-Identifier: MIT */
/* The program of both tiers' tests of quantised graphs in integers. TIMES: how many times the fast tier's cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "families.h"

static void check_convolutions(void **state) { assert_int_equal(kerb_check_int8_convolutions(120 * TIMES), 0); }
static void check_others(void **state) { assert_int_equal(kerb_check_int8_others(120 * TIMES), 0); }
static void check_pads(void **state) { assert_int_equal(kerb_check_int8_pads(40 * TIMES), 0); }
static void check_transposes(void **state) { assert_int_equal(kerb_check_int8_transposes(40 * TIMES), 0); }
static void check_moves(void **state) { assert_int_equal(kerb_check_int8_moves(80 * TIMES), 0); }
static void check_means(void **state) { assert_int_equal(kerb_check_int8_means(40 * TIMES), 0); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_convolutions), cmocka_unit_test(check_others), cmocka_unit_test(check_pads),
        cmocka_unit_test(check_transposes),   cmocka_unit_test(check_moves),  cmocka_unit_test(check_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
