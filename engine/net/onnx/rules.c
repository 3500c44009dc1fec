/* SPDX-License-Identifier: MIT */
/* The operators that Kerb reads: one line each, grouped for the reader's eye; looked up by a scan (import is not the hot path). */
#include "net/onnx/import.h"

#include <string.h>

#define ANY (-1)
#define NO KERB_KEEPS_NOTHING
#define TYPE KERB_KEEPS_TYPE
#define RANK KERB_KEEPS_RANK
#define OP(e) KERB_OP_##e
#define REDUCTION(name, e) { name, kerb_rule_reduce, KERB_REDUCE_##e, 1, 1, 2, 1, TYPE }
#define PAIR(name, e, opset) { name, kerb_rule_binary, KERB_BINARY_##e, opset, 2, 2, 1, NO }
#define MANY(name, kind) { name, kerb_rule_variadic, kind, 1, 1, ANY, 1, TYPE }
#define PLAIN(name, e, opset, min, max, keeps) { name, kerb_rule_plain, KERB_OP_##e, opset, min, max, 1, keeps }
#define AXIS(name, e, min, max, keeps) { name, kerb_rule_axis, KERB_OP_##e, 1, min, max, 1, keeps }

static const KerbRule kerb_rules[] = {
    /* name, function, parameter, lowest opset, fewest and most inputs, most outputs, what outputs keep of input 0 */
#define KERB_RULE_UNARY(e, name) { name, kerb_rule_unary, KERB_UNARY_##e, 1, 1, 1, 1, RANK },
    KERB_UNARIES(KERB_RULE_UNARY)
#undef KERB_RULE_UNARY
    PAIR("Add", ADD, 1), PAIR("Sub", SUB, 1), PAIR("Mul", MUL, 1), PAIR("Div", DIV, 1), PAIR("Pow", POW, 1), PAIR("Mod", MOD, 10),
    PAIR("PRelu", PRELU, 1), PAIR("Equal", EQUAL, 1), PAIR("Less", LESS, 1), PAIR("Greater", GREATER, 1),
    PAIR("LessOrEqual", LESS_EQUAL, 12), PAIR("GreaterOrEqual", GREATER_EQUAL, 12), PAIR("And", AND, 1), PAIR("Or", OR, 1),
    PAIR("Xor", XOR, 1),
    MANY("Sum", KERB_BINARY_ADD), MANY("Max", KERB_BINARY_MAX), MANY("Min", KERB_BINARY_MIN), MANY("Mean", -1),
    { "Clip", kerb_rule_clip, 0, 1, 1, 3, 1, RANK },
    PLAIN("Where", WHERE, 9, 3, 3, NO),
    { "Conv", kerb_rule_conv, OP(CONV), 1, 2, 3, 1, RANK },
    { "ConvTranspose", kerb_rule_conv, OP(CONV_TRANSPOSE), 1, 2, 3, 1, RANK },
    { "QLinearConv", kerb_rule_conv, OP(QLINEAR_CONV), 10, 8, 9, 1, NO },
    { "MaxPool", kerb_rule_pool, OP(MAX_POOL), 1, 1, 1, 2, RANK },
    { "AveragePool", kerb_rule_pool, OP(AVERAGE_POOL), 1, 1, 1, 1, RANK },
    { "MaxUnpool", kerb_rule_pool, OP(MAX_UNPOOL), 9, 2, 3, 1, RANK },
    { "GlobalAveragePool", kerb_rule_global_pool, KERB_REDUCE_MEAN, 1, 1, 1, 1, RANK },
    { "GlobalMaxPool", kerb_rule_global_pool, KERB_REDUCE_MAX, 1, 1, 1, 1, RANK },
    { "BatchNormalization", kerb_rule_batch_norm, 0, 6, 5, 5, 5, RANK },
    { "InstanceNormalization", kerb_rule_norm, OP(INSTANCE_NORM), 1, 3, 3, 1, RANK },
    { "LRN", kerb_rule_lrn, 0, 1, 1, 1, 1, RANK },
    REDUCTION("ReduceMean", MEAN), REDUCTION("ReduceSum", SUM), REDUCTION("ReduceMax", MAX), REDUCTION("ReduceMin", MIN),
    REDUCTION("ReduceProd", PROD), REDUCTION("ReduceL1", L1), REDUCTION("ReduceL2", L2), REDUCTION("ReduceSumSquare", SUM_SQUARE),
    REDUCTION("ReduceLogSum", LOG_SUM), REDUCTION("ReduceLogSumExp", LOG_SUM_EXP),
    { "ArgMax", kerb_rule_arg, false, 1, 1, 1, 1, NO },
    { "ArgMin", kerb_rule_arg, true, 1, 1, 1, 1, NO },
    { "Softmax", kerb_rule_softmax, false, 1, 1, 1, 1, RANK },
    { "LogSoftmax", kerb_rule_softmax, true, 1, 1, 1, 1, RANK },
    PLAIN("MatMul", MATMUL, 1, 2, 2, TYPE),
    { "Gemm", kerb_rule_gemm, 0, 1, 2, 3, 1, TYPE },
    { "CumSum", kerb_rule_cumsum, 0, 11, 2, 2, 1, RANK },
    { "Resize", kerb_rule_resize, 0, 10, 1, 4, 1, RANK },
    { "Upsample", kerb_rule_upsample, 0, 7, 1, 2, 1, RANK },
    { "GridSample", kerb_rule_grid_sample, 0, 16, 2, 2, 1, RANK },
    { "Transpose", kerb_rule_transpose, 0, 1, 1, 1, 1, RANK },
    { "Reshape", kerb_rule_reshape, 0, 5, 2, 2, 1, TYPE },
    { "Pad", kerb_rule_pad, 0, 1, 1, 4, 1, RANK },
    { "Split", kerb_rule_split, 0, 2, 1, 2, ANY, NO },
    { "Slice", kerb_rule_slice, 0, 1, 1, 5, 1, RANK },
    { "Shape", kerb_rule_shape, 0, 1, 1, 1, 1, NO },
    PLAIN("Size", SIZE, 1, 1, 1, NO),
    { "Squeeze", kerb_rule_squeeze, OP(SQUEEZE), 1, 1, 2, 1, TYPE },
    { "Unsqueeze", kerb_rule_squeeze, OP(UNSQUEEZE), 1, 1, 2, 1, TYPE },
    { "DepthToSpace", kerb_rule_block, OP(DEPTH_TO_SPACE), 1, 1, 1, 1, RANK },
    { "SpaceToDepth", kerb_rule_block, OP(SPACE_TO_DEPTH), 1, 1, 1, 1, RANK },
    AXIS("Concat", CONCAT, 1, ANY, TYPE), AXIS("Flatten", FLATTEN, 1, 1, TYPE), AXIS("Gather", GATHER, 2, 2, TYPE),
    AXIS("GatherElements", GATHER_ELEMENTS, 2, 2, TYPE),
    PLAIN("Identity", IDENTITY, 1, 1, 1, RANK), PLAIN("Expand", EXPAND, 8, 2, 2, TYPE), PLAIN("Tile", TILE, 6, 2, 2, RANK),
    PLAIN("Range", RANGE, 11, 3, 3, TYPE),
    { "Dropout", kerb_rule_dropout, 0, 1, 1, 3, 2, RANK },
    { "Cast", kerb_rule_cast, 0, 6, 1, 1, 1, NO },
    { "CastLike", kerb_rule_cast_like, 0, 15, 2, 2, 1, NO },
    { "Constant", kerb_rule_constant, 0, 1, 0, 0, 1, NO },
    { "ConstantOfShape", kerb_rule_constant_of_shape, 0, 9, 1, 1, 1, NO },
    { "QuantizeLinear", kerb_rule_quantize, OP(QUANTIZE), 10, 2, 3, 1, NO },
    { "DequantizeLinear", kerb_rule_quantize, OP(DEQUANTIZE), 10, 2, 3, 1, NO },
    PLAIN("QLinearMatMul", QLINEAR_MATMUL, 10, 8, 8, NO),
};

const KerbRule *kerb_rule_find(KerbBytes type)
{
    for (size_t i = 0; i < sizeof kerb_rules / sizeof kerb_rules[0]; i++) {
        const KerbRule *rule = &kerb_rules[i];
        if (!kerb_bytes_are(type, rule->type)) continue;
        /* Kinds of unary that only Kerb's passes make: no operators of ONNX. */
        bool own = rule->import == kerb_rule_unary && (rule->param == KERB_UNARY_GELU_TANH || rule->param == KERB_UNARY_SWISH);
        return own ? NULL : rule;
    }
    return NULL;
}
