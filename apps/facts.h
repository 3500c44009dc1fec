/* SPDX-License-Identifier: MIT */
/* What a second of a recording was like, as a line of text: enters what is known of each frame, leaves "t=12 fps=30.0 age_p50_ms=33 ... road=41.2%". */
#ifndef KERB_APPS_FACTS_H
#define KERB_APPS_FACTS_H

#include <gst/gst.h>
#include <kerb.h>

/* Of one frame. */
typedef struct KerbFrameFacts {
    GstClockTimeDiff age;  /* of the labels */
    GstClockTime gap;      /* time before this frame in which others should have come */
    guint left_out;        /* frames before this one that the encoder had no time for */
    guint32 *pixels;       /* of each label, 256 of them; NULL: not counted in this frame */
} KerbFrameFacts;

typedef struct KerbFacts {
    GArray *ages_ms;     /* of gint64 */
    guint64 pixels[256];
    guint frames, left_out;
    GstClockTime gap;
    GString *events;     /* " event=key" each */
    gint64 since_us;     /* monotonic; when the last line was written */
    guint64 since_encoded;
} KerbFacts;

void kerb_facts_init(KerbFacts *facts);
void kerb_facts_clear(KerbFacts *facts);

/* Counts the labels of a frame's KerbSegMeta; g_free() it. NULL: there is none. */
guint32 *kerb_facts_count(GstBuffer *buffer);

void kerb_facts_add(KerbFacts *facts, const KerbFrameFacts *frame);
void kerb_facts_event(KerbFacts *facts, const gchar *name);
/* The line, and on to the next second. encoded: frames that the encoder has given so far. NULL: nothing happened. g_free() it. */
gchar *kerb_facts_line(KerbFacts *facts, guint64 second, guint64 encoded, const KerbClass *classes, int n_classes);

#endif
