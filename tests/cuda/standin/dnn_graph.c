/* SPDX-License-Identifier: MIT */
/* From descriptors of operations to a program; what the engines take and refuse (as cuDNN 9 was seen to, and a little more, so that fallbacks are
 * tried); plans as text and back. */
#include "dnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t kerb_dnn_type_bytes(int type)
{
    switch (type) {
    case CUDNN_DATA_FLOAT:
    case CUDNN_DATA_INT32: return 4;
    case CUDNN_DATA_HALF:
    case CUDNN_DATA_BFLOAT16: return 2;
    case CUDNN_DATA_INT8: return 1;
    case CUDNN_DATA_DOUBLE: return 8;
    default: return 0;
    }
}

int64_t kerb_dnn_extent(const KerbDnnTensor *t)
{
    int64_t last = 0;
    for (int i = 0; i < KERB_DNN_RANK; i++)
        last += (t->dims[i] - 1) * t->strides[i];
    return last + 1;
}

/* --------------------------------------------------------------------------------------------------------------- graphs */

/* The tensor's index, added where its id is new; -1: no tensor, or too many. */
static int32_t kerb_dnn_tensor(KerbDnnProgram *p, const KerbDnnContent *c)
{
    if (!c || c->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        return -1;
    const int64_t uid = kerb_dnn_int(c, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
    for (int32_t i = 0; i < p->n_tensors; i++)
        if (p->tensors[i].uid == uid)
            return i;
    if (p->n_tensors == KERB_DNN_TENSORS)
        return -1;
    KerbDnnTensor *t = &p->tensors[p->n_tensors];
    t->uid = uid;
    t->alignment = kerb_dnn_int(c, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1);
    t->type = (int32_t)kerb_dnn_int(c, CUDNN_ATTR_TENSOR_DATA_TYPE, 0);
    t->is_virtual = (int32_t)kerb_dnn_int(c, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 0);
    t->by_value = (int32_t)kerb_dnn_int(c, CUDNN_ATTR_TENSOR_IS_BY_VALUE, 0);
    memcpy(t->dims, kerb_dnn_find(c, CUDNN_ATTR_TENSOR_DIMENSIONS)->data, sizeof t->dims);
    memcpy(t->strides, kerb_dnn_find(c, CUDNN_ATTR_TENSOR_STRIDES)->data, sizeof t->strides);
    return p->n_tensors++;
}

static cudnnStatus_t kerb_dnn_op_convolution(KerbDnnProgram *p, const KerbDnnContent *c, KerbDnnOp *op, bool forward)
{
    const KerbDnnContent *conv = kerb_dnn_child(c, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, 0);
    const struct {
        int name;
        int64_t *to;
    } pairs[] = { { CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, op->pre },
                  { CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, op->post },
                  { CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, op->stride },
                  { CUDNN_ATTR_CONVOLUTION_DILATIONS, op->dilation } };
    if (conv->type != CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "not a convolution descriptor");
    for (int i = 0; i < 4; i++) {
        const KerbDnnAttribute *a = kerb_dnn_find(conv, pairs[i].name);
        if (a->count != 2)
            return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "attribute %d has %lld values for two dimensions", pairs[i].name, (long long)a->count);
        memcpy(pairs[i].to, a->data, 2 * sizeof(int64_t));
    }
    op->kind = forward ? KERB_DNN_CONV : KERB_DNN_DGRAD;
    op->compute = (int32_t)kerb_dnn_int(conv, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, 0);
    op->x = kerb_dnn_tensor(p, kerb_dnn_child(c, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, 0));
    op->b = kerb_dnn_tensor(p, kerb_dnn_child(c, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, 0));
    op->y = kerb_dnn_tensor(p, kerb_dnn_child(c, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, 0));
    op->alpha = kerb_dnn_real(c, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1);
    op->beta = kerb_dnn_real(c, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0);
    return op->x < 0 || op->b < 0 || op->y < 0 ? kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "a convolution lacks a tensor") : CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t kerb_dnn_op_pointwise(KerbDnnProgram *p, const KerbDnnContent *c, KerbDnnOp *op)
{
    const KerbDnnContent *pw = kerb_dnn_child(c, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0);
    if (pw->type != CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "not a pointwise descriptor");
    op->kind = KERB_DNN_POINTWISE;
    op->mode = (int32_t)kerb_dnn_int(pw, CUDNN_ATTR_POINTWISE_MODE, 0);
    op->compute = (int32_t)kerb_dnn_int(pw, CUDNN_ATTR_POINTWISE_MATH_PREC, 0);
    op->lower = kerb_dnn_real(pw, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0);
    op->upper = kerb_dnn_real(pw, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, 1e300);
    op->slope = kerb_dnn_real(pw, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
    op->elu = kerb_dnn_real(pw, CUDNN_ATTR_POINTWISE_ELU_ALPHA, 1);
    op->softplus = kerb_dnn_real(pw, CUDNN_ATTR_POINTWISE_SOFTPLUS_BETA, 1);
    op->swish = kerb_dnn_real(pw, CUDNN_ATTR_POINTWISE_SWISH_BETA, 1);
    op->x = kerb_dnn_tensor(p, kerb_dnn_child(c, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, 0));
    op->b = kerb_dnn_tensor(p, kerb_dnn_child(c, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, 0));
    op->t = kerb_dnn_tensor(p, kerb_dnn_child(c, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, 0));
    op->y = kerb_dnn_tensor(p, kerb_dnn_child(c, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, 0));
    op->alpha = kerb_dnn_real(c, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1);
    op->beta = kerb_dnn_real(c, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1);
    const bool binary = op->mode < CUDNN_POINTWISE_ABS || op->mode >= CUDNN_POINTWISE_CMP_EQ;
    if (op->x < 0 || op->y < 0 || (binary && op->b < 0) || (op->mode == CUDNN_POINTWISE_BINARY_SELECT && op->t < 0))
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "pointwise mode %d lacks a tensor", op->mode);
    return CUDNN_STATUS_SUCCESS;
}

/* A tensor that is read broadcasts into y's shape. */
static bool kerb_dnn_broadcasts(const KerbDnnTensor *from, const KerbDnnTensor *to)
{
    for (int i = 0; i < KERB_DNN_RANK; i++)
        if (from->dims[i] != 1 && from->dims[i] != to->dims[i])
            return false;
    return true;
}

static bool kerb_dnn_shapes_fit(const KerbDnnProgram *p, const KerbDnnOp *op)
{
    const KerbDnnTensor *x = &p->tensors[op->x], *y = &p->tensors[op->y];
    if (op->kind == KERB_DNN_POINTWISE)
        return kerb_dnn_broadcasts(x, y) && (op->b < 0 || kerb_dnn_broadcasts(&p->tensors[op->b], y)) && (op->t < 0 || kerb_dnn_broadcasts(&p->tensors[op->t], y));
    const KerbDnnTensor *w = &p->tensors[op->b], *big = op->kind == KERB_DNN_CONV ? x : y, *small = op->kind == KERB_DNN_CONV ? y : x;
    for (int i = 0; i < 2; i++) {
        const int64_t span = op->dilation[i] * (w->dims[2 + i] - 1) + 1, padded = big->dims[2 + i] + op->pre[i] + op->post[i];
        if (op->stride[i] < 1 || op->dilation[i] < 1 || padded < span || (padded - span) / op->stride[i] + 1 != small->dims[2 + i])
            return false;
    }
    return x->dims[0] == y->dims[0] && small->dims[1] == w->dims[0] && big->dims[1] % w->dims[1] == 0 && small->dims[1] % (big->dims[1] / w->dims[1]) == 0;
}

/* Virtual tensors are written before they are read. */
static bool kerb_dnn_order_fits(const KerbDnnProgram *p)
{
    bool written[KERB_DNN_TENSORS] = { false };
    for (int i = 0; i < p->n_ops; i++) {
        const int32_t reads[] = { p->ops[i].x, p->ops[i].b, p->ops[i].t };
        for (int j = 0; j < 3; j++)
            if (reads[j] >= 0 && p->tensors[reads[j]].is_virtual && !written[reads[j]])
                return false;
        written[p->ops[i].y] = true;
    }
    return true;
}

cudnnStatus_t kerb_dnn_finalise_graph(KerbDnnContent *c)
{
    kerb_dnn_program_copy(c, NULL);
    KerbDnnProgram *p = c->program;
    const KerbDnnAttribute *ops = kerb_dnn_find(c, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    cudnnStatus_t code = CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; i < ops->count && code == CUDNN_STATUS_SUCCESS; i++) {
        const KerbDnnContent *from = ((KerbDnnContent **)ops->data)[i];
        KerbDnnOp *op = &p->ops[p->n_ops++];
        *op = (KerbDnnOp){ .x = -1, .b = -1, .t = -1, .y = -1 };
        if (from->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
            code = kerb_dnn_op_pointwise(p, from, op);
        else if (from->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR || from->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
            code = kerb_dnn_op_convolution(p, from, op, from->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
        else
            code = kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in has no operation of type %d", (int)from->type);
        if (code == CUDNN_STATUS_SUCCESS && !kerb_dnn_shapes_fit(p, op))
            code = kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "the shapes of operation %lld do not fit", (long long)i);
    }
    if (code == CUDNN_STATUS_SUCCESS && !kerb_dnn_order_fits(p))
        code = kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "a virtual tensor is read before it is written");
    return code;
}

/* -------------------------------------------------------------------------------------------------------------- engines */

/* Channels adjacent; pixels dense, or a multiple of 8 bytes apart. */
static bool kerb_dnn_channels_last(const KerbDnnTensor *t)
{
    const int64_t pixel = t->dims[3] > 1 ? t->strides[3] : t->dims[2] > 1 ? t->strides[2] : t->dims[1];
    return (t->dims[1] == 1 || t->strides[1] == 1) && (pixel == t->dims[1] || pixel * (int64_t)kerb_dnn_type_bytes(t->type) % 8 == 0);
}

static cudnnStatus_t kerb_dnn_types_fit(const KerbDnnProgram *p)
{
    const KerbDnnOp *op = &p->ops[0];
    const int x = p->tensors[op->x].type, w = p->tensors[op->b].type, y = p->tensors[op->y].type;
    if (x != w || (x != CUDNN_DATA_FLOAT && x != CUDNN_DATA_HALF && x != CUDNN_DATA_BFLOAT16 && x != CUDNN_DATA_INT8))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "picture and weights of types %d and %d", x, w);
    if (op->compute != (x == CUDNN_DATA_INT8 ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "type %d is not computed in type %d", x, op->compute);
    if (!p->tensors[op->y].is_virtual && x != CUDNN_DATA_INT8 && y != x && y != CUDNN_DATA_FLOAT)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "a convolution of type %d gives no type %d", x, y);
    for (int i = 1; i < p->n_ops; i++)
        if (p->ops[i].compute != CUDNN_DATA_FLOAT)
            return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "pointwise operations are computed in float");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t kerb_dnn_pattern_fits(const KerbDnnProgram *p, const KerbStandinConfig *config)
{
    const KerbDnnOp *op = &p->ops[0];
    if (config->no_dnn)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "the stand-in was told to refuse everything");
    if (op->kind == KERB_DNN_POINTWISE)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "no engine for a graph that begins with a pointwise operation");
    for (int i = 1; i < p->n_ops; i++)
        if (p->ops[i].kind != KERB_DNN_POINTWISE)
            return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "no engine for two convolutions");
    if (p->n_ops > 1 && config->no_fuse)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "the stand-in was told to refuse fused graphs");
    const KerbDnnTensor *w = &p->tensors[op->b], *big = &p->tensors[op->kind == KERB_DNN_CONV ? op->x : op->y];
    const int64_t groups = big->dims[1] / w->dims[1];
    const bool depthwise = groups > 1 && groups == big->dims[1], is_int8 = w->type == CUDNN_DATA_INT8;
    if (depthwise && (p->n_ops > 1 || is_int8))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "no engine for depthwise convolutions that are %s", is_int8 ? "int8" : "fused");
    if (is_int8 && (op->kind == KERB_DNN_DGRAD || w->dims[0] % 4 || w->dims[1] % 4))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_SHAPE, "int8 wants forward convolutions with channels in fours");
    return kerb_dnn_types_fit(p);
}

static cudnnStatus_t kerb_dnn_engine_fits(const KerbDnnProgram *p, int engine)
{
    if (engine == KERB_ENGINE_HOPEFUL)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT, "engine %d wants more shared memory than there is", engine);
    if (engine == KERB_ENGINE_FALLBACK)
        return p->n_ops == 1 ? CUDNN_STATUS_SUCCESS : kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "engine 0 fuses nothing");
    if (engine < 0 || engine >= KERB_ENGINES)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND, "no engine %d", engine);
    for (int i = 0; i < p->n_tensors; i++)
        if (!p->tensors[i].is_virtual && !p->tensors[i].by_value && !kerb_dnn_channels_last(&p->tensors[i]))
            return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "tensor %lld: channels are not adjacent, or pixels are misaligned", (long long)p->tensors[i].uid);
    return CUDNN_STATUS_SUCCESS;
}

static KerbStandinConfig kerb_dnn_machine(void)
{
    kerb_machine_lock();
    const KerbStandinConfig c = kerb_machine.config;
    kerb_machine_unlock();
    return c;
}

cudnnStatus_t kerb_dnn_finalise_heuristics(KerbDnnContent *c)
{
    const KerbStandinConfig config = kerb_dnn_machine();
    const KerbDnnContent *graph = kerb_dnn_child(c, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 0);
    if (!graph->program || graph->type != CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "not an operation graph");
    kerb_dnn_program_copy(c, graph->program);
    const bool fallback = kerb_dnn_int(c, CUDNN_ATTR_ENGINEHEUR_MODE, 0) == CUDNN_HEUR_MODE_FALLBACK;
    const cudnnStatus_t code = kerb_dnn_pattern_fits(c->program, &config);
    if (code != CUDNN_STATUS_SUCCESS)
        return fallback ? code : CUDNN_STATUS_SUCCESS; /* mode A has nothing to propose; FALLBACK refuses: both are to be coped with */
    if (fallback) {
        c->engines[c->n_engines++] = KERB_ENGINE_FALLBACK;
    } else {
        c->engines[c->n_engines++] = KERB_ENGINE_TENSOR;
        c->engines[c->n_engines++] = KERB_ENGINE_HOPEFUL;
        c->engines[c->n_engines++] = KERB_ENGINE_EXACT;
        c->engines[c->n_engines++] = KERB_ENGINE_PLAIN;
    }
    return CUDNN_STATUS_SUCCESS;
}

int64_t kerb_dnn_workspace(const KerbDnnProgram *p)
{
    const int64_t *d = p->tensors[p->ops[0].y].dims;
    return p->engine == KERB_ENGINE_EXACT ? (d[0] * d[1] * d[2] * d[3] * 4 + 255) / 256 * 256 : 0;
}

/* ---------------------------------------------------------------------------------------------------------- plans as text */

static uint64_t kerb_dnn_hash(const uint8_t *bytes, size_t n)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

static char *kerb_dnn_plan_write(const KerbDnnProgram *p, int version)
{
    const size_t used[] = { offsetof(KerbDnnProgram, tensors), (size_t)p->n_tensors * sizeof *p->tensors, (size_t)p->n_ops * sizeof *p->ops };
    const uint8_t *parts[] = { (const uint8_t *)p, (const uint8_t *)p->tensors, (const uint8_t *)p->ops };
    const size_t most = 2 * (used[0] + used[1] + used[2]) + 256;
    char *text = malloc(most);
    int at = snprintf(text, most, "{\"standin\":1,\"version\":%d,\"sm\":%d,\"engine\":%d,\"hash\":\"%016llx\",\"program\":\"", version, p->sm, p->engine,
                      (unsigned long long)kerb_dnn_hash((const uint8_t *)p, sizeof *p));
    for (int i = 0; i < 3; i++)
        for (size_t j = 0; j < used[i]; j++)
            at += snprintf(text + at, most - (size_t)at, "%02x", parts[i][j]);
    snprintf(text + at, most - (size_t)at, "\"}");
    return text;
}

static bool kerb_dnn_hex(const char **at, void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++, *at += 2) {
        unsigned value;
        if (!(*at)[0] || !(*at)[1] || sscanf(*at, "%2x", &value) != 1)
            return false;
        ((uint8_t *)to)[i] = (uint8_t)value;
    }
    return true;
}

static bool kerb_dnn_plan_read(KerbDnnProgram *p, const char *text, int *version)
{
    unsigned long long hash;
    int sm, engine, header = 0;
    if (sscanf(text, "{\"standin\":1,\"version\":%d,\"sm\":%d,\"engine\":%d,\"hash\":\"%llx\",\"program\":\"%n", version, &sm, &engine, &hash, &header) != 4 || !header)
        return false;
    const char *at = text + header;
    if (!kerb_dnn_hex(&at, p, offsetof(KerbDnnProgram, tensors)) || p->n_tensors < 0 || p->n_tensors > KERB_DNN_TENSORS || p->n_ops < 1 || p->n_ops > KERB_DNN_OPS)
        return false;
    return kerb_dnn_hex(&at, p->tensors, (size_t)p->n_tensors * sizeof *p->tensors) && kerb_dnn_hex(&at, p->ops, (size_t)p->n_ops * sizeof *p->ops) &&
           kerb_dnn_hash((const uint8_t *)p, sizeof *p) == hash;
}

/* Of the device whose properties are given as text, else of this machine's. */
static int kerb_dnn_plan_sm(const KerbDnnContent *c, const KerbStandinConfig *config)
{
    const KerbDnnContent *device = kerb_dnn_child(c, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, 0);
    const KerbDnnAttribute *json = device ? kerb_dnn_find(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION) : NULL;
    char head[4096] = "";
    if (!json)
        return config->sm;
    memcpy(head, json->data, json->count < (int64_t)sizeof head ? (size_t)json->count : sizeof head - 1);
    const char *at = strstr(head, "\"deviceVer\":");
    return at ? atoi(at + 12) / 10 : config->sm;
}

static cudnnStatus_t kerb_dnn_plan_restore(KerbDnnContent *c, const KerbDnnAttribute *json, int sm, int version)
{
    char *text = calloc(1, (size_t)json->count + 1);
    int written_by = 0;
    memcpy(text, json->data, (size_t)json->count);
    const bool sound = kerb_dnn_plan_read(c->program, text, &written_by);
    free(text);
    if (!sound)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "the plan's text is damaged");
    if (written_by != version || c->program->sm != sm)
        return kerb_dnn_say(CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH, "the plan is of version %d for sm %d", written_by, c->program->sm);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t kerb_dnn_finalise_plan(KerbDnnContent *c)
{
    const KerbStandinConfig config = kerb_dnn_machine();
    const KerbDnnContent *engine = kerb_dnn_child(c, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 0);
    const KerbDnnAttribute *json = kerb_dnn_find(c, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    const int sm = kerb_dnn_plan_sm(c, &config);
    cudnnStatus_t code = CUDNN_STATUS_SUCCESS;
    kerb_dnn_program_copy(c, NULL);
    if (json)
        code = kerb_dnn_plan_restore(c, json, sm, config.dnn);
    else if (!engine || !engine->program)
        code = kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "a plan needs an engine configuration, or its text");
    else
        *c->program = *engine->program;
    if (code == CUDNN_STATUS_SUCCESS)
        code = kerb_dnn_pattern_fits(c->program, &config);
    if (code == CUDNN_STATUS_SUCCESS)
        code = kerb_dnn_engine_fits(c->program, c->program->engine);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    c->program->sm = sm;
    free(c->text);
    c->text = kerb_dnn_plan_write(c->program, config.dnn);
    return code;
}
