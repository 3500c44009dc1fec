/* SPDX-License-Identifier: MIT */
/* The window of `kerb view`: a picture with its aspect kept, and over it the legend, a line of figures and short notices. It knows nothing of pipelines.
 *
 * Enters: pictures (BGRx), texts, classes. Leaves: what is on the screen, and which row of the legend is under the mouse. Main thread only. */
#ifndef KERB_APPS_VIEW_WINDOW_H
#define KERB_APPS_VIEW_WINDOW_H

#include "raster.h"

#include <kerb.h>

typedef struct KerbViewWindow KerbViewWindow;

/* What lies over the picture. */
typedef struct KerbViewPanel {
    const KerbClass *classes; /* borrowed */
    int n_classes;
    const KerbDisplay *display;
    const float *shares;      /* of the picture, by label, 0..1 */
    gboolean show_legend, show_figures, show_help, paused;
    const char *figures;      /* the line at the bottom */
    const char *notice;       /* a few words in the middle; NULL: none */
} KerbViewPanel;

/* A window that suits pictures of this size, with pixels of this aspect. NULL, having said why. hidden: for tests, never on the screen. */
KerbViewWindow *kerb_view_window_new(const char *title, int width_px, int height_px, double pixel_aspect);
void kerb_view_window_free(KerbViewWindow **window);

/* A new picture, BGRx. */
void kerb_view_window_picture(KerbViewWindow *window, const guint8 *bgrx, int stride);
/* Draws all of it and shows it. */
void kerb_view_window_show(KerbViewWindow *window, const KerbViewPanel *panel);
/* The class in whose row of the legend this point lies, or -1. */
int kerb_view_window_class_at(const KerbViewWindow *window, const KerbViewPanel *panel, int x, int y);
void kerb_view_window_toggle_fullscreen(KerbViewWindow *window);
/* What was shown last, as a picture; kerb_raster_clear() it. FALSE: it cannot be read. */
gboolean kerb_view_window_read(KerbViewWindow *window, KerbRaster *out);

#endif
