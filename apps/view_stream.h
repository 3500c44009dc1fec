/* SPDX-License-Identifier: MIT */
/* What `kerb view` looks at: SOURCE -> kerbseg -> frames with their labels, pulled one by one; and seeking. kerbseg draws nothing here.
 *
 * Enters: a source, a model, options. Leaves: frames in order, each when it is asked for; of a live source the newest one only. It knows nothing of
 * windows and of the pace at which frames are shown. The owner's thread only, but for the tap. */
#ifndef KERB_APPS_VIEW_STREAM_H
#define KERB_APPS_VIEW_STREAM_H

#include "options.h"
#include "source.h"

#include <gst/app/app.h>
#include <kerbmeta.h>

/* A frame, mapped for reading. */
typedef struct KerbViewFrame {
    GstSample *sample; /* NULL: none */
    GstVideoFrame mapped;
    KerbSegMeta *meta; /* NULL: this frame has no labels */
    GstMapInfo labels, confidence; /* confidence.data NULL: not there */
    gint64 time_ns;    /* in the video */
    gint64 running_ns; /* by the pipeline's clock */
} KerbViewFrame;

void kerb_view_frame_clear(KerbViewFrame *frame);
/* Takes `sample`. FALSE: it cannot be read (the frame is empty then). */
gboolean kerb_view_frame_take(KerbViewFrame *frame, GstSample *sample);

/* Sees every frame as it leaves kerbseg, and NULL where the stream jumps. Streaming thread; borrows the buffer. */
typedef void (*KerbViewTapFn)(gpointer user, GstBuffer *buffer, GstPad *pad);

typedef struct KerbViewStream {
    KerbSource *source;
    GstElement *pipeline, *kerbseg, *sink;
    gint started;           /* atomic: it has been set PLAYING */
    GThread *starter;       /* sets it PLAYING: models and cameras take their time to open */
    KerbViewTapFn tap;
    gpointer tap_user;
    GstSample *next;        /* pulled, not given out yet */
    GstSample *before;      /* stepping back: the last frame before `back_from_ns` so far */
    gint64 back_from_ns;    /* -1: not stepping back */
    gint64 sought_ns;       /* where the last seek went */
    gboolean seeking;       /* no frame has come since */
    gint64 began_us;
} KerbViewStream;

/* NULL, having said why; *exit_code is set then. */
KerbViewStream *kerb_view_stream_new(const gchar *source, const KerbOptions *options, KerbViewTapFn tap, gpointer tap_user, int *exit_code);
/* Returns at once. What goes wrong comes as messages on the pipeline's bus. */
void kerb_view_stream_start(KerbViewStream *stream);
void kerb_view_stream_free(KerbViewStream **stream);

/* The next frame, without taking it; NULL: none within wait_ns. */
GstSample *kerb_view_stream_peek(KerbViewStream *stream, GstClockTime wait_ns);
/* Takes what peek has shown. */
GstSample *kerb_view_stream_take(KerbViewStream *stream);
gboolean kerb_view_stream_is_over(KerbViewStream *stream);

/* After the first frame. FALSE: it cannot be done (live, a pipe). */
gboolean kerb_view_stream_can_seek(KerbViewStream *stream);
/* To the frame at this time, exactly; times outside the video become its ends. */
gboolean kerb_view_stream_seek(KerbViewStream *stream, gint64 time_ns);
/* To the frame before the one at `from_ns`. */
gboolean kerb_view_stream_back(KerbViewStream *stream, gint64 from_ns);
/* As the video says; 0: it does not. */
gint64 kerb_view_stream_length_ns(KerbViewStream *stream);
/* What the pipeline's clock says now, as running time; -1: there is none yet. */
gint64 kerb_view_stream_now_ns(KerbViewStream *stream);
gint64 kerb_view_sample_time_ns(GstSample *sample);
gint64 kerb_view_sample_running_ns(GstSample *sample);

#endif
