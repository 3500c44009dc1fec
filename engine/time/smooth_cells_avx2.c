/* SPDX-License-Identifier: MIT */
/* The smoothing kernel for AVX2. */
#define KERB_CELLS_FN kerb_smooth_cells_avx2
#include "time/smooth_cells_template.h"
