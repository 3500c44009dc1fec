/* SPDX-License-Identifier: MIT */
/* Built-in palettes, invented classes, and class files: good ones in every spelling, bad ones with the place and the reason. */
#include "out_cases.h"

#include <unistd.h>

#include "out/classes.h"

/* A file with these bytes, read and removed. `name` ends the path, so that ".json" can be tried. */
static KerbStatus kerb_read_bytes(KerbClassTable *table, const char *name, const void *bytes, size_t n, KerbError *error, char path[128])
{
    snprintf(path, 128, "%s/kerb-classes-%ld-%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (long)getpid(), name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    memset(table, 0x55, sizeof(*table));
    KerbStatus status = kerb_classes_read(table, path, error);
    unlink(path);
    return status;
}

static KerbStatus kerb_read_text(KerbClassTable *table, const char *text)
{
    KerbError error = { 0 };
    char path[128];
    KerbStatus status = kerb_read_bytes(table, "t.txt", text, strlen(text), &error, path);
    if (status != KERB_OK) print_message("%s\n", error.message);
    return status;
}

static void kerb_check_class(const KerbClass *c, const char *name, int r, int g, int b, int id, bool background)
{
    assert_string_equal(c->name, name);
    assert_int_equal(c->rgb[0], r);
    assert_int_equal(c->rgb[1], g);
    assert_int_equal(c->rgb[2], b);
    assert_int_equal(c->dataset_id, id);
    assert_int_equal(c->is_background, background);
}

static void test_builtin_palettes(void **state)
{
    static const struct { const char *name; int n; } all[] = { { "camvid", 11 }, { "cityscapes", 19 }, { "voc", 21 }, { "road", 2 }, { "lane", 3 } };
    KerbClassTable t;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_true(kerb_classes_builtin(&t, all[i].name));
        assert_int_equal(t.n, all[i].n);
        assert_non_null(strstr(kerb_classes_builtin_names(), all[i].name));
        for (int a = 0; a < t.n; a++)
            for (int b = 0; b < a; b++) {
                assert_string_not_equal(t.classes[a].name, t.classes[b].name);
                assert_memory_not_equal(t.classes[a].rgb, t.classes[b].rgb, 3);
                assert_true(t.classes[a].dataset_id > t.classes[b].dataset_id);
            }
    }
    assert_false(kerb_classes_builtin(&t, "nuscenes"));
    assert_int_equal(t.n, 0);
    assert_false(kerb_classes_builtin(&t, NULL));
    /* Spot checks against the data sets' own tables. */
    kerb_classes_builtin(&t, "camvid");
    kerb_check_class(&t.classes[3], "road", 128, 64, 128, 3, false);
    kerb_classes_builtin(&t, "cityscapes");
    kerb_check_class(&t.classes[0], "road", 128, 64, 128, 7, false);
    kerb_check_class(&t.classes[13], "car", 0, 0, 142, 26, false);
    kerb_check_class(&t.classes[18], "bicycle", 119, 11, 32, 33, false);
    kerb_classes_builtin(&t, "voc");
    kerb_check_class(&t.classes[0], "background", 0, 0, 0, 0, true);
    kerb_check_class(&t.classes[1], "aeroplane", 128, 0, 0, 1, false);
    kerb_check_class(&t.classes[15], "person", 192, 128, 128, 15, false);
    kerb_check_class(&t.classes[20], "tv monitor", 0, 64, 128, 20, false);
    kerb_classes_builtin(&t, "lane");
    assert_true(t.classes[0].is_background);
    assert_string_equal(t.classes[2].name, "lane");
}

static void test_invented_classes_differ(void **state)
{
    KerbClassTable t;
    kerb_classes_generate(&t, KERB_MAX_CLASSES);
    assert_int_equal(t.n, 256);
    for (int a = 0; a < t.n; a++) {
        assert_true(t.classes[a].rgb[0] | t.classes[a].rgb[1] | t.classes[a].rgb[2]);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(t.classes[a].name, t.classes[b].name);
            assert_memory_not_equal(t.classes[a].rgb, t.classes[b].rgb, 3);
        }
    }
    assert_string_equal(t.classes[17].name, "class 17");
    kerb_classes_generate(&t, -4);
    assert_int_equal(t.n, 0);
    kerb_classes_generate(&t, 1000);
    assert_int_equal(t.n, 256);
}

static void test_text_files(void **state)
{
    KerbClassTable t;
    assert_int_equal(kerb_read_text(&t, "\xef\xbb\xbf# a comment\r\n\r\nBackground 0 0 0\r\n  traffic light\t250 170\t30 \n\"lane 1\" 1 2 3 -1\nroad 128 64 128 7\n"
                                        "\"#odd\" 9 9 9\n255 1 2 3\nStra\xc3\x9f" "e 4 5 6"),
                     KERB_OK);
    assert_int_equal(t.n, 7);
    kerb_check_class(&t.classes[0], "Background", 0, 0, 0, -1, true);
    kerb_check_class(&t.classes[1], "traffic light", 250, 170, 30, -1, false);
    kerb_check_class(&t.classes[2], "lane 1", 1, 2, 3, -1, false);
    kerb_check_class(&t.classes[3], "road", 128, 64, 128, 7, false);
    kerb_check_class(&t.classes[4], "#odd", 9, 9, 9, -1, false);
    kerb_check_class(&t.classes[5], "255", 1, 2, 3, -1, false);
    kerb_check_class(&t.classes[6], "Stra\xc3\x9f" "e", 4, 5, 6, -1, false);
    char many[256 * 20] = "";
    for (int i = 0; i < 256; i++) sprintf(many + strlen(many), "c%d 1 2 3\n", i);
    assert_int_equal(kerb_read_text(&t, many), KERB_OK);
    assert_int_equal(t.n, 256);
    assert_string_equal(t.classes[255].name, "c255");
}

static void test_json(void **state)
{
    KerbClassTable t;
    KerbError error = { 0 };
    const char *list = "[{\"name\":\"void\",\"color\":[0,0,0],\"background\":true},{\"name\":\"road\",\"color\":\"#80FF0a\",\"id\":7,\"note\":1},"
                       "{\"name\":\"background\",\"color\":[1,2,3],\"background\":false}]";
    assert_int_equal(kerb_classes_parse_json(&t, list, "net.json", &error), KERB_OK);
    assert_int_equal(t.n, 3);
    kerb_check_class(&t.classes[0], "void", 0, 0, 0, -1, true);
    kerb_check_class(&t.classes[1], "road", 128, 255, 10, 7, false);
    kerb_check_class(&t.classes[2], "background", 1, 2, 3, -1, false);
    const char *object = "\n {\"version\": 1, \"classes\": [{\"name\":\"a\",\"color\":[9,8,7]}]}";
    assert_int_equal(kerb_read_text(&t, object), KERB_OK);
    assert_int_equal(t.n, 1);
    kerb_check_class(&t.classes[0], "a", 9, 8, 7, -1, false);
}

typedef struct KerbBadFile {
    const char *name, *bytes, *says;
    size_t n; /* 0: strlen */
} KerbBadFile;

static void test_bad_files_say_where_and_why(void **state)
{
    static const KerbBadFile bad[] = {
        { "a.txt", "", "empty", 0 },
        { "a.txt", "\xef\xbb\xbf", "empty", 0 },
        { "a.txt", "# nothing\n\n", "no classes", 0 },
        { "a.txt", "road 1 2 3\ncar 1 2\n", ":2:", 0 },
        { "a.txt", "road\n", "expected `name r g b`", 0 },
        { "a.txt", "1 2 3\n", ":1:", 0 },
        { "a.txt", "road 1.5 2 3\n", ":1:", 0 },
        { "a.txt", "\n\nroad 1 256 3\n", ":3: the colour value 256", 0 },
        { "a.txt", "road -1 2 3\n", "-1 is not in 0..255", 0 },
        { "a.txt", "road 99999999999 2 3\n", ":1:", 0 },
        { "a.txt", "road 1 2 3\nsky 4 5 6\nroad 7 8 9\n", ":3: the name \"road\" is already in line 1", 0 },
        { "a.txt", "ro\xff" "ad 1 2 3\n", ":1: the name is not UTF-8", 0 },
        { "a.txt", "ro\xed\xa0\x80 1 2 3\n", "not UTF-8", 0 },
        { "a.txt", "ro\xc3 1 2 3\n", "not UTF-8", 0 },
        { "a.txt", "\"road 1 2 3\n", "quote", 0 },
        { "a.txt", "\"\" 1 2 3\n", "name is empty", 0 },
        { "a.txt", "ro\x01" "ad 1 2 3\n", "control character", 0 },
        { "a.txt", "0123456789012345678901234567890123456789012345678901234567890123 1 2 3\n", "longer than 63", 0 },
        { "a.txt", "\x08\x00\x12\x07pytorch 1 2 3", "binary", 17 },
        { "a.txt", "[{\"name\":\"a\",\"color\":[1,2,3]},\n{\"name\":]", ":2: not JSON", 0 },
        { "a.json", "road 1 2 3\n", "not JSON", 0 },
        { "a.json", "{\"class\":[]}", "\"classes\"", 0 },
        { "a.json", "7", "not JSON", 0 },
        { "a.json", "[]", "0 classes", 0 },
        { "a.json", "[7]", "class 0 is not an object", 0 },
        { "a.json", "[{\"color\":[1,2,3]}]", "class 0 has no \"name\"", 0 },
        { "a.json", "[{\"name\":\"a\"}]", "\"color\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":[1,2]}]", "\"color\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":[1,2,300]}]", "\"color\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":[1,2,3.0]}]", "\"color\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":\"#12345g\"}]", "\"color\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":[1,2,3],\"id\":\"x\"}]", "\"id\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":[1,2,3],\"background\":1}]", "\"background\"", 0 },
        { "a.json", "[{\"name\":\"a\",\"color\":[1,2,3]},{\"name\":\"a\",\"color\":[1,2,3]}]", "class 1 has the name \"a\" of class 0", 0 },
        { "a.json", "[{\"name\":\"\",\"color\":[1,2,3]}]", "name is empty", 0 },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        KerbClassTable t;
        KerbError error = { 0 };
        char path[128];
        KerbStatus status = kerb_read_bytes(&t, bad[i].name, bad[i].bytes, bad[i].n ? bad[i].n : strlen(bad[i].bytes), &error, path);
        if (status != KERB_ERROR_ASSET || !strstr(error.message, bad[i].says) || strncmp(error.message, path, strlen(path)))
            fail_msg("case %zu: status %d, \"%s\" where \"%s\" was expected", i, (int)status, error.message, bad[i].says);
        assert_int_equal(t.n, 0);
    }
}

static void test_too_many_classes(void **state)
{
    char text[257 * 20] = "", json[257 * 40] = "[";
    for (int i = 0; i < 257; i++) {
        sprintf(text + strlen(text), "c%d 1 2 3\n", i);
        sprintf(json + strlen(json), "%s{\"name\":\"c%d\",\"color\":[1,2,3]}", i ? "," : "", i);
    }
    strcat(json, "]");
    KerbClassTable t;
    KerbError error = { 0 };
    char path[128];
    assert_int_equal(kerb_read_bytes(&t, "t.txt", text, strlen(text), &error, path), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, ":257: more than 256"));
    assert_int_equal(kerb_classes_parse_json(&t, json, "net.json", &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "net.json: 257 classes"));
}

static void test_files_that_are_none(void **state)
{
    KerbClassTable t;
    KerbError error = { 0 };
    assert_int_equal(kerb_classes_read(&t, "/nonexistent/labels.txt", &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "/nonexistent/labels.txt"));
    assert_int_equal(kerb_classes_read(&t, "/", &error), KERB_ERROR_ASSET);
    size_t n = (1 << 20) + 1;
    char *large = malloc(n), path[128];
    memset(large, '\n', n);
    assert_int_equal(kerb_read_bytes(&t, "t.txt", large, n, &error, path), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "too many"));
    free(large);
}

/* Any bytes: an error or classes, never a crash. Starts from good files and damages them. */
static void test_garbage(void **state)
{
    static const char *const seeds[] = { "# c\nroad 1 2 3\n\"a b\" 3 4 5 6\n", "[{\"name\":\"a\",\"color\":[1,2,3]},{\"name\":\"b\",\"color\":\"#010203\"}]" };
    KerbRandom r = kerb_random_seed(99);
    for (int i = 0; i < 1500; i++) {
        char bytes[128], path[128];
        size_t n = strlen(seeds[i % 2]);
        memcpy(bytes, seeds[i % 2], n);
        for (int k = kerb_random_int(&r, 1, 6); k > 0; k--) bytes[kerb_random_int(&r, 0, (int)n - 1)] = (char)(kerb_random(&r) >> 8);
        n = (size_t)kerb_random_int(&r, 0, (int)n);
        KerbClassTable t;
        KerbError error = { 0 };
        KerbStatus status = kerb_read_bytes(&t, i % 2 ? "g.json" : "g.txt", bytes, n, &error, path);
        assert_true(status == KERB_OK ? t.n >= 1 && t.n <= 256 : status == KERB_ERROR_ASSET && t.n == 0 && error.message[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_palettes), cmocka_unit_test(test_invented_classes_differ), cmocka_unit_test(test_text_files),
        cmocka_unit_test(test_json),             cmocka_unit_test(test_bad_files_say_where_and_why), cmocka_unit_test(test_too_many_classes),
        cmocka_unit_test(test_files_that_are_none), cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
