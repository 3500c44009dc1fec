/* SPDX-License-Identifier: MIT */
/* Large cases of the kernels, timed by events: eight launches at a time, so that what a launch costs the host is not in it. Nothing is
 * checked here; contents are zeros. Bytes are those of operands and results, each once. */
#include "kernel_times.h"

#include <stdio.h>
#include <stdlib.h>

#define RUNS 21
#define LAUNCHES 8

typedef struct Timer {
    cudaStream_t stream;
    cudaEvent_t start, end;
    void *blocks[16];
    int n_blocks;
    size_t bytes; /* of the case */
} Timer;

static void *timer_alloc(Timer *t, size_t bytes)
{
    void *p;
    if (t->n_blocks == 16 || cudaMalloc(&p, bytes) != cudaSuccess || cudaMemset(p, 0, bytes) != cudaSuccess) {
        fprintf(stderr, "no device memory for times\n");
        exit(1);
    }
    t->blocks[t->n_blocks++] = p;
    return p;
}

static KerbPicture timer_picture(Timer *t, KerbDtype type, int c, int w, int h)
{
    int lanes = type == KERB_F32 ? 4 : 8;
    int64_t pixel = (c + lanes - 1) / lanes * lanes;
    size_t bytes = (size_t)(pixel * w * h) * kerb_dtype_bytes(type);
    t->bytes += bytes;
    return (KerbPicture){ .data = timer_alloc(t, bytes), .type = (int32_t)type, .c = c, .h = h, .w = w, .row = pixel * w, .pixel = pixel,
                          .padding = kerb_picture_padding(c, pixel) };
}

static void *timer_floats(Timer *t, size_t n) { return timer_alloc(t, n * sizeof(float)); }

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* X: a launch, as an expression that gives a cudaError_t. */
#define TIME(t, what, X)                                                                                                                 \
    do {                                                                                                                                 \
        float us[RUNS];                                                                                                                  \
        bool fine = true;                                                                                                                \
        for (int run = -2; run < RUNS && fine; run++) {                                                                                  \
            float ms = 0;                                                                                                                \
            cudaEventRecord((t)->start, (t)->stream);                                                                                    \
            for (int k = 0; k < LAUNCHES && fine; k++) fine = (X) == cudaSuccess;                                                        \
            cudaEventRecord((t)->end, (t)->stream);                                                                                      \
            fine =                                                                                                                       \
                fine && cudaEventSynchronize((t)->end) == cudaSuccess && cudaEventElapsedTime(&ms, (t)->start, (t)->end) == cudaSuccess; \
            if (run >= 0) us[run] = ms * 1000 / LAUNCHES;                                                                                \
        }                                                                                                                                \
        timer_report(t, what, fine ? us : NULL);                                                                                         \
    } while (0)

static void timer_report(Timer *t, const char *what, float us[RUNS])
{
    if (us) {
        qsort(us, RUNS, sizeof us[0], compare_floats);
        printf("%-44s %9.1f us %9.2f MB %8.0f GB/s\n", what, (double)us[RUNS / 2], (double)t->bytes / 1e6,
               (double)t->bytes / 1e3 / (double)us[RUNS / 2]);
    } else {
        printf("%-44s failed: %s\n", what, cudaGetErrorString(cudaGetLastError()));
    }
    for (int i = 0; i < t->n_blocks; i++) (void)cudaFree(t->blocks[i]);
    t->n_blocks = 0;
    t->bytes = 0;
}

static void time_pictures(Timer *t)
{
    const KerbFused relu = { .kind = KERB_ACT_UNARY, .unary = KERB_UNARY_RELU };
    KerbFinishArgs finish = { .x = timer_picture(t, KERB_F16, 256, 256, 128), .z = timer_picture(t, KERB_F16, 256, 256, 128),
                              .y = timer_picture(t, KERB_F16, 256, 256, 128), .act = relu, .z_scale = 1, .y_scale = 1 };
    finish.bias = timer_floats(t, 256);
    TIME(t, "finish bias + residual + relu 256x128x256", kerb_launch_finish(&finish, t->stream));

    for (int i = 0; i < 4; i++) {
        int kernel = i == 2 ? 5 : 3, stride = i == 1 ? 2 : 1, dilation = i == 3 ? 12 : 1, c = i == 3 ? 320 : 96;
        char what[64];
        KerbDepthwiseArgs d = {.x = timer_picture(t, KERB_F16, c, 256, 128),
                               .y = timer_picture(t, KERB_F16, c, 256 / stride, 128 / stride),
                               .w_pitch = c,
                               .multiplier = 1,
                               .act = relu,
                               .z_scale = 1,
                               .y_scale = 1,
                               .kernel = {kernel, kernel},
                               .stride = {stride, stride},
                               .dilation = {dilation, dilation},
                               .pad = {kernel / 2 * dilation, kernel / 2 * dilation}};
        d.w = timer_floats(t, (size_t)(kernel * kernel * c));
        d.bias = timer_floats(t, (size_t)c);
        snprintf(what, sizeof what, "depthwise %dx%d stride %d dilation %d 256x128x%d", kernel, kernel, stride, dilation, c);
        TIME(t, what, kerb_launch_depthwise(&d, t->stream));
    }

    KerbConvArgs conv = {.x = timer_picture(t, KERB_F16, 64, 128, 64),
                         .y = timer_picture(t, KERB_F16, 64, 128, 64),
                         .w_type = KERB_F16,
                         .w_out = 576,
                         .w_in = 1,
                         .w_row = 192,
                         .w_column = 64,
                         .act = relu,
                         .z_scale = 1,
                         .y_scale = 1,
                         .kernel = {3, 3},
                         .stride = {1, 1},
                         .dilation = {1, 1},
                         .pad = {1, 1},
                         .group = 1};
    conv.w = timer_alloc(t, 64 * 576 * 2);
    TIME(t, "conv 3x3 64->64 128x64 (the fallback)", kerb_launch_conv(&conv, t->stream));

    KerbResizeAttrs attrs = { .mode = KERB_RESIZE_LINEAR, .coordinates = KERB_COORD_HALF_PIXEL, .scale = { 1, 1, 4, 4 } };
    KerbResizeArgs resize = {
        .x = timer_picture(t, KERB_F16, 256, 64, 32), .y = timer_picture(t, KERB_F16, 256, 256, 128), .row_taps = 2, .column_taps = 2};
    KerbResizeTap table[2][2 * 256];
    kerb_resize_table(&attrs, 2, 32, 128, 0, 1, table[0]);
    kerb_resize_table(&attrs, 3, 64, 256, 0, 1, table[1]);
    void *device = timer_alloc(t, sizeof table);
    if (cudaMemcpy(device, table, sizeof table, cudaMemcpyHostToDevice) != cudaSuccess) exit(1);
    resize.rows = device;
    resize.columns = (const KerbResizeTap *)device + 2 * 256;
    TIME(t, "resize linear x4 64x32 -> 256x128x256", kerb_launch_resize(&resize, t->stream));

    KerbShuffleArgs shuffle = {.x = timer_picture(t, KERB_F16, 256, 256, 128),
                               .y = timer_picture(t, KERB_F16, 64, 512, 256),
                               .kind = KERB_SHUFFLE_DCR,
                               .block = 2};
    TIME(t, "shuffle DCR 2 256x128x256 -> 512x256x64", kerb_launch_shuffle(&shuffle, t->stream));
}

static void time_pools(Timer *t)
{
    KerbPoolArgs pool = {.x = timer_picture(t, KERB_F16, 64, 1024, 512),
                         .y = timer_picture(t, KERB_F16, 64, 512, 256),
                         .kernel = {2, 2},
                         .stride = {2, 2},
                         .dilation = {1, 1},
                         .index_row = 64 * 512,
                         .index_pixel = 64};
    TIME(t, "max pool 2x2 1024x512x64", kerb_launch_max_pool(&pool, t->stream));
    pool.x = timer_picture(t, KERB_F16, 64, 1024, 512), pool.y = timer_picture(t, KERB_F16, 64, 512, 256);
    pool.window_index = timer_alloc(t, 64 * 512 * 256);
    t->bytes += 64 * 512 * 256;
    TIME(t, "max pool 2x2 with indices 1024x512x64", kerb_launch_max_pool(&pool, t->stream));
    KerbUnpoolArgs unpool = {.x = timer_picture(t, KERB_F16, 64, 512, 256),
                             .y = timer_picture(t, KERB_F16, 64, 1024, 512),
                             .window_index = timer_alloc(t, 64 * 512 * 256),
                             .index_row = 64 * 512,
                             .index_pixel = 64,
                             .kernel = {2, 2},
                             .stride = {2, 2},
                             .dilation = {1, 1}};
    t->bytes += 64 * 512 * 256;
    TIME(t, "unpool 2x2 512x256x64", kerb_launch_unpool(&unpool, t->stream));
    KerbPoolArgs average = {.x = timer_picture(t, KERB_F16, 512, 64, 32),
                            .y = timer_picture(t, KERB_F16, 512, 8, 4),
                            .kernel = {17, 17},
                            .stride = {8, 8},
                            .dilation = {1, 1},
                            .pad = {8, 8},
                            .pad_end = {8, 8}};
    TIME(t, "average pool 17x17 stride 8 64x32x512", kerb_launch_average_pool(&average, t->stream));
}

static void time_axes(Timer *t)
{
    for (int c = 64; c <= 2048; c *= 32) {
        char what[64];
        KerbPicture x = timer_picture(t, KERB_F16, c, c == 64 ? 512 : 64, c == 64 ? 256 : 32), y = timer_picture(t, KERB_F16, c, 1, 1);
        KerbStrided from = kerb_strided_picture(&x), to = kerb_strided_picture(&y);
        KerbReduceArgs reduce = { .x = x.data, .y = y.data, .x_type = KERB_F16, .y_type = KERB_F16, .kind = KERB_REDUCE_MEAN };
        if (!kerb_axes(&from, &to, 12, 0, &reduce.axes)) exit(1);
        reduce.parts = kerb_reduce_parts(&reduce);
        reduce.partial = timer_floats(t, (size_t)reduce.parts * (size_t)c);
        snprintf(what, sizeof what, "global mean %dx%dx%d, %d parts", x.w, x.h, c, reduce.parts);
        TIME(t, what, kerb_launch_reduce(&reduce, t->stream));
    }
    KerbPicture x = timer_picture(t, KERB_F16, 19, 512, 256), y = timer_picture(t, KERB_F16, 19, 512, 256);
    KerbStrided from = kerb_strided_picture(&x), to = kerb_strided_picture(&y);
    KerbSoftmaxArgs softmax = { .x = x.data, .y = y.data, .x_type = KERB_F16, .y_type = KERB_F16 };
    if (!kerb_axes(&from, &to, 2, y.padding, &softmax.axes)) exit(1);
    TIME(t, "softmax of 19 channels 512x256", kerb_launch_softmax(&softmax, t->stream));
}

static void time_walks(Timer *t)
{
    KerbPicture a = timer_picture(t, KERB_F16, 128, 256, 128), gate = timer_picture(t, KERB_F16, 128, 1, 1),
                y = timer_picture(t, KERB_F16, 128, 256, 128);
    KerbStrided views[3] = { kerb_strided_picture(&y), kerb_strided_picture(&a), kerb_strided_picture(&gate) };
    const KerbStrided *const gated[] = { &views[0], &views[1], &views[2] };
    KerbBinaryArgs binary = { .kind = KERB_BINARY_MUL };
    if (!kerb_walk(3, gated, 0, &binary.walk)) exit(1);
    TIME(t, "binary x * gate 256x128x128", kerb_launch_binary(&binary, t->stream));

    KerbPicture x = timer_picture(t, KERB_F16, 64, 256, 128), z = timer_picture(t, KERB_F16, 64, 256, 128);
    KerbStrided from = kerb_strided_picture(&x), to = kerb_strided_picture(&z);
    to.strides[1] = 256 * 128, to.strides[2] = 256, to.strides[3] = 1;
    const KerbStrided *const turned[] = { &to, &from };
    KerbCopyArgs copy = { .value = 0 };
    if (!kerb_walk(2, turned, 0, &copy.walk)) exit(1);
    TIME(t, "copy channels-last -> planes 256x128x64", kerb_launch_copy(&copy, t->stream));

    KerbMatmulArgs gemm = {.a = {.type = KERB_F16, .row = 2048, .column = 1},
                           .b = {.type = KERB_F16, .row = 1, .column = 2048},
                           .y = {.type = KERB_F16, .row = 1000, .column = 1},
                           .m = 1,
                           .n = 1000,
                           .k = 2048,
                           .alpha = 1};
    gemm.a.data = timer_alloc(t, 2048 * 2), gemm.b.data = timer_alloc(t, 2048 * 1000 * 2), gemm.y.data = timer_alloc(t, 2000);
    t->bytes = 2048 * 1000 * 2;
    TIME(t, "matmul 1x2048 by 2048x1000", kerb_launch_matmul(&gemm, t->stream));
    KerbMatmulArgs square = {.a = {.type = KERB_F16, .row = 512, .column = 1},
                             .b = {.type = KERB_F16, .row = 2048, .column = 1},
                             .y = {.type = KERB_F16, .row = 2048, .column = 1},
                             .m = 2048,
                             .n = 2048,
                             .k = 512,
                             .alpha = 1};
    square.a.data = timer_alloc(t, 2048 * 512 * 2), square.b.data = timer_alloc(t, 2048 * 512 * 2),
    square.y.data = timer_alloc(t, 2048 * 2048 * 2);
    t->bytes = 2048 * 512 * 4 + 2048 * 2048 * 2;
    TIME(t, "matmul 2048x512 by 512x2048", kerb_launch_matmul(&square, t->stream));
}

void kernel_times(void)
{
    Timer t = { .n_blocks = 0 };
    if (cudaStreamCreate(&t.stream) != cudaSuccess || cudaEventCreate(&t.start) != cudaSuccess || cudaEventCreate(&t.end) != cudaSuccess)
        exit(1);
    printf("\n%-44s %12s %12s\n", "f16; median of 21 x 8 launches", "time", "must move");
    time_pictures(&t);
    time_pools(&t);
    time_axes(&t);
    time_walks(&t);
    (void)cudaEventDestroy(t.start);
    (void)cudaEventDestroy(t.end);
    (void)cudaStreamDestroy(t.stream);
}
