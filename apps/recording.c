/* SPDX-License-Identifier: MIT */
/* Encoder, container, file; see recording.h. */
#include "recording.h"
#include "fault.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gst/video/video.h>
#include <string.h>
#include <unistd.h>

/* Microseconds: frames of 1001/30000 s keep their places. No encoder here reorders frames, so that blocks may count in so small steps. */
#define KERB_TIMECODE_NS G_GINT64_CONSTANT(1000)
#define KERB_SYNC_US G_USEC_PER_SEC

/* ------------------------------------------------------------------------------------------------------------ encoders */

typedef struct KerbEncoder {
    const char *factory, *codec, *caps, *settings, *parser;
    gboolean even; /* takes even sizes of 16 and more only */
} KerbEncoder;

/* Best first. Frames come out in the order of display in all of them. */
static const KerbEncoder kerb_encoders[] = {
    { "x264enc", "H.264", "video/x-raw, format = (string) { I420, NV12 }",
      "speed-preset=veryfast pass=qual quantizer=20 key-int-max=50 bframes=0 b-pyramid=false option-string=bframes=0", "h264parse", TRUE },
    { "openh264enc", "H.264", "video/x-raw, format = (string) I420", "rate-control=quality bitrate=8000000 gop-size=50 complexity=low", "h264parse", TRUE },
    { "vp8enc", "VP8", "video/x-raw, format = (string) I420",
      "deadline=1 cpu-used=8 end-usage=cq cq-level=12 min-quantizer=4 max-quantizer=40 target-bitrate=12000000 keyframe-max-dist=50", NULL, FALSE },
    { "jpegenc", "Motion JPEG", "video/x-raw, format = (string) I420", "quality=90", NULL, FALSE },
};
/* Labels: lossless or nothing. */
static const KerbEncoder kerb_label_encoders[] = {
    { "avenc_ffv1", "FFV1, lossless", "video/x-raw, format = (string) GRAY8", "", NULL, FALSE },
    { "identity", "not compressed", "video/x-raw, format = (string) GRAY8", "", NULL, FALSE },
};

static gboolean kerb_has_element(const char *factory)
{
    GstElementFactory *found = gst_element_factory_find(factory);
    gboolean has = found != NULL;
    gst_clear_object(&found);
    return has;
}

static const KerbEncoder *kerb_encoder_choose(KerbRecordingKind kind, gint width, gint height)
{
    const KerbEncoder *list = kind == KERB_RECORDING_LABELS ? kerb_label_encoders : kerb_encoders;
    gsize n = kind == KERB_RECORDING_LABELS ? G_N_ELEMENTS(kerb_label_encoders) : G_N_ELEMENTS(kerb_encoders);
    for (gsize i = 0; i < n; i++) {
        gboolean fits = !list[i].even || (width % 2 == 0 && height % 2 == 0 && width >= 16 && height >= 16);
        if (fits && kerb_has_element(list[i].factory) && (!list[i].parser || kerb_has_element(list[i].parser))) return &list[i];
    }
    return NULL;
}

static GstElement *kerb_encoder_make(const KerbEncoder *encoder)
{
    GstElement *element = gst_element_factory_make(encoder->factory, NULL);
    gchar **settings = g_strsplit(encoder->settings, " ", -1);
    for (gchar **setting = settings; element && *setting; setting++) {
        gchar *value = strchr(*setting, '=');
        if (!value) continue;
        *value++ = 0;
        /* Versions of an encoder differ in what they can be told. */
        if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), *setting)) gst_util_set_object_arg(G_OBJECT(element), *setting, value);
    }
    g_strfreev(settings);
    return element;
}

/* The first caps are known: the encoder that suits them comes in between. Streaming thread. */
static gboolean kerb_recording_add_encoder(KerbRecording *r, gint width, gint height)
{
    const KerbEncoder *encoder = kerb_encoder_choose(r->kind, width, height);
    GstElement *element = encoder ? kerb_encoder_make(encoder) : NULL, *filter = gst_element_factory_make("capsfilter", NULL);
    if (!element) {
        gst_clear_object(&filter);
        GST_ELEMENT_ERROR(r->head, CORE, MISSING_PLUGIN,
                          ("No video encoder for %d x %d is installed. Install gstreamer1.0-plugins-ugly (x264enc) or gstreamer1.0-plugins-good (vp8enc).", width,
                           height), (NULL));
        return FALSE;
    }
    GstCaps *caps = gst_caps_from_string(encoder->caps);
    g_object_set(filter, "caps", caps, NULL);
    gst_caps_unref(caps);
    GstElement *parser = gst_element_factory_make(encoder->parser ? encoder->parser : "identity", NULL);
    gst_bin_add_many(GST_BIN(GST_OBJECT_PARENT(r->head)), filter, element, parser, NULL);
    gboolean ok = gst_element_link_many(r->head, filter, element, parser, r->tail, NULL);
    gst_element_sync_state_with_parent(parser);
    gst_element_sync_state_with_parent(element);
    gst_element_sync_state_with_parent(filter);
    g_mutex_lock(&r->lock);
    r->codec = g_strdup_printf("%s (%s)", encoder->codec, encoder->factory);
    g_mutex_unlock(&r->lock);
    return ok;
}

static GstPadProbeReturn kerb_recording_caps(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbRecording *r = user;
    GstVideoInfo v;
    GstCaps *caps;
    if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) != GST_EVENT_CAPS) return GST_PAD_PROBE_OK;
    gst_event_parse_caps(GST_PAD_PROBE_INFO_EVENT(info), &caps);
    if (!gst_video_info_from_caps(&v, caps)) return GST_PAD_PROBE_OK;
    kerb_recording_add_encoder(r, v.width, v.height);
    return GST_PAD_PROBE_REMOVE;
}

/* ------------------------------------------------------------------------------------------------------------ the file */

int kerb_recording_check(const gchar *path, gboolean force, const gchar *source)
{
    GStatBuf st, of_source;
    gchar *folder = g_path_get_dirname(path);
    int exit_code = KERB_EXIT_OK;
    gboolean there = !g_stat(path, &st);
    if (there && S_ISDIR(st.st_mode)) {
        kerb_say("%s is a folder. Name a file in it: -o %s%sNAME.mkv", path, path, g_str_has_suffix(path, "/") ? "" : "/");
        exit_code = KERB_EXIT_USAGE;
    } else if (there && source && !g_stat(source, &of_source) && st.st_dev == of_source.st_dev && st.st_ino == of_source.st_ino) {
        kerb_say("%s is the source itself. Choose another name for the recording.", path);
        exit_code = KERB_EXIT_USAGE;
    } else if (there && S_ISREG(st.st_mode) && !force) {
        kerb_say("%s is there already. --force replaces it; or choose another name.", path);
        exit_code = KERB_EXIT_USAGE;
    } else if (there && g_access(path, W_OK)) {
        kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
        exit_code = KERB_EXIT_STORAGE;
    } else if ((!there || S_ISREG(st.st_mode)) && g_access(folder, W_OK | X_OK)) {
        kerb_say("%s cannot be written: folder %s: %s.", path, folder, g_strerror(errno));
        exit_code = KERB_EXIT_STORAGE;
    }
    g_free(folder);
    return exit_code;
}

/* Gives the file its place. Returns what is wrong, or NULL. */
static gchar *kerb_recording_take_place(KerbRecording *r)
{
    int failed = r->replace ? g_rename(r->part, r->path) : renameat2(AT_FDCWD, r->part, AT_FDCWD, r->path, RENAME_NOREPLACE);
    if (failed && !r->replace && (errno == EINVAL || errno == ENOSYS)) { /* a file system that cannot: two steps */
        failed = link(r->part, r->path);
        if (!failed) unlink(r->part);
        if (failed && errno != EEXIST) failed = g_rename(r->part, r->path);
    }
    return failed ? g_strdup(g_strerror(errno)) : NULL;
}

/* What goes into the file: with the first bytes it takes its place, and once a second all of it goes to the disk, lest a power cut empties it. */
static GstPadProbeReturn kerb_recording_bytes(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbRecording *r = user;
    gint64 now_us = g_get_monotonic_time();
    g_mutex_lock(&r->lock);
    if (r->part && r->pieces++) { /* the first piece is in the file by now */
        r->lost_name = kerb_recording_take_place(r);
        if (r->lost_name)
            kerb_warn("%s cannot be given its name (%s): the recording is %s", r->name, r->lost_name, r->part);
        else
            g_clear_pointer(&r->part, g_free);
        if (r->lost_name) {
            g_free(r->name);
            r->name = g_steal_pointer(&r->part);
        }
    }
    gboolean sync = r->syncs && now_us - r->synced_us >= KERB_SYNC_US;
    if (sync) r->synced_us = now_us;
    g_mutex_unlock(&r->lock);
    if (sync) {
        GstBuffer *buffer = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_SYNC_AFTER);
        GST_PAD_PROBE_INFO_DATA(info) = buffer;
    }
    return GST_PAD_PROBE_OK;
}

/* GStreamer fills rows up to multiples of 4 bytes; a raw file is pixels and nothing else. */
static GstPadProbeReturn kerb_recording_pack(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    GstBuffer *padded = GST_PAD_PROBE_INFO_BUFFER(info);
    GstCaps *caps = gst_pad_get_current_caps(pad);
    GstVideoInfo v;
    GstVideoFrame frame;
    gboolean ok = caps && gst_video_info_from_caps(&v, caps) && gst_video_frame_map(&frame, &v, padded, GST_MAP_READ);
    gst_clear_caps(&caps);
    if (!ok) return GST_PAD_PROBE_OK;
    gsize width = (gsize)v.width, height = (gsize)v.height;
    GstBuffer *packed = gst_buffer_new_allocate(NULL, width * height, NULL);
    for (gsize y = 0; y < height; y++)
        gst_buffer_fill(packed, y * width, (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&frame, 0) + y * (gsize)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0), width);
    gst_video_frame_unmap(&frame);
    gst_buffer_copy_into(packed, padded, GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
    gst_buffer_unref(padded);
    GST_PAD_PROBE_INFO_DATA(info) = packed;
    return GST_PAD_PROBE_OK;
}

static gboolean kerb_recording_open_part(KerbRecording *r, int *exit_code)
{
    gchar *folder = g_path_get_dirname(r->path), *base = g_path_get_basename(r->path), *name = g_strdup_printf(".%s.XXXXXX", base);
    r->part = g_build_filename(folder, name, NULL);
    int fd = g_mkstemp_full(r->part, O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) {
        kerb_say("%s cannot be written: %s.", r->name, g_strerror(errno));
        *exit_code = KERB_EXIT_STORAGE;
        g_clear_pointer(&r->part, g_free);
    } else {
        close(fd);
    }
    g_free(name);
    g_free(base);
    g_free(folder);
    return fd >= 0;
}

/* ---------------------------------------------------------------------------------------------------------------- making */

static gboolean kerb_recording_build(KerbRecording *r, GstBin *pipeline)
{
    gboolean raw = r->kind == KERB_RECORDING_RAW;
    GstElement *sink = kerb_element("filesink");
    r->mux = raw ? NULL : kerb_element("matroskamux");
    r->head = kerb_element(raw ? "queue" : "videoconvert");
    r->tail = kerb_element("queue");
    if (!r->tail || !sink || !r->head || (!raw && !r->mux)) return FALSE;
    gst_bin_add_many(pipeline, r->head, r->tail, sink, NULL);
    g_object_set(sink, "location", r->part ? r->part : r->path, "sync", FALSE, NULL);
    gst_util_set_object_arg(G_OBJECT(sink), "buffer-mode", "unbuffered");
    GstPad *pad = gst_element_get_static_pad(sink, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_recording_bytes, r, NULL);
    gst_object_unref(pad);
    if (raw) {
        pad = gst_element_get_static_pad(r->head, "sink");
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_recording_pack, NULL, NULL);
        gst_object_unref(pad);
    }
    if (raw) return gst_element_link_many(r->head, r->tail, sink, NULL);
    gst_bin_add(pipeline, r->mux);
    g_object_set(r->mux, "timecodescale", KERB_TIMECODE_NS, "writing-app", "kerb", "streamable", !r->syncs, NULL);
    pad = gst_element_get_static_pad(r->head, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, kerb_recording_caps, r, NULL);
    gst_object_unref(pad);
    return gst_element_link_pads(r->tail, "src", r->mux, "video_%u") && gst_element_link(r->mux, sink);
}

KerbRecording *kerb_recording_new(GstBin *pipeline, KerbRecordingKind kind, const gchar *path, gboolean force, int *exit_code)
{
    GStatBuf st;
    KerbRecording *r = g_new0(KerbRecording, 1);
    g_mutex_init(&r->lock);
    r->replace = force;
    r->kind = kind;
    r->name = g_strdup(path);
    r->path = realpath(path, NULL); /* a link stays one: what it points to is replaced */
    if (!r->path) r->path = g_strdup(path);
    gboolean there = !g_stat(r->path, &st), in_place = there && !S_ISREG(st.st_mode);
    r->syncs = !in_place || S_ISBLK(st.st_mode);
    *exit_code = KERB_EXIT_INTERNAL;
    gboolean ok = in_place || kerb_recording_open_part(r, exit_code);
    if (!ok || !kerb_recording_build(r, pipeline)) kerb_recording_close(&r);
    return r;
}

/* Decoded audio: FLAC where it is there, as it is elsewhere. */
static gboolean kerb_recording_encode_audio(KerbRecording *r, GstPad *pad)
{
    GstBin *pipeline = GST_BIN(GST_OBJECT_PARENT(r->mux));
    GstElement *chain[4] = { gst_element_factory_make("audioconvert", NULL), gst_element_factory_make("capsfilter", NULL),
                             gst_element_factory_make(kerb_has_element("flacenc") ? "flacenc" : "identity", NULL), gst_element_factory_make("queue", NULL) };
    for (int i = 0; i < 4; i++) {
        if (!chain[i]) return FALSE;
        gst_bin_add(pipeline, chain[i]);
    }
    GstCaps *caps = gst_caps_from_string("audio/x-raw, format = (string) S16LE, layout = (string) interleaved");
    g_object_set(chain[1], "caps", caps, NULL);
    gst_caps_unref(caps);
    gst_element_link_many(chain[0], chain[1], chain[2], chain[3], NULL);
    gboolean ok = gst_element_link_pads(chain[3], "src", r->mux, "audio_%u");
    for (int i = 3; i >= 0; i--) gst_element_sync_state_with_parent(chain[i]);
    GstPad *sink = gst_element_get_static_pad(chain[0], "sink");
    ok = ok && gst_pad_link(pad, sink) == GST_PAD_LINK_OK;
    gst_object_unref(sink);
    return ok;
}

gboolean kerb_recording_add_audio(KerbRecording *r, GstPad *pad)
{
    GstCaps *caps = gst_pad_query_caps(pad, NULL);
    gboolean raw = gst_structure_has_name(gst_caps_get_structure(caps, 0), "audio/x-raw");
    gst_caps_unref(caps);
    if (raw) return kerb_recording_encode_audio(r, pad);
    GstElement *queue = gst_element_factory_make("queue", NULL);
    g_object_set(queue, "max-size-bytes", 0u, "max-size-buffers", 0u, "max-size-time", (guint64)(10 * GST_SECOND), NULL);
    gst_bin_add(GST_BIN(GST_OBJECT_PARENT(r->mux)), queue);
    gboolean ok = gst_element_link_pads(queue, "src", r->mux, "audio_%u");
    gst_element_sync_state_with_parent(queue);
    GstPad *sink = gst_element_get_static_pad(queue, "sink");
    ok = ok && gst_pad_link(pad, sink) == GST_PAD_LINK_OK;
    gst_object_unref(sink);
    return ok;
}

void kerb_recording_abandon(KerbRecording *r)
{
    g_mutex_lock(&r->lock);
    if (r->part) g_unlink(r->part);
    g_mutex_unlock(&r->lock);
}

gboolean kerb_recording_close(KerbRecording **recording)
{
    KerbRecording *r = *recording;
    *recording = NULL;
    if (!r) return FALSE;
    GStatBuf st;
    gchar *why = NULL;
    /* A file of one piece has not got its name yet. */
    if (r->part && !g_stat(r->part, &st) && st.st_size > 0 && !(why = kerb_recording_take_place(r))) g_clear_pointer(&r->part, g_free);
    if (why) kerb_warn("%s cannot be given its name (%s).", r->name, why);
    gboolean there = !r->part;
    if (r->part) g_unlink(r->part);
    g_free(why);
    g_mutex_clear(&r->lock);
    g_free(r->part);
    g_free(r->path);
    g_free(r->name);
    g_free(r->codec);
    g_free(r->lost_name);
    g_free(r);
    return there;
}
