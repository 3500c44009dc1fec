/* SPDX-License-Identifier: MIT */
/* From frames to scales: the float model runs on every frame, and each tensor that will be quantised is looked at. */
#include "calib/calibrator.h"

#include <string.h>

typedef struct KerbLook {
    KerbCalibrator *c;
    const KerbRig *rig;
    const int *axes; /* by mark */
} KerbLook;

static void kerb_calib_look(void *arg, int index, int count, int thread)
{
    const KerbLook *look = arg;
    kerb_observe(&look->c->observations[index], kerb_rig_mark(look->rig, index), look->axes[index]);
}

static int kerb_calib_mark_of(const KerbCalibrator *c, int tensor)
{
    int mark = 0;
    while (mark < c->n_marks && c->marks[mark] != tensor) mark++;
    return mark;
}

/* Room for what will be seen; axes: of channels, for what layers read. */
static KerbStatus kerb_calib_make_room(KerbCalibrator *c, const char ***names, int **axes, KerbError *error)
{
    KerbNetwork *n = c->network;
    c->marks = kerb_arena_alloc(c->arena, ((size_t)n->n_tensors + 1) * sizeof *c->marks);
    for (int t = 0; c->marks && t < n->n_tensors; t++)
        if (n->tensors[t].wanted) c->marks[c->n_marks++] = t;
    *names = kerb_arena_alloc(c->arena, ((size_t)c->n_marks + 1) * sizeof **names);
    *axes = kerb_arena_alloc(c->arena, ((size_t)c->n_marks + 1) * sizeof **axes);
    c->observations = kerb_arena_alloc(c->arena, ((size_t)c->n_marks + 1) * sizeof *c->observations);
    if (!c->marks || !*names || !*axes || !c->observations) return kerb_calib_no_memory(error);
    for (int i = 0; i < c->n_marks; i++) {
        (*names)[i] = n->tensors[c->marks[i]].name;
        (*axes)[i] = -1;
    }
    for (int l = 0; l < n->n_layers; l++) {
        int mark = kerb_calib_mark_of(c, n->layers[l].x);
        if (mark == c->n_marks) continue;
        (*axes)[mark] = n->layers[l].x_axis;
        c->observations[mark].n_channels = n->layers[l].inputs;
    }
    for (int i = 0; i < c->n_marks; i++) {
        KerbObservation *o = &c->observations[i];
        o->sums = kerb_arena_alloc(c->arena, ((size_t)o->n_channels + 1) * sizeof *o->sums);
        if (!o->sums) return kerb_calib_no_memory(error);
    }
    return KERB_OK;
}

static KerbStatus kerb_calib_check_finite(const KerbCalibrator *c, KerbError *error)
{
    for (int i = 0; i < c->n_marks; i++)
        if (c->observations[i].not_finite)
            return kerb_fail(error, KERB_ERROR_ASSET, "%s: the tensor \"%s\" has values that are not finite on these frames (%llu of them); the model is broken, or its input "
                             "is not scaled as it was in training", c->model_file, c->network->tensors[c->marks[i]].name,
                             (unsigned long long)c->observations[i].not_finite);
    return KERB_OK;
}

KerbStatus kerb_calib_observe(KerbCalibrator *c, const char *path, KerbError *error)
{
    const char **names;
    int *axes, total = c->result.frames;
    KerbRig *rig = NULL;
    KerbStatus status = kerb_calib_make_room(c, &names, &axes, error);
    if (status != KERB_OK) return status;
    if (!c->options.fresh) kerb_calib_state_read(c, path);
    c->result.frames_resumed = c->frames_seen;
    if (c->frames_seen < total) status = kerb_rig_new(&rig, &c->bench, c->model, names, c->n_marks, false, error);
    KerbLook look = { c, rig, axes };
    for (int i = c->frames_seen; status == KERB_OK && i < total; i++) {
        KerbFrame frame = kerb_calib_frame(c, c->for_ranges[i]);
        kerb_calib_progress(c, "ranges", i, total);
        status = kerb_rig_run(rig, &frame, error);
        if (status == KERB_OK) kerb_pool_run(c->bench.pool, kerb_calib_look, &look, c->n_marks);
        c->frames_seen = i + 1;
        if (status == KERB_OK) status = kerb_calib_check_finite(c, error);
        if (status == KERB_OK) status = kerb_calib_state_write(c, path, i + 1 < total, error);
    }
    kerb_calib_progress(c, "ranges", total, total);
    kerb_rig_free(&rig);
    return status;
}

/* ---- scales and integers */

static KerbStatus kerb_calib_weights(KerbCalibrator *c, KerbError *error)
{
    KerbNetwork *n = c->network;
    c->weights = kerb_arena_alloc(c->arena, (size_t)n->n_layers * sizeof *c->weights);
    bool ok = c->weights != NULL;
    for (int l = 0; ok && l < n->n_layers; l++) {
        const KerbEditLayer *layer = &n->layers[l];
        const KerbObservation *o = &c->observations[kerb_calib_mark_of(c, layer->x)];
        double *means = kerb_arena_alloc(c->arena, ((size_t)o->n_channels + 1) * sizeof *means);
        for (int64_t i = 0; means && i < o->n_channels; i++) means[i] = o->sums[i] / (double)(o->per_channel ? o->per_channel : 1);
        ok = means && kerb_weights_quantize(layer, &c->options, c->scales[n->tensors[layer->x].group].scale,
                                            o->n_channels == layer->inputs ? means : NULL, c->arena, &c->weights[l]);
    }
    return ok ? KERB_OK : kerb_calib_no_memory(error);
}

KerbStatus kerb_calib_scales(KerbCalibrator *c, KerbError *error)
{
    KerbNetwork *n = c->network;
    KerbObservation *sum = kerb_alloc(sizeof *sum);
    c->scales = kerb_arena_alloc(c->arena, ((size_t)c->n_groups + 1) * sizeof *c->scales);
    c->tensors = kerb_arena_alloc(c->arena, ((size_t)c->n_marks + 1) * sizeof *c->tensors);
    if (!sum || !c->scales || !c->tensors) {
        kerb_free(&sum);
        return kerb_calib_no_memory(error);
    }
    for (int group = 0; group < c->n_groups; group++) {
        double clipped;
        *sum = (KerbObservation){ 0 };
        for (int i = 0; i < c->n_marks; i++)
            if (n->tensors[c->marks[i]].group == group) kerb_observe_merge(sum, &c->observations[i]);
        KerbScale *s = &c->scales[group];
        *s = kerb_observe_scale(sum, c->options.method, c->options.percentile, c->options.signed_only, &clipped);
        for (int i = 0; i < c->n_marks; i++) {
            const KerbEditTensor *t = &n->tensors[c->marks[i]];
            if (t->group == group)
                c->tensors[i] = (KerbCalibratedTensor){ t->name, c->observations[i].min, c->observations[i].max, s->scale, s->zero, s->is_signed, clipped };
        }
    }
    kerb_free(&sum);
    c->result.n_tensors = c->n_marks;
    c->result.tensors = c->tensors;
    return kerb_calib_weights(c, error);
}
