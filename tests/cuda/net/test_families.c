/* SPDX-License-Identifier: MIT */
/* The CUDA backend on its stand-in against the reference, on generated cases: a part of the full tier's. */
#define N_CONVOLUTIONS 30
#define N_OTHERS 10
#define LARGE_ELSEWHERE
#include "families_main.h"
