/* SPDX-License-Identifier: MIT */
/* Reads a recording once, from front to back: the pictures go, as they are, into a file that browsers play; a key picture every now and then becomes a
 * thumbnail; label frames and facts are summed up. Enters: a Matroska file. Leaves: a KerbReviewPart. What cannot be read ends the part, not the program. */
#include "fault.h"
#include "review.h"
#include "say.h"

#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/video/video.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERB_THUMB_WIDTH_PX 200
#define KERB_THUMBS 160 /* at most, of a part */
#define KERB_PATIENCE_TICKS 50

/* A codec of the picture track: what holds it for browsers, and what decodes a thumbnail. */
typedef struct KerbReviewCodec {
    const gchar *caps, *name, *parser, *mux, *mime;
    const gchar *decoders[3];
} KerbReviewCodec;

static const KerbReviewCodec kerb_review_codecs[] = {
    { "video/x-h264", "H.264", "h264parse", "mp4mux", "video/mp4", { "avdec_h264", "openh264dec" } },
    { "video/x-vp8", "VP8", NULL, "webmmux", "video/webm", { "vp8dec", "avdec_vp8" } },
    { "video/x-vp9", "VP9", "vp9parse", "webmmux", "video/webm", { "vp9dec", "avdec_vp9" } },
    { "video/x-av1", "AV1", "av1parse", "mp4mux", "video/mp4", { "dav1ddec", "av1dec" } },
    { "video/x-h265", "H.265", "h265parse", NULL, NULL, { "avdec_h265", "libde265dec" } },
    { "image/jpeg", "Motion JPEG", NULL, NULL, NULL, { "jpegdec", "avdec_mjpeg" } },
};

typedef struct KerbReader {
    KerbReviewPart *part;
    const gchar *video;
    GMainLoop *loop;
    GstElement *pipeline, *demux;
    KerbReviewTick tick;
    gpointer user;
    gdouble total_s;
    gboolean stopped, storage_failed;
    gint waited; /* ticks since the error */
    gchar *error;

    GMutex lock;             /* what follows is written by streaming threads */
    GstClockTime zero;       /* of the file's first frame; NONE: none yet */
    gboolean has_labels;     /* a track was taken for it */
    GArray *picture_s;       /* of gdouble: times of the pictures */
    gdouble frame_s, done_s; /* as the track says, or 0; time of the newest buffer */
    gdouble thumb_step_s, thumb_next_s;
} KerbReader;

/* ---------------------------------------------------------------------------------------------------------------- times */

/* All that leaves the demuxer: times count from the file's first frame from here on. */
static GstPadProbeReturn kerb_reader_time(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbReader *r = user;
    if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
        if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) != GST_EVENT_SEGMENT) return GST_PAD_PROBE_OK;
        GstSegment segment;
        gst_segment_init(&segment, GST_FORMAT_TIME);
        GstEvent *event = gst_event_new_segment(&segment);
        gst_event_set_seqnum(event, gst_event_get_seqnum(GST_PAD_PROBE_INFO_EVENT(info)));
        gst_event_unref(GST_PAD_PROBE_INFO_EVENT(info));
        GST_PAD_PROBE_INFO_DATA(info) = event;
        return GST_PAD_PROBE_OK;
    }
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    GstClockTime pts = GST_BUFFER_PTS(buffer), dts = GST_BUFFER_DTS(buffer);
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return GST_PAD_PROBE_DROP;
    g_mutex_lock(&r->lock);
    if (!GST_CLOCK_TIME_IS_VALID(r->zero)) r->zero = pts;
    GstClockTime zero = r->zero;
    r->done_s = MAX(r->done_s, (gdouble)(pts - MIN(pts, zero)) / 1e9);
    g_mutex_unlock(&r->lock);
    buffer = gst_buffer_make_writable(buffer);
    GST_BUFFER_PTS(buffer) = pts - MIN(pts, zero);
    GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_IS_VALID(dts) ? dts - MIN(dts, zero) : dts;
    GST_PAD_PROBE_INFO_DATA(info) = buffer;
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn kerb_reader_picture(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbReader *r = user;
    gdouble t = (gdouble)GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info)) / 1e9;
    g_mutex_lock(&r->lock);
    r->part->frames++;
    g_array_append_val(r->picture_s, t);
    g_mutex_unlock(&r->lock);
    return GST_PAD_PROBE_OK;
}

/* ----------------------------------------------------------------------------------------------------------- thumbnails */

/* Key pictures, a step apart, go to the decoder; the rest costs nothing. */
static GstPadProbeReturn kerb_reader_choose_thumb(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbReader *r = user;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    gdouble t = (gdouble)GST_BUFFER_PTS(buffer) / 1e9;
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT)) return GST_PAD_PROBE_DROP;
    g_mutex_lock(&r->lock);
    gboolean take = t >= r->thumb_next_s;
    if (take) r->thumb_next_s = t + r->thumb_step_s;
    g_mutex_unlock(&r->lock);
    return take ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

static void kerb_review_thumb_clear(gpointer thumb)
{
    g_bytes_unref(((KerbReviewThumb *)thumb)->jpeg);
}

/* Too many: every second one goes, and later ones come at twice the distance. Nobody knows beforehand how long a file is that was cut. */
static void kerb_reader_thin_thumbs(KerbReader *r)
{
    GArray *thumbs = r->part->thumbs;
    for (guint i = thumbs->len; i-- > 0;)
        if (i % 2) g_array_remove_index(thumbs, i);
    r->thumb_step_s *= 2;
}

static GstFlowReturn kerb_reader_thumb(GstAppSink *sink, gpointer user)
{
    KerbReader *r = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstMapInfo map;
    GstBuffer *buffer = sample ? gst_sample_get_buffer(sample) : NULL;
    if (buffer && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        /* The running time: h264timestamper moves time stamps and segment by 1,000 hours, so that times of decoding are not negative. */
        guint64 t = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
        KerbReviewThumb thumb = { (gdouble)t / 1e9, g_bytes_new(map.data, map.size) };
        gst_buffer_unmap(buffer, &map);
        g_mutex_lock(&r->lock);
        g_array_append_val(r->part->thumbs, thumb);
        if (r->part->thumbs->len >= KERB_THUMBS) kerb_reader_thin_thumbs(r);
        g_mutex_unlock(&r->lock);
    }
    if (sample) gst_sample_unref(sample);
    return GST_FLOW_OK;
}

/* ------------------------------------------------------------------------------------------------------ labels and facts */

static GstFlowReturn kerb_reader_labels(GstAppSink *sink, gpointer user)
{
    KerbReader *r = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstVideoInfo v;
    if (sample && gst_video_info_from_caps(&v, gst_sample_get_caps(sample))) {
        GstBuffer *buffer = gst_sample_get_buffer(sample);
        GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
        kerb_review_labels_add(&r->part->labels, buffer, v.width, v.height, meta ? meta->stride[0] : GST_VIDEO_INFO_PLANE_STRIDE(&v, 0),
                               (gdouble)GST_BUFFER_PTS(buffer) / 1e9);
    }
    if (sample) gst_sample_unref(sample);
    return GST_FLOW_OK;
}

static GstFlowReturn kerb_reader_facts(GstAppSink *sink, gpointer user)
{
    KerbReader *r = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    GstBuffer *buffer = sample ? gst_sample_get_buffer(sample) : NULL;
    GstMapInfo map;
    if (buffer && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        KerbReviewFacts facts;
        if (kerb_review_facts_parse(&facts, (const gchar *)map.data, map.size)) {
            facts.t_s = (gdouble)GST_BUFFER_PTS(buffer) / 1e9;
            facts.length_s = GST_BUFFER_DURATION_IS_VALID(buffer) ? (gdouble)GST_BUFFER_DURATION(buffer) / 1e9 : 1;
            g_mutex_lock(&r->lock);
            gdouble zero_s = (gdouble)r->zero / 1e9;
            if (facts.said_s <= zero_s + facts.t_s + 1) { /* not for NAN */
                facts.t_s = MAX(facts.said_s - zero_s, 0);
                facts.length_s = 1;
            }
            g_array_append_val(r->part->facts, facts);
            g_mutex_unlock(&r->lock);
        }
        gst_buffer_unmap(buffer, &map);
    }
    if (sample) gst_sample_unref(sample);
    return GST_FLOW_OK;
}

/* ------------------------------------------------------------------------------------------------------------- branches */

/* Adds elements to the pipeline and links them. FALSE: one is missing (NULL), and none is added. */
static gboolean kerb_reader_chain(KerbReader *r, GstElement **chain, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (chain[i]) continue;
        for (guint k = 0; k < n; k++) gst_clear_object(&chain[k]);
        return FALSE;
    }
    for (guint i = 0; i < n; i++) gst_bin_add(GST_BIN(r->pipeline), chain[i]);
    gboolean ok = TRUE;
    for (guint i = 1; i < n; i++) {
        gboolean is_mux = gst_element_get_pad_template(chain[i], "video_%u") != NULL;
        ok = gst_element_link_pads(chain[i - 1], "src", chain[i], is_mux ? "video_%u" : "sink") && ok;
    }
    for (guint i = n; i-- > 0;) gst_element_sync_state_with_parent(chain[i]);
    return ok;
}

static GstElement *kerb_reader_make(const gchar *factory)
{
    return gst_element_factory_make(factory, NULL);
}

static GstElement *kerb_reader_sink(KerbReader *r, GstFlowReturn (*sample)(GstAppSink *, gpointer))
{
    GstElement *sink = kerb_reader_make("appsink");
    GstAppSinkCallbacks callbacks = { .new_sample = sample };
    if (!sink) return NULL;
    g_object_set(sink, "sync", FALSE, "async", FALSE, "max-buffers", 4u, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, r, NULL);
    return sink;
}

static void kerb_reader_probe(GstElement *element, const gchar *name, GstPadProbeType type, GstPadProbeCallback probe, KerbReader *r)
{
    GstPad *pad = gst_element_get_static_pad(element, name);
    gst_pad_add_probe(pad, type, probe, r, NULL);
    gst_object_unref(pad);
}

/* tee -> container -> file. */
static void kerb_reader_add_file(KerbReader *r, GstElement *tee, const KerbReviewCodec *codec)
{
    GstElement *queue = kerb_reader_make("queue"), *mux = kerb_reader_make(codec->mux), *sink = kerb_reader_make("filesink");
    gchar *moving = g_strconcat(r->video, ".moving", NULL);
    if (!mux) kerb_warn("GStreamer's element %s is missing: the page goes without video. Install %s.", codec->mux, kerb_package_of("video/x-matroska"));
    if (mux && sink) {
        if (g_object_class_find_property(G_OBJECT_GET_CLASS(mux), "faststart"))
            g_object_set(mux, "faststart", TRUE, "faststart-file", moving, NULL);
        g_object_set(sink, "location", r->video, "sync", FALSE, "async", FALSE, NULL);
    }
    GstElement *chain[] = { queue, mux, sink };
    if (kerb_reader_chain(r, chain, G_N_ELEMENTS(chain)) && gst_element_link(tee, queue)) {
        r->part->video = g_strdup(r->video);
        r->part->mime = codec->mime;
    }
    g_free(moving);
}

/* tee -> key pictures -> small JPEGs. */
static void kerb_reader_add_thumbs(KerbReader *r, GstElement *tee, const KerbReviewCodec *codec)
{
    GstElement *decoder = NULL, *filter = kerb_reader_make("capsfilter"), *jpeg = kerb_reader_make("jpegenc");
    for (gsize i = 0; !decoder && codec->decoders[i]; i++) decoder = kerb_reader_make(codec->decoders[i]);
    if (!decoder || !jpeg) kerb_warn("no decoder of %s, or no jpegenc, is installed: the page goes without thumbnails.", codec->name);
    if (filter && jpeg) {
        GstCaps *caps = gst_caps_new_simple("video/x-raw", "width", G_TYPE_INT, KERB_THUMB_WIDTH_PX, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
        g_object_set(filter, "caps", caps, NULL);
        gst_caps_unref(caps);
        g_object_set(jpeg, "quality", 72, NULL);
    }
    GstElement *queue = kerb_reader_make("queue");
    GstElement *chain[] = { queue, decoder, kerb_reader_make("videoconvert"), kerb_reader_make("videoscale"), filter, jpeg, kerb_reader_sink(r, kerb_reader_thumb) };
    if (!kerb_reader_chain(r, chain, G_N_ELEMENTS(chain))) return;
    kerb_reader_probe(queue, "sink", GST_PAD_PROBE_TYPE_BUFFER, kerb_reader_choose_thumb, r);
    gst_element_link(tee, queue);
}

static gboolean kerb_reader_add_picture(KerbReader *r, GstPad *pad, const KerbReviewCodec *codec, const GstStructure *caps)
{
    gint n = 0, d = 0;
    GstElement *parser = kerb_reader_make(codec->parser ? codec->parser : "identity"), *tee = kerb_reader_make("tee");
    /* Pictures out of order (B-frames) need the time of decoding, which Matroska does not have. */
    GstElement *times = strcmp(codec->caps, "video/x-h264") ? NULL : kerb_reader_make("h264timestamper");
    GstElement *chain[] = { parser, times ? times : kerb_reader_make("identity"), tee };
    if (!kerb_reader_chain(r, chain, G_N_ELEMENTS(chain))) {
        kerb_warn("GStreamer's element %s is missing: the page goes without video. Install %s.", codec->parser, kerb_package_of("video/x-av1"));
        return FALSE;
    }
    gst_structure_get_int(caps, "width", &r->part->width);
    gst_structure_get_int(caps, "height", &r->part->height);
    if (gst_structure_get_fraction(caps, "framerate", &n, &d) && n > 0) r->frame_s = (gdouble)d / n;
    r->part->codec = codec->name;
    g_object_set(tee, "allow-not-linked", TRUE, NULL);
    kerb_reader_probe(parser, "sink", GST_PAD_PROBE_TYPE_BUFFER, kerb_reader_picture, r);
    if (codec->mux)
        kerb_reader_add_file(r, tee, codec);
    else
        kerb_warn("browsers do not play %s: the page shows thumbnails only.", codec->name);
    kerb_reader_add_thumbs(r, tee, codec);
    GstPad *sink = gst_element_get_static_pad(parser, "sink");
    gboolean ok = gst_pad_link(pad, sink) == GST_PAD_LINK_OK;
    gst_object_unref(sink);
    return ok;
}

/* A branch that ends in a sink of ours: pad -> queue -> (decoder) -> sink. */
static gboolean kerb_reader_add_sink(KerbReader *r, GstPad *pad, const gchar *decoder, GstFlowReturn (*sample)(GstAppSink *, gpointer))
{
    GstElement *queue = kerb_reader_make("queue");
    GstElement *chain[] = { queue, kerb_reader_make(decoder), kerb_reader_sink(r, sample) };
    if (!kerb_reader_chain(r, chain, G_N_ELEMENTS(chain))) {
        kerb_warn("GStreamer's element %s is missing: the label track is not used. Install %s.", decoder, kerb_package_of(decoder));
        return FALSE;
    }
    GstPad *sink = gst_element_get_static_pad(queue, "sink");
    gboolean ok = gst_pad_link(pad, sink) == GST_PAD_LINK_OK;
    gst_object_unref(sink);
    return ok;
}

static gboolean kerb_reader_is_labels(const GstStructure *caps)
{
    if (gst_structure_has_name(caps, "video/x-raw")) return !g_strcmp0(gst_structure_get_string(caps, "format"), "GRAY8");
    return gst_structure_has_name(caps, "video/x-ffv");
}

static void kerb_reader_pad(GstElement *demux, GstPad *pad, gpointer user)
{
    KerbReader *r = user;
    GstCaps *caps = gst_pad_get_current_caps(pad);
    const GstStructure *s = caps ? gst_caps_get_structure(caps, 0) : NULL;
    const KerbReviewCodec *codec = NULL;
    gboolean used = FALSE;
    for (gsize i = 0; s && i < G_N_ELEMENTS(kerb_review_codecs); i++)
        if (gst_structure_has_name(s, kerb_review_codecs[i].caps)) codec = &kerb_review_codecs[i];
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, kerb_reader_time, r, NULL);
    if (codec && !r->part->codec) {
        used = kerb_reader_add_picture(r, pad, codec, s);
    } else if (s && kerb_reader_is_labels(s) && !r->has_labels) { /* a second one is the confidence */
        used = r->has_labels = kerb_reader_add_sink(r, pad, gst_structure_has_name(s, "video/x-raw") ? "identity" : "avdec_ffv1", kerb_reader_labels);
    } else if (s && gst_structure_has_name(s, "text/x-raw")) {
        used = kerb_reader_add_sink(r, pad, "identity", kerb_reader_facts);
    }
    if (!used) {
        GstElement *nothing = kerb_reader_make("fakesink");
        g_object_set(nothing, "sync", FALSE, "async", FALSE, NULL);
        gst_bin_add(GST_BIN(r->pipeline), nothing);
        gst_element_sync_state_with_parent(nothing);
        GstPad *sink = gst_element_get_static_pad(nothing, "sink");
        gst_pad_link(pad, sink);
        gst_object_unref(sink);
    }
    gst_clear_caps(&caps);
}

/* ----------------------------------------------------------------------------------------------------------------- tags */

/* Tags that Matroska has no word for come as "NAME=text". The recorder writes KERB_CLASSES, KERB_MODEL and KERB_MODEL_CARD; others may have put a card, or a
 * list of classes, into a comment. */
static void kerb_reader_text(KerbReviewPart *part, const gchar *text)
{
    const gchar *equals = strchr(text, '='), *value = equals && g_str_has_prefix(text, "KERB_") ? equals + 1 : text;
    json_t *json = *value == '{' || *value == '[' ? json_loads(value, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *list = json_is_array(json) ? json : json_object_get(json, "classes");
    const gchar *name = json_string_value(json_object_get(json, "name"));
    gboolean first_hand = g_str_has_prefix(text, "KERB_CLASSES=");
    if (json_is_array(list) && json_array_size(list) && (first_hand || !part->classes)) {
        json_decref(part->classes);
        part->classes = json_deep_copy(list);
    }
    if (!name && g_str_has_prefix(text, "KERB_MODEL=")) name = value;
    if (name && !part->model) part->model = g_strdup(name);
    json_decref(json);
}

static void kerb_reader_tags(KerbReader *r, GstTagList *tags)
{
    KerbReviewPart *part = r->part;
    static const gchar *const texts[] = { GST_TAG_EXTENDED_COMMENT, GST_TAG_COMMENT, GST_TAG_DESCRIPTION };
    gchar *text = NULL;
    GstDateTime *date = NULL;
    for (gsize k = 0; k < G_N_ELEMENTS(texts); k++) {
        for (guint i = 0; gst_tag_list_get_string_index(tags, texts[k], i, &text); i++) {
            kerb_reader_text(part, text);
            g_free(text);
        }
    }
    if (gst_tag_list_get_scope(tags) != GST_TAG_SCOPE_GLOBAL) return;
    if (!part->title && gst_tag_list_get_string(tags, GST_TAG_TITLE, &text)) part->title = text;
    if (!part->date && gst_tag_list_get_date_time(tags, GST_TAG_DATE_TIME, &date)) {
        part->date = gst_date_time_to_iso8601_string(date);
        gst_date_time_unref(date);
    }
}

/* ------------------------------------------------------------------------------------------------------------- main loop */

static void kerb_reader_error(KerbReader *r, GstMessage *message)
{
    GError *error = NULL;
    gst_message_parse_error(message, &error, NULL);
    gboolean of_file = GST_IS_ELEMENT(GST_MESSAGE_SRC(message)) && GST_OBJECT_FLAG_IS_SET(GST_MESSAGE_SRC(message), GST_ELEMENT_FLAG_SINK);
    /* The first tells the cause. What was read until then counts; but not where there is no room for the video. */
    if (!r->error) r->error = g_strdup(error->message);
    if (of_file) r->storage_failed = TRUE;
    g_clear_error(&error);
    if (r->storage_failed) g_main_loop_quit(r->loop);
}

static gboolean kerb_reader_message(GstBus *bus, GstMessage *message, gpointer user)
{
    KerbReader *r = user;
    GstTagList *tags = NULL;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_EOS: g_main_loop_quit(r->loop); break;
    case GST_MESSAGE_TAG:
        gst_message_parse_tag(message, &tags);
        kerb_reader_tags(r, tags);
        gst_tag_list_unref(tags);
        break;
    case GST_MESSAGE_ERROR: kerb_reader_error(r, message); break;
    default: break;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean kerb_reader_tick(gpointer user)
{
    KerbReader *r = user;
    gint64 length;
    if (r->total_s <= 0 && gst_element_query_duration(r->demux, GST_FORMAT_TIME, &length) && length > 0) r->total_s = (gdouble)length / 1e9;
    g_mutex_lock(&r->lock);
    guint64 frames = MAX(r->part->frames, r->part->labels.frames);
    gdouble done_s = r->done_s;
    g_mutex_unlock(&r->lock);
    r->stopped = r->tick && !r->tick(r->user, frames, done_s, r->total_s);
    /* After an error the branches end; where one does not, it never will. */
    if (r->error) r->waited++;
    if (r->stopped || r->waited > KERB_PATIENCE_TICKS) g_main_loop_quit(r->loop);
    return G_SOURCE_CONTINUE;
}

static void kerb_reader_loop(KerbReader *r)
{
    GstBus *bus = gst_element_get_bus(r->pipeline);
    r->loop = g_main_loop_new(NULL, FALSE);
    gst_bus_add_watch(bus, kerb_reader_message, r);
    guint tick = g_timeout_add(100, kerb_reader_tick, r);
    gst_element_set_state(r->pipeline, GST_STATE_PLAYING);
    g_main_loop_run(r->loop);
    gst_element_set_state(r->pipeline, GST_STATE_NULL);
    g_source_remove(tick);
    gst_bus_remove_watch(bus);
    g_main_loop_unref(r->loop);
    gst_object_unref(bus);
}

/* -------------------------------------------------------------------------------------------------------------- the end */

static gint kerb_review_order(gconstpointer a, gconstpointer b)
{
    gdouble x = *(const gdouble *)a, y = *(const gdouble *)b;
    return (x > y) - (x < y);
}

static gdouble kerb_reader_median_step(const GArray *times)
{
    GArray *steps = g_array_new(FALSE, FALSE, sizeof(gdouble));
    for (guint i = 1; i < times->len; i++) {
        gdouble step = g_array_index(times, gdouble, i) - g_array_index(times, gdouble, i - 1);
        g_array_append_val(steps, step);
    }
    g_array_sort(steps, kerb_review_order);
    gdouble median = steps->len ? g_array_index(steps, gdouble, steps->len / 2) : 0;
    g_array_free(steps, TRUE);
    return median;
}

/* Length and gaps, from the times of the pictures: a gap is a step of three frame times, and of 0.2 s at least. */
static void kerb_reader_measure(KerbReader *r)
{
    KerbReviewPart *part = r->part;
    GArray *times = r->picture_s;
    g_array_sort(times, kerb_review_order); /* into the order that they are shown in */
    gdouble step = kerb_reader_median_step(times);
    if (step <= 0) step = r->frame_s;
    for (guint i = 1; i < times->len; i++) {
        KerbReviewGap gap = { .t_s = g_array_index(times, gdouble, i - 1), .length_s = g_array_index(times, gdouble, i) - g_array_index(times, gdouble, i - 1) };
        if (gap.length_s > MAX(3 * step, 0.2)) g_array_append_val(part->gaps, gap);
    }
    if (times->len) part->length_s = g_array_index(times, gdouble, times->len - 1) + step;
    if (!times->len && part->labels.bins) part->length_s = part->labels.bins->len * KERB_REVIEW_STEP_S;
    for (guint i = 0; !times->len && i < part->facts->len; i++) {
        const KerbReviewFacts *facts = &g_array_index(part->facts, KerbReviewFacts, i);
        part->length_s = MAX(part->length_s, facts->t_s + facts->length_s);
    }
    GStatBuf st;
    if (part->video && !g_stat(part->video, &st) && st.st_size > 0 && times->len)
        part->video_bytes = (guint64)st.st_size;
    else
        g_clear_pointer(&part->video, g_free);
}

void kerb_review_part_free(KerbReviewPart *part)
{
    if (!part) return;
    kerb_review_labels_clear(&part->labels);
    for (guint i = 0; i < part->facts->len; i++) kerb_review_facts_clear(&g_array_index(part->facts, KerbReviewFacts, i));
    g_array_free(part->facts, TRUE);
    g_array_free(part->gaps, TRUE);
    g_array_free(part->thumbs, TRUE);
    json_decref(part->classes);
    g_free(part->model);
    g_free(part->path);
    g_free(part->video);
    g_free(part->title);
    g_free(part->date);
    g_free(part->cut);
    g_free(part);
}

static KerbReviewPart *kerb_review_part_new(const gchar *path)
{
    KerbReviewPart *part = g_new0(KerbReviewPart, 1);
    part->path = g_strdup(path);
    part->facts = g_array_new(FALSE, FALSE, sizeof(KerbReviewFacts));
    part->gaps = g_array_new(FALSE, FALSE, sizeof(KerbReviewGap));
    part->thumbs = g_array_new(FALSE, FALSE, sizeof(KerbReviewThumb));
    g_array_set_clear_func(part->thumbs, kerb_review_thumb_clear);
    return part;
}

/* What is said of the end: TRUE to go on with what there is. */
static gboolean kerb_reader_verdict(KerbReader *r, int *exit_code)
{
    KerbReviewPart *part = r->part;
    if (r->stopped) {
        *exit_code = KERB_EXIT_INTERRUPTED;
    } else if (r->storage_failed) {
        kerb_say("%s cannot be written: %s", r->video, r->error);
        *exit_code = KERB_EXIT_STORAGE;
    } else if (!part->frames && !part->labels.frames && !part->facts->len) {
        kerb_say("%s holds no picture%s%s", part->path, r->error ? ": " : ".", r->error ? r->error : "");
        *exit_code = KERB_EXIT_ASSET;
    } else {
        if (r->error) part->cut = g_strdup(r->error);
        if (!part->cut && r->total_s > part->length_s + 1) part->cut = g_strdup_printf("it ends %.1f s before its time", r->total_s - part->length_s);
        return TRUE;
    }
    return FALSE;
}

static gboolean kerb_reader_build(KerbReader *r)
{
    GstElement *source = kerb_element("filesrc");
    r->demux = kerb_element("matroskademux");
    r->pipeline = gst_pipeline_new("review");
    if (!source || !r->demux) {
        gst_clear_object(&source);
        gst_clear_object(&r->demux);
        return FALSE;
    }
    g_object_set(source, "location", r->part->path, NULL);
    gst_bin_add_many(GST_BIN(r->pipeline), source, r->demux, NULL);
    g_signal_connect(r->demux, "pad-added", G_CALLBACK(kerb_reader_pad), r);
    return gst_element_link(source, r->demux);
}

KerbReviewPart *kerb_review_read(const gchar *path, const gchar *video, KerbReviewTick tick, gpointer user, int *exit_code)
{
    KerbReader r = { .part = kerb_review_part_new(path), .video = video, .tick = tick, .user = user, .zero = GST_CLOCK_TIME_NONE, .thumb_step_s = 1 };
    g_mutex_init(&r.lock);
    r.picture_s = g_array_new(FALSE, FALSE, sizeof(gdouble));
    *exit_code = KERB_EXIT_INTERNAL;
    gboolean ok = kerb_reader_build(&r);
    if (ok) {
        kerb_reader_loop(&r);
        kerb_reader_measure(&r);
        ok = kerb_reader_verdict(&r, exit_code);
    }
    gst_clear_object(&r.pipeline);
    if (!ok) g_clear_pointer(&r.part, kerb_review_part_free);
    g_array_free(r.picture_s, TRUE);
    g_mutex_clear(&r.lock);
    g_free(r.error);
    return r.part;
}
