/* SPDX-License-Identifier: MIT */
/* The out stage's row kernels in plain C: one lane, and the table's first filling. */
#include "base/tensor.h"

#include "out/out_lanes_c.h"

#define KERB_ROWS_NAME "c"
#define KERB_ROWS(name) name##_c
#include "out/out_rows_template.h"
