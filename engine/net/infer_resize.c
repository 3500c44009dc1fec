/* SPDX-License-Identifier: MIT */
/* Resize: output size and the scale of every axis, from scales or sizes, for some or all axes, with the aspect policies. GridSample. */
#include <math.h>

#include "net/infer.h"

typedef struct KerbResizeCall {
    KerbResizeAttrs *attrs;
    const KerbValue *x;
    int n, axes[KERB_MAX_RANK]; /* the axes that roi, scales and sizes are for */
    float roi[2 * KERB_MAX_RANK];
    bool has_roi;
    int64_t dims[KERB_MAX_RANK];
} KerbResizeCall;

static KerbStatus resize_axes(KerbInfer *c, KerbResizeCall *r)
{
    unsigned seen = 0;
    r->n = r->attrs->n_axes ? r->attrs->n_axes : r->x->rank;
    if (r->n > r->x->rank) return kerb_infer_fail(c, "it names %d axes of %d", r->n, r->x->rank);
    for (int i = 0; i < r->n; i++) {
        r->axes[i] = i;
        KerbStatus status = r->attrs->n_axes ? kerb_infer_axis(c, r->attrs->axes[i], r->x->rank, &r->axes[i]) : KERB_OK;
        if (status != KERB_OK) return status;
        if (seen & 1u << r->axes[i]) return kerb_infer_fail(c, "axis %d is named twice", r->axes[i]);
        seen |= 1u << r->axes[i];
    }
    return KERB_OK;
}

static KerbStatus resize_by_scales(KerbInfer *c, KerbResizeCall *r, const float scales[])
{
    for (int i = 0; i < r->n; i++) {
        int axis = r->axes[i];
        if (!(scales[i] > 0) || isinf(scales[i])) return kerb_infer_fail(c, "the scale of axis %d is %g; it must be above 0", axis, (double)scales[i]);
        /* In float, as ONNX Runtime and onnx's own inference do: 0.7f * 10 is 7 there, and 6.99... in double. */
        float size = (float)r->x->dims[axis] * scales[i];
        if (r->has_roi) size = (float)r->x->dims[axis] * (r->roi[r->n + i] - r->roi[i]) * scales[i];
        if (!(size >= 0 && size < (float)KERB_INFER_MAX_ELEMENTS))
            return kerb_infer_fail(c, "axis %d would have %g elements", axis, (double)size);
        r->dims[axis] = (int64_t)floorf(size);
        r->attrs->scale[axis] = (double)scales[i];
    }
    return KERB_OK;
}

static KerbStatus resize_by_sizes(KerbInfer *c, KerbResizeCall *r, const int64_t sizes[])
{
    double common = 0;
    for (int i = 0; i < r->n; i++) {
        int64_t in = r->x->dims[r->axes[i]];
        if (sizes[i] < 0 || sizes[i] > KERB_INFER_MAX_ELEMENTS || (in == 0 && sizes[i] != 0))
            return kerb_infer_fail(c, "axis %d cannot go from %lld to %lld elements", r->axes[i], (long long)in, (long long)sizes[i]);
        double scale = in ? (double)sizes[i] / (double)in : 1;
        r->attrs->scale[r->axes[i]] = scale;
        r->dims[r->axes[i]] = sizes[i];
        if (i == 0 || (r->attrs->aspect == KERB_ASPECT_NOT_LARGER ? scale < common : scale > common)) common = scale;
    }
    for (int i = 0; i < r->n && r->attrs->aspect != KERB_ASPECT_STRETCH; i++) {
        double size = floor(common * (double)r->x->dims[r->axes[i]] + 0.5); /* half up, as ONNX says */
        if (!(size < (double)KERB_INFER_MAX_ELEMENTS)) return kerb_infer_fail(c, "axis %d would have %g elements", r->axes[i], size);
        r->dims[r->axes[i]] = (int64_t)size;
        r->attrs->scale[r->axes[i]] = common;
    }
    return KERB_OK;
}

static KerbStatus resize_floats(KerbInfer *c, int input, const char *what, int n, float out[], bool *present)
{
    const KerbValue *v = kerb_infer_in(c, input);
    *present = v && !(v->rank == 1 && v->dims[0] == 0); /* opset 11 writes an empty tensor for "not given" */
    if (!*present) return KERB_OK;
    if (!kerb_value_is_constant(v))
        return kerb_infer_unsupported(c, "its %s ('%s') are computed from the picture; export the model with fixed ones", what, v->name);
    if (!kerb_dtype_is_float(v->dtype) || kerb_value_floats(v, out, n) != n)
        return kerb_infer_fail(c, "its %s ('%s') are not %d floating-point numbers", what, v->name, n);
    return KERB_OK;
}

KerbStatus kerb_infer_resize(KerbInfer *c)
{
    KerbResizeCall r = { .attrs = &c->n->attrs.resize, .x = kerb_infer_in(c, 0) };
    float scales[KERB_MAX_RANK];
    int64_t sizes[KERB_MAX_RANK];
    bool has_scales = false;
    int n_sizes = 0;
    for (int i = 0; i < r.x->rank; i++) {
        r.dims[i] = r.x->dims[i];
        r.attrs->scale[i] = 1;
    }
    KerbStatus status = resize_axes(c, &r);
    if (status == KERB_OK && r.attrs->coordinates == KERB_COORD_TF_CROP_AND_RESIZE)
        status = resize_floats(c, 1, "region", 2 * r.n, r.roi, &r.has_roi);
    if (status == KERB_OK) status = kerb_infer_integers(c, 3, "sizes", sizes, KERB_MAX_RANK, &n_sizes);
    if (status == KERB_OK && !n_sizes) status = resize_floats(c, 2, "scales", r.n, scales, &has_scales);
    if (status != KERB_OK) return status;
    if (n_sizes && n_sizes != r.n) return kerb_infer_fail(c, "it has %d sizes for %d axes", n_sizes, r.n);
    if (!n_sizes && !has_scales && r.n) return kerb_infer_fail(c, "it has neither scales nor sizes");
    status = n_sizes ? resize_by_sizes(c, &r, sizes) : resize_by_scales(c, &r, scales);
    return status == KERB_OK ? kerb_infer_set(c, 0, r.x->dtype, r.x->rank, r.dims) : status;
}

KerbStatus kerb_infer_grid_sample(KerbInfer *c)
{
    const KerbValue *x = kerb_infer_in(c, 0), *grid = kerb_infer_in(c, 1);
    int spatial = x->rank - 2;
    if (spatial < 1 || spatial > KERB_MAX_SPATIAL || grid->rank != x->rank || grid->dims[grid->rank - 1] != spatial || grid->dims[0] != x->dims[0])
        return kerb_infer_fail(c, "the grid must have as many axes as the input, the same batch, and a coordinate for each spatial axis (1 to %d)",
                               KERB_MAX_SPATIAL);
    int64_t dims[KERB_MAX_RANK] = { x->dims[0], x->dims[1] };
    for (int i = 0; i < spatial; i++) dims[2 + i] = grid->dims[1 + i];
    return kerb_infer_set(c, 0, x->dtype, x->rank, dims);
}
