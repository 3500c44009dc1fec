/* SPDX-License-Identifier: MIT */
/* What the elements' tests share: a model whose answer is known, frames, elements with a bus, expected maps.
 *
 * The model is one 1x1 convolution over RGB: its scores are SCALE * (R, G, B), at any size. With the network's size
 * that of the frame and RGB frames nothing is interpolated: a pixel's label is its greatest channel (the first of equal ones), its
 * confidence the softmax of the scores. Classes: sky 200 30 30, road 30 200 30, car 30 30 200. */
#ifndef KERB_TESTS_GST_FIXTURE_H
#define KERB_TESTS_GST_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#ifdef KERB_HAVE_GST_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

#include "kerb.h"
#include "kerbmeta.h"
#include "onnx_writer.h"

#define SCALE 0.05f
#define FPS 25
#define FRAME_NS (GST_SECOND / FPS)

static char fixture_dir[] = "/tmp/kerb-gst-XXXXXX";
static char fixture_model[64], fixture_classes[64];

static inline void fixture_write(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline int fixture_setup(void **state)
{
    gst_init(NULL, NULL);
    if (!mkdtemp(fixture_dir)) return -1;
    snprintf(fixture_model, sizeof fixture_model, "%s/net.onnx", fixture_dir);
    snprintf(fixture_classes, sizeof fixture_classes, "%s/classes.txt", fixture_dir);
    float weights[9] = {SCALE, 0, 0, 0, SCALE, 0, 0, 0, SCALE};
    OnnxWriter w = {0};
    onnx_input(&w, "x", ONNX_F32, 4, (int64_t[]){1, 3, -1, -1});
    onnx_constant(&w, "w", ONNX_F32, 4, (int64_t[]){3, 3, 1, 1}, weights);
    onnx_node(&w, "Conv", "head", "x w", "y");
    onnx_ints(&w, "kernel_shape", 2, (int64_t[]){1, 1});
    onnx_output(&w, "y", ONNX_F32, 4, (int64_t[]){1, 3, -1, -1});
    if (!onnx_save(&w, 13, fixture_model)) return -1;
    static const char classes[] = "sky 200 30 30\nroad 30 200 30\ncar 30 30 200\n";
    fixture_write(fixture_classes, classes, sizeof classes - 1);
    return 0;
}

static inline int fixture_teardown(void **state)
{
    unlink(fixture_model);
    unlink(fixture_classes);
    rmdir(fixture_dir);
    return 0;
}

/* GST_TRACERS=leaks (set by CMake) warns at the end of buffers, pads, events... that are still alive: that fails the program too. Where a
 * test has failed its element is still running: there is no use in waiting for it. */
static inline int fixture_end(int failed)
{
    fflush(NULL);
    if (failed) _exit(1);
    g_log_set_always_fatal((GLogLevelFlags)(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING));
    gst_deinit();
    return 0;
}

#define RUN_TESTS(tests) fixture_end(cmocka_run_group_tests(tests, fixture_setup, fixture_teardown))

/* ------------------------------------------------------------------------------------------------------------ elements */

/* An element with a bus of its own (gst_element_get_bus() gives it), made for frames of w x h. */
static inline GstElement *seg_new(int w, int h)
{
    GstElement *e = gst_element_factory_make("kerbseg", NULL);
    assert_non_null(e);
    GstBus *bus = gst_bus_new();
    gst_element_set_bus(e, bus);
    gst_object_unref(bus);
    g_object_set(e, "model-file", fixture_model, "labels-file", fixture_classes, "backend", "ref", "network-width", w, "network-height", h,
                 "mean", "0", "std", "1", "threads", 1, NULL);
    return gst_object_ref_sink(e);
}

/* Its harness; takes the element. */
static inline GstHarness *seg_harness(GstElement *e)
{
    GstHarness *h = gst_harness_new_with_element(e, "sink", "src");
    gst_object_unref(e);
    return h;
}

/* In place of gst_harness_teardown() and gst_object_unref(): messages that nobody took hold their element, and the element holds their bus.
 */
static inline void end(GstHarness *h, GstElement *e)
{
    GstBus *bus = gst_element_get_bus(h ? h->element : e);
    if (h) gst_harness_teardown(h);
    if (e) gst_element_set_state(e, GST_STATE_NULL);
    g_clear_pointer(&e, gst_object_unref);
    if (bus) gst_bus_set_flushing(bus, TRUE);
    g_clear_pointer(&bus, gst_object_unref);
}

static inline GstCaps *caps_of(const char *format, int w, int h)
{
    return gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format, "width", G_TYPE_INT, w, "height", G_TYPE_INT, h, "framerate",
                               GST_TYPE_FRACTION, FPS, 1, NULL);
}

static inline GstVideoInfo info_of(const char *format, int w, int h)
{
    GstVideoInfo info;
    GstCaps *caps = caps_of(format, w, h);
    assert_true(gst_video_info_from_caps(&info, caps));
    gst_caps_unref(caps);
    return info;
}

/* The next message of these types, or NULL where there is none; unref it. */
static inline GstMessage *next_message(GstElement *e, GstMessageType types)
{
    GstBus *bus = gst_element_get_bus(e);
    GstMessage *m = gst_bus_pop_filtered(bus, types);
    gst_object_unref(bus);
    return m;
}

/* Checks domain and code of the next error or warning, and that its text contains `part`; drops it. */
static inline void assert_complaint(GstElement *e, GstMessageType type, GQuark domain, int code, const char *part)
{
    GstMessage *m = next_message(e, type);
    assert_non_null(m);
    GError *error = NULL;
    if (type == GST_MESSAGE_ERROR)
        gst_message_parse_error(m, &error, NULL);
    else
        gst_message_parse_warning(m, &error, NULL);
    if (error->domain != domain || error->code != code || !strstr(error->message, part))
        fail_msg("%s %d \"%s\", expected %s %d with \"%s\"", g_quark_to_string(error->domain), error->code, error->message,
                 g_quark_to_string(domain), code, part);
    g_error_free(error);
    gst_message_unref(m);
}

/* Waits for such a message; FALSE after 30 s, or on an error, which is printed. */
static inline gboolean pump(GstElement *pipeline, GstMessageType until)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *m = gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, until | GST_MESSAGE_ERROR);
    gboolean ok = m && GST_MESSAGE_TYPE(m) != GST_MESSAGE_ERROR;
    if (m && !ok) {
        GError *error;
        gst_message_parse_error(m, &error, NULL);
        print_error("%s\n", error->message);
        g_error_free(error);
    }
    g_clear_pointer(&m, gst_message_unref);
    gst_object_unref(bus);
    return ok;
}

/* A pipeline of a gst-launch line with printf's conversions. */
static inline GstElement *launch(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gchar *line = g_strdup_vprintf(format, args);
    va_end(args);
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(line, &error);
    if (error) fail_msg("%s: %s", line, error->message);
    g_free(line);
    return pipeline;
}

/* -------------------------------------------------------------------------------------------------------------- frames */

static inline uint32_t rnd(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* An RGB frame of noise (in GStreamer's default layout), the n-th of its stream. */
static inline GstBuffer *noise(int w, int h, int n, uint32_t *seed)
{
    GstVideoInfo info = info_of("RGB", w, h);
    GstBuffer *b = gst_buffer_new_allocate(NULL, info.size, NULL);
    GstMapInfo map;
    assert_true(gst_buffer_map(b, &map, GST_MAP_WRITE));
    for (gsize i = 0; i < map.size; i++) map.data[i] = (guint8)rnd(seed);
    gst_buffer_unmap(b, &map);
    GST_BUFFER_PTS(b) = (GstClockTime)n * FRAME_NS;
    GST_BUFFER_DURATION(b) = FRAME_NS;
    GST_BUFFER_OFFSET(b) = (guint64)n;
    return b;
}

static inline guint8 *bytes_of(GstBuffer *b, gsize *n)
{
    guint8 *data = NULL;
    gsize size = 0;
    gst_buffer_extract_dup(b, 0, (gsize)-1, (gpointer *)&data, &size);
    if (n) *n = size;
    return data;
}

static inline int label_of(const guint8 rgb[3])
{
    int best = 0;
    for (int c = 1; c < 3; c++)
        if (rgb[c] > rgb[best]) best = c;
    return best;
}

static inline int confidence_of(const guint8 rgb[3])
{
    double sum = 0, max = rgb[label_of(rgb)] * (double)SCALE;
    for (int c = 0; c < 3; c++) sum += exp(rgb[c] * (double)SCALE - max);
    return (int)lround(255.0 / sum);
}

/* Checks maps against an RGB frame. Confidence may differ by one: exponentials are approximated. */
static inline void assert_maps(const guint8 *rgb, int w, int h, const guint8 *labels, int stride, const guint8 *confidence)
{
    int rgb_stride = GST_ROUND_UP_4(3 * w);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const guint8 *pixel = rgb + y * rgb_stride + 3 * x;
            if (labels[y * stride + x] != label_of(pixel))
                fail_msg("label of (%d, %d) in %d x %d: %d, expected %d", x, y, w, h, labels[y * stride + x], label_of(pixel));
            if (confidence && abs(confidence[y * stride + x] - confidence_of(pixel)) > 1)
                fail_msg("confidence at (%d, %d): %d, expected %d", x, y, confidence[y * stride + x], confidence_of(pixel));
        }
}

/* The display that kerbseg has without further properties. */
static inline void display_of(KerbDisplay *display, KerbVisualize visualize, float alpha)
{
    KerbClass classes[KERB_MAX_CLASSES];
    int n;
    KerbError error;
    assert_int_equal(kerb_classes_load(fixture_classes, classes, &n, &error), KERB_OK);
    kerb_display_init(display, classes, n);
    display->visualize = visualize;
    display->alpha = alpha;
}

/* What an RGB frame looks like with its labels drawn over it; free() it. */
static inline guint8 *drawn(const guint8 *rgb, int w, int h, const KerbDisplay *display)
{
    int stride = GST_ROUND_UP_4(3 * w);
    size_t n = (size_t)stride * (size_t)h;
    uint8_t *labels = malloc((size_t)w * (size_t)h), *out = malloc(n), *in = malloc(n);
    memcpy(in, rgb, n);
    memcpy(out, rgb, n);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) labels[y * w + x] = (uint8_t)label_of(rgb + y * stride + 3 * x);
    KerbVideoFormat format = {.pixel_format = KERB_FORMAT_RGB, .width_px = w, .height_px = h};
    KerbDrawer *drawer;
    assert_int_equal(kerb_drawer_new(&drawer, &format, NULL), KERB_OK);
    KerbFrame from = {.planes = {in}, .strides = {stride}}, to = {.planes = {out}, .strides = {stride}};
    kerb_drawer_draw(drawer, &from, (KerbMap){labels, w}, display, &to);
    kerb_drawer_free(&drawer);
    free(labels);
    free(in);
    return out;
}

/* Compares RGB pictures without the padding of their rows. */
static inline void assert_same_picture(const guint8 *a, const guint8 *b, int w, int h)
{
    int stride = GST_ROUND_UP_4(3 * w);
    for (int y = 0; y < h; y++) assert_memory_equal(a + y * stride, b + y * stride, (size_t)(3 * w));
}

/* Where GStreamer has it, the segmentation metadata of GstAnalytics says of the frame what KerbSegMeta says: one mask over the whole frame, the same buffer, with
 * a size of its own, and region n for class n; none where there are no labels. */
static inline void assert_analytics(GstBuffer *buffer)
{
#ifdef KERB_HAVE_GST_ANALYTICS
    KerbSegMeta *meta = kerb_seg_meta_get(buffer);
    GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta(buffer);
    GstAnalyticsSegmentationMtd mtd;
    gpointer at = NULL;
    gint x = -1, y = -1, n;
    guint w = 0, h = 0;
    if (!meta) {
        assert_null(relations);
        return;
    }
    assert_non_null(relations);
    assert_true(gst_analytics_relation_meta_iterate(relations, &at, gst_analytics_segmentation_mtd_get_mtd_type(), &mtd));
    GstBuffer *mask = gst_analytics_segmentation_mtd_get_mask(&mtd, &x, &y, &w, &h);
    assert_ptr_equal(mask, meta->labels);
    assert_int_equal(x, 0);
    assert_int_equal(y, 0);
    assert_int_equal(w, meta->width);
    assert_int_equal(h, meta->height);
    const GstVideoMeta *size = gst_buffer_get_video_meta(mask);
    assert_non_null(size);
    assert_int_equal(size->format, GST_VIDEO_FORMAT_GRAY8);
    assert_int_equal(size->width, meta->width);
    assert_int_equal(size->height, meta->height);
    assert_int_equal(size->stride[0], meta->stride);
    kerb_seg_meta_classes(meta, &n);
    assert_int_equal(gst_analytics_segmentation_mtd_get_region_count(&mtd), n);
    for (gint i = 0; i < n; i++) assert_int_equal(gst_analytics_segmentation_mtd_get_region_id(&mtd, (gsize)i), i);
    assert_false(gst_analytics_relation_meta_iterate(relations, &at, gst_analytics_segmentation_mtd_get_mtd_type(), &mtd));
    gst_buffer_unref(mask);
#endif
}

#endif
