/* SPDX-License-Identifier: MIT */
/* Box means over the luma bytes of a frame. Bytes are summed row by row into 16 bits (which the compiler makes vectors of), then across. */
#include "time/luma.h"

#include <math.h>
#include <string.h>

/* Where luma lies in a row: `bytes` of each pixel's `stride` bytes, from `first` on. */
typedef struct KerbLumaLayout {
    int first, bytes, stride;
} KerbLumaLayout;

static KerbLumaLayout kerb_luma_layout(KerbPixelFormat format)
{
    switch (format) {
    case KERB_FORMAT_YUY2: return (KerbLumaLayout){ 0, 1, 2 };
    case KERB_FORMAT_UYVY: return (KerbLumaLayout){ 1, 1, 2 };
    case KERB_FORMAT_RGB:
    case KERB_FORMAT_BGR: return (KerbLumaLayout){ 0, 3, 3 };
    case KERB_FORMAT_RGBX:
    case KERB_FORMAT_BGRX:
    case KERB_FORMAT_RGBA:
    case KERB_FORMAT_BGRA: return (KerbLumaLayout){ 0, 3, 4 };
    default: return (KerbLumaLayout){ 0, 1, 1 };
    }
}

KerbLuma kerb_luma(const KerbVideoFormat *format)
{
    KerbLuma luma = { .format = *format };
    int w = format->width_px, h = format->height_px;
    int factor = (int)lround(sqrt((double)w * h / KERB_LUMA_PIXELS));
    int side = w < h ? w : h;
    if (factor > side) factor = side; /* a frame that is a line */
    luma.factor = factor < 1 ? 1 : factor > 255 ? 255 : factor;
    luma.width = w / luma.factor;
    luma.height = h / luma.factor;
    return luma;
}

size_t kerb_luma_scratch_elements(const KerbLuma *luma)
{
    return ((size_t)luma->width * (size_t)luma->factor * (size_t)kerb_luma_layout(luma->format.pixel_format).stride + 1) / 2;
}

void kerb_luma_shrink(const KerbLuma *luma, const KerbFrame *frame, float *dst, int pitch)
{
    KerbLumaLayout layout = kerb_luma_layout(luma->format.pixel_format);
    uint16_t *sums = (uint16_t *)luma->sums; /* at most 255 rows of 255 */
    int f = luma->factor, n = luma->width * f * layout.stride;
    float scale = 1.0f / (float)(f * f * layout.bytes);
    for (int y = 0; y < luma->height; y++) {
        const uint8_t *row = frame->planes[0] + (size_t)y * (size_t)f * (size_t)frame->strides[0];
        for (int i = 0; i < n; i++) sums[i] = row[i];
        for (int r = 1; r < f; r++) {
            row += frame->strides[0];
            for (int i = 0; i < n; i++) sums[i] = (uint16_t)(sums[i] + row[i]);
        }
        const uint16_t *at = sums + layout.first;
        for (int x = 0; x < luma->width; x++) {
            uint32_t sum = 0;
            for (int i = 0; i < f; i++, at += layout.stride)
                for (int b = 0; b < layout.bytes; b++) sum += at[b];
            dst[(size_t)y * (size_t)pitch + (size_t)x] = (float)sum * scale;
        }
    }
}
