/* SPDX-License-Identifier: MIT */
/* The row kernels of out_rows.h over lanes: included by out_rows_{c,avx2,avx512}.c after an out_lanes_*.h and with KERB_ROWS(name) defined.
 * Lanes are neighbouring cells or pixels. What each step computes is out_pixel.h's function of the same name, operation by operation, so that
 * the variants agree to the bit. */
#include "out/out_pixel.h"
#include "out/out_rows.h"

#include <math.h>
#include <string.h>

static inline VecF vf_lerp(VecF a, VecF b, VecF w)
{
    return vf_add(a, vf_mul(w, vf_sub(b, a)));
}

static inline VecF vf_score(VecF s)
{
    return vf_min(vf_max(s, vf_set1(-KERB_PX_SCORE_LIMIT)), vf_set1(KERB_PX_SCORE_LIMIT));
}

static inline VecF vf_exp(VecF x)
{
    x = vf_max(x, vf_set1(KERB_PX_EXP_LOW));
    VecF t = vf_mul(x, vf_set1(KERB_PX_LOG2E));
    VecF n = vf_sub(vf_add(t, vf_set1(KERB_PX_ROUND)), vf_set1(KERB_PX_ROUND));
    VecF f = vf_sub(t, n);
    VecF p = vf_add(vf_set1(KERB_PX_EXP_C3), vf_mul(f, vf_set1(KERB_PX_EXP_C4)));
    p = vf_add(vf_set1(KERB_PX_EXP_C2), vf_mul(f, p));
    p = vf_add(vf_set1(KERB_PX_EXP_C1), vf_mul(f, p));
    p = vf_add(vf_set1(1.0f), vf_mul(f, p));
    return vf_mul(p, vf_exp2i(vi_from_f(n)));
}

static inline VecF vf_clamp01(VecF p)
{
    return vf_min(vf_max(p, vf_set1(0.0f)), vf_set1(1.0f));
}

static inline VecF vf_sigmoid(VecF s)
{
    VecM negative = vm_greater(vf_set1(0.0f), s);
    VecF e = vf_exp(vf_select(negative, s, vf_sub(vf_set1(0.0f), s)));
    VecF q = vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), e));
    return vf_select(negative, vf_mul(e, q), q);
}

static inline VecI vi_confidence(VecF p)
{
    return vi_from_f(vf_add(vf_mul(p, vf_set1(255.0f)), vf_set1(0.5f)));
}

/* ------------------------------------------------------------------------------------------------------- loading */

static float KERB_ROWS(load_one)(const KerbScoreRow *row, int c, int x)
{
    int64_t at = c * row->channel_stride + x * row->cell_stride;
    float s;
    switch (row->dtype) {
    case KERB_F32: s = ((const float *)row->data)[at]; break;
    case KERB_BF16: s = kerb_bf16_to_f32(((const uint16_t *)row->data)[at]); break;
    case KERB_F16: s = kerb_f16_to_f32(((const uint16_t *)row->data)[at]); break;
    case KERB_F64: s = (float)((const double *)row->data)[at]; break;
    case KERB_U8: s = ((const uint8_t *)row->data)[at]; break;
    case KERB_I8: s = ((const int8_t *)row->data)[at]; break;
    case KERB_I32: s = (float)((const int32_t *)row->data)[at]; break;
    case KERB_I64: s = (float)((const int64_t *)row->data)[at]; break;
    default: s = 0.0f; break;
    }
    return kerb_px_score(s);
}

/* Rows of one channel that lie together. */
static void KERB_ROWS(load_planes)(float *dst, int64_t pitch, const KerbScoreRow *row, int whole)
{
    for (int c = 0; c < row->channels; c++) {
        const float *f32 = (const float *)row->data + c * row->channel_stride;
        const uint16_t *bf16 = (const uint16_t *)row->data + c * row->channel_stride;
        float *to = dst + c * pitch;
        if (row->dtype == KERB_F32)
            for (int x = 0; x < whole; x += KERB_LANES) vf_store(to + x, vf_score(vf_load(f32 + x)));
        else
            for (int x = 0; x < whole; x += KERB_LANES) vf_store(to + x, vf_score(vf_load_bf16(bf16 + x)));
    }
}

/* Channels that lie together: two and nothing else, or four at a time, of which the last four may overlap those before. */
static void KERB_ROWS(load_channels)(float *dst, int64_t pitch, const KerbScoreRow *row, int whole)
{
    bool f32 = row->dtype == KERB_F32, pairs = row->channels == 2;
    int step = pairs ? 2 : 4, last = row->channels - step;
    for (int x = 0; x < whole; x += KERB_LANES) {
        const float *at_f32 = (const float *)row->data + x * row->cell_stride;
        const uint16_t *at_bf16 = (const uint16_t *)row->data + x * row->cell_stride;
        for (int k = 0; k < row->channels; k += step) {
            int c = k < last ? k : last;
            VecF v[4];
            if (pairs && f32) vf_load_pairs(at_f32, v);
            else if (pairs) vf_load_pairs_bf16(at_bf16, v);
            else if (f32) vf_load_fours(at_f32 + c, row->cell_stride, v);
            else vf_load_fours_bf16(at_bf16 + c, row->cell_stride, v);
            for (int j = 0; j < step; j++) vf_store(dst + (c + j) * pitch + x, vf_score(v[j]));
        }
    }
}

static void KERB_ROWS(load_strided)(float *dst, int64_t pitch, const KerbScoreRow *row, int whole)
{
    int32_t places[KERB_LANES];
    for (int i = 0; i < KERB_LANES; i++) places[i] = i * (int32_t)row->cell_stride;
    VecI at = vi_load(places);
    for (int x = 0; x < whole; x += KERB_LANES)
        for (int c = 0; c < row->channels; c++)
            vf_store(dst + c * pitch + x, vf_score(vf_gather((const float *)row->data + c * row->channel_stride + x * row->cell_stride, at)));
}

/* The first cells of all channels, whole vectors of them; returns how many. Every read stays inside the row's own elements. */
static int KERB_ROWS(load_vectors)(float *dst, int64_t pitch, const KerbScoreRow *row)
{
    int whole = row->cells / KERB_LANES * KERB_LANES;
    bool f32 = row->dtype == KERB_F32;
    if (!f32 && row->dtype != KERB_BF16) return 0;
    bool pairs = row->channels == 2 && row->cell_stride == 2, fours = row->channels >= 4;
    if (row->cell_stride == 1) KERB_ROWS(load_planes)(dst, pitch, row, whole);
    else if (row->channel_stride == 1 && (pairs || fours)) KERB_ROWS(load_channels)(dst, pitch, row, whole);
    else if (f32 && row->cell_stride <= INT32_MAX / KERB_ROW_LANES) KERB_ROWS(load_strided)(dst, pitch, row, whole);
    else return 0;
    return whole;
}

static void KERB_ROWS(load)(float *dst, int64_t pitch, const KerbScoreRow *row)
{
    int done = KERB_ROWS(load_vectors)(dst, pitch, row);
    int padded = (row->cells / KERB_ROW_LANES + 1) * KERB_ROW_LANES;
    for (int x = done; x < row->cells; x++)
        for (int c = 0; c < row->channels; c++) dst[c * pitch + x] = KERB_ROWS(load_one)(row, c, x);
    for (int c = 0; c < row->channels; c++)
        for (int x = row->cells; x < padded; x++) dst[c * pitch + x] = dst[c * pitch + row->cells - 1];
}

/* --------------------------------------------------------------------------------------------------------- cells */

static void KERB_ROWS(argmax)(const float *scores, int64_t pitch, int classes, int cells, uint8_t *labels, float *max)
{
    for (int x = 0; x <= cells; x += KERB_LANES) {
        VecF best = vf_load(scores + x);
        VecI label = vi_set1(0);
        for (int c = 1; c < classes; c++) {
            VecF s = vf_load(scores + c * pitch + x);
            VecM wins = vm_greater(s, best);
            best = vf_max(s, best);
            label = vi_select(wins, vi_set1(c), label);
        }
        vi_store_u8(labels + x, label, KERB_LANES);
        vf_store(max + x, best);
    }
}

static void KERB_ROWS(softmax_top)(const float *scores, int64_t pitch, int classes, int cells, const float *max, float *top)
{
    for (int x = 0; x <= cells; x += KERB_LANES) {
        VecF greatest = vf_load(max + x), sum = vf_set1(0.0f);
        for (int c = 0; c < classes; c++) sum = vf_add(sum, vf_exp(vf_sub(vf_load(scores + c * pitch + x), greatest)));
        vf_store(top + x, vf_div(vf_set1(1.0f), sum));
    }
}

static void KERB_ROWS(binary_cells)(const float *s0, const float *s1, float bias, bool probability, int cells, float *margin, float *p1)
{
    for (int x = 0; x <= cells; x += KERB_LANES) {
        VecF s = vf_load(s1 + x);
        VecF m = vf_sub(s, s0 ? vf_load(s0 + x) : vf_set1(bias));
        vf_store(margin + x, m);
        if (!p1) continue;
        if (probability) vf_store(p1 + x, vf_clamp01(s));
        else vf_store(p1 + x, vf_sigmoid(s0 ? m : s));
    }
}

static void KERB_ROWS(rivals)(const float *const scores[2], int64_t pitch, int classes, int cells, uint8_t *flags)
{
    for (int x = 0; x < cells; x += KERB_LANES) {
        const float *a = scores[0] + x, *b = scores[1] + x;
        VecF bar = vf_set1(-KERB_PX_SCORE_LIMIT); /* some class is everywhere as high as this */
        VecF magnitude = vf_set1(0.0f);
        for (int c = 0; c < classes; c++, a += pitch, b += pitch) {
            VecF a0 = vf_load(a), a1 = vf_load(a + 1), b0 = vf_load(b), b1 = vf_load(b + 1);
            VecF least = vf_min(vf_min(a0, a1), vf_min(b0, b1)), most = vf_max(vf_max(a0, a1), vf_max(b0, b1));
            bar = vf_max(bar, least);
            magnitude = vf_max(magnitude, vf_max(most, vf_sub(vf_set1(0.0f), least)));
        }
        bar = vf_sub(bar, vf_mul(magnitude, vf_set1(KERB_PX_RIVAL_MARGIN)));
        a = scores[0] + x, b = scores[1] + x;
        for (int c = 0; c < classes; c++, a += pitch, b += pitch) {
            VecF most = vf_max(vf_max(vf_load(a), vf_load(a + 1)), vf_max(vf_load(b), vf_load(b + 1)));
            vi_store_u8(flags + c * pitch + x, vi_select(vm_greater(bar, most), vi_set1(0), vi_set1(1)), KERB_LANES);
        }
    }
}

/* -------------------------------------------------------------------------------------------------------- pixels */

/* How a group of KERB_LANES pixels reaches its cells: in one vector, in two, or each on its own. A gather costs about as much as 16 loads. */
enum { KERB_REACH_ONE, KERB_REACH_TWO, KERB_REACH_ANY };

/* A group of pixels. `cell` is relative to `base` but for KERB_REACH_ANY. */
typedef struct KerbGroup {
    int base;
    VecI cell;
    VecF w;
} KerbGroup;

static inline __attribute__((always_inline)) KerbGroup kerb_group(const KerbColumns *columns, int pixel, int reach)
{
    KerbGroup g;
    g.base = reach == KERB_REACH_ANY ? 0 : columns->x0[pixel];
    g.cell = vi_sub(vi_load(columns->x0 + pixel), vi_set1(g.base));
    g.w = vf_load(columns->w + pixel);
    return g;
}

/* The cells to the left and to the right of each pixel, from one row. */
static inline __attribute__((always_inline)) void kerb_group_cells(const float *row, const KerbGroup *g, int reach, VecF *left, VecF *right)
{
    VecI one = vi_set1(1);
    if (reach == KERB_REACH_ONE) {
        VecF window = vf_load(row + g->base);
        *left = vf_pick(window, g->cell);
        *right = vf_pick(window, vi_add(g->cell, one));
    } else if (reach == KERB_REACH_TWO) {
        VecF low = vf_load(row + g->base), high = vf_load(row + g->base + KERB_LANES);
        *left = vf_pick2(low, high, g->cell);
        *right = vf_pick2(low, high, vi_add(g->cell, one));
    } else {
        *left = vf_gather(row, g->cell);
        *right = vf_gather(row + 1, g->cell);
    }
}

/* Two rows interpolated at each pixel: vertically, then horizontally. */
static inline __attribute__((always_inline)) VecF kerb_group_lerp(const float *a, const float *b, VecF weight, const KerbGroup *g, int reach)
{
    VecF left, right;
    if (reach == KERB_REACH_ONE) {
        VecF window = vf_lerp(vf_load(a + g->base), vf_load(b + g->base), weight);
        left = vf_pick(window, g->cell);
        right = vf_pick(window, vi_add(g->cell, vi_set1(1)));
    } else if (reach == KERB_REACH_TWO) {
        VecF low = vf_lerp(vf_load(a + g->base), vf_load(b + g->base), weight);
        VecF high = vf_lerp(vf_load(a + g->base + KERB_LANES), vf_load(b + g->base + KERB_LANES), weight);
        left = vf_pick2(low, high, g->cell);
        right = vf_pick2(low, high, vi_add(g->cell, vi_set1(1)));
    } else {
        left = vf_lerp(vf_gather(a, g->cell), vf_gather(b, g->cell), weight);
        right = vf_lerp(vf_gather(a + 1, g->cell), vf_gather(b + 1, g->cell), weight);
    }
    return vf_lerp(left, right, g->w);
}

static inline __attribute__((always_inline)) void kerb_binary_pixels(const KerbBinaryRows *rows, const KerbColumns *columns, int first, int n,
                                                                      uint8_t *labels, uint8_t *confidence, int reach)
{
    VecF weight = vf_set1(rows->weight), zero = vf_set1(0.0f), one = vf_set1(1.0f);
    VecI index0 = vi_set1(rows->index[0]), index1 = vi_set1(rows->index[1]);
    for (int i = 0; i < n; i += KERB_LANES) {
        KerbGroup g = kerb_group(columns, first + i, reach);
        VecM yes = vm_greater(kerb_group_lerp(rows->margin[0], rows->margin[1], weight, &g, reach), zero);
        vi_store_u8(labels + i, vi_select(yes, index1, index0), n - i < KERB_LANES ? n - i : KERB_LANES);
        if (!confidence) continue;
        VecF p = kerb_group_lerp(rows->p1[0], rows->p1[1], weight, &g, reach);
        p = vf_select(yes, p, vf_sub(one, p));
        vi_store_u8(confidence + i, vi_confidence(p), n - i < KERB_LANES ? n - i : KERB_LANES);
    }
}

static void KERB_ROWS(binary_pixels)(const KerbBinaryRows *rows, const KerbColumns *columns, int first, int n, uint8_t *labels, uint8_t *confidence)
{
    if (columns->reach < KERB_LANES) kerb_binary_pixels(rows, columns, first, n, labels, confidence, KERB_REACH_ONE);
    else if (columns->reach < 2 * KERB_LANES) kerb_binary_pixels(rows, columns, first, n, labels, confidence, KERB_REACH_TWO);
    else kerb_binary_pixels(rows, columns, first, n, labels, confidence, KERB_REACH_ANY);
}

static inline __attribute__((always_inline)) void kerb_top_pixels(const float *const top[2], float weight, const KerbColumns *columns, int first,
                                                                   int n, uint8_t *confidence, int reach)
{
    for (int i = 0; i < n; i += KERB_LANES) {
        KerbGroup g = kerb_group(columns, first + i, reach);
        VecF p = vf_clamp01(kerb_group_lerp(top[0], top[1], vf_set1(weight), &g, reach));
        vi_store_u8(confidence + i, vi_confidence(p), n - i < KERB_LANES ? n - i : KERB_LANES);
    }
}

static void KERB_ROWS(top_pixels)(const float *const top[2], float weight, const KerbColumns *columns, int first, int n, uint8_t *confidence)
{
    if (columns->reach < KERB_LANES) kerb_top_pixels(top, weight, columns, first, n, confidence, KERB_REACH_ONE);
    else if (columns->reach < 2 * KERB_LANES) kerb_top_pixels(top, weight, columns, first, n, confidence, KERB_REACH_TWO);
    else kerb_top_pixels(top, weight, columns, first, n, confidence, KERB_REACH_ANY);
}

/* The softmax probability of each pixel's class at its four cells, interpolated. Neighbours have few classes between them, so each one's cells are
 * read in turn: cheaper than to gather every pixel's own. `classes` are winner's lanes as bytes. */
static inline __attribute__((always_inline)) VecF kerb_group_softmax(const KerbClassRows *rows, const KerbGroup *g, VecI winner, const uint8_t *classes,
                                                                      int count, int reach)
{
    VecF side[2][2]; /* [row][left, right] */
    for (int r = 0; r < 2; r++)
        for (int k = 0; k < 2; k++) side[r][k] = vf_set1(-KERB_PX_SCORE_LIMIT);
    for (int i = 0; i < count; i++) {
        if (i && classes[i] == classes[i - 1]) continue;
        VecM here = vm_equal(winner, vi_set1(classes[i]));
        for (int r = 0; r < 2; r++) {
            VecF left, right;
            kerb_group_cells(rows->scores[r] + classes[i] * rows->pitch, g, reach, &left, &right);
            side[r][0] = vf_select(here, left, side[r][0]);
            side[r][1] = vf_select(here, right, side[r][1]);
        }
    }
    for (int r = 0; r < 2; r++) {
        VecF max[2], top[2];
        kerb_group_cells(rows->max[r], g, reach, &max[0], &max[1]);
        kerb_group_cells(rows->top[r], g, reach, &top[0], &top[1]);
        for (int k = 0; k < 2; k++) side[r][k] = vf_mul(vf_exp(vf_sub(side[r][k], max[k])), top[k]);
    }
    VecF weight = vf_set1(rows->weight);
    return vf_lerp(vf_lerp(side[0][0], side[1][0], weight), vf_lerp(side[0][1], side[1][1], weight), g->w);
}

static inline __attribute__((always_inline)) void kerb_mixed_pixels(const KerbClassRows *rows, const KerbColumns *columns, int first, int n,
                                                                     uint8_t *classes, uint8_t *confidence, int reach)
{
    VecF weight = vf_set1(rows->weight);
    for (int i = 0; i < n; i += KERB_LANES) {
        KerbGroup g = kerb_group(columns, first + i, reach);
        VecF best = vf_set1(-INFINITY);
        VecI winner = vi_set1(0);
        for (int k = 0; k < rows->n_rivals; k++) {
            int c = rows->rivals[k];
            VecF s = kerb_group_lerp(rows->scores[0] + c * rows->pitch, rows->scores[1] + c * rows->pitch, weight, &g, reach);
            VecM wins = vm_greater(s, best);
            best = vf_max(s, best);
            winner = vi_select(wins, vi_set1(c), winner);
        }
        int count = n - i < KERB_LANES ? n - i : KERB_LANES;
        vi_store_u8(classes + i, winner, count);
        if (!confidence) continue;
        VecF p = rows->softmax ? kerb_group_softmax(rows, &g, winner, classes + i, count, reach) : best;
        vi_store_u8(confidence + i, vi_confidence(vf_clamp01(p)), count);
    }
}

static void KERB_ROWS(mixed_pixels)(const KerbClassRows *rows, const KerbColumns *columns, int first, int n, uint8_t *classes, uint8_t *confidence)
{
    if (columns->reach < KERB_LANES) kerb_mixed_pixels(rows, columns, first, n, classes, confidence, KERB_REACH_ONE);
    else if (columns->reach < 2 * KERB_LANES) kerb_mixed_pixels(rows, columns, first, n, classes, confidence, KERB_REACH_TWO);
    else kerb_mixed_pixels(rows, columns, first, n, classes, confidence, KERB_REACH_ANY);
}

/* Left to the compiler: bytes under a mask. */
static void KERB_ROWS(layer)(uint8_t *labels, uint8_t *confidence, const uint8_t *upper, const uint8_t *upper_confidence, int n)
{
    if (confidence)
        for (int i = 0; i < n; i++) confidence[i] = upper[i] ? upper_confidence[i] : confidence[i];
    for (int i = 0; i < n; i++) labels[i] = upper[i] ? upper[i] : labels[i];
}

void KERB_ROWS(kerb_out_kernels)(KerbOutKernels *out)
{
    out->lanes = KERB_LANES;
    out->load = KERB_ROWS(load);
    out->argmax = KERB_ROWS(argmax);
    out->softmax_top = KERB_ROWS(softmax_top);
    out->binary_cells = KERB_ROWS(binary_cells);
    out->binary_pixels = KERB_ROWS(binary_pixels);
    out->top_pixels = KERB_ROWS(top_pixels);
    out->rivals = KERB_ROWS(rivals);
    out->mixed_pixels = KERB_ROWS(mixed_pixels);
    out->layer = KERB_ROWS(layer);
    out->name = KERB_ROWS_NAME;
}
