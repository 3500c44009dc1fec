/* SPDX-License-Identifier: MIT */
/* Class names, colours and ids: built-in palettes, files, generated ones. */
#ifndef KERB_OUT_CLASSES_H
#define KERB_OUT_CLASSES_H

#include "base/error.h"

typedef struct KerbClassTable {
    int n;
    KerbClass classes[KERB_MAX_CLASSES];
} KerbClassTable;

/* "camvid" (11 + void as data set: sky building pole road pavement tree sign fence car pedestrian cyclist), "cityscapes" (19 train classes,
 * dataset_id = labelIds), "voc" (21), "road" (background, road), "lane" (background, drivable area, lane). false: no such palette. */
bool kerb_classes_builtin(KerbClassTable *out, const char *name);
/* Comma-separated names, for messages. */
const char *kerb_classes_builtin_names(void);
/* n classes "class 0".. with colours that differ (the Pascal VOC colour map's bits). */
void kerb_classes_generate(KerbClassTable *out, int n);
/* A file: `name r g b` lines (name may be quoted or have spaces: the last three fields are the colour; # comments; an optional fourth number `id`), or
 * JSON: [{"name":..., "color":[r,g,b] or "#rrggbb", "id":..., "background":...}, ...] or {"classes":[...]}. ASSET with path and line. */
KerbStatus kerb_classes_read(KerbClassTable *out, const char *path, KerbError *error);
/* The same from a JSON array's text (model cards). `where` names it in messages. */
KerbStatus kerb_classes_parse_json(KerbClassTable *out, const char *json, const char *where, KerbError *error);

#endif
