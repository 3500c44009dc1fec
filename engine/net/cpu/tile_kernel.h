/* SPDX-License-Identifier: MIT */
/* The multiply-add kernel under direct convolutions, matrix products and Winograd: see KerbTile. Included by kernels_*.c. */

#if VL == 16
#define TILE_ROWS 14 /* x 2 accumulators + 2 weights + 1 broadcast = 31 of 32 registers */
#elif VL == 8
#define TILE_ROWS 6 /* 12 + 2 + 1 of 16 */
#else
#define TILE_ROWS 4
#endif

static inline v_t v_finish(v_t x, const KerbEpilogue *e, v_t slope)
{
    if (e->slope) x = v_select_negative(x, v_mul(x, slope), x);
    if (e->clip) x = v_min(v_set(e->hi), v_max(v_set(e->lo), x));
    return x;
}

/* Epilogue and store of one row's vector; `column` is its first column, n its lanes. */
static inline void tile_store(const KerbTile *t, int row, int column, int n, v_t sum)
{
    float *target = t->target + row * t->target_step + column;
    const KerbEpilogue *e = t->epilogue;
    if (t->residual) {
        const float *r = t->residual + row * t->residual_step + column;
        sum = v_add(sum, n == VL ? v_load(r) : v_load_n(r, n));
    }
    if (e) sum = v_finish(sum, e, e->slope ? v_load_n(e->slope + column, n) : v_zero());
    if (n == VL)
        v_store(target, sum);
    else
        v_store_n(target, sum, n);
}

/* `rows` and `vectors` are constants after inlining, so that sums stay in registers. */
static inline __attribute__((always_inline)) void tile_run(const KerbTile *t, const int rows, const int vectors)
{
    v_t sums[TILE_ROWS][2];
    const int last = t->columns - (vectors - 1) * VL; /* lanes of the last vector */
    {
        v_t b0 = v_zero(), b1 = v_zero();
        if (t->epilogue && t->epilogue->bias) {
            b0 = v_load_n(t->epilogue->bias, vectors == 2 ? VL : last);
            if (vectors == 2) b1 = v_load_n(t->epilogue->bias + VL, last);
        }
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            sums[r][0] = b0;
            if (vectors == 2) sums[r][1] = b1;
        }
    }
    const ptrdiff_t step = t->source_step;
    const int depth = t->depth;
    for (int i = 0; i < t->n_taps; i++) {
        const float *w = t->weights + t->taps[i].weight;
        /* Rows are addressed from every third one, so that five pointers and one stride serve 14 rows. */
        const float *s0 = t->source + t->taps[i].source;
        const float *s3 = s0 + 3 * step, *s6 = s0 + 6 * step, *s9 = s0 + 9 * step, *s12 = s0 + 12 * step;
        for (int k = 0; k < depth; k++) {
            v_t w0 = v_load(w), w1 = vectors == 2 ? v_load(w + VL) : w0;
            w += vectors * VL;
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) {
                const float *base = r < 3 ? s0 : r < 6 ? s3 : r < 9 ? s6 : r < 12 ? s9 : s12;
                v_t x = v_set(base[(r % 3) * step]);
                sums[r][0] = v_fma(x, w0, sums[r][0]);
                if (vectors == 2) sums[r][1] = v_fma(x, w1, sums[r][1]);
            }
            s0++;
            s3++;
            s6++;
            s9++;
            s12++;
        }
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        tile_store(t, r, 0, vectors == 2 ? VL : last, sums[r][0]);
        if (vectors == 2) tile_store(t, r, VL, last, sums[r][1]);
    }
}

#define TILE_CASE(n)           \
    case n:                    \
        if (t->columns > VL)   \
            tile_run(t, n, 2); \
        else                   \
            tile_run(t, n, 1); \
        break;
static void KERB_SIMD_NAME(tile)(const KerbTile *t, int rows)
{
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2) TILE_CASE(3) TILE_CASE(4)
#if TILE_ROWS >= 6
            TILE_CASE(5) TILE_CASE(6)
#endif
#if TILE_ROWS >= 14
                TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12) TILE_CASE(13) TILE_CASE(14)
#endif
    }
}
#undef TILE_CASE
