/* SPDX-License-Identifier: MIT */
/* A gate between two pipelines: what comes to its mouth, in a pipeline that may die (the feed of a camera), leaves it in one that goes on.
 *
 * The mouth's streaming thread pushes straight into the other pipeline: nothing is queued or copied, and questions (caps, allocation) are answered by the
 * elements behind the gate. A gate has one open mouth at most; others are refused, whatever their threads still do. Both pipelines run on the system's
 * monotonic clock; time stamps leave as running times of the gate's pipeline. EOS and errors of a feed do not pass. */
#ifndef KERB_APPS_GATE_H
#define KERB_APPS_GATE_H

#include <gst/gst.h>

/* Buffers that a source is asked to have more than those behind the gate need: half a second of video at 30 frames a second. */
#define KERB_GATE_BUFFERS 16

typedef struct KerbGate KerbGate;
typedef struct KerbMouth KerbMouth;

/* Any thread but for frames and ends, which come from the feed's streaming thread. */
typedef struct KerbGateCalls {
    void (*started)(gpointer user);                      /* the gate's pipeline plays: its clock and base time are known. Again after a pause */
    void (*stopped)(gpointer user);                      /* the gate goes back to READY: returns when nothing will be called any more */
    void (*freed)(gpointer user);                        /* the gate is gone */
} KerbGateCalls;

typedef struct KerbMouthCalls {
    void (*frame)(gpointer user, GstClockTime time, gboolean before); /* before and after a frame goes on; time: of the gate's pipeline */
    void (*ended)(gpointer user);                                     /* EOS */
    void (*freed)(gpointer user);
} KerbMouthCalls;

/* Floating elements. */
GstElement *kerb_gate_new(const KerbGateCalls *calls, gpointer user);
GstElement *kerb_mouth_new(KerbGate *gate, const KerbMouthCalls *calls, gpointer user);

/* From now on this mouth's frames pass and no other's; NULL: none do. Does not wait for a frame that is passing. */
void kerb_gate_open(KerbGate *gate, GstElement *mouth);

/* Closes it, and EOS goes on behind the frames that have passed. Waits for one that is passing. */
void kerb_gate_end(KerbGate *gate);

GType kerb_gate_get_type(void);
GType kerb_mouth_get_type(void);
#define KERB_GATE(object) ((KerbGate *)(object))
#define KERB_MOUTH(object) ((KerbMouth *)(object))

#endif
