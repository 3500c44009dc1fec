/* SPDX-License-Identifier: MIT */
/* The ring alone, with work that waits, fails and takes random times: order, blocking, flushing, draining, closing, counters. */
#include "run/ring.h"

#include "base/trace.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MS 1000000LL

static void pause_ns(int64_t ns)
{
    struct timespec t = { ns / 1000000000, (long)(ns % 1000000000) };
    nanosleep(&t, NULL);
}

/* Work that can be held up: it waits until `permits` is above 0 (negative: no limit) and takes one. */
typedef struct Work {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int permits, began, finished;
    int64_t slowest_ns;
    unsigned seed;
    int fail_every; /* 0: never */
} Work;

static void work_init(Work *w, int permits)
{
    *w = (Work){ .permits = permits, .seed = 1 };
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->cond, NULL);
}

static bool work_run(void *user, KerbSlot *slot)
{
    Work *w = user;
    pthread_mutex_lock(&w->mutex);
    w->began++;
    pthread_cond_broadcast(&w->cond);
    while (w->permits == 0) pthread_cond_wait(&w->cond, &w->mutex);
    if (w->permits > 0) w->permits--;
    int64_t ns = w->slowest_ns ? rand_r(&w->seed) % w->slowest_ns : 0;
    w->finished++;
    bool fail = w->fail_every && w->finished % w->fail_every == 0;
    pthread_mutex_unlock(&w->mutex);
    if (ns) pause_ns(ns);
    slot->result.times.net_ns = 7;
    if (fail) slot->result.status = kerb_fail(&slot->error, KERB_ERROR_BACKEND, "frame %d fell over", (int)slot->number);
    return false;
}

static void work_permit(Work *w, int n)
{
    pthread_mutex_lock(&w->mutex);
    w->permits += n;
    pthread_cond_broadcast(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void work_await(Work *w, int began)
{
    pthread_mutex_lock(&w->mutex);
    while (w->began < began) pthread_cond_wait(&w->cond, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

static KerbRing *ring_new(int slots, Work *w)
{
    KerbRing *ring;
    KerbError error;
    assert_int_equal(kerb_ring_new(&ring, slots, work_run, NULL, w, &error), KERB_OK);
    return ring;
}

static KerbStatus submit(KerbRing *ring, intptr_t n)
{
    static const KerbDisplay display;
    KerbJob job = { .user = (void *)n, .frame.pts_ns = n * 40 };
    return kerb_ring_submit(ring, &job, &display);
}

static void expect(KerbRing *ring, intptr_t n, KerbStatus status)
{
    KerbResult result;
    KerbError error;
    assert_int_equal(kerb_ring_collect(ring, &result, -1, &error), KERB_OK);
    assert_int_equal((intptr_t)result.user, n);
    assert_int_equal(result.pts_ns, n * 40);
    assert_int_equal(result.status, status);
    if (status < 0) assert_int_equal(error.status, status);
}

static void expect_sum(KerbRing *ring)
{
    KerbStats s = { 0 };
    kerb_ring_stats(ring, &s);
    assert_int_equal(s.frames_in, s.frames_out + s.frames_flushed + s.frames_errored + (uint64_t)s.in_flight);
}

static void test_order(void **state)
{
    for (int slots = 1; slots <= KERB_MAX_SLOTS; slots++) {
        Work w;
        work_init(&w, -1);
        w.slowest_ns = MS / 5;
        KerbRing *ring = ring_new(slots, &w);
        intptr_t in = 0, out = 0;
        while (out < 60) {
            while (in < 60 && in - out < slots) assert_int_equal(submit(ring, in++), KERB_OK);
            expect(ring, out++, KERB_OK);
        }
        KerbStats s = { 0 };
        kerb_ring_stats(ring, &s);
        assert_int_equal(s.frames_in, 60);
        assert_int_equal(s.frames_out, 60);
        assert_int_equal(s.in_flight, 0);
        assert_int_equal(s.slots, slots);
        assert_int_equal(s.mean.net_ns, 7);
        assert_int_equal(s.last.net_ns, 7);
        kerb_ring_free(&ring);
        assert_null(ring);
    }
}

typedef struct Caller {
    KerbRing *ring;
    intptr_t n;
    atomic_int done;
    KerbStatus status;
    pthread_t thread;
} Caller;

static void *call_submit(void *data)
{
    Caller *c = data;
    c->status = submit(c->ring, c->n);
    atomic_store(&c->done, 1);
    return NULL;
}

static void *call_collect(void *data)
{
    Caller *c = data;
    KerbResult result;
    c->status = kerb_ring_collect(c->ring, &result, -1, NULL);
    atomic_store(&c->done, 1);
    return NULL;
}

static void *call_drain(void *data)
{
    Caller *c = data;
    kerb_ring_drain(c->ring);
    atomic_store(&c->done, 1);
    return NULL;
}

static void caller_start(Caller *c, KerbRing *ring, intptr_t n, void *(*fn)(void *))
{
    c->ring = ring;
    c->n = n;
    atomic_init(&c->done, 0);
    assert_int_equal(pthread_create(&c->thread, NULL, fn, c), 0);
}

static void caller_still_waits(Caller *c)
{
    pause_ns(20 * MS);
    assert_int_equal(atomic_load(&c->done), 0);
}

static void test_full_ring_blocks_until_collected(void **state)
{
    Work w;
    work_init(&w, -1);
    KerbRing *ring = ring_new(2, &w);
    submit(ring, 0);
    submit(ring, 1);
    Caller c;
    caller_start(&c, ring, 2, call_submit);
    caller_still_waits(&c); /* both are done by now; they take up their slots until collected */
    expect(ring, 0, KERB_OK);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.status, KERB_OK);
    expect(ring, 1, KERB_OK);
    expect(ring, 2, KERB_OK);
    kerb_ring_free(&ring);
}

static void test_collect_times_out(void **state)
{
    Work w;
    work_init(&w, 0);
    KerbRing *ring = ring_new(2, &w);
    KerbResult result;
    assert_int_equal(kerb_ring_collect(ring, &result, 0, NULL), KERB_AGAIN);
    submit(ring, 0);
    assert_int_equal(kerb_ring_collect(ring, &result, 0, NULL), KERB_AGAIN);
    int64_t begin = kerb_now_ns();
    assert_int_equal(kerb_ring_collect(ring, &result, 20 * MS, NULL), KERB_AGAIN);
    assert_true(kerb_now_ns() - begin >= 20 * MS);
    work_permit(&w, 1);
    assert_int_equal(kerb_ring_collect(ring, &result, INT64_MAX, NULL), KERB_OK);
    kerb_ring_free(&ring);
}

static void test_flush_discards_what_has_not_begun(void **state)
{
    Work w;
    work_init(&w, 0);
    KerbRing *ring = ring_new(4, &w);
    for (int i = 0; i < 4; i++) submit(ring, i);
    work_await(&w, 1);
    kerb_ring_flush(ring);
    kerb_ring_flush(ring); /* twice is once */
    KerbResult result;
    assert_int_equal(kerb_ring_collect(ring, &result, 0, NULL), KERB_AGAIN); /* order: the one that runs comes first */
    work_permit(&w, 1);
    expect(ring, 0, KERB_OK);
    for (int i = 1; i < 4; i++) expect(ring, i, KERB_FLUSHED);
    work_permit(&w, 1);
    submit(ring, 4);
    expect(ring, 4, KERB_OK);
    KerbStats s = { 0 };
    kerb_ring_stats(ring, &s);
    assert_int_equal(s.frames_flushed, 3);
    assert_int_equal(s.frames_out, 2);
    assert_int_equal(w.finished, 2);
    kerb_ring_free(&ring);
}

static void test_flushing_wakes_and_refuses(void **state)
{
    Work w;
    work_init(&w, 0);
    KerbRing *ring = ring_new(1, &w);
    submit(ring, 0);
    work_await(&w, 1);
    Caller submitter, drainer;
    caller_start(&submitter, ring, 1, call_submit);
    caller_start(&drainer, ring, 0, call_drain);
    caller_still_waits(&submitter);
    caller_still_waits(&drainer);
    kerb_ring_set_flushing(ring, true);
    pthread_join(submitter.thread, NULL);
    pthread_join(drainer.thread, NULL);
    assert_int_equal(submitter.status, KERB_FLUSHED);
    assert_int_equal(submit(ring, 2), KERB_FLUSHED);
    work_permit(&w, 1);
    expect(ring, 0, KERB_OK); /* what had begun is finished and collected */
    KerbResult result;
    assert_int_equal(kerb_ring_collect(ring, &result, -1, NULL), KERB_FLUSHED);
    assert_int_equal(kerb_ring_collect(ring, &result, 0, NULL), KERB_FLUSHED);
    kerb_ring_set_flushing(ring, false);
    assert_int_equal(kerb_ring_collect(ring, &result, 0, NULL), KERB_AGAIN);
    work_permit(&w, 1);
    assert_int_equal(submit(ring, 3), KERB_OK);
    expect(ring, 3, KERB_OK);
    KerbStats s = { 0 };
    kerb_ring_stats(ring, &s);
    assert_int_equal(s.frames_in, 2); /* refused ones were never in */
    kerb_ring_free(&ring);
}

static void test_flushing_wakes_collect(void **state)
{
    Work w;
    work_init(&w, -1);
    KerbRing *ring = ring_new(2, &w);
    Caller c;
    caller_start(&c, ring, 0, call_collect);
    caller_still_waits(&c);
    kerb_ring_set_flushing(ring, true);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.status, KERB_FLUSHED);
    kerb_ring_free(&ring);
}

static void test_drain(void **state)
{
    Work w;
    work_init(&w, -1);
    KerbRing *ring = ring_new(3, &w);
    kerb_ring_drain(ring); /* nothing in flight: at once */
    for (int i = 0; i < 3; i++) submit(ring, i);
    Caller c;
    caller_start(&c, ring, 0, call_drain);
    for (int i = 0; i < 2; i++) expect(ring, i, KERB_OK);
    caller_still_waits(&c);
    expect(ring, 2, KERB_OK);
    pthread_join(c.thread, NULL);
    assert_int_equal(kerb_ring_in_flight(ring), 0);
    kerb_ring_free(&ring);
}

/* Empty, running, queued behind, done but not collected, flushing. */
static void test_free_in_every_state(void **state)
{
    kerb_ring_free(NULL);
    KerbRing *none = NULL;
    kerb_ring_free(&none);
    for (int kind = 0; kind < 5; kind++) {
        Work w;
        work_init(&w, kind == 3 ? -1 : 0);
        KerbRing *ring = ring_new(3, &w);
        for (int i = 0; i < (kind == 0 ? 0 : kind == 1 ? 1 : 3); i++) submit(ring, i);
        if (kind == 1 || kind == 2) work_await(&w, 1);
        if (kind == 3) work_await(&w, 3);
        if (kind == 4) kerb_ring_set_flushing(ring, true);
        work_permit(&w, 10);
        kerb_ring_free(&ring);
        assert_null(ring);
        if (kind == 1) assert_int_equal(w.finished, 1); /* waited for what ran */
    }
}

static void test_errors_are_collected_in_order(void **state)
{
    Work w;
    work_init(&w, -1);
    w.fail_every = 3;
    KerbRing *ring = ring_new(2, &w);
    for (int i = 0; i < 9; i++) {
        submit(ring, i);
        expect(ring, i, i % 3 == 2 ? KERB_ERROR_BACKEND : KERB_OK);
    }
    KerbStats s = { 0 };
    kerb_ring_stats(ring, &s);
    assert_int_equal(s.frames_errored, 3);
    assert_int_equal(s.frames_out, 6);
    assert_int_equal(s.mean.net_ns, 7); /* over what came out */
    kerb_ring_free(&ring);
}

/* ---- everything at once */

typedef struct Storm {
    KerbRing *ring;
    int frames;
    atomic_int taken, stop;
} Storm;

static void *storm_submit(void *data)
{
    Storm *s = data;
    for (int i = 0; i < s->frames; i++) {
        while (submit(s->ring, i) != KERB_OK) pause_ns(MS / 20);
        atomic_fetch_add(&s->taken, 1);
    }
    return NULL;
}

static void *storm_disturb(void *data)
{
    Storm *s = data;
    unsigned seed = 99;
    while (!atomic_load(&s->stop)) {
        switch (rand_r(&seed) % 4) {
        case 0: kerb_ring_flush(s->ring); break;
        case 1:
            kerb_ring_set_flushing(s->ring, true);
            pause_ns(rand_r(&seed) % (MS / 4));
            kerb_ring_set_flushing(s->ring, false);
            break;
        default: expect_sum(s->ring);
        }
        pause_ns(rand_r(&seed) % MS);
    }
    kerb_ring_set_flushing(s->ring, false);
    return NULL;
}

static void test_storm(void **state)
{
    Work w;
    work_init(&w, -1);
    w.slowest_ns = MS / 4;
    w.fail_every = 7;
    Storm s = { .ring = ring_new(3, &w), .frames = 2000 };
    pthread_t submitter, disturber;
    pthread_create(&submitter, NULL, storm_submit, &s);
    pthread_create(&disturber, NULL, storm_disturb, &s);
    uint64_t out = 0, flushed = 0, errored = 0;
    for (intptr_t next = 0; next < s.frames;) {
        KerbResult result;
        KerbError error;
        KerbStatus status = kerb_ring_collect(s.ring, &result, 5 * MS, &error);
        if (status == KERB_FLUSHED) pause_ns(MS / 20);
        if (status != KERB_OK) continue;
        assert_int_equal((intptr_t)result.user, next++); /* every frame once, in order, whatever happened to it */
        out += result.status == KERB_OK;
        flushed += result.status == KERB_FLUSHED;
        errored += result.status == KERB_ERROR_BACKEND;
    }
    atomic_store(&s.stop, 1);
    pthread_join(submitter, NULL);
    pthread_join(disturber, NULL);
    KerbStats stats = { 0 };
    kerb_ring_stats(s.ring, &stats);
    assert_int_equal(stats.frames_in, s.frames);
    assert_int_equal(stats.frames_out, out);
    assert_int_equal(stats.frames_flushed, flushed);
    assert_int_equal(stats.frames_errored, errored);
    assert_int_equal(stats.in_flight, 0);
    assert_true(out > 0 && flushed > 0 && errored > 0);
    kerb_ring_free(&s.ring);
}

/* ---- two phases */

/* begin() and finish() with delays and failures of their own; each frame leaves traces that the collecting thread checks. */
typedef struct Phases {
    uint64_t begun, finished; /* begin's and finish's alone: frames seen, in order */
    atomic_int ahead, most_ahead;
    int slots, pass_every, begin_fails_every, finish_fails_every; /* 0: never */
    int64_t slowest_ns;
    unsigned begin_seed, finish_seed;
    atomic_int wrong;
} Phases;

static bool nth(uint64_t n, int every) { return every && n % (uint64_t)every == (uint64_t)every - 1; }

static bool phases_begin(void *user, KerbSlot *slot)
{
    Phases *p = user;
    if (slot->number < p->begun) atomic_fetch_add(&p->wrong, 1);
    p->begun = slot->number + 1;
    if (p->slowest_ns) pause_ns(rand_r(&p->begin_seed) % p->slowest_ns);
    slot->result.times.up_ns = 3;
    if (nth(slot->number, p->begin_fails_every)) {
        slot->result.status = kerb_fail(&slot->error, KERB_ERROR_FRAME, "begin %d fell over", (int)slot->number);
        return false;
    }
    if (nth(slot->number, p->pass_every)) return false; /* done in the first phase */
    int ahead = atomic_fetch_add(&p->ahead, 1) + 1;
    if (ahead > p->slots) atomic_fetch_add(&p->wrong, 1);
    if (ahead > atomic_load(&p->most_ahead)) atomic_store(&p->most_ahead, ahead);
    return true;
}

static void phases_finish(void *user, KerbSlot *slot)
{
    Phases *p = user;
    if (slot->number < p->finished || slot->state != KERB_SLOT_BEGUN) atomic_fetch_add(&p->wrong, 1);
    p->finished = slot->number + 1;
    if (p->slowest_ns) pause_ns(rand_r(&p->finish_seed) % p->slowest_ns);
    slot->result.times.down_ns = 5;
    if (nth(slot->number, p->finish_fails_every))
        slot->result.status = kerb_fail(&slot->error, KERB_ERROR_FRAME, "finish %d fell over", (int)slot->number);
    atomic_fetch_sub(&p->ahead, 1);
}

static KerbRing *phases_ring(int slots, Phases *p)
{
    KerbRing *ring;
    p->slots = slots;
    p->begin_seed = 7, p->finish_seed = 8;
    assert_int_equal(kerb_ring_new(&ring, slots, phases_begin, phases_finish, p, NULL), KERB_OK);
    return ring;
}

static void test_two_phases_overlap_and_keep_order(void **state)
{
    for (int slots = 1; slots <= KERB_MAX_SLOTS; slots++) {
        Phases p = { .slowest_ns = MS / 5 };
        KerbRing *ring = phases_ring(slots, &p);
        intptr_t in = 0, out = 0;
        while (out < 100) {
            while (in < 100 && in - out < slots) assert_int_equal(submit(ring, in++), KERB_OK);
            expect(ring, out++, KERB_OK);
        }
        KerbStats s = { 0 };
        kerb_ring_stats(ring, &s);
        assert_int_equal(s.frames_out, 100);
        assert_int_equal(s.mean.up_ns, 3);
        assert_int_equal(s.mean.down_ns, 5);
        assert_int_equal(s.last.down_ns, 5);
        assert_int_equal(atomic_load(&p.wrong), 0);
        if (slots > 1) assert_true(atomic_load(&p.most_ahead) > 1); /* a frame was begun while another waited for its end */
        kerb_ring_free(&ring);
    }
}

static KerbStatus phases_status(const Phases *p, uint64_t number)
{
    if (nth(number, p->begin_fails_every)) return KERB_ERROR_FRAME;
    return !nth(number, p->pass_every) && nth(number, p->finish_fails_every) ? KERB_ERROR_FRAME : KERB_OK;
}

/* Frames that fail in either phase, or need only the first, come out in their place. */
static void test_phases_that_fail_keep_order(void **state)
{
    Phases p = { .slowest_ns = MS / 20, .pass_every = 4, .begin_fails_every = 5, .finish_fails_every = 3 };
    KerbRing *ring = phases_ring(3, &p);
    intptr_t in = 0, out = 0;
    while (out < 600) {
        while (in < 600 && in - out < 3) assert_int_equal(submit(ring, in++), KERB_OK);
        expect(ring, out, phases_status(&p, (uint64_t)out));
        out++;
    }
    assert_int_equal(atomic_load(&p.wrong), 0);
    kerb_ring_free(&ring);
}

static void phases_storm(int slots, int frames, int64_t slowest_ns)
{
    Phases p = { .slowest_ns = slowest_ns, .pass_every = 13, .begin_fails_every = 11, .finish_fails_every = 7 };
    Storm s = { .ring = phases_ring(slots, &p), .frames = frames };
    pthread_t submitter, disturber;
    pthread_create(&submitter, NULL, storm_submit, &s);
    pthread_create(&disturber, NULL, storm_disturb, &s);
    uint64_t out = 0, flushed = 0, errored = 0;
    for (intptr_t next = 0; next < s.frames;) {
        KerbResult result;
        KerbError error;
        KerbStatus status = kerb_ring_collect(s.ring, &result, 5 * MS, &error);
        if (status == KERB_FLUSHED) pause_ns(MS / 20);
        if (status != KERB_OK) continue;
        assert_int_equal((intptr_t)result.user, next); /* every frame once, in order: also its number, for refused ones get none */
        if (result.status != KERB_FLUSHED) assert_int_equal(result.status, phases_status(&p, (uint64_t)next));
        if (result.status == KERB_ERROR_FRAME) assert_non_null(strstr(error.message, "fell over"));
        next++;
        out += result.status == KERB_OK;
        flushed += result.status == KERB_FLUSHED;
        errored += result.status == KERB_ERROR_FRAME;
    }
    atomic_store(&s.stop, 1);
    pthread_join(submitter, NULL);
    pthread_join(disturber, NULL);
    KerbStats stats = { 0 };
    kerb_ring_stats(s.ring, &stats);
    assert_int_equal(stats.frames_in, frames);
    assert_int_equal(stats.frames_out, out);
    assert_int_equal(stats.frames_flushed, flushed);
    assert_int_equal(stats.frames_errored, errored);
    assert_int_equal(stats.in_flight, 0);
    assert_true(out > 0 && errored > 0);
    if (slots > 1) assert_true(flushed > 0); /* alone in its slot, a frame hardly waits to be begun */
    assert_int_equal(atomic_load(&p.ahead), 0);
    assert_int_equal(atomic_load(&p.wrong), 0);
    kerb_ring_free(&s.ring);
}

static void test_storm_in_two_phases(void **state)
{
    phases_storm(1, 1000, MS / 20);
    phases_storm(2, 10000, MS / 50);
    phases_storm(8, 2000, MS / 20);
}

/* Closing waits for what was begun, and finishes it: its memory is in use until then. */
static void test_free_finishes_what_was_begun(void **state)
{
    for (int i = 0; i < 200; i++) {
        Phases p = { .slowest_ns = MS / 10, .begin_fails_every = 3 };
        KerbRing *ring = phases_ring(4, &p);
        for (int n = 0; n < i % 5; n++) submit(ring, n);
        if (i % 2) pause_ns(i * MS / 400);
        if (i % 7 == 0) kerb_ring_flush(ring);
        kerb_ring_free(&ring);
        assert_int_equal(atomic_load(&p.ahead), 0);
        assert_int_equal(atomic_load(&p.wrong), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_full_ring_blocks_until_collected),
        cmocka_unit_test(test_collect_times_out),
        cmocka_unit_test(test_flush_discards_what_has_not_begun),
        cmocka_unit_test(test_flushing_wakes_and_refuses),
        cmocka_unit_test(test_flushing_wakes_collect),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_free_in_every_state),
        cmocka_unit_test(test_errors_are_collected_in_order),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_two_phases_overlap_and_keep_order),
        cmocka_unit_test(test_phases_that_fail_keep_order),
        cmocka_unit_test(test_storm_in_two_phases),
        cmocka_unit_test(test_free_finishes_what_was_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
