/* SPDX-License-Identifier: MIT */
/* The card of the quantised model: the float model's, and what calibration did. A model without a card gets one with that alone. */
#include "calib/calibrator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *kerb_calib_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Finite numbers only: JSON has no others. */
static json_t *kerb_calib_number(double v, double unit) { return isfinite(v) ? json_real(round(v / unit) * unit) : json_null(); }

static json_t *kerb_calib_facts(const KerbCalibrator *c)
{
    const KerbCalibration *r = &c->result;
    json_t *in_float = json_array();
    for (int l = 0; l < r->n_layers; l++)
        if (r->layers[l].in_float) json_array_append_new(in_float, json_string(r->layers[l].name));
    json_t *facts = json_pack("{s:s, s:s, s:i, s:i, s:o, s:i, s:o, s:b, s:s, s:i, s:s}", "of", kerb_calib_file_name(c->model_file), "method",
                              kerb_range_methods[c->options.method], "frames", r->frames, "held_out", r->held_out, "agreement", kerb_calib_number(r->agreement, 1e-6),
                              "layers", r->n_layers, "in_float", in_float, "bias_correction", (int)c->options.bias_correction, "activations",
                              c->options.signed_only ? "int8" : "uint8", "weight_bits", c->options.reduce_range ? 7 : 8, "by", kerb_version());
    if (facts && c->options.method == KERB_RANGE_PERCENTILE) json_object_set_new(facts, "percentile", json_real(c->options.percentile));
    return facts;
}

KerbStatus kerb_calib_card(const KerbCalibrator *c, char **text, KerbError *error)
{
    char *beside = c->card_file ? NULL : kerb_card_path(c->model_file);
    const char *path = c->card_file ? c->card_file : beside && !access(beside, F_OK) ? beside : NULL;
    json_error_t where;
    json_t *root = path ? json_load_file(path, 0, &where) : json_object(); /* it was sound when the model was opened */
    json_t *facts = kerb_calib_facts(c);
    *text = NULL;
    if (json_is_object(root) && facts) {
        json_t *accuracy = json_object_get(root, "accuracy");
        if (json_is_object(accuracy)) json_object_set_new(accuracy, "of", json_string("the float model"));
        json_object_set_new(root, "calibration", facts);
        facts = NULL;
        *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    }
    json_decref(facts);
    json_decref(root);
    free(beside);
    return *text ? KERB_OK : path ? kerb_fail(error, KERB_ERROR_ASSET, "%s cannot be read again", path) : kerb_calib_no_memory(error);
}
