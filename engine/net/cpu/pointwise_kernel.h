/* SPDX-License-Identifier: MIT */
/* Elementwise kernels over dense f32 blocks, and the reductions that softmax needs. Included by kernels_*.c. */

#define POINTWISE(name, expression)                                               \
    static void KERB_SIMD_NAME(name)(float *x, size_t n, float alpha, float beta) \
    {                                                                             \
        v_t va = v_set(alpha), vb = v_set(beta);                                  \
        (void)va;                                                                 \
        (void)vb;                                                                 \
        size_t i = 0;                                                             \
        for (; i + VL <= n; i += VL) {                                            \
            v_t v = v_load(x + i);                                                \
            v_store(x + i, expression);                                           \
        }                                                                         \
        if (i < n) {                                                              \
            v_t v = v_load_n(x + i, (int)(n - i));                                \
            v_store_n(x + i, expression, (int)(n - i));                           \
        }                                                                         \
    }
#define V_UNIT(v) v_min(v_set(1), v_max(v_zero(), v)) /* clipped to 0..1 */
POINTWISE(sigmoid, v_sigmoid(v))
POINTWISE(tanh, v_tanh(v))
POINTWISE(swish, v_mul(v, v_sigmoid(v)))
POINTWISE(hard_sigmoid, V_UNIT(v_fma(v, va, vb)))
POINTWISE(hard_swish, v_mul(v, V_UNIT(v_fma(v, v_set(1.0f / 6), v_set(0.5f)))))
POINTWISE(elu, v_select_negative(v, v_mul(va, v_sub(v_exp(v), v_set(1))), v))
POINTWISE(exp, v_exp(v))
POINTWISE(abs, v_max(v, v_sub(v_zero(), v)))
POINTWISE(neg, v_sub(v_zero(), v))
POINTWISE(square, v_mul(v, v))
/* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
POINTWISE(gelu_tanh, v_mul(v_mul(v_set(0.5f), v),
                           v_add(v_set(1), v_tanh(v_mul(v_set(0.7978845608f), v_fma(v_mul(v_set(0.044715f), v), v_mul(v, v), v))))))
#undef POINTWISE

#define BINARY(name, expression)                                                                                               \
    static inline v_t KERB_SIMD_NAME(name##_op)(v_t a, v_t b)                                                                  \
    {                                                                                                                          \
        return expression;                                                                                                     \
    }                                                                                                                          \
    static void KERB_SIMD_NAME(name)(float *x, const float *o, KerbSpread spread, int pixels, int channels)                    \
    {                                                                                                                          \
        if (spread == KERB_SPREAD_FULL || spread == KERB_SPREAD_SCALAR) {                                                      \
            size_t n = (size_t)pixels * (size_t)channels, i = 0;                                                               \
            const bool scalar = spread == KERB_SPREAD_SCALAR;                                                                  \
            v_t s = scalar ? v_set(*o) : v_zero();                                                                             \
            for (; i + VL <= n; i += VL) v_store(x + i, KERB_SIMD_NAME(name##_op)(v_load(x + i), scalar ? s : v_load(o + i))); \
            if (i < n) {                                                                                                       \
                int m = (int)(n - i);                                                                                          \
                v_store_n(x + i, KERB_SIMD_NAME(name##_op)(v_load_n(x + i, m), scalar ? s : v_load_n(o + i, m)), m);           \
            }                                                                                                                  \
            return;                                                                                                            \
        }                                                                                                                      \
        for (int p = 0; p < pixels; p++, x += channels) {                                                                      \
            v_t s = spread == KERB_SPREAD_PIXEL ? v_set(o[p]) : v_zero();                                                      \
            for (int c = 0; c < channels; c += VL) {                                                                           \
                int m = channels - c < VL ? channels - c : VL;                                                                 \
                v_t b = spread == KERB_SPREAD_PIXEL ? s : v_load_n(o + c, m);                                                  \
                v_store_n(x + c, KERB_SIMD_NAME(name##_op)(v_load_n(x + c, m), b), m);                                         \
            }                                                                                                                  \
        }                                                                                                                      \
    }
BINARY(add, v_add(a, b))
BINARY(sub, v_sub(a, b))
BINARY(mul, v_mul(a, b))
BINARY(div, v_div(a, b))
BINARY(min, v_min(a, b))
BINARY(max, v_max(a, b))
BINARY(rsub, v_sub(b, a))
BINARY(rdiv, v_div(b, a))
#undef BINARY

static void KERB_SIMD_NAME(scale_shift)(float *x, const float *scale, const float *shift, int pixels, int channels)
{
    for (int p = 0; p < pixels; p++, x += channels) {
        int c = 0;
        for (; c + VL <= channels; c += VL) v_store(x + c, v_fma(v_load(x + c), v_load(scale + c), v_load(shift + c)));
        if (c < channels) {
            int n = channels - c;
            v_store_n(x + c, v_fma(v_load_n(x + c, n), v_load_n(scale + c, n), v_load_n(shift + c, n)), n);
        }
    }
}

static void KERB_SIMD_NAME(finish)(float *x, int pixels, int channels, const KerbEpilogue *e)
{
    if (!e->slope && !e->bias) { /* no channel matters: one run over all */
        channels *= pixels;
        pixels = 1;
    }
    for (int p = 0; p < pixels; p++, x += channels) {
        for (int c = 0; c < channels; c += VL) {
            int n = channels - c < VL ? channels - c : VL;
            v_t v = n == VL ? v_load(x + c) : v_load_n(x + c, n), slope = e->slope ? v_load_n(e->slope + c, n) : v_zero();
            if (e->bias) v = v_add(v, v_load_n(e->bias + c, n));
            v = v_finish(v, e, slope);
            if (n == VL)
                v_store(x + c, v);
            else
                v_store_n(x + c, v, n);
        }
    }
}

static void KERB_SIMD_NAME(to_f32)(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(out + i, v_load_bf16(in + i));
    if (i < n) v_store_n(out + i, v_load_bf16_n(in + i, (int)(n - i)), (int)(n - i));
}
static void KERB_SIMD_NAME(to_bf16)(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store_bf16(out + i, v_load(in + i));
    if (i < n) v_store_bf16_n(out + i, v_load_n(in + i, (int)(n - i)), (int)(n - i));
}
static void KERB_SIMD_NAME(accumulate)(float *sum, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(sum + i, v_add(v_load(sum + i), v_load(in + i)));
    if (i < n) v_store_n(sum + i, v_add(v_load_n(sum + i, (int)(n - i)), v_load_n(in + i, (int)(n - i))), (int)(n - i));
}
static void KERB_SIMD_NAME(scale)(float *x, size_t n, float factor)
{
    v_t f = v_set(factor);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(x + i, v_mul(v_load(x + i), f));
    if (i < n) v_store_n(x + i, v_mul(v_load_n(x + i, (int)(n - i)), f), (int)(n - i));
}
static float KERB_SIMD_NAME(largest)(const float *x, size_t n)
{
    v_t best = v_set(-INFINITY);
    size_t i = 0;
    for (; i + VL <= n; i += VL) best = v_max(best, v_load(x + i));
    float lanes[VL], result = -INFINITY;
    v_store(lanes, best);
    for (int l = 0; l < VL; l++) result = lanes[l] > result ? lanes[l] : result;
    for (; i < n; i++) result = x[i] > result ? x[i] : result;
    return result;
}
static float KERB_SIMD_NAME(exponentials)(float *x, size_t n)
{
    v_t top = v_set(KERB_SIMD_NAME(largest)(x, n)), s0 = v_zero(), s1 = v_zero();
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) { /* two at a time: the exponential is one long chain */
        v_t a = v_exp(v_sub(v_load(x + i), top)), b = v_exp(v_sub(v_load(x + i + VL), top));
        v_store(x + i, a);
        v_store(x + i + VL, b);
        s0 = v_add(s0, a);
        s1 = v_add(s1, b);
    }
    float rest = 0;
    for (; i < n; i += VL) {
        int m = n - i < VL ? (int)(n - i) : VL;
        float lanes[VL];
        v_store(lanes, v_exp(v_sub(v_load_n(x + i, m), top)));
        for (int l = 0; l < m; l++) rest += x[i + (size_t)l] = lanes[l];
    }
    return v_sum(v_add(s0, s1)) + rest;
}
