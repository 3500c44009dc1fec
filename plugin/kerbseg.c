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
#include "enums.h"
#include "post.h"
#include "video.h"

GST_DEBUG_CATEGORY(kerb_seg_debug);

G_DEFINE_TYPE(KerbSeg, kerb_seg, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(kerbseg, "kerbseg", GST_RANK_NONE, kerb_seg_get_type())

enum {
    PROP_0,
    PROP_MODEL_FILE,
    PROP_CARD_FILE,
    PROP_LABELS_FILE,
    PROP_BACKEND,
    PROP_THREADS,
    PROP_PRECISION,
    PROP_SLOTS,
    PROP_NETWORK_WIDTH,
    PROP_NETWORK_HEIGHT,
    PROP_FIT,
    PROP_COLOR,
    PROP_MEAN,
    PROP_STD,
    PROP_CONFIDENCE,
    PROP_LIVE_MODE,
    PROP_STATS,
    PROP_LOOK, /* and the following */
};

static GstStaticPadTemplate kerb_seg_sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(KERB_VIDEO_CAPS));
static GstStaticPadTemplate kerb_seg_src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(KERB_VIDEO_CAPS));
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

/* Settings as the engine takes them; the strings stay the element's. */
static gboolean kerb_seg_config(KerbSeg *self, KerbConfig *config)
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
    config->slots = (int)s->slots;
    config->network_width_px = (int)s->network_width;
    config->network_height_px = (int)s->network_height;
    config->fit = (KerbFit)s->fit;
    config->color = (KerbColor)s->color;
    config->confidence = self->with_confidence;
    config->progress = kerb_seg_progress;
    config->progress_user = self;
    if (!s->model_file || !*s->model_file) {
        GST_ELEMENT_ERROR(
            self, RESOURCE, NOT_FOUND,
            ("The property \"model-file\" of %s is not set. Set it to an ONNX model: kerbseg model-file=net.onnx", GST_OBJECT_NAME(self)),
            (NULL));
        return FALSE;
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

/* READY to PAUSED: the model is opened here, so that what is wrong with it is said before any data flows. */
static gboolean kerb_seg_start(GstBaseTransform *transform)
{
    KerbSeg *self = KERB_SEG(transform);
    KerbConfig config;
    KerbError error;
    KerbPipeline *pipeline = NULL;
    self->with_confidence = self->settings.confidence || self->side[KERB_SEG_CONFIDENCE];
    if (!kerb_seg_config(self, &config)) return FALSE;
    if (kerb_open(&pipeline, &config, &error) != KERB_OK) {
        kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, &error, config.model_file);
        return FALSE;
    }
    g_mutex_lock(&self->lock);
    self->pipeline = pipeline;
    self->n_items = self->settings.slots + 1;
    self->counters = (KerbSegCounters){0};
    self->latency = 0;
    self->age = 0;
    self->warned_us = 0;
    self->failed = FALSE;
    g_mutex_unlock(&self->lock);
    self->has_format = FALSE;
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
    kerb_close(&pipeline);
    if (self->map_pool) gst_buffer_pool_set_active(self->map_pool, FALSE);
    gst_clear_object(&self->map_pool);
    self->has_format = FALSE;
    return TRUE;
}

static GstStateChangeReturn kerb_seg_change_state(GstElement *element, GstStateChange change)
{
    /* Before the pads are deactivated, which waits for the streaming thread: that may be waiting for the ring. */
    if (change == GST_STATE_CHANGE_PAUSED_TO_READY) kerb_seg_set_flushing(KERB_SEG(element), TRUE);
    return GST_ELEMENT_CLASS(kerb_seg_parent_class)->change_state(element, change);
}

/* ------------------------------------------------------------------------------------------------------------- queries */

static gboolean kerb_seg_query(GstBaseTransform *transform, GstPadDirection direction, GstQuery *query)
{
    KerbSeg *self = KERB_SEG(transform);
    if (direction == GST_PAD_SINK && GST_QUERY_IS_SERIALIZED(query)) kerb_seg_drain(self);
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

static gboolean kerb_seg_accept_caps(GstBaseTransform *transform, GstPadDirection direction, GstCaps *caps)
{
    if (direction == GST_PAD_SINK && kerb_video_accept_caps(caps)) return TRUE;
    return kerb_seg_parent()->accept_caps(transform, direction, caps);
}

static gboolean kerb_seg_propose_allocation(GstBaseTransform *transform, GstQuery *decided, GstQuery *query)
{
    KerbSeg *self = KERB_SEG(transform);
    return kerb_seg_parent()->propose_allocation(transform, decided, query) && kerb_canvas_propose(&self->canvas, query, self->n_items + 1);
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

/* ---------------------------------------------------------------------------------------------------------- properties */

static void kerb_seg_set_string(gchar **to, const GValue *value)
{
    g_free(*to);
    *to = g_value_dup_string(value);
}

/* Display properties: checked against the classes where these are known; the next frame takes them. */
static void kerb_seg_set_look(KerbSeg *self, guint which, const GValue *value)
{
    gchar *complaint = NULL;
    g_mutex_lock(&self->lock);
    gsize bytes = 0;
    const KerbClass *classes = self->classes ? g_bytes_get_data(self->classes, &bytes) : NULL;
    int n = (int)(bytes / sizeof *classes);
    if (kerb_look_set(&self->look, which, value, classes, n, &complaint)) {
        kerb_look_display(&self->look, classes, n, &self->display, &complaint);
        self->display_changed = TRUE;
    }
    g_mutex_unlock(&self->lock);
    if (complaint) kerb_post_setting(GST_ELEMENT(self), complaint);
}

static void kerb_seg_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    KerbSeg *self = KERB_SEG(object);
    KerbSegSettings *s = &self->settings;
    if (id >= PROP_LOOK && id < PROP_LOOK + KERB_LOOK_PROPERTIES) {
        kerb_seg_set_look(self, id - PROP_LOOK, value);
        return;
    }
    g_mutex_lock(&self->lock);
    switch (id) {
    case PROP_MODEL_FILE: kerb_seg_set_string(&s->model_file, value); break;
    case PROP_CARD_FILE: kerb_seg_set_string(&s->card_file, value); break;
    case PROP_LABELS_FILE: kerb_seg_set_string(&s->labels_file, value); break;
    case PROP_BACKEND: kerb_seg_set_string(&s->backend, value); break;
    case PROP_MEAN: kerb_seg_set_string(&s->mean, value); break;
    case PROP_STD: kerb_seg_set_string(&s->std, value); break;
    case PROP_THREADS: s->threads = g_value_get_uint(value); break;
    case PROP_SLOTS: s->slots = g_value_get_uint(value); break;
    case PROP_NETWORK_WIDTH: s->network_width = g_value_get_uint(value); break;
    case PROP_NETWORK_HEIGHT: s->network_height = g_value_get_uint(value); break;
    case PROP_PRECISION: s->precision = g_value_get_enum(value); break;
    case PROP_FIT: s->fit = g_value_get_enum(value); break;
    case PROP_COLOR: s->color = g_value_get_enum(value); break;
    case PROP_LIVE_MODE: s->live_mode = g_value_get_enum(value); break;
    case PROP_CONFIDENCE: s->confidence = g_value_get_boolean(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec); break;
    }
    g_mutex_unlock(&self->lock);
}

static void kerb_seg_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    KerbSeg *self = KERB_SEG(object);
    const KerbSegSettings *s = &self->settings;
    if (id == PROP_STATS) {
        g_value_take_boxed(value, kerb_seg_stats(self));
        return;
    }
    g_mutex_lock(&self->lock);
    switch (id) {
    case PROP_MODEL_FILE: g_value_set_string(value, s->model_file); break;
    case PROP_CARD_FILE: g_value_set_string(value, s->card_file); break;
    case PROP_LABELS_FILE: g_value_set_string(value, s->labels_file); break;
    case PROP_BACKEND: g_value_set_string(value, s->backend); break;
    case PROP_MEAN: g_value_set_string(value, s->mean); break;
    case PROP_STD: g_value_set_string(value, s->std); break;
    case PROP_THREADS: g_value_set_uint(value, s->threads); break;
    case PROP_SLOTS: g_value_set_uint(value, s->slots); break;
    case PROP_NETWORK_WIDTH: g_value_set_uint(value, s->network_width); break;
    case PROP_NETWORK_HEIGHT: g_value_set_uint(value, s->network_height); break;
    case PROP_PRECISION: g_value_set_enum(value, s->precision); break;
    case PROP_FIT: g_value_set_enum(value, s->fit); break;
    case PROP_COLOR: g_value_set_enum(value, s->color); break;
    case PROP_LIVE_MODE: g_value_set_enum(value, s->live_mode); break;
    case PROP_CONFIDENCE: g_value_set_boolean(value, s->confidence); break;
    default:
        if (id >= PROP_LOOK && id < PROP_LOOK + KERB_LOOK_PROPERTIES)
            kerb_look_get(&self->look, id - PROP_LOOK, value);
        else
            G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
        break;
    }
    g_mutex_unlock(&self->lock);
}

#define KERB_SEG_AT_START (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void kerb_seg_install_strings(GObjectClass *klass)
{
    static const struct {
        guint id;
        const gchar *name, *nick, *blurb, *value;
    } strings[] = {
        {PROP_MODEL_FILE, "model-file", "Model file", "ONNX model; required. Since: 0.1", NULL},
        {PROP_CARD_FILE, "card-file", "Model card", "Model card (JSON). Unset: MODEL.json beside MODEL.onnx where it is there. Since: 0.1",
         NULL},
        {PROP_LABELS_FILE, "labels-file", "Labels file",
         "Class names and colours: `name r g b` lines or JSON. Unset: the card's, the palette's, or invented ones. Since: 0.1", NULL},
        {PROP_BACKEND, "backend", "Backend", "Where the network runs: auto, cpu, ref (`kerb devices` lists them). Since: 0.1", "auto"},
        {PROP_MEAN, "mean", "Mean",
         "Subtracted from the network's input (0..255), one number or three between commas in the network's channel order; replaces the "
         "card's. "
         "Where std alone is set: 0. Since: 0.1",
         NULL},
        {PROP_STD, "std", "Standard deviation",
         "Divides the network's input after the mean, one number or three between commas, each > 0; replaces the card's. Where mean alone "
         "is set: "
         "1. Since: 0.1",
         NULL},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
        g_object_class_install_property(
            klass, strings[i].id,
            g_param_spec_string(strings[i].name, strings[i].nick, strings[i].blurb, strings[i].value, KERB_SEG_AT_START));
}

static void kerb_seg_install_numbers(GObjectClass *klass)
{
    g_object_class_install_property(klass, PROP_THREADS,
                                    g_param_spec_uint("threads", "Threads",
                                                      "CPU threads; 0: one for every core this process may use. Since: 0.1", 0, 256, 0,
                                                      KERB_SEG_AT_START));
    g_object_class_install_property(klass, PROP_SLOTS,
                                    g_param_spec_uint("slots", "Slots",
                                                      "Frames in flight in the engine: more smooths, and adds latency. Since: 0.1", 1,
                                                      KERB_MAX_SLOTS, 2, KERB_SEG_AT_START));
    g_object_class_install_property(
        klass, PROP_NETWORK_WIDTH,
        g_param_spec_uint(
            "network-width", "Network width",
            "Width of the network's input in pixels; 0: the model's or the card's. Free only where the model's is. Since: 0.1", 0,
            KERB_MAX_SIDE_PX, 0, KERB_SEG_AT_START));
    g_object_class_install_property(
        klass, PROP_NETWORK_HEIGHT,
        g_param_spec_uint(
            "network-height", "Network height",
            "Height of the network's input in pixels; 0: the model's or the card's. Free only where the model's is. Since: 0.1", 0,
            KERB_MAX_SIDE_PX, 0, KERB_SEG_AT_START));
    g_object_class_install_property(
        klass, PROP_CONFIDENCE,
        g_param_spec_boolean(
            "confidence", "Confidence",
            "Compute confidence maps. On in any case while the pad `confidence` is there when the element starts. Since: 0.1", TRUE,
            KERB_SEG_AT_START));
}

static void kerb_seg_install_enums(GObjectClass *klass)
{
    g_object_class_install_property(klass, PROP_PRECISION,
                                    g_param_spec_enum("precision", "Precision", "Arithmetic of the network. Since: 0.1",
                                                      kerb_precision_get_type(), KERB_PRECISION_AUTO, KERB_SEG_AT_START));
    g_object_class_install_property(klass, PROP_FIT,
                                    g_param_spec_enum("fit", "Fit",
                                                      "How a frame is fitted to the network's input where the shapes differ. Since: 0.1",
                                                      kerb_fit_get_type(), KERB_FIT_AUTO, KERB_SEG_AT_START));
    g_object_class_install_property(klass, PROP_COLOR,
                                    g_param_spec_enum("color", "Colour", "The network's input channels. Since: 0.1", kerb_color_get_type(),
                                                      KERB_COLOR_AUTO, KERB_SEG_AT_START));
    g_object_class_install_property(klass, PROP_LIVE_MODE,
                                    g_param_spec_enum("live-mode", "Live mode",
                                                      "What happens when frames come faster than the network runs. Since: 0.1",
                                                      kerb_live_mode_get_type(), KERB_LIVE_EVERY_FRAME, KERB_SEG_AT_START));
    g_object_class_install_property(
        klass, PROP_STATS,
        g_param_spec_boxed(
            "stats", "Statistics",
            "Counters since start (frames-in, -out, -flushed, -errored), fps, mean and last stage times in ms, backend, age and "
            "latency in ns, network size. Since: 0.1",
            GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

/* ---------------------------------------------------------------------------------------------------------------- class */

static void kerb_seg_finalize(GObject *object)
{
    KerbSeg *self = KERB_SEG(object);
    KerbSegSettings *s = &self->settings;
    for (int i = 0; i < KERB_SEG_MAPS; i++) gst_clear_object(&self->side[i]);
    gchar **strings[] = {&s->model_file, &s->card_file, &s->labels_file, &s->backend, &s->mean, &s->std};
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_clear_pointer(strings[i], g_free);
    gst_flow_combiner_free(self->flows);
    kerb_look_clear(&self->look);
    kerb_canvas_clear(&self->canvas);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->cond);
    G_OBJECT_CLASS(kerb_seg_parent_class)->finalize(object);
}

static void kerb_seg_class_init(KerbSegClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(kerb_seg_debug, "kerbseg", 0, "Kerb's segmentation element");
    object->set_property = kerb_seg_set_property;
    object->get_property = kerb_seg_get_property;
    object->finalize = kerb_seg_finalize;
    kerb_seg_install_strings(object);
    kerb_seg_install_numbers(object);
    kerb_seg_install_enums(object);
    kerb_look_install(object, PROP_LOOK);

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
    klass->query = kerb_seg_query;
    klass->sink_event = kerb_seg_sink_event;
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
}

static void kerb_seg_init(KerbSeg *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->cond);
    kerb_canvas_init(&self->canvas);
    kerb_look_init(&self->look);
    self->settings = (KerbSegSettings){.backend = g_strdup("auto"), .slots = 2, .confidence = TRUE};
    self->n_items = self->settings.slots + 1;
    gst_video_info_init(&self->info);
    self->flows = gst_flow_combiner_new();
    gst_flow_combiner_add_pad(self->flows, GST_BASE_TRANSFORM_SRC_PAD(self));
    gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), FALSE);
    gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), FALSE);
}
