/* SPDX-License-Identifier: MIT */
/* Labels and confidence against the definition: every class interpolated at every pixel, in doubles, with no shortcut and no table.
 *
 * Where the two best classes of the definition lie closer than KERB_TIE (relative to the scores) floats may choose either, and the pixel is left
 * out; how often that happens is bounded. Everywhere else there is no tolerance. Confidence: kerb_px_confidence()'s rounding and the stated error
 * of the exponential. All instruction sets and numbers of threads must give the bytes of plain C on one thread. */
#include "out_cases.h"

#include "base/memory.h"
#include "out/score_cases.h"
#include "out/out_pixel.h"

#define KERB_TIE 1e-5

/* ------------------------------------------------------------------------------------------------------ definition */

typedef struct KerbExpected {
    int label;
    double confidence; /* 0..255, not rounded */
    bool tie;          /* label and confidence may be others' */
} KerbExpected;

/* What the definition starts from: a case's scores, and the probability of each class at each cell, as doubles. */
typedef struct KerbDefinition {
    const KerbOutParams *params;
    double *scores[KERB_MAX_HEADS], *probabilities[KERB_MAX_HEADS]; /* [class][cell]; two classes for binary heads' probabilities */
} KerbDefinition;

static bool kerb_is_binary(const KerbOutHead *h)
{
    return h->kind == KERB_SCORES_BINARY_LOGIT || h->kind == KERB_SCORES_BINARY_PROBABILITY;
}

static double kerb_score_at(const KerbTensor *t, int64_t i)
{
    double s = kerb_tensor_get(t, i);
    if (isnan(s) || s < -1e30) return -1e30;
    return s > 1e30 ? 1e30 : s;
}

static void kerb_define_cell(const KerbOutHead *h, const double *s, double *p, int cell, int cells)
{
    if (kerb_is_binary(h)) {
        p[cells + cell] = h->kind == KERB_SCORES_BINARY_LOGIT ? 1.0 / (1.0 + exp(-s[cell])) : fmin(fmax(s[cell], 0.0), 1.0);
        p[cell] = 1.0 - p[cells + cell];
        return;
    }
    double greatest = s[cell], sum = 0.0;
    for (int c = 0; c < h->channels; c++) greatest = fmax(greatest, s[c * cells + cell]);
    for (int c = 0; c < h->channels; c++) sum += exp(s[c * cells + cell] - greatest);
    for (int c = 0; c < h->channels; c++) p[c * cells + cell] = h->kind == KERB_SCORES_LOGITS ? exp(s[c * cells + cell] - greatest) / sum : s[c * cells + cell];
}

static KerbDefinition kerb_define(const KerbOutParams *params, const KerbTensor *scores)
{
    KerbDefinition d = { .params = params };
    for (int i = 0; i < params->n_heads; i++) {
        const KerbOutHead *h = &params->heads[i];
        int cells = h->width * h->height;
        d.scores[i] = malloc(sizeof(double) * (size_t)cells * (size_t)h->channels);
        d.probabilities[i] = malloc(sizeof(double) * (size_t)cells * (size_t)(h->channels + 1));
        assert_true(d.scores[i] && d.probabilities[i]);
        for (int64_t k = 0; k < (int64_t)cells * h->channels; k++) d.scores[i][k] = kerb_score_at(&scores[i], k);
        for (int k = 0; k < cells; k++) kerb_define_cell(h, d.scores[i], d.probabilities[i], k, cells);
    }
    return d;
}

static void kerb_definition_free(KerbDefinition *d)
{
    for (int i = 0; i < KERB_MAX_HEADS; i++) {
        free(d->scores[i]);
        free(d->probabilities[i]);
    }
}

/* Where pixel `at` lies on an axis of n cells, clamped to the outer cells' centres. */
static double kerb_cell_of(int at, double scale, double offset, double cell, double origin, int n)
{
    double net = (at + 0.5 - offset) / scale;
    double c = (net - origin) / cell - 0.5;
    return fmin(fmax(c, 0.0), n - 1.0);
}

/* Four cells around a point and their weights, which add up to 1. */
typedef struct KerbCorners {
    int cell[4];
    double weight[4];
} KerbCorners;

static KerbCorners kerb_corners(const KerbOutHead *h, double x, double y)
{
    int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < h->width ? x0 + 1 : x0, y1 = y0 + 1 < h->height ? y0 + 1 : y0;
    double fx = x - x0, fy = y - y0;
    return (KerbCorners){ { y0 * h->width + x0, y0 * h->width + x1, y1 * h->width + x0, y1 * h->width + x1 },
                          { (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy } };
}

static double kerb_between(const double *values, const KerbCorners *at)
{
    double sum = 0.0;
    for (int k = 0; k < 4; k++) sum += values[at->cell[k]] * at->weight[k];
    return sum;
}

/* The class of a head at a point between the cells, and its probability. */
static int kerb_expect_class(const KerbDefinition *d, int head, double x, double y, double *p, bool *tie)
{
    const KerbOutHead *h = &d->params->heads[head];
    KerbCorners at = kerb_corners(h, x, y);
    int cells = h->width * h->height, winner = 0;
    double best = -INFINITY, second = -INFINITY, magnitude = 1.0;
    for (int c = 0; c < h->channels; c++) {
        const double *scores = d->scores[head] + c * cells;
        double s = kerb_between(scores, &at);
        for (int k = 0; k < 4; k++) magnitude = fmax(magnitude, fabs(scores[at.cell[k]]));
        if (s > best) second = best, best = s, winner = c;
        else if (s > second) second = s;
    }
    if (kerb_is_binary(h)) {
        winner = best >= h->threshold;
        second = h->threshold;
    }
    *tie = fabs(best - second) <= KERB_TIE * magnitude;
    *p = fmin(fmax(kerb_between(d->probabilities[head] + winner * cells, &at), 0.0), 1.0); /* the clamp: "probabilities" that are none */
    return winner;
}

static KerbExpected kerb_expect(const KerbDefinition *d, int px, int py)
{
    const KerbOutParams *p = d->params;
    const KerbGeometry *g = &p->geometry;
    if (px < g->frame_x0 || px >= g->frame_x1 || py < g->frame_y0 || py >= g->frame_y1) return (KerbExpected){ KERB_LABEL_NONE, 0.0, false };
    KerbExpected e = { 0, 0.0, false };
    for (int i = 0; i < p->n_heads; i++) {
        const KerbOutHead *h = &p->heads[i];
        double x = kerb_cell_of(px, g->scale_x, g->offset_x, h->cell_w_px, h->origin_x_px, h->width);
        double y = kerb_cell_of(py, g->scale_y, g->offset_y, h->cell_h_px, h->origin_y_px, h->height);
        bool tie = false;
        double sure;
        int label;
        if (h->nearest || h->kind == KERB_SCORES_LABELS) {
            /* Exactly between two cells the rounding of the coordinate decides. */
            tie = fabs(x - floor(x) - 0.5) < 1e-9 || fabs(y - floor(y) - 0.5) < 1e-9;
            x = fmin(floor(x + 0.5), h->width - 1.0);
            y = fmin(floor(y + 0.5), h->height - 1.0);
        }
        if (h->kind == KERB_SCORES_LABELS) {
            double v = d->scores[i][(int)y * h->width + (int)x];
            label = v < 0 || v > 255 ? KERB_LABEL_NONE : h->index[(int)v];
            sure = v < 0 || v > 255 ? 0.0 : 1.0;
        } else {
            bool close;
            label = h->index[kerb_expect_class(d, i, x, y, &sure, &close)];
            tie |= close;
        }
        e.tie |= tie;
        if (i == 0 || label != 0) e.label = label, e.confidence = 255.0 * sure;
    }
    return e;
}

/* --------------------------------------------------------------------------------------------------------- running */

typedef struct KerbMaps {
    KerbPlane labels, confidence;
} KerbMaps;

static KerbMaps kerb_maps_run(const KerbCase *c, unsigned flags, int threads, bool confidence)
{
    KerbOutParams params = c->params;
    params.cpu_flags = flags;
    params.threads = threads;
    KerbOut *out;
    KerbError error;
    if (kerb_out_new(&out, &params, &error) != KERB_OK) fail_msg("%s", error.message);
    KerbPool *pool = NULL;
    if (threads > 1) assert_int_equal(kerb_pool_new(&pool, threads, &error), KERB_OK);
    int w = params.format.width_px, h = params.format.height_px;
    KerbMaps maps = { kerb_plane_new(w, h, 7), kerb_plane_new(w, h, 3) };
    KerbMap none = { 0 };
    for (int twice = 0; twice < 2; twice++) /* the second frame must not see the first one's rows */
        kerb_out_run(out, c->scores, NULL, (KerbMap){ maps.labels.data, maps.labels.stride },
                     confidence ? (KerbMap){ maps.confidence.data, maps.confidence.stride } : none, NULL, NULL, pool);
    kerb_pool_free(&pool);
    kerb_out_free(&out);
    assert_null(out);
    return maps;
}

static void kerb_maps_free(KerbMaps *maps)
{
    free(maps->labels.memory);
    free(maps->confidence.memory);
}

typedef struct KerbTally {
    long pixels, ties;
} KerbTally;

static void kerb_check_definition(const KerbCase *c, const KerbMaps *maps, const char *what, KerbTally *tally)
{
    kerb_plane_check_guards(&maps->labels);
    kerb_plane_check_guards(&maps->confidence);
    KerbDefinition definition = kerb_define(&c->params, c->scores);
    for (int y = 0; y < c->params.format.height_px; y++)
        for (int x = 0; x < c->params.format.width_px; x++) {
            KerbExpected e = kerb_expect(&definition, x, y);
            tally->pixels++;
            tally->ties += e.tie;
            if (e.tie) continue;
            int label = maps->labels.data[(size_t)y * (size_t)maps->labels.stride + (size_t)x];
            int sure = maps->confidence.data[(size_t)y * (size_t)maps->confidence.stride + (size_t)x];
            if (label != e.label) fail_msg("%s: pixel (%d, %d) has label %d, not %d", what, x, y, label, e.label);
            if (fabs(sure - e.confidence) > 0.5 + 255.0 * (double)KERB_PX_PROBABILITY_ERROR)
                fail_msg("%s: pixel (%d, %d), label %d: confidence %d, not %.3f", what, x, y, label, sure, e.confidence);
        }
    kerb_definition_free(&definition);
}

/* Plain C against the definition; every instruction set, three threads, and labels alone against plain C. */
static void kerb_check_case(const KerbCase *c, const char *what, KerbTally *tally)
{
    unsigned flags[3];
    int n = kerb_variants(flags);
    KerbMaps first = kerb_maps_run(c, 0, 1, true);
    kerb_check_definition(c, &first, what, tally);
    for (int i = 0; i < n; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            KerbMaps other = kerb_maps_run(c, flags[i], threads, true);
            if (memcmp(first.labels.memory, other.labels.memory, first.labels.bytes)) fail_msg("%s: labels differ, flags %u, %d threads", what, flags[i], threads);
            if (memcmp(first.confidence.memory, other.confidence.memory, first.confidence.bytes))
                fail_msg("%s: confidence differs, flags %u, %d threads", what, flags[i], threads);
            kerb_maps_free(&other);
        }
    KerbMaps alone = kerb_maps_run(c, flags[n - 1], 1, false);
    assert_memory_equal(first.labels.memory, alone.labels.memory, first.labels.bytes);
    for (size_t i = 0; i < alone.confidence.bytes; i++) assert_int_equal(alone.confidence.memory[i], KERB_GUARD);
    kerb_maps_free(&alone);
    kerb_maps_free(&first);
}

/* ----------------------------------------------------------------------------------------------------------- tests */

static void test_random_cases_meet_the_definition(void **state)
{
    KerbTally tally = { 0 };
    long none = 0;
    for (int seed = 1; seed <= 120; seed++) {
        KerbRandom r = kerb_random_seed((uint64_t)seed);
        KerbCase c = kerb_random_case(&r);
        char what[32];
        snprintf(what, sizeof(what), "seed %d", seed);
        none += c.params.geometry.frame_x0 > 0 || c.params.geometry.frame_y0 > 0;
        kerb_check_case(&c, what, &tally);
        kerb_case_free(&c);
    }
    print_message("%ld pixels, %ld left out as ties\n", tally.pixels, tally.ties);
    assert_true(none > 5); /* crops with an outside are among them */
    assert_true(tally.ties * 20 < tally.pixels); /* half floats and saturated probabilities tie often */
}

/* Sizes as they come in use, each layout and both types that networks give; 256 classes. */
static void test_usual_shapes(void **state)
{
    static const struct { int channels, w, h, step, frame_w, frame_h; } shapes[] = {
        { 19, 32, 16, 8, 180, 90 }, { 19, 64, 32, 4, 160, 120 }, { 2, 80, 45, 1, 120, 68 }, { 11, 60, 45, 1, 40, 30 }, { 256, 9, 5, 32, 100, 50 }, { 21, 130, 8, 1, 60, 9 },
    };
    KerbTally tally = { 0 };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (int layout = 0; layout < KERB_LAYOUTS; layout++)
            for (int half = 0; half < 2; half++) {
                KerbRandom r = kerb_random_seed(1000 + i);
                KerbCase c = kerb_one_head(KERB_SCORES_LOGITS, shapes[i].channels, shapes[i].w, shapes[i].h, shapes[i].step, shapes[i].frame_w,
                                           shapes[i].frame_h, half ? KERB_BF16 : KERB_F32, layout);
                kerb_fill_scores(&c.scores[0], &c.params.heads[0], &r);
                char what[64];
                snprintf(what, sizeof(what), "shape %zu, layout %d, %s", i, layout, half ? "bf16" : "f32");
                kerb_check_case(&c, what, &tally);
                kerb_case_free(&c);
            }
}

/* Equal scores: the lowest class, at cells and between them. */
static void test_ties_go_to_the_lowest_class(void **state)
{
    static const int channels[] = { 2, 3, 19 };
    for (int i = 0; i < 3; i++) {
        KerbCase c = kerb_one_head(KERB_SCORES_LOGITS, channels[i], 7, 5, 8, 67, 41, KERB_F32, KERB_LAYOUT_NHWC);
        for (int part = 0; part < 2; part++) {
            /* part 0: all equal. part 1: all but class 0 (which is lower) equal, and the level changes from cell to cell. */
            for (int64_t k = 0; k < (int64_t)channels[i] * 35; k++) kerb_tensor_set(&c.scores[0], k, part ? (k < 35 ? -9.0 : (double)(k % 35) * 0.37) : 1.5);
            KerbMaps maps = kerb_maps_run(&c, kerb_cpu_flags(), 1, true);
            for (int y = 0; y < 41; y++)
                for (int x = 0; x < 67; x++) assert_int_equal(maps.labels.data[y * maps.labels.stride + x], part);
            kerb_maps_free(&maps);
        }
        kerb_case_free(&c);
    }
}

/* A score that is the threshold says 1, one that is a hair below says 0. */
static void test_binary_threshold_is_included(void **state)
{
    for (int kind = KERB_SCORES_BINARY_LOGIT; kind <= KERB_SCORES_BINARY_PROBABILITY; kind++) {
        static const float thresholds[] = { 0.0f, 0.5f, 0.3f, 1.0f };
        for (int i = 0; i < 4; i++)
            for (int below = 0; below < 2; below++) {
                KerbCase c = kerb_one_head((KerbScoreKind)kind, 1, 5, 4, 4, 33, 21, KERB_F32, KERB_LAYOUT_NCHW);
                c.params.heads[0].threshold = thresholds[i];
                float s = below ? nextafterf(thresholds[i], -2.0f) : thresholds[i];
                for (int k = 0; k < 20; k++) ((float *)c.scores[0].data)[k] = s;
                KerbMaps maps = kerb_maps_run(&c, kerb_cpu_flags(), 1, true);
                for (int y = 0; y < 21; y++)
                    for (int x = 0; x < 33; x++) assert_int_equal(maps.labels.data[y * maps.labels.stride + x], !below);
                kerb_maps_free(&maps);
                kerb_case_free(&c);
            }
    }
}

/* NaN counts as the lowest score, infinities as very large ones: defined, the same everywhere, and nothing is read or written astray. */
static void test_damaged_scores(void **state)
{
    KerbTally tally = { 0 };
    for (int seed = 0; seed < 60; seed++) {
        KerbRandom r = kerb_random_seed(7000 + (uint64_t)seed);
        static const int channels[] = { 1, 2, 3, 19 };
        int n = channels[seed % 4];
        KerbScoreKind kind = n == 1 ? (seed & 4 ? KERB_SCORES_BINARY_LOGIT : KERB_SCORES_BINARY_PROBABILITY)
                                    : (seed & 4 ? KERB_SCORES_LOGITS : KERB_SCORES_PROBABILITIES);
        KerbCase c = kerb_one_head(kind, n, 23, 9, 4, 90, 37, KERB_F32, seed % KERB_LAYOUTS);
        kerb_fill_scores(&c.scores[0], &c.params.heads[0], &r);
        bool all = seed % 7 == 0;
        for (int64_t k = 0; k < (int64_t)n * 23 * 9; k++) {
            static const double odd[] = { NAN, INFINITY, -INFINITY, -0.0, 3e38, 1e-45 };
            if (all) kerb_tensor_set(&c.scores[0], k, NAN);
            else if (!kerb_random_int(&r, 0, 6)) kerb_tensor_set(&c.scores[0], k, odd[kerb_random_int(&r, 0, 5)]);
        }
        KerbMaps maps = kerb_maps_run(&c, 0, 1, true);
        if (all)
            for (int y = 0; y < 37; y++)
                for (int x = 0; x < 90; x++) assert_int_equal(maps.labels.data[y * maps.labels.stride + x], 0);
        kerb_maps_free(&maps);
        /* Confidence between a number and a NaN is as the definition says, too; scores beyond 1e30 are ties of the test's own making. */
        char what[32];
        snprintf(what, sizeof(what), "damaged %d", seed);
        kerb_check_case(&c, what, &tally);
        kerb_case_free(&c);
    }
}

/* A tensor of another shape than its head's, or none, gives no labels and no crash. */
static void test_wrong_tensor_gives_no_labels(void **state)
{
    KerbCase c = kerb_one_head(KERB_SCORES_LOGITS, 3, 8, 8, 4, 32, 32, KERB_F32, KERB_LAYOUT_NCHW);
    c.params.heads[0].width = 9;
    KerbMaps maps = kerb_maps_run(&c, kerb_cpu_flags(), 1, true);
    for (int y = 0; y < 32; y++)
        for (int x = 0; x < 32; x++) {
            assert_int_equal(maps.labels.data[y * maps.labels.stride + x], KERB_LABEL_NONE);
            assert_int_equal(maps.confidence.data[y * maps.confidence.stride + x], 0);
        }
    kerb_maps_free(&maps);
    kerb_case_free(&c);
}

/* TwinLiteNet's way: two heads of two classes; lanes over drivable area over background. */
static void test_layers(void **state)
{
    KerbCase c = kerb_one_head(KERB_SCORES_LOGITS, 2, 4, 1, 1, 4, 1, KERB_F32, KERB_LAYOUT_NCHW);
    c.params.n_heads = 2;
    c.params.heads[1] = c.params.heads[0];
    c.params.heads[1].index[1] = 2;
    c.scores[1] = kerb_tensor_new(KERB_F32, 2, 1, 4, KERB_LAYOUT_NCHW);
    float area[8] = { 1, 1, 0, 0, 0, 0, 3, 3 }, lanes[8] = { 1, 0, 1, 0, 0, 2, 0, 2 };
    memcpy(c.scores[0].data, area, sizeof(area));
    memcpy(c.scores[1].data, lanes, sizeof(lanes));
    KerbMaps maps = kerb_maps_run(&c, kerb_cpu_flags(), 1, true);
    static const uint8_t labels[4] = { 0, 2, 1, 2 };
    assert_memory_equal(maps.labels.data, labels, 4);
    double logits[4] = { 1, 2, 3, 2 }; /* of the head whose label stands, by itself */
    for (int x = 0; x < 4; x++) assert_int_equal(maps.confidence.data[x], lround(255.0 / (1.0 + exp(-logits[x]))));
    kerb_maps_free(&maps);
    kerb_case_free(&c);
}

static void test_what_cannot_be_is_refused(void **state)
{
    KerbCase good = kerb_one_head(KERB_SCORES_LOGITS, 3, 8, 8, 4, 32, 32, KERB_F32, KERB_LAYOUT_NCHW);
    for (int what = 0; what < 15; what++) {
        KerbOutParams p = good.params;
        KerbOutHead *h = &p.heads[0];
        switch (what) {
        case 0: p.n_heads = 0; break;
        case 1: p.n_heads = KERB_MAX_HEADS + 1; break;
        case 2: h->channels = 1; break;
        case 3: h->channels = 257; break;
        case 4: h->kind = KERB_SCORES_BINARY_LOGIT; break;
        case 5: h->width = 0; break;
        case 6: h->height = 1 << 30; break;
        case 7: h->cell_w_px = 0.0; break;
        case 8: h->origin_y_px = NAN; break;
        case 9: h->kind = (KerbScoreKind)17; break;
        case 10: p.format.width_px = 33; break;
        case 11: p.geometry.scale_x = 0.0; break;
        case 12: p.geometry.frame_x1 = 33; break;
        case 13: p.threads = 0; break;
        case 14: h->threshold = NAN; break;
        }
        KerbOut *out = (KerbOut *)&good;
        KerbError error = { 0 };
        assert_int_equal(kerb_out_new(&out, &p, &error), KERB_ERROR_ARGUMENT);
        assert_null(out);
        assert_true(strlen(error.message) > 10);
    }
    KerbOut *out = NULL;
    kerb_out_free(&out);
    kerb_out_free(NULL);
    kerb_case_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_cases_meet_the_definition), cmocka_unit_test(test_usual_shapes),
        cmocka_unit_test(test_ties_go_to_the_lowest_class),      cmocka_unit_test(test_binary_threshold_is_included),
        cmocka_unit_test(test_damaged_scores),                   cmocka_unit_test(test_wrong_tensor_gives_no_labels),
        cmocka_unit_test(test_layers),                           cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
