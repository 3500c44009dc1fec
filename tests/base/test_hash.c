/* SPDX-License-Identifier: MIT */
/* FNV-1a of 64 bits against the values that its authors publish (test_fnv.c, fnv1a_64). */
#include "base_test.h"

#include "base/hash.h"

static void published(void **state)
{
    const struct { const char *text; uint64_t hash; } known[] = {
        { "", 0xcbf29ce484222325u },    { "a", 0xaf63dc4c8601ec8cu },      { "b", 0xaf63df4c8601f1a5u },
        { "foo", 0xdcb27518fed9d577u }, { "foobar", 0x85944171f73967e8u }, { "chongo was here!\n", 0x46810940eff5f915u },
    };
    for (size_t i = 0; i < COUNT(known); i++) assert_int_equal(kerb_hash(KERB_HASH_START, known[i].text, strlen(known[i].text)), known[i].hash);
    assert_int_equal(kerb_hash(KERB_HASH_START, "\xff\x00\x00\x01", 4), 0x6961196491cc682du);
}

/* A whole in two parts, at any place; zeros and bytes above 127 in it. */
static void parts(void **state)
{
    const uint8_t data[] = { 0xff, 0x00, 0x00, 0x01, 0x80 };
    const uint64_t whole = kerb_hash(KERB_HASH_START, data, sizeof data);
    for (size_t at = 0; at <= sizeof data; at++) assert_int_equal(kerb_hash(kerb_hash(KERB_HASH_START, data, at), data + at, sizeof data - at), whole);
    assert_int_equal(kerb_hash_fold(0xaf63dc4c8601ec8cu), 0xaf63dc4cu ^ 0x8601ec8cu);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(published), cmocka_unit_test(parts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
