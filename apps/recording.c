/* SPDX-License-Identifier: MIT */
/* Frames to encoders, encoders to the writer; see recording.h. */
#include "recording.h"
#include "encoders.h"
#include "fault.h"
#include "kerbmeta.h"
#include "reel.h"
#include "say.h"
#include "tracks.h"
#include "writer.h"

#include <gst/app/app.h>
#include <gst/video/video.h>
#include <signal.h>
#include <string.h>

/* Frames before the encoder: of a live source as many as it sends in two seconds, within limits of memory; of a file a few. */
#define LIVE_WAIT_S 2
#define LIVE_LEAST 8
#define LIVE_MOST 120
#define FILE_MOST 8
/* From so many waiting frames on they are copied: a camera has few buffers, and must get them back. */
#define COPY_FROM 3
/* Labels are counted so often (five times a second): shares of a second need no more. */
#define COUNT_EVERY (GST_SECOND / 5)
#define MAX_SPLIT_S (7 * 24 * 3600.0)
#define CARD_BYTES (256 * 1024)

/* Something that happens, and how often a second. */
typedef struct KerbRate {
    guint64 count, since_count;
    gint64 since_us;
    gdouble fps;
} KerbRate;

struct KerbRecording {
    KerbRecordingSettings settings; /* strings owned */
    KerbWriter *writer;
    KerbEncoders *encoders; /* since the first frame */
    GMutex pushing; /* held while a frame goes in */
    GstVideoInfo video;
    gint map_width, map_height;
    GstClockTime last_pts, counted_pts, labels_pts, file_pts, frame_ns;
    gboolean has_pts, has_classes, said_size, said_left_out;
    guint left_out; /* since the last frame that was taken */

    GMutex lock; /* guards what follows */
    GCond room;
    guint waiting[KERB_STREAMS];
    gboolean ending;
    guint64 frames, left_out_all, gaps_ms;
    gchar *codec;
    KerbRate inference, encoding;
};

/* ------------------------------------------------------------------------------------------------------------- checking */

int kerb_recording_check(const KerbRecordingSettings *s, const gchar *source)
{
    if (s->split_s != 0 && !(s->split_s >= 0.5 && s->split_s <= MAX_SPLIT_S)) {
        kerb_say("--split-minutes=%g is outside 0.01 (a file every 0.6 seconds) to %.0f (a week).", s->split_s / 60, MAX_SPLIT_S / 60);
        return KERB_EXIT_USAGE;
    }
    if (s->keep_gb != 0 && !(s->keep_gb >= 0.00001 && s->keep_gb <= 1e6)) {
        kerb_say("--keep-gb=%g is outside 0.00001 to 1000000 (10^9 bytes each).", s->keep_gb);
        return KERB_EXIT_USAGE;
    }
    if (!(s->protect_s >= 0 && s->protect_s <= 3600)) {
        kerb_say("--protect-seconds=%g is outside 0 to 3600.", s->protect_s);
        return KERB_EXIT_USAGE;
    }
    int exit_code = s->layout == KERB_RECORDING_RAW ? KERB_EXIT_OK : kerb_encoders_check(s->encoder, s->label_encoder);
    return exit_code ? exit_code : kerb_reel_check(s->path, s->force, s->split_s > 0, source);
}

static void kerb_rate_add(KerbRate *rate, guint n)
{
    gint64 now_us = g_get_monotonic_time();
    rate->count += n;
    if (!rate->since_us) rate->since_us = now_us;
    if (now_us - rate->since_us < G_USEC_PER_SEC) return;
    rate->fps = (gdouble)(rate->count - rate->since_count) * 1e6 / (gdouble)(now_us - rate->since_us);
    rate->since_us = now_us;
    rate->since_count = rate->count;
}

/* ------------------------------------------------------------------------------------------------------ from the encoders */

static void kerb_recording_encoded(gpointer user, KerbStream stream, GstCaps *caps, GstBuffer *unit, GstClockTime pts)
{
    KerbRecording *r = user;
    if (unit && kerb_writer_ended(r->writer)) {
        gst_buffer_unref(unit);
        return;
    }
    gboolean counts = unit && (stream == KERB_STREAM_PICTURE || r->settings.layout == KERB_RECORDING_LABELS);
    g_mutex_lock(&r->lock);
    if (counts) kerb_rate_add(&r->encoding, 1);
    g_mutex_unlock(&r->lock);
    kerb_writer_unit(r->writer, stream, caps, unit, pts);
}

static void kerb_recording_accepted(gpointer user, KerbStream stream)
{
    KerbRecording *r = user;
    g_mutex_lock(&r->lock);
    r->waiting[stream] -= r->waiting[stream] > 0;
    g_cond_broadcast(&r->room);
    g_mutex_unlock(&r->lock);
}

static void kerb_recording_failed(gpointer user, int exit_code, const gchar *why)
{
    KerbRecording *r = user;
    kerb_writer_fail(r->writer, exit_code, why);
    g_mutex_lock(&r->lock);
    g_cond_broadcast(&r->room);
    g_mutex_unlock(&r->lock);
}

/* --------------------------------------------------------------------------------------------------------------- frames */

static gboolean kerb_recording_begin(KerbRecording *r, GstBuffer *buffer, GstCaps *caps)
{
    const KerbRecordingSettings *s = &r->settings;
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    gboolean is_movie = s->layout == KERB_RECORDING_MOVIE;
    if (!gst_video_info_from_caps(&r->video, caps)) return FALSE;
    r->map_width = meta ? meta->width : r->video.width;
    r->map_height = meta ? meta->height : r->video.height;
    r->frame_ns = r->video.fps_n > 0 && r->video.fps_d > 0 ? gst_util_uint64_scale_int(GST_SECOND, r->video.fps_d, r->video.fps_n) : 40 * GST_MSECOND;
    KerbEncodersSettings e = { .live = s->live, .encoder = s->encoder, .label_encoder = s->label_encoder, .painter = g_steal_pointer(&r->settings.painter),
                               .picture = is_movie ? caps : NULL, .labels = is_movie ? s->labels : s->layout == KERB_RECORDING_LABELS,
                               .confidence = is_movie && s->confidence, .width = r->map_width, .height = r->map_height, .fps_n = r->video.fps_n,
                               .fps_d = r->video.fps_d, .encoded = kerb_recording_encoded, .accepted = kerb_recording_accepted,
                               .failed = kerb_recording_failed, .user = r };
    guint streams = (e.picture ? 1u << KERB_STREAM_PICTURE : 0) | (e.labels ? 1u << KERB_STREAM_LABELS : 0) | (e.confidence ? 1u << KERB_STREAM_CONFIDENCE : 0);
    kerb_writer_prepare(r->writer, NULL, r->frame_ns, streams);
    if (s->layout == KERB_RECORDING_RAW) return TRUE;
    r->encoders = kerb_encoders_new(&e);
    if (!r->encoders) return FALSE;
    g_mutex_lock(&r->lock);
    r->codec = g_strdup(kerb_encoders_codec(r->encoders));
    g_mutex_unlock(&r->lock);
    return TRUE;
}

static guint kerb_recording_waiting(const KerbRecording *r)
{
    guint most = 0;
    for (int i = 0; i < KERB_STREAMS; i++) most = MAX(most, r->waiting[i]);
    return most;
}

/* Whether the frame is taken. A file waits; a live source never does. */
static gboolean kerb_recording_has_room(KerbRecording *r)
{
    guint live_most = (guint)CLAMP(LIVE_WAIT_S * GST_SECOND / r->frame_ns, LIVE_LEAST, LIVE_MOST);
    g_mutex_lock(&r->lock);
    while (!r->settings.live && kerb_recording_waiting(r) >= FILE_MOST && !r->ending && !kerb_writer_ended(r->writer))
        g_cond_wait_until(&r->room, &r->lock, g_get_monotonic_time() + G_USEC_PER_SEC / 4);
    gboolean room = !r->settings.live || kerb_recording_waiting(r) < live_most;
    if (!room) r->left_out_all++;
    g_mutex_unlock(&r->lock);
    if (!room) r->left_out++;
    if (!room && !r->said_left_out) {
        r->said_left_out = TRUE;
        kerb_warn("the encoder is slower than the source: frames are left out of the recording, and counted. A faster encoder (--encoder), a smaller "
                  "picture or fewer tracks (--no-labels) help.");
    }
    return room;
}

static void kerb_recording_facts(KerbRecording *r, GstBuffer *buffer, GstClockTime pts, KerbFrameFacts *facts)
{
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    facts->age = meta ? meta->age : 0;
    facts->left_out = r->left_out;
    r->left_out = 0;
    GstClockTime step = r->has_pts ? pts - r->last_pts : 0, late = MAX(r->frame_ns * 5 / 2, 100 * GST_MSECOND);
    if (r->settings.live && step > late && !facts->left_out) facts->gap = step - r->frame_ns;
    if (r->settings.facts && (!r->has_pts || pts >= r->counted_pts + COUNT_EVERY)) {
        facts->pixels = kerb_facts_count(buffer);
        r->counted_pts = pts;
    }
    r->last_pts = pts;
    r->has_pts = TRUE;
    g_mutex_lock(&r->lock);
    r->gaps_ms += facts->gap / GST_MSECOND;
    kerb_rate_add(&r->inference, meta && meta->source_pts != r->labels_pts);
    g_mutex_unlock(&r->lock);
    r->labels_pts = meta ? meta->source_pts : GST_CLOCK_TIME_NONE;
    if (facts->gap >= GST_SECOND) kerb_warn("nothing came from the source for %.1f seconds: the recording has a gap there.", (gdouble)facts->gap / 1e9);
}

/* A map of the metadata as a frame: rows stay where they are. */
static GstBuffer *kerb_recording_map(const KerbSegMeta *meta, GstBuffer *map, GstClockTime pts)
{
    GstBuffer *frame = gst_buffer_new();
    gst_buffer_copy_into(frame, map, GST_BUFFER_COPY_MEMORY, 0, (gsize)-1);
    gsize offset[GST_VIDEO_MAX_PLANES] = { 0 };
    gint stride[GST_VIDEO_MAX_PLANES] = { meta->stride };
    gst_buffer_add_video_meta_full(frame, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_GRAY8, (guint)meta->width, (guint)meta->height, 1, offset, stride);
    GST_BUFFER_PTS(frame) = pts;
    return frame;
}

/* Pixels and nothing else. */
static GBytes *kerb_recording_pack(const KerbSegMeta *meta)
{
    GstMapInfo map;
    if (!gst_buffer_map(meta->labels, &map, GST_MAP_READ)) return NULL;
    gsize width = (gsize)meta->width, height = (gsize)meta->height;
    guint8 *packed = g_malloc(width * height);
    for (gsize y = 0; y < height; y++) memcpy(packed + y * width, map.data + y * (gsize)meta->stride, width);
    gst_buffer_unmap(meta->labels, &map);
    return g_bytes_new_take(packed, width * height);
}

static void kerb_recording_send(KerbRecording *r, KerbStream stream, GstBuffer *buffer)
{
    g_mutex_lock(&r->lock);
    r->waiting[stream]++;
    g_mutex_unlock(&r->lock);
    kerb_encoders_push(r->encoders, stream, buffer);
}

/* Whether a file ends before this frame. The writer, which is behind, goes by what the encoder made of it. */
static gboolean kerb_recording_begins_file(KerbRecording *r, GstClockTime pts)
{
    GstClockTime split = (GstClockTime)(r->settings.split_s * 1e9);
    if (!GST_CLOCK_TIME_IS_VALID(r->file_pts)) r->file_pts = r->settings.live ? pts : 0;
    if (!split || pts - r->file_pts + r->frame_ns / 2 < split) return FALSE;
    r->file_pts = pts;
    return TRUE;
}

static void kerb_recording_encode(KerbRecording *r, GstBuffer *buffer, const KerbSegMeta *meta, const KerbMoment *frame)
{
    kerb_writer_frame(r->writer, frame); /* before its units can come */
    if (frame->expected & 1u << KERB_STREAM_PICTURE) {
        g_mutex_lock(&r->lock);
        gboolean copies = r->settings.live && r->waiting[KERB_STREAM_PICTURE] >= COPY_FROM;
        g_mutex_unlock(&r->lock);
        GstBuffer *picture = copies ? gst_buffer_copy_deep(buffer) : gst_buffer_copy(buffer);
        GST_BUFFER_PTS(picture) = frame->pts;
        GST_BUFFER_DTS(picture) = GST_CLOCK_TIME_NONE;
        if (kerb_recording_begins_file(r, frame->pts)) kerb_encoders_key_at(r->encoders, frame->pts);
        kerb_recording_send(r, KERB_STREAM_PICTURE, picture);
    }
    if (frame->expected & 1u << KERB_STREAM_LABELS) kerb_recording_send(r, KERB_STREAM_LABELS, kerb_recording_map(meta, meta->labels, frame->pts));
    if (frame->expected & 1u << KERB_STREAM_CONFIDENCE) kerb_recording_send(r, KERB_STREAM_CONFIDENCE, kerb_recording_map(meta, meta->confidence, frame->pts));
}

/* Frames of another size or format, or of no later time, have no place in the file. SOURCE sends none. */
static gboolean kerb_recording_fits(KerbRecording *r, GstCaps *caps, GstClockTime pts)
{
    GstVideoInfo v;
    gboolean same = gst_video_info_from_caps(&v, caps) && v.width == r->video.width && v.height == r->video.height && v.finfo == r->video.finfo;
    gboolean fits = same && (!r->has_pts || pts > r->last_pts);
    if (!fits && !r->said_size) {
        r->said_size = TRUE;
        kerb_warn("frames that are %s are left out of the recording.", same ? "not later than the one before" : "of another size than its first");
    }
    return fits;
}

static gboolean kerb_recording_take(KerbRecording *r, GstBuffer *buffer, GstCaps *caps, GstClockTime pts)
{
    const KerbRecordingSettings *s = &r->settings;
    g_mutex_lock(&r->lock);
    gboolean ending = r->ending;
    r->frames += !ending;
    g_mutex_unlock(&r->lock);
    if (ending || kerb_writer_ended(r->writer)) return FALSE;
    if (!r->video.width && !kerb_recording_begin(r, buffer, caps)) return FALSE;
    if (!kerb_recording_fits(r, caps, pts) || !kerb_recording_has_room(r)) return !kerb_writer_ended(r->writer);
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    if (meta && meta->classes && !r->has_classes) {
        r->has_classes = TRUE;
        kerb_writer_prepare(r->writer, meta->classes, 0, 0);
    }
    gboolean maps = meta && meta->width == r->map_width && meta->height == r->map_height;
    KerbMoment frame = { .pts = pts };
    if (s->layout == KERB_RECORDING_MOVIE) frame.expected |= 1u << KERB_STREAM_PICTURE;
    if (maps && (s->layout == KERB_RECORDING_LABELS || (s->layout == KERB_RECORDING_MOVIE && s->labels))) frame.expected |= 1u << KERB_STREAM_LABELS;
    if (maps && s->layout == KERB_RECORDING_MOVIE && s->confidence && meta->confidence) frame.expected |= 1u << KERB_STREAM_CONFIDENCE;
    if (s->layout == KERB_RECORDING_RAW && maps) frame.raw = kerb_recording_pack(meta);
    if (!frame.expected && !frame.raw) return TRUE;
    kerb_recording_facts(r, buffer, pts, &frame.facts);
    if (s->layout == KERB_RECORDING_RAW)
        kerb_writer_frame(r->writer, &frame);
    else
        kerb_recording_encode(r, buffer, meta, &frame);
    return TRUE;
}

gboolean kerb_recording_push(KerbRecording *r, GstBuffer *buffer, GstCaps *caps, GstClockTime pts)
{
    g_mutex_lock(&r->pushing);
    gboolean taken = kerb_recording_take(r, buffer, caps, pts);
    g_mutex_unlock(&r->pushing);
    return taken;
}

void kerb_recording_event(KerbRecording *r, const gchar *name)
{
    kerb_writer_event(r->writer, name);
}

/* ---------------------------------------------------------------------------------------------------------------- audio */

static GstFlowReturn kerb_recording_audio_sample(GstAppSink *sink, gpointer user)
{
    KerbRecording *r = user;
    GstSample *sample = gst_app_sink_pull_sample(sink);
    if (!sample) return GST_FLOW_EOS;
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    guint64 pts = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    gboolean goes = !kerb_track_is_header(buffer) && GST_CLOCK_TIME_IS_VALID(pts) && !kerb_writer_ended(r->writer);
    if (goes) kerb_writer_unit(r->writer, KERB_STREAM_AUDIO, gst_sample_get_caps(sample), gst_buffer_ref(buffer), pts);
    gst_sample_unref(sample);
    return GST_FLOW_OK;
}

static void kerb_recording_audio_over(GstAppSink *sink, gpointer user)
{
    KerbRecording *r = user;
    kerb_writer_unit(r->writer, KERB_STREAM_AUDIO, NULL, NULL, GST_CLOCK_TIME_NONE);
}

gboolean kerb_recording_add_audio(KerbRecording *r, GstBin *pipeline, GstPad *pad)
{
    GstCaps *caps = gst_pad_query_caps(pad, NULL);
    gboolean raw = gst_structure_has_name(gst_caps_get_structure(caps, 0), "audio/x-raw");
    gst_caps_unref(caps);
    /* Decoded audio: FLAC, as it is elsewhere. */
    GstElement *chain[] = { kerb_element(raw ? "audioconvert" : "identity"), kerb_element("capsfilter"), kerb_element(raw ? "flacenc" : "identity"),
                            kerb_element("queue"), kerb_element("appsink") };
    gboolean ok = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(chain); i++) {
        if (chain[i]) gst_bin_add(pipeline, chain[i]);
        ok = ok && chain[i] && (!i || gst_element_link(chain[i - 1], chain[i]));
    }
    if (!ok) return FALSE;
    caps = gst_caps_from_string(raw ? "audio/x-raw, format = (string) S16LE, layout = (string) interleaved" : KERB_COPIED_AUDIO_CAPS);
    g_object_set(chain[1], "caps", caps, NULL);
    gst_caps_unref(caps);
    GstAppSinkCallbacks callbacks = { .new_sample = kerb_recording_audio_sample, .eos = kerb_recording_audio_over };
    g_object_set(chain[4], "sync", FALSE, "async", FALSE, NULL);
    gst_app_sink_set_callbacks(GST_APP_SINK(chain[4]), &callbacks, r, NULL);
    kerb_writer_prepare(r->writer, NULL, 0, 1u << KERB_STREAM_AUDIO);
    for (gsize i = G_N_ELEMENTS(chain); i-- > 0;) gst_element_sync_state_with_parent(chain[i]);
    GstPad *sink = gst_element_get_static_pad(chain[0], "sink");
    ok = gst_pad_link(pad, sink) == GST_PAD_LINK_OK;
    gst_object_unref(sink);
    if (!ok) kerb_recording_audio_over(NULL, r);
    return ok;
}

/* ----------------------------------------------------------------------------------------------------- beginning and end */

/* What the model's card says: the file that was named, else NET.json beside NET.onnx. */
static gchar *kerb_recording_card(const gchar *card, const gchar *model)
{
    gchar *text = NULL, *beside = model && g_str_has_suffix(model, ".onnx") ? g_strdup_printf("%.*s.json", (int)strlen(model) - 5, model) : NULL;
    gsize size = 0;
    const gchar *path = card ? card : beside;
    gboolean there = path && g_file_get_contents(path, &text, &size, NULL);
    if (there && (size > CARD_BYTES || !g_utf8_validate(text, (gssize)size, NULL))) g_clear_pointer(&text, g_free);
    g_free(beside);
    return text;
}

KerbRecording *kerb_recording_start(const KerbRecordingSettings *settings, int *exit_code)
{
    *exit_code = kerb_recording_check(settings, NULL);
    if (*exit_code) return NULL;
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error to report, not a reason to die */
    KerbRecording *r = g_new0(KerbRecording, 1);
    KerbRecordingSettings *s = &r->settings;
    *s = *settings;
    if (s->painter) gst_object_ref_sink(s->painter);
    s->encoder = g_strdup(s->encoder);
    s->label_encoder = g_strdup(s->label_encoder);
    g_mutex_init(&r->lock);
    g_mutex_init(&r->pushing);
    g_cond_init(&r->room);
    r->file_pts = GST_CLOCK_TIME_NONE;
    r->labels_pts = GST_CLOCK_TIME_NONE - 1; /* of no frame */
    KerbWriterSettings w = { .layout = s->layout, .from_zero = s->live, .facts = s->facts && s->layout == KERB_RECORDING_MOVIE, .painted = !s->clean,
                             .protect_s = s->protect_s, .split = (GstClockTime)(s->split_s * 1e9), .title = g_strdup(s->title),
                             .model = s->model ? g_path_get_basename(s->model) : NULL, .card_text = kerb_recording_card(s->card, s->model) };
    r->writer = kerb_writer_new(&w, s->path, s->force, (guint64)(s->keep_gb * 1e9));
    s->path = s->title = s->model = s->card = NULL;
    return r;
}

void kerb_recording_get_stats(KerbRecording *r, KerbRecordingStats *stats)
{
    kerb_writer_get_stats(r->writer, stats);
    g_mutex_lock(&r->lock);
    stats->frames = r->frames;
    stats->left_out = r->left_out_all;
    stats->gaps_ms = r->gaps_ms;
    stats->waiting = kerb_recording_waiting(r);
    stats->inferred = r->inference.count;
    stats->inference_fps = r->inference.fps;
    stats->encode_fps = r->encoding.fps;
    g_mutex_unlock(&r->lock);
}

gchar *kerb_recording_why(KerbRecording *r)
{
    return kerb_writer_why(r->writer);
}

gchar *kerb_recording_codec(KerbRecording *r)
{
    g_mutex_lock(&r->lock);
    gchar *codec = g_strdup(r->codec);
    g_mutex_unlock(&r->lock);
    return codec;
}

gchar *kerb_recording_name(KerbRecording *r)
{
    return kerb_writer_name(r->writer);
}

void kerb_recording_end(KerbRecording *r)
{
    g_mutex_lock(&r->lock);
    gboolean again = r->ending;
    r->ending = TRUE;
    g_cond_broadcast(&r->room);
    g_mutex_unlock(&r->lock);
    if (again) return;
    g_mutex_lock(&r->pushing); /* a frame that is going in goes in */
    if (r->encoders) kerb_encoders_end(r->encoders);
    kerb_writer_end(r->writer);
    g_mutex_unlock(&r->pushing);
}

void kerb_recording_abandon(KerbRecording *r)
{
    kerb_writer_abandon(r->writer);
}

int kerb_recording_stop(KerbRecording *r)
{
    KerbRecordingStats stats;
    kerb_recording_end(r);
    kerb_writer_unit(r->writer, KERB_STREAM_AUDIO, NULL, NULL, GST_CLOCK_TIME_NONE); /* it may have been cut off */
    kerb_writer_join(r->writer);
    kerb_encoders_free(&r->encoders);
    kerb_recording_get_stats(r, &stats);
    return stats.exit_code;
}

void kerb_recording_free(KerbRecording **recording)
{
    KerbRecording *r = *recording;
    *recording = NULL;
    if (!r) return;
    kerb_recording_stop(r);
    kerb_writer_free(&r->writer);
    gst_clear_object(&r->settings.painter);
    g_free((gchar *)r->settings.encoder);
    g_free((gchar *)r->settings.label_encoder);
    g_mutex_clear(&r->lock);
    g_mutex_clear(&r->pushing);
    g_cond_clear(&r->room);
    g_free(r->codec);
    g_free(r);
}
