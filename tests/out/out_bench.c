/* SPDX-License-Identifier: MIT */
/* kerb-out-bench [N]: the whole out stage (labels, confidence, overlay in place), N frames (default 200) after 20 to warm up, least, median and 99th
 * percentile in ms; a line for each case, instruction set and number of threads. */
#include "base/cpu.h"
#include "base/trace.h"
#include "out/out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct KerbBenchCase {
    const char *name;
    int heads, classes, width, height, step; /* cells, and network pixels a cell */
    int frame_width, frame_height;
    KerbPixelFormat format;
    bool planar; /* NCHW scores */
} KerbBenchCase;

static const KerbBenchCase kerb_bench_cases[] = {
    { "TwinLiteNet 2x2 640x360 NHWC -> 960x540 I420", 2, 2, 640, 360, 1, 960, 540, KERB_FORMAT_I420, false },
    { "TwinLiteNet 2x2 640x360 NCHW -> 960x540 I420", 2, 2, 640, 360, 1, 960, 540, KERB_FORMAT_I420, true },
    { "19 classes 128x64 NHWC -> 1280x720 I420", 1, 19, 128, 64, 8, 1280, 720, KERB_FORMAT_I420, false },
    { "19 classes 256x128 NHWC -> 1280x720 I420", 1, 19, 256, 128, 4, 1280, 720, KERB_FORMAT_I420, false },
    { "19 classes 256x128 NCHW -> 1280x720 I420", 1, 19, 256, 128, 4, 1280, 720, KERB_FORMAT_I420, true },
    { "19 classes 256x128 NHWC -> 1280x720 NV12", 1, 19, 256, 128, 4, 1280, 720, KERB_FORMAT_NV12, false },
    { "19 classes 256x128 NHWC -> 1280x720 YUY2", 1, 19, 256, 128, 4, 1280, 720, KERB_FORMAT_YUY2, false },
    { "19 classes 256x128 NHWC -> 1280x720 BGR", 1, 19, 256, 128, 4, 1280, 720, KERB_FORMAT_BGR, false },
    { "19 classes 256x128 NHWC -> 1280x720 BGRA", 1, 19, 256, 128, 4, 1280, 720, KERB_FORMAT_BGRA, false },
    { "19 classes 1024x512 NCHW -> 1280x720 I420", 1, 19, 1024, 512, 1, 1280, 720, KERB_FORMAT_I420, true },
    { "21 classes 32x16 NHWC -> 1280x720 I420", 1, 21, 32, 16, 32, 1280, 720, KERB_FORMAT_I420, false },
    { "150 classes 128x64 NHWC -> 1280x720 I420", 1, 150, 128, 64, 8, 1280, 720, KERB_FORMAT_I420, false },
};

/* A scene: wavy bands, a class each, with slopes like a network's. */
static void kerb_bench_scores(const KerbTensor *t, int seed)
{
    int n = (int)t->dims[1], w = (int)t->dims[3], h = (int)t->dims[2];
    for (int c = 0; c < n; c++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                double at = (double)y / h * 12.0 + 1.5 * sin(9.0 * x / w + seed) + (x > w / 2 ? 3.0 : 0.0);
                double d = fabs(fmod(at + 24.0, n < 12 ? n : 12) - c % 12);
                float *p = (float *)t->data + c * t->strides[1] + y * t->strides[2] + x * t->strides[3];
                *p = (float)(6.0 - 4.0 * d - (c >= 12 ? 5.0 : 0.0) + 0.3 * sin(x * 1.7 + y * 2.3 + c));
            }
}

static int kerb_bench_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void kerb_bench_run(const KerbBenchCase *c, unsigned flags, const char *name, int threads, const KerbTensor *scores, int n, bool draw)
{
    KerbOutParams p = { .n_heads = c->heads, .confidence = true, .cpu_flags = flags, .threads = threads };
    p.format = (KerbVideoFormat){ .pixel_format = c->format, .width_px = c->frame_width, .height_px = c->frame_height, .matrix = KERB_MATRIX_BT709 };
    kerb_geometry_init(&p.geometry, c->frame_width, c->frame_height, c->width * c->step, c->height * c->step, KERB_FIT_STRETCH);
    KerbDisplay display = { .visualize = KERB_VISUALIZE_OVERLAY, .alpha = 0.5f };
    for (int i = 0; i < c->heads; i++) {
        p.heads[i] = (KerbOutHead){ .kind = KERB_SCORES_LOGITS, .channels = c->classes, .width = c->width, .height = c->height, .cell_w_px = c->step,
                                    .cell_h_px = c->step };
        for (int k = 0; k < KERB_MAX_CLASSES; k++) p.heads[i].index[k] = (uint8_t)(k && c->heads > 1 ? k + i : k);
    }
    for (int k = 0; k < c->classes + c->heads - 1; k++) {
        display.enabled[k] = k || c->heads == 1;
        for (int j = 0; j < 3; j++) display.rgb[k][j] = (uint8_t)(k * 37 + j * 91);
    }
    KerbError error;
    KerbOut *out = NULL;
    KerbPool *pool = NULL;
    if (kerb_out_new(&out, &p, &error) != KERB_OK || kerb_pool_new(&pool, threads, &error) != KERB_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    size_t pixels = (size_t)c->frame_width * (size_t)c->frame_height;
    uint8_t *labels = malloc(pixels), *confidence = malloc(pixels), *video = calloc(pixels, 4);
    int64_t *times = malloc((size_t)n * sizeof(*times));
    KerbFrame frame = { 0 };
    uint8_t *at = video;
    for (int k = 0; k < kerb_pixel_format_planes(c->format); k++) {
        frame.planes[k] = at;
        frame.strides[k] = kerb_plane_row_bytes(c->format, k, c->frame_width);
        at += (size_t)frame.strides[k] * (size_t)kerb_plane_rows(c->format, k, c->frame_height);
    }
    for (int i = -20; i < n; i++) {
        int64_t begin = kerb_now_ns();
        kerb_out_run(out, scores, &frame, (KerbMap){ labels, c->frame_width }, (KerbMap){ confidence, c->frame_width }, &display, draw ? &frame : NULL, pool);
        if (i >= 0) times[i] = kerb_now_ns() - begin;
    }
    qsort(times, (size_t)n, sizeof(*times), kerb_bench_compare);
    printf("%-46s %-7s %d thread%s %-13s least %7.3f, median %7.3f, p99 %7.3f ms\n", c->name, name, threads, threads == 1 ? " " : "s",
           draw ? "with overlay" : "labels only", (double)times[0] * 1e-6, (double)times[n / 2] * 1e-6, (double)times[n * 99 / 100] * 1e-6);
    free(labels), free(confidence), free(video), free(times);
    kerb_pool_free(&pool);
    kerb_out_free(&out);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 200;
    n = n > 0 ? n : 200;
    char name[128];
    printf("%s, n = %d\n", kerb_cpu_name(name, sizeof(name)), n);
    for (size_t i = 0; i < sizeof(kerb_bench_cases) / sizeof(kerb_bench_cases[0]); i++) {
        const KerbBenchCase *c = &kerb_bench_cases[i];
        KerbTensor scores[KERB_MAX_HEADS];
        int64_t dims[4] = { 1, c->classes, c->height, c->width };
        for (int k = 0; k < c->heads; k++) {
            void *data = malloc((size_t)c->classes * (size_t)c->height * (size_t)c->width * sizeof(float));
            scores[k] = c->planar ? kerb_tensor(data, KERB_F32, 4, dims) : kerb_tensor_channels_last(data, KERB_F32, 4, dims, c->classes);
            kerb_bench_scores(&scores[k], k);
        }
        static const struct { const char *name; unsigned flags; } variants[] = { { "c", 0 }, { "avx2", KERB_CPU_AVX2 }, { "avx512", KERB_CPU_AVX2 | KERB_CPU_AVX512 } };
        for (int v = 0; v < 3; v++) {
            if ((kerb_cpu_flags() & variants[v].flags) != variants[v].flags) continue;
            kerb_bench_run(c, variants[v].flags, variants[v].name, 1, scores, n, true);
            if (v == 2) kerb_bench_run(c, variants[v].flags, variants[v].name, 1, scores, n, false);
            if (v == 2) kerb_bench_run(c, variants[v].flags, variants[v].name, 2, scores, n, true);
        }
        for (int k = 0; k < c->heads; k++) free(scores[k].data);
    }
    return 0;
}
