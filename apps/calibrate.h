/* SPDX-License-Identifier: MIT */
/* The parts of `kerb calibrate`: calibrate.c has the command line and the frames, calibrate_report.c what is said about it all,
 * calibrate_chart.c the same as a picture. */
#ifndef KERB_APPS_CALIBRATE_H
#define KERB_APPS_CALIBRATE_H

#include "options.h"

#include "calib/calibrate.h"
#include <jansson.h>

/* Both models on labelled frames; miou -1: was not asked for. */
typedef struct KerbCalibrateLabelled {
    gdouble miou_float, miou_int8;
    guint64 frames;
} KerbCalibrateLabelled;

/* A new object with everything that is known. */
json_t *kerb_calibrate_report(const KerbCalibration *result, const gchar *model, const gchar *output, const KerbCalibrateLabelled *labelled);
/* The main of it as lines for people; g_free() it. */
gchar *kerb_calibrate_summary(const KerbCalibration *result, const gchar *output, const KerbCalibrateLabelled *labelled);
/* The same, and the layers in float, on standard output. */
void kerb_calibrate_print(const KerbCalibration *result, const gchar *output, const KerbCalibrateLabelled *labelled);
/* A PNG: the figures, and a bar a layer. FALSE, having said why. */
gboolean kerb_calibrate_chart(const KerbCalibration *result, const gchar *output, const KerbCalibrateLabelled *labelled, const gchar *path);
/* .json or .html. FALSE, having said why. */
gboolean kerb_calibrate_write_report(const gchar *path, const json_t *report, const KerbCalibration *result);

#endif
