/* SPDX-License-Identifier: MIT */
/* kerb-cuda-stages [CASES [FIRST]]: the kernels of cuda/in and cuda/out on this machine's GPU against engine/in and engine/out on its processor, to the bit,
 * then their times at sizes that are used. Ends in `N passed, N failed, N skipped`; exit code 1 where something differs, 77 without a GPU.
 * KERB_SHORT=1: few cases and no times, for compute-sanitizer. */
#include "stages.h"

#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median of several runs of 20 launches each. */
static double microseconds(Stages *s, StagesLaunchFn launch, void *what)
{
    enum { RUNS = 15, LAUNCHES = 20 };
    cudaEvent_t begin, end;
    float ms[RUNS];
    stages_must(cudaEventCreate(&begin), "cudaEventCreate");
    stages_must(cudaEventCreate(&end), "cudaEventCreate");
    for (int i = 0; i < LAUNCHES; i++) stages_must(launch(s, what), "launching"); /* warm */
    for (int r = 0; r < RUNS; r++) {
        stages_must(cudaEventRecord(begin, s->stream), "cudaEventRecord");
        for (int i = 0; i < LAUNCHES; i++) stages_must(launch(s, what), "launching");
        stages_must(cudaEventRecord(end, s->stream), "cudaEventRecord");
        stages_must(cudaEventSynchronize(end), "cudaEventSynchronize");
        stages_must(cudaEventElapsedTime(&ms[r], begin, end), "cudaEventElapsedTime");
    }
    stages_must(cudaEventDestroy(begin), "cudaEventDestroy");
    stages_must(cudaEventDestroy(end), "cudaEventDestroy");
    qsort(ms, RUNS, sizeof ms[0], ascending);
    return 1000.0 * (double)ms[RUNS / 2] / LAUNCHES;
}

/* --------------------------------------------------------------------------------------------------------- what is timed */

typedef struct Timed {
    KerbCudaIn *in;
    KerbCudaOut *out;
    void *tensor;
    size_t bytes; /* that the work cannot do without */
} Timed;

static cudaError_t launch_in(Stages *s, void *what)
{
    Timed *t = what;
    return kerb_cuda_in_launch(t->in, s->job, t->tensor, s->stream);
}

static cudaError_t launch_out(Stages *s, void *what)
{
    Timed *t = what;
    return kerb_cuda_out_launch(t->out, s->job, &t->tensor, s->stream);
}

static void must_status(KerbStatus status, const KerbError *error)
{
    if (status == KERB_OK) return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static size_t picture_bytes(const StagesPicture *p)
{
    size_t bytes = 0;
    for (int i = 0; i < p->n_planes; i++) bytes += p->planes[i].bytes;
    return bytes;
}

static void time_in(Stages *s, KerbPixelFormat f, int width, int height, int net_width, int net_height)
{
    KerbRandom r = kerb_random_seed(1);
    KerbInParams p = { .format = { f, width, height, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT }, .color = KERB_COLOR_RGB, .std = { 1, 1, 1 } };
    kerb_geometry_init(&p.geometry, width, height, net_width, net_height, KERB_FIT_STRETCH);
    KerbTensor input = kerb_tensor_channels_last(NULL, KERB_F16, 4, (int64_t[]){ 1, 3, net_height, net_width }, 8);
    p.input = input;
    StagesPicture frame = stages_picture_new(&p.format, true, &r);
    StagesBlock block = stages_block_new((size_t)net_width * (size_t)net_height * 16);
    KerbCudaJob job = { .frame = stages_picture_device(&frame) };
    stages_set_job(s, &job);
    KerbError error;
    Timed t = { .tensor = block.device, .bytes = picture_bytes(&frame) + block.bytes };
    must_status(kerb_cuda_in_new(&t.in, &p, &input, &s->memory, &error), &error);
    double us = microseconds(s, launch_in, &t);
    printf("in   %-5s %4d x %-4d -> %4d x %-4d f16: %7.1f us, %6.0f GB/s\n", kerb_pixel_format_name(f), width, height, net_width, net_height, us,
           (double)t.bytes / us / 1e3);
    kerb_cuda_in_free(&t.in);
    stages_block_free(&block);
    stages_picture_free(&frame);
}

/* Blobs of about 12 cells: a tenth of the quads disagree. */
static void fill_scores(const KerbTensor *t, KerbRandom *r)
{
    for (int c = 0; c < t->dims[1]; c++)
        for (int y = 0; y < t->dims[2]; y++)
            for (int x = 0; x < t->dims[3]; x++) {
                uint32_t blob = (uint32_t)(x / 12 * 7919 + y / 12 * 104729) % (uint32_t)t->dims[1];
                kerb_tensor_set(t, (c * t->dims[2] + y) * t->dims[3] + x, (blob == (uint32_t)c ? 6.0 : 0.0) + kerb_random_unit(r));
            }
}

static void time_out(Stages *s, KerbPixelFormat f, int width, int height, int classes, int cells_w, int cells_h, KerbVisualize view, bool confidence)
{
    KerbRandom r = kerb_random_seed(1);
    KerbOutParams p = { .format = { f, width, height, KERB_MATRIX_BT709, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT }, .n_heads = 1, .confidence = confidence };
    kerb_geometry_init(&p.geometry, width, height, cells_w * 8, cells_h * 8, KERB_FIT_STRETCH);
    p.heads[0] = (KerbOutHead){ .kind = KERB_SCORES_LOGITS, .channels = classes, .width = cells_w, .height = cells_h, .cell_w_px = 8, .cell_h_px = 8 };
    KerbDisplay display = { .visualize = view, .alpha = 0.5f };
    for (int c = 0; c < KERB_MAX_CLASSES; c++) p.heads[0].index[c] = (uint8_t)c, display.enabled[c] = c > 0, display.rgb[c][c % 3] = (uint8_t)(37 * c);
    int64_t pitch = (classes + 7) / 8 * 8;
    StagesBlock scores = stages_block_new((size_t)(pitch * cells_w * cells_h) * 2);
    memset(scores.host, 0, scores.bytes);
    KerbTensor t = kerb_tensor_channels_last(scores.host, KERB_F16, 4, (int64_t[]){ 1, classes, cells_h, cells_w }, pitch);
    fill_scores(&t, &r);
    stages_block_send(&scores);
    StagesPicture frame = stages_picture_new(&p.format, true, &r), picture = stages_picture_new(&p.format, true, &r);
    StagesBlock maps = stages_block_new((size_t)width * (size_t)height * 2);
    KerbError error;
    Timed timed = { .tensor = scores.device, .bytes = scores.bytes + 2 * picture_bytes(&frame) + maps.bytes / (confidence ? 1 : 2) };
    must_status(kerb_cuda_out_new(&timed.out, &p, &t, &s->memory, &error), &error);
    KerbCudaJob job = { .frame = stages_picture_device(&frame), .picture = stages_picture_device(&picture) };
    job.labels = (KerbCudaMap){ maps.device, width };
    if (confidence) job.confidence = (KerbCudaMap){ (uint8_t *)maps.device + (size_t)width * (size_t)height, width };
    kerb_cuda_out_display(timed.out, &display, &job.display);
    stages_set_job(s, &job);
    double us = microseconds(s, launch_out, &timed);
    static const char *const views[] = { "none", "overlay", "mask", "side-by-side" };
    printf("out  %-5s %4d x %-4d <- %3d classes %3d x %-3d f16, %s%s: %7.1f us, %6.0f GB/s\n", kerb_pixel_format_name(f), width, height, classes, cells_w,
           cells_h, views[view], confidence ? ", confidence" : "", us, (double)timed.bytes / us / 1e3);
    kerb_cuda_out_free(&timed.out);
    stages_block_free(&scores);
    stages_block_free(&maps);
    stages_picture_free(&frame);
    stages_picture_free(&picture);
}

static void times(Stages *s)
{
    time_in(s, KERB_FORMAT_I420, 1280, 720, 640, 360);
    time_in(s, KERB_FORMAT_I420, 1920, 1080, 1024, 512);
    time_in(s, KERB_FORMAT_NV12, 3840, 2160, 640, 360);
    time_in(s, KERB_FORMAT_RGB, 1280, 720, 1024, 512);
    time_out(s, KERB_FORMAT_I420, 1280, 720, 19, 128, 64, KERB_VISUALIZE_OVERLAY, true);
    time_out(s, KERB_FORMAT_I420, 1280, 720, 19, 128, 64, KERB_VISUALIZE_NONE, false);
    time_out(s, KERB_FORMAT_I420, 1280, 720, 19, 256, 128, KERB_VISUALIZE_OVERLAY, true);
    time_out(s, KERB_FORMAT_NV12, 1920, 1080, 19, 128, 64, KERB_VISUALIZE_SIDE_BY_SIDE, true);
    time_out(s, KERB_FORMAT_RGB, 1280, 720, 2, 640, 360, KERB_VISUALIZE_OVERLAY, true);
    time_out(s, KERB_FORMAT_RGB, 1280, 720, 21, 640, 360, KERB_VISUALIZE_OVERLAY, true);
}

int main(int argc, char **argv)
{
    const char *brief = getenv("KERB_SHORT");
    bool all = !brief || !strcmp(brief, "0");
    long cases = argc > 1 ? strtol(argv[1], NULL, 10) : all ? 1000 : 60, first = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
    int devices = 0, passed = 0, failed = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices < 1) {
        printf("no GPU, or no driver: nothing was run\n0 passed, 0 failed, %ld skipped\n", 2 * cases);
        return 77;
    }
    Stages s;
    stages_init(&s);
    char message[512];
    for (long i = first; i < first + cases; i++) {
        bool (*const kinds[2])(Stages *, uint64_t, char *, size_t) = { stages_in_case, stages_out_case };
        for (int k = 0; k < 2; k++) {
            bool equal = kinds[k](&s, (uint64_t)i, message, sizeof message);
            passed += equal, failed += !equal;
            if (!equal && failed <= 20) printf("failed: %s\n", message);
        }
    }
    if (all) times(&s);
    size_t kept = stages_finish(&s);
    if (kept) printf("%zu bytes of device memory were not given back\n", kept);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed + (kept > 0));
    return failed || kept;
}
