/* SPDX-License-Identifier: MIT */
/* The contact sheet; see sheet.h. */
#include "sheet.h"
#include "say.h"

#include <errno.h>
#include <kerbmeta.h>
#include <stdlib.h>
#include <string.h>

#define PANEL_PX 640   /* width of a panel */
#define MARGIN_PX 16
#define CAPTION_PX 26
#define TITLE_PX 40
#define ROW_PX 24      /* of the legend */
#define SWATCH_PX 16
#define BAR_PX 140

static const guint8 trough[3] = { 48, 52, 59 };

/* A frame and what was found in it. */
typedef struct KerbTake {
    GstBuffer *frame; /* a copy, before it was drawn on */
    GstVideoInfo info;
    GstBuffer *labels;
    GBytes *classes;
    gint width, height, stride; /* of the labels */
} KerbTake;

struct KerbSheet {
    KerbSource *source;
    const KerbOptions *options;
    GMutex lock;
    GstClockTime targets[3];  /* time stamps to take a frame at, in order */
    guint next;               /* of them */
    KerbTake pending, taken;
};

static void kerb_take_clear(KerbTake *take)
{
    gst_clear_buffer(&take->frame);
    gst_clear_buffer(&take->labels);
    g_clear_pointer(&take->classes, g_bytes_unref);
}

/* -------------------------------------------------------------------------------------------------------------- taking */

/* The first frame tells where the stream begins and how long it is. */
static void kerb_sheet_plan(KerbSheet *sheet, GstClockTime pts)
{
    gdouble done_s, total_s;
    kerb_source_position(sheet->source, &done_s, &total_s);
    GstClockTime middle = total_s > 0 ? (GstClockTime)(total_s / 2 * (gdouble)GST_SECOND) : GST_SECOND;
    sheet->targets[0] = pts;
    sheet->targets[1] = pts + MIN(middle, GST_SECOND);
    sheet->targets[2] = pts + middle;
}

static GstPadProbeReturn kerb_sheet_frame(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbSheet *sheet = user;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    GstClockTime pts = GST_BUFFER_PTS(buffer);
    g_mutex_lock(&sheet->lock);
    if (sheet->next == 0) kerb_sheet_plan(sheet, pts);
    gboolean take = sheet->next < G_N_ELEMENTS(sheet->targets) && pts >= sheet->targets[sheet->next] && !sheet->pending.frame;
    while (take && sheet->next < G_N_ELEMENTS(sheet->targets) && pts >= sheet->targets[sheet->next]) sheet->next++;
    g_mutex_unlock(&sheet->lock);
    if (!take) return GST_PAD_PROBE_OK;
    KerbTake pending = { 0 };
    GstCaps *caps = gst_pad_get_current_caps(pad);
    if (caps && gst_video_info_from_caps(&pending.info, caps)) pending.frame = gst_buffer_copy_deep(buffer);
    gst_clear_caps(&caps);
    g_mutex_lock(&sheet->lock);
    sheet->pending = pending;
    g_mutex_unlock(&sheet->lock);
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn kerb_sheet_result(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbSheet *sheet = user;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    g_mutex_lock(&sheet->lock);
    KerbTake *pending = &sheet->pending;
    if (pending->frame && GST_BUFFER_PTS(pending->frame) == GST_BUFFER_PTS(buffer)) {
        KerbSegMeta *meta = kerb_seg_meta_get(buffer);
        if (meta) {
            pending->labels = gst_buffer_ref(meta->labels);
            pending->classes = g_bytes_ref(meta->classes);
            pending->width = meta->width;
            pending->height = meta->height;
            pending->stride = meta->stride;
            kerb_take_clear(&sheet->taken);
            sheet->taken = *pending;
            *pending = (KerbTake){ 0 };
        } else {
            kerb_take_clear(pending); /* a frame that failed */
        }
    }
    g_mutex_unlock(&sheet->lock);
    return GST_PAD_PROBE_OK;
}

KerbSheet *kerb_sheet_new(GstElement *kerbseg, KerbSource *source, const KerbOptions *options)
{
    KerbSheet *sheet = g_new0(KerbSheet, 1);
    g_mutex_init(&sheet->lock);
    sheet->source = source;
    sheet->options = options;
    GstPad *in = gst_element_get_static_pad(kerbseg, "sink"), *out = gst_element_get_static_pad(kerbseg, "src");
    gst_pad_add_probe(in, GST_PAD_PROBE_TYPE_BUFFER, kerb_sheet_frame, sheet, NULL);
    gst_pad_add_probe(out, GST_PAD_PROBE_TYPE_BUFFER, kerb_sheet_result, sheet, NULL);
    gst_object_unref(in);
    gst_object_unref(out);
    return sheet;
}

void kerb_sheet_free(KerbSheet **sheet)
{
    if (!*sheet) return;
    kerb_take_clear(&(*sheet)->pending);
    kerb_take_clear(&(*sheet)->taken);
    g_mutex_clear(&(*sheet)->lock);
    g_clear_pointer(sheet, g_free);
}

/* -------------------------------------------------------------------------------------------------------------- panels */

gboolean kerb_sheet_scale_frame(const GstVideoInfo *info, GstBuffer *frame, KerbRaster *panel)
{
    GstVideoInfo to;
    gst_video_info_set_format(&to, GST_VIDEO_FORMAT_RGB, (guint)panel->width_px, (guint)panel->height_px);
    to.fps_n = info->fps_n; /* the converter wants them equal */
    to.fps_d = info->fps_d;
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, to.size, NULL);
    GstVideoConverter *converter = gst_video_converter_new((GstVideoInfo *)info, &to, NULL);
    GstVideoFrame in, out;
    gboolean ok = converter && gst_video_frame_map(&in, (GstVideoInfo *)info, frame, GST_MAP_READ);
    if (ok) {
        ok = gst_video_frame_map(&out, &to, buffer, GST_MAP_READWRITE);
        if (ok) {
            gst_video_converter_frame(converter, &in, &out);
            for (int y = 0; y < panel->height_px; y++)
                memcpy(panel->rgb + (gsize)y * (gsize)panel->width_px * 3,
                       (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&out, 0) + (gsize)y * (gsize)GST_VIDEO_FRAME_PLANE_STRIDE(&out, 0), (gsize)panel->width_px * 3);
            gst_video_frame_unmap(&out);
        }
        gst_video_frame_unmap(&in);
    }
    if (converter) gst_video_converter_free(converter);
    gst_buffer_unref(buffer);
    return ok;
}

/* The nearest label of each of the panel's pixels. */
static guint8 *kerb_sheet_scale_labels(const KerbTake *take, const guint8 *labels, int width, int height)
{
    guint8 *out = g_malloc((gsize)width * (gsize)height);
    for (int y = 0; y < height; y++) {
        const guint8 *row = labels + (gsize)((2 * (gint64)y + 1) * take->height / (2 * height)) * (gsize)take->stride;
        for (int x = 0; x < width; x++) out[(gsize)y * (gsize)width + (gsize)x] = row[(2 * (gint64)x + 1) * take->width / (2 * width)];
    }
    return out;
}

static gboolean kerb_sheet_draw(const KerbRaster *frame, guint8 *labels, const KerbDisplay *display, KerbVisualize visualize, KerbRaster *panel)
{
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = frame->width_px, .height_px = frame->height_px, .range = KERB_RANGE_FULL };
    KerbDisplay how = *display;
    KerbDrawer *drawer;
    KerbError error;
    how.visualize = visualize;
    if (kerb_drawer_new(&drawer, &format, &error) != KERB_OK) {
        kerb_say("the contact sheet cannot be drawn: %s", error.message);
        return FALSE;
    }
    KerbFrame from = { .planes = { frame->rgb }, .strides = { frame->width_px * 3 }, .pts_ns = KERB_TIME_NONE };
    KerbFrame to = { .planes = { panel->rgb }, .strides = { panel->width_px * 3 }, .pts_ns = KERB_TIME_NONE };
    kerb_drawer_draw(drawer, &from, (KerbMap){ labels, frame->width_px }, &how, &to);
    kerb_drawer_free(&drawer);
    return TRUE;
}

/* -------------------------------------------------------------------------------------------------------------- legend */

typedef struct KerbShare {
    int label;
    guint64 pixels;
} KerbShare;

static int kerb_share_order(const void *a, const void *b)
{
    const KerbShare *x = a, *y = b;
    return x->pixels != y->pixels ? (x->pixels < y->pixels ? 1 : -1) : x->label - y->label;
}

static void kerb_sheet_shares(const KerbTake *take, const guint8 *labels, KerbShare shares[KERB_MAX_CLASSES])
{
    for (int i = 0; i < KERB_MAX_CLASSES; i++) shares[i] = (KerbShare){ .label = i };
    for (int y = 0; y < take->height; y++)
        for (int x = 0; x < take->width; x++) shares[labels[(gsize)y * (gsize)take->stride + (gsize)x]].pixels++;
    qsort(shares, KERB_MAX_CLASSES, sizeof *shares, kerb_share_order);
}

/* Classes by their share, largest first; those that are not there at the end, as long as there is room. */
static void kerb_sheet_legend(KerbRaster *out, int x, int y, int height_px, const KerbTake *take, const guint8 *labels, const KerbDisplay *display, KerbFont *font)
{
    KerbShare shares[KERB_MAX_CLASSES];
    gsize bytes;
    const KerbClass *classes = g_bytes_get_data(take->classes, &bytes);
    int n = (int)(bytes / sizeof *classes), rows = MAX(height_px / ROW_PX, 1), columns = n > rows ? 2 : 1, column_px = PANEL_PX / columns, shown = 0;
    kerb_sheet_shares(take, labels, shares);
    for (int i = 0; i < KERB_MAX_CLASSES && shown < rows * columns; i++) {
        int label = shares[i].label;
        if (label >= n) continue;
        int left = x + shown / rows * column_px, top = y + shown % rows * ROW_PX, bar_px = columns == 1 ? BAR_PX : BAR_PX / 2;
        gdouble share = (gdouble)shares[i].pixels / ((gdouble)take->width * take->height);
        gchar *percent = g_strdup_printf("%.1f %%", share * 100);
        const guint8 *color = shares[i].pixels ? kerb_raster_ink : kerb_raster_faint;
        kerb_raster_fill(out, left, top + (ROW_PX - SWATCH_PX) / 2, SWATCH_PX, SWATCH_PX, display->enabled[label] ? display->rgb[label] : trough);
        int text_left = left + SWATCH_PX + 10, figures_right = left + column_px - bar_px - 24, bar_left = left + column_px - bar_px - 12;
        kerb_raster_text(out, font, text_left, top + 3, classes[label].name, color);
        if (font) kerb_raster_text(out, font, figures_right - kerb_font_width_px(font, percent), top + 3, percent, color);
        kerb_raster_fill(out, bar_left, top + 7, bar_px, ROW_PX - 14, trough);
        kerb_raster_fill(out, bar_left, top + 7, (int)(share * bar_px + 0.5), ROW_PX - 14, display->rgb[label]);
        g_free(percent);
        shown++;
    }
}

/* --------------------------------------------------------------------------------------------------------------- sheet */

static int kerb_sheet_panel_height(const GstVideoInfo *info)
{
    gdouble aspect = (gdouble)info->height * info->par_d / ((gdouble)info->width * info->par_n);
    return CLAMP((int)(PANEL_PX * aspect + 0.5), 120, 1280);
}

static gboolean kerb_sheet_compose(const KerbSheet *sheet, const guint8 *labels, KerbRaster *out)
{
    const KerbTake *take = &sheet->taken;
    gsize bytes;
    const KerbClass *classes = g_bytes_get_data(take->classes, &bytes);
    KerbDisplay display;
    kerb_options_display(sheet->options, classes, (int)(bytes / sizeof *classes), &display);
    int height = kerb_sheet_panel_height(&take->info), right = 2 * MARGIN_PX + PANEL_PX, top = TITLE_PX + CAPTION_PX, below = top + height + CAPTION_PX + MARGIN_PX;
    KerbRaster frame, panel;
    kerb_raster_init(&frame, PANEL_PX, height, kerb_raster_background);
    kerb_raster_init(&panel, PANEL_PX, height, kerb_raster_background);
    kerb_raster_init(out, 3 * MARGIN_PX + 2 * PANEL_PX, below + height + MARGIN_PX, kerb_raster_background);
    guint8 *small = kerb_sheet_scale_labels(take, labels, PANEL_PX, height);
    gboolean ok = kerb_sheet_scale_frame(&take->info, take->frame, &frame);
    kerb_raster_paste(out, MARGIN_PX, top, &frame);
    ok = ok && kerb_sheet_draw(&frame, small, &display, KERB_VISUALIZE_OVERLAY, &panel);
    kerb_raster_paste(out, right, top, &panel);
    ok = ok && kerb_sheet_draw(&frame, small, &display, KERB_VISUALIZE_MASK, &panel);
    kerb_raster_paste(out, MARGIN_PX, below, &panel);

    KerbFont *title = kerb_font_new(18), *font = kerb_font_new(14);
    gchar *source = g_filename_display_basename(sheet->source->text), *model = g_filename_display_basename(sheet->options->model);
    gchar *text = g_strdup_printf("%s  ·  %.2f s  ·  %d × %d  ·  %s", source, (gdouble)GST_BUFFER_PTS(take->frame) / 1e9, take->info.width, take->info.height, model);
    kerb_raster_text(out, title, MARGIN_PX, 12, text, kerb_raster_ink);
    kerb_raster_text(out, font, MARGIN_PX, top - 22, "frame", kerb_raster_faint);
    kerb_raster_text(out, font, right, top - 22, "overlay", kerb_raster_faint);
    kerb_raster_text(out, font, MARGIN_PX, below - 22, "mask", kerb_raster_faint);
    kerb_raster_text(out, font, right, below - 22, "classes and their share of the picture", kerb_raster_faint);
    kerb_sheet_legend(out, right, below, height, take, labels, &display, font);
    kerb_font_free(&title);
    kerb_font_free(&font);
    g_free(text);
    g_free(model);
    g_free(source);
    g_free(small);
    kerb_raster_clear(&panel);
    kerb_raster_clear(&frame);
    return ok;
}

gboolean kerb_sheet_write(KerbSheet *sheet, const gchar *path)
{
    GstMapInfo map;
    KerbRaster out = { 0 };
    if (!sheet->taken.labels || !gst_buffer_map(sheet->taken.labels, &map, GST_MAP_READ)) {
        kerb_warn("no frame for the contact sheet came through.");
        return TRUE;
    }
    gboolean ok = kerb_sheet_compose(sheet, map.data, &out);
    gst_buffer_unmap(sheet->taken.labels, &map);
    if (ok && !kerb_raster_write_png(&out, path)) {
        kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
        ok = FALSE;
    }
    kerb_raster_clear(&out);
    return ok;
}
