/* SPDX-License-Identifier: MIT */
/* A problem as cuDNN's operation graph: tensors, the convolution (or its data gradient), pointwise operations behind it; and running a plan. */
#include "cuda/net/plans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Deprecated, or newer than the oldest headers that Kerb builds with (9.3, JetPack 6). */
#define ATTR_GRAPH_HANDLE ((cudnnBackendAttributeName_t)800)

#define PACKS_MAX 64 /* of one plan: a network has a few places for it, each with one set of pointers */

/* ---- the epilogue */

static int kerb_epilogue_push(KerbEpilogue *e, cudnnPointwiseMode_t mode, int a, int b)
{
    e->ops[e->n++] = (KerbEpilogueOp){ .mode = (int)mode, .a = a, .b = b, .upper = INFINITY };
    return e->n;
}
static int kerb_epilogue_constant(KerbEpilogue *e, float value)
{
    e->constants[e->n_constants] = value;
    return KERB_OPERAND_TENSOR + KERB_UID_CONSTANT + e->n_constants++;
}
/* min(max(at, 0), upper) */
static int kerb_epilogue_relu(KerbEpilogue *e, int at, double upper)
{
    at = kerb_epilogue_push(e, CUDNN_POINTWISE_RELU_FWD, at, KERB_OPERAND_NONE);
    e->ops[at - 1].upper = upper;
    return at;
}
static int kerb_epilogue_elu(KerbEpilogue *e, int at, double alpha)
{
    at = kerb_epilogue_push(e, CUDNN_POINTWISE_ELU_FWD, at, KERB_OPERAND_NONE);
    e->ops[at - 1].alpha = alpha;
    return at;
}
static int kerb_epilogue_by(KerbEpilogue *e, cudnnPointwiseMode_t mode, int at, float constant)
{
    return kerb_epilogue_push(e, mode, at, kerb_epilogue_constant(e, constant));
}

/* RELU_FWD's own lower bound is 0; others by MAX and MIN, whose meaning leaves no doubt. */
static int kerb_epilogue_clip(KerbEpilogue *e, int at, float lo, float hi)
{
    if (lo == 0) return kerb_epilogue_relu(e, at, hi);
    if (lo > -INFINITY) at = kerb_epilogue_by(e, CUDNN_POINTWISE_MAX, at, lo);
    return hi < INFINITY ? kerb_epilogue_by(e, CUDNN_POINTWISE_MIN, at, hi) : at;
}

/* slope * min(x, 0) + max(x, 0) */
static int kerb_epilogue_prelu(KerbEpilogue *e, int at)
{
    int above = kerb_epilogue_relu(e, at, INFINITY), below = kerb_epilogue_push(e, CUDNN_POINTWISE_SUB, at, above);
    below = kerb_epilogue_push(e, CUDNN_POINTWISE_MUL, below, KERB_OPERAND_TENSOR + KERB_UID_SLOPE);
    return kerb_epilogue_push(e, CUDNN_POINTWISE_ADD, above, below);
}

/* The result, or -1: not to be had. */
static int kerb_epilogue_unary(KerbEpilogue *e, const KerbConvProblem *p, int at)
{
    const int none = KERB_OPERAND_NONE;
    int t;
    switch ((KerbUnary)p->unary) {
    case KERB_UNARY_RELU: return kerb_epilogue_relu(e, at, INFINITY);
    case KERB_UNARY_LEAKY_RELU:
        at = kerb_epilogue_relu(e, at, INFINITY);
        e->ops[at - 1].slope = p->alpha;
        return at;
    case KERB_UNARY_SIGMOID: return kerb_epilogue_push(e, CUDNN_POINTWISE_SIGMOID_FWD, at, none);
    case KERB_UNARY_TANH: return kerb_epilogue_push(e, CUDNN_POINTWISE_TANH_FWD, at, none);
    case KERB_UNARY_SWISH: return kerb_epilogue_push(e, CUDNN_POINTWISE_SWISH_FWD, at, none);
    case KERB_UNARY_GELU: return kerb_epilogue_push(e, CUDNN_POINTWISE_GELU_FWD, at, none);
    case KERB_UNARY_GELU_TANH: return kerb_epilogue_push(e, CUDNN_POINTWISE_GELU_APPROX_TANH_FWD, at, none);
    case KERB_UNARY_SOFTPLUS: return kerb_epilogue_push(e, CUDNN_POINTWISE_SOFTPLUS_FWD, at, none);
    case KERB_UNARY_ELU: return kerb_epilogue_elu(e, at, p->alpha);
    case KERB_UNARY_SELU: return kerb_epilogue_by(e, CUDNN_POINTWISE_MUL, kerb_epilogue_elu(e, at, p->alpha), p->beta);
    case KERB_UNARY_HARD_SIGMOID: /* clip(alpha * x + beta, 0, 1) */
        at = kerb_epilogue_by(e, CUDNN_POINTWISE_MUL, at, p->alpha);
        return kerb_epilogue_relu(e, kerb_epilogue_by(e, CUDNN_POINTWISE_ADD, at, p->beta), 1);
    case KERB_UNARY_HARD_SWISH: /* x * clip(x + 3, 0, 6) / 6 */
        t = kerb_epilogue_relu(e, kerb_epilogue_by(e, CUDNN_POINTWISE_ADD, at, 3), 6);
        return kerb_epilogue_by(e, CUDNN_POINTWISE_MUL, kerb_epilogue_push(e, CUDNN_POINTWISE_MUL, at, t), 1.0f / 6);
    case KERB_UNARY_MISH: /* x * tanh(log(1 + exp(x))) */
        t = kerb_epilogue_push(e, CUDNN_POINTWISE_SOFTPLUS_FWD, at, none);
        return kerb_epilogue_push(e, CUDNN_POINTWISE_MUL, at, kerb_epilogue_push(e, CUDNN_POINTWISE_TANH_FWD, t, none));
    default: return -1;
    }
}

bool kerb_conv_epilogue(const KerbConvProblem *p, KerbEpilogue *e)
{
    int at = KERB_OPERAND_SUMS, z = KERB_OPERAND_TENSOR + KERB_UID_Z;
    memset(e, 0, sizeof *e);
    if (p->has_scale) at = kerb_epilogue_push(e, CUDNN_POINTWISE_MUL, at, KERB_OPERAND_TENSOR + KERB_UID_SCALE);
    if (p->has_bias) at = kerb_epilogue_push(e, CUDNN_POINTWISE_ADD, at, KERB_OPERAND_TENSOR + KERB_UID_BIAS);
    if (p->has_z && p->z_scale != 1) z = kerb_epilogue_by(e, CUDNN_POINTWISE_MUL, z, p->z_scale);
    if (p->has_z) at = kerb_epilogue_push(e, CUDNN_POINTWISE_ADD, at, z);
    if (p->act == KERB_ACT_CLIP) at = kerb_epilogue_clip(e, at, p->lo, p->hi);
    if (p->act == KERB_ACT_PRELU) at = kerb_epilogue_prelu(e, at);
    if (p->act == KERB_ACT_UNARY) at = kerb_epilogue_unary(e, p, at);
    if (at >= 0 && p->y_scale != 1) kerb_epilogue_by(e, CUDNN_POINTWISE_MUL, at, p->y_scale);
    return at >= 0;
}

/* ---- descriptors. The first failure stays in g->status, what follows does nothing. */

static void kerb_graph_check(KerbConvGraph *g, cudnnStatus_t status)
{
    if (g->status != CUDNN_STATUS_SUCCESS || status == CUDNN_STATUS_SUCCESS) return;
    g->status = status;
    g->dnn->GetLastErrorString(g->words, sizeof g->words);
    g->words[sizeof g->words - 1] = '\0';
}
static KerbDescriptor kerb_graph_create(KerbConvGraph *g, cudnnBackendDescriptorType_t type)
{
    KerbDescriptor d = NULL;
    if (g->status != CUDNN_STATUS_SUCCESS) return NULL;
    if (g->n_owned == KERB_GRAPH_DESCRIPTORS) {
        g->status = CUDNN_STATUS_NOT_SUPPORTED;
        return NULL;
    }
    kerb_graph_check(g, g->dnn->BackendCreateDescriptor(type, &d));
    if (d) g->owned[g->n_owned++] = d;
    return d;
}
static void kerb_graph_set(KerbConvGraph *g, KerbDescriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    if (g->status == CUDNN_STATUS_SUCCESS) kerb_graph_check(g, g->dnn->BackendSetAttribute(d, name, type, n, values));
}
static void kerb_graph_set_descriptor(KerbConvGraph *g, KerbDescriptor d, cudnnBackendAttributeName_t name, KerbDescriptor value)
{
    kerb_graph_set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}
static void kerb_graph_set_double(KerbConvGraph *g, KerbDescriptor d, cudnnBackendAttributeName_t name, double value)
{
    kerb_graph_set(g, d, name, CUDNN_TYPE_DOUBLE, 1, &value);
}
static KerbDescriptor kerb_graph_finish(KerbConvGraph *g, KerbDescriptor d)
{
    if (g->status == CUDNN_STATUS_SUCCESS) kerb_graph_check(g, g->dnn->BackendFinalize(d));
    return d;
}

static cudnnDataType_t kerb_conv_type(int32_t type)
{
    return type == KERB_F16 ? CUDNN_DATA_HALF : type == KERB_BF16 ? CUDNN_DATA_BFLOAT16 : type == KERB_I8 ? CUDNN_DATA_INT8 : CUDNN_DATA_FLOAT;
}

typedef enum KerbTensorKind { KERB_TENSOR_REAL, KERB_TENSOR_VIRTUAL, KERB_TENSOR_BY_VALUE } KerbTensorKind;

static KerbDescriptor kerb_graph_tensor(KerbConvGraph *g, int64_t uid, cudnnDataType_t type, const int64_t dims[4], const int64_t strides[4], KerbTensorKind kind)
{
    /* Whole tensors and slices alike begin at a multiple of 16 bytes (problem.h). */
    const int64_t alignment = 16;
    const bool yes = true;
    KerbDescriptor t = kerb_graph_create(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (kind == KERB_TENSOR_VIRTUAL) kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    if (kind == KERB_TENSOR_BY_VALUE) kerb_graph_set(g, t, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    return kerb_graph_finish(g, t);
}
static KerbDescriptor kerb_graph_picture(KerbConvGraph *g, int64_t uid, cudnnDataType_t type, int c, int h, int w, int64_t row, int64_t pixel)
{
    const int64_t dims[4] = { 1, c, h, w }, strides[4] = { row * h, 1, row, pixel };
    return kerb_graph_tensor(g, uid, type, dims, strides, KERB_TENSOR_REAL);
}
static KerbDescriptor kerb_graph_weights(KerbConvGraph *g, const KerbConvProblem *p)
{
    int64_t outer = p->transposed ? p->c : p->k, inner = (p->transposed ? p->k : p->c) / p->group;
    const int64_t dims[4] = { outer, inner, p->kernel[0], p->kernel[1] };
    const int64_t strides[4] = { inner * p->kernel[0] * p->kernel[1], 1, inner * p->kernel[1], inner };
    return kerb_graph_tensor(g, KERB_UID_W, kerb_conv_type(p->w_type), dims, strides, KERB_TENSOR_REAL);
}

static KerbDescriptor kerb_graph_convolution(KerbConvGraph *g, const KerbConvProblem *p)
{
    const cudnnDataType_t sums = p->x_type == KERB_I8 ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t axes = 2, begin[2] = { p->pad_begin[0], p->pad_begin[1] }, end[2] = { p->pad_end[0], p->pad_end[1] };
    const int64_t stride[2] = { p->stride[0], p->stride[1] }, dilation[2] = { p->dilation[0], p->dilation[1] };
    KerbDescriptor c = kerb_graph_create(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, begin);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, end);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    kerb_graph_set(g, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    return kerb_graph_finish(g, c);
}

/* The convolution from x and w to `y`; transposed: its data gradient, where x is dy and y is dx. */
static KerbDescriptor kerb_graph_sums(KerbConvGraph *g, const KerbConvProblem *p, KerbDescriptor y)
{
    const float one = 1, zero = 0;
    KerbDescriptor x = kerb_graph_picture(g, KERB_UID_X, kerb_conv_type(p->x_type), p->c, p->h, p->w, p->x_row, p->x_pixel);
    KerbDescriptor w = kerb_graph_weights(g, p), c = kerb_graph_convolution(g, p), op;
    if (p->transposed) {
        op = kerb_graph_create(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, c);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, x);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, y);
        kerb_graph_set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
        kerb_graph_set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    } else {
        op = kerb_graph_create(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, c);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
        kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
        kerb_graph_set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
        kerb_graph_set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    }
    return kerb_graph_finish(g, op);
}

static KerbDescriptor kerb_graph_pointwise(KerbConvGraph *g, const KerbEpilogueOp *o, KerbDescriptor a, KerbDescriptor b, KerbDescriptor y)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    const cudnnPointwiseMode_t mode = (cudnnPointwiseMode_t)o->mode;
    KerbDescriptor p = kerb_graph_create(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    kerb_graph_set(g, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    kerb_graph_set(g, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    if (mode == CUDNN_POINTWISE_RELU_FWD && o->upper < INFINITY) kerb_graph_set_double(g, p, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, o->upper);
    if (mode == CUDNN_POINTWISE_RELU_FWD && o->slope != 0) kerb_graph_set_double(g, p, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, o->slope);
    if (mode == CUDNN_POINTWISE_ELU_FWD) kerb_graph_set_double(g, p, CUDNN_ATTR_POINTWISE_ELU_ALPHA, o->alpha);
    kerb_graph_finish(g, p);
    KerbDescriptor op = kerb_graph_create(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
    kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, a);
    if (b) kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    kerb_graph_set_descriptor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    return kerb_graph_finish(g, op);
}

/* A tensor that an operation reads beside earlier results. */
static KerbDescriptor kerb_graph_operand(KerbConvGraph *g, const KerbConvProblem *p, int64_t uid)
{
    const int64_t one[4] = { 1, 1, 1, 1 }, dims[4] = { 1, p->k, 1, 1 }, strides[4] = { p->k, 1, p->k, p->k };
    if (uid == KERB_UID_Z) return kerb_graph_picture(g, uid, kerb_conv_type(p->y_type), p->k, p->out_h, p->out_w, p->z_row, p->z_pixel);
    if (uid >= KERB_UID_CONSTANT) return kerb_graph_tensor(g, uid, CUDNN_DATA_FLOAT, one, one, KERB_TENSOR_BY_VALUE);
    return kerb_graph_tensor(g, uid, CUDNN_DATA_FLOAT, dims, strides, KERB_TENSOR_REAL);
}

static KerbDescriptor kerb_graph_y(KerbConvGraph *g, const KerbConvProblem *p, int operation, bool is_last, const KerbConvLeft *left)
{
    const int64_t dims[4] = { 1, p->k, p->out_h, p->out_w }, strides[4] = { (int64_t)p->k * p->out_h * p->out_w, 1, (int64_t)p->k * p->out_w, p->k };
    if (!is_last) return kerb_graph_tensor(g, KERB_UID_VIRTUAL + operation, CUDNN_DATA_FLOAT, dims, strides, KERB_TENSOR_VIRTUAL);
    if (left) return kerb_graph_picture(g, KERB_UID_Y, kerb_conv_type(left->type), p->k, p->out_h, p->out_w, left->row, left->pixel);
    return kerb_graph_picture(g, KERB_UID_Y, kerb_conv_type(p->y_type), p->k, p->out_h, p->out_w, p->y_row, p->y_pixel);
}

bool kerb_conv_graph_new(KerbConvGraph *g, const KerbCudnn *dnn, cudnnHandle_t handle, const KerbConvProblem *p, const KerbEpilogue *epilogue,
                         const KerbConvLeft *left)
{
    KerbDescriptor results[KERB_EPILOGUE_OPS + 1], ops[KERB_EPILOGUE_OPS + 1];
    const int n = left ? 0 : epilogue->n;
    memset(g, 0, sizeof *g);
    g->dnn = dnn;
    results[0] = kerb_graph_y(g, p, 0, n == 0, left);
    ops[0] = kerb_graph_sums(g, p, results[0]);
    for (int i = 0; i < n; i++) {
        const KerbEpilogueOp *o = &epilogue->ops[i];
        KerbDescriptor in[2] = { NULL, NULL };
        for (int j = 0; j < 2; j++) {
            int operand = j ? o->b : o->a;
            if (operand == KERB_OPERAND_NONE) continue;
            in[j] = operand < KERB_OPERAND_TENSOR ? results[operand] : kerb_graph_operand(g, p, operand - KERB_OPERAND_TENSOR);
        }
        results[i + 1] = kerb_graph_y(g, p, i + 1, i + 1 == n, NULL);
        ops[i + 1] = kerb_graph_pointwise(g, o, in[0], in[1], results[i + 1]);
    }
    KerbDescriptor graph = kerb_graph_create(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (handle) kerb_graph_set(g, graph, ATTR_GRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    kerb_graph_set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n + 1, ops);
    g->graph = kerb_graph_finish(g, graph);
    return g->status == CUDNN_STATUS_SUCCESS;
}

void kerb_conv_graph_free(KerbConvGraph *g)
{
    while (g->n_owned > 0) g->dnn->BackendDestroyDescriptor(g->owned[--g->n_owned]);
}

/* ---- running */

/* The pointers that a plan's graph asks for, by uid. */
static int kerb_conv_arguments(const KerbConvPlan *plan, const KerbConvPointers *q, int64_t uids[], const void *pointers[])
{
    const KerbConvProblem *p = &plan->problem;
    const void *y = plan->is_left ? (char *)q->workspace + plan->left.offset : q->y;
    const struct { int64_t uid; const void *pointer; bool used; } all[] = {
        { KERB_UID_X, q->x, true }, { KERB_UID_W, q->w, true }, { KERB_UID_Y, y, true },
        { KERB_UID_SCALE, q->scale, !plan->is_left && p->has_scale }, { KERB_UID_BIAS, q->bias, !plan->is_left && p->has_bias },
        { KERB_UID_Z, q->z, !plan->is_left && p->has_z }, { KERB_UID_SLOPE, q->slope, !plan->is_left && p->act == KERB_ACT_PRELU },
    };
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!all[i].used) continue;
        uids[n] = all[i].uid;
        pointers[n++] = all[i].pointer;
    }
    for (int i = 0; !plan->is_left && i < plan->epilogue.n_constants; i++) { /* by value: pointers of the host's */
        uids[n] = KERB_UID_CONSTANT + i;
        pointers[n++] = &plan->epilogue.constants[i];
    }
    return n;
}

KerbStatus kerb_conv_pack(const KerbCudnn *dnn, const KerbConvPlan *plan, const KerbConvPointers *pointers, KerbDescriptor *out, KerbError *error)
{
    int64_t uids[16];
    const void *values[16];
    KerbConvGraph g = { .dnn = dnn }; /* for its way of making one descriptor */
    int n = kerb_conv_arguments(plan, pointers, uids, values);
    KerbDescriptor pack = kerb_graph_create(&g, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    kerb_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids);
    kerb_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, values);
    kerb_graph_set(&g, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &pointers->workspace);
    kerb_graph_finish(&g, pack);
    *out = g.status == CUDNN_STATUS_SUCCESS ? pack : NULL;
    if (*out) return KERB_OK;
    kerb_conv_graph_free(&g);
    return kerb_cudnn_check(dnn, g.status, KERB_ERROR_INTERNAL, "a convolution's pointers", error);
}

KerbStatus kerb_conv_execute(KerbPlans *plans, KerbDescriptor plan, KerbDescriptor pack, cudaStream_t stream, KerbError *error)
{
    const KerbCudnn *dnn = &plans->dnn;
    if (!plans->has_stream || plans->stream != stream) {
        cudnnStatus_t status = dnn->SetStream(plans->maker.handle, stream);
        if (status != CUDNN_STATUS_SUCCESS) return kerb_cudnn_check(dnn, status, KERB_ERROR_BACKEND, "a convolution's stream", error);
        plans->stream = stream;
        plans->has_stream = true;
    }
    cudnnStatus_t status = dnn->BackendExecute(plans->maker.handle, plan, pack);
    return status == CUDNN_STATUS_SUCCESS ? KERB_OK : kerb_cudnn_check(dnn, status, KERB_ERROR_FRAME, "a convolution", error);
}

/* The pack for these pointers; *kept false: the caller destroys it (more places than anybody has). */
static KerbStatus kerb_plan_pack(const KerbCudnn *dnn, KerbConvPlan *plan, const KerbConvPointers *pointers, KerbDescriptor *out, bool *kept, KerbError *error)
{
    *kept = true;
    for (int i = 0; i < plan->n_packs; i++) {
        if (memcmp(&plan->packs[i].pointers, pointers, sizeof *pointers) != 0) continue;
        *out = plan->packs[i].descriptor;
        return KERB_OK;
    }
    KerbStatus status = kerb_conv_pack(dnn, plan, pointers, out, error);
    KerbPack *grown = status == KERB_OK && plan->n_packs < PACKS_MAX ? realloc(plan->packs, (size_t)(plan->n_packs + 1) * sizeof *grown) : NULL;
    *kept = grown != NULL;
    if (!grown) return status;
    plan->packs = grown;
    plan->packs[plan->n_packs++] = (KerbPack){ *pointers, *out };
    return KERB_OK;
}

KerbStatus kerb_plan_run(KerbPlans *plans, const KerbConvPlan *plan, const KerbConvPointers *pointers, cudaStream_t stream, KerbError *error)
{
    KerbDescriptor pack = NULL;
    bool kept;
    /* Packs are the plan's own memory of where it has run: the caller sees no change. */
    KerbStatus status = kerb_plan_pack(&plans->dnn, (KerbConvPlan *)(uintptr_t)plan, pointers, &pack, &kept, error);
    if (status == KERB_OK) status = kerb_conv_execute(plans, plan->plan, pack, stream, error);
    if (pack && !kept) plans->dnn.BackendDestroyDescriptor(pack);
    return status;
}

void kerb_conv_plan_free(const KerbCudnn *dnn, KerbConvPlan *plan)
{
    for (int i = 0; i < plan->n_packs; i++) dnn->BackendDestroyDescriptor(plan->packs[i].descriptor);
    free(plan->packs);
    free(plan->json);
    if (plan->plan && !plan->lender) dnn->BackendDestroyDescriptor(plan->plan);
    if (plan->config) dnn->BackendDestroyDescriptor(plan->config);
    free(plan);
}
