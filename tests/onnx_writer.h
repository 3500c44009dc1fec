/* SPDX-License-Identifier: MIT */
/* Writes small ONNX models for tests: whole and sound ones, node after node. onnx_parts.h has the pieces, for models
 * that are not. Ends the test program where memory runs out.
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

#include "onnx_parts.h"

#include <stdbool.h>

typedef struct OnnxWriter {
    OnnxBytes nodes, node, rest, metadata; /* finished nodes; the one at hand; the graph's other fields; the model's */
} OnnxWriter;

static inline size_t onnx_type_bytes(int type)
{
    switch (type) {
    case ONNX_U8:
    case ONNX_I8:
    case ONNX_BOOL: return 1;
    case ONNX_U16:
    case ONNX_I16:
    case ONNX_F16:
    case ONNX_BF16: return 2;
    case ONNX_I64:
    case ONNX_U64:
    case ONNX_F64: return 8;
    default: return 4;
    }
}

static inline void onnx_input(OnnxWriter *w, const char *name, int type, int rank, const int64_t dims[])
{
    onnx_add_input(&w->rest, onnx_part_value(name, type, rank, dims));
}

static inline void onnx_output(OnnxWriter *w, const char *name, int type, int rank, const int64_t dims[])
{
    OnnxBytes value = onnx_part_value(name, type, rank, dims);
    onnx_field_message(&w->rest, 12, &value);
}

/* An initializer; `data` dense, row-major, little-endian. */
static inline void onnx_constant(OnnxWriter *w, const char *name, int type, int rank, const int64_t dims[], const void *data)
{
    size_t bytes = onnx_type_bytes(type);
    for (int i = 0; i < rank; i++) bytes *= (size_t)dims[i];
    onnx_add_weight(&w->rest, onnx_part_tensor(name, type, rank, dims, data, bytes));
}

static inline void onnx_finish_node(OnnxWriter *w)
{
    if (w->node.size) onnx_field_message(&w->nodes, 1, &w->node);
}

/* Inputs and outputs are names with blanks between; "-" is an absent one. */
static inline void onnx_node(OnnxWriter *w, const char *type, const char *name, const char *inputs, const char *outputs)
{
    onnx_finish_node(w);
    w->node = onnx_part_node(type, name, inputs, outputs);
}

static inline void onnx_ints(OnnxWriter *w, const char *name, int n, const int64_t values[])
{
    onnx_attribute_ints(&w->node, name, n, values);
}
static inline void onnx_int(OnnxWriter *w, const char *name, int64_t value) { onnx_attribute_int(&w->node, name, value); }
static inline void onnx_float(OnnxWriter *w, const char *name, float value) { onnx_attribute_float(&w->node, name, value); }
static inline void onnx_text(OnnxWriter *w, const char *name, const char *value) { onnx_attribute_text(&w->node, name, value); }

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
    OnnxBytes graph = { 0 };
    onnx_finish_node(w);
    onnx_raw(&graph, w->nodes.data, w->nodes.size);
    onnx_field_text(&graph, 2, "test");
    onnx_raw(&graph, w->rest.data, w->rest.size);
    OnnxBytes model = onnx_model(opset, &graph);
    onnx_raw(&model, w->metadata.data, w->metadata.size);
    onnx_free(&w->nodes);
    onnx_free(&w->rest);
    onnx_free(&w->metadata);
    return model;
}

/* Writes the model to a file; false where that fails. The writer is empty afterwards. */
static inline bool onnx_save(OnnxWriter *w, int64_t opset, const char *path)
{
    OnnxBytes model = onnx_finish(w, opset);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(model.data, 1, model.size, f) == model.size;
    if (f && fclose(f) != 0) ok = false;
    onnx_free(&model);
    return ok;
}

#endif
