/* SPDX-License-Identifier: MIT */
/* One generated case of cuda/in: kerb_in_run() in f32 with the same strides says what every element must be; f16 and bf16 are those values, rounded. */
#include "stages.h"

#include "base/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A NaN that nothing computes: elements that kerb_in_run() left alone. */
static const uint32_t untouched = 0x7fc0a5a5u;

enum { LAYOUT_NCHW, LAYOUT_NHWC, LAYOUT_NHWC4, LAYOUT_NHWC8, LAYOUT_GAPS, LAYOUT_ODD, LAYOUTS };

static KerbTensor random_input(KerbRandom *r, int channels, int height, int width)
{
    static const KerbDtype dtypes[] = { KERB_F32, KERB_F16, KERB_F16, KERB_BF16 };
    int64_t dims[4] = { 1, channels, height, width };
    int layout = kerb_random_int(r, 0, LAYOUTS - 1);
    int64_t pitch = layout == LAYOUT_NHWC4 ? 4 : layout == LAYOUT_NHWC ? channels : 8;
    KerbTensor t = layout == LAYOUT_NCHW ? kerb_tensor(NULL, KERB_F32, 4, dims) : kerb_tensor_channels_last(NULL, KERB_F32, 4, dims, pitch);
    t.dtype = dtypes[kerb_random_int(r, 0, 3)];
    if (layout == LAYOUT_GAPS) t.strides[2] += kerb_random_int(r, 0, 1) ? 8 : 3; /* of rows: 16-byte stores still fit, or do not */
    if (layout == LAYOUT_ODD) {
        t.strides[1] = 2;
        t.strides[3] = 2 * channels + 1;
        t.strides[2] = t.strides[3] * width + 5;
    }
    return t;
}

static KerbInParams random_params(KerbRandom *r, KerbTensor *input)
{
    static const KerbFit fits[] = { KERB_FIT_STRETCH, KERB_FIT_LETTERBOX, KERB_FIT_CROP };
    KerbInParams p = { .cpu_flags = kerb_cpu_flags() };
    int width = kerb_random_int(r, 1, kerb_random_int(r, 0, 5) ? 200 : 3), height = kerb_random_int(r, 1, kerb_random_int(r, 0, 5) ? 120 : 3);
    int net_width = kerb_random_int(r, 1, 90), net_height = kerb_random_int(r, 1, 60);
    if (!kerb_random_int(r, 0, 3)) net_width = 1 + width / kerb_random_int(r, 2, 9); /* areas */
    if (!kerb_random_int(r, 0, 3)) net_height = 1 + height / kerb_random_int(r, 2, 9);
    p.format = (KerbVideoFormat){ (KerbPixelFormat)kerb_random_int(r, 1, KERB_FORMAT_COUNT - 1), width, height, (KerbMatrix)kerb_random_int(r, 0, 2),
                                  (KerbRange)kerb_random_int(r, 0, 1), (KerbChromaSite)kerb_random_int(r, 0, 1) };
    kerb_geometry_init(&p.geometry, width, height, net_width, net_height, fits[kerb_random_int(r, 0, 2)]);
    p.color = (KerbColor)kerb_random_int(r, KERB_COLOR_RGB, KERB_COLOR_GRAY);
    for (int c = 0; c < 3; c++) {
        p.mean[c] = (float)(kerb_random_unit(r) * 130);
        p.std[c] = (float)(kerb_random_int(r, 0, 1) ? 1.0 : 0.5 + kerb_random_unit(r) * 70);
    }
    *input = random_input(r, p.color == KERB_COLOR_GRAY ? 1 : 3, net_height, net_width);
    p.input = *input;
    p.input.dtype = KERB_F32;
    return p;
}

/* Elements from the first to the last that is written. */
static size_t elements_of(const KerbTensor *t)
{
    int64_t last = 0, pixel = 1;
    for (int i = 1; i < 4; i++) last += (t->dims[i] - 1) * t->strides[i];
    if (t->strides[1] == 1 && t->strides[3] > t->dims[1]) pixel += t->strides[3] - t->dims[1];
    return (size_t)(last + pixel);
}

/* What the device's memory has to hold, in the input's own type. */
static void expect(const KerbInParams *p, const KerbFrame *frame, const KerbTensor *input, StagesBlock *block)
{
    size_t n = elements_of(input);
    float *values = malloc(n * sizeof *values);
    KerbIn *in;
    KerbError error;
    if (!values) abort();
    for (size_t i = 0; i < n; i++) memcpy(&values[i], &untouched, 4);
    KerbTensor host = p->input;
    host.data = values;
    if (kerb_in_new(&in, p, &error) != KERB_OK) {
        fprintf(stderr, "kerb_in_new: %s\n", error.message);
        exit(1);
    }
    kerb_in_run(in, frame, &host, NULL);
    kerb_in_free(&in);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&values[i], &untouched, 4) == 0) continue;
        uint16_t half = input->dtype == KERB_F16 ? kerb_f32_to_f16(values[i]) : kerb_f32_to_bf16(values[i]);
        if (input->dtype == KERB_F32) memcpy(block->host + 4 * i, &values[i], 4);
        else memcpy(block->host + 2 * i, &half, 2);
    }
    free(values);
}

typedef struct Launch {
    const KerbCudaIn *in;
    void *input;
} Launch;

static cudaError_t launch_in(Stages *s, void *what)
{
    const Launch *l = what;
    return kerb_cuda_in_launch(l->in, s->job, l->input, s->stream);
}

bool stages_in_case(Stages *s, uint64_t seed, char *message, size_t bytes)
{
    KerbRandom r = kerb_random_seed(seed);
    KerbTensor input;
    KerbInParams p = random_params(&r, &input);
    StagesPicture frame = stages_picture_new(&p.format, kerb_random_int(&r, 0, 1), &r);
    KerbFrame host = stages_picture_host(&frame);
    StagesBlock block = stages_block_new(elements_of(&input) * kerb_dtype_bytes(input.dtype));
    memset(block.host, 0xa5, block.bytes);
    stages_block_send(&block);
    expect(&p, &host, &input, &block);
    KerbCudaJob job = { .frame = stages_picture_device(&frame) };
    KerbCudaIn *in;
    KerbError error = { 0 };
    int64_t at = 0;
    if (kerb_cuda_in_new(&in, &p, &input, &s->memory, &error) == KERB_OK) {
        stages_run(s, &job, kerb_random_int(&r, 0, 3) == 0, launch_in, &(Launch){ in, block.device });
        at = stages_block_compare(s, &block);
        kerb_cuda_in_free(&in);
    }
    snprintf(message, bytes, "in, seed %llu: %s %dx%d matrix %d range %d site %d -> %dx%d (shown %d..%d x %d..%d) colour %d %s strides %d,%d,%d: byte %lld %s",
             (unsigned long long)seed, kerb_pixel_format_name(p.format.pixel_format), p.format.width_px, p.format.height_px, p.format.matrix, p.format.range,
             p.format.chroma_site, p.geometry.net_width_px, p.geometry.net_height_px, p.geometry.net_x0, p.geometry.net_x1, p.geometry.net_y0,
             p.geometry.net_y1, p.color, kerb_dtype_name(input.dtype), (int)input.strides[1], (int)input.strides[2], (int)input.strides[3], (long long)at,
             error.message);
    stages_block_free(&block);
    stages_picture_free(&frame);
    return at < 0;
}
