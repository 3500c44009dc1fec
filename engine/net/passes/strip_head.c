/* SPDX-License-Identifier: MIT */
/* The end of a segmentation network turns scores into labels: Softmax, Resize, ArgMax and their like. The tail does that at the frame's
 * resolution and in one pass, so it is taken off, and what was taken off is written into KerbHead. Walked from each output towards the input:
 *
 *   ArgMax                      the tail's argmax. Below it: scores.
 *   Greater(x, number)          the tail's threshold (one channel).
 *   Softmax, LogSoftmax, Sigmoid  argmax is the same without, a threshold moves to logit(t). Not below a linear Resize: there the mean of
 *                               probabilities is meant, not that of logits. Below a nearest one: yes, it commutes. One of them only.
 *   Resize, linear or nearest   upsampling of the spatial axes; once. Their weights are convex, so the tail may do it anywhere. Labels that
 *                               are resized: nearest only. Nearest only where it means "the cell that the pixel lies in", which the tail does.
 *   Resize with zero_border     (FCN's bilinear ConvTranspose) equals the plain one times a fade towards the border that is positive and the
 *                               same for all classes: argmax does not see it. Two classes and more only; the confidence there may differ.
 *   Slice of a linear half_pixel Resize   the same, with where the crop began.
 *   QuantizeLinear, DequantizeLinear on such a Resize   with it: scores of a quantised model are not rounded once more after they were resized.
 *   Transpose, Reshape, Squeeze, Unsqueeze, Flatten, Identity, Cast   follow where the classes and pixels are.                           */
#include <math.h>

#include "net/passes/head.h"

typedef struct KerbStrip {
    const KerbGraph *g;
    KerbHead *head;
    uint32_t value;
    int channel_axis;  /* of value; -1: not known yet */
    bool labels;       /* ArgMax was taken off */
    bool threshold;    /* Greater was taken off */
    bool activation;   /* a Softmax, LogSoftmax or Sigmoid was taken off */
} KerbStrip;

static bool under_linear(const KerbStrip *s) { return s->head->stripped_resize && s->head->resize_mode != KERB_RESIZE_NEAREST; }

static bool strip_arg(KerbStrip *s, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(s->g, n, 0);
    int axis = (int)(n->attrs.arg.axis < 0 ? n->attrs.arg.axis + x->rank : n->attrs.arg.axis);
    if (n->attrs.arg.is_min || n->attrs.arg.select_last || s->labels || s->threshold || s->activation || under_linear(s)) return false;
    if (x->rank < 3 || (axis != x->rank - 3 && axis != x->rank - 1) || x->dims[axis] < 2) return false;
    s->labels = true;
    s->channel_axis = axis;
    return true;
}

static bool strip_greater(KerbStrip *s, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(s->g, n, 0);
    KerbBinary kind = n->attrs.binary.kind;
    double t;
    if ((kind != KERB_BINARY_GREATER && kind != KERB_BINARY_GREATER_EQUAL) || s->labels || s->threshold || s->activation || under_linear(s)) return false;
    if (!kerb_pass_scalar(s->g, n->inputs[1], &t) || !kerb_dtype_is_float(x->dtype) || x->rank != 4 || (x->dims[1] != 1 && x->dims[3] != 1)) return false;
    s->threshold = true;
    s->head->threshold = kind == KERB_BINARY_GREATER ? nextafterf((float)t, INFINITY) : (float)t; /* the tail compares with >= */
    return true;
}

static bool strip_softmax(KerbStrip *s, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(s->g, n, 0);
    int axis = (int)(n->attrs.softmax.axis < 0 ? n->attrs.softmax.axis + x->rank : n->attrs.softmax.axis);
    if (s->activation || s->threshold || under_linear(s) || axis >= x->rank || x->dims[axis] < 2) return false;
    if (s->channel_axis >= 0 ? s->channel_axis != axis : x->rank != 3 && (x->rank != 4 || (axis != 1 && axis != 3))) return false;
    s->channel_axis = axis;
    s->activation = true;
    s->head->stripped_activation = !n->attrs.softmax.log;
    return true;
}

static bool strip_sigmoid(KerbStrip *s)
{
    if (s->activation || under_linear(s)) return false;
    s->activation = s->head->stripped_activation = true;
    if (s->threshold) {
        double t = (double)s->head->threshold;
        s->head->threshold = t <= 0 ? -INFINITY : t >= 1 ? INFINITY : (float)log(t / (1 - t));
    }
    return true;
}

/* Nearest neighbours that are the cells which pixels lie in, for whole scales; the tail's own rule for others. */
static bool nearest_is_the_cell(const KerbResizeAttrs *r)
{
    bool rounds = r->nearest == KERB_NEAREST_ROUND_PREFER_FLOOR || r->nearest == KERB_NEAREST_ROUND_PREFER_CEIL;
    switch (r->coordinates) {
    case KERB_COORD_ASYMMETRIC: return r->nearest == KERB_NEAREST_FLOOR;
    case KERB_COORD_HALF_PIXEL:
    case KERB_COORD_HALF_PIXEL_SYMMETRIC:
    case KERB_COORD_PYTORCH_HALF_PIXEL:
    case KERB_COORD_ALIGN_CORNERS: return rounds;
    default: return false;
    }
}

static bool strip_resize(KerbStrip *s, const KerbNode *n)
{
    const KerbResizeAttrs *r = &n->attrs.resize;
    const KerbValue *x = kerb_node_input(s->g, n, 0), *y = kerb_graph_value(s->g, s->value);
    int channel = s->channel_axis >= 0 ? s->channel_axis : 1, h = channel == 1 ? 2 : 1, w = channel == 3 ? 2 : 3;
    bool linear = r->mode == KERB_RESIZE_LINEAR, integer = !kerb_dtype_is_float(x->dtype);
    if (s->head->stripped_resize || x->rank != 4 || (channel != 1 && channel != 3) || r->coordinates == KERB_COORD_TF_CROP_AND_RESIZE) return false;
    if (r->scale[0] != 1 || r->scale[channel] != 1 || r->scale[h] < 1 || r->scale[w] < 1) return false;
    if (linear ? integer : r->mode != KERB_RESIZE_NEAREST || !nearest_is_the_cell(r)) return false;
    if (r->zero_border && (x->dims[channel] < 2 || s->threshold)) return false;
    s->head->stripped_resize = true;
    s->head->resize_mode = r->mode;
    s->head->coordinates = r->coordinates;
    s->head->scale_y = r->scale[h];
    s->head->scale_x = r->scale[w];
    s->head->out_height = y->dims[h];
    s->head->out_width = y->dims[w];
    return true;
}

/* The crop behind FCN's upsampling, together with it. */
static bool strip_crop(KerbStrip *s, const KerbNode *n)
{
    const KerbNode *resize = kerb_pass_producer(s->g, n->inputs[0]);
    const KerbValue *y = kerb_graph_value(s->g, s->value), *whole = kerb_node_input(s->g, n, 0);
    int channel = s->channel_axis >= 0 ? s->channel_axis : 1, h = channel == 1 ? 2 : 1, w = channel == 3 ? 2 : 3;
    int64_t begin[KERB_MAX_RANK];
    if (!resize || resize->op != KERB_OP_RESIZE || y->rank != 4 || (channel != 1 && channel != 3) || !kerb_pass_slice_begin(s->g, n, begin)) return false;
    if (resize->attrs.resize.mode != KERB_RESIZE_LINEAR || resize->attrs.resize.coordinates != KERB_COORD_HALF_PIXEL) return false;
    if (y->dims[0] != whole->dims[0] || y->dims[channel] != whole->dims[channel] || !strip_resize(s, resize)) return false;
    s->head->crop_y = begin[h];
    s->head->crop_x = begin[w];
    s->value = resize->inputs[0];
    return true;
}

/* What rounds the resized scores of a quantised model again, together with the Resize. */
static bool strip_requantised(KerbStrip *s, const KerbNode *n)
{
    const KerbNode *q = kerb_pass_producer(s->g, n->inputs[0]), *resize = q && q->op == KERB_OP_QUANTIZE ? kerb_pass_producer(s->g, q->inputs[0]) : NULL;
    const uint32_t rounded = s->value;
    if (!resize || resize->op != KERB_OP_RESIZE || !kerb_dtype_is_float(kerb_node_input(s->g, q, 0)->dtype)) return false;
    s->value = q->inputs[0];
    if (strip_resize(s, resize)) s->value = resize->inputs[0];
    else s->value = rounded;
    return s->value != rounded;
}

static bool strip_cast(const KerbStrip *s, const KerbNode *n)
{
    KerbDtype from = kerb_node_input(s->g, n, 0)->dtype; /* rounding scores to integers is no detail */
    return !kerb_dtype_is_float(from) || kerb_dtype_is_float(n->attrs.cast.to);
}

/* Height must stay before width. */
static bool strip_transpose(KerbStrip *s, const KerbNode *n)
{
    const int64_t *perm = n->attrs.transpose.perm;
    int rank = n->attrs.transpose.n, channel = s->channel_axis;
    if (channel < 0) { /* only the two that everybody means: to channels-last and back */
        bool to_last = rank == 4 && perm[0] == 0 && perm[1] == 2 && perm[2] == 3, to_first = rank == 4 && perm[0] == 0 && perm[1] == 3 && perm[2] == 1;
        if (!to_last && !to_first) return false;
        channel = to_last ? 3 : 1;
    }
    for (int i = 0, last = -1; i < rank; i++) {
        if (i == channel) continue;
        if (perm[i] < last) return false;
        last = (int)perm[i];
    }
    s->channel_axis = (int)perm[channel];
    return true;
}

static int64_t product(const KerbValue *v, int from, int to)
{
    int64_t p = 1;
    for (int i = from; i < to; i++) p *= v->dims[i];
    return p;
}

/* The elements keep their order, so the classes' axis is where as many elements lie behind it. */
static bool strip_reshape(KerbStrip *s, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(s->g, n, 0), *y = kerb_graph_value(s->g, s->value);
    int channel = -1, from = 0;
    if ((x->rank != 4 && x->rank != 3) || x->dims[0] != 1) return false;
    if (s->channel_axis >= 0) {
        int64_t behind = product(y, s->channel_axis + 1, y->rank), classes = y->dims[s->channel_axis];
        for (int i = 1; i < x->rank && channel < 0; i++)
            if (x->dims[i] == classes && product(x, i + 1, x->rank) == behind) channel = i;
        if (channel < 0) return false;
    } else if (y->rank >= 2 && x->rank == 4 && y->dims[y->rank - 1] == x->dims[2] * x->dims[3] && y->dims[y->rank - 2] == x->dims[1]) {
        channel = 1; /* (1, C, h, w) -> (1, C, h*w) */
    } else { /* axes of length 1 come and go */
        for (int i = 0; i < y->rank; i++) {
            if (y->dims[i] == 1) continue;
            while (from < x->rank && x->dims[from] == 1) from++;
            if (from == x->rank || x->dims[from++] != y->dims[i]) return false;
        }
    }
    s->channel_axis = channel;
    return true;
}

static bool strip_step(KerbStrip *s)
{
    const KerbNode *n = kerb_pass_producer(s->g, s->value);
    bool steps = false; /* to input 0 */
    if (!n || n->outputs[0] != s->value) return false;
    switch (n->op) {
    case KERB_OP_ARG: steps = strip_arg(s, n); break;
    case KERB_OP_BINARY: steps = strip_greater(s, n); break;
    case KERB_OP_SOFTMAX: steps = strip_softmax(s, n); break;
    case KERB_OP_UNARY: steps = n->attrs.unary.kind == KERB_UNARY_SIGMOID && strip_sigmoid(s); break;
    case KERB_OP_RESIZE: steps = strip_resize(s, n); break;
    case KERB_OP_SLICE: return strip_crop(s, n);
    case KERB_OP_DEQUANTIZE: return strip_requantised(s, n);
    case KERB_OP_IDENTITY: steps = true; break;
    case KERB_OP_CAST: steps = strip_cast(s, n); break;
    case KERB_OP_TRANSPOSE: steps = strip_transpose(s, n); break;
    case KERB_OP_RESHAPE:
    case KERB_OP_SQUEEZE:
    case KERB_OP_UNSQUEEZE:
    case KERB_OP_FLATTEN: steps = strip_reshape(s, n); break;
    default: break;
    }
    if (steps) s->value = n->inputs[0];
    return steps;
}

KerbStatus kerb_pass_strip_head(KerbGraph *g, int *changes, KerbError *error)
{
    if (g->n_heads) return KERB_OK; /* done in an earlier round */
    KerbHead *heads = kerb_arena_alloc(g->arena, (size_t)g->n_outputs * sizeof *heads);
    if (!heads) return kerb_pass_out_of_memory(error);
    for (int i = 0; i < g->n_outputs; i++) {
        KerbHead *head = &heads[i];
        KerbStrip s = { .g = g, .head = head, .value = g->outputs[i], .channel_axis = -1 };
        while (strip_step(&s)) ++*changes;
        if (!kerb_pass_producer(g, s.value)) { /* an input or a constant: no backend computes that */
            *head = (KerbHead){ 0 };
            s = (KerbStrip){ .g = g, .head = head, .value = g->outputs[i], .channel_axis = -1 };
        }
        head->name = g->values[g->outputs[i]].name;
        head->channel_axis = s.channel_axis;
        head->value = g->outputs[i] = s.value;
        KerbStatus status = kerb_head_classify(g, i, head, s.labels, s.threshold, error);
        if (status != KERB_OK) return status;
    }
    g->heads = heads;
    g->n_heads = g->n_outputs;
    return kerb_pass_finish(g, *changes ? *changes : 1, error);
}
