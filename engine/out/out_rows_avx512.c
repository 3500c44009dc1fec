/* SPDX-License-Identifier: MIT */
/* The out stage's row kernels in AVX-512. */
#include "base/tensor.h"

#include "out/out_lanes_avx512.h"

#define KERB_ROWS_NAME "avx512"
#define KERB_ROWS(name) name##_avx512
#include "out/out_rows_template.h"
