/* SPDX-License-Identifier: MIT */
/* kerbseg's properties. They are only kept here: the model takes its own at the start, the stream the others frame by frame. See kerbseg.h.
 */
#include "kerbseg.h"
#include "post.h"

enum {
    PROP_0,
    PROP_MODEL_FILE,
    PROP_CARD_FILE,
    PROP_LABELS_FILE,
    PROP_BACKEND,
    PROP_THREADS,
    PROP_CPU_LIST,
    PROP_TUNE,
    PROP_PRECISION,
    PROP_SLOTS,
    PROP_CUDA_DEVICE_ID,
    PROP_NETWORK_WIDTH,
    PROP_NETWORK_HEIGHT,
    PROP_FIT,
    PROP_COLOR,
    PROP_MEAN,
    PROP_STD,
    PROP_CONFIDENCE,
    PROP_LIVE_MODE,
    PROP_MAX_WAIT,
    PROP_MAX_AGE,
    PROP_INTERVAL,
    PROP_CARRY,
    PROP_SMOOTHING,
    PROP_STATS,
    PROP_LOOK, /* and the following */
};

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
    case PROP_CPU_LIST: kerb_seg_set_string(&s->cpu_list, value); break;
    case PROP_MEAN: kerb_seg_set_string(&s->mean, value); break;
    case PROP_STD: kerb_seg_set_string(&s->std, value); break;
    case PROP_THREADS: s->threads = g_value_get_uint(value); break;
    case PROP_SLOTS: s->slots = g_value_get_uint(value); break;
    case PROP_CUDA_DEVICE_ID: s->cuda_device_id = g_value_get_uint(value); break;
    case PROP_NETWORK_WIDTH: s->network_width = g_value_get_uint(value); break;
    case PROP_NETWORK_HEIGHT: s->network_height = g_value_get_uint(value); break;
    case PROP_PRECISION: s->precision = g_value_get_enum(value); break;
    case PROP_FIT: s->fit = g_value_get_enum(value); break;
    case PROP_COLOR: s->color = g_value_get_enum(value); break;
    case PROP_LIVE_MODE: s->live_mode = (KerbLiveMode)g_value_get_enum(value); break;
    case PROP_MAX_WAIT: s->max_wait = g_value_get_uint64(value); break;
    case PROP_MAX_AGE: s->max_age = g_value_get_uint64(value); break;
    case PROP_INTERVAL: s->interval = g_value_get_uint(value); break;
    case PROP_CARRY: s->carry = g_value_get_boolean(value); break;
    case PROP_SMOOTHING: s->smoothing = g_value_get_enum(value); break;
    case PROP_TUNE: s->tune = g_value_get_boolean(value); break;
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
    case PROP_CPU_LIST: g_value_set_string(value, s->cpu_list); break;
    case PROP_MEAN: g_value_set_string(value, s->mean); break;
    case PROP_STD: g_value_set_string(value, s->std); break;
    case PROP_THREADS: g_value_set_uint(value, s->threads); break;
    case PROP_SLOTS: g_value_set_uint(value, s->slots); break;
    case PROP_CUDA_DEVICE_ID: g_value_set_uint(value, s->cuda_device_id); break;
    case PROP_NETWORK_WIDTH: g_value_set_uint(value, s->network_width); break;
    case PROP_NETWORK_HEIGHT: g_value_set_uint(value, s->network_height); break;
    case PROP_PRECISION: g_value_set_enum(value, s->precision); break;
    case PROP_FIT: g_value_set_enum(value, s->fit); break;
    case PROP_COLOR: g_value_set_enum(value, s->color); break;
    case PROP_LIVE_MODE: g_value_set_enum(value, (gint)s->live_mode); break;
    case PROP_MAX_WAIT: g_value_set_uint64(value, s->max_wait); break;
    case PROP_MAX_AGE: g_value_set_uint64(value, s->max_age); break;
    case PROP_INTERVAL: g_value_set_uint(value, s->interval); break;
    case PROP_CARRY: g_value_set_boolean(value, s->carry); break;
    case PROP_SMOOTHING: g_value_set_enum(value, s->smoothing); break;
    case PROP_TUNE: g_value_set_boolean(value, s->tune); break;
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
        {PROP_MODEL_FILE, "model-file", "Model file", "ONNX model; unset: the one that came with Kerb, or that the environment's KERB_MODEL names. Since: 0.1", NULL},
        {PROP_CARD_FILE, "card-file", "Model card", "Model card (JSON). Unset: MODEL.json beside MODEL.onnx where it is there. Since: 0.1",
         NULL},
        {PROP_LABELS_FILE, "labels-file", "Labels file",
         "Class names and colours: `name r g b` lines or JSON. Unset: the card's, the palette's, or invented ones. Since: 0.1", NULL},
        {PROP_BACKEND, "backend", "Backend", "Where the network runs: auto (the first that works), cuda, cpu, ref (`kerb devices` lists them). Since: 0.1", "auto"},
        {PROP_CPU_LIST, "cpu-list", "Cores",
         "Cores that the network's threads keep to, as taskset --cpu-list takes them (0-3,6); unset: all that this process may use. Since: 0.1", NULL},
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
    g_object_class_install_property(klass, PROP_CUDA_DEVICE_ID,
                                    g_param_spec_uint("cuda-device-id", "CUDA device ID",
                                                      "Which GPU the backend cuda runs on, as `kerb devices` numbers them. Since: 0.1", 0,
                                                      63, 0, KERB_SEG_AT_START));
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
    g_object_class_install_property(
        klass, PROP_TUNE,
        g_param_spec_boolean(
            "tune", "Tune",
            "At the start, time the ways to compute each layer, and keep which is fastest on disk; false: guess. Since: 0.1", TRUE,
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
    g_object_class_install_property(
        klass, PROP_SMOOTHING,
        g_param_spec_enum("smoothing", "Smoothing",
                          "Calms labels over time, multi-class, on the scores; forgets at cuts and seeks. Since: 0.1",
                          kerb_smoothing_get_type(), KERB_SMOOTHING_OFF, KERB_SEG_AT_START));
}

#define KERB_SEG_ANY_TIME (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)

static void kerb_seg_install_live(GObjectClass *klass)
{
    g_object_class_install_property(
        klass, PROP_LIVE_MODE,
        g_param_spec_enum("live-mode", "Live mode",
                          "What happens when frames come faster than the network runs. Video is never dropped. Since: 0.1",
                          kerb_live_mode_get_type(), KERB_LIVE_EVERY_FRAME, KERB_SEG_ANY_TIME));
    g_object_class_install_property(klass, PROP_MAX_WAIT,
                                    g_param_spec_uint64("max-wait", "Maximum wait",
                                                        "live-mode=hold: how long a frame waits for its own labels, in ns. Since: 0.1", 0,
                                                        10 * GST_SECOND, KERB_SEG_MAX_WAIT, KERB_SEG_ANY_TIME));
    g_object_class_install_property(
        klass, PROP_MAX_AGE,
        g_param_spec_uint64("max-age", "Maximum age",
                            "Labels of frames further away in time than so many ns are neither drawn nor attached; the pad `labels` gives "
                            "255 then. All ones: no limit. Since: 0.1",
                            0, G_MAXUINT64, GST_CLOCK_TIME_NONE, KERB_SEG_ANY_TIME));
    g_object_class_install_property(
        klass, PROP_INTERVAL,
        g_param_spec_uint("inference-interval", "Inference interval",
                          "Infer every so many frames at most; those between get the newest labels, with their age. Since: 0.1", 1, 1000, 1,
                          KERB_SEG_ANY_TIME));
    g_object_class_install_property(
        klass, PROP_CARRY,
        g_param_spec_boolean("carry", "Carry", "Move labels of older frames along with what moved in the picture since. Since: 0.1", FALSE,
                             KERB_SEG_ANY_TIME));
    g_object_class_install_property(
        klass, PROP_STATS,
        g_param_spec_boxed("stats", "Statistics",
                           "Counters since start (frames-in, -out, -flushed, -errored; inferred, reused, unlabelled, inference-skipped), "
                           "rates of video and "
                           "inference, mean and last stage times in ms, bytes moved a frame and memory held, backend, ages and latency in ns, "
                           "network size. Since: 0.1",
                           GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void kerb_seg_install_properties(GObjectClass *klass)
{
    klass->set_property = kerb_seg_set_property;
    klass->get_property = kerb_seg_get_property;
    kerb_seg_install_strings(klass);
    kerb_seg_install_numbers(klass);
    kerb_seg_install_enums(klass);
    kerb_seg_install_live(klass);
    kerb_look_install(klass, PROP_LOOK);
}
