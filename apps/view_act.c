/* SPDX-License-Identifier: MIT */
/* What keys, mouse and dropped files do; see view.h. */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NOTICE_US (2 * G_USEC_PER_SEC)
#define BAD_NOTICE_US (8 * G_USEC_PER_SEC)
#define DIVIDER_REACH_PX 12

void kerb_view_notice(KerbView *v, gboolean is_bad, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(v->notice);
    v->notice = g_strdup_vprintf(format, args);
    va_end(args);
    v->notice_is_bad = is_bad;
    v->notice_until_us = g_get_monotonic_time() + (is_bad ? BAD_NOTICE_US : NOTICE_US);
    v->redraw = TRUE;
}

/* ------------------------------------------------------------------------------------------------------- how it is shown */

static void kerb_view_tell_recording(KerbView *v)
{
    if (v->record) kerb_view_record_display(v->record, &v->display, v->classes, v->n_classes);
}

static void kerb_view_opacity(KerbView *v, int steps)
{
    v->display.alpha = (float)CLAMP((int)(v->display.alpha * 20 + 0.5f) + steps, 0, 20) / 20;
    kerb_view_notice(v, FALSE, "opacity %.0f %%", (double)v->display.alpha * 100);
    kerb_view_tell_recording(v);
    v->dirty = TRUE;
}

static void kerb_view_toggle(KerbView *v, int label)
{
    if (label < 0 || label >= v->n_classes) return;
    v->display.enabled[label] = !v->display.enabled[label];
    kerb_view_notice(v, FALSE, "%s %s", v->classes[label].name, v->display.enabled[label] ? "on" : "off");
    kerb_view_tell_recording(v);
    v->dirty = TRUE;
}

static void kerb_view_all_classes(KerbView *v)
{
    gboolean all = TRUE;
    for (int i = 0; i < v->n_classes; i++) all &= v->display.enabled[i] || v->classes[i].is_background;
    for (int i = 0; i < v->n_classes; i++) v->display.enabled[i] = !all && !v->classes[i].is_background;
    kerb_view_notice(v, FALSE, all ? "no class" : "all classes");
    kerb_view_tell_recording(v);
    v->dirty = TRUE;
}

static void kerb_view_next_mode(KerbView *v, int by)
{
    v->mode = (KerbViewMode)(((int)v->mode + by + KERB_VIEW_MODES) % KERB_VIEW_MODES);
    kerb_view_notice(v, FALSE, "%s", kerb_view_mode_name(v->mode));
    v->dirty = TRUE;
}

/* ---------------------------------------------------------------------------------------------------------------- time */

/* The pace begins anew with the next frame. */
static void kerb_view_restart(KerbView *v)
{
    v->pace_us = 0;
    kerb_view_stats_restart_rate(&v->stats);
}

static gboolean kerb_view_can_seek(KerbView *v)
{
    if (v->opened && kerb_view_stream_can_seek(v->stream)) return TRUE;
    if (v->opened) kerb_view_notice(v, FALSE, v->stream->source->live ? "a live source has no other time" : "%s cannot be sought in", v->stream->source->text);
    return FALSE;
}

void kerb_view_seek_to(KerbView *v, gint64 time_ns)
{
    v->seek_to_ns = -1;
    if (!kerb_view_stream_seek(v->stream, time_ns)) {
        kerb_view_notice(v, TRUE, "%s cannot be sought in", v->stream->source->text);
        return;
    }
    v->ended = FALSE;
    v->one = TRUE;
    kerb_view_restart(v);
}

static void kerb_view_seek_by(KerbView *v, int seconds)
{
    if (!kerb_view_can_seek(v)) return;
    gint64 from = v->seek_to_ns >= 0 ? v->seek_to_ns : v->stream->seeking ? v->stream->sought_ns : v->frame.time_ns;
    gint64 to = MAX(from + seconds * (gint64)GST_SECOND, 0);
    if (v->length_ns > 0) to = MIN(to, v->length_ns);
    if (v->stream->seeking)
        v->seek_to_ns = to; /* when the first frame of the one that runs has come */
    else
        kerb_view_seek_to(v, to);
    kerb_view_notice(v, FALSE, "%s%d s: %.1f s", seconds < 0 ? "−" : "+", ABS(seconds), (double)to / 1e9);
}

static void kerb_view_step(KerbView *v, int frames)
{
    v->paused = v->redraw = TRUE;
    if (frames > 0) {
        v->one = !v->ended;
        return;
    }
    if (v->stream->seeking || !kerb_view_can_seek(v)) return;
    if (v->frame.time_ns <= 0 || !kerb_view_stream_back(v->stream, v->frame.time_ns)) return;
    v->ended = FALSE;
    v->one = TRUE;
}

static void kerb_view_pause(KerbView *v)
{
    if (v->ended) {
        if (!kerb_view_can_seek(v)) return;
        kerb_view_seek_to(v, 0);
        v->paused = FALSE;
        return;
    }
    v->paused = !v->paused;
    v->redraw = TRUE;
    kerb_view_restart(v);
}

/* ----------------------------------------------------------------------------------------------- screenshots, recordings */

gboolean kerb_view_save(KerbView *v, const char *path)
{
    KerbRaster picture;
    KerbViewScene scene = kerb_view_scene(v);
    if (!v->window || !kerb_view_window_read(v->window, &scene, &picture)) {
        kerb_say("%s cannot be made: the window cannot be read (%s).", path, SDL_GetError());
        return FALSE;
    }
    gboolean ok = kerb_raster_write_png(&picture, path);
    if (!ok) kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
    kerb_raster_clear(&picture);
    return ok;
}

/* "kerb-20261121-123456.png" in the folder, with -2, -3 ... where it is there already. create: the file is made, so that it is nobody else's. NULL: errno
 * says why it cannot be. */
static gchar *kerb_view_name(KerbView *v, const char *suffix, gboolean create)
{
    GDateTime *now = g_date_time_new_now_local();
    gchar *time = g_date_time_format(now, "%Y%m%d-%H%M%S"), *path = NULL;
    for (int n = 1; n < 1000; n++) {
        gchar *name = n == 1 ? g_strdup_printf("kerb-%s.%s", time, suffix) : g_strdup_printf("kerb-%s-%d.%s", time, n, suffix);
        g_free(path);
        path = v->folder ? g_build_filename(v->folder, name, NULL) : g_strdup(name);
        g_free(name);
        int fd = create ? open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666) : -1;
        if (fd >= 0) close(fd);
        if (create ? fd >= 0 : !g_file_test(path, G_FILE_TEST_EXISTS)) break;
        if (!create || errno == EEXIST) continue;
        int error = errno;
        kerb_say("%s cannot be written: %s. --folder names another place.", path, g_strerror(error));
        g_clear_pointer(&path, g_free);
        errno = error;
        break;
    }
    g_free(time);
    g_date_time_unref(now);
    return path;
}

static void kerb_view_screenshot(KerbView *v)
{
    g_clear_pointer(&v->notice, g_free); /* not part of the picture */
    gchar *path = kerb_view_name(v, "png", TRUE);
    if (!path) {
        kerb_view_notice(v, TRUE, "no screenshot: %s", g_strerror(errno));
        return;
    }
    if (kerb_view_save(v, path)) {
        kerb_view_notice(v, FALSE, "screenshot: %s", path);
        kerb_say("%s: screenshot", path);
    } else {
        kerb_view_notice(v, TRUE, "no screenshot: %s cannot be written", path);
        unlink(path);
    }
    g_free(path);
}

gboolean kerb_view_record_begin(KerbView *v, const gchar *path)
{
    int exit_code = 0;
    gchar *name = path ? g_strdup(path) : kerb_view_name(v, "mkv", FALSE);
    KerbViewRecord *record = name ? kerb_view_record_new(name, v->stream->source, &v->options, &exit_code) : NULL;
    if (record) {
        kerb_view_record_display(record, &v->display, v->classes, v->n_classes);
        kerb_view_notice(v, FALSE, "recording: %s", name);
    } else {
        v->recording_failed = TRUE;
        kerb_view_notice(v, TRUE, "no recording: %s cannot be begun", name ? name : "it");
    }
    g_mutex_lock(&v->record_lock);
    v->record = record;
    g_mutex_unlock(&v->record_lock);
    g_free(name);
    return record != NULL;
}

void kerb_view_record_end(KerbView *v)
{
    if (v->record) kerb_view_record_finish(v->record);
}

void kerb_view_record_look(KerbView *v)
{
    gchar *why = NULL;
    KerbViewRecordPoll poll = v->record ? kerb_view_record_poll(v->record, &why) : KERB_VIEW_RECORD_RUNS;
    if (poll == KERB_VIEW_RECORD_RUNS) return;
    KerbViewRecord *record = v->record;
    KerbViewRecordState state = kerb_view_record_state(record);
    gchar *path = g_strdup(kerb_view_record_path(record));
    g_mutex_lock(&v->record_lock);
    v->record = NULL;
    g_mutex_unlock(&v->record_lock);
    gboolean there = kerb_view_record_free(&record);
    if (poll == KERB_VIEW_RECORD_FAILED) {
        v->recording_failed = TRUE;
        kerb_say("%s The recording has ended after %.1f s%s; the view goes on.", why, state.seconds, there ? ", which can be played" : "");
        kerb_view_notice(v, TRUE, "the recording has ended: %s", why);
    } else {
        if (state.lost)
            kerb_warn("%s: %" G_GUINT64_FORMAT " frames are missing, for the encoder was too slow.", path, state.lost);
        kerb_say("%s: %.1f s recorded", path, state.seconds);
        kerb_view_notice(v, FALSE, "%s: %.1f s recorded", path, state.seconds);
    }
    g_free(path);
    g_free(why);
}

static void kerb_view_record_key(KerbView *v)
{
    if (v->record)
        kerb_view_record_end(v);
    else if (v->opened)
        kerb_view_record_begin(v, NULL);
}

/* ---------------------------------------------------------------------------------------------------------------- events */

void kerb_view_act(KerbView *v, KerbViewCommand command)
{
    v->redraw = TRUE;
    switch (command.action) {
    case KERB_VIEW_NOTHING: break;
    case KERB_VIEW_PAUSE: kerb_view_pause(v); break;
    case KERB_VIEW_STEP: kerb_view_step(v, command.value); break;
    case KERB_VIEW_SEEK: kerb_view_seek_by(v, command.value); break;
    case KERB_VIEW_OPACITY: kerb_view_opacity(v, command.value); break;
    case KERB_VIEW_MODE: kerb_view_next_mode(v, command.value); break;
    case KERB_VIEW_CLASS: kerb_view_toggle(v, command.value); break;
    case KERB_VIEW_ALL_CLASSES: kerb_view_all_classes(v); break;
    case KERB_VIEW_LEGEND: v->show_legend = !v->show_legend; break;
    case KERB_VIEW_STATS: v->show_stats = !v->show_stats; break;
    case KERB_VIEW_CORNER: v->show_corner = !v->show_corner; break;
    case KERB_VIEW_HELP: v->show_help = !v->show_help; break;
    case KERB_VIEW_FULLSCREEN: kerb_view_window_toggle_fullscreen(v->window); break;
    case KERB_VIEW_SCREENSHOT: kerb_view_screenshot(v); break;
    case KERB_VIEW_RECORD: kerb_view_record_key(v); break;
    case KERB_VIEW_QUIT: v->quit = TRUE; break;
    }
}

/* What a held key may do again and again. */
static gboolean kerb_view_may_repeat(KerbViewCommand command)
{
    return command.action == KERB_VIEW_STEP || command.action == KERB_VIEW_SEEK || command.action == KERB_VIEW_OPACITY;
}

static void kerb_view_typed(KerbView *v, const char *key)
{
    KerbViewCommand command = kerb_view_key(key);
    if (command.action != KERB_VIEW_NOTHING && (!v->key_repeats || kerb_view_may_repeat(command))) kerb_view_act(v, command);
}

/* Keys with a name; all others come as text, as the keyboard's layout makes them. */
static void kerb_view_key_down(KerbView *v, const SDL_KeyboardEvent *event)
{
    static const struct {
        SDL_Keycode code;
        const char *name;
    } named[] = { { SDLK_SPACE, "space" }, { SDLK_LEFT, "left" }, { SDLK_RIGHT, "right" }, { SDLK_UP, "up" }, { SDLK_DOWN, "down" }, { SDLK_ESCAPE, "escape" },
                  { SDLK_F11, "f11" } };
    v->key_repeats = event->repeat != 0;
    for (gsize i = 0; i < G_N_ELEMENTS(named); i++)
        if (event->keysym.sym == named[i].code) kerb_view_typed(v, named[i].name);
}

static gboolean kerb_view_over_divider(KerbView *v)
{
    int at = v->picture ? kerb_view_picture_divider_px(v->picture) : -1;
    return at >= 0 && v->mouse_x >= 0 && ABS(v->mouse_x - at) <= kerb_view_px(kerb_view_window_canvas(v->window), DIVIDER_REACH_PX);
}

static void kerb_view_mouse_to(KerbView *v, int x, int y)
{
    SDL_Point pixel = kerb_view_window_pixel(v->window, x, y);
    v->mouse_x = pixel.x;
    v->mouse_y = pixel.y;
    if (v->dragging) v->divider = kerb_view_picture_divider_at(v->picture, pixel.x);
    kerb_view_window_cursor(v->window, v->dragging || kerb_view_over_divider(v));
    v->redraw = TRUE;
}

static void kerb_view_button(KerbView *v, const SDL_MouseButtonEvent *event)
{
    if (event->button != SDL_BUTTON_LEFT) return;
    kerb_view_mouse_to(v, event->x, event->y);
    if (event->type == SDL_MOUSEBUTTONUP) {
        v->dragging = FALSE;
        return;
    }
    KerbViewScene scene = kerb_view_scene(v);
    int label = kerb_view_panels_class_at(kerb_view_window_canvas(v->window), &scene.panels, v->mouse_x, v->mouse_y);
    if (label >= 0) {
        kerb_view_toggle(v, label);
    } else if (v->mode == KERB_VIEW_MODE_SPLIT || v->mode == KERB_VIEW_MODE_SPLIT_MASK) {
        v->dragging = TRUE;
        kerb_view_mouse_to(v, event->x, event->y);
    } else if (event->clicks == 2) {
        kerb_view_window_toggle_fullscreen(v->window);
    }
}

static void kerb_view_dropped(KerbView *v, const char *file)
{
    gchar *lower = g_ascii_strdown(file, -1);
    gboolean is_model = g_str_has_suffix(lower, ".onnx");
    g_free(lower);
    kerb_view_open(v, is_model ? v->stream->source->text : file, is_model ? file : v->options.model);
}

void kerb_view_event(KerbView *v, SDL_Event *event)
{
    if (event->type == SDL_QUIT) v->quit = TRUE;
    if (event->type == SDL_DROPFILE || event->type == SDL_DROPTEXT) {
        if (v->window && event->drop.file) kerb_view_dropped(v, event->drop.file);
        SDL_free(event->drop.file);
    }
    if (!v->window || !v->picture) return;
    switch (event->type) {
    case SDL_KEYDOWN: kerb_view_key_down(v, &event->key); break;
    case SDL_TEXTINPUT: kerb_view_typed(v, event->text.text); break;
    case SDL_MOUSEWHEEL:
        if (event->wheel.y) kerb_view_opacity(v, event->wheel.y > 0 ? 1 : -1);
        break;
    case SDL_MOUSEMOTION: kerb_view_mouse_to(v, event->motion.x, event->motion.y); break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: kerb_view_button(v, &event->button); break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET: v->is_new = v->dirty = TRUE; break; /* textures are empty */
    case SDL_WINDOWEVENT:
        if (event->window.event == SDL_WINDOWEVENT_LEAVE) v->mouse_x = v->mouse_y = -1;
        v->redraw = TRUE;
        break;
    default: break;
    }
}
