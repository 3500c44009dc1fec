/* SPDX-License-Identifier: MIT */
/* The graph's own housekeeping: building, names, lookups, order, binding inputs, cloning. What enters: values and nodes from an
 * importer or a pass. What leaves: the same, consistent (producers set, order topological after a sort). It knows nothing of what
 * operators mean: shapes and rewriting are the passes' business. */
#include "net/graph.h"

#include "base/hash.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- names: an open-addressed table. Values and nodes have separate name spaces in ONNX; a node's name is in the table only so that
 * nothing invented takes it. */

typedef struct KerbNameSlot {
    const char *name; /* NULL: free */
    uint32_t value;   /* KERB_NO_VALUE: a node's */
} KerbNameSlot;
struct KerbNames {
    uint32_t n, capacity; /* capacity: a power of two */
    KerbNameSlot *slots;
};

static KerbNameSlot *kerb_names_slot(const KerbNames *names, const char *name)
{
    uint32_t mask = names->capacity - 1, i = kerb_hash_fold(kerb_hash(KERB_HASH_START, name, strlen(name))) & mask;
    while (names->slots[i].name && strcmp(names->slots[i].name, name) != 0) i = (i + 1) & mask;
    return &names->slots[i];
}

static bool kerb_names_add(KerbGraph *g, const char *name, uint32_t value)
{
    KerbNames *names = g->names;
    if (names->n * 2 >= names->capacity) {
        KerbNames larger = { .capacity = names->capacity ? names->capacity * 2 : 256 };
        if (larger.capacity == 0) return false;
        larger.slots = kerb_arena_alloc(g->arena, larger.capacity * sizeof *larger.slots);
        if (!larger.slots) return false;
        for (uint32_t i = 0; i < names->capacity; i++)
            if (names->slots[i].name) *kerb_names_slot(&larger, names->slots[i].name) = names->slots[i];
        larger.n = names->n;
        *names = larger;
    }
    KerbNameSlot *slot = kerb_names_slot(names, name);
    if (!slot->name) {
        *slot = (KerbNameSlot){ name, value };
        names->n++;
    } else if (slot->value == KERB_NO_VALUE) {
        slot->value = value;
    }
    return true;
}

uint32_t kerb_graph_find(const KerbGraph *g, const char *name)
{
    if (!g->names->capacity) return KERB_NO_VALUE;
    const KerbNameSlot *slot = kerb_names_slot(g->names, name);
    return slot->name ? slot->value : KERB_NO_VALUE;
}

static bool kerb_names_has(const KerbGraph *g, const char *name) { return g->names->capacity && kerb_names_slot(g->names, name)->name; }

const char *kerb_graph_name(KerbGraph *g, const char *base, const char *suffix)
{
    char text[256];
    snprintf(text, sizeof text, "%.200s.%.30s", base, suffix);
    /* Numbers start at the count of values, which grows with every name that is used: so the first try is nearly always free. */
    for (unsigned k = (unsigned)g->n_values; kerb_names_has(g, text); k++) snprintf(text, sizeof text, "%.200s.%.30s.%u", base, suffix, k);
    return kerb_arena_strdup(g->arena, text);
}

/* ---- building */

KerbStatus kerb_graph_new(KerbGraph **out, KerbError *error)
{
    *out = NULL;
    KerbArena *arena = kerb_arena_new(0);
    KerbGraph *g = arena ? kerb_arena_alloc(arena, sizeof *g) : NULL;
    KerbNames *names = g ? kerb_arena_alloc(arena, sizeof *names) : NULL;
    if (!names) {
        kerb_arena_free(&arena);
        return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for a new graph");
    }
    g->arena = arena;
    g->names = names;
    *out = g;
    return KERB_OK;
}

void kerb_graph_free(KerbGraph **graph)
{
    if (!graph || !*graph) return;
    KerbArena *arena = (*graph)->arena; /* the graph itself lies in it */
    *graph = NULL;
    kerb_arena_free(&arena);
}

/* Room for one more in an array that lives in the arena; the old one stays there unused until the graph is freed. */
static bool kerb_graph_grow(KerbGraph *g, void **array, int n, int *capacity, size_t element_bytes)
{
    if (n < *capacity) return true;
    int larger = *capacity ? *capacity : 32;
    if (larger > INT_MAX / 2) return false;
    larger *= 2;
    void *grown = kerb_arena_alloc(g->arena, (size_t)larger * element_bytes);
    if (!grown) return false;
    if (n) memcpy(grown, *array, (size_t)n * element_bytes);
    *array = grown;
    *capacity = larger;
    return true;
}

uint32_t kerb_graph_add_value(KerbGraph *g, const char *name, KerbDtype dtype, int rank, const int64_t dims[])
{
    if (rank > KERB_MAX_RANK) return KERB_NO_VALUE;
    void *values = g->values;
    if (!kerb_graph_grow(g, &values, g->n_values, &g->cap_values, sizeof *g->values)) return KERB_NO_VALUE;
    g->values = values;
    const char *copy = kerb_arena_strdup(g->arena, name);
    uint32_t id = (uint32_t)g->n_values;
    if (!copy || !kerb_names_add(g, copy, id)) return KERB_NO_VALUE;
    KerbValue *v = &g->values[g->n_values++];
    *v = (KerbValue){ .name = copy, .dtype = dtype, .rank = rank < 0 ? -1 : rank, .producer = KERB_NO_NODE };
    for (int i = 0; i < KERB_MAX_RANK; i++) v->dims[i] = KERB_DIM_UNKNOWN;
    for (int i = 0; i < rank; i++) v->dims[i] = dims ? dims[i] : KERB_DIM_UNKNOWN;
    return id;
}

/* Dense bytes of a value of known type and shape; false where one is not known or the size overflows. */
static bool kerb_value_bytes(const KerbValue *v, size_t *bytes)
{
    int64_t n;
    return v->dtype != KERB_DTYPE_NONE && v->rank >= 0 && kerb_dims_elements(v->rank, v->dims, INT64_MAX / 8, &n) &&
           kerb_mul_size((size_t)n, kerb_dtype_bytes(v->dtype), bytes);
}

/* An arena copy; never NULL for zero bytes, since a constant is a value with data. */
static void *kerb_graph_copy(KerbGraph *g, const void *data, size_t bytes)
{
    void *copy = kerb_arena_alloc(g->arena, bytes);
    if (copy && bytes) memcpy(copy, data, bytes);
    return copy;
}

uint32_t kerb_graph_add_constant(KerbGraph *g, const char *name, KerbDtype dtype, int rank, const int64_t dims[], const void *data,
                                 bool copy)
{
    KerbValue shape = { .dtype = dtype, .rank = rank };
    size_t bytes;
    if (rank < 0 || rank > KERB_MAX_RANK) return KERB_NO_VALUE;
    for (int i = 0; i < rank; i++) shape.dims[i] = dims[i];
    if (!kerb_value_bytes(&shape, &bytes)) return KERB_NO_VALUE;
    copy = copy || !data; /* only a constant without elements may come without data */
    if (!data && bytes) return KERB_NO_VALUE;
    const void *kept = copy ? kerb_graph_copy(g, data, bytes) : data;
    if (!kept) return KERB_NO_VALUE;
    uint32_t id = kerb_graph_add_value(g, name, dtype, rank, dims);
    if (id == KERB_NO_VALUE) return id;
    g->values[id].data = kept;
    g->values[id].borrowed = !copy;
    return id;
}

uint32_t kerb_graph_add_node(KerbGraph *g, KerbOp op, const char *name, int n_inputs, const uint32_t inputs[], int n_outputs,
                             const uint32_t outputs[])
{
    void *nodes = g->nodes;
    if (!kerb_graph_grow(g, &nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes)) return KERB_NO_NODE;
    g->nodes = nodes;
    const char *copy = kerb_arena_strdup(g->arena, name);
    uint32_t *in = kerb_graph_copy(g, inputs, (size_t)n_inputs * sizeof *in);
    uint32_t *out = kerb_graph_copy(g, outputs, (size_t)n_outputs * sizeof *out);
    if (!copy || !in || !out || !kerb_names_add(g, copy, KERB_NO_VALUE)) return KERB_NO_NODE;
    uint32_t id = (uint32_t)g->n_nodes;
    g->nodes[g->n_nodes++] =
        (KerbNode){ .op = op, .name = copy, .n_inputs = n_inputs, .n_outputs = n_outputs, .inputs = in, .outputs = out };
    for (int i = 0; i < n_outputs; i++)
        if (out[i] != KERB_NO_VALUE) g->values[out[i]].producer = id;
    return id;
}

/* ---- cloning */

static bool kerb_graph_clone_nodes(KerbGraph *to, const KerbGraph *from)
{
    for (int i = 0; i < from->n_nodes; i++) {
        const KerbNode *n = &from->nodes[i];
        uint32_t id = kerb_graph_add_node(to, n->op, n->name, n->n_inputs, n->inputs, n->n_outputs, n->outputs);
        if (id == KERB_NO_NODE) return false;
        to->nodes[id].attrs = n->attrs;
        to->nodes[id].dead = n->dead;
    }
    for (int i = 0; i < from->n_values; i++) to->values[i].producer = from->values[i].producer; /* a dead node's outputs may have another */
    return true;
}

static bool kerb_graph_clone_values(KerbGraph *to, const KerbGraph *from)
{
    for (int i = 0; i < from->n_values; i++) {
        const KerbValue *v = &from->values[i];
        uint32_t id = kerb_graph_add_value(to, v->name, v->dtype, v->rank, v->dims);
        if (id == KERB_NO_VALUE) return false;
        KerbValue *copy = &to->values[id];
        for (int k = 0; k < KERB_MAX_RANK; k++)
            if (v->symbols[k] && !(copy->symbols[k] = kerb_arena_strdup(to->arena, v->symbols[k]))) return false;
        copy->borrowed = v->borrowed;
        copy->dequantized = v->dequantized;
        copy->integers = v->integers;
        copy->integers_scale = v->integers_scale;
        copy->integers_zero = v->integers_zero;
        copy->integers_axis = v->integers_axis;
        if (!v->data) continue;
        size_t bytes;
        if (!v->borrowed && !kerb_value_bytes(v, &bytes)) return false;
        copy->data = v->borrowed ? v->data : kerb_graph_copy(to, v->data, bytes);
        if (!copy->data) return false;
    }
    return true;
}

static bool kerb_graph_clone_rest(KerbGraph *to, const KerbGraph *from)
{
    to->inputs = kerb_graph_copy(to, from->inputs, (size_t)from->n_inputs * sizeof *to->inputs);
    to->outputs = kerb_graph_copy(to, from->outputs, (size_t)from->n_outputs * sizeof *to->outputs);
    to->heads = kerb_graph_copy(to, from->heads, (size_t)from->n_heads * sizeof *to->heads);
    to->metadata_keys = kerb_arena_alloc(to->arena, (size_t)from->n_metadata * sizeof *to->metadata_keys);
    to->metadata_values = kerb_arena_alloc(to->arena, (size_t)from->n_metadata * sizeof *to->metadata_values);
    if (!to->inputs || !to->outputs || !to->heads || !to->metadata_keys || !to->metadata_values) return false;
    to->n_inputs = from->n_inputs;
    to->n_outputs = from->n_outputs;
    to->n_heads = from->n_heads;
    to->n_metadata = from->n_metadata;
    to->opset = from->opset;
    for (int i = 0; i < from->n_metadata; i++) {
        to->metadata_keys[i] = kerb_arena_strdup(to->arena, from->metadata_keys[i]);
        to->metadata_values[i] = kerb_arena_strdup(to->arena, from->metadata_values[i]);
        if (!to->metadata_keys[i] || !to->metadata_values[i]) return false;
    }
    for (int i = 0; i < from->n_heads; i++)
        if (from->heads[i].name && !(to->heads[i].name = kerb_arena_strdup(to->arena, from->heads[i].name))) return false;
    return !from->producer || (to->producer = kerb_arena_strdup(to->arena, from->producer));
}

KerbStatus kerb_graph_clone(const KerbGraph *graph, KerbGraph **out, KerbError *error)
{
    KerbStatus status = kerb_graph_new(out, error);
    if (status != KERB_OK) return status;
    if (kerb_graph_clone_values(*out, graph) && kerb_graph_clone_nodes(*out, graph) && kerb_graph_clone_rest(*out, graph)) return KERB_OK;
    kerb_graph_free(out);
    return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for a copy of the graph (%zu bytes)", kerb_arena_bytes(graph->arena));
}

/* ---- looking things up */

KerbValue *kerb_node_input(const KerbGraph *g, const KerbNode *n, int i)
{
    return i < 0 || i >= n->n_inputs ? NULL : kerb_graph_value(g, n->inputs[i]);
}

KerbTensor kerb_value_tensor(const KerbValue *v) { return kerb_tensor((void *)(uintptr_t)v->data, v->dtype, v->rank, v->dims); }

/* The constant as a tensor and its number of elements; -1 where it is none, or has more than max. */
static int kerb_value_read(const KerbValue *v, int max, KerbTensor *t)
{
    if (!kerb_value_is_constant(v) || v->rank < 0) return -1;
    *t = kerb_value_tensor(v);
    int64_t n = kerb_tensor_elements(t);
    return n > max ? -1 : (int)n;
}

int kerb_value_integers(const KerbValue *v, int64_t out[], int max)
{
    KerbTensor t;
    int n = kerb_value_read(v, max, &t);
    if (n < 0 || v->dtype == KERB_BOOL) return -1;
    if (n == 0) return 0;
    if (!kerb_dtype_is_float(v->dtype)) {
        for (int i = 0; i < n; i++) out[i] = kerb_tensor_get_i64(&t, i);
        return n;
    }
    if (n != 1) return -1;
    double x = kerb_tensor_get(&t, 0);
    if (!(fabs(x) < 9007199254740992.0) || x != floor(x)) return -1;
    out[0] = (int64_t)x;
    return 1;
}

int kerb_value_floats(const KerbValue *v, float out[], int max)
{
    KerbTensor t;
    int n = kerb_value_read(v, max, &t);
    for (int i = 0; i < n; i++) out[i] = (float)kerb_tensor_get(&t, i);
    return n;
}

/* Where a fused PRelu keeps its slope: the one reader that is not in `inputs`. NULL: the node has none. */
static uint32_t *kerb_node_slope(KerbNode *n)
{
    KerbActivation *act = NULL;
    switch (n->op) {
    case KERB_OP_CONV:
    case KERB_OP_CONV_TRANSPOSE:
    case KERB_OP_QLINEAR_CONV: act = &n->attrs.conv.act; break;
    case KERB_OP_BINARY: act = &n->attrs.binary.act; break;
    case KERB_OP_GEMM: act = &n->attrs.gemm.act; break;
    default: return NULL;
    }
    return act->kind == KERB_ACT_PRELU ? &act->slope : NULL;
}

int kerb_graph_uses(const KerbGraph *g, uint32_t value)
{
    int uses = 0;
    if (value == KERB_NO_VALUE) return 0;
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead) continue;
        for (int k = 0; k < n->n_inputs; k++) uses += n->inputs[k] == value;
        const uint32_t *slope = kerb_node_slope(n);
        uses += slope && *slope == value;
    }
    for (int i = 0; i < g->n_outputs; i++) uses += g->outputs[i] == value;
    return uses;
}

void kerb_graph_replace(KerbGraph *g, uint32_t from, uint32_t to)
{
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead) continue;
        for (int k = 0; k < n->n_inputs; k++)
            if (n->inputs[k] == from) n->inputs[k] = to;
        uint32_t *slope = kerb_node_slope(n);
        if (slope && *slope == from) *slope = to;
    }
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == from) g->outputs[i] = to;
}

/* ---- order */

typedef struct KerbSort {
    uint8_t *state;  /* by node: 0 not seen, 1 on the stack, 2 placed */
    int *stack;      /* nodes whose inputs are being placed */
    int *next_input; /* by node: the input to look at next */
    int *order;      /* placed nodes */
    int n_placed;
} KerbSort;

/* Places `root` after everything that it reads: depth first, with an explicit stack (models can be deep). Returns the node where a
 * cycle closes, or -1. Nodes that are in order already stay so, because roots are taken in that order. */
static int kerb_sort_place(const KerbGraph *g, KerbSort *sort, int root)
{
    int depth = 0;
    sort->stack[depth++] = root;
    sort->state[root] = 1;
    while (depth) {
        int id = sort->stack[depth - 1];
        const KerbNode *n = &g->nodes[id];
        if (sort->next_input[id] == n->n_inputs) {
            sort->state[id] = 2;
            sort->order[sort->n_placed++] = id;
            depth--;
            continue;
        }
        const KerbValue *v = kerb_graph_value(g, n->inputs[sort->next_input[id]++]);
        if (!v || v->producer == KERB_NO_NODE || g->nodes[v->producer].dead) continue;
        int before = (int)v->producer;
        if (sort->state[before] == 1) return before;
        if (sort->state[before] == 2) continue;
        sort->state[before] = 1;
        sort->stack[depth++] = before;
    }
    return -1;
}

/* Rewrites the node array in the order found, and with it every producer. */
static bool kerb_sort_apply(KerbGraph *g, const KerbSort *sort)
{
    KerbNode *sorted = kerb_alloc((size_t)sort->n_placed * sizeof *sorted);
    if (!sorted) return false;
    for (int i = 0; i < sort->n_placed; i++) sorted[i] = g->nodes[sort->order[i]];
    for (int i = 0; i < g->n_values; i++) g->values[i].producer = KERB_NO_NODE;
    for (int i = 0; i < sort->n_placed; i++) {
        g->nodes[i] = sorted[i];
        for (int k = 0; k < sorted[i].n_outputs; k++)
            if (sorted[i].outputs[k] != KERB_NO_VALUE) g->values[sorted[i].outputs[k]].producer = (uint32_t)i;
    }
    g->n_nodes = sort->n_placed;
    kerb_free(&sorted);
    return true;
}

KerbStatus kerb_graph_sort(KerbGraph *g, KerbError *error)
{
    size_t n = (size_t)g->n_nodes;
    KerbSort sort = { kerb_alloc(n), kerb_alloc(n * sizeof(int)), kerb_alloc(n * sizeof(int)), kerb_alloc(n * sizeof(int)), 0 };
    KerbStatus status = KERB_OK;
    bool memory = sort.state && sort.stack && sort.next_input && sort.order;
    for (int i = 0; memory && i < g->n_nodes && status == KERB_OK; i++) {
        if (g->nodes[i].dead || sort.state[i]) continue;
        int cycle = kerb_sort_place(g, &sort, i);
        if (cycle >= 0)
            status =
                kerb_fail(error, KERB_ERROR_ASSET,
                          "the graph has a cycle through %s (node '%s'): it needs its own output; the file is damaged, export it again",
                          kerb_node_kind(&g->nodes[cycle]), g->nodes[cycle].name);
    }
    if (status == KERB_OK && memory) memory = kerb_sort_apply(g, &sort);
    kerb_free(&sort.state);
    kerb_free(&sort.stack);
    kerb_free(&sort.next_input);
    kerb_free(&sort.order);
    return memory ? status : kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for sorting %zu nodes", n);
}

/* ---- binding inputs */

static int kerb_graph_input_index(const KerbGraph *g, uint32_t input)
{
    for (int i = 0; i < g->n_inputs; i++)
        if (g->inputs[i] == input) return i;
    return -1;
}

static bool kerb_dims_agree(const KerbValue *v, int rank, const int64_t dims[])
{
    if (v->rank < 0) return true;
    for (int i = 0; i < rank && v->rank == rank; i++)
        if (v->dims[i] != KERB_DIM_UNKNOWN && v->dims[i] != dims[i]) return false;
    return v->rank == rank;
}

/* What both ways of binding ask: a graph input, all dims known, none that contradicts. */
static KerbStatus kerb_graph_check_binding(const KerbGraph *g, uint32_t input, int rank, const int64_t dims[], KerbError *error)
{
    char want[160], have[160];
    int64_t elements;
    if (input >= (uint32_t)g->n_values || kerb_graph_input_index(g, input) < 0)
        return kerb_fail(error, KERB_ERROR_INTERNAL, "value %u is not an input of the graph", input);
    const KerbValue *v = &g->values[input];
    if (rank < 0 || rank > KERB_MAX_RANK)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "input '%s': rank %d is not 0..%d", v->name, rank, KERB_MAX_RANK);
    kerb_dims_text(rank, dims, want, sizeof want);
    if (!kerb_dims_elements(rank, dims, INT64_MAX / 8, &elements))
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "input '%s': %s is not a size that a tensor can have", v->name, want);
    if (!kerb_dims_agree(v, rank, dims))
        return kerb_fail(error, KERB_ERROR_ARGUMENT,
                         "input '%s': the model fixes its shape to %s, so %s does not fit; use the model's size", v->name,
                         kerb_dims_text(v->rank, v->dims, have, sizeof have), want);
    return KERB_OK;
}

KerbStatus kerb_graph_bind_input(KerbGraph *g, uint32_t input, int rank, const int64_t dims[], KerbError *error)
{
    KerbStatus status = kerb_graph_check_binding(g, input, rank, dims, error);
    if (status != KERB_OK) return status;
    KerbValue *v = &g->values[input];
    v->rank = rank;
    for (int i = 0; i < rank; i++) v->dims[i] = dims[i];
    return KERB_OK;
}

KerbStatus kerb_graph_bind_constant(KerbGraph *g, uint32_t input, const KerbTensor *t, KerbError *error)
{
    KerbStatus status = kerb_graph_check_binding(g, input, t->rank, t->dims, error);
    if (status != KERB_OK) return status;
    KerbValue *v = &g->values[input];
    if (v->dtype != KERB_DTYPE_NONE && v->dtype != t->dtype)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "input '%s' is %s, so a constant of %s does not fit", v->name,
                         kerb_dtype_name(v->dtype), kerb_dtype_name(t->dtype));
    KerbTensor copy = kerb_tensor(kerb_arena_alloc(g->arena, kerb_tensor_bytes(t)), t->dtype, t->rank, t->dims);
    if (!copy.data)
        return kerb_fail(error, KERB_ERROR_MEMORY, "out of memory for the constant '%s' (%zu bytes)", v->name, kerb_tensor_bytes(t));
    kerb_tensor_copy(&copy, t);
    v->data = copy.data;
    v->borrowed = false;
    v->dtype = t->dtype;
    v->rank = t->rank;
    for (int i = 0; i < t->rank; i++) v->dims[i] = t->dims[i];
    int index = kerb_graph_input_index(g, input);
    memmove(&g->inputs[index], &g->inputs[index + 1], (size_t)(g->n_inputs - index - 1) * sizeof *g->inputs);
    g->n_inputs--;
    return KERB_OK;
}

/* ---- what operators are called */

const char *kerb_op_name(KerbOp op)
{
    static const char *const names[] = {
#define KERB_OP_NAME(e, name) [KERB_OP_##e] = name,
        KERB_OPS(KERB_OP_NAME)
#undef KERB_OP_NAME
    };
    return (unsigned)op < KERB_OP_COUNT ? names[op] : "?";
}

const char *kerb_node_kind(const KerbNode *n)
{
    static const char *const unaries[] = {
#define KERB_UNARY_NAME(e, name) [KERB_UNARY_##e] = name,
        KERB_UNARIES(KERB_UNARY_NAME)
#undef KERB_UNARY_NAME
    };
    static const char *const binaries[] = {
#define KERB_BINARY_NAME(e, name) [KERB_BINARY_##e] = name,
        KERB_BINARIES(KERB_BINARY_NAME)
#undef KERB_BINARY_NAME
    };
    static const char *const reductions[] = {
#define KERB_REDUCTION_NAME(e, name) [KERB_REDUCE_##e] = name,
        KERB_REDUCTIONS(KERB_REDUCTION_NAME)
#undef KERB_REDUCTION_NAME
    };
    switch (n->op) {
    case KERB_OP_UNARY: return (unsigned)n->attrs.unary.kind < KERB_UNARY_COUNT ? unaries[n->attrs.unary.kind] : "?";
    case KERB_OP_BINARY: return (unsigned)n->attrs.binary.kind < KERB_BINARY_COUNT ? binaries[n->attrs.binary.kind] : "?";
    case KERB_OP_REDUCE: return (unsigned)n->attrs.reduce.kind < KERB_REDUCE_COUNT ? reductions[n->attrs.reduce.kind] : "?";
    case KERB_OP_ARG: return n->attrs.arg.is_min ? "ArgMin" : "ArgMax";
    case KERB_OP_SOFTMAX: return n->attrs.softmax.log ? "LogSoftmax" : "Softmax";
    default: return kerb_op_name(n->op);
    }
}
