/* SPDX-License-Identifier: MIT */
/* Moving values: the copy step (any strides, converting between f32 and bf16), and the nodes that only say how memory is to be seen: they
 * become views where strides can express them, copies where not. */
#include <string.h>

#include "base/error.h"
#include "net/cpu/cpu.h"
#include "net/views.h"

/* ---- copy ---- */

typedef struct KerbCopy {
    const KerbCpuKernels *k;
    int rank; /* >= 2: outer axes first; the last is the inner loop */
    int64_t dims[KERB_MAX_RANK], to[KERB_MAX_RANK], from[KERB_MAX_RANK];
    size_t to_bytes, from_bytes; /* of an element */
    KerbDtype to_type, from_type;
    char *target;
    const char *source;
    int tasks;
} KerbCopy;

/* Axes in the order of the target's strides, merged where both sides allow it. */
static void kerb_copy_axes(KerbCopy *c, const KerbTensor *dst, const KerbTensor *src)
{
    int order[KERB_MAX_RANK], n = 0;
    for (int i = 0; i < dst->rank; i++) {
        if (dst->dims[i] == 1) continue;
        int at = n++;
        while (at > 0 && dst->strides[order[at - 1]] < dst->strides[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    c->rank = 0;
    for (int i = 0; i < n; i++) {
        int a = order[i], last = c->rank - 1;
        if (last >= 0 && c->to[last] == dst->strides[a] * dst->dims[a] && c->from[last] == src->strides[a] * dst->dims[a]) {
            c->dims[last] *= dst->dims[a];
            c->to[last] = dst->strides[a];
            c->from[last] = src->strides[a];
        } else {
            c->dims[c->rank] = dst->dims[a];
            c->to[c->rank] = dst->strides[a];
            c->from[c->rank++] = src->strides[a];
        }
    }
    for (; c->rank < 2; c->rank++) { /* at least an outer and an inner axis */
        c->dims[1] = c->rank ? c->dims[0] : 1;
        c->to[1] = c->to[0];
        c->from[1] = c->from[0];
        c->dims[0] = 1;
    }
}

#define COPY_LINE(type)                                        \
    do {                                                       \
        type *d = (type *)(void *)to;                          \
        const type *s = (const type *)(const void *)from;      \
        for (int64_t i = 0; i < n; i++) d[i * ds] = s[i * ss]; \
    } while (0)
static void kerb_copy_line(const KerbCopy *c, char *to, const char *from)
{
    const int last = c->rank - 1;
    const int64_t n = c->dims[last], ds = c->to[last], ss = c->from[last];
    if (c->to_type == c->from_type) {
        if (ds == 1 && ss == 1)
            memcpy(to, from, (size_t)n * c->to_bytes);
        else if (c->to_bytes == 4)
            COPY_LINE(uint32_t);
        else if (c->to_bytes == 2)
            COPY_LINE(uint16_t);
        else if (c->to_bytes == 1)
            COPY_LINE(uint8_t);
        else
            COPY_LINE(uint64_t);
    } else if (c->to_type == KERB_BF16) {
        uint16_t *d = (uint16_t *)(void *)to;
        const float *s = (const float *)(const void *)from;
        if (ds == 1 && ss == 1)
            c->k->to_bf16(d, s, (size_t)n);
        else
            for (int64_t i = 0; i < n; i++) d[i * ds] = kerb_f32_to_bf16(s[i * ss]);
    } else {
        float *d = (float *)(void *)to;
        const uint16_t *s = (const uint16_t *)(const void *)from;
        if (ds == 1 && ss == 1)
            c->k->to_f32(d, s, (size_t)n);
        else
            for (int64_t i = 0; i < n; i++) d[i * ds] = kerb_bf16_to_f32(s[i * ss]);
    }
}

static void kerb_copy_axis(const KerbCopy *c, int axis, char *to, const char *from, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        char *t = to + i * c->to[axis] * (int64_t)c->to_bytes;
        const char *f = from + i * c->from[axis] * (int64_t)c->from_bytes;
        if (axis == c->rank - 2)
            kerb_copy_line(c, t, f);
        else
            kerb_copy_axis(c, axis + 1, t, f, 0, c->dims[axis + 1]);
    }
}
static void kerb_copy_task(void *arg, int index, int thread)
{
    const KerbCopy *c = arg;
    kerb_copy_axis(c, 0, c->target, c->source, c->dims[0] * index / c->tasks, c->dims[0] * (index + 1) / c->tasks);
}

static KerbStatus kerb_copy_bind(KerbNet *net, KerbStep *step, KerbError *error)
{
    KerbCopy *c = step->state;
    const KerbTensor *src = &step->operands[0].t, *dst = &step->operands[1].t;
    *c = (KerbCopy){.k = net->k,
                    .to_bytes = kerb_dtype_bytes(dst->dtype),
                    .from_bytes = kerb_dtype_bytes(src->dtype),
                    .to_type = dst->dtype,
                    .from_type = src->dtype,
                    .target = dst->data,
                    .source = src->data};
    kerb_copy_axes(c, dst, src);
    c->tasks = net->threads * 2;
    if (c->tasks > c->dims[0]) c->tasks = (int)c->dims[0];
    return KERB_OK;
}
static KerbStatus kerb_copy_run(KerbNet *net, KerbStep *step)
{
    KerbCopy *c = step->state;
    int64_t n = kerb_tensor_elements(&step->operands[1].t);
    if (n) kerb_cpu_parallel(net, c->tasks, (double)n / 2, kerb_copy_task, c);
    return KERB_OK;
}
static const KerbStepKind kerb_copy_step = {"copy", kerb_copy_bind, kerb_copy_run, NULL};

KerbStatus kerb_cpu_copy(KerbCompiler *c, const KerbNode *node, const KerbOperand *src, const KerbOperand *dst)
{
    bool converts = src->t.dtype != dst->t.dtype;
    bool known = (src->t.dtype == KERB_F32 && dst->t.dtype == KERB_BF16) || (src->t.dtype == KERB_BF16 && dst->t.dtype == KERB_F32);
    if (converts && !known) {
        return kerb_fail(c->error, KERB_ERROR_INTERNAL, "no conversion from %s to %s: please report this", kerb_dtype_name(src->t.dtype),
                         kerb_dtype_name(dst->t.dtype));
    }
    KerbOperand o[2] = {*src, *dst};
    KerbStep *step = kerb_cpu_step(c, &kerb_copy_step, node, o, 2, 0);
    if (!step) return KERB_ERROR_MEMORY;
    step->state = kerb_cpu_object(c, sizeof(KerbCopy));
    return step->state ? KERB_OK : KERB_ERROR_MEMORY;
}

/* ---- views ---- */

static KerbStatus kerb_compile_reshape(KerbCompiler *c, const KerbNode *n, const KerbOperand *x)
{
    const KerbValue *y = &c->g->values[n->outputs[0]];
    KerbTensor view;
    if (kerb_tensor_reshaped(&x->t, y->rank, y->dims, &view) && c->slot[n->outputs[0]] == KERB_NO_VALUE) {
        kerb_cpu_alias(c, n->outputs[0], x, &view, x->offset);
        return KERB_OK;
    }
    /* Row-major memory, seen with the input's shape by the copy and with the output's by everyone else. */
    KerbOperand dense;
    KerbTensor t = kerb_tensor(NULL, x->t.dtype, x->t.rank, x->t.dims);
    KerbStatus status = kerb_cpu_temporary(c, &t, &dense);
    if (!status) status = kerb_cpu_copy(c, n, x, &dense);
    if (status) return status;
    view = kerb_tensor(NULL, x->t.dtype, y->rank, y->dims);
    if (c->slot[n->outputs[0]] == KERB_NO_VALUE) {
        kerb_cpu_alias(c, n->outputs[0], &dense, &view, 0);
        return KERB_OK;
    }
    KerbOperand out, seen = dense;
    seen.t = view;
    if ((status = kerb_cpu_place(c, n->outputs[0], &out))) return status;
    return kerb_cpu_copy(c, n, &seen, &out);
}

static KerbStatus kerb_compile_view_of(KerbCompiler *c, const KerbNode *n, int output, const KerbOperand *x, const KerbTensor *view,
                                       int64_t offset)
{
    uint32_t id = n->outputs[output];
    size_t bytes = x->offset + (size_t)offset * kerb_dtype_bytes(x->t.dtype);
    if (c->slot[id] == KERB_NO_VALUE) {
        kerb_cpu_alias(c, id, x, view, bytes);
        return KERB_OK;
    }
    KerbOperand from = *x, out;
    from.t = *view;
    from.offset = bytes;
    if (x->root == KERB_NO_ROOT) from.t.data = (char *)x->t.data + (size_t)offset * kerb_dtype_bytes(x->t.dtype);
    KerbStatus status = kerb_cpu_place(c, id, &out);
    return status ? status : kerb_cpu_copy(c, n, &from, &out);
}

/* Transposes, splits, slices: *done false where it is none (nothing has been compiled then). */
static KerbStatus kerb_compile_views(KerbCompiler *c, const KerbNode *n, const KerbOperand *x, bool *done)
{
    KerbTensor view;
    int64_t offset;
    for (int i = 0; i < n->n_outputs; i++) *done = *done && kerb_node_view(c->g, n, i, &x->t, &view, &offset);
    for (int i = 0; i < n->n_outputs && *done; i++) {
        kerb_node_view(c->g, n, i, &x->t, &view, &offset);
        KerbStatus status = kerb_compile_view_of(c, n, i, x, &view, offset);
        if (status) return status;
    }
    return KERB_OK;
}

KerbStatus kerb_cpu_compile_view(KerbCompiler *c, const KerbNode *n, bool *done)
{
    if (n->n_inputs < 1 || n->inputs[0] == KERB_NO_VALUE) return KERB_OK;
    KerbOperand x = kerb_cpu_value(c, n->inputs[0]);
    if (x.t.dtype == KERB_DTYPE_NONE || kerb_tensor_elements(&x.t) == 0) return KERB_OK;
    *done = true;
    switch (n->op) {
    case KERB_OP_RESHAPE:
    case KERB_OP_FLATTEN:
    case KERB_OP_SQUEEZE:
    case KERB_OP_UNSQUEEZE: return kerb_compile_reshape(c, n, &x);
    case KERB_OP_IDENTITY: return kerb_compile_view_of(c, n, 0, &x, &x.t, 0);
    case KERB_OP_TRANSPOSE:
    case KERB_OP_SLICE:
    case KERB_OP_SPLIT: return kerb_compile_views(c, n, &x, done);
    default: *done = false; return KERB_OK;
    }
}
