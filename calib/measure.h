/* SPDX-License-Identifier: MIT */
/* Models at work on frames: what goes through them, and how two of them differ. Inside calib only. */
#ifndef KERB_CALIB_MEASURE_H
#define KERB_CALIB_MEASURE_H

#include "calib/calibrate.h"
#include "in/in.h"
#include "run/backends.h"
#include "run/model.h"

/* Where and how models run here. */
typedef struct KerbBench {
    KerbBackendChoice choice;
    KerbVideoFormat format;
    int threads, width_px, height_px; /* of the network */
    KerbPool *pool;
} KerbBench;

/* A model that is ready to run, with its own outputs (nothing is stripped off), and further tensors that can be looked at. */
typedef struct KerbRig {
    const KerbBench *bench;
    KerbGraph *graph;
    KerbNet *net;
    KerbIn *in;
    KerbTensor input;
    int n_outputs, n_marks;
    struct { KerbHeadKind kind; int axis; float threshold; } heads[KERB_MAX_HEADS];
} KerbRig;

/* marks: names of tensors to look at (n of them; all must be there). integers_as_floats: QuantizeLinear and DequantizeLinear pairs are computed as the floats that
 * they stand for, whatever integer arithmetic the backend has. The model outlives the rig. */
KerbStatus kerb_rig_new(KerbRig **out, const KerbBench *bench, const KerbModel *model, const char *const marks[], int n, bool integers_as_floats, KerbError *error);
void kerb_rig_free(KerbRig **rig);
KerbStatus kerb_rig_run(KerbRig *rig, const KerbFrame *frame, KerbError *error);
const KerbTensor *kerb_rig_mark(const KerbRig *rig, int i);

/* How far apart two models are. Sums over all frames. */
typedef struct KerbDifference {
    double signal, noise;  /* squares of the first model's outputs, and of the difference; head outputs that are labels count in none */
    double pixels, same;   /* of all outputs; same: with the same label */
} KerbDifference;

/* After both have run the same frame: adds the outputs' difference, and to marks[i] (may be NULL) the difference of the i-th mark. */
void kerb_rigs_compare(const KerbRig *a, const KerbRig *b, KerbDifference *outputs, KerbDifference marks[]);

double kerb_difference_db(const KerbDifference *d); /* signal to noise; INFINITY without noise, NAN without signal */
double kerb_difference_agreement(const KerbDifference *d);

#endif
