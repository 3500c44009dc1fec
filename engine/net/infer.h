/* SPDX-License-Identifier: MIT */
/* Inside shape inference: what the operators' rules (infer_*.c) get, and how they answer. */
#ifndef KERB_NET_INFER_H
#define KERB_NET_INFER_H

#include "net/graph.h"

#define KERB_INFER_MAX_ELEMENTS ((int64_t)1 << 31)

/* Known dims, whose product is within the limit even if the empty axes are left out: so that partial products never overflow either. */
bool kerb_infer_bounded(int rank, const int64_t dims[]);

/* One node on its way. All inputs that are there have a known type and shape. */
typedef struct KerbInfer {
    KerbGraph *g;
    KerbNode *n;
    KerbError *error;
    bool sized; /* an input has symbolic dims: a contradiction may come from the size that was chosen, so it is ARGUMENT, not ASSET */
} KerbInfer;

/* A rule sets every output that is there (kerb_infer_set) and resolves attributes. */
typedef KerbStatus (*KerbInferFn)(KerbInfer *c);

/* NULL where absent. */
static inline const KerbValue *kerb_infer_in(const KerbInfer *c, int i) { return kerb_node_input(c->g, c->n, i); }

/* Sets type and shape of an output; no-op where the output is absent. Fails past the limits. */
KerbStatus kerb_infer_set(KerbInfer *c, int output, KerbDtype dtype, int rank, const int64_t dims[]);
static inline KerbStatus kerb_infer_same(KerbInfer *c, KerbDtype dtype, const KerbValue *like)
{
    return kerb_infer_set(c, 0, dtype, like->rank, like->dims);
}

/* `Conv 'stem' (inputs 1x3x8x8, 16x4x3x3): <text>` and what to do about it. */
KerbStatus kerb_infer_fail(KerbInfer *c, const char *format, ...) KERB_PRINTF(2, 3);
/* The same for what Kerb cannot do, whatever the size. The text says what to do. */
KerbStatus kerb_infer_unsupported(KerbInfer *c, const char *format, ...) KERB_PRINTF(2, 3);

/* -rank <= axis < rank -> 0..rank-1. */
KerbStatus kerb_infer_axis(KerbInfer *c, int64_t axis, int rank, int *out);
/* The constant integers of input i: *n of them, at most max; 0 where absent. `what` names them in the message ("axes"). */
KerbStatus kerb_infer_integers(KerbInfer *c, int i, const char *what, int64_t out[], int max, int *n);
/* Axes from input i as a set of bits; *any says whether there were any. Duplicates fail. */
KerbStatus kerb_infer_axes(KerbInfer *c, int i, int rank, unsigned *mask, bool *any);
/* dims <- broadcast of dims and b. */
KerbStatus kerb_infer_broadcast(KerbInfer *c, int *rank, int64_t dims[], int b_rank, const int64_t b_dims[]);

/* infer.c: replaces a node whose inputs are all constants (or not looked at) by its results. UNSUPPORTED where ref lacks the operator. */
KerbStatus kerb_node_fold(KerbGraph *g, KerbNode *n, KerbError *error);

/* infer_window.c */
KerbStatus kerb_infer_conv(KerbInfer *c);
KerbStatus kerb_infer_conv_transpose(KerbInfer *c);
KerbStatus kerb_infer_pool(KerbInfer *c);
KerbStatus kerb_infer_max_unpool(KerbInfer *c);
KerbStatus kerb_infer_qlinear_conv(KerbInfer *c);
/* infer_resize.c */
KerbStatus kerb_infer_resize(KerbInfer *c);
KerbStatus kerb_infer_grid_sample(KerbInfer *c);
/* infer_math.c */
KerbStatus kerb_infer_norm(KerbInfer *c);
KerbStatus kerb_infer_unary(KerbInfer *c);
KerbStatus kerb_infer_binary(KerbInfer *c);
KerbStatus kerb_infer_clip(KerbInfer *c);
KerbStatus kerb_infer_where(KerbInfer *c);
KerbStatus kerb_infer_reduce(KerbInfer *c);
KerbStatus kerb_infer_arg(KerbInfer *c);
KerbStatus kerb_infer_softmax(KerbInfer *c);
KerbStatus kerb_infer_lrn(KerbInfer *c);
KerbStatus kerb_infer_cast(KerbInfer *c);
KerbStatus kerb_infer_cumsum(KerbInfer *c);
KerbStatus kerb_infer_matmul(KerbInfer *c);
KerbStatus kerb_infer_qlinear_matmul(KerbInfer *c);
KerbStatus kerb_infer_gemm(KerbInfer *c);
KerbStatus kerb_infer_quantize(KerbInfer *c);
KerbStatus kerb_infer_dequantize(KerbInfer *c);
/* infer_reshape.c: the same elements under other axes; shapes as values */
KerbStatus kerb_infer_identity(KerbInfer *c);
KerbStatus kerb_infer_transpose(KerbInfer *c);
KerbStatus kerb_infer_reshape(KerbInfer *c);
KerbStatus kerb_infer_flatten(KerbInfer *c);
KerbStatus kerb_infer_unsqueeze(KerbInfer *c);
KerbStatus kerb_infer_squeeze(KerbInfer *c);
KerbStatus kerb_infer_depth_to_space(KerbInfer *c);
KerbStatus kerb_infer_space_to_depth(KerbInfer *c);
KerbStatus kerb_infer_shape(KerbInfer *c);
KerbStatus kerb_infer_size(KerbInfer *c);
/* infer_index.c: choosing, repeating and joining elements */
KerbStatus kerb_infer_concat(KerbInfer *c);
KerbStatus kerb_infer_split(KerbInfer *c);
KerbStatus kerb_infer_slice(KerbInfer *c);
KerbStatus kerb_infer_pad(KerbInfer *c);
KerbStatus kerb_infer_gather(KerbInfer *c);
KerbStatus kerb_infer_gather_elements(KerbInfer *c);
KerbStatus kerb_infer_constant_of_shape(KerbInfer *c);
KerbStatus kerb_infer_expand(KerbInfer *c);
KerbStatus kerb_infer_tile(KerbInfer *c);
KerbStatus kerb_infer_range(KerbInfer *c);

#endif
