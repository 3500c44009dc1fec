/* SPDX-License-Identifier: MIT */
/* The CUDA backend on its stand-in against the reference, on generated cases. */
#define N_CONVOLUTIONS 80
#define N_OTHERS 30
#include "families_main.h"
