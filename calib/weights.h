/* SPDX-License-Identifier: MIT */
/* A layer's weights and bias as integers. Inside calib only. */
#ifndef KERB_CALIB_WEIGHTS_H
#define KERB_CALIB_WEIGHTS_H

#include "calib/network.h"

typedef struct KerbIntWeights {
    int64_t elements;
    int8_t *values;      /* as the layer's weights */
    float *scales;       /* by channel (KerbEditLayer.channels) */
    int32_t *bias;       /* KerbEditLayer.n_bias; NULL: none */
    float *bias_scales;  /* by entry of the bias: x_scale * weight scale */
} KerbIntWeights;

/* means: of the channels of x, for bias correction; NULL: none. Memory from `arena`; false: there is none. */
bool kerb_weights_quantize(const KerbEditLayer *layer, const KerbCalibrateOptions *options, float x_scale, const double means[], KerbArena *arena,
                           KerbIntWeights *out);

#endif
