/* SPDX-License-Identifier: MIT */
/* The recording that the key `r` starts: what runs through kerbseg goes, painted, into a file beside the view (recording.h), so that a full disk or a missing
 * encoder ends the recording and not the view.
 *
 * Enters: frames from the streaming thread, in order. Leaves: a Matroska file. Time goes on without a gap where the viewer seeks or pauses a file; gaps of
 * a live source stay. A live source never waits: where the encoder is too slow frames are left out, counted and shown; a file waits. */
#ifndef KERB_APPS_VIEW_RECORD_H
#define KERB_APPS_VIEW_RECORD_H

#include "fault.h"
#include "options.h"

#include <kerb.h>

typedef struct KerbViewRecord KerbViewRecord;

typedef struct KerbViewRecordState {
    gdouble seconds;       /* recorded so far */
    guint64 frames, lost;  /* given to the encoder; left out because it was too slow */
    gdouble fps;           /* of the encoder, over the last second */
} KerbViewRecordState;

typedef enum KerbViewRecordPoll { KERB_VIEW_RECORD_RUNS, KERB_VIEW_RECORD_DONE, KERB_VIEW_RECORD_FAILED } KerbViewRecordPoll;

/* NULL, having said why; *exit_code is set then. source: where the frames come from; it outlives the recording. */
KerbViewRecord *kerb_view_record_new(const gchar *path, KerbSource *source, const KerbOptions *options, int *exit_code);
/* How the next frames are painted. */
void kerb_view_record_display(KerbViewRecord *record, const KerbDisplay *display, const KerbClass *classes, int n_classes);
/* A frame, or NULL: what follows does not follow from what was. Streaming thread; KerbViewTapFn. */
void kerb_view_record_frame(KerbViewRecord *record, GstBuffer *buffer, GstPad *pad);
/* No more frames; the file is finished in the background, poll says when. */
void kerb_view_record_finish(KerbViewRecord *record);
/* FAILED: *why is what to tell the user; g_free() it. */
KerbViewRecordPoll kerb_view_record_poll(KerbViewRecord *record, gchar **why);
KerbViewRecordState kerb_view_record_state(KerbViewRecord *record);
const gchar *kerb_view_record_path(const KerbViewRecord *record);
/* At once; finish and poll until DONE before, if the file shall have its index. Returns whether there is a file. With no frames on their way in. */
gboolean kerb_view_record_free(KerbViewRecord **record);

#endif
