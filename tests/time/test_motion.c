/* SPDX-License-Identifier: MIT */
/* Measured motion against the true one, of a camera that shifts, turns and zooms over a random world; cuts against what is none. */
#include "time_cases.h"

#include "time/motion.h"

typedef struct Measured {
    KerbMotionKind kind;
    double error_px;  /* mean distance to the true displacement, in small pixels, where the newest frame's place was in the older frame */
    double motion_px; /* mean length of the true displacement */
    float lost;
    int width, height;
    float *u, *v, *sure;
} Measured;

static void measured_free(Measured *m) { free(m->u); }

/* Two frames, older first, through a KerbMotion of its own. */
static Measured measure_frames(const KerbWorld *w, uint8_t *older, uint8_t *newest, unsigned flags)
{
    KerbMotion *motion;
    KerbVideoFormat format = kerb_grey_format(w);
    assert_int_equal(kerb_motion_new(&motion, &format, flags, NULL), KERB_OK);
    int factor;
    Measured m = { 0 };
    kerb_motion_size(motion, &m.width, &m.height, &factor);
    size_t plane = (size_t)m.width * (size_t)m.height;
    m.u = malloc(3 * plane * sizeof(float));
    assert_non_null(m.u);
    m.v = m.u + plane;
    m.sure = m.v + plane;
    KerbFlow flow = { m.width, m.height, m.u, m.v };
    KerbFrame frame = kerb_grey_frame(older, w->width, 0);
    assert_int_equal(kerb_motion_add(motion, &frame, &flow, m.sure), KERB_MOTION_FIRST);
    for (size_t i = 0; i < 2 * plane; i++) assert_true(m.u[i] == 0);
    frame = kerb_grey_frame(newest, w->width, 1);
    m.kind = kerb_motion_add(motion, &frame, &flow, m.sure);
    m.lost = kerb_motion_lost(motion);
    kerb_motion_free(&motion);
    return m;
}

static Measured measure(const KerbWorld *w, const KerbView *older, const KerbView *newest, unsigned flags)
{
    size_t pixels = (size_t)w->width * (size_t)w->height;
    uint8_t *a = malloc(2 * pixels), *b = a + pixels;
    assert_non_null(a);
    kerb_world_draw(w, older, a, NULL);
    kerb_world_draw(w, newest, b, NULL);
    Measured m = measure_frames(w, a, b, flags);
    free(a);
    int factor = w->width / m.width, n = 0;
    for (int y = 0; y < m.height; y++) {
        for (int x = 0; x < m.width; x++) {
            double px = (x + 0.5) * factor, py = (y + 0.5) * factor, wx, wy, ox, oy;
            kerb_view_place(w, newest, px, py, &wx, &wy);
            kerb_view_pixel(w, older, wx, wy, &ox, &oy);
            double margin = 4 * factor;
            if (ox < margin || oy < margin || ox > w->width - margin || oy > w->height - margin) continue;
            int at = y * m.width + x;
            m.error_px += hypot(m.u[at] - (ox - px) / factor, m.v[at] - (oy - py) / factor);
            m.motion_px += hypot(ox - px, oy - py) / factor;
            n++;
        }
    }
    assert_true(n > 0);
    m.error_px /= n;
    m.motion_px /= n;
    return m;
}

static void test_true_motion(void **state)
{
    const struct { const char *name; KerbView view; double error_px; } cases[] = {
        { "half a pixel", { .shift_x = 0.5, .zoom = 1, .gain = 1, .world = 1 }, 0.05 },
        { "a shift", { .shift_x = 17, .shift_y = -9, .zoom = 1, .gain = 1, .world = 1 }, 0.08 },
        { "a long shift", { .shift_x = -75, .shift_y = 30, .zoom = 1, .gain = 1, .world = 1 }, 0.15 },
        { "nearer", { .zoom = 1.06, .gain = 1, .world = 1 }, 0.12 },
        { "away", { .zoom = 0.93, .gain = 1, .world = 1 }, 0.15 },
        { "a turn", { .zoom = 1, .turn_rad = 0.05, .gain = 1, .world = 1 }, 0.12 },
        { "a curve", { .shift_x = 20, .zoom = 1.04, .turn_rad = -0.02, .gain = 1, .world = 1 }, 0.12 },
        { "a shift while it gets darker", { .shift_x = 17, .shift_y = -9, .zoom = 1, .gain = 0.6, .offset = 10, .world = 1 }, 0.12 },
    };
    const KerbWorld world = { 960, 540 };
    const KerbView still = KERB_VIEW_STILL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Measured m = measure(&world, &still, &cases[i].view, kerb_cpu_flags());
        print_message("%s: %.3f small pixels off, of %.2f; %.3f lost\n", cases[i].name, m.error_px, m.motion_px, (double)m.lost);
        assert_int_equal(m.kind, KERB_MOTION_KNOWN);
        if (m.error_px > cases[i].error_px) fail_msg("%s: %.3f small pixels off", cases[i].name, m.error_px);
        measured_free(&m);
    }
}

static void test_any_processor(void **state)
{
    const KerbWorld world = { 641, 363 };
    const KerbView older = KERB_VIEW_STILL, newest = { .shift_x = 11, .shift_y = 3, .zoom = 1.02, .gain = 0.9, .world = 1 };
    unsigned variants[3];
    int n = kerb_variants(variants);
    Measured first = measure(&world, &older, &newest, variants[0]);
    for (int i = 1; i < n; i++) {
        Measured m = measure(&world, &older, &newest, variants[i]);
        assert_memory_equal(m.u, first.u, 3 * sizeof(float) * (size_t)m.width * (size_t)m.height);
        measured_free(&m);
    }
    measured_free(&first);
}

static void test_stillness(void **state)
{
    const KerbWorld world = { 320, 180 };
    const KerbView view = KERB_VIEW_STILL;
    Measured m = measure(&world, &view, &view, kerb_cpu_flags());
    assert_int_equal(m.kind, KERB_MOTION_KNOWN);
    for (int i = 0; i < m.width * m.height; i++) assert_true(m.u[i] == 0 && m.v[i] == 0 && fabsf(m.sure[i] - 1) < 1e-5f);
    measured_free(&m);
}

/* A plain picture, whatever its brightness, neither moves nor is a cut. */
static void test_plain(void **state)
{
    const KerbWorld world = { 320, 180 };
    uint8_t *dark = malloc(2 * 320 * 180), *light = dark + 320 * 180;
    memset(dark, 3, 320 * 180);
    memset(light, 250, 320 * 180);
    Measured m = measure_frames(&world, dark, light, kerb_cpu_flags());
    assert_int_equal(m.kind, KERB_MOTION_KNOWN);
    for (int i = 0; i < m.width * m.height; i++) assert_true(m.u[i] == 0 && m.v[i] == 0);
    measured_free(&m);
    free(dark);
}

/* A light of the frame's own: a disc that burns out what is under it. */
static void shine(const KerbWorld *w, uint8_t *grey, double cx, double cy, double radius)
{
    for (int y = 0; y < w->height; y++)
        for (int x = 0; x < w->width; x++) {
            double d = hypot(x - cx, y - cy) / radius;
            int at = y * w->width + x, value = grey[at] + (d < 2 ? (int)(300 * (1 - d / 2)) : 0);
            grey[at] = (uint8_t)(value < 255 ? value : 255);
        }
}

static void test_cuts(void **state)
{
    const KerbWorld world = { 480, 270 };
    const size_t pixels = 480 * 270;
    const KerbView still = KERB_VIEW_STILL;
    uint8_t *a = malloc(3 * pixels), *b = a + pixels, *black = b + pixels;
    memset(black, 16, pixels);
    kerb_world_draw(&world, &still, a, NULL);
    const struct { const char *name; KerbView view; bool lights, cut; } cases[] = {
        { "another scene", { .zoom = 1, .gain = 1, .world = 2 }, false, true },
        { "another scene, half as bright", { .zoom = 1, .gain = 0.5, .world = 3 }, false, true },
        { "the same place from far away", { .shift_x = 5000, .zoom = 1, .gain = 1, .world = 1 }, false, true },
        { "a flash", { .zoom = 1, .gain = 1.5, .offset = 20, .world = 1 }, false, false },
        { "a bridge's shadow", { .shift_x = 6, .zoom = 1.01, .gain = 0.4, .world = 1 }, false, false },
        { "headlights", { .shift_x = 4, .zoom = 1.01, .gain = 1, .world = 1 }, true, false },
        { "a sharp bend", { .shift_x = 60, .zoom = 1, .gain = 1, .world = 1 }, false, false },
        { "a bump in the road", { .shift_y = 25, .zoom = 1, .turn_rad = 0.02, .gain = 1, .world = 1 }, false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kerb_world_draw(&world, &cases[i].view, b, NULL);
        if (cases[i].lights) {
            shine(&world, b, 150, 150, 40);
            shine(&world, b, 300, 150, 40);
        }
        Measured m = measure_frames(&world, a, b, kerb_cpu_flags());
        print_message("%s: %.3f lost\n", cases[i].name, (double)m.lost);
        if ((m.kind == KERB_MOTION_CUT) != cases[i].cut) fail_msg("%s: kind %d, %.3f lost", cases[i].name, (int)m.kind, (double)m.lost);
        for (int k = 0; k < m.width * m.height && cases[i].cut; k++) assert_true(m.u[k] == 0 && m.v[k] == 0);
        measured_free(&m);
    }
    Measured m = measure_frames(&world, black, a, kerb_cpu_flags());
    assert_int_equal(m.kind, KERB_MOTION_CUT);
    measured_free(&m);
    m = measure_frames(&world, a, black, kerb_cpu_flags());
    assert_int_equal(m.kind, KERB_MOTION_CUT);
    measured_free(&m);
    free(a);
}

/* The true flow of two steps is their composition. */
static void test_composition(void **state)
{
    enum { W = 40, H = 30 };
    float planes[6][W * H];
    KerbFlow newest = { W, H, planes[0], planes[1] }, older = { W, H, planes[2], planes[3] }, out = { W, H, planes[4], planes[5] };
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) { /* (x, y) -> 1.1 x + 2 -> 0.9 that - 1 */
            newest.u[y * W + x] = 0.1f * (float)x + 2;
            newest.v[y * W + x] = 1.5f;
            older.u[y * W + x] = -0.1f * (float)x - 1;
            older.v[y * W + x] = 0.5f * (float)y;
        }
    kerb_flow_compose(&newest, &older, &out);
    for (int y = 0; y < H - 3; y++)
        for (int x = 0; x < 30; x++) {
            assert_true(fabs(out.u[y * W + x] - (0.9 * (1.1 * x + 2) - 1 - x)) < 1e-4);
            assert_true(fabs(out.v[y * W + x] - (1.5 * (y + 1.5) - y)) < 1e-4);
        }
}

/* Every format's small picture against its definition, and frames of any size. */
static void test_luma(void **state)
{
    static const struct { KerbPixelFormat format; int bytes, first, stride; } layouts[] = {
        { KERB_FORMAT_I420, 1, 0, 1 }, { KERB_FORMAT_YV12, 1, 0, 1 }, { KERB_FORMAT_NV12, 1, 0, 1 }, { KERB_FORMAT_NV21, 1, 0, 1 },
        { KERB_FORMAT_YUY2, 1, 0, 2 }, { KERB_FORMAT_UYVY, 1, 1, 2 }, { KERB_FORMAT_RGB, 3, 0, 3 },  { KERB_FORMAT_BGR, 3, 0, 3 },
        { KERB_FORMAT_RGBX, 3, 0, 4 }, { KERB_FORMAT_BGRX, 3, 0, 4 }, { KERB_FORMAT_RGBA, 3, 0, 4 }, { KERB_FORMAT_BGRA, 3, 0, 4 },
        { KERB_FORMAT_GRAY8, 1, 0, 1 },
    };
    static const int sizes[][2] = { { 1, 1 }, { 3, 2 }, { 1, 700 }, { 16384, 3 }, { 997, 613 }, { 640, 361 } };
    KerbRandom random = kerb_random_seed(5);
    for (size_t k = 0; k < sizeof layouts / sizeof layouts[0]; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            KerbVideoFormat format = { .pixel_format = layouts[k].format, .width_px = sizes[s][0], .height_px = sizes[s][1] };
            KerbPlane plane = kerb_plane_new(kerb_plane_row_bytes(format.pixel_format, 0, format.width_px), format.height_px, 5);
            for (int y = 0; y < plane.rows; y++)
                for (int x = 0; x < plane.row_bytes; x++) plane.data[y * plane.stride + x] = (uint8_t)kerb_random(&random);
            KerbLuma luma = kerb_luma(&format);
            assert_true(luma.width >= 1 && luma.height >= 1 && luma.width * luma.factor <= format.width_px && luma.height * luma.factor <= format.height_px);
            luma.sums = malloc(kerb_luma_scratch_elements(&luma) * sizeof *luma.sums);
            float *small = malloc(sizeof(float) * (size_t)(luma.width + 3) * (size_t)luma.height);
            KerbFrame frame = { .planes = { plane.data }, .strides = { plane.stride } };
            kerb_luma_shrink(&luma, &frame, small, luma.width + 3);
            for (int y = 0; y < luma.height; y++)
                for (int x = 0; x < luma.width; x++) {
                    double sum = 0;
                    for (int i = 0; i < luma.factor * luma.factor; i++)
                        for (int b = 0; b < layouts[k].bytes; b++) {
                            int px = x * luma.factor + i % luma.factor, py = y * luma.factor + i / luma.factor;
                            sum += plane.data[py * plane.stride + px * layouts[k].stride + layouts[k].first + b];
                        }
                    assert_true(fabs(small[y * (luma.width + 3) + x] - sum / layouts[k].bytes / luma.factor / luma.factor) < 1e-3);
                }
            kerb_plane_check_guards(&plane);
            free(plane.memory);
            free(luma.sums);
            free(small);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_motion), cmocka_unit_test(test_any_processor), cmocka_unit_test(test_stillness), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_cuts),        cmocka_unit_test(test_composition),   cmocka_unit_test(test_luma),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
