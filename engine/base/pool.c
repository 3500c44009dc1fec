/* SPDX-License-Identifier: MIT */
/* A pool of threads for short parallel loops: one job at a time, tasks handed out by an atomic counter, idle threads asleep. */
#include "base/pool.h"

#include "base/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct KerbPool {
    int threads; /* with the caller */
    int started; /* created, without the caller */
    pthread_t *handles;
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    bool stop;
    uint64_t job;  /* counts jobs; a worker runs each once */
    int busy;      /* workers still inside the job */
    KerbTaskFn fn; /* of the job; as the rest, guarded by mutex */
    void *arg;
    int count, next;
};

/* Tasks are few and long (rows of a picture): a mutex to take one costs nothing that can be measured. */
static void work_on_job(KerbPool *pool)
{
    while (pool->next < pool->count) {
        int index = pool->next++;
        pthread_mutex_unlock(&pool->mutex);
        pool->fn(pool->arg, index, pool->count);
        pthread_mutex_lock(&pool->mutex);
    }
}

static void *worker(void *data)
{
    KerbPool *pool = data;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stop) {
        if (pool->job == seen) {
            pthread_cond_wait(&pool->work, &pool->mutex);
            continue;
        }
        seen = pool->job;
        pool->busy++;
        work_on_job(pool);
        if (--pool->busy == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

KerbStatus kerb_pool_new(KerbPool **out, int threads, KerbError *error)
{
    *out = NULL;
    KerbPool *pool = calloc(1, sizeof *pool);
    if (!pool) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a pool of %d threads", threads);
    pool->threads = threads < 1 ? 1 : threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->handles = calloc((size_t)pool->threads, sizeof *pool->handles);
    if (!pool->handles) {
        kerb_pool_free(&pool);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a pool of %d threads", threads);
    }
    /* Signals belong to the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (pool->started < pool->threads - 1 && !failed) {
        failed = pthread_create(&pool->handles[pool->started], NULL, worker, pool);
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
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->started; i++) pthread_join(p->handles[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    free(p->handles);
    free(p);
    *pool = NULL;
}

int kerb_pool_threads(const KerbPool *pool) { return pool ? pool->threads : 1; }

void kerb_pool_run(KerbPool *pool, KerbTaskFn fn, void *arg, int count)
{
    if (!pool || pool->threads == 1 || count <= 1) {
        for (int i = 0; i < count; i++) fn(arg, i, count);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->fn = fn;
    pool->arg = arg;
    pool->count = count;
    pool->next = 0;
    pool->job++;
    pthread_cond_broadcast(&pool->work);
    work_on_job(pool);
    while (pool->busy > 0) pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

void kerb_share(int total, int step, int index, int count, int *begin, int *end)
{
    int64_t units = ((int64_t)total + step - 1) / step;
    int64_t b = units * index / count * step, e = units * (index + 1) / count * step;
    *begin = (int)(b < total ? b : total);
    *end = (int)(e < total ? e : total);
}
