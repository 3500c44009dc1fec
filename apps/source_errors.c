/* SPDX-License-Identifier: MIT */
/* Errors that decodebin would keep to itself.
 *
 * While decodebin brings an element up it holds back what the element says, for it may still try another one, and throws that away when all went well. It does
 * so a moment too late: the element's own thread runs by then, and where that has found already that there is nothing to play, its error is thrown away as well,
 * and nothing ever comes: no picture, no end. (GStreamer 1.20 to 1.26, connect_pad() of gstdecodebin2.c: the stream lock is let go before the filter.)
 *
 * So each element gets a bus of ours, between it and decodebin's. Errors of an element that is up, said by another thread than the one that brings it up, are
 * final: they go to the source's own bus. All else goes where it would have gone. */
#include "source.h"

typedef struct KerbErrorPath {
    GstBus *usual;     /* decodebin's, for its children */
    GThread *plugging; /* brings the element up: what it says itself is decodebin's to judge, who waits for it */
    GstElement *bin;   /* the source's; outlives its children's threads */
} KerbErrorPath;

static void kerb_error_path_free(gpointer user)
{
    KerbErrorPath *path = user;
    gst_object_unref(path->usual);
    g_free(path);
}

static gboolean kerb_error_is_final(const KerbErrorPath *path, GstMessage *message)
{
    GstObject *element = GST_MESSAGE_SRC(message);
    if (GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR || !GST_IS_ELEMENT(element) || g_thread_self() == path->plugging) return FALSE;
    GST_OBJECT_LOCK(element);
    gboolean is_up = GST_STATE(element) >= GST_STATE_PAUSED;
    GST_OBJECT_UNLOCK(element);
    GST_OBJECT_LOCK(path->bin);
    gboolean is_ending = GST_STATE_TARGET(path->bin) < GST_STATE_PAUSED; /* what is said then is of no interest; decodebin thinks so too */
    GST_OBJECT_UNLOCK(path->bin);
    return is_up && !is_ending;
}

static GstBusSyncReply kerb_error_pass(GstBus *bus, GstMessage *message, gpointer user)
{
    const KerbErrorPath *path = user;
    if (kerb_error_is_final(path, message))
        gst_element_post_message(path->bin, message);
    else
        gst_bus_post(path->usual, message);
    return GST_BUS_DROP;
}

void kerb_source_keep_errors(KerbSource *s, GstElement *element)
{
    GstBus *usual = gst_element_get_bus(element);
    if (!usual) return;
    KerbErrorPath *path = g_new0(KerbErrorPath, 1);
    *path = (KerbErrorPath){ .usual = usual, .plugging = g_thread_self(), .bin = s->bin };
    GstBus *bus = g_object_new(GST_TYPE_BUS, "enable-async", FALSE, NULL); /* hands on at once: no queue, no file descriptor */
    gst_bus_set_sync_handler(bus, kerb_error_pass, path, kerb_error_path_free);
    gst_element_set_bus(element, bus);
    gst_object_unref(bus);
}
