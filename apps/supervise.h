/* SPDX-License-Identifier: MIT */
/* Live sources that are kept alive: cameras, RTSP, and HTTP that sends Motion JPEG without end.
 *
 * A supervisor opens feeds (feed.h) one after the other behind one gate (gate.h): it watches for errors and silence, closes what is lost, seeks the source
 * again with back-off, and says so. What is behind the gate plays on meanwhile. Nothing here waits for a driver or a server. */
#ifndef KERB_APPS_SUPERVISE_H
#define KERB_APPS_SUPERVISE_H

#include <gst/gst.h>

/* What the user wants of live sources. */
typedef struct KerbLive {
    const gchar *camera_format; /* FORMAT[@WxH[@FPS]]; NULL: what suits best */
    gdouble reconnect_s;        /* how long a lost source is sought; < 0: for ever, but at the start it must be there */
    gdouble timeout_s;          /* silence that is a loss; <= 0: 2 s for cameras, 5 s for networks */
    gboolean quiet;             /* warnings and errors only */
} KerbLive;

/* What has gone wrong so far. */
typedef struct KerbOutages {
    guint64 given;   /* frames that the source gave */
    guint64 passed;  /* of those, frames that went on; the difference could not be decoded, or was on its way when the source was lost */
    guint64 missed;  /* frames that the camera's driver had no buffer for */
    guint64 faults;  /* losses */
    guint64 gaps;    /* of those, how many are over */
    gdouble gap_s;   /* in all, from the last frame to the first, less a frame's own time */
} KerbOutages;

typedef struct KerbSupervisor KerbSupervisor;

/* For sources that want one; NULL with *exit_code KERB_EXIT_OK: this one does not. NULL otherwise: having said why it cannot be used. Says the mode of a camera. */
KerbSupervisor *kerb_supervisor_new(const char *text, const KerbLive *live, int *exit_code);
void kerb_supervisor_unref(KerbSupervisor *supervisor);

/* The element that the frames come from; floating, once. */
GstElement *kerb_supervisor_gate(KerbSupervisor *supervisor);
/* No more frames, no more seeking. Does not wait. */
void kerb_supervisor_stop(KerbSupervisor *supervisor);
KerbOutages kerb_supervisor_outages(KerbSupervisor *supervisor);

/* source_http.c: what an http(s) address sends. Waits for the answer, timeout_s at most. SILENT: none, or an error; *why says it then (to be freed). */
typedef enum KerbHttpContent { KERB_HTTP_SILENT, KERB_HTTP_FILE, KERB_HTTP_MJPEG } KerbHttpContent;
KerbHttpContent kerb_source_http_content(const char *uri, gdouble timeout_s, gchar **why);

#endif
