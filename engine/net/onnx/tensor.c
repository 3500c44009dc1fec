/* SPDX-License-Identifier: MIT */
/* TensorProto -> type, shape and values. Enters: a message that nobody has checked. Leaves: dims whose product times the element's size is
 * exactly the bytes that are there, whichever of the format's ways holds them: raw_data, typed fields (packed or not), an external file. */
#include "net/onnx/model.h"

#include <stdio.h>
#include <string.h>

static const struct KerbOnnxType {
    const char *name;
    KerbDtype dtype;
    uint32_t field;       /* where typed values are */
    KerbWireType element; /* and how */
} kerb_onnx_types[] = {
    [0] = { "undefined", KERB_DTYPE_NONE, 0, 0 },
    [1] = { "float", KERB_F32, 4, KERB_WIRE_FIXED32 },
    [2] = { "uint8", KERB_U8, 5, KERB_WIRE_VARINT },
    [3] = { "int8", KERB_I8, 5, KERB_WIRE_VARINT },
    [4] = { "uint16", KERB_U16, 5, KERB_WIRE_VARINT },
    [5] = { "int16", KERB_I16, 5, KERB_WIRE_VARINT },
    [6] = { "int32", KERB_I32, 5, KERB_WIRE_VARINT },
    [7] = { "int64", KERB_I64, 7, KERB_WIRE_VARINT },
    [8] = { "string", KERB_DTYPE_NONE, 0, 0 },
    [9] = { "bool", KERB_BOOL, 5, KERB_WIRE_VARINT },
    [10] = { "float16", KERB_F16, 5, KERB_WIRE_VARINT },
    [11] = { "double", KERB_F64, 10, KERB_WIRE_FIXED64 },
    [12] = { "uint32", KERB_U32, 11, KERB_WIRE_VARINT },
    [13] = { "uint64", KERB_U64, 11, KERB_WIRE_VARINT },
    [14] = { "complex64", KERB_DTYPE_NONE, 0, 0 },
    [15] = { "complex128", KERB_DTYPE_NONE, 0, 0 },
    [16] = { "bfloat16", KERB_BF16, 5, KERB_WIRE_VARINT },
    [17] = { "float8e4m3fn", KERB_DTYPE_NONE, 0, 0 },
    [18] = { "float8e4m3fnuz", KERB_DTYPE_NONE, 0, 0 },
    [19] = { "float8e5m2", KERB_DTYPE_NONE, 0, 0 },
    [20] = { "float8e5m2fnuz", KERB_DTYPE_NONE, 0, 0 },
    [21] = { "uint4", KERB_DTYPE_NONE, 0, 0 },
    [22] = { "int4", KERB_DTYPE_NONE, 0, 0 },
    [23] = { "float4e2m1", KERB_DTYPE_NONE, 0, 0 },
};
#define KERB_ONNX_TYPES ((int64_t)(sizeof kerb_onnx_types / sizeof kerb_onnx_types[0]))

KerbDtype kerb_onnx_dtype(int64_t type) { return type >= 0 && type < KERB_ONNX_TYPES ? kerb_onnx_types[type].dtype : KERB_DTYPE_NONE; }
const char *kerb_onnx_type_name(int64_t type)
{
    return type >= 0 && type < KERB_ONNX_TYPES ? kerb_onnx_types[type].name : "an unknown type";
}

/* What the fields say before anything is checked. */
typedef struct KerbTensorFields {
    KerbBytes raw, external[16]; /* external: StringStringEntryProto */
    int n_external;
    bool is_external, has_segment;
    int64_t rank;
} KerbTensorFields;

static void kerb_tensor_dims(KerbWire *w, KerbBytes message, KerbOnnxTensor *t, KerbTensorFields *fields)
{
    KerbNumbers walk = kerb_numbers(message, 1, KERB_WIRE_VARINT);
    uint64_t bits;
    for (fields->rank = 0; kerb_numbers_next(&walk, &bits); fields->rank++)
        if (fields->rank < KERB_MAX_RANK) t->dims[fields->rank] = (int64_t)bits;
    if (walk.fields.fault) *w = walk.fields;
}

static KerbWire kerb_tensor_fields(KerbBytes message, KerbOnnxTensor *t, KerbTensorFields *fields)
{
    KerbWire w = kerb_wire(message);
    KerbField f;
    *t = (KerbOnnxTensor){ .message = message };
    *fields = (KerbTensorFields){ 0 };
    while (kerb_wire_next(&w, &f)) {
        KerbBytes *bytes = f.number == 8 ? &t->name : f.number == 9 ? &fields->raw : NULL;
        if (bytes && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) *bytes = f.bytes;
        if (f.number == 2 && kerb_wire_expect(&w, &f, KERB_WIRE_VARINT)) t->onnx_type = f.value < 1000 ? (int)f.value : 0;
        if (f.number == 3) fields->has_segment = true;
        if (f.number == 14 && kerb_wire_expect(&w, &f, KERB_WIRE_VARINT)) fields->is_external = f.value == 1;
        if (f.number == 13 && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) {
            if (fields->n_external == (int)(sizeof fields->external / sizeof fields->external[0]))
                w.fault = "too many entries of external data";
            else fields->external[fields->n_external++] = f.bytes;
        }
    }
    if (!w.fault) kerb_tensor_dims(&w, message, t, fields);
    return w;
}

static KerbStatus kerb_tensor_bad(const KerbOnnxTensor *t, const char *part, KerbError *error, const char *text)
{
    char dims[160];
    return kerb_fail(error, KERB_ERROR_ASSET, "%s '%.*s' (%s, %s): %s; the ONNX file is damaged: copy or export it again", part,
                     (int)(t->name.size < 100 ? t->name.size : 100), t->name.data ? (const char *)t->name.data : "",
                     kerb_onnx_type_name(t->onnx_type), kerb_dims_text(t->rank, t->dims, dims, sizeof dims), text);
}

static KerbStatus kerb_tensor_external(KerbOnnx *onnx, const KerbTensorFields *fields, KerbOnnxTensor *t, const char *part,
                                       KerbError *error)
{
    KerbBytes location = { 0 };
    int64_t offset = 0, length = -1;
    for (int i = 0; i < fields->n_external; i++) {
        KerbWire w = kerb_wire(fields->external[i]);
        KerbField f;
        KerbBytes key = { 0 }, value = { 0 };
        while (kerb_wire_next(&w, &f))
            if ((f.number == 1 || f.number == 2) && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) *(f.number == 1 ? &key : &value) = f.bytes;
        if (w.fault) return kerb_tensor_bad(t, part, error, w.fault);
        if (kerb_bytes_are(key, "location")) location = value;
        if (kerb_bytes_are(key, "offset") && !kerb_bytes_decimal(value, &offset))
            return kerb_tensor_bad(t, part, error, "the offset of its external data is no number");
        if (kerb_bytes_are(key, "length") && !kerb_bytes_decimal(value, &length))
            return kerb_tensor_bad(t, part, error, "the length of its external data is no number");
    }
    if (!onnx) return kerb_tensor_bad(t, part, error, "its values lie in another file, which is not allowed here");
    const KerbMapping *file;
    KerbStatus status = kerb_onnx_external(onnx, location, &file, error);
    if (status != KERB_OK) return status;
    if ((length >= 0 && (uint64_t)length != t->bytes) || (uint64_t)offset > file->bytes || file->bytes - (uint64_t)offset < t->bytes) {
        char text[320];
        int n = snprintf(text, sizeof text, "it needs %zu bytes, its external data '%.*s' says %lld at offset %lld and has %zu in all",
                         t->bytes, (int)(location.size < 100 ? location.size : 100), (const char *)location.data, (long long)length,
                         (long long)offset, file->bytes);
        return kerb_tensor_bad(t, part, error, n > 0 ? text : "its external data is too short");
    }
    t->data = file->data + offset;
    return KERB_OK;
}

/* Typed values: their number; and where one packed field of plain little-endian numbers holds all of them, it can be used as it is. */
static KerbStatus kerb_tensor_typed(KerbOnnxTensor *t, const char *part, KerbError *error)
{
    const struct KerbOnnxType *type = &kerb_onnx_types[t->onnx_type];
    int64_t n = kerb_numbers_count(t->message, type->field, type->element);
    char text[120];
    if (n < 0) return kerb_tensor_bad(t, part, error, "its values are damaged");
    if (n != t->elements) {
        snprintf(text, sizeof text, "it needs %lld values and has %lld", (long long)t->elements, (long long)n);
        return kerb_tensor_bad(t, part, error, text);
    }
    if (type->element == KERB_WIRE_VARINT || n == 0) return KERB_OK;
    KerbWire w = kerb_wire(t->message);
    KerbField f;
    while (kerb_wire_next(&w, &f))
        if (f.number == type->field && f.type == KERB_WIRE_BYTES && f.bytes.size == t->bytes) t->data = f.bytes.data;
    return KERB_OK;
}

KerbStatus kerb_onnx_tensor(KerbOnnx *onnx, KerbBytes message, const char *part, KerbOnnxTensor *t, KerbError *error)
{
    KerbTensorFields fields;
    KerbWire w = kerb_tensor_fields(message, t, &fields);
    if (w.fault) return kerb_onnx_damaged(onnx ? onnx->bytes : message, w.at, w.fault, part, error);
    t->dtype = kerb_onnx_dtype(t->onnx_type);
    if (t->dtype == KERB_DTYPE_NONE) t->why = kerb_onnx_type_name(t->onnx_type);
    else if (fields.rank > KERB_MAX_RANK) t->why = "more than 8 dimensions";
    else if (fields.has_segment) t->why = "a segmented tensor";
    t->rank = fields.rank > KERB_MAX_RANK ? KERB_MAX_RANK : (int)fields.rank;
    if (t->why) {
        t->dtype = KERB_DTYPE_NONE;
        return KERB_OK;
    }
    if (!kerb_dims_elements(t->rank, t->dims, INT64_MAX / 8, &t->elements) ||
        !kerb_mul_size((size_t)t->elements, kerb_dtype_bytes(t->dtype), &t->bytes))
        return kerb_tensor_bad(t, part, error, "no tensor can have this shape");
    if (fields.is_external) return kerb_tensor_external(onnx, &fields, t, part, error);
    if (!fields.raw.data) return kerb_tensor_typed(t, part, error);
    if (fields.raw.size != t->bytes) {
        char text[120];
        snprintf(text, sizeof text, "it needs %zu bytes and has %zu", t->bytes, fields.raw.size);
        return kerb_tensor_bad(t, part, error, text);
    }
    t->data = fields.raw.data;
    return KERB_OK;
}

static bool kerb_is_clean_bool(const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (data[i] > 1) return false;
    return true;
}

const void *kerb_onnx_tensor_values(const KerbOnnxTensor *t, KerbArena *arena, bool *borrowed)
{
    *borrowed = t->data && t->bytes && (t->dtype != KERB_BOOL || kerb_is_clean_bool(t->data, t->bytes));
    if (*borrowed) return t->data;
    uint8_t *values = kerb_arena_alloc(arena, t->bytes), *at = values;
    if (!values) return NULL;
    if (t->data) { /* KERB_BOOL is 0 or 1, the file may say "any other" */
        for (size_t i = 0; i < t->bytes; i++) values[i] = t->data[i] != 0;
        return values;
    }
    const struct KerbOnnxType *type = &kerb_onnx_types[t->onnx_type];
    size_t size = kerb_dtype_bytes(t->dtype);
    KerbNumbers walk = kerb_numbers(t->message, type->field, type->element);
    uint64_t bits;
    while (at < values + t->bytes && kerb_numbers_next(&walk, &bits)) {
        if (t->dtype == KERB_BOOL) bits = bits != 0;
        memcpy(at, &bits, size); /* little-endian: the low bytes come first */
        at += size;
    }
    return values;
}

KerbStatus kerb_onnx_read_tensor(const char *path, KerbArena *arena, KerbTensor *out, KerbError *error)
{
    *out = (KerbTensor){ 0 };
    KerbMapping file;
    KerbOnnxTensor t;
    KerbStatus status = kerb_map_file(path, &file, error);
    if (status != KERB_OK) return status;
    status = kerb_onnx_tensor(NULL, (KerbBytes){ file.data, file.bytes }, "the tensor", &t, error);
    if (status == KERB_OK && t.why) status = kerb_fail(error, KERB_ERROR_UNSUPPORTED, "the tensor is of a kind that Kerb lacks: %s", t.why);
    if (status != KERB_OK) kerb_error_prefix(error, "%s: ", path);
    if (status == KERB_OK) {
        bool borrowed;
        const void *values = kerb_onnx_tensor_values(&t, arena, &borrowed);
        void *copy = values && borrowed ? kerb_arena_alloc(arena, t.bytes) : (void *)(uintptr_t)values;
        if (copy && borrowed) memcpy(copy, values, t.bytes);
        if (copy) *out = kerb_tensor(copy, t.dtype, t.rank, t.dims);
        else status = kerb_fail(error, KERB_ERROR_MEMORY, "%s: out of memory for %zu bytes", path, t.bytes);
    }
    kerb_unmap(&file);
    return status;
}
