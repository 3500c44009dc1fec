/* SPDX-License-Identifier: MIT */
/* Carried labels against the true ones of a moving camera; and everything that a carrier must not do. */
#include "time_cases.h"

#include "kerb.h"

typedef struct Scene {
    KerbWorld world;
    uint8_t *grey, *labels; /* of frame 0, 1, ... */
    int n;
} Scene;

static uint8_t *scene_grey(const Scene *s, int i) { return s->grey + (size_t)i * (size_t)s->world.width * (size_t)s->world.height; }
static uint8_t *scene_labels(const Scene *s, int i) { return s->labels + (size_t)i * (size_t)s->world.width * (size_t)s->world.height; }

/* A drive: shifts, turns and comes nearer; frame `other` and what follows are of another world. */
static Scene scene_new(int width, int height, int n, int other)
{
    Scene s = { .world = { width, height }, .n = n };
    size_t pixels = (size_t)width * (size_t)height;
    s.grey = malloc(pixels * (size_t)n);
    s.labels = malloc(pixels * (size_t)n);
    assert_true(s.grey && s.labels);
    for (int i = 0; i < n; i++) {
        KerbView view = { .shift_x = 9 * i, .shift_y = -4 * i, .zoom = 1 + 0.02 * i, .turn_rad = 0.006 * i, .gain = 1, .world = i < other ? 1 : 2 };
        kerb_world_draw(&s.world, &view, scene_grey(&s, i), scene_labels(&s, i));
    }
    return s;
}

static void scene_free(Scene *s)
{
    free(s->grey);
    free(s->labels);
}

static KerbCarrier *carrier_new(const KerbWorld *world, int history)
{
    KerbCarrier *c;
    KerbError error;
    KerbVideoFormat format = kerb_grey_format(world);
    if (kerb_carrier_new(&c, &format, history, &error) != KERB_OK) fail_msg("%s", error.message);
    return c;
}

static void add(KerbCarrier *c, const Scene *s, int i, int64_t pts_ns)
{
    KerbFrame frame = kerb_grey_frame(scene_grey(s, i), s->world.width, pts_ns);
    kerb_carrier_add(c, &frame);
}

static double share_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t equal = 0;
    for (size_t i = 0; i < n; i++) equal += a[i] == b[i];
    return (double)equal / (double)n;
}

/* Of all pixels, those that have come in over the border included. */
static void test_carried_labels(void **state)
{
    Scene s = scene_new(960, 540, 5, 5);
    size_t pixels = 960 * 540;
    uint8_t *out = malloc(pixels);
    KerbCarrier *c = carrier_new(&s.world, 4);
    for (int i = 0; i < s.n; i++) add(c, &s, i, i);
    static const double least[] = { 1, 0.985, 0.975, 0.965, 0.955 };
    for (int age = 0; age <= 4; age++) {
        assert_true(kerb_carrier_carry(c, 4 - age, (KerbMap){ scene_labels(&s, 4 - age), 960 }, (KerbMap){ out, 960 }));
        double carried = share_equal(out, scene_labels(&s, 4), pixels), late = share_equal(scene_labels(&s, 4 - age), scene_labels(&s, 4), pixels);
        print_message("%d old: %.4f equal, %.4f without\n", age, carried, late);
        if (carried < least[age]) fail_msg("%d frames old: only %.4f of the labels are right", age, carried);
        if (age) assert_true(1 - carried < 0.5 * (1 - late));
    }
    kerb_carrier_free(&c);
    free(out);
    scene_free(&s);
}

/* Asked for the same frame again and again while new ones come, with a frame left out now and then: as right as asked once. */
static void test_the_same_source(void **state)
{
    Scene s = scene_new(960, 540, 7, 7);
    size_t pixels = 960 * 540;
    uint8_t *out = malloc(pixels);
    KerbCarrier *c = carrier_new(&s.world, 6);
    for (int i = 0; i < s.n; i++) {
        add(c, &s, i, i);
        if (i == 4) continue;
        for (int twice = 0; twice < 2; twice++) {
            memset(out, 77, pixels);
            assert_true(kerb_carrier_carry(c, 0, (KerbMap){ scene_labels(&s, 0), 960 }, (KerbMap){ out, 960 }));
            double right = share_equal(out, scene_labels(&s, i), pixels);
            if (right < 1 - 0.008 * (i ? i + 1 : 0)) fail_msg("after %d frames %.4f of the labels are right", i, right);
        }
    }
    kerb_carrier_free(&c);
    free(out);
    scene_free(&s);
}

static bool known(KerbCarrier *c, int64_t pts_ns)
{
    enum { W = 96, H = 64 };
    static uint8_t in[W * H], out[W * H];
    memset(out, 7, sizeof out);
    bool is = kerb_carrier_carry(c, pts_ns, (KerbMap){ in, W }, (KerbMap){ out, W });
    for (size_t i = 0; i < sizeof out; i++) assert_int_equal(out[i], is ? 0 : 7);
    return is;
}

static void test_history(void **state)
{
    Scene s = scene_new(96, 64, 8, 6);
    KerbCarrier *c = carrier_new(&s.world, 3);
    assert_false(known(c, 0));
    for (int i = 0; i < 6; i++) add(c, &s, i, 10 * i);
    assert_true(known(c, 50) && known(c, 40) && known(c, 30) && known(c, 20));
    assert_false(known(c, 10) || known(c, 0) || known(c, 45) || known(c, 60) || known(c, KERB_TIME_NONE));
    add(c, &s, 6, 60); /* the cut */
    assert_true(known(c, 60));
    assert_false(known(c, 50) || known(c, 40));
    add(c, &s, 7, 70);
    assert_true(known(c, 70) && known(c, 60));
    assert_false(known(c, 50));
    kerb_carrier_reset(c);
    assert_false(known(c, 70));
    kerb_carrier_free(&c);
    assert_null(c);
    kerb_carrier_free(&c);
    kerb_carrier_free(NULL);
    scene_free(&s);
}

static void test_time_stamps(void **state)
{
    Scene s = scene_new(96, 64, 6, 6);
    KerbCarrier *c = carrier_new(&s.world, 5);
    add(c, &s, 0, 10);
    add(c, &s, 1, KERB_TIME_NONE); /* carried past, not from */
    add(c, &s, 2, 30);
    assert_true(known(c, 10) && known(c, 30));
    add(c, &s, 3, 30); /* the same once more: a new beginning */
    assert_true(known(c, 30));
    assert_false(known(c, 10));
    add(c, &s, 4, 20); /* back */
    assert_true(known(c, 20));
    assert_false(known(c, 30));
    KerbFrame nothing = { .pts_ns = 50 };
    kerb_carrier_add(c, &nothing); /* a frame without a picture: nothing is known any more */
    assert_false(known(c, 50) || known(c, 20));
    uint8_t in[96 * 64] = { 0 }, out[96 * 64];
    add(c, &s, 5, 60);
    assert_false(kerb_carrier_carry(c, 60, (KerbMap){ NULL, 96 }, (KerbMap){ out, 96 }));
    assert_false(kerb_carrier_carry(c, 60, (KerbMap){ in, 95 }, (KerbMap){ out, 96 }));
    assert_false(kerb_carrier_carry(c, 60, (KerbMap){ in, 96 }, (KerbMap){ NULL, 96 }));
    assert_true(kerb_carrier_carry(c, 60, (KerbMap){ in, 96 }, (KerbMap){ out, 96 }));
    kerb_carrier_free(&c);
    scene_free(&s);
}

/* What the network does not see (columns at both sides, say) stays so, and nothing of it is carried inwards. */
static void test_none(void **state)
{
    const KerbWorld world = { 480, 270 };
    KerbCarrier *c = carrier_new(&world, 1);
    uint8_t *grey = malloc(3 * 480 * 270), *in = grey + 480 * 270, *out = in + 480 * 270;
    for (int i = 0; i < 2; i++) {
        KerbView view = { .shift_x = 25 * i, .zoom = 1, .gain = 1, .world = 1 };
        kerb_world_draw(&world, &view, grey, NULL);
        KerbFrame frame = kerb_grey_frame(grey, 480, i);
        kerb_carrier_add(c, &frame);
    }
    for (int i = 0; i < 480 * 270; i++) in[i] = i % 480 < 60 || i % 480 >= 420 ? KERB_LABEL_NONE : (uint8_t)(1 + i % 480 / 240);
    assert_true(kerb_carrier_carry(c, 0, (KerbMap){ in, 480 }, (KerbMap){ out, 480 }));
    size_t moved = 0;
    for (int i = 0; i < 480 * 270; i++) {
        assert_true((in[i] == KERB_LABEL_NONE) == (out[i] == KERB_LABEL_NONE));
        moved += in[i] != out[i];
    }
    assert_true(moved > 20 * 270 && moved < 30 * 270); /* the border of 1 and 2 by 25 pixels */
    for (int i = 0; i < 480 * 270; i++) in[i] = i % 480 < 240 ? 255 : 100; /* of confidence, 255 is a number */
    assert_true(kerb_carrier_carry_confidence(c, 0, (KerbMap){ in, 480 }, (KerbMap){ out, 480 }));
    moved = 0;
    for (int i = 0; i < 480 * 270; i++) moved += in[i] == 255 && out[i] == 100;
    assert_true(moved > 20 * 270 && moved < 30 * 270);
    kerb_carrier_free(&c);
    free(grey);
}

/* Any size and stride: nothing outside the maps is touched, and no value appears that was not there. */
static void test_any_size(void **state)
{
    static const int sizes[][2] = { { 1, 1 }, { 2, 1 }, { 3, 5 }, { 11, 12 }, { 12, 11 }, { 13, 13 }, { 1, 300 }, { 331, 7 }, { 97, 61 }, { 643, 359 } };
    KerbRandom random = kerb_random_seed(17);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const KerbWorld world = { sizes[s][0], sizes[s][1] };
        KerbCarrier *c = carrier_new(&world, 3);
        KerbPlane in = kerb_plane_new(world.width, world.height, 3), out = kerb_plane_new(world.width, world.height, 17);
        KerbPlane grey = kerb_plane_new(world.width, world.height, 9);
        for (int i = 0; i < 4; i++) {
            KerbView view = { .shift_x = kerb_random_int(&random, -40, 40), .shift_y = kerb_random_int(&random, -40, 40), .zoom = 1, .gain = 1, .world = 1 };
            uint8_t *picture = malloc((size_t)world.width * (size_t)world.height);
            kerb_world_draw(&world, &view, picture, NULL);
            for (int y = 0; y < world.height; y++) memcpy(grey.data + y * grey.stride, picture + y * world.width, (size_t)world.width);
            free(picture);
            KerbFrame frame = { .planes = { grey.data }, .strides = { grey.stride }, .pts_ns = i };
            kerb_carrier_add(c, &frame);
        }
        for (int y = 0; y < world.height; y++)
            for (int x = 0; x < world.width; x++) in.data[y * in.stride + x] = (uint8_t)(3 + kerb_random_int(&random, 0, 1));
        for (int age = 0; age < 4; age++) {
            if (!kerb_carrier_carry(c, 3 - age, (KerbMap){ in.data, in.stride }, (KerbMap){ out.data, out.stride })) continue;
            for (int y = 0; y < world.height; y++)
                for (int x = 0; x < world.width; x++) assert_true(out.data[y * out.stride + x] == 3 || out.data[y * out.stride + x] == 4);
        }
        kerb_plane_check_guards(&in);
        kerb_plane_check_guards(&out);
        kerb_plane_check_guards(&grey);
        kerb_carrier_free(&c);
        free(in.memory);
        free(out.memory);
        free(grey.memory);
    }
}

static void test_bad_arguments(void **state)
{
    KerbCarrier *c = (KerbCarrier *)1;
    KerbError error;
    const KerbWorld world = { 64, 48 };
    KerbVideoFormat good = kerb_grey_format(&world), bad = good;
    bad.width_px = 0;
    assert_int_equal(kerb_carrier_new(NULL, &good, 1, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_carrier_new(&c, NULL, 1, &error), KERB_ERROR_ARGUMENT);
    assert_null(c);
    assert_int_equal(kerb_carrier_new(&c, &bad, 1, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_carrier_new(&c, &good, 0, &error), KERB_ERROR_ARGUMENT);
    assert_int_equal(kerb_carrier_new(&c, &good, KERB_MAX_HISTORY_FRAMES + 1, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "65"));
    assert_null(c);
    assert_int_equal(kerb_carrier_new(&c, &good, KERB_MAX_HISTORY_FRAMES, NULL), KERB_OK);
    kerb_carrier_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carried_labels), cmocka_unit_test(test_the_same_source), cmocka_unit_test(test_history),
        cmocka_unit_test(test_time_stamps),
        cmocka_unit_test(test_none),           cmocka_unit_test(test_any_size), cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
