/* SPDX-License-Identifier: MIT */
#define KERB_SIMD_C
#define KERB_SIMD_TEXT "c"
#define KERB_INT8_TABLE kerb_int8_kernels_c
#include "net/cpu/int8_impl.h"
