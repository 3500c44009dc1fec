/* SPDX-License-Identifier: MIT */
/**
 * SECTION:element-kerbseg
 * Segments video: every pixel of every frame gets a class. Frames go in, the same frames come out in the same order with the same time
 * stamps, painted as `visualize` says, with KerbSegMeta on each; the request pads `labels` and `confidence` stream the maps themselves.
 * docs/elements.md has the whole of it.
 *
 * This file: the class, its properties and pads, the opening of the model. See kerbseg.h for the rest.
 */
#include "kerbseg.h"
#include "elements.h"
#include "pool.h"
#include "post.h"
#include "video.h"

GST_DEBUG_CATEGORY(kerb_seg_debug);

G_DEFINE_TYPE(KerbSeg, kerb_seg, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(kerbseg, "kerbseg", GST_RANK_NONE, kerb_seg_get_type())

#define KERB_SEG_CAPS KERB_VIDEO_CUDA_CAPS "; " KERB_VIDEO_CAPS
static GstStaticPadTemplate kerb_seg_sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(KERB_SEG_CAPS));
static GstStaticPadTemplate kerb_seg_src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(KERB_SEG_CAPS));
static GstStaticPadTemplate kerb_seg_labels_template =
    GST_STATIC_PAD_TEMPLATE("labels", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS(KERB_MAP_CAPS));
static GstStaticPadTemplate kerb_seg_confidence_template =
    GST_STATIC_PAD_TEMPLATE("confidence", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS(KERB_MAP_CAPS));

GstBaseTransformClass *kerb_seg_parent(void)
{
    return GST_BASE_TRANSFORM_CLASS(kerb_seg_parent_class);
}

/* ---------------------------------------------------------------------------------------------------------- the model */

static void kerb_seg_progress(void *user, const char *what, int done, int total)
{
    gint percent = total > 0 ? (gint)((gint64)done * 100 / total) : -1;
    GstStructure *s = gst_structure_new("kerb-progress", "what", G_TYPE_STRING, what, "done", G_TYPE_INT, done, "total", G_TYPE_INT, total,
                                        "percent", G_TYPE_INT, percent, NULL);
    gst_element_post_message(GST_ELEMENT(user), gst_message_new_element(GST_OBJECT(user), s));
}

/* "123.7,116.3,103.5", or one number for all channels. */
static gboolean kerb_seg_parse_three(const gchar *text, float out[3])
{
    gchar **words = g_strsplit(text, ",", -1);
    guint n = g_strv_length(words);
    gboolean ok = n == 1 || n == 3;
    for (guint i = 0; ok && i < n; i++) {
        gchar *end = NULL;
        g_strstrip(words[i]);
        out[i] = (float)g_ascii_strtod(words[i], &end);
        ok = end != words[i] && !*end;
    }
    if (n == 1) out[1] = out[2] = out[0];
    g_strfreev(words);
    return ok;
}

static gboolean kerb_seg_norm(const KerbSegSettings *s, KerbConfig *config)
{
    if (!s->mean && !s->std) return TRUE;
    config->has_norm = true;
    for (int i = 0; i < 3; i++) config->mean[i] = 0, config->std[i] = 1;
    if (s->mean && !kerb_seg_parse_three(s->mean, config->mean)) return FALSE;
    return !s->std || kerb_seg_parse_three(s->std, config->std);
}

/* Settings as the engine takes them; the strings stay the element's, and `model` that of a model that the settings do not name. */
static gboolean kerb_seg_config(KerbSeg *self, KerbConfig *config, char model[KERB_PATH_BYTES])
{
    const KerbSegSettings *s = &self->settings;
    kerb_config_init(config);
    config->model_file = s->model_file;
    config->card_file = s->card_file;
    config->labels_file = s->labels_file;
    config->palette = self->look.palette;
    config->backend = s->backend;
    config->precision = (KerbPrecision)s->precision;
    config->threads = (int)s->threads;
    config->cpu_list = s->cpu_list;
    config->tune = s->tune;
    config->slots = (int)s->slots;
    config->device_id = (int)s->cuda_device_id;
    config->network_width_px = (int)s->network_width;
    config->network_height_px = (int)s->network_height;
    config->fit = (KerbFit)s->fit;
    config->color = (KerbColor)s->color;
    config->confidence = self->with_confidence;
    config->smoothing = (KerbSmoothing)s->smoothing;
    config->progress = kerb_seg_progress;
    config->progress_user = self;
    if (!s->model_file || !*s->model_file) {
        KerbError error;
        if (kerb_model_default(model, &error) != KERB_OK) {
            kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, &error, ""); /* "": a file that is not there */
            return FALSE;
        }
        config->model_file = model;
        GST_ELEMENT_INFO(self, RESOURCE, SETTINGS, ("No model-file is set: using %s", model), ("using %s", model)); /* gst-launch shows the second */
    }
    if (!kerb_seg_norm(s, config)) {
        GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
                          ("mean=%s std=%s cannot be read. Each is one number or three between commas, such as 123.7,116.3,103.5.",
                           s->mean ? s->mean : "(unset)", s->std ? s->std : "(unset)"),
                          (NULL));
        return FALSE;
    }
    return TRUE;
}

/* With new classes: the display that the properties ask for. What does not fit them is said, and replaced by what does. */
static void kerb_seg_make_display(KerbSeg *self)
{
    int n = 0;
    const KerbClass *classes = kerb_classes(self->pipeline, &n);
    gchar *complaint = NULL;
    g_mutex_lock(&self->lock);
    self->classes = g_bytes_new(classes, (gsize)n * sizeof *classes);
    kerb_look_display(&self->look, classes, n, &self->display, &complaint);
    self->display_changed = TRUE;
    g_mutex_unlock(&self->lock);
    if (complaint) kerb_post_setting(GST_ELEMENT(self), complaint);
}

/* Whether the first backend that works here is a GPU's: what `auto` takes. Asked once. */
static gboolean kerb_seg_gpu_is_first(void)
{
    static gsize asked; /* 1: no, 2: yes */
    if (g_once_init_enter(&asked)) {
        KerbDevice devices[64];
        int n = MIN(kerb_devices(devices, G_N_ELEMENTS(devices)), (int)G_N_ELEMENTS(devices)), i = 0;
        while (i < n && !devices[i].usable) i++;
        g_once_init_leave(&asked, i < n && !strcmp(devices[i].name, "cuda") ? 2 : 1);
    }
    return asked == 2;
}

/* The settings as they are: may the network run on a GPU? Only then a CUDA context is worth its memory. */
static gboolean kerb_seg_may_use_cuda(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    const gchar *backend = self->settings.backend;
    gboolean is_auto = !backend || !*backend || !strcmp(backend, "auto"), is_cuda = !is_auto && !strcmp(backend, "cuda");
    g_mutex_unlock(&self->lock);
    return is_cuda || (is_auto && kerb_seg_gpu_is_first());
}

static gboolean kerb_seg_open_cuda(KerbSeg *self)
{
    return kerb_seg_may_use_cuda(self) && kerb_cuda_open(&self->cuda, GST_ELEMENT(self), self->settings.cuda_device_id);
}

/* With a pipeline open. A model of free size is compiled only when the caps are known: until then what may be is taken for what will be. */
static gboolean kerb_seg_will_use_cuda(KerbSeg *self)
{
    KerbStats stats;
    kerb_get_stats(self->pipeline, &stats);
    return kerb_seg_may_use_cuda(self) && (!stats.backend[0] || g_str_has_prefix(stats.backend, "cuda"));
}

/* READY to PAUSED: the model is opened here, so that what is wrong with it is said before any data flows. */
static gboolean kerb_seg_start(GstBaseTransform *transform)
{
    KerbSeg *self = KERB_SEG(transform);
    KerbConfig config;
    KerbError error;
    KerbPipeline *pipeline = NULL;
    char model[KERB_PATH_BYTES];
    self->with_confidence = self->settings.confidence || self->side[KERB_SEG_CONFIDENCE];
    if (!kerb_seg_config(self, &config, model)) return FALSE;
    if (kerb_open(&pipeline, &config, &error) != KERB_OK) {
        kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, &error, config.model_file);
        return FALSE;
    }
    g_mutex_lock(&self->lock);
    self->pipeline = pipeline;
    self->n_items = self->settings.slots + 1;
    self->counters = (KerbSegCounters){0};
    self->latency = 0;
    self->mode = self->settings.live_mode;
    self->max_wait = self->settings.max_wait;
    self->age = 0;
    self->warned_us = 0;
    self->failed = FALSE;
    g_mutex_unlock(&self->lock);
    self->has_format = self->on_gpu = FALSE;
    self->takes_cuda = kerb_seg_will_use_cuda(self) && kerb_seg_open_cuda(self);
    kerb_allocator_set_pipeline(self->canvas.allocator, pipeline);
    kerb_seg_make_display(self);
    gst_base_transform_set_qos_enabled(transform, FALSE); /* whoever sets the base class's `qos`: video is never dropped */
    kerb_seg_start_output(self);
    return TRUE;
}

static gboolean kerb_seg_stop(GstBaseTransform *transform)
{
    KerbSeg *self = KERB_SEG(transform);
    if (!self->pipeline) return TRUE;
    kerb_seg_stop_output(self);
    g_mutex_lock(&self->lock);
    KerbPipeline *pipeline = g_steal_pointer(&self->pipeline);
    g_clear_pointer(&self->classes, g_bytes_unref);
    g_mutex_unlock(&self->lock);
    kerb_allocator_set_pipeline(self->canvas.allocator, NULL);
    kerb_close(&pipeline);
    kerb_carrier_free(&self->carrier);
    kerb_drawer_free(&self->drawer);
    if (self->map_pool) gst_buffer_pool_set_active(self->map_pool, FALSE);
    gst_clear_object(&self->map_pool);
    self->has_format = FALSE;
    return TRUE;
}

static GstStateChangeReturn kerb_seg_change_state(GstElement *element, GstStateChange change)
{
    /* Before the pads are deactivated, which waits for the streaming thread: that may be waiting for the ring. */
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY) kerb_seg_set_flushing(KERB_SEG(element), TRUE);
    if (change == GST_STATE_CHANGE_NULL_TO_READY) KERB_SEG(element)->takes_cuda = kerb_seg_open_cuda(KERB_SEG(element));
    return GST_ELEMENT_CLASS(kerb_seg_parent_class)->change_state(element, change);
}

/* ------------------------------------------------------------------------------------------------------------- queries */

static gboolean kerb_seg_query(GstBaseTransform *transform, GstPadDirection direction, GstQuery *query)
{
    KerbSeg *self = KERB_SEG(transform);
    if (direction == GST_PAD_SINK && GST_QUERY_IS_SERIALIZED(query)) kerb_seg_drain(self);
    /* In any state: elements downstream, which become READY first, ask too. */
    if (GST_QUERY_TYPE(query) == GST_QUERY_CONTEXT && kerb_seg_may_use_cuda(self) &&
        kerb_cuda_answer(&self->cuda, GST_ELEMENT(self), self->settings.cuda_device_id, query))
        return TRUE;
    if (direction == GST_PAD_SRC && GST_QUERY_TYPE(query) == GST_QUERY_SCHEDULING) {
        /* Frames leave when they are done, not when they are pulled. */
        gst_query_set_scheduling(query, GST_SCHEDULING_FLAG_SEQUENTIAL, 1, -1, 0);
        gst_query_add_scheduling_mode(query, GST_PAD_MODE_PUSH);
        return TRUE;
    }
    gboolean ok = kerb_seg_parent()->query(transform, direction, query);
    if (ok && direction == GST_PAD_SRC && GST_QUERY_TYPE(query) == GST_QUERY_LATENCY) kerb_seg_answer_latency(self, query);
    return ok;
}

/* What downstream says about its time thins inference; the event goes on upstream, where a decoder may act on it. */
static gboolean kerb_seg_src_event(GstBaseTransform *transform, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) == GST_EVENT_QOS) kerb_seg_live_qos(KERB_SEG(transform), event);
    return kerb_seg_parent()->src_event(transform, event);
}

static gboolean kerb_seg_accept_caps(GstBaseTransform *transform, GstPadDirection direction, GstCaps *caps)
{
    if (direction == GST_PAD_SINK && kerb_video_accept_caps(caps, KERB_SEG(transform)->takes_cuda)) return TRUE;
    return kerb_seg_parent()->accept_caps(transform, direction, caps);
}

/* The same on both sides, without CUDA memory where the network does not run on a GPU. */
static GstCaps *kerb_seg_transform_caps(GstBaseTransform *transform, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
    GstCaps *same = gst_caps_copy(caps);
    for (guint i = gst_caps_get_size(same); i-- > 0 && !KERB_SEG(transform)->takes_cuda;)
        if (gst_caps_features_contains(gst_caps_get_features(same, i), KERB_CUDA_FEATURE)) gst_caps_remove_structure(same, i);
    if (!filter) return same;
    GstCaps *wanted = gst_caps_intersect_full(filter, same, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(same);
    return wanted;
}

/* Frames of upstream's that may be here at a time. Live: those that wait, one at the network, one offered to it. */
static guint kerb_seg_holds_at_most(KerbSeg *self)
{
    g_mutex_lock(&self->lock);
    guint n = self->n_items + 1;
    if (self->mode == KERB_LIVE_HOLD && self->frame_duration)
        n = MAX(n, (guint)MIN(self->max_wait / self->frame_duration + 3, KERB_SEG_MAX_HELD));
    g_mutex_unlock(&self->lock);
    return n;
}

static gboolean kerb_seg_propose_allocation(GstBaseTransform *transform, GstQuery *decided, GstQuery *query)
{
    KerbSeg *self = KERB_SEG(transform);
    return kerb_seg_parent()->propose_allocation(transform, decided, query) &&
           kerb_canvas_propose(&self->canvas, query, kerb_seg_holds_at_most(self));
}

static gboolean kerb_seg_decide_allocation(GstBaseTransform *transform, GstQuery *query)
{
    KerbSeg *self = KERB_SEG(transform);
    return kerb_canvas_decide(&self->canvas, query, self->n_items) && kerb_seg_parent()->decide_allocation(transform, query);
}

static gboolean kerb_seg_transform_meta(GstBaseTransform *transform, GstBuffer *out, GstMeta *meta, GstBuffer *in)
{
    KerbSeg *self = KERB_SEG(transform);
    g_mutex_lock(&self->lock);
    KerbVisualize visualize = self->display.visualize;
    g_mutex_unlock(&self->lock);
    return kerb_canvas_keeps_meta(meta, visualize);
}

/* Never called; its being there tells the base class that this is no passthrough, or our pools would not be asked for. */
static GstFlowReturn kerb_seg_transform(GstBaseTransform *transform, GstBuffer *in, GstBuffer *out)
{
    return GST_FLOW_ERROR;
}

/* -------------------------------------------------------------------------------------------------------- request pads */

static GstPad *kerb_seg_request_new_pad(GstElement *element, GstPadTemplate *templ, const gchar *name, const GstCaps *caps)
{
    KerbSeg *self = KERB_SEG(element);
    KerbSegMap which = strcmp(GST_PAD_TEMPLATE_NAME_TEMPLATE(templ), "confidence") ? KERB_SEG_LABELS : KERB_SEG_CONFIDENCE;
    KerbSidePad *pad = kerb_side_pad_new(templ);
    g_mutex_lock(&self->lock);
    gboolean taken = self->side[which] != NULL;
    gboolean absent = which == KERB_SEG_CONFIDENCE && self->pipeline && !self->with_confidence;
    if (!taken && !absent) {
        self->side[which] = gst_object_ref_sink(pad);
        gst_flow_combiner_add_pad(self->flows, GST_PAD_CAST(pad));
    }
    g_mutex_unlock(&self->lock);
    if (taken || absent) {
        gst_object_unref(gst_object_ref_sink(pad));
        if (absent)
            kerb_post_setting(element,
                              g_strdup("The pad \"confidence\" cannot be had while the element runs with confidence=false. Set it to "
                                       "true, or request the pad, before the element goes to PAUSED."));
        else
            GST_WARNING_OBJECT(self, "there is one pad \"%s\" already; put a tee behind it", GST_PAD_TEMPLATE_NAME_TEMPLATE(templ));
        return NULL;
    }
    /* Active before it is added where data may flow already. */
    if (GST_STATE(element) > GST_STATE_READY || GST_STATE_NEXT(element) == GST_STATE_PAUSED) gst_pad_set_active(GST_PAD(pad), TRUE);
    gst_element_add_pad(element, GST_PAD(pad));
    GstEvent *ended = gst_pad_get_sticky_event(GST_BASE_TRANSFORM_SINK_PAD(self), GST_EVENT_EOS, 0);
    if (ended) kerb_side_pad_event(pad, GST_BASE_TRANSFORM_SINK_PAD(self), ended);
    g_clear_pointer(&ended, gst_event_unref);
    return GST_PAD(pad);
}

static void kerb_seg_release_pad(GstElement *element, GstPad *pad)
{
    KerbSeg *self = KERB_SEG(element);
    gboolean found = FALSE;
    g_mutex_lock(&self->lock);
    for (int i = 0; i < KERB_SEG_MAPS; i++)
        if (GST_PAD_CAST(self->side[i]) == pad) {
            gst_flow_combiner_remove_pad(self->flows, pad);
            self->side[i] = NULL;
            found = TRUE;
        }
    g_mutex_unlock(&self->lock);
    if (!found) return;
    gst_pad_set_active(pad, FALSE); /* wakes the output thread where it waits for this pad */
    gst_element_remove_pad(element, pad);
    gst_object_unref(pad);
}

/* ---------------------------------------------------------------------------------------------------------------- class */

static void kerb_seg_finalize(GObject *object)
{
    KerbSeg *self = KERB_SEG(object);
    KerbSegSettings *s = &self->settings;
    for (int i = 0; i < KERB_SEG_MAPS; i++) gst_clear_object(&self->side[i]);
    gchar **strings[] = {&s->model_file, &s->card_file, &s->labels_file, &s->backend, &s->cpu_list, &s->mean, &s->std};
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_clear_pointer(strings[i], g_free);
    gst_flow_combiner_free(self->flows);
    kerb_look_clear(&self->look);
    kerb_canvas_clear(&self->canvas);
    kerb_cuda_clear(&self->cuda);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->cond);
    G_OBJECT_CLASS(kerb_seg_parent_class)->finalize(object);
}

static void kerb_seg_class_init(KerbSegClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(kerb_seg_debug, "kerbseg", 0, "Kerb's segmentation element");
    object->finalize = kerb_seg_finalize;
    kerb_seg_install_properties(object);

    element->change_state = kerb_seg_change_state;
    element->request_new_pad = kerb_seg_request_new_pad;
    element->release_pad = kerb_seg_release_pad;
    gst_element_class_add_static_pad_template(element, &kerb_seg_sink_template);
    gst_element_class_add_static_pad_template(element, &kerb_seg_src_template);
    gst_element_class_add_static_pad_template(element, &kerb_seg_labels_template);
    gst_element_class_add_static_pad_template(element, &kerb_seg_confidence_template);
    gst_element_class_set_static_metadata(
        element, "Kerb segmentation", "Filter/Effect/Analyzer/Video",
        "Finds a class for every pixel of road video with an ONNX network, and draws, attaches and streams it", "The Kerb authors");

    klass->start = kerb_seg_start;
    klass->stop = kerb_seg_stop;
    klass->set_caps = kerb_seg_set_caps;
    klass->accept_caps = kerb_seg_accept_caps;
    klass->transform_caps = kerb_seg_transform_caps;
    klass->query = kerb_seg_query;
    klass->sink_event = kerb_seg_sink_event;
    klass->src_event = kerb_seg_src_event;
    klass->submit_input_buffer = kerb_seg_submit_input_buffer;
    klass->generate_output = kerb_seg_generate_output;
    klass->propose_allocation = kerb_seg_propose_allocation;
    klass->decide_allocation = kerb_seg_decide_allocation;
    klass->transform_meta = kerb_seg_transform_meta;
    klass->transform = kerb_seg_transform;
    klass->passthrough_on_same_caps = FALSE;
    gst_type_mark_as_plugin_api(kerb_visualize_get_type(), 0);
    gst_type_mark_as_plugin_api(kerb_fit_get_type(), 0);
    gst_type_mark_as_plugin_api(kerb_color_get_type(), 0);
    gst_type_mark_as_plugin_api(kerb_precision_get_type(), 0);
    gst_type_mark_as_plugin_api(kerb_live_mode_get_type(), 0);
    gst_type_mark_as_plugin_api(kerb_smoothing_get_type(), 0);
}

static void kerb_seg_init(KerbSeg *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->cond);
    kerb_canvas_init(&self->canvas);
    kerb_cuda_init(&self->cuda);
    self->canvas.cuda = &self->cuda;
    kerb_look_init(&self->look);
    self->settings = (KerbSegSettings){.backend = g_strdup("auto"),
                                       .slots = 2,
                                       .tune = TRUE,
                                       .confidence = TRUE,
                                       .max_wait = KERB_SEG_MAX_WAIT,
                                       .max_age = GST_CLOCK_TIME_NONE,
                                       .interval = 1};
    self->n_items = self->settings.slots + 1;
    gst_video_info_init(&self->info);
    self->flows = gst_flow_combiner_new();
    gst_flow_combiner_add_pad(self->flows, GST_BASE_TRANSFORM_SRC_PAD(self));
    gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), FALSE);
    gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), FALSE);
}
