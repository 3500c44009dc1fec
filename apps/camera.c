/* SPDX-License-Identifier: MIT */
/* What the drivers of cameras answer, made sane; see camera.h. */
#include "camera.h"

#include <errno.h>
#include <fcntl.h>
#include <kerb.h>
#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A driver that goes on enumerating is broken, and v4l2src would follow it for ever. No real one comes near. */
#define MOST_FORMATS 256 /* the kernel's vivid has more than 64 */
#define MOST_SIZES 256
#define MOST_RATES 64
#define MOST_MODES 4096
#define MOST_NODES 256
/* Frames a second that a camera may claim. */
#define LEAST_FPS 0.1
#define MOST_FPS 1000.0

/* ------------------------------------------------------------------------------------------------------------- asking */

/* As ioctl(), without the interruptions of signals. */
static int kerb_camera_ask(int fd, unsigned long request, void *argument)
{
    int result;
    do result = ioctl(fd, request, argument);
    while (result < 0 && errno == EINTR);
    return result;
}

/* A driver's text: of bounded length, and valid whatever is in it. */
static gchar *kerb_camera_text(const guint8 *text, gsize size)
{
    gchar *raw = g_strndup((const gchar *)text, size), *valid = g_utf8_make_valid(raw, -1);
    for (gchar *c = valid; *c; c++)
        if ((guchar)*c < 32 || *c == 127) *c = ' ';
    g_free(raw);
    return g_strstrip(valid);
}

static void kerb_camera_in_trouble(KerbCamera *c, KerbCameraTrouble trouble, gchar *why)
{
    if (c->trouble == KERB_CAMERA_OK) {
        c->trouble = trouble;
        c->why = why;
    } else {
        g_free(why);
    }
}

static void kerb_camera_is_endless(KerbCamera *c, const char *what)
{
    kerb_camera_in_trouble(c, KERB_CAMERA_BROKEN, g_strdup_printf("%s (%s) names %s without end: its driver is broken. Plug it in anew, or update the kernel.", c->node, c->name, what));
}

static void kerb_camera_add_mode(KerbCamera *c, guint32 fourcc, guint32 width, guint32 height, guint32 fps_n, guint32 fps_d)
{
    if (width < 1 || height < 1 || width > KERB_MAX_SIDE_PX || height > KERB_MAX_SIDE_PX || c->modes->len >= MOST_MODES) return;
    gdouble fps = fps_d ? (gdouble)fps_n / fps_d : 0;
    if (fps_n && (!(fps >= LEAST_FPS && fps <= MOST_FPS) || fps_n > G_MAXINT || fps_d > G_MAXINT)) return;
    KerbCameraMode mode = { fourcc, (gint)width, (gint)height, (gint)fps_n, (gint)fps_d };
    for (guint i = 0; i < c->modes->len; i++) {
        const KerbCameraMode *m = &g_array_index(c->modes, KerbCameraMode, i);
        if (m->fourcc != fourcc || m->width != mode.width || m->height != mode.height) continue;
        if ((gint64)m->fps_n * mode.fps_d == (gint64)mode.fps_n * m->fps_d) return;
    }
    g_array_append_val(c->modes, mode);
}

/* Frame intervals are seconds a frame: what is the numerator there is the denominator of a rate. */
static void kerb_camera_rates(KerbCamera *c, int fd, guint32 fourcc, guint32 width, guint32 height)
{
    static const guint32 usual[] = { 120, 60, 50, 30, 25, 20, 15, 10, 5 };
    guint before = c->modes->len;
    for (guint32 i = 0;; i++) {
        struct v4l2_frmivalenum rate = { .index = i, .pixel_format = fourcc, .width = width, .height = height };
        if (kerb_camera_ask(fd, VIDIOC_ENUM_FRAMEINTERVALS, &rate)) break;
        if (i >= MOST_RATES) {
            kerb_camera_is_endless(c, "rates");
            break;
        }
        if (rate.type == V4L2_FRMIVAL_TYPE_DISCRETE) {
            if (rate.discrete.numerator && rate.discrete.denominator)
                kerb_camera_add_mode(c, fourcc, width, height, rate.discrete.denominator, rate.discrete.numerator);
            continue;
        }
        const struct v4l2_fract *least = &rate.stepwise.min, *most = &rate.stepwise.max;
        gdouble fastest = least->numerator ? (gdouble)least->denominator / least->numerator : MOST_FPS;
        gdouble slowest = most->denominator && most->numerator ? (gdouble)most->denominator / most->numerator : LEAST_FPS;
        if (least->numerator && fastest <= MOST_FPS) kerb_camera_add_mode(c, fourcc, width, height, least->denominator, least->numerator);
        for (gsize k = 0; k < G_N_ELEMENTS(usual); k++)
            if (usual[k] <= fastest && usual[k] >= slowest) kerb_camera_add_mode(c, fourcc, width, height, usual[k], 1);
        break;
    }
    if (c->modes->len == before) kerb_camera_add_mode(c, fourcc, width, height, 0, 1);
}

/* The usual sizes that a range with steps has, and its ends. */
static void kerb_camera_size_range(KerbCamera *c, int fd, guint32 fourcc, const struct v4l2_frmsize_stepwise *range)
{
    static const guint32 usual[][2] = { { 3840, 2160 }, { 2560, 1440 }, { 1920, 1200 }, { 1920, 1080 }, { 1600, 1200 }, { 1280, 960 }, { 1280, 720 },
                                        { 1024, 768 },  { 960, 540 },   { 800, 600 },   { 640, 480 },   { 640, 360 },   { 320, 240 } };
    guint32 step_x = MAX(range->step_width, 1), step_y = MAX(range->step_height, 1);
    if (range->max_width < range->min_width || range->max_height < range->min_height) return;
    kerb_camera_rates(c, fd, fourcc, range->max_width, range->max_height);
    for (gsize i = 0; i < G_N_ELEMENTS(usual); i++) {
        guint32 w = usual[i][0], h = usual[i][1];
        gboolean in = w >= range->min_width && w <= range->max_width && h >= range->min_height && h <= range->max_height;
        if (in && (w - range->min_width) % step_x == 0 && (h - range->min_height) % step_y == 0) kerb_camera_rates(c, fd, fourcc, w, h);
    }
    kerb_camera_rates(c, fd, fourcc, range->min_width, range->min_height);
}

static void kerb_camera_sizes(KerbCamera *c, int fd, guint32 type, guint32 fourcc)
{
    guint before = c->modes->len;
    for (guint32 i = 0; c->modes->len < MOST_MODES; i++) {
        struct v4l2_frmsizeenum size = { .index = i, .pixel_format = fourcc };
        if (kerb_camera_ask(fd, VIDIOC_ENUM_FRAMESIZES, &size)) break;
        if (i >= MOST_SIZES) {
            kerb_camera_is_endless(c, "sizes");
            break;
        }
        if (size.type != V4L2_FRMSIZE_TYPE_DISCRETE) {
            kerb_camera_size_range(c, fd, fourcc, &size.stepwise);
            break;
        }
        if (size.discrete.width && size.discrete.height) kerb_camera_rates(c, fd, fourcc, size.discrete.width, size.discrete.height);
    }
    if (c->modes->len != before) return;
    /* Old drivers have one size, the current one. */
    struct v4l2_format now = { .type = type };
    if (kerb_camera_ask(fd, VIDIOC_G_FMT, &now)) return;
    gboolean planes = type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    guint32 have = planes ? now.fmt.pix_mp.pixelformat : now.fmt.pix.pixelformat;
    if (have == fourcc) kerb_camera_rates(c, fd, fourcc, planes ? now.fmt.pix_mp.width : now.fmt.pix.width, planes ? now.fmt.pix_mp.height : now.fmt.pix.height);
}

static void kerb_camera_formats(KerbCamera *c, int fd, guint32 type)
{
    for (guint32 i = 0; c->trouble == KERB_CAMERA_OK; i++) {
        struct v4l2_fmtdesc format = { .index = i, .type = type };
        if (kerb_camera_ask(fd, VIDIOC_ENUM_FMT, &format)) break;
        if (i >= MOST_FORMATS) {
            kerb_camera_is_endless(c, "formats");
            break;
        }
        gboolean seen = FALSE;
        for (guint k = 0; k < c->modes->len && !seen; k++) seen = g_array_index(c->modes, KerbCameraMode, k).fourcc == format.pixelformat;
        if (!seen && format.pixelformat) kerb_camera_sizes(c, fd, type, format.pixelformat);
    }
}

/* ------------------------------------------------------------------------------------------------------------ trouble */

/* "cheese (process 4711)": who else has the node open, as far as this user may know. NULL: nobody that can be seen. */
static gchar *kerb_camera_user(const char *node)
{
    gchar *real = realpath(node, NULL), *found = NULL;
    GDir *processes = real ? g_dir_open("/proc", 0, NULL) : NULL;
    const gchar *process;
    while (processes && !found && (process = g_dir_read_name(processes))) {
        gint64 pid = g_ascii_strtoll(process, NULL, 10);
        if (pid <= 0 || pid == getpid()) continue;
        gchar *folder = g_strdup_printf("/proc/%s/fd", process);
        GDir *files = g_dir_open(folder, 0, NULL);
        const gchar *file;
        while (files && !found && (file = g_dir_read_name(files))) {
            gchar *path = g_build_filename(folder, file, NULL), *target = g_file_read_link(path, NULL);
            if (target && !strcmp(target, real)) {
                gchar *comm = g_strdup_printf("/proc/%s/comm", process), *name = NULL;
                g_file_get_contents(comm, &name, NULL, NULL);
                found = g_strdup_printf("%s (process %s)", name ? g_strstrip(name) : "a program", process);
                g_free(name);
                g_free(comm);
            }
            g_free(target);
            g_free(path);
        }
        if (files) g_dir_close(files);
        g_free(folder);
    }
    if (processes) g_dir_close(processes);
    free(real);
    return found;
}

static void kerb_camera_is_busy(KerbCamera *c)
{
    gchar *user = kerb_camera_user(c->node);
    kerb_camera_in_trouble(c, KERB_CAMERA_BUSY,
                           g_strdup_printf("%s is in use by %s. A camera serves one program at a time: close it there, or look with `fuser -v %s`.", c->node,
                                           user ? user : "another program", c->node));
    g_free(user);
}

static void kerb_camera_open_failed(KerbCamera *c, int error)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        kerb_camera_in_trouble(c, KERB_CAMERA_ABSENT,
                               g_strdup_printf("%s: there is no such camera. Plug it in; `kerb devices` lists the cameras that are there.", c->node));
        break;
    case EACCES:
    case EPERM:
        kerb_camera_in_trouble(c, KERB_CAMERA_DENIED,
                               g_strdup_printf("%s: permission denied. Cameras belong to the group video: `sudo usermod -aG video %s`, then log in anew.", c->node,
                                               g_get_user_name()));
        break;
    case EBUSY: kerb_camera_is_busy(c); break;
    default: kerb_camera_in_trouble(c, KERB_CAMERA_BROKEN, g_strdup_printf("%s cannot be opened: %s.", c->node, g_strerror(error)));
    }
}

/* A node of the same device that gives frames: what the user may have meant. */
static gchar *kerb_camera_sibling(const KerbCamera *c)
{
    GPtrArray *all = c->bus && *c->bus ? kerb_camera_list() : NULL;
    gchar *found = NULL;
    for (guint i = 0; all && i < all->len && !found; i++) {
        const KerbCamera *other = all->pdata[i];
        if (!g_strcmp0(other->bus, c->bus) && strcmp(other->node, c->node)) found = g_strdup(other->node);
    }
    if (all) g_ptr_array_free(all, TRUE);
    return found;
}

static void kerb_camera_is_foreign(KerbCamera *c, const gchar *what, gboolean seek_sibling)
{
    gchar *sibling = seek_sibling ? kerb_camera_sibling(c) : NULL;
    gchar *hint = sibling ? g_strdup_printf("Its pictures are at %s.", sibling) : g_strdup("`kerb devices` lists the cameras.");
    kerb_camera_in_trouble(c, KERB_CAMERA_FOREIGN, g_strdup_printf("%s is no camera: %s. %s", c->node, what, hint));
    g_free(hint);
    g_free(sibling);
}

/* ------------------------------------------------------------------------------------------------------------ probing */

static gchar *kerb_camera_folder(void)
{
    const gchar *folder = g_getenv("KERB_DEV"); /* stand-in cameras of tests */
    return g_strdup(folder && *folder ? folder : "/dev");
}

/* The link in by-id (else by-path) that leads to this node. */
static gchar *kerb_camera_stable_path(const char *node)
{
    static const char *const places[] = { "v4l/by-id", "v4l/by-path" };
    gchar *folder = kerb_camera_folder(), *real = realpath(node, NULL), *found = NULL;
    for (gsize i = 0; real && !found && i < G_N_ELEMENTS(places); i++) {
        gchar *place = g_build_filename(folder, places[i], NULL);
        GDir *links = g_dir_open(place, 0, NULL);
        const gchar *link;
        while (links && !found && (link = g_dir_read_name(links))) {
            gchar *path = g_build_filename(place, link, NULL), *target = realpath(path, NULL);
            if (target && !strcmp(target, real)) found = g_strdup(path);
            free(target);
            g_free(path);
        }
        if (links) g_dir_close(links);
        g_free(place);
    }
    free(real);
    g_free(folder);
    return found;
}

/* The type of its queue for frames; 0: it has none. Sets name, driver and bus. */
static guint32 kerb_camera_identify(KerbCamera *c, int fd, gboolean seek_sibling)
{
    struct v4l2_capability can = { 0 };
    if (kerb_camera_ask(fd, VIDIOC_QUERYCAP, &can)) {
        if (errno == ENODEV || errno == ENXIO || errno == EACCES || errno == EBUSY)
            kerb_camera_open_failed(c, errno);
        else if (errno == EIO)
            kerb_camera_in_trouble(c, KERB_CAMERA_BROKEN, g_strdup_printf("%s does not answer its driver (%s). Plug it in anew.", c->node, g_strerror(errno)));
        else
            kerb_camera_is_foreign(c, "it does not speak Video4Linux", FALSE);
        return 0;
    }
    g_free(c->name), g_free(c->driver), g_free(c->bus);
    c->name = kerb_camera_text(can.card, sizeof can.card);
    c->driver = kerb_camera_text(can.driver, sizeof can.driver);
    c->bus = kerb_camera_text(can.bus_info, sizeof can.bus_info);
    guint32 caps = can.capabilities & V4L2_CAP_DEVICE_CAPS ? can.device_caps : can.capabilities;
    if (caps & (V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE))
        kerb_camera_is_foreign(c, "it codes and decodes video", FALSE);
    else if (!(caps & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)))
        kerb_camera_is_foreign(c, caps & V4L2_CAP_META_CAPTURE ? "it gives metadata of a camera only" : "it takes no pictures", seek_sibling);
    else if (!(caps & V4L2_CAP_STREAMING))
        kerb_camera_is_foreign(c, "it gives single pictures, no stream", FALSE);
    else
        return caps & V4L2_CAP_VIDEO_CAPTURE ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    return 0;
}

/* Asking for no buffers at all changes nothing, fails where another program streams, and tells which memory the driver takes. */
static void kerb_camera_memory(KerbCamera *c, int fd, guint32 type, gboolean busy_too)
{
    struct v4l2_requestbuffers none = { .type = type, .memory = V4L2_MEMORY_MMAP };
    if (kerb_camera_ask(fd, VIDIOC_REQBUFS, &none) && errno == EBUSY) {
        if (busy_too) kerb_camera_is_busy(c);
        return;
    }
    struct v4l2_requestbuffers user = { .type = type, .memory = V4L2_MEMORY_USERPTR };
    c->userptr = !kerb_camera_ask(fd, VIDIOC_REQBUFS, &user);
}

static KerbCamera *kerb_camera_look(const char *node, gboolean busy_too, gboolean seek_sibling)
{
    KerbCamera *c = g_new0(KerbCamera, 1);
    c->node = g_strdup(node);
    c->name = g_strdup(""), c->driver = g_strdup(""), c->bus = g_strdup("");
    c->modes = g_array_new(FALSE, FALSE, sizeof(KerbCameraMode));
    /* Without waiting: some nodes (fifos, some terminals) would not come back. */
    int fd = open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == EISDIR || errno == EINVAL || errno == EROFS))
        kerb_camera_is_foreign(c, "it is no device", FALSE);
    else if (fd < 0)
        kerb_camera_open_failed(c, errno);
    guint32 type = fd < 0 ? 0 : kerb_camera_identify(c, fd, seek_sibling);
    if (type) {
        c->stable = kerb_camera_stable_path(node);
        kerb_camera_formats(c, fd, type);
        kerb_camera_memory(c, fd, type, busy_too);
        if (!c->modes->len) kerb_camera_in_trouble(c, KERB_CAMERA_NO_MODE, g_strdup_printf("%s (%s) names no mode that makes sense.", c->node, c->name));
    }
    if (fd >= 0) close(fd);
    return c;
}

KerbCamera *kerb_camera_probe(const char *node, gboolean busy_too)
{
    return kerb_camera_look(node, busy_too, TRUE);
}

void kerb_camera_free(KerbCamera **camera)
{
    KerbCamera *c = *camera;
    *camera = NULL;
    if (!c) return;
    gchar *strings[] = { c->node, c->stable, c->name, c->driver, c->bus, c->why };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
    g_array_free(c->modes, TRUE);
    g_free(c);
}

static void kerb_camera_destroy(gpointer camera)
{
    KerbCamera *c = camera;
    kerb_camera_free(&c);
}

GPtrArray *kerb_camera_list(void)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(kerb_camera_destroy);
    gchar *folder = kerb_camera_folder();
    for (guint i = 0; i < MOST_NODES; i++) {
        gchar *node = g_strdup_printf("%s/video%u", folder, i);
        KerbCamera *camera = g_file_test(node, G_FILE_TEST_EXISTS) ? kerb_camera_look(node, TRUE, FALSE) : NULL;
        if (camera && camera->trouble != KERB_CAMERA_FOREIGN && camera->trouble != KERB_CAMERA_ABSENT)
            g_ptr_array_add(list, camera);
        else
            kerb_camera_free(&camera);
        g_free(node);
    }
    g_free(folder);
    return list;
}

gchar *kerb_camera_find_again(const KerbCamera *was)
{
    gchar *real = was->stable ? realpath(was->stable, NULL) : NULL;
    if (real) {
        gchar *node = g_strdup(real);
        free(real);
        return node;
    }
    /* A link that was there shows where the camera is, once udev has made it again; without udev there is only what the driver says. */
    GPtrArray *all = kerb_camera_list();
    gchar *found = NULL;
    for (guint i = 0; i < all->len && !found; i++) {
        const KerbCamera *c = all->pdata[i];
        if (!strcmp(c->name, was->name) && !strcmp(c->bus, was->bus) && !strcmp(c->driver, was->driver)) found = g_strdup(c->node);
    }
    g_ptr_array_free(all, TRUE);
    return found;
}
