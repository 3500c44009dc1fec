/* SPDX-License-Identifier: MIT */
/* The contract of a backend that runs networks on host memory. Backends are modules, loaded at run time (but for ref, which is built in).
 * A backend that also has its own in and out stages on its own memory (CUDA) says so in `stages`: see run/stages.h and docs/map.md. It keeps this
 * contract too: `input` and `output` are host memory, and run copies. Conformance, smoothing over time and tests use it so. */
#ifndef KERB_NET_BACKEND_H
#define KERB_NET_BACKEND_H

#include "base/log.h"
#include "base/trace.h"
#include "net/graph.h"

#define KERB_BACKEND_ABI 5 /* changes with any struct that crosses: a module of another number is refused with a clear message */

struct KerbStages; /* run/stages.h */
typedef struct KerbNet KerbNet; /* the backend's own; opaque to everybody else */

typedef struct KerbCompileOptions {
    int threads;             /* >= 1 */
    int device_id;           /* cuda */
    KerbPrecision precision; /* never AUTO */
    bool no_tune;            /* the likeliest way of each layer, untimed */
    bool trace;              /* keep times by layer (KerbBackend.trace) */
    KerbProgressFn progress; /* may be NULL */
    void *progress_user;
} KerbCompileOptions;

typedef struct KerbBackend {
    uint32_t abi;      /* KERB_BACKEND_ABI */
    const char *name;  /* "cpu" */
    /* How many devices there are to probe (never below 1: one that is not usable says why). NULL: one. Any thread. */
    int (*devices)(void);
    /* Can device->id run here? Fills everything but the id; precisions: the first is what AUTO takes. Cheap; any thread; before anything else. */
    void (*probe)(KerbDevice *device);
    /* Says of one node, with shapes known, whether it can be run; `why` gets a few words. NULL: every operator there is. */
    bool (*supports)(const KerbGraph *g, const KerbNode *n, char *why, size_t why_bytes);
    /* Graph (inferred, optimised) -> net. Takes nothing: graph and its constants must outlive the net. May be slow; on the opener's thread. */
    KerbStatus (*compile)(KerbNet **out, const KerbGraph *g, const KerbCompileOptions *options, KerbError *error);
    /* The i-th graph input/output as the net wants/gives it: memory, type (f32 or bf16 for pictures; the graph's own for others), logical NCHW
     * dims with the backend's own strides. Valid until free; written before, read after run. */
    const KerbTensor *(*input)(KerbNet *net, int i);
    const KerbTensor *(*output)(KerbNet *net, int i);
    /* One run. Any one thread at a time, not always the same; allocates nothing. */
    KerbStatus (*run)(KerbNet *net, KerbError *error);
    /* Times by layer since compile; n 0 unless options.trace. NULL: none. */
    KerbTrace (*trace)(KerbNet *net);
    /* Arena and weight bytes actually held, for `kerb inspect` and stats. NULL: not known. */
    void (*memory)(KerbNet *net, size_t *arena_bytes, size_t *weight_bytes);
    void (*free)(KerbNet **net);
    /* in and out on the backend's own memory; NULL: the run room's, on host memory. */
    const struct KerbStages *stages;
} KerbBackend;

/* What a module exports under the name "kerb_backend": called once after dlopen. `sink`: where its log goes. NULL: wrong ABI. */
typedef const KerbBackend *(*KerbBackendEntryFn)(uint32_t abi, const KerbLogSink *sink);

#endif
