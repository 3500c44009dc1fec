/* SPDX-License-Identifier: MIT */
/* What lies over the picture: legend, corner, states, notices, what is under the mouse, help. In: texts and numbers. It decides nothing. */
#ifndef KERB_APPS_VIEW_PANELS_H
#define KERB_APPS_VIEW_PANELS_H

#include "view_canvas.h"

#include <kerb.h>

typedef struct KerbViewPanels {
    const KerbClass *classes; /* borrowed, as are all texts; a text that is NULL is not shown */
    int n_classes;
    const KerbDisplay *display;
    const float *shares; /* of the picture, by label, 0..1 */
    gboolean show_legend, show_help;
    const char *corner, *age;
    gboolean is_stale;       /* the age is shown in red */
    const char *paused, *recording;
    gboolean recording_lags;
    const char *notice;
    gboolean notice_is_bad;
    const char *hover;       /* beside the mouse */
    guint8 hover_rgb[3];
    gboolean hover_has_color;
    int mouse_x, mouse_y;
} KerbViewPanels;

void kerb_view_panels_draw(const KerbViewCanvas *canvas, const KerbViewPanels *panels);
/* Where the legend begins; the window's end where there is none. */
int kerb_view_panels_legend_x(const KerbViewCanvas *canvas, const KerbViewPanels *panels);
/* The class in whose row of the legend this point lies, or -1. */
int kerb_view_panels_class_at(const KerbViewCanvas *canvas, const KerbViewPanels *panels, int x, int y);

#endif
