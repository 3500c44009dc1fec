/* SPDX-License-Identifier: MIT */
/* Which tensors of a network are quantised, when these layers are: and which of them share a scale. Inside calib only. */
#ifndef KERB_CALIB_PLAN_H
#define KERB_CALIB_PLAN_H

#include "calib/network.h"

/* Sets KerbEditTensor.wanted of all tensors. in_float[layer]: it stays so. False: no memory. */
void kerb_plan_tensors(KerbNetwork *network, const bool in_float[]);

/* After kerb_plan_tensors() with every layer quantised: numbers the groups of tensors that must share a scale (KerbEditTensor.group), in the order of the file.
 * Returns how many. */
int kerb_plan_groups(KerbNetwork *network);

#endif
