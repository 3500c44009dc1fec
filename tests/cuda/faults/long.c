/* SPDX-License-Identifier: MIT */
/* One thread submits, this one collects. Each frame carries what it is (format, content, display) in the memory that it draws into. */
#include "long.h"

#include "standin.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IN_FLIGHT = KERB_MAX_SLOTS + 2 };

/* What a frame needs, used again when it is back. */
typedef struct Cell {
    int content, display, number;
    uint8_t *frame, *picture, *labels, *confidence;
    KerbHostBlock block;
} Cell;

typedef struct Run {
    const FramesTable *table;
    const LongPlan *plan;
    KerbPipeline *k;
    Cell cells[MAX_IN_FLIGHT];
    int format, first, end; /* numbers of this format's frames: first..end-1 */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int back;               /* collected */
    uint64_t random;
    int wrong;
} Run;

static uint64_t next_random(Run *r)
{
    r->random ^= r->random << 13, r->random ^= r->random >> 7, r->random ^= r->random << 17;
    return r->random;
}

static void complain(Run *r, int number, const char *what)
{
    if (r->wrong++ < 5)
        fprintf(stderr, "frame %d (%s): %s\n", number, r->plan->words, what);
}

static bool cells_make(Run *r)
{
    const KerbVideoFormat *format = &r->table->formats[r->format];
    const size_t frame = frames_bytes(format), pixels = (size_t)format->width_px * (size_t)format->height_px;
    KerbError error;
    for (int i = 0; i < MAX_IN_FLIGHT; i++) {
        Cell *c = &r->cells[i];
        const size_t bytes = 2 * frame + 2 * pixels;
        if (r->plan->pinned && kerb_host_alloc(r->k, bytes, &c->block, &error) != KERB_OK) {
            complain(r, r->first, error.message);
            return false;
        }
        c->frame = r->plan->pinned ? c->block.data : malloc(bytes);
        c->picture = c->frame + frame;
        c->labels = c->picture + frame;
        c->confidence = c->labels + pixels;
    }
    return true;
}

static void cells_free(Run *r)
{
    for (int i = 0; i < MAX_IN_FLIGHT; i++) {
        if (r->plan->pinned)
            kerb_host_free(&r->cells[i].block);
        else
            free(r->cells[i].frame);
        r->cells[i] = (Cell){ 0 };
    }
}

static void *submit_all(void *user)
{
    Run *r = user;
    const FramesTable *t = r->table;
    const KerbVideoFormat *format = &t->formats[r->format];
    const int pixels = format->width_px * format->height_px;
    KerbError error;
    for (int i = r->first; i < r->end; i++) {
        pthread_mutex_lock(&r->mutex);
        while (i - r->back >= MAX_IN_FLIGHT)
            pthread_cond_wait(&r->changed, &r->mutex);
        pthread_mutex_unlock(&r->mutex);
        Cell *c = &r->cells[i % MAX_IN_FLIGHT];
        c->number = i;
        c->content = (int)(next_random(r) % FRAMES_CONTENTS);
        c->display = (int)(next_random(r) % FRAMES_DISPLAYS);
        memcpy(c->frame, t->contents[r->format][c->content], frames_bytes(format));
        memset(c->picture, 0x11, frames_bytes(format));
        memset(c->labels, 0xee, 2 * (size_t)pixels);
        kerb_set_display(r->k, &t->displays[c->display]);
        const KerbJob job = { .frame = frames_frame(format, c->frame), .picture = frames_frame(format, c->picture), .labels = { c->labels, format->width_px },
                              .confidence = { c->confidence, format->width_px }, .user = c };
        if (kerb_submit(r->k, &job, &error) != KERB_OK)
            complain(r, i, error.message);
        if (next_random(r) % 64 == 0)
            kerb_flush(r->k);
    }
    return NULL;
}

static void collect_all(Run *r, LongSums *sums)
{
    KerbResult result;
    KerbError error;
    char why[256];
    for (int i = r->first; i < r->end; i++) {
        if (kerb_collect(r->k, &result, -1, &error) != KERB_OK) {
            complain(r, i, error.message);
            return;
        }
        const Cell *c = result.user;
        const FramesGot got = { r->format, c->content, c->display, c->labels, c->confidence, c->picture };
        sums->in++;
        if (c->number != i)
            complain(r, i, "out of order");
        else if (result.status == KERB_FLUSHED)
            sums->flushed++;
        else if (result.status != KERB_OK)
            sums->errored++, complain(r, i, error.message);
        else if (sums->out++, !r->plan->smoothing && !frames_equal(r->table, &got, why, sizeof why))
            complain(r, i, why);
        pthread_mutex_lock(&r->mutex);
        r->back = i + 1;
        pthread_cond_signal(&r->changed);
        pthread_mutex_unlock(&r->mutex);
    }
}

static bool format_run(Run *r, LongSums *sums)
{
    KerbError error;
    pthread_t submitter;
    if (kerb_set_format(r->k, &r->table->formats[r->format], &error) != KERB_OK) {
        complain(r, r->first, error.message);
        return false;
    }
    sums->formats++;
    const bool made = cells_make(r);
    if (made && pthread_create(&submitter, NULL, submit_all, r) == 0) {
        collect_all(r, sums);
        pthread_join(submitter, NULL);
    }
    KerbStats stats;
    kerb_get_stats(r->k, &stats);
    sums->replays = stats.replays;
    sums->host_copy_bytes = stats.host_copy_bytes;
    if (stats.frames_in != (uint64_t)sums->in || stats.frames_out != (uint64_t)sums->out || stats.frames_flushed != (uint64_t)sums->flushed ||
        stats.frames_errored != (uint64_t)sums->errored || stats.in_flight)
        complain(r, r->end, "counts do not add up");
    cells_free(r);
    return made;
}

bool long_run(const FramesTable *table, const LongPlan *plan, LongSums *sums)
{
    static char text[4096];
    KerbConfig config;
    KerbError error;
    Run r = { .table = table, .plan = plan, .random = plan->seed * 2654435761u + 1 };
    memset(sums, 0, sizeof *sums);
    pthread_mutex_init(&r.mutex, NULL);
    pthread_cond_init(&r.changed, NULL);
    kerb_standin_configure(plan->words);
    frames_config(&config, "cuda");
    config.slots = plan->slots;
    config.device_id = plan->device_id;
    config.smoothing = plan->smoothing ? KERB_SMOOTHING_LIGHT : KERB_SMOOTHING_OFF;
    if (kerb_open(&r.k, &config, &error) != KERB_OK)
        complain(&r, 0, error.message);
    while (r.k && r.first < plan->frames && !r.wrong) {
        r.end = r.first + 1 + (int)(next_random(&r) % (uint64_t)(plan->frames / 8 + 20));
        r.end = r.end < plan->frames ? r.end : plan->frames;
        r.format = (int)(next_random(&r) % FRAMES_FORMATS);
        if (!format_run(&r, sums))
            break;
        r.first = r.end;
    }
    kerb_close(&r.k);
    if (kerb_standin_leaks(text, sizeof text))
        complain(&r, sums->in, text);
    if (kerb_standin_misuses(text, sizeof text))
        complain(&r, sums->in, text);
    pthread_mutex_destroy(&r.mutex);
    pthread_cond_destroy(&r.changed);
    sums->wrong = r.wrong;
    return !r.wrong && sums->in == plan->frames;
}
