/* SPDX-License-Identifier: MIT */
/* Sizes, plates, labels; see view_canvas.h. */
#include "view_canvas.h"

#include <math.h>

#define TEXT_PX 15
#define LEAST_UNIT 0.74 /* text of 11 px: less cannot be read */
#define MOST_UNIT 4

const SDL_Color kerb_view_ink = { 240, 242, 245, 255 }, kerb_view_faint = { 158, 163, 171, 255 }, kerb_view_red = { 255, 96, 82, 255 },
                kerb_view_amber = { 255, 210, 90, 255 };

void kerb_view_canvas_init(KerbViewCanvas *c, SDL_Renderer *renderer)
{
    c->renderer = renderer;
    c->text = kerb_view_text_new(renderer);
    c->fit = kerb_view_text_new(renderer);
    SDL_SetRenderDrawBlendMode(renderer, SDL_BLENDMODE_BLEND);
    kerb_view_canvas_measure(c);
}

void kerb_view_canvas_clear(KerbViewCanvas *c)
{
    kerb_view_text_free(&c->text);
    kerb_view_text_free(&c->fit);
}

void kerb_view_canvas_measure(KerbViewCanvas *c)
{
    SDL_GetRendererOutputSize(c->renderer, &c->width_px, &c->height_px);
    c->unit = CLAMP(MIN(c->width_px / 1280.0, c->height_px / 720.0), LEAST_UNIT, MOST_UNIT);
    c->text_px = (int)lround(TEXT_PX * c->unit);
    kerb_view_text_size(c->text, c->text_px);
}

int kerb_view_px(const KerbViewCanvas *c, double n)
{
    return MAX((int)lround(n * c->unit), 1);
}

void kerb_view_fill(const KerbViewCanvas *c, SDL_Rect rect, SDL_Color color)
{
    SDL_SetRenderDrawColor(c->renderer, color.r, color.g, color.b, color.a);
    SDL_RenderFillRect(c->renderer, &rect);
}

void kerb_view_plate(const KerbViewCanvas *c, SDL_Rect rect)
{
    kerb_view_fill(c, rect, (SDL_Color){ 16, 18, 22, 210 });
}

SDL_Point kerb_view_label_size(const KerbViewCanvas *c, const char *text)
{
    return (SDL_Point){ kerb_view_text_width_px(c->text, text) + 2 * kerb_view_px(c, KERB_VIEW_PAD), kerb_view_text_line_px(c->text) + kerb_view_px(c, KERB_VIEW_PAD) };
}

SDL_Rect kerb_view_label(const KerbViewCanvas *c, int x, int y, const char *text, SDL_Color color)
{
    SDL_Point size = kerb_view_label_size(c, text);
    int pad = kerb_view_px(c, KERB_VIEW_PAD), width = MIN(size.x, c->width_px);
    SDL_Rect plate = { CLAMP(x, 0, MAX(c->width_px - width, 0)), CLAMP(y, 0, MAX(c->height_px - size.y, 0)), width, size.y };
    kerb_view_plate(c, plate);
    kerb_view_text_draw(c->text, plate.x + pad, plate.y + pad / 2, text, color, width - 2 * pad);
    return plate;
}
