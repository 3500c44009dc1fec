/* SPDX-License-Identifier: MIT */
/* How one ONNX node becomes nodes of the graph: what the rules (rules*.c) are given. Inside engine/net/onnx only.
 *
 * Errors are sticky: the first failure stays in im->status, readers then give defaults, and a rule simply runs to its end. */
#ifndef KERB_NET_ONNX_IMPORT_H
#define KERB_NET_ONNX_IMPORT_H

#include "net/onnx/model.h"

#define KERB_ONNX_MAX_OPSET 22
#define KERB_ONNX_MAX_LACKS 128 /* different ones that a message lists */

/* Something unsupported: an operator, or a way of using one. */
typedef struct KerbLack {
    const char *type, *why; /* why "": the whole operator */
    const char *nodes[3];   /* the first ones' names */
    int count;
} KerbLack;

typedef struct KerbImport {
    const KerbOnnx *onnx;
    KerbGraph *g;
    KerbArena *scratch; /* lives as long as the import */
    KerbError *error;
    KerbStatus status;
    int64_t opset;
    /* By id of the model's own values: what is known before shape inference. Rules for old forms need it now and then. */
    int n_known;
    KerbDtype *types; /* NONE: not known */
    int8_t *ranks;    /* -1: not known */
    int *reads;       /* by nodes and as graph outputs */
    /* The node at hand */
    const KerbOnnxNode *node;
    const char *name, *type;
    int n_inputs, n_outputs; /* without absent ones at the end; of a fixed number of outputs, without unread ones at the end */
    uint32_t *inputs, *outputs;
    uint64_t attributes_read; /* a bit each */
    bool lacking;             /* kerb_import_lack() was called for it */
    KerbAttrs nowhere;        /* written to after a failure */
    KerbLack lacks[KERB_ONNX_MAX_LACKS];
    int n_lacks, n_lacks_more;
} KerbImport;

typedef enum KerbKeeps {
    KERB_KEEPS_NOTHING, /* or the rule says it itself */
    KERB_KEEPS_TYPE,    /* outputs have the type of input 0 */
    KERB_KEEPS_RANK,    /* and its rank */
} KerbKeeps;

typedef struct KerbRule {
    const char *type;
    void (*import)(KerbImport *im, const struct KerbRule *rule);
    int param; /* KerbOp, KerbUnary... as the rule's function takes it */
    int min_opset; /* older forms differ too much */
    int min_inputs, max_inputs, max_outputs; /* -1: any number */
    KerbKeeps keeps;
} KerbRule;
const KerbRule *kerb_rule_find(KerbBytes type); /* rules.c. NULL: unsupported */

/* ---- import.c */
void kerb_import_lack_of(KerbImport *im, const char *type, const char *node, const char *why);

/* ---- node.c: what rules use. Names in messages are the node at hand's. */
void kerb_import_bad(KerbImport *im, const char *format, ...) KERB_PRINTF(2, 3);  /* ASSET */
void kerb_import_lack(KerbImport *im, const char *format, ...) KERB_PRINTF(2, 3); /* to the list of the unsupported; it goes on */
void kerb_import_no_memory(KerbImport *im);

const KerbOnnxAttribute *kerb_attribute(KerbImport *im, const char *name, KerbOnnxAttributeType type); /* NULL: not there, or a failure */
int64_t kerb_attribute_int(KerbImport *im, const char *name, int64_t fallback);
bool kerb_attribute_bool(KerbImport *im, const char *name, bool fallback);
float kerb_attribute_float(KerbImport *im, const char *name, float fallback);
int kerb_attribute_ints(KerbImport *im, const char *name, int64_t out[], int max);  /* how many; -1: not there; more than max: failure */
int kerb_attribute_floats(KerbImport *im, const char *name, float out[], int max);
/* The index of the attribute's string in choices (which ends with NULL); anything else is a failure that lists them. */
int kerb_attribute_choice(KerbImport *im, const char *name, const char *const choices[], int fallback);
void kerb_attribute_ignore(KerbImport *im, const char *name); /* known, and rightly without effect here */
void kerb_attribute_window(KerbImport *im, KerbWindow *window, bool has_kernel, uint32_t weights);

/* The i-th input's id, KERB_NO_VALUE where absent. */
static inline uint32_t kerb_import_input(const KerbImport *im, int i) { return i < im->n_inputs ? im->inputs[i] : KERB_NO_VALUE; }
static inline const KerbValue *kerb_import_value(const KerbImport *im, int i) { return kerb_graph_value(im->g, kerb_import_input(im, i)); }
KerbDtype kerb_import_type(const KerbImport *im, int i); /* of the i-th input; NONE: not known */
int kerb_import_rank(const KerbImport *im, int i);       /* -1: not known */
void kerb_import_says(KerbImport *im, int output, KerbDtype type, int rank);

/* A node with these inputs (absent ones at the end are left off) and outputs; never NULL. `suffix` NULL: it bears the model's name. */
KerbAttrs *kerb_import_add(KerbImport *im, KerbOp op, const char *suffix, int n_inputs, const uint32_t inputs[], int n_outputs,
                           const uint32_t outputs[]);
/* The node at hand with its first n_inputs inputs and all its outputs. */
KerbAttrs *kerb_import_same(KerbImport *im, KerbOp op, int n_inputs);
uint32_t kerb_import_between(KerbImport *im, const char *suffix); /* a value between two nodes */
uint32_t kerb_import_ints(KerbImport *im, const char *suffix, int n, const int64_t values[]);
uint32_t kerb_import_floats(KerbImport *im, const char *suffix, int n, const float values[]);
uint32_t kerb_import_scalar(KerbImport *im, const char *suffix, KerbDtype dtype, double value);
/* x with `n` axes of length 1 added from axis `first` on. */
uint32_t kerb_import_unsqueezed(KerbImport *im, const char *suffix, uint32_t x, int first, int n);

/* ---- the rules' functions: rules_compute.c, rules_shape.c, rules_resize.c, rules_value.c */
#define KERB_RULE(name) void kerb_rule_##name(KerbImport *im, const KerbRule *rule)
KERB_RULE(unary);
KERB_RULE(binary);
KERB_RULE(variadic);
KERB_RULE(clip);
KERB_RULE(conv);
KERB_RULE(pool);
KERB_RULE(batch_norm);
KERB_RULE(norm);
KERB_RULE(lrn);
KERB_RULE(reduce);
KERB_RULE(global_pool);
KERB_RULE(arg);
KERB_RULE(softmax);
KERB_RULE(gemm);
KERB_RULE(cumsum);
KERB_RULE(plain);
KERB_RULE(axis);
KERB_RULE(transpose);
KERB_RULE(reshape);
KERB_RULE(pad);
KERB_RULE(split);
KERB_RULE(slice);
KERB_RULE(shape);
KERB_RULE(squeeze);
KERB_RULE(block);
KERB_RULE(resize);
KERB_RULE(upsample);
KERB_RULE(grid_sample);
KERB_RULE(constant);
KERB_RULE(constant_of_shape);
KERB_RULE(cast);
KERB_RULE(cast_like);
KERB_RULE(dropout);
KERB_RULE(quantize);

#endif
