/* SPDX-License-Identifier: MIT */
/* Lanes for out_rows_template.h: 16 floats in AVX-512. The meaning of each function stands in out_lanes_c.h. */
#include <immintrin.h>

#define KERB_LANES 16

typedef __m512 VecF;
typedef __m512i VecI;
typedef __mmask16 VecM;

static inline VecF vf_set1(float a) { return _mm512_set1_ps(a); }
static inline VecF vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, VecF a) { _mm512_storeu_ps(p, a); }
static inline VecF vf_add(VecF a, VecF b) { return _mm512_add_ps(a, b); }
static inline VecF vf_sub(VecF a, VecF b) { return _mm512_sub_ps(a, b); }
static inline VecF vf_mul(VecF a, VecF b) { return _mm512_mul_ps(a, b); }
static inline VecF vf_div(VecF a, VecF b) { return _mm512_div_ps(a, b); }
static inline VecF vf_max(VecF a, VecF b) { return _mm512_max_ps(a, b); }
static inline VecF vf_min(VecF a, VecF b) { return _mm512_min_ps(a, b); }
static inline VecM vm_greater(VecF a, VecF b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline VecF vf_select(VecM m, VecF a, VecF b) { return _mm512_mask_blend_ps(m, b, a); }
static inline VecI vi_select(VecM m, VecI a, VecI b) { return _mm512_mask_blend_epi32(m, b, a); }
static inline VecM vm_equal(VecI a, VecI b) { return _mm512_cmpeq_epi32_mask(a, b); }
static inline VecI vi_set1(int32_t a) { return _mm512_set1_epi32(a); }
static inline VecI vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline VecI vi_add(VecI a, VecI b) { return _mm512_add_epi32(a, b); }
static inline VecI vi_sub(VecI a, VecI b) { return _mm512_sub_epi32(a, b); }
static inline VecI vi_from_f(VecF a) { return _mm512_cvttps_epi32(a); }
static inline VecF vf_exp2i(VecI n) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23)); }
static inline VecF vf_gather(const float *p, VecI i) { return _mm512_i32gather_ps(i, p, 4); }
static inline VecF vf_pick(VecF window, VecI i) { return _mm512_permutexvar_ps(i, window); }
static inline VecF vf_pick2(VecF low, VecF high, VecI i) { return _mm512_permutex2var_ps(low, i, high); }
static inline void vi_store_u8(uint8_t *p, VecI a, int n)
{
    __m128i bytes = _mm512_cvtepi32_epi8(a);
    if (n >= KERB_LANES) _mm_storeu_si128((__m128i *)p, bytes);
    else _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), bytes);
}
static inline VecF vf_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
static inline void vf_load_pairs(const float *p, VecF out[2])
{
    __m512 a = _mm512_loadu_ps(p), b = _mm512_loadu_ps(p + 16);
    __m512i pick = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    out[0] = _mm512_permutex2var_ps(a, pick, b);
    out[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(pick, _mm512_set1_epi32(1)), b);
}
static inline void vf_load_pairs_bf16(const uint16_t *p, VecF out[2])
{
    __m512i v = _mm512_loadu_si512(p);
    out[0] = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
    out[1] = _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32((int)0xffff0000u)));
}
static inline __m128 vf_four_bf16(const uint16_t *p)
{
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16));
}
/* r[k] holds cells k, 4 + k, 8 + k and 12 + k, four channels each: a 4x4 transposition in each quarter. */
static inline void vf_transpose_fours(const __m512 r[4], VecF out[4])
{
    __m512 a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]), c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
    out[0] = _mm512_shuffle_ps(a, c, 0x44);
    out[1] = _mm512_shuffle_ps(a, c, 0xee);
    out[2] = _mm512_shuffle_ps(b, d, 0x44);
    out[3] = _mm512_shuffle_ps(b, d, 0xee);
}
static inline __m512 vf_quarters(__m128 a, __m128 b, __m128 c, __m128 d)
{
    __m512 v = _mm512_insertf32x4(_mm512_castps128_ps512(a), b, 1);
    return _mm512_insertf32x4(_mm512_insertf32x4(v, c, 2), d, 3);
}
static inline void vf_load_fours(const float *p, int64_t stride, VecF out[4])
{
    __m512 r[4];
    for (int k = 0; k < 4; k++)
        r[k] = vf_quarters(_mm_loadu_ps(p + k * stride), _mm_loadu_ps(p + (4 + k) * stride), _mm_loadu_ps(p + (8 + k) * stride),
                           _mm_loadu_ps(p + (12 + k) * stride));
    vf_transpose_fours(r, out);
}
static inline void vf_load_fours_bf16(const uint16_t *p, int64_t stride, VecF out[4])
{
    __m512 r[4];
    for (int k = 0; k < 4; k++)
        r[k] = vf_quarters(vf_four_bf16(p + k * stride), vf_four_bf16(p + (4 + k) * stride), vf_four_bf16(p + (8 + k) * stride),
                           vf_four_bf16(p + (12 + k) * stride));
    vf_transpose_fours(r, out);
}
