/* SPDX-License-Identifier: MIT */
/* The ring of slots. Enters: jobs, from one thread; leaves: results, to one thread; between them the ring's own one or two threads run the work.
 * One mutex guards everything but the contents of a slot that is RUNNING or BEGUN. */
#include "run/ring.h"

#include "base/trace.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct KerbRing {
    pthread_mutex_t mutex;
    pthread_cond_t space; /* for submit: a slot became free, flushing */
    pthread_cond_t work;  /* for the first thread: a frame was submitted, closing */
    pthread_cond_t begun_cond; /* for the second thread: a frame was begun, the first thread has ended */
    pthread_cond_t done;  /* for collect: a frame is done, flushing */
    pthread_cond_t empty; /* for drain: nothing is in flight, flushing */
    pthread_t begin_thread, finish_thread;
    bool begin_started, finish_started, flushing, closing, begin_ended;
    int n;
    KerbSlot slots[KERB_MAX_SLOTS];
    uint64_t submitted, begun, collected, era;
    uint64_t finish_next; /* no frame before it waits for finish() */
    uint64_t frames_out, frames_flushed, frames_errored;
    KerbTimes last, sum;
    KerbBeginFn begin_fn;
    KerbFinishFn finish_fn;
    void *user;
};

static KerbSlot *slot_of(KerbRing *ring, uint64_t number) { return &ring->slots[number % (uint64_t)ring->n]; }

static void *run_begin(void *data)
{
    KerbRing *ring = data;
    pthread_mutex_lock(&ring->mutex);
    for (;;) {
        while (!ring->closing && ring->begun == ring->submitted) pthread_cond_wait(&ring->work, &ring->mutex);
        if (ring->closing) break;
        KerbSlot *slot = slot_of(ring, ring->begun++);
        slot->state = KERB_SLOT_RUNNING;
        pthread_mutex_unlock(&ring->mutex);
        slot->result.times.queue_ns = kerb_now_ns() - slot->submitted_ns;
        bool more = ring->begin_fn(ring->user, slot);
        pthread_mutex_lock(&ring->mutex);
        slot->state = more ? KERB_SLOT_BEGUN : KERB_SLOT_DONE;
        pthread_cond_broadcast(more ? &ring->begun_cond : &ring->done);
    }
    ring->begin_ended = true;
    pthread_cond_broadcast(&ring->begun_cond);
    pthread_mutex_unlock(&ring->mutex);
    return NULL;
}

/* The oldest frame that waits for finish(), or NULL. Frames that are done without it are passed over; of those that were collected meanwhile the
 * slots may have new tenants already. */
static KerbSlot *next_to_finish(KerbRing *ring)
{
    if (ring->finish_next < ring->collected) ring->finish_next = ring->collected;
    for (; ring->finish_next < ring->begun; ring->finish_next++) {
        KerbSlot *slot = slot_of(ring, ring->finish_next);
        if (slot->state != KERB_SLOT_DONE) return slot->state == KERB_SLOT_BEGUN ? slot : NULL;
    }
    return NULL;
}

static void *run_finish(void *data)
{
    KerbRing *ring = data;
    pthread_mutex_lock(&ring->mutex);
    for (;;) {
        KerbSlot *slot = next_to_finish(ring);
        if (!slot && ring->begin_ended) break;
        if (!slot) {
            pthread_cond_wait(&ring->begun_cond, &ring->mutex);
            continue;
        }
        pthread_mutex_unlock(&ring->mutex);
        ring->finish_fn(ring->user, slot);
        pthread_mutex_lock(&ring->mutex);
        slot->state = KERB_SLOT_DONE;
        pthread_cond_broadcast(&ring->done);
    }
    pthread_mutex_unlock(&ring->mutex);
    return NULL;
}

/* What has not begun will never begin; it is collected like everything else. */
static void discard_queued(KerbRing *ring)
{
    for (; ring->begun < ring->submitted; ring->begun++) {
        KerbSlot *slot = slot_of(ring, ring->begun);
        slot->state = KERB_SLOT_DONE;
        slot->result.status = KERB_FLUSHED;
    }
    pthread_cond_broadcast(&ring->done);
}

static KerbStatus start_thread(KerbRing *ring, pthread_t *thread, bool *started, void *(*run)(void *), const char *name, KerbError *error)
{
    sigset_t all, before; /* signals belong to the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, run, ring);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) return kerb_fail(error, KERB_ERROR_MEMORY, "the pipeline's thread cannot be started: %s", strerror(failed));
    pthread_setname_np(*thread, name);
    *started = true;
    return KERB_OK;
}

KerbStatus kerb_ring_new(KerbRing **out, int slots, KerbBeginFn begin, KerbFinishFn finish, void *user, KerbError *error)
{
    *out = NULL;
    KerbRing *ring = calloc(1, sizeof *ring);
    if (!ring) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a ring of %d slots (%zu bytes)", slots, sizeof *ring);
    ring->n = slots;
    ring->begin_fn = begin;
    ring->finish_fn = finish;
    ring->user = user;
    pthread_mutex_init(&ring->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ring->space, NULL);
    pthread_cond_init(&ring->work, NULL);
    pthread_cond_init(&ring->begun_cond, NULL);
    pthread_cond_init(&ring->done, &monotonic);
    pthread_cond_init(&ring->empty, NULL);
    pthread_condattr_destroy(&monotonic);
    KerbStatus status = start_thread(ring, &ring->begin_thread, &ring->begin_started, run_begin, "kerb-ring", error);
    if (status == KERB_OK && finish)
        status = start_thread(ring, &ring->finish_thread, &ring->finish_started, run_finish, "kerb-ring-end", error);
    if (status != KERB_OK) kerb_ring_free(&ring);
    *out = ring;
    return status;
}

void kerb_ring_free(KerbRing **ring)
{
    if (!ring || !*ring) return;
    KerbRing *r = *ring;
    if (r->begin_started) {
        pthread_mutex_lock(&r->mutex);
        r->closing = true;
        discard_queued(r);
        pthread_cond_broadcast(&r->work);
        pthread_mutex_unlock(&r->mutex);
        pthread_join(r->begin_thread, NULL);
    }
    if (r->finish_started) pthread_join(r->finish_thread, NULL); /* ends after the first, with nothing left to finish */
    pthread_cond_destroy(&r->space);
    pthread_cond_destroy(&r->work);
    pthread_cond_destroy(&r->begun_cond);
    pthread_cond_destroy(&r->done);
    pthread_cond_destroy(&r->empty);
    pthread_mutex_destroy(&r->mutex);
    free(r);
    *ring = NULL;
}

KerbStatus kerb_ring_submit(KerbRing *ring, const KerbJob *job, const KerbDisplay *display)
{
    pthread_mutex_lock(&ring->mutex);
    while (!ring->flushing && ring->submitted - ring->collected == (uint64_t)ring->n) pthread_cond_wait(&ring->space, &ring->mutex);
    if (ring->flushing) {
        pthread_mutex_unlock(&ring->mutex);
        return KERB_FLUSHED;
    }
    KerbSlot *slot = slot_of(ring, ring->submitted);
    slot->number = ring->submitted++;
    slot->state = KERB_SLOT_QUEUED;
    slot->submitted_ns = kerb_now_ns();
    slot->job = *job;
    slot->display = *display;
    slot->era = ring->era;
    slot->result = (KerbResult){ .user = job->user, .pts_ns = job->frame.pts_ns, .source_pts_ns = job->frame.pts_ns };
    kerb_error_clear(&slot->error);
    pthread_cond_signal(&ring->work);
    pthread_mutex_unlock(&ring->mutex);
    return KERB_OK;
}

static void add_times(KerbTimes *sum, const KerbTimes *t)
{
    sum->queue_ns += t->queue_ns;
    sum->up_ns += t->up_ns;
    sum->in_ns += t->in_ns;
    sum->net_ns += t->net_ns;
    sum->out_ns += t->out_ns;
    sum->smooth_ns += t->smooth_ns;
    sum->down_ns += t->down_ns;
}

static void divide_times(KerbTimes *t, int64_t n)
{
    t->queue_ns /= n;
    t->up_ns /= n;
    t->in_ns /= n;
    t->net_ns /= n;
    t->out_ns /= n;
    t->smooth_ns /= n;
    t->down_ns /= n;
}

static void take(KerbRing *ring, KerbSlot *slot, KerbResult *result, KerbError *error)
{
    *result = slot->result;
    if (error) *error = slot->error;
    slot->state = KERB_SLOT_FREE;
    ring->collected++;
    if (result->status == KERB_OK) {
        ring->frames_out++;
        ring->last = result->times;
        add_times(&ring->sum, &result->times);
    } else if (result->status == KERB_FLUSHED) {
        ring->frames_flushed++;
    } else {
        ring->frames_errored++;
    }
    pthread_cond_signal(&ring->space);
    if (ring->submitted == ring->collected) pthread_cond_broadcast(&ring->empty);
}

static struct timespec deadline_after(int64_t timeout_ns)
{
    int64_t now = kerb_now_ns(), at = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    return (struct timespec){ .tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000) };
}

KerbStatus kerb_ring_collect(KerbRing *ring, KerbResult *result, int64_t timeout_ns, KerbError *error)
{
    struct timespec deadline = { 0 };
    if (timeout_ns > 0) deadline = deadline_after(timeout_ns);
    KerbStatus status = KERB_OK;
    bool expired = timeout_ns == 0;
    pthread_mutex_lock(&ring->mutex);
    for (;;) {
        KerbSlot *oldest = slot_of(ring, ring->collected);
        if (ring->submitted != ring->collected && oldest->state == KERB_SLOT_DONE) {
            take(ring, oldest, result, error);
            break;
        }
        if (ring->submitted == ring->collected && ring->flushing) status = KERB_FLUSHED;
        else if (expired) status = KERB_AGAIN;
        if (status != KERB_OK) break;
        if (timeout_ns < 0) pthread_cond_wait(&ring->done, &ring->mutex);
        else expired = pthread_cond_timedwait(&ring->done, &ring->mutex, &deadline) == ETIMEDOUT;
    }
    pthread_mutex_unlock(&ring->mutex);
    return status;
}

void kerb_ring_flush(KerbRing *ring)
{
    pthread_mutex_lock(&ring->mutex);
    discard_queued(ring);
    pthread_mutex_unlock(&ring->mutex);
}

void kerb_ring_set_flushing(KerbRing *ring, bool flushing)
{
    pthread_mutex_lock(&ring->mutex);
    ring->flushing = flushing;
    if (flushing) {
        discard_queued(ring);
        pthread_cond_broadcast(&ring->space);
        pthread_cond_broadcast(&ring->empty);
    }
    pthread_mutex_unlock(&ring->mutex);
}

void kerb_ring_drain(KerbRing *ring)
{
    pthread_mutex_lock(&ring->mutex);
    while (!ring->flushing && ring->submitted != ring->collected) pthread_cond_wait(&ring->empty, &ring->mutex);
    pthread_mutex_unlock(&ring->mutex);
}

void kerb_ring_mark(KerbRing *ring)
{
    pthread_mutex_lock(&ring->mutex);
    ring->era++;
    pthread_mutex_unlock(&ring->mutex);
}

int kerb_ring_in_flight(KerbRing *ring)
{
    pthread_mutex_lock(&ring->mutex);
    int n = (int)(ring->submitted - ring->collected);
    pthread_mutex_unlock(&ring->mutex);
    return n;
}

void kerb_ring_stats(KerbRing *ring, KerbStats *stats)
{
    pthread_mutex_lock(&ring->mutex);
    stats->frames_in = ring->submitted;
    stats->frames_out = ring->frames_out;
    stats->frames_flushed = ring->frames_flushed;
    stats->frames_errored = ring->frames_errored;
    stats->in_flight = (int)(ring->submitted - ring->collected);
    stats->slots = ring->n;
    stats->last = ring->last;
    stats->mean = ring->sum;
    int64_t n = ring->frames_out ? (int64_t)ring->frames_out : 1;
    pthread_mutex_unlock(&ring->mutex);
    divide_times(&stats->mean, n);
}
