/* SPDX-License-Identifier: MIT */
/* What a tensor's values looked like over all frames: a histogram whose bins double in width as it must grow, and the mean of each channel; and the range that a
 * method makes of it. Inside calib only. */
#ifndef KERB_CALIB_OBSERVE_H
#define KERB_CALIB_OBSERVE_H

#include "base/tensor.h"
#include "calib/calibrate.h"

#define KERB_BINS 4096 /* on each side of zero */

/* Bins are 2^exponent wide: so histograms of several tensors can be added exactly. */
typedef struct KerbObservation {
    bool any;
    int exponent;
    float min, max;
    uint64_t zeros;            /* exactly 0: in no bin */
    uint64_t not_finite;
    uint64_t bins[2 * KERB_BINS]; /* bin b: values from (b - KERB_BINS) widths on; below zero likewise */
    int64_t n_channels;        /* 0: no means are kept */
    int64_t per_channel;       /* values behind each sum */
    double *sums;              /* by channel */
} KerbObservation;

/* Adds one frame's values. axis: that of the channels, if means are kept. */
void kerb_observe(KerbObservation *o, const KerbTensor *t, int axis);
/* Adds the histogram of `from` (not the means). */
void kerb_observe_merge(KerbObservation *o, const KerbObservation *from);

/* How reals become integers: value = scale * (integer - zero). int8 is symmetric (-127..127, zero point 0); uint8 has its zero point where zero lies in the range,
 * which is 0 for tensors that are never negative. */
typedef struct KerbScale {
    float scale;
    int zero;
    bool is_signed;
} KerbScale;

/* clipped: the share of values outside. A tensor of nothing but zeros has scale 1. */
KerbScale kerb_observe_scale(const KerbObservation *o, KerbRangeMethod method, double percentile, bool is_signed, double *clipped);

#endif
