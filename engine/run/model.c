/* SPDX-License-Identifier: MIT */
/* Models: opening file and card, and building the graph at a size. The input is input.c's, the labels are labels.c's business. */
#include "run/model.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The size at which a model of free size is looked at before any frame is known (a 2:1 picture, as driving networks mostly see). */
#define PROBE_WIDTH_PX 1024
#define PROBE_HEIGHT_PX 512

void kerb_model_assume(KerbModel *model, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    kerb_text_append(&model->assumed, "%s%s", model->assumed.text ? "; " : "", line);
}

void kerb_model_blame(const char *path, KerbError *error)
{
    if (error && !strstr(error->message, path)) kerb_error_prefix(error, "%s: ", path);
}

/* ---- building at a size */

/* The graph's outputs become those of model->outputs, in that order. */
static KerbStatus select_outputs(const KerbModel *model, KerbGraph *g, KerbError *error)
{
    uint32_t chosen[KERB_MAX_HEADS];
    if (model->n_outputs > g->n_outputs || model->n_outputs > KERB_MAX_HEADS)
        return kerb_fail(error, KERB_ERROR_INTERNAL, "%s: %d of %d outputs are chosen", model->path, model->n_outputs, g->n_outputs);
    for (int i = 0; i < model->n_outputs; i++) chosen[i] = g->outputs[model->outputs[i].graph_output];
    memcpy(g->outputs, chosen, (size_t)model->n_outputs * sizeof chosen[0]);
    g->n_outputs = model->n_outputs;
    return kerb_graph_sort(g, error);
}

static KerbStatus bind_size(const KerbModel *model, KerbGraph *g, int width_px, int height_px, KerbError *error)
{
    int64_t nchw[4] = { 1, model->input.channels, height_px, width_px };
    int64_t nhwc[4] = { 1, height_px, width_px, model->input.channels };
    return kerb_graph_bind_input(g, g->inputs[0], 4, model->input.nhwc ? nhwc : nchw, error);
}

/* out/ reads scores as f32 or bf16 and labels also as i32, i64, u8: other types get a Cast at the end. */
static KerbStatus convert_heads(KerbGraph *g, KerbError *error)
{
    bool changed = false;
    for (int i = 0; i < g->n_heads; i++) {
        KerbHead *head = &g->heads[i];
        const KerbValue *v = kerb_graph_value(g, head->value);
        bool labels = head->kind == KERB_HEAD_LABELS;
        bool readable = v->dtype == KERB_F32 || v->dtype == KERB_BF16 ||
                        (labels && (v->dtype == KERB_I32 || v->dtype == KERB_I64 || v->dtype == KERB_U8));
        if (readable) continue;
        KerbDtype to = labels && !kerb_dtype_is_float(v->dtype) ? KERB_I32 : KERB_F32;
        uint32_t from = head->value, cast = kerb_graph_add_value(g, kerb_graph_name(g, v->name, "read"), to, v->rank, v->dims);
        uint32_t node = cast == KERB_NO_VALUE
                            ? KERB_NO_NODE
                            : kerb_graph_add_node(g, KERB_OP_CAST, kerb_graph_name(g, head->name, "cast"), 1, &from, 1, &cast);
        if (node == KERB_NO_NODE) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for a conversion of the output \"%s\"", head->name);
        g->nodes[node].attrs.cast.to = to;
        for (int o = 0; o < g->n_outputs; o++)
            if (g->outputs[o] == from) g->outputs[o] = cast;
        head->value = cast;
        changed = true;
    }
    return changed ? kerb_graph_sort(g, error) : KERB_OK;
}

/* Backends give outputs by position: heads[i] must be outputs[i]. */
static KerbStatus check_heads(const KerbModel *model, const KerbGraph *g, KerbError *error)
{
    bool matches = g->n_heads == g->n_outputs && g->n_heads == model->n_outputs;
    for (int i = 0; matches && i < g->n_heads; i++) matches = g->heads[i].value == g->outputs[i];
    return matches ? KERB_OK
                   : kerb_fail(error, KERB_ERROR_INTERNAL, "%s: %d heads for %d outputs after optimising", model->path, g->n_heads,
                               g->n_outputs);
}

KerbStatus kerb_model_build(KerbModel *model, int width_px, int height_px, const KerbOptimizeOptions *options, KerbGraph **out,
                            KerbError *error)
{
    *out = NULL;
    if (!options && model->built && model->built_width_px == width_px && model->built_height_px == height_px) {
        *out = model->built;
        model->built = NULL;
        return KERB_OK;
    }
    static const KerbOptimizeOptions plain;
    KerbGraph *g = NULL;
    KerbStatus status = kerb_graph_clone(model->graph, &g, error);
    if (status == KERB_OK) status = select_outputs(model, g, error);
    if (status == KERB_OK) status = bind_size(model, g, width_px, height_px, error);
    if (status == KERB_OK) status = kerb_graph_infer(g, error);
    if (status == KERB_OK) status = kerb_graph_optimize(g, options ? options : &plain, error);
    if (status == KERB_OK) status = convert_heads(g, error);
    if (status == KERB_OK) status = check_heads(model, g, error);
    if (status == KERB_OK) {
        *out = g;
        return KERB_OK;
    }
    kerb_graph_free(&g);
    if (status == KERB_ERROR_ARGUMENT) kerb_error_prefix(error, "network input of %d x %d pixels: ", width_px, height_px);
    kerb_model_blame(model->path, error);
    return status;
}

/* ---- opening */

static int find_output(const KerbGraph *g, const char *name)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (strcmp(kerb_graph_value(g, g->outputs[i])->name, name) == 0) return i;
    return -1;
}

static KerbStatus unknown_output(const KerbModel *model, const char *name, KerbError *error)
{
    char list[1024] = "";
    for (int i = 0; i < model->graph->n_outputs; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s\"%s\"", i ? ", " : "",
                 kerb_graph_value(model->graph, model->graph->outputs[i])->name);
    }
    return kerb_fail(error, KERB_ERROR_ASSET, "%s: there is no output \"%s\" in %s; it has %s", model->card->where, name, model->path,
                     list);
}

/* Candidates: the card's outputs, or all of the model's (labels.c then decides which of those are used). */
static KerbStatus find_outputs(KerbModel *model, KerbError *error)
{
    const KerbGraph *g = model->graph;
    const KerbCard *card = model->card;
    if (g->n_outputs < 1) return kerb_fail(error, KERB_ERROR_ASSET, "%s: the model has no output", model->path);
    if (card->n_outputs > g->n_outputs)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: %d outputs are listed, but %s has %d", card->where, card->n_outputs, model->path,
                         g->n_outputs);
    model->n_outputs = card->n_outputs ? card->n_outputs : g->n_outputs < KERB_MAX_HEADS ? g->n_outputs : KERB_MAX_HEADS;
    for (int i = 0; i < model->n_outputs; i++) {
        KerbModelOutput *out = &model->outputs[i];
        out->card = card->n_outputs ? &card->outputs[i] : NULL;
        out->graph_output = out->card && out->card->name ? find_output(g, out->card->name) : i;
        if (out->graph_output < 0) return unknown_output(model, out->card->name, error);
        for (int j = 0; j < i; j++)
            if (model->outputs[j].graph_output == out->graph_output)
                return kerb_fail(error, KERB_ERROR_ASSET, "%s: the output \"%s\" is listed twice", card->where,
                                 kerb_graph_value(g, g->outputs[out->graph_output])->name);
    }
    return KERB_OK;
}

/* A graph is built once here, to see the heads; it is kept for kerb_model_build() where its size and outputs are those that will be asked
 * for. */
static KerbStatus look_at_heads(KerbModel *model, const KerbConfig *config, KerbError *error)
{
    int width, height, candidates = model->n_outputs;
    bool known = kerb_model_size(model, NULL, &width, &height);
    if (!known) {
        KerbVideoFormat probe = { .width_px = PROBE_WIDTH_PX, .height_px = PROBE_HEIGHT_PX };
        kerb_model_size(model, &probe, &width, &height);
    }
    KerbGraph *g = NULL;
    KerbStatus status = kerb_model_build(model, width, height, NULL, &g, error);
    if (status == KERB_ERROR_ASSET && candidates > 1 && !model->card->n_outputs && error && strlen(error->message) < 1800)
        strcat(error->message, "; where only some of the outputs are segmentation, name these in a model card (\"outputs\")");
    if (status == KERB_OK) status = kerb_model_find_labels(model, g, config, error);
    if (status == KERB_OK && known && model->n_outputs == candidates) {
        model->built = g;
        model->built_width_px = width;
        model->built_height_px = height;
    } else {
        kerb_graph_free(&g);
    }
    return status;
}

static void say_assumed(const KerbModel *model)
{
    if (!model->assumed.text) return;
    if (model->card->root) {
        kerb_log(KERB_LOG_INFO, "%s: not said, so assumed: %s", model->card->where, model->assumed.text);
        return;
    }
    char *card = kerb_card_path(model->path);
    kerb_log(KERB_LOG_INFO, "%s: there is no model card, so assumed: %s; write %s to say otherwise (docs/models.md)", model->path,
             model->assumed.text, card ? card : "one");
    free(card);
}

static KerbStatus open_parts(KerbModel *model, const KerbConfig *config, KerbError *error)
{
    KerbStatus status = kerb_onnx_open(&model->onnx, model->path, error);
    if (status == KERB_OK) status = kerb_onnx_import(model->onnx, &model->graph, error);
    if (status != KERB_OK) {
        kerb_model_blame(model->path, error);
        return status;
    }
    status = kerb_card_open(&model->card, model->path, config->card_file, model->graph, error);
    if (status == KERB_OK) status = kerb_model_find_input(model, config, error);
    if (status == KERB_OK) status = find_outputs(model, error);
    if (status == KERB_OK) status = look_at_heads(model, config, error);
    return status;
}

KerbStatus kerb_model_open(KerbModel **out, const KerbConfig *config, KerbError *error)
{
    *out = NULL;
    KerbModel *model = calloc(1, sizeof *model);
    if (model) model->path = strdup(config->model_file);
    if (!model || !model->path) {
        free(model);
        return kerb_fail(error, KERB_ERROR_MEMORY, "%s: no memory to open this model", config->model_file);
    }
    KerbError own = { 0 }; /* labels.c and look_at_heads() extend messages */
    KerbStatus status = open_parts(model, config, error ? error : &own);
    if (status == KERB_OK) say_assumed(model);
    else kerb_model_free(&model);
    *out = model;
    return status;
}

void kerb_model_free(KerbModel **model)
{
    if (!model || !*model) return;
    KerbModel *m = *model;
    kerb_graph_free(&m->built);
    kerb_graph_free(&m->graph);
    kerb_onnx_close(&m->onnx);
    kerb_card_free(&m->card);
    kerb_text_free(&m->assumed);
    free(m->path);
    free(m);
    *model = NULL;
}
