/* SPDX-License-Identifier: MIT */
/* MaxPool (with indices), AveragePool, MaxUnpool over one to three spatial axes. ceil_mode is a matter of the output's shape: windows that
 * hang over the end see what is there. */
#include "net/ref/ref_ops.h"

#include <math.h>

/* One output element's window: input coordinates start + k * dilation. window_next() goes over those that lie in the input. */
typedef struct Window {
    const KerbRefWindow *k;
    const KerbTensor *x; /* five axes */
    int64_t base;        /* offset of (n, c, 0, 0, 0) */
    int64_t start[3];
    int64_t element; /* of the kernel, to be looked at next */
    int64_t at[3];   /* the input's coordinates */
    double value;
} Window;

static bool window_next(Window *w)
{
    const int64_t *kernel = w->k->kernel;
    while (w->element < kernel[0] * kernel[1] * kernel[2]) {
        int64_t rest = w->element++, offset = w->base;
        bool inside = true;
        for (int i = 2; i >= 0; i--) {
            w->at[i] = w->start[i] + rest % kernel[i] * w->k->dilation[i];
            rest /= kernel[i];
            inside = inside && w->at[i] >= 0 && w->at[i] < w->x->dims[2 + i];
            offset += w->at[i] * w->x->strides[2 + i];
        }
        if (!inside) continue;
        w->value = kerb_ref_load(w->x, offset);
        return true;
    }
    return false;
}

typedef struct Maximum {
    double value;
    int64_t at[3]; /* -1: the window shows nothing */
} Maximum;

static Maximum window_max(Window *w)
{
    Maximum best = { .value = -INFINITY, .at = { -1, -1, -1 } };
    while (window_next(w))
        if (best.at[0] < 0 || w->value > best.value || isnan(w->value)) best = (Maximum){ w->value, { w->at[0], w->at[1], w->at[2] } };
    return best;
}

static double window_mean(Window *w, bool count_include_pad)
{
    double sum = 0;
    int64_t seen = 0, padded = 1;
    for (int i = 0; i < 3; i++) { /* kernel elements that lie in the padded input (past it where ceil_mode rounds up) */
        int64_t inside = 0;
        for (int64_t j = 0; j < w->k->kernel[i]; j++) inside += w->start[i] + j * w->k->dilation[i] < w->x->dims[2 + i] + w->k->pad_end[i];
        padded *= inside;
    }
    for (; window_next(w); seen++) sum += w->value;
    int64_t count = count_include_pad ? padded : seen;
    return count ? sum / (double)count : 0;
}

/* ONNX's flat index of an input element: over all of x, the spatial axes in row-major or (storage_order 1) column-major order. */
static int64_t flat_index(const KerbTensor *x, int64_t batch, int64_t channel, const int64_t at[3], bool column_major)
{
    const int64_t *d = x->dims + 2;
    int64_t spatial = column_major ? at[0] + d[0] * (at[1] + d[1] * at[2]) : (at[0] * d[1] + at[1]) * d[2] + at[2];
    return (batch * x->dims[1] + channel) * d[0] * d[1] * d[2] + spatial;
}

typedef struct Pool {
    KerbRefWindow window;
    KerbTensor x, y, indices; /* five axes; indices.dtype NONE: not wanted */
    bool is_max, count_include_pad, column_major;
} Pool;

static void pool_pixel(const Pool *p, const int64_t at[5])
{
    Window w = { .k = &p->window, .x = &p->x, .base = at[0] * p->x.strides[0] + at[1] * p->x.strides[1] };
    int64_t to = 0, index_to = 0;
    for (int i = 0; i < 3; i++) w.start[i] = at[2 + i] * p->window.stride[i] - p->window.pad_begin[i];
    for (int i = 0; i < 5; i++) {
        to += at[i] * p->y.strides[i];
        index_to += at[i] * p->indices.strides[i];
    }
    if (!p->is_max) {
        kerb_ref_store(&p->y, to, window_mean(&w, p->count_include_pad));
        return;
    }
    Maximum m = window_max(&w);
    kerb_ref_store(&p->y, to, m.value);
    if (p->indices.dtype != KERB_DTYPE_NONE)
        kerb_ref_store_i64(&p->indices, index_to, m.at[0] < 0 ? 0 : flat_index(&p->x, at[0], at[1], m.at, p->column_major));
}

static KerbStatus pool(const KerbRefCall *c, bool is_max)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0], *indices = is_max ? kerb_ref_output(c, 1) : NULL;
    const KerbPoolAttrs *attrs = &c->n->attrs.pool;
    Pool p = { .is_max = is_max, .count_include_pad = attrs->count_include_pad, .column_major = attrs->column_major };
    if (x->rank > 5 || y->rank != x->rank || (indices && indices->rank != x->rank))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "%d axes; 3 to 5 can be", x->rank);
    if (!kerb_ref_window(c, &attrs->window, x->rank - 2, NULL, &p.window)) return KERB_ERROR_ASSET;
    p.x = kerb_ref_5d(x);
    p.y = kerb_ref_5d(y);
    if (indices) p.indices = kerb_ref_5d(indices);
    int64_t n = kerb_tensor_elements(y), at[5] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        pool_pixel(&p, at);
        for (int axis = 4; axis >= 0 && ++at[axis] == p.y.dims[axis]; axis--) at[axis] = 0;
    }
    return KERB_OK;
}

KerbStatus kerb_ref_max_pool(const KerbRefCall *c) { return pool(c, true); }
KerbStatus kerb_ref_average_pool(const KerbRefCall *c) { return pool(c, false); }

/* Indices count over the output's shape as the window implies it; a larger output shape that is given leaves zeros right and below. */
KerbStatus kerb_ref_max_unpool(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *indices = &c->in[1], *y = &c->out[0];
    if (x->rank > 5 || y->rank != x->rank || !kerb_tensor_same_shape(x, indices))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the shapes do not fit");
    KerbRefWindow k;
    if (!kerb_ref_window(c, &c->n->attrs.pool.window, x->rank - 2, NULL, &k)) return KERB_ERROR_ASSET;
    KerbTensor from = kerb_ref_5d(x), to = kerb_ref_5d(y);
    int64_t implied[5] = { to.dims[0], to.dims[1] };
    for (int i = 0; i < 3; i++) implied[2 + i] = (from.dims[2 + i] - 1) * k.stride[i] + k.kernel[i] - k.pad_begin[i] - k.pad_end[i];
    double zero = 0;
    KerbTensor zeros = { .data = &zero, .dtype = KERB_F64 };
    kerb_ref_copy(y, &zeros);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, x->rank, x->dims, 2, (const KerbTensor *const[]){ x, indices }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            int64_t index = kerb_ref_load_i64(indices, w.offset[1] + i * w.step[1]), rest = index, at = 0;
            bool inside = index >= 0;
            for (int axis = 4; axis >= 0 && inside; axis--) {
                int64_t coordinate = axis ? rest % implied[axis] : rest;
                inside = implied[axis] > 0 && coordinate < to.dims[axis];
                rest /= implied[axis];
                at += coordinate * to.strides[axis];
            }
            if (!inside) return kerb_ref_fail(c, KERB_ERROR_ASSET, "index %lld is outside the output", (long long)index);
            kerb_ref_store(y, at, kerb_ref_load(x, w.offset[0] + i * w.step[0]));
        }
    }
    return KERB_OK;
}
