/* SPDX-License-Identifier: MIT */
/* Tensors: every way the format has to hold values, sizes that lie, and external files that try to escape. */
#include "net/onnx/model.h"
#include "onnx_parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* One weight in a model whose output it is. Takes the tensor. */
static OnnxBytes model_of(OnnxBytes tensor)
{
    OnnxBytes g = { 0 };
    onnx_add_node(&g, onnx_part_node("Identity", "i", "w", "y"));
    onnx_add_weight(&g, tensor);
    onnx_add_output(&g, "y");
    return onnx_model(13, &g);
}

/* Imports it and compares the weight with `expect`. */
static void check_values(OnnxBytes tensor, KerbDtype dtype, int rank, const int64_t dims[], const void *expect, size_t bytes)
{
    OnnxBytes m = model_of(tensor);
    KerbOnnx *onnx;
    KerbGraph *g;
    KerbError error = { 0 };
    if (kerb_onnx_open_memory(&onnx, m.data, m.size, &error) != KERB_OK || kerb_onnx_import(onnx, &g, &error) != KERB_OK)
        fail_msg("%s", error.message);
    const KerbValue *v = kerb_graph_value(g, kerb_graph_find(g, "w"));
    assert_int_equal(v->dtype, dtype);
    assert_int_equal(v->rank, rank);
    for (int i = 0; i < rank; i++) assert_int_equal(v->dims[i], dims[i]);
    assert_true(kerb_value_is_constant(v));
    if (bytes) assert_memory_equal(v->data, expect, bytes);
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);
    onnx_free(&m);
}

static const int64_t three[] = { 3 }, two_by_two[] = { 2, 2 }, none[] = { 0 }, two[] = { 2 };

static void test_raw(void **state)
{
    const float f[] = { 1.5f, -2, 3e9f };
    const int64_t i[] = { -1, INT64_MAX, 7 };
    const uint16_t half[] = { 0x3c00, 0x7c00, 0x8000 };
    const uint8_t sloppy[] = { 0, 1, 200, 1 }, clean[] = { 0, 1, 1, 1 };
    check_values(onnx_part_tensor("w", ONNX_F32, 1, three, f, sizeof f), KERB_F32, 1, three, f, sizeof f);
    check_values(onnx_part_tensor("w", ONNX_I64, 1, three, i, sizeof i), KERB_I64, 1, three, i, sizeof i);
    check_values(onnx_part_tensor("w", ONNX_F16, 1, three, half, sizeof half), KERB_F16, 1, three, half, sizeof half);
    check_values(onnx_part_tensor("w", ONNX_BF16, 1, three, half, sizeof half), KERB_BF16, 1, three, half, sizeof half);
    check_values(onnx_part_tensor("w", ONNX_BOOL, 2, two_by_two, sloppy, 4), KERB_BOOL, 2, two_by_two, clean, 4);
    check_values(onnx_part_tensor("w", ONNX_F32, 0, NULL, f, 4), KERB_F32, 0, NULL, f, 4);
    check_values(onnx_part_tensor("w", ONNX_F32, 1, none, NULL, 0), KERB_F32, 1, none, NULL, 0);
    check_values(onnx_part_tensor_head("w", ONNX_F32, 1, none), KERB_F32, 1, none, NULL, 0); /* no data at all: none is needed */
}

static void test_typed(void **state)
{
    const float f[] = { 1, -2.5f, 1e30f };
    const double d[] = { 1, -2.5, 1e300 };
    const int8_t i8[] = { -128, 127, -1 };
    const int32_t i32[] = { INT32_MIN, INT32_MAX, -1 };
    const uint64_t u64[] = { UINT64_MAX, 0, 1 };
    const uint16_t half[] = { 0x3c00, 0xfc00, 1 };
    const struct {
        int type;
        KerbDtype dtype;
        unsigned field;
        const void *values;
    } integers[] = {
        { ONNX_I8, KERB_I8, 5, i8 },
        { ONNX_I32, KERB_I32, 5, i32 },
        { ONNX_F16, KERB_F16, 5, half },
        { ONNX_U64, KERB_U64, 11, u64 },
    };
    for (int packed = 0; packed < 2; packed++) {
        OnnxBytes t = onnx_part_tensor_head("w", ONNX_F32, 1, three), u = onnx_part_tensor_head("w", ONNX_F64, 1, three);
        if (packed) onnx_field_bytes(&t, 4, f, sizeof f), onnx_field_bytes(&u, 10, d, sizeof d);
        for (int i = 0; !packed && i < 3; i++) onnx_field_f32(&t, 4, f[i]), onnx_field_f64(&u, 10, d[i]);
        check_values(t, KERB_F32, 1, three, f, sizeof f);
        check_values(u, KERB_F64, 1, three, d, sizeof d);
        for (size_t k = 0; k < sizeof integers / sizeof integers[0]; k++) {
            KerbTensor values = kerb_tensor((void *)(uintptr_t)integers[k].values, integers[k].dtype, 1, three);
            OnnxBytes v = onnx_part_tensor_head("w", integers[k].type, 1, three), list = { 0 };
            for (int i = 0; i < 3; i++) {
                int64_t x = integers[k].dtype == KERB_F16 ? half[i] : kerb_tensor_get_i64(&values, i);
                if (packed) onnx_varint(&list, (uint64_t)x);
                else onnx_field_int(&v, integers[k].field, x);
            }
            if (packed) onnx_field_message(&v, integers[k].field, &list);
            check_values(v, integers[k].dtype, 1, three, integers[k].values, 3 * kerb_dtype_bytes(integers[k].dtype));
        }
    }
    /* One packed part and one number alone: legal, and not to be used in place. */
    OnnxBytes mixed = onnx_part_tensor_head("w", ONNX_F32, 1, three);
    onnx_field_bytes(&mixed, 4, f, 8);
    onnx_field_f32(&mixed, 4, f[2]);
    check_values(mixed, KERB_F32, 1, three, f, sizeof f);
}

/* Opening must fail with a message that has `expect`. */
static void check_refused(OnnxBytes tensor, const char *expect)
{
    OnnxBytes m = model_of(tensor);
    KerbOnnx *onnx;
    KerbError error = { 0 };
    assert_int_equal(kerb_onnx_open_memory(&onnx, m.data, m.size, &error), KERB_ERROR_ASSET);
    assert_null(onnx);
    if (!strstr(error.message, expect)) fail_msg("'%s' is not in: %s", expect, error.message);
    onnx_free(&m);
}

static void test_sizes_that_lie(void **state)
{
    const float f[8] = { 0 };
    const int64_t negative[] = { -3 }, huge[] = { INT64_MAX, INT64_MAX }, wraps[] = { (int64_t)1 << 62, 4 }, large[] = { (int64_t)1 << 40 };
    check_refused(onnx_part_tensor("w", ONNX_F32, 1, three, f, 11), "needs 12 bytes and has 11");
    check_refused(onnx_part_tensor("w", ONNX_F32, 1, three, f, 13), "'w' (float, 3)");
    check_refused(onnx_part_tensor("w", ONNX_F32, 1, three, f, 0), "has 0");
    check_refused(onnx_part_tensor("w", ONNX_F32, 1, negative, f, 12), "no tensor can have this shape");
    check_refused(onnx_part_tensor("w", ONNX_F32, 2, huge, f, 12), "no tensor can have this shape");
    check_refused(onnx_part_tensor("w", ONNX_F32, 2, wraps, f, 0), "no tensor can have this shape"); /* 2^64 elements: 0 if it wrapped */
    check_refused(onnx_part_tensor("w", ONNX_F32, 1, large, f, 32), "has 32");
    check_refused(onnx_part_tensor_head("w", ONNX_F32, 1, large), "needs 1099511627776 values and has 0"); /* nothing of it is allocated */
    check_refused(onnx_part_tensor_head("w", ONNX_I64, 1, three), "needs 3 values and has 0");
    OnnxBytes t = onnx_part_tensor_head("w", ONNX_I64, 1, three);
    onnx_field_bytes(&t, 7, "\x01\x02\x80", 3); /* the last number is cut */
    check_refused(t, "values are damaged");
    t = onnx_part_tensor_head("w", ONNX_I64, 1, two);
    onnx_field_f32(&t, 7, 1); /* the wrong wire type */
    check_refused(t, "values are damaged");
    check_refused(onnx_part_tensor("", ONNX_F32, 1, three, f, 12), "no name");
}

static void test_types_that_kerb_lacks(void **state)
{
    const uint8_t bytes[8] = { 0 };
    const int64_t nine[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const struct {
        int type, rank;
        const int64_t *dims;
        const char *expect;
    } cases[] = {
        { ONNX_F8, 1, three, "float8e4m3fn" },
        { ONNX_STRING, 1, three, "string" },
        { 22, 1, three, "int4" },
        { 14, 1, three, "complex64" },
        { 999, 1, three, "unknown type" },
        { ONNX_F32, 9, nine, "more than 8 dimensions" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OnnxBytes m = model_of(onnx_part_tensor("w", cases[i].type, cases[i].rank, cases[i].dims, bytes, 3));
        KerbOnnx *onnx;
        KerbGraph *g;
        KerbError error = { 0 };
        assert_int_equal(kerb_onnx_open_memory(&onnx, m.data, m.size, &error), KERB_OK);
        assert_int_equal(kerb_onnx_import(onnx, &g, &error), KERB_ERROR_UNSUPPORTED);
        assert_null(g);
        assert_non_null(strstr(error.message, "'w'"));
        if (!strstr(error.message, cases[i].expect)) fail_msg("'%s' is not in: %s", cases[i].expect, error.message);
        kerb_onnx_close(&onnx);
        onnx_free(&m);
    }
}

/* ---- external data, in a fresh folder: FOLDER/model/net.onnx, FOLDER/model/weights.bin, FOLDER/secret.bin */

typedef struct Place {
    char folder[64], model[96], net[128], weights[128], secret[96];
} Place;

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static int make_place(void **state)
{
    Place *p = calloc(1, sizeof *p);
    const float weights[] = { 9, 1, 2, 3, 9 };
    strcpy(p->folder, "/tmp/kerb-onnx-XXXXXX");
    if (!p || !mkdtemp(p->folder)) return -1;
    snprintf(p->model, sizeof p->model, "%s/model", p->folder);
    snprintf(p->net, sizeof p->net, "%s/net.onnx", p->model);
    snprintf(p->weights, sizeof p->weights, "%s/weights.bin", p->model);
    snprintf(p->secret, sizeof p->secret, "%s/secret.bin", p->folder);
    mkdir(p->model, 0700);
    write_file(p->weights, weights, sizeof weights);
    write_file(p->secret, weights, sizeof weights);
    *state = p;
    return 0;
}

static int remove_place(void **state)
{
    Place *p = *state;
    char path[160];
    static const char *const links[] = { "inside.bin", "outside.bin", "up", "absolute.bin", "sub/loop" };
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", p->model, links[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/sub", p->model);
    rmdir(path);
    unlink(p->net);
    unlink(p->weights);
    unlink(p->secret);
    rmdir(p->model);
    rmdir(p->folder);
    free(p);
    return 0;
}

static OnnxBytes external(const char *location, const char *offset, const char *length)
{
    OnnxBytes t = onnx_part_tensor_head("w", ONNX_F32, 1, three);
    const char *pairs[][2] = { { "location", location }, { "offset", offset }, { "length", length } };
    for (int i = 0; i < 3; i++) {
        OnnxBytes entry = { 0 };
        if (!pairs[i][1]) continue;
        onnx_field_text(&entry, 1, pairs[i][0]);
        onnx_field_text(&entry, 2, pairs[i][1]);
        onnx_field_message(&t, 13, &entry);
    }
    onnx_field_int(&t, 14, 1);
    return t;
}

static KerbStatus open_external(const Place *p, OnnxBytes tensor, KerbOnnx **onnx, KerbError *error)
{
    OnnxBytes m = model_of(tensor);
    write_file(p->net, m.data, m.size);
    onnx_free(&m);
    *error = (KerbError){ 0 };
    return kerb_onnx_open(onnx, p->net, error);
}

static void test_external_data(void **state)
{
    const Place *p = *state;
    KerbOnnx *onnx;
    KerbGraph *g;
    KerbError error;
    char link[160];
    snprintf(link, sizeof link, "%s/inside.bin", p->model);
    assert_int_equal(symlink("weights.bin", link), 0);
    const char *locations[] = { "weights.bin", "./weights.bin", "inside.bin" }; /* a link that stays inside is fine */
    for (int i = 0; i < 3; i++) {
        if (open_external(p, external(locations[i], "4", "12"), &onnx, &error) != KERB_OK) fail_msg("%s", error.message);
        assert_true(kerb_onnx_bytes(onnx) > 20);
        assert_int_equal(kerb_onnx_import(onnx, &g, &error), KERB_OK);
        float values[3];
        assert_int_equal(kerb_value_floats(kerb_graph_value(g, kerb_graph_find(g, "w")), values, 3), 3);
        assert_true(values[0] == 1 && values[1] == 2 && values[2] == 3);
        assert_true(kerb_graph_value(g, kerb_graph_find(g, "w"))->borrowed);
        kerb_graph_free(&g);
        kerb_onnx_close(&onnx);
    }
    assert_int_equal(open_external(p, external("weights.bin", NULL, NULL), &onnx, &error), KERB_OK); /* both have defaults */
    kerb_onnx_close(&onnx);
}

static void test_external_data_that_does_not_fit(void **state)
{
    const Place *p = *state;
    KerbOnnx *onnx;
    KerbError error;
    const char *cases[][4] = {
        { "weights.bin", "12", "12", "12 at offset 12" },        { "weights.bin", "4", "8", "says 8 at offset 4" },
        { "weights.bin", "9223372036854775807", NULL, "offset" }, { "weights.bin", "99999999999999999999", NULL, "no number" },
        { "weights.bin", "-4", NULL, "no number" },               { "weights.bin", "0", "x", "no number" },
        { "nothing.bin", NULL, NULL, "is not there" },            { "", NULL, NULL, "no name" },
        { NULL, NULL, NULL, "no name" },                          { ".", NULL, NULL, "not a file" },
        { "weights.bin/x", NULL, NULL, "is not there" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(open_external(p, external(cases[i][0], cases[i][1], cases[i][2]), &onnx, &error), KERB_ERROR_ASSET);
        if (!strstr(error.message, cases[i][3])) fail_msg("case %zu: '%s' is not in: %s", i, cases[i][3], error.message);
        assert_non_null(strstr(error.message, p->net));
    }
    OnnxBytes m = model_of(external("weights.bin", "4", "12"));
    assert_int_equal(kerb_onnx_open_memory(&onnx, m.data, m.size, &error), KERB_ERROR_ASSET); /* no folder, no files */
    assert_non_null(strstr(error.message, "memory"));
    onnx_free(&m);
}

static void test_external_data_that_escapes(void **state)
{
    const Place *p = *state;
    KerbOnnx *onnx;
    KerbError error;
    char path[160], deep[2000];
    snprintf(path, sizeof path, "%s/outside.bin", p->model);
    assert_int_equal(symlink("../secret.bin", path), 0);
    snprintf(path, sizeof path, "%s/up", p->model);
    assert_int_equal(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/absolute.bin", p->model);
    assert_int_equal(symlink(p->secret, path), 0);
    snprintf(path, sizeof path, "%s/sub", p->model);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/sub/loop", p->model);
    assert_int_equal(symlink("loop", path), 0);
    memset(deep, 'a', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    const char *locations[] = { "../secret.bin", p->secret, "outside.bin", "up/secret.bin", "absolute.bin", "sub/../../secret.bin",
                                "sub/..", "..", "sub/loop", "./../secret.bin", deep };
    for (size_t i = 0; i < sizeof locations / sizeof locations[0]; i++) {
        assert_int_equal(open_external(p, external(locations[i], "4", "12"), &onnx, &error), KERB_ERROR_ASSET);
        assert_non_null(strstr(error.message, "external data"));
    }
    /* The way for kernels without openat2: no escapes, and no links at all. */
    int fd;
    for (size_t i = 0; i + 1 < sizeof locations / sizeof locations[0]; i++) {
        assert_int_not_equal(kerb_onnx_open_below(p->model, locations[i], true, &fd, &error), KERB_OK);
        assert_int_equal(fd, -1);
    }
    for (int walk = 0; walk < 2; walk++) {
        assert_int_equal(kerb_onnx_open_below(p->model, "weights.bin", walk, &fd, &error), KERB_OK);
        close(fd);
        assert_int_equal(kerb_onnx_open_below(p->model, ".//weights.bin", walk, &fd, &error), KERB_OK);
        close(fd);
        assert_int_equal(kerb_onnx_open_below(p->model, "missing", walk, &fd, &error), KERB_ERROR_ASSET);
        assert_int_equal(kerb_onnx_open_below(p->model, "weights.bin/", walk, &fd, &error), KERB_ERROR_ASSET);
    }
}

static void test_read_tensor(void **state)
{
    const Place *p = *state;
    const float f[] = { 1, 2, 3, 4 };
    OnnxBytes t = onnx_part_tensor("x", ONNX_F32, 2, two_by_two, f, sizeof f);
    KerbArena *arena = kerb_arena_new(0);
    KerbTensor out;
    KerbError error = { 0 };
    write_file(p->net, t.data, t.size);
    assert_int_equal(kerb_onnx_read_tensor(p->net, arena, &out, &error), KERB_OK);
    assert_int_equal(out.rank, 2);
    assert_int_equal((uintptr_t)out.data % KERB_ALIGNMENT, 0); /* a copy: the file is closed again */
    assert_memory_equal(out.data, f, sizeof f);
    write_file(p->net, t.data, t.size - 1);
    assert_int_equal(kerb_onnx_read_tensor(p->net, arena, &out, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, p->net));
    assert_null(out.data);
    onnx_free(&t);
    t = onnx_part_tensor_head("s", ONNX_STRING, 1, two);
    onnx_field_text(&t, 6, "a");
    write_file(p->net, t.data, t.size);
    assert_int_equal(kerb_onnx_read_tensor(p->net, arena, &out, &error), KERB_ERROR_UNSUPPORTED);
    onnx_free(&t);
    /* SequenceProto { elem_type = TENSOR, tensor_values } */
    OnnxBytes sequence = { 0 };
    t = onnx_part_tensor("x", ONNX_F32, 2, two_by_two, f, sizeof f);
    onnx_field_int(&sequence, 2, 1);
    onnx_field_message(&sequence, 3, &t);
    write_file(p->net, sequence.data, sequence.size);
    assert_int_equal(kerb_onnx_read_tensor(p->net, arena, &out, &error), KERB_ERROR_UNSUPPORTED);
    onnx_free(&sequence);
    assert_int_equal(kerb_onnx_read_tensor("/nonexistent/x.pb", arena, &out, &error), KERB_ERROR_ASSET);
    kerb_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_sizes_that_lie),
        cmocka_unit_test(test_types_that_kerb_lacks),
        cmocka_unit_test_setup_teardown(test_external_data, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_external_data_that_does_not_fit, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_external_data_that_escapes, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_read_tensor, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
