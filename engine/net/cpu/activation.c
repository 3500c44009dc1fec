/* SPDX-License-Identifier: MIT */
/* Activations in the kernels' terms. */
#include <math.h>

#include "net/cpu/cpu.h"

static float kerb_gelu(float x, float a, float b)
{
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
}
static float kerb_mish(float x, float a, float b)
{
    return x * tanhf(log1pf(expf(x)));
}
static float kerb_softplus(float x, float a, float b)
{
    return x > 20 ? x + log1pf(expf(-x)) : log1pf(expf(x));
}
static float kerb_softsign(float x, float a, float b)
{
    return x / (1 + fabsf(x));
}
static float kerb_selu(float x, float a, float b)
{
    return x > 0 ? b * x : b * a * expm1f(x);
}
static float kerb_celu(float x, float a, float b)
{
    return x > 0 ? x : a * expm1f(x / a);
}
static float kerb_thresholded(float x, float a, float b)
{
    return x > a ? x : 0;
}
static float kerb_sqrt(float x, float a, float b)
{
    return sqrtf(x);
}
static float kerb_reciprocal(float x, float a, float b)
{
    return 1 / x;
}
static float kerb_logarithm(float x, float a, float b)
{
    return logf(x);
}
static float kerb_erf(float x, float a, float b)
{
    return erff(x);
}
static float kerb_floor(float x, float a, float b)
{
    return floorf(x);
}
static float kerb_ceil(float x, float a, float b)
{
    return ceilf(x);
}
static float kerb_round(float x, float a, float b)
{
    return rintf(x);
}
static float kerb_sin(float x, float a, float b)
{
    return sinf(x);
}
static float kerb_cos(float x, float a, float b)
{
    return cosf(x);
}
static float kerb_atan(float x, float a, float b)
{
    return atanf(x);
}
static float kerb_sign(float x, float a, float b)
{
    return x > 0 ? 1.0f : x < 0 ? -1.0f : 0;
}

/* Functions without a vector kernel: rare in networks for pictures. */
static float (*const kerb_scalars[KERB_UNARY_COUNT])(float, float, float) = {
    [KERB_UNARY_GELU] = kerb_gelu,
    [KERB_UNARY_MISH] = kerb_mish,
    [KERB_UNARY_SOFTPLUS] = kerb_softplus,
    [KERB_UNARY_SOFTSIGN] = kerb_softsign,
    [KERB_UNARY_SELU] = kerb_selu,
    [KERB_UNARY_CELU] = kerb_celu,
    [KERB_UNARY_THRESHOLDED_RELU] = kerb_thresholded,
    [KERB_UNARY_SQRT] = kerb_sqrt,
    [KERB_UNARY_LOG] = kerb_logarithm,
    [KERB_UNARY_RECIPROCAL] = kerb_reciprocal,
    [KERB_UNARY_ERF] = kerb_erf,
    [KERB_UNARY_FLOOR] = kerb_floor,
    [KERB_UNARY_CEIL] = kerb_ceil,
    [KERB_UNARY_ROUND] = kerb_round,
    [KERB_UNARY_SIN] = kerb_sin,
    [KERB_UNARY_COS] = kerb_cos,
    [KERB_UNARY_ATAN] = kerb_atan,
    [KERB_UNARY_SIGN] = kerb_sign,
};

static const struct KerbVectorUnary {
    KerbUnary unary;
    KerbCpuUnary kernel;
} kerb_vectors[] = {
    {KERB_UNARY_SIGMOID, KERB_CPU_SIGMOID},
    {KERB_UNARY_TANH, KERB_CPU_TANH},
    {KERB_UNARY_SWISH, KERB_CPU_SWISH},
    {KERB_UNARY_HARD_SIGMOID, KERB_CPU_HARD_SIGMOID},
    {KERB_UNARY_HARD_SWISH, KERB_CPU_HARD_SWISH},
    {KERB_UNARY_ELU, KERB_CPU_ELU},
    {KERB_UNARY_EXP, KERB_CPU_EXP},
    {KERB_UNARY_ABS, KERB_CPU_ABS},
    {KERB_UNARY_NEG, KERB_CPU_NEG},
    {KERB_UNARY_GELU_TANH, KERB_CPU_GELU_TANH},
};

/* Slopes by channel from a constant of one element or `channels`, or from one number. */
static const float *kerb_cpu_slopes(KerbCompiler *c, uint32_t id, float alpha, int channels)
{
    size_t padded = (size_t)channels + 2 * KERB_LANES_MAX;
    float *slopes = kerb_cpu_block(c, padded * sizeof *slopes);
    if (!slopes) return NULL;
    const KerbValue *v = id == KERB_NO_VALUE ? NULL : &c->g->values[id];
    if (v) {
        KerbTensor t = kerb_value_tensor(v);
        int64_t n = kerb_tensor_elements(&t);
        if (!t.data || !kerb_dtype_is_float(t.dtype) || (n != 1 && n != channels)) return NULL;
        for (int i = 0; i < channels; i++) slopes[i] = (float)kerb_tensor_get(&t, n == 1 ? 0 : i);
    } else {
        for (int i = 0; i < channels; i++) slopes[i] = alpha;
    }
    return slopes;
}

bool kerb_cpu_act(KerbCompiler *c, const KerbActivation *a, int channels, KerbCpuAct *out)
{
    *out = (KerbCpuAct){.from = a, .alpha = a->alpha, .beta = a->beta};
    KerbEpilogue *e = &out->finish;
    switch (a->kind) {
    case KERB_ACT_NONE: return true;
    case KERB_ACT_CLIP:
        e->clip = true;
        e->lo = a->lo;
        e->hi = a->hi;
        return true;
    case KERB_ACT_PRELU: return (e->slope = kerb_cpu_slopes(c, a->slope, 0, channels)) != NULL;
    case KERB_ACT_UNARY: break;
    }
    if (a->unary == KERB_UNARY_RELU) {
        e->clip = true;
        e->lo = 0;
        e->hi = INFINITY;
        return true;
    }
    if (a->unary == KERB_UNARY_LEAKY_RELU) return (e->slope = kerb_cpu_slopes(c, KERB_NO_VALUE, a->alpha, channels)) != NULL;
    for (size_t i = 0; i < sizeof kerb_vectors / sizeof kerb_vectors[0]; i++) {
        if (kerb_vectors[i].unary != a->unary) continue;
        out->has_unary = true;
        out->unary = kerb_vectors[i].kernel;
        return true;
    }
    out->scalar = kerb_scalars[a->unary];
    return out->scalar != NULL;
}

bool kerb_cpu_act_known(const KerbCompiler *c, const KerbActivation *a, int channels)
{
    if (a->kind == KERB_ACT_NONE || a->kind == KERB_ACT_CLIP) return true;
    if (a->kind == KERB_ACT_PRELU) {
        const KerbValue *v = a->slope == KERB_NO_VALUE ? NULL : &c->g->values[a->slope];
        if (!v || !kerb_value_is_constant(v) || !kerb_dtype_is_float(v->dtype)) return false;
        const KerbTensor t = kerb_value_tensor(v);
        return kerb_tensor_elements(&t) == 1 || kerb_tensor_elements(&t) == channels;
    }
    if (a->unary == KERB_UNARY_RELU || a->unary == KERB_UNARY_LEAKY_RELU || kerb_scalars[a->unary]) return true;
    for (size_t i = 0; i < sizeof kerb_vectors / sizeof kerb_vectors[0]; i++) {
        if (kerb_vectors[i].unary == a->unary) return true;
    }
    return false;
}

bool kerb_cpu_act_is_plain(const KerbCpuAct *a)
{
    return !a->has_unary && !a->scalar;
}

void kerb_cpu_act_run(const KerbCpuKernels *k, const KerbCpuAct *a, float *x, size_t n)
{
    if (a->has_unary) k->unary[a->unary](x, n, a->alpha, a->beta);
    for (size_t i = 0; a->scalar && i < n; i++) x[i] = a->scalar(x[i], a->alpha, a->beta);
}
