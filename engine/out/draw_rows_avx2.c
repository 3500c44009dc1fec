/* SPDX-License-Identifier: MIT */
/* Drawing's row kernels for AVX2: the tables of up to 32 classes are looked up by byte shuffles. */
#include "out/draw_rows.h"

#include <immintrin.h>

/* Entries 0..15 and 16..31 in both halves, and what labels from 32 on have. */
typedef struct KerbLookup {
    __m256i low, high, common;
} KerbLookup;

static inline KerbLookup kerb_lookup(const uint8_t table[256])
{
    return (KerbLookup){
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)),
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16))),
        _mm256_set1_epi8((char)table[255]),
    };
}

/* A shuffle reads the low four bits of a label; bit 4, moved to bit 7, chooses the half. */
static inline __m256i kerb_look_up(KerbLookup t, __m256i label, __m256i bit4, __m256i beyond)
{
    __m256i index = _mm256_and_si256(label, _mm256_set1_epi8(15));
    __m256i v = _mm256_blendv_epi8(_mm256_shuffle_epi8(t.low, index), _mm256_shuffle_epi8(t.high, index), bit4);
    return _mm256_blendv_epi8(v, t.common, beyond);
}

/* Whole vectors of labels; returns how many labels that was. */
static int kerb_expand_avx2(const KerbDrawTable *table, const uint8_t *labels, int n, KerbDrawChunk *chunk)
{
    if (table->common > 32) return 0;
    KerbLookup painted = kerb_lookup(table->painted), c0 = kerb_lookup(table->colour[0]), c1 = kerb_lookup(table->colour[1]),
               c2 = kerb_lookup(table->colour[2]);
    int i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i label = _mm256_loadu_si256((const __m256i *)(labels + i));
        __m256i bit4 = _mm256_slli_epi16(label, 3);
        __m256i beyond = _mm256_cmpeq_epi8(_mm256_max_epu8(label, _mm256_set1_epi8(32)), label);
        _mm256_store_si256((__m256i *)(chunk->painted + i), kerb_look_up(painted, label, bit4, beyond));
        _mm256_store_si256((__m256i *)(chunk->colour[0] + i), kerb_look_up(c0, label, bit4, beyond));
        _mm256_store_si256((__m256i *)(chunk->colour[1] + i), kerb_look_up(c1, label, bit4, beyond));
        _mm256_store_si256((__m256i *)(chunk->colour[2] + i), kerb_look_up(c2, label, bit4, beyond));
    }
    return i;
}

#define KERB_DRAW_NAME "avx2"
#define KERB_DRAW(name) name##_avx2
#define KERB_DRAW_EXPAND kerb_expand_avx2
#include "out/draw_rows_template.h"
