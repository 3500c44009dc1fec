/* SPDX-License-Identifier: MIT */
/* The parts of ONNX models, for tests: the protobuf wire format written from the outside, independent of the reader that is tested; sound or
 * not, as the test wants. onnx_writer.h makes whole sound models of them. onnx.proto's field numbers stand beside each use. Every function
 * that takes an `OnnxBytes *` as a part frees it. Out of memory ends the test program. */
#ifndef KERB_TESTS_ONNX_PARTS_H
#define KERB_TESTS_ONNX_PARTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct OnnxBytes {
    uint8_t *data;
    size_t size, capacity;
} OnnxBytes;

static inline void onnx_raw(OnnxBytes *b, const void *data, size_t n)
{
    if (b->size + n >= b->capacity) {
        b->capacity = (b->size + n + 16) * 2;
        b->data = realloc(b->data, b->capacity);
    }
    if (!b->data) exit(99);
    if (n) memcpy(b->data + b->size, data, n);
    b->size += n;
}

static inline void onnx_varint(OnnxBytes *b, uint64_t v)
{
    uint8_t byte;
    for (; v >= 0x80; v >>= 7) byte = (uint8_t)(v | 0x80), onnx_raw(b, &byte, 1);
    byte = (uint8_t)v;
    onnx_raw(b, &byte, 1);
}

static inline void onnx_field_int(OnnxBytes *b, unsigned field, int64_t v) { onnx_varint(b, (uint64_t)field << 3), onnx_varint(b, (uint64_t)v); }
static inline void onnx_field_bytes(OnnxBytes *b, unsigned field, const void *data, size_t n)
{
    onnx_varint(b, (uint64_t)field << 3 | 2);
    onnx_varint(b, n);
    onnx_raw(b, data, n);
}
static inline void onnx_field_text(OnnxBytes *b, unsigned field, const char *text) { onnx_field_bytes(b, field, text, strlen(text)); }
static inline void onnx_field_f32(OnnxBytes *b, unsigned field, float v) { onnx_varint(b, (uint64_t)field << 3 | 5), onnx_raw(b, &v, 4); }
static inline void onnx_field_f64(OnnxBytes *b, unsigned field, double v) { onnx_varint(b, (uint64_t)field << 3 | 1), onnx_raw(b, &v, 8); }
static inline void onnx_field_message(OnnxBytes *b, unsigned field, OnnxBytes *part)
{
    onnx_field_bytes(b, field, part->data, part->size);
    free(part->data);
    *part = (OnnxBytes){ 0 };
}
static inline void onnx_free(OnnxBytes *b) { free(b->data), *b = (OnnxBytes){ 0 }; }

/* Names between commas or blanks: "a,,b" and "a - b" are three, the second absent; "": none. */
static inline void onnx_field_names(OnnxBytes *b, unsigned field, const char *names)
{
    for (const char *end; *names; names = end + (*end != '\0')) {
        end = names + strcspn(names, ", ");
        onnx_field_bytes(b, field, names, *names == '-' ? 0 : (size_t)(end - names));
    }
}

enum { ONNX_F32 = 1, ONNX_U8, ONNX_I8, ONNX_U16, ONNX_I16, ONNX_I32, ONNX_I64, ONNX_STRING, ONNX_BOOL, ONNX_F16,
       ONNX_F64, ONNX_U32, ONNX_U64, ONNX_BF16 = 16, ONNX_F8 = 17 };

/* ---- attributes, appended to a node */

static inline void onnx_attribute(OnnxBytes *node, const char *name, int type, OnnxBytes *value)
{
    OnnxBytes a = { 0 };
    onnx_field_text(&a, 1, name);
    onnx_raw(&a, value->data, value->size);
    onnx_field_int(&a, 20, type);
    onnx_free(value);
    onnx_field_message(node, 5, &a);
}
static inline void onnx_attribute_int(OnnxBytes *node, const char *name, int64_t v)
{
    OnnxBytes b = { 0 };
    onnx_field_int(&b, 3, v);
    onnx_attribute(node, name, 2, &b);
}
static inline void onnx_attribute_float(OnnxBytes *node, const char *name, float v)
{
    OnnxBytes b = { 0 };
    onnx_field_f32(&b, 2, v);
    onnx_attribute(node, name, 1, &b);
}
static inline void onnx_attribute_text(OnnxBytes *node, const char *name, const char *v)
{
    OnnxBytes b = { 0 };
    onnx_field_text(&b, 4, v);
    onnx_attribute(node, name, 3, &b);
}
static inline void onnx_attribute_ints(OnnxBytes *node, const char *name, int n, const int64_t v[])
{
    OnnxBytes b = { 0 };
    for (int i = 0; i < n; i++) onnx_field_int(&b, 8, v[i]);
    onnx_attribute(node, name, 7, &b);
}
static inline void onnx_attribute_floats(OnnxBytes *node, const char *name, int n, const float v[]) /* packed, as some writers do */
{
    OnnxBytes b = { 0 };
    onnx_field_bytes(&b, 7, v, (size_t)n * sizeof *v);
    onnx_attribute(node, name, 6, &b);
}
static inline void onnx_attribute_tensor(OnnxBytes *node, const char *name, OnnxBytes *tensor)
{
    OnnxBytes b = { 0 };
    onnx_field_message(&b, 5, tensor);
    onnx_attribute(node, name, 4, &b);
}

/* ---- parts of a model */

static inline OnnxBytes onnx_part_node(const char *type, const char *name, const char *inputs, const char *outputs)
{
    OnnxBytes n = { 0 };
    onnx_field_names(&n, 1, inputs);
    onnx_field_names(&n, 2, outputs);
    if (name[0]) onnx_field_text(&n, 3, name);
    onnx_field_text(&n, 4, type);
    return n;
}

/* Without values: add them as raw_data (field 9) or typed. */
static inline OnnxBytes onnx_part_tensor_head(const char *name, int type, int rank, const int64_t dims[])
{
    OnnxBytes t = { 0 };
    for (int i = 0; i < rank; i++) onnx_field_int(&t, 1, dims[i]);
    onnx_field_int(&t, 2, type);
    if (name[0]) onnx_field_text(&t, 8, name);
    return t;
}
static inline OnnxBytes onnx_part_tensor(const char *name, int type, int rank, const int64_t dims[], const void *data, size_t bytes)
{
    OnnxBytes t = onnx_part_tensor_head(name, type, rank, dims);
    onnx_field_bytes(&t, 9, data, bytes);
    return t;
}
static inline OnnxBytes onnx_part_tensor_ints(const char *name, int n, const int64_t v[])
{
    int64_t dim = n;
    return onnx_part_tensor(name, ONNX_I64, 1, &dim, v, (size_t)n * 8);
}

/* ValueInfoProto. A dim of -1: no size, but a symbol, "d2" for the dim with index 2. rank -1: no shape. */
static inline OnnxBytes onnx_part_value(const char *name, int type, int rank, const int64_t dims[])
{
    OnnxBytes shape = { 0 }, tensor = { 0 }, kind = { 0 }, value = { 0 };
    for (int i = 0; i < rank; i++) {
        OnnxBytes dim = { 0 };
        char symbol[16];
        snprintf(symbol, sizeof symbol, "d%d", i);
        if (dims[i] >= 0) onnx_field_int(&dim, 1, dims[i]);
        else onnx_field_text(&dim, 2, symbol);
        onnx_field_message(&shape, 1, &dim);
    }
    onnx_field_int(&tensor, 1, type);
    if (rank >= 0) onnx_field_message(&tensor, 2, &shape);
    onnx_field_message(&kind, 1, &tensor);
    onnx_field_text(&value, 1, name);
    onnx_field_message(&value, 2, &kind);
    return value;
}

static inline void onnx_add_node(OnnxBytes *graph, OnnxBytes node) { onnx_field_message(graph, 1, &node); }
static inline void onnx_add_weight(OnnxBytes *graph, OnnxBytes tensor) { onnx_field_message(graph, 5, &tensor); }
static inline void onnx_add_input(OnnxBytes *graph, OnnxBytes value) { onnx_field_message(graph, 11, &value); }
static inline void onnx_add_output(OnnxBytes *graph, const char *name)
{
    OnnxBytes value = { 0 };
    onnx_field_text(&value, 1, name);
    onnx_field_message(graph, 12, &value);
}

static inline OnnxBytes onnx_model(int64_t opset, OnnxBytes *graph)
{
    OnnxBytes m = { 0 }, import = { 0 };
    onnx_field_int(&m, 1, 8);
    onnx_field_text(&m, 2, "kerb-tests");
    onnx_field_text(&import, 1, "");
    onnx_field_int(&import, 2, opset);
    onnx_field_message(&m, 7, graph);
    onnx_field_message(&m, 8, &import);
    return m;
}

#endif
