/* SPDX-License-Identifier: MIT */
/* Checks of matrix products: Gemm with its transposes, and batched products with broadcasting. */
#include "kernel_case.h"

#include <stdlib.h>

static const int sizes[] = { 1, 3, 4, 8, 17, 33, 64, 5 };

static KerbFactor factor(const Case *c, const CaseTensor *t, int row, int column)
{
    KerbFactor f = { .data = case_data(c, t), .type = (int32_t)t->view.dtype };
    f.row = row < 0 || t->view.dims[row] == 1 ? 0 : t->view.strides[row];
    f.column = column < 0 || t->view.dims[column] == 1 ? 0 : t->view.strides[column];
    return f;
}

static void check_gemm(Case *c, int i)
{
    KerbDtype type = case_floats[i % 3];
    int m = sizes[case_pick(c, 0, 7)], n = sizes[case_pick(c, 0, 7)], k = sizes[case_pick(c, 0, 7)];
    bool trans_a = i % 2, trans_b = i / 2 % 2;
    case_begin(c, "gemm %dx%dx%d of %s, transposed %d,%d", m, n, k, kerb_dtype_name(type), trans_a, trans_b);
    KerbActivation act = case_activation(c, i, n);
    if (n > 64 && act.kind == KERB_ACT_PRELU) return;
    CaseTensor *a = i % 5 ? case_dense(c, type, 2, (const int64_t[]){trans_a ? k : m, trans_a ? m : k})
                          : case_strided(c, type, 2, (const int64_t[]){trans_a ? k : m, trans_a ? m : k});
    CaseTensor *b = case_dense(c, type, 2, (const int64_t[]){trans_b ? n : k, trans_b ? k : n}),
               *y = case_strided(c, type, 2, (const int64_t[]){m, n});
    CaseTensor *bias = i % 4 == 0   ? NULL
                       : i % 4 == 1 ? case_vector(c, KERB_F32, n)
                       : i % 4 == 2 ? case_dense(c, type, 2, (const int64_t[]){m, 1})
                                    : case_dense(c, KERB_F32, 2, (const int64_t[]){m, n});
    case_fill(c, a, -1, 1);
    case_fill(c, b, -1, 1);
    if (bias) case_fill(c, bias, -1, 1);
    KerbMatmulArgs args = {.a = factor(c, a, trans_a, !trans_a),
                           .b = factor(c, b, trans_b, !trans_b),
                           .y = factor(c, y, 0, 1),
                           .m = m,
                           .n = n,
                           .k = k,
                           .alpha = 0.7f,
                           .beta = 1.3f,
                           .act = case_fused(c, &act)};
    if (bias) args.c = bias->view.rank == 1 ? factor(c, bias, -1, 0) : factor(c, bias, 0, 1);
    case_launch_matmul(c, &args);
    KerbNode node = { .op = KERB_OP_GEMM };
    node.attrs.gemm.alpha = 0.7f, node.attrs.gemm.beta = 1.3f, node.attrs.gemm.trans_a = trans_a, node.attrs.gemm.trans_b = trans_b,
    node.attrs.gemm.act = act;
    CaseTensor *const inputs[] = { a, b, bias };
    case_expect(c, &node, 3, inputs, y, CASE_SUMMED);
}

static void check_matmul(Case *c, int i)
{
    KerbDtype type = case_floats[i % 3];
    int m = sizes[case_pick(c, 0, 7)], n = sizes[case_pick(c, 0, 7)], k = sizes[case_pick(c, 0, 7)];
    const int64_t batch[2] = { case_pick(c, 1, 3), case_pick(c, 1, 3) };
    const int64_t a_dims[4] = {i % 2 ? 1 : batch[0], batch[1], m, k}, b_dims[4] = {batch[0], i % 3 ? batch[1] : 1, k, n},
                  y_dims[4] = {batch[0], batch[1], m, n};
    case_begin(c, "matmul %dx%dx%d in %dx%d of %s", m, n, k, (int)batch[0], (int)batch[1], kerb_dtype_name(type));
    CaseTensor *a = case_strided(c, type, 4, a_dims), *b = case_strided(c, type, 4, b_dims), *y = case_strided(c, type, 4, y_dims);
    case_fill(c, a, -1, 1);
    case_fill(c, b, -1, 1);
    KerbMatmulArgs args = {.a = factor(c, a, 2, 3),
                           .b = factor(c, b, 2, 3),
                           .y = factor(c, y, 2, 3),
                           .m = m,
                           .n = n,
                           .k = k,
                           .batch_rank = 2,
                           .batch_dims = {(int32_t)batch[0], (int32_t)batch[1]},
                           .alpha = 1};
    for (int axis = 0; axis < 2; axis++) {
        args.a.batch[axis] = a_dims[axis] == 1 ? 0 : a->view.strides[axis];
        args.b.batch[axis] = b_dims[axis] == 1 ? 0 : b->view.strides[axis];
        args.y.batch[axis] = y->view.strides[axis];
    }
    case_launch_matmul(c, &args);
    KerbNode node = { .op = KERB_OP_MATMUL };
    CaseTensor *const inputs[] = { a, b };
    case_expect(c, &node, 2, inputs, y, CASE_SUMMED);
}

void kernel_cases_matmul(Case *c)
{
    for (int i = 0; i < 80; i++) check_gemm(c, i);
    for (int i = 0; i < 60; i++) check_matmul(c, i);
}
