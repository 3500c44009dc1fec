/* SPDX-License-Identifier: MIT */
/* The modes of a camera: their names, what Kerb can do with them, and which one is chosen; see camera.h. */
#include "camera.h"
#include "options.h"
#include "say.h"

#include <linux/videodev2.h>
#include <math.h>
#include <string.h>

/* What a viewer of the road wants where nobody says otherwise. */
#define USUAL_WIDTH 1280
#define USUAL_HEIGHT 720
#define USUAL_FPS 30.0
/* 29.97 is 30. */
#define SAME_RATE 0.02

/* The formats that Kerb reads. cost: of one frame before kerbseg can take it, in parts of a copy of it: only comparisons count. */
static const struct {
    guint32 fourcc;
    const char *name, *gst; /* gst NULL: Motion JPEG */
    gdouble cost;
} formats[] = {
    { V4L2_PIX_FMT_NV12, "NV12", "NV12", 0 },       { V4L2_PIX_FMT_YUV420, "I420", "I420", 0 },     { V4L2_PIX_FMT_NV21, "NV21", "NV21", 0 },
    { V4L2_PIX_FMT_YVU420, "YV12", "YV12", 0 },     { V4L2_PIX_FMT_YUYV, "YUYV", "YUY2", 0.1 },     { V4L2_PIX_FMT_UYVY, "UYVY", "UYVY", 0.1 },
    { V4L2_PIX_FMT_BGR24, "BGR", "BGR", 0.2 },      { V4L2_PIX_FMT_RGB24, "RGB", "RGB", 0.2 },      { V4L2_PIX_FMT_XBGR32, "BGRx", "BGRx", 0.3 },
    { V4L2_PIX_FMT_GREY, "GREY", "GRAY8", 0.4 },    { V4L2_PIX_FMT_NV16, "NV16", "NV16", 1 },       { V4L2_PIX_FMT_YVYU, "YVYU", "YVYU", 1 },
    { V4L2_PIX_FMT_MJPEG, "MJPEG", NULL, 8 },       { V4L2_PIX_FMT_JPEG, "JPEG", NULL, 8 },
};

static gint kerb_camera_format(guint32 fourcc)
{
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
        if (formats[i].fourcc == fourcc) return (gint)i;
    return -1;
}

gchar *kerb_camera_format_name(guint32 fourcc)
{
    gint known = kerb_camera_format(fourcc);
    if (known >= 0) return g_strdup(formats[known].name);
    gchar name[5] = { 0 };
    for (int i = 0; i < 4; i++) {
        guint8 c = (guint8)(fourcc >> (8 * i));
        if (c < 32 || c > 126) return g_strdup_printf("0x%08x", fourcc);
        name[i] = (gchar)c;
    }
    return g_strdup(g_strchomp(name));
}

gboolean kerb_camera_mode_is_readable(const KerbCameraMode *mode)
{
    return kerb_camera_format(mode->fourcc) >= 0;
}

gboolean kerb_camera_mode_is_raw(const KerbCameraMode *mode)
{
    gint known = kerb_camera_format(mode->fourcc);
    return known >= 0 && formats[known].gst;
}

gdouble kerb_camera_mode_fps(const KerbCameraMode *mode)
{
    return (gdouble)mode->fps_n / mode->fps_d;
}

gchar *kerb_camera_mode_text(const KerbCameraMode *mode)
{
    gchar *name = kerb_camera_format_name(mode->fourcc), *text;
    if (mode->fps_n)
        text = g_strdup_printf("%s %d x %d, %.4g fps", name, mode->width, mode->height, kerb_camera_mode_fps(mode));
    else
        text = g_strdup_printf("%s %d x %d", name, mode->width, mode->height);
    g_free(name);
    return text;
}

GstCaps *kerb_camera_mode_caps(const KerbCameraMode *mode)
{
    gint known = kerb_camera_format(mode->fourcc);
    if (known < 0) return NULL;
    GstCaps *caps = formats[known].gst ? gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, formats[known].gst, NULL) : gst_caps_new_empty_simple("image/jpeg");
    gst_caps_set_simple(caps, "width", G_TYPE_INT, mode->width, "height", G_TYPE_INT, mode->height, NULL);
    if (mode->fps_n) gst_caps_set_simple(caps, "framerate", GST_TYPE_FRACTION, mode->fps_n, mode->fps_d, NULL);
    return caps;
}

/* -------------------------------------------------------------------------------------------------------------- wishes */

static gboolean kerb_camera_wish_format(KerbCameraWish *wish, const char *name)
{
    static const struct {
        const char *alias;
        guint32 fourcc;
    } aliases[] = { { "MJPG", V4L2_PIX_FMT_MJPEG }, { "YUY2", V4L2_PIX_FMT_YUYV }, { "YU12", V4L2_PIX_FMT_YUV420 }, { "GRAY8", V4L2_PIX_FMT_GREY } };
    if (!*name || !g_ascii_strcasecmp(name, "auto")) return TRUE;
    if (!g_ascii_strcasecmp(name, "raw")) {
        wish->raw = TRUE;
        return TRUE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
        if (!g_ascii_strcasecmp(name, formats[i].name)) wish->fourcc = formats[i].fourcc;
    for (gsize i = 0; i < G_N_ELEMENTS(aliases); i++)
        if (!g_ascii_strcasecmp(name, aliases[i].alias)) wish->fourcc = aliases[i].fourcc;
    return wish->fourcc != 0;
}

gboolean kerb_camera_wish_parse(KerbCameraWish *wish, const char *text)
{
    *wish = (KerbCameraWish){ 0 };
    gchar **parts = g_strsplit(text, "@", -1), *end = NULL;
    guint n = g_strv_length(parts);
    gboolean ok = n >= 1 && n <= 3;
    if (ok && !kerb_camera_wish_format(wish, parts[0])) {
        GString *names = g_string_new("auto, raw");
        for (gsize i = 0; i < G_N_ELEMENTS(formats); i++) g_string_append_printf(names, ", %s", formats[i].name);
        kerb_say("--camera-format=%s: the format \"%s\" is not known. Valid are: %s.", text, parts[0], names->str);
        g_string_free(names, TRUE);
        g_strfreev(parts);
        return FALSE;
    }
    if (ok && n > 1 && *parts[1] && !kerb_options_size("--camera-format: size", parts[1], &wish->width, &wish->height)) {
        g_strfreev(parts);
        return FALSE;
    }
    if (ok && n > 2) {
        wish->fps = g_ascii_strtod(parts[2], &end);
        ok = end != parts[2] && !*end && wish->fps >= 0.1 && wish->fps <= 1000;
    }
    if (!ok) kerb_say("--camera-format=%s is not understood. Give FORMAT@WxH@FPS, such as MJPEG@1280x720@30, YUYV, or auto@640x480 (fps 0.1 to 1000).", text);
    g_strfreev(parts);
    return ok;
}

/* -------------------------------------------------------------------------------------------------------------- choice */

static gboolean kerb_camera_mode_fits(const KerbCameraMode *m, const KerbCameraWish *wish)
{
    gdouble fps = kerb_camera_mode_fps(m);
    return (!wish->fourcc || m->fourcc == wish->fourcc) && (!wish->raw || kerb_camera_mode_is_raw(m)) && (!wish->width || (m->width == wish->width && m->height == wish->height)) &&
           (!(wish->fps > 0) || !m->fps_n || fabs(fps - wish->fps) <= SAME_RATE * wish->fps);
}

/* How far a mode is from what is wanted. Too slow weighs most (a road at 5 fps is no video), then the size, then what is too much; the cost of the format
 * decides between equals. */
static gdouble kerb_camera_distance(const KerbCameraMode *m, gint width, gint height, gdouble fps)
{
    gdouble has = m->fps_n ? kerb_camera_mode_fps(m) : fps, area = log2((gdouble)m->width * m->height / ((gdouble)width * height));
    gdouble shape = fabs(log2((gdouble)m->width / m->height * height / width));
    gdouble distance = has < fps * (1 - SAME_RATE) ? 2 * log2(fps / has) : 0.25 * log2(MAX(has / fps, 1));
    distance += fabs(area) + 0.25 * shape;
    return distance + 1e-3 * formats[kerb_camera_format(m->fourcc)].cost;
}

static gint kerb_camera_best(const KerbCamera *c, const KerbCameraWish *only, gint width, gint height, gdouble fps, const gboolean *taken)
{
    gint best = -1;
    gdouble least = 0;
    for (guint i = 0; i < c->modes->len; i++) {
        const KerbCameraMode *m = &g_array_index(c->modes, KerbCameraMode, i);
        if (kerb_camera_format(m->fourcc) < 0 || (only && !kerb_camera_mode_fits(m, only)) || (taken && taken[i])) continue;
        gdouble distance = kerb_camera_distance(m, width, height, fps);
        if (best < 0 || distance < least) best = (gint)i, least = distance;
    }
    return best;
}

gint kerb_camera_choose(const KerbCamera *c, const KerbCameraWish *wish, gchar **nearest)
{
    gint width = wish->width ? wish->width : USUAL_WIDTH, height = wish->height ? wish->height : USUAL_HEIGHT;
    gdouble fps = wish->fps > 0 ? wish->fps : USUAL_FPS;
    gint best = kerb_camera_best(c, wish, width, height, fps, NULL);
    if (nearest) *nearest = NULL;
    if (best >= 0 || !nearest) return best;
    /* The format that was asked for first, if there is one; then any. */
    KerbCameraWish format = { .fourcc = wish->fourcc, .raw = wish->raw };
    gboolean *taken = g_new0(gboolean, c->modes->len + 1);
    GString *list = g_string_new(NULL);
    for (int n = 0; n < 3; n++) {
        gint i = kerb_camera_best(c, &format, width, height, fps, taken);
        if (i < 0) i = kerb_camera_best(c, NULL, width, height, fps, taken);
        if (i < 0) break;
        taken[i] = TRUE;
        gchar *text = kerb_camera_mode_text(&g_array_index(c->modes, KerbCameraMode, i));
        g_string_append_printf(list, "%s%s", list->len ? "; " : "", text);
        g_free(text);
    }
    g_free(taken);
    *nearest = g_string_free(list, FALSE);
    return -1;
}

gint kerb_camera_nearest(const KerbCamera *c, const KerbCameraMode *mode)
{
    KerbCameraWish same = { .fourcc = mode->fourcc, .width = mode->width, .height = mode->height, .fps = kerb_camera_mode_fps(mode) };
    gint i = kerb_camera_choose(c, &same, NULL);
    return i >= 0 ? i : kerb_camera_best(c, NULL, mode->width, mode->height, mode->fps_n ? kerb_camera_mode_fps(mode) : USUAL_FPS, NULL);
}
