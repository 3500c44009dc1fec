/* SPDX-License-Identifier: MIT */
/* What kerbseg finds: labels and confidence on the pads and in the metadata, against maps computed here; the request pads' life. */
#include "gst_fixture.h"

#include <gst/video/gstvideometa.h>

/* A harness on a request pad of the same element. */
static GstHarness *map_harness(GstHarness *h, const char *pad)
{
    return gst_harness_new_with_element(h->element, NULL, pad);
}

static void assert_map_buffer(GstBuffer *b, int w, int h)
{
    const GstVideoMeta *meta = gst_buffer_get_video_meta(b);
    assert_non_null(meta);
    assert_int_equal(meta->format, GST_VIDEO_FORMAT_GRAY8);
    assert_int_equal(meta->width, w);
    assert_int_equal(meta->height, h);
    assert_int_equal(meta->stride[0], GST_ROUND_UP_4(w));
}

/* Every pixel's label and confidence, on pads and in the meta, for sizes from 1x1 on; the three share time stamps, and the pads' buffers
 * are the meta's own. */
static void test_values(void **state)
{
    static const int sizes[][2] = {{1, 1}, {1, 7}, {7, 1}, {2, 2}, {3, 5}, {17, 13}, {64, 48}, {101, 37}, {160, 90}};
    for (gsize s = 0; s < G_N_ELEMENTS(sizes); s++) {
        int w = sizes[s][0], height = sizes[s][1], n = 6;
        uint32_t seed = 100 + (uint32_t)s, same = seed;
        GstElement *e = seg_new(w, height);
        g_object_set(e, "visualize", KERB_VISUALIZE_NONE, "slots", 1 + (guint)s % 3, NULL);
        GstHarness *h = seg_harness(e), *labels = map_harness(h, "labels"), *confidence = map_harness(h, "confidence");
        gst_harness_set_src_caps(h, caps_of("RGB", w, height));
        for (int i = 0; i < n; i++) assert_int_equal(gst_harness_push(h, noise(w, height, i, &seed)), GST_FLOW_OK);
        for (int i = 0; i < n; i++) {
            GstBuffer *in = noise(w, height, i, &same), *b = gst_harness_pull(h), *l = gst_harness_pull(labels),
                      *c = gst_harness_pull(confidence);
            guint8 *rgb = bytes_of(in, NULL), *lb = bytes_of(l, NULL), *cb = bytes_of(c, NULL);
            assert_map_buffer(l, w, height);
            assert_map_buffer(c, w, height);
            assert_maps(rgb, w, height, lb, GST_ROUND_UP_4(w), cb);
            GstBuffer *maps[] = {l, c};
            for (int m = 0; m < 2; m++) {
                assert_int_equal(GST_BUFFER_PTS(maps[m]), (GstClockTime)i * FRAME_NS);
                assert_int_equal(GST_BUFFER_DURATION(maps[m]), FRAME_NS);
            }
            KerbSegMeta *meta = kerb_seg_meta_get(b);
            assert_non_null(meta);
            assert_ptr_equal(meta->labels, l);
            assert_ptr_equal(meta->confidence, c);
            assert_int_equal(meta->stride, GST_ROUND_UP_4(w));
            int n_classes;
            const KerbClass *classes = kerb_seg_meta_classes(meta, &n_classes);
            assert_int_equal(n_classes, 3);
            assert_string_equal(classes[1].name, "road");
            assert_int_equal(classes[1].rgb[1], 200);
            assert_true(meta->times.net_ns > 0);
            g_free(rgb), g_free(lb), g_free(cb);
            gst_buffer_unref(in), gst_buffer_unref(b), gst_buffer_unref(l), gst_buffer_unref(c);
        }
        gst_harness_teardown(labels);
        gst_harness_teardown(confidence);
        end(h, NULL);
    }
}

/* Each format, blocks of pure colours painted in RGB and converted by GStreamer: labels are right away from the blocks' borders, and the
 * picture of visualize=none is the frame, byte for byte. */
static void test_formats(void **state)
{
    static const char *const formats[] = {"I420", "YV12", "NV12", "NV21", "YUY2", "UYVY", "RGB",
                                          "BGR",  "RGBx", "BGRx", "RGBA", "BGRA", "GRAY8"};
    static const guint8 colors[][3] = {{220, 40, 40}, {40, 220, 40}, {40, 40, 220}};
    const int w = 98, height = 65, block = 14;
    for (gsize f = 0; f < G_N_ELEMENTS(formats); f++) {
        GstVideoInfo rgb = info_of("RGB", w, height), info = info_of(formats[f], w, height);
        GstBuffer *painted = gst_buffer_new_allocate(NULL, rgb.size, NULL), *in = gst_buffer_new_allocate(NULL, info.size, NULL);
        GstVideoFrame from, to;
        gst_buffer_memset(in, 0, 0, info.size);
        assert_true(gst_video_frame_map(&from, &rgb, painted, GST_MAP_WRITE));
        for (int y = 0; y < height; y++)
            for (int x = 0; x < w; x++)
                memcpy((guint8 *)from.data[0] + y * from.info.stride[0] + 3 * x, colors[(x / block + y / block) % 3], 3);
        assert_true(gst_video_frame_map(&to, &info, in, GST_MAP_WRITE));
        GstVideoConverter *converter = gst_video_converter_new(&rgb, &info, NULL);
        gst_video_converter_frame(converter, &from, &to);
        gst_video_converter_free(converter);
        gst_video_frame_unmap(&from);
        gst_video_frame_unmap(&to);
        guint8 *before = bytes_of(in, NULL);

        GstElement *e = seg_new(w, height);
        g_object_set(e, "visualize", KERB_VISUALIZE_NONE, NULL);
        GstHarness *h = seg_harness(e), *labels = map_harness(h, "labels");
        gst_harness_set_src_caps(h, caps_of(formats[f], w, height));
        assert_int_equal(gst_harness_push(h, in), GST_FLOW_OK);
        GstBuffer *b = gst_harness_pull(h), *l = gst_harness_pull(labels);
        gsize n;
        guint8 *after = bytes_of(b, &n), *found = bytes_of(l, NULL);
        assert_int_equal(n, info.size);
        assert_memory_equal(before, after, n);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < w; x++) {
                int inside = x % block > 2 && x % block < block - 3 && y % block > 2 && y % block < block - 3;
                int expected = strcmp(formats[f], "GRAY8") ? (x / block + y / block) % 3 : 0; /* gray: all equal, the first */
                if (inside && found[y * GST_ROUND_UP_4(w) + x] != expected)
                    fail_msg("%s (%d, %d): %d, expected %d", formats[f], x, y, found[y * GST_ROUND_UP_4(w) + x], expected);
            }
        g_free(before), g_free(after), g_free(found);
        gst_buffer_unref(b), gst_buffer_unref(l), gst_buffer_unref(painted);
        gst_harness_teardown(labels);
        end(h, NULL);
    }
}

/* The pads' events: a stream id of their own in the same group, GRAY8 caps of the frame's size and rate, the segment, EOS; and new caps
 * when the size changes. */
static GstEvent *event_of(GstHarness *h, GstEventType type)
{
    GstEvent *e;
    while ((e = gst_harness_pull_event(h)) && GST_EVENT_TYPE(e) != type) gst_event_unref(e);
    assert_non_null(e);
    return e;
}

static void assert_caps_event(GstHarness *h, const char *expected)
{
    GstEvent *e = event_of(h, GST_EVENT_CAPS);
    GstCaps *caps, *want = gst_caps_from_string(expected);
    gst_event_parse_caps(e, &caps);
    assert_true(gst_caps_is_subset(caps, want));
    gst_caps_unref(want);
    gst_event_unref(e);
}

static void test_pad_events(void **state)
{
    uint32_t seed = 1;
    GstHarness *h = seg_harness(seg_new(20, 10)), *labels = map_harness(h, "labels");
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    gst_harness_push(h, noise(20, 10, 0, &seed));
    GstEvent *start = event_of(labels, GST_EVENT_STREAM_START), *main_start = event_of(h, GST_EVENT_STREAM_START);
    const gchar *id, *main_id;
    gst_event_parse_stream_start(start, &id);
    gst_event_parse_stream_start(main_start, &main_id);
    assert_string_not_equal(id, main_id);
    assert_true(g_str_has_prefix(id, main_id));
    gst_event_unref(start), gst_event_unref(main_start);
    assert_caps_event(labels, "video/x-raw,format=GRAY8,width=20,height=10,framerate=25/1");
    gst_event_unref(event_of(labels, GST_EVENT_SEGMENT));
    gst_harness_set_src_caps(h, caps_of("I420", 6, 3));
    GstVideoInfo info = info_of("I420", 6, 3);
    GstBuffer *b = gst_buffer_new_allocate(NULL, info.size, NULL);
    gst_buffer_memset(b, 0, 0, info.size);
    gst_harness_push(h, b);
    assert_caps_event(labels, "video/x-raw,format=GRAY8,width=6,height=3,framerate=25/1");
    gst_harness_push_event(h, gst_event_new_gap(GST_SECOND, FRAME_NS));
    gst_event_unref(event_of(labels, GST_EVENT_GAP));
    gst_harness_push_event(h, gst_event_new_eos());
    gst_event_unref(event_of(labels, GST_EVENT_EOS));
    assert_int_equal(gst_harness_buffers_received(labels), 2);
    gst_harness_teardown(labels);
    end(h, NULL);
}

/* A flush empties the pads' queues too; maps of after it arrive. */
static void test_pad_flush(void **state)
{
    uint32_t seed = 1;
    GstHarness *h = seg_harness(seg_new(20, 10)), *labels = map_harness(h, "labels");
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 4; i++) gst_harness_push(h, noise(20, 10, i, &seed));
        gst_harness_push_event(h, gst_event_new_flush_start());
        gst_event_unref(event_of(labels, GST_EVENT_FLUSH_START));
        gst_harness_push_event(h, gst_event_new_flush_stop(TRUE));
        for (GstBuffer *b; (b = gst_harness_try_pull(labels));) gst_buffer_unref(b);
        gst_harness_push_event(h, gst_event_new_segment(&segment));
        gst_harness_push(h, noise(20, 10, 500 + round, &seed));
        GstBuffer *b = gst_harness_pull(labels);
        assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)(500 + round) * FRAME_NS);
        gst_buffer_unref(b);
    }
    gst_harness_teardown(labels);
    end(h, NULL);
}

/* A pad that nobody linked; one that comes late, which first hears what it has missed; one that is released and asked for again while
 * frames flow. */
static void test_late_pads(void **state)
{
    uint32_t seed = 1;
    GstHarness *h = seg_harness(seg_new(20, 10));
    gst_harness_set_drop_buffers(h, TRUE);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    GstPad *unlinked = gst_element_request_pad_simple(h->element, "confidence");
    assert_non_null(unlinked);
    int n = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++) assert_int_equal(gst_harness_push(h, noise(20, 10, n++, &seed)), GST_FLOW_OK);
        GstHarness *labels = map_harness(h, "labels");
        assert_int_equal(gst_harness_push(h, noise(20, 10, n, &seed)), GST_FLOW_OK);
        gst_event_unref(event_of(labels, GST_EVENT_STREAM_START));
        assert_caps_event(labels, "video/x-raw,format=GRAY8,width=20,height=10");
        gst_event_unref(event_of(labels, GST_EVENT_SEGMENT));
        GstBuffer *b;
        while (GST_BUFFER_PTS(b = gst_harness_pull(labels)) != (GstClockTime)n * FRAME_NS) gst_buffer_unref(b);
        gst_buffer_unref(b);
        n++;
        gst_harness_teardown(labels); /* which releases the pad */
        assert_null(gst_element_get_static_pad(h->element, "labels"));
    }
    gst_element_release_request_pad(h->element, unlinked);
    gst_object_unref(unlinked);
    end(h, NULL);
}

/* A branch that ends, or fails to link, does not end the other, and gets no more; one that fails does. */
static int chained;

static GstFlowReturn chain_eos(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
    chained++;
    return GST_FLOW_EOS;
}

static GstFlowReturn chain_error(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
    return GST_FLOW_ERROR;
}

static void test_branches_end_alone(void **state)
{
    uint32_t seed = 1;
    GstHarness *h = seg_harness(seg_new(20, 10)), *labels = map_harness(h, "labels");
    gst_pad_set_chain_function(labels->sinkpad, chain_eos);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    for (int i = 0; i < 30; i++) assert_int_equal(gst_harness_push(h, noise(20, 10, i, &seed)), GST_FLOW_OK);
    for (int i = 0; i < 30; i++) gst_buffer_unref(gst_harness_pull(h));
    gst_harness_teardown(labels);
    end(h, NULL);

    chained = 0;
    h = seg_harness(seg_new(20, 10));
    labels = map_harness(h, "labels");
    gst_pad_set_chain_function(h->sinkpad, chain_eos);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    for (int i = 0; i < 30; i++) assert_int_equal(gst_harness_push(h, noise(20, 10, i, &seed)), GST_FLOW_OK);
    for (int i = 0; i < 30; i++) gst_buffer_unref(gst_harness_pull(labels));
    gst_harness_push_event(h, gst_event_new_gap(30 * FRAME_NS, FRAME_NS)); /* drains */
    assert_int_equal(chained, 1);
    gst_harness_teardown(labels);
    end(h, NULL);

    h = seg_harness(seg_new(20, 10));
    labels = map_harness(h, "labels");
    gst_pad_set_chain_function(labels->sinkpad, chain_error);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    GstFlowReturn flow = GST_FLOW_OK;
    for (int i = 0; i < 30 && flow == GST_FLOW_OK; i++) flow = gst_harness_push(h, noise(20, 10, i, &seed));
    assert_int_equal(flow, GST_FLOW_ERROR);
    gst_harness_teardown(labels);
    end(h, NULL);
}

/* Sinks that wait for each other before the first frame is shown, without a queue anywhere: the pads' own threads keep them from a
 * deadlock. */
static void test_preroll_without_queues(void **state)
{
    for (int n = 0; n < 4; n++) {
        GstElement *p =
            launch("videotestsrc num-buffers=%d ! video/x-raw,format=I420,width=32,height=24 ! kerbseg name=s backend=ref network-width=32 "
                   "network-height=24 model-file=%s ! fakesink  s.labels ! fakesink  s.confidence ! fakesink",
                   n * n, fixture_model);
        gst_element_set_state(p, GST_STATE_PLAYING);
        assert_true(pump(p, GST_MESSAGE_EOS));
        gst_element_set_state(p, GST_STATE_NULL);
        gst_object_unref(p);
    }
}

/* Only the maps are wanted: the picture's pad is not linked. */
static void test_only_labels(void **state)
{
    GstElement *p =
        launch("videotestsrc num-buffers=20 ! video/x-raw,format=I420,width=32,height=24 ! kerbseg name=s backend=ref network-width=32 "
               "network-height=24 model-file=%s  s.labels ! fakesink name=sink",
               fixture_model);
    gst_element_set_state(p, GST_STATE_PLAYING);
    assert_true(pump(p, GST_MESSAGE_EOS));
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
}

/* confidence=false: no map in the meta, no pad while running; the pad asked for before the start turns it on. */
static void test_confidence_off(void **state)
{
    uint32_t seed = 1;
    GstElement *e = seg_new(20, 10);
    g_object_set(e, "confidence", FALSE, NULL);
    GstHarness *h = seg_harness(e);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    GstBuffer *b = gst_harness_push_and_pull(h, noise(20, 10, 0, &seed));
    assert_null(kerb_seg_meta_get(b)->confidence);
    assert_non_null(kerb_seg_meta_get(b)->labels);
    gst_buffer_unref(b);
    assert_null(gst_element_request_pad_simple(h->element, "confidence"));
    assert_complaint(h->element, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "confidence=false");
    end(h, NULL);

    e = seg_new(20, 10);
    g_object_set(e, "confidence", FALSE, NULL);
    GstPad *pad = gst_element_request_pad_simple(e, "confidence");
    assert_non_null(pad);
    h = seg_harness(e);
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    b = gst_harness_push_and_pull(h, noise(20, 10, 0, &seed));
    assert_non_null(kerb_seg_meta_get(b)->confidence);
    gst_buffer_unref(b);
    gst_object_unref(pad);
    end(h, NULL);
}

/* Copies of a buffer share the maps; a part of its bytes has none. */
static void test_meta_copies(void **state)
{
    uint32_t seed = 1;
    GstHarness *h = seg_harness(seg_new(20, 10));
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    GstBuffer *b = gst_harness_push_and_pull(h, noise(20, 10, 0, &seed)), *copy = gst_buffer_copy(b);
    GstBuffer *part = gst_buffer_copy_region(b, GST_BUFFER_COPY_ALL, 5, 20);
    KerbSegMeta *meta = kerb_seg_meta_get(copy);
    assert_non_null(meta);
    assert_ptr_equal(meta->labels, kerb_seg_meta_get(b)->labels);
    assert_null(kerb_seg_meta_get(part));
    gst_buffer_unref(b);
    gst_buffer_unref(part);
    end(h, NULL);
    assert_int_equal(gst_buffer_get_size(meta->labels), 20 * 10); /* outlives the element */
    gst_buffer_unref(copy);
}

/* GstAnalytics reads the same buffer; region n is class n. Skipped before GStreamer 1.26. */
static void test_analytics(void **state)
{
#ifdef KERB_HAVE_GST_ANALYTICS
    uint32_t seed = 1;
    GstHarness *h = seg_harness(seg_new(20, 10));
    gst_harness_set_src_caps(h, caps_of("RGB", 20, 10));
    GstBuffer *b = gst_harness_push_and_pull(h, noise(20, 10, 0, &seed));
    assert_non_null(kerb_seg_meta_get(b));
    assert_analytics(b);
    gst_buffer_unref(b);
    end(h, NULL);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_pad_events),
        cmocka_unit_test(test_pad_flush),
        cmocka_unit_test(test_late_pads),
        cmocka_unit_test(test_branches_end_alone),
        cmocka_unit_test(test_preroll_without_queues),
        cmocka_unit_test(test_only_labels),
        cmocka_unit_test(test_confidence_off),
        cmocka_unit_test(test_meta_copies),
        cmocka_unit_test(test_analytics),
    };
    return RUN_TESTS(tests);
}
