/* SPDX-License-Identifier: MIT */
/* Quantised graphs in integers. */
#define TIMES 10
#include "int8_main.h"
