/* SPDX-License-Identifier: MIT */
/* Checks of the kernels that multiply and add: tile, Winograd's transforms, depthwise. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels_fixture.h"

/* Sums of K products differ between variants by the order of rounding only (fused or not): sqrt(K) units of 2^-24 of values near sqrt(K)/3.
 */
static double kerb_sum_tolerance(double k)
{
    return 4 * 6e-8 * sqrt(k) + 1e-6;
}

static float *kerb_maybe(KerbFixture *f, size_t n)
{
    return kerb_fixture_int(f, 0, 1) ? kerb_guarded_floats(f, n) : NULL;
}
static void kerb_maybe_free(KerbFixture *f, float *p, size_t n)
{
    if (p) kerb_guarded_free(f, p, n * sizeof *p);
}

/* ---- tile ---- */

typedef struct KerbTileCall {
    const KerbCpuKernels *k;
    KerbTile t;
    int rows;
} KerbTileCall;
static void kerb_call_tile(void *arg)
{
    KerbTileCall *c = arg;
    c->k->tile(&c->t, c->rows);
}

/* The definition, in double: the C variant's own tile has another width, so weights are packed for the tested one. */
static void kerb_tile_expected(const KerbTile *t, int rows, int width, float *out)
{
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < t->columns; c++) {
            double sum = t->epilogue && t->epilogue->bias ? (double)t->epilogue->bias[c] : 0;
            for (int i = 0; i < t->n_taps; i++) {
                for (int k = 0; k < t->depth; k++) {
                    sum += (double)t->source[r * t->source_step + t->taps[i].source + k] *
                           (double)t->weights[t->taps[i].weight + (ptrdiff_t)k * width + c];
                }
            }
            if (t->residual) sum += (double)t->residual[r * t->residual_step + c];
            if (t->epilogue && t->epilogue->slope && sum < 0) sum *= (double)t->epilogue->slope[c];
            if (t->epilogue && t->epilogue->clip) sum = fmin(fmax(sum, (double)t->epilogue->lo), (double)t->epilogue->hi);
            out[r * t->target_step + c] = (float)sum;
        }
    }
}

static void kerb_check_tile_once(KerbFixture *f, int rows, int columns, int depth, int n_taps, bool plain)
{
    const int lanes = f->tested->lanes, width = columns > lanes ? 2 * lanes : lanes, gap = plain ? 0 : kerb_fixture_int(f, 0, 3);
    const ptrdiff_t source_step = depth + gap, target_step = columns + gap;
    KerbTap taps[9];
    for (int i = 0; i < n_taps; i++)
        taps[i] = (KerbTap){(ptrdiff_t)kerb_fixture_int(f, 0, 2) * source_step, (ptrdiff_t)(n_taps - 1 - i) * depth * width};
    const size_t sources = (size_t)((rows + 1) * source_step + depth), weights = (size_t)(n_taps * depth * width),
                 targets = (size_t)((rows - 1) * target_step + columns);
    float *source = kerb_guarded_floats(f, sources), *w = kerb_guarded_floats(f, weights), *target = kerb_guarded_floats(f, targets),
          *expected = kerb_guarded_floats(f, targets), *residual = plain ? NULL : kerb_maybe(f, targets),
          *bias = plain ? NULL : kerb_maybe(f, (size_t)columns), *slope = plain ? NULL : kerb_maybe(f, (size_t)columns);
    memcpy(expected, target, targets * sizeof *target);
    KerbEpilogue e = {.bias = bias, .slope = slope, .clip = !plain && kerb_fixture_int(f, 0, 1), .lo = -0.5f, .hi = 2};
    KerbTileCall call = {f->tested,
                         {.source = source,
                          .source_step = source_step,
                          .taps = taps,
                          .n_taps = n_taps,
                          .depth = depth,
                          .weights = w,
                          .target = target,
                          .target_step = target_step,
                          .columns = columns,
                          .residual = residual,
                          .residual_step = target_step,
                          .epilogue = plain ? NULL : &e},
                         rows};
    call.t.target = expected;
    kerb_tile_expected(&call.t, rows, width, expected);
    call.t.target = target;
    kerb_call_tile(&call);
    kerb_fixture_compare(f, expected, target, targets, kerb_sum_tolerance(depth * n_taps), "sums");
    if (plain) {
        char what[64];
        snprintf(what, sizeof what, "%dx%d depth %d taps %d", rows, columns, depth, n_taps);
        kerb_fixture_time(f, what, 2.0 * rows * columns * depth * n_taps, kerb_call_tile, &call);
    }
    kerb_guarded_free(f, source, sources * 4);
    kerb_guarded_free(f, w, weights * 4);
    kerb_guarded_free(f, target, targets * 4);
    kerb_guarded_free(f, expected, targets * 4);
    kerb_maybe_free(f, residual, targets);
    kerb_maybe_free(f, bias, (size_t)columns);
    kerb_maybe_free(f, slope, (size_t)columns);
}

void kerb_check_tile(KerbFixture *f)
{
    for (int rows = 1; rows <= f->tested->tile_rows; rows++) {
        for (int i = 0; i < 20; i++) {
            kerb_check_tile_once(f, rows, kerb_fixture_int(f, 1, 2 * f->tested->lanes), kerb_fixture_int(f, 1, 40),
                                 kerb_fixture_int(f, 1, 9), false);
        }
    }
    kerb_check_tile_once(f, f->tested->tile_rows, 2 * f->tested->lanes, 12, 9, true);
    kerb_check_tile_once(f, f->tested->tile_rows, 2 * f->tested->lanes, 128, 1, true);
    kerb_check_tile_once(f, f->tested->tile_rows, f->tested->lanes, 128, 1, true);
}

/* ---- Winograd ---- */

typedef struct KerbWinogradCall {
    const KerbCpuKernels *k;
    const void *const *pixels;
    const float *sums;
    float *out;
    void *const *targets;
    int channels;
    ptrdiff_t plane;
    bool bf16;
    KerbEpilogue e;
} KerbWinogradCall;
static void kerb_call_winograd_input(void *arg)
{
    KerbWinogradCall *c = arg;
    c->k->winograd_input((const void *const *)c->pixels, c->bf16, c->channels, c->out, c->plane);
}
static void kerb_call_winograd_output(void *arg)
{
    KerbWinogradCall *c = arg;
    c->k->winograd_output(c->sums, c->plane, c->channels, c->targets, NULL, c->bf16, &c->e);
}

void kerb_check_winograd_input(KerbFixture *f)
{
    for (int i = 0; i < 41; i++) {
        const bool last = i == 40, bf16 = !last && (i & 1);
        const int channels = last ? 64 : kerb_fixture_int(f, 1, 50);
        const ptrdiff_t plane = channels + kerb_fixture_int(f, 0, 5);
        const size_t n = (size_t)(36 * channels), outs = (size_t)(35 * plane + channels);
        void *source = bf16 ? (void *)kerb_guarded_bf16(f, n) : (void *)kerb_guarded_floats(f, n);
        float *a = kerb_guarded_floats(f, outs), *b = kerb_guarded(outs * 4);
        memcpy(b, a, outs * 4);
        const void *pixels[36];
        for (int p = 0; p < 36; p++)
            pixels[p] = last || kerb_fixture_int(f, 0, 4) ? (char *)source + (size_t)(p * channels) * (bf16 ? 2 : 4) : NULL;
        f->reference->winograd_input(pixels, bf16, channels, a, plane);
        KerbWinogradCall call = {.k = f->tested, .pixels = pixels, .out = b, .channels = channels, .plane = plane, .bf16 = bf16};
        kerb_call_winograd_input(&call);
        kerb_fixture_compare(f, a, b, outs, 4e-6, "transform"); /* coefficients to 25, a dozen additions */
        if (last) kerb_fixture_time(f, "64 channels", 36 * 64, kerb_call_winograd_input, &call);
        kerb_guarded_free(f, source, n * (bf16 ? 2 : 4));
        kerb_guarded_free(f, a, outs * 4);
        kerb_guarded_free(f, b, outs * 4);
    }
}

void kerb_check_winograd_output(KerbFixture *f)
{
    for (int i = 0; i < 41; i++) {
        const bool last = i == 40;
        const int channels = last ? 32 : kerb_fixture_int(f, 1, 50);
        const ptrdiff_t plane = channels + kerb_fixture_int(f, 0, 5);
        const size_t sums = (size_t)(35 * plane + channels), n = (size_t)(16 * channels);
        float *m = kerb_guarded_floats(f, sums), *a = kerb_guarded_floats(f, n), *b = kerb_guarded(n * 4),
              *residual = kerb_guarded_floats(f, n), *bias = kerb_maybe(f, (size_t)channels), *slope = kerb_maybe(f, (size_t)channels);
        memcpy(b, a, n * 4);
        void *ta[16], *tb[16];
        const void *r[16];
        for (int p = 0; p < 16; p++) {
            bool there = last || kerb_fixture_int(f, 0, 4);
            ta[p] = there ? a + p * channels : NULL;
            tb[p] = there ? b + p * channels : NULL;
            r[p] = residual + p * channels;
        }
        KerbWinogradCall call = {.k = f->tested,
                                 .sums = m,
                                 .targets = tb,
                                 .channels = channels,
                                 .plane = plane,
                                 .e = {.bias = bias, .slope = slope, .clip = kerb_fixture_int(f, 0, 1), .hi = 6}};
        bool with = kerb_fixture_int(f, 0, 1);
        f->reference->winograd_output(m, plane, channels, ta, with ? r : NULL, false, &call.e);
        f->tested->winograd_output(m, plane, channels, tb, with ? r : NULL, false, &call.e);
        kerb_fixture_compare(f, a, b, n, 2e-5, "transform"); /* coefficients to 64 */
        if (last) kerb_fixture_time(f, "32 channels", 16 * 32, kerb_call_winograd_output, &call);
        kerb_guarded_free(f, m, sums * 4);
        kerb_guarded_free(f, a, n * 4);
        kerb_guarded_free(f, b, n * 4);
        kerb_guarded_free(f, residual, n * 4);
        kerb_maybe_free(f, bias, (size_t)channels);
        kerb_maybe_free(f, slope, (size_t)channels);
    }
}

/* ---- depthwise ---- */

typedef struct KerbDepthwiseCall {
    const KerbCpuKernels *k;
    KerbDepthwise d;
    bool bf16;
} KerbDepthwiseCall;
static void kerb_call_depthwise(void *arg)
{
    KerbDepthwiseCall *c = arg;
    c->k->depthwise[c->bf16](&c->d);
}

static void kerb_check_depthwise_once(KerbFixture *f, bool bf16, int channels, int width, int kernel, int stride, int dilation, bool timed)
{
    const int gap = timed ? 0 : kerb_fixture_int(f, 0, 4), pad = timed ? 1 : kerb_fixture_int(f, 0, (kernel - 1) * dilation);
    const int room = width + 2 * pad - (kernel - 1) * dilation - 1, out = room < 0 ? 0 : room / stride + 1, step = channels + gap,
              unit = bf16 ? 2 : 4;
    if (!out) return;
    const int x0 = timed || out < 10 ? 0 : kerb_fixture_int(f, 0, 2), x1 = timed || out < 10 ? out : out - kerb_fixture_int(f, 0, 2),
              weight_step = channels + (timed ? 0 : kerb_fixture_int(f, 0, 2));
    const size_t row = (size_t)((width - 1) * step + channels), target = (size_t)((out - 1) * step + channels),
                 weights = (size_t)((kernel * kernel - 1) * weight_step + channels);
    void *rows[7], *a = bf16 ? (void *)kerb_guarded_bf16(f, target) : (void *)kerb_guarded_floats(f, target),
                   *b = kerb_guarded(target * (size_t)unit);
    memcpy(b, a, target * (size_t)unit);
    for (int i = 0; i < kernel; i++) rows[i] = bf16 ? (void *)kerb_guarded_bf16(f, row) : (void *)kerb_guarded_floats(f, row);
    const void *seen[7];
    for (int i = 0; i < kernel; i++) seen[i] = timed || kerb_fixture_int(f, 0, 5) ? rows[i] : NULL;
    float *w = kerb_guarded_floats(f, weights), *bias = kerb_maybe(f, (size_t)channels), *slope = kerb_maybe(f, (size_t)channels);
    KerbDepthwiseCall call = {f->tested,
                              {.rows = seen,
                               .source_step = step,
                               .source_width = width,
                               .target = b,
                               .target_step = step,
                               .x0 = x0,
                               .x1 = x1,
                               .channels = channels,
                               .kernel_h = kernel,
                               .kernel_w = kernel,
                               .stride = stride,
                               .dilation = dilation,
                               .pad_left = pad,
                               .weights = w,
                               .weight_step = weight_step,
                               .epilogue = {.bias = bias, .slope = slope, .clip = kerb_fixture_int(f, 0, 1), .hi = 6}},
                              bf16};
    KerbDepthwise reference = call.d;
    reference.target = a;
    f->reference->depthwise[bf16](&reference);
    kerb_call_depthwise(&call);
    if (bf16)
        kerb_fixture_compare_bf16(f, a, b, target, 1, "rows"); /* the last bit of 8 may round the other way */
    else
        kerb_fixture_compare(f, a, b, target, kerb_sum_tolerance(kernel * kernel), "rows");
    char what[64];
    snprintf(what, sizeof what, "%s %dx%d stride %d, %d channels", bf16 ? "bf16" : "f32", kernel, kernel, stride, channels);
    if (timed) kerb_fixture_time(f, what, 2.0 * out * channels * kernel * kernel, kerb_call_depthwise, &call);
    for (int i = 0; i < kernel; i++) kerb_guarded_free(f, rows[i], row * (size_t)unit);
    kerb_guarded_free(f, a, target * (size_t)unit);
    kerb_guarded_free(f, b, target * (size_t)unit);
    kerb_guarded_free(f, w, weights * 4);
    kerb_maybe_free(f, bias, (size_t)channels);
    kerb_maybe_free(f, slope, (size_t)channels);
}

void kerb_check_depthwise(KerbFixture *f)
{
    for (int i = 0; i < 240; i++) {
        kerb_check_depthwise_once(f, i & 1, kerb_fixture_int(f, 1, 50), kerb_fixture_int(f, 1, 40), kerb_fixture_int(f, 1, 7),
                                  kerb_fixture_int(f, 1, 3), kerb_fixture_int(f, 1, 3), false);
    }
    kerb_check_depthwise_once(f, false, 96, 64, 3, 1, 1, true);
    kerb_check_depthwise_once(f, false, 96, 64, 3, 2, 1, true);
    kerb_check_depthwise_once(f, false, 96, 64, 5, 1, 1, true);
    kerb_check_depthwise_once(f, false, 96, 64, 5, 2, 1, true);
    kerb_check_depthwise_once(f, false, 96, 64, 3, 1, 2, true);
    kerb_check_depthwise_once(f, true, 96, 64, 3, 1, 1, true);
}
