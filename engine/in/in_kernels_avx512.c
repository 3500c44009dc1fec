/* SPDX-License-Identifier: MIT */
#include "in/in_kernels.h"
void kerb_in_kernels_avx512(KerbInKernels *k) { (void)k; }
