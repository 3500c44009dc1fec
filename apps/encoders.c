/* SPDX-License-Identifier: MIT */
/* Choosing encoders, and the pipeline that they are in; see encoders.h. */
#include "encoders.h"
#include "fault.h"
#include "say.h"

#include <gio/gio.h>
#include <gst/app/app.h>
#include <gst/video/video.h>
#include <string.h>

#define H264_CAPS "video/x-h264, stream-format = (string) avc, alignment = (string) au"

typedef struct KerbEncoder {
    const char *factory, *codec, *raw, *coded, *settings, *live, *parser;
    gboolean even; /* takes even sizes of 16 and more only */
} KerbEncoder;

/* Best first. Frames come out in the order of display in all of them: a recording that is cut then has every frame up to the cut. */
static const KerbEncoder kerb_encoder_list[] = {
    { "vah264enc", "H.264", "video/x-raw, format = (string) NV12", H264_CAPS, "rate-control=cqp qpi=22 qpp=24 b-frames=0 key-int-max=50", "", "h264parse", TRUE },
    { "vah264lpenc", "H.264", "video/x-raw, format = (string) NV12", H264_CAPS, "rate-control=cqp qpi=22 qpp=24 b-frames=0 key-int-max=50", "", "h264parse",
      TRUE },
    { "vaapih264enc", "H.264", "video/x-raw, format = (string) NV12", H264_CAPS, "rate-control=cqp init-qp=23 max-bframes=0 keyframe-period=50", "",
      "h264parse", TRUE },
    { "nvh264enc", "H.264", "video/x-raw, format = (string) { NV12, I420 }", H264_CAPS,
      "preset=hq rc-mode=constqp qp-const=23 qp-const-i=22 qp-const-p=23 bframes=0 b-frames=0 gop-size=50", "zerolatency=true rc-lookahead=0", "h264parse",
      TRUE },
    { "v4l2h264enc", "H.264", "video/x-raw, format = (string) { NV12, I420 }", H264_CAPS,
      "extra-controls=controls,video_bitrate=10000000,video_gop_size=50,h264_i_frame_period=50,video_b_frames=0,repeat_sequence_header=1", "", "h264parse",
      TRUE },
    { "x264enc", "H.264", "video/x-raw, format = (string) { I420, NV12 }", H264_CAPS,
      "speed-preset=veryfast pass=qual quantizer=20 key-int-max=50 bframes=0 b-pyramid=false option-string=bframes=0", "tune=zerolatency", "h264parse", TRUE },
    { "openh264enc", "H.264", "video/x-raw, format = (string) I420", H264_CAPS, "rate-control=quality bitrate=8000000 gop-size=50 complexity=low", "",
      "h264parse", TRUE },
    { "vp8enc", "VP8", "video/x-raw, format = (string) I420", "video/x-vp8",
      "deadline=1 cpu-used=8 end-usage=cq cq-level=12 min-quantizer=4 max-quantizer=40 target-bitrate=12000000 keyframe-max-dist=50 lag-in-frames=0", "", NULL,
      FALSE },
    { "jpegenc", "Motion JPEG", "video/x-raw, format = (string) I420", "image/jpeg", "quality=90", "", NULL, FALSE },
};

/* Maps: lossless or nothing. Each frame by itself, so that none needs the one before. */
static const KerbEncoder kerb_encoder_ffv1 = { "avenc_ffv1", "FFV1, lossless", "video/x-raw, format = (string) GRAY8", "video/x-ffv", "gop-size=1", "", NULL,
                                               FALSE };
/* Where there is no FFV1: as they are, compressed by zlib as Matroska defines it. Nothing to install, a few times larger. */
static const KerbEncoder kerb_encoder_zlib = { "identity", "zlib, lossless", "video/x-raw, format = (string) GRAY8", "video/x-raw", "", "", NULL, FALSE };

struct KerbEncoders {
    KerbEncodersSettings settings;
    GstElement *pipeline;
    GstElement *sources[KERB_STREAMS]; /* borrowed; NULL: no such stream */
    GstElement *picture_encoder;
    const KerbEncoder *chosen[KERB_STREAMS];
    gchar *codec;
    gint failed;
};

typedef struct KerbEncodersTap {
    KerbEncoders *encoders;
    KerbStream stream;
} KerbEncodersTap;

/* ------------------------------------------------------------------------------------------------------------- choosing */

static gboolean kerb_encoder_is_there(const KerbEncoder *encoder)
{
    const char *names[] = { encoder->factory, encoder->parser };
    for (int i = 0; i < 2; i++) {
        GstElementFactory *found = names[i] ? gst_element_factory_find(names[i]) : NULL;
        if (names[i] && !found) return FALSE;
        gst_clear_object(&found);
    }
    return TRUE;
}

static const KerbEncoder *kerb_encoder_named(const gchar *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_encoder_list); i++)
        if (!strcmp(kerb_encoder_list[i].factory, name)) return &kerb_encoder_list[i];
    return NULL;
}

static gboolean kerb_encoder_takes(const KerbEncoder *encoder, gint width, gint height)
{
    return !encoder->even || (width % 2 == 0 && height % 2 == 0 && width >= 16 && height >= 16);
}

int kerb_encoders_check(const gchar *encoder, const gchar *label_encoder)
{
    if (encoder || label_encoder) gst_init_check(NULL, NULL, NULL); /* what is installed is in its registry */
    if (label_encoder && strcmp(label_encoder, "ffv1") && strcmp(label_encoder, "zlib")) {
        kerb_say("--label-encoder=%s is not known. Valid are: ffv1, zlib.", label_encoder);
        return KERB_EXIT_USAGE;
    }
    if (label_encoder && !strcmp(label_encoder, "ffv1") && !kerb_encoder_is_there(&kerb_encoder_ffv1)) {
        kerb_say("GStreamer's element avenc_ffv1 is missing. Install %s, or say --label-encoder zlib.", kerb_package_of("avenc_ffv1"));
        return KERB_EXIT_INTERNAL;
    }
    if (!encoder) return KERB_EXIT_OK;
    const KerbEncoder *named = kerb_encoder_named(encoder);
    if (named && kerb_encoder_is_there(named)) return KERB_EXIT_OK;
    GString *all = g_string_new(NULL), *there = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_encoder_list); i++) {
        g_string_append_printf(all, "%s%s", all->len ? ", " : "", kerb_encoder_list[i].factory);
        if (kerb_encoder_is_there(&kerb_encoder_list[i])) g_string_append_printf(there, "%s%s", there->len ? ", " : "", kerb_encoder_list[i].factory);
    }
    const char *package = kerb_package_of(encoder);
    if (!named)
        kerb_say("--encoder=%s is not known. Valid are: %s. Installed here: %s.", encoder, all->str, there->len ? there->str : "none");
    else
        kerb_say("--encoder=%s is not there: its plugin (%s) or the hardware that it drives is missing. Installed here: %s.", encoder, package,
                 there->len ? there->str : "none");
    g_string_free(all, TRUE);
    g_string_free(there, TRUE);
    return named ? KERB_EXIT_INTERNAL : KERB_EXIT_USAGE;
}

static void kerb_encoder_set(GstElement *element, const char *text)
{
    gchar **settings = g_strsplit(text, " ", -1);
    for (gchar **setting = settings; *setting; setting++) {
        gchar *value = strchr(*setting, '=');
        if (!value) continue;
        *value++ = 0;
        /* Versions of an encoder differ in what they can be told. */
        if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), *setting)) gst_util_set_object_arg(G_OBJECT(element), *setting, value);
    }
    g_strfreev(settings);
}

static GstElement *kerb_encoder_make(const KerbEncoder *encoder, gboolean live)
{
    GstElement *element = gst_element_factory_make(encoder->factory, NULL);
    if (!element) return NULL;
    kerb_encoder_set(element, encoder->settings);
    if (live) kerb_encoder_set(element, encoder->live);
    return element;
}

/* Hardware may be busy or forbidden although its plugin is there: opening it tells. */
static gboolean kerb_encoder_opens(const KerbEncoder *encoder)
{
    GstElement *element = kerb_encoder_make(encoder, FALSE);
    if (!element) return FALSE;
    gst_object_ref_sink(element);
    gboolean opens = gst_element_set_state(element, GST_STATE_READY) != GST_STATE_CHANGE_FAILURE;
    gst_element_set_state(element, GST_STATE_NULL);
    gst_object_unref(element);
    return opens;
}

static const KerbEncoder *kerb_encoder_choose(const gchar *name, gint width, gint height)
{
    if (name) {
        const KerbEncoder *named = kerb_encoder_named(name);
        return named && kerb_encoder_is_there(named) && kerb_encoder_takes(named, width, height) ? named : NULL;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(kerb_encoder_list); i++) {
        const KerbEncoder *e = &kerb_encoder_list[i];
        if (kerb_encoder_takes(e, width, height) && kerb_encoder_is_there(e) && kerb_encoder_opens(e)) return e;
    }
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------- what comes out */

/* Rows without the bytes that fill them up, compressed. */
static GstBuffer *kerb_encoders_deflate(GstBuffer *buffer, GstCaps *caps)
{
    GstVideoInfo v;
    GstVideoFrame frame;
    if (!gst_video_info_from_caps(&v, caps) || !gst_video_frame_map(&frame, &v, buffer, GST_MAP_READ)) return NULL;
    gsize width = (gsize)v.width, height = (gsize)v.height;
    guint8 *packed = g_malloc(width * height);
    for (gsize y = 0; y < height; y++)
        memcpy(packed + y * width, (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&frame, 0) + y * (gsize)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0), width);
    gst_video_frame_unmap(&frame);
    GConverter *zlib = G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_ZLIB, 1));
    gsize room = width * height + width * height / 100 + 1024, read = 0, written = 0; /* more than zlib's own bound */
    guint8 *out = g_malloc(room);
    GConverterResult result = g_converter_convert(zlib, packed, width * height, out, room, G_CONVERTER_INPUT_AT_END, &read, &written, NULL);
    g_object_unref(zlib);
    g_free(packed);
    if (result == G_CONVERTER_FINISHED) return gst_buffer_new_wrapped_full(0, out, room, 0, written, out, g_free);
    g_free(out);
    return NULL;
}

static GstFlowReturn kerb_encoders_sample(GstAppSink *sink, gpointer user)
{
    const KerbEncodersTap *tap = user;
    KerbEncoders *e = tap->encoders;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    if (!sample) return GST_FLOW_EOS;
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstCaps *caps = gst_sample_get_caps(sample);
    guint64 pts = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    GstBuffer *unit = e->chosen[tap->stream] == &kerb_encoder_zlib ? kerb_encoders_deflate(buffer, caps) : gst_buffer_ref(buffer);
    if (unit) e->settings.encoded(e->settings.user, tap->stream, caps, unit, pts);
    gst_sample_unref(sample);
    return GST_FLOW_OK;
}

static void kerb_encoders_eos(GstAppSink *sink, gpointer user)
{
    const KerbEncodersTap *tap = user;
    tap->encoders->settings.encoded(tap->encoders->settings.user, tap->stream, NULL, NULL, GST_CLOCK_TIME_NONE);
}

static void kerb_encoders_fail(KerbEncoders *e, int exit_code, const gchar *why)
{
    if (g_atomic_int_compare_and_exchange(&e->failed, 0, 1)) e->settings.failed(e->settings.user, exit_code, why);
}

static GstBusSyncReply kerb_encoders_message(GstBus *bus, GstMessage *message, gpointer user)
{
    KerbEncoders *e = user;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError *error = NULL;
        gst_message_parse_error(message, &error, NULL);
        gchar *why = g_strdup_printf("the encoder %s failed: %s", GST_MESSAGE_SRC_NAME(message), error->message);
        kerb_encoders_fail(e, KERB_EXIT_INTERNAL, why);
        g_free(why);
        g_clear_error(&error);
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

/* -------------------------------------------------------------------------------------------------------------- making */

static KerbEncodersTap *kerb_encoders_tap(KerbEncoders *e, KerbStream stream)
{
    KerbEncodersTap *tap = g_new(KerbEncodersTap, 1);
    *tap = (KerbEncodersTap){ e, stream };
    return tap;
}

static GstPadProbeReturn kerb_encoders_accepted(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    const KerbEncodersTap *tap = user;
    tap->encoders->settings.accepted(tap->encoders->settings.user, tap->stream);
    return GST_PAD_PROBE_OK;
}

static GstElement *kerb_encoders_filter(const char *text)
{
    GstElement *filter = kerb_element("capsfilter");
    GstCaps *caps = gst_caps_from_string(text);
    if (filter) g_object_set(filter, "caps", caps, NULL);
    gst_caps_unref(caps);
    return filter;
}

static GstElement *kerb_encoders_sink(KerbEncoders *e, KerbStream stream, const char *text)
{
    GstElement *sink = kerb_element("appsink");
    if (!sink) return NULL;
    GstCaps *caps = gst_caps_from_string(text);
    GstAppSinkCallbacks callbacks = { .new_sample = kerb_encoders_sample, .eos = kerb_encoders_eos };
    g_object_set(sink, "caps", caps, "sync", FALSE, "async", FALSE, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, kerb_encoders_tap(e, stream), g_free);
    gst_caps_unref(caps);
    return sink;
}

static gboolean kerb_encoders_branch(KerbEncoders *e, KerbStream stream, const KerbEncoder *encoder, GstCaps *caps)
{
    gboolean is_picture = stream == KERB_STREAM_PICTURE;
    GstElement *painter = is_picture ? g_steal_pointer(&e->settings.painter) : NULL;
    GstElement *coder = kerb_encoder_make(encoder, e->settings.live);
    GstElement *chain[] = { kerb_element("appsrc"), painter ? painter : gst_element_factory_make("identity", NULL), kerb_element("videoconvert"),
                            kerb_encoders_filter(encoder->raw), coder, gst_element_factory_make(encoder->parser ? encoder->parser : "identity", NULL),
                            kerb_encoders_sink(e, stream, encoder->coded) };
    gboolean ok = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(chain); i++) {
        if (chain[i]) gst_bin_add(GST_BIN(e->pipeline), chain[i]);
        ok = ok && chain[i] && (!i || gst_element_link(chain[i - 1], chain[i]));
    }
    if (!ok) return FALSE;
    g_object_set(chain[0], "caps", caps, "format", GST_FORMAT_TIME, "max-bytes", (guint64)0, "is-live", FALSE, NULL);
    e->sources[stream] = chain[0];
    e->chosen[stream] = encoder;
    if (is_picture) e->picture_encoder = coder;
    GstPad *pad = gst_element_get_static_pad(chain[0], "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_encoders_accepted, kerb_encoders_tap(e, stream), g_free);
    gst_object_unref(pad);
    return TRUE;
}

static gboolean kerb_encoders_picture(KerbEncoders *e)
{
    GstVideoInfo v;
    const gchar *asked = e->settings.encoder;
    if (!gst_video_info_from_caps(&v, e->settings.picture)) return FALSE;
    const KerbEncoder *encoder = kerb_encoder_choose(asked, v.width, v.height);
    if (encoder) {
        e->codec = g_strdup_printf("%s (%s)", encoder->codec, encoder->factory);
        return kerb_encoders_branch(e, KERB_STREAM_PICTURE, encoder, e->settings.picture);
    }
    gchar *why = asked ? g_strdup_printf("%s does not take %d x %d: H.264 wants even sizes of 16 and more. Leave --encoder out, or take vp8enc.", asked, v.width,
                                         v.height)
                       : g_strdup_printf("no video encoder for %d x %d is installed. Install gstreamer1.0-plugins-ugly (x264enc) or "
                                         "gstreamer1.0-plugins-good (vp8enc, jpegenc).",
                                         v.width, v.height);
    kerb_encoders_fail(e, asked ? KERB_EXIT_USAGE : KERB_EXIT_INTERNAL, why);
    g_free(why);
    return FALSE;
}

static gboolean kerb_encoders_maps(KerbEncoders *e)
{
    const KerbEncodersSettings *s = &e->settings;
    const gchar *asked = s->label_encoder;
    gboolean ok = TRUE, ffv1 = asked ? !strcmp(asked, "ffv1") : kerb_encoder_is_there(&kerb_encoder_ffv1);
    if (s->width == 1) ffv1 = FALSE; /* FFmpeg's does not take pictures one pixel wide and higher */
    const KerbEncoder *encoder = ffv1 ? &kerb_encoder_ffv1 : &kerb_encoder_zlib;
    GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "GRAY8", "width", G_TYPE_INT, s->width, "height", G_TYPE_INT, s->height,
                                        "framerate", GST_TYPE_FRACTION, s->fps_n, s->fps_d > 0 ? s->fps_d : 1, NULL);
    if (s->labels) ok = kerb_encoders_branch(e, KERB_STREAM_LABELS, encoder, caps);
    if (s->confidence) ok = ok && kerb_encoders_branch(e, KERB_STREAM_CONFIDENCE, encoder, caps);
    gst_caps_unref(caps);
    if (!e->codec) e->codec = g_strdup(encoder->codec);
    return ok;
}

KerbEncoders *kerb_encoders_new(const KerbEncodersSettings *settings)
{
    KerbEncoders *e = g_new0(KerbEncoders, 1);
    e->settings = *settings;
    if (e->settings.painter) gst_object_ref_sink(e->settings.painter);
    e->pipeline = gst_object_ref_sink(gst_pipeline_new("encoders"));
    GstBus *bus = gst_element_get_bus(e->pipeline);
    gst_bus_set_sync_handler(bus, kerb_encoders_message, e, NULL);
    gst_object_unref(bus);
    GstElement *painter = e->settings.painter;
    gboolean ok = (!settings->picture || kerb_encoders_picture(e)) && ((!settings->labels && !settings->confidence) || kerb_encoders_maps(e));
    if (painter && !e->settings.painter) gst_object_unref(painter); /* the bin has its own reference */
    if (ok) ok = gst_element_set_state(e->pipeline, GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
    if (!ok) {
        kerb_encoders_fail(e, KERB_EXIT_INTERNAL, "the encoders cannot be started: an installed GStreamer plugin is not what it should be.");
        kerb_encoders_free(&e);
    }
    return e;
}

void kerb_encoders_push(KerbEncoders *e, KerbStream stream, GstBuffer *buffer)
{
    if (e->sources[stream])
        gst_app_src_push_buffer(GST_APP_SRC(e->sources[stream]), buffer);
    else
        gst_buffer_unref(buffer);
}

void kerb_encoders_key_at(KerbEncoders *e, GstClockTime pts)
{
    if (!e->picture_encoder) return;
    GstPad *pad = gst_element_get_static_pad(e->picture_encoder, "src");
    gst_pad_send_event(pad, gst_video_event_new_upstream_force_key_unit(pts, TRUE, 0));
    gst_object_unref(pad);
}

void kerb_encoders_end(KerbEncoders *e)
{
    for (int i = 0; i < KERB_STREAMS; i++)
        if (e->sources[i]) gst_app_src_end_of_stream(GST_APP_SRC(e->sources[i]));
}

const gchar *kerb_encoders_codec(const KerbEncoders *e)
{
    return e->codec;
}

void kerb_encoders_free(KerbEncoders **encoders)
{
    KerbEncoders *e = *encoders;
    *encoders = NULL;
    if (!e) return;
    gst_element_set_state(e->pipeline, GST_STATE_NULL);
    gst_object_unref(e->pipeline);
    gst_clear_object(&e->settings.painter);
    g_free(e->codec);
    g_free(e);
}
