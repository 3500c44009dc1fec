/* SPDX-License-Identifier: MIT */
/* cuDNN's entry points: handles, descriptors, their attributes, and the execution of a plan as work of a stream. */
#include "dnn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cudnnContext {
    KerbHeld held;
    cudaStream_t stream;
};

typedef struct KerbDescriptor {
    KerbHeld held;
    KerbDnnContent *content;
} KerbDescriptor;

static _Thread_local char kerb_dnn_words[512];

cudnnStatus_t kerb_dnn_say(cudnnStatus_t code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(kerb_dnn_words, sizeof kerb_dnn_words, format, args);
    va_end(args);
    return code;
}

/* Codes from 1000 on are cuDNN's own. The runtime's last error stays as it was: this is another library. */
static cudnnStatus_t kerb_dnn_call(const char *name, unsigned flags)
{
    const cudaError_t before = kerb_last_error;
    const cudaError_t code = kerb_call(name, flags | KERB_CALL_DNN);
    kerb_last_error = before;
    if (code == cudaSuccess)
        return CUDNN_STATUS_SUCCESS;
    kerb_dnn_say(CUDNN_STATUS_SUCCESS, "%s: the runtime says %d", name, (int)code);
    if ((int)code >= 1000)
        return (cudnnStatus_t)code;
    if (code == cudaErrorMemoryAllocation)
        return CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
    if (code == cudaErrorInsufficientDriver || code == cudaErrorNoDevice)
        return CUDNN_STATUS_NOT_INITIALIZED;
    return kerb_code_is_sticky((int)code) ? CUDNN_STATUS_EXECUTION_FAILED_CUDART : CUDNN_STATUS_INTERNAL_ERROR;
}

/* -------------------------------------------------------------------------------------------------- what cannot fail */

static KerbStandinConfig kerb_dnn_config(void)
{
    kerb_machine_lock();
    const KerbStandinConfig c = kerb_machine.config;
    kerb_machine_unlock();
    return c;
}

size_t cudnnGetVersion(void)
{
    return (size_t)kerb_dnn_config().dnn;
}

size_t cudnnGetCudartVersion(void)
{
    return (size_t)kerb_dnn_config().runtime;
}

const char *cudnnGetErrorString(cudnnStatus_t code)
{
    switch ((int)code) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH: return "CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH";
    case CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED: return "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED";
    case CUDNN_STATUS_EXECUTION_FAILED_CUDART: return "CUDNN_STATUS_EXECUTION_FAILED_CUDART";
    case CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN: return "CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN";
    default: break;
    }
    switch (CUDNN_STATUS_CATEGORY((int)code)) {
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_INTERNAL_ERROR: return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "CUDNN_UNKNOWN_STATUS";
    }
}

void cudnnGetLastErrorString(char *message, size_t bytes)
{
    if (bytes)
        snprintf(message, bytes, "%s", kerb_dnn_words);
    kerb_dnn_words[0] = '\0';
}

/* ------------------------------------------------------------------------------------------------------------- handles */

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    const cudnnStatus_t code = kerb_dnn_call(__func__, KERB_CALL_UNSAFE);
    if (out)
        *out = NULL;
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    struct cudnnContext *h = out ? calloc(1, sizeof *h) : NULL;
    if (!h)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnCreate(NULL)");
    kerb_machine_lock();
    kerb_held_add_locked(&h->held, KERB_HELD_DNN_HANDLE);
    kerb_machine_unlock();
    *out = h;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    const cudnnStatus_t code = kerb_dnn_call(__func__, 0);
    if (!handle)
        return code;
    kerb_machine_lock();
    struct cudnnContext *h = kerb_held_find_locked(handle, KERB_HELD_DNN_HANDLE, __func__);
    if (h) {
        kerb_held_remove_locked(&h->held);
        free(h);
    }
    kerb_machine_unlock();
    return h ? code : kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "no such handle");
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    const cudnnStatus_t code = kerb_dnn_call(__func__, 0);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    cudaError_t ignored;
    kerb_machine_lock();
    struct cudnnContext *h = kerb_held_find_locked(handle, KERB_HELD_DNN_HANDLE, __func__);
    const bool ok = h && (!stream || kerb_stream_find_locked(stream, __func__, &ignored));
    if (ok)
        h->stream = stream;
    kerb_machine_unlock();
    return ok ? CUDNN_STATUS_SUCCESS : kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "cudnnSetStream: no such handle or stream");
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
    const cudnnStatus_t code = kerb_dnn_call(__func__, 0);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    kerb_machine_lock();
    const struct cudnnContext *h = kerb_held_find_locked(handle, KERB_HELD_DNN_HANDLE, __func__);
    *stream = h ? h->stream : NULL;
    kerb_machine_unlock();
    return h ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

/* --------------------------------------------------------------------------------------------------------- attributes */

typedef struct KerbDnnRule {
    int type;      /* of the descriptor */
    int name;
    int value;     /* cudnnBackendAttributeType_t */
    int64_t least, most;
    bool needed;   /* to be finalised */
} KerbDnnRule;

#define D(name) CUDNN_BACKEND_##name##_DESCRIPTOR
#define A(name) CUDNN_ATTR_##name
#define T(name) CUDNN_TYPE_##name
static const KerbDnnRule kerb_dnn_rules[] = {
    { D(TENSOR), A(TENSOR_DATA_TYPE), T(DATA_TYPE), 1, 1, true },
    { D(TENSOR), A(TENSOR_DIMENSIONS), T(INT64), 1, CUDNN_DIM_MAX, true },
    { D(TENSOR), A(TENSOR_STRIDES), T(INT64), 1, CUDNN_DIM_MAX, true },
    { D(TENSOR), A(TENSOR_UNIQUE_ID), T(INT64), 1, 1, true },
    { D(TENSOR), A(TENSOR_BYTE_ALIGNMENT), T(INT64), 1, 1, true },
    { D(TENSOR), A(TENSOR_IS_VIRTUAL), T(BOOLEAN), 1, 1, false },
    { D(TENSOR), A(TENSOR_IS_BY_VALUE), T(BOOLEAN), 1, 1, false },
    { D(TENSOR), A(TENSOR_REORDERING_MODE), T(TENSOR_REORDERING_MODE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_MODE), T(POINTWISE_MODE), 1, 1, true },
    { D(POINTWISE), A(POINTWISE_MATH_PREC), T(DATA_TYPE), 1, 1, true },
    { D(POINTWISE), A(POINTWISE_RELU_LOWER_CLIP), T(DOUBLE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_RELU_UPPER_CLIP), T(DOUBLE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_RELU_LOWER_CLIP_SLOPE), T(DOUBLE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_ELU_ALPHA), T(DOUBLE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_SOFTPLUS_BETA), T(DOUBLE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_SWISH_BETA), T(DOUBLE), 1, 1, false },
    { D(POINTWISE), A(POINTWISE_AXIS), T(INT64), 1, 1, false },
    { D(CONVOLUTION), A(CONVOLUTION_COMP_TYPE), T(DATA_TYPE), 1, 1, true },
    { D(CONVOLUTION), A(CONVOLUTION_CONV_MODE), T(CONVOLUTION_MODE), 1, 1, true },
    { D(CONVOLUTION), A(CONVOLUTION_SPATIAL_DIMS), T(INT64), 1, 1, true },
    { D(CONVOLUTION), A(CONVOLUTION_PRE_PADDINGS), T(INT64), 1, 3, true },
    { D(CONVOLUTION), A(CONVOLUTION_POST_PADDINGS), T(INT64), 1, 3, true },
    { D(CONVOLUTION), A(CONVOLUTION_FILTER_STRIDES), T(INT64), 1, 3, true },
    { D(CONVOLUTION), A(CONVOLUTION_DILATIONS), T(INT64), 1, 3, true },
    { D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_CONV_DESC), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_X), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_W), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_Y), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_ALPHA), -1, 1, 1, true },
    { D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_BETA), -1, 1, 1, true },
    { D(OPERATION_CONVOLUTION_BACKWARD_DATA), A(OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_BACKWARD_DATA), A(OPERATION_CONVOLUTION_BWD_DATA_DX), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_BACKWARD_DATA), A(OPERATION_CONVOLUTION_BWD_DATA_W), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_BACKWARD_DATA), A(OPERATION_CONVOLUTION_BWD_DATA_DY), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_CONVOLUTION_BACKWARD_DATA), A(OPERATION_CONVOLUTION_BWD_DATA_ALPHA), -1, 1, 1, true },
    { D(OPERATION_CONVOLUTION_BACKWARD_DATA), A(OPERATION_CONVOLUTION_BWD_DATA_BETA), -1, 1, 1, true },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_PW_DESCRIPTOR), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_XDESC), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_BDESC), T(BACKEND_DESCRIPTOR), 1, 1, false },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_TDESC), T(BACKEND_DESCRIPTOR), 1, 1, false },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_YDESC), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_ALPHA1), -1, 1, 1, false },
    { D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_ALPHA2), -1, 1, 1, false },
    { D(OPERATIONGRAPH), A(OPERATIONGRAPH_HANDLE), T(HANDLE), 1, 1, false },
    { D(OPERATIONGRAPH), A(OPERATIONGRAPH_OPS), T(BACKEND_DESCRIPTOR), 1, KERB_DNN_OPS, true },
    { D(ENGINEHEUR), A(ENGINEHEUR_OPERATION_GRAPH), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(ENGINEHEUR), A(ENGINEHEUR_MODE), T(HEUR_MODE), 1, 1, true },
    { D(ENGINEHEUR), A(ENGINEHEUR_SM_COUNT_TARGET), T(INT32), 1, 1, false },
    { D(ENGINEHEUR), A(ENGINEHEUR_DEVICEPROP), T(BACKEND_DESCRIPTOR), 1, 1, false },
    { D(ENGINE), A(ENGINE_OPERATION_GRAPH), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(ENGINE), A(ENGINE_GLOBAL_INDEX), T(INT64), 1, 1, true },
    { D(ENGINE), A(ENGINE_DEVICEPROP), T(BACKEND_DESCRIPTOR), 1, 1, false },
    { D(ENGINECFG), A(ENGINECFG_ENGINE), T(BACKEND_DESCRIPTOR), 1, 1, true },
    { D(EXECUTION_PLAN), A(EXECUTION_PLAN_HANDLE), T(HANDLE), 1, 1, false },
    { D(EXECUTION_PLAN), A(EXECUTION_PLAN_ENGINE_CONFIG), T(BACKEND_DESCRIPTOR), 1, 1, false },
    { D(EXECUTION_PLAN), A(EXECUTION_PLAN_JSON_REPRESENTATION), T(CHAR), 1, 1 << 24, false },
    { D(EXECUTION_PLAN), A(EXECUTION_PLAN_DEVICEPROP), T(BACKEND_DESCRIPTOR), 1, 1, false },
    { D(DEVICEPROP), A(DEVICEPROP_DEVICE_ID), T(INT32), 1, 1, false },
    { D(DEVICEPROP), A(DEVICEPROP_HANDLE), T(HANDLE), 1, 1, false },
    { D(DEVICEPROP), A(DEVICEPROP_JSON_REPRESENTATION), T(CHAR), 1, 1 << 24, false },
    { D(VARIANT_PACK), A(VARIANT_PACK_UNIQUE_IDS), T(INT64), 1, KERB_DNN_TENSORS, true },
    { D(VARIANT_PACK), A(VARIANT_PACK_DATA_POINTERS), T(VOID_PTR), 1, KERB_DNN_TENSORS, true },
    { D(VARIANT_PACK), A(VARIANT_PACK_WORKSPACE), T(VOID_PTR), 1, 1, false },
};
#undef D
#undef A
#undef T

size_t kerb_dnn_attribute_bytes(int type)
{
    switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR: return 1;
    default: return 4; /* enumerations, int32, float */
    }
}

const KerbDnnAttribute *kerb_dnn_find(const KerbDnnContent *c, int name)
{
    for (int i = 0; i < c->n_attributes; i++)
        if (c->attributes[i].name == name)
            return &c->attributes[i];
    return NULL;
}

KerbDnnContent *kerb_dnn_child(const KerbDnnContent *c, int name, int64_t i)
{
    const KerbDnnAttribute *a = kerb_dnn_find(c, name);
    return a && i < a->count ? ((KerbDnnContent **)a->data)[i] : NULL;
}

int64_t kerb_dnn_int(const KerbDnnContent *c, int name, int64_t otherwise)
{
    const KerbDnnAttribute *a = kerb_dnn_find(c, name);
    if (!a)
        return otherwise;
    const size_t bytes = kerb_dnn_attribute_bytes(a->type);
    return bytes == 8 ? *(int64_t *)a->data : bytes == 1 ? *(uint8_t *)a->data : *(int32_t *)a->data;
}

double kerb_dnn_real(const KerbDnnContent *c, int name, double otherwise)
{
    const KerbDnnAttribute *a = kerb_dnn_find(c, name);
    return !a ? otherwise : a->type == CUDNN_TYPE_DOUBLE ? *(double *)a->data : *(float *)a->data;
}

static void kerb_dnn_content_unref_locked(KerbDnnContent *c);

static void kerb_dnn_attribute_free_locked(KerbDnnAttribute *a)
{
    for (int64_t i = 0; a->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < a->count; i++)
        kerb_dnn_content_unref_locked(((KerbDnnContent **)a->data)[i]);
    free(a->data);
}

static void kerb_dnn_content_unref_locked(KerbDnnContent *c)
{
    if (!c || --c->refs)
        return;
    for (int i = 0; i < c->n_attributes; i++)
        kerb_dnn_attribute_free_locked(&c->attributes[i]);
    free(c->attributes);
    free(c->program);
    free(c->text);
    free(c);
}

static KerbDnnContent *kerb_dnn_content_new(cudnnBackendDescriptorType_t type)
{
    KerbDnnContent *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->refs = 1;
    c->type = type;
    return c;
}

void kerb_dnn_program_copy(KerbDnnContent *to, const KerbDnnProgram *from)
{
    free(to->program); /* of a try before this one */
    to->program = calloc(1, sizeof *to->program);
    if (!to->program)
        abort();
    if (from)
        *to->program = *from;
}

static bool kerb_dnn_type_is_known(cudnnBackendDescriptorType_t type)
{
    for (size_t i = 0; i < sizeof kerb_dnn_rules / sizeof *kerb_dnn_rules; i++)
        if (kerb_dnn_rules[i].type == (int)type)
            return true;
    return false;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out)
{
    const cudnnStatus_t code = kerb_dnn_call(__func__, KERB_CALL_ANYWHERE);
    if (out)
        *out = NULL;
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    if (!out || !kerb_dnn_type_is_known(type))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in has no descriptors of type %d", (int)type);
    KerbDescriptor *d = calloc(1, sizeof *d);
    if (!d)
        return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    d->content = kerb_dnn_content_new(type);
    d->held.detail = (int)type;
    kerb_machine_lock();
    kerb_held_add_locked(&d->held, KERB_HELD_DESCRIPTOR);
    kerb_machine_unlock();
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    const cudnnStatus_t code = kerb_dnn_call(__func__, KERB_CALL_ANYWHERE);
    if (!descriptor)
        return code;
    kerb_machine_lock();
    KerbDescriptor *d = kerb_held_find_locked(descriptor, KERB_HELD_DESCRIPTOR, __func__);
    if (d) {
        kerb_held_remove_locked(&d->held);
        kerb_dnn_content_unref_locked(d->content);
        free(d);
    }
    kerb_machine_unlock();
    return d ? code : kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "no such descriptor");
}

static const KerbDnnRule *kerb_dnn_rule(const KerbDnnContent *c, int name)
{
    for (size_t i = 0; i < sizeof kerb_dnn_rules / sizeof *kerb_dnn_rules; i++)
        if (kerb_dnn_rules[i].type == (int)c->type && kerb_dnn_rules[i].name == name)
            return &kerb_dnn_rules[i];
    return NULL;
}

/* Replaces what was there. Descriptors become references to what they hold. */
static cudnnStatus_t kerb_dnn_store_locked(KerbDnnContent *c, int name, int type, int64_t count, const void *values)
{
    KerbDnnAttribute a = { .name = name, .type = type, .count = count, .data = malloc((size_t)count * kerb_dnn_attribute_bytes(type) + 1) };
    if (!a.data)
        abort();
    memcpy(a.data, values, (size_t)count * kerb_dnn_attribute_bytes(type));
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++) {
        const KerbDescriptor *d = kerb_held_find_locked(((void *const *)values)[i], KERB_HELD_DESCRIPTOR, "cudnnBackendSetAttribute");
        if (!d || !d->content->finalised) {
            for (int64_t j = 0; j < i; j++)
                kerb_dnn_content_unref_locked(((KerbDnnContent **)a.data)[j]);
            free(a.data);
            return kerb_dnn_say(d ? CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED : CUDNN_STATUS_BAD_PARAM, "attribute %d: descriptor %lld is not finalized", name, (long long)i);
        }
        ((KerbDnnContent **)a.data)[i] = d->content;
        d->content->refs++;
    }
    for (int i = 0; i < c->n_attributes; i++)
        if (c->attributes[i].name == name) {
            kerb_dnn_attribute_free_locked(&c->attributes[i]);
            c->attributes[i] = a;
            return CUDNN_STATUS_SUCCESS;
        }
    KerbDnnAttribute *all = realloc(c->attributes, (size_t)(c->n_attributes + 1) * sizeof *all);
    if (!all)
        abort();
    all[c->n_attributes++] = a;
    c->attributes = all;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t kerb_dnn_set_locked(void *descriptor, int name, int type, int64_t count, const void *values)
{
    const KerbDescriptor *d = kerb_held_find_locked(descriptor, KERB_HELD_DESCRIPTOR, "cudnnBackendSetAttribute");
    if (!d || !values)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnBackendSetAttribute: no such descriptor, or no values");
    const KerbDnnRule *rule = kerb_dnn_rule(d->content, name);
    if (d->content->finalised)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "a finalized descriptor of type %d is set", (int)d->content->type);
    if (!rule)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in has no attribute %d of descriptor type %d", name, (int)d->content->type);
    const bool real = type == CUDNN_TYPE_FLOAT || type == CUDNN_TYPE_DOUBLE;
    if (type != rule->value && !(rule->value == -1 && real))
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "attribute %d is not of type %d", name, type);
    if (count < rule->least || count > rule->most)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND, "attribute %d cannot have %lld values", name, (long long)count);
    return kerb_dnn_store_locked(d->content, name, type, count, values);
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values)
{
    cudnnStatus_t code = kerb_dnn_call(__func__, KERB_CALL_ANYWHERE);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    kerb_machine_lock();
    code = kerb_dnn_set_locked(descriptor, (int)name, (int)type, count, values);
    kerb_machine_unlock();
    return code;
}

/* ------------------------------------------------------------------------------------------------------------ finalize */

static cudnnStatus_t kerb_dnn_finalise_tensor(const KerbDnnContent *c)
{
    const KerbDnnAttribute *dims = kerb_dnn_find(c, CUDNN_ATTR_TENSOR_DIMENSIONS), *strides = kerb_dnn_find(c, CUDNN_ATTR_TENSOR_STRIDES);
    if (dims->count != strides->count || dims->count < 3)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "a tensor has %lld dimensions, %lld strides", (long long)dims->count, (long long)strides->count);
    if (dims->count != KERB_DNN_RANK)
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in's tensors have 4 dimensions");
    for (int64_t i = 0; i < dims->count; i++)
        if (((int64_t *)dims->data)[i] < 1 || ((int64_t *)strides->data)[i] < 1)
            return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND, "a dimension or stride of a tensor is below 1");
    const int64_t alignment = kerb_dnn_int(c, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    if (alignment < 1 || (alignment & (alignment - 1)))
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "alignment %lld", (long long)alignment);
    if (!kerb_dnn_type_bytes((int)kerb_dnn_int(c, CUDNN_ATTR_TENSOR_DATA_TYPE, -1)))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "the stand-in has no such data type");
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t kerb_dnn_finalise(KerbDnnContent *c)
{
    for (size_t i = 0; i < sizeof kerb_dnn_rules / sizeof *kerb_dnn_rules; i++)
        if (kerb_dnn_rules[i].type == (int)c->type && kerb_dnn_rules[i].needed && !kerb_dnn_find(c, kerb_dnn_rules[i].name))
            return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "a descriptor of type %d needs attribute %d", (int)c->type, kerb_dnn_rules[i].name);
    switch (c->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: return kerb_dnn_finalise_tensor(c);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        if (kerb_dnn_int(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2 || kerb_dnn_int(c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, 0) != CUDNN_CROSS_CORRELATION)
            return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in has two-dimensional cross-correlation only");
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: return kerb_dnn_finalise_graph(c);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: return kerb_dnn_finalise_heuristics(c);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: return kerb_dnn_finalise_plan(c);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        if (kerb_dnn_find(c, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)->count != kerb_dnn_find(c, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->count)
            return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "as many pointers as ids");
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR: {
        const KerbDnnContent *from = kerb_dnn_child(c, c->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR ? CUDNN_ATTR_ENGINE_OPERATION_GRAPH : CUDNN_ATTR_ENGINECFG_ENGINE, 0);
        if (!from->program)
            return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "not an operation graph or engine");
        kerb_dnn_program_copy(c, from->program);
        c->program->engine = (int32_t)kerb_dnn_int(c, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, from->program->engine);
        return CUDNN_STATUS_SUCCESS;
    }
    default: return CUDNN_STATUS_SUCCESS;
    }
}

/* The content of a living descriptor, referenced. NULL: none. */
static KerbDnnContent *kerb_dnn_content_ref(const void *descriptor, const char *name)
{
    kerb_machine_lock();
    const KerbDescriptor *d = kerb_held_find_locked(descriptor, KERB_HELD_DESCRIPTOR, name);
    KerbDnnContent *c = d ? d->content : NULL;
    if (c)
        c->refs++;
    kerb_machine_unlock();
    return c;
}

static void kerb_dnn_content_unref(KerbDnnContent *c)
{
    kerb_machine_lock();
    kerb_dnn_content_unref_locked(c);
    kerb_machine_unlock();
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    cudnnStatus_t code = kerb_dnn_call(__func__, KERB_CALL_ANYWHERE);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    KerbDnnContent *c = kerb_dnn_content_ref(descriptor, __func__);
    if (!c)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "no such descriptor");
    code = c->finalised ? kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "finalized twice") : kerb_dnn_finalise(c);
    c->finalised |= code == CUDNN_STATUS_SUCCESS;
    kerb_dnn_content_unref(c);
    return code;
}

/* ----------------------------------------------------------------------------------------------------------------- get */

/* Values that are computed, not set. 0: not one of these. */
static int64_t kerb_dnn_computed(const KerbDnnContent *c, int name, int64_t most, void *out)
{
    int64_t numbers[8] = { 0 }, n = 0;
    int32_t notes[8] = { 0 };
    const KerbDnnProgram *p = c->program;
    switch (name) {
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
    case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE: numbers[n++] = kerb_dnn_workspace(p); break;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX: numbers[n++] = p->engine; break;
    case CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT: numbers[n++] = KERB_ENGINES; break;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        if (p->engine == KERB_ENGINE_TENSOR || p->tensors[p->ops[0].x].type != CUDNN_DATA_FLOAT)
            notes[n++] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        break;
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        if (p->n_ops > 1)
            notes[n++] = CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
        break;
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION:
    case CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION: {
        const int64_t bytes = c->text ? (int64_t)strlen(c->text) + 1 : 0; /* with its 0, as cuDNN's */
        if (out)
            memcpy(out, c->text, (size_t)(bytes < most ? bytes : most));
        return bytes;
    }
    default: return -1;
    }
    const bool is_note = name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE || name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE;
    if (out)
        memcpy(out, is_note ? (void *)notes : (void *)numbers, (size_t)(n < most ? n : most) * (is_note ? 4 : 8));
    return n;
}

/* The caller's descriptor `target` becomes one of this type, finalised, with this program. */
static cudnnStatus_t kerb_dnn_give(void *target, cudnnBackendDescriptorType_t type, const KerbDnnProgram *program, int engine)
{
    cudnnStatus_t code = CUDNN_STATUS_SUCCESS;
    kerb_machine_lock();
    KerbDescriptor *d = kerb_held_find_locked(target, KERB_HELD_DESCRIPTOR, "cudnnBackendGetAttribute");
    if (!d || d->content->type != type) {
        code = kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "the descriptor to be filled is not of type %d", (int)type);
    } else {
        kerb_dnn_content_unref_locked(d->content);
        d->content = kerb_dnn_content_new(type);
        kerb_dnn_program_copy(d->content, program);
        d->content->program->engine = engine;
        d->content->finalised = true;
    }
    kerb_machine_unlock();
    return code;
}

static cudnnStatus_t kerb_dnn_get(const KerbDnnContent *c, int name, int type, int64_t most, int64_t *count, void *out)
{
    cudnnStatus_t code = CUDNN_STATUS_SUCCESS;
    if (!c->finalised)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "attribute %d of a descriptor that is not finalized", name);
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        *count = c->n_engines;
        for (int i = 0; out && i < c->n_engines && i < most && code == CUDNN_STATUS_SUCCESS; i++)
            code = kerb_dnn_give(((void **)out)[i], CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, c->program, c->engines[i]);
        return code;
    }
    if (name == CUDNN_ATTR_ENGINECFG_ENGINE || name == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG) {
        *count = 1;
        const cudnnBackendDescriptorType_t wanted =
            name == CUDNN_ATTR_ENGINECFG_ENGINE ? CUDNN_BACKEND_ENGINE_DESCRIPTOR : CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
        return out && most ? kerb_dnn_give(*(void **)out, wanted, c->program, c->program->engine) : code;
    }
    const int64_t n = kerb_dnn_computed(c, name, most, out);
    const KerbDnnAttribute *a = n < 0 ? kerb_dnn_find(c, name) : NULL;
    if (n < 0 && (!a || a->type == CUDNN_TYPE_BACKEND_DESCRIPTOR || a->type != type))
        return kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED, "the stand-in cannot get attribute %d of a descriptor of type %d", name, (int)c->type);
    *count = a ? a->count : n;
    if (a && out)
        memcpy(out, a->data, (size_t)(a->count < most ? a->count : most) * kerb_dnn_attribute_bytes(type));
    return code;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t most, int64_t *count, void *out)
{
    cudnnStatus_t code = kerb_dnn_call(__func__, KERB_CALL_ANYWHERE);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    KerbDnnContent *c = kerb_dnn_content_ref(descriptor, __func__);
    int64_t n = 0;
    if (!c)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "no such descriptor");
    code = kerb_dnn_get(c, (int)name, (int)type, most, &n, most > 0 ? out : NULL);
    if (count)
        *count = n;
    kerb_dnn_content_unref(c);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------- execute */

static void kerb_dnn_work(const void *args)
{
    kerb_dnn_run(args);
}

static void kerb_dnn_work_drop(void *args)
{
    free(((KerbDnnRun *)args)->program);
}

static cudnnStatus_t kerb_dnn_bind_tensor(const KerbDnnTensor *t, void *pointer, double *value)
{
    if (t->by_value) { /* read now, from the host */
        *value = t->type == CUDNN_DATA_FLOAT ? *(float *)pointer : t->type == CUDNN_DATA_DOUBLE ? *(double *)pointer : *(int32_t *)pointer;
        return CUDNN_STATUS_SUCCESS;
    }
    if ((uintptr_t)pointer % (uintptr_t)t->alignment)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "tensor %lld at %p is to be aligned to %lld", (long long)t->uid, pointer,
                            (long long)t->alignment);
    kerb_machine_lock();
    const KerbPlace place = kerb_place_locked(pointer, (size_t)kerb_dnn_extent(t) * kerb_dnn_type_bytes(t->type));
    const bool ok = place == KERB_PLACE_DEVICE || (place == KERB_PLACE_PINNED && kerb_machine.config.no_alias);
    if (!ok) {
        kerb_misuse_locked("cuDNN's tensor %lld at %p %s", (long long)t->uid, pointer, place == KERB_PLACE_BROKEN ? "leaves its block" : "is not in device memory");
        kerb_lose_locked(cudaErrorIllegalAddress);
    }
    kerb_machine_unlock();
    return ok ? CUDNN_STATUS_SUCCESS : kerb_dnn_say(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "an illegal memory access was encountered");
}

static cudnnStatus_t kerb_dnn_bind(KerbDnnRun *run, const KerbDnnContent *pack)
{
    const KerbDnnAttribute *ids = kerb_dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS), *data = kerb_dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    for (int i = 0; i < run->program->n_tensors; i++) {
        const KerbDnnTensor *t = &run->program->tensors[i];
        if (t->is_virtual)
            continue;
        for (int64_t j = 0; j < ids->count; j++)
            if (((int64_t *)ids->data)[j] == t->uid)
                run->pointers[i] = ((void **)data->data)[j];
        if (!run->pointers[i])
            return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the variant pack has no pointer for tensor %lld", (long long)t->uid);
        const cudnnStatus_t code = kerb_dnn_bind_tensor(t, run->pointers[i], &run->values[i]);
        if (code != CUDNN_STATUS_SUCCESS)
            return code;
    }
    const int64_t bytes = kerb_dnn_workspace(run->program);
    const KerbDnnAttribute *workspace = kerb_dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    run->workspace = workspace ? *(void **)workspace->data : NULL;
    if (!bytes)
        return CUDNN_STATUS_SUCCESS;
    const KerbDnnTensor as_tensor = { .uid = -1, .alignment = 16, .dims = { 1, 1, 1, bytes }, .strides = { 1, 1, 1, 1 }, .type = CUDNN_DATA_INT8 };
    double ignored;
    if (!run->workspace)
        return kerb_dnn_say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "the plan needs a workspace");
    return kerb_dnn_bind_tensor(&as_tensor, run->workspace, &ignored);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
    cudnnStatus_t code = kerb_dnn_call(__func__, 0);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    kerb_machine_lock();
    const struct cudnnContext *h = kerb_held_find_locked(handle, KERB_HELD_DNN_HANDLE, __func__);
    const cudaStream_t stream = h ? h->stream : NULL;
    kerb_machine_unlock();
    KerbDnnContent *p = kerb_dnn_content_ref(plan, __func__), *v = kerb_dnn_content_ref(pack, __func__);
    KerbDnnRun run = { 0 };
    if (!h || !p || !v || !p->finalised || !v->finalised || p->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || v->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        code = kerb_dnn_say(CUDNN_STATUS_BAD_PARAM, "cudnnBackendExecute: a handle, a finalized plan and a finalized variant pack are needed");
    if (code == CUDNN_STATUS_SUCCESS) {
        KerbDnnContent own = { 0 };
        kerb_dnn_program_copy(&own, p->program);
        run.program = own.program;
        code = kerb_dnn_bind(&run, v);
    }
    kerb_dnn_content_unref(p);
    kerb_dnn_content_unref(v);
    if (code != CUDNN_STATUS_SUCCESS) {
        free(run.program);
        return code;
    }
    const cudaError_t before = kerb_last_error, pushed = kerb_stream_push(stream, kerb_work_new(kerb_dnn_work, kerb_dnn_work_drop, &run, sizeof run), false);
    kerb_last_error = before;
    return pushed == cudaSuccess ? code : kerb_dnn_say(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "the launch failed: %d", (int)pushed);
}

cudnnStatus_t cudnnBackendPopulateCudaGraph(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack, cudaGraph_t graph)
{
    (void)handle, (void)plan, (void)pack, (void)graph;
    const cudnnStatus_t code = kerb_dnn_call(__func__, 0);
    return code != CUDNN_STATUS_SUCCESS ? code : kerb_dnn_say(CUDNN_STATUS_NOT_SUPPORTED_CUDA_GRAPH_NATIVE_API, "the stand-in has captures only");
}
