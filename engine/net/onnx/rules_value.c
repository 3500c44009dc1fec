/* SPDX-License-Identifier: MIT */
/* Rules for constants, types and quantisation. */
#include "net/onnx/import.h"

#include <string.h>

/* The node's output becomes a constant: no node is left. */
static void kerb_constant_is(KerbImport *im, KerbDtype dtype, int rank, const int64_t dims[], const void *data, bool borrowed)
{
    if (!data) {
        kerb_import_no_memory(im);
        return;
    }
    KerbValue *v = kerb_graph_value(im->g, im->outputs[0]);
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < rank; i++) v->dims[i] = dims[i];
    v->data = data;
    v->borrowed = borrowed;
    kerb_import_says(im, 0, dtype, rank);
}

static void kerb_constant_copy(KerbImport *im, KerbDtype dtype, int rank, int64_t n, const void *data)
{
    size_t bytes = (size_t)(rank ? n : 1) * kerb_dtype_bytes(dtype);
    void *copy = kerb_arena_alloc(im->g->arena, bytes);
    if (copy && bytes) memcpy(copy, data, bytes);
    kerb_constant_is(im, dtype, rank, &n, copy, false);
}

/* The numbers of value_floats or value_ints; they may be many. */
static void kerb_constant_list(KerbImport *im, const KerbOnnxAttribute *a, uint32_t field, KerbWireType element, KerbDtype dtype)
{
    int64_t n = kerb_numbers_count(a->message, field, element);
    size_t bytes = kerb_dtype_bytes(dtype);
    uint8_t *data = n >= 0 ? kerb_arena_alloc(im->g->arena, (size_t)n * bytes) : NULL;
    KerbNumbers walk = kerb_numbers(a->message, field, element);
    uint64_t bits;
    for (int64_t i = 0; data && i < n && kerb_numbers_next(&walk, &bits); i++) memcpy(data + (size_t)i * bytes, &bits, bytes);
    kerb_constant_is(im, dtype, 1, &n, data, false);
}

KERB_RULE(constant)
{
    static const char *const lacking[] = { "sparse_value", "value_string", "value_strings" };
    for (int i = 0; i < 3; i++)
        if (kerb_onnx_attribute(im->node, lacking[i])) kerb_import_lack(im, "%s", lacking[i]);
    if (im->lacking) return;
    const KerbOnnxAttribute *a;
    if ((a = kerb_attribute(im, "value", KERB_ATTRIBUTE_TENSOR))) {
        KerbOnnxTensor t;
        bool borrowed;
        /* The file was checked whole when it was opened, and its external data mapped: the model is only read here. */
        im->status = kerb_onnx_tensor((KerbOnnx *)(uintptr_t)im->onnx, a->t, "a constant", &t, im->error);
        if (im->status != KERB_OK) return;
        if (t.why) {
            kerb_import_lack(im, "%s", t.why);
            return;
        }
        const void *values = kerb_onnx_tensor_values(&t, im->g->arena, &borrowed);
        kerb_constant_is(im, t.dtype, t.rank, t.dims, values, borrowed);
    } else if ((a = kerb_attribute(im, "value_float", KERB_ATTRIBUTE_FLOAT))) {
        kerb_constant_copy(im, KERB_F32, 0, 0, &a->f);
    } else if ((a = kerb_attribute(im, "value_int", KERB_ATTRIBUTE_INT))) {
        kerb_constant_copy(im, KERB_I64, 0, 0, &a->i);
    } else if ((a = kerb_attribute(im, "value_floats", KERB_ATTRIBUTE_FLOATS))) {
        kerb_constant_list(im, a, 7, KERB_WIRE_FIXED32, KERB_F32);
    } else if ((a = kerb_attribute(im, "value_ints", KERB_ATTRIBUTE_INTS))) {
        kerb_constant_list(im, a, 8, KERB_WIRE_VARINT, KERB_I64);
    } else {
        kerb_import_bad(im, "it has no value");
    }
}

KERB_RULE(constant_of_shape)
{
    KerbDtype dtype = KERB_F32;
    double value = 0;
    int64_t value_i64 = 0;
    const KerbOnnxAttribute *a = kerb_attribute(im, "value", KERB_ATTRIBUTE_TENSOR);
    if (a) {
        KerbOnnxTensor t;
        bool borrowed;
        im->status = kerb_onnx_tensor((KerbOnnx *)(uintptr_t)im->onnx, a->t, "a constant", &t, im->error);
        if (im->status != KERB_OK) return;
        if (t.why) kerb_import_lack(im, "%s", t.why);
        else if (t.elements != 1) kerb_import_bad(im, "its value has %lld elements where one is due", (long long)t.elements);
        if (im->status != KERB_OK || im->lacking) return;
        void *data = (void *)(uintptr_t)kerb_onnx_tensor_values(&t, im->scratch, &borrowed);
        if (!data) {
            kerb_import_no_memory(im);
            return;
        }
        KerbTensor view = kerb_tensor(data, t.dtype, t.rank, t.dims);
        dtype = t.dtype;
        value = kerb_tensor_get(&view, 0);
        value_i64 = kerb_tensor_get_i64(&view, 0);
    }
    KerbAttrs *attrs = kerb_import_same(im, KERB_OP_CONSTANT_OF_SHAPE, 1);
    attrs->fill.dtype = dtype;
    attrs->fill.value = value;
    attrs->fill.value_i64 = value_i64;
    kerb_import_says(im, 0, dtype, -1);
}

KERB_RULE(cast)
{
    if (!kerb_onnx_attribute(im->node, "to")) kerb_import_bad(im, "attribute 'to' is missing");
    int64_t to = kerb_attribute_int(im, "to", 0);
    kerb_attribute_ignore(im, "saturate"); /* concerns float8 only */
    KerbDtype dtype = kerb_onnx_dtype(to);
    if (dtype == KERB_DTYPE_NONE) kerb_import_lack(im, "type %s", kerb_onnx_type_name(to));
    kerb_import_same(im, KERB_OP_CAST, 1)->cast.to = dtype;
    kerb_import_says(im, 0, dtype, kerb_import_rank(im, 0));
}

KERB_RULE(cast_like)
{
    KerbDtype dtype = kerb_import_type(im, 1);
    kerb_attribute_ignore(im, "saturate");
    if (dtype == KERB_DTYPE_NONE) kerb_import_lack(im, "a type that is not known beforehand");
    kerb_import_same(im, KERB_OP_CAST, 1)->cast.to = dtype;
    kerb_import_says(im, 0, dtype, kerb_import_rank(im, 0));
}

/* At inference it does nothing; the mask, where somebody reads it, is all true. */
KERB_RULE(dropout)
{
    int64_t training = 0;
    kerb_attribute_ignore(im, "ratio");
    kerb_attribute_ignore(im, "seed");
    kerb_attribute_ignore(im, "is_test");
    uint32_t mode = kerb_import_input(im, 2);
    const KerbValue *v = kerb_graph_value(im->g, mode);
    if (v && kerb_value_is_constant(v) && v->dtype == KERB_BOOL && v->rank == 0) training = *(const uint8_t *)v->data;
    else if (v) training = 1;
    if (training) kerb_import_lack(im, "training_mode");
    kerb_import_add(im, KERB_OP_IDENTITY, NULL, 1, im->inputs, 1, im->outputs);
    if (im->n_outputs < 2) return;
    if (im->opset < 10 && kerb_import_type(im, 0) == KERB_DTYPE_NONE) kerb_import_lack(im, "its mask is read, of a type that is not known");
    uint32_t shape = kerb_import_between(im, "shape");
    kerb_import_add(im, KERB_OP_SHAPE, "shape", 1, im->inputs, 1, &shape);
    KerbAttrs *attrs = kerb_import_add(im, KERB_OP_CONSTANT_OF_SHAPE, "mask", 1, &shape, 1, &im->outputs[1]);
    attrs->fill.dtype = im->opset < 10 ? kerb_import_type(im, 0) : KERB_BOOL; /* the mask had the data's type before */
    attrs->fill.value = 1;
    attrs->fill.value_i64 = 1;
    kerb_import_says(im, 1, attrs->fill.dtype, kerb_import_rank(im, 0));
}

/* QuantizeLinear, DequantizeLinear. param: the KerbOp. */
KERB_RULE(quantize)
{
    bool quantize = rule->param == KERB_OP_QUANTIZE;
    int64_t axis = kerb_attribute_int(im, "axis", 1), block_size = kerb_attribute_int(im, "block_size", 0);
    int64_t out = quantize ? kerb_attribute_int(im, "output_dtype", 0) : 0;
    kerb_attribute_ignore(im, "saturate");
    KerbDtype dtype = kerb_onnx_dtype(out);
    if (out && dtype == KERB_DTYPE_NONE) kerb_import_lack(im, "type %s", kerb_onnx_type_name(out));
    if (block_size < 0) kerb_import_bad(im, "block_size %lld is negative", (long long)block_size);
    KerbAttrs *attrs = kerb_import_same(im, (KerbOp)rule->param, 3);
    attrs->quantize.axis = axis;
    attrs->quantize.block_size = block_size;
    attrs->quantize.out = dtype;
    KerbDtype zero = kerb_import_type(im, 2);
    KerbDtype result = !quantize ? kerb_import_type(im, 1) : zero != KERB_DTYPE_NONE ? zero : dtype != KERB_DTYPE_NONE ? dtype
                     : im->n_inputs < 3 ? KERB_U8 : KERB_DTYPE_NONE;
    kerb_import_says(im, 0, result, kerb_import_rank(im, 0));
}
