/* SPDX-License-Identifier: MIT */
/* From the graph's heads to the tail's: what head stripping took off, as affine maps between score cells and network pixels. */
#ifndef KERB_RUN_HEADS_H
#define KERB_RUN_HEADS_H

#include "run/model.h"

/* A built graph's heads as out/ takes them: kind, size, cells, threshold, labels. UNSUPPORTED: an upsampling that is not affine. */
KerbStatus kerb_heads_map(const KerbModel *model, const KerbGraph *built, int net_width_px, int net_height_px, KerbOutHead heads[],
                          KerbError *error);

#endif
