/* SPDX-License-Identifier: MIT */
/* kerbseg's inside, shared by its three files: kerbseg.c (class, properties, pads, model), kerbseg_stream.c (frames in, frames out, events)
 * and kerbseg_report.c (statistics, latency).
 *
 * Threads: the streaming thread (upstream's) prepares a frame and submits it; the output thread collects results in order and pushes; the
 * application's threads read and write properties and request pads. `lock` guards all that more than one of them touches and is never held
 * while pushing, waiting for the engine, or posting. */
#ifndef KERB_PLUGIN_KERBSEG_H
#define KERB_PLUGIN_KERBSEG_H

#include "canvas.h"
#include "kerb.h"
#include "look.h"
#include "meta.h"
#include "sidepad.h"

#include <gst/base/gstbasetransform.h>
#include <gst/base/gstflowcombiner.h>
#include <gst/video/video.h>

GST_DEBUG_CATEGORY_EXTERN(kerb_seg_debug);
#define GST_CAT_DEFAULT kerb_seg_debug

/* The engine's slots, and one frame that is being pushed. */
#define KERB_SEG_MAX_ITEMS (KERB_MAX_SLOTS + 1)

/* A buffer and its mapping, while the engine works on it. */
typedef struct KerbSegMapped {
    GstBuffer *buffer; /* owned; NULL: none */
    GstVideoFrame frame;
    gboolean mapped;
} KerbSegMapped;

/* A frame between submission and push. */
typedef struct KerbSegItem {
    KerbSegMapped in;
    KerbSegMapped out; /* buffer NULL: the picture is drawn into `in`, or none is drawn */
    KerbSegMapped labels, confidence;
    gboolean submitted; /* the engine has it; otherwise the frame passes as it is */
} KerbSegItem;

typedef enum KerbSegMap { KERB_SEG_LABELS, KERB_SEG_CONFIDENCE, KERB_SEG_MAPS } KerbSegMap;

typedef struct KerbSegCounters {
    guint64 in, out, flushed, errored;
} KerbSegCounters;

/* Frames a second at the source pad, over whole seconds. */
typedef struct KerbSegRate {
    gint64 since_us;
    guint frames;
    gdouble fps;
} KerbSegRate;

/* What is set before the element starts. Strings owned. */
typedef struct KerbSegSettings {
    gchar *model_file, *card_file, *labels_file, *backend, *mean, *std;
    gint precision, fit, color, live_mode;
    guint threads, slots, network_width, network_height;
    gboolean confidence;
} KerbSegSettings;

typedef struct KerbSeg {
    GstBaseTransform parent;
    KerbCanvas canvas;

    GMutex lock;
    GCond cond; /* any change of what follows */
    KerbSegSettings settings;
    KerbLook look;
    KerbDisplay display;
    gboolean display_changed;         /* the next frame takes it to the engine */
    KerbPipeline *pipeline;           /* NULL while stopped */
    GBytes *classes;                  /* KerbClass[] of the pipeline */
    KerbSidePad *side[KERB_SEG_MAPS]; /* NULL: not requested */
    GstFlowCombiner *flows;
    KerbSegItem items[KERB_SEG_MAX_ITEMS];
    guint first, in_flight, n_items; /* a ring: in_flight items from `first`, of n_items */
    gboolean flushing, running;
    GstFlowReturn flow;     /* downstream's last word, all pads together */
    gboolean picture_ended; /* the source pad's peer has said EOS */
    KerbSegCounters counters;
    KerbSegRate rate;
    GstClockTime frame_duration;         /* nominal */
    GstClockTime latency;                /* of the element, as last answered or posted */
    gint64 slowest_ns, slowest_since_us; /* greatest frame time of the present window */
    GstClockTimeDiff age;
    gint64 warned_us; /* when the last frame error was posted; 0: never */
    gboolean failed;  /* the backend has failed for good, which was said */

    /* Streaming thread only, or with nothing in flight. */
    GThread *thread;
    gboolean has_format;
    gboolean with_confidence;
    GstVideoInfo info, map_info;
    KerbVideoFormat format;
    GstBufferPool *map_pool;
} KerbSeg;
typedef GstBaseTransformClass KerbSegClass;

GType kerb_seg_get_type(void);
#define KERB_SEG(obj) ((KerbSeg *)(obj))

/* --- kerbseg_stream.c: base transform's functions (gstbasetransform.h says when each is called) */
GstFlowReturn kerb_seg_submit_input_buffer(GstBaseTransform *transform, gboolean is_discont, GstBuffer *input);
GstFlowReturn kerb_seg_generate_output(GstBaseTransform *transform, GstBuffer **out);
gboolean kerb_seg_sink_event(GstBaseTransform *transform, GstEvent *event);
gboolean kerb_seg_set_caps(GstBaseTransform *transform, GstCaps *in, GstCaps *out);
/* The output thread and its flags; with a pipeline open. stop: with the pads deactivated. */
void kerb_seg_start_output(KerbSeg *self);
void kerb_seg_stop_output(KerbSeg *self);
void kerb_seg_set_flushing(KerbSeg *self, gboolean flushing);
/* Waits until all that is in flight has been pushed, or flushing is on. */
void kerb_seg_drain(KerbSeg *self);
/* The base class, for chaining up from another file. */
GstBaseTransformClass *kerb_seg_parent(void);

/* --- kerbseg_report.c */
/* The read-only property `stats`; transfer full. */
GstStructure *kerb_seg_stats(KerbSeg *self);
/* A frame was pushed, computed in `times`: rate, latency. Posts LATENCY when the answer changes. Output thread. */
void kerb_seg_report_frame(KerbSeg *self, const KerbResult *result);
/* Latency and rate at the start of a stream of this format. With nothing in flight. */
void kerb_seg_report_format(KerbSeg *self);
/* Adds the element's share to an answered LATENCY query. */
void kerb_seg_answer_latency(KerbSeg *self, GstQuery *query);
/* A frame that passed as it came: counted, and said at most every five seconds. */
void kerb_seg_report_error(KerbSeg *self, const KerbError *error);

#endif
