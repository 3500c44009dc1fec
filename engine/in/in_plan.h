/* SPDX-License-Identifier: MIT */
/* What every backend's in stage works out of KerbInParams in the same way: where a format's samples lie, how its axes map onto the network's, and the
 * colour matrix with mean and std. Reads no picture, allocates nothing. */
#ifndef KERB_IN_PLAN_H
#define KERB_IN_PLAN_H

#include "in/in.h"
#include "in/in_pixel.h"

/* One of the three components of a stored pixel: Y, U, V or R, G, B. */
typedef struct KerbInComponent {
    int plane, byte, step; /* sample i of a row: planes[plane][row * stride + byte + i * step] */
    int axis;              /* 0: the luma's (or RGB's) columns and rows, 1: chroma's */
} KerbInComponent;

typedef struct KerbInPlan {
    int n_components; /* 3, or 1 for GRAY8: it stands for all three */
    KerbInComponent components[3];
    int n_axes;
    KerbInAxisMap across[2], down[2]; /* by component.axis */
    KerbInFold fold;
    bool to_gray; /* fold gives R'G'B', luma follows */
    float gray_scale, gray_bias;
} KerbInPlan;

/* ARGUMENT: parameters that contradict each other, std not above 0. The input's type is the caller's to check. */
KerbStatus kerb_in_plan(KerbInPlan *plan, const KerbInParams *params, KerbError *error);

#endif
