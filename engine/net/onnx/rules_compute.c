/* SPDX-License-Identifier: MIT */
/* Rules for operators that compute: element by element, windows, norms, reductions, products. */
#include "net/onnx/import.h"

#include <stdio.h>

KERB_RULE(unary)
{
    static const char *const approximations[] = { "none", "tanh", NULL };
    static const struct {
        KerbUnary kind;
        float alpha, beta;
    } defaults[] = { /* those that have parameters, as the standard gives them */
        { KERB_UNARY_LEAKY_RELU, 0.01f, 0 },
        { KERB_UNARY_ELU, 1, 0 },
        { KERB_UNARY_CELU, 1, 0 },
        { KERB_UNARY_THRESHOLDED_RELU, 1, 0 },
        { KERB_UNARY_HARD_SIGMOID, 0.2f, 0.5f },
        { KERB_UNARY_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f },
    };
    KerbUnary kind = (KerbUnary)rule->param;
    float alpha = 0, beta = 0;
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (defaults[i].kind != kind) continue;
        alpha = kerb_attribute_float(im, "alpha", defaults[i].alpha);
        beta = kerb_attribute_float(im, kind == KERB_UNARY_SELU ? "gamma" : "beta", defaults[i].beta);
    }
    if (kind == KERB_UNARY_HARD_SWISH) alpha = 1.0f / 6, beta = 0.5f;
    if (kind == KERB_UNARY_GELU && kerb_attribute_choice(im, "approximate", approximations, 0) == 1) kind = KERB_UNARY_GELU_TANH;
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_UNARY, 1);
    attrs->unary.kind = kind;
    attrs->unary.alpha = alpha;
    attrs->unary.beta = beta;
    if (kind == KERB_UNARY_ISNAN) kerb_import_says(im, 0, KERB_BOOL, -1);
}

/* Before opset 7, b's axes were laid against a's from `axis` on, and PRelu's slope against the channels. Today's form aligns the last
 * axes: so b gets axes of length 1 at its end. */
static uint32_t kerb_binary_old_form(KerbImport *im, KerbBinary kind)
{
    int64_t axis = kerb_attribute_int(im, "axis", -1000);
    int rank_a = kerb_import_rank(im, 0), rank_b = kerb_import_rank(im, 1);
    uint32_t b = kerb_import_input(im, 1);
    if (kind == KERB_BINARY_PRELU) {
        if (rank_b < 0 || (rank_b == 1 && rank_a < 0)) kerb_import_lack(im, "opset %lld form, shapes not known", (long long)im->opset);
        if (rank_b != 1 || rank_a <= 2) return b;
        return kerb_import_unsqueezed(im, "slope", b, 1, rank_a - 2);
    }
    if (!kerb_attribute_bool(im, "broadcast", false) || axis == -1000) return b;
    if (rank_a < 0 || rank_b < 0) {
        kerb_import_lack(im, "broadcast with an axis, shapes not known");
        return b;
    }
    if (axis < 0) axis += rank_a;
    if (axis < 0 || axis + rank_b > rank_a) kerb_import_bad(im, "axis %lld does not fit ranks %d and %d", (long long)axis, rank_a, rank_b);
    return im->status == KERB_OK ? kerb_import_unsqueezed(im, "aligned", b, rank_b, rank_a - (int)axis - rank_b) : b;
}

KERB_RULE(binary)
{
    KerbBinary kind = (KerbBinary)rule->param;
    uint32_t inputs[2] = { kerb_import_input(im, 0), kerb_import_input(im, 1) };
    if (im->opset < 7) inputs[1] = kerb_binary_old_form(im, kind);
    bool fmod = kind == KERB_BINARY_MOD && kerb_attribute_bool(im, "fmod", false);
    KerbAttrs *attrs = kerb_import_add(im, KERB_OP_BINARY, NULL, 2, inputs, im->n_outputs, im->outputs);
    attrs->binary.kind = kind;
    attrs->binary.fmod = fmod;
    attrs->binary.act.slope = KERB_NO_VALUE;
    bool compares = kind == KERB_BINARY_EQUAL || kind == KERB_BINARY_LESS || kind == KERB_BINARY_GREATER ||
                    kind == KERB_BINARY_LESS_EQUAL || kind == KERB_BINARY_GREATER_EQUAL;
    int rank_a = kerb_import_rank(im, 0), rank_b = kerb_import_rank(im, 1);
    int rank = rank_a < 0 || rank_b < 0 ? -1 : rank_a > rank_b ? rank_a : rank_b;
    kerb_import_says(im, 0, compares ? KERB_BOOL : kerb_import_type(im, 0), rank);
}

/* Sum, Max, Min, Mean of any number: a chain of two at a time. param: the KerbBinary, -1 for Mean (a sum, then divided). */
KERB_RULE(variadic)
{
    bool mean = rule->param < 0 && im->n_inputs > 1;
    KerbBinary kind = rule->param < 0 ? KERB_BINARY_ADD : (KerbBinary)rule->param;
    if (im->n_inputs == 1) kerb_import_same(im, KERB_OP_IDENTITY, 1);
    uint32_t sum = kerb_import_input(im, 0);
    for (int i = 1; i < im->n_inputs; i++) {
        bool last = i == im->n_inputs - 1 && !mean;
        uint32_t inputs[2] = { sum, im->inputs[i] };
        sum = last ? im->outputs[0] : kerb_import_between(im, "chain");
        kerb_import_add(im, KERB_OP_BINARY, last ? NULL : "chain", 2, inputs, 1, &sum)->binary.kind = kind;
    }
    if (!mean) return;
    uint32_t inputs[2] = { sum, kerb_import_scalar(im, "count", kerb_import_type(im, 0), im->n_inputs) };
    kerb_import_add(im, KERB_OP_BINARY, NULL, 2, inputs, 1, im->outputs)->binary.kind = KERB_BINARY_DIV;
}

KERB_RULE(clip)
{
    if (im->opset >= 11) {
        kerb_import_same(im, KERB_OP_CLIP, 3);
        return;
    }
    static const char *const names[] = { "min", "max" };
    uint32_t inputs[3] = { im->inputs[0], KERB_NO_VALUE, KERB_NO_VALUE };
    for (int i = 0; i < 2; i++) {
        const KerbOnnxAttribute *a = kerb_attribute(im, names[i], KERB_ATTRIBUTE_FLOAT);
        if (a) inputs[1 + i] = kerb_import_scalar(im, names[i], kerb_import_type(im, 0), (double)a->f);
    }
    kerb_import_add(im, KERB_OP_CLIP, NULL, 3, inputs, 1, im->outputs);
}

/* Conv, ConvTranspose, QLinearConv. param: the KerbOp. */
KERB_RULE(conv)
{
    KerbOp op = (KerbOp)rule->param;
    KerbConvAttrs conv = { .act.slope = KERB_NO_VALUE };
    int64_t list[16];
    kerb_attribute_window(im, &conv.window, true, kerb_import_input(im, op == KERB_OP_QLINEAR_CONV ? 3 : 1));
    conv.group = kerb_attribute_int(im, "group", 1);
    if (conv.group < 1 || conv.group > INT32_MAX) kerb_import_bad(im, "group %lld is not 1..2^31-1", (long long)conv.group);
    static const char *const names[] = { "output_padding", "output_shape" };
    for (int k = 0; op == KERB_OP_CONV_TRANSPOSE && k < 2; k++) {
        int n = kerb_attribute_ints(im, names[k], list, 16);
        if (n <= 0) continue;
        int64_t *to = k ? conv.output_shape : conv.output_padding;
        const int64_t *from = list;
        if (k && conv.window.n && n == conv.window.n + 2) from += 2, n -= 2; /* opset 1 let the batch and the channels stand in front */
        if (n > KERB_MAX_SPATIAL || (conv.window.n && n != conv.window.n)) {
            kerb_import_bad(im, "%s has %d entries, the window %d axes", names[k], n, conv.window.n);
            return;
        }
        for (int i = 0; i < n; i++) {
            if (from[i] < 0 || from[i] > INT32_MAX) kerb_import_bad(im, "%s %lld is not 0..2^31-1", names[k], (long long)from[i]);
            to[i] = from[i];
        }
    }
    KerbAttrs *attrs = kerb_import_same(im, op, rule->max_inputs);
    attrs->conv = conv;
    kerb_import_says(im, 0, op == KERB_OP_QLINEAR_CONV ? kerb_import_type(im, 7) : kerb_import_type(im, 0), kerb_import_rank(im, 0));
}

/* MaxPool, AveragePool, MaxUnpool. param: the KerbOp. */
KERB_RULE(pool)
{
    KerbOp op = (KerbOp)rule->param;
    KerbPoolAttrs pool = { 0 };
    if (!kerb_onnx_attribute(im->node, "kernel_shape")) kerb_import_bad(im, "attribute 'kernel_shape' is missing");
    kerb_attribute_window(im, &pool.window, true, KERB_NO_VALUE);
    if (im->status == KERB_OK && !im->lacking && pool.window.kernel[0] == 0) kerb_import_bad(im, "attribute 'kernel_shape' is empty");
    pool.ceil_mode = op != KERB_OP_MAX_UNPOOL && kerb_attribute_bool(im, "ceil_mode", false);
    pool.count_include_pad = op == KERB_OP_AVERAGE_POOL && kerb_attribute_bool(im, "count_include_pad", false);
    pool.column_major = op == KERB_OP_MAX_POOL && kerb_attribute_bool(im, "storage_order", false);
    KerbAttrs *attrs = kerb_import_same(im, op, rule->max_inputs);
    attrs->pool = pool;
    kerb_import_says(im, 1, KERB_I64, kerb_import_rank(im, 0));
}

KERB_RULE(batch_norm)
{
    float epsilon = kerb_attribute_float(im, "epsilon", 1e-5f);
    kerb_attribute_ignore(im, "momentum");
    if (kerb_attribute_bool(im, "training_mode", false)) kerb_import_lack(im, "training_mode");
    if (im->opset < 7 && !kerb_attribute_bool(im, "is_test", false)) kerb_import_lack(im, "training: is_test is 0");
    if (im->opset < 9 && !kerb_attribute_bool(im, "spatial", true)) kerb_import_lack(im, "spatial 0");
    if (im->n_outputs > 1) kerb_import_lack(im, "outputs of training are read");
    kerb_import_same(im, KERB_OP_BATCH_NORM, 5)->norm.epsilon = epsilon;
}

KERB_RULE(norm)
{
    float epsilon = kerb_attribute_float(im, "epsilon", 1e-5f);
    kerb_import_same(im, (KerbOp)rule->param, 3)->norm.epsilon = epsilon;
}

KERB_RULE(lrn)
{
    float alpha = kerb_attribute_float(im, "alpha", 1e-4f), beta = kerb_attribute_float(im, "beta", 0.75f);
    float bias = kerb_attribute_float(im, "bias", 1);
    int64_t size = kerb_attribute_int(im, "size", 0);
    if (size < 1 || size > INT32_MAX) kerb_import_bad(im, "size %lld is not 1..2^31-1", (long long)size);
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_LRN, 1);
    attrs->lrn.alpha = alpha;
    attrs->lrn.beta = beta;
    attrs->lrn.bias = bias;
    attrs->lrn.size = size;
}

/* param: the KerbReduction. The axes became an input with opset 18, ReduceSum's with 13. */
KERB_RULE(reduce)
{
    KerbReduction kind = (KerbReduction)rule->param;
    uint32_t inputs[2] = { im->inputs[0], KERB_NO_VALUE };
    bool keepdims = kerb_attribute_bool(im, "keepdims", true), noop = false;
    if (im->opset >= (kind == KERB_REDUCE_SUM ? 13 : 18)) {
        inputs[1] = kerb_import_input(im, 1);
        noop = kerb_attribute_bool(im, "noop_with_empty_axes", false);
    } else {
        int64_t axes[KERB_MAX_RANK];
        int n = kerb_attribute_ints(im, "axes", axes, KERB_MAX_RANK);
        if (n > 0) inputs[1] = kerb_import_ints(im, "axes", n, axes);
    }
    KerbAttrs *attrs = kerb_import_add(im, KERB_OP_REDUCE, NULL, 2, inputs, 1, im->outputs);
    attrs->reduce.kind = kind;
    attrs->reduce.keepdims = keepdims;
    attrs->reduce.noop_with_empty_axes = noop;
    if (keepdims) kerb_import_says(im, 0, KERB_DTYPE_NONE, kerb_import_rank(im, 0));
}

KERB_RULE(global_pool)
{
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_REDUCE, 1);
    attrs->reduce.kind = (KerbReduction)rule->param;
    attrs->reduce.keepdims = attrs->reduce.spatial = true;
}

/* param: is it ArgMin? */
KERB_RULE(arg)
{
    int64_t axis = kerb_attribute_int(im, "axis", 0);
    bool keepdims = kerb_attribute_bool(im, "keepdims", true), last = kerb_attribute_bool(im, "select_last_index", false);
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_ARG, 1);
    attrs->arg.axis = axis;
    attrs->arg.keepdims = keepdims;
    attrs->arg.select_last = last;
    attrs->arg.is_min = rule->param;
    kerb_import_says(im, 0, KERB_I64, keepdims ? kerb_import_rank(im, 0) : -1);
}

/* param: is it LogSoftmax? */
KERB_RULE(softmax)
{
    int64_t axis = kerb_attribute_int(im, "axis", im->opset >= 13 ? -1 : 1);
    int rank = kerb_import_rank(im, 0);
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_SOFTMAX, 1);
    attrs->softmax.axis = axis;
    attrs->softmax.log = rule->param;
    attrs->softmax.flatten = im->opset < 13 && axis != -1 && !(rank > 0 && axis == rank - 1); /* over the last axis both mean the same */
}

KERB_RULE(gemm)
{
    float alpha = kerb_attribute_float(im, "alpha", 1), beta = kerb_attribute_float(im, "beta", 1);
    bool trans_a = kerb_attribute_bool(im, "transA", false), trans_b = kerb_attribute_bool(im, "transB", false);
    kerb_attribute_ignore(im, "broadcast"); /* opset 6: what it allows is the rule today */
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_GEMM, 3);
    attrs->gemm.alpha = alpha;
    attrs->gemm.beta = beta;
    attrs->gemm.trans_a = trans_a;
    attrs->gemm.trans_b = trans_b;
    attrs->gemm.act.slope = KERB_NO_VALUE;
    kerb_import_says(im, 0, KERB_DTYPE_NONE, 2);
}

KERB_RULE(cumsum)
{
    bool exclusive = kerb_attribute_bool(im, "exclusive", false), reverse = kerb_attribute_bool(im, "reverse", false);
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_CUMSUM, 2);
    attrs->cumsum.exclusive = exclusive;
    attrs->cumsum.reverse = reverse;
}
