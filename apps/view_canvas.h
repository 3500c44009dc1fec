/* SPDX-License-Identifier: MIT */
/* What panels are drawn with: a renderer, its size, text in two sizes, and a unit that grows with the window. One thread, the renderer's. */
#ifndef KERB_APPS_VIEW_CANVAS_H
#define KERB_APPS_VIEW_CANVAS_H

#include "view_text.h"

typedef struct KerbViewCanvas {
    SDL_Renderer *renderer;
    int width_px, height_px;
    double unit;        /* 1 in a window of 1280 x 720 */
    int text_px;        /* height of normal text */
    KerbViewText *text; /* normal */
    KerbViewText *fit;  /* for panels that must take less room; kerb_view_text_size() it before use */
} KerbViewCanvas;

void kerb_view_canvas_init(KerbViewCanvas *canvas, SDL_Renderer *renderer);
void kerb_view_canvas_clear(KerbViewCanvas *canvas);
/* Before each picture: takes the renderer's size. */
void kerb_view_canvas_measure(KerbViewCanvas *canvas);

/* n units in pixels, at least 1. */
int kerb_view_px(const KerbViewCanvas *canvas, double n);
void kerb_view_fill(const KerbViewCanvas *canvas, SDL_Rect rect, SDL_Color color);
/* The dark ground of all panels. */
void kerb_view_plate(const KerbViewCanvas *canvas, SDL_Rect rect);
/* A line of text on a plate, moved so that it lies inside the window; returns the plate. */
SDL_Rect kerb_view_label(const KerbViewCanvas *canvas, int x, int y, const char *text, SDL_Color color);
/* The size that such a plate has. */
SDL_Point kerb_view_label_size(const KerbViewCanvas *canvas, const char *text);

extern const SDL_Color kerb_view_ink, kerb_view_faint, kerb_view_red, kerb_view_amber;
#define KERB_VIEW_MARGIN 12 /* units: from the window's edge to a panel, */
#define KERB_VIEW_PAD 9     /* and from a panel's edge to what is in it */

#endif
