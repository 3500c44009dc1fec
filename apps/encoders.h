/* SPDX-License-Identifier: MIT */
/* The encoders of a recording, in a pipeline of their own.
 *
 * Enter: pictures and maps (labels, confidence: a byte a pixel), each with its time. Leave: encoded units with the same times, on the encoders' threads.
 * Which encoder it is depends on what is installed, what takes the size, and what was asked for. It writes no files. */
#ifndef KERB_APPS_ENCODERS_H
#define KERB_APPS_ENCODERS_H

#include <gst/gst.h>

typedef enum KerbStream { KERB_STREAM_PICTURE, KERB_STREAM_LABELS, KERB_STREAM_CONFIDENCE, KERB_STREAM_AUDIO, KERB_STREAMS } KerbStream;

typedef struct KerbEncodersSettings {
    gboolean live;                     /* nothing is held back: no frame waits for later ones */
    const gchar *encoder, *label_encoder; /* NULL: the best */
    GstElement *painter;               /* taken; NULL: none */
    GstCaps *picture;                  /* video/x-raw; NULL: no picture */
    gboolean labels, confidence;
    gint width, height, fps_n, fps_d;  /* of the maps */
    /* A unit: its caps, time and whether decoding can begin with it; caps NULL: the stream is over. One thread for each stream. unit is taken. */
    void (*encoded)(gpointer user, KerbStream stream, GstCaps *caps, GstBuffer *unit, GstClockTime pts);
    /* A frame has gone into its encoder. */
    void (*accepted)(gpointer user, KerbStream stream);
    /* Nothing will come any more. Any thread. */
    void (*failed)(gpointer user, int exit_code, const gchar *why);
    gpointer user;
} KerbEncodersSettings;

typedef struct KerbEncoders KerbEncoders;

/* Checks names before any frame is there. An exit code: 0, or having said which are valid and what to install. */
int kerb_encoders_check(const gchar *encoder, const gchar *label_encoder);

/* NULL: `failed` was called. */
KerbEncoders *kerb_encoders_new(const KerbEncodersSettings *settings);

/* buffer is taken; its PTS counts. Never waits. */
void kerb_encoders_push(KerbEncoders *e, KerbStream stream, GstBuffer *buffer);

/* The picture of this time, which comes next, shall be one that decoding can begin with. */
void kerb_encoders_key_at(KerbEncoders *e, GstClockTime pts);

void kerb_encoders_end(KerbEncoders *e);
/* "H.264 (x264enc)", of the picture or else of the maps. Lives as long as e. */
const gchar *kerb_encoders_codec(const KerbEncoders *e);
void kerb_encoders_free(KerbEncoders **e);

#endif
