/* SPDX-License-Identifier: MIT */
/* What is done to the scores of one row of cells: the inner loop of smooth.c, in plain C and for AVX2. */
#ifndef KERB_TIME_SMOOTH_CELLS_H
#define KERB_TIME_SMOOTH_CELLS_H

#include <stdint.h>

/* One row of cells; `past` and `out` are height x width x channels, dense; out is this row of it. */
typedef struct KerbCellsRow {
    int width, height, channels, y;
    const float *dx, *dy; /* of each cell: where it was, in cells */
    const float *weight;  /* of each cell: the new scores' share, 0..1 */
    const float *past;
    const float *now;     /* this row's new scores: width x channels, dense */
    float *out;
} KerbCellsRow;

/* out = past + weight * (now - past), the past bilinear at (x + dx, y + dy), coordinates clamped to the cells. Where the past is no finite
 * number, out = now: what a damaged frame leaves is gone with the next. */
typedef void (*KerbCellsFn)(const KerbCellsRow *row);
KerbCellsFn kerb_smooth_cells(unsigned cpu_flags);
void kerb_smooth_cells_c(const KerbCellsRow *row);
void kerb_smooth_cells_avx2(const KerbCellsRow *row);

#endif
