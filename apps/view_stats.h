/* SPDX-License-Identifier: MIT */
/* The last frames' stage times and ages: kept, summed up, and drawn as a page with a graph. */
#ifndef KERB_APPS_VIEW_STATS_H
#define KERB_APPS_VIEW_STATS_H

#include "view_canvas.h"

#include <kerb.h>

#define KERB_VIEW_SAMPLES 300

typedef struct KerbViewSample {
    float queue_ms, in_ms, net_ms, out_ms, age_ms;
} KerbViewSample;

typedef struct KerbViewStats {
    KerbViewSample samples[KERB_VIEW_SAMPLES]; /* a ring */
    int n, at;                                 /* filled, and where the next one goes */
    gint64 shown;
    gdouble fps;                               /* on the screen, over the last half second */
    gint64 fps_since_us, fps_frames;
} KerbViewStats;

/* A frame was shown. times: NULL where it has no labels. */
void kerb_view_stats_add(KerbViewStats *stats, const KerbTimes *times, gdouble age_ms, gint64 now_us);
/* After a pause or a seek: the rate is measured anew. */
void kerb_view_stats_restart_rate(KerbViewStats *stats);
KerbViewSample kerb_view_stats_mean(const KerbViewStats *stats);
/* The age that this share (0..1) of the frames does not exceed, nearest rank. */
gdouble kerb_view_stats_age_ms(const KerbViewStats *stats, gdouble share);

/* Where the page ends at the right. */
int kerb_view_stats_end_px(const KerbViewCanvas *canvas);
/* The page: `lines` are texts "name\tvalue"; below them the graph. frame_ms: what one frame may take (0: not known), drawn as a line. */
void kerb_view_stats_draw(const KerbViewStats *stats, const KerbViewCanvas *canvas, const char *const *lines, gdouble frame_ms, int top_px);

#endif
