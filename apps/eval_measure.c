/* SPDX-License-Identifier: MIT */
/* One frame of `kerb eval`: against its truth, against the frame before, and against what older masks would have said of it; see eval.h. */
#include "eval.h"
#include "labelmap.h"
#include "say.h"

#include <errno.h>
#include <string.h>

/* A mask that waits until it is old enough. */
typedef struct KerbHeld {
    GstClockTime pts;
    guint8 *labels;
} KerbHeld;

static void kerb_held_free(gpointer data)
{
    KerbHeld *held = data;
    g_free(held->labels);
    g_free(held);
}

void kerb_eval_init(KerbEval *e, const KerbOptions *options, const KerbEvalWish *wish, KerbDataset *dataset, gboolean plain)
{
    memset(e, 0, sizeof *e);
    e->options = options;
    e->wish = wish;
    e->dataset = dataset;
    e->plain = plain;
    e->ages_ms = g_array_new(FALSE, FALSE, sizeof(gdouble));
    g_queue_init(&e->held);
}

static void kerb_eval_forget(KerbEval *e)
{
    guint8 **maps[] = { &e->labels, &e->prediction, &e->truth, &e->scratch, &e->moved, &e->labels_before, &e->prediction_before, &e->truth_before };
    for (gsize i = 0; i < G_N_ELEMENTS(maps); i++) g_clear_pointer(maps[i], g_free);
    g_queue_clear_full(&e->held, kerb_held_free);
    kerb_carrier_free(&e->carrier);
    e->has_before = FALSE;
}

void kerb_eval_clear(KerbEval *e)
{
    kerb_eval_forget(e);
    KerbConfusion *all[] = { &e->total, &e->one, &e->age_own, &e->age_held, &e->age_carried };
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) kerb_confusion_clear(all[i]);
    for (int i = 0; i < KERB_WORST; i++) kerb_eval_shot_clear(&e->worst[i]);
    if (e->ages_ms) g_array_free(g_steal_pointer(&e->ages_ms), TRUE);
}

int kerb_eval_match(KerbEval *e, const KerbSegMeta *meta)
{
    int n;
    const KerbClass *classes = kerb_seg_meta_classes(meta, &n);
    e->matched = TRUE;
    if (!e->dataset) return KERB_EXIT_OK;
    int exit_code = kerb_match_make(&e->match, e->dataset, classes, n, e->wish->map, e->options->quiet || e->plain);
    if (exit_code) return exit_code;
    KerbConfusion *all[] = { &e->total, &e->one, &e->age_own, &e->age_held, &e->age_carried };
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) kerb_confusion_init(all[i], e->match.n);
    gboolean road = e->match.road >= 0 && e->match.road < e->match.n;
    e->has_curve = (road || e->match.binary >= 0) && meta->confidence;
    e->curve_is_exact = e->match.binary >= 0;
    return KERB_EXIT_OK;
}

/* ----------------------------------------------------------------------------------------------------------------- maps */

/* KERB_FORMAT_UNKNOWN where kerbseg would not take it either. Motion looks at luma alone: colorimetry says nothing. */
static KerbVideoFormat kerb_eval_format(const GstVideoInfo *info)
{
    KerbVideoFormat format = { .width_px = info->width, .height_px = info->height };
    const gchar *name = gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(info));
    for (int f = 1; f < KERB_FORMAT_COUNT; f++)
        if (!g_ascii_strcasecmp(kerb_pixel_format_name((KerbPixelFormat)f), name)) format.pixel_format = (KerbPixelFormat)f;
    return format;
}

static void kerb_eval_resize(KerbEval *e, const GstVideoInfo *info)
{
    gsize pixels = (gsize)info->width * (gsize)info->height;
    if (e->labels && info->width == e->width && info->height == e->height) return;
    kerb_eval_forget(e);
    e->width = info->width;
    e->height = info->height;
    guint8 **maps[] = { &e->labels, &e->prediction, &e->truth, &e->scratch, &e->moved, &e->labels_before, &e->prediction_before, &e->truth_before };
    for (gsize i = 0; i < G_N_ELEMENTS(maps); i++) *maps[i] = g_malloc(pixels);
    gboolean carries = e->wish->flicker || e->wish->mask_age;
    KerbVideoFormat format = kerb_eval_format(info);
    KerbError error;
    if (carries && kerb_carrier_new(&e->carrier, &format, MAX(e->wish->mask_age, 1) + 1, &error) != KERB_OK)
        kerb_warn("motion cannot be measured here: %s", error.message);
}

static void kerb_eval_copy(guint8 *out, const guint8 *from, int stride, int width, int height)
{
    for (int y = 0; y < height; y++) memcpy(out + (gsize)y * (gsize)width, from + (gsize)y * (gsize)stride, (gsize)width);
}

static void kerb_eval_classes(const KerbEval *e, const guint8 *labels, guint8 *out)
{
    gsize pixels = (gsize)e->width * (gsize)e->height;
    for (gsize i = 0; i < pixels; i++) out[i] = e->match.of_label[labels[i]];
}

/* The frame's truth into e->truth. */
static int kerb_eval_truth(KerbEval *e, const KerbEvalFrame *f)
{
    if (f->pair) return kerb_dataset_truth(e->dataset, &e->match, f->pair, e->width, e->height, e->truth);
    kerb_eval_copy(e->truth, f->truth, f->truth_stride, e->width, e->height);
    for (gsize i = 0; i < (gsize)e->width * (gsize)e->height; i++) e->truth[i] = (guint8)e->match.of_value[e->truth[i]]; /* -1 becomes void */
    return KERB_EXIT_OK;
}

/* ------------------------------------------------------------------------------------------------------------- measures */

/* The probability of the class that the curve is about. For two classes it follows from the label's own; for more, it is known where that class won only:
 * elsewhere 0 is taken, which can make the curve no better than it is. */
static void kerb_eval_curve(KerbEval *e, const KerbEvalFrame *f)
{
    GstMapInfo map;
    int positive = e->match.road >= 0 ? e->match.road : e->match.binary;
    if (!e->has_curve || !f->meta->confidence || !gst_buffer_map(f->meta->confidence, &map, GST_MAP_READ)) return;
    for (int y = 0; y < e->height; y++) {
        for (int x = 0; x < e->width; x++) {
            gsize i = (gsize)y * (gsize)e->width + (gsize)x;
            guint8 p = map.data[(gsize)y * (gsize)f->meta->stride + (gsize)x];
            e->scratch[i] = e->prediction[i] == positive ? p : e->curve_is_exact && e->prediction[i] != KERB_VOID ? (guint8)(255 - p) : 0;
        }
    }
    gst_buffer_unmap(f->meta->confidence, &map);
    kerb_curve_add(&e->curve, e->truth, e->scratch, (gsize)e->width * (gsize)e->height, positive);
}

static int kerb_eval_save(const KerbEval *e, const KerbEvalFrame *f)
{
    gsize pixels = (gsize)e->width * (gsize)e->height;
    guint8 *values = g_malloc(pixels), none = e->dataset->kind == KERB_DATASET_CITYSCAPES ? 0 : KERB_VOID; /* cityscapesScripts knows no 255; 0 is "unlabeled" */
    gchar *name = g_strconcat(f->name, ".png", NULL), *path = g_build_filename(e->wish->save, name, NULL);
    for (gsize i = 0; i < pixels; i++) values[i] = e->prediction[i] < e->match.n ? (guint8)e->match.classes[e->prediction[i]].dataset_id : none;
    gboolean ok = kerb_labelmap_write(path, values, e->width, e->height);
    if (!ok) kerb_say("%s cannot be written: %s.", path, g_strerror(errno));
    g_free(values);
    g_free(path);
    g_free(name);
    return ok ? KERB_EXIT_OK : KERB_EXIT_STORAGE;
}

/* What the carrier sees of a frame. */
static void kerb_eval_watch(KerbEval *e, const KerbEvalFrame *f)
{
    GstVideoFrame mapped;
    if (!e->carrier || !gst_video_frame_map(&mapped, (GstVideoInfo *)f->info, f->buffer, GST_MAP_READ)) return;
    KerbFrame frame = { .pts_ns = (int64_t)GST_BUFFER_PTS(f->buffer) };
    for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES(&mapped); p++) {
        frame.planes[p] = GST_VIDEO_FRAME_PLANE_DATA(&mapped, p);
        frame.strides[p] = GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, p);
    }
    kerb_carrier_add(e->carrier, &frame);
    gst_video_frame_unmap(&mapped);
}

/* The labels of an older frame where they are now, into e->moved. */
static gboolean kerb_eval_move(KerbEval *e, GstClockTime pts, guint8 *labels)
{
    return e->carrier && kerb_carrier_carry(e->carrier, (int64_t)pts, (KerbMap){ labels, e->width }, (KerbMap){ e->moved, e->width });
}

static void kerb_eval_flicker(KerbEval *e)
{
    gsize pixels = (gsize)e->width * (gsize)e->height;
    if (!e->wish->flicker || !e->has_before) return;
    e->pairs++;
    kerb_flicker_add(&e->changed, e->labels_before, e->labels, pixels);
    if (kerb_eval_move(e, e->pts_before, e->labels_before)) kerb_flicker_add(&e->carried, e->moved, e->labels, pixels);
    if (e->dataset) kerb_flicker_add_labelled(&e->labelled, e->truth_before, e->truth, e->prediction_before, e->prediction, pixels);
}

/* The mask of mask_age frames ago in place of the frame's own. */
static void kerb_eval_age(KerbEval *e)
{
    gsize pixels = (gsize)e->width * (gsize)e->height;
    if (!e->wish->mask_age || g_queue_get_length(&e->held) < (guint)e->wish->mask_age) return;
    KerbHeld *held = g_queue_peek_head(&e->held);
    kerb_confusion_add(&e->age_own, e->truth, e->prediction, pixels);
    kerb_eval_classes(e, held->labels, e->scratch);
    kerb_confusion_add(&e->age_held, e->truth, e->scratch, pixels);
    gboolean moved = kerb_eval_move(e, held->pts, held->labels);
    e->age_lost += !moved;
    if (moved) kerb_eval_classes(e, e->moved, e->scratch);
    kerb_confusion_add(&e->age_carried, e->truth, e->scratch, pixels);
}

/* The frame becomes the one before. */
static void kerb_eval_keep(KerbEval *e, GstClockTime pts)
{
    gsize pixels = (gsize)e->width * (gsize)e->height;
    if (e->wish->mask_age) {
        KerbHeld *held = g_new(KerbHeld, 1);
        *held = (KerbHeld){ pts, g_memdup2(e->labels, pixels) };
        g_queue_push_tail(&e->held, held);
        if (g_queue_get_length(&e->held) > (guint)e->wish->mask_age) kerb_held_free(g_queue_pop_head(&e->held));
    }
    guint8 *labels = e->labels_before, *prediction = e->prediction_before, *truth = e->truth_before;
    e->labels_before = e->labels;
    e->prediction_before = e->prediction;
    e->truth_before = e->truth;
    e->labels = labels;
    e->prediction = prediction;
    e->truth = truth;
    e->pts_before = pts;
    e->has_before = TRUE;
}

static int kerb_eval_judge(KerbEval *e, const KerbEvalFrame *f)
{
    gsize pixels = (gsize)e->width * (gsize)e->height;
    int exit_code = kerb_eval_truth(e, f);
    if (exit_code) return exit_code;
    kerb_eval_classes(e, e->labels, e->prediction);
    if (e->wish->save && !e->plain && (exit_code = kerb_eval_save(e, f))) return exit_code;
    kerb_confusion_reset(&e->one);
    kerb_confusion_add(&e->one, e->truth, e->prediction, pixels);
    kerb_confusion_merge(&e->total, &e->one);
    kerb_boundary_add(&e->boundary, e->truth, e->prediction, e->width, e->height, e->match.n);
    kerb_eval_curve(e, f);
    KerbScores scores;
    kerb_scores_of(&e->one, &scores);
    if (scores.judged) kerb_eval_remember(e, f, &scores);
    return KERB_EXIT_OK;
}

int kerb_eval_measure(KerbEval *e, const KerbEvalFrame *f)
{
    kerb_eval_resize(e, f->info);
    kerb_eval_copy(e->labels, f->labels, f->stride, e->width, e->height);
    kerb_eval_watch(e, f);
    int exit_code = e->dataset ? kerb_eval_judge(e, f) : KERB_EXIT_OK;
    if (exit_code) return exit_code;
    gdouble age_ms = (gdouble)f->meta->age / 1e6;
    g_array_append_val(e->ages_ms, age_ms);
    e->frames++;
    kerb_eval_flicker(e);
    kerb_eval_age(e);
    kerb_eval_keep(e, GST_BUFFER_PTS(f->buffer));
    return KERB_EXIT_OK;
}
