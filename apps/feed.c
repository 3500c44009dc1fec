/* SPDX-License-Identifier: MIT */
/* The pipelines of cameras and network streams; see feed.h. */
#include "feed.h"
#include "fault.h"

#include <gst/pbutils/pbutils.h>
#include <string.h>

struct KerbFeed {
    gint references;
    KerbFeedPlan plan; /* its strings are the next fields */
    gchar *place;
    gchar *was_stable, *was_name, *was_driver, *was_bus;
    gboolean sought;
    KerbGate *gate;
    GstElement *pipeline, *mouth; /* the feed's thread's; the mouth is the pipeline's */

    GMutex lock;
    GCond changed; /* close, or failed */
    KerbFeedState state;
    gboolean close;
    gchar *why, *missing;
    KerbCamera *camera;
    KerbCameraMode mode;
    guint64 next_number; /* of the driver's frames */
    GstClockTime given_pts; /* of the latest of them */
};

static KerbFeed *kerb_feed_ref(KerbFeed *feed)
{
    g_atomic_int_inc(&feed->references);
    return feed;
}

void kerb_feed_unref(KerbFeed *feed)
{
    if (!feed || !g_atomic_int_dec_and_test(&feed->references)) return;
    gchar *strings[] = { feed->place, feed->was_stable, feed->was_name, feed->was_driver, feed->was_bus, feed->why, feed->missing };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
    kerb_camera_free(&feed->camera);
    gst_object_unref(feed->gate);
    g_mutex_clear(&feed->lock);
    g_cond_clear(&feed->changed);
    g_free(feed);
}

/* Takes `why`. The first reason counts. */
static void kerb_feed_fail(KerbFeed *feed, KerbCameraTrouble trouble, gchar *why)
{
    g_mutex_lock(&feed->lock);
    if (feed->state.phase < KERB_FEED_FAILED) {
        feed->state.phase = KERB_FEED_FAILED;
        feed->state.trouble = trouble;
        feed->why = g_steal_pointer(&why);
        g_cond_broadcast(&feed->changed);
    }
    g_mutex_unlock(&feed->lock);
    g_free(why);
}

/* --------------------------------------------------------------------------------------------------- what streams report */

static void kerb_feed_frame(gpointer user, GstClockTime time, gboolean before)
{
    KerbFeed *feed = user;
    g_mutex_lock(&feed->lock);
    feed->state.passing = before;
    feed->state.last_us = g_get_monotonic_time();
    if (before) {
        feed->state.passed++;
        feed->state.last = time;
        if (!GST_CLOCK_TIME_IS_VALID(feed->state.first)) feed->state.first = time;
    }
    g_mutex_unlock(&feed->lock);
}

static void kerb_feed_ended(gpointer user)
{
    KerbFeed *feed = user;
    kerb_feed_fail(feed, KERB_CAMERA_BROKEN, g_strdup(feed->plan.kind == KERB_FEED_CAMERA ? "the driver has ended the stream" : "the server has ended the stream"));
}

static void kerb_feed_mouth_freed(gpointer user)
{
    kerb_feed_unref(user);
}

/* How many frames the driver had no buffer for, between the latest frame and this one: drivers number their frames. v4l2src counts the second frame one too
 * many where it has negotiated twice (0, 2, 3...); that is no hole, and the time between the two tells. */
static guint64 kerb_feed_missed(const KerbFeed *feed, guint64 number, GstClockTime pts)
{
    if (feed->state.given < 2 || number <= feed->next_number || number - feed->next_number >= G_MAXINT32) return 0;
    guint64 hole = number - feed->next_number;
    if (feed->state.given > 2 || !feed->mode.fps_n) return hole - (feed->state.given == 2);
    gdouble periods = (gdouble)(pts > feed->given_pts ? pts - feed->given_pts : 0) / 1e9 * kerb_camera_mode_fps(&feed->mode);
    return periods < (gdouble)hole + 0.75 ? hole - 1 : hole; /* a late second frame is likelier than a missed one */
}

/* Streaming thread of the source: every frame or packet that it gives. */
static GstPadProbeReturn kerb_feed_given(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    KerbFeed *feed = user;
    const GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    guint64 number = GST_BUFFER_OFFSET(buffer);
    g_mutex_lock(&feed->lock);
    feed->state.given++;
    if (feed->plan.kind == KERB_FEED_CAMERA && number != GST_BUFFER_OFFSET_NONE) {
        feed->state.missed += kerb_feed_missed(feed, number, GST_BUFFER_PTS(buffer));
        feed->next_number = number + 1;
        feed->given_pts = GST_BUFFER_PTS(buffer);
    }
    g_mutex_unlock(&feed->lock);
    return GST_PAD_PROBE_OK;
}

/* Any thread. All messages are dropped: there is no main loop here. */
static GstBusSyncReply kerb_feed_message(GstBus *bus, GstMessage *message, gpointer user)
{
    KerbFeed *feed = user;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
        GError *error = NULL;
        gchar *debug = NULL;
        gst_message_parse_error(message, &error, &debug);
        GST_INFO("%s: %s (%s)", GST_MESSAGE_SRC_NAME(message), error->message, debug ? debug : "");
        g_mutex_lock(&feed->lock);
        gchar *why = feed->missing ? g_strdup_printf("it needs a %s", feed->missing) : g_strchomp(g_strdup(error->message));
        g_mutex_unlock(&feed->lock);
        if (g_str_has_suffix(why, ".")) why[strlen(why) - 1] = 0;
        KerbCameraTrouble trouble = g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY) ? KERB_CAMERA_BUSY : KERB_CAMERA_BROKEN;
        kerb_feed_fail(feed, trouble, why);
        g_clear_error(&error);
        g_free(debug);
    } else if (gst_is_missing_plugin_message(message)) {
        gchar *missing = kerb_fault_missing_text(message);
        g_mutex_lock(&feed->lock);
        if (!feed->missing) feed->missing = g_steal_pointer(&missing);
        g_mutex_unlock(&feed->lock);
        g_free(missing);
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
}

/* ------------------------------------------------------------------------------------------------------------ pipelines */

static void kerb_feed_count(KerbFeed *feed, GstElement *element, const char *name)
{
    GstPad *pad = gst_element_get_static_pad(element, name);
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, kerb_feed_given, feed, NULL);
    gst_object_unref(pad);
}

/* An element in the pipeline, or NULL, having failed. */
static GstElement *kerb_feed_add(KerbFeed *feed, const char *factory)
{
    GstElement *element = gst_element_factory_make(factory, NULL);
    if (element)
        gst_bin_add(GST_BIN(feed->pipeline), element);
    else
        kerb_feed_fail(feed, KERB_CAMERA_BROKEN, g_strdup_printf("GStreamer's element %s is missing: install %s", factory, kerb_package_of(factory)));
    return element;
}

static GstElement *kerb_feed_add_jpegdec(KerbFeed *feed)
{
    GstElement *decoder = kerb_feed_add(feed, "jpegdec");
    if (decoder) g_object_set(decoder, "max-errors", -1, "qos", FALSE, NULL);
    return decoder;
}

/* Finds the camera and its mode. */
static KerbCamera *kerb_feed_find(KerbFeed *feed)
{
    gchar *node = NULL;
    if (feed->sought) {
        const KerbCamera was = { .stable = feed->was_stable, .name = feed->was_name, .driver = feed->was_driver, .bus = feed->was_bus };
        node = kerb_camera_find_again(&was);
        if (!node) {
            kerb_feed_fail(feed, KERB_CAMERA_ABSENT, g_strdup("it is not plugged in"));
            return NULL;
        }
    }
    KerbCamera *camera = kerb_camera_probe(node ? node : feed->place, TRUE);
    g_free(node);
    gint index = camera->trouble != KERB_CAMERA_OK ? -1
                 : feed->plan.mode.width           ? kerb_camera_nearest(camera, &feed->plan.mode)
                                                   : kerb_camera_choose(camera, &feed->plan.wish, NULL);
    if (index >= 0) {
        feed->mode = g_array_index(camera->modes, KerbCameraMode, index);
        return camera;
    }
    gboolean in_trouble = camera->trouble != KERB_CAMERA_OK;
    kerb_feed_fail(feed, in_trouble ? camera->trouble : KERB_CAMERA_NO_MODE, g_strdup(in_trouble ? camera->why : "it has none of the modes that Kerb reads"));
    kerb_camera_free(&camera);
    return NULL;
}

/* A decoder says nothing of how many packets it would have: the source gets as many buffers as it would before the gate. */
static GstPadProbeReturn kerb_feed_allocation(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
    gst_query_add_allocation_pool(query, NULL, 1, KERB_GATE_BUFFERS, 0);
    return GST_PAD_PROBE_HANDLED;
}

static gboolean kerb_feed_build_camera(KerbFeed *feed)
{
    KerbCamera *camera = kerb_feed_find(feed);
    if (!camera) return FALSE;
    GstElement *source = kerb_feed_add(feed, "v4l2src"), *filter = kerb_feed_add(feed, "capsfilter"), *decoder = NULL;
    gboolean raw = kerb_camera_mode_is_raw(&feed->mode), userptr = raw && camera->userptr && !feed->plan.own_buffers;
    if (source && filter && !raw) decoder = kerb_feed_add_jpegdec(feed);
    if (!source || !filter || (!raw && !decoder)) {
        kerb_camera_free(&camera);
        return FALSE;
    }
    GstCaps *caps = kerb_camera_mode_caps(&feed->mode);
    g_object_set(filter, "caps", caps, NULL);
    gst_caps_unref(caps);
    g_object_set(source, "device", camera->node, NULL);
    gst_util_set_object_arg(G_OBJECT(source), "io-mode", userptr ? "userptr" : "auto");
    kerb_feed_count(feed, source, "src");
    if (!raw) {
        GstPad *packets = gst_element_get_static_pad(source, "src");
        gst_pad_add_probe(packets, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH, kerb_feed_allocation, NULL, NULL);
        gst_object_unref(packets);
    }
    g_mutex_lock(&feed->lock);
    feed->camera = camera;
    feed->state.userptr = userptr;
    g_mutex_unlock(&feed->lock);
    return gst_element_link(source, filter) && (raw ? gst_element_link(filter, feed->mouth) : gst_element_link_many(filter, decoder, feed->mouth, NULL));
}

static void kerb_feed_link_sink(GstElement *element, GstPad *pad, gpointer sink_element)
{
    GstCaps *caps = gst_pad_query_caps(pad, NULL);
    GstPad *sink = gst_element_get_static_pad(sink_element, "sink");
    if (gst_caps_get_size(caps) && !g_str_has_prefix(gst_structure_get_name(gst_caps_get_structure(caps, 0)), "audio/") && !gst_pad_is_linked(sink))
        gst_pad_link(pad, sink);
    gst_object_unref(sink);
    gst_caps_unref(caps);
}

static gboolean kerb_feed_build_mjpeg(KerbFeed *feed)
{
    GstElement *source = kerb_feed_add(feed, "souphttpsrc"), *demuxer = kerb_feed_add(feed, "multipartdemux"), *decoder = kerb_feed_add_jpegdec(feed);
    if (!source || !demuxer || !decoder) return FALSE;
    g_object_set(source, "location", feed->place, "is-live", TRUE, "do-timestamp", TRUE, "timeout", (guint)MAX(feed->plan.timeout_s, 1), "retries", 0, NULL);
    g_object_set(demuxer, "single-stream", TRUE, NULL);
    g_signal_connect(demuxer, "pad-added", G_CALLBACK(kerb_feed_link_sink), decoder);
    kerb_feed_count(feed, decoder, "sink");
    return gst_element_link(source, demuxer) && gst_element_link(decoder, feed->mouth);
}

static void kerb_feed_setup(GstElement *decoder, GstElement *source, gpointer user)
{
    KerbFeed *feed = user;
    GObjectClass *klass = G_OBJECT_GET_CLASS(source);
    guint64 timeout_us = (guint64)(feed->plan.timeout_s * 1e6);
    if (!g_object_class_find_property(klass, "drop-on-latency")) return;
    g_object_set(source, "latency", 200u, "tcp-timeout", timeout_us, "timeout", MIN(timeout_us / 2, (guint64)5000000), NULL);
}

/* What is not wanted needs no decoder to be there. */
static gboolean kerb_feed_decodes(GstElement *decoder, GstPad *pad, GstCaps *caps, gpointer user)
{
    return g_str_has_prefix(gst_structure_get_name(gst_caps_get_structure(caps, 0)), "video/") ||
           g_str_has_prefix(gst_structure_get_name(gst_caps_get_structure(caps, 0)), "image/") ||
           g_str_has_prefix(gst_structure_get_name(gst_caps_get_structure(caps, 0)), "application/");
}

/* Decoders go on whatever comes and drop nothing to keep up. */
static void kerb_feed_element_added(GstBin *bin, GstBin *sub, GstElement *element, gpointer user)
{
    const gchar *what = gst_element_get_metadata(element, GST_ELEMENT_METADATA_KLASS);
    if (!what || !strstr(what, "Decoder")) return;
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), "max-errors")) g_object_set(element, "max-errors", -1, NULL);
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(element), "qos")) g_object_set(element, "qos", FALSE, NULL);
}

static gboolean kerb_feed_build_rtsp(KerbFeed *feed)
{
    GstElement *decoder = kerb_feed_add(feed, "uridecodebin");
    if (!decoder) return FALSE;
    g_signal_connect(feed->pipeline, "deep-element-added", G_CALLBACK(kerb_feed_element_added), feed);
    g_signal_connect(decoder, "source-setup", G_CALLBACK(kerb_feed_setup), feed);
    g_signal_connect(decoder, "autoplug-continue", G_CALLBACK(kerb_feed_decodes), NULL);
    g_signal_connect(decoder, "pad-added", G_CALLBACK(kerb_feed_link_sink), feed->mouth);
    kerb_feed_count(feed, feed->mouth, "sink");
    g_object_set(decoder, "uri", feed->place, NULL);
    return TRUE;
}

/* --------------------------------------------------------------------------------------------------------------- thread */

static void kerb_feed_open(KerbFeed *feed)
{
    static gboolean (*const build[])(KerbFeed *) = { kerb_feed_build_camera, kerb_feed_build_rtsp, kerb_feed_build_mjpeg };
    if (!build[feed->plan.kind](feed)) {
        kerb_feed_fail(feed, KERB_CAMERA_BROKEN, g_strdup("its pipeline cannot be linked: an installed GStreamer plugin is not what it should be"));
        return;
    }
    /* One clock and one beginning for both pipelines. */
    GstClock *clock = gst_system_clock_obtain();
    gst_pipeline_use_clock(GST_PIPELINE(feed->pipeline), clock);
    gst_object_unref(clock);
    gst_element_set_start_time(feed->pipeline, GST_CLOCK_TIME_NONE);
    gst_element_set_base_time(feed->pipeline, gst_element_get_base_time(GST_ELEMENT(feed->gate)));
    g_mutex_lock(&feed->lock);
    feed->state.opened_us = g_get_monotonic_time();
    gboolean wanted = !feed->close;
    g_mutex_unlock(&feed->lock);
    if (!wanted) return;
    if (gst_element_set_state(feed->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
        kerb_feed_fail(feed, KERB_CAMERA_BROKEN, g_strdup("it cannot be started"));
    g_mutex_lock(&feed->lock);
    if (feed->state.phase == KERB_FEED_OPENING) feed->state.phase = KERB_FEED_OPEN;
    g_mutex_unlock(&feed->lock);
}

static gpointer kerb_feed_live(gpointer user)
{
    KerbFeed *feed = user;
    kerb_feed_open(feed);
    g_mutex_lock(&feed->lock);
    while (!feed->close) g_cond_wait(&feed->changed, &feed->lock);
    g_mutex_unlock(&feed->lock);
    gst_element_set_state(feed->pipeline, GST_STATE_NULL);
    GstBus *bus = gst_element_get_bus(feed->pipeline);
    gst_bus_set_sync_handler(bus, NULL, NULL, NULL);
    gst_object_unref(bus);
    gst_clear_object(&feed->pipeline); /* the mouth goes with it */
    g_mutex_lock(&feed->lock);
    feed->state.phase = KERB_FEED_CLOSED;
    g_mutex_unlock(&feed->lock);
    kerb_feed_unref(feed);
    return NULL;
}

KerbFeed *kerb_feed_new(const KerbFeedPlan *plan, KerbGate *gate)
{
    static const KerbMouthCalls calls = { kerb_feed_frame, kerb_feed_ended, kerb_feed_mouth_freed };
    KerbFeed *feed = g_new0(KerbFeed, 1);
    feed->references = 2; /* the caller's and the thread's */
    feed->plan = *plan;
    feed->place = g_strdup(plan->place);
    feed->sought = plan->was != NULL;
    if (plan->was) {
        feed->was_stable = g_strdup(plan->was->stable);
        feed->was_name = g_strdup(plan->was->name);
        feed->was_driver = g_strdup(plan->was->driver);
        feed->was_bus = g_strdup(plan->was->bus);
    }
    feed->plan.place = NULL;
    feed->plan.was = NULL;
    feed->gate = gst_object_ref(gate);
    feed->state.first = feed->state.last = GST_CLOCK_TIME_NONE;
    g_mutex_init(&feed->lock);
    g_cond_init(&feed->changed);
    feed->pipeline = gst_pipeline_new("feed");
    GstBus *bus = gst_element_get_bus(feed->pipeline);
    gst_bus_set_sync_handler(bus, kerb_feed_message, feed, NULL);
    gst_object_unref(bus);
    feed->mouth = kerb_mouth_new(gate, &calls, kerb_feed_ref(feed));
    gst_bin_add(GST_BIN(feed->pipeline), feed->mouth);
    kerb_gate_open(gate, feed->mouth); /* here, in the caller's order: a feed before this one may still be opening */
    g_thread_unref(g_thread_new("feed", kerb_feed_live, feed));
    return feed;
}

void kerb_feed_look(KerbFeed *feed, KerbFeedState *state)
{
    g_mutex_lock(&feed->lock);
    *state = feed->state;
    g_mutex_unlock(&feed->lock);
}

gchar *kerb_feed_why(KerbFeed *feed)
{
    g_mutex_lock(&feed->lock);
    gchar *why = g_strdup(feed->why ? feed->why : "it does not say why");
    g_mutex_unlock(&feed->lock);
    return why;
}

gboolean kerb_feed_take_camera(KerbFeed *feed, KerbCamera **camera, KerbCameraMode *mode)
{
    g_mutex_lock(&feed->lock);
    *camera = g_steal_pointer(&feed->camera);
    *mode = feed->mode;
    g_mutex_unlock(&feed->lock);
    return *camera != NULL;
}

void kerb_feed_close(KerbFeed *feed)
{
    g_mutex_lock(&feed->lock);
    feed->close = TRUE;
    g_cond_broadcast(&feed->changed);
    g_mutex_unlock(&feed->lock);
}
