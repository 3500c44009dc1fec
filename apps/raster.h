/* SPDX-License-Identifier: MIT */
/* A picture in memory that panels and text are put on: RGB, 3 bytes a pixel. What lies outside is clipped. One thread. */
#ifndef KERB_APPS_RASTER_H
#define KERB_APPS_RASTER_H

#include "text.h"

typedef struct KerbRaster {
    int width_px, height_px;
    guint8 *rgb; /* stride width_px * 3 */
} KerbRaster;

/* What all reports are drawn in. */
extern const guint8 kerb_raster_background[3], kerb_raster_ink[3], kerb_raster_faint[3];

void kerb_raster_init(KerbRaster *raster, int width_px, int height_px, const guint8 rgb[3]);
void kerb_raster_clear(KerbRaster *raster);
void kerb_raster_fill(KerbRaster *raster, int x, int y, int width_px, int height_px, const guint8 rgb[3]);
void kerb_raster_paste(KerbRaster *raster, int x, int y, const KerbRaster *from);
/* Text with its upper left corner at x, y; font NULL: nothing. */
void kerb_raster_text(KerbRaster *raster, KerbFont *font, int x, int y, const char *text, const guint8 rgb[3]);

/* Writes a PNG. FALSE: errno says why. */
gboolean kerb_raster_write_png(const KerbRaster *raster, const char *path);
/* The same in memory. NULL: there is no memory for it. */
GBytes *kerb_raster_png(const KerbRaster *raster);

#endif
