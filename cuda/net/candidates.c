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

#define REFUSALS_MAX 10  /* configurations of one mode that fail to finalise before it is given up */
#define NOTES 16
#define WORKSPACE_LIMIT ((size_t)256 << 20)
#define WORKSPACE_LIMIT_INTEGRATED ((size_t)64 << 20) /* memory is the host's too */
#define OLDEST_WITH_DEVICE_JSON 90800
#define DESCRIPTOR_DEVICE ((cudnnBackendDescriptorType_t)38)
#define ATTR_DEVICE_JSON ((cudnnBackendAttributeName_t)2702)

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

/* ---- makers */

static KerbStatus kerb_maker_describe(KerbMaker *m, const char *json, KerbError *error)
{
    char text[32];
    if (m->dnn->version < OLDEST_WITH_DEVICE_JSON)
        return kerb_fail(error, KERB_ERROR_BACKEND, "cuDNN %s makes plans for a GPU that is here only: 9.8 or newer is needed",
                         kerb_cudnn_version_text(m->dnn, text, sizeof text));
    cudnnStatus_t status = m->dnn->BackendCreateDescriptor(DESCRIPTOR_DEVICE, &m->device);
    if (status == CUDNN_STATUS_SUCCESS) status = m->dnn->BackendSetAttribute(m->device, ATTR_DEVICE_JSON, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    if (status == CUDNN_STATUS_SUCCESS) status = m->dnn->BackendFinalize(m->device);
    return kerb_cudnn_check(m->dnn, status, KERB_ERROR_BACKEND, "the device's properties (JSON)", error);
}

KerbStatus kerb_maker_open(KerbMaker *out, const KerbCudnn *dnn, const KerbPlansOptions *options, KerbError *error)
{
    *out = (KerbMaker){ .dnn = dnn, .workspace_limit = options->device.integrated ? WORKSPACE_LIMIT_INTEGRATED : WORKSPACE_LIMIT };
    if (options->device_json) return kerb_maker_describe(out, options->device_json, error);
    return kerb_cudnn_check(dnn, dnn->Create(&out->handle), KERB_ERROR_BACKEND, "opening cuDNN on the GPU", error);
}

void kerb_maker_close(KerbMaker *m)
{
    if (m->dnn) kerb_descriptor_free(m->dnn, &m->device);
    if (m->handle) m->dnn->Destroy(m->handle);
    m->handle = NULL;
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

static int kerb_search_ask(KerbSearch *s, cudnnBackendHeurMode_t mode)
{
    const KerbCudnn *dnn = s->maker->dnn;
    KerbDescriptor *configs = s->configs;
    int64_t n = 0, got = 0;
    KerbDescriptor h = kerb_descriptor(dnn, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    if (!h) return 0;
    cudnnStatus_t status = dnn->BackendSetAttribute(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &s->graph.graph);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendSetAttribute(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (status == CUDNN_STATUS_SUCCESS && s->maker->device)
        status = dnn->BackendSetAttribute(h, ATTR_HEURISTICS_DEVICE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &s->maker->device);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendFinalize(h);
    if (status == CUDNN_STATUS_SUCCESS)
        status = dnn->BackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL);
    if (n > KERB_PROPOSALS) n = KERB_PROPOSALS;
    for (int64_t i = 0; i < n; i++) {
        configs[i] = kerb_descriptor(dnn, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        if (!configs[i]) n = i;
    }
    if (status == CUDNN_STATUS_SUCCESS && n > 0)
        status = dnn->BackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, &got, configs);
    if (status != CUDNN_STATUS_SUCCESS) {
        kerb_candidate_why(dnn, status, s->why, sizeof s->why);
        got = 0;
    }
    if (got > n) got = n;
    for (int64_t i = got; i < n; i++) kerb_descriptor_free(dnn, &configs[i]);
    kerb_descriptor_free(dnn, &h);
    return (int)got;
}

/* What a plan that is being made belongs to: the handle, or the properties of a device that is not here. */
static cudnnStatus_t kerb_candidate_place(const KerbMaker *m, KerbDescriptor plan)
{
    if (m->device) return m->dnn->BackendSetAttribute(plan, ATTR_PLAN_DEVICE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &m->device);
    return m->dnn->BackendSetAttribute(plan, ATTR_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &m->handle);
}

static cudnnStatus_t kerb_candidate_workspace(const KerbCudnn *dnn, KerbDescriptor plan, size_t *out)
{
    int64_t bytes = 0, got = 0;
    cudnnStatus_t status = dnn->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &got, &bytes);
    *out = bytes > 0 ? (size_t)bytes : 0;
    return status;
}

/* Takes the configuration over where it gives a plan. */
static bool kerb_search_make(KerbSearch *s, KerbDescriptor *config, KerbCandidate *out)
{
    const KerbCudnn *dnn = s->maker->dnn;
    KerbDescriptor plan = kerb_descriptor(dnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (!plan) return false;
    cudnnStatus_t status = kerb_candidate_place(s->maker, plan);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, config);
    if (status == CUDNN_STATUS_SUCCESS) status = dnn->BackendFinalize(plan);
    if (status == CUDNN_STATUS_SUCCESS) status = kerb_candidate_workspace(dnn, plan, &out->workspace);
    if (status == CUDNN_STATUS_SUCCESS && out->workspace <= s->maker->workspace_limit) {
        out->plan = plan;
        out->config = *config;
        *config = NULL;
        return true;
    }
    if (status != CUDNN_STATUS_SUCCESS) kerb_candidate_why(dnn, status, s->why, sizeof s->why);
    else snprintf(s->why, sizeof s->why, "wants a workspace of %zu MiB", out->workspace >> 20);
    kerb_descriptor_free(dnn, &plan);
    return false;
}

void kerb_search_begin(KerbSearch *s, const KerbMaker *maker, const KerbConvProblem *problem, const KerbEpilogue *epilogue, const KerbConvLeft *left)
{
    memset(s, 0, sizeof *s);
    s->maker = maker;
    s->problem = problem;
    if (kerb_conv_graph_new(&s->graph, maker->dnn, maker->handle, problem, epilogue, left)) return;
    const char *name = maker->dnn->GetErrorString(s->graph.status);
    snprintf(s->why, sizeof s->why, "%s", s->graph.words[0] ? s->graph.words : name ? name : "not supported");
    s->mode = 2; /* nothing to ask */
}

bool kerb_search_next(KerbSearch *s, KerbCandidate *out)
{
    static const cudnnBackendHeurMode_t modes[2] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK };
    for (;;) {
        while (s->next < s->n && s->refused < REFUSALS_MAX) {
            KerbDescriptor *config = &s->configs[s->next++];
            KerbCandidate c = { .engine = kerb_candidate_engine(s->maker->dnn, s->problem, *config) };
            bool exact = c.engine >= 0, made = exact && kerb_search_make(s, config, &c);
            if (!exact && !s->why[0]) snprintf(s->why, sizeof s->why, "only engines that are not exact enough");
            s->refused += exact && !made;
            s->made += made;
            kerb_descriptor_free(s->maker->dnn, config);
            if (!made) continue;
            *out = c;
            return true;
        }
        while (s->next < s->n) kerb_descriptor_free(s->maker->dnn, &s->configs[s->next++]);
        if (s->mode >= 2 || s->made) return false;
        s->next = s->refused = 0;
        s->n = kerb_search_ask(s, modes[s->mode++]);
    }
}

void kerb_search_end(KerbSearch *s)
{
    if (!s->made && !s->why[0]) snprintf(s->why, sizeof s->why, "cuDNN proposes no engine");
    while (s->next < s->n) kerb_descriptor_free(s->maker->dnn, &s->configs[s->next++]);
    kerb_conv_graph_free(&s->graph);
}

/* ---- JSON */

bool kerb_candidate_restore(const KerbMaker *maker, const char *json, size_t bytes, KerbCandidate *out)
{
    const KerbCudnn *dnn = maker->dnn;
    memset(out, 0, sizeof *out);
    KerbDescriptor plan = kerb_descriptor(dnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (!plan) return false;
    cudnnStatus_t status = kerb_candidate_place(maker, plan);
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

size_t kerb_candidate_json(const KerbCudnn *dnn, KerbDescriptor plan, char **out)
{
    int64_t n = 0, got = 0;
    *out = NULL;
    if (dnn->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &n, NULL) != CUDNN_STATUS_SUCCESS || n <= 0)
        return 0;
    char *json = malloc((size_t)n + 1);
    if (!json) return 0;
    cudnnStatus_t status = dnn->BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, n, &got, json);
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
