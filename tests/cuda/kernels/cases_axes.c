/* SPDX-License-Identifier: MIT */
/* Checks of what goes along axes: reductions in one and two stages, softmax, argmax, cumulative sums; pictures and tensors of any strides.
 */
#include "kernel_case.h"

#include <math.h>
#include <stdlib.h>

/* A picture, or a tensor of any strides of 1..4 axes. */
static CaseTensor *any_tensor(Case *c, KerbDtype type, int i, int most)
{
    if (i % 2 && kerb_dtype_is_float(type) && type != KERB_F64)
        return case_picture(c, type, case_channels[i % 5], case_pick(c, 1, most), case_pick(c, 1, most),
                            (CaseLayout)(i / 2 % CASE_LAYOUTS));
    int64_t dims[4];
    int rank = case_pick(c, 1, 4);
    for (int axis = 0; axis < rank; axis++) dims[axis] = case_pick(c, 1, 6);
    return case_strided(c, type, rank, dims);
}

/* The like of `t` with other dims: a picture where t is one. */
static CaseTensor *like(Case *c, const CaseTensor *t, KerbDtype type, const int64_t dims[])
{
    bool picture = t->view.rank == 4 && t->view.strides[1] == 1 && t->view.dims[0] == 1 && t->view.strides[3] >= t->view.dims[1] &&
                   kerb_dtype_is_float(type);
    if (picture) return case_picture(c, type, (int)dims[1], (int)dims[2], (int)dims[3], CASE_WHOLE);
    return case_strided(c, type, t->view.rank, dims);
}

static void check_reduce(Case *c, int i, int most, int parts)
{
    static const KerbDtype types[] = { KERB_F32, KERB_F16, KERB_BF16, KERB_F32, KERB_I32, KERB_F16, KERB_I64, KERB_BF16, KERB_U8 };
    KerbDtype type = types[i % 9];
    KerbReduction kind = (KerbReduction)(i / 2 % KERB_REDUCE_COUNT);
    bool integers = !kerb_dtype_is_float(type),
         fractions = kind == KERB_REDUCE_L2 || kind == KERB_REDUCE_LOG_SUM || kind == KERB_REDUCE_LOG_SUM_EXP;
    case_begin(c, "reduction %d of %s, case %d, parts %d", (int)kind, kerb_dtype_name(type), i, parts);
    if (integers && fractions) type = KERB_F32, integers = false;
    CaseTensor *x = any_tensor(c, type, i, most);
    unsigned mask = 1 + case_random(c) % ((1u << x->view.rank) - 1);
    if (x->view.rank == 4 && i % 2) mask = i % 3 ? 12 : i % 4 == 1 ? 2 : mask;
    int64_t dims[KERB_MAX_RANK], axes[KERB_MAX_RANK], n_axes = 0;
    for (int axis = 0; axis < x->view.rank; axis++) {
        dims[axis] = mask >> axis & 1u ? 1 : x->view.dims[axis];
        if (mask >> axis & 1u) axes[n_axes++] = axis;
    }
    CaseTensor *y = like(c, x, type, dims), *over = case_vector(c, KERB_I64, (int)n_axes);
    memcpy(over->view.data, axes, (size_t)n_axes * sizeof axes[0]);
    if (kerb_dtype_is_float(type)) case_fill(c, x, kind == KERB_REDUCE_LOG_SUM ? 0.1 : -1, kind == KERB_REDUCE_PROD ? 1.2 : 1);
    else case_fill(c, x, type == KERB_U8 ? 0 : -9, 9);
    if (i % 7 == 3 && kerb_dtype_is_float(type) && kind != KERB_REDUCE_LOG_SUM_EXP) case_salt(c, x);
    KerbStrided from = case_as_strided(c, x), to = case_as_strided(c, y);
    KerbReduceArgs args = { .x = from.data, .y = to.data, .x_type = from.type, .y_type = to.type, .kind = (int32_t)kind };
    if (!kerb_axes(&from, &to, mask, y->padding, &args.axes)) {
        case_fail(c, "no axes");
        return;
    }
    args.parts = parts ? parts : kerb_reduce_parts(&args);
    if (!kerb_dtype_is_float(type) || kind == KERB_REDUCE_LOG_SUM_EXP) args.parts = 1;
    CaseTensor *partial = args.parts > 1 ? case_vector(c, KERB_F32, args.parts * args.axes.kept) : NULL;
    args.partial = partial ? case_data(c, partial) : NULL;
    case_launch_reduce(c, &args);
    if (partial) memcpy(partial->before, partial->image, partial->bytes); /* scratch may be written */
    KerbNode node = { .op = KERB_OP_REDUCE };
    node.attrs.reduce.kind = kind;
    node.attrs.reduce.keepdims = true;
    CaseTensor *const inputs[] = { x, over };
    bool picks = kind == KERB_REDUCE_MAX || kind == KERB_REDUCE_MIN;
    case_expect(c, &node, 2, inputs, y, integers || picks ? CASE_EXACT : CASE_SUMMED);
}

static void check_softmax(Case *c, int i)
{
    KerbDtype type = case_floats[i % 3];
    bool flatten = i % 5 == 4;
    case_begin(c, "softmax of %s, case %d", kerb_dtype_name(type), i);
    CaseTensor *x = any_tensor(c, type, i, 7), *y = like(c, x, type, x->view.dims);
    int axis = case_pick(c, 0, x->view.rank - 1);
    case_fill(c, x, -8, 8);
    KerbStrided from = case_as_strided(c, x), to = case_as_strided(c, y);
    KerbSoftmaxArgs args = { .x = from.data, .y = to.data, .x_type = from.type, .y_type = to.type, .log = i % 4 >= 2 };
    unsigned all = (1u << x->view.rank) - 1, mask = flatten ? all & ~((1u << axis) - 1) : 1u << axis;
    if (!kerb_axes(&from, &to, mask, y->padding, &args.axes)) {
        case_fail(c, "no axes");
        return;
    }
    case_launch_softmax(c, &args);
    KerbNode node = { .op = KERB_OP_SOFTMAX };
    node.attrs.softmax.axis = axis;
    node.attrs.softmax.log = args.log;
    node.attrs.softmax.flatten = flatten;
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_SUMMED);
}

static void check_argmax(Case *c, int i)
{
    static const KerbDtype types[] = { KERB_F32, KERB_F16, KERB_BF16, KERB_I32, KERB_U8 };
    KerbDtype type = types[i % 5];
    case_begin(c, "argmax of %s, case %d", kerb_dtype_name(type), i);
    CaseTensor *x = any_tensor(c, type, i, 7);
    int axis = case_pick(c, 0, x->view.rank - 1), rank = 0;
    bool keepdims = i % 3 > 0;
    int64_t dims[KERB_MAX_RANK];
    for (int k = 0; k < x->view.rank; k++)
        if (k != axis || keepdims) dims[rank++] = k == axis ? 1 : x->view.dims[k];
    CaseTensor *y = case_dense(c, KERB_I64, rank, dims);
    case_fill(c, x, 0, 5);
    if (kerb_dtype_is_float(type)) {
        for (int64_t e = 0; e < kerb_tensor_elements(&x->view); e++)
            kerb_tensor_set(&x->view, e, floor(kerb_tensor_get(&x->view, e))); /* ties */
        if (i % 4 == 0) case_salt(c, x);
    }
    KerbStrided from = case_as_strided(c, x), to = case_as_strided(c, y);
    KerbArgmaxArgs args = { .x = from.data, .y = to.data, .x_type = from.type, .is_min = i % 2, .select_last = i / 2 % 2 };
    if (!kerb_axes(&from, &to, 1u << axis, 0, &args.axes)) {
        case_fail(c, "no axes");
        return;
    }
    case_launch_argmax(c, &args);
    KerbNode node = { .op = KERB_OP_ARG };
    node.attrs.arg.axis = axis, node.attrs.arg.keepdims = keepdims, node.attrs.arg.is_min = args.is_min,
    node.attrs.arg.select_last = args.select_last;
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_EXACT);
}

static void check_cumsum(Case *c, int i)
{
    static const KerbDtype types[] = { KERB_F32, KERB_F16, KERB_I64 };
    KerbDtype type = types[i % 3];
    case_begin(c, "cumulative sum of %s, case %d", kerb_dtype_name(type), i);
    CaseTensor *x = any_tensor(c, type, i, 7), *y = like(c, x, type, x->view.dims), *over = case_vector(c, KERB_I64, 1);
    int axis = case_pick(c, 0, x->view.rank - 1);
    kerb_tensor_set_i64(&over->view, 0, axis);
    case_fill(c, x, -5, 5);
    KerbStrided from = case_as_strided(c, x), to = case_as_strided(c, y);
    KerbCumsumArgs args = {.x = from.data, .y = to.data, .x_type = from.type, .y_type = to.type, .exclusive = i % 2, .reverse = i / 2 % 2};
    if (!kerb_axes(&from, &to, 1u << axis, y->padding, &args.axes)) {
        case_fail(c, "no axes");
        return;
    }
    case_launch_cumsum(c, &args);
    KerbNode node = { .op = KERB_OP_CUMSUM };
    node.attrs.cumsum.exclusive = args.exclusive, node.attrs.cumsum.reverse = args.reverse;
    CaseTensor *const inputs[] = { x, over };
    case_expect(c, &node, 2, inputs, y, CASE_SUMMED);
}

void kernel_cases_axes(Case *c)
{
    for (int i = 0; i < 180; i++) check_reduce(c, i, 9, 0);
    for (int i = 0; i < 60; i++) check_reduce(c, i, 9, 1 + i % 5);
    for (int i = 0; i < 20; i++) check_reduce(c, 2 * i + 1, 40, 0); /* large enough for two stages */
    for (int i = 0; i < 60; i++) check_softmax(c, i);
    for (int i = 0; i < 60; i++) check_argmax(c, i);
    for (int i = 0; i < 24; i++) check_cumsum(c, i);
}
