/* SPDX-License-Identifier: MIT */
/* Bus errors in the user's words; see fault.h. */
#include "fault.h"
#include "say.h"

#include <gst/app/app.h>
#include <gst/pbutils/pbutils.h>
#include <string.h>

void kerb_fault_clear(KerbFault *fault)
{
    g_free(fault->text);
    *fault = (KerbFault){ 0 };
}

/* ------------------------------------------------------------------------------------------------------------- packages */

const char *kerb_package_of(const char *what)
{
    static const struct {
        const char *what, *package;
    } known[] = {
        { "x264enc", "gstreamer1.0-plugins-ugly" },  { "openh264enc", "gstreamer1.0-plugins-bad" }, { "vp8enc", "gstreamer1.0-plugins-good" },
        { "jpegenc", "gstreamer1.0-plugins-good" },  { "avenc_ffv1", "gstreamer1.0-libav" },        { "matroskamux", "gstreamer1.0-plugins-good" },
        { "deinterlace", "gstreamer1.0-plugins-good" }, { "flacenc", "gstreamer1.0-plugins-good" }, { "video/x-vp8", "gstreamer1.0-plugins-good" },
        { "video/x-vp9", "gstreamer1.0-plugins-good" }, { "image/", "gstreamer1.0-plugins-good" },  { "video/x-av1", "gstreamer1.0-plugins-bad" },
        { "video/quicktime", "gstreamer1.0-plugins-good" }, { "video/x-matroska", "gstreamer1.0-plugins-good" },
        { "video/x-msvideo", "gstreamer1.0-plugins-good" }, { "video/mpegts", "gstreamer1.0-plugins-bad" },
        { "video/", "gstreamer1.0-libav" },          { "audio/", "gstreamer1.0-libav" },            { "rtsp", "gstreamer1.0-plugins-good" },
        { "http", "gstreamer1.0-plugins-good" },     { "v4l2", "gstreamer1.0-plugins-good" },       { "app", "libgstreamer-plugins-base1.0-0" },
        { "file", "libgstreamer1.0-0" },             { "", "gstreamer1.0-plugins-base" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_has_prefix(what, known[i].what)) return known[i].package;
    return NULL;
}

GstElement *kerb_element(const char *factory)
{
    GstElement *element = gst_element_factory_make(factory, NULL);
    if (!element) kerb_say("GStreamer's element %s is missing. Install %s.", factory, kerb_package_of(factory));
    return element;
}

gchar *kerb_fault_missing_text(GstMessage *message)
{
    const GstStructure *details = gst_message_get_structure(message);
    gchar *what = gst_missing_plugin_message_get_description(message);
    const GValue *detail = gst_structure_get_value(details, "detail");
    const char *key = "";
    if (detail && GST_VALUE_HOLDS_CAPS(detail) && gst_caps_get_size(gst_value_get_caps(detail)))
        key = gst_structure_get_name(gst_caps_get_structure(gst_value_get_caps(detail), 0));
    else if (detail && G_VALUE_HOLDS_STRING(detail))
        key = g_value_get_string(detail);
    gchar *text = g_strdup_printf("%s, which is not installed here. Install %s.", what, kerb_package_of(key));
    g_free(what);
    return text;
}

void kerb_fault_note_missing(GstMessage *message, KerbSource *source)
{
    if (gst_is_missing_plugin_message(message) && !source->missing) source->missing = kerb_fault_missing_text(message);
}

/* -------------------------------------------------------------------------------------------------------------- reading */

static gboolean kerb_fault_is_in(GstObject *object, GstElement *bin)
{
    return object == GST_OBJECT(bin) || gst_object_has_as_ancestor(object, GST_OBJECT(bin));
}

/* Where the code of a message says more than its text. */
static gchar *kerb_fault_of_source(KerbSource *s, const GError *error)
{
    if (s->missing) return g_strdup_printf("%s needs a %s", s->text, s->missing);
    if (g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_TYPE_NOT_FOUND))
        return g_strdup_printf("%s is not a video: nothing that GStreamer knows is in it.", s->text);
    if (g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE))
        return g_strdup_printf("%s has no video track, or none that can be decoded: %s", s->text, error->message);
    if (s->supervisor || g_str_has_prefix(error->message, s->text)) return g_strdup(error->message); /* the source's own words */
    return g_strdup_printf("%s cannot be read: %s", s->text, error->message);
}

static gchar *kerb_fault_of_output(const gchar *output, const GError *error)
{
    if (g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT))
        return g_strdup_printf("%s: the disk is full.", output);
    return g_strdup_printf("%s cannot be written: %s", output, error->message);
}

/* "Internal data stream error": what an element says when another one has refused its data, for a reason that only the other knows. */
static gboolean kerb_fault_is_echo(const GError *error)
{
    return g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED);
}

void kerb_fault_read(KerbFault *fault, GstMessage *message, KerbSource *source, const gchar *output)
{
    GError *error = NULL;
    gchar *debug = NULL;
    const GstStructure *details = NULL;
    GstElement *element = GST_IS_ELEMENT(GST_MESSAGE_SRC(message)) ? GST_ELEMENT(GST_MESSAGE_SRC(message)) : NULL;
    gst_message_parse_error(message, &error, &debug);
    gst_message_parse_error_details(message, &details);
    GST_INFO("%s: %s (%s)", GST_MESSAGE_SRC_NAME(message), error->message, debug ? debug : "");
    gboolean echo = kerb_fault_is_echo(error);
    KerbFault now = { .exit_code = KERB_EXIT_INTERNAL };
    if (details && gst_structure_get_int(details, "exit-code", &now.exit_code)) {
        now.side = KERB_FAULT_NETWORK;
        now.text = g_strdup(error->message);
        echo = FALSE;
    } else if (kerb_fault_is_in(GST_MESSAGE_SRC(message), source->bin)) {
        now.side = KERB_FAULT_SOURCE;
        now.exit_code = source->supervisor ? KERB_EXIT_CAMERA : KERB_EXIT_ASSET;
        now.text = kerb_fault_of_source(source, error);
    } else if (output && element && GST_OBJECT_FLAG_IS_SET(element, GST_ELEMENT_FLAG_SINK)) {
        now.side = KERB_FAULT_OUTPUT;
        now.exit_code = KERB_EXIT_STORAGE;
        now.text = kerb_fault_of_output(output, error);
        echo = FALSE;
    } else {
        gboolean from_kerb = element && g_str_has_prefix(GST_OBJECT_NAME(element), "kerb");
        now.side = KERB_FAULT_NETWORK;
        if (from_kerb) now.exit_code = KERB_EXIT_ASSET; /* caps that it cannot take */
        now.text = g_strdup_printf("%s: %s", GST_MESSAGE_SRC_NAME(message), error->message);
    }
    if (fault->side == KERB_FAULT_NONE || (!echo && fault->side == KERB_FAULT_SOURCE && now.side != KERB_FAULT_SOURCE)) {
        kerb_fault_clear(fault);
        *fault = now;
    } else {
        kerb_fault_clear(&now);
    }
    g_clear_error(&error);
    g_free(debug);
}

GstSample *kerb_fault_pull(KerbFault *fault, KerbSource *source, GstElement *pipeline, GstElement *sink)
{
    GstSample *sample = NULL;
    GstBus *bus = gst_element_get_bus(pipeline);
    while (!fault->text && !gst_app_sink_is_eos(GST_APP_SINK(sink)) && !(sample = gst_app_sink_try_pull_sample(GST_APP_SINK(sink), GST_SECOND / 5))) {
        GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
        if (!message) continue;
        kerb_fault_read(fault, message, source, NULL);
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return sample;
}
