/* SPDX-License-Identifier: MIT */
/* Frames: formats, checks, colour matrices, and the geometry between a frame and the network's input. */
#include "base/frame.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

typedef struct PlaneLayout {
    int bytes; /* a sample group of this many bytes ... */
    int dx, dy; /* ... covers dx x dy pixels */
} PlaneLayout;

static const struct {
    const char *name;
    int planes;
    PlaneLayout layout[3];
} formats[KERB_FORMAT_COUNT] = {
    [KERB_FORMAT_UNKNOWN] = { "unknown", 0, { { 0 } } },
    [KERB_FORMAT_I420] = { "I420", 3, { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } } },
    [KERB_FORMAT_YV12] = { "YV12", 3, { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } } },
    [KERB_FORMAT_NV12] = { "NV12", 2, { { 1, 1, 1 }, { 2, 2, 2 } } },
    [KERB_FORMAT_NV21] = { "NV21", 2, { { 1, 1, 1 }, { 2, 2, 2 } } },
    [KERB_FORMAT_YUY2] = { "YUY2", 1, { { 4, 2, 1 } } },
    [KERB_FORMAT_UYVY] = { "UYVY", 1, { { 4, 2, 1 } } },
    [KERB_FORMAT_RGB] = { "RGB", 1, { { 3, 1, 1 } } },
    [KERB_FORMAT_BGR] = { "BGR", 1, { { 3, 1, 1 } } },
    [KERB_FORMAT_RGBX] = { "RGBx", 1, { { 4, 1, 1 } } },
    [KERB_FORMAT_BGRX] = { "BGRx", 1, { { 4, 1, 1 } } },
    [KERB_FORMAT_RGBA] = { "RGBA", 1, { { 4, 1, 1 } } },
    [KERB_FORMAT_BGRA] = { "BGRA", 1, { { 4, 1, 1 } } },
    [KERB_FORMAT_GRAY8] = { "GRAY8", 1, { { 1, 1, 1 } } },
};

static KerbPixelFormat known(KerbPixelFormat format)
{
    return format > KERB_FORMAT_UNKNOWN && format < KERB_FORMAT_COUNT ? format : KERB_FORMAT_UNKNOWN;
}

KERB_API const char *kerb_pixel_format_name(KerbPixelFormat format) { return formats[known(format)].name; }
KERB_API int kerb_pixel_format_planes(KerbPixelFormat format) { return formats[known(format)].planes; }

KERB_API int kerb_plane_row_bytes(KerbPixelFormat format, int plane, int width_px)
{
    if (plane < 0 || plane >= kerb_pixel_format_planes(format) || width_px < 1) return 0;
    PlaneLayout l = formats[format].layout[plane];
    return (width_px + l.dx - 1) / l.dx * l.bytes;
}

KERB_API int kerb_plane_rows(KerbPixelFormat format, int plane, int height_px)
{
    if (plane < 0 || plane >= kerb_pixel_format_planes(format) || height_px < 1) return 0;
    int dy = formats[format].layout[plane].dy;
    return (height_px + dy - 1) / dy;
}

bool kerb_format_is_yuv(KerbPixelFormat format) { return format >= KERB_FORMAT_I420 && format <= KERB_FORMAT_UYVY; }
bool kerb_format_is_420(KerbPixelFormat format) { return format >= KERB_FORMAT_I420 && format <= KERB_FORMAT_NV21; }

KerbStatus kerb_video_format_check(const KerbVideoFormat *f, KerbError *error)
{
    if (known(f->pixel_format) == KERB_FORMAT_UNKNOWN)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "pixel format %d is not one that Kerb takes; convert to I420, NV12 or RGB first",
                         (int)f->pixel_format);
    if (f->width_px < 1 || f->height_px < 1 || f->width_px > KERB_MAX_SIDE_PX || f->height_px > KERB_MAX_SIDE_PX)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "frames of %d x %d pixels cannot be segmented: each side must be 1 to %d",
                         f->width_px, f->height_px, KERB_MAX_SIDE_PX);
    if (f->matrix < KERB_MATRIX_BT601 || f->matrix > KERB_MATRIX_BT2020 || f->range < KERB_RANGE_LIMITED || f->range > KERB_RANGE_FULL ||
        f->chroma_site < KERB_CHROMA_LEFT || f->chroma_site > KERB_CHROMA_CENTRE)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "colorimetry matrix %d, range %d, chroma site %d: not values of kerb.h",
                         (int)f->matrix, (int)f->range, (int)f->chroma_site);
    return KERB_OK;
}

KerbStatus kerb_frame_check(const KerbVideoFormat *f, const KerbFrame *frame, const char *what, KerbError *error)
{
    for (int p = 0; p < kerb_pixel_format_planes(f->pixel_format); p++) {
        int need = kerb_plane_row_bytes(f->pixel_format, p, f->width_px);
        if (!frame->planes[p])
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s: plane %d of %s is missing", what, p, kerb_pixel_format_name(f->pixel_format));
        if (frame->strides[p] < need)
            return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s: stride %d of plane %d is shorter than its row of %d bytes", what,
                             frame->strides[p], p, need);
    }
    return KERB_OK;
}

/* ---- colour */

static void luma_weights(KerbMatrix matrix, double *kr, double *kb)
{
    switch (matrix) {
    case KERB_MATRIX_BT709: *kr = 0.2126, *kb = 0.0722; break;
    case KERB_MATRIX_BT2020: *kr = 0.2627, *kb = 0.0593; break;
    default: *kr = 0.299, *kb = 0.114; break;
    }
}

static void identity(float m[3][4])
{
    memset(m, 0, 12 * sizeof(float));
    m[0][0] = m[1][1] = m[2][2] = 1;
}

/* Bytes a unit of Y' and of C (-0.5..0.5) takes, and the byte of black. */
static void range_of(KerbRange range, double *y_span, double *c_span, double *y_zero)
{
    bool limited = range == KERB_RANGE_LIMITED;
    *y_span = limited ? 219 : 255;
    *c_span = limited ? 224 : 255;
    *y_zero = limited ? 16 : 0;
}

void kerb_yuv_to_rgb_matrix(const KerbVideoFormat *format, float m[3][4])
{
    identity(m);
    if (format->pixel_format == KERB_FORMAT_GRAY8) {
        m[1][0] = m[2][0] = 1;
        m[1][1] = m[2][2] = 0;
        return;
    }
    if (!kerb_format_is_yuv(format->pixel_format)) return;
    double kr, kb, ys, cs, y0;
    luma_weights(format->matrix, &kr, &kb);
    range_of(format->range, &ys, &cs, &y0);
    double kg = 1 - kr - kb, y = 255 / ys, c = 255 / cs;
    /* R = Y + 2(1-kr) Cr;  B = Y + 2(1-kb) Cb;  G = (Y - kr R - kb B) / kg */
    double rows[3][3] = { { y, 0, 2 * (1 - kr) * c },
                          { y, -2 * (1 - kb) * kb / kg * c, -2 * (1 - kr) * kr / kg * c },
                          { y, 2 * (1 - kb) * c, 0 } };
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) m[i][j] = (float)rows[i][j];
        m[i][3] = (float)(-rows[i][0] * y0 - (rows[i][1] + rows[i][2]) * 128);
    }
}

void kerb_rgb_to_yuv_matrix(const KerbVideoFormat *format, float m[3][4])
{
    identity(m);
    bool gray = format->pixel_format == KERB_FORMAT_GRAY8;
    if (!gray && !kerb_format_is_yuv(format->pixel_format)) return;
    double kr, kb, ys, cs, y0;
    luma_weights(gray ? KERB_MATRIX_BT601 : format->matrix, &kr, &kb);
    range_of(gray ? KERB_RANGE_FULL : format->range, &ys, &cs, &y0);
    double kg = 1 - kr - kb, y = ys / 255, u = cs / 255 / (2 * (1 - kb)), v = cs / 255 / (2 * (1 - kr));
    double rows[3][4] = { { kr * y, kg * y, kb * y, y0 },
                          { -kr * u, -kg * u, (1 - kb) * u, 128 },
                          { (1 - kr) * v, -kg * v, -kb * v, 128 } };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) m[i][j] = (float)rows[i][j];
}

/* ---- geometry */

static int clamp_int(double v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : (int)v; }

/* The largest w x h inside `limit_w` x `limit_h` with the aspect of `w` : `h`, rounded to whole pixels. */
static void inscribe(int w, int h, int limit_w, int limit_h, int *out_w, int *out_h)
{
    double scale = fmin((double)limit_w / w, (double)limit_h / h);
    *out_w = clamp_int(floor(w * scale + 0.5), 1, limit_w);
    *out_h = clamp_int(floor(h * scale + 0.5), 1, limit_h);
}

void kerb_geometry_init(KerbGeometry *g, int frame_w, int frame_h, int net_w, int net_h, KerbFit fit)
{
    *g = (KerbGeometry){ .frame_width_px = frame_w, .frame_height_px = frame_h, .net_width_px = net_w, .net_height_px = net_h,
                         .net_x1 = net_w, .net_y1 = net_h, .frame_x1 = frame_w, .frame_y1 = frame_h };
    int w, h;
    if (fit == KERB_FIT_LETTERBOX) {
        inscribe(frame_w, frame_h, net_w, net_h, &w, &h);
        g->net_x0 = (net_w - w) / 2, g->net_x1 = g->net_x0 + w;
        g->net_y0 = (net_h - h) / 2, g->net_y1 = g->net_y0 + h;
    } else if (fit == KERB_FIT_CROP) {
        inscribe(net_w, net_h, frame_w, frame_h, &w, &h);
        g->frame_x0 = (frame_w - w) / 2, g->frame_x1 = g->frame_x0 + w;
        g->frame_y0 = (frame_h - h) / 2, g->frame_y1 = g->frame_y0 + h;
    }
    g->scale_x = (double)(g->frame_x1 - g->frame_x0) / (g->net_x1 - g->net_x0);
    g->scale_y = (double)(g->frame_y1 - g->frame_y0) / (g->net_y1 - g->net_y0);
    g->offset_x = g->frame_x0 - g->net_x0 * g->scale_x;
    g->offset_y = g->frame_y0 - g->net_y0 * g->scale_y;
}
