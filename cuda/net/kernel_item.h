/* SPDX-License-Identifier: MIT */
/* What the network's items are written with: elements of any type, eight neighbours at a time where they lie together, and what follows a
 * sum (scale, bias, residual, activation). Compiled by nvcc and by a C compiler; only +, -, *, /, min and max give the same bits in both.
 *
 * Eight lanes are kept in a struct that is only indexed by constants (after unrolling), so that they stay in registers: no loop over lanes
 * may have a bound that is not 8. */
#ifndef KERB_CUDA_NET_KERNEL_ITEM_H
#define KERB_CUDA_NET_KERNEL_ITEM_H

#include "cuda/base/half.h"
#include "cuda/net/kernels.h"

#include <math.h>
#include <string.h>

#ifdef __CUDACC__
#define KERB_UNROLL _Pragma("unroll")
#define KERB_ROLLED _Pragma("unroll 1")
/* Not inlined: large and rarely used. */
#define KERB_RARE static __host__ __device__ __noinline__
#else
#define KERB_UNROLL
#define KERB_ROLLED
#define KERB_RARE static inline
#endif
#define KERB_LANES KERB_UNROLL for (int l = 0; l < 8; l++)

typedef struct KerbEight {
    float v[8];
} KerbEight;

/* ---- elements */

KERB_ITEM bool kerb_type_is_float(int type) { return type >= KERB_F32 && type <= KERB_F64; }

KERB_ITEM int kerb_type_bytes(int type)
{
    switch (type) {
    case KERB_F64: case KERB_U64: case KERB_I64: return 8;
    case KERB_F32: case KERB_U32: case KERB_I32: return 4;
    case KERB_F16: case KERB_BF16: case KERB_U16: case KERB_I16: return 2;
    default: return 1;
    }
}

KERB_RARE int64_t kerb_load_integer(const void *data, int type, int64_t at)
{
    switch (type) {
    case KERB_U8: return ((const uint8_t *)data)[at];
    case KERB_I8: return ((const int8_t *)data)[at];
    case KERB_U16: return ((const uint16_t *)data)[at];
    case KERB_I16: return ((const int16_t *)data)[at];
    case KERB_U32: return ((const uint32_t *)data)[at];
    case KERB_I32: return ((const int32_t *)data)[at];
    case KERB_U64: case KERB_I64: return ((const int64_t *)data)[at];
    default: return ((const uint8_t *)data)[at] != 0;
    }
}

/* Wraps, as two's complement does. */
KERB_RARE void kerb_store_integer(void *data, int type, int64_t at, int64_t v)
{
    switch (type) {
    case KERB_U8: case KERB_I8: ((uint8_t *)data)[at] = (uint8_t)v; return;
    case KERB_U16: case KERB_I16: ((uint16_t *)data)[at] = (uint16_t)v; return;
    case KERB_U32: case KERB_I32: ((uint32_t *)data)[at] = (uint32_t)v; return;
    case KERB_U64: case KERB_I64: ((int64_t *)data)[at] = v; return;
    default: ((uint8_t *)data)[at] = v != 0; return;
    }
}

KERB_RARE float kerb_load_rare(const void *data, int type, int64_t at)
{
    return type == KERB_F64 ? (float)((const double *)data)[at] : (float)kerb_load_integer(data, type, at);
}

KERB_ITEM float kerb_load(const void *data, int type, int64_t at)
{
    if (type == KERB_F32) return ((const float *)data)[at];
    if (type == KERB_F16) return kerb_item_f16_f32(((const uint16_t *)data)[at]);
    if (type == KERB_BF16) return kerb_item_bf16_f32(((const uint16_t *)data)[at]);
    return kerb_load_rare(data, type, at);
}

KERB_ITEM int64_t kerb_float_to_integer(float v, int64_t lo, int64_t hi)
{
    if (v != v) return 0;
    if (v >= (float)hi) return hi; /* 2^63 - 1 and 2^31 - 1 round up: the next smaller float fits */
    if (v <= (float)lo) return lo;
    return (int64_t)v;
}

/* To integers as Cast does: truncates and saturates. */
KERB_RARE void kerb_store_rare(void *data, int type, int64_t at, float v)
{
    switch (type) {
    case KERB_F64: ((double *)data)[at] = (double)v; return;
    case KERB_U8: ((uint8_t *)data)[at] = (uint8_t)kerb_float_to_integer(v, 0, UINT8_MAX); return;
    case KERB_I8: ((int8_t *)data)[at] = (int8_t)kerb_float_to_integer(v, INT8_MIN, INT8_MAX); return;
    case KERB_U16: ((uint16_t *)data)[at] = (uint16_t)kerb_float_to_integer(v, 0, UINT16_MAX); return;
    case KERB_I16: ((int16_t *)data)[at] = (int16_t)kerb_float_to_integer(v, INT16_MIN, INT16_MAX); return;
    case KERB_U32: ((uint32_t *)data)[at] = (uint32_t)kerb_float_to_integer(v, 0, UINT32_MAX); return;
    case KERB_I32: ((int32_t *)data)[at] = (int32_t)kerb_float_to_integer(v, INT32_MIN, INT32_MAX); return;
    case KERB_U64: ((uint64_t *)data)[at] = v > 0 ? (v >= 18446744073709551616.0f ? UINT64_MAX : (uint64_t)v) : 0; return;
    case KERB_I64: ((int64_t *)data)[at] = kerb_float_to_integer(v, INT64_MIN, INT64_MAX); return;
    default: ((uint8_t *)data)[at] = v != 0; return;
    }
}

KERB_ITEM void kerb_store(void *data, int type, int64_t at, float v)
{
    if (type == KERB_F32) ((float *)data)[at] = v;
    else if (type == KERB_F16) ((uint16_t *)data)[at] = kerb_item_f32_f16(v);
    else if (type == KERB_BF16) ((uint16_t *)data)[at] = kerb_item_f32_bf16(v);
    else kerb_store_rare(data, type, at, v);
}

KERB_ITEM void kerb_store_zeros(void *data, int type, int64_t at, int n)
{
    uint8_t *p = (uint8_t *)data + at * kerb_type_bytes(type);
    KERB_ROLLED for (int i = 0; i < n * kerb_type_bytes(type); i++) p[i] = 0;
}

/* Saturates; NaN becomes 0. */
KERB_ITEM int8_t kerb_quantized_i8(float v)
{
    if (!(v == v)) return 0;
    v = rintf(v);
    return (int8_t)(v < -128.0f ? -128.0f : v > 127.0f ? 127.0f : v);
}

/* ---- eight neighbours */

typedef struct KerbBytes16 {
    uint32_t w[4];
} KerbBytes16;

KERB_ITEM bool kerb_is_aligned(const void *p, unsigned bytes) { return ((uintptr_t)p & (bytes - 1)) == 0; }

KERB_ITEM KerbBytes16 kerb_load_bytes16(const void *p) /* p is aligned */
{
    KerbBytes16 b;
#ifdef __CUDA_ARCH__
    uint4 v = *(const uint4 *)p;
    b.w[0] = v.x, b.w[1] = v.y, b.w[2] = v.z, b.w[3] = v.w;
#else
    memcpy(&b, p, sizeof b);
#endif
    return b;
}

KERB_ITEM void kerb_store_bytes16(void *p, KerbBytes16 b)
{
#ifdef __CUDA_ARCH__
    *(uint4 *)p = make_uint4(b.w[0], b.w[1], b.w[2], b.w[3]);
#else
    memcpy(p, &b, sizeof b);
#endif
}

KERB_ITEM uint64_t kerb_load_bytes8(const void *p)
{
#ifdef __CUDA_ARCH__
    return *(const uint64_t *)p;
#else
    uint64_t b;
    memcpy(&b, p, sizeof b);
    return b;
#endif
}

KERB_ITEM void kerb_store_bytes8(void *p, uint64_t b)
{
#ifdef __CUDA_ARCH__
    *(uint64_t *)p = b;
#else
    memcpy(p, &b, sizeof b);
#endif
}

/* Lanes 0..n-1 of f32, f16, bf16, i8, `step` apart, one after the other; the others are 0. Lanes move along, so that the loop can stay one.
 */
KERB_ITEM KerbEight kerb_load8_slow(const void *data, int type, int64_t at, int64_t step, int n)
{
    KerbEight e;
    KERB_LANES e.v[l] = 0.0f;
    KERB_ROLLED for (int l = n < 8 ? n - 1 : 7; l >= 0; l--) {
        int64_t from = at + l * step;
        KERB_UNROLL for (int k = 7; k > 0; k--) e.v[k] = e.v[k - 1];
        if (type == KERB_F32) e.v[0] = ((const float *)data)[from];
        else if (type == KERB_I8) e.v[0] = (float)((const int8_t *)data)[from];
        else if (type == KERB_F16) e.v[0] = kerb_item_f16_f32(((const uint16_t *)data)[from]);
        else e.v[0] = kerb_item_bf16_f32(((const uint16_t *)data)[from]);
    }
    return e;
}

/* Lanes 0..room-1 of f32, f16, bf16, i8 from element `at` on; those past room are 0. */
KERB_ITEM KerbEight kerb_load8(const void *data, int type, int64_t at, int room)
{
    int bytes = type == KERB_F32 ? 4 : type == KERB_I8 ? 1 : 2;
    const uint8_t *p = (const uint8_t *)data + at * bytes;
    KerbEight e;
    if (room < 8 || !kerb_is_aligned(p, bytes == 1 ? 8 : 16)) return kerb_load8_slow(data, type, at, 1, room);
    if (type == KERB_F32) {
        KerbBytes16 b = kerb_load_bytes16(p), c = kerb_load_bytes16(p + 16);
        KERB_LANES e.v[l] = kerb_item_bits_f32(l < 4 ? b.w[l & 3] : c.w[l & 3]);
    } else if (type == KERB_I8) {
        uint64_t b = kerb_load_bytes8(p);
        KERB_LANES e.v[l] = (float)(int8_t)(b >> (8 * l));
    } else {
        KerbBytes16 b = kerb_load_bytes16(p);
        if (type == KERB_F16) {
            KERB_LANES e.v[l] = kerb_item_f16_f32((uint16_t)(b.w[l / 2] >> (16 * (l & 1))));
        } else {
            KERB_LANES e.v[l] = kerb_item_bf16_f32((uint16_t)(b.w[l / 2] >> (16 * (l & 1))));
        }
    }
    return e;
}

/* Lanes 0..n-1, `step` apart. */
KERB_ITEM void kerb_store8_slow(void *data, int type, int64_t at, int64_t step, KerbEight e, int n)
{
    KERB_ROLLED for (int l = 0; l < n; l++) {
        int64_t to = at + l * step;
        if (type == KERB_F32) ((float *)data)[to] = e.v[0];
        else if (type == KERB_I8) ((int8_t *)data)[to] = kerb_quantized_i8(e.v[0]);
        else if (type == KERB_F16) ((uint16_t *)data)[to] = kerb_item_f32_f16(e.v[0]);
        else ((uint16_t *)data)[to] = kerb_item_f32_bf16(e.v[0]);
        KERB_UNROLL for (int k = 0; k < 7; k++) e.v[k] = e.v[k + 1];
    }
}

/* Lanes 0..n-1, then zeros up to room. To i8 rounds and saturates. */
KERB_ITEM void kerb_store8(void *data, int type, int64_t at, KerbEight e, int n, int room)
{
    int bytes = type == KERB_F32 ? 4 : type == KERB_I8 ? 1 : 2;
    uint8_t *p = (uint8_t *)data + at * bytes;
    KERB_LANES e.v[l] = l < n ? e.v[l] : 0.0f;
    if (room < 8 || !kerb_is_aligned(p, bytes == 1 ? 8 : 16)) {
        kerb_store8_slow(data, type, at, 1, e, room);
    } else if (type == KERB_F32) {
        KerbBytes16 b, c;
        KERB_UNROLL for (int l = 0; l < 4; l++) b.w[l] = kerb_item_f32_bits(e.v[l]), c.w[l] = kerb_item_f32_bits(e.v[4 + l]);
        kerb_store_bytes16(p, b);
        kerb_store_bytes16(p + 16, c);
    } else if (type == KERB_I8) {
        uint64_t b = 0;
        KERB_LANES b |= (uint64_t)(uint8_t)kerb_quantized_i8(e.v[l]) << (8 * l);
        kerb_store_bytes8(p, b);
    } else {
        KerbBytes16 b;
        if (type == KERB_F16) {
            KERB_UNROLL for (int l = 0; l < 4; l++)
                b.w[l] = kerb_item_f32_f16(e.v[2 * l]) | (uint32_t)kerb_item_f32_f16(e.v[2 * l + 1]) << 16;
        } else {
            KERB_UNROLL for (int l = 0; l < 4; l++)
                b.w[l] = kerb_item_f32_bf16(e.v[2 * l]) | (uint32_t)kerb_item_f32_bf16(e.v[2 * l + 1]) << 16;
        }
        kerb_store_bytes16(p, b);
    }
}

/* Types that kerb_load8() knows. */
KERB_ITEM bool kerb_type_has_eight(int type) { return type == KERB_F32 || type == KERB_F16 || type == KERB_BF16; }

/* ---- functions. Formulas: ONNX operator documentation, opset 22, as in net/ref; NaN stays NaN */

KERB_ITEM float kerb_clamp01(float v) { return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v; }
KERB_ITEM float kerb_sigmoid(float v) { return 1.0f / (1.0f + expf(-v)); }
KERB_ITEM float kerb_softplus(float v) { return (v > 0.0f ? v : 0.0f) + log1pf(expf(-fabsf(v))); }

KERB_RARE float kerb_unary(int kind, float v, float alpha, float beta)
{
    switch (kind) {
    case KERB_UNARY_ABS: return fabsf(v);
    case KERB_UNARY_NEG: return -v;
    case KERB_UNARY_FLOOR: return floorf(v);
    case KERB_UNARY_CEIL: return ceilf(v);
    case KERB_UNARY_ROUND: return rintf(v);
    case KERB_UNARY_SIGN: return v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : v;
    case KERB_UNARY_SQRT: return sqrtf(v);
    case KERB_UNARY_RECIPROCAL: return 1.0f / v;
    case KERB_UNARY_EXP: return expf(v);
    case KERB_UNARY_LOG: return logf(v);
    case KERB_UNARY_ERF: return erff(v);
    case KERB_UNARY_NOT: return v == 0.0f ? 1.0f : 0.0f;
    case KERB_UNARY_SIN: return sinf(v);
    case KERB_UNARY_COS: return cosf(v);
    case KERB_UNARY_ATAN: return atanf(v);
    case KERB_UNARY_TANH: return tanhf(v);
    case KERB_UNARY_SIGMOID: return kerb_sigmoid(v);
    case KERB_UNARY_HARD_SIGMOID: return kerb_clamp01(alpha * v + beta);
    case KERB_UNARY_HARD_SWISH: return v * kerb_clamp01(v / 6.0f + 0.5f);
    case KERB_UNARY_RELU: return v < 0.0f ? 0.0f : v;
    case KERB_UNARY_LEAKY_RELU: return v < 0.0f ? alpha * v : v;
    case KERB_UNARY_ELU: return v < 0.0f ? alpha * expm1f(v) : v;
    case KERB_UNARY_SELU: return beta * (v <= 0.0f ? alpha * expm1f(v) : v);
    case KERB_UNARY_CELU: return v < 0.0f ? alpha * expm1f(v / alpha) : v;
    case KERB_UNARY_THRESHOLDED_RELU: return v <= alpha ? 0.0f : v;
    case KERB_UNARY_SOFTPLUS: return kerb_softplus(v);
    case KERB_UNARY_SOFTSIGN: return v / (1.0f + fabsf(v));
    case KERB_UNARY_MISH: return v * tanhf(kerb_softplus(v));
    case KERB_UNARY_GELU: return 0.5f * v * erfcf(v * -0.70710678f); /* 1 + erf(x) = erfc(-x): no cancellation */
    case KERB_UNARY_GELU_TANH: return v * kerb_sigmoid(1.59576912f * (v + 0.044715f * v * v * v)); /* 0.5 (1 + tanh(x)) = sigmoid(2x) */
    case KERB_UNARY_SWISH: return v * kerb_sigmoid(v);
    case KERB_UNARY_ISNAN: return v != v ? 1.0f : 0.0f;
    default: return v;
    }
}

/* The functions that follow convolutions are done side by side, the others one lane after the other. */
KERB_ITEM KerbEight kerb_unary8(int kind, KerbEight e, float alpha, float beta)
{
    switch (kind) {
    case KERB_UNARY_RELU: KERB_LANES e.v[l] = e.v[l] < 0.0f ? 0.0f : e.v[l]; break;
    case KERB_UNARY_LEAKY_RELU: KERB_LANES e.v[l] = e.v[l] < 0.0f ? alpha * e.v[l] : e.v[l]; break;
    case KERB_UNARY_SIGMOID: KERB_LANES e.v[l] = kerb_sigmoid(e.v[l]); break;
    case KERB_UNARY_SWISH: KERB_LANES e.v[l] = e.v[l] * kerb_sigmoid(e.v[l]); break;
    case KERB_UNARY_HARD_SIGMOID: KERB_LANES e.v[l] = kerb_clamp01(alpha * e.v[l] + beta); break;
    case KERB_UNARY_HARD_SWISH: KERB_LANES e.v[l] = e.v[l] * kerb_clamp01(e.v[l] / 6.0f + 0.5f); break;
    default:
        KERB_ROLLED for (int l = 0; l < 8; l++) { /* lanes go round */
            float first = kerb_unary(kind, e.v[0], alpha, beta);
            KERB_UNROLL for (int k = 0; k < 7; k++) e.v[k] = e.v[k + 1];
            e.v[7] = first;
        }
        break;
    }
    return e;
}

/* Lane l is channel (column) c0 + l; n of them are real. */
KERB_ITEM KerbEight kerb_act8(const KerbFused *f, KerbEight e, int c0, int n)
{
    switch (f->kind) {
    case KERB_ACT_UNARY: return kerb_unary8(f->unary, e, f->alpha, f->beta);
    case KERB_ACT_CLIP: KERB_LANES e.v[l] = e.v[l] < f->lo ? f->lo : e.v[l] > f->hi ? f->hi : e.v[l]; break;
    case KERB_ACT_PRELU:
        KERB_LANES if (l < n && e.v[l] < 0.0f) e.v[l] = e.v[l] * f->slope[(int64_t)(c0 + l) * f->slope_step];
        break;
    default: break;
    }
    return e;
}

KERB_ITEM float kerb_act(const KerbFused *f, float v, float slope)
{
    switch (f->kind) {
    case KERB_ACT_UNARY: return kerb_unary(f->unary, v, f->alpha, f->beta);
    case KERB_ACT_CLIP: return v < f->lo ? f->lo : v > f->hi ? f->hi : v;
    case KERB_ACT_PRELU: return v < 0.0f ? v * slope : v;
    default: return v;
    }
}

/* ---- pictures: an item is eight channels of a pixel, channels first */

KERB_ITEM int kerb_groups(const KerbPicture *p) { return (p->c + p->padding + 7) / 8; }

KERB_ITEM int kerb_min(int a, int b) { return a < b ? a : b; }
/* Of the eight channels from c0 on: real ones, and those that may be touched. */
KERB_ITEM int kerb_lanes_real(const KerbPicture *p, int c0) { return kerb_min(8, p->c - c0); }
KERB_ITEM int kerb_lanes_room(const KerbPicture *p, int c0) { return kerb_min(8, p->c + p->padding - c0); }

KERB_ITEM KerbEight kerb_picture_load(const KerbPicture *p, int y, int x, int c0)
{
    return kerb_load8(p->data, p->type, y * p->row + x * p->pixel + c0, kerb_lanes_room(p, c0));
}

KERB_ITEM void kerb_picture_store(const KerbPicture *p, int y, int x, int c0, KerbEight e)
{
    kerb_store8(p->data, p->type, y * p->row + x * p->pixel + c0, e, kerb_lanes_real(p, c0), kerb_lanes_room(p, c0));
}

/* What follows a sum: y[c] = act(scale[c] * sum + bias[c] + z_scale * z[c]) * (i8: y_scale). */
typedef struct KerbEpilogue8 {
    const KerbPicture *y, *z;
    const float *scale, *bias;
    const KerbFused *act;
    float z_scale, y_scale;
} KerbEpilogue8;

KERB_ITEM KerbEight kerb_scale_bias8(KerbEight e, const float *scale, const float *bias, int c0, int n)
{
    if (scale) {
        KerbEight s = kerb_load8(scale, KERB_F32, c0, n);
        KERB_LANES e.v[l] = e.v[l] * s.v[l];
    }
    if (bias) {
        KerbEight b = kerb_load8(bias, KERB_F32, c0, n);
        KERB_LANES e.v[l] = e.v[l] + b.v[l];
    }
    return e;
}

KERB_ITEM void kerb_epilogue8(const KerbEpilogue8 *p, int y, int x, int c0, KerbEight e)
{
    int n = kerb_lanes_real(p->y, c0);
    e = kerb_scale_bias8(e, p->scale, p->bias, c0, n);
    if (p->z->data) {
        KerbEight z = kerb_picture_load(p->z, y, x, c0);
        KERB_LANES e.v[l] = e.v[l] + p->z_scale * z.v[l];
    }
    e = kerb_act8(p->act, e, c0, n);
    if (p->y->type == KERB_I8) {
        KERB_LANES e.v[l] = e.v[l] * p->y_scale;
    }
    kerb_picture_store(p->y, y, x, c0, e);
}

#endif
