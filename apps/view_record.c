/* SPDX-License-Identifier: MIT */
/* appsrc -> kerboverlay -> recording; see view_record.h. */
#include "view_record.h"
#include "recording.h"
#include "say.h"

#include <gst/app/app.h>

/* Frames that wait for the encoder, at most. More would keep too many of a camera's buffers. */
#define MOST_WAITING 16

struct KerbViewRecord {
    GstElement *pipeline, *appsrc, *overlay;
    KerbRecording *recording;
    KerbSource *source;
    KerbFault fault;
    gchar *path;
    GMutex lock; /* guards what follows */
    GCond changed;
    gboolean failed, finished, has_caps, jumped;
    guint waiting;
    gint64 offset_ns, last_ns; /* recorded time = running time + offset */
    GstClockTime duration_ns;
    KerbViewRecordState state;
    gint64 since_us;
    guint64 since_frames;
};

/* --------------------------------------------------------------------------------------------------------------- frames */

/* Recorded time: without the jumps of a viewer who seeks. Lock held. */
static gint64 kerb_view_record_time(KerbViewRecord *r, gint64 running_ns)
{
    gboolean first = r->last_ns < 0;
    if (first) r->offset_ns = -running_ns;
    if (!first && (r->jumped || running_ns + r->offset_ns <= r->last_ns)) r->offset_ns = r->last_ns + (gint64)r->duration_ns - running_ns;
    r->jumped = FALSE;
    r->last_ns = running_ns + r->offset_ns;
    return r->last_ns;
}

/* Waits until there is room (files) or gives up (live). Lock held. */
static gboolean kerb_view_record_has_room(KerbViewRecord *r)
{
    while (!r->source->live && r->waiting >= MOST_WAITING && !r->failed && !r->finished) g_cond_wait(&r->changed, &r->lock);
    if (r->waiting < MOST_WAITING) return !r->failed && !r->finished;
    r->state.lost++;
    return FALSE;
}

void kerb_view_record_frame(KerbViewRecord *r, GstBuffer *buffer, GstPad *pad)
{
    g_mutex_lock(&r->lock);
    if (!buffer) r->jumped = TRUE;
    gboolean take = buffer && kerb_view_record_has_room(r);
    if (!take) {
        g_mutex_unlock(&r->lock);
        return;
    }
    GstEvent *event = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
    const GstSegment *segment = NULL;
    if (event) gst_event_parse_segment(event, &segment);
    guint64 running = segment ? gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer)) : GST_CLOCK_TIME_NONE;
    if (GST_BUFFER_DURATION_IS_VALID(buffer)) r->duration_ns = GST_BUFFER_DURATION(buffer);
    if (!GST_CLOCK_TIME_IS_VALID(running)) running = (guint64)(r->last_ns - r->offset_ns) + r->duration_ns;
    gint64 time_ns = kerb_view_record_time(r, (gint64)running);
    gboolean tell_caps = !r->has_caps;
    r->has_caps = TRUE;
    r->waiting++;
    r->state.seconds = (gdouble)(time_ns + (gint64)r->duration_ns) / 1e9;
    g_mutex_unlock(&r->lock);
    gst_clear_event(&event);
    if (tell_caps) {
        GstCaps *caps = gst_pad_get_current_caps(pad);
        gst_app_src_set_caps(GST_APP_SRC(r->appsrc), caps);
        gst_clear_caps(&caps);
    }
    GstBuffer *copy = gst_buffer_copy(buffer); /* shares pictures and metadata */
    GST_BUFFER_PTS(copy) = (GstClockTime)time_ns;
    GST_BUFFER_DTS(copy) = GST_CLOCK_TIME_NONE;
    gst_app_src_push_buffer(GST_APP_SRC(r->appsrc), copy);
}

/* The encoder takes a frame. The recording's streaming thread. */
static GstPadProbeReturn kerb_view_record_taken(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbViewRecord *r = user;
    gint64 now = g_get_monotonic_time();
    g_mutex_lock(&r->lock);
    r->waiting -= r->waiting > 0;
    r->state.frames++;
    if (!r->since_us) r->since_us = now, r->since_frames = r->state.frames;
    if (now - r->since_us >= G_USEC_PER_SEC) {
        r->state.fps = (gdouble)(r->state.frames - r->since_frames) * 1e6 / (gdouble)(now - r->since_us);
        r->since_us = now;
        r->since_frames = r->state.frames;
    }
    g_cond_broadcast(&r->changed);
    g_mutex_unlock(&r->lock);
    return GST_PAD_PROBE_OK;
}

/* An error frees who waits for room, at once: the main thread may be waiting for the same. */
static GstBusSyncReply kerb_view_record_sync(GstBus *bus, GstMessage *message, gpointer user)
{
    KerbViewRecord *r = user;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        g_mutex_lock(&r->lock);
        r->failed = TRUE;
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
    }
    return GST_BUS_PASS;
}

/* --------------------------------------------------------------------------------------------------------------- making */

static gboolean kerb_view_record_build(KerbViewRecord *r, int *exit_code)
{
    *exit_code = KERB_EXIT_INTERNAL;
    r->appsrc = kerb_element("appsrc");
    r->overlay = kerb_element("kerboverlay");
    if (!r->appsrc || !r->overlay) return FALSE;
    g_object_set(r->appsrc, "format", GST_FORMAT_TIME, "max-bytes", (guint64)0, "is-live", FALSE, NULL);
    gst_bin_add_many(GST_BIN(r->pipeline), r->appsrc, r->overlay, NULL);
    r->recording = kerb_recording_new(GST_BIN(r->pipeline), KERB_RECORDING_VIDEO, r->path, FALSE, exit_code);
    if (!r->recording || !gst_element_link_many(r->appsrc, r->overlay, r->recording->head, NULL)) return FALSE;
    GstPad *pad = gst_element_get_static_pad(r->overlay, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_view_record_taken, r, NULL);
    gst_object_unref(pad);
    GstBus *bus = gst_element_get_bus(r->pipeline);
    gst_bus_set_sync_handler(bus, kerb_view_record_sync, r, NULL);
    gst_object_unref(bus);
    return gst_element_set_state(r->pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
}

KerbViewRecord *kerb_view_record_new(const gchar *path, KerbSource *source, int *exit_code)
{
    *exit_code = kerb_recording_check(path, FALSE, NULL);
    if (*exit_code) return NULL;
    KerbViewRecord *r = g_new0(KerbViewRecord, 1);
    g_mutex_init(&r->lock);
    g_cond_init(&r->changed);
    r->path = g_strdup(path);
    r->source = source;
    r->last_ns = -1;
    r->duration_ns = GST_SECOND / 25;
    r->pipeline = gst_object_ref_sink(gst_pipeline_new("recording"));
    if (!kerb_view_record_build(r, exit_code)) kerb_view_record_free(&r);
    return r;
}

void kerb_view_record_display(KerbViewRecord *r, const KerbDisplay *display, const KerbClass *classes, int n_classes)
{
    GString *names = g_string_new(NULL);
    for (int i = 0; i < n_classes; i++)
        if (display->enabled[i]) g_string_append_printf(names, "%s%d", names->len ? "," : "", i);
    g_object_set(r->overlay, "alpha", (gdouble)display->alpha, "visualize", (gint)display->visualize, "selected-classes", names->len ? names->str : "none", NULL);
    g_string_free(names, TRUE);
}

/* --------------------------------------------------------------------------------------------------------------- the end */

void kerb_view_record_finish(KerbViewRecord *r)
{
    g_mutex_lock(&r->lock);
    gboolean again = r->finished;
    r->finished = TRUE;
    g_cond_broadcast(&r->changed);
    g_mutex_unlock(&r->lock);
    if (!again) gst_app_src_end_of_stream(GST_APP_SRC(r->appsrc));
}

KerbViewRecordPoll kerb_view_record_poll(KerbViewRecord *r, gchar **why)
{
    GstBus *bus = gst_element_get_bus(r->pipeline);
    GstMessage *message;
    gboolean done = FALSE;
    while ((message = gst_bus_pop(bus))) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) kerb_fault_read(&r->fault, message, r->source, r->path);
        done |= GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    if (r->fault.side == KERB_FAULT_NONE) return done ? KERB_VIEW_RECORD_DONE : KERB_VIEW_RECORD_RUNS;
    *why = g_strdup(r->fault.text);
    return KERB_VIEW_RECORD_FAILED;
}

KerbViewRecordState kerb_view_record_state(KerbViewRecord *r)
{
    g_mutex_lock(&r->lock);
    KerbViewRecordState state = r->state;
    g_mutex_unlock(&r->lock);
    return state;
}

const gchar *kerb_view_record_path(const KerbViewRecord *r)
{
    return r->path;
}

gboolean kerb_view_record_free(KerbViewRecord **record)
{
    KerbViewRecord *r = *record;
    *record = NULL;
    if (!r) return FALSE;
    gst_element_set_state(r->pipeline, GST_STATE_NULL);
    gboolean there = kerb_recording_close(&r->recording);
    gst_clear_object(&r->pipeline);
    kerb_fault_clear(&r->fault);
    g_mutex_clear(&r->lock);
    g_cond_clear(&r->changed);
    g_free(r->path);
    g_free(r);
    return there;
}
