/* SPDX-License-Identifier: MIT */
/* SOURCE as a bin; see source.h. */
#include "source.h"
#include "gate.h"
#include "say.h"

#include <glib/gstdio.h>
#include <gst/pbutils/pbutils.h>
#include <math.h>
#include <string.h>

#define KERB_FORMATS "{ I420, NV12, YV12, NV21, YUY2, UYVY, RGB, BGR, RGBx, BGRx, RGBA, BGRA, GRAY8 }"
/* A file whose frames are over so much before its end is cut. */
#define CUT_S 0.5
/* Packets of which decoders hold pictures back, at most. */
#define MOST_CODED 256
/* Audio that Matroska holds as it is. */
#define COPIED_AUDIO_CAPS                                                                                                                  \
    "audio/mpeg, mpegversion = (int) 4, framed = (boolean) true, stream-format = (string) raw; audio/mpeg, mpegversion = (int) 1, parsed = "    \
    "(boolean) true; audio/x-opus; audio/x-vorbis; audio/x-ac3, framed = (boolean) true; audio/x-flac, framed = (boolean) true"

/* ----------------------------------------------------------------------------------------------- what passes: time, size */

/* The caps that all frames shall have from now on: the first frame's but for the frame rate, which no element can change. */
static void kerb_source_lock_caps(KerbSource *s, GstCaps *caps)
{
    GstCaps *wanted = gst_caps_copy(caps), *all = gst_caps_from_string("video/x-raw, format = (string) " KERB_FORMATS);
    GstStructure *of = gst_caps_get_structure(wanted, 0);
    gst_structure_remove_fields(of, "framerate", "max-framerate", "interlace-mode", "field-order", "multiview-mode", "multiview-flags", "views", NULL);
    if (!gst_caps_can_intersect(wanted, all)) { /* 10 bits, planar RGB and the like: converted to what is nearest, size kept */
        gst_structure_remove_fields(of, "colorimetry", "chroma-site", NULL);
        GstVideoFormat format = s->first.finfo->format;
        gboolean gray = GST_VIDEO_FORMAT_INFO_IS_GRAY(s->first.finfo), rgb = GST_VIDEO_FORMAT_INFO_IS_RGB(s->first.finfo);
        gst_structure_set(of, "format", G_TYPE_STRING, gray ? "GRAY8" : rgb ? "RGBx" : "I420", NULL);
        GST_DEBUG("%s is converted", gst_video_format_to_string(format));
    }
    g_object_set(s->fit, "caps", wanted, NULL);
    gst_caps_unref(all);
    gst_caps_unref(wanted);
}

/* Caps on their way into the bin. The first ones are what all frames are fitted to; later ones take the first frame rate (time stamps say the truth),
 * so that a recording of one track can go on. */
static void kerb_source_caps(KerbSource *s, GstPadProbeInfo *info)
{
    GstCaps *caps;
    GstVideoInfo v;
    gst_event_parse_caps(GST_PAD_PROBE_INFO_EVENT(info), &caps);
    if (!gst_video_info_from_caps(&v, caps)) return;
    g_mutex_lock(&s->lock);
    gboolean is_first = !s->first.width;
    gint was_width = s->width, was_height = s->height;
    if (is_first) s->first = v;
    s->width = v.width;
    s->height = v.height;
    gint width = s->first.width, height = s->first.height, fps_n = s->first.fps_n, fps_d = s->first.fps_d;
    gdouble at = GST_CLOCK_TIME_IS_VALID(s->last_time) ? (gdouble)s->last_time / GST_SECOND : 0;
    gboolean say = !is_first && (v.width != was_width || v.height != was_height) && !s->said_size;
    s->said_size |= say;
    g_mutex_unlock(&s->lock);
    if (is_first) kerb_source_lock_caps(s, caps);
    if (say)
        kerb_warn("the picture changes from %d x %d to %d x %d at %.2f s: from there on it is scaled to %d x %d.", was_width, was_height, v.width, v.height, at,
                  width, height);
    if (is_first || (v.fps_n == fps_n && v.fps_d == fps_d)) return;
    GstCaps *same = gst_caps_copy(caps);
    gst_caps_set_simple(same, "framerate", GST_TYPE_FRACTION, fps_n, fps_d, NULL);
    GstEvent *event = gst_event_new_caps(same);
    gst_event_set_seqnum(event, gst_event_get_seqnum(GST_PAD_PROBE_INFO_EVENT(info)));
    gst_event_unref(GST_PAD_PROBE_INFO_EVENT(info));
    GST_PAD_PROBE_INFO_DATA(info) = event;
    gst_caps_unref(same);
}

static GstClockTime kerb_source_frame_duration(const KerbSource *s)
{
    if (s->first.fps_n <= 0 || s->first.fps_d <= 0) return 40 * GST_MSECOND;
    return gst_util_uint64_scale_int(GST_SECOND, s->first.fps_d, s->first.fps_n);
}

/* The next time stamp that went into the decoder, for decoders that lose them (GIF's). NONE: there is none. Lock held. */
static GstClockTime kerb_source_next_coded(KerbSource *s)
{
    GstClockTime next = GST_CLOCK_TIME_NONE;
    for (guint i = s->coded_pts->len; i-- > 0;) {
        GstClockTime pts = g_array_index(s->coded_pts, GstClockTime, i);
        if (GST_CLOCK_TIME_IS_VALID(s->last_pts) && pts <= s->last_pts)
            g_array_remove_index_fast(s->coded_pts, i);
        else
            next = MIN(next, pts);
    }
    return next;
}

/* A time stamp after the one before: raw streams have none, damaged ones jump back. Lock held. */
static GstClockTime kerb_source_pts(KerbSource *s, GstClockTime pts)
{
    GstClockTime coded = kerb_source_next_coded(s);
    gboolean known = GST_CLOCK_TIME_IS_VALID(pts), begun = GST_CLOCK_TIME_IS_VALID(s->last_pts);
    if (known && (!begun || pts > s->last_pts)) return pts;
    if (GST_CLOCK_TIME_IS_VALID(coded)) return coded;
    s->counts.untimed += !known;
    s->counts.retimed += known;
    if (!begun) return s->segment.start;
    return s->last_pts + (known ? GST_MSECOND : kerb_source_frame_duration(s));
}

static GstPadProbeReturn kerb_source_frame(KerbSource *s, GstPadProbeInfo *info)
{
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    g_mutex_lock(&s->lock);
    GstClockTime pts = kerb_source_pts(s, GST_BUFFER_PTS(buffer));
    gboolean retime = pts != GST_BUFFER_PTS(buffer);
    guint64 time = gst_segment_to_running_time(&s->segment, GST_FORMAT_TIME, pts);
    if (!GST_CLOCK_TIME_IS_VALID(time)) time = pts; /* outside the segment: the elements behind will clip it */
    if (!GST_CLOCK_TIME_IS_VALID(s->first_time)) s->first_time = time;
    gboolean over = GST_CLOCK_TIME_IS_VALID(s->limit) && time >= s->first_time + s->limit;
    if (over) {
        s->limit_reached = TRUE;
    } else {
        s->last_time = time;
        s->last_pts = pts;
        s->counts.frames++;
        s->counts.scaled += s->width != s->first.width || s->height != s->first.height;
        s->last_frame_us = g_get_monotonic_time();
    }
    g_mutex_unlock(&s->lock);
    if (over) {
        kerb_source_stop(s);
        gst_buffer_unref(buffer);
        GST_PAD_PROBE_INFO_DATA(info) = NULL;
        GST_PAD_PROBE_INFO_FLOW_RETURN(info) = GST_FLOW_EOS;
        return GST_PAD_PROBE_HANDLED;
    }
    if (retime) {
        buffer = gst_buffer_make_writable(buffer);
        GST_BUFFER_PTS(buffer) = pts;
        GST_PAD_PROBE_INFO_DATA(info) = buffer;
    }
    return GST_PAD_PROBE_OK;
}

/* A file that begins at 1.5 s is recorded from 1.5 s on: running time is its own time. */
static void kerb_source_segment(KerbSource *s, GstPadProbeInfo *info)
{
    GstSegment segment;
    GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
    gst_event_copy_segment(event, &segment);
    if (!s->pts_is_time || segment.format != GST_FORMAT_TIME || segment.base || segment.rate != 1.0) return;
    segment.base = segment.start;
    GstEvent *moved = gst_event_new_segment(&segment);
    gst_event_set_seqnum(moved, gst_event_get_seqnum(event));
    gst_event_unref(event);
    GST_PAD_PROBE_INFO_DATA(info) = moved;
}

static GstPadProbeReturn kerb_source_probe_in(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_CAPS) kerb_source_caps(user, info);
    if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_SEGMENT) kerb_source_segment(user, info);
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn kerb_source_probe_out(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbSource *s = user;
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER) return kerb_source_frame(s, info);
    if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_FLUSH_STOP) { /* after a seek any time stamp may follow */
        g_mutex_lock(&s->lock);
        s->first_time = s->last_time = s->last_pts = GST_CLOCK_TIME_NONE;
        g_array_set_size(s->coded_pts, 0);
        g_mutex_unlock(&s->lock);
    } else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_SEGMENT) {
        g_mutex_lock(&s->lock);
        gst_event_copy_segment(GST_PAD_PROBE_INFO_EVENT(info), &s->segment);
        g_mutex_unlock(&s->lock);
    } else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_EOS && !kerb_source_counts(s).frames) {
        /* Nothing behind the source knows yet what it would have to end. */
        GST_ELEMENT_ERROR(s->bin, STREAM, DECODE, ("%s has no frame that can be decoded.", s->text), (NULL));
    }
    return GST_PAD_PROBE_OK;
}

/* --------------------------------------------------------------------------------------------- what the decoder swallowed */

/* Whether one packet is one picture. Elsewhere (fields, alternate references that are never shown) a difference means nothing. */
static gboolean kerb_source_is_countable(GstPad *pad)
{
    GstCaps *caps = gst_pad_get_current_caps(pad);
    if (!caps) return FALSE;
    const GstStructure *of = gst_caps_get_structure(caps, 0);
    const gchar *mode = gst_structure_get_string(of, "interlace-mode");
    gboolean is = gst_structure_has_name(of, "video/x-h264") || gst_structure_has_name(of, "video/x-h265") || gst_structure_has_name(of, "image/jpeg") ||
                  gst_structure_has_name(of, "video/mpeg");
    gst_caps_unref(caps);
    return is && (!mode || !strcmp(mode, "progressive"));
}

/* Frames outside the segment are decoded for others' sake and never shown. */
static gboolean kerb_source_is_shown(GstPad *pad, GstBuffer *buffer)
{
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DECODE_ONLY)) return FALSE;
    GstEvent *event = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
    gboolean shown = TRUE;
    if (event) {
        const GstSegment *segment;
        gst_event_parse_segment(event, &segment);
        GstClockTime pts = GST_BUFFER_PTS(buffer);
        if (segment->format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID(pts))
            shown = pts >= segment->start && (!GST_CLOCK_TIME_IS_VALID(segment->stop) || pts < segment->stop);
        gst_event_unref(event);
    }
    return shown;
}

static GstPadProbeReturn kerb_source_count_coded(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbSource *s = user;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    if (!kerb_source_is_shown(pad, buffer)) return GST_PAD_PROBE_OK;
    g_mutex_lock(&s->lock);
    if (GST_BUFFER_PTS_IS_VALID(buffer) && s->coded_pts->len < MOST_CODED) g_array_append_val(s->coded_pts, GST_BUFFER_PTS(buffer));
    s->counts.coded += kerb_source_is_countable(pad);
    g_mutex_unlock(&s->lock);
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn kerb_source_count_decoded(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbSource *s = user;
    g_mutex_lock(&s->lock);
    s->counts.decoded++;
    s->counts.damaged += GST_BUFFER_FLAG_IS_SET(GST_PAD_PROBE_INFO_BUFFER(info), GST_BUFFER_FLAG_CORRUPTED) != 0;
    g_mutex_unlock(&s->lock);
    return GST_PAD_PROBE_OK;
}

static void kerb_source_add_probe(KerbSource *s, GstElement *element, const char *name, GstPadProbeType type, GstPadProbeCallback function)
{
    GstPad *pad = gst_element_get_static_pad(element, name);
    if (!pad) return;
    gst_pad_add_probe(pad, type, function, s, NULL);
    gst_object_unref(pad);
}

/* Decoders: go on whatever comes, drop nothing to keep up, and count. */
static void kerb_source_element_added(GstBin *bin, GstBin *sub, GstElement *element, gpointer user)
{
    KerbSource *s = user;
    GObjectClass *klass = G_OBJECT_GET_CLASS(element);
    const gchar *what = gst_element_get_metadata(element, GST_ELEMENT_METADATA_KLASS);
    GstElementFactory *factory = gst_element_get_factory(element);
    GstElementFactory *sub_factory = gst_element_get_factory(GST_ELEMENT(sub));
    if (sub_factory && !strcmp(GST_OBJECT_NAME(sub_factory), "decodebin")) kerb_source_keep_errors(s, element);
    if (factory && !strcmp(GST_OBJECT_NAME(factory), "matroskademux")) s->pts_is_time = TRUE; /* before any data flows */
    if (!what || !strstr(what, "Decoder") || (!strstr(what, "Video") && !strstr(what, "Image"))) return;
    if (g_object_class_find_property(klass, "max-errors")) g_object_set(element, "max-errors", -1, NULL);
    if (g_object_class_find_property(klass, "qos")) g_object_set(element, "qos", FALSE, NULL);
    kerb_source_add_probe(s, element, "sink", GST_PAD_PROBE_TYPE_BUFFER, kerb_source_count_coded);
    kerb_source_add_probe(s, element, "src", GST_PAD_PROBE_TYPE_BUFFER, kerb_source_count_decoded);
}

/* -------------------------------------------------------------------------------------------------------- pads that come */

static GstPadProbeReturn kerb_source_probe_audio(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbSource *s = user;
    if (!(GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER)) {
        if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_SEGMENT) kerb_source_segment(s, info);
        return GST_PAD_PROBE_OK;
    }
    GstEvent *event = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
    const GstSegment *segment;
    gboolean over = FALSE;
    if (!event) return GST_PAD_PROBE_OK;
    gst_event_parse_segment(event, &segment);
    guint64 time = gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info)));
    gst_event_unref(event);
    g_mutex_lock(&s->lock);
    if (GST_CLOCK_TIME_IS_VALID(s->limit) && GST_CLOCK_TIME_IS_VALID(time))
        over = time >= s->limit + (GST_CLOCK_TIME_IS_VALID(s->first_time) ? s->first_time : 0);
    g_mutex_unlock(&s->lock);
    if (!over) return GST_PAD_PROBE_OK;
    gst_buffer_unref(GST_PAD_PROBE_INFO_BUFFER(info));
    GST_PAD_PROBE_INFO_DATA(info) = NULL;
    GST_PAD_PROBE_INFO_FLOW_RETURN(info) = GST_FLOW_EOS;
    return GST_PAD_PROBE_HANDLED;
}

static void kerb_source_audio_pad(KerbSource *s, GstPad *pad)
{
    GstPad *ghost = gst_ghost_pad_new("audio", pad);
    gst_pad_set_active(ghost, TRUE);
    gst_element_add_pad(s->bin, ghost);
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, kerb_source_probe_audio, s, NULL);
    s->audio(s->audio_user, ghost);
}

/* Interlaced pictures have two moments in one frame: the network sees the first, in as many lines as there were. */
static GstElement *kerb_source_deinterlace(KerbSource *s, GstCaps *caps)
{
    const gchar *mode = gst_structure_get_string(gst_caps_get_structure(caps, 0), "interlace-mode");
    if (!mode || !strcmp(mode, "progressive")) return NULL;
    GstElement *element = gst_element_factory_make("deinterlace", NULL);
    if (!element) {
        kerb_warn("the video is interlaced and GStreamer's deinterlace is missing. Install gstreamer1.0-plugins-good.");
        return NULL;
    }
    gst_util_set_object_arg(G_OBJECT(element), "fields", "top");
    gst_bin_add(GST_BIN(s->bin), element);
    gst_element_link(element, s->convert);
    gst_element_sync_state_with_parent(element);
    return element;
}

/* Whether a stream of these caps is to be taken further apart: video is; what is not asked for needs no decoder to be there. */
static gboolean kerb_source_decodes(GstElement *decoder, GstPad *pad, GstCaps *caps, gpointer user)
{
    KerbSource *s = user;
    const gchar *name = gst_structure_get_name(gst_caps_get_structure(caps, 0));
    if (!g_str_has_prefix(name, "audio/")) return !g_str_has_prefix(name, "text/") && !g_str_has_prefix(name, "subpicture/");
    if (!s->audio) return FALSE;
    GstCaps *copied = gst_caps_from_string(COPIED_AUDIO_CAPS);
    gboolean is_copied = gst_caps_can_intersect(caps, copied);
    gst_caps_unref(copied);
    return !is_copied;
}

static void kerb_source_pad_added(GstElement *decoder, GstPad *pad, gpointer user)
{
    KerbSource *s = user;
    GstCaps *caps = gst_pad_get_current_caps(pad);
    if (!caps) caps = gst_pad_query_caps(pad, NULL);
    const gchar *name = gst_structure_get_name(gst_caps_get_structure(caps, 0));
    GstPad *audio = gst_element_get_static_pad(s->bin, "audio");
    g_mutex_lock(&s->lock);
    gboolean is_video = g_str_has_prefix(name, "video/") && !s->has_video;
    s->has_video |= is_video;
    g_mutex_unlock(&s->lock);
    if (is_video) {
        GstElement *deinterlace = kerb_source_deinterlace(s, caps);
        GstPad *sink = gst_element_get_static_pad(deinterlace ? deinterlace : s->convert, "sink");
        gst_pad_link(pad, sink);
        gst_object_unref(sink);
    } else if (s->audio && !audio && g_str_has_prefix(name, "audio/")) {
        kerb_source_audio_pad(s, pad);
    }
    gst_clear_object(&audio);
    gst_caps_unref(caps);
}

static void kerb_source_no_more_pads(GstElement *decoder, gpointer user)
{
    KerbSource *s = user;
    g_mutex_lock(&s->lock);
    gboolean has_video = s->has_video;
    g_mutex_unlock(&s->lock);
    if (!has_video) GST_ELEMENT_ERROR(s->bin, STREAM, FORMAT, ("%s has no video track.", s->text), (NULL));
}

/* ---------------------------------------------------------------------------------------------------------------- making */

static gboolean kerb_source_is_camera(const char *text)
{
    return g_str_has_prefix(text, "/dev/video") || g_str_has_prefix(text, "/dev/v4l/") || g_str_has_prefix(text, "v4l2://");
}

/* A path that is there, or a URI that GStreamer reads. NULL, having said why. */
static gchar *kerb_source_uri(KerbSource *s, int *exit_code)
{
    const char *text = s->text;
    *exit_code = KERB_EXIT_ASSET;
    if (s->kind != KERB_SOURCE_FILE || g_str_has_prefix(text, "file://")) return g_strdup(text);
    GStatBuf st;
    if (g_stat(text, &st)) {
        kerb_say("%s: %s.", text, g_strerror(errno));
        return NULL;
    }
    if (S_ISREG(st.st_mode) && st.st_size == 0) {
        kerb_say("%s is empty (0 bytes).", text);
        return NULL;
    }
    if (g_access(text, R_OK)) {
        kerb_say("%s cannot be read: %s.", text, g_strerror(errno));
        return NULL;
    }
    return gst_filename_to_uri(text, NULL);
}

static GstElement *kerb_source_decoder(KerbSource *s, int *exit_code)
{
    gchar *uri = kerb_source_uri(s, exit_code);
    if (!uri) return NULL;
    GstElement *decoder = gst_element_factory_make("uridecodebin", NULL);
    if (!decoder) {
        kerb_say("GStreamer's uridecodebin is missing. Install gstreamer1.0-plugins-base.");
        *exit_code = KERB_EXIT_INTERNAL;
    } else {
        g_object_set(decoder, "uri", uri, NULL);
        gst_bin_add(GST_BIN(s->bin), decoder);
        g_signal_connect(decoder, "autoplug-continue", G_CALLBACK(kerb_source_decodes), s);
        g_signal_connect(decoder, "pad-added", G_CALLBACK(kerb_source_pad_added), s);
        g_signal_connect(decoder, "no-more-pads", G_CALLBACK(kerb_source_no_more_pads), s);
        g_signal_connect(s->bin, "deep-element-added", G_CALLBACK(kerb_source_element_added), s);
    }
    g_free(uri);
    return decoder;
}

static KerbSourceKind kerb_source_kind(KerbSource *s)
{
    if (g_str_has_prefix(s->text, "test:")) return KERB_SOURCE_TEST;
    if (g_str_has_prefix(s->text, "rtsp")  && strstr(s->text, "://")) return KERB_SOURCE_RTSP;
    if (g_str_has_prefix(s->text, "http://") || g_str_has_prefix(s->text, "https://")) return KERB_SOURCE_HTTP;
    if (kerb_source_is_camera(s->text)) return KERB_SOURCE_CAMERA;
    s->images = kerb_source_image_list(s->text);
    return s->images ? KERB_SOURCE_IMAGES : KERB_SOURCE_FILE;
}

/* A camera has few buffers and does not wait: what holds up those behind for a moment (a file that is opened, a key frame) shall not cost a frame. */
static gboolean kerb_source_supervised(KerbSource *s, int *exit_code)
{
    GstElement *queue = gst_element_factory_make("queue", NULL), *gate = kerb_supervisor_gate(s->supervisor);
    *exit_code = KERB_EXIT_INTERNAL;
    gst_bin_add(GST_BIN(s->bin), gate);
    if (!queue) {
        kerb_say("GStreamer's element queue is missing. Install libgstreamer1.0-0.");
        return FALSE;
    }
    g_object_set(queue, "max-size-time", (guint64)GST_SECOND, "max-size-buffers", 0u, "max-size-bytes", 0u, NULL);
    gst_bin_add(GST_BIN(s->bin), queue);
    return gst_element_link_many(gate, queue, s->convert, NULL);
}

/* The elements that make frames; all but decoders are linked to `convert` here. */
static gboolean kerb_source_head(KerbSource *s, const KerbLive *live, int *exit_code)
{
    GstElement *head = NULL;
    s->supervisor = kerb_supervisor_new(s->text, live, exit_code);
    if (s->supervisor) {
        s->live = TRUE;
        return kerb_source_supervised(s, exit_code);
    }
    if (*exit_code != KERB_EXIT_OK) return FALSE;
    *exit_code = KERB_EXIT_USAGE;
    if (s->kind == KERB_SOURCE_TEST) {
        head = kerb_source_test(GST_BIN(s->bin), s->text, &s->live);
    } else if (s->kind == KERB_SOURCE_IMAGES) {
        *exit_code = KERB_EXIT_ASSET;
        if (!s->images->len)
            kerb_say("%s: no image is there. A folder is searched for .jpg, .png, .bmp, .webp, .ppm and .tif; a pattern needs quotes.", s->text);
        else
            head = kerb_source_images(s);
    } else {
        return kerb_source_decoder(s, exit_code) != NULL;
    }
    return head && gst_element_link(head, s->convert);
}

KerbSource *kerb_source_new_live(const char *text, gdouble rate, gdouble limit_s, const KerbLive *live, int *exit_code)
{
    KerbSource *s = g_new0(KerbSource, 1);
    g_mutex_init(&s->lock);
    s->text = g_strdup(text);
    s->coded_pts = g_array_new(FALSE, FALSE, sizeof(GstClockTime));
    s->rate = rate;
    s->first_time = s->last_time = s->last_pts = GST_CLOCK_TIME_NONE;
    s->limit = limit_s > 0 ? (GstClockTime)llround(limit_s * 1e9) : GST_CLOCK_TIME_NONE;
    gst_segment_init(&s->segment, GST_FORMAT_TIME);
    s->kind = kerb_source_kind(s);
    s->bin = gst_object_ref_sink(gst_bin_new("source"));
    s->convert = gst_element_factory_make("videoconvert", NULL);
    s->fit = gst_element_factory_make("capsfilter", NULL);
    GstElement *scale = gst_element_factory_make("videoscale", NULL);
    if (!s->convert || !s->fit || !scale) {
        kerb_say("GStreamer's videoconvert or videoscale is missing. Install gstreamer1.0-plugins-base.");
        *exit_code = KERB_EXIT_INTERNAL;
        gst_clear_object(&scale);
        kerb_source_free(&s);
        return NULL;
    }
    GstCaps *formats = gst_caps_from_string("video/x-raw, format = (string) " KERB_FORMATS);
    g_object_set(s->fit, "caps", formats, NULL);
    gst_caps_unref(formats);
    gst_bin_add_many(GST_BIN(s->bin), s->convert, scale, s->fit, NULL);
    gst_element_link_many(s->convert, scale, s->fit, NULL);
    kerb_source_add_probe(s, s->convert, "sink", GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, kerb_source_probe_in);
    kerb_source_add_probe(s, s->fit, "src", GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
                          kerb_source_probe_out);
    GstPad *out = gst_element_get_static_pad(s->fit, "src");
    gst_element_add_pad(s->bin, gst_ghost_pad_new("src", out));
    gst_object_unref(out);
    if (!kerb_source_head(s, live, exit_code)) kerb_source_free(&s);
    return s;
}

KerbSource *kerb_source_new(const char *text, gdouble rate, gdouble limit_s, int *exit_code)
{
    return kerb_source_new_live(text, rate, limit_s, NULL, exit_code);
}

void kerb_source_free(KerbSource **source)
{
    KerbSource *s = *source;
    *source = NULL;
    if (!s) return;
    gst_clear_object(&s->bin);
    kerb_supervisor_unref(s->supervisor);
    if (s->images) g_ptr_array_free(s->images, TRUE);
    g_array_free(s->coded_pts, TRUE);
    g_mutex_clear(&s->lock);
    g_free(s->missing);
    g_free(s->text);
    g_free(s);
}

void kerb_source_keep_audio(KerbSource *s, KerbSourceAudioFn audio, gpointer user)
{
    if (s->supervisor) kerb_warn("%s is a live source: its audio is left out.", s->text);
    s->audio = audio;
    s->audio_user = user;
}

/* ---------------------------------------------------------------------------------------------------------------- asking */

/* EOS goes in behind the source: not every element upstream ends well when it is told to, and they all stop when EOS comes back from below. */
static void kerb_source_push_eos(GstElement *bin, gpointer user)
{
    GstElement *gate = gst_bin_get_by_name(GST_BIN(bin), "gate"); /* the source may be gone by now, its elements are not */
    if (gate) { /* behind the frames that wait in the queue */
        kerb_gate_end(KERB_GATE(gate));
        gst_object_unref(gate);
        return;
    }
    const char *names[] = { "src", "audio" };
    for (int i = 0; i < 2; i++) {
        GstPad *pad = gst_element_get_static_pad(bin, names[i]), *peer = pad ? gst_pad_get_peer(pad) : NULL;
        if (peer) gst_pad_send_event(peer, gst_event_new_eos()); /* waits for the frame that is passing */
        gst_clear_object(&peer);
        gst_clear_object(&pad);
    }
}

void kerb_source_stop(KerbSource *s)
{
    g_mutex_lock(&s->lock);
    gboolean again = s->stopping;
    s->stopping = TRUE;
    g_mutex_unlock(&s->lock);
    if (!again && s->supervisor) kerb_supervisor_stop(s->supervisor);
    if (!again) gst_element_call_async(s->bin, kerb_source_push_eos, NULL, NULL);
}

KerbSourceCounts kerb_source_counts(KerbSource *s)
{
    g_mutex_lock(&s->lock);
    KerbSourceCounts counts = s->counts;
    g_mutex_unlock(&s->lock);
    if (s->supervisor) counts.outages = kerb_supervisor_outages(s->supervisor);
    return counts;
}

/* As the file says; 0: it does not. */
static gdouble kerb_source_length_s(KerbSource *s)
{
    gint64 duration = 0;
    return s->live || !gst_element_query_duration(s->bin, GST_FORMAT_TIME, &duration) || duration < 0 ? 0 : (gdouble)duration / 1e9;
}

void kerb_source_position(KerbSource *s, gdouble *done_s, gdouble *total_s)
{
    *total_s = kerb_source_length_s(s);
    *done_s = 0;
    g_mutex_lock(&s->lock);
    if (GST_CLOCK_TIME_IS_VALID(s->last_time)) *done_s = (gdouble)(s->last_time - s->first_time + kerb_source_frame_duration(s)) / 1e9;
    if (GST_CLOCK_TIME_IS_VALID(s->limit)) {
        gdouble limit_s = (gdouble)s->limit / 1e9;
        *total_s = *total_s > 0 ? MIN(*total_s, limit_s) : limit_s;
    }
    g_mutex_unlock(&s->lock);
}

gboolean kerb_source_is_cut(KerbSource *s, gdouble *missing_s)
{
    gdouble length_s = kerb_source_length_s(s);
    g_mutex_lock(&s->lock);
    /* Against the running time, for a stream that begins late is not shorter for it. */
    gdouble end_s = GST_CLOCK_TIME_IS_VALID(s->last_time) ? (gdouble)(s->last_time + kerb_source_frame_duration(s)) / 1e9 : 0;
    *missing_s = length_s - end_s;
    gboolean cut = s->kind == KERB_SOURCE_FILE && !s->stopping && length_s > 0 && *missing_s > CUT_S;
    g_mutex_unlock(&s->lock);
    return cut;
}

gdouble kerb_source_silence_s(KerbSource *s, gint64 since_us)
{
    if (s->supervisor) return 0;
    g_mutex_lock(&s->lock);
    gint64 last = MAX(s->last_frame_us, since_us);
    g_mutex_unlock(&s->lock);
    return (gdouble)(g_get_monotonic_time() - last) / 1e6;
}

gdouble kerb_source_fps(KerbSource *s, gint *width, gint *height)
{
    g_mutex_lock(&s->lock);
    gdouble fps = s->first.width && s->first.fps_d ? (gdouble)s->first.fps_n / s->first.fps_d : 0;
    if (width) *width = s->first.width;
    if (height) *height = s->first.height;
    g_mutex_unlock(&s->lock);
    return fps;
}
