/* SPDX-License-Identifier: MIT */
#include "net/views.h"

#include <string.h>

static bool kerb_view_transpose(const KerbNode *n, const KerbTensor *x, KerbTensor *view)
{
    for (int i = 0; i < x->rank; i++) {
        int64_t from = n->attrs.transpose.n ? n->attrs.transpose.perm[i] : x->rank - 1 - i;
        view->dims[i] = x->dims[from];
        view->strides[i] = x->strides[from];
    }
    return true;
}

static bool kerb_view_split(const KerbGraph *g, const KerbNode *n, int output, const KerbTensor *x, KerbTensor *view, int64_t *offset)
{
    const int64_t axis = n->attrs.split.axis < 0 ? n->attrs.split.axis + x->rank : n->attrs.split.axis;
    for (int i = 0; i < output; i++) {
        if (n->outputs[i] == KERB_NO_VALUE) return false;
        *offset += g->values[n->outputs[i]].dims[axis] * x->strides[axis];
    }
    view->dims[axis] = g->values[n->outputs[output]].dims[axis];
    return true;
}

/* Steps >= 1, bounds that are constants. */
static bool kerb_view_slice(const KerbGraph *g, const KerbNode *n, const KerbTensor *x, KerbTensor *view, int64_t *offset)
{
    int64_t starts[KERB_MAX_RANK], axes[KERB_MAX_RANK], steps[KERB_MAX_RANK];
    const int count = kerb_value_integers(kerb_node_input(g, n, 1), starts, KERB_MAX_RANK);
    const KerbValue *axes_value = kerb_node_input(g, n, 3), *steps_value = kerb_node_input(g, n, 4), *y = &g->values[n->outputs[0]];
    for (int i = 0; i < KERB_MAX_RANK; i++) {
        axes[i] = i;
        steps[i] = 1;
    }
    if (count < 0 || (axes_value && kerb_value_integers(axes_value, axes, KERB_MAX_RANK) != count) ||
        (steps_value && kerb_value_integers(steps_value, steps, KERB_MAX_RANK) != count))
        return false;
    for (int i = 0; i < count; i++) {
        const int64_t axis = axes[i] < 0 ? axes[i] + x->rank : axes[i], length = x->dims[axis];
        int64_t start = starts[i] < 0 ? starts[i] + length : starts[i];
        start = start < 0 ? 0 : start > length ? length : start;
        if (steps[i] < 1) return false;
        *offset += start * x->strides[axis];
        view->strides[axis] *= steps[i];
        view->dims[axis] = y->dims[axis];
    }
    if (kerb_tensor_elements(view) == 0) *offset = 0;
    return true;
}

bool kerb_node_view(const KerbGraph *g, const KerbNode *n, int output, const KerbTensor *x, KerbTensor *view, int64_t *offset)
{
    *view = *x;
    *offset = 0;
    switch (n->op) {
    case KERB_OP_TRANSPOSE: return kerb_view_transpose(n, x, view);
    case KERB_OP_SPLIT: return n->outputs[output] != KERB_NO_VALUE && kerb_view_split(g, n, output, x, view, offset);
    case KERB_OP_SLICE: return kerb_view_slice(g, n, x, view, offset);
    default: return false;
    }
}

bool kerb_pool_indices_stay(const KerbGraph *g, const KerbNode *n)
{
    const uint32_t id = n->outputs[1];
    const KerbWindow *w = &n->attrs.pool.window;
    const KerbValue *x = kerb_node_input(g, n, 0), *pooled = &g->values[n->outputs[0]];
    if (w->n != 2 || w->kernel[0] * w->kernel[1] > 256) return false;
    for (int i = 0; i < 2; i++) {
        if (w->stride[i] < w->kernel[i] || w->dilation[i] != 1) return false;
        if ((pooled->dims[2 + i] - 1) * w->stride[i] + w->kernel[i] != x->dims[2 + i] + w->pad_begin[i] + w->pad_end[i]) return false;
    }
    for (int i = 0; i < g->n_outputs; i++) {
        if (g->outputs[i] == id) return false;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *r = &g->nodes[i];
        for (int j = 0; j < r->n_inputs && !r->dead; j++) {
            if (r->inputs[j] != id) continue;
            const KerbValue *y = &g->values[r->outputs[0]], *v = kerb_node_input(g, r, 0);
            if (r->op != KERB_OP_MAX_UNPOOL || j != 1 || v->dtype != KERB_F32 || y->rank != 4 ||
                memcmp(y->dims, x->dims, 4 * sizeof y->dims[0]))
                return false;
        }
    }
    return true;
}
