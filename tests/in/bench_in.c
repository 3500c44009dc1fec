/* SPDX-License-Identifier: MIT */
/* kerb-in-bench [THREADS [RUNS]]: median and p99 time of kerb_in_run for usual cases, every variant in one run, interleaved so that what
 * else the machine does hits all alike. Not a test: timings gate nothing. */
#include "in_fixture.h"

#include "base/trace.h"

typedef struct BenchCase {
    const char *what;
    KerbPixelFormat format;
    int w, h, net_w, net_h;
    KerbFit fit;
    KerbDtype dtype;
    FixtureLayout layout;
} BenchCase;

static const BenchCase cases[] = {
    { "I420 960x540 -> 640x360 NHWC f32", KERB_FORMAT_I420, 960, 540, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "I420 960x540 -> 640x360 NCHW f32", KERB_FORMAT_I420, 960, 540, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NCHW },
    { "I420 960x540 -> 640x360 NHWC bf16", KERB_FORMAT_I420, 960, 540, 640, 360, KERB_FIT_STRETCH, KERB_BF16, FIXTURE_NHWC },
    { "I420 960x540 -> 640x360 NHWC8 bf16", KERB_FORMAT_I420, 960, 540, 640, 360, KERB_FIT_STRETCH, KERB_BF16, FIXTURE_NHWC8 },
    { "NV12 1280x720 -> 640x360 NHWC f32", KERB_FORMAT_NV12, 1280, 720, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "NV12 1920x1080 -> 640x360 NHWC f32", KERB_FORMAT_NV12, 1920, 1080, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "NV12 1920x1080 -> 1024x512 NHWC f32", KERB_FORMAT_NV12, 1920, 1080, 1024, 512, KERB_FIT_LETTERBOX, KERB_F32, FIXTURE_NHWC },
    { "I420 3840x2160 -> 640x360 NHWC f32", KERB_FORMAT_I420, 3840, 2160, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "I420 640x360 -> 640x360 NHWC f32", KERB_FORMAT_I420, 640, 360, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "YUY2 1280x720 -> 640x360 NHWC f32", KERB_FORMAT_YUY2, 1280, 720, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "RGB 960x540 -> 640x360 NHWC f32", KERB_FORMAT_RGB, 960, 540, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
    { "BGRx 960x540 -> 640x360 NHWC f32", KERB_FORMAT_BGRX, 960, 540, 640, 360, KERB_FIT_STRETCH, KERB_F32, FIXTURE_NHWC },
};

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const unsigned variants[] = { 0, KERB_CPU_AVX2, KERB_CPU_AVX2 | KERB_CPU_AVX512 };
    static const char *const names[] = { "c", "avx2", "avx512" };
    int threads = argc > 1 ? atoi(argv[1]) : 2, runs = argc > 2 ? atoi(argv[2]) : 200;
    if (threads < 1 || runs < 1) return 2;
    char cpu[256];
    KerbPool *pool;
    if (kerb_pool_new(&pool, threads, NULL) != KERB_OK) return 7;
    printf("%s, %d threads, n = %d after 3 warm-up runs\n%-38s %-7s %10s %10s %10s\n", kerb_cpu_name(cpu, sizeof cpu), threads, runs, "",
           "", "median us", "p99 us", "ns/pixel");
    int64_t *times[3];
    for (int v = 0; v < 3; v++) times[v] = calloc((size_t)runs, sizeof *times[v]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const BenchCase *b = &cases[i];
        KerbVideoFormat format = fixture_format(b->format, b->w, b->h, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT);
        FixtureFrame frame = fixture_frame_new(&format, 0, 1, true);
        KerbInParams p = fixture_params(format, b->net_w, b->net_h, b->fit, KERB_COLOR_RGB, b->dtype, b->layout);
        FixtureOutput o = fixture_output_new(&p);
        KerbIn *in[3] = { NULL, NULL, NULL };
        for (int v = 0; v < 3; v++) {
            p.cpu_flags = variants[v];
            if ((variants[v] & kerb_cpu_flags()) == variants[v] && kerb_in_new(&in[v], &p, NULL) != KERB_OK) return 7;
        }
        for (int r = -3; r < runs; r++)
            for (int v = 0; v < 3; v++) {
                if (!in[v]) continue;
                int64_t t0 = kerb_now_ns();
                kerb_in_run(in[v], &frame.frame, &o.tensor, pool);
                if (r >= 0) times[v][r] = kerb_now_ns() - t0;
            }
        for (int v = 0; v < 3; v++) {
            if (!in[v]) continue;
            qsort(times[v], (size_t)runs, sizeof *times[v], compare_i64);
            double median = (double)times[v][runs / 2];
            printf("%-38s %-7s %10.0f %10.0f %10.3f\n", v ? "" : b->what, names[v], median / 1e3, (double)times[v][runs * 99 / 100] / 1e3,
                   median / (b->net_w * b->net_h));
            kerb_in_free(&in[v]);
        }
        fixture_output_free(&o);
        fixture_frame_free(&frame);
    }
    for (int v = 0; v < 3; v++) free(times[v]);
    kerb_pool_free(&pool);
    return 0;
}
