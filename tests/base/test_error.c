/* SPDX-License-Identifier: MIT */
/* Messages: filled, prefixed, cut at characters; every status has a name and an exit code. */
#include "base_test.h"

#include "base/error.h"

#include <stdbool.h>

static const KerbStatus failures[] = { KERB_ERROR_ARGUMENT, KERB_ERROR_ASSET, KERB_ERROR_UNSUPPORTED, KERB_ERROR_BACKEND,
                                       KERB_ERROR_MEMORY, KERB_ERROR_STORAGE, KERB_ERROR_INTERNAL };

static void fail_fills_and_returns(void **state)
{
    KerbError error;
    memset(&error, 0x55, sizeof error);
    assert_int_equal(kerb_fail(&error, KERB_ERROR_ASSET, "%s: %d bytes", "net.onnx", 7), KERB_ERROR_ASSET);
    assert_int_equal(error.status, KERB_ERROR_ASSET);
    assert_string_equal(error.message, "net.onnx: 7 bytes");
    assert_int_equal(kerb_fail(NULL, KERB_ERROR_MEMORY, "nobody reads this"), KERB_ERROR_MEMORY);
    kerb_error_clear(&error);
    assert_int_equal(error.status, KERB_OK);
    assert_string_equal(error.message, "");
    kerb_error_clear(NULL);
}

static void prefix_goes_before(void **state)
{
    KerbError error;
    kerb_fail(&error, KERB_ERROR_ASSET, "cut after 12 bytes");
    assert_int_equal(kerb_error_prefix(&error, "%s: ", "a.onnx"), KERB_ERROR_ASSET);
    assert_string_equal(error.message, "a.onnx: cut after 12 bytes");
    assert_int_equal(kerb_error_prefix(NULL, "x"), KERB_OK);
    kerb_error_clear(&error);
    assert_int_equal(kerb_error_prefix(&error, "a.onnx: "), KERB_OK);
    assert_string_equal(error.message, "");
}

/* Characters of 1 to 4 bytes at every offset from the end of the buffer. */
static void long_messages_are_cut_at_a_character(void **state)
{
    static const char *const characters[] = { "x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x9A\x97" };
    for (size_t c = 0; c < COUNT(characters); c++)
        for (int shift = 0; shift < 4; shift++) {
            char text[3000] = "";
            memset(text, 'a', (size_t)shift);
            size_t n = (size_t)shift, step = strlen(characters[c]);
            for (; n + step < sizeof text - 1; n += step) memcpy(text + n, characters[c], step);
            text[n] = '\0';
            KerbError error;
            kerb_fail(&error, KERB_ERROR_ASSET, "%s", text);
            size_t kept = strlen(error.message);
            assert_true(kept <= sizeof error.message - 1 && kept + 4 > sizeof error.message - 1);
            assert_memory_equal(error.message, text, kept);
            assert_true(is_utf8(error.message));
            kerb_error_prefix(&error, "\xE2\x82\xAC%.*s: ", shift, "abcd");
            assert_true(is_utf8(error.message));
            assert_memory_equal(error.message, "\xE2\x82\xAC", 3);
            assert_true(strlen(error.message) < sizeof error.message);
            kerb_error_prefix(&error, "%s", text); /* a prefix longer than is taken */
            assert_true(is_utf8(error.message));
            assert_true(strlen(error.message) < sizeof error.message);
        }
}

static void every_status_has_a_name_and_an_exit_code(void **state)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        assert_true(kerb_exit_code(failures[i]) >= 2 && kerb_exit_code(failures[i]) <= 7);
        for (size_t j = 0; j < i; j++) assert_string_not_equal(kerb_status_name(failures[i]), kerb_status_name(failures[j]));
    }
    assert_int_equal(kerb_exit_code(KERB_OK), 0);
    assert_int_equal(kerb_exit_code(KERB_ERROR_ARGUMENT), 2);
    assert_int_equal(kerb_exit_code(KERB_ERROR_ASSET), 3);
    assert_int_equal(kerb_exit_code(KERB_ERROR_UNSUPPORTED), 3);
    assert_int_equal(kerb_exit_code(KERB_ERROR_STORAGE), 5);
    assert_int_equal(kerb_exit_code(KERB_ERROR_BACKEND), 6);
    assert_int_equal(kerb_exit_code(KERB_ERROR_INTERNAL), 7);
    assert_non_null(kerb_status_name((KerbStatus)-99));
    assert_int_equal(kerb_exit_code((KerbStatus)-99), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_and_returns), cmocka_unit_test(prefix_goes_before),
        cmocka_unit_test(long_messages_are_cut_at_a_character), cmocka_unit_test(every_status_has_a_name_and_an_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
