/* SPDX-License-Identifier: MIT */
/* Inside the compiler of the CUDA backend: an optimised graph becomes a list of steps over one device arena (net.h).
 *
 * Four lifetimes. Compile: every node is turned into steps (or into a view, or fused into a later one); memory is asked for by *roots*,
 * whose life is the span of steps that touch them. Bind: roots have got their places, steps make arguments and pointers. Enqueue: steps in
 * order, each puts its work onto the stream; nothing is allocated. Free.
 *
 * A value may be in two places: on the device, in the backend's type and layout, and on the host, dense in the graph's own type, where a
 * step of the reference made it or wants it. Transfers are steps too, made when somebody asks for a value where it is not yet. So a run of
 * nodes that only the reference can do copies at its two ends only, and constants of shape arithmetic never leave the host. */
#ifndef KERB_CUDA_NET_COMPILE_H
#define KERB_CUDA_NET_COMPILE_H

#include <limits.h>

#include "cuda/net/kernels.h"
#include "cuda/net/net.h"

typedef struct KerbCompiler {
    KerbNet *net;
    const KerbGraph *g;
    const KerbCompileOptions *options;
    KerbError *error;
    KerbOperand *values;      /* by value id, on the device; t.dtype NONE: not there */
    KerbOperand *host_values; /* by value id, on the host; t.dtype NONE: not there */
    uint32_t *slot;           /* by value id: the concatenation's output in which it is to be written, or KERB_NO_VALUE */
    int64_t *slot_channel;    /* and from which channel on */
    uint32_t *fused_into;     /* by node: the later node that does its work; KERB_NO_NODE: none */
    int *readers;             /* by value id: kerb_graph_uses(); an output counts KERB_READERS_KEPT */
    uint32_t *reader;         /* by value id: a node that reads it (the only one where readers is 1), KERB_NO_NODE: only an output */
    int node;                 /* index of the node that is being compiled */
    int convolutions, all_convolutions;
    uint8_t *int8; /* by node: KerbInt8Kind; all NONE outside of precision int8 */
    bool *skipped; /* by node: nobody reads what it makes (DequantizeLinear before integer steps) */
} KerbCompiler;

/* What reads integers where the graph has DequantizeLinear -> node -> QuantizeLinear. */
typedef enum KerbInt8Kind {
    KERB_INT8_NONE,
    KERB_INT8_CONV,
    KERB_INT8_POOL,
    KERB_INT8_RESIZE,
    KERB_INT8_CONCAT,
    KERB_INT8_FINISH
} KerbInt8Kind;

/* ---- values.c: where values are ---- */

/* Channels adjacent, N = 1, floats or 8-bit integers, pixel pitch and start multiples of the pitch unit, padding channels its own. */
bool kerb_cuda_is_picture(const KerbOperand *o);
int32_t
kerb_cuda_padding(const KerbOperand *o); /* channels up to the pitch unit that whoever writes the picture sets to 0; 0: no picture */
/* Is the value one that lies channels-last (rank 4, N = 1, f32; i8 and u8 in int8 chains)? */
bool kerb_cuda_lies_as_picture(const KerbGraph *g, uint32_t id);
int kerb_cuda_pitch_unit(KerbDtype dtype); /* 16 bytes' worth, as cuDNN's fast kernels want it: 4 of f32, 8 of f16 and bf16, 16 of i8 */
/* What a picture of the graph's shape is in the usual layout. */
KerbTensor kerb_cuda_picture_tensor(KerbDtype dtype, int rank, const int64_t dims[]);
/* Type of the value on the device: the net's for f32 pictures (but one that is quantised at once), else the graph's. */
KerbDtype kerb_cuda_type(const KerbCompiler *c, uint32_t id);

/* The value on the device: where it was placed; constants and what the host made are uploaded. */
KerbStatus kerb_cuda_value(KerbCompiler *c, uint32_t id, KerbOperand *out);
/* As a picture in `dtype` (NONE: as it is): a copy is inserted where it is not. */
KerbStatus kerb_cuda_picture(KerbCompiler *c, uint32_t id, KerbDtype dtype, KerbOperand *out);
/* The value on the host, in the graph's type, any strides; absent ones (KERB_NO_VALUE) too. */
KerbStatus kerb_cuda_host_value(KerbCompiler *c, uint32_t id, KerbOperand *out);
/* Memory for a value in its usual layout (in the slice of a concatenation where one waits for it). */
KerbStatus kerb_cuda_place(KerbCompiler *c, uint32_t id, KerbOperand *out);
/* Like kerb_cuda_place(), but in the place of `input` where nobody reads that later and the layouts are equal. */
KerbStatus kerb_cuda_place_over(KerbCompiler *c, uint32_t id, const KerbOperand *input, int uses_here, KerbOperand *out);
KerbStatus kerb_cuda_place_host(KerbCompiler *c, uint32_t id, KerbOperand *out);
/* The value is a view: `t` (data ignored) at `offset` bytes from the start of `of`. */
void kerb_cuda_alias(KerbCompiler *c, uint32_t id, const KerbOperand *of, const KerbTensor *t, size_t offset);
/* Memory for the time between the steps that use it. */
KerbStatus kerb_cuda_temporary(KerbCompiler *c, KerbSpace space, const KerbTensor *t, KerbOperand *out);
/* Elements from the first to the one past the last that the strides reach. */
size_t kerb_cuda_span(const KerbTensor *t);
/* Bytes that a tensor needs: its span, and where it has rank 4 the padding channels of the last pixel. */
size_t kerb_cuda_extent(const KerbTensor *t);

/* ---- blocks.c: weights and tables on the device ---- */

/* The bytes on the device, shared with every block of equal bytes; freed with the net, counted as weights. NULL: message written. */
void *kerb_cuda_block(KerbCompiler *c, const void *bytes, size_t n);
/* The status whose message has been written, after a function that says so by NULL. */
KerbStatus kerb_cuda_failed(const KerbCompiler *c);
/* `n` zeroed bytes of the host, freed by the caller with kerb_free(). NULL: message written. */
void *kerb_cuda_bytes(KerbCompiler *c, size_t n);
/* A constant's floats, on the host, padded with zeros to `padded` elements (of the caller: kerb_free()). *out NULL: no float constant. */
KerbStatus kerb_cuda_floats(KerbCompiler *c, uint32_t id, size_t padded, float **out);
uint64_t kerb_cuda_hash(const void *bytes, size_t n, uint64_t seed);
/* Topology, attributes and constants' bytes. */
uint64_t kerb_cuda_graph_hash(const KerbGraph *g);

/* ---- steps.c ---- */

/* A new step; operands are copied and their roots' lives extended. NULL: out of memory (message written). */
KerbStep *kerb_cuda_step(KerbCompiler *c, const KerbStepKind *kind, const KerbNode *node, const KerbOperand *operands, int n,
                         size_t state_bytes);
void kerb_cuda_label(KerbCompiler *c, KerbStep *step, const char *format, ...) KERB_PRINTF(3, 4);
void *kerb_cuda_object(KerbCompiler *c, size_t bytes);
KerbStatus kerb_cuda_no_memory(KerbCompiler *c, size_t bytes);
KerbPicture kerb_cuda_as_picture(const KerbOperand *o); /* data NULL: bind sets it */
KerbStrided kerb_cuda_as_strided(const KerbOperand *o);
/* A launcher's answer. */
KerbStatus kerb_cuda_launched(const KerbStep *step, cudaError_t code, KerbError *error);
/* The step of a function that the host does within the stream; the function gets the step and says what failed by kerb_cuda_set_fault(). */
KerbStatus kerb_cuda_on_host(KerbNet *net, KerbStep *step, cudaStream_t stream, cudaHostFn_t fn, KerbError *error);
void kerb_cuda_set_fault(KerbNet *net, KerbStatus status, const KerbError *error);

/* ---- step_kernel.c: one launch of an own kernel ---- */

/* The launchers of kernels.h, by name. */
#define KERB_ALL_KERNELS(X) KERB_KERNELS(X) X(reduce, KerbReduceArgs) X(instance_norm, KerbInstanceNormArgs)
typedef enum KerbKernel {
#define KERB_KERNEL_ENUM(name, type) KERB_KERNEL_##name,
    KERB_ALL_KERNELS(KERB_KERNEL_ENUM)
#undef KERB_KERNEL_ENUM
        KERB_KERNEL_COUNT
} KerbKernel;
/* Where in the arguments an operand's address goes once memory has its place. */
typedef struct KerbPatch {
    size_t at; /* offsetof(KerbPoolArgs, x.data) */
    int operand;
} KerbPatch;
/* A step of one launch. `args` is copied. The label is the kernel's name until somebody knows better. NULL: out of memory (message
 * written). */
KerbStep *kerb_cuda_kernel(KerbCompiler *c, const KerbNode *n, KerbKernel kernel, const void *args, const KerbOperand *operands,
                           int n_operands, const KerbPatch *patches, int n_patches);
/* For the kernels that walk: operands[0] is the result. *fits false: the shapes are none that it can go over; nothing was done. */
KerbStatus kerb_cuda_walk_kernel(KerbCompiler *c, const KerbNode *n, KerbKernel kernel, void *args, const KerbOperand *operands,
                                 int n_operands, bool *fits);

/* ---- step_*.c ---- */

/* The step that copies (and converts) src to dst, any strides of the same shape, both on the device. */
KerbStatus kerb_cuda_copy(KerbCompiler *c, const KerbNode *node, const KerbOperand *src, const KerbOperand *dst);
/* Sets a picture's padding channels to 0, where what wrote it could not. */
KerbStatus kerb_cuda_zero_padding(KerbCompiler *c, const KerbNode *n, const KerbOperand *picture);
/* Value x at place `at` along `axis` of y's memory `out`; *there: its producer has written it there (slots), padding and all. */
KerbStatus kerb_cuda_concat_slice(KerbCompiler *c, const KerbNode *n, uint32_t x, uint32_t y, const KerbOperand *out, int axis, int64_t at,
                                  bool *there);
/* Host memory to device memory of the same strides, and back. */
KerbStatus kerb_cuda_upload(KerbCompiler *c, const KerbOperand *host, const KerbOperand *device);
KerbStatus kerb_cuda_download(KerbCompiler *c, const KerbOperand *device, const KerbOperand *host);
/* Between two host tensors, converting; what of dst's span is not an element of it becomes 0. */
KerbStatus kerb_cuda_host_copy(KerbCompiler *c, const KerbOperand *src, const KerbOperand *dst);

/* Each turns a node into steps. *done false: not this kind's case, somebody else's. */
typedef KerbStatus (*KerbCompileFn)(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_conv(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_pool(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_unpool(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_elementwise(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_concat(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_view(KerbCompiler *c, const KerbNode *n,
                                  bool *done); /* reshape family, transpose, slice, split, identity, cast */
KerbStatus kerb_cuda_compile_shuffle(KerbCompiler *c, const KerbNode *n, bool *done); /* depth to space and back */
KerbStatus kerb_cuda_compile_resize(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_axes(KerbCompiler *c, const KerbNode *n, bool *done); /* reductions, softmax, argmax, cumsum */
KerbStatus kerb_cuda_compile_matmul(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_pad(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_norm(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_gather(KerbCompiler *c, const KerbNode *n, bool *done); /* gather, expand, tile, constant of shape */
KerbStatus kerb_cuda_compile_quantize(KerbCompiler *c, const KerbNode *n, bool *done);
KerbStatus kerb_cuda_compile_int8(KerbCompiler *c, const KerbNode *n,
                                  bool *done); /* a QuantizeLinear that does the work of what is before it */
KerbStatus kerb_cuda_compile_ref(KerbCompiler *c, const KerbNode *n);

/* A convolution whose operands are settled -> steps: a plan of cuDNN's, the depthwise kernel, or the direct one. Vectors are the model's
 * own length; all pointers are the caller's. *done false: no problem that any of them solves. */
typedef struct KerbConvParts {
    KerbOperand x, y, z;  /* z.t.dtype NONE: no residual */
    const float *weights; /* of i8: the integers */
    const float *bias, *scale, *slope;
    float y_scale, z_scale;
} KerbConvParts;
KerbStatus kerb_cuda_emit_conv(KerbCompiler *c, const KerbNode *n, const KerbConvParts *parts, bool *done);
KerbStatus kerb_cuda_compile_int8_conv(KerbCompiler *c, const KerbNode *n, bool *done);
/* The pool's and the resize's step between two pictures that are settled (integers, too). *fits false: no such window or table. */
KerbStatus kerb_cuda_emit_pool(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, const KerbOperand *y, bool *fits);
KerbStatus kerb_cuda_emit_resize(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, const KerbOperand *y, bool *fits);

/* Passes over the whole graph before nodes are compiled: what is written into a concatenation's slice; what is fused into a later node. */
void kerb_cuda_plan_slots(KerbCompiler *c);
/* Which nodes work on integers; ARGUMENT where none can. */
KerbStatus kerb_cuda_plan_int8(KerbCompiler *c);

/* ---- compile.c, run.c ---- */
KerbStatus kerb_cuda_compile(KerbNet **out, const KerbGraph *g, const KerbCompileOptions *options, KerbError *error);
void kerb_cuda_net_free(KerbNet **net);
/* A graph input or output as run() takes it: page-locked memory that kernels see, and the launch between it and the device's. */
typedef struct KerbHostTensor {
    KerbTensor t;
    void *seen; /* t.data, as the device sees it */
    size_t bytes;
    bool is_empty;
    KerbCopyArgs copy;
} KerbHostTensor;
/* Makes these, and what times by layer need. */
KerbStatus kerb_cuda_host_tensors(KerbCompiler *c);
KerbStatus kerb_cuda_run(KerbNet *net, KerbError *error);
KerbTrace kerb_cuda_trace(KerbNet *net);

#endif
