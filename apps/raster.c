/* SPDX-License-Identifier: MIT */
/* Pictures in memory, and PNG; see raster.h. */
#include "raster.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

const guint8 kerb_raster_background[3] = { 24, 26, 30 }, kerb_raster_ink[3] = { 232, 234, 237 }, kerb_raster_faint[3] = { 150, 155, 163 };

void kerb_raster_init(KerbRaster *r, int width_px, int height_px, const guint8 rgb[3])
{
    *r = (KerbRaster){ width_px, height_px, g_malloc((gsize)width_px * (gsize)height_px * 3) };
    kerb_raster_fill(r, 0, 0, width_px, height_px, rgb);
}

void kerb_raster_clear(KerbRaster *r)
{
    g_clear_pointer(&r->rgb, g_free);
}

static guint8 *kerb_raster_at(const KerbRaster *r, int x, int y)
{
    return r->rgb + ((gsize)y * (gsize)r->width_px + (gsize)x) * 3;
}

void kerb_raster_fill(KerbRaster *r, int x, int y, int width_px, int height_px, const guint8 rgb[3])
{
    int right = MIN(x + width_px, r->width_px), bottom = MIN(y + height_px, r->height_px);
    for (int v = MAX(y, 0); v < bottom; v++)
        for (int u = MAX(x, 0); u < right; u++) memcpy(kerb_raster_at(r, u, v), rgb, 3);
}

void kerb_raster_paste(KerbRaster *r, int x, int y, const KerbRaster *from)
{
    int left = MAX(x, 0), right = MIN(x + from->width_px, r->width_px), bottom = MIN(y + from->height_px, r->height_px);
    for (int v = MAX(y, 0); v < bottom && left < right; v++)
        memcpy(kerb_raster_at(r, left, v), kerb_raster_at(from, left - x, v - y), (gsize)(right - left) * 3);
}

void kerb_raster_text(KerbRaster *r, KerbFont *font, int x, int y, const char *text, const guint8 rgb[3])
{
    SDL_Surface *drawn = font ? kerb_font_render(font, text, (SDL_Color){ rgb[0], rgb[1], rgb[2], 255 }) : NULL;
    if (!drawn) return;
    SDL_Surface *surface = SDL_ConvertSurfaceFormat(drawn, SDL_PIXELFORMAT_ARGB8888, 0);
    SDL_FreeSurface(drawn);
    int right = surface ? MIN(x + surface->w, r->width_px) : 0, bottom = surface ? MIN(y + surface->h, r->height_px) : 0;
    for (int v = MAX(y, 0); v < bottom; v++) {
        const Uint32 *row = (const Uint32 *)(const void *)((const guint8 *)surface->pixels + (v - y) * surface->pitch);
        for (int u = MAX(x, 0); u < right; u++) {
            guint alpha = row[u - x] >> 24;
            guint8 *p = kerb_raster_at(r, u, v);
            for (int k = 0; k < 3; k++) p[k] = (guint8)((p[k] * (255 - alpha) + rgb[k] * alpha + 127) / 255);
        }
    }
    SDL_FreeSurface(surface);
}

gboolean kerb_raster_write_png(const KerbRaster *r, const char *path)
{
    FILE *file = fopen(path, "wb");
    png_structp png = file ? png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL) : NULL;
    png_infop info = png ? png_create_info_struct(png) : NULL;
    gboolean ok = FALSE;
    if (info && !setjmp(png_jmpbuf(png))) {
        png_init_io(png, file);
        png_set_IHDR(png, info, (png_uint_32)r->width_px, (png_uint_32)r->height_px, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                     PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (int y = 0; y < r->height_px; y++) png_write_row(png, kerb_raster_at(r, 0, y));
        png_write_end(png, NULL);
        png_destroy_write_struct(&png, &info);
        ok = fclose(file) == 0;
        return ok;
    }
    int error = errno;
    if (png) png_destroy_write_struct(&png, &info);
    if (file) fclose(file);
    errno = error;
    return FALSE;
}

GBytes *kerb_raster_png(const KerbRaster *r)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = (png_uint_32)r->width_px, .height = (png_uint_32)r->height_px, .format = PNG_FORMAT_RGB };
    png_alloc_size_t bytes = 0;
    if (!png_image_write_get_memory_size(image, bytes, 0, r->rgb, r->width_px * 3, NULL)) return NULL;
    guint8 *data = g_malloc(bytes);
    if (png_image_write_to_memory(&image, data, &bytes, 0, r->rgb, r->width_px * 3, NULL)) return g_bytes_new_take(data, bytes);
    g_free(data);
    return NULL;
}
