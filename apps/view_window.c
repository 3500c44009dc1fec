/* SPDX-License-Identifier: MIT */
/* SDL: window, texture, legend, text; see view_window.h. */
#include "view_window.h"
#include "say.h"

#include <math.h>
#include <string.h>

#define FONT_PX 15
#define MARGIN_PX 12
#define PAD_PX 10
#define ROW_PX 24
#define SWATCH_PX 14
#define LEAST_LEGEND_PX 100

struct KerbViewWindow {
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    KerbFont *font; /* may be NULL */
    int width_px, height_px; /* of pictures */
    double aspect;           /* width : height as it is to be seen */
};

static const SDL_Color ink = { 240, 242, 245, 255 }, faint = { 150, 155, 163, 255 }, plate = { 16, 18, 22, 205 };

KerbViewWindow *kerb_view_window_new(const char *title, int width_px, int height_px, double pixel_aspect)
{
    KerbViewWindow *w = g_new0(KerbViewWindow, 1);
    w->width_px = width_px;
    w->height_px = height_px;
    w->aspect = width_px * pixel_aspect / height_px;
    SDL_Rect room = { 0, 0, 1280, 800 };
    SDL_GetDisplayUsableBounds(0, &room);
    double shown_w = width_px * pixel_aspect, shown_h = height_px, scale = MIN(MIN(room.w * 0.9 / shown_w, room.h * 0.9 / shown_h), MAX(1.0, 640 / shown_w));
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    w->window = SDL_CreateWindow(title, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, MAX((int)lround(shown_w * scale), 160), MAX((int)lround(shown_h * scale), 90),
                                 SDL_WINDOW_RESIZABLE);
    if (w->window) w->renderer = SDL_CreateRenderer(w->window, -1, 0);
    if (w->window && !w->renderer) w->renderer = SDL_CreateRenderer(w->window, -1, SDL_RENDERER_SOFTWARE);
    if (w->renderer) w->texture = SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, width_px, height_px);
    if (!w->texture) {
        kerb_say("no window of %d x %d can be opened: %s.", width_px, height_px, SDL_GetError());
        kerb_view_window_free(&w);
        return NULL;
    }
    SDL_SetRenderDrawBlendMode(w->renderer, SDL_BLENDMODE_BLEND);
    w->font = kerb_font_new(FONT_PX);
    return w;
}

void kerb_view_window_free(KerbViewWindow **window)
{
    KerbViewWindow *w = *window;
    if (!w) return;
    kerb_font_free(&w->font);
    if (w->texture) SDL_DestroyTexture(w->texture);
    if (w->renderer) SDL_DestroyRenderer(w->renderer);
    if (w->window) SDL_DestroyWindow(w->window);
    g_clear_pointer(window, g_free);
}

void kerb_view_window_picture(KerbViewWindow *w, const guint8 *bgrx, int stride)
{
    SDL_UpdateTexture(w->texture, NULL, bgrx, stride);
}

/* -------------------------------------------------------------------------------------------------------------- pieces */

static void kerb_view_fill(KerbViewWindow *w, SDL_Rect rect, SDL_Color c)
{
    SDL_SetRenderDrawColor(w->renderer, c.r, c.g, c.b, c.a);
    SDL_RenderFillRect(w->renderer, &rect);
}

static void kerb_view_text(KerbViewWindow *w, int x, int y, const char *text, SDL_Color color)
{
    SDL_Surface *surface = w->font ? kerb_font_render(w->font, text, color) : NULL;
    SDL_Texture *texture = surface ? SDL_CreateTextureFromSurface(w->renderer, surface) : NULL;
    if (texture) SDL_RenderCopy(w->renderer, texture, NULL, &(SDL_Rect){ x, y, surface->w, surface->h });
    if (texture) SDL_DestroyTexture(texture);
    if (surface) SDL_FreeSurface(surface);
}

static int kerb_view_text_px(const KerbViewWindow *w, const char *text)
{
    return w->font ? kerb_font_width_px(w->font, text) : 0;
}

/* A line of text on a plate. centred: x is its middle. */
static void kerb_view_label(KerbViewWindow *w, int x, int y, const char *text, gboolean centred, SDL_Color color)
{
    if (!w->font || !*text) return;
    int width = kerb_view_text_px(w, text) + 2 * PAD_PX, height = kerb_font_line_px(w->font) + PAD_PX;
    if (centred) x -= width / 2;
    kerb_view_fill(w, (SDL_Rect){ x, y, width, height }, plate);
    kerb_view_text(w, x + PAD_PX, y + PAD_PX / 2, text, color);
}

/* -------------------------------------------------------------------------------------------------------------- legend */

/* Where the legend lies, and how many of its rows fit. */
static SDL_Rect kerb_view_legend_rect(const KerbViewWindow *w, const KerbViewPanel *panel, int *rows)
{
    int out_w, out_h, widest = LEAST_LEGEND_PX;
    SDL_GetRendererOutputSize(w->renderer, &out_w, &out_h);
    for (int i = 0; i < panel->n_classes; i++) widest = MAX(widest, kerb_view_text_px(w, panel->classes[i].name));
    int figures = w->font ? kerb_view_text_px(w, "100.0 %") + kerb_view_text_px(w, "9  ") : 0;
    int room = out_h - 2 * MARGIN_PX - 2 * PAD_PX - (panel->show_figures ? ROW_PX + MARGIN_PX : 0);
    *rows = CLAMP(room / ROW_PX, 0, panel->n_classes);
    int width = MIN(widest + figures + SWATCH_PX + 4 * PAD_PX, out_w - 2 * MARGIN_PX);
    return (SDL_Rect){ out_w - width - MARGIN_PX, MARGIN_PX, width, *rows * ROW_PX + 2 * PAD_PX };
}

int kerb_view_window_class_at(const KerbViewWindow *w, const KerbViewPanel *panel, int x, int y)
{
    int rows;
    SDL_Rect rect = kerb_view_legend_rect(w, panel, &rows);
    if (!panel->show_legend || x < rect.x || x >= rect.x + rect.w || y < rect.y + PAD_PX) return -1;
    int row = (y - rect.y - PAD_PX) / ROW_PX;
    return row < rows ? row : -1;
}

static void kerb_view_legend(KerbViewWindow *w, const KerbViewPanel *panel)
{
    int rows;
    SDL_Rect rect = kerb_view_legend_rect(w, panel, &rows);
    if (rows < 1) return;
    kerb_view_fill(w, rect, plate);
    for (int i = 0; i < rows; i++) {
        int x = rect.x + PAD_PX, y = rect.y + PAD_PX + i * ROW_PX, text_y = y + 3;
        const guint8 *rgb = panel->display->rgb[i];
        gboolean on = panel->display->enabled[i];
        SDL_Color color = on ? ink : faint;
        SDL_Rect swatch = { x + kerb_view_text_px(w, "9  "), y + (ROW_PX - SWATCH_PX) / 2, SWATCH_PX, SWATCH_PX };
        char key[2] = { i < 9 ? (char)('1' + i) : ' ', 0 };
        kerb_view_text(w, x, text_y, key, faint);
        kerb_view_fill(w, swatch, (SDL_Color){ rgb[0], rgb[1], rgb[2], on ? 255 : 90 });
        if (!on) kerb_view_fill(w, (SDL_Rect){ swatch.x + 3, swatch.y + 3, SWATCH_PX - 6, SWATCH_PX - 6 }, (SDL_Color){ plate.r, plate.g, plate.b, 255 });
        kerb_view_text(w, swatch.x + SWATCH_PX + PAD_PX, text_y, panel->classes[i].name, color);
        char *share = g_strdup_printf("%.1f %%", panel->shares[i] * 100);
        kerb_view_text(w, rect.x + rect.w - PAD_PX - kerb_view_text_px(w, share), text_y, share, panel->shares[i] > 0 ? color : faint);
        g_free(share);
    }
}

static void kerb_view_help(KerbViewWindow *w, int out_w, int out_h)
{
    static const char *const lines[][2] = {
        { "space", "pause, go on" }, { "→  .", "one frame on" }, { "+  −  wheel", "opacity" },     { "m", "overlay, mask, side by side, frame" }, { "1 … 9, click", "class on, off" },
        { "a", "all classes" },      { "l", "legend" },          { "i", "figures" },              { "f", "full screen" },                       { "s", "screenshot" },
        { "h", "this help" },        { "q  Esc", "quit" },
    };
    const int n = (int)G_N_ELEMENTS(lines), width = 400, height = n * ROW_PX + 2 * PAD_PX;
    SDL_Rect rect = { (out_w - width) / 2, MAX((out_h - height) / 2, 0), width, height };
    if (!w->font) return;
    kerb_view_fill(w, rect, (SDL_Color){ plate.r, plate.g, plate.b, 235 });
    for (int i = 0; i < n; i++) {
        kerb_view_text(w, rect.x + PAD_PX, rect.y + PAD_PX + i * ROW_PX, lines[i][0], ink);
        kerb_view_text(w, rect.x + 130, rect.y + PAD_PX + i * ROW_PX, lines[i][1], faint);
    }
}

/* --------------------------------------------------------------------------------------------------------------- frame */

void kerb_view_window_show(KerbViewWindow *w, const KerbViewPanel *panel)
{
    int out_w, out_h;
    SDL_GetRendererOutputSize(w->renderer, &out_w, &out_h);
    int width = out_w, height = (int)lround(out_w / w->aspect);
    if (height > out_h) {
        height = out_h;
        width = (int)lround(out_h * w->aspect);
    }
    SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
    SDL_RenderClear(w->renderer);
    SDL_RenderCopy(w->renderer, w->texture, NULL, &(SDL_Rect){ (out_w - width) / 2, (out_h - height) / 2, MAX(width, 1), MAX(height, 1) });
    if (panel->show_legend) kerb_view_legend(w, panel);
    if (panel->show_figures && w->font) kerb_view_label(w, MARGIN_PX, out_h - MARGIN_PX - kerb_font_line_px(w->font) - PAD_PX, panel->figures, FALSE, ink);
    if (panel->paused) kerb_view_label(w, MARGIN_PX, MARGIN_PX, "paused", FALSE, (SDL_Color){ 255, 210, 90, 255 });
    if (panel->notice) kerb_view_label(w, out_w / 2, MARGIN_PX, panel->notice, TRUE, ink);
    if (panel->show_help) kerb_view_help(w, out_w, out_h);
    SDL_RenderPresent(w->renderer);
}

void kerb_view_window_toggle_fullscreen(KerbViewWindow *w)
{
    gboolean is = (SDL_GetWindowFlags(w->window) & SDL_WINDOW_FULLSCREEN_DESKTOP) != 0;
    SDL_SetWindowFullscreen(w->window, is ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
}

gboolean kerb_view_window_read(KerbViewWindow *w, KerbRaster *out)
{
    int out_w, out_h;
    static const guint8 black[3];
    SDL_GetRendererOutputSize(w->renderer, &out_w, &out_h);
    kerb_raster_init(out, out_w, out_h, black);
    if (!SDL_RenderReadPixels(w->renderer, NULL, SDL_PIXELFORMAT_RGB24, out->rgb, out_w * 3)) return TRUE;
    kerb_raster_clear(out);
    return FALSE;
}
