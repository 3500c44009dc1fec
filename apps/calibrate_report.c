/* SPDX-License-Identifier: MIT */
/* What a calibration found: JSON, a page, lines. */
#include "calibrate.h"
#include "page.h"
#include "say.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static json_t *kerb_calibrate_number(gdouble v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *kerb_calibrate_layers(const KerbCalibration *r)
{
    json_t *layers = json_array();
    for (int l = 0; l < r->n_layers; l++) {
        const KerbCalibratedLayer *y = &r->layers[l];
        json_array_append_new(layers, json_pack("{ss ss sI sb so so so}", "name", y->name, "type", y->type, "weights", (json_int_t)y->parameters, "in_float", (int)y->in_float,
                                                "sqnr_db", kerb_calibrate_number(y->sqnr_db), "alone_db", kerb_calibrate_number(y->alone_db), "alone_agreement",
                                                kerb_calibrate_number(y->alone_agreement)));
    }
    return layers;
}

static json_t *kerb_calibrate_tensors(const KerbCalibration *r)
{
    json_t *tensors = json_array();
    for (int t = 0; t < r->n_tensors; t++) {
        const KerbCalibratedTensor *x = &r->tensors[t];
        json_array_append_new(tensors, json_pack("{ss so so so si ss so}", "name", x->name, "min", kerb_calibrate_number((gdouble)x->min), "max",
                                                 kerb_calibrate_number((gdouble)x->max), "scale", kerb_calibrate_number((gdouble)x->scale), "zero_point", x->zero_point, "type",
                                                 x->is_signed ? "int8" : "uint8", "clipped", kerb_calibrate_number(x->clipped)));
    }
    return tensors;
}

json_t *kerb_calibrate_report(const KerbCalibration *r, const gchar *model, const gchar *output, const KerbCalibrateLabelled *labelled)
{
    json_t *root = json_pack("{ss ss ss sb sb sb sf}", "model", model, "output", output, "method", kerb_range_methods[r->options.method], "bias_correction",
                             (int)r->options.bias_correction, "signed", (int)r->options.signed_only, "reduce_range", (int)r->options.reduce_range, "agreement_wanted",
                             r->options.agreement);
    if (r->options.method == KERB_RANGE_PERCENTILE) json_object_set_new(root, "percentile", json_real(r->options.percentile));
    json_t *found = json_pack("{so so so si si si si si si ss sI sI}", "agreement", kerb_calibrate_number(r->agreement), "agreement_all_int8",
                              kerb_calibrate_number(r->agreement_all), "output_db", kerb_calibrate_number(r->output_db), "layers_in_float", r->n_float, "frames", r->frames,
                              "frames_resumed", r->frames_resumed, "held_out", r->held_out, "network_width", r->network_width_px, "network_height", r->network_height_px,
                              "backend", r->backend, "bytes_before", (json_int_t)r->bytes_before, "bytes_after", (json_int_t)r->bytes_after);
    json_object_update(root, found);
    json_decref(found);
    if (labelled->frames)
        json_object_set_new(root, "labelled", json_pack("{sI so so so}", "frames", (json_int_t)labelled->frames, "miou_float", kerb_calibrate_number(labelled->miou_float),
                                                        "miou_int8", kerb_calibrate_number(labelled->miou_int8), "miou_change",
                                                        kerb_calibrate_number(labelled->miou_int8 - labelled->miou_float)));
    json_object_set_new(root, "layers", kerb_calibrate_layers(r));
    json_object_set_new(root, "tensors", kerb_calibrate_tensors(r));
    return root;
}

gchar *kerb_calibrate_summary(const KerbCalibration *r, const gchar *output, const KerbCalibrateLabelled *labelled)
{
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%s: %d of %d layers in int8, %.1f MB (float: %.1f MB)\n", output, r->n_layers - r->n_float, r->n_layers, (gdouble)r->bytes_after / 1e6,
                           (gdouble)r->bytes_before / 1e6);
    g_string_append_printf(text, "agreement    %.3f %% of labels as in float, on %d frames held out (all layers in int8: %.3f %%); outputs %.1f dB above their error\n",
                           100 * r->agreement, r->held_out, 100 * r->agreement_all, r->output_db);
    g_string_append_printf(text, "ranges       %s, of %d frames, network %d x %d\n", kerb_range_methods[r->options.method], r->frames, r->network_width_px, r->network_height_px);
    if (labelled->frames)
        g_string_append_printf(text, "mIoU         %.2f %% (float: %.2f %%) on %" G_GUINT64_FORMAT " labelled frames\n", 100 * labelled->miou_int8, 100 * labelled->miou_float,
                               labelled->frames);
    return g_string_free(text, FALSE);
}

void kerb_calibrate_print(const KerbCalibration *r, const gchar *output, const KerbCalibrateLabelled *labelled)
{
    gchar *summary = kerb_calibrate_summary(r, output, labelled);
    fputs(summary, stdout);
    g_free(summary);
    for (int l = 0; l < r->n_layers; l++)
        if (r->layers[l].in_float)
            printf("in float     %s (%s): alone in int8, %.3f %% of labels stay, outputs %.1f dB above their error\n", r->layers[l].name, r->layers[l].type,
                   100 * r->layers[l].alone_agreement, r->layers[l].alone_db);
}

/* ----------------------------------------------------------------------------------------------------------------- page */

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n<title>kerb calibrate</title>\n<style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;background:#181a1e;color:#e8eaed}\n"
    "table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.15rem .6rem;border-bottom:1px solid #33373e;font-variant-numeric:tabular-nums}\n"
    "th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}th{color:#969ba3;font-weight:500;position:sticky;top:0;background:#181a1e}\n"
    "tr.float td{color:#ffb74d}b{font-size:1.6rem;font-weight:600;display:block}dl{display:flex;flex-wrap:wrap;gap:2rem}dt{color:#969ba3}dd{margin:0}\n"
    ".bar{display:inline-block;height:.7rem;background:#4a90d9;vertical-align:middle}tr.float .bar{background:#ffb74d}\n"
    "@media(prefers-color-scheme:light){body,th{background:#fff;color:#202124}tr.float td{color:#b35c00}}\n</style>\n";

static void kerb_calibrate_figure(GString *page, const char *what, const char *format, gdouble v)
{
    g_string_append_printf(page, "<div><dt>%s</dt><dd><b>", what);
    if (isfinite(v)) g_string_append_printf(page, format, v); /* formats are this file's own */
    else g_string_append(page, "–");
    g_string_append(page, "</b></dd></div>\n");
}

/* A number in a cell; a bar before it where `full` is above 0. */
static void kerb_calibrate_cell(GString *page, const char *format, gdouble v, gdouble full)
{
    g_string_append(page, "<td>");
    if (isfinite(v) && full > 0) g_string_append_printf(page, "<span class=\"bar\" style=\"width:%.1fpx\"></span> ", CLAMP(v / full, 0, 1) * 120);
    if (isfinite(v)) g_string_append_printf(page, format, v);
    g_string_append(page, "</td>");
}

static void kerb_calibrate_page_layers(GString *page, const KerbCalibration *r)
{
    g_string_append(page, "<h2>Layers</h2>\n<p>SQNR: signal to quantisation noise of the layer's own output in the finished model. Alone: what is left of the outputs and labels "
                          "when this layer alone is int8; empty where it was not needed. Orange: stayed in float.</p>\n<table><tr><th>layer<th>operator<th>weights<th>SQNR, "
                          "dB<th>alone, dB<th>alone, labels kept<th></tr>\n");
    for (int l = 0; l < r->n_layers; l++) {
        const KerbCalibratedLayer *y = &r->layers[l];
        g_string_append_printf(page, "<tr%s><td>", y->in_float ? " class=\"float\"" : "");
        kerb_page_text(page, y->name);
        g_string_append(page, "</td><td>");
        kerb_page_text(page, y->type);
        g_string_append_printf(page, "</td><td>%" G_GINT64_FORMAT "</td>", (gint64)y->parameters);
        kerb_calibrate_cell(page, "%.1f", y->sqnr_db, 60);
        kerb_calibrate_cell(page, "%.1f", y->alone_db, 0);
        kerb_calibrate_cell(page, "%.3f&nbsp;%%", 100 * y->alone_agreement, 0);
        g_string_append(page, y->in_float ? "<td>float</td></tr>\n" : "<td>int8</td></tr>\n");
    }
    g_string_append(page, "</table>\n");
}

static void kerb_calibrate_page_tensors(GString *page, const KerbCalibration *r)
{
    g_string_append(page, "<h2>Tensors</h2>\n<table><tr><th>tensor<th>type<th>least<th>greatest<th>from<th>to<th>clipped</tr>\n");
    for (int t = 0; t < r->n_tensors; t++) {
        const KerbCalibratedTensor *x = &r->tensors[t];
        g_string_append(page, "<tr><td>");
        kerb_page_text(page, x->name);
        g_string_append_printf(page, "</td><td>%s</td>", x->is_signed ? "int8" : "uint8");
        kerb_calibrate_cell(page, "%.4g", (gdouble)x->min, 0);
        kerb_calibrate_cell(page, "%.4g", (gdouble)x->max, 0);
        kerb_calibrate_cell(page, "%.4g", (gdouble)x->scale * (x->is_signed ? -127 : -x->zero_point), 0);
        kerb_calibrate_cell(page, "%.4g", (gdouble)x->scale * (x->is_signed ? 127 : 255 - x->zero_point), 0);
        kerb_calibrate_cell(page, "%.4f&nbsp;%%", 100 * x->clipped, 0);
        g_string_append(page, "</tr>\n");
    }
    g_string_append(page, "</table>\n");
}

static GString *kerb_calibrate_page(const json_t *report, const KerbCalibration *r)
{
    GString *page = g_string_new(page_head);
    const json_t *labelled = json_object_get(report, "labelled");
    g_string_append(page, "<h1>");
    kerb_page_text(page, json_string_value(json_object_get(report, "output")));
    g_string_append(page, "</h1>\n<p>Calibrated from ");
    kerb_page_text(page, json_string_value(json_object_get(report, "model")));
    g_string_append_printf(page, ": ranges by %s, %d frames; %d frames held out; network %d × %d; bias correction %s; activations %s; weights of %d bits by channel.</p>\n<dl>\n",
                           kerb_range_methods[r->options.method], r->frames, r->held_out, r->network_width_px, r->network_height_px, r->options.bias_correction ? "on" : "off",
                           r->options.signed_only ? "int8" : "uint8", r->options.reduce_range ? 7 : 8);
    kerb_calibrate_figure(page, "agreement with float", "%.3f %%", 100 * r->agreement);
    kerb_calibrate_figure(page, "with all layers int8", "%.3f %%", 100 * r->agreement_all);
    kerb_calibrate_figure(page, "outputs above their error", "%.1f dB", r->output_db);
    kerb_calibrate_figure(page, "layers in float", "%.0f", r->n_float);
    kerb_calibrate_figure(page, "file, MB", "%.1f", (gdouble)r->bytes_after / 1e6);
    kerb_calibrate_figure(page, "float file, MB", "%.1f", (gdouble)r->bytes_before / 1e6);
    if (labelled) {
        kerb_calibrate_figure(page, "mIoU int8", "%.2f %%", 100 * json_real_value(json_object_get(labelled, "miou_int8")));
        kerb_calibrate_figure(page, "mIoU float", "%.2f %%", 100 * json_real_value(json_object_get(labelled, "miou_float")));
    }
    g_string_append(page, "</dl>\n");
    kerb_calibrate_page_layers(page, r);
    kerb_calibrate_page_tensors(page, r);
    return page;
}

gboolean kerb_calibrate_write_report(const gchar *path, const json_t *report, const KerbCalibration *r)
{
    GString *page = g_str_has_suffix(path, ".html") ? kerb_calibrate_page(report, r) : NULL;
    char *text = page ? NULL : json_dumps(report, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    GError *error = NULL;
    gboolean ok = g_file_set_contents(path, page ? page->str : text, -1, &error);
    if (!ok) kerb_say("%s", error->message);
    g_clear_error(&error);
    if (page) g_string_free(page, TRUE);
    free(text);
    return ok;
}
