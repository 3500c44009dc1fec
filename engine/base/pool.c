/* SPDX-License-Identifier: MIT */
/* A pool of threads for short parallel loops: one job at a time, tasks handed out by an atomic counter, idle threads asleep.
 *
 * A worker enters a job through the gate, which counts the workers inside; the caller opens it when the job is laid out, and, when all tasks are handed out, closes
 * it and waits for those inside alone. A worker that comes late finds it closed and never sees a job that is being changed. */
#include "base/pool.h"

#include "base/error.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLOSED 0x80000000u /* of the gate */
#define AWAITED 0x40000000u /* the caller sleeps until nobody is inside */
#define INSIDE 0x3fffffffu
#define LINE 64 /* bytes: what threads write often has a line of its own */
#define LOOKS 400 /* before sleeping: about 20 us */

typedef struct KerbWorker {
    struct KerbPool *pool;
    pthread_t handle;
    int thread;
} KerbWorker;

struct KerbPool {
    int threads; /* with the caller */
    int started; /* created, without the caller */
    KerbWorker *workers;
    KerbTaskFn fn; /* of the job; written while the gate is closed and nobody is inside */
    void *arg;
    int count;
    _Alignas(LINE) _Atomic uint32_t job; /* counts jobs; idle workers sleep on it */
    atomic_int sleeping;                 /* workers that do, or are about to */
    atomic_bool stop;
    _Alignas(LINE) _Atomic uint32_t gate;
    _Alignas(LINE) atomic_int next; /* task */
};

static void kerb_sleep(_Atomic uint32_t *word, uint32_t while_it_is)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_it_is, NULL, NULL, 0);
}

static void kerb_wake(_Atomic uint32_t *word, int threads)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0);
}

static void kerb_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void kerb_pool_tasks(KerbPool *pool, int thread)
{
    const int count = pool->count;
    for (int index; (index = atomic_fetch_add(&pool->next, 1)) < count;) pool->fn(pool->arg, index, count, thread);
}

static bool kerb_pool_enter(KerbPool *pool)
{
    uint32_t gate = atomic_load(&pool->gate);
    while (!(gate & CLOSED))
        if (atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1)) return true;
    return false;
}

static void kerb_pool_leave(KerbPool *pool)
{
    if (atomic_fetch_sub(&pool->gate, 1) - 1 == (CLOSED | AWAITED)) kerb_wake(&pool->gate, 1);
}

/* Until there is another job than `seen`. */
static uint32_t kerb_pool_await(KerbPool *pool, uint32_t seen)
{
    for (int i = 0; i < LOOKS; i++) {
        uint32_t job = atomic_load(&pool->job);
        if (job != seen) return job;
        kerb_pause();
    }
    atomic_fetch_add(&pool->sleeping, 1);
    uint32_t job;
    while ((job = atomic_load(&pool->job)) == seen) kerb_sleep(&pool->job, seen);
    atomic_fetch_sub(&pool->sleeping, 1);
    return job;
}

static void *kerb_pool_worker(void *data)
{
    KerbWorker *worker = data;
    KerbPool *pool = worker->pool;
    for (uint32_t seen = 0;;) {
        seen = kerb_pool_await(pool, seen);
        if (atomic_load(&pool->stop)) return NULL;
        if (!kerb_pool_enter(pool)) continue;
        kerb_pool_tasks(pool, worker->thread);
        kerb_pool_leave(pool);
    }
}

/* A new job, or the end: all workers look. */
static void kerb_pool_call(KerbPool *pool)
{
    atomic_fetch_add(&pool->job, 1);
    if (atomic_load(&pool->sleeping)) kerb_wake(&pool->job, pool->started);
}

KerbStatus kerb_pool_new(KerbPool **out, int threads, KerbError *error)
{
    *out = NULL;
    if (threads < 1) threads = 1;
    KerbPool *pool = aligned_alloc(LINE, sizeof *pool);
    KerbWorker *workers = calloc((size_t)threads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a pool of %d threads", threads);
    }
    memset(pool, 0, sizeof *pool);
    pool->threads = threads;
    pool->workers = workers;
    atomic_init(&pool->gate, CLOSED);
    /* Signals belong to the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (pool->started < threads - 1 && !failed) {
        KerbWorker *worker = &workers[pool->started];
        *worker = (KerbWorker){.pool = pool, .thread = pool->started + 1};
        failed = pthread_create(&worker->handle, NULL, kerb_pool_worker, worker);
        if (!failed) pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        kerb_pool_free(&pool);
        return kerb_fail(error, KERB_ERROR_MEMORY, "only some of %d threads could be started: %s; ask for fewer", threads, strerror(failed));
    }
    *out = pool;
    return KERB_OK;
}

void kerb_pool_free(KerbPool **pool)
{
    if (!pool || !*pool) return;
    KerbPool *p = *pool;
    atomic_store(&p->stop, true);
    kerb_pool_call(p);
    for (int i = 0; i < p->started; i++) pthread_join(p->workers[i].handle, NULL);
    free(p->workers);
    free(p);
    *pool = NULL;
}

int kerb_pool_threads(const KerbPool *pool) { return pool ? pool->threads : 1; }

void kerb_pool_run(KerbPool *pool, KerbTaskFn fn, void *arg, int count)
{
    if (!pool || pool->threads == 1 || count <= 1) {
        for (int i = 0; i < count; i++) fn(arg, i, count, 0);
        return;
    }
    pool->fn = fn;
    pool->arg = arg;
    pool->count = count;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->gate, 0);
    kerb_pool_call(pool);
    kerb_pool_tasks(pool, 0);
    uint32_t gate = atomic_fetch_or(&pool->gate, CLOSED) | CLOSED;
    for (int i = 0; gate & INSIDE && i < LOOKS; i++) {
        kerb_pause();
        gate = atomic_load(&pool->gate);
    }
    while (gate & INSIDE) {
        gate = atomic_fetch_or(&pool->gate, AWAITED) | AWAITED;
        if (gate & INSIDE) kerb_sleep(&pool->gate, gate);
        gate = atomic_load(&pool->gate);
    }
}

void kerb_share(int total, int step, int index, int count, int *begin, int *end)
{
    int64_t units = ((int64_t)total + step - 1) / step;
    int64_t b = units * index / count * step, e = units * (index + 1) / count * step;
    *begin = (int)(b < total ? b : total);
    *end = (int)(e < total ? e : total);
}
