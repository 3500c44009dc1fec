/* SPDX-License-Identifier: MIT */
/* One head: tables at open, rows while streaming. See out_head.h. */
#include "out/out_head.h"

#include "base/memory.h"
#include "out/out_pixel.h"

#include <math.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------------------------- open */

/* From how many pixels a cell on it pays to find out which classes may win in it, and into how long pieces mixed runs are cut, each with its own list
 * of classes: long enough to fill vectors, short enough for few classes. */
enum { KERB_PRUNE_CELL_PX = 8, KERB_PRUNE_RUN_PX = 32 };

static const char *kerb_score_kind_name(KerbScoreKind kind)
{
    switch (kind) {
    case KERB_SCORES_LOGITS: return "logits";
    case KERB_SCORES_PROBABILITIES: return "probabilities";
    case KERB_SCORES_BINARY_LOGIT: return "binary logit";
    case KERB_SCORES_BINARY_PROBABILITY: return "binary probability";
    case KERB_SCORES_LABELS: return "labels";
    }
    return "unknown";
}

static KerbStatus kerb_head_check(const KerbOutHead *h, int index, KerbError *error)
{
    if ((unsigned)h->kind > KERB_SCORES_LABELS)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "output head %d: %d is no kind of scores", index, (int)h->kind);
    bool many = h->kind == KERB_SCORES_LOGITS || h->kind == KERB_SCORES_PROBABILITIES;
    if (many ? h->channels < 2 || h->channels > KERB_MAX_CLASSES : h->channels != 1)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "output head %d: %s with %d channels; need %s", index, kerb_score_kind_name(h->kind), h->channels,
                         many ? "2 to 256" : "1");
    if (h->width < 1 || h->height < 1 || h->width > KERB_MAX_SIDE_PX || h->height > KERB_MAX_SIDE_PX)
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "output head %d: %d x %d cells; need 1 to %d each way", index, h->width, h->height,
                         KERB_MAX_SIDE_PX);
    if (!(h->cell_w_px > 0.0) || !(h->cell_h_px > 0.0) || !isfinite(h->cell_w_px) || !isfinite(h->cell_h_px) || !isfinite(h->origin_x_px) ||
        !isfinite(h->origin_y_px))
        return kerb_fail(error, KERB_ERROR_ARGUMENT, "output head %d: cells of %g x %g px at (%g, %g); need finite values above 0", index, h->cell_w_px,
                         h->cell_h_px, h->origin_x_px, h->origin_y_px);
    if (isnan(h->threshold)) return kerb_fail(error, KERB_ERROR_ARGUMENT, "output head %d: the threshold is not a number", index);
    return KERB_OK;
}

/* Places of the frame's columns among the cells, and of the cells among the columns. */
static void kerb_head_columns(KerbHead *head)
{
    const KerbOutHead *h = &head->params;
    int n = head->end_px - head->first_px;
    for (int i = 0; i < n + KERB_ROW_LANES; i++) {
        int pixel = head->first_px + (i < n ? i : n - 1);
        double at = kerb_px_cell(pixel, head->geometry.scale_x, head->geometry.offset_x, h->cell_w_px, h->origin_x_px);
        if (h->nearest) head->x0[i] = kerb_px_nearest(at, h->width);
        else head->x0[i] = kerb_px_linear(at, h->width, &head->w[i]);
    }
    for (int cell = 0, i = 0; cell <= h->width; cell++) {
        while (i < n && head->x0[i] < cell) i++;
        head->cell_px[cell] = i;
    }
    head->columns = (KerbColumns){ head->x0, head->w, kerb_columns_reach(head->x0, n, head->kernels->lanes) };
}

KerbStatus kerb_head_init(KerbHead *head, const KerbOutParams *params, int index, const KerbOutKernels *kernels, KerbError *error)
{
    const KerbOutHead *h = &params->heads[index];
    memset(head, 0, sizeof(*head));
    KerbStatus status = kerb_head_check(h, index, error);
    if (status != KERB_OK) return status;
    head->params = *h;
    if (h->kind == KERB_SCORES_LABELS) head->params.nearest = true;
    head->kernels = kernels;
    head->geometry = params->geometry;
    head->confidence = params->confidence;
    head->binary = h->kind == KERB_SCORES_BINARY_LOGIT || h->kind == KERB_SCORES_BINARY_PROBABILITY ||
                   (h->kind == KERB_SCORES_LOGITS && h->channels == 2);
    /* Label 1 where score >= threshold, which is score > the next float below it: one comparison serves all binary kinds. */
    head->bias = nextafterf(kerb_px_score(h->threshold), -INFINITY);
    head->identity = true;
    for (int c = 0; c < (head->binary ? 2 : h->channels); c++) head->identity &= h->index[c] == c;
    for (int c = 0; c < KERB_MAX_CLASSES; c++) head->classes[c] = (uint8_t)c;
    head->first_px = params->geometry.frame_x0;
    head->end_px = params->geometry.frame_x1;
    double covered_px = (double)(head->end_px - head->first_px) * (params->geometry.frame_y1 - params->geometry.frame_y0);
    head->prunes = !head->binary && !head->params.nearest && covered_px / h->width / h->height >= KERB_PRUNE_CELL_PX;
    head->pitch = KERB_ROW_PITCH(h->width);
    size_t columns = (size_t)(head->end_px - head->first_px) + KERB_ROW_LANES;
    int32_t *memory = kerb_alloc((2 * columns + (size_t)h->width + 1) * 4);
    if (!memory) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the column tables of output head %d", index);
    head->memory = memory;
    head->x0 = memory;
    head->w = (float *)(memory + columns);
    head->cell_px = memory + 2 * columns;
    kerb_head_columns(head);
    return KERB_OK;
}

void kerb_head_clear(KerbHead *head)
{
    kerb_free(&head->memory);
}

KerbStatus kerb_head_scratch_init(const KerbHead *head, KerbHeadScratch *scratch, KerbError *error)
{
    memset(scratch, 0, sizeof(*scratch));
    size_t pitch = (size_t)head->pitch, columns = (size_t)(head->end_px - head->first_px);
    size_t scores = pitch * (size_t)head->params.channels;
    size_t floats = 2 * (scores + 2 * pitch), runs = (size_t)head->params.width + 1;
    size_t lists = head->prunes ? scores : 0; /* a mixed run takes at least one cell */
    size_t bytes = floats * sizeof(float) + runs * sizeof(KerbRun) + 2 * pitch + 2 * columns + 2 * lists;
    float *memory = kerb_alloc(bytes);
    if (!memory) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for rows of scores (%zu bytes)", bytes);
    scratch->memory = memory;
    for (int i = 0; i < 2; i++) {
        scratch->cells[i].scores = memory;
        scratch->cells[i].max = memory + scores;
        scratch->cells[i].top = memory + scores + pitch;
        memory += scores + 2 * pitch;
    }
    scratch->runs = (KerbRun *)memory;
    uint8_t *byte = (uint8_t *)(scratch->runs + runs);
    for (int i = 0; i < 2; i++) scratch->cells[i].labels = byte + (size_t)i * pitch;
    scratch->near_labels = byte + 2 * pitch;
    scratch->near_confidence = scratch->near_labels + columns;
    scratch->flags = scratch->near_confidence + columns;
    scratch->rivals = scratch->flags + lists;
    kerb_head_begin(scratch);
    return KERB_OK;
}

void kerb_head_scratch_clear(KerbHeadScratch *scratch)
{
    kerb_free(&scratch->memory);
}

/* ---------------------------------------------------------------------------------------------------------- cells */

void kerb_head_begin(KerbHeadScratch *scratch)
{
    scratch->cells[0].row = scratch->cells[1].row = -1;
    scratch->runs_row[0] = scratch->runs_row[1] = -1;
    scratch->near_row = -1;
}

bool kerb_head_takes(const KerbHead *head, const KerbTensor *scores)
{
    const KerbOutHead *h = &head->params;
    int rank = scores->rank;
    if (!scores->data || rank < 2 || rank > 4 || scores->dims[rank - 1] != h->width || scores->dims[rank - 2] != h->height) return false;
    if (rank == 4 && scores->dims[0] != 1) return false;
    return (rank == 2 ? 1 : scores->dims[rank - 3]) == h->channels;
}

static KerbScoreRow kerb_head_source(const KerbHead *head, const KerbTensor *scores, int row)
{
    int rank = scores->rank;
    KerbScoreRow source = { .dtype = scores->dtype, .channels = head->params.channels, .cells = head->params.width };
    source.cell_stride = scores->strides[rank - 1];
    source.channel_stride = rank > 2 ? scores->strides[rank - 3] : 0;
    source.data = (const uint8_t *)scores->data + (size_t)(row * scores->strides[rank - 2]) * kerb_dtype_bytes(scores->dtype);
    return source;
}

static void kerb_head_load(const KerbHead *head, KerbCellRow *cells, const KerbTensor *scores, int row, bool confidence)
{
    const KerbOutKernels *k = head->kernels;
    const KerbOutHead *h = &head->params;
    KerbScoreRow source = kerb_head_source(head, scores, row);
    k->load(cells->scores, head->pitch, &source);
    cells->row = row;
    if (h->kind == KERB_SCORES_LABELS) return;
    if (head->binary) {
        bool two = h->channels == 2;
        k->binary_cells(two ? cells->scores : NULL, two ? cells->scores + head->pitch : cells->scores, head->bias,
                        h->kind == KERB_SCORES_BINARY_PROBABILITY, h->width, cells->max, confidence ? cells->top : NULL);
        return;
    }
    k->argmax(cells->scores, head->pitch, h->channels, h->width, cells->labels, cells->max);
    if (!confidence) return;
    if (h->kind == KERB_SCORES_LOGITS) k->softmax_top(cells->scores, head->pitch, h->channels, h->width, cells->max, cells->top);
    else memcpy(cells->top, cells->max, (size_t)head->pitch * sizeof(float));
}

/* The cells of `row`, from the scratch or into it; the row `keep` stays where it is. */
static const KerbCellRow *kerb_head_cells(const KerbHead *head, KerbHeadScratch *scratch, const KerbTensor *scores, int row, int keep, bool confidence)
{
    KerbCellRow *cells = scratch->cells;
    for (int i = 0; i < 2; i++)
        if (cells[i].row == row) return &cells[i];
    KerbCellRow *free_row = cells[0].row == keep ? &cells[1] : &cells[0];
    kerb_head_load(head, free_row, scores, row, confidence);
    return free_row;
}

/* ------------------------------------------------------------------------------------------------------ bilinear */

/* The classes that may win in one of these cells, appended to the scratch's lists. */
static void kerb_runs_rivals(const KerbHead *head, KerbHeadScratch *scratch, int cell_begin, int cell_end, KerbRun *run)
{
    uint8_t *list = scratch->rivals + scratch->n_rivals;
    int n = 0;
    for (int c = 0; c < head->params.channels; c++) {
        const uint8_t *flags = scratch->flags + (size_t)c * (size_t)head->pitch;
        int any = 0;
        for (int x = cell_begin; x < cell_end; x++) any |= flags[x];
        if (any) list[n++] = (uint8_t)c;
    }
    scratch->n_rivals += n;
    run->rivals = list;
    run->n_rivals = n;
}

static void kerb_runs_add_mixed(const KerbHead *head, KerbHeadScratch *scratch, int cell_begin, int cell_end)
{
    while (cell_begin < cell_end) {
        int begin = head->cell_px[cell_begin], stop = head->prunes ? cell_begin + 1 : cell_end;
        while (stop < cell_end && head->cell_px[stop] - begin < KERB_PRUNE_RUN_PX) stop++;
        KerbRun run = { begin, head->cell_px[stop], -1, head->classes, head->params.channels };
        if (run.begin < run.end) {
            if (head->prunes) kerb_runs_rivals(head, scratch, cell_begin, stop, &run);
            scratch->runs[scratch->n_runs++] = run;
        }
        cell_begin = stop;
    }
}

static void kerb_runs_add(const KerbHead *head, KerbHeadScratch *scratch, int cell_begin, int cell_end, int label)
{
    if (label < 0) {
        kerb_runs_add_mixed(head, scratch, cell_begin, cell_end);
        return;
    }
    KerbRun run = { .begin = head->cell_px[cell_begin], .end = head->cell_px[cell_end], .label = label };
    if (run.begin < run.end) scratch->runs[scratch->n_runs++] = run;
}

/* Whether eight bytes are the given ones. */
static bool kerb_eight_are(const uint8_t *p, uint64_t eight)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v == eight;
}

/* Cells between two rows of labels -> runs of pixels. labels[width] repeats the last cell's; eight more bytes may be read. */
static void kerb_runs_find(const KerbHead *head, KerbHeadScratch *scratch, const KerbCellRow *a, const KerbCellRow *b)
{
    const uint8_t *up = a->labels, *down = b->labels;
    int width = head->params.width, begin = 0, label = -2;
    scratch->n_runs = scratch->n_rivals = 0;
    if (head->prunes) head->kernels->rivals((const float *const[2]){ a->scores, b->scores }, head->pitch, head->params.channels, width, scratch->flags);
    for (int x = 0; x < width;) {
        int here = up[x];
        if (up[x + 1] != here || down[x] != here || down[x + 1] != here) here = -1;
        if (here != label) {
            if (x > begin) kerb_runs_add(head, scratch, begin, x, label);
            begin = x;
            label = here;
        }
        x++;
        if (here < 0) continue;
        uint64_t eight = 0x0101010101010101u * (uint64_t)here;
        while (x + 8 < width && kerb_eight_are(up + x, eight) && kerb_eight_are(down + x, eight) && up[x + 8] == here && down[x + 8] == here) x += 8;
    }
    if (width > begin) kerb_runs_add(head, scratch, begin, width, label);
    scratch->runs_row[0] = a->row;
    scratch->runs_row[1] = b->row;
}

static void kerb_head_classes(const KerbHead *head, KerbHeadScratch *scratch, const KerbCellRow *a, const KerbCellRow *b, float weight, uint8_t *labels,
                              uint8_t *confidence)
{
    const KerbOutKernels *k = head->kernels;
    if (scratch->runs_row[0] != a->row || scratch->runs_row[1] != b->row) kerb_runs_find(head, scratch, a, b);
    KerbClassRows rows = {
        .scores = { a->scores, b->scores }, .max = { a->max, b->max }, .top = { a->top, b->top }, .pitch = head->pitch,
        .weight = weight, .softmax = head->params.kind == KERB_SCORES_LOGITS,
    };
    int settled = 0; /* pixels from here to the run are in cells that agree, and wait for their confidence */
    for (int i = 0; i < scratch->n_runs; i++) {
        KerbRun run = scratch->runs[i];
        int n = run.end - run.begin;
        uint8_t *at = labels + run.begin;
        if (run.label >= 0) memset(at, head->params.index[run.label], (size_t)n);
        int known = run.label >= 0 ? run.end : run.begin;
        if (confidence && known > settled && (run.label < 0 || i + 1 == scratch->n_runs))
            k->top_pixels(rows.top, weight, &head->columns, settled, known - settled, confidence + settled);
        if (run.label >= 0) continue;
        settled = run.end;
        rows.rivals = run.rivals;
        rows.n_rivals = run.n_rivals;
        k->mixed_pixels(&rows, &head->columns, run.begin, n, at, confidence ? confidence + run.begin : NULL);
        if (!head->identity)
            for (int x = 0; x < n; x++) at[x] = head->params.index[at[x]];
    }
}

static void kerb_head_linear(const KerbHead *head, KerbHeadScratch *scratch, const KerbTensor *scores, double at, uint8_t *labels, uint8_t *confidence)
{
    float weight;
    int upper = kerb_px_linear(at, head->params.height, &weight);
    int lower = upper + 1 < head->params.height ? upper + 1 : upper;
    const KerbCellRow *a = kerb_head_cells(head, scratch, scores, upper, lower, confidence != NULL);
    const KerbCellRow *b = kerb_head_cells(head, scratch, scores, lower, upper, confidence != NULL);
    if (!head->binary) {
        kerb_head_classes(head, scratch, a, b, weight, labels, confidence);
        return;
    }
    KerbBinaryRows rows = {
        .margin = { a->max, b->max }, .p1 = { a->top, b->top }, .weight = weight, .index = { head->params.index[0], head->params.index[1] },
    };
    head->kernels->binary_pixels(&rows, &head->columns, 0, head->end_px - head->first_px, labels, confidence);
}

/* ------------------------------------------------------------------------------------------------------- nearest */

/* The label index and confidence of one cell. */
static uint8_t kerb_head_cell(const KerbHead *head, const KerbCellRow *cells, int x, bool want, uint8_t *confidence)
{
    const KerbOutHead *h = &head->params;
    if (h->kind == KERB_SCORES_LABELS) {
        int label = kerb_px_label(cells->scores[x]);
        *confidence = label < 0 ? 0 : 255;
        return label < 0 ? KERB_LABEL_NONE : h->index[label];
    }
    if (head->binary) {
        bool yes = cells->max[x] > 0.0f;
        if (want) *confidence = kerb_px_confidence(yes ? cells->top[x] : 1.0f - cells->top[x]);
        return h->index[yes];
    }
    if (want) *confidence = kerb_px_confidence(kerb_px_clamp01(cells->top[x]));
    return h->index[cells->labels[x]];
}

static void kerb_head_nearest(const KerbHead *head, KerbHeadScratch *scratch, const KerbTensor *scores, double at, uint8_t *labels, uint8_t *confidence)
{
    int n = head->end_px - head->first_px, row = kerb_px_nearest(at, head->params.height);
    if (scratch->near_row != row) {
        const KerbCellRow *cells = kerb_head_cells(head, scratch, scores, row, -1, confidence != NULL);
        uint8_t label = 0, sure = 0;
        for (int i = 0, cell = -1; i < n; i++) {
            if (head->x0[i] != cell) label = kerb_head_cell(head, cells, cell = head->x0[i], confidence != NULL, &sure);
            scratch->near_labels[i] = label;
            scratch->near_confidence[i] = sure;
        }
        scratch->near_row = row;
    }
    memcpy(labels, scratch->near_labels, (size_t)n);
    if (confidence) memcpy(confidence, scratch->near_confidence, (size_t)n);
}

void kerb_head_row(const KerbHead *head, KerbHeadScratch *scratch, const KerbTensor *scores, int y, uint8_t *labels, uint8_t *confidence)
{
    const KerbOutHead *h = &head->params;
    double at = kerb_px_cell(y, head->geometry.scale_y, head->geometry.offset_y, h->cell_h_px, h->origin_y_px);
    if (h->nearest) kerb_head_nearest(head, scratch, scores, at, labels, confidence);
    else kerb_head_linear(head, scratch, scores, at, labels, confidence);
}
