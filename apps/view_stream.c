/* SPDX-License-Identifier: MIT */
/* The pipeline behind the window; see view_stream.h. */
#include "view_stream.h"
#include "progress.h"
#include "fault.h"
#include "options_live.h"
#include "say.h"

#include <string.h>

/* -------------------------------------------------------------------------------------------------------------- frames */

static void kerb_view_drop(GstSample **sample)
{
    if (*sample) gst_sample_unref(*sample);
    *sample = NULL;
}

void kerb_view_frame_clear(KerbViewFrame *frame)
{
    if (!frame->sample) return;
    if (frame->confidence.data) gst_buffer_unmap(frame->meta->confidence, &frame->confidence);
    if (frame->meta) gst_buffer_unmap(frame->meta->labels, &frame->labels);
    gst_video_frame_unmap(&frame->mapped);
    gst_sample_unref(frame->sample);
    *frame = (KerbViewFrame){ 0 };
}

static gboolean kerb_view_map_holds(const KerbSegMeta *meta, const GstMapInfo *map)
{
    return map->size >= (gsize)(meta->height - 1) * (gsize)meta->stride + (gsize)meta->width;
}

gboolean kerb_view_frame_take(KerbViewFrame *frame, GstSample *sample)
{
    GstVideoInfo info;
    kerb_view_frame_clear(frame);
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) || !gst_video_frame_map(&frame->mapped, &info, buffer, GST_MAP_READ)) {
        gst_sample_unref(sample);
        return FALSE;
    }
    frame->sample = sample;
    frame->time_ns = kerb_view_sample_time_ns(sample);
    frame->running_ns = kerb_view_sample_running_ns(sample);
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    if (!meta || meta->width != info.width || meta->height != info.height || !gst_buffer_map(meta->labels, &frame->labels, GST_MAP_READ)) return TRUE;
    if (!kerb_view_map_holds(meta, &frame->labels)) {
        gst_buffer_unmap(meta->labels, &frame->labels);
        return TRUE;
    }
    frame->meta = meta;
    if (meta->confidence && gst_buffer_map(meta->confidence, &frame->confidence, GST_MAP_READ) && !kerb_view_map_holds(meta, &frame->confidence)) {
        gst_buffer_unmap(meta->confidence, &frame->confidence);
        frame->confidence = (GstMapInfo){ 0 };
    }
    return TRUE;
}

/* A decoder that was sought into the middle of a frame gives the rest of it: where the frame began is told by how little is left. */
static GstClockTime kerb_view_sample_pts(GstSample *sample)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstClockTime pts = GST_BUFFER_PTS(buffer);
    gint n = 0, d = 1;
    if (!GST_CLOCK_TIME_IS_VALID(pts) || pts != gst_sample_get_segment(sample)->start || !GST_BUFFER_DURATION_IS_VALID(buffer)) return pts;
    gst_structure_get_fraction(gst_caps_get_structure(gst_sample_get_caps(sample), 0), "framerate", &n, &d);
    GstClockTime whole = n > 0 ? gst_util_uint64_scale_int(GST_SECOND, d, n) : 0, left = GST_BUFFER_DURATION(buffer);
    return left < whole && pts > whole - left ? pts - (whole - left) : pts;
}

gint64 kerb_view_sample_time_ns(GstSample *sample)
{
    GstClockTime pts = kerb_view_sample_pts(sample);
    guint64 time = gst_segment_to_stream_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, pts);
    return GST_CLOCK_TIME_IS_VALID(time) ? (gint64)time : GST_CLOCK_TIME_IS_VALID(pts) ? (gint64)pts : 0;
}

gint64 kerb_view_sample_running_ns(GstSample *sample)
{
    guint64 time = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(gst_sample_get_buffer(sample)));
    return GST_CLOCK_TIME_IS_VALID(time) ? (gint64)time : 0;
}

/* ------------------------------------------------------------------------------------------------------------- building */

static GstPadProbeReturn kerb_view_stream_tap(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbViewStream *s = user;
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER)
        s->tap(s->tap_user, GST_PAD_PROBE_INFO_BUFFER(info), pad);
    else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_FLUSH_STOP)
        s->tap(s->tap_user, NULL, pad);
    return GST_PAD_PROBE_OK;
}

static gboolean kerb_view_stream_build(KerbViewStream *s, const KerbOptions *options)
{
    s->pipeline = gst_pipeline_new("view");
    if (!options->quiet) kerb_progress_watch(s->pipeline);
    s->kerbseg = kerb_element("kerbseg");
    s->sink = kerb_element("appsink");
    if (!s->kerbseg || !s->sink) return FALSE;
    kerb_options_apply(options, s->kerbseg);
    g_object_set(s->kerbseg, "selected-classes", "all", NULL);
    gst_util_set_object_arg(G_OBJECT(s->kerbseg), "visualize", "none");
    kerb_options_apply_live(options, s->source->live, s->kerbseg);
    g_object_set(s->sink, "sync", FALSE, "max-buffers", s->source->live ? 1u : 2u, "drop", s->source->live, "enable-last-sample", FALSE, NULL);
    gst_bin_add_many(GST_BIN(s->pipeline), s->source->bin, s->kerbseg, s->sink, NULL);
    if (!gst_element_link_many(s->source->bin, s->kerbseg, s->sink, NULL)) return FALSE;
    GstPad *out = gst_element_get_static_pad(s->kerbseg, "src");
    gst_pad_add_probe(out, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_FLUSH, kerb_view_stream_tap, s, NULL);
    gst_object_unref(out);
    return TRUE;
}

KerbViewStream *kerb_view_stream_new(const gchar *source, const KerbOptions *options, KerbViewTapFn tap, gpointer tap_user, int *exit_code)
{
    KerbViewStream *s = g_new0(KerbViewStream, 1);
    s->tap = tap;
    s->tap_user = tap_user;
    s->back_from_ns = -1;
    s->source = kerb_source_new_live(source, options->rate, 0, &options->supervision, exit_code);
    if (s->source && !kerb_view_stream_build(s, options)) {
        *exit_code = KERB_EXIT_INTERNAL;
        kerb_source_free(&s->source);
    }
    if (!s->source) kerb_view_stream_free(&s);
    return s;
}

static gpointer kerb_view_stream_play(gpointer user)
{
    KerbViewStream *s = user;
    gst_element_set_state(s->pipeline, GST_STATE_PLAYING); /* a failure posts an error */
    g_atomic_int_set(&s->started, 1);
    return NULL;
}

void kerb_view_stream_start(KerbViewStream *s)
{
    s->began_us = g_get_monotonic_time();
    s->starter = g_thread_new("kerb-start", kerb_view_stream_play, s);
}

void kerb_view_stream_free(KerbViewStream **stream)
{
    KerbViewStream *s = *stream;
    if (!s) return;
    if (s->starter) g_thread_join(s->starter); /* first, lest it starts what was stopped */
    kerb_view_drop(&s->next);
    kerb_view_drop(&s->before);
    if (s->pipeline) gst_element_set_state(s->pipeline, GST_STATE_NULL);
    gst_clear_object(&s->pipeline);
    kerb_source_free(&s->source);
    g_clear_pointer(stream, g_free);
}

/* -------------------------------------------------------------------------------------------------------------- pulling */

/* Stepping back: all that comes before the frame from where it goes is looked at, and the last of it is what was meant. */
static void kerb_view_stream_settle_back(KerbViewStream *s, gboolean over)
{
    gboolean reached = s->next && kerb_view_sample_time_ns(s->next) >= s->back_from_ns;
    if (s->next && !reached) {
        kerb_view_drop(&s->before);
        s->before = g_steal_pointer(&s->next);
        return;
    }
    if (!reached && !over) return;
    gint64 from = s->back_from_ns, sought = s->sought_ns;
    s->back_from_ns = -1;
    if (s->before) return; /* given out before `next` */
    if (sought > 0) {      /* too late: once more from farther back */
        kerb_view_drop(&s->next);
        kerb_view_stream_seek(s, sought - GST_SECOND);
        s->back_from_ns = from;
    }
}

/* The sink's own sample is not kept: the sink writes into it when it is sought in (GStreamer 1.22). */
static GstSample *kerb_view_stream_pull(KerbViewStream *s, GstClockTime wait_ns)
{
    GstSample *of_sink = gst_app_sink_try_pull_sample(GST_APP_SINK(s->sink), wait_ns);
    if (!of_sink) return NULL;
    GstSample *sample = gst_sample_new(gst_sample_get_buffer(of_sink), gst_sample_get_caps(of_sink), gst_sample_get_segment(of_sink), NULL);
    gst_sample_unref(of_sink);
    return sample;
}

GstSample *kerb_view_stream_peek(KerbViewStream *s, GstClockTime wait_ns)
{
    if (s->back_from_ns < 0 && s->before) return s->before;
    if (!s->next) {
        s->next = kerb_view_stream_pull(s, wait_ns);
        if (s->back_from_ns >= 0) kerb_view_stream_settle_back(s, !s->next && g_atomic_int_get(&s->started) && gst_app_sink_is_eos(GST_APP_SINK(s->sink)));
    }
    if (s->back_from_ns >= 0) return NULL;
    return s->before ? s->before : s->next;
}

GstSample *kerb_view_stream_take(KerbViewStream *s)
{
    s->seeking = FALSE;
    return s->before ? g_steal_pointer(&s->before) : g_steal_pointer(&s->next);
}

gboolean kerb_view_stream_is_over(KerbViewStream *s)
{
    /* A sink that has not begun says that it is at the end. */
    return g_atomic_int_get(&s->started) && !s->next && !s->before && s->back_from_ns < 0 && gst_app_sink_is_eos(GST_APP_SINK(s->sink));
}

/* -------------------------------------------------------------------------------------------------------------- seeking */

gboolean kerb_view_stream_can_seek(KerbViewStream *s)
{
    gboolean can = FALSE;
    GstQuery *query = gst_query_new_seeking(GST_FORMAT_TIME);
    if (!s->source->live && gst_element_query(s->pipeline, query)) gst_query_parse_seeking(query, NULL, &can, NULL, NULL);
    gst_query_unref(query);
    return can;
}

gint64 kerb_view_stream_length_ns(KerbViewStream *s)
{
    gint64 length = 0;
    return !s->source->live && gst_element_query_duration(s->pipeline, GST_FORMAT_TIME, &length) && length > 0 ? length : 0;
}

static gint64 kerb_view_stream_frame_ns(KerbViewStream *s)
{
    gdouble fps = kerb_source_fps(s->source, NULL, NULL);
    return fps > 0 ? (gint64)(1e9 / fps) : (gint64)GST_SECOND / 25;
}

gboolean kerb_view_stream_seek(KerbViewStream *s, gint64 time_ns)
{
    gint64 length = kerb_view_stream_length_ns(s), last = length - kerb_view_stream_frame_ns(s);
    s->sought_ns = MAX(length > 0 ? MIN(time_ns, last) : time_ns, 0);
    s->back_from_ns = -1;
    kerb_view_drop(&s->next);
    kerb_view_drop(&s->before);
    if (!gst_element_seek_simple(s->pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, s->sought_ns)) return FALSE;
    s->seeking = TRUE;
    return TRUE;
}

gboolean kerb_view_stream_back(KerbViewStream *s, gint64 from_ns)
{
    gint64 frame_ns = kerb_view_stream_frame_ns(s);
    /* A decoder gives the frame in whose time the seek lands, at the time of the seek: half a frame before the one that is meant lands in the one before. */
    if (!kerb_view_stream_seek(s, from_ns - frame_ns - frame_ns / 2)) return FALSE;
    s->back_from_ns = from_ns;
    return TRUE;
}

gint64 kerb_view_stream_now_ns(KerbViewStream *s)
{
    GstClock *clock = gst_pipeline_get_clock(GST_PIPELINE(s->pipeline));
    GstClockTime base = gst_element_get_base_time(s->pipeline);
    if (!clock) return -1;
    GstClockTime now = gst_clock_get_time(clock);
    gst_object_unref(clock);
    return now >= base ? (gint64)(now - base) : -1;
}
