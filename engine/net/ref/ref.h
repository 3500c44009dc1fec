/* SPDX-License-Identifier: MIT */
/* The plain, slow, right backend, and its single operators: the oracle for every other backend, and what folds constants. */
#ifndef KERB_NET_REF_H
#define KERB_NET_REF_H

#include "net/backend.h"

/* Evaluates one node. inputs[i].data NULL: absent. outputs are allocated by the caller with the inferred type and shape; any strides on
 * both sides. Sums are kept in double. UNSUPPORTED (operator, type) with a message. No state; any thread. */
KerbStatus kerb_ref_eval(const KerbGraph *g, const KerbNode *n, const KerbTensor inputs[], KerbTensor outputs[], KerbError *error);

extern const KerbBackend kerb_backend_ref;

#endif
