/* SPDX-License-Identifier: MIT */
/* cmocka and what it needs before it. */
#ifndef KERB_TESTS_BASE_TEST_H
#define KERB_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Is this whole UTF-8? */
static inline bool is_utf8(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int more = *p < 0x80 ? 0 : *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : -1;
        if (more < 0) return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xC0) != 0x80) return false;
    }
    return true;
}

static inline void assert_says(const char *message, const char *word)
{
    if (!strstr(message, word)) fail_msg("\"%s\" does not say \"%s\"", message, word);
}

#endif
