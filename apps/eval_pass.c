/* SPDX-License-Identifier: MIT */
/* The pipeline of `kerb eval`, as a user would build it: frames ! kerbseg ! appsink, and its labels pad ! appsink; see eval.h.
 *
 * Frames come from a data set's image files (an appsrc), from kerbtestsrc (whose own labels pad is the truth), or from any SOURCE. In live modes they come at
 * their own pace, so that inference is thinned as it would be. */
#include "eval.h"
#include "fault.h"
#include "options_live.h"
#include "progress.h"
#include "say.h"
#include "source.h"

#include <gst/app/app.h>
#include <string.h>

#define TEST_FRAMES 250 /* of an endless drive, where --frames does not say */
#define QUEUED 4u       /* results that wait to be measured */
#define LABELS_S 30     /* a frame that says it has labels, and they do not come */

typedef struct KerbEvalRun {
    KerbEval *e;
    GstElement *pipeline, *kerbseg, *video, *labels, *truth; /* truth: NULL where it is in files, or there is none */
    GstBus *bus;
    KerbSource *source; /* of an unlabelled drive */
    KerbFault fault;
    guint next;         /* image file; appsrc's thread */
    GMutex lock;
    gchar *unreadable;  /* an image file that could not be read, and why; under the lock */
    int exit_code;
    KerbProgress progress;
} KerbEvalRun;

/* --------------------------------------------------------------------------------------------------------------- frames */

/* appsrc's streaming thread. */
static void kerb_eval_need_data(GstAppSrc *appsrc, guint bytes, gpointer user)
{
    KerbEvalRun *r = user;
    GPtrArray *pairs = r->e->dataset->pairs;
    guint limit = r->e->wish->frames ? (guint)MIN((gint64)pairs->len, r->e->wish->frames) : pairs->len;
    if (r->next >= limit) {
        gst_app_src_end_of_stream(appsrc);
        return;
    }
    guint index = r->next++;
    const KerbPair *pair = pairs->pdata[index];
    gchar *why = NULL;
    GstSample *decoded = kerb_source_read_image(pair->image, &why);
    if (!decoded) {
        g_mutex_lock(&r->lock);
        r->unreadable = g_strdup_printf("%s cannot be read: %s", pair->image, why);
        g_mutex_unlock(&r->lock);
        g_free(why);
        gst_app_src_end_of_stream(appsrc);
        return;
    }
    gint n, d;
    gst_util_double_to_fraction(r->e->options->rate, &n, &d);
    GstBuffer *buffer = gst_buffer_copy(gst_sample_get_buffer(decoded));
    GstCaps *caps = gst_caps_copy(gst_sample_get_caps(decoded));
    gst_caps_set_simple(caps, "framerate", GST_TYPE_FRACTION, n, d, NULL);
    GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(index, (guint64)d * GST_SECOND, (guint64)n);
    GST_BUFFER_DURATION(buffer) = gst_util_uint64_scale(index + 1, (guint64)d * GST_SECOND, (guint64)n) - GST_BUFFER_PTS(buffer);
    GST_BUFFER_OFFSET(buffer) = index;
    GstSample *sample = gst_sample_new(buffer, caps, NULL, NULL);
    gst_app_src_push_sample(appsrc, sample);
    gst_sample_unref(sample);
    gst_sample_unref(decoded);
    gst_buffer_unref(buffer);
    gst_caps_unref(caps);
}

static GstElement *kerb_eval_images(KerbEvalRun *r)
{
    GstElement *appsrc = kerb_element("appsrc");
    if (!appsrc) return NULL;
    g_object_set(appsrc, "format", GST_FORMAT_TIME, "max-bytes", (guint64)1, NULL);
    g_signal_connect(appsrc, "need-data", G_CALLBACK(kerb_eval_need_data), r);
    gst_bin_add(GST_BIN(r->pipeline), appsrc);
    return appsrc;
}

static GstElement *kerb_eval_sink(KerbEvalRun *r, guint most)
{
    GstElement *sink = kerb_element("appsink");
    if (!sink) return NULL;
    g_object_set(sink, "sync", FALSE, "async", FALSE, "max-buffers", most, NULL); /* async: kerbtestsrc cannot wait with one pad for the other */
    gst_bin_add(GST_BIN(r->pipeline), sink);
    return sink;
}

/* kerbtestsrc and an appsink for its labels. Those of a frame come before it, and no more frames are under way than the other sinks let through. */
static GstElement *kerb_eval_test(KerbEvalRun *r)
{
    gboolean live;
    GstElement *tail = kerb_source_test(GST_BIN(r->pipeline), r->e->wish->root, &live);
    if (!tail) {
        r->exit_code = KERB_EXIT_USAGE;
        return NULL;
    }
    GstIterator *all = gst_bin_iterate_all_by_element_factory_name(GST_BIN(r->pipeline), "kerbtestsrc");
    GValue found = G_VALUE_INIT;
    if (gst_iterator_next(all, &found) == GST_ITERATOR_OK) {
        GstElement *drive = g_value_get_object(&found);
        g_object_set(drive, "num-buffers", (gint)(r->e->wish->frames ? MIN(r->e->wish->frames, G_MAXINT) : TEST_FRAMES), NULL);
        r->truth = kerb_eval_sink(r, 0);
        if (r->truth) gst_element_link_pads(drive, "labels", r->truth, "sink");
        g_value_unset(&found);
    }
    gst_iterator_free(all);
    return tail;
}

static GstElement *kerb_eval_video(KerbEvalRun *r)
{
    r->source = kerb_source_new(r->e->wish->root, r->e->options->rate, 0, &r->exit_code);
    if (!r->source) return NULL;
    gst_bin_add(GST_BIN(r->pipeline), r->source->bin);
    return r->source->bin;
}

/* Whether frames have to come at their own pace. */
static gboolean kerb_eval_is_live(const KerbEvalRun *r)
{
    gint mode = 0;
    g_object_get(r->kerbseg, "live-mode", &mode, NULL);
    return mode != 0;
}

static void kerb_eval_settings(KerbEvalRun *r)
{
    kerb_options_apply(r->e->options, r->kerbseg);
    g_object_set(r->kerbseg, "visualize", (gint)KERB_VISUALIZE_NONE, NULL);
    if (r->e->plain) return; /* every frame with labels of its own, as the element does where nobody says anything */
    kerb_options_apply_live(r->e->options, FALSE, r->kerbseg);
    g_object_set(r->kerbseg, "inference-interval", (guint)r->e->wish->interval, NULL);
}

static gboolean kerb_eval_build(KerbEvalRun *r)
{
    r->exit_code = KERB_EXIT_INTERNAL;
    r->pipeline = gst_pipeline_new("eval");
    if (!r->e->options->quiet) kerb_progress_watch(r->pipeline);
    r->bus = gst_element_get_bus(r->pipeline);
    r->kerbseg = kerb_element("kerbseg");
    if (!r->kerbseg) return FALSE;
    gst_bin_add(GST_BIN(r->pipeline), r->kerbseg);
    kerb_eval_settings(r);
    r->video = kerb_eval_sink(r, QUEUED);
    r->labels = kerb_eval_sink(r, QUEUED);
    KerbDataset *d = r->e->dataset;
    GstElement *frames = !d ? kerb_eval_video(r) : d->kind == KERB_DATASET_TEST ? kerb_eval_test(r) : kerb_eval_images(r);
    if (!frames || !r->video || !r->labels) return FALSE;
    if (kerb_eval_is_live(r)) {
        GstElement *pace = kerb_element("clocksync");
        if (!pace) return FALSE;
        gst_bin_add(GST_BIN(r->pipeline), pace);
        gst_element_link(frames, pace);
        frames = pace;
    }
    r->exit_code = KERB_EXIT_OK;
    return gst_element_link_many(frames, r->kerbseg, r->video, NULL) && gst_element_link_pads(r->kerbseg, "labels", r->labels, "sink");
}

/* -------------------------------------------------------------------------------------------------------------- results */

/* An error on the bus is said, and gives the exit code. */
static gboolean kerb_eval_failed(KerbEvalRun *r)
{
    GstMessage *message;
    while ((message = gst_bus_pop_filtered(r->bus, GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT))) {
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ELEMENT) {
            if (r->source) kerb_fault_note_missing(message, r->source);
        } else if (r->source) {
            kerb_fault_read(&r->fault, message, r->source, NULL);
        } else if (!r->fault.text) {
            GError *error = NULL;
            const GstStructure *details = NULL;
            gst_message_parse_error(message, &error, NULL);
            gst_message_parse_error_details(message, &details);
            r->fault = (KerbFault){ .side = KERB_FAULT_NETWORK, .exit_code = KERB_EXIT_INTERNAL, .text = g_strdup(error->message) };
            if (details) gst_structure_get_int(details, "exit-code", &r->fault.exit_code);
            g_clear_error(&error);
        }
        gst_message_unref(message);
    }
    if (r->fault.text && !r->exit_code) {
        kerb_say("%s", r->fault.text);
        r->exit_code = r->fault.exit_code;
    }
    return r->exit_code != 0;
}

/* The next sample, or NULL: the end, or an error, which is said. */
static GstSample *kerb_eval_pull(KerbEvalRun *r, GstElement *sink)
{
    for (;;) {
        GstSample *sample = gst_app_sink_try_pull_sample(GST_APP_SINK(sink), 50 * GST_MSECOND);
        if (sample) return sample;
        if (kerb_eval_failed(r) || gst_app_sink_is_eos(GST_APP_SINK(sink))) return NULL;
    }
}

/* The map of this frame from a sink whose maps come in order; those of frames before it have nobody to belong to. NULL: it does not come. */
static GstSample *kerb_eval_pull_map(KerbEvalRun *r, GstElement *sink, GstClockTime pts)
{
    gint64 end_us = g_get_monotonic_time() + LABELS_S * G_USEC_PER_SEC;
    while (g_get_monotonic_time() < end_us) {
        GstSample *sample = kerb_eval_pull(r, sink);
        if (!sample) return NULL;
        if (GST_BUFFER_PTS(gst_sample_get_buffer(sample)) >= pts) return sample;
        gst_sample_unref(sample);
    }
    return NULL;
}

/* A map of GRAY8 with GStreamer's stride: a row is rounded up to 4 bytes, unless a video meta says otherwise. */
static gint kerb_eval_stride(GstBuffer *buffer, gint width)
{
    GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
    return meta ? meta->stride[0] : GST_ROUND_UP_4(width);
}

static void kerb_eval_one(KerbEvalRun *r, GstSample *video, GstSample *labels, GstSample *truth, guint64 index, KerbSegMeta *meta)
{
    KerbEval *e = r->e;
    GstVideoInfo info;
    GstMapInfo label_map, truth_map = GST_MAP_INFO_INIT;
    GstBuffer *label_buffer = gst_sample_get_buffer(labels), *truth_buffer = truth ? gst_sample_get_buffer(truth) : NULL;
    gst_video_info_from_caps(&info, gst_sample_get_caps(video));
    if (!gst_buffer_map(label_buffer, &label_map, GST_MAP_READ)) return;
    if (truth_buffer) gst_buffer_map(truth_buffer, &truth_map, GST_MAP_READ);
    gchar *name = NULL;
    KerbEvalFrame f = { .index = index, .buffer = gst_sample_get_buffer(video), .info = &info, .labels = label_map.data, .meta = meta };
    f.stride = kerb_eval_stride(label_buffer, info.width);
    if (truth_buffer) {
        f.truth = truth_map.data;
        f.truth_stride = kerb_eval_stride(truth_buffer, info.width);
    } else if (e->dataset) {
        f.pair = e->dataset->pairs->pdata[index];
    }
    f.name = f.pair ? f.pair->name : (name = g_strdup_printf("frame_%06" G_GUINT64_FORMAT, index));
    if (!e->matched) r->exit_code = kerb_eval_match(e, meta);
    if (!r->exit_code) r->exit_code = kerb_eval_measure(e, &f);
    g_free(name);
    if (truth_map.data) gst_buffer_unmap(truth_buffer, &truth_map);
    gst_buffer_unmap(label_buffer, &label_map);
}

static void kerb_eval_sample(KerbEvalRun *r, GstSample *video, guint64 index)
{
    GstBuffer *buffer = gst_sample_get_buffer(video);
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    if (!meta) { /* a frame that failed, or a live one before the first mask */
        if (kerb_eval_is_live(r))
            r->e->without_mask++;
        else
            r->e->errored++;
        return;
    }
    GstSample *labels = kerb_eval_pull_map(r, r->labels, GST_BUFFER_PTS(buffer)), *truth = NULL;
    if (labels && r->truth) truth = kerb_eval_pull_map(r, r->truth, GST_BUFFER_PTS(buffer));
    if (labels && (truth || !r->truth)) {
        kerb_eval_one(r, video, labels, truth, index, meta);
    } else if (!r->exit_code) {
        kerb_say("no labels came for the frame at %.3f s.", (gdouble)GST_BUFFER_PTS(buffer) / 1e9);
        r->exit_code = KERB_EXIT_INTERNAL;
    }
    if (labels) gst_sample_unref(labels);
    if (truth) gst_sample_unref(truth);
}

static void kerb_eval_progress(KerbEvalRun *r, guint64 done)
{
    gdouble rate = r->e->options->rate, done_s = (gdouble)done / rate, total_s = 0;
    const KerbEvalWish *wish = r->e->wish;
    if (r->source)
        kerb_source_position(r->source, &done_s, &total_s);
    else
        total_s = (gdouble)(r->truth ? (wish->frames ? wish->frames : TEST_FRAMES) : (gint64)r->e->dataset->pairs->len) / rate;
    if (!r->truth && wish->frames) total_s = MIN(total_s > 0 ? total_s : G_MAXDOUBLE, (gdouble)wish->frames / rate);
    kerb_progress_update(&r->progress, done, done_s, total_s, "");
}

static void kerb_eval_turn(KerbEvalRun *r)
{
    gint64 limit = r->e->wish->frames ? r->e->wish->frames : G_MAXINT64;
    GstSample *video;
    for (guint64 index = 0; !r->exit_code && (gint64)index < limit && (video = kerb_eval_pull(r, r->video)); index++) {
        kerb_eval_sample(r, video, index);
        gst_sample_unref(video);
        kerb_eval_progress(r, index + 1);
    }
    g_mutex_lock(&r->lock);
    if (r->unreadable && !r->exit_code) {
        kerb_say("%s", r->unreadable);
        r->exit_code = KERB_EXIT_ASSET;
    }
    g_mutex_unlock(&r->lock);
    if (!r->exit_code) kerb_eval_failed(r);
    if (!r->exit_code && !r->e->frames) {
        kerb_say("%s: no frame came out with labels (%" G_GUINT64_FORMAT " failed, %" G_GUINT64_FORMAT " came before the first mask).", r->e->wish->root, r->e->errored,
                 r->e->without_mask);
        r->exit_code = KERB_EXIT_ASSET;
    }
}

static void kerb_eval_note(KerbEvalRun *r)
{
    GstStructure *stats = NULL;
    g_object_get(r->kerbseg, "stats", &stats, NULL);
    if (!stats) return;
    const gchar *backend = gst_structure_get_string(stats, "backend");
    g_strlcpy(r->e->backend, backend ? backend : "", sizeof r->e->backend);
    gst_structure_get_int(stats, "network-width", &r->e->network_width);
    gst_structure_get_int(stats, "network-height", &r->e->network_height);
    gst_structure_free(stats);
}

int kerb_eval_pass(KerbEval *e)
{
    KerbEvalRun r = { .e = e };
    g_mutex_init(&r.lock);
    kerb_progress_init(&r.progress, e->options->quiet);
    if (kerb_eval_build(&r)) {
        gst_element_set_state(r.pipeline, GST_STATE_PLAYING);
        kerb_eval_turn(&r);
        kerb_eval_note(&r);
        gst_element_set_state(r.pipeline, GST_STATE_NULL);
    } else if (!r.exit_code) {
        kerb_say("the pipeline cannot be linked.");
        r.exit_code = KERB_EXIT_INTERNAL;
    }
    gst_object_unref(r.bus);
    gst_object_unref(r.pipeline);
    kerb_source_free(&r.source);
    kerb_fault_clear(&r.fault);
    g_free(r.unreadable);
    g_mutex_clear(&r.lock);
    return r.exit_code;
}
