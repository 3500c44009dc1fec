/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_AVX2
#define KERB_SIMD_VNNI
#define KERB_SIMD_TEXT "avx vnni"
#define KERB_INT8_TABLE kerb_int8_kernels_avxvnni
#include "net/cpu/int8_impl.h"
