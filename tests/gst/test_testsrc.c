/* SPDX-License-Identifier: MIT */
/* kerbtestsrc: the same numbers give the same pictures, whatever was drawn before; labels belong to their frames; time and its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gst/gst.h>
#include <gst/video/video.h>

#include <string.h>

typedef struct Run {
    GstElement *pipeline, *frames, *labels;
} Run;

static Run start(const char *source)
{
    Run run;
    gchar *line = g_strdup_printf("%s ! appsink name=frames sync=false  s.labels ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! "
                                  "appsink name=labels sync=false async=false", source);
    run.pipeline = gst_parse_launch(line, NULL);
    g_free(line);
    assert_non_null(run.pipeline);
    run.frames = gst_bin_get_by_name(GST_BIN(run.pipeline), "frames");
    run.labels = gst_bin_get_by_name(GST_BIN(run.pipeline), "labels");
    gst_element_set_state(run.pipeline, GST_STATE_PLAYING);
    return run;
}

static void stop(Run *run)
{
    gst_element_set_state(run->pipeline, GST_STATE_NULL);
    gst_object_unref(run->frames);
    gst_object_unref(run->labels);
    gst_object_unref(run->pipeline);
}

/* NULL at the end of the stream. */
static GstBuffer *pull(GstElement *sink)
{
    GstSample *sample = NULL;
    g_signal_emit_by_name(sink, "pull-sample", &sample);
    if (!sample) return NULL;
    GstBuffer *buffer = gst_buffer_ref(gst_sample_get_buffer(sample));
    gst_sample_unref(sample);
    return buffer;
}

static gchar *digest(GstBuffer *buffer)
{
    GstMapInfo map;
    assert_true(gst_buffer_map(buffer, &map, GST_MAP_READ));
    gchar *text = g_compute_checksum_for_data(G_CHECKSUM_SHA256, map.data, map.size);
    gst_buffer_unmap(buffer, &map);
    return text;
}

/* Digests of the next frame and its labels, as one text. */
static gchar *next(Run *run, GstClockTime *pts)
{
    GstBuffer *frame = pull(run->frames), *labels = pull(run->labels);
    if (!frame || !labels) {
        assert_null(frame);
        assert_null(labels);
        return NULL;
    }
    assert_int_equal(GST_BUFFER_PTS(frame), GST_BUFFER_PTS(labels));
    assert_int_equal(GST_BUFFER_DURATION(frame), GST_BUFFER_DURATION(labels));
    *pts = GST_BUFFER_PTS(frame);
    gchar *a = digest(frame), *b = digest(labels), *both = g_strconcat(a, " ", b, NULL);
    g_free(a);
    g_free(b);
    gst_buffer_unref(frame);
    gst_buffer_unref(labels);
    return both;
}

/* Rows without padding, whose bytes nobody writes. */
#define SIZE " ! video/x-raw,format=RGB,width=160,height=91,framerate=25/1"

static void test_two_runs_are_equal_and_seeds_differ(void **state)
{
    (void)state;
    Run a = start("kerbtestsrc name=s num-buffers=5 seed=3" SIZE), b = start("kerbtestsrc name=s num-buffers=5 seed=3" SIZE);
    Run c = start("kerbtestsrc name=s num-buffers=5 seed=4" SIZE);
    for (guint64 i = 0; i < 5; i++) {
        GstClockTime ta, tb, tc;
        gchar *x = next(&a, &ta), *y = next(&b, &tb), *z = next(&c, &tc);
        assert_string_equal(x, y);
        assert_string_not_equal(x, z);
        assert_int_equal(ta, i * 40 * GST_MSECOND);
        assert_int_equal(ta, tb);
        g_free(x);
        g_free(y);
        g_free(z);
    }
    GstClockTime t;
    assert_null(next(&a, &t)); /* the end comes on both pads */
    stop(&a);
    stop(&b);
    stop(&c);
}

static void test_weather_changes_the_picture_not_the_labels(void **state)
{
    (void)state;
    Run clear = start("kerbtestsrc name=s num-buffers=1" SIZE), night = start("kerbtestsrc name=s num-buffers=1 weather=night" SIZE);
    Run rain = start("kerbtestsrc name=s num-buffers=1 weather=rain" SIZE);
    GstClockTime t;
    gchar *c = next(&clear, &t), *n = next(&night, &t), *r = next(&rain, &t);
    assert_string_equal(strchr(c, ' '), strchr(n, ' '));
    assert_string_equal(strchr(c, ' '), strchr(r, ' '));
    assert_int_not_equal(strncmp(c, n, 64), 0);
    assert_int_not_equal(strncmp(c, r, 64), 0);
    g_free(c);
    g_free(n);
    g_free(r);
    stop(&clear);
    stop(&night);
    stop(&rain);
}

static void test_a_seek_lands_on_the_frame_that_playing_reaches(void **state)
{
    (void)state;
    Run played = start("kerbtestsrc name=s num-buffers=40" SIZE), sought = start("kerbtestsrc name=s" SIZE);
    GstClockTime t;
    gchar *there = NULL;
    for (int i = 0; i <= 30; i++) {
        g_free(there);
        there = next(&played, &t);
    }
    assert_int_equal(t, 1200 * GST_MSECOND);
    g_free(next(&sought, &t));
    assert_true(gst_element_seek_simple(sought.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, 1200 * GST_MSECOND));
    gchar *here = next(&sought, &t);
    assert_int_equal(t, 1200 * GST_MSECOND);
    assert_string_equal(here, there);
    g_free(here);
    g_free(there);
    stop(&played);
    stop(&sought);
}

/* Every format shows the same picture: compared as RGB through videoconvert, within the rounding of 8-bit YUV and 4:2:0 chroma. */
static void test_formats_agree(void **state)
{
    (void)state;
    static const char *const formats[] = { "RGB", "BGR", "RGBx", "BGRx", "I420" };
    GstBuffer *first = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        gchar *line = g_strdup_printf("kerbtestsrc num-buffers=1 ! video/x-raw,format=%s,width=160,height=90 ! videoconvert ! "
                                      "video/x-raw,format=RGB ! appsink name=frames sync=false", formats[i]);
        GstElement *pipeline = gst_parse_launch(line, NULL), *sink = gst_bin_get_by_name(GST_BIN(pipeline), "frames");
        g_free(line);
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        GstBuffer *buffer = pull(sink);
        assert_non_null(buffer);
        if (!first) first = gst_buffer_ref(buffer);
        GstMapInfo a, b;
        gst_buffer_map(first, &a, GST_MAP_READ);
        gst_buffer_map(buffer, &b, GST_MAP_READ);
        assert_int_equal(a.size, b.size);
        double sum = 0;
        for (gsize k = 0; k < a.size; k++) sum += ABS((int)a.data[k] - (int)b.data[k]);
        double mean = sum / (double)a.size, limit = strcmp(formats[i], "I420") == 0 ? 4 : 0;
        if (mean > limit) fail_msg("%s differs from RGB by %.2f on average", formats[i], mean);
        gst_buffer_unmap(first, &a);
        gst_buffer_unmap(buffer, &b);
        gst_buffer_unref(buffer);
        gst_element_set_state(pipeline, GST_STATE_NULL);
        gst_object_unref(sink);
        gst_object_unref(pipeline);
    }
    gst_buffer_unref(first);
}

/* Labels are the nine classes, all of which a drive shows sooner or later, at the smallest sizes too. */
static void test_labels_are_classes(void **state)
{
    (void)state;
    Run run = start("kerbtestsrc name=s num-buffers=60 ! video/x-raw,width=320,height=180,framerate=2/1");
    guint64 seen[256] = { 0 };
    for (int i = 0; i < 60; i++) {
        GstBuffer *frame = pull(run.frames), *labels = pull(run.labels);
        GstMapInfo map;
        gst_buffer_map(labels, &map, GST_MAP_READ);
        assert_int_equal(map.size, 320 * 180);
        for (gsize k = 0; k < map.size; k++) seen[map.data[k]]++;
        gst_buffer_unmap(labels, &map);
        gst_buffer_unref(frame);
        gst_buffer_unref(labels);
    }
    for (int c = 0; c < 256; c++) assert_true(c < 9 ? seen[c] > 0 : seen[c] == 0);
    stop(&run);

    Run dot = start("kerbtestsrc name=s num-buffers=2 ! video/x-raw,width=1,height=1");
    GstClockTime t;
    g_free(next(&dot, &t));
    g_free(next(&dot, &t));
    assert_null(next(&dot, &t));
    stop(&dot);
}

int main(int argc, char **argv)
{
    gst_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_runs_are_equal_and_seeds_differ), cmocka_unit_test(test_weather_changes_the_picture_not_the_labels),
        cmocka_unit_test(test_a_seek_lands_on_the_frame_that_playing_reaches), cmocka_unit_test(test_formats_agree),
        cmocka_unit_test(test_labels_are_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
