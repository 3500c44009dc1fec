/* SPDX-License-Identifier: MIT */
/* The layouts of data sets, their classes and void rules, and reading truth; see dataset.h. */
#include "dataset.h"
#include "labelmap.h"
#include "metrics.h"
#include "say.h"
#include "source.h"

#include <jansson.h>
#include <string.h>

const char *const kerb_dataset_names[] = { "folder", "camvid", "cityscapes", "kitti-road", "test", NULL };

/* ---------------------------------------------------------------------------------------------------------------- files */

static void kerb_pair_free(gpointer data)
{
    KerbPair *pair = data;
    g_free(pair->image);
    g_free(pair->labels);
    g_free(pair->name);
    g_free(pair);
}

static gboolean kerb_is_folder(const gchar *path)
{
    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

/* Names of label files that may belong to an image's: the first that is there does. */
static gchar *kerb_label_name(KerbDatasetKind kind, const gchar *stem, int choice)
{
    const gchar *number = strrchr(stem, '_');
    switch (kind) {
    case KERB_DATASET_CITYSCAPES:
        if (choice == 0) return g_strdup_printf("%s_gtFine_labelIds.png", stem);
        return choice == 1 ? g_strdup_printf("%s.png", stem) : NULL;
    case KERB_DATASET_KITTI_ROAD:
        if (number && choice < 2) return g_strdup_printf("%.*s_%s%s.png", (int)(number - stem), stem, choice ? "lane" : "road", number);
        return choice == 2 ? g_strdup_printf("%s.png", stem) : NULL;
    default:
        if (choice == 0) return g_strdup_printf("%s.png", stem);
        return choice == 1 ? g_strdup_printf("%s_L.png", stem) : NULL; /* CamVid's own name for them */
    }
}

static gchar *kerb_label_find(KerbDatasetKind kind, const gchar *folder, const gchar *stem)
{
    gchar *name;
    for (int choice = 0; (name = kerb_label_name(kind, stem, choice)); choice++) {
        gchar *path = g_build_filename(folder, name, NULL);
        g_free(name);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR)) return path;
        g_free(path);
    }
    return NULL;
}

/* The images of one folder with the labels of another. Those without a label: counted, the first is named. */
static void kerb_dataset_add(KerbDataset *d, const gchar *images, const gchar *labels, guint *missing, gchar **first)
{
    GPtrArray *list = kerb_source_image_list(images);
    for (guint i = 0; i < list->len; i++) {
        KerbPair *pair = g_new0(KerbPair, 1);
        pair->image = g_strdup(list->pdata[i]);
        pair->name = g_path_get_basename(pair->image);
        *strrchr(pair->name, '.') = 0;
        gchar *suffix = d->kind == KERB_DATASET_CITYSCAPES ? g_strrstr(pair->name, "_leftImg8bit") : NULL;
        if (suffix) *suffix = 0;
        pair->labels = kerb_label_find(d->kind, labels, pair->name);
        if (!pair->labels && !(*missing)++) {
            gchar *wanted = kerb_label_name(d->kind, pair->name, 0);
            *first = g_strdup_printf("%s (%s/%s)", pair->image, labels, wanted);
            g_free(wanted);
        }
        g_ptr_array_add(d->pairs, pair);
    }
    g_ptr_array_free(list, TRUE);
}

static gint kerb_by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(gchar *const *)a, *(gchar *const *)b);
}

/* leftImg8bit/SPLIT/CITY and gtFine/SPLIT/CITY. */
static void kerb_dataset_add_cities(KerbDataset *d, const gchar *images, const gchar *labels, guint *missing, gchar **first)
{
    GDir *folder = g_dir_open(images, 0, NULL);
    GPtrArray *cities = g_ptr_array_new_with_free_func(g_free);
    const gchar *name;
    while (folder && (name = g_dir_read_name(folder))) g_ptr_array_add(cities, g_strdup(name));
    if (folder) g_dir_close(folder);
    g_ptr_array_sort(cities, kerb_by_name);
    for (guint i = 0; i < cities->len; i++) {
        gchar *in = g_build_filename(images, cities->pdata[i], NULL), *truth = g_build_filename(labels, cities->pdata[i], NULL);
        if (kerb_is_folder(in)) kerb_dataset_add(d, in, truth, missing, first);
        g_free(in);
        g_free(truth);
    }
    g_ptr_array_free(cities, TRUE);
}

/* Where images and labels may lie below ROOT; SPLIT stands for the split. The first where both folders are there counts. */
static const struct KerbLayout {
    KerbDatasetKind kind;
    const char *images, *labels;
    gboolean cities;
} kerb_layouts[] = {
    { KERB_DATASET_FOLDER, "images", "labels", FALSE },
    { KERB_DATASET_FOLDER, "SPLIT/images", "SPLIT/labels", FALSE },
    { KERB_DATASET_CAMVID, "images", "labels", FALSE },
    { KERB_DATASET_CAMVID, "SPLIT/images", "SPLIT/labels", FALSE },
    { KERB_DATASET_CAMVID, "SPLIT", "SPLITannot", FALSE },
    { KERB_DATASET_CITYSCAPES, "leftImg8bit/SPLIT", "gtFine/SPLIT", TRUE },
    { KERB_DATASET_CITYSCAPES, "images", "labelIds", FALSE },
    { KERB_DATASET_CITYSCAPES, "images", "labels", FALSE },
    { KERB_DATASET_KITTI_ROAD, "training/image_2", "training/gt_image_2", FALSE },
    { KERB_DATASET_KITTI_ROAD, "image_2", "gt_image_2", FALSE },
    { KERB_DATASET_KITTI_ROAD, "images", "gt", FALSE },
};

static gchar *kerb_layout_path(const gchar *root, const char *pattern, const gchar *split)
{
    gchar **halves = g_strsplit(pattern, "SPLIT", 2), *below = g_strjoinv(split, halves), *path = g_build_filename(root, below, NULL);
    g_strfreev(halves);
    g_free(below);
    return path;
}

static gboolean kerb_dataset_find(KerbDataset *d, const gchar *split)
{
    GString *tried = g_string_new(NULL);
    guint missing = 0;
    gchar *first = NULL;
    gboolean found = FALSE, ok = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_layouts) && !found; i++) {
        const struct KerbLayout *layout = &kerb_layouts[i];
        if (layout->kind != d->kind) continue;
        gchar *images = kerb_layout_path(d->root, layout->images, split), *labels = kerb_layout_path(d->root, layout->labels, split);
        found = kerb_is_folder(images) && kerb_is_folder(labels);
        if (found && layout->cities)
            kerb_dataset_add_cities(d, images, labels, &missing, &first);
        else if (found)
            kerb_dataset_add(d, images, labels, &missing, &first);
        if (found && !d->pairs->len)
            kerb_say("%s: no image is there (.jpg, .png, .bmp, .webp, .ppm and .tif are looked for).", images);
        else if (missing)
            kerb_say("%u of %u images have no label picture; the first is %s.", missing, d->pairs->len, first);
        else
            ok = found;
        g_string_append_printf(tried, "%s%s + %s", tried->len ? "; " : "", layout->images, layout->labels);
        g_free(images);
        g_free(labels);
    }
    if (!found && !kerb_is_folder(d->root)) kerb_say("%s is not a folder: ROOT is the folder of the data set.", d->root);
    else if (!found) kerb_say("%s does not hold %s: none of these pairs of folders is there: %s (SPLIT: --split, now %s).", d->root, kerb_dataset_names[d->kind], tried->str, split);
    g_string_free(tried, TRUE);
    g_free(first);
    return ok;
}

/* -------------------------------------------------------------------------------------------------------------- classes */

/* "ignore" of classes.json. */
static gboolean kerb_dataset_ignored(KerbDataset *d, const gchar *path)
{
    json_t *root = json_load_file(path, 0, NULL), *list = json_object_get(root, "ignore"), *value;
    gsize i;
    gboolean ok = !list || json_is_array(list);
    json_array_foreach(list, i, value)
    {
        ok = ok && json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 255;
        if (ok) d->is_void[json_integer_value(value)] = TRUE;
    }
    if (!ok) kerb_say("%s: \"ignore\" is a list of numbers 0 to 255 that label pictures use for what is not judged.", path);
    json_decref(root);
    return ok;
}

static gboolean kerb_dataset_own_classes(KerbDataset *d)
{
    KerbError error = { 0 };
    gchar *path = g_build_filename(d->root, "classes.json", NULL);
    gboolean ok = TRUE;
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        ok = kerb_classes_load(path, d->classes, &d->n, &error) == KERB_OK;
        if (!ok) kerb_say("%s", error.message);
        for (int i = 0; i < d->n; i++)
            if (d->classes[i].dataset_id < 0) d->classes[i].dataset_id = i;
        ok = ok && kerb_dataset_ignored(d, path);
    }
    g_free(path);
    return ok;
}

/* kerbtestsrc's, in the order of its labels (docs/elements.md). */
static const struct KerbTestClass {
    const char *name;
    guint8 rgb[3];
} kerb_test_classes[] = {
    { "sky", { 70, 130, 180 } },     { "building", { 70, 70, 70 } }, { "tree", { 107, 142, 35 } },      { "terrain", { 152, 251, 152 } },   { "pavement", { 244, 35, 232 } },
    { "road", { 128, 64, 128 } },    { "lane marking", { 255, 220, 0 } }, { "car", { 0, 0, 142 } }, { "pedestrian", { 220, 20, 60 } },
};

/* Not judged: CamVid's 11 ("void", SegNet's split); of Cityscapes all labelIds that cityscapesScripts marks ignoreInEval, which are those that the 19 classes
 * do not have, and 255 (licence plates, id -1); KITTI marks it by colour. 255 in any. */
static gboolean kerb_dataset_classes(KerbDataset *d)
{
    static const char *const palettes[] = { NULL, "camvid", "cityscapes", "road", NULL };
    KerbError error = { 0 };
    d->is_void[255] = TRUE;
    if (d->kind == KERB_DATASET_FOLDER) return kerb_dataset_own_classes(d);
    if (d->kind == KERB_DATASET_TEST) {
        d->n = (int)G_N_ELEMENTS(kerb_test_classes);
        for (int i = 0; i < d->n; i++) {
            d->classes[i] = (KerbClass){ .dataset_id = i };
            g_strlcpy(d->classes[i].name, kerb_test_classes[i].name, sizeof d->classes[i].name);
            memcpy(d->classes[i].rgb, kerb_test_classes[i].rgb, 3);
        }
        return TRUE;
    }
    if (kerb_classes_load(palettes[d->kind], d->classes, &d->n, &error) != KERB_OK) {
        kerb_say("%s", error.message);
        return FALSE;
    }
    if (d->kind == KERB_DATASET_CAMVID) d->is_void[11] = TRUE;
    if (d->kind == KERB_DATASET_CITYSCAPES) {
        for (int id = 0; id <= 33; id++) d->is_void[id] = TRUE;
        for (int i = 0; i < d->n; i++) d->is_void[d->classes[i].dataset_id] = FALSE;
    }
    return TRUE;
}

int kerb_dataset_open(KerbDataset *d, KerbDatasetKind kind, const gchar *root, const gchar *split)
{
    memset(d, 0, sizeof *d);
    d->kind = kind;
    d->root = g_strdup(root);
    d->pairs = g_ptr_array_new_with_free_func(kerb_pair_free);
    if ((kind == KERB_DATASET_TEST || kerb_dataset_find(d, split)) && kerb_dataset_classes(d)) return KERB_EXIT_OK;
    kerb_dataset_clear(d);
    return KERB_EXIT_ASSET;
}

void kerb_dataset_clear(KerbDataset *d)
{
    g_clear_pointer(&d->root, g_free);
    if (d->pairs) g_ptr_array_free(g_steal_pointer(&d->pairs), TRUE);
}

/* ---------------------------------------------------------------------------------------------------------------- truth */

/* KITTI's development kit: blue is road, red is judged. Its pictures are black, red and magenta. */
static void kerb_truth_kitti(const KerbMatch *match, const KerbLabelmap *map, guint8 *out)
{
    for (gsize i = 0; i < (gsize)map->width_px * (gsize)map->height_px; i++) {
        const guint8 *rgb = map->rgb + 3 * i;
        out[i] = (guint8)(rgb[0] ? match->of_class[rgb[2] ? 1 : 0] : KERB_VOID);
    }
}

/* Colours of the data set's classes; black is void where no class is black. -1: no such colour. */
static int kerb_truth_color(const KerbDataset *d, const KerbMatch *match, const guint8 rgb[3])
{
    for (int c = 0; c < d->n; c++)
        if (!memcmp(d->classes[c].rgb, rgb, 3)) return match->of_class[c];
    return rgb[0] || rgb[1] || rgb[2] ? -1 : KERB_VOID;
}

static gboolean kerb_truth_colored(const KerbDataset *d, const KerbMatch *match, const KerbPair *pair, const KerbLabelmap *map, guint8 *out)
{
    int last = KERB_VOID;
    const guint8 *last_rgb = NULL;
    for (gsize i = 0; i < (gsize)map->width_px * (gsize)map->height_px; i++) {
        const guint8 *rgb = map->rgb + 3 * i;
        if (!last_rgb || memcmp(rgb, last_rgb, 3)) last = kerb_truth_color(d, match, rgb);
        last_rgb = rgb;
        if (last < 0) {
            kerb_say("%s is a colour picture, and its colour %u %u %u at (%zu, %zu) is no class of the data set. Label pictures hold the numbers of classes, or "
                     "their colours%s.",
                     pair->labels, rgb[0], rgb[1], rgb[2], i % (gsize)map->width_px, i / (gsize)map->width_px,
                     d->kind == KERB_DATASET_FOLDER ? " as classes.json has them" : "");
            return FALSE;
        }
        out[i] = (guint8)last;
    }
    return TRUE;
}

static gboolean kerb_truth_valued(const KerbDataset *d, const KerbMatch *match, const KerbPair *pair, const KerbLabelmap *map, guint8 *out)
{
    for (gsize i = 0; i < (gsize)map->width_px * (gsize)map->height_px; i++) {
        int c = map->values[i] > 255 ? -1 : match->of_value[map->values[i]];
        if (c < 0) {
            kerb_say("%s: the value %u at (%zu, %zu) is neither a class of %s nor void.%s", pair->labels, map->values[i], i % (gsize)map->width_px,
                     i / (gsize)map->width_px, d->root,
                     d->kind == KERB_DATASET_FOLDER ? " classes.json in that folder says which numbers are which classes, and its \"ignore\" which are not judged."
                     : d->kind == KERB_DATASET_CITYSCAPES ? " Label pictures of Cityscapes hold labelIds (0 to 33)."
                                                          : "");
            return FALSE;
        }
        out[i] = (guint8)c;
    }
    return TRUE;
}

int kerb_dataset_truth(const KerbDataset *d, const KerbMatch *match, const KerbPair *pair, int width, int height, guint8 *out)
{
    KerbLabelmap map;
    gchar *why;
    gboolean ok = FALSE;
    if (!kerb_labelmap_read(&map, pair->labels, &why)) {
        kerb_say("%s cannot be read: %s.", pair->labels, why);
        g_free(why);
        return KERB_EXIT_ASSET;
    }
    if (map.width_px != width || map.height_px != height)
        kerb_say("%s has %d x %d pixels and its image, %s, %d x %d: they must be equal.", pair->labels, map.width_px, map.height_px, pair->image, width, height);
    else if (d->kind == KERB_DATASET_KITTI_ROAD && !map.colored)
        kerb_say("%s is grey: truth of KITTI's road benchmark is red where it is judged, with blue where there is road.", pair->labels);
    else if (d->kind == KERB_DATASET_KITTI_ROAD)
        kerb_truth_kitti(match, &map, out), ok = TRUE;
    else
        ok = map.colored ? kerb_truth_colored(d, match, pair, &map, out) : kerb_truth_valued(d, match, pair, &map, out);
    kerb_labelmap_clear(&map);
    return ok ? KERB_EXIT_OK : KERB_EXIT_ASSET;
}
