/* SPDX-License-Identifier: MIT */
/* The window of `kerb view`: SDL's window and renderer, what is drawn in which order, and reading it back. It knows nothing of pipelines and keys.
 *
 * Points are in the renderer's pixels, which on dense displays are more than the window's points: kerb_view_window_pixel() turns one into the other.
 * Main thread only. */
#ifndef KERB_APPS_VIEW_WINDOW_H
#define KERB_APPS_VIEW_WINDOW_H

#include "raster.h"
#include "view_panels.h"
#include "view_picture.h"
#include "view_stats.h"

typedef struct KerbViewWindow KerbViewWindow;

/* What is to be seen. */
typedef struct KerbViewScene {
    KerbViewPicture *picture;
    KerbViewMode mode;
    double divider;
    KerbViewPanels panels;
    const KerbViewStats *stats;       /* NULL: the page is not shown */
    const char *const *stats_lines;
    gdouble frame_ms;
} KerbViewScene;

/* Makes sure that there is a display, or with headless that none is needed. FALSE, having said what to do. Once, before windows. */
gboolean kerb_view_display_open(gboolean headless);

/* A window that suits pictures of this size, as they are to be seen; on a console the whole screen. NULL, having said why. vsync: no tearing, and no more frames
 * than the screen shows. */
KerbViewWindow *kerb_view_window_new(const char *title, int width_px, int height_px, gboolean vsync);
void kerb_view_window_free(KerbViewWindow **window);
SDL_Renderer *kerb_view_window_renderer(KerbViewWindow *window);
const KerbViewCanvas *kerb_view_window_canvas(KerbViewWindow *window);
void kerb_view_window_title(KerbViewWindow *window, const char *title);
void kerb_view_window_resize(KerbViewWindow *window, int width, int height);
void kerb_view_window_toggle_fullscreen(KerbViewWindow *window);
SDL_Point kerb_view_window_pixel(KerbViewWindow *window, int x, int y);
/* "opengl on x11" */
const char *kerb_view_window_words(KerbViewWindow *window);
/* Whether the mouse is over something that it can drag sideways. */
void kerb_view_window_cursor(KerbViewWindow *window, gboolean sideways);

/* Draws all of it and shows it. */
void kerb_view_window_show(KerbViewWindow *window, const KerbViewScene *scene);
/* The same, as a picture in place of the screen; kerb_raster_clear() it. FALSE: it cannot be read. */
gboolean kerb_view_window_read(KerbViewWindow *window, const KerbViewScene *scene, KerbRaster *out);

#endif
