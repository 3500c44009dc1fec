/* SPDX-License-Identifier: MIT */
/* What labels mean: which outputs are used, how the classes of several heads become one table of label indices, names and colours. */
#include "run/model.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static const char *output_name(const KerbModel *model, int i)
{
    return kerb_graph_value(model->graph, model->graph->outputs[model->outputs[i].graph_output])->name;
}

static KerbStatus measure_heads(KerbModel *model, const KerbGraph *built, KerbError *error)
{
    for (int i = 0; i < model->n_outputs; i++) {
        const KerbHead *head = &built->heads[i];
        KerbModelOutput *out = &model->outputs[i];
        int64_t channels = head->channel_axis < 0 ? 1 : kerb_graph_value(built, head->value)->dims[head->channel_axis];
        if (channels >= KERB_MAX_CLASSES)
            return kerb_fail(error, KERB_ERROR_ASSET, "%s: the output \"%s\" has %lld channels, but at most %d classes can be told apart",
                             model->path, output_name(model, i), (long long)channels, KERB_MAX_CLASSES - 1);
        out->kind = head->kind;
        out->n_labels = head->kind == KERB_HEAD_SCORES ? (int)channels : head->kind == KERB_HEAD_BINARY ? 2 : 0;
    }
    return KERB_OK;
}

/* Several outputs that each say "this or background" (road, lanes) are layers of one picture; otherwise the further ones are auxiliary
 * (deep supervision, boundaries), and the first is what the model is for. */
static void choose_outputs(KerbModel *model)
{
    if (model->card->n_outputs || model->n_outputs == 1) return;
    bool layers = true;
    for (int i = 0; i < model->n_outputs; i++) layers = layers && model->outputs[i].n_labels == 2;
    if (layers) {
        kerb_model_assume(model, "%d outputs, later ones lying over earlier ones", model->n_outputs);
    } else {
        kerb_model_assume(model, "only the first of %d outputs (\"%s\")", model->n_outputs, output_name(model, 0));
        model->n_outputs = 1;
    }
}

/* Labels that the heads need when the card does not map them; 0: any number (a single head that gives labels). */
static KerbStatus count_labels(const KerbModel *model, bool mapped, int *n, KerbError *error)
{
    *n = model->n_outputs == 1 ? model->outputs[0].n_labels : 1;
    for (int i = 0; i < model->n_outputs && model->n_outputs > 1; i++) {
        const KerbModelOutput *out = &model->outputs[i];
        if (out->n_labels == 0 && !mapped)
            return kerb_fail(error, KERB_ERROR_ASSET,
                             "%s: the output \"%s\" gives labels of unknown number beside other outputs; say its \"classes\" "
                             "in the model card",
                             model->path, output_name(model, i));
        *n += out->n_labels - 1;
    }
    if (*n >= KERB_MAX_CLASSES)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: the outputs have %d classes together, but at most %d can be told apart", model->path,
                         *n, KERB_MAX_CLASSES - 1);
    return KERB_OK;
}

/* ---- the table of classes */

static void generate(KerbModel *model, int n)
{
    KerbClassTable *t = &model->classes;
    kerb_classes_generate(t, n ? n : KERB_MAX_CLASSES - 1);
    kerb_model_assume(model, "%d invented class names and colours", t->n);
    if (model->n_outputs == 1 && n != 2) return;
    snprintf(t->classes[0].name, sizeof t->classes[0].name, "background");
    t->classes[0].is_background = true;
    for (int i = 0, label = 1; i < model->n_outputs; i++) { /* "this or background": the output's name is the best there is */
        if (model->outputs[i].n_labels == 2) snprintf(t->classes[label].name, sizeof t->classes[label].name, "%s", output_name(model, i));
        label += model->outputs[i].n_labels - 1;
    }
}

static KerbStatus read_labels_file(KerbModel *model, const char *path, int n, KerbError *error)
{
    KerbClassTable *t = &model->classes;
    KerbStatus status = kerb_classes_read(t, path, error);
    if (status != KERB_OK || !n) return status;
    if (t->n < n)
        return kerb_fail(error, KERB_ERROR_ASSET,
                         "%s: the file names %d classes, but %s needs %d: add %d more, in the order of the network's "
                         "channels",
                         path, t->n, model->path, n, n - t->n);
    if (t->n > n) {
        kerb_log(KERB_LOG_WARNING, "%s: the file names %d classes, %s has %d: the last %d are not used", path, t->n, model->path, n,
                 t->n - n);
        t->n = n;
    }
    return KERB_OK;
}

static KerbStatus check_card_classes(const KerbModel *model, int n, KerbError *error)
{
    int have = model->card->classes.n;
    if (!n || have == n) return KERB_OK;
    if (model->n_outputs == 1)
        return kerb_fail(error, KERB_ERROR_ASSET,
                         "%s: %d classes are listed, but the output \"%s\" of %s tells %d apart; list %d, or map its channels "
                         "with \"classes\" in \"outputs\"",
                         model->card->where, have, output_name(model, 0), model->path, n, n);
    return kerb_fail(error, KERB_ERROR_ASSET,
                     "%s: %d classes are listed, but the %d outputs of %s need %d (background, then what each output "
                     "tells from it); list %d, or map channels with \"classes\" in \"outputs\"",
                     model->card->where, have, model->n_outputs, model->path, n, n);
}

/* Colours of a palette over the table's own. */
static KerbStatus recolor(KerbModel *model, const char *palette, const KerbClassTable *colors, KerbError *error)
{
    KerbClassTable *t = &model->classes;
    if (colors->n < t->n)
        return kerb_fail(error, KERB_ERROR_ASSET, "the palette \"%s\" has %d colours, but %s needs %d; take another, or a labels file",
                         palette, colors->n, model->path, t->n);
    for (int i = 0; i < t->n; i++) memcpy(t->classes[i].rgb, colors->classes[i].rgb, sizeof t->classes[i].rgb);
    return KERB_OK;
}

static bool card_has_colors(const KerbCard *card)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(card->root, "classes"), i, v)
        if (json_object_get(v, "color")) return true;
    return false;
}

/* Names: labels file, card, palette of that many classes, invented. Colours: the configuration's palette, else those that came with the
 * names, else the card's palette. */
static KerbStatus choose_classes(KerbModel *model, const KerbConfig *config, int n, KerbError *error)
{
    const KerbCard *card = model->card;
    const char *palette = config->palette ? config->palette : card->palette;
    KerbClassTable *colors = calloc(1, sizeof *colors);
    if (!colors) return kerb_fail(error, KERB_ERROR_MEMORY, "%s: no memory for %d classes", model->path, n);
    KerbStatus status = KERB_OK;
    if (palette && !kerb_classes_builtin(colors, palette))
        status = kerb_fail(error, KERB_ERROR_ASSET, "%s: there is no palette \"%s\"; there are: %s", card->where, palette,
                           kerb_classes_builtin_names());
    bool use_colors = palette != NULL;
    if (status != KERB_OK) {
        /* said */
    } else if (config->labels_file) {
        status = read_labels_file(model, config->labels_file, n, error);
        use_colors = config->palette != NULL;
    } else if (card->has_classes) {
        status = check_card_classes(model, n, error);
        model->classes = card->classes;
        use_colors = config->palette || (palette && !card_has_colors(card));
    } else if (palette && (!n || colors->n == n)) {
        model->classes = *colors;
    } else {
        generate(model, n);
    }
    if (status == KERB_OK && use_colors) status = recolor(model, palette, colors, error);
    free(colors);
    return status;
}

/* ---- channel -> label */

static int find_class(const KerbClassTable *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->classes[i].name, name) == 0) return i;
    return -1;
}

static KerbStatus map_by_card(KerbModel *model, KerbModelOutput *out, const char *name, KerbError *error)
{
    const json_t *list = out->card->classes;
    int n = (int)json_array_size(list);
    if (out->n_labels ? n != out->n_labels : n >= KERB_MAX_CLASSES)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: \"classes\" of the output \"%s\" lists %d, but the output tells %d apart",
                         model->card->where, name, n, out->n_labels ? out->n_labels : KERB_MAX_CLASSES - 1);
    memset(out->index, KERB_LABEL_NONE, sizeof out->index);
    for (int c = 0; c < n; c++) {
        const json_t *v = json_array_get(list, (size_t)c);
        int label = json_is_string(v) ? find_class(&model->classes, json_string_value(v))
                    : json_is_integer(v) && json_integer_value(v) < model->classes.n ? (int)json_integer_value(v) : -1;
        if (label < 0) {
            char *text = json_dumps(v, JSON_ENCODE_ANY);
            KerbStatus status = kerb_fail(error, KERB_ERROR_ASSET, "%s: class %s of the output \"%s\" is not among the %d classes",
                                          model->card->where, text ? text : "?", name, model->classes.n);
            free(text);
            return status;
        }
        out->index[c] = (uint8_t)label;
    }
    return KERB_OK;
}

static KerbStatus map_channels(KerbModel *model, KerbError *error)
{
    for (int i = 0, base = 0; i < model->n_outputs; i++) {
        KerbModelOutput *out = &model->outputs[i];
        if (out->card && out->card->classes) {
            KerbStatus status = map_by_card(model, out, output_name(model, i), error);
            if (status != KERB_OK) return status;
        } else {
            int n = out->n_labels ? out->n_labels : model->classes.n;
            memset(out->index, KERB_LABEL_NONE, sizeof out->index);
            out->index[0] = 0;
            for (int c = 1; c < n; c++) {
                if (base + c >= model->classes.n)
                    return kerb_fail(error, KERB_ERROR_ASSET,
                                     "%s: channel %d of the output \"%s\" would be class %d, but there are %d classes; map "
                                     "its channels with \"classes\" in \"outputs\"",
                                     model->card->where, c, output_name(model, i), base + c, model->classes.n);
                out->index[c] = (uint8_t)(base + c);
            }
        }
        base += out->n_labels ? out->n_labels - 1 : 0;
    }
    return KERB_OK;
}

KerbStatus kerb_model_find_labels(KerbModel *model, const KerbGraph *built, const KerbConfig *config, KerbError *error)
{
    KerbStatus status = measure_heads(model, built, error);
    if (status != KERB_OK) return status;
    choose_outputs(model);
    bool mapped = false;
    for (int i = 0; i < model->n_outputs; i++) mapped = mapped || (model->outputs[i].card && model->outputs[i].card->classes);
    int n = 0;
    status = count_labels(model, mapped, &n, error);
    if (status == KERB_OK) status = choose_classes(model, config, mapped ? 0 : n, error);
    if (status == KERB_OK && model->classes.n < 1)
        status = kerb_fail(error, KERB_ERROR_ASSET, "%s: the list of classes is empty", model->card->where);
    if (status == KERB_OK) status = map_channels(model, error);
    if (status == KERB_OK && model->n_outputs > 1) model->classes.classes[0].is_background = true; /* where no head says anything */
    return status;
}
