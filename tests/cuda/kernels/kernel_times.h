/* SPDX-License-Identifier: MIT */
/* Times of the kernels on shapes that networks have. */
#ifndef KERB_TESTS_KERNEL_TIMES_H
#define KERB_TESTS_KERNEL_TIMES_H

#include "kernel_case.h"

/* Prints a table: kernel, microseconds (median of 21 runs of 8 launches), bytes that must move, GB/s. */
void kernel_times(void);

#endif
