/* SPDX-License-Identifier: MIT */
/* The host's side of out: parameters -> tables and scratch in device memory, and the kernels' arguments. The places of columns and rows among the cells are
 * engine/out's own tables. */
#include "cuda/out/out.h"

#include "cuda/base/tables.h"
#include "cuda/out/out_args.h"
#include "out/draw_rows.h"
#include "out/out_head.h"
#include "out/out_pixel.h"

#include <string.h>

_Static_assert(KERB_CUDA_OUT_HEADS == KERB_MAX_HEADS, "every head has its arguments");

struct KerbCudaOut {
    KerbCudaOutArgs args; /* job and scores: at each launch */
    KerbCudaTables tables;
    KerbCudaMemory *memory;
    void *scratch;
    size_t scratch_bytes;
    KerbDraw *draw; /* makes displays' tables */
};

/* ---------------------------------------------------------------------------------------------------------- heads */

static void kerb_cuda_out_head_tables(KerbCudaOutHead *to, const KerbHead *head, KerbCudaTables *tables)
{
    const KerbGeometry *g = &head->geometry;
    const KerbOutHead *h = &head->params;
    const void *device;
    int columns = head->end_px - head->first_px, rows = g->frame_y1 - g->frame_y0;
    KerbCudaOutTap *tap = kerb_cuda_tables_take(tables, (size_t)columns * sizeof *tap, &device);
    to->across = device;
    for (int i = 0; i < columns; i++) tap[i] = (KerbCudaOutTap){ head->x0[i], h->nearest ? 0.0f : head->w[i] };
    tap = kerb_cuda_tables_take(tables, (size_t)rows * sizeof *tap, &device);
    to->down = device;
    for (int i = 0; i < rows; i++) {
        double at = kerb_px_cell(g->frame_y0 + i, g->scale_y, g->offset_y, h->cell_h_px, h->origin_y_px);
        if (h->nearest) tap[i].cell = kerb_px_nearest(at, h->height);
        else tap[i].cell = kerb_px_linear(at, h->height, &tap[i].weight);
    }
    uint8_t *index = kerb_cuda_tables_take(tables, sizeof h->index, &device);
    memcpy(index, h->index, sizeof h->index);
    bool identity = head->identity;
    for (int c = 0; h->kind == KERB_SCORES_LABELS && c < KERB_MAX_CLASSES; c++) identity = identity && h->index[c] == c; /* 1 channel, any label */
    to->index = identity ? NULL : device;
}

static void kerb_cuda_out_head_scores(KerbCudaOutHead *to, const KerbTensor *scores)
{
    int rank = scores->rank, channels = to->channels, whole = kerb_dtype_bytes(scores->dtype) == 2 ? 8 : 4;
    to->type = (int32_t)scores->dtype;
    to->row = scores->strides[rank - 2];
    to->cell = scores->strides[rank - 1];
    to->channel = rank > 2 ? scores->strides[rank - 3] : 0;
    bool type = scores->dtype == KERB_F32 || scores->dtype == KERB_F16 || scores->dtype == KERB_BF16;
    bool fits = to->channel == 1 && to->cell % whole == 0 && to->row % whole == 0 && to->cell >= (channels + whole - 1) / whole * whole;
    to->whole = type && fits ? whole : 1;
}

static void kerb_cuda_out_head(KerbCudaOutHead *to, const KerbHead *head, const KerbTensor *scores)
{
    const KerbOutHead *h = &head->params;
    KerbTensor there = *scores;
    there.data = to; /* its memory is known at launches only */
    to->how = head->binary ? KERB_CUDA_OUT_BINARY : h->kind == KERB_SCORES_LABELS ? KERB_CUDA_OUT_LABELS : KERB_CUDA_OUT_CLASSES;
    if (!kerb_head_takes(head, &there)) to->how = KERB_CUDA_OUT_NOTHING;
    to->nearest = h->nearest;
    to->softmax = h->kind == KERB_SCORES_LOGITS;
    to->probability = h->kind == KERB_SCORES_BINARY_PROBABILITY;
    to->channels = h->channels, to->width = h->width, to->height = h->height;
    to->bias = head->bias;
    to->confidence = head->confidence;
    to->words = head->prunes ? (h->channels + 31) / 32 : 0;
    if (to->how != KERB_CUDA_OUT_NOTHING) kerb_cuda_out_head_scores(to, scores);
}

/* The head's part of the scratch from byte `used` on; returns where it ends. base NULL: measures alone. */
static size_t kerb_cuda_out_head_scratch(KerbCudaOutHead *h, uint8_t *base, size_t used)
{
    size_t cells = (size_t)h->width * (size_t)h->height;
    bool classes = h->how == KERB_CUDA_OUT_CLASSES, scores = classes || h->how == KERB_CUDA_OUT_BINARY, quads = classes && h->words > 0;
    struct {
        void **to;
        size_t bytes;
    } parts[] = {
        { (void **)&h->greatest, scores ? cells * sizeof *h->greatest : 0 },
        { (void **)&h->top, scores && h->confidence ? cells * sizeof *h->top : 0 },
        { (void **)&h->rivals, quads ? cells * (size_t)h->words * sizeof *h->rivals : 0 },
        { (void **)&h->quads, quads ? cells * sizeof *h->quads : 0 },
        { (void **)&h->labels, classes ? cells : 0 },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].bytes) continue;
        if (base) *parts[i].to = base + used;
        used += (parts[i].bytes + 255) / 256 * 256;
    }
    return used;
}

/* ----------------------------------------------------------------------------------------------------------- open */

static KerbCudaOutLayout kerb_cuda_out_layout(KerbPixelFormat f)
{
    switch (f) {
    case KERB_FORMAT_I420: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_LUMA, .n_planes = 3, .plane = { 1, 2 }, .group = 1 };
    case KERB_FORMAT_YV12: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_LUMA, .n_planes = 3, .plane = { 2, 1 }, .group = 1 };
    case KERB_FORMAT_NV12: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_LUMA, .n_planes = 2, .plane = { 1, 1 }, .byte = { 0, 1 }, .group = 2 };
    case KERB_FORMAT_NV21: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_LUMA, .n_planes = 2, .plane = { 1, 1 }, .byte = { 1, 0 }, .group = 2 };
    case KERB_FORMAT_YUY2: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_PACKED, .n_planes = 1, .luma = 0 };
    case KERB_FORMAT_UYVY: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_PACKED, .n_planes = 1, .luma = 1 };
    case KERB_FORMAT_RGB:
    case KERB_FORMAT_BGR: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_THREE, .n_planes = 1 };
    case KERB_FORMAT_GRAY8: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_LUMA, .n_planes = 1 };
    default: return (KerbCudaOutLayout){ .family = KERB_CUDA_OUT_FOUR, .n_planes = 1 };
    }
}

static void kerb_cuda_out_describe(KerbCudaOutArgs *a, const KerbOutParams *params)
{
    const KerbGeometry *g = &params->geometry;
    a->width = g->frame_width_px, a->height = g->frame_height_px;
    a->x0 = g->frame_x0, a->x1 = g->frame_x1, a->y0 = g->frame_y0, a->y1 = g->frame_y1;
    a->n_heads = params->n_heads;
    a->confidence = params->confidence;
    a->layout = kerb_cuda_out_layout(params->format.pixel_format);
}

static KerbStatus kerb_cuda_out_tables(KerbCudaOut *out, const KerbOutParams *params, const KerbTensor scores[], KerbError *error)
{
    const KerbCudaOutArgs *a = &out->args;
    size_t taps = (size_t)(a->x1 - a->x0) + (size_t)(a->y1 - a->y0);
    size_t bytes = (size_t)a->n_heads * (taps * sizeof(KerbCudaOutTap) + KERB_MAX_CLASSES + 3 * KERB_CUDA_TABLE_SLACK);
    KerbStatus status = kerb_cuda_tables_init(&out->tables, bytes, out->memory, "the output stage's tables", error);
    KerbOutKernels kernels;
    kerb_out_kernels(&kernels, 0);
    for (int i = 0; status == KERB_OK && i < a->n_heads; i++) {
        KerbHead head;
        status = kerb_head_init(&head, params, i, &kernels, error);
        if (status != KERB_OK) break;
        kerb_cuda_out_head(&out->args.heads[i], &head, &scores[i]);
        kerb_cuda_out_head_tables(&out->args.heads[i], &head, &out->tables);
        kerb_head_clear(&head);
    }
    return status == KERB_OK ? kerb_cuda_tables_upload(&out->tables, error) : status;
}

static KerbStatus kerb_cuda_out_scratch(KerbCudaOut *out, KerbError *error)
{
    KerbCudaOutArgs *a = &out->args;
    for (int i = 0; i < a->n_heads; i++) out->scratch_bytes = kerb_cuda_out_head_scratch(&a->heads[i], NULL, out->scratch_bytes);
    if (!out->scratch_bytes) return KERB_OK;
    KerbStatus status = kerb_cuda_alloc(out->memory, &out->scratch, out->scratch_bytes, "the output stage's cells", error);
    size_t used = 0;
    for (int i = 0; status == KERB_OK && i < a->n_heads; i++) used = kerb_cuda_out_head_scratch(&a->heads[i], out->scratch, used);
    return status;
}

KerbStatus kerb_cuda_out_new(KerbCudaOut **result, const KerbOutParams *params, const KerbTensor scores[], KerbCudaMemory *memory, KerbError *error)
{
    *result = NULL;
    KerbOutParams checked = *params;
    checked.threads = 1;
    KerbStatus status = kerb_out_check(&checked, error);
    if (status != KERB_OK) return status;
    KerbCudaOut *out = kerb_alloc(sizeof *out);
    if (!out) return kerb_fail(error, KERB_ERROR_MEMORY, "no memory for the output stage (%zu bytes)", sizeof *out);
    out->memory = memory;
    kerb_cuda_out_describe(&out->args, params);
    status = kerb_draw_new(&out->draw, &params->format, 0, error);
    if (status == KERB_OK) status = kerb_cuda_out_tables(out, params, scores, error);
    if (status == KERB_OK) status = kerb_cuda_out_scratch(out, error);
    if (status != KERB_OK) {
        kerb_cuda_out_free(&out);
        return status;
    }
    *result = out;
    return KERB_OK;
}

void kerb_cuda_out_free(KerbCudaOut **result)
{
    KerbCudaOut *out = result ? *result : NULL;
    if (!out) return;
    kerb_cuda_tables_free(&out->tables);
    if (out->scratch) kerb_cuda_free(out->memory, &out->scratch, out->scratch_bytes);
    kerb_draw_free(&out->draw);
    kerb_free(result);
}

/* ------------------------------------------------------------------------------------------------------- streaming */

void kerb_cuda_out_display(KerbCudaOut *out, const KerbDisplay *display, KerbCudaDisplay *to)
{
    kerb_draw_prepare(out->draw, display);
    const KerbDrawTable *table = kerb_draw_table(out->draw);
    to->visualize = (int32_t)display->visualize;
    to->alpha = table->alpha;
    for (int l = 0; l < 256; l++)
        to->labels[l] = table->colour[0][l] | (uint32_t)table->colour[1][l] << 8 | (uint32_t)table->colour[2][l] << 16 | (uint32_t)table->painted[l] << 24;
}

cudaError_t kerb_cuda_out_launch(const KerbCudaOut *out, const KerbCudaJob *job, void *const scores[], cudaStream_t stream)
{
    KerbCudaOutArgs args = out->args;
    args.job = job;
    cudaError_t code = cudaSuccess;
    for (int i = 0; i < args.n_heads; i++) {
        KerbCudaOutHead *h = &args.heads[i];
        h->scores = scores[i];
        if ((uintptr_t)scores[i] % 16) h->whole = 1;
        if (code == cudaSuccess && h->greatest) code = kerb_launch_out_cells(h, stream);
        if (code == cudaSuccess && h->quads) code = kerb_launch_out_quads(h, stream);
    }
    if (code == cudaSuccess) code = kerb_launch_out_pixels(&args, stream);
    if (code == cudaSuccess) code = kerb_launch_out_halves(&args, stream);
    return code;
}
