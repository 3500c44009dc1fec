/* SPDX-License-Identifier: MIT */
/* Items of matrix products: four rows by eight columns of the result each, columns first. */
#ifndef KERB_CUDA_NET_KERNEL_MATMUL_H
#define KERB_CUDA_NET_KERNEL_MATMUL_H

#include "cuda/net/kernel_item.h"

#define KERB_MATMUL_ROWS 4

KERB_ITEM int64_t kerb_items_matmul(const KerbMatmulArgs *a)
{
    if (a->m <= 0 || a->n <= 0) return 0;
    int64_t n = (((int64_t)a->m + KERB_MATMUL_ROWS - 1) / KERB_MATMUL_ROWS) * (((int64_t)a->n + 7) / 8);
    for (int axis = 0; axis < a->batch_rank && n <= INT32_MAX; axis++) n *= a->batch_dims[axis];
    return n;
}

/* Eight elements, `step` apart; those past n are 0. */
KERB_ITEM KerbEight kerb_matrix_load8(const void *data, int type, int64_t at, int64_t step, int n)
{
    return step == 1 ? kerb_load8(data, type, at, n) : kerb_load8_slow(data, type, at, step, n);
}

/* Offsets of the item's matrices. */
typedef struct KerbMatmulPlace {
    int64_t a, b, c, y;
    int row, column;
} KerbMatmulPlace;

KERB_ITEM KerbMatmulPlace kerb_matmul_place(const KerbMatmulArgs *g, int i)
{
    int columns = (g->n + 7) / 8, rows = (g->m + KERB_MATMUL_ROWS - 1) / KERB_MATMUL_ROWS, rest = i / columns, batch = rest / rows;
    KerbMatmulPlace p = { 0, 0, 0, 0, (rest - batch * rows) * KERB_MATMUL_ROWS, (i - rest * columns) * 8 };
    KERB_ROLLED for (int axis = g->batch_rank - 1; axis >= 0; axis--) {
        int outer = batch / g->batch_dims[axis], at = batch - outer * g->batch_dims[axis];
        p.a += at * g->a.batch[axis];
        p.b += at * g->b.batch[axis];
        p.c += at * g->c.batch[axis];
        p.y += at * g->y.batch[axis];
        batch = outer;
    }
    return p;
}

typedef struct KerbMatmulSums {
    KerbEight row[KERB_MATMUL_ROWS];
} KerbMatmulSums;

/* Adds depth k..k+n-1. */
KERB_ITEM void kerb_matmul_step(const KerbMatmulArgs *g, const KerbMatmulPlace *p, int k, int n, KerbMatmulSums *sums)
{
    int columns = kerb_min(8, g->n - p->column);
    KerbEight a[KERB_MATMUL_ROWS];
    KERB_UNROLL for (int r = 0; r < KERB_MATMUL_ROWS; r++) {
        int64_t at = p->a + (p->row + r) * g->a.row + k * g->a.column;
        a[r] = kerb_matrix_load8(g->a.data, g->a.type, at, g->a.column, p->row + r < g->m ? n : 0);
    }
    if (g->b.row == 1 && g->b.column != 1) { /* b's columns lie together: eight of the depth at a time */
        KERB_UNROLL for (int j = 0; j < 8; j++) {
            KerbEight b = kerb_load8(g->b.data, g->b.type, p->b + k + (p->column + j) * g->b.column, j < columns ? n : 0);
            KERB_UNROLL for (int r = 0; r < KERB_MATMUL_ROWS; r++) KERB_LANES sums->row[r].v[j] = sums->row[r].v[j] + a[r].v[l] * b.v[l];
        }
    } else {
        KERB_LANES {
            if (l >= n) continue;
            KerbEight b =
                kerb_matrix_load8(g->b.data, g->b.type, p->b + (k + l) * g->b.row + p->column * g->b.column, g->b.column, columns);
            KERB_UNROLL for (int r = 0; r < KERB_MATMUL_ROWS; r++)
                KERB_UNROLL for (int j = 0; j < 8; j++) sums->row[r].v[j] = sums->row[r].v[j] + a[r].v[l] * b.v[j];
        }
    }
}

KERB_ITEM void kerb_matmul_finish(const KerbMatmulArgs *g, const KerbMatmulPlace *p, int row, KerbEight e)
{
    int n = kerb_min(8, g->n - p->column);
    KERB_LANES e.v[l] = g->alpha * e.v[l];
    if (g->c.data) {
        KerbEight c = kerb_matrix_load8(g->c.data, g->c.type, p->c + row * g->c.row + p->column * g->c.column, g->c.column, n);
        KERB_LANES e.v[l] = e.v[l] + g->beta * c.v[l];
    }
    e = kerb_act8(&g->act, e, p->column, n);
    int64_t to = p->y + row * g->y.row + p->column * g->y.column;
    if (g->y.column == 1) kerb_store8((void *)g->y.data, g->y.type, to, e, n, n);
    else kerb_store8_slow((void *)g->y.data, g->y.type, to, g->y.column, e, n);
}

KERB_ITEM void kerb_item_matmul(const KerbMatmulArgs *g, int i)
{
    KerbMatmulPlace p = kerb_matmul_place(g, i);
    KerbMatmulSums sums;
    KERB_UNROLL for (int r = 0; r < KERB_MATMUL_ROWS; r++) KERB_LANES sums.row[r].v[l] = 0.0f;
    KERB_ROLLED for (int k = 0; k < g->k; k += 8) kerb_matmul_step(g, &p, k, kerb_min(8, g->k - k), &sums);
    KERB_ROLLED for (int r = 0; r < KERB_MATMUL_ROWS && p.row + r < g->m; r++) { /* sums move along */
        kerb_matmul_finish(g, &p, p.row + r, sums.row[0]);
        KERB_UNROLL for (int k = 0; k < KERB_MATMUL_ROWS - 1; k++) sums.row[k] = sums.row[k + 1];
    }
}

#endif
