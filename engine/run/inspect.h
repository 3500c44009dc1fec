/* SPDX-License-Identifier: MIT */
/* What kerb_inspect() found out about a model, and the two ways to say it. */
#ifndef KERB_RUN_INSPECT_H
#define KERB_RUN_INSPECT_H

#include "run/backends.h"
#include "run/model.h"

#define KERB_MAX_KINDS 160

typedef struct KerbOpCount {
    const char *kind;
    int n;
} KerbOpCount;

/* A backend that could be used here, and what of this model it lacks (text NULL: nothing). */
typedef struct KerbInspectBackend {
    const KerbBackendChoice *choice;
    KerbText lacks;
} KerbInspectBackend;

/* How a backend computes the network, and how long that takes. */
typedef struct KerbInspectPlan {
    const KerbBackendChoice *choice;
    KerbPrecision precision;
    KerbNet *net; /* NULL: not asked for */
    char text[64];
    int threads, runs;
    KerbTrace trace;
    int64_t *step_ns, least_ns; /* the least of all runs: by step, and of the whole */
} KerbInspectPlan;

typedef struct KerbInspection {
    KerbModel *model;
    KerbGraph *graph; /* optimised, at width x height; with a plan, as it is compiled */
    KerbPlan *plan;
    int width_px, height_px;
    bool size_is_free; /* the frames would say it: an example was taken */
    double flops;
    size_t weight_bytes;
    int n_layers;
    KerbOpCount operators[KERB_MAX_KINDS]; /* of the model as imported, most frequent first */
    int n_operators;
    KerbOutHead heads[KERB_MAX_HEADS];
    KerbBackendChoice choices[KERB_MAX_BACKENDS];
    KerbInspectBackend backends[KERB_MAX_BACKENDS];
    int n_backends;
    unsigned flags;
    KerbText passes;   /* text: the dumps */
    json_t *pass_list; /* JSON: the dumps */
    KerbInspectPlan how;
} KerbInspection;

/* inspect_plan.c: which backend and precision, which may change the graph; then how it runs. */
KerbStatus kerb_inspect_choose(KerbInspection *x, const KerbConfig *config, KerbError *error);
KerbStatus kerb_inspect_plan(KerbInspection *x, const KerbConfig *config, KerbError *error);
void kerb_inspect_plan_free(KerbInspectPlan *plan);

void kerb_inspect_text(const KerbInspection *x, KerbText *out);
json_t *kerb_inspect_json(const KerbInspection *x); /* a new reference; NULL: out of memory */

/* Constants that a node reads: bytes. */
size_t kerb_node_weight_bytes(const KerbGraph *g, const KerbNode *n);
const char *kerb_color_name(KerbColor color);
const char *kerb_fit_name(KerbFit fit);

#endif
