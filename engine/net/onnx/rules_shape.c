/* SPDX-License-Identifier: MIT */
/* Rules for operators that move data and speak of shapes. What were attributes in older opsets become constant inputs. */
#include "net/onnx/import.h"

/* Nothing but inputs and outputs. param: the KerbOp. */
KERB_RULE(plain) { kerb_import_same(im, (KerbOp)rule->param, rule->max_inputs < 0 ? im->n_inputs : rule->max_inputs); }

/* With attribute `axis`. param: the KerbOp. */
KERB_RULE(axis)
{
    KerbOp op = (KerbOp)rule->param;
    if (op == KERB_OP_CONCAT && !kerb_onnx_attribute(im->node, "axis")) kerb_import_bad(im, "attribute 'axis' is missing");
    int64_t axis = kerb_attribute_int(im, "axis", op == KERB_OP_FLATTEN ? 1 : 0);
    kerb_import_same(im, op, im->n_inputs)->axis = axis;
    if (op == KERB_OP_FLATTEN) kerb_import_says(im, 0, KERB_DTYPE_NONE, 2);
    if (op == KERB_OP_GATHER && kerb_import_rank(im, 0) >= 0 && kerb_import_rank(im, 1) >= 0)
        kerb_import_says(im, 0, KERB_DTYPE_NONE, kerb_import_rank(im, 0) + kerb_import_rank(im, 1) - 1);
    if (op == KERB_OP_GATHER_ELEMENTS || op == KERB_OP_CONCAT) kerb_import_says(im, 0, KERB_DTYPE_NONE, kerb_import_rank(im, 0));
}

KERB_RULE(transpose)
{
    int64_t perm[KERB_MAX_RANK];
    int n = kerb_attribute_ints(im, "perm", perm, KERB_MAX_RANK);
    unsigned seen = 0;
    for (int i = 0; i < n; i++) {
        if (perm[i] < 0 || perm[i] >= n || (seen & 1u << perm[i])) kerb_import_bad(im, "perm is no permutation of 0..%d", n - 1);
        else seen |= 1u << perm[i];
    }
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_TRANSPOSE, 1);
    attrs->transpose.n = n > 0 ? n : 0;
    for (int i = 0; i < n; i++) attrs->transpose.perm[i] = perm[i];
}

KERB_RULE(reshape)
{
    bool allow_zero = kerb_attribute_bool(im, "allowzero", false);
    kerb_import_same(im, KERB_OP_RESHAPE, 2)->reshape.allow_zero = allow_zero;
    const KerbValue *shape = kerb_import_value(im, 1);
    if (kerb_value_is_constant(shape) && shape->rank == 1 && shape->dims[0] <= KERB_MAX_RANK)
        kerb_import_says(im, 0, KERB_DTYPE_NONE, (int)shape->dims[0]);
}

KERB_RULE(pad)
{
    static const char *const modes[] = { "constant", "reflect", "edge", "wrap", NULL };
    int mode = kerb_attribute_choice(im, "mode", modes, KERB_PADDING_CONSTANT);
    uint32_t inputs[4] = { im->inputs[0], kerb_import_input(im, 1), kerb_import_input(im, 2), kerb_import_input(im, 3) };
    if (im->opset < 11) {
        int64_t pads[2 * KERB_MAX_RANK];
        int n = kerb_attribute_ints(im, im->opset < 2 ? "paddings" : "pads", pads, 2 * KERB_MAX_RANK);
        float value = kerb_attribute_float(im, "value", 0);
        if (n < 0 || n % 2) kerb_import_bad(im, "attribute 'pads' is missing or has an odd number of entries");
        inputs[1] = kerb_import_ints(im, "pads", n < 0 ? 0 : n, pads);
        inputs[2] = value != 0 ? kerb_import_scalar(im, "value", kerb_import_type(im, 0), (double)value) : KERB_NO_VALUE;
    } else if (inputs[1] == KERB_NO_VALUE) {
        kerb_import_bad(im, "input 'pads' is missing");
    }
    kerb_import_add(im, KERB_OP_PAD, NULL, 4, inputs, 1, im->outputs)->pad.mode = mode;
}

KERB_RULE(split)
{
    int64_t axis = kerb_attribute_int(im, "axis", 0), parts = kerb_attribute_int(im, "num_outputs", im->n_outputs);
    uint32_t inputs[2] = { im->inputs[0], KERB_NO_VALUE };
    if (parts != im->n_outputs) kerb_import_bad(im, "num_outputs is %lld, but it has %d outputs", (long long)parts, im->n_outputs);
    if (im->opset >= 13) {
        inputs[1] = kerb_import_input(im, 1);
    } else {
        int64_t sizes[64]; /* more parts than any real network has */
        int n = kerb_attribute_ints(im, "split", sizes, 64);
        if (n > 0 && n != im->n_outputs) kerb_import_bad(im, "attribute 'split' has %d sizes for %d outputs", n, im->n_outputs);
        if (n > 0) inputs[1] = kerb_import_ints(im, "sizes", n, sizes);
    }
    for (int i = 0; i < im->n_outputs; i++) {
        if (im->outputs[i] == KERB_NO_VALUE) im->outputs[i] = kerb_import_between(im, "unused"); /* its size still counts */
        kerb_import_says(im, i, kerb_import_type(im, 0), kerb_import_rank(im, 0));
    }
    kerb_import_add(im, KERB_OP_SPLIT, NULL, 2, inputs, im->n_outputs, im->outputs)->split.axis = axis;
}

KERB_RULE(slice)
{
    if (im->opset >= 10) {
        if (im->n_inputs < 3 || im->inputs[1] == KERB_NO_VALUE || im->inputs[2] == KERB_NO_VALUE)
            kerb_import_bad(im, "inputs 'starts' and 'ends' are missing");
        kerb_import_same(im, KERB_OP_SLICE, 5);
        return;
    }
    static const char *const names[] = { "starts", "ends", "axes" };
    uint32_t inputs[4] = { im->inputs[0], KERB_NO_VALUE, KERB_NO_VALUE, KERB_NO_VALUE };
    int counts[3];
    for (int i = 0; i < 3; i++) {
        int64_t values[KERB_MAX_RANK];
        counts[i] = kerb_attribute_ints(im, names[i], values, KERB_MAX_RANK);
        if (counts[i] >= 0) inputs[1 + i] = kerb_import_ints(im, names[i], counts[i], values);
    }
    if (counts[0] < 0 || counts[0] != counts[1] || (counts[2] >= 0 && counts[2] != counts[0]))
        kerb_import_bad(im, "attributes 'starts', 'ends' and 'axes' do not have the same number of entries");
    kerb_import_add(im, KERB_OP_SLICE, NULL, 4, inputs, 1, im->outputs);
}

KERB_RULE(shape)
{
    int64_t start = kerb_attribute_int(im, "start", 0), end = kerb_attribute_int(im, "end", 0);
    bool has_end = kerb_onnx_attribute(im->node, "end") != NULL;
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_SHAPE, 1);
    attrs->shape.start = start;
    attrs->shape.end = end;
    attrs->shape.has_end = has_end;
    kerb_import_says(im, 0, KERB_I64, 1);
}

/* Squeeze, Unsqueeze. param: the KerbOp. */
KERB_RULE(squeeze)
{
    KerbOp op = (KerbOp)rule->param;
    int64_t axes[KERB_MAX_RANK];
    uint32_t inputs[2] = { im->inputs[0], kerb_import_input(im, 1) };
    int n = -1, rank = kerb_import_rank(im, 0);
    if (im->opset < 13) {
        n = kerb_attribute_ints(im, "axes", axes, KERB_MAX_RANK);
        inputs[1] = n >= 0 ? kerb_import_ints(im, "axes", n, axes) : KERB_NO_VALUE;
    } else {
        n = kerb_value_integers(kerb_import_value(im, 1), axes, KERB_MAX_RANK);
    }
    if (op == KERB_OP_UNSQUEEZE && inputs[1] == KERB_NO_VALUE) kerb_import_bad(im, "its axes are missing");
    kerb_import_add(im, op, NULL, 2, inputs, 1, im->outputs);
    int after = rank < 0 || n < 0 ? -1 : op == KERB_OP_UNSQUEEZE ? rank + n : rank - n;
    if (after >= 0 && after <= KERB_MAX_RANK) kerb_import_says(im, 0, KERB_DTYPE_NONE, after);
}

/* DepthToSpace, SpaceToDepth. param: the KerbOp. */
KERB_RULE(block)
{
    static const char *const modes[] = { "DCR", "CRD", NULL };
    int64_t size = kerb_attribute_int(im, "blocksize", 0);
    bool crd = rule->param == KERB_OP_DEPTH_TO_SPACE && kerb_attribute_choice(im, "mode", modes, 0) == 1;
    if (size < 1 || size > 65536) kerb_import_bad(im, "blocksize %lld is not 1..65536", (long long)size);
    KerbAttrs *attrs = kerb_import_same(im, (KerbOp)rule->param, 1);
    attrs->block.size = size;
    attrs->block.crd = crd;
}
