/* SPDX-License-Identifier: MIT */
/* Checks of pools, the blend of four pixels, elementwise kernels, conversions and reductions. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels_fixture.h"

/* ---- pools ---- */

typedef struct KerbPoolCall {
    void (*run)(const KerbPool *p);
    KerbPool p;
} KerbPoolCall;
static void kerb_call_pool(void *arg)
{
    KerbPoolCall *c = arg;
    c->run(&c->p);
}

static void kerb_check_pool_once(KerbFixture *f, bool maximum, bool bf16, bool timed)
{
    const int channels = timed ? 64 : kerb_fixture_int(f, 1, 40), width = timed ? 64 : kerb_fixture_int(f, 1, 30),
              kernel = timed ? 3 : kerb_fixture_int(f, 1, 5), stride = timed ? 2 : kerb_fixture_int(f, 1, 3),
              pad = timed ? 1 : kerb_fixture_int(f, 0, kernel / 2), unit = bf16 ? 2 : 4, gap = timed ? 0 : kerb_fixture_int(f, 0, 3),
              step = channels + gap;
    if (width + 2 * pad < kernel) return;
    const int out = (width + 2 * pad - kernel) / stride + 1;
    const size_t row = (size_t)((width - 1) * step + channels), target = (size_t)((out - 1) * step + channels),
                 places = (size_t)(out * channels);
    void *rows[5], *a = bf16 ? (void *)kerb_guarded_bf16(f, target) : (void *)kerb_guarded_floats(f, target),
                   *b = kerb_guarded(target * (size_t)unit);
    uint8_t *ia = kerb_guarded(places), *ib = kerb_guarded(places);
    const void *seen[5];
    memcpy(b, a, target * (size_t)unit);
    for (int i = 0; i < kernel; i++) {
        rows[i] = bf16 ? (void *)kerb_guarded_bf16(f, row) : (void *)kerb_guarded_floats(f, row);
        seen[i] =
            i == kernel / 2 || kerb_fixture_int(f, 0, 4) ? rows[i] : NULL; /* the middle one is always there: a window sees something */
    }
    bool places_wanted = maximum && !timed && kerb_fixture_int(f, 0, 1);
    KerbPoolCall call = {maximum ? f->tested->max_pool[bf16] : f->tested->average_pool[bf16],
                         {.rows = seen,
                          .source_step = step,
                          .source_width = width,
                          .target = b,
                          .target_step = step,
                          .x1 = out,
                          .channels = channels,
                          .kernel_h = kernel,
                          .kernel_w = kernel,
                          .stride = stride,
                          .dilation = 1,
                          .pad_left = pad,
                          .rows_counted = kernel,
                          .pad_width = kerb_fixture_int(f, 0, 1) ? width + pad : 0,
                          .indices = places_wanted ? ib : NULL,
                          .indices_step = channels}};
    KerbPool reference = call.p;
    reference.target = a;
    reference.indices = places_wanted ? ia : NULL;
    (maximum ? f->reference->max_pool[bf16] : f->reference->average_pool[bf16])(&reference);
    kerb_call_pool(&call);
    if (bf16)
        kerb_fixture_compare_bf16(f, a, b, target, 1, "rows");
    else
        kerb_fixture_compare(f, a, b, target, maximum ? 0 : 1e-6, "rows");
    if (places_wanted && memcmp(ia, ib, places)) {
        printf("FAILED %s %s: indices differ\n", f->name, f->tested->name);
        f->failures++;
    }
    if (timed)
        kerb_fixture_time(f, bf16 ? "bf16 3x3 stride 2, 64 channels" : "f32 3x3 stride 2, 64 channels", 9.0 * out * channels,
                          kerb_call_pool, &call);
    for (int i = 0; i < kernel; i++) kerb_guarded_free(f, rows[i], row * (size_t)unit);
    kerb_guarded_free(f, a, target * (size_t)unit);
    kerb_guarded_free(f, b, target * (size_t)unit);
    kerb_guarded_free(f, ia, places);
    kerb_guarded_free(f, ib, places);
}
static void kerb_check_pool(KerbFixture *f, bool maximum)
{
    for (int i = 0; i < 80; i++) kerb_check_pool_once(f, maximum, i & 1, false);
    kerb_check_pool_once(f, maximum, false, true);
    kerb_check_pool_once(f, maximum, true, true);
}
void kerb_check_max_pool(KerbFixture *f)
{
    kerb_check_pool(f, true);
}
void kerb_check_average_pool(KerbFixture *f)
{
    kerb_check_pool(f, false);
}

/* ---- blend ---- */

void kerb_check_blend4(KerbFixture *f)
{
    for (int i = 0; i < 40; i++) {
        const bool bf16 = i & 1;
        const size_t n = (size_t)kerb_fixture_int(f, 1, 70), unit = bf16 ? 2 : 4;
        void *corners[4], *a = kerb_guarded(n * unit), *b = kerb_guarded(n * unit);
        float w[4];
        for (int j = 0; j < 4; j++) {
            corners[j] = bf16 ? (void *)kerb_guarded_bf16(f, n) : (void *)kerb_guarded_floats(f, n);
            w[j] = kerb_fixture_float(f);
        }
        f->reference->blend4[bf16](a, (const void *const *)corners, w, (int)n);
        f->tested->blend4[bf16](b, (const void *const *)corners, w, (int)n);
        if (bf16)
            kerb_fixture_compare_bf16(f, a, b, n, 1, "pixel");
        else
            kerb_fixture_compare(f, a, b, n, 5e-7, "pixel");
        for (int j = 0; j < 4; j++) kerb_guarded_free(f, corners[j], n * unit);
        kerb_guarded_free(f, a, n * unit);
        kerb_guarded_free(f, b, n * unit);
    }
}

/* ---- elementwise ---- */

static double kerb_unary_true(int kind, double x, double alpha, double beta)
{
    switch (kind) {
    case KERB_CPU_SIGMOID: return 1 / (1 + exp(-x));
    case KERB_CPU_TANH: return tanh(x);
    case KERB_CPU_SWISH: return x / (1 + exp(-x));
    case KERB_CPU_HARD_SIGMOID: return fmin(1, fmax(0, alpha * x + beta));
    case KERB_CPU_HARD_SWISH: return x * fmin(1, fmax(0, x / 6 + 0.5));
    case KERB_CPU_ELU: return x < 0 ? alpha * expm1(x) : x;
    case KERB_CPU_EXP: return exp(x);
    case KERB_CPU_ABS: return fabs(x);
    case KERB_CPU_NEG: return -x;
    case KERB_CPU_GELU_TANH: return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    default: return x * x;
    }
}

typedef struct KerbUnaryCall {
    void (*run)(float *x, size_t n, float alpha, float beta);
    float *x;
    size_t n;
} KerbUnaryCall;
static void kerb_call_unary(void *arg)
{
    KerbUnaryCall *c = arg;
    c->run(c->x, c->n, 0.5f, 0.25f);
}

void kerb_check_unary(KerbFixture *f)
{
    for (int kind = 0; kind < KERB_CPU_UNARY_COUNT; kind++) {
        for (int i = 0; i < 20; i++) {
            const size_t n = (size_t)kerb_fixture_int(f, 1, 100);
            float *x = kerb_guarded_floats(f, n), *a = kerb_guarded(n * 4);
            for (size_t j = 0; j < n; j++) x[j] *= i < 10 ? 1.0f : i < 15 ? 12.0f : 87.0f;
            for (size_t j = 0; j < n; j++) a[j] = (float)kerb_unary_true(kind, (double)x[j], 0.5, 0.25);
            f->tested->unary[kind](x, n, 0.5f, 0.25f);
            kerb_fixture_compare(f, a, x, n, 2e-6,
                                 "function"); /* the polynomials are good to a few units of 2^-24; e^x near 87 to 1e-6 of itself */
            kerb_guarded_free(f, x, n * 4);
            kerb_guarded_free(f, a, n * 4);
        }
    }
    float *x = kerb_guarded_floats(f, 2048);
    KerbUnaryCall call = {f->tested->unary[KERB_CPU_SWISH], x, 2048};
    kerb_fixture_time(f, "swish 2048", 2048, kerb_call_unary, &call);
    kerb_guarded_free(f, x, 2048 * 4);
}

void kerb_check_binary(KerbFixture *f)
{
    for (int kind = 0; kind < KERB_CPU_BINARY_COUNT; kind++) {
        for (int i = 0; i < 24; i++) {
            const KerbSpread spread = (KerbSpread)(i % 4);
            const int pixels = kerb_fixture_int(f, 1, 20), channels = kerb_fixture_int(f, 1, 40);
            const size_t n = (size_t)(pixels * channels);
            const size_t m = spread == KERB_SPREAD_FULL      ? n
                             : spread == KERB_SPREAD_CHANNEL ? (size_t)channels
                             : spread == KERB_SPREAD_PIXEL   ? (size_t)pixels
                                                             : 1;
            float *a = kerb_guarded_floats(f, n), *b = kerb_guarded(n * 4), *o = kerb_guarded_floats(f, m);
            memcpy(b, a, n * 4);
            f->reference->binary[kind](a, o, spread, pixels, channels);
            f->tested->binary[kind](b, o, spread, pixels, channels);
            kerb_fixture_compare(f, a, b, n, 0, "operation"); /* one rounding: the same bits */
            kerb_guarded_free(f, a, n * 4);
            kerb_guarded_free(f, b, n * 4);
            kerb_guarded_free(f, o, m * 4);
        }
    }
}

void kerb_check_scale_shift(KerbFixture *f)
{
    for (int i = 0; i < 40; i++) {
        const int pixels = kerb_fixture_int(f, 1, 20), channels = kerb_fixture_int(f, 1, 70);
        const size_t n = (size_t)(pixels * channels), m = (size_t)channels;
        float *a = kerb_guarded_floats(f, n), *b = kerb_guarded(n * 4), *scale = kerb_guarded_floats(f, m),
              *shift = kerb_guarded_floats(f, m);
        memcpy(b, a, n * 4);
        f->reference->scale_shift(a, scale, shift, pixels, channels);
        f->tested->scale_shift(b, scale, shift, pixels, channels);
        kerb_fixture_compare(f, a, b, n, 2e-7, "pixels");
        kerb_guarded_free(f, a, n * 4);
        kerb_guarded_free(f, b, n * 4);
        kerb_guarded_free(f, scale, m * 4);
        kerb_guarded_free(f, shift, m * 4);
    }
}

void kerb_check_finish(KerbFixture *f)
{
    for (int i = 0; i < 64; i++) {
        const int pixels = kerb_fixture_int(f, 1, 20), channels = kerb_fixture_int(f, 1, 70);
        const size_t n = (size_t)(pixels * channels), m = (size_t)channels;
        float *a = kerb_guarded_floats(f, n), *b = kerb_guarded(n * 4), *bias = kerb_guarded_floats(f, m),
              *slope = kerb_guarded_floats(f, m);
        if (i % 7 == 0) a[0] = NAN; /* must come through */
        memcpy(b, a, n * 4);
        KerbEpilogue e = {.bias = i & 1 ? bias : NULL, .slope = i & 2 ? slope : NULL, .clip = (i & 4) != 0, .lo = -0.25f, .hi = 0.5f};
        f->reference->finish(a, pixels, channels, &e);
        f->tested->finish(b, pixels, channels, &e);
        kerb_fixture_compare(f, a, b, n, 0, "pixels");
        kerb_guarded_free(f, a, n * 4);
        kerb_guarded_free(f, b, n * 4);
        kerb_guarded_free(f, bias, m * 4);
        kerb_guarded_free(f, slope, m * 4);
    }
}

/* ---- conversions: the same bits, NaN and infinities too ---- */

void kerb_check_convert(KerbFixture *f)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 3.4e38f, 1e-40f, 1.00390625f, 1.01171875f};
    for (int i = 0; i < 40; i++) {
        const size_t n = (size_t)kerb_fixture_int(f, 1, 100);
        float *x = kerb_guarded_floats(f, n), *back_a = kerb_guarded(n * 4), *back_b = kerb_guarded(n * 4);
        uint16_t *a = kerb_guarded(n * 2), *b = kerb_guarded(n * 2);
        for (size_t j = 0; j < n && j < sizeof odd / sizeof odd[0]; j++) x[(j * 7) % n] = odd[j];
        f->reference->to_bf16(a, x, n);
        f->tested->to_bf16(b, x, n);
        f->reference->to_f32(back_a, a, n);
        f->tested->to_f32(back_b, a, n);
        if (memcmp(a, b, n * 2) || memcmp(back_a, back_b, n * 4)) {
            printf("FAILED %s %s: bits differ\n", f->name, f->tested->name);
            f->failures++;
        }
        kerb_guarded_free(f, x, n * 4);
        kerb_guarded_free(f, back_a, n * 4);
        kerb_guarded_free(f, back_b, n * 4);
        kerb_guarded_free(f, a, n * 2);
        kerb_guarded_free(f, b, n * 2);
    }
}

typedef struct KerbExponentialsCall {
    const KerbCpuKernels *k;
    float *x;
    size_t n;
} KerbExponentialsCall;
static void kerb_call_exponentials(void *arg)
{
    KerbExponentialsCall *c = arg;
    c->k->exponentials(c->x, c->n);
}

void kerb_check_reductions(KerbFixture *f)
{
    for (int i = 0; i < 60; i++) {
        const size_t n = (size_t)kerb_fixture_int(f, 1, 300);
        float *a = kerb_guarded_floats(f, n), *b = kerb_guarded(n * 4), *add = kerb_guarded_floats(f, n);
        for (size_t j = 0; j < n; j++) a[j] *= 20;
        memcpy(b, a, n * 4);
        float top = f->tested->largest(a, n), expected = f->reference->largest(a, n);
        kerb_fixture_compare(f, &expected, &top, 1, 0, "largest");
        expected = f->reference->exponentials(a, n);
        top = f->tested->exponentials(b, n);
        kerb_fixture_compare(f, &expected, &top, 1, 3e-6, "sum of exponentials");
        kerb_fixture_compare(f, a, b, n, 1e-6, "exponentials");
        memcpy(b, a, n * 4);
        f->reference->accumulate(a, add, n);
        f->tested->accumulate(b, add, n);
        f->reference->scale(a, n, 0.7f);
        f->tested->scale(b, n, 0.7f);
        kerb_fixture_compare(f, a, b, n, 0, "sum and scale");
        kerb_guarded_free(f, a, n * 4);
        kerb_guarded_free(f, b, n * 4);
        kerb_guarded_free(f, add, n * 4);
    }
    float *x = kerb_guarded_floats(f, 3600);
    KerbExponentialsCall call = {f->tested, x, 3600};
    kerb_fixture_time(f, "exponentials 3600", 3600, kerb_call_exponentials, &call);
    kerb_guarded_free(f, x, 3600 * 4);
}
