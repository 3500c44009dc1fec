/* SPDX-License-Identifier: MIT */
/* FCN's upsampling: a ConvTranspose whose weights are the bilinear kernel on the diagonal (every channel for itself; dense or grouped), without
 * bias. It is linear interpolation by its stride s: with k = 2s (or 2s - 1 for odd s) the weights are the triangle 1 - |i - (k-1)/2| / s, and
 * output o looks at x coordinate (o + pad - (k-1)/2) / s. Resize with half_pixel looks at (o' + 0.5) / s - 0.5: the same for
 * o' = o + pad - (k-s)/2. What lies outside x counts as 0 (zero_border), not as the edge. So:
 *
 *   [Pad by 1 of zeros, where o' falls outside Resize's output ->] Resize(linear, half_pixel, zero_border) [-> Slice, where not all of it is meant]
 *
 * Exact but for rounding. Weights that training has moved by more than 1e-5 of the peak are left alone. */
#include <math.h>

#include "net/passes/pass.h"

#define WEIGHT_TOLERANCE 1e-5

typedef struct KerbBilinearAxis {
    int64_t in, out, stride;
    int64_t first;               /* o' of the first output, in the output of Resize over the padded x */
    int64_t pad_begin, pad_end;  /* 0 or 1 */
} KerbBilinearAxis;

static double triangle(int64_t i, int64_t k, int64_t s) { return 1 - fabs((double)i - (double)(k - 1) / 2) / (double)s; }

static bool weights_are_bilinear(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *w = kerb_node_input(g, n, 1);
    const KerbWindow *window = &n->attrs.conv.window;
    bool dense = n->attrs.conv.group == 1 && w->dims[0] == w->dims[1], depthwise = n->attrs.conv.group == w->dims[0] && w->dims[1] == 1;
    if (!dense && !depthwise) return false;
    for (int64_t at = 0, ic = 0; ic < w->dims[0]; ic++)
        for (int64_t oc = 0; oc < w->dims[1]; oc++)
            for (int64_t y = 0; y < w->dims[2]; y++)
                for (int64_t x = 0; x < w->dims[3]; x++, at++) {
                    double want = triangle(y, w->dims[2], window->stride[0]) * triangle(x, w->dims[3], window->stride[1]);
                    if (dense && ic != oc) want = 0;
                    if (!(fabs(kerb_pass_float(w, at) - want) <= WEIGHT_TOLERANCE)) return false;
                }
    return true;
}

static bool bias_is_zero(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *bias = kerb_node_input(g, n, 2);
    if (!bias) return true;
    if (!kerb_pass_f32_constant(g, n->inputs[2])) return false;
    for (int64_t i = 0; i < bias->dims[0]; i++)
        if (kerb_pass_float(bias, i) != 0) return false;
    return true;
}

static bool plan_axis(KerbBilinearAxis *a, int64_t k, int64_t pad)
{
    if (a->stride < 2 || (k != 2 * a->stride && k != 2 * a->stride - 1) || (k - a->stride) % 2 != 0) return false;
    a->first = pad - (k - a->stride) / 2;
    a->pad_begin = a->first < 0;
    a->pad_end = a->first + a->out > a->stride * a->in;
    a->first += a->pad_begin * a->stride;
    return a->first >= 0 && a->first + a->out <= a->stride * (a->in + a->pad_begin + a->pad_end);
}

static bool plan(const KerbGraph *g, const KerbNode *n, KerbBilinearAxis axes[2])
{
    const KerbValue *x = kerb_node_input(g, n, 0), *y = kerb_graph_value(g, n->outputs[0]);
    const KerbWindow *w = &n->attrs.conv.window;
    if (x->rank != 4 || x->dtype != KERB_F32 || !kerb_pass_f32_constant(g, n->inputs[1]) || n->attrs.conv.act.kind != KERB_ACT_NONE) return false;
    for (int i = 0; i < 2; i++) {
        axes[i] = (KerbBilinearAxis){ .in = x->dims[i + 2], .out = y->dims[i + 2], .stride = w->stride[i] };
        if (w->dilation[i] != 1 || !plan_axis(&axes[i], w->kernel[i], w->pad_begin[i])) return false;
    }
    return bias_is_zero(g, n) && weights_are_bilinear(g, n);
}

static bool add_pad(KerbGraph *g, uint32_t id, const KerbBilinearAxis axes[2], uint32_t *x)
{
    if (!axes[0].pad_begin && !axes[0].pad_end && !axes[1].pad_begin && !axes[1].pad_end) return true;
    const int64_t pads[8] = { 0, 0, axes[0].pad_begin, axes[1].pad_begin, 0, 0, axes[0].pad_end, axes[1].pad_end };
    uint32_t out = kerb_pass_value(g, *x, "padded", KERB_F32), in[2] = { *x, KERB_NO_VALUE };
    if (out != KERB_NO_VALUE) in[1] = kerb_pass_integers(g, out, "pads", 8, pads);
    if (in[1] == KERB_NO_VALUE || kerb_pass_node(g, KERB_OP_PAD, g->nodes[id].name, "pad", 2, in, out) == KERB_NO_NODE) return false;
    *x = out;
    return true;
}

static bool add_resize(KerbGraph *g, uint32_t id, const KerbBilinearAxis axes[2], uint32_t x, uint32_t to)
{
    const KerbValue *v = kerb_graph_value(g, g->nodes[id].outputs[0]);
    int64_t sizes[4] = { v->dims[0], v->dims[1] };
    for (int i = 0; i < 2; i++) sizes[i + 2] = axes[i].stride * (axes[i].in + axes[i].pad_begin + axes[i].pad_end);
    uint32_t in[4] = { x, KERB_NO_VALUE, KERB_NO_VALUE, kerb_pass_integers(g, to, "sizes", 4, sizes) };
    uint32_t node = in[3] == KERB_NO_VALUE ? KERB_NO_NODE : kerb_pass_node(g, KERB_OP_RESIZE, g->nodes[id].name, "resize", 4, in, to);
    if (node == KERB_NO_NODE) return false;
    g->nodes[node].attrs.resize = (KerbResizeAttrs){ .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_HALF_PIXEL, .zero_border = true };
    return true;
}

static bool replace(KerbGraph *g, uint32_t id, const KerbBilinearAxis axes[2])
{
    uint32_t x = g->nodes[id].inputs[0], y = g->nodes[id].outputs[0], resized = y;
    bool crops = false;
    for (int i = 0; i < 2; i++) crops = crops || axes[i].first || axes[i].out != axes[i].stride * (axes[i].in + axes[i].pad_begin + axes[i].pad_end);
    g->nodes[id].dead = true;
    if (crops) {
        const int64_t starts[2] = { axes[0].first, axes[1].first }, lengths[2] = { axes[0].out, axes[1].out };
        resized = kerb_pass_value(g, y, "whole", KERB_F32);
        if (resized == KERB_NO_VALUE || !kerb_pass_crop(g, g->nodes[id].name, resized, starts, lengths, y)) return false;
    }
    return add_pad(g, id, axes, &x) && add_resize(g, id, axes, x, resized);
}

KerbStatus kerb_pass_find_bilinear(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0, n = g->n_nodes; i < n; i++) {
        KerbBilinearAxis axes[2];
        if (g->nodes[i].dead || g->nodes[i].op != KERB_OP_CONV_TRANSPOSE || !plan(g, &g->nodes[i], axes)) continue;
        if (!replace(g, (uint32_t)i, axes)) return kerb_pass_out_of_memory(error);
        ++*changes;
    }
    return kerb_pass_finish(g, *changes, error);
}
