/* SPDX-License-Identifier: MIT */
/* Smoothing against its definition in doubles, where the picture stands still; along a known motion; and everything that must end the past. */
#include "time_cases.h"

#include "base/pool.h"
#include "time/smooth.h"

enum { W = 96, H = 64 };


typedef struct Rig {
    KerbWorld world;
    KerbSmooth *smooth;
    KerbSmoothParams params;
    KerbPool *pool;
    uint8_t *grey;
} Rig;

static KerbTensor scores_new(KerbDtype dtype, int channels, int height, int width, bool last)
{
    int64_t dims[4] = { 1, channels, height, width };
    KerbTensor t = last ? kerb_tensor_channels_last(NULL, dtype, 4, dims, channels + 3) : kerb_tensor(NULL, dtype, 4, dims);
    t.data = calloc((size_t)(channels + 3) * (size_t)height * (size_t)width, kerb_dtype_bytes(dtype));
    assert_non_null(t.data);
    return t;
}

static Rig rig_new(const KerbTensor *scores, int n, KerbSmoothing smoothing, unsigned flags, int threads)
{
    Rig r = { .world = { W, H } };
    r.params = (KerbSmoothParams){ .smoothing = smoothing, .format = kerb_grey_format(&r.world), .n_heads = n, .cpu_flags = flags, .threads = threads };
    for (int i = 0; i < n; i++)
        r.params.heads[i] = (KerbSmoothHead){ .scores = scores[i], .cell_w_px = (double)W / (double)scores[i].dims[3],
                                              .cell_h_px = (double)H / (double)scores[i].dims[2] };
    KerbError error;
    if (kerb_smooth_new(&r.smooth, &r.params, &error) != KERB_OK) fail_msg("%s", error.message);
    assert_int_equal(kerb_pool_new(&r.pool, threads, NULL), KERB_OK);
    r.grey = malloc(W * H);
    KerbView view = KERB_VIEW_STILL;
    kerb_world_draw(&r.world, &view, r.grey, NULL);
    return r;
}

static void rig_free(Rig *r)
{
    kerb_smooth_free(&r->smooth);
    assert_null(r->smooth);
    kerb_pool_free(&r->pool);
    free(r->grey);
}

static const KerbTensor *run(Rig *r, const KerbTensor *scores, double ms)
{
    KerbFrame frame = kerb_grey_frame(r->grey, W, ms < 0 ? KERB_TIME_NONE : (int64_t)(ms * 1e6));
    return kerb_smooth_run(r->smooth, scores, &frame, r->pool);
}

static void fill(KerbTensor *t, KerbRandom *random)
{
    for (int64_t i = 0; i < kerb_tensor_elements(t); i++) kerb_tensor_set(t, i, 20 * kerb_random_unit(random) - 10);
}

static void fill_one(KerbTensor *t, double value)
{
    for (int64_t i = 0; i < kerb_tensor_elements(t); i++) kerb_tensor_set(t, i, value);
}

static void expect_all(const KerbTensor *t, double value)
{
    for (int64_t i = 0; i < kerb_tensor_elements(t); i++)
        if (!(fabs(kerb_tensor_get(t, i) - value) < 1e-5)) fail_msg("element %d is %g, not %g", (int)i, kerb_tensor_get(t, i), value);
}

/* The share of new scores one step of `ms` takes: from 0 towards 1. */
static double share(KerbSmoothing smoothing, double ms)
{
    KerbTensor t = scores_new(KERB_F32, 1, 4, 6, false);
    Rig r = rig_new(&t, 1, smoothing, kerb_cpu_flags(), 1);
    run(&r, &t, 1000);
    fill_one(&t, 1);
    const KerbTensor *out = run(&r, &t, 1000 + ms);
    double first = kerb_tensor_get(out, 0);
    expect_all(out, first);
    rig_free(&r);
    free(t.data);
    return first;
}

/* 1 - exp(-dt / tau) for one tau a strength: what one long step takes, two halves take together; the stronger, the less. */
static void test_time_constants(void **state)
{
    for (KerbSmoothing s = KERB_SMOOTHING_LIGHT; s <= KERB_SMOOTHING_STRONG; s++) {
        double w33 = share(s, 33), w66 = share(s, 66), w1000 = share(s, 1000), tau = -33 / log(1 - w33);
        print_message("strength %d: tau %.1f ms\n", (int)s, tau);
        assert_true(fabs((1 - w33) * (1 - w33) - (1 - w66)) < 1e-5);
        assert_true(w33 > 0.05 && w33 < 0.6 && w1000 > 0.95);
    }
    assert_true(share(KERB_SMOOTHING_LIGHT, 33) > 1.5 * share(KERB_SMOOTHING_STRONG, 33));
}

/* Any type and layout of scores, several heads, against the definition. */
static void test_definition(void **state)
{
    static const struct { KerbDtype dtype; int channels, height, width; bool last; } kinds[] = {
        { KERB_F32, 1, 8, 12, false }, { KERB_F32, 2, 64, 96, false }, { KERB_BF16, 19, 8, 12, true }, { KERB_F32, 11, 9, 13, true },
        { KERB_BF16, 2, 5, 3, false }, { KERB_F16, 3, 1, 1, false },
    };
    enum { N = sizeof kinds / sizeof kinds[0] };
    KerbRandom random = kerb_random_seed(3);
    double w = share(KERB_SMOOTHING_STRONG, 40);
    KerbTensor scores[N];
    double *past[N];
    for (int i = 0; i < N; i++) {
        scores[i] = scores_new(kinds[i].dtype, kinds[i].channels, kinds[i].height, kinds[i].width, kinds[i].last);
        past[i] = malloc(sizeof(double) * (size_t)kerb_tensor_elements(&scores[i]));
    }
    Rig r = rig_new(scores, N, KERB_SMOOTHING_STRONG, kerb_cpu_flags(), 2);
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < N; i++) fill(&scores[i], &random);
        const KerbTensor *out = run(&r, scores, 40 * k);
        for (int i = 0; i < N; i++)
            for (int64_t e = 0; e < kerb_tensor_elements(&scores[i]); e++) {
                double now = kerb_tensor_get(&scores[i], e);
                past[i][e] = k ? past[i][e] + w * (now - past[i][e]) : now;
                if (fabs(kerb_tensor_get(&out[i], e) - past[i][e]) > 1e-4) fail_msg("head %d, frame %d, element %d", i, k, (int)e);
            }
    }
    rig_free(&r);
    for (int i = 0; i < N; i++) {
        free(past[i]);
        free(scores[i].data);
    }
}

/* What ends the past: the next frame's scores come out as they went in. */
static void test_ends_of_the_past(void **state)
{
    KerbTensor t = scores_new(KERB_F32, 2, 8, 12, false);
    Rig r = rig_new(&t, 1, KERB_SMOOTHING_STRONG, kerb_cpu_flags(), 1);
    KerbView other = { .zoom = 1, .gain = 1, .world = 5 }, still = KERB_VIEW_STILL;
    double ms = 0;
    for (int end = 0; end < 5; end++) {
        fill_one(&t, 0);
        for (int k = 0; k < 3; k++) run(&r, &t, ms += 33);
        fill_one(&t, 1);
        assert_true(kerb_tensor_get(run(&r, &t, ms += 33), 0) < 0.9); /* there is a past */
        fill_one(&t, 0.5);
        double next = ms + 33;
        if (end == 0) kerb_smooth_reset(r.smooth);
        if (end == 1) next = ms - 500;
        if (end == 2) next = ms;
        if (end == 3) kerb_world_draw(&r.world, &other, r.grey, NULL); /* a cut */
        if (end == 4) next = ms + 60000;
        expect_all(run(&r, &t, ms = next), 0.5);
        kerb_world_draw(&r.world, &still, r.grey, NULL);
        ms += 100000;
    }
    rig_free(&r);
    free(t.data);
}

/* Without time stamps there is a past nevertheless, as of 30 frames a second. */
static void test_no_time_stamps(void **state)
{
    KerbTensor t = scores_new(KERB_F32, 1, 4, 6, false);
    Rig r = rig_new(&t, 1, KERB_SMOOTHING_LIGHT, kerb_cpu_flags(), 1);
    run(&r, &t, -1);
    fill_one(&t, 1);
    expect_all(run(&r, &t, -1), share(KERB_SMOOTHING_LIGHT, 1000.0 / 30));
    rig_free(&r);
    free(t.data);
}

/* A damaged frame is damaged, and the next one is not. */
static void test_damaged_scores(void **state)
{
    KerbTensor t = scores_new(KERB_F32, 3, 8, 12, false);
    Rig r = rig_new(&t, 1, KERB_SMOOTHING_STRONG, kerb_cpu_flags(), 1);
    fill_one(&t, 1);
    run(&r, &t, 0);
    static const double bad[] = { NAN, INFINITY, -INFINITY, 3e38 };
    for (int i = 0; i < 4; i++) kerb_tensor_set(&t, 30 + i, bad[i]);
    run(&r, &t, 33);
    fill_one(&t, -3e38);
    run(&r, &t, 66);
    fill_one(&t, 1);
    run(&r, &t, 99);
    const KerbTensor *out = run(&r, &t, 60000);
    for (int64_t i = 0; i < kerb_tensor_elements(out); i++) assert_true(isfinite(kerb_tensor_get(out, i)));
    expect_all(run(&r, &t, 120000), 1);
    rig_free(&r);
    free(t.data);
}

/* The camera shifts by whole cells: the past comes along, so a world whose scores do not change has scores that do not change. */
static void test_follows_motion(void **state)
{
    enum { CELL = 4, SHIFT = 2 }; /* 2 cells of 4 pixels a frame */
    KerbTensor t = scores_new(KERB_F32, 1, H / CELL, W / CELL, false);
    Rig r = rig_new(&t, 1, KERB_SMOOTHING_STRONG, kerb_cpu_flags(), 1);
    double followed = 0, stood = 0;
    double before[H / CELL][W / CELL] = { { 0 } };
    for (int k = 0; k < 8; k++) {
        KerbView view = { .shift_x = SHIFT * CELL * k, .zoom = 1, .gain = 1, .world = 1 };
        kerb_world_draw(&r.world, &view, r.grey, NULL);
        for (int y = 0; y < H / CELL; y++)
            for (int x = 0; x < W / CELL; x++) {
                double score = 5 * kerb_world_noise(41, x + SHIFT * k, y, 3);
                kerb_tensor_set(&t, y * (W / CELL) + x, score);
            }
        const KerbTensor *out = run(&r, &t, 33 * k);
        for (int y = 2; y < H / CELL - 2 && k == 7; y++)
            for (int x = 2; x < W / CELL - 2 - 7 * SHIFT; x++) /* what was in the first frame too */ {
                double score = kerb_tensor_get(&t, y * (W / CELL) + x);
                followed += fabs(kerb_tensor_get(out, y * (W / CELL) + x) - score);
                stood += fabs(before[y][x] - score);
            }
        for (int y = 0; y < H / CELL && k == 6; y++)
            for (int x = 0; x < W / CELL; x++) before[y][x] = kerb_tensor_get(&t, y * (W / CELL) + x);
    }
    print_message("off by %.3f of %.3f\n", followed, stood);
    assert_true(followed < 0.1 * stood);
    rig_free(&r);
    free(t.data);
}

static void test_any_processor(void **state)
{
    unsigned variants[3];
    int n = kerb_variants(variants);
    KerbTensor t[2] = { scores_new(KERB_F32, 7, 33, 47, true), scores_new(KERB_BF16, 2, 64, 96, false) };
    float *expected[2] = { 0 };
    for (int v = 0; v < n; v++)
        for (int threads = 1; threads <= 3; threads += 2) {
            KerbRandom random = kerb_random_seed(8);
            Rig r = rig_new(t, 2, KERB_SMOOTHING_LIGHT, variants[v], threads);
            const KerbTensor *out = NULL;
            for (int k = 0; k < 3; k++) {
                KerbView view = { .shift_x = 3 * k, .shift_y = k, .zoom = 1 + 0.01 * k, .gain = 1, .world = 1 };
                kerb_world_draw(&r.world, &view, r.grey, NULL);
                for (int i = 0; i < 2; i++) fill(&t[i], &random);
                out = run(&r, t, 33 * k);
            }
            for (int i = 0; i < 2; i++) {
                size_t bytes = kerb_tensor_bytes(&out[i]);
                if (!expected[i]) {
                    expected[i] = malloc(bytes);
                    memcpy(expected[i], out[i].data, bytes);
                }
                assert_memory_equal(out[i].data, expected[i], bytes);
            }
            rig_free(&r);
        }
    for (int i = 0; i < 2; i++) {
        free(expected[i]);
        free(t[i].data);
    }
}

static void test_labels_pass(void **state)
{
    KerbTensor t[2] = { scores_new(KERB_I32, 1, 8, 12, false), scores_new(KERB_F32, 2, 8, 12, false) };
    Rig r = rig_new(t, 2, KERB_SMOOTHING_LIGHT, kerb_cpu_flags(), 1);
    kerb_smooth_free(&r.smooth);
    r.params.heads[0].labels = true;
    assert_int_equal(kerb_smooth_new(&r.smooth, &r.params, NULL), KERB_OK);
    for (int k = 0; k < 3; k++) {
        const KerbTensor *out = run(&r, t, 33 * k);
        assert_ptr_equal(out[0].data, t[0].data);
        assert_int_equal(out[0].dtype, KERB_I32);
        assert_ptr_not_equal(out[1].data, t[1].data);
    }
    rig_free(&r);
    free(t[0].data);
    free(t[1].data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_constants), cmocka_unit_test(test_definition),     cmocka_unit_test(test_ends_of_the_past),
        cmocka_unit_test(test_no_time_stamps), cmocka_unit_test(test_damaged_scores), cmocka_unit_test(test_follows_motion),
        cmocka_unit_test(test_any_processor),  cmocka_unit_test(test_labels_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
