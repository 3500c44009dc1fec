/* SPDX-License-Identifier: MIT */
/* What `kerb record` works on, for its own files: record.c runs it, record_report.c says how it goes, record_keys.c listens to the terminal. */
#ifndef KERB_APPS_RECORD_H
#define KERB_APPS_RECORD_H

#include "fault.h"
#include "options.h"
#include "progress.h"
#include "recording.h"
#include "sheet.h"
#include "source.h"

typedef struct KerbRecord {
    KerbOptions options;
    gchar *output, *sheet, *labels_out, *encoder, *label_encoder, *video, *title;
    gdouble duration, split_minutes, keep_gb, protect_s;
    gboolean audio, force, no_labels, no_facts, confidence, json_progress;

    GMainLoop *loop;
    GstElement *pipeline, *kerbseg;
    KerbSource *source;
    KerbRecording *recording, *labels; /* labels: NULL without --labels-out */
    KerbRecordingStats stats;          /* when all is over */
    gchar *codec, *name;
    gdouble cut_s; /* by which the source ended early */
    KerbSheet *sheet_taker;
    KerbProgress progress;
    KerbFault fault;
    gint64 began_us, first_us; /* when it was started, and when the first frame came */
    gint signals;
    gboolean ended, audio_found; /* EOS has come through */
    gint64 reported_us;          /* --json-progress */
} KerbRecord;

/* Frames of the source that no decoder gave. */
guint64 kerb_record_lost(KerbRecord *r, const KerbSourceCounts *counts);
/* What is missing or mended in the recording, in words; NULL: nothing. g_free() it. */
gchar *kerb_record_losses(KerbRecord *r, const KerbSourceCounts *counts);
/* A line of progress, on standard error and with --json-progress on standard output. */
void kerb_record_progress(KerbRecord *r);
void kerb_record_summary(KerbRecord *r, const GstStructure *stats, gdouble elapsed_s);
void kerb_record_json(KerbRecord *r, const GstStructure *stats, const KerbSourceCounts *counts, gdouble elapsed_s, const gchar *losses, int exit_code);

/* Calls `pressed` for each key on the terminal, if there is one that is ours. Main thread. */
void kerb_record_keys_open(void (*pressed)(gpointer user, char key), gpointer user);
/* The terminal is as it was. Any thread. */
void kerb_record_keys_close(void);

#endif
