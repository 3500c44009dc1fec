/* SPDX-License-Identifier: MIT */
/* Inside the CPU backend: an optimised graph becomes a list of steps over one arena.
 *
 * Four lifetimes. Compile: every node is turned into steps (or into a view, or fused into a later one); memory is asked for by *roots*,
 * whose life is the span of steps that touch them. Bind: roots have got their places, steps make pointers and oneDNN memories. Run: steps
 * in order; nothing is allocated. Free.
 *
 * Pictures (rank 4 floats) lie channels-last; a picture may be a slice of the channels of a wider one (a concatenation's). Everything else
 * lies row-major, or is a strided view of what it was made from. */
#ifndef KERB_NET_CPU_CPU_H
#define KERB_NET_CPU_CPU_H

#include <limits.h>

#include "base/cache.h"
#include "base/memory.h"
#include "base/trace.h"
#include "net/backend.h"
#include "net/cpu/int8_kernels.h"
#include "net/cpu/kernels.h"
#include "net/places.h"
#include "net/quantize.h"

/* A tensor that a step reads or writes. */
typedef struct KerbOperand {
    KerbTensor t;  /* data: set for constants at once, for others by bind */
    uint32_t root; /* KERB_NO_ROOT: constant */
    size_t offset; /* bytes from the root's start */
} KerbOperand;

typedef struct KerbStep KerbStep;
typedef struct KerbStepKind {
    const char *name;
    KerbStatus (*bind)(KerbNet *net, KerbStep *step, KerbError *error); /* once; operands have data. NULL: nothing to do */
    KerbStatus (*run)(KerbNet *net, KerbStep *step);
    void (*free)(KerbStep *step); /* NULL: nothing to do */
} KerbStepKind;

struct KerbStep {
    const KerbStepKind *kind;
    const KerbNode *node;
    const char *label;     /* for the trace: "conv winograd 3x3 64->64 256x128  name" */
    KerbOperand *operands; /* what they are is the kind's business */
    int n_operands;
    size_t scratch_bytes;
    uint32_t scratch_root;
    void *scratch; /* set by bind */
    void *state;   /* the kind's, from the net's arena unless `free` says otherwise */
};

struct KerbNet {
    const KerbGraph *g;
    KerbArena *objects;
    const KerbCpuKernels *k;
    const KerbInt8Kernels *k8;
    int threads;
    struct KerbPool *pool; /* of so many; its workers were started with denormals off, which they inherited */
    bool bf16, int8; /* int8: quantised parts in integers, the rest in f32 */
    struct KerbDnn *dnn;
    bool on_omp; /* some step runs on oneDNN, and so on OpenMP's threads */
    KerbRoot *roots;
    int n_roots, cap_roots;
    KerbStep **steps;
    int n_steps, cap_steps;
    void *arena;
    size_t arena_bytes, weight_bytes;
    void **blocks; /* packed weights: freed with the net */
    int n_blocks, cap_blocks;
    KerbOperand *inputs, *outputs;
    KerbTrace trace;
};

/* The state of a compile. */
typedef struct KerbCompiler {
    KerbNet *net;
    const KerbGraph *g;
    const KerbCompileOptions *options;
    KerbError *error;
    KerbOperand *values;   /* by value id; t.dtype NONE: not placed yet */
    uint32_t *slot;        /* by value id: the concatenation's output in which it is to be written, or KERB_NO_VALUE */
    int64_t *slot_channel; /* and from which channel on */
    uint32_t *fused_into;  /* by node: the later node that does its work; KERB_NO_NODE: none */
    uint8_t *int8;         /* by node: KerbInt8Kind (int8.h) */
    int *readers;          /* by value id: kerb_graph_uses() */
    uint32_t *reader;      /* by value id: a node that reads it (the only one where readers is 1), KERB_NO_NODE: only an output */
    int node;              /* index of the node that is being compiled */
    bool tune; /* may time convolutions */
    int64_t tune_ns_left;
    KerbCache *tuning; /* NULL: not asked yet */
} KerbCompiler;

/* tuning.c: keeps on disk what timing found that is new. */
void kerb_tuning_close(KerbCompiler *c);

/* trace.c: nothing to do unless options.trace. All steps are made. */
KerbStatus kerb_cpu_open_trace(KerbCompiler *c);

/* -- compile.c: what the op files use
 * ---------------------------------------------------------------------------------------------------------- */

/* Where a value is; constants are views of the graph's data (copied where unaligned). */
KerbOperand kerb_cpu_value(KerbCompiler *c, uint32_t id);
/* The value as a picture: rank 4, float, channels adjacent; a copy (or conversion to `dtype`, NONE: as it is) is inserted where it is not.
 */
KerbStatus kerb_cpu_picture(KerbCompiler *c, uint32_t id, KerbDtype dtype, KerbOperand *out);
bool kerb_cpu_is_picture(const KerbTensor *t);
bool kerb_cpu_is_channels_last(const KerbTensor *t); /* so, of any type */
/* Memory for a value in its usual layout (channels-last for pictures; in the slice of a concatenation where one waits for it). */
KerbStatus kerb_cpu_place(KerbCompiler *c, uint32_t id, KerbOperand *out);
/* The value is a view: `t` (data ignored) at `offset` bytes from the start of `of`. */
void kerb_cpu_alias(KerbCompiler *c, uint32_t id, const KerbOperand *of, const KerbTensor *t, size_t offset);
/* Like kerb_cpu_place(), but in the place of `input` where nobody reads that later and the layouts are equal. */
KerbStatus kerb_cpu_place_over(KerbCompiler *c, uint32_t id, const KerbOperand *input, int uses_here, KerbOperand *out);
/* Memory for the time between the steps that use it. */
KerbStatus kerb_cpu_temporary(KerbCompiler *c, const KerbTensor *t, KerbOperand *out);
/* A new step; operands are copied and their roots' lives extended. NULL: out of memory (message written). */
KerbStep *kerb_cpu_step(KerbCompiler *c, const KerbStepKind *kind, const KerbNode *node, const KerbOperand *operands, int n,
                        size_t scratch_bytes);
void kerb_cpu_label(KerbCompiler *c, KerbStep *step, const char *format, ...) KERB_PRINTF(3, 4);
/* Zeroed, 64-byte aligned, freed with the net; counted as weights. NULL: out of memory (message written). */
void *kerb_cpu_block(KerbCompiler *c, size_t bytes);
void *kerb_cpu_object(KerbCompiler *c, size_t bytes);
KerbStatus kerb_cpu_no_memory(KerbCompiler *c, size_t bytes);
/* The step that copies (and converts) src to dst, any strides of the same shape. */
KerbStatus kerb_cpu_copy(KerbCompiler *c, const KerbNode *node, const KerbOperand *src, const KerbOperand *dst);
/* A constant's floats as f32, padded with zeros to `padded` elements; NULL: not a float constant, or no memory. */
float *kerb_cpu_floats(KerbCompiler *c, uint32_t id, size_t padded);

/* Each turns a node into steps. *done false: not this kind's case, somebody else's. */
typedef KerbStatus (*KerbCompileFn)(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_int8(KerbCompiler *c, const KerbNode *n, bool *done);  /* before all: what int8_plan.c chose */
KerbStatus kerb_cpu_compile_fused(KerbCompiler *c, const KerbNode *n, bool *done); /* before conv: rows of several */
KerbStatus kerb_cpu_compile_conv(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_pool(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_unpool(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_elementwise(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_concat(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_view(KerbCompiler *c, const KerbNode *n,
                                 bool *done); /* reshape family, transpose, slice, split, identity, cast */
KerbStatus kerb_cpu_compile_shuffle(KerbCompiler *c, const KerbNode *n, bool *done); /* depth to space and back */
KerbStatus kerb_cpu_compile_resize(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_reduce(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_softmax(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_attention(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_matmul(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_pad(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cpu_compile_ref(KerbCompiler *c, const KerbNode *n);

/* Passes over the whole graph before nodes are compiled: what is written into a concatenation's slice; what is fused into a later node. */
KerbStatus kerb_cpu_plan_slots(KerbCompiler *c);
void kerb_cpu_plan_chains(KerbCompiler *c);
void kerb_cpu_plan_attention(KerbCompiler *c);
void kerb_cpu_plan_shuffles(KerbCompiler *c);
void kerb_cpu_plan_fused(KerbCompiler *c); /* after the shuffles */

/* -- for int8_plan.c: the same nodes on 8-bit pictures (x, y) ---- */
bool kerb_cpu_resizes(const KerbCompiler *c, const KerbNode *n); /* does kerb_cpu_compile_resize() take it? */
KerbStatus kerb_cpu_emit_resize(KerbCompiler *c, const KerbNode *n, const KerbOperand o[2], const KerbQuant *from, const KerbQuant *to);
bool kerb_cpu_pools(KerbCompiler *c, const KerbNode *n); /* a largest one without indices? */
KerbStatus kerb_cpu_emit_max_pool(KerbCompiler *c, const KerbNode *n, const KerbOperand o[2]);
bool kerb_cpu_reduces_picture(const KerbGraph *g, const KerbNode *n); /* a REDUCE over height and width of a picture? */
KerbStatus kerb_cpu_emit_shuffle(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, const KerbOperand *y); /* any type and strides */

/* -- activation.c
 * ------------------------------------------------------------------------------------------------------------------------------ */

/* An activation in kernel terms: what the epilogue does by itself, then a unary function or (rare ones) a scalar function. */
typedef struct KerbCpuAct {
    KerbEpilogue finish; /* bias NULL */
    bool has_unary;
    KerbCpuUnary unary;
    float alpha, beta;
    float (*scalar)(float x, float alpha, float beta); /* NULL: none */
    const KerbActivation *from;                        /* as the graph says it */
} KerbCpuAct;
/* False where there is no such function (the reference takes it). `channels`: slopes are spread to that many (+ padding to lanes). */
bool kerb_cpu_act(KerbCompiler *c, const KerbActivation *a, int channels, KerbCpuAct *out);
/* Would it be true? Makes nothing. */
bool kerb_cpu_act_known(const KerbCompiler *c, const KerbActivation *a, int channels);
bool kerb_cpu_act_is_plain(const KerbCpuAct *a); /* the epilogue does it all */
/* What the epilogue does not do, in place. */
void kerb_cpu_act_run(const KerbCpuKernels *k, const KerbCpuAct *a, float *x, size_t n);

/* -- threads.c
 * --------------------------------------------------------------------------------------------------------------------------------- */
/* Trained weights hold denormal numbers (weight decay makes them), and a product with one takes a hundred times as long: from here on this
 * thread, threads that it starts, and so many of its OpenMP threads (1: none) take them for 0. Returns what to give back to kerb_cpu_restore_denormals() for this
 * thread; the others stay so. */
unsigned kerb_cpu_flush_denormals(int omp_threads);
void kerb_cpu_restore_denormals(unsigned before);
/* fn for index 0..count-1 on the net's threads (base/pool.h); on the caller alone where the work is too small to share: `cost_ns` is a guess of the whole's time. Never
 * nested. */
void kerb_cpu_parallel(KerbNet *net, int count, double cost_ns, void (*fn)(void *arg, int index, int thread), void *arg);

#endif
