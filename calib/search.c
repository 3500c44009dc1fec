/* SPDX-License-Identifier: MIT */
/* Which layers stay in float. First all are integers. Where the labels then agree too seldom with the float model's, every layer is tried alone, on frames that the ranges
 * were made of; those that disturb the outputs most go back to float, as few as reach the agreement on the frames that were held out.
 *
 * Models are measured as ONNX defines them (integers as the floats that they stand for), not by the arithmetic of this machine: so the file's figures hold for every
 * engine, and processors without VNNI, whose 8-bit sums saturate, choose as others do. */
#include "calib/calibrator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct KerbSearch {
    KerbCalibrator *c;
    const char *path, *trying;
    KerbRig *plain; /* the float model */
    int *order;     /* layers, the most costly first */
} KerbSearch;

/* Writes the model with these layers in float, opens it, and makes it ready. */
static KerbStatus kerb_search_open(const KerbSearch *s, const bool in_float[], const char *const marks[], int n_marks, bool as_floats, KerbModel **model, KerbRig **rig,
                                   KerbError *error)
{
    KerbCalibrator *c = s->c;
    KerbProto bytes;
    *model = NULL;
    *rig = NULL;
    const KerbQdq qdq = { c->network, c->scales, in_float, c->weights };
    KerbStatus status = kerb_qdq_write(&qdq, &bytes, error);
    if (status != KERB_OK) return status;
    status = kerb_calib_place(s->trying, bytes.data, bytes.size, error);
    c->result.bytes_after = bytes.size;
    kerb_proto_free(&bytes);
    KerbConfig config = c->config;
    config.model_file = s->trying;
    config.card_file = c->card_file;
    if (status == KERB_OK) status = kerb_model_open(model, &config, error);
    if (status == KERB_OK) status = kerb_rig_new(rig, &c->bench, *model, marks, n_marks, as_floats, error);
    return status;
}

/* The difference that these layers in float leave, on these frames. */
static KerbStatus kerb_search_measure(const KerbSearch *s, const bool in_float[], const int frames[], int n_frames, KerbDifference *out, KerbError *error)
{
    KerbModel *model;
    KerbRig *rig;
    *out = (KerbDifference){ 0 };
    KerbStatus status = kerb_search_open(s, in_float, NULL, 0, true, &model, &rig, error);
    for (int i = 0; status == KERB_OK && i < n_frames; i++) {
        KerbFrame frame = kerb_calib_frame(s->c, frames[i]);
        status = kerb_rig_run(s->plain, &frame, error);
        if (status == KERB_OK) status = kerb_rig_run(rig, &frame, error);
        if (status == KERB_OK) kerb_rigs_compare(s->plain, rig, out, NULL);
    }
    kerb_rig_free(&rig);
    kerb_model_free(&model);
    return status;
}

/* ---- layers alone */

static KerbStatus kerb_search_try_layers(KerbSearch *s, KerbError *error)
{
    KerbCalibrator *c = s->c;
    int n = c->network->n_layers, frames[KERB_CALIB_TRIALS], n_frames = c->result.frames < KERB_CALIB_TRIALS ? c->result.frames : KERB_CALIB_TRIALS;
    bool *all_but_one = kerb_arena_alloc(c->arena, (size_t)n);
    KerbStatus status = all_but_one ? KERB_OK : kerb_calib_no_memory(error);
    for (int i = 0; i < n_frames; i++) frames[i] = c->for_ranges[(int64_t)i * c->result.frames / n_frames];
    for (int l = 0; status == KERB_OK && l < n; l++) {
        kerb_calib_progress(c, "layers", l, n);
        if (c->alone[l].pixels > 0) continue; /* an earlier run's */
        memset(all_but_one, true, (size_t)n);
        all_but_one[l] = false;
        status = kerb_search_measure(s, all_but_one, frames, n_frames, &c->alone[l], error);
        if (status == KERB_OK) status = kerb_calib_state_write(c, s->path, l + 1 < n, error);
    }
    kerb_calib_progress(c, "layers", n, n);
    return status;
}

static double kerb_search_cost(const KerbDifference *d) { return d->signal > 0 ? d->noise / d->signal : (d->pixels - d->same) / (d->pixels > 0 ? d->pixels : 1); }

/* The most costly first; of equal ones the first of the file. */
static void kerb_search_sort(KerbSearch *s)
{
    int n = s->c->network->n_layers;
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && kerb_search_cost(&s->c->alone[i]) > kerb_search_cost(&s->c->alone[s->order[at - 1]]); at--) s->order[at] = s->order[at - 1];
        s->order[at] = i;
    }
}

/* ---- how many */

/* The `k` most costly layers stay in float. */
static void kerb_search_choose(const KerbSearch *s, int k)
{
    memset(s->c->in_float, 0, (size_t)s->c->network->n_layers);
    for (int i = 0; i < k; i++) s->c->in_float[s->order[i]] = true;
}

/* And what difference that makes on the frames held out. */
static KerbStatus kerb_search_count(const KerbSearch *s, int k, KerbDifference *out, KerbError *error)
{
    KerbCalibrator *c = s->c;
    kerb_search_choose(s, k);
    kerb_calib_progress(c, "checking", c->result.n_tried, 0);
    c->result.n_tried++;
    return kerb_search_measure(s, c->in_float, c->held_out, c->result.held_out, out, error);
}

static bool kerb_search_agrees(const KerbCalibrator *c, const KerbDifference *d) { return kerb_difference_agreement(d) >= c->options.agreement; }

static KerbStatus kerb_search_unreachable(const KerbSearch *s, int tried, const KerbDifference *best, KerbError *error)
{
    const KerbCalibrator *c = s->c;
    char least[64] = "";
    if (tried) snprintf(least, sizeof least, ", with a single one still %.5f", kerb_difference_agreement(best));
    return kerb_fail(error, KERB_ERROR_ARGUMENT, "%s: an agreement of %g cannot be reached: with all layers (%d) in int8 it is %.5f%s. Ask for less (--agreement), give more "
                     "frames, or try another method of ranges", c->model_file, c->options.agreement, c->network->n_layers, c->result.agreement_all, least);
}

/* The least number of layers in float that agrees: 1, 2, 4, ..., then halving. */
static KerbStatus kerb_search_least(KerbSearch *s, int *k, KerbDifference *found, KerbError *error)
{
    int most = s->c->network->n_layers - 1, fails = 0, holds = 0;
    KerbDifference d = { 0 };
    for (int next = 1; !holds; next *= 2) {
        if (next > most) next = most;
        if (next < 1 || next == fails) return kerb_search_unreachable(s, most, &d, error);
        KerbStatus status = kerb_search_count(s, next, &d, error);
        if (status != KERB_OK) return status;
        if (kerb_search_agrees(s->c, &d)) holds = next, *found = d;
        else fails = next;
    }
    while (holds - fails > 1) {
        int middle = (holds + fails) / 2;
        KerbStatus status = kerb_search_count(s, middle, &d, error);
        if (status != KERB_OK) return status;
        if (kerb_search_agrees(s->c, &d)) holds = middle, *found = d;
        else fails = middle;
    }
    *k = holds;
    return KERB_OK;
}

/* ---- the report's figures */

/* Every layer's own noise in the finished model. The file at `trying` is that model afterwards. */
static KerbStatus kerb_search_layers_noise(KerbSearch *s, KerbError *error)
{
    KerbCalibrator *c = s->c;
    int n = c->network->n_layers;
    const char **names = kerb_arena_alloc(c->arena, (size_t)n * sizeof *names);
    KerbDifference *noise = kerb_arena_alloc(c->arena, (size_t)n * sizeof *noise), all = { 0 };
    if (!names || !noise) return kerb_calib_no_memory(error);
    for (int l = 0; l < n; l++) names[l] = c->network->tensors[c->network->layers[l].y].name;
    KerbModel *model = NULL;
    KerbRig *plain = NULL, *rig = NULL;
    KerbStatus status = kerb_search_open(s, c->in_float, names, n, true, &model, &rig, error);
    if (status == KERB_OK) status = kerb_rig_new(&plain, &c->bench, c->model, names, n, false, error);
    for (int i = 0; status == KERB_OK && i < c->result.held_out && i < KERB_CALIB_TRIALS; i++) {
        KerbFrame frame = kerb_calib_frame(c, c->held_out[i]);
        status = kerb_rig_run(plain, &frame, error);
        if (status == KERB_OK) status = kerb_rig_run(rig, &frame, error);
        if (status == KERB_OK) kerb_rigs_compare(plain, rig, &all, noise);
    }
    for (int l = 0; l < n; l++) c->layers[l].sqnr_db = kerb_difference_db(&noise[l]);
    kerb_rig_free(&plain);
    kerb_rig_free(&rig);
    kerb_model_free(&model);
    return status;
}

static KerbStatus kerb_search_describe(KerbSearch *s, KerbError *error)
{
    KerbCalibrator *c = s->c;
    KerbNetwork *n = c->network;
    c->layers = kerb_arena_alloc(c->arena, (size_t)n->n_layers * sizeof *c->layers);
    if (!c->layers) return kerb_calib_no_memory(error);
    for (int l = 0; l < n->n_layers; l++) {
        const KerbEditNode *node = &n->nodes[n->layers[l].node];
        const KerbDifference *alone = &c->alone[l];
        c->layers[l] = (KerbCalibratedLayer){ .name = node->name[0] ? node->name : n->tensors[n->layers[l].y].name, .type = node->type, .parameters = c->weights[l].elements,
                                              .in_float = c->in_float[l], .alone_db = alone->pixels > 0 ? kerb_difference_db(alone) : NAN,
                                              .alone_agreement = alone->pixels > 0 ? kerb_difference_agreement(alone) : NAN, .sqnr_db = NAN };
        c->result.n_float += c->in_float[l];
    }
    c->result.n_layers = n->n_layers;
    c->result.layers = c->layers;
    return KERB_OK;
}

KerbStatus kerb_calib_search(KerbCalibrator *c, const char *path, const char *trying, KerbError *error)
{
    KerbSearch s = { .c = c, .path = path, .trying = trying };
    KerbDifference found;
    int k = 0;
    s.order = kerb_arena_alloc(c->arena, ((size_t)c->network->n_layers + 1) * sizeof *s.order);
    KerbStatus status = s.order ? kerb_rig_new(&s.plain, &c->bench, c->model, NULL, 0, false, error) : kerb_calib_no_memory(error);
    if (status == KERB_OK) status = kerb_search_count(&s, 0, &found, error);
    if (status == KERB_OK) c->result.agreement_all = kerb_difference_agreement(&found);
    if (status == KERB_OK && !kerb_search_agrees(c, &found)) {
        status = kerb_search_try_layers(&s, error);
        if (status == KERB_OK) kerb_search_sort(&s);
        if (status == KERB_OK) status = kerb_search_least(&s, &k, &found, error);
    }
    kerb_search_choose(&s, k);
    KerbError ignored;
    if (status == KERB_OK || status == KERB_ERROR_ARGUMENT) kerb_search_describe(&s, status == KERB_OK ? error : &ignored);
    if (status == KERB_OK) {
        c->result.agreement = kerb_difference_agreement(&found);
        c->result.output_db = kerb_difference_db(&found);
        status = kerb_search_layers_noise(&s, error);
    }
    kerb_rig_free(&s.plain);
    return status;
}
