/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_AVX512
#define KERB_SIMD_TEXT "avx512"
#include "net/cpu/kernels_impl.h"
