/* SPDX-License-Identifier: MIT */
/* The CUDA backend on its stand-in against the reference, on generated cases: a part of the full tier's. */
#define N_CONVOLUTIONS 20
#define N_OTHERS 6
#define LARGE_ELSEWHERE
#include "families_main.h"
