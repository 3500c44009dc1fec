/* SPDX-License-Identifier: MIT */
/* A file that a recording goes into: encoder, Matroska, and a file that has its name only once there is something in it.
 *
 * Until its first bytes are there a recording is called .NAME.XXXXXX beside its place; then it takes the place in one step. So a source that cannot be
 * read leaves neither an empty file nor a hole where an older recording was, and one that ends without farewell keeps what it has. */
#ifndef KERB_APPS_RECORDING_H
#define KERB_APPS_RECORDING_H

#include <gst/gst.h>

typedef enum KerbRecordingKind { KERB_RECORDING_VIDEO, KERB_RECORDING_LABELS, KERB_RECORDING_RAW } KerbRecordingKind;

typedef struct KerbRecording {
    KerbRecordingKind kind;
    gchar *name;        /* as the user wrote it */
    gchar *path;        /* links followed */
    gchar *part;        /* the name until there is data; NULL: written in place (a device, a pipe), or renamed already */
    gboolean replace;   /* an older file may be replaced */
    gchar *codec;       /* "H.264 (x264enc)"; NULL: not chosen yet, or raw */
    GstElement *head;   /* borrowed from the pipeline: where video goes in */
    GstElement *tail;   /* and the queue before the container, behind the encoder */
    GstElement *mux;    /* NULL: raw */
    gboolean syncs;     /* a file that one can go back in, and that a disk holds; not a pipe */
    gint64 synced_us;
    guint pieces;       /* that came to the file */
    GMutex lock;
    gchar *lost_name;   /* why it could not take its place; NULL: it could */
} KerbRecording;

/* Checks that the file can be made. Returns an exit code: 0, or having said why. force: an older file may be replaced. source: a path that it must not
 * be (NULL: any). */
int kerb_recording_check(const gchar *path, gboolean force, const gchar *source);

/* Adds the elements to the pipeline. NULL, having said what is missing; *exit_code is set then. The
 * encoder is chosen when the size of the video is known. */
KerbRecording *kerb_recording_new(GstBin *pipeline, KerbRecordingKind kind, const gchar *path, gboolean force, int *exit_code);

/* Links audio of these caps: as it is where Matroska can hold it. Streaming thread, before data flows. FALSE: it cannot be. */
gboolean kerb_recording_add_audio(KerbRecording *recording, GstPad *pad);

/* Where it has no name yet, the file goes. For ends that cannot wait; any thread. */
void kerb_recording_abandon(KerbRecording *recording);

/* After the pipeline has been stopped: removes a file that has no name yet. Returns whether there is a file at `path`. */
gboolean kerb_recording_close(KerbRecording **recording);

#endif
