/* SPDX-License-Identifier: MIT */
/* The viewer's state in words and figures: what the panels show, and --script's `state`. See view.h. */
#include "view.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FACTS_US (G_USEC_PER_SEC / 2)

gdouble kerb_view_age_ms(KerbView *v)
{
    gdouble age = v->frame.meta ? (gdouble)v->frame.meta->age / 1e6 : 0;
    gint64 now = v->stream && v->stream->source->live ? kerb_view_stream_now_ns(v->stream) : -1;
    return now < 0 ? age : age + (gdouble)(now - v->frame.running_ns) / 1e6;
}

/* "0:12.3" */
static void kerb_view_clock(gchar *text, gsize size, gint64 ns)
{
    gint64 tenths = ns / (gint64)(GST_SECOND / 10);
    g_snprintf(text, size, "%" G_GINT64_FORMAT ":%02d.%d", tenths / 600, (int)(tenths / 10 % 60), (int)(tenths % 10));
}

static void kerb_view_set(gchar **text, gchar *to)
{
    g_free(*text);
    *text = to;
}

static void kerb_view_corner(KerbView *v)
{
    gchar at[32], length[32];
    gboolean live = v->stream->source->live;
    kerb_view_clock(at, sizeof at, v->frame.time_ns);
    kerb_view_clock(length, sizeof length, v->length_ns);
    gdouble age_ms = kerb_view_age_ms(v);
    gchar fps[32] = "";
    if (v->stats.fps > 0 && !v->paused) g_snprintf(fps, sizeof fps, "%s%.1f fps", live ? "" : "   ", v->stats.fps);
    kerb_view_set(&v->corner, live ? g_strdup(*fps ? fps : "live") : g_strdup_printf("%s%s%s%s", at, v->length_ns ? " / " : "", v->length_ns ? length : "", fps));
    kerb_view_set(&v->age, !v->frame.meta ? g_strdup("no labels") : live || age_ms > 0 ? g_strdup_printf("age %.0f ms", age_ms) : NULL);
}

static void kerb_view_recording(KerbView *v)
{
    kerb_view_set(&v->recording, NULL);
    if (!v->record) return;
    KerbViewRecordState state = kerb_view_record_state(v->record);
    gchar at[32], lost[48] = "";
    kerb_view_clock(at, sizeof at, (gint64)(state.seconds * 1e9));
    if (state.lost) g_snprintf(lost, sizeof lost, ", %" G_GUINT64_FORMAT " lost", state.lost);
    kerb_view_set(&v->recording, g_strdup_printf("● %s   %.1f fps%s", at, state.fps, lost));
}

/* The class under the mouse. */
static void kerb_view_hover(KerbView *v)
{
    int x, y;
    kerb_view_set(&v->hover, NULL);
    v->hover_has_color = FALSE;
    if (v->mouse_x < 0 || v->dragging || !v->frame.meta || !kerb_view_picture_at(v->picture, v->mouse_x, v->mouse_y, &x, &y)) return;
    gsize at = (gsize)y * (gsize)v->frame.meta->stride + (gsize)x;
    guint label = v->frame.labels.data[at];
    if ((int)label >= v->n_classes) {
        v->hover = g_strdup("no class");
        return;
    }
    v->hover_has_color = TRUE;
    memcpy(v->hover_rgb, v->display.rgb[label], 3);
    v->hover = v->frame.confidence.data ? g_strdup_printf("%s  %.0f %%", v->classes[label].name, v->frame.confidence.data[at] / 2.55)
                                        : g_strdup(v->classes[label].name);
}

/* What kerbseg knows; it is asked twice a second. */
static void kerb_view_facts(KerbView *v)
{
    GstStructure *stats = NULL;
    gint64 now = g_get_monotonic_time();
    if (now - v->facts_us < FACTS_US) return;
    v->facts_us = now;
    g_object_get(v->stream->kerbseg, "stats", &stats, NULL);
    if (!stats) return;
    kerb_view_set(&v->backend, g_strdup(gst_structure_get_string(stats, "backend")));
    gst_structure_get_uint64(stats, "frames-in", &v->engine_in);
    gst_structure_get_uint64(stats, "inferred", &v->engine_inferred);
    gst_structure_get_double(stats, "inference-fps", &v->engine_fps);
    kerb_view_set(&v->live_mode, g_strdup(gst_structure_get_string(stats, "live-mode")));
    gst_structure_get_uint64(stats, "frames-errored", &v->engine_errored);
    gint width = 0, height = 0; /* int or uint, as the element pleases */
    if (gst_structure_get(stats, "network-width", G_TYPE_INT, &width, "network-height", G_TYPE_INT, &height, NULL)) {
        v->network_width = (guint)width;
        v->network_height = (guint)height;
    }
    gst_structure_free(stats);
}

static void kerb_view_lines(KerbView *v)
{
    const GstVideoInfo *info = &v->frame.mapped.info;
    gchar at[32], length[32] = "?";
    gdouble fps = kerb_source_fps(v->stream->source, NULL, NULL);
    KerbViewSample mean = kerb_view_stats_mean(&v->stats);
    gchar *model = g_path_get_basename(v->options.model);
    gboolean live = v->stream->source->live;
    kerb_view_facts(v);
    kerb_view_clock(at, sizeof at, v->frame.time_ns);
    if (v->length_ns) kerb_view_clock(length, sizeof length, v->length_ns);
    int n = 0;
    for (int i = 0; i < KERB_VIEW_LINES; i++) g_clear_pointer(&v->lines[i], g_free);
    v->lines[n++] = g_strdup_printf("source\t%s%s", v->stream->source->text, live ? "  (live)" : "");
    v->lines[n++] = g_strdup_printf("video\t%d × %d, %.4g fps, %s", info->width, info->height, fps, kerb_view_picture_format(v->picture));
    v->lines[n++] = live ? g_strdup_printf("time\t%s", at) : g_strdup_printf("time\t%s of %s", at, length);
    v->lines[n++] = g_strdup_printf("model\t%s, %u × %u", model, v->network_width, v->network_height);
    v->lines[n++] = g_strdup_printf("backend\t%s", v->backend ? v->backend : "");
    v->lines[n++] = g_strdup_printf("shown\t%.1f fps, %" G_GINT64_FORMAT " frames, %s", v->stats.fps, v->stats.shown, kerb_view_window_words(v->window));
    v->lines[n++] = g_strdup_printf("engine\t%s: %" G_GUINT64_FORMAT " in, %" G_GUINT64_FORMAT " inferred (%.1f a second), %" G_GUINT64_FORMAT " failed",
                                    v->live_mode ? v->live_mode : "", v->engine_in, v->engine_inferred, v->engine_fps, v->engine_errored);
    v->lines[n++] = g_strdup_printf("stages\tin %.1f, network %.1f, out %.1f ms; waited %.1f ms", (double)mean.in_ms, (double)mean.net_ms, (double)mean.out_ms, (double)mean.queue_ms);
    v->lines[n++] = g_strdup_printf("age\tnow %.0f, half of all ≤ %.0f, 99 %% ≤ %.0f ms", kerb_view_age_ms(v), kerb_view_stats_age_ms(&v->stats, 0.5),
                                    kerb_view_stats_age_ms(&v->stats, 0.99));
    v->lines[n] = NULL;
    g_free(model);
}

KerbViewScene kerb_view_scene(KerbView *v)
{
    gdouble fps = kerb_source_fps(v->stream->source, NULL, NULL);
    kerb_view_corner(v);
    kerb_view_recording(v);
    kerb_view_hover(v);
    if (v->show_stats) kerb_view_lines(v);
    KerbViewScene scene = { .picture = v->picture, .mode = v->mode, .divider = v->divider, .stats = v->show_stats ? &v->stats : NULL,
                            .stats_lines = (const char *const *)v->lines, .frame_ms = fps > 0 ? 1e3 / fps : 0 };
    scene.panels = (KerbViewPanels){ .classes = v->classes, .n_classes = v->n_classes, .display = &v->display, .shares = v->shares, .show_legend = v->show_legend,
                                     .show_help = v->show_help, .corner = v->show_corner ? v->corner : NULL, .age = v->show_corner ? v->age : NULL,
                                     .is_stale = !v->frame.meta || kerb_view_age_ms(v) > v->stale_ms, .paused = v->ended ? "the end" : v->paused ? "paused" : NULL,
                                     .recording = v->recording, .recording_lags = v->record && kerb_view_record_state(v->record).lost > 0, .notice = v->notice,
                                     .notice_is_bad = v->notice_is_bad, .hover = v->hover, .hover_has_color = v->hover_has_color, .mouse_x = v->mouse_x,
                                     .mouse_y = v->mouse_y };
    memcpy(scene.panels.hover_rgb, v->hover_rgb, 3);
    const KerbViewCanvas *c = kerb_view_window_canvas(v->window);
    if (v->show_stats && kerb_view_panels_legend_x(c, &scene.panels) < kerb_view_stats_end_px(c)) scene.panels.show_legend = FALSE;
    if (v->hover && kerb_view_panels_class_at(c, &scene.panels, v->mouse_x, v->mouse_y) >= 0) scene.panels.hover = NULL;
    return scene;
}

void kerb_view_scene_clear(KerbView *v)
{
    gchar **texts[] = { &v->corner, &v->age, &v->recording, &v->hover, &v->backend, &v->live_mode };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) g_clear_pointer(texts[i], g_free);
    for (int i = 0; i < KERB_VIEW_LINES; i++) g_clear_pointer(&v->lines[i], g_free);
}

void kerb_view_print_state(KerbView *v)
{
    KerbViewScene scene = kerb_view_scene(v);
    const KerbViewCanvas *c = kerb_view_window_canvas(v->window);
    json_t *on = json_array();
    for (int i = 0; i < v->n_classes; i++)
        if (v->display.enabled[i]) json_array_append_new(on, json_string(v->classes[i].name));
    json_t *root = json_pack("{s:s, s:s, s:f, s:f, s:I, s:b, s:b, s:s, s:f, s:f, s:o, s:b, s:b, s:b, s:b, s:[i,i], s:[i,i], s:s?, s:s?, s:s?, s:f, s:b, s:s}", "source",
                             v->stream->source->text, "model", v->options.model, "time", (double)v->frame.time_ns / 1e9, "length", (double)v->length_ns / 1e9, "shown",
                             (json_int_t)v->stats.shown, "paused", (int)v->paused, "ended", (int)v->ended, "mode", kerb_view_mode_name(v->mode), "opacity",
                             (double)v->display.alpha, "divider", v->divider, "classes", on, "legend", (int)v->show_legend, "stats", (int)v->show_stats, "corner",
                             (int)v->show_corner, "help", (int)v->show_help, "window", c->width_px, c->height_px, "video", v->frame.mapped.info.width,
                             v->frame.mapped.info.height, "notice", v->notice, "hover", scene.panels.hover, "recording",
                             v->record ? kerb_view_record_path(v->record) : NULL, "age_ms", kerb_view_age_ms(v), "stale", (int)scene.panels.is_stale, "screen",
                             kerb_view_window_words(v->window));
    if (!root) return;
    json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    fflush(stdout);
    json_decref(root);
}
