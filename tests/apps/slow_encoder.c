/* SPDX-License-Identifier: MIT */
/* A stand-in for an encoder that is too slow: a GStreamer plugin with an element that is called as one of those that `kerb record` knows and hardly a machine has.
 * It is x264enc behind a door that is shut while the file $KERB_SLOW_ENCODER is there. tests/apps/slow_encoder.py. */
#include <gst/gst.h>
#include <unistd.h>

#define PACKAGE "kerb"
#define NAME "vaapih264enc"

typedef struct SlowEncoder {
    GstBin bin;
} SlowEncoder;
typedef struct SlowEncoderClass {
    GstBinClass bin;
} SlowEncoderClass;

GType slow_encoder_get_type(void);
G_DEFINE_TYPE(SlowEncoder, slow_encoder, GST_TYPE_BIN)

static GstPadProbeReturn slow_encoder_wait(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    const gchar *door = g_getenv("KERB_SLOW_ENCODER");
    while (door && !access(door, F_OK)) g_usleep(5000);
    return GST_PAD_PROBE_OK;
}

static void slow_encoder_init(SlowEncoder *self)
{
    GstElement *encoder = gst_element_factory_make("x264enc", NULL);
    if (!encoder) return; /* no pads: it cannot be linked */
    gst_util_set_object_arg(G_OBJECT(encoder), "tune", "zerolatency");
    gst_util_set_object_arg(G_OBJECT(encoder), "speed-preset", "ultrafast");
    g_object_set(encoder, "key-int-max", 50u, NULL);
    gst_bin_add(GST_BIN(self), encoder);
    const char *const names[] = { "sink", "src" };
    for (int i = 0; i < 2; i++) {
        GstPad *pad = gst_element_get_static_pad(encoder, names[i]);
        if (!i) gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, slow_encoder_wait, NULL, NULL);
        gst_element_add_pad(GST_ELEMENT(self), gst_ghost_pad_new(names[i], pad));
        gst_object_unref(pad);
    }
}

static void slow_encoder_class_init(SlowEncoderClass *klass)
{
    gst_element_class_set_static_metadata(GST_ELEMENT_CLASS(klass), "Slow encoder", "Codec/Encoder/Video", "Stands in for an encoder that is too slow", "Kerb");
}

static gboolean slow_encoder_register(GstPlugin *plugin)
{
    return gst_element_register(plugin, NAME, GST_RANK_NONE, slow_encoder_get_type());
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, kerbslowencoder, "An encoder that waits, for tests", slow_encoder_register, "1", "MIT", PACKAGE, "https://example.org")
