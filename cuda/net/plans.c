/* SPDX-License-Identifier: MIT */
/* The plans of one device: each problem once. A plan comes from the cache on disk, or from cuDNN's candidates, the fastest of which is kept. What
 * cuDNN cannot fuse is made of the convolution alone, with the epilogue left to the caller; what it cannot do at all is remembered as such. */
#include "cuda/net/plans.h"

#include "base/log.h"
#include "base/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACE_UNIT ((size_t)256)
#define TUNE_SECONDS 20.0 /* then the first good candidate is taken: opening stays below 30 s */

/* ---- the set */

static void kerb_plans_open_cache(KerbPlans *p)
{
    const KerbCudaDevice *d = &p->options.device;
    char key[512];
    snprintf(key, sizeof key, "cuDNN %d, CUDA %d; %s, sm %d.%d, %d SMs, %zu bytes; driver %d; graph %016llx", p->dnn.version, p->dnn.cuda, d->name, d->major,
             d->minor, d->multiprocessors, d->memory_bytes, d->driver, (unsigned long long)p->options.graph_hash);
    p->cache = kerb_plan_cache_open(key);
}

KerbStatus kerb_plans_new(KerbPlans **out, const KerbPlansOptions *options, KerbError *error)
{
    *out = NULL;
    KerbPlans *p = calloc(1, sizeof *p);
    if (!p) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for convolution plans");
    p->options = *options;
    p->last = &p->first;
    KerbStatus status = kerb_cudnn_open(&p->dnn, options->device_json ? 0 : options->device.driver, error);
    if (status == KERB_OK) status = kerb_maker_open(&p->maker, &p->dnn, options, error);
    if (status != KERB_OK) {
        kerb_plans_free(&p);
        return status;
    }
    if (options->cache) kerb_plans_open_cache(p);
    double seconds = options->tune_seconds > 0 ? options->tune_seconds : TUNE_SECONDS;
    if (options->time_candidates) p->deadline_ns = kerb_now_ns() + (int64_t)(seconds * 1e9);
    *out = p;
    return KERB_OK;
}

void kerb_plans_free(KerbPlans **plans)
{
    KerbPlans *p = *plans;
    if (!p) return;
    while (p->first) {
        KerbConvPlan *plan = p->first;
        p->first = plan->next;
        kerb_conv_plan_free(&p->dnn, plan);
    }
    kerb_maker_close(&p->maker);
    kerb_cache_close(&p->cache);
    kerb_cudnn_close(&p->dnn);
    free(p);
    *plans = NULL;
}

/* What cuDNN cannot do is kept on disk too, but not where it could fuse nothing at all: then something is missing here (NVRTC, say) that may be there
 * next time. */
void kerb_plans_save(KerbPlans *p)
{
    bool fuses = false;
    if (!p->cache || !p->changed) return;
    for (const KerbConvPlan *plan = p->first; plan; plan = plan->next) fuses = fuses || (plan->plan && !plan->is_left && plan->epilogue.n > 0);
    for (const KerbConvPlan *plan = p->first; plan; plan = plan->next) {
        if (plan->from_cache || plan->lender || (plan->plan && !plan->json)) continue;
        if (!fuses && (!plan->plan || plan->is_left)) continue;
        kerb_plan_cache_add(p->cache, &(KerbPlanEntry){ .problem = kerb_plan_canonical(&plan->problem), .is_left = plan->is_left, .ms = plan->ms,
                                                        .engine = plan->engine, .json = plan->json, .json_bytes = plan->json_bytes });
    }
    if (kerb_cache_save(p->cache)) p->changed = false;
}

/* ---- one plan */

static size_t kerb_plan_round(size_t bytes) { return (bytes + WORKSPACE_UNIT - 1) / WORKSPACE_UNIT * WORKSPACE_UNIT; }

KerbConvLeft kerb_plan_sums(const KerbConvProblem *p)
{
    KerbConvLeft left = { .type = p->x_type == KERB_I8 ? KERB_F32 : p->y_type };
    int64_t unit = 16 / (int64_t)kerb_dtype_bytes((KerbDtype)left.type);
    left.pixel = (p->k + unit - 1) / unit * unit;
    left.row = left.pixel * p->out_w;
    return left;
}

/* The candidate becomes the plan's own. */
static void kerb_plan_take(KerbConvPlan *plan, KerbCandidate *c, bool is_left)
{
    const KerbConvProblem *p = &plan->problem;
    plan->plan = c->plan;
    plan->config = c->config;
    plan->engine = c->engine;
    plan->ms = c->ms;
    plan->dnn_workspace = c->workspace;
    plan->workspace = kerb_plan_round(c->workspace);
    plan->is_left = is_left;
    if (is_left) {
        plan->left = kerb_plan_sums(p);
        plan->left.offset = plan->workspace;
        plan->workspace += kerb_plan_round((size_t)plan->left.row * (size_t)p->out_h * kerb_dtype_bytes((KerbDtype)plan->left.type));
    }
    memset(c, 0, sizeof *c);
}

static void kerb_plan_describe(KerbConvPlan *plan)
{
    char time[32] = "";
    if (plan->ms > 0) snprintf(time, sizeof time, ", %.3f ms", (double)plan->ms);
    if (!plan->plan) snprintf(plan->text, sizeof plan->text, "none");
    else snprintf(plan->text, sizeof plan->text, "engine %lld%s%s%s", (long long)plan->engine, time, plan->is_left ? ", epilogue apart" : "",
                  plan->from_cache ? ", from cache" : "");
}

/* Any scale that is not 1 gives the same operations: their constants are looked up at every run. */
KerbConvProblem kerb_plan_canonical(const KerbConvProblem *problem)
{
    KerbConvProblem p = *problem;
    if (p.y_scale != 1) p.y_scale = 0.5f;
    if (p.z_scale != 1) p.z_scale = 0.5f;
    return p;
}

static bool kerb_plan_from_cache(KerbPlans *p, KerbConvPlan *plan, bool has_epilogue)
{
    KerbPlanEntry entry;
    KerbCandidate c = { 0 };
    KerbConvProblem canonical = kerb_plan_canonical(&plan->problem);
    if (!p->cache || !kerb_plan_cache_find(p->cache, &canonical, &entry)) return false;
    if (entry.json_bytes && !entry.is_left && !has_epilogue) return false; /* such a plan was never made */
    plan->from_cache = true;
    if (!entry.json_bytes) {
        snprintf(plan->why, sizeof plan->why, "cuDNN had none when last asked");
        return true;
    }
    if (!kerb_candidate_restore(&p->maker, entry.json, entry.json_bytes, &c)) {
        plan->from_cache = false;
        kerb_cache_drop(p->cache, &canonical);
        p->changed = true;
        return false;
    }
    c.engine = entry.engine;
    c.ms = entry.ms;
    kerb_plan_take(plan, &c, entry.is_left != 0);
    return true;
}

/* A plan for the same problem with other scales. */
static bool kerb_plan_borrow(const KerbPlans *p, KerbConvPlan *plan)
{
    const KerbConvProblem canonical = kerb_plan_canonical(&plan->problem);
    for (const KerbConvPlan *l = p->first; l; l = l->next) {
        const KerbConvProblem other = kerb_plan_canonical(&l->problem);
        if (memcmp(&other, &canonical, sizeof other) != 0) continue;
        plan->lender = l->lender ? l->lender : l;
        plan->plan = l->plan;
        plan->is_left = l->is_left;
        plan->left = l->left;
        plan->dnn_workspace = l->dnn_workspace;
        plan->workspace = l->workspace;
        plan->engine = l->engine;
        plan->ms = l->ms;
        plan->from_cache = l->from_cache;
        memcpy(plan->why, l->why, sizeof plan->why);
        return true;
    }
    return false;
}

static KerbConvPlan *kerb_plans_join(KerbPlans *p, KerbConvPlan *plan)
{
    kerb_plan_describe(plan);
    *p->last = plan;
    p->last = &plan->next;
    return plan;
}

KerbConvPlan *kerb_plans_find(KerbPlans *p, const KerbConvProblem *problem)
{
    KerbConvPlan *plan = p->first;
    while (plan && memcmp(&plan->problem, problem, sizeof *problem) != 0) plan = plan->next;
    if (plan || !(plan = calloc(1, sizeof *plan))) return plan;
    plan->problem = *problem;
    bool has_epilogue = kerb_conv_epilogue(problem, &plan->epilogue);
    if (kerb_plan_borrow(p, plan) || kerb_plan_from_cache(p, plan, has_epilogue)) return kerb_plans_join(p, plan);
    free(plan);
    return NULL;
}

KerbStatus kerb_plans_settle(KerbPlans *p, const KerbConvProblem *problem, bool is_left, KerbCandidate c[], int n, const char *why, KerbError *error)
{
    KerbStatus status = KERB_OK;
    int best = -1;
    KerbConvPlan *plan = calloc(1, sizeof *plan);
    if (!plan) status = kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a convolution's plan");
    if (plan) {
        plan->problem = *problem;
        (void)kerb_conv_epilogue(problem, &plan->epilogue);
        plan->is_left = is_left;
        plan->left = kerb_plan_sums(problem);
        snprintf(plan->why, sizeof plan->why, "%s", why);
    }
    if (status == KERB_OK && n > 1 && p->options.time_candidates) status = kerb_candidates_time(p, plan, c, n, error);
    for (int i = 0; i < n && status == KERB_OK; i++) {
        if (c[i].ms < INFINITY && (best < 0 || c[i].ms < c[best].ms)) best = i;
    }
    if (best >= 0) kerb_plan_take(plan, &c[best], is_left);
    else if (n && plan) snprintf(plan->why, sizeof plan->why, "no candidate runs");
    for (int i = 0; i < n; i++) kerb_candidate_free(&p->dnn, &c[i]);
    if (status != KERB_OK) {
        if (plan) kerb_conv_plan_free(&p->dnn, plan);
        return status;
    }
    if (plan->plan && p->cache) plan->json_bytes = kerb_candidate_json(&p->dnn, plan->plan, &plan->json);
    p->changed = true;
    kerb_plans_join(p, plan);
    return KERB_OK;
}

/* The first good candidate, and further ones while there is time for timing them. */
static int kerb_plan_search(KerbPlans *p, const KerbConvProblem *problem, const KerbEpilogue *epilogue, bool is_left, KerbCandidate out[], char *why, size_t why_bytes)
{
    KerbSearch search;
    const KerbConvLeft sums = kerb_plan_sums(problem);
    int n = 0, wanted = p->options.time_candidates ? KERB_CANDIDATES : 1;
    kerb_search_begin(&search, &p->maker, problem, epilogue, is_left ? &sums : NULL);
    while (n < wanted && !(n && kerb_now_ns() > p->deadline_ns) && kerb_search_next(&search, &out[n])) n++;
    kerb_search_end(&search);
    if (!n && !why[0]) snprintf(why, why_bytes, "%s", search.why); /* why it is not fused says more than what follows */
    return n;
}

static KerbStatus kerb_plans_make(KerbPlans *p, const KerbConvProblem *problem, KerbError *error)
{
    KerbEpilogue epilogue;
    KerbCandidate c[KERB_CANDIDATES];
    char why[256] = "";
    bool fusable = kerb_conv_epilogue(problem, &epilogue), is_left = false;
    int n = 0;
    memset(c, 0, sizeof c);
    if (fusable) n = kerb_plan_search(p, problem, &epilogue, false, c, why, sizeof why);
    else snprintf(why, sizeof why, "cuDNN has no such activation");
    if (!n && (epilogue.n > 0 || !fusable)) {
        is_left = true;
        n = kerb_plan_search(p, problem, &epilogue, true, c, why, sizeof why);
    }
    return kerb_plans_settle(p, problem, is_left, c, n, why, error);
}

KerbStatus kerb_plans_get(KerbPlans *p, const KerbConvProblem *problem, KerbConvPlan **out, char *why, size_t why_bytes, KerbError *error)
{
    *out = NULL;
    KerbConvPlan *plan = kerb_plans_find(p, problem);
    if (!plan) {
        if (p->foreseen) kerb_log(KERB_LOG_DEBUG, "cuda: a convolution %d->%d %dx%d that was not foreseen", problem->c, problem->k, problem->out_w, problem->out_h);
        KerbStatus status = kerb_plans_make(p, problem, error);
        if (status != KERB_OK) return status;
        plan = kerb_plans_find(p, problem);
    }
    if (plan && plan->plan) *out = plan;
    if (why && why_bytes) snprintf(why, why_bytes, "%s", plan ? plan->why : "");
    return KERB_OK;
}

size_t kerb_plan_workspace(const KerbConvPlan *plan) { return plan->workspace; }
const KerbConvLeft *kerb_plan_left(const KerbConvPlan *plan) { return plan->is_left ? &plan->left : NULL; }
const char *kerb_plan_text(const KerbConvPlan *plan) { return plan->text; }
