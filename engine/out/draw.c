/* SPDX-License-Identifier: MIT */
/* Labels + frame -> picture, in the frame's own format. A display becomes a table of 256 entries (kerb_draw_prepare()); a mask is an overlay in
 * which every label is painted, fully, and black where nothing is to be seen; side-by-side is a mask over labels at half size beside the frame
 * at half size. Knows no scores and converts no video. */
#include "out/out.h"

#include "base/memory.h"
#include "out/draw_rows.h"
#include "out/out_pixel.h"

#include <math.h>
#include <string.h>

struct KerbDraw {
    KerbVideoFormat format;
    KerbDrawKernels kernels;
    float matrix[3][4];  /* R'G'B' -> the frame's components */
    uint8_t black[3];    /* components of black */
    KerbVisualize visualize;
    KerbDrawTable table;
};

/* Where a pair of rows lies: for 4:2:0 with its one row of chroma. One row at an odd height's end. */
typedef struct KerbRowPair {
    int width_px, rows;
    const uint8_t *labels[2];
    const uint8_t *src[3];
    int src_stride;
    uint8_t *dst[3];
    int dst_stride;
} KerbRowPair;

/* ---------------------------------------------------------------------------------------------------------- tables */

static int kerb_draw_plane_of_u(KerbPixelFormat f)
{
    return f == KERB_FORMAT_YV12 ? 2 : 1;
}

/* Bytes between neighbouring pixels in plane 0. */
static int kerb_draw_step(KerbPixelFormat f)
{
    switch (f) {
    case KERB_FORMAT_YUY2:
    case KERB_FORMAT_UYVY: return 2;
    case KERB_FORMAT_RGB:
    case KERB_FORMAT_BGR: return 3;
    case KERB_FORMAT_RGBX:
    case KERB_FORMAT_BGRX:
    case KERB_FORMAT_RGBA:
    case KERB_FORMAT_BGRA: return 4;
    default: return 1;
    }
}

static bool kerb_draw_is_bgr(KerbPixelFormat f)
{
    return f == KERB_FORMAT_BGR || f == KERB_FORMAT_BGRX || f == KERB_FORMAT_BGRA;
}

/* A colour in the frame's components: Y U V, the bytes of a pixel in memory order, or grey. */
static void kerb_draw_colour(const KerbDraw *draw, const uint8_t rgb[3], uint8_t out[3])
{
    for (int k = 0; k < 3; k++) {
        const float *m = draw->matrix[k];
        float v = rintf(m[0] * rgb[0] + m[1] * rgb[1] + m[2] * rgb[2] + m[3]);
        out[k] = (uint8_t)(v > 0.0f ? v < 255.0f ? v : 255.0f : 0.0f);
    }
    if (kerb_draw_is_bgr(draw->format.pixel_format)) {
        uint8_t red = out[0];
        out[0] = out[2];
        out[2] = red;
    }
}

KerbStatus kerb_draw_new(KerbDraw **out, const KerbVideoFormat *format, unsigned cpu_flags, KerbError *error)
{
    *out = NULL;
    KerbStatus status = kerb_video_format_check(format, error);
    if (status != KERB_OK) return status;
    KerbDraw *draw = kerb_alloc(sizeof(*draw));
    if (!draw) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for drawing (%zu bytes)", sizeof(*draw));
    draw->format = *format;
    kerb_draw_kernels(&draw->kernels, cpu_flags);
    kerb_rgb_to_yuv_matrix(format, draw->matrix);
    kerb_draw_colour(draw, (const uint8_t[3]){ 0, 0, 0 }, draw->black);
    *out = draw;
    return KERB_OK;
}

void kerb_draw_free(KerbDraw **draw)
{
    kerb_free(draw);
}

void kerb_draw_prepare(KerbDraw *draw, const KerbDisplay *display)
{
    KerbDrawTable *t = &draw->table;
    bool mask = display->visualize == KERB_VISUALIZE_MASK || display->visualize == KERB_VISUALIZE_SIDE_BY_SIDE;
    draw->visualize = display->visualize;
    t->alpha = mask ? KERB_PX_ALPHA_ONE : kerb_px_alpha(display->alpha);
    for (int label = 0; label < 256; label++) {
        bool shown = display->enabled[label] && label != KERB_LABEL_NONE;
        uint8_t colour[3] = { 0, 0, 0 };
        if (shown) kerb_draw_colour(draw, display->rgb[label], colour);
        else if (mask) memcpy(colour, draw->black, 3);
        t->painted[label] = shown || mask;
        for (int k = 0; k < 3; k++) t->colour[k][label] = colour[k];
    }
    t->common = 255;
    while (t->common > 0) {
        int l = t->common - 1;
        bool same = t->painted[l] == t->painted[255];
        for (int k = 0; k < 3; k++) same = same && t->colour[k][l] == t->colour[k][255];
        if (!same) break;
        t->common = l;
    }
}

const KerbDrawTable *kerb_draw_table(const KerbDraw *draw)
{
    return &draw->table;
}

/* --------------------------------------------------------------------------------------------------------- overlay */

/* Labels [x, x + n) of one row; an odd end is repeated, so that the chroma under it averages what is there. */
static void kerb_draw_expand(const KerbDraw *draw, const uint8_t *labels, int x, int n, KerbDrawChunk *chunk)
{
    draw->kernels.expand(&draw->table, labels + x, n, chunk);
    if (n & 1) {
        chunk->painted[n] = chunk->painted[n - 1];
        for (int k = 0; k < 3; k++) chunk->colour[k][n] = chunk->colour[k][n - 1];
    }
}

/* n pixels of one row, in plane 0. */
static void kerb_draw_plane0(const KerbDraw *draw, uint8_t *dst, const uint8_t *src, const KerbDrawChunk *chunk, int n)
{
    const KerbDrawKernels *k = &draw->kernels;
    int alpha = draw->table.alpha;
    switch (draw->format.pixel_format) {
    case KERB_FORMAT_YUY2: k->packed422(dst, src, chunk, false, alpha, (n + 1) / 2); break;
    case KERB_FORMAT_UYVY: k->packed422(dst, src, chunk, true, alpha, (n + 1) / 2); break;
    case KERB_FORMAT_RGB:
    case KERB_FORMAT_BGR: k->rgb3(dst, src, chunk, alpha, n); break;
    case KERB_FORMAT_RGBX:
    case KERB_FORMAT_BGRX:
    case KERB_FORMAT_RGBA:
    case KERB_FORMAT_BGRA: k->rgb4(dst, src, chunk, alpha, n); break;
    default: k->luma(dst, src, chunk, alpha, n); break;
    }
}

/* Chroma under pixels [x, x + n) of a pair of rows. */
static void kerb_draw_chroma(const KerbDraw *draw, const KerbRowPair *pair, const KerbDrawChunk *upper, const KerbDrawChunk *lower, int x, int n)
{
    const KerbDrawKernels *k = &draw->kernels;
    KerbPixelFormat f = draw->format.pixel_format;
    int alpha = draw->table.alpha, at = x / 2, samples = (n + 1) / 2;
    if (f == KERB_FORMAT_I420 || f == KERB_FORMAT_YV12) {
        int u = kerb_draw_plane_of_u(f), v = 3 - u;
        k->chroma(pair->dst[u] + at, pair->src[u] + at, upper, lower, 1, alpha, samples);
        k->chroma(pair->dst[v] + at, pair->src[v] + at, upper, lower, 2, alpha, samples);
    } else {
        k->chroma_pairs(pair->dst[1] + 2 * at, pair->src[1] + 2 * at, upper, lower, f == KERB_FORMAT_NV21 ? 2 : 1, alpha, samples);
    }
}

static void kerb_draw_pair(const KerbDraw *draw, const KerbRowPair *pair)
{
    KerbDrawChunk chunks[2];
    int step = kerb_draw_step(draw->format.pixel_format);
    bool chroma = kerb_format_is_420(draw->format.pixel_format);
    for (int x = 0; x < pair->width_px; x += KERB_DRAW_CHUNK) {
        int n = pair->width_px - x < KERB_DRAW_CHUNK ? pair->width_px - x : KERB_DRAW_CHUNK;
        for (int row = 0; row < pair->rows; row++) {
            kerb_draw_expand(draw, pair->labels[row], x, n, &chunks[row]);
            kerb_draw_plane0(draw, pair->dst[0] + (size_t)row * (size_t)pair->dst_stride + (size_t)x * (size_t)step,
                             pair->src[0] + (size_t)row * (size_t)pair->src_stride + (size_t)x * (size_t)step, &chunks[row], n);
        }
        if (chroma) kerb_draw_chroma(draw, pair, &chunks[0], &chunks[pair->rows - 1], x, n);
    }
}

/* The planes of a frame at row y (even); chroma at y / 2. */
static void kerb_draw_rows_at(const KerbDraw *draw, const KerbFrame *frame, int y, uint8_t *planes[3])
{
    for (int p = 0; p < 3; p++) planes[p] = NULL;
    for (int p = 0; p < kerb_pixel_format_planes(draw->format.pixel_format); p++)
        planes[p] = frame->planes[p] + (size_t)(p ? y / 2 : y) * (size_t)frame->strides[p];
}

static KerbRowPair kerb_draw_pair_at(const KerbDraw *draw, const KerbFrame *frame, KerbMap labels, const KerbFrame *picture, int y, int y1)
{
    KerbRowPair pair = { .width_px = draw->format.width_px, .rows = y1 - y < 2 ? 1 : 2, .src_stride = frame->strides[0],
                         .dst_stride = picture->strides[0] };
    uint8_t *src[3];
    kerb_draw_rows_at(draw, frame, y, src);
    kerb_draw_rows_at(draw, picture, y, pair.dst);
    for (int p = 0; p < 3; p++) pair.src[p] = src[p];
    for (int row = 0; row < pair.rows; row++) pair.labels[row] = labels.data + (size_t)(y + row) * (size_t)labels.stride;
    return pair;
}

/* ---------------------------------------------------------------------------------------------------- side by side */

static void kerb_draw_black(const KerbDraw *draw, const KerbRowPair *pair)
{
    KerbPixelFormat f = draw->format.pixel_format;
    size_t width = (size_t)pair->width_px, half = (width + 1) / 2;
    for (int row = 0; row < pair->rows; row++) {
        uint8_t *dst = pair->dst[0] + (size_t)row * (size_t)pair->dst_stride;
        switch (kerb_draw_step(f)) {
        case 1: memset(dst, draw->black[0], width); break;
        case 2:
            for (size_t i = 0; i < 2 * half; i++) {
                dst[2 * i + (f == KERB_FORMAT_UYVY)] = draw->black[0];
                dst[2 * i + (f == KERB_FORMAT_YUY2)] = draw->black[1];
            }
            break;
        case 3: memset(dst, 0, 3 * width); break;
        default:
            memset(dst, 0, 4 * width);
            for (size_t i = 0; i < width; i++) dst[4 * i + 3] = 255;
        }
    }
    if (f == KERB_FORMAT_I420 || f == KERB_FORMAT_YV12) {
        memset(pair->dst[1], draw->black[1], half);
        memset(pair->dst[2], draw->black[2], half);
    } else if (f == KERB_FORMAT_NV12 || f == KERB_FORMAT_NV21) {
        memset(pair->dst[1], draw->black[1], 2 * half);
    }
}

/* One row of n pixels (even) of YUY2 or UYVY at half size: luma over 2x2 pixels, chroma over 2x2 macropixels. */
static void kerb_draw_halve_422(uint8_t *dst, const uint8_t *upper, const uint8_t *lower, int y, int n)
{
    for (int i = 0; i < n; i++) {
        int at = 4 * i + y;
        dst[2 * i + y] = kerb_px_mean4(upper[at], upper[at + 2], lower[at], lower[at + 2]);
    }
    for (int i = 0; i < n / 2; i++)
        for (int k = 1 - y; k < 4; k += 2) {
            int at = 8 * i + k;
            dst[4 * i + k] = kerb_px_mean4(upper[at], upper[at + 4], lower[at], lower[at + 4]);
        }
}

/* The frame at half size into `pair`, whose first row is row `y` of the view. */
static void kerb_draw_half_frame(const KerbDraw *draw, const KerbFrame *frame, const KerbRowPair *pair, int y)
{
    const KerbDrawKernels *k = &draw->kernels;
    KerbPixelFormat f = draw->format.pixel_format;
    int n = pair->width_px, step = kerb_draw_step(f);
    for (int row = 0; row < pair->rows; row++) {
        const uint8_t *upper = frame->planes[0] + (size_t)(2 * (y + row)) * (size_t)frame->strides[0], *lower = upper + frame->strides[0];
        uint8_t *dst = pair->dst[0] + (size_t)row * (size_t)pair->dst_stride;
        if (step == 2) kerb_draw_halve_422(dst, upper, lower, f == KERB_FORMAT_UYVY, n);
        else k->halve(dst, upper, lower, step, n);
        if (step == 4)
            for (int i = 0; i < n; i++) dst[4 * i + 3] = 255;
    }
    for (int p = 1; p < kerb_pixel_format_planes(f); p++) {
        const uint8_t *upper = frame->planes[p] + (size_t)y * (size_t)frame->strides[p];
        k->halve(pair->dst[p], upper, upper + frame->strides[p], f == KERB_FORMAT_NV12 || f == KERB_FORMAT_NV21 ? 2 : 1, n / 2);
    }
}

/* The labels of view rows y and y + 1 (the upper left of each 2x2) as a mask, `left` pixels into the picture. */
static void kerb_draw_half_mask(const KerbDraw *draw, KerbMap labels, KerbRowPair pair, int y, int left)
{
    uint8_t half[2][KERB_MAX_SIDE_PX / 2];
    KerbPixelFormat f = draw->format.pixel_format;
    bool pairs = f == KERB_FORMAT_NV12 || f == KERB_FORMAT_NV21;
    for (int row = 0; row < pair.rows; row++) {
        const uint8_t *line = labels.data + (size_t)(2 * (y + row)) * (size_t)labels.stride;
        for (int i = 0; i < pair.width_px; i++) half[row][i] = line[2 * i];
        pair.labels[row] = half[row];
    }
    pair.dst[0] += left * kerb_draw_step(f);
    for (int p = 1; p < kerb_pixel_format_planes(f); p++) pair.dst[p] += pairs ? left : left / 2;
    for (int p = 0; p < 3; p++) pair.src[p] = pair.dst[p]; /* painted over in full */
    pair.src_stride = pair.dst_stride;
    kerb_draw_pair(draw, &pair);
}

static void kerb_draw_side_by_side(const KerbDraw *draw, const KerbFrame *frame, KerbMap labels, const KerbFrame *picture, int y, int y1)
{
    int width = kerb_px_half_side(draw->format.width_px), height = kerb_px_half_side(draw->format.height_px);
    int top = kerb_px_half_top(draw->format.height_px);
    KerbRowPair pair = kerb_draw_pair_at(draw, frame, labels, picture, y, y1);
    kerb_draw_black(draw, &pair);
    if (y < top || y >= top + height || !width) return;
    pair.width_px = width;
    kerb_draw_half_frame(draw, frame, &pair, y - top);
    kerb_draw_half_mask(draw, labels, pair, y - top, width);
}

/* -------------------------------------------------------------------------------------------------------------- rows */

static void kerb_draw_copy(const KerbDraw *draw, const KerbFrame *frame, const KerbFrame *picture, int y0, int y1)
{
    KerbPixelFormat f = draw->format.pixel_format;
    for (int p = 0; p < kerb_pixel_format_planes(f); p++) {
        if (frame->planes[p] == picture->planes[p]) continue;
        bool halved = p > 0;
        int begin = halved ? y0 / 2 : y0, end = halved ? (y1 + 1) / 2 : y1;
        for (int y = begin; y < end; y++)
            memcpy(picture->planes[p] + (size_t)y * (size_t)picture->strides[p], frame->planes[p] + (size_t)y * (size_t)frame->strides[p],
                   (size_t)kerb_plane_row_bytes(f, p, draw->format.width_px));
    }
}

void kerb_draw_rows(const KerbDraw *draw, const KerbFrame *frame, KerbMap labels, const KerbFrame *picture, int y0, int y1)
{
    if (draw->visualize == KERB_VISUALIZE_NONE) {
        kerb_draw_copy(draw, frame, picture, y0, y1);
        return;
    }
    for (int y = y0; y < y1; y += 2) {
        if (draw->visualize == KERB_VISUALIZE_SIDE_BY_SIDE) {
            kerb_draw_side_by_side(draw, frame, labels, picture, y, y1);
            continue;
        }
        KerbRowPair pair = kerb_draw_pair_at(draw, frame, labels, picture, y, y1);
        kerb_draw_pair(draw, &pair);
    }
}
