/* SPDX-License-Identifier: MIT */
/* The pipeline around a backend that has in and out of its own: a stand-in made of the engine's own stages and ref, which begins and finishes on two
 * threads, takes random times, fails on demand, and keeps count of how it is called. No GPU, no CUDA. */
#include "run/pipeline.h"

#include "net/ref/ref.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "run_models.h"

enum { W = 70, H = 50 };

static char said[8192];
static void keep_log(void *user, KerbLogLevel level, const char *line)
{
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%d %s\n", (int)level, line);
}

/* ---- the backend */

struct KerbStaged {
    KerbNet *net;
    KerbIn *in;
    KerbOut *out;
    KerbTensor input, scores[KERB_MAX_HEADS];
    KerbDisplay displays[KERB_MAX_SLOTS];
    bool busy[KERB_MAX_SLOTS];
    int slots;
};

/* What the backend is to do, and what it saw. Read by a test when nothing is in flight. */
static struct {
    KerbStatus open_status;
    int begin_fails_every, finish_fails_every;
    KerbStatus failure;
    int slowest_us;
    int opened, closed, begun, finished, blocks;
    atomic_int wrong;
} fake;

static void dawdle(unsigned *seed)
{
    if (!fake.slowest_us) return;
    struct timespec t = { 0, rand_r(seed) % fake.slowest_us * 1000 };
    nanosleep(&t, NULL);
}

static KerbStatus fake_open(KerbStaged **out, KerbNet *net, const KerbStagesParams *params, KerbError *error)
{
    *out = NULL;
    if (fake.open_status != KERB_OK) return kerb_fail(error, fake.open_status, "the stages do not like this");
    KerbStaged *s = calloc(1, sizeof *s);
    KerbInParams in = params->in;
    s->net = net;
    s->slots = params->slots;
    s->input = in.input = kerb_tensor_view_nchw(kerb_backend_ref.input(net, 0), params->nhwc ? 3 : 1);
    for (int i = 0; i < params->out.n_heads; i++)
        s->scores[i] = kerb_tensor_view_nchw(kerb_backend_ref.output(net, i), params->channel_axis[i]);
    if (kerb_in_new(&s->in, &in, error) != KERB_OK || kerb_out_new(&s->out, &params->out, error) != KERB_OK) abort();
    fake.opened++;
    *out = s;
    return KERB_OK;
}

static bool fails(int n, int every) { return every && n % every == 0; }

static KerbStatus fake_begin(KerbStaged *s, int slot, const KerbJob *job, const KerbDisplay *display, KerbError *error)
{
    static unsigned seed = 11;
    dawdle(&seed);
    if (slot < 0 || slot >= s->slots || s->busy[slot] || !job->labels.data) atomic_fetch_add(&fake.wrong, 1);
    if (fails(++fake.begun, fake.begin_fails_every)) return kerb_fail(error, fake.failure, "begin %d fell over", fake.begun);
    s->busy[slot] = true;
    s->displays[slot] = *display;
    return KERB_OK;
}

static KerbStatus fake_finish(KerbStaged *s, int slot, const KerbJob *job, KerbTimes *times, KerbError *error)
{
    static unsigned seed = 12;
    dawdle(&seed);
    if (!s->busy[slot]) atomic_fetch_add(&fake.wrong, 1);
    s->busy[slot] = false;
    if (fails(++fake.finished, fake.finish_fails_every)) return kerb_fail(error, fake.failure, "finish %d fell over", fake.finished);
    kerb_in_run(s->in, &job->frame, &s->input, NULL);
    KerbStatus status = kerb_backend_ref.run(s->net, error);
    kerb_out_run(s->out, s->scores, &job->frame, job->labels, job->confidence, &s->displays[slot], &job->picture, NULL);
    times->up_ns = 1, times->in_ns = 2, times->net_ns = 3, times->out_ns = 4, times->down_ns = 5;
    return status;
}

static void fake_stats(KerbStaged *s, KerbStats *stats)
{
    stats->up_bytes = 10, stats->down_bytes = 20, stats->host_copy_bytes = 30, stats->device_bytes = 40, stats->pinned_bytes = 50;
    stats->replays = true;
}

static void fake_close(KerbStaged **staged)
{
    for (int i = 0; i < KERB_MAX_SLOTS; i++)
        if ((*staged)->busy[i]) atomic_fetch_add(&fake.wrong, 1); /* the ring finishes what it began */
    kerb_in_free(&(*staged)->in);
    kerb_out_free(&(*staged)->out);
    free(*staged);
    *staged = NULL;
    fake.closed++;
}

static void fake_release(void *data)
{
    free(data);
    fake.blocks--;
}

static KerbStatus fake_host_alloc(int device_id, size_t bytes, KerbHostBlock *out, KerbError *error)
{
    fake.blocks++;
    *out = (KerbHostBlock){ .data = calloc(1, bytes), .bytes = bytes, .pinned = true, .release = fake_release };
    return KERB_OK;
}

static const KerbStages fake_stages = { fake_open, fake_begin, fake_finish, fake_stats, fake_close, fake_host_alloc };

static KerbPipeline *open_fake(KerbBackend *backend, const KerbConfig *changes)
{
    *backend = kerb_backend_ref;
    backend->stages = &fake_stages;
    KerbConfig config;
    kerb_config_init(&config);
    if (changes) config = *changes;
    config.model_file = "net.onnx";
    config.slots = changes && changes->slots ? changes->slots : 2;
    KerbPipeline *k;
    KerbError error;
    said[0] = '\0';
    if (kerb_open_with_backend(&k, &config, backend, &error) != KERB_OK) fail_msg("%s", error.message);
    return k;
}

static const KerbVideoFormat rgb = { .pixel_format = KERB_FORMAT_RGB, .width_px = W, .height_px = H };

static int fresh(void **state)
{
    memset(&fake, 0, sizeof fake);
    fake.failure = KERB_ERROR_FRAME;
    write_model("net.onnx", &(TestModel){ .width = 64, .height = 32, .classes = 4 });
    return 0;
}

static void noise(uint8_t *bytes, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(rand_r(&seed) >> 8);
}

/* ---- tests */

/* Labels, confidence and picture are those of the host's way; times and counters are the backend's. */
static void test_same_as_on_the_host(void **state)
{
    static uint8_t frame[W * H * 3], pictures[2][W * H * 3], labels[2][W * H], confidence[2][W * H];
    noise(frame, sizeof frame, 4);
    for (int way = 0; way < 2; way++) {
        KerbBackend backend;
        KerbPipeline *k = open_fake(&backend, NULL);
        if (way == 0) backend.stages = NULL;
        assert_int_equal(kerb_set_format(k, &rgb, NULL), KERB_OK);
        KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } }, .picture = { .planes = { pictures[way] }, .strides = { W * 3 } },
                        .labels = { labels[way], W }, .confidence = { confidence[way], W } };
        KerbResult r;
        assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
        assert_int_equal(r.status, KERB_OK);
        assert_ptr_equal(r.labels.data, labels[way]);
        assert_ptr_equal(r.confidence.data, confidence[way]);
        KerbStats s;
        kerb_get_stats(k, &s);
        if (way == 1) {
            assert_true(s.up_bytes == 10 && s.down_bytes == 20 && s.host_copy_bytes == 30 && s.device_bytes == 40 && s.pinned_bytes == 50 && s.replays);
            assert_true(r.times.up_ns == 1 && r.times.in_ns == 2 && r.times.net_ns == 3 && r.times.out_ns == 4 && r.times.down_ns == 5);
            assert_true(s.mean.up_ns == 1 && s.last.down_ns == 5 && r.times.queue_ns >= 0);
            assert_int_equal(fake.opened, 1);
        } else {
            assert_true(s.up_bytes == 0 && !s.replays && fake.begun == 0);
        }
        kerb_close(&k);
    }
    assert_memory_equal(pictures[0], pictures[1], sizeof pictures[0]);
    assert_memory_equal(labels[0], labels[1], sizeof labels[0]);
    assert_memory_equal(confidence[0], confidence[1], sizeof confidence[0]);
    assert_int_equal(fake.closed, 1);
    assert_int_equal(fake.blocks, 0);
}

/* Many frames with delays and failures in both phases: each comes out once, in order, and what came out well is right. */
static void test_order_through_failures(void **state)
{
    static uint8_t frames[5][W * H * 3], expected[5][W * H];
    KerbBackend backend;
    for (int i = 0; i < 5; i++) noise(frames[i], sizeof frames[i], 100 + (unsigned)i);
    fake.slowest_us = 100;
    fake.begin_fails_every = 7, fake.finish_fails_every = 5;
    KerbPipeline *k = open_fake(&backend, &(KerbConfig){ .slots = 4, .threads = 1 });
    assert_int_equal(kerb_set_format(k, &rgb, NULL), KERB_OK);
    intptr_t in = 0, out = 0;
    int ok = 0, lost = 0;
    bool known[5] = { false };
    while (out < 1000) {
        for (; in < 1000 && in - out < 4; in++) {
            KerbJob job = { .frame = { .planes = { frames[in % 5] }, .strides = { W * 3 } }, .user = (void *)in };
            assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        }
        KerbResult r;
        KerbError error;
        assert_int_equal(kerb_collect(k, &r, -1, &error), KERB_OK);
        assert_int_equal((intptr_t)r.user, out);
        int which = (int)(out++ % 5);
        if (r.status == KERB_ERROR_FRAME) {
            assert_null(r.labels.data);
            assert_non_null(strstr(error.message, "fell over"));
            lost++;
            continue;
        }
        assert_int_equal(r.status, KERB_OK);
        assert_null(r.confidence.data); /* not asked for */
        ok++;
        for (int y = 0; y < H; y++) {
            if (!known[which]) memcpy(expected[which] + y * W, r.labels.data + y * r.labels.stride, W);
            assert_memory_equal(expected[which] + y * W, r.labels.data + y * r.labels.stride, W);
        }
        known[which] = true;
    }
    KerbStats s;
    kerb_get_stats(k, &s);
    assert_int_equal(s.frames_out, ok);
    assert_int_equal(s.frames_errored, lost);
    assert_true(ok > 500 && lost > 200);
    assert_int_equal(atomic_load(&fake.wrong), 0);
    kerb_close(&k);
}

/* A device that is lost is left alone: frames behind fail with the first failure's words, formats too. */
static void test_lost_for_good(void **state)
{
    for (int phase = 0; phase < 2; phase++) {
        fresh(NULL);
        fake.failure = KERB_ERROR_BACKEND;
        fake.slowest_us = 50;
        *(phase ? &fake.finish_fails_every : &fake.begin_fails_every) = 4;
        KerbBackend backend;
        static uint8_t frame[W * H * 3];
        KerbPipeline *k = open_fake(&backend, &(KerbConfig){ .slots = 3, .confidence = true });
        assert_int_equal(kerb_set_format(k, &rgb, NULL), KERB_OK);
        KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } } };
        KerbResult r;
        KerbError error;
        const char *words = phase ? "finish 4 fell over" : "begin 4 fell over";
        for (int i = 0; i < 20; i++) {
            assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
            assert_int_equal(kerb_collect(k, &r, -1, &error), KERB_OK);
            assert_int_equal(r.status, i < 3 ? KERB_OK : KERB_ERROR_BACKEND);
            if (i >= 3) assert_string_equal(error.message, words);
        }
        assert_int_equal(fake.begun, 4);
        KerbVideoFormat other = rgb;
        other.width_px = 60;
        assert_int_equal(kerb_set_format(k, &other, &error), KERB_ERROR_BACKEND);
        assert_string_equal(error.message, words);
        kerb_close(&k);
        assert_int_equal(fake.closed, 1);
        assert_int_equal(atomic_load(&fake.wrong), 0);
    }
}

/* What the stages cannot take, and smoothing, go the host's way, and the log says so. */
static void test_the_hosts_way_instead(void **state)
{
    static uint8_t frame[W * H * 3];
    KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } } };
    for (int why = 0; why < 2; why++) {
        fresh(NULL);
        fake.open_status = why ? KERB_OK : KERB_ERROR_UNSUPPORTED;
        KerbBackend backend;
        KerbPipeline *k = open_fake(&backend, &(KerbConfig){ .smoothing = why ? KERB_SMOOTHING_LIGHT : KERB_SMOOTHING_OFF });
        assert_int_equal(kerb_set_format(k, &rgb, NULL), KERB_OK);
        assert_non_null(strstr(said, why ? "smoothing" : "do not like this"));
        KerbResult r;
        assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
        assert_int_equal(r.status, KERB_OK);
        assert_int_equal(fake.begun, 0);
        job.frame.memory = KERB_MEMORY_CUDA;
        KerbError error;
        assert_int_equal(kerb_submit(k, &job, &error), KERB_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, "GPU's memory"));
        job.frame.memory = KERB_MEMORY_HOST;
        kerb_close(&k);
    }
    fresh(NULL);
    fake.open_status = KERB_ERROR_MEMORY; /* not a reason to be slow: said */
    KerbBackend backend;
    KerbPipeline *k = open_fake(&backend, NULL);
    KerbError error;
    assert_int_equal(kerb_set_format(k, &rgb, &error), KERB_ERROR_MEMORY);
    assert_int_equal(kerb_submit(k, &job, &error), KERB_ERROR_ARGUMENT);
    kerb_close(&k);
}

/* Device frames are for the stages; unknown kinds of memory for nobody. */
static void test_frames_of_the_device(void **state)
{
    static uint8_t frame[W * H * 3];
    KerbBackend backend;
    KerbPipeline *k = open_fake(&backend, NULL);
    assert_int_equal(kerb_set_format(k, &rgb, NULL), KERB_OK);
    KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 }, .memory = KERB_MEMORY_CUDA } };
    KerbResult r;
    assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
    assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
    job.frame.memory = (KerbMemory)7;
    KerbError error;
    assert_int_equal(kerb_submit(k, &job, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "memory kind 7"));
    job.frame.memory = KERB_MEMORY_HOST;
    job.picture = job.frame;
    job.picture.memory = (KerbMemory)-1;
    assert_int_equal(kerb_submit(k, &job, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "picture"));
    kerb_close(&k);
}

/* Closing and changing formats with frames begun, with results not collected. */
static void test_close_in_flight(void **state)
{
    static uint8_t frame[W * H * 3];
    KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } } };
    for (int n = 0; n <= 4; n++) {
        fresh(NULL);
        fake.slowest_us = 300;
        KerbBackend backend;
        KerbPipeline *k = open_fake(&backend, &(KerbConfig){ .slots = 4 });
        assert_int_equal(kerb_set_format(k, &rgb, NULL), KERB_OK);
        for (int i = 0; i < n; i++) assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        if (n == 3) kerb_flush(k);
        kerb_close(&k);
        assert_int_equal(fake.begun, fake.finished);
        assert_int_equal(fake.closed, 1);
        assert_int_equal(fake.blocks, 0);
        assert_int_equal(atomic_load(&fake.wrong), 0);
    }
}

static void test_formats_change(void **state)
{
    static uint8_t frame[W * H * 3];
    KerbBackend backend;
    write_model("net.onnx", &(TestModel){ .classes = 3 }); /* of free size: another format is another network */
    KerbPipeline *k = open_fake(&backend, NULL);
    for (int i = 0; i < 6; i++) {
        KerbVideoFormat f = rgb;
        f.width_px = W - 7 * i;
        assert_int_equal(kerb_set_format(k, &f, NULL), KERB_OK);
        KerbJob job = { .frame = { .planes = { frame }, .strides = { W * 3 } } };
        KerbResult r;
        KerbStats s;
        assert_int_equal(kerb_submit(k, &job, NULL), KERB_OK);
        kerb_get_stats(k, &s);
        assert_int_equal(kerb_collect(k, &r, -1, NULL), KERB_OK);
        assert_int_equal(r.status, KERB_OK);
    }
    assert_int_equal(fake.opened, 6);
    assert_int_equal(fake.closed, 5);
    kerb_close(&k);
    assert_int_equal(fake.closed, 6);
}

int main(void)
{
    kerb_set_log(keep_log, NULL, KERB_LOG_INFO);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_same_as_on_the_host, fresh),
        cmocka_unit_test_setup(test_order_through_failures, fresh),
        cmocka_unit_test_setup(test_lost_for_good, fresh),
        cmocka_unit_test_setup(test_the_hosts_way_instead, fresh),
        cmocka_unit_test_setup(test_frames_of_the_device, fresh),
        cmocka_unit_test_setup(test_close_in_flight, fresh),
        cmocka_unit_test_setup(test_formats_change, fresh),
    };
    return cmocka_run_group_tests(tests, run_setup, run_teardown);
}
