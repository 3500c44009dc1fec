/* SPDX-License-Identifier: MIT */
/* cuDNN 9's backend API on the host. dnn.c: descriptors and their attributes; dnn_graph.c: from descriptors to a program, which engines take it, plans as
 * text; dnn_run.c: what a program computes. A program is plain data: it is copied, written as text and read back. */
#ifndef KERB_STANDIN_DNN_H
#define KERB_STANDIN_DNN_H

#include "machine.h"

#pragma GCC visibility push(default)
#include <cudnn_graph.h>
#pragma GCC visibility pop

enum { KERB_DNN_RANK = 4, KERB_DNN_TENSORS = 48, KERB_DNN_OPS = 16 };

typedef struct KerbDnnTensor {
    int64_t uid, alignment;
    int64_t dims[KERB_DNN_RANK], strides[KERB_DNN_RANK]; /* N, C, H, W; elements */
    int32_t type;                                        /* cudnnDataType_t */
    int32_t is_virtual, by_value;
} KerbDnnTensor;

typedef enum KerbDnnOpKind { KERB_DNN_CONV, KERB_DNN_DGRAD, KERB_DNN_POINTWISE } KerbDnnOpKind;

/* Tensors by index. conv: y = alpha conv(x, b = w) + beta y; dgrad: x = DY, y = DX; pointwise: y = mode(alpha x, beta b), t selects. */
typedef struct KerbDnnOp {
    int32_t kind, x, b, t, y; /* -1: none */
    int32_t compute;          /* cudnnDataType_t */
    int32_t mode;             /* cudnnPointwiseMode_t */
    int32_t reserved;
    int64_t pre[2], post[2], stride[2], dilation[2];
    double alpha, beta, lower, upper, slope, elu, softplus, swish;
} KerbDnnOp;

typedef struct KerbDnnProgram {
    int32_t sm, engine, n_tensors, n_ops;
    KerbDnnTensor tensors[KERB_DNN_TENSORS];
    KerbDnnOp ops[KERB_DNN_OPS];
} KerbDnnProgram;

/* Engines: FALLBACK is plain, slow and unfused, for any layout; TENSOR is fused, its f32 is TF32; EXACT is fused, f32 is f32, and needs workspace; PLAIN
 * is the same without; HOPEFUL is proposed by the heuristics and then finalises for nothing, as real ones sometimes do. */
enum { KERB_ENGINE_FALLBACK, KERB_ENGINE_TENSOR, KERB_ENGINE_EXACT, KERB_ENGINE_HOPEFUL, KERB_ENGINE_PLAIN, KERB_ENGINES };

/* What a descriptor holds; never changed once finalised, and then shared by all that refer to it. */
typedef struct KerbDnnAttribute {
    int32_t name, type;
    int64_t count;
    void *data; /* of descriptors: KerbDnnContent pointers */
} KerbDnnAttribute;

typedef struct KerbDnnContent {
    int refs;
    cudnnBackendDescriptorType_t type;
    bool finalised;
    KerbDnnAttribute *attributes;
    int n_attributes;
    KerbDnnProgram *program; /* graphs, engines, configurations, plans: own copy */
    int engines[KERB_ENGINES], n_engines;
    char *text; /* of plans and device properties */
} KerbDnnContent;

const KerbDnnAttribute *kerb_dnn_find(const KerbDnnContent *c, int name);
/* The i-th descriptor of an attribute; NULL: none. */
KerbDnnContent *kerb_dnn_child(const KerbDnnContent *c, int name, int64_t i);
int64_t kerb_dnn_int(const KerbDnnContent *c, int name, int64_t otherwise);
double kerb_dnn_real(const KerbDnnContent *c, int name, double otherwise);
size_t kerb_dnn_attribute_bytes(int type);
/* An own copy of a program (NULL: an empty one) in place of what was there. */
void kerb_dnn_program_copy(KerbDnnContent *to, const KerbDnnProgram *from);
/* Keeps the words for cudnnGetLastErrorString() and returns the code. */
cudnnStatus_t kerb_dnn_say(cudnnStatus_t code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Finalises a descriptor of these kinds (dnn_graph.c). */
cudnnStatus_t kerb_dnn_finalise_graph(KerbDnnContent *c);
cudnnStatus_t kerb_dnn_finalise_heuristics(KerbDnnContent *c);
cudnnStatus_t kerb_dnn_finalise_plan(KerbDnnContent *c);
int64_t kerb_dnn_workspace(const KerbDnnProgram *p);
size_t kerb_dnn_type_bytes(int type);
int64_t kerb_dnn_extent(const KerbDnnTensor *t); /* elements from the first to behind the last */

typedef struct KerbDnnRun {
    KerbDnnProgram *program;
    void *pointers[KERB_DNN_TENSORS];
    double values[KERB_DNN_TENSORS]; /* of tensors by value */
    void *workspace;
} KerbDnnRun;
/* On a stream's thread. */
void kerb_dnn_run(const KerbDnnRun *run);

#endif
