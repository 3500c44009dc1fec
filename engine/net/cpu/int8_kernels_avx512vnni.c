/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_AVX512
#define KERB_SIMD_VNNI
#define KERB_SIMD_TEXT "avx512 vnni"
#define KERB_INT8_TABLE kerb_int8_kernels_avx512vnni
#include "net/cpu/int8_impl.h"
