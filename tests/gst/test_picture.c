/* SPDX-License-Identifier: MIT */
/* The picture: what kerbseg and kerboverlay draw, against kerb_drawer; where they draw it (in place, another buffer, any stride);
 * properties that change while frames flow; the pools. */
#include "gst_fixture.h"
#include "pool.h"

#include <gst/video/gstvideometa.h>

#define W 66
#define H 37

static const KerbVisualize modes[] = {KERB_VISUALIZE_NONE, KERB_VISUALIZE_OVERLAY, KERB_VISUALIZE_MASK, KERB_VISUALIZE_SIDE_BY_SIDE};

static void assert_drawn(GstBuffer *out, const guint8 *rgb, KerbVisualize visualize, float alpha)
{
    KerbDisplay display;
    display_of(&display, visualize, alpha);
    guint8 *found = bytes_of(out, NULL), *expected = visualize == KERB_VISUALIZE_NONE ? NULL : drawn(rgb, W, H, &display);
    assert_same_picture(found, expected ? expected : rgb, W, H);
    g_free(found);
    free(expected);
}

/* Every mode, drawn into the buffer that came (ours alone), and into another (somebody holds ours, whose bytes must not change). */
static void test_modes(void **state)
{
    for (gsize m = 0; m < G_N_ELEMENTS(modes); m++)
        for (int held = 0; held < 2; held++) {
            uint32_t seed = 9 + (uint32_t)m;
            GstElement *e = seg_new(W, H);
            g_object_set(e, "visualize", modes[m], "alpha", 0.3, NULL);
            GstHarness *h = seg_harness(e);
            gst_harness_set_src_caps(h, caps_of("RGB", W, H));
            for (int i = 0; i < 3; i++) {
                GstBuffer *in = noise(W, H, i, &seed);
                guint8 *rgb = bytes_of(in, NULL);
                GstMemory *memory = gst_buffer_peek_memory(in, 0);
                if (held) gst_buffer_ref(in);
                GstBuffer *out = gst_harness_push_and_pull(h, in);
                assert_drawn(out, rgb, modes[m], 0.3f);
                gboolean in_place = modes[m] == KERB_VISUALIZE_NONE || (!held && modes[m] != KERB_VISUALIZE_SIDE_BY_SIDE);
                assert_int_equal(gst_buffer_peek_memory(out, 0) == memory, in_place);
                if (held) {
                    guint8 *after = bytes_of(in, NULL);
                    assert_same_picture(after, rgb, W, H);
                    assert_null(kerb_seg_meta_get(in));
                    g_free(after);
                    gst_buffer_unref(in);
                }
                gst_buffer_unref(out);
                g_free(rgb);
            }
            end(h, NULL);
        }
}

/* Display properties take effect with the next frame, in any order of modes. */
static void test_live_changes(void **state)
{
    uint32_t seed = 21;
    GstHarness *h = seg_harness(seg_new(W, H));
    gst_harness_set_src_caps(h, caps_of("RGB", W, H));
    for (int i = 0; i < 40; i++) {
        KerbVisualize mode = modes[rnd(&seed) % 4];
        float alpha = (float)(rnd(&seed) % 101) / 100.f;
        gst_harness_set(h, "kerbseg", "visualize", mode, "alpha", (gdouble)alpha, NULL);
        GstBuffer *in = noise(W, H, i, &seed);
        guint8 *rgb = bytes_of(in, NULL);
        GstBuffer *out = gst_harness_push_and_pull(h, in);
        assert_drawn(out, rgb, mode, alpha);
        gst_buffer_unref(out);
        g_free(rgb);
    }
    end(h, NULL);
}

/* Properties set from other threads while frames flow and pads come and go: nothing breaks (most telling under a sanitizer). */
static gpointer setter(gpointer data)
{
    static const char *const selections[] = {"all", "none", "road", "0,2"}, *const palettes[] = {NULL, "cityscapes", "voc"};
    uint32_t seed = 4;
    while (!g_atomic_int_get((gint *)g_object_get_data(data, "stop"))) {
        GstStructure *stats;
        g_object_set(data, "visualize", (int)(rnd(&seed) % 4), "alpha", (rnd(&seed) % 101) / 100.0, NULL);
        g_object_set(data, "selected-classes", selections[rnd(&seed) % 4], "palette", palettes[rnd(&seed) % 3], NULL);
        g_object_get(data, "stats", &stats, NULL);
        gst_structure_free(stats);
    }
    return NULL;
}

static void test_property_race(void **state)
{
    uint32_t seed = 5;
    gint stop = 0;
    GstElement *e = gst_object_ref(seg_new(W, H));
    g_object_set_data(G_OBJECT(e), "stop", &stop);
    GstHarness *h = seg_harness(e);
    gst_harness_set_drop_buffers(h, TRUE);
    gst_harness_set_src_caps(h, caps_of("RGB", W, H));
    GThread *thread = g_thread_new("setter", setter, e);
    for (int i = 0; i < 300; i++) {
        GstBuffer *in = noise(W, H, i, &seed), *held = i % 2 ? gst_buffer_ref(in) : NULL;
        assert_int_equal(gst_harness_push(h, in), GST_FLOW_OK);
        gst_clear_buffer(&held);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    g_atomic_int_set(&stop, 1);
    g_thread_join(thread);
    assert_int_equal(gst_harness_buffers_received(h), 300);
    assert_null(next_message(e, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR));
    end(h, e);
}

/* selected-classes and palette change what is painted. */
static void test_selection_and_palette(void **state)
{
    uint32_t seed = 31;
    GstHarness *h = seg_harness(seg_new(W, H));
    gst_harness_set_src_caps(h, caps_of("RGB", W, H));
    gst_harness_set(h, "kerbseg", "visualize", KERB_VISUALIZE_MASK, "selected-classes", "car,0", "palette", "cityscapes", NULL);
    GstBuffer *in = noise(W, H, 0, &seed);
    guint8 *rgb = bytes_of(in, NULL);
    GstBuffer *out = gst_harness_push_and_pull(h, in);
    KerbClass city[KERB_MAX_CLASSES];
    int n;
    assert_int_equal(kerb_classes_load("cityscapes", city, &n, NULL), KERB_OK);
    KerbDisplay display;
    display_of(&display, KERB_VISUALIZE_MASK, 0.5f);
    display.enabled[1] = false;
    static const char *const names[] = {"sky", "road", "car"}; /* all in Cityscapes, at other indices */
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < n; k++)
            if (!strcmp(city[k].name, names[c])) memcpy(display.rgb[c], city[k].rgb, 3);
    guint8 *expected = drawn(rgb, W, H, &display), *found = bytes_of(out, NULL);
    assert_same_picture(found, expected, W, H);
    g_free(rgb), g_free(found), free(expected);
    gst_buffer_unref(out);
    end(h, NULL);
}

/* A frame of any stride: rows in a wider buffer, said by GstVideoMeta. */
static GstBuffer *strided(const guint8 *rgb, gsize stride, gsize offset)
{
    gsize offsets[4] = {offset};
    gint strides[4] = {(gint)stride};
    GstBuffer *b = gst_buffer_new_allocate(NULL, offset + stride * H, NULL);
    gst_buffer_memset(b, 0, 0xAB, offset + stride * H);
    for (int y = 0; y < H; y++) gst_buffer_fill(b, offset + (gsize)y * stride, rgb + y * GST_ROUND_UP_4(3 * W), 3 * W);
    gst_buffer_add_video_meta_full(b, 0, GST_VIDEO_FORMAT_RGB, W, H, 1, offsets, strides);
    return b;
}

/* Downstream reads GstVideoMeta: the buffer goes on as it is, and nothing outside the picture is touched. Downstream does not: it gets the
 * default layout. */
static void test_strides(void **state)
{
    for (int reads = 0; reads < 2; reads++)
        for (gsize m = 0; m < G_N_ELEMENTS(modes); m++) {
            uint32_t seed = 41;
            GstElement *e = seg_new(W, H);
            g_object_set(e, "visualize", modes[m], NULL);
            GstHarness *h = seg_harness(e);
            if (reads) gst_harness_add_propose_allocation_meta(h, GST_VIDEO_META_API_TYPE, NULL);
            gst_harness_set_src_caps(h, caps_of("RGB", W, H));
            GstBuffer *plain = noise(W, H, 0, &seed);
            guint8 *rgb = bytes_of(plain, NULL);
            gst_buffer_unref(plain);
            GstBuffer *out = gst_harness_push_and_pull(h, strided(rgb, 3 * W + 61, 13));
            GstVideoInfo info = info_of("RGB", W, H);
            const GstVideoMeta *meta = gst_buffer_get_video_meta(out);
            if (!reads) assert_true(!meta || (meta->offset[0] == 0 && meta->stride[0] == info.stride[0]));
            GstVideoFrame f;
            assert_true(gst_video_frame_map(&f, &info, out, GST_MAP_READ));
            guint8 *packed = malloc(info.size);
            for (int y = 0; y < H; y++) memcpy(packed + y * info.stride[0], (guint8 *)f.data[0] + y * f.info.stride[0], 3 * W);
            if (reads && modes[m] != KERB_VISUALIZE_SIDE_BY_SIDE) {
                assert_int_equal(f.info.stride[0], 3 * W + 61);
                for (int y = 0; y < H; y++)
                    for (int x = 3 * W; x < 3 * W + 61; x++) assert_int_equal(((guint8 *)f.data[0])[y * f.info.stride[0] + x], 0xAB);
            }
            gst_video_frame_unmap(&f);
            GstBuffer *as_default = gst_buffer_new_wrapped(g_memdup2(packed, info.size), info.size);
            assert_drawn(as_default, rgb, modes[m], 0.5f);
            gst_buffer_unref(as_default);
            free(packed);
            g_free(rgb);
            gst_buffer_unref(out);
            end(h, NULL);
        }
}

/* kerbseg visualize=none ! kerboverlay draws what kerbseg draws; live too. Without metadata a frame passes, the same buffer. */
static void test_overlay_element(void **state)
{
    uint32_t seed = 51;
    GstElement *e = seg_new(W, H);
    g_object_set(e, "visualize", KERB_VISUALIZE_NONE, NULL);
    GstHarness *seg = seg_harness(e), *over = gst_harness_new("kerboverlay");
    gst_harness_set_src_caps(seg, caps_of("RGB", W, H));
    gst_harness_set_src_caps(over, caps_of("RGB", W, H));
    for (int i = 0; i < 24; i++) {
        KerbVisualize mode = modes[i % 4];
        gst_harness_set(over, "kerboverlay", "visualize", mode, "alpha", 0.25 * (i % 5), NULL);
        GstBuffer *in = noise(W, H, i, &seed);
        guint8 *rgb = bytes_of(in, NULL);
        GstBuffer *found = gst_harness_push_and_pull(seg, in), *held = i % 3 ? gst_buffer_ref(found) : NULL;
        GstBuffer *out = gst_harness_push_and_pull(over, found);
        assert_drawn(out, rgb, mode, 0.25f * (float)(i % 5));
        assert_int_equal(GST_BUFFER_PTS(out), (GstClockTime)i * FRAME_NS);
        if (held) {
            guint8 *after = bytes_of(held, NULL);
            assert_same_picture(after, rgb, W, H);
            g_free(after);
            gst_buffer_unref(held);
        }
        gst_buffer_unref(out);
        g_free(rgb);
    }
    GstBuffer *plain = noise(W, H, 0, &seed);
    gst_harness_set(over, "kerboverlay", "visualize", KERB_VISUALIZE_OVERLAY, NULL);
    assert_ptr_equal(gst_harness_push_and_pull(over, plain), plain);
    gst_buffer_unref(plain);
    end(seg, NULL);
    end(over, NULL);
}

/* Scaled between the two elements: labels keep their size, and the overlay stretches them over the frame. Cropped: they stay behind. */
static void test_scaled_meta(void **state)
{
    static const char *const between[] = {"videoscale method=nearest-neighbour", "videocrop left=4",
                                          "videoconvert ! video/x-raw,format=I420 ! videoconvert"};
    for (gsize i = 0; i < G_N_ELEMENTS(between); i++) {
        gchar *line = g_strdup_printf(
            "kerbseg backend=ref network-width=%d network-height=%d model-file=%s labels-file=%s mean=0 std=1 visualize=none ! %s ! "
            "kerboverlay visualize=mask",
            W, H, fixture_model, fixture_classes, between[i]);
        GstHarness *h = gst_harness_new_parse(line);
        uint32_t seed = 61;
        gst_harness_set_src_caps(h, caps_of("RGB", W, H));
        if (i == 0)
            gst_harness_set_sink_caps(h, caps_of("RGB", 2 * W, 2 * H));
        else
            gst_harness_set_sink_caps(h, caps_of("RGB", i == 1 ? W - 4 : W, H));
        GstBuffer *in = noise(W, H, 0, &seed);
        guint8 *rgb = bytes_of(in, NULL);
        GstBuffer *out = gst_harness_push_and_pull(h, in);
        KerbSegMeta *meta = kerb_seg_meta_get(out);
        if (i == 1) {
            assert_null(meta);
        } else {
            assert_non_null(meta);
            assert_int_equal(meta->width, W);
            KerbDisplay display;
            display_of(&display, KERB_VISUALIZE_MASK, 0.5f);
            guint8 *mask = drawn(rgb, W, H, &display), *found = bytes_of(out, NULL);
            int factor = i == 0 ? 2 : 1, stride = GST_ROUND_UP_4(3 * W * factor);
            for (int y = 0; y < H * factor; y++)
                for (int x = 0; x < W * factor; x++)
                    assert_memory_equal(found + y * stride + 3 * x, mask + y / factor * GST_ROUND_UP_4(3 * W) + 3 * (x / factor), 3);
            free(mask);
            g_free(found);
        }
        gst_buffer_unref(out);
        g_free(rgb);
        g_free(line);
        end(h, NULL);
    }
}

/* Upstream is offered page-aligned memory, and videotestsrc writes straight into it; it goes on downstream without a copy. */
static void test_pool_is_used(void **state)
{
    GstElement *e = seg_new(64, 48);
    GstHarness *h = seg_harness(e);
    gst_harness_add_src_parse(h, "videotestsrc num-buffers=20 ! capsfilter caps=video/x-raw,format=I420,width=64,height=48", FALSE);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(gst_harness_push_from_src(h), GST_FLOW_OK);
        GstBuffer *b = gst_harness_pull(h);
        GstMemory *memory = gst_buffer_peek_memory(b, 0);
        GstMapInfo map;
        assert_true(gst_memory_is_type(memory, KERB_MEMORY_TYPE));
        assert_true(gst_memory_map(memory, &map, GST_MAP_READ));
        assert_int_equal((uintptr_t)map.data % KERB_PAGE_BYTES, 0);
        gst_memory_unmap(memory, &map);
        gst_buffer_unref(b);
    }
    end(h, NULL);
}

/* Maps and pictures come from pools: over a long run a bounded number of different memories is seen. */
static void test_pools_are_steady(void **state)
{
    uint32_t seed = 71;
    GstElement *e = seg_new(W, H);
    g_object_set(e, "visualize", KERB_VISUALIZE_SIDE_BY_SIDE, NULL); /* never in place */
    GstHarness *h = seg_harness(e), *labels = gst_harness_new_with_element(h->element, NULL, "labels");
    gst_harness_set_src_caps(h, caps_of("RGB", W, H));
    GHashTable *pictures = g_hash_table_new(NULL, NULL), *maps = g_hash_table_new(NULL, NULL);
    for (int i = 0; i < 200; i++) {
        GstBuffer *b = gst_harness_push_and_pull(h, noise(W, H, i, &seed)), *l = gst_harness_pull(labels);
        g_hash_table_add(pictures, gst_buffer_peek_memory(b, 0));
        g_hash_table_add(maps, gst_buffer_peek_memory(l, 0));
        assert_true(gst_memory_is_type(gst_buffer_peek_memory(l, 0), KERB_MEMORY_TYPE));
        gst_buffer_unref(b);
        gst_buffer_unref(l);
    }
    assert_true(g_hash_table_size(pictures) <= 6);
    assert_true(g_hash_table_size(maps) <= 10);
    g_hash_table_unref(pictures);
    g_hash_table_unref(maps);
    gst_harness_teardown(labels);
    end(h, NULL);
}

/* The allocator: prefix, padding, shares, and sizes that cannot be. */
static void test_allocator(void **state)
{
    GstHarness *h = seg_harness(seg_new(16, 16));
    gst_harness_set_src_caps(h, caps_of("RGB", 16, 16));
    GstBuffer *b = gst_harness_create_buffer(h, 768);
    GstAllocator *allocator = gst_object_ref(gst_buffer_peek_memory(b, 0)->allocator);
    gst_buffer_unref(b);
    GstAllocationParams params = {
        .flags = GST_MEMORY_FLAG_ZERO_PREFIXED | GST_MEMORY_FLAG_ZERO_PADDED, .align = 63, .prefix = 128, .padding = 64};
    GstMemory *memory = gst_allocator_alloc(allocator, 1000, &params);
    GstMapInfo map;
    assert_true(gst_memory_map(memory, &map, GST_MAP_WRITE));
    assert_int_equal(map.size, 1000);
    assert_int_equal((uintptr_t)(map.data - 128) % KERB_PAGE_BYTES, 0);
    for (int i = -128; i < 0; i++) assert_int_equal(map.data[i], 0);
    for (int i = 1000; i < 1064; i++) assert_int_equal(map.data[i], 0);
    for (int i = 0; i < 1000; i++) map.data[i] = (guint8)i;
    gst_memory_unmap(memory, &map);
    GstMemory *share = gst_memory_share(memory, 300, 50), *copy = gst_memory_copy(memory, 10, 5);
    gst_memory_unref(memory);
    assert_true(gst_memory_map(share, &map, GST_MAP_READ));
    assert_int_equal(map.size, 50);
    assert_int_equal(map.data[0], 300 & 255);
    gst_memory_unmap(share, &map);
    gst_memory_unref(share);
    assert_int_equal(copy->size, 5);
    gst_memory_unref(copy);
    assert_null(gst_allocator_alloc(allocator, G_MAXSIZE - 100, &params));
    gst_object_unref(allocator);
    end(h, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_live_changes),
        cmocka_unit_test(test_property_race),
        cmocka_unit_test(test_selection_and_palette),
        cmocka_unit_test(test_strides),
        cmocka_unit_test(test_overlay_element),
        cmocka_unit_test(test_scaled_meta),
        cmocka_unit_test(test_pool_is_used),
        cmocka_unit_test(test_pools_are_steady),
        cmocka_unit_test(test_allocator),
    };
    return RUN_TESTS(tests);
}
