/* SPDX-License-Identifier: MIT */
/* Resize: every mode of ONNX opset 19, and the zero border of FCN's transposed convolutions. Along each axis an output coordinate is a
 * weighted sum of input samples ("taps"); the whole is the product over the axes. Source of the formulas: the operator's documentation
 * and ONNX's reference implementation. */
#include "net/ref/ref_ops.h"

#include <math.h>

#define KEPT_TAPS 4 /* antialiasing may have any number: beyond these the weights are computed when they are needed */

typedef struct Axis {
    int64_t in, out, stride; /* stride: of x */
    double scale, length;    /* length: of the output before it is rounded down, as ONNX counts it */
    double roi_start, roi_end;
    const KerbResizeAttrs *attrs;
    /* At the present output coordinate: */
    bool extrapolated;
    int64_t first;
    int64_t taps;
    double x, sharpness, sum; /* antialias: the filter's centre, its scale, the weights' sum */
    double weight[KEPT_TAPS];
} Axis;

/* Output coordinate -> input coordinate. */
static double input_coordinate(const Axis *a, double x)
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

static int64_t nearest(KerbNearest mode, double x)
{
    switch (mode) {
    case KERB_NEAREST_ROUND_PREFER_FLOOR: return (int64_t)ceil(x - 0.5);
    case KERB_NEAREST_ROUND_PREFER_CEIL: return (int64_t)floor(x + 0.5);
    case KERB_NEAREST_FLOOR: return (int64_t)floor(x);
    case KERB_NEAREST_CEIL: return (int64_t)ceil(x);
    }
    return 0;
}

double kerb_ref_cubic(double x, double a)
{
    x = fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Weight of the sample at first + k, not normalised. */
static double filter_weight(const Axis *a, int64_t k)
{
    double distance = ((double)(a->first + k) - a->x) * a->sharpness;
    if (a->attrs->mode == KERB_RESIZE_CUBIC) return kerb_ref_cubic(distance, (double)a->attrs->cubic_a);
    return fabs(distance) < 1 ? 1 - fabs(distance) : 0;
}

static bool outside(const Axis *a, int64_t k) { return a->first + k < 0 || a->first + k >= a->in; }

static void place_axis(Axis *a, int64_t output)
{
    double x = input_coordinate(a, (double)output), last = (double)(a->in - 1);
    a->extrapolated = a->attrs->coordinates == KERB_COORD_TF_CROP_AND_RESIZE && !(x >= 0 && x <= last);
    if (a->extrapolated) return;
    double margin = 4 + 2 / fmin(a->scale, 1); /* far outside all taps show the edge: keeps hostile scales inside int64 */
    x = x >= -margin ? fmin(x, last + margin) : -margin;
    if (a->attrs->mode == KERB_RESIZE_NEAREST) {
        a->first = nearest(a->attrs->nearest, x);
        a->taps = 1;
        a->weight[0] = 1;
        return;
    }
    bool is_cubic = a->attrs->mode == KERB_RESIZE_CUBIC;
    a->x = x;
    a->sharpness = a->attrs->antialias ? fmin(a->scale, 1) : 1;
    double support = (is_cubic ? 2 : 1) / a->sharpness;
    a->first = (int64_t)floor(x - support) + 1;
    a->taps = (int64_t)ceil(x + support) - a->first;
    double sum = 0;
    for (int64_t k = 0; k < a->taps; k++) {
        double w = a->attrs->exclude_outside && outside(a, k) ? 0 : filter_weight(a, k);
        if (k < KEPT_TAPS) a->weight[k] = w;
        sum += w;
    }
    bool normalised = !a->attrs->antialias && !a->attrs->exclude_outside; /* they sum to one by themselves */
    a->sum = normalised || sum == 0 ? 1 : sum;
    for (int k = 0; k < KEPT_TAPS && k < a->taps; k++) a->weight[k] /= a->sum;
}

static double tap_weight(const Axis *a, int64_t k)
{
    if (outside(a, k) && (a->attrs->zero_border || a->attrs->exclude_outside)) return 0;
    return k < KEPT_TAPS ? a->weight[k] : filter_weight(a, k) / a->sum;
}

/* Sum over the taps of axes[0..n-1], from x's element `offset` on. At most KERB_MAX_RANK deep. */
static double sample(const KerbTensor *x, const Axis axes[], int n, int64_t offset)
{
    if (n == 0) return kerb_ref_load(x, offset);
    double sum = 0;
    for (int64_t k = 0; k < axes->taps; k++) {
        double w = tap_weight(axes, k);
        if (w == 0) continue;
        int64_t at = axes->first + k;
        at = at < 0 ? 0 : at >= axes->in ? axes->in - 1 : at;
        sum += w * sample(x, axes + 1, n - 1, offset + at * axes->stride);
    }
    return sum;
}

/* The region of interest of an axis: 0..1 unless the input says otherwise. */
static KerbStatus read_roi(const KerbRefCall *c, int rank, double start[], double end[])
{
    const KerbResizeAttrs *attrs = &c->n->attrs.resize;
    const KerbTensor *roi = kerb_ref_input(c, 1);
    for (int i = 0; i < rank; i++) start[i] = 0, end[i] = 1;
    if (!roi || attrs->coordinates != KERB_COORD_TF_CROP_AND_RESIZE || kerb_tensor_elements(roi) == 0) return KERB_OK;
    int n = attrs->n_axes ? attrs->n_axes : rank;
    if (roi->rank != 1 || roi->dims[0] != 2 * n) return kerb_ref_fail(c, KERB_ERROR_ASSET, "roi does not have %d elements", 2 * n);
    for (int i = 0; i < n; i++) {
        int axis;
        if (!kerb_ref_axis(c, attrs->n_axes ? attrs->axes[i] : i, rank, &axis)) return KERB_ERROR_ASSET;
        start[axis] = kerb_ref_load(roi, i * roi->strides[0]);
        end[axis] = kerb_ref_load(roi, (n + i) * roi->strides[0]);
    }
    return KERB_OK;
}

typedef struct Plan {
    Axis axes[KERB_MAX_RANK]; /* those that are resampled */
    int axis_of[KERB_MAX_RANK], n;
    bool resampled[KERB_MAX_RANK];
} Plan;

static KerbStatus make_plan(const KerbRefCall *c, Plan *p)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    const KerbResizeAttrs *attrs = &c->n->attrs.resize;
    double start[KERB_MAX_RANK], end[KERB_MAX_RANK];
    if (x->rank != y->rank) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the output has %d axes", y->rank);
    KerbStatus status = read_roi(c, x->rank, start, end);
    if (status != KERB_OK) return status;
    for (int i = 0; i < x->rank; i++) {
        double scale = attrs->scale[i];
        if (!(scale > 0)) scale = x->dims[i] ? (double)y->dims[i] / (double)x->dims[i] : 1;
        if (x->dims[i] == y->dims[i] && scale == 1 && start[i] == 0 && end[i] == 1) continue;
        if (x->dims[i] == 0 && kerb_tensor_elements(y)) return kerb_ref_fail(c, KERB_ERROR_ASSET, "axis %d is empty", i);
        if (!(scale >= 1e-9 && scale <= 1e9)) return kerb_ref_fail(c, KERB_ERROR_ASSET, "a scale of %g", scale);
        p->resampled[i] = true;
        p->axis_of[p->n] = i;
        p->axes[p->n++] = (Axis){ .in = x->dims[i],
                                 .out = y->dims[i],
                                 .stride = x->strides[i],
                                 .scale = scale,
                                 .length = scale * (double)x->dims[i],
                                 .roi_start = start[i],
                                 .roi_end = end[i],
                                 .attrs = attrs};
    }
    return KERB_OK;
}

KerbStatus kerb_ref_resize(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    const KerbResizeAttrs *attrs = &c->n->attrs.resize;
    Plan p = { 0 };
    KerbStatus status = make_plan(c, &p);
    if (status != KERB_OK) return status;
    int64_t n = kerb_tensor_elements(y), at[KERB_MAX_RANK] = { 0 };
    for (int i = 0; i < p.n && n; i++) place_axis(&p.axes[i], 0);
    for (int64_t k = 0; k < n; k++) {
        int64_t from = 0, to = 0;
        bool extrapolated = false;
        for (int i = 0; i < x->rank; i++) {
            to += at[i] * y->strides[i];
            if (!p.resampled[i]) from += at[i] * x->strides[i];
        }
        for (int i = 0; i < p.n; i++) extrapolated |= p.axes[i].extrapolated;
        double v = extrapolated ? (double)attrs->extrapolation : sample(x, p.axes, p.n, from);
        kerb_ref_store(y, to, kerb_ref_is_integer(y) ? rint(v) : v);
        int changed = x->rank - 1; /* the outermost axis that moves */
        while (changed >= 0 && ++at[changed] == y->dims[changed]) at[changed--] = 0;
        for (int i = 0; i < p.n; i++)
            if (p.axis_of[i] >= changed) place_axis(&p.axes[i], at[p.axis_of[i]]);
    }
    return KERB_OK;
}
