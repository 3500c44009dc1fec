/* SPDX-License-Identifier: MIT */
/* The worst frames of a pass, and the sheet of them: frame, prediction, truth, and where they differ; see eval.h. */
#include "eval.h"
#include "page.h"
#include "say.h"
#include "sheet.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MARGIN_PX 12
#define CAPTION_PX 24
#define ROW_PX 22

static const guint8 void_rgb[3] = { 60, 64, 72 }, none_rgb[3] = { 0, 0, 0 };
static const char *const captions[] = { "frame", "prediction", "truth (grey: not judged)", "errors" };

/* --------------------------------------------------------------------------------------------------------- remembering */

void kerb_eval_shot_clear(KerbEvalShot *shot)
{
    KerbRaster *panels[] = { &shot->frame, &shot->prediction, &shot->truth, &shot->error };
    for (gsize i = 0; i < G_N_ELEMENTS(panels); i++) kerb_raster_clear(panels[i]);
    g_clear_pointer(&shot->name, g_free);
}

/* By mean IoU over the classes that the frame has; of equals the earlier one. */
static gboolean kerb_shot_is_worse(gdouble miou, guint64 index, const KerbEvalShot *than)
{
    return !than->name || miou < than->miou || (miou <= than->miou && index < than->index);
}

static const guint8 *kerb_shot_color(const KerbEval *e, guint8 class, const guint8 *other)
{
    return class < e->match.n ? e->match.classes[class].rgb : other;
}

static void kerb_shot_paint(const KerbEval *e, KerbEvalShot *shot)
{
    for (int y = 0; y < shot->frame.height_px; y++) {
        gsize row = (gsize)((2 * (gint64)y + 1) * e->height / (2 * shot->frame.height_px)) * (gsize)e->width;
        for (int x = 0; x < shot->frame.width_px; x++) {
            gsize from = row + (gsize)((2 * (gint64)x + 1) * e->width / (2 * shot->frame.width_px)), to = 3 * ((gsize)y * (gsize)shot->frame.width_px + (gsize)x);
            guint8 truth = e->truth[from], prediction = e->prediction[from], *error = shot->error.rgb + to;
            const guint8 *rgb = shot->frame.rgb + to;
            guint8 gray = (guint8)((rgb[0] * 77 + rgb[1] * 150 + rgb[2] * 29) >> 8);
            gboolean judged = truth < e->match.n, wrong = judged && truth != prediction;
            memcpy(shot->prediction.rgb + to, kerb_shot_color(e, prediction, none_rgb), 3);
            memcpy(shot->truth.rgb + to, kerb_shot_color(e, truth, void_rgb), 3);
            error[0] = (guint8)(wrong ? 150 + gray * 2 / 5 : judged ? gray / 2 : void_rgb[0]);
            error[1] = (guint8)(wrong ? 20 : judged ? gray / 2 : void_rgb[1]);
            error[2] = (guint8)(wrong ? 30 : judged ? gray / 2 : void_rgb[2]);
        }
    }
}

void kerb_eval_remember(KerbEval *e, const KerbEvalFrame *f, const KerbScores *scores)
{
    int place = KERB_WORST;
    while (place > 0 && kerb_shot_is_worse(scores->miou, f->index, &e->worst[place - 1])) place--;
    if (place == KERB_WORST) return;
    kerb_eval_shot_clear(&e->worst[KERB_WORST - 1]);
    memmove(&e->worst[place + 1], &e->worst[place], (gsize)(KERB_WORST - 1 - place) * sizeof *e->worst);
    KerbEvalShot *shot = &e->worst[place];
    *shot = (KerbEvalShot){ .name = g_strdup(f->name), .index = f->index, .miou = scores->miou, .pixel_accuracy = scores->pixel_accuracy };
    if (!e->wish->sheet || e->plain) return;
    int height = CLAMP((int)lround((gdouble)KERB_SHOT_PX * e->height / e->width), 8, 2 * KERB_SHOT_PX);
    KerbRaster *panels[] = { &shot->frame, &shot->prediction, &shot->truth, &shot->error };
    for (gsize i = 0; i < G_N_ELEMENTS(panels); i++) kerb_raster_init(panels[i], KERB_SHOT_PX, height, kerb_raster_background);
    kerb_sheet_scale_frame(f->info, f->buffer, &shot->frame);
    kerb_shot_paint(e, shot);
}

/* ------------------------------------------------------------------------------------------------------------------ PNG */

/* Colours and what they mean, in rows of `width`; returns the height. out NULL: measures only. */
static int kerb_worst_legend(const KerbEval *e, KerbFont *font, KerbRaster *out, int x, int y, int width)
{
    int left = x, top = y;
    for (int c = 0; c < e->match.n; c++) {
        int needed = 16 + 8 + (font ? kerb_font_width_px(font, e->match.classes[c].name) : 40) + 18;
        if (left > x && left + needed > x + width) {
            left = x;
            top += ROW_PX;
        }
        if (out) kerb_raster_fill(out, left, top + 3, 16, 16, e->match.classes[c].rgb);
        if (out) kerb_raster_text(out, font, left + 24, top + 2, e->match.classes[c].name, kerb_raster_ink);
        left += needed;
    }
    return top + ROW_PX - y;
}

static gchar *kerb_worst_title(const KerbEvalShot *shot)
{
    return g_strdup_printf("%s  ·  mIoU %.1f %%  ·  pixel accuracy %.1f %%", shot->name, 100 * shot->miou, 100 * shot->pixel_accuracy);
}

/* The four panels of a frame, side by side. */
static void kerb_worst_strip(const KerbEvalShot *shot, KerbRaster *out, int x, int y)
{
    const KerbRaster *panels[] = { &shot->frame, &shot->prediction, &shot->truth, &shot->error };
    for (int i = 0; i < 4; i++) kerb_raster_paste(out, x + i * (KERB_SHOT_PX + MARGIN_PX), y, panels[i]);
}

static gboolean kerb_worst_png(const KerbEval *e, const gchar *path)
{
    KerbFont *font = kerb_font_new(14);
    int width = 4 * KERB_SHOT_PX + 5 * MARGIN_PX, legend = kerb_worst_legend(e, font, NULL, 0, 0, width - 2 * MARGIN_PX);
    int height = MARGIN_PX + legend + CAPTION_PX + MARGIN_PX, y = MARGIN_PX;
    for (int i = 0; i < KERB_WORST && e->worst[i].name; i++) height += CAPTION_PX + e->worst[i].frame.height_px + MARGIN_PX;
    KerbRaster out;
    kerb_raster_init(&out, width, height, kerb_raster_background);
    y += kerb_worst_legend(e, font, &out, MARGIN_PX, y, width - 2 * MARGIN_PX);
    for (int i = 0; i < 4; i++) kerb_raster_text(&out, font, MARGIN_PX + i * (KERB_SHOT_PX + MARGIN_PX), y + 3, captions[i], kerb_raster_faint);
    y += CAPTION_PX;
    for (int i = 0; i < KERB_WORST && e->worst[i].name; i++) {
        gchar *title = kerb_worst_title(&e->worst[i]);
        kerb_raster_text(&out, font, MARGIN_PX, y + 3, title, kerb_raster_ink);
        kerb_worst_strip(&e->worst[i], &out, MARGIN_PX, y + CAPTION_PX);
        y += CAPTION_PX + e->worst[i].frame.height_px + MARGIN_PX;
        g_free(title);
    }
    gboolean ok = kerb_raster_write_png(&out, path);
    if (!ok) kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
    kerb_raster_clear(&out);
    kerb_font_free(&font);
    return ok;
}

/* ----------------------------------------------------------------------------------------------------------------- HTML */

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n<title>kerb eval</title>\n<style>\n"
    "body{background:#181a1e;color:#e8eaed;font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1600px;padding:0 1em}\n"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}.faint{color:#969ba3}table{border-collapse:collapse}\n"
    "td,th{padding:.15em .8em;text-align:right;border-bottom:1px solid #30343b}td:first-child,th:first-child{text-align:left}\n"
    ".big{display:flex;gap:2.5em;flex-wrap:wrap}.big b{display:block;font-size:1.8em}.swatch{display:inline-block;width:1em;height:1em;vertical-align:-.15em;margin-right:.6em}\n"
    ".bar{display:inline-block;height:.7em;background:#5b9dd9}img{max-width:100%;display:block}.grid{overflow-x:auto}.grid td{font-size:.8em;min-width:2.6em;padding:.1em .3em}\n"
    "figure{margin:0 0 1.6em}.caps{display:grid;grid-template-columns:repeat(4,1fr);color:#969ba3}\n</style>\n";

/* A share as a percentage; what is not known as a dash. */
static void kerb_page_share(GString *page, const json_t *value)
{
    if (json_is_number(value))
        g_string_append_printf(page, "%.1f %%", 100 * json_number_value(value));
    else
        g_string_append(page, "–");
}

static void kerb_page_figures(GString *page, const json_t *report)
{
    static const char *const figures[][2] = { { "miou", "mean IoU" }, { "pixel_accuracy", "pixel accuracy" }, { "mean_accuracy", "mean accuracy" },
                                              { "frequency_weighted_iou", "frequency-weighted IoU" }, { "boundary_f1", "boundary F1" } };
    g_string_append(page, "<div class=\"big\">");
    for (gsize i = 0; i < G_N_ELEMENTS(figures); i++) {
        g_string_append(page, "<div><b>");
        kerb_page_share(page, json_object_get(report, figures[i][0]));
        g_string_append_printf(page, "</b><span class=\"faint\">%s</span></div>", figures[i][1]);
    }
    g_string_append(page, "</div>\n");
}

static void kerb_page_classes(GString *page, const KerbEval *e, json_t *report)
{
    static const char *const columns[] = { "iou", "accuracy", "precision", "boundary_f1" };
    g_string_append(page, "<h2>Classes</h2>\n<table><tr><th>class<th>IoU<th><th>accuracy<th>precision<th>boundary F1<th>share of the truth\n");
    guint64 judged = 0;
    KerbScores scores;
    kerb_scores_of(&e->total, &scores);
    judged = scores.judged;
    for (int c = 0; c < e->match.n; c++) {
        const KerbClass *class = &e->match.classes[c];
        json_t *of = json_object_get(json_object_get(report, "classes"), class->name);
        g_string_append_printf(page, "<tr><td><span class=\"swatch\" style=\"background:#%02x%02x%02x\"></span>", class->rgb[0], class->rgb[1], class->rgb[2]);
        kerb_page_text(page, class->name);
        if (!e->match.known[c]) g_string_append(page, " <span class=\"faint\">(not in the model)</span>");
        for (gsize k = 0; k < G_N_ELEMENTS(columns); k++) {
            g_string_append(page, "<td>");
            kerb_page_share(page, json_object_get(of, columns[k]));
            if (k == 0)
                g_string_append_printf(page, "<td style=\"text-align:left;min-width:11em\"><span class=\"bar\" style=\"width:%.1fem\"></span>",
                                       isnan(scores.iou[c]) ? 0 : 10 * scores.iou[c]);
        }
        g_string_append_printf(page, "<td>%.2f %%\n", judged ? 100 * (gdouble)scores.pixels[c] / (gdouble)judged : 0);
    }
    g_string_append(page, "</table>\n");
}

/* Rows: the truth; columns: what it was called, as a share of the row. */
static void kerb_page_confusion(GString *page, const KerbEval *e)
{
    gsize n = (gsize)e->match.n;
    g_string_append(page, "<h2>Confusion</h2>\n<p class=\"faint\">A row is a class of the truth: what its pixels were called, in per cent.</p>\n<div class=\"grid\"><table><tr><th>");
    for (gsize p = 0; p <= n; p++) {
        g_string_append(page, "<th>");
        kerb_page_text(page, p < n ? e->match.classes[p].name : "none");
    }
    for (gsize t = 0; t < n; t++) {
        guint64 all = 0;
        for (gsize p = 0; p <= n; p++) all += e->total.counts[t * (n + 1) + p];
        g_string_append(page, "\n<tr><td>");
        kerb_page_text(page, e->match.classes[t].name);
        for (gsize p = 0; p <= n; p++) {
            gdouble share = all ? (gdouble)e->total.counts[t * (n + 1) + p] / (gdouble)all : 0;
            g_string_append_printf(page, "<td style=\"background:rgba(%s,%.2f)\">", t == p ? "60,150,90" : "200,50,50", share > 0 ? 0.1 + 0.9 * share : 0);
            if (share >= 0.0005) g_string_append_printf(page, "%.1f", 100 * share);
        }
    }
    g_string_append(page, "\n</table></div>\n");
}

static void kerb_page_shot(GString *page, const KerbEvalShot *shot)
{
    KerbRaster strip;
    kerb_raster_init(&strip, 4 * KERB_SHOT_PX + 3 * MARGIN_PX, shot->frame.height_px, kerb_raster_background);
    kerb_worst_strip(shot, &strip, 0, 0);
    GBytes *png = kerb_raster_png(&strip);
    gchar *title = kerb_worst_title(shot);
    g_string_append(page, "<figure><figcaption>");
    kerb_page_text(page, title);
    g_string_append(page, "</figcaption>");
    if (png) {
        gsize bytes;
        gconstpointer data = g_bytes_get_data(png, &bytes);
        gchar *text = g_base64_encode(data, bytes);
        g_string_append_printf(page, "<img alt=\"frame, prediction, truth, errors\" src=\"data:image/png;base64,%s\">", text);
        g_free(text);
        g_bytes_unref(png);
    }
    g_string_append(page, "</figure>\n");
    g_free(title);
    kerb_raster_clear(&strip);
}

static gboolean kerb_worst_html(const KerbEval *e, const gchar *path, const json_t *report)
{
    GString *page = g_string_new(page_head);
    GError *error = NULL;
    gchar *model = g_filename_display_basename(e->options->model), *root = g_filename_display_name(e->wish->root);
    g_string_append(page, "<h1>");
    kerb_page_text(page, model);
    g_string_append(page, " on ");
    kerb_page_text(page, root);
    g_string_append_printf(page, "</h1>\n<p class=\"faint\">%s, %" G_GUINT64_FORMAT " frames, network %d × %d, %s, kerb %s</p>\n", e->wish->dataset, e->frames, e->network_width,
                           e->network_height, e->backend, kerb_version());
    kerb_page_figures(page, report);
    kerb_page_classes(page, e, (json_t *)report);
    g_string_append(page, "<h2>Worst frames</h2>\n<div class=\"caps\">");
    for (int i = 0; i < 4; i++) g_string_append_printf(page, "<span>%s</span>", captions[i]);
    g_string_append(page, "</div>\n");
    for (int i = 0; i < KERB_WORST && e->worst[i].name; i++) kerb_page_shot(page, &e->worst[i]);
    kerb_page_confusion(page, e);
    gboolean ok = g_file_set_contents(path, page->str, (gssize)page->len, &error);
    if (!ok) kerb_say("%s cannot be written: %s", path, error->message);
    g_clear_error(&error);
    g_string_free(page, TRUE);
    g_free(model);
    g_free(root);
    return ok;
}

gboolean kerb_eval_sheet(const KerbEval *e, const gchar *path, const json_t *report)
{
    return g_str_has_suffix(path, ".png") ? kerb_worst_png(e, path) : kerb_worst_html(e, path, report);
}
