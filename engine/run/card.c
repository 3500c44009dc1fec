/* SPDX-License-Identifier: MIT */
/* Model cards: finding the JSON, laying the card over the metadata, and reading the values out of it. */
#include "run/card.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *kerb_card_path(const char *model_file)
{
    size_t n = strlen(model_file);
    if (n > 5 && strcmp(model_file + n - 5, ".onnx") == 0) n -= 5;
    char *path = malloc(n + sizeof ".json");
    if (!path) return NULL;
    memcpy(path, model_file, n);
    memcpy(path + n, ".json", sizeof ".json");
    return path;
}

/* ---- reading values: every reader leaves *out as it is where the key is not there, and does nothing after the first failure */

typedef struct CardReader {
    const char *where;
    KerbError *error;
    KerbStatus status;
} CardReader;

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a text";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    default: return "null";
    }
}

static void wrong_type(CardReader *r, const char *key, const json_t *v, const char *expected)
{
    r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"%s\" is %s, but must be %s", r->where, key, type_name(v), expected);
}

static const json_t *lookup(CardReader *r, const json_t *object, const char *key)
{
    const json_t *v = r->status == KERB_OK ? json_object_get(object, key) : NULL;
    return v && !json_is_null(v) ? v : NULL;
}

static void read_text(CardReader *r, const json_t *object, const char *key, const char **out)
{
    const json_t *v = lookup(r, object, key);
    if (!v) return;
    if (json_is_string(v)) *out = json_string_value(v);
    else wrong_type(r, key, v, "a text in quotes");
}

static void read_number(CardReader *r, const json_t *object, const char *key, double lo, double hi, double *out)
{
    const json_t *v = lookup(r, object, key);
    if (!v) return;
    if (!json_is_number(v)) {
        wrong_type(r, key, v, "a number");
        return;
    }
    double x = json_number_value(v);
    if (x >= lo && x <= hi) *out = x;
    else r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"%s\" is %g, but must be between %g and %g", r->where, key, x, lo, hi);
}

static void read_integer(CardReader *r, const json_t *object, const char *key, int lo, int hi, int *out)
{
    double x = NAN;
    read_number(r, object, key, lo, hi, &x);
    if (isnan(x)) return;
    if (x == floor(x)) *out = (int)x;
    else r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"%s\" is %g, but must be a whole number", r->where, key, x);
}

/* 0 or 1 into *out. */
static void read_flag(CardReader *r, const json_t *object, const char *key, int *out)
{
    const json_t *v = lookup(r, object, key);
    if (!v) return;
    if (json_is_boolean(v)) *out = json_is_true(v);
    else wrong_type(r, key, v, "true or false");
}

typedef struct CardWord {
    const char *word;
    int value;
} CardWord;

static void read_word(CardReader *r, const json_t *object, const char *key, const CardWord words[], int n, int *out)
{
    const char *text = NULL;
    read_text(r, object, key, &text);
    if (!text) return;
    char allowed[128] = "";
    for (int i = 0; i < n; i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *out = words[i].value;
            return;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", words[i].word);
    }
    r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"%s\" is \"%s\", but must be one of %s", r->where, key, text, allowed);
}

/* One number for all channels, or three; the count in *n. */
static void read_channels(CardReader *r, const json_t *object, const char *key, double out[3], int *n)
{
    const json_t *v = lookup(r, object, key);
    if (!v) return;
    size_t count = json_is_array(v) ? json_array_size(v) : 1;
    if ((!json_is_array(v) && !json_is_number(v)) || (count != 1 && count != 3)) {
        r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"%s\" must be one number, or a list of 1 or 3 numbers (one a channel)",
                              r->where, key);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, count == 3 ? i : 0) : v;
        if (!json_is_number(x)) {
            wrong_type(r, key, x, "a list of numbers");
            return;
        }
        out[i] = json_number_value(x);
    }
    if (json_is_array(v)) *n = (int)count;
}

static void warn_unknown(const CardReader *r, const char *prefix, const json_t *object, const char *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        size_t n = strlen(key);
        const char *at = known;
        while ((at = strstr(at, key)) && !((at == known || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))) at++;
        if ((!at || !n) && key[0] != '$') /* "$schema", "$comment" */
            kerb_log(KERB_LOG_WARNING, "%s: the key \"%s%s\" is not known and not used; known here: %s", r->where, prefix, key, known);
    }
}

static const json_t *read_object(CardReader *r, const json_t *root, const char *key, const char *known)
{
    const json_t *v = lookup(r, root, key);
    if (!v) return NULL;
    if (!json_is_object(v)) {
        wrong_type(r, key, v, "an object");
        return NULL;
    }
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", key);
    warn_unknown(r, prefix, v, known);
    return v;
}

/* ---- the parts of a card */

/* The card says (value * scale - mean) / std; kept is (value - mean / scale) / (std / scale). */
static void parse_norm(CardReader *r, KerbCard *card, const json_t *input)
{
    double scale = NAN, mean[3] = { 0 }, std[3] = { 1, 1, 1 };
    read_number(r, input, "scale", 1e-9, 1e9, &scale);
    read_channels(r, input, "mean", mean, &card->n_norm);
    read_channels(r, input, "std", std, &card->n_norm);
    bool said = lookup(r, input, "mean") || lookup(r, input, "std");
    if (r->status != KERB_OK || (!said && isnan(scale))) return;
    bool scale_said = !isnan(scale);
    if (!scale_said) scale = 1.0 / 255;
    for (int i = 0; i < 3 && r->status == KERB_OK; i++) {
        if (!isfinite(mean[i]) || !isfinite(std[i]) || std[i] <= 0)
            r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: mean %g, std %g of channel %d: std must be greater than 0, both finite",
                                  r->where, mean[i], std[i], i);
        else if (!scale_said && (fabs(mean[i]) > 2 || std[i] > 2))
            r->status =
                kerb_fail(r->error, KERB_ERROR_ASSET,
                          "%s: mean %g, std %g of channel %d look like units of 0..255, but without \"scale\" they are for values of "
                          "0..1; add \"scale\": 1 (or whatever pixel values are multiplied by)",
                          r->where, mean[i], std[i], i);
        card->mean[i] = (float)(mean[i] / scale);
        card->std[i] = (float)(std[i] / scale);
    }
    card->has_norm = true;
}

static void parse_input(CardReader *r, KerbCard *card)
{
    const json_t *input = read_object(r, card->root, "input", "width height longer_side multiple layout color scale mean std fit");
    if (!input) return;
    static const CardWord layouts[] = { { "NCHW", KERB_LAYOUT_NCHW }, { "NHWC", KERB_LAYOUT_NHWC } };
    static const CardWord colors[] = { { "RGB", KERB_COLOR_RGB }, { "BGR", KERB_COLOR_BGR }, { "GRAY", KERB_COLOR_GRAY } };
    static const CardWord fits[] = { { "stretch", KERB_FIT_STRETCH }, { "letterbox", KERB_FIT_LETTERBOX }, { "crop", KERB_FIT_CROP } };
    int layout = KERB_LAYOUT_AUTO, color = KERB_COLOR_AUTO, fit = KERB_FIT_AUTO;
    read_integer(r, input, "width", 1, KERB_MAX_SIDE_PX, &card->width_px);
    read_integer(r, input, "height", 1, KERB_MAX_SIDE_PX, &card->height_px);
    read_integer(r, input, "longer_side", 1, KERB_MAX_SIDE_PX, &card->longer_side_px);
    read_integer(r, input, "multiple", 1, 1024, &card->multiple);
    read_word(r, input, "layout", layouts, 2, &layout);
    read_word(r, input, "color", colors, 3, &color);
    read_word(r, input, "fit", fits, 3, &fit);
    card->layout = (KerbLayout)layout;
    card->color = (KerbColor)color;
    card->fit = (KerbFit)fit;
    parse_norm(r, card, input);
}

static void parse_output(CardReader *r, KerbCardOutput *out, const json_t *v, int position)
{
    if (!json_is_object(v)) {
        wrong_type(r, "outputs", v, "a list of objects");
        return;
    }
    warn_unknown(r, "outputs.", v, "name classes threshold probabilities");
    double threshold = 0;
    out->probabilities = -1;
    read_text(r, v, "name", &out->name);
    out->has_threshold = lookup(r, v, "threshold");
    read_number(r, v, "threshold", 1e-6, 1 - 1e-6, &threshold);
    out->threshold = (float)threshold;
    read_flag(r, v, "probabilities", &out->probabilities);
    out->classes = lookup(r, v, "classes");
    if (out->classes && (!json_is_array(out->classes) || json_array_size(out->classes) == 0))
        r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"classes\" of output %d must be a list of class names or label indices",
                              r->where, position);
}

static void parse_outputs(CardReader *r, KerbCard *card)
{
    const json_t *v = lookup(r, card->root, "outputs");
    if (!v) return;
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n < 1 || n > KERB_MAX_HEADS) {
        r->status = kerb_fail(r->error, KERB_ERROR_ASSET, "%s: \"outputs\" must be a list of 1 to %d objects", r->where, KERB_MAX_HEADS);
        return;
    }
    card->n_outputs = (int)n;
    for (int i = 0; i < card->n_outputs && r->status == KERB_OK; i++) parse_output(r, &card->outputs[i], json_array_get(v, (size_t)i), i);
}

/* A copy in which every class has a colour: the card's, else an invented one. NULL: out of memory. */
static json_t *with_colors(const json_t *classes)
{
    json_t *copy = json_deep_copy(classes), *v;
    KerbClassTable *invented = calloc(1, sizeof *invented);
    if (copy && invented) {
        size_t i;
        kerb_classes_generate(invented, KERB_MAX_CLASSES);
        json_array_foreach(copy, i, v) {
            if (i >= KERB_MAX_CLASSES || !json_is_object(v) || json_object_get(v, "color")) continue;
            const uint8_t *rgb = invented->classes[i].rgb;
            json_object_set_new(v, "color", json_pack("[iii]", rgb[0], rgb[1], rgb[2]));
        }
    }
    free(invented);
    return copy;
}

static void parse_classes(CardReader *r, KerbCard *card)
{
    const json_t *v = lookup(r, card->root, "classes");
    if (!v) return;
    if (!json_is_array(v)) {
        wrong_type(r, "classes", v, "a list of objects with name, color, id, background");
        return;
    }
    json_t *colored = with_colors(v);
    char *text = colored ? json_dumps(colored, JSON_COMPACT) : NULL;
    if (text) r->status = kerb_classes_parse_json(&card->classes, text, r->where, r->error);
    else r->status = kerb_fail(r->error, KERB_ERROR_MEMORY, "%s: no memory for the classes", r->where);
    card->has_classes = r->status == KERB_OK;
    free(text);
    json_decref(colored);
}

static KerbStatus parse_card(KerbCard *card, KerbError *error)
{
    CardReader r = { card->where, error, KERB_OK };
    warn_unknown(&r, "", card->root, "card name description input outputs classes palette data recipe source licence license accuracy speed calibration");
    int version = 1;
    read_integer(&r, card->root, "card", 1, 1000000, &version);
    if (r.status == KERB_OK && version != 1)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: this is a card of version %d, but this Kerb (%s) reads version 1", card->where,
                         version, kerb_version());
    read_text(&r, card->root, "name", &card->name);
    read_text(&r, card->root, "description", &card->description);
    read_text(&r, card->root, "data", &card->data);
    read_text(&r, card->root, "recipe", &card->recipe);
    read_text(&r, card->root, "source", &card->source);
    read_text(&r, card->root, "license", &card->licence);
    read_text(&r, card->root, "licence", &card->licence);
    read_text(&r, card->root, "palette", &card->palette);
    card->accuracy = lookup(&r, card->root, "accuracy");
    card->speed = lookup(&r, card->root, "speed");
    parse_input(&r, card);
    parse_outputs(&r, card);
    parse_classes(&r, card);
    return r.status;
}

/* ---- finding the JSON */

/* "kerb.input.mean" = "[0.5, 0.5, 0.5]" -> root["input"]["mean"]. What does not parse as JSON is a text. */
static bool set_path(json_t *root, const char *path, const char *text)
{
    char key[128];
    json_t *object = root;
    for (;;) {
        size_t n = strcspn(path, ".");
        if (n == 0 || n >= sizeof key) return false;
        memcpy(key, path, n);
        key[n] = '\0';
        path += n;
        if (*path == '\0') break;
        path++;
        json_t *inner = json_object_get(object, key);
        if (!json_is_object(inner)) {
            inner = json_object();
            if (json_object_set_new(object, key, inner) != 0) return false;
        }
        object = inner;
    }
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return json_object_set_new(object, key, value ? value : json_string(text)) == 0;
}

/* The metadata's object, or NULL where there is none. "kerb.card" is a whole card; dotted keys lie over it. */
static json_t *read_metadata(const KerbGraph *graph, const char *where)
{
    json_t *root = NULL;
    for (int i = 0; i < graph->n_metadata; i++) {
        if (strcmp(graph->metadata_keys[i], "kerb.card") != 0) continue;
        root = json_loads(graph->metadata_values[i], JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(root)) {
            kerb_log(KERB_LOG_WARNING, "%s: kerb.card is not a JSON object and is not used", where);
            json_decref(root);
            root = NULL;
        }
    }
    for (int i = 0; i < graph->n_metadata; i++) {
        const char *key = graph->metadata_keys[i];
        if (strncmp(key, "kerb.", 5) != 0 || strcmp(key, "kerb.card") == 0) continue;
        if (!root) root = json_object();
        if (!root || !set_path(root, key + 5, graph->metadata_values[i]))
            kerb_log(KERB_LOG_WARNING, "%s: the key \"%s\" cannot be used", where, key);
    }
    return root;
}

static KerbStatus read_file(json_t **out, const char *path, KerbError *error)
{
    KerbMapping file;
    KerbStatus status = kerb_map_file(path, &file, error);
    if (status != KERB_OK) return status;
    json_error_t where;
    *out = json_loadb((const char *)file.data, file.bytes, JSON_REJECT_DUPLICATES, &where);
    kerb_unmap(&file);
    if (!*out)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d:%d: this model card is not sound JSON: %s", path, where.line, where.column,
                         where.text);
    if (json_is_object(*out)) return KERB_OK;
    json_decref(*out);
    *out = NULL;
    return kerb_fail(error, KERB_ERROR_ASSET, "%s: a model card is one JSON object; see docs/models.md", path);
}

static KerbStatus load(KerbCard *card, const char *model_file, const char *path, KerbError *error)
{
    json_t *from_file = NULL;
    if (path) {
        KerbStatus status = read_file(&from_file, path, error);
        if (status != KERB_OK) return status;
        snprintf(card->where, sizeof card->where, "%s", path);
        card->from_file = true;
        if (!card->root) card->root = from_file;
        else if (json_object_update_recursive(card->root, from_file) == 0) json_decref(from_file);
        else {
            json_decref(from_file);
            return kerb_fail(error, KERB_ERROR_MEMORY, "%s: no memory to read this card", path);
        }
    }
    return card->root ? parse_card(card, error) : KERB_OK;
}

KerbStatus kerb_card_open(KerbCard **out, const char *model_file, const char *card_file, const KerbGraph *graph, KerbError *error)
{
    *out = NULL;
    KerbCard *card = calloc(1, sizeof *card);
    char *beside = kerb_card_path(model_file);
    if (!card || !beside) {
        free(card);
        free(beside);
        return kerb_fail(error, KERB_ERROR_MEMORY, "%s: no memory for the model card", model_file);
    }
    snprintf(card->where, sizeof card->where, "%s's metadata", model_file);
    card->root = read_metadata(graph, card->where);
    const char *path = card_file && card_file[0] ? card_file : access(beside, F_OK) == 0 ? beside : NULL;
    KerbStatus status = load(card, model_file, path, error);
    free(beside);
    if (status != KERB_OK) kerb_card_free(&card);
    *out = card;
    return status;
}

void kerb_card_free(KerbCard **card)
{
    if (!card || !*card) return;
    json_decref((*card)->root);
    free(*card);
    *card = NULL;
}
