/* SPDX-License-Identifier: MIT */
/* Shape arithmetic and data movement: exact integers, hostile indices, strides that are not dense. */
#include "ref_fixture.h"

static const int64_t big = (INT64_C(1) << 53) + 1; /* not a double */

static void integers_do_not_pass_through_double(void **state)
{
    int64_t a[2] = { big, -big }, one = 1, y[2];
    KerbTensor out = TENSOR(y, KERB_I64, 1, 2);
    EVAL(KERB_OP_BINARY, out, INPUTS(VECTOR(a), SCALAR(&one, KERB_I64)), .binary = { .kind = KERB_BINARY_MUL });
    expect_i64(y, (int64_t[]){ big, -big }, 2);
    EVAL(KERB_OP_UNARY, out, INPUTS(VECTOR(a)), .unary = { .kind = KERB_UNARY_NEG });
    expect_i64(y, (int64_t[]){ -big, big }, 2);
    EVAL(KERB_OP_CLIP, out, INPUTS(VECTOR(a), SCALAR(&one, KERB_I64)), 0);
    expect_i64(y, (int64_t[]){ big, 1 }, 2);
    int64_t sum;
    KerbTensor scalar = SCALAR(&sum, KERB_I64);
    EVAL(KERB_OP_REDUCE, scalar, INPUTS(VECTOR(((int64_t[]){ big, 3 }))), .reduce = { .kind = KERB_REDUCE_PROD });
    assert_true(sum == 3 * big);
}

static void division_is_defined_everywhere(void **state)
{
    int64_t a[6] = { 7, -7, INT64_MIN, 5, -7, 7 }, b[6] = { 2, 2, -1, 0, 3, -3 }, y[6];
    KerbTensor out = TENSOR(y, KERB_I64, 1, 6);
    EVAL(KERB_OP_BINARY, out, INPUTS(VECTOR(a), VECTOR(b)), .binary = { .kind = KERB_BINARY_DIV });
    expect_i64(y, (int64_t[]){ 3, -3, INT64_MIN, 0, -2, -2 }, 6);
    EVAL(KERB_OP_BINARY, out, INPUTS(VECTOR(a), VECTOR(b)), .binary = { .kind = KERB_BINARY_MOD });
    expect_i64(y, (int64_t[]){ 1, 1, 0, 0, 2, -2 }, 6);
    EVAL(KERB_OP_BINARY, out, INPUTS(VECTOR(a), VECTOR(b)), .binary = { .kind = KERB_BINARY_MOD, .fmod = true });
    expect_i64(y, (int64_t[]){ 1, -1, 0, 0, -1, 1 }, 6);
}

static void unsigned_64_bits_keep_their_order(void **state)
{
    uint64_t a[2] = { UINT64_MAX, 1 }, b[2] = { 2, 2 }, y[2];
    KerbTensor out = TENSOR(y, KERB_U64, 1, 2), p = TENSOR(a, KERB_U64, 1, 2), q = TENSOR(b, KERB_U64, 1, 2);
    EVAL(KERB_OP_BINARY, out, INPUTS(p, q), .binary = { .kind = KERB_BINARY_MAX });
    assert_true(y[0] == UINT64_MAX && y[1] == 2);
    EVAL(KERB_OP_BINARY, out, INPUTS(p, q), .binary = { .kind = KERB_BINARY_DIV });
    assert_true(y[0] == UINT64_MAX / 2 && y[1] == 0);
    uint64_t low = 3;
    EVAL(KERB_OP_CLIP, out, INPUTS(p, SCALAR(&low, KERB_U64)), 0);
    assert_true(y[0] == UINT64_MAX && y[1] == 3);
}

#define ONE(pointer) TENSOR(pointer, KERB_I64, 1, 1)

static void slice_backwards_and_past_the_ends(void **state)
{
    int64_t x[6] = { 0, 1, 2, 3, 4, 5 }, y[6], starts = -1, ends = INT64_MIN, axes = 0, steps = -2;
    KerbTensor out = TENSOR(y, KERB_I64, 1, 3);
    EVAL(KERB_OP_SLICE, out, INPUTS(VECTOR(x), ONE(&starts), ONE(&ends), ONE(&axes), ONE(&steps)), 0);
    expect_i64(y, (int64_t[]){ 5, 3, 1 }, 3);
    steps = INT64_MIN; /* one element, whatever the step */
    out.dims[0] = 1;
    EVAL(KERB_OP_SLICE, out, INPUTS(VECTOR(x), ONE(&starts), ONE(&ends), ONE(&axes), ONE(&steps)), 0);
    expect_i64(y, (int64_t[]){ 5 }, 1);
    out.dims[0] = 3; /* a shape that this step cannot give is refused, not read */
    assert_int_equal(EVAL_STATUS(KERB_OP_SLICE, out, INPUTS(VECTOR(x), ONE(&starts), ONE(&ends), ONE(&axes), ONE(&steps)), 0),
                     KERB_ERROR_ASSET);
}

static void gather_checks_its_indices(void **state)
{
    int64_t x[3] = { 10, 20, 30 }, indices[2] = { -1, 0 }, y[2];
    KerbTensor out = TENSOR(y, KERB_I64, 1, 2);
    EVAL(KERB_OP_GATHER, out, INPUTS(VECTOR(x), VECTOR(indices)), .axis = 0);
    expect_i64(y, (int64_t[]){ 30, 10 }, 2);
    indices[0] = 3;
    KerbError error = { 0 };
    assert_int_equal(eval_in(NULL, KERB_OP_GATHER, (KerbAttrs){ .axis = 0 }, INPUTS(VECTOR(x), VECTOR(indices)), 1,
                              &out, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "index 3"));
    assert_non_null(strstr(error.message, "node"));
    assert_int_equal(EVAL_STATUS(KERB_OP_GATHER_ELEMENTS, out, INPUTS(VECTOR(x), VECTOR(indices)), .axis = 0), KERB_ERROR_ASSET);
}

/* Channels-last in, dense out: the logical order is what counts. */
static void reshape_follows_logical_order(void **state)
{
    float x[12], y[12], expected[12];
    KerbTensor in = kerb_tensor_channels_last(x, KERB_F32, 4, DIMS(1, 3, 2, 2), 3), out = TENSOR(y, KERB_F32, 2, 3, 4);
    for (int i = 0; i < 12; i++) {
        kerb_tensor_set(&in, i, i);
        expected[i] = (float)i;
    }
    EVAL(KERB_OP_RESHAPE, out, INPUTS(in, VECTOR(((int64_t[]){ 3, 4 }))), 0);
    expect_f32(y, expected, 12, 0);
    assert_true(x[1] == 4.0f); /* it was channels-last indeed */
    KerbTensor wrong = TENSOR(y, KERB_F32, 1, 11);
    assert_int_equal(EVAL_STATUS(KERB_OP_FLATTEN, wrong, INPUTS(in), 0), KERB_ERROR_ASSET);
}

static void transpose_of_strided_views(void **state)
{
    float x[2 * 8], y[3 * 8];
    memset(x, 0, sizeof x);
    memset(y, 0, sizeof y);
    KerbTensor in = { x, KERB_F32, 2, { 2, 3 }, { 8, 2 } }, out = { y, KERB_F32, 2, { 3, 2 }, { 8, 3 } };
    for (int i = 0; i < 6; i++) kerb_tensor_set(&in, i, i + 1);
    EVAL(KERB_OP_TRANSPOSE, out, INPUTS(in), 0);
    for (int i = 0; i < 6; i++) assert_true(kerb_tensor_get(&out, i) == i % 2 * 3 + i / 2 + 1);
    assert_true(y[1] == 0 && y[2] == 0 && y[4] == 0); /* nothing between the elements is touched */
    assert_int_equal(EVAL_STATUS(KERB_OP_TRANSPOSE, out, INPUTS(in), .transpose = { .n = 2, .perm = { 1, 1 } }), KERB_ERROR_ASSET);
}

static void pad_modes(void **state)
{
    int64_t x[3] = { 1, 2, 3 }, pads[2] = { 4, 2 }, y[9], value = 7;
    KerbTensor out = TENSOR(y, KERB_I64, 1, 9);
    EVAL(KERB_OP_PAD, out, INPUTS(VECTOR(x), VECTOR(pads), SCALAR(&value, KERB_I64)), .pad = { KERB_PADDING_CONSTANT });
    expect_i64(y, (int64_t[]){ 7, 7, 7, 7, 1, 2, 3, 7, 7 }, 9);
    EVAL(KERB_OP_PAD, out, INPUTS(VECTOR(x), VECTOR(pads)), .pad = { KERB_PADDING_EDGE });
    expect_i64(y, (int64_t[]){ 1, 1, 1, 1, 1, 2, 3, 3, 3 }, 9);
    EVAL(KERB_OP_PAD, out, INPUTS(VECTOR(x), VECTOR(pads)), .pad = { KERB_PADDING_REFLECT });
    expect_i64(y, (int64_t[]){ 1, 2, 3, 2, 1, 2, 3, 2, 1 }, 9);
    EVAL(KERB_OP_PAD, out, INPUTS(VECTOR(x), VECTOR(pads)), .pad = { KERB_PADDING_WRAP });
    expect_i64(y, (int64_t[]){ 3, 1, 2, 3, 1, 2, 3, 1, 2 }, 9);
    int64_t crop[2] = { -1, 1 };
    out.dims[0] = 3;
    EVAL(KERB_OP_PAD, out, INPUTS(VECTOR(x), VECTOR(crop)), .pad = { KERB_PADDING_CONSTANT });
    expect_i64(y, (int64_t[]){ 2, 3, 0 }, 3);
}

static void empty_tensors_are_fine(void **state)
{
    float y[4] = { 1, 2, 3, 4 }, x[4] = { 5, 6, 7, 8 };
    KerbTensor empty = { .data = NULL, .dtype = KERB_F32, .rank = 2, .dims = { 2, 0 }, .strides = { 0, 1 } }, out = empty;
    EVAL(KERB_OP_UNARY, out, INPUTS(empty), .unary = { .kind = KERB_UNARY_EXP });
    EVAL(KERB_OP_TRANSPOSE, out, INPUTS(empty), 0);
    KerbTensor joined = TENSOR(y, KERB_F32, 2, 2, 2);
    EVAL(KERB_OP_CONCAT, joined, INPUTS(empty, TENSOR(x, KERB_F32, 2, 2, 2)), .axis = 1);
    expect_f32(y, x, 4, 0);
    KerbTensor reduced = TENSOR(y, KERB_F32, 1, 2);
    EVAL(KERB_OP_REDUCE, reduced, INPUTS(empty, VECTOR(((int64_t[]){ -1 }))), .reduce = { .kind = KERB_REDUCE_SUM });
    expect_f32(y, (float[]){ 0, 0 }, 2, 0);
}

static void depth_to_space_and_back(void **state)
{
    float x[16], y[16], z[16];
    for (int i = 0; i < 16; i++) x[i] = (float)i;
    KerbTensor deep = TENSOR(x, KERB_F32, 4, 1, 8, 1, 2), wide = TENSOR(y, KERB_F32, 4, 1, 2, 2, 4),
               back = TENSOR(z, KERB_F32, 4, 1, 8, 1, 2);
    EVAL(KERB_OP_DEPTH_TO_SPACE, wide, INPUTS(deep), .block = { .size = 2 });
    expect_f32(y, (float[]){ 0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15 }, 16, 0); /* channel = (row, column, c) */
    EVAL(KERB_OP_SPACE_TO_DEPTH, back, INPUTS(wide), .block = { .size = 2 });
    expect_f32(z, x, 16, 0);
    EVAL(KERB_OP_DEPTH_TO_SPACE, wide, INPUTS(deep), .block = { .size = 2, .crd = true });
    expect_f32(y, (float[]){ 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15 }, 16, 0); /* channel = (c, row, column) */
    assert_int_equal(EVAL_STATUS(KERB_OP_DEPTH_TO_SPACE, wide, INPUTS(deep), .block = { .size = 3 }), KERB_ERROR_ASSET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_do_not_pass_through_double), cmocka_unit_test(division_is_defined_everywhere),
        cmocka_unit_test(unsigned_64_bits_keep_their_order),   cmocka_unit_test(slice_backwards_and_past_the_ends),
        cmocka_unit_test(gather_checks_its_indices),           cmocka_unit_test(reshape_follows_logical_order),
        cmocka_unit_test(transpose_of_strided_views),          cmocka_unit_test(pad_modes),
        cmocka_unit_test(empty_tensors_are_fine),              cmocka_unit_test(depth_to_space_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
