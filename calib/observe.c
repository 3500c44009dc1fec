/* SPDX-License-Identifier: MIT */
/* Histograms of tensors. Everything is counted, so the order of frames and threads says nothing; sums of a channel are made in the order of its values. */
#include "calib/observe.h"

#include <math.h>
#include <string.h>

/* ---- growing */

/* Pairs of bins become one. */
static void kerb_observe_double(KerbObservation *o)
{
    for (int b = 0; b < KERB_BINS / 2; b++) { /* from zero outwards, so that nothing is overwritten before it is read */
        int up = KERB_BINS + b, down = KERB_BINS - 1 - b;
        o->bins[up] = o->bins[KERB_BINS + 2 * b] + o->bins[KERB_BINS + 2 * b + 1];
        o->bins[down] = o->bins[KERB_BINS - 1 - 2 * b] + o->bins[KERB_BINS - 2 - 2 * b];
    }
    memset(o->bins, 0, KERB_BINS / 2 * sizeof o->bins[0]);
    memset(o->bins + KERB_BINS + KERB_BINS / 2, 0, KERB_BINS / 2 * sizeof o->bins[0]);
    o->exponent++;
}

/* Bins wide enough for values up to `most`. */
static void kerb_observe_reach(KerbObservation *o, float most)
{
    if (!(most > 0)) return;
    int exponent;
    frexpf(most, &exponent); /* most < 2^exponent */
    exponent -= 12;          /* log2(KERB_BINS) */
    if (exponent < -126) exponent = -126;
    if (!o->any) {
        o->exponent = exponent;
        o->any = true;
    }
    while (o->exponent < exponent) kerb_observe_double(o);
}

/* ---- values */

/* A line of values along the innermost axis. */
typedef struct KerbLine {
    const float *at;
    int64_t n, stride;
} KerbLine;

typedef void (*KerbLineFn)(KerbObservation *o, KerbLine line, int64_t channel, bool along);

/* Calls fn for every line along the axis with the smallest stride. channel: of the line, or of its first value where the line runs `along` the channels. */
static void kerb_observe_walk(KerbObservation *o, const KerbTensor *t, int axis, KerbLineFn fn)
{
    int64_t at[KERB_MAX_RANK] = { 0 }, offset = 0;
    int inner = t->rank - 1;
    if (kerb_tensor_elements(t) == 0 || t->rank < 1) return;
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] > 1 && (t->dims[inner] == 1 || t->strides[i] < t->strides[inner])) inner = i;
    for (;;) {
        fn(o, (KerbLine){ (const float *)t->data + offset, t->dims[inner], t->strides[inner] }, axis >= 0 && axis != inner ? at[axis] : 0, axis == inner);
        int i = t->rank - 1;
        for (; i >= 0; i--) {
            if (i == inner) continue;
            offset += t->strides[i];
            if (++at[i] < t->dims[i]) break;
            offset -= t->dims[i] * t->strides[i];
            at[i] = 0;
        }
        if (i < 0) return;
    }
}

static void kerb_line_extremes(KerbObservation *o, KerbLine line, int64_t channel, bool along)
{
    float lowest = o->min, highest = o->max;
    uint64_t strange = 0;
    for (int64_t i = 0; i < line.n; i++) {
        float v = line.at[i * line.stride];
        bool finite = fabsf(v) <= 3.4028234e38f;
        strange += !finite;
        lowest = finite && v < lowest ? v : lowest;
        highest = finite && v > highest ? v : highest;
    }
    o->min = lowest;
    o->max = highest;
    o->not_finite += strange;
}

static void kerb_line_count(KerbObservation *o, KerbLine line, int64_t channel, bool along)
{
    const float per_width = ldexpf(1, -o->exponent);
    double sum = 0;
    for (int64_t i = 0; i < line.n; i++) {
        float v = line.at[i * line.stride];
        if (!(fabsf(v) <= 3.4028234e38f)) continue;
        if (v == 0) o->zeros++;
        else o->bins[v > 0 ? KERB_BINS + (int)(v * per_width) : KERB_BINS - 1 - (int)(-v * per_width)]++;
        if (o->n_channels && along) o->sums[i] += (double)v;
        else sum += (double)v;
    }
    if (o->n_channels && !along) o->sums[channel] += sum;
}

void kerb_observe(KerbObservation *o, const KerbTensor *t, int axis)
{
    kerb_observe_walk(o, t, axis, kerb_line_extremes);
    kerb_observe_reach(o, fmaxf(fabsf(o->min), fabsf(o->max)));
    kerb_observe_walk(o, t, axis, kerb_line_count);
    if (o->n_channels) o->per_channel += kerb_tensor_elements(t) / o->n_channels;
}

void kerb_observe_merge(KerbObservation *o, const KerbObservation *from)
{
    KerbObservation part = *from;
    if (part.any && !o->any) o->exponent = part.exponent, o->any = true;
    while (o->any && part.any && o->exponent < part.exponent) kerb_observe_double(o);
    while (o->any && part.any && part.exponent < o->exponent) kerb_observe_double(&part);
    for (int b = 0; b < 2 * KERB_BINS; b++) o->bins[b] += part.bins[b];
    o->zeros += part.zeros;
    o->not_finite += part.not_finite;
    o->min = fminf(o->min, part.min);
    o->max = fmaxf(o->max, part.max);
}

/* ---- ranges: all within -limit..limit, as far as there are values; methods differ in the limit */

typedef struct KerbSpread {
    const KerbObservation *o;
    double width, total;      /* of a bin; all values, zeros too */
    double least, most;       /* values seen, least <= 0 <= most */
    double size[KERB_BINS];   /* values of b..b+1 widths, above or below zero */
    int used;                 /* bins up to the greatest value */
    bool is_signed;
} KerbSpread;

static double kerb_spread_far(const KerbSpread *s) { return fmax(-s->least, s->most); }

/* The grid of a limit. */
static KerbScale kerb_spread_grid(const KerbSpread *s, double limit)
{
    if (s->is_signed) return (KerbScale){ .scale = (float)(limit / 127), .is_signed = true };
    double low = fmax(s->least, -limit), high = fmin(s->most, limit), step = (high - low) / 255;
    return (KerbScale){ .scale = (float)step, .zero = step > 0 ? (int)nearbyint(-low / step) : 0 };
}

static double kerb_spread_percentile(const KerbSpread *s, double percentile)
{
    double inside = (double)s->o->zeros, wanted = s->total * percentile / 100;
    for (int b = 0; b < s->used; b++) {
        inside += s->size[b];
        if (inside >= wanted) return fmin((b + 1) * s->width, kerb_spread_far(s));
    }
    return kerb_spread_far(s);
}

/* Square error of a grid, values taken at the middle of their bin, over which they spread. */
static double kerb_spread_error(const KerbSpread *s, KerbScale grid)
{
    double step = (double)grid.scale, low = grid.is_signed ? -127 : -grid.zero, high = grid.is_signed ? 127 : 255 - grid.zero, sum = 0;
    for (int b = -s->used; b < s->used; b++) {
        double count = (double)s->o->bins[KERB_BINS + b];
        if (count == 0) continue;
        double x = (b + 0.5) * s->width, q = fmax(low, fmin(high, nearbyint(x / step))) * step;
        double spread = x < low * step || x > high * step ? s->width : fmin(s->width, step);
        sum += count * ((x - q) * (x - q) + spread * spread / 12);
    }
    return sum;
}

/* Limits from a tenth of the greatest value on, in steps of 1 %; the largest of equal ones. */
static double kerb_spread_mse(const KerbSpread *s)
{
    double far = kerb_spread_far(s), best = far, least = kerb_spread_error(s, kerb_spread_grid(s, far));
    for (int percent = 99; percent >= 10; percent--) {
        double limit = far * percent / 100, error = kerb_spread_error(s, kerb_spread_grid(s, limit));
        if (error < least) least = error, best = limit;
    }
    return best;
}

/* Divergence of the distribution up to `bins` (what is outside falls into the last) from the same spread over the integers' levels: Migacz, "8-bit inference with
 * TensorRT", GTC 2017. */
static double kerb_spread_divergence(const KerbSpread *s, int levels, int bins)
{
    double outside = 0, inside = 0, divergence = 0, kept = 0;
    for (int b = 0; b < s->used; b++) *(b < bins ? &inside : &outside) += s->size[b];
    if (inside == 0) return INFINITY;
    kept = inside + outside;
    for (int level = 0; level < levels; level++) {
        int begin = (int)((int64_t)level * bins / levels), end = (int)((int64_t)(level + 1) * bins / levels), full = 0;
        double sum = 0;
        for (int b = begin; b < end; b++) sum += s->size[b], full += s->size[b] > 0;
        for (int b = begin; b < end; b++) {
            double p = (s->size[b] + (b == bins - 1 ? outside : 0)) / kept, q = s->size[b] > 0 ? sum / full / inside : 0;
            if (p > 0) divergence += p * log(p / fmax(q, 1e-12));
        }
    }
    return divergence;
}

static double kerb_spread_kl(const KerbSpread *s)
{
    double least = INFINITY, best = kerb_spread_far(s);
    int levels = s->is_signed || s->least < 0 ? 127 : 255;
    if (s->used <= levels) return best;
    for (int i = 0; i <= 128; i++) {
        int bins = levels + (int)((int64_t)(s->used - levels) * i / 128);
        double divergence = kerb_spread_divergence(s, levels, bins);
        if (divergence <= least) least = divergence, best = fmin(bins * s->width, kerb_spread_far(s));
    }
    return best;
}

KerbScale kerb_observe_scale(const KerbObservation *o, KerbRangeMethod method, double percentile, bool is_signed, double *clipped)
{
    KerbSpread s = { .o = o, .width = ldexp(1, o->exponent), .total = (double)o->zeros, .least = (double)o->min, .most = (double)o->max, .is_signed = is_signed };
    const KerbScale ones = { .scale = 1, .is_signed = is_signed };
    for (int b = 0; b < KERB_BINS; b++) {
        s.size[b] = (double)o->bins[KERB_BINS + b] + (double)o->bins[KERB_BINS - 1 - b];
        s.total += s.size[b];
        if (s.size[b] > 0) s.used = b + 1;
    }
    *clipped = 0;
    if (!o->any || !(kerb_spread_far(&s) > 0)) return ones;
    double limit = method == KERB_RANGE_PERCENTILE ? kerb_spread_percentile(&s, percentile) : method == KERB_RANGE_KL ? kerb_spread_kl(&s)
                 : method == KERB_RANGE_MSE ? kerb_spread_mse(&s) : kerb_spread_far(&s);
    KerbScale grid = kerb_spread_grid(&s, limit);
    if (!(grid.scale >= 1.1754944e-38f)) return ones; /* below the normal floats: as good as zeros */
    for (int b = 0; b < s.used; b++)
        if ((b + 0.5) * s.width > limit + 0.5 * (double)grid.scale) *clipped += s.size[b] / s.total;
    return grid;
}
