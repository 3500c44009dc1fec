/* SPDX-License-Identifier: MIT */
/* kerb_graph_infer(): walks the nodes in order, asks each operator's rule for its outputs, and turns shape arithmetic into constants at
 * once, so that the rules behind it find numbers. What enters: a graph whose inputs have known shapes. What leaves: every value known.
 * The rules themselves are in infer_*.c. */
#include "net/infer.h"

#include <stdarg.h>
#include <stdio.h>

#include "net/passes.h"
#include "net/ref/ref.h"

#define FOLD_MAX_OUTPUT 4096           /* elements: shapes, small tables; larger ones are the folding pass's business */
#define FOLD_MAX_INPUT ((int64_t)1 << 20) /* elements: no hostile model makes us compute for long */

static const struct {
    KerbInferFn fn;
    int required; /* leading inputs that must be there */
} rules[KERB_OP_COUNT] = {
    [KERB_OP_CONV] = { kerb_infer_conv, 2 },
    [KERB_OP_CONV_TRANSPOSE] = { kerb_infer_conv_transpose, 2 },
    [KERB_OP_BATCH_NORM] = { kerb_infer_norm, 5 },
    [KERB_OP_INSTANCE_NORM] = { kerb_infer_norm, 3 },
    [KERB_OP_LRN] = { kerb_infer_lrn, 1 },
    [KERB_OP_UNARY] = { kerb_infer_unary, 1 },
    [KERB_OP_BINARY] = { kerb_infer_binary, 2 },
    [KERB_OP_CLIP] = { kerb_infer_clip, 1 },
    [KERB_OP_WHERE] = { kerb_infer_where, 3 },
    [KERB_OP_CONCAT] = { kerb_infer_concat, 1 },
    [KERB_OP_MAX_POOL] = { kerb_infer_pool, 1 },
    [KERB_OP_AVERAGE_POOL] = { kerb_infer_pool, 1 },
    [KERB_OP_MAX_UNPOOL] = { kerb_infer_max_unpool, 2 },
    [KERB_OP_REDUCE] = { kerb_infer_reduce, 1 },
    [KERB_OP_ARG] = { kerb_infer_arg, 1 },
    [KERB_OP_SOFTMAX] = { kerb_infer_softmax, 1 },
    [KERB_OP_RESIZE] = { kerb_infer_resize, 1 },
    [KERB_OP_TRANSPOSE] = { kerb_infer_transpose, 1 },
    [KERB_OP_RESHAPE] = { kerb_infer_reshape, 2 },
    [KERB_OP_FLATTEN] = { kerb_infer_flatten, 1 },
    [KERB_OP_IDENTITY] = { kerb_infer_identity, 1 },
    [KERB_OP_CAST] = { kerb_infer_cast, 1 },
    [KERB_OP_PAD] = { kerb_infer_pad, 2 },
    [KERB_OP_SPLIT] = { kerb_infer_split, 1 },
    [KERB_OP_SLICE] = { kerb_infer_slice, 3 },
    [KERB_OP_SHAPE] = { kerb_infer_shape, 1 },
    [KERB_OP_SIZE] = { kerb_infer_size, 1 },
    [KERB_OP_GATHER] = { kerb_infer_gather, 2 },
    [KERB_OP_GATHER_ELEMENTS] = { kerb_infer_gather_elements, 2 },
    [KERB_OP_UNSQUEEZE] = { kerb_infer_unsqueeze, 2 },
    [KERB_OP_SQUEEZE] = { kerb_infer_squeeze, 1 },
    [KERB_OP_CONSTANT_OF_SHAPE] = { kerb_infer_constant_of_shape, 1 },
    [KERB_OP_EXPAND] = { kerb_infer_expand, 2 },
    [KERB_OP_TILE] = { kerb_infer_tile, 2 },
    [KERB_OP_RANGE] = { kerb_infer_range, 3 },
    [KERB_OP_DEPTH_TO_SPACE] = { kerb_infer_depth_to_space, 1 },
    [KERB_OP_SPACE_TO_DEPTH] = { kerb_infer_space_to_depth, 1 },
    [KERB_OP_MATMUL] = { kerb_infer_matmul, 2 },
    [KERB_OP_GEMM] = { kerb_infer_gemm, 2 },
    [KERB_OP_QUANTIZE] = { kerb_infer_quantize, 2 },
    [KERB_OP_DEQUANTIZE] = { kerb_infer_dequantize, 2 },
    [KERB_OP_QLINEAR_CONV] = { kerb_infer_qlinear_conv, 8 },
    [KERB_OP_QLINEAR_MATMUL] = { kerb_infer_qlinear_matmul, 8 },
    [KERB_OP_CUMSUM] = { kerb_infer_cumsum, 2 },
    [KERB_OP_GRID_SAMPLE] = { kerb_infer_grid_sample, 2 },
};

/* ---- messages */

static void input_shapes(const KerbInfer *c, char *text, size_t bytes)
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < c->n->n_inputs && i < 6 && at < bytes; i++) {
        const KerbValue *v = kerb_infer_in(c, i);
        char dims[128];
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", i ? ", " : "", v ? kerb_dims_text(v->rank, v->dims, dims, sizeof dims) : "none");
    }
    if (c->n->n_inputs > 6 && at < bytes) snprintf(text + at, bytes - at, ", ...");
}

static KerbStatus infer_report(KerbInfer *c, KerbStatus status, const char *advice, const char *format, va_list args)
{
    char shapes[512], text[768];
    input_shapes(c, shapes, sizeof shapes);
    vsnprintf(text, sizeof text, format, args);
    return kerb_fail(c->error, status, "%s '%s' (inputs %s): %s%s", kerb_node_kind(c->n), c->n->name, shapes, text, advice);
}

KerbStatus kerb_infer_fail(KerbInfer *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    KerbStatus status = infer_report(c, c->sized ? KERB_ERROR_ARGUMENT : KERB_ERROR_ASSET,
                                     c->sized ? "; choose another network size (multiples of 32 suit most models), or the one the model was exported at"
                                              : "; the model contradicts itself: check it with onnx.checker and export it again",
                                     format, args);
    va_end(args);
    return status;
}

KerbStatus kerb_infer_unsupported(KerbInfer *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    KerbStatus status = infer_report(c, KERB_ERROR_UNSUPPORTED, "", format, args);
    va_end(args);
    return status;
}

/* ---- what rules use */

bool kerb_infer_bounded(int rank, const int64_t dims[])
{
    int64_t product = 1;
    for (int i = 0; i < rank; i++) {
        int64_t d = dims[i] ? dims[i] : 1;
        if (d < 0 || d > KERB_INFER_MAX_ELEMENTS / product) return false;
        product *= d;
    }
    return true;
}

KerbStatus kerb_infer_set(KerbInfer *c, int output, KerbDtype dtype, int rank, const int64_t dims[])
{
    char text[160];
    if (output >= c->n->n_outputs || c->n->outputs[output] == KERB_NO_VALUE) return KERB_OK;
    if (rank > KERB_MAX_RANK) return kerb_infer_unsupported(c, "its output has %d axes; Kerb handles up to %d", rank, KERB_MAX_RANK);
    if (!kerb_infer_bounded(rank, dims))
        return kerb_infer_fail(c, "its output would be %s; a tensor has dims of 0 or more and at most 2^31 elements",
                               kerb_dims_text(rank, dims, text, sizeof text));
    KerbValue *v = kerb_graph_value(c->g, c->n->outputs[output]);
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < KERB_MAX_RANK; i++) v->dims[i] = i < rank ? dims[i] : KERB_DIM_UNKNOWN;
    return KERB_OK;
}

KerbStatus kerb_infer_axis(KerbInfer *c, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank) return kerb_infer_fail(c, "axis %lld is outside a tensor of %d axes", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return KERB_OK;
}

KerbStatus kerb_infer_integers(KerbInfer *c, int i, const char *what, int64_t out[], int max, int *n)
{
    const KerbValue *v = kerb_infer_in(c, i);
    *n = 0;
    if (!v) return KERB_OK;
    if (!kerb_value_is_constant(v))
        return kerb_infer_unsupported(c, "its %s ('%s') are computed from the picture, so the shape is not known before it runs; "
                                         "export the model with fixed shapes, or simplify it (onnxsim)", what, v->name);
    *n = kerb_value_integers(v, out, max);
    if (*n < 0) return kerb_infer_fail(c, "its %s ('%s') are not at most %d whole numbers", what, v->name, max);
    return KERB_OK;
}

KerbStatus kerb_infer_axes(KerbInfer *c, int i, int rank, unsigned *mask, bool *any)
{
    int64_t axes[KERB_MAX_RANK];
    int n;
    *mask = 0;
    KerbStatus status = kerb_infer_integers(c, i, "axes", axes, KERB_MAX_RANK, &n);
    for (int k = 0; k < n && status == KERB_OK; k++) {
        int axis = 0;
        status = kerb_infer_axis(c, axes[k], rank, &axis);
        if (status == KERB_OK && *mask & 1u << axis) status = kerb_infer_fail(c, "axis %d is named twice", axis);
        *mask |= 1u << axis;
    }
    *any = n > 0;
    return status;
}

KerbStatus kerb_infer_broadcast(KerbInfer *c, int *rank, int64_t dims[], int b_rank, const int64_t b_dims[])
{
    int a_rank = *rank, out_rank = a_rank > b_rank ? a_rank : b_rank;
    int64_t out[KERB_MAX_RANK];
    for (int i = 0; i < out_rank; i++) { /* from the right */
        int64_t a = i < a_rank ? dims[a_rank - 1 - i] : 1, b = i < b_rank ? b_dims[b_rank - 1 - i] : 1;
        if (a != b && a != 1 && b != 1)
            return kerb_infer_fail(c, "%lld and %lld do not broadcast (axis %d from the right)", (long long)a, (long long)b, i);
        out[out_rank - 1 - i] = a == 1 ? b : a;
    }
    for (int i = 0; i < out_rank; i++) dims[i] = out[i];
    *rank = out_rank;
    return KERB_OK;
}

/* ---- folding on the way */

static bool foldable(const KerbInfer *c)
{
    const KerbNode *n = c->n;
    int64_t elements;
    if (n->op == KERB_OP_SHAPE || n->op == KERB_OP_SIZE) return true; /* the data is not looked at */
    for (int i = 0; i < n->n_inputs; i++) {
        const KerbValue *v = kerb_infer_in(c, i);
        if (v && (!kerb_value_is_constant(v) || !kerb_dims_elements(v->rank, v->dims, FOLD_MAX_INPUT, &elements))) return false;
    }
    for (int i = 0; i < n->n_outputs; i++) {
        const KerbValue *v = kerb_graph_value(c->g, n->outputs[i]);
        if (v && !kerb_dims_elements(v->rank, v->dims, FOLD_MAX_OUTPUT, &elements)) return false;
    }
    return true;
}

KerbStatus kerb_node_fold(KerbGraph *g, KerbNode *n, KerbError *error)
{
    KerbStatus status = KERB_OK;
    bool memory = true;
    KerbTensor *t = kerb_alloc((size_t)(n->n_inputs + n->n_outputs) * sizeof *t), *out = t ? t + n->n_inputs : NULL;
    for (int i = 0; t && i < n->n_inputs; i++) {
        const KerbValue *v = kerb_node_input(g, n, i);
        if (v) t[i] = kerb_value_tensor(v);
    }
    for (int i = 0; t && i < n->n_outputs; i++) {
        const KerbValue *v = kerb_graph_value(g, n->outputs[i]);
        if (!v) continue;
        out[i] = kerb_tensor(NULL, v->dtype, v->rank, v->dims);
        out[i].data = kerb_arena_alloc(g->arena, kerb_tensor_bytes(&out[i]));
        memory = memory && out[i].data;
    }
    if (!t || !memory) status = kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for folding %s '%s'", kerb_node_kind(n), n->name);
    if (status == KERB_OK) status = kerb_ref_eval(g, n, t, out, error);
    for (int i = 0; status == KERB_OK && i < n->n_outputs; i++) {
        KerbValue *v = kerb_graph_value(g, n->outputs[i]);
        if (!v) continue;
        v->data = out[i].data;
        v->borrowed = false;
        v->producer = KERB_NO_NODE;
        if (n->op != KERB_OP_DEQUANTIZE || n->attrs.quantize.block_size) continue;
        v->dequantized = true;
        v->integers = n->inputs[0];
        v->integers_scale = n->inputs[1];
        v->integers_zero = n->n_inputs > 2 ? n->inputs[2] : KERB_NO_VALUE;
        v->integers_axis = n->attrs.quantize.axis;
    }
    if (status == KERB_OK) n->dead = true;
    kerb_free(&t);
    return status;
}

/* ---- the walk */

static KerbStatus check_inputs(const KerbGraph *g, KerbError *error)
{
    char dims[160];
    for (int i = 0; i < g->n_values; i++) {
        const KerbValue *v = &g->values[i];
        if (!v->data) continue;
        if (v->dtype == KERB_DTYPE_NONE || v->rank < 0 || !kerb_infer_bounded(v->rank, v->dims))
            return kerb_fail(error, KERB_ERROR_ASSET, "the constant '%s' has no type or no sound shape (%s): the model is damaged, export it again",
                             v->name, kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
    }
    for (int i = 0; i < g->n_inputs; i++) {
        const KerbValue *v = &g->values[g->inputs[i]];
        if (v->rank < 0 || v->dtype == KERB_DTYPE_NONE)
            return kerb_fail(error, KERB_ERROR_ASSET, "the input '%s' has no type or no shape; export the model with typed inputs", v->name);
        if (!kerb_infer_bounded(v->rank, v->dims))
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "the input '%s' is %s: choose the network's size (dims of 0 or more, at most 2^31 elements)",
                             v->name, kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
    }
    return KERB_OK;
}

static bool graph_is_sized(const KerbGraph *g)
{
    for (int i = 0; i < g->n_inputs; i++)
        for (int k = 0; k < KERB_MAX_RANK; k++)
            if (g->values[g->inputs[i]].symbols[k]) return true;
    return false;
}

static KerbStatus infer_node(KerbInfer *c)
{
    const KerbNode *n = c->n;
    if ((unsigned)n->op >= KERB_OP_COUNT || !rules[n->op].fn)
        return kerb_fail(c->error, KERB_ERROR_INTERNAL, "node '%s': no shape rule for operator %d", n->name, (int)n->op);
    for (int i = 0; i < n->n_inputs || i < rules[n->op].required; i++) {
        const KerbValue *v = kerb_infer_in(c, i);
        if (!v && i < rules[n->op].required)
            return kerb_fail(c->error, KERB_ERROR_ASSET, "%s '%s' lacks its input %d: the model is damaged, export it again", kerb_node_kind(n), n->name, i);
        if (v && (v->rank < 0 || v->dtype == KERB_DTYPE_NONE))
            return kerb_fail(c->error, KERB_ERROR_ASSET, "%s '%s' reads '%s', which nothing computes: the model is damaged, export it again",
                             kerb_node_kind(n), n->name, v->name);
    }
    KerbStatus status = rules[n->op].fn(c);
    if (status != KERB_OK || !foldable(c)) return status;
    status = kerb_node_fold(c->g, c->n, c->error);
    if (status != KERB_ERROR_UNSUPPORTED) return status;
    kerb_error_clear(c->error); /* an operator that ref lacks is left to run time */
    return KERB_OK;
}

KerbStatus kerb_graph_infer(KerbGraph *g, KerbError *error)
{
    KerbInfer c = { .g = g, .error = error, .sized = graph_is_sized(g) };
    KerbStatus status = kerb_graph_sort(g, error);
    if (status == KERB_OK) status = check_inputs(g, error);
    for (int i = 0; i < g->n_nodes && status == KERB_OK; i++) {
        c.n = &g->nodes[i];
        status = infer_node(&c);
    }
    for (int i = 0; i < g->n_outputs && status == KERB_OK; i++) {
        const KerbValue *v = &g->values[g->outputs[i]];
        if (v->rank < 0 || v->dtype == KERB_DTYPE_NONE)
            status = kerb_fail(error, KERB_ERROR_ASSET, "nothing computes the output '%s': the model is damaged, export it again", v->name);
    }
    return status == KERB_OK ? kerb_graph_sort(g, error) : status; /* drops what was folded */
}
