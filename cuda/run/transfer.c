/* SPDX-License-Identifier: MIT */
/* Bytes between the caller's memory, a slot's block and the device. Which way each plane takes is decided anew for every frame: it depends on where
 * the caller's memory lies. Allocates nothing. */
#include "cuda/run/staged.h"

#include "cuda/run/pinned.h"

#include <string.h>

/* ---- layout */

static size_t up_to(size_t bytes, size_t multiple) { return (bytes + multiple - 1) / multiple * multiple; }

static KerbCudaRect rect_at(size_t *offset, int row_bytes, int rows)
{
    KerbCudaRect r = { *offset, (int)up_to((size_t)row_bytes, KERB_ALIGNMENT), row_bytes, rows };
    *offset += (size_t)r.stride * (size_t)rows;
    return r;
}

void kerb_cuda_layout_init(KerbCudaLayout *layout, const KerbVideoFormat *format)
{
    *layout = (KerbCudaLayout){ .planes = kerb_pixel_format_planes(format->pixel_format) };
    size_t offset = up_to(sizeof(KerbCudaJob), 4096); /* frames begin where a page does */
    KerbCudaRect *both[2] = { layout->frame, layout->picture };
    for (int i = 0; i < 2; i++) {
        size_t begin = offset;
        for (int p = 0; p < layout->planes; p++)
            both[i][p] = rect_at(&offset, kerb_plane_row_bytes(format->pixel_format, p, format->width_px),
                                 kerb_plane_rows(format->pixel_format, p, format->height_px));
        layout->frame_bytes = offset - begin;
        offset = up_to(offset, 4096);
    }
    layout->labels = rect_at(&offset, format->width_px, format->height_px);
    layout->confidence = rect_at(&offset, format->width_px, format->height_px);
    layout->bytes = offset;
}

static size_t span_of(const KerbCudaRect *r, int stride) { return (size_t)stride * (size_t)(r->rows - 1) + (size_t)r->row_bytes; }

/* ---- on the host */

static void copy_rows(uint8_t *to, int to_stride, const uint8_t *from, int from_stride, const KerbCudaRect *r)
{
    if (to_stride == from_stride && to_stride == r->row_bytes) {
        memcpy(to, from, span_of(r, to_stride));
        return;
    }
    for (int y = 0; y < r->rows; y++) memcpy(to + (ptrdiff_t)y * to_stride, from + (ptrdiff_t)y * from_stride, (size_t)r->row_bytes);
}

static size_t payload(const KerbCudaRect *r) { return (size_t)r->row_bytes * (size_t)r->rows; }

/* ---- between host and device. Rows that follow one another without a gap that matters go as one piece. */

static KerbStatus put_up(KerbStaged *s, KerbCudaSlot *slot, size_t offset, const uint8_t *from, size_t bytes, KerbError *error)
{
    slot->up_bytes += bytes;
    return kerb_cuda_check(cudaMemcpyAsync(slot->device + offset, from, bytes, cudaMemcpyHostToDevice, s->up), "copying the frame to the GPU", error);
}

static KerbStatus put_up_rect(KerbStaged *s, KerbCudaSlot *slot, const KerbCudaRect *r, const uint8_t *from, int stride, KerbError *error)
{
    if (stride == r->stride || r->rows == 1) return put_up(s, slot, r->offset, from, span_of(r, stride), error);
    slot->up_bytes += payload(r);
    return kerb_cuda_check(cudaMemcpy2DAsync(slot->device + r->offset, (size_t)r->stride, from, (size_t)stride, (size_t)r->row_bytes, (size_t)r->rows,
                                             cudaMemcpyHostToDevice, s->up), "copying the frame to the GPU", error);
}

/* Whether the caller's planes lie as those of the block do. */
static bool lies_alike(const KerbCudaRect rects[], int planes, const KerbFrame *frame)
{
    for (int p = 0; p < planes; p++)
        if (frame->strides[p] != rects[p].stride || (uintptr_t)frame->planes[p] - (uintptr_t)frame->planes[0] != rects[p].offset - rects[0].offset)
            return false;
    return true;
}

static KerbStatus bring_down(KerbStaged *s, KerbCudaSlot *slot, size_t offset, uint8_t *to, size_t bytes, KerbError *error)
{
    slot->down_bytes += bytes;
    return kerb_cuda_check(cudaMemcpyAsync(to, slot->device + offset, bytes, cudaMemcpyDeviceToHost, s->down), "copying results from the GPU", error);
}

/* Into the caller's memory: what lies between its rows is not ours. */
static KerbStatus bring_down_rect(KerbStaged *s, KerbCudaSlot *slot, const KerbCudaRect *r, uint8_t *to, int stride, KerbError *error)
{
    if ((stride == r->stride && stride == r->row_bytes) || r->rows == 1) return bring_down(s, slot, r->offset, to, span_of(r, stride), error);
    slot->down_bytes += payload(r);
    return kerb_cuda_check(cudaMemcpy2DAsync(to, (size_t)stride, slot->device + r->offset, (size_t)r->stride, (size_t)r->row_bytes, (size_t)r->rows,
                                             cudaMemcpyDeviceToHost, s->down), "copying results from the GPU", error);
}

/* ---- where a frame, a picture and maps are, as kernels see them */

static void point_at_block(KerbCudaPlanes *to, const KerbCudaSlot *slot, const KerbCudaRect rects[], int planes)
{
    for (int p = 0; p < planes; p++) {
        to->planes[p] = slot->device + rects[p].offset;
        to->strides[p] = rects[p].stride;
    }
}

static void point_at_device(KerbCudaPlanes *to, const KerbFrame *frame, int planes)
{
    for (int p = 0; p < planes; p++) {
        to->planes[p] = frame->planes[p];
        to->strides[p] = frame->strides[p];
    }
}

/* False where a plane is not page-locked. */
static bool point_at_pinned(KerbCudaPlanes *to, const KerbFrame *frame, const KerbCudaRect rects[], int planes)
{
    for (int p = 0; p < planes; p++) {
        to->planes[p] = kerb_cuda_pinned_find(frame->planes[p], span_of(&rects[p], frame->strides[p]));
        to->strides[p] = frame->strides[p];
        if (!to->planes[p]) return false;
    }
    return true;
}

typedef enum FrameWay {
    FRAME_WHERE_IT_IS,  /* kernels read it there: device memory, or page-locked memory that is shared */
    FRAME_FROM_PINNED,  /* page-locked: it goes up from there */
    FRAME_BY_THE_BLOCK, /* copied into the block's host side first */
} FrameWay;

static FrameWay place_frame(const KerbStaged *s, const KerbCudaSlot *slot, const KerbFrame *frame, KerbCudaPlanes *to)
{
    const KerbCudaLayout *l = &s->layout;
    if (frame->memory == KERB_MEMORY_CUDA) {
        point_at_device(to, frame, l->planes);
        return FRAME_WHERE_IT_IS;
    }
    bool pinned = point_at_pinned(to, frame, l->frame, l->planes);
    if (pinned && s->shared) return FRAME_WHERE_IT_IS;
    point_at_block(to, slot, l->frame, l->planes);
    return pinned ? FRAME_FROM_PINNED : FRAME_BY_THE_BLOCK;
}

static void add_result(KerbCudaSlot *slot, const KerbCudaRect *rect, uint8_t *to, int to_stride, bool direct)
{
    slot->results[slot->n_results++] = (KerbCudaResult){ *rect, to, to_stride, direct };
}

static bool same_planes(const KerbFrame *a, const KerbFrame *b, int planes)
{
    for (int p = 0; p < planes; p++)
        if (a->planes[p] != b->planes[p] || a->strides[p] != b->strides[p]) return false;
    return true;
}

static void place_picture(const KerbStaged *s, KerbCudaSlot *slot, const KerbJob *job, const KerbDisplay *display, FrameWay way, KerbCudaPlanes *to)
{
    const KerbCudaLayout *l = &s->layout;
    const KerbFrame *picture = &job->picture;
    memset(to, 0, sizeof *to);
    if (!picture->planes[0]) return;
    if (display->visualize == KERB_VISUALIZE_NONE && same_planes(picture, &job->frame, l->planes)) return; /* it is there already */
    if (picture->memory == KERB_MEMORY_CUDA) {
        point_at_device(to, picture, l->planes);
        return;
    }
    bool pinned = point_at_pinned(to, picture, l->picture, l->planes);
    if (pinned && s->shared) return;
    /* In place where the frame lies in the block; side-by-side reads the frame all over. */
    const KerbCudaRect *rects = way == FRAME_WHERE_IT_IS || display->visualize == KERB_VISUALIZE_SIDE_BY_SIDE ? l->picture : l->frame;
    point_at_block(to, slot, rects, l->planes);
    for (int p = 0; p < l->planes; p++) add_result(slot, &rects[p], picture->planes[p], picture->strides[p], pinned);
}

static void place_map(const KerbStaged *s, KerbCudaSlot *slot, const KerbMap *map, const KerbCudaRect *rect, KerbCudaMap *to)
{
    *to = (KerbCudaMap){ 0 };
    if (!map->data) return;
    uint8_t *seen = kerb_cuda_pinned_find(map->data, span_of(rect, map->stride));
    if (seen && s->shared) {
        *to = (KerbCudaMap){ seen, map->stride };
        return;
    }
    *to = (KerbCudaMap){ slot->device + rect->offset, rect->stride };
    add_result(slot, rect, map->data, map->stride, seen != NULL);
}

void kerb_cuda_job_of_block(KerbStaged *s, KerbCudaSlot *slot)
{
    static const KerbDisplay display = { .visualize = KERB_VISUALIZE_OVERLAY, .alpha = 0.5f };
    const KerbCudaLayout *l = &s->layout;
    KerbCudaJob *j = (KerbCudaJob *)(void *)(slot->host + l->job);
    point_at_block(&j->frame, slot, l->frame, l->planes);
    point_at_block(&j->picture, slot, l->picture, l->planes);
    j->labels = (KerbCudaMap){ slot->device + l->labels.offset, l->labels.stride };
    j->confidence = (KerbCudaMap){ slot->device + l->confidence.offset, l->confidence.stride };
    kerb_cuda_out_display(s->out, &display, &j->display);
}

/* ---- up */

static KerbStatus send_frame(KerbStaged *s, KerbCudaSlot *slot, const KerbFrame *frame, FrameWay way, KerbError *error)
{
    const KerbCudaLayout *l = &s->layout;
    if (way == FRAME_BY_THE_BLOCK) return put_up(s, slot, l->frame[0].offset, slot->host + l->frame[0].offset, l->frame_bytes, error);
    if (way != FRAME_FROM_PINNED) return KERB_OK;
    if (lies_alike(l->frame, l->planes, frame)) {
        const KerbCudaRect *last = &l->frame[l->planes - 1];
        return put_up(s, slot, l->frame[0].offset, frame->planes[0], last->offset - l->frame[0].offset + span_of(last, last->stride), error);
    }
    KerbStatus status = KERB_OK;
    for (int p = 0; p < l->planes && status == KERB_OK; p++)
        status = put_up_rect(s, slot, &l->frame[p], frame->planes[p], frame->strides[p], error);
    return status;
}

KerbStatus kerb_cuda_send(KerbStaged *s, KerbCudaSlot *slot, const KerbJob *job, const KerbDisplay *display, KerbError *error)
{
    const KerbCudaLayout *l = &s->layout;
    KerbCudaJob *j = (KerbCudaJob *)(void *)(slot->host + l->job);
    slot->n_results = 0;
    slot->up_bytes = slot->down_bytes = slot->host_copy_bytes = 0;
    FrameWay way = place_frame(s, slot, &job->frame, &j->frame);
    place_picture(s, slot, job, display, way, &j->picture);
    place_map(s, slot, &job->labels, &l->labels, &j->labels);
    place_map(s, slot, &job->confidence, &l->confidence, &j->confidence);
    kerb_cuda_out_display(s->out, display, &j->display);
    for (int p = 0; p < l->planes && way == FRAME_BY_THE_BLOCK; p++) {
        copy_rows(slot->host + l->frame[p].offset, l->frame[p].stride, job->frame.planes[p], job->frame.strides[p], &l->frame[p]);
        slot->host_copy_bytes += payload(&l->frame[p]);
    }
    if (s->shared) return KERB_OK;
    KerbStatus status = kerb_cuda_check(cudaEventRecord(slot->marks[KERB_MARK_UP_BEGIN], s->up), "timing a frame", error);
    if (status == KERB_OK) status = send_frame(s, slot, &job->frame, way, error);
    if (status == KERB_OK) status = put_up(s, slot, l->job, slot->host + l->job, sizeof *j, error);
    if (status == KERB_OK) status = kerb_cuda_check(cudaEventRecord(slot->marks[KERB_MARK_UP_END], s->up), "timing a frame", error);
    return status;
}

/* ---- down */

KerbStatus kerb_cuda_receive(KerbStaged *s, KerbCudaSlot *slot, KerbError *error)
{
    if (s->shared) return KERB_OK;
    KerbStatus status = kerb_cuda_check(cudaEventRecord(slot->marks[KERB_MARK_DOWN_BEGIN], s->down), "timing a frame", error);
    for (int i = 0; i < slot->n_results && status == KERB_OK; i++) {
        const KerbCudaResult *r = &slot->results[i];
        if (r->direct) status = bring_down_rect(s, slot, &r->rect, r->to, r->to_stride, error);
        else status = bring_down(s, slot, r->rect.offset, slot->host + r->rect.offset, span_of(&r->rect, r->rect.stride), error);
    }
    if (status != KERB_OK) return status;
    return kerb_cuda_check(cudaEventRecord(slot->marks[KERB_MARK_DOWN_END], s->down), "timing a frame", error);
}

void kerb_cuda_deliver(KerbCudaSlot *slot)
{
    for (int i = 0; i < slot->n_results; i++) {
        const KerbCudaResult *r = &slot->results[i];
        if (r->direct) continue;
        copy_rows(r->to, r->to_stride, slot->host + r->rect.offset, r->rect.stride, &r->rect);
        slot->host_copy_bytes += payload(&r->rect);
    }
}
