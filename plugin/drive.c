/* SPDX-License-Identifier: MIT */
/* The synthetic drive. A pinhole camera 1.4 m above a flat world looks down the road. Ground: every pixel below the horizon is one point of the
 * plane. Things: billboards (buildings, trees, cars, people), drawn far to near. Positions, sizes and colours come from hashes of the seed and
 * the thing's number, so nothing is stored. */
#include "drive.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define CAMERA_HEIGHT_M 1.4
#define SPEED_MPS 11.0
#define ROAD_HALF_M 7.0
#define PAVEMENT_M 2.6
#define LANE_M 3.5
#define FAR_M 140.0
#define NEAR_M 2.5

const struct DriveClassInfo drive_classes[DRIVE_N_CLASSES] = {
    [DRIVE_SKY] = { "sky", { 70, 130, 180 } },       [DRIVE_BUILDING] = { "building", { 70, 70, 70 } },
    [DRIVE_TREE] = { "tree", { 107, 142, 35 } },     [DRIVE_TERRAIN] = { "terrain", { 152, 251, 152 } },
    [DRIVE_PAVEMENT] = { "pavement", { 244, 35, 232 } }, [DRIVE_ROAD] = { "road", { 128, 64, 128 } },
    [DRIVE_LANE] = { "lane marking", { 255, 220, 0 } },  [DRIVE_CAR] = { "car", { 0, 0, 142 } },
    [DRIVE_PEDESTRIAN] = { "pedestrian", { 220, 20, 60 } },
};

typedef struct Color {
    float r, g, b;
} Color;

typedef struct Canvas {
    const Drive *drive;
    double travelled_m, focal_px, horizon_px, centre_px, sway_m, bend;
    uint8_t *rgb, *labels;
    int rgb_stride, labels_stride;
} Canvas;

/* ---- chance: a finaliser of MurmurHash3 over mixed-in numbers */

static uint32_t hash(uint32_t seed, uint32_t a, uint32_t b)
{
    uint32_t h = seed * 0x9E3779B1u ^ a * 0x85EBCA77u ^ b * 0xC2B2AE3Du;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ h >> 16;
}
static float chance(uint32_t seed, uint32_t a, uint32_t b) { return (float)(hash(seed, a, b) >> 8) * 0x1p-24f; }

/* Smooth noise 0..1 over the plane: bilinear between hashes at whole coordinates. */
static float noise(uint32_t seed, float x, float y)
{
    float fx = floorf(x), fy = floorf(y), u = x - fx, v = y - fy;
    uint32_t ix = (uint32_t)(int32_t)fx, iy = (uint32_t)(int32_t)fy;
    float top = chance(seed, ix, iy) * (1 - u) + chance(seed, ix + 1, iy) * u;
    float bottom = chance(seed, ix, iy + 1) * (1 - u) + chance(seed, ix + 1, iy + 1) * u;
    return top * (1 - v) + bottom * v;
}

static Color shade(Color c, float by) { return (Color){ c.r * by, c.g * by, c.b * by }; }
static Color mix(Color a, Color b, float t) { return (Color){ a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t }; }

/* ---- pixels */

static uint8_t byte_of(float v) { return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f); }

static void put(Canvas *c, int x, int y, Color color, DriveClass label)
{
    uint8_t *p = c->rgb + (size_t)y * (size_t)c->rgb_stride + 3 * (size_t)x;
    p[0] = byte_of(color.r);
    p[1] = byte_of(color.g);
    p[2] = byte_of(color.b);
    c->labels[(size_t)y * (size_t)c->labels_stride + (size_t)x] = (uint8_t)label;
}

/* How much a thing at this distance fades into the air. */
static Color air(const Canvas *c, Color color, double distance_m)
{
    static const Color haze[] = { { 190, 205, 220 }, { 14, 16, 26 }, { 150, 155, 160 } };
    static const double reach_m[] = { 320, 60, 110 };
    DriveWeather w = c->drive->weather;
    return mix(color, haze[w], (float)(1 - exp(-distance_m / reach_m[w])));
}

/* Where the road's middle is, sideways, at this distance. */
static double middle_m(const Canvas *c, double distance_m) { return c->bend * distance_m * distance_m - c->sway_m; }

/* ---- ground and sky */

static Color sky_color(const Canvas *c, int x, int y)
{
    static const Color high[] = { { 90, 140, 215 }, { 6, 8, 18 }, { 125, 130, 138 } };
    static const Color low[] = { { 190, 210, 235 }, { 22, 24, 40 }, { 165, 168, 172 } };
    DriveWeather w = c->drive->weather;
    double up = 1 - y / fmax(c->horizon_px, 1);
    Color color = mix(low[w], high[w], (float)up);
    float scale = 7.0f / (float)c->drive->width_px;
    float cloud = noise(c->drive->seed ^ 0x51u, (float)x * scale, (float)y * scale * 3) * 0.6f +
                  noise(c->drive->seed ^ 0x52u, (float)x * scale * 3, (float)y * scale * 8) * 0.4f;
    if (w == DRIVE_CLEAR && cloud > 0.5f) color = mix(color, (Color){ 250, 250, 252 }, (cloud - 0.5f) * 1.6f);
    return color;
}

/* x_m: right of the road's middle; along_m: distance from the start of the drive. */
static DriveClass ground_class(double x_m, double along_m)
{
    double side = fabs(x_m);
    if (side > ROAD_HALF_M + PAVEMENT_M) return DRIVE_TERRAIN;
    if (side > ROAD_HALF_M) return DRIVE_PAVEMENT;
    if (side > ROAD_HALF_M - 0.45 && side < ROAD_HALF_M - 0.25) return DRIVE_LANE;
    bool dash = fmod(along_m, 9.0) < 4.0;
    if (side < 0.09 || (dash && fabs(side - LANE_M) < 0.09)) return DRIVE_LANE;
    return DRIVE_ROAD;
}

static Color ground_color(const Canvas *c, DriveClass label, double x_m, double along_m, double distance_m)
{
    uint32_t seed = c->drive->seed;
    float grain = noise(seed ^ 0x61u, (float)x_m * 3, (float)along_m * 3) - 0.5f;
    float fine = distance_m < 25 ? noise(seed ^ 0x62u, (float)x_m * 14, (float)along_m * 14) - 0.5f : 0;
    float patch = noise(seed ^ 0x63u, (float)x_m * 0.35f, (float)along_m * 0.2f) - 0.5f;
    float variation = 1 + 0.12f * grain + 0.10f * fine + 0.25f * patch;
    switch (label) {
    case DRIVE_ROAD: return shade((Color){ 92, 92, 96 }, variation);
    case DRIVE_LANE: return shade((Color){ 222, 220, 210 }, 1 + 0.2f * grain);
    case DRIVE_PAVEMENT: {
        bool joint = fmod(along_m, 1.2) < 0.05;
        return shade((Color){ 158, 150, 142 }, variation * (joint ? 0.75f : 1));
    }
    default: return mix(shade((Color){ 88, 122, 58 }, variation), (Color){ 140, 128, 84 }, 0.5f + patch);
    }
}

static void draw_ground_row(Canvas *c, int y)
{
    double distance = c->focal_px * CAMERA_HEIGHT_M / (y + 0.5 - c->horizon_px), along = distance + c->travelled_m;
    double metres_a_px = distance / c->focal_px, middle = middle_m(c, distance);
    bool night = c->drive->weather == DRIVE_NIGHT, rain = c->drive->weather == DRIVE_RAIN;
    for (int x = 0; x < c->drive->width_px; x++) {
        double x_m = (x + 0.5 - c->centre_px) * metres_a_px - middle;
        DriveClass label = ground_class(x_m, along);
        Color color = ground_color(c, label, x_m, along, distance);
        if (rain) color = mix(shade(color, 0.72f), sky_color(c, x, (int)fmax(0, 2 * c->horizon_px - y)), 0.25f);
        if (night) {
            double side = (x + 0.5 - c->centre_px) * metres_a_px;
            color = shade(color, (float)(0.10 + 1.1 * exp(-side * side / (6 + 0.25 * distance)) * exp(-distance / 22)));
        }
        put(c, x, y, air(c, color, distance), label);
    }
}

static void draw_sky_row(Canvas *c, int y)
{
    for (int x = 0; x < c->drive->width_px; x++) {
        Color color = sky_color(c, x, y);
        if (c->drive->weather == DRIVE_NIGHT && chance(c->drive->seed ^ 0x71u, (uint32_t)x, (uint32_t)y) > 0.9992f) color = (Color){ 220, 220, 210 };
        put(c, x, y, color, DRIVE_SKY);
    }
}

/* ---- things */

typedef struct Thing {
    DriveClass label;
    double distance_m, x_m; /* x of the middle of its foot, right of the road's middle */
    double width_m, height_m;
    uint32_t id;
} Thing;

/* Colour of the thing at u (0 left .. 1 right) and v (0 foot .. 1 top); false where it is not. */
static bool building_at(const Canvas *c, const Thing *t, double u, double v, Color *color)
{
    static const Color walls[] = { { 150, 110, 92 }, { 168, 160, 150 }, { 122, 126, 134 }, { 186, 170, 138 }, { 120, 92, 84 } };
    uint32_t seed = c->drive->seed;
    *color = walls[hash(seed, t->id, 1) % 5];
    double wx = u * t->width_m / 2.4, wy = v * t->height_m / 3.1, fx = wx - floor(wx), fy = wy - floor(wy);
    bool window = fx > 0.28 && fx < 0.75 && fy > 0.35 && fy < 0.8 && v < 0.96;
    if (window) {
        bool lit = chance(seed ^ t->id, (uint32_t)wx, (uint32_t)wy) > 0.62f;
        *color = c->drive->weather == DRIVE_NIGHT && lit ? (Color){ 900, 760, 420 } : (Color){ 62, 74, 88 };
    }
    *color = shade(*color, 0.9f + 0.2f * noise(seed ^ t->id, (float)(u * 9), (float)(v * 15)));
    return true;
}

static bool tree_at(const Canvas *c, const Thing *t, double u, double v, Color *color)
{
    double dx = (u - 0.5) * 2, dy = (v - 0.64) / 0.36, edge = noise(c->drive->seed ^ t->id, (float)(u * 9), (float)(v * 12));
    if (dx * dx + dy * dy < 0.72 + 0.42 * edge) {
        float leaf = noise(t->id, (float)(u * 26), (float)(v * 34));
        *color = shade((Color){ 62, 104, 44 }, 0.55f + 0.75f * leaf);
        return true;
    }
    *color = (Color){ 84, 64, 48 };
    return v < 0.45 && fabs(u - 0.5) < 0.055;
}

static bool car_at(const Canvas *c, const Thing *t, double u, double v, Color *color)
{
    static const Color paints[] = { { 176, 30, 34 }, { 36, 62, 138 }, { 214, 214, 216 }, { 48, 50, 54 }, { 132, 138, 142 }, { 224, 196, 66 } };
    bool night = c->drive->weather == DRIVE_NIGHT;
    double side = fabs(u - 0.5) * 2;
    *color = shade(paints[hash(c->drive->seed, t->id, 3) % 6], (float)(0.75 + 0.35 * v));
    if (v < 0.16) { /* wheels, and the dark below */
        *color = (Color){ 22, 22, 24 };
        return side > 0.58 && side < 0.94;
    }
    if (v < 0.56) {
        bool lamp = v > 0.36 && v < 0.48 && side > 0.74 && side < 0.96, plate = v > 0.24 && v < 0.33 && side < 0.26;
        if (lamp) *color = night ? (Color){ 2400, 160, 120 } : (Color){ 190, 26, 26 };
        else if (plate) *color = (Color){ 226, 226, 220 };
        return side < 1.0;
    }
    double roof = 0.92 - 0.30 * (v - 0.56) / 0.44;
    if (side < roof - 0.1 && v < 0.92) *color = (Color){ 44, 54, 66 };
    return side < roof;
}

static bool person_at(const Canvas *c, const Thing *t, double u, double v, Color *color)
{
    uint32_t seed = c->drive->seed;
    double side = (u - 0.5) * 2, stride = 0.35 * sin(c->travelled_m * 0.9 + t->id % 7);
    if (v > 0.86) {
        *color = v > 0.95 ? (Color){ 56, 42, 34 } : (Color){ 204, 160, 132 };
        double dy = (v - 0.93) / 0.07;
        return side * side / 0.12 + dy * dy < 1;
    }
    if (v > 0.46) {
        *color = (Color){ 60 + 180 * chance(seed, t->id, 4), 60 + 150 * chance(seed, t->id, 5), 70 + 150 * chance(seed, t->id, 6) };
        return fabs(side) < 0.72 - 0.3 * (v - 0.46);
    }
    *color = (Color){ 44, 48, 66 };
    double spread = stride * (0.46 - v) / 0.46;
    return fabs(side - spread - 0.18) < 0.2 || fabs(side + spread + 0.18) < 0.2;
}

static void draw_thing(Canvas *c, const Thing *t)
{
    typedef bool (*PaintFn)(const Canvas *, const Thing *, double, double, Color *);
    static const PaintFn paint[DRIVE_N_CLASSES] = {
        [DRIVE_BUILDING] = building_at, [DRIVE_TREE] = tree_at, [DRIVE_CAR] = car_at, [DRIVE_PEDESTRIAN] = person_at
    };
    double px = c->focal_px / t->distance_m, x = c->centre_px + (t->x_m + middle_m(c, t->distance_m)) * px;
    double foot = c->horizon_px + CAMERA_HEIGHT_M * px, left = x - t->width_m * px / 2, top = foot - t->height_m * px;
    int x0 = (int)fmax(0, ceil(left - 0.5)), x1 = (int)fmin(c->drive->width_px, ceil(left + t->width_m * px - 0.5));
    int y0 = (int)fmax(0, ceil(top - 0.5)), y1 = (int)fmin(c->drive->height_px, ceil(foot - 0.5));
    bool night = c->drive->weather == DRIVE_NIGHT;
    float light = night ? (float)(0.10 + 0.8 * exp(-t->x_m * t->x_m / 30) * exp(-t->distance_m / 25)) : c->drive->weather == DRIVE_RAIN ? 0.75f : 1;
    for (int y = y0; y < y1; y++) {
        double v = (foot - y - 0.5) / (t->height_m * px);
        for (int i = x0; i < x1; i++) {
            Color color;
            if (!paint[t->label](c, t, (i + 0.5 - left) / (t->width_m * px), v, &color)) continue;
            put(c, i, y, air(c, shade(color, light), t->distance_m), t->label);
        }
    }
}

/* What stands or drives at slot `n` (a stretch of `pitch` metres) of one row of things; false where the slot is empty or out of sight.
 * `advance_m`: how far the row itself has moved from the start (0 for what stands). */
static bool thing_at(const Canvas *c, DriveClass label, int n, double pitch, double advance_m, uint32_t row, Thing *t)
{
    static const float empty[DRIVE_N_CLASSES] = { [DRIVE_BUILDING] = 0.18f, [DRIVE_TREE] = 0.35f, [DRIVE_CAR] = 0.45f, [DRIVE_PEDESTRIAN] = 0.4f };
    uint32_t seed = c->drive->seed, id = hash(seed ^ row * 977u, (uint32_t)n, 11);
    double jitter = chance(seed, id, 1), sign = row & 1 ? 1 : -1, kerb_m = ROAD_HALF_M + PAVEMENT_M;
    *t = (Thing){ .label = label, .id = id, .distance_m = (n + 0.5 * jitter) * pitch + advance_m - c->travelled_m };
    if (t->distance_m < NEAR_M || t->distance_m > FAR_M || chance(seed, id, 2) < empty[label]) return false;
    float wide = chance(seed, id, 3), tall = chance(seed, id, 4), aside = chance(seed, id, 5);
    switch (label) {
    case DRIVE_BUILDING:
        t->width_m = 10 + 9 * wide, t->height_m = 5 + 17 * tall;
        t->x_m = sign * (kerb_m + 5 + t->width_m / 2 + 6 * aside);
        break;
    case DRIVE_TREE:
        t->width_m = 3 + 2.5 * wide, t->height_m = 4.5 + 4 * tall;
        t->x_m = sign * (kerb_m + 1.8 + 2 * aside);
        break;
    case DRIVE_CAR:
        t->width_m = 1.8, t->height_m = 1.45 + 0.5 * tall;
        t->x_m = sign * LANE_M * (row & 2 ? 1.5 : 0.5) + 0.3 * (jitter - 0.5);
        break;
    default:
        t->width_m = 0.62, t->height_m = 1.55 + 0.35 * tall;
        t->x_m = sign * (ROAD_HALF_M + 0.5 + 1.7 * aside);
        break;
    }
    return true;
}

/* Rows of things: who, how far apart, how fast along the road. Odd rows stand on the right. Cars on the left come towards us. */
static const struct {
    DriveClass label;
    double pitch_m, speed_mps;
} rows[] = {
    { DRIVE_BUILDING, 17, 0 }, { DRIVE_BUILDING, 17, 0 }, { DRIVE_TREE, 11, 0 },          { DRIVE_TREE, 11, 0 },
    { DRIVE_CAR, 34, -9 },     { DRIVE_CAR, 42, 7.5 },    { DRIVE_CAR, 38, -11 },         { DRIVE_CAR, 30, 0 },
    { DRIVE_PEDESTRIAN, 13, 1.2 }, { DRIVE_PEDESTRIAN, 15, -1.1 },
};

static int farther_first(const void *a, const void *b)
{
    const Thing *s = a, *t = b;
    if (s->distance_m != t->distance_m) return s->distance_m > t->distance_m ? -1 : 1;
    return s->id < t->id ? -1 : s->id > t->id;
}

/* Everything that stands up, far to near. */
static void draw_things(Canvas *c, double seconds)
{
    enum { MOST = 256 }; /* the rows hold at most 10 * (FAR_M / 11 + 2) */
    Thing things[MOST];
    size_t n_things = 0;
    for (uint32_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        double advance = rows[r].speed_mps * seconds, pitch = rows[r].pitch_m;
        int first = (int)floor((c->travelled_m - advance) / pitch) - 1, last = (int)ceil((c->travelled_m + FAR_M - advance) / pitch);
        for (int n = first; n <= last && n_things < MOST; n++)
            n_things += thing_at(c, rows[r].label, n, pitch, advance, r, &things[n_things]);
    }
    qsort(things, n_things, sizeof things[0], farther_first);
    for (size_t i = 0; i < n_things; i++) draw_thing(c, &things[i]);
}

static void add_weather(Canvas *c, double seconds)
{
    DriveWeather w = c->drive->weather;
    uint32_t frame = (uint32_t)llround(seconds * 1000);
    float grain = w == DRIVE_NIGHT ? 14 : 5;
    for (int y = 0; y < c->drive->height_px; y++) {
        uint8_t *p = c->rgb + (size_t)y * (size_t)c->rgb_stride;
        for (int x = 0; x < 3 * c->drive->width_px; x++) p[x] = byte_of(p[x] + grain * (chance(frame, (uint32_t)x, (uint32_t)y) - 0.5f));
    }
    if (w != DRIVE_RAIN) return;
    int streaks = c->drive->width_px * c->drive->height_px / 500, length = c->drive->height_px / 24 + 1;
    for (int i = 0; i < streaks; i++) {
        int x = (int)(chance(frame, (uint32_t)i, 21) * (float)c->drive->width_px), y0 = (int)(chance(frame, (uint32_t)i, 22) * (float)c->drive->height_px);
        for (int y = y0; y < y0 + length && y < c->drive->height_px; y++) {
            uint8_t *p = c->rgb + (size_t)y * (size_t)c->rgb_stride + 3 * (size_t)x;
            for (int k = 0; k < 3; k++) p[k] = byte_of(p[k] * 0.75f + 50);
        }
    }
}

void drive_render(const Drive *drive, double seconds, uint8_t *rgb, int rgb_stride, uint8_t *labels, int labels_stride)
{
    Canvas c = { .drive = drive, .travelled_m = SPEED_MPS * seconds, .rgb = rgb, .labels = labels, .rgb_stride = rgb_stride, .labels_stride = labels_stride };
    float place = (float)(c.travelled_m / 90);
    c.focal_px = 0.95 * drive->width_px;
    c.horizon_px = drive->height_px * (0.44 + 0.02 * noise(drive->seed ^ 0x31u, place * 9, 0));
    c.centre_px = drive->width_px * 0.5;
    c.bend = (noise(drive->seed ^ 0x32u, place, 0.5f) - 0.5) * 0.006;
    c.sway_m = LANE_M * 0.5 + 0.5 * (noise(drive->seed ^ 0x33u, place * 3, 0.5f) - 0.5);
    for (int y = 0; y < drive->height_px; y++) {
        if (y + 0.5 <= c.horizon_px + 0.5) draw_sky_row(&c, y);
        else draw_ground_row(&c, y);
    }
    draw_things(&c, seconds);
    add_weather(&c, seconds);
}
