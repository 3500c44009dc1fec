/* SPDX-License-Identifier: MIT */
/* The stand-in's inside: one machine, one lock. Names ending in _locked are called with the lock held; all others without. */
#ifndef KERB_STANDIN_MACHINE_H
#define KERB_STANDIN_MACHINE_H

#include <pthread.h>

#pragma GCC visibility push(default) /* CUDA's own functions are what this library exports */
#include "standin.h"
#pragma GCC visibility pop

#define KERB_STANDIN_MAX_DEVICES 8

typedef struct KerbStandinConfig {
    int devices, sm, driver, runtime, dnn;
    bool no_driver, integrated, sticky, no_capture, no_fuse, no_dnn, no_alias, trace, check;
    size_t memory_bytes;
    uint64_t fail, fail_op;
    int code; /* 0: not said */
    char only[64];
    int delay_us, call_delay_us;
    uint64_t seed;
} KerbStandinConfig;

/* Everything that a caller holds by pointer; the first member of each. */
typedef enum KerbHeldKind {
    KERB_HELD_DEVICE_BLOCK,
    KERB_HELD_PINNED_BLOCK,
    KERB_HELD_STREAM,
    KERB_HELD_EVENT,
    KERB_HELD_GRAPH,
    KERB_HELD_EXEC,
    KERB_HELD_DNN_HANDLE,
    KERB_HELD_DESCRIPTOR,
} KerbHeldKind;

typedef struct KerbHeld {
    struct KerbHeld *next, **slot; /* chain of its hash bucket */
    KerbHeldKind kind;
    int device;
    uint64_t call; /* the call that made it */
    size_t bytes;  /* of blocks */
    int detail;    /* type of a descriptor */
} KerbHeld;

typedef struct KerbMachine {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was finished */
    KerbStandinConfig config;
    uint64_t calls, matching, works;
    cudaError_t lost; /* the context is gone: every call says so */
    size_t device_bytes[KERB_STANDIN_MAX_DEVICES];
    int captures_global; /* captures under way that forbid unsafe calls to everybody */
    struct KerbStream *streams;
    struct KerbBlock *blocks;
} KerbMachine;
extern KerbMachine kerb_machine;

void kerb_machine_lock(void);
void kerb_machine_unlock(void);

/* --------------------------------------------------------------------------------------------------- calls (control.c) */

enum {
    KERB_CALL_UNSAFE = 1,   /* forbidden while a stream is being captured, by the capture's mode */
    KERB_CALL_ANYWHERE = 2, /* works without a driver */
    KERB_CALL_DNN = 4,      /* cuDNN's: takes its own codes (from 1000 on), which the runtime has not */
};
/* Every entry point begins with it: counts, waits, fails where it is told to. The error is the thread's last error by then. Those that release
 * something go on all the same: what they release is not to be blamed on their caller. */
cudaError_t kerb_call(const char *name, unsigned flags);
/* Sets the thread's last error. */
cudaError_t kerb_fail_with(cudaError_t code);
bool kerb_code_is_sticky(int code);
void kerb_lose_locked(cudaError_t code);
int kerb_current_device(void);
extern _Thread_local cudaError_t kerb_last_error;
extern _Thread_local bool kerb_in_host_function;

void kerb_held_add_locked(KerbHeld *held, KerbHeldKind kind);
void kerb_held_remove_locked(KerbHeld *held);
/* NULL, and a misuse, where it is not alive or of another kind. */
void *kerb_held_find_locked(const void *pointer, KerbHeldKind kind, const char *name);
void kerb_misuse_locked(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t kerb_random(uint64_t *state);
void kerb_random_wait(uint64_t *state, int most_us);
int64_t kerb_machine_now_ns(void);

/* -------------------------------------------------------------------------------------------------- memory (memory.c) */

typedef struct KerbBlock {
    KerbHeld held;
    struct KerbBlock *next_block;
    uint8_t *host;   /* NULL: device memory */
    uint8_t *device; /* as kernels see it */
    size_t bytes, mapped_bytes;
    void *map_host, *map_device;
    bool registered; /* cudaHostRegister(): the caller's own memory */
} KerbBlock;

typedef enum KerbPlace { KERB_PLACE_PAGEABLE, KERB_PLACE_PINNED, KERB_PLACE_DEVICE, KERB_PLACE_BROKEN } KerbPlace;
/* Where `bytes` from here lie: BROKEN where they leave their block. */
KerbPlace kerb_place_locked(const void *pointer, size_t bytes);
/* Device memory for this thread, while a stream works. */
void kerb_memory_open(void);
void kerb_memory_close(void);

/* -------------------------------------------------------------------------------------------------- streams (stream.c) */

/* Work that a stream or a graph's node does; shared, never changed. */
typedef struct KerbWork {
    int refs;
    void (*fn)(const void *args);
    void (*drop)(void *args); /* may be NULL; when nobody needs it any more */
    bool host;                /* a host function: device memory stays closed */
    _Alignas(16) unsigned char args[];
} KerbWork;

/* A point in a stream's life that others wait for. */
typedef struct KerbMarker {
    int refs;
    bool done;
    int64_t time_ns;
} KerbMarker;

typedef struct KerbOp {
    struct KerbOp *next;
    enum { KERB_OP_WORK, KERB_OP_WAIT, KERB_OP_SIGNAL, KERB_OP_GRAPH } kind;
    KerbWork *work;
    KerbMarker *marker;
    struct KerbRecipe *recipe;
    KerbMarker **node_markers; /* one a node, NULL where it is no event's */
} KerbOp;

typedef struct KerbTail {
    int n, *nodes;
} KerbTail;

typedef struct KerbStream {
    KerbHeld held;
    struct KerbStream *next_stream;
    pthread_t thread;
    pthread_cond_t wake;
    KerbOp *head, **tail;
    uint64_t queued, finished;
    int waiters; /* threads that look at it while the lock is given up */
    bool closing, blocking, legacy;
    uint64_t random;
    struct KerbCapture *capture;
    KerbTail capture_tail;
} KerbStream;

typedef struct KerbEvent {
    KerbHeld held;
    unsigned flags;
    KerbMarker *marker;  /* NULL: never recorded */
    uint64_t capture_id; /* recorded into this capture; 0: none */
    KerbTail capture_tail;
} KerbEvent;

/* Queues work, or adds it to the stream's capture. Takes the work, also where it fails. */
cudaError_t kerb_stream_push(cudaStream_t stream, KerbWork *work, bool wait);
KerbWork *kerb_work_new(void (*fn)(const void *args), void (*drop)(void *args), const void *args, size_t bytes);
void kerb_work_unref_locked(KerbWork *work);
KerbMarker *kerb_marker_new(void);
void kerb_marker_unref_locked(KerbMarker *marker);
/* NULL: dead, or another device's. The NULL stream is the device's legacy stream. */
KerbStream *kerb_stream_find_locked(cudaStream_t stream, const char *name, cudaError_t *error);
/* Takes the op's references. */
void kerb_stream_append_locked(KerbStream *stream, KerbOp op);
void kerb_stream_order_locked(KerbStream *stream); /* the legacy stream's own rules, before something is queued */
void kerb_stream_drain_locked(KerbStream *stream);
void kerb_device_drain_locked(int device);
/* On a stream's thread; returns with the lock held, as it is called. */
void kerb_work_run_locked(KerbWork *work, uint64_t *random);

/* ------------------------------------------------------------------------------------------------------ graphs (graph.c) */

typedef struct KerbGraphNode {
    enum { KERB_NODE_WORK, KERB_NODE_RECORD, KERB_NODE_WAIT } kind;
    KerbWork *work;
    KerbEvent *event;
    KerbTail after;
} KerbGraphNode;

typedef struct KerbRecipe {
    int refs, n, capacity;
    KerbGraphNode *nodes;
} KerbRecipe;

typedef struct KerbCapture {
    uint64_t id;
    enum cudaStreamCaptureMode mode;
    pthread_t thread;
    KerbStream *origin;
    KerbRecipe *recipe;
    cudaError_t invalid; /* why EndCapture will fail */
} KerbCapture;

/* Adds a node to the stream's capture, after what the stream did so far. Takes one reference of `work`. */
cudaError_t kerb_capture_add_locked(KerbStream *stream, KerbGraphNode node);
cudaError_t kerb_capture_join_locked(KerbStream *stream, KerbEvent *event);
bool kerb_capture_forbids_locked(void); /* an unsafe call from this thread; invalidates the capture */
void kerb_capture_mark_locked(KerbStream *stream, KerbEvent *event);
void kerb_capture_abandon_locked(KerbStream *stream); /* the stream goes */
void kerb_capture_spoil_locked(KerbStream *stream, cudaError_t why);
void kerb_recipe_run_locked(KerbRecipe *recipe, KerbMarker **markers, uint64_t *random);
void kerb_recipe_unref_locked(KerbRecipe *recipe);

#endif
