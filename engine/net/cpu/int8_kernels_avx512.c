/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_AVX512
#define KERB_SIMD_TEXT "avx512"
#define KERB_INT8_TABLE kerb_int8_kernels_avx512
#include "net/cpu/int8_impl.h"
