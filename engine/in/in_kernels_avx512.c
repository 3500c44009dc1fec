/* SPDX-License-Identifier: MIT */
/* The row kernels that gain from AVX-512. Same operations in the same order as plain C (in_kernels.c), so the same bits. */
#include "in/in_kernels.h"

#include "base/tensor.h"

#include <immintrin.h>

static __m512 kerb_in_mix16(__m512 a, __m512 b, __m512 weight)
{
    return _mm512_add_ps(a, _mm512_mul_ps(weight, _mm512_sub_ps(b, a)));
}

static void kerb_in_widen_avx512(float *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i += 16)
        _mm512_store_ps(dst + i, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(src + i)))));
}

static void kerb_in_linear_avx512(float *dst, const uint8_t *src, const KerbInLinearGroup *groups, int n_groups)
{
    const __m512i low = _mm512_set1_epi32(0xff);
    for (int g = 0; g < n_groups; g++, dst += KERB_IN_GROUP) {
        const KerbInLinearGroup *t = &groups[g];
        __m128i left = _mm_loadu_si128((const __m128i *)(src + t->base[0])), right = _mm_loadu_si128((const __m128i *)(src + t->base[1]));
        __m256i window = _mm256_inserti128_si256(_mm256_castsi128_si256(left), right, 1);
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_shuffle_epi8(window, _mm256_loadu_si256((const __m256i *)t->pairs)));
        __m512 a = _mm512_cvtepi32_ps(_mm512_and_si512(wide, low)), b = _mm512_cvtepi32_ps(_mm512_srli_epi32(wide, 8));
        _mm512_store_ps(dst, kerb_in_mix16(a, b, _mm512_loadu_ps(t->weight)));
    }
}

static void kerb_in_scale_avx512(float *sum, const float *row, float weight, int n)
{
    __m512 w = _mm512_set1_ps(weight);
    for (int i = 0; i < n; i += 16) _mm512_store_ps(sum + i, _mm512_mul_ps(w, _mm512_load_ps(row + i)));
}

static void kerb_in_add_avx512(float *sum, const float *row, float weight, int n)
{
    __m512 w = _mm512_set1_ps(weight);
    for (int i = 0; i < n; i += 16)
        _mm512_store_ps(sum + i, _mm512_add_ps(_mm512_load_ps(sum + i), _mm512_mul_ps(w, _mm512_load_ps(row + i))));
}

static void kerb_in_convert_avx512(float *planes, const KerbInRows *rows, const KerbInFold *fold, int n)
{
    __m512 m[3][4], low[3], high[3], weight[3];
    for (int c = 0; c < 3; c++) {
        for (int j = 0; j < 4; j++) m[c][j] = _mm512_set1_ps(fold->m[c][j]);
        low[c] = _mm512_set1_ps(fold->low[c]), high[c] = _mm512_set1_ps(fold->high[c]), weight[c] = _mm512_set1_ps(rows->weight[c]);
    }
    for (int i = 0; i < n; i += 16) {
        __m512 s[3];
        for (int j = 0; j < 3; j++) s[j] = kerb_in_mix16(_mm512_load_ps(rows->a[j] + i), _mm512_load_ps(rows->b[j] + i), weight[j]);
        for (int c = 0; c < 3; c++) {
            __m512 v = _mm512_add_ps(_mm512_mul_ps(m[c][0], s[0]), _mm512_mul_ps(m[c][1], s[1]));
            v = _mm512_add_ps(_mm512_add_ps(v, _mm512_mul_ps(m[c][2], s[2])), m[c][3]);
            _mm512_store_ps(planes + c * KERB_IN_TILE + i, _mm512_min_ps(high[c], _mm512_max_ps(low[c], v)));
        }
    }
}

/* As the AVX2 one: lane l of output j takes element (16 j + l - c) / 3 of channel c; one permutation a channel serves all three outputs. */
static void kerb_in_interleave16(__m512 out[3], const float *planes)
{
    const __m512i r_lanes = _mm512_setr_epi32(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5);
    const __m512i g_lanes = _mm512_setr_epi32(5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10);
    const __m512i b_lanes = _mm512_setr_epi32(10, 5, 0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15);
    __m512 r = _mm512_permutexvar_ps(r_lanes, _mm512_load_ps(planes)),
           g = _mm512_permutexvar_ps(g_lanes, _mm512_load_ps(planes + KERB_IN_TILE));
    __m512 b = _mm512_permutexvar_ps(b_lanes, _mm512_load_ps(planes + 2 * KERB_IN_TILE));
    /* lanes 0 3 6 9 12 15: 0x9249, 1 4 7 10 13: 0x2492, 2 5 8 11 14: 0x4924 */
    out[0] = _mm512_mask_blend_ps(0x4924, _mm512_mask_blend_ps(0x2492, r, g), b); /* lane l: channel l mod 3 */
    out[1] = _mm512_mask_blend_ps(0x2492, _mm512_mask_blend_ps(0x9249, r, g), b); /* (l + 1) mod 3 */
    out[2] = _mm512_mask_blend_ps(0x9249, _mm512_mask_blend_ps(0x4924, r, g), b); /* (l + 2) mod 3 */
}

/* 16 floats -> bf16, nearest even. Not vcvtneps2bf16: it takes denormals for 0. */
static __m256i kerb_in_round16(__m512 v)
{
    __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16));
}

static void kerb_in_pack_f32_interleaved3_avx512(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    float *out = dst;
    int i = 0;
    for (; i + 16 <= n; i += 16, out += 48) {
        __m512 v[3];
        kerb_in_interleave16(v, planes + i);
        for (int j = 0; j < 3; j++) _mm512_storeu_ps(out + 16 * j, v[j]);
    }
    for (; i < n; i++)
        for (int c = 0; c < 3; c++) *out++ = planes[c * KERB_IN_TILE + i];
}

static void kerb_in_pack_bf16_interleaved3_avx512(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    uint16_t *out = dst;
    int i = 0;
    for (; i + 16 <= n; i += 16, out += 48) {
        __m512 v[3];
        kerb_in_interleave16(v, planes + i);
        for (int j = 0; j < 3; j++) _mm256_storeu_si256((__m256i *)(out + 16 * j), kerb_in_round16(v[j]));
    }
    for (; i < n; i++)
        for (int c = 0; c < 3; c++) *out++ = kerb_f32_to_bf16(planes[c * KERB_IN_TILE + i]);
}

static void kerb_in_pack_bf16_planar_avx512(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    for (int c = 0; c < l->channels; c++) {
        uint16_t *out = (uint16_t *)dst + c * l->channel_stride;
        const float *plane = planes + c * KERB_IN_TILE;
        int i = 0;
        for (; i + 16 <= n; i += 16) _mm256_storeu_si256((__m256i *)(out + i), kerb_in_round16(_mm512_load_ps(plane + i)));
        for (; i < n; i++) out[i] = kerb_f32_to_bf16(plane[i]);
    }
}

void kerb_in_kernels_avx512(KerbInKernels *k)
{
    k->name = "avx512";
    k->widen = kerb_in_widen_avx512;
    k->linear = kerb_in_linear_avx512;
    k->scale = kerb_in_scale_avx512;
    k->add = kerb_in_add_avx512;
    k->convert = kerb_in_convert_avx512;
    k->pack[0][KERB_IN_INTERLEAVED3] = kerb_in_pack_f32_interleaved3_avx512;
    k->pack[1][KERB_IN_PLANAR] = kerb_in_pack_bf16_planar_avx512;
    k->pack[1][KERB_IN_INTERLEAVED3] = kerb_in_pack_bf16_interleaved3_avx512;
}
