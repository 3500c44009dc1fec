/* SPDX-License-Identifier: MIT */
/* Checks of what moves elements: transposes, slices, concatenations, broadcasts, fills, gathers, padding. */
#include "kernel_case.h"

#include <stdlib.h>

static const KerbDtype types[] = { KERB_F32, KERB_F16, KERB_BF16, KERB_U8, KERB_I64, KERB_I32 };

static void copy_views(Case *c, const KerbStrided *y, const KerbStrided *x, int padding, double value)
{
    const KerbStrided *const operands[] = { y, x };
    KerbCopyArgs args = { .value = value };
    if (kerb_walk(2, operands, padding, &args.walk)) case_launch_copy(c, &args);
    else case_fail(c, "no walk");
}

static void random_dims(Case *c, int rank, int64_t dims[])
{
    for (int i = 0; i < rank; i++) dims[i] = case_pick(c, 1, 6);
}

static void check_transpose(Case *c, int i)
{
    int rank = case_pick(c, 1, 5);
    int64_t dims[5], turned[5];
    KerbNode node = { .op = KERB_OP_TRANSPOSE };
    case_begin(c, "transpose of %s, case %d", kerb_dtype_name(types[i % 6]), i);
    random_dims(c, rank, dims);
    node.attrs.transpose.n = rank;
    for (int k = 0; k < rank; k++)
        node.attrs.transpose.perm[k] = (k * (i % 2 ? 1 : rank - 1) + i) % rank; /* a rotation, or a mirrored one */
    CaseTensor *x = case_strided(c, types[i % 6], rank, dims);
    for (int k = 0; k < rank; k++) turned[k] = dims[node.attrs.transpose.perm[k]];
    CaseTensor *y = case_strided(c, types[i % 6], rank, turned);
    case_fill(c, x, 0, 99);
    KerbStrided from = case_as_strided(c, x), view = from, to = case_as_strided(c, y);
    for (int k = 0; k < rank; k++)
        view.dims[k] = from.dims[node.attrs.transpose.perm[k]], view.strides[k] = from.strides[node.attrs.transpose.perm[k]];
    copy_views(c, &to, &view, 0, 0);
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_EXACT);
}

/* Slice with steps, backwards too. */
static void check_slice(Case *c, int i)
{
    int rank = case_pick(c, 1, 4);
    int64_t dims[4], taken[4];
    case_begin(c, "slice of %s, case %d", kerb_dtype_name(types[i % 6]), i);
    random_dims(c, rank, dims);
    CaseTensor *x = case_strided(c, types[i % 6], rank, dims);
    CaseTensor *starts = case_vector(c, KERB_I64, rank), *ends = case_vector(c, KERB_I64, rank), *axes = case_vector(c, KERB_I64, rank),
               *steps = case_vector(c, KERB_I64, rank);
    KerbStrided view = case_as_strided(c, x);
    for (int k = 0; k < rank; k++) {
        int step = case_pick(c, 0, 1) ? case_pick(c, 1, 2) : -case_pick(c, 1, 2), start = case_pick(c, 0, (int)dims[k] - 1);
        int reach = step > 0 ? (int)dims[k] - 1 - start : start, n = case_pick(c, 1, reach / abs(step) + 1);
        taken[k] = n;
        kerb_tensor_set_i64(&starts->view, k, start);
        kerb_tensor_set_i64(&ends->view, k, 0); /* the shape is the output's */
        kerb_tensor_set_i64(&axes->view, k, k);
        kerb_tensor_set_i64(&steps->view, k, step);
        view.data = (uint8_t *)view.data + start * view.strides[k] * (int64_t)kerb_dtype_bytes(x->view.dtype);
        view.dims[k] = n;
        view.strides[k] *= step;
    }
    CaseTensor *y = case_strided(c, types[i % 6], rank, taken);
    case_fill(c, x, 0, 99);
    KerbStrided to = case_as_strided(c, y);
    copy_views(c, &to, &view, 0, 0);
    KerbNode node = { .op = KERB_OP_SLICE };
    CaseTensor *const inputs[] = { x, starts, ends, axes, steps };
    case_expect(c, &node, 5, inputs, y, CASE_EXACT);
}

/* A concatenation along the channels of pictures, in two copies; the last one has the padding. */
static void check_concat(Case *c, int i)
{
    KerbDtype type = case_floats[i % 3];
    int first = case_channels[i % 5], second = case_channels[i / 5 % 5], h = case_pick(c, 1, 5), w = case_pick(c, 1, 5);
    case_begin(c, "concat %d + %d channels of %s", first, second, kerb_dtype_name(type));
    CaseTensor *a = case_picture(c, type, first, h, w, (CaseLayout)(i % CASE_LAYOUTS)),
               *b = case_picture(c, type, second, h, w, CASE_WHOLE);
    CaseTensor *y = case_picture(c, type, first + second, h, w, CASE_WHOLE);
    case_fill(c, a, -1, 1);
    case_fill(c, b, -1, 1);
    KerbStrided from_a = case_as_strided(c, a), from_b = case_as_strided(c, b), to = case_as_strided(c, y), part = to;
    part.dims[1] = first;
    copy_views(c, &part, &from_a, 0, 0);
    uint8_t *before = malloc(y->bytes);
    if (!before) exit(1);
    memcpy(before, y->before, y->bytes);
    part.data = (uint8_t *)to.data + (size_t)first * kerb_dtype_bytes(type);
    part.dims[1] = second;
    copy_views(c, &part, &from_b, y->padding, 0);
    memcpy(y->before, before, y->bytes);
    free(before);
    KerbNode node = { .op = KERB_OP_CONCAT };
    node.attrs.axis = 1;
    CaseTensor *const inputs[] = { a, b };
    case_expect(c, &node, 2, inputs, y, CASE_EXACT);
}

static void check_expand_and_fill(Case *c, int i)
{
    int64_t dims[4], own[4];
    case_begin(c, "expand of %s, case %d", kerb_dtype_name(types[i % 6]), i);
    random_dims(c, 4, dims);
    for (int k = 0; k < 4; k++) own[k] = case_pick(c, 0, 1) ? 1 : dims[k];
    CaseTensor *x = case_strided(c, types[i % 6], 4, own), *y = case_strided(c, types[i % 6], 4, dims),
               *shape = case_vector(c, KERB_I64, 4);
    case_fill(c, x, 0, 99);
    memcpy(shape->view.data, dims, sizeof dims);
    KerbStrided from = case_as_strided(c, x), to = case_as_strided(c, y);
    copy_views(c, &to, &from, 0, 0);
    KerbNode node = { .op = KERB_OP_EXPAND };
    CaseTensor *const inputs[] = { x, shape };
    case_expect(c, &node, 2, inputs, y, CASE_EXACT);
    copy_views(c, &to, NULL, 0, 7);
    node = (KerbNode){ .op = KERB_OP_CONSTANT_OF_SHAPE };
    node.attrs.fill.dtype = types[i % 6], node.attrs.fill.value = 7, node.attrs.fill.value_i64 = 7;
    CaseTensor *const shapes[] = { shape };
    case_expect(c, &node, 1, shapes, y, CASE_EXACT);
}

/* ---- gather */

static void check_gather(Case *c, int i, bool elements)
{
    KerbDtype type = types[i % 6];
    int rank = case_pick(c, 1, 3), axis = case_pick(c, 0, rank - 1), index_rank = elements ? rank : case_pick(c, 0, 2), y_rank = 0;
    int64_t dims[3], index_dims[3], y_dims[6];
    case_begin(c, "gather%s of %s, axis %d, case %d", elements ? " elements" : "", kerb_dtype_name(type), axis, i);
    random_dims(c, rank, dims);
    for (int k = 0; k < index_rank; k++) index_dims[k] = elements && k != axis ? case_pick(c, 1, (int)dims[k]) : case_pick(c, 1, 4);
    CaseTensor *x = case_strided(c, type, rank, dims), *indices = case_strided(c, KERB_I64, index_rank, index_dims);
    case_fill(c, x, 0, 99);
    for (int64_t k = 0; k < kerb_tensor_elements(&indices->view); k++)
        kerb_tensor_set_i64(&indices->view, k, case_pick(c, -(int)dims[axis], (int)dims[axis] - 1));
    KerbStrided from = case_as_strided(c, x), at = case_as_strided(c, indices), x_view = from, i_view = at;
    if (elements) {
        for (y_rank = 0; y_rank < rank; y_rank++) y_dims[y_rank] = x_view.dims[y_rank] = (int32_t)index_dims[y_rank];
        x_view.strides[axis] = 0;
    } else {
        for (int k = 0; k < rank; k++) {
            for (int j = 0; j < (k == axis ? index_rank : 1); j++, y_rank++) {
                y_dims[y_rank] = k == axis ? index_dims[j] : dims[k];
                x_view.dims[y_rank] = i_view.dims[y_rank] = (int32_t)y_dims[y_rank];
                x_view.strides[y_rank] = k == axis ? 0 : from.strides[k];
                i_view.strides[y_rank] = k == axis ? at.strides[j] : 0;
            }
        }
        x_view.rank = i_view.rank = y_rank;
    }
    CaseTensor *y = case_strided(c, type, y_rank, y_dims);
    KerbStrided to = case_as_strided(c, y);
    const KerbStrided *const operands[] = { &to, &x_view, &i_view };
    KerbGatherArgs args = { .axis_stride = from.strides[axis], .axis_dim = (int32_t)dims[axis] };
    if (!kerb_walk(3, operands, 0, &args.walk)) case_fail(c, "no walk");
    case_launch_gather(c, &args);
    KerbNode node = { .op = elements ? KERB_OP_GATHER_ELEMENTS : KERB_OP_GATHER };
    node.attrs.axis = axis;
    CaseTensor *const inputs[] = { x, indices };
    case_expect(c, &node, 2, inputs, y, CASE_EXACT);
}

/* ---- pad */

static void check_pad(Case *c, int i)
{
    KerbDtype type = types[i % 6];
    KerbPadMode mode = (KerbPadMode)(i % 4);
    bool picture = i % 3 && i % 6 < 3;
    int rank = picture ? 4 : case_pick(c, 1, 4);
    int64_t dims[4], padded[4];
    case_begin(c, "pad of %s, mode %d, case %d", kerb_dtype_name(type), (int)mode, i);
    random_dims(c, rank, dims);
    if (picture) dims[0] = 1, dims[1] = case_channels[i % 5];
    CaseTensor *pads = case_vector(c, KERB_I64, 2 * rank), *value = case_dense(c, type, 0, NULL);
    KerbPadArgs args = { .mode = (int32_t)mode, .value = 5 };
    for (int k = 0; k < rank; k++) {
        bool still = picture && (k == 0 || (k == 1 && i % 2));
        int low = mode == KERB_PADDING_CONSTANT && !still ? -1 : 0, begin = still ? 0 : case_pick(c, low, 3),
            end = still ? 0 : case_pick(c, low, 3);
        padded[k] = dims[k] + begin + end;
        if (padded[k] < 0) begin = 0, end = 0, padded[k] = dims[k];
        args.begin[k] = begin;
        kerb_tensor_set_i64(&pads->view, k, begin);
        kerb_tensor_set_i64(&pads->view, rank + k, end);
    }
    CaseTensor *x = picture ? case_picture(c, type, (int)dims[1], (int)dims[2], (int)dims[3], (CaseLayout)(i % CASE_LAYOUTS))
                            : case_strided(c, type, rank, dims);
    if (picture && (padded[1] < 1 || padded[2] < 1 || padded[3] < 1)) return;
    CaseTensor *y =
        picture ? case_picture(c, type, (int)padded[1], (int)padded[2], (int)padded[3], CASE_WHOLE) : case_strided(c, type, rank, padded);
    case_fill(c, x, 0, 99);
    kerb_tensor_set(&value->view, 0, 5);
    args.x = case_as_strided(c, x);
    args.y = case_as_strided(c, y);
    args.padding = y->padding;
    kerb_pad_order(&args);
    case_launch_pad(c, &args);
    KerbNode node = { .op = KERB_OP_PAD };
    node.attrs.pad.mode = (int)mode;
    CaseTensor *const inputs[] = { x, pads, value };
    case_expect(c, &node, 3, inputs, y, CASE_EXACT);
}

void kernel_cases_move(Case *c)
{
    for (int i = 0; i < 60; i++) check_transpose(c, i);
    for (int i = 0; i < 60; i++) check_slice(c, i);
    for (int i = 0; i < 50; i++) check_concat(c, i);
    for (int i = 0; i < 30; i++) check_expand_and_fill(c, i);
    for (int i = 0; i < 60; i++) check_gather(c, i, i % 2);
    for (int i = 0; i < 120; i++) check_pad(c, i);
}
