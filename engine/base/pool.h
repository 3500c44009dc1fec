/* SPDX-License-Identifier: MIT */
/* A pool of threads for short parallel loops. Idle threads sleep, after looking for the next loop for some 20 microseconds. A thread that does not get a core is not
 * waited for, unless it has begun a task: the others do its share. */
#ifndef KERB_BASE_POOL_H
#define KERB_BASE_POOL_H

#include "kerb.h"

typedef struct KerbPool KerbPool;

/* `threads` >= 1 counts the caller: 1 creates none. */
KerbStatus kerb_pool_new(KerbPool **out, int threads, KerbError *error);
void kerb_pool_free(KerbPool **pool);
int kerb_pool_threads(const KerbPool *pool); /* 1 for NULL */

/* Task `index` of `count`, on the pool's thread `thread` (0: the caller; below kerb_pool_threads()); tasks run in any order, once each. */
typedef void (*KerbTaskFn)(void *arg, int index, int count, int thread);
/* Runs fn for 0..count-1 and returns when all are done; the caller works too. Allocates nothing. One caller at a time. NULL pool: in order on the caller. */
void kerb_pool_run(KerbPool *pool, KerbTaskFn fn, void *arg, int count);

/* The half-open share [*begin, *end) of `total` rows for task `index` of `count`, boundaries on multiples of `step`. */
void kerb_share(int total, int step, int index, int count, int *begin, int *end);

#endif
