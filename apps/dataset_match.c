/* SPDX-License-Identifier: MIT */
/* A model's classes against a data set's; see dataset.h. docs/kerb.md has the rules, and the map file's format. */
#include "dataset.h"
#include "metrics.h"
#include "say.h"

#include <jansson.h>
#include <string.h>

#define UNKNOWN (-1) /* nobody has said anything */
#define NOTHING (-2) /* it is said to be none of them */

/* While it is being worked out. */
typedef struct KerbMatching {
    KerbDataset *d;
    const KerbClass *model;
    int n_model;
    int of_label[256];              /* label of the model -> class of the data set, UNKNOWN or NOTHING */
    int of_class[KERB_MAX_CLASSES]; /* class of the data set -> the one that it counts as; NOTHING: not judged */
    const gchar *map_file;
} KerbMatching;

/* ---------------------------------------------------------------------------------------------------------------- names */

/* Two words for one thing, as data sets use them; one group a row. Things that only overlap (rider, bicyclist; vegetation, terrain) are not here. */
static const char *const kerb_synonyms[][4] = {
    { "pavement", "sidewalk", "footpath", "" }, { "tree", "vegetation", "", "" }, { "pedestrian", "person", "", "" }, { "cyclist", "bicyclist", "", "" },
    { "sign", "traffic sign", "sign symbol", "signsymbol" }, { "pole", "column pole", "", "" },
    { "traffic light", "light", "", "" },
};

/* "Column_Pole" -> "column pole". */
static void kerb_plain_name(gchar *out, gsize size, const gchar *name)
{
    g_strlcpy(out, name, size);
    for (gchar *p = out; *p; p++) *p = *p == '_' || *p == '-' ? ' ' : g_ascii_tolower(*p);
}

static int kerb_synonym_group(const gchar *name)
{
    for (gsize g = 0; g < G_N_ELEMENTS(kerb_synonyms); g++)
        for (gsize k = 0; k < G_N_ELEMENTS(kerb_synonyms[g]); k++)
            if (!strcmp(kerb_synonyms[g][k], name)) return (int)g;
    return -1;
}

/* The class of that name, else one of the same meaning, else UNKNOWN. */
static int kerb_class_named(const KerbClass *classes, int n, const gchar *name)
{
    gchar wanted[64], has[64];
    kerb_plain_name(wanted, sizeof wanted, name);
    int group = kerb_synonym_group(wanted), found = UNKNOWN;
    for (int i = 0; i < n; i++) {
        kerb_plain_name(has, sizeof has, classes[i].name);
        if (!strcmp(has, wanted)) return i;
        if (group >= 0 && found == UNKNOWN && kerb_synonym_group(has) == group) found = i;
    }
    return found;
}

static int kerb_class_numbered(const KerbDataset *d, json_int_t value)
{
    for (int i = 0; i < d->n; i++)
        if (d->classes[i].dataset_id == value) return i;
    return UNKNOWN;
}

static gchar *kerb_class_names(const KerbClass *classes, int n)
{
    GString *names = g_string_new(NULL);
    for (int i = 0; i < n; i++) g_string_append_printf(names, "%s%s", i ? ", " : "", classes[i].name);
    return g_string_free(names, FALSE);
}

/* ------------------------------------------------------------------------------------------------------------- map file */

/* A class of the data set as a map file writes it: name or number; null: none. */
static gboolean kerb_map_class(const KerbMatching *m, const json_t *value, int *out)
{
    *out = json_is_null(value) ? NOTHING : json_is_integer(value) ? kerb_class_numbered(m->d, json_integer_value(value)) : UNKNOWN;
    if (json_is_string(value)) *out = kerb_class_named(m->d->classes, m->d->n, json_string_value(value));
    if (*out != UNKNOWN) return TRUE;
    gchar *what = json_dumps(value, JSON_ENCODE_ANY), *names = kerb_class_names(m->d->classes, m->d->n);
    kerb_say("%s: %s is no class of the data set. It has %s.", m->map_file, what, names);
    free(what);
    g_free(names);
    return FALSE;
}

static gboolean kerb_map_model(KerbMatching *m, json_t *of)
{
    const char *name;
    json_t *value;
    json_object_foreach(of, name, value)
    {
        int label = kerb_class_named(m->model, m->n_model, name);
        if (label == UNKNOWN) {
            gchar *names = kerb_class_names(m->model, m->n_model);
            kerb_say("%s: the model has no class \"%s\". It has %s.", m->map_file, name, names);
            g_free(names);
            return FALSE;
        }
        if (!kerb_map_class(m, value, &m->of_label[label])) return FALSE;
    }
    return TRUE;
}

static gboolean kerb_map_truth(KerbMatching *m, json_t *of)
{
    const char *name;
    json_t *value;
    json_object_foreach(of, name, value)
    {
        json_t *key = json_string(name);
        int from, to;
        gboolean ok = kerb_map_class(m, key, &from) && kerb_map_class(m, value, &to);
        json_decref(key);
        if (!ok) return FALSE;
        m->of_class[from] = to;
    }
    return TRUE;
}

static gboolean kerb_map_ignore(KerbMatching *m, const json_t *of)
{
    json_t *value;
    gsize i;
    json_array_foreach(of, i, value)
    {
        int c;
        if (!kerb_map_class(m, value, &c)) return FALSE;
        if (c >= 0) m->of_class[c] = NOTHING;
    }
    return TRUE;
}

static gboolean kerb_map_read(KerbMatching *m)
{
    json_error_t error;
    const char *key;
    json_t *value, *root = json_load_file(m->map_file, JSON_REJECT_DUPLICATES, &error);
    gboolean ok = root != NULL;
    if (!ok) kerb_say("%s, line %d: %s.", m->map_file, error.line, error.text);
    if (ok && !json_is_object(root)) {
        kerb_say("%s is not an object: {\"model\": {\"their road\": \"road\"}, \"truth\": {\"truck\": \"car\"}, \"ignore\": [\"fence\"]}.", m->map_file);
        ok = FALSE;
    }
    json_object_foreach(root, key, value)
    {
        if (!ok) break;
        if (!strcmp(key, "model") && json_is_object(value))
            ok = kerb_map_model(m, value);
        else if (!strcmp(key, "truth") && json_is_object(value))
            ok = kerb_map_truth(m, value);
        else if (!strcmp(key, "ignore") && json_is_array(value))
            ok = kerb_map_ignore(m, value);
        else if (*key != '$') {
            kerb_say("%s: \"%s\" is not understood. There are \"model\" and \"truth\" (objects) and \"ignore\" (a list).", m->map_file, key);
            ok = FALSE;
        }
    }
    json_decref(root);
    return ok;
}

/* ------------------------------------------------------------------------------------------------------------- matching */

static int kerb_match_count(const KerbMatching *m)
{
    int count = 0;
    for (int i = 0; i < m->n_model; i++) count += m->of_label[i] >= 0;
    return count;
}

/* Ids only where no name fits: they are those of the data set that the model was made for, which may be another one. */
static void kerb_match_find(KerbMatching *m)
{
    gchar invented[64];
    gboolean all_invented = m->n_model == m->d->n;
    for (int i = 0; i < m->n_model; i++) {
        if (m->of_label[i] == UNKNOWN) m->of_label[i] = kerb_class_named(m->d->classes, m->d->n, m->model[i].name);
        g_snprintf(invented, sizeof invented, "class %d", i);
        all_invented = all_invented && !strcmp(invented, m->model[i].name);
    }
    if (kerb_match_count(m)) return;
    for (int i = 0; i < m->n_model; i++)
        if (m->of_label[i] == UNKNOWN && m->model[i].dataset_id >= 0) m->of_label[i] = kerb_class_numbered(m->d, m->model[i].dataset_id);
    if (kerb_match_count(m) || !all_invented) return;
    kerb_warn("the model's classes have no names: they are taken in the order of the data set's (0 is %s). A model card names them.", m->d->classes[0].name);
    for (int i = 0; i < m->n_model; i++)
        if (m->of_label[i] == UNKNOWN) m->of_label[i] = i;
}

/* A class of the data set that is its background takes the model's classes that are nothing else there. */
static void kerb_match_background(KerbMatching *m)
{
    for (int c = 0; c < m->d->n; c++)
        for (int i = 0; m->d->classes[c].is_background && i < m->n_model; i++)
            if (m->of_label[i] == UNKNOWN) m->of_label[i] = c;
}

/* A data set that brings no classes has the model's; its numbers are their ids, if each has one of its own, else their indices. */
static void kerb_match_adopt(KerbDataset *d, const KerbClass *model, int n)
{
    gboolean taken[256] = { FALSE }, ids = TRUE;
    d->n = n;
    memcpy(d->classes, model, (gsize)n * sizeof *model);
    for (int i = 0; i < n; i++) {
        int id = model[i].dataset_id;
        ids = ids && id >= 0 && id < 255 && !taken[id];
        if (ids) taken[id] = TRUE;
    }
    for (int i = 0; i < n && !ids; i++) d->classes[i].dataset_id = i;
}

/* -------------------------------------------------------------------------------------------------------------- result */

/* What a class of the data set counts as in the end: merges may follow merges. */
static int kerb_match_end(const KerbMatching *m, int c)
{
    for (int steps = 0; c >= 0 && m->of_class[c] != c && steps <= m->d->n; steps++) c = m->of_class[c];
    return c;
}

/* The model's background where the data set has none: it is judged on what the data set knows and the model does not. */
static int kerb_match_rest(const KerbMatching *m, const gboolean *meant)
{
    int unmeant = 0;
    for (int c = 0; c < m->d->n; c++) unmeant += kerb_match_end(m, c) == c && !meant[c];
    for (int i = 0; unmeant && i < m->n_model; i++)
        if (m->model[i].is_background && m->of_label[i] == UNKNOWN) return i;
    return -1;
}

static void kerb_match_finish(KerbMatching *m, KerbMatch *out)
{
    gboolean meant[KERB_MAX_CLASSES] = { FALSE };
    int judged[KERB_MAX_CLASSES];
    for (int i = 0; i < m->n_model; i++) {
        int c = m->of_label[i] >= 0 ? kerb_match_end(m, m->of_label[i]) : NOTHING;
        if (c >= 0) meant[c] = TRUE;
    }
    int rest = kerb_match_rest(m, meant), rest_class = -1;
    for (int c = 0; c < m->d->n; c++) {
        judged[c] = -1;
        if (kerb_match_end(m, c) != c || (rest >= 0 && !meant[c])) continue;
        judged[c] = out->n;
        out->known[out->n] = meant[c];
        out->classes[out->n++] = m->d->classes[c];
    }
    if (rest >= 0) {
        rest_class = out->n;
        out->known[rest_class] = TRUE;
        out->classes[out->n++] = m->model[rest];
        out->classes[rest_class].dataset_id = 255;
    }
    memset(out->of_label, KERB_VOID, sizeof out->of_label);
    for (int c = 0; c < m->d->n; c++) {
        int end = kerb_match_end(m, c);
        out->of_class[c] = (gint16)(end < 0 ? KERB_VOID : judged[end] >= 0 ? judged[end] : rest_class);
    }
    for (int i = 0; i < m->n_model; i++) {
        if (m->of_label[i] >= 0) out->of_label[i] = (guint8)out->of_class[m->of_label[i]];
        if (i == rest) out->of_label[i] = (guint8)rest_class;
    }
    for (int v = 0; v < 256; v++) out->of_value[v] = m->d->is_void[v] ? KERB_VOID : -1;
    for (int c = 0; c < m->d->n; c++)
        if (m->d->classes[c].dataset_id < 256) out->of_value[m->d->classes[c].dataset_id] = out->of_class[c];
    out->road = m->d->kind == KERB_DATASET_KITTI_ROAD ? out->of_class[1] : -1;
    out->binary = m->n_model == 2 && out->n == 2 && out->of_label[0] + out->of_label[1] == 1 ? 1 : -1;
}

/* What the user should know about classes that are never found, or found and never judged. */
static void kerb_match_tell(const KerbMatching *m, const KerbMatch *out)
{
    GString *never = g_string_new(NULL), *vain = g_string_new(NULL);
    for (int c = 0; c < out->n; c++)
        if (!out->known[c]) g_string_append_printf(never, "%s%s", never->len ? ", " : "", out->classes[c].name);
    for (int i = 0; i < m->n_model; i++)
        if (m->of_label[i] == UNKNOWN && out->of_label[i] == KERB_VOID) g_string_append_printf(vain, "%s%s", vain->len ? ", " : "", m->model[i].name);
    if (never->len)
        kerb_warn("the model has no class for %s: each counts with an IoU of 0. A map file (--map) can merge or ignore them.", never->str);
    if (vain->len) kerb_warn("the data set has no class for the model's %s: such pixels are wrong wherever they are judged. --map can say what they are.", vain->str);
    g_string_free(never, TRUE);
    g_string_free(vain, TRUE);
}

int kerb_match_make(KerbMatch *out, KerbDataset *d, const KerbClass *model, int n_model, const gchar *map_file, gboolean quiet)
{
    memset(out, 0, sizeof *out);
    if (!d->n) kerb_match_adopt(d, model, n_model);
    if (d->n > KERB_VOID - 2) { /* room for a background, void, and none */
        kerb_say("%d classes are more than the %d that can be judged.", d->n, KERB_VOID - 2);
        return KERB_EXIT_ASSET;
    }
    KerbMatching m = { .d = d, .model = model, .n_model = n_model, .map_file = map_file };
    for (int i = 0; i < 256; i++) m.of_label[i] = UNKNOWN;
    for (int c = 0; c < d->n; c++) m.of_class[c] = c;
    if (map_file && !kerb_map_read(&m)) return KERB_EXIT_ASSET;
    kerb_match_find(&m);
    if (!kerb_match_count(&m)) {
        gchar *theirs = kerb_class_names(model, n_model), *ours = kerb_class_names(d->classes, d->n);
        kerb_say("no class of the model is one of the data set's. The model has %s; the data set has %s. Say which are which in a map file, --map FILE: "
                 "{\"model\": {\"%s\": \"%s\"}}.",
                 theirs, ours, model[n_model - 1].name, d->classes[d->n - 1].name);
        g_free(theirs);
        g_free(ours);
        return KERB_EXIT_USAGE;
    }
    kerb_match_background(&m);
    kerb_match_finish(&m, out);
    if (out->n < 1) {
        kerb_say("%s leaves no class that is judged.", map_file);
        return KERB_EXIT_USAGE;
    }
    if (!quiet) kerb_match_tell(&m, out);
    return KERB_EXIT_OK;
}
