/* SPDX-License-Identifier: MIT */
/* Tensors: a view (type, shape, strides) of memory that somebody else owns. Logical axis order is ONNX's (N, C, H, W);
 * where the bytes lie is the strides' business: NHWC is the same dims with strides {H*W*C, 1, W*C, C}. */
#ifndef KERB_BASE_TENSOR_H
#define KERB_BASE_TENSOR_H

#include "kerb.h"

#define KERB_MAX_RANK 8

typedef enum KerbDtype {
    KERB_DTYPE_NONE = 0,
    KERB_F32, KERB_F16, KERB_BF16, KERB_F64,
    KERB_U8, KERB_I8, KERB_U16, KERB_I16, KERB_U32, KERB_I32, KERB_U64, KERB_I64,
    KERB_BOOL, /* one byte, 0 or 1 */
    KERB_DTYPE_COUNT
} KerbDtype;

size_t kerb_dtype_bytes(KerbDtype dtype); /* 0 for NONE */
const char *kerb_dtype_name(KerbDtype dtype); /* "f32" */
bool kerb_dtype_is_float(KerbDtype dtype);

typedef struct KerbTensor {
    void *data;
    KerbDtype dtype;
    int rank; /* 0: a scalar */
    int64_t dims[KERB_MAX_RANK];
    int64_t strides[KERB_MAX_RANK]; /* in elements, >= 0 (0 broadcasts on reading) */
} KerbTensor;

/* Dense row-major (NCHW for rank 4). */
KerbTensor kerb_tensor(void *data, KerbDtype dtype, int rank, const int64_t dims[]);
/* Dense channels-last: axis 1 is innermost (rank >= 3); otherwise as kerb_tensor(). `channels_padded` >= dims[1]: elements a pixel takes. */
KerbTensor kerb_tensor_channels_last(void *data, KerbDtype dtype, int rank, const int64_t dims[], int64_t channels_padded);
/* The same memory as (1, C, h, w), whatever axis of `t` the channels are on: of rank 4 any, of rank 3 (1, h, w) none (channel_axis -1: C is 1). What fits
 * neither comes back as it is. */
KerbTensor kerb_tensor_view_nchw(const KerbTensor *t, int channel_axis);
int64_t kerb_tensor_elements(const KerbTensor *t); /* 1 for a scalar */
size_t kerb_tensor_bytes(const KerbTensor *t);     /* of a dense tensor of this type and shape */
bool kerb_tensor_is_dense(const KerbTensor *t);    /* row-major without gaps */
bool kerb_tensor_same_shape(const KerbTensor *a, const KerbTensor *b);
/* Strides that show `t` with other dims (of as many elements, none 0) without moving anything; false: there are none. */
bool kerb_tensor_reshaped(const KerbTensor *t, int rank, const int64_t dims[], KerbTensor *out);
/* dims -> elements, checked: false where a dim is negative or the product overflows or passes `limit` (0: none). */
bool kerb_dims_elements(int rank, const int64_t dims[], int64_t limit, int64_t *out);
/* "1x3x360x640"; a negative dim prints as "?"; "scalar" for rank 0. Returns buffer. */
const char *kerb_dims_text(int rank, const int64_t dims[], char *buffer, size_t bytes);
/* Copies values between any strides of the same shape, converting the type (float -> int truncates towards zero and saturates; f32 ->
 * bf16/f16 rounds to nearest even). For tests, constants and fallbacks: correct, not fast. */
void kerb_tensor_copy(const KerbTensor *dst, const KerbTensor *src);

/* One element as double / int64. Slow and general; index is a flat logical (row-major) one. */
double kerb_tensor_get(const KerbTensor *t, int64_t logical_index);
void kerb_tensor_set(const KerbTensor *t, int64_t logical_index, double value);
int64_t kerb_tensor_get_i64(const KerbTensor *t, int64_t logical_index);
void kerb_tensor_set_i64(const KerbTensor *t, int64_t logical_index, int64_t value);

/* Bit conversions, round to nearest even, NaN kept quiet. */
static inline float kerb_bf16_to_f32(uint16_t v)
{
    union { uint32_t u; float f; } x = { (uint32_t)v << 16 };
    return x.f;
}
static inline uint16_t kerb_f32_to_bf16(float v)
{
    union { float f; uint32_t u; } x = { v };
    if ((x.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((x.u >> 16) | 0x40u);
    return (uint16_t)((x.u + 0x7fffu + ((x.u >> 16) & 1u)) >> 16);
}
float kerb_f16_to_f32(uint16_t v);
uint16_t kerb_f32_to_f16(float v);

#endif
