/* SPDX-License-Identifier: MIT */
/* Tables for the resize kernel: for every output coordinate of an axis the input samples ("taps") and their weights, in double and then
 * rounded to float. All modes of ONNX opset 19, region of interest, antialiasing, and the zero border of FCN's transposed convolutions.
 * Source of the formulas: the operator's documentation and ONNX's reference implementation; held against net/ref by tests. */
#include "cuda/net/kernels.h"

#include <math.h>

#define KERB_MOST_TAPS 1024 /* antialiasing over more than that many samples is no picture's */

/* One axis, and the taps of the output coordinate that it was placed at. */
typedef struct KerbResizeAxis {
    const KerbResizeAttrs *attrs;
    int64_t in, out;
    double scale, length; /* length: of the output before it is rounded down, as ONNX counts it */
    double roi_start, roi_end;
    bool same, extrapolated;
    int64_t first, taps;
    double x, sharpness, sum;
} KerbResizeAxis;

static bool kerb_resize_axis(KerbResizeAxis *a, const KerbResizeAttrs *attrs, int axis, int64_t in, int64_t out, double roi_start,
                             double roi_end)
{
    double scale = attrs->scale[axis];
    if (!(scale > 0)) scale = in ? (double)out / (double)in : 1;
    *a = (KerbResizeAxis){
        .attrs = attrs, .in = in, .out = out, .scale = scale, .length = scale * (double)in, .roi_start = roi_start, .roi_end = roi_end};
    a->same = in == out && scale == 1 && roi_start == 0 && roi_end == 1;
    return in > 0 && in <= INT32_MAX && out > 0 && out <= INT32_MAX && scale >= 1e-9 && scale <= 1e9;
}

/* Output coordinate -> input coordinate. */
static double kerb_resize_coordinate(const KerbResizeAxis *a, double x)
{
    switch (a->attrs->coordinates) {
    case KERB_COORD_HALF_PIXEL: return (x + 0.5) / a->scale - 0.5;
    case KERB_COORD_HALF_PIXEL_SYMMETRIC: {
        double adjustment = (double)a->out / a->length, centre = (double)a->in / 2;
        return centre * (1 - adjustment) + (x + 0.5) / a->scale - 0.5;
    }
    case KERB_COORD_PYTORCH_HALF_PIXEL: return a->out > 1 ? (x + 0.5) / a->scale - 0.5 : 0;
    case KERB_COORD_ALIGN_CORNERS: return a->out == 1 || a->length == 1 ? 0 : x * (double)(a->in - 1) / (a->length - 1);
    case KERB_COORD_ASYMMETRIC: return x / a->scale;
    case KERB_COORD_TF_CROP_AND_RESIZE: {
        double last = (double)(a->in - 1), span = a->roi_end - a->roi_start;
        return a->roi_start * last + (a->length > 1 ? x * span * last / (a->length - 1) : span * last / 2);
    }
    }
    return x;
}

static int64_t kerb_resize_nearest(KerbNearest mode, double x)
{
    switch (mode) {
    case KERB_NEAREST_ROUND_PREFER_FLOOR: return (int64_t)ceil(x - 0.5);
    case KERB_NEAREST_ROUND_PREFER_CEIL: return (int64_t)floor(x + 0.5);
    case KERB_NEAREST_FLOOR: return (int64_t)floor(x);
    case KERB_NEAREST_CEIL: return (int64_t)ceil(x);
    }
    return 0;
}

/* Keys' cubic convolution kernel; `a` is ONNX's cubic_coeff_a. */
static double kerb_resize_cubic(double x, double a)
{
    x = fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static bool kerb_resize_outside(const KerbResizeAxis *a, int64_t k) { return a->first + k < 0 || a->first + k >= a->in; }

/* Weight of tap k, not normalised. */
static double kerb_resize_filter(const KerbResizeAxis *a, int64_t k)
{
    double distance = ((double)(a->first + k) - a->x) * a->sharpness;
    if (a->attrs->exclude_outside && kerb_resize_outside(a, k)) return 0;
    if (a->attrs->mode == KERB_RESIZE_CUBIC) return kerb_resize_cubic(distance, (double)a->attrs->cubic_a);
    return fabs(distance) < 1 ? 1 - fabs(distance) : 0;
}

static void kerb_resize_place(KerbResizeAxis *a, int64_t output)
{
    double x = kerb_resize_coordinate(a, (double)output), last = (double)(a->in - 1);
    a->sum = 1;
    a->taps = 1;
    a->first = output;
    if (a->same) return;
    a->extrapolated = a->attrs->coordinates == KERB_COORD_TF_CROP_AND_RESIZE && !(x >= 0 && x <= last);
    if (a->extrapolated) return;
    double margin = 4 + 2 / fmin(a->scale, 1); /* far outside all taps show the edge */
    x = x >= -margin ? fmin(x, last + margin) : -margin;
    if (a->attrs->mode == KERB_RESIZE_NEAREST) {
        a->first = kerb_resize_nearest(a->attrs->nearest, x);
        return;
    }
    a->x = x;
    a->sharpness = a->attrs->antialias ? fmin(a->scale, 1) : 1;
    double support = (a->attrs->mode == KERB_RESIZE_CUBIC ? 2 : 1) / a->sharpness;
    a->first = (int64_t)floor(x - support) + 1;
    a->taps = (int64_t)ceil(x + support) - a->first;
    if (!a->attrs->antialias && !a->attrs->exclude_outside) return; /* they sum to one by themselves */
    double sum = 0;
    for (int64_t k = 0; k < a->taps; k++) sum += kerb_resize_filter(a, k);
    if (sum != 0) a->sum = sum;
}

static double kerb_resize_weight(const KerbResizeAxis *a, int64_t k)
{
    if (a->same) return 1;
    if (kerb_resize_outside(a, k) && (a->attrs->zero_border || a->attrs->exclude_outside)) return 0;
    return a->attrs->mode == KERB_RESIZE_NEAREST ? 1 : kerb_resize_filter(a, k) / a->sum;
}

int kerb_resize_taps(const KerbResizeAttrs *attrs, int axis, int64_t in, int64_t out, double roi_start, double roi_end)
{
    KerbResizeAxis a;
    if (!kerb_resize_axis(&a, attrs, axis, in, out, roi_start, roi_end)) return 0;
    if (a.same || attrs->mode == KERB_RESIZE_NEAREST) return 1;
    double support = (attrs->mode == KERB_RESIZE_CUBIC ? 2 : 1) / (attrs->antialias ? fmin(a.scale, 1) : 1);
    double taps = 2 * ceil(support); /* at most this many integers lie nearer than `support` on either side */
    return taps <= KERB_MOST_TAPS ? (int)taps : 0;
}

void kerb_resize_table(const KerbResizeAttrs *attrs, int axis, int64_t in, int64_t out, double roi_start, double roi_end,
                       KerbResizeTap *table)
{
    int taps = kerb_resize_taps(attrs, axis, in, out, roi_start, roi_end);
    KerbResizeAxis a;
    if (!taps || !kerb_resize_axis(&a, attrs, axis, in, out, roi_start, roi_end)) return;
    for (int64_t o = 0; o < out; o++) {
        kerb_resize_place(&a, o);
        for (int64_t k = 0; k < taps; k++, table++) {
            int64_t at = a.first + k;
            table->index = (int32_t)(a.extrapolated ? -1 : at < 0 ? 0 : at >= in ? in - 1 : at);
            table->weight = a.extrapolated || k >= a.taps ? 0 : (float)kerb_resize_weight(&a, k);
        }
    }
}
