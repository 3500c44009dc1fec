/* SPDX-License-Identifier: MIT */
/* A recording: frames with their KerbSegMeta go in, Matroska files come out, for `kerb record` and the viewer's key `r`.
 *
 *     settings = (KerbRecordingSettings){ .path = "drive.mkv", .live = TRUE, .labels = TRUE, .facts = TRUE };
 *     r = kerb_recording_start(&settings, &exit_code);     NULL: it was said why
 *     kerb_recording_push(r, buffer, caps, running_time);  each frame that kerbseg has let go; FALSE: it has ended, by itself
 *     kerb_recording_free(&r);                             finishes the file
 *
 * It runs in threads of its own, beside the pipeline that the frames come from: where the disk is full or an encoder fails, the recording ends with a
 * file that can be played, kerb_recording_why() says why, and everything else goes on. What a file holds, and how files follow each other: docs/live.md. */
#ifndef KERB_APPS_RECORDING_H
#define KERB_APPS_RECORDING_H

#include <gst/gst.h>

typedef enum KerbRecordingLayout {
    KERB_RECORDING_MOVIE,  /* picture, labels, facts... in Matroska */
    KERB_RECORDING_LABELS, /* the label maps alone, in Matroska */
    KERB_RECORDING_RAW,    /* the label maps alone, a byte a pixel and nothing else */
} KerbRecordingLayout;

/* Zero is the default of everything but `path`. Strings are copied. */
typedef struct KerbRecordingSettings {
    const gchar *path;
    KerbRecordingLayout layout;
    gboolean force;               /* an older file may be replaced; never with split_s, where numbers go on */
    gboolean live;                /* frames come at their own time: the first one is at 0, none waits, and what the encoder cannot take is left out, counted and said */
    gboolean labels, confidence, facts; /* tracks of a movie beside the picture */
    gboolean clean;               /* frames come without overlay: the track is named so */
    GstElement *painter;          /* taken; what frames go through before the picture's encoder (a kerboverlay). NULL: nothing */
    const gchar *encoder;         /* "x264enc"; NULL: the best that is there */
    const gchar *label_encoder;   /* "ffv1", "zlib"; NULL: the best that is there */
    gdouble split_s;              /* a new file every so many seconds; 0: one file */
    gdouble keep_gb;              /* with split_s: files of this and former runs beyond so much are deleted, oldest first; 0: all are kept */
    gdouble protect_s;            /* an event also protects the files of so many seconds before and after it */
    const gchar *title, *model, *card; /* for the tags; model and card are file names */
} KerbRecordingSettings;

typedef struct KerbRecordingStats {
    guint64 frames;     /* pushed */
    guint64 inferred;   /* of those: with labels that the frame before did not have */
    guint64 encoded;    /* came out of the encoder */
    guint64 written;    /* are in the file */
    guint64 left_out;   /* live: came while the encoder was too far behind */
    guint64 unencoded;  /* the encoder took them and gave nothing back */
    guint waiting;      /* frames before the encoder */
    guint files;        /* begun */
    guint events;
    guint64 bytes;      /* of all files of this run */
    gdouble seconds;    /* written, of all files of this run */
    gdouble inference_fps, encode_fps; /* over the last second or two */
    guint64 gaps_ms;    /* live: time in which no frame came */
    gboolean ended;     /* the last file is finished, or could not be */
    int exit_code;      /* of what ended it: 0, 5 (storage), 7 (no encoder...) */
} KerbRecordingStats;

typedef struct KerbRecording KerbRecording;

/* Checks that the file can be made. Returns an exit code: 0, or having said why. source: a path that it must not be (NULL: any). */
int kerb_recording_check(const KerbRecordingSettings *settings, const gchar *source);

/* NULL, having said why; *exit_code is set then. Nothing is in the folder before the first frame is encoded. */
KerbRecording *kerb_recording_start(const KerbRecordingSettings *settings, int *exit_code);

/* A frame, in order of time; one thread. pts: nanoseconds, running time. The buffer stays the caller's. Waits where the recording is not live and the encoder is behind.
 * FALSE: the recording has ended by itself and takes nothing any more. */
gboolean kerb_recording_push(KerbRecording *recording, GstBuffer *buffer, GstCaps *caps, GstClockTime pts);

/* Links audio of these caps, in the caller's pipeline: as it is where Matroska can hold it. Streaming thread, before data flows. FALSE: it cannot be. */
gboolean kerb_recording_add_audio(KerbRecording *recording, GstBin *pipeline, GstPad *pad);

/* Something happened now: the file and its neighbours within protect_s are never deleted, and the facts name it. name: letters, digits, - and _. Any thread. */
void kerb_recording_event(KerbRecording *recording, const gchar *name);

void kerb_recording_get_stats(KerbRecording *recording, KerbRecordingStats *stats);
/* What to tell the user of an end that was not asked for; NULL: there is nothing to tell. "H.264 (x264enc)"; NULL: nothing was encoded yet. Name of the file
 * that is written, or of the last one. g_free() them. */
gchar *kerb_recording_why(KerbRecording *recording);
gchar *kerb_recording_codec(KerbRecording *recording);
gchar *kerb_recording_name(KerbRecording *recording);

/* No more frames come: what was pushed is encoded and written, then stats.ended is set. Does not wait. */
void kerb_recording_end(KerbRecording *recording);
/* For ends that cannot wait: nothing half-made stays beside the recording. Any thread. */
void kerb_recording_abandon(KerbRecording *recording);
/* Ends, and waits as long as the disk takes. When no frame is on its way in. What became of it can be asked for after that. Returns the exit code. */
int kerb_recording_stop(KerbRecording *recording);
/* Stops it, if it was not. */
void kerb_recording_free(KerbRecording **recording);

#endif
