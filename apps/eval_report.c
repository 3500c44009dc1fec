/* SPDX-License-Identifier: MIT */
/* What a pass has found, as JSON and as text; see eval.h, and docs/kerb.md for the meaning of each figure. */
#include "eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------------------------------- JSON */

/* JSON has no NaN. */
static json_t *kerb_number(gdouble value)
{
    return isnan(value) ? json_null() : json_real(value);
}

static json_t *kerb_report_classes(const KerbEval *e, const KerbScores *s)
{
    json_t *classes = json_object();
    for (int c = 0; c < e->match.n; c++)
        json_object_set_new(classes, e->match.classes[c].name,
                            json_pack("{so so so so sI sb}", "iou", kerb_number(s->iou[c]), "accuracy", kerb_number(s->accuracy[c]), "precision",
                                      kerb_number(s->precision[c]), "boundary_f1", kerb_number(kerb_boundary_class(&e->boundary, c)), "pixels",
                                      (json_int_t)s->pixels[c], "in_model", (int)e->match.known[c]));
    return classes;
}

static json_t *kerb_report_confusion(const KerbEval *e)
{
    json_t *names = json_array(), *rows = json_array();
    gsize n = (gsize)e->match.n;
    for (gsize t = 0; t < n; t++) {
        json_t *row = json_array();
        for (gsize p = 0; p <= n; p++) json_array_append_new(row, json_integer((json_int_t)e->total.counts[t * (n + 1) + p]));
        json_array_append_new(names, json_string(e->match.classes[t].name));
        json_array_append_new(rows, row);
    }
    return json_pack("{so so}", "classes", names, "counts", rows);
}

/* flicker.share is the figure: by truth where there is any, else by motion, else plain change. */
static json_t *kerb_report_flicker(const KerbEval *e)
{
    gdouble labelled = kerb_flicker_share(&e->labelled), carried = kerb_flicker_share(&e->carried), changed = kerb_flicker_share(&e->changed);
    gboolean by_truth = e->dataset != NULL, by_motion = !by_truth && e->carried.steady > 0;
    json_t *flicker = json_pack("{so ss sI so so}", "share", kerb_number(by_truth ? labelled : by_motion ? carried : changed), "by",
                                by_truth ? "truth" : by_motion ? "motion" : "change", "pairs", (json_int_t)e->pairs, "by_change", kerb_number(changed), "by_motion",
                                kerb_number(carried));
    if (by_truth) json_object_set_new(flicker, "by_truth", kerb_number(labelled));
    return flicker;
}

static json_t *kerb_report_mask_age(const KerbEval *e)
{
    KerbScores own, held, carried;
    kerb_scores_of(&e->age_own, &own);
    kerb_scores_of(&e->age_held, &held);
    kerb_scores_of(&e->age_carried, &carried);
    return json_pack("{si so so so sI}", "frames", e->wish->mask_age, "miou_own", kerb_number(own.miou), "miou_held", kerb_number(held.miou), "miou_carried",
                     kerb_number(carried.miou), "not_carried", (json_int_t)e->age_lost);
}

static json_t *kerb_report_kitti(const KerbCurveScores *s, gboolean exact)
{
    return json_pack("{so so so so so ss sb}", "max_f", kerb_number(s->max_f), "ap", kerb_number(s->ap), "precision", kerb_number(s->precision), "recall",
                     kerb_number(s->recall), "threshold", kerb_number(s->threshold), "view", "perspective", "ap_is_lower_bound", (int)!exact);
}

static int kerb_by_age(const void *a, const void *b)
{
    gdouble x = *(const gdouble *)a, y = *(const gdouble *)b;
    return (x > y) - (x < y);
}

static json_t *kerb_report_ages(const KerbEval *e)
{
    guint n = e->ages_ms->len;
    gdouble *ages = (gdouble *)(void *)e->ages_ms->data;
    if (!n) return json_null();
    qsort(ages, n, sizeof *ages, kerb_by_age);
    return json_pack("{sf sf sf}", "p50", ages[(n - 1) / 2], "p99", ages[(guint)ceil(0.99 * n) - 1], "max", ages[n - 1]);
}

static json_t *kerb_report_worst(const KerbEval *e)
{
    json_t *list = json_array();
    for (int i = 0; i < KERB_WORST && e->worst[i].name; i++)
        json_array_append_new(list, json_pack("{ss sI so so}", "frame", e->worst[i].name, "index", (json_int_t)e->worst[i].index, "miou", kerb_number(e->worst[i].miou),
                                              "pixel_accuracy", kerb_number(e->worst[i].pixel_accuracy)));
    return list;
}

static void kerb_report_labelled(json_t *root, const KerbEval *e)
{
    KerbScores s;
    KerbCurveScores curve;
    kerb_scores_of(&e->total, &s);
    kerb_curve_scores(&e->curve, &curve);
    json_object_set_new(root, "miou", kerb_number(s.miou));
    json_object_set_new(root, "pixel_accuracy", kerb_number(s.pixel_accuracy));
    json_object_set_new(root, "mean_accuracy", kerb_number(s.mean_accuracy));
    json_object_set_new(root, "frequency_weighted_iou", kerb_number(s.frequency_weighted_iou));
    json_object_set_new(root, "boundary_f1", kerb_number(kerb_boundary_mean(&e->boundary)));
    /* Of more than two classes kerbseg gives the winner's probability alone, and soft Dice wants them all. */
    json_object_set_new(root, "soft_dice", e->has_curve && e->curve_is_exact ? kerb_number(curve.soft_dice) : json_null());
    json_object_set_new(root, "classes", kerb_report_classes(e, &s));
    json_object_set_new(root, "confusion", kerb_report_confusion(e));
    if (e->has_curve && e->match.road >= 0) json_object_set_new(root, "road", kerb_report_kitti(&curve, e->curve_is_exact));
    if (e->wish->mask_age) json_object_set_new(root, "mask_age", kerb_report_mask_age(e));
    json_object_set_new(root, "worst", kerb_report_worst(e));
}

/* What a second pass changes in the figures that smoothing and live modes are judged by. */
static json_t *kerb_report_baseline(const KerbEval *e, const KerbEval *b)
{
    KerbScores s, plain;
    json_t *baseline = json_object();
    if (b->dataset) {
        kerb_scores_of(&e->total, &s);
        kerb_scores_of(&b->total, &plain);
        json_object_set_new(baseline, "miou", kerb_number(plain.miou));
        json_object_set_new(baseline, "miou_change", kerb_number(s.miou - plain.miou));
    }
    if (b->wish->flicker) {
        json_t *now = kerb_report_flicker(e), *then = kerb_report_flicker(b);
        gdouble after = json_number_value(json_object_get(now, "share")), before = json_number_value(json_object_get(then, "share"));
        json_object_set_new(baseline, "flicker", then);
        json_object_set_new(baseline, "flicker_ratio", kerb_number(before > 0 ? after / before : NAN));
        json_decref(now);
    }
    return baseline;
}

json_t *kerb_eval_report(const KerbEval *e, const KerbEval *baseline)
{
    json_t *root = json_pack("{sI sI sI ss ss ss ss si si si si}", "frames", (json_int_t)e->frames, "frames_errored", (json_int_t)e->errored, "frames_without_mask",
                             (json_int_t)e->without_mask, "dataset", e->dataset ? e->wish->dataset : "none", "root", e->wish->root, "model", e->options->model, "backend",
                             e->backend, "network_width", e->network_width, "network_height", e->network_height, "width", e->width, "height", e->height);
    if (!root) root = json_object(); /* a path that is not UTF-8 */
    const KerbOptions *o = e->options;
    json_object_update_new(root, json_pack("{ss ss sb si}", "live_mode", o->live_mode ? o->live_mode : "every-frame", "smoothing", o->smoothing ? o->smoothing : "off",
                                           "carry", (int)o->carry, "inference_interval", e->wish->interval));
    if (e->dataset) kerb_report_labelled(root, e);
    if (e->wish->flicker) json_object_set_new(root, "flicker", kerb_report_flicker(e));
    json_object_set_new(root, "age_ms", kerb_report_ages(e));
    if (baseline) json_object_set_new(root, "baseline", kerb_report_baseline(e, baseline));
    return root;
}

/* ----------------------------------------------------------------------------------------------------------------- text */

static const char *kerb_percent(const json_t *value, gchar *text, gsize size)
{
    if (json_is_number(value))
        g_snprintf(text, (gulong)size, "%.2f %%", 100 * json_number_value(value));
    else
        g_strlcpy(text, "-", size);
    return text;
}

static void kerb_print_share(const char *what, const json_t *value)
{
    gchar text[32];
    printf("%-24s %10s\n", what, kerb_percent(value, text, sizeof text));
}

static void kerb_print_classes(json_t *classes)
{
    const char *name;
    json_t *of;
    printf("\n%-20s %10s %10s %10s %12s %14s\n", "class", "IoU", "accuracy", "precision", "boundary F1", "pixels");
    json_object_foreach(classes, name, of)
    {
        gchar iou[32], accuracy[32], precision[32], boundary[32];
        printf("%-20s %10s %10s %10s %12s %14" JSON_INTEGER_FORMAT "%s\n", name, kerb_percent(json_object_get(of, "iou"), iou, sizeof iou),
               kerb_percent(json_object_get(of, "accuracy"), accuracy, sizeof accuracy), kerb_percent(json_object_get(of, "precision"), precision, sizeof precision),
               kerb_percent(json_object_get(of, "boundary_f1"), boundary, sizeof boundary), json_integer_value(json_object_get(of, "pixels")),
               json_is_false(json_object_get(of, "in_model")) ? "  not in the model" : "");
    }
}

static void kerb_print_flicker(json_t *flicker)
{
    static const char *const by[][2] = { { "by_truth", "flicker, by truth" }, { "by_motion", "flicker, by motion" }, { "by_change", "flicker, any change" } };
    for (gsize i = 0; i < G_N_ELEMENTS(by); i++)
        if (json_object_get(flicker, by[i][0])) kerb_print_share(by[i][1], json_object_get(flicker, by[i][0]));
}

void kerb_eval_print(const json_t *report)
{
    static const char *const shares[][2] = { { "miou", "mean IoU" }, { "pixel_accuracy", "pixel accuracy" }, { "mean_accuracy", "mean accuracy" },
                                             { "frequency_weighted_iou", "frequency-weighted IoU" }, { "boundary_f1", "boundary F1" }, { "soft_dice", "soft Dice" } };
    static const char *const parts[][3] = {
        { "road", "max_f", "road MaxF" },        { "road", "ap", "road AP" },  { "mask_age", "miou_own", "mean IoU, own mask" }, { "mask_age", "miou_held", "mean IoU, old mask" },
        { "mask_age", "miou_carried", "mean IoU, carried mask" }, { "baseline", "miou", "baseline: mean IoU" },
    };
    printf("%" JSON_INTEGER_FORMAT " frames, network %d x %d, %s\n\n", json_integer_value(json_object_get(report, "frames")),
           (int)json_integer_value(json_object_get(report, "network_width")), (int)json_integer_value(json_object_get(report, "network_height")),
           json_string_value(json_object_get(report, "backend")));
    for (gsize i = 0; i < G_N_ELEMENTS(shares); i++)
        if (json_is_number(json_object_get(report, shares[i][0]))) kerb_print_share(shares[i][1], json_object_get(report, shares[i][0]));
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++)
        if (json_object_get(json_object_get(report, parts[i][0]), parts[i][1])) kerb_print_share(parts[i][2], json_object_get(json_object_get(report, parts[i][0]), parts[i][1]));
    kerb_print_flicker(json_object_get(report, "flicker"));
    const json_t *ratio = json_object_get(json_object_get(report, "baseline"), "flicker_ratio");
    if (json_is_number(ratio)) printf("%-24s %8.3f times the baseline's\n", "flicker", json_number_value(ratio));
    if (json_object_get(report, "classes")) kerb_print_classes(json_object_get(report, "classes"));
}
