/* SPDX-License-Identifier: MIT */
#include "sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Layout {
    const KerbGraph *g;
    KerbPrecision precision;
    uint32_t *slot; /* by value: the concatenation's output that it is written into, or KERB_NO_VALUE */
    bool *integers; /* by value: i8 on the device */
} Layout;

static KerbDtype picture_type(KerbPrecision precision)
{
    switch (precision) {
    case KERB_PRECISION_BF16: return KERB_BF16;
    case KERB_PRECISION_F16:
    case KERB_PRECISION_INT8: return KERB_F16; /* what is not quantised */
    default: return KERB_F32;
    }
}
static int64_t pitch_unit(KerbDtype type) { return 16 / (int64_t)kerb_dtype_bytes(type); }

/* As the compiler plans them (cuda/net/step_concat.c): slices begin at multiples of the pitch unit, only the last may end between two. */
static void plan_slots(Layout *l)
{
    const KerbGraph *g = l->g;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead || n->op != KERB_OP_CONCAT || g->values[n->outputs[0]].rank != 4 || (n->attrs.axis != 1 && n->attrs.axis != -3)) continue;
        const int64_t unit = pitch_unit(picture_type(l->precision));
        int64_t channel = 0;
        for (int j = 0; j < n->n_inputs; j++) {
            const KerbValue *v = &g->values[n->inputs[j]];
            bool aligned = channel % unit == 0 && (v->dims[1] % unit == 0 || j == n->n_inputs - 1);
            bool output = false;
            for (int o = 0; o < g->n_outputs; o++) output = output || g->outputs[o] == n->inputs[j];
            if (aligned && !output && v->producer != KERB_NO_NODE && l->slot[n->inputs[j]] == KERB_NO_VALUE) l->slot[n->inputs[j]] = n->outputs[0];
            channel += v->dims[1];
        }
    }
}

/* The value as a picture, and the channels that are its own. */
static KerbTensor place(const Layout *l, uint32_t id, int *channels)
{
    const KerbValue *v = &l->g->values[id];
    KerbDtype type = l->integers[id] ? KERB_I8 : picture_type(l->precision);
    int64_t unit = pitch_unit(type), own = v->dims[1];
    uint32_t root = id;
    bool last = true; /* padding behind it is its own */
    for (int depth = 0; l->slot[root] != KERB_NO_VALUE && depth < l->g->n_nodes; depth++) {
        const KerbNode *concat = &l->g->nodes[l->g->values[l->slot[root]].producer];
        last = last && concat->inputs[concat->n_inputs - 1] == root;
        root = l->slot[root];
    }
    int64_t pitch = (l->g->values[root].dims[1] + unit - 1) / unit * unit;
    *channels = (int)(last ? (own + unit - 1) / unit * unit : own);
    KerbTensor t = { .dtype = type, .rank = 4 };
    memcpy(t.dims, v->dims, sizeof t.dims);
    t.strides[3] = pitch;
    t.strides[2] = pitch * v->dims[3];
    t.strides[1] = 1;
    t.strides[0] = t.strides[2] * v->dims[2];
    return t;
}

static bool understood(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(g, n, 0), *w = kerb_node_input(g, n, 1), *z = kerb_node_input(g, n, 3);
    return x && x->rank == 4 && kerb_value_is_constant(w) && w->rank == 4 && (!z || z->rank == 4) && g->values[n->outputs[0]].rank == 4;
}

static bool add(Patterns *p, const KerbConvProblem *problem, const char *name)
{
    for (int i = 0; i < p->n; i++) {
        if (memcmp(&p->list[i].problem, problem, sizeof *problem) != 0) continue;
        p->list[i].count++;
        return true;
    }
    if (p->n == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : 64;
        Pattern *grown = realloc(p->list, (size_t)capacity * sizeof *grown);
        if (!grown) return false;
        p->list = grown;
        p->capacity = capacity;
    }
    bool depthwise = !problem->transposed && problem->group > 1 && problem->group == problem->c;
    p->list[p->n++] = (Pattern){ *problem, name, 1, depthwise };
    return true;
}

static float scalar(const KerbGraph *g, uint32_t value)
{
    float v = 1;
    kerb_value_floats(kerb_graph_value(g, value), &v, 1);
    return v;
}

static bool add_node(Patterns *p, Layout *l, const KerbNode *n)
{
    const KerbGraph *g = l->g;
    KerbConvQuant q;
    KerbConvProblem problem;
    char why[128] = "";
    KerbConvSite site = { .tf32 = l->precision == KERB_PRECISION_TF32, .y_scale = 1, .z_scale = 1 };
    if (!understood(g, n)) {
        p->other++;
        p->other_why = "weights that are computed, or not two-dimensional";
        return true;
    }
    bool quantized = l->precision == KERB_PRECISION_INT8 && kerb_conv_quant(g, n, &q), has_z = kerb_node_input(g, n, 3) != NULL, integers_out = false;
    uint32_t x_id = n->inputs[0], y_id = n->outputs[0], z_id = has_z ? n->inputs[3] : KERB_NO_VALUE;
    if (quantized) {
        integers_out = q.y != KERB_NO_VALUE && (!has_z || q.z != KERB_NO_VALUE);
        x_id = q.x;
        l->integers[x_id] = true;
        if (integers_out) y_id = q.y;
        if (integers_out && has_z) z_id = q.z;
        if (integers_out) l->integers[y_id] = true;
        if (integers_out && has_z) l->integers[z_id] = true;
        site.y_scale = integers_out ? 1 / scalar(g, q.y_scale) : 1;
        site.z_scale = integers_out && has_z ? scalar(g, q.z_scale) : 1;
    }
    int z_channels;
    KerbTensor x = place(l, x_id, &site.x_channels), y = place(l, y_id, &site.y_channels), z = has_z ? place(l, z_id, &z_channels) : x;
    site.x = &x;
    site.y = &y;
    site.z = has_z ? &z : NULL;
    if (kerb_conv_problem(g, n, &site, &problem, why, sizeof why)) {
        problem.y_scale = integers_out ? 0.5f : 1; /* any number: the pattern is the same, and patterns are counted once */
        problem.z_scale = integers_out && has_z ? 0.5f : 1;
        return add(p, &problem, n->name);
    }
    p->other++;
    p->other_why = "not one picture, or negative pads";
    return true;
}

KerbStatus patterns_add(Patterns *patterns, const KerbGraph *g, KerbPrecision precision, KerbError *error)
{
    Layout l = { .g = g, .precision = precision, .slot = malloc((size_t)g->n_values * sizeof *l.slot), .integers = calloc((size_t)g->n_values, 1) };
    bool fine = l.slot && l.integers;
    for (int i = 0; fine && i < g->n_values; i++) l.slot[i] = KERB_NO_VALUE;
    if (fine) plan_slots(&l);
    for (int i = 0; fine && i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (!n->dead && (n->op == KERB_OP_CONV || n->op == KERB_OP_CONV_TRANSPOSE)) fine = add_node(patterns, &l, n);
    }
    free(l.slot);
    free(l.integers);
    return fine ? KERB_OK : kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the patterns of a model");
}

void patterns_free(Patterns *patterns)
{
    free(patterns->list);
    memset(patterns, 0, sizeof *patterns);
}

static const char *activation_name(const KerbConvProblem *p)
{
    static const char *const unaries[] = {
#define NAME(e, name) name,
        KERB_UNARIES(NAME)
#undef NAME
    };
    switch (p->act) {
    case KERB_ACT_UNARY: return p->unary >= 0 && p->unary < KERB_UNARY_COUNT ? unaries[p->unary] : "?";
    case KERB_ACT_CLIP: return "Clip";
    case KERB_ACT_PRELU: return "PRelu";
    default: return "";
    }
}

const char *pattern_text(const KerbConvProblem *p, char *text, size_t bytes)
{
    char type[32], group[24] = "", dilation[24] = "", pitch[48] = "";
    snprintf(type, sizeof type, "%s%s%s", p->tf32 ? "tf32" : kerb_dtype_name((KerbDtype)p->x_type), p->x_type != p->y_type ? "->" : "",
             p->x_type != p->y_type ? kerb_dtype_name((KerbDtype)p->y_type) : "");
    if (p->group > 1) snprintf(group, sizeof group, " groups %d", p->group);
    if (p->dilation[0] > 1 || p->dilation[1] > 1) snprintf(dilation, sizeof dilation, " dilation %dx%d", p->dilation[0], p->dilation[1]);
    if (p->x_pixel > p->c || p->y_pixel > p->k) snprintf(pitch, sizeof pitch, " in pitches %lld->%lld", (long long)p->x_pixel, (long long)p->y_pixel);
    const char *act = activation_name(p);
    snprintf(text, bytes, "%s %s %dx%d stride %d%s%s pads %d,%d,%d,%d %d->%d %dx%d%s%s%s%s%s", type, p->transposed ? "transposed" : "conv", p->kernel[0],
             p->kernel[1], p->stride[0], dilation, group, p->pad_begin[0], p->pad_begin[1], p->pad_end[0], p->pad_end[1], p->c, p->k, p->out_w, p->out_h, pitch,
             p->has_bias ? " +bias" : "", p->has_z ? " +residual" : "", act[0] ? " " : "", act);
    return text;
}
