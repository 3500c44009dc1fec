/* SPDX-License-Identifier: MIT */
/* Label pictures: PNG files whose pixels are numbers, or colours that stand for classes.
 *
 * Enters: a path. Leaves: the values as they are in the file: grey of any depth, the indices of a palette, or RGB. Knows no classes. */
#ifndef KERB_APPS_LABELMAP_H
#define KERB_APPS_LABELMAP_H

#include <glib.h>

typedef struct KerbLabelmap {
    int width_px, height_px;
    gboolean colored; /* FALSE: one guint16 a pixel in `values`; TRUE: 3 bytes a pixel in `rgb`. No padding */
    guint16 *values;
    guint8 *rgb;
} KerbLabelmap;

/* FALSE: *why says why (owned), without the path. A colour picture whose three channels are equal everywhere is taken as grey. */
gboolean kerb_labelmap_read(KerbLabelmap *map, const gchar *path, gchar **why);
void kerb_labelmap_clear(KerbLabelmap *map);

/* 8-bit grey. FALSE: errno says why. */
gboolean kerb_labelmap_write(const gchar *path, const guint8 *values, int width_px, int height_px);

#endif
