/* SPDX-License-Identifier: MIT */
/* Row kernels of drawing: bytes of labels to colours, colours over bytes of video. One source (draw_rows_template.h) compiled for each
 * instruction set; whole numbers only, so all variants give the same bytes. `dst` may be `src`, or not overlap it.
 * The arithmetic is kerb_px_blend() and kerb_px_blend_chroma(). */
#ifndef KERB_OUT_DRAW_ROWS_H
#define KERB_OUT_DRAW_ROWS_H

#include "out/out.h"

/* What a label becomes: painted 1 or 0, and three colour bytes (0 where not painted), in the frame's own components and byte order. */
struct KerbDrawTable {
    uint8_t painted[256];
    uint8_t colour[3][256];
    int alpha;  /* 0..256 */
    int common; /* labels from here on all have the entry of label 255; 1..256 */
};

/* Pixels that are worked on at a time: scratch on the stack, in the first-level cache. Even. */
#define KERB_DRAW_CHUNK 1024
typedef struct KerbDrawChunk {
    _Alignas(64) uint8_t painted[KERB_DRAW_CHUNK];
    _Alignas(64) uint8_t colour[3][KERB_DRAW_CHUNK];
} KerbDrawChunk;

typedef struct KerbDrawKernels {
    const char *name;
    /* n labels -> chunk, n <= KERB_DRAW_CHUNK. */
    void (*expand)(const KerbDrawTable *table, const uint8_t *labels, int n, KerbDrawChunk *chunk);
    /* n samples of one byte (GRAY8, luma): component 0. */
    void (*luma)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int alpha, int n);
    /* n chroma samples of component `c` under 2n pixels of two rows. */
    void (*chroma)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *upper, const KerbDrawChunk *lower, int c, int alpha, int n);
    /* The same for interleaved pairs: component `first`, then the other. */
    void (*chroma_pairs)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *upper, const KerbDrawChunk *lower, int first, int alpha, int n);
    /* n macropixels (2n pixels) of YUY2, or of UYVY where chroma_first. */
    void (*packed422)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, bool chroma_first, int alpha, int n);
    /* n pixels of 3 bytes, or of 4 of which the last is copied. */
    void (*rgb3)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int alpha, int n);
    void (*rgb4)(uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int alpha, int n);
    /* n elements of `step` bytes (1..4), each byte the mean (halves up) of 2x2 elements of the rows `upper` and `lower`. */
    void (*halve)(uint8_t *dst, const uint8_t *upper, const uint8_t *lower, int step, int n);
} KerbDrawKernels;

/* The best table for these flags. */
void kerb_draw_kernels(KerbDrawKernels *out, unsigned cpu_flags);
void kerb_draw_kernels_c(KerbDrawKernels *out);
void kerb_draw_kernels_avx2(KerbDrawKernels *out);
void kerb_draw_kernels_avx512(KerbDrawKernels *out);

#endif
