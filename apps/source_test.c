/* SPDX-License-Identifier: MIT */
/* `test:`: the synthetic drive of kerbtestsrc, with its options as in a URI: test:WEATHER?seed=N&size=WxH&fps=F&live=1. */
#include "options.h"
#include "say.h"
#include "source.h"

#include <string.h>

typedef struct KerbTestWish {
    const char *weather;
    guint64 seed;
    gint width, height, fps_n, fps_d;
    gboolean live;
} KerbTestWish;

static gboolean kerb_test_option(KerbTestWish *wish, const char *key, const char *value)
{
    gdouble fps;
    gchar *end = NULL;
    if (!strcmp(key, "size")) return kerb_options_size("test: size", value, &wish->width, &wish->height);
    if (!strcmp(key, "seed") && g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32, &wish->seed, NULL)) return TRUE;
    if (!strcmp(key, "live") && (!strcmp(value, "0") || !strcmp(value, "1"))) {
        wish->live = *value == '1';
        return TRUE;
    }
    if (!strcmp(key, "fps")) {
        gint64 below = 1;
        fps = g_ascii_strtod(value, &end);
        if (end != value && *end == '/') { /* 30000/1001 */
            below = g_ascii_strtoll(end + 1, &end, 10);
            fps = below > 0 ? fps / (gdouble)below : 0;
        }
        if (end != value && !*end && fps >= 0.1 && fps <= 1000) {
            gst_util_double_to_fraction(fps, &wish->fps_n, &wish->fps_d);
            if (below > 1 && below <= 1001 * 1001) {
                wish->fps_n = (gint)(fps * (gdouble)below + 0.5);
                wish->fps_d = (gint)below;
            }
            return TRUE;
        }
    }
    kerb_say("test: %s=%s is not understood. Options are seed=0..4294967295, size=WxH, fps=0.1..1000 (or 30000/1001) and live=0|1: test:night?seed=3&size=1280x720&fps=30", key,
             value);
    return FALSE;
}

static gboolean kerb_test_parse(KerbTestWish *wish, const char *text)
{
    static const char *const weathers[] = { "clear", "night", "rain" };
    gchar **halves = g_strsplit(text + strlen("test:"), "?", 2);
    gboolean ok = !*halves || !**halves;
    for (gsize i = 0; *halves && i < G_N_ELEMENTS(weathers); i++)
        if (!strcmp(*halves, weathers[i])) wish->weather = weathers[i], ok = TRUE;
    if (!ok) kerb_say("test: there is no weather \"%s\". Valid are clear, night and rain: test:night", *halves);
    gchar **options = ok && *halves && halves[1] ? g_strsplit(halves[1], "&", -1) : NULL;
    for (gchar **option = options; ok && option && *option; option++) {
        gchar *equals = strchr(*option, '=');
        if (equals) *equals = 0;
        ok = kerb_test_option(wish, *option, equals ? equals + 1 : "");
    }
    g_strfreev(options);
    g_strfreev(halves);
    return ok;
}

GstElement *kerb_source_test(GstBin *bin, const char *text, gboolean *live)
{
    KerbTestWish wish = { .weather = "clear", .seed = 1, .width = 640, .height = 360, .fps_n = 25, .fps_d = 1 };
    if (!kerb_test_parse(&wish, text)) return NULL;
    GstElement *drive = gst_element_factory_make("kerbtestsrc", NULL), *caps = gst_element_factory_make("capsfilter", NULL);
    if (!drive || !caps) {
        kerb_say("the element kerbtestsrc is missing from Kerb's GStreamer plugin: the plugin that is found is another version's.");
        gst_clear_object(&drive);
        gst_clear_object(&caps);
        return NULL;
    }
    GstCaps *size = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "I420", "width", G_TYPE_INT, wish.width, "height", G_TYPE_INT, wish.height,
                                        "framerate", GST_TYPE_FRACTION, wish.fps_n, wish.fps_d, NULL);
    g_object_set(caps, "caps", size, NULL);
    gst_caps_unref(size);
    g_object_set(drive, "seed", (guint)wish.seed, "is-live", wish.live, NULL);
    gst_util_set_object_arg(G_OBJECT(drive), "weather", wish.weather);
    gst_bin_add_many(bin, drive, caps, NULL);
    gst_element_link(drive, caps);
    *live = wish.live;
    return caps;
}
