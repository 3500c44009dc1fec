/* SPDX-License-Identifier: MIT */
/* A contact sheet: one frame of a stream, its overlay, its mask, and what the colours mean, in one PNG.
 *
 * Enters: a kerbseg in a pipeline, of which it keeps a copy of the first frame, of one at a second, and of the one in the middle, each in place of the
 * one before. Leaves: a file. Needs no display. */
#ifndef KERB_APPS_SHEET_H
#define KERB_APPS_SHEET_H

#include "options.h"
#include "raster.h"
#include "source.h"

typedef struct KerbSheet KerbSheet;

/* A frame as RGB, at the panel's size. FALSE: it cannot be converted. */
gboolean kerb_sheet_scale_frame(const GstVideoInfo *info, GstBuffer *frame, KerbRaster *panel);

/* Before the pipeline starts. `source` and `options` must outlive it. */
KerbSheet *kerb_sheet_new(GstElement *kerbseg, KerbSource *source, const KerbOptions *options);

/* After it has stopped. FALSE, having said why. */
gboolean kerb_sheet_write(KerbSheet *sheet, const gchar *path);

void kerb_sheet_free(KerbSheet **sheet);

#endif
