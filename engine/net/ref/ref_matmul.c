/* SPDX-License-Identifier: MIT */
/* MatMul (numpy's rules), Gemm. Rows of results are summed a block at a time: floats in double, integers in int64. */
#include "net/ref/ref_ops.h"

/* One row of a product: sums[j] = sum over k of a[k] * b[k][j]. */
typedef struct RowProduct {
    const KerbTensor *a, *b;
    int64_t a_at, b_at;     /* offsets of the row, and of the column block */
    int64_t a_step, b_step; /* along k */
    int64_t column_step;    /* along j, of b */
    int64_t depth;
} RowProduct;

static void sum_floats(const RowProduct *p, int n, double sums[])
{
    double b[KERB_REF_BLOCK];
    for (int j = 0; j < n; j++) sums[j] = 0;
    for (int64_t k = 0; k < p->depth; k++) {
        double a = kerb_ref_load(p->a, p->a_at + k * p->a_step);
        kerb_ref_read(p->b, p->b_at + k * p->b_step, p->column_step, n, b);
        for (int j = 0; j < n; j++) sums[j] += a * b[j];
    }
}

static void sum_integers(const RowProduct *p, int n, int64_t sums[])
{
    int64_t b[KERB_REF_BLOCK];
    for (int j = 0; j < n; j++) sums[j] = 0;
    for (int64_t k = 0; k < p->depth; k++) {
        uint64_t a = (uint64_t)kerb_ref_load_i64(p->a, p->a_at + k * p->a_step);
        kerb_ref_read_i64(p->b, p->b_at + k * p->b_step, p->column_step, n, b);
        for (int j = 0; j < n; j++) sums[j] = (int64_t)((uint64_t)sums[j] + a * (uint64_t)b[j]);
    }
}

/* Gives matrices to vectors: a as a row, b as a column; y gets the axes that the result then lacks. */
static void as_matrices(KerbTensor *a, KerbTensor *b, KerbTensor *y)
{
    bool row = a->rank == 1, column = b->rank == 1;
    if (row) {
        a->rank = 2;
        a->dims[1] = a->dims[0], a->strides[1] = a->strides[0];
        a->dims[0] = 1, a->strides[0] = 0;
    }
    if (column) {
        b->rank = 2;
        b->dims[1] = 1, b->strides[1] = 0;
    }
    if (row && y->rank < KERB_MAX_RANK) { /* before the last axis, or at the end where b's is missing too */
        int at = column ? y->rank : y->rank - 1;
        for (int i = y->rank; i > at; i--) y->dims[i] = y->dims[i - 1], y->strides[i] = y->strides[i - 1];
        y->dims[at] = 1, y->strides[at] = 0;
        y->rank++;
    }
    if (column && y->rank < KERB_MAX_RANK) {
        y->dims[y->rank] = 1, y->strides[y->rank] = 0;
        y->rank++;
    }
}

/* The axes before the last two. */
static KerbTensor batches(const KerbTensor *t)
{
    KerbTensor b = *t;
    b.rank -= 2;
    return b;
}

static void multiply_matrices(const KerbTensor *a, const KerbTensor *b, const KerbTensor *y, int64_t a_at, int64_t b_at, int64_t y_at)
{
    bool integers = kerb_ref_is_integer(y);
    int ar = a->rank, br = b->rank, yr = y->rank;
    RowProduct p = { .a = a, .b = b, .a_step = a->strides[ar - 1], .b_step = b->strides[br - 2], .column_step = b->strides[br - 1], .depth = a->dims[ar - 1] };
    for (int64_t i = 0; i < y->dims[yr - 2]; i++) {
        for (int64_t j = 0; j < y->dims[yr - 1]; j += KERB_REF_BLOCK) {
            int n = (int)(y->dims[yr - 1] - j < KERB_REF_BLOCK ? y->dims[yr - 1] - j : KERB_REF_BLOCK);
            int64_t to = y_at + i * y->strides[yr - 2] + j * y->strides[yr - 1];
            p.a_at = a_at + i * a->strides[ar - 2];
            p.b_at = b_at + j * b->strides[br - 1];
            if (integers) {
                int64_t sums[KERB_REF_BLOCK];
                sum_integers(&p, n, sums);
                kerb_ref_write_i64(y, to, y->strides[yr - 1], n, sums);
            } else {
                double sums[KERB_REF_BLOCK];
                sum_floats(&p, n, sums);
                kerb_ref_write(y, to, y->strides[yr - 1], n, sums);
            }
        }
    }
}

KerbStatus kerb_ref_matmul(const KerbRefCall *c)
{
    KerbTensor a = c->in[0], b = c->in[1], y = c->out[0];
    if (a.rank < 1 || b.rank < 1) return kerb_ref_fail(c, KERB_ERROR_ASSET, "scalars cannot be multiplied as matrices");
    as_matrices(&a, &b, &y);
    int rank = a.rank > b.rank ? a.rank : b.rank;
    if (y.rank != rank || a.dims[a.rank - 1] != b.dims[b.rank - 2] || y.dims[y.rank - 2] != a.dims[a.rank - 2] || y.dims[y.rank - 1] != b.dims[b.rank - 1])
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the shapes do not fit");
    KerbTensor a_batches = batches(&a), b_batches = batches(&b), y_batches = batches(&y);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y_batches.rank, y_batches.dims, 3, (const KerbTensor *const[]){ &y_batches, &a_batches, &b_batches }); !w.done; kerb_ref_walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            multiply_matrices(&a, &b, &y, w.offset[1] + i * w.step[1], w.offset[2] + i * w.step[2], w.offset[0] + i * w.step[0]);
    return KERB_OK;
}

/* ---- Gemm: act(alpha * A' B' + beta * C) */

static KerbTensor transposed(const KerbTensor *t, bool swap)
{
    KerbTensor view = *t;
    if (swap) {
        view.dims[0] = t->dims[1], view.dims[1] = t->dims[0];
        view.strides[0] = t->strides[1], view.strides[1] = t->strides[0];
    }
    return view;
}

KerbStatus kerb_ref_gemm(const KerbRefCall *c)
{
    const KerbTensor *y = &c->out[0], *bias = kerb_ref_input(c, 2);
    const KerbActivation *act = &c->n->attrs.gemm.act;
    double alpha = (double)c->n->attrs.gemm.alpha, beta = (double)c->n->attrs.gemm.beta;
    if (c->in[0].rank != 2 || c->in[1].rank != 2 || y->rank != 2) return kerb_ref_fail(c, KERB_ERROR_ASSET, "matrices were expected");
    KerbTensor a = transposed(&c->in[0], c->n->attrs.gemm.trans_a), b = transposed(&c->in[1], c->n->attrs.gemm.trans_b);
    if (a.dims[1] != b.dims[0] || y->dims[0] != a.dims[0] || y->dims[1] != b.dims[1]) return kerb_ref_fail(c, KERB_ERROR_ASSET, "the shapes do not fit");
    KerbTensor slope = kerb_ref_slope(c->g, act, y);
    if (act->kind == KERB_ACT_PRELU && !slope.data) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the fused PRelu has no slope");
    if (!slope.data) slope = *y;        /* walked, never read */
    const KerbTensor *c_or_y = bias ? bias : y;
    const int64_t rows_first[2] = { y->dims[0], y->dims[1] };
    for (int64_t i = 0; i < rows_first[0]; i++) {
        KerbTensor row = { .data = y->data, .dtype = y->dtype, .rank = 2, .dims = { 1, y->dims[1] }, .strides = { 0, y->strides[1] } };
        int64_t bias_step = c_or_y->rank && c_or_y->dims[c_or_y->rank - 1] > 1 ? c_or_y->strides[c_or_y->rank - 1] : 0;
        int64_t bias_at = c_or_y->rank == 2 && c_or_y->dims[0] > 1 ? i * c_or_y->strides[0] : 0;
        RowProduct p = { .a = &a, .b = &b, .a_at = i * a.strides[0], .a_step = a.strides[1], .b_step = b.strides[0], .column_step = b.strides[1], .depth = a.dims[1] };
        for (int64_t j = 0; j < rows_first[1]; j += KERB_REF_BLOCK) {
            int n = (int)(row.dims[1] - j < KERB_REF_BLOCK ? row.dims[1] - j : KERB_REF_BLOCK);
            double sums[KERB_REF_BLOCK], other[KERB_REF_BLOCK];
            p.b_at = j * b.strides[1];
            sum_floats(&p, n, sums);
            for (int k = 0; k < n; k++) sums[k] *= alpha;
            if (bias) {
                kerb_ref_read(bias, bias_at + j * bias_step, bias_step, n, other);
                for (int k = 0; k < n; k++) sums[k] += beta * other[k];
            }
            if (act->kind == KERB_ACT_PRELU) kerb_ref_read(&slope, slope.dims[1] > 1 ? j * slope.strides[1] : 0, slope.dims[1] > 1 ? slope.strides[1] : 0, n, other);
            kerb_ref_activate(act, other, n, sums);
            kerb_ref_write(y, i * y->strides[0] + j * y->strides[1], y->strides[1], n, sums);
        }
    }
    return KERB_OK;
}
