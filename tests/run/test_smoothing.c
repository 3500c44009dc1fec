/* SPDX-License-Identifier: MIT */
/* Smoothing over time, from the outside: what a pixel that changes is called, and when it is forgotten what it was. */
#include "kerb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

enum { W = 64, H = 32 };

static KerbPipeline *open_smooth(KerbSmoothing smoothing)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = "ref";
    config.threads = 2;
    config.smoothing = smoothing;
    KerbPipeline *k;
    KerbError error;
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = W, .height_px = H };
    if (kerb_open(&k, &config, &error) != KERB_OK || kerb_set_format(k, &format, &error) != KERB_OK) fail_msg("%s", error.message);
    return k;
}

/* A picture with an edge to hold on to, and a spot of one brightness: its label is 1 where it is bright. All of it within one scene. */
static int label_of_spot(KerbPipeline *k, int spot, double ms, KerbResult *result)
{
    uint8_t rgb[W * H * 3];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) memset(rgb + (y * W + x) * 3, x >= 28 && x < 36 && y >= 12 && y < 20 ? spot : ((x / 8 + y / 8) & 1) * 60 + 40, 3);
    KerbJob job = { .frame = { .planes = { rgb }, .strides = { W * 3 }, .pts_ns = ms < 0 ? KERB_TIME_NONE : (int64_t)(ms * 1e6) } };
    KerbError error;
    if (kerb_submit(k, &job, &error) != KERB_OK || kerb_collect(k, result, -1, &error) != KERB_OK || result->status != KERB_OK) fail_msg("%s", error.message);
    return result->labels.data[16 * result->labels.stride + 32];
}

static void test_strengths(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = W, .height = H });
    KerbResult r;
    int frames[3];
    for (int s = KERB_SMOOTHING_OFF; s <= KERB_SMOOTHING_STRONG; s++) {
        KerbPipeline *k = open_smooth((KerbSmoothing)s);
        for (int i = 0; i < 30; i++) assert_int_equal(label_of_spot(k, 127, 10 * i, &r), 0); /* just below the middle */
        int n = 1;
        while (label_of_spot(k, 128, 300 + 10 * n, &r) == 0) assert_true(++n < 100); /* just above it, which the picture hardly shows: won in time, not at once */
        frames[s] = n;
        assert_true((r.times.smooth_ns > 0) == (s > 0) && r.times.smooth_ns < r.times.out_ns);
        KerbStats stats;
        kerb_get_stats(k, &stats);
        assert_true((stats.mean.smooth_ns > 0) == (s > 0));
        kerb_close(&k);
    }
    print_message("taken over after %d, %d, %d frames\n", frames[0], frames[1], frames[2]);
    assert_true(frames[0] == 1 && frames[1] > 1 && frames[2] > frames[1]);
}

static void test_reset(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = W, .height = H });
    KerbPipeline *k = open_smooth(KERB_SMOOTHING_STRONG);
    KerbResult r;
    for (int i = 0; i < 30; i++) label_of_spot(k, 127, 10 * i, &r);
    assert_int_equal(label_of_spot(k, 128, 300, &r), 0);
    kerb_reset_time(k);
    assert_int_equal(label_of_spot(k, 128, 310, &r), 1);
    for (int i = 0; i < 30; i++) label_of_spot(k, 127, 320 + 10 * i, &r);
    assert_int_equal(label_of_spot(k, 128, 100, &r), 1); /* time went back */
    for (int i = 0; i < 30; i++) label_of_spot(k, 127, 1000 + 10 * i, &r);
    KerbVideoFormat other = { .pixel_format = KERB_FORMAT_RGB, .width_px = W, .height_px = H - 1 }, same = { .pixel_format = KERB_FORMAT_RGB, .width_px = W, .height_px = H };
    assert_int_equal(kerb_set_format(k, &other, NULL), KERB_OK); /* another format has no past */
    assert_int_equal(kerb_set_format(k, &same, NULL), KERB_OK);
    assert_int_equal(label_of_spot(k, 128, 1300, &r), 1);
    kerb_close(&k);
}

/* Frames that were submitted before a reset keep their past; those after it have none. */
static void test_reset_in_flight(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = W, .height = H });
    KerbPipeline *k = open_smooth(KERB_SMOOTHING_STRONG);
    KerbResult r;
    for (int i = 0; i < 30; i++) label_of_spot(k, 127, 10 * i, &r);
    uint8_t rgb[W * H * 3];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) memset(rgb + (y * W + x) * 3, x >= 28 && x < 36 && y >= 12 && y < 20 ? 128 : ((x / 8 + y / 8) & 1) * 60 + 40, 3);
    for (int i = 0; i < 2; i++) {
        KerbJob job = { .frame = { .planes = { rgb }, .strides = { W * 3 }, .pts_ns = 300000000 + i * 1000000 } };
        assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        kerb_reset_time(k);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
        assert_int_equal(r.labels.data[16 * r.labels.stride + 32], i);
    }
    kerb_close(&k);
}

static void test_bad_value(void **state)
{
    KerbConfig config;
    KerbPipeline *k;
    KerbError error;
    kerb_config_init(&config);
    assert_int_equal(config.smoothing, KERB_SMOOTHING_OFF);
    config.model_file = "net.onnx";
    config.smoothing = (KerbSmoothing)3;
    assert_int_equal(kerb_open(&k, &config, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "smoothing is 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strengths),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_reset_in_flight),
        cmocka_unit_test(test_bad_value),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
