/* SPDX-License-Identifier: MIT */
/* Model cards: what a model file cannot say of itself. Enters: `net.json` beside `net.onnx`, and the model's own metadata (`kerb.*`, the
 * same keys). Leaves: plain values. Whether they fit the model is model.c's question. The format: docs/models.md. */
#ifndef KERB_RUN_CARD_H
#define KERB_RUN_CARD_H

#include "base/memory.h"
#include "net/graph.h"
#include "out/classes.h"
#include "out/out.h"

#include <jansson.h>

typedef enum KerbLayout { KERB_LAYOUT_AUTO, KERB_LAYOUT_NCHW, KERB_LAYOUT_NHWC } KerbLayout;

/* One output of the model that is to be used. */
typedef struct KerbCardOutput {
    const char *name;      /* the model's output; NULL: by position */
    bool has_threshold;
    float threshold;       /* for outputs of one channel: the probability from which it is the class; in (0, 1) */
    int probabilities;     /* 1: the values are probabilities, 0: they are not, -1: not said */
    const json_t *classes; /* channel -> label: names or indices; NULL: not said */
} KerbCardOutput;

typedef struct KerbCard {
    json_t *root;          /* card over metadata; NULL: neither is there. Owns every string below */
    char where[512];       /* for messages: the card's path, or "MODEL's metadata" */
    bool from_file;
    const char *name, *description, *data, *recipe, *source, *licence; /* NULL: not said */
    const json_t *accuracy, *speed;
    int width_px, height_px; /* 0: not said */
    int longer_side_px;      /* where the size follows the frame: at most this; 0: not said */
    int multiple;            /* sides of a free input are multiples of this; 0: not said */
    KerbLayout layout;
    KerbColor color;
    KerbFit fit;
    int n_norm;              /* values that mean or std has: 0 (neither is said), 1 or 3 */
    bool has_norm;           /* scale, mean or std is said */
    float mean[3], std[3];   /* as KerbConfig's: (value - mean) / std, value 0..255 */
    int n_outputs;           /* 0: not said */
    KerbCardOutput outputs[KERB_MAX_HEADS];
    bool has_classes;
    KerbClassTable classes;
    const char *palette;
} KerbCard;

/* Reads the card (`card_file`, or the .json beside the model where it is there) and the graph's metadata. A model without either gives a
 * card with root NULL. Unknown keys are warned about; what has the wrong type or an impossible value is ASSET with key and value. */
KerbStatus kerb_card_open(KerbCard **out, const char *model_file, const char *card_file, const KerbGraph *graph, KerbError *error);
void kerb_card_free(KerbCard **card);

/* "net.json" for "net.onnx"; the caller frees. NULL: out of memory. */
char *kerb_card_path(const char *model_file);

#endif
