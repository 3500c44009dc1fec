/* SPDX-License-Identifier: MIT */
/* kerb_ref_eval(): one node -> its operator's function. Checks what no operator should have to: types, and inputs that must be there. */
#include "net/ref/ref_ops.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    KerbRefFn fn;
    int required; /* leading inputs that must be there */
    int min_rank; /* of input 0 */
} ops[KERB_OP_COUNT] = {
    [KERB_OP_CONV] = { kerb_ref_conv, 2, 3 },
    [KERB_OP_CONV_TRANSPOSE] = { kerb_ref_conv_transpose, 2, 3 },
    [KERB_OP_BATCH_NORM] = { kerb_ref_batch_norm, 5, 1 },
    [KERB_OP_INSTANCE_NORM] = { kerb_ref_instance_norm, 3, 3 },
    [KERB_OP_LRN] = { kerb_ref_lrn, 1, 2 },
    [KERB_OP_UNARY] = { kerb_ref_unary, 1, 0 },
    [KERB_OP_BINARY] = { kerb_ref_binary, 2, 0 },
    [KERB_OP_CLIP] = { kerb_ref_clip, 1, 0 },
    [KERB_OP_WHERE] = { kerb_ref_where, 3, 0 },
    [KERB_OP_CONCAT] = { kerb_ref_concat, 1, 1 },
    [KERB_OP_MAX_POOL] = { kerb_ref_max_pool, 1, 3 },
    [KERB_OP_AVERAGE_POOL] = { kerb_ref_average_pool, 1, 3 },
    [KERB_OP_MAX_UNPOOL] = { kerb_ref_max_unpool, 2, 3 },
    [KERB_OP_REDUCE] = { kerb_ref_reduce, 1, 0 },
    [KERB_OP_ARG] = { kerb_ref_arg, 1, 0 },
    [KERB_OP_SOFTMAX] = { kerb_ref_softmax, 1, 0 },
    [KERB_OP_RESIZE] = { kerb_ref_resize, 1, 0 },
    [KERB_OP_GRID_SAMPLE] = { kerb_ref_grid_sample, 2, 3 },
    [KERB_OP_TRANSPOSE] = { kerb_ref_transpose, 1, 0 },
    [KERB_OP_RESHAPE] = { kerb_ref_reshape, 1, 0 },
    [KERB_OP_FLATTEN] = { kerb_ref_reshape, 1, 0 },
    [KERB_OP_IDENTITY] = { kerb_ref_reshape, 1, 0 },
    [KERB_OP_CAST] = { kerb_ref_cast, 1, 0 },
    [KERB_OP_PAD] = { kerb_ref_pad, 2, 0 },
    [KERB_OP_SPLIT] = { kerb_ref_split, 1, 1 },
    [KERB_OP_SLICE] = { kerb_ref_slice, 3, 0 },
    [KERB_OP_SHAPE] = { kerb_ref_shape, 0, 0 }, /* of the input only the shape is looked at: it need not have data */
    [KERB_OP_SIZE] = { kerb_ref_size, 0, 0 },
    [KERB_OP_GATHER] = { kerb_ref_gather, 2, 1 },
    [KERB_OP_GATHER_ELEMENTS] = { kerb_ref_gather_elements, 2, 1 },
    [KERB_OP_UNSQUEEZE] = { kerb_ref_reshape, 1, 0 },
    [KERB_OP_SQUEEZE] = { kerb_ref_reshape, 1, 0 },
    [KERB_OP_CONSTANT_OF_SHAPE] = { kerb_ref_constant_of_shape, 0, 0 },
    [KERB_OP_EXPAND] = { kerb_ref_expand, 1, 0 },
    [KERB_OP_TILE] = { kerb_ref_tile, 1, 0 },
    [KERB_OP_RANGE] = { kerb_ref_range, 3, 0 },
    [KERB_OP_DEPTH_TO_SPACE] = { kerb_ref_depth_to_space, 1, 4 },
    [KERB_OP_SPACE_TO_DEPTH] = { kerb_ref_space_to_depth, 1, 4 },
    [KERB_OP_MATMUL] = { kerb_ref_matmul, 2, 1 },
    [KERB_OP_GEMM] = { kerb_ref_gemm, 2, 2 },
    [KERB_OP_QUANTIZE] = { kerb_ref_quantize, 2, 0 },
    [KERB_OP_DEQUANTIZE] = { kerb_ref_dequantize, 2, 0 },
    [KERB_OP_QLINEAR_CONV] = { kerb_ref_qlinear_conv, 8, 3 },
    [KERB_OP_QLINEAR_MATMUL] = { kerb_ref_qlinear_matmul, 8, 1 },
    [KERB_OP_CUMSUM] = { kerb_ref_cumsum, 2, 1 },
};

KerbStatus kerb_ref_fail(const KerbRefCall *c, KerbStatus status, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return kerb_fail(c->error, status, "%s \"%s\": %s", kerb_node_kind(c->n), c->n->name, text);
}

/* What a tensor that is there looks like; an empty one may have no memory. */
static bool tensor_present(const KerbTensor *t) { return t->data || (t->dtype != KERB_DTYPE_NONE && kerb_tensor_elements(t) == 0); }

const KerbTensor *kerb_ref_input(const KerbRefCall *c, int i) { return i < c->n_in && tensor_present(&c->in[i]) ? &c->in[i] : NULL; }
const KerbTensor *kerb_ref_output(const KerbRefCall *c, int i) { return i < c->n_out && tensor_present(&c->out[i]) ? &c->out[i] : NULL; }

int kerb_ref_integers(const KerbRefCall *c, int input, int64_t out[], int max)
{
    const KerbTensor *t = kerb_ref_input(c, input);
    if (!t) return 0;
    int64_t n = kerb_tensor_elements(t);
    if (t->rank > 1 || n > max) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "input %d has %lld elements in %d axes; at most %d in one were expected", input, (long long)n,
                      t->rank, max);
        return -1;
    }
    kerb_ref_read_i64(t, 0, t->rank ? t->strides[0] : 0, (int)n, out);
    return (int)n;
}

bool kerb_ref_axis(const KerbRefCall *c, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank) {
        kerb_ref_fail(c, KERB_ERROR_ASSET, "axis %lld is outside a tensor of %d axes", (long long)axis, rank);
        return false;
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

static KerbStatus check_call(const KerbRefCall *c, int required, int min_rank)
{
    for (int i = 0; i < required; i++)
        if (!kerb_ref_input(c, i)) return kerb_ref_fail(c, KERB_ERROR_ASSET, "input %d is missing", i);
    if (!kerb_ref_output(c, 0)) return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "output 0 has no memory");
    for (int i = 0; i < c->n_in + c->n_out; i++) {
        const KerbTensor *t = i < c->n_in ? kerb_ref_input(c, i) : kerb_ref_output(c, i - c->n_in);
        if (t && (t->dtype == KERB_DTYPE_NONE || t->dtype >= KERB_DTYPE_COUNT || t->rank < 0 || t->rank > KERB_MAX_RANK))
            return kerb_ref_fail(c, KERB_ERROR_INTERNAL, "%s %d has no type or shape", i < c->n_in ? "input" : "output",
                                 i < c->n_in ? i : i - c->n_in);
    }
    if (required && c->in[0].rank < min_rank)
        return kerb_ref_fail(c, KERB_ERROR_ASSET, "input 0 has %d axes; at least %d are needed", c->in[0].rank, min_rank);
    return KERB_OK;
}

KerbStatus kerb_ref_eval(const KerbGraph *g, const KerbNode *n, const KerbTensor inputs[], KerbTensor outputs[], KerbError *error)
{
    KerbRefCall c = { g, n, inputs, outputs, n->n_inputs, n->n_outputs, error };
    if (n->op >= KERB_OP_COUNT || !ops[n->op].fn)
        return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "node \"%s\": the ref backend has no operator %d", n->name, (int)n->op);
    KerbStatus status = check_call(&c, ops[n->op].required, ops[n->op].min_rank);
    return status == KERB_OK ? ops[n->op].fn(&c) : status;
}
