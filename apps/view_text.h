/* SPDX-License-Identifier: MIT */
/* Text on a renderer. Each glyph is drawn once, into one texture, and copied from there: a page of figures that changes with every frame makes no surfaces.
 * In: UTF-8 and places in pixels. Not here: kerning, right-to-left scripts. One thread, the renderer's. */
#ifndef KERB_APPS_VIEW_TEXT_H
#define KERB_APPS_VIEW_TEXT_H

#include "text.h"

typedef struct KerbViewText KerbViewText;

KerbViewText *kerb_view_text_new(SDL_Renderer *renderer);
void kerb_view_text_free(KerbViewText **text);

/* The size of what follows. A change empties the cache. Without a font all text is as if it were empty. */
void kerb_view_text_size(KerbViewText *text, int height_px);
int kerb_view_text_line_px(const KerbViewText *text);
int kerb_view_text_width_px(KerbViewText *text, const char *string);
/* Upper left corner at x, y. max_px > 0: what is wider is cut and ends in "…". */
void kerb_view_text_draw(KerbViewText *text, int x, int y, const char *string, SDL_Color color, int max_px);

#endif
