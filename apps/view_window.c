/* SPDX-License-Identifier: MIT */
/* SDL's window; see view_window.h. */
#include "view_window.h"
#include "say.h"
#include "view_console.h"

#include <math.h>
#include <string.h>

#define LEAST_WIDTH_PX 640 /* small videos are shown larger */

struct KerbViewWindow {
    SDL_Window *window;
    SDL_Renderer *renderer;
    KerbViewCanvas canvas;
    SDL_Cursor *arrow, *sideways;
    gboolean is_sideways;
    gboolean is_screen; /* a console's: it has one size */
    gchar *words;
};

gboolean kerb_view_display_open(gboolean headless)
{
    const char *asked = SDL_getenv("SDL_VIDEODRIVER");
    if (headless && !(asked && *asked)) SDL_SetHint(SDL_HINT_VIDEODRIVER, "dummy");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "0"); /* a live view is looked at without touching anything */
    if (!headless) kerb_view_console_prepare();
    if (!SDL_InitSubSystem(SDL_INIT_VIDEO)) {
        const char *driver = SDL_GetCurrentVideoDriver();
        gboolean unseen = driver && (!strcmp(driver, "dummy") || !strcmp(driver, "offscreen"));
        if (!unseen || headless || (asked && *asked)) return TRUE;
        SDL_SetError("only the driver \"%s\", which shows nothing", driver); /* taken for want of anything else */
        SDL_QuitSubSystem(SDL_INIT_VIDEO);
    }
    gchar *trouble = kerb_view_console_trouble();
    kerb_say("there is no display to open a window on (%s). On a desktop, check DISPLAY or WAYLAND_DISPLAY (ssh -X takes it along); on a console, %s. "
             "Without one: `kerb record`, or --headless with --frames, --screenshot or --script.",
             SDL_GetError(), trouble);
    g_free(trouble);
    return FALSE;
}

/* -------------------------------------------------------------------------------------------------------------- making */

static gboolean kerb_view_window_make(KerbViewWindow *w, const char *title, int width, int height, gboolean vsync)
{
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    Uint32 shape = w->is_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : SDL_WINDOW_RESIZABLE;
    w->window = SDL_CreateWindow(title, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, width, height, shape | SDL_WINDOW_ALLOW_HIGHDPI);
    if (w->window) w->renderer = SDL_CreateRenderer(w->window, -1, vsync ? SDL_RENDERER_PRESENTVSYNC : 0);
    if (w->window && !w->renderer) w->renderer = SDL_CreateRenderer(w->window, -1, SDL_RENDERER_SOFTWARE);
    return w->renderer != NULL;
}

KerbViewWindow *kerb_view_window_new(const char *title, int width_px, int height_px, gboolean vsync)
{
    KerbViewWindow *w = g_new0(KerbViewWindow, 1);
    SDL_Rect room = { 0, 0, 1280, 800 };
    SDL_RendererInfo info = { 0 };
    SDL_GetDisplayUsableBounds(0, &room);
    double scale = MIN(MIN(room.w * 0.9 / width_px, room.h * 0.9 / height_px), MAX(1.0, (double)LEAST_WIDTH_PX / width_px));
    int width = MAX((int)lround(width_px * scale), 160), height = MAX((int)lround(height_px * scale), 90);
    w->is_screen = kerb_view_console_is_used();
    if (w->is_screen) { /* for a window of another size SDL would switch the screen's mode */
        width = room.w;
        height = room.h;
    }
    if (!kerb_view_window_make(w, title, width, height, vsync)) {
        kerb_say("no window of %d x %d can be opened: %s.", width, height, SDL_GetError());
        kerb_view_window_free(&w);
        return NULL;
    }
    SDL_GetRendererInfo(w->renderer, &info);
    w->words = g_strdup_printf("%s on %s", info.name ? info.name : "?", SDL_GetCurrentVideoDriver());
    kerb_view_canvas_init(&w->canvas, w->renderer);
    SDL_StartTextInput(); /* characters as the keyboard's layout makes them */
    SDL_EventState(SDL_DROPFILE, SDL_ENABLE);
    w->arrow = SDL_GetDefaultCursor();
    w->sideways = SDL_CreateSystemCursor(SDL_SYSTEM_CURSOR_SIZEWE);
    return w;
}

void kerb_view_window_free(KerbViewWindow **window)
{
    KerbViewWindow *w = *window;
    if (!w) return;
    kerb_view_canvas_clear(&w->canvas);
    if (w->sideways) SDL_FreeCursor(w->sideways);
    if (w->renderer) SDL_DestroyRenderer(w->renderer);
    if (w->window) SDL_DestroyWindow(w->window);
    g_free(w->words);
    g_clear_pointer(window, g_free);
}

SDL_Renderer *kerb_view_window_renderer(KerbViewWindow *w)
{
    return w->renderer;
}

const KerbViewCanvas *kerb_view_window_canvas(KerbViewWindow *w)
{
    kerb_view_canvas_measure(&w->canvas);
    return &w->canvas;
}

const char *kerb_view_window_words(KerbViewWindow *w)
{
    return w->words;
}

void kerb_view_window_title(KerbViewWindow *w, const char *title)
{
    SDL_SetWindowTitle(w->window, title);
}

void kerb_view_window_resize(KerbViewWindow *w, int width, int height)
{
    SDL_SetWindowSize(w->window, width, height);
}

void kerb_view_window_toggle_fullscreen(KerbViewWindow *w)
{
    if (w->is_screen) return;
    gboolean is = (SDL_GetWindowFlags(w->window) & SDL_WINDOW_FULLSCREEN_DESKTOP) != 0;
    SDL_SetWindowFullscreen(w->window, is ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
}

SDL_Point kerb_view_window_pixel(KerbViewWindow *w, int x, int y)
{
    int points_w, points_h, out_w, out_h;
    SDL_GetWindowSize(w->window, &points_w, &points_h);
    SDL_GetRendererOutputSize(w->renderer, &out_w, &out_h);
    return (SDL_Point){ (int)((gint64)x * out_w / MAX(points_w, 1)), (int)((gint64)y * out_h / MAX(points_h, 1)) };
}

void kerb_view_window_cursor(KerbViewWindow *w, gboolean sideways)
{
    if (sideways == w->is_sideways || !w->sideways) return;
    w->is_sideways = sideways;
    SDL_SetCursor(sideways ? w->sideways : w->arrow);
}

/* -------------------------------------------------------------------------------------------------------------- drawing */

static void kerb_view_window_draw(KerbViewWindow *w, const KerbViewScene *scene)
{
    const KerbViewCanvas *c = kerb_view_window_canvas(w);
    SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
    SDL_RenderClear(w->renderer);
    kerb_view_picture_draw(scene->picture, scene->mode, scene->divider, c->width_px, c->height_px);
    int divider = kerb_view_picture_divider_px(scene->picture), line = kerb_view_px(c, 2);
    if (divider >= 0) {
        kerb_view_fill(c, (SDL_Rect){ divider - line, 0, 2 * line, c->height_px }, (SDL_Color){ 0, 0, 0, 110 });
        kerb_view_fill(c, (SDL_Rect){ divider - line / 2, 0, line, c->height_px }, (SDL_Color){ 255, 255, 255, 235 });
    }
    if (scene->stats && !scene->panels.show_help) {
        int margin = kerb_view_px(c, KERB_VIEW_MARGIN), top = margin;
        if (scene->panels.recording || scene->panels.paused) top += kerb_view_label_size(c, "0").y + margin / 2;
        kerb_view_stats_draw(scene->stats, c, scene->stats_lines, scene->frame_ms, top);
    }
    kerb_view_panels_draw(c, &scene->panels);
}

void kerb_view_window_show(KerbViewWindow *w, const KerbViewScene *scene)
{
    kerb_view_window_draw(w, scene);
    SDL_RenderPresent(w->renderer);
}

gboolean kerb_view_window_read(KerbViewWindow *w, const KerbViewScene *scene, KerbRaster *out)
{
    static const guint8 black[3];
    kerb_view_window_draw(w, scene); /* what was shown is no longer there to be read */
    kerb_raster_init(out, w->canvas.width_px, w->canvas.height_px, black);
    if (!SDL_RenderReadPixels(w->renderer, NULL, SDL_PIXELFORMAT_RGB24, out->rgb, out->width_px * 3)) return TRUE;
    kerb_raster_clear(out);
    return FALSE;
}
