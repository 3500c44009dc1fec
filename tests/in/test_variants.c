/* SPDX-License-Identifier: MIT */
/* Every variant, and every number of threads, gives the bits of plain C on one thread. The rule is equality: a network must say the same on
 * every processor. Also what kerb_in_new() refuses. */
#include "in_fixture.h"

static const unsigned variants[] = { KERB_CPU_AVX2, KERB_CPU_AVX2 | KERB_CPU_AVX512 };

static void check_same(KerbInParams p, int threads, int stride_extra, uint32_t seed)
{
    FixtureFrame frame = fixture_frame_new(&p.format, stride_extra, seed, false);
    FixtureOutput expected = fixture_output_new(&p), got = fixture_output_new(&p);
    KerbPool *pool = NULL;
    if (threads > 0) assert_int_equal(kerb_pool_new(&pool, threads, NULL), KERB_OK);
    unsigned flags = p.cpu_flags;
    p.cpu_flags = 0;
    fixture_run(&p, &frame.frame, &expected, NULL);
    p.cpu_flags = flags;
    fixture_run(&p, &frame.frame, &got, pool);
    for (size_t i = 0; i < expected.bytes; i++)
        if (expected.block[GUARD_BYTES + i] != got.block[GUARD_BYTES + i])
            fail_msg("%s %dx%d -> %dx%d colour %d %s strides %d,%d flags %x threads %d seed %u: byte %zu differs",
                     kerb_pixel_format_name(p.format.pixel_format), p.format.width_px, p.format.height_px, p.geometry.net_width_px,
                     p.geometry.net_height_px, p.color, kerb_dtype_name(p.input.dtype), (int)p.input.strides[1], (int)p.input.strides[3],
                     flags, threads, seed, i);
    kerb_pool_free(&pool);
    fixture_output_free(&expected);
    fixture_output_free(&got);
    fixture_frame_free(&frame);
}

/* Random cases over everything that can be asked for; the seed is in the message. */
static void variants_equal_plain_c(void **state)
{
    unsigned usable = kerb_cpu_flags();
    int ran = 0;
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        if ((usable & variants[v]) != variants[v]) continue;
        for (uint32_t seed = 1; seed <= 600; seed++, ran++) {
            uint32_t r = seed * 2654435761u;
            KerbVideoFormat f = fixture_format((KerbPixelFormat)(1 + fixture_random(&r) % (KERB_FORMAT_COUNT - 1)),
                                               1 + (int)(fixture_random(&r) % 400), 1 + (int)(fixture_random(&r) % 60),
                                               (KerbMatrix)(fixture_random(&r) % 3), (KerbRange)(fixture_random(&r) % 2),
                                               (KerbChromaSite)(fixture_random(&r) % 2));
            int net_w = 1 + (int)(fixture_random(&r) % 200), net_h = 1 + (int)(fixture_random(&r) % 30);
            if (seed % 5 == 0) net_w = 1 + f.width_px / (2 + (int)(fixture_random(&r) % 9)); /* areas */
            KerbInParams p = fixture_params(
                f, net_w, net_h, (KerbFit)(KERB_FIT_STRETCH + fixture_random(&r) % 3), (KerbColor)(KERB_COLOR_RGB + fixture_random(&r) % 3),
                fixture_random(&r) % 2 ? KERB_F32 : KERB_BF16, (FixtureLayout)(fixture_random(&r) % FIXTURE_LAYOUTS));
            p.cpu_flags = variants[v];
            check_same(p, 0, (int)(fixture_random(&r) % 9), seed);
        }
    }
    if (!ran) skip();
}

static void threads_equal_one(void **state)
{
    for (int threads = 1; threads <= 5; threads++)
        for (int f = KERB_FORMAT_I420; f < KERB_FORMAT_COUNT; f += 3)
            for (int h = 1; h <= 101; h += 20) {
                KerbVideoFormat format =
                    fixture_format((KerbPixelFormat)f, 200, 150, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
                KerbInParams p = fixture_params(format, 90, h, KERB_FIT_LETTERBOX, KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
                check_same(p, threads, 0, (uint32_t)h);
            }
}

typedef struct TwoRuns {
    const KerbIn *in;
    const KerbFrame *frame;
    FixtureOutput *outputs;
} TwoRuns;

static void run_one(void *arg, int index, int count, int thread)
{
    const TwoRuns *t = arg;
    kerb_in_run(t->in, t->frame, &t->outputs[index].tensor, NULL);
}

/* One KerbIn, four runs at the same time on different destinations. */
static void one_serves_many_threads(void **state)
{
    KerbVideoFormat format = fixture_format(KERB_FORMAT_NV12, 320, 180, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
    KerbInParams p = fixture_params(format, 100, 70, KERB_FIT_CROP, KERB_COLOR_RGB, KERB_F32, FIXTURE_NHWC);
    FixtureFrame frame = fixture_frame_new(&format, 0, 3, false);
    FixtureOutput outputs[4];
    for (int i = 0; i < 4; i++) outputs[i] = fixture_output_new(&p);
    KerbIn *in;
    KerbPool *pool;
    assert_int_equal(kerb_in_new(&in, &p, NULL), KERB_OK);
    assert_int_equal(kerb_pool_new(&pool, 4, NULL), KERB_OK);
    TwoRuns runs = { in, &frame.frame, outputs };
    kerb_pool_run(pool, run_one, &runs, 4);
    for (int i = 1; i < 4; i++) assert_memory_equal(outputs[0].tensor.data, outputs[i].tensor.data, outputs[0].bytes);
    kerb_pool_free(&pool);
    kerb_in_free(&in);
    for (int i = 0; i < 4; i++) fixture_output_free(&outputs[i]);
    fixture_frame_free(&frame);
}

static void refuse(const KerbInParams *p, const char *word)
{
    KerbIn *in = (KerbIn *)(void *)&in;
    KerbError error;
    assert_int_equal(kerb_in_new(&in, p, &error), KERB_ERROR_ARGUMENT);
    assert_null(in);
    if (!strstr(error.message, word)) fail_msg("\"%s\" does not say \"%s\"", error.message, word);
}

static void bad_parameters_are_refused(void **state)
{
    KerbVideoFormat format = fixture_format(KERB_FORMAT_I420, 64, 48, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
    const KerbInParams good = fixture_params(format, 32, 24, KERB_FIT_STRETCH, KERB_COLOR_RGB, KERB_F32, FIXTURE_NCHW);
    KerbInParams p = good;
    p.format.width_px = 0, refuse(&p, "0 x 48");
    p = good, p.format.width_px = 66, refuse(&p, "66 x 48");
    p = good, p.format.pixel_format = (KerbPixelFormat)99, refuse(&p, "99");
    p = good, p.color = KERB_COLOR_AUTO, refuse(&p, "colour 0");
    p = good, p.color = KERB_COLOR_GRAY, refuse(&p, "1x1xHxW");
    p = good, p.input.rank = 3, refuse(&p, "1x3x24");
    p = good, p.input.dims[0] = 2, refuse(&p, "2x3x24x32");
    p = good, p.input.dims[3] = 33, refuse(&p, "1x3x24x33");
    p = good, p.input.dtype = KERB_U8, refuse(&p, "u8");
    p = good, p.input.strides[3] = 0, refuse(&p, "stride 0");
    p = good, p.std[1] = 0, refuse(&p, "std 0 of channel 1");
    p = good, p.std[2] = NAN, refuse(&p, "channel 2");
    p = good, p.std[0] = 1e-38f, refuse(&p, "channel 0");
    p = good, p.mean[0] = INFINITY, refuse(&p, "channel 0");
    p = good, p.geometry.scale_x = NAN, refuse(&p, "geometry");
    p = good, p.geometry.scale_y = -1, refuse(&p, "geometry");
    p = good, p.geometry.offset_x = INFINITY, refuse(&p, "geometry");
    p = good, p.geometry.net_x1 = 33, refuse(&p, "geometry");
    p = good, p.geometry.net_y0 = 24, refuse(&p, "geometry");
    KerbIn *none = NULL;
    kerb_in_free(NULL);
    kerb_in_free(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_equal_plain_c), cmocka_unit_test(threads_equal_one), cmocka_unit_test(one_serves_many_threads),
        cmocka_unit_test(bad_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
