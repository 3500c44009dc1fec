/* SPDX-License-Identifier: MIT */
/* kerbseg's inside, shared by its files:
 *   kerbseg.c         class, pads, queries, the model         kerbseg_properties.c  properties
 *   kerbseg_stream.c  frames in, every-frame, output thread   kerbseg_events.c      events and caps
 *   kerbseg_live.c    latest and hold, inference thread       kerbseg_mask.c        labels of one frame on another
 *   kerbseg_frame.c   buffers and mappings                    kerbseg_push.c        pads
 *   kerbseg_report.c  statistics, latency, warnings
 *
 * Threads: the streaming thread is upstream's; the application's threads read and write properties and request pads; and
 *   mode         submits to the engine   collects from it    passes frames on
 *   every-frame  streaming thread        output thread       output thread
 *   latest       inference thread        inference thread    streaming thread
 *   hold         inference thread        inference thread    output thread
 * Between two modes everything is at rest. `lock` guards all that more than one thread touches and is never held while pushing, waiting for
 * the engine, or posting. What is used for passing (drawer, carrier, shown) belongs to the thread that passes frames on. */
#ifndef KERB_PLUGIN_KERBSEG_H
#define KERB_PLUGIN_KERBSEG_H

#include "canvas.h"
#include "enums.h"
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
/* Frames that wait for their labels in hold mode; when so many stand there, the first one goes. */
#define KERB_SEG_MAX_HELD 32

/* Default of max-wait. */
#define KERB_SEG_MAX_WAIT (50 * GST_MSECOND)

/* A buffer and its mapping, while the engine works on it. */
typedef struct KerbSegMapped {
    GstBuffer *buffer; /* owned; NULL: none */
    GstVideoFrame frame;
    gboolean mapped;
    gboolean on_device; /* the mapping's pointers are the GPU's */
} KerbSegMapped;

/* A frame between submission and push. */
typedef struct KerbSegItem {
    KerbSegMapped in;
    KerbSegMapped out; /* buffer NULL: the picture is drawn into `in`, or none is drawn */
    KerbSegMapped labels, confidence;
    guint64 number;     /* counts the frames of the element's run from 1 */
    gboolean submitted; /* the engine has it */
    gboolean fails;     /* it could not be given to the engine: passes as it is */
    gboolean thinned;   /* inference-interval > 1: the engine draws nothing, the frame passes with the newest mask */
} KerbSegItem;

/* Labels, and the frame they were computed from. References; labels NULL: there are none. */
typedef struct KerbSegMask {
    GstBuffer *labels, *confidence;
    gint stride;
    KerbTimes times;
    GstClockTime source_pts;
    guint64 number;
} KerbSegMask;

/* A frame that waits for labels of its own (hold). */
typedef struct KerbSegHeld {
    GstBuffer *frame;
    guint64 number;
    gint64 until_us;   /* monotonic; not longer */
    gboolean released; /* nothing to wait for any more: goes with `mask` */
    gboolean leaving;  /* the output thread has it */
    gboolean fails;    /* its inference failed */
    KerbSegMask mask;
} KerbSegHeld;

typedef enum KerbSegMap { KERB_SEG_LABELS, KERB_SEG_CONFIDENCE, KERB_SEG_MAPS } KerbSegMap;

/* A frame ready to go, the maps that go beside it, and whose labels it wears. */
typedef struct KerbSegParcel {
    GstBuffer *picture, *maps[KERB_SEG_MAPS]; /* owned; a map that is NULL leaves a gap */
    guint64 number;
    guint64 source_number; /* 0: it has no labels */
    GstClockTimeDiff age;  /* NONE: not known */
    gboolean fails;        /* for an error */
} KerbSegParcel;

/* Video: in = out + flushed + errored + in flight. Inference: in = given + skipped + unfit + (one that waits). */
typedef struct KerbSegCounters {
    guint64 in, out, flushed, errored;
    guint64 given;      /* frames that the engine got */
    guint64 unfit;      /* frames that it could not get: their buffer is too short, say */
    guint64 inferred;   /* frames that it made labels of */
    guint64 reused;     /* frames that left with labels of another one */
    guint64 unlabelled; /* frames that left without: none there yet, or too old */
    guint64 aged;       /* frames that left with labels of known age; sum and greatest of their ages' magnitudes */
    guint64 age_sum_ns, age_max_ns;
} KerbSegCounters;

/* Frames a second, over whole seconds. */
typedef struct KerbSegRate {
    gint64 since_us;
    guint frames;
    gdouble fps;
} KerbSegRate;

/* What is set by properties. Strings owned. The first two lines hold from the next start, the others from the next frame. */
typedef struct KerbSegSettings {
    gchar *model_file, *card_file, *labels_file, *backend, *cpu_list, *mean, *std;
    gint precision, fit, color, smoothing;
    guint threads, slots, network_width, network_height, cuda_device_id;
    gboolean tune, confidence;
    KerbLiveMode live_mode;
    GstClockTime max_wait, max_age; /* max_age NONE: any */
    guint interval;
    gboolean carry;
} KerbSegSettings;

/* The live modes' part of the element. Under `lock`. */
typedef struct KerbSegLive {
    GThread *thread;
    GstBuffer *wanted; /* the newest frame that may be inferred; NULL: none */
    guint64 wanted_number;
    guint64 last_number; /* of the frame that the engine got last; 0: none yet. For inference-interval in all modes */
    gboolean busy;       /* the inference thread is at the engine */
    KerbSegHeld held[KERB_SEG_MAX_HELD];
    guint first_held, n_held;
    GstClockTime late_until; /* running time: downstream says (QoS) that frames before it come too late; NONE: none do */
    guint spared;            /* frames in a row that were not inferred because of it */
    guint64 reported;        /* the last frame that left */
    guint64 failing;         /* a frame that has not left, and whose inference failed */
} KerbSegLive;

typedef struct KerbSeg {
    GstBaseTransform parent;
    KerbCanvas canvas;
    KerbCuda cuda;

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
    KerbLiveMode mode;     /* as frames are treated now */
    GstClockTime max_wait; /* of hold, as it is in the answer to LATENCY */
    KerbSegItem items[KERB_SEG_MAX_ITEMS];
    guint first, in_flight, n_items; /* a ring: in_flight items from `first`, of n_items */
    KerbSegLive live;
    KerbSegMask newest; /* what the engine found last */
    guint era;          /* labels of frames of an earlier era (before a seek, a cut, other caps) are thrown away */
    gboolean flushing, running;
    GstFlowReturn flow;     /* downstream's last word, all pads together */
    gboolean picture_ended; /* the source pad's peer has said EOS */
    KerbSegCounters counters;
    KerbSegRate rate, inference_rate;
    GstClockTime frame_duration;         /* nominal */
    GstClockTime latency;                /* of the element, as last answered or posted */
    gint64 slowest_ns, slowest_since_us; /* greatest frame time of the present window */
    GstClockTimeDiff age;
    gint64 warned_us; /* when the last frame error was posted; 0: never */
    gboolean failed;  /* the backend has failed for good, which was said */

    /* Streaming thread only, or at rest. */
    GThread *thread;
    gboolean has_format;
    gboolean with_confidence;
    gboolean takes_cuda; /* frames in CUDA memory are offered to be taken: what runs, or may run, here is the GPU */
    gboolean on_gpu;     /* the network runs there: what lies in its memory is given as it is */
    GstVideoInfo info, map_info;
    KerbVideoFormat format;
    GstBufferPool *map_pool;
    guint64 number;        /* of the last frame that came */
    GstClockTime last_pts; /* of the last frame that had one */

    /* The thread that passes frames on, or at rest. */
    KerbDrawer *drawer;
    KerbCarrier *carrier; /* NULL: not needed yet */
    gboolean carried;     /* the frame before this one was added */
    guint carry_slow;     /* frames in a row for which carrying took too long for a live stream */
    gint64 carry_from_us; /* monotonic; not before */
    KerbDisplay shown;
} KerbSeg;
typedef GstBaseTransformClass KerbSegClass;

GType kerb_seg_get_type(void);
#define KERB_SEG(obj) ((KerbSeg *)(obj))
/* The base class, for chaining up from another file. */
GstBaseTransformClass *kerb_seg_parent(void);

/* --- kerbseg_properties.c */
/* Installs all properties and their functions. */
void kerb_seg_install_properties(GObjectClass *klass);

/* --- kerbseg_stream.c: base transform's functions (gstbasetransform.h says when each is called) */
GstFlowReturn kerb_seg_submit_input_buffer(GstBaseTransform *transform, gboolean is_discont, GstBuffer *input);
GstFlowReturn kerb_seg_generate_output(GstBaseTransform *transform, GstBuffer **out);
/* The output and inference threads and their flags; with a pipeline open. stop: with the pads deactivated. */
void kerb_seg_start_output(KerbSeg *self);
void kerb_seg_stop_output(KerbSeg *self);
void kerb_seg_set_flushing(KerbSeg *self, gboolean flushing);
/* Waits until all frames that came have been pushed, or flushing is on. */
void kerb_seg_drain(KerbSeg *self);
/* Drains, and waits until nothing is at the engine: what is to be inferred is given up. FALSE: flushing is on. Streaming thread. */
gboolean kerb_seg_rest(KerbSeg *self);
/* Labels found so far say nothing about the frames that come now: a seek, another segment, a cut. Streaming thread. */
void kerb_seg_forget(KerbSeg *self);

/* --- kerbseg_events.c: base transform's functions */
gboolean kerb_seg_sink_event(GstBaseTransform *transform, GstEvent *event);
gboolean kerb_seg_set_caps(GstBaseTransform *transform, GstCaps *in, GstCaps *out);

/* --- kerbseg_frame.c */
gboolean kerb_seg_map(KerbSegMapped *m, const GstVideoInfo *info, GstMapFlags flags);
/* The same for the engine, which takes frames of its GPU's memory as they are: nothing may touch the pixels then but the engine. */
gboolean kerb_seg_map_for_engine(KerbSeg *self, KerbSegMapped *m, GstMapFlags flags);
void kerb_seg_unmap(KerbSegMapped *m);
void kerb_seg_item_unmap(KerbSegItem *item);
void kerb_seg_item_clear(KerbSegItem *item);
/* The plane of a mapped map; data NULL where it is not mapped. */
KerbMap kerb_seg_map_of(const KerbSegMapped *m);
/* A buffer of the map pool, mapped for writing. */
gboolean kerb_seg_acquire_map(KerbSeg *self, KerbSegMapped *m);
/* Buffers and mappings for a frame that the engine draws. Takes `in`. `error` says why a frame cannot be mapped; it then passes as it is.
 */
GstFlowReturn kerb_seg_prepare(KerbSeg *self, KerbSegItem *item, GstBuffer *in, KerbVisualize visualize, KerbError *error);
/* The same for a frame that it only looks at. */
void kerb_seg_prepare_to_read(KerbSeg *self, KerbSegItem *item, GstBuffer *in, KerbError *error);
KerbJob kerb_seg_job(KerbSegItem *item, KerbVisualize visualize);
/* "The buffer of the frame at ... does not hold ..." */
void kerb_seg_fail_to_map(const KerbSeg *self, GstBuffer *in, KerbError *error);
/* A frame's time as the engine has it, and a result's as GStreamer has it. */
int64_t kerb_seg_time(GstClockTime pts);

/* --- kerbseg_push.c: one thread at a time */
/* A referenced request pad, or NULL where it is not there. Any thread. */
KerbSidePad *kerb_seg_side(KerbSeg *self, KerbSegMap which);
/* Whether it is there. */
gboolean kerb_seg_wants(KerbSeg *self, KerbSegMap which);
/* Pushes maps, then the picture; takes them; counts. Returns the flow of all pads together. */
GstFlowReturn kerb_seg_send(KerbSeg *self, KerbSegParcel *parcel);
/* Gives a map its frame's time stamps. NULL: nothing. */
void kerb_seg_stamp_map(GstBuffer *map, GstBuffer *frame);

/* --- kerbseg_mask.c */
void kerb_seg_mask_clear(KerbSegMask *mask);
KerbSegMask kerb_seg_mask_ref(const KerbSegMask *mask);
/* What the engine made of an item; takes its maps, which get the frame's time stamps. */
KerbSegMask kerb_seg_mask_take(KerbSegItem *item, const KerbResult *result);
/* Makes a frame (taken) ready to go with these labels (borrowed; none: labels NULL): carried, drawn as `shown` says, attached. A buffer
 * that cannot be read goes as it is, which is said. Not OK: there is no parcel, the frame is counted as flushed. The thread that passes
 * frames on. */
GstFlowReturn kerb_seg_dress(KerbSeg *self, GstBuffer *frame, guint64 number, const KerbSegMask *mask, KerbSegParcel *parcel);
/* Dresses and sends it. */
GstFlowReturn kerb_seg_pass(KerbSeg *self, GstBuffer *frame, guint64 number, const KerbSegMask *mask, gboolean fails);

/* --- kerbseg_live.c */
/* A frame in latest or hold mode; takes it. Streaming thread. */
GstFlowReturn kerb_seg_live_enter(KerbSeg *self, GstBuffer *in);
/* hold: sends the first frame that waits, when its time has come. Output thread; `lock` is held, and given up meanwhile. */
void kerb_seg_live_leave(KerbSeg *self);
/* The inference thread. */
gpointer kerb_seg_live_thread(gpointer data);
/* A QoS event from downstream: `late_until` or none. */
void kerb_seg_live_qos(KerbSeg *self, GstEvent *event);
/* Whether this frame may be inferred by inference-interval. `lock` is held. */
gboolean kerb_seg_is_turn(const KerbSeg *self, guint64 number);

/* --- kerbseg_report.c */
/* The read-only property `stats`; transfer full. */
GstStructure *kerb_seg_stats(KerbSeg *self);
/* Labels were made: rate of inference and, in every-frame mode, latency. Posts LATENCY when the answer changes. */
void kerb_seg_report_inference(KerbSeg *self, const KerbTimes *times);
/* A frame left: rate, ages, counters. Not taken: downstream was flushing. */
void kerb_seg_report_frame(KerbSeg *self, const KerbSegParcel *parcel, gboolean taken);
/* Latency and rates at the start of a stream of this format, and at the change of live-mode or max-wait. Streaming thread. */
void kerb_seg_report_format(KerbSeg *self);
/* Adds the element's share to an answered LATENCY query. */
void kerb_seg_answer_latency(KerbSeg *self, GstQuery *query);
/* Why a frame has no labels: said at most every five seconds, an end of the backend once. */
void kerb_seg_report_error(KerbSeg *self, const KerbError *error);

#endif
