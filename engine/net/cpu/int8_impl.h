/* SPDX-License-Identifier: MIT */
/* All kernels on 8-bit integers of one variant and their table. Included by int8_kernels_*.c, which say which variant they are. */
#include "net/cpu/int8_kernels.h"
#include "net/cpu/int8_simd.h"

#if VL == 16
#if INT8_UNIT == 4
#define INT8_ROWS 14 /* as the tile of floats */
#else
#define INT8_ROWS 12 /* products need registers of their own before they are added */
#endif
#elif VL == 8
#define INT8_ROWS 6
#else
#define INT8_ROWS 4
#endif
#define INT8_UNROLL 4
#define INT8_AHEAD_BYTES 512
#if VL > 1
#define INT8_PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#else
#define INT8_PREFETCH(p) ((void)0)
#endif

/* ---- what follows a sum ---- */

typedef struct Int8Column { /* what is the same for all rows */
    v_t scale, bias, slope;
} Int8Column;

static inline __attribute__((always_inline)) Int8Column int8_column(const KerbInt8Finish *f, const int at, const int n)
{
    return (Int8Column){v_load_n(f->scale + at, n), f->bias ? v_load_n(f->bias + at, n) : v_zero(),
                        f->slope ? v_load_n(f->slope + at, n) : v_zero()};
}

static inline __attribute__((always_inline)) void int8_end(void *target, const void *residual, i_t sum, const KerbInt8Finish *f,
                                                           const Int8Column *column, const int n)
{
    v_t y = v_mul(i_to_v(sum), column->scale);
    if (f->bias) y = v_add(y, column->bias);
    if (f->residual == KERB_F32) {
        y = v_add(y, v_mul(v_load_n(residual, n), v_set(f->residual_scale)));
    } else if (f->residual != KERB_DTYPE_NONE) {
        i_t z = i_sub(i_load_8_n(residual, n, f->residual == KERB_I8), i_set(f->residual_zero));
        y = v_add(y, v_mul(i_to_v(z), v_set(f->residual_scale)));
    }
    if (f->slope) y = v_select_negative(y, v_mul(y, column->slope), y);
    y = v_min(v_set(f->hi), v_max(v_set(f->lo), y));
    if (f->target != KERB_F32)
        i_store_8_n(target, i_add(v_to_i(y), i_set(f->zero)), n);
    else if (n == VL)
        v_store(target, y);
    else
        v_store_n(target, y, n);
}

static void KERB_SIMD_NAME(int8_finish)(void *target, const float *sums, const int32_t *start, int columns, const KerbInt8Finish *finish)
{
    KerbInt8Finish f = *finish;
    f.residual = KERB_DTYPE_NONE;
    const int unit = f.target == KERB_F32 ? 4 : 1;
    for (int i = 0; i < columns; i += VL) {
        const int n = columns - i < VL ? columns - i : VL;
        const Int8Column column = int8_column(&f, i, n);
        int8_end((char *)target + i * unit, NULL, i_add(v_to_i(v_load_n(sums + i, n)), i_load_n(start + i, n)), &f, &column, n);
    }
}

/* ---- tile ---- */

#define INT8_STEP(u)                                                                                       \
    i_t w0 = i_load(w + (u)*vectors * VL), w1 = vectors == 2 ? i_load(w + (u)*vectors * VL + VL) : w0;     \
    INT8_PREFETCH((const char *)(w + (u)*vectors * VL) + INT8_AHEAD_BYTES);                                \
    if (vectors == 2) INT8_PREFETCH((const char *)(w + (u)*vectors * VL + VL) + INT8_AHEAD_BYTES);         \
    _Pragma("GCC unroll 14") for (int r = 0; r < rows; r++)                                                \
    {                                                                                                      \
        const uint8_t *base = r < 3 ? s0 : r < 6 ? s3 : r < 9 ? s6 : r < 12 ? s9 : s12;                    \
        i_t x = i_spread(base + (r % 3) * step + (u)*4);                                                   \
        sums[r][0] = i_dot(sums[r][0], x, w0);                                                             \
        if (vectors == 2) sums[r][1] = i_dot(sums[r][1], x, w1);                                           \
    }

/* The sums of all rows, `vectors` vectors each, to the target. */
static __attribute__((noinline)) void int8_ends(const KerbInt8Tile *t, const int32_t *made, int rows, int vectors)
{
    const KerbInt8Finish f = *t->finish;
    const ptrdiff_t unit = f.target == KERB_F32 ? 4 : 1, residual_unit = f.residual == KERB_F32 ? 4 : 1;
    for (int i = 0; i < vectors; i++) {
        const int left = t->columns - i * VL, n = left < VL ? left : VL;
        const Int8Column column = int8_column(&f, i * VL, n);
        char *target = (char *)t->target + i * VL * unit;
        const char *residual = t->residual ? (const char *)t->residual + i * VL * residual_unit : NULL;
        for (int r = 0; r < rows; r++) {
            int8_end(target, residual, i_load(made + (r * vectors + i) * VL), &f, &column, n);
            target += t->target_step * unit;
            if (residual) residual += t->residual_step * residual_unit;
        }
    }
}

/* `rows` and `vectors` are constants after inlining, so that sums stay in registers. */
static inline __attribute__((always_inline)) void int8_tile_run(const KerbInt8Tile *t, const int rows, const int vectors)
{
    i_t sums[INT8_ROWS][2];
    const int last = t->columns - (vectors - 1) * VL; /* lanes of the last vector */
    {
        i_t b0 = i_load_n(t->start, vectors == 2 ? VL : last), b1 = vectors == 2 ? i_load_n(t->start + VL, last) : b0;
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            sums[r][0] = b0;
            if (vectors == 2) sums[r][1] = b1;
        }
    }
    const ptrdiff_t step = t->source_step;
    const int depth = t->depth;
    for (int i = 0; i < t->n_taps; i++) {
        const int32_t *w = t->weights + t->taps[i].weight;
        const uint8_t *s0 = t->source + t->taps[i].source;
        const uint8_t *s3 = s0 + 3 * step, *s6 = s0 + 6 * step, *s9 = s0 + 9 * step, *s12 = s0 + 12 * step;
        int k = 0;
        for (; k + INT8_UNROLL <= depth; k += INT8_UNROLL) {
#pragma GCC unroll 4
            for (int u = 0; u < INT8_UNROLL; u++) {
                INT8_STEP(u)
            }
            w += INT8_UNROLL * vectors * VL;
            s0 += 4 * INT8_UNROLL, s3 += 4 * INT8_UNROLL, s6 += 4 * INT8_UNROLL, s9 += 4 * INT8_UNROLL, s12 += 4 * INT8_UNROLL;
        }
        for (; k < depth; k++) {
            INT8_STEP(0)
            w += vectors * VL;
            s0 += 4, s3 += 4, s6 += 4, s9 += 4, s12 += 4;
        }
    }
    /* Through memory to what is the same code for all: unrolled with the rest it would be twenty times as much. */
    int32_t made[INT8_ROWS * 2 * VL] __attribute__((aligned(64)));
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        i_store(made + r * vectors * VL, sums[r][0]);
        if (vectors == 2) i_store(made + r * vectors * VL + VL, sums[r][1]);
    }
    int8_ends(t, made, rows, vectors);
}

#define INT8_CASE(n)                \
    case n:                         \
        if (t->columns > VL)        \
            int8_tile_run(t, n, 2); \
        else                        \
            int8_tile_run(t, n, 1); \
        break;
static void KERB_SIMD_NAME(int8_tile)(const KerbInt8Tile *t, int rows)
{
    switch (rows) {
        INT8_CASE(1)
        INT8_CASE(2)
        INT8_CASE(3)
        INT8_CASE(4)
#if INT8_ROWS >= 6
        INT8_CASE(5)
        INT8_CASE(6)
#endif
#if INT8_ROWS >= 12
        INT8_CASE(7)
        INT8_CASE(8)
        INT8_CASE(9)
        INT8_CASE(10)
        INT8_CASE(11)
        INT8_CASE(12)
#endif
#if INT8_ROWS >= 14
        INT8_CASE(13)
        INT8_CASE(14)
#endif
    }
}

/* ---- from and to other types ---- */

static void KERB_SIMD_NAME(int8_widen)(void *units, const uint8_t *in, int n, bool is_signed, int zero)
{
#if INT8_UNIT == 4
    uint8_t *out = units;
    const uint64_t flip = is_signed ? 0x8080808080808080u : 0;
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x;
        memcpy(&x, in + i, 8);
        x ^= flip;
        memcpy(out + i, &x, 8);
    }
    for (; i < n; i++) out[i] = in[i] ^ (uint8_t)flip;
    for (; i % 4; i++) out[i] = 0;
#else
    int16_t *out = units;
    int i = 0;
    for (; i < n; i += VL) {
        const int left = n - i < VL ? n - i : VL;
        i_store_16_n(out + i, i_sub(i_load_8_n(in + i, left, is_signed), i_set(zero)), left);
    }
    if (n % 2) out[n] = 0;
#endif
}

static void KERB_SIMD_NAME(int8_to_floats)(float *out, const uint8_t *in, size_t n, bool is_signed, int zero, float scale)
{
    for (size_t i = 0; i < n; i += VL) {
        const int left = n - i < VL ? (int)(n - i) : VL;
        const v_t y = v_mul(i_to_v(i_sub(i_load_8_n(in + i, left, is_signed), i_set(zero))), v_set(scale));
        if (left == VL)
            v_store(out + i, y);
        else
            v_store_n(out + i, y, left);
    }
}

static void KERB_SIMD_NAME(int8_to_integers)(uint8_t *out, const float *in, size_t n, bool is_signed, int zero, float scale)
{
    const v_t lo = v_set((float)((is_signed ? -128 : 0) - zero)), hi = v_set((float)((is_signed ? 127 : 255) - zero));
    for (size_t i = 0; i < n; i += VL) {
        const int left = n - i < VL ? (int)(n - i) : VL;
        v_t y = v_no_nan(v_div(left == VL ? v_load(in + i) : v_load_n(in + i, left), v_set(scale)));
        i_store_8_n(out + i, i_add(v_to_i(v_min(hi, v_max(lo, y))), i_set(zero)), left);
    }
}

/* ---- maxima ---- */

static inline __attribute__((always_inline)) void int8_max_pool(const KerbPool *p, const bool is_signed)
{
    for (int x = p->x0; x < p->x1; x++) {
        const int left = x * p->stride - p->pad_left;
        uint8_t *target = (uint8_t *)p->target + x * p->target_step;
        for (int i = 0; i < p->channels; i += BYTES) {
            const int n = p->channels - i < BYTES ? p->channels - i : BYTES;
            b_t best = b_set(is_signed ? 0x80 : 0);
            for (int ky = 0; ky < p->kernel_h; ky++) {
                if (!p->rows[ky]) continue;
                for (int kx = 0; kx < p->kernel_w; kx++) {
                    const int at = left + kx * p->dilation;
                    if (at < 0 || at >= p->source_width) continue;
                    best = b_max(best, b_load_n((const uint8_t *)p->rows[ky] + at * p->source_step + i, n), is_signed);
                }
            }
            b_store_n(target + i, best, n);
        }
    }
}
static void KERB_SIMD_NAME(int8_max_pool_u8)(const KerbPool *p)
{
    int8_max_pool(p, false);
}
static void KERB_SIMD_NAME(int8_max_pool_i8)(const KerbPool *p)
{
    int8_max_pool(p, true);
}

const KerbInt8Kernels KERB_INT8_TABLE = {
    .name = KERB_SIMD_TEXT,
    .lanes = VL,
    .tile_rows = INT8_ROWS,
    .unit = INT8_UNIT,
    .tile = KERB_SIMD_NAME(int8_tile),
    .widen = KERB_SIMD_NAME(int8_widen),
    .finish = KERB_SIMD_NAME(int8_finish),
    .to_floats = KERB_SIMD_NAME(int8_to_floats),
    .to_integers = KERB_SIMD_NAME(int8_to_integers),
    .max_pool = {KERB_SIMD_NAME(int8_max_pool_u8), KERB_SIMD_NAME(int8_max_pool_i8)},
};
