/* SPDX-License-Identifier: MIT */
/* Writing the model: every field of the file as it was, but for nodes that read or make other tensors than before, and weights that nobody reads any more.
 *
 * A quantised tensor T:    T -> QuantizeLinear -> T/int -> DequantizeLinear -> T/8bit, and all its readers read T/8bit.
 * A quantised layer's weights: W/int (int8, an initializer) -> DequantizeLinear (by channel) -> W/8bit; its bias likewise, from int32.
 *
 * Why so. Activations are uint8: ONNX Runtime on x86 makes integer operators where all activations are. The zero point of those that are never negative (behind ReLU) is
 * 0; the others' lies where zero lies, so that lopsided ones lose nothing. Or all are int8 with zero point 0, which is all that cuDNN has. Weights are int8 with zero
 * point 0 by output channel. Biases are int32 behind a DequantizeLinear, because ONNX Runtime wants them so. Field numbers: onnx.proto. */
#include "calib/qdq.h"

#include <stdio.h>
#include <string.h>

#define OPSET_OF_QDQ 13   /* DequantizeLinear by channel */
#define IR_VERSION_OF_QDQ 7

enum { TYPE_F32 = 1, TYPE_U8 = 2, TYPE_I8 = 3, TYPE_I32 = 6 };

typedef struct KerbQdqWriter {
    const KerbQdq *q;
    KerbNetwork *n;
    KerbArena *scratch; /* names */
    KerbProto graph;
    KerbProto weights;  /* initializers */
    bool failed;
    const char **eight; /* by tensor: the name of its dequantised form; NULL: not quantised */
} KerbQdqWriter;

/* "name" + suffix, which no tensor of the model is called. */
static const char *kerb_qdq_name(KerbQdqWriter *w, const char *name, const char *suffix)
{
    char *text = kerb_arena_printf(w->scratch, "%s/%s", name, suffix);
    while (text && kerb_network_find(w->n, text) >= 0) text = kerb_arena_printf(w->scratch, "%s_", text);
    if (!text) w->failed = true;
    return text ? text : "";
}

static void kerb_qdq_initializer(KerbQdqWriter *w, const char *name, int type, int rank, const int64_t dims[], const void *data, size_t bytes)
{
    KerbProto t = { 0 };
    for (int i = 0; i < rank; i++) kerb_proto_int(&t, 1, dims[i]);
    kerb_proto_int(&t, 2, type);
    kerb_proto_text(&t, 8, name);
    kerb_proto_bytes(&t, 9, data, bytes);
    kerb_proto_message(&w->weights, 5, &t);
}

/* A node; names NULL are left off. axis -1: none. */
static void kerb_qdq_node(KerbQdqWriter *w, const char *type, const char *const inputs[3], const char *output, int64_t axis)
{
    KerbProto node = { 0 };
    for (int i = 0; i < 3 && inputs[i]; i++) kerb_proto_text(&node, 1, inputs[i]);
    kerb_proto_text(&node, 2, output);
    kerb_proto_text(&node, 3, kerb_qdq_name(w, output, type));
    kerb_proto_text(&node, 4, type);
    if (axis >= 0) {
        KerbProto a = { 0 };
        kerb_proto_text(&a, 1, "axis");
        kerb_proto_int(&a, 3, axis);
        kerb_proto_int(&a, 20, KERB_ATTRIBUTE_INT);
        kerb_proto_message(&node, 5, &a);
    }
    kerb_proto_message(&w->graph, 1, &node);
}

/* ---- tensors */

static void kerb_qdq_tensor(KerbQdqWriter *w, int t)
{
    const KerbEditTensor *tensor = &w->n->tensors[t];
    const KerbScale *s = &w->q->scales[tensor->group];
    const char *scale = kerb_qdq_name(w, tensor->name, "scale"), *zero = kerb_qdq_name(w, tensor->name, "zero_point");
    const char *integers = kerb_qdq_name(w, tensor->name, "int");
    kerb_qdq_initializer(w, scale, TYPE_F32, 0, NULL, &s->scale, sizeof s->scale);
    kerb_qdq_initializer(w, zero, s->is_signed ? TYPE_I8 : TYPE_U8, 0, NULL, &(uint8_t){ (uint8_t)s->zero }, 1);
    kerb_qdq_node(w, "QuantizeLinear", (const char *const[]){ tensor->name, scale, zero }, integers, -1);
    kerb_qdq_node(w, "DequantizeLinear", (const char *const[]){ integers, scale, zero }, w->eight[t], -1);
}

/* ---- nodes */

static const char *kerb_qdq_constant(KerbQdqWriter *w, const char *base, int type, int rank, const int64_t dims[], const void *data, size_t bytes, const float scales[],
                                     int64_t n_scales, int64_t axis)
{
    const char *integers = kerb_qdq_name(w, base, "int"), *scale = kerb_qdq_name(w, base, "scale"), *eight = kerb_qdq_name(w, base, "8bit"), *zero = NULL;
    kerb_qdq_initializer(w, integers, type, rank, dims, data, bytes);
    kerb_qdq_initializer(w, scale, TYPE_F32, 1, &n_scales, scales, (size_t)n_scales * sizeof *scales);
    if (type == TYPE_I8) {
        const void *zeros = kerb_arena_alloc(w->scratch, (size_t)n_scales);
        if (!zeros) w->failed = true;
        else kerb_qdq_initializer(w, zero = kerb_qdq_name(w, base, "zero_point"), TYPE_I8, 1, &n_scales, zeros, (size_t)n_scales);
    }
    kerb_qdq_node(w, "DequantizeLinear", (const char *const[]){ integers, scale, zero }, eight, axis);
    return eight;
}

/* Named after the layer's result, which is one layer's alone (weights may be several layers'). */
static void kerb_qdq_layer_inputs(KerbQdqWriter *w, int layer, const char *inputs[3], int *n_inputs)
{
    const KerbEditLayer *l = &w->n->layers[layer];
    const KerbIntWeights *q = &w->q->weights[layer];
    bool quantised = !w->q->in_float[layer];
    char base[2][32] = { "weight", "bias" };
    const char *y = w->n->tensors[l->y].name;
    if (quantised)
        inputs[1] = kerb_qdq_constant(w, kerb_qdq_name(w, y, base[0]), TYPE_I8, l->rank, l->dims, q->values, (size_t)q->elements, q->scales, l->channels, l->axis);
    else if (w->n->nodes[l->node].edited) {
        size_t elements = (size_t)q->elements;
        kerb_qdq_initializer(w, inputs[1] = kerb_qdq_name(w, y, base[0]), TYPE_F32, l->rank, l->dims, l->weights, elements * sizeof *l->weights);
    }
    if (quantised && q->bias) {
        const char *name = kerb_qdq_name(w, y, base[1]);
        inputs[2] = kerb_qdq_constant(w, name, TYPE_I32, 1, &l->n_bias, q->bias, (size_t)l->n_bias * sizeof *q->bias, q->bias_scales, l->n_bias, 0);
    } else if (!quantised && w->n->nodes[l->node].edited && l->bias) {
        kerb_qdq_initializer(w, inputs[2] = kerb_qdq_name(w, y, base[1]), TYPE_F32, 1, &l->n_bias, l->bias, (size_t)l->n_bias * sizeof *l->bias);
    }
    if (inputs[2] && *n_inputs < 3) *n_inputs = 3;
}

static const char *kerb_qdq_read_name(const KerbQdqWriter *w, int t) { return t < 0 ? "" : w->eight[t] ? w->eight[t] : w->n->tensors[t].name; }

/* Everything of the message but inputs and outputs. */
static void kerb_qdq_copy_rest(KerbProto *node, KerbBytes message)
{
    KerbWire walk = kerb_wire(message);
    KerbField f;
    for (const uint8_t *begin = walk.at; kerb_wire_next(&walk, &f); begin = walk.at)
        if (f.number != 1 && f.number != 2) kerb_proto_raw(node, begin, (size_t)(walk.at - begin));
}

static void kerb_qdq_write_node(KerbQdqWriter *w, int index)
{
    const KerbEditNode *e = &w->n->nodes[index];
    const char *replaced[3] = { 0 };
    int n_inputs = e->n_inputs;
    if (e->layer >= 0) kerb_qdq_layer_inputs(w, e->layer, replaced, &n_inputs);
    KerbProto node = { 0 };
    for (int i = 0; i < n_inputs; i++) {
        const char *name = i < 3 && replaced[i] ? replaced[i] : i < e->n_inputs ? kerb_qdq_read_name(w, e->inputs[i]) : "";
        kerb_proto_text(&node, 1, name);
    }
    for (int i = 0; i < e->n_outputs; i++) kerb_proto_text(&node, 2, e->outputs[i] < 0 ? "" : w->n->tensors[e->outputs[i]].name);
    kerb_qdq_copy_rest(&node, e->message);
    kerb_proto_message(&w->graph, 1, &node);
    for (int i = 0; i < e->n_outputs; i++)
        if (e->outputs[i] >= 0 && w->eight[e->outputs[i]]) kerb_qdq_tensor(w, e->outputs[i]);
}

/* ---- initializers */

/* Which of a node's inputs are read still: not the weights that integers stand for now. */
static bool kerb_qdq_reads(const KerbQdqWriter *w, const KerbEditNode *e, int input)
{
    if (e->inputs[input] < 0) return false;
    if (e->layer < 0 || input == 0 || (w->q->in_float[e->layer] && !e->edited)) return true;
    return input == 2 && !w->q->weights[e->layer].bias && !e->edited;
}

/* Which tensors are read, from the outputs back: what nobody reads is not written, such as a Constant with the weights that were. */
static bool *kerb_qdq_find_read(const KerbQdqWriter *w)
{
    bool *read = kerb_arena_alloc(w->scratch, (size_t)w->n->n_tensors + 1), *done = kerb_arena_alloc(w->scratch, (size_t)w->n->n_nodes + 1);
    bool more = read && done;
    for (int t = 0; more && t < w->n->n_tensors; t++) read[t] = w->n->tensors[t].is_output;
    while (more) {
        more = false;
        for (int i = w->n->n_nodes - 1; i >= 0; i--) {
            const KerbEditNode *e = &w->n->nodes[i];
            bool needed = false;
            for (int o = 0; o < e->n_outputs; o++) needed = needed || (e->outputs[o] >= 0 && read[e->outputs[o]]);
            if (e->dead || done[i] || !needed) continue;
            done[i] = more = true;
            for (int k = 0; k < e->n_inputs; k++)
                if (kerb_qdq_reads(w, e, k)) read[e->inputs[k]] = true;
        }
    }
    return done ? read : NULL;
}

static bool kerb_qdq_is_read(const KerbEditNode *e, const bool *read)
{
    for (int o = 0; o < e->n_outputs; o++)
        if (e->outputs[o] >= 0 && read[e->outputs[o]]) return true;
    return false;
}

/* As it is; what lies in another file comes in. */
static void kerb_qdq_copy_initializer(KerbQdqWriter *w, const KerbOnnxTensor *t)
{
    KerbWire walk = kerb_wire(t->message);
    KerbField f;
    KerbProto copy = { 0 };
    bool external = false;
    for (const uint8_t *begin = walk.at; kerb_wire_next(&walk, &f); begin = walk.at) {
        if (f.number == 13 || f.number == 14) external = external || (f.number == 14 && f.value == 1);
        else kerb_proto_raw(&copy, begin, (size_t)(walk.at - begin));
    }
    if (external) kerb_proto_bytes(&copy, 9, t->data, t->bytes);
    kerb_proto_message(&w->weights, 5, &copy);
}

/* ---- the whole */

/* The graph's other fields: name, documentation, inputs, outputs, shapes of tensors that are still there. */
static void kerb_qdq_copy_graph(KerbQdqWriter *w, const bool *read)
{
    KerbWire walk = kerb_wire(w->n->onnx->graph);
    KerbField f;
    int info = 0, input = 0;
    for (const uint8_t *begin = walk.at; kerb_wire_next(&walk, &f); begin = walk.at) {
        bool keep = f.number != 1 && f.number != 5 && f.number != 14; /* 14: quantisation notes of somebody else's */
        const KerbOnnxValueInfo *about = f.number == 13 ? &w->n->onnx->infos[info++] : f.number == 11 ? &w->n->onnx->inputs[input++] : NULL;
        char *name = about && about->name.size ? kerb_arena_strndup(w->scratch, (const char *)about->name.data, about->name.size) : NULL;
        int t = name ? kerb_network_find(w->n, name) : -1;
        if (f.number == 13) keep = t >= 0 && w->n->tensors[t].producer >= 0 && !w->n->nodes[w->n->tensors[t].producer].dead;
        if (f.number == 11 && t >= 0 && w->n->tensors[t].initializer >= 0) keep = read[t]; /* old files list weights as inputs */
        if (keep) kerb_proto_raw(&w->graph, begin, (size_t)(walk.at - begin));
    }
}

static void kerb_qdq_write_graph(KerbQdqWriter *w)
{
    const bool *read = kerb_qdq_find_read(w);
    if (!read) {
        w->failed = true;
        return;
    }
    for (int t = 0; t < w->n->n_tensors; t++)
        if (w->eight[t] && w->n->tensors[t].producer < 0) kerb_qdq_tensor(w, t);
    for (int i = 0; i < w->n->n_nodes; i++)
        if (!w->n->nodes[i].dead && kerb_qdq_is_read(&w->n->nodes[i], read)) kerb_qdq_write_node(w, i);
    for (int t = 0; t < w->n->n_tensors; t++)
        if (w->n->tensors[t].initializer >= 0 && read[t]) kerb_qdq_copy_initializer(w, &w->n->onnx->initializers[w->n->tensors[t].initializer]);
    kerb_proto_raw(&w->graph, w->weights.data, w->weights.size);
    kerb_qdq_copy_graph(w, read);
}

static void kerb_qdq_write_model(KerbQdqWriter *w, KerbProto *out)
{
    KerbWire walk = kerb_wire(w->n->onnx->bytes);
    KerbField f;
    bool graph = false, version = false;
    for (const uint8_t *begin = walk.at; kerb_wire_next(&walk, &f); begin = walk.at) {
        if (f.number == 1 && f.type == KERB_WIRE_VARINT) {
            if (!version) kerb_proto_int(out, 1, w->n->onnx->ir_version > IR_VERSION_OF_QDQ ? w->n->onnx->ir_version : IR_VERSION_OF_QDQ);
            version = true;
        } else if (f.number == 7) {
            if (!graph) kerb_proto_message(out, 7, &w->graph);
            graph = true;
        } else {
            kerb_proto_raw(out, begin, (size_t)(walk.at - begin));
        }
    }
    if (!version) kerb_proto_int(out, 1, IR_VERSION_OF_QDQ);
}

KerbStatus kerb_qdq_write(const KerbQdq *qdq, KerbProto *out, KerbError *error)
{
    KerbQdqWriter w = { .q = qdq, .n = qdq->network, .scratch = kerb_arena_new(0) };
    *out = (KerbProto){ 0 };
    kerb_plan_tensors(w.n, qdq->in_float);
    w.eight = w.scratch ? kerb_arena_alloc(w.scratch, ((size_t)w.n->n_tensors + 1) * sizeof *w.eight) : NULL;
    w.failed = !w.eight;
    for (int t = 0; !w.failed && t < w.n->n_tensors; t++)
        if (w.n->tensors[t].wanted) w.eight[t] = kerb_qdq_name(&w, w.n->tensors[t].name, "8bit");
    if (!w.failed) kerb_qdq_write_graph(&w);
    w.failed = w.failed || w.graph.failed || w.weights.failed;
    if (!w.failed) kerb_qdq_write_model(&w, out);
    bool failed = w.failed || out->failed;
    kerb_proto_free(&w.graph);
    kerb_proto_free(&w.weights);
    kerb_arena_free(&w.scratch);
    if (!failed) return KERB_OK;
    kerb_proto_free(out);
    return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the quantised model");
}

KerbStatus kerb_qdq_check(const KerbOnnx *onnx, KerbError *error)
{
    static const char *const quantised[] = { "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
                                             NULL };
    for (int i = 0; i < onnx->n_nodes; i++)
        for (int q = 0; quantised[q]; q++)
            if (kerb_bytes_are(onnx->nodes[i].type, quantised[q]))
                return kerb_fail(error, KERB_ERROR_ASSET, "the model is quantised already (it has %s); calibrate the float model that it was made from", quantised[q]);
    if (onnx->opset < OPSET_OF_QDQ)
        return kerb_fail(error, KERB_ERROR_UNSUPPORTED, "the model is of opset %lld, and quantised weights by channel need %d; export it with opset_version=%d or later, or "
                         "convert it (onnx.version_converter)", (long long)onnx->opset, OPSET_OF_QDQ, OPSET_OF_QDQ);
    return KERB_OK;
}
