/* SPDX-License-Identifier: MIT */
/* libpng; see labelmap.h. */
#include "labelmap.h"

#include <errno.h>
#include <kerb.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* What is open while a file is read; it outlives longjmp(). */
typedef struct KerbPng {
    FILE *file;
    png_structp png;
    png_infop info;
    guint8 *bytes;
    png_bytep *rows;
    gchar *why;
} KerbPng;

static void kerb_png_error(png_structp png, png_const_charp text)
{
    KerbPng *p = png_get_error_ptr(png);
    if (!p->why) p->why = g_strdup_printf("it is not a sound PNG: %s", text);
    png_longjmp(png, 1);
}

static void kerb_png_warning(png_structp png, png_const_charp text) {}

static void kerb_png_close(KerbPng *p)
{
    png_destroy_read_struct(&p->png, &p->info, NULL);
    if (p->file) fclose(p->file);
    g_free(p->bytes);
    g_free(p->rows);
}

/* All rows, without alpha: one or three channels of `depth` bits. Jumps away where the file is damaged. */
static void kerb_png_rows(KerbPng *p, KerbLabelmap *map, int *channels, int *depth)
{
    png_read_info(p->png, p->info);
    png_uint_32 width = png_get_image_width(p->png, p->info), height = png_get_image_height(p->png, p->info);
    if (width > KERB_MAX_SIDE_PX || height > KERB_MAX_SIDE_PX) {
        p->why = g_strdup_printf("it has %u x %u pixels; at most %d on a side can be used", width, height, KERB_MAX_SIDE_PX);
        png_longjmp(p->png, 1);
    }
    png_set_packing(p->png); /* 1, 2 and 4 bits: a byte each, values as they are */
    png_set_strip_alpha(p->png);
    if (png_get_color_type(p->png, p->info) & PNG_COLOR_MASK_COLOR && !(png_get_color_type(p->png, p->info) & PNG_COLOR_MASK_PALETTE)) png_set_strip_16(p->png);
    png_set_interlace_handling(p->png);
    png_read_update_info(p->png, p->info);
    *channels = png_get_channels(p->png, p->info);
    *depth = png_get_bit_depth(p->png, p->info);
    png_size_t stride = png_get_rowbytes(p->png, p->info);
    p->bytes = g_malloc(stride * height);
    p->rows = g_new(png_bytep, height);
    for (png_uint_32 y = 0; y < height; y++) p->rows[y] = p->bytes + y * stride;
    png_read_image(p->png, p->rows);
    png_read_end(p->png, NULL);
    map->width_px = (int)width;
    map->height_px = (int)height;
}

static gboolean kerb_labelmap_is_gray(const guint8 *rgb, gsize pixels)
{
    for (gsize i = 0; i < pixels; i++)
        if (rgb[3 * i] != rgb[3 * i + 1] || rgb[3 * i] != rgb[3 * i + 2]) return FALSE;
    return TRUE;
}

static void kerb_labelmap_take(KerbLabelmap *map, const KerbPng *p, int channels, int depth)
{
    gsize w = (gsize)map->width_px, pixels = w * (gsize)map->height_px;
    if (channels == 3) {
        map->rgb = g_malloc(pixels * 3);
        for (int y = 0; y < map->height_px; y++) memcpy(map->rgb + (gsize)y * w * 3, p->rows[y], w * 3);
        map->colored = !kerb_labelmap_is_gray(map->rgb, pixels);
    }
    if (map->colored) return;
    map->values = g_new(guint16, pixels);
    for (int y = 0; y < map->height_px; y++) {
        for (gsize x = 0; x < w; x++) {
            const guint8 *at = p->rows[y] + (depth == 16 ? 2 * x : (gsize)channels * x);
            map->values[(gsize)y * w + x] = depth == 16 ? (guint16)(at[0] << 8 | at[1]) : at[0];
        }
    }
    g_clear_pointer(&map->rgb, g_free);
}

gboolean kerb_labelmap_read(KerbLabelmap *map, const gchar *path, gchar **why)
{
    KerbPng p = { .file = fopen(path, "rb") };
    guint8 head[8];
    int channels = 0, depth = 0;
    *map = (KerbLabelmap){ 0 };
    *why = NULL;
    if (!p.file) {
        *why = g_strdup(g_strerror(errno));
        return FALSE;
    }
    if (fread(head, 1, sizeof head, p.file) != sizeof head || png_sig_cmp(head, 0, sizeof head)) {
        *why = g_strdup("it is not a PNG file: labels are PNG, since other formats change the numbers");
        fclose(p.file);
        return FALSE;
    }
    p.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &p, kerb_png_error, kerb_png_warning);
    p.info = p.png ? png_create_info_struct(p.png) : NULL;
    if (!p.info || setjmp(png_jmpbuf(p.png))) {
        *why = p.why ? p.why : g_strdup("no memory");
        kerb_png_close(&p);
        return FALSE;
    }
    png_init_io(p.png, p.file);
    png_set_sig_bytes(p.png, sizeof head);
    kerb_png_rows(&p, map, &channels, &depth);
    kerb_labelmap_take(map, &p, channels, depth);
    kerb_png_close(&p);
    return TRUE;
}

void kerb_labelmap_clear(KerbLabelmap *map)
{
    g_clear_pointer(&map->values, g_free);
    g_clear_pointer(&map->rgb, g_free);
}

gboolean kerb_labelmap_write(const gchar *path, const guint8 *values, int width_px, int height_px)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = (png_uint_32)width_px, .height = (png_uint_32)height_px, .format = PNG_FORMAT_GRAY };
    FILE *file = fopen(path, "wb");
    if (!file) return FALSE;
    gboolean ok = png_image_write_to_stdio(&image, file, 0, values, width_px, NULL) != 0;
    int error = errno;
    ok = fclose(file) == 0 && ok;
    if (!ok && error) errno = error;
    return ok;
}
