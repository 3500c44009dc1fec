/* SPDX-License-Identifier: MIT */
/* The patch kernels in AVX2. */
#define KERB_PATCH_NAME(name) name##_avx2
#include "time/motion_patch_template.h"
