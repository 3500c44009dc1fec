/* SPDX-License-Identifier: MIT */
/* kerb_in against a slow double implementation of its contract: every format, colorimetry, fit, scale, size, layout and type. */
#include "in_fixture.h"

static const KerbPixelFormat some_formats[] = { KERB_FORMAT_I420, KERB_FORMAT_NV12, KERB_FORMAT_YUY2, KERB_FORMAT_RGB, KERB_FORMAT_BGRX,
                                                KERB_FORMAT_GRAY8 };
#define N_SOME_FORMATS (sizeof some_formats / sizeof some_formats[0])

static void every_format_and_colorimetry(void **state)
{
    for (int f = KERB_FORMAT_I420; f < KERB_FORMAT_COUNT; f++)
        for (int matrix = 0; matrix < 3; matrix++)
            for (int range = 0; range < 2; range++)
                for (int site = 0; site < 2; site++) {
                    if (f > KERB_FORMAT_UYVY && matrix + range + site > 0) continue; /* say nothing there */
                    for (int color = KERB_COLOR_RGB; color <= KERB_COLOR_GRAY; color++) {
                        KerbVideoFormat format = fixture_format((KerbPixelFormat)f, 61, 43, (KerbMatrix)matrix, (KerbRange)range,
                                                                (KerbChromaSite)site);
                        KerbInParams p = fixture_params(format, 40, 29, KERB_FIT_STRETCH, (KerbColor)color, KERB_F32, FIXTURE_NHWC);
                        fixture_check(&p, 13, (uint32_t)(f * 100 + matrix * 10 + range * 2 + site));
                    }
                }
}

/* Each scale on each axis, so that an area across meets bilinear down and the other way round. */
static void every_scale(void **state)
{
    static const double scales[] = { 1, 1.5, 2, 2.0001, 2.5, 3, 4, 7.3, 0.37 };
    const int n = sizeof scales / sizeof scales[0];
    for (size_t f = 0; f < N_SOME_FORMATS; f++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                int w = 131, h = 97;
                KerbVideoFormat format = fixture_format(some_formats[f], w, h, KERB_MATRIX_BT709, KERB_RANGE_LIMITED,
                                                        (i + j) % 2 ? KERB_CHROMA_LEFT : KERB_CHROMA_CENTRE);
                KerbInParams p = fixture_params(format, (int)fmax(1, w / scales[i]), (int)fmax(1, h / scales[j]), KERB_FIT_STRETCH,
                                                KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
                fixture_check(&p, 5, (uint32_t)(i * n + j));
            }
}

/* Scales that are exactly 2 and 3 or land on whole samples: edges between taps. */
static void whole_scales(void **state)
{
    for (int f = KERB_FORMAT_I420; f < KERB_FORMAT_COUNT; f++)
        for (int s = 1; s <= 5; s++) {
            KerbVideoFormat format =
                fixture_format((KerbPixelFormat)f, 48 * s, 20 * s, KERB_MATRIX_BT601, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
            KerbInParams p = fixture_params(format, 48, 20, KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NCHW);
            fixture_check(&p, 0, (uint32_t)(f * 10 + s));
        }
}

static void every_fit(void **state)
{
    static const int sizes[][4] = { { 160, 90, 64, 64 }, { 90, 160, 64, 64 }, { 321, 33, 50, 40 }, { 40, 40, 96, 55 }, { 7, 300, 31, 29 } };
    for (size_t f = 0; f < N_SOME_FORMATS; f++)
        for (int fit = KERB_FIT_STRETCH; fit <= KERB_FIT_CROP; fit++)
            for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
                for (int layout = 0; layout < FIXTURE_LAYOUTS; layout++) {
                    KerbVideoFormat format = fixture_format(some_formats[f], sizes[s][0], sizes[s][1], KERB_MATRIX_BT709, KERB_RANGE_FULL,
                                                            KERB_CHROMA_LEFT);
                    KerbInParams p = fixture_params(format, sizes[s][2], sizes[s][3], (KerbFit)fit, KERB_COLOR_BGR,
                                                    layout % 2 ? KERB_BF16 : KERB_F32, (FixtureLayout)layout);
                    fixture_check(&p, 3, (uint32_t)s);
                }
}

/* Every small frame on every small input, each in its own block of exactly its bytes. */
static void small_sizes(void **state)
{
    for (int f = KERB_FORMAT_I420; f < KERB_FORMAT_COUNT; f++)
        for (int w = 1; w <= 5; w++)
            for (int h = 1; h <= 3; h++)
                for (int n = 1; n <= 7; n += 3) {
                    KerbVideoFormat format = fixture_format((KerbPixelFormat)f, w, h, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT);
                    for (int fit = KERB_FIT_STRETCH; fit <= KERB_FIT_CROP; fit++) {
                        KerbInParams p = fixture_params(format, n, 8 - n, (KerbFit)fit, KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
                        fixture_check(&p, 0, (uint32_t)(w * 10 + h));
                    }
                }
}

/* Widths around the vector's and the tile's, also wider than one tile. */
static void widths(void **state)
{
    static const int widths[] = { 15, 16, 17, 33, 511, 512, 513, 1025 };
    for (size_t f = 0; f < N_SOME_FORMATS; f += 2)
        for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
            for (int k = 0; k < 3; k++) {
                static const double scale[] = { 1.5, 3, 0.5 };
                KerbVideoFormat format = fixture_format(some_formats[f], (int)(widths[i] * scale[k]), 5, KERB_MATRIX_BT709,
                                                        KERB_RANGE_LIMITED, KERB_CHROMA_CENTRE);
                KerbInParams p = fixture_params(format, widths[i], 3, KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
                fixture_check(&p, 1, (uint32_t)i);
            }
}

static void layouts_and_types(void **state)
{
    for (int layout = 0; layout < FIXTURE_LAYOUTS; layout++)
        for (int type = 0; type < 2; type++)
            for (int color = KERB_COLOR_RGB; color <= KERB_COLOR_GRAY; color++)
                for (int w = 1; w <= 70; w += 23) {
                    KerbVideoFormat format =
                        fixture_format(KERB_FORMAT_NV21, 95, 40, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
                    KerbInParams p = fixture_params(format, w, 21, KERB_FIT_LETTERBOX, (KerbColor)color, type ? KERB_BF16 : KERB_F32,
                                                    (FixtureLayout)layout);
                    fixture_check(&p, 0, (uint32_t)w);
                }
}

/* A frame of one colour gives that colour at every scale: the weights sum to 1. */
static void constant_frames(void **state)
{
    for (int n = 1; n < 60; n += 7) {
        KerbVideoFormat format = fixture_format(KERB_FORMAT_RGB, 157, 201, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT);
        FixtureFrame frame = fixture_frame_new(&format, 0, 1, false);
        memset(frame.memory[0], 200, frame.bytes[0]);
        KerbInParams p = fixture_params(format, n, n, KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NCHW);
        FixtureOutput o = fixture_output_new(&p);
        fixture_run(&p, &frame.frame, &o, NULL);
        for (int i = 0; i < 3 * n * n; i++)
            assert_true(fabs(fixture_value(&o.tensor, i) * p.std[i / (n * n)] + p.mean[i / (n * n)] - 200) < TOLERANCE);
        fixture_output_free(&o);
        fixture_frame_free(&frame);
    }
}

/* The narrowest thing that can be asked for: all of the largest side in one pixel. Sums of 16384 rows in float: 16384 half steps at 255. */
static void largest_side_to_one_pixel(void **state)
{
    KerbVideoFormat tall = fixture_format(KERB_FORMAT_GRAY8, 3, KERB_MAX_SIDE_PX, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT);
    KerbVideoFormat wide = fixture_format(KERB_FORMAT_I420, KERB_MAX_SIDE_PX, 3, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT);
    for (int i = 0; i < 2; i++) {
        KerbInParams p = fixture_params(i ? wide : tall, 1, 1, KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
        FixtureFrame frame = fixture_frame_new(&p.format, 0, 9, false);
        FixtureOutput o = fixture_output_new(&p);
        fixture_run(&p, &frame.frame, &o, NULL);
        double *reference = fixture_reference(&p, &frame.frame);
        assert_true(fixture_difference(&p, &o.tensor, reference) <= (i ? TOLERANCE : 16384 * 7.7e-6));
        free(reference);
        fixture_output_free(&o);
        fixture_frame_free(&frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_colorimetry), cmocka_unit_test(every_scale), cmocka_unit_test(whole_scales),
        cmocka_unit_test(every_fit), cmocka_unit_test(small_sizes), cmocka_unit_test(widths), cmocka_unit_test(layouts_and_types),
        cmocka_unit_test(constant_frames), cmocka_unit_test(largest_side_to_one_pixel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
