/* SPDX-License-Identifier: MIT */
/* The pool: each task once, in order without threads, shares that cover; many short jobs one after the other (for the thread sanitizer). */
#include "base_test.h"

#include "base/error.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define MAX_TASKS 300

typedef struct Tally {
    atomic_int times[MAX_TASKS];
    int plain[MAX_TASKS]; /* not atomic: the end of a job must order these for the caller */
    int count, next, in_order;
} Tally;

static void tally(void *arg, int index, int count, int thread)
{
    Tally *t = arg;
    atomic_fetch_add(&t->times[index], 1);
    t->plain[index] += index + 1;
    if (count != t->count) atomic_fetch_add(&t->times[index], 1000);
}

static void each_task_once(void **state)
{
    for (int threads = 1; threads <= 6; threads++) {
        KerbPool *pool;
        assert_int_equal(kerb_pool_new(&pool, threads, NULL), KERB_OK);
        assert_int_equal(kerb_pool_threads(pool), threads);
        for (int count = 0; count < MAX_TASKS; count += 1 + count / 3) {
            Tally *t = calloc(1, sizeof *t);
            t->count = count;
            kerb_pool_run(pool, tally, t, count);
            for (int i = 0; i < MAX_TASKS; i++) {
                assert_int_equal(atomic_load(&t->times[i]), i < count);
                assert_int_equal(t->plain[i], i < count ? i + 1 : 0);
            }
            free(t);
        }
        kerb_pool_free(&pool);
        assert_null(pool);
    }
}

static void follow(void *arg, int index, int count, int thread)
{
    Tally *t = arg;
    t->in_order += index == t->next++;
}

static void no_pool_is_in_order(void **state)
{
    Tally t = { .count = 50 };
    kerb_pool_run(NULL, follow, &t, 50);
    assert_int_equal(t.in_order, 50);
    assert_int_equal(kerb_pool_threads(NULL), 1);
    KerbPool *none = NULL;
    kerb_pool_free(&none);
    kerb_pool_free(NULL);
}

static void add_one(void *arg, int index, int count, int thread) { atomic_fetch_add((atomic_long *)arg, 1); }

/* Jobs as short as they get, so that workers wake late and meet the next one. */
static void many_short_jobs(void **state)
{
    KerbPool *pool;
    atomic_long sum = 0;
    long want = 0;
    assert_int_equal(kerb_pool_new(&pool, 4, NULL), KERB_OK);
    for (int job = 0; job < 20000; job++) {
        kerb_pool_run(pool, add_one, &sum, job % 7);
        want += job % 7;
        assert_int_equal(atomic_load(&sum), want);
    }
    kerb_pool_free(&pool);
    for (int i = 0; i < 200; i++) { /* born and gone, with and without work */
        assert_int_equal(kerb_pool_new(&pool, 3, NULL), KERB_OK);
        if (i % 2) kerb_pool_run(pool, add_one, &sum, 2);
        kerb_pool_free(&pool);
    }
}

typedef struct Meeting {
    pthread_mutex_t mutex;
    pthread_cond_t all_here;
    int here, wanted;
} Meeting;

static void meet(void *arg, int index, int count, int thread)
{
    Meeting *m = arg;
    pthread_mutex_lock(&m->mutex);
    if (++m->here == m->wanted) pthread_cond_broadcast(&m->all_here);
    while (m->here < m->wanted) pthread_cond_wait(&m->all_here, &m->mutex);
    pthread_mutex_unlock(&m->mutex);
}

/* Tasks that wait for each other end only if all threads work at once. */
static void threads_work_at_once(void **state)
{
    Meeting m = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 4 };
    KerbPool *pool;
    assert_int_equal(kerb_pool_new(&pool, 4, NULL), KERB_OK);
    kerb_pool_run(pool, meet, &m, 4);
    assert_int_equal(m.here, 4);
    kerb_pool_free(&pool);
}

/* A second without work must not cost processor time: workers sleep. */
static void idle_threads_sleep(void **state)
{
    KerbPool *pool;
    atomic_long sum = 0;
    assert_int_equal(kerb_pool_new(&pool, 4, NULL), KERB_OK);
    kerb_pool_run(pool, add_one, &sum, 8);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
    getrusage(RUSAGE_SELF, &after);
    long used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000L +
                   after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    assert_true(used_us < 100000); /* three that spin would have used 300 to 900 ms */
    kerb_pool_free(&pool);
}

static void shares_cover(void **state)
{
    for (int total = 0; total < 70; total++)
        for (int step = 1; step <= 9; step++)
            for (int count = 1; count <= 12; count++) {
                int expected = 0, units = (total + step - 1) / step;
                for (int i = 0; i < count; i++) {
                    int begin, end;
                    kerb_share(total, step, i, count, &begin, &end);
                    assert_int_equal(begin, expected);
                    assert_true(end >= begin && end <= total);
                    assert_true(end == total || end % step == 0);
                    int share = (end - begin + step - 1) / step; /* even to one unit */
                    assert_true(share >= units / count && share <= units / count + 1);
                    expected = end;
                }
                assert_int_equal(expected, total);
            }
    int begin, end;
    kerb_share(INT32_MAX - 7, 8, 255, 256, &begin, &end);
    assert_true(end == INT32_MAX - 7 && begin < end && begin % 8 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_once), cmocka_unit_test(no_pool_is_in_order), cmocka_unit_test(many_short_jobs),
        cmocka_unit_test(threads_work_at_once), cmocka_unit_test(idle_threads_sleep), cmocka_unit_test(shares_cover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
