/* SPDX-License-Identifier: MIT */
#include "cuda/net/forecast.h"

#include <stdlib.h>
#include <string.h>

typedef struct KerbForecast {
    const KerbGraph *g;
    KerbPrecision precision;
    uint32_t *slot; /* by value: the concatenation's output that it is written into, or KERB_NO_VALUE */
    bool *integers; /* by value: i8 on the device */
    bool *output;   /* by value: of the graph */
    KerbForecastFn fn;
    void *user;
} KerbForecast;

static KerbDtype kerb_forecast_type(const KerbForecast *f, uint32_t id)
{
    if (f->integers[id]) return KERB_I8;
    switch (f->precision) {
    case KERB_PRECISION_BF16: return KERB_BF16;
    case KERB_PRECISION_F16:
    case KERB_PRECISION_INT8: return KERB_F16; /* what is not quantised */
    default: return KERB_F32;
    }
}
static int64_t kerb_forecast_unit(KerbDtype type) { return 16 / (int64_t)kerb_dtype_bytes(type); }

/* As step_concat.c plans them: slices begin at multiples of the pitch unit, only the last may end between two. */
static void kerb_forecast_slots(KerbForecast *f)
{
    const KerbGraph *g = f->g;
    for (int i = 0; i < g->n_nodes; i++) {
        const KerbNode *n = &g->nodes[i];
        if (n->dead || n->op != KERB_OP_CONCAT || g->values[n->outputs[0]].rank != 4 || (n->attrs.axis != 1 && n->attrs.axis != -3)) continue;
        const int64_t unit = kerb_forecast_unit(kerb_forecast_type(f, n->outputs[0]));
        int64_t channel = 0;
        for (int j = 0; j < n->n_inputs; j++) {
            const uint32_t x = n->inputs[j];
            const KerbValue *v = &g->values[x];
            bool aligned = channel % unit == 0 && (v->dims[1] % unit == 0 || j == n->n_inputs - 1);
            if (aligned && !f->output[x] && v->producer != KERB_NO_NODE && f->slot[x] == KERB_NO_VALUE) f->slot[x] = n->outputs[0];
            channel += v->dims[1];
        }
    }
}

/* The value as a picture; *channels: those that are its own. */
static KerbTensor kerb_forecast_place(const KerbForecast *f, uint32_t id, int *channels)
{
    const KerbValue *v = &f->g->values[id];
    const KerbDtype type = kerb_forecast_type(f, id);
    const int64_t unit = kerb_forecast_unit(type);
    uint32_t root = id;
    bool last = true; /* the padding behind it is its own */
    for (int depth = 0; f->slot[root] != KERB_NO_VALUE && depth < f->g->n_nodes; depth++) {
        const KerbNode *concat = &f->g->nodes[f->g->values[f->slot[root]].producer];
        last = last && concat->inputs[concat->n_inputs - 1] == root;
        root = f->slot[root];
    }
    *channels = (int)(last ? (v->dims[1] + unit - 1) / unit * unit : v->dims[1]);
    KerbTensor t = { .dtype = type, .rank = 4 };
    memcpy(t.dims, v->dims, sizeof t.dims);
    t.strides[3] = (f->g->values[root].dims[1] + unit - 1) / unit * unit;
    t.strides[2] = t.strides[3] * v->dims[3];
    t.strides[1] = 1;
    t.strides[0] = t.strides[2] * v->dims[2];
    return t;
}

static bool kerb_forecast_understood(const KerbGraph *g, const KerbNode *n)
{
    const KerbValue *x = kerb_node_input(g, n, 0), *w = kerb_node_input(g, n, 1), *z = kerb_node_input(g, n, 3);
    return x && x->rank == 4 && kerb_value_is_constant(w) && w->rank == 4 && (!z || z->rank == 4) && g->values[n->outputs[0]].rank == 4;
}

typedef struct KerbForecastSite {
    uint32_t x, y, z;
    float y_scale, z_scale;
} KerbForecastSite;

/* As the backend takes them (int8.c). */
static bool kerb_forecast_symmetric(const KerbQuant *q) { return q->dtype == KERB_I8 && q->zero == 0; }

/* The values that are read and written: the integers' where the node is quantised. */
static KerbForecastSite kerb_forecast_site(KerbForecast *f, const KerbNode *n)
{
    KerbConvQuant q;
    const bool has_z = kerb_node_input(f->g, n, 3) != NULL;
    KerbForecastSite s = { n->inputs[0], n->outputs[0], has_z ? n->inputs[3] : KERB_NO_VALUE, 1, 1 };
    if (f->precision != KERB_PRECISION_INT8 || !kerb_conv_quant(f->g, n, &q) || !kerb_forecast_symmetric(&q.x)) return s;
    s.x = q.x.value;
    f->integers[s.x] = true;
    if (!kerb_forecast_symmetric(&q.y) || (has_z && !kerb_forecast_symmetric(&q.z))) return s;
    s.y = q.y.value;
    f->integers[s.y] = true;
    s.y_scale = 1 / q.y.scale;
    if (!has_z) return s;
    s.z = q.z.value;
    f->integers[s.z] = true;
    s.z_scale = q.z.scale;
    return s;
}

static bool kerb_forecast_node(KerbForecast *f, const KerbNode *n)
{
    char why[128] = "";
    KerbConvProblem problem;
    int z_channels;
    if (!kerb_forecast_understood(f->g, n)) return f->fn(f->user, n, NULL, "weights that are computed, or not two-dimensional");
    const KerbForecastSite s = kerb_forecast_site(f, n);
    KerbConvSite site = { .tf32 = f->precision == KERB_PRECISION_TF32, .y_scale = s.y_scale, .z_scale = s.z_scale };
    const KerbTensor x = kerb_forecast_place(f, s.x, &site.x_channels), y = kerb_forecast_place(f, s.y, &site.y_channels);
    const KerbTensor z = kerb_forecast_place(f, s.z == KERB_NO_VALUE ? s.x : s.z, &z_channels);
    site.x = &x;
    site.y = &y;
    site.z = s.z == KERB_NO_VALUE ? NULL : &z;
    bool is_one = kerb_conv_problem(f->g, n, &site, &problem, why, sizeof why);
    return f->fn(f->user, n, is_one ? &problem : NULL, why);
}

KerbStatus kerb_conv_forecast(const KerbGraph *g, KerbPrecision precision, KerbForecastFn fn, void *user, KerbError *error)
{
    const size_t n = (size_t)g->n_values + 1;
    KerbForecast f = { .g = g, .precision = precision, .fn = fn, .user = user, .slot = malloc(n * sizeof *f.slot), .integers = calloc(n, 1), .output = calloc(n, 1) };
    bool fine = f.slot && f.integers && f.output;
    for (size_t i = 0; fine && i < n; i++) f.slot[i] = KERB_NO_VALUE;
    for (int i = 0; fine && i < g->n_outputs; i++) f.output[g->outputs[i]] = true;
    if (fine) kerb_forecast_slots(&f);
    for (int i = 0; fine && i < g->n_nodes; i++) {
        const KerbNode *node = &g->nodes[i];
        if (!node->dead && (node->op == KERB_OP_CONV || node->op == KERB_OP_CONV_TRANSPOSE)) fine = kerb_forecast_node(&f, node);
    }
    free(f.slot);
    free(f.integers);
    free(f.output);
    return fine ? KERB_OK : kerb_fail(error, KERB_ERROR_MEMORY, "no memory to foresee a network's convolutions");
}

bool kerb_conv_is_depthwise(const KerbConvProblem *p) { return !p->transposed && p->group > 1 && p->group == p->c; }
