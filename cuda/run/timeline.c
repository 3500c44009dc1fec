/* SPDX-License-Identifier: MIT */
/* When each frame went up, was computed and came down, by the GPU's clock: a line a frame, into the file that KERB_CUDA_TIMELINE names, when the stages are
 * closed. For scripts/gpu-check. Reads the marks that are there anyway; without the variable nothing is done. Fails quietly: no frame is lost to it. */
#include "cuda/run/staged.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 512 /* the first; event times are floats of ms, whose microseconds last about so long */

typedef struct TimelineRow {
    uint64_t frame;
    int slot;
    float ms[KERB_MARKS]; /* since the start; < 0: not known */
} TimelineRow;

struct KerbCudaTimeline {
    const char *path; /* the environment's */
    cudaEvent_t start;
    int n;
    TimelineRow rows[MAX_FRAMES];
};

void kerb_cuda_timeline_open(KerbStaged *s)
{
    const char *path = getenv("KERB_CUDA_TIMELINE");
    KerbCudaTimeline *t = path && path[0] ? calloc(1, sizeof *t) : NULL;
    if (!t) return;
    t->path = path;
    if (cudaEventCreate(&t->start) == cudaSuccess && cudaEventRecord(t->start, s->compute) == cudaSuccess && cudaEventSynchronize(t->start) == cudaSuccess) {
        s->timeline = t;
        return;
    }
    (void)cudaGetLastError();
    kerb_log(KERB_LOG_WARNING, "KERB_CUDA_TIMELINE: the GPU's clock cannot be read");
    free(t);
}

void kerb_cuda_timeline_note(KerbStaged *s, int index)
{
    KerbCudaTimeline *t = s->timeline;
    if (!t || t->n == MAX_FRAMES) return;
    const KerbCudaSlot *slot = &s->slots[index];
    TimelineRow *row = &t->rows[t->n++];
    *row = (TimelineRow){ .frame = slot->number, .slot = index };
    for (int i = 0; i < KERB_MARKS; i++) {
        bool used = s->shared ? i >= KERB_MARK_BEGIN && i <= KERB_MARK_END : true;
        if ((i == KERB_MARK_IN_END || i == KERB_MARK_NET_END) && !s->inner_marks) used = false;
        if (used && cudaEventElapsedTime(&row->ms[i], t->start, slot->marks[i]) == cudaSuccess) continue;
        if (used) (void)cudaGetLastError();
        row->ms[i] = -1;
    }
}

static void write_rows(const KerbCudaTimeline *t, FILE *f)
{
    static const KerbCudaMark columns[] = { KERB_MARK_UP_BEGIN, KERB_MARK_UP_END, KERB_MARK_BEGIN,      KERB_MARK_IN_END,
                                            KERB_MARK_NET_END,  KERB_MARK_END,    KERB_MARK_DOWN_BEGIN, KERB_MARK_DOWN_END };
    fputs("frame,slot,up_begin,up_end,in_begin,net_begin,out_begin,out_end,down_begin,down_end\n", f);
    for (int i = 0; i < t->n; i++) {
        fprintf(f, "%llu,%d", (unsigned long long)t->rows[i].frame, t->rows[i].slot);
        for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
            float ms = t->rows[i].ms[columns[c]];
            if (ms >= 0) fprintf(f, ",%.1f", (double)ms * 1e3);
            else fputc(',', f);
        }
        fputc('\n', f);
    }
}

void kerb_cuda_timeline_close(KerbStaged *s)
{
    KerbCudaTimeline *t = s->timeline;
    s->timeline = NULL;
    if (!t) return;
    FILE *f = t->n ? fopen(t->path, "w") : NULL;
    if (f) write_rows(t, f);
    if ((f && fclose(f)) || (!f && t->n)) kerb_log(KERB_LOG_WARNING, "KERB_CUDA_TIMELINE=%s cannot be written: %s", t->path, strerror(errno));
    if (cudaEventDestroy(t->start) != cudaSuccess) (void)cudaGetLastError();
    free(t);
}
