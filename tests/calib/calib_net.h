/* SPDX-License-Identifier: MIT */
/* A small network with all that calibration has to look at, and frames for it. */
#ifndef KERB_TESTS_CALIB_NET_H
#define KERB_TESTS_CALIB_NET_H

#include "onnx_writer.h"

#include <stdlib.h>

#define NET_WIDTH 32
#define NET_HEIGHT 24
#define NET_CLASSES 4

static inline float net_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 16777216.0f * 2 - 1;
}

static inline void net_weights(OnnxWriter *w, const char *name, int rank, const int64_t dims[], float most, float shift, uint32_t *seed)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= dims[i];
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i] = shift + most * net_random(seed);
    onnx_constant(w, name, ONNX_F32, rank, dims, v);
    free(v);
}

/* image -> Conv, BatchNormalization, Relu = a -> Conv = y2, Add(y2, a), Relu = b -> MaxPool = c -> Conv = d, Concat(c, d) = e
 * -> ConvTranspose, Relu = f -> depthwise Conv = g -> Conv = scores. Channels: 3, 8, 8, 8, 8, 16, 6, 6, 4. */
static inline bool net_write(const char *path)
{
    uint32_t seed = 7;
    OnnxWriter w = { 0 };
    onnx_input(&w, "image", ONNX_F32, 4, (int64_t[]){ 1, 3, NET_HEIGHT, NET_WIDTH });
    net_weights(&w, "w1", 4, (int64_t[]){ 8, 3, 3, 3 }, 0.4f, 0, &seed);
    net_weights(&w, "bn_scale", 1, (int64_t[]){ 8 }, 0.5f, 1.2f, &seed);
    net_weights(&w, "bn_bias", 1, (int64_t[]){ 8 }, 0.3f, 0.1f, &seed);
    net_weights(&w, "bn_mean", 1, (int64_t[]){ 8 }, 0.2f, 0, &seed);
    net_weights(&w, "bn_var", 1, (int64_t[]){ 8 }, 0.4f, 0.6f, &seed);
    net_weights(&w, "w2", 4, (int64_t[]){ 8, 8, 3, 3 }, 0.15f, 0, &seed);
    net_weights(&w, "b2", 1, (int64_t[]){ 8 }, 0.2f, 0, &seed);
    net_weights(&w, "w3", 4, (int64_t[]){ 8, 8, 1, 1 }, 0.4f, 0, &seed);
    net_weights(&w, "w4", 4, (int64_t[]){ 16, 6, 2, 2 }, 0.3f, 0, &seed);
    net_weights(&w, "b4", 1, (int64_t[]){ 6 }, 0.2f, 0.1f, &seed);
    net_weights(&w, "w5", 4, (int64_t[]){ 6, 1, 3, 3 }, 0.5f, 0, &seed);
    net_weights(&w, "w6", 4, (int64_t[]){ NET_CLASSES, 6, 1, 1 }, 1.0f, 0, &seed);
    const int64_t ones[4] = { 1, 1, 1, 1 }, twos[2] = { 2, 2 };
    onnx_node(&w, "Conv", "conv1", "image w1", "raw1");
    onnx_ints(&w, "pads", 4, ones);
    onnx_node(&w, "BatchNormalization", "bn1", "raw1 bn_scale bn_bias bn_mean bn_var", "norm1");
    onnx_node(&w, "Relu", "relu1", "norm1", "a");
    onnx_node(&w, "Conv", "conv2", "a w2 b2", "y2");
    onnx_ints(&w, "pads", 4, ones);
    onnx_node(&w, "Add", "add", "y2 a", "sum");
    onnx_node(&w, "Relu", "relu2", "sum", "b");
    onnx_node(&w, "MaxPool", "pool", "b", "c");
    onnx_ints(&w, "kernel_shape", 2, twos);
    onnx_ints(&w, "strides", 2, twos);
    onnx_node(&w, "Conv", "conv3", "c w3", "d");
    onnx_node(&w, "Concat", "concat", "c d", "e");
    onnx_int(&w, "axis", 1);
    onnx_node(&w, "ConvTranspose", "up", "e w4 b4", "raw4");
    onnx_ints(&w, "strides", 2, twos);
    onnx_node(&w, "Relu", "relu4", "raw4", "f");
    onnx_node(&w, "Conv", "depthwise", "f w5", "g");
    onnx_int(&w, "group", 6);
    onnx_ints(&w, "pads", 4, ones);
    onnx_node(&w, "Conv", "head", "g w6", "scores");
    onnx_output(&w, "scores", ONNX_F32, 4, (int64_t[]){ 1, NET_CLASSES, NET_HEIGHT, NET_WIDTH });
    onnx_metadata(&w, "author", "somebody");
    return onnx_save(&w, 13, path);
}

/* Blobs of colour: RGB, NET_WIDTH x NET_HEIGHT. */
static inline void net_frame(uint8_t *rgb, int index)
{
    uint32_t seed = 1000u + (uint32_t)index * 77u;
    float centre[3][4];
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 4; k++) centre[c][k] = net_random(&seed);
    for (int y = 0; y < NET_HEIGHT; y++) {
        for (int x = 0; x < NET_WIDTH; x++) {
            for (int c = 0; c < 3; c++) {
                float dx = (float)x / NET_WIDTH - 0.5f - 0.5f * centre[c][0], dy = (float)y / NET_HEIGHT - 0.5f - 0.5f * centre[c][1];
                float v = 128 + 100 * centre[c][2] - (dx * dx + dy * dy) * 400 * centre[c][3] + 12 * net_random(&seed);
                rgb[(y * NET_WIDTH + x) * 3 + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        }
    }
}

#endif
