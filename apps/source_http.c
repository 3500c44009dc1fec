/* SPDX-License-Identifier: MIT */
/* Whether what an http(s) address sends is a camera's endless Motion JPEG or a file: the beginning is asked for, looked at, and left. */
#include "supervise.h"

static void kerb_http_have_type(GstElement *typefind, guint probability, GstCaps *caps, gpointer user)
{
    GstBus *bus = gst_element_get_bus(typefind);
    gst_bus_post(bus, gst_message_new_application(GST_OBJECT(typefind), gst_structure_new("type", "caps", GST_TYPE_CAPS, caps, NULL)));
    gst_object_unref(bus);
}

KerbHttpContent kerb_source_http_content(const char *uri, gdouble timeout_s, gchar **why)
{
    GstElement *pipeline = gst_pipeline_new(NULL), *source = gst_element_factory_make("souphttpsrc", NULL);
    GstElement *typefind = gst_element_factory_make("typefind", NULL), *sink = gst_element_factory_make("fakesink", NULL);
    KerbHttpContent content = KERB_HTTP_SILENT;
    *why = NULL;
    if (!source || !typefind || !sink) { /* whoever plays it will say what is missing */
        gst_clear_object(&source);
        gst_clear_object(&typefind);
        gst_clear_object(&sink);
        gst_object_unref(pipeline);
        return KERB_HTTP_FILE;
    }
    g_object_set(source, "location", uri, "timeout", (guint)MAX(timeout_s, 1), "retries", 0, NULL);
    gst_bin_add_many(GST_BIN(pipeline), source, typefind, sink, NULL);
    gst_element_link_many(source, typefind, sink, NULL);
    g_signal_connect(typefind, "have-type", G_CALLBACK(kerb_http_have_type), NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, (GstClockTime)(timeout_s * 1e9), GST_MESSAGE_ERROR | GST_MESSAGE_EOS | GST_MESSAGE_APPLICATION);
    if (!message) {
        *why = g_strdup_printf("%s does not answer: time-out, nothing came within %.0f seconds. Is the address right, and the camera on?", uri, timeout_s);
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_APPLICATION) {
        const GValue *caps = gst_structure_get_value(gst_message_get_structure(message), "caps");
        content = gst_structure_has_name(gst_caps_get_structure(gst_value_get_caps(caps), 0), "multipart/x-mixed-replace") ? KERB_HTTP_MJPEG : KERB_HTTP_FILE;
    } else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) {
        content = KERB_HTTP_FILE;
    } else {
        GError *error = NULL;
        gst_message_parse_error(message, &error, NULL);
        gboolean other = error->domain == GST_STREAM_ERROR; /* it answered, with something that is no video: those who play it know more */
        if (other)
            content = KERB_HTTP_FILE;
        else
            *why = g_strdup_printf("%s cannot be read: %s", uri, error->message);
        g_clear_error(&error);
    }
    gst_clear_message(&message);
    gst_element_set_state(pipeline, GST_STATE_NULL); /* souphttpsrc cancels what it waits for */
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    return content;
}
