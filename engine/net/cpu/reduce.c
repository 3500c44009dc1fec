/* SPDX-License-Identifier: MIT */
/* Sum and mean of pictures over height and width (global pooling), and softmax over channels or the last axis. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"

typedef struct KerbRows { /* softmax: `rows` rows of n floats; reduction: pixels x channels of each image */
    int64_t rows, n, step, target_step;
    bool mean, log;
    int parts;
} KerbRows;
typedef struct KerbRowsRun {
    KerbNet *net;
    const KerbStep *step;
} KerbRowsRun;

/* ---- reduction over height and width ---- */

static void kerb_reduce_part(void *arg, int index, int thread)
{
    const KerbRowsRun *r = arg;
    const KerbRows *s = r->step->state;
    const KerbTensor *x = &r->step->operands[0].t;
    const int64_t image = index / s->parts, part = index % s->parts, pixels = x->dims[2] * x->dims[3];
    float *sum = (float *)r->step->scratch + (size_t)index * (size_t)s->n,
          *row = (float *)r->step->scratch + (size_t)s->rows * (size_t)s->parts * (size_t)s->n + (size_t)thread * (size_t)s->n;
    memset(sum, 0, (size_t)s->n * sizeof *sum);
    for (int64_t p = pixels * part / s->parts; p < pixels * (part + 1) / s->parts; p++) {
        int64_t at = (image * pixels + p) * s->step;
        if (x->dtype == KERB_BF16) r->net->k->to_f32(row, (const uint16_t *)x->data + at, (size_t)s->n);
        r->net->k->accumulate(sum, x->dtype == KERB_BF16 ? row : (const float *)x->data + at, (size_t)s->n);
    }
}
static KerbStatus kerb_reduce_run(KerbNet *net, KerbStep *step)
{
    const KerbRows *s = step->state;
    const KerbTensor *x = &step->operands[0].t;
    KerbOperand *y = &step->operands[1];
    KerbRowsRun run = {net, step};
    const int64_t pixels = x->dims[2] * x->dims[3];
    kerb_cpu_parallel(net, (int)(s->rows * s->parts), (double)pixels * (double)(s->n * s->rows) / 8, kerb_reduce_part, &run);
    for (int64_t i = 0; i < s->rows; i++) {
        float *sum = (float *)step->scratch + i * s->parts * s->n;
        for (int p = 1; p < s->parts; p++) net->k->accumulate(sum, sum + p * s->n, (size_t)s->n);
        if (s->mean) net->k->scale(sum, (size_t)s->n, 1.0f / (float)pixels);
        if (y->t.dtype == KERB_BF16)
            net->k->to_bf16((uint16_t *)y->t.data + i * s->target_step, sum, (size_t)s->n);
        else
            memcpy((float *)y->t.data + i * s->target_step, sum, (size_t)s->n * sizeof *sum);
    }
    return KERB_OK;
}
static const KerbStepKind kerb_reduce_step = {"reduce", NULL, kerb_reduce_run, NULL};

bool kerb_cpu_reduces_picture(const KerbGraph *g, const KerbNode *n)
{
    int64_t axes[KERB_MAX_RANK];
    if (kerb_node_input(g, n, 0)->rank != 4) return false;
    if (n->attrs.reduce.spatial) return true;
    if (!kerb_node_input(g, n, 1) || kerb_value_integers(kerb_node_input(g, n, 1), axes, KERB_MAX_RANK) != 2) return false;
    const int64_t a = axes[0] < 0 ? axes[0] + 4 : axes[0], b = axes[1] < 0 ? axes[1] + 4 : axes[1];
    return a + b == 5 && a * b == 6;
}

KerbStatus kerb_cpu_compile_reduce(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_REDUCE || (n->attrs.reduce.kind != KERB_REDUCE_MEAN && n->attrs.reduce.kind != KERB_REDUCE_SUM)) return KERB_OK;
    const KerbValue *x = kerb_node_input(c->g, n, 0), *y = &c->g->values[n->outputs[0]];
    if (x->dtype != KERB_F32 || !kerb_cpu_reduces_picture(c->g, n)) return KERB_OK;
    if (x->dims[2] * x->dims[3] < 1 || x->dims[0] * x->dims[1] < 1 || x->dims[0] > 64) return KERB_OK;
    *done = true;
    KerbOperand o[2];
    KerbStatus status = kerb_cpu_picture(c, n->inputs[0], KERB_DTYPE_NONE, &o[0]);
    if (!status) status = kerb_cpu_place(c, n->outputs[0], &o[1]);
    if (status) return status;
    KerbRows *s = kerb_cpu_object(c, sizeof *s);
    if (!s) return KERB_ERROR_MEMORY;
    *s = (KerbRows){.rows = x->dims[0],
                    .n = x->dims[1],
                    .step = o[0].t.strides[3],
                    .mean = n->attrs.reduce.kind == KERB_REDUCE_MEAN,
                    .parts = c->net->threads * 2};
    s->target_step = y->rank == 4 ? o[1].t.strides[3] : s->n;
    size_t scratch = (size_t)(s->rows * s->parts + c->net->threads) * (size_t)s->n * sizeof(float);
    KerbStep *step = kerb_cpu_step(c, &kerb_reduce_step, n, o, 2, scratch);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = s;
    kerb_cpu_label(c, step, "global %s %d %dx%d", s->mean ? "mean" : "sum", (int)s->n, (int)x->dims[3], (int)x->dims[2]);
    return KERB_OK;
}

/* ---- softmax ---- */

static void kerb_softmax_task(void *arg, int index, int thread)
{
    const KerbRowsRun *r = arg;
    const KerbRows *s = r->step->state;
    const KerbCpuKernels *k = r->net->k;
    for (int64_t row = s->rows * index / s->parts; row < s->rows * (index + 1) / s->parts; row++) {
        const float *x = (const float *)r->step->operands[0].t.data + row * s->step;
        float *y = (float *)r->step->operands[1].t.data + row * s->target_step;
        if (x != y) memcpy(y, x, (size_t)s->n * sizeof *y);
        k->scale(y, (size_t)s->n, 1.0f / k->exponentials(y, (size_t)s->n));
    }
}
static KerbStatus kerb_softmax_run(KerbNet *net, KerbStep *step)
{
    const KerbRows *s = step->state;
    KerbRowsRun run = {net, step};
    kerb_cpu_parallel(net, s->parts, (double)(s->rows * s->n) / 2, kerb_softmax_task, &run);
    return KERB_OK;
}
static const KerbStepKind kerb_softmax_step = {"softmax", NULL, kerb_softmax_run, NULL};

/* Rows of a tensor along its fastest axis: how far apart they are; 0: not evenly spaced. */
static int64_t kerb_softmax_step_of(const KerbTensor *t, int64_t axis)
{
    if (axis == 1 && kerb_cpu_is_picture(t)) return t->strides[3];
    return axis == t->rank - 1 && kerb_tensor_is_dense(t) ? t->dims[axis] : 0;
}

KerbStatus kerb_cpu_compile_softmax(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->op != KERB_OP_SOFTMAX || n->attrs.softmax.log) return KERB_OK;
    const KerbValue *x = kerb_node_input(c->g, n, 0);
    int64_t axis = n->attrs.softmax.axis < 0 ? n->attrs.softmax.axis + x->rank : n->attrs.softmax.axis;
    KerbOperand o[2] = {kerb_cpu_value(c, n->inputs[0])};
    if (x->dtype != KERB_F32 || x->rank < 1 || kerb_tensor_elements(&o[0].t) < 1) return KERB_OK;
    bool picture = x->rank == 4 && axis == 1;
    if (n->attrs.softmax.flatten && axis != x->rank - 1) return KERB_OK; /* over several axes together */
    if (!picture && (axis != x->rank - 1 || x->rank == 4)) return KERB_OK;
    *done = true;
    KerbStatus status = KERB_OK;
    if (picture)
        status = kerb_cpu_picture(c, n->inputs[0], KERB_F32, &o[0]);
    else if (!kerb_tensor_is_dense(&o[0].t)) {
        KerbOperand from = o[0];
        KerbTensor t = kerb_tensor(NULL, KERB_F32, x->rank, x->dims);
        if (!(status = kerb_cpu_temporary(c, &t, &o[0]))) status = kerb_cpu_copy(c, n, &from, &o[0]);
    }
    if (!status) status = kerb_cpu_place_over(c, n->outputs[0], &o[0], 1, &o[1]);
    if (status) return status;
    KerbOperand target = o[1]; /* softmax in f32; a bf16 place gets a conversion */
    if (o[1].t.dtype != KERB_F32) {
        KerbTensor t = o[0].t;
        if ((status = kerb_cpu_temporary(c, &t, &o[1]))) return status;
    }
    KerbRows *s = kerb_cpu_object(c, sizeof *s);
    KerbStep *step = kerb_cpu_step(c, &kerb_softmax_step, n, o, 2, 0);
    if (!step || !s) return KERB_ERROR_MEMORY;
    *s = (KerbRows){.n = x->dims[axis], .step = kerb_softmax_step_of(&o[0].t, axis), .target_step = kerb_softmax_step_of(&o[1].t, axis)};
    s->rows = kerb_tensor_elements(&o[0].t) / s->n;
    s->parts = c->net->threads * 4;
    if (s->parts > s->rows) s->parts = (int)s->rows;
    step->state = s;
    kerb_cpu_label(c, step, "softmax %dx%d", (int)s->rows, (int)s->n);
    return target.t.dtype == KERB_F32 ? KERB_OK : kerb_cpu_copy(c, n, &o[1], &target);
}
