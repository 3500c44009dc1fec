/* SPDX-License-Identifier: MIT */
/* A data set: frames, the label picture of each, what its numbers mean, and how they and a model's classes come together.
 *
 * Enters: a folder in one of the layouts of docs/kerb.md, the classes of a model, perhaps a map file. Leaves: pairs of files in natural order, and truth as
 * class maps (metrics.h). Decodes no frame and runs no model. */
#ifndef KERB_APPS_DATASET_H
#define KERB_APPS_DATASET_H

#include <glib.h>
#include <kerb.h>

typedef enum KerbDatasetKind { KERB_DATASET_FOLDER, KERB_DATASET_CAMVID, KERB_DATASET_CITYSCAPES, KERB_DATASET_KITTI_ROAD, KERB_DATASET_TEST } KerbDatasetKind;

/* "folder", "camvid", "cityscapes", "kitti-road", "test", NULL: by kind. */
extern const char *const kerb_dataset_names[];

typedef struct KerbPair {
    gchar *image, *labels;
    gchar *name; /* the image's, without folder and suffix */
} KerbPair;

typedef struct KerbDataset {
    KerbDatasetKind kind;
    gchar *root;
    GPtrArray *pairs; /* of KerbPair; empty for TEST */
    int n;
    KerbClass classes[KERB_MAX_CLASSES]; /* dataset_id: the number in the label files. n = 0: they are the model's (FOLDER without classes.json) */
    gboolean is_void[256];               /* numbers that are not judged */
} KerbDataset;

/* Finds the files. split: "val" and the like, where the layout has splits. Returns an exit code; not 0: why was said, and there is nothing to clear. */
int kerb_dataset_open(KerbDataset *dataset, KerbDatasetKind kind, const gchar *root, const gchar *split);
void kerb_dataset_clear(KerbDataset *dataset);

/* How classes come together. The judged classes are the data set's, less those that the map file ignores or merges. */
typedef struct KerbMatch {
    int n;
    KerbClass classes[KERB_MAX_CLASSES]; /* judged: name, colour, dataset_id (the number to write) */
    gboolean known[KERB_MAX_CLASSES];    /* whether any class of the model means it */
    guint8 of_label[256];                /* label index of the model -> judged class; KERB_VOID: none of them */
    gint16 of_value[256];                /* number in a label file -> judged class or KERB_VOID; -1: no such number */
    gint16 of_class[KERB_MAX_CLASSES];   /* class of the data set -> the same */
    int road;                            /* KITTI: the judged class that is road */
    int binary;                          /* the model knows two classes and both are judged: the second of them; else -1 */
} KerbMatch;

/* By name (spelling variants and a few synonyms), by data-set id where no name fits, by order where the model's names are invented; a map file (NULL: none)
 * overrides. Where one side has a background, it takes what the other side knows and it does not. A data set without classes gets the model's. Returns an exit
 * code, having said why. */
int kerb_match_make(KerbMatch *match, KerbDataset *dataset, const KerbClass *model, int n_model, const gchar *map_file, gboolean quiet);

/* The truth of a pair as a class map of width * height bytes. Returns an exit code, having said why: labels of another size, values that do not exist, files
 * that cannot be read. */
int kerb_dataset_truth(const KerbDataset *dataset, const KerbMatch *match, const KerbPair *pair, int width, int height, guint8 *out);

#endif
