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
    RowProduct p = { .a = a, .b = b, .a_step = a->strides[ar - 1], .b_step = b->strides[br - 2], .column_step = b->strides[br - 1],
                     .depth = a->dims[ar - 1] };
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
    if (y.rank != rank || a.dims[a.rank - 1] != b.dims[b.rank - 2] || y.dims[y.rank - 2] != a.dims[a.rank - 2] ||
        y.dims[y.rank - 1] != b.dims[b.rank - 1])
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the shapes do not fit");
    KerbTensor a_batches = batches(&a), b_batches = batches(&b), y_batches = batches(&y);
    KerbRefWalk w;
    for (kerb_ref_walk(&w, y_batches.rank, y_batches.dims, 3, (const KerbTensor *const[]){ &y_batches, &a_batches, &b_batches }); !w.done;
         kerb_ref_walk_next(&w))
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

typedef struct Gemm {
    KerbTensor a, b, c, slope; /* c, slope: views that broadcast to y; data NULL: none */
    const KerbTensor *y;
    double alpha, beta;
    const KerbActivation *act;
} Gemm;

static int64_t broadcast_step(const KerbTensor *t, int axis) { return t->dims[axis] > 1 ? t->strides[axis] : 0; }

static void gemm_block(const Gemm *g, int64_t i, int64_t j, int n)
{
    double sums[KERB_REF_BLOCK], other[KERB_REF_BLOCK];
    RowProduct p = { .a = &g->a, .b = &g->b, .a_at = i * g->a.strides[0], .b_at = j * g->b.strides[1], .a_step = g->a.strides[1],
                     .b_step = g->b.strides[0], .column_step = g->b.strides[1], .depth = g->a.dims[1] };
    sum_floats(&p, n, sums);
    for (int k = 0; k < n; k++) sums[k] *= g->alpha;
    if (g->c.data) {
        int64_t step = broadcast_step(&g->c, 1);
        kerb_ref_read(&g->c, i * broadcast_step(&g->c, 0) + j * step, step, n, other);
        for (int k = 0; k < n; k++) sums[k] += g->beta * other[k];
    }
    if (g->slope.data) {
        int64_t step = broadcast_step(&g->slope, 1);
        kerb_ref_read(&g->slope, j * step, step, n, other);
    }
    kerb_ref_activate(g->act, other, n, sums);
    kerb_ref_write(g->y, i * g->y->strides[0] + j * g->y->strides[1], g->y->strides[1], n, sums);
}

/* C as a matrix: a vector lies along the columns. */
static KerbTensor as_matrix(const KerbTensor *c)
{
    KerbTensor m = { .data = c->data, .dtype = c->dtype, .rank = 2, .dims = { 1, 1 } };
    for (int i = 0; i < c->rank; i++) {
        m.dims[2 - c->rank + i] = c->dims[i];
        m.strides[2 - c->rank + i] = c->strides[i];
    }
    return m;
}

KerbStatus kerb_ref_gemm(const KerbRefCall *c)
{
    const KerbTensor *y = &c->out[0], *bias = kerb_ref_input(c, 2);
    Gemm g = { .y = y, .act = &c->n->attrs.gemm.act, .alpha = (double)c->n->attrs.gemm.alpha, .beta = (double)c->n->attrs.gemm.beta };
    if (c->in[0].rank != 2 || c->in[1].rank != 2 || y->rank != 2 || (bias && bias->rank > 2))
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "matrices were expected");
    g.a = transposed(&c->in[0], c->n->attrs.gemm.trans_a);
    g.b = transposed(&c->in[1], c->n->attrs.gemm.trans_b);
    if (bias) g.c = as_matrix(bias);
    if (g.a.dims[1] != g.b.dims[0] || y->dims[0] != g.a.dims[0] || y->dims[1] != g.b.dims[1])
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "the shapes do not fit");
    g.slope = kerb_ref_slope(c->g, g.act, y);
    if (g.act->kind == KERB_ACT_PRELU && !g.slope.data) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "the fused PRelu has no slope");
    for (int64_t i = 0; i < y->dims[0]; i++)
        for (int64_t j = 0; j < y->dims[1]; j += KERB_REF_BLOCK)
            gemm_block(&g, i, j, (int)(y->dims[1] - j < KERB_REF_BLOCK ? y->dims[1] - j : KERB_REF_BLOCK));
    return KERB_OK;
}
