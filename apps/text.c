/* SPDX-License-Identifier: MIT */
/* SDL_ttf; see text.h. */
#include "text.h"
#include "say.h"

#include <SDL_ttf.h>

struct KerbFont {
    TTF_Font *font;
};

/* $KERB_FONT first; then where Debian, Fedora, Arch and SUSE put common ones. */
static const char *const kerb_fonts[] = {
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf", "/usr/share/fonts/TTF/DejaVuSans.ttf", "/usr/share/fonts/truetype/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf", "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/freefont/FreeSans.ttf",
};

KerbFont *kerb_font_new(int height_px)
{
    static gboolean said;
    if (!TTF_WasInit() && TTF_Init()) return NULL;
    const char *wished = g_getenv("KERB_FONT");
    TTF_Font *font = wished && *wished ? TTF_OpenFont(wished, height_px) : NULL;
    for (gsize i = 0; !font && !(wished && *wished) && i < G_N_ELEMENTS(kerb_fonts); i++) font = TTF_OpenFont(kerb_fonts[i], height_px);
    if (!font) {
        if (!said) kerb_warn("no font is found, so pictures go without text. Install fonts-dejavu-core, or name a font file in KERB_FONT.");
        said = TRUE;
        return NULL;
    }
    KerbFont *self = g_new0(KerbFont, 1);
    self->font = font;
    return self;
}

void kerb_font_free(KerbFont **font)
{
    if (*font) TTF_CloseFont((*font)->font);
    g_clear_pointer(font, g_free);
}

int kerb_font_line_px(const KerbFont *font)
{
    return TTF_FontLineSkip(font->font);
}

int kerb_font_width_px(KerbFont *font, const char *text)
{
    int width = 0;
    TTF_SizeUTF8(font->font, text, &width, NULL);
    return width;
}

SDL_Surface *kerb_font_render(KerbFont *font, const char *text, SDL_Color color)
{
    return *text ? TTF_RenderUTF8_Blended(font->font, text, color) : NULL;
}
