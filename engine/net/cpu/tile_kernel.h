/* SPDX-License-Identifier: MIT */
/* The multiply-add kernel under direct convolutions, matrix products and Winograd: see KerbTile. Included by kernels_*.c. */

#if VL == 16
#define TILE_ROWS 14 /* x 2 accumulators + 2 weights + 1 broadcast = 31 of 32 registers */
#elif VL == 8
#define TILE_ROWS 6 /* 12 + 2 + 1 of 16 */
#else
#define TILE_ROWS 4
#endif

#define TILE_UNROLL 4
/* Weights are read once, in order, from the second-level cache: far enough ahead that they are there in time (measured: 4 % at 256 to
 * 1024). */
#define TILE_AHEAD_BYTES 512
#if VL > 1
#define TILE_PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#else
#define TILE_PREFETCH(p) ((void)0)
#endif

static inline v_t v_finish(v_t x, const KerbEpilogue *e, v_t slope)
{
    if (e->slope) x = v_select_negative(x, v_mul(x, slope), x);
    if (e->clip) x = v_min(v_set(e->hi), v_max(v_set(e->lo), x));
    return x;
}

/* One step of the depth, u steps from where the pointers are. Rows are addressed from every third one, so that five pointers and one
 * stride serve 14 rows. */
#define TILE_STEP(u)                                                                                   \
    v_t w0 = v_load(w + (u)*vectors * VL), w1 = vectors == 2 ? v_load(w + (u)*vectors * VL + VL) : w0; \
    TILE_PREFETCH((const char *)(w + (u)*vectors * VL) + TILE_AHEAD_BYTES);                            \
    if (vectors == 2) TILE_PREFETCH((const char *)(w + (u)*vectors * VL + VL) + TILE_AHEAD_BYTES);     \
    _Pragma("GCC unroll 14") for (int r = 0; r < rows; r++)                                            \
    {                                                                                                  \
        const float *base = r < 3 ? s0 : r < 6 ? s3 : r < 9 ? s6 : r < 12 ? s9 : s12;                  \
        v_t x = v_set(base[(r % 3) * step + (u)]);                                                     \
        sums[r][0] = v_fma(x, w0, sums[r][0]);                                                         \
        if (vectors == 2) sums[r][1] = v_fma(x, w1, sums[r][1]);                                       \
    }

/* Epilogue and stores. What is the same for all rows is read before the first store: the compiler must take it that a store changes it. */
static inline __attribute__((always_inline)) void tile_store(const KerbTile *t, v_t sums[][2], const int rows, const int vectors)
{
    const int last = t->columns - (vectors - 1) * VL;
    const KerbEpilogue e = t->epilogue ? *t->epilogue : (KerbEpilogue){0};
    float *target = t->target;
    const float *residual = t->residual;
    const ptrdiff_t target_step = t->target_step, residual_step = t->residual_step;
#pragma GCC unroll 2
    for (int i = 0; i < vectors; i++) {
        const int n = i + 1 < vectors ? VL : last;
        const v_t slope = e.slope ? v_load_n(e.slope + i * VL, n) : v_zero();
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            v_t sum = sums[r][i];
            if (residual) {
                const float *from = residual + r * residual_step + i * VL;
                sum = v_add(sum, n == VL ? v_load(from) : v_load_n(from, n));
            }
            sum = v_finish(sum, &e, slope);
            if (n == VL)
                v_store(target + r * target_step + i * VL, sum);
            else
                v_store_n(target + r * target_step + i * VL, sum, n);
        }
    }
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
    for (int r = 0; r < rows; r++) { /* lines that are stored to must be read first: they come while sums are made */
        TILE_PREFETCH(t->target + r * t->target_step);
        if (vectors == 2) TILE_PREFETCH(t->target + r * t->target_step + VL);
    }
    for (int i = 0; i < t->n_taps; i++) {
        const float *w = t->weights + t->taps[i].weight;
        const float *s0 = t->source + t->taps[i].source;
        const float *s3 = s0 + 3 * step, *s6 = s0 + 6 * step, *s9 = s0 + 9 * step, *s12 = s0 + 12 * step;
        int k = 0;
        for (; k + TILE_UNROLL <= depth; k += TILE_UNROLL) {
#pragma GCC unroll 4
            for (int u = 0; u < TILE_UNROLL; u++) {
                TILE_STEP(u)
            }
            w += TILE_UNROLL * vectors * VL;
            s0 += TILE_UNROLL, s3 += TILE_UNROLL, s6 += TILE_UNROLL, s9 += TILE_UNROLL, s12 += TILE_UNROLL;
        }
        for (; k < depth; k++) {
            TILE_STEP(0)
            w += vectors * VL;
            s0++, s3++, s6++, s9++, s12++;
        }
    }
    tile_store(t, sums, rows, vectors);
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
        TILE_CASE(2)
        TILE_CASE(3) TILE_CASE(4)
#if TILE_ROWS >= 6
            TILE_CASE(5) TILE_CASE(6)
#endif
#if TILE_ROWS >= 14
                TILE_CASE(7) TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12) TILE_CASE(13) TILE_CASE(14)
#endif
    }
}
#undef TILE_CASE
#undef TILE_STEP
#undef TILE_PREFETCH
