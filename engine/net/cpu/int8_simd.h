/* SPDX-License-Identifier: MIT */
/* A vector of 32-bit integers, as many as simd.h's floats, and how 8-bit numbers become such: plain C (one lane), AVX2 (8), AVX-512 (16).
 * KERB_SIMD_VNNI on top: a unit is four bytes (vpdpbusd), else two i16 (vpmaddwd). Included by int8_kernels_*.c.
 *
 * Functions that end in _n touch the first n lanes only (0 < n <= VL). */
#ifndef KERB_NET_CPU_INT8_SIMD_H
#define KERB_NET_CPU_INT8_SIMD_H

#include "net/cpu/simd.h"

#if defined(KERB_SIMD_VNNI)
#define INT8_UNIT 4
#else
#define INT8_UNIT 2
#endif

#if defined(KERB_SIMD_AVX512)

typedef __m512i i_t;
static inline i_t i_load(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline void i_store(int32_t *p, i_t a)
{
    _mm512_storeu_si512(p, a);
}
static inline i_t i_load_n(const int32_t *p, int n)
{
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), p);
}
static inline i_t i_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}
static inline i_t i_add(i_t a, i_t b)
{
    return _mm512_add_epi32(a, b);
}
static inline i_t i_sub(i_t a, i_t b)
{
    return _mm512_sub_epi32(a, b);
}
/* sum + the products of a unit of numbers x and one of weights w */
static inline i_t i_dot(i_t sum, i_t x, i_t w)
{
#if defined(KERB_SIMD_VNNI)
    return _mm512_dpbusd_epi32(sum, x, w);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(x, w));
#endif
}
static inline v_t i_to_v(i_t a)
{
    return _mm512_cvtepi32_ps(a);
}
static inline i_t v_to_i(v_t a) /* half to even */
{
    return _mm512_cvtps_epi32(a);
}
static inline i_t i_load_8_n(const uint8_t *p, int n, bool is_signed)
{
    __m128i b = n == VL ? _mm_loadu_si128((const void *)p) : _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p);
    return is_signed ? _mm512_cvtepi8_epi32(b) : _mm512_cvtepu8_epi32(b);
}
static inline void i_store_8_n(uint8_t *p, i_t a, int n) /* lanes are in the type's range */
{
    __m128i b = _mm512_cvtepi32_epi8(a);
    if (n == VL)
        _mm_storeu_si128((void *)p, b);
    else
        _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), b);
}
static inline v_t v_no_nan(v_t a) /* NaN: 0 */
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), a);
}
/* VL numbers into i16 less zero. */
static inline void i_store_16_n(int16_t *p, i_t a, int n)
{
    __m256i words = _mm512_cvtepi32_epi16(a);
    if (n == VL)
        _mm256_storeu_si256((void *)p, words);
    else
        _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), words);
}
/* Bytes, 64 of them, for maxima. */
#define BYTES 64
typedef __m512i b_t;
static inline b_t b_load_n(const uint8_t *p, int n)
{
    return n == BYTES ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(((__mmask64)1 << n) - 1, p);
}
static inline void b_store_n(uint8_t *p, b_t a, int n)
{
    if (n == BYTES)
        _mm512_storeu_si512(p, a);
    else
        _mm512_mask_storeu_epi8(p, ((__mmask64)1 << n) - 1, a);
}
static inline b_t b_set(uint8_t x)
{
    return _mm512_set1_epi8((char)x);
}
static inline b_t b_max(b_t a, b_t b, bool is_signed)
{
    return is_signed ? _mm512_max_epi8(a, b) : _mm512_max_epu8(a, b);
}

#elif defined(KERB_SIMD_AVX2)

typedef __m256i i_t;
static inline i_t i_load(const int32_t *p)
{
    return _mm256_loadu_si256((const void *)p);
}
static inline void i_store(int32_t *p, i_t a)
{
    _mm256_storeu_si256((void *)p, a);
}
static inline i_t i_load_n(const int32_t *p, int n)
{
    return _mm256_maskload_epi32(p, kerb_simd_mask(n));
}
static inline i_t i_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}
static inline i_t i_add(i_t a, i_t b)
{
    return _mm256_add_epi32(a, b);
}
static inline i_t i_sub(i_t a, i_t b)
{
    return _mm256_sub_epi32(a, b);
}
static inline i_t i_dot(i_t sum, i_t x, i_t w)
{
#if defined(KERB_SIMD_VNNI)
    return _mm256_dpbusd_avx_epi32(sum, x, w);
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
#endif
}
static inline v_t i_to_v(i_t a)
{
    return _mm256_cvtepi32_ps(a);
}
static inline i_t v_to_i(v_t a)
{
    return _mm256_cvtps_epi32(a);
}
static inline i_t i_load_8_n(const uint8_t *p, int n, bool is_signed)
{
    uint64_t b = 0;
    if (n == VL)
        memcpy(&b, p, 8);
    else
        memcpy(&b, p, (size_t)n);
    const __m128i bytes = _mm_cvtsi64_si128((long long)b);
    return is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
}
static inline void i_store_8_n(uint8_t *p, i_t a, int n)
{
    const __m256i low = _mm256_and_si256(a, _mm256_set1_epi32(255));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    const long long b = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
    if (n == VL)
        memcpy(p, &b, 8);
    else
        memcpy(p, &b, (size_t)n);
}
static inline v_t v_no_nan(v_t a)
{
    return _mm256_and_ps(a, _mm256_cmp_ps(a, a, _CMP_ORD_Q));
}
static inline void i_store_16_n(int16_t *p, i_t a, int n)
{
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    if (n == VL) {
        _mm_storeu_si128((void *)p, words);
        return;
    }
    int16_t b[8];
    _mm_storeu_si128((void *)b, words);
    memcpy(p, b, (size_t)n * 2);
}
#define BYTES 32
typedef __m256i b_t;
static inline b_t b_load_n(const uint8_t *p, int n)
{
    if (n == BYTES) return _mm256_loadu_si256((const void *)p);
    uint8_t b[BYTES] = {0};
    memcpy(b, p, (size_t)n);
    return _mm256_loadu_si256((const void *)b);
}
static inline void b_store_n(uint8_t *p, b_t a, int n)
{
    if (n == BYTES) {
        _mm256_storeu_si256((void *)p, a);
        return;
    }
    uint8_t b[BYTES];
    _mm256_storeu_si256((void *)b, a);
    memcpy(p, b, (size_t)n);
}
static inline b_t b_set(uint8_t x)
{
    return _mm256_set1_epi8((char)x);
}
static inline b_t b_max(b_t a, b_t b, bool is_signed)
{
    return is_signed ? _mm256_max_epi8(a, b) : _mm256_max_epu8(a, b);
}

#else

typedef int32_t i_t;
static inline i_t i_load(const int32_t *p)
{
    return *p;
}
static inline void i_store(int32_t *p, i_t a)
{
    *p = a;
}
static inline i_t i_load_n(const int32_t *p, int n)
{
    return *p;
}
static inline i_t i_set(int32_t x)
{
    return x;
}
static inline i_t i_add(i_t a, i_t b)
{
    return (i_t)((uint32_t)a + (uint32_t)b);
}
static inline i_t i_sub(i_t a, i_t b)
{
    return (i_t)((uint32_t)a - (uint32_t)b);
}
static inline i_t i_dot(i_t sum, i_t x, i_t w)
{
#if defined(KERB_SIMD_VNNI)
    uint8_t a[4];
    int8_t b[4];
    memcpy(a, &x, 4);
    memcpy(b, &w, 4);
    return i_add(sum, a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]);
#else
    int16_t a[2], b[2];
    memcpy(a, &x, 4);
    memcpy(b, &w, 4);
    return i_add(sum, a[0] * b[0] + a[1] * b[1]);
#endif
}
static inline v_t i_to_v(i_t a)
{
    return (float)a;
}
static inline i_t v_to_i(v_t a)
{
    return (int32_t)lrintf(a);
}
static inline i_t i_load_8_n(const uint8_t *p, int n, bool is_signed)
{
    return is_signed ? (int8_t)*p : *p;
}
static inline void i_store_8_n(uint8_t *p, i_t a, int n)
{
    *p = (uint8_t)a;
}
static inline v_t v_no_nan(v_t a)
{
    return isnan(a) ? 0 : a;
}
static inline void i_store_16_n(int16_t *p, i_t a, int n)
{
    *p = (int16_t)a;
}
#define BYTES 1
typedef uint8_t b_t;
static inline b_t b_load_n(const uint8_t *p, int n)
{
    return *p;
}
static inline void b_store_n(uint8_t *p, b_t a, int n)
{
    *p = a;
}
static inline b_t b_set(uint8_t x)
{
    return x;
}
static inline b_t b_max(b_t a, b_t b, bool is_signed)
{
    return is_signed ? (uint8_t)((int8_t)a > (int8_t)b ? (int8_t)a : (int8_t)b) : a > b ? a : b;
}

#endif

/* A unit, wherever it lies, in all lanes. */
static inline i_t i_spread(const uint8_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return i_set(x);
}

#endif
