/* SPDX-License-Identifier: MIT */
/* Drawing's row kernels for AVX-512 (BW): the tables of up to 32 classes are looked up by byte shuffles. VBMI's byte permute would do 64 at once,
 * but is not in the first processors that have AVX-512. */
#include "out/draw_rows.h"

#include <immintrin.h>

typedef struct KerbLookup {
    __m512i low, high, common;
} KerbLookup;

static inline KerbLookup kerb_lookup(const uint8_t table[256])
{
    return (KerbLookup){
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)),
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16))),
        _mm512_set1_epi8((char)table[255]),
    };
}

static inline __m512i kerb_look_up(KerbLookup t, __m512i index, __mmask64 upper, __mmask64 beyond)
{
    __m512i v = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(t.low, index), upper, t.high, index);
    return _mm512_mask_mov_epi8(v, beyond, t.common);
}

/* Whole vectors of labels; returns how many labels that was. */
static int kerb_expand_avx512(const KerbDrawTable *table, const uint8_t *labels, int n, KerbDrawChunk *chunk)
{
    if (table->common > 32) return 0;
    KerbLookup painted = kerb_lookup(table->painted), c0 = kerb_lookup(table->colour[0]), c1 = kerb_lookup(table->colour[1]),
               c2 = kerb_lookup(table->colour[2]);
    int i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i label = _mm512_loadu_si512(labels + i);
        __m512i index = _mm512_and_si512(label, _mm512_set1_epi8(15));
        __mmask64 upper = _mm512_test_epi8_mask(label, _mm512_set1_epi8(16));
        __mmask64 beyond = _mm512_cmpge_epu8_mask(label, _mm512_set1_epi8(32));
        _mm512_store_si512(chunk->painted + i, kerb_look_up(painted, index, upper, beyond));
        _mm512_store_si512(chunk->colour[0] + i, kerb_look_up(c0, index, upper, beyond));
        _mm512_store_si512(chunk->colour[1] + i, kerb_look_up(c1, index, upper, beyond));
        _mm512_store_si512(chunk->colour[2] + i, kerb_look_up(c2, index, upper, beyond));
    }
    return i;
}

#define KERB_DRAW_NAME "avx512"
#define KERB_DRAW(name) name##_avx512
#define KERB_DRAW_EXPAND kerb_expand_avx512
#include "out/draw_rows_template.h"
