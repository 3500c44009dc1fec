/* SPDX-License-Identifier: MIT */
/* What is wrong is said: in the message's text, with a domain and code, and with nothing else broken. */
#include "gst_fixture.h"

static GstStateChangeReturn start(GstElement *e)
{
    GstStateChangeReturn r = gst_element_set_state(e, GST_STATE_PAUSED);
    return r;
}

static void stop(GstElement *e)
{
    end(NULL, e);
}

/* Without model-file the default model is needed: where the environment names one that is not there, that is the error, and nothing else is taken. */
static void test_missing_default(void **state)
{
    g_setenv("KERB_MODEL", "/nonexistent/default.onnx", TRUE);
    for (int i = 0; i < 2; i++) {
        GstElement *e = seg_new(16, 16);
        g_object_set(e, "model-file", i ? "" : NULL, NULL);
        assert_int_equal(start(e), GST_STATE_CHANGE_FAILURE);
        assert_complaint(e, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "KERB_MODEL is \"/nonexistent/default.onnx\"");
        g_object_set(e, "model-file", fixture_model, NULL); /* a model that is named needs no other */
        assert_int_not_equal(start(e), GST_STATE_CHANGE_FAILURE);
        stop(e);
    }
    g_unsetenv("KERB_MODEL");
}

static void test_missing_model(void **state)
{
    GstElement *e = seg_new(16, 16);
    g_object_set(e, "model-file", "/nonexistent/net.onnx", NULL);
    assert_int_equal(start(e), GST_STATE_CHANGE_FAILURE);
    /* The details let a program act without reading the text. */
    GstMessage *m = next_message(e, GST_MESSAGE_ERROR);
    const GstStructure *details = NULL;
    assert_non_null(m);
    gst_message_parse_error_details(m, &details);
    int status = 0, exit_code = 0;
    assert_non_null(details);
    gst_structure_get(details, "status", G_TYPE_INT, &status, "exit-code", G_TYPE_INT, &exit_code, NULL);
    assert_int_equal(status, KERB_ERROR_ASSET);
    assert_int_equal(exit_code, 3);
    GstBus *bus = gst_element_get_bus(e);
    gst_bus_post(bus, m); /* back, for the text */
    gst_object_unref(bus);
    assert_complaint(e, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/nonexistent/net.onnx");
    /* The same element works once the property is right. */
    g_object_set(e, "model-file", fixture_model, NULL);
    assert_int_not_equal(start(e), GST_STATE_CHANGE_FAILURE);
    stop(e);
}

static void test_garbage_model(void **state)
{
    char path[96];
    snprintf(path, sizeof path, "%s/garbage.onnx", fixture_dir);
    static const char *const garbage[] = {"", "this is not a model", "\x08\x08\x12\xff\xff\xff\xff\x0f"};
    for (gsize i = 0; i < G_N_ELEMENTS(garbage); i++) {
        fixture_write(path, garbage[i], strlen(garbage[i]));
        GstElement *e = seg_new(16, 16);
        g_object_set(e, "model-file", path, NULL);
        assert_int_equal(start(e), GST_STATE_CHANGE_FAILURE);
        assert_complaint(e, GST_MESSAGE_ERROR, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE, "garbage.onnx");
        stop(e);
    }
    unlink(path);
}

/* Whatever the engine says is what the bus says, word for word. */
static void test_engine_words(void **state)
{
    KerbConfig config;
    KerbError error;
    KerbPipeline *pipeline;
    kerb_config_init(&config);
    config.model_file = fixture_model;
    config.backend = "abacus";
    assert_int_equal(kerb_open(&pipeline, &config, &error), KERB_ERROR_ARGUMENT);
    GstElement *e = seg_new(16, 16);
    g_object_set(e, "backend", "abacus", NULL);
    assert_int_equal(start(e), GST_STATE_CHANGE_FAILURE);
    assert_complaint(e, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, error.message);
    stop(e);
}

static void test_norm(void **state)
{
    static const char *const wrong[] = {"1,2", "red", "1,2,x", "", "1,2,3,4"};
    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        GstElement *e = seg_new(16, 16);
        g_object_set(e, "mean", wrong[i], NULL);
        assert_int_equal(start(e), GST_STATE_CHANGE_FAILURE);
        assert_complaint(e, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "mean");
        stop(e);
    }
    GstElement *e = seg_new(16, 16);
    g_object_set(e, "mean", "123.7, 116.3,103.5", "std", "58.4", NULL);
    assert_int_not_equal(start(e), GST_STATE_CHANGE_FAILURE);
    stop(e);
    e = seg_new(16, 16);
    g_object_set(e, "std", "0", NULL);
    assert_int_equal(start(e), GST_STATE_CHANGE_FAILURE);
    assert_complaint(e, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "std");
    stop(e);
}

/* Caps that the elements do not take: the CAPS event fails with a sentence that names the remedy, for both elements. */
static void test_caps(void **state)
{
    static const struct {
        const char *caps, *says;
    } wrong[] = {
        {"video/x-raw,format=I420,width=64,height=48,framerate=25/1,interlace-mode=interleaved", "deinterlace"},
        {"video/x-raw,format=I420,width=64,height=2,framerate=25/1,interlace-mode=mixed", "deinterlace"},
        {"video/x-raw,format=I420,width=0,height=48,framerate=25/1", "0 x 48"},
        {"video/x-raw,format=I420,width=64,height=0,framerate=25/1", "64 x 0"},
        {"video/x-raw,format=RGB,width=20000,height=48,framerate=25/1", "20000 x 48"},
        {"video/x-raw,format=P010_10LE,width=64,height=48,framerate=25/1", "P010_10LE"},
    };
    for (int overlay = 0; overlay < 2; overlay++)
        for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
            GstElement *e = seg_new(64, 48);
            if (overlay) {
                GstBus *bus = gst_element_get_bus(e);
                gst_element_set_bus(e, NULL);
                gst_object_unref(e);
                e = gst_object_ref_sink(gst_element_factory_make("kerboverlay", NULL));
                gst_element_set_bus(e, bus);
                gst_object_unref(bus);
            }
            GstElement *kept = gst_object_ref(e);
            GstHarness *h = seg_harness(e);
            gst_harness_push_event(h, gst_event_new_stream_start("test"));
            GstCaps *caps = gst_caps_from_string(wrong[i].caps);
            GstPad *sink = gst_element_get_static_pad(kept, "sink"); /* pushed, a sticky event is always well received */
            assert_false(gst_pad_send_event(sink, gst_event_new_caps(caps)));
            gst_object_unref(sink);
            gst_caps_unref(caps);
            assert_complaint(kept, GST_MESSAGE_ERROR, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, wrong[i].says);
            /* Right caps afterwards are taken. */
            gst_harness_set_src_caps(h, caps_of("RGB", 64, 48));
            uint32_t seed = 1;
            gst_buffer_unref(gst_harness_push_and_pull(h, noise(64, 48, 0, &seed)));
            end(h, kept);
        }
}

/* A buffer that is too short passes as it is, without labels, counted and said; the next one is segmented; order is kept. */
static void test_short_buffer(void **state)
{
    uint32_t seed = 1;
    GstElement *e = gst_object_ref(seg_new(16, 16));
    GstHarness *h = seg_harness(e), *labels = gst_harness_new_with_element(e, NULL, "labels");
    gst_harness_set_src_caps(h, caps_of("RGB", 16, 16));
    for (int i = 0; i < 9; i++) {
        GstBuffer *b = noise(16, 16, i, &seed);
        if (i % 3 == 1) gst_buffer_resize(b, 0, 100);
        assert_int_equal(gst_harness_push(h, b), GST_FLOW_OK);
    }
    for (int i = 0; i < 9; i++) {
        GstBuffer *b = gst_harness_pull(h);
        assert_int_equal(GST_BUFFER_PTS(b), (GstClockTime)i * FRAME_NS);
        if (i % 3 == 1)
            assert_null(kerb_seg_meta_get(b));
        else
            assert_non_null(kerb_seg_meta_get(b));
        gst_buffer_unref(b);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    assert_complaint(e, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "100 bytes");
    assert_null(next_message(e, GST_MESSAGE_WARNING)); /* once in five seconds */
    GstStructure *stats;
    guint64 in, out, errored;
    g_object_get(e, "stats", &stats, NULL);
    gst_structure_get(stats, "frames-in", G_TYPE_UINT64, &in, "frames-out", G_TYPE_UINT64, &out, "frames-errored", G_TYPE_UINT64, &errored,
                      NULL);
    assert_int_equal(in, 9);
    assert_int_equal(out, 6);
    assert_int_equal(errored, 3);
    gst_structure_free(stats);
    gst_harness_teardown(labels);
    end(h, e);
}

/* Classes that are not there: said with those that are, and nothing changes. At the start, when names were given before: all are painted.
 */
static void test_selected_classes(void **state)
{
    GstElement *e = gst_object_ref(seg_new(16, 16));
    GstHarness *h = seg_harness(e);
    gchar *value;
    g_object_set(e, "selected-classes", "road, 2", NULL);
    g_object_set(e, "selected-classes", "road,sheep", NULL);
    assert_complaint(e, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "\"sheep\"");
    g_object_set(e, "selected-classes", "3", NULL);
    assert_complaint(e, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "sky, road, car");
    g_object_set(e, "palette", "/nonexistent/palette", NULL);
    assert_complaint(e, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "/nonexistent/palette");
    g_object_get(e, "selected-classes", &value, NULL);
    assert_string_equal(value, "road, 2");
    g_free(value);
    g_object_set(e, "selected-classes", "ROAD", NULL); /* as users type */
    g_object_set(e, "selected-classes", "none", NULL);
    g_object_set(e, "selected-classes", NULL, NULL);
    g_object_get(e, "selected-classes", &value, NULL);
    assert_string_equal(value, "all");
    g_free(value);
    assert_null(next_message(e, GST_MESSAGE_WARNING));
    end(h, e);

    e = seg_new(16, 16);
    g_object_set(e, "selected-classes", "sheep", NULL);
    assert_int_not_equal(start(e), GST_STATE_CHANGE_FAILURE);
    assert_complaint(e, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "\"sheep\"");
    stop(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_default),
        cmocka_unit_test(test_missing_model),
        cmocka_unit_test(test_garbage_model),
        cmocka_unit_test(test_engine_words),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_short_buffer),
        cmocka_unit_test(test_selected_classes),
    };
    return RUN_TESTS(tests);
}
