/* SPDX-License-Identifier: MIT */
/* Convolutions that run row by row in one step. A part of the full tier's cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "families.h"

static void check_fused(void **state)
{
    assert_int_equal(kerb_check_fused(24), 0);
}
static void check_fused_choice(void **state)
{
    assert_int_equal(kerb_check_fused_choice(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(check_fused), cmocka_unit_test(check_fused_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
