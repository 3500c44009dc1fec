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

#endif
