/* SPDX-License-Identifier: MIT */
/* Textures, drawing in YUV, layout; see view_picture.h. */
#include "view_picture.h"
#include "say.h"

#include <math.h>
#include <string.h>

#define NEUTRAL 128

static const struct {
    GstVideoFormat gst;
    KerbPixelFormat kerb;
    Uint32 sdl;
} kerb_view_formats[] = {
    { GST_VIDEO_FORMAT_I420, KERB_FORMAT_I420, SDL_PIXELFORMAT_IYUV },   { GST_VIDEO_FORMAT_YV12, KERB_FORMAT_YV12, SDL_PIXELFORMAT_YV12 },
    { GST_VIDEO_FORMAT_NV12, KERB_FORMAT_NV12, SDL_PIXELFORMAT_NV12 },   { GST_VIDEO_FORMAT_NV21, KERB_FORMAT_NV21, SDL_PIXELFORMAT_NV21 },
    { GST_VIDEO_FORMAT_YUY2, KERB_FORMAT_YUY2, SDL_PIXELFORMAT_YUY2 },   { GST_VIDEO_FORMAT_UYVY, KERB_FORMAT_UYVY, SDL_PIXELFORMAT_UYVY },
    { GST_VIDEO_FORMAT_RGB, KERB_FORMAT_RGB, SDL_PIXELFORMAT_RGB24 },    { GST_VIDEO_FORMAT_BGR, KERB_FORMAT_BGR, SDL_PIXELFORMAT_BGR24 },
    { GST_VIDEO_FORMAT_RGBx, KERB_FORMAT_RGBX, SDL_PIXELFORMAT_RGBA32 }, { GST_VIDEO_FORMAT_BGRx, KERB_FORMAT_BGRX, SDL_PIXELFORMAT_BGRA32 },
    { GST_VIDEO_FORMAT_RGBA, KERB_FORMAT_RGBA, SDL_PIXELFORMAT_RGBA32 }, { GST_VIDEO_FORMAT_BGRA, KERB_FORMAT_BGRA, SDL_PIXELFORMAT_BGRA32 },
    { GST_VIDEO_FORMAT_GRAY8, KERB_FORMAT_I420, SDL_PIXELFORMAT_IYUV }, /* with chroma planes of no colour, so that classes have theirs */
};

struct KerbViewPicture {
    SDL_Renderer *renderer;
    SDL_Texture *frame, *painted;
    Uint32 sdl_format;
    GstVideoInfo info;
    KerbVideoFormat format; /* what is uploaded; matrix and range are those that the renderer converts with */
    gboolean gray;
    gchar *words;
    KerbDrawer *drawer;
    KerbFrame canvas; /* what the drawer draws into */
    guint8 *memory, *neutral;
    gboolean frame_is_up; /* the texture `frame` holds the present frame */
    KerbViewMode mode;    /* of the last draw */
    SDL_Rect areas[2];    /* where the frame's pixels lie; w 0: nowhere */
    int divider_px;
};

const char *kerb_view_mode_name(KerbViewMode mode)
{
    static const char *const names[KERB_VIEW_MODES] = { "overlay", "mask", "side by side", "split: frame | overlay", "split: frame | mask", "frame" };
    return names[mode];
}

/* ---------------------------------------------------------------------------------------------------------------- making */

/* SDL converts BT.601 and BT.709 of limited range, and BT.601 of full range. Where the video is something else the nearest is taken: the range before the
 * matrix, for a wrong range is seen in every grey. Class colours are computed for what is taken, so they are right in any case. */
static void kerb_view_picture_colors(KerbViewPicture *p)
{
    const GstVideoColorimetry *c = &p->info.colorimetry;
    gboolean full = p->gray || c->range == GST_VIDEO_COLOR_RANGE_0_255;
    gboolean is_601 = c->matrix == GST_VIDEO_COLOR_MATRIX_BT601 || c->matrix == GST_VIDEO_COLOR_MATRIX_FCC ||
                      (c->matrix == GST_VIDEO_COLOR_MATRIX_UNKNOWN && p->info.height <= 576);
    p->format.range = full ? KERB_RANGE_FULL : KERB_RANGE_LIMITED;
    p->format.matrix = full || is_601 ? KERB_MATRIX_BT601 : KERB_MATRIX_BT709;
    SDL_SetYUVConversionMode(full ? SDL_YUV_CONVERSION_JPEG : is_601 ? SDL_YUV_CONVERSION_BT601 : SDL_YUV_CONVERSION_BT709);
    const char *matrix = is_601 ? "BT.601" : c->matrix == GST_VIDEO_COLOR_MATRIX_BT2020 ? "BT.2020" : "BT.709";
    const char *name = gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&p->info));
    p->words = GST_VIDEO_INFO_IS_YUV(&p->info) ? g_strdup_printf("%s, %s%s", name, matrix, full ? ", full range" : "") : g_strdup(name);
}

static gboolean kerb_view_picture_canvas(KerbViewPicture *p)
{
    KerbError error = { 0 };
    gsize bytes = 0;
    for (int i = 0; i < kerb_pixel_format_planes(p->format.pixel_format); i++)
        bytes += (gsize)kerb_plane_row_bytes(p->format.pixel_format, i, p->format.width_px) * (gsize)kerb_plane_rows(p->format.pixel_format, i, p->format.height_px);
    p->memory = g_try_malloc0(bytes);
    if (!p->memory || kerb_drawer_new(&p->drawer, &p->format, &error) != KERB_OK) {
        kerb_say("%s", p->memory ? error.message : "there is no memory for pictures of this size.");
        return FALSE;
    }
    guint8 *at = p->memory;
    for (int i = 0; i < kerb_pixel_format_planes(p->format.pixel_format); i++) {
        p->canvas.strides[i] = (int)kerb_plane_row_bytes(p->format.pixel_format, i, p->format.width_px);
        p->canvas.planes[i] = at;
        at += (gsize)p->canvas.strides[i] * (gsize)kerb_plane_rows(p->format.pixel_format, i, p->format.height_px);
    }
    if (p->gray) {
        gsize chroma = (gsize)p->canvas.strides[1] * (gsize)kerb_plane_rows(p->format.pixel_format, 1, p->format.height_px);
        p->neutral = g_malloc(chroma);
        memset(p->neutral, NEUTRAL, chroma);
    }
    return TRUE;
}

KerbViewPicture *kerb_view_picture_new(SDL_Renderer *renderer, const GstVideoInfo *info)
{
    gsize i = 0;
    while (i < G_N_ELEMENTS(kerb_view_formats) && kerb_view_formats[i].gst != GST_VIDEO_INFO_FORMAT(info)) i++;
    if (i == G_N_ELEMENTS(kerb_view_formats)) {
        kerb_say("video of format %s cannot be shown.", gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(info)));
        return NULL;
    }
    KerbViewPicture *p = g_new0(KerbViewPicture, 1);
    p->renderer = renderer;
    p->info = *info;
    p->gray = kerb_view_formats[i].gst == GST_VIDEO_FORMAT_GRAY8;
    p->sdl_format = kerb_view_formats[i].sdl;
    p->divider_px = -1;
    p->format = (KerbVideoFormat){ .pixel_format = kerb_view_formats[i].kerb, .width_px = info->width, .height_px = info->height,
                                   .chroma_site = info->chroma_site & GST_VIDEO_CHROMA_SITE_H_COSITED ? KERB_CHROMA_LEFT : KERB_CHROMA_CENTRE };
    kerb_view_picture_colors(p); /* before the textures are made */
    p->frame = SDL_CreateTexture(renderer, p->sdl_format, SDL_TEXTUREACCESS_STREAMING, info->width, info->height);
    p->painted = p->frame ? SDL_CreateTexture(renderer, p->sdl_format, SDL_TEXTUREACCESS_STREAMING, info->width, info->height) : NULL;
    if (!p->painted) kerb_say("pictures of %d x %d cannot be shown: %s.", info->width, info->height, SDL_GetError());
    if (!p->painted || !kerb_view_picture_canvas(p)) kerb_view_picture_free(&p);
    if (!p) return NULL;
    SDL_SetTextureBlendMode(p->frame, SDL_BLENDMODE_NONE); /* an alpha channel is not the window's business */
    SDL_SetTextureBlendMode(p->painted, SDL_BLENDMODE_NONE);
    return p;
}

void kerb_view_picture_free(KerbViewPicture **picture)
{
    KerbViewPicture *p = *picture;
    if (!p) return;
    if (p->frame) SDL_DestroyTexture(p->frame);
    if (p->painted) SDL_DestroyTexture(p->painted);
    kerb_drawer_free(&p->drawer);
    g_free(p->memory);
    g_free(p->neutral);
    g_free(p->words);
    g_clear_pointer(picture, g_free);
}

gboolean kerb_view_picture_fits(const KerbViewPicture *p, const GstVideoInfo *info)
{
    return p->info.width == info->width && p->info.height == info->height && GST_VIDEO_INFO_FORMAT(&p->info) == GST_VIDEO_INFO_FORMAT(info) &&
           p->info.par_n == info->par_n && p->info.par_d == info->par_d && gst_video_colorimetry_is_equal(&p->info.colorimetry, &info->colorimetry);
}

const char *kerb_view_picture_format(const KerbViewPicture *p)
{
    return p->words;
}

/* ------------------------------------------------------------------------------------------------------------- uploading */

static void kerb_view_picture_upload(SDL_Texture *texture, Uint32 format, const KerbFrame *f)
{
    switch (format) {
    case SDL_PIXELFORMAT_IYUV: SDL_UpdateYUVTexture(texture, NULL, f->planes[0], f->strides[0], f->planes[1], f->strides[1], f->planes[2], f->strides[2]); break;
    case SDL_PIXELFORMAT_YV12: SDL_UpdateYUVTexture(texture, NULL, f->planes[0], f->strides[0], f->planes[2], f->strides[2], f->planes[1], f->strides[1]); break;
    case SDL_PIXELFORMAT_NV12:
    case SDL_PIXELFORMAT_NV21: SDL_UpdateNVTexture(texture, NULL, f->planes[0], f->strides[0], f->planes[1], f->strides[1]); break;
    default: SDL_UpdateTexture(texture, NULL, f->planes[0], f->strides[0]); break;
    }
}

/* Planes as they lie in memory, which is how the engine counts them. */
static KerbFrame kerb_view_picture_planes(const KerbViewPicture *p, const KerbViewFrame *frame)
{
    KerbFrame f = { .pts_ns = KERB_TIME_NONE };
    for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(&frame->mapped) && i < KERB_MAX_PLANES; i++) {
        f.planes[i] = GST_VIDEO_FRAME_PLANE_DATA(&frame->mapped, i);
        f.strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE(&frame->mapped, i);
    }
    for (int i = 1; p->gray && i < 3; i++) {
        f.planes[i] = p->neutral;
        f.strides[i] = p->canvas.strides[i];
    }
    return f;
}

void kerb_view_picture_set(KerbViewPicture *p, const KerbViewFrame *frame, const KerbDisplay *display, KerbViewMode mode, gboolean is_new)
{
    KerbFrame planes = kerb_view_picture_planes(p, frame);
    if (is_new) p->frame_is_up = FALSE;
    if (mode != KERB_VIEW_MODE_OVERLAY && mode != KERB_VIEW_MODE_MASK && !p->frame_is_up) {
        kerb_view_picture_upload(p->frame, p->sdl_format, &planes);
        p->frame_is_up = TRUE;
    }
    if (mode == KERB_VIEW_MODE_FRAME) return;
    if (!frame->meta) { /* nothing is known: the frame stands for what would be painted */
        kerb_view_picture_upload(p->painted, p->sdl_format, &planes);
        return;
    }
    KerbDisplay how = *display;
    how.visualize = mode == KERB_VIEW_MODE_OVERLAY || mode == KERB_VIEW_MODE_SPLIT ? KERB_VISUALIZE_OVERLAY : KERB_VISUALIZE_MASK;
    kerb_drawer_draw(p->drawer, &planes, (KerbMap){ frame->labels.data, frame->meta->stride }, &how, &p->canvas);
    kerb_view_picture_upload(p->painted, p->sdl_format, &p->canvas);
}

/* ---------------------------------------------------------------------------------------------------------------- layout */

static double kerb_view_picture_frame_aspect(const KerbViewPicture *p)
{
    double par = p->info.par_n > 0 && p->info.par_d > 0 ? (double)p->info.par_n / p->info.par_d : 1;
    return p->info.width * par / p->info.height;
}

/* The greatest rectangle of this aspect in the middle of `room`. */
static SDL_Rect kerb_view_fit(double aspect, SDL_Rect room)
{
    int width = room.w, height = (int)lround(room.w / aspect);
    if (height > room.h) {
        height = room.h;
        width = (int)lround(room.h * aspect);
    }
    width = CLAMP(width, 1, MAX(room.w, 1));
    height = CLAMP(height, 1, MAX(room.h, 1));
    return (SDL_Rect){ room.x + (room.w - width) / 2, room.y + (room.h - height) / 2, width, height };
}

/* The two pictures lie beside each other in a wide window, one above the other in a high one: whichever shows them larger. */
static void kerb_view_picture_pair(KerbViewPicture *p, int out_w, int out_h)
{
    double aspect = kerb_view_picture_frame_aspect(p);
    SDL_Rect beside = kerb_view_fit(2 * aspect, (SDL_Rect){ 0, 0, out_w, out_h }), above = kerb_view_fit(aspect / 2, (SDL_Rect){ 0, 0, out_w, out_h });
    if (beside.w / 2 >= above.w) {
        p->areas[0] = (SDL_Rect){ beside.x, beside.y, MAX(beside.w / 2, 1), beside.h };
        p->areas[1] = (SDL_Rect){ beside.x + p->areas[0].w, beside.y, p->areas[0].w, beside.h };
    } else {
        p->areas[0] = (SDL_Rect){ above.x, above.y, above.w, MAX(above.h / 2, 1) };
        p->areas[1] = (SDL_Rect){ above.x, above.y + p->areas[0].h, above.w, p->areas[0].h };
    }
}

static void kerb_view_picture_split(KerbViewPicture *p, double divider)
{
    SDL_Rect area = p->areas[0];
    p->divider_px = area.x + (int)lround(area.w * CLAMP(divider, 0, 1));
    SDL_RenderCopy(p->renderer, p->frame, NULL, &area);
    /* By clipping, so that both halves are scaled alike and no seam moves. */
    SDL_RenderSetClipRect(p->renderer, &(SDL_Rect){ p->divider_px, area.y, MAX(area.x + area.w - p->divider_px, 1), area.h });
    if (p->divider_px < area.x + area.w) SDL_RenderCopy(p->renderer, p->painted, NULL, &area);
    SDL_RenderSetClipRect(p->renderer, NULL);
}

void kerb_view_picture_draw(KerbViewPicture *p, KerbViewMode mode, double divider, int out_w, int out_h)
{
    p->mode = mode;
    p->divider_px = -1;
    p->areas[0] = kerb_view_fit(kerb_view_picture_frame_aspect(p), (SDL_Rect){ 0, 0, out_w, out_h });
    p->areas[1] = (SDL_Rect){ 0 };
    switch (mode) {
    case KERB_VIEW_MODE_SIDE_BY_SIDE:
        kerb_view_picture_pair(p, out_w, out_h);
        SDL_RenderCopy(p->renderer, p->frame, NULL, &p->areas[0]);
        SDL_RenderCopy(p->renderer, p->painted, NULL, &p->areas[1]);
        break;
    case KERB_VIEW_MODE_SPLIT:
    case KERB_VIEW_MODE_SPLIT_MASK: kerb_view_picture_split(p, divider); break;
    case KERB_VIEW_MODE_FRAME: SDL_RenderCopy(p->renderer, p->frame, NULL, &p->areas[0]); break;
    default: SDL_RenderCopy(p->renderer, p->painted, NULL, &p->areas[0]); break;
    }
}

gboolean kerb_view_picture_at(const KerbViewPicture *p, int x, int y, int *pixel_x, int *pixel_y)
{
    for (int i = 0; i < 2; i++) {
        const SDL_Rect *area = &p->areas[i];
        if (x < area->x || y < area->y || x >= area->x + area->w || y >= area->y + area->h) continue;
        *pixel_x = (int)((2 * (gint64)(x - area->x) + 1) * p->info.width / (2 * area->w));
        *pixel_y = (int)((2 * (gint64)(y - area->y) + 1) * p->info.height / (2 * area->h));
        return TRUE;
    }
    return FALSE;
}

int kerb_view_picture_divider_px(const KerbViewPicture *p)
{
    return p->divider_px;
}

double kerb_view_picture_divider_at(const KerbViewPicture *p, int x)
{
    return CLAMP((double)(x - p->areas[0].x) / MAX(p->areas[0].w, 1), 0, 1);
}
