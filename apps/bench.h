/* SPDX-License-Identifier: MIT */
/* What `kerb bench` measures with: frames in memory, samples of times, and the two ways that a frame can take. */
#ifndef KERB_APPS_BENCH_H
#define KERB_APPS_BENCH_H

#include "options.h"

#include <gst/video/video.h>

#define KERB_BENCH_FRAMES 16      /* enough that no cache holds them */
#define KERB_BENCH_LIVE_FRAMES 64 /* more than two seconds of motion */

/* Frames that were made before anything is timed. */
typedef struct KerbBenchFrames {
    GstVideoInfo info; /* I420 */
    GstBuffer *buffers[KERB_BENCH_LIVE_FRAMES];
    guint n, most; /* most: how many are wanted */
} KerbBenchFrames;

/* FRAME: from one finished frame to the next; the others: the engine's own stage times (UP, DOWN: to and from a GPU); TOTAL: their sum. SMOOTH is the part of OUT
 * that smoothing over time takes. */
typedef enum KerbBenchSeries {
    KERB_BENCH_FRAME,
    KERB_BENCH_UP,
    KERB_BENCH_IN,
    KERB_BENCH_NET,
    KERB_BENCH_OUT,
    KERB_BENCH_DOWN,
    KERB_BENCH_TOTAL,
    KERB_BENCH_SMOOTH,
    KERB_BENCH_SERIES
} KerbBenchSeries;

typedef struct KerbBench {
    const KerbOptions *options;
    const KerbBenchFrames *frames;
    gint64 frames_wanted; /* 0: seconds decide */
    gdouble seconds;
    /* Results. */
    GArray *ns[KERB_BENCH_SERIES]; /* of gint64 */
    gdouble elapsed_s;
    KerbStats stats; /* at the end: backend, network size, bytes, memory */
    gdouble open_s;  /* kerb_open() and kerb_set_format(), or the element's change to PAUSED; 0: not measured */
    /* While measuring. */
    guint64 seen;
    gint64 warm_us, began_ns, last_ns;
} KerbBench;

void kerb_bench_init(KerbBench *bench, const KerbOptions *options, const KerbBenchFrames *frames, gint64 frames_wanted, gdouble seconds);
void kerb_bench_clear(KerbBench *bench);

/* One frame is finished. FALSE: that was the last one wanted. */
gboolean kerb_bench_add(KerbBench *bench, const KerbTimes *times);

/* Both return an exit code, having said what is wrong. */
int kerb_bench_library(KerbBench *bench);
int kerb_bench_element(KerbBench *bench);

/* A live stream of these frames for so many seconds, and its report. Returns an exit code, having said what is wrong. */
int kerb_bench_live(const KerbOptions *options, const KerbBenchFrames *frames, gdouble fps, gdouble seconds, const char *machine);

/* Nearest rank, in ms; sorts. */
gdouble kerb_bench_quantile(GArray *ns, gdouble q);

/* Frames of `source` (NULL: the synthetic drive), at width x height (0: the source's own). Returns an exit code, having said what is wrong. */
int kerb_bench_frames_read(KerbBenchFrames *frames, const char *source, gint width, gint height, gdouble rate);
void kerb_bench_frames_clear(KerbBenchFrames *frames);

#endif
