/* SPDX-License-Identifier: MIT */
/* kerbseg's live modes. The network is behind a gate (gate/gate.h): a test says when it is done, so what a frame gets does not depend on
 * how fast the machine is. Which frame's labels a frame got is known from the labels themselves: every frame is noise of its own. */
#include "gst_fixture.h"
#include "gate/gate.h"

#include <dlfcn.h>

enum { EVERY_FRAME, LATEST, HOLD };
#define W 23
#define H 11
#define LONG (10 * GST_SECOND)

static const Gate *gate;

/* A live stream of noise: frames by number, and what comes out. */
typedef struct Stream {
    GstElement *e;
    GstHarness *h, *labels, *confidence; /* maps: NULL unless asked for */
    int sent, received;
} Stream;

/* Frame n of every stream; its pixels depend on n alone. */
static GstBuffer *frame_of(int n)
{
    uint32_t seed = 1000 + (uint32_t)n;
    return noise(W, H, n, &seed);
}

static Stream stream_new(int mode, gboolean with_maps, int open)
{
    Stream s = {.e = gst_object_ref(seg_new(W, H))};
    gate->reset(open);
    g_object_set(s.e, "backend", "cpu", "live-mode", mode, "max-wait", LONG, NULL);
    s.h = seg_harness(s.e);
    if (with_maps) {
        s.labels = gst_harness_new_with_element(s.e, NULL, "labels");
        s.confidence = gst_harness_new_with_element(s.e, NULL, "confidence");
    }
    gst_harness_set_src_caps(s.h, caps_of("RGB", W, H));
    return s;
}

static void stream_end(Stream *s)
{
    gate->reset(1);
    if (s->labels) gst_harness_teardown(s->labels);
    if (s->confidence) gst_harness_teardown(s->confidence);
    end(s->h, s->e);
}

static void push(Stream *s)
{
    assert_int_equal(gst_harness_push(s->h, frame_of(s->sent++)), GST_FLOW_OK);
}

static guint64 stat_of(GstElement *e, const char *name)
{
    GstStructure *stats;
    guint64 value = 0;
    gint64 time = 0;
    guint small = 0;
    g_object_get(e, "stats", &stats, NULL);
    if (gst_structure_get_int64(stats, name, &time))
        value = (guint64)time;
    else if (gst_structure_get_uint(stats, name, &small))
        value = small;
    else
        assert_true(gst_structure_get_uint64(stats, name, &value));
    gst_structure_free(stats);
    return value;
}

/* Waits until a counter is there; fails after 20 s. */
static void wait_for(GstElement *e, const char *name, guint64 value)
{
    for (int i = 0; i < 20000 && stat_of(e, name) < value; i++) g_usleep(1000);
    assert_int_equal(stat_of(e, name), value);
}

/* The network ends its n-th run since the beginning, and its labels are there. */
static void let_one(Stream *s, int n)
{
    assert_true(gate->entered(n, 20000));
    gate->let(1);
    wait_for(s->e, "inferred", (guint64)n);
}

/* With everything at rest: a frame is counted when its push has come back, which the test's own thread does not see. */
static void assert_balance(GstElement *e)
{
    for (int i = 0; i < 20000 && stat_of(e, "in-flight"); i++) g_usleep(1000);
    assert_int_equal(stat_of(e, "frames-in"), stat_of(e, "frames-out") + stat_of(e, "frames-flushed") + stat_of(e, "frames-errored"));
    assert_int_equal(stat_of(e, "in-flight"), 0);
}

#define NOTHING (-1)

/* What frame n looks like under labels of frame `source`; free() it. */
static guint8 *drawn_with(int n, int source)
{
    GstBuffer *frame = frame_of(n), *other = frame_of(source < 0 ? n : source);
    guint8 *rgb = bytes_of(frame, NULL), *from = bytes_of(other, NULL), *labels = malloc(W * H);
    int stride = GST_ROUND_UP_4(3 * W);
    for (int i = 0; i < W * H; i++) labels[i] = source < 0 ? KERB_LABEL_NONE : (guint8)label_of(from + i / W * stride + i % W * 3);
    KerbVideoFormat format = {.pixel_format = KERB_FORMAT_RGB, .width_px = W, .height_px = H};
    KerbFrame picture = {.planes = {rgb}, .strides = {stride}};
    KerbDisplay display;
    KerbDrawer *drawer;
    display_of(&display, KERB_VISUALIZE_OVERLAY, 0.5f);
    assert_int_equal(kerb_drawer_new(&drawer, &format, NULL), KERB_OK);
    kerb_drawer_draw(drawer, &picture, (KerbMap){labels, W}, &display, &picture);
    kerb_drawer_free(&drawer);
    g_free(from);
    free(labels);
    gst_buffer_unref(frame);
    gst_buffer_unref(other);
    return rgb;
}

/* Checks one map of a pad: time stamps of frame n, values of frame `source`. */
static void assert_pads(Stream *s, int n, int source)
{
    GstBuffer *l = gst_harness_pull(s->labels), *c = gst_harness_pull(s->confidence), *from = frame_of(source < 0 ? n : source);
    guint8 *labels = bytes_of(l, NULL), *confidence = bytes_of(c, NULL), *rgb = bytes_of(from, NULL);
    assert_int_equal(GST_BUFFER_PTS(l), (GstClockTime)n * FRAME_NS);
    assert_int_equal(GST_BUFFER_PTS(c), (GstClockTime)n * FRAME_NS);
    assert_int_equal(GST_BUFFER_DURATION(l), FRAME_NS);
    if (source >= 0) {
        assert_maps(rgb, W, H, labels, GST_ROUND_UP_4(W), confidence);
    } else {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                assert_int_equal(labels[y * GST_ROUND_UP_4(W) + x], KERB_LABEL_NONE);
                assert_int_equal(confidence[y * GST_ROUND_UP_4(W) + x], 0);
            }
    }
    g_free(labels);
    g_free(confidence);
    g_free(rgb);
    gst_buffer_unref(from);
    gst_buffer_unref(l);
    gst_buffer_unref(c);
}

/* The next frame out: the next in order, with the labels of frame `source` (NOTHING: none) in picture, metadata and pads. */
static void expect(Stream *s, int source)
{
    int n = s->received++;
    GstBuffer *b = gst_harness_pull(s->h);
    assert_non_null(b);
    assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)n * FRAME_NS);
    assert_int_equal(GST_BUFFER_OFFSET(b), n);
    KerbSegMeta *meta = kerb_seg_meta_get(b);
    assert_analytics(b);
    if (source < 0) {
        assert_null(meta);
    } else {
        assert_non_null(meta);
        assert_int_equal(meta->pts, (GstClockTime)n * FRAME_NS);
        assert_int_equal(meta->source_pts, (GstClockTime)source * FRAME_NS);
        assert_int_equal(meta->age, (GstClockTimeDiff)(n - source) * FRAME_NS);
        GstBuffer *from = frame_of(source);
        guint8 *rgb = bytes_of(from, NULL), *labels = bytes_of(meta->labels, NULL), *confidence = bytes_of(meta->confidence, NULL);
        assert_maps(rgb, W, H, labels, meta->stride, confidence);
        g_free(rgb);
        g_free(labels);
        g_free(confidence);
        gst_buffer_unref(from);
    }
    guint8 *picture = bytes_of(b, NULL), *wanted = drawn_with(n, source);
    assert_same_picture(picture, wanted, W, H);
    g_free(picture);
    g_free(wanted);
    if (s->labels) assert_pads(s, n, source);
    gst_buffer_unref(b);
}

/* ----------------------------------------------------------------------------------------------------------------- latest */

/* No frame waits: all are there while the network has not ended its first. Then each gets the newest labels that are there, and the network
 * the newest frame. */
static void test_latest(void **state)
{
    Stream s = stream_new(LATEST, TRUE, 0);
    push(&s); /* frame 0 is inferred */
    assert_true(gate->entered(1, 20000));
    for (int i = 1; i < 4; i++) push(&s);
    assert_int_equal(gst_harness_buffers_received(s.h), 4);
    for (int i = 0; i < 4; i++) expect(&s, NOTHING);
    let_one(&s, 1); /* frame 3 is inferred: the newest that has come */
    assert_true(gate->entered(2, 20000));
    for (int i = 4; i < 7; i++) push(&s);
    assert_int_equal(gst_harness_buffers_received(s.h), 7);
    for (int i = 4; i < 7; i++) expect(&s, 0);
    let_one(&s, 2); /* frame 6 */
    assert_true(gate->entered(3, 20000));
    push(&s);
    expect(&s, 3);
    let_one(&s, 3);
    push(&s);
    expect(&s, 6);
    assert_balance(s.e);
    assert_int_equal(stat_of(s.e, "frames-out"), 9);
    assert_int_equal(stat_of(s.e, "reused"), 5);
    assert_int_equal(stat_of(s.e, "unlabelled"), 4);
    assert_int_equal(stat_of(s.e, "age-max"), 6 * FRAME_NS);
    assert_int_equal(stat_of(s.e, "age-mean"), (4 + 5 + 6 + 4 + 2) * FRAME_NS / 5);
    assert_int_equal(stat_of(s.e, "age-unknown"), 0);
    /* Frames 0, 3, 6 and 7 were given to the network, 8 waits: 1, 2, 4, 5 were passed over. */
    assert_true(gate->entered(4, 20000));
    assert_int_equal(stat_of(s.e, "inference-skipped"), 4);
    stream_end(&s);
}

/* The pixels of a frame are not copied: with visualize=none it goes on in its own buffer, also while the network reads it. With an overlay,
 * the frame that the network reads stays as it came. */
static void test_latest_copies_nothing(void **state)
{
    Stream s = stream_new(LATEST, FALSE, 0);
    g_object_set(s.e, "visualize", KERB_VISUALIZE_NONE, NULL);
    for (int i = 0; i < 5; i++) {
        GstBuffer *in = frame_of(s.sent++);
        assert_int_equal(gst_harness_push(s.h, gst_buffer_ref(in)), GST_FLOW_OK);
        GstBuffer *out = gst_harness_pull(s.h);
        assert_ptr_equal(gst_buffer_peek_memory(out, 0), gst_buffer_peek_memory(in, 0));
        gst_buffer_unref(in);
        gst_buffer_unref(out);
        if (i == 0) let_one(&s, 1);
    }
    for (int i = 0; i < 5; i++) { /* nobody else has it: even the header is the same */
        GstBuffer *in = frame_of(s.sent++), *out;
        assert_int_equal(gst_harness_push(s.h, in), GST_FLOW_OK);
        out = gst_harness_pull(s.h);
        assert_ptr_equal(in, out);
        gst_buffer_unref(out);
    }
    stream_end(&s);
}

/* The pool that upstream takes frames from keeps its memory: nothing of Kerb's makes it throw buffers away. */
static void test_latest_keeps_pools(void **state)
{
    for (int visualize = KERB_VISUALIZE_NONE; visualize <= KERB_VISUALIZE_OVERLAY; visualize++) {
        Stream s = stream_new(LATEST, FALSE, 1);
        g_object_set(s.e, "visualize", visualize, NULL);
        GstVideoInfo info = info_of("RGB", W, H);
        GstBufferPool *pool = gst_buffer_pool_new();
        GstStructure *config = gst_buffer_pool_get_config(pool);
        gst_buffer_pool_config_set_params(config, NULL, (guint)info.size, 4, 8);
        assert_true(gst_buffer_pool_set_config(pool, config));
        assert_true(gst_buffer_pool_set_active(pool, TRUE));
        GstMemory *seen[8] = {NULL};
        for (int i = 0; i < 200; i++) {
            GstBuffer *b;
            assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &b, NULL), GST_FLOW_OK);
            GstMemory *memory = gst_buffer_peek_memory(b, 0);
            guint k = 0;
            while (k < 8 && seen[k] && seen[k] != memory) k++;
            assert_true(k < 8); /* at most eight blocks in the pool's whole life */
            seen[k] = memory;
            gst_buffer_memset(b, 0, (guint8)i, info.size);
            GST_BUFFER_PTS(b) = (GstClockTime)i * FRAME_NS;
            assert_int_equal(gst_harness_push(s.h, b), GST_FLOW_OK);
            gst_buffer_unref(gst_harness_pull(s.h));
        }
        stream_end(&s);
        gst_buffer_pool_set_active(pool, FALSE);
        gst_object_unref(pool);
    }
}

/* Too old labels are neither drawn nor attached; the pads say NONE; the next fresh ones are taken again. */
static void test_max_age(void **state)
{
    Stream s = stream_new(LATEST, TRUE, 0);
    g_object_set(s.e, "max-age", (guint64)(2 * FRAME_NS), NULL);
    push(&s);
    expect(&s, NOTHING);
    let_one(&s, 1);
    for (int i = 1; i < 5; i++) push(&s);
    expect(&s, 0);
    expect(&s, 0);
    expect(&s, NOTHING);
    expect(&s, NOTHING);
    g_object_set(s.e, "max-age", GST_CLOCK_TIME_NONE, NULL); /* while PLAYING */
    push(&s);
    expect(&s, 0);
    assert_int_equal(stat_of(s.e, "unlabelled"), 3);
    assert_balance(s.e);
    stream_end(&s);
}

/* Views that consist of the mask stay what they are where there is none: black. */
static void test_no_mask_is_black(void **state)
{
    Stream s = stream_new(LATEST, FALSE, 0);
    g_object_set(s.e, "visualize", KERB_VISUALIZE_MASK, NULL);
    push(&s);
    GstBuffer *b = gst_harness_pull(s.h);
    gsize n;
    guint8 *picture = bytes_of(b, &n);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < 3 * W; x++) assert_int_equal(picture[y * GST_ROUND_UP_4(3 * W) + x], 0);
    g_free(picture);
    gst_buffer_unref(b);
    stream_end(&s);
}

/* ------------------------------------------------------------------------------------------------------------------- hold */

/* A frame waits for its own labels; one that will not get any (the network took a later one) goes at once, whatever max-wait is. */
static void test_hold(void **state)
{
    Stream s = stream_new(HOLD, TRUE, 0);
    for (int i = 0; i < 3; i++) {
        push(&s);
        if (i == 0) assert_true(gate->entered(1, 20000));
    }
    assert_int_equal(gst_harness_buffers_received(s.h), 0);
    let_one(&s, 1);
    expect(&s, 0); /* its own */
    expect(&s, 0); /* the network has taken frame 2 */
    assert_true(gate->entered(2, 20000));
    assert_null(gst_harness_try_pull(s.h));
    let_one(&s, 2);
    expect(&s, 2);
    assert_balance(s.e);
    assert_int_equal(stat_of(s.e, "reused"), 1);
    assert_int_equal(stat_of(s.e, "age-max"), FRAME_NS);
    stream_end(&s);
}

/* Not longer than max-wait: the frame goes with what is there while the network is at it. */
static void test_hold_deadline(void **state)
{
    Stream s = stream_new(HOLD, FALSE, 0);
    g_object_set(s.e, "max-wait", 5 * GST_MSECOND, NULL);
    push(&s);
    expect(&s, NOTHING);
    let_one(&s, 1);
    push(&s);
    expect(&s, 0);
    g_object_set(s.e, "max-wait", (guint64)0, NULL);
    push(&s);
    expect(&s, 0);
    assert_balance(s.e);
    stream_end(&s);
}

/* With as many frames waiting as there is room for, the first one goes: upstream is not held up. */
static void test_hold_is_bounded(void **state)
{
    Stream s = stream_new(HOLD, FALSE, 0);
    for (int i = 0; i < 100; i++) push(&s);
    for (int i = 0; i < 60; i++) expect(&s, NOTHING);
    gate->reset(1);
    assert_true(gst_harness_push_event(s.h, gst_event_new_eos()));
    assert_int_equal(gst_harness_buffers_received(s.h), 100);
    assert_balance(s.e);
    stream_end(&s);
}

/* ------------------------------------------------------------------------------------------------------- thinned inference */

/* every-frame with an interval: frames between get the labels of the frame before them that was inferred. Nothing depends on time. */
static void test_interval(void **state)
{
    Stream s = stream_new(EVERY_FRAME, TRUE, 1);
    g_object_set(s.e, "inference-interval", 3, NULL);
    for (int i = 0; i < 10; i++) {
        push(&s);
        expect(&s, i - i % 3);
    }
    g_object_set(s.e, "inference-interval", 1, NULL);
    for (int i = 10; i < 13; i++) {
        push(&s);
        expect(&s, i);
    }
    gst_harness_push_event(s.h, gst_event_new_eos());
    assert_balance(s.e);
    assert_int_equal(stat_of(s.e, "inferred"), 7);
    assert_int_equal(stat_of(s.e, "inference-skipped"), 6);
    assert_int_equal(stat_of(s.e, "reused"), 6);
    stream_end(&s);
}

/* latest with an interval: the network is free, and waits for its turn. */
static void test_interval_latest(void **state)
{
    Stream s = stream_new(LATEST, FALSE, 0);
    g_object_set(s.e, "inference-interval", 4, NULL);
    for (int i = 0; i < 9; i++) {
        push(&s);
        if (i % 4 == 0) let_one(&s, i / 4 + 1);
    }
    for (int i = 0; i < 9; i++) expect(&s, i ? (i - 1) / 4 * 4 : NOTHING);
    assert_int_equal(stat_of(s.e, "inferred"), 3);
    assert_int_equal(stat_of(s.e, "inference-skipped"), 6);
    assert_balance(s.e);
    stream_end(&s);
}

/* "Too late" from downstream: no frame is lost; the network gets every fourth only, until downstream is content. */
static void test_qos_thins_inference(void **state)
{
    static const int source[] = {0, 1, 1, 1, 1, 5, 5, 5, 5, 9, 10, 11};
    Stream s = stream_new(HOLD, FALSE, 1);
    for (int i = 0; i < 12; i++) {
        if (i == 2) gst_harness_push_upstream_event(s.h, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 2.0, LONG, FRAME_NS));
        if (i == 10) gst_harness_push_upstream_event(s.h, gst_event_new_qos(GST_QOS_TYPE_OVERFLOW, 0.5, -1, 10 * FRAME_NS));
        push(&s);
        expect(&s, source[i]);
    }
    assert_balance(s.e);
    assert_int_equal(stat_of(s.e, "frames-out"), 12);
    assert_int_equal(stat_of(s.e, "inferred"), 6);
    assert_int_equal(stat_of(s.e, "inference-skipped"), 6);
    stream_end(&s);
}

/* ---------------------------------------------------------------------------------------------------------- a stream's life */

/* Events do not wait for the network in latest; EOS loses nothing in any mode. */
static void test_eos(void **state)
{
    for (int mode = LATEST; mode <= HOLD; mode++) {
        Stream s = stream_new(mode, TRUE, mode == HOLD);
        for (int i = 0; i < 20; i++) push(&s);
        gst_harness_push_event(s.h, gst_event_new_gap(20 * FRAME_NS, FRAME_NS));
        assert_true(gst_harness_push_event(s.h, gst_event_new_eos()));
        assert_int_equal(gst_harness_buffers_received(s.h), 20);
        for (int i = 0; i < 20; i++) gst_buffer_unref(gst_harness_pull(s.labels));
        assert_balance(s.e);
        stream_end(&s);
    }
}

static void new_segment(Stream *s)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    assert_true(gst_harness_push_event(s->h, gst_event_new_segment(&segment)));
}

/* A flush, another segment, a jump in time: labels found before are not put on frames after, those at the network included. */
static void test_nothing_old_after_a_cut(void **state)
{
    for (int cut = 0; cut < 4; cut++) {
        Stream s = stream_new(LATEST, FALSE, 0);
        push(&s);
        expect(&s, NOTHING);
        let_one(&s, 1);
        push(&s);
        expect(&s, 0);
        assert_true(gate->entered(2, 20000)); /* frame 1 is at the network */
        if (cut == 0) {
            gst_harness_push_event(s.h, gst_event_new_flush_start());
            gst_harness_push_event(s.h, gst_event_new_flush_stop(TRUE));
        }
        if (cut < 2) new_segment(&s);
        if (cut == 2) s.sent = s.received = 2 + 2 * FPS; /* two seconds are missing, as the frame says */
        if (cut == 3) {
            while (s.sent < 4 * FPS) push(&s); /* back by more than a second */
            for (s.received = s.sent; gst_harness_buffers_in_queue(s.h);) gst_buffer_unref(gst_harness_pull(s.h));
            s.sent = s.received = 1;
        }
        GstBuffer *b = frame_of(s.sent++);
        if (cut == 2) GST_BUFFER_FLAG_SET(b, GST_BUFFER_FLAG_DISCONT);
        assert_int_equal(gst_harness_push(s.h, b), GST_FLOW_OK);
        expect(&s, NOTHING);
        let_one(&s, 2); /* what was at the network comes to nothing */
        push(&s);
        expect(&s, NOTHING);
        int first = s.sent - 2;
        let_one(&s, 3);
        push(&s);
        /* The network has been given the newest of the two frames since; which of them depends on when it was free. */
        GstBuffer *out = gst_harness_pull(s.h);
        KerbSegMeta *meta = kerb_seg_meta_get(out);
        assert_non_null(meta);
        assert_true(meta->source_pts == (GstClockTime)first * FRAME_NS || meta->source_pts == (GstClockTime)(first + 1) * FRAME_NS);
        gst_buffer_unref(out);
        assert_balance(s.e);
        stream_end(&s);
    }
}

/* A flush with frames that wait for their labels: they are counted, and nothing of them comes out. */
static void test_flush_hold(void **state)
{
    Stream s = stream_new(HOLD, TRUE, 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < round % 5; i++) push(&s);
        gst_harness_push_event(s.h, gst_event_new_flush_start());
        assert_int_equal(gst_harness_push(s.h, frame_of(0)), GST_FLOW_FLUSHING);
        gate->reset(1);
        gst_harness_push_event(s.h, gst_event_new_flush_stop(TRUE));
        for (GstBuffer *b; (b = gst_harness_try_pull(s.h));) gst_buffer_unref(b);
        for (GstBuffer *b; (b = gst_harness_try_pull(s.labels));) gst_buffer_unref(b);
        for (GstBuffer *b; (b = gst_harness_try_pull(s.confidence));) gst_buffer_unref(b);
        new_segment(&s);
        s.sent = s.received = 1000 * round;
        push(&s);
        expect(&s, 1000 * round);
        gate->reset(0);
    }
    assert_balance(s.e);
    assert_int_equal(stat_of(s.e, "frames-errored"), 0);
    stream_end(&s);
}

static gpointer open_gate_soon(gpointer data)
{
    g_usleep(2000);
    gate->reset(1);
    return NULL;
}

/* Size and format change while a frame is at the network: its labels, of the old size, are on no frame of the new one. */
static void test_renegotiation(void **state)
{
    static const struct {
        const char *format;
        int w, h;
    } steps[] = {{"RGB", 32, 24}, {"I420", 32, 24}, {"NV12", 17, 9}, {"BGRA", 64, 48}, {"RGB", 1, 1}, {"YUY2", 31, 7}, {"GRAY8", 32, 24}};
    for (int mode = LATEST; mode <= HOLD; mode++) {
        Stream s = stream_new(mode, FALSE, 0);
        g_object_set(s.e, "carry", TRUE, "max-wait", 20 * GST_MSECOND, NULL);
        for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
            GstVideoInfo info = info_of(steps[i].format, steps[i].w, steps[i].h);
            GThread *opener = g_thread_new("opener", open_gate_soon, NULL);
            gst_harness_set_src_caps(s.h, caps_of(steps[i].format, steps[i].w, steps[i].h));
            g_thread_join(opener);
            gate->reset((int)i % 2);
            for (int k = 0; k < 6; k++) {
                GstBuffer *b = gst_buffer_new_allocate(NULL, info.size, NULL);
                gst_buffer_memset(b, 0, 100, info.size);
                GST_BUFFER_PTS(b) = (i * 6 + (gsize)k) * FRAME_NS;
                assert_int_equal(gst_harness_push(s.h, b), GST_FLOW_OK);
                b = gst_harness_pull(s.h);
                assert_int_equal(GST_BUFFER_PTS(b), (i * 6 + (gsize)k) * FRAME_NS);
                assert_int_equal(gst_buffer_get_size(b), info.size);
                KerbSegMeta *meta = kerb_seg_meta_get(b);
                assert_true(!meta || (meta->width == steps[i].w && meta->height == steps[i].h));
                gst_buffer_unref(b);
            }
        }
        assert_balance(s.e);
        stream_end(&s);
    }
}

/* Time stamps that are missing or run backwards: every frame passes; ages that cannot be known are said to be unknown, and with max-age set
 * such labels are not taken. */
static void test_odd_time_stamps(void **state)
{
    static const int times[] = {5, 5, 4, -1, 9, -1, -1, 3, 3, 12};
    Stream s = stream_new(LATEST, FALSE, 0);
    g_object_set(s.e, "carry", TRUE, NULL);
    GstBuffer *first = frame_of(0), *b;
    GST_BUFFER_PTS(first) = GST_CLOCK_TIME_NONE;
    assert_int_equal(gst_harness_push(s.h, first), GST_FLOW_OK);
    gst_buffer_unref(gst_harness_pull(s.h));
    let_one(&s, 1); /* labels without a time */
    for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
        b = frame_of((int)i);
        GST_BUFFER_PTS(b) = times[i] < 0 ? GST_CLOCK_TIME_NONE : (GstClockTime)times[i] * FRAME_NS;
        assert_int_equal(gst_harness_push(s.h, b), GST_FLOW_OK);
        b = gst_harness_pull(s.h);
        KerbSegMeta *meta = kerb_seg_meta_get(b);
        assert_non_null(meta);
        assert_int_equal(meta->source_pts, GST_CLOCK_TIME_NONE);
        assert_int_equal(meta->age, 0);
        gst_buffer_unref(b);
    }
    assert_int_equal(stat_of(s.e, "age-unknown"), G_N_ELEMENTS(times));
    g_object_set(s.e, "max-age", LONG, NULL);
    assert_int_equal(gst_harness_push(s.h, frame_of(13)), GST_FLOW_OK);
    b = gst_harness_pull(s.h);
    assert_null(kerb_seg_meta_get(b));
    gst_buffer_unref(b);
    assert_balance(s.e);
    stream_end(&s);
}

/* Played backwards, the labels of a later frame are of negative age; what counts against max-age is how far away they are. */
static void test_reverse(void **state)
{
    Stream s = stream_new(LATEST, FALSE, 0);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.rate = -1.0;
    segment.stop = 100 * FRAME_NS;
    assert_true(gst_harness_push_event(s.h, gst_event_new_segment(&segment)));
    g_object_set(s.e, "max-age", (guint64)(3 * FRAME_NS), NULL);
    for (int i = 50; i > 44; i--) {
        assert_int_equal(gst_harness_push(s.h, frame_of(i)), GST_FLOW_OK);
        GstBuffer *b = gst_harness_pull(s.h);
        KerbSegMeta *meta = kerb_seg_meta_get(b);
        if (i == 50 || i < 47) {
            assert_null(meta);
        } else {
            assert_non_null(meta);
            assert_int_equal(meta->age, (GstClockTimeDiff)(i - 50) * (GstClockTimeDiff)FRAME_NS);
        }
        gst_buffer_unref(b);
        if (i == 50) let_one(&s, 1);
    }
    stream_end(&s);
}

/* ------------------------------------------------------------------------------------------------------------------ faults */

/* The network fails on a frame: the frame passes (or has passed) and is counted, once; later ones get labels again. */
static void test_errors(void **state)
{
    for (int mode = LATEST; mode <= HOLD; mode++) {
        Stream s = stream_new(mode, FALSE, 0);
        push(&s);
        assert_true(gate->entered(1, 20000));
        gate->refuse(KERB_ERROR_INTERNAL);
        gate->let(1);
        expect(&s, NOTHING);
        wait_for(s.e, "frames-errored", 1);
        assert_int_equal(stat_of(s.e, "frames-out"), 0);
        assert_complaint(s.e, GST_MESSAGE_WARNING, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED, "the gate fails this run");
        gate->refuse(KERB_OK);
        for (int i = 1; i < 3; i++) {
            push(&s);
            assert_true(gate->entered(i + 1, 20000));
            gate->let(1);
            wait_for(s.e, "inferred", (guint64)i);
            expect(&s, mode == HOLD ? i : i == 1 ? NOTHING : 1);
        }
        assert_balance(s.e);
        assert_int_equal(stat_of(s.e, "frames-out"), 2);
        assert_int_equal(stat_of(s.e, "frames-errored"), 1);
        stream_end(&s);
    }
}

/* The backend has failed for good: said once; video passes, without labels that nobody renews, so that a recording can be finished. */
static void test_backend_gone(void **state)
{
    for (int mode = LATEST; mode <= HOLD; mode++) {
        Stream s = stream_new(mode, FALSE, 0);
        push(&s);
        let_one(&s, 1);
        push(&s);
        assert_true(gate->entered(2, 20000));
        gate->refuse(KERB_ERROR_BACKEND);
        gate->let(1);
        wait_for(s.e, "frames-errored", 1);
        for (int i = 0; i < 20; i++) push(&s);
        gst_harness_push_event(s.h, gst_event_new_eos());
        assert_int_equal(gst_harness_buffers_received(s.h), 22);
        s.received = 2;
        gst_buffer_unref(gst_harness_pull(s.h));
        gst_buffer_unref(gst_harness_pull(s.h));
        for (int i = 0; i < 20; i++) expect(&s, NOTHING);
        assert_complaint(s.e, GST_MESSAGE_ERROR, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT, "the gate fails this run");
        assert_null(next_message(s.e, GST_MESSAGE_ERROR));
        assert_balance(s.e);
        assert_false(gate->entered(3, 0));
        stream_end(&s);
    }
}

/* A buffer that does not hold the frame passes as it came, and is counted; the others get their labels. */
static void test_short_buffers(void **state)
{
    for (int mode = EVERY_FRAME; mode <= HOLD; mode++) {
        Stream s = stream_new(mode, FALSE, 1);
        if (mode == EVERY_FRAME) g_object_set(s.e, "inference-interval", 2, NULL);
        for (int i = 0; i < 9; i++) {
            GstBuffer *b = frame_of(i);
            if (i % 3 == 1) gst_buffer_set_size(b, 10);
            assert_int_equal(gst_harness_push(s.h, b), GST_FLOW_OK);
            b = gst_harness_pull(s.h);
            assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)i * FRAME_NS);
            if (i % 3 == 1) {
                assert_int_equal(gst_buffer_get_size(b), 10);
                assert_null(kerb_seg_meta_get(b));
            }
            gst_buffer_unref(b);
        }
        gst_harness_push_event(s.h, gst_event_new_eos());
        assert_complaint(s.e, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
                         "(10 bytes) does not hold a 23 x 11 picture");
        assert_int_equal(stat_of(s.e, "frames-errored"), 3);
        assert_int_equal(stat_of(s.e, "frames-out"), 6);
        assert_balance(s.e);
        stream_end(&s);
    }
}

/* ------------------------------------------------------------------------------------------------------ changes while PLAYING */

static gboolean next_latency_message(GstElement *e)
{
    GstMessage *m = next_message(e, GST_MESSAGE_LATENCY);
    gboolean there = m != NULL;
    g_clear_pointer(&m, gst_message_unref);
    return there;
}

/* latest adds nothing, hold max-wait, every-frame a frame time a slot; whenever the answer changes a message says so. */
static void test_latency(void **state)
{
    Stream s = stream_new(LATEST, FALSE, 1);
    gst_harness_set_upstream_latency(s.h, 7 * GST_MSECOND);
    push(&s);
    assert_false(next_latency_message(s.e)); /* it was 0, and is */
    assert_int_equal(gst_harness_query_latency(s.h), 7 * GST_MSECOND);
    static const struct {
        int mode;
        GstClockTime wait, latency;
    } steps[] = {{HOLD, 30 * GST_MSECOND, 30 * GST_MSECOND},
                 {HOLD, 45 * GST_MSECOND, 45 * GST_MSECOND},
                 {LATEST, 45 * GST_MSECOND, 0},
                 {EVERY_FRAME, 45 * GST_MSECOND, 2 * FRAME_NS},
                 {HOLD, GST_MSECOND, GST_MSECOND}};
    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_object_set(s.e, "live-mode", steps[i].mode, "max-wait", (guint64)steps[i].wait, NULL);
        push(&s);
        assert_true(next_latency_message(s.e));
        assert_int_equal(gst_harness_query_latency(s.h), 7 * GST_MSECOND + steps[i].latency);
        push(&s);
    }
    gst_harness_push_event(s.h, gst_event_new_eos());
    assert_int_equal(gst_harness_buffers_received(s.h), s.sent);
    stream_end(&s);
}

/* From mode to mode: order is kept, nothing is lost, and labels found in one are there in the next. */
static void test_mode_changes(void **state)
{
    Stream s = stream_new(EVERY_FRAME, TRUE, 1);
    push(&s);
    expect(&s, 0);
    g_object_set(s.e, "live-mode", LATEST, NULL);
    gate->reset(0);
    push(&s);
    expect(&s, 0); /* of every-frame mode's last frame */
    gate->reset(1);
    wait_for(s.e, "inferred", 2);
    g_object_set(s.e, "live-mode", HOLD, NULL);
    push(&s);
    expect(&s, 2);
    g_object_set(s.e, "live-mode", EVERY_FRAME, NULL);
    push(&s);
    expect(&s, 3);
    assert_balance(s.e);
    stream_end(&s);
}

static gint storm_over;

static gpointer disturb(gpointer data)
{
    GstElement *e = data;
    for (uint32_t seed = 77; !g_atomic_int_get(&storm_over);) {
        switch (rnd(&seed) % 7) {
        case 0: g_object_set(e, "live-mode", (int)(rnd(&seed) % 3), NULL); break;
        case 1: g_object_set(e, "max-wait", (guint64)(rnd(&seed) % 2000000), NULL); break;
        case 2: g_object_set(e, "max-age", rnd(&seed) % 2 ? GST_CLOCK_TIME_NONE : (guint64)FRAME_NS, NULL); break;
        case 3: g_object_set(e, "inference-interval", 1 + rnd(&seed) % 3, NULL); break;
        case 4: g_object_set(e, "carry", (gboolean)(rnd(&seed) % 2), NULL); break;
        case 5: g_object_set(e, "visualize", (int)(rnd(&seed) % 4), NULL); break;
        default: stat_of(e, "frames-in"); break;
        }
        g_usleep(rnd(&seed) % 1500);
    }
    return NULL;
}

/* Everything changes all the time, with flushes, new sizes and failing frames between: counts stay exact, order is kept, nothing hangs. */
static void test_storm(void **state)
{
    Stream s = stream_new(LATEST, FALSE, 1);
    uint32_t seed = 5;
    guint64 sent = 0;
    gst_harness_set_drop_buffers(s.h, TRUE);
    g_atomic_int_set(&storm_over, 0);
    GThread *thread = g_thread_new("disturber", disturb, s.e);
    int w = W, h = H;
    for (int i = 0; i < 1500; i++) {
        if (rnd(&seed) % 100 == 0) {
            w = 1 + (int)(rnd(&seed) % 40);
            h = 1 + (int)(rnd(&seed) % 40);
            gst_harness_set_src_caps(s.h, caps_of("RGB", w, h));
        }
        if (rnd(&seed) % 100 == 0) {
            gst_harness_push_event(s.h, gst_event_new_flush_start());
            gst_harness_push_event(s.h, gst_event_new_flush_stop(TRUE));
            new_segment(&s);
        }
        gate->refuse(rnd(&seed) % 10 ? KERB_OK : KERB_ERROR_INTERNAL);
        assert_int_equal(gst_harness_push(s.h, noise(w, h, i, &seed)), GST_FLOW_OK);
        sent++;
    }
    g_atomic_int_set(&storm_over, 1);
    g_thread_join(thread);
    gst_harness_push_event(s.h, gst_event_new_eos());
    assert_int_equal(stat_of(s.e, "frames-in"), sent);
    assert_balance(s.e);
    assert_int_equal(gst_harness_buffers_received(s.h), sent - stat_of(s.e, "frames-flushed"));
    stream_end(&s);
}

/* NULL <-> PLAYING with the network at work. */
static void test_state_churn(void **state)
{
    gate->reset(1);
    for (int mode = LATEST; mode <= HOLD; mode++) {
        GstElement *p =
            launch("videotestsrc is-live=true ! video/x-raw,format=I420,width=32,height=24,framerate=1000/1 ! kerbseg name=s backend=cpu "
                   "network-width=32 network-height=24 model-file=%s live-mode=%d carry=true ! fakesink sync=false  s.labels ! fakesink "
                   "sync=false",
                   fixture_model, mode);
        for (int i = 0; i < 25; i++) {
            assert_int_not_equal(gst_element_set_state(p, GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
            if (i % 3) gst_element_get_state(p, NULL, NULL, 30 * GST_SECOND);
            if (i % 5 == 1) g_usleep(3000);
            if (i % 4 == 2) gst_element_set_state(p, GST_STATE_PAUSED);
            assert_int_equal(gst_element_set_state(p, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
        }
        gst_object_unref(p);
    }
}

/* -------------------------------------------------------------------------------------------------- carrying and smoothing */

/* A wide picture of smooth noise that moves 4 pixels to the left each frame; n-th frame. */
#define WIDE 256
#define TALL 128
static GstBuffer *moving(int n)
{
    GstVideoInfo info = info_of("RGB", WIDE, TALL);
    GstBuffer *b = gst_buffer_new_allocate(NULL, info.size, NULL);
    GstMapInfo map;
    assert_true(gst_buffer_map(b, &map, GST_MAP_WRITE));
    for (int y = 0; y < TALL; y++)
        for (int x = 0; x < WIDE; x++)
            for (int c = 0; c < 3; c++) {
                double u = x + 4 * n, v = y + 13 * c;
                double t = sin(u * 0.11 + c) * cos(v * 0.13) + sin(u * 0.047 + v * 0.061 + 2 * c) + 0.6 * sin(u * 0.29 - v * 0.23);
                map.data[y * info.stride[0] + 3 * x + c] = (guint8)lround(128 + 45 * t);
            }
    gst_buffer_unmap(b, &map);
    GST_BUFFER_PTS(b) = (GstClockTime)n * FRAME_NS;
    GST_BUFFER_DURATION(b) = FRAME_NS;
    return b;
}

/* The share of pixels whose label is that of the frame's own pixels. */
static double own_share(GstBuffer *out, int n)
{
    GstBuffer *in = moving(n);
    KerbSegMeta *meta = kerb_seg_meta_get(out);
    assert_non_null(meta);
    guint8 *rgb = bytes_of(in, NULL), *labels = bytes_of(meta->labels, NULL);
    int right = 0;
    for (int y = 0; y < TALL; y++)
        for (int x = 0; x < WIDE; x++) right += labels[y * meta->stride + x] == label_of(rgb + y * GST_ROUND_UP_4(3 * WIDE) + 3 * x);
    g_free(rgb);
    g_free(labels);
    gst_buffer_unref(in);
    return (double)right / (WIDE * TALL);
}

/* Labels of an older frame, carried, against the frame's own: nearly all right where the picture moves as a whole, and much better than
 * where they are left lying. In every-frame mode with an interval and in latest, in which the pads stream the carried maps, too. */
static void test_carry(void **state)
{
    for (int mode = EVERY_FRAME; mode <= LATEST; mode++) {
        double share[2] = {0, 0};
        for (int carry = 0; carry < 2; carry++) {
            GstElement *e = gst_object_ref(seg_new(WIDE, TALL));
            gate->reset(mode == EVERY_FRAME);
            g_object_set(e, "backend", "cpu", "live-mode", mode, "carry", carry, "inference-interval", 6, NULL);
            GstHarness *h = seg_harness(e), *labels = gst_harness_new_with_element(e, NULL, "labels");
            GstCaps *caps = caps_of("RGB", WIDE, TALL); /* one frame a second: carrying is never too slow for that */
            gst_caps_set_simple(caps, "framerate", GST_TYPE_FRACTION, 1, 1, NULL);
            gst_harness_set_src_caps(h, caps);
            for (int n = 0; n < 6; n++) {
                assert_int_equal(gst_harness_push(h, moving(n)), GST_FLOW_OK);
                GstBuffer *out = gst_harness_pull(h), *map = gst_harness_pull(labels);
                assert_int_equal(GST_BUFFER_PTS(map), (GstClockTime)n * FRAME_NS);
                if (n == 5) {
                    KerbSegMeta *meta = kerb_seg_meta_get(out);
                    assert_int_equal(meta->source_pts, 0); /* carried labels are as old as they are */
                    assert_int_equal(meta->age, 5 * FRAME_NS);
                    assert_analytics(out);
                    gsize bytes;
                    guint8 *of_meta = bytes_of(meta->labels, NULL), *of_pad = bytes_of(map, &bytes);
                    assert_memory_equal(of_meta, of_pad, bytes);
                    g_free(of_meta);
                    g_free(of_pad);
                    share[carry] = own_share(out, n);
                }
                gst_buffer_unref(out);
                gst_buffer_unref(map);
                if (n == 0 && mode == LATEST) {
                    assert_true(gate->entered(1, 20000));
                    gate->let(1);
                    wait_for(e, "inferred", 1);
                }
            }
            gate->reset(1);
            gst_harness_teardown(labels);
            end(h, e);
        }
        print_message("mode %d: labels of 5 frames ago, %.1f %% right as they are, %.1f %% carried\n", mode, 100 * share[0],
                      100 * share[1]);
        assert_true(share[0] < 0.75);
        assert_true(share[1] > 0.85);
    }
}

/* smoothing reaches the engine, and a flush makes it forget: the first frame after one has labels of its own scores alone. */
static void test_smoothing(void **state)
{
    GstElement *e = gst_object_ref(seg_new(W, H));
    gate->reset(1);
    g_object_set(e, "backend", "cpu", "smoothing", KERB_SMOOTHING_STRONG, NULL);
    GstHarness *h = seg_harness(e);
    gst_harness_set_src_caps(h, caps_of("RGB", W, H));
    for (int round = 0; round < 3; round++) {
        for (int n = 0; n < 3; n++) {
            GstBuffer *in = frame_of(10 * round + n), *out;
            guint8 *rgb = bytes_of(in, NULL);
            assert_int_equal(gst_harness_push(h, in), GST_FLOW_OK);
            out = gst_harness_pull(h);
            KerbSegMeta *meta = kerb_seg_meta_get(out);
            assert_non_null(meta);
            guint8 *labels = bytes_of(meta->labels, NULL);
            if (n == 0) assert_maps(rgb, W, H, labels, meta->stride, NULL);
            g_free(labels);
            g_free(rgb);
            gst_buffer_unref(out);
        }
        gst_harness_push_event(h, gst_event_new_flush_start());
        gst_harness_push_event(h, gst_event_new_flush_stop(TRUE));
        Stream here = {.h = h};
        new_segment(&here);
    }
    end(h, e);
}

static int live_setup(void **state)
{
    if (fixture_setup(state)) return -1;
    gchar *path = g_strdup_printf("%s/kerb-cpu.so", g_getenv("KERB_MODULE_PATH"));
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!module) print_error("%s\n", dlerror());
    g_free(path);
    gate = module ? dlsym(module, "kerb_gate") : NULL;
    return gate ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_latest_copies_nothing),
        cmocka_unit_test(test_latest_keeps_pools),
        cmocka_unit_test(test_max_age),
        cmocka_unit_test(test_no_mask_is_black),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_hold_deadline),
        cmocka_unit_test(test_hold_is_bounded),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_interval_latest),
        cmocka_unit_test(test_qos_thins_inference),
        cmocka_unit_test(test_eos),
        cmocka_unit_test(test_nothing_old_after_a_cut),
        cmocka_unit_test(test_flush_hold),
        cmocka_unit_test(test_renegotiation),
        cmocka_unit_test(test_odd_time_stamps),
        cmocka_unit_test(test_reverse),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_backend_gone),
        cmocka_unit_test(test_short_buffers),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_mode_changes),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_state_churn),
        cmocka_unit_test(test_carry),
        cmocka_unit_test(test_smoothing),
    };
    return fixture_end(cmocka_run_group_tests(tests, live_setup, fixture_teardown));
}
