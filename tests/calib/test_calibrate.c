/* SPDX-License-Identifier: MIT */
/* From a float model and frames to a file: what is in it, that it says what calibration claims, that the same input gives the same bytes, also after a kill, and what is
 * refused. The networks run on ref. */
#include "calib_net.h"

#include "calib/calibrate.h"
#include "net/onnx/onnx.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAMES 12

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[64][256];
    static int next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static KerbConfig config_for(const char *model)
{
    KerbConfig config;
    kerb_config_init(&config);
    config.model_file = model;
    config.backend = "ref";
    config.threads = 2;
    return config;
}

static const KerbVideoFormat format = { .pixel_format = KERB_FORMAT_RGB, .width_px = NET_WIDTH, .height_px = NET_HEIGHT, .range = KERB_RANGE_FULL };
static uint8_t pixels[NET_HEIGHT * NET_WIDTH * 3];

static KerbFrame frame_of(int index)
{
    net_frame(pixels, index);
    return (KerbFrame){ .planes = { pixels }, .strides = { NET_WIDTH * 3 }, .pts_ns = KERB_TIME_NONE };
}

static KerbCalibrator *open_with_frames(const char *model, const KerbCalibrateOptions *options, const KerbProgressFn progress, int frames)
{
    KerbCalibrator *c;
    KerbError error;
    KerbConfig config = config_for(model);
    config.progress = progress;
    if (kerb_calibrator_open(&c, &config, options, &error)) fail_msg("%s", error.message);
    for (int i = 0; i < frames; i++) {
        KerbFrame frame = frame_of(i);
        if (kerb_calibrator_add(c, &format, &frame, &error)) fail_msg("%s", error.message);
    }
    return c;
}

static KerbCalibrator *calibrate(const char *model, const char *out, const KerbCalibrateOptions *options)
{
    KerbError error;
    KerbCalibrator *c = open_with_frames(model, options, NULL, FRAMES);
    if (kerb_calibrator_run(c, out, &error)) fail_msg("%s", error.message);
    return c;
}

static KerbCalibrateOptions plain_options(void)
{
    KerbCalibrateOptions o;
    kerb_calibrate_options_init(&o);
    o.agreement = 0;
    return o;
}

static uint8_t *read_all(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is not there", path);
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*bytes + 1);
    assert_int_equal(fread(data, 1, *bytes, f), *bytes);
    data[*bytes] = 0;
    fclose(f);
    return data;
}

/* ---- an independent look at both models: by the public pipeline */

static void labels_of(const char *model, int index, uint8_t out[NET_HEIGHT * NET_WIDTH])
{
    KerbConfig config = config_for(model);
    KerbPipeline *p;
    KerbError error;
    KerbResult result;
    if (kerb_open(&p, &config, &error) || kerb_set_format(p, &format, &error)) fail_msg("%s", error.message);
    KerbJob job = { .frame = frame_of(index), .labels = { out, NET_WIDTH } };
    assert_int_equal(kerb_submit(p, &job, &error), KERB_OK);
    assert_int_equal(kerb_collect(p, &result, -1, &error), KERB_OK);
    assert_int_equal(result.status, KERB_OK);
    kerb_close(&p);
}

static double agreement_of(const char *a, const char *b)
{
    uint8_t x[NET_HEIGHT * NET_WIDTH], y[NET_HEIGHT * NET_WIDTH];
    int same = 0, all = 0;
    for (int i = 3; i < FRAMES; i += 4) { /* those that are held out */
        labels_of(a, i, x);
        labels_of(b, i, y);
        for (int k = 0; k < NET_HEIGHT * NET_WIDTH; k++, all++) same += x[k] == y[k];
    }
    return (double)same / all;
}

/* ---- tests */

static void file_has_what_it_should(void **state)
{
    const char *model = in_folder("net.onnx"), *out = in_folder("a.onnx");
    KerbCalibrateOptions options = plain_options();
    KerbCalibrator *c = calibrate(model, out, &options);
    const KerbCalibration *r = kerb_calibrator_result(c);
    assert_int_equal(r->n_layers, 6);
    assert_int_equal(r->n_float, 0);
    assert_int_equal(r->n_tensors, 9); /* image a y2 b c d e f g */
    assert_int_equal(r->frames, 9);
    assert_int_equal(r->held_out, 3);
    float shared = 0;
    for (int t = 0; t < r->n_tensors; t++) {
        const KerbCalibratedTensor *x = &r->tensors[t];
        bool moved = strchr("bcde", x->name[0]) && !x->name[1]; /* MaxPool and Concat keep the scale */
        if (moved && !shared) shared = x->scale;
        if (moved) assert_true(x->scale == shared && x->zero_point > 0); /* d has negative values */
        if (!strcmp(x->name, "a") || !strcmp(x->name, "f") || !strcmp(x->name, "image")) assert_int_equal(x->zero_point, 0);
        if (!strcmp(x->name, "y2") || !strcmp(x->name, "g")) assert_true(x->zero_point > 0 && x->zero_point < 255);
        assert_false(x->is_signed);
    }
    assert_true(r->agreement > 0.9 && r->output_db > 15);
    for (int l = 0; l < r->n_layers; l++) assert_true(r->layers[l].sqnr_db > 15);
    double seen = agreement_of(model, out);
    if (fabs(seen - r->agreement) > 0.002) fail_msg("%.5f of labels agree, calibration says %.5f", seen, r->agreement);

    KerbOnnx *onnx;
    KerbGraph *g;
    KerbError error;
    if (kerb_onnx_open(&onnx, out, &error) || kerb_onnx_import(onnx, &g, &error)) fail_msg("%s", error.message);
    int counts[KERB_OP_COUNT] = { 0 };
    for (int i = 0; i < g->n_nodes; i++) counts[g->nodes[i].op]++;
    assert_int_equal(counts[KERB_OP_BATCH_NORM], 0);
    assert_int_equal(counts[KERB_OP_CONV], 5);
    assert_int_equal(counts[KERB_OP_QUANTIZE], 9);
    assert_int_equal(counts[KERB_OP_DEQUANTIZE], 9 + 6 + 6); /* tensors; weights; biases: correction gives each layer one */
    assert_int_equal(g->n_metadata, 1);
    assert_string_equal(g->metadata_values[0], "somebody");
    for (int i = 0; i < g->n_values; i++)
        if (kerb_value_is_constant(&g->values[i]) && g->values[i].dtype == KERB_F32) assert_true(g->values[i].rank <= 1); /* no float weights are left */
    kerb_graph_free(&g);
    kerb_onnx_close(&onnx);

    size_t bytes;
    char *card = (char *)read_all(in_folder("a.json"), &bytes);
    assert_non_null(strstr(card, "\"calibration\""));
    assert_non_null(strstr(card, "\"of\": \"net.onnx\""));
    free(card);
    assert_int_not_equal(access(in_folder("a.onnx.calibration"), F_OK), 0);
    assert_int_not_equal(access(in_folder("a.onnx.trying"), F_OK), 0);
    kerb_calibrator_close(&c);
}

static void every_method_works(void **state)
{
    const char *model = in_folder("net.onnx"), *out = in_folder("m.onnx");
    for (int method = 0; method < KERB_RANGE_METHODS; method++) {
        KerbCalibrateOptions options = plain_options();
        options.method = (KerbRangeMethod)method;
        options.signed_only = method == KERB_RANGE_KL;
        options.reduce_range = method == KERB_RANGE_MIN_MAX;
        options.bias_correction = method != KERB_RANGE_PERCENTILE;
        KerbCalibrator *c = calibrate(model, out, &options);
        const KerbCalibration *r = kerb_calibrator_result(c);
        if (r->agreement < 0.85) fail_msg("%s: %.4f", kerb_range_methods[method], r->agreement);
        for (int t = 0; t < r->n_tensors && options.signed_only; t++) assert_true(r->tensors[t].is_signed && r->tensors[t].zero_point == 0);
        kerb_calibrator_close(&c);
    }
}

#define KILLED_AT 9 /* after the last frame: the state was written behind it */

static void stop(void *user, const char *what, int done, int total)
{
    if (!strcmp(what, "ranges") && done == KILLED_AT) raise(SIGKILL);
}

/* In a process of its own, which ends in the middle. */
static void run_and_be_killed(const char *model, const char *out, const KerbCalibrateOptions *options)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        KerbCalibrator *c = open_with_frames(model, options, stop, FRAMES);
        kerb_calibrator_run(c, out, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void same_input_same_bytes_also_after_a_kill(void **state)
{
    const char *model = in_folder("net.onnx");
    KerbCalibrateOptions options = plain_options();
    size_t n[3];
    uint8_t *bytes[3];
    for (int i = 0; i < 2; i++) {
        const char *out = in_folder(i ? "d1.onnx" : "d0.onnx");
        KerbCalibrator *c = calibrate(model, out, &options);
        bytes[i] = read_all(out, &n[i]);
        kerb_calibrator_close(&c);
    }
    const char *out = in_folder("d2.onnx");
    run_and_be_killed(model, out, &options);
    assert_int_equal(access(in_folder("d2.onnx.calibration"), F_OK), 0);
    assert_int_not_equal(access(out, F_OK), 0);
    KerbCalibrator *c = calibrate(model, out, &options);
    assert_int_equal(kerb_calibrator_result(c)->frames_resumed, KILLED_AT);
    bytes[2] = read_all(out, &n[2]);
    kerb_calibrator_close(&c);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(n[i], n[0]);
        assert_memory_equal(bytes[i], bytes[0], n[0]);
    }
    for (int i = 0; i < 3; i++) free(bytes[i]);
}

static void costly_layers_stay_in_float(void **state)
{
    const char *model = in_folder("net.onnx"), *out = in_folder("f.onnx");
    KerbCalibrateOptions options = plain_options();
    KerbCalibrator *c = calibrate(model, out, &options);
    double all = kerb_calibrator_result(c)->agreement;
    kerb_calibrator_close(&c);
    options.agreement = all + (1 - all) * 0.3;
    c = calibrate(model, out, &options);
    const KerbCalibration *r = kerb_calibrator_result(c);
    assert_true(r->n_float >= 1 && r->n_float < r->n_layers);
    assert_true(r->agreement >= options.agreement && r->agreement_all == all);
    double least_kept = INFINITY, most_int8 = -INFINITY; /* dB alone */
    for (int l = 0; l < r->n_layers; l++) {
        const KerbCalibratedLayer *x = &r->layers[l];
        assert_true(isfinite(x->alone_db) && isfinite(x->alone_agreement));
        if (x->in_float && x->alone_db > most_int8) most_int8 = x->alone_db;
        if (!x->in_float && x->alone_db < least_kept) least_kept = x->alone_db;
    }
    assert_true(most_int8 <= least_kept); /* those in float are those that disturb most */
    double seen = agreement_of(model, out);
    if (fabs(seen - r->agreement) > 0.002) fail_msg("%.5f of labels agree, calibration says %.5f", seen, r->agreement);
    kerb_calibrator_close(&c);
}

static void refusals(void **state)
{
    KerbError error;
    KerbCalibrator *c;
    KerbCalibrateOptions options = plain_options();
    const char *model = in_folder("net.onnx"), *out = in_folder("r.onnx");
    c = calibrate(model, out, &options);
    kerb_calibrator_close(&c);
    KerbConfig config = config_for(out);
    assert_int_equal(kerb_calibrator_open(&c, &config, &options, &error), KERB_ERROR_ASSET); /* quantised already */
    assert_non_null(strstr(error.message, "already"));
    assert_null(c);

    c = open_with_frames(model, &options, NULL, 1);
    assert_int_equal(kerb_calibrator_run(c, in_folder("none.onnx"), &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "2 frames"));
    kerb_calibrator_close(&c);

    c = open_with_frames(model, &options, NULL, 4);
    assert_int_equal(kerb_calibrator_run(c, in_folder("no/such/folder.onnx"), &error), KERB_ERROR_STORAGE);
    kerb_calibrator_close(&c);

    OnnxWriter w = { 0 }; /* one layer, many classes that are nearly alike */
    uint32_t seed = 11;
    onnx_input(&w, "x", ONNX_F32, 4, (int64_t[]){ 1, 3, NET_HEIGHT, NET_WIDTH });
    net_weights(&w, "w", 4, (int64_t[]){ 64, 3, 1, 1 }, 0.01f, 1, &seed);
    onnx_node(&w, "Conv", "only", "x w", "y");
    onnx_output(&w, "y", ONNX_F32, 4, (int64_t[]){ 1, 64, NET_HEIGHT, NET_WIDTH });
    onnx_save(&w, 13, in_folder("alike.onnx"));
    options.agreement = 1;
    c = open_with_frames(in_folder("alike.onnx"), &options, NULL, FRAMES);
    assert_int_equal(kerb_calibrator_run(c, in_folder("none.onnx"), &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "cannot be reached"));
    assert_int_not_equal(access(in_folder("none.onnx"), F_OK), 0);
    assert_int_not_equal(access(in_folder("none.json"), F_OK), 0);
    kerb_calibrator_close(&c);

    KerbVideoFormat other = format;
    other.width_px /= 2;
    c = open_with_frames(model, &options, NULL, 2);
    KerbFrame frame = frame_of(0);
    assert_int_equal(kerb_calibrator_add(c, &other, &frame, &error), KERB_ERROR_ARGUMENT);
    kerb_calibrator_close(&c);

    onnx_input(&w, "x", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    onnx_node(&w, "Relu", "relu", "x", "y");
    onnx_output(&w, "y", ONNX_F32, 4, (int64_t[]){ 1, 3, 8, 8 });
    onnx_save(&w, 13, in_folder("relu.onnx"));
    config = config_for(in_folder("relu.onnx"));
    assert_int_equal(kerb_calibrator_open(&c, &config, &options, &error), KERB_ERROR_ASSET);
    assert_non_null(strstr(error.message, "nothing to quantise"));

    config = config_for(model);
    config.precision = KERB_PRECISION_INT8;
    KerbPipeline *p;
    assert_int_equal(kerb_open(&p, &config, &error), KERB_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "kerb calibrate --model"));
}

static int make_folder(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/kerb-calib-XXXXXX");
    return !mkdtemp(folder) || !net_write(in_folder("net.onnx"));
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_has_what_it_should),        cmocka_unit_test(every_method_works), cmocka_unit_test(same_input_same_bytes_also_after_a_kill),
        cmocka_unit_test(costly_layers_stay_in_float), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
