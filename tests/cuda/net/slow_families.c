/* SPDX-License-Identifier: MIT */
/* The CUDA backend on its stand-in against the reference, on generated cases. */
#define N_CONVOLUTIONS 100
#define N_OTHERS 40
#include "families_main.h"
