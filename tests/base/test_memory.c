/* SPDX-License-Identifier: MIT */
/* Blocks, checked sizes, the arena and its budget, growing text, mapped files that are not what one hopes. */
#include "base_test.h"

#include "base/error.h"
#include "base/memory.h"

#include <sys/stat.h>
#include <unistd.h>

/* Sanitizers end the program at a size that malloc refuses, unless told that this is what we ask for. */
KERB_API const char *__asan_default_options(void);
KERB_API const char *__tsan_default_options(void);
KERB_API const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
KERB_API const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

static void assert_aligned_and_zero(const void *p, size_t bytes)
{
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % KERB_ALIGNMENT, 0);
    for (size_t i = 0; i < bytes; i++) assert_int_equal(((const uint8_t *)p)[i], 0);
}

static void blocks(void **state)
{
    for (size_t bytes = 0; bytes < 300; bytes++) {
        uint8_t *p = kerb_alloc(bytes);
        size_t whole = (bytes ? bytes + 63 : 64) / 64 * 64; /* what a vector store at the end may touch */
        assert_aligned_and_zero(p, whole);
        memset(p, 0xff, whole);
        kerb_free(&p);
        assert_null(p);
        kerb_free(&p);
    }
    kerb_free_(NULL);
    assert_null(kerb_alloc(SIZE_MAX));
    assert_null(kerb_alloc(SIZE_MAX - 63));
}

static void checked_sizes(void **state)
{
    size_t out;
    assert_true(kerb_mul_size(SIZE_MAX / 3, 3, &out));
    assert_true(out == SIZE_MAX / 3 * 3);
    assert_false(kerb_mul_size(SIZE_MAX / 3 + 1, 3, &out));
    assert_true(kerb_mul_size(SIZE_MAX, 0, &out) && out == 0);
    assert_true(kerb_add_size(SIZE_MAX - 5, 5, &out) && out == SIZE_MAX);
    assert_false(kerb_add_size(SIZE_MAX - 5, 6, &out));
}

/* Objects of many sizes, above a block too: aligned, zero, and none overlaps another. */
static void arena_objects(void **state)
{
    KerbArena *arena = kerb_arena_new(0);
    uint8_t *objects[400];
    size_t total = 0;
    for (size_t i = 0; i < COUNT(objects); i++) {
        size_t bytes = i % 37 == 0 ? 70000 + i : i * i % 3000;
        objects[i] = kerb_arena_alloc(arena, bytes);
        assert_aligned_and_zero(objects[i], bytes);
        memset(objects[i], (int)(i % 251), bytes);
        total += bytes;
    }
    for (size_t i = 0; i < COUNT(objects); i++) {
        size_t bytes = i % 37 == 0 ? 70000 + i : i * i % 3000;
        for (size_t j = 0; j < bytes; j++) assert_int_equal(objects[i][j], i % 251);
    }
    assert_true(kerb_arena_bytes(arena) >= total && kerb_arena_bytes(arena) <= total + 64 * COUNT(objects));
    assert_null(kerb_arena_alloc(arena, SIZE_MAX));
    assert_null(kerb_arena_alloc(arena, SIZE_MAX / 2)); /* no machine has this; the arena stays usable */
    assert_non_null(kerb_arena_alloc(arena, 10));
    kerb_arena_free(&arena);
    assert_null(arena);
    kerb_arena_free(&arena);
    kerb_arena_free(NULL);
}

static void arena_budget(void **state)
{
    KerbArena *arena = kerb_arena_new(1000);
    int n = 0;
    while (kerb_arena_alloc(arena, 60)) n++;
    assert_int_equal(n, 1000 / 64);
    assert_true(kerb_arena_bytes(arena) <= 1000);
    assert_null(kerb_arena_strdup(arena, "a text that does not fit into the forty bytes that the budget has left over"));
    assert_null(kerb_arena_printf(arena, "%100d", 5));
    kerb_arena_free(&arena);
    arena = kerb_arena_new(100);
    assert_null(kerb_arena_alloc(arena, 101));
    assert_non_null(kerb_arena_alloc(arena, 64)); /* a refusal costs nothing */
    kerb_arena_free(&arena);
}

static void arena_texts(void **state)
{
    KerbArena *arena = kerb_arena_new(0);
    assert_string_equal(kerb_arena_strdup(arena, "kerb"), "kerb");
    assert_string_equal(kerb_arena_strndup(arena, "kerbstone", 4), "kerb");
    assert_string_equal(kerb_arena_strndup(arena, "", 0), "");
    assert_string_equal(kerb_arena_printf(arena, "%s-%d", "node", 42), "node-42");
    char *wide = kerb_arena_printf(arena, "%5000d", 1);
    assert_int_equal(strlen(wide), 5000);
    kerb_arena_free(&arena);
}

static void growing_text(void **state)
{
    KerbText text = { 0 };
    assert_null(text.text);
    for (int i = 0; i < 2000; i++) kerb_text_append(&text, "%d,", i);
    const char *p = text.text;
    for (int i = 0; i < 2000; i++) assert_int_equal(strtol(p, (char **)(uintptr_t)&p, 10), i), p++;
    assert_int_equal(strlen(text.text), text.bytes);
    assert_false(text.failed);
    kerb_text_append(&text, "%s", "");
    assert_int_equal(strlen(text.text), text.bytes);
    kerb_text_free(&text);
    assert_null(text.text);
    kerb_text_free(&text);
}

static void mapped_files(void **state)
{
    char folder[] = "/tmp/kerb-test-XXXXXX", path[64], link[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(link, sizeof link, "%s/loop", folder);
    KerbMapping map = { (const uint8_t *)"x", 1 };
    KerbError error;

    assert_int_equal(kerb_map_file(path, &map, &error), KERB_ERROR_ASSET);
    assert_null(map.data);
    assert_says(error.message, path);
    assert_says(error.message, "no such file");

    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(kerb_map_file(path, &map, &error), KERB_OK);
    assert_null(map.data);
    assert_int_equal(map.bytes, 0);
    kerb_unmap(&map);

    f = fopen(path, "wb");
    for (int i = 0; i < 5000; i++) fputc(i % 251, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(kerb_map_file(path, &map, &error), KERB_OK);
    assert_int_equal(map.bytes, 5000);
    for (int i = 0; i < 5000; i++) assert_int_equal(map.data[i], i % 251);
    kerb_unmap(&map);
    assert_null(map.data);
    kerb_unmap(&map);

    assert_int_equal(kerb_map_file(folder, &map, &error), KERB_ERROR_ASSET);
    assert_says(error.message, "a folder");
    char below[80];
    snprintf(below, sizeof below, "%s/below", path);
    assert_int_equal(kerb_map_file(below, &map, &error), KERB_ERROR_ASSET);
    assert_int_equal(kerb_map_file("/dev/null", &map, &error), KERB_ERROR_ASSET);
    assert_says(error.message, "device");
    assert_int_equal(kerb_map_file("", &map, NULL), KERB_ERROR_ASSET);

    assert_int_equal(symlink(link, link), 0);
    assert_int_equal(kerb_map_file(link, &map, &error), KERB_ERROR_STORAGE); /* there, but unreadable */
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkfifo(link, 0600), 0);
    assert_int_equal(kerb_map_file(link, &map, &error), KERB_ERROR_ASSET); /* and does not wait for a writer */
    assert_says(error.message, "pipe");
    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(kerb_map_file(path, &map, &error), KERB_ERROR_STORAGE);
    }
    unlink(link);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks), cmocka_unit_test(checked_sizes), cmocka_unit_test(arena_objects), cmocka_unit_test(arena_budget),
        cmocka_unit_test(arena_texts), cmocka_unit_test(growing_text), cmocka_unit_test(mapped_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
