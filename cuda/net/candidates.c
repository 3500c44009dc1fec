/* SPDX-License-Identifier: MIT */
/* Graph -> finalised plans: cuDNN's heuristics propose engine configurations, best first; engines that are not exact enough for the precision are
 * left out; what is left is finalised (which compiles kernels: 0.2 to 2.5 s each where the engine is a run-time compiled one). */
#include "cuda/net/plans.h"

#include "base/log.h"
#include "base/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Deprecated, or newer than the oldest headers that Kerb builds with (9.3, JetPack 6). The device's properties: from 9.8 on. */
#define ATTR_PLAN_HANDLE ((cudnnBackendAttributeName_t)400)
#define ATTR_HEURISTICS_DEVICE ((cudnnBackendAttributeName_t)204)
#define ATTR_PLAN_DEVICE ((cudnnBackendAttributeName_t)407)

#define PROPOSALS 48     /* configurations asked for */
#define REFUSALS_MAX 10  /* configurations of one mode that fail to finalise before it is given up */
#define NOTES 16
#define WORKSPACE_LIMIT ((size_t)256 << 20)
#define WORKSPACE_LIMIT_INTEGRATED ((size_t)64 << 20) /* memory is the host's too */

static KerbDescriptor kerb_descriptor(const KerbCudnn *dnn, cudnnBackendDescriptorType_t type)
{
    KerbDescriptor d = NULL;
    return dnn->BackendCreateDescriptor(type, &d) == CUDNN_STATUS_SUCCESS ? d : NULL;
}
static void kerb_descriptor_free(const KerbCudnn *dnn, KerbDescriptor *d)
{
    if (*d) dnn->BackendDestroyDescriptor(*d);
    *d = NULL;
}

static void kerb_candidate_why(const KerbCudnn *dnn, cudnnStatus_t status, char *why, size_t bytes)
{
    char words[256] = "";
    if (!why || !bytes) return;
    dnn->GetLastErrorString(words, sizeof words);
    words[sizeof words - 1] = '\0';
    words[strcspn(words, "\n")] = '\0';
    const char *name = dnn->GetErrorString(status);
    snprintf(why, bytes, "%s", words[0] ? words : name ? name : "not supported");
}

/* ---- which engines are exact enough */

static bool kerb_note_is_fine(const KerbConvProblem *p, cudnnBackendNumericalNote_t note)
{
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE: return p->x_type != KERB_F32 || p->tf32; /* of f32: products in TF32 */
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS: return p->tf32;
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13: return false;
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_FFT: return p->x_type == KERB_F32; /* their transforms lose bits that 16-bit types do not have */
    default: return true;
    }
}

/* The engine's number; -1: it must not be used. */
static int64_t kerb_candidate_engine(const KerbCudnn *dnn, const KerbConvProblem *p, KerbDescriptor config)
{
    cudnnBackendNumericalNote_t numerical[NOTES];
    cudnnBackendBehaviorNote_t behavior[NOTES];
    int64_t n = 0, index = -1, got = 0;
    KerbDescriptor engine = kerb_descriptor(dnn, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    bool fine = engine && dnn->BackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got, &engine) == CUDNN_STATUS_SUCCESS;
    if (fine && dnn->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &got, &index) != CUDNN_STATUS_SUCCESS) fine = false;
    if (fine && dnn->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &n, numerical) != CUDNN_STATUS_SUCCESS)
        fine = false;
    for (int64_t i = 0; fine && i < n && i < NOTES; i++) fine = kerb_note_is_fine(p, numerical[i]);
    n = 0;
    if (fine && dnn->BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, NOTES, &n, behavior) != CUDNN_STATUS_SUCCESS)
        n = 0;
    for (int64_t i = 0; fine && i < n && i < NOTES; i++) /* weights and biases are packed in one way only */
        fine = behavior[i] != CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER && behavior[i] != CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER;
    kerb_descriptor_free(dnn, &engine);
    return fine ? index : -1;
}

/* ---- configurations */

static int kerb_candidate_proposals(KerbPlans *plans, KerbDescriptor graph, cudnnBackendHeurMode_t mode, KerbDescriptor configs[], char *why, size_t why_bytes)
{
    const KerbCudnn *dnn = &plans->dnn;
    int64_t n = 0, got = 0;
    KerbDescriptor h = kerb_descriptor(dnn, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    if (!h) return 0;
    cudnnStatus_t status = dnn->BackendSetAttribute(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendSetAttribute(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (status == CUDNN_STATUS_SUCCESS && plans->device)
        status = dnn->BackendSetAttribute(h, ATTR_HEURISTICS_DEVICE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &plans->device);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendFinalize(h);
    if (status == CUDNN_STATUS_SUCCESS)
        status = dnn->BackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL);
    if (n > PROPOSALS) n = PROPOSALS;
    for (int64_t i = 0; i < n; i++) {
        configs[i] = kerb_descriptor(dnn, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        if (!configs[i]) n = i;
    }
    if (status == CUDNN_STATUS_SUCCESS && n > 0)
        status = dnn->BackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, &got, configs);
    if (status != CUDNN_STATUS_SUCCESS) {
        kerb_candidate_why(dnn, status, why, why_bytes);
        got = 0;
    }
    if (got > n) got = n;
    for (int64_t i = got; i < n; i++) kerb_descriptor_free(dnn, &configs[i]);
    kerb_descriptor_free(dnn, &h);
    return (int)got;
}

/* What a plan that is being made belongs to: the handle, or the properties of a device that is not here. */
static cudnnStatus_t kerb_candidate_place(KerbPlans *plans, KerbDescriptor plan)
{
    if (plans->device) return plans->dnn.BackendSetAttribute(plan, ATTR_PLAN_DEVICE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &plans->device);
    return plans->dnn.BackendSetAttribute(plan, ATTR_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &plans->handle);
}

static cudnnStatus_t kerb_candidate_workspace(const KerbCudnn *dnn, KerbDescriptor plan, size_t *out)
{
    int64_t bytes = 0, got = 0;
    cudnnStatus_t status = dnn->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &got, &bytes);
    *out = bytes > 0 ? (size_t)bytes : 0;
    return status;
}

/* Takes the configuration over where it gives a plan. */
static bool kerb_candidate_make(KerbPlans *plans, KerbDescriptor *config, KerbCandidate *out, char *why, size_t why_bytes)
{
    const KerbCudnn *dnn = &plans->dnn;
    const size_t limit = plans->options.device.integrated ? WORKSPACE_LIMIT_INTEGRATED : WORKSPACE_LIMIT;
    KerbDescriptor plan = kerb_descriptor(dnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (!plan) return false;
    cudnnStatus_t status = kerb_candidate_place(plans, plan);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, config);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendFinalize(plan);
    if (status == CUDNN_STATUS_SUCCESS) status = kerb_candidate_workspace(dnn, plan, &out->workspace);
    if (status == CUDNN_STATUS_SUCCESS && out->workspace <= limit) {
        out->plan = plan;
        out->config = *config;
        *config = NULL;
        return true;
    }
    if (status != CUDNN_STATUS_SUCCESS) kerb_candidate_why(dnn, status, why, why_bytes);
    else snprintf(why, why_bytes, "wants a workspace of %zu MiB", out->workspace >> 20);
    kerb_descriptor_free(dnn, &plan);
    return false;
}

static int kerb_candidates_of_mode(KerbPlans *plans, const KerbConvProblem *problem, KerbDescriptor graph, cudnnBackendHeurMode_t mode, KerbCandidate out[],
                                   int wanted, char *why, size_t why_bytes)
{
    KerbDescriptor configs[PROPOSALS];
    int n = kerb_candidate_proposals(plans, graph, mode, configs, why, why_bytes), made = 0, refused = 0;
    for (int i = 0; i < n; i++) {
        bool late = made > 0 && plans->deadline_ns && kerb_now_ns() > plans->deadline_ns;
        if (made < wanted && !late && refused < REFUSALS_MAX) {
            KerbCandidate c = { .engine = kerb_candidate_engine(&plans->dnn, problem, configs[i]) };
            if (c.engine < 0) {
                if (!why[0]) snprintf(why, why_bytes, "only engines that are not exact enough");
            } else if (kerb_candidate_make(plans, &configs[i], &c, why, why_bytes)) {
                out[made++] = c;
            } else {
                refused++;
            }
        }
        kerb_descriptor_free(&plans->dnn, &configs[i]);
    }
    return made;
}

int kerb_candidates(KerbPlans *plans, const KerbConvProblem *problem, KerbDescriptor graph, KerbCandidate out[], int wanted, char *why, size_t why_bytes)
{
    why[0] = '\0';
    int n = kerb_candidates_of_mode(plans, problem, graph, CUDNN_HEUR_MODE_A, out, wanted, why, why_bytes);
    if (n == 0) n = kerb_candidates_of_mode(plans, problem, graph, CUDNN_HEUR_MODE_FALLBACK, out, wanted, why, why_bytes);
    if (n == 0 && !why[0]) snprintf(why, why_bytes, "cuDNN proposes no engine");
    return n;
}

/* ---- JSON */

bool kerb_candidate_restore(KerbPlans *plans, const char *json, size_t bytes, KerbCandidate *out)
{
    const KerbCudnn *dnn = &plans->dnn;
    memset(out, 0, sizeof *out);
    KerbDescriptor plan = kerb_descriptor(dnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (!plan) return false;
    cudnnStatus_t status = kerb_candidate_place(plans, plan);
    if (status == CUDNN_STATUS_SUCCESS)
        status = dnn->BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)bytes, json);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendFinalize(plan);
    if (status == CUDNN_STATUS_SUCCESS) status = kerb_candidate_workspace(dnn, plan, &out->workspace);
    if (status == CUDNN_STATUS_SUCCESS) {
        out->plan = plan;
        return true;
    }
    char why[256];
    kerb_candidate_why(dnn, status, why, sizeof why);
    kerb_log(KERB_LOG_DEBUG, "cuda: a cached plan is refused: %s", why);
    kerb_descriptor_free(dnn, &plan);
    return false;
}

size_t kerb_candidate_json(KerbPlans *plans, const KerbCandidate *candidate, char **out)
{
    const KerbCudnn *dnn = &plans->dnn;
    int64_t n = 0, got = 0;
    *out = NULL;
    if (dnn->BackendGetAttribute(candidate->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &n, NULL) != CUDNN_STATUS_SUCCESS || n <= 0)
        return 0;
    char *json = malloc((size_t)n + 1);
    if (!json) return 0;
    cudnnStatus_t status = dnn->BackendGetAttribute(candidate->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, n, &got, json);
    if (status != CUDNN_STATUS_SUCCESS || got <= 0 || got > n) {
        free(json);
        return 0;
    }
    json[got] = '\0';
    *out = json;
    return (size_t)got;
}

void kerb_candidate_free(const KerbCudnn *dnn, KerbCandidate *candidate)
{
    kerb_descriptor_free(dnn, &candidate->plan);
    kerb_descriptor_free(dnn, &candidate->config);
}
