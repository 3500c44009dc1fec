/* SPDX-License-Identifier: MIT */
/* What a program computes: one operation after the other over dense pictures of floats (N, H, W, C), sums in f32 (int8: i32). Every tensor is rounded
 * to its own type, virtual ones too, as cuDNN does. */
#include "dnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------------------- numbers */

static float kerb_from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    union {
        uint32_t u;
        float f;
    } v;
    if (exponent == 0) {
        const float small = (float)mantissa * 0x1p-24f;
        return sign ? -small : small;
    }
    v.u = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | mantissa << 13;
    return v.f;
}

static uint16_t kerb_to_half(float f) /* to nearest, ties to even */
{
    union {
        float f;
        uint32_t u;
    } v = { f };
    const uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000);
    v.u &= 0x7fffffffu;
    if (v.u > 0x7f800000u)
        return 0x7e00;
    if (v.f >= 65520.0f)
        return sign | 0x7c00;
    if (v.f < 0x1p-14f) /* subnormal: the float adder rounds */
        return sign | (uint16_t)rintf(v.f * 0x1p24f);
    v.u += 0xfff + (v.u >> 13 & 1);
    return sign | (uint16_t)((v.u >> 13) - (112u << 10));
}

static uint16_t kerb_to_bfloat(float f)
{
    union {
        float f;
        uint32_t u;
    } v = { f };
    if (f != f)
        return 0x7fc0;
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

static float kerb_from_bfloat(uint16_t b)
{
    union {
        uint32_t u;
        float f;
    } v = { (uint32_t)b << 16 };
    return v.f;
}

static float kerb_to_tf32(float f) /* 10 bits of mantissa, to nearest */
{
    union {
        float f;
        uint32_t u;
    } v = { f };
    if (f != f || f - f != 0)
        return f;
    v.u = (v.u + 0x1000) & 0xffffe000u;
    return v.f;
}

static float kerb_load(const uint8_t *at, int type)
{
    switch (type) {
    case CUDNN_DATA_FLOAT: return *(const float *)at;
    case CUDNN_DATA_HALF: return kerb_from_half(*(const uint16_t *)at);
    case CUDNN_DATA_BFLOAT16: return kerb_from_bfloat(*(const uint16_t *)at);
    case CUDNN_DATA_INT8: return *(const int8_t *)at;
    case CUDNN_DATA_INT32: return (float)*(const int32_t *)at;
    default: return 0;
    }
}

static void kerb_store(uint8_t *at, int type, float f)
{
    switch (type) {
    case CUDNN_DATA_FLOAT: *(float *)at = f; break;
    case CUDNN_DATA_HALF: *(uint16_t *)at = kerb_to_half(f); break;
    case CUDNN_DATA_BFLOAT16: *(uint16_t *)at = kerb_to_bfloat(f); break;
    case CUDNN_DATA_INT8: *(int8_t *)at = (int8_t)(f != f ? 0 : f <= -128 ? -128 : f >= 127 ? 127 : rintf(f)); break;
    case CUDNN_DATA_INT32: *(int32_t *)at = f != f ? 0 : f <= -2147483648.0f ? INT32_MIN : f >= 2147483648.0f ? INT32_MAX : (int32_t)rintf(f); break;
    default: break;
    }
}

/* ------------------------------------------------------------------------------------------------------------- pictures */

static int64_t kerb_elements(const KerbDnnTensor *t)
{
    return t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
}

static void *kerb_room_for(int64_t n, size_t bytes)
{
    void *p = calloc((size_t)n + 1, bytes);
    if (!p)
        abort();
    return p;
}

/* Dense N, H, W, C from where the tensor lies, and back. */
static void kerb_picture_walk(const KerbDnnTensor *t, uint8_t *memory, float *dense, bool store)
{
    const int64_t size = (int64_t)kerb_dnn_type_bytes(t->type);
    for (int64_t n = 0; n < t->dims[0]; n++)
        for (int64_t h = 0; h < t->dims[2]; h++)
            for (int64_t w = 0; w < t->dims[3]; w++) {
                uint8_t *at = memory + (n * t->strides[0] + h * t->strides[2] + w * t->strides[3]) * size;
                for (int64_t c = 0; c < t->dims[1]; c++, at += t->strides[1] * size, dense++) {
                    if (store)
                        kerb_store(at, t->type, *dense);
                    else
                        *dense = kerb_load(at, t->type);
                }
            }
}

static void kerb_picture_round(const KerbDnnTensor *t, float *dense)
{
    uint8_t element[8];
    for (int64_t i = 0, n = t->type == CUDNN_DATA_FLOAT ? 0 : kerb_elements(t); i < n; i++) {
        kerb_store(element, t->type, dense[i]);
        dense[i] = kerb_load(element, t->type);
    }
}

/* ----------------------------------------------------------------------------------------------------------- convolution */

typedef struct KerbDnnShape {
    int64_t n, h, w, c;     /* of the bigger picture: what forward reads and dgrad writes */
    int64_t oh, ow, k;      /* of the other */
    int64_t r, s, cg, kg;   /* kernel, channels and outputs of a group */
    const KerbDnnOp *op;
} KerbDnnShape;

/* Weights as (R, S, C/g, K) for forward, (R, S, K, C/g) for dgrad, so that the innermost loop runs over what is summed up side by side. */
#define KERB_DNN_CONV_BODY(T)                                                                                                         \
    for (int64_t n = 0; n < a->n; n++)                                                                                                \
        for (int64_t oy = 0; oy < a->oh; oy++)                                                                                        \
            for (int64_t ox = 0; ox < a->ow; ox++) {                                                                                  \
                T *y = sums + ((n * a->oh + oy) * a->ow + ox) * a->k;                                                                 \
                for (int64_t rs = 0; rs < a->r * a->s; rs++) {                                                                        \
                    const int64_t iy = oy * a->op->stride[0] - a->op->pre[0] + rs / a->s * a->op->dilation[0];                        \
                    const int64_t ix = ox * a->op->stride[1] - a->op->pre[1] + rs % a->s * a->op->dilation[1];                        \
                    if (iy < 0 || iy >= a->h || ix < 0 || ix >= a->w)                                                                 \
                        continue;                                                                                                     \
                    const T *x = picture + ((n * a->h + iy) * a->w + ix) * a->c, *w = weights + rs * a->cg * a->k;                    \
                    for (int64_t g = 0; g < a->k / a->kg; g++)                                                                        \
                        for (int64_t c = 0; c < a->cg; c++) {                                                                         \
                            const T v = x[g * a->cg + c], *row = w + c * a->k + g * a->kg;                                            \
                            T *to = y + g * a->kg;                                                                                    \
                            for (int64_t k = 0; k < a->kg; k++)                                                                       \
                                to[k] += v * row[k];                                                                                  \
                        }                                                                                                             \
                }                                                                                                                     \
            }

#define KERB_DNN_CONV_ARGS(T) const KerbDnnShape *a, const T *restrict picture, const T *restrict weights, T *restrict sums
static void kerb_conv_f32(KERB_DNN_CONV_ARGS(float))
{
    KERB_DNN_CONV_BODY(float)
}
static void kerb_conv_i32(KERB_DNN_CONV_ARGS(int32_t))
{
    KERB_DNN_CONV_BODY(int32_t)
}
#ifdef __x86_64__
__attribute__((target("avx2"))) static void kerb_conv_f32_avx2(KERB_DNN_CONV_ARGS(float))
{
    KERB_DNN_CONV_BODY(float)
}
__attribute__((target("avx2"))) static void kerb_conv_i32_avx2(KERB_DNN_CONV_ARGS(int32_t))
{
    KERB_DNN_CONV_BODY(int32_t)
}
#endif

static bool kerb_has_avx2(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

static void kerb_conv(const KerbDnnShape *a, const float *picture, const float *weights, float *sums)
{
#ifdef __x86_64__
    if (kerb_has_avx2()) {
        kerb_conv_f32_avx2(a, picture, weights, sums);
        return;
    }
#endif
    kerb_conv_f32(a, picture, weights, sums);
}

/* int8: exact sums. */
static void kerb_conv_int(const KerbDnnShape *a, const float *picture, const float *weights, float *sums)
{
    const int64_t nx = a->n * a->h * a->w * a->c, nw = a->r * a->s * a->cg * a->k, ny = a->n * a->oh * a->ow * a->k;
    int32_t *x = kerb_room_for(nx, sizeof *x), *w = kerb_room_for(nw, sizeof *w), *y = kerb_room_for(ny, sizeof *y);
    for (int64_t i = 0; i < nx; i++)
        x[i] = (int32_t)picture[i];
    for (int64_t i = 0; i < nw; i++)
        w[i] = (int32_t)weights[i];
#ifdef __x86_64__
    if (kerb_has_avx2())
        kerb_conv_i32_avx2(a, x, w, y);
    else
#endif
        kerb_conv_i32(a, x, w, y);
    for (int64_t i = 0; i < ny; i++)
        sums[i] = (float)y[i];
    free(x), free(w), free(y);
}

static void kerb_dgrad(const KerbDnnShape *a, const float *picture, const float *weights, float *sums)
{
    for (int64_t i = 0; i < a->n * a->oh * a->ow; i++)
        for (int64_t rs = 0; rs < a->r * a->s; rs++) {
            const int64_t oy = i / a->ow % a->oh, ox = i % a->ow;
            const int64_t iy = oy * a->op->stride[0] - a->op->pre[0] + rs / a->s * a->op->dilation[0];
            const int64_t ix = ox * a->op->stride[1] - a->op->pre[1] + rs % a->s * a->op->dilation[1];
            if (iy < 0 || iy >= a->h || ix < 0 || ix >= a->w)
                continue;
            float *y = sums + ((i / (a->oh * a->ow) * a->h + iy) * a->w + ix) * a->c;
            for (int64_t k = 0; k < a->k; k++) {
                const float v = picture[i * a->k + k], *row = weights + (rs * a->k + k) * a->cg;
                float *to = y + k / a->kg * a->cg;
                for (int64_t c = 0; c < a->cg; c++)
                    to[c] += v * row[c];
            }
        }
}

/* The weights' tensor is (K, C/g, R, S): dense K, R, S, C/g here. */
static float *kerb_weights_turned(const KerbDnnTensor *w, const float *dense, bool forward)
{
    const int64_t k = w->dims[0], cg = w->dims[1], rs = w->dims[2] * w->dims[3];
    float *turned = kerb_room_for(k * cg * rs, sizeof *turned);
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < rs; j++)
            for (int64_t c = 0; c < cg; c++)
                turned[forward ? (j * cg + c) * k + i : (j * k + i) * cg + c] = dense[(i * rs + j) * cg + c];
    return turned;
}

static void kerb_op_convolution(const KerbDnnProgram *p, const KerbDnnOp *op, float **pictures)
{
    const bool forward = op->kind == KERB_DNN_CONV;
    const KerbDnnTensor *x = &p->tensors[op->x], *w = &p->tensors[op->b], *y = &p->tensors[op->y], *big = forward ? x : y, *small = forward ? y : x;
    const int64_t groups = big->dims[1] / w->dims[1];
    const KerbDnnShape a = { .n = big->dims[0], .h = big->dims[2], .w = big->dims[3], .c = big->dims[1], .oh = small->dims[2], .ow = small->dims[3],
                             .k = small->dims[1], .r = w->dims[2], .s = w->dims[3], .cg = w->dims[1], .kg = small->dims[1] / groups, .op = op };
    float *weights = kerb_weights_turned(w, pictures[op->b], forward), *sums = kerb_room_for(kerb_elements(y), sizeof *sums);
    float *picture = kerb_room_for(kerb_elements(x), sizeof *picture);
    const bool tf32 = p->engine == KERB_ENGINE_TENSOR && x->type == CUDNN_DATA_FLOAT;
    for (int64_t i = 0; i < kerb_elements(x); i++)
        picture[i] = tf32 ? kerb_to_tf32(pictures[op->x][i]) : pictures[op->x][i];
    for (int64_t i = 0; tf32 && i < kerb_elements(w); i++)
        weights[i] = kerb_to_tf32(weights[i]);
    if (!forward)
        kerb_dgrad(&a, picture, weights, sums);
    else if (x->type == CUDNN_DATA_INT8)
        kerb_conv_int(&a, picture, weights, sums);
    else
        kerb_conv(&a, picture, weights, sums);
    for (int64_t i = 0; i < kerb_elements(y); i++)
        pictures[op->y][i] = (float)op->alpha * sums[i] + (op->beta != 0 ? (float)op->beta * pictures[op->y][i] : 0);
    free(weights), free(sums), free(picture);
}

/* ------------------------------------------------------------------------------------------------------------- pointwise */

static float kerb_relu(const KerbDnnOp *op, float x)
{
    if (!(x > (float)op->lower)) /* NaN goes below */
        return (float)op->lower + (float)op->slope * (x - (float)op->lower);
    return x < (float)op->upper ? x : (float)op->upper;
}

static float kerb_unary(const KerbDnnOp *op, float x)
{
    switch (op->mode) {
    case CUDNN_POINTWISE_ABS: return fabsf(x);
    case CUDNN_POINTWISE_CEIL: return ceilf(x);
    case CUDNN_POINTWISE_FLOOR: return floorf(x);
    case CUDNN_POINTWISE_COS: return cosf(x);
    case CUDNN_POINTWISE_SIN: return sinf(x);
    case CUDNN_POINTWISE_EXP: return expf(x);
    case CUDNN_POINTWISE_LOG: return logf(x);
    case CUDNN_POINTWISE_NEG: return -x;
    case CUDNN_POINTWISE_RSQRT: return 1 / sqrtf(x);
    case CUDNN_POINTWISE_SQRT: return sqrtf(x);
    case CUDNN_POINTWISE_TAN: return tanf(x);
    case CUDNN_POINTWISE_ERF: return erff(x);
    case CUDNN_POINTWISE_RECIPROCAL: return 1 / x;
    case CUDNN_POINTWISE_IDENTITY: return x;
    case CUDNN_POINTWISE_RELU_FWD: return kerb_relu(op, x);
    case CUDNN_POINTWISE_TANH_FWD: return tanhf(x);
    case CUDNN_POINTWISE_SIGMOID_FWD: return 1 / (1 + expf(-x));
    case CUDNN_POINTWISE_ELU_FWD: return x > 0 ? x : (float)op->elu * expm1f(x);
    case CUDNN_POINTWISE_GELU_FWD: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case CUDNN_POINTWISE_GELU_APPROX_TANH_FWD: return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case CUDNN_POINTWISE_SOFTPLUS_FWD: return (fmaxf(x * (float)op->softplus, 0) + log1pf(expf(-fabsf(x * (float)op->softplus)))) / (float)op->softplus;
    case CUDNN_POINTWISE_SWISH_FWD: return x / (1 + expf(-(float)op->swish * x));
    case CUDNN_POINTWISE_LOGICAL_NOT: return x == 0;
    default: return NAN;
    }
}

static float kerb_binary(const KerbDnnOp *op, float x, float b, float t)
{
    switch (op->mode) {
    case CUDNN_POINTWISE_ADD: return x + b;
    case CUDNN_POINTWISE_ADD_SQUARE: return x + b * b;
    case CUDNN_POINTWISE_SUB: return x - b;
    case CUDNN_POINTWISE_MUL: return x * b;
    case CUDNN_POINTWISE_DIV: return x / b;
    case CUDNN_POINTWISE_MAX: return fmaxf(x, b);
    case CUDNN_POINTWISE_MIN: return fminf(x, b);
    case CUDNN_POINTWISE_POW: return powf(x, b);
    case CUDNN_POINTWISE_MOD: return fmodf(x, b);
    case CUDNN_POINTWISE_CMP_EQ: return x == b;
    case CUDNN_POINTWISE_CMP_NEQ: return x != b;
    case CUDNN_POINTWISE_CMP_GT: return x > b;
    case CUDNN_POINTWISE_CMP_GE: return x >= b;
    case CUDNN_POINTWISE_CMP_LT: return x < b;
    case CUDNN_POINTWISE_CMP_LE: return x <= b;
    case CUDNN_POINTWISE_LOGICAL_AND: return x != 0 && b != 0;
    case CUDNN_POINTWISE_LOGICAL_OR: return x != 0 || b != 0;
    case CUDNN_POINTWISE_BINARY_SELECT: return t != 0 ? x : b;
    default: return kerb_unary(op, x);
    }
}

/* Where the element (n, h, w, c) of y is in a dense picture that broadcasts. */
static int64_t kerb_broadcast(const KerbDnnTensor *t, int64_t n, int64_t h, int64_t w, int64_t c)
{
    n = t->dims[0] == 1 ? 0 : n, c = t->dims[1] == 1 ? 0 : c, h = t->dims[2] == 1 ? 0 : h, w = t->dims[3] == 1 ? 0 : w;
    return ((n * t->dims[2] + h) * t->dims[3] + w) * t->dims[1] + c;
}

static void kerb_op_pointwise(const KerbDnnProgram *p, const KerbDnnOp *op, float **pictures)
{
    const KerbDnnTensor *tensors = p->tensors, *y = &tensors[op->y];
    float *out = pictures[op->y];
    for (int64_t n = 0; n < y->dims[0]; n++)
        for (int64_t h = 0; h < y->dims[2]; h++)
            for (int64_t w = 0; w < y->dims[3]; w++)
                for (int64_t c = 0; c < y->dims[1]; c++) {
                    const float x = (float)op->alpha * pictures[op->x][kerb_broadcast(&tensors[op->x], n, h, w, c)];
                    const float b = op->b < 0 ? 0 : (float)op->beta * pictures[op->b][kerb_broadcast(&tensors[op->b], n, h, w, c)];
                    const float t = op->t < 0 ? 0 : pictures[op->t][kerb_broadcast(&tensors[op->t], n, h, w, c)];
                    *out++ = kerb_binary(op, x, b, t);
                }
}

void kerb_dnn_run(const KerbDnnRun *run)
{
    const KerbDnnProgram *p = run->program;
    float *pictures[KERB_DNN_TENSORS] = { NULL };
    if (kerb_dnn_workspace(p))
        memset(run->workspace, 0xff, (size_t)kerb_dnn_workspace(p)); /* who shares it, sees it */
    for (int i = 0; i < p->n_tensors; i++) {
        const KerbDnnTensor *t = &p->tensors[i];
        pictures[i] = kerb_room_for(kerb_elements(t), sizeof(float));
        if (t->by_value)
            pictures[i][0] = (float)run->values[i];
        else if (!t->is_virtual)
            kerb_picture_walk(t, run->pointers[i], pictures[i], false);
    }
    for (int i = 0; i < p->n_ops; i++) {
        const KerbDnnOp *op = &p->ops[i];
        const KerbDnnTensor *y = &p->tensors[op->y];
        if (op->kind == KERB_DNN_POINTWISE)
            kerb_op_pointwise(p, op, pictures);
        else
            kerb_op_convolution(p, op, pictures);
        kerb_picture_round(y, pictures[op->y]);
        if (!y->is_virtual)
            kerb_picture_walk(y, run->pointers[op->y], pictures[op->y], true);
    }
    for (int i = 0; i < p->n_tensors; i++)
        free(pictures[i]);
}
