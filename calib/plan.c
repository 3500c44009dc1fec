/* SPDX-License-Identifier: MIT */
/* Where integers flow. A tensor is quantised where a quantised layer reads it, or an operator whose own result is wanted quantised and which can work on integers:
 * those that only move values (they keep the scale), and the sum of two branches. Everything else works in float, on what is there. A layer whose result nobody wants
 * quantised (the scores) gives floats: rounding them to 8 bits would cost labels and win nothing. */
#include "calib/plan.h"

#include <string.h>

typedef enum KerbFlow { KERB_FLOW_NONE, KERB_FLOW_MOVES, KERB_FLOW_SUM } KerbFlow;

static bool kerb_is_one_of(const char *word, const char *const list[])
{
    for (int i = 0; list[i]; i++)
        if (strcmp(word, list[i]) == 0) return true;
    return false;
}

static const KerbValue *kerb_plan_value(const KerbNetwork *n, int tensor)
{
    return tensor < 0 ? NULL : kerb_graph_value(n->folded, kerb_graph_find(n->folded, n->tensors[tensor].name));
}

/* Both operands are computed and of one shape: no bias, no shape arithmetic, no gate. */
static bool kerb_plan_is_sum(const KerbNetwork *n, const KerbEditNode *node)
{
    if (strcmp(node->type, "Add") != 0 || node->n_inputs != 2) return false;
    const KerbValue *a = kerb_plan_value(n, node->inputs[0]), *b = kerb_plan_value(n, node->inputs[1]);
    if (!a || !b || !n->tensors[node->inputs[0]].is_float || !n->tensors[node->inputs[1]].is_float || a->rank != b->rank) return false;
    return node->inputs[0] != node->inputs[1] && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

static KerbFlow kerb_plan_flow(const KerbNetwork *n, int index)
{
    static const char *const moves[] = { "MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Identity", "Dropout",
                                         "DepthToSpace", "SpaceToDepth", "Resize", "Upsample", "Pad", NULL };
    const KerbEditNode *node = &n->nodes[index];
    if (kerb_plan_is_sum(n, node)) return KERB_FLOW_SUM;
    if (!kerb_is_one_of(node->type, moves)) return KERB_FLOW_NONE;
    const KerbOnnxAttribute *mode = kerb_onnx_attribute(&n->onnx->nodes[index], "mode");
    if (mode && mode->s.size && (kerb_bytes_are(mode->s, "cubic"))) return KERB_FLOW_NONE; /* it overshoots */
    if (strcmp(node->type, "Pad") == 0) { /* zeros are integers in every scale */
        float value = 0;
        const KerbValue *v = node->n_inputs > 2 ? kerb_plan_value(n, node->inputs[2]) : NULL;
        if (v && (kerb_value_floats(v, &value, 1) != 1 || value != 0)) return KERB_FLOW_NONE;
    }
    if (strcmp(node->type, "MaxPool") == 0 && node->n_outputs > 1) return KERB_FLOW_NONE; /* with indices, for unpooling */
    bool concat = strcmp(node->type, "Concat") == 0;
    for (int i = 0; i < (concat ? node->n_inputs : 1); i++)
        if (node->inputs[i] < 0 || !n->tensors[node->inputs[i]].is_float) return KERB_FLOW_NONE;
    return KERB_FLOW_MOVES;
}

/* Whether the sum is read as it is, or by one activation that is. */
static bool kerb_plan_sum_is_wanted(const KerbNetwork *n, int tensor)
{
    static const char *const activations[] = { "Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "Sigmoid", "HardSigmoid", "Tanh", "Elu", "Mish", "Gelu", NULL };
    int readers = 0, next = -1;
    if (n->tensors[tensor].wanted) return true;
    for (int i = 0; i < n->n_nodes; i++) {
        if (n->nodes[i].dead) continue;
        for (int k = 0; k < n->nodes[i].n_inputs; k++) {
            if (n->nodes[i].inputs[k] != tensor) continue;
            readers++;
            next = kerb_is_one_of(n->nodes[i].type, activations) ? n->nodes[i].outputs[0] : -1;
        }
    }
    return readers == 1 && next >= 0 && n->tensors[next].wanted;
}

static bool kerb_plan_any_output(const KerbNetwork *n, const KerbEditNode *node)
{
    for (int i = 0; i < node->n_outputs; i++)
        if (node->outputs[i] >= 0 && n->tensors[node->outputs[i]].wanted) return true;
    return false;
}

void kerb_plan_tensors(KerbNetwork *n, const bool in_float[])
{
    for (int t = 0; t < n->n_tensors; t++) n->tensors[t].wanted = false;
    for (int l = 0; l < n->n_layers; l++)
        if (!in_float[l] && n->tensors[n->layers[l].x].is_float) n->tensors[n->layers[l].x].wanted = true;
    /* Files are in topological order: readers come behind, so one walk backwards is enough. */
    for (int i = n->n_nodes - 1; i >= 0; i--) {
        const KerbEditNode *node = &n->nodes[i];
        if (node->dead || node->layer >= 0 || node->n_outputs < 1 || node->outputs[0] < 0) continue;
        KerbFlow flow = kerb_plan_flow(n, i);
        if (flow == KERB_FLOW_NONE || !(flow == KERB_FLOW_SUM ? kerb_plan_sum_is_wanted(n, node->outputs[0]) : kerb_plan_any_output(n, node))) continue;
        int inputs = flow == KERB_FLOW_SUM || strcmp(node->type, "Concat") == 0 ? node->n_inputs : 1;
        for (int k = 0; k < inputs; k++) n->tensors[node->inputs[k]].wanted = true;
    }
}

/* ---- groups: union-find over tensors, by parent links in KerbEditTensor.group */

static int kerb_group_root(KerbNetwork *n, int t)
{
    while (n->tensors[t].group != t) t = n->tensors[t].group = n->tensors[n->tensors[t].group].group;
    return t;
}

static void kerb_group_join(KerbNetwork *n, int a, int b)
{
    if (a < 0 || b < 0 || !n->tensors[a].wanted || !n->tensors[b].wanted) return;
    a = kerb_group_root(n, a);
    b = kerb_group_root(n, b);
    n->tensors[a > b ? a : b].group = a > b ? b : a;
}

int kerb_plan_groups(KerbNetwork *n)
{
    int *number = kerb_alloc(((size_t)n->n_tensors + 1) * sizeof *number), groups = 0;
    if (!number) return -1;
    for (int t = 0; t < n->n_tensors; t++) n->tensors[t].group = n->tensors[t].wanted ? t : -1;
    for (int i = 0; i < n->n_nodes; i++) {
        const KerbEditNode *node = &n->nodes[i];
        if (node->dead || node->layer >= 0 || kerb_plan_flow(n, i) != KERB_FLOW_MOVES) continue;
        int inputs = strcmp(node->type, "Concat") == 0 ? node->n_inputs : 1;
        for (int k = 0; k < inputs; k++)
            for (int o = 0; o < node->n_outputs; o++) kerb_group_join(n, node->inputs[k], node->outputs[o]);
    }
    for (int t = 0; t < n->n_tensors; t++) number[t] = n->tensors[t].wanted && kerb_group_root(n, t) == t ? groups++ : -1;
    for (int t = 0; t < n->n_tensors; t++) { /* roots have the lowest number of their group: they are renamed last */
        if (n->tensors[t].wanted) n->tensors[t].group = kerb_group_root(n, t);
    }
    for (int t = 0; t < n->n_tensors; t++)
        if (n->tensors[t].wanted) n->tensors[t].group = number[n->tensors[t].group];
    kerb_free(&number);
    return groups;
}
