/* SPDX-License-Identifier: MIT */
/* A calibration as a picture: the figures, and a bar a layer for how far its output lies above the error of 8 bits. */
#include "calibrate.h"
#include "raster.h"
#include "say.h"

#include <errno.h>
#include <math.h>

#define MARGIN_PX 16
#define ROW_PX 20
#define NAME_PX 420
#define BAR_PX 480
#define VALUE_PX 90
#define FULL_DB 60 /* a bar's full length */
#define TICK_DB 10

static const guint8 line[3] = { 51, 55, 62 }, blue[3] = { 74, 144, 217 }, orange[3] = { 255, 183, 77 };

/* The end of a name that is too long, which tells layers apart better than its beginning does. g_free() it. */
static gchar *kerb_chart_name(KerbFont *font, const gchar *name)
{
    gchar *shown = g_strdup(name);
    for (const gchar *from = name; font && *from && kerb_font_width_px(font, shown) > NAME_PX - MARGIN_PX;) {
        from = g_utf8_next_char(from);
        g_free(shown);
        shown = g_strconcat("…", from, NULL);
    }
    return shown;
}

static gchar *kerb_chart_value(const KerbCalibratedLayer *layer)
{
    if (layer->in_float) return g_strdup("float");
    return isfinite(layer->sqnr_db) ? g_strdup_printf("%.1f dB", layer->sqnr_db) : g_strdup(isinf(layer->sqnr_db) ? "exact" : "–");
}

static void kerb_chart_layer(KerbRaster *out, KerbFont *font, const KerbCalibratedLayer *layer, int y)
{
    const guint8 *rgb = layer->in_float ? orange : kerb_raster_ink;
    gchar *name = kerb_chart_name(font, layer->name), *value = kerb_chart_value(layer);
    const gdouble length = layer->in_float ? 1 : isnan(layer->sqnr_db) ? 0 : CLAMP(layer->sqnr_db / FULL_DB, 0, 1);
    kerb_raster_text(out, font, MARGIN_PX, y + 1, name, rgb);
    kerb_raster_fill(out, MARGIN_PX + NAME_PX, y + 4, (int)lround(length * BAR_PX), ROW_PX - 8, layer->in_float ? orange : blue);
    kerb_raster_text(out, font, 2 * MARGIN_PX + NAME_PX + BAR_PX, y + 1, value, rgb);
    g_free(name);
    g_free(value);
}

gboolean kerb_calibrate_chart(const KerbCalibration *r, const gchar *output, const KerbCalibrateLabelled *labelled, const gchar *path)
{
    KerbFont *font = kerb_font_new(14);
    gchar *summary = kerb_calibrate_summary(r, output, labelled), **head = g_strsplit(g_strchomp(summary), "\n", -1);
    int y = MARGIN_PX, bars = MARGIN_PX + ((int)g_strv_length(head) + 2) * ROW_PX, bottom = bars + r->n_layers * ROW_PX;
    KerbRaster out;
    kerb_raster_init(&out, 3 * MARGIN_PX + NAME_PX + BAR_PX + VALUE_PX, bottom + MARGIN_PX, kerb_raster_background);
    for (int i = 0; head[i]; i++, y += ROW_PX) kerb_raster_text(&out, font, MARGIN_PX, y, head[i], i ? kerb_raster_faint : kerb_raster_ink);
    for (int db = 0; db <= FULL_DB; db += TICK_DB) {
        gchar *tick = g_strdup_printf("%d dB", db);
        int x = MARGIN_PX + NAME_PX + db * BAR_PX / FULL_DB;
        kerb_raster_fill(&out, x, bars, 1, bottom - bars, line);
        kerb_raster_text(&out, font, x, bars - ROW_PX, tick, kerb_raster_faint);
        g_free(tick);
    }
    kerb_raster_text(&out, font, MARGIN_PX, bars - ROW_PX, "output of the layer above its error (SQNR)", kerb_raster_faint);
    for (int l = 0; l < r->n_layers; l++) kerb_chart_layer(&out, font, &r->layers[l], bars + l * ROW_PX);
    gboolean ok = kerb_raster_write_png(&out, path);
    if (!ok) kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
    kerb_raster_clear(&out);
    g_strfreev(head);
    g_free(summary);
    kerb_font_free(&font);
    return ok;
}
