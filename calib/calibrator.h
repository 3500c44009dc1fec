/* SPDX-License-Identifier: MIT */
/* The calibrator's inside: what its parts share. */
#ifndef KERB_CALIB_CALIBRATOR_H
#define KERB_CALIB_CALIBRATOR_H

#include "calib/measure.h"
#include "calib/observe.h"
#include "calib/qdq.h"

#include <sched.h>

#define KERB_CALIB_TRIALS 6 /* frames on which layers are tried alone */

struct KerbCalibrator {
    char *model_file, *card_file; /* card_file NULL: the one beside the model, if it is there */
    KerbConfig config;            /* strings: only those two are used after open */
    KerbCalibrateOptions options;
    KerbModel *model;
    KerbBench bench;
    cpu_set_t named_cores, cores_before;
    const cpu_set_t *cores; /* that the opener's thread keeps to until close: the named ones; NULL: any */

    uint8_t **frames;   /* evenly spread over those that were added */
    int n_frames, stride;
    uint64_t n_added;
    size_t frame_bytes;

    KerbNetwork *network;
    KerbArena *arena;   /* of what follows, from run() on */
    int n_marks;
    int *marks;                    /* tensors that are looked at */
    KerbObservation *observations; /* by mark */
    int n_groups;
    KerbScale *scales;             /* by group */
    KerbIntWeights *weights;       /* by layer */
    bool *in_float;                /* by layer */
    KerbDifference *alone;         /* by layer; pixels 0: not tried */
    int *for_ranges, *held_out;    /* frames */
    uint64_t key;                  /* of model, frames and input path: what observations belong to */
    int frames_seen;               /* of for_ranges */
    int64_t saved_ns;

    KerbCalibration result;
    KerbCalibratedLayer *layers;
    KerbCalibratedTensor *tensors;
};

KerbStatus kerb_calib_no_memory(KerbError *error);
KerbFrame kerb_calib_frame(const KerbCalibrator *c, int frame);
void kerb_calib_progress(const KerbCalibrator *c, const char *what, int done, int total);

/* ranges.c: what goes through the network, and the scales that follow. */
KerbStatus kerb_calib_observe(KerbCalibrator *c, const char *path, KerbError *error);
KerbStatus kerb_calib_scales(KerbCalibrator *c, KerbError *error);

/* search.c: which layers stay in float; leaves the chosen model at `trying`. */
KerbStatus kerb_calib_search(KerbCalibrator *c, const char *path, const char *trying, KerbError *error);

/* state.c: what has been learned so far, in PATH.calibration. Reading takes what fits, and nothing of another model, other frames or other options. */
void kerb_calib_state_read(KerbCalibrator *c, const char *path);
/* Now, or where `only_if_due` if some seconds have passed since it was written last. */
KerbStatus kerb_calib_state_write(KerbCalibrator *c, const char *path, bool only_if_due, KerbError *error);
void kerb_calib_state_remove(const char *path);
/* Writes a file that is whole or not there: beside, then under its name. */
KerbStatus kerb_calib_place(const char *path, const void *data, size_t bytes, KerbError *error);

/* card.c: the model's card with what calibration did, for the file that will be called `path`. *text: to be freed. */
KerbStatus kerb_calib_card(const KerbCalibrator *c, char **text, KerbError *error);

#endif
