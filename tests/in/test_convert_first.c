/* SPDX-License-Identifier: MIT */
/* Our way (interpolate Y, U, V as stored, then the matrix) against the usual one: convert the whole frame to 8-bit RGB (chroma upsampled
 * bilinearly at the same siting), then resize, clamped and rounded in between. in.h says why they differ a little; this bounds it, on
 * pictures with the statistics of nature: amplitudes that fall with 1 / frequency, edges of objects, and noise of a camera. */
#include "in_fixture.h"

/* Mean and largest difference on the scale of 0..255. The mean is rounding (1/4 of a step of 255 for values rounded once, scaled by the
 * matrix) and chroma that is filtered twice; the largest is at the edge of a saturated object, where filtering chroma twice spreads it over
 * one pixel more. */
#define MEAN_BOUND 0.6
#define LARGEST_BOUND 20.0
#define P99_BOUND 7.0

static double clamp_byte(double v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

/* R'G'B' of a scene at (x, y) of a w x h frame. */
static void scene(int x, int y, uint32_t seed, double rgb[3])
{
    static const double objects[4][7] = {
        {40, 30, 60, 40, 200, 30, 20}, {150, 90, 90, 60, 20, 60, 180}, {60, 100, 30, 70, 230, 220, 40}, {200, 20, 50, 50, 30, 160, 60}};
    double base = 110 + 0.25 * y;
    for (int k = 1; k <= 6; k++)
        base += 40.0 / (1 << k) * sin(0.011 * (1 << k) * x + k * (double)seed) * cos(0.009 * (1 << k) * y + 2 * k);
    rgb[0] = base * 0.95, rgb[1] = base, rgb[2] = base * 1.05;
    for (int i = 0; i < 4; i++) {
        const double *o = objects[i];
        /* Lenses make an edge about a pixel wide. */
        double d = fmin(fmin(x - o[0], o[0] + o[2] - x), fmin(y - o[1], o[1] + o[3] - y)), inside = d < -1 ? 0 : d > 1 ? 1 : (d + 1) / 2;
        for (int c = 0; c < 3; c++) rgb[c] += inside * (o[4 + c] * base / 130 - rgb[c]);
    }
}

static void draw_scene(const KerbVideoFormat *f, const KerbFrame *frame, uint32_t seed)
{
    static const double k[3][2] = { { 0.299, 0.114 }, { 0.2126, 0.0722 }, { 0.2627, 0.0593 } };
    double kr = k[f->matrix][0], kb = k[f->matrix][1];
    uint32_t noise = seed * 977u + 1;
    for (int y = 0; y < f->height_px; y++)
        for (int x = 0; x < f->width_px; x++) {
            double rgb[3];
            scene(x, y, seed, rgb);
            for (int c = 0; c < 3; c++) rgb[c] = clamp_byte(rgb[c] + (double)(fixture_random(&noise) % 5) - 2);
            double luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2];
            frame->planes[0][y * frame->strides[0] + x] = (uint8_t)(16 + luma * 219 / 255 + 0.5);
            if (x % 2 || y % 2) continue;
            frame->planes[1][y / 2 * frame->strides[1] + x / 2] = (uint8_t)(128 + (rgb[2] - luma) / (2 * (1 - kb)) * 224 / 255 + 0.5);
            frame->planes[2][y / 2 * frame->strides[2] + x / 2] = (uint8_t)(128 + (rgb[0] - luma) / (2 * (1 - kr)) * 224 / 255 + 0.5);
        }
}

/* The frame as RGB8 at its own size: the slow implementation at 1:1, rounded. */
static FixtureFrame convert_whole(const KerbVideoFormat *format, const KerbFrame *frame)
{
    KerbInParams p = fixture_params(*format, format->width_px, format->height_px, KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
    for (int c = 0; c < 3; c++) p.mean[c] = 0, p.std[c] = 1;
    KerbVideoFormat rgb = *format;
    rgb.pixel_format = KERB_FORMAT_RGB;
    FixtureFrame r = fixture_frame_new(&rgb, 0, 1, true);
    double *planes = fixture_reference(&p, frame);
    size_t n = (size_t)format->width_px * (size_t)format->height_px;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) r.memory[0][3 * i + c] = (uint8_t)(planes[c * n + i] + 0.5);
    free(planes);
    return r;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void natural_pictures(void **state)
{
    static const int sizes[][2] = { { 213, 120 }, { 160, 90 }, { 106, 60 }, { 320, 180 }, { 480, 270 } };
    for (uint32_t seed = 1; seed <= 2; seed++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            KerbVideoFormat format = fixture_format(KERB_FORMAT_I420, 320, 180, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
            FixtureFrame frame = fixture_frame_new(&format, 0, seed, true);
            draw_scene(&format, &frame.frame, seed);
            KerbInParams p = fixture_params(format, sizes[s][0], sizes[s][1], KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NCHW);
            FixtureOutput o = fixture_output_new(&p);
            fixture_run(&p, &frame.frame, &o, NULL);
            FixtureFrame whole = convert_whole(&format, &frame.frame);
            KerbInParams q = p;
            q.format.pixel_format = KERB_FORMAT_RGB;
            double *usual = fixture_reference(&q, &whole.frame), mean = 0;
            size_t plane = (size_t)sizes[s][0] * (size_t)sizes[s][1], n = 3 * plane;
            for (size_t i = 0; i < n; i++) {
                usual[i] = fabs(fixture_value(&o.tensor, (int64_t)i) - usual[i]) * p.std[i / plane];
                mean += usual[i] / (double)n;
            }
            qsort(usual, n, sizeof *usual, compare_double);
            printf("320x180 -> %dx%d: mean %.3f, p99 %.2f, largest %.2f of 255\n", sizes[s][0], sizes[s][1], mean, usual[n * 99 / 100],
                   usual[n - 1]);
            assert_true(mean <= MEAN_BOUND);
            assert_true(usual[n * 99 / 100] <= P99_BOUND);
            assert_true(usual[n - 1] <= LARGEST_BOUND);
            free(usual);
            fixture_output_free(&o);
            fixture_frame_free(&frame);
            fixture_frame_free(&whole);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(natural_pictures) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
