/* SPDX-License-Identifier: MIT */
/* Operators that need no arithmetic: their result is the input's memory, seen otherwise. What backends share of it. Shapes must be known. */
#ifndef KERB_NET_VIEWS_H
#define KERB_NET_VIEWS_H

#include "net/graph.h"

/* Output `output` of a TRANSPOSE, SPLIT or SLICE node as a view of its input `x`: *view has x's type and data; *offset elements from x's first one.
 * False: not as a view (a slice whose bounds are computed, or that runs backwards). */
bool kerb_node_view(const KerbGraph *g, const KerbNode *n, int output, const KerbTensor *x, KerbTensor *view, int64_t *offset);

/* Whether the indices of a MAX_POOL (its second output) may stay within the backend as bytes, the place in the
 * window: only unpooling over the same windows reads them, no pixel is in two windows, and the windows span the picture exactly (ONNX's flat indices
 * count over what they span, so with rows left over unpooling does not put things back where they were). */
bool kerb_pool_indices_stay(const KerbGraph *g, const KerbNode *n);

#endif
