/* SPDX-License-Identifier: MIT */
/* A convolution node and where its operands lie -> the problem that plans are made for. The compiler and kerb-plans both go through here, so what is
 * proven without a GPU is what runs on one. Enters: an inferred, optimised graph. It allocates nothing and knows no cuDNN. */
#ifndef KERB_CUDA_NET_PROBLEM_H
#define KERB_CUDA_NET_PROBLEM_H

#include "cuda/net/conv.h"
#include "net/quantize.h"

/* Operands as views: logical dims 1 x C x H x W of the graph, channels adjacent, type f32, f16, bf16 or i8; data is not looked at. Every base is
 * aligned to 16 bytes (a slice that is not is copied, or is not made). */
typedef struct KerbConvSite {
    const KerbTensor *x, *y, *z; /* z: NULL without a residual; y's type */
    int x_channels;  /* that may be read: dims[1], or more where zeros follow (padding of a whole picture) */
    int y_channels;  /* that may be written: dims[1], or more where nothing else lies (padding of a whole picture) */
    bool tf32;
    float y_scale, z_scale; /* i8 (KerbConvProblem); else 1 */
} KerbConvSite;

/* true: *out is filled, with c and k rounded up as far as the site allows (16 bytes' worth of channels; ungrouped convolutions only) and has_scale
 * where x is i8. false: no problem of this kind (rank, batch, dynamic weights, negative pads, ...); `why` says so in a few words. */
bool kerb_conv_problem(const KerbGraph *g, const KerbNode *n, const KerbConvSite *site, KerbConvProblem *out, char *why, size_t why_bytes);

#endif
