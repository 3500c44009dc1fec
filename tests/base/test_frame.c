/* SPDX-License-Identifier: MIT */
/* Formats and their planes, checks, colour matrices against the standards' definitions, and what geometry promises. */
#include "base_test.h"

#include "base/error.h"
#include "base/frame.h"

#include <math.h>

/* Bytes of a whole frame, from what a format is. */
static void planes_hold_the_picture(void **state)
{
    static const double bytes_a_pixel[KERB_FORMAT_COUNT] = { 0, 1.5, 1.5, 1.5, 1.5, 2, 2, 3, 3, 4, 4, 4, 4, 1 };
    static const int planes[KERB_FORMAT_COUNT] = { 0, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    for (int f = KERB_FORMAT_I420; f < KERB_FORMAT_COUNT; f++) {
        assert_int_equal(kerb_pixel_format_planes((KerbPixelFormat)f), planes[f]);
        for (int w = 1; w <= 9; w++)
            for (int h = 1; h <= 9; h++) {
                int even_w = f <= KERB_FORMAT_UYVY ? (w + 1) / 2 * 2 : w, even_h = f <= KERB_FORMAT_NV21 ? (h + 1) / 2 * 2 : h, chroma = 0;
                for (int p = 0; p < planes[f]; p++) {
                    int row = kerb_plane_row_bytes((KerbPixelFormat)f, p, w), rows = kerb_plane_rows((KerbPixelFormat)f, p, h);
                    if (p == 0 && planes[f] > 1)
                        assert_true(row == w && rows == h);
                    else
                        chroma += row * rows;
                }
                double whole = bytes_a_pixel[f] * even_w * even_h - (planes[f] > 1 ? even_w * even_h : 0);
                assert_int_equal(chroma, (int)whole);
            }
        for (int g = KERB_FORMAT_I420; g < f; g++)
            assert_string_not_equal(kerb_pixel_format_name((KerbPixelFormat)f), kerb_pixel_format_name((KerbPixelFormat)g));
    }
    assert_string_equal(kerb_pixel_format_name((KerbPixelFormat)77), "unknown");
    assert_int_equal(kerb_pixel_format_planes((KerbPixelFormat)-1), 0);
    assert_int_equal(kerb_plane_row_bytes(KERB_FORMAT_I420, 3, 8), 0);
    assert_int_equal(kerb_plane_row_bytes(KERB_FORMAT_I420, -1, 8), 0);
    assert_int_equal(kerb_plane_rows(KERB_FORMAT_I420, 0, 0), 0);
}

static void checks(void **state)
{
    KerbError error;
    const KerbVideoFormat good = { KERB_FORMAT_NV12, 5, 3, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT };
    assert_int_equal(kerb_video_format_check(&good, &error), KERB_OK);
    KerbVideoFormat f = good;
    f.width_px = KERB_MAX_SIDE_PX;
    assert_int_equal(kerb_video_format_check(&f, &error), KERB_OK);
    f.width_px++;
    assert_int_equal(kerb_video_format_check(&f, &error), KERB_ERROR_ARGUMENT);
    assert_says(error.message, "16385 x 3");
    f = good, f.height_px = 0;
    assert_int_equal(kerb_video_format_check(&f, &error), KERB_ERROR_ARGUMENT);
    f = good, f.pixel_format = KERB_FORMAT_UNKNOWN;
    assert_int_equal(kerb_video_format_check(&f, NULL), KERB_ERROR_ARGUMENT);
    f = good, f.matrix = (KerbMatrix)3;
    assert_int_equal(kerb_video_format_check(&f, &error), KERB_ERROR_ARGUMENT);

    uint8_t bytes[64];
    KerbFrame frame = { .planes = { bytes, bytes }, .strides = { 5, 6 } };
    assert_int_equal(kerb_frame_check(&good, &frame, "frame", &error), KERB_OK);
    frame.strides[1] = 5;
    assert_int_equal(kerb_frame_check(&good, &frame, "picture", &error), KERB_ERROR_ARGUMENT);
    assert_says(error.message, "picture: stride 5 of plane 1");
    frame.strides[1] = -6;
    assert_int_equal(kerb_frame_check(&good, &frame, "picture", &error), KERB_ERROR_ARGUMENT);
    frame.strides[1] = 6, frame.planes[1] = NULL;
    assert_int_equal(kerb_frame_check(&good, &frame, "frame", &error), KERB_ERROR_ARGUMENT);
    assert_says(error.message, "plane 1 of NV12");
}

static void apply(const float m[3][4], const double in[3], double out[3])
{
    for (int i = 0; i < 3; i++) out[i] = m[i][0] * in[0] + m[i][1] * in[1] + m[i][2] * in[2] + m[i][3];
}

/* Black, white and the primaries where the standards put them; there and back again is the identity. */
static void colour_matrices(void **state)
{
    static const double k[3][2] = { { 0.299, 0.114 }, { 0.2126, 0.0722 }, { 0.2627, 0.0593 } };
    static const double colours[][3] = { { 0, 0, 0 }, { 255, 255, 255 }, { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 }, { 12, 200, 77 } };
    for (int matrix = 0; matrix < 3; matrix++)
        for (int range = 0; range < 2; range++) {
            KerbVideoFormat f = { KERB_FORMAT_I420, 2, 2, (KerbMatrix)matrix, (KerbRange)range, KERB_CHROMA_LEFT };
            float to_rgb[3][4], to_yuv[3][4];
            kerb_yuv_to_rgb_matrix(&f, to_rgb);
            kerb_rgb_to_yuv_matrix(&f, to_yuv);
            bool limited = range == KERB_RANGE_LIMITED;
            double kr = k[matrix][0], kb = k[matrix][1];
            for (size_t c = 0; c < COUNT(colours); c++) {
                const double *rgb = colours[c];
                double y = (kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]) / 255, yuv[3], back[3];
                double cb = (rgb[2] / 255 - y) / (2 - 2 * kb), cr = (rgb[0] / 255 - y) / (2 - 2 * kr);
                double want[3] = { limited ? 16 + 219 * y : 255 * y, 128 + (limited ? 224 : 255) * cb, 128 + (limited ? 224 : 255) * cr };
                apply(to_yuv, rgb, yuv);
                apply(to_rgb, want, back);
                for (int i = 0; i < 3; i++) {
                    assert_true(fabs(yuv[i] - want[i]) < 1e-3);
                    assert_true(fabs(back[i] - rgb[i]) < 1e-3);
                }
            }
        }
    KerbVideoFormat gray = { KERB_FORMAT_GRAY8, 2, 2, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT };
    float m[3][4];
    double out[3];
    kerb_yuv_to_rgb_matrix(&gray, m);
    apply(m, (double[3]){ 77, 1, 2 }, out);
    for (int i = 0; i < 3; i++) assert_true(out[i] == 77);
    kerb_rgb_to_yuv_matrix(&gray, m);
    apply(m, (double[3]){ 100, 50, 200 }, out);
    assert_true(fabs(out[0] - (29.9 + 29.35 + 22.8)) < 1e-3);
}

static bool near(double a, double b) { return fabs(a - b) < 1e-9 * (1 + fabs(b)); }

static void check_geometry(int fw, int fh, int nw, int nh, KerbFit fit)
{
    KerbGeometry g;
    kerb_geometry_init(&g, fw, fh, nw, nh, fit);
    /* Whole, inside, not empty. */
    assert_true(g.net_x0 >= 0 && g.net_x0 < g.net_x1 && g.net_x1 <= nw && g.net_y0 >= 0 && g.net_y0 < g.net_y1 && g.net_y1 <= nh);
    assert_true(g.frame_x0 >= 0 && g.frame_x0 < g.frame_x1 && g.frame_x1 <= fw && g.frame_y0 >= 0 && g.frame_y0 < g.frame_y1 &&
                g.frame_y1 <= fh);
    /* Edges meet edges. */
    assert_true(near(g.net_x0 * g.scale_x + g.offset_x, g.frame_x0) && near(g.net_x1 * g.scale_x + g.offset_x, g.frame_x1));
    assert_true(near(g.net_y0 * g.scale_y + g.offset_y, g.frame_y0) && near(g.net_y1 * g.scale_y + g.offset_y, g.frame_y1));
    int shown_w = g.net_x1 - g.net_x0, shown_h = g.net_y1 - g.net_y0, seen_w = g.frame_x1 - g.frame_x0, seen_h = g.frame_y1 - g.frame_y0;
    if (fit != KERB_FIT_CROP) assert_true(seen_w == fw && seen_h == fh);
    if (fit != KERB_FIT_LETTERBOX) assert_true(shown_w == nw && shown_h == nh);
    if (fit == KERB_FIT_LETTERBOX) {
        /* One side is full; the other keeps the aspect to half a pixel (or is the one pixel that it must be); centred. */
        double scale = fmin((double)nw / fw, (double)nh / fh);
        assert_true(shown_w == nw || shown_h == nh);
        assert_true((fabs(shown_w - fw * scale) <= 0.5 + 1e-9 || shown_w == 1) &&
                    (fabs(shown_h - fh * scale) <= 0.5 + 1e-9 || shown_h == 1));
        assert_true(nw - g.net_x1 - g.net_x0 >= 0 && nw - g.net_x1 - g.net_x0 <= 1 && nh - g.net_y1 - g.net_y0 >= 0 &&
                    nh - g.net_y1 - g.net_y0 <= 1);
    }
    if (fit == KERB_FIT_CROP) {
        double scale = fmin((double)fw / nw, (double)fh / nh);
        assert_true(seen_w == fw || seen_h == fh);
        assert_true((fabs(seen_w - nw * scale) <= 0.5 + 1e-9 || seen_w == 1) && (fabs(seen_h - nh * scale) <= 0.5 + 1e-9 || seen_h == 1));
        assert_true(fw - g.frame_x1 - g.frame_x0 >= 0 && fw - g.frame_x1 - g.frame_x0 <= 1 && fh - g.frame_y1 - g.frame_y0 >= 0 &&
                    fh - g.frame_y1 - g.frame_y0 <= 1);
    }
}

static void geometry(void **state)
{
    static const int sides[] = { 1, 2, 3, 7, 64, 97, 360, 641, 1080, KERB_MAX_SIDE_PX };
    const size_t n = COUNT(sides);
    for (size_t i = 0; i < n * n * n * n; i++)
        for (int fit = KERB_FIT_STRETCH; fit <= KERB_FIT_CROP; fit++)
            check_geometry(sides[i % n], sides[i / n % n], sides[i / n / n % n], sides[i / n / n / n], (KerbFit)fit);
    KerbGeometry g;
    kerb_geometry_init(&g, 1920, 1080, 1024, 512, KERB_FIT_LETTERBOX); /* 16:9 in 2:1: 910 x 512, 57 at the left and right */
    assert_true(g.net_x0 == 57 && g.net_x1 == 967 && g.net_y0 == 0 && g.net_y1 == 512);
    kerb_geometry_init(&g, 1920, 1080, 512, 512, KERB_FIT_CROP);
    assert_true(g.frame_x0 == 420 && g.frame_x1 == 1500 && g.frame_y0 == 0 && g.frame_y1 == 1080);
    assert_true(near(g.scale_x, 1080.0 / 512) && near(g.offset_x, 420));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planes_hold_the_picture), cmocka_unit_test(checks), cmocka_unit_test(colour_matrices), cmocka_unit_test(geometry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
