/* SPDX-License-Identifier: MIT */
/* Plans of many problems at once: finalising compiles kernels on the CPU, so it is spread over threads. Each worker has its own cuDNN handle and its
 * share of the problems; first it finds one plan for each of them, then further candidates in turn while there is time. What it finds leaves it as
 * JSON, which the opener's thread turns into plans of its own handle (1 ms each), times, and chooses from. */
#include "cuda/net/forecast.h"
#include "cuda/net/plans.h"

#include "base/log.h"
#include "base/trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16
#define THREADS_MAX_INTEGRATED 4 /* a compiler takes some 200 MB, which is the GPU's memory too */
#define PROGRESS_MS 100

typedef struct KerbFind { /* a candidate as text */
    char *json;
    size_t bytes;
    int64_t engine;
} KerbFind;

typedef struct KerbPlanJob {
    KerbConvProblem problem;
    bool is_left;
    KerbFind finds[KERB_CANDIDATES];
    int n;
    char why[256];
} KerbPlanJob;

typedef struct KerbFleet {
    const KerbPlans *plans;
    KerbPlanJob *jobs;
    int n_jobs, n_workers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int done, running; /* jobs with a first answer; workers at work */
} KerbFleet;

typedef struct KerbWorker {
    KerbFleet *fleet;
    int index;
    pthread_t thread;
    bool started;
} KerbWorker;

/* A job in the hands of a worker. */
typedef struct KerbPursuit {
    KerbPlanJob *job;
    KerbEpilogue epilogue;
    KerbSearch search;
    bool open;
} KerbPursuit;

static bool kerb_pursuit_next(KerbPursuit *p)
{
    KerbCandidate c;
    if (!p->open || p->job->n == KERB_CANDIDATES || !kerb_search_next(&p->search, &c)) return false;
    KerbFind *f = &p->job->finds[p->job->n];
    f->bytes = kerb_candidate_json(p->search.maker->dnn, c.plan, &f->json);
    f->engine = c.engine;
    p->job->n += f->bytes > 0;
    kerb_candidate_free(p->search.maker->dnn, &c);
    return true;
}

static void kerb_pursuit_close(KerbPursuit *p)
{
    if (!p->open) return;
    kerb_search_end(&p->search);
    if (!p->job->n && !p->job->why[0]) snprintf(p->job->why, sizeof p->job->why, "%s", p->search.why);
    p->open = false;
}

/* The first candidate: fused, or the convolution alone. */
static void kerb_pursuit_begin(KerbPursuit *p, const KerbMaker *maker, KerbPlanJob *job)
{
    const KerbConvLeft sums = kerb_plan_sums(&job->problem);
    bool fusable = kerb_conv_epilogue(&job->problem, &p->epilogue);
    p->job = job;
    if (!fusable) snprintf(job->why, sizeof job->why, "cuDNN has no such activation");
    for (int left = fusable ? 0 : 1; left < 2 && !job->n; left++) {
        kerb_pursuit_close(p);
        if (left && fusable && !p->epilogue.n) break; /* it was the convolution alone */
        job->is_left = left != 0;
        kerb_search_begin(&p->search, maker, &job->problem, &p->epilogue, left ? &sums : NULL);
        p->open = true;
        kerb_pursuit_next(p);
    }
}

static void kerb_fleet_tell(KerbFleet *f, int done, int running)
{
    pthread_mutex_lock(&f->lock);
    f->done += done;
    f->running += running;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void kerb_worker_pursue(KerbWorker *w, const KerbMaker *maker, KerbPursuit *mine, int n)
{
    const KerbPlans *plans = w->fleet->plans;
    bool more = plans->options.time_candidates;
    for (int i = 0; i < n; i++) {
        kerb_pursuit_begin(&mine[i], maker, &w->fleet->jobs[w->index + i * w->fleet->n_workers]);
        kerb_fleet_tell(w->fleet, 1, 0);
    }
    while (more && kerb_now_ns() < plans->deadline_ns) {
        more = false;
        for (int i = 0; i < n && kerb_now_ns() < plans->deadline_ns; i++) more = kerb_pursuit_next(&mine[i]) || more;
    }
    for (int i = 0; i < n; i++) kerb_pursuit_close(&mine[i]);
}

static void *kerb_worker_main(void *arg)
{
    KerbWorker *w = arg;
    KerbFleet *f = w->fleet;
    KerbMaker maker = { 0 };
    KerbError error;
    const int n = (f->n_jobs - w->index + f->n_workers - 1) / f->n_workers;
    KerbPursuit *mine = calloc((size_t)n, sizeof *mine);
    const KerbPlansOptions *options = &f->plans->options;
    bool fine = mine && (options->device_json || cudaSetDevice(options->device.id) == cudaSuccess);
    if (fine && kerb_maker_open(&maker, &f->plans->dnn, options, &error) == KERB_OK) kerb_worker_pursue(w, &maker, mine, n);
    if (fine) kerb_maker_close(&maker);
    free(mine);
    kerb_fleet_tell(f, 0, -1);
    return NULL;
}

static void kerb_fleet_wait(KerbFleet *f, KerbProgressFn progress, void *user)
{
    int said = -1;
    pthread_mutex_lock(&f->lock);
    while (f->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&f->changed, &f->lock, &until);
        int done = f->done;
        if (!progress || done == said) continue;
        pthread_mutex_unlock(&f->lock); /* the caller's function may take its time */
        progress(user, "compiling", done, f->n_jobs);
        said = done;
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
}

static void kerb_fleet_run(KerbFleet *f, KerbProgressFn progress, void *user)
{
    KerbWorker workers[THREADS_MAX];
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->running = f->n_workers; /* before any of them can end */
    for (int i = 0; i < f->n_workers; i++) {
        workers[i] = (KerbWorker){ .fleet = f, .index = i };
        workers[i].started = pthread_create(&workers[i].thread, NULL, kerb_worker_main, &workers[i]) == 0;
        if (!workers[i].started) kerb_fleet_tell(f, 0, -1); /* its jobs are done one by one when they are asked for */
    }
    kerb_fleet_wait(f, progress, user);
    for (int i = 0; i < f->n_workers; i++) {
        if (workers[i].started) pthread_join(workers[i].thread, NULL);
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

/* Texts -> candidates of our own handle -> the plan. A job without an answer is left to kerb_plans_get(). */
static KerbStatus kerb_plan_job_settle(KerbPlans *plans, KerbPlanJob *job, KerbError *error)
{
    KerbCandidate c[KERB_CANDIDATES];
    int n = 0;
    if (!job->n && !job->why[0]) return KERB_OK;
    for (int i = 0; i < job->n; i++) {
        if (!kerb_candidate_restore(&plans->maker, job->finds[i].json, job->finds[i].bytes, &c[n])) continue;
        c[n++].engine = job->finds[i].engine;
    }
    if (job->n && !n) return KERB_OK; /* no plan of this version comes back from its text */
    plans->foreseen++;
    return kerb_plans_settle(plans, &job->problem, job->is_left, c, n, job->why, error);
}

/* Those that have to be made, by what finalised plans go by: each once. */
static int kerb_fleet_jobs(KerbPlans *plans, const KerbConvProblem problems[], int n, KerbPlanJob jobs[])
{
    int n_jobs = 0;
    for (int i = 0; i < n; i++) {
        const KerbConvProblem canonical = kerb_plan_canonical(&problems[i]);
        bool known = kerb_plans_find(plans, &problems[i]) != NULL;
        for (int j = 0; j < n_jobs && !known; j++) {
            const KerbConvProblem other = kerb_plan_canonical(&jobs[j].problem);
            known = memcmp(&other, &canonical, sizeof other) == 0;
        }
        if (!known) jobs[n_jobs++].problem = problems[i];
    }
    return n_jobs;
}

KerbStatus kerb_plans_prepare(KerbPlans *plans, const KerbConvProblem problems[], int n, int threads, KerbProgressFn progress, void *user, KerbError *error)
{
    KerbStatus status = KERB_OK;
    if (n < 1) return KERB_OK;
    KerbPlanJob *jobs = calloc((size_t)n, sizeof *jobs);
    if (!jobs) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for convolution plans");
    KerbFleet fleet = { .plans = plans, .jobs = jobs, .n_jobs = kerb_fleet_jobs(plans, problems, n, jobs) };
    long cores = threads > 0 ? threads : sysconf(_SC_NPROCESSORS_ONLN);
    const int most = plans->options.device.integrated && !plans->options.device_json ? THREADS_MAX_INTEGRATED : THREADS_MAX;
    if (cores > most) cores = most;
    fleet.n_workers = cores < 1 ? 1 : cores < fleet.n_jobs ? (int)cores : fleet.n_jobs;
    if (fleet.n_jobs) kerb_fleet_run(&fleet, progress, user);
    for (int i = 0; i < fleet.n_jobs && status == KERB_OK; i++) status = kerb_plan_job_settle(plans, &jobs[i], error);
    for (int i = 0; i < fleet.n_jobs; i++) {
        for (int j = 0; j < jobs[i].n; j++) free(jobs[i].finds[j].json);
    }
    free(jobs);
    return status;
}

typedef struct KerbForeseen {
    KerbConvProblem *list;
    int n, capacity;
} KerbForeseen;

static bool kerb_foreseen_add(void *user, const KerbNode *n, const KerbConvProblem *problem, const char *why)
{
    KerbForeseen *f = user;
    if (!problem || kerb_conv_is_depthwise(problem)) return true;
    if (f->n == f->capacity) {
        int capacity = f->capacity ? 2 * f->capacity : 64;
        KerbConvProblem *grown = realloc(f->list, (size_t)capacity * sizeof *grown);
        if (!grown) return false;
        f->list = grown;
        f->capacity = capacity;
    }
    f->list[f->n++] = *problem;
    return true;
}

KerbStatus kerb_plans_prepare_graph(KerbPlans *plans, const KerbGraph *g, KerbPrecision precision, int threads, KerbProgressFn progress, void *user,
                                    KerbError *error)
{
    KerbForeseen f = { 0 };
    KerbStatus status = kerb_conv_forecast(g, precision, kerb_foreseen_add, &f, error);
    if (status == KERB_OK) status = kerb_plans_prepare(plans, f.list, f.n, threads, progress, user, error);
    free(f.list);
    return status;
}
