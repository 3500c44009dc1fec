/* SPDX-License-Identifier: MIT */
/* One vector of floats under three names: plain C (one lane), AVX2 (8), AVX-512 (16). The *_kernel.h files are written once in these words
 * and included by kernels_c.c, kernels_avx2.c and kernels_avx512.c, which define KERB_SIMD_C, _AVX2 or _AVX512. Only those files include
 * this.
 *
 * Functions that end in _n touch the first n lanes only (0 < n <= VL): nothing past them is read or written. */
#ifndef KERB_NET_CPU_SIMD_H
#define KERB_NET_CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/tensor.h"

#if defined(KERB_SIMD_AVX512)

#include <immintrin.h>
#define VL 16
#define KERB_SIMD_NAME(name) name##_avx512
typedef __m512 v_t;
static inline v_t v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, v_t v)
{
    _mm512_storeu_ps(p, v);
}
static inline v_t v_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void v_store_n(float *p, v_t v, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}
static inline v_t v_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline v_t v_add(v_t a, v_t b)
{
    return _mm512_add_ps(a, b);
}
static inline v_t v_sub(v_t a, v_t b)
{
    return _mm512_sub_ps(a, b);
}
static inline v_t v_mul(v_t a, v_t b)
{
    return _mm512_mul_ps(a, b);
}
static inline v_t v_div(v_t a, v_t b)
{
    return _mm512_div_ps(a, b);
}
static inline v_t v_fma(v_t a, v_t b, v_t c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline v_t v_max(v_t a, v_t b)
{
    return _mm512_max_ps(a, b);
}
static inline v_t v_min(v_t a, v_t b)
{
    return _mm512_min_ps(a, b);
}
static inline v_t v_floor(v_t a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
static inline v_t v_round(v_t a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline v_t v_select_negative(v_t x, v_t a, v_t b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}
/* a > b ? x : y, lane by lane (y where either is NaN) */
static inline v_t v_select_greater(v_t a, v_t b, v_t x, v_t y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x);
}
static inline v_t v_pow2(v_t n)
{
    return _mm512_scalef_ps(_mm512_set1_ps(1.0f), n);
} /* 2^n, n whole */
static inline float v_sum(v_t a)
{
    return _mm512_reduce_add_ps(a);
}
static inline v_t v_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
}
static inline v_t v_load_bf16_n(const uint16_t *p, int n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p)), 16));
}
static inline __m256i kerb_simd_to_bf16(v_t v)
{
    __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), rounded, quiet));
}
static inline void v_store_bf16(uint16_t *p, v_t v)
{
    _mm256_storeu_si256((void *)p, kerb_simd_to_bf16(v));
}
static inline void v_store_bf16_n(uint16_t *p, v_t v, int n)
{
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), kerb_simd_to_bf16(v));
}

#elif defined(KERB_SIMD_AVX2)

#include <immintrin.h>
#define VL 8
#define KERB_SIMD_NAME(name) name##_avx2
typedef __m256 v_t;
static inline __m256i kerb_simd_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline v_t v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, v_t v)
{
    _mm256_storeu_ps(p, v);
}
static inline v_t v_load_n(const float *p, int n)
{
    return _mm256_maskload_ps(p, kerb_simd_mask(n));
}
static inline void v_store_n(float *p, v_t v, int n)
{
    _mm256_maskstore_ps(p, kerb_simd_mask(n), v);
}
static inline v_t v_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline v_t v_add(v_t a, v_t b)
{
    return _mm256_add_ps(a, b);
}
static inline v_t v_sub(v_t a, v_t b)
{
    return _mm256_sub_ps(a, b);
}
static inline v_t v_mul(v_t a, v_t b)
{
    return _mm256_mul_ps(a, b);
}
static inline v_t v_div(v_t a, v_t b)
{
    return _mm256_div_ps(a, b);
}
static inline v_t v_fma(v_t a, v_t b, v_t c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline v_t v_max(v_t a, v_t b)
{
    return _mm256_max_ps(a, b);
}
static inline v_t v_min(v_t a, v_t b)
{
    return _mm256_min_ps(a, b);
}
static inline v_t v_floor(v_t a)
{
    return _mm256_floor_ps(a);
}
static inline v_t v_round(v_t a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline v_t v_select_negative(v_t x, v_t a, v_t b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
static inline v_t v_select_greater(v_t a, v_t b, v_t x, v_t y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
static inline v_t v_pow2(v_t n) /* n in -126..127 */
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
static inline float v_sum(v_t a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline v_t v_load_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
}
static inline v_t v_load_bf16_n(const uint16_t *p, int n)
{
    uint16_t b[8] = {0};
    memcpy(b, p, (size_t)n * 2);
    return v_load_bf16(b);
}
static inline void v_store_bf16(uint16_t *p, v_t v)
{
    __m256i bits = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i words = _mm256_blendv_epi8(rounded, quiet, nan);
    _mm_storeu_si128((void *)p, _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
static inline void v_store_bf16_n(uint16_t *p, v_t v, int n)
{
    uint16_t b[8];
    v_store_bf16(b, v);
    memcpy(p, b, (size_t)n * 2);
}

#else

#define VL 1
#define KERB_SIMD_NAME(name) name##_c
typedef float v_t;
static inline v_t v_load(const float *p)
{
    return *p;
}
static inline void v_store(float *p, v_t v)
{
    *p = v;
}
static inline v_t v_load_n(const float *p, int n)
{
    return *p;
}
static inline void v_store_n(float *p, v_t v, int n)
{
    *p = v;
}
static inline v_t v_set(float x)
{
    return x;
}
static inline v_t v_add(v_t a, v_t b)
{
    return a + b;
}
static inline v_t v_sub(v_t a, v_t b)
{
    return a - b;
}
static inline v_t v_mul(v_t a, v_t b)
{
    return a * b;
}
static inline v_t v_div(v_t a, v_t b)
{
    return a / b;
}
static inline v_t v_fma(v_t a, v_t b, v_t c)
{
    return a * b + c;
}
static inline v_t v_max(v_t a, v_t b)
{
    return a > b ? a : b;
} /* b where either is NaN, like x86 */
static inline v_t v_min(v_t a, v_t b)
{
    return a < b ? a : b;
}
static inline v_t v_floor(v_t a)
{
    return floorf(a);
}
static inline v_t v_round(v_t a)
{
    return rintf(a);
}
static inline v_t v_select_negative(v_t x, v_t a, v_t b)
{
    return x < 0 ? a : b;
}
static inline v_t v_select_greater(v_t a, v_t b, v_t x, v_t y)
{
    return a > b ? x : y;
}
static inline v_t v_pow2(v_t n)
{
    return ldexpf(1.0f, (int)n);
}
static inline float v_sum(v_t a)
{
    return a;
}
static inline v_t v_load_bf16(const uint16_t *p)
{
    return kerb_bf16_to_f32(*p);
}
static inline v_t v_load_bf16_n(const uint16_t *p, int n)
{
    return kerb_bf16_to_f32(*p);
}
static inline void v_store_bf16(uint16_t *p, v_t v)
{
    *p = kerb_f32_to_bf16(v);
}
static inline void v_store_bf16_n(uint16_t *p, v_t v, int n)
{
    *p = kerb_f32_to_bf16(v);
}

#endif

static inline v_t v_zero(void)
{
    return v_set(0);
}

/* e^x to about 2 units in the last place: 2^n * p(r), r in [-ln2/2, ln2/2] (Cephes expf's polynomial). Saturates near the ends of f32; 0
 * below. */
static inline v_t v_exp(v_t x)
{
    v_t clamped = v_min(v_set(88.3762626647949f), v_max(v_set(-87.3f), x)); /* NaN stays: the second operand wins */
    v_t n = v_round(v_mul(clamped, v_set(1.44269504088896341f)));
    v_t r = v_fma(n, v_set(-0.693359375f), clamped);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    v_t p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_fma(v_mul(r, r), p, v_add(r, v_set(1)));
    p = v_mul(p, v_pow2(n));
    return v_select_greater(v_set(-87.3f), x, v_zero(), p);
}
static inline v_t v_sigmoid(v_t x)
{
    return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_zero(), x))));
}
static inline v_t v_tanh(v_t x) /* odd polynomial near 0 (Cephes), (1 - e^-2|x|) / (1 + e^-2|x|) elsewhere */
{
    v_t a = v_max(x, v_sub(v_zero(), x)), z = v_mul(x, x);
    v_t p = v_set(-5.70498872745e-3f);
    p = v_fma(p, z, v_set(2.06390887954e-2f));
    p = v_fma(p, z, v_set(-5.37397155531e-2f));
    p = v_fma(p, z, v_set(1.33314422036e-1f));
    p = v_fma(p, z, v_set(-3.33332819422e-1f));
    p = v_fma(v_mul(p, z), x, x);
    v_t e = v_exp(v_mul(v_set(-2), a));
    v_t big = v_div(v_sub(v_set(1), e), v_add(v_set(1), e));
    big = v_select_negative(x, v_sub(v_zero(), big), big);
    return v_select_greater(a, v_set(0.625f), big, p);
}

#endif
