/* SPDX-License-Identifier: MIT */
/* kerb_open(backend = "cuda") on the stand-in, from frame to labels and picture: the same bytes as ref wherever frames lie and however they are drawn;
 * bytes moved; order over many frames with random delays; single launches; GPUs that share the host's memory; faults of every kind while frames run. */
#include "kerb.h"
#include "clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run_models.h"

static char said[16384];
static void keep_log(void *user, KerbLogLevel level, const char *line)
{
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%d %s\n", (int)level, line);
}

static KerbPipeline *open_on(const char *backend, KerbConfig *changes)
{
    KerbConfig config;
    kerb_config_init(&config);
    if (changes) config = *changes;
    config.model_file = "net.onnx";
    config.backend = backend;
    config.precision = KERB_PRECISION_F32;
    config.threads = 1;
    KerbPipeline *k;
    KerbError error;
    if (kerb_open(&k, &config, &error) != KERB_OK) fail_msg("%s", error.message);
    return k;
}

static KerbConfig plain(int slots)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.slots = slots;
    return config;
}

static void set_format(KerbPipeline *k, const KerbVideoFormat *f)
{
    KerbError error;
    if (kerb_set_format(k, f, &error) != KERB_OK) fail_msg("%s", error.message);
}

static KerbStats stats_of(KerbPipeline *k)
{
    KerbStats s;
    kerb_get_stats(k, &s);
    return s;
}

/* ---- frames in memory of any kind */

typedef enum Kind { PLAIN, PINNED, GAPPED, PINNED_GAPPED, KINDS } Kind; /* gapped: strides above the row, and guard bytes in the gaps */

typedef struct Picture {
    KerbFrame frame;
    KerbHostBlock block;
    size_t bytes;
    int n;
    int row[3], rows[3];
} Picture;

enum { GUARD = 0xA7 };

static Picture picture_new(KerbPipeline *k, const KerbVideoFormat *f, Kind kind, unsigned seed)
{
    Picture p = { .n = kerb_pixel_format_planes(f->pixel_format) };
    size_t offsets[3];
    for (int i = 0; i < p.n; i++) {
        p.row[i] = kerb_plane_row_bytes(f->pixel_format, i, f->width_px);
        p.rows[i] = kerb_plane_rows(f->pixel_format, i, f->height_px);
        p.frame.strides[i] = p.row[i] + (kind >= GAPPED ? 13 : 0);
        offsets[i] = p.bytes;
        p.bytes += (size_t)p.frame.strides[i] * (size_t)p.rows[i];
    }
    if (kind == PINNED || kind == PINNED_GAPPED) {
        assert_int_equal(kerb_host_alloc(k, p.bytes, &p.block, NULL), KERB_OK);
        assert_true(p.block.pinned);
    } else {
        p.block = (KerbHostBlock){ .data = malloc(p.bytes), .release = free };
    }
    memset(p.block.data, GUARD, p.bytes);
    for (int i = 0; i < p.n; i++) {
        p.frame.planes[i] = (uint8_t *)p.block.data + offsets[i];
        for (int y = 0; y < p.rows[i]; y++)
            for (int x = 0; x < p.row[i]; x++) p.frame.planes[i][y * p.frame.strides[i] + x] = (uint8_t)(rand_r(&seed) >> 7);
    }
    return p;
}

/* `apart`: how far values may lie from each other. */
static void expect_near(const Picture *a, const Picture *b, int apart, const char *what)
{
    for (int i = 0; i < a->n; i++) {
        for (int y = 0; y < a->rows[i]; y++) {
            const uint8_t *u = a->frame.planes[i] + y * a->frame.strides[i], *v = b->frame.planes[i] + y * b->frame.strides[i];
            for (int x = 0; x < a->row[i]; x++)
                if (abs(u[x] - v[x]) > apart) fail_msg("%s: plane %d, byte %d of row %d is %d, with ref %d", what, i, x, y, v[x], u[x]);
            for (int x = b->row[i]; x < b->frame.strides[i]; x++)
                if (v[x] != GUARD) fail_msg("%s: the gap behind row %d of plane %d was written to", what, y, i);
        }
    }
}

static void expect_same(const Picture *a, const Picture *b, const char *what) { expect_near(a, b, 0, what); }

/* ---- the same as ref */

typedef struct Run {
    Picture frame, picture, labels, confidence; /* maps as GRAY8 pictures */
} Run;

static Run run_new(KerbPipeline *k, const KerbVideoFormat *f, Kind frame, Kind picture)
{
    const KerbVideoFormat map = { .pixel_format = KERB_FORMAT_GRAY8, .width_px = f->width_px, .height_px = f->height_px };
    return (Run){ picture_new(k, f, frame, 5), picture_new(k, f, picture, 6), picture_new(k, &map, picture, 7), picture_new(k, &map, frame, 8) };
}

static void run_free(Run *r)
{
    kerb_host_free(&r->frame.block);
    kerb_host_free(&r->picture.block);
    kerb_host_free(&r->labels.block);
    kerb_host_free(&r->confidence.block);
}

static KerbTimes run_frame(KerbPipeline *k, Run *r, KerbVisualize visualize, bool in_place)
{
    KerbDisplay display;
    kerb_get_display(k, &display);
    display.visualize = visualize;
    display.alpha = 0.4f;
    display.enabled[0] = true;
    kerb_set_display(k, &display);
    KerbJob job = { .frame = r->frame.frame, .picture = in_place ? r->frame.frame : r->picture.frame,
                    .labels = { r->labels.frame.planes[0], r->labels.frame.strides[0] },
                    .confidence = { r->confidence.frame.planes[0], r->confidence.frame.strides[0] } };
    KerbResult result;
    KerbError error;
    if (kerb_submit(k, &job, &error) != KERB_OK) fail_msg("%s", error.message);
    if (kerb_collect(k, &result, -1, &error) != KERB_OK || result.status != KERB_OK) fail_msg("%s", error.message);
    return result.times;
}

static void check_all_kinds(KerbPipeline *cuda, KerbPipeline *ref, const KerbVideoFormat *f, bool shared)
{
    set_format(cuda, f);
    set_format(ref, f);
    for (int variant = 0; variant < KINDS * KINDS; variant++) {
        Kind from = (Kind)(variant % KINDS), to = (Kind)(variant / KINDS);
        for (int shown = 0; shown < 7; shown++) { /* all four displays; none, overlay, mask in place */
            KerbVisualize visualize = shown < 4 ? (KerbVisualize)shown : (KerbVisualize)(shown - 4);
            Run a = run_new(ref, f, PLAIN, PLAIN), b = run_new(cuda, f, from, to);
            run_frame(ref, &a, visualize, shown >= 4);
            KerbTimes times = run_frame(cuda, &b, visualize, shown >= 4);
            char what[128];
            snprintf(what, sizeof what, "%s %d, frame kind %d, results kind %d", kerb_pixel_format_name(f->pixel_format), shown, (int)from, (int)to);
            expect_same(&a.labels, &b.labels, what);
            expect_near(&a.confidence, &b.confidence, 1, what); /* sums of the convolution in another order */
            expect_same(&a.frame, &b.frame, what); /* drawn on in place, or untouched */
            if (shown < 4) expect_same(&a.picture, &b.picture, what);
            KerbStats s = stats_of(cuda);
            assert_true(s.device_bytes > 0 && s.pinned_bytes > 0);
            assert_true(shared ? s.up_bytes == 0 && s.down_bytes == 0 && times.up_ns == 0 && times.down_ns == 0 : s.up_bytes > 0 && s.down_bytes > 0);
            bool all_pinned = (from == PINNED || from == PINNED_GAPPED) && (to == PINNED || to == PINNED_GAPPED);
            assert_true(!all_pinned || s.host_copy_bytes == 0);
            assert_true(all_pinned || s.host_copy_bytes > 0);
            run_free(&a);
            run_free(&b);
        }
    }
}

static const KerbPixelFormat formats[] = { KERB_FORMAT_I420, KERB_FORMAT_NV12, KERB_FORMAT_YUY2, KERB_FORMAT_RGB, KERB_FORMAT_BGRX, KERB_FORMAT_GRAY8 };

static void check_machine(const char *words, bool shared, bool replays, size_t n_formats)
{
    kerb_standin_configure(words);
    said[0] = '\0';
    KerbPipeline *cuda = open_on("cuda", NULL), *ref = open_on("ref", NULL);
    for (size_t i = 0; i < n_formats; i++) {
        KerbVideoFormat f = { .pixel_format = formats[i], .width_px = 67, .height_px = 43 };
        if (i % 2) f.width_px = 128, f.height_px = 64; /* rows without gaps in the slot's block */
        check_all_kinds(cuda, ref, &f, shared);
        assert_int_equal(stats_of(cuda).replays, replays);
    }
    assert_true((strstr(said, "single launches") != NULL) == !replays);
    kerb_close(&cuda);
    kerb_close(&ref);
}

static void test_discrete(void **state) { check_machine("", false, true, sizeof formats / sizeof formats[0]); }
static void test_integrated(void **state) { check_machine("integrated sm=87", true, true, 3); }
static void test_no_capture(void **state) { check_machine("nocapture", false, false, 2); }

/* What one frame moves, to the byte. */
static void test_bytes(void **state)
{
    KerbPipeline *k = open_on("cuda", NULL);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_I420, .width_px = 128, .height_px = 64 };
    set_format(k, &f);
    Run r = run_new(k, &f, PINNED, PINNED);
    const uint64_t frame = 128 * 64 * 3 / 2, map = 128 * 64;
    run_frame(k, &r, KERB_VISUALIZE_OVERLAY, true);
    KerbStats s = stats_of(k);
    assert_in_range(s.up_bytes, frame, frame + 4096); /* and the job's description */
    assert_int_equal(s.down_bytes, frame + 2 * map);
    run_frame(k, &r, KERB_VISUALIZE_NONE, true); /* the picture is there already */
    assert_int_equal(stats_of(k).down_bytes, 2 * map);
    KerbJob job = { .frame = r.frame.frame }; /* labels into the pipeline's own maps, which are page-locked; nothing drawn */
    KerbResult result;
    assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
    assert_int_equal(kerb_collect(k, &result, -1, NULL), KERB_OK);
    s = stats_of(k);
    assert_int_equal(s.down_bytes, 2 * map);
    assert_int_equal(s.host_copy_bytes, 0);
    run_free(&r);
    kerb_close(&k);
}

/* ---- many frames */

enum { VARIANTS = 8 };

static void check_order(int slots, int frames)
{
    KerbConfig config = plain(slots);
    KerbPipeline *k = open_on("cuda", &config), *ref = open_on("ref", &config);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_RGB, .width_px = 40, .height_px = 24 };
    set_format(k, &f);
    set_format(ref, &f);
    Picture pictures[VARIANTS];
    uint8_t expected[VARIANTS][40 * 24];
    for (int i = 0; i < VARIANTS; i++) {
        pictures[i] = picture_new(k, &f, (Kind)(i % KINDS), (unsigned)i + 50);
        KerbJob job = { .frame = pictures[i].frame, .labels = { expected[i], 40 } };
        KerbResult r;
        assert_int_equal(kerb_submit(ref, &job, NULL), KERB_OK);
        assert_int_equal(kerb_collect(ref, &r, -1, NULL), KERB_OK);
    }
    unsigned seed = 1;
    intptr_t in = 0, out = 0;
    while (out < frames) {
        int ahead = 1 + rand_r(&seed) % slots;
        for (; in < frames && in - out < ahead; in++) {
            KerbJob job = { .frame = pictures[in * 7 % VARIANTS].frame, .user = (void *)in };
            assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        }
        KerbResult r;
        assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
        assert_int_equal(r.status, KERB_OK);
        assert_int_equal((intptr_t)r.user, out);
        for (int y = 0; y < 24; y++) assert_memory_equal(r.labels.data + y * r.labels.stride, expected[out * 7 % VARIANTS] + y * 40, 40);
        out++;
    }
    KerbStats s = stats_of(k);
    assert_int_equal(s.frames_out, frames);
    assert_int_equal(s.in_flight, 0);
    for (int i = 0; i < VARIANTS; i++) kerb_host_free(&pictures[i].block);
    kerb_close(&k);
    kerb_close(&ref);
}

static void test_order(void **state)
{
    for (int slots = 1; slots <= KERB_MAX_SLOTS; slots++) check_order(slots, 50);
    kerb_standin_configure("delay=20us calldelay=5us seed=3");
    check_order(3, 500);
}

/* ---- faults */

static KerbStatus one_frame(KerbPipeline *k, const Picture *p, KerbError *error)
{
    KerbJob job = { .frame = p->frame };
    KerbResult r;
    assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
    assert_int_equal(kerb_collect(k, &r, -1, error), KERB_OK);
    return r.status;
}

/* Every call of the runtime that a frame makes fails once, with a fault that is over: that frame is lost at most, the ones after it are right. */
static void test_faults_that_pass(void **state)
{
    KerbPipeline *k = open_on("cuda", NULL);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_NV12, .width_px = 66, .height_px = 40 };
    set_format(k, &f);
    Picture p = picture_new(k, &f, PINNED_GAPPED, 9);
    kerb_standin_configure("");
    assert_int_equal(one_frame(k, &p, NULL), KERB_OK);
    int calls = (int)kerb_standin_calls(NULL), lost = 0;
    assert_true(calls > 10);
    for (int n = 1; n <= calls; n++) {
        char words[64];
        snprintf(words, sizeof words, "fail=%d code=%d", n, n % 2 ? 1 : 2); /* invalid value; out of memory */
        kerb_standin_configure(words);
        KerbError error;
        KerbStatus status = one_frame(k, &p, &error);
        if (status != KERB_OK) {
            assert_int_equal(status, KERB_ERROR_FRAME);
            assert_true(strlen(error.message) > 20);
            lost++;
        }
        assert_int_equal(one_frame(k, &p, NULL), KERB_OK);
    }
    print_message("%d calls a frame, %d of them lose it when they fail\n", calls, lost);
    assert_in_range(lost, calls / 2, calls);
    KerbStats s = stats_of(k);
    assert_int_equal(s.frames_errored, lost);
    assert_int_equal(s.frames_in, s.frames_out + s.frames_errored);
    kerb_host_free(&p.block);
    kerb_close(&k);
}

/* The device is lost by the n-th piece of its work, with several frames in flight: all frames from then on fail with one story, nothing hangs. */
static void test_faults_that_stay(void **state)
{
    static const int codes[] = { 700, 719, 214, 702 };
    for (int n = 1; n < 40; n++) {
        kerb_standin_configure("");
        KerbConfig config = plain(3);
        KerbPipeline *k = open_on("cuda", &config);
        KerbVideoFormat f = { .pixel_format = KERB_FORMAT_RGB, .width_px = 40, .height_px = 24 };
        set_format(k, &f);
        Picture p = picture_new(k, &f, n % 2 ? PLAIN : PINNED, 9);
        char words[64], first[2048] = "";
        snprintf(words, sizeof words, "failop=%d code=%d", n, codes[n % 4]);
        kerb_standin_configure(words);
        int in = 0, out = 0, ok = 0;
        while (out < 30) {
            for (; in < 30 && in - out < 3; in++) {
                KerbJob job = { .frame = p.frame };
                assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
            }
            KerbResult r;
            KerbError error;
            assert_int_equal(kerb_collect(k, &r, -1, &error), KERB_OK);
            out++;
            if (r.status == KERB_OK) {
                assert_string_equal(first, ""); /* none comes back from the dead */
                ok++;
                continue;
            }
            assert_int_equal(r.status, KERB_ERROR_BACKEND);
            if (!first[0]) snprintf(first, sizeof first, "%s", error.message);
            assert_string_equal(error.message, first);
        }
        assert_true(ok < 30);
        assert_int_equal(kerb_exit_code(KERB_ERROR_BACKEND), 6);
        kerb_host_free(&p.block);
        kerb_close(&k);
    }
}

static void test_too_little_memory(void **state)
{
    kerb_standin_configure("memory=1M");
    KerbConfig config = plain(8);
    config.model_file = "net.onnx";
    config.backend = "cuda";
    KerbPipeline *k;
    KerbError error;
    KerbStatus status = kerb_open(&k, &config, &error);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_RGBA, .width_px = 1920, .height_px = 1080 };
    if (status == KERB_OK) status = kerb_set_format(k, &f, &error);
    assert_int_equal(status, KERB_ERROR_MEMORY);
    if (!strstr(error.message, "MiB") || !strstr(error.message, "would fit")) fail_msg("\"%s\" does not say what would fit", error.message);
    kerb_close(&k);
}

/* ---- frames that lie on the device */

static void test_device_memory(void **state)
{
    KerbPipeline *k = open_on("cuda", NULL), *ref = open_on("ref", NULL);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_I420, .width_px = 64, .height_px = 32 };
    set_format(k, &f);
    set_format(ref, &f);
    Run a = run_new(ref, &f, PLAIN, PLAIN), b = run_new(k, &f, PLAIN, PLAIN), empty = run_new(k, &f, PLAIN, PLAIN);
    uint8_t *device;
    assert_int_equal(cudaMalloc((void **)&device, 2 * b.frame.bytes), cudaSuccess);
    assert_int_equal(cudaMemcpy(device, b.frame.block.data, b.frame.bytes, cudaMemcpyHostToDevice), cudaSuccess);
    for (int i = 0; i < 3; i++) {
        size_t offset = (size_t)(b.frame.frame.planes[i] - (uint8_t *)b.frame.block.data);
        b.frame.frame.planes[i] = device + offset;
        b.picture.frame.planes[i] = device + b.frame.bytes + offset;
    }
    b.frame.frame.memory = b.picture.frame.memory = KERB_MEMORY_CUDA;
    for (int visualize = 0; visualize < 4; visualize++) {
        run_frame(ref, &a, (KerbVisualize)visualize, false);
        run_frame(k, &b, (KerbVisualize)visualize, false);
        KerbStats s = stats_of(k);
        assert_in_range(s.up_bytes, 0, 4096); /* no frame goes up, no picture comes down */
        assert_int_equal(s.down_bytes, 2 * 64 * 32);
        assert_int_equal(cudaMemcpy(empty.picture.block.data, device + b.frame.bytes, b.frame.bytes, cudaMemcpyDeviceToHost), cudaSuccess);
        expect_same(&a.picture, &empty.picture, "on the device");
        b.picture.frame = empty.picture.frame; /* the frame there, the picture here */
        run_frame(k, &b, (KerbVisualize)visualize, false);
        expect_same(&a.picture, &empty.picture, "from the device");
        for (int i = 0; i < 3; i++) b.picture.frame.planes[i] = b.frame.frame.planes[i] + b.frame.bytes;
        b.picture.frame.memory = KERB_MEMORY_CUDA;
    }
    assert_int_equal(cudaFree(device), cudaSuccess);
    run_free(&a);
    run_free(&b);
    run_free(&empty);
    kerb_close(&k);
    kerb_close(&ref);
}

/* ---- smoothing and choosing */

static void test_smoothing_goes_by_the_host(void **state)
{
    KerbConfig config = plain(2);
    config.smoothing = KERB_SMOOTHING_LIGHT;
    said[0] = '\0';
    KerbPipeline *k = open_on("cuda", &config), *ref = open_on("ref", &config);
    KerbVideoFormat f = { .pixel_format = KERB_FORMAT_I420, .width_px = 64, .height_px = 32 };
    set_format(k, &f);
    set_format(ref, &f);
    assert_non_null(strstr(said, "smoothing"));
    Run a = run_new(ref, &f, PLAIN, PLAIN), b = run_new(k, &f, PINNED, PLAIN);
    for (int i = 0; i < 3; i++) {
        run_frame(ref, &a, KERB_VISUALIZE_OVERLAY, false);
        run_frame(k, &b, KERB_VISUALIZE_OVERLAY, false);
        expect_same(&a.labels, &b.labels, "smoothed");
        expect_same(&a.picture, &b.picture, "smoothed");
    }
    run_free(&a);
    run_free(&b);
    kerb_close(&k);
    kerb_close(&ref);
}

static void test_choice(void **state)
{
    kerb_standin_configure("devices=2 sm=87 integrated");
    KerbDevice devices[8];
    assert_int_equal(kerb_devices(devices, 8), 4);
    assert_string_equal(devices[1].name, "cuda");
    assert_int_equal(devices[1].id, 1);
    assert_true(devices[0].usable && devices[1].usable && devices[0].integrated && devices[0].memory_bytes > 0);
    KerbConfig config = plain(2);
    config.device_id = 1;
    said[0] = '\0';
    KerbPipeline *k = open_on("auto", &config);
    assert_non_null(strstr(said, "backend auto: cuda"));
    if (strncmp(stats_of(k).backend, "cuda (cuDNN", 11)) fail_msg("the backend is \"%s\"", stats_of(k).backend);
    kerb_close(&k);
    config.model_file = "net.onnx";
    config.backend = "cuda";
    config.device_id = 5;
    KerbError error;
    assert_int_equal(kerb_open(&k, &config, &error), KERB_ERROR_BACKEND);
    assert_non_null(strstr(error.message, "no GPU 5"));
    kerb_standin_configure("nodriver");
    config.device_id = 0;
    assert_int_equal(kerb_open(&k, &config, &error), KERB_ERROR_BACKEND);
    assert_non_null(strstr(error.message, "driver"));
    k = open_on("auto", NULL);
    assert_null(strstr(stats_of(k).backend, "cuda"));
    kerb_close(&k);
}

static int clean(void **state)
{
    kerb_standin_configure("");
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 5 });
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]); /* one of them, under a sanitizer that is slow */
    kerb_set_log(keep_log, NULL, KERB_LOG_INFO);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_discrete, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_integrated, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_no_capture, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_bytes, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_order, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_faults_that_pass, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_faults_that_stay, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_too_little_memory, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_device_memory, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_smoothing_goes_by_the_host, clean, kerb_standin_is_clean),
        cmocka_unit_test_setup_teardown(test_choice, clean, kerb_standin_is_clean),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
