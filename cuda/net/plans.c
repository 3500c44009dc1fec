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

#define OLDEST_WITH_DEVICE_JSON 90800
#define WORKSPACE_UNIT ((size_t)256)
#define TUNE_SECONDS 20.0 /* then the first good candidate is taken: opening stays below 30 s */

/* 9.8 and newer; the headers may be older. */
#define DESCRIPTOR_DEVICE ((cudnnBackendDescriptorType_t)38)
#define ATTR_DEVICE_JSON ((cudnnBackendAttributeName_t)2702)

/* ---- the set */

static KerbStatus kerb_plans_device(KerbPlans *p, KerbError *error)
{
    char text[32];
    const char *json = p->options.device_json;
    if (p->dnn.version < OLDEST_WITH_DEVICE_JSON)
        return kerb_fail(error, KERB_ERROR_BACKEND, "cuDNN %s makes plans for a GPU that is here only: 9.8 or newer is needed",
                         kerb_cudnn_version_text(&p->dnn, text, sizeof text));
    cudnnStatus_t status = p->dnn.BackendCreateDescriptor(DESCRIPTOR_DEVICE, &p->device);
    if (status == CUDNN_STATUS_SUCCESS) status = p->dnn.BackendSetAttribute(p->device, ATTR_DEVICE_JSON, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    if (status == CUDNN_STATUS_SUCCESS) status = p->dnn.BackendFinalize(p->device);
    return kerb_cudnn_check(&p->dnn, status, KERB_ERROR_BACKEND, "the device's properties (JSON)", error);
}

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
    if (status == KERB_OK && options->device_json) status = kerb_plans_device(p, error);
    if (status == KERB_OK && !options->device_json)
        status = kerb_cudnn_check(&p->dnn, p->dnn.Create(&p->handle), KERB_ERROR_BACKEND, "opening cuDNN on the GPU", error);
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
    if (p->device) p->dnn.BackendDestroyDescriptor(p->device);
    if (p->handle) p->dnn.Destroy(p->handle);
    kerb_plan_cache_close(&p->cache);
    kerb_cudnn_close(&p->dnn);
    free(p);
    *plans = NULL;
}

void kerb_plans_save(KerbPlans *p)
{
    if (!p->cache || !p->changed) return;
    for (const KerbConvPlan *plan = p->first; plan; plan = plan->next) {
        if (plan->from_cache || (plan->plan && !plan->json)) continue;
        kerb_plan_cache_add(p->cache, &(KerbPlanEntry){ .problem = plan->problem, .is_left = plan->is_left, .ms = plan->ms, .engine = plan->engine,
                                                        .json = plan->json, .json_bytes = plan->json_bytes });
    }
    if (kerb_plan_cache_save(p->cache)) p->changed = false;
}

/* ---- one plan */

static size_t kerb_plan_round(size_t bytes) { return (bytes + WORKSPACE_UNIT - 1) / WORKSPACE_UNIT * WORKSPACE_UNIT; }

/* Where the sums go if they are left to the caller: `offset` comes with the plan's own workspace. */
static KerbConvLeft kerb_plan_sums(const KerbConvProblem *p)
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

static bool kerb_plan_from_cache(KerbPlans *p, KerbConvPlan *plan, bool has_epilogue)
{
    KerbPlanEntry entry;
    KerbCandidate c = { 0 };
    if (!p->cache || !kerb_plan_cache_find(p->cache, &plan->problem, &entry)) return false;
    if (entry.json_bytes && !entry.is_left && !has_epilogue) return false; /* such a plan was never made */
    plan->from_cache = true;
    if (!entry.json_bytes) {
        snprintf(plan->why, sizeof plan->why, "cuDNN had none when last asked");
        return true;
    }
    if (!kerb_candidate_restore(p, entry.json, entry.json_bytes, &c)) {
        plan->from_cache = false;
        kerb_plan_cache_drop(p->cache, &plan->problem);
        p->changed = true;
        return false;
    }
    c.engine = entry.engine;
    c.ms = entry.ms;
    kerb_plan_take(plan, &c, entry.is_left != 0);
    return true;
}

/* Candidates of one form of the problem, the best of which becomes the plan. OK without plan->plan: cuDNN has none (why). */
static KerbStatus kerb_plan_try(KerbPlans *p, KerbConvPlan *plan, bool is_left, KerbError *error)
{
    KerbConvGraph graph;
    KerbCandidate c[KERB_CANDIDATES];
    KerbConvLeft sums = kerb_plan_sums(&plan->problem);
    KerbStatus status = KERB_OK;
    int n = 0, best = -1;
    memset(c, 0, sizeof c);
    if (kerb_conv_graph_new(&graph, &p->dnn, p->handle, &plan->problem, &plan->epilogue, is_left ? &sums : NULL))
        n = kerb_candidates(p, &plan->problem, graph.graph, c, p->options.time_candidates ? KERB_CANDIDATES : 1, plan->why, sizeof plan->why);
    else
        snprintf(plan->why, sizeof plan->why, "%s", graph.words[0] ? graph.words : p->dnn.GetErrorString(graph.status));
    plan->is_left = is_left;
    plan->left = sums;
    if (n > 1 && p->options.time_candidates) status = kerb_candidates_time(p, plan, c, n, error);
    for (int i = 0; i < n && status == KERB_OK; i++) {
        if (c[i].ms < INFINITY && (best < 0 || c[i].ms < c[best].ms)) best = i;
    }
    if (n && best < 0) snprintf(plan->why, sizeof plan->why, "no candidate runs");
    if (best >= 0) {
        kerb_plan_take(plan, &c[best], is_left);
        plan->why[0] = '\0';
    }
    for (int i = 0; i < n; i++) kerb_candidate_free(&p->dnn, &c[i]);
    kerb_conv_graph_free(&graph);
    return status;
}

static KerbStatus kerb_plan_make(KerbPlans *p, KerbConvPlan *plan, bool has_epilogue, KerbError *error)
{
    KerbStatus status = KERB_OK;
    if (has_epilogue) status = kerb_plan_try(p, plan, false, error);
    else snprintf(plan->why, sizeof plan->why, "cuDNN has no such activation");
    bool more = plan->epilogue.n > 0 || !has_epilogue;
    if (status == KERB_OK && !plan->plan && more) {
        char fused[sizeof plan->why];
        memcpy(fused, plan->why, sizeof fused);
        status = kerb_plan_try(p, plan, true, error);
        memcpy(plan->why, fused, sizeof fused); /* why it is not fused says more */
    }
    p->changed = true;
    if (status == KERB_OK && plan->plan && p->cache)
        plan->json_bytes = kerb_candidate_json(p, &(KerbCandidate){ .plan = plan->plan }, &plan->json);
    return status;
}

KerbStatus kerb_plans_get(KerbPlans *p, const KerbConvProblem *problem, KerbConvPlan **out, char *why, size_t why_bytes, KerbError *error)
{
    *out = NULL;
    KerbConvPlan *plan = p->first;
    while (plan && memcmp(&plan->problem, problem, sizeof *problem) != 0) plan = plan->next;
    if (!plan) {
        plan = calloc(1, sizeof *plan);
        if (!plan) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a convolution's plan");
        plan->problem = *problem;
        bool has_epilogue = kerb_conv_epilogue(problem, &plan->epilogue);
        KerbStatus status = kerb_plan_from_cache(p, plan, has_epilogue) ? KERB_OK : kerb_plan_make(p, plan, has_epilogue, error);
        if (status != KERB_OK) {
            kerb_conv_plan_free(&p->dnn, plan);
            return status;
        }
        kerb_plan_describe(plan);
        *p->last = plan;
        p->last = &plan->next;
    }
    if (plan->plan) *out = plan;
    if (why && why_bytes) snprintf(why, why_bytes, "%s", plan->why);
    return KERB_OK;
}

size_t kerb_plan_workspace(const KerbConvPlan *plan) { return plan->workspace; }
const KerbConvLeft *kerb_plan_left(const KerbConvPlan *plan) { return plan->is_left ? &plan->left : NULL; }
const char *kerb_plan_text(const KerbConvPlan *plan) { return plan->text; }
