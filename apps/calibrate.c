/* SPDX-License-Identifier: MIT */
/* `kerb calibrate`: a float model and real frames -> the model in int8 (calib/calibrate.h). This file: the command line, the frames, and mIoU of both models where there
 * are labels. Frames are read as kerbseg would get them, colorimetry included. */
#include "calibrate.h"
#include "eval.h"
#include "fault.h"
#include "models.h"
#include "progress.h"
#include "say.h"
#include "source.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <video.h>

#define ENDLESS_S 60 /* of a source that does not end by itself */

typedef struct KerbCalibrateWish {
    gchar *frames, *output, *method, *report, *dataset, *labelled, *split;
    gdouble percentile, agreement, duration;
    gint most;
    gboolean no_bias_correction, signed_only, reduce_range, force, fresh;
} KerbCalibrateWish;

/* --------------------------------------------------------------------------------------------------------------- frames */

static KerbStatus kerb_calibrate_take(KerbCalibrator *c, GstSample *sample, KerbError *error)
{
    GstVideoInfo info;
    KerbVideoFormat format;
    GstVideoFrame mapped;
    gchar *why = NULL;
    KerbStatus status = KERB_ERROR_ARGUMENT;
    *error = (KerbError){ 0 };
    if (!kerb_video_from_caps(gst_sample_get_caps(sample), &info, &format, &why)) {
        g_strlcpy(error->message, why, sizeof error->message);
    } else if (!gst_video_frame_map(&mapped, &info, gst_sample_get_buffer(sample), GST_MAP_READ)) {
        g_strlcpy(error->message, "a frame cannot be read", sizeof error->message);
    } else {
        KerbFrame frame = { .pts_ns = KERB_TIME_NONE };
        kerb_video_planes(&mapped, &frame);
        status = kerb_calibrator_add(c, &format, &frame, error);
        gst_video_frame_unmap(&mapped);
    }
    g_free(why);
    return status;
}

/* An exit code. Some frames before an error are no success: which frames were there must not depend on luck. */
static int kerb_calibrate_pull(KerbCalibrator *c, KerbSource *source, GstElement *pipeline, GstElement *sink, gboolean quiet)
{
    KerbFault fault = { 0 };
    KerbProgress progress;
    GstSample *sample;
    int exit_code = KERB_EXIT_OK;
    guint64 n = 0;
    kerb_progress_init(&progress, quiet);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (!exit_code && (sample = kerb_fault_pull(&fault, source, pipeline, sink))) {
        KerbError error;
        gdouble done_s, total_s;
        KerbStatus status = kerb_calibrate_take(c, sample, &error);
        gst_sample_unref(sample);
        kerb_source_position(source, &done_s, &total_s);
        kerb_progress_update(&progress, ++n, done_s, total_s, "reading");
        if (status != KERB_OK) kerb_say("%s: %s", source->text, error.message);
        exit_code = kerb_exit_code(status);
    }
    if (fault.text) {
        kerb_say("%s", fault.text);
        exit_code = fault.exit_code;
    } else if (!n) {
        kerb_say("%s has no frame that can be decoded.", source->text);
        exit_code = KERB_EXIT_ASSET;
    }
    kerb_fault_clear(&fault);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    return exit_code;
}

static int kerb_calibrate_read(KerbCalibrator *c, const KerbOptions *o, const KerbCalibrateWish *wish)
{
    int exit_code = KERB_EXIT_INTERNAL;
    gdouble limit_s = wish->duration;
    KerbSource *source = kerb_source_new_live(wish->frames, o->rate, limit_s, &o->supervision, &exit_code);
    if (!source) return exit_code;
    if (!limit_s && (source->live || source->kind == KERB_SOURCE_TEST)) { /* known only now */
        kerb_source_free(&source);
        if (!(source = kerb_source_new_live(wish->frames, o->rate, limit_s = ENDLESS_S, &o->supervision, &exit_code))) return exit_code;
        if (!o->quiet) kerb_say("%s does not end by itself: %d s of it are taken (--duration says otherwise).", wish->frames, ENDLESS_S);
    }
    GstElement *pipeline = gst_pipeline_new("frames"), *sink = kerb_element("appsink");
    exit_code = KERB_EXIT_INTERNAL;
    if (sink) {
        g_object_set(sink, "sync", FALSE, "max-buffers", 2u, NULL);
        gst_bin_add_many(GST_BIN(pipeline), source->bin, sink, NULL);
        if (gst_element_link(source->bin, sink)) exit_code = kerb_calibrate_pull(c, source, pipeline, sink, o->quiet);
    }
    gst_object_unref(pipeline);
    kerb_source_free(&source);
    return exit_code;
}

/* --------------------------------------------------------------------------------------------------------------- labels */

/* One model on the labelled frames, by kerb eval's own way. */
static int kerb_calibrate_judge(const KerbOptions *o, const KerbCalibrateWish *wish, const gchar *model, gdouble *miou, guint64 *frames)
{
    KerbEvalWish judge = { .dataset = wish->dataset, .split = wish->split, .root = wish->labelled, .interval = 1, .labelled = TRUE };
    KerbOptions options = *o;
    options.precision = KERB_PRECISION_F32; /* what the file says, on every processor */
    KerbDataset dataset = { 0 };
    for (int i = 0; kerb_dataset_names[i]; i++)
        if (!strcmp(kerb_dataset_names[i], wish->dataset)) judge.kind = (KerbDatasetKind)i;
    int exit_code = kerb_dataset_open(&dataset, judge.kind, judge.root, judge.split);
    if (exit_code) return exit_code;
    KerbEval *e = g_new0(KerbEval, 1);
    options.model = (gchar *)model;
    if (model != o->model) options.card = NULL;
    kerb_eval_init(e, &options, &judge, &dataset, TRUE);
    exit_code = kerb_eval_pass(e);
    if (!exit_code) {
        KerbScores scores;
        kerb_scores_of(&e->total, &scores);
        *miou = scores.miou;
        *frames = e->frames;
    }
    kerb_eval_clear(e);
    kerb_dataset_clear(&dataset);
    g_free(e);
    return exit_code;
}

/* --------------------------------------------------------------------------------------------------------------- command */

static gboolean kerb_calibrate_known(const char *option, const gchar *word, const char *const *names, int *index)
{
    for (*index = 0; names[*index]; ++*index)
        if (!strcmp(names[*index], word)) return TRUE;
    gchar *valid = g_strjoinv(", ", (gchar **)names);
    kerb_say("%s=%s is not known. Valid are: %s.", option, word, valid);
    g_free(valid);
    return FALSE;
}

/* 0, or an exit code, having said why: before any work is done. */
static int kerb_calibrate_check(const KerbOptions *o, const KerbCalibrateWish *wish, KerbCalibrateOptions *options)
{
    int method = KERB_RANGE_MSE, kind;
    if (o->arguments[0]) return kerb_say("kerb calibrate takes no argument (\"%s\"): frames come from --frames SOURCE.", o->arguments[0]), KERB_EXIT_USAGE;
    if (!wish->frames || !wish->output)
        return kerb_say("kerb calibrate needs frames and a file to write: kerb calibrate --model NET.onnx --frames DRIVE.mp4 -o NET.int8.onnx."), KERB_EXIT_USAGE;
    if (wish->method && !kerb_calibrate_known("--method", wish->method, kerb_range_methods, &method)) return KERB_EXIT_USAGE;
    if (wish->dataset && !kerb_calibrate_known("--dataset", wish->dataset, kerb_dataset_names, &kind)) return KERB_EXIT_USAGE;
    if (!wish->dataset != !wish->labelled) return kerb_say("--dataset NAME and --labelled ROOT go together."), KERB_EXIT_USAGE;
    if (o->precision != KERB_PRECISION_AUTO && o->precision != KERB_PRECISION_F32) return kerb_say("calibration runs in f32: leave --precision out."), KERB_EXIT_USAGE;
    if (!(wish->duration >= 0 && isfinite(wish->duration))) return kerb_say("--duration=%g is not a number of seconds.", wish->duration), KERB_EXIT_USAGE;
    if (!g_str_has_suffix(wish->output, ".onnx")) return kerb_say("%s: the model that is written is called NAME.onnx.", wish->output), KERB_EXIT_USAGE;
    if (wish->report && !g_str_has_suffix(wish->report, ".json") && !g_str_has_suffix(wish->report, ".html") && !g_str_has_suffix(wish->report, ".png"))
        return kerb_say("--report=%s: a report is a .html, .png or .json file.", wish->report), KERB_EXIT_USAGE;
    GStatBuf in, out;
    gboolean there = !g_stat(wish->output, &out);
    if (there && !g_stat(o->model, &in) && in.st_ino == out.st_ino && in.st_dev == out.st_dev)
        return kerb_say("%s is the float model itself: write to another file.", wish->output), KERB_EXIT_USAGE;
    if (there && !wish->force) return kerb_say("%s is there already. --force replaces it.", wish->output), KERB_EXIT_USAGE;
    const gchar *files[] = { wish->output, wish->report };
    for (int i = 0; i < 2 && files[i]; i++) {
        gchar *folder = g_path_get_dirname(files[i]);
        int reason = g_access(folder, W_OK) ? errno : 0;
        if (reason) kerb_say("%s cannot be written: %s: %s.", files[i], folder, g_strerror(reason));
        g_free(folder);
        if (reason) return KERB_EXIT_STORAGE;
    }
    kerb_calibrate_options_init(options);
    options->method = (KerbRangeMethod)method;
    options->percentile = wish->percentile;
    options->agreement = wish->agreement;
    options->bias_correction = !wish->no_bias_correction;
    options->signed_only = wish->signed_only;
    options->reduce_range = wish->reduce_range;
    options->max_frames = wish->most;
    options->fresh = wish->fresh;
    return KERB_EXIT_OK;
}

static int kerb_calibrate_finish(const KerbOptions *o, const KerbCalibrateWish *wish, const KerbCalibration *result, const KerbCalibrateLabelled *labelled)
{
    json_t *report = kerb_calibrate_report(result, o->model, wish->output, labelled);
    int exit_code = KERB_EXIT_OK;
    if (o->json) {
        json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
    } else {
        kerb_calibrate_print(result, wish->output, labelled);
    }
    if (fflush(stdout)) exit_code = KERB_EXIT_STORAGE;
    if (wish->report) {
        gboolean written = g_str_has_suffix(wish->report, ".png") ? kerb_calibrate_chart(result, wish->output, labelled, wish->report)
                                                                  : kerb_calibrate_write_report(wish->report, report, result);
        if (!written) exit_code = KERB_EXIT_STORAGE;
    }
    json_decref(report);
    return exit_code;
}

static int kerb_calibrate_all(const KerbOptions *o, const KerbCalibrateWish *wish)
{
    KerbCalibrateOptions options;
    KerbCalibrateLabelled labelled = { -1, -1, 0 };
    KerbCalibrator *c = NULL;
    KerbConfig config;
    KerbError error = { 0 };
    int exit_code = kerb_calibrate_check(o, wish, &options);
    if (!exit_code && !kerb_plugin_load()) exit_code = KERB_EXIT_INTERNAL;
    if (exit_code) return exit_code;
    kerb_say_log(o->verbose);
    kerb_options_config(o, &config);
    KerbStatus status = kerb_calibrator_open(&c, &config, &options, &error);
    if (status == KERB_OK && !(exit_code = kerb_calibrate_read(c, o, wish))) status = kerb_calibrator_run(c, wish->output, &error);
    if (status != KERB_OK) {
        kerb_say("%s", error.message);
        exit_code = kerb_exit_code(status);
    }
    if (!exit_code && wish->dataset) exit_code = kerb_calibrate_judge(o, wish, o->model, &labelled.miou_float, &labelled.frames);
    if (!exit_code && wish->dataset) exit_code = kerb_calibrate_judge(o, wish, wish->output, &labelled.miou_int8, &labelled.frames);
    if (!exit_code) exit_code = kerb_calibrate_finish(o, wish, kerb_calibrator_result(c), &labelled);
    kerb_calibrator_close(&c);
    return exit_code;
}

static int kerb_calibrate_run(const KerbCommand *command, int argc, char **argv)
{
    KerbCalibrateOptions defaults;
    kerb_calibrate_options_init(&defaults);
    KerbCalibrateWish wish = { .percentile = defaults.percentile, .agreement = defaults.agreement, .most = defaults.max_frames };
    const GOptionEntry own[] = {
        { "frames", 0, 0, G_OPTION_ARG_FILENAME, &wish.frames, "Real frames, as the model will see them: a video, images, a camera", "SOURCE" },
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &wish.output, "The model to write; its card goes beside it", "NET.int8.onnx" },
        { "force", 'f', 0, G_OPTION_ARG_NONE, &wish.force, "Replace the output if it is there", NULL },
        { "method", 0, 0, G_OPTION_ARG_STRING, &wish.method, "How ranges are found: mse (default), percentile, kl, min-max", "NAME" },
        { "percentile", 0, 0, G_OPTION_ARG_DOUBLE, &wish.percentile, "Share of values inside the range, for --method percentile (default 99.99)", "P" },
        { "agreement", 0, 0, G_OPTION_ARG_DOUBLE, &wish.agreement, "Share of pixels that keep the float model's label, on frames that are held out (default 0.995)", "A" },
        { "no-bias-correction", 0, 0, G_OPTION_ARG_NONE, &wish.no_bias_correction, "Leave biases as they are", NULL },
        { "signed", 0, 0, G_OPTION_ARG_NONE, &wish.signed_only, "Activations int8 with zero point 0, as GPUs need it (default: uint8)", NULL },
        { "reduce-range", 0, 0, G_OPTION_ARG_NONE, &wish.reduce_range, "Weights of 7 bits, for x86 processors without VNNI", NULL },
        { "most", 0, 0, G_OPTION_ARG_INT, &wish.most, "Keep at most so many frames, evenly spread; a quarter is held out (default 96)", "N" },
        { "duration", 0, 0, G_OPTION_ARG_DOUBLE, &wish.duration, "Take so much of the source (default: all; 60 where it has no end)", "SECONDS" },
        { "report", 0, 0, G_OPTION_ARG_FILENAME, &wish.report, "Write what was found, layer by layer", "FILE.html|.png|.json" },
        { "dataset", 0, 0, G_OPTION_ARG_STRING, &wish.dataset, "Also measure mIoU of both models, as kerb eval does, on this kind of data set", "NAME" },
        { "labelled", 0, 0, G_OPTION_ARG_FILENAME, &wish.labelled, "And this is where it lies", "ROOT" },
        { "split", 0, 0, G_OPTION_ARG_STRING, &wish.split, "Which split of it (default val)", "NAME" },
        { "fresh", 0, 0, G_OPTION_ARG_NONE, &wish.fresh, "Begin anew, even where a killed run left something", NULL },
        { 0 },
    };
    KerbOptions o;
    int exit_code;
    if (kerb_options_parse(command, &o, KERB_OPTIONS_NETWORK | KERB_OPTIONS_SOURCE | KERB_OPTIONS_JSON | KERB_OPTIONS_QUIET, own, argc, argv, &exit_code))
        exit_code = kerb_calibrate_all(&o, &wish);
    kerb_options_clear(&o);
    gchar *strings[] = { wish.frames, wish.output, wish.method, wish.report, wish.dataset, wish.labelled, wish.split };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_free(strings[i]);
    return exit_code;
}

const KerbCommand kerb_command_calibrate = {
    .name = "calibrate",
    .arguments = "--frames SOURCE -o NET.int8.onnx",
    .summary = "Turn a float model into an int8 one, with real frames",
    .description = "Examples:\n"
                   "  kerb calibrate --model net.onnx --frames drive.mp4 -o net.int8.onnx\n"
                   "  kerb calibrate --model net.onnx --frames 'frames/*.png' -o net.int8.onnx --agreement 0.995 --report net.html\n"
                   "  kerb calibrate --model net.onnx --frames drive.mp4 -o net.int8.onnx --dataset camvid --labelled CamVid\n"
                   "  kerb calibrate --model net.onnx --frames drive.mp4 -o net.gpu.onnx --signed      for precision=int8 on a GPU\n\n"
                   "The file is standard ONNX (QuantizeLinear, DequantizeLinear). Layers that would cost too many labels stay in float. A run that was killed goes on\n"
                   "where it was when it is started again. docs/int8.md says more.\n",
    .run = kerb_calibrate_run,
};
