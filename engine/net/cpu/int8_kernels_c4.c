/* SPDX-License-Identifier: MIT */
/* What the variants with VNNI do with their units of four, in C: for tests on processors without it. */
#define KERB_SIMD_C
#define KERB_SIMD_VNNI
#define KERB_SIMD_TEXT "c4"
#define KERB_INT8_TABLE kerb_int8_kernels_c4
#include "net/cpu/int8_impl.h"
