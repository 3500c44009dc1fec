/* SPDX-License-Identifier: MIT */
/* Weights: symmetric, one scale an output channel. Bias: int32 in the unit of the products (x_scale * w_scale), which is what integer convolutions add to.
 *
 * Bias correction (Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, with means that were measured): rounding the weights
 * adds sum((w - q) * E[x]) to the mean of a channel; the bias takes that up. Borders, where padding makes means smaller, are taken as the middle. */
#include "calib/weights.h"

#include <math.h>

static double kerb_weight_error(const KerbEditLayer *l, int64_t channel, int64_t elements, double scale, int most)
{
    double sum = 0;
    int64_t inner = 1, run;
    for (int i = l->axis + 1; i < l->rank; i++) inner *= l->dims[i];
    run = inner * l->channels;
    for (int64_t outer = 0; outer < elements / run; outer++) {
        for (int64_t i = 0; i < inner; i++) {
            double w = (double)l->weights[outer * run + channel * inner + i], q = fmax(-most, fmin(most, nearbyint(w / scale))) * scale;
            sum += (w - q) * (w - q);
        }
    }
    return sum;
}

/* From the greatest weight down to half of it. */
static double kerb_weight_scale_mse(const KerbEditLayer *l, int64_t channel, int64_t elements, double largest, int most)
{
    double best = largest / most, least = kerb_weight_error(l, channel, elements, best, most);
    for (int percent = 98; percent >= 50; percent -= 2) {
        double scale = largest * percent / 100 / most, error = kerb_weight_error(l, channel, elements, scale, most);
        if (error < least) least = error, best = scale;
    }
    return best;
}

static void kerb_weights_scales(const KerbEditLayer *l, const KerbCalibrateOptions *o, int64_t elements, int most, float scales[])
{
    for (int64_t c = 0; c < l->channels; c++) scales[c] = 0;
    for (int64_t i = 0; i < elements; i++) {
        int64_t c = kerb_layer_channel(l, i);
        scales[c] = fmaxf(scales[c], fabsf(l->weights[i]));
    }
    for (int64_t c = 0; c < l->channels; c++) {
        double largest = (double)scales[c];
        scales[c] = !(largest > 1e-30) ? 1.0f : (float)(o->method == KERB_RANGE_MSE ? kerb_weight_scale_mse(l, c, elements, largest, most) : largest / most);
    }
}

/* A bias far larger than all products needs a coarser unit to fit into 30 bits. */
static void kerb_weights_make_room(const KerbEditLayer *l, float x_scale, const double bias[], float scales[])
{
    for (int64_t b = 0; b < l->n_bias; b++) {
        double least = fabs(bias[b]) / ((double)(1 << 30) * (double)x_scale);
        float *scale = &scales[b % l->channels];
        if ((double)*scale < least) *scale = (float)(least * 1.0001);
    }
}

bool kerb_weights_quantize(const KerbEditLayer *l, const KerbCalibrateOptions *o, float x_scale, const double means[], KerbArena *arena, KerbIntWeights *out)
{
    const int most = o->reduce_range ? 63 : 127;
    *out = (KerbIntWeights){ 0 };
    kerb_dims_elements(l->rank, l->dims, 0, &out->elements);
    bool corrects = means && o->bias_correction && l->takes_bias, biased = l->bias || corrects;
    double *bias = kerb_arena_alloc(arena, (size_t)l->n_bias * sizeof *bias);
    out->values = kerb_arena_alloc(arena, (size_t)out->elements);
    out->scales = kerb_arena_alloc(arena, (size_t)l->channels * sizeof *out->scales);
    out->bias = biased ? kerb_arena_alloc(arena, (size_t)l->n_bias * sizeof *out->bias) : NULL;
    out->bias_scales = kerb_arena_alloc(arena, (size_t)l->n_bias * sizeof *out->bias_scales);
    if (!bias || !out->values || !out->scales || (biased && !out->bias) || !out->bias_scales) return false;
    for (int64_t b = 0; l->bias && b < l->n_bias; b++) bias[b] = (double)l->bias[b];
    kerb_weights_scales(l, o, out->elements, most, out->scales);
    kerb_weights_make_room(l, x_scale, bias, out->scales);
    for (int64_t i = 0; i < out->elements; i++) {
        double scale = (double)out->scales[kerb_layer_channel(l, i)], w = (double)l->weights[i];
        double q = fmax(-most, fmin(most, nearbyint(w / scale)));
        out->values[i] = (int8_t)q;
        if (corrects) bias[kerb_layer_bias(l, i)] += (w - q * scale) * means[kerb_layer_input(l, i)];
    }
    for (int64_t b = 0; b < l->n_bias; b++) {
        out->bias_scales[b] = x_scale * out->scales[b % l->channels];
        if (biased) out->bias[b] = (int32_t)fmax(-2147483647, fmin(2147483647, nearbyint(bias[b] / (double)out->bias_scales[b])));
    }
    return true;
}
