/* SPDX-License-Identifier: MIT */
/* Quantised graphs in integers: a tenth of the full tier's cases. */
#define TIMES 1
#include "int8_main.h"
