/* SPDX-License-Identifier: MIT */
/* The out stage's row kernels in AVX2. */
#include "base/tensor.h"

#include "out/out_lanes_avx2.h"

#define KERB_ROWS_NAME "avx2"
#define KERB_ROWS(name) name##_avx2
#include "out/out_rows_template.h"
