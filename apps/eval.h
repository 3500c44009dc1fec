/* SPDX-License-Identifier: MIT */
/* The parts of `kerb eval`: a pass sends frames through kerbseg in a pipeline and measures what comes out, frame by frame; the report writes it down.
 *
 *   eval.c          command line, passes
 *   eval_pass.c     the pipeline of one pass
 *   eval_measure.c  one frame against its truth, and against the frame before
 *   eval_worst.c    the frames that are remembered, and the sheet of them
 *   eval_report.c   text and JSON */
#ifndef KERB_APPS_EVAL_H
#define KERB_APPS_EVAL_H

#include "dataset.h"
#include "metrics.h"
#include "options.h"
#include "raster.h"

#include <gst/video/video.h>
#include <jansson.h>
#include <kerbmeta.h>

/* What the command line asks for. Strings are owned by it. */
typedef struct KerbEvalWish {
    gchar *dataset, *split, *map, *sheet, *save;
    gint mask_age;        /* 0: not asked for */
    gint interval;        /* between inferences, in frames */
    gint64 frames;        /* 0: all (test: 250) */
    gboolean flicker, baseline;
    KerbDatasetKind kind; /* of `dataset` */
    gboolean labelled;    /* there is a data set: otherwise ROOT is a SOURCE, for flicker alone */
    const gchar *root;
} KerbEvalWish;

#define KERB_WORST 6
#define KERB_SHOT_PX 384 /* width of a panel */

/* A frame that is remembered: panels of equal size. */
typedef struct KerbEvalShot {
    gchar *name; /* NULL: this place is free */
    guint64 index;
    gdouble miou, pixel_accuracy;
    KerbRaster frame, prediction, truth, error;
} KerbEvalShot;

/* One frame as it came out of kerbseg. Borrowed. */
typedef struct KerbEvalFrame {
    guint64 index;
    const KerbPair *pair;   /* NULL: its truth comes with it, or there is none */
    const gchar *name;
    GstBuffer *buffer;
    const GstVideoInfo *info;
    const guint8 *labels;   /* of the labels pad */
    gint stride;
    const guint8 *truth;    /* numbers, of kerbtestsrc's labels pad; NULL: none came with it */
    gint truth_stride;
    KerbSegMeta *meta;
} KerbEvalFrame;

/* Everything that a pass has found, and what it needs to find it. */
typedef struct KerbEval {
    const KerbOptions *options;
    const KerbEvalWish *wish;
    KerbDataset *dataset; /* NULL: unlabelled */
    gboolean plain;       /* the pass to compare with: every-frame, no smoothing */
    KerbMatch match;      /* from the first frame on */
    gboolean matched;

    guint64 frames, errored, without_mask;
    gchar backend[64];
    gint network_width, network_height;
    KerbConfusion total, one; /* of all frames; of the one at hand */
    KerbBoundary boundary;
    KerbCurve curve;          /* of the second class, where there are two; for KITTI, of road */
    gboolean has_curve, curve_is_exact;
    GArray *ages_ms;          /* of gdouble: of each mask */

    /* From frame to frame; all of width * height bytes. Reset where the size changes. */
    gint width, height;
    guint8 *labels, *prediction, *truth, *scratch, *moved;
    guint8 *labels_before, *prediction_before, *truth_before;
    gboolean has_before;
    GstClockTime pts_before;
    KerbCarrier *carrier;
    KerbFlicker labelled, carried, changed; /* by truth; against labels moved along; against labels as they were */
    guint64 pairs;                          /* of frames */
    GQueue held;                            /* of KerbHeld: the latest mask_age masks, oldest first */
    KerbConfusion age_own, age_held, age_carried;
    guint64 age_lost;                       /* frames whose mask could not be carried: the mask is used as it is */

    KerbEvalShot worst[KERB_WORST];
} KerbEval;

void kerb_eval_init(KerbEval *e, const KerbOptions *options, const KerbEvalWish *wish, KerbDataset *dataset, gboolean plain);
void kerb_eval_clear(KerbEval *e);

/* Runs the pipeline. Returns an exit code, having said why. */
int kerb_eval_pass(KerbEval *e);

/* Measures a frame. Returns an exit code, having said why. */
int kerb_eval_measure(KerbEval *e, const KerbEvalFrame *frame);
/* The classes are known from the first frame's metadata on. */
int kerb_eval_match(KerbEval *e, const KerbSegMeta *meta);

/* Remembers the frame if it is among the worst. prediction and truth are class maps. */
void kerb_eval_remember(KerbEval *e, const KerbEvalFrame *frame, const KerbScores *scores);
void kerb_eval_shot_clear(KerbEvalShot *shot);
/* .png, or else HTML. FALSE, having said why. `report` is what --json would say. */
gboolean kerb_eval_sheet(const KerbEval *e, const gchar *path, const json_t *report);

/* baseline: NULL, or the pass to compare with. A new object. */
json_t *kerb_eval_report(const KerbEval *e, const KerbEval *baseline);
void kerb_eval_print(const json_t *report);

#endif
