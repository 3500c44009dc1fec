/* SPDX-License-Identifier: MIT */
/* Drawing in all 13 formats against an independent picture of what it means: samples and the pixels that they cover, colours and blends in doubles.
 * Bytes must be equal: alpha is a whole number of 1/256, so every blend is a multiple of 1/1024, which doubles hold exactly. All instruction sets
 * must give plain C's bytes, in place and not, and touch nothing beside the rows. */
#include "out_cases.h"

#include "base/frame.h"

/* ----------------------------------------------------------------------------------------------------- frames */

typedef struct KerbPicture {
    KerbVideoFormat format;
    KerbPlane planes[3];
    KerbFrame frame;
} KerbPicture;

static KerbPicture kerb_picture_new(const KerbVideoFormat *format, int gap, KerbRandom *r)
{
    KerbPicture p = { .format = *format };
    for (int i = 0; i < kerb_pixel_format_planes(format->pixel_format); i++) {
        KerbPlane *plane = &p.planes[i];
        *plane = kerb_plane_new(kerb_plane_row_bytes(format->pixel_format, i, format->width_px),
                                kerb_plane_rows(format->pixel_format, i, format->height_px), gap + i);
        p.frame.planes[i] = plane->data;
        p.frame.strides[i] = plane->stride;
        for (int y = 0; y < plane->rows; y++)
            for (int x = 0; x < plane->row_bytes; x++) plane->data[y * plane->stride + x] = (uint8_t)(r ? kerb_random(r) >> 8 : 0x33);
    }
    return p;
}

static void kerb_picture_free(KerbPicture *p)
{
    for (int i = 0; i < 3; i++) free(p->planes[i].memory);
}

static void kerb_picture_copy(KerbPicture *to, const KerbPicture *from)
{
    for (int i = 0; i < 3; i++)
        if (from->planes[i].data) memcpy(to->planes[i].memory, from->planes[i].memory, from->planes[i].bytes);
}

/* ---------------------------------------------------------------------------------------------- what a format is */

/* Component c of a format: its samples on a grid that is sx by sy coarser than the pixels. kind 0, 1, 2: Y U V or R G B; 3: alpha or nothing. */
typedef struct KerbComponent {
    int kind, plane, first, step, sx, sy;
} KerbComponent;

static int kerb_components(KerbPixelFormat f, KerbComponent c[4])
{
    static const struct {
        KerbPixelFormat format;
        int n;
        KerbComponent c[4];
    } all[] = {
        { KERB_FORMAT_I420, 3, { { 0, 0, 0, 1, 1, 1 }, { 1, 1, 0, 1, 2, 2 }, { 2, 2, 0, 1, 2, 2 } } },
        { KERB_FORMAT_YV12, 3, { { 0, 0, 0, 1, 1, 1 }, { 2, 1, 0, 1, 2, 2 }, { 1, 2, 0, 1, 2, 2 } } },
        { KERB_FORMAT_NV12, 3, { { 0, 0, 0, 1, 1, 1 }, { 1, 1, 0, 2, 2, 2 }, { 2, 1, 1, 2, 2, 2 } } },
        { KERB_FORMAT_NV21, 3, { { 0, 0, 0, 1, 1, 1 }, { 2, 1, 0, 2, 2, 2 }, { 1, 1, 1, 2, 2, 2 } } },
        { KERB_FORMAT_YUY2, 3, { { 0, 0, 0, 2, 1, 1 }, { 1, 0, 1, 4, 2, 1 }, { 2, 0, 3, 4, 2, 1 } } },
        { KERB_FORMAT_UYVY, 3, { { 0, 0, 1, 2, 1, 1 }, { 1, 0, 0, 4, 2, 1 }, { 2, 0, 2, 4, 2, 1 } } },
        { KERB_FORMAT_RGB, 3, { { 0, 0, 0, 3, 1, 1 }, { 1, 0, 1, 3, 1, 1 }, { 2, 0, 2, 3, 1, 1 } } },
        { KERB_FORMAT_BGR, 3, { { 2, 0, 0, 3, 1, 1 }, { 1, 0, 1, 3, 1, 1 }, { 0, 0, 2, 3, 1, 1 } } },
        { KERB_FORMAT_RGBX, 4, { { 0, 0, 0, 4, 1, 1 }, { 1, 0, 1, 4, 1, 1 }, { 2, 0, 2, 4, 1, 1 }, { 3, 0, 3, 4, 1, 1 } } },
        { KERB_FORMAT_BGRX, 4, { { 2, 0, 0, 4, 1, 1 }, { 1, 0, 1, 4, 1, 1 }, { 0, 0, 2, 4, 1, 1 }, { 3, 0, 3, 4, 1, 1 } } },
        { KERB_FORMAT_RGBA, 4, { { 0, 0, 0, 4, 1, 1 }, { 1, 0, 1, 4, 1, 1 }, { 2, 0, 2, 4, 1, 1 }, { 3, 0, 3, 4, 1, 1 } } },
        { KERB_FORMAT_BGRA, 4, { { 2, 0, 0, 4, 1, 1 }, { 1, 0, 1, 4, 1, 1 }, { 0, 0, 2, 4, 1, 1 }, { 3, 0, 3, 4, 1, 1 } } },
        { KERB_FORMAT_GRAY8, 1, { { 0, 0, 0, 1, 1, 1 } } },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].format == f) {
            memcpy(c, all[i].c, sizeof(all[i].c));
            return all[i].n;
        }
    fail_msg("format %d is not in the test", (int)f);
    return 0;
}

static uint8_t kerb_sample(const KerbFrame *f, const KerbComponent *c, int x, int y)
{
    return f->planes[c->plane][y * f->strides[c->plane] + c->first + x * c->step];
}

/* The stored value of a colour's component before rounding, from the standards' luma coefficients. */
static double kerb_component_exactly(const KerbVideoFormat *f, const uint8_t rgb[3], int kind)
{
    static const double kr_kb[3][2] = { { 0.299, 0.114 }, { 0.2126, 0.0722 }, { 0.2627, 0.0593 } };
    bool gray = f->pixel_format == KERB_FORMAT_GRAY8;
    if (!gray && !kerb_format_is_yuv(f->pixel_format)) return rgb[kind];
    double kr = gray ? 0.299 : kr_kb[f->matrix][0], kb = gray ? 0.114 : kr_kb[f->matrix][1];
    double y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2];
    if (gray) return y;
    bool full = f->range == KERB_RANGE_FULL;
    double c = kind == 1 ? (rgb[2] - y) / (2 * (1 - kb)) : (rgb[0] - y) / (2 * (1 - kr));
    return kind == 0 ? (full ? y : 16 + y * 219 / 255) : 128 + (full ? c : c * 224 / 255);
}

static double kerb_component_of(const KerbVideoFormat *f, const uint8_t rgb[3], int kind)
{
    return fmin(fmax(floor(kerb_component_exactly(f, rgb, kind) + 0.5), 0), 255);
}

/* Whether a component lies so near to a half that a matrix in floats may round it the other way. */
static bool kerb_rounds_either_way(const KerbVideoFormat *f, const uint8_t rgb[3])
{
    for (int kind = 0; kind < 3; kind++) {
        double v = kerb_component_exactly(f, rgb, kind);
        if (fabs(v - floor(v) - 0.5) < 1e-3) return true;
    }
    return false;
}

/* ------------------------------------------------------------------------------------------------ what to expect */

typedef struct KerbScene {
    const KerbVideoFormat *format;
    const KerbFrame *frame;
    KerbMap labels;
    const KerbDisplay *display;
} KerbScene;

static int kerb_label(const KerbScene *s, int x, int y)
{
    return s->labels.data[y * s->labels.stride + x];
}

static bool kerb_shown(const KerbScene *s, int label)
{
    return label != KERB_LABEL_NONE && s->display->enabled[label];
}

static const uint8_t kerb_black[3] = { 0, 0, 0 };

/* The mean over the pixels that a sample covers, rounded half up. */
static uint8_t kerb_expect_overlay(const KerbScene *s, const KerbComponent *c, int sx, int sy)
{
    double source = kerb_sample(s->frame, c, sx, sy), sum = 0;
    double alpha = floor(fmin(fmax(s->display->alpha, 0.0), 1.0) * 256 + 0.5) / 256;
    bool mask = s->display->visualize == KERB_VISUALIZE_MASK;
    int n = 0;
    if (c->kind == 3) return (uint8_t)source;
    for (int y = sy * c->sy; y < sy * c->sy + c->sy && y < s->format->height_px; y++)
        for (int x = sx * c->sx; x < sx * c->sx + c->sx && x < s->format->width_px; x++, n++) {
            int label = kerb_label(s, x, y);
            const uint8_t *rgb = kerb_shown(s, label) ? s->display->rgb[label] : kerb_black;
            double colour = kerb_component_of(s->format, rgb, c->kind);
            if (mask) sum += colour;
            else sum += kerb_shown(s, label) ? source + alpha * (colour - source) : source;
        }
    return (uint8_t)floor(sum / n + 0.5);
}

static uint8_t kerb_expect_side_by_side(const KerbScene *s, const KerbComponent *c, int sx, int sy)
{
    int w = s->format->width_px / 4 * 2, h = s->format->height_px / 4 * 2, top = (s->format->height_px - h) / 2 / 2 * 2;
    int x = sx * c->sx, y = sy * c->sy;
    if (c->kind == 3) return 255;
    if (x >= 2 * w || y < top || y >= top + h) return (uint8_t)kerb_component_of(s->format, kerb_black, c->kind);
    if (x < w) {
        int fx = sx * 2, fy = (y - top) / c->sy * 2;
        return (uint8_t)((kerb_sample(s->frame, c, fx, fy) + kerb_sample(s->frame, c, fx + 1, fy) + kerb_sample(s->frame, c, fx, fy + 1) +
                          kerb_sample(s->frame, c, fx + 1, fy + 1) + 2) / 4);
    }
    double sum = 0;
    for (int j = 0; j < c->sy; j++)
        for (int i = 0; i < c->sx; i++) {
            int label = kerb_label(s, (x - w + i) * 2, (y - top + j) * 2);
            sum += kerb_component_of(s->format, kerb_shown(s, label) ? s->display->rgb[label] : kerb_black, c->kind);
        }
    return (uint8_t)floor(sum / (c->sx * c->sy) + 0.5);
}

static void kerb_check_picture(const KerbScene *s, const KerbFrame *picture, const char *what)
{
    KerbComponent c[4];
    int n = kerb_components(s->format->pixel_format, c);
    for (int k = 0; k < n; k++)
        for (int y = 0; y < (s->format->height_px + c[k].sy - 1) / c[k].sy; y++)
            for (int x = 0; x < (s->format->width_px + c[k].sx - 1) / c[k].sx; x++) {
                int expected = kerb_sample(s->frame, &c[k], x, y), found = kerb_sample(picture, &c[k], x, y);
                if (s->display->visualize == KERB_VISUALIZE_SIDE_BY_SIDE) expected = kerb_expect_side_by_side(s, &c[k], x, y);
                else if (s->display->visualize != KERB_VISUALIZE_NONE) expected = kerb_expect_overlay(s, &c[k], x, y);
                if (found != expected) fail_msg("%s: component %d, sample (%d, %d): %d, not %d", what, c[k].kind, x, y, found, expected);
            }
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static KerbDisplay kerb_random_display(KerbRandom *r, const KerbVideoFormat *format, KerbVisualize visualize, int classes)
{
    static const float alphas[] = { 0.0f, 0.5f, 1.0f, 0.3f, 0.998f };
    KerbDisplay d = { .visualize = visualize, .alpha = alphas[kerb_random_int(r, 0, 4)] };
    for (int i = 0; i < classes; i++) {
        d.enabled[i] = kerb_random_int(r, 0, 3) > 0;
        do {
            for (int k = 0; k < 3; k++) d.rgb[i][k] = (uint8_t)(kerb_random(r) >> 8);
        } while (kerb_rounds_either_way(format, d.rgb[i]));
    }
    return d;
}

/* Draws in two bands, as two threads would. */
static void kerb_draw_all(const KerbVideoFormat *format, unsigned flags, const KerbDisplay *display, const KerbFrame *frame, KerbMap labels, const KerbFrame *picture)
{
    KerbDraw *draw;
    KerbError error;
    if (kerb_draw_new(&draw, format, flags, &error) != KERB_OK) fail_msg("%s", error.message);
    kerb_draw_prepare(draw, display);
    int middle = format->height_px / 2 & ~1;
    kerb_draw_rows(draw, frame, labels, picture, middle, format->height_px);
    kerb_draw_rows(draw, frame, labels, picture, 0, middle);
    kerb_draw_free(&draw);
    assert_null(draw);
}

static void kerb_check_drawing(KerbRandom *r, const KerbVideoFormat *format, KerbVisualize visualize, int classes, const char *what)
{
    KerbPicture frame = kerb_picture_new(format, 5, r), first = kerb_picture_new(format, 11, NULL);
    KerbPlane labels = kerb_plane_new(format->width_px, format->height_px, 3);
    int run = 0, label = 0;
    for (int y = 0; y < format->height_px; y++)
        for (int x = 0; x < format->width_px; x++, run--) {
            if (run <= 0) run = kerb_random_int(r, 1, 20), label = kerb_random_int(r, 0, 9) ? kerb_random_int(r, 0, classes - 1) : kerb_random_int(r, 0, 255);
            labels.data[y * labels.stride + x] = (uint8_t)label;
        }
    KerbDisplay display = kerb_random_display(r, format, visualize, classes);
    KerbMap map = { labels.data, labels.stride };
    KerbScene scene = { format, &frame.frame, map, &display };
    unsigned flags[3];
    int n = kerb_variants(flags);
    for (int i = 0; i < n; i++) {
        KerbPicture picture = kerb_picture_new(format, 11, NULL);
        kerb_draw_all(format, flags[i], &display, &frame.frame, map, &picture.frame);
        if (i == 0) {
            kerb_check_picture(&scene, &picture.frame, what);
            kerb_picture_copy(&first, &picture);
        }
        for (int p = 0; p < kerb_pixel_format_planes(format->pixel_format); p++) {
            kerb_plane_check_guards(&picture.planes[p]);
            if (memcmp(first.planes[p].memory, picture.planes[p].memory, first.planes[p].bytes)) fail_msg("%s: flags %u differ from plain C", what, flags[i]);
        }
        if (visualize != KERB_VISUALIZE_SIDE_BY_SIDE) {
            KerbPicture same = kerb_picture_new(format, 5, NULL);
            kerb_picture_copy(&same, &frame);
            kerb_draw_all(format, flags[i], &display, &same.frame, map, &same.frame);
            kerb_check_picture(&scene, &same.frame, what);
            for (int p = 0; p < kerb_pixel_format_planes(format->pixel_format); p++) kerb_plane_check_guards(&same.planes[p]);
            kerb_picture_free(&same);
        }
        kerb_picture_free(&picture);
    }
    free(labels.memory);
    kerb_picture_free(&first);
    kerb_picture_free(&frame);
}

static void kerb_check_visualize(KerbVisualize visualize)
{
    static const struct { int w, h; } sizes[] = { { 1, 1 }, { 2, 2 }, { 3, 5 }, { 4, 4 }, { 17, 9 }, { 64, 6 }, { 131, 33 }, { 200, 14 }, { 1031, 3 }, { 2051, 5 } };
    static const int classes[] = { 3, 21, 200 };
    for (int f = 1; f < KERB_FORMAT_COUNT; f++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            KerbRandom r = kerb_random_seed((uint64_t)(f * 100) + i);
            KerbVideoFormat format = { (KerbPixelFormat)f, sizes[i].w, sizes[i].h, (KerbMatrix)kerb_random_int(&r, 0, 2),
                                       (KerbRange)kerb_random_int(&r, 0, 1), KERB_CHROMA_LEFT };
            char what[64];
            snprintf(what, sizeof(what), "%s %d x %d", kerb_pixel_format_name(format.pixel_format), sizes[i].w, sizes[i].h);
            kerb_check_drawing(&r, &format, visualize, classes[kerb_random_int(&r, 0, 2)], what);
        }
}

static void test_overlay(void **state) { kerb_check_visualize(KERB_VISUALIZE_OVERLAY); }
static void test_mask(void **state) { kerb_check_visualize(KERB_VISUALIZE_MASK); }
static void test_side_by_side(void **state) { kerb_check_visualize(KERB_VISUALIZE_SIDE_BY_SIDE); }
static void test_none(void **state) { kerb_check_visualize(KERB_VISUALIZE_NONE); }

/* A label may be anything; alpha may be anything. */
static void test_odd_displays(void **state)
{
    KerbRandom r = kerb_random_seed(5);
    KerbVideoFormat format = { KERB_FORMAT_RGB, 9, 3, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT };
    KerbPicture frame = kerb_picture_new(&format, 2, &r), picture = kerb_picture_new(&format, 2, NULL);
    uint8_t labels[27];
    for (int i = 0; i < 27; i++) labels[i] = (uint8_t)(i % 2 ? 255 : 254);
    static const float alphas[] = { NAN, -3.0f, 7.0f, INFINITY };
    for (int i = 0; i < 4; i++) {
        KerbDisplay d = { .visualize = KERB_VISUALIZE_OVERLAY, .alpha = alphas[i] };
        memset(d.enabled, 1, sizeof(d.enabled));
        memset(d.rgb, 77, sizeof(d.rgb));
        kerb_draw_all(&format, kerb_cpu_flags(), &d, &frame.frame, (KerbMap){ labels, 9 }, &picture.frame);
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < 27; x++) {
                bool painted = i >= 2 && labels[y * 9 + x / 3] == 254; /* 255 is no class, whatever is enabled */
                assert_int_equal(picture.planes[0].data[y * picture.planes[0].stride + x], painted ? 77 : frame.planes[0].data[y * frame.planes[0].stride + x]);
            }
    }
    kerb_picture_free(&frame);
    kerb_picture_free(&picture);
}

/* kerb_out_run() draws what kerb_draw_rows() draws from its labels, in every view, in place too, with any number of threads. */
static void test_drawn_while_labelled(void **state)
{
    for (int f = 1; f < KERB_FORMAT_COUNT; f++)
        for (int v = KERB_VISUALIZE_NONE; v <= KERB_VISUALIZE_SIDE_BY_SIDE; v++) {
            KerbRandom r = kerb_random_seed((uint64_t)f);
            KerbOutParams p = { .n_heads = 1, .confidence = true, .cpu_flags = kerb_cpu_flags(), .threads = 3 };
            p.format = (KerbVideoFormat){ (KerbPixelFormat)f, 101, 67, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT };
            kerb_geometry_init(&p.geometry, 101, 67, 64, 64, KERB_FIT_CROP);
            KerbOutHead *h = &p.heads[0];
            *h = (KerbOutHead){ .kind = KERB_SCORES_LOGITS, .channels = 5, .width = 16, .height = 16, .cell_w_px = 4, .cell_h_px = 4 };
            for (int i = 0; i < 5; i++) h->index[i] = (uint8_t)i;
            float data[5 * 16 * 16];
            for (int i = 0; i < 5 * 16 * 16; i++) data[i] = (float)kerb_random_unit(&r);
            KerbTensor scores = kerb_tensor(data, KERB_F32, 4, (int64_t[]){ 1, 5, 16, 16 });
            KerbDisplay display = kerb_random_display(&r, &p.format, (KerbVisualize)v, 5);
            KerbPicture frame = kerb_picture_new(&p.format, 5, &r), picture = kerb_picture_new(&p.format, 3, NULL), later = kerb_picture_new(&p.format, 3, NULL);
            uint8_t labels[101 * 67];
            KerbMap map = { labels, 101 };
            KerbOut *out;
            KerbPool *pool;
            assert_int_equal(kerb_out_new(&out, &p, NULL), KERB_OK);
            assert_int_equal(kerb_pool_new(&pool, 3, NULL), KERB_OK);
            kerb_out_run(out, &scores, &frame.frame, map, (KerbMap){ 0 }, &display, &picture.frame, pool);
            kerb_draw_all(&p.format, 0, &display, &frame.frame, map, &later.frame);
            for (int k = 0; k < 3; k++)
                if (picture.planes[k].memory) assert_memory_equal(picture.planes[k].memory, later.planes[k].memory, later.planes[k].bytes);
            if (v != KERB_VISUALIZE_SIDE_BY_SIDE) {
                kerb_out_run(out, &scores, &frame.frame, map, (KerbMap){ 0 }, &display, &frame.frame, pool);
                for (int k = 0; k < 3; k++)
                    for (int y = 0; y < picture.planes[k].rows; y++)
                        assert_memory_equal(picture.planes[k].data + y * picture.planes[k].stride, frame.planes[k].data + y * frame.planes[k].stride,
                                            (size_t)picture.planes[k].row_bytes);
            }
            kerb_pool_free(&pool);
            kerb_out_free(&out);
            kerb_picture_free(&frame);
            kerb_picture_free(&picture);
            kerb_picture_free(&later);
        }
}

static void test_what_cannot_be_is_refused(void **state)
{
    KerbDraw *draw = (KerbDraw *)state;
    KerbVideoFormat format = { KERB_FORMAT_I420, 0, 5, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT };
    KerbError error = { 0 };
    assert_int_equal(kerb_draw_new(&draw, &format, 0, &error), KERB_ERROR_ARGUMENT);
    assert_null(draw);
    kerb_draw_free(&draw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlay),      cmocka_unit_test(test_mask),
        cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_none),
        cmocka_unit_test(test_odd_displays), cmocka_unit_test(test_drawn_while_labelled),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
