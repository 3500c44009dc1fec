/* SPDX-License-Identifier: MIT */
/* What scripts/measure-time drives: frames on standard input, label maps on standard output, a line of JSON with the times on standard error.
 *
 *   kerb-time-run labels MODEL CARD SMOOTHING WIDTH HEIGHT FPS    I420 frames -> the labels of each; SMOOTHING 0 off, 1 light, 2 strong; CARD "-": the model's own
 *   kerb-time-run carry WIDTH HEIGHT AGE                          (I420 frame, its labels) -> the labels of AGE frames before, carried onto the frame
 *   kerb-time-run motion WIDTH HEIGHT                             I420 frames -> a line a frame: kind (0 first, 1 cut, 2 known) and the share of lost patches
 */
#include "kerb.h"

#include "base/cpu.h"
#include "base/trace.h"
#include "time/motion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Picture {
    KerbVideoFormat format;
    KerbFrame frame;
    uint8_t *bytes;
    size_t n, pixels;
} Picture;

static void fail(const char *text)
{
    fprintf(stderr, "kerb-time-run: %s\n", text);
    exit(1);
}

static Picture picture(const char *width, const char *height)
{
    Picture p = { .format = { .pixel_format = KERB_FORMAT_I420, .width_px = atoi(width), .height_px = atoi(height) } };
    int w = p.format.width_px, h = p.format.height_px;
    if (w < 1 || h < 1 || w > KERB_MAX_SIDE_PX || h > KERB_MAX_SIDE_PX) fail("a size from 1 to 16384");
    size_t chroma = (size_t)((w + 1) / 2) * (size_t)((h + 1) / 2);
    p.pixels = (size_t)w * (size_t)h;
    p.n = p.pixels + 2 * chroma;
    p.bytes = malloc(p.n);
    if (!p.bytes) fail("no memory");
    p.frame = (KerbFrame){ .planes = { p.bytes, p.bytes + p.pixels, p.bytes + p.pixels + chroma }, .strides = { w, (w + 1) / 2, (w + 1) / 2 } };
    return p;
}

static bool next(Picture *p) { return fread(p->bytes, 1, p->n, stdin) == p->n; }

static void put(const uint8_t *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, stdout) != n) fail("standard output takes no more");
}

static void run_labels(char **a)
{
    KerbConfig config;
    KerbError error;
    kerb_config_init(&config);
    config.model_file = a[0];
    if (strcmp(a[1], "-") != 0) config.card_file = a[1];
    config.smoothing = (KerbSmoothing)atoi(a[2]);
    config.slots = 1;
    Picture p = picture(a[3], a[4]);
    double fps = atof(a[5]);
    KerbPipeline *k;
    if (kerb_open(&k, &config, &error) != KERB_OK || kerb_set_format(k, &p.format, &error) != KERB_OK) fail(error.message);
    uint8_t *labels = malloc(p.pixels);
    int n = 0;
    for (; labels && next(&p); n++) {
        p.frame.pts_ns = (int64_t)(n * 1e9 / fps);
        KerbJob job = { .frame = p.frame, .labels = { labels, p.format.width_px } };
        KerbResult result;
        if (kerb_submit(k, &job, &error) != KERB_OK || kerb_collect(k, &result, -1, &error) != KERB_OK || result.status != KERB_OK) fail(error.message);
        put(labels, p.pixels);
    }
    KerbStats stats;
    kerb_get_stats(k, &stats);
    fprintf(stderr, "{\"frames\": %d, \"net_ms\": %.3f, \"out_ms\": %.3f, \"smooth_ms\": %.3f}\n", n, (double)stats.mean.net_ns / 1e6,
            (double)stats.mean.out_ns / 1e6, (double)stats.mean.smooth_ns / 1e6);
    free(labels);
    free(p.bytes);
    kerb_close(&k);
}

static void run_carry(char **a)
{
    Picture p = picture(a[0], a[1]);
    int age = atoi(a[2]), w = p.format.width_px, n = 0, unknown = 0;
    if (age < 0 || age > KERB_MAX_HISTORY_FRAMES) fail("an age from 0 to 64");
    KerbCarrier *c;
    KerbError error;
    if (kerb_carrier_new(&c, &p.format, age ? age : 1, &error) != KERB_OK) fail(error.message);
    uint8_t *past = malloc(p.pixels * (size_t)(age + 1)), *out = malloc(p.pixels);
    if (!past || !out) fail("no memory");
    int64_t add_ns = 0, carry_ns = 0;
    for (; next(&p); n++) {
        uint8_t *own = past + (size_t)(n % (age + 1)) * p.pixels, *source = past + (size_t)((n + 1) % (age + 1)) * p.pixels;
        if (fread(own, 1, p.pixels, stdin) != p.pixels) fail("a frame without labels");
        p.frame.pts_ns = n;
        int64_t t0 = kerb_now_ns();
        kerb_carrier_add(c, &p.frame);
        int64_t t1 = kerb_now_ns();
        bool known = kerb_carrier_carry(c, n - age, (KerbMap){ source, w }, (KerbMap){ out, w });
        carry_ns += kerb_now_ns() - t1;
        add_ns += t1 - t0;
        unknown += !known;
        put(known ? out : n < age ? own : source, p.pixels);
    }
    fprintf(stderr, "{\"frames\": %d, \"unknown\": %d, \"add_ms\": %.3f, \"carry_ms\": %.3f}\n", n, unknown, (double)add_ns / 1e6 / (n ? n : 1),
            (double)carry_ns / 1e6 / (n ? n : 1));
    kerb_carrier_free(&c);
    free(past);
    free(out);
    free(p.bytes);
}

static void run_motion(char **a)
{
    Picture p = picture(a[0], a[1]);
    KerbMotion *m;
    KerbError error;
    if (kerb_motion_new(&m, &p.format, kerb_cpu_flags(), &error) != KERB_OK) fail(error.message);
    int width, height, factor;
    kerb_motion_size(m, &width, &height, &factor);
    float *planes = malloc(sizeof(float) * 2 * (size_t)width * (size_t)height);
    if (!planes) fail("no memory");
    KerbFlow flow = { width, height, planes, planes + (size_t)width * (size_t)height };
    while (next(&p)) {
        KerbMotionKind kind = kerb_motion_add(m, &p.frame, &flow, NULL);
        printf("%d %.4f\n", (int)kind, (double)kerb_motion_lost(m));
    }
    kerb_motion_free(&m);
    free(planes);
    free(p.bytes);
}

int main(int argc, char **argv)
{
    if (argc == 8 && !strcmp(argv[1], "labels")) run_labels(argv + 2);
    else if (argc == 5 && !strcmp(argv[1], "carry")) run_carry(argv + 2);
    else if (argc == 4 && !strcmp(argv[1], "motion")) run_motion(argv + 2);
    else fail("labels MODEL CARD SMOOTHING WIDTH HEIGHT FPS | carry WIDTH HEIGHT AGE | motion WIDTH HEIGHT");
    return 0;
}
