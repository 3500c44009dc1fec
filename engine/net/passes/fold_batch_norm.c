/* SPDX-License-Identifier: MIT */
/* BatchNormalization at inference is y = a[c] x + b[c]. It goes into the convolution (or transposed one) before it, if nobody else reads that;
 * else into the convolution behind it, where that is exact: a shift may not be folded over padding, since the zeros of the padding would have
 * had to be shifted too. */
#include <math.h>

#include "net/passes/pass.h"

/* a[] and b[] of a norm; NULL: parameters that are not constant f32, or numbers that are not finite; or out of memory. b = a + channels. */
static double *norm_affine(const KerbGraph *g, const KerbNode *n, int64_t *channels)
{
    for (int i = 1; i < 5; i++)
        if (!kerb_pass_f32_constant(g, n->inputs[i])) return NULL;
    *channels = kerb_node_input(g, n, 1)->dims[0];
    double *a = kerb_alloc((size_t)*channels * 2 * sizeof *a + 1), *b = a ? a + *channels : NULL;
    for (int64_t c = 0; a && c < *channels; c++) {
        double scale = kerb_pass_float(kerb_node_input(g, n, 1), c), bias = kerb_pass_float(kerb_node_input(g, n, 2), c);
        double mean = kerb_pass_float(kerb_node_input(g, n, 3), c), var = kerb_pass_float(kerb_node_input(g, n, 4), c);
        a[c] = scale / sqrt(var + (double)n->attrs.norm.epsilon);
        b[c] = bias - mean * a[c];
        if (!isfinite(a[c]) || !isfinite(b[c])) kerb_free(&a);
    }
    return a;
}

static bool pads_nothing(const KerbWindow *w)
{
    for (int i = 0; i < w->n; i++)
        if (w->pad_begin[i] || w->pad_end[i]) return false;
    return true;
}

/* The only reader of the value as its picture, if that is a plain Conv that takes a norm before it. */
static KerbNode *conv_behind(const KerbGraph *g, uint32_t value, int64_t channels, const double b[])
{
    bool shifts = false;
    if (kerb_graph_uses(g, value) != 1) return NULL;
    for (int64_t c = 0; c < channels; c++) shifts = shifts || b[c] != 0;
    for (int i = 0; i < g->n_nodes; i++) {
        KerbNode *n = &g->nodes[i];
        if (n->dead || n->op != KERB_OP_CONV || n->inputs[0] != value) continue;
        if (!kerb_pass_f32_constant(g, n->inputs[1]) || (kerb_node_input(g, n, 2) && !kerb_pass_f32_constant(g, n->inputs[2]))) return NULL;
        return shifts && !pads_nothing(&n->attrs.conv.window) ? NULL : n;
    }
    return NULL;
}

/* w'[o][i] = w[o][i] a[i], bias'[o] = bias[o] + sum of w[o][i] b[i]. */
static bool scale_inputs(KerbGraph *g, uint32_t id, const double a[], const double b[])
{
    uint32_t w_id = g->nodes[id].inputs[1], y_id = g->nodes[id].outputs[0];
    int64_t outputs = g->values[w_id].dims[0], per_group = g->values[w_id].dims[1], kernel = 1;
    void *new_w, *new_b;
    uint32_t scaled = kerb_pass_constant(g, w_id, "scaled", KERB_F32, g->values[w_id].rank, g->values[w_id].dims, &new_w);
    uint32_t shifted = kerb_pass_constant(g, y_id, "bias", KERB_F32, 1, &outputs, &new_b);
    if (scaled == KERB_NO_VALUE || shifted == KERB_NO_VALUE) return false;
    const KerbValue *w = &g->values[w_id], *bias = kerb_node_input(g, &g->nodes[id], 2);
    for (int i = 2; i < w->rank; i++) kernel *= w->dims[i];
    for (int64_t o = 0; o < outputs; o++) {
        int64_t first = o / (outputs / g->nodes[id].attrs.conv.group) * per_group; /* input channel of this group's first weight */
        double sum = bias ? kerb_pass_float(bias, o) : 0;
        for (int64_t i = 0; i < per_group; i++) {
            for (int64_t k = 0; k < kernel; k++) {
                int64_t at = (o * per_group + i) * kernel + k;
                double weight = kerb_pass_float(w, at);
                ((float *)new_w)[at] = (float)(weight * a[first + i]);
                sum += weight * b[first + i];
            }
        }
        ((float *)new_b)[o] = (float)sum;
    }
    return kerb_pass_set_input(g, id, 1, scaled) && kerb_pass_set_input(g, id, 2, shifted);
}

static KerbStatus fold_one(KerbGraph *g, uint32_t id, int *changes, KerbError *error)
{
    int64_t channels;
    double *a = norm_affine(g, &g->nodes[id], &channels);
    bool memory = true;
    if (!a) return KERB_OK;
    KerbNode *n = &g->nodes[id], *before = kerb_pass_plain_conv(g, n->inputs[0], true);
    KerbNode *behind = before ? NULL : conv_behind(g, n->outputs[0], channels, a + channels);
    if (before && kerb_pass_conv_outputs(g, before) == channels) {
        memory = kerb_pass_scale_outputs(g, (uint32_t)(before - g->nodes), channels, a, a + channels);
        if (memory) kerb_pass_take_over(g, before, n);
        ++*changes;
    } else if (behind) {
        memory = scale_inputs(g, (uint32_t)(behind - g->nodes), a, a + channels);
        if (memory) behind->inputs[0] = n->inputs[0];
        ++*changes;
    }
    kerb_free(&a);
    return memory ? KERB_OK : kerb_pass_out_of_memory(error);
}

KerbStatus kerb_pass_fold_batch_norm(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead || n->op != KERB_OP_BATCH_NORM || kerb_node_input(g, n, 0)->dtype != KERB_F32 || n->n_outputs < 1) continue;
        KerbStatus status = fold_one(g, (uint32_t)i, changes, error);
        if (status != KERB_OK) return status;
    }
    return kerb_pass_finish(g, *changes, error);
}
