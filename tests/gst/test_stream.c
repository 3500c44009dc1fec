/* SPDX-License-Identifier: MIT */
/* kerbseg as a link of a stream: order, time stamps, events, flushes, segments, renegotiation, latency, state changes. */
#include "gst_fixture.h"

#include <gst/base/gstbasetransform.h>

static void set_caps(GstHarness *h, const char *format, int w, int height)
{
    gst_harness_set_src_caps(h, caps_of(format, w, height));
}

/* Everything that goes in comes out, once, in order, with its time stamps, offset and duration, whatever slots and sizes. */
static void test_order(void **state)
{
    for (uint32_t seed = 1; seed <= 24; seed++) {
        uint32_t r = seed;
        int w = 1 + (int)(rnd(&r) % 70), height = 1 + (int)(rnd(&r) % 50), n = 1 + (int)(rnd(&r) % 40);
        GstElement *e = seg_new(w, height);
        g_object_set(e, "slots", 1 + rnd(&r) % 8, "visualize", (int)(rnd(&r) % 4), NULL);
        GstHarness *h = seg_harness(e);
        set_caps(h, "RGB", w, height);
        for (int i = 0; i < n; i++) assert_int_equal(gst_harness_push(h, noise(w, height, i, &r)), GST_FLOW_OK);
        assert_true(gst_harness_push_event(h, gst_event_new_eos()));
        /* EOS has drained: all is there without waiting. */
        assert_int_equal(gst_harness_buffers_received(h), n);
        for (int i = 0; i < n; i++) {
            GstBuffer *b = gst_harness_pull(h);
            assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)i * FRAME_NS);
            assert_int_equal(GST_BUFFER_DURATION(b), FRAME_NS);
            KerbSegMeta *meta = kerb_seg_meta_get(b);
            assert_non_null(meta);
            assert_int_equal(meta->pts, GST_BUFFER_PTS(b));
            assert_int_equal(meta->source_pts, GST_BUFFER_PTS(b));
            assert_int_equal(meta->age, 0);
            gst_buffer_unref(b);
        }
        end(h, NULL);
    }
}

/* stream-start, caps, segment, <frames>, a custom event, <frames>, gap, EOS: in that order. */
static GMutex order_lock;
static GString *order;

static GstPadProbeReturn note(GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
    g_mutex_lock(&order_lock);
    if (info->type & GST_PAD_PROBE_TYPE_BUFFER)
        g_string_append_c(order, '.');
    else
        switch (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info))) {
        case GST_EVENT_STREAM_START: g_string_append_c(order, 'S'); break;
        case GST_EVENT_CAPS: g_string_append_c(order, 'C'); break;
        case GST_EVENT_SEGMENT: g_string_append_c(order, 'G'); break;
        case GST_EVENT_CUSTOM_DOWNSTREAM: g_string_append_c(order, 'X'); break;
        case GST_EVENT_GAP: g_string_append_c(order, '_'); break;
        case GST_EVENT_TAG: g_string_append_c(order, 'T'); break;
        case GST_EVENT_EOS: g_string_append_c(order, 'E'); break;
        default: break;
        }
    g_mutex_unlock(&order_lock);
    return GST_PAD_PROBE_OK;
}

static void test_serialised_events(void **state)
{
    uint32_t seed = 7;
    GstElement *e = seg_new(16, 16);
    g_object_set(e, "slots", 8, NULL);
    order = g_string_new(NULL);
    GstPad *src = gst_element_get_static_pad(e, "src");
    gst_pad_add_probe(src, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, note, NULL, NULL);
    gst_object_unref(src);
    GstHarness *h = seg_harness(e);
    set_caps(h, "RGB", 16, 16);
    for (int i = 0; i < 3; i++) gst_harness_push(h, noise(16, 16, i, &seed));
    gst_harness_push_event(h, gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM, gst_structure_new_empty("test")));
    for (int i = 3; i < 5; i++) gst_harness_push(h, noise(16, 16, i, &seed));
    gst_harness_push_event(h, gst_event_new_gap(5 * FRAME_NS, FRAME_NS));
    gst_harness_push(h, noise(16, 16, 6, &seed));
    gst_harness_push_event(h, gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "drive", NULL)));
    gst_harness_push_event(h, gst_event_new_eos());
    assert_string_equal(order->str, "SCG...X.._.TE");
    end(h, NULL);
    g_string_free(order, TRUE);
}

/* After a flush nothing of before comes out, and the stream goes on. */
static void test_flush(void **state)
{
    uint32_t seed = 11;
    GstHarness *h = seg_harness(seg_new(64, 48));
    set_caps(h, "RGB", 64, 48);
    for (int round = 0; round < 50; round++) {
        int n = (int)(rnd(&seed) % 6);
        for (int i = 0; i < n; i++) assert_int_equal(gst_harness_push(h, noise(64, 48, i, &seed)), GST_FLOW_OK);
        assert_true(gst_harness_push_event(h, gst_event_new_flush_start()));
        assert_int_equal(gst_harness_push(h, noise(64, 48, 0, &seed)), GST_FLOW_FLUSHING);
        assert_true(gst_harness_push_event(h, gst_event_new_flush_stop(TRUE)));
        for (GstBuffer *b; (b = gst_harness_try_pull(h));) gst_buffer_unref(b);
        GstSegment segment;
        gst_segment_init(&segment, GST_FORMAT_TIME);
        assert_true(gst_harness_push_event(h, gst_event_new_segment(&segment)));
        assert_int_equal(gst_harness_push(h, noise(64, 48, 1000 + round, &seed)), GST_FLOW_OK);
        GstBuffer *b = gst_harness_pull(h);
        assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)(1000 + round) * FRAME_NS);
        gst_buffer_unref(b);
    }
    assert_true(gst_harness_push_event(h, gst_event_new_eos())); /* a frame is counted when its push has come back */
    GstStructure *stats;
    gst_harness_get(h, "kerbseg", "stats", &stats, NULL);
    guint64 in, out, flushed, errored;
    gst_structure_get(stats, "frames-in", G_TYPE_UINT64, &in, "frames-out", G_TYPE_UINT64, &out, "frames-flushed", G_TYPE_UINT64, &flushed,
                      "frames-errored", G_TYPE_UINT64, &errored, NULL);
    assert_int_equal(in, out + flushed + errored);
    assert_int_equal(errored, 0);
    gst_structure_free(stats);
    end(h, NULL);
}

/* Flushes from another thread while frames are pushed: no deadlock, no crash, and the stream lives on. */
static GMutex between; /* a flush and its new segment: no frame comes between these two */

static gpointer flusher(gpointer data)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    for (int i = 0; i < 100; i++) {
        gst_harness_push_event(data, gst_event_new_flush_start());
        g_usleep(200);
        g_mutex_lock(&between);
        gst_harness_push_event(data, gst_event_new_flush_stop(FALSE));
        gst_harness_push_event(data, gst_event_new_segment(&segment));
        g_mutex_unlock(&between);
        g_usleep(500);
    }
    return NULL;
}

static void test_flush_race(void **state)
{
    uint32_t seed = 13;
    GstHarness *h = seg_harness(seg_new(32, 32));
    gst_harness_set_drop_buffers(h, TRUE);
    set_caps(h, "RGB", 32, 32);
    GThread *thread = g_thread_new("flusher", flusher, h);
    for (int i = 0; i < 1000; i++) {
        g_mutex_lock(&between);
        GstFlowReturn flow = gst_harness_push(h, noise(32, 32, i, &seed));
        g_mutex_unlock(&between);
        assert_true(flow == GST_FLOW_OK || flow == GST_FLOW_FLUSHING);
    }
    g_thread_join(thread);
    assert_int_equal(gst_harness_push(h, noise(32, 32, 0, &seed)), GST_FLOW_OK);
    end(h, NULL);
}

/* A segment played backwards: the order of arrival is kept, and the time stamps. */
static void test_reverse(void **state)
{
    uint32_t seed = 3;
    GstHarness *h = seg_harness(seg_new(20, 10));
    set_caps(h, "RGB", 20, 10);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.rate = -1.0;
    segment.stop = 100 * FRAME_NS;
    assert_true(gst_harness_push_event(h, gst_event_new_segment(&segment)));
    for (int i = 99; i >= 80; i--) assert_int_equal(gst_harness_push(h, noise(20, 10, i, &seed)), GST_FLOW_OK);
    for (int i = 99; i >= 80; i--) {
        GstBuffer *b = gst_harness_pull(h);
        assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)i * FRAME_NS);
        gst_buffer_unref(b);
    }
    end(h, NULL);
}

/* Size and format change in mid-stream; every frame before comes out in its own size, every one after in the new one. */
static void test_renegotiation(void **state)
{
    static const struct {
        const char *format;
        int w, h;
    } steps[] = {{"RGB", 32, 24}, {"I420", 32, 24}, {"NV12", 17, 9}, {"BGRA", 64, 48}, {"RGB", 1, 1}, {"YUY2", 31, 7}, {"GRAY8", 32, 24}};
    GstHarness *h = seg_harness(seg_new(32, 24));
    for (gsize s = 0; s < G_N_ELEMENTS(steps); s++) {
        GstVideoInfo info = info_of(steps[s].format, steps[s].w, steps[s].h);
        set_caps(h, steps[s].format, steps[s].w, steps[s].h);
        for (int i = 0; i < 5; i++) {
            GstBuffer *b = gst_buffer_new_allocate(NULL, info.size, NULL);
            gst_buffer_memset(b, 0, 100, info.size);
            GST_BUFFER_PTS(b) = s * 5 + (gsize)i;
            assert_int_equal(gst_harness_push(h, b), GST_FLOW_OK);
        }
    }
    gst_harness_push_event(h, gst_event_new_eos());
    for (gsize s = 0; s < G_N_ELEMENTS(steps); s++)
        for (int i = 0; i < 5; i++) {
            GstVideoInfo info = info_of(steps[s].format, steps[s].w, steps[s].h);
            GstBuffer *b = gst_harness_pull(h);
            assert_int_equal(GST_BUFFER_PTS(b), s * 5 + (gsize)i);
            assert_int_equal(gst_buffer_get_size(b), info.size);
            KerbSegMeta *meta = kerb_seg_meta_get(b);
            assert_int_equal(meta->width, steps[s].w);
            assert_int_equal(meta->height, steps[s].h);
            gst_buffer_unref(b);
        }
    end(h, NULL);
}

static GstClockTime stat_latency(GstHarness *h)
{
    GstStructure *stats;
    guint64 latency;
    gst_harness_get(h, "kerbseg", "stats", &stats, NULL);
    gst_structure_get_uint64(stats, "latency", &latency);
    gst_structure_free(stats);
    return latency;
}

/* Upstream's latency plus a frame time for each slot while nothing is measured; what is measured afterwards. A message says when it
 * changes. */
static void test_latency(void **state)
{
    uint32_t seed = 5;
    GstElement *e = gst_object_ref(seg_new(64, 64));
    g_object_set(e, "slots", 3, NULL);
    GstHarness *h = seg_harness(e);
    gst_harness_set_upstream_latency(h, 7 * GST_MSECOND);
    set_caps(h, "RGB", 64, 64);
    GstMessage *m = next_message(e, GST_MESSAGE_LATENCY);
    assert_non_null(m);
    gst_message_unref(m);
    assert_int_equal(gst_harness_query_latency(h), 7 * GST_MSECOND + 3 * FRAME_NS);
    /* These frames take far less than 40 ms each: after a calm window (2 s) the answer comes down, and a message says so. On a machine that
     * is busy with other things it may go up first. */
    gint64 until = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
    gboolean down = FALSE;
    for (int i = 0; !down && g_get_monotonic_time() < until; i++) {
        gst_buffer_unref(gst_harness_push_and_pull(h, noise(64, 64, i, &seed)));
        g_usleep(20000);
        m = next_message(e, GST_MESSAGE_LATENCY);
        down = m && stat_latency(h) < 3 * FRAME_NS;
        g_clear_pointer(&m, gst_message_unref);
    }
    assert_true(down);
    assert_int_equal(gst_harness_query_latency(h), 7 * GST_MSECOND + stat_latency(h));
    end(h, e);
}

/* A QoS event that says "everything is late" goes upstream, and drops nothing here. */
static void test_qos_drops_nothing(void **state)
{
    uint32_t seed = 5;
    GstElement *e = seg_new(16, 16);
    g_object_set(e, "qos", TRUE, NULL);
    GstHarness *h = seg_harness(e);
    set_caps(h, "RGB", 16, 16);
    gst_harness_push_upstream_event(h, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 0.1, 3600 * (GstClockTimeDiff)GST_SECOND, GST_SECOND));
    for (int i = 0; i < 30; i++) assert_int_equal(gst_harness_push(h, noise(16, 16, i, &seed)), GST_FLOW_OK);
    gst_harness_push_event(h, gst_event_new_eos());
    assert_int_equal(gst_harness_buffers_received(h), 30);
    end(h, NULL);
}

/* What downstream says comes back upstream. */
static GstFlowReturn chain_says(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
    return GPOINTER_TO_INT(g_object_get_data(G_OBJECT(pad), "flow"));
}

static void test_flow_comes_back(void **state)
{
    static const GstFlowReturn says[] = {GST_FLOW_EOS, GST_FLOW_ERROR, GST_FLOW_NOT_NEGOTIATED, GST_FLOW_CUSTOM_ERROR};
    for (gsize s = 0; s < G_N_ELEMENTS(says); s++) {
        uint32_t seed = 5;
        GstHarness *h = seg_harness(seg_new(16, 16));
        set_caps(h, "RGB", 16, 16);
        gst_pad_set_chain_function(h->sinkpad, chain_says);
        g_object_set_data(G_OBJECT(h->sinkpad), "flow", GINT_TO_POINTER(says[s]));
        GstFlowReturn flow = GST_FLOW_OK;
        for (int i = 0; i < 20 && flow == GST_FLOW_OK; i++) flow = gst_harness_push(h, noise(16, 16, i, &seed));
        assert_int_equal(flow, says[s]);
        if (flow == GST_FLOW_EOS) { /* a new segment is a new chance */
            GstSegment segment;
            gst_segment_init(&segment, GST_FORMAT_TIME);
            g_object_set_data(G_OBJECT(h->sinkpad), "flow", GINT_TO_POINTER(GST_FLOW_OK));
            gst_harness_push_event(h, gst_event_new_segment(&segment));
            assert_int_equal(gst_harness_push(h, noise(16, 16, 0, &seed)), GST_FLOW_OK);
        }
        end(h, NULL);
    }
}

/* NULL <-> PLAYING, fifty times, with the model opened and closed each time and maps on their way. */
static void test_state_churn(void **state)
{
    GstElement *p = launch("videotestsrc ! video/x-raw,format=I420,width=32,height=24 ! kerbseg name=s backend=ref network-width=32 "
                           "network-height=24 model-file=%s ! fakesink sync=false  s.labels ! fakesink sync=false",
                           fixture_model);
    for (int i = 0; i < 50; i++) {
        assert_int_not_equal(gst_element_set_state(p, GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
        if (i % 3) assert_int_equal(gst_element_get_state(p, NULL, NULL, 30 * GST_SECOND), GST_STATE_CHANGE_SUCCESS);
        if (i % 5 == 1) g_usleep(3000);
        if (i % 4 == 2) gst_element_set_state(p, GST_STATE_PAUSED);
        assert_int_equal(gst_element_set_state(p, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
    }
    gst_object_unref(p);
}

/* Seeks while PLAYING, forwards and backwards. */
static void test_seek(void **state)
{
    GstElement *p =
        launch("videotestsrc num-buffers=2000 ! video/x-raw,format=RGB,width=32,height=24 ! kerbseg backend=ref network-width=32 "
               "network-height=24 model-file=%s ! fakesink name=sink sync=false",
               fixture_model);
    gst_element_set_state(p, GST_STATE_PAUSED);
    assert_true(pump(p, GST_MESSAGE_ASYNC_DONE));
    gst_element_set_state(p, GST_STATE_PLAYING);
    for (int i = 0; i < 20; i++) {
        gboolean back = i % 2;
        assert_true(gst_element_seek(p, back ? -1.0 : 1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET,
                                     back ? 0 : i * GST_SECOND, GST_SEEK_TYPE_SET, (i + 5) * GST_SECOND));
        assert_true(pump(p, GST_MESSAGE_ASYNC_DONE | GST_MESSAGE_EOS));
    }
    gst_element_set_state(p, GST_STATE_NULL);
    gst_object_unref(p);
}

/* A pull-mode sink finds that it cannot pull; pushing works. */
static void test_no_pull(void **state)
{
    GstHarness *h = seg_harness(seg_new(16, 16));
    GstQuery *q = gst_query_new_scheduling();
    assert_true(gst_pad_peer_query(h->sinkpad, q));
    assert_false(gst_query_has_scheduling_mode(q, GST_PAD_MODE_PULL));
    assert_true(gst_query_has_scheduling_mode(q, GST_PAD_MODE_PUSH));
    gst_query_unref(q);
    end(h, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_serialised_events),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_flush_race),
        cmocka_unit_test(test_reverse),
        cmocka_unit_test(test_renegotiation),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_qos_drops_nothing),
        cmocka_unit_test(test_flow_comes_back),
        cmocka_unit_test(test_state_churn),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_no_pull),
    };
    return RUN_TESTS(tests);
}
