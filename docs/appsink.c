/* SPDX-License-Identifier: MIT */
/* Reads what kerbseg found, frame by frame, in a program of one's own. Nothing of Kerb's is linked: KerbSegMeta is all in its header.
 *
 *     cc docs/appsink.c -o appsink $(pkg-config --cflags kerb) $(pkg-config --cflags --libs gstreamer-app-1.0)
 *     ./appsink net.onnx drive.mp4
 *
 * Writes a line a frame: its time, the age of its labels, and the three classes that take most of the picture. Without a video: a synthetic drive. */
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/kerb/kerbmeta.h>

/* The labels of one frame. They cover the whole frame that went into kerbseg, a byte a pixel, `stride` bytes a row. */
static void read_labels(const KerbSegMeta *meta, const guint8 *labels)
{
    guint64 pixels[KERB_MAX_CLASSES] = { 0 };
    int n;
    const KerbClass *classes = kerb_seg_meta_classes(meta, &n);
    for (gint y = 0; y < meta->height; y++)
        for (gint x = 0; x < meta->width; x++) pixels[labels[(gsize)y * (gsize)meta->stride + (gsize)x]]++;

    g_print("%.3f s, labels %.0f ms old:", (double)meta->pts / 1e9, (double)meta->age / 1e6);
    for (int k = 0; k < 3; k++) {
        int most = 0;
        for (int i = 1; i < n; i++)
            if (pixels[i] > pixels[most]) most = i;
        if (n && pixels[most]) g_print("  %s %.1f %%", classes[most].name, 100.0 * (double)pixels[most] / meta->width / meta->height);
        pixels[most] = 0;
    }
    g_print("\n");
}

/* Called by the pipeline's thread. `buffer` also holds the picture, as the caps of the sample say. */
static GstFlowReturn new_sample(GstAppSink *sink, gpointer user)
{
    GstSample *sample = gst_app_sink_pull_sample(sink);
    if (!sample) return GST_FLOW_EOS;
    KerbSegMeta *meta = kerb_seg_meta_get(gst_sample_get_buffer(sample));
    GstMapInfo map;
    if (!meta) {
        g_print("a frame without labels\n"); /* it could not be processed; the pipeline goes on */
    } else if (gst_buffer_map(meta->labels, &map, GST_MAP_READ)) {
        read_labels(meta, map.data);
        gst_buffer_unmap(meta->labels, &map);
    }
    gst_sample_unref(sample); /* meta and maps go with it; gst_buffer_ref(meta->labels) keeps them */
    return GST_FLOW_OK;
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    gst_init(&argc, &argv);
    if (argc < 2) {
        g_printerr("usage: %s NET.onnx [VIDEO]\n", argv[0]);
        return 2;
    }
    GstElement *pipeline = gst_parse_launch(argc > 2 ? "filesrc name=source ! decodebin ! videoconvert ! kerbseg name=kerb visualize=none ! appsink name=sink sync=false"
                                                     : "kerbtestsrc num-buffers=10 ! kerbseg name=kerb visualize=none ! appsink name=sink sync=false", &error);
    if (!pipeline) {
        g_printerr("%s\n", error->message);
        g_clear_error(&error);
        return 3;
    }
    GstElement *kerb = gst_bin_get_by_name(GST_BIN(pipeline), "kerb"), *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    g_object_set(kerb, "model-file", argv[1], NULL);
    if (argc > 2) gst_child_proxy_set(GST_CHILD_PROXY(pipeline), "source::location", argv[2], NULL);
    GstAppSinkCallbacks callbacks = { .new_sample = new_sample };
    gst_app_sink_set_callbacks(GST_APP_SINK(sink), &callbacks, NULL, NULL);

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    int exit_code = 0;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        gst_message_parse_error(message, &error, NULL);
        g_printerr("%s\n", error->message);
        g_clear_error(&error);
        exit_code = 3;
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_message_unref(message);
    gst_object_unref(bus);
    gst_object_unref(kerb);
    gst_object_unref(sink);
    gst_object_unref(pipeline);
    return exit_code;
}
