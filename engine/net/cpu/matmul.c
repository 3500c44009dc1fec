/* SPDX-License-Identifier: MIT */
/* Matrix products through the tile kernel: MatMul and Gemm. The right side is packed into blocks of columns, once if it is constant, else
 * at every run; the left side is read in place where its rows are runs. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/matmul.h"

size_t kerb_product_packed_floats(const KerbCpuKernels *k, int64_t depth, int64_t columns)
{
    return (size_t)depth * (size_t)((columns + k->lanes - 1) / k->lanes * k->lanes) + 2 * KERB_LANES_MAX;
}

void kerb_product_pack(const KerbCpuKernels *k, const float *b, int64_t row_stride, int64_t column_stride, int64_t depth, int64_t begin,
                       int64_t columns, float *out)
{
    const int width = columns > k->lanes ? 2 * k->lanes : k->lanes;
    b += begin * column_stride;
    for (int64_t d = 0; d < depth; d++, out += width) {
        for (int64_t i = 0; i < columns; i++) out[i] = b[d * row_stride + i * column_stride];
        for (int64_t i = columns; i < width; i++) out[i] = 0;
    }
}

void kerb_product_rows(const KerbCpuKernels *k, const float *a, int64_t a_step, int64_t rows, const float *packed, int64_t depth,
                       int64_t columns, float *y, int64_t y_step, const KerbEpilogue *epilogue)
{
    const KerbTap tap = {0, 0};
    for (int64_t begin = 0; begin < columns; begin += 2 * k->lanes) {
        int count = columns - begin < 2 * k->lanes ? (int)(columns - begin) : 2 * k->lanes;
        KerbEpilogue e = {0};
        if (epilogue) {
            e = *epilogue;
            e.bias = e.bias ? e.bias + begin : NULL;
            e.slope = e.slope ? e.slope + begin : NULL;
        }
        KerbTile t = {.source = a,
                      .source_step = a_step,
                      .taps = &tap,
                      .n_taps = 1,
                      .depth = (int)depth,
                      .weights = packed + begin * depth,
                      .target = y + begin,
                      .target_step = y_step,
                      .columns = count,
                      .epilogue = epilogue ? &e : NULL};
        for (int64_t left = rows; left > 0;) {
            int n = left < k->tile_rows ? (int)left : k->tile_rows;
            k->tile(&t, n);
            left -= n;
            t.source += n * a_step;
            t.target += n * y_step;
        }
    }
}

typedef struct KerbProduct {
    int64_t batch, m, n, depth;
    int64_t a_batch, a_row, b_batch, b_row, b_column;
    const float *packed; /* a constant right side */
    size_t packed_floats;
    KerbEpilogue epilogue; /* bias by column */
    float alpha;
    int row_tasks, rows_a_task, column_tasks;
} KerbProduct;
typedef struct KerbProductRun {
    KerbNet *net;
    KerbStep *step;
    int64_t batch;
} KerbProductRun;

static void kerb_product_pack_task(void *arg, int index, int thread)
{
    const KerbProductRun *r = arg;
    const KerbProduct *p = r->step->state;
    const KerbCpuKernels *k = r->net->k;
    int64_t begin = (int64_t)index * 2 * k->lanes, columns = p->n - begin < 2 * k->lanes ? p->n - begin : 2 * k->lanes;
    const float *b = (const float *)r->step->operands[1].t.data + r->batch * p->b_batch;
    kerb_product_pack(k, b, p->b_row, p->b_column, p->depth, begin, columns, (float *)r->step->scratch + begin * p->depth);
}
static void kerb_product_task(void *arg, int index, int thread)
{
    const KerbProductRun *r = arg;
    const KerbProduct *p = r->step->state;
    int64_t begin = (int64_t)index * p->rows_a_task, rows = p->m - begin < p->rows_a_task ? p->m - begin : p->rows_a_task;
    const float *a = (const float *)r->step->operands[0].t.data + r->batch * p->a_batch + begin * p->a_row;
    float *y = (float *)r->step->operands[2].t.data + (r->batch * p->m + begin) * p->n;
    kerb_product_rows(r->net->k, a, p->a_row, rows, p->packed ? p->packed : r->step->scratch, p->depth, p->n, y, p->n, &p->epilogue);
    if (p->alpha != 1) r->net->k->scale(y, (size_t)(rows * p->n), p->alpha);
}
static KerbStatus kerb_product_run(KerbNet *net, KerbStep *step)
{
    const KerbProduct *p = step->state;
    KerbProductRun run = {net, step, 0};
    const double cost = 2.0 * (double)(p->m * p->n) * (double)p->depth / 50;
    for (; run.batch < p->batch; run.batch++) {
        if (!p->packed) kerb_cpu_parallel(net, p->column_tasks, (double)(p->n * p->depth), kerb_product_pack_task, &run);
        kerb_cpu_parallel(net, p->row_tasks, cost, kerb_product_task, &run);
    }
    return KERB_OK;
}
static const KerbStepKind kerb_product_step = {"product", NULL, kerb_product_run, NULL};

/* Batch axes merged into one evenly spaced one; false: they are not. Broadcast sides have stride 0. */
static bool kerb_product_batch(const KerbTensor *t, int rank, const int64_t dims[], int64_t *stride)
{
    int64_t count = 1;
    *stride = 0;
    for (int i = rank - 3; i >= 0; i--) {
        int at = i - (rank - t->rank);
        if (dims[i] == 1) continue;
        int64_t s = at >= 0 && t->dims[at] != 1 ? t->strides[at] : 0;
        if (count == 1)
            *stride = s;
        else if (s != *stride * count)
            return false;
        count *= dims[i];
    }
    return true;
}

static KerbStatus kerb_product_dense(KerbCompiler *c, const KerbNode *n, KerbOperand *o)
{
    KerbOperand from = *o;
    KerbTensor t = kerb_tensor(NULL, KERB_F32, from.t.rank, from.t.dims);
    KerbStatus status = kerb_cpu_temporary(c, &t, o);
    return status ? status : kerb_cpu_copy(c, n, &from, o);
}

static KerbStatus kerb_product_build(KerbCompiler *c, const KerbNode *n, KerbOperand *a, KerbOperand *b, const KerbValue *y, KerbProduct *p)
{
    KerbStatus status;
    /* Rows of the left side must be runs of `depth`. */
    const int ra = a->t.rank;
    if (a->t.strides[ra - 1] != 1 && a->t.dims[ra - 1] > 1 && (status = kerb_product_dense(c, n, a))) return status;
    if (!kerb_product_batch(&a->t, y->rank, y->dims, &p->a_batch)) {
        if ((status = kerb_product_dense(c, n, a))) return status;
        if (!kerb_product_batch(&a->t, y->rank, y->dims, &p->a_batch)) return KERB_ERROR_INTERNAL;
    }
    if (!kerb_product_batch(&b->t, y->rank, y->dims, &p->b_batch)) {
        if ((status = kerb_product_dense(c, n, b))) return status;
        if (!kerb_product_batch(&b->t, y->rank, y->dims, &p->b_batch)) return KERB_ERROR_INTERNAL;
    }
    p->a_row = a->t.strides[ra - 2];
    p->b_row = b->t.strides[b->t.rank - 2];
    p->b_column = b->t.strides[b->t.rank - 1];
    return KERB_OK;
}

static void kerb_product_tasks(KerbCompiler *c, KerbProduct *p)
{
    const int rows = c->net->k->tile_rows;
    int64_t share = (p->m + c->net->threads * 2 - 1) / (c->net->threads * 2);
    p->rows_a_task = (int)((share + rows - 1) / rows * rows);
    p->row_tasks = (int)((p->m + p->rows_a_task - 1) / p->rows_a_task);
    p->column_tasks = (int)((p->n + 2 * c->net->k->lanes - 1) / (2 * c->net->k->lanes));
}

/* A constant right side of a single batch is packed now. */
static KerbStatus kerb_product_pack_constant(KerbCompiler *c, const KerbOperand *b, KerbProduct *p)
{
    const KerbCpuKernels *k = c->net->k;
    float *packed = kerb_cpu_block(c, p->packed_floats * sizeof(float));
    if (!packed) return KERB_ERROR_MEMORY;
    for (int64_t begin = 0; begin < p->n; begin += 2 * k->lanes) {
        int64_t columns = p->n - begin < 2 * k->lanes ? p->n - begin : 2 * k->lanes;
        kerb_product_pack(k, b->t.data, p->b_row, p->b_column, p->depth, begin, columns, packed + begin * p->depth);
    }
    p->packed = packed;
    return KERB_OK;
}

static KerbStatus kerb_product_finish(KerbCompiler *c, const KerbNode *n, KerbOperand o[3], KerbProduct *p)
{
    KerbStatus status;
    kerb_product_tasks(c, p);
    p->packed_floats = kerb_product_packed_floats(c->net->k, p->depth, p->n);
    if (o[1].root == KERB_NO_ROOT && p->batch == 1 && (status = kerb_product_pack_constant(c, &o[1], p))) return status;
    KerbOperand target;
    if ((status = kerb_cpu_place(c, n->outputs[0], &target))) return status;
    o[2] = target;
    if (!kerb_tensor_is_dense(&target.t) || target.t.dtype != KERB_F32) { /* a rank-4 product: pictures lie otherwise */
        KerbTensor t = kerb_tensor(NULL, KERB_F32, target.t.rank, target.t.dims);
        if ((status = kerb_cpu_temporary(c, &t, &o[2]))) return status;
    }
    KerbStep *step = kerb_cpu_step(c, &kerb_product_step, n, o, 3, p->packed ? 0 : p->packed_floats * sizeof(float));
    if (!step) return KERB_ERROR_MEMORY;
    step->state = p;
    kerb_cpu_label(c, step, "product %dx%d depth %d", (int)p->m, (int)p->n, (int)p->depth);
    return o[2].root == target.root ? KERB_OK : kerb_cpu_copy(c, n, &o[2], &target);
}

static KerbStatus kerb_compile_gemm(KerbCompiler *c, const KerbNode *n, bool *done)
{
    const KerbValue *y = &c->g->values[n->outputs[0]], *bias = kerb_node_input(c->g, n, 2);
    int64_t size = 1;
    for (int i = 0; bias && i < bias->rank; i++) size *= bias->dims[i];
    bool by_column = bias && kerb_value_is_constant(bias) && size == y->dims[1] && (bias->rank < 1 || bias->dims[bias->rank - 1] == size);
    KerbCpuAct act;
    KerbProduct *p = kerb_cpu_object(c, sizeof *p);
    if (!p) return KERB_ERROR_MEMORY;
    if ((bias && (!by_column || n->attrs.gemm.beta != 1 || n->attrs.gemm.alpha != 1)) ||
        !kerb_cpu_act(c, &n->attrs.gemm.act, (int)y->dims[1], &act) || !kerb_cpu_act_is_plain(&act) ||
        (n->attrs.gemm.alpha != 1 && n->attrs.gemm.act.kind != KERB_ACT_NONE)) {
        return KERB_OK;
    }
    *done = true;
    KerbOperand o[3] = {kerb_cpu_value(c, n->inputs[0]), kerb_cpu_value(c, n->inputs[1])};
    for (int i = 0; i < 2; i++) {
        if (!(i ? n->attrs.gemm.trans_b : n->attrs.gemm.trans_a)) continue;
        KerbTensor t = o[i].t;
        for (int j = 0; j < 2; j++) {
            o[i].t.dims[j] = t.dims[1 - j];
            o[i].t.strides[j] = t.strides[1 - j];
        }
    }
    *p = (KerbProduct){
        .batch = 1, .m = y->dims[0], .n = y->dims[1], .depth = o[0].t.dims[1], .epilogue = act.finish, .alpha = n->attrs.gemm.alpha};
    if (bias && !(p->epilogue.bias = kerb_cpu_floats(c, n->inputs[2], (size_t)size + 2 * KERB_LANES_MAX))) return KERB_ERROR_MEMORY;
    KerbStatus status = kerb_product_build(c, n, &o[0], &o[1], y, p);
    return status ? status : kerb_product_finish(c, n, o, p);
}

KerbStatus kerb_cpu_compile_matmul(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_MATMUL && n->op != KERB_OP_GEMM) return KERB_OK;
    const KerbValue *a = kerb_node_input(c->g, n, 0), *b = kerb_node_input(c->g, n, 1), *y = &c->g->values[n->outputs[0]];
    if (a->dtype != KERB_F32 || b->dtype != KERB_F32 || a->rank < 2 || b->rank < 2) return KERB_OK;
    KerbOperand o[3] = {kerb_cpu_value(c, n->inputs[0]), kerb_cpu_value(c, n->inputs[1])};
    if (o[0].t.dtype != KERB_F32 || o[1].t.dtype != KERB_F32 || kerb_tensor_elements(&o[0].t) < 1 || kerb_tensor_elements(&o[1].t) < 1)
        return KERB_OK;
    if (n->op == KERB_OP_GEMM) return kerb_compile_gemm(c, n, done);
    *done = true;
    KerbProduct *p = kerb_cpu_object(c, sizeof *p);
    if (!p) return KERB_ERROR_MEMORY;
    *p = (KerbProduct){.batch = 1, .m = y->dims[y->rank - 2], .n = y->dims[y->rank - 1], .depth = a->dims[a->rank - 1], .alpha = 1};
    for (int i = 0; i < y->rank - 2; i++) p->batch *= y->dims[i];
    KerbStatus status = kerb_product_build(c, n, &o[0], &o[1], y, p);
    return status ? status : kerb_product_finish(c, n, o, p);
}
