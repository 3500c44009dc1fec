/* SPDX-License-Identifier: MIT */
/* Time without a viewer's jumps, paint by kerboverlay, the rest is the recorder's; see view_record.h. */
#include "view_record.h"
#include "recording.h"
#include "say.h"

struct KerbViewRecord {
    KerbRecording *recording;
    GstElement *overlay;
    gchar *path;
    GMutex lock; /* guards what follows */
    gboolean jumped;
    gint64 offset_ns, last_ns; /* recorded time = running time + offset */
    GstClockTime duration_ns;
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

void kerb_view_record_frame(KerbViewRecord *r, GstBuffer *buffer, GstPad *pad)
{
    g_mutex_lock(&r->lock);
    if (!buffer) r->jumped = TRUE;
    g_mutex_unlock(&r->lock);
    if (!buffer) return;
    GstEvent *event = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
    const GstSegment *segment = NULL;
    if (event) gst_event_parse_segment(event, &segment);
    guint64 running = segment ? gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer)) : GST_CLOCK_TIME_NONE;
    gst_clear_event(&event);
    g_mutex_lock(&r->lock);
    if (GST_BUFFER_DURATION_IS_VALID(buffer)) r->duration_ns = GST_BUFFER_DURATION(buffer);
    if (!GST_CLOCK_TIME_IS_VALID(running)) running = (guint64)(r->last_ns - r->offset_ns) + r->duration_ns;
    gint64 time_ns = kerb_view_record_time(r, (gint64)running);
    g_mutex_unlock(&r->lock);
    GstCaps *caps = gst_pad_get_current_caps(pad);
    if (caps) kerb_recording_push(r->recording, buffer, caps, (GstClockTime)time_ns);
    gst_clear_caps(&caps);
}

/* --------------------------------------------------------------------------------------------------------------- making */

KerbViewRecord *kerb_view_record_new(const gchar *path, KerbSource *source, const KerbOptions *options, int *exit_code)
{
    *exit_code = KERB_EXIT_INTERNAL;
    GstElement *overlay = kerb_element("kerboverlay");
    if (!overlay) return NULL;
    gst_object_ref_sink(overlay);
    KerbRecordingSettings settings = { .path = path, .live = source->live, .labels = TRUE, .facts = TRUE, .painter = overlay, .model = options->model,
                                       .card = options->card };
    KerbRecording *recording = kerb_recording_start(&settings, exit_code);
    if (!recording) {
        gst_object_unref(overlay);
        return NULL;
    }
    KerbViewRecord *r = g_new0(KerbViewRecord, 1);
    g_mutex_init(&r->lock);
    r->recording = recording;
    r->overlay = overlay;
    r->path = g_strdup(path);
    r->last_ns = -1;
    r->duration_ns = GST_SECOND / 25;
    return r;
}

void kerb_view_record_display(KerbViewRecord *r, const KerbDisplay *display, const KerbClass *classes, int n_classes)
{
    GString *names = g_string_new(n_classes ? NULL : "all"); /* none is known yet */
    for (int i = 0; i < n_classes; i++)
        if (display->enabled[i]) g_string_append_printf(names, "%s%d", names->len ? "," : "", i);
    g_object_set(r->overlay, "alpha", (gdouble)display->alpha, "visualize", (gint)display->visualize, "selected-classes", names->len ? names->str : "none", NULL);
    g_string_free(names, TRUE);
}

/* --------------------------------------------------------------------------------------------------------------- the end */

void kerb_view_record_finish(KerbViewRecord *r)
{
    kerb_recording_end(r->recording);
}

KerbViewRecordPoll kerb_view_record_poll(KerbViewRecord *r, gchar **why)
{
    KerbRecordingStats stats;
    kerb_recording_get_stats(r->recording, &stats);
    if (!stats.ended) return KERB_VIEW_RECORD_RUNS;
    if (!stats.exit_code) return KERB_VIEW_RECORD_DONE;
    *why = kerb_recording_why(r->recording);
    return KERB_VIEW_RECORD_FAILED;
}

KerbViewRecordState kerb_view_record_state(KerbViewRecord *r)
{
    KerbRecordingStats stats;
    kerb_recording_get_stats(r->recording, &stats);
    return (KerbViewRecordState){ .seconds = stats.seconds, .frames = stats.frames - stats.left_out, .lost = stats.left_out + stats.unencoded, .fps = stats.encode_fps };
}

const gchar *kerb_view_record_path(const KerbViewRecord *r)
{
    return r->path;
}

gboolean kerb_view_record_free(KerbViewRecord **record)
{
    KerbViewRecord *r = *record;
    KerbRecordingStats stats;
    *record = NULL;
    if (!r) return FALSE;
    kerb_recording_get_stats(r->recording, &stats);
    if (stats.ended)
        kerb_recording_free(&r->recording);
    else
        kerb_recording_abandon(r->recording); /* what holds it up would hold up the process, which is ending */
    gst_clear_object(&r->overlay);
    g_mutex_clear(&r->lock);
    g_free(r->path);
    g_free(r);
    return stats.written > 0;
}
