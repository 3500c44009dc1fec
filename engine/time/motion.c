/* SPDX-License-Identifier: MIT */
/* Dense optical flow between small pictures by inverse search.
 *
 * Kroeger, Timofte, Dai, Van Gool: "Fast Optical Flow using Dense Inverse Search", ECCV 2016: on each level of a pyramid patches of 8 x 8 pixels, every
 * four pixels, are matched by the inverse compositional Lucas-Kanade step (Baker, Matthews: "Lucas-Kanade 20 Years On", IJCV 56, 2004), whose
 * Hessian is that of the newest picture's patch and so is computed once; patches then vote for the flow of their pixels with weights
 * 1 / max(1, |difference|). As there, means are taken off patches, and here their contrast
 * too: a cloud, a bridge and the camera's exposure change both. Candidates are
 * passed on between neighbours, as OpenCV's implementation does. Not done: the variational refinement, which costs more than all the rest
 * and moved carried labels by 0.1 points of mIoU.
 *
 * Scene cuts fall out of the matching: a patch is lost where what was found is hardly like it, or where it goes another way than its neighbours.
 * Light that changes by a factor and an offset keeps patches alike, so flashes are no cuts. */
#include "time/motion.h"

#include "base/frame.h"
#include "base/memory.h"
#include "time/motion_patch.h"

#include <math.h>
#include <string.h>

enum {
    KERB_MOTION_LEVELS = 6,
    KERB_MOTION_LEAST = 12,  /* a level's least side */
    KERB_MOTION_STEP = 4,    /* from patch to patch */
    KERB_MOTION_BORDER = 12, /* pixels around a picture, repeated: patches may lie outside but for one pixel */
    KERB_MOTION_DESCENTS = 5,/* at most, a pass; two passes */
};

/* Added to the Hessian's diagonal, 64 pixels of slope 1: where there is nothing to see, patches stay where the coarser level put them. */
static const float KERB_MOTION_STIFFNESS = 64.0f;
static const float KERB_MOTION_STILL_PX = 0.02f; /* a descent this short is the last */
/* A neighbour's candidate must be this much better: on a plain surface noise decides otherwise. */
static const float KERB_MOTION_BETTER = 0.9f;
/* A patch says something about cuts where both its and the found one's variance sum up to twice a deviation of 3 grey levels. */
static const float KERB_MOTION_TEXTURE = 2 * 64 * 9.0f;
/* 1 - correlation: 0 for the same, 1 for strangers. In strangers too the search finds something that is alike, but in all directions: neighbours
 * that part by more than KERB_MOTION_STRAY_PX count too. Measured (docs/live.md): up to 44 % of the patches of frames that follow each
 * other, at least 83 % of those across a cut. */
static const float KERB_MOTION_UNLIKE = 0.2f;
static const float KERB_MOTION_STRAY_PX = 2.0f;
/* Added to variances where the gain between two patches is estimated: plain ones have a gain of 1. */
static const float KERB_MOTION_STEADY = 64 * 16.0f;
/* Fewer textured patches than this share of all decide nothing. */
static const float KERB_MOTION_LEAST_TEXTURED = 0.02f;

typedef struct KerbMatch {
    float u, v;   /* displacement */
    float cost;   /* sum of squares, mean and gain taken off */
    float mean;   /* of the difference */
    float unlike; /* see KERB_MOTION_UNLIKE; < 0: no texture */
} KerbMatch;

typedef struct KerbLevel {
    int width, height, pitch, across, down; /* across x down patches */
    float *newest, *older;                  /* pixel (0, 0) */
    float *slope_x, *slope_y, *weight, *u, *v;
    KerbMatch *matches;
    float *memory;
} KerbLevel;

struct KerbMotion {
    KerbLuma luma;
    KerbPatchKernels kernels;
    int n_levels; /* 0: frames too small to have motion */
    KerbLevel levels[KERB_MOTION_LEVELS]; /* finest first */
    bool has_newest;
    float lost;
};

/* ------------------------------------------------------------------------------------------------------------ life */

static int kerb_level_patches(int side) { return (side - KERB_PATCH + KERB_MOTION_STEP - 1) / KERB_MOTION_STEP + 1; }
/* The last patch ends where the picture ends. */
static int kerb_level_patch_px(int index, int side)
{
    int px = index * KERB_MOTION_STEP;
    return px < side - KERB_PATCH ? px : side - KERB_PATCH;
}

static bool kerb_level_init(KerbLevel *l, int width, int height)
{
    l->width = width;
    l->height = height;
    l->pitch = width + 2 * KERB_MOTION_BORDER;
    l->across = kerb_level_patches(width);
    l->down = kerb_level_patches(height);
    size_t plane = (size_t)l->pitch * (size_t)(height + 2 * KERB_MOTION_BORDER), first = (size_t)KERB_MOTION_BORDER * (size_t)(l->pitch + 1);
    l->memory = kerb_alloc(7 * plane * sizeof(float));
    l->matches = kerb_alloc((size_t)l->across * (size_t)l->down * sizeof *l->matches);
    if (!l->memory || !l->matches) return false;
    float **planes[] = { &l->newest, &l->older, &l->slope_x, &l->slope_y, &l->weight, &l->u, &l->v };
    for (size_t i = 0; i < 7; i++) *planes[i] = l->memory + i * plane + first;
    return true;
}

KerbStatus kerb_motion_new(KerbMotion **out, const KerbVideoFormat *format, unsigned cpu_flags, KerbError *error)
{
    *out = NULL;
    KerbMotion *m = kerb_alloc(sizeof *m);
    if (!m) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to measure motion (%zu bytes)", sizeof *m);
    m->luma = kerb_luma(format);
    kerb_patch_kernels(&m->kernels, cpu_flags);
    m->luma.sums = kerb_alloc(kerb_luma_scratch_elements(&m->luma) * sizeof *m->luma.sums);
    bool ok = m->luma.sums != NULL;
    int w = m->luma.width, h = m->luma.height;
    for (; ok && m->n_levels < KERB_MOTION_LEVELS && w >= KERB_MOTION_LEAST && h >= KERB_MOTION_LEAST; w /= 2, h /= 2)
        ok = kerb_level_init(&m->levels[m->n_levels++], w, h);
    if (!ok) {
        kerb_motion_free(&m);
        return kerb_fail(error, KERB_ERROR_MEMORY, "no memory to measure motion between frames of %d x %d pixels", format->width_px, format->height_px);
    }
    *out = m;
    return KERB_OK;
}

void kerb_motion_free(KerbMotion **motion)
{
    if (!motion || !*motion) return;
    KerbMotion *m = *motion;
    kerb_free(&m->luma.sums);
    for (int i = 0; i < KERB_MOTION_LEVELS; i++) {
        kerb_free(&m->levels[i].memory);
        kerb_free(&m->levels[i].matches);
    }
    kerb_free(motion);
}

void kerb_motion_size(const KerbMotion *m, int *width, int *height, int *factor)
{
    *width = m->luma.width;
    *height = m->luma.height;
    *factor = m->luma.factor;
}

float kerb_motion_lost(const KerbMotion *m) { return m->lost; }
void kerb_motion_reset(KerbMotion *m) { m->has_newest = false; }

/* -------------------------------------------------------------------------------------------------------- pictures */

static void kerb_level_extend(const KerbLevel *l, float *picture)
{
    for (int y = 0; y < l->height; y++) {
        float *row = picture + y * l->pitch;
        for (int i = 1; i <= KERB_MOTION_BORDER; i++) {
            row[-i] = row[0];
            row[l->width - 1 + i] = row[l->width - 1];
        }
    }
    size_t bytes = (size_t)l->pitch * sizeof(float);
    for (int i = 1; i <= KERB_MOTION_BORDER; i++) {
        memcpy(picture - i * l->pitch - KERB_MOTION_BORDER, picture - KERB_MOTION_BORDER, bytes);
        memcpy(picture + (l->height - 1 + i) * l->pitch - KERB_MOTION_BORDER, picture + (l->height - 1) * l->pitch - KERB_MOTION_BORDER, bytes);
    }
}

static void kerb_level_slopes(const KerbLevel *l)
{
    for (int y = 0; y < l->height; y++) {
        const float *p = l->newest + y * l->pitch;
        float *dx = l->slope_x + y * l->pitch, *dy = l->slope_y + y * l->pitch;
        for (int x = 0; x < l->width; x++) {
            dx[x] = 0.5f * (p[x + 1] - p[x - 1]);
            dy[x] = 0.5f * (p[x + l->pitch] - p[x - l->pitch]);
        }
    }
}

static void kerb_level_halve(const KerbLevel *fine, const KerbLevel *l)
{
    for (int y = 0; y < l->height; y++) {
        const float *a = fine->newest + 2 * y * fine->pitch, *b = a + fine->pitch;
        float *to = l->newest + y * l->pitch;
        for (int x = 0; x < l->width; x++) to[x] = 0.25f * ((a[2 * x] + a[2 * x + 1]) + (b[2 * x] + b[2 * x + 1]));
    }
}

static void kerb_motion_pictures(KerbMotion *m, const KerbFrame *frame)
{
    for (int i = 0; i < m->n_levels; i++) {
        KerbLevel *l = &m->levels[i];
        float *newest = l->older;
        l->older = l->newest;
        l->newest = newest;
        if (i) kerb_level_halve(l - 1, l);
        else kerb_luma_shrink(&m->luma, frame, l->newest, l->pitch);
        kerb_level_extend(l, l->newest);
        kerb_level_slopes(l);
    }
}

/* --------------------------------------------------------------------------------------------------------- matching */

/* One patch and what its descents need. */
typedef struct KerbSearch {
    const KerbMotion *motion;
    const KerbLevel *level;
    int x, y; /* upper left pixel */
    KerbPatch patch;
    float slope_x, slope_y;    /* sums */
    float px, py;              /* slope * pixel, means taken off */
    float ixx, ixy, iyy;       /* the Hessian's inverse */
    float variance;            /* 64 times */
} KerbSearch;

static KerbSearch kerb_search(const KerbMotion *m, const KerbLevel *l, int x, int y)
{
    int at = y * l->pitch + x;
    KerbSearch s = { .motion = m, .level = l, .x = x, .y = y, .patch = { l->newest + at, l->slope_x + at, l->slope_y + at, l->pitch } };
    KerbPatchOwn own;
    m->kernels.own(&s.patch, &own);
    const float n = KERB_PATCH * KERB_PATCH;
    float xx = own.xx - own.x * own.x / n + KERB_MOTION_STIFFNESS, yy = own.yy - own.y * own.y / n + KERB_MOTION_STIFFNESS;
    float xy = own.xy - own.x * own.y / n, det = xx * yy - xy * xy;
    s.slope_x = own.x;
    s.slope_y = own.y;
    s.ixx = yy / det;
    s.ixy = -xy / det;
    s.iyy = xx / det;
    s.variance = own.pp - own.p * own.p / n;
    s.px = own.xp - own.x * own.p / n;
    s.py = own.yp - own.y * own.p / n;
    return s;
}

static inline float kerb_between(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

/* Where the older patch at a displacement lies; clamped so that at most one pixel of it is inside. */
static const float *kerb_search_at(const KerbSearch *s, float u, float v, float *fx, float *fy)
{
    const KerbLevel *l = s->level;
    float x = kerb_between((float)s->x + u, -KERB_PATCH, (float)l->width), y = kerb_between((float)s->y + v, -KERB_PATCH, (float)l->height);
    int ix = (int)(x + KERB_PATCH) - KERB_PATCH, iy = (int)(y + KERB_PATCH) - KERB_PATCH; /* rounded down */
    *fx = x - (float)ix;
    *fy = y - (float)iy;
    return l->older + iy * l->pitch + ix;
}

/* The match at a displacement, and the next step of the descent. */
static KerbMatch kerb_search_compare(const KerbSearch *s, float u, float v, float *step_u, float *step_v)
{
    const float n = KERB_PATCH * KERB_PATCH;
    KerbPatchSums sums;
    float fx, fy;
    const float *older = kerb_search_at(s, u, v, &fx, &fy);
    s->motion->kernels.compare(&s->patch, older, fx, fy, &sums);
    float variance = sums.pp - sums.p * sums.p / n, both = s->variance * variance, squares = sums.dd - sums.d * sums.d / n;
    float covariance = 0.5f * (s->variance + variance - squares);
    float gain = kerb_between((covariance + KERB_MOTION_STEADY) / (s->variance + KERB_MOTION_STEADY), 0.25f, 4.0f);
    float bx = (sums.xd - s->slope_x * sums.d / n + s->px) / gain - s->px, by = (sums.yd - s->slope_y * sums.d / n + s->py) / gain - s->py;
    *step_u = -(s->ixx * bx + s->ixy * by);
    *step_v = -(s->ixy * bx + s->iyy * by);
    KerbMatch m = { .u = u, .v = v, .cost = variance - 2 * gain * covariance + gain * gain * s->variance, .mean = sums.d / n, .unlike = -1 };
    if (s->variance + variance < KERB_MOTION_TEXTURE) return m;
    m.unlike = both > 0 ? 1 - covariance / sqrtf(both) : 1;
    if (m.unlike < 0) m.unlike = 0; /* by rounding */
    return m;
}

static void kerb_search_descend(const KerbSearch *s, KerbMatch *best, float step_u, float step_v)
{
    float from_u = best->u, from_v = best->v;
    for (int i = 0; i < KERB_MOTION_DESCENTS; i++) {
        float u = best->u + step_u, v = best->v + step_v;
        if (fabsf(u - from_u) > KERB_PATCH || fabsf(v - from_v) > KERB_PATCH) return;
        if (fabsf(step_u) < KERB_MOTION_STILL_PX && fabsf(step_v) < KERB_MOTION_STILL_PX) return;
        KerbMatch match = kerb_search_compare(s, u, v, &step_u, &step_v);
        if (match.cost >= best->cost) return;
        *best = match;
    }
}

/* Patch (i, j) in one pass: 0 begins from the coarser level and the neighbours to the left and above, 1 from the own match and those to the right and below. */
static void kerb_level_match(const KerbMotion *m, const KerbLevel *l, const KerbLevel *coarser, int i, int j, int pass)
{
    KerbSearch s = kerb_search(m, l, kerb_level_patch_px(i, l->width), kerb_level_patch_px(j, l->height));
    KerbMatch *own = &l->matches[j * l->across + i];
    float u = own->u, v = own->v, step_u, step_v;
    if (pass == 0) {
        u = v = 0;
        if (coarser) {
            int x = (s.x + KERB_PATCH / 2) / 2, y = (s.y + KERB_PATCH / 2) / 2;
            x = x < coarser->width ? x : coarser->width - 1;
            y = y < coarser->height ? y : coarser->height - 1;
            u = 2 * coarser->u[y * coarser->pitch + x];
            v = 2 * coarser->v[y * coarser->pitch + x];
        }
    }
    KerbMatch best = kerb_search_compare(&s, u, v, &step_u, &step_v);
    int side = pass ? 1 : -1;
    const KerbMatch *beside = i + side >= 0 && i + side < l->across ? own + side : NULL;
    const KerbMatch *over = j + side >= 0 && j + side < l->down ? own + side * l->across : NULL;
    const KerbMatch *neighbours[2] = { beside, over };
    for (int k = 0; k < 2; k++) {
        const KerbMatch *other = neighbours[k];
        if (!other || (fabsf(other->u - best.u) < 0.1f && fabsf(other->v - best.v) < 0.1f)) continue;
        float other_u, other_v;
        KerbMatch match = kerb_search_compare(&s, other->u, other->v, &other_u, &other_v);
        if (match.cost >= KERB_MOTION_BETTER * best.cost) continue;
        best = match;
        step_u = other_u;
        step_v = other_v;
    }
    kerb_search_descend(&s, &best, step_u, step_v);
    *own = best;
}

static void kerb_level_vote(const KerbMotion *m, const KerbLevel *l)
{
    for (int y = 0; y < l->height; y++) {
        size_t bytes = (size_t)l->width * sizeof(float);
        memset(l->weight + y * l->pitch, 0, bytes);
        memset(l->u + y * l->pitch, 0, bytes);
        memset(l->v + y * l->pitch, 0, bytes);
    }
    for (int j = 0; j < l->down; j++) {
        for (int i = 0; i < l->across; i++) {
            const KerbMatch *match = &l->matches[j * l->across + i];
            KerbSearch s = { .level = l, .x = kerb_level_patch_px(i, l->width), .y = kerb_level_patch_px(j, l->height) };
            int at = s.y * l->pitch + s.x;
            s.patch = (KerbPatch){ .pixels = l->newest + at, .pitch = l->pitch };
            float fx, fy;
            const float *older = kerb_search_at(&s, match->u, match->v, &fx, &fy);
            m->kernels.vote(&s.patch, older, fx, fy, match->mean, match->u, match->v, l->weight + at, l->u + at, l->v + at);
        }
    }
    for (int y = 0; y < l->height; y++) {
        for (int x = 0, at = y * l->pitch; x < l->width; x++, at++) {
            l->u[at] /= l->weight[at];
            l->v[at] /= l->weight[at];
        }
    }
}

static void kerb_level_flow(const KerbMotion *m, const KerbLevel *l, const KerbLevel *coarser)
{
    for (int j = 0; j < l->down; j++)
        for (int i = 0; i < l->across; i++) kerb_level_match(m, l, coarser, i, j, 0);
    for (int j = l->down - 1; j >= 0; j--)
        for (int i = l->across - 1; i >= 0; i--) kerb_level_match(m, l, coarser, i, j, 1);
    kerb_level_vote(m, l);
}

/* Whether a patch went another way than its neighbour; false where either has no texture to tell. */
static bool kerb_match_strays(const KerbMatch *match, const KerbMatch *neighbour)
{
    return neighbour->unlike >= 0 && fabsf(match->u - neighbour->u) + fabsf(match->v - neighbour->v) > KERB_MOTION_STRAY_PX;
}

static float kerb_level_lost(const KerbLevel *l)
{
    int textured = 0, lost = 0;
    for (int j = 0; j < l->down; j++) {
        for (int i = 0; i < l->across; i++) {
            const KerbMatch *m = &l->matches[j * l->across + i];
            if (m->unlike < 0) continue;
            textured++;
            lost += m->unlike > KERB_MOTION_UNLIKE || (i && kerb_match_strays(m, m - 1)) || (j && kerb_match_strays(m, m - l->across));
        }
    }
    return (float)textured > KERB_MOTION_LEAST_TEXTURED * (float)(l->across * l->down) ? (float)lost / (float)textured : 0.0f;
}

/* How many patches along one side cover a pixel. */
static int kerb_level_cover(int at, int side, int patches)
{
    int n = 0;
    for (int i = at / KERB_MOTION_STEP - 1; i <= at / KERB_MOTION_STEP + 1; i++) {
        if (i < 0 || i >= patches) continue;
        int px = kerb_level_patch_px(i, side);
        n += at >= px && at < px + KERB_PATCH;
    }
    return n;
}

/* The mean weight of the votes. */
static void kerb_level_sure(const KerbLevel *l, float *sure)
{
    for (int y = 0; y < l->height; y++) {
        int down = kerb_level_cover(y, l->height, l->down);
        for (int x = 0; x < l->width; x++) sure[y * l->width + x] = l->weight[y * l->pitch + x] / (float)(down * kerb_level_cover(x, l->width, l->across));
    }
}

KerbMotionKind kerb_motion_add(KerbMotion *m, const KerbFrame *frame, const KerbFlow *flow, float *sure)
{
    bool first = !m->has_newest;
    kerb_motion_pictures(m, frame);
    m->has_newest = true;
    m->lost = 0;
    size_t row = (size_t)flow->width * sizeof(float);
    memset(flow->u, 0, row * (size_t)flow->height);
    memset(flow->v, 0, row * (size_t)flow->height);
    if (first) return KERB_MOTION_FIRST;
    if (!m->n_levels) {
        for (int i = 0; sure && i < flow->width * flow->height; i++) sure[i] = 1;
        return KERB_MOTION_KNOWN;
    }
    for (int i = m->n_levels - 1; i >= 0; i--) kerb_level_flow(m, &m->levels[i], i + 1 < m->n_levels ? &m->levels[i + 1] : NULL);
    const KerbLevel *l = &m->levels[0];
    m->lost = kerb_level_lost(l);
    if (m->lost > KERB_MOTION_CUT_SHARE) return KERB_MOTION_CUT;
    for (int y = 0; y < flow->height; y++) {
        memcpy(flow->u + y * flow->width, l->u + y * l->pitch, row);
        memcpy(flow->v + y * flow->width, l->v + y * l->pitch, row);
    }
    if (sure) kerb_level_sure(l, sure);
    return KERB_MOTION_KNOWN;
}

/* ------------------------------------------------------------------------------------------------------------ flows */

static inline float kerb_flow_mean(const float *p, int right, int down, float wx, float wy)
{
    float upper = p[0] + wx * (p[right] - p[0]), lower = p[down] + wx * (p[down + right] - p[down]);
    return upper + wy * (lower - upper);
}

void kerb_flow_at(const KerbFlow *flow, const float *plane, float x, float y, float *u, float *v, float *value)
{
    x = kerb_between(x, 0, (float)(flow->width - 1));
    y = kerb_between(y, 0, (float)(flow->height - 1));
    int ix = (int)x, iy = (int)y, at = iy * flow->width + ix, right = ix + 1 < flow->width, down = iy + 1 < flow->height ? flow->width : 0;
    float wx = x - (float)ix, wy = y - (float)iy;
    *u = kerb_flow_mean(flow->u + at, right, down, wx, wy);
    *v = kerb_flow_mean(flow->v + at, right, down, wx, wy);
    if (plane) *value = kerb_flow_mean(plane + at, right, down, wx, wy);
}

void kerb_flow_compose(const KerbFlow *newest, const KerbFlow *older, const KerbFlow *out)
{
    for (int y = 0, i = 0; y < newest->height; y++) {
        for (int x = 0; x < newest->width; x++, i++) {
            float u, v;
            kerb_flow_at(older, NULL, (float)x + newest->u[i], (float)y + newest->v[i], &u, &v, NULL);
            out->u[i] = newest->u[i] + u;
            out->v[i] = newest->v[i] + v;
        }
    }
}
