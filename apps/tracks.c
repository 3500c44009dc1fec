/* SPDX-License-Identifier: MIT */
/* Caps to tracks; see tracks.h. */
#include "tracks.h"

#include <gst/pbutils/pbutils.h>
#include <gst/video/video.h>
#include <string.h>

static GBytes *kerb_track_bytes(const GValue *value)
{
    GstMapInfo map;
    GstBuffer *buffer = value && GST_VALUE_HOLDS_BUFFER(value) ? gst_value_get_buffer(value) : NULL;
    if (!buffer || !gst_buffer_map(buffer, &map, GST_MAP_READ)) return NULL;
    GBytes *bytes = g_bytes_new(map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    return bytes;
}

/* The n-th of the header packets; NULL: there are not so many. */
static GBytes *kerb_track_header(const GstStructure *of, guint n)
{
    const GValue *all = gst_structure_get_value(of, "streamheader");
    return all && GST_VALUE_HOLDS_ARRAY(all) && n < gst_value_array_get_size(all) ? kerb_track_bytes(gst_value_array_get_value(all, n)) : NULL;
}

/* --------------------------------------------------------------------------------------------------------------- video */

static void kerb_track_colour(KerbTrack *t, const GstStructure *of)
{
    GstVideoColorimetry c;
    const gchar *text = gst_structure_get_string(of, "colorimetry");
    if (!text || !gst_video_colorimetry_from_string(&c, text)) return;
    t->matrix = c.matrix == GST_VIDEO_COLOR_MATRIX_UNKNOWN ? 0 : gst_video_color_matrix_to_iso(c.matrix);
    t->transfer = c.transfer == GST_VIDEO_TRANSFER_UNKNOWN ? 0 : gst_video_transfer_function_to_iso(c.transfer);
    t->primaries = c.primaries == GST_VIDEO_COLOR_PRIMARIES_UNKNOWN ? 0 : gst_video_color_primaries_to_iso(c.primaries);
    t->range = c.range == GST_VIDEO_COLOR_RANGE_16_235 ? 1 : c.range == GST_VIDEO_COLOR_RANGE_0_255 ? 2 : 0;
}

static gboolean kerb_track_video(KerbTrack *t, const GstStructure *of)
{
    static const struct {
        const char *caps, *codec;
    } codecs[] = { { "video/x-h264", "V_MPEG4/ISO/AVC" }, { "video/x-vp8", "V_VP8" }, { "image/jpeg", "V_MJPEG" }, { "video/x-ffv", "V_FFV1" },
                   { "video/x-raw", "V_UNCOMPRESSED" } };
    gint width = 0, height = 0, fps_n = 0, fps_d = 1, par_n = 1, par_d = 1;
    gsize i = 0;
    while (i < G_N_ELEMENTS(codecs) && !gst_structure_has_name(of, codecs[i].caps)) i++;
    if (i == G_N_ELEMENTS(codecs) || !gst_structure_get_int(of, "width", &width) || !gst_structure_get_int(of, "height", &height)) return FALSE;
    t->type = KERB_TRACK_VIDEO;
    t->codec = codecs[i].codec;
    t->codec_private = kerb_track_bytes(gst_structure_get_value(of, "codec_data"));
    t->width_px = t->display_width = (guint)width;
    t->height_px = t->display_height = (guint)height;
    if (gst_structure_get_fraction(of, "pixel-aspect-ratio", &par_n, &par_d) && par_n > par_d)
        t->display_width = (guint)gst_util_uint64_scale_int_round((guint64)width, par_n, par_d);
    else if (par_n > 0 && par_n < par_d)
        t->display_height = (guint)gst_util_uint64_scale_int_round((guint64)height, par_d, par_n);
    if (gst_structure_get_fraction(of, "framerate", &fps_n, &fps_d) && fps_n > 0) t->frame_ns = gst_util_uint64_scale_int(GST_SECOND, fps_d, fps_n);
    if (!strcmp(t->codec, "V_UNCOMPRESSED")) {
        t->fourcc = "Y800";
        t->is_zlib = TRUE;
        t->range = 2;
    } else {
        kerb_track_colour(t, of);
    }
    return strcmp(t->codec, "V_MPEG4/ISO/AVC") || t->codec_private;
}

/* --------------------------------------------------------------------------------------------------------------- audio */

/* Three packets behind each other: how many less one, the sizes of the first two (Xiph lacing), the packets. */
static GBytes *kerb_track_vorbis(const GstStructure *of)
{
    GByteArray *to = g_byte_array_new();
    GBytes *headers[3];
    gboolean ok = TRUE;
    for (guint i = 0; i < 3; i++) ok = (headers[i] = kerb_track_header(of, i)) && ok;
    g_byte_array_append(to, (const guint8[]){ 2 }, 1);
    for (guint i = 0; i < 2 && ok; i++) {
        gsize size = g_bytes_get_size(headers[i]);
        for (; size >= 255; size -= 255) g_byte_array_append(to, (const guint8[]){ 255 }, 1);
        g_byte_array_append(to, (const guint8[]){ (guint8)size }, 1);
    }
    for (guint i = 0; i < 3; i++) {
        if (ok) g_byte_array_append(to, g_bytes_get_data(headers[i], NULL), (guint)g_bytes_get_size(headers[i]));
        g_clear_pointer(&headers[i], g_bytes_unref);
    }
    GBytes *bytes = g_byte_array_free_to_bytes(to);
    if (!ok) g_clear_pointer(&bytes, g_bytes_unref);
    return bytes;
}

/* "fLaC" and the metadata blocks; Ogg's mapping has 9 bytes before them. */
static GBytes *kerb_track_flac(const GstStructure *of)
{
    GByteArray *to = g_byte_array_new();
    GBytes *header;
    for (guint i = 0; (header = kerb_track_header(of, i)); i++) {
        gsize size, skip = i ? 0 : 9;
        const guint8 *data = g_bytes_get_data(header, &size);
        if (size > skip) g_byte_array_append(to, data + skip, (guint)(size - skip));
        g_bytes_unref(header);
    }
    GBytes *bytes = g_byte_array_free_to_bytes(to);
    if (g_bytes_get_size(bytes) < 42) g_clear_pointer(&bytes, g_bytes_unref);
    return bytes;
}

/* OpusHead: as the stream has it, or made of the caps (RTP, MPEG-TS). */
static GBytes *kerb_track_opus(KerbTrack *t, GstCaps *caps)
{
    GBytes *header = kerb_track_header(gst_caps_get_structure(caps, 0), 0);
    guint32 rate;
    guint8 channels, family, streams, coupled, mapping[256];
    if (!header && gst_codec_utils_opus_parse_caps(caps, &rate, &channels, &family, &streams, &coupled, mapping)) {
        GstBuffer *made = gst_codec_utils_opus_create_header(rate, channels, family, streams, coupled, mapping, 0, 0);
        GValue value = G_VALUE_INIT;
        g_value_init(&value, GST_TYPE_BUFFER);
        gst_value_take_buffer(&value, made);
        header = kerb_track_bytes(&value);
        g_value_unset(&value);
    }
    gsize size = 0;
    const guint8 *data = header ? g_bytes_get_data(header, &size) : NULL;
    if (size >= 12) t->delay_ns = gst_util_uint64_scale_int(GST_SECOND, data[10] | data[11] << 8, 48000); /* pre-skip (RFC 7845) */
    t->preroll_ns = 80 * GST_MSECOND;
    return header;
}

static gboolean kerb_track_audio(KerbTrack *t, GstCaps *caps)
{
    const GstStructure *of = gst_caps_get_structure(caps, 0);
    static const char *const layers[] = { "A_MPEG/L1", "A_MPEG/L2", "A_MPEG/L3" };
    gint rate = 0, channels = 0, version = 0, layer = 0;
    gst_structure_get_int(of, "rate", &rate);
    gst_structure_get_int(of, "channels", &channels);
    gboolean needs_private = TRUE;
    if (gst_structure_has_name(of, "audio/mpeg")) {
        gst_structure_get_int(of, "mpegversion", &version);
        gst_structure_get_int(of, "layer", &layer);
        needs_private = version != 1;
        if (version == 1 && (layer < 1 || layer > 3)) return FALSE;
        t->codec = version == 1 ? layers[layer - 1] : "A_AAC";
        if (needs_private) t->codec_private = kerb_track_bytes(gst_structure_get_value(of, "codec_data"));
    } else if (gst_structure_has_name(of, "audio/x-ac3")) {
        t->codec = "A_AC3";
        needs_private = FALSE;
    } else if (gst_structure_has_name(of, "audio/x-vorbis")) {
        t->codec = "A_VORBIS";
        t->codec_private = kerb_track_vorbis(of);
    } else if (gst_structure_has_name(of, "audio/x-flac")) {
        t->codec = "A_FLAC";
        t->codec_private = kerb_track_flac(of);
    } else if (gst_structure_has_name(of, "audio/x-opus")) {
        t->codec = "A_OPUS";
        t->codec_private = kerb_track_opus(t, caps);
        if (!rate) rate = 48000;
    } else {
        return FALSE;
    }
    t->type = KERB_TRACK_AUDIO;
    t->rate_hz = rate;
    t->channels = (guint)channels;
    return rate > 0 && channels > 0 && (!needs_private || t->codec_private);
}

gboolean kerb_track_from_caps(KerbTrack *t, GstCaps *caps)
{
    const GstStructure *of = gst_caps_get_structure(caps, 0);
    const gchar *name = gst_structure_get_name(of);
    gboolean ok = g_str_has_prefix(name, "audio/") ? kerb_track_audio(t, caps) : kerb_track_video(t, of);
    if (!ok) g_clear_pointer(&t->codec_private, g_bytes_unref);
    return ok;
}

gboolean kerb_track_is_header(GstBuffer *buffer)
{
    return GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER) && !GST_BUFFER_PTS_IS_VALID(buffer);
}
