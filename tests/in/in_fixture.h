/* SPDX-License-Identifier: MIT */
/* What the tests of `in` share: frames with guard bytes, a slow double implementation of in.h's contract, written from its words and
 * without its code, and the comparison. Header only: each test is one file. */
#ifndef KERB_TESTS_IN_FIXTURE_H
#define KERB_TESTS_IN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cpu.h"
#include "base/memory.h"
#include "in/in.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 0xA5
#define GUARD_BYTES 64
/* On the scale of 0..255: float arithmetic of a few hundred operations at most; far below a step of 8 bits. */
#define TOLERANCE 1e-3

static inline uint32_t fixture_random(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

/* ---- frames */

typedef struct FixtureFrame {
    KerbFrame frame;
    uint8_t *memory[KERB_MAX_PLANES]; /* each plane is its own block, so that a sanitizer sees a byte too far */
    size_t bytes[KERB_MAX_PLANES];
} FixtureFrame;

static inline KerbVideoFormat fixture_format(KerbPixelFormat format, int w, int h, KerbMatrix matrix, KerbRange range, KerbChromaSite site)
{
    return (KerbVideoFormat){.pixel_format = format, .width_px = w, .height_px = h, .matrix = matrix, .range = range, .chroma_site = site};
}

/* stride_extra guard bytes after each row (none after the last: it ends where the block ends). smooth: low frequencies, else noise. */
static inline FixtureFrame fixture_frame_new(const KerbVideoFormat *f, int stride_extra, uint32_t seed, bool smooth)
{
    FixtureFrame r;
    memset(&r, 0, sizeof r);
    uint32_t state = seed * 2654435761u + 1;
    for (int p = 0; p < kerb_pixel_format_planes(f->pixel_format); p++) {
        int row = kerb_plane_row_bytes(f->pixel_format, p, f->width_px), rows = kerb_plane_rows(f->pixel_format, p, f->height_px);
        int stride = row + stride_extra;
        r.bytes[p] = (size_t)stride * (size_t)(rows - 1) + (size_t)row;
        r.memory[p] = malloc(r.bytes[p]);
        assert_non_null(r.memory[p]);
        memset(r.memory[p], GUARD, r.bytes[p]);
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < row; x++) {
                double wave =
                    128 + 90 * sin(0.05 * x + p) * cos(0.07 * y) + 30 * sin(0.011 * x * (1 + p)) + (double)(fixture_random(&state) % 5);
                r.memory[p][(size_t)y * (size_t)stride + (size_t)x] = smooth ? (uint8_t)wave : (uint8_t)(fixture_random(&state) >> 11);
            }
        r.frame.planes[p] = r.memory[p];
        r.frame.strides[p] = stride;
    }
    r.frame.pts_ns = KERB_TIME_NONE;
    return r;
}

static inline void fixture_frame_free(FixtureFrame *f)
{
    for (int p = 0; p < KERB_MAX_PLANES; p++) free(f->memory[p]);
    memset(f, 0, sizeof *f);
}

/* ---- the slow implementation */

typedef enum FixtureComponent { FIXTURE_FIRST, FIXTURE_SECOND, FIXTURE_THIRD } FixtureComponent; /* Y U V, or R G B */

static inline int fixture_subsampled_x(KerbPixelFormat f, int c) { return c > 0 && f <= KERB_FORMAT_UYVY; }
static inline int fixture_subsampled_y(KerbPixelFormat f, int c) { return c > 0 && f <= KERB_FORMAT_NV21; }

static inline double fixture_sample(const KerbVideoFormat *f, const KerbFrame *frame, int c, int x, int y)
{
    const uint8_t *const *p = (const uint8_t *const *)frame->planes;
    const int *s = frame->strides;
    switch (f->pixel_format) {
    case KERB_FORMAT_I420: return p[c][y * s[c] + x];
    case KERB_FORMAT_YV12: return c == 0 ? p[0][y * s[0] + x] : p[3 - c][y * s[3 - c] + x];
    case KERB_FORMAT_NV12: return c == 0 ? p[0][y * s[0] + x] : p[1][y * s[1] + 2 * x + (c == 2)];
    case KERB_FORMAT_NV21: return c == 0 ? p[0][y * s[0] + x] : p[1][y * s[1] + 2 * x + (c == 1)];
    case KERB_FORMAT_YUY2: return c == 0 ? p[0][y * s[0] + 2 * x] : p[0][y * s[0] + 4 * x + (c == 1 ? 1 : 3)];
    case KERB_FORMAT_UYVY: return c == 0 ? p[0][y * s[0] + 2 * x + 1] : p[0][y * s[0] + 4 * x + (c == 1 ? 0 : 2)];
    case KERB_FORMAT_RGB: return p[0][y * s[0] + 3 * x + c];
    case KERB_FORMAT_BGR: return p[0][y * s[0] + 3 * x + 2 - c];
    case KERB_FORMAT_RGBX:
    case KERB_FORMAT_RGBA: return p[0][y * s[0] + 4 * x + c];
    case KERB_FORMAT_BGRX:
    case KERB_FORMAT_BGRA: return p[0][y * s[0] + 4 * x + 2 - c];
    default: return p[0][y * s[0] + x];
    }
}

/* Y'CbCr -> R'G'B' from the definition: undo the range, then R = Y + 2(1-kr)Cr, B = Y + 2(1-kb)Cb, G from Y = kr R + kg G + kb B. */
static inline void fixture_rgb(const KerbVideoFormat *f, const double s[3], double rgb[3])
{
    if (f->pixel_format == KERB_FORMAT_GRAY8) {
        rgb[0] = rgb[1] = rgb[2] = s[0];
    } else if (f->pixel_format > KERB_FORMAT_UYVY) {
        memcpy(rgb, s, 3 * sizeof *s);
    } else {
        static const double k[3][2] = { { 0.299, 0.114 }, { 0.2126, 0.0722 }, { 0.2627, 0.0593 } };
        double kr = k[f->matrix][0], kb = k[f->matrix][1];
        bool limited = f->range == KERB_RANGE_LIMITED;
        double y = limited ? (s[0] - 16) / 219 : s[0] / 255, cb = (s[1] - 128) / (limited ? 224 : 255),
               cr = (s[2] - 128) / (limited ? 224 : 255);
        double r = y + 2 * (1 - kr) * cr, b = y + 2 * (1 - kb) * cb;
        rgb[0] = 255 * r, rgb[2] = 255 * b, rgb[1] = 255 * (y - kr * r - kb * b) / (1 - kr - kb);
    }
    for (int c = 0; c < 3; c++) rgb[c] = rgb[c] < 0 ? 0 : rgb[c] > 255 ? 255 : rgb[c];
}

/* Weights of all `size` samples for output i of an axis. */
static inline void fixture_weights(double *w, int size, double scale, double offset, int i)
{
    for (int j = 0; j < size; j++) w[j] = 0;
    if (scale <= 2) {
        double p = (i + 0.5) * scale + offset - 0.5;
        p = p < 0 ? 0 : p > size - 1 ? size - 1 : p;
        int a = (int)floor(p);
        w[a] += 1 - (p - a);
        if (a + 1 < size) w[a + 1] += p - a;
        return;
    }
    double begin = i * scale + offset, end = begin + scale;
    for (int j = 0; j < size; j++) {
        double a = j == 0 ? -INFINITY : j, b = j == size - 1 ? INFINITY : j + 1;
        double overlap = fmin(end, b) - fmax(begin, a);
        if (overlap > 0) w[j] = overlap / scale;
    }
}

typedef struct FixtureTaps { int start, n; const double *w; } FixtureTaps;

/* Dense weight rows with the zeros at both ends left out. */
static inline FixtureTaps *fixture_axis(double **weights, int size, double scale, double offset, int first, int n)
{
    FixtureTaps *taps = malloc((size_t)n * sizeof *taps);
    *weights = malloc((size_t)n * (size_t)size * sizeof **weights);
    assert_true(taps && *weights);
    for (int i = 0; i < n; i++) {
        double *w = *weights + (size_t)i * (size_t)size;
        fixture_weights(w, size, scale, offset, first + i);
        int a = 0, b = size;
        while (a < b - 1 && w[a] == 0) a++;
        while (b > a + 1 && w[b - 1] == 0) b--;
        taps[i] = (FixtureTaps){ a, b - a, w + a };
    }
    return taps;
}

/* One component at the network's grid (the part that shows the frame): into out[y][x]. */
static inline double *fixture_component(const KerbVideoFormat *f, const KerbGeometry *g, const KerbFrame *frame, int c)
{
    int nx = g->net_x1 - g->net_x0, ny = g->net_y1 - g->net_y0;
    int sx = fixture_subsampled_x(f->pixel_format, c), sy = fixture_subsampled_y(f->pixel_format, c);
    int w = sx ? (f->width_px + 1) / 2 : f->width_px, h = sy ? (f->height_px + 1) / 2 : f->height_px;
    /* Sample j of a subsampled axis is centred at frame coordinate 2j + 1 (centre) or 2j + 0.5 (left); at j + 0.5 of its own axis. */
    double scale_x = g->scale_x / (1 + sx), scale_y = g->scale_y / (1 + sy);
    double offset_x = sx ? (g->offset_x - (f->chroma_site == KERB_CHROMA_LEFT ? 0.5 : 1.0)) / 2 + 0.5 : g->offset_x;
    double offset_y = sy ? g->offset_y / 2 : g->offset_y;
    double *wx, *wy, *out = malloc((size_t)nx * (size_t)ny * sizeof *out);
    FixtureTaps *tx = fixture_axis(&wx, w, scale_x, offset_x, g->net_x0, nx), *ty = fixture_axis(&wy, h, scale_y, offset_y, g->net_y0, ny);
    assert_non_null(out);
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            double sum = 0;
            for (int j = 0; j < ty[y].n; j++) {
                double row = 0;
                for (int i = 0; i < tx[x].n; i++) row += tx[x].w[i] * fixture_sample(f, frame, c, tx[x].start + i, ty[y].start + j);
                sum += ty[y].w[j] * row;
            }
            out[(size_t)y * (size_t)nx + (size_t)x] = sum;
        }
    free(tx), free(ty), free(wx), free(wy);
    return out;
}

/* channels x H x W, before rounding to the tensor's type. */
static inline double *fixture_reference(const KerbInParams *p, const KerbFrame *frame)
{
    const KerbGeometry *g = &p->geometry;
    int channels = p->color == KERB_COLOR_GRAY ? 1 : 3, n_components = p->format.pixel_format == KERB_FORMAT_GRAY8 ? 1 : 3;
    size_t plane = (size_t)g->net_width_px * (size_t)g->net_height_px;
    double *out = calloc(plane * (size_t)channels, sizeof *out), *component[3] = { NULL, NULL, NULL };
    assert_non_null(out);
    for (int c = 0; c < n_components; c++) component[c] = fixture_component(&p->format, g, frame, c);
    size_t i = 0;
    for (int y = g->net_y0; y < g->net_y1; y++)
        for (int x = g->net_x0; x < g->net_x1; x++, i++) {
            double s[3] = { 0, 0, 0 }, rgb[3];
            for (int c = 0; c < n_components; c++) s[c] = component[c][i];
            fixture_rgb(&p->format, s, rgb);
            for (int c = 0; c < channels; c++) {
                double v = channels == 1 ? 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] : rgb[p->color == KERB_COLOR_BGR ? 2 - c : c];
                out[(size_t)c * plane + (size_t)y * (size_t)g->net_width_px + (size_t)x] = (v - p->mean[c]) / p->std[c];
            }
        }
    for (int c = 0; c < 3; c++) free(component[c]);
    return out;
}

/* ---- running and comparing */

typedef enum FixtureLayout { FIXTURE_NCHW, FIXTURE_NHWC, FIXTURE_NHWC4, FIXTURE_NHWC8, FIXTURE_ODD, FIXTURE_LAYOUTS } FixtureLayout;

/* Parameters of a whole case; the tensor has no memory yet. */
static inline KerbInParams fixture_params(KerbVideoFormat format, int net_w, int net_h, KerbFit fit, KerbColor color, KerbDtype dtype,
                                          FixtureLayout layout)
{
    KerbInParams p = { .format = format, .color = color, .cpu_flags = kerb_cpu_flags(),
                       .mean = { 123.675f, 116.28f, 103.53f }, .std = { 58.395f, 57.12f, 57.375f } };
    kerb_geometry_init(&p.geometry, format.width_px, format.height_px, net_w, net_h, fit);
    int64_t dims[4] = { 1, color == KERB_COLOR_GRAY ? 1 : 3, net_h, net_w };
    if (layout == FIXTURE_NCHW) {
        p.input = kerb_tensor(NULL, dtype, 4, dims);
    } else {
        int64_t padded = layout == FIXTURE_NHWC ? dims[1] : layout == FIXTURE_NHWC4 ? 4 : 8;
        p.input = kerb_tensor_channels_last(NULL, dtype, 4, dims, padded);
    }
    if (layout == FIXTURE_ODD) { /* rows with a gap, channel stride 2 */
        p.input.strides[1] = 2;
        p.input.strides[3] = 2 * dims[1] + 1;
        p.input.strides[2] = p.input.strides[3] * net_w + 5;
    }
    return p;
}

typedef struct FixtureOutput {
    uint8_t *block; /* guard, tensor, guard; filled with GUARD before */
    size_t bytes;
    KerbTensor tensor;
} FixtureOutput;

static inline FixtureOutput fixture_output_new(const KerbInParams *p)
{
    FixtureOutput o = { .tensor = p->input };
    int64_t last = 1,
            pixel = p->input.strides[1] == 1 && p->input.strides[3] > p->input.dims[1] ? p->input.strides[3] - p->input.dims[1] : 0;
    for (int i = 1; i < 4; i++) last += (p->input.dims[i] - 1) * p->input.strides[i];
    o.bytes = (size_t)(last + pixel) * kerb_dtype_bytes(p->input.dtype);
    o.block = malloc(o.bytes + 2 * GUARD_BYTES);
    assert_non_null(o.block);
    memset(o.block, GUARD, o.bytes + 2 * GUARD_BYTES);
    o.tensor.data = o.block + GUARD_BYTES;
    return o;
}

static inline void fixture_output_free(FixtureOutput *o)
{
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        assert_int_equal(o->block[i], GUARD);
        assert_int_equal(o->block[GUARD_BYTES + o->bytes + i], GUARD);
    }
    free(o->block);
}

static inline void fixture_run(const KerbInParams *p, const KerbFrame *frame, FixtureOutput *o, KerbPool *pool)
{
    KerbIn *in;
    KerbError error;
    if (kerb_in_new(&in, p, &error) != KERB_OK) fail_msg("kerb_in_new: %s", error.message);
    kerb_in_run(in, frame, &o->tensor, pool);
    kerb_in_free(&in);
    assert_null(in);
}

static inline double fixture_value(const KerbTensor *t, int64_t element)
{
    return t->dtype == KERB_F32 ? (double)((const float *)t->data)[element]
                                : (double)kerb_bf16_to_f32(((const uint16_t *)t->data)[element]);
}

/* Largest difference on the scale of 0..255, less what rounding to bf16 may take (half a step: at most 2^-8 of the value). */
static inline double fixture_difference(const KerbInParams *p, const KerbTensor *t, const double *reference)
{
    double worst = 0;
    size_t r = 0;
    for (int c = 0; c < t->dims[1]; c++)
        for (int y = 0; y < t->dims[2]; y++)
            for (int x = 0; x < t->dims[3]; x++, r++) {
                double v = fixture_value(t, c * t->strides[1] + y * t->strides[2] + x * t->strides[3]);
                double d = fabs(v - reference[r]) - (t->dtype == KERB_BF16 ? fabs(reference[r]) / 256 : 0);
                if (!(d * p->std[c] <= worst)) worst = isnan(d) ? INFINITY : d * p->std[c];
            }
    return worst;
}

static inline void fixture_check_padding(const KerbTensor *t)
{
    if (t->strides[1] != 1 || t->strides[3] <= t->dims[1]) return;
    for (int y = 0; y < t->dims[2]; y++)
        for (int x = 0; x < t->dims[3]; x++)
            for (int64_t c = t->dims[1]; c < t->strides[3]; c++)
                assert_true(fixture_value(t, c + y * t->strides[2] + x * t->strides[3]) == 0);
}

/* Runs and compares with the slow implementation. Fails with the whole case in the message. */
static inline void fixture_check(const KerbInParams *p, int stride_extra, uint32_t seed)
{
    FixtureFrame frame = fixture_frame_new(&p->format, stride_extra, seed, false);
    FixtureOutput o = fixture_output_new(p);
    fixture_run(p, &frame.frame, &o, NULL);
    double *reference = fixture_reference(p, &frame.frame);
    double worst = fixture_difference(p, &o.tensor, reference);
    if (!(worst <= TOLERANCE))
        fail_msg(
            "%s %dx%d matrix %d range %d site %d -> %dx%d (shown %d..%d x %d..%d) colour %d %s strides %d,%d flags %x seed %u: off by %g",
            kerb_pixel_format_name(p->format.pixel_format), p->format.width_px, p->format.height_px, p->format.matrix, p->format.range,
            p->format.chroma_site, p->geometry.net_width_px, p->geometry.net_height_px, p->geometry.net_x0, p->geometry.net_x1,
            p->geometry.net_y0, p->geometry.net_y1, p->color, kerb_dtype_name(p->input.dtype), (int)p->input.strides[1],
            (int)p->input.strides[3], p->cpu_flags, seed, worst);
    fixture_check_padding(&o.tensor);
    free(reference);
    fixture_output_free(&o);
    fixture_frame_free(&frame);
}

#endif
