/* SPDX-License-Identifier: MIT */
/* The data block of the review page. Enters: a KerbReviewDrive. Leaves: JSON with series over the whole drive, all of one step:
 *
 *   classes[]            name, color, road (bool), label (-1: of the facts only)
 *   step_s, series       shares[class][step], free_road, flicker in percent; age_p50_ms, age_max_ms, fps, encode_fps; null: not known
 *   free_road_of         "ahead": of the region ahead (label track); "frame": of the whole picture (facts)
 *   gaps[], events[], thumbs[], parts[]
 *
 * The label track tells shares where its classes have names; else the facts do; else its labels go by their number. */
#include "review.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define KERB_REVIEW_STEPS_MAX 4000

typedef struct KerbColumn {
    gchar *name, *key; /* key: as the facts write it */
    guint8 rgb[3];
    gboolean road;
    gint label;        /* -1: of the facts only */
    GArray *sum;       /* of gdouble: shares times weight, by step */
    gdouble total;
} KerbColumn;

typedef struct KerbTable {
    const KerbReviewDrive *drive;
    gdouble step_s, length_s;
    guint steps;
    GPtrArray *columns; /* of KerbColumn */
    gboolean ahead;     /* free road is of the region ahead */
    /* By step. Sums and their weights; NAN where a maximum is not known. */
    gdouble *weight, *road, *road_weight, *flicker, *flicker_weight, *values[4], *value_weight[4];
} KerbTable;

enum { AGE_P50, AGE_MAX, FPS, ENCODE_FPS };
static const gchar *const kerb_value_names[] = { "age_p50_ms", "age_max_ms", "fps", "encode_fps" };

/* -------------------------------------------------------------------------------------------------------------- classes */

static gboolean kerb_review_color(const json_t *color, guint8 rgb[3])
{
    unsigned r, g, b;
    const char *text = json_string_value(color);
    if (text && strlen(text) == 7 && sscanf(text, "#%2x%2x%2x", &r, &g, &b) == 3) {
        rgb[0] = (guint8)r, rgb[1] = (guint8)g, rgb[2] = (guint8)b;
        return TRUE;
    }
    for (gsize i = 0; i < 3; i++) {
        const json_t *value = json_array_get(color, i);
        if (!json_is_integer(value)) return FALSE;
        rgb[i] = (guint8)CLAMP(json_integer_value(value), 0, 255);
    }
    return TRUE;
}

/* The colour that data sets give a class of this name; else one of a wheel. */
static void kerb_review_invent_color(const gchar *key, guint index, guint8 rgb[3])
{
    static const char *const sets[] = { "cityscapes", "camvid", "lane", "voc" };
    KerbClass classes[KERB_MAX_CLASSES];
    KerbError error;
    int n;
    for (gsize k = 0; k < G_N_ELEMENTS(sets); k++) {
        if (kerb_classes_load(sets[k], classes, &n, &error) != KERB_OK) continue;
        for (int i = 0; i < n; i++) {
            gchar *name = kerb_review_facts_name(classes[i].name);
            gboolean same = !g_ascii_strcasecmp(name, key);
            g_free(name);
            if (!same || classes[i].is_background) continue;
            memcpy(rgb, classes[i].rgb, 3);
            return;
        }
    }
    for (gint c = 0; c < 3; c++) rgb[c] = (guint8)(140 + 90 * cos(2 * G_PI * (index * 0.618 + c / 3.0)));
}

void kerb_review_take_classes(KerbReviewDrive *drive)
{
    for (guint p = 0; !drive->n_classes && p < drive->parts->len; p++) {
        const KerbReviewPart *part = drive->parts->pdata[p];
        const json_t *list = part->classes;
        drive->n_classes = (int)MIN(json_array_size(list), KERB_MAX_CLASSES);
        for (int i = 0; i < drive->n_classes; i++) {
            const json_t *item = json_array_get(list, (size_t)i);
            const char *name = json_is_string(item) ? json_string_value(item) : json_string_value(json_object_get(item, "name"));
            KerbClass *class = &drive->classes[i];
            *class = (KerbClass){ .dataset_id = -1, .is_background = json_is_true(json_object_get(item, "background")) };
            g_snprintf(class->name, sizeof class->name, "%s", name && *name ? name : "");
            if (!*class->name) g_snprintf(class->name, sizeof class->name, "label %d", i);
            if (!kerb_review_color(json_object_get(item, "rgb"), class->rgb) && !kerb_review_color(json_object_get(item, "color"), class->rgb)) {
                gchar *key = kerb_review_facts_name(class->name);
                kerb_review_invent_color(key, (guint)i, class->rgb);
                g_free(key);
            }
        }
    }
}

static gboolean kerb_review_is_road(const KerbReviewDrive *drive, const gchar *name, const gchar *key)
{
    static const gchar *const usual[] = { "road", "drivable", "drivable_area", "driveable_area", "free_space", "freespace", "lane", "lanes", "lane_marking",
                                          "lane_markings", "road_marking", "road_markings" };
    for (gchar **road = drive->road; road && *road; road++)
        if (!g_ascii_strcasecmp(*road, name) || !g_ascii_strcasecmp(*road, key)) return TRUE;
    for (gsize i = 0; !drive->road && i < G_N_ELEMENTS(usual); i++)
        if (!g_ascii_strcasecmp(usual[i], key)) return TRUE;
    return FALSE;
}

static void kerb_column_free(gpointer column)
{
    KerbColumn *c = column;
    g_array_free(c->sum, TRUE);
    g_free(c->name);
    g_free(c->key);
    g_free(c);
}

/* The column of a class: by label, or (label -1) by the facts' name. Made when it is not there. */
static KerbColumn *kerb_table_column(KerbTable *t, gint label, const gchar *key)
{
    for (guint i = 0; i < t->columns->len; i++) {
        KerbColumn *c = t->columns->pdata[i];
        if (label >= 0 ? c->label == label : !strcmp(c->key, key)) return c;
    }
    for (gint i = 0; label < 0 && i < t->drive->n_classes; i++) {
        gchar *name = kerb_review_facts_name(t->drive->classes[i].name);
        gboolean same = !strcmp(name, key);
        g_free(name);
        if (same) return kerb_table_column(t, i, NULL);
    }
    KerbColumn *c = g_new0(KerbColumn, 1);
    gboolean known = label >= 0 && label < t->drive->n_classes;
    if (known) {
        gchar *valid = g_utf8_make_valid(t->drive->classes[label].name, -1);
        c->name = valid;
        memcpy(c->rgb, t->drive->classes[label].rgb, 3);
    } else {
        c->name = label >= 0 ? g_strdup_printf("label %d", label) : g_strdup(key);
    }
    c->key = kerb_review_facts_name(c->name);
    if (!known) kerb_review_invent_color(c->key, t->columns->len, c->rgb);
    c->label = label;
    c->road = kerb_review_is_road(t->drive, c->name, c->key);
    c->sum = g_array_sized_new(FALSE, TRUE, sizeof(gdouble), t->steps);
    g_array_set_size(c->sum, t->steps);
    g_ptr_array_add(t->columns, c);
    return c;
}

/* --------------------------------------------------------------------------------------------------------------- summing */

static guint kerb_table_step(const KerbTable *t, gdouble t_s)
{
    return (guint)CLAMP(t_s / t->step_s, 0, t->steps - 1);
}

static void kerb_column_add(KerbColumn *c, guint step, gdouble share_times_weight)
{
    g_array_index(c->sum, gdouble, step) += share_times_weight;
    c->total += share_times_weight;
}

static guint64 kerb_review_at(const GArray *series, guint bin)
{
    return series && bin < series->len ? g_array_index(series, guint64, bin) : 0;
}

/* named: shares, too, not flicker alone. */
static void kerb_table_add_labels(KerbTable *t, const KerbReviewPart *part, gboolean named)
{
    const KerbReviewLabels *l = &part->labels;
    KerbColumn *columns[255] = { NULL };
    for (gint i = 0; named && i < 255; i++)
        if (l->counts[i]) columns[i] = kerb_table_column(t, i, NULL);
    for (guint k = 0; l->bins && k < l->bins->len; k++) {
        const KerbReviewBin *bin = &g_array_index(l->bins, KerbReviewBin, k);
        guint step = kerb_table_step(t, part->start_s + (k + 0.5) * KERB_REVIEW_STEP_S);
        t->flicker[step] += bin->flicker;
        t->flicker_weight[step] += bin->compared;
        if (!named || !bin->frames) continue;
        t->weight[step] += bin->frames;
        t->road_weight[step] += (gdouble)bin->ahead;
        for (gint i = 0; i < 255; i++) {
            if (!columns[i]) continue;
            kerb_column_add(columns[i], step, (gdouble)kerb_review_at(l->counts[i], k) / (gdouble)bin->pixels * bin->frames);
            if (columns[i]->road) t->road[step] += (gdouble)kerb_review_at(l->ahead[i], k);
        }
    }
}

static void kerb_table_add_cue(KerbTable *t, const KerbReviewFacts *f, guint step, gboolean shares)
{
    const gdouble values[] = { f->age_p50_ms, f->age_max_ms, f->fps, f->encode_fps };
    for (gint i = 0; i < 4; i++) {
        if (isnan(values[i])) continue;
        t->values[i][step] = i == AGE_MAX ? MAX(t->values[i][step], values[i]) : t->values[i][step] + values[i];
        t->value_weight[i][step] = i == AGE_MAX ? 1 : t->value_weight[i][step] + 1;
    }
    if (!shares) return;
    t->weight[step]++;
    for (guint i = 0; i < f->shares->len; i++) {
        const KerbReviewShare *share = &g_array_index(f->shares, KerbReviewShare, i);
        KerbColumn *column = kerb_table_column(t, -1, share->name);
        kerb_column_add(column, step, share->percent / 100);
        if (column->road && !t->ahead) t->road[step] += share->percent / 100;
    }
    if (!t->ahead) t->road_weight[step]++;
}

/* A cue counts for every step whose middle lies in it; where steps are longer, for the one that it lies in. */
static void kerb_table_add_facts(KerbTable *t, const KerbReviewPart *part, gboolean shares)
{
    for (guint i = 0; i < part->facts->len; i++) {
        const KerbReviewFacts *f = &g_array_index(part->facts, KerbReviewFacts, i);
        gdouble begin = part->start_s + f->t_s, end = begin + CLAMP(f->length_s, 0.001, 60);
        gdouble first = ceil(begin / t->step_s - 0.5 - 1e-6), last = ceil(end / t->step_s - 0.5 - 1e-6) - 1;
        if (last < first) first = last = floor((begin + end) / 2 / t->step_s);
        if (first < 0) first = 0;
        for (gdouble step = first; step <= last && step < t->steps; step++) kerb_table_add_cue(t, f, (guint)step, shares);
    }
}

static gboolean kerb_part_has_labels(const KerbReviewPart *part)
{
    return part->labels.frames > 0;
}

/* Twice the time of a label frame at least, and a second where there are facts only. */
static gdouble kerb_table_choose_step(const KerbReviewDrive *drive, gdouble length_s)
{
    static const gint steps[] = { 1, 2, 5, 10, 20, 50, 100, 300, 600, 1800, 3600 };
    gdouble least = 0;
    for (guint p = 0; p < drive->parts->len; p++) {
        const KerbReviewPart *part = drive->parts->pdata[p];
        gboolean facts_only = part->facts->len && (!kerb_part_has_labels(part) || !drive->n_classes);
        gdouble need = facts_only ? 1 : kerb_part_has_labels(part) ? 2 * part->length_s / (gdouble)part->labels.frames : 0;
        least = MAX(least, need);
    }
    least = MAX(least, length_s / KERB_REVIEW_STEPS_MAX);
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++)
        if (steps[i] * KERB_REVIEW_STEP_S >= least - 1e-6) return steps[i] * KERB_REVIEW_STEP_S;
    return steps[G_N_ELEMENTS(steps) - 1] * KERB_REVIEW_STEP_S;
}

static void kerb_table_init(KerbTable *t, const KerbReviewDrive *drive)
{
    *t = (KerbTable){ .drive = drive, .columns = g_ptr_array_new_with_free_func(kerb_column_free) };
    for (guint p = 0; p < drive->parts->len; p++) {
        const KerbReviewPart *part = drive->parts->pdata[p];
        t->length_s = MAX(t->length_s, part->start_s + part->length_s);
        if (kerb_part_has_labels(part) && (drive->n_classes || !part->facts->len)) t->ahead = TRUE;
    }
    t->step_s = kerb_table_choose_step(drive, t->length_s);
    t->steps = (guint)CLAMP(ceil(t->length_s / t->step_s - 1e-6), 1, 2 * KERB_REVIEW_STEPS_MAX);
    gdouble **all[] = { &t->weight, &t->road, &t->road_weight, &t->flicker, &t->flicker_weight };
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) *all[i] = g_new0(gdouble, t->steps);
    for (gint i = 0; i < 4; i++) {
        t->values[i] = g_new0(gdouble, t->steps);
        t->value_weight[i] = g_new0(gdouble, t->steps);
    }
    for (guint p = 0; p < drive->parts->len; p++) {
        const KerbReviewPart *part = drive->parts->pdata[p];
        gboolean named = kerb_part_has_labels(part) && (drive->n_classes || !part->facts->len);
        kerb_table_add_labels(t, part, named);
        kerb_table_add_facts(t, part, !named);
    }
}

static void kerb_table_clear(KerbTable *t)
{
    gdouble *all[] = { t->weight, t->road, t->road_weight, t->flicker, t->flicker_weight };
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) g_free(all[i]);
    for (gint i = 0; i < 4; i++) {
        g_free(t->values[i]);
        g_free(t->value_weight[i]);
    }
    g_ptr_array_free(t->columns, TRUE);
}

/* ----------------------------------------------------------------------------------------------------------------- JSON */

static json_t *kerb_review_real(gdouble value, gdouble unit)
{
    return json_real(round(value / unit) * unit);
}

/* sums / weights * factor, null where the weight is 0; NULL where all are. */
static json_t *kerb_table_series(const KerbTable *t, const gdouble *sums, const gdouble *weights, gdouble factor)
{
    json_t *list = json_array();
    gboolean any = FALSE;
    for (guint i = 0; i < t->steps; i++) {
        any |= weights[i] > 0;
        json_array_append_new(list, weights[i] > 0 ? kerb_review_real(sums[i] / weights[i] * factor, 0.01) : json_null());
    }
    if (!any) g_clear_pointer(&list, json_decref);
    return list;
}

/* Road first, then by what they take of the drive. */
static gint kerb_column_order(gconstpointer a, gconstpointer b)
{
    const KerbColumn *x = *(KerbColumn *const *)a, *y = *(KerbColumn *const *)b;
    if (x->road != y->road) return x->road ? -1 : 1;
    return x->total != y->total ? (x->total < y->total ? 1 : -1) : strcmp(x->name, y->name);
}

static void kerb_table_json(KerbTable *t, json_t *root)
{
    json_t *classes = json_array(), *shares = json_array(), *series = json_object();
    gboolean road = FALSE;
    g_ptr_array_sort(t->columns, kerb_column_order);
    for (guint i = 0; i < t->columns->len; i++) {
        const KerbColumn *c = t->columns->pdata[i];
        gchar color[8];
        if (c->total <= 0) continue;
        g_snprintf(color, sizeof color, "#%02x%02x%02x", c->rgb[0], c->rgb[1], c->rgb[2]);
        json_array_append_new(classes, json_pack("{s:s, s:s, s:b, s:i}", "name", c->name, "color", color, "road", (int)c->road, "label", (int)c->label));
        json_array_append_new(shares, kerb_table_series(t, (const gdouble *)(const void *)c->sum->data, t->weight, 100));
    }
    for (gint i = 0; i < t->drive->n_classes; i++) {
        gchar *key = kerb_review_facts_name(t->drive->classes[i].name);
        road |= kerb_review_is_road(t->drive, t->drive->classes[i].name, key);
        g_free(key);
    }
    for (guint i = 0; i < t->columns->len; i++) road |= ((KerbColumn *)t->columns->pdata[i])->road;
    json_object_set_new(root, "classes", classes);
    json_object_set_new(series, "shares", shares);
    json_object_set_new(series, "free_road", road ? kerb_table_series(t, t->road, t->road_weight, 100) : NULL);
    json_object_set_new(series, "flicker", kerb_table_series(t, t->flicker, t->flicker_weight, 100));
    for (gint i = 0; i < 4; i++) json_object_set_new(series, kerb_value_names[i], kerb_table_series(t, t->values[i], t->value_weight[i], 1));
    json_object_set_new(root, "series", series);
    json_object_set_new(root, "step_s", kerb_review_real(t->step_s, 0.1));
    json_object_set_new(root, "length_s", kerb_review_real(t->length_s, 0.001));
    json_object_set_new(root, "free_road_of", json_string(t->ahead ? "ahead" : "frame"));
}

static gboolean kerb_part_has_gap(const KerbReviewPart *part, gdouble begin_s, gdouble end_s)
{
    for (guint i = 0; i < part->gaps->len; i++) {
        const KerbReviewGap *gap = &g_array_index(part->gaps, KerbReviewGap, i);
        if (gap->t_s < end_s && gap->t_s + gap->length_s > begin_s) return TRUE;
    }
    return FALSE;
}

/* Gaps between time stamps, and those that only the facts tell of. */
static void kerb_part_marks(const KerbReviewPart *part, json_t *gaps, json_t *events)
{
    for (guint i = 0; i < part->gaps->len; i++) {
        const KerbReviewGap *gap = &g_array_index(part->gaps, KerbReviewGap, i);
        json_array_append_new(gaps, json_pack("{s:o, s:o}", "t", kerb_review_real(part->start_s + gap->t_s, 0.001), "length_s", kerb_review_real(gap->length_s, 0.001)));
    }
    for (guint i = 0; i < part->facts->len; i++) {
        const KerbReviewFacts *f = &g_array_index(part->facts, KerbReviewFacts, i);
        json_t *t = kerb_review_real(part->start_s + f->t_s, 0.001);
        if (f->gap_ms > 0 && !kerb_part_has_gap(part, f->t_s - f->gap_ms / 1000, f->t_s + f->length_s))
            json_array_append_new(gaps, json_pack("{s:O, s:o}", "t", t, "length_s", kerb_review_real(f->gap_ms / 1000, 0.001)));
        if (f->event) json_array_append_new(events, json_pack("{s:O, s:s}", "t", t, "name", f->event));
        json_decref(t);
    }
}

static json_t *kerb_part_json(const KerbReviewPart *part)
{
    gchar *name = g_filename_display_basename(part->path);
    json_t *json = json_pack("{s:s, s:o, s:o, s:i, s:i, s:I, s:s?, s:s?, s:s?, s:s?}", "file", name, "start_s", kerb_review_real(part->start_s, 0.001), "length_s",
                             kerb_review_real(part->length_s, 0.001), "width", part->width, "height", part->height, "frames", (json_int_t)part->frames, "codec",
                             part->codec, "mime", part->video ? part->mime : NULL, "date", part->date, "cut", part->cut);
    g_free(name);
    return json;
}

json_t *kerb_review_data(const KerbReviewDrive *drive)
{
    KerbTable table;
    json_t *root = json_object(), *parts = json_array(), *gaps = json_array(), *events = json_array(), *thumbs = json_array();
    const KerbReviewPart *first = drive->parts->pdata[0];
    json_object_set_new(root, "version", json_integer(1));
    json_object_set_new(root, "name", json_string(drive->name));
    json_object_set_new(root, "title", first->title ? json_string(first->title) : json_null());
    json_object_set_new(root, "model", first->model ? json_string(first->model) : json_null());
    kerb_table_init(&table, drive);
    kerb_table_json(&table, root);
    kerb_table_clear(&table);
    for (guint p = 0; p < drive->parts->len; p++) {
        const KerbReviewPart *part = drive->parts->pdata[p];
        json_array_append_new(parts, kerb_part_json(part));
        kerb_part_marks(part, gaps, events);
        for (guint i = 0; i < part->thumbs->len; i++) {
            const KerbReviewThumb *thumb = &g_array_index(part->thumbs, KerbReviewThumb, i);
            gsize bytes;
            const guchar *jpeg = g_bytes_get_data(thumb->jpeg, &bytes);
            gchar *text = g_base64_encode(jpeg, bytes);
            json_array_append_new(thumbs, json_pack("{s:o, s:s}", "t", kerb_review_real(part->start_s + thumb->t_s, 0.001), "jpeg", text));
            g_free(text);
        }
    }
    json_object_set_new(root, "parts", parts);
    json_object_set_new(root, "gaps", gaps);
    json_object_set_new(root, "events", events);
    json_object_set_new(root, "thumbs", thumbs);
    return root;
}
