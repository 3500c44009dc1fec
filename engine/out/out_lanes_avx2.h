/* SPDX-License-Identifier: MIT */
/* Lanes for out_rows_template.h: 8 floats in AVX2. The meaning of each function stands in out_lanes_c.h. */
#include <immintrin.h>
#include <string.h>

#define KERB_LANES 8

typedef __m256 VecF;
typedef __m256i VecI;
typedef __m256 VecM;

static inline VecF vf_set1(float a) { return _mm256_set1_ps(a); }
static inline VecF vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, VecF a) { _mm256_storeu_ps(p, a); }
static inline VecF vf_add(VecF a, VecF b) { return _mm256_add_ps(a, b); }
static inline VecF vf_sub(VecF a, VecF b) { return _mm256_sub_ps(a, b); }
static inline VecF vf_mul(VecF a, VecF b) { return _mm256_mul_ps(a, b); }
static inline VecF vf_div(VecF a, VecF b) { return _mm256_div_ps(a, b); }
static inline VecF vf_max(VecF a, VecF b) { return _mm256_max_ps(a, b); }
static inline VecF vf_min(VecF a, VecF b) { return _mm256_min_ps(a, b); }
static inline VecM vm_greater(VecF a, VecF b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline VecF vf_select(VecM m, VecF a, VecF b) { return _mm256_blendv_ps(b, a, m); }
static inline VecI vi_select(VecM m, VecI a, VecI b) { return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m)); }
static inline VecM vm_equal(VecI a, VecI b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }
static inline VecI vi_set1(int32_t a) { return _mm256_set1_epi32(a); }
static inline VecI vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline VecI vi_add(VecI a, VecI b) { return _mm256_add_epi32(a, b); }
static inline VecI vi_sub(VecI a, VecI b) { return _mm256_sub_epi32(a, b); }
static inline VecI vi_from_f(VecF a) { return _mm256_cvttps_epi32(a); }
static inline VecF vf_exp2i(VecI n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
static inline VecF vf_gather(const float *p, VecI i) { return _mm256_i32gather_ps(p, i, 4); }
static inline VecF vf_pick(VecF window, VecI i) { return _mm256_permutevar8x32_ps(window, i); }
static inline VecF vf_pick2(VecF low, VecF high, VecI i)
{
    __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)); /* bit 3 (i >= 8) becomes the sign */
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, i), _mm256_permutevar8x32_ps(high, i), upper);
}
static inline void vi_store_u8(uint8_t *p, VecI a, int n)
{
    __m256i low_bytes = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1,
                                         -1, -1, -1, -1, -1);
    __m256i s = _mm256_shuffle_epi8(a, low_bytes);
    __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    uint64_t eight = (uint64_t)_mm_cvtsi128_si64(bytes);
    if (n >= KERB_LANES) memcpy(p, &eight, 8);
    else memcpy(p, &eight, (size_t)n);
}
static inline VecF vf_load_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
static inline void vf_load_pairs(const float *p, VecF out[2])
{
    __m256 a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + 8);
    __m256 low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
    out[0] = _mm256_shuffle_ps(low, high, 0x88);
    out[1] = _mm256_shuffle_ps(low, high, 0xdd);
}
static inline void vf_load_pairs_bf16(const uint16_t *p, VecF out[2])
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
    out[1] = _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32((int)0xffff0000u)));
}
static inline __m128 vf_four_bf16(const uint16_t *p)
{
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16));
}
/* r[k] holds cells k and 4 + k, four channels each: a 4x4 transposition in each half. */
static inline void vf_transpose_fours(const __m256 r[4], VecF out[4])
{
    __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]), c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
    out[0] = _mm256_shuffle_ps(a, c, 0x44);
    out[1] = _mm256_shuffle_ps(a, c, 0xee);
    out[2] = _mm256_shuffle_ps(b, d, 0x44);
    out[3] = _mm256_shuffle_ps(b, d, 0xee);
}
static inline void vf_load_fours(const float *p, int64_t stride, VecF out[4])
{
    __m256 r[4];
    for (int k = 0; k < 4; k++) r[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + k * stride)), _mm_loadu_ps(p + (4 + k) * stride), 1);
    vf_transpose_fours(r, out);
}
static inline void vf_load_fours_bf16(const uint16_t *p, int64_t stride, VecF out[4])
{
    __m256 r[4];
    for (int k = 0; k < 4; k++) r[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(vf_four_bf16(p + k * stride)), vf_four_bf16(p + (4 + k) * stride), 1);
    vf_transpose_fours(r, out);
}
