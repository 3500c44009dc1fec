/* SPDX-License-Identifier: MIT */
/* kerbseg without model-file: the default model works, and is named in a message. (One that is not there: test_refuse.c.) */
#include "gst_fixture.h"

/* The next info message is there, and its text contains `part`; drops it. */
static void assert_info(GstElement *e, const char *part)
{
    GstMessage *m = next_message(e, GST_MESSAGE_INFO);
    assert_non_null(m);
    GError *info = NULL;
    gst_message_parse_info(m, &info, NULL);
    if (!strstr(info->message, part)) fail_msg("\"%s\" does not say \"%s\"", info->message, part);
    g_error_free(info);
    gst_message_unref(m);
}

/* Of the environment: the labels are those of that model, and nothing is said where a model is named. */
static void test_environment(void **state)
{
    g_setenv("KERB_MODEL", fixture_model, TRUE);
    for (int i = 0; i < 3; i++) {
        static const char *const files[] = {NULL, "", fixture_model};
        uint32_t seed = 5, again = 5;
        GstElement *e = seg_new(24, 16);
        g_object_set(e, "model-file", files[i], NULL);
        GstHarness *h = seg_harness(gst_object_ref(e));
        gst_harness_set_src_caps(h, caps_of("RGB", 24, 16));
        gst_harness_push(h, noise(24, 16, 0, &seed));
        gst_harness_push_event(h, gst_event_new_eos());
        GstBuffer *out = gst_harness_pull(h), *in = noise(24, 16, 0, &again);
        assert_non_null(out);
        KerbSegMeta *meta = kerb_seg_meta_get(out);
        assert_non_null(meta);
        guint8 *rgb = bytes_of(in, NULL), *labels = bytes_of(meta->labels, NULL), *confidence = bytes_of(meta->confidence, NULL);
        assert_maps(rgb, 24, 16, labels, (int)meta->stride, confidence);
        g_free(rgb);
        g_free(labels);
        g_free(confidence);
        gst_buffer_unref(in);
        gst_buffer_unref(out);
        if (i < 2) assert_info(e, fixture_model);
        assert_null(next_message(e, GST_MESSAGE_INFO)); /* once */
        end(h, e);
    }
    g_unsetenv("KERB_MODEL");
}

/* The one that came with Kerb: of the source tree that this plugin was built from. Its classes are its card's. */
static void test_own(void **state)
{
    g_unsetenv("KERB_MODEL");
    GstElement *pipeline = launch("videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=64,height=36 ! kerbseg name=k ! fakesink name=sink sync=false");
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    assert_info(pipeline, "/models/drive");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    assert_true(pump(pipeline, GST_MESSAGE_EOS));
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstSample *sample = NULL;
    g_object_get(sink, "last-sample", &sample, NULL);
    assert_non_null(sample);
    KerbSegMeta *meta = kerb_seg_meta_get(gst_sample_get_buffer(sample));
    assert_non_null(meta);
    int n = 0, roads = 0;
    const KerbClass *classes = kerb_seg_meta_classes(meta, &n);
    for (int i = 0; i < n; i++) roads += !strcmp(classes[i].name, "road");
    assert_int_equal(roads, 1);
    gst_sample_unref(sample);
    gst_object_unref(sink);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_environment), cmocka_unit_test(test_own)};
    return RUN_TESTS(tests);
}
