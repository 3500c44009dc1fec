/* SPDX-License-Identifier: MIT */
/* How good a segmentation is: measures over class maps, each with its source. Plain numbers: no files, no pipeline, no messages.
 *
 * A class map has one byte a pixel, no padding between rows: 0..n-1, the class. In the truth, values from n on are void: the pixel is not judged. In a
 * prediction, values from n on are "none of them": wrong wherever the truth knows better. A measure that has nothing to stand on (a class that neither
 * map knows) is NAN and stays out of means.
 *
 * Sources:
 *   confusion matrix, pixel accuracy, mean accuracy, mean IoU, frequency-weighted IoU: Long, Shelhamer, Darrell, Fully Convolutional Networks for Semantic
 *     Segmentation, CVPR 2015, section 5; IoU is Everingham et al., The Pascal VOC Challenge, IJCV 2010. Void and classes without pixels: as
 *     cityscapesScripts 2.3 (evalPixelLevelSemanticLabeling.py) has it.
 *   boundary F1: Csurka, Larlus, Perronnin, What is a good evaluation measure for semantic segmentation?, BMVC 2013.
 *   MaxF, AP: Fritsch, Kuehnl, Geiger, A New Performance Measure and Evaluation Benchmark for Road Detection Algorithms, ITSC 2013, in perspective (the
 *     benchmark itself ranks in bird's eye view).
 *   soft Dice: Milletari, Navab, Ahmadi, V-Net, 3DV 2016, without the squares. */
#ifndef KERB_APPS_METRICS_H
#define KERB_APPS_METRICS_H

#include <glib.h>
#include <kerb.h>

#define KERB_VOID 255 /* in a truth map: not judged; in a prediction: none of the classes */

/* ------------------------------------------------------------------------------------------------------------ confusion */

/* counts[t * (n + 1) + p]: pixels of the true class t that were called p; p = n: none of the classes. */
typedef struct KerbConfusion {
    int n;
    guint64 *counts;
} KerbConfusion;

void kerb_confusion_init(KerbConfusion *confusion, int n);
void kerb_confusion_clear(KerbConfusion *confusion);
void kerb_confusion_reset(KerbConfusion *confusion); /* all 0 again */
void kerb_confusion_add(KerbConfusion *confusion, const guint8 *truth, const guint8 *prediction, gsize pixels);
void kerb_confusion_merge(KerbConfusion *into, const KerbConfusion *from); /* equal n */

/* All 0..1, or NAN. With t(i) = pixels of class i in the truth, p(i) = judged pixels called i, c(i) = of both:
 * accuracy(i) = c / t; iou(i) = c / (t + p - c); pixel_accuracy = sum c / sum t; mean_accuracy, miou: means over the classes that have one;
 * frequency_weighted_iou = sum over i of t(i) / sum t * iou(i). */
typedef struct KerbScores {
    gdouble miou, pixel_accuracy, mean_accuracy, frequency_weighted_iou;
    gdouble iou[KERB_MAX_CLASSES], accuracy[KERB_MAX_CLASSES], precision[KERB_MAX_CLASSES];
    guint64 pixels[KERB_MAX_CLASSES]; /* in the truth */
    guint64 judged;
} KerbScores;

void kerb_scores_of(const KerbConfusion *confusion, KerbScores *scores);

/* ------------------------------------------------------------------------------------------------------------- boundary */

/* Sums over frames of the F1 of each class; a frame counts for a class where the truth or the prediction has a boundary of it. */
typedef struct KerbBoundary {
    gdouble sum[KERB_MAX_CLASSES];
    guint64 frames[KERB_MAX_CLASSES];
    gdouble frame_sum; /* of the frames' own means over their classes */
    guint64 frame_count;
} KerbBoundary;

/* The boundary of class c: the pixels of c with one of the four neighbours in another class; void pixels are no neighbours, in either map, so the rim of
 * what is not judged is no boundary. Precision: the share of the prediction's boundary that lies nearer than the tolerance to the truth's; recall: the other
 * way round; F1 = 2 P R / (P + R). The tolerance is 0.75 % of the image's diagonal, distances are Euclidean between pixel centres. */
#define KERB_BOUNDARY_TOLERANCE 0.0075
void kerb_boundary_add(KerbBoundary *boundary, const guint8 *truth, const guint8 *prediction, int width, int height, int n);
/* Mean over frames of the mean over the frame's classes, as the paper has it; NAN before the first. */
gdouble kerb_boundary_mean(const KerbBoundary *boundary);
gdouble kerb_boundary_class(const KerbBoundary *boundary, int c);

/* -------------------------------------------------------------------------------------------------------------- flicker */

/* Labels that change for no reason: of the pixels whose labels should be the same in two successive frames, the share where they are not (docs/kerb.md). */
typedef struct KerbFlicker {
    guint64 steady, changed; /* pixels */
} KerbFlicker;

/* Labelled: pixels that both truths judge, and alike. */
void kerb_flicker_add_labelled(KerbFlicker *flicker, const guint8 *truth_before, const guint8 *truth, const guint8 *before, const guint8 *prediction, gsize pixels);
/* Unlabelled: `expected` is what the labels before become if they move with the picture (or, without motion, the labels before). KERB_LABEL_NONE in either: not
 * counted. */
void kerb_flicker_add(KerbFlicker *flicker, const guint8 *expected, const guint8 *labels, gsize pixels);
gdouble kerb_flicker_share(const KerbFlicker *flicker);

/* ------------------------------------------------------------------------------------------------------ by probability */

/* For two classes only: the probability of one is all there is to know. counts by round(255 p). */
typedef struct KerbCurve {
    guint64 positive[256], negative[256];
} KerbCurve;

/* probability: of class `positive`, 0..255, for each pixel. */
void kerb_curve_add(KerbCurve *curve, const guint8 *truth, const guint8 *probability, gsize pixels, int positive);

/* Thresholds k / 255, k = 0..255; positive is p >= threshold. Each 0..1, NAN where there is no positive pixel.
 * max_f: greatest 2 P R / (P + R); precision, recall, threshold: there. ap: mean, over recalls of 0, 0.1 .. 1, of the greatest precision at that recall or
 * more (Pascal VOC's 11 points, as KITTI's kit). soft_dice: 2 sum(p g) / (sum p + sum g) of the positive class. */
typedef struct KerbCurveScores {
    gdouble max_f, ap, precision, recall, threshold, soft_dice;
} KerbCurveScores;

void kerb_curve_scores(const KerbCurve *curve, KerbCurveScores *scores);

#endif
