/* SPDX-License-Identifier: MIT */
/* Taps of one axis of one plane, in the shape that the row kernels want. Enters: a map from output to plane coordinates. Made once. */
#ifndef KERB_IN_AXIS_H
#define KERB_IN_AXIS_H

#include "in/in_kernels.h"

/* A run of at most KERB_IN_TILE outputs, and the samples that they read. */
typedef struct KerbInTile {
    int x, n;              /* outputs [x, x + n), counted from the first that shows the frame */
    int sample, n_samples; /* samples [sample, sample + n_samples) */
    int group;             /* its first group */
    bool copies;           /* output i is sample + i */
} KerbInTile;

/* Across: groups for `linear` or `box`. */
typedef struct KerbInColumns {
    KerbInAxisMap map;
    bool area;
    int n_tiles;
    KerbInTile *tiles;
    KerbInLinearGroup *linear; /* not area */
    KerbInBoxGroup *box;       /* area */
} KerbInColumns;

/* Down: one entry an output row; n == 0 marks bilinear. */
typedef struct KerbInRowTaps {
    KerbInLinear linear;
    KerbInBox box;
} KerbInRowTaps;

/* Tiles are the same for every plane: `tile_width` is a multiple of KERB_IN_GROUP. False: out of memory (free it all the same). */
bool kerb_in_columns_init(KerbInColumns *columns, KerbInAxisMap map, int first_output, int n_outputs, int tile_width);
void kerb_in_columns_free(KerbInColumns *columns);
/* NULL: out of memory. */
KerbInRowTaps *kerb_in_row_taps_new(KerbInAxisMap map, int first_output, int n_outputs);

#endif
