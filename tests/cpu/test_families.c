/* SPDX-License-Identifier: MIT */
/* The CPU backend against the reference on generated cases: a tenth of the full tier's. */
#define N_CONVOLUTIONS 100
#define N_OTHERS 20
#include "families_main.h"
