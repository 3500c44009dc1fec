/* SPDX-License-Identifier: MIT */
/* The pipeline from frame to labels on small models whose answer is known, and on backends of the test's own that are slow or fail. */
#include "run/pipeline.h"

#include "net/ref/ref.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "run_models.h"

enum { W = 70, H = 50 };

/* Left part dark, right part bright; column 30 is the first bright one. */
static void paint(uint8_t *rgb, int w, int h)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) memset(rgb + ((size_t)y * (size_t)w + (size_t)x) * 3, x < 30 ? 20 : 230, 3);
}

static KerbPipeline *open_model(const char *path, const char *backend)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = path;
    config.backend = backend;
    config.threads = 2;
    KerbPipeline *k;
    KerbError error;
    if (kerb_open(&k, &config, &error) != KERB_OK) fail_msg("%s", error.message);
    return k;
}

static void set_rgb(KerbPipeline *k, int w, int h)
{
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = w, .height_px = h };
    KerbError error;
    if (kerb_set_format(k, &format, &error) != KERB_OK) fail_msg("%s", error.message);
}

static KerbResult run_one(KerbPipeline *k, const KerbJob *job)
{
    KerbResult result;
    KerbError error;
    if (kerb_submit(k, job, &error) != KERB_OK) fail_msg("%s", error.message);
    if (kerb_collect(k, &result, -1, &error) != KERB_OK || result.status != KERB_OK) fail_msg("%s", error.message);
    return result;
}

/* Away from the edge (stretching blurs it) the labels must be those of dark and bright. */
static void expect_halves(const KerbMap *labels, int w, int h, int edge, int dark, int bright)
{
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            int label = labels->data[y * labels->stride + x];
            if (x < edge - 3 && label != dark) fail_msg("label %d at %d,%d, expected %d", label, x, y, dark);
            if (x > edge + 3 && label != bright) fail_msg("label %d at %d,%d, expected %d", label, x, y, bright);
        }
    }
}

static void check_model(const TestModel *model, int dark, int bright)
{
    write_model("net.onnx", model);
    KerbPipeline *k = open_model("net.onnx", "ref");
    set_rgb(k, W, H);
    uint8_t *rgb = malloc(W * H * 3);
    paint(rgb, W, H);
    KerbJob job = { .frame = { .planes = { rgb }, .strides = { W * 3 }, .pts_ns = 1234 }, .user = k };
    KerbResult r = run_one(k, &job);
    assert_ptr_equal(r.user, k);
    assert_int_equal(r.pts_ns, 1234);
    assert_int_equal(r.source_pts_ns, 1234);
    assert_int_equal(r.age_ns, 0);
    assert_non_null(r.confidence.data);
    expect_halves(&r.labels, W, H, 30, dark, bright);
    assert_true(r.confidence.data[0] > 127);
    free(rgb);
    kerb_close(&k);
    assert_null(k);
}

static void test_labels(void **state)
{
    check_model(&(TestModel){ 0 }, 0, 1);
    check_model(&(TestModel){ .width = 64, .height = 32 }, 0, 1);
    check_model(&(TestModel){ .nhwc = true }, 0, 1);
    check_model(&(TestModel){ .nhwc = true, .width = 40, .height = 48, .type = ONNX_U8 }, 0, 1);
    check_model(&(TestModel){ .type = ONNX_U8 }, 0, 1);
    check_model(&(TestModel){ .type = ONNX_F16 }, 0, 1);
    check_model(&(TestModel){ .channels = 1 }, 0, 1);
    check_model(&(TestModel){ .classes = 5 }, 4, 3);
    check_model(&(TestModel){ .classes = 5, .softmax = true }, 4, 3);
    /* two layers of "this or background": bright is the first's class 1, dark the second's class, label 2 */
    check_model(&(TestModel){ .outputs = 2 }, 2, 1);
    /* further outputs of more classes are auxiliary */
    check_model(&(TestModel){ .outputs = 2, .classes = 4 }, 2, 3);
}

static void test_card_maps_channels(void **state)
{
    write_model("net.onnx", &(TestModel){ .classes = 3 });
    write_text("net.json", "{ \"classes\": [{\"name\": \"nothing\"}, {\"name\": \"road\", \"color\": [1, 2, 3], \"id\": 7}],"
                           "  \"outputs\": [{\"name\": \"scores\", \"classes\": [\"road\", 0, \"nothing\"]}] }");
    KerbPipeline *k = open_model("net.onnx", "ref");
    int n;
    const KerbClass *classes = kerb_classes(k, &n);
    assert_int_equal(n, 2);
    assert_string_equal(classes[1].name, "road");
    assert_int_equal(classes[1].rgb[2], 3);
    assert_int_equal(classes[1].dataset_id, 7);
    set_rgb(k, W, H);
    uint8_t rgb[W * H * 3];
    paint(rgb, W, H);
    KerbJob job = { .frame = { .planes = { rgb }, .strides = { W * 3 } } };
    KerbResult r = run_one(k, &job);
    expect_halves(&r.labels, W, H, 30, 0, 0); /* dark: channel 2 -> nothing; bright: channel 1 -> 0 */
    kerb_close(&k);
    write_text("net.json",
               "{ \"classes\": [{\"name\": \"nothing\"}, {\"name\": \"road\"}], \"outputs\": [{\"classes\": [0, \"road\", 0]}] }");
    k = open_model("net.onnx", "ref");
    set_rgb(k, W, H);
    r = run_one(k, &job);
    expect_halves(&r.labels, W, H, 30, 0, 1);
    kerb_close(&k);
    unlink("net.json");
}

static void test_free_size_rule(void **state)
{
    static const struct { int w, h, net_w, net_h;
    } cases[] = {
        {640, 360, 640, 352}, {1920, 1080, 1024, 576}, {1, 1, 32, 32}, {16, 900, 32, 896}, {1080, 1920, 576, 1024}, {16384, 2, 1024, 32},
    };
    write_model("net.onnx", &(TestModel){ 0 });
    KerbPipeline *k = open_model("net.onnx", "ref");
    KerbStats s;
    kerb_get_stats(k, &s);
    assert_int_equal(s.network_width_px, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_rgb(k, cases[i].w, cases[i].h);
        kerb_get_stats(k, &s);
        assert_int_equal(s.network_width_px, cases[i].net_w);
        assert_int_equal(s.network_height_px, cases[i].net_h);
        assert_string_equal(s.backend, "ref (f32)");
    }
    kerb_close(&k);
}

/* The card bounds the longer side; the frame's aspect and the multiple stay, and small frames are not enlarged. */
static void test_longer_side(void **state)
{
    static const struct { int w, h, net_w, net_h;
    } cases[] = {
        {1280, 720, 640, 352}, {480, 360, 480, 352}, {720, 1280, 352, 640}, {640, 640, 640, 640}, {1242, 375, 640, 192}, {1, 1, 32, 32},
    };
    write_model("net.onnx", &(TestModel){ 0 });
    write_text("net.json", "{ \"input\": { \"longer_side\": 640 } }");
    KerbPipeline *k = open_model("net.onnx", "ref");
    KerbStats s;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_rgb(k, cases[i].w, cases[i].h);
        kerb_get_stats(k, &s);
        assert_int_equal(s.network_width_px, cases[i].net_w);
        assert_int_equal(s.network_height_px, cases[i].net_h);
    }
    kerb_close(&k);
    write_text("net.json", "{ \"input\": { \"longer_side\": 1500, \"multiple\": 20 } }"); /* beyond the default's bound */
    k = open_model("net.onnx", "ref");
    set_rgb(k, 3000, 1000);
    kerb_get_stats(k, &s);
    assert_int_equal(s.network_width_px, 1500);
    assert_int_equal(s.network_height_px, 500);
    kerb_close(&k);
    write_text("net.json", "{ \"input\": { \"longer_side\": 640, \"width\": 96, \"height\": 64 } }"); /* a size that is said wins */
    k = open_model("net.onnx", "ref");
    kerb_get_stats(k, &s);
    assert_int_equal(s.network_width_px, 96);
    kerb_close(&k);
    unlink("net.json");
}

static void test_size_of_config_and_card(void **state)
{
    write_model("net.onnx", &(TestModel){ 0 });
    write_text("net.json", "{ \"input\": { \"width\": 96, \"height\": 64 } }");
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.backend = "ref";
    KerbPipeline *k;
    KerbStats s;
    assert_int_equal(kerb_open(&k, &config, NULL), KERB_OK);
    kerb_get_stats(k, &s);
    assert_int_equal(s.network_width_px, 96); /* known before any frame: compiled by open */
    assert_true(s.compile_ns > 0);
    kerb_close(&k);
    config.network_width_px = 128;
    assert_int_equal(kerb_open(&k, &config, NULL), KERB_OK);
    kerb_get_stats(k, &s);
    assert_int_equal(s.network_width_px, 128);
    assert_int_equal(s.network_height_px, 64);
    kerb_close(&k);
    unlink("net.json");
    config.network_width_px = 256; /* the height follows the frame's aspect */
    assert_int_equal(kerb_open(&k, &config, NULL), KERB_OK);
    set_rgb(k, 400, 200);
    kerb_get_stats(k, &s);
    assert_int_equal(s.network_width_px, 256);
    assert_int_equal(s.network_height_px, 128);
    kerb_close(&k);
}

/* Maps and picture that the job brings; in place; display changes with the next frame. */
static void test_where_results_go(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    KerbPipeline *k = open_model("net.onnx", "ref");
    set_rgb(k, W, H);
    uint8_t frame[W * H * 3], picture[W * H * 3], labels[80 * H], confidence[80 * H];
    paint(frame, W, H);
    memset(picture, 1, sizeof picture);
    KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } }, .picture = { .planes = { picture }, .strides = { W * 3 } },
                    .labels = { labels, 80 }, .confidence = { confidence, 80 } };
    KerbDisplay display;
    kerb_get_display(k, &display);
    display.alpha = 1;
    display.enabled[1] = true;
    memcpy(display.rgb[1], (uint8_t[]){ 9, 8, 7 }, 3);
    kerb_set_display(k, &display);
    KerbResult r = run_one(k, &job);
    assert_ptr_equal(r.labels.data, labels);
    assert_ptr_equal(r.confidence.data, confidence);
    expect_halves(&r.labels, W, H, 30, 0, 1);
    assert_memory_equal(picture + 60 * 3, ((uint8_t[]){ 9, 8, 7 }), 3);
    assert_memory_equal(picture, ((uint8_t[]){ 20, 20, 20 }), 3); /* background is not painted */
    display.visualize = KERB_VISUALIZE_NONE;
    kerb_set_display(k, &display);
    job.picture = job.frame;
    run_one(k, &job);
    assert_int_equal(frame[60 * 3], 230);
    display.visualize = KERB_VISUALIZE_OVERLAY;
    kerb_set_display(k, &display);
    run_one(k, &job);
    assert_memory_equal(frame + 60 * 3, ((uint8_t[]){ 9, 8, 7 }), 3);
    kerb_close(&k);
}

/* A result's own maps stay as they are while every slot is filled again. */
static void test_maps_last_until_the_next_collect(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    KerbPipeline *k = open_model("net.onnx", "ref");
    set_rgb(k, W, H);
    uint8_t halves[W * H * 3], dark[W * H * 3] = { 0 };
    paint(halves, W, H);
    KerbJob one = {.frame = {.planes = {halves}, .strides = {W * 3}}}, two = {.frame = {.planes = {dark}, .strides = {W * 3}}};
    KerbResult r = run_one(k, &one), later;
    assert_int_equal(kerb_submit(k, &two, NULL), KERB_OK);
    assert_int_equal(kerb_submit(k, &two, NULL), KERB_OK);
    KerbStats s;
    struct timespec wait = { 0, 100000000 };
    nanosleep(&wait, NULL); /* both are done by now */
    kerb_get_stats(k, &s);
    assert_int_equal(s.in_flight, 2);
    expect_halves(&r.labels, W, H, 30, 0, 1);
    assert_int_equal(kerb_collect(k, &later, -1, NULL), KERB_OK);
    assert_int_equal(kerb_collect(k, &later, -1, NULL), KERB_OK);
    expect_halves(&later.labels, W, H, 30, 0, 0);
    kerb_close(&k);
}

static KerbPipeline *open_with(const KerbConfig *changes)
{
    KerbConfig config = *changes;
    config.model_file = "net.onnx";
    config.backend = "ref";
    config.slots = 1;
    KerbPipeline *k;
    KerbError error;
    if (kerb_open(&k, &config, &error) != KERB_OK) fail_msg("%s", error.message);
    set_rgb(k, W, H);
    return k;
}

/* 70 x 50 on a network of 64 x 32: crop sees 35 rows in the middle, letterbox all of it. One slot is enough for submit, collect, submit. */
static void test_fit(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    uint8_t frame[W * H * 3];
    paint(frame, W, H);
    KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } } };
    KerbPipeline *k = open_with(&(KerbConfig){ .fit = KERB_FIT_CROP, .confidence = true });
    for (int i = 0; i < 3; i++) {
        KerbResult r = run_one(k, &job);
        for (int y = 0; y < H; y++) {
            bool seen = y >= 7 && y < 42;
            assert_int_equal(r.labels.data[y * r.labels.stride], seen ? 0 : KERB_LABEL_NONE);
            assert_int_equal(r.labels.data[y * r.labels.stride + W - 1], seen ? 1 : KERB_LABEL_NONE);
            assert_true((r.confidence.data[y * r.confidence.stride] > 0) == seen);
        }
    }
    kerb_close(&k);
    k = open_with(&(KerbConfig){ .fit = KERB_FIT_LETTERBOX });
    KerbResult r = run_one(k, &job);
    expect_halves(&r.labels, W, H, 30, 0, 1);
    assert_null(r.confidence.data); /* switched off */
    uint8_t confidence[W * H] = { 77 };
    job.confidence = (KerbMap){ confidence, W };
    r = run_one(k, &job);
    assert_null(r.confidence.data);
    assert_int_equal(confidence[0], 77);
    kerb_close(&k);
}

static void test_no_time_stamp(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    KerbPipeline *k = open_with(&(KerbConfig){ 0 });
    uint8_t frame[W * H * 3];
    paint(frame, W, H);
    KerbResult r = run_one(k, &(KerbJob){ .frame = { .planes = { frame }, .strides = { W * 3 }, .pts_ns = KERB_TIME_NONE } });
    assert_true(r.pts_ns == KERB_TIME_NONE && r.source_pts_ns == KERB_TIME_NONE);
    assert_int_equal(r.age_ns, 0);
    assert_true(r.times.net_ns > 0 && r.times.in_ns > 0 && r.times.out_ns > 0 && r.times.queue_ns >= 0);
    kerb_close(&k);
}

static void expect_refused(KerbPipeline *k, const KerbJob *job, const char *words)
{
    KerbError error;
    assert_int_equal(kerb_submit(k, job, &error), KERB_ERROR_ARGUMENT);
    if (!strstr(error.message, words)) fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void test_bad_jobs_and_formats(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32 });
    KerbPipeline *k = open_model("net.onnx", "ref");
    uint8_t frame[W * H * 3], labels[W];
    paint(frame, W, H);
    KerbJob good = { .frame = { .planes = { frame }, .strides = { W * 3 } } };
    expect_refused(k, &good, "kerb_set_format");
    KerbError error;
    KerbVideoFormat bad[] = {
        {KERB_FORMAT_RGB, 0, 10, 0, 0, 0}, {KERB_FORMAT_RGB, 10, KERB_MAX_SIDE_PX + 1, 0, 0, 0}, {99, 10, 10, 0, 0, 0}};
    for (int i = 0; i < 3; i++) assert_int_equal(kerb_set_format(k, &bad[i], &error), KERB_ERROR_ARGUMENT);
    set_rgb(k, W, H);
    KerbJob job = good;
    job.frame.planes[0] = NULL;
    expect_refused(k, &job, "plane 0");
    job = good;
    job.frame.strides[0] = W * 3 - 1;
    expect_refused(k, &job, "stride 209");
    job = good;
    job.picture = (KerbFrame){ .planes = { frame }, .strides = { 5 } };
    expect_refused(k, &job, "picture");
    job = good;
    job.labels = (KerbMap){ labels, W - 1 };
    expect_refused(k, &job, "labels");
    KerbDisplay display;
    kerb_get_display(k, &display);
    display.visualize = KERB_VISUALIZE_SIDE_BY_SIDE;
    kerb_set_display(k, &display);
    job = good;
    job.picture = job.frame;
    expect_refused(k, &job, "side-by-side");
    assert_int_equal(kerb_submit(k, &good, NULL), KERB_OK);
    KerbVideoFormat other = { .pixel_format = KERB_FORMAT_GRAY8, .width_px = 8, .height_px = 8 };
    assert_int_equal(kerb_set_format(k, &other, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "1 frame is in flight"));
    KerbResult r;
    assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
    assert_int_equal(kerb_set_format(k, &other, &error), KERB_OK);
    kerb_close(&k);
}

static void test_display_is_made_sane(void **state)
{
    write_model("net.onnx", &(TestModel){ 0 });
    KerbPipeline *k = open_model("net.onnx", "ref");
    KerbDisplay d;
    kerb_get_display(k, &d);
    assert_int_equal(d.visualize, KERB_VISUALIZE_OVERLAY);
    assert_true(d.alpha == 0.5f);
    assert_false(d.enabled[0]); /* two classes: the first is background */
    assert_true(d.enabled[1]);
    d.alpha = __builtin_nanf("");
    d.visualize = (KerbVisualize)77;
    kerb_set_display(k, &d);
    kerb_get_display(k, &d);
    assert_true(d.alpha == 0);
    assert_int_equal(d.visualize, KERB_VISUALIZE_OVERLAY);
    kerb_close(&k);
}

/* ---- a backend that is ref, but slow and failing */

static atomic_int runs;
static int fail_every;

static KerbStatus odd_run(KerbNet *net, KerbError *error)
{
    static unsigned seed = 5;
    int n = atomic_fetch_add(&runs, 1) + 1;
    struct timespec wait = { 0, rand_r(&seed) % 400000 };
    nanosleep(&wait, NULL);
    if (fail_every && n % fail_every == 0) return kerb_fail(error, KERB_ERROR_FRAME, "run %d fell over", n);
    return kerb_backend_ref.run(net, error);
}

typedef struct Feed {
    KerbPipeline *k;
    uint8_t *rgb;
    int frames, submitted;
    atomic_int stop;
} Feed;

static void *feed(void *data)
{
    Feed *f = data;
    while (f->submitted < f->frames) {
        KerbJob job = {.frame = {.planes = {f->rgb}, .strides = {W * 3}, .pts_ns = f->submitted}, .user = (void *)(intptr_t)f->submitted};
        if (kerb_submit(f->k, &job, NULL) == KERB_OK) f->submitted++;
    }
    return NULL;
}

static void *disturb(void *data)
{
    Feed *f = data;
    unsigned seed = 3;
    while (!atomic_load(&f->stop)) {
        KerbStats s;
        KerbDisplay d;
        kerb_get_stats(f->k, &s);
        assert_int_equal(s.frames_in, s.frames_out + s.frames_flushed + s.frames_errored + (uint64_t)s.in_flight);
        kerb_get_display(f->k, &d);
        d.alpha = (float)(rand_r(&seed) % 100) / 100;
        kerb_set_display(f->k, &d);
        if (rand_r(&seed) % 4 == 0) kerb_flush(f->k);
        if (rand_r(&seed) % 16 == 0) {
            kerb_set_flushing(f->k, true);
            kerb_set_flushing(f->k, false);
        }
        struct timespec wait = { 0, rand_r(&seed) % 1000000 };
        nanosleep(&wait, NULL);
    }
    return NULL;
}

static void test_storm_on_a_failing_backend(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 32, .height = 32 });
    KerbBackend odd = kerb_backend_ref;
    odd.run = odd_run;
    fail_every = 5;
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = "net.onnx";
    config.slots = 3;
    config.threads = 2;
    Feed f = { .frames = 400, .rgb = malloc(W * H * 3) };
    paint(f.rgb, W, H);
    assert_int_equal(kerb_open_with_backend(&f.k, &config, &odd, NULL), KERB_OK);
    set_rgb(f.k, W, H);
    pthread_t feeder, disturber;
    pthread_create(&feeder, NULL, feed, &f);
    pthread_create(&disturber, NULL, disturb, &f);
    uint64_t out = 0, flushed = 0, errored = 0;
    for (int next = 0; next < f.frames;) {
        KerbResult r;
        KerbError error;
        if (kerb_collect(f.k, &r, 1000000, &error) != KERB_OK) continue;
        assert_int_equal((intptr_t)r.user, next);
        assert_int_equal(r.pts_ns, next++);
        out += r.status == KERB_OK;
        flushed += r.status == KERB_FLUSHED;
        errored += r.status == KERB_ERROR_FRAME;
        if (r.status == KERB_ERROR_FRAME) assert_non_null(strstr(error.message, "fell over"));
        if (r.status == KERB_OK) expect_halves(&r.labels, W, H, 30, 0, 1);
        else assert_null(r.labels.data);
    }
    atomic_store(&f.stop, 1);
    pthread_join(feeder, NULL);
    pthread_join(disturber, NULL);
    KerbStats s;
    kerb_get_stats(f.k, &s);
    assert_int_equal(s.frames_in, f.frames);
    assert_int_equal(s.frames_out, out);
    assert_int_equal(s.frames_flushed, flushed);
    assert_int_equal(s.frames_errored, errored);
    assert_int_equal(s.in_flight, 0);
    assert_true(out && flushed && errored);
    assert_true(s.mean.net_ns > 0 && s.mean.in_ns > 0 && s.mean.out_ns > 0);
    kerb_close(&f.k);
    free(f.rgb);
}

static void test_close_with_frames_in_flight(void **state)
{
    write_model("net.onnx", &(TestModel){ .width = 32, .height = 32 });
    kerb_close(NULL);
    for (int n = 0; n <= 2; n++) {
        KerbPipeline *k = open_model("net.onnx", "ref");
        set_rgb(k, W, H);
        uint8_t rgb[W * H * 3] = { 0 };
        KerbJob job = { .frame = { .planes = { rgb }, .strides = { W * 3 } } };
        for (int i = 0; i < n; i++) assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        kerb_close(&k);
        assert_null(k);
        kerb_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_card_maps_channels),
        cmocka_unit_test(test_free_size_rule), cmocka_unit_test(test_longer_side),
        cmocka_unit_test(test_size_of_config_and_card),
        cmocka_unit_test(test_where_results_go),
        cmocka_unit_test(test_maps_last_until_the_next_collect),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_no_time_stamp),
        cmocka_unit_test(test_bad_jobs_and_formats),
        cmocka_unit_test(test_display_is_made_sane),
        cmocka_unit_test(test_storm_on_a_failing_backend),
        cmocka_unit_test(test_close_with_frames_in_flight),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
