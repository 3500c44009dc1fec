/* SPDX-License-Identifier: MIT */
/* Boundary F1; see metrics.h. A pixel's distance to a boundary is wanted only up to a few pixels: each row holds the distance along it, and a boundary pixel
 * looks at the rows around. */
#include "metrics.h"

#include <math.h>
#include <string.h>

/* "Farther than any tolerance". The tolerance of the greatest frame is 174 px. */
#define FAR 250

typedef struct KerbEdges {
    guint8 *is;  /* 1: boundary pixel of the class */
    guint8 *gap; /* pixels to the nearest boundary pixel of this row; FAR: farther */
    guint64 count;
} KerbEdges;

/* The boundary of class c in `map`, where the truth is not void. */
static void kerb_edges_find(KerbEdges *e, const guint8 *map, const guint8 *truth, int width, int height, int c, int n)
{
    gsize w = (gsize)width;
    e->count = 0;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            gsize i = (gsize)y * w + (gsize)x;
            gboolean is = FALSE;
            if (map[i] == c && truth[i] < n)
                is = (x > 0 && map[i - 1] != c && truth[i - 1] < n) || (x + 1 < width && map[i + 1] != c && truth[i + 1] < n) ||
                     (y > 0 && map[i - w] != c && truth[i - w] < n) || (y + 1 < height && map[i + w] != c && truth[i + w] < n);
            e->is[i] = (guint8)is;
            e->count += is;
        }
    }
}

static void kerb_edges_measure(KerbEdges *e, int width, int height)
{
    for (int y = 0; y < height; y++) {
        const guint8 *is = e->is + (gsize)y * (gsize)width;
        guint8 *gap = e->gap + (gsize)y * (gsize)width;
        int since = FAR;
        for (int x = 0; x < width; x++) {
            since = is[x] ? 0 : MIN(since + 1, FAR);
            gap[x] = (guint8)since;
        }
        since = FAR;
        for (int x = width - 1; x >= 0; x--) {
            since = is[x] ? 0 : MIN(since + 1, FAR);
            gap[x] = MIN(gap[x], (guint8)since);
        }
    }
}

/* The share of `a`'s boundary that is nearer than the tolerance to `b`'s. */
static gdouble kerb_edges_matched(const KerbEdges *a, const KerbEdges *b, int width, int height, gdouble tolerance_px)
{
    guint64 near = 0;
    int reach = MIN((int)ceil(tolerance_px) - 1, FAR - 1); /* rows farther off are too far */
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            if (!a->is[(gsize)y * (gsize)width + (gsize)x]) continue;
            gboolean found = FALSE;
            for (int v = MAX(y - reach, 0); v <= MIN(y + reach, height - 1) && !found; v++) {
                int gap = b->gap[(gsize)v * (gsize)width + (gsize)x];
                found = gap < FAR && (gdouble)(gap * gap + (v - y) * (v - y)) < tolerance_px * tolerance_px;
            }
            near += found;
        }
    }
    return (gdouble)near / (gdouble)a->count;
}

static void kerb_edges_init(KerbEdges *e, gsize pixels)
{
    *e = (KerbEdges){ g_malloc(pixels), g_malloc(pixels), 0 };
}

static void kerb_edges_clear(KerbEdges *e)
{
    g_free(e->is);
    g_free(e->gap);
}

void kerb_boundary_add(KerbBoundary *b, const guint8 *truth, const guint8 *prediction, int width, int height, int n)
{
    gsize pixels = (gsize)width * (gsize)height;
    gdouble tolerance_px = KERB_BOUNDARY_TOLERANCE * hypot(width, height), sum = 0;
    gboolean there[256] = { FALSE };
    int classes = 0;
    KerbEdges of_truth, of_prediction;
    kerb_edges_init(&of_truth, pixels);
    kerb_edges_init(&of_prediction, pixels);
    for (gsize i = 0; i < pixels; i++)
        if (truth[i] < n) there[truth[i]] = there[prediction[i]] = TRUE;
    for (int c = 0; c < n; c++) {
        if (!there[c]) continue;
        kerb_edges_find(&of_truth, truth, truth, width, height, c, n);
        kerb_edges_find(&of_prediction, prediction, truth, width, height, c, n);
        if (!of_truth.count && !of_prediction.count) continue; /* it fills the picture, in both */
        gdouble f1 = 0;
        if (of_truth.count && of_prediction.count) {
            kerb_edges_measure(&of_truth, width, height);
            kerb_edges_measure(&of_prediction, width, height);
            gdouble precision = kerb_edges_matched(&of_prediction, &of_truth, width, height, tolerance_px);
            gdouble recall = kerb_edges_matched(&of_truth, &of_prediction, width, height, tolerance_px);
            f1 = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
        }
        b->sum[c] += f1;
        b->frames[c]++;
        sum += f1;
        classes++;
    }
    if (classes) {
        b->frame_sum += sum / classes;
        b->frame_count++;
    }
    kerb_edges_clear(&of_truth);
    kerb_edges_clear(&of_prediction);
}

gdouble kerb_boundary_mean(const KerbBoundary *b)
{
    return b->frame_count ? b->frame_sum / (gdouble)b->frame_count : NAN;
}

gdouble kerb_boundary_class(const KerbBoundary *b, int c)
{
    return b->frames[c] ? b->sum[c] / (gdouble)b->frames[c] : NAN;
}
