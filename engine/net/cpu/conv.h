/* SPDX-License-Identifier: MIT */
/* One convolution and the ways in which it can be computed. conv.c chooses; each way is a file of its own. */
#ifndef KERB_NET_CPU_CONV_H
#define KERB_NET_CPU_CONV_H

#include "net/cpu/cpu.h"

/* The shape: all that decides how fast each way is. Compared by memcmp, so always made from a zeroed struct. */
typedef struct KerbConvSpec {
    int n, ic, ih, iw, oc, oh, ow, kh, kw, sh, sw, dh, dw, pad_top, pad_left, groups;
    int64_t source_step, target_step, residual_step; /* elements between pixels; residual_step 0: no residual */
    int source_bf16, target_bf16;
    int residual_in_place;  /* the residual is the target */
    int block;              /* 1, or b: the target is the pixel shuffle of the sums: oc = b*b*C, target b times as high and wide */
    int block_crd;          /* channel order of the shuffle, as KerbAttrs.block.crd */
    int slope, clip, unary; /* of the activation: is there one */
} KerbConvSpec;

typedef struct KerbConv KerbConv;
typedef struct KerbConvKind {
    const char *name;
    /* Can it do this at all (and does it make sense to time it)? */
    bool (*applies)(const KerbConv *conv);
    /* Packs weights, sets scratch_bytes. */
    KerbStatus (*prepare)(KerbConv *conv, KerbError *error);
    /* source, target, residual and scratch are set and stay. NULL: nothing to do. */
    KerbStatus (*bind)(KerbConv *conv, KerbError *error);
    KerbStatus (*run)(KerbConv *conv);
    void (*free)(KerbConv *conv); /* `packed` and `own` */
} KerbConvKind;

struct KerbConv {
    const KerbConvKind *kind;
    KerbNet *net;
    KerbConvSpec s;
    const float *weights; /* OIHW dense: the graph's */
    const float *bias;    /* oc + KERB_LANES_MAX*2 floats, or NULL */
    KerbCpuAct act;       /* slopes: oc + 2*KERB_LANES_MAX */
    const void *source;
    void *target;
    const void *residual;
    void *scratch;
    size_t scratch_bytes, packed_bytes;
    void *packed; /* kerb_alloc */
    void *own;    /* the kind's state, malloc */
};

extern const KerbConvKind kerb_conv_direct, kerb_conv_winograd, kerb_conv_winograd_shared, kerb_conv_depthwise, kerb_conv_dnn;

/* ---- tuning.c: what timing found */

/* The fastest as far as it is known and is one of `can`; else NULL. What is kept on disk is read when this is first asked. */
const KerbConvKind *kerb_tuning_find(KerbCompiler *c, const KerbConvSpec *spec, const KerbConvKind *const *can, int n);
void kerb_tuning_add(KerbCompiler *c, const KerbConvSpec *spec, const KerbConvKind *kind);

/* ---- for conv_fused.c: parts of a prepared convolution ---- */

/* Pixels of a line; steps in elements. */
typedef struct KerbDirectLine {
    const float *source, *residual; /* pixel 0, channel 0; residual NULL: none */
    float *target;                  /* pixel 0, the first column's */
    ptrdiff_t source_step, target_step, residual_step;
    int pixels;
} KerbDirectLine;
/* kerb_conv_direct, 1x1 with stride 1 and without groups: output channels first..past of a line, without what is not the epilogue's of the
 * activation. first: a multiple of two vectors. */
void kerb_direct_line(const KerbConv *c, int first, int past, const KerbDirectLine *line);
#define KERB_DIRECT_LINE_DEPTH 3072 /* deeper sums go over their target more than once, in an order of their own */

#define KERB_DEPTHWISE_ROWS 32 /* of a window, at most */
/* kerb_conv_depthwise: channels are computed in groups of so many. */
int kerb_depthwise_width(const KerbConv *c);
/* The group that begins with channel `first`, pixels x0..x1 of a row: `rows` and `target` are at that channel. Epilogue only. */
void kerb_depthwise_group(const KerbConv *c, int first, const void *const *rows, ptrdiff_t source_step, int x0, int x1, void *target,
                          ptrdiff_t target_step);
/* All channels of row `index` (counted over all pictures) from the bound source. Epilogue only. */
void kerb_depthwise_line(const KerbConv *c, int index, void *target, ptrdiff_t target_step);

/* ---- conv.c, for conv_fused.c ---- */

/* Shape, activation and weights of a node that writes `output`, without steps and way. *out NULL: not understood. */
KerbStatus kerb_conv_new(KerbCompiler *c, const KerbNode *n, uint32_t output, KerbConv **out);
bool kerb_conv_understood(const KerbCompiler *c, const KerbNode *n);

/* ---- conv.c, for int8_*.c ---- */

/* Two-dimensional, constant weights, explicit pads: what kerb_conv_understood() is, also where its numbers are quantised. */
bool kerb_conv_regular(const KerbCompiler *c, const KerbNode *n);
bool kerb_conv_spec(KerbCompiler *c, const KerbNode *n, uint32_t output, KerbConvSpec *s);

/* Guess of the time on this many threads, for deciding how to share work. */
static inline double kerb_conv_cost_ns(const KerbConvSpec *s)
{
    return 2.0 * s->n * s->oh * s->ow * s->oc * (s->ic / s->groups) * s->kh * s->kw / 50.0;
}

#endif
