/* SPDX-License-Identifier: MIT */
/* Histograms and ranges against values that were kept, and weights against plain loops. */
#include "calib_net.h"

#include "calib/observe.h"
#include "calib/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define N 6000

/* Values whose size grows with every frame, so that the histogram must. */
static void make_values(float *v, int frame, bool negative)
{
    uint32_t seed = 5u + (uint32_t)frame;
    for (int i = 0; i < N; i++) {
        float a = net_random(&seed), b = net_random(&seed), c = net_random(&seed);
        v[i] = (a + b + c) * powf(3, (float)frame) * 0.01f;
        if (!negative) v[i] = v[i] < 0 ? 0 : v[i];
    }
}

static double square_error(const float *v, int n, float scale, bool is_signed)
{
    double sum = 0, least = is_signed ? -127 : 0, most = is_signed ? 127 : 255;
    for (int i = 0; i < n; i++) {
        double q = fmax(least, fmin(most, nearbyint((double)v[i] / (double)scale))) * (double)scale;
        sum += ((double)v[i] - q) * ((double)v[i] - q);
    }
    return sum;
}

static void histogram_counts_and_grows(void **state)
{
    KerbObservation *o = calloc(2, sizeof *o);
    double sums[4] = { 0 }, expected[4] = { 0 };
    float *v = malloc(N * sizeof *v), most = 0, least = 0;
    o[0].n_channels = 4;
    o[0].sums = sums;
    for (int frame = 0; frame < 6; frame++) {
        make_values(v, frame, true);
        /* 1 x 4 x 30 x 50, channels last: strides of NHWC */
        KerbTensor t = kerb_tensor_channels_last(v, KERB_F32, 4, (int64_t[]){ 1, 4, 30, 50 }, 4);
        kerb_observe(&o[0], &t, 1);
        KerbTensor dense = kerb_tensor(v, KERB_F32, 2, (int64_t[]){ 60, 100 });
        kerb_observe(&o[1], &dense, -1);
        for (int i = 0; i < N; i++) {
            expected[i % 4] += (double)v[i];
            most = fmaxf(most, v[i]);
            least = fminf(least, v[i]);
        }
    }
    uint64_t counted = o[0].zeros;
    for (int b = 0; b < 2 * KERB_BINS; b++) {
        counted += o[0].bins[b];
        assert_int_equal(o[0].bins[b], o[1].bins[b]);
    }
    assert_int_equal(counted, 6 * N);
    assert_true(o[0].max == most && o[0].min == least);
    assert_true(ldexpf(1, o[0].exponent) * KERB_BINS > most && ldexpf(1, o[0].exponent) * KERB_BINS <= 2 * fmaxf(most, -least));
    for (int c = 0; c < 4; c++) assert_true(fabs(sums[c] - expected[c]) < 1e-6 * (1 + fabs(expected[c])));
    assert_int_equal(o[0].per_channel, 6 * N / 4);
    /* Two histograms of different widths together are the histogram of all. */
    KerbObservation *parts = calloc(3, sizeof *parts);
    make_values(v, 0, true);
    KerbTensor t = kerb_tensor(v, KERB_F32, 1, (int64_t[]){ N });
    kerb_observe(&parts[0], &t, -1);
    kerb_observe(&parts[2], &t, -1);
    make_values(v, 5, true);
    kerb_observe(&parts[1], &t, -1);
    kerb_observe(&parts[2], &t, -1);
    kerb_observe_merge(&parts[0], &parts[1]);
    assert_int_equal(parts[0].exponent, parts[2].exponent);
    assert_memory_equal(parts[0].bins, parts[2].bins, sizeof parts[0].bins);
    v[17] = NAN;
    v[18] = INFINITY;
    kerb_observe(&parts[1], &t, -1);
    assert_int_equal(parts[1].not_finite, 2);
    free(parts);
    free(o);
    free(v);
}

static int by_value(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);
    return (x > y) - (x < y);
}

static void ranges_are_what_they_claim(void **state)
{
    float *v = malloc(N * sizeof *v);
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        KerbObservation *o = calloc(1, sizeof *o);
        double clipped;
        make_values(v, 2, is_signed);
        v[5] = 30; /* an outlier, hundreds of times the others */
        KerbTensor t = kerb_tensor(v, KERB_F32, 1, (int64_t[]){ N });
        kerb_observe(o, &t, -1);
        float levels = is_signed ? 127 : 255, width = ldexpf(1, o->exponent);
        float plain = kerb_observe_scale(o, KERB_RANGE_MIN_MAX, 0, is_signed, &clipped).scale;
        assert_true(fabsf(plain * levels - 30) < 1e-4f && clipped == 0);
        float percentile = kerb_observe_scale(o, KERB_RANGE_PERCENTILE, 99, is_signed, &clipped).scale;
        float mse = kerb_observe_scale(o, KERB_RANGE_MSE, 0, is_signed, &clipped).scale;
        float kl = kerb_observe_scale(o, KERB_RANGE_KL, 0, is_signed, &clipped).scale;
        assert_true(kl > 0 && kl < plain); /* the outlier is not worth it */
        /* MSE: no other limit of its grid is better, by the values themselves (bins are narrow beside the steps). */
        double found = square_error(v, N, mse, is_signed);
        for (int percent = 10; percent <= 100; percent++) {
            double other = square_error(v, N, 30.0f * (float)percent / 100 / levels, is_signed);
            if (other < found * 0.99) fail_msg("%d %%: %g is less than %g", percent, other, found);
        }
        qsort(v, N, sizeof *v, by_value);
        float expected = fabsf(v[(int)ceil(N * 0.99) - 1]);
        assert_true(fabsf(percentile * levels - expected) <= width);
        free(o);
    }
    /* Lopsided: -1..9. Zero is an integer, and both ends are within half a step. */
    KerbObservation *o = calloc(1, sizeof *o);
    double clipped;
    uint32_t seed = 2;
    for (int i = 0; i < N; i++) v[i] = 4 + 5 * net_random(&seed);
    v[0] = -1, v[1] = 9;
    KerbTensor lopsided = kerb_tensor(v, KERB_F32, 1, (int64_t[]){ N });
    kerb_observe(o, &lopsided, -1);
    KerbScale grid = kerb_observe_scale(o, KERB_RANGE_MIN_MAX, 0, false, &clipped);
    assert_false(grid.is_signed);
    assert_true(grid.zero == 25 || grid.zero == 26); /* 25.5 */
    assert_true(fabsf(grid.scale - 10.0f / 255) < 1e-6f);
    memset(o, 0, sizeof *o);
    /* Nothing but zeros. */
    memset(v, 0, N * sizeof *v);
    KerbTensor t = kerb_tensor(v, KERB_F32, 1, (int64_t[]){ N });
    kerb_observe(o, &t, -1);
    for (int m = 0; m < KERB_RANGE_METHODS; m++) assert_true(kerb_observe_scale(o, (KerbRangeMethod)m, 99.99, false, &clipped).scale == 1);
    free(o);
    free(v);
}

/* A Conv of 2 groups, against the definition. */
static void weights_and_corrected_bias(void **state)
{
    enum { OC = 6, ICG = 2, K = 3, E = OC * ICG * K };
    float w[E], bias[OC] = { 0.5f, -1, 0, 2, 1e9f, 3 };
    double means[4] = { 0.7, -0.2, 1.5, 0.1 };
    uint32_t seed = 3;
    for (int i = 0; i < E; i++) w[i] = net_random(&seed) * (float)(1 + i / (ICG * K));
    for (int i = 0; i < ICG * K; i++) w[2 * ICG * K + i] = 0; /* a channel of zeros */
    KerbEditLayer layer = { .rank = 3, .dims = { OC, ICG, K }, .axis = 0, .group = 2, .channels = OC, .inputs = 4, .weights = w, .bias = bias, .n_bias = OC, .takes_bias = true };
    KerbCalibrateOptions options = { .method = KERB_RANGE_MIN_MAX, .bias_correction = true };
    KerbArena *arena = kerb_arena_new(0);
    KerbIntWeights q;
    const float x_scale = 0.02f;
    assert_true(kerb_weights_quantize(&layer, &options, x_scale, means, arena, &q));
    for (int o = 0; o < OC; o++) {
        float largest = 0;
        double correction = 0;
        for (int i = 0; i < ICG * K; i++) largest = fmaxf(largest, fabsf(w[o * ICG * K + i]));
        if (o != 2 && o != 4) assert_true(fabsf(q.scales[o] - largest / 127) < 1e-6f * largest);
        for (int i = 0; i < ICG * K; i++) {
            int at = o * ICG * K + i;
            double back = (double)q.values[at] * (double)q.scales[o];
            assert_true(fabs((double)w[at] - back) <= (double)q.scales[o] * 0.5000001);
            correction += ((double)w[at] - back) * means[o / 3 * 2 + i / K];
        }
        double unit = (double)q.bias_scales[o], wanted = (double)bias[o] + correction;
        assert_true(fabs(unit - (double)x_scale * (double)q.scales[o]) < 1e-6 * unit);
        if (fabs((double)q.bias[o] * unit - wanted) > 0.51 * unit + 1e-6 * fabs(wanted)) fail_msg("bias %d: %g, not %g", o, (double)q.bias[o] * unit, wanted);
    }
    options.reduce_range = true;
    assert_true(kerb_weights_quantize(&layer, &options, x_scale, NULL, arena, &q));
    for (int i = 0; i < E; i++) assert_true(abs(q.values[i]) <= 63);
    kerb_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(histogram_counts_and_grows), cmocka_unit_test(ranges_are_what_they_claim), cmocka_unit_test(weights_and_corrected_bias) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
