/* SPDX-License-Identifier: MIT */
/* The gate's two elements; see gate.h. */
#include "gate.h"

struct KerbGate {
    GstElement element;
    GstPad *src;
    KerbGateCalls calls;
    gpointer user;
    GMutex passing;    /* held while something goes on: pushes of different mouths never mix */
    GMutex lock;       /* for the rest; never held while something else is called */
    GstElement *mouth; /* owned; NULL: closed */
    gboolean begun;    /* stream-start and segment are out */
    GstCaps *caps;     /* that are out */
    GstClockTime latency;
};

struct KerbMouth {
    GstElement element;
    GstPad *sink;
    KerbGate *gate; /* owned */
    KerbMouthCalls calls;
    gpointer user;
    GstSegment segment; /* the feed's; its streaming thread's */
    gboolean asked_latency;
};

typedef struct KerbGateClass {
    GstElementClass parent;
} KerbGateClass;
typedef struct KerbMouthClass {
    GstElementClass parent;
} KerbMouthClass;

G_DEFINE_TYPE(KerbGate, kerb_gate, GST_TYPE_ELEMENT)
G_DEFINE_TYPE(KerbMouth, kerb_mouth, GST_TYPE_ELEMENT)

static GstStaticPadTemplate kerb_gate_template = GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw"));
static GstStaticPadTemplate kerb_mouth_template = GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw"));

/* ---------------------------------------------------------------------------------------------------------------- gate */

static gboolean kerb_gate_is_open_for(KerbGate *gate, KerbMouth *mouth)
{
    g_mutex_lock(&gate->lock);
    gboolean is = gate->mouth == GST_ELEMENT(mouth);
    g_mutex_unlock(&gate->lock);
    return is;
}

/* Passing held. */
static void kerb_gate_begin(KerbGate *gate)
{
    if (gate->begun) return;
    gchar *id = gst_pad_create_stream_id(gate->src, GST_ELEMENT(gate), NULL);
    gst_pad_push_event(gate->src, gst_event_new_stream_start(id));
    g_free(id);
    gate->begun = TRUE;
}

/* Passing held. The caps have gone on already, for the allocation query comes between them and the first frame; a segment wants to come after them. */
static void kerb_gate_segment(KerbGate *gate)
{
    GstEvent *there = gst_pad_get_sticky_event(gate->src, GST_EVENT_SEGMENT, 0);
    if (there) {
        gst_event_unref(there);
        return;
    }
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(gate->src, gst_event_new_segment(&segment));
}

static gboolean kerb_gate_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    KerbGate *gate = KERB_GATE(parent);
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY) return gst_pad_query_default(pad, parent, query);
    g_mutex_lock(&gate->lock);
    gst_query_set_latency(query, TRUE, gate->latency, GST_CLOCK_TIME_NONE);
    g_mutex_unlock(&gate->lock);
    return TRUE;
}

/* Nothing from below goes back to a camera: it sends at its own pace. */
static gboolean kerb_gate_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    gboolean taken = GST_EVENT_TYPE(event) != GST_EVENT_SEEK;
    gst_event_unref(event);
    return taken;
}

static GstStateChangeReturn kerb_gate_change_state(GstElement *element, GstStateChange change)
{
    KerbGate *gate = KERB_GATE(element);
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        kerb_gate_open(gate, NULL);
        gate->calls.stopped(gate->user);
    }
    GstStateChangeReturn result = GST_ELEMENT_CLASS(kerb_gate_parent_class)->change_state(element, change);
    if (result == GST_STATE_CHANGE_FAILURE) return result;
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY) {
        g_mutex_lock(&gate->passing);
        gate->begun = FALSE;
        gst_clear_caps(&gate->caps);
        g_mutex_unlock(&gate->passing);
    }
    if (change == GST_STATE_CHANGE_PAUSED_TO_PLAYING) gate->calls.started(gate->user);
    if (change == GST_STATE_CHANGE_READY_TO_PAUSED || change == GST_STATE_CHANGE_PLAYING_TO_PAUSED) return GST_STATE_CHANGE_NO_PREROLL;
    return result;
}

static void kerb_gate_finalize(GObject *object)
{
    KerbGate *gate = KERB_GATE(object);
    gate->calls.freed(gate->user);
    gst_clear_object(&gate->mouth);
    gst_clear_caps(&gate->caps);
    g_mutex_clear(&gate->passing);
    g_mutex_clear(&gate->lock);
    G_OBJECT_CLASS(kerb_gate_parent_class)->finalize(object);
}

static void kerb_gate_class_init(KerbGateClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = kerb_gate_finalize;
    GST_ELEMENT_CLASS(klass)->change_state = kerb_gate_change_state;
    gst_element_class_add_static_pad_template(GST_ELEMENT_CLASS(klass), &kerb_gate_template);
    gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(klass), "Kerb gate", "Source/Video", "What comes from a feed that may die", "Kerb");
}

static void kerb_gate_init(KerbGate *gate)
{
    g_mutex_init(&gate->passing);
    g_mutex_init(&gate->lock);
    gate->src = gst_pad_new_from_static_template(&kerb_gate_template, "src");
    gst_pad_set_query_function(gate->src, kerb_gate_query);
    gst_pad_set_event_function(gate->src, kerb_gate_event);
    gst_pad_use_fixed_caps(gate->src);
    gst_element_add_pad(GST_ELEMENT(gate), gate->src);
    GST_OBJECT_FLAG_SET(gate, GST_ELEMENT_FLAG_SOURCE);
}

GstElement *kerb_gate_new(const KerbGateCalls *calls, gpointer user)
{
    KerbGate *gate = g_object_new(kerb_gate_get_type(), "name", "gate", NULL);
    gate->calls = *calls;
    gate->user = user;
    return GST_ELEMENT(gate);
}

void kerb_gate_open(KerbGate *gate, GstElement *mouth)
{
    g_mutex_lock(&gate->lock);
    GstElement *was = gate->mouth;
    gate->mouth = mouth ? gst_object_ref(mouth) : NULL;
    g_mutex_unlock(&gate->lock);
    if (was) gst_object_unref(was);
}

void kerb_gate_end(KerbGate *gate)
{
    kerb_gate_open(gate, NULL);
    g_mutex_lock(&gate->passing);
    kerb_gate_begin(gate);
    gst_pad_push_event(gate->src, gst_event_new_eos());
    g_mutex_unlock(&gate->passing);
}

/* --------------------------------------------------------------------------------------------------------------- mouth */

/* The caps go on at once, so that those behind can answer the allocation query that follows. */
static gboolean kerb_mouth_caps(KerbMouth *mouth, GstEvent *event)
{
    KerbGate *gate = mouth->gate;
    GstCaps *caps;
    gboolean ok = TRUE;
    gst_event_parse_caps(event, &caps);
    g_mutex_lock(&gate->passing);
    if (kerb_gate_is_open_for(gate, mouth)) {
        kerb_gate_begin(gate);
        if (!gate->caps || !gst_caps_is_equal(gate->caps, caps)) {
            ok = gst_pad_push_event(gate->src, gst_event_new_caps(caps));
            gst_caps_replace(&gate->caps, caps);
        }
    }
    g_mutex_unlock(&gate->passing);
    return ok;
}

static gboolean kerb_mouth_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    KerbMouth *mouth = KERB_MOUTH(parent);
    gboolean ok = TRUE;
    if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) ok = kerb_mouth_caps(mouth, event);
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT) gst_event_copy_segment(event, &mouth->segment);
    if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) mouth->calls.ended(mouth->user);
    gst_event_unref(event);
    return ok;
}

/* How many buffers a source shall have beyond what those behind hold, so that it need not drop frames while they are busy for a moment. */
static void kerb_mouth_add_buffers(GstQuery *query)
{
    for (guint i = 0; i < gst_query_get_n_allocation_pools(query); i++) {
        GstBufferPool *pool;
        guint size, least, most;
        gst_query_parse_nth_allocation_pool(query, i, &pool, &size, &least, &most);
        least += KERB_GATE_BUFFERS;
        gst_query_set_nth_allocation_pool(query, i, pool, size, least, most ? MAX(most, least) : 0);
        gst_clear_object(&pool);
    }
}

static gboolean kerb_mouth_allocation(KerbMouth *mouth, GstQuery *query)
{
    if (!kerb_gate_is_open_for(mouth->gate, mouth)) return FALSE;
    gboolean answered = gst_pad_peer_query(mouth->gate->src, query);
    kerb_mouth_add_buffers(query);
    return answered;
}

static gboolean kerb_mouth_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    KerbMouth *mouth = KERB_MOUTH(parent);
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_CAPS:
    case GST_QUERY_ACCEPT_CAPS: return gst_pad_peer_query(mouth->gate->src, query);
    case GST_QUERY_ALLOCATION: return kerb_mouth_allocation(mouth, query);
    default: return gst_pad_query_default(pad, parent, query);
    }
}

/* How old frames are when they come to the mouth, for those behind. */
static void kerb_mouth_latency(KerbMouth *mouth)
{
    GstQuery *query = gst_query_new_latency();
    GstClockTime least = 0;
    mouth->asked_latency = TRUE;
    if (gst_pad_peer_query(mouth->sink, query)) gst_query_parse_latency(query, NULL, &least, NULL);
    gst_query_unref(query);
    g_mutex_lock(&mouth->gate->lock);
    gboolean changed = GST_CLOCK_TIME_IS_VALID(least) && least != mouth->gate->latency;
    if (changed) mouth->gate->latency = least;
    g_mutex_unlock(&mouth->gate->lock);
    if (changed) gst_element_post_message(GST_ELEMENT(mouth->gate), gst_message_new_latency(GST_OBJECT(mouth->gate)));
}

/* The running time now, in the gate's pipeline. */
static GstClockTime kerb_gate_now(KerbGate *gate)
{
    GstClock *clock = gst_element_get_clock(GST_ELEMENT(gate));
    GstClockTime now = clock ? gst_clock_get_time(clock) : 0, base = gst_element_get_base_time(GST_ELEMENT(gate));
    gst_clear_object(&clock);
    return now > base ? now - base : 0;
}

/* One clock, two base times (the gate's moves with every pause). */
static GstClockTime kerb_mouth_time(KerbMouth *mouth, GstBuffer *buffer)
{
    guint64 time = GST_CLOCK_TIME_NONE;
    if (mouth->segment.format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer))
        time = gst_segment_to_running_time(&mouth->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    if (!GST_CLOCK_TIME_IS_VALID(time)) return kerb_gate_now(mouth->gate);
    time += gst_element_get_base_time(GST_ELEMENT(mouth));
    GstClockTime base = gst_element_get_base_time(GST_ELEMENT(mouth->gate));
    return time > base ? time - base : 0;
}

static GstFlowReturn kerb_mouth_chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    KerbMouth *mouth = KERB_MOUTH(parent);
    KerbGate *gate = mouth->gate;
    GstFlowReturn flow = GST_FLOW_FLUSHING;
    if (!mouth->asked_latency) kerb_mouth_latency(mouth);
    GstClockTime time = kerb_mouth_time(mouth, buffer);
    g_mutex_lock(&gate->passing);
    gboolean open = kerb_gate_is_open_for(gate, mouth);
    if (open) {
        buffer = gst_buffer_make_writable(buffer); /* the last owner is asked: nothing is copied */
        GST_BUFFER_PTS(buffer) = time;
        GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_NONE;
        kerb_gate_segment(gate);
        mouth->calls.frame(mouth->user, time, TRUE);
        flow = gst_pad_push(gate->src, buffer);
    } else {
        gst_buffer_unref(buffer);
    }
    g_mutex_unlock(&gate->passing);
    if (open) mouth->calls.frame(mouth->user, time, FALSE);
    /* NOT_LINKED would make an error of an end. */
    return flow == GST_FLOW_OK ? flow : flow == GST_FLOW_EOS ? GST_FLOW_EOS : GST_FLOW_FLUSHING;
}

static void kerb_mouth_finalize(GObject *object)
{
    KerbMouth *mouth = KERB_MOUTH(object);
    mouth->calls.freed(mouth->user);
    gst_clear_object(&mouth->gate);
    G_OBJECT_CLASS(kerb_mouth_parent_class)->finalize(object);
}

static void kerb_mouth_class_init(KerbMouthClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = kerb_mouth_finalize;
    gst_element_class_add_static_pad_template(GST_ELEMENT_CLASS(klass), &kerb_mouth_template);
    gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(klass), "Kerb mouth", "Generic", "Where a feed goes through a gate", "Kerb");
}

static void kerb_mouth_init(KerbMouth *mouth)
{
    mouth->sink = gst_pad_new_from_static_template(&kerb_mouth_template, "sink");
    gst_pad_set_chain_function(mouth->sink, kerb_mouth_chain);
    gst_pad_set_event_function(mouth->sink, kerb_mouth_event);
    gst_pad_set_query_function(mouth->sink, kerb_mouth_query);
    gst_element_add_pad(GST_ELEMENT(mouth), mouth->sink);
    gst_segment_init(&mouth->segment, GST_FORMAT_TIME);
}

GstElement *kerb_mouth_new(KerbGate *gate, const KerbMouthCalls *calls, gpointer user)
{
    KerbMouth *mouth = g_object_new(kerb_mouth_get_type(), NULL);
    mouth->gate = gst_object_ref(gate);
    mouth->calls = *calls;
    mouth->user = user;
    return GST_ELEMENT(mouth);
}
