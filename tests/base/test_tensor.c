/* SPDX-License-Identifier: MIT */
/* Shapes and strides, checked products, element access and conversion; half precision against its definition for all 65536 patterns. */
#include "base_test.h"

#include "base/tensor.h"

#include <math.h>

/* The value of a pattern with `exponent_bits` and `mantissa_bits`, from IEEE 754's definition. */
static double decode(unsigned v, int exponent_bits, int mantissa_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, exponent = (int)(v >> mantissa_bits) & ((1 << exponent_bits) - 1);
    double fraction = ldexp((double)(v & ((1u << mantissa_bits) - 1)), -mantissa_bits), sign = v >> 15 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return fraction > 0 ? NAN : sign * INFINITY;
    return exponent ? sign * ldexp(1 + fraction, exponent - bias) : sign * ldexp(fraction, 1 - bias);
}

typedef struct HalfType {
    int exponent_bits, mantissa_bits;
    float (*to_f32)(uint16_t);
    uint16_t (*from_f32)(float);
} HalfType;

static float bf16_to_f32(uint16_t v) { return kerb_bf16_to_f32(v); }
static uint16_t f32_to_bf16(float v) { return kerb_f32_to_bf16(v); }
static const HalfType half_types[] = { { 5, 10, kerb_f16_to_f32, kerb_f32_to_f16 }, { 8, 7, bf16_to_f32, f32_to_bf16 } };

static void every_half_pattern(void **state)
{
    for (size_t t = 0; t < COUNT(half_types); t++)
        for (unsigned v = 0; v < 65536; v++) {
            const HalfType *h = &half_types[t];
            double want = decode(v, h->exponent_bits, h->mantissa_bits);
            float got = h->to_f32((uint16_t)v);
            uint16_t back = h->from_f32(got);
            if (isnan(want)) {
                assert_true(isnan(got));
                assert_true(isnan(h->to_f32(back)));
                assert_int_equal(back >> 15, v >> 15);
            } else {
                if ((double)got != want || !signbit(got) != !signbit(want))
                    fail_msg("type %zu pattern %04x: %g, not %g", t, v, (double)got, want);
                assert_int_equal(back, v);
            }
        }
}

/* Between each pattern and the next: just below, at, and just above the middle. */
static void half_rounds_to_nearest_even(void **state)
{
    for (size_t t = 0; t < COUNT(half_types); t++) {
        const HalfType *h = &half_types[t];
        unsigned top = ((1u << h->exponent_bits) - 1) << h->mantissa_bits; /* infinity */
        for (unsigned v = 0; v + 1 < top; v++) {
            double low = decode(v, h->exponent_bits, h->mantissa_bits), high = decode(v + 1, h->exponent_bits, h->mantissa_bits);
            float middle = (float)((low + high) / 2); /* exact: f32 has the bit */
            assert_int_equal(h->from_f32(middle), v + (v & 1));
            assert_int_equal(h->from_f32(nextafterf(middle, 0)), v);
            assert_int_equal(h->from_f32(nextafterf(middle, INFINITY)), v + 1);
            assert_int_equal(h->from_f32(-middle), (v + (v & 1)) | 0x8000);
        }
        double largest = decode(top - 1, h->exponent_bits, h->mantissa_bits),
               step = largest - decode(top - 2, h->exponent_bits, h->mantissa_bits);
        assert_int_equal(h->from_f32((float)(largest + step / 2)), top);
        assert_int_equal(h->from_f32(nextafterf((float)(largest + step / 2), 0)), top - 1);
        assert_int_equal(h->from_f32(INFINITY), top);
        assert_int_equal(h->from_f32(-INFINITY), top | 0x8000);
    }
}

/* From f64 too there is one rounding: f32 lies between, and a number beside a middle would become the middle there. */
static void double_rounds_once(void **state)
{
    static const KerbDtype dtypes[] = { KERB_F16, KERB_BF16 };
    for (size_t t = 0; t < COUNT(half_types); t++) {
        const HalfType *h = &half_types[t];
        unsigned top = ((1u << h->exponent_bits) - 1) << h->mantissa_bits;
        for (unsigned v = 0; v + 1 < top; v++) {
            double middle = (decode(v, h->exponent_bits, h->mantissa_bits) + decode(v + 1, h->exponent_bits, h->mantissa_bits)) / 2;
            const double values[] = { middle, nextafter(middle, 0), nextafter(middle, INFINITY), -nextafter(middle, 0), -nextafter(middle, INFINITY) };
            const unsigned expect[] = { v + (v & 1), v, v + 1, v | 0x8000, (v + 1) | 0x8000 };
            for (size_t i = 0; i < COUNT(values); i++) {
                uint16_t got = 0;
                double from = values[i];
                KerbTensor source = kerb_tensor(&from, KERB_F64, 0, NULL), target = kerb_tensor(&got, dtypes[t], 0, NULL);
                kerb_tensor_copy(&target, &source);
                if (got != expect[i]) fail_msg("type %zu: %a became %04x, not %04x", t, from, got, expect[i]);
            }
        }
        const double huge[] = { 1e300, -1e300, INFINITY, 1e-300, -1e-300 };
        const unsigned expect[] = { top, top | 0x8000, top, 0, 0x8000 };
        for (size_t i = 0; i < COUNT(huge); i++) {
            uint16_t got = 1;
            KerbTensor target = kerb_tensor(&got, dtypes[t], 0, NULL);
            kerb_tensor_set(&target, 0, huge[i]);
            assert_int_equal(got, expect[i]);
        }
    }
}

static void layouts(void **state)
{
    const int64_t dims[] = { 2, 3, 4, 5 };
    KerbTensor t = kerb_tensor(NULL, KERB_F32, 4, dims);
    const int64_t nchw[] = { 60, 20, 5, 1 }, nhwc[] = { 60, 1, 15, 3 }, padded[] = { 160, 1, 40, 8 };
    assert_memory_equal(t.strides, nchw, sizeof nchw);
    assert_true(kerb_tensor_is_dense(&t));
    assert_int_equal(kerb_tensor_elements(&t), 120);
    assert_int_equal(kerb_tensor_bytes(&t), 480);
    KerbTensor last = kerb_tensor_channels_last(NULL, KERB_F16, 4, dims, 3);
    assert_memory_equal(last.strides, nhwc, sizeof nhwc);
    assert_false(kerb_tensor_is_dense(&last));
    assert_true(kerb_tensor_same_shape(&t, &last));
    last = kerb_tensor_channels_last(NULL, KERB_F16, 4, dims, 8);
    assert_memory_equal(last.strides, padded, sizeof padded);
    assert_int_equal(kerb_tensor_bytes(&last), 240); /* of a dense one */
    KerbTensor flat = kerb_tensor_channels_last(NULL, KERB_F32, 2, dims, 3);
    assert_true(kerb_tensor_is_dense(&flat));
    KerbTensor scalar = kerb_tensor(NULL, KERB_I64, 0, NULL);
    assert_int_equal(kerb_tensor_elements(&scalar), 1);
    assert_int_equal(kerb_tensor_bytes(&scalar), 8);
    assert_false(kerb_tensor_same_shape(&t, &flat));
    t.dims[2] = 1, t.strides[2] = 99; /* the stride of one element says nothing */
    t.strides[1] = 5, t.strides[0] = 15;
    assert_true(kerb_tensor_is_dense(&t));
}

static void products(void **state)
{
    int64_t n = -5;
    const int64_t image[] = { 1, 3, 360, 640 }, unknown[] = { 1, -1, 2 }, huge[] = { INT64_MAX, 2 }, empty[] = { 5, 0, 7 };
    assert_true(kerb_dims_elements(4, image, 0, &n) && n == 691200);
    assert_true(kerb_dims_elements(4, image, 691200, &n));
    assert_false(kerb_dims_elements(4, image, 691199, &n));
    assert_true(kerb_dims_elements(0, NULL, 0, &n) && n == 1);
    assert_false(kerb_dims_elements(3, unknown, 0, &n));
    assert_false(kerb_dims_elements(2, huge, 0, &n));
    assert_true(kerb_dims_elements(3, empty, 0, &n) && n == 0);
    char text[64], small[8];
    assert_string_equal(kerb_dims_text(4, image, text, sizeof text), "1x3x360x640");
    assert_string_equal(kerb_dims_text(3, unknown, text, sizeof text), "1x?x2");
    assert_string_equal(kerb_dims_text(0, NULL, text, sizeof text), "scalar");
    memset(small, 'z', sizeof small);
    assert_int_equal(strlen(kerb_dims_text(4, image, small, sizeof small)), sizeof small - 1);
}

static void types(void **state)
{
    static const size_t bytes[KERB_DTYPE_COUNT] = { 0, 4, 2, 2, 8, 1, 1, 2, 2, 4, 4, 8, 8, 1 };
    for (int d = 0; d < KERB_DTYPE_COUNT; d++) {
        assert_int_equal(kerb_dtype_bytes((KerbDtype)d), bytes[d]);
        assert_int_equal(kerb_dtype_is_float((KerbDtype)d), d >= KERB_F32 && d <= KERB_F64);
        for (int e = 0; e < d; e++) assert_string_not_equal(kerb_dtype_name((KerbDtype)d), kerb_dtype_name((KerbDtype)e));
    }
    assert_int_equal(kerb_dtype_bytes((KerbDtype)1000), 0);
}

/* Small integers go through every pair of types unharmed, whatever the strides. */
static void every_conversion(void **state)
{
    const int64_t dims[] = { 2, 3, 2, 2 };
    for (int from = KERB_F32; from < KERB_DTYPE_COUNT; from++)
        for (int to = KERB_F32; to < KERB_DTYPE_COUNT; to++) {
            _Alignas(8) uint8_t a[24 * 8] = { 0 }, b[64 * 8];
            memset(b, 0xEE, sizeof b);
            KerbTensor src = kerb_tensor(a, (KerbDtype)from, 4, dims), dst = kerb_tensor_channels_last(b, (KerbDtype)to, 4, dims, 5);
            for (int i = 0; i < 24; i++) kerb_tensor_set(&src, i, i * 5 % 24);
            kerb_tensor_copy(&dst, &src);
            for (int n = 0, i = 0; n < 2; n++)
                for (int c = 0; c < 3; c++)
                    for (int p = 0; p < 4; p++, i++) {
                        double want = i * 5 % 24;
                        if (from == KERB_BOOL || to == KERB_BOOL) want = want != 0;
                        assert_true(kerb_tensor_get(&dst, i) == want);
                        assert_int_equal(kerb_tensor_get_i64(&dst, i), (int64_t)want);
                        KerbTensor one =
                            kerb_tensor(b + (size_t)(n * 20 + p * 5 + c) * kerb_dtype_bytes((KerbDtype)to), (KerbDtype)to, 0, NULL);
                        assert_true(kerb_tensor_get(&one, 0) == want); /* and lies where the strides say */
                    }
            for (size_t p = 0; p < 8; p++) /* padding is left alone */
                assert_int_equal(b[(p * 5 + 4) * kerb_dtype_bytes((KerbDtype)to)], 0xEE);
        }
}

static void check_saturation(KerbDtype type, double value, int64_t want)
{
    uint64_t memory = 0;
    KerbTensor t = kerb_tensor(&memory, type, 0, NULL);
    kerb_tensor_set(&t, 0, value);
    if (kerb_tensor_get_i64(&t, 0) != want)
        fail_msg("%g as %s: %lld", value, kerb_dtype_name(type), (long long)kerb_tensor_get_i64(&t, 0));
}

static void floats_saturate_and_truncate(void **state)
{
    check_saturation(KERB_U8, 255.9, 255);
    check_saturation(KERB_U8, 256, 255);
    check_saturation(KERB_U8, -3, 0);
    check_saturation(KERB_I8, -128.9, -128);
    check_saturation(KERB_I8, -1e30, -128);
    check_saturation(KERB_I8, -1.9, -1);
    check_saturation(KERB_U16, 1e9, 65535);
    check_saturation(KERB_I16, 40000, 32767);
    check_saturation(KERB_U32, 5e9, UINT32_MAX);
    check_saturation(KERB_I32, -5e9, INT32_MIN);
    check_saturation(KERB_I64, 1e19, INT64_MAX);
    check_saturation(KERB_I64, -INFINITY, INT64_MIN);
    check_saturation(KERB_U64, -1, 0);
    check_saturation(KERB_U64, INFINITY, -1); /* all ones */
    check_saturation(KERB_I32, NAN, 0);
    check_saturation(KERB_U64, NAN, 0);
    check_saturation(KERB_BOOL, 0.25, 1);
}

/* Reading through stride 0 repeats; 64-bit integers keep every bit; constants of a model need no alignment. */
static void odd_views(void **state)
{
    float row[3] = { 1, 2, 3 }, out[6];
    const int64_t dims[] = { 2, 3 };
    KerbTensor src = kerb_tensor(row, KERB_F32, 2, dims), dst = kerb_tensor(out, KERB_F32, 2, dims);
    src.strides[0] = 0;
    kerb_tensor_copy(&dst, &src);
    for (int i = 0; i < 6; i++) assert_true(out[i] == row[i % 3]);

    int64_t big = INT64_MAX - 1, copy = 0;
    KerbTensor a = kerb_tensor(&big, KERB_I64, 0, NULL), b = kerb_tensor(&copy, KERB_U64, 0, NULL);
    kerb_tensor_copy(&b, &a);
    assert_true(copy == big);

    uint8_t bytes[9];
    memcpy(bytes + 1, &(double){ 0.1 }, 8);
    KerbTensor odd = kerb_tensor(bytes + 1, KERB_F64, 0, NULL);
    assert_true(kerb_tensor_get(&odd, 0) == 0.1);
    memcpy(bytes + 1, &big, 8);
    odd.dtype = KERB_I64;
    assert_true(kerb_tensor_get_i64(&odd, 0) == big);

    const int64_t none[] = { 0, 4 };
    KerbTensor empty = kerb_tensor(NULL, KERB_F32, 2, none);
    kerb_tensor_copy(&empty, &empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_pattern), cmocka_unit_test(half_rounds_to_nearest_even), cmocka_unit_test(double_rounds_once), cmocka_unit_test(layouts),
        cmocka_unit_test(products), cmocka_unit_test(types), cmocka_unit_test(every_conversion),
        cmocka_unit_test(floats_saturate_and_truncate), cmocka_unit_test(odd_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
