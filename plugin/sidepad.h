/* SPDX-License-Identifier: MIT */
/* KerbSidePad: a request pad (`labels`, `confidence`) that streams maps beside the pictures.
 *
 * In: maps and the events of the sink pad, in stream order. Out: the same on the pad, from a thread of its own, so that a branch that waits
 * (a sink before its first frame is shown, a slow encoder) does not hold the others until QUEUE_BUFFERS maps wait in it. From there on it
 * makes the stream wait rather than lose maps; a leaky queue behind the pad is how a user says otherwise. */
#ifndef KERB_PLUGIN_SIDEPAD_H
#define KERB_PLUGIN_SIDEPAD_H

#include <gst/base/gstbasetransform.h>
#include <gst/base/gstqueuearray.h>

#define KERB_SIDE_PAD_QUEUE_BUFFERS 4

typedef struct KerbSidePad {
    GstPad parent;
    GMutex lock; /* guards what follows; never held while pushing */
    GCond cond;
    GstQueueArray *queue; /* of GstMiniObject: buffers and events */
    guint n_buffers;      /* in the queue or being pushed */
    gboolean flushing;    /* also while the pad is not active */
    gboolean primed;      /* stream-start and what else is sticky has been queued */
    GstFlowReturn flow;   /* of the last push */
} KerbSidePad;
typedef GstPadClass KerbSidePadClass;

GType kerb_side_pad_get_type(void);
#define KERB_TYPE_SIDE_PAD (kerb_side_pad_get_type())
#define KERB_SIDE_PAD(obj) ((KerbSidePad *)(obj))

/* A pad made from the template, floating, not active. */
KerbSidePad *kerb_side_pad_new(GstPadTemplate *templ);

/* Queues an event of the sink pad, in this pad's words: its own stream id, GRAY8 caps; tags and the like stay behind. Borrows `event`. For
 * the streaming thread; FLUSH_START and FLUSH_STOP act at once. */
void kerb_side_pad_event(KerbSidePad *pad, GstPad *sink, GstEvent *event);

/* Queues a map (taken) after whatever a pad that was requested late has missed; waits while the queue is full. Returns what became of the
 * last push: OK, NOT_LINKED (later maps are still tried), EOS or an error (they are not), FLUSHING. */
GstFlowReturn kerb_side_pad_push(KerbSidePad *pad, GstPad *sink, GstBuffer *map);

/* Queues a GAP event in place of a map that is missing. */
void kerb_side_pad_gap(KerbSidePad *pad, GstPad *sink, GstClockTime pts, GstClockTime duration);

#endif
