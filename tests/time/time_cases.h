/* SPDX-License-Identifier: MIT */
/* A world for the tests of the time room: an endless random texture with a class at every place, seen by a camera that moves as it is told, so that
 * the true displacement and the true labels of every pixel are known by arithmetic. */
#ifndef KERB_TESTS_TIME_CASES_H
#define KERB_TESTS_TIME_CASES_H

#include "out/out_cases.h"

#include <time.h>

/* Where the pixel centre (x, y) of a frame lies in the world: turned and scaled about the frame's centre, then shifted. */
typedef struct KerbView {
    double shift_x, shift_y, zoom, turn_rad;
    double gain, offset; /* of the light */
    uint32_t world;      /* another number is another scene */
} KerbView;

#define KERB_VIEW_STILL { .zoom = 1, .gain = 1, .world = 1 }

typedef struct KerbWorld {
    int width, height;
} KerbWorld;

KERB_UNUSED static void kerb_view_place(const KerbWorld *w, const KerbView *v, double x, double y, double *wx, double *wy)
{
    double cx = x - w->width / 2.0, cy = y - w->height / 2.0, c = cos(v->turn_rad), s = sin(v->turn_rad);
    *wx = (c * cx - s * cy) / v->zoom + v->shift_x;
    *wy = (s * cx + c * cy) / v->zoom + v->shift_y;
}

/* The inverse: where a place of the world is in a frame. */
KERB_UNUSED static void kerb_view_pixel(const KerbWorld *w, const KerbView *v, double wx, double wy, double *x, double *y)
{
    double dx = (wx - v->shift_x) * v->zoom, dy = (wy - v->shift_y) * v->zoom, c = cos(v->turn_rad), s = sin(v->turn_rad);
    *x = c * dx + s * dy + w->width / 2.0;
    *y = -s * dx + c * dy + w->height / 2.0;
}

KERB_UNUSED static double kerb_world_hash(uint32_t world, int x, int y)
{
    uint32_t h = world * 0x9e3779b9u ^ (uint32_t)x * 0x85ebca6bu ^ (uint32_t)y * 0xc2b2ae35u;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    h = (h ^ h >> 12) * 0x297a2d39u;
    return (h ^ h >> 15) / 4294967296.0;
}

/* Value noise on a grid of `cell` pixels, -1..1. */
KERB_UNUSED static double kerb_world_noise(uint32_t world, double x, double y, double cell)
{
    double gx = floor(x / cell), gy = floor(y / cell), fx = x / cell - gx, fy = y / cell - gy;
    int ix = (int)gx, iy = (int)gy;
    fx = fx * fx * (3 - 2 * fx);
    fy = fy * fy * (3 - 2 * fy);
    double a = kerb_world_hash(world, ix, iy), b = kerb_world_hash(world, ix + 1, iy), c = kerb_world_hash(world, ix, iy + 1),
           d = kerb_world_hash(world, ix + 1, iy + 1);
    return 2 * ((a + fx * (b - a)) * (1 - fy) + (c + fx * (d - c)) * fy) - 1;
}

/* 0..255 */
KERB_UNUSED static double kerb_world_grey(uint32_t world, double x, double y)
{
    return 128 + 60 * kerb_world_noise(world, x, y, 64) + 40 * kerb_world_noise(world + 7, x, y, 24) + 20 * kerb_world_noise(world + 13, x, y, 9);
}

/* Classes 0..4, in blobs of about 50 pixels. */
KERB_UNUSED static int kerb_world_label(double x, double y)
{
    return (int)(2.5 * (kerb_world_noise(99, x, y, 50) + 1)) % 5;
}

KERB_UNUSED static void kerb_world_draw(const KerbWorld *w, const KerbView *v, uint8_t *grey, uint8_t *labels)
{
    for (int y = 0; y < w->height; y++) {
        for (int x = 0; x < w->width; x++) {
            double wx, wy;
            kerb_view_place(w, v, x + 0.5, y + 0.5, &wx, &wy);
            double value = v->gain * kerb_world_grey(v->world, wx, wy) + v->offset;
            if (grey) grey[y * w->width + x] = (uint8_t)fmin(fmax(value + 0.5, 0), 255);
            if (labels) labels[y * w->width + x] = (uint8_t)kerb_world_label(wx, wy);
        }
    }
}

KERB_UNUSED static KerbFrame kerb_grey_frame(uint8_t *grey, int width, int64_t pts_ns)
{
    return (KerbFrame){ .planes = { grey }, .strides = { width }, .pts_ns = pts_ns };
}

KERB_UNUSED static KerbVideoFormat kerb_grey_format(const KerbWorld *w)
{
    return (KerbVideoFormat){ .pixel_format = KERB_FORMAT_GRAY8, .width_px = w->width, .height_px = w->height };
}

#endif
