/* SPDX-License-Identifier: MIT */
/* ConvTranspose(kernel k, stride s) -> Conv(stride 1, s*s*OC outputs) -> DepthToSpace(s) [-> Slice]. Exact: every weight is used once.
 *
 * Of one axis: full[f] = sum of x[i] w[kk] over i*s + kk*d = f, and y[o] = full[o + pad_begin]. Let the shuffle's output be o' = o + t (t >= 0
 * elements are cropped again), c = pad_begin - t, and o' = s*q + r. Then weight kk serves phase r = (kk*d - c) mod s alone, at x[q - m] with
 * m = floor((kk*d - c) / s). So the convolution has taps m_max - m_min + 1 and pads m_max at the beginning. t = 0 needs no crop, but some
 * other t may need fewer taps (k 4, s 2, pad 1: 3 taps with t 0, 2 with t 1): t with the fewest taps wins, the smallest of them.
 *
 * The shuffle is DCR for one group (a pixel's channels stay together: what channels-last memory likes), CRD for several (a group's outputs stay
 * together).
 *
 * Quantised weights and biases keep their integers, rearranged in the same way (by channel: with the channel's scale for each of its phases), so that backends
 * with integer arithmetic find a quantised convolution.
 *
 * Kept as ConvTranspose: strides that differ between the axes (one block size), weights that are not constant f32, groups with fewer than 8
 * channels (a depthwise one becomes a grouped convolution of 1 -> s*s channels, which no library does well), and where zeros would make
 * the work more than 4 times that of the original (k = 1, s = 4, say). */
#include <string.h>

#include "net/passes/pass.h"
#include "net/quantize.h"

#define MAX_WORK_RATIO 4.0
#define MIN_GROUP_CHANNELS 8

typedef struct KerbLowerAxis {
    int64_t in, out, kernel, stride, dilation, pad; /* of the ConvTranspose */
    int64_t crop, offset;                           /* t, c */
    int64_t m_min, m_max, taps, q, pad_end;         /* of the Conv; q: its output */
    int64_t conv_dilation;                          /* stride 1 keeps the dilation instead of filling up with zeros */
} KerbLowerAxis;

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

static int64_t tap_of(const KerbLowerAxis *a, int64_t kk) { return floor_div(kk * a->dilation - a->offset, a->stride); }

static int64_t phase_of(const KerbLowerAxis *a, int64_t kk) { return kk * a->dilation - a->offset - tap_of(a, kk) * a->stride; }

static bool plan_axis(KerbLowerAxis *a)
{
    int64_t best = -1, fewest = INT64_MAX;
    for (int64_t t = 0; t < a->stride; t++) {
        a->offset = a->pad - t;
        int64_t taps = tap_of(a, a->kernel - 1) - tap_of(a, 0) + 1;
        if (taps >= fewest) continue;
        fewest = taps;
        best = t;
    }
    a->crop = best;
    a->offset = a->pad - best;
    a->m_min = tap_of(a, 0);
    a->m_max = tap_of(a, a->kernel - 1);
    a->conv_dilation = a->stride == 1 ? a->dilation : 1;
    a->taps = a->stride == 1 ? a->kernel : fewest;
    a->q = (a->out + a->crop + a->stride - 1) / a->stride;
    a->pad_end = a->q - a->in - a->m_min;
    if (a->pad_end < 0) { /* the begin pad was larger than a kernel: the convolution gives more than is needed */
        a->q -= a->pad_end;
        a->pad_end = 0;
    }
    return a->m_max >= 0; /* below: everything near the beginning is cropped; nobody does that */
}

static bool plan(const KerbGraph *g, const KerbNode *n, KerbLowerAxis axes[2])
{
    const KerbValue *x = kerb_node_input(g, n, 0), *w = kerb_node_input(g, n, 1), *y = kerb_graph_value(g, n->outputs[0]);
    const KerbConvAttrs *conv = &n->attrs.conv;
    double ratio = 1;
    if (x->rank != 4 || x->dtype != KERB_F32 || !kerb_pass_f32_constant(g, n->inputs[1])) return false;
    if (kerb_node_input(g, n, 2) && !kerb_pass_f32_constant(g, n->inputs[2])) return false;
    if (conv->window.stride[0] != conv->window.stride[1] || conv->window.stride[0] > 1024) return false;
    if (conv->group > 1 && (w->dims[1] < MIN_GROUP_CHANNELS || w->dims[0] / conv->group < MIN_GROUP_CHANNELS)) return false;
    for (int i = 0; i < 2; i++) {
        KerbLowerAxis *a = &axes[i];
        *a = (KerbLowerAxis){ .in = x->dims[i + 2], .out = y->dims[i + 2], .kernel = conv->window.kernel[i], .stride = conv->window.stride[i],
                              .dilation = conv->window.dilation[i], .pad = conv->window.pad_begin[i] };
        if (!plan_axis(a)) return false;
        ratio *= (double)(a->taps * a->stride) * (double)a->q / ((double)a->kernel * (double)a->in);
    }
    return ratio <= MAX_WORK_RATIO;
}

/* Where output channel oc of phase (ry, rx) lies among the convolution's outputs. */
static int64_t shuffled(int64_t oc, int64_t channels, int64_t phase, int64_t phases, bool crd) { return crd ? oc * phases + phase : phase * channels + oc; }

/* Rearranges the weights `from` (IC, OC/g, k, k) of node `id`, floats or integers. */
static uint32_t lower_kernel(KerbGraph *g, uint32_t id, const KerbLowerAxis axes[2], uint32_t from)
{
    int64_t groups = g->nodes[id].attrs.conv.group, s = axes[0].stride, phases = s * s;
    int64_t inputs = g->values[from].dims[0], per_group = g->values[from].dims[1], channels = per_group * groups, group_inputs = inputs / groups;
    const int64_t dims[4] = { phases * channels, group_inputs, axes[0].taps, axes[1].taps };
    const KerbDtype dtype = g->values[from].dtype;
    void *data;
    uint32_t lowered = kerb_pass_constant(g, from, "lowered", dtype, 4, dims, &data); /* zeroed */
    if (lowered == KERB_NO_VALUE) return lowered;
    const KerbValue *w = &g->values[from];
    const size_t unit = kerb_dtype_bytes(dtype);
    int64_t kh = axes[0].kernel, kw = axes[1].kernel;
    for (int64_t i = 0, ic = 0; ic < inputs; ic++) {
        for (int64_t j = 0; j < per_group; j++) {
            for (int64_t y = 0; y < kh; y++) {
                for (int64_t x = 0; x < kw; x++, i++) {
                    int64_t oc = shuffled(ic / group_inputs * per_group + j, channels, phase_of(&axes[0], y) * s + phase_of(&axes[1], x), phases, groups > 1);
                    int64_t ty = (axes[0].m_max - tap_of(&axes[0], y)) / axes[0].conv_dilation;
                    int64_t tx = (axes[1].m_max - tap_of(&axes[1], x)) / axes[1].conv_dilation;
                    int64_t at = ((oc * group_inputs + ic % group_inputs) * axes[0].taps + ty) * axes[1].taps + tx;
                    memcpy((char *)data + (size_t)at * unit, (const char *)w->data + (size_t)i * unit, unit);
                }
            }
        }
    }
    return lowered;
}

static int64_t elements_of(const KerbValue *v)
{
    int64_t n = 0;
    return kerb_dims_elements(v->rank, v->dims, 0, &n) ? n : 0;
}

/* A vector by channel (bias, slope, scale) for the shuffled channels; of a group's channels where it is shorter. */
static uint32_t lower_vector(KerbGraph *g, uint32_t from, int64_t channels, int64_t phases, bool crd)
{
    void *data;
    const KerbDtype dtype = g->values[from].dtype;
    const int64_t dims[1] = { channels * phases }, n = elements_of(&g->values[from]);
    uint32_t id = kerb_pass_constant(g, from, "lowered", dtype, 1, dims, &data);
    const size_t unit = kerb_dtype_bytes(dtype);
    for (int64_t c = 0; id != KERB_NO_VALUE && c < channels; c++)
        for (int64_t p = 0; p < phases; p++)
            memcpy((char *)data + (size_t)shuffled(c, channels, p, phases, crd) * unit, (const char *)g->values[from].data + (size_t)(c % n) * unit, unit);
    return id;
}

/* Is `v` made of integers with zero points of 0 and one scale, or `scales` of them along `axis`? */
static bool has_integers(const KerbGraph *g, const KerbValue *v, int64_t axis, int64_t scales)
{
    if (!v->dequantized || !kerb_value_is_constant(&g->values[v->integers]) || !kerb_pass_f32_constant(g, v->integers_scale)) return false;
    const KerbValue *scale = &g->values[v->integers_scale];
    const int64_t along = v->integers_axis < 0 ? v->integers_axis + v->rank : v->integers_axis, n = elements_of(scale);
    return scale->rank <= 1 && (n == 1 || (n == scales && along == axis)) && kerb_quant_symmetric(g, v->integers_zero);
}

/* Says that `lowered` is made of `integers`, by the scales of `from`. False: out of memory. */
static bool keep_integers(KerbGraph *g, uint32_t from, uint32_t lowered, uint32_t integers, int64_t channels, int64_t phases, bool crd)
{
    uint32_t scale = g->values[from].integers_scale;
    if (elements_of(&g->values[scale]) > 1) scale = lower_vector(g, scale, channels, phases, crd);
    if (integers == KERB_NO_VALUE || scale == KERB_NO_VALUE) return false;
    KerbValue *v = &g->values[lowered];
    v->dequantized = true;
    v->integers = integers;
    v->integers_scale = scale;
    v->integers_zero = KERB_NO_VALUE;
    v->integers_axis = 0;
    return true;
}

static uint32_t lower_weights(KerbGraph *g, uint32_t id, const KerbLowerAxis axes[2])
{
    const uint32_t from = g->nodes[id].inputs[1], lowered = lower_kernel(g, id, axes, from);
    const int64_t groups = g->nodes[id].attrs.conv.group, per_group = g->values[from].dims[1], phases = axes[0].stride * axes[0].stride;
    if (lowered == KERB_NO_VALUE || !has_integers(g, &g->values[from], 1, per_group)) return lowered;
    const uint32_t integers = lower_kernel(g, id, axes, g->values[from].integers);
    return keep_integers(g, from, lowered, integers, per_group * groups, phases, groups > 1) ? lowered : KERB_NO_VALUE;
}

static uint32_t lower_bias(KerbGraph *g, uint32_t from, int64_t channels, int64_t phases, bool crd)
{
    const uint32_t lowered = lower_vector(g, from, channels, phases, crd);
    if (lowered == KERB_NO_VALUE || !has_integers(g, &g->values[from], 0, channels)) return lowered;
    const uint32_t integers = lower_vector(g, g->values[from].integers, channels, phases, crd);
    return keep_integers(g, from, lowered, integers, channels, phases, crd) ? lowered : KERB_NO_VALUE;
}

/* The Conv itself, writing `output`. */
static uint32_t lower_conv(KerbGraph *g, uint32_t id, const KerbLowerAxis axes[2], uint32_t output)
{
    KerbConvAttrs conv = g->nodes[id].attrs.conv;
    uint32_t inputs[3] = { g->nodes[id].inputs[0], lower_weights(g, id, axes), KERB_NO_VALUE };
    int64_t phases = axes[0].stride * axes[0].stride, channels = kerb_pass_conv_outputs(g, &g->nodes[id]);
    bool has_bias = kerb_node_input(g, &g->nodes[id], 2), crd = conv.group > 1;
    if (has_bias) inputs[2] = lower_bias(g, g->nodes[id].inputs[2], channels, phases, crd);
    if (inputs[1] == KERB_NO_VALUE || (has_bias && inputs[2] == KERB_NO_VALUE)) return KERB_NO_NODE;
    if (conv.act.kind == KERB_ACT_PRELU) {
        KerbTensor slope = kerb_value_tensor(&g->values[conv.act.slope]);
        if (kerb_tensor_elements(&slope) > 1) conv.act.slope = lower_vector(g, conv.act.slope, channels, phases, crd);
        if (conv.act.slope == KERB_NO_VALUE) return KERB_NO_NODE;
    }
    for (int i = 0; i < 2; i++) {
        conv.window.kernel[i] = axes[i].taps;
        conv.window.stride[i] = 1;
        conv.window.dilation[i] = axes[i].conv_dilation;
        conv.window.pad_begin[i] = axes[i].m_max;
        conv.window.pad_end[i] = axes[i].pad_end;
        conv.output_padding[i] = 0;
    }
    uint32_t node = kerb_pass_node(g, KERB_OP_CONV, g->nodes[id].name, "conv", has_bias ? 3 : 2, inputs, output);
    if (node != KERB_NO_NODE) g->nodes[node].attrs.conv = conv;
    return node;
}

static bool lower(KerbGraph *g, uint32_t id, const KerbLowerAxis axes[2])
{
    uint32_t y = g->nodes[id].outputs[0], at = y;
    int64_t s = axes[0].stride;
    bool shuffles = s > 1, crops = false;
    for (int i = 0; i < 2; i++) crops = crops || axes[i].crop || axes[i].q * s != axes[i].out;
    g->nodes[id].dead = true;
    if (crops) {
        const int64_t starts[2] = { axes[0].crop, axes[1].crop }, lengths[2] = { axes[0].out, axes[1].out };
        uint32_t whole = kerb_pass_value(g, y, "whole", KERB_F32);
        if (whole == KERB_NO_VALUE || !kerb_pass_crop(g, g->nodes[id].name, whole, starts, lengths, at)) return false;
        at = whole;
    }
    if (shuffles) {
        uint32_t phases = kerb_pass_value(g, y, "phases", KERB_F32);
        uint32_t node = phases == KERB_NO_VALUE ? KERB_NO_NODE : kerb_pass_node(g, KERB_OP_DEPTH_TO_SPACE, g->nodes[id].name, "shuffle", 1, &phases, at);
        if (node == KERB_NO_NODE) return false;
        g->nodes[node].attrs.block.size = s;
        g->nodes[node].attrs.block.crd = g->nodes[id].attrs.conv.group > 1;
        at = phases;
    }
    return lower_conv(g, id, axes, at) != KERB_NO_NODE;
}

KerbStatus kerb_pass_lower_conv_transpose(KerbGraph *g, int *changes, KerbError *error)
{
    for (int i = 0, n = g->n_nodes; i < n; i++) { /* not those that are added */
        KerbLowerAxis axes[2];
        if (g->nodes[i].dead || g->nodes[i].op != KERB_OP_CONV_TRANSPOSE || !plan(g, &g->nodes[i], axes)) continue;
        if (!lower(g, (uint32_t)i, axes)) return kerb_pass_out_of_memory(error);
        ++*changes;
    }
    return kerb_pass_finish(g, *changes, error);
}
