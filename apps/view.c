/* SPDX-License-Identifier: MIT */
/* `kerb view`: SOURCE -> kerbseg -> a window. kerbseg draws nothing here: the viewer paints the labels itself, so that opacity, classes and the way of
 * showing change at once, also while the video stands still. This file: the command line, the pipeline, the pace, keys and mouse. */
#include "fault.h"
#include "models.h"
#include "options.h"
#include "say.h"
#include "source.h"
#include "view_window.h"

#include <errno.h>
#include <gst/app/app.h>
#include <kerbmeta.h>
#include <string.h>

#define NOTICE_US (3 * G_USEC_PER_SEC / 2)
/* Behind by more than this, the pace starts anew: a slow network makes the video slow, not jerky. */
#define LATE_US (G_USEC_PER_SEC / 10)
#define SILENCE_S 10.0

/* The frame on the screen. */
typedef struct KerbViewFrame {
    GstSample *sample; /* NULL: none yet */
    GstVideoFrame mapped;
    GstMapInfo labels;
    KerbSegMeta *meta; /* NULL: this frame has no labels */
} KerbViewFrame;

typedef struct KerbView {
    KerbOptions options;
    gint64 frames_wanted;
    gchar *screenshot;

    GstElement *pipeline, *sink;
    KerbSource *source;
    KerbFault fault;
    KerbViewWindow *window;
    KerbDrawer *drawer;
    KerbClass *classes; /* a copy: the stream's own go with it */
    int n_classes;
    KerbDisplay display;
    guint8 *picture; /* BGRx, what the texture gets */
    int width, height;
    KerbViewFrame frame;
    GstSample *next; /* waits for its time */
    float shares[KERB_MAX_CLASSES];

    gboolean paused, step, ended, quit, dirty, show_legend, show_figures, show_help;
    gint64 shown, pace_us, pace_ns; /* at wall time pace_us the stream was at pace_ns */
    gint64 began_us;
    gdouble fps;
    gint64 fps_since_us, fps_frames;
    gchar *notice, *figures;
    gint64 notice_until_us;
    int screenshots;
} KerbView;

/* -------------------------------------------------------------------------------------------------------------- frames */

static void kerb_view_frame_clear(KerbViewFrame *frame)
{
    if (!frame->sample) return;
    if (frame->meta) gst_buffer_unmap(frame->meta->labels, &frame->labels);
    gst_video_frame_unmap(&frame->mapped);
    gst_sample_unref(frame->sample);
    *frame = (KerbViewFrame){ 0 };
}

/* Takes `sample`. */
static gboolean kerb_view_frame_take(KerbViewFrame *frame, GstSample *sample)
{
    GstVideoInfo info;
    kerb_view_frame_clear(frame);
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) || !gst_video_frame_map(&frame->mapped, &info, buffer, GST_MAP_READ)) {
        gst_sample_unref(sample);
        return FALSE;
    }
    frame->sample = sample;
    frame->meta = kerb_seg_meta_get(buffer);
    if (frame->meta && !gst_buffer_map(frame->meta->labels, &frame->labels, GST_MAP_READ)) frame->meta = NULL;
    return TRUE;
}

/* How much of the picture each class has. */
static void kerb_view_count(KerbView *v)
{
    guint32 counts[KERB_MAX_CLASSES] = { 0 };
    const KerbSegMeta *meta = v->frame.meta;
    if (!meta) return;
    for (int y = 0; y < meta->height; y++) {
        const guint8 *row = v->frame.labels.data + (gsize)y * (gsize)meta->stride;
        for (int x = 0; x < meta->width; x++) counts[row[x]]++;
    }
    for (int i = 0; i < KERB_MAX_CLASSES; i++) v->shares[i] = (float)counts[i] / ((float)meta->width * (float)meta->height);
}

/* The first frame: its size and classes are known now. */
static gboolean kerb_view_open_window(KerbView *v)
{
    const GstVideoInfo *info = &v->frame.mapped.info;
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_BGRX, .width_px = info->width, .height_px = info->height, .range = KERB_RANGE_FULL };
    KerbError error = { 0 };
    int n = 0;
    const KerbClass *classes = v->frame.meta ? kerb_seg_meta_classes(v->frame.meta, &n) : NULL;
    v->classes = g_memdup2(classes, (gsize)n * sizeof *classes);
    v->n_classes = n;
    if (!kerb_options_display(&v->options, v->classes, n, &v->display)) return FALSE;
    v->width = info->width;
    v->height = info->height;
    v->picture = g_malloc0((gsize)v->width * (gsize)v->height * 4);
    if (kerb_drawer_new(&v->drawer, &format, &error) != KERB_OK) {
        kerb_say("%s", error.message);
        return FALSE;
    }
    gchar *name = g_filename_display_basename(v->source->text), *title = g_strdup_printf("%s – Kerb", name);
    v->window = kerb_view_window_new(title, v->width, v->height, (double)info->par_n / info->par_d);
    g_free(title);
    g_free(name);
    v->show_legend = n > 0;
    return v->window != NULL;
}

static void kerb_view_paint(KerbView *v)
{
    KerbFrame from = { .planes = { GST_VIDEO_FRAME_PLANE_DATA(&v->frame.mapped, 0) }, .strides = { GST_VIDEO_FRAME_PLANE_STRIDE(&v->frame.mapped, 0) } };
    KerbFrame to = { .planes = { v->picture }, .strides = { v->width * 4 } };
    if (v->frame.meta && v->display.visualize != KERB_VISUALIZE_NONE) {
        kerb_drawer_draw(v->drawer, &from, (KerbMap){ v->frame.labels.data, v->frame.meta->stride }, &v->display, &to);
        kerb_view_window_picture(v->window, v->picture, v->width * 4);
    } else {
        kerb_view_window_picture(v->window, from.planes[0], from.strides[0]);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- pace */

static gint64 kerb_view_pts(GstSample *sample)
{
    guint64 time = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(gst_sample_get_buffer(sample)));
    return GST_CLOCK_TIME_IS_VALID(time) ? (gint64)time : 0;
}

/* Whether the next frame's time has come. Live ones are shown as they come. */
static gboolean kerb_view_is_due(KerbView *v)
{
    if (v->source->live || v->step || v->frames_wanted) return TRUE;
    gint64 now = g_get_monotonic_time(), pts = kerb_view_pts(v->next), due = v->pace_us + (pts - v->pace_ns) / 1000;
    if (!v->pace_us || now - due > LATE_US) {
        v->pace_us = now;
        v->pace_ns = pts;
        due = now;
    }
    return now >= due;
}

static void kerb_view_rate(KerbView *v)
{
    gint64 now = g_get_monotonic_time();
    v->fps_frames++;
    if (!v->fps_since_us) v->fps_since_us = now, v->fps_frames = 0;
    if (now - v->fps_since_us < G_USEC_PER_SEC / 2) return;
    v->fps = (gdouble)v->fps_frames * 1e6 / (gdouble)(now - v->fps_since_us);
    v->fps_since_us = now;
    v->fps_frames = 0;
}

/* How old the labels on the screen are: in a live stream since the light fell in, else against their frame. */
static gdouble kerb_view_age_ms(KerbView *v)
{
    gdouble age = v->frame.meta ? (gdouble)v->frame.meta->age / 1e6 : 0;
    GstClock *clock = v->source->live ? gst_pipeline_get_clock(GST_PIPELINE(v->pipeline)) : NULL;
    if (!clock) return age;
    gint64 now = (gint64)(gst_clock_get_time(clock) - gst_element_get_base_time(v->pipeline));
    gst_object_unref(clock);
    return age + (gdouble)(now - kerb_view_pts(v->frame.sample)) / 1e6;
}

static void kerb_view_set_figures(KerbView *v)
{
    g_free(v->figures);
    const KerbTimes *t = v->frame.meta ? &v->frame.meta->times : NULL;
    gdouble second = v->frame.sample ? (gdouble)kerb_view_pts(v->frame.sample) / 1e9 : 0;
    if (!t)
        v->figures = g_strdup_printf("%.2f s   this frame has no labels", second);
    else
        v->figures = g_strdup_printf("%.2f s   %.1f fps   in %.1f  network %.1f  out %.1f ms   age %.0f ms", second, v->fps, (gdouble)t->in_ns / 1e6,
                                     (gdouble)t->net_ns / 1e6, (gdouble)t->out_ns / 1e6, kerb_view_age_ms(v));
}

static void kerb_view_advance(KerbView *v)
{
    if (!v->next) v->next = gst_app_sink_try_pull_sample(GST_APP_SINK(v->sink), 2 * GST_MSECOND);
    if (!v->next) {
        if (gst_app_sink_is_eos(GST_APP_SINK(v->sink)) && !v->ended) {
            v->ended = v->paused = v->dirty = TRUE;
            if (v->frames_wanted || !v->shown) v->quit = TRUE;
        }
        v->step = v->step && !v->ended;
        return;
    }
    if (!kerb_view_is_due(v)) return;
    if (!kerb_view_frame_take(&v->frame, g_steal_pointer(&v->next))) return;
    if (!v->window && !kerb_view_open_window(v)) {
        v->fault = (KerbFault){ KERB_FAULT_OUTPUT, KERB_EXIT_USAGE, NULL };
        v->quit = TRUE;
        return;
    }
    v->step = FALSE;
    v->shown++;
    kerb_view_rate(v);
    kerb_view_count(v);
    kerb_view_set_figures(v);
    v->dirty = TRUE;
}

/* ------------------------------------------------------------------------------------------------------- keys and mouse */

static KerbViewPanel kerb_view_panel(const KerbView *v)
{
    return (KerbViewPanel){ .classes = v->classes, .n_classes = v->n_classes, .display = &v->display, .shares = v->shares, .show_legend = v->show_legend,
                            .show_figures = v->show_figures, .show_help = v->show_help, .paused = v->paused && !v->ended, .figures = v->figures ? v->figures : "",
                            .notice = v->notice ? v->notice : v->ended ? "the end – q quits" : NULL };
}

static void kerb_view_notice(KerbView *v, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void kerb_view_notice(KerbView *v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(v->notice);
    v->notice = g_strdup_vprintf(format, args);
    va_end(args);
    v->notice_until_us = g_get_monotonic_time() + NOTICE_US;
}

static void kerb_view_opacity(KerbView *v, int steps)
{
    v->display.alpha = (float)CLAMP((int)(v->display.alpha * 20 + 0.5f) + steps, 0, 20) / 20;
    kerb_view_notice(v, "opacity %.0f %%", v->display.alpha * 100);
}

static void kerb_view_toggle(KerbView *v, int label)
{
    if (label < 0 || label >= v->n_classes) return;
    v->display.enabled[label] = !v->display.enabled[label];
    kerb_view_notice(v, "%s %s", v->classes[label].name, v->display.enabled[label] ? "on" : "off");
}

static void kerb_view_all_classes(KerbView *v)
{
    gboolean all = TRUE;
    for (int i = 0; i < v->n_classes; i++) all &= v->display.enabled[i] || v->classes[i].is_background;
    for (int i = 0; i < v->n_classes; i++) v->display.enabled[i] = !all && !v->classes[i].is_background;
    kerb_view_notice(v, all ? "no class" : "all classes");
}

static void kerb_view_next_mode(KerbView *v)
{
    static const struct {
        KerbVisualize visualize;
        const char *name;
    } modes[] = { { KERB_VISUALIZE_OVERLAY, "overlay" }, { KERB_VISUALIZE_MASK, "mask" }, { KERB_VISUALIZE_SIDE_BY_SIDE, "side by side" }, { KERB_VISUALIZE_NONE, "frame" } };
    gsize i = 0;
    while (i < 3 && modes[i].visualize != v->display.visualize) i++;
    i = (i + 1) % 4;
    v->display.visualize = modes[i].visualize;
    kerb_view_notice(v, "%s", modes[i].name);
}

static gboolean kerb_view_save(KerbView *v, const char *path)
{
    KerbRaster picture;
    if (!v->window || !kerb_view_window_read(v->window, &picture)) {
        kerb_say("%s cannot be made: the window cannot be read.", path);
        return FALSE;
    }
    gboolean ok = kerb_raster_write_png(&picture, path);
    if (!ok) kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
    kerb_raster_clear(&picture);
    return ok;
}

static void kerb_view_screenshot(KerbView *v)
{
    gchar *path = NULL;
    do {
        g_free(path);
        path = g_strdup_printf("kerb-%03d.png", ++v->screenshots);
    } while (g_file_test(path, G_FILE_TEST_EXISTS) && v->screenshots < 999);
    if (kerb_view_save(v, path)) {
        kerb_view_notice(v, "%s", path);
        kerb_say("%s: screenshot", path);
    }
    g_free(path);
}

static void kerb_view_pause(KerbView *v)
{
    if (v->ended) return;
    v->paused = !v->paused;
    v->pace_us = 0;
    v->fps_since_us = 0;
}

static void kerb_view_key(KerbView *v, SDL_Keycode key)
{
    v->dirty = TRUE;
    switch (key) {
    case SDLK_q:
    case SDLK_ESCAPE: v->quit = TRUE; break;
    case SDLK_SPACE: kerb_view_pause(v); break;
    case SDLK_RIGHT:
    case SDLK_PERIOD: v->paused = v->step = TRUE; break;
    case SDLK_PLUS:
    case SDLK_EQUALS:
    case SDLK_KP_PLUS: kerb_view_opacity(v, 1); break;
    case SDLK_MINUS:
    case SDLK_KP_MINUS: kerb_view_opacity(v, -1); break;
    case SDLK_m: kerb_view_next_mode(v); break;
    case SDLK_a: kerb_view_all_classes(v); break;
    case SDLK_l: v->show_legend = !v->show_legend; break;
    case SDLK_i: v->show_figures = !v->show_figures; break;
    case SDLK_h: v->show_help = !v->show_help; break;
    case SDLK_f: kerb_view_window_toggle_fullscreen(v->window); break;
    case SDLK_s: kerb_view_screenshot(v); break;
    default:
        if (key >= SDLK_1 && key <= SDLK_9) kerb_view_toggle(v, key - SDLK_1);
        break;
    }
}

static void kerb_view_event(KerbView *v, const SDL_Event *event)
{
    KerbViewPanel panel = kerb_view_panel(v);
    if (event->type == SDL_QUIT) v->quit = TRUE;
    if (!v->window) return;
    switch (event->type) {
    case SDL_KEYDOWN: kerb_view_key(v, event->key.keysym.sym); break;
    case SDL_MOUSEWHEEL: kerb_view_opacity(v, event->wheel.y > 0 ? 1 : -1), v->dirty = TRUE; break;
    case SDL_MOUSEBUTTONDOWN: kerb_view_toggle(v, kerb_view_window_class_at(v->window, &panel, event->button.x, event->button.y)), v->dirty = TRUE; break;
    case SDL_WINDOWEVENT: v->dirty = TRUE; break;
    default: break;
    }
}

/* ------------------------------------------------------------------------------------------------------------- main loop */

static void kerb_view_bus(KerbView *v)
{
    GstBus *bus = gst_element_get_bus(v->pipeline);
    GstMessage *message;
    while ((message = gst_bus_pop(bus))) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) kerb_fault_read(&v->fault, message, v->source, NULL);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ELEMENT) kerb_fault_note_missing(message, v->source);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY) gst_bin_recalculate_latency(GST_BIN(v->pipeline));
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    if (v->fault.side == KERB_FAULT_NONE && v->source->live && !v->paused && kerb_source_silence_s(v->source, v->began_us) > SILENCE_S)
        v->fault = (KerbFault){ KERB_FAULT_SOURCE, KERB_EXIT_CAMERA, g_strdup_printf("%s has sent nothing for %.0f seconds.", v->source->text, SILENCE_S) };
    /* A damaged file: what came before its end can still be looked at. */
    if (v->fault.side == KERB_FAULT_SOURCE && v->shown && v->fault.exit_code == KERB_EXIT_ASSET) {
        kerb_warn("%s", v->fault.text);
        kerb_fault_clear(&v->fault);
        kerb_source_stop(v->source);
    }
    if (v->fault.side != KERB_FAULT_NONE) v->quit = TRUE;
}

static void kerb_view_turn(KerbView *v)
{
    SDL_Event event;
    while (SDL_PollEvent(&event)) kerb_view_event(v, &event);
    if (!v->ended && (!v->paused || v->step) && !v->quit) kerb_view_advance(v);
    if (v->notice && g_get_monotonic_time() > v->notice_until_us) {
        g_clear_pointer(&v->notice, g_free);
        v->dirty = TRUE;
    }
    if (v->dirty && v->window && v->frame.sample) {
        KerbViewPanel panel = kerb_view_panel(v);
        kerb_view_paint(v);
        kerb_view_window_show(v->window, &panel);
        v->dirty = FALSE;
    } else {
        SDL_Delay(v->paused ? 10 : 1);
    }
    if (v->frames_wanted && v->shown >= v->frames_wanted) v->quit = TRUE;
}

static int kerb_view_loop(KerbView *v)
{
    v->began_us = g_get_monotonic_time();
    gst_element_set_state(v->pipeline, GST_STATE_PLAYING); /* a failure posts an error */
    while (!v->quit) {
        kerb_view_turn(v);
        kerb_view_bus(v);
    }
    if (v->fault.side != KERB_FAULT_NONE) {
        if (v->fault.text) kerb_say("%s", v->fault.text);
        return v->fault.exit_code;
    }
    if (!v->shown && v->ended) {
        kerb_say("%s has no frame that can be decoded.", v->source->text);
        return KERB_EXIT_ASSET;
    }
    if (v->screenshot && !kerb_view_save(v, v->screenshot)) return KERB_EXIT_STORAGE;
    return KERB_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------------------- building */

static int kerb_view_build(KerbView *v, const gchar *text)
{
    int exit_code = KERB_EXIT_INTERNAL;
    if (!kerb_plugin_load()) return KERB_EXIT_INTERNAL;
    kerb_say_log(v->options.verbose);
    v->source = kerb_source_new(text, v->options.rate, 0, &exit_code);
    if (!v->source) return exit_code;
    if (SDL_InitSubSystem(SDL_INIT_VIDEO)) {
        kerb_say("there is no display to open a window on (%s). `kerb record` needs none.", SDL_GetError());
        return KERB_EXIT_USAGE;
    }
    v->pipeline = gst_pipeline_new("view");
    GstElement *kerbseg = kerb_element("kerbseg"), *convert = kerb_element("videoconvert");
    v->sink = kerb_element("appsink");
    if (!kerbseg || !convert || !v->sink) return KERB_EXIT_INTERNAL;
    kerb_options_apply(&v->options, kerbseg);
    g_object_set(kerbseg, "selected-classes", "all", NULL);
    gst_util_set_object_arg(G_OBJECT(kerbseg), "visualize", "none");
    GstCaps *caps = gst_caps_from_string("video/x-raw, format = (string) BGRx");
    g_object_set(v->sink, "caps", caps, "sync", FALSE, "max-buffers", 2u, "drop", v->source->live, NULL);
    gst_caps_unref(caps);
    gst_bin_add_many(GST_BIN(v->pipeline), v->source->bin, kerbseg, convert, v->sink, NULL);
    return gst_element_link_many(v->source->bin, kerbseg, convert, v->sink, NULL) ? KERB_EXIT_OK : KERB_EXIT_INTERNAL;
}

static void kerb_view_clear(KerbView *v)
{
    kerb_view_frame_clear(&v->frame);
    if (v->next) gst_sample_unref(v->next);
    if (v->pipeline) gst_element_set_state(v->pipeline, GST_STATE_NULL);
    gst_clear_object(&v->pipeline);
    kerb_source_free(&v->source);
    kerb_view_window_free(&v->window);
    kerb_drawer_free(&v->drawer);
    kerb_fault_clear(&v->fault);
    kerb_options_clear(&v->options);
    g_free(v->classes);
    g_free(v->picture);
    g_free(v->notice);
    g_free(v->figures);
    g_free(v->screenshot);
    SDL_Quit();
}

static int kerb_view_run(const KerbCommand *command, int argc, char **argv)
{
    KerbView v = { .show_figures = TRUE };
    const GOptionEntry own[] = {
        { "frames", 0, 0, G_OPTION_ARG_INT64, &v.frames_wanted, "Show so many frames, as fast as they come, and quit", "N" },
        { "screenshot", 0, 0, G_OPTION_ARG_FILENAME, &v.screenshot, "Write what the window shows at the end", "FILE.png" },
        { 0 },
    };
    int exit_code;
    if (kerb_options_parse(command, &v.options, KERB_OPTIONS_NETWORK | KERB_OPTIONS_DISPLAY | KERB_OPTIONS_SOURCE | KERB_OPTIONS_QUIET, own, argc, argv, &exit_code)) {
        const gchar *source = kerb_options_single(command, &v.options, "SOURCE");
        exit_code = source ? kerb_view_build(&v, source) : KERB_EXIT_USAGE;
        if (!exit_code) exit_code = kerb_view_loop(&v);
    }
    kerb_view_clear(&v);
    return exit_code;
}

const KerbCommand kerb_command_view = {
    .name = "view",
    .arguments = "SOURCE",
    .summary = "Show a video or camera with its segmentation in a window",
    .description = "Keys: space pause, right arrow or . one frame on, + - opacity, m overlay / mask / side by side / frame, 1-9 or a click on the legend\n"
                   "a class on or off, a all classes, l legend, i figures, f full screen, s screenshot, h help, q or Esc quit.\n\n"
                   "Examples:\n"
                   "  kerb view drive.mp4 --model net.onnx\n"
                   "  kerb view /dev/video0 --alpha 0.7 --classes road,lane\n"
                   "  kerb view test:rain\n"
                   "  SDL_VIDEODRIVER=dummy kerb view test: --frames 30 --screenshot shot.png      no display needed\n",
    .run = kerb_view_run,
};
