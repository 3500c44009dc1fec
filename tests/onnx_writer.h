/* SPDX-License-Identifier: MIT */
/* Writes small ONNX models for tests: enough of the protobuf wire format (onnx.proto's field numbers stand beside each use), nothing
 * more. Ends the test program where memory runs out.
 *
 *     OnnxWriter w = { 0 };
 *     onnx_input(&w, "x", ONNX_F32, 4, (int64_t[]){ 1, 3, -1, -1 });   // -1: a dim without size, called "d2", "d3"
 *     onnx_constant(&w, "w", ONNX_F32, 4, (int64_t[]){ 2, 3, 1, 1 }, weights);
 *     onnx_node(&w, "Conv", "head", "x w", "y");
 *     onnx_ints(&w, "kernel_shape", 2, (int64_t[]){ 1, 1 });           // an attribute of the node added last
 *     onnx_output(&w, "y", ONNX_F32, 4, (int64_t[]){ 1, 2, -1, -1 });
 *     onnx_save(&w, 13, "net.onnx"); // or onnx_finish() for the bytes; frees
 */
#ifndef KERB_TESTS_ONNX_WRITER_H
#define KERB_TESTS_ONNX_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ONNX_F32 = 1, ONNX_U8 = 2, ONNX_I8 = 3, ONNX_I32 = 6, ONNX_I64 = 7, ONNX_BOOL = 9, ONNX_F16 = 10, ONNX_F64 = 11, ONNX_BF16 = 16 };

typedef struct OnnxBytes {
    uint8_t *data;
    size_t n, capacity;
} OnnxBytes;

typedef struct OnnxWriter {
    OnnxBytes nodes, node, rest, metadata; /* finished nodes; the one at hand; the graph's other fields; the model's */
} OnnxWriter;

static inline void onnx_raw(OnnxBytes *b, const void *data, size_t n)
{
    if (n > SIZE_MAX / 4) abort(); /* also tells the compiler that sizes do not wrap */
    if (b->n + n > b->capacity) {
        b->capacity = (b->n + n) * 2;
        b->data = realloc(b->data, b->capacity);
        if (!b->data) abort();
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void onnx_varint(OnnxBytes *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    onnx_raw(b, bytes, n);
}

static inline void onnx_field_int(OnnxBytes *b, uint32_t field, int64_t v)
{
    onnx_varint(b, field << 3);
    onnx_varint(b, (uint64_t)v);
}

static inline void onnx_field_bytes(OnnxBytes *b, uint32_t field, const void *data, size_t n)
{
    onnx_varint(b, field << 3 | 2);
    onnx_varint(b, n);
    onnx_raw(b, data, n);
}

static inline void onnx_field_text(OnnxBytes *b, uint32_t field, const char *text) { onnx_field_bytes(b, field, text, strlen(text)); }

/* Appends `inner` as a message and empties it. */
static inline void onnx_field_message(OnnxBytes *b, uint32_t field, OnnxBytes *inner)
{
    onnx_field_bytes(b, field, inner->data, inner->n);
    free(inner->data);
    *inner = (OnnxBytes){ 0 };
}

static inline size_t onnx_type_bytes(int type)
{
    switch (type) {
    case ONNX_U8:
    case ONNX_I8:
    case ONNX_BOOL: return 1;
    case ONNX_F16:
    case ONNX_BF16: return 2;
    case ONNX_I64:
    case ONNX_F64: return 8;
    default: return 4;
    }
}

/* GraphProto.input = 11, output = 12. A rank below 0: no shape. */
static inline void onnx_value(OnnxWriter *w, uint32_t field, const char *name, int type, int rank, const int64_t dims[])
{
    OnnxBytes shape = { 0 }, tensor = { 0 }, wrapper = { 0 }, value = { 0 };
    for (int i = 0; i < rank; i++) {
        OnnxBytes dim = { 0 };
        char symbol[16];
        snprintf(symbol, sizeof symbol, "d%d", i);
        if (dims[i] >= 0) onnx_field_int(&dim, 1, dims[i]); /* dim_value */
        else onnx_field_text(&dim, 2, symbol);              /* dim_param */
        onnx_field_message(&shape, 1, &dim);
    }
    onnx_field_int(&tensor, 1, type);                          /* elem_type */
    if (rank >= 0) onnx_field_message(&tensor, 2, &shape);     /* shape */
    onnx_field_message(&wrapper, 1, &tensor);                  /* TypeProto.tensor_type */
    onnx_field_text(&value, 1, name);
    onnx_field_message(&value, 2, &wrapper);
    onnx_field_message(&w->rest, field, &value);
}

static inline void onnx_input(OnnxWriter *w, const char *name, int type, int rank, const int64_t dims[])
{
    onnx_value(w, 11, name, type, rank, dims);
}

static inline void onnx_output(OnnxWriter *w, const char *name, int type, int rank, const int64_t dims[])
{
    onnx_value(w, 12, name, type, rank, dims);
}

/* An initializer; `data` dense, row-major, little-endian. */
static inline void onnx_constant(OnnxWriter *w, const char *name, int type, int rank, const int64_t dims[], const void *data)
{
    OnnxBytes t = { 0 };
    size_t bytes = onnx_type_bytes(type);
    for (int i = 0; i < rank; i++) {
        onnx_field_int(&t, 1, dims[i]);
        bytes *= (size_t)dims[i];
    }
    onnx_field_int(&t, 2, type);
    onnx_field_text(&t, 8, name);
    onnx_field_bytes(&t, 9, data, bytes); /* raw_data */
    onnx_field_message(&w->rest, 5, &t);
}

static inline void onnx_names(OnnxBytes *b, uint32_t field, const char *list)
{
    while (*list) {
        size_t n = strcspn(list, " ");
        bool absent = n == 1 && list[0] == '-';
        onnx_field_bytes(b, field, list, absent ? 0 : n);
        list += n;
        list += strspn(list, " ");
    }
}

static inline void onnx_finish_node(OnnxWriter *w)
{
    if (w->node.n) onnx_field_message(&w->nodes, 1, &w->node);
}

/* Inputs and outputs are names with blanks between; "-" is an absent one. */
static inline void onnx_node(OnnxWriter *w, const char *type, const char *name, const char *inputs, const char *outputs)
{
    onnx_finish_node(w);
    onnx_names(&w->node, 1, inputs);
    onnx_names(&w->node, 2, outputs);
    onnx_field_text(&w->node, 3, name);
    onnx_field_text(&w->node, 4, type);
}

static inline void onnx_ints(OnnxWriter *w, const char *name, int n, const int64_t values[])
{
    OnnxBytes a = { 0 };
    onnx_field_text(&a, 1, name);
    for (int i = 0; i < n; i++) onnx_field_int(&a, 8, values[i]);
    onnx_field_int(&a, 20, 7);
    onnx_field_message(&w->node, 5, &a);
}

static inline void onnx_int(OnnxWriter *w, const char *name, int64_t value)
{
    OnnxBytes a = { 0 };
    onnx_field_text(&a, 1, name);
    onnx_field_int(&a, 3, value);
    onnx_field_int(&a, 20, 2);
    onnx_field_message(&w->node, 5, &a);
}

static inline void onnx_float(OnnxWriter *w, const char *name, float value)
{
    OnnxBytes a = { 0 };
    onnx_field_text(&a, 1, name);
    onnx_varint(&a, 2 << 3 | 5);
    onnx_raw(&a, &value, 4);
    onnx_field_int(&a, 20, 1);
    onnx_field_message(&w->node, 5, &a);
}

static inline void onnx_text(OnnxWriter *w, const char *name, const char *value)
{
    OnnxBytes a = { 0 };
    onnx_field_text(&a, 1, name);
    onnx_field_text(&a, 4, value);
    onnx_field_int(&a, 20, 3);
    onnx_field_message(&w->node, 5, &a);
}

static inline void onnx_metadata(OnnxWriter *w, const char *key, const char *value)
{
    OnnxBytes entry = { 0 };
    onnx_field_text(&entry, 1, key);
    onnx_field_text(&entry, 2, value);
    onnx_field_message(&w->metadata, 14, &entry);
}

/* The whole model; the caller frees the bytes. The writer is empty afterwards. */
static inline OnnxBytes onnx_finish(OnnxWriter *w, int64_t opset)
{
    OnnxBytes model = { 0 }, graph = { 0 }, set = { 0 };
    onnx_finish_node(w);
    onnx_raw(&graph, w->nodes.data, w->nodes.n);
    onnx_field_text(&graph, 2, "test");
    onnx_raw(&graph, w->rest.data, w->rest.n);
    onnx_field_int(&set, 2, opset);
    onnx_field_int(&model, 1, 8); /* ir_version */
    onnx_field_text(&model, 2, "kerb-tests");
    onnx_field_message(&model, 7, &graph);
    onnx_field_message(&model, 8, &set);
    onnx_raw(&model, w->metadata.data, w->metadata.n);
    free(w->nodes.data);
    free(w->rest.data);
    free(w->metadata.data);
    *w = (OnnxWriter){ 0 };
    return model;
}

/* Writes the model to a file; false where that fails. The writer is empty afterwards. */
static inline bool onnx_save(OnnxWriter *w, int64_t opset, const char *path)
{
    OnnxBytes model = onnx_finish(w, opset);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(model.data, 1, model.n, f) == model.n;
    if (f && fclose(f) != 0) ok = false;
    free(model.data);
    return ok;
}

#endif
