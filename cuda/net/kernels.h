/* SPDX-License-Identifier: MIT */
/* The network's own kernels: where cuDNN has none, or is slow. Plain-data arguments and a launcher each; the items are in net/kernel_*.h
 * (base/cuda.h says how a kernel is written), the GPU's launchers in net/kernels.cu, the host twins' in net/kernels_host.c. What prepares arguments
 * on the host, and what is made of several launches, is in net/kernel_args.c.
 *
 * Float types are f32, f16 and bf16; arithmetic is f32. Pictures lie channels-last; channels between c and the pixel pitch are padding: every kernel
 * that writes a picture sets its `padding` to 0, because convolutions read it. Semantics are the graph's (net/graph.h, held against net/ref); what
 * is an ONNX attribute there has the same name here.
 *
 * Launchers queue and return at once: cudaSuccess, what the launch said, or cudaErrorInvalidValue for more than 2^31-1 items or arguments that cannot
 * be. Nothing to do (a dimension of 0) is fine. All are capturable. Pointers are the device's; arguments are copied. */
#ifndef KERB_CUDA_NET_KERNELS_H
#define KERB_CUDA_NET_KERNELS_H

#include "cuda/base/cuda.h"
#include "net/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KERB_WALKED 4 /* tensors that one elementwise kernel goes over */

/* One picture (N = 1) or a slice of a wider one's channels. Strides in elements. data NULL: no picture (residuals). Reading and writing is by 16
 * bytes where data and pitch allow it, whatever c is. */
typedef struct KerbPicture {
    void *data;
    int32_t type; /* KerbDtype: f32, f16, bf16, i8 */
    int32_t c, h, w;
    int64_t row, pixel;
    int32_t padding; /* channels from c on that are this picture's own: set to 0 by who writes it, readable. 0 for a slice that others follow */
} KerbPicture;

/* What a whole picture of that pixel pitch has as padding: up to the next multiple of 8, within the pitch. */
static inline int32_t kerb_picture_padding(int32_t c, int64_t pixel)
{
    int64_t up = ((int64_t)c + 7) / 8 * 8;
    return (int32_t)((up < pixel ? up : pixel) - c);
}

/* Any tensor, any strides (0 broadcasts; negative ones may be read). */
typedef struct KerbStrided {
    void *data;
    int32_t type, rank;
    int32_t dims[KERB_MAX_RANK];
    int64_t strides[KERB_MAX_RANK];
} KerbStrided;

/* The picture as (1, c, h, w). */
KerbStrided kerb_strided_picture(const KerbPicture *p);
/* False where a dim does not fit int32. */
bool kerb_strided_tensor(const KerbTensor *t, void *data, KerbStrided *out);

/* An activation as kernels take it. */
typedef struct KerbFused {
    int32_t kind, unary;      /* KerbActivationKind, KerbUnary */
    float alpha, beta, lo, hi;
    const float *slope;       /* PRELU: by channel (matmul: by column; walks: not used, the slope is an operand) */
    int32_t slope_step;       /* 0: one slope for all */
} KerbFused;
/* Without a slope pointer: set that for PRELU. */
KerbFused kerb_fused(const KerbActivation *act);

/* ---- pictures */

/* y = act(scale[c] * x + bias[c] + z_scale * z), with type change: what cuDNN could not fuse, batch norm that is left over, unary functions.
 * scale, bias: c floats or NULL. y of i8: saturate(round(y * y_scale)). y may be x or z. */
typedef struct KerbFinishArgs {
    KerbPicture x, z, y;
    const float *scale, *bias;
    KerbFused act;
    float z_scale, y_scale; /* 1 unless i8 */
} KerbFinishArgs;

/* Depthwise: y[k] = act(scale[k] * sum over taps of w[tap][k] * x[k / multiplier] + bias[k] + z_scale * z[k]). */
typedef struct KerbDepthwiseArgs {
    KerbPicture x, z, y;
    const float *w;  /* [kernel_h * kernel_w][w_pitch] floats (of i8: the integers); 16-byte loads where w_pitch is a multiple of 4 */
    int32_t w_pitch, multiplier;
    const float *scale, *bias;
    KerbFused act;
    float z_scale, y_scale;
    int32_t kernel[2], stride[2], dilation[2], pad[2]; /* H, W; pad: at the beginning (the end is y's size) */
} KerbDepthwiseArgs;

/* Any convolution: groups, dilation, transposed. The fallback: right, not fast. Weight (output k, input c within the group, r, s) lies at k * w_out +
 * c * w_in + r * w_row + s * w_column; transposed with groups: k within its group, c over all inputs. x and w are of one type. i8 sums are exact. */
typedef struct KerbConvArgs {
    KerbPicture x, z, y;
    const void *w;
    int64_t w_out, w_in, w_row, w_column;
    int32_t w_type;
    const float *scale, *bias;
    KerbFused act;
    float z_scale, y_scale;
    int32_t kernel[2], stride[2], dilation[2], pad[2], group, transposed;
} KerbConvArgs;

/* Max pool and average pool (ceil_mode is a matter of y's size). */
typedef struct KerbPoolArgs {
    KerbPicture x, y;
    int32_t kernel[2], stride[2], dilation[2], pad[2], pad_end[2];
    int32_t count_include_pad; /* average */
    /* Maximum only, NULL: not wanted. Where in the window it was, ky * kernel_w + kx (at most 256 elements), a byte a channel. */
    uint8_t *window_index;
    int64_t index_row, index_pixel; /* elements */
    /* And as ONNX says it: c * h * w + y * w + x (column_major: c * h * w + x * h + y), from flat_base on. */
    int64_t *flat;
    int64_t flat_strides[3]; /* c, h, w */
    int64_t flat_base;
    int32_t column_major;
} KerbPoolArgs;

/* Max-unpool as a gather: every pixel of y looks which pool windows have pointed at it (the last one wins, as when scattered in order). The window
 * is the pool's, and y is as large as the pool's x was (larger: zeros right and below). */
typedef struct KerbUnpoolArgs {
    KerbPicture x, y;
    const uint8_t *window_index; /* as the pool wrote it */
    int64_t index_row, index_pixel;
    int32_t kernel[2], stride[2], dilation[2], pad[2];
} KerbUnpoolArgs;

/* Max-unpool from ONNX's indices in general: a scatter into y, which has been filled with 0 before (kerb_launch_copy without x). Indices that are equal
 * must carry equal values (those of a max pool do) for the result to be the same every time. Indices outside y are left out. */
typedef struct KerbUnpoolFlatArgs {
    KerbStrided x, y;         /* N, C, H, W, float */
    const int64_t *indices;
    int64_t index_strides[4];
    int32_t implied[2];       /* H, W that the indices count over */
} KerbUnpoolFlatArgs;

/* Resize along H and W: every output row (column) is a sum over `row_taps` (`column_taps`) rows of x: out x taps entries, made on the host by
 * kerb_resize_table(), which knows all modes. index -1: outside, the pixel gets `extrapolation`. */
typedef struct KerbResizeTap {
    int32_t index;
    float weight;
} KerbResizeTap;
typedef struct KerbResizeArgs {
    KerbPicture x, y;
    const KerbResizeTap *rows, *columns;
    int32_t row_taps, column_taps;
    float extrapolation;
    KerbFused act;
} KerbResizeArgs;
/* Taps of one axis (attrs->scale[axis] as shape inference left it; roi 0..1 unless there is one); 0 for what cannot be (empty, absurd scale). */
int kerb_resize_taps(const KerbResizeAttrs *attrs, int axis, int64_t in, int64_t out, double roi_start, double roi_end);
void kerb_resize_table(const KerbResizeAttrs *attrs, int axis, int64_t in, int64_t out, double roi_start, double roi_end, KerbResizeTap *table);

/* Pixel shuffle. DepthToSpace may begin and end within the shuffled picture (lower_conv_transpose's crop): y's pixel (0, 0) is (crop[0], crop[1]). */
typedef enum KerbShuffleKind { KERB_SHUFFLE_DCR, KERB_SHUFFLE_CRD, KERB_SHUFFLE_TO_DEPTH } KerbShuffleKind;
typedef struct KerbShuffleArgs {
    KerbPicture x, y;
    int32_t kind, block, crop[2];
} KerbShuffleArgs;

/* Local response normalisation over channels. */
typedef struct KerbLrnArgs {
    KerbPicture x, y;
    int32_t size;
    float alpha, beta, bias;
} KerbLrnArgs;

/* ---- along axes */

/* The axes of x split in those that are kept and those that a kernel goes along. Made by kerb_axes(). */
typedef struct KerbAxes {
    int32_t kept_rank, over_rank, kept, over; /* kept, over: elements */
    int32_t kept_dims[KERB_MAX_RANK], over_dims[KERB_MAX_RANK];
    int64_t x_kept[KERB_MAX_RANK], x_over[KERB_MAX_RANK], y_kept[KERB_MAX_RANK], y_over[KERB_MAX_RANK];
    int32_t padding, channel; /* y is a picture with that padding; channel: -1 where its channels are gone along, else its kept axis */
} KerbAxes;
/* `mask`: the axes to go along, a bit each. y has x's rank with those axes 1 (reductions) or as x (softmax), or is without them (keepdims 0). False
 * where the shapes do not fit or are too large. Neighbouring axes are merged, the kept ones are ordered by x's strides: neighbours in memory are
 * neighbouring items. `padding`: where y is a picture (rank 4), its KerbPicture.padding; else 0. */
bool kerb_axes(const KerbStrided *x, const KerbStrided *y, unsigned mask, int32_t padding, KerbAxes *out);

/* y = reduction of x over axes. Floats; integers (i32, i64, u8, i8, bool) keep their type, as ref does. Large reductions are divided in `parts`, which
 * are reduced again: kerb_reduce_parts() says how many, `partial` has then parts * kept floats. */
typedef struct KerbReduceArgs {
    const void *x;
    void *y;
    int32_t x_type, y_type, kind; /* KerbReduction */
    int32_t parts;                /* 1: partial is not used. Integers, LOG_SUM_EXP: 1 */
    float *partial;
    const float *centre;          /* NULL, or a value for each kept element (one kept axis) that is subtracted from x first (floats) */
    KerbAxes axes;
} KerbReduceArgs;
int32_t kerb_reduce_parts(const KerbReduceArgs *args);
cudaError_t kerb_launch_reduce(const KerbReduceArgs *args, cudaStream_t stream); /* both stages */

typedef struct KerbSoftmaxArgs {
    const void *x;
    void *y;
    int32_t x_type, y_type, log;
    KerbAxes axes;
} KerbSoftmaxArgs;

typedef struct KerbArgmaxArgs { /* over one axis; also integers */
    const void *x;
    int64_t *y;
    int32_t x_type, is_min, select_last;
    KerbAxes axes;
} KerbArgmaxArgs;

typedef struct KerbCumsumArgs { /* over one axis; integers wrap */
    const void *x;
    void *y;
    int32_t x_type, y_type, exclusive, reverse;
    KerbAxes axes;
} KerbCumsumArgs;

/* y = act((x - mean) / sqrt(variance + epsilon) * gamma + beta), by channel over the picture: several launches. scratch: 4 * c floats and what the
 * reductions need, kerb_instance_norm_scratch() bytes. */
typedef struct KerbInstanceNormArgs {
    KerbPicture x, y;
    const float *gamma, *beta;
    float epsilon;
    KerbFused act;
    float *scratch;
} KerbInstanceNormArgs;
typedef struct KerbCoefficientsArgs { /* scale = gamma / sqrt(squares / count + epsilon), bias = beta - mean * scale, for c channels */
    const float *mean, *squares, *gamma, *beta;
    float *scale, *bias;
    float epsilon, count;
    int32_t c;
} KerbCoefficientsArgs;
size_t kerb_instance_norm_scratch(const KerbPicture *x);
cudaError_t kerb_launch_instance_norm(const KerbInstanceNormArgs *args, cudaStream_t stream);

/* ---- element by element, any strides */

/* Tensors of one shape that a kernel goes over together: eight neighbours of the last axis at a time. Made by kerb_walk(). */
typedef struct KerbWalked {
    void *data;
    int32_t type;
    int64_t strides[KERB_MAX_RANK];
} KerbWalked;
typedef struct KerbWalk {
    int32_t rank; /* at least 1 */
    int32_t padding; /* elements after the end of the last axis that are set to 0 in of[0] */
    int32_t dims[KERB_MAX_RANK];
    KerbWalked of[KERB_WALKED];
} KerbWalk;
/* operands[0] is the result and has its shape; the others broadcast to it from the right. NULL operands: data NULL. Axes are ordered by the result's
 * strides (a picture's channels come last) and merged where all operands allow it. `padding`: as KerbPicture.padding of the result (axis 1 has
 * stride 1 then), else 0. False where shapes do not fit. */
bool kerb_walk(int n, const KerbStrided *const operands[], int32_t padding, KerbWalk *out);

/* y = act(x): [y, x]. Any types: floats in f32; integers as ref does where the function has a meaning for them. CLIP of integers: by lo_i, hi_i. */
typedef struct KerbUnaryArgs {
    KerbWalk walk;
    KerbFused act;
    int64_t lo_i, hi_i;
} KerbUnaryArgs;

/* y = act(a op b): [y, a, b, slope (PRELU only)]. All of integers: integer arithmetic; otherwise f32. */
typedef struct KerbBinaryArgs {
    KerbWalk walk;
    int32_t kind, fmod; /* KerbBinary */
    KerbFused act;
} KerbBinaryArgs;

typedef struct KerbWhereArgs { /* [y, condition, a, b]; a, b and y are of one type */
    KerbWalk walk;
} KerbWhereArgs;

/* y = x, converting as Cast does: [y, x]. x with data NULL: y = value. Transpose, Slice, Concat (a copy each), Expand, Tile, crops are views. */
typedef struct KerbCopyArgs {
    KerbWalk walk;
    double value;
} KerbCopyArgs;

/* Quantize: y = saturate(round(x / scale) + zero); dequantize: y = (x - zero) * scale: [y, x, scale, zero or NULL]. Scales by tensor or by axis are a
 * matter of strides. */
typedef struct KerbQuantizeArgs {
    KerbWalk walk;
} KerbQuantizeArgs;

/* y[..] = x[.., index, ..]: [y, x with stride 0 along the axis, indices (i64 or i32) with stride 0 along all other axes]: Gather and (indices with x's
 * strides) GatherElements. Negative indices count from the end; what is outside is clamped. */
typedef struct KerbGatherArgs {
    KerbWalk walk;
    int64_t axis_stride; /* of x */
    int32_t axis_dim;
} KerbGatherArgs;

/* y = pad(x), all modes. begin may be negative (crops). x and y are of one type. */
typedef struct KerbPadArgs {
    KerbStrided x, y;        /* y's axes in any order: kerb_pad_order() sorts both */
    int32_t begin[KERB_MAX_RANK];
    int32_t mode;            /* KerbPadMode */
    int32_t padding;         /* as KerbWalk's */
    double value;
} KerbPadArgs;
/* Orders the axes of x, y and begin by y's strides: neighbouring items write neighbouring elements. Ranks are equal. */
void kerb_pad_order(KerbPadArgs *args);

/* ---- products of matrices */

/* y = act(alpha * a b + beta * c), batched; strides in elements, any (0 broadcasts). c NULL: none. */
typedef struct KerbFactor {
    const void *data;
    int32_t type;
    int64_t row, column;
    int64_t batch[KERB_MAX_RANK - 2];
} KerbFactor;
typedef struct KerbMatmulArgs {
    KerbFactor a, b, c, y; /* m x k, k x n, m x n, m x n; y.data is written */
    int32_t m, n, k, batch_rank;
    int32_t batch_dims[KERB_MAX_RANK - 2];
    float alpha, beta;
    KerbFused act;
} KerbMatmulArgs;

/* ---- launchers: cudaError_t kerb_launch_NAME(const ARGS *args, cudaStream_t stream). X(name, ARGS) */
#define KERB_KERNELS(X)                                                                                                        \
    X(finish, KerbFinishArgs)                                                                                                  \
    X(depthwise, KerbDepthwiseArgs)                                                                                            \
    X(conv, KerbConvArgs)                                                                                                      \
    X(max_pool, KerbPoolArgs)                                                                                                  \
    X(average_pool, KerbPoolArgs)                                                                                              \
    X(unpool, KerbUnpoolArgs)                                                                                                  \
    X(unpool_flat, KerbUnpoolFlatArgs)                                                                                         \
    X(resize, KerbResizeArgs)                                                                                                  \
    X(shuffle, KerbShuffleArgs)                                                                                                \
    X(lrn, KerbLrnArgs)                                                                                                        \
    X(reduce_part, KerbReduceArgs) /* the stages of kerb_launch_reduce() */                                                    \
    X(reduce_end, KerbReduceArgs)                                                                                              \
    X(coefficients, KerbCoefficientsArgs) /* of kerb_launch_instance_norm() */                                                 \
    X(softmax, KerbSoftmaxArgs)                                                                                                \
    X(argmax, KerbArgmaxArgs)                                                                                                  \
    X(cumsum, KerbCumsumArgs)                                                                                                  \
    X(unary, KerbUnaryArgs)                                                                                                    \
    X(binary, KerbBinaryArgs)                                                                                                  \
    X(where, KerbWhereArgs)                                                                                                    \
    X(copy, KerbCopyArgs)                                                                                                      \
    X(quantize, KerbQuantizeArgs)                                                                                              \
    X(dequantize, KerbQuantizeArgs)                                                                                            \
    X(gather, KerbGatherArgs)                                                                                                  \
    X(pad, KerbPadArgs)                                                                                                        \
    X(matmul, KerbMatmulArgs)

#define KERB_DECLARE_LAUNCHER(name, type) cudaError_t kerb_launch_##name(const type *args, cudaStream_t stream);
KERB_KERNELS(KERB_DECLARE_LAUNCHER)
#undef KERB_DECLARE_LAUNCHER

#ifdef __cplusplus
}
#endif
#endif
