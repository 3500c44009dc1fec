/* SPDX-License-Identifier: MIT */
/* Checks of the elementwise kernels: every function, broadcasting, types, any strides. */
#include "kernel_case.h"

#include <stdlib.h>

static KerbWalk walk_of(Case *c, int n, CaseTensor *const tensors[])
{
    KerbStrided views[KERB_WALKED];
    const KerbStrided *operands[KERB_WALKED];
    KerbWalk walk = { .rank = 0 };
    for (int k = 0; k < n; k++) {
        if (tensors[k]) views[k] = case_as_strided(c, tensors[k]);
        operands[k] = tensors[k] ? &views[k] : NULL;
    }
    if (!kerb_walk(n, operands, tensors[0]->padding, &walk)) case_fail(c, "no walk");
    return walk;
}

/* A picture or a tensor of any strides, of given dims (rank 4 for pictures). */
static CaseTensor *tensor_of(Case *c, KerbDtype type, int rank, const int64_t dims[], int i)
{
    bool can = rank == 4 && dims[0] == 1 && (type == KERB_F32 || type == KERB_F16 || type == KERB_BF16);
    if (can && i % 3) return case_picture(c, type, (int)dims[1], (int)dims[2], (int)dims[3], (CaseLayout)(i % CASE_LAYOUTS));
    return i % 4 ? case_strided(c, type, rank, dims) : case_dense(c, type, rank, dims);
}

static int random_dims(Case *c, int i, int64_t dims[4])
{
    int rank = i % 3 ? 4 : case_pick(c, 0, 4);
    for (int axis = 0; axis < rank; axis++) dims[axis] = case_pick(c, 1, 5);
    if (i % 3) dims[0] = 1, dims[1] = case_channels[i % 5];
    return rank;
}

/* Dims that broadcast to these: SE gates, channel constants, one value, fewer axes. */
static int broadcast_dims(Case *c, int how, int rank, const int64_t dims[4], int64_t out[4])
{
    int dropped = how % 5 == 4 && rank ? case_pick(c, 0, rank) : 0;
    for (int axis = dropped; axis < rank; axis++) {
        bool one = how % 5 == 1 ? axis != 1 : how % 5 == 2 ? true : how % 5 >= 3 ? case_pick(c, 0, 1) : false;
        out[axis - dropped] = one ? 1 : dims[axis];
    }
    return rank - dropped;
}

/* ---- unary */

static double unary_low(KerbUnary kind) { return kind == KERB_UNARY_LOG || kind == KERB_UNARY_SQRT ? 0.01 : -4; }

static void check_unary(Case *c, KerbUnary kind, KerbDtype type, int i)
{
    int64_t dims[4];
    int rank = random_dims(c, i, dims);
    case_begin(c, "unary %d of %s, case %d", (int)kind, kerb_dtype_name(type), i);
    KerbDtype result = kind == KERB_UNARY_ISNAN ? KERB_BOOL : type;
    CaseTensor *x = tensor_of(c, type, rank, dims, i), *y = tensor_of(c, result, rank, dims, i + 1);
    case_fill(c, x, unary_low(kind), 4);
    if (i % 4 == 0 && kerb_dtype_is_float(type) && kind != KERB_UNARY_SIN && kind != KERB_UNARY_COS) case_salt(c, x);
    CaseTensor *const tensors[] = { y, x };
    KerbUnaryArgs args = {.walk = walk_of(c, 2, tensors),
                          .act = {.kind = KERB_ACT_UNARY, .unary = (int32_t)kind, .alpha = 0.3f, .beta = 0.6f}};
    case_launch_unary(c, &args);
    KerbNode node = { .op = KERB_OP_UNARY };
    node.attrs.unary.kind = kind, node.attrs.unary.alpha = 0.3f, node.attrs.unary.beta = 0.6f;
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_ROUNDED);
}

static void check_clip(Case *c, KerbDtype type, int i)
{
    int64_t dims[4];
    int rank = random_dims(c, i, dims);
    case_begin(c, "clip of %s, case %d", kerb_dtype_name(type), i);
    CaseTensor *x = tensor_of(c, type, rank, dims, i), *y = tensor_of(c, type, rank, dims, i + 1);
    CaseTensor *lo = case_dense(c, type, 0, NULL), *hi = case_dense(c, type, 0, NULL);
    bool integers = !kerb_dtype_is_float(type);
    case_fill(c, x, -50, 50);
    if (!integers) case_salt(c, x);
    kerb_tensor_set(&lo->view, 0, -20), kerb_tensor_set(&hi->view, 0, 30);
    CaseTensor *const tensors[] = { y, x };
    KerbUnaryArgs args = { .walk = walk_of(c, 2, tensors), .act = { .kind = KERB_ACT_CLIP, .lo = -20, .hi = 30 }, .lo_i = -20, .hi_i = 30 };
    case_launch_unary(c, &args);
    KerbNode node = { .op = KERB_OP_CLIP };
    CaseTensor *const inputs[] = { x, lo, hi };
    case_expect(c, &node, 3, inputs, y, CASE_EXACT);
}

/* ---- binary */

static bool is_comparison(KerbBinary kind) { return kind >= KERB_BINARY_EQUAL && kind <= KERB_BINARY_XOR; }

static void check_binary(Case *c, KerbBinary kind, KerbDtype type, int i)
{
    int64_t dims[4], a_dims[4], b_dims[4];
    int rank = random_dims(c, i, dims), a_rank = broadcast_dims(c, i % 2 ? 0 : i / 2, rank, dims, a_dims),
        b_rank = broadcast_dims(c, i % 2 ? i / 2 : 0, rank, dims, b_dims);
    bool integers = !kerb_dtype_is_float(type);
    case_begin(c, "binary %d of %s, case %d", (int)kind, kerb_dtype_name(type), i);
    KerbActivation act = case_activation(c, integers || is_comparison(kind) ? 0 : i, rank == 4 ? (int)dims[1] : 1);
    CaseTensor *a = tensor_of(c, type, a_rank, a_dims, i), *b = tensor_of(c, type, b_rank, b_dims, i + 1);
    CaseTensor *y = tensor_of(c, is_comparison(kind) ? KERB_BOOL : type, rank, dims, i + 2), *slope = NULL;
    bool logic = kind >= KERB_BINARY_AND && kind <= KERB_BINARY_XOR, power = kind == KERB_BINARY_POW;
    case_fill(c, a, power && !integers ? 0.1 : logic || type == KERB_BOOL ? 0 : -6, logic ? 1 : 6);
    case_fill(c, b, power || logic || type == KERB_BOOL ? 0 : -6, power ? 3 : logic ? 1 : 6);
    if (i % 5 == 0 && !integers && !power && !logic) case_salt(c, a), case_salt(c, b);
    KerbFused fused = case_fused(c, &act);
    if (act.kind == KERB_ACT_PRELU) { /* as an operand: by axis 1 */
        const KerbValue *v = kerb_graph_value(c->graph, act.slope);
        slope = case_dense(c, KERB_F32, 4, (const int64_t[]){ 1, v->dims[0], 1, 1 });
        memcpy(slope->view.data, v->data, (size_t)v->dims[0] * sizeof(float));
        if (rank < 4) slope->view.rank = 0;
    }
    CaseTensor *const tensors[] = { y, a, b, slope };
    KerbBinaryArgs args = {
        .walk = walk_of(c, 4, tensors), .kind = (int32_t)kind, .fmod = kind == KERB_BINARY_MOD && (i % 2 || !integers), .act = fused};
    case_launch_binary(c, &args);
    KerbNode node = { .op = KERB_OP_BINARY };
    node.attrs.binary.kind = kind, node.attrs.binary.fmod = args.fmod, node.attrs.binary.act = act;
    CaseTensor *const inputs[] = { a, b };
    bool exact = act.kind != KERB_ACT_UNARY && kind != KERB_BINARY_POW && act.kind != KERB_ACT_PRELU;
    case_expect(c, &node, 2, inputs, y,
                exact                        ? CASE_EXACT
                : act.kind == KERB_ACT_UNARY ? CASE_SUMMED
                                             : CASE_ROUNDED); /* functions of rounded sums */
}

/* ---- where, cast, quantize */

static void check_where(Case *c, KerbDtype type, int i)
{
    int64_t dims[4], a_dims[4], b_dims[4];
    int rank = random_dims(c, i, dims), a_rank = broadcast_dims(c, i, rank, dims, a_dims),
        b_rank = broadcast_dims(c, i + 3, rank, dims, b_dims);
    case_begin(c, "where of %s, case %d", kerb_dtype_name(type), i);
    CaseTensor *condition = tensor_of(c, KERB_BOOL, rank, dims, i), *a = tensor_of(c, type, a_rank, a_dims, i),
               *b = tensor_of(c, type, b_rank, b_dims, i);
    CaseTensor *y = tensor_of(c, type, rank, dims, i + 1);
    case_fill(c, condition, 0, 1);
    case_fill(c, a, -90, 90);
    case_fill(c, b, -90, 90);
    CaseTensor *const tensors[] = { y, condition, a, b };
    KerbWhereArgs args = { .walk = walk_of(c, 4, tensors) };
    case_launch_where(c, &args);
    KerbNode node = { .op = KERB_OP_WHERE };
    CaseTensor *const inputs[] = { condition, a, b };
    case_expect(c, &node, 3, inputs, y, CASE_EXACT);
}

static void check_cast(Case *c, KerbDtype from, KerbDtype to, int i)
{
    int64_t dims[4];
    int rank = random_dims(c, i, dims);
    case_begin(c, "cast %s -> %s, case %d", kerb_dtype_name(from), kerb_dtype_name(to), i);
    CaseTensor *x = tensor_of(c, from, rank, dims, i), *y = tensor_of(c, to, rank, dims, i + 1);
    case_fill(c, x, from == KERB_U8 || from == KERB_BOOL ? 0 : -300, from == KERB_BOOL ? 1 : 300);
    if (i % 3 == 0 && kerb_dtype_is_float(from)) case_salt(c, x);
    CaseTensor *const tensors[] = { y, x };
    KerbCopyArgs args = { .walk = walk_of(c, 2, tensors) };
    case_launch_copy(c, &args);
    KerbNode node = { .op = KERB_OP_CAST };
    node.attrs.cast.to = to;
    CaseTensor *const inputs[] = { x };
    case_expect(c, &node, 1, inputs, y, CASE_EXACT);
}

/* Scales and zero points by tensor, or by axis 1. */
static void check_quantize(Case *c, KerbDtype type, KerbDtype integer, bool by_axis, bool back, int i)
{
    int64_t dims[4];
    int rank = random_dims(c, i - i % 3 + 1, dims);
    int64_t n = by_axis ? dims[1] : 1, spread[4] = { 1, n, 1, 1 };
    case_begin(c, "%s %s %s, %s, case %d", back ? "dequantize" : "quantize", kerb_dtype_name(type), kerb_dtype_name(integer),
               by_axis ? "by axis" : "by tensor", i);
    CaseTensor *x = tensor_of(c, back ? integer : type, rank, dims, i), *y = tensor_of(c, back ? type : integer, rank, dims, i + 1);
    CaseTensor *scale = case_dense(c, KERB_F32, 4, spread), *zero = i % 3 ? case_dense(c, integer, 4, spread) : NULL;
    bool narrow = integer == KERB_I8 || integer == KERB_U8;
    case_fill(c, x, back && integer == KERB_U8 ? 0 : back && narrow ? -128 : -200, back && narrow ? 127 : 200);
    case_fill(c, scale, 0.5, 2);
    if (zero) case_fill(c, zero, integer == KERB_U8 ? 0 : -20, integer == KERB_I32 ? 0 : 20);
    if (zero && integer == KERB_I32) memset(zero->view.data, 0, (size_t)n * 4);
    CaseTensor *const tensors[] = { y, x, scale, zero };
    KerbQuantizeArgs args = { .walk = walk_of(c, 4, tensors) };
    if (back) case_launch_dequantize(c, &args);
    else case_launch_quantize(c, &args);
    KerbNode node = { .op = back ? KERB_OP_DEQUANTIZE : KERB_OP_QUANTIZE };
    node.attrs.quantize.axis = 1;
    scale->view.rank = 1, scale->view.dims[0] = n, scale->view.strides[0] = 1;
    if (zero) zero->view.rank = 1, zero->view.dims[0] = n, zero->view.strides[0] = 1;
    CaseTensor *const inputs[] = { x, scale, zero };
    case_expect(c, &node, 3, inputs, y, CASE_EXACT);
}

void kernel_cases_walk(Case *c)
{
    static const KerbDtype some[] = { KERB_F32, KERB_F16, KERB_BF16, KERB_I32, KERB_I64, KERB_U8, KERB_I8, KERB_BOOL };
    for (int kind = 0; kind < KERB_UNARY_COUNT; kind++) {
        for (int i = 0; i < 9; i++) check_unary(c, (KerbUnary)kind, case_floats[i / 3], kind + i);
        bool integers = kind == KERB_UNARY_ABS || kind == KERB_UNARY_NEG || kind == KERB_UNARY_SIGN || kind == KERB_UNARY_RELU ||
                        kind == KERB_UNARY_NOT;
        for (int i = 0; i < 3 && integers; i++) check_unary(c, (KerbUnary)kind, i == 0 ? KERB_I32 : i == 1 ? KERB_I64 : KERB_I8, kind + i);
    }
    for (int i = 0; i < 24; i++) check_clip(c, some[i % 5], i);
    for (int kind = 0; kind < KERB_BINARY_COUNT; kind++) {
        bool logic = kind >= KERB_BINARY_AND;
        for (int i = 0; i < 24 && !logic; i++) check_binary(c, (KerbBinary)kind, case_floats[i % 3], kind + i);
        for (int i = 0; i < 8 && !logic; i++) check_binary(c, (KerbBinary)kind, i % 2 ? KERB_I32 : KERB_I64, kind + i);
        for (int i = 0; i < 8 && logic; i++) check_binary(c, (KerbBinary)kind, KERB_BOOL, kind + i);
    }
    for (int i = 0; i < 24; i++) check_where(c, some[i % 8], i);
    for (int i = 0; i < 128; i++) check_cast(c, some[i / 8 % 8], some[i % 8], i);
    for (int i = 0; i < 48; i++)
        check_quantize(c, case_floats[i % 3], i % 4 == 3 ? KERB_I32 : i % 2 ? KERB_I8 : KERB_U8, i / 4 % 2, i % 4 == 3 || i / 8 % 2, i);
}
