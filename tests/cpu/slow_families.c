/* SPDX-License-Identifier: MIT */
/* The CPU backend against the reference on generated cases: all of them. */
#define N_CONVOLUTIONS 1000
#define N_OTHERS 200
#include "families_main.h"
