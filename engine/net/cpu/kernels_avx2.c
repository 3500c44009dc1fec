/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_AVX2
#define KERB_SIMD_TEXT "avx2"
#include "net/cpu/kernels_impl.h"
