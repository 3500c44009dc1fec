/* SPDX-License-Identifier: MIT */
/* Reading a model for editing, and folding what scales convolutions into them. The engine's own passes do the folding, on a copy of its graph; here their result is
 * carried over to the file's nodes: a convolution that has swallowed a batch norm gets new weights and that one's output, and what nobody reads any more goes. */
#include "calib/network.h"

#include "base/hash.h"

#include <string.h>

#define FOLDING_ROUNDS 16

static KerbStatus kerb_network_no_memory(KerbError *error) { return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to take the model apart"); }

/* ---- names */

static int *kerb_network_slot(const KerbNetwork *n, const char *name, size_t bytes)
{
    uint32_t mask = (uint32_t)n->n_slots - 1;
    for (uint32_t at = kerb_hash_fold(kerb_hash(KERB_HASH_START, name, bytes)) & mask;; at = (at + 1) & mask) {
        int t = n->slots[at];
        if (t < 0 || (strncmp(n->tensors[t].name, name, bytes) == 0 && !n->tensors[t].name[bytes])) return &n->slots[at];
    }
}

int kerb_network_find(const KerbNetwork *n, const char *name) { return *kerb_network_slot(n, name, strlen(name)); }

/* The tensor of that name, new where there was none; -1: an empty name, or no memory (then *ok is false). */
static int kerb_network_tensor(KerbNetwork *n, KerbBytes name, bool *ok)
{
    if (!name.size) return -1;
    int *slot = kerb_network_slot(n, (const char *)name.data, name.size);
    if (*slot >= 0) return *slot;
    char *copy = n->n_tensors < n->tensors_capacity ? kerb_arena_strndup(n->arena, (const char *)name.data, name.size) : NULL;
    if (!copy || strlen(copy) != name.size) { /* a name with a zero byte is nobody's name */
        *ok = false;
        return -1;
    }
    n->tensors[n->n_tensors] = (KerbEditTensor){ .name = copy, .producer = -1, .initializer = -1, .group = -1 };
    return *slot = n->n_tensors++;
}

/* ---- nodes */

static void kerb_network_read_node(KerbNetwork *n, int index, KerbBytes message, bool *ok)
{
    const KerbOnnxNode *from = &n->onnx->nodes[index];
    KerbEditNode *node = &n->nodes[index];
    *node = (KerbEditNode){ .message = message, .n_inputs = from->n_inputs, .n_outputs = from->n_outputs, .layer = -1 };
    node->type = kerb_bytes_text(n->arena, from->domain.size ? from->domain : from->type);
    node->name = kerb_bytes_text(n->arena, from->name);
    node->inputs = kerb_arena_alloc(n->arena, ((size_t)from->n_inputs + 3) * sizeof *node->inputs); /* room for a bias */
    node->outputs = kerb_arena_alloc(n->arena, ((size_t)from->n_outputs + 1) * sizeof *node->outputs);
    *ok = *ok && node->type && node->name && node->inputs && node->outputs;
    for (int i = 0; *ok && i < from->n_inputs; i++) node->inputs[i] = kerb_network_tensor(n, from->inputs[i], ok);
    for (int i = 0; *ok && i < from->n_outputs; i++) {
        node->outputs[i] = kerb_network_tensor(n, from->outputs[i], ok);
        if (node->outputs[i] >= 0) n->tensors[node->outputs[i]].producer = index;
    }
}

static bool kerb_network_room(KerbNetwork *n)
{
    size_t names = (size_t)(n->onnx->n_initializers + n->onnx->n_inputs + n->onnx->n_outputs), slots = 16;
    for (int i = 0; i < n->onnx->n_nodes; i++) names += (size_t)(n->onnx->nodes[i].n_inputs + n->onnx->nodes[i].n_outputs);
    while (slots < names * 2) slots *= 2;
    n->tensors_capacity = (int)names;
    n->n_slots = (int)slots;
    n->n_nodes = n->onnx->n_nodes;
    n->nodes = kerb_arena_alloc(n->arena, (size_t)n->n_nodes * sizeof *n->nodes);
    n->tensors = kerb_arena_alloc(n->arena, names * sizeof *n->tensors);
    n->slots = kerb_arena_alloc(n->arena, slots * sizeof *n->slots);
    if (!n->nodes || !n->tensors || !n->slots) return false;
    memset(n->slots, 0xff, slots * sizeof *n->slots);
    return true;
}

static bool kerb_network_read(KerbNetwork *n)
{
    bool ok = kerb_network_room(n);
    if (!ok) return false;
    KerbWire w = kerb_wire(n->onnx->graph);
    KerbField f;
    for (int i = 0; ok && i < n->n_nodes && kerb_wire_next(&w, &f);)
        if (f.number == 1) kerb_network_read_node(n, i++, f.bytes, &ok);
    for (int i = 0; ok && i < n->onnx->n_inputs; i++) {
        int t = kerb_network_tensor(n, n->onnx->inputs[i].name, &ok);
        if (t >= 0) n->tensors[t].is_input = true;
    }
    for (int i = 0; ok && i < n->onnx->n_initializers; i++) {
        int t = kerb_network_tensor(n, n->onnx->initializers[i].name, &ok);
        if (t >= 0) n->tensors[t].initializer = i;
    }
    for (int i = 0; ok && i < n->onnx->n_outputs; i++) {
        int t = kerb_network_tensor(n, n->onnx->outputs[i].name, &ok);
        if (t >= 0) n->tensors[t].is_output = true;
    }
    return ok;
}

/* ---- folding */

static bool kerb_op_has_weights(const KerbNode *node)
{
    return !node->dead && (node->op == KERB_OP_CONV || node->op == KERB_OP_CONV_TRANSPOSE || node->op == KERB_OP_GEMM || node->op == KERB_OP_MATMUL);
}

/* Which node of the file a node of the graph was: passes keep a node's name, and so the pointer to it. */
typedef struct KerbOrigin {
    const char *name;
    int node;
} KerbOrigin;

static int kerb_origins_note(const KerbNetwork *n, const KerbGraph *g, KerbOrigin *origins)
{
    int k = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (!kerb_op_has_weights(&g->nodes[i])) continue;
        int t = kerb_network_find(n, g->values[g->nodes[i].outputs[0]].name);
        if (t >= 0 && n->tensors[t].producer >= 0) origins[k++] = (KerbOrigin){ g->nodes[i].name, n->tensors[t].producer };
    }
    return k;
}

/* find-bilinear is among them because transposed convolutions that only enlarge are no layers: every engine knows them by their weights. */
static KerbStatus kerb_network_fold(KerbGraph *g, KerbError *error)
{
    static const char *const wanted[] = { "fold-constants", "find-bilinear", "fold-batch-norm", "fold-scale" };
    for (int round = 0, total = 1; total && round < FOLDING_ROUNDS; round++) {
        total = 0;
        for (size_t w = 0; w < sizeof wanted / sizeof wanted[0]; w++) {
            for (int p = 0; p < kerb_n_passes; p++) {
                int changes = 0;
                if (strcmp(kerb_passes[p].name, wanted[w]) != 0) continue;
                KerbStatus status = kerb_passes[p].run(g, &changes, error);
                if (status != KERB_OK) return status;
                total += changes;
            }
        }
    }
    return KERB_OK;
}

static int64_t kerb_axis_of(int64_t axis, int rank) { return axis < 0 ? axis + rank : axis; }

/* Dense floats; a copy, because constants may lie unaligned. */
static const float *kerb_network_floats(KerbNetwork *n, const KerbValue *v, int64_t *elements)
{
    if (!kerb_value_is_constant(v) || v->dtype != KERB_F32 || v->rank < 0 || !kerb_dims_elements(v->rank, v->dims, 0, elements)) return NULL;
    float *copy = kerb_arena_alloc(n->arena, (size_t)*elements * sizeof *copy);
    if (copy) memcpy(copy, v->data, (size_t)*elements * sizeof *copy);
    return copy;
}

/* What the graph's node says of the layer; false: it is none that can be quantised. */
static bool kerb_layer_describe(KerbNetwork *n, const KerbNode *node, KerbEditLayer *l)
{
    const KerbGraph *g = n->folded;
    const KerbValue *x = kerb_node_input(g, node, 0), *w = kerb_node_input(g, node, 1), *b = kerb_node_input(g, node, 2);
    int64_t elements;
    if (!x || x->dtype != KERB_F32 || kerb_value_is_constant(x) || !kerb_value_is_constant(w) || w->rank < 2) return false;
    l->rank = w->rank;
    memcpy(l->dims, w->dims, sizeof l->dims);
    l->group = 1;
    l->x_axis = 1;
    l->takes_bias = node->op != KERB_OP_MATMUL;
    switch (node->op) {
    case KERB_OP_CONV:
        l->axis = 0;
        l->group = node->attrs.conv.group;
        l->inputs = w->dims[1] * l->group;
        break;
    case KERB_OP_CONV_TRANSPOSE:
        l->axis = 1;
        l->group = node->attrs.conv.group;
        l->inputs = w->dims[0];
        break;
    case KERB_OP_GEMM:
        if (node->attrs.gemm.alpha != 1 || node->attrs.gemm.beta != 1 || node->attrs.gemm.trans_a) return false;
        l->axis = node->attrs.gemm.trans_b ? 0 : 1;
        l->inputs = w->dims[1 - l->axis];
        break;
    default:
        if (w->rank != 2 || x->rank < 2) return false;
        l->axis = 1;
        l->inputs = w->dims[0];
        l->x_axis = x->rank - 1;
    }
    l->channels = w->dims[l->axis];
    l->weights = kerb_network_floats(n, w, &elements);
    l->n_bias = l->channels * (node->op == KERB_OP_CONV_TRANSPOSE ? l->group : 1);
    if (b) l->bias = kerb_network_floats(n, b, &elements);
    if (b && (!l->bias || elements != l->n_bias)) return false; /* computed, or a Gemm's C that is broadcast */
    return l->weights && elements > 0 && kerb_axis_of(l->x_axis, x->rank) < x->rank && x->dims[l->x_axis] == l->inputs;
}

/* The node takes over what the graph's node has swallowed. False: the graph has come to something that the file cannot say; it then stays as it was. */
static bool kerb_layer_connect(KerbNetwork *n, const KerbNode *from, int node, KerbEditLayer *l)
{
    KerbEditNode *e = &n->nodes[node];
    const char *x = n->folded->values[from->inputs[0]].name, *y = n->folded->values[from->outputs[0]].name;
    int new_x = kerb_network_find(n, x), new_y = kerb_network_find(n, y);
    if (new_x < 0 || new_y < 0 || n->tensors[new_y].producer < 0) return false;
    if (e->outputs[0] != new_y) {
        n->nodes[n->tensors[new_y].producer].dead = true;
        n->tensors[e->outputs[0]].producer = -1;
        n->tensors[new_y].producer = node;
    }
    e->edited = e->edited || e->inputs[0] != new_x || e->outputs[0] != new_y;
    e->inputs[0] = l->x = new_x;
    e->outputs[0] = l->y = new_y;
    l->node = node;
    return true;
}

/* Nodes that no output needs. */
static bool kerb_network_sweep(KerbNetwork *n)
{
    int *stack = kerb_alloc(((size_t)n->n_tensors + 1) * sizeof *stack), depth = 0;
    bool *seen = kerb_alloc((size_t)n->n_tensors + 1), *needed = kerb_alloc((size_t)n->n_nodes + 1);
    bool ok = stack && seen && needed;
    for (int t = 0; ok && t < n->n_tensors; t++)
        if (n->tensors[t].is_output) seen[stack[depth++] = t] = true;
    while (ok && depth) {
        int producer = n->tensors[stack[--depth]].producer;
        if (producer < 0 || needed[producer]) continue;
        needed[producer] = true;
        for (int i = 0; i < n->nodes[producer].n_inputs; i++) {
            int t = n->nodes[producer].inputs[i];
            if (t < 0 || seen[t]) continue;
            seen[t] = true;
            stack[depth++] = t;
        }
    }
    for (int i = 0; ok && i < n->n_nodes; i++) n->nodes[i].dead = n->nodes[i].dead || !needed[i];
    kerb_free(&stack);
    kerb_free(&seen);
    kerb_free(&needed);
    return ok;
}

static bool kerb_network_layers(KerbNetwork *n, const KerbOrigin *origins, int n_origins)
{
    const KerbGraph *g = n->folded;
    n->layers = kerb_arena_alloc(n->arena, (size_t)n_origins * sizeof *n->layers);
    if (!n->layers) return false;
    for (int i = 0; i < g->n_nodes; i++) {
        int o = 0;
        while (o < n_origins && origins[o].name != g->nodes[i].name) o++;
        KerbEditLayer layer = { 0 };
        if (!kerb_op_has_weights(&g->nodes[i]) || o == n_origins || !kerb_layer_describe(n, &g->nodes[i], &layer)) continue;
        if (!kerb_layer_connect(n, &g->nodes[i], origins[o].node, &layer)) continue;
        n->nodes[layer.node].layer = n->n_layers;
        n->layers[n->n_layers++] = layer;
    }
    for (int t = 0; t < n->n_tensors; t++) {
        const KerbValue *v = kerb_graph_value(g, kerb_graph_find(g, n->tensors[t].name));
        n->tensors[t].is_float = v && v->dtype == KERB_F32 && v->rank >= 1 && !kerb_value_is_constant(v) && n->tensors[t].initializer < 0;
    }
    return kerb_network_sweep(n);
}

KerbStatus kerb_network_new(KerbNetwork **out, const KerbOnnx *onnx, const KerbGraph *graph, KerbError *error)
{
    *out = NULL;
    KerbArena *arena = kerb_arena_new(0);
    KerbNetwork *n = arena ? kerb_arena_alloc(arena, sizeof *n) : NULL;
    if (!n) {
        kerb_arena_free(&arena);
        return kerb_network_no_memory(error);
    }
    n->arena = arena;
    n->onnx = onnx;
    KerbStatus status = kerb_network_read(n) ? kerb_graph_clone(graph, &n->folded, error) : kerb_network_no_memory(error);
    if (status == KERB_OK) status = kerb_graph_infer(n->folded, error);
    KerbOrigin *origins = status == KERB_OK ? kerb_alloc(((size_t)n->folded->n_nodes + 1) * sizeof *origins) : NULL;
    if (status == KERB_OK && !origins) status = kerb_network_no_memory(error);
    if (status == KERB_OK) {
        int n_origins = kerb_origins_note(n, n->folded, origins);
        status = kerb_network_fold(n->folded, error);
        if (status == KERB_OK && !kerb_network_layers(n, origins, n_origins)) status = kerb_network_no_memory(error);
    }
    kerb_free(&origins);
    if (status != KERB_OK) kerb_network_free(&n);
    *out = n;
    return status;
}

void kerb_network_free(KerbNetwork **network)
{
    if (!network || !*network) return;
    kerb_graph_free(&(*network)->folded);
    KerbArena *arena = (*network)->arena; /* the network itself lies in it */
    *network = NULL;
    kerb_arena_free(&arena);
}

/* ---- where a weight belongs: Conv (OC, IC/g, k...), ConvTranspose (IC, OC/g, k...), Gemm and MatMul (two axes) */

static int64_t kerb_weight_place(const KerbEditLayer *l, int64_t weight, int axis)
{
    int64_t inner = 1;
    for (int i = axis + 1; i < l->rank; i++) inner *= l->dims[i];
    return weight / inner % l->dims[axis];
}

int64_t kerb_layer_channel(const KerbEditLayer *l, int64_t weight) { return kerb_weight_place(l, weight, l->axis); }

int64_t kerb_layer_input(const KerbEditLayer *l, int64_t weight)
{
    int64_t in = kerb_weight_place(l, weight, 1 - l->axis);
    if (l->axis == 0 && l->group > 1) in += kerb_layer_channel(l, weight) / (l->dims[0] / l->group) * l->dims[1]; /* Conv */
    return in;
}

int64_t kerb_layer_bias(const KerbEditLayer *l, int64_t weight)
{
    int64_t out = kerb_layer_channel(l, weight);
    if (l->axis == 1 && l->group > 1) out += kerb_layer_input(l, weight) / (l->dims[0] / l->group) * l->dims[1]; /* ConvTranspose */
    return out;
}
