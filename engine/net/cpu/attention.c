/* SPDX-License-Identifier: MIT */
/* Attention in one step: MatMul -> (scale) -> Softmax over the last axis -> (Transpose) -> MatMul. The scores of a few queries at a time
 * stay in the second-level cache; the whole matrix (3,600 x 3,600 in TwinLiteNet: 52 MB) is never written. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/matmul.h"

typedef struct KerbAttention {
    int64_t queries, keys, depth, values;                      /* scores: queries x keys, over `depth`; result: queries x values */
    int64_t q_row, q_column, k_row, k_column, v_row, v_column; /* strides; k as depth x keys, v as keys x values */
    int64_t y_step;
    float scale;
    int rows, tasks; /* queries a task */
    size_t q_floats, k_floats, v_floats, scores_floats;
} KerbAttention;
typedef struct KerbAttentionRun {
    KerbNet *net;
    KerbStep *step;
} KerbAttentionRun;

static float *kerb_attention_q(const KerbStep *step)
{
    return step->scratch;
}
static float *kerb_attention_k(const KerbStep *step)
{
    return kerb_attention_q(step) + ((const KerbAttention *)step->state)->q_floats;
}
static float *kerb_attention_v(const KerbStep *step)
{
    return kerb_attention_k(step) + ((const KerbAttention *)step->state)->k_floats;
}
static float *kerb_attention_scores(const KerbStep *step)
{
    return kerb_attention_v(step) + ((const KerbAttention *)step->state)->v_floats;
}

static void kerb_attention_pack_k(void *arg, int index, int thread)
{
    const KerbAttentionRun *r = arg;
    const KerbAttention *a = r->step->state;
    const int width = 2 * r->net->k->lanes;
    int64_t begin = (int64_t)index * width, columns = a->keys - begin < width ? a->keys - begin : width;
    kerb_product_pack(r->net->k, r->step->operands[1].t.data, a->k_row, a->k_column, a->depth, begin, columns,
                      kerb_attention_k(r->step) + begin * a->depth);
}
static void kerb_attention_pack_v(void *arg, int index, int thread)
{
    const KerbAttentionRun *r = arg;
    const KerbAttention *a = r->step->state;
    const int width = 2 * r->net->k->lanes;
    int64_t begin = (int64_t)index * width, columns = a->values - begin < width ? a->values - begin : width;
    kerb_product_pack(r->net->k, r->step->operands[2].t.data, a->v_row, a->v_column, a->keys, begin, columns,
                      kerb_attention_v(r->step) + begin * a->keys);
}

static void kerb_attention_task(void *arg, int index, int thread)
{
    const KerbAttentionRun *r = arg;
    const KerbAttention *a = r->step->state;
    const KerbCpuKernels *k = r->net->k;
    const int64_t begin = (int64_t)index * a->rows, rows = a->queries - begin < a->rows ? a->queries - begin : a->rows;
    const float *q = r->step->operands[0].t.data;
    float *queries = kerb_attention_q(r->step) + (size_t)thread * (size_t)(a->rows * a->depth);
    float *scores = kerb_attention_scores(r->step) + (size_t)thread * a->scores_floats;
    float *y = (float *)r->step->operands[3].t.data + begin * a->y_step;
    float sums[KERB_TILE_ROWS_MAX];
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t d = 0; d < a->depth; d++) queries[i * a->depth + d] = a->scale * q[(begin + i) * a->q_row + d * a->q_column];
    }
    kerb_product_rows(k, queries, a->depth, rows, kerb_attention_k(r->step), a->depth, a->keys, scores, a->keys, NULL);
    for (int64_t i = 0; i < rows; i++) sums[i] = k->exponentials(scores + i * a->keys, (size_t)a->keys);
    kerb_product_rows(k, scores, a->keys, rows, kerb_attention_v(r->step), a->keys, a->values, y, a->y_step, NULL);
    for (int64_t i = 0; i < rows; i++) k->scale(y + i * a->y_step, (size_t)a->values, 1.0f / sums[i]);
}

static KerbStatus kerb_attention_run(KerbNet *net, KerbStep *step)
{
    const KerbAttention *a = step->state;
    KerbAttentionRun run = {net, step};
    const int width = 2 * net->k->lanes;
    kerb_cpu_parallel(net, (int)((a->keys + width - 1) / width), (double)(a->keys * a->depth), kerb_attention_pack_k, &run);
    kerb_cpu_parallel(net, (int)((a->values + width - 1) / width), (double)(a->keys * a->values), kerb_attention_pack_v, &run);
    const double cost = (double)(a->queries * a->keys) * (double)(a->depth + a->values + 16) / 32;
    kerb_cpu_parallel(net, a->tasks, cost, kerb_attention_task, &run);
    return KERB_OK;
}
static const KerbStepKind kerb_attention_step = {"attention", NULL, kerb_attention_run, NULL};

/* ---- the pattern ---- */

typedef struct KerbAttentionNodes {
    const KerbNode *scores, *scale, *softmax, *transpose, *result; /* scale, transpose: NULL where there is none */
    bool flipped;                                                  /* the probabilities are the right side, transposed */
    float factor;
} KerbAttentionNodes;

/* The node that computes `value` if nobody else reads it. */
static const KerbNode *kerb_attention_only(const KerbCompiler *c, uint32_t value)
{
    if (value == KERB_NO_VALUE || c->readers[value] != 1 || c->g->values[value].producer == KERB_NO_NODE) return NULL;
    return &c->g->nodes[c->g->values[value].producer];
}

static bool kerb_attention_flips(const KerbNode *n, int rank)
{
    if (n->op != KERB_OP_TRANSPOSE || n->attrs.transpose.n != rank) return false;
    for (int i = 0; i < rank - 2; i++) {
        if (n->attrs.transpose.perm[i] != i) return false;
    }
    return n->attrs.transpose.perm[rank - 2] == rank - 1 && n->attrs.transpose.perm[rank - 1] == rank - 2;
}

static bool kerb_attention_match(const KerbCompiler *c, const KerbNode *n, KerbAttentionNodes *m)
{
    if (n->op != KERB_OP_MATMUL || n->dead) return false;
    for (int side = 0; side < 2; side++) {
        *m = (KerbAttentionNodes){.result = n, .flipped = side == 1, .factor = 1};
        const KerbNode *p = kerb_attention_only(c, n->inputs[side]);
        if (p && side == 1) {
            if (!kerb_attention_flips(p, c->g->values[p->outputs[0]].rank)) continue;
            m->transpose = p;
            p = kerb_attention_only(c, p->inputs[0]);
        }
        if (!p || p->op != KERB_OP_SOFTMAX || p->attrs.softmax.log) continue;
        const KerbValue *s = &c->g->values[p->outputs[0]];
        if (s->dtype != KERB_F32 || (p->attrs.softmax.axis != -1 && p->attrs.softmax.axis != s->rank - 1)) continue;
        m->softmax = p;
        p = kerb_attention_only(c, p->inputs[0]);
        if (p && p->op == KERB_OP_BINARY && (p->attrs.binary.kind == KERB_BINARY_MUL || p->attrs.binary.kind == KERB_BINARY_DIV) &&
            p->attrs.binary.act.kind == KERB_ACT_NONE && kerb_value_floats(&c->g->values[p->inputs[1]], &m->factor, 1) == 1) {
            if (p->attrs.binary.kind == KERB_BINARY_DIV) m->factor = 1 / m->factor;
            m->scale = p;
            p = kerb_attention_only(c, p->inputs[0]);
        }
        if (!p || p->op != KERB_OP_MATMUL) continue;
        m->scores = p;
        for (int i = 0; i < s->rank - 2; i++) {
            if (s->dims[i] != 1) return false; /* one picture at a time */
        }
        const KerbValue *other = &c->g->values[n->inputs[1 - side]];
        return c->g->values[p->inputs[0]].dtype == KERB_F32 && other->dtype == KERB_F32 && other->rank >= 2 &&
               c->g->values[n->outputs[0]].rank == s->rank && s->dims[s->rank - 1] >= 64;
    }
    return false;
}

void kerb_cpu_plan_attention(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        KerbAttentionNodes m;
        if (!kerb_attention_match(c, &c->g->nodes[i], &m)) continue;
        const KerbNode *parts[] = {m.scores, m.scale, m.softmax, m.transpose};
        for (int j = 0; j < 4; j++) {
            if (parts[j]) c->fused_into[parts[j] - c->g->nodes] = (uint32_t)i;
        }
    }
}

/* The last two axes of an operand, in the order row, column. */
static void kerb_attention_strides(const KerbOperand *o, bool flip, int64_t *row, int64_t *column)
{
    *row = o->t.strides[o->t.rank - (flip ? 1 : 2)];
    *column = o->t.strides[o->t.rank - (flip ? 2 : 1)];
}

KerbStatus kerb_cpu_compile_attention(KerbCompiler *c, const KerbNode *n, bool *done)
{
    KerbAttentionNodes m;
    if (!kerb_attention_match(c, n, &m) || c->fused_into[m.softmax - c->g->nodes] != (uint32_t)c->node) return KERB_OK;
    *done = true;
    const KerbValue *s = &c->g->values[m.softmax->outputs[0]], *y = &c->g->values[n->outputs[0]];
    KerbAttention *a = kerb_cpu_object(c, sizeof *a);
    if (!a) return KERB_ERROR_MEMORY;
    KerbOperand o[4] = {kerb_cpu_value(c, m.scores->inputs[0]), kerb_cpu_value(c, m.scores->inputs[1]),
                        kerb_cpu_value(c, n->inputs[m.flipped ? 0 : 1])};
    a->scale = m.factor;
    a->queries = s->dims[s->rank - 2];
    a->keys = s->dims[s->rank - 1];
    a->depth = o[0].t.dims[o[0].t.rank - 1];
    a->values = m.flipped ? y->dims[y->rank - 2] : y->dims[y->rank - 1];
    kerb_attention_strides(&o[0], false, &a->q_row, &a->q_column);
    kerb_attention_strides(&o[1], false, &a->k_row, &a->k_column);
    kerb_attention_strides(&o[2], m.flipped, &a->v_row, &a->v_column);
    /* A query's results are a run in any case: the flipped product gets strides that say so, and is a channels-last picture after a
     * reshape. */
    KerbTensor t = kerb_tensor(NULL, KERB_F32, y->rank, y->dims);
    if (m.flipped) {
        t.strides[y->rank - 2] = 1;
        t.strides[y->rank - 1] = a->values;
    }
    KerbStatus status = kerb_cpu_temporary(c, &t, &o[3]);
    if (status) return status;
    const bool slot = c->slot[n->outputs[0]] != KERB_NO_VALUE; /* a concatenation waits for it: copied there */
    if (!slot) kerb_cpu_alias(c, n->outputs[0], &o[3], &t, 0);
    a->y_step = a->values;
    a->rows = c->net->k->tile_rows;
    a->tasks = (int)((a->queries + a->rows - 1) / a->rows);
    const size_t threads = (size_t)c->net->threads;
    a->q_floats = threads * (size_t)(a->rows * a->depth) + KERB_LANES_MAX;
    a->k_floats = kerb_product_packed_floats(c->net->k, a->depth, a->keys);
    a->v_floats = kerb_product_packed_floats(c->net->k, a->keys, a->values);
    a->scores_floats = (size_t)(a->rows * a->keys) + KERB_LANES_MAX;
    KerbStep *step = kerb_cpu_step(c, &kerb_attention_step, n, o, 4,
                                   (a->q_floats + a->k_floats + a->v_floats + threads * a->scores_floats) * sizeof(float));
    if (!step) return KERB_ERROR_MEMORY;
    step->state = a;
    kerb_cpu_label(c, step, "attention %dx%d depth %d values %d", (int)a->queries, (int)a->keys, (int)a->depth, (int)a->values);
    KerbOperand target;
    if (!slot) return KERB_OK;
    status = kerb_cpu_place(c, n->outputs[0], &target);
    return status ? status : kerb_cpu_copy(c, n, &o[3], &target);
}
