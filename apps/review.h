/* SPDX-License-Identifier: MIT */
/* `kerb review`: what is read from a recorded drive, and what becomes of it.
 *
 *   Matroska files --review_read.c--> KerbReviewDrive --review_data.c--> JSON --review_page.c--> one HTML page
 *
 * Times are seconds. Within a part they count from its first frame, in the page from the start of the drive: parts follow each other. */
#ifndef KERB_APPS_REVIEW_H
#define KERB_APPS_REVIEW_H

#include <gst/gst.h>
#include <jansson.h>
#include <kerb.h>

/* Label frames are summed up in steps of so many seconds; the page's own step is a multiple. */
#define KERB_REVIEW_STEP_S 0.1

/* ------------------------------------------------------------------------------------------------------- the facts' track */

typedef struct KerbReviewShare {
    gchar *name;
    gdouble percent;
} KerbReviewShare;

/* One cue of the subtitle track: what the recorder says of a second. NAN: it does not say. */
typedef struct KerbReviewFacts {
    gdouble t_s, length_s;
    gdouble said_s; /* "t=12": the second it speaks of, by the file's clock; the cue itself is shown when that is over */
    gdouble fps, encode_fps, age_p50_ms, age_max_ms, gap_ms;
    GArray *shares; /* of KerbReviewShare */
    gchar *event;   /* NULL: none */
} KerbReviewFacts;

/* Reads a cue: `key=value` words between spaces. FALSE where not one of them is a fact: a subtitle of somebody else's. */
gboolean kerb_review_facts_parse(KerbReviewFacts *facts, const gchar *text, gsize bytes);
void kerb_review_facts_clear(KerbReviewFacts *facts);

/* A class name as it stands in the facts: all but [A-Za-z0-9_-] is '_'. g_free() it. */
gchar *kerb_review_facts_name(const gchar *name);

/* ------------------------------------------------------------------------------------------------------- the label track */

/* Sums over the label frames of one step. */
typedef struct KerbReviewBin {
    guint32 frames, compared; /* frames; and those that had one before them to be compared with */
    guint64 pixels, ahead;    /* of all frames; and of their region ahead (see kerb_review_ahead) */
    gdouble flicker;          /* sum of the shares of changed pixels, over `compared` */
} KerbReviewBin;

typedef struct KerbReviewLabels {
    GArray *bins;          /* of KerbReviewBin; bin n begins at n * KERB_REVIEW_STEP_S */
    GArray *counts[256];   /* of guint64, by label, then by bin: pixels; NULL: the label never came */
    GArray *ahead[256];    /* the same of the region ahead */
    GstBuffer *last;       /* the frame before */
    gdouble last_s;
    gint width, height, stride;
    guint64 frames;
} KerbReviewLabels;

/* The region ahead, where free road is looked for: the middle third of the lowest third. */
typedef struct KerbReviewRegion {
    gint left, right, top, bottom; /* right and bottom are outside */
} KerbReviewRegion;
KerbReviewRegion kerb_review_ahead(gint width, gint height);

/* Adds a frame of labels, a byte a pixel. FALSE: the buffer is too short. */
gboolean kerb_review_labels_add(KerbReviewLabels *labels, GstBuffer *buffer, gint width, gint height, gint stride, gdouble t_s);
void kerb_review_labels_clear(KerbReviewLabels *labels);

/* --------------------------------------------------------------------------------------------------------------- a drive */

typedef struct KerbReviewThumb {
    gdouble t_s;
    GBytes *jpeg;
} KerbReviewThumb;

typedef struct KerbReviewGap {
    gdouble t_s, length_s;
} KerbReviewGap;

/* One file. */
typedef struct KerbReviewPart {
    gchar *path;
    gdouble start_s, length_s; /* start: in the drive */
    gint width, height;
    guint64 frames;            /* pictures */
    const gchar *codec;        /* "H.264"; NULL: no picture track */
    const gchar *mime;         /* "video/mp4"; NULL: no browser plays it */
    gchar *video;              /* a file that browsers play; NULL: none */
    guint64 video_bytes;
    GArray *facts, *gaps, *thumbs; /* of KerbReviewFacts, KerbReviewGap, KerbReviewThumb */
    KerbReviewLabels labels;
    gchar *title, *date, *model; /* of the tags; NULL: not there */
    json_t *classes;           /* of the tags: a list by label of objects with name and color (or rgb); NULL: not there */
    gchar *cut;                /* why the rest of the file could not be read; NULL: it could */
} KerbReviewPart;

typedef struct KerbReviewDrive {
    gchar *name;               /* for people */
    GPtrArray *parts;          /* of KerbReviewPart */
    KerbClass classes[KERB_MAX_CLASSES]; /* by label, from --labels; else from the tags */
    int n_classes;             /* 0: nobody says */
    gchar **road;              /* names of the classes that are free road; NULL: the usual ones */
} KerbReviewDrive;

void kerb_review_part_free(KerbReviewPart *part);

/* review_read.c: reads one file. `video` is where a file for browsers may be written (taken away again where there is none). NULL, having said why;
 * *exit_code is set then. tick is called about ten times a second with the seconds read and those there are (0: not known); FALSE stops. */
typedef gboolean (*KerbReviewTick)(gpointer user, guint64 frames, gdouble done_s, gdouble total_s);
KerbReviewPart *kerb_review_read(const gchar *path, const gchar *video, KerbReviewTick tick, gpointer user, int *exit_code);

/* review_data.c: the classes that the tags name, into drive->classes, where --labels has not said them. */
void kerb_review_take_classes(KerbReviewDrive *drive);
/* The data block of the page, but for the videos. */
json_t *kerb_review_data(const KerbReviewDrive *drive);

/* review_page.c: writes the page. embed[n]: the video of part n goes into the page; else it is linked as links[n] (NULL: no video).
 * Returns an exit code, having said what is wrong. */
int kerb_review_page_write(const gchar *path, const KerbReviewDrive *drive, json_t *data, gboolean embed, gchar *const *links);

#endif
