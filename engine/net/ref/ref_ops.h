/* SPDX-License-Identifier: MIT */
/* Inside the ref room: how an operator is called, and how it reads and writes strided tensors of any type.
 *
 * Floats are worked on in double and integers in int64, a block of a row at a time: one type switch a block, not one an element.
 * Nothing here allocates. Strides may be negative and data unaligned; shapes come from shape inference and are trusted, values
 * (indices, axes) are not. */
#ifndef KERB_NET_REF_OPS_H
#define KERB_NET_REF_OPS_H

#include "net/ref/ref.h"

#define KERB_REF_BLOCK 256 /* elements that are worked on at a time */
#define KERB_REF_WALKED 7  /* tensors that one walk moves over */

/* One evaluation. in[i] is valid for i < n_in; kerb_ref_input() hides absent ones. */
typedef struct KerbRefCall {
    const KerbGraph *g;
    const KerbNode *n;
    const KerbTensor *in;
    KerbTensor *out;
    int n_in, n_out;
    KerbError *error;
} KerbRefCall;

typedef KerbStatus (*KerbRefFn)(const KerbRefCall *c);

/* Families. Each lives in the file of its name. */
KerbStatus kerb_ref_unary(const KerbRefCall *c);
KerbStatus kerb_ref_binary(const KerbRefCall *c);
KerbStatus kerb_ref_clip(const KerbRefCall *c);
KerbStatus kerb_ref_where(const KerbRefCall *c);
KerbStatus kerb_ref_reshape(const KerbRefCall *c);
KerbStatus kerb_ref_cast(const KerbRefCall *c);
KerbStatus kerb_ref_transpose(const KerbRefCall *c);
KerbStatus kerb_ref_concat(const KerbRefCall *c);
KerbStatus kerb_ref_split(const KerbRefCall *c);
KerbStatus kerb_ref_slice(const KerbRefCall *c);
KerbStatus kerb_ref_shape(const KerbRefCall *c);
KerbStatus kerb_ref_size(const KerbRefCall *c);
KerbStatus kerb_ref_gather(const KerbRefCall *c);
KerbStatus kerb_ref_gather_elements(const KerbRefCall *c);
KerbStatus kerb_ref_constant_of_shape(const KerbRefCall *c);
KerbStatus kerb_ref_expand(const KerbRefCall *c);
KerbStatus kerb_ref_tile(const KerbRefCall *c);
KerbStatus kerb_ref_range(const KerbRefCall *c);
KerbStatus kerb_ref_depth_to_space(const KerbRefCall *c);
KerbStatus kerb_ref_space_to_depth(const KerbRefCall *c);
KerbStatus kerb_ref_pad(const KerbRefCall *c);
KerbStatus kerb_ref_reduce(const KerbRefCall *c);
KerbStatus kerb_ref_arg(const KerbRefCall *c);
KerbStatus kerb_ref_softmax(const KerbRefCall *c);
KerbStatus kerb_ref_cumsum(const KerbRefCall *c);
KerbStatus kerb_ref_batch_norm(const KerbRefCall *c);
KerbStatus kerb_ref_instance_norm(const KerbRefCall *c);
KerbStatus kerb_ref_lrn(const KerbRefCall *c);
KerbStatus kerb_ref_conv(const KerbRefCall *c);
KerbStatus kerb_ref_conv_transpose(const KerbRefCall *c);
KerbStatus kerb_ref_max_pool(const KerbRefCall *c);
KerbStatus kerb_ref_average_pool(const KerbRefCall *c);
KerbStatus kerb_ref_max_unpool(const KerbRefCall *c);
KerbStatus kerb_ref_resize(const KerbRefCall *c);
KerbStatus kerb_ref_grid_sample(const KerbRefCall *c);
KerbStatus kerb_ref_matmul(const KerbRefCall *c);
KerbStatus kerb_ref_gemm(const KerbRefCall *c);
KerbStatus kerb_ref_quantize(const KerbRefCall *c);
KerbStatus kerb_ref_dequantize(const KerbRefCall *c);
KerbStatus kerb_ref_qlinear_conv(const KerbRefCall *c);
KerbStatus kerb_ref_qlinear_matmul(const KerbRefCall *c);

/* A failure that names node and operator: `Resize "up1": ...`. */
KerbStatus kerb_ref_fail(const KerbRefCall *c, KerbStatus status, const char *format, ...) KERB_PRINTF(3, 4);

/* NULL where absent. A tensor without elements is there even if its data is NULL. */
const KerbTensor *kerb_ref_input(const KerbRefCall *c, int i);
const KerbTensor *kerb_ref_output(const KerbRefCall *c, int i);
/* Reads an integer input (axes, pads...) of at most `max` elements; the number, 0 where absent, -1 (and a message) where too long. */
int kerb_ref_integers(const KerbRefCall *c, int input, int64_t out[], int max);
/* -rank <= axis < rank -> 0..rank-1; false (and a message) otherwise. */
bool kerb_ref_axis(const KerbRefCall *c, int64_t axis, int rank, int *out);

static inline bool kerb_ref_is_integer(const KerbTensor *t) { return !kerb_dtype_is_float(t->dtype); }

/* `n` elements from element `offset` on (of t->data, not logical), `stride` elements apart. */
void kerb_ref_read(const KerbTensor *t, int64_t offset, int64_t stride, int n, double out[]);
void kerb_ref_read_i64(const KerbTensor *t, int64_t offset, int64_t stride, int n, int64_t out[]); /* u64 as its bits */
/* Rounds to the float types to nearest even; to integers truncates and saturates. */
void kerb_ref_write(const KerbTensor *t, int64_t offset, int64_t stride, int n, const double in[]);
void kerb_ref_write_i64(const KerbTensor *t, int64_t offset, int64_t stride, int n, const int64_t in[]); /* to integers wraps */
static inline double kerb_ref_load(const KerbTensor *t, int64_t offset)
{
    double v;
    kerb_ref_read(t, offset, 0, 1, &v);
    return v;
}
static inline int64_t kerb_ref_load_i64(const KerbTensor *t, int64_t offset)
{
    int64_t v;
    kerb_ref_read_i64(t, offset, 0, 1, &v);
    return v;
}
static inline void kerb_ref_store(const KerbTensor *t, int64_t offset, double v) { kerb_ref_write(t, offset, 0, 1, &v); }
static inline void kerb_ref_store_i64(const KerbTensor *t, int64_t offset, int64_t v) { kerb_ref_write_i64(t, offset, 0, 1, &v); }

/* Moves over up to KERB_REF_WALKED tensors row by row, in row-major order of `dims`; tensors broadcast to dims from the right.
 * Neighbouring axes that all tensors lay out alike are one row. A row is `row` elements from offset[i], step[i] apart. */
typedef struct KerbRefWalk {
    int n, rank; /* outer axes */
    bool done;
    int64_t row;
    int64_t offset[KERB_REF_WALKED], step[KERB_REF_WALKED];
    int64_t index[KERB_MAX_RANK], dims[KERB_MAX_RANK], strides[KERB_REF_WALKED][KERB_MAX_RANK];
} KerbRefWalk;
void kerb_ref_walk(KerbRefWalk *w, int rank, const int64_t dims[], int n, const KerbTensor *const tensors[]);
void kerb_ref_walk_next(KerbRefWalk *w);

/* Splits the axes of `t` in two views by the bits of `mask`: the axes that are set, and the others. Data and type are t's. */
void kerb_ref_split_axes(const KerbTensor *t, unsigned mask, KerbTensor *set, KerbTensor *others);
/* The same tensor with its data moved on by some elements, along the strides. */
KerbTensor kerb_ref_shift(const KerbTensor *t, int64_t elements);
/* Copies between views of one shape, converting where types differ (as Cast). */
void kerb_ref_copy(const KerbTensor *dst, const KerbTensor *src);

/* A spatial window over tensors seen as (N, C, D, H, W): missing leading axes have kernel 1, stride 1, no padding. */
typedef struct KerbRefWindow {
    int64_t kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
} KerbRefWindow;
/* `weights`: where the window does not say its kernel, its last axes do; NULL: none. False (and a message) for what cannot be. */
bool kerb_ref_window(const KerbRefCall *c, const KerbWindow *window, int spatial, const KerbTensor *weights, KerbRefWindow *out);
/* The same tensor with five axes: ones are put in after the second. Rank 3..5. */
KerbTensor kerb_ref_5d(const KerbTensor *t);

/* Sums of a convolution, for QLinearConv too: w and x are taken less their zero points, so that padding counts 0. Exact for
 * quantised integers (a double holds 53 bits). */
typedef struct KerbRefConv {
    KerbTensor x, w; /* five axes */
    KerbRefWindow window;
    int64_t group;
    double x_zero;
} KerbRefConv;
bool kerb_ref_conv_init(const KerbRefCall *c, KerbRefConv *conv, const KerbTensor *x, const KerbTensor *w, const KerbTensor *y);
/* Adds to sums[0..n-1] for the output pixels (batch, oc, at[0], at[1], at[2]..at[2]+n-1); n <= KERB_REF_BLOCK. */
void kerb_ref_conv_row(const KerbRefConv *conv, int64_t batch, int64_t oc, const int64_t at[3], int n, double w_zero, double sums[]);

/* Keys' cubic convolution kernel; `a` is ONNX's cubic_coeff_a. */
double kerb_ref_cubic(double x, double a);

/* Activations. `slope` is a view that broadcasts to the output, for PRELU; dtype NONE otherwise. */
void kerb_ref_unary_block(KerbUnary kind, double alpha, double beta, int n, double x[]);
KerbTensor kerb_ref_slope(const KerbGraph *g, const KerbActivation *act, const KerbTensor *y);
void kerb_ref_activate(const KerbActivation *act, const double slope[], int n, double x[]);

#endif
