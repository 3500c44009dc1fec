/* SPDX-License-Identifier: MIT */
/* kerb-cuda-faults MODEL.onnx: loses the GPU for this process, as a fault of a driver or a memory would, and looks what the library makes of it. A frame whose
 * planes are said to lie in device memory and do not makes the pre-kernel read an address that is not there (CUDA error 700). Frames before it must be
 * right; it and all after it must come back, as lost to the backend (exit code 6 for programs); the end must come. Prints a line for each; exit code 0 where all
 * is so, 1 otherwise, 77 without a GPU. */
#include <kerb.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define W 640
#define H 360
#define FRAMES 4 /* before, and after */

static int wrong;

static void expect(bool ok, const char *what, const KerbError *error)
{
    printf("%s: %s%s%s\n", ok ? "ok" : "WRONG", what, error && error->message[0] ? ": " : "", error ? error->message : "");
    wrong += !ok;
}

/* One frame through the pipeline; its status. */
static KerbStatus run(KerbPipeline *k, const KerbFrame *frame, KerbError *error)
{
    KerbJob job = { .frame = *frame };
    KerbResult result = { .status = KERB_ERROR_INTERNAL };
    memset(error, 0, sizeof *error);
    KerbStatus status = kerb_submit(k, &job, error);
    if (status == KERB_OK) status = kerb_collect(k, &result, 20000000000, error);
    return status == KERB_OK ? result.status : status;
}

static void lose(KerbPipeline *k)
{
    KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = W, .height_px = H };
    KerbError error = { 0 };
    KerbStats stats;
    KerbHostBlock block = { 0 };
    expect(kerb_set_format(k, &format, &error) == KERB_OK, "the format is set", &error);
    if (wrong || kerb_host_alloc(k, 3 * W * H, &block, &error) != KERB_OK) return;
    memset(block.data, 90, 3 * W * H);
    KerbFrame good = { .planes = { block.data }, .strides = { 3 * W } }, bad = good;
    bad.planes[0] = (uint8_t *)(uintptr_t)0x1000;
    bad.memory = KERB_MEMORY_CUDA;
    for (int i = 0; i < FRAMES; i++) expect(run(k, &good, &error) == KERB_OK, "a frame before the fault", &error);
    expect(run(k, &bad, &error) == KERB_ERROR_BACKEND, "the frame that loses the GPU is lost to the backend", &error);
    for (int i = 0; i < FRAMES; i++) expect(run(k, &good, &error) == KERB_ERROR_BACKEND, "a frame after it is lost too, and comes back", &error);
    expect(kerb_exit_code(KERB_ERROR_BACKEND) == 6, "exit code 6", NULL);
    kerb_get_stats(k, &stats);
    expect(stats.frames_in == 2 * FRAMES + 1 && stats.frames_out == FRAMES && stats.frames_errored == FRAMES + 1 && !stats.in_flight,
           "every frame is counted: in = out + errored", NULL);
    kerb_host_free(&block);
}

int main(int argc, char **argv)
{
    KerbConfig config;
    KerbError error = { 0 };
    KerbPipeline *k = NULL;
    if (argc != 2) {
        fprintf(stderr, "Usage: kerb-cuda-faults MODEL.onnx\n");
        return 2;
    }
    kerb_config_init(&config);
    config.model_file = argv[1];
    config.backend = "cuda";
    KerbStatus status = kerb_open(&k, &config, &error);
    if (status == KERB_ERROR_BACKEND) {
        printf("skipped: %s\n", error.message);
        return 77;
    }
    expect(status == KERB_OK, "open", &error);
    if (status == KERB_OK) lose(k);
    kerb_close(&k);
    printf("closed\n");
    return wrong ? 1 : 0;
}
