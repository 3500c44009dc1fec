/* SPDX-License-Identifier: MIT */
/* GridSample over one to three spatial axes: each output pixel names a place in x, in -1..1 along each axis, and is interpolated there.
 * Source of the rules for what lies outside: the operator's documentation and ONNX's reference implementation (PyTorch's, in turn). */
#include "net/ref/ref_ops.h"

#include <math.h>

typedef struct GridAxis {
    int64_t size, stride;
    double low, high; /* the borders that coordinates are mirrored at */
    int64_t first;    /* of the samples at the present place */
    double weight[4];
} GridAxis;

typedef struct Grid {
    GridAxis axes[KERB_MAX_SPATIAL];
    int n, taps; /* spatial axes; samples along each */
    KerbResizeMode mode;
    KerbGridPadding padding;
    bool align_corners;
} Grid;

/* Mirrors at the borders until it lies between them. */
static double reflect(const GridAxis *a, double x)
{
    double range = a->high - a->low;
    if (range <= 0) return a->low;
    double r = fmod(fabs(x - a->low), 2 * range);
    return a->low + (r <= range ? r : 2 * range - r);
}

/* Which sample stands for index i: -1 for a zero. */
static int64_t padded(const Grid *g, const GridAxis *a, int64_t i)
{
    if (i >= 0 && i < a->size) return i;
    if (g->padding == KERB_GRID_ZEROS) return -1;
    if (g->padding == KERB_GRID_REFLECTION) i = (int64_t)reflect(a, (double)i);
    return i < 0 ? 0 : i >= a->size ? a->size - 1 : i;
}

static void place(const Grid *g, GridAxis *a, double at)
{
    double size = (double)a->size;
    double x = g->align_corners ? (at + 1) / 2 * (size - 1) : ((at + 1) * size - 1) / 2;
    if (g->mode == KERB_RESIZE_NEAREST) x = rint(x);
    if (x < a->low || x > a->high) {
        if (g->padding == KERB_GRID_BORDER) x = x < 0 ? 0 : size - 1;
        if (g->padding == KERB_GRID_REFLECTION) x = reflect(a, x);
    }
    if (!(x >= -4)) x = -4; /* NaN too; so far outside there are only zeros */
    if (x > size + 4) x = size + 4;
    double whole = floor(x), fraction = x - whole;
    a->first = (int64_t)whole - (g->mode == KERB_RESIZE_CUBIC);
    for (int k = 0; k < g->taps; k++) {
        double distance = fraction - k + (g->mode == KERB_RESIZE_CUBIC);
        a->weight[k] = g->mode == KERB_RESIZE_LINEAR ? 1 - fabs(distance) : 1;
        if (g->mode == KERB_RESIZE_CUBIC) a->weight[k] = kerb_ref_cubic(distance, -0.75);
    }
}

/* Sum over the samples of the `n` axes from `a` on. */
static double sample(const KerbTensor *x, const Grid *g, const GridAxis *a, int n, int64_t offset)
{
    if (n == 0) return kerb_ref_load(x, offset);
    double sum = 0;
    for (int k = 0; k < g->taps; k++) {
        int64_t at = padded(g, a, a->first + k);
        if (at >= 0 && a->weight[k] != 0) sum += a->weight[k] * sample(x, g, a + 1, n - 1, offset + at * a->stride);
    }
    return sum;
}

KerbStatus kerb_ref_grid_sample(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *grid = &c->in[1], *y = &c->out[0];
    Grid g = { .n = x->rank - 2, .mode = c->n->attrs.grid.mode, .padding = c->n->attrs.grid.padding };
    g.align_corners = c->n->attrs.grid.align_corners;
    g.taps = g.mode == KERB_RESIZE_CUBIC ? 4 : g.mode == KERB_RESIZE_LINEAR ? 2 : 1;
    if (g.n < 1 || g.n > KERB_MAX_SPATIAL || grid->rank != x->rank || y->rank != x->rank || grid->dims[x->rank - 1] != g.n ||
        grid->dims[0] != x->dims[0])
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the grid does not fit the input");
    for (int i = 0; i < g.n; i++) {
        double size = (double)x->dims[2 + i];
        if (x->dims[2 + i] == 0 && kerb_tensor_elements(y)) return kerb_ref_fail(c, KERB_ERROR_ASSET, "there is nothing to sample");
        double margin = g.align_corners ? 0 : 0.5;
        g.axes[i] = (GridAxis){ .size = x->dims[2 + i], .stride = x->strides[2 + i], .low = -margin, .high = size - 1 + margin };
    }
    /* Places: the grid without its last axis; pixels: y without its channels. */
    KerbTensor coordinates, places, channels, pixels;
    kerb_ref_split_axes(grid, 1u << (grid->rank - 1), &coordinates, &places);
    kerb_ref_split_axes(y, 1u << 1, &channels, &pixels);
    /* x's batch at each pixel: */
    KerbTensor batches = { .data = x->data, .dtype = x->dtype, .rank = pixels.rank, .strides = { x->strides[0] } };
    for (int i = 0; i < pixels.rank; i++) batches.dims[i] = pixels.dims[i];
    KerbRefWalk w;
    for (kerb_ref_walk(&w, pixels.rank, pixels.dims, 3, (const KerbTensor *const[]){ &pixels, &places, &batches }); !w.done;
         kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            int64_t from = w.offset[2] + i * w.step[2];
            for (int k = 0; k < g.n; k++) /* the innermost axis comes first */
                place(&g, &g.axes[k], kerb_ref_load(grid, w.offset[1] + i * w.step[1] + (g.n - 1 - k) * coordinates.strides[0]));
            for (int64_t k = 0; k < y->dims[1]; k++)
                kerb_ref_store(y, w.offset[0] + i * w.step[0] + k * y->strides[1], sample(x, &g, g.axes, g.n, from + k * x->strides[1]));
        }
    }
    return KERB_OK;
}
