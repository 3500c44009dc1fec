/* SPDX-License-Identifier: MIT */
/* ModelProto and GraphProto -> views. Enters: bytes that nobody has checked. Leaves: arrays of nodes, initializers (sizes checked, external
 * data mapped), inputs, outputs. It does not know what operators mean, nor which names belong together: that is import.c. */
#include "net/onnx/model.h"

#include <string.h>

typedef struct KerbOnnxReader {
    KerbOnnx *onnx;
    KerbError *error;
    int64_t nodes_left, names_left;
} KerbOnnxReader;

KerbStatus kerb_onnx_damaged(KerbBytes whole, const uint8_t *at, const char *what, const char *part, KerbError *error)
{
    return kerb_fail(error, KERB_ERROR_ASSET,
                     "the file is not an ONNX model, or damaged or cut: %s at byte %zu, in %s; copy or export it again", what,
                     at >= whole.data && at <= whole.data + whole.size ? (size_t)(at - whole.data) : 0, part);
}

static KerbStatus kerb_reader_fault(KerbOnnxReader *r, const KerbWire *w, const char *part)
{
    return w->fault ? kerb_onnx_damaged(r->onnx->bytes, w->at, w->fault, part, r->error) : KERB_OK;
}

static KerbStatus kerb_reader_budget(KerbOnnxReader *r, const char *what, int limit)
{
    return kerb_fail(r->error, KERB_ERROR_ASSET, "the ONNX file has more than %d %s: that is no network that Kerb runs", limit, what);
}

/* An array for n elements; NULL and a message where there is no memory. */
static void *kerb_reader_array(KerbOnnxReader *r, int n, size_t element_bytes)
{
    void *array = kerb_arena_alloc(r->onnx->arena, (size_t)n * element_bytes);
    if (!array) kerb_fail(r->error, KERB_ERROR_MEMORY, "out of memory for reading the model (%zu bytes)", (size_t)n * element_bytes);
    return array;
}

/* ---- types */

static void kerb_read_dim(KerbOnnxReader *r, KerbWire *w, KerbBytes message, KerbOnnxValueInfo *info)
{
    KerbWire dim = kerb_wire(message);
    KerbField f;
    int axis = info->rank++;
    if (axis < KERB_MAX_RANK) info->dims[axis] = KERB_DIM_UNKNOWN;
    while (kerb_wire_next(&dim, &f)) {
        if (f.number == 1 && kerb_wire_expect(&dim, &f, KERB_WIRE_VARINT) && axis < KERB_MAX_RANK)
            info->dims[axis] = (int64_t)f.value < 0 ? KERB_DIM_UNKNOWN : (int64_t)f.value; /* -1 stands for unknown in many exports */
        else if (f.number == 2 && kerb_wire_expect(&dim, &f, KERB_WIRE_BYTES) && axis < KERB_MAX_RANK)
            info->symbols[axis] = f.bytes;
    }
    if (dim.fault) *w = dim;
}

/* TypeProto.Tensor */
static void kerb_read_tensor_type(KerbOnnxReader *r, KerbWire *w, KerbBytes message, KerbOnnxValueInfo *info)
{
    KerbWire type = kerb_wire(message);
    KerbField f, g;
    while (kerb_wire_next(&type, &f)) {
        if (f.number == 1 && kerb_wire_expect(&type, &f, KERB_WIRE_VARINT)) {
            info->onnx_type = (int)f.value;
            info->dtype = kerb_onnx_dtype((int64_t)f.value);
        } else if (f.number == 2 && kerb_wire_expect(&type, &f, KERB_WIRE_BYTES)) {
            KerbWire shape = kerb_wire(f.bytes);
            info->rank = 0;
            while (kerb_wire_next(&shape, &g))
                if (g.number == 1 && kerb_wire_expect(&shape, &g, KERB_WIRE_BYTES)) kerb_read_dim(r, &shape, g.bytes, info);
            if (shape.fault) type = shape;
        }
    }
    if (type.fault) *w = type;
}

static KerbStatus kerb_read_value_info(KerbOnnxReader *r, KerbBytes message, KerbOnnxValueInfo *info)
{
    static const char *const kinds[] = { [4] = "sequence", [5] = "map", [7] = "opaque value", [8] = "sparse tensor", [9] = "optional" };
    KerbWire w = kerb_wire(message);
    KerbField f, g;
    *info = (KerbOnnxValueInfo){ .rank = -1, .kind = "not given" };
    while (kerb_wire_next(&w, &f)) {
        if (f.number == 1 && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) info->name = f.bytes;
        if (f.number != 2 || !kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) continue;
        KerbWire type = kerb_wire(f.bytes);
        while (kerb_wire_next(&type, &g)) {
            if (g.number == 1 && kerb_wire_expect(&type, &g, KERB_WIRE_BYTES)) {
                info->kind = NULL;
                kerb_read_tensor_type(r, &type, g.bytes, info);
            } else if (g.number < sizeof kinds / sizeof kinds[0] && kinds[g.number]) {
                info->kind = kinds[g.number];
            }
        }
        if (type.fault) w = type;
    }
    return kerb_reader_fault(r, &w, "a description of an input or output");
}

/* ---- nodes */

static KerbStatus kerb_check_graph(KerbOnnxReader *r, KerbBytes message, int depth);

static KerbStatus kerb_read_attribute(KerbOnnxReader *r, KerbBytes message, KerbOnnxAttribute *a)
{
    KerbWire w = kerb_wire(message);
    KerbField f;
    int guess = KERB_ATTRIBUTE_NONE; /* IR versions 1 and 2 have no type field */
    *a = (KerbOnnxAttribute){ .message = message };
    while (kerb_wire_next(&w, &f)) {
        KerbBytes *bytes = NULL;
        switch (f.number) {
        case 1: bytes = &a->name; break;
        case 2:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_FIXED32)) a->f = kerb_bits_float(f.value);
            guess = KERB_ATTRIBUTE_FLOAT;
            break;
        case 3:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_VARINT)) a->i = (int64_t)f.value;
            guess = KERB_ATTRIBUTE_INT;
            break;
        case 4: bytes = &a->s, guess = KERB_ATTRIBUTE_STRING; break;
        case 5: bytes = &a->t, guess = KERB_ATTRIBUTE_TENSOR; break;
        case 6: bytes = &a->g, guess = KERB_ATTRIBUTE_GRAPH; break;
        case 7: guess = KERB_ATTRIBUTE_FLOATS; break;
        case 8: guess = KERB_ATTRIBUTE_INTS; break;
        case 9: guess = KERB_ATTRIBUTE_STRINGS; break;
        case 20:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_VARINT)) a->type = (int)f.value;
            break;
        case 21: a->is_reference = true; break;
        default: break;
        }
        if (bytes && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) *bytes = f.bytes;
    }
    if (a->type == KERB_ATTRIBUTE_NONE) a->type = guess;
    if (!w.fault && kerb_numbers_count(message, 7, KERB_WIRE_FIXED32) < 0) w.fault = "a list of numbers is damaged";
    if (!w.fault && kerb_numbers_count(message, 8, KERB_WIRE_VARINT) < 0) w.fault = "a list of integers is damaged";
    return kerb_reader_fault(r, &w, "an attribute");
}

/* Graphs and tensors inside an attribute are checked with the file, so that the importer meets no surprise. */
static KerbStatus kerb_check_attribute(KerbOnnxReader *r, KerbBytes message, int depth)
{
    KerbWire w = kerb_wire(message);
    KerbField f;
    KerbOnnxTensor ignored;
    KerbStatus status = KERB_OK;
    while (status == KERB_OK && kerb_wire_next(&w, &f)) {
        if (f.type != KERB_WIRE_BYTES) continue;
        if (f.number == 6 || f.number == 11) status = kerb_check_graph(r, f.bytes, depth + 1);
        else if (f.number == 5 || f.number == 10)
            status = kerb_onnx_tensor(r->onnx, f.bytes, "a tensor in an attribute", &ignored, r->error);
    }
    return status != KERB_OK ? status : kerb_reader_fault(r, &w, "an attribute");
}

static KerbStatus kerb_count_node(KerbOnnxReader *r, KerbBytes message, int *n_inputs, int *n_outputs, int *n_attributes)
{
    KerbWire w = kerb_wire(message);
    KerbField f;
    *n_inputs = *n_outputs = *n_attributes = 0;
    while (kerb_wire_next(&w, &f)) {
        if (f.number != 1 && f.number != 2 && f.number != 5) continue;
        if (--r->names_left < 0) return kerb_reader_budget(r, "node inputs, outputs and attributes", KERB_ONNX_MAX_NAMES);
        if (f.number == 1) ++*n_inputs;
        else if (f.number == 2) ++*n_outputs;
        else if (++*n_attributes > KERB_ONNX_MAX_ATTRIBUTES)
            return kerb_reader_budget(r, "attributes at one node", KERB_ONNX_MAX_ATTRIBUTES);
    }
    return kerb_reader_fault(r, &w, "a node");
}

static KerbStatus kerb_read_node(KerbOnnxReader *r, KerbBytes message, KerbOnnxNode *n)
{
    *n = (KerbOnnxNode){ 0 };
    if (--r->nodes_left < 0) return kerb_reader_budget(r, "nodes", KERB_ONNX_MAX_NODES);
    KerbStatus status = kerb_count_node(r, message, &n->n_inputs, &n->n_outputs, &n->n_attributes);
    if (status != KERB_OK) return status;
    KerbBytes *inputs = kerb_reader_array(r, n->n_inputs, sizeof *inputs), *outputs = kerb_reader_array(r, n->n_outputs, sizeof *outputs);
    KerbOnnxAttribute *attributes = kerb_reader_array(r, n->n_attributes, sizeof *attributes);
    if (!inputs || !outputs || !attributes) return KERB_ERROR_MEMORY;
    n->inputs = inputs;
    n->outputs = outputs;
    n->attributes = attributes;
    KerbWire w = kerb_wire(message);
    KerbField f;
    while (status == KERB_OK && kerb_wire_next(&w, &f)) {
        KerbBytes *bytes = f.number == 1 ? inputs++ : f.number == 2 ? outputs++ : f.number == 3 ? &n->name : f.number == 4 ? &n->type
                         : f.number == 7 ? &n->domain : NULL;
        if (!bytes && f.number != 5) continue;
        if (!kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) break;
        if (bytes) {
            *bytes = f.bytes;
        } else {
            status = kerb_read_attribute(r, f.bytes, attributes++);
            if (status == KERB_OK) status = kerb_check_attribute(r, f.bytes, 0);
        }
    }
    if (kerb_bytes_are(n->domain, "ai.onnx")) n->domain.size = 0;
    return status != KERB_OK ? status : kerb_reader_fault(r, &w, "a node");
}

/* A graph that is never run (the body of control flow): only that it can be walked, within the budgets. */
static KerbStatus kerb_check_graph(KerbOnnxReader *r, KerbBytes message, int depth)
{
    if (depth > KERB_ONNX_MAX_DEPTH)
        return kerb_fail(r->error, KERB_ERROR_ASSET, "the ONNX file nests graphs more than %d deep: that is no network that Kerb runs",
                         KERB_ONNX_MAX_DEPTH);
    KerbWire graph = kerb_wire(message);
    KerbField f, g;
    KerbStatus status = KERB_OK;
    while (status == KERB_OK && kerb_wire_next(&graph, &f)) {
        if (f.number != 1 || !kerb_wire_expect(&graph, &f, KERB_WIRE_BYTES)) continue;
        if (--r->nodes_left < 0) return kerb_reader_budget(r, "nodes", KERB_ONNX_MAX_NODES);
        KerbWire node = kerb_wire(f.bytes);
        while (status == KERB_OK && kerb_wire_next(&node, &g))
            if (g.number == 5 && kerb_wire_expect(&node, &g, KERB_WIRE_BYTES)) status = kerb_check_attribute(r, g.bytes, depth);
        if (node.fault) graph = node;
    }
    return status != KERB_OK ? status : kerb_reader_fault(r, &graph, "a graph inside a node");
}

const KerbOnnxAttribute *kerb_onnx_attribute(const KerbOnnxNode *node, const char *name)
{
    for (int i = 0; i < node->n_attributes; i++)
        if (kerb_bytes_are(node->attributes[i].name, name)) return &node->attributes[i];
    return NULL;
}

/* ---- the graph */

static KerbStatus kerb_count_graph(KerbOnnxReader *r)
{
    KerbOnnx *o = r->onnx;
    KerbWire w = kerb_wire(o->graph);
    KerbField f;
    while (kerb_wire_next(&w, &f)) {
        int *count = f.number == 1 ? &o->n_nodes : f.number == 5 ? &o->n_initializers : f.number == 11 ? &o->n_inputs
                   : f.number == 12 ? &o->n_outputs : f.number == 13 ? &o->n_infos : f.number == 15 ? &o->n_sparse : NULL;
        if (count && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES) && ++*count > KERB_ONNX_MAX_NODES)
            return kerb_reader_budget(r, "nodes, weights or descriptions", KERB_ONNX_MAX_NODES);
    }
    return kerb_reader_fault(r, &w, "the graph");
}

static KerbStatus kerb_read_initializer(KerbOnnxReader *r, KerbBytes message, KerbOnnxTensor *t)
{
    KerbStatus status = kerb_onnx_tensor(r->onnx, message, "a weight", t, r->error);
    if (status == KERB_OK && t->name.size == 0)
        return kerb_onnx_damaged(r->onnx->bytes, message.data, "it has no name", "a weight", r->error);
    return status;
}

static KerbStatus kerb_read_graph(KerbOnnxReader *r)
{
    KerbOnnx *o = r->onnx;
    KerbStatus status = kerb_count_graph(r);
    if (status != KERB_OK) return status;
    o->nodes = kerb_reader_array(r, o->n_nodes, sizeof *o->nodes);
    o->initializers = kerb_reader_array(r, o->n_initializers, sizeof *o->initializers);
    o->inputs = kerb_reader_array(r, o->n_inputs, sizeof *o->inputs);
    o->outputs = kerb_reader_array(r, o->n_outputs, sizeof *o->outputs);
    o->infos = kerb_reader_array(r, o->n_infos, sizeof *o->infos);
    if (!o->nodes || !o->initializers || !o->inputs || !o->outputs || !o->infos) return KERB_ERROR_MEMORY;
    int node = 0, initializer = 0, input = 0, output = 0, info = 0;
    KerbWire w = kerb_wire(o->graph);
    KerbField f;
    while (status == KERB_OK && kerb_wire_next(&w, &f)) {
        switch (f.number) {
        case 1: status = kerb_read_node(r, f.bytes, &o->nodes[node++]); break;
        case 5: status = kerb_read_initializer(r, f.bytes, &o->initializers[initializer++]); break;
        case 11: status = kerb_read_value_info(r, f.bytes, &o->inputs[input++]); break;
        case 12: status = kerb_read_value_info(r, f.bytes, &o->outputs[output++]); break;
        case 13: status = kerb_read_value_info(r, f.bytes, &o->infos[info++]); break;
        default: break;
        }
    }
    return status;
}

/* ---- the model */

static void kerb_read_opset(KerbOnnxReader *r, KerbWire *w, KerbBytes message)
{
    KerbWire opset = kerb_wire(message);
    KerbField f;
    KerbBytes domain = { 0 };
    int64_t version = 0;
    while (kerb_wire_next(&opset, &f)) {
        if (f.number == 1 && kerb_wire_expect(&opset, &f, KERB_WIRE_BYTES)) domain = f.bytes;
        else if (f.number == 2 && kerb_wire_expect(&opset, &f, KERB_WIRE_VARINT)) version = (int64_t)f.value;
    }
    if (opset.fault) *w = opset;
    if (domain.size == 0 || kerb_bytes_are(domain, "ai.onnx")) r->onnx->opset = version;
}

static void kerb_read_metadata(KerbOnnxReader *r, KerbWire *w, KerbBytes message)
{
    KerbOnnx *o = r->onnx;
    KerbWire entry = kerb_wire(message);
    KerbField f;
    while (kerb_wire_next(&entry, &f)) {
        if (f.number == 1 && kerb_wire_expect(&entry, &f, KERB_WIRE_BYTES)) o->metadata_keys[o->n_metadata] = f.bytes;
        else if (f.number == 2 && kerb_wire_expect(&entry, &f, KERB_WIRE_BYTES)) o->metadata_values[o->n_metadata] = f.bytes;
    }
    if (entry.fault) *w = entry;
    o->n_metadata++;
}

/* First walk: is it a ModelProto at all, and how much metadata has it? */
static KerbStatus kerb_count_model(KerbOnnxReader *r, int *n_metadata)
{
    KerbOnnx *o = r->onnx;
    KerbWire w = kerb_wire(o->bytes);
    KerbField f;
    *n_metadata = 0;
    while (kerb_wire_next(&w, &f)) {
        if (f.number == 7 && kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) o->graph = f.bytes;
        if (f.number == 25) o->n_functions++;
        if (f.number == 14 && ++*n_metadata > KERB_ONNX_MAX_NODES) return kerb_reader_budget(r, "metadata entries", KERB_ONNX_MAX_NODES);
    }
    if (!w.fault && o->graph.data) return KERB_OK;
    if (!o->graph.data) {
        KerbStatus status = kerb_onnx_sniff_protobuf(o->bytes, r->error);
        if (status != KERB_OK) return status;
    }
    if (w.fault) return kerb_reader_fault(r, &w, "the model");
    return kerb_fail(
        r->error, KERB_ERROR_ASSET,
        "the file has no graph: it is not an ONNX model, or it is cut; export the network to ONNX (for example with torch.onnx.export)");
}

KerbStatus kerb_onnx_parse(KerbOnnx *o, KerbError *error)
{
    KerbOnnxReader reader = { o, error, KERB_ONNX_MAX_NODES, KERB_ONNX_MAX_NAMES }, *r = &reader;
    int n_metadata;
    KerbStatus status = kerb_count_model(r, &n_metadata);
    if (status != KERB_OK) return status;
    o->opset = 1; /* what the format says of files without opset_import */
    o->metadata_keys = kerb_reader_array(r, n_metadata, sizeof *o->metadata_keys);
    o->metadata_values = kerb_reader_array(r, n_metadata, sizeof *o->metadata_values);
    if (!o->metadata_keys || !o->metadata_values) return KERB_ERROR_MEMORY;
    KerbWire w = kerb_wire(o->bytes);
    KerbField f;
    while (kerb_wire_next(&w, &f)) {
        switch (f.number) {
        case 1:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_VARINT)) o->ir_version = (int64_t)f.value;
            break;
        case 2:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) o->producer = f.bytes;
            break;
        case 3:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) o->producer_version = f.bytes;
            break;
        case 8:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) kerb_read_opset(r, &w, f.bytes);
            break;
        case 14:
            if (kerb_wire_expect(&w, &f, KERB_WIRE_BYTES)) kerb_read_metadata(r, &w, f.bytes);
            break;
        default: break;
        }
    }
    status = kerb_reader_fault(r, &w, "the model");
    return status != KERB_OK ? status : kerb_read_graph(r);
}
