/* SPDX-License-Identifier: MIT */
/* Cameras of the kernel (V4L2): which are there, what they can do, and which of their modes is the right one.
 *
 * Enters: a device node, and what the driver answers, which may be absurd: endless lists, sizes of zero, rates of thousands. Leaves: a bounded list of modes
 * that are sane, the choice among them, and trouble in words with a remedy. Nothing here streams; a driver may block in any call, so callers who must not
 * wait call from a thread of their own. */
#ifndef KERB_APPS_CAMERA_H
#define KERB_APPS_CAMERA_H

#include <gst/gst.h>

/* Why a camera cannot be used. */
typedef enum KerbCameraTrouble {
    KERB_CAMERA_OK,
    KERB_CAMERA_ABSENT,  /* no such node, or unplugged */
    KERB_CAMERA_DENIED,  /* permission */
    KERB_CAMERA_BUSY,    /* another program streams from it */
    KERB_CAMERA_FOREIGN, /* the node is no camera */
    KERB_CAMERA_NO_MODE, /* it has no mode, or not the one that was asked for */
    KERB_CAMERA_BROKEN,  /* it answers with errors */
} KerbCameraTrouble;

/* One way in which a camera sends frames. */
typedef struct KerbCameraMode {
    guint32 fourcc;          /* V4L2's */
    gint width, height;      /* pixels, 1..KERB_MAX_SIDE_PX */
    gint fps_n, fps_d;       /* 0/1: the driver does not say */
} KerbCameraMode;

typedef struct KerbCamera {
    gchar *node;             /* "/dev/video0" */
    gchar *stable;           /* "/dev/v4l/by-id/..."; NULL: it has none */
    gchar *name, *driver, *bus; /* as the driver says; never NULL once it was probed */
    GArray *modes;           /* of KerbCameraMode, without duplicates: formats in the driver's order, then size, then rate, falling */
    gboolean userptr;        /* it fills buffers that are not its own */
    KerbCameraTrouble trouble;
    gchar *why;              /* a sentence with the remedy; NULL where there is no trouble */
} KerbCamera;

/* What is asked for; zeros: anything. */
typedef struct KerbCameraWish {
    guint32 fourcc;
    gboolean raw;            /* any format that needs no decoder */
    gint width, height;
    gdouble fps;
} KerbCameraWish;

/* "auto", "raw", "MJPEG", "YUYV" or any fourcc, then @WxH, then @FPS. FALSE, having said why. */
gboolean kerb_camera_wish_parse(KerbCameraWish *wish, const char *text);

/* Never NULL: a camera that cannot be used says so in `trouble`. With `busy_too`, one that another program streams from is in trouble. */
KerbCamera *kerb_camera_probe(const char *node, gboolean busy_too);
void kerb_camera_free(KerbCamera **camera);
/* All nodes that are cameras, in trouble or not, by number; of KerbCamera, freed with the array. Nodes that are none (metadata, codecs) are left out. */
GPtrArray *kerb_camera_list(void);

/* Where the camera is now that was found as `was` (its stable path, else its name and place on the bus); NULL: it is away. */
gchar *kerb_camera_find_again(const KerbCamera *was);

/* The index of the mode for this wish: what reaches size and rate (1280 x 720 at 30 where none are asked for) at the least cost. -1: there is none; then
 * *nearest (may be NULL) is a list in words of those that come near. */
gint kerb_camera_choose(const KerbCamera *camera, const KerbCameraWish *wish, gchar **nearest);
/* The mode that comes nearest to one that is no longer there. -1: there is no mode at all. */
gint kerb_camera_nearest(const KerbCamera *camera, const KerbCameraMode *mode);

gboolean kerb_camera_mode_is_readable(const KerbCameraMode *mode);
/* GStreamer's caps for a mode; NULL: Kerb does not read this format. */
GstCaps *kerb_camera_mode_caps(const KerbCameraMode *mode);
gboolean kerb_camera_mode_is_raw(const KerbCameraMode *mode);
gdouble kerb_camera_mode_fps(const KerbCameraMode *mode);
/* "MJPEG 1280 x 720, 30 fps" */
gchar *kerb_camera_mode_text(const KerbCameraMode *mode);
/* "MJPEG", "YUYV", "0x1234abcd" */
gchar *kerb_camera_format_name(guint32 fourcc);

#endif
