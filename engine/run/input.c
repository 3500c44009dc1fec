/* SPDX-License-Identifier: MIT */
/* The picture input of a model: which axis is what, type, size, colour, mean and std. Says what it had to assume. */
#include "run/model.h"

#include "base/log.h"

#include <math.h>
#include <string.h>

#define NEEDS "Kerb runs networks that take one picture, 1 x 3 x height x width or 1 x height x width x 3 (or 1 channel in place of 3)"

static KerbStatus check_count(const KerbModel *model, KerbError *error)
{
    const KerbGraph *g = model->graph;
    if (g->n_inputs == 1) return KERB_OK;
    char list[1024] = "";
    for (int i = 0; i < g->n_inputs; i++) {
        const KerbValue *v = kerb_graph_value(g, g->inputs[i]);
        char dims[96];
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s (%s)", i ? ", " : "", v->name,
                 v->rank < 0 ? "?" : kerb_dims_text(v->rank, v->dims, dims, sizeof dims));
    }
    return kerb_fail(error, KERB_ERROR_ASSET, "%s: the model has %d inputs%s%s; " NEEDS, model->path, g->n_inputs, g->n_inputs ? ": " : "",
                     list);
}

static bool is_channels(int64_t n) { return n == 1 || n == 3; }

/* Colour pictures first: 1 x 1 x H x 3 is nothing that anybody exports as NCHW. */
static KerbLayout guess_layout(const KerbValue *v)
{
    if (v->dims[1] == 3) return KERB_LAYOUT_NCHW;
    if (v->dims[3] == 3) return KERB_LAYOUT_NHWC;
    if (v->dims[1] == 1) return KERB_LAYOUT_NCHW;
    if (v->dims[3] == 1) return KERB_LAYOUT_NHWC;
    return KERB_LAYOUT_AUTO;
}

static KerbStatus find_layout(KerbModel *model, const KerbValue *v, KerbError *error)
{
    char dims[96] = "of unknown rank";
    if (v->rank >= 0) kerb_dims_text(v->rank, v->dims, dims, sizeof dims);
    if (v->rank != 4)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: the input \"%s\" is %s, not a picture; " NEEDS, model->path, v->name, dims);
    if (v->dims[0] != 1 && v->dims[0] != KERB_DIM_UNKNOWN)
        return kerb_fail(error, KERB_ERROR_ASSET,
                         "%s: the input \"%s\" is %s: a batch of %lld pictures; export the model with batch size 1 (or "
                         "a dynamic one)",
                         model->path, v->name, dims, (long long)v->dims[0]);
    KerbLayout layout = model->card->layout ? model->card->layout : guess_layout(v);
    if (layout == KERB_LAYOUT_AUTO && v->dims[1] == KERB_DIM_UNKNOWN) {
        layout = KERB_LAYOUT_NCHW;
        kerb_model_assume(model, "layout NCHW");
    }
    model->input.nhwc = layout == KERB_LAYOUT_NHWC;
    int64_t channels = layout == KERB_LAYOUT_AUTO ? 0 : v->dims[model->input.nhwc ? 3 : 1];
    if (channels == KERB_DIM_UNKNOWN) channels = model->card->color == KERB_COLOR_GRAY ? 1 : 3;
    if (!is_channels(channels))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: the input \"%s\" is %s, where no axis can be the channels of a picture%s; " NEEDS,
                         model->path, v->name, dims, model->card->layout ? " (the card says which axis)" : "");
    model->input.channels = (int)channels;
    int64_t h = v->dims[model->input.nhwc ? 1 : 2], w = v->dims[model->input.nhwc ? 2 : 3];
    if (h == 0 || w == 0 || h > KERB_MAX_SIDE_PX || w > KERB_MAX_SIDE_PX)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: the input \"%s\" is %s: sides must be 1 to %d pixels", model->path, v->name, dims,
                         KERB_MAX_SIDE_PX);
    model->input.height_px = h < 0 ? 0 : (int)h;
    model->input.width_px = w < 0 ? 0 : (int)w;
    return KERB_OK;
}

/* uint8, half and double inputs: a float input in front, and a Cast (after a Round for integers, since Cast truncates). */
static KerbStatus make_float(KerbModel *model, KerbError *error)
{
    KerbGraph *g = model->graph;
    uint32_t old = g->inputs[0];
    KerbValue before = *kerb_graph_value(g, old);
    model->input.name = before.name;
    model->input.dtype = before.dtype;
    if (before.dtype == KERB_F32) return KERB_OK;
    if (before.dtype != KERB_U8 && before.dtype != KERB_F16 && before.dtype != KERB_BF16 && before.dtype != KERB_F64)
        return kerb_fail(error, KERB_ERROR_ASSET,
                         "%s: the input \"%s\" has the type %s; pictures are read as f32, f16, bf16, f64 or u8: export "
                         "the model with one of these",
                         model->path, before.name, kerb_dtype_name(before.dtype));
    uint32_t from = kerb_graph_add_value(g, kerb_graph_name(g, before.name, "picture"), KERB_F32, before.rank, before.dims);
    uint32_t picture = from;
    if (from == KERB_NO_VALUE) goto fail;
    memcpy(kerb_graph_value(g, from)->symbols, before.symbols, sizeof before.symbols);
    if (before.dtype == KERB_U8) {
        uint32_t rounded = kerb_graph_add_value(g, kerb_graph_name(g, before.name, "rounded"), KERB_F32, before.rank, before.dims);
        uint32_t round = kerb_graph_add_node(g, KERB_OP_UNARY, kerb_graph_name(g, before.name, "round"), 1, &from, 1, &rounded);
        if (rounded == KERB_NO_VALUE || round == KERB_NO_NODE) goto fail;
        g->nodes[round].attrs.unary.kind = KERB_UNARY_ROUND;
        from = rounded;
    }
    uint32_t cast = kerb_graph_add_node(g, KERB_OP_CAST, kerb_graph_name(g, before.name, "cast"), 1, &from, 1, &old);
    if (cast == KERB_NO_NODE) goto fail;
    g->nodes[cast].attrs.cast.to = before.dtype;
    g->inputs[0] = picture;
    return kerb_graph_sort(g, error);
fail:
    return kerb_fail(error, KERB_ERROR_MEMORY, "%s: no memory to rewrite the input", model->path);
}

/* One side: the model's own size, the configuration's, the card's. */
static KerbStatus choose_side(KerbModel *model, const char *side, int fixed, int configured, int card, int *wanted, KerbError *error)
{
    if (fixed && configured && configured != fixed)
        return kerb_fail(error, KERB_ERROR_ARGUMENT,
                         "%s: the model's input has a fixed %s of %d, so %d is not possible; leave it away, or export "
                         "the model with a dynamic %s",
                         model->path, side, fixed, configured, side);
    if (fixed && card && card != fixed)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: \"%s\" is %d, but the input of %s is fixed at %d; correct the card",
                         model->card->where, side, card, model->path, fixed);
    *wanted = configured ? configured : card;
    return KERB_OK;
    return KERB_OK;
}

static KerbStatus choose_color(KerbModel *model, const KerbConfig *config, KerbError *error)
{
    KerbModelInput *in = &model->input;
    bool by_config = config->color != KERB_COLOR_AUTO;
    KerbColor color = by_config ? config->color : model->card->color;
    if (color != KERB_COLOR_AUTO && (color == KERB_COLOR_GRAY) != (in->channels == 1))
        return kerb_fail(error, by_config ? KERB_ERROR_ARGUMENT : KERB_ERROR_ASSET,
                         "%s: the color is %s, but the input of %s has %d channel%s", by_config ? "configuration" : model->card->where,
                         color == KERB_COLOR_GRAY ? "GRAY" : "RGB or BGR", model->path, in->channels, in->channels == 1 ? "" : "s");
    if (color == KERB_COLOR_AUTO && in->channels == 3) kerb_model_assume(model, "channels in the order RGB");
    in->color = color != KERB_COLOR_AUTO ? color : in->channels == 1 ? KERB_COLOR_GRAY : KERB_COLOR_RGB;
    in->fit = config->fit != KERB_FIT_AUTO ? config->fit : model->card->fit;
    if (in->fit == KERB_FIT_AUTO) {
        in->fit = KERB_FIT_STRETCH;
        kerb_model_assume(model, "frames stretched to the input's shape");
    }
    return KERB_OK;
}

static KerbStatus choose_norm(KerbModel *model, const KerbConfig *config, KerbError *error)
{
    KerbModelInput *in = &model->input;
    const KerbCard *card = model->card;
    if (config->has_norm || card->has_norm) {
        if (!config->has_norm && card->n_norm > in->channels)
            return kerb_fail(error, KERB_ERROR_ASSET, "%s: mean or std has %d values, but the input of %s has %d channel%s", card->where,
                             card->n_norm, model->path, in->channels, in->channels == 1 ? "" : "s");
        memcpy(in->mean, config->has_norm ? config->mean : card->mean, sizeof in->mean);
        memcpy(in->std, config->has_norm ? config->std : card->std, sizeof in->std);
        return KERB_OK;
    }
    bool raw = in->dtype == KERB_U8;
    for (int i = 0; i < 3; i++) in->std[i] = raw ? 1 : 255;
    kerb_model_assume(model, raw ? "pixel values 0..255 as they are" : "pixel values / 255, mean 0, std 1");
    return KERB_OK;
}

KerbStatus kerb_model_find_input(KerbModel *model, const KerbConfig *config, KerbError *error)
{
    KerbModelInput *in = &model->input;
    KerbStatus status = check_count(model, error);
    if (status == KERB_OK) status = find_layout(model, kerb_graph_value(model->graph, model->graph->inputs[0]), error);
    if (status == KERB_OK) status = make_float(model, error);
    if (status == KERB_OK)
        status = choose_side(model, "width", in->width_px, config->network_width_px, model->card->width_px, &in->wanted_width_px, error);
    if (status == KERB_OK)
        status =
            choose_side(model, "height", in->height_px, config->network_height_px, model->card->height_px, &in->wanted_height_px, error);
    if (status == KERB_OK) status = choose_color(model, config, error);
    if (status == KERB_OK) status = choose_norm(model, config, error);
    in->longer_side_px = model->card->longer_side_px ? model->card->longer_side_px : KERB_FREE_SIDE_PX;
    in->multiple = model->card->multiple ? model->card->multiple : KERB_FREE_MULTIPLE;
    return status;
}

static int to_multiple(double side, int multiple)
{
    double n = floor(side / multiple + 0.5);
    int greatest = KERB_MAX_SIDE_PX / multiple * multiple, rounded = n < 1 ? multiple : (int)fmin(n * multiple, greatest);
    return rounded;
}

bool kerb_model_size(const KerbModel *model, const KerbVideoFormat *format, int *width_px, int *height_px)
{
    const KerbModelInput *in = &model->input;
    int w = in->width_px ? in->width_px : in->wanted_width_px, h = in->height_px ? in->height_px : in->wanted_height_px;
    if (format && !(w && h)) {
        double fw = format->width_px, fh = format->height_px, shrink = fmin(1, in->longer_side_px / fmax(fw, fh));
        if (w) h = to_multiple(w * fh / fw, in->multiple);
        else if (h) w = to_multiple(h * fw / fh, in->multiple);
        else {
            w = to_multiple(fw * shrink, in->multiple);
            h = to_multiple(fh * shrink, in->multiple);
        }
    }
    *width_px = w;
    *height_px = h;
    return w && h;
}
