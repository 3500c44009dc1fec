/* SPDX-License-Identifier: MIT */
/* The model with integers in it, as the bytes of an ONNX file. Inside calib only. */
#ifndef KERB_CALIB_QDQ_H
#define KERB_CALIB_QDQ_H

#include "calib/observe.h"
#include "calib/plan.h"
#include "calib/proto.h"
#include "calib/weights.h"

typedef struct KerbQdq {
    KerbNetwork *network;
    const KerbScale *scales;       /* by group */
    const bool *in_float;          /* by layer */
    const KerbIntWeights *weights; /* by layer */
} KerbQdq;

/* Sets KerbEditTensor.wanted as `in_float` asks for it. MEMORY. */
KerbStatus kerb_qdq_write(const KerbQdq *qdq, KerbProto *out, KerbError *error);

/* OK, or UNSUPPORTED: why nodes of opset 13 cannot be added to this model. */
KerbStatus kerb_qdq_check(const KerbOnnx *onnx, KerbError *error);

#endif
