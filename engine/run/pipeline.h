/* SPDX-License-Identifier: MIT */
/* The pipeline's inside, and the doors that tests need. */
#ifndef KERB_RUN_PIPELINE_H
#define KERB_RUN_PIPELINE_H

#include "base/memory.h"
#include "in/in.h"
#include "out/out.h"
#include "run/backends.h"
#include "run/model.h"
#include "run/ring.h"
#include "run/stages.h"
#include "time/smooth.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct KerbPipeline {
    /* Fixed from open to close. */
    KerbModel *model;
    KerbBackendChoice choices[KERB_MAX_BACKENDS]; /* best first */
    int n_choices;
    KerbPrecision precision; /* as wanted */
    int threads, slots, device_id;
    cpu_set_t named_cores;
    const cpu_set_t *cores; /* that its threads keep to: those; NULL: any */
    bool tune, confidence;
    KerbSmoothing smoothing;
    KerbProgressFn progress;
    void *progress_user;
    KerbPool *pool; /* of in and out; used by the ring's first thread alone */
    KerbRing *ring;

    /* The network at one size: changes with nothing in flight. */
    KerbGraph *graph;
    const KerbBackend *backend;
    KerbNet *net;
    int net_width_px, net_height_px;
    KerbTensor input; /* the net's own memory, as 1 x C x H x W */
    KerbTensor scores[KERB_MAX_HEADS];
    KerbOutHead heads[KERB_MAX_HEADS];

    /* The format: changes with nothing in flight. */
    bool has_format;
    KerbVideoFormat format;
    KerbIn *in;
    KerbOut *out;
    KerbSmooth *smooth; /* NULL: off */
    uint64_t era;       /* of the frame that was smoothed last; the ring's first thread's alone */
    KerbStaged *staged; /* the backend's own in and out, with net between; NULL: in, net, out and smooth above. Under the mutex where another
                           thread than the opener's or the ring's reads it */
    /* slots + 1 sets of maps: those of the result collected last stay valid while all slots are busy. */
    KerbHostBlock maps;
    int map_stride;
    size_t map_bytes; /* of one map; a set is labels, then (if wanted) confidence */

    atomic_bool lost;      /* the backend has failed for good: loss says how; the device is not touched again */
    pthread_mutex_t mutex; /* of what follows */
    KerbError loss;
    KerbDisplay display;
    int64_t compile_ns;
    char backend_text[32];
    int stats_width_px, stats_height_px;
};

/* kerb_open() on a backend of the caller's own (tests: slow, failing), which outlives the pipeline. */
KerbStatus kerb_open_with_backend(KerbPipeline **out, const KerbConfig *config, const KerbBackend *backend, KerbError *error);

/* frame.c: the ring's work functions; user is the pipeline. */
bool kerb_pipeline_begin(void *user, KerbSlot *slot);
void kerb_pipeline_finish(void *user, KerbSlot *slot);
/* The stages of a backend that has its own and may be used for this pipeline; NULL: the run room's. */
const KerbStages *kerb_pipeline_stages(const KerbPipeline *pipeline, const KerbBackend *backend);

/* True, and *error says how, where the backend has failed for good. */
bool kerb_pipeline_is_lost(KerbPipeline *pipeline, KerbError *error);

/* pipeline.c: frees what belongs to the format; nothing in flight. */
void kerb_pipeline_drop_format(KerbPipeline *pipeline);

/* compile.c: the network at one size; nothing to do where it has that size. On failure there is none. */
KerbStatus kerb_pipeline_compile(KerbPipeline *pipeline, int net_width_px, int net_height_px, KerbError *error);
void kerb_pipeline_free_net(KerbPipeline *pipeline);
/* Whether a backend can run every node; otherwise `why` lists what it cannot. */
bool kerb_backend_runs(const KerbBackend *backend, const KerbGraph *g, KerbText *why);

#endif
