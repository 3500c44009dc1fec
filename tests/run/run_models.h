/* SPDX-License-Identifier: MIT */
/* Small models and files for the tests of this room, in a folder of their own that is removed at the end. */
#ifndef KERB_TESTS_RUN_MODELS_H
#define KERB_TESTS_RUN_MODELS_H

#include "onnx_writer.h"

#include <stdarg.h>
#include <unistd.h>

static char run_folder[64];

static inline int run_setup(void **state)
{
    snprintf(run_folder, sizeof run_folder, "/tmp/kerb-run-XXXXXX");
    return mkdtemp(run_folder) && chdir(run_folder) == 0 ? 0 : -1;
}

static inline int run_teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", run_folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static inline void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) abort();
}

/* What a model of write_model() is like; zero: f32 NCHW of 3 channels, free size, one output "scores" of 2 classes. */
typedef struct TestModel {
    int type;         /* of the input; 0: ONNX_F32 */
    int channels;     /* 0: 3 */
    int width, height;/* 0: free */
    bool nhwc;
    int outputs;      /* 0: 1; more are called scores1, scores2... */
    int classes;      /* of each output; 0: 2 */
    bool softmax;     /* at the end of each output */
    int opset;
    const char *metadata[8]; /* key, value, ... */
} TestModel;

/* Score of class c = (c is odd ? 1 : -1) * (sum of the channels - channels / 2) * (c + 1): for inputs of 0..1 bright pixels get the
 * greatest odd class, dark ones the greatest even class. Output i > 0 negates: dark pixels there get the odd class. */
static inline void write_model(const char *path, const TestModel *m)
{
    int c = m->channels ? m->channels : 3, classes = m->classes ? m->classes : 2, outputs = m->outputs ? m->outputs : 1;
    int64_t h = m->height ? m->height : -1, w = m->width ? m->width : -1;
    OnnxWriter o = { 0 };
    int type = m->type ? m->type : ONNX_F32;
    onnx_input(&o, "picture", type, 4, m->nhwc ? (int64_t[]){ 1, h, w, c } : (int64_t[]){ 1, c, h, w });
    const char *x = "picture";
    if (m->nhwc) {
        onnx_node(&o, "Transpose", "to_nchw", x, "nchw");
        onnx_ints(&o, "perm", 4, (int64_t[]){ 0, 3, 1, 2 });
        x = "nchw";
    }
    if (type != ONNX_F32) {
        onnx_node(&o, "Cast", "to_float", x, "float");
        onnx_int(&o, "to", ONNX_F32);
        x = "float";
    }
    for (int i = 0; i < outputs; i++) {
        float weights[64 * 4], bias[64];
        float scale = type == ONNX_U8 ? 1.0f / 255 : 1;
        for (int k = 0; k < classes; k++) {
            float sign = ((k & 1) != 0) == (i == 0) ? 1 : -1;
            for (int j = 0; j < c; j++) weights[k * c + j] = sign * (float)(k + 1) * scale;
            bias[k] = -sign * (float)(k + 1) * (float)c / 2;
        }
        char names[6][32];
        snprintf(names[0], 32, i ? "scores%d" : "scores", i);
        snprintf(names[1], 32, "w%d", i);
        snprintf(names[2], 32, "b%d", i);
        snprintf(names[3], 32, "head%d", i);
        snprintf(names[4], 32, "logits%d", i);
        snprintf(names[5], 32, "softmax%d", i);
        char inputs[128];
        snprintf(inputs, sizeof inputs, "%s %s %s", x, names[1], names[2]);
        onnx_constant(&o, names[1], ONNX_F32, 4, (int64_t[]){ classes, c, 1, 1 }, weights);
        onnx_constant(&o, names[2], ONNX_F32, 1, (int64_t[]){ classes }, bias);
        onnx_node(&o, "Conv", names[3], inputs, m->softmax ? names[4] : names[0]);
        onnx_ints(&o, "kernel_shape", 2, (int64_t[]){ 1, 1 });
        if (m->softmax) {
            onnx_node(&o, "Softmax", names[5], names[4], names[0]);
            onnx_int(&o, "axis", 1);
        }
        onnx_output(&o, names[0], ONNX_F32, 4, (int64_t[]){ 1, classes, h, w });
    }
    for (int i = 0; i + 1 < 8 && m->metadata[i]; i += 2) onnx_metadata(&o, m->metadata[i], m->metadata[i + 1]);
    if (!onnx_save(&o, m->opset ? m->opset : 13, path)) abort();
}

/* A quantised one (QDQ): two 3x3 convolutions of 8 channels with a pool between, in u8 and weights of i8; then the scores of 2 classes, in floats. Bright
 * pixels of 0..1 have the greater score of class 1. */
static inline void write_quantised_model(const char *path, int width, int height)
{
    OnnxWriter o = { 0 };
    const int64_t h = height, w = width;
    const float scale = 1.0f / 255, weight_scale = 1.0f / 128;
    const uint8_t zero = 0;
    const int8_t no_zero = 0;
    int8_t first[8 * 3 * 9], second[8 * 8 * 9];
    float scores[2 * 8];
    for (int i = 0; i < 8 * 3 * 9; i++) first[i] = i % 9 == 4 ? 42 : 0;        /* the mean of the channels */
    for (int i = 0; i < 8 * 8 * 9; i++) second[i] = i % 9 == 4 ? 16 : 0;
    for (int i = 0; i < 16; i++) scores[i] = i < 8 ? 0 : 1;
    const float bias[2] = { 4, 0 };
    onnx_input(&o, "picture", ONNX_F32, 4, (int64_t[]){ 1, 3, h, w });
    onnx_constant(&o, "s", ONNX_F32, 0, NULL, &scale);
    onnx_constant(&o, "z", ONNX_U8, 0, NULL, &zero);
    onnx_constant(&o, "ws", ONNX_F32, 0, NULL, &weight_scale);
    onnx_constant(&o, "wz", ONNX_I8, 0, NULL, &no_zero);
    onnx_constant(&o, "w1", ONNX_I8, 4, (int64_t[]){ 8, 3, 3, 3 }, first);
    onnx_constant(&o, "w2", ONNX_I8, 4, (int64_t[]){ 8, 8, 3, 3 }, second);
    onnx_constant(&o, "w3", ONNX_F32, 4, (int64_t[]){ 2, 8, 1, 1 }, scores);
    onnx_constant(&o, "b3", ONNX_F32, 1, (int64_t[]){ 2 }, bias);
    onnx_node(&o, "DequantizeLinear", "dw1", "w1 ws wz", "f1");
    onnx_node(&o, "DequantizeLinear", "dw2", "w2 ws wz", "f2");
    onnx_node(&o, "QuantizeLinear", "q0", "picture s z", "x0");
    onnx_node(&o, "DequantizeLinear", "d0", "x0 s z", "y0");
    onnx_node(&o, "Conv", "conv1", "y0 f1", "c1");
    onnx_ints(&o, "pads", 4, (int64_t[]){ 1, 1, 1, 1 });
    onnx_node(&o, "QuantizeLinear", "q1", "c1 s z", "x1");
    onnx_node(&o, "DequantizeLinear", "d1", "x1 s z", "y1");
    onnx_node(&o, "MaxPool", "pool", "y1", "p1");
    onnx_ints(&o, "kernel_shape", 2, (int64_t[]){ 2, 2 });
    onnx_ints(&o, "strides", 2, (int64_t[]){ 2, 2 });
    onnx_node(&o, "QuantizeLinear", "q2", "p1 s z", "x2");
    onnx_node(&o, "DequantizeLinear", "d2", "x2 s z", "y2");
    onnx_node(&o, "Conv", "conv2", "y2 f2", "c2");
    onnx_ints(&o, "pads", 4, (int64_t[]){ 1, 1, 1, 1 });
    onnx_node(&o, "QuantizeLinear", "q3", "c2 s z", "x3");
    onnx_node(&o, "DequantizeLinear", "d3", "x3 s z", "y3");
    onnx_node(&o, "Conv", "head", "y3 w3 b3", "scores");
    onnx_output(&o, "scores", ONNX_F32, 4, (int64_t[]){ 1, 2, h / 2, w / 2 });
    if (!onnx_save(&o, 13, path)) abort();
}

#endif
