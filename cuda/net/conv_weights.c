/* SPDX-License-Identifier: MIT */
/* Weights and vectors as convolutions read them: the model's own order -> channels innermost, padded with zeros, in the device's type. */
#include "cuda/net/conv.h"

#include <math.h>
#include <string.h>

/* Weights are (outer, inner, R, S): outer is K, inner C/group; transposed: outer C, inner K/group. */
typedef struct KerbWeightDims {
    size_t outer, inner, taps;
} KerbWeightDims;

static KerbWeightDims kerb_conv_weight_dims(const KerbConvProblem *p, int c, int k)
{
    int group = p->group > 0 ? p->group : 1;
    size_t taps = (size_t)p->kernel[0] * (size_t)p->kernel[1];
    if (p->transposed) return (KerbWeightDims){ (size_t)c, (size_t)(k / group), taps };
    return (KerbWeightDims){ (size_t)k, (size_t)(c / group), taps };
}

size_t kerb_conv_weight_bytes(const KerbConvProblem *problem)
{
    KerbWeightDims d = kerb_conv_weight_dims(problem, problem->c, problem->k);
    return d.outer * d.inner * d.taps * kerb_dtype_bytes((KerbDtype)problem->w_type);
}

static uint16_t kerb_conv_f16(float v)
{
    const float most = 65504;
    return kerb_f32_to_f16(v > most ? most : v < -most ? -most : v);
}

static void kerb_conv_store(void *out, size_t at, KerbDtype type, float v)
{
    switch (type) {
    case KERB_F32: ((float *)out)[at] = v; break;
    case KERB_F16: ((uint16_t *)out)[at] = kerb_conv_f16(v); break;
    case KERB_BF16: ((uint16_t *)out)[at] = kerb_f32_to_bf16(v); break;
    case KERB_I8: ((int8_t *)out)[at] = (int8_t)(v >= 127 ? 127 : v <= -128 ? -128 : v == v ? lrintf(v) : 0); break;
    default: break; /* no other type is ever a problem's */
    }
}

void kerb_conv_pack_weights(const KerbConvProblem *problem, const float *weights, int real_c, int real_k, void *out)
{
    const KerbWeightDims to = kerb_conv_weight_dims(problem, problem->c, problem->k), from = kerb_conv_weight_dims(problem, real_c, real_k);
    memset(out, 0, kerb_conv_weight_bytes(problem));
    for (size_t o = 0; o < from.outer; o++) {
        for (size_t i = 0; i < from.inner; i++) {
            const float *taps = weights + (o * from.inner + i) * from.taps;
            for (size_t t = 0; t < to.taps; t++) kerb_conv_store(out, (o * to.taps + t) * to.inner + i, (KerbDtype)problem->w_type, taps[t]);
        }
    }
}

void kerb_conv_pack_vector(const KerbConvProblem *problem, const float *values, int real_k, float *out)
{
    memset(out, 0, (size_t)problem->k * sizeof *out);
    memcpy(out, values, (size_t)real_k * sizeof *out);
}
