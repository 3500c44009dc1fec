/* SPDX-License-Identifier: MIT */
/* How far it is: a bar on a terminal, a plain line every two seconds elsewhere. On standard error. */
#ifndef KERB_APPS_PROGRESS_H
#define KERB_APPS_PROGRESS_H

#include <gst/gst.h>

typedef struct KerbProgress {
    gboolean quiet, terminal;
    gint64 began_us, said_us;
    gdouble began_done_s; /* media time at the first update */
    guint64 began_frames;
} KerbProgress;

void kerb_progress_init(KerbProgress *progress, gboolean quiet);

/* Shows it, unless it was shown a moment ago. total_s 0: not known. more: further figures, may be empty. */
void kerb_progress_update(KerbProgress *progress, guint64 frames, gdouble done_s, gdouble total_s, const gchar *more);

/* A KerbProgressFn, for networks that take long to compile: "compiling 12/57" and a bar once half a second has passed, a plain line every five
 * seconds elsewhere than on a terminal. One compilation at a time; `user` is not used. */
void kerb_progress_compiling(void *user, const char *what, int done, int total);
/* The same for a kerbseg in this pipeline. Before the pipeline starts; shows while gst_element_set_state() waits for the network. */
void kerb_progress_watch(GstElement *pipeline);

#endif
