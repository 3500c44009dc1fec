/* SPDX-License-Identifier: MIT */
/* Counting pixels; see metrics.h. Boundaries: metrics_boundary.c. */
#include "metrics.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------ confusion */

static gsize kerb_confusion_cells(const KerbConfusion *c)
{
    return (gsize)c->n * (gsize)(c->n + 1);
}

void kerb_confusion_init(KerbConfusion *c, int n)
{
    c->n = n;
    c->counts = g_new0(guint64, kerb_confusion_cells(c));
}

void kerb_confusion_clear(KerbConfusion *c)
{
    g_clear_pointer(&c->counts, g_free);
}

void kerb_confusion_reset(KerbConfusion *c)
{
    memset(c->counts, 0, kerb_confusion_cells(c) * sizeof *c->counts);
}

void kerb_confusion_add(KerbConfusion *c, const guint8 *truth, const guint8 *prediction, gsize pixels)
{
    gsize n = (gsize)c->n;
    for (gsize i = 0; i < pixels; i++)
        if (truth[i] < n) c->counts[truth[i] * (n + 1) + MIN(prediction[i], n)]++;
}

void kerb_confusion_merge(KerbConfusion *into, const KerbConfusion *from)
{
    for (gsize i = 0; i < kerb_confusion_cells(into); i++) into->counts[i] += from->counts[i];
}

static gdouble kerb_share(guint64 part, guint64 whole)
{
    return whole ? (gdouble)part / (gdouble)whole : NAN;
}

/* The mean of those that are numbers. */
static gdouble kerb_mean(const gdouble *values, int n)
{
    gdouble sum = 0;
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(values[i])) continue;
        sum += values[i];
        count++;
    }
    return count ? sum / count : NAN;
}

void kerb_scores_of(const KerbConfusion *c, KerbScores *s)
{
    gsize n = (gsize)c->n;
    guint64 right = 0;
    memset(s, 0, sizeof *s);
    for (gsize i = 0; i < n; i++) {
        guint64 truth = 0, called = 0, both = c->counts[i * (n + 1) + i];
        for (gsize p = 0; p <= n; p++) truth += c->counts[i * (n + 1) + p];
        for (gsize t = 0; t < n; t++) called += c->counts[t * (n + 1) + i];
        s->pixels[i] = truth;
        s->judged += truth;
        right += both;
        s->accuracy[i] = kerb_share(both, truth);
        s->precision[i] = kerb_share(both, called);
        s->iou[i] = kerb_share(both, truth + called - both);
    }
    s->pixel_accuracy = kerb_share(right, s->judged);
    s->mean_accuracy = kerb_mean(s->accuracy, c->n);
    s->miou = kerb_mean(s->iou, c->n);
    s->frequency_weighted_iou = s->judged ? 0 : NAN;
    for (gsize i = 0; i < n; i++)
        if (s->pixels[i]) s->frequency_weighted_iou += (gdouble)s->pixels[i] / (gdouble)s->judged * s->iou[i];
}

/* -------------------------------------------------------------------------------------------------------------- flicker */

void kerb_flicker_add_labelled(KerbFlicker *f, const guint8 *truth_before, const guint8 *truth, const guint8 *before, const guint8 *prediction, gsize pixels)
{
    for (gsize i = 0; i < pixels; i++) {
        if (truth[i] == KERB_VOID || truth[i] != truth_before[i]) continue;
        f->steady++;
        f->changed += before[i] != prediction[i];
    }
}

void kerb_flicker_add(KerbFlicker *f, const guint8 *expected, const guint8 *labels, gsize pixels)
{
    for (gsize i = 0; i < pixels; i++) {
        if (expected[i] == KERB_LABEL_NONE || labels[i] == KERB_LABEL_NONE) continue;
        f->steady++;
        f->changed += expected[i] != labels[i];
    }
}

gdouble kerb_flicker_share(const KerbFlicker *f)
{
    return kerb_share(f->changed, f->steady);
}

/* ------------------------------------------------------------------------------------------------------ by probability */

void kerb_curve_add(KerbCurve *curve, const guint8 *truth, const guint8 *probability, gsize pixels, int positive)
{
    for (gsize i = 0; i < pixels; i++) {
        if (truth[i] == KERB_VOID) continue;
        if (truth[i] == positive)
            curve->positive[probability[i]]++;
        else
            curve->negative[probability[i]]++;
    }
}

void kerb_curve_scores(const KerbCurve *curve, KerbCurveScores *s)
{
    gdouble precision[256], recall[256], sum_p = 0, sum_pg = 0;
    guint64 all = 0, tp = 0, fp = 0;
    *s = (KerbCurveScores){ NAN, NAN, NAN, NAN, NAN, NAN };
    for (int k = 0; k < 256; k++) {
        all += curve->positive[k];
        sum_pg += k / 255.0 * (gdouble)curve->positive[k];
        sum_p += k / 255.0 * (gdouble)(curve->positive[k] + curve->negative[k]);
    }
    if (!all) return;
    s->soft_dice = 2 * sum_pg / (sum_p + (gdouble)all);
    for (int k = 255; k >= 0; k--) {
        tp += curve->positive[k];
        fp += curve->negative[k];
        precision[k] = tp ? (gdouble)tp / (gdouble)(tp + fp) : 0;
        recall[k] = (gdouble)tp / (gdouble)all;
    }
    s->max_f = -1;
    for (int k = 0; k < 256; k++) {
        gdouble f = precision[k] + recall[k] > 0 ? 2 * precision[k] * recall[k] / (precision[k] + recall[k]) : 0;
        if (f <= s->max_f) continue;
        s->max_f = f;
        s->precision = precision[k];
        s->recall = recall[k];
        s->threshold = k / 255.0;
    }
    s->ap = 0;
    for (int point = 0; point <= 10; point++) {
        gdouble best = 0;
        for (int k = 0; k < 256; k++)
            if (recall[k] >= point / 10.0) best = MAX(best, precision[k]);
        s->ap += best / 11;
    }
}
