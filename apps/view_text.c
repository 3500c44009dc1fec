/* SPDX-License-Identifier: MIT */
/* Glyphs in a texture, row by row; see view_text.h. */
#include "view_text.h"

#include <string.h>

#define SHEET_PX 1024

typedef struct KerbViewGlyph {
    SDL_Rect at; /* on the sheet; w 0: nothing to draw */
    int advance_px;
} KerbViewGlyph;

struct KerbViewText {
    SDL_Renderer *renderer;
    KerbFont *font; /* NULL: none is there */
    int height_px;
    SDL_Texture *sheet;
    int x, y, row_px; /* where the next glyph goes, and the height of its row */
    GHashTable *glyphs; /* code point -> KerbViewGlyph */
};

KerbViewText *kerb_view_text_new(SDL_Renderer *renderer)
{
    KerbViewText *t = g_new0(KerbViewText, 1);
    t->renderer = renderer;
    t->glyphs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return t;
}

void kerb_view_text_free(KerbViewText **text)
{
    KerbViewText *t = *text;
    if (!t) return;
    kerb_font_free(&t->font);
    if (t->sheet) SDL_DestroyTexture(t->sheet);
    g_hash_table_unref(t->glyphs);
    g_clear_pointer(text, g_free);
}

static void kerb_view_text_empty(KerbViewText *t)
{
    g_hash_table_remove_all(t->glyphs);
    t->x = t->y = t->row_px = 0;
}

void kerb_view_text_size(KerbViewText *t, int height_px)
{
    if (height_px == t->height_px) return;
    t->height_px = height_px;
    kerb_font_free(&t->font);
    t->font = kerb_font_new(height_px);
    kerb_view_text_empty(t);
    if (t->sheet || !t->font) return;
    t->sheet = SDL_CreateTexture(t->renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_STATIC, SHEET_PX, SHEET_PX);
    if (t->sheet) SDL_SetTextureBlendMode(t->sheet, SDL_BLENDMODE_BLEND);
}

int kerb_view_text_line_px(const KerbViewText *t)
{
    return t->font ? kerb_font_line_px(t->font) : t->height_px;
}

/* Puts a glyph on the sheet; FALSE: it is full. */
static gboolean kerb_view_text_place(KerbViewText *t, KerbViewGlyph *glyph, SDL_Surface *drawn)
{
    if (t->x + drawn->w + 1 > SHEET_PX) {
        t->x = 0;
        t->y += t->row_px;
        t->row_px = 0;
    }
    if (t->y + drawn->h + 1 > SHEET_PX || drawn->w >= SHEET_PX) return FALSE;
    glyph->at = (SDL_Rect){ t->x, t->y, drawn->w, drawn->h };
    SDL_UpdateTexture(t->sheet, &glyph->at, drawn->pixels, drawn->pitch);
    t->x += drawn->w + 1;
    t->row_px = MAX(t->row_px, drawn->h + 1);
    return TRUE;
}

static const KerbViewGlyph *kerb_view_text_glyph(KerbViewText *t, gunichar code)
{
    KerbViewGlyph *glyph = g_hash_table_lookup(t->glyphs, GUINT_TO_POINTER(code));
    if (glyph) return glyph;
    char utf8[8] = { 0 };
    g_unichar_to_utf8(code, utf8);
    SDL_Surface *drawn = code > ' ' && t->sheet ? kerb_font_render(t->font, utf8, (SDL_Color){ 255, 255, 255, 255 }) : NULL;
    SDL_Surface *argb = drawn ? SDL_ConvertSurfaceFormat(drawn, SDL_PIXELFORMAT_ARGB8888, 0) : NULL;
    glyph = g_new0(KerbViewGlyph, 1);
    glyph->advance_px = kerb_font_width_px(t->font, utf8);
    if (argb && !kerb_view_text_place(t, glyph, argb)) {
        kerb_view_text_empty(t); /* what is in use now comes back at once */
        kerb_view_text_place(t, glyph, argb);
    }
    if (argb) SDL_FreeSurface(argb);
    if (drawn) SDL_FreeSurface(drawn);
    g_hash_table_insert(t->glyphs, GUINT_TO_POINTER(code), glyph);
    return glyph;
}

/* The character at *c, which goes on. Bytes that are no UTF-8 (a class name in another encoding) count one by one. */
static gunichar kerb_view_text_next(const char **c)
{
    gunichar code = g_utf8_get_char_validated(*c, -1);
    gboolean bad = code == (gunichar)-1 || code == (gunichar)-2;
    *c = bad ? *c + 1 : g_utf8_next_char(*c);
    return bad ? 0xfffd : code;
}

int kerb_view_text_width_px(KerbViewText *t, const char *string)
{
    int width = 0;
    for (const char *c = string; t->font && *c;) width += kerb_view_text_glyph(t, kerb_view_text_next(&c))->advance_px;
    return width;
}

void kerb_view_text_draw(KerbViewText *t, int x, int y, const char *string, SDL_Color color, int max_px)
{
    if (!t->font || !t->sheet) return;
    gboolean cut = max_px > 0 && kerb_view_text_width_px(t, string) > max_px;
    int end = x + max_px - (cut ? kerb_view_text_width_px(t, "…") : 0);
    SDL_SetTextureColorMod(t->sheet, color.r, color.g, color.b);
    SDL_SetTextureAlphaMod(t->sheet, color.a);
    for (const char *c = string; *c;) {
        const KerbViewGlyph *glyph = kerb_view_text_glyph(t, kerb_view_text_next(&c));
        if (cut && x + glyph->advance_px > end) {
            glyph = kerb_view_text_glyph(t, g_utf8_get_char("…"));
            SDL_RenderCopy(t->renderer, t->sheet, &glyph->at, &(SDL_Rect){ x, y, glyph->at.w, glyph->at.h });
            return;
        }
        if (glyph->at.w) SDL_RenderCopy(t->renderer, t->sheet, &glyph->at, &(SDL_Rect){ x, y, glyph->at.w, glyph->at.h });
        x += glyph->advance_px;
    }
}
