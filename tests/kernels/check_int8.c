/* SPDX-License-Identifier: MIT */
/* Checks of the kernels on 8-bit integers: against their definition (tile) or the C variant, to the bit, at odd sizes, with guards. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels_fixture.h"

static void *kerb_guarded_bytes(KerbFixture *f, size_t n)
{
    uint8_t *p = kerb_guarded(n);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)kerb_fixture_int(f, 0, 255);
    return p;
}

static void kerb_same_bytes(KerbFixture *f, const void *expected, const void *got, size_t n, const char *what)
{
    const uint8_t *a = expected, *b = got;
    size_t wrong = 0, first = 0;
    for (size_t i = n; i-- > 0;) {
        if (a[i] == b[i]) continue;
        wrong++;
        first = i;
    }
    if (!wrong) return;
    printf("FAILED %s %s %s: %zu of %zu bytes, the first at %zu: %d, not %d\n", f->name, f->tested8->name, what, wrong, n, first, b[first], a[first]);
    f->failures++;
}

/* ---- what follows a sum ---- */

static KerbInt8Finish kerb_random_finish(KerbFixture *f, size_t columns, bool residual)
{
    static const KerbDtype targets[] = {KERB_F32, KERB_U8, KERB_I8}, residuals[] = {KERB_DTYPE_NONE, KERB_F32, KERB_U8, KERB_I8};
    KerbInt8Finish e = {.target = targets[kerb_fixture_int(f, 0, 2)], .lo = -INFINITY, .hi = INFINITY};
    float *scale = kerb_guarded_floats(f, columns);
    for (size_t i = 0; i < columns; i++) scale[i] = (scale[i] + 2) * 3e-4f;
    e.scale = scale;
    if (kerb_fixture_int(f, 0, 1)) e.bias = kerb_guarded_floats(f, columns);
    if (kerb_fixture_int(f, 0, 2) == 0) e.slope = kerb_guarded_floats(f, columns);
    if (residual) e.residual = residuals[kerb_fixture_int(f, 0, 3)];
    e.residual_scale = 0.37f;
    if (e.residual == KERB_U8 || e.residual == KERB_I8) e.residual_zero = kerb_fixture_int(f, -9, 9);
    if (e.target == KERB_F32) return e;
    e.zero = kerb_fixture_int(f, -20, 20) + (e.target == KERB_U8 ? 50 : 0);
    e.lo = (float)((e.target == KERB_U8 ? 0 : -128) - e.zero);
    e.hi = e.lo + 255;
    if (kerb_fixture_int(f, 0, 1)) e.lo = fmaxf(e.lo, 0);
    return e;
}
static void kerb_free_finish(KerbFixture *f, KerbInt8Finish *e, size_t columns)
{
    kerb_guarded_free(f, (void *)(uintptr_t)e->scale, columns * 4);
    if (e->bias) kerb_guarded_free(f, (void *)(uintptr_t)e->bias, columns * 4);
    if (e->slope) kerb_guarded_free(f, (void *)(uintptr_t)e->slope, columns * 4);
}

/* The definition of KerbInt8Finish. */
static void kerb_finish_one(void *target, int64_t at, int32_t sum, int column, const void *residual, int64_t residual_at, const KerbInt8Finish *e)
{
    float y = (float)sum * e->scale[column];
    if (e->bias) y += e->bias[column];
    if (e->residual == KERB_F32) y += ((const float *)residual)[residual_at] * e->residual_scale;
    if (e->residual == KERB_U8) y += (float)(((const uint8_t *)residual)[residual_at] - e->residual_zero) * e->residual_scale;
    if (e->residual == KERB_I8) y += (float)(((const int8_t *)residual)[residual_at] - e->residual_zero) * e->residual_scale;
    if (e->slope && y < 0) y *= e->slope[column];
    y = fminf(fmaxf(y, e->lo), e->hi);
    if (e->target == KERB_F32)
        ((float *)target)[at] = y;
    else
        ((uint8_t *)target)[at] = (uint8_t)(lrintf(y) + e->zero);
}

/* ---- tile ---- */

typedef struct KerbInt8TileCall {
    const KerbInt8Kernels *k;
    KerbInt8Tile t;
    int rows;
} KerbInt8TileCall;
static void kerb_call_int8_tile(void *arg)
{
    KerbInt8TileCall *c = arg;
    c->k->tile(&c->t, c->rows);
}

static int kerb_unit_number(const void *unit, int i, int numbers, bool weight)
{
    if (numbers == 2) return ((const int16_t *)unit)[i];
    return weight ? ((const int8_t *)unit)[i] : ((const uint8_t *)unit)[i];
}

static int32_t kerb_int8_sum(const KerbInt8Tile *t, int numbers, int width, int row, int column)
{
    int64_t sum = t->start[column];
    for (int i = 0; i < t->n_taps; i++) {
        for (int k = 0; k < t->depth; k++) {
            int16_t x[2], w[2]; /* four bytes, wherever they lie */
            memcpy(x, t->source + row * t->source_step + t->taps[i].source + 4 * k, 4);
            memcpy(w, t->weights + t->taps[i].weight + (ptrdiff_t)k * width + column, 4);
            for (int n = 0; n < numbers; n++) sum += kerb_unit_number(x, n, numbers, false) * kerb_unit_number(w, n, numbers, true);
        }
    }
    return (int32_t)sum;
}

static void kerb_check_int8_tile_once(KerbFixture *f, int rows, int columns, int depth, int n_taps, bool timed)
{
    const int lanes = f->tested8->lanes, numbers = f->tested8->unit, width = columns > lanes ? 2 * lanes : lanes,
              gap = timed ? 0 : kerb_fixture_int(f, 0, 3);
    const ptrdiff_t source_step = 4 * depth + (numbers == 4 ? gap : 4 * gap), target_step = columns + gap;
    KerbTap taps[9];
    for (int i = 0; i < n_taps; i++)
        taps[i] = (KerbTap){(ptrdiff_t)kerb_fixture_int(f, 0, 2) * source_step, (ptrdiff_t)(n_taps - 1 - i) * depth * width};
    KerbInt8Finish e = kerb_random_finish(f, (size_t)columns, !timed);
    const size_t sources = (size_t)((rows + 1) * source_step + 4 * depth), weights = (size_t)(n_taps * depth * width) * 4,
                 unit = e.target == KERB_F32 ? 4 : 1, targets = (size_t)((rows - 1) * target_step + columns) * unit,
                 residuals = (size_t)((rows - 1) * target_step + columns) * (e.residual == KERB_F32 ? 4 : 1);
    uint8_t *source = kerb_guarded_bytes(f, sources), *w = kerb_guarded_bytes(f, weights), *a = kerb_guarded_bytes(f, targets),
            *b = kerb_guarded(targets);
    void *residual = e.residual == KERB_F32 ? (void *)kerb_guarded_floats(f, residuals / 4) : kerb_guarded_bytes(f, residuals);
    if (numbers == 2) { /* what the layout holds: numbers of 9 bits and weights of 8 */
        for (size_t i = 0; i < sources / 2; i++) ((int16_t *)(void *)source)[i] = (int16_t)kerb_fixture_int(f, -255, 255);
        for (size_t i = 0; i < weights / 2; i++) ((int16_t *)(void *)w)[i] = (int16_t)kerb_fixture_int(f, -128, 127);
    }
    int32_t *start = kerb_guarded((size_t)columns * 4);
    for (int i = 0; i < columns; i++) start[i] = kerb_fixture_int(f, -100000, 100000);
    memcpy(b, a, targets);
    KerbInt8TileCall call = {f->tested8,
                             {.source = source,
                              .source_step = source_step,
                              .taps = taps,
                              .n_taps = n_taps,
                              .depth = depth,
                              .weights = (const int32_t *)(void *)w,
                              .start = start,
                              .columns = columns,
                              .target = b,
                              .target_step = target_step,
                              .residual = e.residual == KERB_DTYPE_NONE ? NULL : residual,
                              .residual_step = target_step,
                              .finish = &e},
                             rows};
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++)
            kerb_finish_one(a, r * target_step + c, kerb_int8_sum(&call.t, numbers, width, r, c), c, residual, r * target_step + c, &e);
    }
    kerb_call_int8_tile(&call);
    kerb_same_bytes(f, a, b, targets, "sums");
    char what[64];
    snprintf(what, sizeof what, "%dx%d depth %d taps %d", rows, columns, depth * numbers, n_taps);
    if (timed) kerb_fixture_time(f, what, 2.0 * rows * columns * depth * numbers * n_taps, kerb_call_int8_tile, &call);
    kerb_guarded_free(f, source, sources);
    kerb_guarded_free(f, w, weights);
    kerb_guarded_free(f, a, targets);
    kerb_guarded_free(f, b, targets);
    kerb_guarded_free(f, residual, residuals);
    kerb_guarded_free(f, start, (size_t)columns * 4);
    kerb_free_finish(f, &e, (size_t)columns);
}

void kerb_check_int8_tile(KerbFixture *f)
{
    const KerbInt8Kernels *k = f->tested8;
    for (int rows = 1; rows <= k->tile_rows; rows++) {
        for (int i = 0; i < 20; i++)
            kerb_check_int8_tile_once(f, rows, kerb_fixture_int(f, 1, 2 * k->lanes), kerb_fixture_int(f, 1, 20), kerb_fixture_int(f, 1, 9), false);
    }
    kerb_check_int8_tile_once(f, k->tile_rows, 2 * k->lanes, 64 / k->unit, 9, true);
    kerb_check_int8_tile_once(f, k->tile_rows, 2 * k->lanes, 256 / k->unit, 1, true);
}

/* ---- the rest ---- */

void kerb_check_int8_widen(KerbFixture *f)
{
    for (int i = 0; i < 60; i++) {
        const int n = kerb_fixture_int(f, 1, 100), zero = kerb_fixture_int(f, -30, 30), numbers = f->tested8->unit,
                  units = (n + numbers - 1) / numbers;
        const bool is_signed = kerb_fixture_int(f, 0, 1);
        uint8_t *in = kerb_guarded_bytes(f, (size_t)n), *out = kerb_guarded((size_t)units * 4), expected[400] = {0};
        f->tested8->widen(out, in, n, is_signed, zero);
        for (int k = 0; k < n; k++) {
            if (numbers == 4)
                expected[k] = in[k] ^ (is_signed ? 0x80 : 0);
            else
                ((int16_t *)(void *)expected)[k] = (int16_t)((is_signed ? (int8_t)in[k] : in[k]) - zero);
        }
        kerb_same_bytes(f, expected, out, (size_t)units * 4, "units");
        kerb_guarded_free(f, in, (size_t)n);
        kerb_guarded_free(f, out, (size_t)units * 4);
    }
}

void kerb_check_int8_finish(KerbFixture *f)
{
    for (int i = 0; i < 60; i++) {
        const size_t n = (size_t)kerb_fixture_int(f, 1, 70);
        KerbInt8Finish e = kerb_random_finish(f, n, false);
        const size_t bytes = n * (e.target == KERB_F32 ? 4 : 1);
        float *sums = kerb_guarded_floats(f, n);
        int32_t *start = kerb_guarded(n * 4);
        uint8_t *a = kerb_guarded_bytes(f, bytes), *b = kerb_guarded(bytes);
        for (size_t k = 0; k < n; k++) {
            sums[k] = rintf(sums[k] * 400000);
            start[k] = kerb_fixture_int(f, -1000, 1000);
            kerb_finish_one(a, (int64_t)k, (int32_t)sums[k] + start[k], (int)k, NULL, 0, &e);
        }
        f->tested8->finish(b, sums, start, (int)n, &e);
        kerb_same_bytes(f, a, b, bytes, "ends");
        kerb_guarded_free(f, sums, n * 4);
        kerb_guarded_free(f, start, n * 4);
        kerb_guarded_free(f, a, bytes);
        kerb_guarded_free(f, b, bytes);
        kerb_free_finish(f, &e, n);
    }
}

void kerb_check_int8_convert(KerbFixture *f)
{
    for (int i = 0; i < 60; i++) {
        const size_t n = (size_t)kerb_fixture_int(f, 1, 200);
        const bool is_signed = kerb_fixture_int(f, 0, 1);
        const int zero = kerb_fixture_int(f, -60, 60) + (is_signed ? 0 : 60);
        const float scale = 0.004f * (float)kerb_fixture_int(f, 1, 9);
        uint8_t *a = kerb_guarded(n), *b = kerb_guarded(n), *in = kerb_guarded_bytes(f, n);
        float *x = kerb_guarded_floats(f, n), *y = kerb_guarded(n * 4), *z = kerb_guarded(n * 4);
        for (size_t k = 0; k < n; k++) x[k] = k % 37 == 36 ? NAN : k % 41 == 40 ? -INFINITY : k % 3 ? x[k] * 2 : ((float)k - 60.5f) * scale; /* ties */
        f->reference8->to_integers(a, x, n, is_signed, zero, scale);
        f->tested8->to_integers(b, x, n, is_signed, zero, scale);
        kerb_same_bytes(f, a, b, n, "to integers");
        f->reference8->to_floats(y, in, n, is_signed, zero, scale);
        f->tested8->to_floats(z, in, n, is_signed, zero, scale);
        kerb_same_bytes(f, y, z, n * 4, "to floats");
        kerb_guarded_free(f, a, n);
        kerb_guarded_free(f, b, n);
        kerb_guarded_free(f, in, n);
        kerb_guarded_free(f, x, n * 4);
        kerb_guarded_free(f, y, n * 4);
        kerb_guarded_free(f, z, n * 4);
    }
}

void kerb_check_int8_max_pool(KerbFixture *f)
{
    for (int i = 0; i < 60; i++) {
        const int channels = kerb_fixture_int(f, 1, 150), width = kerb_fixture_int(f, 1, 12), kernel = kerb_fixture_int(f, 1, 3),
                  stride = kerb_fixture_int(f, 1, 2), pad = kernel / 2, step = channels + kerb_fixture_int(f, 0, 3),
                  out = (width + 2 * pad - kernel) / stride + 1;
        const size_t row = (size_t)((width - 1) * step + channels), target = (size_t)((out - 1) * step + channels);
        const bool is_signed = kerb_fixture_int(f, 0, 1);
        uint8_t *rows[3], *a = kerb_guarded_bytes(f, target), *b = kerb_guarded(target);
        const void *seen[3];
        for (int k = 0; k < kernel; k++) {
            rows[k] = kerb_guarded_bytes(f, row);
            seen[k] = k != pad && kerb_fixture_int(f, 0, 3) == 0 ? NULL : rows[k];
        }
        memcpy(b, a, target);
        KerbPool p = {.rows = seen, .source_step = step, .source_width = width, .target = a, .target_step = step, .x1 = out, .channels = channels,
                      .kernel_h = kernel, .kernel_w = kernel, .stride = stride, .dilation = 1, .pad_left = pad};
        f->reference8->max_pool[is_signed](&p);
        p.target = b;
        f->tested8->max_pool[is_signed](&p);
        kerb_same_bytes(f, a, b, target, "maxima");
        for (int k = 0; k < kernel; k++) kerb_guarded_free(f, rows[k], row);
        kerb_guarded_free(f, a, target);
        kerb_guarded_free(f, b, target);
    }
}
