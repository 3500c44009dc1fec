/* SPDX-License-Identifier: MIT */
/* `kerb eval`: how good a model is on labelled frames, and how calm on a drive, measured on the way that frames take in use. This file: the command line and
 * the passes; eval.h names the other files. */
#include "eval.h"
#include "models.h"
#include "say.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

static gboolean kerb_eval_kind(KerbEvalWish *wish)
{
    for (int i = 0; kerb_dataset_names[i]; i++) {
        if (strcmp(wish->dataset, kerb_dataset_names[i])) continue;
        wish->kind = (KerbDatasetKind)i;
        return TRUE;
    }
    gchar *valid = g_strjoinv(", ", (gchar **)kerb_dataset_names);
    kerb_say("--dataset=%s is not known. Valid are: %s.", wish->dataset, valid);
    g_free(valid);
    return FALSE;
}

/* What needs a data set and what needs none. */
static gboolean kerb_eval_check(KerbEvalWish *wish)
{
    wish->labelled = wish->dataset != NULL;
    if (wish->labelled && !kerb_eval_kind(wish)) return FALSE;
    if (!wish->labelled && !wish->flicker) {
        kerb_say("kerb eval needs --dataset folder|camvid|cityscapes|kitti-road|test and its ROOT, or --flicker and a SOURCE without labels.");
        return FALSE;
    }
    const char *needs = wish->sheet ? "--sheet" : wish->save ? "--save" : wish->mask_age ? "--mask-age" : wish->map ? "--map" : NULL;
    if (!wish->labelled && needs) {
        kerb_say("%s needs labels: give --dataset as well.", needs);
        return FALSE;
    }
    if (wish->labelled && wish->kind == KERB_DATASET_TEST && !g_str_has_prefix(wish->root, "test:")) {
        kerb_say("--dataset test takes test: as its ROOT, with the drive's options: test:night?seed=3&size=1280x720. Not \"%s\".", wish->root);
        return FALSE;
    }
    if (wish->mask_age < 0 || wish->mask_age >= KERB_MAX_HISTORY_FRAMES) {
        kerb_say("--mask-age=%d is outside 0 to %d frames.", wish->mask_age, KERB_MAX_HISTORY_FRAMES - 1);
        return FALSE;
    }
    if (wish->interval < 1 || wish->interval > 1000) {
        kerb_say("--inference-interval=%d is outside 1 to 1000 frames.", wish->interval);
        return FALSE;
    }
    if (wish->frames < 0) {
        kerb_say("--frames=%" G_GINT64_FORMAT " is not a number of frames.", wish->frames);
        return FALSE;
    }
    if (wish->sheet && !g_str_has_suffix(wish->sheet, ".png") && !g_str_has_suffix(wish->sheet, ".html")) {
        kerb_say("--sheet=%s: a sheet is a .png or a .html file.", wish->sheet);
        return FALSE;
    }
    return TRUE;
}

/* Before the work, not after it. */
static int kerb_eval_outputs(const KerbEvalWish *wish)
{
    if (wish->save && g_mkdir_with_parents(wish->save, 0777)) {
        kerb_say("%s cannot be made: %s.", wish->save, g_strerror(errno));
        return KERB_EXIT_STORAGE;
    }
    gchar *folder = wish->sheet ? g_path_get_dirname(wish->sheet) : NULL;
    gboolean ok = !folder || !g_access(folder, W_OK);
    if (!ok) kerb_say("%s cannot be written: %s: %s.", wish->sheet, folder, g_strerror(errno));
    g_free(folder);
    return ok ? KERB_EXIT_OK : KERB_EXIT_STORAGE;
}

static int kerb_eval_finish(const KerbOptions *o, const KerbEvalWish *wish, const KerbEval *e, const KerbEval *baseline)
{
    json_t *report = kerb_eval_report(e, baseline);
    int exit_code = KERB_EXIT_OK;
    if (o->json) {
        json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        putchar('\n');
    } else {
        kerb_eval_print(report);
    }
    if (fflush(stdout)) exit_code = KERB_EXIT_STORAGE;
    if (wish->sheet && !kerb_eval_sheet(e, wish->sheet, report)) exit_code = KERB_EXIT_STORAGE;
    if (e->errored) kerb_warn("%" G_GUINT64_FORMAT " frames could not be processed and are not in the figures.", e->errored);
    json_decref(report);
    return exit_code;
}

static int kerb_eval_all(const KerbOptions *o, KerbEvalWish *wish)
{
    KerbDataset dataset = { 0 };
    KerbEval *passes = g_new0(KerbEval, 2); /* confusion, curves and the like are too much for the stack */
    int exit_code = kerb_eval_outputs(wish);
    if (!exit_code && !kerb_plugin_load()) exit_code = KERB_EXIT_INTERNAL;
    if (!exit_code && wish->labelled) exit_code = kerb_dataset_open(&dataset, wish->kind, wish->root, wish->split);
    for (int i = 0; !exit_code && i < (wish->baseline ? 2 : 1); i++) {
        kerb_eval_init(&passes[i], o, wish, wish->labelled ? &dataset : NULL, i == 1);
        exit_code = kerb_eval_pass(&passes[i]);
    }
    if (!exit_code) exit_code = kerb_eval_finish(o, wish, &passes[0], wish->baseline ? &passes[1] : NULL);
    kerb_eval_clear(&passes[0]);
    kerb_eval_clear(&passes[1]);
    kerb_dataset_clear(&dataset);
    g_free(passes);
    return exit_code;
}

static int kerb_eval_run(const KerbCommand *command, int argc, char **argv)
{
    KerbEvalWish wish = { .interval = 1 };
    const GOptionEntry own[] = {
        { "dataset", 'd', 0, G_OPTION_ARG_STRING, &wish.dataset, "folder, camvid, cityscapes, kitti-road or test", "NAME" },
        { "split", 0, 0, G_OPTION_ARG_STRING, &wish.split, "Which split of a data set that has several (default val)", "NAME" },
        { "map", 0, 0, G_OPTION_ARG_FILENAME, &wish.map, "Which class of the model is which of the data set (JSON)", "FILE" },
        { "frames", 0, 0, G_OPTION_ARG_INT64, &wish.frames, "The first N frames only (test: how many; default 250)", "N" },
        { "flicker", 0, 0, G_OPTION_ARG_NONE, &wish.flicker, "The frames are a drive: also measure how labels flicker", NULL },
        { "mask-age", 0, 0, G_OPTION_ARG_INT, &wish.mask_age, "A drive: also judge masks that are N frames old, as they are and carried along", "N" },
        { "inference-interval", 0, 0, G_OPTION_ARG_INT, &wish.interval, "Infer every Nth frame only; those between get the newest labels (see --carry)", "N" },
        { "baseline", 0, 0, G_OPTION_ARG_NONE, &wish.baseline, "Also judge every frame's own labels, without smoothing, and say what differs", NULL },
        { "sheet", 0, 0, G_OPTION_ARG_FILENAME, &wish.sheet, "Also the worst frames, with truth and errors", "FILE.html|png" },
        { "save", 0, 0, G_OPTION_ARG_FILENAME, &wish.save, "Also every prediction as a PNG of the data set's numbers", "FOLDER" },
        { 0 },
    };
    KerbOptions o;
    int exit_code;
    gboolean ok = kerb_options_parse(command, &o, KERB_OPTIONS_NETWORK | KERB_OPTIONS_LIVE | KERB_OPTIONS_SOURCE | KERB_OPTIONS_JSON | KERB_OPTIONS_QUIET, own, argc, argv,
                                     &exit_code);
    if (ok) {
        exit_code = KERB_EXIT_USAGE;
        wish.root = kerb_options_single(command, &o, "ROOT");
        if (!wish.split) wish.split = g_strdup("val");
        if (wish.root && kerb_eval_check(&wish)) exit_code = kerb_eval_all(&o, &wish);
    }
    kerb_options_clear(&o);
    gchar **strings[] = { &wish.dataset, &wish.split, &wish.map, &wish.sheet, &wish.save };
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++) g_free(*strings[i]);
    return exit_code;
}

const KerbCommand kerb_command_eval = {
    .name = "eval",
    .arguments = "--dataset NAME ROOT",
    .summary = "Measure a model on labelled frames, and how much its labels flicker",
    .description = "ROOT is the data set's folder (docs/kerb.md shows the layouts), test: for the synthetic drive, or with --flicker and no --dataset any SOURCE.\n\n"
                   "Examples:\n"
                   "  kerb eval --dataset camvid CamVid/val --sheet worst.html\n"
                   "  kerb eval --model net.onnx --dataset cityscapes --split val cityscapes --json\n"
                   "  kerb eval --model road.onnx --dataset kitti-road data_road\n"
                   "  kerb eval --model net.onnx --dataset folder --map map.json my-frames\n"
                   "  kerb eval --model models/drive-free.onnx --dataset test 'test:night?seed=9&size=640x360' --frames 100\n"
                   "  kerb eval --model net.onnx --flicker drive.mp4\n"
                   "  kerb eval --model net.onnx --dataset camvid --flicker --smoothing strong --baseline CamVid/val\n"
                   "  kerb eval --model net.onnx --dataset camvid --live-mode latest --carry --rate 15 --baseline CamVid/val\n"
                   "  kerb eval --model net.onnx --dataset camvid --mask-age 2 --json CamVid/val\n\n"
                   "Frames go through kerbseg in a pipeline; what its labels pad gives is compared with the labels, pixel by pixel.\n",
    .run = kerb_eval_run,
};
