/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_C
#define KERB_SIMD_TEXT "c"
#include "net/cpu/kernels_impl.h"
