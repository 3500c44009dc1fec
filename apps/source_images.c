/* SPDX-License-Identifier: MIT */
/* A folder or pattern of images as a video: each file is decoded on its own, so formats and sizes may differ from file to file, and one that cannot be
 * read is named and left out. */
#include "say.h"
#include "source.h"

#include <glob.h>
#include <gst/app/app.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------ the list */

/* Digits compare as numbers: frame9.png comes before frame10.png. */
static gint kerb_natural_order(gconstpointer a, gconstpointer b)
{
    const gchar *x = *(gchar *const *)a, *y = *(gchar *const *)b;
    while (*x && *y) {
        if (g_ascii_isdigit(*x) && g_ascii_isdigit(*y)) {
            while (*x == '0') x++;
            while (*y == '0') y++;
            gsize nx = strspn(x, "0123456789"), ny = strspn(y, "0123456789");
            int order = nx != ny ? (nx < ny ? -1 : 1) : strncmp(x, y, nx);
            if (order) return order;
            x += nx;
            y += ny;
        } else if (*x != *y) {
            return (guchar)*x < (guchar)*y ? -1 : 1;
        } else {
            x++;
            y++;
        }
    }
    return *x ? 1 : *y ? -1 : strcmp(*(gchar *const *)a, *(gchar *const *)b);
}

static gboolean kerb_is_image(const gchar *name)
{
    static const char *const suffixes[] = { ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".pnm", ".tif", ".tiff" };
    gchar *lower = g_ascii_strdown(name, -1);
    gboolean is = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) is |= g_str_has_suffix(lower, suffixes[i]);
    g_free(lower);
    return is;
}

GPtrArray *kerb_source_image_list(const char *text)
{
    GPtrArray *list = NULL;
    if (g_file_test(text, G_FILE_TEST_IS_DIR)) {
        GDir *folder = g_dir_open(text, 0, NULL);
        const gchar *name;
        list = g_ptr_array_new_with_free_func(g_free);
        while (folder && (name = g_dir_read_name(folder)))
            if (kerb_is_image(name)) g_ptr_array_add(list, g_build_filename(text, name, NULL));
        if (folder) g_dir_close(folder);
    } else if (strpbrk(text, "*?[") && !g_file_test(text, G_FILE_TEST_EXISTS)) {
        glob_t found = { 0 };
        list = g_ptr_array_new_with_free_func(g_free);
        if (!glob(text, GLOB_NOSORT, NULL, &found))
            for (gsize i = 0; i < found.gl_pathc; i++)
                if (g_file_test(found.gl_pathv[i], G_FILE_TEST_IS_REGULAR)) g_ptr_array_add(list, g_strdup(found.gl_pathv[i]));
        globfree(&found);
    } else if (kerb_is_image(text)) {
        list = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(list, g_strdup(text));
    }
    if (list) g_ptr_array_sort(list, kerb_natural_order);
    return list;
}

/* --------------------------------------------------------------------------------------------------------- one picture */

static void kerb_image_link(GstElement *decoder, GstPad *pad, gpointer convert)
{
    GstPad *sink = gst_element_get_static_pad(convert, "sink");
    if (!gst_pad_is_linked(sink)) gst_pad_link(pad, sink);
    gst_object_unref(sink);
}

GstSample *kerb_source_read_image(const gchar *path, gchar **why)
{
    GstElement *pipeline = gst_pipeline_new(NULL), *file = gst_element_factory_make("filesrc", NULL), *decoder = gst_element_factory_make("decodebin", NULL);
    GstElement *convert = gst_element_factory_make("videoconvert", NULL), *sink = gst_element_factory_make("appsink", NULL);
    gst_bin_add_many(GST_BIN(pipeline), file, decoder, convert, sink, NULL);
    GstCaps *caps = gst_caps_from_string("video/x-raw, format = (string) { I420, NV12, YUY2, RGB, BGR, RGBx, BGRx, GRAY8 }");
    g_object_set(file, "location", path, NULL);
    g_object_set(sink, "caps", caps, "sync", FALSE, "max-buffers", 1u, NULL);
    gst_caps_unref(caps);
    gst_element_link(file, decoder);
    gst_element_link(convert, sink);
    g_signal_connect(decoder, "pad-added", G_CALLBACK(kerb_image_link), convert);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstSample *sample = NULL;
    if (gst_element_set_state(pipeline, GST_STATE_PAUSED) != GST_STATE_CHANGE_FAILURE) {
        GstMessage *message = gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_ERROR | GST_MESSAGE_ASYNC_DONE | GST_MESSAGE_EOS);
        if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ASYNC_DONE) sample = gst_app_sink_try_pull_preroll(GST_APP_SINK(sink), 0);
        gst_clear_message(&message);
    }
    if (!sample) {
        GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
        GError *error = NULL;
        if (message) gst_message_parse_error(message, &error, NULL);
        *why = g_strdup(error ? error->message : "no picture is in it");
        g_clear_error(&error);
        gst_clear_message(&message);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    return sample;
}

/* The file's picture with the place in time that it has in the video. */
static GstSample *kerb_image_sample(KerbSource *source, GstSample *decoded, guint index)
{
    GstBuffer *buffer = gst_buffer_copy(gst_sample_get_buffer(decoded));
    GstCaps *caps = gst_caps_copy(gst_sample_get_caps(decoded));
    gint n = 25, d = 1;
    gst_util_double_to_fraction(source->rate, &n, &d);
    gst_caps_set_simple(caps, "framerate", GST_TYPE_FRACTION, n, d, NULL);
    GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(index, (guint64)d * GST_SECOND, (guint64)n);
    GST_BUFFER_DURATION(buffer) = gst_util_uint64_scale(index + 1, (guint64)d * GST_SECOND, (guint64)n) - GST_BUFFER_PTS(buffer);
    GstSample *sample = gst_sample_new(buffer, caps, NULL, NULL);
    gst_buffer_unref(buffer);
    gst_caps_unref(caps);
    return sample;
}

/* appsrc's streaming thread. */
static void kerb_images_need_data(GstAppSrc *appsrc, guint bytes, gpointer user)
{
    KerbSource *source = user;
    while (source->next_image < source->images->len) {
        guint index = source->next_image++;
        const gchar *path = source->images->pdata[index];
        gchar *why = NULL;
        GstSample *decoded = kerb_source_read_image(path, &why);
        if (!decoded) {
            kerb_warn("%s cannot be read and is left out: %s", path, why);
            g_free(why);
            g_mutex_lock(&source->lock);
            source->counts.unread++;
            g_mutex_unlock(&source->lock);
            continue;
        }
        GstSample *sample = kerb_image_sample(source, decoded, index);
        gst_sample_unref(decoded);
        gst_app_src_push_sample(appsrc, sample);
        gst_sample_unref(sample);
        return;
    }
    gst_app_src_end_of_stream(appsrc);
}

static gboolean kerb_images_seek(GstAppSrc *appsrc, guint64 time, gpointer user)
{
    KerbSource *source = user;
    source->next_image = (guint)CLAMP((gdouble)time / GST_SECOND * source->rate + 1e-6, 0, (gdouble)source->images->len); /* nothing streams now */
    return TRUE;
}

GstElement *kerb_source_images(KerbSource *source)
{
    GstElement *appsrc = gst_element_factory_make("appsrc", NULL);
    if (!appsrc) return NULL;
    g_object_set(appsrc, "format", GST_FORMAT_TIME, "stream-type", GST_APP_STREAM_TYPE_SEEKABLE, "max-bytes", (guint64)1, "duration",
                 (guint64)((gdouble)source->images->len / source->rate * (gdouble)GST_SECOND), NULL);
    g_signal_connect(appsrc, "need-data", G_CALLBACK(kerb_images_need_data), source);
    g_signal_connect(appsrc, "seek-data", G_CALLBACK(kerb_images_seek), source);
    gst_bin_add(GST_BIN(source->bin), appsrc);
    return appsrc;
}
