/* SPDX-License-Identifier: MIT */
/* Graph -> graph: shapes, folding, fusing, lowering, stripping the head; and what a graph costs. */
#ifndef KERB_NET_PASSES_H
#define KERB_NET_PASSES_H

#include "net/graph.h"

/* Shapes and types of every value, from bound inputs on; shape arithmetic (any node whose inputs are all constants and whose result has at most
 * 4096 elements, and Shape/Size of known shapes) becomes constants on the way. auto_pad, ConvTranspose's output_shape and Resize's scales are
 * resolved into the attributes. After OK every live value has a known type and shape. Errors name node, operator and shapes: ASSET where the
 * model contradicts itself, ARGUMENT where the chosen input size does not fit it, UNSUPPORTED where a shape depends on the picture.
 * Limits (hostile models): rank <= KERB_MAX_RANK, 2^31 elements a tensor, dims >= 0. */
KerbStatus kerb_graph_infer(KerbGraph *g, KerbError *error);

/* One idea. `run` sets *changes to how many places it changed; the graph stays valid, sorted and shaped. */
typedef struct KerbPass {
    const char *name; /* "fold-batch-norm" */
    const char *idea; /* one line */
    KerbStatus (*run)(KerbGraph *g, int *changes, KerbError *error);
} KerbPass;
extern const KerbPass kerb_passes[];
extern const int kerb_n_passes;

typedef struct KerbOptimizeOptions {
    bool keep_head;  /* do not strip: outputs stay the model's own (conformance) */
    /* Called after each pass that changed something, with text dumps of before and after (both NULL-terminated). NULL: none are made. */
    void (*dump)(void *user, const KerbPass *pass, int changes, const char *before, const char *after);
    void *user;
} KerbOptimizeOptions;
/* Runs all passes, to a fixed point where that makes sense. The graph must have been inferred. Afterwards heads are filled (unless keep_head). */
KerbStatus kerb_graph_optimize(KerbGraph *g, const KerbOptimizeOptions *options, KerbError *error);

/* Of an optimised graph, for devices that are faster in floats than in integers: tensors between QuantizeLinear and DequantizeLinear (u8, i8; constants,
 * by tensor) are no longer rounded; ranges that begin or end at 0 stay as clips. Optimises again; heads stay as they are. A graph without such nodes stays. */
KerbStatus kerb_graph_drop_rounding(KerbGraph *g, KerbError *error);

/* Fills g->heads for outputs as they stand; part of stripping, callable alone (models whose head is kept). ASSET where an output cannot be
 * understood as scores or labels: the message says its shape and what is expected. */
KerbStatus kerb_graph_find_heads(KerbGraph *g, KerbError *error);

/* One line a node: `%12 f32 1x64x90x160 = Conv(%10, w:64x32x3x3, b:64) stride 2 pad 1,1,1,1 act Relu   # name`. */
void kerb_graph_dump(const KerbGraph *g, KerbText *out);

/* Floating-point operations of a node: multiply and add count two; 0 for those that move data. Shapes must be known. */
double kerb_node_flops(const KerbGraph *g, const KerbNode *n);
/* Bytes of constants that live nodes read (each once). */
size_t kerb_graph_weight_bytes(const KerbGraph *g);

/* The memory plan: where each computed value lies in one arena, from lifetimes. Graph inputs and outputs are planned like the others, and live
 * through the whole run. */
typedef struct KerbPlanOptions {
    /* Bytes that a value takes in the backend's layout; 0: none (constants, values that a backend never materialises). NULL: dense bytes. */
    size_t (*bytes)(void *user, const KerbGraph *g, uint32_t value);
    /* The value whose memory `value` may take over or share: an input of its producer. KERB_NO_VALUE: none. `alias`: it *is* the same memory
     * (a reshape); otherwise it is taken over if the input is not read later (in place). NULL: no sharing. */
    uint32_t (*share)(void *user, const KerbGraph *g, uint32_t value, bool *alias);
    void *user;
} KerbPlanOptions;
typedef struct KerbPlan {
    size_t arena_bytes; /* what one run needs */
    size_t sum_bytes;   /* what it would be without reuse */
    int n;              /* == g->n_values */
    size_t *offsets;    /* by value id; SIZE_MAX: not in the arena */
    size_t *sizes;
} KerbPlan;
/* Nodes run in the graph's order. Offsets are 64-byte aligned. */
KerbStatus kerb_plan_new(KerbPlan **out, const KerbGraph *g, const KerbPlanOptions *options, KerbError *error);
void kerb_plan_free(KerbPlan **plan);

#endif
