/* SPDX-License-Identifier: MIT */
/* The writing end of a recording: a thread that puts together what belongs to one moment, and files.
 *
 * Enter, from any thread and in any order between streams: frames that will come, their encoded units, audio, events. Leave: Matroska files (matroska.h) with
 * names (reel.h) and facts (facts.h). It knows no encoder and no pipeline. */
#ifndef KERB_APPS_WRITER_H
#define KERB_APPS_WRITER_H

#include "encoders.h"
#include "facts.h"
#include "reel.h"
#include "recording.h"

typedef struct KerbWriterSettings {
    KerbRecordingLayout layout;
    gboolean from_zero, facts, painted;
    gdouble protect_s;
    GstClockTime split; /* at the first frame after so long that decoding can begin with; 0: never */
    gchar *title, *model, *card_text; /* for the tags; taken; NULL: not known */
} KerbWriterSettings;

/* A frame that was given to encoders: `expected` has bit n for stream n. raw: the packed labels, where there is no encoder. */
typedef struct KerbMoment {
    GstClockTime pts;
    guint expected;
    KerbFrameFacts facts;
    GBytes *raw;
} KerbMoment;

typedef struct KerbWriter KerbWriter;

KerbWriter *kerb_writer_new(const KerbWriterSettings *settings, const gchar *path, gboolean force, guint64 keep_bytes);
/* Before the first frame, and again with what came to be known: what the label values mean (KerbClass[]; NULL: not known), how long a frame is (0: not known), and which
 * streams will come (bit n: stream n; nothing is written before their caps are known, or they are over). */
void kerb_writer_prepare(KerbWriter *w, GBytes *classes, GstClockTime frame, guint streams);

/* What it points to is taken. */
void kerb_writer_frame(KerbWriter *w, const KerbMoment *frame);
/* unit is taken; caps NULL: the stream is over. Waits while the disk is far behind. */
void kerb_writer_unit(KerbWriter *w, KerbStream stream, GstCaps *caps, GstBuffer *unit, GstClockTime pts);
void kerb_writer_event(KerbWriter *w, const gchar *name);
/* Nothing more comes from the encoders. */
void kerb_writer_fail(KerbWriter *w, int exit_code, const gchar *why);
/* No more frames. */
void kerb_writer_end(KerbWriter *w);

gboolean kerb_writer_ended(KerbWriter *w);
/* What the writer knows of them; the rest is 0. */
void kerb_writer_get_stats(KerbWriter *w, KerbRecordingStats *stats);
gchar *kerb_writer_why(KerbWriter *w);
gchar *kerb_writer_name(KerbWriter *w);
void kerb_writer_abandon(KerbWriter *w);
/* Waits for the end of the thread. Again: nothing. */
void kerb_writer_join(KerbWriter *w);
/* After that, and when nobody calls any more. */
void kerb_writer_free(KerbWriter **w);

#endif
