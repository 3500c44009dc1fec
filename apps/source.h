/* SPDX-License-Identifier: MIT */
/* SOURCE, the first argument of most subcommands, as a piece of a GStreamer pipeline.
 *
 * Enters: a path, a pattern or folder of images, /dev/videoN, rtsp://, http(s)://, file://, or test: (docs/kerb.md). Leaves: a bin with one pad `src`,
 * raw progressive video in a format that kerbseg takes, of one size from the first frame to the last, every frame with a time stamp that is later than
 * the one before; and where audio was asked for and is there, a pad `audio`. */
#ifndef KERB_APPS_SOURCE_H
#define KERB_APPS_SOURCE_H

#include "supervise.h"

#include <gst/gst.h>
#include <gst/video/video.h>

typedef enum KerbSourceKind { KERB_SOURCE_FILE, KERB_SOURCE_IMAGES, KERB_SOURCE_CAMERA, KERB_SOURCE_RTSP, KERB_SOURCE_HTTP, KERB_SOURCE_TEST } KerbSourceKind;

/* What has come through so far. */
typedef struct KerbSourceCounts {
    guint64 coded;    /* pictures that reached the decoder; 0 where packets cannot be counted as pictures */
    guint64 decoded;  /* of those, pictures that left it */
    guint64 damaged;  /* pictures that the decoder marks as damaged */
    guint64 frames;   /* pictures that left the source */
    guint64 untimed;  /* of those, how many came without a time stamp and got one */
    guint64 retimed;  /* and how many got another, because theirs was not after the one before */
    guint64 scaled;   /* of those, how many were of another size than the first */
    guint64 unread;   /* image files that could not be read */
    KerbOutages outages; /* of a live source */
} KerbSourceCounts;

/* Called for the pad `audio`, before any data flows; links it. Streaming thread. */
typedef void (*KerbSourceAudioFn)(gpointer user, GstPad *pad);

typedef struct KerbSource {
    gchar *text;       /* as the user wrote it */
    KerbSourceKind kind;
    gboolean live;     /* frames come at their own time */
    GstElement *bin;   /* floating until it is added to a pipeline */

    /* The rest belongs to source*.c. */
    KerbSupervisor *supervisor; /* NULL: a source that ends where it ends */
    KerbSourceAudioFn audio; /* NULL: audio is left out */
    gpointer audio_user;
    GMutex lock;
    KerbSourceCounts counts;
    GstElement *convert, *fit; /* borrowed from the bin */
    GstSegment segment;
    GstVideoInfo first;        /* the first frame's; width 0: none yet */
    gint width, height;        /* of what comes now */
    GstClockTime first_time, last_time; /* running time of the first and the latest frame */
    GstClockTime last_pts;
    GArray *coded_pts;         /* of GstClockTime: of packets whose picture has not come out yet */
    GstClockTime limit;        /* NONE: no limit */
    gboolean limit_reached, stopping, has_video, said_size;
    gboolean pts_is_time;      /* matroskademux: its segments call 0 what the file calls 1.5 s */
    GPtrArray *images;         /* of file names */
    guint next_image;
    gdouble rate;
    gint64 last_frame_us;      /* monotonic; 0: none yet */
    gchar *missing;            /* what no decoder was found for; NULL: nothing */
} KerbSource;

/* NULL, having said why, where SOURCE cannot be understood or is not there; *exit_code is set then. rate: frames a second of images.
 * limit_s > 0: the stream ends after so many seconds. */
KerbSource *kerb_source_new(const char *text, gdouble rate, gdouble limit_s, int *exit_code);
/* The same, with wishes for live sources (NULL: none). */
KerbSource *kerb_source_new_live(const char *text, gdouble rate, gdouble limit_s, const KerbLive *live, int *exit_code);
/* After the pipeline that holds the bin has been stopped. */
void kerb_source_free(KerbSource **source);

/* Before the pipeline starts: audio goes out as well, as it is where Matroska can hold it, decoded elsewhere. */
void kerb_source_keep_audio(KerbSource *source, KerbSourceAudioFn audio, gpointer user);

/* Ends the stream in order: what was read so far comes out, then EOS. Any thread; does not wait. Again: nothing more. */
void kerb_source_stop(KerbSource *source);

KerbSourceCounts kerb_source_counts(KerbSource *source);
/* Seconds from the first frame to the end of the latest, and in all (0: not known). A limit is the end, too. */
void kerb_source_position(KerbSource *source, gdouble *done_s, gdouble *total_s);
/* Whether the end came of itself, well before the length that the file claims; then *missing_s is what is missing. */
gboolean kerb_source_is_cut(KerbSource *source, gdouble *missing_s);
/* Seconds since the last frame (or since `since_us`, if there was none). 0 for live sources that are supervised: they say themselves when they are lost. */
gdouble kerb_source_silence_s(KerbSource *source, gint64 since_us);
/* Frames a second as the stream says; 0 where it does not. Size of the first frame; 0 before it. */
gdouble kerb_source_fps(KerbSource *source, gint *width, gint *height);

/* source_errors.c: for an element that decodebin has just added, on decodebin's thread: its errors come through, also those that decodebin loses. */
void kerb_source_keep_errors(KerbSource *source, GstElement *element);

/* source_test.c: "test:night?seed=3&size=1280x720&fps=30&live=1" -> elements added to the bin; the last of them, or NULL, having said why. */
GstElement *kerb_source_test(GstBin *bin, const char *text, gboolean *live);
/* source_images.c: the files of a folder or pattern in natural order (NULL where it is neither); an appsrc that plays them. */
GPtrArray *kerb_source_image_list(const char *text);
/* The first picture of an image file, or NULL with the decoder's reason (owned). Needs nothing else of a source. */
GstSample *kerb_source_read_image(const gchar *path, gchar **why);
GstElement *kerb_source_images(KerbSource *source);

#endif
