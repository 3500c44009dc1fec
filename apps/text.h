/* SPDX-License-Identifier: MIT */
/* Text in pictures, with SDL_ttf and the first font that is found. Needs no window and no display. One thread. */
#ifndef KERB_APPS_TEXT_H
#define KERB_APPS_TEXT_H

#include <SDL.h>
#include <glib.h>

typedef struct KerbFont KerbFont;

/* NULL where no font is found; said once which package has one. */
KerbFont *kerb_font_new(int height_px);
void kerb_font_free(KerbFont **font);
int kerb_font_line_px(const KerbFont *font);
int kerb_font_width_px(KerbFont *font, const char *text);

/* The text as a picture with transparency (ARGB8888); NULL for an empty text. SDL_FreeSurface() it. */
SDL_Surface *kerb_font_render(KerbFont *font, const char *text, SDL_Color color);

#endif
