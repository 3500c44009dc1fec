/* SPDX-License-Identifier: MIT */
#include "frames.h"

#include "onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NET_W = 48, NET_H = 32, CLASSES = 5 };

static char frames_folder[64];

/* ---------------------------------------------------------------------------------------------------------------- model */

static uint32_t frames_noise(uint32_t x)
{
    x ^= x >> 16, x *= 0x7feb352du, x ^= x >> 15, x *= 0x846ca68bu;
    return x ^ x >> 16;
}

static void constant(OnnxWriter *o, const char *name, int rank, const int64_t dims[], float most)
{
    static uint32_t seed = 77;
    float values[4096];
    int64_t n = 1;
    for (int i = 0; i < rank; i++)
        n *= dims[i];
    for (int64_t i = 0; i < n; i++)
        values[i] = ((float)(frames_noise(seed++) % 2001) / 1000 - 1) * most;
    onnx_constant(o, name, ONNX_F32, rank, dims, values);
}

/* Convolution k x k of in -> out channels, named `name`, with bias. */
static void conv(OnnxWriter *o, const char *type, const char *name, const char *x, const char *y, int in, int out, int k, int stride, int group)
{
    char inputs[128], w[32], b[32];
    const bool transposed = strcmp(type, "ConvTranspose") == 0;
    const int pad = transposed ? 0 : k / 2;
    snprintf(w, sizeof w, "%s_w", name);
    snprintf(b, sizeof b, "%s_b", name);
    snprintf(inputs, sizeof inputs, "%s %s %s", x, w, b);
    constant(o, w, 4, transposed ? (int64_t[]){ in, out / group, k, k } : (int64_t[]){ out, in / group, k, k }, 1.5f / (float)(k > 1 ? k : 2));
    constant(o, b, 1, (int64_t[]){ out }, 0.3f);
    onnx_node(o, type, name, inputs, y);
    onnx_ints(o, "kernel_shape", 2, (int64_t[]){ k, k });
    onnx_ints(o, "strides", 2, (int64_t[]){ stride, stride });
    onnx_ints(o, "pads", 4, (int64_t[]){ pad, pad, pad, pad });
    onnx_int(o, "group", group);
}

static void write_net(const char *path)
{
    OnnxWriter o = { 0 };
    onnx_input(&o, "picture", ONNX_F32, 4, (int64_t[]){ 1, 3, NET_H, NET_W });
    conv(&o, "Conv", "stem", "picture", "stem_y", 3, 8, 3, 2, 1);
    onnx_node(&o, "Relu", "stem_relu", "stem_y", "a");
    conv(&o, "Conv", "depth", "a", "depth_y", 8, 8, 3, 1, 8);
    onnx_node(&o, "Relu", "depth_relu", "depth_y", "b");
    onnx_node(&o, "MaxPool", "pool", "b", "c");
    onnx_ints(&o, "kernel_shape", 2, (int64_t[]){ 2, 2 });
    onnx_ints(&o, "strides", 2, (int64_t[]){ 2, 2 });
    conv(&o, "Conv", "wide", "c", "d", 8, 8, 3, 1, 1);
    onnx_node(&o, "Add", "residual", "d c", "e");
    onnx_node(&o, "Sigmoid", "gate", "e", "f");
    conv(&o, "ConvTranspose", "up", "f", "g", 8, 8, 2, 2, 1);
    onnx_node(&o, "Concat", "skip", "g a", "h");
    onnx_int(&o, "axis", 1);
    conv(&o, "Conv", "head", "h", "scores", 16, CLASSES, 1, 1, 1);
    onnx_output(&o, "scores", ONNX_F32, 4, (int64_t[]){ 1, CLASSES, NET_H / 2, NET_W / 2 });
    if (!onnx_save(&o, 13, path))
        abort();
}

/* --------------------------------------------------------------------------------------------------------------- frames */

size_t frames_bytes(const KerbVideoFormat *format)
{
    size_t bytes = 0;
    for (int i = 0; i < kerb_pixel_format_planes(format->pixel_format); i++)
        bytes += (size_t)kerb_plane_row_bytes(format->pixel_format, i, format->width_px) * (size_t)kerb_plane_rows(format->pixel_format, i, format->height_px);
    return bytes;
}

KerbFrame frames_frame(const KerbVideoFormat *format, uint8_t *memory)
{
    KerbFrame f = { .pts_ns = KERB_TIME_NONE };
    for (int i = 0; i < kerb_pixel_format_planes(format->pixel_format); i++) {
        f.planes[i] = memory;
        f.strides[i] = kerb_plane_row_bytes(format->pixel_format, i, format->width_px);
        memory += (size_t)f.strides[i] * (size_t)kerb_plane_rows(format->pixel_format, i, format->height_px);
    }
    return f;
}

/* Blocks of 6 bytes by 6 rows of noise: labels of two contents differ in many places. */
static void fill(const KerbVideoFormat *format, uint8_t *memory, uint32_t content)
{
    const KerbFrame f = frames_frame(format, memory);
    for (int i = 0; i < kerb_pixel_format_planes(format->pixel_format); i++)
        for (int y = 0; y < kerb_plane_rows(format->pixel_format, i, format->height_px); y++)
            for (int x = 0; x < f.strides[i]; x++)
                f.planes[i][y * f.strides[i] + x] = (uint8_t)frames_noise(content << 24 ^ (uint32_t)i << 20 ^ (uint32_t)(y / 6) << 10 ^ (uint32_t)(x / 6));
}

void frames_config(KerbConfig *config, const char *backend)
{
    kerb_config_init(config);
    config->model_file = "net.onnx";
    config->backend = backend;
    config->precision = KERB_PRECISION_F32;
    config->slots = 2;
    config->threads = 1;
    config->has_norm = true;
    for (int i = 0; i < 3; i++) {
        config->mean[i] = 127;
        config->std[i] = 64;
    }
}

static void *room_for(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (!p)
        abort();
    return p;
}

static void must(KerbStatus status, const KerbError *error)
{
    if (status == KERB_OK)
        return;
    fprintf(stderr, "ref: %s\n", error->message);
    abort();
}

static void table_fill(FramesTable *t, KerbPipeline *k, int f, int c, int d)
{
    KerbError error;
    KerbResult result;
    const KerbVideoFormat *format = &t->formats[f];
    const size_t pixels = (size_t)format->width_px * (size_t)format->height_px;
    t->pictures[f][c][d] = room_for(frames_bytes(format));
    if (d == 0) {
        t->contents[f][c] = room_for(frames_bytes(format));
        t->labels[f][c] = room_for(pixels);
        t->confidence[f][c] = room_for(pixels);
        fill(format, t->contents[f][c], (uint32_t)c);
    }
    const KerbJob job = { .frame = frames_frame(format, t->contents[f][c]), .picture = frames_frame(format, t->pictures[f][c][d]),
                          .labels = { t->labels[f][c], format->width_px }, .confidence = { t->confidence[f][c], format->width_px } };
    kerb_set_display(k, &t->displays[d]);
    must(kerb_submit(k, &job, &error), &error);
    must(kerb_collect(k, &result, -1, &error), &error);
    must(result.status, &error);
}

void frames_begin(FramesTable *t)
{
    static const KerbVideoFormat formats[FRAMES_FORMATS] = {
        { KERB_FORMAT_I420, 64, 48, KERB_MATRIX_BT601, KERB_RANGE_LIMITED, KERB_CHROMA_LEFT },
        { KERB_FORMAT_NV12, 50, 38, KERB_MATRIX_BT709, KERB_RANGE_FULL, KERB_CHROMA_CENTRE },
        { KERB_FORMAT_RGB, 33, 27, KERB_MATRIX_BT601, KERB_RANGE_FULL, KERB_CHROMA_LEFT },
    };
    KerbConfig config;
    KerbPipeline *k;
    KerbError error;
    snprintf(frames_folder, sizeof frames_folder, "/tmp/kerb-faults-XXXXXX");
    if (!mkdtemp(frames_folder) || chdir(frames_folder))
        abort();
    write_net("net.onnx");
    memset(t, 0, sizeof *t);
    memcpy(t->formats, formats, sizeof formats);
    frames_config(&config, "ref");
    must(kerb_open(&k, &config, &error), &error);
    kerb_get_display(k, &t->displays[0]);
    for (int d = 1; d < FRAMES_DISPLAYS; d++)
        t->displays[d] = t->displays[0];
    t->displays[1].visualize = KERB_VISUALIZE_MASK;
    t->displays[2].alpha = 0.25f;
    t->displays[2].enabled[1] = false;
    t->displays[2].rgb[2][0] ^= 0x80;
    t->displays[3].visualize = KERB_VISUALIZE_SIDE_BY_SIDE;
    for (int f = 0; f < FRAMES_FORMATS; f++) {
        must(kerb_set_format(k, &t->formats[f], &error), &error);
        for (int c = 0; c < FRAMES_CONTENTS; c++)
            for (int d = 0; d < FRAMES_DISPLAYS; d++)
                table_fill(t, k, f, c, d);
    }
    kerb_close(&k);
}

void frames_end(FramesTable *t)
{
    char command[128];
    for (int f = 0; f < FRAMES_FORMATS; f++)
        for (int c = 0; c < FRAMES_CONTENTS; c++) {
            free(t->contents[f][c]), free(t->labels[f][c]), free(t->confidence[f][c]);
            for (int d = 0; d < FRAMES_DISPLAYS; d++)
                free(t->pictures[f][c][d]);
        }
    snprintf(command, sizeof command, "rm -rf %s", frames_folder);
    if (chdir("/") || system(command))
        abort();
}

static int differing(const uint8_t *a, const uint8_t *b, size_t n, int tolerance)
{
    int differ = 0;
    for (size_t i = 0; a && i < n; i++)
        differ += abs(a[i] - b[i]) > tolerance;
    return differ;
}

bool frames_equal(const FramesTable *t, const FramesGot *g, char *why, size_t why_bytes)
{
    const KerbVideoFormat *format = &t->formats[g->format];
    const size_t pixels = (size_t)format->width_px * (size_t)format->height_px;
    /* Sums are added up in another order than in ref: a class may win by the last bit in one pixel, and takes its colours along. */
    const int labels = differing(g->labels, t->labels[g->format][g->content], pixels, 0);
    const int confidence = differing(g->confidence, t->confidence[g->format][g->content], pixels, 1);
    const int bytes = differing(g->picture, t->pictures[g->format][g->content][g->display], frames_bytes(format), 0);
    if (labels <= 1 && confidence == 0 && bytes <= 6 * labels)
        return true;
    snprintf(why, why_bytes, "format %d, content %d, display %d: %d labels, %d confidences, %d bytes of the picture differ from ref's", g->format, g->content,
             g->display, labels, confidence, bytes);
    return false;
}
