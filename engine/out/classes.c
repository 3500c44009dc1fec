/* SPDX-License-Identifier: MIT */
/* The palettes that are built in, and invented classes. Reads no file (classes_read.c does). */
#include "out/classes.h"

#include <stdio.h>
#include <string.h>

typedef struct KerbBuiltinClass {
    const char *name;
    uint8_t rgb[3];
    int16_t id;
    bool is_background;
} KerbBuiltinClass;

/* CamVid in the 11 classes of SegNet (Badrinarayanan et al. 2017), its colours; the label files write 11 for void, which is no class. */
static const KerbBuiltinClass kerb_camvid[] = {
    { "sky", { 128, 128, 128 }, 0, false },      { "building", { 128, 0, 0 }, 1, false },   { "pole", { 192, 192, 128 }, 2, false },
    { "road", { 128, 64, 128 }, 3, false },      { "pavement", { 60, 40, 222 }, 4, false }, { "tree", { 128, 128, 0 }, 5, false },
    { "sign", { 192, 128, 128 }, 6, false },     { "fence", { 64, 64, 128 }, 7, false },    { "car", { 64, 0, 128 }, 8, false },
    { "pedestrian", { 64, 64, 0 }, 9, false },   { "cyclist", { 0, 128, 192 }, 10, false },
};

/* Cityscapes' 19 training classes; names, labelIds and colours of cityscapesScripts' labels.py. */
static const KerbBuiltinClass kerb_cityscapes[] = {
    { "road", { 128, 64, 128 }, 7, false },          { "sidewalk", { 244, 35, 232 }, 8, false },  { "building", { 70, 70, 70 }, 11, false },
    { "wall", { 102, 102, 156 }, 12, false },        { "fence", { 190, 153, 153 }, 13, false },   { "pole", { 153, 153, 153 }, 17, false },
    { "traffic light", { 250, 170, 30 }, 19, false }, { "traffic sign", { 220, 220, 0 }, 20, false }, { "vegetation", { 107, 142, 35 }, 21, false },
    { "terrain", { 152, 251, 152 }, 22, false },     { "sky", { 70, 130, 180 }, 23, false },      { "person", { 220, 20, 60 }, 24, false },
    { "rider", { 255, 0, 0 }, 25, false },           { "car", { 0, 0, 142 }, 26, false },         { "truck", { 0, 0, 70 }, 27, false },
    { "bus", { 0, 60, 100 }, 28, false },            { "train", { 0, 80, 100 }, 31, false },      { "motorcycle", { 0, 0, 230 }, 32, false },
    { "bicycle", { 119, 11, 32 }, 33, false },
};

/* Pascal VOC; its colours are kerb_classes_color()'s. */
static const char *const kerb_voc[] = {
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
};

static const KerbBuiltinClass kerb_road[] = {
    { "background", { 0, 0, 0 }, 0, true },
    { "road", { 128, 64, 128 }, 1, false },
};

static const KerbBuiltinClass kerb_lane[] = {
    { "background", { 0, 0, 0 }, 0, true },
    { "drivable area", { 40, 170, 90 }, 1, false },
    { "lane", { 255, 70, 50 }, 2, false },
};

/* The colour map of the VOC development kit: bits 0, 1, 2 of the index are the top bits of red, green, blue; bits 3, 4, 5 the next ones; ... */
static void kerb_classes_color(int index, uint8_t rgb[3])
{
    memset(rgb, 0, 3);
    for (int shift = 7; index && shift >= 0; shift--, index >>= 3)
        for (int k = 0; k < 3; k++) rgb[k] = (uint8_t)(rgb[k] | ((index >> k & 1) << shift));
}

static void kerb_classes_copy(KerbClassTable *out, const KerbBuiltinClass *from, size_t n)
{
    out->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        KerbClass *c = &out->classes[i];
        snprintf(c->name, sizeof(c->name), "%s", from[i].name);
        memcpy(c->rgb, from[i].rgb, 3);
        c->dataset_id = from[i].id;
        c->is_background = from[i].is_background;
    }
}

static void kerb_classes_voc(KerbClassTable *out)
{
    out->n = (int)(sizeof(kerb_voc) / sizeof(kerb_voc[0]));
    for (int i = 0; i < out->n; i++) {
        KerbClass *c = &out->classes[i];
        snprintf(c->name, sizeof(c->name), "%s", kerb_voc[i]);
        kerb_classes_color(i, c->rgb);
        c->dataset_id = i;
        c->is_background = i == 0;
    }
}

bool kerb_classes_builtin(KerbClassTable *out, const char *name)
{
    memset(out, 0, sizeof(*out));
    if (!name) return false;
    if (!strcmp(name, "camvid")) kerb_classes_copy(out, kerb_camvid, sizeof(kerb_camvid) / sizeof(kerb_camvid[0]));
    else if (!strcmp(name, "cityscapes")) kerb_classes_copy(out, kerb_cityscapes, sizeof(kerb_cityscapes) / sizeof(kerb_cityscapes[0]));
    else if (!strcmp(name, "voc")) kerb_classes_voc(out);
    else if (!strcmp(name, "road")) kerb_classes_copy(out, kerb_road, sizeof(kerb_road) / sizeof(kerb_road[0]));
    else if (!strcmp(name, "lane")) kerb_classes_copy(out, kerb_lane, sizeof(kerb_lane) / sizeof(kerb_lane[0]));
    else return false;
    return true;
}

const char *kerb_classes_builtin_names(void)
{
    return "camvid, cityscapes, voc, road, lane";
}

void kerb_classes_generate(KerbClassTable *out, int n)
{
    memset(out, 0, sizeof(*out));
    out->n = n < 0 ? 0 : n > KERB_MAX_CLASSES ? KERB_MAX_CLASSES : n;
    for (int i = 0; i < out->n; i++) {
        KerbClass *c = &out->classes[i];
        snprintf(c->name, sizeof(c->name), "class %d", i);
        kerb_classes_color(i + 1, c->rgb); /* colour 0 is black, which paints nothing that can be told from a dark picture */
        c->dataset_id = -1;
    }
}
