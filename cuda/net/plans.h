/* SPDX-License-Identifier: MIT */
/* Inside conv.c, candidates.c, plans.c, prepare.c, plan_time.c and plan_cache.c: a problem as cuDNN's descriptors, and what a plan is made of. */
#ifndef KERB_CUDA_NET_PLANS_H
#define KERB_CUDA_NET_PLANS_H

#include "cuda/base/dnn.h"
#include "cuda/net/conv.h"

#include "base/cache.h"

typedef cudnnBackendDescriptor_t KerbDescriptor;

/* Tensors by unique id: the same in every graph, so that plans from disk fit. */
enum { KERB_UID_X = 1, KERB_UID_W, KERB_UID_Y, KERB_UID_SCALE, KERB_UID_BIAS, KERB_UID_Z, KERB_UID_SLOPE, KERB_UID_CONSTANT = 16, KERB_UID_VIRTUAL = 32 };

/* ---- what follows the sums, as a short program of pointwise operations */

#define KERB_EPILOGUE_OPS 14
#define KERB_EPILOGUE_CONSTANTS 4
#define KERB_OPERAND_NONE (-1)
#define KERB_OPERAND_SUMS 0 /* 1..n: the result of operation 0..n-1 */
#define KERB_OPERAND_TENSOR 64 /* + uid */
typedef struct KerbEpilogueOp {
    int mode; /* cudnnPointwiseMode_t */
    int a, b; /* operands */
    double upper, slope, alpha; /* RELU_FWD: INFINITY and 0 unless it says so; ELU_FWD: alpha */
} KerbEpilogueOp;
typedef struct KerbEpilogue {
    KerbEpilogueOp ops[KERB_EPILOGUE_OPS];
    int n;
    float constants[KERB_EPILOGUE_CONSTANTS]; /* uid KERB_UID_CONSTANT + i */
    int n_constants;
} KerbEpilogue;
/* false: an activation that cuDNN's operations do not make up. */
bool kerb_conv_epilogue(const KerbConvProblem *problem, KerbEpilogue *out);

/* ---- descriptors */

#define KERB_GRAPH_DESCRIPTORS 96
typedef struct KerbConvGraph {
    const KerbCudnn *dnn;
    KerbDescriptor owned[KERB_GRAPH_DESCRIPTORS];
    int n_owned;
    KerbDescriptor graph;
    cudnnStatus_t status; /* of the first call that failed */
    char words[256];      /* and what cuDNN said to it */
} KerbConvGraph;
/* sums: the convolution alone, into `left`; otherwise with its epilogue. handle NULL: no device. False: cuDNN does not take it (status, words). */
bool kerb_conv_graph_new(KerbConvGraph *out, const KerbCudnn *dnn, cudnnHandle_t handle, const KerbConvProblem *problem, const KerbEpilogue *epilogue,
                         const KerbConvLeft *left);
void kerb_conv_graph_free(KerbConvGraph *graph);

/* ---- plans */

typedef struct KerbPack { /* a variant pack for one set of pointers: made at the first run with them */
    KerbConvPointers pointers;
    KerbDescriptor descriptor;
} KerbPack;

struct KerbConvPlan {
    KerbConvProblem problem;
    KerbEpilogue epilogue; /* constants are read from here at every run */
    const KerbConvPlan *lender; /* the plan of the same problem with other scales, whose descriptor this one uses; NULL: its own */
    bool is_left, from_cache;
    KerbConvLeft left;
    KerbDescriptor plan, config; /* plan NULL: cuDNN has none, for the reason `why` */
    size_t dnn_workspace, workspace;
    int64_t engine;
    float ms; /* 0: not timed */
    char *json; /* for the cache; NULL: none */
    size_t json_bytes;
    char text[96], why[256];
    KerbPack *packs;
    int n_packs;
    KerbConvPlan *next;
};

/* What plans are made with: one thread's own. */
typedef struct KerbMaker {
    const KerbCudnn *dnn;
    cudnnHandle_t handle;  /* NULL: no device */
    KerbDescriptor device; /* of device_json; else NULL */
    size_t workspace_limit;
} KerbMaker;
KerbStatus kerb_maker_open(KerbMaker *out, const KerbCudnn *dnn, const KerbPlansOptions *options, KerbError *error);
void kerb_maker_close(KerbMaker *maker);

struct KerbPlans {
    KerbPlansOptions options;
    KerbCudnn dnn;
    KerbMaker maker;
    cudaStream_t stream;        /* the handle's */
    bool has_stream;
    int64_t deadline_ns;        /* no further candidates are tried after this; 0: none */
    int foreseen;               /* plans made by kerb_plans_prepare() */
    KerbConvPlan *first, **last;
    KerbCache *cache; /* NULL: none */
    bool changed;                /* there is something to save */
};

#define KERB_CANDIDATES 8
typedef struct KerbCandidate {
    KerbDescriptor plan, config;
    size_t workspace;
    int64_t engine;
    float ms;
} KerbCandidate;
/* A plan from its JSON. */
bool kerb_candidate_restore(const KerbMaker *maker, const char *json, size_t bytes, KerbCandidate *out);
size_t kerb_candidate_json(const KerbCudnn *dnn, KerbDescriptor plan, char **out); /* 0: none; *out is the caller's: free() */
void kerb_candidate_free(const KerbCudnn *dnn, KerbCandidate *candidate);

/* Finalised plans of one problem, one after the other in the heuristics' order: of mode A, or of FALLBACK where that gives none. Engines that are not
 * exact enough are left out. */
#define KERB_PROPOSALS 48
typedef struct KerbSearch {
    const KerbMaker *maker;
    const KerbConvProblem *problem;
    KerbConvGraph graph;
    KerbDescriptor configs[KERB_PROPOSALS];
    int mode, n, next, refused, made; /* mode: how many of the two have been asked */
    char why[256];                    /* what cuDNN said last */
} KerbSearch;
/* left: the convolution alone, with its sums there. NULL: with the epilogue. `problem` must outlive the search. */
void kerb_search_begin(KerbSearch *search, const KerbMaker *maker, const KerbConvProblem *problem, const KerbEpilogue *epilogue, const KerbConvLeft *left);
bool kerb_search_next(KerbSearch *search, KerbCandidate *out); /* false: there are no more */
void kerb_search_end(KerbSearch *search);

/* Where the sums go if they are left to the caller; `offset` comes with the plan's own workspace. */
KerbConvLeft kerb_plan_sums(const KerbConvProblem *problem);
/* The same problem for all scales: what finalised plans and the cache go by (constants are given at every run). */
KerbConvProblem kerb_plan_canonical(const KerbConvProblem *problem);
/* Of these candidates (which it takes over) the best becomes the plan, which joins the set. `why`: of what was not to be had. */
KerbStatus kerb_plans_settle(KerbPlans *plans, const KerbConvProblem *problem, bool is_left, KerbCandidate candidates[], int n, const char *why, KerbError *error);
/* The plan that is there, or comes from the cache or by another plan's descriptor; NULL: it must be made. */
KerbConvPlan *kerb_plans_find(KerbPlans *plans, const KerbConvProblem *problem);

/* plan_time.c: fills ms of each on the real device; a candidate that fails to run has INFINITY. Errors: the device is lost, no memory. */
KerbStatus kerb_candidates_time(KerbPlans *plans, const KerbConvPlan *plan, KerbCandidate candidates[], int n, KerbError *error);

/* conv.c: one execution. */
KerbStatus kerb_conv_execute(KerbPlans *plans, KerbDescriptor plan, KerbDescriptor pack, cudaStream_t stream, KerbError *error);
KerbStatus kerb_conv_pack(const KerbCudnn *dnn, const KerbConvPlan *plan, const KerbConvPointers *pointers, KerbDescriptor *out, KerbError *error);
void kerb_conv_plan_free(const KerbCudnn *dnn, KerbConvPlan *plan);

/* ---- plans in a cache on disk (plan_cache.c) */

/* One problem's answer. json_bytes 0: cuDNN has no plan for it. */
typedef struct KerbPlanEntry {
    KerbConvProblem problem;
    int32_t is_left;
    float ms;
    int64_t engine;
    const char *json;
    size_t json_bytes;
} KerbPlanEntry;
/* `key`: everything that a plan depends on but the problem. */
KerbCache *kerb_plan_cache_open(const char *key);
bool kerb_plan_cache_find(const KerbCache *cache, const KerbConvProblem *problem, KerbPlanEntry *out); /* json lives until the problem is dropped or added anew */
void kerb_plan_cache_add(KerbCache *cache, const KerbPlanEntry *entry); /* copies */

#endif
