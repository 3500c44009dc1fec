/* SPDX-License-Identifier: MIT */
/* kerbseg on a GPU, with the stand-ins of CUDA's runtime (tests/cuda/standin) and of the driver (driver/driver.c), whose memory is the processor's: page-locked
 * pools, frames in CUDA memory, contexts. What must come out is what the reference backend makes of the same frames. Skipped where GStreamer's CUDA library is
 * not installed. */
#include "gst_fixture.h"

#include <gmodule.h>

#define W 64
#define H 36
#define FRAMES 5
#define CUDA_CAPS "video/x-raw(memory:CUDAMemory),format=RGBA,width=64,height=36,framerate=25/1"

static GstElement *cuda_new(void)
{
    GstElement *e = seg_new(W, H);
    g_object_set(e, "backend", "cuda", "precision", KERB_PRECISION_F32, NULL);
    return e;
}

static GstVideoInfo rgba_info(void) { return info_of("RGBA", W, H); }

static void paint(GstBuffer *buffer, uint32_t seed)
{
    GstVideoInfo info = rgba_info();
    GstVideoFrame frame;
    assert_true(gst_video_frame_map(&frame, &info, buffer, GST_MAP_WRITE));
    for (int y = 0; y < H; y++) {
        guint8 *row = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&frame, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0);
        for (int i = 0; i < 4 * W; i++) row[i] = (guint8)rnd(&seed);
    }
    gst_video_frame_unmap(&frame);
}

/* Rows without padding; transfer full. */
static guint8 *pixels(GstBuffer *buffer)
{
    GstVideoInfo info = rgba_info();
    GstVideoFrame frame;
    guint8 *out = g_malloc(4 * W * H);
    assert_true(gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ));
    for (int y = 0; y < H; y++)
        memcpy(out + y * 4 * W, (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&frame, 0) + y * GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0), 4 * W);
    gst_video_frame_unmap(&frame);
    return out;
}

static guint64 stat_of(GstElement *e, const char *field)
{
    GstStructure *stats = NULL;
    guint64 value = G_MAXUINT64;
    g_object_get(e, "stats", &stats, NULL);
    gst_structure_get_uint64(stats, field, &value);
    gst_structure_free(stats);
    return value;
}

/* The pool that kerbseg offers for these caps, active. */
static GstBufferPool *offered(GstHarness *h, const char *caps_text)
{
    GstCaps *caps = gst_caps_from_string(caps_text);
    GstQuery *query = gst_query_new_allocation(caps, TRUE);
    GstBufferPool *pool = NULL;
    guint size;
    assert_true(gst_pad_peer_query(h->srcpad, query));
    gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, NULL, NULL);
    assert_non_null(pool);
    GstStructure *config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, size, 2, 0);
    assert_true(gst_buffer_pool_set_config(pool, config));
    assert_true(gst_buffer_pool_set_active(pool, TRUE));
    gst_query_unref(query);
    gst_caps_unref(caps);
    return pool;
}

static GstBuffer *frame_of(GstBufferPool *pool, int i)
{
    GstBuffer *buffer = NULL;
    if (pool)
        assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &buffer, NULL), GST_FLOW_OK);
    else
        buffer = gst_buffer_new_allocate(NULL, 4 * W * H, NULL);
    paint(buffer, (uint32_t)i + 1);
    GST_BUFFER_PTS(buffer) = (GstClockTime)i * FRAME_NS;
    GST_BUFFER_DURATION(buffer) = FRAME_NS;
    return buffer;
}

/* What ref makes of the frames. */
static guint8 *expected[FRAMES];
static void expect(void)
{
    if (expected[0]) return;
    GstElement *e = seg_new(W, H);
    GstHarness *h = seg_harness(e);
    gst_harness_set_src_caps(h, caps_of("RGBA", W, H));
    for (int i = 0; i < FRAMES; i++) {
        assert_int_equal(gst_harness_push(h, frame_of(NULL, i)), GST_FLOW_OK);
        GstBuffer *out = gst_harness_pull(h);
        expected[i] = pixels(out);
        gst_buffer_unref(out);
    }
    end(h, NULL);
}

/* Pushes the frames from `pool` and compares. Returns the last picture. */
static GstBuffer *compare(GstHarness *h, GstBufferPool *pool)
{
    GstBuffer *out = NULL;
    for (int i = 0; i < FRAMES; i++) {
        gst_clear_buffer(&out);
        assert_int_equal(gst_harness_push(h, frame_of(pool, i)), GST_FLOW_OK);
        out = gst_harness_pull(h);
        assert_non_null(out);
        assert_non_null(kerb_seg_meta_get(out));
        guint8 *got = pixels(out);
        assert_memory_equal(got, expected[i], 4 * W * H);
        g_free(got);
    }
    return out;
}

static void close_pool(GstBufferPool *pool)
{
    gst_buffer_pool_set_active(pool, FALSE);
    gst_object_unref(pool);
}

/* --- page-locked memory */

static void test_pinned_pool(void **state)
{
    expect();
    GstHarness *h = seg_harness(cuda_new());
    gst_harness_set_src_caps(h, caps_of("RGBA", W, H));
    gst_buffer_unref(compare(h, NULL)); /* from ordinary memory: copied on the host */
    assert_true(stat_of(h->element, "host-copy-bytes") > 0);
    GstBufferPool *pool = offered(h, "video/x-raw,format=RGBA,width=64,height=36,framerate=25/1");
    GstBuffer *out = compare(h, pool);
    assert_int_equal(stat_of(h->element, "host-copy-bytes"), 0);
    assert_true(stat_of(h->element, "up-bytes") >= 4 * W * H);
    assert_true(stat_of(h->element, "pinned-bytes") > 0);
    gst_buffer_unref(out);
    close_pool(pool);
    end(h, NULL);
}

/* Buffers that are still out when the element stops go on being memory. */
static void test_pool_outlives(void **state)
{
    GstElement *e = gst_object_ref(cuda_new());
    GstHarness *h = seg_harness(e);
    gst_harness_set_src_caps(h, caps_of("RGBA", W, H));
    GstBufferPool *pool = offered(h, "video/x-raw,format=RGBA,width=64,height=36,framerate=25/1");
    GstBuffer *buffer = frame_of(pool, 0);
    gst_harness_teardown(h);
    gst_element_set_state(e, GST_STATE_NULL);
    paint(buffer, 99);
    GstBuffer *more[2]; /* and more can be had: plain pages then */
    for (int i = 0; i < 2; i++) assert_int_equal(gst_buffer_pool_acquire_buffer(pool, &more[i], NULL), GST_FLOW_OK);
    for (int i = 0; i < 2; i++) gst_buffer_unref(more[i]);
    gst_buffer_unref(buffer);
    close_pool(pool);
    end(NULL, e);
}

/* --- CUDA memory */

static gboolean (*is_cuda_memory)(GstMemory *);
static gboolean has_library(void)
{
    GModule *library = g_module_open("libgstcuda-1.0.so.0", G_MODULE_BIND_LAZY);
    gboolean (*load)(void) = NULL;
    gboolean ok = library && g_module_symbol(library, "gst_is_cuda_memory", (gpointer *)&is_cuda_memory) &&
                  g_module_symbol(library, "gst_cuda_load_library", (gpointer *)&load) && load();
    if (!ok) print_message("libgstcuda-1.0.so.0 is not installed, or wants more of the driver than the stand-in has\n");
    return ok;
}

static void test_cuda_memory(void **state)
{
    if (!has_library()) skip();
    expect();
    GstHarness *h = seg_harness(cuda_new());
    gst_harness_set_src_caps_str(h, CUDA_CAPS);
    GstBufferPool *pool = offered(h, CUDA_CAPS);
    assert_string_equal(G_OBJECT_TYPE_NAME(pool), "GstCudaBufferPool");
    GstBuffer *out = compare(h, pool);
    assert_true(is_cuda_memory(gst_buffer_peek_memory(out, 0)));
    assert_true(stat_of(h->element, "up-bytes") < W * H);              /* where it lies went up, and no frame... */
    assert_true(stat_of(h->element, "down-bytes") <= 2 * W * H + 4096); /* ...and labels and confidence alone came down */
    assert_int_equal(stat_of(h->element, "host-copy-bytes"), 0);
    gst_buffer_unref(out);
    g_object_set(h->element, "visualize", KERB_VISUALIZE_NONE, NULL); /* the frame itself goes on */
    GstBuffer *in = gst_buffer_ref(frame_of(pool, 0));
    GstMemory *memory = gst_buffer_peek_memory(in, 0);
    assert_int_equal(gst_harness_push(h, in), GST_FLOW_OK);
    out = gst_harness_pull(h);
    assert_ptr_equal(gst_buffer_peek_memory(out, 0), memory);
    gst_buffer_unref(out);
    gst_buffer_unref(in);
    close_pool(pool);
    end(h, NULL);
}

/* The live modes draw on the host. */
static void test_cuda_memory_live(void **state)
{
    if (!has_library()) skip();
    expect();
    GstElement *e = cuda_new();
    gst_util_set_object_arg(G_OBJECT(e), "live-mode", "hold");
    g_object_set(e, "max-wait", 10 * GST_SECOND, NULL);
    GstHarness *h = seg_harness(e);
    gst_harness_set_src_caps_str(h, CUDA_CAPS);
    GstBufferPool *pool = offered(h, CUDA_CAPS);
    gst_buffer_unref(compare(h, pool));
    close_pool(pool);
    end(h, NULL);
}

/* A context of somebody else's: its frames are brought to the host, and come out right. */
static void test_foreign_context(void **state)
{
    if (!has_library()) skip();
    expect();
    GModule *library = g_module_open("libgstcuda-1.0.so.0", G_MODULE_BIND_LAZY);
    GstObject *(*context_new)(guint) = NULL;
    GstBufferPool *(*pool_new)(gpointer) = NULL;
    assert_true(g_module_symbol(library, "gst_cuda_context_new", (gpointer *)&context_new));
    assert_true(g_module_symbol(library, "gst_cuda_buffer_pool_new", (gpointer *)&pool_new));
    GstHarness *h = seg_harness(cuda_new());
    gst_harness_set_src_caps_str(h, CUDA_CAPS);
    GstObject *context = context_new(0);
    assert_non_null(context);
    GstBufferPool *pool = pool_new(context);
    GstStructure *config = gst_buffer_pool_get_config(pool);
    GstCaps *caps = gst_caps_from_string(CUDA_CAPS);
    gst_buffer_pool_config_set_params(config, caps, 4 * W * H, 2, 0);
    assert_true(gst_buffer_pool_set_config(pool, config));
    assert_true(gst_buffer_pool_set_active(pool, TRUE));
    gst_buffer_unref(compare(h, pool));
    assert_true(stat_of(h->element, "up-bytes") >= 4 * W * H);
    close_pool(pool);
    gst_caps_unref(caps);
    end(h, NULL);
    gst_object_unref(context);
}

/* A neighbour that asks for a context gets ours in any state, and always the same; where the network cannot run on a GPU there is none. */
static void test_context(void **state)
{
    if (!has_library()) skip();
    GstElement *e = cuda_new();
    GstPad *pads[] = { gst_element_get_static_pad(e, "src"), gst_element_get_static_pad(e, "sink") };
    gpointer first = NULL;
    for (int i = 0; i < 4; i++) {
        GstQuery *query = gst_query_new_context("gst.cuda.context");
        GstContext *context = NULL;
        assert_true(gst_pad_query(pads[i % 2], query));
        gst_query_parse_context(query, &context);
        GValue const *value = gst_structure_get_value(gst_context_get_structure(context), "gst.cuda.context");
        gpointer object = g_value_get_object(value);
        assert_non_null(object);
        if (!first) first = object;
        assert_ptr_equal(object, first);
        gst_query_unref(query);
        if (i == 1) assert_int_equal(gst_element_set_state(e, GST_STATE_READY), GST_STATE_CHANGE_SUCCESS);
    }
    gst_element_set_state(e, GST_STATE_NULL);
    g_object_set(e, "backend", "ref", NULL);
    GstQuery *query = gst_query_new_context("gst.cuda.context");
    assert_false(gst_pad_query(pads[0], query));
    gst_query_unref(query);
    for (int i = 0; i < 2; i++) gst_object_unref(pads[i]);
    end(NULL, e);
}

/* On the processor frames in CUDA memory are not taken. */
static void test_refused_elsewhere(void **state)
{
    GstHarness *h = seg_harness(seg_new(W, H));
    GstCaps *caps = gst_pad_query_caps(GST_PAD_PEER(h->srcpad), NULL), *cuda = gst_caps_from_string(CUDA_CAPS);
    assert_false(gst_caps_can_intersect(caps, cuda));
    gst_caps_unref(caps);
    gst_caps_unref(cuda);
    end(h, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinned_pool),  cmocka_unit_test(test_pool_outlives),    cmocka_unit_test(test_cuda_memory),
        cmocka_unit_test(test_cuda_memory_live), cmocka_unit_test(test_foreign_context), cmocka_unit_test(test_context),
        cmocka_unit_test(test_refused_elsewhere),
    };
    return RUN_TESTS(tests);
}
