/* SPDX-License-Identifier: MIT */
/* Label frames summed up over time: shares of the classes in the whole picture and ahead of the vehicle, and flicker. Enters: label maps, a byte a pixel, in
 * order. Leaves: sums a step of KERB_REVIEW_STEP_S. Knows no class names: those may come at the end of a file.
 *
 * Flicker is the share of the picture's pixels that have another label than in the frame before, the mean over frames. */
#include "review.h"

#include <gst/video/video.h>
#include <math.h>
#include <string.h>

/* Frames that lie further apart are not compared: something else is seen. */
#define KERB_REVIEW_COMPARE_S 1.0
/* A time stamp that would take more memory than a day does is damaged. */
#define KERB_REVIEW_BINS_MAX ((guint)(48 * 3600 / KERB_REVIEW_STEP_S))

KerbReviewRegion kerb_review_ahead(gint width, gint height)
{
    return (KerbReviewRegion){ .left = width / 3, .right = width - width / 3, .top = height - MAX(height / 3, 1), .bottom = height };
}

/* Four tables, taken in turn: neighbours are alike, and adding twice to one place waits for memory. */
static void kerb_review_count(const guint8 *row, gint n, guint32 tables[4][256])
{
    gint x = 0;
    for (; x + 4 <= n; x += 4)
        for (gint k = 0; k < 4; k++) tables[k][row[x + k]]++;
    for (; x < n; x++) tables[0][row[x]]++;
}

static void kerb_review_add_to(GArray **series, guint bin, guint64 n)
{
    if (!*series) *series = g_array_new(FALSE, TRUE, sizeof(guint64));
    if ((*series)->len <= bin) g_array_set_size(*series, bin + 1);
    g_array_index(*series, guint64, bin) += n;
}

static void kerb_review_add_counts(GArray *series[256], guint bin, guint32 tables[4][256])
{
    for (gint i = 0; i < 256; i++) {
        guint64 n = (guint64)tables[0][i] + tables[1][i] + tables[2][i] + tables[3][i];
        if (n) kerb_review_add_to(&series[i], bin, n);
    }
}

static guint64 kerb_review_changed(const guint8 *a, const guint8 *b, gint width, gint height, gint stride)
{
    guint64 changed = 0;
    for (gint y = 0; y < height; y++) {
        guint32 in_row = 0;
        const guint8 *p = a + (gsize)y * (gsize)stride, *q = b + (gsize)y * (gsize)stride;
        for (gint x = 0; x < width; x++) in_row += p[x] != q[x];
        changed += in_row;
    }
    return changed;
}

gboolean kerb_review_labels_add(KerbReviewLabels *l, GstBuffer *buffer, gint width, gint height, gint stride, gdouble t_s)
{
    GstMapInfo map, before;
    guint32 whole[4][256] = { 0 }, ahead[4][256] = { 0 };
    KerbReviewRegion region = kerb_review_ahead(width, height);
    guint index = (guint)MIN(MAX(t_s, 0) / KERB_REVIEW_STEP_S + 1e-6, KERB_REVIEW_BINS_MAX - 1);
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return FALSE;
    if (width < 1 || height < 1 || map.size < (gsize)stride * (gsize)(height - 1) + (gsize)width) {
        gst_buffer_unmap(buffer, &map);
        return FALSE;
    }
    for (gint y = 0; y < height; y++) kerb_review_count(map.data + (gsize)y * (gsize)stride, width, whole);
    for (gint y = region.top; y < region.bottom; y++)
        kerb_review_count(map.data + (gsize)y * (gsize)stride + region.left, region.right - region.left, ahead);

    if (!l->bins) l->bins = g_array_new(FALSE, TRUE, sizeof(KerbReviewBin));
    if (l->bins->len <= index) g_array_set_size(l->bins, index + 1);
    KerbReviewBin *bin = &g_array_index(l->bins, KerbReviewBin, index);
    bin->frames++;
    bin->pixels += (guint64)width * (guint64)height;
    bin->ahead += (guint64)(region.right - region.left) * (guint64)(region.bottom - region.top);
    kerb_review_add_counts(l->counts, index, whole);
    kerb_review_add_counts(l->ahead, index, ahead);
    gboolean alike = l->last && l->width == width && l->height == height && l->stride == stride; /* so it is as long as it must be */
    if (alike && fabs(t_s - l->last_s) <= KERB_REVIEW_COMPARE_S && gst_buffer_map(l->last, &before, GST_MAP_READ)) {
        bin->flicker += (gdouble)kerb_review_changed(map.data, before.data, width, height, stride) / ((gdouble)width * height);
        bin->compared++;
        gst_buffer_unmap(l->last, &before);
    }
    gst_buffer_unmap(buffer, &map);
    gst_buffer_replace(&l->last, buffer);
    l->last_s = t_s;
    l->width = width;
    l->height = height;
    l->stride = stride;
    l->frames++;
    return TRUE;
}

void kerb_review_labels_clear(KerbReviewLabels *l)
{
    for (gint i = 0; i < 256; i++) {
        if (l->counts[i]) g_array_free(l->counts[i], TRUE);
        if (l->ahead[i]) g_array_free(l->ahead[i], TRUE);
    }
    if (l->bins) g_array_free(l->bins, TRUE);
    gst_clear_buffer(&l->last);
    *l = (KerbReviewLabels){ 0 };
}
