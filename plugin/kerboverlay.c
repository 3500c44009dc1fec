/* SPDX-License-Identifier: MIT */
/**
 * SECTION:element-kerboverlay
 * Draws what an upstream kerbseg found: labels come from the frame's KerbSegMeta, nothing is computed but the picture. Frames without it
 * pass untouched. Draws into the buffer that comes where nobody else holds it, else into one from downstream's pool.
 *
 * It does not wait, reorder or drop, and adds no latency.
 */
#include "canvas.h"
#include "elements.h"
#include "enums.h"
#include "kerb.h"
#include "look.h"
#include "meta.h"
#include "post.h"
#include "video.h"

#include <gst/video/gstvideometa.h>

GST_DEBUG_CATEGORY_STATIC(kerb_overlay_debug);
#define GST_CAT_DEFAULT kerb_overlay_debug

typedef struct KerbOverlay {
    GstBaseTransform parent;
    KerbCanvas canvas;
    GMutex lock;
    KerbLook look;
    gboolean look_changed;
    GBytes *classes; /* of the last frame that had any: its own, or a copy of equal content */

    /* Streaming thread only. */
    KerbDisplay display;
    KerbDrawer *drawer;
    GstVideoInfo info;
    guint8 *scaled; /* labels at the frame's size, for frames that were scaled after kerbseg */
} KerbOverlay;
typedef GstBaseTransformClass KerbOverlayClass;

GType kerb_overlay_get_type(void);
G_DEFINE_TYPE(KerbOverlay, kerb_overlay, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(kerboverlay, "kerboverlay", GST_RANK_NONE, kerb_overlay_get_type())
#define KERB_OVERLAY(obj) ((KerbOverlay *)(obj))

enum { PROP_0, PROP_LOOK };

static GstStaticPadTemplate kerb_overlay_sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(KERB_VIDEO_CAPS));
static GstStaticPadTemplate kerb_overlay_src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(KERB_VIDEO_CAPS));

/* ------------------------------------------------------------------------------------------------------------- drawing */

/* The display for this frame: made anew when properties or classes have changed, which frames of one stream share. */
static void kerb_overlay_update(KerbOverlay *self, const KerbSegMeta *meta)
{
    gchar *complaint = NULL;
    int n = 0;
    const KerbClass *classes = kerb_seg_meta_classes(meta, &n);
    g_mutex_lock(&self->lock);
    if (self->look_changed || self->classes != meta->classes) {
        g_clear_pointer(&self->classes, g_bytes_unref);
        self->classes = meta->classes ? g_bytes_ref(meta->classes) : NULL;
        kerb_look_display(&self->look, classes, n, &self->display, &complaint);
        self->look_changed = FALSE;
    }
    g_mutex_unlock(&self->lock);
    if (complaint) kerb_post_setting(GST_ELEMENT(self), complaint);
}

/* Labels in the frame's size. Nearest sample: labels are names, there is nothing between two of them. */
static KerbMap kerb_overlay_fit(KerbOverlay *self, const KerbSegMeta *meta, const guint8 *labels)
{
    gint width = self->info.width, height = self->info.height;
    if (meta->width == width && meta->height == height) return (KerbMap){(uint8_t *)labels, meta->stride};
    if (!self->scaled) self->scaled = g_malloc((gsize)width * (gsize)height);
    for (gint y = 0; y < height; y++) {
        const guint8 *from = labels + (gsize)((2 * (gint64)y + 1) * meta->height / (2 * height)) * (gsize)meta->stride;
        guint8 *to = self->scaled + (gsize)y * (gsize)width;
        for (gint x = 0; x < width; x++) to[x] = from[(2 * (gint64)x + 1) * meta->width / (2 * width)];
    }
    return (KerbMap){self->scaled, width};
}

/* A meta is from outside: its maps must hold what it says. */
static gboolean kerb_overlay_meta_is_sound(const KerbSegMeta *meta, const GstMapInfo *map)
{
    return meta->width > 0 && meta->height > 0 && meta->stride >= meta->width &&
           map->size >= (gsize)(meta->height - 1) * (gsize)meta->stride + (gsize)meta->width;
}

static GstFlowReturn kerb_overlay_draw(KerbOverlay *self, const KerbSegMeta *meta, const GstMapInfo *labels, GstBuffer *in, GstBuffer *out)
{
    GstVideoFrame from, to;
    KerbFrame source = {.pts_ns = KERB_TIME_NONE}, picture = {.pts_ns = KERB_TIME_NONE};
    if (!gst_video_frame_map(&to, &self->info, out, in == out ? GST_MAP_READWRITE : GST_MAP_WRITE)) return GST_FLOW_ERROR;
    kerb_video_planes(&to, &picture);
    source = picture;
    if (in != out) {
        if (!gst_video_frame_map(&from, &self->info, in, GST_MAP_READ)) {
            gst_video_frame_unmap(&to);
            return GST_FLOW_ERROR;
        }
        kerb_video_planes(&from, &source);
    }
    kerb_drawer_draw(self->drawer, &source, kerb_overlay_fit(self, meta, labels->data), &self->display, &picture);
    if (in != out) gst_video_frame_unmap(&from);
    gst_video_frame_unmap(&to);
    return GST_FLOW_OK;
}

/* Copies what is not drawn on, where it could not be passed as it is. */
static GstFlowReturn kerb_overlay_copy(KerbOverlay *self, GstBuffer *in, GstBuffer *out)
{
    GstVideoFrame from, to;
    if (in == out) return GST_FLOW_OK;
    if (!gst_video_frame_map(&from, &self->info, in, GST_MAP_READ)) return GST_FLOW_ERROR;
    gboolean ok = gst_video_frame_map(&to, &self->info, out, GST_MAP_WRITE);
    if (ok) {
        ok = gst_video_frame_copy(&to, &from);
        gst_video_frame_unmap(&to);
    }
    gst_video_frame_unmap(&from);
    return ok ? GST_FLOW_OK : GST_FLOW_ERROR;
}

static GstFlowReturn kerb_overlay_transform(GstBaseTransform *transform, GstBuffer *in, GstBuffer *out)
{
    KerbOverlay *self = KERB_OVERLAY(transform);
    KerbSegMeta *meta = kerb_seg_meta_get(in);
    if (!meta || self->display.visualize == KERB_VISUALIZE_NONE) return kerb_overlay_copy(self, in, out);
    GstMapInfo labels;
    if (!gst_buffer_map(meta->labels, &labels, GST_MAP_READ)) return kerb_overlay_copy(self, in, out);
    GstFlowReturn flow =
        kerb_overlay_meta_is_sound(meta, &labels) ? kerb_overlay_draw(self, meta, &labels, in, out) : kerb_overlay_copy(self, in, out);
    gst_buffer_unmap(meta->labels, &labels);
    if (flow != GST_FLOW_OK)
        GST_ELEMENT_ERROR(
            self, STREAM, FORMAT,
            ("The buffer of the frame at %" GST_TIME_FORMAT " (%" G_GSIZE_FORMAT " bytes) does not hold a %d x %d picture. Look at the "
             "element before %s.",
             GST_TIME_ARGS(GST_BUFFER_PTS(in)), gst_buffer_get_size(in), self->info.width, self->info.height, GST_OBJECT_NAME(self)),
            (NULL));
    return flow;
}

static GstFlowReturn kerb_overlay_prepare_output_buffer(GstBaseTransform *transform, GstBuffer *in, GstBuffer **out)
{
    KerbOverlay *self = KERB_OVERLAY(transform);
    KerbSegMeta *meta = kerb_seg_meta_get(in);
    if (meta) kerb_overlay_update(self, meta);
    return kerb_canvas_choose(&self->canvas, transform, &self->info, meta ? self->display.visualize : KERB_VISUALIZE_NONE, in,
                              GST_BASE_TRANSFORM_CLASS(kerb_overlay_parent_class)->prepare_output_buffer, out);
}

/* -------------------------------------------------------------------------------------------------- caps and allocation */

static gboolean kerb_overlay_sink_event(GstBaseTransform *transform, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) {
        GstCaps *caps;
        gchar *why = NULL;
        gst_event_parse_caps(event, &caps);
        if (!kerb_video_from_caps(caps, NULL, NULL, &why)) {
            GST_ELEMENT_ERROR(transform, STREAM, FORMAT, ("%s", why), ("caps %" GST_PTR_FORMAT, caps));
            g_free(why);
            gst_event_unref(event);
            return FALSE;
        }
    }
    return GST_BASE_TRANSFORM_CLASS(kerb_overlay_parent_class)->sink_event(transform, event);
}

static gboolean kerb_overlay_accept_caps(GstBaseTransform *transform, GstPadDirection direction, GstCaps *caps)
{
    if (direction == GST_PAD_SINK && kerb_video_accept_caps(caps, FALSE)) return TRUE;
    return GST_BASE_TRANSFORM_CLASS(kerb_overlay_parent_class)->accept_caps(transform, direction, caps);
}

static gboolean kerb_overlay_set_caps(GstBaseTransform *transform, GstCaps *in, GstCaps *out)
{
    KerbOverlay *self = KERB_OVERLAY(transform);
    KerbVideoFormat format;
    KerbError error;
    gchar *why = NULL;
    g_clear_pointer(&self->scaled, g_free);
    kerb_drawer_free(&self->drawer);
    if (!kerb_video_from_caps(in, &self->info, &format, &why)) {
        g_free(why);
        return FALSE;
    }
    if (kerb_drawer_new(&self->drawer, &format, &error) == KERB_OK) return TRUE;
    kerb_post(GST_ELEMENT(self), GST_MESSAGE_ERROR, &error, NULL);
    return FALSE;
}

static gboolean kerb_overlay_start(GstBaseTransform *transform)
{
    gst_base_transform_set_qos_enabled(transform, FALSE);
    return TRUE;
}

static gboolean kerb_overlay_stop(GstBaseTransform *transform)
{
    KerbOverlay *self = KERB_OVERLAY(transform);
    g_mutex_lock(&self->lock);
    g_clear_pointer(&self->classes, g_bytes_unref);
    self->look_changed = TRUE;
    g_mutex_unlock(&self->lock);
    g_clear_pointer(&self->scaled, g_free);
    kerb_drawer_free(&self->drawer);
    return TRUE;
}

static gboolean kerb_overlay_propose_allocation(GstBaseTransform *transform, GstQuery *decided, GstQuery *query)
{
    return GST_BASE_TRANSFORM_CLASS(kerb_overlay_parent_class)->propose_allocation(transform, decided, query) &&
           kerb_canvas_propose(&KERB_OVERLAY(transform)->canvas, query, 1);
}

static gboolean kerb_overlay_decide_allocation(GstBaseTransform *transform, GstQuery *query)
{
    return kerb_canvas_decide(&KERB_OVERLAY(transform)->canvas, query, 1) &&
           GST_BASE_TRANSFORM_CLASS(kerb_overlay_parent_class)->decide_allocation(transform, query);
}

static gboolean kerb_overlay_transform_meta(GstBaseTransform *transform, GstBuffer *out, GstMeta *meta, GstBuffer *in)
{
    return kerb_canvas_keeps_meta(meta, KERB_OVERLAY(transform)->display.visualize);
}

/* ---------------------------------------------------------------------------------------------------------------- class */

static void kerb_overlay_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    KerbOverlay *self = KERB_OVERLAY(object);
    gchar *complaint = NULL;
    g_mutex_lock(&self->lock);
    gsize bytes = 0;
    const KerbClass *classes = self->classes ? g_bytes_get_data(self->classes, &bytes) : NULL;
    if (kerb_look_set(&self->look, id - PROP_LOOK, value, classes, (int)(bytes / sizeof *classes), &complaint)) self->look_changed = TRUE;
    g_mutex_unlock(&self->lock);
    if (complaint) kerb_post_setting(GST_ELEMENT(self), complaint);
}

static void kerb_overlay_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    KerbOverlay *self = KERB_OVERLAY(object);
    g_mutex_lock(&self->lock);
    kerb_look_get(&self->look, id - PROP_LOOK, value);
    g_mutex_unlock(&self->lock);
}

static void kerb_overlay_finalize(GObject *object)
{
    KerbOverlay *self = KERB_OVERLAY(object);
    g_clear_pointer(&self->classes, g_bytes_unref);
    kerb_drawer_free(&self->drawer);
    g_clear_pointer(&self->scaled, g_free);
    kerb_look_clear(&self->look);
    kerb_canvas_clear(&self->canvas);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(kerb_overlay_parent_class)->finalize(object);
}

static void kerb_overlay_class_init(KerbOverlayClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(kerb_overlay_debug, "kerboverlay", 0, "Kerb's overlay element");
    object->set_property = kerb_overlay_set_property;
    object->get_property = kerb_overlay_get_property;
    object->finalize = kerb_overlay_finalize;
    kerb_look_install(object, PROP_LOOK);
    gst_element_class_add_static_pad_template(element, &kerb_overlay_sink_template);
    gst_element_class_add_static_pad_template(element, &kerb_overlay_src_template);
    gst_element_class_set_static_metadata(element, "Kerb overlay", "Filter/Effect/Video",
                                          "Draws the segmentation that an upstream kerbseg has attached to the frames", "The Kerb authors");
    klass->start = kerb_overlay_start;
    klass->stop = kerb_overlay_stop;
    klass->set_caps = kerb_overlay_set_caps;
    klass->accept_caps = kerb_overlay_accept_caps;
    klass->sink_event = kerb_overlay_sink_event;
    klass->propose_allocation = kerb_overlay_propose_allocation;
    klass->decide_allocation = kerb_overlay_decide_allocation;
    klass->prepare_output_buffer = kerb_overlay_prepare_output_buffer;
    klass->transform_meta = kerb_overlay_transform_meta;
    klass->transform = kerb_overlay_transform;
    klass->passthrough_on_same_caps = FALSE;
    gst_type_mark_as_plugin_api(kerb_visualize_get_type(), 0);
}

static void kerb_overlay_init(KerbOverlay *self)
{
    g_mutex_init(&self->lock);
    kerb_canvas_init(&self->canvas);
    kerb_look_init(&self->look);
    self->look_changed = TRUE;
    gst_video_info_init(&self->info);
    kerb_display_init(&self->display, NULL, 0);
    gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), FALSE);
    gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), FALSE);
}
