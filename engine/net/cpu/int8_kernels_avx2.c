/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_AVX2
#define KERB_SIMD_TEXT "avx2"
#define KERB_INT8_TABLE kerb_int8_kernels_avx2
#include "net/cpu/int8_impl.h"
