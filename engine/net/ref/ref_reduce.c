/* SPDX-License-Identifier: MIT */
/* Operators along axes: reductions, ArgMax/ArgMin, Softmax/LogSoftmax, CumSum. Sums of floats are kept in double, of integers in int64. */
#include "net/ref/ref_ops.h"

#include <math.h>

typedef struct Accumulator {
    KerbReduction kind;
    bool integers, is_u64;
    double sum, max;    /* max: for LOG_SUM_EXP, found by a pass of its own */
    int64_t sum_i;
} Accumulator;

static void accumulate_start(Accumulator *a, const KerbTensor *x)
{
    KerbReduction kind = a->kind;
    a->is_u64 = x->dtype == KERB_U64;
    a->integers = kerb_ref_is_integer(x) && kind != KERB_REDUCE_L2 && kind != KERB_REDUCE_LOG_SUM && kind != KERB_REDUCE_LOG_SUM_EXP;
    a->sum = kind == KERB_REDUCE_PROD ? 1 : kind == KERB_REDUCE_MAX ? -INFINITY : kind == KERB_REDUCE_MIN ? INFINITY : 0;
    a->sum_i = kind == KERB_REDUCE_PROD ? 1 : 0;
    if (kind != KERB_REDUCE_MAX && kind != KERB_REDUCE_MIN) return;
    /* The least (greatest) value of x's type, so that an empty set gives it. */
    a->sum_i = a->is_u64 ? 0 : x->dtype == KERB_BOOL ? 0 : INT64_MIN;
    if (!a->is_u64 && x->dtype != KERB_BOOL) {
        int bits = (int)kerb_dtype_bytes(x->dtype) * 8;
        bool is_unsigned = x->dtype == KERB_U8 || x->dtype == KERB_U16 || x->dtype == KERB_U32;
        int64_t half = bits == 64 ? INT64_MAX : (INT64_C(1) << (bits - 1)) - 1;
        a->sum_i = kind == KERB_REDUCE_MIN ? (is_unsigned ? 2 * half + 1 : half) : is_unsigned ? 0 : -half - 1;
    } else if (kind == KERB_REDUCE_MIN) {
        a->sum_i = a->is_u64 ? -1 : 1;
    }
}

static void accumulate_floats(Accumulator *a, int n, const double v[])
{
    switch (a->kind) {
    case KERB_REDUCE_MEAN:
    case KERB_REDUCE_SUM:
    case KERB_REDUCE_LOG_SUM: for (int i = 0; i < n; i++) a->sum += v[i]; break;
    case KERB_REDUCE_MAX: for (int i = 0; i < n; i++) a->sum = v[i] > a->sum || isnan(v[i]) ? v[i] : a->sum; break;
    case KERB_REDUCE_MIN: for (int i = 0; i < n; i++) a->sum = v[i] < a->sum || isnan(v[i]) ? v[i] : a->sum; break;
    case KERB_REDUCE_PROD: for (int i = 0; i < n; i++) a->sum *= v[i]; break;
    case KERB_REDUCE_L1: for (int i = 0; i < n; i++) a->sum += fabs(v[i]); break;
    case KERB_REDUCE_L2:
    case KERB_REDUCE_SUM_SQUARE: for (int i = 0; i < n; i++) a->sum += v[i] * v[i]; break;
    case KERB_REDUCE_LOG_SUM_EXP: for (int i = 0; i < n; i++) a->sum += exp(v[i] - a->max); break;
    case KERB_REDUCE_COUNT: break;
    }
}

static void accumulate_integers(Accumulator *a, int n, const int64_t v[])
{
    uint64_t sum = (uint64_t)a->sum_i, flip = a->is_u64 ? UINT64_C(1) << 63 : 0; /* wraps without being undefined */
    for (int i = 0; i < n; i++) {
        uint64_t x = (uint64_t)v[i];
        switch (a->kind) {
        case KERB_REDUCE_MAX: sum = (int64_t)(x ^ flip) > (int64_t)(sum ^ flip) ? x : sum; break;
        case KERB_REDUCE_MIN: sum = (int64_t)(x ^ flip) < (int64_t)(sum ^ flip) ? x : sum; break;
        case KERB_REDUCE_PROD: sum *= x; break;
        case KERB_REDUCE_L1: sum += v[i] < 0 && !a->is_u64 ? 0 - x : x; break;
        case KERB_REDUCE_SUM_SQUARE: sum += x * x; break;
        default: sum += x; break;
        }
    }
    a->sum_i = (int64_t)sum;
}

static double finish_floats(const Accumulator *a, int64_t count)
{
    switch (a->kind) {
    case KERB_REDUCE_MEAN: return a->sum / (double)count;
    case KERB_REDUCE_L2: return sqrt(a->sum);
    case KERB_REDUCE_LOG_SUM: return log(a->sum);
    case KERB_REDUCE_LOG_SUM_EXP: return log(a->sum) + a->max;
    default: return a->sum;
    }
}

/* Runs all elements of the view through the accumulator. */
static void accumulate_view(Accumulator *a, const KerbTensor *view)
{
    KerbRefWalk w;
    for (kerb_ref_walk(&w, view->rank, view->dims, 1, &view); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            if (a->integers) {
                int64_t v[KERB_REF_BLOCK];
                kerb_ref_read_i64(view, w.offset[0] + i * w.step[0], w.step[0], n, v);
                accumulate_integers(a, n, v);
            } else {
                double v[KERB_REF_BLOCK];
                kerb_ref_read(view, w.offset[0] + i * w.step[0], w.step[0], n, v);
                accumulate_floats(a, n, v);
            }
        }
    }
}

static double view_max(const KerbTensor *view)
{
    Accumulator max = { .kind = KERB_REDUCE_MAX };
    accumulate_start(&max, view);
    max.integers = false;
    accumulate_view(&max, view);
    return max.sum;
}

static void reduce_one(KerbReduction kind, const KerbTensor *view, const KerbTensor *y, int64_t to)
{
    Accumulator a = { .kind = kind };
    accumulate_start(&a, view);
    if (kind == KERB_REDUCE_LOG_SUM_EXP) {
        a.max = view_max(view);
        if (isinf(a.max)) a.max = 0; /* -inf: log(0); inf: exp gives inf by itself */
    }
    accumulate_view(&a, view);
    int64_t count = kerb_tensor_elements(view);
    if (!a.integers) {
        kerb_ref_store(y, to, finish_floats(&a, count));
    } else if (kind == KERB_REDUCE_MEAN) {
        kerb_ref_store_i64(y, to, count == 0 ? 0 : a.is_u64 ? (int64_t)((uint64_t)a.sum_i / (uint64_t)count) : a.sum_i / count);
    } else {
        kerb_ref_store_i64(y, to, a.sum_i);
    }
}

/* Reads the axes input as bits; all axes where it is absent or empty, none where `noop` says so. */
static bool axes_mask(const KerbRefCall *c, int input, int rank, bool noop, unsigned *mask)
{
    int64_t axes[KERB_MAX_RANK];
    int n = kerb_ref_integers(c, input, axes, KERB_MAX_RANK);
    if (n < 0) return false;
    *mask = n || noop ? 0 : (1u << rank) - 1;
    for (int i = 0; i < n; i++) {
        int axis;
        if (!kerb_ref_axis(c, axes[i], rank, &axis)) return false;
        *mask |= 1u << axis;
    }
    return true;
}

/* y's view that matches x's axes outside `mask`: with keepdims those axes themselves. */
static KerbStatus kept_view(const KerbRefCall *c, const KerbTensor *y, unsigned mask, const KerbTensor *kept, KerbTensor *out)
{
    KerbTensor ones;
    if (y->rank == c->in[0].rank) kerb_ref_split_axes(y, mask, &ones, out);
    else *out = *y;
    return kerb_tensor_same_shape(out, kept) ? KERB_OK
                                             : kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the output does not have the shape that is left");
}

KerbStatus kerb_ref_reduce(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    KerbReduction kind = c->n->attrs.reduce.kind;
    unsigned mask;
    if (kind >= KERB_REDUCE_COUNT) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "no such reduction (%d)", (int)kind);
    if (!axes_mask(c, 1, x->rank, c->n->attrs.reduce.noop_with_empty_axes, &mask)) return KERB_ERROR_ASSET;
    if (c->n->attrs.reduce.spatial) mask = ((1u << x->rank) - 1) & ~3u;
    KerbTensor reduced, kept, to;
    kerb_ref_split_axes(x, mask, &reduced, &kept);
    KerbStatus status = kept_view(c, y, mask, &kept, &to);
    if (status != KERB_OK) return status;
    KerbRefWalk w;
    for (kerb_ref_walk(&w, kept.rank, kept.dims, 2, (const KerbTensor *const[]){ &to, &kept }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            KerbTensor view = kerb_ref_shift(&reduced, w.offset[1] + i * w.step[1]);
            reduce_one(kind, &view, y, w.offset[0] + i * w.step[0]);
        }
    }
    return KERB_OK;
}

/* ---- ArgMax, ArgMin */

static int64_t arg_of(const KerbRefCall *c, const KerbTensor *x, int64_t offset, int64_t stride, int64_t n)
{
    bool is_min = c->n->attrs.arg.is_min, last = c->n->attrs.arg.select_last, integers = kerb_ref_is_integer(x);
    uint64_t flip = x->dtype == KERB_U64 ? UINT64_C(1) << 63 : 0;
    int64_t best = 0, best_i = 0;
    double best_v = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        int64_t v_i = 0;
        if (integers) v_i = (int64_t)((uint64_t)kerb_ref_load_i64(x, offset + i * stride) ^ flip);
        else v = kerb_ref_load(x, offset + i * stride);
        bool less = integers ? v_i < best_i : v < best_v, more = integers ? v_i > best_i : v > best_v;
        bool same = integers ? v_i == best_i : v == best_v;
        if (i == 0 || (is_min ? less : more) || (last && same)) best = i, best_i = v_i, best_v = v;
    }
    return best;
}

KerbStatus kerb_ref_arg(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int axis = 0;
    if (x->rank && !kerb_ref_axis(c, c->n->attrs.arg.axis, x->rank, &axis)) return KERB_ERROR_ASSET;
    KerbTensor along, kept, to;
    kerb_ref_split_axes(x, x->rank ? 1u << axis : 0, &along, &kept);
    KerbStatus status = kept_view(c, y, 1u << axis, &kept, &to);
    if (status != KERB_OK) return status;
    if (kerb_tensor_elements(&along) == 0 && kerb_tensor_elements(y)) return kerb_ref_fail(c, KERB_ERROR_ASSET, "axis %d is empty", axis);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, kept.rank, kept.dims, 2, (const KerbTensor *const[]){ &to, &kept }); !w.done; kerb_ref_walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            kerb_ref_store_i64(y, w.offset[0] + i * w.step[0],
                               arg_of(c, x, w.offset[1] + i * w.step[1], along.strides[0], along.rank ? along.dims[0] : 1));
    return KERB_OK;
}

/* ---- Softmax, LogSoftmax */

/* x and y are views of the axes that sum to one. */
static void softmax_view(const KerbTensor *x, const KerbTensor *y, bool want_log)
{
    Accumulator a = { .kind = KERB_REDUCE_LOG_SUM_EXP, .max = view_max(x) };
    accumulate_view(&a, x);
    double log_sum = log(a.sum);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, x->rank, x->dims, 2, (const KerbTensor *const[]){ y, x }); !w.done; kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i += KERB_REF_BLOCK) {
            int n = (int)(w.row - i < KERB_REF_BLOCK ? w.row - i : KERB_REF_BLOCK);
            double v[KERB_REF_BLOCK];
            kerb_ref_read(x, w.offset[1] + i * w.step[1], w.step[1], n, v);
            for (int k = 0; k < n; k++) v[k] = want_log ? v[k] - a.max - log_sum : exp(v[k] - a.max) / a.sum;
            kerb_ref_write(y, w.offset[0] + i * w.step[0], w.step[0], n, v);
        }
    }
}

KerbStatus kerb_ref_softmax(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int64_t axis = c->n->attrs.softmax.axis;
    if (axis < 0) axis += x->rank;
    bool flatten = c->n->attrs.softmax.flatten;
    if (axis < 0 || axis > x->rank || (axis == x->rank && x->rank && !flatten))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "axis %lld is outside a tensor of %d axes", (long long)c->n->attrs.softmax.axis, x->rank);
    unsigned all = (1u << x->rank) - 1, mask = flatten ? all & ~((1u << axis) - 1) : all & 1u << axis;
    KerbTensor from, to, from_kept, to_kept;
    kerb_ref_split_axes(x, mask, &from, &from_kept);
    kerb_ref_split_axes(y, mask, &to, &to_kept);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, from_kept.rank, from_kept.dims, 2, (const KerbTensor *const[]){ &to_kept, &from_kept }); !w.done;
         kerb_ref_walk_next(&w)) {
        for (int64_t i = 0; i < w.row; i++) {
            KerbTensor to_view = kerb_ref_shift(&to, w.offset[0] + i * w.step[0]),
                       from_view = kerb_ref_shift(&from, w.offset[1] + i * w.step[1]);
            softmax_view(&from_view, &to_view, c->n->attrs.softmax.log);
        }
    }
    return KERB_OK;
}

/* ---- CumSum */

static void cumsum_row(const KerbRefCall *c, const KerbTensor *x, int64_t from, int64_t from_step, const KerbTensor *y, int64_t to,
                       int64_t to_step, int64_t n)
{
    bool exclusive = c->n->attrs.cumsum.exclusive, reverse = c->n->attrs.cumsum.reverse, integers = kerb_ref_is_integer(x);
    double sum = 0;
    uint64_t sum_i = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t i = reverse ? n - 1 - k : k;
        double v = integers ? 0 : kerb_ref_load(x, from + i * from_step); /* read before y is written: they may be the same */
        uint64_t v_i = integers ? (uint64_t)kerb_ref_load_i64(x, from + i * from_step) : 0;
        double shown = exclusive ? sum : sum + v;
        uint64_t shown_i = exclusive ? sum_i : sum_i + v_i;
        if (integers) kerb_ref_store_i64(y, to + i * to_step, (int64_t)shown_i);
        else kerb_ref_store(y, to + i * to_step, shown);
        sum += v;
        sum_i += v_i;
    }
}

KerbStatus kerb_ref_cumsum(const KerbRefCall *c)
{
    const KerbTensor *x = &c->in[0], *y = &c->out[0];
    int axis;
    if (!kerb_ref_axis(c, kerb_ref_load_i64(&c->in[1], 0), x->rank, &axis)) return KERB_ERROR_ASSET;
    KerbTensor along, kept, to_along, to_kept;
    kerb_ref_split_axes(x, 1u << axis, &along, &kept);
    kerb_ref_split_axes(y, 1u << axis, &to_along, &to_kept);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, kept.rank, kept.dims, 2, (const KerbTensor *const[]){ &to_kept, &kept }); !w.done; kerb_ref_walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            cumsum_row(c, x, w.offset[1] + i * w.step[1], along.strides[0], y, w.offset[0] + i * w.step[0], to_along.strides[0],
                       along.dims[0]);
    return KERB_OK;
}
