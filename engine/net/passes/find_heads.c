/* SPDX-License-Identifier: MIT */
/* What the outputs of a network mean, from their shapes and types, and from what computes them. */
#include <math.h>

#include "net/passes/head.h"

/* Softmax or sigmoid at the end, seen through what only moves or resizes. */
static bool ends_in_probabilities(const KerbGraph *g, uint32_t value)
{
    for (const KerbNode *n = kerb_pass_producer(g, value); n; n = kerb_pass_producer(g, n->inputs[0])) {
        switch (n->op) {
        case KERB_OP_SOFTMAX: return !n->attrs.softmax.log;
        case KERB_OP_UNARY: return n->attrs.unary.kind == KERB_UNARY_SIGMOID;
        case KERB_OP_RESIZE:
        case KERB_OP_TRANSPOSE:
        case KERB_OP_RESHAPE:
        case KERB_OP_SQUEEZE:
        case KERB_OP_UNSQUEEZE:
        case KERB_OP_IDENTITY: break;
        default: return false;
        }
    }
    return false;
}

/* How far (a, b) is from the proportions of the network's input; INFINITY where that is not known. */
static double proportion_error(const KerbGraph *g, int64_t a, int64_t b)
{
    const KerbValue *x = g->n_inputs ? kerb_graph_value(g, g->inputs[0]) : NULL;
    if (!x || x->rank != 4 || a < 1 || b < 1) return INFINITY;
    bool last = x->dims[3] <= 4 && x->dims[1] > 4;
    double h = (double)x->dims[last ? 1 : 2], w = (double)x->dims[last ? 2 : 3];
    return fabs(log((double)a * w / ((double)b * h)));
}

/* 1 or 3: the axis of the classes of (1, ?, ?, ?). Channels-last is believed where the last axis is clearly the smallest and the proportions
 * of the input do not speak against it. */
static int guess_channel_axis(const KerbGraph *g, const KerbValue *v)
{
    int64_t smaller = v->dims[1] < v->dims[2] ? v->dims[1] : v->dims[2];
    if (v->dims[1] == 1 || v->dims[3] >= smaller) return 1;
    double first = proportion_error(g, v->dims[2], v->dims[3]), last = proportion_error(g, v->dims[1], v->dims[2]);
    if (isinf(first)) return v->dims[3] * 4 <= smaller ? 3 : 1;
    return last < first ? 3 : 1;
}

static KerbStatus not_understood(const KerbValue *v, const KerbHead *head, KerbError *error)
{
    char dims[160];
    return kerb_fail(error, KERB_ERROR_ASSET,
                     "the output '%s' is %s %s: neither scores of classes (1 x classes x height x width), nor one score a pixel (1 x 1 x height x width), nor "
                     "labels (1 x height x width). If the model has another output that is, name it; if not, this is no segmentation network",
                     head->name, kerb_dtype_name(v->dtype), kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
}

/* Puts a Reshape behind the head's value. */
static KerbStatus reshape_head(KerbGraph *g, int index, KerbHead *head, int rank, const int64_t dims[], KerbError *error)
{
    uint32_t shape = kerb_pass_integers(g, head->value, "shape", rank, dims), y = kerb_pass_value(g, head->value, "head", g->values[head->value].dtype);
    uint32_t in[2] = { head->value, shape };
    if (shape == KERB_NO_VALUE || y == KERB_NO_VALUE) return kerb_pass_out_of_memory(error);
    if (kerb_pass_node(g, KERB_OP_RESHAPE, g->values[head->value].name, "reshape", 2, in, y) == KERB_NO_NODE) return kerb_pass_out_of_memory(error);
    KerbValue *v = kerb_graph_value(g, y);
    v->rank = rank;
    for (int i = 0; i < rank; i++) v->dims[i] = dims[i];
    head->value = g->outputs[index] = y;
    return KERB_OK;
}

/* Brings (C, h, w), (h, w, C), (h, w) to a batch of one. */
static KerbStatus add_batch(KerbGraph *g, int index, KerbHead *head, bool labels, KerbError *error)
{
    const KerbValue *v = kerb_graph_value(g, head->value);
    int64_t dims[4] = { 1 };
    int rank = 1;
    if (v->rank == 4 || (v->rank == 3 && labels && v->dims[0] == 1)) return KERB_OK;
    if (v->rank != 2 && v->rank != 3) return not_understood(v, head, error);
    if (!labels && (v->rank == 2 || v->dims[0] == 1)) { /* one score a pixel; but 1 x classes x pixels looks the same */
        double e = proportion_error(g, v->dims[v->rank - 2], v->dims[v->rank - 1]);
        if (isfinite(e) && e > 1) return not_understood(v, head, error);
    }
    if (v->rank == 2 && !labels) dims[rank++] = 1;
    for (int i = 0; i < v->rank; i++) dims[rank++] = v->dims[i];
    if (head->channel_axis >= 0) head->channel_axis += rank - v->rank;
    return reshape_head(g, index, head, rank, dims, error);
}

KerbStatus kerb_head_classify(KerbGraph *g, int index, KerbHead *head, bool scores, bool threshold, KerbError *error)
{
    const KerbValue *v = kerb_graph_value(g, head->value);
    bool integer = !kerb_dtype_is_float(v->dtype), labels = false;
    if (integer && !scores) { /* integer scores of several classes have four axes, none of the inner ones 1 */
        labels = v->rank < 4 || (v->rank == 4 && (v->dims[1] == 1 || v->dims[3] == 1));
        if (v->rank == 3 && v->dims[0] != 1) labels = false;
    }
    KerbStatus status = add_batch(g, index, head, labels, error);
    if (status != KERB_OK) return status;
    v = kerb_graph_value(g, head->value);
    if (v->dims[0] != 1) return not_understood(v, head, error);
    if (v->rank == 3) { /* labels without an axis of classes */
        head->kind = KERB_HEAD_LABELS;
        head->channel_axis = -1;
        return KERB_OK;
    }
    if (head->channel_axis != 1 && head->channel_axis != 3) head->channel_axis = labels && v->dims[1] != 1 ? 3 : guess_channel_axis(g, v);
    int64_t classes = v->dims[head->channel_axis];
    for (int i = 1; i < 4; i++)
        if (v->dims[i] < 1) return not_understood(v, head, error);
    head->kind = labels ? KERB_HEAD_LABELS : classes == 1 ? KERB_HEAD_BINARY : KERB_HEAD_SCORES;
    head->probabilities = !labels && ends_in_probabilities(g, head->value);
    if (!threshold) head->threshold = head->kind == KERB_HEAD_BINARY && head->probabilities ? 0.5f : 0;
    return KERB_OK;
}

KerbStatus kerb_graph_find_heads(KerbGraph *g, KerbError *error)
{
    KerbHead *heads = kerb_arena_alloc(g->arena, (size_t)g->n_outputs * sizeof *heads);
    if (!heads) return kerb_pass_out_of_memory(error);
    for (int i = 0; i < g->n_outputs; i++) {
        heads[i] = (KerbHead){ .name = g->values[g->outputs[i]].name, .value = g->outputs[i], .channel_axis = -1 };
        KerbStatus status = kerb_head_classify(g, i, &heads[i], false, false, error);
        if (status != KERB_OK) return status;
    }
    g->heads = heads;
    g->n_heads = g->n_outputs;
    return kerb_graph_sort(g, error);
}
