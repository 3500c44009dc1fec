/* SPDX-License-Identifier: MIT */
/* One life of a live source: from opening it to its end, in a pipeline and on a thread of its own, which goes through a gate (gate.h).
 *
 * Everything that may block (a driver's open, a server's answer, the stop of a device that is stuck) happens on the feed's thread; those who watch it look at
 * its state and never wait. A feed that does not come to its end when it is asked to is left alone with its thread, and goes when its driver lets it. */
#ifndef KERB_APPS_FEED_H
#define KERB_APPS_FEED_H

#include "camera.h"
#include "gate.h"

typedef enum KerbFeedKind { KERB_FEED_CAMERA, KERB_FEED_RTSP, KERB_FEED_MJPEG } KerbFeedKind;

/* What to open. Copied. */
typedef struct KerbFeedPlan {
    KerbFeedKind kind;
    const gchar *place;       /* a camera's node, or a URI */
    KerbCameraWish wish;
    const KerbCamera *was;    /* the camera that is sought again; NULL: the first time */
    KerbCameraMode mode;      /* that it had; width 0: none yet */
    gboolean own_buffers;     /* the driver's buffers only: userptr has failed before */
    gdouble timeout_s;        /* for servers to answer */
} KerbFeedPlan;

typedef enum KerbFeedPhase { KERB_FEED_OPENING, KERB_FEED_OPEN, KERB_FEED_FAILED, KERB_FEED_CLOSED } KerbFeedPhase;

/* As of now. */
typedef struct KerbFeedState {
    KerbFeedPhase phase;
    guint64 given, passed;    /* frames or packets that the source gave; frames that went on */
    guint64 missed;           /* frames that the camera counted and nobody fetched in time */
    gboolean passing;         /* a frame is on its way: silence is not the source's */
    gint64 opened_us, last_us; /* monotonic: when streaming was asked for; the last frame. 0: not yet */
    GstClockTime first, last; /* running times of its first and latest frame; NONE: there is none */
    gboolean userptr;
    KerbCameraTrouble trouble;
} KerbFeedState;

typedef struct KerbFeed KerbFeed;

/* Starts at once; its mouth opens the gate. */
KerbFeed *kerb_feed_new(const KerbFeedPlan *plan, KerbGate *gate);
void kerb_feed_look(KerbFeed *feed, KerbFeedState *state);
/* Why it has failed (to be freed); never NULL. */
gchar *kerb_feed_why(KerbFeed *feed);
/* The camera as it was found and its mode, once the feed is open; FALSE: not a camera, or not open yet. Takes the camera out of the feed. */
gboolean kerb_feed_take_camera(KerbFeed *feed, KerbCamera **camera, KerbCameraMode *mode);
/* Asks for its end; returns at once. */
void kerb_feed_close(KerbFeed *feed);
void kerb_feed_unref(KerbFeed *feed);

#endif
