/* SPDX-License-Identifier: MIT */
/* A model understood: the file, its card and the configuration, made to agree. Enters: paths and KerbConfig. Leaves: an imported graph with
 * one float picture input, what that picture must look like, which outputs are used, what their labels mean, and graphs of chosen sizes. It
 * knows no backend and runs nothing. */
#ifndef KERB_RUN_MODEL_H
#define KERB_RUN_MODEL_H

#include "net/onnx/onnx.h"
#include "net/passes.h"
#include "run/card.h"

/* The network's picture input. */
typedef struct KerbModelInput {
    const char *name;
    bool nhwc;       /* dims are (1, H, W, C), else (1, C, H, W) */
    KerbDtype dtype; /* what the model said; the graph's input is float since */
    int channels;    /* 1 or 3 */
    int width_px, height_px;             /* the model's own, 0: free */
    int wanted_width_px, wanted_height_px; /* configuration or card, 0: not said; never against a fixed one */
    int longer_side_px; /* free sides that are chosen by the frame: the longer one is at most this, before rounding */
    int multiple;    /* free sides that are chosen by the frame are multiples of this */
    KerbColor color; /* never AUTO */
    KerbFit fit;     /* never AUTO */
    float mean[3], std[3];
} KerbModelInput;

/* One head in use. */
typedef struct KerbModelOutput {
    int graph_output; /* index into the imported graph's outputs */
    const KerbCardOutput *card; /* NULL: the card does not speak of it */
    KerbHeadKind kind;
    int n_labels;     /* classes that this head tells apart; 0: any (LABELS) */
    uint8_t index[KERB_MAX_CLASSES]; /* class of the head -> label index */
} KerbModelOutput;

typedef struct KerbModel {
    char *path;
    KerbOnnx *onnx;
    KerbGraph *graph; /* as imported, but for the input's type */
    KerbCard *card;   /* never NULL; root NULL: nothing known */
    KerbModelInput input;
    int n_outputs;
    KerbModelOutput outputs[KERB_MAX_HEADS]; /* later ones lie over earlier ones */
    KerbClassTable classes; /* by label index */
    KerbText assumed; /* "RGB; values / 255; ...": what nobody said; text NULL: nothing */
    KerbGraph *built; /* made while opening, at built_width x built_height; given away by kerb_model_build() */
    int built_width_px, built_height_px;
} KerbModel;

/* Everything but the backend. Says once (info) what was assumed. `config` has been checked. */
KerbStatus kerb_model_open(KerbModel **out, const KerbConfig *config, KerbError *error);
void kerb_model_free(KerbModel **model);

/* The network size for frames of `format` (NULL: not known yet). false: it depends on the frames.
 * Rule: the model's own size; else the configuration's; else the card's; else the frame's own aspect: of one side where the other is known,
 * otherwise the frame's size shrunk so that the longer side is at most the card's longer_side (KERB_FREE_SIDE_PX); rounded to the input's
 * multiple. */
#define KERB_FREE_SIDE_PX 1024
#define KERB_FREE_MULTIPLE 32
bool kerb_model_size(const KerbModel *model, const KerbVideoFormat *format, int *width_px, int *height_px);

/* The graph at one size: bound, inferred, optimised, its heads found and in the order of model->outputs, ready to compile. `options` may be
 * NULL. The caller frees the graph; the model outlives it. */
KerbStatus kerb_model_build(KerbModel *model, int width_px, int height_px, const KerbOptimizeOptions *options, KerbGraph **out,
                            KerbError *error);

/* Puts "net.onnx: " before a message that does not name the file yet. */
void kerb_model_blame(const char *path, KerbError *error);

/* ---- parts, each in a file of its own */

/* input.c: finds and checks the picture input, rewrites integer and half inputs to float; fills model->input. */
KerbStatus kerb_model_find_input(KerbModel *model, const KerbConfig *config, KerbError *error);
/* labels.c: outputs' heads -> which are used, label indices, classes. `built` has all candidate outputs' heads, in the order of
 * model->outputs. */
KerbStatus kerb_model_find_labels(KerbModel *model, const KerbGraph *built, const KerbConfig *config, KerbError *error);
/* A line of model->assumed. */
void kerb_model_assume(KerbModel *model, const char *format, ...) KERB_PRINTF(2, 3);

#endif
