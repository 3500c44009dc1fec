/* SPDX-License-Identifier: MIT */
/* How far it is: a bar on a terminal, a plain line every two seconds elsewhere. On standard error. */
#ifndef KERB_APPS_PROGRESS_H
#define KERB_APPS_PROGRESS_H

#include <glib.h>

typedef struct KerbProgress {
    gboolean quiet, terminal;
    gint64 began_us, said_us;
    gdouble began_done_s; /* media time at the first update */
    guint64 began_frames;
} KerbProgress;

void kerb_progress_init(KerbProgress *progress, gboolean quiet);

/* Shows it, unless it was shown a moment ago. total_s 0: not known. more: further figures, may be empty. */
void kerb_progress_update(KerbProgress *progress, guint64 frames, gdouble done_s, gdouble total_s, const gchar *more);

#endif
