/* SPDX-License-Identifier: MIT */
/* The arithmetic of one pixel (out_pixel.h) against doubles: what CUDA will share is right here first. */
#include "out_cases.h"

#include "out/out_pixel.h"

static void test_exponential(void **state)
{
    double worst = 0;
    for (int i = 0; i <= 800000; i++) {
        float x = -1e-4f * (float)i;
        worst = fmax(worst, fabs(kerb_px_exp(x) / exp(x) - 1));
    }
    print_message("greatest relative error of exp: %.2e\n", worst);
    assert_true(worst < 1e-5); /* 2.9e-6 of the polynomial, and what rounding 80 * log2(e) to a float takes */
    assert_true(kerb_px_exp(0.0f) == 1.0f);
    assert_true(kerb_px_exp(-1e30f) > 0.0f && kerb_px_exp(-1e30f) < 1e-34f);
    for (int i = -300000; i <= 300000; i++) {
        float s = 1e-4f * (float)i;
        assert_true(fabs(kerb_px_sigmoid(s) - 1 / (1 + exp(-(double)s))) < (double)KERB_PX_PROBABILITY_ERROR);
    }
    assert_true((double)KERB_PX_PROBABILITY_ERROR < 1.0 / 512);
    assert_true(kerb_px_sigmoid(2e30f) == 1.0f && kerb_px_sigmoid(-2e30f) < 1e-34f);
}

static void test_scores_are_finite(void **state)
{
    assert_true(kerb_px_score(NAN) == -KERB_PX_SCORE_LIMIT);
    assert_true(kerb_px_score(-NAN) == -KERB_PX_SCORE_LIMIT);
    assert_true(kerb_px_score(INFINITY) == KERB_PX_SCORE_LIMIT);
    assert_true(kerb_px_score(-INFINITY) == -KERB_PX_SCORE_LIMIT);
    assert_true(kerb_px_score(-3.25f) == -3.25f);
}

static void test_confidence_rounds_half_up(void **state)
{
    for (int i = 0; i <= 100000; i++) {
        float p = (float)i / 100000.0f;
        assert_true(fabs(kerb_px_confidence(p) - 255.0 * (double)p) <= 0.5 + 1e-4);
    }
    assert_int_equal(kerb_px_confidence(0.0f), 0);
    assert_int_equal(kerb_px_confidence(1.0f), 255);
    assert_int_equal(kerb_px_confidence(0.5f), 128);
}

static void test_places(void **state)
{
    float w;
    assert_int_equal(kerb_px_linear(-7.0, 5, &w), 0);
    assert_true(w == 0.0f);
    assert_int_equal(kerb_px_linear(2.25, 5, &w), 2);
    assert_true(w == 0.25f);
    assert_int_equal(kerb_px_linear(4.0, 5, &w), 4);
    assert_true(w == 0.0f);
    assert_int_equal(kerb_px_linear(1e300, 5, &w), 4);
    assert_true(w == 0.0f);
    assert_int_equal(kerb_px_linear((double)NAN, 5, &w), 0);
    assert_int_equal(kerb_px_linear(0.7, 1, &w), 0);
    assert_true(w == 0.0f);
    static const struct { double at; int cell; } nearest[] = { { -9, 0 }, { 0.49, 0 }, { 0.5, 1 }, { 3.4, 3 }, { 4.7, 4 }, { 1e300, 4 }, { (double)NAN, 0 } };
    for (size_t i = 0; i < sizeof(nearest) / sizeof(nearest[0]); i++) assert_int_equal(kerb_px_nearest(nearest[i].at, 5), nearest[i].cell);
    /* Twice as many pixels as cells, half-pixel centres: pixel 0 is a quarter of a cell before cell 0's centre. */
    assert_true(fabs(kerb_px_cell(0, 1.0, 0.0, 2.0, 0.0) - -0.25) < 1e-12);
    assert_true(fabs(kerb_px_cell(5, 1.0, 0.0, 2.0, 0.0) - 2.25) < 1e-12);
    /* align_corners, 4 cells on 7 pixels: cell k's centre on pixel 2k's. */
    assert_true(fabs(kerb_px_cell(4, 1.0, 0.0, 2.0, 0.5 - 1.0) - 2.0) < 1e-12);
}

static void test_blends(void **state)
{
    for (int alpha = 0; alpha <= 256; alpha += alpha < 4 || alpha > 250 ? 1 : 5)
        for (int source = 0; source < 256; source++)
            for (int colour = 0; colour < 256; colour += colour < 4 || colour > 250 ? 1 : 3) {
                int expected = (int)floor(source + alpha / 256.0 * (colour - source) + 0.5);
                assert_int_equal(kerb_px_blend(source, colour, 1, alpha), expected);
                assert_int_equal(kerb_px_blend_chroma(source, 4 * colour, 4, alpha, 2), expected);
            }
    for (int source = 0; source < 256; source++) {
        assert_int_equal(kerb_px_blend(source, 0, 0, 200), source);
        int expected = (int)floor((2.0 * source + 2 * (source + 0.5 * (90 - source))) / 4 + 0.5);
        assert_int_equal(kerb_px_blend_chroma(source, 2 * 90, 2, 128, 2), expected);
    }
    assert_int_equal(kerb_px_alpha(0.5f), 128);
    assert_int_equal(kerb_px_alpha(NAN), 0);
    assert_int_equal(kerb_px_alpha(-1.0f), 0);
    assert_int_equal(kerb_px_alpha(2.0f), 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponential), cmocka_unit_test(test_scores_are_finite), cmocka_unit_test(test_confidence_rounds_half_up),
        cmocka_unit_test(test_places),      cmocka_unit_test(test_blends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
