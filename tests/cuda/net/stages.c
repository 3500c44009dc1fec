/* SPDX-License-Identifier: MIT */
/* The network alone: a backend whose stages nobody opens. */
#include "run/stages.h"

extern const KerbStages kerb_cuda_stages;
const KerbStages kerb_cuda_stages;
