/* SPDX-License-Identifier: MIT */
/* The network as a graph of typed operators: no file format, no backend.
 *
 * Semantics are those of the newest ONNX opset that Kerb reads (22): the importer rewrites older forms into it. So axes,
 * starts, ends, repeats, pads, min/max, sizes and so on are *inputs* (usually constants), never attributes, wherever the
 * newest opset has them as inputs. Logical axis order is ONNX's (N, C, H, W). Names in messages are the model's own. */
#ifndef KERB_NET_GRAPH_H
#define KERB_NET_GRAPH_H

#include "base/error.h"
#include "base/memory.h"
#include "base/tensor.h"

#define KERB_NO_VALUE UINT32_MAX
#define KERB_NO_NODE UINT32_MAX
#define KERB_DIM_UNKNOWN (-1)
#define KERB_MAX_SPATIAL 3

/* X(enumerator, ONNX name). Comment: inputs -> outputs; [x] may be KERB_NO_VALUE. */
#define KERB_OPS(X)                                                                                                            \
    X(CONV, "Conv")                    /* x, w, [bias], [residual: KERB_OP_CONV only by fusing] -> y; attrs.conv */             \
    X(CONV_TRANSPOSE, "ConvTranspose") /* x, w(IC, OC/group, kh, kw), [bias] -> y; attrs.conv */                               \
    X(BATCH_NORM, "BatchNormalization")/* x, scale, bias, mean, var -> y; attrs.norm */                                        \
    X(INSTANCE_NORM, "InstanceNormalization") /* x, scale, bias -> y; attrs.norm */                                            \
    X(LRN, "LRN")                      /* x -> y; attrs.lrn */                                                                 \
    X(UNARY, "Unary")                  /* x -> y; attrs.unary */                                                               \
    X(BINARY, "Binary")                /* a, b -> y, broadcasting; attrs.binary */                                             \
    X(CLIP, "Clip")                    /* x, [min], [max] -> y */                                                              \
    X(WHERE, "Where")                  /* condition, a, b -> y, broadcasting */                                                \
    X(CONCAT, "Concat")                /* x... -> y; attrs.axis */                                                             \
    X(MAX_POOL, "MaxPool")             /* x -> y, [indices i64 as ONNX flat indices]; attrs.pool */                            \
    X(AVERAGE_POOL, "AveragePool")     /* x -> y; attrs.pool */                                                                \
    X(MAX_UNPOOL, "MaxUnpool")         /* x, indices, [output shape] -> y; attrs.pool */                                       \
    X(REDUCE, "Reduce")                /* x, [axes] -> y; attrs.reduce. Global pools import as this (spatial, keepdims) */       \
    X(ARG, "ArgMax")                   /* x -> y i64; attrs.arg */                                                             \
    X(SOFTMAX, "Softmax")              /* x -> y; attrs.softmax */                                                             \
    X(RESIZE, "Resize")                /* x, [roi], [scales], [sizes] -> y; attrs.resize. Upsample imports as this */          \
    X(TRANSPOSE, "Transpose")          /* x -> y; attrs.transpose */                                                           \
    X(RESHAPE, "Reshape")              /* x, shape -> y; attrs.reshape. Flatten stays FLATTEN until shapes are known */        \
    X(FLATTEN, "Flatten")              /* x -> y; attrs.axis */                                                                \
    X(IDENTITY, "Identity")            /* x -> y. Dropout imports as this (its mask output, if used, is unsupported) */        \
    X(CAST, "Cast")                    /* x -> y; attrs.cast. CastLike imports as this where the type is known */              \
    X(PAD, "Pad")                      /* x, pads, [value], [axes] -> y; attrs.pad */                                          \
    X(SPLIT, "Split")                  /* x, [sizes] -> y...; attrs.split */                                                   \
    X(SLICE, "Slice")                  /* x, starts, ends, [axes], [steps] -> y */                                             \
    X(SHAPE, "Shape")                  /* x -> i64; attrs.shape */                                                             \
    X(SIZE, "Size")                    /* x -> i64 scalar */                                                                   \
    X(GATHER, "Gather")                /* x, indices -> y; attrs.axis */                                                       \
    X(GATHER_ELEMENTS, "GatherElements") /* x, indices -> y; attrs.axis */                                                     \
    X(UNSQUEEZE, "Unsqueeze")          /* x, axes -> y */                                                                      \
    X(SQUEEZE, "Squeeze")              /* x, [axes] -> y */                                                                    \
    X(CONSTANT_OF_SHAPE, "ConstantOfShape") /* shape -> y; attrs.fill */                                                       \
    X(EXPAND, "Expand")                /* x, shape -> y */                                                                     \
    X(TILE, "Tile")                    /* x, repeats -> y */                                                                   \
    X(RANGE, "Range")                  /* start, limit, delta -> y */                                                          \
    X(DEPTH_TO_SPACE, "DepthToSpace")  /* x -> y; attrs.block */                                                               \
    X(SPACE_TO_DEPTH, "SpaceToDepth")  /* x -> y; attrs.block */                                                               \
    X(MATMUL, "MatMul")                /* a, b -> y */                                                                         \
    X(GEMM, "Gemm")                    /* a, b, [c] -> y; attrs.gemm */                                                        \
    X(QUANTIZE, "QuantizeLinear")      /* x, scale, [zero point] -> y; attrs.quantize */                                       \
    X(DEQUANTIZE, "DequantizeLinear")  /* x, scale, [zero point] -> y; attrs.quantize */                                       \
    X(QLINEAR_CONV, "QLinearConv")     /* x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, [bias i32] -> y; attrs.conv */ \
    X(QLINEAR_MATMUL, "QLinearMatMul") /* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero -> y */                      \
    X(CUMSUM, "CumSum")                /* x, axis -> y; attrs.cumsum */                                                        \
    X(GRID_SAMPLE, "GridSample")       /* x, grid (N, oh, ow, 2): where to look, -1..1, innermost axis first -> y; attrs.grid */

typedef enum KerbOp {
#define KERB_OP_ENUM(e, name) KERB_OP_##e,
    KERB_OPS(KERB_OP_ENUM)
#undef KERB_OP_ENUM
    KERB_OP_COUNT
} KerbOp;

/* alpha, beta as ONNX names them (Selu's gamma: beta). X(enumerator, ONNX name) */
#define KERB_UNARIES(X)                                                                                                        \
    X(ABS, "Abs") X(NEG, "Neg") X(FLOOR, "Floor") X(CEIL, "Ceil") X(ROUND, "Round") /* half to even */ X(SIGN, "Sign")          \
    X(SQRT, "Sqrt") X(RECIPROCAL, "Reciprocal") X(EXP, "Exp") X(LOG, "Log") X(ERF, "Erf") X(NOT, "Not")                        \
    X(SIN, "Sin") X(COS, "Cos") X(ATAN, "Atan") X(TANH, "Tanh") X(SIGMOID, "Sigmoid") X(HARD_SIGMOID, "HardSigmoid")            \
    X(HARD_SWISH, "HardSwish") X(RELU, "Relu") X(LEAKY_RELU, "LeakyRelu") X(ELU, "Elu") X(SELU, "Selu") X(CELU, "Celu")         \
    X(THRESHOLDED_RELU, "ThresholdedRelu") X(SOFTPLUS, "Softplus") X(SOFTSIGN, "Softsign") X(MISH, "Mish")                      \
    X(GELU, "Gelu") X(GELU_TANH, "GeluTanh") /* Gelu(approximate="tanh") */ X(SWISH, "Swish") /* x*sigmoid(x), by fusing */     \
    X(ISNAN, "IsNaN")
typedef enum KerbUnary {
#define KERB_UNARY_ENUM(e, name) KERB_UNARY_##e,
    KERB_UNARIES(KERB_UNARY_ENUM)
#undef KERB_UNARY_ENUM
    KERB_UNARY_COUNT
} KerbUnary;

#define KERB_BINARIES(X)                                                                                                       \
    X(ADD, "Add") X(SUB, "Sub") X(MUL, "Mul") X(DIV, "Div") X(POW, "Pow") X(MIN, "Min") X(MAX, "Max") X(MOD, "Mod")            \
    X(PRELU, "PRelu") X(EQUAL, "Equal") X(LESS, "Less") X(GREATER, "Greater") X(LESS_EQUAL, "LessOrEqual")                     \
    X(GREATER_EQUAL, "GreaterOrEqual") X(AND, "And") X(OR, "Or") X(XOR, "Xor")
typedef enum KerbBinary {
#define KERB_BINARY_ENUM(e, name) KERB_BINARY_##e,
    KERB_BINARIES(KERB_BINARY_ENUM)
#undef KERB_BINARY_ENUM
    KERB_BINARY_COUNT
} KerbBinary;

#define KERB_REDUCTIONS(X)                                                                                                     \
    X(MEAN, "ReduceMean") X(SUM, "ReduceSum") X(MAX, "ReduceMax") X(MIN, "ReduceMin") X(PROD, "ReduceProd")                    \
    X(L1, "ReduceL1") X(L2, "ReduceL2") X(SUM_SQUARE, "ReduceSumSquare") X(LOG_SUM, "ReduceLogSum")                            \
    X(LOG_SUM_EXP, "ReduceLogSumExp")
typedef enum KerbReduction {
#define KERB_REDUCTION_ENUM(e, name) KERB_REDUCE_##e,
    KERB_REDUCTIONS(KERB_REDUCTION_ENUM)
#undef KERB_REDUCTION_ENUM
    KERB_REDUCE_COUNT
} KerbReduction;

/* An activation fused behind an operator: act(x), `unary` as in KERB_OP_UNARY, or CLIP with lo..hi. */
typedef enum KerbActivationKind { KERB_ACT_NONE, KERB_ACT_UNARY, KERB_ACT_CLIP, KERB_ACT_PRELU /* slope by channel, attrs' slope value */ } KerbActivationKind;
typedef struct KerbActivation {
    KerbActivationKind kind;
    KerbUnary unary;
    float alpha, beta; /* of the unary */
    float lo, hi;      /* of CLIP */
    uint32_t slope;    /* PRELU: a constant value with one element or C of them; otherwise KERB_NO_VALUE */
} KerbActivation;

typedef enum KerbAutoPad { KERB_PAD_EXPLICIT, KERB_PAD_SAME_UPPER, KERB_PAD_SAME_LOWER, KERB_PAD_VALID } KerbAutoPad;

/* Spatial window: arrays have `n` entries, in the order of the spatial axes (H, W). Shape inference turns auto_pad into pads. */
typedef struct KerbWindow {
    int n; /* spatial axes 1..KERB_MAX_SPATIAL; 0: not given (from the weights) */
    int64_t kernel[KERB_MAX_SPATIAL], stride[KERB_MAX_SPATIAL], dilation[KERB_MAX_SPATIAL];
    int64_t pad_begin[KERB_MAX_SPATIAL], pad_end[KERB_MAX_SPATIAL];
    KerbAutoPad auto_pad;
} KerbWindow;

typedef struct KerbConvAttrs { /* y = act(conv(x) + bias + residual) */
    KerbWindow window;
    int64_t group;
    int64_t output_padding[KERB_MAX_SPATIAL]; /* CONV_TRANSPOSE */
    int64_t output_shape[KERB_MAX_SPATIAL];   /* CONV_TRANSPOSE; all 0: not given */
    KerbActivation act;
} KerbConvAttrs;
typedef struct KerbPoolAttrs {
    KerbWindow window;
    bool ceil_mode, count_include_pad, column_major; /* column_major: MaxPool's storage_order = 1 */
} KerbPoolAttrs;

typedef enum KerbResizeMode { KERB_RESIZE_NEAREST, KERB_RESIZE_LINEAR, KERB_RESIZE_CUBIC } KerbResizeMode;
typedef enum KerbCoordinates { KERB_COORD_HALF_PIXEL, KERB_COORD_HALF_PIXEL_SYMMETRIC, KERB_COORD_PYTORCH_HALF_PIXEL, KERB_COORD_ALIGN_CORNERS,
                               KERB_COORD_ASYMMETRIC, KERB_COORD_TF_CROP_AND_RESIZE } KerbCoordinates;
typedef enum KerbNearest { KERB_NEAREST_ROUND_PREFER_FLOOR, KERB_NEAREST_ROUND_PREFER_CEIL, KERB_NEAREST_FLOOR, KERB_NEAREST_CEIL } KerbNearest;
typedef enum KerbAspect { KERB_ASPECT_STRETCH, KERB_ASPECT_NOT_LARGER, KERB_ASPECT_NOT_SMALLER } KerbAspect;
typedef struct KerbResizeAttrs {
    KerbResizeMode mode;
    KerbCoordinates coordinates;
    KerbNearest nearest;
    KerbAspect aspect;
    bool antialias, exclude_outside;
    bool zero_border; /* linear, by the pass that recognises FCN's bilinear ConvTranspose: samples outside are 0, not the edge's */
    float cubic_a, extrapolation;
    int n_axes; /* 0: all axes; otherwise roi, scales, sizes are for these */
    int64_t axes[KERB_MAX_RANK];
    /* Filled by shape inference: for every axis of x the scale as ONNX defines it (output coordinate / input coordinate), so that backends
     * need not look at inputs 1..3 again. */
    double scale[KERB_MAX_RANK];
} KerbResizeAttrs;

/* What GridSample sees outside x. */
typedef enum KerbGridPadding { KERB_GRID_ZEROS, KERB_GRID_BORDER, KERB_GRID_REFLECTION } KerbGridPadding;

typedef union KerbAttrs {
    KerbConvAttrs conv;
    KerbPoolAttrs pool;
    KerbResizeAttrs resize;
    struct { float epsilon; } norm;
    struct { float alpha, beta, bias; int64_t size; } lrn;
    struct { KerbUnary kind; float alpha, beta; } unary;
    struct { KerbBinary kind; bool fmod; KerbActivation act; } binary;
    struct {
        KerbReduction kind;
        bool keepdims, noop_with_empty_axes;
        bool spatial; /* over all axes from 2 on, whatever the rank (global pools); there is no axes input then */
    } reduce;
    struct { int64_t axis; bool keepdims, select_last, is_min; } arg;
    struct { int64_t axis; bool log; bool flatten; /* opset < 13: all axes from `axis` on, together */ } softmax;
    struct { int n; int64_t perm[KERB_MAX_RANK]; } transpose; /* n 0: reversed */
    struct { bool allow_zero; } reshape;
    struct { KerbDtype to; } cast;
    struct { int mode; } pad; /* KerbPadMode */
    struct { int64_t axis; } split;
    struct { int64_t start, end; bool has_end; } shape;
    struct { KerbDtype dtype; double value; int64_t value_i64; } fill;
    struct { int64_t size; bool crd; } block; /* DCR otherwise */
    struct { float alpha, beta; bool trans_a, trans_b; KerbActivation act; } gemm;
    struct { int64_t axis, block_size; KerbDtype out; } quantize; /* out: QUANTIZE's output type where there is no zero point; NONE: u8 */
    struct { bool exclusive, reverse; } cumsum;
    struct { KerbResizeMode mode; KerbGridPadding padding; bool align_corners; } grid;
    int64_t axis;
} KerbAttrs;
typedef enum KerbPadMode { KERB_PADDING_CONSTANT, KERB_PADDING_REFLECT, KERB_PADDING_EDGE, KERB_PADDING_WRAP } KerbPadMode;

typedef struct KerbValue {
    const char *name;
    KerbDtype dtype; /* NONE: not known yet */
    int rank;        /* -1: not known yet */
    int64_t dims[KERB_MAX_RANK];            /* KERB_DIM_UNKNOWN where not known yet */
    const char *symbols[KERB_MAX_RANK];     /* "height" for a symbolic dim of a graph input; else NULL */
    const void *data;                       /* constant: dense row-major, borrowed from the model's mapping or the graph's arena; may be
                                             * unaligned (read through kerb_tensor_get, which is safe, or memcpy); NULL: computed */
    bool borrowed;                          /* data lies outside the graph's arena, in memory that outlives every graph made from it */
    uint32_t producer;                      /* node, or KERB_NO_NODE for inputs and constants */
    /* A constant that a DequantizeLinear of constants was folded into: that node's inputs (zero may be KERB_NO_VALUE) and axis, so that backends
     * with integer arithmetic find the integers again. Passes that change the numbers make new values, which do not say this. */
    bool dequantized;
    uint32_t integers, integers_scale, integers_zero;
    int64_t integers_axis;
} KerbValue;

typedef struct KerbNode {
    KerbOp op;
    const char *name;   /* the model's, or invented ("Conv_12"); never NULL */
    int n_inputs, n_outputs;
    uint32_t *inputs;   /* value ids; KERB_NO_VALUE: absent */
    uint32_t *outputs;  /* never KERB_NO_VALUE */
    KerbAttrs attrs;
    bool dead;          /* removed; skipped by everyone */
} KerbNode;

/* How the scores of one graph output become labels: what the head-stripping pass took off the end of the model, so that the tail can
 * do it at the frame's resolution. `value` is the graph output that is left. */
typedef enum KerbHeadKind {
    KERB_HEAD_SCORES,   /* (1, C, h, w), C >= 2: label = argmax over C */
    KERB_HEAD_BINARY,   /* (1, 1, h, w): label 1 where the score passes the threshold */
    KERB_HEAD_LABELS,   /* (1, 1, h, w) or (1, h, w): already labels */
} KerbHeadKind;
typedef struct KerbHead {
    const char *name;     /* of the model's own output */
    uint32_t value;
    KerbHeadKind kind;
    int channel_axis;     /* logical axis of the classes in `value`; -1: none (LABELS of rank 3) */
    bool probabilities;   /* SCORES/BINARY: values are already softmax/sigmoid outputs (could not be stripped); else logits */
    float threshold;      /* BINARY: in the unit of the value: 0 for logits, 0.5 for probabilities */
    /* The upsampling that was taken off, in the sense of Resize: the model's own output had out_height x out_width (0: none was taken off).
     * Only modes whose weights are convex (linear, nearest) are ever taken off. */
    bool stripped_activation; /* a softmax or sigmoid was taken off: the model's own output had probabilities, `value` has logits */
    bool stripped_resize;
    KerbResizeMode resize_mode;
    KerbCoordinates coordinates;
    int64_t out_height, out_width;
    double scale_y, scale_x; /* as KerbResizeAttrs.scale */
    int64_t crop_y, crop_x;  /* half_pixel only: the model's own output began at this pixel of the resized picture (FCN crops its upsampling) */
} KerbHead;

typedef struct KerbNames KerbNames; /* names taken, for kerb_graph_name() and kerb_graph_find(); graph.c's own */

typedef struct KerbGraph {
    KerbNames *names;
    KerbArena *arena; /* everything below; freed with the graph */
    KerbValue *values; int n_values, cap_values;
    KerbNode *nodes; int n_nodes, cap_nodes; /* in topological order after import */
    uint32_t *inputs; int n_inputs;          /* without those that have constants */
    uint32_t *outputs; int n_outputs;
    KerbHead *heads; int n_heads;            /* one an output after head stripping; 0 before */
    int64_t opset; const char *producer;     /* of the model, for messages */
    int n_metadata; const char **metadata_keys, **metadata_values; /* the model's metadata_props */
} KerbGraph;

KerbStatus kerb_graph_new(KerbGraph **out, KerbError *error);
void kerb_graph_free(KerbGraph **graph);
/* Copies; constants whose bytes are in the model's mapping stay borrowed. Passes work on a copy, so that one import serves many sizes. */
KerbStatus kerb_graph_clone(const KerbGraph *graph, KerbGraph **out, KerbError *error);

/* Adds; the returned id is stable, the pointer from kerb_graph_value() is not (arrays grow). KERB_NO_VALUE/KERB_NO_NODE: out of memory. */
uint32_t kerb_graph_add_value(KerbGraph *graph, const char *name, KerbDtype dtype, int rank, const int64_t dims[]);
/* A constant; copies `bytes` of data into the arena where `copy`. Dense row-major. */
uint32_t kerb_graph_add_constant(KerbGraph *graph, const char *name, KerbDtype dtype, int rank, const int64_t dims[], const void *data, bool copy);
/* Appends; inputs and outputs are copied; outputs' producer is set. */
uint32_t kerb_graph_add_node(KerbGraph *graph, KerbOp op, const char *name, int n_inputs, const uint32_t inputs[], int n_outputs, const uint32_t outputs[]);
/* The value of that name (the first that was added with it), or KERB_NO_VALUE. */
uint32_t kerb_graph_find(const KerbGraph *graph, const char *name);
/* A fresh name that no value or node has: "Conv_7.bias". NULL: out of memory. */
const char *kerb_graph_name(KerbGraph *graph, const char *base, const char *suffix);

static inline KerbValue *kerb_graph_value(const KerbGraph *g, uint32_t id) { return id == KERB_NO_VALUE ? NULL : &g->values[id]; }
static inline bool kerb_value_is_constant(const KerbValue *v) { return v && v->data; }
/* The i-th input's value of a node, or NULL where absent or i is past the end. */
KerbValue *kerb_node_input(const KerbGraph *g, const KerbNode *n, int i);
/* A tensor view of a constant (data not to be written); rank and dims must be known. */
KerbTensor kerb_value_tensor(const KerbValue *v);
/* Reads constant integers (i32, i64, also one-element f32 that are whole) into out; the number, or -1 where not a constant or more than max. */
int kerb_value_integers(const KerbValue *v, int64_t out[], int max);
/* Reads a constant as floats, at most max; the number or -1. */
int kerb_value_floats(const KerbValue *v, float out[], int max);
/* Number of live nodes that read the value (a node reading it twice counts twice) plus one for each graph output that is it. */
int kerb_graph_uses(const KerbGraph *g, uint32_t value);
/* Every reader of `from` (nodes and graph outputs) reads `to` from now on. */
void kerb_graph_replace(KerbGraph *g, uint32_t from, uint32_t to);
/* Puts live nodes in topological order, drops dead ones. ASSET for a cycle (names a node on it). */
KerbStatus kerb_graph_sort(KerbGraph *g, KerbError *error);
/* Turns a graph input into a constant (conformance cases that pass shapes as inputs). Copies the data. */
KerbStatus kerb_graph_bind_constant(KerbGraph *g, uint32_t input, const KerbTensor *t, KerbError *error);
/* Sets the dims of a graph input (all known). ARGUMENT where they contradict a fixed dim; the message names both. */
KerbStatus kerb_graph_bind_input(KerbGraph *g, uint32_t input, int rank, const int64_t dims[], KerbError *error);

const char *kerb_op_name(KerbOp op);            /* "Conv" */
const char *kerb_node_kind(const KerbNode *n);  /* as the model says it: "Relu" for UNARY, "ReduceMean" for REDUCE, else kerb_op_name */

#endif
