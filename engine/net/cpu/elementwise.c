/* SPDX-License-Identifier: MIT */
/* Chains of elementwise nodes over pictures (and dense tensors), in one pass: a block of pixels small enough for the first-level cache is
 * loaded, every operation of the chain is done on it in place, and it is stored. A node joins the chain of its only reader where that is
 * elementwise too. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"

#define MAX_OPS 16
#define BLOCK_FLOATS 2048 /* 8 KiB: with one operand, half of a first-level cache */

typedef enum KerbChainKind { KERB_CHAIN_BINARY, KERB_CHAIN_SCALE_SHIFT, KERB_CHAIN_ACT } KerbChainKind;
typedef struct KerbChainOp {
    KerbChainKind kind;
    KerbCpuBinary binary;
    KerbSpread spread;
    int operand;           /* index among the step's operands; -1: `constant` */
    const float *constant; /* by channel or one number */
    const float *scale, *shift;
    KerbCpuAct act;
} KerbChainOp;
typedef struct KerbChain {
    KerbChainOp ops[MAX_OPS];
    int n;
    int64_t pixels, channels;
    int block; /* pixels */
} KerbChain;

/* ---- which nodes ---- */

static bool kerb_chain_shape(const KerbValue *v)
{
    return v->dtype == KERB_F32 && v->rank >= 1;
}

static bool kerb_same_dims(const KerbValue *a, const KerbValue *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) return false;
    }
    return true;
}

/* Pixels and channels of a value: pictures as they are; anything else as one pixel row of its last axis. */
static void kerb_chain_size(const KerbValue *v, int64_t *pixels, int64_t *channels)
{
    int64_t all = 1;
    for (int i = 0; i < v->rank; i++) all *= v->dims[i];
    *channels = v->rank == 4 ? v->dims[1] : v->rank ? v->dims[v->rank - 1] : 1;
    *pixels = *channels ? all / *channels : 0;
}

/* How `o` spreads over `y`; false: in no way that the kernels know. */
static bool kerb_chain_spread(const KerbValue *y, const KerbValue *o, KerbSpread *spread)
{
    int64_t dims[KERB_MAX_RANK], all = 1;
    if (o->rank > y->rank) return false;
    for (int i = 0; i < y->rank; i++) { /* right-aligned, as ONNX broadcasts */
        int from = i - (y->rank - o->rank);
        dims[i] = from < 0 ? 1 : o->dims[from];
        all *= dims[i];
    }
    bool same = true, channel = true, pixel = true;
    const int c = y->rank == 4 ? 1 : y->rank - 1;
    for (int i = 0; i < y->rank; i++) {
        same = same && dims[i] == y->dims[i];
        channel = channel && dims[i] == (i == c ? y->dims[i] : 1);
        pixel = pixel && dims[i] == (i == c ? 1 : y->dims[i]);
    }
    *spread = same ? KERB_SPREAD_FULL : all == 1 ? KERB_SPREAD_SCALAR : channel ? KERB_SPREAD_CHANNEL : KERB_SPREAD_PIXEL;
    return same || all == 1 || channel || pixel;
}

static bool kerb_chain_binary(KerbBinary kind, bool swapped, KerbCpuBinary *out)
{
    switch (kind) {
    case KERB_BINARY_ADD: *out = KERB_CPU_ADD; return true;
    case KERB_BINARY_SUB: *out = swapped ? KERB_CPU_RSUB : KERB_CPU_SUB; return true;
    case KERB_BINARY_MUL: *out = KERB_CPU_MUL; return true;
    case KERB_BINARY_DIV: *out = swapped ? KERB_CPU_RDIV : KERB_CPU_DIV; return true;
    case KERB_BINARY_MIN: *out = KERB_CPU_MIN; return true;
    case KERB_BINARY_MAX: *out = KERB_CPU_MAX; return true;
    default: return false;
    }
}

/* The input of `n` that has the output's shape and is worked on in place, or -1: not a chain's node. */
static int kerb_chain_main_input(const KerbCompiler *c, const KerbNode *n)
{
    const KerbValue *y = &c->g->values[n->outputs[0]];
    if (!kerb_chain_shape(y)) return -1;
    switch (n->op) {
    case KERB_OP_UNARY: {
        KerbUnary u = n->attrs.unary.kind;
        return u == KERB_UNARY_NOT || u == KERB_UNARY_ISNAN ? -1 : 0;
    }
    case KERB_OP_CLIP:
    case KERB_OP_BATCH_NORM:
        for (int i = 1; i < n->n_inputs; i++) {
            if (n->inputs[i] != KERB_NO_VALUE && !kerb_value_is_constant(&c->g->values[n->inputs[i]])) return -1;
        }
        return n->op == KERB_OP_BATCH_NORM && y->rank != 4 ? -1 : 0;
    case KERB_OP_BINARY: break;
    default: return -1;
    }
    const KerbValue *a = &c->g->values[n->inputs[0]], *b = &c->g->values[n->inputs[1]];
    if (a->dtype != KERB_F32 || b->dtype != KERB_F32) return -1;
    KerbSpread spread;
    KerbCpuBinary binary;
    if (n->attrs.binary.kind == KERB_BINARY_PRELU) {
        bool by_channel = kerb_same_dims(a, y) && kerb_value_is_constant(b) && kerb_chain_spread(y, b, &spread);
        return by_channel && (spread == KERB_SPREAD_SCALAR || spread == KERB_SPREAD_CHANNEL) ? 0 : -1;
    }
    if (!kerb_chain_binary(n->attrs.binary.kind, false, &binary)) return -1;
    if (kerb_same_dims(a, y) && !kerb_value_is_constant(a) && kerb_chain_spread(y, b, &spread)) return 0;
    if (kerb_same_dims(b, y) && !kerb_value_is_constant(b) && kerb_chain_spread(y, a, &spread)) return 1;
    return -1;
}

/* Follows the chain: node i's work is done by its only reader where both are a chain's. */
void kerb_cpu_plan_chains(KerbCompiler *c)
{
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        if (n->dead || c->fused_into[i] != KERB_NO_NODE || kerb_chain_main_input(c, n) < 0) continue;
        uint32_t y = n->outputs[0], reader = c->reader[y];
        if (c->readers[y] != 1 || reader == KERB_NO_NODE || c->fused_into[reader] != KERB_NO_NODE) continue;
        const KerbNode *next = &c->g->nodes[reader];
        int main_input = kerb_chain_main_input(c, next);
        if (main_input < 0 || next->inputs[main_input] != y) continue;
        int length = 1; /* what is already in the chain that ends here */
        for (int j = 0; j < i; j++) length += c->fused_into[j] == (uint32_t)i;
        if (length * 2 + 4 > MAX_OPS) continue;
        c->fused_into[i] = reader;
        for (int j = 0; j < i; j++) {
            if (c->fused_into[j] == (uint32_t)i) c->fused_into[j] = reader;
        }
    }
}

/* ---- building ---- */

typedef struct KerbChainBuild {
    KerbCompiler *c;
    KerbChain *chain;
    KerbOperand operands[MAX_OPS + 2]; /* 0 the source, then others; the target is put last */
    int n_operands;
    bool ok;
    KerbStatus status;
} KerbChainBuild;

static KerbChainOp *kerb_chain_add(KerbChainBuild *b, KerbChainKind kind)
{
    if (b->chain->n >= MAX_OPS) {
        b->ok = false;
        return NULL;
    }
    KerbChainOp *op = &b->chain->ops[b->chain->n++];
    op->kind = kind;
    op->operand = -1;
    return op;
}

static void kerb_chain_add_act(KerbChainBuild *b, const KerbActivation *a)
{
    if (a->kind == KERB_ACT_NONE) return;
    KerbChainOp *op = kerb_chain_add(b, KERB_CHAIN_ACT);
    if (op && !kerb_cpu_act(b->c, a, (int)b->chain->channels, &op->act)) b->ok = false;
}

static void kerb_chain_add_norm(KerbChainBuild *b, const KerbNode *n)
{
    KerbChainOp *op = kerb_chain_add(b, KERB_CHAIN_SCALE_SHIFT);
    size_t channels = (size_t)b->chain->channels;
    float *scale = kerb_cpu_floats(b->c, n->inputs[1], 0), *bias = kerb_cpu_floats(b->c, n->inputs[2], 0),
          *mean = kerb_cpu_floats(b->c, n->inputs[3], 0), *var = kerb_cpu_floats(b->c, n->inputs[4], 0);
    if (!op || !scale || !bias || !mean || !var) {
        b->ok = false;
        return;
    }
    for (size_t i = 0; i < channels; i++) {
        double s = (double)scale[i] / sqrt((double)var[i] + (double)n->attrs.norm.epsilon);
        bias[i] = (float)((double)bias[i] - s * (double)mean[i]);
        scale[i] = (float)s;
    }
    op->scale = scale;
    op->shift = bias;
}

/* A second operand in the order that the kernels want: a picture like the target, or dense. */
static void kerb_chain_add_operand(KerbChainBuild *b, KerbChainOp *op, uint32_t id)
{
    KerbCompiler *c = b->c;
    const KerbValue *v = &c->g->values[id];
    if (kerb_value_is_constant(v) && op->spread != KERB_SPREAD_FULL && op->spread != KERB_SPREAD_PIXEL) {
        op->constant = kerb_cpu_floats(c, id, 0);
        if (!op->constant) b->status = KERB_ERROR_MEMORY;
        return;
    }
    KerbOperand o = kerb_cpu_value(c, id);
    bool picture = op->spread == KERB_SPREAD_FULL && v->rank == 4;
    if (picture) {
        b->status = kerb_cpu_picture(c, id, KERB_DTYPE_NONE, &o);
    } else if (o.t.dtype != KERB_F32 || !kerb_tensor_is_dense(&o.t)) {
        KerbOperand dense;
        KerbTensor t = kerb_tensor(NULL, KERB_F32, o.t.rank, o.t.dims);
        b->status = kerb_cpu_temporary(c, &t, &dense);
        if (!b->status) b->status = kerb_cpu_copy(c, &c->g->nodes[c->node], &o, &dense);
        o = dense;
    }
    op->operand = b->n_operands;
    b->operands[b->n_operands++] = o;
}

static void kerb_chain_add_binary(KerbChainBuild *b, const KerbNode *n, int main_input)
{
    const KerbValue *y = &b->c->g->values[n->outputs[0]];
    uint32_t other = n->inputs[1 - main_input];
    if (n->attrs.binary.kind == KERB_BINARY_PRELU) {
        KerbActivation a = {.kind = KERB_ACT_PRELU, .slope = other};
        kerb_chain_add_act(b, &a);
        return;
    }
    KerbChainOp *op = kerb_chain_add(b, KERB_CHAIN_BINARY);
    if (!op || !kerb_chain_binary(n->attrs.binary.kind, main_input == 1, &op->binary) ||
        !kerb_chain_spread(y, &b->c->g->values[other], &op->spread)) {
        b->ok = false;
        return;
    }
    kerb_chain_add_operand(b, op, other);
    kerb_chain_add_act(b, &n->attrs.binary.act);
}

static void kerb_chain_add_node(KerbChainBuild *b, const KerbNode *n)
{
    KerbActivation a = {.kind = KERB_ACT_NONE};
    switch (n->op) {
    case KERB_OP_BINARY: kerb_chain_add_binary(b, n, kerb_chain_main_input(b->c, n)); return;
    case KERB_OP_BATCH_NORM: kerb_chain_add_norm(b, n); return;
    case KERB_OP_UNARY:
        a = (KerbActivation){
            .kind = KERB_ACT_UNARY, .unary = n->attrs.unary.kind, .alpha = n->attrs.unary.alpha, .beta = n->attrs.unary.beta};
        break;
    default: {
        a = (KerbActivation){.kind = KERB_ACT_CLIP, .lo = -INFINITY, .hi = INFINITY};
        const KerbValue *lo = kerb_node_input(b->c->g, n, 1), *hi = kerb_node_input(b->c->g, n, 2);
        if (lo) b->ok = b->ok && kerb_value_floats(lo, &a.lo, 1) == 1;
        if (hi) b->ok = b->ok && kerb_value_floats(hi, &a.hi, 1) == 1;
    }
    }
    kerb_chain_add_act(b, &a);
}

/* ---- running ---- */

static void kerb_chain_load(const KerbCpuKernels *k, const KerbOperand *o, int64_t pixel, int pixels, int channels, bool picture,
                            float *out)
{
    int64_t step = picture ? o->t.strides[3] : channels;
    for (int p = 0; p < pixels;) {
        int run = step == channels ? pixels : 1; /* dense: all at once */
        size_t n = (size_t)run * (size_t)channels;
        if (o->t.dtype == KERB_BF16)
            k->to_f32(out, (const uint16_t *)o->t.data + (pixel + p) * step, n);
        else
            memcpy(out, (const float *)o->t.data + (pixel + p) * step, n * sizeof(float));
        out += n;
        p += run;
    }
}

static void kerb_chain_op(const KerbNet *net, const KerbStep *step, const KerbChainOp *op, int64_t pixel, int pixels, float *x,
                          float *other)
{
    const KerbChain *chain = step->state;
    const KerbCpuKernels *k = net->k;
    const int channels = (int)chain->channels;
    if (op->kind == KERB_CHAIN_SCALE_SHIFT) {
        k->scale_shift(x, op->scale, op->shift, pixels, channels);
    } else if (op->kind == KERB_CHAIN_ACT) {
        if (op->act.finish.slope || op->act.finish.clip) k->finish(x, pixels, channels, &op->act.finish);
        kerb_cpu_act_run(k, &op->act, x, (size_t)pixels * (size_t)channels);
    } else {
        const float *values = op->constant;
        if (!values) {
            const KerbOperand *o = &step->operands[op->operand];
            if (op->spread == KERB_SPREAD_FULL) {
                bool picture = o->t.rank == 4;
                bool direct = o->t.dtype == KERB_F32 && (!picture || o->t.strides[3] == channels);
                if (!direct) kerb_chain_load(k, o, pixel, pixels, channels, picture, other);
                values = direct ? (const float *)o->t.data + pixel * channels : other;
            } else {
                values = (const float *)o->t.data + (op->spread == KERB_SPREAD_PIXEL ? pixel : 0);
            }
        }
        k->binary[op->binary](x, values, op->spread, pixels, channels);
    }
}

typedef struct KerbChainRun {
    KerbNet *net;
    KerbStep *step;
    int tasks;
} KerbChainRun;

static void kerb_chain_task(void *arg, int index, int thread)
{
    const KerbChainRun *r = arg;
    const KerbChain *chain = r->step->state;
    const KerbCpuKernels *k = r->net->k;
    const KerbOperand *in = &r->step->operands[0], *out = &r->step->operands[r->step->n_operands - 1];
    const int channels = (int)chain->channels;
    const bool picture = out->t.rank == 4;
    const int64_t step = picture ? out->t.strides[3] : channels, end = chain->pixels * (index + 1) / r->tasks;
    float *x = (float *)r->step->scratch + (size_t)thread * 2 * (size_t)chain->block * (size_t)channels,
          *other = x + (size_t)chain->block * (size_t)channels;
    for (int64_t pixel = chain->pixels * index / r->tasks; pixel < end; pixel += chain->block) {
        int pixels = end - pixel < chain->block ? (int)(end - pixel) : chain->block;
        /* Dense f32 targets are worked on where they lie. */
        float *at = out->t.dtype == KERB_F32 && step == channels ? (float *)out->t.data + pixel * step : x;
        bool in_place = at != x && in->t.data == out->t.data && in->t.dtype == KERB_F32;
        if (!in_place) kerb_chain_load(k, in, pixel, pixels, channels, picture, at);
        for (int i = 0; i < chain->n; i++) kerb_chain_op(r->net, r->step, &chain->ops[i], pixel, pixels, at, other);
        for (int p = 0; at == x && p < pixels; p++) {
            const float *from = x + (size_t)p * (size_t)channels;
            if (out->t.dtype == KERB_BF16)
                k->to_bf16((uint16_t *)out->t.data + (pixel + p) * step, from, (size_t)channels);
            else
                memcpy((float *)out->t.data + (pixel + p) * step, from, (size_t)channels * sizeof(float));
        }
    }
}

static KerbStatus kerb_chain_run(KerbNet *net, KerbStep *step)
{
    const KerbChain *chain = step->state;
    KerbChainRun run = {net, step, net->threads * 4};
    if (chain->pixels < run.tasks) run.tasks = chain->pixels ? (int)chain->pixels : 1;
    kerb_cpu_parallel(net, run.tasks, (double)chain->pixels * (double)chain->channels * (1 + chain->n) / 8, kerb_chain_task, &run);
    return KERB_OK;
}
static const KerbStepKind kerb_chain_step = {"elementwise", NULL, kerb_chain_run, NULL};

/* ---- compiling ---- */

/* The first node of the chain that ends with `n`. */
static const KerbNode *kerb_chain_first(const KerbCompiler *c, const KerbNode *n)
{
    for (;;) {
        uint32_t producer = c->g->values[n->inputs[kerb_chain_main_input(c, n)]].producer;
        if (producer == KERB_NO_NODE || c->fused_into[producer] != (uint32_t)c->node ||
            kerb_chain_main_input(c, &c->g->nodes[producer]) < 0)
            return n;
        n = &c->g->nodes[producer];
    }
}

KerbStatus kerb_cpu_compile_elementwise(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (kerb_chain_main_input(c, n) < 0) return KERB_OK;
    const KerbValue *y = &c->g->values[n->outputs[0]];
    KerbChainBuild *b = kerb_cpu_object(c, sizeof *b);
    if (!b || !(b->chain = kerb_cpu_object(c, sizeof *b->chain))) return KERB_ERROR_MEMORY;
    KerbChain *chain = b->chain;
    b->c = c;
    b->ok = true;
    kerb_chain_size(y, &chain->pixels, &chain->channels);
    if (chain->pixels < 1 || chain->channels < 1 || chain->channels > 1 << 20) return KERB_OK;
    const KerbNode *node = kerb_chain_first(c, n);
    uint32_t source = node->inputs[kerb_chain_main_input(c, node)];
    KerbStatus status;
    if (y->rank == 4) {
        if ((status = kerb_cpu_picture(c, source, KERB_DTYPE_NONE, &b->operands[0]))) return status;
    } else {
        KerbOperand x = kerb_cpu_value(c, source), dense = x;
        if (!kerb_tensor_is_dense(&x.t)) {
            KerbTensor t = kerb_tensor(NULL, KERB_F32, x.t.rank, x.t.dims);
            if ((status = kerb_cpu_temporary(c, &t, &dense)) || (status = kerb_cpu_copy(c, n, &x, &dense))) return status;
        }
        b->operands[0] = dense;
    }
    b->n_operands = 1;
    int uses = 0; /* of the source's memory by the whole chain */
    for (;; node = &c->g->nodes[c->reader[node->outputs[0]]]) {
        kerb_chain_add_node(b, node);
        for (int i = 0; i < node->n_inputs; i++) {
            if (node->inputs[i] == KERB_NO_VALUE) continue;
            KerbOperand o = kerb_cpu_value(c, node->inputs[i]);
            uses += o.t.dtype != KERB_DTYPE_NONE && o.root == b->operands[0].root && o.root != KERB_NO_ROOT;
        }
        if (b->status) return b->status;
        if (!b->ok || node == n) break;
    }
    if (!b->ok) {
        /* Only a lone node can end here (its activation has no kernel): chains are made of nodes that each would be taken alone. */
        return node == n && kerb_chain_first(c, n) == n
                   ? KERB_OK
                   : kerb_fail(c->error, KERB_ERROR_INTERNAL, "a chain of elementwise nodes cannot be built: please report this");
    }
    *done = true;
    chain->block = BLOCK_FLOATS / (int)chain->channels > 0 ? BLOCK_FLOATS / (int)chain->channels : 1;
    KerbOperand *target = &b->operands[b->n_operands++];
    if ((status = kerb_cpu_place_over(c, n->outputs[0], &b->operands[0], uses == 1 ? 1 : -1, target))) return status;
    size_t scratch = (size_t)c->net->threads * 2 * (size_t)chain->block * (size_t)chain->channels * sizeof(float);
    KerbStep *step = kerb_cpu_step(c, &kerb_chain_step, n, b->operands, b->n_operands, scratch);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = chain;
    kerb_cpu_label(c, step, "elementwise %d %s %dx%d", chain->n, kerb_node_kind(n), (int)chain->pixels, (int)chain->channels);
    return KERB_OK;
}
