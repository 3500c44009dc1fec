/* SPDX-License-Identifier: MIT */
/* cmocka and what it needs before it. */
#ifndef KERB_TESTS_BASE_TEST_H
#define KERB_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline void assert_says(const char *message, const char *word)
{
    if (!strstr(message, word)) fail_msg("\"%s\" does not say \"%s\"", message, word);
}

#endif
