/* SPDX-License-Identifier: MIT */
/* kerbtestsrc. Video on `src` (RGB, BGR, RGBx, BGRx or I420), the class of every pixel on the request pad `labels` (GRAY8, same time stamps). Each
 * frame is drawn from its time alone, so seeking is exact and two runs are equal. Labels go out before their frame.
 *
 * A GstBaseSrc may have one source pad only, so the element is a bin around one: the inner source draws and pushes the frames, and pushes labels on the
 * bin's own pad. */
#include "kerbtestsrc.h"

#include "drive.h"

#include <gst/base/gstpushsrc.h>
#include <gst/video/video.h>

#define FORMATS "{ RGB, BGR, RGBx, BGRx, I420 }"
#define SIZES "width = (int) [ 1, 8192 ], height = (int) [ 1, 8192 ], framerate = (fraction) [ 1/2147483647, 2147483647/1 ]"

GST_DEBUG_CATEGORY_STATIC(kerb_test_src_debug);
#define GST_CAT_DEFAULT kerb_test_src_debug

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS("video/x-raw, format = (string) " FORMATS ", " SIZES));
static GstStaticPadTemplate labels_template =
    GST_STATIC_PAD_TEMPLATE("labels", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("video/x-raw, format = (string) GRAY8, " SIZES));

enum { PROP_SEED = 1, PROP_WEATHER, PROP_LIVE, PROP_NUM_BUFFERS };

#define KERB_TYPE_DRIVE_SRC (kerb_drive_src_get_type())
G_DECLARE_FINAL_TYPE(KerbDriveSrc, kerb_drive_src, KERB, DRIVE_SRC, GstPushSrc)

struct _KerbDriveSrc {
    GstPushSrc parent;
    /* properties, under the object lock */
    guint seed;
    gint weather;
    /* the streaming thread's */
    GstVideoInfo info;
    gint64 frame; /* number of the next one */
    guint8 *rgb, *label_bytes; /* scratch for a frame in RGB, and for labels that nobody asked for */
    GstPad *labels; /* the bin's, borrowed; under the object lock; a ref is taken to push */
    gboolean labels_begun;
    GstBuffer *pending; /* labels of the frame that fill() has drawn, until it is pushed */
};

G_DEFINE_TYPE(KerbDriveSrc, kerb_drive_src, GST_TYPE_PUSH_SRC)

static GType weather_type(void)
{
    static gsize type = 0;
    static const GEnumValue values[] = {
        { DRIVE_CLEAR, "Clear day", "clear" }, { DRIVE_NIGHT, "Night, headlights", "night" }, { DRIVE_RAIN, "Rain, wet road", "rain" }, { 0, NULL, NULL }
    };
    if (g_once_init_enter(&type)) g_once_init_leave(&type, g_enum_register_static("KerbTestSrcWeather", values));
    return type;
}

/* ---- labels, on the bin's pad */

static GstPad *ref_labels(KerbDriveSrc *self)
{
    GST_OBJECT_LOCK(self);
    GstPad *pad = self->labels ? gst_object_ref(self->labels) : NULL;
    GST_OBJECT_UNLOCK(self);
    return pad;
}

/* The events that must come before the first buffer. */
static void begin_labels(KerbDriveSrc *self, GstPad *pad)
{
    gchar *id = gst_pad_create_stream_id(pad, GST_ELEMENT(GST_OBJECT_PARENT(pad)), "labels");
    gst_pad_push_event(pad, gst_event_new_stream_start(id));
    g_free(id);
    GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "GRAY8", "width", G_TYPE_INT, self->info.width, "height", G_TYPE_INT,
                                        self->info.height, "framerate", GST_TYPE_FRACTION, self->info.fps_n, self->info.fps_d, NULL);
    gst_pad_push_event(pad, gst_event_new_caps(caps));
    gst_caps_unref(caps);
    GstEvent *segment = gst_pad_get_sticky_event(GST_BASE_SRC_PAD(self), GST_EVENT_SEGMENT, 0);
    if (segment) gst_pad_push_event(pad, segment);
    self->labels_begun = TRUE;
}

/* Everything that runs through `src` and says something about time or its end runs through `labels` as well. */
static GstPadProbeReturn forward_event(GstPad *src, GstPadProbeInfo *info, gpointer user)
{
    KerbDriveSrc *self = KERB_DRIVE_SRC(user);
    GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
    GstPad *pad = ref_labels(self);
    if (!pad) return GST_PAD_PROBE_OK;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_EOS:
        if (!self->labels_begun && self->info.width) begin_labels(self, pad);
        gst_pad_push_event(pad, gst_event_ref(event));
        break;
    case GST_EVENT_SEGMENT:
        if (self->labels_begun) gst_pad_push_event(pad, gst_event_ref(event));
        break;
    case GST_EVENT_FLUSH_START:
    case GST_EVENT_FLUSH_STOP: gst_pad_push_event(pad, gst_event_ref(event)); break;
    case GST_EVENT_CAPS: self->labels_begun = FALSE; break;
    default: break;
    }
    gst_object_unref(pad);
    return GST_PAD_PROBE_OK;
}

/* Labels go out when their frame does (not when it is drawn: the events that belong before it have not passed yet), just before it. A branch that
 * ends, flushes or is unlinked does not end the other. */
static GstPadProbeReturn push_labels(GstPad *src, GstPadProbeInfo *info, gpointer user)
{
    KerbDriveSrc *self = KERB_DRIVE_SRC(user);
    GstBuffer *labels = self->pending;
    self->pending = NULL;
    GstPad *pad = ref_labels(self);
    if (labels && pad) {
        GstBuffer *frame = GST_PAD_PROBE_INFO_BUFFER(info);
        GST_BUFFER_PTS(labels) = GST_BUFFER_PTS(frame);
        GST_BUFFER_DURATION(labels) = GST_BUFFER_DURATION(frame);
        GST_BUFFER_OFFSET(labels) = GST_BUFFER_OFFSET(frame);
        if (!self->labels_begun) begin_labels(self, pad);
        gst_pad_push(pad, labels);
    } else {
        gst_clear_buffer(&labels);
    }
    gst_clear_object(&pad);
    return GST_PAD_PROBE_OK;
}

/* ---- pictures */

static void convert(const KerbDriveSrc *self, GstVideoFrame *frame)
{
    const GstVideoInfo *info = &self->info;
    gsize stride = (gsize)info->width * 3;
    if (GST_VIDEO_INFO_IS_YUV(info)) { /* BT.601 limited, as the caps say; chroma is the mean of the four (or fewer) pixels it covers */
        for (int y = 0; y < info->height; y++) {
            const guint8 *p = self->rgb + y * stride;
            guint8 *out = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(frame, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE(frame, 0);
            for (int x = 0; x < info->width; x++, p += 3) out[x] = (guint8)((16829 * p[0] + 33039 * p[1] + 6416 * p[2] + 1081344) >> 16);
        }
        for (int y = 0; y < info->height; y += 2) {
            guint8 *u = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(frame, 1) + y / 2 * GST_VIDEO_FRAME_PLANE_STRIDE(frame, 1);
            guint8 *v = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(frame, 2) + y / 2 * GST_VIDEO_FRAME_PLANE_STRIDE(frame, 2);
            const guint8 *top = self->rgb + y * stride, *bottom = y + 1 < info->height ? top + stride : top;
            for (int x = 0; x < info->width; x += 2) {
                int a = 3 * x, b = x + 1 < info->width ? a + 3 : a, sum[3];
                for (int k = 0; k < 3; k++) sum[k] = top[a + k] + top[b + k] + bottom[a + k] + bottom[b + k];
                u[x / 2] = (guint8)((-9714 * sum[0] - 19070 * sum[1] + 28784 * sum[2] + (128 << 18) + (1 << 17)) >> 18);
                v[x / 2] = (guint8)((28784 * sum[0] - 24103 * sum[1] - 4681 * sum[2] + (128 << 18) + (1 << 17)) >> 18);
            }
        }
        return;
    }
    int r = GST_VIDEO_INFO_COMP_OFFSET(info, 0), g = GST_VIDEO_INFO_COMP_OFFSET(info, 1), b = GST_VIDEO_INFO_COMP_OFFSET(info, 2);
    int step = GST_VIDEO_INFO_COMP_PSTRIDE(info, 0);
    for (int y = 0; y < info->height; y++) {
        const guint8 *p = self->rgb + y * stride;
        guint8 *out = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(frame, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE(frame, 0);
        for (int x = 0; x < info->width; x++, p += 3, out += step) out[r] = p[0], out[g] = p[1], out[b] = p[2];
    }
}

static GstFlowReturn fill(GstPushSrc *src, GstBuffer *buffer)
{
    KerbDriveSrc *self = KERB_DRIVE_SRC(src);
    const GstVideoInfo *info = &self->info;
    if (!info->width) return GST_FLOW_NOT_NEGOTIATED;
    GST_OBJECT_LOCK(self);
    Drive drive = { self->seed, (DriveWeather)self->weather, info->width, info->height };
    GST_OBJECT_UNLOCK(self);

    gint64 n = self->frame;
    GstClockTime pts = gst_util_uint64_scale((guint64)n, (guint64)info->fps_d * GST_SECOND, (guint64)info->fps_n);
    GstClockTime next = gst_util_uint64_scale((guint64)n + 1, (guint64)info->fps_d * GST_SECOND, (guint64)info->fps_n);
    GstSegment *segment = &GST_BASE_SRC(src)->segment;
    if (GST_CLOCK_TIME_IS_VALID(segment->stop) && pts >= segment->stop) return GST_FLOW_EOS;

    GstPad *pad = ref_labels(self);
    gboolean wanted = pad && gst_pad_is_linked(pad);
    GstBuffer *labels = NULL;
    GstMapInfo map = GST_MAP_INFO_INIT;
    GstVideoInfo gray;
    guint8 *label_bytes = self->label_bytes;
    int label_stride = info->width;
    if (wanted) {
        gst_video_info_set_format(&gray, GST_VIDEO_FORMAT_GRAY8, (guint)info->width, (guint)info->height);
        labels = gst_buffer_new_allocate(NULL, gray.size, NULL);
        if (labels && gst_buffer_map(labels, &map, GST_MAP_WRITE)) {
            label_bytes = map.data;
            label_stride = GST_VIDEO_INFO_PLANE_STRIDE(&gray, 0);
        }
    }
    drive_render(&drive, (double)pts / GST_SECOND, self->rgb, info->width * 3, label_bytes, label_stride);
    if (map.data) gst_buffer_unmap(labels, &map);

    GstVideoFrame frame;
    if (!gst_video_frame_map(&frame, info, buffer, GST_MAP_WRITE)) {
        gst_clear_buffer(&labels);
        gst_clear_object(&pad);
        GST_ELEMENT_ERROR(self, RESOURCE, FAILED, ("A frame's memory could not be written to."), (NULL));
        return GST_FLOW_ERROR;
    }
    convert(self, &frame);
    gst_video_frame_unmap(&frame);
    GST_BUFFER_PTS(buffer) = pts;
    GST_BUFFER_DURATION(buffer) = next - pts;
    GST_BUFFER_OFFSET(buffer) = (guint64)n;
    GST_BUFFER_OFFSET_END(buffer) = (guint64)n + 1;
    self->frame = n + 1;

    gst_clear_buffer(&self->pending); /* of a frame that a flush threw away */
    self->pending = labels;
    gst_clear_object(&pad);
    return GST_FLOW_OK;
}

/* ---- negotiation, time */

static GstCaps *fixate(GstBaseSrc *src, GstCaps *caps)
{
    caps = gst_caps_make_writable(caps);
    GstStructure *s = gst_caps_get_structure(caps, 0);
    gst_structure_fixate_field_nearest_int(s, "width", 640);
    gst_structure_fixate_field_nearest_int(s, "height", 360);
    gst_structure_fixate_field_nearest_fraction(s, "framerate", 25, 1);
    gst_structure_fixate_field_string(s, "format", "I420");
    return GST_BASE_SRC_CLASS(kerb_drive_src_parent_class)->fixate(src, caps);
}

static void free_scratch(KerbDriveSrc *self)
{
    gst_clear_buffer(&self->pending);
    g_clear_pointer(&self->rgb, g_free);
    g_clear_pointer(&self->label_bytes, g_free);
}

static gboolean set_caps(GstBaseSrc *src, GstCaps *caps)
{
    KerbDriveSrc *self = KERB_DRIVE_SRC(src);
    GstVideoInfo info;
    if (!gst_video_info_from_caps(&info, caps) || info.fps_n < 1) return FALSE;
    free_scratch(self);
    self->rgb = g_try_malloc_n((gsize)info.width * 3, (gsize)info.height);
    self->label_bytes = g_try_malloc_n((gsize)info.width, (gsize)info.height);
    if (!self->rgb || !self->label_bytes) {
        GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT, ("No memory for frames of %d x %d pixels.", info.width, info.height), (NULL));
        return FALSE;
    }
    self->info = info;
    gst_base_src_set_blocksize(src, (guint)info.size);
    return TRUE;
}

static gboolean decide_allocation(GstBaseSrc *src, GstQuery *query)
{
    /* With video meta on, downstream's strides are kept. */
    if (gst_query_get_n_allocation_pools(query) > 0) {
        GstBufferPool *pool;
        guint size, min, max;
        gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, &min, &max);
        if (pool) {
            GstStructure *config = gst_buffer_pool_get_config(pool);
            GstCaps *caps;
            gst_query_parse_allocation(query, &caps, NULL);
            gst_buffer_pool_config_set_params(config, caps, size, min, max);
            if (gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL)) gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
            gst_buffer_pool_set_config(pool, config);
            gst_object_unref(pool);
        }
    }
    return GST_BASE_SRC_CLASS(kerb_drive_src_parent_class)->decide_allocation(src, query);
}

static gboolean is_seekable(GstBaseSrc *src) { return !gst_base_src_is_live(src); }

static gboolean do_seek(GstBaseSrc *src, GstSegment *segment)
{
    KerbDriveSrc *self = KERB_DRIVE_SRC(src);
    if (segment->rate < 0 || segment->format != GST_FORMAT_TIME) return FALSE;
    segment->time = segment->start;
    if (self->info.fps_n)
        self->frame = (gint64)gst_util_uint64_scale_ceil(segment->position, (guint64)self->info.fps_n, (guint64)self->info.fps_d * GST_SECOND);
    return TRUE;
}

static void get_times(GstBaseSrc *src, GstBuffer *buffer, GstClockTime *start, GstClockTime *end)
{
    *start = *end = GST_CLOCK_TIME_NONE;
    if (!gst_base_src_is_live(src)) return;
    *start = GST_BUFFER_PTS(buffer);
    *end = *start + GST_BUFFER_DURATION(buffer);
}

static gboolean start(GstBaseSrc *src)
{
    KerbDriveSrc *self = KERB_DRIVE_SRC(src);
    self->frame = 0;
    self->labels_begun = FALSE;
    gst_video_info_init(&self->info);
    return TRUE;
}

static gboolean stop(GstBaseSrc *src)
{
    free_scratch(KERB_DRIVE_SRC(src));
    return TRUE;
}

static void finalize(GObject *object)
{
    free_scratch(KERB_DRIVE_SRC(object));
    G_OBJECT_CLASS(kerb_drive_src_parent_class)->finalize(object);
}

static void kerb_drive_src_class_init(KerbDriveSrcClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GstBaseSrcClass *base = GST_BASE_SRC_CLASS(klass);

    object->finalize = finalize;
    gst_element_class_add_static_pad_template(element, &src_template);
    gst_element_class_set_static_metadata(element, "Kerb test drive (inner)", "Source/Video", "Draws kerbtestsrc's frames", "The Kerb developers");
    base->fixate = fixate;
    base->set_caps = set_caps;
    base->decide_allocation = decide_allocation;
    base->is_seekable = is_seekable;
    base->do_seek = do_seek;
    base->get_times = get_times;
    base->start = start;
    base->stop = stop;
    GST_PUSH_SRC_CLASS(klass)->fill = fill;
}

static void kerb_drive_src_init(KerbDriveSrc *self)
{
    self->seed = 1;
    gst_video_info_init(&self->info);
    gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
    gst_pad_add_probe(GST_BASE_SRC_PAD(self), GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH, forward_event, self, NULL);
    gst_pad_add_probe(GST_BASE_SRC_PAD(self), GST_PAD_PROBE_TYPE_BUFFER, push_labels, self, NULL);
}

/* ---- the bin */

struct _KerbTestSrc {
    GstBin parent;
    KerbDriveSrc *drive; /* the bin's child, and a reference of our own: pads are released after the bin has dropped its children */
};

G_DEFINE_TYPE(KerbTestSrc, kerb_test_src, GST_TYPE_BIN)

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    KerbDriveSrc *drive = KERB_TEST_SRC(object)->drive;
    if (id == PROP_LIVE) {
        gst_base_src_set_live(GST_BASE_SRC(drive), g_value_get_boolean(value));
        return;
    }
    if (id == PROP_NUM_BUFFERS) {
        g_object_set_property(G_OBJECT(drive), "num-buffers", value);
        return;
    }
    GST_OBJECT_LOCK(drive);
    switch (id) {
    case PROP_SEED: drive->seed = g_value_get_uint(value); break;
    case PROP_WEATHER: drive->weather = g_value_get_enum(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec); break;
    }
    GST_OBJECT_UNLOCK(drive);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    KerbDriveSrc *drive = KERB_TEST_SRC(object)->drive;
    switch (id) {
    case PROP_SEED: g_value_set_uint(value, drive->seed); break;
    case PROP_WEATHER: g_value_set_enum(value, drive->weather); break;
    case PROP_LIVE: g_value_set_boolean(value, gst_base_src_is_live(GST_BASE_SRC(drive))); break;
    case PROP_NUM_BUFFERS: g_object_get_property(G_OBJECT(drive), "num-buffers", value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec); break;
    }
}

static GstPad *request_new_pad(GstElement *element, GstPadTemplate *templ, const gchar *name, const GstCaps *caps)
{
    KerbDriveSrc *drive = KERB_TEST_SRC(element)->drive;
    GST_OBJECT_LOCK(drive);
    gboolean taken = drive->labels != NULL;
    GST_OBJECT_UNLOCK(drive);
    if (taken) return NULL;
    GstPad *pad = gst_pad_new_from_template(templ, "labels");
    gst_pad_use_fixed_caps(pad);
    gst_pad_set_active(pad, TRUE);
    gst_element_add_pad(element, pad);
    GST_OBJECT_LOCK(drive);
    drive->labels = pad;
    drive->labels_begun = FALSE;
    GST_OBJECT_UNLOCK(drive);
    return pad;
}

static void release_pad(GstElement *element, GstPad *pad)
{
    KerbDriveSrc *drive = KERB_TEST_SRC(element)->drive;
    GST_OBJECT_LOCK(drive);
    if (drive->labels == pad) drive->labels = NULL;
    GST_OBJECT_UNLOCK(drive);
    gst_pad_set_active(pad, FALSE);
    gst_element_remove_pad(element, pad);
}

static void kerb_test_src_finalize(GObject *object)
{
    gst_object_unref(KERB_TEST_SRC(object)->drive);
    G_OBJECT_CLASS(kerb_test_src_parent_class)->finalize(object);
}

static void kerb_test_src_class_init(KerbTestSrcClass *klass)
{
    GObjectClass *object = G_OBJECT_CLASS(klass);
    GstElementClass *element = GST_ELEMENT_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(kerb_test_src_debug, "kerbtestsrc", 0, "synthetic drive");
    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = kerb_test_src_finalize;
    /* Since: 0.1 */
    g_object_class_install_property(object, PROP_SEED,
        g_param_spec_uint("seed", "Seed", "Another number, another drive; the same number, the same pictures on every machine", 0, G_MAXUINT32, 1,
                          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING | GST_PARAM_CONTROLLABLE));
    /* Since: 0.1 */
    g_object_class_install_property(object, PROP_WEATHER,
        g_param_spec_enum("weather", "Weather", "Light and weather; the labels do not depend on it", weather_type(), DRIVE_CLEAR,
                          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
    /* Since: 0.1 */
    g_object_class_install_property(object, PROP_LIVE,
        g_param_spec_boolean("is-live", "Is live", "Deliver frames at their time, like a camera, instead of as fast as they are taken", FALSE,
                             G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
    /* Since: 0.1 */
    g_object_class_install_property(object, PROP_NUM_BUFFERS,
        g_param_spec_int("num-buffers", "Number of frames", "Frames before the end of the stream (-1: no end)", -1, G_MAXINT, -1,
                         G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));

    gst_element_class_add_static_pad_template(element, &src_template);
    gst_element_class_add_static_pad_template(element, &labels_template);
    gst_element_class_set_static_metadata(element, "Kerb test drive", "Source/Video",
        "A synthetic drive (road, lanes, cars, pedestrians, buildings, trees, sky) with the class of every pixel on the pad labels", "The Kerb developers");
    element->request_new_pad = request_new_pad;
    element->release_pad = release_pad;
    gst_type_mark_as_plugin_api(weather_type(), 0);
}

static void kerb_test_src_init(KerbTestSrc *self)
{
    GST_OBJECT_FLAG_SET(self, GST_ELEMENT_FLAG_SOURCE);
    gst_bin_set_suppressed_flags(GST_BIN(self), GST_ELEMENT_FLAG_SOURCE | GST_ELEMENT_FLAG_SINK);
    self->drive = gst_object_ref_sink(g_object_new(KERB_TYPE_DRIVE_SRC, "name", "drive", NULL));
    gst_bin_add(GST_BIN(self), GST_ELEMENT(self->drive));
    GstPad *target = gst_element_get_static_pad(GST_ELEMENT(self->drive), "src");
    GstPadTemplate *templ = gst_static_pad_template_get(&src_template);
    gst_element_add_pad(GST_ELEMENT(self), gst_ghost_pad_new_from_template("src", target, templ));
    gst_object_unref(templ);
    gst_object_unref(target);
}
