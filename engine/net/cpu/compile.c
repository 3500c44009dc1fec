/* SPDX-License-Identifier: MIT */
/* Where values lie and how steps come to be: what the op files (conv.c, pool.c, ...) build on. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"

KerbStatus kerb_cpu_no_memory(KerbCompiler *c, size_t bytes)
{
    return kerb_fail(c->error, KERB_ERROR_MEMORY, "the CPU backend has no memory for %zu bytes: use a smaller network size or model",
                     bytes);
}

void *kerb_cpu_object(KerbCompiler *c, size_t bytes)
{
    void *p = kerb_arena_alloc(c->net->objects, bytes ? bytes : 1);
    if (!p) kerb_cpu_no_memory(c, bytes);
    return p;
}

void *kerb_cpu_block(KerbCompiler *c, size_t bytes)
{
    KerbNet *net = c->net;
    if (net->n_blocks == net->cap_blocks) {
        int cap = net->cap_blocks ? net->cap_blocks * 2 : 64;
        void **grown = realloc(net->blocks, (size_t)cap * sizeof *grown);
        if (!grown) {
            kerb_cpu_no_memory(c, bytes);
            return NULL;
        }
        net->blocks = grown;
        net->cap_blocks = cap;
    }
    void *p = kerb_alloc(bytes);
    if (!p) {
        kerb_cpu_no_memory(c, bytes);
        return NULL;
    }
    net->blocks[net->n_blocks++] = p;
    net->weight_bytes += bytes;
    return p;
}

static uint32_t kerb_cpu_new_root(KerbCompiler *c, size_t bytes)
{
    KerbNet *net = c->net;
    if (net->n_roots == net->cap_roots) {
        int cap = net->cap_roots ? net->cap_roots * 2 : 256;
        KerbRoot *grown = realloc(net->roots, (size_t)cap * sizeof *grown);
        if (!grown) {
            kerb_cpu_no_memory(c, (size_t)cap * sizeof *grown);
            return KERB_NO_ROOT;
        }
        net->roots = grown;
        net->cap_roots = cap;
    }
    /* A line more than asked for: vector kernels never need it, but neighbours never share a line between threads. */
    net->roots[net->n_roots] =
        (KerbRoot){.bytes = (bytes + 2 * KERB_ALIGNMENT - 1) / KERB_ALIGNMENT * KERB_ALIGNMENT, .first = INT_MAX, .last = -1};
    return (uint32_t)net->n_roots++;
}

/* ---- values ---- */

/* Elements from the first to the one past the last that the strides reach. */
static size_t kerb_cpu_span(const KerbTensor *t)
{
    size_t last = 0;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] == 0) return 0;
        last += (size_t)(t->dims[i] - 1) * (size_t)t->strides[i];
    }
    return last + 1;
}

/* Operators whose steps read and write pictures in bf16. */
static bool kerb_cpu_op_in_bf16(KerbOp op)
{
    switch (op) {
    case KERB_OP_CONV:
    case KERB_OP_MAX_POOL:
    case KERB_OP_AVERAGE_POOL:
    case KERB_OP_CONCAT:
    case KERB_OP_UNARY:
    case KERB_OP_BINARY:
    case KERB_OP_CLIP:
    case KERB_OP_BATCH_NORM:
    case KERB_OP_RESIZE:
    case KERB_OP_DEPTH_TO_SPACE: return true;
    default: return false;
    }
}

/* In bf16 nets a picture is bf16 where what makes it and all that reads it work on that; graph outputs (scores) are f32. */
static bool kerb_cpu_in_bf16(const KerbCompiler *c, uint32_t id)
{
    const KerbValue *v = &c->g->values[id];
    if (!c->net->bf16 || c->readers[id] >= KERB_READERS_KEPT) return false;
    if (v->producer != KERB_NO_NODE && !kerb_cpu_op_in_bf16(c->g->nodes[v->producer].op)) return false;
    for (int i = 0; i < c->g->n_nodes; i++) {
        const KerbNode *n = &c->g->nodes[i];
        if (n->dead || kerb_cpu_op_in_bf16(n->op)) continue;
        for (int j = 0; j < n->n_inputs; j++) {
            if (n->inputs[j] == id) return false;
        }
    }
    return true;
}

static KerbTensor kerb_cpu_usual(const KerbCompiler *c, uint32_t id)
{
    const KerbValue *v = &c->g->values[id];
    const bool quantised = v->producer != KERB_NO_NODE && c->g->nodes[v->producer].op == KERB_OP_QUANTIZE;
    if (v->rank == 4 && quantised) return kerb_tensor_channels_last(NULL, v->dtype, v->rank, v->dims, v->dims[1]);
    bool picture = v->rank == 4 && v->dtype == KERB_F32;
    if (!picture) return kerb_tensor(NULL, v->dtype, v->rank, v->dims);
    return kerb_tensor_channels_last(NULL, kerb_cpu_in_bf16(c, id) ? KERB_BF16 : KERB_F32, v->rank, v->dims, v->dims[1]);
}

static KerbOperand kerb_cpu_constant(KerbCompiler *c, uint32_t id)
{
    KerbOperand o = {.t = kerb_value_tensor(&c->g->values[id]), .root = KERB_NO_ROOT};
    size_t unit = kerb_dtype_bytes(o.t.dtype);
    if (unit && (uintptr_t)o.t.data % unit) {
        void *copy = kerb_cpu_block(c, kerb_tensor_bytes(&o.t));
        if (copy) memcpy(copy, o.t.data, kerb_tensor_bytes(&o.t));
        o.t.data = copy; /* NULL: the message is written, and kerb_cpu_step() will fail */
    }
    c->values[id] = o;
    return o;
}

KerbOperand kerb_cpu_value(KerbCompiler *c, uint32_t id)
{
    if (id == KERB_NO_VALUE) return (KerbOperand){.root = KERB_NO_ROOT};
    if (c->values[id].t.dtype != KERB_DTYPE_NONE) return c->values[id];
    return kerb_value_is_constant(&c->g->values[id]) ? kerb_cpu_constant(c, id) : (KerbOperand){.root = KERB_NO_ROOT};
}

bool kerb_cpu_is_picture(const KerbTensor *t)
{
    return (t->dtype == KERB_F32 || t->dtype == KERB_BF16) && kerb_cpu_is_channels_last(t);
}

bool kerb_cpu_is_channels_last(const KerbTensor *t)
{
    if (t->rank != 4) return false;
    if (t->dims[1] > 1 && t->strides[1] != 1) return false;
    int64_t step = t->strides[3];
    return step >= t->dims[1] && t->strides[2] == step * t->dims[3] && (t->dims[0] == 1 || t->strides[0] == t->strides[2] * t->dims[2]);
}

KerbStatus kerb_cpu_place(KerbCompiler *c, uint32_t id, KerbOperand *out)
{
    uint32_t parent = c->slot[id];
    if (parent != KERB_NO_VALUE) {
        KerbOperand whole;
        if (c->values[parent].t.dtype == KERB_DTYPE_NONE) {
            KerbStatus status = kerb_cpu_place(c, parent, &whole);
            if (status) return status;
        }
        whole = c->values[parent];
        KerbTensor t = whole.t;
        t.dims[1] = c->g->values[id].dims[1];
        kerb_cpu_alias(c, id, &whole, &t, whole.offset + (size_t)c->slot_channel[id] * kerb_dtype_bytes(t.dtype));
        *out = c->values[id];
        return KERB_OK;
    }
    KerbOperand o = {.t = kerb_cpu_usual(c, id)};
    o.root = kerb_cpu_new_root(c, kerb_cpu_span(&o.t) * kerb_dtype_bytes(o.t.dtype));
    if (o.root == KERB_NO_ROOT) return KERB_ERROR_MEMORY;
    c->net->roots[o.root].readers += c->readers[id];
    *out = c->values[id] = o;
    return KERB_OK;
}

void kerb_cpu_alias(KerbCompiler *c, uint32_t id, const KerbOperand *of, const KerbTensor *t, size_t offset)
{
    KerbOperand o = {.t = *t, .root = of->root, .offset = offset};
    if (of->root == KERB_NO_ROOT)
        o.t.data = (char *)of->t.data + (offset - of->offset);
    else {
        o.t.data = NULL;
        c->net->roots[of->root].readers += c->readers[id];
    }
    c->values[id] = o;
}

KerbStatus kerb_cpu_place_over(KerbCompiler *c, uint32_t id, const KerbOperand *input, int uses_here, KerbOperand *out)
{
    KerbTensor usual = kerb_cpu_usual(c, id);
    const KerbRoot *root = input->root == KERB_NO_ROOT ? NULL : &c->net->roots[input->root];
    bool same = root && root->readers == uses_here && c->slot[id] == KERB_NO_VALUE && input->t.dtype == usual.dtype &&
                kerb_tensor_same_shape(&input->t, &usual) &&
                !memcmp(input->t.strides, usual.strides, sizeof usual.strides[0] * (size_t)usual.rank);
    if (!same) return kerb_cpu_place(c, id, out);
    kerb_cpu_alias(c, id, input, &usual, input->offset);
    *out = c->values[id];
    return KERB_OK;
}

KerbStatus kerb_cpu_temporary(KerbCompiler *c, const KerbTensor *t, KerbOperand *out)
{
    *out = (KerbOperand){.t = *t};
    out->t.data = NULL;
    out->root = kerb_cpu_new_root(c, kerb_cpu_span(t) * kerb_dtype_bytes(t->dtype));
    return out->root == KERB_NO_ROOT ? KERB_ERROR_MEMORY : KERB_OK;
}

KerbStatus kerb_cpu_picture(KerbCompiler *c, uint32_t id, KerbDtype dtype, KerbOperand *out)
{
    KerbOperand o = kerb_cpu_value(c, id);
    if (dtype == KERB_DTYPE_NONE) dtype = o.t.dtype == KERB_BF16 ? KERB_BF16 : KERB_F32;
    if (kerb_cpu_is_picture(&o.t) && o.t.dtype == dtype) {
        *out = o;
        return KERB_OK;
    }
    KerbTensor t = kerb_tensor_channels_last(NULL, dtype, o.t.rank, o.t.dims, o.t.dims[1]);
    KerbStatus status = kerb_cpu_temporary(c, &t, out);
    return status ? status : kerb_cpu_copy(c, &c->g->nodes[c->node], &o, out);
}

float *kerb_cpu_floats(KerbCompiler *c, uint32_t id, size_t padded)
{
    KerbValue *v = kerb_graph_value(c->g, id);
    if (!kerb_value_is_constant(v) || !kerb_dtype_is_float(v->dtype)) return NULL;
    KerbTensor src = kerb_value_tensor(v), dst = kerb_tensor(NULL, KERB_F32, v->rank, v->dims);
    size_t n = (size_t)kerb_tensor_elements(&src);
    dst.data = kerb_cpu_block(c, (n > padded ? n : padded) * sizeof(float));
    if (dst.data) kerb_tensor_copy(&dst, &src);
    return dst.data;
}

/* ---- steps ---- */

static void kerb_cpu_touch(KerbNet *net, uint32_t root, int step)
{
    if (root == KERB_NO_ROOT) return;
    KerbRoot *r = &net->roots[root];
    if (step < r->first) r->first = step;
    if (step > r->last) r->last = step;
}

KerbStep *kerb_cpu_step(KerbCompiler *c, const KerbStepKind *kind, const KerbNode *node, const KerbOperand *operands, int n,
                        size_t scratch_bytes)
{
    KerbNet *net = c->net;
    if (net->n_steps == net->cap_steps) {
        int cap = net->cap_steps ? net->cap_steps * 2 : 128;
        KerbStep **grown = realloc(net->steps, (size_t)cap * sizeof *grown);
        if (!grown) {
            kerb_cpu_no_memory(c, (size_t)cap * sizeof *grown);
            return NULL;
        }
        net->steps = grown;
        net->cap_steps = cap;
    }
    KerbStep *s = kerb_cpu_object(c, sizeof *s);
    KerbOperand *copy = kerb_cpu_object(c, (size_t)n * sizeof *copy);
    if (!s || !copy) return NULL;
    memcpy(copy, operands, (size_t)n * sizeof *copy);
    *s = (KerbStep){.kind = kind,
                    .node = node,
                    .label = node ? node->name : kind->name,
                    .operands = copy,
                    .n_operands = n,
                    .scratch_bytes = scratch_bytes,
                    .scratch_root = KERB_NO_ROOT};
    for (int i = 0; i < n; i++) kerb_cpu_touch(net, operands[i].root, net->n_steps);
    if (scratch_bytes) {
        s->scratch_root = kerb_cpu_new_root(c, scratch_bytes);
        if (s->scratch_root == KERB_NO_ROOT) return NULL;
        kerb_cpu_touch(net, s->scratch_root, net->n_steps);
    }
    net->steps[net->n_steps++] = s;
    kerb_cpu_label(c, s, "%s", kind->name);
    return s;
}

void kerb_cpu_label(KerbCompiler *c, KerbStep *step, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *label = kerb_arena_printf(c->net->objects, "%s  [%s]", text, step->node ? step->node->name : "");
    if (label) step->label = label;
}
