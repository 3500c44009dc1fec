/* SPDX-License-Identifier: MIT */
/* kerb_warp_row_c() eight pixels at a time. Their small pixels lie in one vector, since factor >= 2: permutes in place of gathers. */
#include "time/warp.h"

#include <immintrin.h>
#include <string.h>

/* Bytes at eight offsets, 0 <= at <= last - 3 after clamping: the four bytes read from there end with the map. */
static inline __m256i kerb_warp_bytes(const uint8_t *in, __m256i at, __m256i last)
{
    __m256i from = _mm256_min_epi32(at, last);
    __m256i words = _mm256_i32gather_epi32((const int *)(const void *)in, from, 1);
    __m256i shift = _mm256_slli_epi32(_mm256_sub_epi32(at, from), 3);
    return _mm256_and_si256(_mm256_srlv_epi32(words, shift), _mm256_set1_epi32(255));
}

void kerb_warp_row_avx2(const KerbWarpRow *row)
{
    const __m256 zero = _mm256_setzero_ps(), most_x = _mm256_set1_ps((float)(row->width - 1)), most_y = _mm256_set1_ps((float)(row->height - 1));
    const __m256 y = _mm256_set1_ps((float)row->y), eight = _mm256_set1_ps(8.0f);
    const __m256i one = _mm256_set1_epi32(1), stride = _mm256_set1_epi32(row->stride);
    const __m256i last = _mm256_set1_epi32((int)((size_t)row->stride * (size_t)(row->height - 1) + (size_t)row->width - 4));
    __m256 x = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
    for (int i = 0; i < row->width; i += 8, x = _mm256_add_ps(x, eight)) {
        int base = row->left[i];
        __m256i left = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(row->left + i)), _mm256_set1_epi32(base));
        __m256i right = _mm256_add_epi32(left, one);
        __m256 weight = _mm256_loadu_ps(row->weight + i), us = _mm256_loadu_ps(row->u + base), vs = _mm256_loadu_ps(row->v + base);
        __m256 u0 = _mm256_permutevar8x32_ps(us, left), v0 = _mm256_permutevar8x32_ps(vs, left);
        __m256 u = _mm256_add_ps(u0, _mm256_mul_ps(weight, _mm256_sub_ps(_mm256_permutevar8x32_ps(us, right), u0)));
        __m256 v = _mm256_add_ps(v0, _mm256_mul_ps(weight, _mm256_sub_ps(_mm256_permutevar8x32_ps(vs, right), v0)));
        __m256i ix = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_add_ps(u, x), zero), most_x));
        __m256i iy = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(_mm256_add_ps(v, y), zero), most_y));
        __m256i bytes = kerb_warp_bytes(row->in, _mm256_add_epi32(_mm256_mullo_epi32(iy, stride), ix), last);
        __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
        __m128i packed = _mm_packus_epi16(words, words);
        uint64_t out = (uint64_t)_mm_cvtsi128_si64(packed);
        int n = row->width - i;
        memcpy(row->out + i, &out, n < 8 ? (size_t)n : 8);
    }
}
