/* SPDX-License-Identifier: MIT */
/* The row kernels for AVX2. Same operations in the same order as plain C (in_kernels.c), so the same bits. */
#include "in/in_kernels.h"

#include "base/tensor.h"

#include <immintrin.h>
#include <string.h>

static __m256 kerb_in_mix8(__m256 a, __m256 b, __m256 weight)
{
    return _mm256_add_ps(a, _mm256_mul_ps(weight, _mm256_sub_ps(b, a)));
}

/* ---- picking: the vector loops end where a load would pass the last byte that belongs to the row */

static void kerb_in_pick2_avx2(uint8_t *dst, const uint8_t *src, int n)
{
    const __m256i low = _mm256_set1_epi16(0xff);
    int i = 0;
    for (; i + 33 <= n; i += 32) {
        __m256i a = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(src + 2 * i)), low);
        __m256i b = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(src + 2 * i + 32)), low);
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8));
    }
    for (; i < n; i++) dst[i] = src[2 * i];
}

static void kerb_in_pick3_avx2(uint8_t *dst, const uint8_t *src, int n)
{
    const __m128i first = _mm_setr_epi8(0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i second = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1);
    const __m128i third = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13);
    int i = 0;
    for (; i + 17 <= n; i += 16) {
        __m128i a = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src + 3 * i)), first);
        __m128i b = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src + 3 * i + 16)), second);
        __m128i c = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src + 3 * i + 32)), third);
        _mm_storeu_si128((__m128i *)(dst + i), _mm_or_si128(_mm_or_si128(a, b), c));
    }
    for (; i < n; i++) dst[i] = src[3 * i];
}

static void kerb_in_pick4_avx2(uint8_t *dst, const uint8_t *src, int n)
{
    const __m256i low = _mm256_set1_epi32(0xff), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    int i = 0;
    for (; i + 33 <= n; i += 32) {
        __m256i v[4];
        for (int j = 0; j < 4; j++) v[j] = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(src + 4 * i + 32 * j)), low);
        __m256i packed = _mm256_packus_epi16(_mm256_packus_epi32(v[0], v[1]), _mm256_packus_epi32(v[2], v[3]));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_permutevar8x32_epi32(packed, order));
    }
    for (; i < n; i++) dst[i] = src[4 * i];
}

/* ---- across */

static void kerb_in_widen_avx2(float *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i += 8)
        _mm256_store_ps(dst + i, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(src + i)))));
}

static void kerb_in_linear_avx2(float *dst, const uint8_t *src, const KerbInLinearGroup *groups, int n_groups)
{
    const __m256i low = _mm256_set1_epi32(0xff);
    for (int g = 0; g < n_groups; g++, dst += KERB_IN_GROUP) {
        for (int half = 0; half < 2; half++) {
            __m128i window = _mm_loadu_si128((const __m128i *)(src + groups[g].base[half]));
            __m128i pairs = _mm_shuffle_epi8(window, _mm_loadu_si128((const __m128i *)groups[g].pairs[half]));
            __m256i wide = _mm256_cvtepu16_epi32(pairs);
            __m256 a = _mm256_cvtepi32_ps(_mm256_and_si256(wide, low)), b = _mm256_cvtepi32_ps(_mm256_srli_epi32(wide, 8));
            _mm256_store_ps(dst + 8 * half, kerb_in_mix8(a, b, _mm256_loadu_ps(groups[g].weight + 8 * half)));
        }
    }
}

/* No gathers: with the microcode that mends "Downfall" they are slower than the loads that they replace. */

/* Footprints of at most 8 samples: one 64-bit lane an output. Sum, first and last sample of 4 outputs, in 64-bit lanes. */
typedef struct KerbInBox4 {
    __m256i sum, first, last;
} KerbInBox4;

static KerbInBox4 kerb_in_box4(const uint8_t *src, const int32_t *start, const int32_t *n)
{
    __m128i low = _mm_loadl_epi64((const __m128i *)(src + start[0])), high = _mm_loadl_epi64((const __m128i *)(src + start[2]));
    low = _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), (const __m64 *)(const void *)(src + start[1])));
    high = _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(high), (const __m64 *)(const void *)(src + start[3])));
    __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    __m256i bits = _mm256_slli_epi64(_mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)n)), 3);
    /* Bytes from n on become 0. */
    bytes = _mm256_and_si256(bytes, _mm256_srlv_epi64(_mm256_set1_epi64x(-1), _mm256_sub_epi64(_mm256_set1_epi64x(64), bits)));
    return (KerbInBox4){ .sum = _mm256_sad_epu8(bytes, _mm256_setzero_si256()),
                         .first = _mm256_and_si256(bytes, _mm256_set1_epi64x(0xff)),
                         .last = _mm256_srlv_epi64(bytes, _mm256_sub_epi64(bits, _mm256_set1_epi64x(8))) };
}

/* The low halves of 2 x 4 64-bit lanes, in order, as floats. */
static __m256 kerb_in_lanes8(__m256i a, __m256i b)
{
    __m256 both = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88); /* a0 a1 b0 b1 a2 a3 b2 b3 */
    return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(_mm256_castps_si256(both), 0xd8));
}

/* Any footprint. */
static int kerb_in_sum_bytes(const uint8_t *s, int n)
{
    __m256i sum = _mm256_setzero_si256();
    int i = 0;
    for (; i + 32 <= n; i += 32)
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_loadu_si256((const __m256i *)(s + i)), _mm256_setzero_si256()));
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    for (; i + 8 <= n; i += 8) half = _mm_add_epi64(half, _mm_sad_epu8(_mm_loadl_epi64((const __m128i *)(s + i)), _mm_setzero_si128()));
    int total = _mm_cvtsi128_si32(half) + _mm_extract_epi32(half, 2);
    for (; i < n; i++) total += s[i];
    return total;
}

/* Sum, first and last sample of 8 outputs. */
typedef struct KerbInBox8 {
    __m256 sum, first, last;
} KerbInBox8;

static KerbInBox8 kerb_in_box8_quads(const uint8_t *src, const KerbInBoxGroup *t, int half)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(src + t->base[2 * half])),
            high = _mm_loadu_si128((const __m128i *)(src + t->base[2 * half + 1]));
    __m256i window = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    __m256i bytes = _mm256_shuffle_epi8(window, _mm256_loadu_si256((const __m256i *)t->samples[2 * half]));
    __m256i sum = _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
    return (KerbInBox8){ _mm256_cvtepi32_ps(sum), _mm256_cvtepi32_ps(_mm256_and_si256(bytes, _mm256_set1_epi32(0xff))),
                         _mm256_cvtepi32_ps(_mm256_srli_epi32(bytes, 24)) };
}

static KerbInBox8 kerb_in_box8_short(const uint8_t *src, const int32_t *start, const int32_t *n)
{
    KerbInBox4 a = kerb_in_box4(src, start, n), b = kerb_in_box4(src, start + 4, n + 4);
    return (KerbInBox8){ kerb_in_lanes8(a.sum, b.sum), kerb_in_lanes8(a.first, b.first), kerb_in_lanes8(a.last, b.last) };
}

static KerbInBox8 kerb_in_box8_long(const uint8_t *src, const int32_t *start, const int32_t *n)
{
    _Alignas(32) float sum[8], first[8], last[8];
    for (int x = 0; x < 8; x++) {
        const uint8_t *s = src + start[x];
        sum[x] = (float)kerb_in_sum_bytes(s, n[x]), first[x] = s[0], last[x] = s[n[x] - 1];
    }
    return (KerbInBox8){ _mm256_load_ps(sum), _mm256_load_ps(first), _mm256_load_ps(last) };
}

static void kerb_in_box_avx2(float *dst, const uint8_t *src, const KerbInBoxGroup *groups, int n_groups)
{
    for (int g = 0; g < n_groups; g++) {
        const KerbInBoxGroup *t = &groups[g];
        for (int half = 0; half < 2; half++, dst += 8) {
            const int32_t *start = t->start + 8 * half, *n = t->n + 8 * half;
            KerbInBox8 box;
            if (t->quads)
                box = kerb_in_box8_quads(src, t, half);
            else if (t->n_max <= 8)
                box = kerb_in_box8_short(src, start, n);
            else
                box = kerb_in_box8_long(src, start, n);
            __m256 value = _mm256_mul_ps(_mm256_set1_ps(t->middle), box.sum);
            value = _mm256_sub_ps(value, _mm256_mul_ps(_mm256_loadu_ps(t->less_first + 8 * half), box.first));
            value = _mm256_sub_ps(value, _mm256_mul_ps(_mm256_loadu_ps(t->less_last + 8 * half), box.last));
            _mm256_store_ps(dst, value);
        }
    }
}

/* ---- down, colour */

static void kerb_in_scale_avx2(float *sum, const float *row, float weight, int n)
{
    __m256 w = _mm256_set1_ps(weight);
    for (int i = 0; i < n; i += 8) _mm256_store_ps(sum + i, _mm256_mul_ps(w, _mm256_load_ps(row + i)));
}

static void kerb_in_add_avx2(float *sum, const float *row, float weight, int n)
{
    __m256 w = _mm256_set1_ps(weight);
    for (int i = 0; i < n; i += 8)
        _mm256_store_ps(sum + i, _mm256_add_ps(_mm256_load_ps(sum + i), _mm256_mul_ps(w, _mm256_load_ps(row + i))));
}

static void kerb_in_convert_avx2(float *planes, const KerbInRows *rows, const KerbInFold *fold, int n)
{
    __m256 m[3][4], low[3], high[3], weight[3];
    for (int c = 0; c < 3; c++) {
        for (int j = 0; j < 4; j++) m[c][j] = _mm256_set1_ps(fold->m[c][j]);
        low[c] = _mm256_set1_ps(fold->low[c]), high[c] = _mm256_set1_ps(fold->high[c]), weight[c] = _mm256_set1_ps(rows->weight[c]);
    }
    for (int i = 0; i < n; i += 8) {
        __m256 s[3];
        for (int j = 0; j < 3; j++) s[j] = kerb_in_mix8(_mm256_load_ps(rows->a[j] + i), _mm256_load_ps(rows->b[j] + i), weight[j]);
        for (int c = 0; c < 3; c++) {
            __m256 v = _mm256_add_ps(_mm256_mul_ps(m[c][0], s[0]), _mm256_mul_ps(m[c][1], s[1]));
            v = _mm256_add_ps(_mm256_add_ps(v, _mm256_mul_ps(m[c][2], s[2])), m[c][3]);
            /* max and min return their second operand where both are equal, as C's comparison does: -0 stays -0. */
            _mm256_store_ps(planes + c * KERB_IN_TILE + i, _mm256_min_ps(high[c], _mm256_max_ps(low[c], v)));
        }
    }
}

static void kerb_in_luma_avx2(float *planes, float scale, float bias, int n)
{
    const __m256 kr = _mm256_set1_ps(0.299f), kg = _mm256_set1_ps(0.587f), kb = _mm256_set1_ps(0.114f);
    const __m256 factor = _mm256_set1_ps(scale), term = _mm256_set1_ps(bias);
    for (int i = 0; i < n; i += 8) {
        __m256 r = _mm256_load_ps(planes + i), g = _mm256_load_ps(planes + KERB_IN_TILE + i),
               b = _mm256_load_ps(planes + 2 * KERB_IN_TILE + i);
        __m256 y = _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(kr, r), _mm256_mul_ps(kg, g)), _mm256_mul_ps(kb, b));
        _mm256_store_ps(planes + i, _mm256_add_ps(_mm256_mul_ps(y, factor), term));
    }
}

/* ---- packing */

/* 8 floats -> bf16, nearest even, in the low half of each 32-bit lane. Values are finite here. */
static __m256i kerb_in_round8(__m256 v)
{
    __m256i bits = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
}

static void kerb_in_store8_bf16(uint16_t *dst, __m256 v)
{
    __m256i rounded = kerb_in_round8(v);
    _mm_storeu_si128((__m128i *)dst, _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1)));
}

/* Lane l of output j takes element (8 j + l - c) / 3 of channel c: for each channel the lanes of the three outputs differ, so that
 * one permutation a channel serves all three and blends do the rest. */
static void kerb_in_interleave8(__m256 out[3], const float *planes)
{
    __m256 r = _mm256_permutevar8x32_ps(_mm256_load_ps(planes), _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5));
    __m256 g = _mm256_permutevar8x32_ps(_mm256_load_ps(planes + KERB_IN_TILE), _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2));
    __m256 b = _mm256_permutevar8x32_ps(_mm256_load_ps(planes + 2 * KERB_IN_TILE), _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7));
    /* lanes 0 3 6: 0x49, 1 4 7: 0x92, 2 5: 0x24 */
    out[0] = _mm256_blend_ps(_mm256_blend_ps(r, g, 0x92), b, 0x24);
    out[1] = _mm256_blend_ps(_mm256_blend_ps(r, g, 0x24), b, 0x49);
    out[2] = _mm256_blend_ps(_mm256_blend_ps(r, g, 0x49), b, 0x92);
}

static void kerb_in_pack_f32_interleaved3_avx2(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    float *out = dst;
    int i = 0;
    for (; i + 8 <= n; i += 8, out += 24) {
        __m256 v[3];
        kerb_in_interleave8(v, planes + i);
        for (int j = 0; j < 3; j++) _mm256_storeu_ps(out + 8 * j, v[j]);
    }
    for (; i < n; i++)
        for (int c = 0; c < 3; c++) *out++ = planes[c * KERB_IN_TILE + i];
}

static void kerb_in_pack_bf16_interleaved3_avx2(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    uint16_t *out = dst;
    int i = 0;
    for (; i + 8 <= n; i += 8, out += 24) {
        __m256 v[3];
        kerb_in_interleave8(v, planes + i);
        for (int j = 0; j < 3; j++) kerb_in_store8_bf16(out + 8 * j, v[j]);
    }
    for (; i < n; i++)
        for (int c = 0; c < 3; c++) *out++ = kerb_f32_to_bf16(planes[c * KERB_IN_TILE + i]);
}

static void kerb_in_pack_bf16_planar_avx2(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    for (int c = 0; c < l->channels; c++) {
        uint16_t *out = (uint16_t *)dst + c * l->channel_stride;
        const float *plane = planes + c * KERB_IN_TILE;
        int i = 0;
        for (; i + 8 <= n; i += 8) kerb_in_store8_bf16(out + i, _mm256_load_ps(plane + i));
        for (; i < n; i++) out[i] = kerb_f32_to_bf16(plane[i]);
    }
}

/* Four pixels r g b 0 from three planes. */
static void kerb_in_transpose4(__m128 pixel[4], const float *planes)
{
    pixel[0] = _mm_load_ps(planes), pixel[1] = _mm_load_ps(planes + KERB_IN_TILE), pixel[2] = _mm_load_ps(planes + 2 * KERB_IN_TILE);
    pixel[3] = _mm_setzero_ps();
    _MM_TRANSPOSE4_PS(pixel[0], pixel[1], pixel[2], pixel[3]);
}

static void kerb_in_pack_f32_padded_avx2(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    float *out = dst;
    size_t rest = (size_t)(l->x_stride - 4) * sizeof *out;
    for (int i = 0; i < n; i += 4) {
        __m128 pixel[4];
        kerb_in_transpose4(pixel, planes + i);
        for (int j = 0; j < 4 && i + j < n; j++, out += l->x_stride) {
            _mm_storeu_ps(out, pixel[j]);
            if (l->x_stride == 8)
                _mm_storeu_ps(out + 4, _mm_setzero_ps());
            else
                memset(out + 4, 0, rest);
        }
    }
}

static void kerb_in_pack_bf16_padded_avx2(void *dst, const float *planes, int n, const KerbInLayout *l)
{
    uint16_t *out = dst;
    size_t rest = (size_t)(l->x_stride - 4) * sizeof *out;
    for (int i = 0; i < n; i += 4) {
        __m128 pixel[4];
        kerb_in_transpose4(pixel, planes + i);
        for (int j = 0; j < 4 && i + j < n; j++, out += l->x_stride) {
            __m128i rounded = _mm256_castsi256_si128(kerb_in_round8(_mm256_castps128_ps256(pixel[j])));
            __m128i words = _mm_packus_epi32(rounded, _mm_setzero_si128());
            if (l->x_stride == 8) {
                _mm_storeu_si128((__m128i *)out, words);
            } else {
                _mm_storel_epi64((__m128i *)out, words);
                memset(out + 4, 0, rest);
            }
        }
    }
}

void kerb_in_kernels_avx2(KerbInKernels *k)
{
    k->name = "avx2";
    k->pick[2] = kerb_in_pick2_avx2;
    k->pick[3] = kerb_in_pick3_avx2;
    k->pick[4] = kerb_in_pick4_avx2;
    k->widen = kerb_in_widen_avx2;
    k->linear = kerb_in_linear_avx2;
    k->box = kerb_in_box_avx2;
    k->scale = kerb_in_scale_avx2;
    k->add = kerb_in_add_avx2;
    k->convert = kerb_in_convert_avx2;
    k->luma = kerb_in_luma_avx2;
    k->pack[0][KERB_IN_INTERLEAVED3] = kerb_in_pack_f32_interleaved3_avx2;
    k->pack[0][KERB_IN_PADDED] = kerb_in_pack_f32_padded_avx2;
    k->pack[1][KERB_IN_PLANAR] = kerb_in_pack_bf16_planar_avx2;
    k->pack[1][KERB_IN_INTERLEAVED3] = kerb_in_pack_bf16_interleaved3_avx2;
    k->pack[1][KERB_IN_PADDED] = kerb_in_pack_bf16_padded_avx2;
}
